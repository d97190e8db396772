//! The Lambda function `errors`.

use std::process::ExitCode;

use aws_lambda_events::event::sqs::SqsEvent;
use errors::Errors;
use lambda_runtime::{LambdaEvent, Runtime, service_fn};
use shared::{
    aws, clock, config, deadline::Deadline, invocations, metrics::Reporter, store::Stores,
    telemetry,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::logged(Box::pin(run())).await
}

async fn run() -> Result<(), lambda_runtime::Error> {
    let tables = config::tables(&[config::HOOK_ERRORS_TABLE])?;
    let reporter = Reporter::new(&config::metrics_namespace()?, "errors");
    let retention = config::failed_delivery_retention()?;
    let dynamodb = aws_sdk_dynamodb::Client::new(&aws::sdk_config().await);
    let table = Stores::new(&dynamodb, &tables).errors;
    let errors = Errors::new(table.keeping(retention));
    let handler = async |event: LambdaEvent<SqsEvent>| {
        let now = clock::now();
        let invocation = reporter.begin(now);
        let deadline = Deadline::at(event.context.deadline(), now);
        let handling = errors.handle(event.payload, deadline, invocation.metrics());
        handling.await
    };
    invocations::run(Runtime::new(service_fn(handler))).await
}
