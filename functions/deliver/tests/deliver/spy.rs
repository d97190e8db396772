//! What the SDKs send: each request's operation and body, in order; and how many items were put.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use aws_sdk_dynamodb::operation::put_item::PutItemOutput;
use aws_sdk_sqs::{
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        interceptors::{
            AfterDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
        },
    },
    error::BoxError,
};
use serde_json::Value;

/// Records the requests of the clients that it is given to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spy {
    sent: Arc<Mutex<Vec<(String, Value)>>>,
    put: Arc<AtomicUsize>,
}

impl Spy {
    /// The bodies of the requests for an operation, oldest first.
    pub(crate) fn requests(&self, operation: &str) -> Vec<Value> {
        let requests = self.sent.lock().unwrap();
        let of_it = requests.iter().filter(|(name, _)| name == operation);
        of_it.map(|(_, body)| body.clone()).collect()
    }

    /// The operations of all requests, oldest first.
    pub(crate) fn operations(&self) -> Vec<String> {
        let requests = self.sent.lock().unwrap();
        requests.iter().map(|(name, _)| name.clone()).collect()
    }

    /// How many items have been put: a condition may have kept others from it.
    pub(crate) fn put(&self) -> usize {
        self.put.load(Ordering::Relaxed)
    }

    /// The delays, in seconds, of all messages sent so far.
    pub(crate) fn delays(&self) -> Vec<u64> {
        let batches = self.requests("SendMessageBatch");
        let entries = batches
            .iter()
            .flat_map(|body| body["Entries"].as_array().unwrap());
        entries
            .map(|entry| entry["DelaySeconds"].as_u64().unwrap_or(0))
            .collect()
    }
}

impl Intercept for Spy {
    fn name(&self) -> &'static str {
        "spy"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request();
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default();
        let body = serde_json::from_slice(request.body().bytes().unwrap_or_default())?;
        let mut sent = self.sent.lock().unwrap();
        sent.push((operation.to_owned(), body));
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let answer = context.output_or_error().ok();
        if answer.is_some_and(|answer| answer.downcast_ref::<PutItemOutput>().is_some()) {
            self.put.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}
