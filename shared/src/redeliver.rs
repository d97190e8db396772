//! Sending failed deliveries again: out of the table where they are kept, back into the queue.
//!
//! What each step promises stands with the store (`store/kept.rs`). Here they are put in their order
//! (claim, send, remove) for twenty deliveries at a time, since each may have 256 KiB. A delivery keeps
//! its id and its event's id; its schedule begins anew.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use serde::Serialize;
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::{
    model::{DeliveryJob, QueueMessage},
    queue::{Outgoing, Queue},
    store::{ClaimedDelivery, HookErrors, Kept, KeptKey, StoreError},
};

/// How many deliveries one call sends at most.
pub const MOST: usize = 1_000;

/// How long a call should go on: with what it is at in the end, and tables and a queue that answer, it is
/// over well before an API's caller is hung up on.
pub const LONGEST_CALL: Duration = Duration::from_secs(10);

/// How many deliveries are held in memory at once.
const AT_ONCE: usize = 20;

/// How many calls of the table are under way at once.
const PARALLEL_CALLS: usize = 20;

/// What a call came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({"redelivered": 37, "left": false}))]
pub struct Redelivered {
    /// How many deliveries went back into the queue.
    pub redelivered: usize,
    /// Whether there may be more of those that were asked for. What others are sending at this moment
    /// does not count.
    pub left: bool,
}

/// Why not all was sent. What was not stays kept.
#[derive(Debug, thiserror::Error)]
pub enum RedeliverError {
    /// The queue did not take everything.
    #[error("not every delivery could be queued")]
    NotQueued,
    /// The table did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Sends those of the kept deliveries again that failed until a time: up to [`MOST`] of them, and none after
/// `deadline` but those it is at then. One that is being sent by another call is left to that.
pub async fn redeliver(
    errors: &HookErrors,
    deliveries: &Queue,
    which: &Kept,
    until: Timestamp,
    now: Timestamp,
    deadline: Instant,
) -> Result<Redelivered, RedeliverError> {
    let mut redelivered = 0;
    let mut pages = errors.kept(which, until);
    let mut waiting = Vec::new();
    loop {
        // A page has as few as four keys when their payloads are large.
        while waiting.len() < AT_ONCE
            && let Some(page) = pages.next().await?
        {
            waiting.extend(page);
        }
        let room = AT_ONCE.min(MOST - redelivered).min(waiting.len());
        let left = !waiting.is_empty();
        if room == 0 || Instant::now() > deadline {
            return Ok(Redelivered { redelivered, left });
        }
        let rest = waiting.split_off(room);
        let keys = std::mem::replace(&mut waiting, rest);
        redelivered += send(errors, deliveries, keys, until, now).await?;
    }
}

/// Sends some deliveries, and returns how many of them there were to send.
async fn send(
    errors: &HookErrors,
    deliveries: &Queue,
    keys: Vec<KeptKey>,
    until: Timestamp,
    now: Timestamp,
) -> Result<usize, RedeliverError> {
    let claims = keys.into_iter().map(|key| errors.claim(key, until, now));
    let claims = stream::iter(claims).buffer_unordered(PARALLEL_CALLS);
    let claims: Vec<_> = claims.collect().await;
    let mut claimed = Vec::with_capacity(claims.len());
    let mut failure = None;
    for claim in claims {
        match claim {
            Ok(Some(delivery)) => claimed.push(delivery),
            Ok(None) => {}
            // What was claimed is sent all the same.
            Err(error) => failure = Some(error),
        }
    }

    let count = claimed.len();
    let jobs: Vec<_> = claimed
        .iter()
        .map(|delivery| Outgoing::now(anew(&delivery.job, now)))
        .collect();
    let unsent = deliveries.send(jobs).await;
    let all_sent = unsent.is_empty();
    let done = claimed.into_iter().enumerate().map(|(index, delivery)| {
        let sent = !unsent.contains(&index);
        settle(errors, delivery, sent)
    });
    let done: Vec<_> = stream::iter(done)
        .buffer_unordered(PARALLEL_CALLS)
        .collect()
        .await;
    for error in done.into_iter().filter_map(Result::err) {
        // Its claim runs out. It may then be sent once more.
        tracing::error!(%error, "a kept delivery could not be put right");
    }
    match failure {
        Some(error) => Err(error.into()),
        None if all_sent => Ok(count),
        None => Err(RedeliverError::NotQueued),
    }
}

/// Removes a delivery that was sent, or gives back the claim on one that was not.
async fn settle(
    errors: &HookErrors,
    delivery: ClaimedDelivery,
    sent: bool,
) -> Result<(), StoreError> {
    if !sent {
        return errors.give_back(&delivery).await;
    }
    let job = &delivery.job;
    tracing::info!(
        hook = job.hook.id.get(),
        delivery_id = %job.delivery_id,
        event_id = job.event_id,
        "sent again"
    );
    errors.remove(&delivery).await.map(drop)
}

/// The delivery with its schedule before it.
fn anew(job: &DeliveryJob, now: Timestamp) -> QueueMessage {
    QueueMessage::Delivery(DeliveryJob {
        attempt: 1,
        not_before: now,
        accepted_at: now,
        event_accepted_at: Some(job.event_accepted_at()),
        ..job.clone()
    })
}
