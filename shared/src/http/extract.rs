//! What handlers take out of a request.

use std::{collections::HashMap, time::Duration};

use axum::{
    RequestExt,
    body::{Bytes, HttpBody},
    extract::{FromRef, FromRequest, FromRequestParts, Path, Request, rejection::BytesRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
};
use serde_json::json;
use tokio::time::timeout;
use utoipa::{
    IntoParams, PartialSchema,
    openapi::{
        Required,
        path::{Parameter, ParameterBuilder, ParameterIn},
    },
};

use super::ApiError;
use crate::{
    auth, clock,
    model::{HookId, Principal},
    store::Identities,
};

/// The principal behind a request: 401 without one.
#[derive(Clone, Debug)]
pub struct Caller(pub Principal);

impl<S> FromRequestParts<S> for Caller
where
    S: Send + Sync,
    Identities: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let TokenOwner(username) = TokenOwner::from_request_parts(parts, state).await?;
        let identities = Identities::from_ref(state);
        let principal = auth::principal(&identities, &username).await?;
        Ok(Self(principal))
    }
}

/// The name of the user whose token a request has: 401 without one. For handlers that look up
/// [whether it is active](auth::active) together with what else they need.
#[derive(Clone, Debug)]
pub struct TokenOwner(pub String);

impl<S> FromRequestParts<S> for TokenOwner
where
    S: Send + Sync,
    Identities: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let identities = Identities::from_ref(state);
        let header = parts.headers.get(header::AUTHORIZATION);
        let header = header.map(HeaderValue::as_bytes);
        let owner = auth::token_owner(&identities, header, clock::now()).await?;
        Ok(Self(owner))
    }
}

/// The query's parameters. Of one that is given twice the last counts.
#[derive(Clone, Debug, Default)]
pub struct Params(HashMap<String, String>);

impl Params {
    /// The parameters of a query string.
    #[must_use]
    pub fn parse(query: &str) -> Self {
        Self(
            form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    /// A parameter's value; an empty one is a value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl<S: Sync> FromRequestParts<S> for Params {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

/// A segment of a path: 404 unless it is text.
#[derive(Clone, Debug)]
pub struct Segment(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let segment = Path::<String>::from_request_parts(parts, state).await;
        let Path(segment) = segment.map_err(|_| ApiError::UnknownPath)?;
        Ok(Self(segment))
    }
}

/// The id in a path: 404 unless it is a positive integer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookPath {
    /// The number as messages repeat it.
    pub number: String,
    /// The id, if a hook can have this number.
    pub id: Option<HookId>,
}

impl HookPath {
    fn parse(segment: &str) -> Result<Self, ApiError> {
        let number = segment.trim_start_matches('0');
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ApiError::UnknownPath);
        }
        let id = number.parse().ok().and_then(HookId::new);
        Ok(Self {
            number: number.to_owned(),
            id,
        })
    }
}

impl IntoParams for HookPath {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let id = ParameterBuilder::new()
            .name("id")
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .schema(Some(HookId::schema()))
            .example(Some(json!(125)));
        vec![id.build()]
    }
}

impl<S: Send + Sync> FromRequestParts<S> for HookPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Segment(segment) = Segment::from_request_parts(parts, state).await?;
        Self::parse(&segment)
    }
}

/// How long a body may take to come. In a function it is there from the beginning.
const BODY_PATIENCE: Duration = Duration::from_secs(30);

/// A request's headers and whole body.
#[derive(Clone, Debug)]
pub struct Body {
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub bytes: Bytes,
}

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let headers = request.headers().clone();
        // One that is announced to be larger than it may be is not waited for: a client may send it only when it is
        // told to go on.
        let announced = request.body().size_hint().lower();
        let request = request.with_limited_body();
        let most = request.body().size_hint().upper();
        if most.is_some_and(|most| most < announced) {
            return Err(ApiError::BodyTooLarge);
        }
        let reading = timeout(BODY_PATIENCE, Bytes::from_request(request, state));
        let read = reading.await.map_err(|_| ApiError::BodyInterrupted)?;
        let bytes = read.map_err(|error| rejection(&error))?;
        Ok(Self { headers, bytes })
    }
}

fn rejection(error: &BytesRejection) -> ApiError {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        ApiError::BodyTooLarge
    } else {
        ApiError::BodyInterrupted
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        pin::Pin,
        task::{Context, Poll},
    };

    use axum::{Router, extract::DefaultBodyLimit};
    use futures_util::{StreamExt, stream};
    use hyper::body::{Frame, SizeHint};
    use tower::ServiceExt;

    use super::*;

    #[test]
    fn an_id_is_a_positive_integer_however_long_it_is_written() {
        let path = |text| HookPath::parse(text).unwrap();
        assert_eq!(
            path("001"),
            HookPath {
                number: "1".to_owned(),
                id: HookId::new(1)
            }
        );
        assert_eq!(path("99999999999999999999999").id, None);
        for text in ["", "0", "-1", "+1", "1.0", "x", "١"] {
            assert!(
                matches!(HookPath::parse(text), Err(ApiError::UnknownPath)),
                "{text}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_not_waited_for_forever() {
        let begun = stream::once(async { Ok::<_, Infallible>("{") });
        let body = axum::body::Body::from_stream(begun.chain(stream::pending()));
        let read = Body::from_request(Request::new(body), &()).await;
        assert!(matches!(read, Err(ApiError::BodyInterrupted)));
    }

    /// A body that does not come, but says how long it is.
    struct Announced(u64);

    impl HttpBody for Announced {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Pending
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(self.0)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_is_announced_to_be_too_large_is_not_waited_for() {
        let read = async |length| {
            let answer = async |read: Result<Body, ApiError>| match read {
                Ok(_) => StatusCode::OK,
                Err(error) => error.status(),
            };
            let route = Router::new()
                .fallback(answer)
                .layer(DefaultBodyLimit::max(100));
            let body = axum::body::Body::new(Announced(length));
            route.oneshot(Request::new(body)).await.unwrap().status()
        };
        assert_eq!(read(100).await, StatusCode::BAD_REQUEST);
        for length in [101, u64::MAX] {
            assert_eq!(read(length).await, StatusCode::PAYLOAD_TOO_LARGE);
        }
    }

    #[test]
    fn the_last_of_two_parameters_counts() {
        let params = Params::parse("a=1&b=x+y%2C&a=2&c=&%ff=%ff");
        let get = |name| params.get(name);
        assert_eq!(
            (get("a"), get("b"), get("c"), get("d")),
            (Some("2"), Some("x y,"), Some(""), None)
        );
    }
}
