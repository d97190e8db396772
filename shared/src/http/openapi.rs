//! What the API's description says of all its endpoints: who may ask, and which errors they answer with.
//!
//! Nothing is said twice: an error's description is made from the error itself, its example is the body
//! that it is answered with.

use std::collections::{BTreeMap, BTreeSet};

use http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        ComponentsBuilder, ContentBuilder, Header, InfoBuilder, LicenseBuilder, OpenApi,
        OpenApiBuilder, Ref, RefOr, Response, ResponseBuilder, Server,
        example::ExampleBuilder,
        schema::{ArrayBuilder, ObjectBuilder, Schema, Type},
        security::{ApiKey, ApiKeyValue, SecurityScheme},
    },
};

use super::ApiError;
use crate::{auth::AuthError, store::StoreError};

/// The name of the scheme by which callers say who they are.
pub const TOKEN: &str = "token";

/// The frame of the API's description, without a path in it.
#[must_use]
pub fn frame() -> OpenApi {
    let token = ApiKeyValue::with_description(
        "Authorization",
        "`Token <key>`: the keyword in any case, a space, and the key.",
    );
    let license = LicenseBuilder::new().name("MIT").identifier(Some("MIT"));
    let info = InfoBuilder::new()
        .title("academy-hooks")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Webhooks for the academies of a learning platform: an academy subscribes an event and a \
             URL, the platform publishes events, and each is delivered to every hook that it is for.\n\n\
             Every error is JSON with `detail`, `slug` and `status_code`; programs tell errors apart by \
             the slug. A path that is not listed is answered 404 `not-found`, a method that is not \
             listed 405 `method-not-allowed`. A malformed request is answered 400 `malformed-request`. A deployment answers 429 in its gateway's own words when \
             it is asked more often than it allows.",
        ))
        .license(Some(license.build()));
    let components = ComponentsBuilder::new()
        .security_scheme(TOKEN, SecurityScheme::ApiKey(ApiKey::Header(token)))
        .schema(ErrorBody::name(), ErrorBody::schema());
    OpenApiBuilder::new()
        .info(info.build())
        .servers(Some([Server::new("/")]))
        .components(Some(components.build()))
        .build()
}

/// The example of a type, if its schema has one.
pub(super) fn example<T: ToSchema>() -> Option<Value> {
    match T::schema() {
        RefOr::T(Schema::Object(schema)) => schema.example,
        RefOr::T(Schema::AllOf(schema)) => schema.example,
        _ => None,
    }
}

/// The body of an error.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct ErrorBody(pub Value);

impl PartialSchema for ErrorBody {
    fn schema() -> RefOr<Schema> {
        let text = |description: &str| {
            ObjectBuilder::new()
                .schema_type(Type::String)
                .description(Some(description))
        };
        let messages = ArrayBuilder::new().items(ObjectBuilder::new().schema_type(Type::String));
        let status = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .description(Some(
                "The status of the answer, or of an item in a list's answer.",
            ));
        ObjectBuilder::new()
            .description(Some(
                "An error. Of a `validation-error` the fields that are wrong stand beside these, each \
                 with a list of messages.",
            ))
            .property("detail", text("What is wrong, for people."))
            .required("detail")
            .property("slug", text("What is wrong, for programs."))
            .required("slug")
            .property("status_code", status)
            .required("status_code")
            .property("error", text("The same as `detail`; only in a 401."))
            .property("is_authenticated", text("`False`; only in a 401."))
            .additional_properties(Some(Schema::from(messages.build())))
            .into()
    }
}

impl ToSchema for ErrorBody {}

/// What is delivered of an event: the fields that the event's schema has.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only descriptions read it")]
pub struct Payload {
    #[serde(flatten)]
    fields: Map<String, Value>,
}

/// The errors of every endpoint that asks for a token.
#[must_use]
pub fn guarded() -> Vec<ApiError> {
    vec![
        ApiError::Unauthorized(AuthError::Missing),
        ApiError::Unauthorized(AuthError::Unknown),
        ApiError::Store(StoreError::OutOfIds),
    ]
}

/// The errors of an endpoint that takes JSON, apart from what is wrong in it.
#[must_use]
pub fn of_body() -> Vec<ApiError> {
    vec![
        ApiError::NotJson("expected value at line 1 column 1".to_owned()),
        ApiError::BodyTooLarge,
        ApiError::UnsupportedMediaType("text/plain".to_owned()),
        ApiError::EncodedBody("gzip".to_owned()),
    ]
}

/// Describes errors as the responses that they are, by status.
#[must_use]
pub fn responses_of(errors: &[ApiError]) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status: BTreeMap<StatusCode, Vec<(String, &ApiError)>> = BTreeMap::new();
    for error in errors {
        let slug = error.body()["slug"].as_str().unwrap_or_default().to_owned();
        by_status
            .entry(error.status())
            .or_default()
            .push((slug, error));
    }
    by_status
        .into_iter()
        .map(|(status, errors)| {
            (
                status.as_u16().to_string(),
                response(status, &errors).into(),
            )
        })
        .collect()
}

fn response(status: StatusCode, errors: &[(String, &ApiError)]) -> Response {
    let slugs: BTreeSet<_> = errors.iter().map(|(slug, _)| format!("`{slug}`")).collect();
    let slugs: Vec<_> = slugs.into_iter().collect();
    let reason = status.canonical_reason().unwrap_or_default();
    let mut content = ContentBuilder::new().schema(Some(Ref::from_schema_name(ErrorBody::name())));
    content = content.examples_from_iter(errors.iter().map(|(slug, error)| {
        let example = ExampleBuilder::new().value(Some(error.body()));
        (slug.clone(), example.build())
    }));
    let mut response = ResponseBuilder::new()
        .description(format!("{reason}: {}", slugs.join(", ")))
        .content("application/json", content.build());
    let header = |description: &str| {
        let mut header = Header::default();
        header.description = Some(description.to_owned());
        header
    };
    match status {
        StatusCode::UNAUTHORIZED => {
            response = response.header("WWW-Authenticate", header("`Token`"));
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            response = response.header(
                "Retry-After",
                header("Seconds after which to send it again."),
            );
        }
        _ => {}
    }
    response.build()
}

/// Declares the errors of an endpoint for its description, beside those of [`guarded`]; for one that
/// takes JSON: `error_responses!(Name, of_body: …)`.
#[macro_export]
macro_rules! error_responses {
    ($name:ident: $($error:expr),* $(,)?) => {
        $crate::error_responses!(@ $name, vec![$($error),*]);
    };
    ($name:ident, of_body: $($error:expr),* $(,)?) => {
        $crate::error_responses!(
            @ $name, $crate::http::openapi::of_body().into_iter().chain([$($error),*])
        );
    };
    (@ $name:ident, $errors:expr) => {
        #[doc = "The errors that are answered."]
        pub(crate) enum $name {}

        impl utoipa::IntoResponses for $name {
            fn responses() -> std::collections::BTreeMap<
                String,
                utoipa::openapi::RefOr<utoipa::openapi::Response>,
            > {
                let mut errors = $crate::http::openapi::guarded();
                errors.extend($errors);
                $crate::http::openapi::responses_of(&errors)
            }
        }
    };
}
