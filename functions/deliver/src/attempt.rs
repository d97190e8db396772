//! One attempt, in a task of its own: a panic in it, or a deadline that it overruns, ends it alone.

use jiff::Timestamp;
use shared::{
    clock,
    deliver::{
        client::{DeliveryClient, Reply},
        sign::{self, Told},
    },
    model::{ATTEMPT_GUARD, DeliveryJob},
    store::SignedHook,
};
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

/// An attempt that was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempted {
    pub(crate) reply: Reply,
    pub(crate) ended_at: Timestamp,
    /// How long it took, in milliseconds.
    pub(crate) ms: u32,
}

/// Makes an attempt, which has to end by then. `None`: it ended without an outcome, and nobody knows what
/// the endpoint saw.
pub(crate) async fn attempt(
    client: DeliveryClient,
    hook: &SignedHook,
    job: DeliveryJob,
    by: Instant,
) -> Option<Attempted> {
    let (delivery_id, event_id) = (job.delivery_id, job.event_id.clone());
    let hook_id = job.hook.id.get();
    let subscription = &hook.hook.subscription;
    let told = Told {
        delivery_id,
        event: &job.event,
        accepted_at: job.event_accepted_at(),
        attempt: job.attempt,
        hook: hook.hook.id,
        service_id: subscription.service_id.as_deref(),
        academy: job.academy.as_deref(),
        is_ping: false,
        payload: &job.payload,
    };
    let headers = sign::headers(told, hook.secrets.as_ref(), clock::now());
    let headers = match headers {
        Ok(headers) => headers,
        Err(error) => {
            tracing::error!(%delivery_id, event_id, hook = hook_id, %error, "an attempt has no headers");
            return None;
        }
    };
    let target = subscription.target.clone();
    let work = async move {
        let started = Instant::now();
        // What the client logs of the cause of a failure is about this delivery.
        let span = tracing::info_span!(
            "attempt",
            delivery_id = %job.delivery_id,
            event_id = job.event_id,
            hook = job.hook.id.get()
        );
        let reply = client
            .post(&target, headers, &job.payload)
            .instrument(span)
            .await;
        let ms = u32::try_from(started.elapsed().as_millis()).unwrap_or(u32::MAX);
        tracing::info!(
            target: "delivery",
            event = job.event,
            hook = job.hook.id.get(),
            code = reply.outcome.code(),
            ms,
            attempt = job.attempt,
            delivery_id = %job.delivery_id,
            event_id = job.event_id,
            "attempted"
        );
        Attempted {
            reply,
            ended_at: clock::now(),
            ms,
        }
    };
    // What is logged there is of this request, too.
    let task = tokio::spawn(work.in_current_span());
    let stop = task.abort_handle();
    match timeout_at(by.min(Instant::now() + ATTEMPT_GUARD), task).await {
        Ok(Ok(attempted)) => Some(attempted),
        Ok(Err(error)) => {
            tracing::error!(%delivery_id, event_id, hook = hook_id, %error, "an attempt panicked");
            None
        }
        Err(_) => {
            stop.abort();
            tracing::error!(%delivery_id, event_id, hook = hook_id, "an attempt overran its deadline");
            None
        }
    }
}
