//! What the tests of the functions share; no function depends on it.
//!
//! A [`World`] is a deployment's tables in memory with a few people in them, an [`Api`] a function's
//! router as one of these people calls it. A [`Bootstrap`] is a function's own binary as Lambda runs it, in
//! the [`Environment`] that the template gives it, and [`event_files`] are what it can be tried with. A [`Spy`]
//! knows what the SDKs have sent, and [`LostAnswers`] keep them from learning what came of it. What goes wrong in here fails the test that asked for it.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "what fails in here fails the test that called it"
)]

mod bootstrap;
mod environment;
mod event_files;
mod lost_answers;
mod spy;

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use aws_sdk_sqs::types::MessageSystemAttributeName;
use axum::{
    Router,
    body::{Body, Bytes, HttpBody, to_bytes},
    http::{Method, Request, Response, header},
};
use emulator::{LocalAws, Storage};
use jiff::Timestamp;
use serde_json::Value;
use shared::{
    clock,
    model::{Academy, DeliveryJob, Hook, QueueMessage, User},
    queue::Queue,
    store::{StoredToken, Stores, TableNames, TokenDigest, create_tables},
};
use tower::ServiceExt;

pub use bootstrap::{Bootstrap, Ended, Log};
pub use environment::Environment;
pub use event_files::{EventFile, event_files};
pub use lost_answers::{Lost, LostAnswers};
pub use spy::Spy;

/// An academy, number 1, and the user who acts for it.
pub const DOWNTOWN: &str = "downtown-campus";
/// Another academy, number 2, and its user.
pub const MIAMI: &str = "miami-campus";
/// A superadmin.
pub const ROOT: &str = "root";
/// A user who is no academy.
pub const STUDENT: &str = "student";
/// The user who publishes events.
pub const PLATFORM: &str = "platform";

/// A deployment's tables, for as long as this lives.
#[derive(Debug)]
pub struct World {
    /// The servers.
    pub aws: LocalAws,
    /// The tables.
    pub stores: Stores,
}

impl World {
    /// Tables with the people above and no hooks.
    pub async fn start() -> Self {
        let aws = LocalAws::start(&Storage::Memory).await.unwrap();
        let names = TableNames::of_stack("test");
        create_tables(&aws.dynamodb(), &names).await.unwrap();
        let stores = Stores::new(&aws.dynamodb(), &names);
        for (id, slug) in [(1, DOWNTOWN), (2, MIAMI)] {
            let (slug, name) = (slug.to_owned(), slug.to_uppercase());
            let academy = Academy { id, slug, name };
            assert!(stores.identities.add_academy(&academy).await.unwrap());
        }
        let world = Self { aws, stores };
        for name in [DOWNTOWN, MIAMI, ROOT, STUDENT, PLATFORM] {
            world.add(&user(name), &token_of(name), None).await;
        }
        world
    }

    /// A new queue.
    pub async fn queue(&self, name: &str) -> Queue {
        let sqs = self.aws.sqs();
        let created = sqs.create_queue().queue_name(name).send().await;
        Queue::new(sqs, created.unwrap().queue_url.unwrap())
    }

    /// Stores a user and a token of it.
    pub async fn add(&self, user: &User, token: &str, expires_at: Option<Timestamp>) {
        let token = StoredToken {
            digest: TokenDigest::of(token),
            username: user.username.clone(),
            created_at: clock::now(),
            expires_at,
        };
        self.stores.identities.put_user(user).await.unwrap();
        self.stores.identities.put_token(&token).await.unwrap();
    }
}

/// Makes a hook's row one of a release that knew no secrets.
pub async fn forget_secrets(dynamodb: &Client, hook: &Hook) {
    let place = format!("{}#{:016}", hook.subscription.event, hook.id.get());
    dynamodb
        .update_item()
        .table_name(TableNames::of_stack("test").hooks)
        .key("academy", AttributeValue::S(hook.scope.as_str().to_owned()))
        .key("event_hook", AttributeValue::S(place))
        .update_expression("REMOVE secrets")
        .condition_expression("attribute_exists(secrets)")
        .send()
        .await
        .unwrap();
}

/// Takes the delivery jobs out of a queue, those included that come within `wait_s` seconds after the one before. Each must
/// be in its hook's group, and there must be nothing else.
pub async fn take_jobs(
    sqs: &aws_sdk_sqs::Client,
    queue_url: &str,
    wait_s: i32,
) -> Vec<DeliveryJob> {
    let mut jobs = Vec::new();
    loop {
        let request = sqs.receive_message().queue_url(queue_url);
        let request = request
            .max_number_of_messages(10)
            .wait_time_seconds(wait_s)
            .message_system_attribute_names(MessageSystemAttributeName::MessageGroupId);
        let received = request.send().await.unwrap();
        let messages = received.messages.unwrap_or_default();
        if messages.is_empty() {
            return jobs;
        }
        for message in messages {
            let job = match QueueMessage::decode(message.body().unwrap()).unwrap() {
                QueueMessage::Delivery(job) => job,
                QueueMessage::DeadLetter(letter) => panic!("{letter:?}"),
            };
            let group = &message.attributes.unwrap()[&MessageSystemAttributeName::MessageGroupId];
            assert_eq!(*group, job.hook.id.to_string());
            jobs.push(job);
            // A hook has no more than so many in flight.
            let delete = sqs.delete_message().queue_url(queue_url);
            let receipt = message.receipt_handle.unwrap();
            delete.receipt_handle(receipt).send().await.unwrap();
        }
    }
}

/// An active user with the rights that its name stands for.
pub fn user(name: &str) -> User {
    User {
        username: name.to_owned(),
        is_superuser: name == ROOT,
        is_active: true,
        can_publish: name == PLATFORM,
    }
}

/// The token that [`Api::of`] uses.
pub fn token_of(username: &str) -> String {
    format!("token-of-{username}")
}

/// A function as somebody calls it.
#[derive(Clone, Debug)]
pub struct Api(Router, Option<Vec<u8>>);

impl Api {
    /// A function as nobody in particular calls it.
    pub fn new(router: Router) -> Self {
        Self(router, None)
    }

    /// The function as a user calls it.
    #[must_use]
    pub fn of(&self, username: &str) -> Self {
        self.with(format!("Token {}", token_of(username)))
    }

    /// The function under this `Authorization` header.
    #[must_use]
    pub fn with(&self, authorization: impl Into<Vec<u8>>) -> Self {
        Self(self.0.clone(), Some(authorization.into()))
    }

    /// Sends a request as it is.
    pub async fn send<B>(&self, request: Request<B>) -> Answer
    where
        B: HttpBody<Data = Bytes, Error: Into<axum::BoxError>> + Send + 'static,
    {
        let (parts, body) = self.0.clone().oneshot(request).await.unwrap().into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        Answer(Response::from_parts(parts, body))
    }

    /// Sends what is to be JSON to a path: from the root with a slash, else below `/v1/notify/`.
    pub async fn call(&self, method: Method, path: &str, body: impl Into<Body>) -> Answer {
        let prefix = if path.starts_with('/') {
            ""
        } else {
            "/v1/notify/"
        };
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{prefix}{path}"))
            .header(header::HOST, "api.example.com")
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(authorization) = &self.1 {
            request = request.header(header::AUTHORIZATION, authorization.as_slice());
        }
        self.send(request.body(body.into()).unwrap()).await
    }

    /// [`Api::call`] with `GET`.
    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, Body::empty()).await
    }

    /// [`Api::call`] with `POST` and this JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::POST, path, body.to_string()).await
    }
}

/// What a function answered.
#[derive(Debug)]
pub struct Answer(pub Response<Bytes>);

impl Answer {
    /// The JSON of an answer that must have this status.
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.0.status().as_u16(), status, "{:?}", self.0.body());
        serde_json::from_slice(self.0.body()).unwrap()
    }
}
