//! Every file of `events/errors`, handled as Lambda would hand it over, has the outcome that its
//! name promises.

use std::{collections::BTreeSet, fs, path::Path, slice};

use aws_lambda_events::event::sqs::SqsEvent;
use shared::model::{HookId, QueueMessage};

use super::bench::{ACADEMY, Bench};

/// The message of the HookError that each file's one dead letter becomes, or none: it is to fail. A
/// file that is not listed fails the test.
const PROMISED: [(&str, Option<&str>); 4] = [
    ("given-up", Some("The endpoint answered 500.")),
    ("no-answer", Some("The endpoint did not answer in time.")),
    ("poison", None),
    (
        "redriven",
        Some("The delivery was interrupted again and again."),
    ),
];

#[tokio::test]
async fn every_event_file_does_what_its_name_says() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events/errors");
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let event: SqsEvent = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let promised = PROMISED.iter().find(|(listed, _)| *listed == name);
        let Some((_, promised)) = promised else {
            panic!("{name} is not expected");
        };
        assert_eq!(outcome(event).await.as_deref(), *promised, "{name}");
        found.insert(name);
    }
    let listed: BTreeSet<String> = PROMISED
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    assert_eq!(found, listed);
}

/// The message of the HookError that becomes of an event's one dead letter.
async fn outcome(event: SqsEvent) -> Option<String> {
    let bench = Bench::new().await;
    assert_eq!(event.records.len(), 1);
    let message_id = event.records[0].message_id.clone().unwrap();
    let body = event.records[0].body.clone().unwrap();
    let response = bench.errors.handle(event, &bench.metrics).await.unwrap();
    if let [failure] = response.batch_item_failures.as_slice() {
        assert_eq!(failure.item_identifier, message_id);
        assert!(bench.of_owner(ACADEMY).await.is_empty());
        return None;
    }
    // What is no poison is, to the byte, what this release queues.
    let message = QueueMessage::decode(&body).unwrap();
    assert_eq!(message.encode().unwrap(), body);
    let error = bench.only().await;
    assert_eq!(bench.of_owner(ACADEMY).await, slice::from_ref(&error));
    assert_eq!(error.hooks, [HookId::new(1).unwrap()]);
    assert_eq!(
        (error.event.as_str(), error.count),
        ("assignment.assignment_created", 1)
    );
    assert_eq!(bench.kept().await.len(), 1);
    Some(error.message)
}
