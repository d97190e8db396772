//! Calling a hook's endpoint on request, to see whether it answers.
//!
//! A ping is no delivery: it is not counted, leaves the hook's circuit as it is, has no second
//! attempt, and goes out whether the circuit is open or not.
//!
//! Whoever can subscribe can ping, so the answer must not tell what there is beside us: an address that is
//! refused is one failure, however it was found, and its time is drawn out to whole seconds.

use std::time::{Duration, Instant};

use axum::{Json, extract::State};
use serde::Serialize;
use serde_json::value::RawValue;
use shared::{
    clock,
    deliver::sign::{self, Told},
    error_responses,
    http::{ApiError, Caller, HookPath},
    model::Outcome,
    store::{SignedHook, StoreError},
};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Manage, owner, samples};

/// How long an endpoint has: less than a delivery, so that the answer comes well before API Gateway
/// hangs up.
const DEADLINE: Duration = Duration::from_secs(15);

/// How a ping ended, on the wire.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"code": 503, "ms": 84, "failure": "http_status"}))]
pub(crate) struct Pinged {
    /// The endpoint's answer; 504 stands for no answer in time, 502 for no answer at all.
    code: u16,
    /// How long it took, in milliseconds; of an address that is refused in whole seconds.
    ms: u32,
    /// The failure's class (`http_status`, `timeout`, `dns`, `tls`, `connection_refused`,
    /// `connection_closed`, `protocol` or `refused_address`); null for a success.
    #[schema(required)]
    failure: Option<&'static str>,
}

error_responses!(
    PingErrors:
    ApiError::HookNotFound("125".to_owned()),
    ApiError::UnknownPath,
    ApiError::NoSample,
);

/// `POST hook/{id}/ping`.
#[utoipa::path(
    post,
    path = "/v1/notify/hook/{id}/ping",
    tag = "Hooks",
    operation_id = "pingHook",
    summary = "Call a hook's endpoint now",
    description = "A request like a delivery's, with the hook's sample; it counts for nothing.",
    params(HookPath),
    responses((status = 200, description = "How the endpoint answered", body = Pinged), PingErrors),
    security(("token" = [])),
)]
pub(crate) async fn ping(
    State(manage): State<Manage>,
    Caller(principal): Caller,
    path: HookPath,
) -> Result<Json<Pinged>, ApiError> {
    let hooks = &manage.stores.hooks;
    let SignedHook { hook, secrets } = owner::find_signed(hooks, &path, &principal).await?;
    let payload = samples::payload(&manage.stores.samples, &hook).await?;
    let subscription = &hook.subscription;
    let payload = RawValue::from_string(payload).map_err(StoreError::from)?;
    let now = clock::now();
    let told = Told {
        delivery_id: Uuid::now_v7(),
        event: &subscription.event,
        accepted_at: now,
        attempt: 1,
        hook: hook.id,
        service_id: subscription.service_id.as_deref(),
        academy: hook.scope.academy(),
        is_ping: true,
        payload: &payload,
    };
    let headers = sign::headers(told, secrets.as_ref(), now)
        // No event of the catalogue is such that no header takes it.
        .map_err(|_| ApiError::NoSample)?;

    let started = Instant::now();
    let post = manage.client.post(&subscription.target, headers, &payload);
    let outcome = match tokio::time::timeout(DEADLINE, post).await {
        Ok(reply) => reply.outcome,
        Err(_) => Outcome::TimedOut,
    };
    let took = u32::try_from(started.elapsed().as_millis()).unwrap_or(u32::MAX);
    let ms = outcome.shown_ms(took);
    // Nor must the answer's own time tell.
    tokio::time::sleep(Duration::from_millis((ms - took).into())).await;
    let code = outcome.code();
    tracing::info!(hook = hook.id.get(), code, ms, "pinged");
    let failure = outcome.failure();
    Ok(Json(Pinged { code, ms, failure }))
}
