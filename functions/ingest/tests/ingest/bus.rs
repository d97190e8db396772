//! What comes over the bus.

use aws_lambda_events::event::sqs::{SqsEvent, SqsMessage};
use aws_sdk_sqs::types::Message;
use ingest::{Bus, Ingest};
use serde_json::{Value, json};
use shared::{
    metrics::{Count, Metrics},
    model::Academy,
    queue::Queue,
};
use testing::{DOWNTOWN, MIAMI, World};

use crate::{ADDED, Function, event, event_with_id};

const SOURCE: &str = "breathecode.admissions";

/// The function with a bus, and the queue of dead events.
pub(crate) struct OnBus {
    pub(crate) function: Function,
    pub(crate) dead_url: String,
    bus: Bus,
    /// What all invocations have come to.
    metrics: Metrics,
}

impl OnBus {
    pub(crate) async fn start() -> Self {
        let function = Function::start().await;
        function.hook(1, DOWNTOWN, ADDED).await;
        let queue = function.world.aws.sqs().create_queue();
        let queue = queue.queue_name("dead-events").send().await.unwrap();
        let dead_url = queue.queue_url.unwrap();
        let bus = Self::over(&function.world, &function.queue_url, &dead_url);
        Self {
            function,
            dead_url,
            bus,
            metrics: Metrics::default(),
        }
    }

    fn over(world: &World, deliveries_url: &str, dead_url: &str) -> Bus {
        let sqs = world.aws.sqs();
        let deliveries = Queue::new(sqs.clone(), deliveries_url.to_owned());
        let ingest = Ingest::new(world.stores.clone(), deliveries);
        Bus::new(ingest, Queue::new(sqs, dead_url.to_owned()))
    }

    /// Works a batch of these bodies, and returns the positions of those that SQS is to redeliver.
    async fn work(&self, bodies: &[String]) -> Vec<usize> {
        worked(&self.bus, bodies, &self.metrics).await
    }

    /// Takes the dead events: each body with its reason, sorted by body.
    pub(crate) async fn dead(&self) -> Vec<(String, String)> {
        let sqs = self.function.world.aws.sqs();
        let request = sqs.receive_message().queue_url(&self.dead_url);
        let request = request
            .max_number_of_messages(10)
            .message_attribute_names("reason");
        let received = request.send().await.unwrap();
        let taken = |message: Message| {
            let reason = message.message_attributes.unwrap()["reason"].clone();
            (message.body.unwrap(), reason.string_value.unwrap())
        };
        let messages = received.messages.unwrap_or_default().into_iter();
        let mut dead: Vec<_> = messages.map(taken).collect();
        dead.sort();
        dead
    }
}

async fn again(bus: &Bus, bodies: &[String]) -> Vec<usize> {
    worked(bus, bodies, &Metrics::default()).await
}

async fn worked(bus: &Bus, bodies: &[String], metrics: &Metrics) -> Vec<usize> {
    let mut batch = SqsEvent::default();
    batch.records = bodies
        .iter()
        .enumerate()
        .map(|(position, body)| {
            let mut message = SqsMessage::default();
            message.message_id = Some(position.to_string());
            message.body = Some(body.clone());
            message
        })
        .collect();
    let answer = bus.handle(batch, metrics).await.unwrap();
    let failed = answer.batch_item_failures.into_iter();
    failed
        .map(|failure| failure.item_identifier.parse().unwrap())
        .collect()
}

fn on_bus(id: &str, detail_type: &str, detail: &Value) -> String {
    json!({
        "version": "0", "id": id, "detail-type": detail_type, "source": SOURCE,
        "account": "123456789012", "time": "2025-01-20T15:30:00Z", "region": "us-east-1",
        "resources": [], "detail": detail,
    })
    .to_string()
}

fn added(id: &str, detail: &Value) -> String {
    on_bus(id, ADDED, detail)
}

fn student() -> Value {
    json!({"academy": DOWNTOWN, "payload": {"id": 234}})
}

#[tokio::test]
async fn events_and_changes_are_published() {
    let on_bus_too = OnBus::start().await;
    let change = json!({
        "model": "admissions.CohortUser", "before": null,
        "after": {"id": 235, "educational_status": "ACTIVE", "cohort": {"id": 12, "academy": 1}},
    });
    let bodies = [added("e-1", &student()), on_bus("c-1", "change", &change)];
    assert!(on_bus_too.work(&bodies).await.is_empty());
    let mut jobs = on_bus_too.function.jobs().await;
    jobs.sort_by(|a, b| a.payload.get().cmp(b.payload.get()));
    let told: Vec<_> = jobs
        .iter()
        .map(|job| {
            (
                job.event_id.as_str(),
                job.event.as_str(),
                job.academy.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("e-1", ADDED, Some(DOWNTOWN)),
            ("c-1", ADDED, Some(DOWNTOWN))
        ]
    );
    assert!(on_bus_too.dead().await.is_empty());
}

#[tokio::test]
async fn what_the_queue_hands_out_again_is_published_once() {
    let OnBus { function, bus, .. } = &OnBus::start().await;
    let body = added("e-1", &student());
    for _ in 0..2 {
        let bodies = [body.clone(), body.clone()];
        assert!(again(bus, &bodies).await.is_empty());
    }
    assert_eq!(function.queued().await, [1]);
    // An id of the publisher's own counts for the event, however often it is put on the bus.
    let mut named = student();
    named["id"] = json!("cohort-user-234-added");
    for id in ["e-2", "e-3"] {
        assert!(again(bus, &[added(id, &named)]).await.is_empty());
    }
    assert_eq!(function.jobs().await[0].event_id, "cohort-user-234-added");
    assert_eq!(function.queued().await, Vec::<u64>::new());
    // What is published over the API has other ids.
    function.publish(&event_with_id("e-1")).await.expect(202);
    assert_eq!(function.queued().await, [1]);
}

#[tokio::test]
async fn what_is_wrong_is_dead_at_once_with_its_reason_and_spoils_nothing() {
    let on_bus_too = OnBus::start().await;
    let secret = json!({"academy": DOWNTOWN, "payload": {"id": "jane.doe@example.com"}});
    let nowhere = json!({"academy": "nowhere", "payload": {"id": 1}});
    let no_model = json!({"model": "auth.User", "before": null, "after": {}});
    let wrong = [
        (
            added("1", &secret),
            "payload.id: Expected a record's number, got a string.",
        ),
        (
            added("2", &json!({})),
            "academy: This field is required. payload: This field is required.",
        ),
        (
            added("3", &json!("text")),
            "non_field_errors: Invalid data. Expected a dictionary, but got str.",
        ),
        (added("4", &nowhere), "Unexpected academy nowhere"),
        (
            on_bus("5", "no.such_event", &student()),
            "Unexpected event no.such_event",
        ),
        (
            on_bus("6", "change", &no_model),
            "Unexpected model auth.User; the models with events are ",
        ),
        ("{bad".to_owned(), "JSON parse error - "),
        (
            json!({"detail": {}}).to_string(),
            "id: This field is required. source: This field is required. detail-type: This field is required.",
        ),
    ];
    let mut bodies: Vec<_> = wrong.iter().map(|(body, _)| body.clone()).collect();
    bodies.push(added("9", &student()));
    assert!(on_bus_too.work(&bodies).await.is_empty());
    assert_eq!(on_bus_too.function.queued().await, [1]);
    let dead = on_bus_too.dead().await;
    assert_eq!(dead.len(), wrong.len());
    for (body, reason) in &wrong {
        let (_, found) = dead.iter().find(|(dead, _)| dead == body).unwrap();
        assert!(found.starts_with(reason), "{found}");
        assert!(!found.contains("jane.doe"), "{found}");
    }
}

#[tokio::test]
async fn a_reason_is_cut_short_and_has_no_characters_that_the_queue_refuses() {
    let on_bus_too = OnBus::start().await;
    let academy = format!("\u{0}\u{ffff}{}", "x".repeat(5_000));
    let detail = json!({"academy": academy, "payload": {"id": 234}});
    // Escaped, as no message could have them otherwise.
    let body = added("e-1", &detail).replace('\u{ffff}', "\\uffff");
    assert!(on_bus_too.work(&[body]).await.is_empty());
    let (_, reason) = on_bus_too.dead().await.remove(0);
    let beginning = "Unexpected academy \u{fffd}\u{fffd}xxx";
    assert!(reason.starts_with(beginning), "{reason}");
    assert_eq!(reason.len(), 1024);
    // There is room for the message at least.
    let bytes = 1024 * 1024 - added("e-2", &json!({})).len();
    let body = added("e-2", &json!({})).replacen("{}", &format!("{{{}}}", " ".repeat(bytes)), 1);
    assert_eq!(body.len(), 1024 * 1024);
    assert!(on_bus_too.work(&[body]).await.is_empty());
}

#[tokio::test]
async fn dead_event_can_be_resent_when_it_is_right() {
    let on_bus_too = OnBus::start().await;
    let world = &on_bus_too.function.world;
    let body = added("e-1", &json!({"academy": "lisbon", "payload": {"id": 1}}));
    assert!(on_bus_too.work(&[body]).await.is_empty());
    let (body, _) = on_bus_too.dead().await.remove(0);
    let lisbon = Academy {
        id: 7,
        slug: "lisbon".to_owned(),
        name: "Lisbon".to_owned(),
    };
    world.stores.identities.add_academy(&lisbon).await.unwrap();
    on_bus_too.function.hook(2, "lisbon", ADDED).await;
    assert!(on_bus_too.work(&[body]).await.is_empty());
    assert_eq!(on_bus_too.function.queued().await, [2]);
}

#[tokio::test]
async fn event_that_cannot_be_queued_is_retried_and_not_dead_lettered() {
    let on_bus_too = OnBus::start().await;
    let OnBus {
        function, dead_url, ..
    } = &on_bus_too;
    let elsewhere = |url: &str| url.replace("deliveries", "gone").replace("dead", "gone");
    let bodies = [
        added("e-1", &student()),
        added("e-2", &json!({"academy": MIAMI, "payload": {"id": 1}})),
        added("e-3", &json!({})),
    ];
    let broken = OnBus::over(&function.world, &elsewhere(&function.queue_url), dead_url);
    // What is for nobody needs no queue, and what is wrong does not get better by waiting.
    assert_eq!(again(&broken, &bodies).await, [0]);
    assert_eq!(on_bus_too.dead().await.len(), 1);

    // Without a queue for the dead, what is wrong is redelivered, and that alone.
    let broken = OnBus::over(&function.world, &function.queue_url, &elsewhere(dead_url));
    assert_eq!(again(&broken, &bodies).await, [2]);
    assert_eq!(function.queued().await, [1]);

    assert!(on_bus_too.work(&bodies).await.is_empty());
    assert_eq!(function.queued().await, Vec::<u64>::new());
    assert_eq!(on_bus_too.dead().await.len(), 1);
}

#[tokio::test]
async fn an_event_over_the_bus_is_the_one_over_the_api() {
    let OnBus { function, bus, .. } = &OnBus::start().await;
    let published = event(ADDED, DOWNTOWN);
    function.publish(&published).await.expect(202);
    let mut detail = published;
    detail.as_object_mut().unwrap().remove("event");
    assert!(again(bus, &[added("e-1", &detail)]).await.is_empty());
    let jobs = function.jobs().await;
    assert_eq!(jobs.len(), 2);
    assert_eq!(jobs[0].payload.get(), jobs[1].payload.get());
    assert_eq!(
        (&jobs[0].academy, &jobs[0].hook),
        (&jobs[1].academy, &jobs[1].hook)
    );
}

#[tokio::test]
async fn what_is_accepted_and_queued_and_wrong_is_counted_once() {
    let on_bus = OnBus::start().await;
    on_bus.function.hook(2, DOWNTOWN, ADDED).await;
    let wrong = added("e-2", &json!({"payload": {"id": 234}}));
    let bodies = [added("e-1", &student()), added("e-1", &student()), wrong];
    assert!(on_bus.work(&bodies).await.is_empty());
    // The first one's id is known by now.
    assert!(on_bus.work(&bodies[..1]).await.is_empty());

    let counted = [
        Count::EventsAccepted,
        Count::JobsQueued,
        Count::EventsPutAside,
    ];
    let counted = counted.map(|what| on_bus.metrics.counted(what));
    assert_eq!(counted, [1, 2, 1]);
}

#[tokio::test]
async fn what_the_queue_does_not_take_is_not_counted() {
    let on_bus = OnBus::start().await;
    let function = &on_bus.function;
    let gone = function.queue_url.replace("deliveries", "gone");
    let bus = OnBus::over(&function.world, &gone, &on_bus.dead_url);
    let metrics = Metrics::default();
    assert_eq!(
        worked(&bus, &[added("e-1", &student())], &metrics).await,
        [0]
    );
    assert_eq!(metrics.counted(Count::EventsAccepted), 0);
    assert_eq!(metrics.counted(Count::JobsQueued), 0);
}

#[tokio::test]
async fn an_id_that_is_null_is_none_and_the_bus_s_own_counts() {
    let on_bus = OnBus::start().await;
    let with_null = |id: &str| {
        let detail = json!({"academy": DOWNTOWN, "payload": {"id": 234}, "id": null});
        let change = json!({
            "model": "admissions.CohortUser", "before": null, "id": null,
            "after": {"id": 235, "educational_status": "ACTIVE", "cohort": {"id": 12, "academy": 1}},
        });
        [added(id, &detail), self::on_bus(id, "change", &change)]
    };
    let mut first = Vec::new();
    for round in 0..2 {
        assert!(on_bus.work(&with_null("bus-1")).await.is_empty());
        let jobs = on_bus.function.jobs().await;
        assert_eq!(jobs.len(), if round == 0 { 2 } else { 0 });
        first.extend(jobs.into_iter().map(|job| (job.event_id, job.delivery_id)));
    }
    assert!(first.iter().all(|(event_id, _)| event_id == "bus-1"));
    // Another round without the record of the first: the deliveries are still known by their ids.
    let other = OnBus::start().await;
    assert!(other.work(&with_null("bus-1")).await.is_empty());
    let again = other.function.jobs().await;
    let again: Vec<_> = again
        .into_iter()
        .map(|job| (job.event_id, job.delivery_id))
        .collect();
    let sorted = |mut ids: Vec<(String, uuid::Uuid)>| {
        ids.sort();
        ids
    };
    assert_eq!(sorted(again), sorted(first));
}
