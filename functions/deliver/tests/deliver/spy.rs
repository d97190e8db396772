//! What the SDKs send: each request's operation and body, in order.

use std::sync::{Arc, Mutex};

use aws_sdk_sqs::{
    config::{
        ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeTransmitInterceptorContextRef,
    },
    error::BoxError,
};
use serde_json::Value;

/// Records the requests of the clients that it is given to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spy(Arc<Mutex<Vec<(String, Value)>>>);

impl Spy {
    /// The bodies of the requests for an operation, oldest first.
    pub(crate) fn requests(&self, operation: &str) -> Vec<Value> {
        let requests = self.0.lock().unwrap();
        let of_it = requests.iter().filter(|(name, _)| name == operation);
        of_it.map(|(_, body)| body.clone()).collect()
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
        self.0.lock().unwrap().push((operation.to_owned(), body));
        Ok(())
    }
}
