//! The newest attempts at a hook's deliveries.

use axum::{extract::State, response::Response};
use jiff::Timestamp;
use serde::Serialize;
use shared::{
    clock,
    http::{ApiError, Caller, HookPath, Page, PageLinks, Params},
    model::{AttemptRecord, newest},
};
use uuid::Uuid;

use crate::{Manage, owner};

/// An attempt on the wire.
#[derive(Debug, Serialize)]
struct AttemptView {
    at: Timestamp,
    delivery_id: Uuid,
    event: String,
    attempt: u32,
    /// As the hook shows it.
    code: u16,
    /// The failure's class; none for a success.
    failure: Option<&'static str>,
    ms: u32,
    next_attempt_at: Option<Timestamp>,
}

/// `GET hook/{id}/attempts`: newest first.
pub(crate) async fn list(
    State(manage): State<Manage>,
    Caller(principal): Caller,
    path: HookPath,
    params: Params,
    links: PageLinks,
) -> Result<Response, ApiError> {
    let (hook, state) = owner::find_with_state(&manage.stores.hooks, &path, &principal).await?;
    let view = |record: AttemptRecord| AttemptView {
        at: record.at,
        delivery_id: record.delivery_id,
        event: hook.subscription.event.clone(),
        attempt: record.attempt,
        code: record.outcome.code(),
        failure: record.outcome.failure(),
        ms: record.outcome.shown_ms(record.ms),
        next_attempt_at: record.next_attempt_at,
    };
    // Those that have become too old since the last write are not shown either.
    let records = newest(state.attempts(), [], clock::now());
    let views: Vec<_> = records.into_iter().map(view).collect();
    let page = Page::of(&params);
    Ok(page.answer(views.len(), page.cut(views), &links))
}
