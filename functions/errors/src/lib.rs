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
    metrics::{Count, Metrics},
    model::{DeadLetter, Malformed, QueueMessage},
    store::HookErrors,
};

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

    /// Records a batch of dead letters. Never an error: what failed is named in the answer.
    pub async fn handle(
        &self,
        event: SqsEvent,
        metrics: &Metrics,
    ) -> Result<SqsBatchResponse, lambda_runtime::Error> {
        let now = clock::now();
        let mut response = SqsBatchResponse::default();
        // One after the other: most of a batch belongs to one failing endpoint, whose HookError is
        // one row that two writes at once would only fight over.
        for record in event.records {
            let recorded = self.record(record, now).await;
            metrics.count(class(&recorded), 1);
            if let Err(message_id) = recorded {
                response.add_failure(message_id);
            }
        }
        Ok(response)
    }

    /// Records one dead letter, or returns the id of the message that is to come again.
    async fn record(&self, record: SqsMessage, now: Timestamp) -> Result<(), String> {
        let message_id = record.message_id.unwrap_or_default();
        let letter = match read(record.body.as_deref().unwrap_or_default(), now) {
            Ok(letter) => letter,
            Err(error) => {
                tracing::error!(message_id, %error, "a message is no dead letter");
                return Err(message_id);
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
            return Err(message_id);
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
        Ok(())
    }
}

/// What became of a dead letter.
fn class<T, E>(recorded: &Result<T, E>) -> Count {
    match recorded {
        Ok(_) => Count::DeadLettersRecorded,
        Err(_) => Count::DeadLettersFailed,
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
