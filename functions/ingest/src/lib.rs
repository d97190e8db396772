//! The function `ingest`: events and changes in, delivery jobs out.
//!
//! The platform publishes an event, or tells of a record that it saved, which may be some events; each
//! hook that an event is for becomes one job in the queue. They come over HTTP, or from an event bus
//! through a queue of its own. 202 is answered when, and only when, every job is there: what the queue
//! does not take, the publisher is told to send again. What has an id is published once, however often
//! it is sent.

mod bus;
mod incoming;
mod invocation;
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
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};
use shared::{
    http::{ApiError, Body, Caller, finish, json_body},
    model::{Accepted, AcceptedEvent, Principal},
    queue::Queue,
    store::{IdSpace, Identities, Stores},
};

use crate::{
    incoming::{ChangeFields, EventFields, Submission, Submitted},
    publish::Answer,
};

pub use bus::Bus;
pub use invocation::run;

/// The largest body, in bytes: what a synchronous Lambda invocation takes, less its envelope.
const BODY_LIMIT: usize = 4 * 1024 * 1024;

/// The most events, or changes, in one request.
const MAX_ITEMS: usize = 100;

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

    /// Publishes in a task of its own: a publisher that hangs up in the middle must not leave half
    /// of its deliveries in the queue and its ids under lease.
    async fn publish_to_the_end(
        self,
        submissions: Vec<Result<Submission, ApiError>>,
    ) -> Result<Vec<Answer>, ApiError> {
        let publishing = tokio::spawn(async move { self.publish(submissions).await });
        publishing
            .await
            .unwrap_or_else(|error| resume_unwind(error.into_panic()))
    }

    /// Publishes what a request's body has: one item, or a list of them.
    async fn submit<T: Submitted>(
        self,
        ids: &IdSpace,
        body: &Body,
        answered: fn(Accepted) -> Value,
    ) -> Result<Response, ApiError> {
        let raw: Option<Box<RawValue>> = json_body(&body.headers, &body.bytes)?;
        let text = raw.as_deref().map_or("{}", RawValue::get);
        if !text.starts_with('[') {
            let submission = T::read(text, ids.clone());
            let answers = self.publish_to_the_end(vec![submission]).await?;
            return match answers.into_iter().next() {
                Some(Ok(accepted)) => {
                    Ok((StatusCode::ACCEPTED, Json(answered(accepted))).into_response())
                }
                Some(Err(error)) => Err(error),
                None => Err(ApiError::NotQueued),
            };
        }
        let items: Vec<&RawValue> =
            serde_json::from_str(text).map_err(|error| ApiError::NotJson(error.to_string()))?;
        if items.len() > MAX_ITEMS {
            return Err(ApiError::TooManyItems {
                count: items.len(),
                limit: MAX_ITEMS,
            });
        }
        let submissions = items
            .into_iter()
            .map(|item| T::read(item.get(), ids.clone()))
            .collect();
        let answers = self.publish_to_the_end(submissions).await?;
        let answers = answers.into_iter().map(|answer| match answer {
            Ok(accepted) => answered(accepted),
            Err(error) => error.body(),
        });
        Ok((StatusCode::ACCEPTED, Json(answers.collect::<Vec<_>>())).into_response())
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
        .route("/v1/notify/event", post(event))
        .route("/v1/notify/change", post(change))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(ingest)
}

/// The whole API of the function.
pub fn service(ingest: Ingest) -> Router {
    finish(routes(ingest))
}

/// An accepted event on the wire.
#[derive(Debug, Serialize)]
struct EventView {
    /// Its id: the publisher's, or ours.
    id: String,
    #[serde(flatten)]
    event: AcceptedEvent,
}

/// `POST event`: one event, or a list.
async fn event(
    State(ingest): State<Ingest>,
    Caller(principal): Caller,
    body: Body,
) -> Result<Response, ApiError> {
    let ids = IdSpace::events_of(publisher(&principal)?);
    let view = |Accepted { id, events }: Accepted| {
        let event = events.into_iter().next();
        json!(event.map(|event| EventView { id, event }))
    };
    ingest.submit::<EventFields>(&ids, &body, view).await
}

/// `POST change`: one change of a record, or a list.
async fn change(
    State(ingest): State<Ingest>,
    Caller(principal): Caller,
    body: Body,
) -> Result<Response, ApiError> {
    let ids = IdSpace::changes_of(publisher(&principal)?);
    let view = |accepted| json!(accepted);
    ingest.submit::<ChangeFields>(&ids, &body, view).await
}

/// The name under which a caller publishes, if it may.
fn publisher(principal: &Principal) -> Result<&str, ApiError> {
    if principal.may_publish() {
        Ok(&principal.user.username)
    } else {
        Err(ApiError::PermissionDenied("publish events"))
    }
}
