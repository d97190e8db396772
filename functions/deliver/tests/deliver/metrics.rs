//! What the function counts and measures.

use rstest::rstest;
use shared::{
    metrics::{Count, Measure},
    model::FAILURES_TO_OPEN,
};

use super::{
    bench::{Bench, job},
    receiver::{answering, closed, url},
};

#[tokio::test]
async fn a_delivery_is_counted_with_the_time_since_its_acceptance() {
    let server = answering(200).await;
    let bench = Bench::new(&[*server.address()], "5s").await;
    let hook = bench.hook(&server.uri()).await;
    assert!(bench.work([job(&hook), job(&hook)]).await.is_empty());

    assert_eq!(bench.metrics.counted(Count::AttemptsDelivered), 2);
    assert_eq!(bench.metrics.counted(Count::DeliveriesGivenUp), 0);
    // The jobs have been due for half a second; the oldest of a batch counts.
    let latencies = bench.metrics.measured(Measure::DeliveryLatency);
    assert_eq!(latencies.len(), 2);
    assert!(
        latencies.iter().all(|ms| (500..60_000).contains(ms)),
        "{latencies:?}"
    );
    let [age] = bench.metrics.measured(Measure::OldestJobAge)[..] else {
        panic!("a batch has one oldest job");
    };
    assert!((500..60_000).contains(&age), "{age}");
}

#[rstest]
#[case(500, Count::AttemptsRejected)]
#[case(410, Count::AttemptsRejected)]
#[tokio::test]
async fn a_delivery_that_is_given_up_is_counted_once_it_is_in_the_queue(
    #[case] status: u16,
    #[case] class: Count,
) {
    let server = answering(status).await;
    let mut bench = Bench::new(&[*server.address()], "").await;
    let hook = bench.hook(&server.uri()).await;
    let dead_letters = bench.deliver.dead_letters.clone();
    bench.deliver.dead_letters = bench.gone();
    assert_eq!(bench.work([job(&hook)]).await, [0]);
    assert_eq!(bench.metrics.counted(class), 1);
    assert_eq!(bench.metrics.counted(Count::DeliveriesGivenUp), 0);

    bench.deliver.dead_letters = dead_letters;
    assert!(bench.work([job(&hook)]).await.is_empty());
    assert_eq!(bench.metrics.counted(class), 2);
    assert_eq!(bench.metrics.counted(Count::DeliveriesGivenUp), 1);
    assert!(bench.metrics.measured(Measure::DeliveryLatency).is_empty());
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_and_one_that_is_forbidden_are_two_classes() {
    let addr = closed().await;
    let bench = Bench::new(&[addr], "5s").await;
    let hook = bench.hook(&url(addr)).await;
    assert!(bench.work([job(&hook)]).await.is_empty());
    let forbidden = bench.hook("http://127.0.0.1:9/hook").await;
    assert!(bench.work([job(&forbidden)]).await.is_empty());

    assert_eq!(bench.metrics.counted(Count::AttemptsUnreachable), 1);
    assert_eq!(bench.metrics.counted(Count::AttemptsForbidden), 1);
    assert_eq!(bench.metrics.counted(Count::DeliveriesGivenUp), 1);
}

#[tokio::test]
async fn a_circuit_that_opens_is_counted_once() {
    let server = answering(500).await;
    let bench = Bench::new(&[*server.address()], "1m").await;
    let hook = bench.hook(&server.uri()).await;
    for _ in 0..FAILURES_TO_OPEN {
        assert_eq!(bench.metrics.counted(Count::CircuitsOpened), 0);
        assert!(bench.work([job(&hook)]).await.is_empty());
    }
    // It waits, and is no attempt.
    assert!(bench.work([job(&hook)]).await.is_empty());
    assert_eq!(bench.metrics.counted(Count::CircuitsOpened), 1);
    assert_eq!(
        bench.metrics.counted(Count::AttemptsRejected),
        FAILURES_TO_OPEN
    );
}
