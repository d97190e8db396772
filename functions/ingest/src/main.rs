//! The Lambda function `ingest`.

use ingest::Ingest;
use shared::{
    aws, config,
    queue::Queue,
    store::Stores,
    telemetry::{self, Format},
};

#[tokio::main]
async fn main() -> Result<(), lambda_http::Error> {
    telemetry::init(Format::Json, "info");
    let tables = config::tables(&[
        config::HOOKS_TABLE,
        config::IDENTITIES_TABLE,
        config::CLAIMS_TABLE,
    ])?;
    let queue_url = config::deliveries_queue()?;
    let aws = aws::sdk_config().await;
    let stores = Stores::new(&aws_sdk_dynamodb::Client::new(&aws), &tables);
    let deliveries = Queue::new(aws_sdk_sqs::Client::new(&aws), queue_url);
    lambda_http::run(ingest::service(Ingest::new(stores, deliveries))).await
}
