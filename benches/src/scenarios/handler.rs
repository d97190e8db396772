//! The deliver handler alone: its own binary gets full batches, and the tables, the queues and the
//! endpoint are in another process. What is counted is the handler's process: reading the batch, the
//! requests to the tables, the calls, and its log.

use anyhow::{Result, ensure};

use shared::model::QueueMessage;

use super::PATIENCE;
use crate::{
    Scale,
    figures::{Table, median, number, shown},
    lambda::{Deployment, Function, Services, sqs_event},
    receiver::{Arrivals, Endpoint},
};

/// The messages of a batch.
const BATCH: usize = 10;

/// Batches before the first that counts, in which connections are opened and samples are kept.
const WARM_UP: usize = 10;

/// The handler's processor time for a delivery.
pub(crate) async fn handler(scale: &Scale) -> Result<Table> {
    let mut table = Table::new(["a full batch", "CPU-ms per delivery", "ms per batch"]);
    for (name, hooks) in [("for ten hooks", BATCH), ("for one hook", 1)] {
        let mut runs = Vec::new();
        for _ in 0..scale.runs {
            runs.push(run(hooks, scale.of(300)).await?);
        }
        let cpu_ms = median(runs.iter().map(|(cpu_ms, _)| *cpu_ms));
        let batch_ms = median(runs.iter().map(|(_, batch_ms)| *batch_ms));
        table.row([name.to_owned(), shown(cpu_ms), shown(batch_ms)]);
    }
    Ok(table)
}

/// The processor time for a delivery and the time for a batch, both in milliseconds.
async fn run(hooks: usize, batches: usize) -> Result<(f64, f64)> {
    let events = (WARM_UP + batches) * BATCH;
    let arrivals = Arrivals::new(1, events);
    let endpoint = Endpoint::answering(&arrivals).await?;
    let deployment = Deployment::start((0..hooks).map(|_| endpoint.target(0))).await?;
    let environment = deployment.environment(&Services::of(&deployment), &[endpoint.addr]);
    let mut deliver = Function::start("deliver", &environment).await?;
    let mut batches_ms = Vec::with_capacity(batches);
    let mut cpu_s = 0.0;
    for batch in 0..WARM_UP + batches {
        if batch == WARM_UP {
            cpu_s = deliver.process.cpu_s()?;
        }
        let events = batch * BATCH..(batch + 1) * BATCH;
        let jobs = events.map(|event| {
            let job = deployment.job(event, event % hooks)?;
            anyhow::Ok(QueueMessage::Delivery(job).encode()?)
        });
        let event = sqs_event(jobs.collect::<Result<Vec<_>>>()?);
        let took = deliver.work(event).await?;
        if batch >= WARM_UP {
            batches_ms.push(took.as_secs_f64() * 1e3);
        }
    }
    let cpu_s = deliver.process.cpu_s()? - cpu_s;
    arrivals.wait_for(events, PATIENCE).await;
    let arrived = arrivals.at_first(1).count();
    ensure!(arrived == events, "{arrived} of {events} have arrived");
    let cpu_ms = cpu_s * 1e3 / number(batches * BATCH);
    Ok((cpu_ms, median(batches_ms)))
}
