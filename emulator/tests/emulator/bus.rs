//! The bus: what is put on it, and what of that is in the queue.

use aws_sdk_eventbridge::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
    operation::put_events::PutEventsOutput,
    primitives::DateTime,
    types::{PutEventsRequestEntry, builders::PutEventsRequestEntryBuilder},
};
use aws_smithy_http_client::Builder;
use emulator::{EventRule, LocalAws};
use serde_json::{Value, json};

use crate::{code, local, queue, receive};

const SOURCE: &str = "breathecode.admissions";

/// Servers with a rule, its queue, and a client of the bus.
async fn with_rule() -> (LocalAws, String, Client) {
    let aws = local().await;
    let events = queue(&aws.sqs(), "events", &[]).await;
    aws.route_events(EventRule {
        bus: "academy".to_owned(),
        sources: vec![SOURCE.to_owned()],
        queue: "events".to_owned(),
    });
    let config = aws_sdk_eventbridge::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("local", "local", None, None, "local"))
        .http_client(Builder::new().build_http())
        .endpoint_url(aws.eventbridge_url())
        .build();
    let client = Client::from_conf(config);
    (aws, events, client)
}

fn entry(detail: &str) -> PutEventsRequestEntryBuilder {
    PutEventsRequestEntry::builder()
        .event_bus_name("academy")
        .source(SOURCE)
        .detail_type("cohort_user.added")
        .detail(detail)
}

async fn put(
    bus: &Client,
    entries: impl IntoIterator<Item = PutEventsRequestEntryBuilder>,
) -> PutEventsOutput {
    let entries = entries.into_iter().map(PutEventsRequestEntryBuilder::build);
    let request = bus.put_events().set_entries(Some(entries.collect()));
    request.send().await.unwrap()
}

#[tokio::test]
async fn an_event_from_the_rules_sources_comes_into_the_queue_in_its_envelope() {
    let (aws, events, bus) = with_rule().await;
    let first = entry(r#"{"payload": {"price": 299.00, "a" : 1}}"#)
        .resources("arn:aws:x")
        .time(DateTime::from_secs(1_737_387_000));
    let arn = "arn:aws:events:us-east-1:000000000000:event-bus/academy";
    let answer = put(&bus, [first, entry("{}").event_bus_name(arn)]).await;
    assert_eq!(answer.failed_entry_count(), 0);

    let received = receive(&aws.sqs(), &events, 1).await;
    assert_eq!(received.len(), 2);
    let id = answer.entries()[0].event_id().unwrap();
    let mut bodies = received.iter().filter_map(|message| message.body());
    let body = bodies.find(|body| body.contains(id)).unwrap();
    // The detail is the text that it was.
    let detail = r#""detail":{"payload": {"price": 299.00, "a" : 1}}}"#;
    assert!(body.ends_with(detail), "{body}");
    let envelope: Value = serde_json::from_str(body).unwrap();
    for (field, value) in [
        ("version", json!("0")),
        ("id", json!(id)),
        ("detail-type", json!("cohort_user.added")),
        ("source", json!(SOURCE)),
        ("account", json!("000000000000")),
        ("time", json!("2025-01-20T15:30:00Z")),
        ("region", json!("us-east-1")),
        ("resources", json!(["arn:aws:x"])),
    ] {
        assert_eq!(envelope[field], value, "{field}");
    }
}

#[tokio::test]
async fn what_no_rule_is_for_is_accepted_and_gone() {
    let (aws, events, bus) = with_rule().await;
    let others = [
        entry("{}").source("aws.ec2"),
        entry("{}").event_bus_name("default"),
        entry("{}").set_event_bus_name(None),
    ];
    let answer = put(&bus, others).await;
    assert_eq!(answer.failed_entry_count(), 0);
    assert!(receive(&aws.sqs(), &events, 0).await.is_empty());
}

#[tokio::test]
async fn a_wrong_entry_is_named_and_spoils_no_other() {
    let (aws, events, bus) = with_rule().await;
    let entries = [
        entry("{}").detail_type(""),
        entry("[]"),
        entry("{bad"),
        entry("{}").time(DateTime::from_secs(i64::MAX)),
        entry("{}"),
    ];
    let answer = put(&bus, entries).await;
    assert_eq!(answer.failed_entry_count(), 4);
    let codes: Vec<_> = answer
        .entries()
        .iter()
        .map(|entry| entry.error_code())
        .collect();
    let wanted = [
        Some("InvalidArgument"),
        Some("MalformedDetail"),
        Some("MalformedDetail"),
        Some("InvalidArgument"),
        None,
    ];
    assert_eq!(codes, wanted);
    assert_eq!(receive(&aws.sqs(), &events, 1).await.len(), 1);
}

#[tokio::test]
async fn a_request_beyond_the_services_limits_is_refused() {
    let (aws, events, bus) = with_rule().await;
    let large = entry(&json!({"text": "x".repeat(256 * 1024)}).to_string()).build();
    for entries in [vec![], vec![entry("{}").build(); 11], vec![large]] {
        let refused = bus.put_events().set_entries(Some(entries)).send().await;
        assert_eq!(code(refused), "ValidationException");
    }
    let refused = bus.list_rules().send().await;
    assert_eq!(code(refused), "UnknownOperationException");
    assert!(receive(&aws.sqs(), &events, 0).await.is_empty());
}
