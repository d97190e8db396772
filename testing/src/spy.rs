//! What the SDKs send: each request's operation and body, in order; and how many items were put.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
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
use emulator::LocalAws;
use serde_json::Value;

/// Records the requests of its clients.
#[derive(Clone, Debug, Default)]
pub struct Spy {
    sent: Arc<Mutex<Vec<(String, Value)>>>,
    put: Arc<AtomicUsize>,
}

impl Spy {
    /// A client of the tables whose requests it records.
    pub fn dynamodb(&self, aws: &LocalAws) -> aws_sdk_dynamodb::Client {
        let config = aws.dynamodb().config().to_builder();
        aws_sdk_dynamodb::Client::from_conf(config.interceptor(self.clone()).build())
    }

    /// A client of the queues whose requests it records.
    pub fn sqs(&self, aws: &LocalAws) -> aws_sdk_sqs::Client {
        let config = aws.sqs().config().to_builder();
        aws_sdk_sqs::Client::from_conf(config.interceptor(self.clone()).build())
    }

    /// How many requests there were for each operation.
    pub fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for operation in self.operations() {
            *counts.entry(operation).or_default() += 1;
        }
        counts
    }

    /// Forgets the requests so far.
    pub fn forget(&self) {
        self.sent.lock().unwrap().clear();
    }

    /// The bodies of the requests for an operation, oldest first.
    pub fn requests(&self, operation: &str) -> Vec<Value> {
        let requests = self.sent.lock().unwrap();
        let of_it = requests.iter().filter(|(name, _)| name == operation);
        of_it.map(|(_, body)| body.clone()).collect()
    }

    /// The operations of all requests, oldest first.
    pub fn operations(&self) -> Vec<String> {
        let requests = self.sent.lock().unwrap();
        requests.iter().map(|(name, _)| name.clone()).collect()
    }

    /// How many items have been put: a condition may have kept others from it.
    pub fn put(&self) -> usize {
        self.put.load(Ordering::Relaxed)
    }

    /// The delays, in seconds, of all messages sent so far.
    pub fn delays(&self) -> Vec<u64> {
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
