//! The bound of the bodies that a service takes.

use axum::{
    Router,
    body::HttpBody,
    extract::{DefaultBodyLimit, Request},
    http::StatusCode,
    middleware::{Next, from_fn},
    response::IntoResponse,
};

/// Bounds the bodies of these routes, in bytes. One that is announced to be larger is refused before it comes: a client
/// may send it only when it is told to go on.
pub(crate) fn bounded<S: Clone + Send + Sync + 'static>(
    routes: Router<S>,
    limit: usize,
) -> Router<S> {
    let refuse = from_fn(move |request: Request, next: Next| async move {
        if request.body().size_hint().lower() > limit as u64 {
            return StatusCode::PAYLOAD_TOO_LARGE.into_response();
        }
        next.run(request).await
    });
    routes.layer(DefaultBodyLimit::max(limit)).layer(refuse)
}
