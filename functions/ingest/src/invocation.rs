//! Invocations by Lambda: the function is called by the API's gateway and by the bus's queue, and tells
//! the two apart by what they send.

use aws_lambda_events::event::sqs::SqsEvent;
use lambda_runtime::{Error, LambdaEvent, Runtime, service_fn};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::{RawValue, to_raw_value};
use shared::{clock, http::Gateway, invocations, metrics::Reporter};

use crate::{Bus, Ingest, service};

/// What only a queue's invocation has.
#[derive(Deserialize)]
struct Invocation {
    #[serde(rename = "Records")]
    records: Option<IgnoredAny>,
}

/// Works invocations for as long as Lambda sends some.
pub async fn run(ingest: Ingest, bus: Bus, reporter: Reporter) -> Result<(), Error> {
    let api = Gateway::new(service(ingest), reporter.clone());
    let handler =
        service_fn(move |event| answer(api.clone(), bus.clone(), reporter.clone(), event));
    invocations::run(Runtime::new(handler)).await
}

async fn answer(
    api: Gateway,
    bus: Bus,
    reporter: Reporter,
    event: LambdaEvent<Box<RawValue>>,
) -> Result<Box<RawValue>, Error> {
    let payload = event.payload.get();
    let invocation: Invocation = serde_json::from_str(payload)?;
    if invocation.records.is_some() {
        let event: SqsEvent = serde_json::from_str(payload)?;
        let invocation = reporter.begin(clock::now());
        let answer = bus.handle(event, invocation.metrics()).await?;
        return Ok(to_raw_value(&answer)?);
    }
    Ok(to_raw_value(&api.answer(event).await?)?)
}
