//! What an event costs in requests: each one is paid for, a million times. Whoever adds one to the way
//! that all events go changes a number here, and what docs/PERFORMANCE.md says of the bill.

use std::collections::BTreeMap;

use ingest::Ingest;
use serde_json::{Value, json};
use shared::{
    queue::Queue,
    store::{Stores, TableNames},
};
use testing::{Api, DOWNTOWN, PLATFORM, Spy};

use crate::{ADDED, Function, event, event_with_id};

/// The requests for publishing this, which becomes so many deliveries.
async fn requests(hooks: u64, body: Value, deliveries: usize) -> BTreeMap<String, usize> {
    let function = Function::start().await;
    let ids = 1..=hooks;
    function.hooks(ids.map(|id| (id, DOWNTOWN, ADDED))).await;
    let (spy, aws) = (Spy::default(), &function.world.aws);
    let stores = Stores::new(&spy.dynamodb(aws), &TableNames::of_stack("test"));
    let queue = Queue::new(spy.sqs(aws), function.queue_url.clone());
    let api = Api::new(ingest::service(Ingest::new(stores, queue))).of(PLATFORM);
    api.post("event", &body).await.expect(202);
    assert_eq!(function.jobs().await.len(), deliveries);
    spy.counts()
}

/// What every event costs, or a list of them at one academy: who publishes (the token; the user with the
/// academy of its name), where it happened, and the hooks of the academy and of the platform. And these
/// beside.
fn reads_and<const N: usize>(more: [(&str, usize); N]) -> BTreeMap<String, usize> {
    let reads = [("GetItem", 2), ("BatchGetItem", 1), ("Query", 2)];
    let wanted = reads.into_iter().chain(more);
    wanted
        .map(|(operation, count)| (operation.to_owned(), count))
        .collect()
}

#[tokio::test]
async fn an_event_for_up_to_ten_hooks_is_one_message_batch() {
    for hooks in [1, 10] {
        let deliveries = usize::try_from(hooks).unwrap();
        let requests = requests(hooks, event(ADDED, DOWNTOWN), deliveries).await;
        assert_eq!(requests, reads_and([("SendMessageBatch", 1)]));
    }
}

#[tokio::test]
async fn an_event_that_nobody_hears_is_not_sent() {
    let requests = requests(0, event(ADDED, DOWNTOWN), 0).await;
    assert_eq!(requests, reads_and([]));
}

#[tokio::test]
async fn an_id_is_two_writes_more() {
    let requests = requests(1, event_with_id("e-1"), 1).await;
    let wanted = reads_and([("SendMessageBatch", 1), ("PutItem", 1), ("UpdateItem", 1)]);
    assert_eq!(requests, wanted);
}

#[tokio::test]
async fn a_list_reads_what_one_event_does_and_fills_its_batches() {
    let events: Vec<Value> = (0..20).map(|_| event(ADDED, DOWNTOWN)).collect();
    let requests = requests(2, json!(events), 40).await;
    assert_eq!(requests, reads_and([("SendMessageBatch", 4)]));
}
