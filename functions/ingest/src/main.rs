//! The Lambda function `ingest`.

use std::process::ExitCode;

use ingest::{Bus, Ingest};
use lambda_runtime::Error;
use shared::{aws, config, metrics::Reporter, queue::Queue, store::Stores, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::logged(Box::pin(run())).await
}

async fn run() -> Result<(), Error> {
    let tables = config::tables(&[
        config::HOOKS_TABLE,
        config::IDENTITIES_TABLE,
        config::CLAIMS_TABLE,
    ])?;
    let reporter = Reporter::new(&config::metrics_namespace()?, "ingest");
    let deliveries_url = config::deliveries_queue()?;
    let dead_events_url = config::dead_events_queue()?;
    let aws = aws::sdk_config().await;
    let stores = Stores::new(&aws_sdk_dynamodb::Client::new(&aws), &tables);
    let sqs = aws_sdk_sqs::Client::new(&aws);
    let ingest = Ingest::new(stores, Queue::new(sqs.clone(), deliveries_url));
    let bus = Bus::new(ingest.clone(), Queue::new(sqs, dead_events_url));
    ingest::run(ingest, bus, reporter).await
}
