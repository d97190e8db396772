//! What follows from a failure: the same job again, later, or a dead letter.

use std::time::Duration;

use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use jiff::Timestamp;
use rstest::rstest;
use shared::{
    clock,
    model::{DeliveryJob, QueueMessage},
};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers};

use super::{
    bench::{Bench, PAYLOAD, job},
    receiver::{answering, requests},
};

fn milliseconds(message: &Message, name: &MessageSystemAttributeName) -> i64 {
    message.attributes.as_ref().unwrap()[name].parse().unwrap()
}

#[tokio::test]
async fn a_failed_job_comes_again_as_it_was_after_its_wait() {
    let server = answering(500).await;
    let bench = Bench::new(&[*server.address()], "1s").await;
    let hook = bench.hook(&server.uri()).await;
    let first = job(&hook);
    assert!(bench.work([first.clone()]).await.is_empty());
    assert_eq!(bench.count(&bench.dead_letters).await, 0);

    let message = bench.next(&bench.deliveries).await;
    let sent = milliseconds(&message, &MessageSystemAttributeName::SentTimestamp);
    let received = &MessageSystemAttributeName::ApproximateFirstReceiveTimestamp;
    assert!(milliseconds(&message, received) - sent >= 1_000);
    let QueueMessage::Delivery(again) = QueueMessage::decode(message.body().unwrap()).unwrap()
    else {
        panic!("a job was sent");
    };
    let failed_at = bench.stats(&hook).await.last_call_at.unwrap();
    let wait = again.not_before.duration_since(failed_at);
    assert!((1_000..=1_100).contains(&wait.as_millis()), "{wait:?}");
    assert_eq!(again.attempt, 2);
    // All else is as it was.
    assert_eq!(again.payload.get(), PAYLOAD);
    let as_before = DeliveryJob {
        attempt: first.attempt,
        not_before: first.not_before,
        ..again
    };
    assert_eq!(format!("{as_before:?}"), format!("{first:?}"));
}

#[rstest]
#[case(1, 5, 5)]
#[case(2, 60, 66)]
#[case(3, 300, 330)]
#[case(4, 900, 900)]
#[tokio::test]
async fn each_failure_waits_longer_within_what_the_queue_takes(
    #[case] attempt: u32,
    #[case] least: u64,
    #[case] most: u64,
) {
    let server = answering(500).await;
    let bench = Bench::new(&[*server.address()], "5s,1m,5m,15m").await;
    let hook = bench.hook(&server.uri()).await;
    let failing = DeliveryJob {
        attempt,
        ..job(&hook)
    };
    assert!(bench.work([failing]).await.is_empty());
    let delays = bench.spy.delays();
    assert_eq!(delays.len(), 1);
    assert!((least..=most).contains(&delays[0]), "{delays:?}");
}

#[rstest]
#[case(429, "120", 120..=120)]
#[case(503, "120", 120..=120)]
#[case(500, "120", 5..=5)]
#[case(429, "1", 5..=5)]
#[case(429, "soon", 5..=5)]
#[case(503, "7200", 900..=900)]
#[tokio::test]
async fn an_endpoint_that_is_busy_can_ask_for_more_time(
    #[case] status: u16,
    #[case] retry_after: &str,
    #[case] wanted: std::ops::RangeInclusive<u64>,
) {
    let server = MockServer::start().await;
    let busy = ResponseTemplate::new(status).insert_header("retry-after", retry_after);
    Mock::given(matchers::any())
        .respond_with(busy)
        .mount(&server)
        .await;
    let bench = Bench::new(&[*server.address()], "5s").await;
    let hook = bench.hook(&server.uri()).await;
    assert!(bench.work([job(&hook)]).await.is_empty());
    let delays = bench.spy.delays();
    assert_eq!(delays.len(), 1);
    assert!(wanted.contains(&delays[0]), "{delays:?}");
}

#[tokio::test]
async fn the_last_failure_is_a_dead_letter_that_says_what_went_wrong() {
    let server = answering(500).await;
    let bench = Bench::new(&[*server.address()], "5s,1m,5m,15m").await;
    let hook = bench.hook(&server.uri()).await;
    let last = DeliveryJob {
        attempt: 5,
        ..job(&hook)
    };
    assert!(bench.work([last.clone()]).await.is_empty());

    let letter = bench.next_letter().await;
    assert_eq!(letter.message, "The endpoint answered 500.");
    assert_eq!(letter.status, Some(500));
    assert_eq!(
        Some(letter.failed_at),
        bench.stats(&hook).await.last_call_at
    );
    assert_eq!(letter.job.payload.get(), PAYLOAD);
    assert_eq!(format!("{:?}", letter.job), format!("{last:?}"));
    assert_eq!(bench.count(&bench.deliveries).await, 0);
}

#[tokio::test]
async fn a_410_is_a_dead_letter_at_once_and_leaves_the_hook() {
    let server = answering(410).await;
    let bench = Bench::new(&[*server.address()], "5s,1m,5m,15m").await;
    let hook = bench.hook(&server.uri()).await;
    assert!(bench.work([job(&hook)]).await.is_empty());

    let letter = bench.next_letter().await;
    assert_eq!((letter.status, letter.job.attempt), (Some(410), 1));
    assert_eq!(bench.count(&bench.deliveries).await, 0);
    assert_eq!(bench.stores.hooks.get(hook.id).await.unwrap(), Some(hook));
}

#[rstest]
#[case(Duration::from_mins(10), 590, 600)]
#[case(Duration::from_mins(15), 890, 900)]
#[case(Duration::from_hours(2), 900, 900)]
#[tokio::test]
async fn a_job_before_its_time_is_sent_on_with_the_rest_of_its_wait(
    #[case] rest: Duration,
    #[case] least: u64,
    #[case] most: u64,
) {
    let server = answering(200).await;
    let bench = Bench::new(&[*server.address()], "5s").await;
    let hook = bench.hook(&server.uri()).await;
    let early = DeliveryJob {
        attempt: 3,
        not_before: clock::now() + rest,
        ..job(&hook)
    };
    assert!(bench.work([early.clone()]).await.is_empty());

    let delays = bench.spy.delays();
    assert_eq!(delays.len(), 1);
    assert!((least..=most).contains(&delays[0]), "{delays:?}");
    // The hop is no attempt: the very same job is sent, and nobody is called.
    let sent = bench.spy.requests("SendMessageBatch");
    let body = sent[0]["Entries"][0]["MessageBody"].as_str().unwrap();
    assert_eq!(body, super::bench::encoded(early));
    assert!(requests(&server).await.is_empty());
    assert_eq!(bench.stats(&hook).await.total_calls, 0);
}

#[tokio::test]
async fn a_hop_ends_in_the_attempt() {
    let server = answering(200).await;
    let bench = Bench::new(&[*server.address()], "").await;
    let hook = bench.hook(&server.uri()).await;
    let early = DeliveryJob {
        not_before: clock::now() + Duration::from_millis(1_900),
        ..job(&hook)
    };
    assert!(bench.work([early]).await.is_empty());
    assert!(requests(&server).await.is_empty());
    let later = bench.next_job().await;
    assert!(bench.work([later]).await.is_empty());
    assert_eq!(requests(&server).await.len(), 1);
}

#[tokio::test]
async fn what_cannot_be_sent_on_comes_again_itself() {
    let server = answering(500).await;
    let mut bench = Bench::new(&[*server.address()], "5s").await;
    let hook = bench.hook(&server.uri()).await;
    let retried = job(&hook);
    let given_up = DeliveryJob {
        attempt: 2,
        ..job(&hook)
    };
    let early = DeliveryJob {
        not_before: "2099-01-01T00:00:00Z".parse::<Timestamp>().unwrap(),
        ..job(&hook)
    };
    bench.deliver.deliveries = bench.gone();
    let jobs = [retried, given_up, early];
    assert_eq!(bench.work(jobs).await, [0, 2]);
    // The requests were made, whatever became of the jobs.
    assert_eq!(bench.stats(&hook).await.total_calls, 2);
    assert_eq!(bench.next_letter().await.job.attempt, 2);
}

#[tokio::test]
async fn a_dead_letter_that_cannot_be_sent_brings_its_job_back() {
    let (gone, failing) = (answering(410).await, answering(500).await);
    let mut bench = Bench::new(&[*gone.address(), *failing.address()], "5s").await;
    let given_up = bench.hook(&gone.uri()).await;
    let retried = bench.hook(&failing.uri()).await;
    bench.deliver.dead_letters = bench.gone();
    let jobs = [job(&retried), job(&given_up)];
    assert_eq!(bench.work(jobs).await, [1]);
    assert_eq!(bench.count(&bench.deliveries).await, 1);
}
