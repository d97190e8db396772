//! A worker that is killed (`kill -9`) loses nothing: what it had not passed on comes again when its
//! message's visibility timeout has passed, under the same delivery id.
//!
//! What is promised of `total_calls`: it counts the attempts whose end a worker has lived to record.
//! A worker that is killed between the call and the record leaves that attempt out of the count;
//! no attempt is counted twice.

use std::{ops::RangeInclusive, time::Duration};

use rstest::rstest;

use super::{
    bench::{Bench, encoded, job},
    lambda::{ANSWER, Cue, Lambda, POST},
};

/// Waits until the worker has been killed and everything in the queues is done.
async fn until_done(bench: &Bench, lambda: &Lambda) {
    let done = async {
        while !lambda.has_acted() || bench.count(&bench.deliveries).await > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_mins(1), done).await;
    assert!(in_time.is_ok(), "the queue was never empty");
}

#[rstest]
#[case::before_the_call(Cue::Before("BatchGetItem"), 1, 1)]
#[case::when_the_endpoint_has_it(Cue::Before(POST), 2, 1)]
#[case::before_the_sample(Cue::Before("PutItem"), 2, 1)]
#[case::between_the_sample_and_the_record(Cue::After("PutItem"), 2, 1)]
#[case::before_the_record(Cue::Before("UpdateItem"), 2, 1)]
#[case::after_the_record(Cue::After("UpdateItem"), 2, 2)]
#[case::before_the_delete(Cue::Before(ANSWER), 2, 2)]
#[tokio::test]
async fn a_delivery_survives_its_worker(
    #[case] cue: Cue,
    #[case] calls: usize,
    #[case] counted: u64,
) {
    let bench = Bench::new(&[], "1s").await;
    let mut lambda = Lambda::start(&bench, cue, None).await;
    let hook = bench.hook(&lambda.url("works")).await;
    let job = job(&hook);
    let id = job.delivery_id;
    bench.send(encoded(job)).await;
    lambda.poll(&bench);
    until_done(&bench, &lambda).await;
    lambda.stop().await;

    assert_eq!(lambda.handed_out(), [id, id]);
    assert_eq!(lambda.calls("works"), calls);
    assert_eq!(bench.stats(&hook).await.total_calls, counted);
    assert!(bench.stores.samples.get(&hook).await.unwrap().is_some());
    bench.assert_nothing_queued().await;
}

#[rstest]
// The record is under way together with the re-send, so that a kill there may come before either.
#[case::before_it(Cue::Before("SendMessageBatch"), 2, 1..=2)]
#[case::when_the_queue_has_it(Cue::After("SendMessageBatch"), 3, 2..=3)]
#[case::between_it_and_the_delete(Cue::Before(ANSWER), 3, 3..=3)]
#[tokio::test]
async fn a_retry_survives_the_worker_that_sends_it(
    #[case] cue: Cue,
    #[case] calls: usize,
    #[case] counted: RangeInclusive<u64>,
) {
    let bench = Bench::new(&[], "1s").await;
    let mut lambda = Lambda::start(&bench, cue, Some(500)).await;
    let hook = bench.hook(&lambda.url("fails")).await;
    let job = job(&hook);
    let id = job.delivery_id;
    bench.send(encoded(job)).await;
    lambda.poll(&bench);
    until_done(&bench, &lambda).await;
    lambda.stop().await;

    // The original twice, and its successor where it was in the queue already.
    assert_eq!(lambda.handed_out(), vec![id; calls]);
    assert_eq!(lambda.calls("fails"), calls);
    let total = bench.stats(&hook).await.total_calls;
    assert!(counted.contains(&total), "{total}");
    bench.assert_nothing_queued().await;
}

#[tokio::test]
async fn of_a_batch_that_was_settled_in_part_only_the_rest_comes_again() {
    let bench = Bench::new(&[], "1s").await;
    let cue = Cue::After("DeleteMessageBatch");
    let mut lambda = Lambda::start(&bench, cue, None).await;
    let quick = bench.hook(&lambda.url("works")).await;
    let slow = bench.hook(&lambda.url("fails")).await;
    for hook in [&quick, &slow] {
        bench.send(encoded(job(hook))).await;
    }
    lambda.poll(&bench);
    until_done(&bench, &lambda).await;
    lambda.stop().await;

    assert_eq!((lambda.calls("works"), lambda.calls("fails")), (1, 2));
    assert_eq!(bench.stats(&quick).await.total_calls, 1);
    assert_eq!(bench.stats(&slow).await.total_calls, 1);
    bench.assert_nothing_queued().await;
}
