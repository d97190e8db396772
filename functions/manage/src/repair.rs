//! Deliveries that were given up: sent again, or forgotten together with their error.
//!
//! What is sent again is what had failed when the request came, so that a delivery that fails at once
//! a second time is not sent a third time by the same request.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use serde_json::json;
use shared::{
    clock,
    http::{ApiError, Caller, FieldErrors, HookPath, Params},
    model::{HookId, Principal},
    redeliver::{Redelivered, redeliver},
    store::{HookErrors, Kept, OwnedError},
};

use crate::{Manage, owner};

/// How long a deletion may take: what is left of it then is for the next request.
const DELETION: Duration = Duration::from_secs(20);

/// `POST hook/error/{id}/redeliver`.
pub(crate) async fn of_error(
    State(manage): State<Manage>,
    Caller(principal): Caller,
    path: HookPath,
) -> Result<(StatusCode, Json<Redelivered>), ApiError> {
    let now = clock::now();
    let found = find(&manage.stores.errors, &path, &principal).await?;
    let found = found.ok_or(ApiError::HookErrorNotFound(path.number))?;
    manage.redeliver(&Kept::OfError(found), now, now).await
}

/// `POST hook/{id}/redeliver?since=…`.
pub(crate) async fn of_hook(
    State(manage): State<Manage>,
    Caller(principal): Caller,
    path: HookPath,
    params: Params,
) -> Result<(StatusCode, Json<Redelivered>), ApiError> {
    let now = clock::now();
    let hook = owner::find(&manage.stores.hooks, path.id, &principal).await?;
    let hook = hook.ok_or(ApiError::HookNotFound(path.number))?;
    let mut errors = FieldErrors::default();
    let since = time("since", &params, &mut errors);
    if params.get("since").is_none() {
        errors.add("since", "This field is required.");
    }
    let until = time("until", &params, &mut errors).unwrap_or(now);
    match since {
        Some(since) if errors.is_empty() => {
            let which = Kept::OfHook(hook.id, since);
            manage.redeliver(&which, until.min(now), now).await
        }
        _ => Err(ApiError::Fields(errors)),
    }
}

/// `DELETE hook/error/{id}`.
pub(crate) async fn delete(
    State(manage): State<Manage>,
    Caller(principal): Caller,
    path: HookPath,
) -> Result<Response, ApiError> {
    let errors = &manage.stores.errors;
    let deleted = match find(errors, &path, &principal).await? {
        None => 0,
        Some(found) => {
            let deletion = tokio::time::timeout(DELETION, errors.delete(&found));
            deletion.await.map_err(|_| ApiError::NotDeleted)??;
            tracing::info!(error_id = found.error.id, "an error was deleted");
            1
        }
    };
    Ok(Json(json!({"details": format!("Deleted {deleted} errors")})).into_response())
}

impl Manage {
    async fn redeliver(
        &self,
        which: &Kept,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(StatusCode, Json<Redelivered>), ApiError> {
        let errors = &self.stores.errors;
        let redelivered = redeliver(errors, &self.deliveries, which, until, now).await?;
        Ok((StatusCode::ACCEPTED, Json(redelivered)))
    }
}

/// The HookError in a path, if the principal may have it. Its ids are those that hooks could have.
async fn find(
    errors: &HookErrors,
    path: &HookPath,
    principal: &Principal,
) -> Result<Option<OwnedError>, ApiError> {
    let Some(id) = path.id.map(HookId::get) else {
        return Ok(None);
    };
    let found = errors.get(id).await?;
    Ok(found.filter(|found| owner::owns(principal, &found.owner)))
}

/// A parameter that is a time, if it is there.
fn time(name: &'static str, params: &Params, errors: &mut FieldErrors) -> Option<Timestamp> {
    let parsed = params.get(name)?.trim().parse();
    if parsed.is_err() {
        errors.add(name, "Enter a time such as 2025-01-20T15:30:00Z.");
    }
    parsed.ok()
}
