//! S5: what an event costs with more hooks in the table, and with more that it is for.

use anyhow::Result;
use bench::payload::EVENT;

use super::burst::{Burst, Run, run};
use crate::{
    Scale,
    figures::{Table, counted, median, number, shown},
    load::ACADEMY,
    serve::Hook,
};

/// Another event of the same academy.
const ANOTHER_EVENT: &str = "cohort_user.added";

/// How many academies the other hooks on the same event belong to.
const OTHER_ACADEMIES: usize = 100;

/// S5. Each run fills a new server.
pub(crate) async fn growth(scale: &Scale) -> Result<Table> {
    let mut table = Table::new([
        "hooks",
        "matching",
        "publish p50, ms",
        "publish p99, ms",
        "deliveries/s",
        "CPU-ms per event",
        "CPU-ms per delivery",
    ]);
    let cases = [
        (10, 1, 2_000),
        (1_000, 1, 2_000),
        (100_000, 1, 2_000),
        (100, 100, 200),
        (10_000, 10_000, 2),
    ];
    for (hooks, matching, events) in cases {
        let burst = Burst {
            events: scale.of(events),
            matching,
            per_request: 1,
        };
        let others = others(hooks - matching);
        let mut runs = Vec::new();
        for _ in 0..scale.runs {
            runs.push(run(burst, &others).await?);
        }
        let of = |figure: fn(&Run) -> f64| median(runs.iter().map(figure));
        // A thousandth of the seconds for a thousand of them.
        let cpu_ms = of(|run| run.cpu_s);
        let counts = [hooks, matching].map(counted);
        table.row(counts.into_iter().chain([
            shown(of(|run| run.publish_p50_ms)),
            shown(of(|run| run.publish_p99_ms)),
            shown(of(|run| run.per_second)),
            shown(cpu_ms * number(matching)),
            shown(cpu_ms),
        ]));
    }
    Ok(table)
}

/// Hooks that do not hear what is published: the one half are the academy's own on another event, the
/// other half other academies' on the same one.
fn others(count: usize) -> Vec<Hook> {
    let other = |position: usize| {
        let (owner, event) = if position.is_multiple_of(2) {
            (ACADEMY.to_owned(), ANOTHER_EVENT)
        } else {
            (format!("academy-{}", position % OTHER_ACADEMIES), EVENT)
        };
        Hook {
            owner,
            event,
            target: format!("https://example.com/{position}"),
        }
    };
    (0..count).map(other).collect()
}
