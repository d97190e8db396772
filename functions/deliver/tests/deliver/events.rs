//! Every file of `events/deliver`, handled as Lambda would hand it over, has the outcome that its
//! name promises.

use std::{collections::BTreeSet, fs, path::Path};

use aws_lambda_events::event::sqs::SqsEvent;
use serde_json::Value;
use shared::model::QueueMessage;

use super::{
    bench::Bench,
    receiver::{answering, requests},
};

/// What becomes of the one job of a file.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Called,
    SentOn,
    Failed,
}

/// What each file's name promises; one that is not listed fails the test.
const PROMISED: [(&str, Outcome); 4] = [
    ("first-attempt", Outcome::Called),
    ("not-yet-due", Outcome::SentOn),
    ("poison", Outcome::Failed),
    ("retry-due", Outcome::Called),
];

#[tokio::test]
async fn every_event_file_does_what_its_name_says() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events/deliver");
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let event: SqsEvent = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let promised = PROMISED.iter().find(|(listed, _)| *listed == name);
        let Some((_, promised)) = promised else {
            panic!("{name} is not expected");
        };
        assert_eq!(&outcome(event).await, promised, "{name}");
        found.insert(name);
    }
    let listed: BTreeSet<String> = PROMISED
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    assert_eq!(found, listed);
}

async fn outcome(event: SqsEvent) -> Outcome {
    let server = answering(200).await;
    let bench = Bench::new(&[*server.address()], "5s").await;
    // The files' jobs are for the first hook of the academy.
    let hook = bench.hook(&server.uri()).await;
    assert_eq!(event.records.len(), 1);
    let message_id = event.records[0].message_id.clone().unwrap();
    let body = event.records[0].body.clone().unwrap();
    let response = bench.deliver.handle(event, &bench.metrics).await.unwrap();

    if let [failure] = response.batch_item_failures.as_slice() {
        assert_eq!(failure.item_identifier, message_id);
        assert!(requests(&server).await.is_empty());
        return Outcome::Failed;
    }
    // What is no poison is, to the byte, what this release queues.
    let message = QueueMessage::decode(&body).unwrap();
    assert_eq!(message.encode().unwrap(), body);
    let calls = requests(&server).await;
    let Some(call) = calls.first() else {
        assert_eq!(bench.spy.delays(), [900]);
        assert_eq!(bench.count(&bench.deliveries).await, 1);
        return Outcome::SentOn;
    };
    let body: Value = serde_json::from_str(&body).unwrap();
    let called: Value = serde_json::from_slice(&call.body).unwrap();
    assert_eq!(called, body["payload"]);
    assert_eq!(bench.stats(&hook).await.total_calls, 1);
    Outcome::Called
}
