//! The Lambda function `manage`.

use std::process::ExitCode;

use lambda_runtime::{Error, Runtime, service_fn};
use manage::Manage;
use shared::{
    aws, config,
    deliver::{client::DeliveryClient, guard::AddressGuard},
    http::Gateway,
    invocations,
    metrics::Reporter,
    queue::Queue,
    store::Stores,
    telemetry,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::logged(Box::pin(run())).await
}

async fn run() -> Result<(), Error> {
    let tables = config::tables(&[
        config::HOOKS_TABLE,
        config::HOOK_STATE_TABLE,
        config::HOOK_SAMPLES_TABLE,
        config::HOOK_ERRORS_TABLE,
        config::IDENTITIES_TABLE,
    ])?;
    let reporter = Reporter::new(&config::metrics_namespace()?, "manage");
    let deliveries_url = config::deliveries_queue()?;
    let guard = AddressGuard::new(config::allow_targets()?);
    let client = DeliveryClient::new(guard.clone())?;
    let aws = aws::sdk_config().await;
    let stores = Stores::new(&aws_sdk_dynamodb::Client::new(&aws), &tables);
    let deliveries = Queue::new(aws_sdk_sqs::Client::new(&aws), deliveries_url);
    let manage = Manage::new(stores, guard, client, deliveries);
    let api = Gateway::new(manage::service(manage), reporter);
    invocations::run(Runtime::new(service_fn(|event| api.answer(event)))).await
}
