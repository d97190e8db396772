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

use crate::{ADDED, Function, LEAD, event, event_with_id};

/// The requests for publishing this, which becomes so many deliveries.
async fn requests(hooks: u64, body: Value, deliveries: usize) -> BTreeMap<String, usize> {
    let function = Function::start().await;
    let ids = 1..=hooks;
    function.hooks(ids.map(|id| (id, DOWNTOWN, ADDED))).await;
    let requests = requests_of(&function, PLATFORM, body, 202).await;
    assert_eq!(function.jobs().await.len(), deliveries);
    requests
}

/// The function, whose requests are watched.
fn watched(function: &Function) -> (Spy, Ingest) {
    let (spy, aws) = (Spy::default(), &function.world.aws);
    let stores = Stores::new(&spy.dynamodb(aws), &TableNames::of_stack("test"));
    let queue = Queue::new(spy.sqs(aws), function.queue_url.clone());
    (spy, Ingest::new(stores, queue))
}

/// The requests that a caller's body leads to, which is answered with this status.
async fn requests_of(
    function: &Function,
    caller: &str,
    body: Value,
    status: u16,
) -> BTreeMap<String, usize> {
    let (spy, ingest) = watched(function);
    let api = Api::new(ingest::service(ingest)).of(caller);
    api.post("event", &body).await.expect(status);
    spy.counts()
}

/// What every event costs, or a list of them at one academy: whose token it is, the user with the academy that
/// it happened at, and the hooks of the academy and of the platform. And these beside.
fn reads_and<const N: usize>(more: [(&str, usize); N]) -> BTreeMap<String, usize> {
    let reads = [("GetItem", 1), ("BatchGetItem", 1), ("Query", 2)];
    counts(reads.into_iter().chain(more))
}

fn counts<'a>(counts: impl IntoIterator<Item = (&'a str, usize)>) -> BTreeMap<String, usize> {
    let counts = counts.into_iter();
    counts
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

#[tokio::test]
async fn an_academy_that_is_named_by_its_number_costs_the_same() {
    let requests = requests(1, event(ADDED, 1), 1).await;
    assert_eq!(requests, reads_and([("SendMessageBatch", 1)]));
}

#[tokio::test]
async fn a_hundred_academies_are_read_together_once_the_publisher_is_known() {
    let function = Function::start().await;
    let academies = (0..100).map(|n| event(ADDED, format!("academy-{n}")));
    let events: Vec<Value> = academies.collect();
    let requests = requests_of(&function, PLATFORM, json!(events), 202).await;
    let wanted = [("GetItem", 1), ("BatchGetItem", 2), ("Query", 101)];
    assert_eq!(requests, counts(wanted));
}

#[tokio::test]
async fn who_may_not_publish_costs_little_whatever_is_sent() {
    let function = Function::start().await;
    let events = |count: usize| -> Vec<Value> {
        let academies = (0..count).map(|n| format!("academy-{n}"));
        let names = [ADDED, LEAD].into_iter().cycle();
        names
            .zip(academies)
            .map(|(name, academy)| event(name, academy))
            .collect()
    };
    let who = counts([("GetItem", 1), ("BatchGetItem", 1)]);
    // The last of these is more than a request may have.
    for count in [5, 100, 101] {
        let refused = requests_of(&function, DOWNTOWN, json!(events(count)), 403).await;
        assert_eq!(refused, who, "{count}");
    }
    let long = json!({"event": ADDED, "academy": DOWNTOWN, "payload": "x".repeat(1024 * 1024)});
    for body in [json!("no event"), long] {
        let refused = requests_of(&function, DOWNTOWN, body, 403).await;
        assert_eq!(refused, who);
    }
    // Few things are looked up together with who it is, so that nobody waits for one after the other.
    let refused = requests_of(&function, DOWNTOWN, json!(events(4)), 403).await;
    let queries = counts([("Query", 6)]);
    assert_eq!(refused, who.into_iter().chain(queries).collect());
}
