//! What the tests work with: tables and queues in memory, and the function between them.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};
use aws_smithy_http_client::Builder;
use deliver::Deliver;
use emulator::{LocalAws, Storage};
use jiff::Timestamp;
use serde_json::{Value, json, value::RawValue};
use shared::{
    clock,
    deadline::Deadline,
    deliver::{client::DeliveryClient, guard::AddressGuard},
    metrics::Metrics,
    model::{DeadLetter, DeliveryJob, Hook, HookRef, HookStats, QueueMessage, Scope, Subscription},
    queue::Queue,
    store::{Stores, TableNames, create_tables},
};
use testing::{Environment, Spy, take_jobs};
use uuid::Uuid;

/// The academy that owns the hooks unless a test says otherwise.
pub(crate) const ACADEMY: &str = "downtown-campus";

/// The event that its hooks hear.
pub(crate) const EVENT: &str = "assignment.assignment_created";

/// A payload that shows whether anything has read and written it again on its way.
pub(crate) const PAYLOAD: &str = "{\"price\": 299.00,  \"big\":12345678901234567890123,\"a\":1,\"a\":2,\n\"e\":1E2,\"s\":\"\\u00e9é\"}";

/// What a signed request has.
const SIGNED: &str = "AWS4-HMAC-SHA256 Credential=a/20250120/us-east-1/dynamodb/aws4_request, \
                      SignedHeaders=host, Signature=0";

/// The function and all that it touches.
pub(crate) struct Bench {
    pub(crate) aws: LocalAws,
    pub(crate) deliver: Deliver,
    pub(crate) stores: Stores,
    pub(crate) spy: Spy,
    /// What all invocations have come to.
    pub(crate) metrics: Metrics,
    pub(crate) deliveries: String,
    pub(crate) dead_letters: String,
}

impl Bench {
    /// A bench where the function may call these addresses, and retries after these waits.
    pub(crate) async fn new(allowed: &[SocketAddr], schedule: &str) -> Self {
        let aws = LocalAws::start(&Storage::Memory).await.unwrap();
        let names = TableNames::of_stack("test");
        create_tables(&aws.dynamodb(), &names).await.unwrap();
        let dead_letters = queue(&aws, "dead-letters", &[]).await;
        // A job whose worker crashes comes again soon, and is dead the second time.
        let redrive = r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead-letters","maxReceiveCount":2}"#;
        let attributes = [
            (QueueAttributeName::VisibilityTimeout, "2"),
            (QueueAttributeName::RedrivePolicy, redrive),
        ];
        let deliveries = queue(&aws, "deliveries", &attributes).await;

        let spy = Spy::default();
        let (dynamodb, sqs) = (spy.dynamodb(&aws), spy.sqs(&aws));
        let deliver = Deliver {
            stores: Stores::new(&dynamodb, &names),
            deliveries: Queue::new(sqs.clone(), deliveries.clone()),
            dead_letters: Queue::new(sqs, dead_letters.clone()),
            client: DeliveryClient::new(AddressGuard::new(allowed.to_vec())).unwrap(),
            schedule: schedule.parse().unwrap(),
        };
        Self {
            stores: Stores::new(&aws.dynamodb(), &names),
            aws,
            deliver,
            spy,
            metrics: Metrics::default(),
            deliveries,
            dead_letters,
        }
    }

    /// A new hook of the academy.
    pub(crate) async fn hook(&self, target: &str) -> Hook {
        self.hook_in(Scope::Academy(ACADEMY.to_owned()), ACADEMY, target)
            .await
    }

    pub(crate) async fn hook_in(&self, scope: Scope, owner: &str, target: &str) -> Hook {
        let subscription = Subscription {
            event: EVENT.to_owned(),
            target: target.to_owned().try_into().unwrap(),
            service_id: None,
        };
        let hooks = &self.stores.hooks;
        let created = hooks.create(scope, owner, subscription, clock::now());
        created.await.unwrap()
    }

    /// Puts a hook with another target, event or scope into the place of this one.
    pub(crate) async fn change(&self, hook: &Hook, change: impl FnOnce(&mut Hook)) {
        let mut new = hook.clone();
        change(&mut new);
        assert!(self.stores.hooks.replace(hook, &new).await.unwrap());
    }

    /// The hook's row, as the table's own protocol has it.
    pub(crate) async fn row(&self, hook: &Hook) -> Value {
        let event = &hook.subscription.event;
        let key = json!({
            "academy": {"S": hook.scope.as_str()},
            "event_hook": {"S": format!("{event}#{:016}", hook.id.get())},
        });
        let request = reqwest::Client::new().post(self.aws.dynamodb_url());
        let request = request
            .header("x-amz-target", "DynamoDB_20120810.GetItem")
            .header("content-type", "application/x-amz-json-1.0")
            // It asks for a signature, and does not check it.
            .header("x-amz-date", "20250120T153000Z")
            .header("authorization", SIGNED);
        let body = json!({"TableName": "test-hooks", "Key": key});
        let answer = request.body(body.to_string()).send().await.unwrap();
        let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert!(answer["Item"].is_object(), "{answer}");
        answer["Item"].clone()
    }

    /// What the hook's deliveries have left behind.
    pub(crate) async fn stats(&self, hook: &Hook) -> HookStats {
        let state = self.stores.states.get(hook.id).await.unwrap();
        state.unwrap().stats
    }

    /// Hands jobs to the function and returns the positions of those that are to come again.
    pub(crate) async fn work(&self, jobs: impl IntoIterator<Item = DeliveryJob>) -> Vec<usize> {
        self.work_bodies(jobs.into_iter().map(encoded)).await
    }

    /// Hands message bodies to the function and returns the positions of those that failed.
    pub(crate) async fn work_bodies(&self, bodies: impl IntoIterator<Item = String>) -> Vec<usize> {
        let handling = self.deliver.handle(event(bodies), in_time(), &self.metrics);
        failures(&handling.await.unwrap())
    }

    /// The environment of the function's process, which may call this address.
    pub(crate) fn environment(&self, allowed: &str, schedule: &str) -> Environment {
        let refers = [
            ("DeliveriesQueue", self.deliveries.as_str()),
            ("DeadLettersQueue", self.dead_letters.as_str()),
            ("AllowTargets", allowed),
            ("RetrySchedule", schedule),
        ];
        Environment::of("Deliver", &self.aws, &refers)
    }

    /// The tables, at another URL than where they are.
    pub(crate) fn stores_at(&self, url: &str) -> Stores {
        let config = self.aws.dynamodb().config().to_builder();
        // The transport within this process asks for no URL.
        let config = config.http_client(Builder::new().build_http());
        let client = aws_sdk_dynamodb::Client::from_conf(config.endpoint_url(url).build());
        Stores::new(&client, &TableNames::of_stack("test"))
    }

    /// A queue that has gone.
    pub(crate) fn gone(&self) -> Queue {
        let url = format!("{}/000000000000/gone", self.aws.sqs_url());
        Queue::new(self.aws.sqs(), url)
    }

    /// Takes all jobs out of the queue, those included that are delayed for a second, and returns their deliveries.
    pub(crate) async fn waiting(&self) -> BTreeSet<Uuid> {
        let jobs = take_jobs(&self.aws.sqs(), &self.deliveries, 2).await;
        jobs.iter().map(|job| job.delivery_id).collect()
    }

    pub(crate) async fn send(&self, body: String) {
        let sqs = self.aws.sqs();
        let request = sqs.send_message().queue_url(&self.deliveries);
        request.message_body(body).send().await.unwrap();
    }

    /// The next message of a queue, which has to come soon.
    pub(crate) async fn next(&self, queue: &str) -> Message {
        let request = self.aws.sqs().receive_message().queue_url(queue);
        let request = request
            .wait_time_seconds(15)
            .message_system_attribute_names(MessageSystemAttributeName::All);
        let mut messages = request.send().await.unwrap().messages.unwrap_or_default();
        assert_eq!(messages.len(), 1, "a message of {queue}");
        messages.remove(0)
    }

    /// So many of the jobs in the queue as one event, which says how each is deleted.
    pub(crate) async fn batch(&self, count: usize) -> SqsEvent {
        let mut event = SqsEvent::default();
        while event.records.len() < count {
            let request = self.aws.sqs().receive_message();
            let request = request.queue_url(&self.deliveries);
            let received = request.max_number_of_messages(10).send().await.unwrap();
            let messages = received.messages.unwrap_or_default();
            assert!(!messages.is_empty(), "there are not {count} jobs");
            event.records.extend(messages.into_iter().map(|message| {
                let mut record = SqsMessage::default();
                record.message_id = message.message_id;
                record.receipt_handle = message.receipt_handle;
                record.body = message.body;
                record
            }));
        }
        event
    }

    /// The job that comes next.
    pub(crate) async fn next_job(&self) -> DeliveryJob {
        let message = self.next(&self.deliveries).await;
        match QueueMessage::decode(message.body().unwrap()).unwrap() {
            QueueMessage::Delivery(job) => job,
            QueueMessage::DeadLetter(letter) => panic!("{letter:?} is no job"),
        }
    }

    /// The dead letter that comes next.
    pub(crate) async fn next_letter(&self) -> DeadLetter {
        let message = self.next(&self.dead_letters).await;
        match QueueMessage::decode(message.body().unwrap()).unwrap() {
            QueueMessage::DeadLetter(letter) => letter,
            QueueMessage::Delivery(job) => panic!("{job:?} is no dead letter"),
        }
    }

    /// How many messages a queue has, whether they can be received or not.
    pub(crate) async fn count(&self, queue: &str) -> u32 {
        let request = self.aws.sqs().get_queue_attributes().queue_url(queue);
        let answer = request
            .attribute_names(QueueAttributeName::All)
            .send()
            .await;
        let all = answer.unwrap().attributes.unwrap();
        [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
        ]
        .iter()
        .map(|name| all[name].parse::<u32>().unwrap())
        .sum()
    }

    /// Holds that neither queue has a message: no retry, no dead letter.
    pub(crate) async fn assert_nothing_queued(&self) {
        assert_eq!(self.count(&self.deliveries).await, 0, "jobs");
        assert_eq!(self.count(&self.dead_letters).await, 0, "dead letters");
    }
}

async fn queue(aws: &LocalAws, name: &str, attributes: &[(QueueAttributeName, &str)]) -> String {
    let mut request = aws.sqs().create_queue().queue_name(name);
    for (attribute, value) in attributes {
        request = request.attributes(attribute.clone(), *value);
    }
    request.send().await.unwrap().queue_url.unwrap()
}

/// As much time as any batch needs.
pub(crate) fn in_time() -> Deadline {
    Deadline::after(Duration::from_mins(5))
}

/// A first attempt, due since a moment ago.
pub(crate) fn job(hook: &Hook) -> DeliveryJob {
    let accepted_at = Timestamp::from_millisecond(clock::now().as_millisecond() - 500).unwrap();
    DeliveryJob {
        delivery_id: Uuid::from_u128(hook.id.get().into()),
        event_id: "event-1".to_owned(),
        event: EVENT.to_owned(),
        academy: Some(ACADEMY.to_owned()),
        hook: HookRef::from(hook),
        attempt: 1,
        not_before: accepted_at,
        accepted_at,
        event_accepted_at: None,
        payload: RawValue::from_string(PAYLOAD.to_owned()).unwrap().into(),
    }
}

pub(crate) fn encoded(job: DeliveryJob) -> String {
    QueueMessage::Delivery(job).encode().unwrap()
}

/// An event with these bodies; the messages' ids are their positions.
pub(crate) fn event(bodies: impl IntoIterator<Item = String>) -> SqsEvent {
    let mut event = SqsEvent::default();
    let records = bodies.into_iter().enumerate().map(|(position, body)| {
        let mut record = SqsMessage::default();
        record.message_id = Some(position.to_string());
        record.body = Some(body);
        record
    });
    event.records = records.collect();
    event
}

fn failures(response: &SqsBatchResponse) -> Vec<usize> {
    let items = response.batch_item_failures.iter();
    let mut positions: Vec<usize> = items
        .map(|item| item.item_identifier.parse().unwrap())
        .collect();
    positions.sort_unstable();
    positions
}
