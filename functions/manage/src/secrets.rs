//! What a hook's deliveries are signed with: to its owner, and to nobody on the way.
//!
//! A hook has had a secret since it was stored. One of an older release has none, and gets it at the
//! first request for it; until then nobody could have verified anything.

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use serde::Serialize;
use shared::{
    clock, error_responses,
    http::{ApiError, Caller, HookPath},
    model::{Principal, Secret, Secrets},
    store::StoreError,
};

use utoipa::ToSchema;

use crate::{Manage, owner};

/// A hook's secret on the wire.
#[derive(Serialize, ToSchema)]
#[schema(as = Secret)]
#[schema(example = json!({
    "secret": "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
    "rotated_at": "2025-01-20T15:30:00Z",
    "previous_expires_at": "2025-01-21T15:30:00Z"
}))]
struct SecretView {
    /// The current one: `whsec_` and the base64 of 32 bytes.
    secret: String,
    /// When it took another's place; null if it is the hook's first.
    #[schema(required)]
    rotated_at: Option<Timestamp>,
    /// Until when an older one signs as well; null when this one signs alone.
    #[schema(required)]
    previous_expires_at: Option<Timestamp>,
}

error_responses!(
    GetErrors:
    ApiError::HookNotFound("125".to_owned()),
    ApiError::UnknownPath,
    ApiError::Conflict("125".to_owned()),
);

/// `GET hook/subscribe/{id}/secret`.
#[utoipa::path(
    get,
    path = "/v1/notify/hook/subscribe/{id}/secret",
    tag = "Hooks",
    operation_id = "getHookSecret",
    summary = "What a hook's deliveries are signed with",
    description = "Deliveries are signed as Standard Webhooks 1.0.0 has it.",
    params(HookPath),
    responses((status = 200, description = "The secret", body = SecretView), GetErrors),
    security(("token" = [])),
)]
pub(crate) async fn get(
    State(manage): State<Manage>,
    Caller(principal): Caller,
    path: HookPath,
) -> Result<Response, ApiError> {
    let secrets = manage.secrets(&principal, &path, |_| Ok(None)).await?;
    Ok(answer(&secrets, clock::now()))
}

error_responses!(
    RotateErrors:
    ApiError::HookNotFound("125".to_owned()),
    ApiError::UnknownPath,
    ApiError::Conflict("125".to_owned()),
    ApiError::TooManySecrets("125".to_owned()),
);

/// `POST hook/subscribe/{id}/secret/rotate`.
#[utoipa::path(
    post,
    path = "/v1/notify/hook/subscribe/{id}/secret/rotate",
    tag = "Hooks",
    operation_id = "rotateHookSecret",
    summary = "Give a hook a new secret",
    description = "The one before signs beside it for 24 hours.",
    params(HookPath),
    responses((status = 200, description = "The new secret", body = SecretView), RotateErrors),
    security(("token" = [])),
)]
pub(crate) async fn rotate(
    State(manage): State<Manage>,
    Caller(principal): Caller,
    path: HookPath,
) -> Result<Response, ApiError> {
    let now = clock::now();
    let rotate = |secrets: &Secrets| {
        // As it will be shown, so that the older one signs until then and no longer.
        let rotated = secrets.rotated(random()?, clock::whole_second(now));
        let too_many = |_| ApiError::TooManySecrets(path.number.clone());
        rotated.map(Some).map_err(too_many)
    };
    let secrets = manage.secrets(&principal, &path, rotate).await?;
    tracing::info!(hook = path.number, "rotated a secret");
    Ok(answer(&secrets, now))
}

fn random() -> Result<Secret, ApiError> {
    Ok(Secret::random().map_err(StoreError::from)?)
}

impl Manage {
    /// A hook's secrets after a change: as `change` has them, or as they are if it has none. A hook
    /// without secrets gets its first. Another request may change them between our reading and our
    /// writing: then ours comes after.
    async fn secrets(
        &self,
        principal: &Principal,
        path: &HookPath,
        change: impl Fn(&Secrets) -> Result<Option<Secrets>, ApiError>,
    ) -> Result<Secrets, ApiError> {
        let hooks = &self.stores.hooks;
        for _ in 0..5 {
            let found = owner::find_signed(hooks, path, principal).await?;
            let new = match &found.secrets {
                None => Secrets::first(random()?),
                Some(secrets) => match change(secrets)? {
                    None => return Ok(secrets.clone()),
                    Some(new) => new,
                },
            };
            if hooks.set_secrets(&found, &new).await? {
                return Ok(new);
            }
        }
        Err(ApiError::Conflict(path.number.clone()))
    }
}

/// The secret, which nothing between us and its owner is to keep.
fn answer(secrets: &Secrets, now: Timestamp) -> Response {
    let body = SecretView {
        secret: secrets.current.expose(),
        rotated_at: secrets.rotated_at.map(clock::whole_second),
        previous_expires_at: secrets.previous_expire_at(now).map(clock::whole_second),
    };
    let no_store = HeaderValue::from_static("no-store");
    ([(header::CACHE_CONTROL, no_store)], Json(body)).into_response()
}
