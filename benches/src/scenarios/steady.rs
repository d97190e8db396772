//! S4: a steady rate, and how long a delivery takes from its acceptance to its arrival.

use anyhow::Result;

use super::{PATIENCE, latencies};
use crate::{
    Scale,
    figures::{Table, counted, shown},
    load::Publisher,
    receiver::{Arrivals, Endpoint},
    serve::{Hook, Serve},
};

const PER_SECOND: u32 = 50;

/// S4.
pub(crate) async fn steady(scale: &Scale) -> Result<Table> {
    let seconds = scale.seconds(60);
    let events = usize::try_from(PER_SECOND * seconds)?;
    let arrivals = Arrivals::new(1, events);
    let endpoint = Endpoint::answering(&arrivals).await?;
    let hook = Hook::hearing(endpoint.target(0));
    let serve = Serve::start(&[hook], &[endpoint.addr])?;
    let requests = Publisher::new(&serve.api)?
        .steadily(PER_SECOND, seconds)
        .await?;
    arrivals.wait_for(events, PATIENCE).await;
    drop(serve);

    let mut table = Table::new(["from", "received", "p50, ms", "p99, ms", "max, ms"]);
    for (name, times) in [
        (
            "accepted",
            latencies(&requests, arrivals.at_first(1), |request| request.accepted),
        ),
        (
            "due",
            latencies(&requests, arrivals.at_first(1), |request| request.due),
        ),
    ] {
        let figures = [0.5, 0.99, 1.0].map(|part| shown(times.quantile_ms(part)));
        let received = format!("{} of {}", counted(times.len()), counted(events));
        table.row([name.to_owned(), received].into_iter().chain(figures));
    }
    Ok(table)
}
