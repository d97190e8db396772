//! The function `ingest`: events in, delivery jobs out.
//!
//! The platform publishes an event; each hook that it is for becomes one job in the queue. 202 is
//! answered when, and only when, every job is there: what the queue does not take, the publisher is
//! told to send again. An event with an id is published once, however often it is sent.

mod incoming;
mod matching;
mod publish;

use std::panic::resume_unwind;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, FromRef, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Value, value::RawValue};
use shared::{
    http::{ApiError, Body, Caller, finish, json_body},
    queue::Queue,
    store::{Identities, Stores},
};

use crate::{incoming::Incoming, publish::Answer};

/// The largest body, in bytes: what a synchronous Lambda invocation takes, less its envelope.
const BODY_LIMIT: usize = 4 * 1024 * 1024;

/// The most events in one request.
const MAX_EVENTS: usize = 100;

/// What the handler works with.
#[derive(Clone, Debug)]
pub struct Ingest {
    stores: Stores,
    deliveries: Queue,
}

impl Ingest {
    /// Events matched with the hooks of these stores, and queued here.
    #[must_use]
    pub fn new(stores: Stores, deliveries: Queue) -> Self {
        Self { stores, deliveries }
    }
}

impl Ingest {
    /// Publishes in a task of its own: a publisher that hangs up in the middle must not leave half
    /// of its deliveries in the queue and its ids under lease.
    async fn publish_to_the_end(
        self,
        publisher: String,
        events: Vec<Result<Incoming, ApiError>>,
    ) -> Result<Vec<Answer>, ApiError> {
        let publishing = tokio::spawn(async move { self.publish(&publisher, events).await });
        publishing
            .await
            .unwrap_or_else(|error| resume_unwind(error.into_panic()))
    }
}

impl FromRef<Ingest> for Identities {
    fn from_ref(ingest: &Ingest) -> Self {
        ingest.stores.identities.clone()
    }
}

/// The routes, to be completed by [`shared::http::finish`].
pub fn routes(ingest: Ingest) -> Router {
    Router::new()
        .route("/v1/notify/event", post(publish))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(ingest)
}

/// The whole function.
pub fn service(ingest: Ingest) -> Router {
    finish(routes(ingest))
}

/// `POST event`: one event, or a list.
async fn publish(
    State(ingest): State<Ingest>,
    Caller(principal): Caller,
    body: Body,
) -> Result<Response, ApiError> {
    if !principal.may_publish() {
        return Err(ApiError::PermissionDenied("publish events"));
    }
    let raw: Option<Box<RawValue>> = json_body(&body.headers, &body.bytes)?;
    let text = raw.as_deref().map_or("{}", RawValue::get);
    let publisher = principal.user.username;

    if !text.starts_with('[') {
        let answers = ingest
            .publish_to_the_end(publisher, vec![Incoming::read(text)])
            .await?;
        return match answers.into_iter().next() {
            Some(Ok(accepted)) => Ok((StatusCode::ACCEPTED, Json(accepted)).into_response()),
            Some(Err(error)) => Err(error),
            None => Err(ApiError::NotQueued),
        };
    }
    let items: Vec<&RawValue> =
        serde_json::from_str(text).map_err(|error| ApiError::NotJson(error.to_string()))?;
    if items.len() > MAX_EVENTS {
        return Err(ApiError::TooManyEvents {
            count: items.len(),
            limit: MAX_EVENTS,
        });
    }
    let events = items
        .into_iter()
        .map(|item| Incoming::read(item.get()))
        .collect();
    let answers = ingest.publish_to_the_end(publisher, events).await?;
    let answers: Vec<Value> = answers
        .into_iter()
        .map(|answer| match answer {
            Ok(accepted) => serde_json::json!(accepted),
            Err(error) => error.body(),
        })
        .collect();
    Ok((StatusCode::ACCEPTED, Json(answers)).into_response())
}
