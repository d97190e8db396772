//! The catalogue of events.

use axum::{Json, extract::State, http::header::CONTENT_TYPE, response::IntoResponse};
use shared::{
    catalog::{CatalogEntry, CatalogFilter},
    error_responses,
    http::{ApiError, Caller, Params, Segment},
};

use crate::{
    Manage,
    reference::{self, JsonSchema},
};

error_responses!(ListErrors:);

/// `GET hook/event`: the events there are, sorted by app and name.
#[utoipa::path(
    get,
    path = "/v1/notify/hook/event",
    tag = "Catalogue",
    operation_id = "listEvents",
    summary = "The events that can be subscribed to",
    description = "Sorted by app, then by name. All filters must hold; they ignore case.",
    params(
        ("app" = Option<String>, Query, description = "Apps, separated by commas."),
        ("category" = Option<String>, Query, description = "Another name for `app`."),
        ("event" = Option<String>, Query, description = "Names of events, separated by commas."),
        ("like" = Option<String>, Query, description = "A part of name, description, app or label."),
    ),
    responses((status = 200, description = "The events", body = Vec<CatalogEntry>), ListErrors),
    security(("token" = [])),
)]
pub(crate) async fn list(
    State(_): State<Manage>,
    _: Caller,
    params: Params,
) -> Json<Vec<CatalogEntry>> {
    let get = |name| params.get(name);
    let filter = CatalogFilter::new(get("app"), get("category"), get("event"), get("like"));
    Json(
        filter
            .events()
            .map(shared::catalog::CatalogEvent::entry)
            .collect(),
    )
}

error_responses!(
    SchemaErrors:
    ApiError::EventNotFound("no.such_event".to_owned()),
    ApiError::UnknownPath,
);

/// `GET hook/event/{event}/schema`: what an event's payload is.
#[utoipa::path(
    get,
    path = "/v1/notify/hook/event/{event}/schema",
    tag = "Catalogue",
    operation_id = "getEventSchema",
    summary = "The JSON Schema of an event's payload",
    description = "In the dialect 2020-12, whole in itself. The example is shortened.",
    params(("event" = String, Path, description = "The event's name.", example = "cohort_user.added")),
    responses(
        (status = 200, description = "The schema", body = JsonSchema, example = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "cohort_user.added",
            "description": "Triggered when a student is added to a cohort", "type": "object",
            "properties": {"watching": {"type": ["boolean", "null"]}}
        })),
        SchemaErrors
    ),
    security(("token" = [])),
)]
pub(crate) async fn schema(
    State(_): State<Manage>,
    _: Caller,
    Segment(name): Segment,
) -> Result<impl IntoResponse, ApiError> {
    match reference::schema(&name) {
        Some(schema) => Ok(([(CONTENT_TYPE, "application/json")], schema)),
        None => Err(ApiError::EventNotFound(name)),
    }
}
