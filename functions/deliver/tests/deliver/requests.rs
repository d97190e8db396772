//! What a delivery costs in requests: each one is paid for, a million times. Whoever adds one to the way
//! that all deliveries go changes a number here, and what docs/PERFORMANCE.md says of the bill.

use std::collections::BTreeMap;

use shared::model::Hook;
use wiremock::MockServer;

use super::{
    bench::{Bench, job},
    receiver::answering,
};

/// So many hooks whose endpoint answers with this status, and whose samples have been kept this hour.
async fn hooks(count: usize, status: u16) -> (MockServer, Bench, Vec<Hook>) {
    let server = answering(status).await;
    let bench = Bench::new(&[*server.address()], "5s").await;
    let mut hooks = Vec::new();
    for _ in 0..count {
        hooks.push(bench.hook(&server.uri()).await);
    }
    bench.work(hooks.iter().map(job)).await;
    bench.spy.forget();
    (server, bench, hooks)
}

fn counts<const N: usize>(wanted: [(&str, usize); N]) -> BTreeMap<String, usize> {
    wanted
        .map(|(operation, count)| (operation.to_owned(), count))
        .into()
}

#[tokio::test]
async fn a_batch_is_two_reads_and_one_write_for_each_hook() {
    let (_server, bench, hooks) = hooks(10, 200).await;
    assert!(bench.work(hooks.iter().map(job)).await.is_empty());
    let wanted = counts([("BatchGetItem", 2), ("UpdateItem", 10)]);
    assert_eq!(bench.spy.counts(), wanted);
}

#[tokio::test]
async fn of_ten_deliveries_to_one_hook_each_costs_less_than_a_request() {
    let (_server, bench, hooks) = hooks(1, 200).await;
    let jobs = (0..10).map(|_| job(&hooks[0]));
    assert!(bench.work(jobs).await.is_empty());
    let wanted = counts([("BatchGetItem", 2), ("UpdateItem", 1)]);
    assert_eq!(bench.spy.counts(), wanted);
}

#[tokio::test]
async fn a_failure_is_one_message_more() {
    let (_server, bench, hooks) = hooks(1, 500).await;
    assert!(bench.work(hooks.iter().map(job)).await.is_empty());
    let wanted = counts([
        ("BatchGetItem", 2),
        ("UpdateItem", 1),
        ("SendMessageBatch", 1),
    ]);
    assert_eq!(bench.spy.counts(), wanted);
}
