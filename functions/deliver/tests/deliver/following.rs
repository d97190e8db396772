//! One delivery can be followed through the log, from its event's acceptance to its end, by one id.

use std::{
    io,
    sync::{Arc, Mutex},
};

use aws_lambda_events::event::sqs::SqsEvent;
use errors::Errors;
use ingest::{Bus, Ingest};
use serde_json::{Value, json};
use shared::{
    metrics::{Count, Metrics},
    model::{Academy, DeliveryJob},
    queue::Queue,
    telemetry,
};
use tracing::{Instrument, info_span, subscriber::DefaultGuard};
use tracing_subscriber::{
    filter::{LevelFilter, filter_fn},
    layer::SubscriberExt,
};

use super::{
    bench::{ACADEMY, Bench, EVENT, encoded, event, in_time},
    receiver::{answering, closed, url},
};

const EVENT_ID: &str = "task-456-created";

/// What this thread logs in the meantime, as the functions on AWS do.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn start() -> (Self, DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::registry()
            .with(LevelFilter::INFO)
            // The embedded services are in this process, and log as well.
            .with(filter_fn(|metadata| {
                !metadata.target().starts_with("dynoxide")
            }))
            .with(telemetry::json(move || writer.clone()));
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn lines(&self) -> Vec<Value> {
        let written = self.0.lock().unwrap();
        let lines = str::from_utf8(&written).unwrap().lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The messages of the lines that have a value somewhere, each with the request that it is of.
    fn of(&self, value: &str) -> Vec<(String, String)> {
        let lines = self.lines().into_iter();
        lines
            .filter(|line| line.to_string().contains(value))
            .map(|line| {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let request = &line["spans"][0]["requestId"];
                (text(request), text(&line["message"]))
            })
            .collect()
    }
}

/// Works something as Lambda's runtime does, within the span of its request.
async fn in_request<T>(id: &str, work: impl Future<Output = T>) -> T {
    let span = info_span!("invocation", requestId = id);
    work.instrument(span).await
}

/// Publishes an event to the only hook, and returns the delivery of it.
async fn published(bench: &Bench) -> DeliveryJob {
    let (id, name) = (1, "Downtown".to_owned());
    let slug = ACADEMY.to_owned();
    let academy = Academy { id, slug, name };
    let added = bench.stores.identities.add_academy(&academy).await;
    assert!(added.unwrap());
    let deliveries = Queue::new(bench.aws.sqs(), bench.deliveries.clone());
    let bus = Bus::new(Ingest::new(bench.stores.clone(), deliveries), bench.gone());
    let body = json!({
        "id": EVENT_ID, "source": "breathecode.assignments", "detail-type": EVENT,
        "detail": {"academy": ACADEMY, "payload": {"id": 456}},
    });
    let metrics = Metrics::default();
    let publishing = bus.handle(event([body.to_string()]), &metrics);
    let answer = in_request("of-ingest", publishing).await.unwrap();
    assert!(answer.batch_item_failures.is_empty());
    assert_eq!(metrics.counted(Count::EventsAccepted), 1);
    assert_eq!(metrics.counted(Count::JobsQueued), 1);
    bench.next_job().await
}

async fn delivered(bench: &Bench, job: DeliveryJob) {
    let batch = event([encoded(job)]);
    let delivering = bench.deliver.handle(batch, in_time(), &bench.metrics);
    let answer = in_request("of-deliver", delivering).await.unwrap();
    assert!(answer.batch_item_failures.is_empty());
}

async fn recorded(bench: &Bench, batch: SqsEvent) -> Metrics {
    let metrics = Metrics::default();
    let errors = Errors::new(bench.stores.errors.clone());
    let recording = Box::pin(errors.handle(batch, in_time(), &metrics));
    in_request("of-errors", recording).await.unwrap();
    metrics
}

/// A line of the log, as [`Log::of`] has it.
fn line(request: &str, message: &str) -> (String, String) {
    (request.to_owned(), message.to_owned())
}

#[tokio::test]
async fn from_accepted_to_given_up_by_the_events_id_and_by_the_deliverys_own() {
    let server = answering(500).await;
    let bench = Bench::new(&[*server.address()], "").await;
    let hook = bench.hook(&server.uri()).await;
    let (log, _guard) = Log::start();

    let job = published(&bench).await;
    let delivery_id = job.delivery_id.to_string();
    delivered(&bench, job).await;
    let letter = bench.next(&bench.dead_letters).await.body.unwrap();
    let metrics = recorded(&bench, event([letter])).await;
    assert_eq!(metrics.counted(Count::DeadLettersRecorded), 1);

    let by_event = log.of(EVENT_ID);
    let wanted = [
        line("of-ingest", "accepted"),
        line("of-deliver", "attempted"),
        line("of-errors", "given up"),
    ];
    assert_eq!(by_event, wanted);
    assert_eq!(log.of(&delivery_id), wanted[1..]);
    for line in log.lines() {
        if line["message"] != "accepted" {
            assert_eq!(line["delivery_id"], delivery_id, "{line}");
            assert_eq!(line["hook"], hook.id.get(), "{line}");
        }
        assert_eq!(line["event_id"], EVENT_ID, "{line}");
    }
}

#[tokio::test]
async fn the_cause_of_a_failure_stands_under_all_ids() {
    let addr = closed().await;
    let bench = Bench::new(&[addr], "1m").await;
    let hook = bench.hook(&url(addr)).await;
    let (log, _guard) = Log::start();
    let job = published(&bench).await;
    let delivery_id = job.delivery_id.to_string();
    delivered(&bench, job).await;

    let lines = log.lines();
    let mut lines = lines.iter();
    let cause = lines.find(|line| line["message"] == "no answer").unwrap();
    assert_eq!(cause["spans"][0]["requestId"], "of-deliver");
    let of = &cause["spans"][1];
    assert_eq!(of["delivery_id"], delivery_id);
    assert_eq!(of["event_id"], EVENT_ID);
    assert_eq!(of["hook"], hook.id.get());
}

#[tokio::test]
async fn what_is_dropped_or_put_off_or_not_recorded_says_which_delivery_it_is() {
    let server = answering(200).await;
    let bench = Bench::new(&[*server.address()], "1m").await;
    let hook = bench.hook(&server.uri()).await;
    let (log, _guard) = Log::start();
    let job = published(&bench).await;
    bench
        .change(&hook, |hook| {
            hook.subscription.event = "form_entry.added".to_owned();
        })
        .await;
    delivered(&bench, job.clone()).await;
    let tables = bench.aws.dynamodb();
    for table in ["test-hooks", "test-hook-errors"] {
        let request = tables.delete_table().table_name(table);
        request.send().await.unwrap();
    }
    delivered(&bench, job.clone()).await;
    let metrics = recorded(&bench, event([encoded(job.clone())])).await;
    assert_eq!(metrics.counted(Count::DeadLettersFailed), 1);

    let wanted = [
        line("of-deliver", "dropped: the hook does not want it any more"),
        line("of-deliver", "put off"),
        line("of-errors", "a dead letter could not be recorded"),
    ];
    assert_eq!(log.of(&job.delivery_id.to_string()), wanted);
    assert_eq!(log.of(EVENT_ID)[1..], wanted);
}
