//! What the HTTP functions share: errors as answers, fields, pages, and the frame of a router.

mod body;
mod error;
mod extract;
mod fields;
mod gateway;
mod measured;
pub mod openapi;
mod page;
mod routes;

use axum::{
    Router,
    extract::Request,
    http::{Method, Uri},
};

pub use body::{json_body, object};
pub use error::ApiError;
pub use extract::{Body, Caller, HookPath, Params, Segment, TokenOwner};
pub use fields::{Field, FieldErrors, TextField};
pub use gateway::Gateway;
pub use page::{EXAMPLE_ORIGIN, Listing, Origin, Page, PageLinks};
// For `routes!`, in the crates that have some.
#[doc(hidden)]
pub use pastey::paste;
pub use routes::route;

/// Completes routes to a service, with answers of our own for unknown paths and wrong methods.
pub fn finish(routes: Router) -> Router {
    routes
        .fallback(async |_: Uri| ApiError::UnknownPath)
        .method_not_allowed_fallback(async |method: Method, _: Request| {
            ApiError::MethodNotAllowed(method)
        })
}
