//! The Lambda function `deliver`.

use std::process::ExitCode;

use aws_lambda_events::event::sqs::SqsEvent;
use deliver::Deliver;
use lambda_runtime::{LambdaEvent, Runtime, service_fn};
use shared::{
    aws, clock, config,
    deadline::Deadline,
    deliver::{client::DeliveryClient, guard::AddressGuard},
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

async fn run() -> Result<(), lambda_runtime::Error> {
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
        let now = clock::now();
        let invocation = reporter.begin(now);
        let deadline = Deadline::at(event.context.deadline(), now);
        let handling = deliver.handle(event.payload, deadline, invocation.metrics());
        handling.await
    };
    invocations::run(Runtime::new(service_fn(handler))).await
}
