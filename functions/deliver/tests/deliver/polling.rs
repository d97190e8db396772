//! The whole way of a delivery: from the queue through the polling loop to the endpoint, or to the
//! HookError of its owner.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use aws_sdk_sqs::types::QueueAttributeName;
use emulator::{EventSource, GROUP_IN_FLIGHT, chain_length};
use errors::Errors;
use shared::{
    metrics::Metrics,
    model::QueueMessage,
    queue::{Outgoing, Queue},
};
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;
use wiremock::{Mock, MockServer, ResponseTemplate, matchers};

use super::{
    bench::{ACADEMY, Bench, encoded, in_time, job},
    receiver::{answering, listener, requests, url},
};

type Answer = Result<SqsBatchResponse, lambda_runtime::Error>;

/// Loops over queues, until they are stopped.
#[derive(Default)]
struct Loops {
    stop: CancellationToken,
    running: JoinSet<()>,
}

impl Loops {
    fn start<F, Fut>(&mut self, bench: &Bench, queue_url: &str, handler: F)
    where
        F: Fn(SqsEvent) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = Answer> + Send + 'static,
    {
        self.start_with(bench, queue_url, 2, handler);
    }

    fn start_with<F, Fut>(&mut self, bench: &Bench, queue_url: &str, concurrency: usize, handler: F)
    where
        F: Fn(SqsEvent) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = Answer> + Send + 'static,
    {
        let source = EventSource {
            client: bench.aws.sqs(),
            queue_url: queue_url.to_owned(),
            batch_size: 10,
            concurrency,
        };
        self.running.spawn(source.run(handler, self.stop.clone()));
    }

    fn delivering(&mut self, bench: &Bench) {
        self.delivering_with(bench, 2);
    }

    fn delivering_with(&mut self, bench: &Bench, workers: usize) {
        let (deliver, metrics) = (bench.deliver.clone(), bench.metrics.clone());
        self.start_with(bench, &bench.deliveries, workers, move |event| {
            let (deliver, metrics) = (deliver.clone(), metrics.clone());
            async move { deliver.handle(event, in_time(), &metrics).await }
        });
    }

    fn recording(&mut self, bench: &Bench) {
        let errors = Errors::new(bench.stores.errors.clone());
        self.start(bench, &bench.dead_letters, move |event| {
            let errors = errors.clone();
            async move { errors.handle(event, in_time(), &Metrics::default()).await }
        });
    }

    async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.running.join_next().await {
            ended.unwrap();
        }
    }
}

/// Waits until a check holds.
async fn until(check: impl AsyncFn() -> bool) {
    let holds = async {
        while !check().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(30), holds).await;
    assert!(in_time.is_ok(), "it never came true");
}

async fn is_empty(bench: &Bench) -> bool {
    bench.count(&bench.deliveries).await == 0 && bench.count(&bench.dead_letters).await == 0
}

#[tokio::test]
async fn a_delivery_that_fails_at_first_arrives_at_last() {
    let server = MockServer::start().await;
    Mock::given(matchers::any())
        .respond_with(ResponseTemplate::new(500))
        .up_to_n_times(1)
        .mount(&server)
        .await;
    Mock::given(matchers::any())
        .respond_with(ResponseTemplate::new(200))
        .mount(&server)
        .await;
    let bench = Bench::new(&[*server.address()], "1s").await;
    let hook = bench.hook(&server.uri()).await;
    let mut loops = Loops::default();
    loops.delivering(&bench);
    loops.recording(&bench);
    bench.send(encoded(job(&hook))).await;

    until(async || is_empty(&bench).await).await;
    loops.stop().await;
    let bodies = requests(&server).await.into_iter().map(|r| r.body);
    let sent = job(&hook).payload.get().as_bytes().to_vec();
    assert_eq!(bodies.collect::<Vec<_>>(), [sent.clone(), sent]);
    let stats = bench.stats(&hook).await;
    assert_eq!(
        (stats.total_calls, stats.last_response_code),
        (2, Some(200))
    );
    assert!(bench.stores.errors.everywhere().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_endpoint_that_hangs_does_not_keep_the_others_waiting() {
    const EVENTS: usize = 100;
    const WORKERS: usize = 80;
    let (hanging, hanging_addr) = listener().await;
    let server = answering(200).await;
    let bench = Bench::new(&[hanging_addr, *server.address()], "1s").await;
    let ill = bench.hook(&url(hanging_addr)).await;
    let mut hooks = vec![ill.clone()];
    for _ in 0..9 {
        hooks.push(bench.hook(&server.uri()).await);
    }
    let held = Arc::new(Mutex::new(Vec::new()));
    tokio::spawn({
        let held = Arc::clone(&held);
        async move {
            while let Ok((stream, _)) = hanging.accept().await {
                held.lock().unwrap().push(stream);
            }
        }
    });
    let set = bench.aws.sqs().set_queue_attributes();
    let set = set
        .queue_url(&bench.deliveries)
        .attributes(QueueAttributeName::VisibilityTimeout, "300");
    set.send().await.unwrap();
    // Each event is for all ten, so that every batch has a job that hangs.
    let events = (0..EVENTS).flat_map(|_| hooks.iter().map(job));
    let jobs = events.map(|job| Outgoing::now(QueueMessage::Delivery(job)));
    assert!(bench.deliver.deliveries.send(jobs).await.is_empty());

    let mut loops = Loops::default();
    loops.delivering_with(&bench, WORKERS);
    until(async || requests(&server).await.len() == EVENTS * 9).await;
    assert!(held.lock().unwrap().len() <= GROUP_IN_FLIGHT as usize);
    assert_eq!(bench.stats(&ill).await.total_calls, 0);
}

#[tokio::test]
async fn a_delivery_that_is_given_up_is_its_owners_hook_error() {
    let server = answering(500).await;
    let bench = Bench::new(&[*server.address()], "1s").await;
    let hook = bench.hook(&server.uri()).await;
    let mut loops = Loops::default();
    loops.delivering(&bench);
    loops.recording(&bench);
    bench.send(encoded(job(&hook))).await;

    until(async || is_empty(&bench).await).await;
    loops.stop().await;
    let errors = bench.stores.errors.of_owner(ACADEMY).await.unwrap();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].error.message, "The endpoint answered 500.");
    assert_eq!(
        (errors[0].error.count, errors[0].error.hooks.as_slice()),
        (1, [hook.id].as_slice())
    );
    assert_eq!(bench.stats(&hook).await.total_calls, 2);
}

/// Lambda counts a function's invocations from message to message, and would stop a chain of 16 if the template did
/// not allow it.
#[tokio::test]
async fn the_chain_of_invocations_is_as_long_as_a_delivery_has_attempts() {
    let server = answering(500).await;
    let mut bench = Bench::new(&[*server.address()], "1s,1s").await;
    bench.deliver.deliveries = Queue::new(bench.aws.sqs(), bench.deliveries.clone());
    let hook = bench.hook(&server.uri()).await;
    let (lengths, mut counted) = mpsc::unbounded_channel();
    let deliver = bench.deliver.clone();
    let mut loops = Loops::default();
    loops.start(&bench, &bench.deliveries, move |event| {
        lengths.send(chain_length(&event)).unwrap();
        let deliver = deliver.clone();
        async move { deliver.handle(event, in_time(), &Metrics::default()).await }
    });
    bench.send(encoded(job(&hook))).await;

    until(async || bench.count(&bench.dead_letters).await == 1).await;
    loops.stop().await;
    let mut chain = Vec::new();
    while let Some(length) = counted.recv().await {
        chain.push(length);
    }
    assert_eq!(chain, [1, 2, 3]);
    assert_eq!(requests(&server).await.len(), 3);
}

#[tokio::test]
async fn a_job_that_crashes_its_worker_is_its_owners_hook_error() {
    let bench = Bench::new(&[], "1s").await;
    let hook = bench.hook("https://hooks.example.com").await;
    let mut loops = Loops::default();
    loops.start(&bench, &bench.deliveries, |_| async {
        panic!("on purpose")
    });
    loops.recording(&bench);
    bench.send(encoded(job(&hook))).await;

    until(async || is_empty(&bench).await).await;
    loops.stop().await;
    let errors = bench.stores.errors.of_owner(ACADEMY).await.unwrap();
    assert_eq!(errors.len(), 1);
    assert_eq!(
        errors[0].error.message,
        "The delivery was interrupted again and again."
    );
    assert_eq!(
        (errors[0].error.count, errors[0].error.hooks.as_slice()),
        (1, [hook.id].as_slice())
    );
}

#[tokio::test]
async fn poison_leaves_the_others_alone_and_stays_for_the_operator() {
    let server = answering(200).await;
    let bench = Bench::new(&[*server.address()], "1s").await;
    let hook = bench.hook(&server.uri()).await;
    bench.send("this is no job".to_owned()).await;
    bench.send(encoded(job(&hook))).await;
    let mut loops = Loops::default();
    loops.delivering(&bench);
    until(async || bench.count(&bench.dead_letters).await == 1).await;
    loops.stop().await;
    assert_eq!(bench.count(&bench.deliveries).await, 0);
    assert_eq!(requests(&server).await.len(), 1);

    // Nor can `errors` make anything of it: its answer leaves it in the queue.
    let (answers, mut answered) = mpsc::unbounded_channel();
    let errors = Errors::new(bench.stores.errors.clone());
    let mut loops = Loops::default();
    loops.start(&bench, &bench.dead_letters, move |event: SqsEvent| {
        let (errors, answers) = (errors.clone(), answers.clone());
        async move {
            let answer = errors.handle(event, in_time(), &Metrics::default()).await?;
            answers.send(answer.batch_item_failures.len())?;
            Ok(answer)
        }
    });
    assert_eq!(answered.recv().await, Some(1));
    loops.stop().await;
    assert_eq!(bench.count(&bench.dead_letters).await, 1);
    assert!(bench.stores.errors.everywhere().await.unwrap().is_empty());
}
