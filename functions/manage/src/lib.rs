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
mod reference;
mod repair;
mod samples;
mod secrets;

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRef},
};
use serde::Serialize;
use shared::{
    deliver::{client::DeliveryClient, guard::AddressGuard},
    http::finish,
    queue::Queue,
    routes,
    store::{Identities, Stores},
};
use utoipa::{ToSchema, openapi::OpenApi};

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

/// What a deletion came to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"details": "Unsubscribed from 3 hooks"}))]
pub(crate) struct Details {
    /// What was done, in words.
    details: String,
}

routes!(
    Manage:
    events::list,
    events::schema,
    hooks::list,
    hooks::create,
    hooks::delete_many,
    hooks::get,
    hooks::update,
    hooks::delete,
    health::get,
    secrets::get,
    secrets::rotate,
    samples::by_filter,
    samples::by_id,
    attempts::list,
    ping::ping,
    repair::of_hook,
    errors::list,
    repair::delete,
    repair::of_error,
    reference::openapi,
    reference::page,
    reference::health,
);

/// The description of the routes.
#[must_use]
pub fn openapi() -> OpenApi {
    described()
}

/// The routes, to be completed by [`shared::http::finish`].
pub fn routes(manage: Manage) -> Router {
    router()
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(manage)
}

/// The whole function.
pub fn service(manage: Manage) -> Router {
    finish(routes(manage))
}
