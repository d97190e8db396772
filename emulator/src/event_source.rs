//! Handing a queue's messages to a handler, as Lambda's event source mapping for SQS does.
//!
//! Each invocation gets up to a batch of messages. What the handler answers decides what is deleted:
//! everything, everything but the items that it names, or, when it fails or panics, nothing. What is
//! not deleted stays in flight until its visibility timeout has passed and is then received again,
//! or moved by the redrive policy.

use std::{collections::HashSet, sync::Arc, time::Duration};

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use aws_sdk_sqs::{
    Client,
    error::DisplayErrorContext,
    types::{DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::chain::traced;

/// How long one poll waits for a message, in seconds.
const POLL_S: i32 = 20;

/// How long to wait after a poll that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// A queue and how it is worked.
#[derive(Clone, Debug)]
pub struct EventSource {
    /// A client of the queue.
    pub client: Client,
    /// The queue.
    pub queue_url: String,
    /// The most messages in one invocation: 1 to 10.
    pub batch_size: i32,
    /// The most invocations at once. The queue is asked for messages only when there is room.
    pub concurrency: usize,
}

impl EventSource {
    /// Invokes `handler` until `shutdown` is cancelled, and returns when the invocations under way
    /// have ended.
    ///
    /// A poll that is under way then is cancelled. What the queue hands out to it at that very
    /// moment is in flight as after a crash, and is redelivered.
    pub async fn run<F, Fut>(self, handler: F, shutdown: CancellationToken)
    where
        F: Fn(SqsEvent) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = Result<SqsBatchResponse, lambda_runtime::Error>> + Send + 'static,
    {
        let room = Arc::new(Semaphore::new(self.concurrency));
        let mut invocations = JoinSet::new();
        while let Some(polled) = shutdown.run_until_cancelled(self.poll(&room)).await {
            if let Some((permit, messages)) = polled {
                let (source, handler) = (self.clone(), handler.clone());
                invocations.spawn(async move {
                    source.invoke(handler, messages).await;
                    drop(permit);
                });
            }
            while invocations.try_join_next().is_some() {}
        }
        while invocations.join_next().await.is_some() {}
    }

    /// Waits for room, then for messages.
    async fn poll(&self, room: &Arc<Semaphore>) -> Option<(OwnedSemaphorePermit, Vec<Message>)> {
        let permit = room.clone().acquire_owned().await.ok()?;
        let request = self
            .client
            .receive_message()
            .queue_url(&self.queue_url)
            .max_number_of_messages(self.batch_size)
            .wait_time_seconds(POLL_S)
            .message_system_attribute_names(MessageSystemAttributeName::All);
        match request.send().await {
            Ok(answer) => {
                let messages = answer.messages.unwrap_or_default();
                (!messages.is_empty()).then_some((permit, messages))
            }
            Err(error) => {
                tracing::error!(cause = %DisplayErrorContext(&error), "a queue could not be polled");
                tokio::time::sleep(PAUSE).await;
                None
            }
        }
    }

    async fn invoke<F, Fut>(&self, handler: F, messages: Vec<Message>)
    where
        F: Fn(SqsEvent) -> Fut,
        Fut: Future<Output = Result<SqsBatchResponse, lambda_runtime::Error>> + Send + 'static,
    {
        let mut event = SqsEvent::default();
        event.records = messages
            .iter()
            .map(|message| self.record(message))
            .collect();
        // A task of its own, so that a panic ends in an error here.
        let response = match tokio::spawn(traced(event, handler)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                tracing::error!(%error, "an invocation failed");
                return;
            }
            Err(error) => {
                tracing::error!(%error, "an invocation panicked");
                return;
            }
        };
        let failed: HashSet<&str> = response
            .batch_item_failures
            .iter()
            .map(|failure| failure.item_identifier.as_str())
            .collect();
        let ids: HashSet<&str> = messages.iter().filter_map(Message::message_id).collect();
        if !failed.is_subset(&ids) {
            tracing::error!(
                "an invocation names an item that is not in its batch: all have failed"
            );
            return;
        }
        let is_done =
            |message: &&Message| message.message_id().is_none_or(|id| !failed.contains(id));
        self.delete(messages.iter().filter(is_done)).await;
    }

    async fn delete(&self, messages: impl Iterator<Item = &Message>) {
        let entries: Result<Vec<_>, _> = messages
            .enumerate()
            .map(|(index, message)| {
                DeleteMessageBatchRequestEntry::builder()
                    .id(index.to_string())
                    .set_receipt_handle(message.receipt_handle.clone())
                    .build()
            })
            .collect();
        let entries = match entries {
            Ok(entries) if entries.is_empty() => return,
            Ok(entries) => entries,
            Err(error) => {
                tracing::error!(%error, "a received message has no receipt");
                return;
            }
        };
        let request = self
            .client
            .delete_message_batch()
            .queue_url(&self.queue_url);
        if let Err(error) = request.set_entries(Some(entries)).send().await {
            tracing::error!(cause = %DisplayErrorContext(&error), "messages could not be deleted");
        }
    }

    /// A message as a function gets it.
    fn record(&self, message: &Message) -> SqsMessage {
        let mut record = SqsMessage::default();
        record.message_id.clone_from(&message.message_id);
        record.receipt_handle.clone_from(&message.receipt_handle);
        record.body.clone_from(&message.body);
        record.md5_of_body.clone_from(&message.md5_of_body);
        let attributes = message.attributes.iter().flatten();
        record.attributes = attributes
            .map(|(name, value)| (name.as_str().to_owned(), value.clone()))
            .collect();
        let name = self.queue_url.rsplit('/').next().unwrap_or_default();
        record.event_source_arn = Some(format!("arn:aws:sqs:us-east-1:000000000000:{name}"));
        record.event_source = Some("aws:sqs".to_owned());
        record.aws_region = Some("us-east-1".to_owned());
        record
    }
}
