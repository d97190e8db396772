//! The newest attempts at a hook's deliveries.

use axum::{Json, extract::State};
use serde::Serialize;
use shared::{
    clock, error_responses,
    http::{ApiError, Caller, HookPath, Listing, Page, PageLinks, Params},
    model::{AttemptRecord, newest},
};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Manage, owner};

/// An attempt on the wire.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Attempt)]
#[schema(example = json!({
    "at": "2025-01-20T15:30:00.123Z",
    "delivery_id": "0199b5a0-4f6e-7c3a-8d21-5b7e0a9c1f42",
    "event": "assignment.assignment_created",
    "attempt": 2,
    "code": 503,
    "failure": "http_status",
    "ms": 120,
    "next_attempt_at": "2025-01-20T15:35:00.123Z"
}))]
pub(crate) struct AttemptView {
    /// When it ended.
    #[schema(format = DateTime)]
    at: String,
    /// The delivery: the `webhook-id` that the endpoint got.
    delivery_id: Uuid,
    /// The event's name.
    event: String,
    /// Which attempt it was, from 1.
    attempt: u32,
    /// As the hook shows it.
    code: u16,
    /// The failure's class (`http_status`, `timeout`, `dns`, `tls`, `connection_refused`,
    /// `connection_closed`, `protocol` or `refused_address`); null for a success.
    #[schema(required)]
    failure: Option<&'static str>,
    /// How long it took, in milliseconds; of an address that is refused in whole seconds.
    ms: u32,
    /// When the next one is to be made; null: there is none.
    #[schema(required, format = DateTime)]
    next_attempt_at: Option<String>,
}

error_responses!(ListErrors: ApiError::HookNotFound("125".to_owned()), ApiError::UnknownPath);

/// `GET hook/{id}/attempts`: newest first.
#[utoipa::path(
    get,
    path = "/v1/notify/hook/{id}/attempts",
    tag = "Hooks",
    operation_id = "listAttempts",
    summary = "The newest attempts at a hook's deliveries",
    description = "The newest 12 of the last 7 days, newest first; those of the hook's present event.",
    params(HookPath, Page),
    responses((status = 200, description = "Attempts", body = Listing<AttemptView>), ListErrors),
    security(("token" = [])),
)]
pub(crate) async fn list(
    State(manage): State<Manage>,
    Caller(principal): Caller,
    path: HookPath,
    params: Params,
    links: PageLinks,
) -> Result<Json<Listing<AttemptView>>, ApiError> {
    let (hook, state) = owner::find_with_state(&manage.stores.hooks, &path, &principal).await?;
    let view = |record: AttemptRecord| AttemptView {
        at: clock::with_millis(record.at),
        delivery_id: record.delivery_id,
        event: hook.subscription.event.clone(),
        attempt: record.attempt,
        code: record.outcome.code(),
        failure: record.outcome.failure(),
        ms: record.outcome.shown_ms(record.ms),
        next_attempt_at: record.next_attempt_at.map(clock::with_millis),
    };
    // Those that have become too old since the last write are not shown either.
    let records = newest(state.attempts(), [], clock::now());
    let views: Vec<_> = records.into_iter().map(view).collect();
    let page = Page::of(&params);
    Ok(page.answer(views.len(), page.cut(views), &links))
}
