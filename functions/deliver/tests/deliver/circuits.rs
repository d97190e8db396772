//! An endpoint that is down costs no call for each delivery that waits for it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rstest::rstest;
use shared::{
    clock,
    metrics::Count,
    model::{Counts, DeliveryJob, FAILURES_TO_OPEN, Hook, HookRef, OpenCircuit},
    store::Recorded,
};

use tokio::io::AsyncWriteExt;
use wiremock::{Mock, MockServer, ResponseTemplate, matchers};

use super::{
    bench::{Bench, PAYLOAD, encoded, event, in_time, job},
    receiver::{answering, closed, listener, read_request, requests, url},
};

fn ago(duration: SignedDuration) -> Timestamp {
    clock::now() - duration
}

async fn circuit(bench: &Bench, hook: &Hook) -> Option<OpenCircuit> {
    bench
        .stores
        .states
        .get(hook.id)
        .await
        .unwrap()
        .unwrap()
        .circuit
}

/// Opens the hook's circuit: it is time for a probe when `probe_at` has come.
async fn open(bench: &Bench, hook: &Hook, probe_at: Timestamp) -> OpenCircuit {
    let open = OpenCircuit {
        opened_at: ago(SignedDuration::from_hours(1)),
        probe_at,
        probes: 1,
        nonce: 1,
        probing_until: None,
    };
    let states = &bench.stores.states;
    let failing = Recorded {
        hook_id: hook.id,
        calls: FAILURES_TO_OPEN,
        last_call_at: open.opened_at,
        last_response_code: 500,
        succeeded: false,
        failures: FAILURES_TO_OPEN,
        attempted: Counts::default(),
        expired_periods: Vec::new(),
        edited_at: hook.updated_at,
        attempts: None,
        sampled_at: None,
    };
    states.record(&failing).await.unwrap();
    let set = states.set_circuit(hook.id, None, &open);
    assert!(set.await.unwrap());
    open
}

#[tokio::test]
async fn five_failures_in_a_row_open_it_and_then_nobody_is_called() {
    let server = answering(500).await;
    let bench = Bench::new(&[*server.address()], "1m").await;
    let hook = bench.hook(&server.uri()).await;
    for _ in 0..2 {
        assert!(bench.work([job(&hook), job(&hook)]).await.is_empty());
        assert_eq!(circuit(&bench, &hook).await, None);
    }
    assert!(bench.work([job(&hook)]).await.is_empty());
    let open = circuit(&bench, &hook).await.unwrap();
    assert_eq!(open.probe_at, open.opened_at + Duration::from_mins(1));
    assert_eq!(requests(&server).await.len(), 5);

    // The very same job comes again, when a probe may be made.
    let waiting = job(&hook);
    assert!(bench.work([waiting.clone()]).await.is_empty());
    assert_eq!(requests(&server).await.len(), 5);
    assert_eq!(bench.stats(&hook).await.total_calls, 5);
    let delay = *bench.spy.delays().last().unwrap();
    assert!((58..=66).contains(&delay), "{delay}");
    let sent = bench.spy.requests("SendMessageBatch");
    let body = &sent.last().unwrap()["Entries"][0]["MessageBody"];
    assert_eq!(body, &encoded(waiting));
    assert_eq!(bench.count(&bench.dead_letters).await, 0);
}

#[tokio::test]
async fn a_success_between_keeps_it_closed() {
    let server = MockServer::start().await;
    for (status, times) in [(500, 4), (200, 1), (500, 4)] {
        Mock::given(matchers::any())
            .respond_with(ResponseTemplate::new(status))
            .up_to_n_times(times)
            .mount(&server)
            .await;
    }
    let bench = Bench::new(&[*server.address()], "1m").await;
    let hook = bench.hook(&server.uri()).await;
    for _ in 0..9 {
        assert!(bench.work([job(&hook)]).await.is_empty());
    }
    assert_eq!(circuit(&bench, &hook).await, None);
    assert_eq!(bench.stats(&hook).await.total_calls, 9);
}

/// What ends within half a second is written at once.
#[tokio::test]
async fn five_failures_after_a_success_open_it_though_they_are_written_with_it() {
    let (listener, addr) = listener().await;
    let bench = Bench::new(&[addr], "1m").await;
    let hook = bench.hook(&url(addr)).await;
    let endpoint = async {
        let mut requests = Vec::new();
        for _ in 0..6 {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_request(&mut stream).await;
            requests.push(stream);
        }
        let mut success = requests.remove(0);
        let answer = b"HTTP/1.1 204 X\r\nconnection: close\r\n\r\n";
        success.write_all(answer).await.unwrap();
        while bench.metrics.counted(Count::AttemptsDelivered) == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        // The others are closed with this, and have ended later.
    };
    let (failed, ()) = tokio::join!(bench.work((0..6).map(|_| job(&hook))), endpoint);
    assert!(failed.is_empty());
    let state = bench.stores.states.get(hook.id).await.unwrap().unwrap();
    assert_eq!(state.stats.total_calls, 6);
    assert_eq!(state.failures_in_row, FAILURES_TO_OPEN);
    let open = state.circuit.unwrap();
    assert_eq!(open.probe_at, open.opened_at + Duration::from_mins(1));
}

#[tokio::test]
async fn one_of_those_that_wait_is_the_probe_and_its_failure_sends_them_away_for_longer() {
    let server = answering(500).await;
    let bench = Bench::new(&[*server.address()], "5s,5m").await;
    let hook = bench.hook(&server.uri()).await;
    let before = open(&bench, &hook, clock::now()).await;
    let jobs = (0..4).map(|_| job(&hook));
    assert!(bench.work(jobs).await.is_empty());

    assert_eq!(requests(&server).await.len(), 1);
    assert_eq!(bench.count(&bench.deliveries).await, 4);
    let after = circuit(&bench, &hook).await.unwrap();
    assert_eq!((after.opened_at, after.probes), (before.opened_at, 2));
    let last_call_at = bench.stats(&hook).await.last_call_at.unwrap();
    assert_eq!(after.probe_at, last_call_at + Duration::from_mins(5));
    assert_eq!(after.probing_until, None);
    // The probe is an attempt like any other; those beside it wait for the next one.
    let mut delays = bench.spy.delays();
    delays.sort_unstable();
    assert_eq!(delays[0], 5);
    assert!(
        delays[1..].iter().all(|delay| (300..=330).contains(delay)),
        "{delays:?}"
    );
}

#[tokio::test]
async fn workers_at_the_same_time_make_one_probe() {
    let server = answering(500).await;
    let bench = Bench::new(&[*server.address()], "1m").await;
    let hook = bench.hook(&server.uri()).await;
    open(&bench, &hook, clock::now()).await;
    let worker = || bench.work((0..3).map(|_| job(&hook)));
    let failed = tokio::join!(worker(), worker(), worker());
    assert!(failed.0.is_empty() && failed.1.is_empty() && failed.2.is_empty());
    assert_eq!(requests(&server).await.len(), 1);
    assert_eq!(bench.count(&bench.deliveries).await, 9);
}

#[tokio::test]
async fn a_probe_that_arrives_closes_it() {
    let server = answering(200).await;
    let bench = Bench::new(&[*server.address()], "1s").await;
    let hook = bench.hook(&server.uri()).await;
    open(&bench, &hook, clock::now()).await;
    assert!(bench.work([job(&hook), job(&hook)]).await.is_empty());
    assert_eq!(requests(&server).await.len(), 1);
    assert_eq!(circuit(&bench, &hook).await, None);
    // What waited beside it comes at once.
    assert_eq!(bench.spy.delays(), [0]);

    let waiting = bench.next_job().await;
    assert_eq!(waiting.payload.get(), PAYLOAD);
    assert!(bench.work([waiting]).await.is_empty());
    assert_eq!(requests(&server).await.len(), 2);
    assert_eq!(bench.count(&bench.dead_letters).await, 0);
}

#[rstest]
#[case(SignedDuration::from_hours(23), false)]
#[case(SignedDuration::from_hours(25), true)]
#[tokio::test]
async fn what_is_a_day_over_its_time_is_given_up_without_a_call(
    #[case] waited: SignedDuration,
    #[case] given_up: bool,
) {
    let server = answering(200).await;
    let bench = Bench::new(&[*server.address()], "1m").await;
    let hook = bench.hook(&server.uri()).await;
    open(&bench, &hook, clock::now() + Duration::from_mins(10)).await;
    let waiting = DeliveryJob {
        attempt: 2,
        not_before: ago(waited),
        // However long ago it was accepted: it may have been told to wait.
        accepted_at: ago(SignedDuration::from_hours(100)),
        ..job(&hook)
    };
    assert!(bench.work([waiting]).await.is_empty());
    assert!(requests(&server).await.is_empty());
    assert_eq!(bench.count(&bench.deliveries).await, u32::from(!given_up));
    assert_eq!(bench.count(&bench.dead_letters).await, u32::from(given_up));
    if given_up {
        let letter = bench.next_letter().await;
        let message = "The endpoint kept failing, and this delivery was not attempted.";
        assert_eq!(letter.message, message);
        assert_eq!((letter.status, letter.job.attempt), (None, 2));
        assert_eq!(letter.job.hook, HookRef::from(&hook));
    }
}

#[rstest]
#[case(SignedDuration::from_hours(5), true)]
#[case(SignedDuration::from_hours(120), false)]
#[tokio::test]
async fn patience_begins_anew_for_what_lay_in_the_queue_while_nobody_worked_it(
    #[case] lay: SignedDuration,
    #[case] given_up: bool,
) {
    let server = answering(200).await;
    let bench = Bench::new(&[*server.address()], "1m").await;
    let hook = bench.hook(&server.uri()).await;
    let opened = open(&bench, &hook, clock::now() + Duration::from_mins(10)).await;
    let overdue = DeliveryJob {
        not_before: ago(SignedDuration::from_hours(121)),
        ..job(&hook)
    };
    let mut event = event([encoded(overdue)]);
    let sent_at = ago(lay).as_millisecond().to_string();
    let attributes = &mut event.records[0].attributes;
    attributes.insert("SentTimestamp".to_owned(), sent_at);
    let handled = bench.deliver.handle(event, in_time(), &bench.metrics).await;
    assert!(handled.unwrap().batch_item_failures.is_empty());
    assert_eq!(bench.count(&bench.deliveries).await, u32::from(!given_up));
    assert_eq!(bench.count(&bench.dead_letters).await, u32::from(given_up));

    // What waits on is attempted as soon as the endpoint is well again.
    if !given_up {
        let sent = bench.spy.requests("SendMessageBatch");
        let body = sent[0]["Entries"][0]["MessageBody"].as_str().unwrap();
        let due = OpenCircuit {
            probe_at: clock::now(),
            ..opened
        };
        let states = &bench.stores.states;
        let set = states.set_circuit(hook.id, Some(&opened), &due);
        assert!(set.await.unwrap());
        assert!(bench.work_bodies([body.to_owned()]).await.is_empty());
        assert_eq!(requests(&server).await.len(), 1);
    }
}

#[tokio::test]
async fn another_hooks_circuit_is_its_own() {
    let server = answering(200).await;
    let bench = Bench::new(&[*server.address()], "1m").await;
    let (ill, well) = (
        bench.hook(&server.uri()).await,
        bench.hook(&server.uri()).await,
    );
    open(&bench, &ill, clock::now() + Duration::from_mins(10)).await;
    assert!(bench.work([job(&ill), job(&well)]).await.is_empty());
    assert_eq!(bench.stats(&ill).await.total_calls, FAILURES_TO_OPEN);
    assert_eq!(bench.stats(&well).await.total_calls, 1);
}

#[tokio::test]
async fn a_refused_target_was_not_called_and_opens_nothing() {
    let bench = Bench::new(&[], "").await;
    let hook = bench.hook(&url(closed().await)).await;
    assert!(bench.work((0..10).map(|_| job(&hook))).await.is_empty());
    assert_eq!(circuit(&bench, &hook).await, None);
    assert_eq!(bench.stats(&hook).await.total_calls, 0);
    assert_eq!(bench.count(&bench.dead_letters).await, 10);
}
