//! How long the pure parts of the hot paths take: `cargo bench -p bench`.

#![expect(clippy::expect_used, reason = "a bench without its input is none")]

use bench::pure::parts;
use criterion::{Criterion, criterion_group, criterion_main};

fn pure(criterion: &mut Criterion) {
    for part in parts().expect("every part has its input") {
        criterion.bench_function(part.name, |bencher| bencher.iter(|| (part.once)()));
    }
}

criterion_group!(benches, pure);
criterion_main!(benches);
