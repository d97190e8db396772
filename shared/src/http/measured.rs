//! The figures of a request.

use std::convert::Infallible;

use axum::{
    Router,
    extract::{FromRequestParts, Request, State},
    http::{StatusCode, request::Parts},
    middleware::{Next, from_fn_with_state},
    response::Response,
};

use crate::{
    clock,
    metrics::{Count, Metrics, Reporter},
};

/// A service of which each request is an invocation, with figures of its own.
pub(super) fn measured(service: Router, reporter: Reporter) -> Router {
    service.layer(from_fn_with_state(reporter, measure))
}

async fn measure(State(reporter): State<Reporter>, mut request: Request, next: Next) -> Response {
    let invocation = reporter.begin(clock::now());
    let metrics = invocation.metrics();
    request.extensions_mut().insert(metrics.clone());
    let response = next.run(request).await;
    metrics.count(class(response.status()), 1);
    response
}

fn class(status: StatusCode) -> Count {
    if status.is_server_error() {
        Count::RequestsFailed
    } else if status.is_client_error() {
        Count::RequestsRefused
    } else {
        Count::RequestsAnswered
    }
}

impl<S: Sync> FromRequestParts<S> for Metrics {
    type Rejection = Infallible;

    /// The request's own. Outside of a [`Gateway`](super::Gateway) nobody reports what they count.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().cloned().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_of_the_class_of_its_answer() {
        for (status, wanted) in [
            (200, Count::RequestsAnswered),
            (202, Count::RequestsAnswered),
            (304, Count::RequestsAnswered),
            (404, Count::RequestsRefused),
            (503, Count::RequestsFailed),
        ] {
            assert_eq!(class(StatusCode::from_u16(status).unwrap()), wanted);
        }
    }
}
