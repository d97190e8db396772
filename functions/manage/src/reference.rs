//! What the API says of itself: its description for programs and for people, and that it is there.
//!
//! Both descriptions, and the schemas of the events, are files of `docs/`, made from the handlers and types
//! by `make reference` and held to them by a test: a function that would make them when it starts would start
//! later for everybody, and would have the code for it in its binary.

use std::borrow::Cow;

use axum::{
    Json,
    http::header,
    response::{Html, IntoResponse},
};
use include_dir::{Dir, include_dir};
use serde::Serialize;
use serde_json::{Map, Value};
use shared::http::{EXAMPLE_ORIGIN, Origin};
use utoipa::ToSchema;

/// What browsers may do with the page: it has all that it needs.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// How long caches may keep the descriptions.
const CACHED: &str = "public, max-age=300";

/// `docs/schemas`: `<event>.json` for each event.
static SCHEMAS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../docs/schemas");

/// The JSON Schema of an event's payload, if there is such an event.
pub(crate) fn schema(event: &str) -> Option<&'static str> {
    SCHEMAS.get_file(format!("{event}.json"))?.contents_utf8()
}

/// A JSON Schema, in the dialect 2020-12.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes a file")]
pub(crate) struct JsonSchema {
    /// The dialect.
    #[serde(rename = "$schema")]
    dialect: String,
    /// The event's name.
    title: String,
    /// When the event fires.
    description: String,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// An OpenAPI document.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes a file")]
pub(crate) struct OpenApiDocument {
    /// The version of OpenAPI: `3.1.0`.
    openapi: String,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// `GET openapi.json`.
#[utoipa::path(
    get,
    path = "/v1/notify/openapi.json",
    tag = "Service",
    operation_id = "getOpenApi",
    summary = "This description",
    description = "For anybody. The example is shortened.",
    responses((status = 200, description = "An OpenAPI 3.1 document", body = OpenApiDocument, example = json!({
        "openapi": "3.1.0", "info": {"title": "academy-hooks", "version": "0.1.0"}, "paths": {}
    }))),
    security(()),
)]
pub(crate) async fn openapi() -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, CACHED),
    ];
    (
        headers,
        include_str!(concat!(env!("OUT_DIR"), "/openapi.json")),
    )
}

/// `GET docs`: the page, whose examples call the API that it is asked for at.
#[utoipa::path(
    get,
    path = "/v1/notify/docs",
    tag = "Service",
    operation_id = "getDocs",
    summary = "This description, to be read by people",
    description = "For anybody. The page asks for nothing else.",
    responses((status = 200, description = "A page", body = String, content_type = "text/html", example = "<!DOCTYPE html>")),
    security(()),
)]
pub(crate) async fn page(Origin(origin): Origin) -> impl IntoResponse {
    let mut page = Cow::Borrowed(include_str!("../../../docs/api.html"));
    if let Some(origin) = origin {
        page = page.replace(EXAMPLE_ORIGIN, &origin).into();
    }
    let headers = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, CACHED),
        (header::VARY, Origin::HEADERS),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, Html(page))
}

/// That the function answers.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ServiceHealth)]
#[schema(example = json!({"status": "ok"}))]
pub(crate) struct Health {
    /// `ok`.
    status: &'static str,
}

/// `GET /health`.
#[utoipa::path(
    get,
    path = "/health",
    tag = "Service",
    operation_id = "getHealth",
    summary = "Whether the API answers",
    description = "For anybody.",
    responses((status = 200, description = "It does", body = Health)),
    security(()),
)]
pub(crate) async fn health() -> Json<Health> {
    Json(Health { status: "ok" })
}
