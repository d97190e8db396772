//! What a delivery leaves as its hook's sample, how often, and what that costs.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use rstest::rstest;
use serde_json::value::RawValue;
use shared::{
    clock,
    model::{DeliveryJob, Hook},
};
use uuid::Uuid;
use wiremock::MockServer;

use super::{
    bench::{Bench, job},
    receiver::{answering, closed, requests, url},
};

const OTHER_EVENT: &str = "cohort_user.added";

const NAMES: &str = "{\"id\": 12345, \"name\": \"Jane\", \"price\": 299.00}";
const MASKED_NAMES: &str = r#"{"id":12345,"name":"J***","price":299.00}"#;

/// A job with this payload.
fn carrying(hook: &Hook, payload: &str) -> DeliveryJob {
    DeliveryJob {
        payload: RawValue::from_string(payload.to_owned()).unwrap().into(),
        ..job(hook)
    }
}

async fn endpoint() -> (MockServer, Bench) {
    let server = answering(200).await;
    let bench = Bench::new(&[*server.address()], "5s").await;
    (server, bench)
}

impl Bench {
    /// The sample of a hook, as it is now.
    async fn sample(&self, hook: &Hook) -> Option<String> {
        let hook = self.stores.hooks.get(hook.id).await.unwrap().unwrap();
        self.stores.samples.get(&hook).await.unwrap()
    }

    /// How many writes of samples have been tried, and how many made.
    fn samplings(&self) -> (usize, usize) {
        let tried = self.spy.requests("PutItem").len();
        (tried, self.spy.put())
    }

    /// Makes a hook's sample so much older: the row, or what the state says of it.
    async fn age(&self, table: &str, hook: &Hook, by: Duration) {
        let ms = i64::try_from(by.as_millis()).unwrap();
        let request = self.aws.dynamodb().update_item().table_name(table);
        request
            .key("hook_id", AttributeValue::N(hook.id.to_string()))
            .update_expression("SET sampled_ms = sampled_ms - :ms")
            .expression_attribute_values(":ms", AttributeValue::N(ms.to_string()))
            .send()
            .await
            .unwrap();
    }

    /// Takes from a hook's state when it had its sample.
    async fn forget_when(&self, hook: &Hook) {
        let request = self.aws.dynamodb().update_item();
        request
            .table_name("test-hook-state")
            .key("hook_id", AttributeValue::N(hook.id.to_string()))
            .update_expression("REMOVE sampled_ms")
            .send()
            .await
            .unwrap();
    }

    async fn sample_rows(&self) -> i32 {
        let request = self.aws.dynamodb().scan().table_name("test-hook-samples");
        request.send().await.unwrap().count
    }
}

#[rstest]
#[case::arrived(Some(201))]
#[case::to_be_tried_again(Some(503))]
#[case::given_up(Some(410))]
#[case::no_answer(None)]
#[tokio::test]
async fn a_delivery_leaves_its_payload_masked_whatever_its_outcome(#[case] status: Option<u16>) {
    let server = answering(status.unwrap_or(200)).await;
    let nobody = closed().await;
    let bench = Bench::new(&[*server.address(), nobody], "5s").await;
    let target = status.map_or(url(nobody), |_| server.uri());
    let hook = bench.hook(&target).await;
    assert_eq!(bench.sample(&hook).await, None);
    assert!(bench.work([carrying(&hook, NAMES)]).await.is_empty());
    assert_eq!(bench.sample(&hook).await.as_deref(), Some(MASKED_NAMES));
    // What is sent is not masked.
    for request in requests(&server).await {
        assert_eq!(request.body, NAMES.as_bytes());
    }
}

#[tokio::test]
async fn while_the_sample_is_young_a_delivery_costs_no_request_more() {
    let (server, bench) = endpoint().await;
    let hook = bench.hook(&server.uri()).await;
    assert!(bench.work([carrying(&hook, NAMES)]).await.is_empty());
    let before = bench.spy.operations();
    let other = r#"{"name":"Bob"}"#;
    assert!(bench.work([carrying(&hook, other)]).await.is_empty());
    let mut more = bench.spy.operations().split_off(before.len());
    more.sort_unstable();
    assert_eq!(more, ["BatchGetItem", "BatchGetItem", "UpdateItem"]);
    assert_eq!(bench.sample(&hook).await.as_deref(), Some(MASKED_NAMES));
    assert_eq!(bench.samplings(), (1, 1));
}

#[tokio::test]
async fn after_an_hour_the_next_delivery_leaves_its_own() {
    let (server, bench) = endpoint().await;
    let hook = bench.hook(&server.uri()).await;
    assert!(bench.work([carrying(&hook, NAMES)]).await.is_empty());
    let other = || carrying(&hook, r#"{"name":"Bob"}"#);
    for (minutes, samplings, sample) in [
        (59, (1, 1), MASKED_NAMES),
        (1, (2, 2), r#"{"name":"B***"}"#),
    ] {
        for table in ["test-hook-state", "test-hook-samples"] {
            let by = Duration::from_mins(minutes);
            bench.age(table, &hook, by).await;
        }
        assert!(bench.work([other()]).await.is_empty());
        assert_eq!(bench.samplings(), samplings, "{minutes}");
        assert_eq!(bench.sample(&hook).await.as_deref(), Some(sample));
    }
    assert!(bench.work([other()]).await.is_empty());
    assert_eq!(bench.samplings(), (2, 2));
}

#[tokio::test]
async fn of_workers_at_the_same_time_one_leaves_a_sample() {
    let (server, bench) = endpoint().await;
    let hook = bench.hook(&server.uri()).await;
    let batches = || async {
        let batches = (0..8).map(|_| bench.work((0..3).map(|_| job(&hook))));
        assert!(join_all(batches).await.concat().is_empty());
    };
    batches().await;
    let (tried, made) = bench.samplings();
    assert!(tried >= 1);
    assert_eq!(made, 1);
    // From now on the state says so to everybody.
    batches().await;
    assert_eq!(bench.samplings(), (tried, 1));

    for table in ["test-hook-state", "test-hook-samples"] {
        bench.age(table, &hook, Duration::from_hours(1)).await;
    }
    batches().await;
    assert_eq!(bench.samplings().1, 2);
    assert_eq!(bench.stats(&hook).await.total_calls, 72);
}

#[tokio::test]
async fn when_the_state_does_not_know_of_a_young_sample_it_is_left_and_the_state_told() {
    let (server, bench) = endpoint().await;
    let hook = bench.hook(&server.uri()).await;
    assert!(bench.work([carrying(&hook, NAMES)]).await.is_empty());
    // As after a worker that was killed between its two writes.
    bench.forget_when(&hook).await;
    for _ in 0..2 {
        assert!(bench.work([job(&hook)]).await.is_empty());
        assert_eq!(bench.samplings(), (2, 1));
    }
    assert_eq!(bench.sample(&hook).await.as_deref(), Some(MASKED_NAMES));
}

#[tokio::test]
async fn the_sample_is_the_newest_payload_of_the_round() {
    let (server, bench) = endpoint().await;
    let hook = bench.hook(&server.uri()).await;
    let now = clock::now();
    let jobs = [(3, 1), (1, 2), (1, 3), (2, 4)].map(|(seconds, n)| DeliveryJob {
        accepted_at: now - Duration::from_secs(seconds),
        delivery_id: Uuid::from_u128(n),
        ..carrying(&hook, &format!(r#"{{"n":{n}}}"#))
    });
    assert!(bench.work(jobs).await.is_empty());
    assert_eq!(bench.sample(&hook).await.as_deref(), Some(r#"{"n":3}"#));
    assert_eq!(bench.samplings(), (1, 1));
}

#[tokio::test]
async fn another_event_forgets_the_sample_and_gets_its_own_at_once() {
    let (server, bench) = endpoint().await;
    let hook = bench.hook(&server.uri()).await;
    assert!(bench.work([carrying(&hook, NAMES)]).await.is_empty());
    let mut edited = hook.clone();
    bench
        .change(&hook, |hook| {
            hook.subscription.event = OTHER_EVENT.to_owned();
            hook.updated_at = clock::now();
            edited = hook.clone();
        })
        .await;
    assert_eq!(bench.sample(&edited).await, None);
    let of_the_other = DeliveryJob {
        event: OTHER_EVENT.to_owned(),
        ..carrying(&edited, r#"{"n":1}"#)
    };
    assert!(bench.work([of_the_other]).await.is_empty());
    assert_eq!(bench.sample(&edited).await.as_deref(), Some(r#"{"n":1}"#));

    // An edit that leaves the event alone leaves the sample.
    bench
        .change(&edited, |hook| {
            hook.subscription.service_id = Some("v2".to_owned());
            hook.updated_at = clock::now();
        })
        .await;
    assert_eq!(bench.sample(&edited).await.as_deref(), Some(r#"{"n":1}"#));
    assert_eq!(bench.sample_rows().await, 1);
}

#[tokio::test]
async fn a_hook_deleted_during_its_attempt_leaves_no_sample() {
    let (listener, addr) = super::receiver::listener().await;
    let bench = Bench::new(&[addr], "").await;
    let hook = bench.hook(&url(addr)).await;
    let endpoint = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        super::receiver::read_request(&mut stream).await;
        assert!(bench.stores.hooks.delete(&hook).await.unwrap());
        // Closed without an answer.
    };
    let (failed, ()) = tokio::join!(bench.work([job(&hook)]), endpoint);
    assert!(failed.is_empty());
    assert_eq!(bench.samplings(), (1, 1));
    assert_eq!(bench.sample_rows().await, 0);
}

#[tokio::test]
async fn a_payload_that_is_no_sample_harms_no_delivery() {
    let (server, bench) = endpoint().await;
    let hook = bench.hook(&server.uri()).await;
    // Too large only when it is masked.
    let grows = format!(r#"{{"a":[{}{{}}]}}"#, r#"{"zip":""},"#.repeat(30_000));
    let deep = format!("{}{}", r#"{"a":"#.repeat(300) + "{}", "}".repeat(300));
    let payloads = [
        "[]",
        "{}",
        "[{\"a\":1}]",
        "7",
        r#"{"name":"\ud800"}"#,
        &grows,
        &deep,
    ];
    for payload in payloads {
        assert!(bench.work([carrying(&hook, payload)]).await.is_empty());
    }
    assert_eq!(requests(&server).await.len(), payloads.len());
    assert_eq!(bench.stats(&hook).await.total_calls, 7);
    assert_eq!(bench.samplings(), (0, 0));
    assert_eq!(bench.sample(&hook).await, None);
    bench.assert_nothing_queued().await;

    // The next that is one is kept.
    assert!(bench.work([carrying(&hook, NAMES)]).await.is_empty());
    assert_eq!(bench.sample(&hook).await.as_deref(), Some(MASKED_NAMES));
}

#[tokio::test]
async fn a_sample_that_cannot_be_written_harms_no_delivery() {
    let (server, bench) = endpoint().await;
    let hook = bench.hook(&server.uri()).await;
    let table = bench.aws.dynamodb().delete_table();
    let deleted = table.table_name("test-hook-samples").send().await;
    deleted.unwrap();
    for calls in 1..=2 {
        assert!(bench.work([job(&hook)]).await.is_empty());
        assert_eq!(bench.stats(&hook).await.total_calls, calls);
        // Tried again each time.
        assert_eq!(u64::try_from(bench.samplings().0).unwrap(), calls);
    }
    assert_eq!(requests(&server).await.len(), 2);
    bench.assert_nothing_queued().await;
}

#[tokio::test]
async fn without_an_attempt_there_is_no_sample() {
    let (server, bench) = endpoint().await;
    let hook = bench.hook(&server.uri()).await;
    let early = DeliveryJob {
        not_before: clock::now() + Duration::from_hours(1),
        ..carrying(&hook, NAMES)
    };
    assert!(bench.work([early]).await.is_empty());
    assert_eq!(bench.samplings(), (0, 0));
}
