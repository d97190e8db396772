//! The Lambda function `errors`.

use aws_lambda_events::event::sqs::SqsEvent;
use errors::Errors;
use lambda_runtime::{LambdaEvent, service_fn};
use shared::{
    aws, clock, config,
    metrics::Reporter,
    store::Stores,
    telemetry::{self, Format},
};

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::init(Format::Json, "info");
    let tables = config::tables(&[config::HOOK_ERRORS_TABLE])?;
    let reporter = Reporter::new(&config::metrics_namespace()?, "errors");
    let retention = config::failed_delivery_retention()?;
    let dynamodb = aws_sdk_dynamodb::Client::new(&aws::sdk_config().await);
    let table = Stores::new(&dynamodb, &tables).errors;
    let errors = Errors::new(table.keeping(retention));
    let handler = async |event: LambdaEvent<SqsEvent>| {
        let invocation = reporter.begin(clock::now());
        errors.handle(event.payload, invocation.metrics()).await
    };
    lambda_runtime::run(service_fn(handler)).await
}
