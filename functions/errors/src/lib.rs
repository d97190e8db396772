//! The function `errors`: dead letters in, HookErrors out.
//!
//! Dead letters come through two doors. A delivery that is given up is sent here by its worker, with
//! its last failure; a job whose worker ended again and again without an answer is moved here by the
//! queue's redrive policy, as it is. Both become a HookError of the hook's owner, and are kept to be
//! sent again. What is neither stays in the queue until it expires, for an operator to look at.

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use jiff::Timestamp;
use shared::{
    clock,
    deadline::Deadline,
    metrics::{Count, Metrics},
    model::{DeadLetter, Malformed, QueueMessage},
    store::HookErrors,
};
use tokio::time::timeout_at;

/// What the owner of a job that never ended is told.
const NEVER_ENDED: &str = "The delivery was interrupted again and again.";

/// What the handler works with.
#[derive(Clone, Debug)]
pub struct Errors {
    errors: HookErrors,
}

impl Errors {
    /// Records in this table.
    #[must_use]
    pub fn new(errors: HookErrors) -> Self {
        Self { errors }
    }

    /// Records a batch of dead letters, and ends in time. Never an error: what failed, or has not been
    /// recorded until then, is named in the answer.
    pub async fn handle(
        &self,
        event: SqsEvent,
        deadline: Deadline,
        metrics: &Metrics,
    ) -> Result<SqsBatchResponse, lambda_runtime::Error> {
        let now = clock::now();
        let mut response = SqsBatchResponse::default();
        // One after the other: most of a batch belongs to one failing endpoint, whose HookError is
        // one row that two writes at once would only fight over.
        for record in event.records {
            let recording = timeout_at(deadline.of_answer(), self.record(&record, now));
            let is_recorded = recording.await.unwrap_or_else(|_| {
                let message_id = record.message_id.as_deref();
                tracing::error!(message_id, "a dead letter could not be recorded in time");
                false
            });
            metrics.count(class(is_recorded), 1);
            if !is_recorded {
                response.add_failure(record.message_id.unwrap_or_default());
            }
        }
        Ok(response)
    }

    /// Records one dead letter. `false`: its message is to come again.
    async fn record(&self, record: &SqsMessage, now: Timestamp) -> bool {
        let message_id = record.message_id.as_deref();
        let letter = match read(record.body.as_deref().unwrap_or_default(), now) {
            Ok(letter) => letter,
            Err(error) => {
                tracing::error!(message_id, %error, "a message is no dead letter");
                return false;
            }
        };
        let job = &letter.job;
        if let Err(error) = self.errors.record(&letter, now).await {
            tracing::error!(
                message_id,
                hook = job.hook.id.get(),
                delivery_id = %job.delivery_id,
                event_id = job.event_id,
                %error,
                "a dead letter could not be recorded"
            );
            return false;
        }
        tracing::warn!(
            event = job.event,
            hook = job.hook.id.get(),
            delivery_id = %job.delivery_id,
            event_id = job.event_id,
            status = letter.status,
            reason = letter.message,
            "given up"
        );
        true
    }
}

/// What became of a dead letter.
fn class(is_recorded: bool) -> Count {
    if is_recorded {
        Count::DeadLettersRecorded
    } else {
        Count::DeadLettersFailed
    }
}

/// The dead letter in a message of either door.
fn read(body: &str, now: Timestamp) -> Result<DeadLetter, Malformed> {
    Ok(match QueueMessage::decode(body)? {
        QueueMessage::DeadLetter(letter) => letter,
        QueueMessage::Delivery(job) => DeadLetter {
            job,
            message: NEVER_ENDED.to_owned(),
            status: None,
            failed_at: now,
        },
    })
}
