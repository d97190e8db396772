//! Errors as answers: one exhaustive match says what each looks like to the caller.

use axum::{
    Json,
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};

use super::FieldErrors;
use crate::{auth::AuthError, catalog, plain, redeliver::RedeliverError, store::StoreError};

/// Every error that an endpoint answers with.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Nobody known is asking.
    #[error(transparent)]
    Unauthorized(AuthError),
    /// Somebody is asking who may not do this.
    #[error("You don't have permission to {0}.")]
    PermissionDenied(&'static str),
    /// There is nothing at this path.
    #[error("Not found.")]
    UnknownPath,
    /// The request is malformed: its host, path, query or a header is invalid, or its body is not the base64 that it
    /// claims to be.
    #[error("Malformed request: its URL, its headers or its body cannot be read.")]
    MalformedRequest,
    /// The path is served, but not with this method.
    #[error("Method \"{0}\" not allowed.")]
    MethodNotAllowed(Method),
    /// The body is of another media type, or of none.
    #[error("Unsupported media type \"{0}\" in request.")]
    UnsupportedMediaType(String),
    /// The body is encoded: compressed, say.
    #[error("Unsupported content encoding \"{0}\" in request: send the body as it is.")]
    EncodedBody(String),
    /// The body is no JSON.
    #[error("JSON parse error - {0}")]
    NotJson(String),
    /// The body is larger than this endpoint takes.
    #[error("The request's body is too large.")]
    BodyTooLarge,
    /// An event's payload is larger than this many bytes.
    #[error("The payload is larger than {0} bytes.")]
    PayloadTooLarge(usize),
    /// The body could not be read to its end.
    #[error("The request's body could not be read.")]
    BodyInterrupted,
    /// Fields are missing or wrong.
    #[error("{}", .0.summary())]
    Fields(FieldErrors),
    /// A list of more events, or changes, than may be published at once.
    #[error("A list holds at most {limit} items, this one holds {count}.")]
    TooManyItems {
        /// How many there are.
        count: usize,
        /// How many there may be.
        limit: usize,
    },
    /// The catalogue has no such event.
    #[error("Unexpected event {0}")]
    UnknownEvent(String),
    /// No event is of this model.
    #[error("Unexpected model {0}; the models with events are {models}", models = known_models())]
    UnknownModel(String),
    /// The catalogue has no event of the name in a path.
    #[error("Event {0} not found")]
    EventNotFound(String),
    /// There is no such academy.
    #[error("Unexpected academy {0}")]
    UnknownAcademy(String),
    /// The caller is neither an academy nor a superadmin.
    #[error("No valid academy token found")]
    NotAnAcademy,
    /// The caller has no hook with this id, on reading.
    #[error("Hook {0} not found for this user")]
    HookNotFound(String),
    /// The caller has no hook with this id, on updating: the same words under another status.
    #[error("Hook {0} not found for this user")]
    HookToUpdateNotFound(String),
    /// The caller has no HookError with this id.
    #[error("Error {0} not found for this user")]
    HookErrorNotFound(String),
    /// No hook has the sample that was asked for.
    #[error("No hook found with this filters for sample data")]
    NoSample,
    /// A bulk deletion without a filter.
    #[error("Please include some filter in the URL")]
    DeletionWithoutFilter,
    /// A sample without a filter.
    #[error("Please include some filter in the URL")]
    SampleWithoutFilter,
    /// A hook changed while it was being changed.
    #[error("Hook {0} is being changed by another request, please try again")]
    Conflict(String),
    /// A hook's secret was replaced so often that one more would be too many at the same time.
    #[error("Hook {0} has had too many secrets in the last 24 hours, please try again later")]
    TooManySecrets(String),
    /// The same event is being published by another request.
    #[error("An event with the id {0} is being published by another request, please try again")]
    EventInProgress(String),
    /// Not every delivery could be queued.
    #[error("The event could not be queued, please send it again")]
    NotQueued,
    /// Not every failed delivery could be queued again.
    #[error("Not every delivery could be queued, please try again")]
    NotRedelivered,
    /// A HookError has more kept with it than could be removed in the time.
    #[error("Not everything that is kept with the error is deleted yet, please try again")]
    NotDeleted,
    /// A table is not available, or worse: told to the operator, not to the caller.
    #[error("The service is not available at the moment, please try again")]
    Store(#[source] StoreError),
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<RedeliverError> for ApiError {
    fn from(error: RedeliverError) -> Self {
        match error {
            RedeliverError::NotQueued => Self::NotRedelivered,
            RedeliverError::Store(error) => Self::Store(error),
        }
    }
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Store(error) => Self::Store(error),
            error => Self::Unauthorized(error),
        }
    }
}

impl ApiError {
    /// That a text is no JSON, in words for whoever sent it.
    #[must_use]
    pub fn not_json(error: &serde_json::Error) -> Self {
        Self::NotJson(plain::said_of(error))
    }

    /// The status and the slug by which programs tell errors apart.
    fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Unauthorized(error) => (StatusCode::UNAUTHORIZED, auth_slug(error)),
            Self::PermissionDenied(_) => (StatusCode::FORBIDDEN, "permission-denied"),
            Self::UnknownPath => (StatusCode::NOT_FOUND, "not-found"),
            Self::MalformedRequest => (StatusCode::BAD_REQUEST, "malformed-request"),
            Self::MethodNotAllowed(_) => (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed"),
            Self::UnsupportedMediaType(_) | Self::EncodedBody(_) => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type")
            }
            Self::NotJson(_) => (StatusCode::BAD_REQUEST, "parse-error"),
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body-too-large"),
            Self::PayloadTooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "payload-too-large"),
            Self::BodyInterrupted => (StatusCode::BAD_REQUEST, "body-interrupted"),
            Self::Fields(_) | Self::DeletionWithoutFilter => {
                (StatusCode::BAD_REQUEST, "validation-error")
            }
            Self::TooManyItems { .. } => (StatusCode::BAD_REQUEST, "too-many-events"),
            Self::UnknownEvent(_) => (StatusCode::BAD_REQUEST, "invalid-event"),
            Self::UnknownModel(_) => (StatusCode::BAD_REQUEST, "invalid-model"),
            Self::UnknownAcademy(_) => (StatusCode::BAD_REQUEST, "invalid-academy"),
            Self::NotAnAcademy => (StatusCode::BAD_REQUEST, "invalid-academy-token"),
            Self::HookNotFound(_) => (StatusCode::NOT_FOUND, "hook-not-found"),
            Self::EventNotFound(_) => (StatusCode::NOT_FOUND, "event-not-found"),
            Self::HookErrorNotFound(_) => (StatusCode::NOT_FOUND, "error-not-found"),
            Self::HookToUpdateNotFound(_) | Self::NoSample => {
                (StatusCode::BAD_REQUEST, "hook-not-found")
            }
            Self::SampleWithoutFilter => (StatusCode::BAD_REQUEST, "missing-filter"),
            Self::Conflict(_) => (StatusCode::CONFLICT, "hook-changed"),
            Self::TooManySecrets(_) => (StatusCode::CONFLICT, "too-many-secrets"),
            Self::EventInProgress(_) => (StatusCode::SERVICE_UNAVAILABLE, "event-in-progress"),
            Self::NotQueued => (StatusCode::SERVICE_UNAVAILABLE, "event-not-queued"),
            Self::NotRedelivered => (StatusCode::SERVICE_UNAVAILABLE, "deliveries-not-queued"),
            Self::NotDeleted => (StatusCode::SERVICE_UNAVAILABLE, "error-not-deleted"),
            Self::Store(_) => (StatusCode::SERVICE_UNAVAILABLE, "service-unavailable"),
        }
    }

    /// The answer's status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.kind().0
    }

    /// The answer's body: `detail`, `slug` and `status_code`, after the fields that are wrong.
    #[must_use]
    pub fn body(&self) -> Value {
        let (status, slug) = self.kind();
        let mut body = match self {
            Self::Fields(fields) => fields.to_json(),
            _ => Map::new(),
        };
        let detail = self.to_string();
        if matches!(self, Self::Unauthorized(_)) {
            body.insert("error".to_owned(), json!(detail));
            body.insert("is_authenticated".to_owned(), json!("False"));
        }
        body.insert("detail".to_owned(), json!(detail));
        body.insert("slug".to_owned(), json!(slug));
        body.insert("status_code".to_owned(), json!(status.as_u16()));
        Value::Object(body)
    }
}

fn known_models() -> String {
    Vec::from_iter(catalog::models()).join(", ")
}

fn auth_slug(error: &AuthError) -> &'static str {
    match error {
        AuthError::Missing => "not-authenticated",
        AuthError::NoKey | AuthError::Spaces | AuthError::NotText => "invalid-token-header",
        AuthError::Unknown | AuthError::Store(_) => "invalid-token",
        AuthError::Expired(_) => "token-expired",
        AuthError::InactiveUser => "inactive-user",
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if let Self::Store(error) = &self {
            tracing::error!(%error, "a request failed");
        }
        let mut response = (self.status(), Json(self.body())).into_response();
        match self.status() {
            StatusCode::UNAUTHORIZED => {
                let scheme = HeaderValue::from_static("Token");
                response
                    .headers_mut()
                    .insert(header::WWW_AUTHENTICATE, scheme);
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                response
                    .headers_mut()
                    .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    /// The slugs of this file's two functions that give them out.
    fn slugs() -> BTreeSet<&'static str> {
        let code = include_str!("error.rs");
        let of = |function: &str| {
            let (_, code) = code.split_once(function).expect("the function");
            code.split_once("\n}").expect("its end").0
        };
        let kind = of("fn kind(&self)");
        let kind = kind.split_once("\n    }\n").expect("its end").0;
        let quoted = [kind, of("fn auth_slug(")]
            .into_iter()
            .flat_map(|code| code.split('"').skip(1).step_by(2));
        quoted.collect()
    }

    #[test]
    fn every_slug_is_documented_and_no_other() {
        let page = include_str!("../../../docs/API.md");
        let (_, errors) = page.split_once("\n## Errors\n").expect("the section");
        let rows = errors.lines().filter_map(|line| line.strip_prefix("| "));
        let documented: BTreeSet<_> = rows
            .filter_map(|row| row.split(" | ").nth(1))
            .flat_map(|cell| cell.split('`').skip(1).step_by(2))
            .collect();
        assert_eq!(slugs(), documented);
        assert!(documented.contains("hook-not-found"), "nothing is read");
    }
}
