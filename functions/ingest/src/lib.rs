//! The function `ingest`: events and changes in, delivery jobs out.
//!
//! The platform publishes an event, or tells of a record that it saved, which may be some events; each
//! hook that an event is for becomes one job in the queue. They come over HTTP, or from an event bus
//! through a queue of its own. 202 is answered when, and only when, every job is there: what the queue
//! does not take, the publisher is told to send again. What has an id is published once, however often
//! it is sent.

mod bus;
mod delivery_ids;
mod description;
mod idempotency;
mod incoming;
mod invocation;
mod look_up;
mod matching;
mod publish;

use std::panic::resume_unwind;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, FromRef, State},
    http::StatusCode,
};
use serde::Serialize;
use serde_json::value::RawValue;
use shared::{
    http::{ApiError, Body, TokenOwner, finish, json_body, openapi::ErrorBody},
    metrics::Metrics,
    model::{Accepted, AcceptedEvent},
    queue::Queue,
    routes,
    store::{IdSpace, Identities, Stores},
};
use tracing::Instrument;
use utoipa::{ToSchema, openapi::OpenApi};

use crate::{
    description::{ChangeDraft, ChangeErrors, EventDraft, EventErrors},
    idempotency::IdempotencyKey,
    incoming::{ChangeFields, EventFields, Submission, Submitted},
    look_up::{BYTES_AHEAD, Publisher},
    publish::{Answer, Outcome},
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
        publisher: Publisher,
        submissions: Vec<Result<Submission, ApiError>>,
        metrics: Metrics,
    ) -> Outcome {
        let publishing = async move { self.publish(publisher, submissions, &metrics).await };
        // What is logged there is of this request, too.
        tokio::spawn(publishing.in_current_span())
            .await
            .unwrap_or_else(|error| resume_unwind(error.into_panic()))
    }

    /// Publishes what a request's body has: one item, or a list of them. Who may not publish is told that, and
    /// not what is wrong with the body.
    async fn submit<T: Submitted, V>(
        self,
        mut publisher: Publisher,
        ids: &IdSpace,
        body: Result<Body, ApiError>,
        metrics: Metrics,
        view: fn(Accepted) -> Option<V>,
    ) -> Result<Published<V>, ApiError> {
        if body
            .as_ref()
            .is_ok_and(|body| body.bytes.len() > BYTES_AHEAD)
        {
            publisher = self.authorize(publisher).await?;
        }
        let submissions = match body.and_then(|body| submissions::<T>(&body, ids)) {
            Ok(submissions) => submissions,
            Err(error) => {
                self.authorize(publisher).await?;
                return Err(error);
            }
        };
        let view = |answer: Answer| view(answer?).ok_or(ApiError::NotQueued);
        let (submissions, is_list) = match submissions {
            OneOrMany::One(submission) => (vec![submission], false),
            OneOrMany::Many(submissions) => (submissions, true),
        };
        let published = self.publish_to_the_end(publisher, submissions, metrics);
        let mut answers = published.await.all()?.into_iter().map(view);
        let answer = if is_list {
            let answered = |viewed: Result<V, ApiError>| {
                viewed.map_or_else(
                    |error| Answered::Refused(ErrorBody(error.body())),
                    Answered::Accepted,
                )
            };
            Answers::List(answers.map(answered).collect())
        } else {
            let one = answers.next().ok_or(ApiError::NotQueued)?;
            Answers::One(one?)
        };
        Ok((StatusCode::ACCEPTED, Json(answer)))
    }
}

/// What a body has to publish, read and checked: one item, or a list of them.
fn submissions<T: Submitted>(
    body: &Body,
    ids: &IdSpace,
) -> Result<OneOrMany<Result<Submission, ApiError>>, ApiError> {
    let raw: Option<Box<RawValue>> = json_body(&body.headers, &body.bytes)?;
    let text = raw.as_deref().map_or("{}", RawValue::get);
    let key = IdempotencyKey::of(&body.headers)?;
    if !text.starts_with('[') {
        let submission = T::read(text, ids.clone());
        return Ok(OneOrMany::One(submission.and_then(|sent| key.name(sent))));
    }
    key.refuse_for_list()?;
    let items: Vec<&RawValue> =
        serde_json::from_str(text).map_err(|error| ApiError::not_json(&error))?;
    if items.len() > MAX_ITEMS {
        return Err(ApiError::TooManyItems {
            count: items.len(),
            limit: MAX_ITEMS,
        });
    }
    let items = items.into_iter();
    let read = items.map(|item| T::read(item.get(), ids.clone()));
    Ok(OneOrMany::Many(read.collect()))
}

impl FromRef<Ingest> for Identities {
    fn from_ref(ingest: &Ingest) -> Self {
        ingest.stores.identities.clone()
    }
}

routes!(Ingest: self::event, self::change);

/// The description of the routes.
#[must_use]
pub fn openapi() -> OpenApi {
    described()
}

/// The routes, to be completed by [`shared::http::finish`].
pub fn routes(ingest: Ingest) -> Router {
    router()
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(ingest)
}

/// The whole API of the function.
pub fn service(ingest: Ingest) -> Router {
    finish(routes(ingest))
}

/// One item, or a list of them.
#[derive(Debug, ToSchema)]
#[serde(untagged)]
enum OneOrMany<T> {
    /// One.
    One(T),
    /// A list.
    Many(Vec<T>),
}

/// The answer to what was published.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum Answers<T> {
    /// To one item.
    One(T),
    /// To a list: each item's in its place.
    List(Vec<Answered<T>>),
}

/// The answer to an item of a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum Answered<T> {
    /// All its deliveries are in the queue.
    Accepted(T),
    /// Nothing came of it.
    Refused(ErrorBody),
}

/// What publishing answers.
type Published<T> = (StatusCode, Json<Answers<T>>);

/// An accepted event on the wire.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PublishedEvent)]
#[schema(example = json!({
    "id": "cohort-user-235-added",
    "event": "cohort_user.added",
    "deliveries": 1,
    "dropped": ["user.token"]
}))]
struct EventView {
    /// Its id: the publisher's, or ours.
    id: String,
    #[serde(flatten)]
    event: AcceptedEvent,
}

/// `POST event`: one event, or a list.
#[utoipa::path(
    post,
    path = "/v1/notify/event",
    tag = "Publishing",
    operation_id = "publishEvent",
    summary = "Publish an event, or up to 100",
    description = "For publishers and superadmins. 202: every delivery is in the queue. Of a list each item \
                   is answered in its place, and a bad one spoils no other. Under the same id an event is \
                   published once in 24 hours.",
    params(IdempotencyKey),
    request_body(
        content = OneOrMany<EventDraft>,
        examples(
            ("event" = (value = json!({
                "event": "cohort_user.added", "academy": "downtown-campus",
                "id": "cohort-user-235-added", "payload": {"id": 235, "role": "STUDENT"}
            }))),
            ("list" = (value = json!([
                {"event": "cohort_user.added", "academy": 4, "payload": {"id": 234}},
                {"event": "form_entry.won_or_lost", "academy": null, "payload": {"id": 9876, "deal_status": "WON"}}
            ])))
        )
    ),
    responses((status = 202, description = "Published", body = Answers<EventView>), EventErrors),
    security(("token" = [])),
)]
async fn event(
    State(ingest): State<Ingest>,
    TokenOwner(username): TokenOwner,
    metrics: Metrics,
    body: Result<Body, ApiError>,
) -> Result<Published<EventView>, ApiError> {
    let ids = IdSpace::events_of(&username);
    let view = |Accepted { id, events }: Accepted| {
        let event = events.into_iter().next();
        event.map(|event| EventView { id, event })
    };
    let publisher = Publisher::User(username);
    let published = ingest.submit::<EventFields, _>(publisher, &ids, body, metrics, view);
    published.await
}

/// `POST change`: one change of a record, or a list.
#[utoipa::path(
    post,
    path = "/v1/notify/change",
    tag = "Publishing",
    operation_id = "publishChange",
    summary = "Tell of a record that was saved, or of up to 100",
    description = "For publishers and superadmins. The catalogue decides which events the change is: none, \
                   one or several. 202: every delivery of them is in the queue. Both records must be whole.",
    params(IdempotencyKey),
    request_body(
        content = OneOrMany<ChangeDraft>,
        example = json!({
            "model": "assignments.Task", "id": "task-456-saved-7",
            "before": {"id": 456, "task_status": "PENDING", "revision_status": "PENDING", "cohort": {"id": 12, "academy": {"id": 4}}},
            "after": {"id": 456, "task_status": "DONE", "revision_status": "PENDING", "cohort": {"id": 12, "academy": {"id": 4}}}
        })
    ),
    responses((status = 202, description = "Published", body = Answers<Accepted>), ChangeErrors),
    security(("token" = [])),
)]
async fn change(
    State(ingest): State<Ingest>,
    TokenOwner(username): TokenOwner,
    metrics: Metrics,
    body: Result<Body, ApiError>,
) -> Result<Published<Accepted>, ApiError> {
    let ids = IdSpace::changes_of(&username);
    let publisher = Publisher::User(username);
    let published = ingest.submit::<ChangeFields, _>(publisher, &ids, body, metrics, Some);
    published.await
}
