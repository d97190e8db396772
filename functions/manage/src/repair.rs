//! Dead-lettered deliveries: redelivered, or forgotten together with their error.
//!
//! A request redelivers what had failed when it came, so that a delivery that fails at once a second time
//! is not sent a third time by the same request.

use std::time::Duration;

use axum::{Json, extract::State, http::StatusCode};
use jiff::Timestamp;
use shared::{
    clock, error_responses,
    http::{ApiError, Caller, FieldErrors, HookPath, Params},
    model::{HookId, Principal},
    redeliver::{LONGEST_CALL, Redelivered, redeliver},
    store::{HookErrors, Kept, OwnedError},
};
use tokio::time::Instant;

use crate::{Details, Manage, owner};

/// How long a deletion may take: what is left of it then is for the next request.
const DELETION: Duration = Duration::from_secs(20);

error_responses!(
    OfErrorErrors:
    ApiError::HookErrorNotFound("12".to_owned()),
    ApiError::UnknownPath,
    ApiError::NotRedelivered,
);

/// `POST hook/error/{id}/redeliver`.
#[utoipa::path(
    post,
    path = "/v1/notify/hook/error/{id}/redeliver",
    tag = "Errors",
    operation_id = "redeliverError",
    summary = "Send the deliveries of an error again",
    description = "Up to 1,000 of them, under their ids, to where their hooks point now.",
    params(HookPath),
    responses((status = 202, description = "How many are in the queue", body = Redelivered), OfErrorErrors),
    security(("token" = [])),
)]
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

/// A mistake in the parameters, for the description.
fn without_since() -> ApiError {
    let mut errors = FieldErrors::default();
    errors.add("since", "This field is required.");
    ApiError::Fields(errors)
}

error_responses!(
    OfHookErrors:
    without_since(),
    ApiError::HookNotFound("125".to_owned()),
    ApiError::UnknownPath,
    ApiError::NotRedelivered,
);

/// `POST hook/{id}/redeliver?since=…`.
#[utoipa::path(
    post,
    path = "/v1/notify/hook/{id}/redeliver",
    tag = "Hooks",
    operation_id = "redeliverHook",
    summary = "Send a hook's failed deliveries again",
    description = "Those that failed since a time, up to 1,000 of them, under their ids.",
    params(
        HookPath,
        ("since" = String, Query, format = DateTime, description = "Not those that failed before.", example = "2025-01-20T15:30:00Z"),
        ("until" = Option<String>, Query, format = DateTime, description = "Not those that failed after."),
    ),
    responses((status = 202, description = "How many are in the queue", body = Redelivered), OfHookErrors),
    security(("token" = [])),
)]
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

error_responses!(DeleteErrors: ApiError::UnknownPath, ApiError::NotDeleted);

/// `DELETE hook/error/{id}`.
#[utoipa::path(
    delete,
    path = "/v1/notify/hook/error/{id}",
    tag = "Errors",
    operation_id = "deleteError",
    summary = "Forget an error and the deliveries that are kept with it",
    description = "Of an error that is not there, 0 are deleted.",
    params(HookPath),
    responses(
        (
            status = 200, description = "How many were deleted", body = Details,
            example = json!({"details": "Deleted 1 errors"})
        ),
        DeleteErrors
    ),
    security(("token" = [])),
)]
pub(crate) async fn delete(
    State(manage): State<Manage>,
    Caller(principal): Caller,
    path: HookPath,
) -> Result<Json<Details>, ApiError> {
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
    Ok(Json(Details {
        details: format!("Deleted {deleted} errors"),
    }))
}

impl Manage {
    async fn redeliver(
        &self,
        which: &Kept,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(StatusCode, Json<Redelivered>), ApiError> {
        let errors = &self.stores.errors;
        let deadline = Instant::now() + LONGEST_CALL;
        let redelivered = redeliver(errors, &self.deliveries, which, until, now, deadline).await?;
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
    let user = &principal.user;
    let owner = (!user.is_superuser).then_some(user.username.as_str());
    Ok(errors.get(id, owner).await?)
}

/// A parameter that is a time, if it is there.
fn time(name: &'static str, params: &Params, errors: &mut FieldErrors) -> Option<Timestamp> {
    let parsed = params.get(name)?.trim().parse();
    if parsed.is_err() {
        errors.add(name, "Enter a time such as 2025-01-20T15:30:00Z.");
    }
    parsed.ok()
}
