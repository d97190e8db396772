//! A batch: its jobs run together, do not hurt each other, and are accounted for together.

use std::time::Duration;

use aws_smithy_http_client::Builder;
use futures_util::future::BoxFuture;
use serde_json::json;
use shared::{
    clock,
    deliver::{
        client::DeliveryClient,
        guard::AddressGuard,
        resolve::{Found, Resolve},
    },
    model::{Counts, DeadLetter, DeliveryJob, Hook, QueueMessage},
    queue::Queue,
};
use tokio::io::AsyncWriteExt;
use uuid::Uuid;
use wiremock::{Mock, MockServer, ResponseTemplate, matchers};

use super::{
    bench::{Bench, encoded, in_time, job},
    receiver::{
        answer_next, answering, closed, flooding, listener, read_request, requests, url, writing,
    },
};

#[tokio::test]
async fn ten_jobs_of_one_hook_are_one_read_of_each_table_and_one_write_of_their_outcome() {
    let server = answering(200).await;
    let bench = Bench::new(&[*server.address()], "5s").await;
    let hook = bench.hook(&server.uri()).await;
    assert!(bench.work((0..10).map(|_| job(&hook))).await.is_empty());

    assert_eq!(requests(&server).await.len(), 10);
    let stats = bench.stats(&hook).await;
    assert_eq!(
        (stats.total_calls, stats.last_response_code),
        (10, Some(200))
    );
    assert_eq!(bench.spy.requests("BatchGetItem").len(), 2);
    assert_eq!(bench.spy.requests("UpdateItem").len(), 1);
    // Its sample, once an hour.
    assert_eq!(bench.spy.requests("PutItem").len(), 1);
    assert_eq!(bench.spy.operations().len(), 4);
}

#[tokio::test]
async fn every_hook_of_a_batch_gets_its_own_outcome() {
    let (good, bad) = (answering(200).await, answering(503).await);
    let bench = Bench::new(&[*good.address(), *bad.address()], "5s").await;
    let (well, ill) = (bench.hook(&good.uri()).await, bench.hook(&bad.uri()).await);
    let jobs = [job(&well), job(&ill), job(&well), job(&ill), job(&well)];
    assert!(bench.work(jobs).await.is_empty());

    let last_day = async |hook: &Hook| {
        let state = bench.stores.states.get(hook.id).await.unwrap();
        state.unwrap().periods.last_day(clock::now())
    };
    let counts = |delivered, failed| Counts { delivered, failed };
    assert_eq!(last_day(&well).await, counts(3, 0));
    assert_eq!(last_day(&ill).await, counts(0, 2));
    let (well, ill) = (bench.stats(&well).await, bench.stats(&ill).await);
    assert_eq!((well.total_calls, well.last_response_code), (3, Some(200)));
    assert_eq!((ill.total_calls, ill.last_response_code), (2, Some(503)));
    assert_eq!(bench.count(&bench.deliveries).await, 2);
    // Both of one hook travel together.
    assert_eq!(bench.spy.requests("SendMessageBatch").len(), 1);
}

#[tokio::test]
async fn whatever_is_sent_belongs_to_the_group_of_its_hook() {
    let (busy, gone) = (answering(503).await, answering(410).await);
    let bench = Bench::new(&[*busy.address(), *gone.address()], "5s").await;
    let retried = bench.hook(&busy.uri()).await;
    let given_up = bench.hook(&gone.uri()).await;
    let early = bench.hook(&busy.uri()).await;
    let early = DeliveryJob {
        not_before: clock::now() + Duration::from_hours(1),
        ..job(&early)
    };
    let jobs = [job(&retried), job(&given_up), early];
    assert!(bench.work(jobs).await.is_empty());

    let batches = bench.spy.requests("SendMessageBatch");
    let entries = batches
        .iter()
        .flat_map(|b| b["Entries"].as_array().unwrap());
    let mut sent = 0;
    for entry in entries {
        let body = entry["MessageBody"].as_str().unwrap();
        let hook_id = QueueMessage::decode(body).unwrap().hook_id();
        assert_eq!(entry["MessageGroupId"], hook_id.to_string());
        sent += 1;
    }
    assert_eq!(sent, 3);
}

#[tokio::test]
async fn counts_of_batches_at_the_same_time_add_up() {
    let server = answering(200).await;
    let bench = Bench::new(&[*server.address()], "5s").await;
    let hook = bench.hook(&server.uri()).await;
    let batch = || bench.work((0..10).map(|_| job(&hook)));
    let (first, second, third) = tokio::join!(batch(), batch(), batch());
    assert!([first, second, third].concat().is_empty());
    assert_eq!(bench.stats(&hook).await.total_calls, 30);
}

#[tokio::test]
async fn a_batch_of_none_is_done() {
    let bench = Bench::new(&[], "5s").await;
    assert!(bench.work([]).await.is_empty());
    assert!(bench.spy.requests("BatchGetItem").is_empty());
}

#[tokio::test]
async fn a_job_does_not_wait_for_the_one_before_it() {
    let (first, first_addr) = listener().await;
    let (second, second_addr) = listener().await;
    let bench = Bench::new(&[first_addr, second_addr], "").await;
    let hooks = [
        bench.hook(&url(first_addr)).await,
        bench.hook(&url(second_addr)).await,
    ];
    // The first endpoint answers only when the second has been called.
    let endpoints = async {
        let (mut slow, _) = first.accept().await.unwrap();
        read_request(&mut slow).await;
        let (mut fast, _) = second.accept().await.unwrap();
        read_request(&mut fast).await;
        for mut stream in [fast, slow] {
            let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
            stream.write_all(answer).await.unwrap();
        }
    };
    let (failed, ()) = tokio::join!(bench.work(hooks.iter().map(job)), endpoints);
    assert!(failed.is_empty());
    for hook in &hooks {
        assert_eq!(bench.stats(hook).await.last_response_code, Some(204));
    }
    bench.assert_nothing_queued().await;
}

#[tokio::test]
async fn an_endpoint_that_takes_its_time_delays_nobody_elses_retry_or_record() {
    let (slow, slow_addr) = listener().await;
    let down = answering(503).await;
    let bench = Bench::new(&[slow_addr, *down.address()], "1s").await;
    let hooks = [
        bench.hook(&url(slow_addr)).await,
        bench.hook(&down.uri()).await,
    ];
    let meanwhile = async {
        let (mut stream, _) = slow.accept().await.unwrap();
        read_request(&mut stream).await;
        // The first endpoint answers only when what follows from the second is there.
        let again = bench.next_job().await;
        assert_eq!((again.hook.id, again.attempt), (hooks[1].id, 2));
        while bench.stats(&hooks[1]).await.total_calls == 0 {}
        stream
            .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
            .await
            .unwrap();
    };
    let (failed, ()) = tokio::join!(bench.work(hooks.iter().map(job)), meanwhile);
    assert!(failed.is_empty());
    assert_eq!(bench.stats(&hooks[0]).await.last_response_code, Some(204));
}

#[tokio::test]
async fn a_call_that_hangs_does_not_keep_the_others_of_its_hook() {
    let (endpoint, addr) = listener().await;
    let bench = Bench::new(&[addr], "1s").await;
    let hook = bench.hook(&url(addr)).await;
    let meanwhile = async {
        let (mut hanging, _) = endpoint.accept().await.unwrap();
        read_request(&mut hanging).await;
        for _ in 0..2 {
            answer_next(&endpoint, "503 Busy").await;
        }
        // The first call is answered only when what follows from the others is there.
        while bench.stats(&hook).await.total_calls < 2 {}
        assert_eq!(bench.next_job().await.attempt, 2);
        let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
        hanging.write_all(answer).await.unwrap();
    };
    let jobs = (0..3).map(|_| job(&hook));
    let (failed, ()) = tokio::join!(bench.work(jobs), meanwhile);
    assert!(failed.is_empty());
    let state = bench.stores.states.get(hook.id).await.unwrap().unwrap();
    assert_eq!(state.stats.total_calls, 3);
    // What was written at first is still remembered.
    let codes: Vec<_> = state.attempts().iter().map(|a| a.outcome.code()).collect();
    assert_eq!(codes, [204, 503, 503]);
}

#[tokio::test]
async fn of_a_gathered_batch_with_one_that_hangs_all_others_are_deleted_before_its_end() {
    const GATHERED: usize = 50;
    const PATIENCE: Duration = Duration::from_secs(30);
    let (endpoint, addr) = listener().await;
    let well = answering(204).await;
    let bench = Bench::new(&[addr, *well.address()], "1s").await;
    let (hangs, works) = (bench.hook(&url(addr)).await, bench.hook(&well.uri()).await);
    bench.send(encoded(job(&hangs))).await;
    for _ in 1..GATHERED {
        bench.send(encoded(job(&works))).await;
    }
    let batch = bench.batch(GATHERED).await;
    let meanwhile = async {
        let (mut hanging, _) = endpoint.accept().await.unwrap();
        read_request(&mut hanging).await;
        // It is answered only when its own message is all that is left.
        let all_others = async { while bench.count(&bench.deliveries).await > 1 {} };
        tokio::time::timeout(PATIENCE, all_others).await.unwrap();
        let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
        hanging.write_all(answer).await.unwrap();
    };
    let handling = bench.deliver.handle(batch, in_time(), &bench.metrics);
    let (answer, ()) = tokio::join!(handling, meanwhile);
    assert!(answer.unwrap().batch_item_failures.is_empty());
    assert_eq!(bench.stats(&works).await.total_calls, 49);
    assert_eq!(bench.stats(&hangs).await.total_calls, 1);
    // What is done with has been deleted ten at a time, as SQS takes it.
    assert!(bench.spy.requests("DeleteMessageBatch").len() >= 5);
}

#[tokio::test]
async fn a_hook_that_cannot_be_found_in_time_keeps_no_other_waiting() {
    let server = answering(204).await;
    let mut bench = Bench::new(&[*server.address()], "1s").await;
    let (there, gone) = (
        bench.hook(&server.uri()).await,
        bench.hook(&server.uri()).await,
    );
    // The table has one of the two where its job says, and is silent when it is asked about the other.
    let table = MockServer::start().await;
    let operation =
        |name: &str| matchers::header("x-amz-target", format!("DynamoDB_20120810.{name}"));
    let known = bench.row(&there).await;
    let found = json!({"Responses": {"test-hooks": [known]}, "UnprocessedKeys": {}});
    let reads = Mock::given(operation("BatchGetItem"));
    let reads = reads.respond_with(ResponseTemplate::new(200).set_body_json(found));
    let looks = Mock::given(operation("GetItem"));
    let looks = looks.respond_with(ResponseTemplate::new(200).set_delay(Duration::from_hours(1)));
    reads.mount(&table).await;
    looks.mount(&table).await;
    bench.deliver.stores.hooks = bench.stores_at(&table.uri()).hooks;

    let meanwhile = async {
        while requests(&table).await.len() < 2 {
            tokio::task::yield_now().await;
        }
        // All that is waited for now is the end of the time for reading.
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(10)).await;
        tokio::time::resume();
    };
    let (failed, ()) = tokio::join!(bench.work([job(&there), job(&gone)]), meanwhile);
    assert!(failed.is_empty());
    assert_eq!(bench.stats(&there).await.total_calls, 1);
    // The other one comes again.
    assert_eq!(bench.stats(&gone).await.total_calls, 0);
    assert_eq!(bench.count(&bench.deliveries).await, 1);
    assert_eq!(requests(&server).await.len(), 1);
}

#[tokio::test]
async fn a_batch_that_is_cut_off_names_nothing_that_was_written_before() {
    let (endpoint, addr) = listener().await;
    let (silent_queue, queue_addr) = listener().await;
    let mut bench = Bench::new(&[addr], "1s").await;
    let hook = bench.hook(&url(addr)).await;
    let queue_url = format!("http://{queue_addr}/000000000000/silent");
    let sqs = bench.aws.sqs().config().to_builder();
    let sqs = sqs
        .http_client(Builder::new().build_http())
        .endpoint_url(format!("http://{queue_addr}"))
        .build();
    bench.deliver.deliveries = Queue::new(aws_sdk_sqs::Client::from_conf(sqs), queue_url);
    let jobs: Vec<_> = (0..3)
        .map(|position| DeliveryJob {
            delivery_id: Uuid::from_u128(position),
            ..job(&hook)
        })
        .collect();
    let meanwhile = async {
        let (mut hanging, _) = endpoint.accept().await.unwrap();
        let request = read_request(&mut hanging).await;
        let is_in_it = |job: &DeliveryJob| request.contains(&job.delivery_id.to_string());
        let position = jobs.iter().position(is_in_it).unwrap();
        for _ in 0..2 {
            answer_next(&endpoint, "204 No Content").await;
        }
        // The first call fails when the outcome of the others is there, and its retry gets stuck.
        while bench.stats(&hook).await.total_calls < 2 {}
        let answer = b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n";
        hanging.write_all(answer).await.unwrap();
        let (mut sending, _) = silent_queue.accept().await.unwrap();
        read_request(&mut sending).await;
        // From here on the batch's deadline is all that anything waits for: time jumps there.
        tokio::time::pause();
        (position, sending)
    };
    let (failed, (position, _sending)) = tokio::join!(bench.work(jobs.clone()), meanwhile);
    assert_eq!(failed, [position]);
}

#[tokio::test]
async fn what_has_arrived_is_done_with_when_its_hooks_state_cannot_be_written() {
    let (endpoint, addr) = listener().await;
    let (silent_table, table_addr) = listener().await;
    let mut bench = Bench::new(&[addr], "1s").await;
    let hook = bench.hook(&url(addr)).await;
    bench.deliver.stores.states = bench.stores_at(&format!("http://{table_addr}")).states;
    let meanwhile = async {
        // The state is read in vain, and then written.
        let (reading, _) = silent_table.accept().await.unwrap();
        answer_next(&endpoint, "204 No Content").await;
        let (mut writing, _) = silent_table.accept().await.unwrap();
        let request = read_request(&mut writing).await;
        assert!(request.contains("UpdateItem"), "{request}");
        // From here on the batch's deadline is all that anything waits for: time jumps there.
        tokio::time::pause();
        (reading, writing)
    };
    let (failed, _connections) = tokio::join!(bench.work([job(&hook)]), meanwhile);
    assert!(failed.is_empty());
}

#[tokio::test]
async fn what_is_no_job_fails_alone() {
    let server = answering(200).await;
    let bench = Bench::new(&[*server.address()], "5s").await;
    let hook = bench.hook(&server.uri()).await;
    let letter = DeadLetter {
        job: job(&hook),
        message: "The endpoint answered 500.".to_owned(),
        status: Some(500),
        failed_at: job(&hook).not_before,
    };
    let bodies = [
        encoded(job(&hook)),
        "this is no job".to_owned(),
        String::new(),
        encoded(job(&hook)).replace("delivery.v1", "delivery.v9"),
        QueueMessage::DeadLetter(letter).encode().unwrap(),
        encoded(job(&hook)),
    ];
    assert_eq!(bench.work_bodies(bodies).await, [1, 2, 3, 4]);
    assert_eq!(requests(&server).await.len(), 2);
    assert_eq!(bench.stats(&hook).await.total_calls, 2);
    bench.assert_nothing_queued().await;
}

/// A resolver that panics, in the midst of an attempt.
struct Cursed;

impl Resolve for Cursed {
    fn resolve(&self, _: &str) -> BoxFuture<'static, Found> {
        panic!("on purpose")
    }
}

#[tokio::test]
async fn a_panic_in_one_attempt_fails_that_job_alone() {
    let server = answering(200).await;
    let mut bench = Bench::new(&[], "5s").await;
    let guard = AddressGuard::new(vec![*server.address()]);
    bench.deliver.client = DeliveryClient::with_resolver(guard, Cursed).unwrap();
    let well = bench.hook(&server.uri()).await;
    let cursed = bench.hook("http://cursed.example.com/").await;
    let jobs = [job(&well), job(&cursed), job(&well)];
    assert_eq!(bench.work(jobs).await, [1]);
    assert_eq!(bench.stats(&well).await.total_calls, 2);
    assert_eq!(bench.stats(&cursed).await.total_calls, 0);
    bench.assert_nothing_queued().await;
}

#[tokio::test]
async fn a_history_that_cannot_be_written_repeats_no_request() {
    let server = answering(200).await;
    let down = closed().await;
    let bench = Bench::new(&[*server.address(), down], "5s").await;
    let hooks = [
        bench.hook(&server.uri()).await,
        bench.hook(&url(down)).await,
    ];
    let table = bench.aws.dynamodb().delete_table();
    let deleted = table.table_name("test-hook-state").send().await;
    deleted.unwrap();
    assert!(bench.work(hooks.iter().map(job)).await.is_empty());
    assert_eq!(requests(&server).await.len(), 1);
    assert_eq!(bench.count(&bench.deliveries).await, 1);
}

#[tokio::test]
async fn receivers_that_misbehave_leave_the_rest_of_the_batch_alone() {
    let good = answering(200).await;
    let bad = [
        writing("").await,
        writing("this is no HTTP\r\n\r\n").await,
        writing("HTTP/1.1 500 Oh\r\ncontent-length: 100\r\n\r\n{}").await,
        writing("HTTP/1.1 999 ?\r\ncontent-length: 0\r\n\r\n").await,
        flooding("HTTP/1.1 200 OK\r\n", "x-x: x\r\n").await,
        flooding("HTTP/1.1 503 Busy\r\n\r\n", "x").await,
        closed().await,
    ];
    let allowed: Vec<_> = bad.into_iter().chain([*good.address()]).collect();
    let bench = Bench::new(&allowed, "5s").await;
    let mut jobs = Vec::new();
    let (mut good_hooks, mut bad_hooks) = (Vec::new(), Vec::new());
    for addr in bad {
        bad_hooks.push(bench.hook(&url(addr)).await);
        good_hooks.push(bench.hook(&good.uri()).await);
    }
    for (bad, good) in bad_hooks.iter().zip(&good_hooks) {
        jobs.extend([job(bad), job(good)]);
    }
    assert!(bench.work(jobs).await.is_empty());

    assert_eq!(requests(&good).await.len(), good_hooks.len());
    let mut codes = Vec::new();
    for hook in &bad_hooks {
        codes.push(bench.stats(hook).await.last_response_code.unwrap());
    }
    assert_eq!(codes, [502, 502, 500, 999, 502, 503, 502]);
    for hook in &good_hooks {
        assert_eq!(bench.stats(hook).await.last_response_code, Some(200));
    }
    // A retry for each of the bad ones, and nothing else.
    let queued = usize::try_from(bench.count(&bench.deliveries).await).unwrap();
    assert_eq!(queued, bad_hooks.len());
    assert_eq!(bench.count(&bench.dead_letters).await, 0);
}
