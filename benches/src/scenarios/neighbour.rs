//! S3: ten hooks hear each event, and one of their endpoints hangs. What the other nine notice.

use std::time::Duration;

use anyhow::Result;

use super::latencies;
use crate::{
    Scale,
    figures::{Table, Times, counted, shown},
    load::Publisher,
    receiver::{Arrivals, Endpoint},
    serve::{Hook, Serve},
};

/// The hooks whose endpoints answer at once.
const WELL: usize = 9;

/// How long the other one takes: as long as an attempt may.
const HANG: Duration = Duration::from_secs(30);

/// How long it is watched from the first event on.
const WATCHED_S: u32 = 90;

/// S3: at each rate without the endpoint that hangs, and with it.
pub(crate) async fn neighbour(scale: &Scale) -> Result<Table> {
    let mut table = Table::new([
        "events/s",
        "received by the nine",
        "p50, ms",
        "p99, ms",
        "max, ms",
        "p99 from due, ms",
        "p99 against none hangs",
    ]);
    for per_second in [10, 50] {
        let mut alone = f64::NAN;
        for hangs in [false, true] {
            let (accepted, due, expected) = run(scale, per_second, hangs).await?;
            let p99 = accepted.quantile_ms(0.99);
            let ratio = if hangs {
                format!("{:.2} ×", p99 / alone)
            } else {
                alone = p99;
                String::new()
            };
            let hung = if hangs { "one hangs" } else { "none hangs" };
            table.row([
                format!("{per_second}, {hung}"),
                format!("{} of {}", counted(accepted.len()), counted(expected)),
                shown(accepted.quantile_ms(0.5)),
                shown(p99),
                shown(accepted.quantile_ms(1.0)),
                shown(due.quantile_ms(0.99)),
                ratio,
            ]);
        }
    }
    Ok(table)
}

/// The times of the nine from the acceptance of each event and from the moment at which it was due,
/// and how many there ought to be.
async fn run(scale: &Scale, per_second: u32, hangs: bool) -> Result<(Times, Times, usize)> {
    let seconds = scale.seconds(30);
    let events = usize::try_from(per_second * seconds)?;
    let arrivals = Arrivals::new(WELL + 1, events);
    let mut endpoints = Vec::new();
    for _ in 0..WELL {
        endpoints.push(Endpoint::answering(&arrivals).await?);
    }
    endpoints.push(if hangs {
        Endpoint::hanging(HANG).await?
    } else {
        Endpoint::answering(&arrivals).await?
    });
    let hooks = endpoints.iter().enumerate();
    let hooks: Vec<Hook> = hooks
        .map(|(hook, endpoint)| Hook::hearing(endpoint.target(hook)))
        .collect();
    let allowed: Vec<_> = endpoints.iter().map(|endpoint| endpoint.addr).collect();
    let serve = Serve::start(&hooks, &allowed)?;
    let publisher = Publisher::new(&serve.api)?;

    let requests = publisher.steadily(per_second, seconds).await?;
    let answering = if hangs { WELL } else { WELL + 1 };
    let patience = Duration::from_secs(u64::from(WATCHED_S - seconds));
    arrivals.wait_for(answering * events, patience).await;
    drop(serve);

    let accepted = latencies(&requests, arrivals.at_first(WELL), |request| {
        request.accepted
    });
    let due = latencies(&requests, arrivals.at_first(WELL), |request| request.due);
    Ok((accepted, due, WELL * events))
}
