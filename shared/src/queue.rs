//! The queues: jobs go out in batches, as full as SQS takes them.
//!
//! Every message belongs to the group of its hook. In a standard queue that orders and blocks
//! nothing: SQS only prefers the messages of other groups while one has many in flight, so that an
//! endpoint that hangs does not keep the others waiting.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use aws_sdk_sqs::{
    Client,
    error::DisplayErrorContext,
    types::{DeleteMessageBatchRequestEntry, MessageAttributeValue, SendMessageBatchRequestEntry},
};
use futures_util::{StreamExt, future::join_all, stream};

use crate::model::QueueMessage;

/// The most messages in a batch (SQS).
const BATCH_ENTRIES: usize = 10;

/// The most bytes in a message, and in all messages of a batch together (SQS).
const BATCH_BYTES: usize = 1024 * 1024;

/// The most bytes of the reason for which a message is put aside.
const REASON_BYTES: usize = 1024;

/// How many batches are under way at once.
const PARALLEL_BATCHES: usize = 8;

/// The waits before the part of a batch that SQS did not take is sent again.
const PAUSES: [Duration; 3] = [
    Duration::from_millis(50),
    Duration::from_millis(150),
    Duration::from_millis(450),
];

/// A message to send.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The message.
    pub message: QueueMessage,
    /// The seconds that it is to stay hidden, at most 900.
    pub delay_s: u32,
}

impl Outgoing {
    /// A message that may be worked at once.
    #[must_use]
    pub fn now(message: QueueMessage) -> Self {
        Self {
            message,
            delay_s: 0,
        }
    }
}

/// A queue to send to.
#[derive(Clone, Debug)]
pub struct Queue {
    client: Client,
    url: String,
}

/// A message as it travels in a batch.
struct Entry {
    /// Its position among the messages to send.
    index: usize,
    body: String,
    group: String,
    delay_s: u32,
}

impl Queue {
    /// The queue with this URL.
    #[must_use]
    pub fn new(client: Client, url: String) -> Self {
        Self { client, url }
    }

    /// Sends messages, which are made and encoded one batch at a time, and returns the positions of
    /// those that the queue did not take. Empty: all are in the queue.
    pub async fn send(&self, messages: impl IntoIterator<Item = Outgoing>) -> BTreeSet<usize> {
        let mut unsent = BTreeSet::new();
        let encoded =
            messages
                .into_iter()
                .enumerate()
                .filter_map(|(index, outgoing)| match outgoing.message.encode() {
                    Ok(body) if body.len() <= BATCH_BYTES => Some(Entry {
                        index,
                        body,
                        group: outgoing.message.hook_id().to_string(),
                        delay_s: outgoing.delay_s,
                    }),
                    Ok(body) => {
                        tracing::error!(bytes = body.len(), "a message is too large for the queue");
                        unsent.insert(index);
                        None
                    }
                    Err(error) => {
                        tracing::error!(%error, "a message cannot be encoded");
                        unsent.insert(index);
                        None
                    }
                });
        // When the queue is down, each batch would take its time to find that out for itself.
        let down = AtomicBool::new(false);
        let left: Vec<Vec<usize>> = stream::iter(Batches {
            entries: encoded,
            next: None,
        })
        .map(|batch| self.send_batch(batch, &down))
        .buffer_unordered(PARALLEL_BATCHES)
        .collect()
        .await;
        unsent.extend(left.into_iter().flatten());
        unsent
    }

    /// Sends a message of another queue here as it is, with the reason for that as its attribute `reason`,
    /// as far as there is room for it. `false`: it could not be sent.
    pub async fn put_aside(&self, body: &str, reason: &str) -> bool {
        let room = BATCH_BYTES.saturating_sub(body.len() + "reasonString".len());
        let reason = attribute_text(reason, room.min(REASON_BYTES));
        let attribute = MessageAttributeValue::builder().data_type("String");
        let attribute = attribute.string_value(&reason).build();
        let attribute = attribute.ok().filter(|_| !reason.is_empty());
        let request = self.client.send_message().queue_url(&self.url);
        let request = request
            .message_body(body)
            .set_message_attributes(attribute.map(|reason| [("reason".to_owned(), reason)].into()));
        match request.send().await {
            Ok(_) => true,
            Err(error) => {
                tracing::error!(cause = %DisplayErrorContext(&error), "a message could not be put aside");
                false
            }
        }
    }

    /// Deletes received messages by their receipts. What cannot be deleted comes again.
    pub async fn delete(&self, receipts: Vec<String>) {
        let batches = receipts.chunks(BATCH_ENTRIES);
        join_all(batches.map(|batch| self.delete_batch(batch))).await;
    }

    async fn delete_batch(&self, receipts: &[String]) {
        let entries = receipts.iter().enumerate().map(|(position, receipt)| {
            DeleteMessageBatchRequestEntry::builder()
                .id(position.to_string())
                .receipt_handle(receipt)
                .build()
        });
        let entries = match entries.collect::<Result<Vec<_>, _>>() {
            Ok(entries) => entries,
            Err(error) => {
                tracing::error!(%error, "a batch cannot be built");
                return;
            }
        };
        let request = self.client.delete_message_batch().queue_url(&self.url);
        match request.set_entries(Some(entries)).send().await {
            Ok(answer) => {
                if let Some(entry) = answer.failed().first() {
                    tracing::warn!(code = entry.code(), "messages could not be deleted");
                }
            }
            Err(error) => {
                tracing::warn!(cause = %DisplayErrorContext(&error), "messages could not be deleted");
            }
        }
    }

    /// Sends one batch, unless the queue is known to be down, and returns the positions of what SQS
    /// did not take.
    async fn send_batch(&self, mut batch: Vec<Entry>, down: &AtomicBool) -> Vec<usize> {
        for pause in PAUSES.iter().map(Some).chain([None]) {
            if down.load(Ordering::Relaxed) {
                break;
            }
            let requests = batch.iter().enumerate().map(|(position, entry)| {
                SendMessageBatchRequestEntry::builder()
                    .id(position.to_string())
                    .message_body(&entry.body)
                    .message_group_id(&entry.group)
                    .delay_seconds(i32::try_from(entry.delay_s).unwrap_or(i32::MAX))
                    .build()
            });
            let requests = match requests.collect::<Result<Vec<_>, _>>() {
                Ok(requests) => requests,
                Err(error) => {
                    tracing::error!(%error, "a batch cannot be built");
                    break;
                }
            };
            let request = self.client.send_message_batch().queue_url(&self.url);
            match request.set_entries(Some(requests)).send().await {
                Ok(answer) => {
                    let sent: BTreeSet<usize> = answer
                        .successful()
                        .iter()
                        .filter_map(|entry| entry.id().parse().ok())
                        .collect();
                    if let Some(entry) = answer.failed().first() {
                        tracing::warn!(
                            entries = answer.failed().len(),
                            code = entry.code(),
                            "the queue did not take a part of a batch"
                        );
                    }
                    let mut position = 0..;
                    batch.retain(|_| position.next().is_some_and(|p| !sent.contains(&p)));
                    if batch.is_empty() {
                        return Vec::new();
                    }
                }
                // The SDK has tried again already.
                Err(error) => {
                    tracing::error!(cause = %DisplayErrorContext(&error), "the queue is unavailable");
                    down.store(true, Ordering::Relaxed);
                    break;
                }
            }
            if let Some(pause) = pause {
                tokio::time::sleep(*pause).await;
            }
        }
        batch.into_iter().map(|entry| entry.index).collect()
    }
}

/// A text as an attribute may be, of at most so many bytes: SQS takes the characters that XML 1.0 does.
fn attribute_text(text: &str, bytes: usize) -> String {
    let allowed = |c: char| match c {
        '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'.. => c,
        _ => char::REPLACEMENT_CHARACTER,
    };
    let mut kept = String::new();
    for c in text.chars().map(allowed) {
        if kept.len() + c.len_utf8() > bytes {
            break;
        }
        kept.push(c);
    }
    kept
}

/// Packs entries into batches that SQS takes, in their order.
struct Batches<I> {
    entries: I,
    /// The entry that did not fit into the batch before.
    next: Option<Entry>,
}

impl<I: Iterator<Item = Entry>> Iterator for Batches<I> {
    type Item = Vec<Entry>;

    fn next(&mut self) -> Option<Vec<Entry>> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while let Some(entry) = self.next.take().or_else(|| self.entries.next()) {
            bytes += entry.body.len();
            if bytes > BATCH_BYTES && !batch.is_empty() {
                self.next = Some(entry);
                break;
            }
            batch.push(entry);
            if batch.len() == BATCH_ENTRIES {
                break;
            }
        }
        (!batch.is_empty()).then_some(batch)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn batches_keep_the_order_and_the_limits(
            sizes in proptest::collection::vec(0..=BATCH_BYTES, 0..40)
        ) {
            let entries = sizes.iter().enumerate().map(|(index, size)| Entry {
                index,
                body: "x".repeat(*size),
                group: "1".to_owned(),
                delay_s: 0,
            });
            let mut seen = Vec::new();
            for batch in (Batches { entries, next: None }) {
                prop_assert!((1..=BATCH_ENTRIES).contains(&batch.len()));
                prop_assert!(batch.iter().map(|entry| entry.body.len()).sum::<usize>() <= BATCH_BYTES);
                seen.extend(batch.iter().map(|entry| entry.index));
            }
            prop_assert_eq!(seen, (0..sizes.len()).collect::<Vec<_>>());
        }
    }
}
