//! Events and changes from an event bus: EventBridge puts them into a queue, and the queue's messages
//! come here.
//!
//! Whoever may put events on the bus is a publisher: the bus's policy decides who that is. An event of
//! the bus names its kind in `detail-type`: `change` for a change, else the name of an event. EventBridge
//! gives each an id, under which it is published once, however often the queue hands it out, unless its detail
//! has an id of its own.
//!
//! What is wrong with an event does not get better by trying again. It is dead-lettered
//! at once, with the reason, and everything else of its batch goes on. What could not be queued for lack
//! of a table or a queue stays in the queue and is redelivered.

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use shared::{
    http::{ApiError, FieldErrors},
    metrics::{Count, Metrics},
    queue::Queue,
    store::IdSpace,
};

use crate::{
    Ingest,
    incoming::{ChangeFields, EventFields, Submission, Submitted, fields},
    look_up::Publisher,
    publish::Outcome,
};

/// The `detail-type` of a change.
const CHANGE: &str = "change";

/// An event as EventBridge delivers it.
#[derive(Deserialize)]
struct Envelope {
    id: Option<String>,
    source: Option<String>,
    #[serde(rename = "detail-type")]
    detail_type: Option<String>,
    detail: Option<Box<RawValue>>,
}

/// The handler of the bus's queue.
#[derive(Clone, Debug)]
pub struct Bus {
    ingest: Ingest,
    dead_letters: Queue,
}

impl Bus {
    /// Events of the bus are published by `ingest`, and put into this queue when they are wrong.
    #[must_use]
    pub fn new(ingest: Ingest, dead_letters: Queue) -> Self {
        Self {
            ingest,
            dead_letters,
        }
    }

    /// Works a batch of messages. Never an error: what SQS is to redeliver is named in the answer.
    pub async fn handle(
        &self,
        event: SqsEvent,
        metrics: &Metrics,
    ) -> Result<SqsBatchResponse, lambda_runtime::Error> {
        let messages = event.records;
        let mut submissions = Vec::with_capacity(messages.len());
        for message in &messages {
            let body = message.body.as_deref().unwrap_or_default();
            submissions.push(read(body));
        }
        let ingest = self.ingest.clone();
        let published = ingest.publish_to_the_end(Publisher::Allowed, submissions, metrics.clone());
        let Outcome { answers, failure } = published.await;
        if let Some(error) = failure {
            tracing::error!(%error, "events of the bus could not be published");
        }
        let mut again = Vec::new();
        for (message, answer) in messages.iter().zip(answers) {
            let is_done = match answer {
                Some(Ok(_)) => true,
                Some(Err(error)) => self.put_aside(message, &error, metrics).await,
                // What of it is in the queue already is known by its id when it is redelivered.
                None => false,
            };
            if !is_done {
                again.push(message.message_id.clone().unwrap_or_default());
            }
        }
        let mut response = SqsBatchResponse::default();
        response.set_failures(again);
        Ok(response)
    }

    /// Dead-letters a message that is wrong. `false`: SQS must redeliver it instead.
    async fn put_aside(&self, message: &SqsMessage, error: &ApiError, metrics: &Metrics) -> bool {
        if error.status().is_server_error() {
            tracing::error!(%error, "an event of the bus could not be published");
            return false;
        }
        let body = message.body.as_deref().unwrap_or_default();
        let is_aside = self.dead_letters.put_aside(body, &error.to_string()).await;
        metrics.count(Count::EventsPutAside, usize::from(is_aside));
        let message_id = message.message_id.as_deref().unwrap_or_default();
        tracing::error!(
            message_id,
            reason = %error,
            is_aside,
            "an event of the bus is wrong"
        );
        is_aside
    }
}

/// Reads a message of the queue.
fn read(body: &str) -> Result<Submission, ApiError> {
    let envelope: Envelope = fields(body)?;
    let mut errors = FieldErrors::default();
    let mut required = |name: &'static str, is_there: bool| {
        if !is_there {
            errors.add(name, "This field is required.");
        }
    };
    required("id", envelope.id.is_some());
    required("source", envelope.source.is_some());
    required("detail-type", envelope.detail_type.is_some());
    required("detail", envelope.detail.is_some());
    let Envelope {
        id: Some(id),
        source: Some(source),
        detail_type: Some(detail_type),
        detail: Some(detail),
    } = envelope
    else {
        return Err(ApiError::Fields(errors));
    };
    let given = |id: Option<Value>| id.filter(|id| !id.is_null());
    let id = || Some(Value::String(id));
    if detail_type == CHANGE {
        let mut change: ChangeFields = fields(detail.get())?;
        change.id = given(change.id).or_else(id);
        change.submission(IdSpace::changes_of_bus(&source))
    } else {
        let mut event: EventFields = fields(detail.get())?;
        event.event = Some(Value::String(detail_type));
        event.id = given(event.id).or_else(id);
        event.submission(IdSpace::events_of_bus(&source))
    }
}
