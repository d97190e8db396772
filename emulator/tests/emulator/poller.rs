//! The loop that stands in for Lambda's event source mapping.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use aws_sdk_sqs::{Client, types::QueueAttributeName};
use emulator::{EventSource, LocalAws, chain_length};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::{counts, local, next, queue, redrive_to, send, until_counts};

type Answer = Result<SqsBatchResponse, lambda_runtime::Error>;

/// A running loop.
struct Loop {
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Loop {
    fn start<F, Fut>(sqs: Client, queue: &str, concurrency: usize, handler: F) -> Self
    where
        F: Fn(SqsEvent) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = Answer> + Send + 'static,
    {
        let source = EventSource {
            client: sqs,
            queue_url: queue.to_owned(),
            batch_size: 10,
            concurrency,
        };
        let stop = CancellationToken::new();
        let running = tokio::spawn(source.run(handler, stop.clone()));
        Self { stop, running }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.running.await.unwrap();
    }
}

/// Servers, and a queue that moves what fails for the second time to another.
async fn queues() -> (LocalAws, String, String) {
    let local = local().await;
    let sqs = local.sqs();
    let dead = queue(&sqs, "dead", &[]).await;
    let policy = redrive_to("dead", 2);
    let attributes = [
        (QueueAttributeName::RedrivePolicy, policy.as_str()),
        (QueueAttributeName::VisibilityTimeout, "1"),
    ];
    let jobs = queue(&sqs, "jobs", &attributes).await;
    (local, jobs, dead)
}

fn bodies(event: &SqsEvent) -> Vec<String> {
    let bodies = event.records.iter();
    bodies.map(|record| record.body.clone().unwrap()).collect()
}

#[tokio::test]
async fn an_event_says_what_lambdas_would_and_its_messages_are_deleted() {
    let (local, jobs, _) = queues().await;
    let sqs = local.sqs();
    let (events, mut invocations) = mpsc::unbounded_channel();
    let handler = move |event| {
        events.send(event).unwrap();
        async { Ok(SqsBatchResponse::default()) }
    };
    let source = Loop::start(sqs.clone(), &jobs, 2, handler);
    let id = send(&sqs, &jobs, "x").await;

    let event: SqsEvent = invocations.recv().await.unwrap();
    let record = &event.records[0];
    assert_eq!(record.message_id.as_ref(), Some(&id));
    assert_eq!(record.body.as_deref(), Some("x"));
    assert_eq!(
        record.md5_of_body.as_deref(),
        Some("9dd4e461268c8034f5c8564e155c67a6")
    );
    assert_eq!(record.event_source.as_deref(), Some("aws:sqs"));
    assert_eq!(record.aws_region.as_deref(), Some("us-east-1"));
    assert_eq!(
        record.event_source_arn.as_deref(),
        Some("arn:aws:sqs:us-east-1:000000000000:jobs")
    );
    assert_eq!(record.attributes["ApproximateReceiveCount"], "1");
    assert!(record.attributes.contains_key("SentTimestamp"));
    until_counts(&sqs, &jobs, [0, 0, 0]).await;
    source.stop().await;
}

#[tokio::test]
async fn of_a_partial_failure_only_the_failed_come_back() {
    let (local, jobs, dead) = queues().await;
    let sqs = local.sqs();
    let (events, mut invocations) = mpsc::unbounded_channel();
    let handler = move |event: SqsEvent| {
        let mut answer = SqsBatchResponse::default();
        for record in &event.records {
            if record.body.as_deref() == Some("bad") {
                answer.add_failure(record.message_id.clone().unwrap());
            }
        }
        events.send(bodies(&event)).unwrap();
        async { Ok(answer) }
    };
    for body in ["good", "bad", "good"] {
        send(&sqs, &jobs, body).await;
    }
    let source = Loop::start(sqs.clone(), &jobs, 2, handler);

    assert_eq!(invocations.recv().await.unwrap(), ["good", "bad", "good"]);
    assert_eq!(invocations.recv().await.unwrap(), ["bad"]);
    assert_eq!(next(&sqs, &dead).await.body(), Some("bad"));
    assert_eq!(counts(&sqs, &jobs).await, [0, 0, 0]);
    source.stop().await;
}

/// Two messages to a handler that never completes: both are tried as often as the queue allows,
/// and are then dead letters.
async fn nothing_is_deleted<Fut>(answer: impl Fn(SqsEvent) -> Fut + Clone + Send + 'static)
where
    Fut: Future<Output = Answer> + Send + 'static,
{
    let (local, jobs, dead) = queues().await;
    let sqs = local.sqs();
    send(&sqs, &jobs, "a").await;
    send(&sqs, &jobs, "b").await;
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    let handler = move |event: SqsEvent| {
        counted.fetch_add(event.records.len(), Ordering::Relaxed);
        answer(event)
    };
    let source = Loop::start(sqs.clone(), &jobs, 2, handler);
    until_counts(&sqs, &dead, [2, 0, 0]).await;
    assert_eq!(tries.load(Ordering::Relaxed), 4);
    assert_eq!(counts(&sqs, &jobs).await, [0, 0, 0]);
    source.stop().await;
}

#[tokio::test]
async fn an_error_of_the_handler_deletes_nothing() {
    nothing_is_deleted(|_| async { Err("no".into()) }).await;
}

#[tokio::test]
async fn a_panic_of_the_handler_deletes_nothing_and_ends_nothing() {
    nothing_is_deleted(|_| async { panic!("on purpose") }).await;
}

#[tokio::test]
async fn a_panic_before_the_handlers_future_deletes_nothing_and_ends_nothing() {
    nothing_is_deleted(|event: SqsEvent| {
        assert!(event.records.is_empty(), "on purpose");
        async { Ok(SqsBatchResponse::default()) }
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_names_a_stranger_deletes_nothing() {
    nothing_is_deleted(|_| async {
        let mut answer = SqsBatchResponse::default();
        answer.add_failure("stranger");
        Ok(answer)
    })
    .await;
}

#[tokio::test]
async fn an_answer_with_an_empty_identifier_deletes_nothing() {
    nothing_is_deleted(|_| async {
        let mut answer = SqsBatchResponse::default();
        answer.add_failure("");
        Ok(answer)
    })
    .await;
}

#[tokio::test]
async fn what_there_is_no_room_for_stays_visible() {
    let local = local().await;
    let sqs = local.sqs();
    let jobs = queue(&sqs, "jobs", &[]).await;
    let (starts, mut started) = mpsc::unbounded_channel();
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let handler = move |event: SqsEvent| {
        starts.send(event.records.len()).unwrap();
        let gate = Arc::clone(&opened);
        async move {
            gate.acquire().await.unwrap().forget();
            Ok(SqsBatchResponse::default())
        }
    };
    let source = EventSource {
        client: sqs.clone(),
        queue_url: jobs.clone(),
        batch_size: 1,
        concurrency: 2,
    };
    for _ in 0..3 {
        send(&sqs, &jobs, "x").await;
    }
    let stop = CancellationToken::new();
    let running = tokio::spawn(source.run(handler, stop.clone()));

    assert_eq!(started.recv().await, Some(1));
    assert_eq!(started.recv().await, Some(1));
    assert_eq!(counts(&sqs, &jobs).await, [1, 2, 0]);
    assert!(started.try_recv().is_err());
    gate.add_permits(1);
    assert_eq!(started.recv().await, Some(1));
    gate.add_permits(2);
    until_counts(&sqs, &jobs, [0, 0, 0]).await;
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn a_shutdown_waits_for_what_is_under_way_and_deletes_it() {
    let local = local().await;
    let sqs = local.sqs();
    let jobs = queue(&sqs, "jobs", &[]).await;
    let (starts, mut started) = mpsc::unbounded_channel();
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let handler = move |_| {
        starts.send(()).unwrap();
        let gate = Arc::clone(&opened);
        async move {
            gate.acquire().await.unwrap().forget();
            Ok(SqsBatchResponse::default())
        }
    };
    send(&sqs, &jobs, "x").await;
    // With room for one only, it does not poll while that one is under way.
    let source = Loop::start(sqs.clone(), &jobs, 1, handler);
    started.recv().await.unwrap();
    source.stop.cancel();
    send(&sqs, &jobs, "too late").await;
    assert!(!source.running.is_finished());
    gate.add_permits(1);
    source.stop().await;
    assert_eq!(counts(&sqs, &jobs).await, [1, 0, 0]);
}

#[tokio::test]
async fn the_loop_outlives_errors_of_its_queue() {
    let local = local().await;
    let sqs = local.sqs();
    let (events, mut invocations) = mpsc::unbounded_channel();
    let handler = move |event: SqsEvent| {
        events.send(bodies(&event)).unwrap();
        async { Ok(SqsBatchResponse::default()) }
    };
    let url = format!("{}/000000000000/later", local.sqs_url());
    let source = Loop::start(sqs.clone(), &url, 2, handler);
    let later = queue(&sqs, "later", &[]).await;
    send(&sqs, &later, "x").await;
    assert_eq!(invocations.recv().await.unwrap(), ["x"]);
    source.stop().await;
}

/// A function that sends what it gets to its own queue invokes itself, which Lambda counts and may stop.
#[tokio::test]
async fn a_chain_of_invocations_is_counted_from_message_to_message() {
    let (local, jobs, _dead) = queues().await;
    let sqs = local.sqs();
    let (lengths, mut counted) = mpsc::unbounded_channel();
    let (queue, client) = (jobs.clone(), sqs.clone());
    let handler = move |event: SqsEvent| {
        let (lengths, queue, client) = (lengths.clone(), queue.clone(), client.clone());
        async move {
            lengths.send(chain_length(&event)).unwrap();
            for left in bodies(&event)
                .iter()
                .filter_map(|body| body.parse::<u32>().unwrap().checked_sub(1))
            {
                send(&client, &queue, &left.to_string()).await;
            }
            Ok(SqsBatchResponse::default())
        }
    };
    let running = Loop::start(sqs.clone(), &jobs, 1, handler);
    for chain in [vec![1, 2, 3, 4], vec![1]] {
        send(&sqs, &jobs, &(chain.len() - 1).to_string()).await;
        for length in chain {
            assert_eq!(counted.recv().await, Some(length));
        }
    }
    running.stop().await;
}
