//! The function `manage`: subscriptions and their secrets, the catalogue, samples and errors over
//! HTTP.
//!
//! Academies call it to say what they want to hear, to look at how that goes, and to have sent again
//! what did not arrive. A handler parses, asks who is calling, does one thing with the stores and
//! answers; every rule that can be a pure function is one, in [`filter`].

mod attempts;
mod errors;
mod events;
pub mod filter;
mod health;
mod hooks;
mod owner;
mod ping;
mod repair;
mod samples;
mod secrets;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, FromRef},
    routing::{delete, get, post},
};
use serde_json::json;
use shared::{
    deliver::{client::DeliveryClient, guard::AddressGuard},
    http::finish,
    queue::Queue,
    store::{Identities, Stores},
};

/// The largest body, in bytes: a subscription has a few hundred.
const BODY_LIMIT: usize = 64 * 1024;

/// What the handlers work with.
#[derive(Clone, Debug)]
pub struct Manage {
    stores: Stores,
    guard: AddressGuard,
    /// Makes the calls that are asked for one by one.
    client: DeliveryClient,
    /// Where deliveries go that are to be made again.
    deliveries: Queue,
}

impl Manage {
    /// Hooks in these stores, with targets that this guard lets through; this client calls them, and
    /// their failed deliveries go back to this queue.
    #[must_use]
    pub fn new(
        stores: Stores,
        guard: AddressGuard,
        client: DeliveryClient,
        deliveries: Queue,
    ) -> Self {
        Self {
            stores,
            guard,
            client,
            deliveries,
        }
    }
}

impl FromRef<Manage> for Identities {
    fn from_ref(manage: &Manage) -> Self {
        manage.stores.identities.clone()
    }
}

/// The routes, to be completed by [`shared::http::finish`].
pub fn routes(manage: Manage) -> Router {
    Router::new()
        .route("/v1/notify/hook/event", get(events::list))
        .route(
            "/v1/notify/hook/subscribe",
            get(hooks::list)
                .post(hooks::create)
                .delete(hooks::delete_many),
        )
        .route(
            "/v1/notify/hook/subscribe/{id}",
            get(hooks::get).put(hooks::update).delete(hooks::delete),
        )
        .route("/v1/notify/hook/subscribe/{id}/health", get(health::get))
        .route("/v1/notify/hook/subscribe/{id}/secret", get(secrets::get))
        .route(
            "/v1/notify/hook/subscribe/{id}/secret/rotate",
            post(secrets::rotate),
        )
        .route("/v1/notify/hook/sample", get(samples::by_filter))
        .route("/v1/notify/hook/{id}/sample", get(samples::by_id))
        .route("/v1/notify/hook/{id}/attempts", get(attempts::list))
        .route("/v1/notify/hook/{id}/ping", post(ping::ping))
        .route("/v1/notify/hook/{id}/redeliver", post(repair::of_hook))
        .route("/v1/notify/hook/error", get(errors::list))
        .route("/v1/notify/hook/error/{id}", delete(repair::delete))
        .route(
            "/v1/notify/hook/error/{id}/redeliver",
            post(repair::of_error),
        )
        .route("/health", get(async || Json(json!({"status": "ok"}))))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(manage)
}

/// The whole function.
pub fn service(manage: Manage) -> Router {
    finish(routes(manage))
}
