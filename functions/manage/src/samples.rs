//! Samples: what a hook's deliveries look like.

use axum::{
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde_json::Value;
use shared::{
    catalog::{self, CatalogEvent},
    error_responses,
    http::{ApiError, Caller, HookPath, Params, openapi::Payload},
    model::Hook,
    store::HookSamples,
};

use crate::{
    Manage,
    filter::{HookFilter, items},
    owner::{self, Owner},
};

/// A payload, for the description.
fn shown() -> Option<Value> {
    let event = catalog::find("assignment.assignment_created")?;
    serde_json::from_str(event.example()).ok()
}

error_responses!(ByIdErrors: ApiError::NoSample, ApiError::UnknownPath);

/// `GET hook/{id}/sample`.
#[utoipa::path(
    get,
    path = "/v1/notify/hook/{id}/sample",
    tag = "Samples",
    operation_id = "getHookSample",
    summary = "What a hook's deliveries look like",
    description = "Its newest stored payload, with personal data masked, else its event's example.",
    params(HookPath),
    responses((status = 200, description = "A payload", body = Payload, example = json!(shown())), ByIdErrors),
    security(("token" = [])),
)]
pub(crate) async fn by_id(
    State(manage): State<Manage>,
    Caller(principal): Caller,
    path: HookPath,
) -> Result<Response, ApiError> {
    let stores = &manage.stores;
    let hook = owner::find(&stores.hooks, path.id, &principal).await?;
    let hook = hook.ok_or(ApiError::NoSample)?;
    payload(&stores.samples, &hook).await.map(json)
}

error_responses!(
    ByFilterErrors:
    ApiError::SampleWithoutFilter,
    ApiError::NoSample,
    ApiError::UnknownEvent("unknown.event".to_owned()),
    ApiError::UnknownAcademy("no-such-academy".to_owned()),
    ApiError::PermissionDenied("act for this academy"),
);

/// `GET hook/sample`: of the oldest hook that the filter finds, else, with an `event`, the example
/// of that event.
#[utoipa::path(
    get,
    path = "/v1/notify/hook/sample",
    tag = "Samples",
    operation_id = "getSample",
    summary = "What deliveries look like, by filter",
    description = "Of the hook with the lowest id that passes all filters, of which one is needed; with \
                   an `event` and no such hook, that event's example.",
    params(
        ("event" = Option<String>, Query, description = "Names of events, separated by commas.", example = "assignment.assignment_created"),
        ("service_id" = Option<String>, Query, description = "Service ids, separated by commas."),
        ("like" = Option<String>, Query, description = "A part of event or target, in any case."),
        ("academy" = Option<String>, Query, description = "For superadmins: an academy's slug, or `*`."),
    ),
    responses((status = 200, description = "A payload", body = Payload, example = json!(shown())), ByFilterErrors),
    security(("token" = [])),
)]
pub(crate) async fn by_filter(
    State(manage): State<Manage>,
    Caller(principal): Caller,
    params: Params,
) -> Result<Response, ApiError> {
    let stores = &manage.stores;
    let filter = HookFilter::of_sample(&params);
    if filter.is_empty() {
        return Err(ApiError::SampleWithoutFilter);
    }
    let events = params.get("event").map(known_events).transpose()?;
    let owner = Owner::listed(&principal, &params, &stores.identities).await?;
    let hooks = owner
        .hooks(&stores.hooks, filter.event_names().as_deref())
        .await?;
    let oldest = hooks
        .into_iter()
        .filter(|hook| filter.wants(hook))
        .min_by_key(|hook| hook.id);
    match (oldest, events) {
        (Some(hook), _) => payload(&stores.samples, &hook).await.map(json),
        (None, Some(events)) => events
            .first()
            .map(|event| example(event))
            .ok_or(ApiError::NoSample),
        (None, None) => Err(ApiError::NoSample),
    }
}

/// The events of a comma list, which must all be in the catalogue.
fn known_events(list: &str) -> Result<Vec<&'static CatalogEvent>, ApiError> {
    items(list)
        .map(|name| catalog::find(name).ok_or_else(|| ApiError::UnknownEvent(name.to_owned())))
        .collect()
}

/// What a delivery of a hook looks like: its sample, else the event's example.
pub(crate) async fn payload(samples: &HookSamples, hook: &Hook) -> Result<String, ApiError> {
    match samples.get(hook).await? {
        Some(sample) => Ok(sample),
        None => catalog::find(&hook.subscription.event)
            .map(|event| event.example().to_owned())
            .ok_or(ApiError::NoSample),
    }
}

/// An event's example, with its numbers spelt as in the document.
fn example(event: &'static CatalogEvent) -> Response {
    json(event.example().to_owned())
}

fn json(text: String) -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], text).into_response()
}
