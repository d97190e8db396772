//! What is kept of a failed delivery, so that it can be sent again.

use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::value::RawValue;
use shared::{
    clock,
    metrics::Count,
    model::{DeadLetter, DeliveryJob, HookError, QueueMessage},
};

use super::bench::{ACADEMY, Bench, FAILURE, PAYLOAD, job, letter};

const THIRTY_DAYS_S: i64 = 30 * 24 * 60 * 60;

fn text(value: &AttributeValue) -> &str {
    value.as_s().unwrap()
}

#[tokio::test]
async fn a_failed_delivery_is_kept_whole_for_30_days() {
    let bench = Bench::new().await;
    let dead = letter(1, 7, 10);
    let before = clock::now().as_second();
    bench.record([QueueMessage::DeadLetter(dead.clone())]).await;
    let after = clock::now().as_second();

    let kept = bench.kept().await;
    assert_eq!(kept.len(), 1);
    let item = &kept[0];
    assert_eq!(text(&item["owner"]), ACADEMY);
    assert_eq!(text(&item["message"]), FAILURE);
    assert_eq!(item["status"].as_n().unwrap(), "500");
    assert_eq!(text(&item["failed_at"]), "2025-01-20T15:51:10Z");
    let expires_at: i64 = item["expires_at"].as_n().unwrap().parse().unwrap();
    assert!((before + THIRTY_DAYS_S..=after + THIRTY_DAYS_S).contains(&expires_at));

    let stored = text(&item["job"]);
    assert!(stored.contains(PAYLOAD), "{stored}");
    let again: DeliveryJob = serde_json::from_str(stored).unwrap();
    assert_eq!(again.payload.get(), PAYLOAD);
    assert_eq!(format!("{again:?}"), format!("{:?}", dead.job));
}

#[tokio::test]
async fn so_is_a_job_that_the_queue_gave_up() {
    let bench = Bench::new().await;
    bench.record([QueueMessage::Delivery(job(1, 7))]).await;
    let kept = bench.kept().await;
    assert_eq!(kept.len(), 1);
    assert!(text(&kept[0]["job"]).contains(PAYLOAD));
    assert_eq!(kept[0].get("status"), Some(&AttributeValue::Null(true)));
}

#[tokio::test]
async fn the_largest_payload_that_is_accepted_is_kept_too() {
    let bench = Bench::new().await;
    let payload = format!("\"{}\"", "x".repeat(256 * 1024 - 2));
    let mut dead = letter(1, 7, 10);
    dead.job.payload = Arc::from(RawValue::from_string(payload.clone()).unwrap());
    bench.record([QueueMessage::DeadLetter(dead)]).await;
    let kept = bench.kept().await;
    let again: DeliveryJob = serde_json::from_str(text(&kept[0]["job"])).unwrap();
    assert_eq!(again.payload.get(), payload);
}

#[tokio::test]
async fn each_failed_delivery_of_a_hook_error_is_kept_and_none_is_listed() {
    let bench = Bench::new().await;
    let letters = [letter(1, 7, 10), letter(2, 8, 20)];
    bench.record(letters.map(QueueMessage::DeadLetter)).await;
    let other = DeadLetter {
        message: "The endpoint answered 404.".to_owned(),
        ..letter(1, 7, 30)
    };
    bench.record([QueueMessage::DeadLetter(other)]).await;

    assert_eq!(bench.kept().await.len(), 3);
    let counts = bench.of_owner(ACADEMY).await;
    let counts: Vec<_> = counts.iter().map(|error: &HookError| error.count).collect();
    assert_eq!(counts, [2, 1]);
}

#[tokio::test]
async fn what_is_recorded_and_what_stays_in_the_queue_is_counted() {
    let bench = Bench::new().await;
    let recorded = QueueMessage::DeadLetter(letter(1, 7, 0)).encode().unwrap();
    let bodies = [recorded, "no dead letter".to_owned()];
    assert_eq!(bench.failures(bodies).await, [1]);
    assert_eq!(bench.metrics.counted(Count::DeadLettersRecorded), 1);
    assert_eq!(bench.metrics.counted(Count::DeadLettersFailed), 1);
}
