//! The function `deliver`: delivery jobs in, POST requests out.
//!
//! A batch of jobs is worked at once, each job under its own deadline and its own panic guard, so
//! that none can hurt another. What they leave behind is written once for each hook: its state, the
//! jobs that are to come again, the deliveries that are given up.
//!
//! An endpoint's failure is an outcome, never an error of this function: the answer names exactly
//! the messages that the queue is to hand out again, which are those that could not be read, those
//! whose attempt ended without an outcome, those that have waited for the tables for a day, those of
//! which the next step could not be queued, and those that had not ended when the invocation's time was
//! over.

mod attempt;
mod batch;
mod messages;
mod next;
mod round;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use jiff::Timestamp;
use shared::{
    clock,
    deadline::Deadline,
    deliver::{client::DeliveryClient, schedule::RetrySchedule},
    metrics::Metrics,
    model::{DeliveryJob, QueueMessage},
    queue::Queue,
    store::Stores,
};

use crate::{
    batch::Batch,
    messages::{Message, Messages},
};

/// What the handler works with.
#[derive(Clone, Debug)]
pub struct Deliver {
    /// The hooks, and their histories.
    pub stores: Stores,
    /// Where jobs go that are to come again.
    pub deliveries: Queue,
    /// Where deliveries go that are given up.
    pub dead_letters: Queue,
    /// Makes the attempts.
    pub client: DeliveryClient,
    /// When to try again.
    pub schedule: RetrySchedule,
}

/// A job and the message that it came in.
#[derive(Clone, Debug)]
struct Received {
    message_id: String,
    /// What deletes the message.
    receipt: Option<String>,
    /// When the message was sent, if the queue says so.
    sent_at: Option<Timestamp>,
    job: DeliveryJob,
}

impl Received {
    fn message(&self) -> Message {
        (self.message_id.clone(), self.receipt.clone())
    }

    /// Says in the log why the job is not attempted yet.
    fn log_put_off(&self, reason: &'static str) {
        tracing::info!(
            hook = self.job.hook.id.get(),
            delivery_id = %self.job.delivery_id,
            event_id = self.job.event_id,
            reason,
            "put off"
        );
    }
}

impl Deliver {
    /// Works a batch of messages, and ends in time. Never an error: what failed, or has not ended until
    /// then, is named in the answer.
    pub async fn handle(
        &self,
        event: SqsEvent,
        deadline: Deadline,
        metrics: &Metrics,
    ) -> Result<SqsBatchResponse, lambda_runtime::Error> {
        let mut received = Vec::with_capacity(event.records.len());
        let mut failed = Vec::new();
        for record in event.records {
            let sent_at = sent_at(&record);
            let message_id = record.message_id.unwrap_or_default();
            match QueueMessage::decode(record.body.as_deref().unwrap_or_default()) {
                Ok(QueueMessage::Delivery(job)) => received.push(Received {
                    message_id,
                    receipt: record.receipt_handle,
                    sent_at,
                    job,
                }),
                // Perhaps a newer release can read it; else the redrive policy ends it.
                Ok(QueueMessage::DeadLetter(_)) => {
                    tracing::error!(message_id, "a dead letter came as a job");
                    failed.push(message_id);
                }
                Err(error) => {
                    tracing::error!(message_id, %error, "a message is no job");
                    failed.push(message_id);
                }
            }
        }
        let messages = Messages::of(&received);
        let batch = Batch {
            deliver: self,
            now: clock::now(),
            deadline,
            metrics,
            messages: &messages,
        };
        batch.work(received).await;
        failed.extend(messages.left());
        let mut response = SqsBatchResponse::default();
        response.set_failures(failed);
        Ok(response)
    }
}

/// When a message was sent: the queue says it in milliseconds since 1970.
fn sent_at(record: &SqsMessage) -> Option<Timestamp> {
    let millis = record.attributes.get("SentTimestamp")?.parse().ok()?;
    Timestamp::from_millisecond(millis).ok()
}
