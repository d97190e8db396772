//! The Lambda function `deliver`.

use aws_lambda_events::event::sqs::SqsEvent;
use deliver::Deliver;
use lambda_runtime::{LambdaEvent, service_fn};
use shared::{
    aws, clock, config,
    deliver::{client::DeliveryClient, guard::AddressGuard},
    metrics::Reporter,
    queue::Queue,
    store::Stores,
    telemetry::{self, Format},
};

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::init(Format::Json, "info");
    let tables = config::tables(&[
        config::HOOKS_TABLE,
        config::HOOK_STATE_TABLE,
        config::HOOK_SAMPLES_TABLE,
    ])?;
    let (deliveries, dead_letters) = (config::deliveries_queue()?, config::dead_letters_queue()?);
    let reporter = Reporter::new(&config::metrics_namespace()?, "deliver");
    let client = DeliveryClient::new(AddressGuard::new(config::allow_targets()?))?;
    let schedule = config::retry_schedule()?;
    let aws = aws::sdk_config().await;
    let sqs = aws_sdk_sqs::Client::new(&aws);
    let deliver = Deliver {
        stores: Stores::new(&aws_sdk_dynamodb::Client::new(&aws), &tables),
        deliveries: Queue::new(sqs.clone(), deliveries),
        dead_letters: Queue::new(sqs, dead_letters),
        client,
        schedule,
    };
    let handler = async |event: LambdaEvent<SqsEvent>| {
        let invocation = reporter.begin(clock::now());
        deliver.handle(event.payload, invocation.metrics()).await
    };
    lambda_runtime::run(service_fn(handler)).await
}
