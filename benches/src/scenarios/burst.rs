//! S1 and S2: so many events, as fast as they are taken; and the same number of POSTs by a client that
//! does nothing else.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use bench::payload::payload;
use reqwest::Client;
use tokio::task::JoinSet;

use super::PATIENCE;
use crate::{
    Scale,
    figures::{Table, Times, median, number, shown},
    load::Publisher,
    receiver::{Arrivals, Endpoint},
    serve::{Hook, Serve},
};

/// On how many connections events are published.
const CONNECTIONS: usize = 16;

/// A number of events, and how they are published.
#[derive(Clone, Copy)]
pub(super) struct Burst {
    pub(super) events: usize,
    /// The hooks that hear each.
    pub(super) matching: usize,
    /// How many events are in one request.
    pub(super) per_request: usize,
}

/// What one run came to.
pub(super) struct Run {
    pub(super) per_second: f64,
    pub(super) publish_p50_ms: f64,
    pub(super) publish_p99_ms: f64,
    /// Of the server's process, for 1,000 deliveries.
    pub(super) cpu_s: f64,
    pub(super) peak_mb: f64,
    /// What the ceiling comes to at as many connections as the server has opened.
    pub(super) ceiling_per_second: f64,
}

/// S1: an event for one hook, single and in lists.
pub(crate) async fn throughput(scale: &Scale) -> Result<Table> {
    let events = scale.of(5_000);
    let mut table = table();
    for (name, per_request) in [("single", 1), ("lists of 100", 100)] {
        let burst = Burst {
            events,
            matching: 1,
            per_request,
        };
        table.row(row(name, &runs(burst, scale).await?));
    }
    Ok(table)
}

/// S2: an event for a hundred hooks.
pub(crate) async fn fan_out(scale: &Scale) -> Result<Table> {
    let burst = Burst {
        events: scale.of(200),
        matching: 100,
        per_request: 1,
    };
    let mut table = table();
    table.row(row("to 100 hooks", &runs(burst, scale).await?));
    Ok(table)
}

fn table() -> Table {
    Table::new([
        "published",
        "deliveries/s",
        "publish p50, ms",
        "publish p99, ms",
        "CPU-s per 1,000",
        "peak RSS, MB",
        "ceiling/s",
        "of the ceiling",
    ])
}

fn row(name: &str, runs: &[Run]) -> Vec<String> {
    let of = |figure: fn(&Run) -> f64| median(runs.iter().map(figure));
    let ratio = of(|run| run.per_second / run.ceiling_per_second);
    let figures = [
        of(|run| run.per_second),
        of(|run| run.publish_p50_ms),
        of(|run| run.publish_p99_ms),
        of(|run| run.cpu_s),
        of(|run| run.peak_mb),
        of(|run| run.ceiling_per_second),
    ];
    let name = std::iter::once(name.to_owned());
    let cells = name.chain(figures.map(shown));
    cells.chain([format!("{:.1} %", 100.0 * ratio)]).collect()
}

async fn runs(burst: Burst, scale: &Scale) -> Result<Vec<Run>> {
    let mut runs = Vec::new();
    for _ in 0..scale.runs {
        runs.push(run(burst, &[]).await?);
    }
    Ok(runs)
}

/// Publishes a burst to a server that has these hooks beside those that hear it.
pub(super) async fn run(burst: Burst, others: &[Hook]) -> Result<Run> {
    let Burst {
        events,
        matching,
        per_request,
    } = burst;
    let deliveries = events * matching;
    let arrivals = Arrivals::new(matching, events);
    let endpoint = Endpoint::answering(&arrivals).await?;
    let hearing = (0..matching).map(|hook| Hook::hearing(endpoint.target(hook)));
    let hooks: Vec<Hook> = hearing.chain(others.iter().cloned()).collect();
    let serve = Serve::start(&hooks, &[endpoint.addr])?;
    let publisher = Publisher::new(&serve.api)?;

    let cpu_s = serve.process.cpu_s()?;
    let requests = publisher
        .as_fast_as_taken(events, per_request, CONNECTIONS)
        .await?;
    arrivals.wait_for(deliveries, PATIENCE).await;
    let cpu_s = serve.process.cpu_s()? - cpu_s;
    let peak_mb = serve.process.peak_mb()?;
    drop(serve);

    let arrived: Vec<Instant> = arrivals.at_first(matching).map(|(_, at)| at).collect();
    ensure!(
        arrived.len() == deliveries,
        "{} of {deliveries} deliveries have arrived",
        arrived.len()
    );
    let first = requests.iter().map(|request| request.accepted).min();
    let last = arrived.into_iter().max();
    let (first, last) = first.zip(last).context("nothing was published")?;
    let publishing: Times = requests
        .iter()
        .map(|request| request.accepted - request.sent)
        .collect();
    Ok(Run {
        per_second: number(deliveries) / last.saturating_duration_since(first).as_secs_f64(),
        publish_p50_ms: publishing.quantile_ms(0.5),
        publish_p99_ms: publishing.quantile_ms(0.99),
        cpu_s: cpu_s * 1e3 / number(deliveries),
        peak_mb,
        ceiling_per_second: ceiling(&endpoint, deliveries).await?,
    })
}

/// How many POSTs of the same payloads a client makes in a second that does nothing else, on as many
/// connections as the server has opened to the same endpoint.
async fn ceiling(endpoint: &Endpoint, requests: usize) -> Result<f64> {
    let client = Client::builder().no_proxy().build()?;
    let bodies = (0..requests).map(payload).collect::<Result<Vec<_>>>()?;
    let (bodies, next) = (Arc::new(bodies), Arc::<AtomicUsize>::default());
    let url = endpoint.target(0);
    let begin = Instant::now();
    let mut senders = JoinSet::new();
    for _ in 0..endpoint.connections() {
        let (client, url) = (client.clone(), url.clone());
        let (bodies, next) = (Arc::clone(&bodies), Arc::clone(&next));
        senders.spawn(async move {
            while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
                let request = client.post(&url).body(body.clone());
                let answer = request.send().await?.error_for_status()?;
                answer.bytes().await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(sent) = senders.join_next().await {
        sent??;
    }
    Ok(number(requests) / begin.elapsed().as_secs_f64())
}
