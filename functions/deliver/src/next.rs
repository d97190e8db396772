//! What follows from a received message: another one, of the same job or of its end.

use shared::{
    model::{DeadLetter, QueueMessage},
    queue::{Outgoing, Queue},
};

use crate::Received;

/// A message that is to be sent because of a received one.
pub(crate) struct Next {
    /// The received message: done with only when its successor is in a queue.
    message_id: String,
    outgoing: Outgoing,
}

impl Next {
    /// The received job again, after a delay.
    pub(crate) fn again(received: Received, delay_s: u32) -> Self {
        Self {
            message_id: received.message_id,
            outgoing: Outgoing {
                message: QueueMessage::Delivery(received.job),
                delay_s,
            },
        }
    }

    /// The end of a received job.
    pub(crate) fn given_up(message_id: String, letter: DeadLetter) -> Self {
        Self {
            message_id,
            outgoing: Outgoing::now(QueueMessage::DeadLetter(letter)),
        }
    }
}

/// Sends messages and returns the received ones whose successors are not in the queue.
pub(crate) async fn send(queue: &Queue, next: Vec<Next>) -> Vec<String> {
    let (message_ids, messages): (Vec<_>, Vec<_>) = next
        .into_iter()
        .map(|next| (next.message_id, next.outgoing))
        .unzip();
    let unsent = queue.send(messages).await;
    unsent
        .into_iter()
        .filter_map(|index| message_ids.get(index).cloned())
        .collect()
}
