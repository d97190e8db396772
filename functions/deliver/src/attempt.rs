//! One attempt, in a task of its own: a panic in it, or a deadline that it overruns, ends it alone.

use std::time::Instant;

use jiff::Timestamp;
use shared::{
    clock,
    deliver::client::{DeliveryClient, Reply},
    model::{ATTEMPT_GUARD, DeliveryJob, Target},
};

/// An attempt that was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempted {
    pub(crate) reply: Reply,
    pub(crate) ended_at: Timestamp,
}

/// Makes an attempt. `None`: it ended without an outcome, and nobody knows what the endpoint saw.
pub(crate) async fn attempt(
    client: DeliveryClient,
    target: Target,
    job: DeliveryJob,
) -> Option<Attempted> {
    let delivery_id = job.delivery_id.clone();
    let task = tokio::spawn(async move {
        let started = Instant::now();
        let reply = client.post(&target, &job.payload).await;
        let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(
            target: "delivery",
            event = job.event,
            hook = job.hook.id.get(),
            code = reply.outcome.code(),
            ms,
            attempt = job.attempt,
            delivery_id = job.delivery_id,
            event_id = job.event_id,
            "attempted"
        );
        Attempted {
            reply,
            ended_at: clock::now(),
        }
    });
    let stop = task.abort_handle();
    match tokio::time::timeout(ATTEMPT_GUARD, task).await {
        Ok(Ok(attempted)) => Some(attempted),
        Ok(Err(error)) => {
            tracing::error!(delivery_id, %error, "an attempt panicked");
            None
        }
        Err(_) => {
            stop.abort();
            tracing::error!(delivery_id, "an attempt overran its deadline");
            None
        }
    }
}
