//! Requests as the API's gateway hands them to a function.
//!
//! `lambda_http` makes a request of the gateway's event, and panics where it cannot: an invalid `Host`, or a
//! character in the query that a URL must encode. A `Host` with a slash would move into the path. Anybody may send
//! those, without a token. They are recognised here, before it sees them, and answered 400 like every other
//! mistake of a caller.

use axum::Router;
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderName, Uri, header::HOST, uri::Authority};
use lambda_http::{
    Adapter, Error, LambdaEvent, aws_lambda_events::apigw::ApiGatewayV2httpRequest,
    request::LambdaRequest,
};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::value::RawValue;
use tower::ServiceExt;
use url::Url;

use super::{ApiError, measured::measured};
use crate::metrics::Reporter;

const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// A service behind the API's gateway. Each request is an invocation with figures of its own.
#[derive(Clone, Debug)]
pub struct Gateway {
    service: Router,
    refusal: Router,
}

impl Gateway {
    /// Hands requests to this service.
    #[must_use]
    pub fn new(service: Router, reporter: Reporter) -> Self {
        let refusal = Router::new().fallback(async || ApiError::MalformedRequest);
        Self {
            service: measured(service, reporter.clone()),
            refusal: measured(refusal, reporter),
        }
    }

    /// Answers an event, in the shape that the gateway reads. An error if it is none of the gateway's.
    pub async fn answer(
        &self,
        LambdaEvent { payload, context }: LambdaEvent<Box<RawValue>>,
    ) -> Result<impl Serialize + use<>, Error> {
        let (router, request) = match read(&payload)? {
            Some(request) => (&self.service, request),
            None => (&self.refusal, ApiGatewayV2httpRequest::default()),
        };
        let event = LambdaEvent::new(LambdaRequest::ApiGatewayV2(request), context);
        Ok(Adapter::from(router.clone()).oneshot(event).await?)
    }
}

/// Reads an event of the gateway; `None` if its request is malformed.
fn read(event: &RawValue) -> Result<Option<ApiGatewayV2httpRequest>, serde_json::Error> {
    match serde_json::from_str(event.get()) {
        Ok(request) => Ok(Some(request).filter(is_well_formed)),
        // A header or a method that is none; or a fault of ours, if it is every request.
        Err(error) if is_from_gateway(event) => {
            tracing::warn!(%error, "malformed request");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Whether an event has what only the gateway's have.
fn is_from_gateway(event: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Origin {
        #[serde(rename = "requestContext")]
        request_context: RequestContext,
    }
    #[derive(Deserialize)]
    struct RequestContext {
        http: Option<IgnoredAny>,
    }
    let origin: Result<Origin, _> = serde_json::from_str(event.get());
    origin.is_ok_and(|origin| origin.request_context.http.is_some())
}

/// Whether `lambda_http` makes a request of this, without a panic, that has the gateway's path.
fn is_well_formed(request: &ApiGatewayV2httpRequest) -> bool {
    let body = request
        .body
        .as_deref()
        .filter(|_| request.is_base64_encoded);
    has_uri(request) && body.is_none_or(|body| STANDARD.decode(body).is_ok())
}

/// Whether a path stays what it is when it becomes one of a URL: without a step that leads elsewhere (`..`, also as
/// `%2e%2e`), and without a character that a URL leaves out, turns into a slash, or ends its path with.
fn is_plain(path: &str) -> bool {
    let is_kept = |c: char| !c.is_ascii_control() && !['?', '#', '\\'].contains(&c);
    let is_step = |segment: &str| {
        let dots = segment.to_ascii_lowercase().replace("%2e", ".");
        dots == "." || dots == ".."
    };
    path.starts_with('/')
        && path.chars().all(is_kept)
        && !path.ends_with(' ')
        && !path.split('/').any(is_step)
}

/// Builds the URI as `lambda_http` does, which leaves out the stage: the template tells it to.
fn has_uri(request: &ApiGatewayV2httpRequest) -> bool {
    let header = |name| {
        request
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let scheme = header(FORWARDED_PROTO).unwrap_or("https");
    let domain = request.request_context.domain_name.as_deref();
    let host = header(HOST).or(domain);
    let path = request.raw_path.as_deref().unwrap_or_default();
    if !["http", "https"].contains(&scheme)
        || host.is_some_and(|host| host.parse::<Authority>().is_err())
        || !(path.is_empty() || is_plain(path))
    {
        return false;
    }
    let url = match host {
        Some(host) => Url::parse(&format!("{scheme}://{host}{path}")).map(String::from),
        None => Url::parse(&format!("http://localhost{path}")).map(|url| url.path().to_owned()),
    };
    let Ok(mut uri) = url else {
        return false;
    };
    if let Some(query) = request.raw_query_string.as_deref()
        && !query.is_empty()
    {
        uri.push('?');
        uri.push_str(query);
    }
    Uri::try_from(uri).is_ok()
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use axum::http::Method;
    use lambda_http::Context;
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::{Value, json, value::to_raw_value};

    use super::*;

    fn event() -> Value {
        json!({
            "version": "2.0",
            "rawPath": "/path",
            "rawQueryString": "a=b",
            "cookies": ["c=d"],
            "headers": {"host": "api.example", "x-forwarded-proto": "https", "accept": "*/*"},
            "requestContext": {
                "domainName": "api.example",
                "http": {"method": "GET"},
                "stage": "$default",
            },
            "body": "",
            "isBase64Encoded": false,
        })
    }

    async fn answer(event: &Value) -> Result<Value, Error> {
        let service = async |method: Method, uri: Uri| format!("{method} {uri}");
        let service = Router::new().fallback(service);
        let gateway = Gateway::new(service, Reporter::new("test", "test"));
        let event = LambdaEvent::new(to_raw_value(event)?, Context::default());
        Ok(serde_json::to_value(gateway.answer(event).await?)?)
    }

    #[tokio::test]
    async fn a_request_is_answered_by_the_service() {
        let answer = answer(&event()).await.unwrap();
        assert_eq!(answer["statusCode"], 200, "{answer}");
        assert_eq!(answer["body"], "GET https://api.example/path?a=b");
    }

    #[rstest]
    #[case::a_host_that_is_none("/headers/host", "not a host")]
    #[case::a_host_with_a_control_character("/headers/host", "api.exam\tple")]
    #[case::a_host_without_a_name("/headers/host", "")]
    #[case::a_host_with_a_path("/headers/host", "api.example/v1")]
    #[case::a_host_with_a_query("/headers/host", "api.example?")]
    #[case::a_port_that_is_none("/headers/host", "api.example:http")]
    #[case::a_domain_that_is_none("/requestContext/domainName", "not a host")]
    #[case::a_scheme_that_is_none("/headers/x-forwarded-proto", "not a scheme")]
    #[case::a_scheme_with_a_path("/headers/x-forwarded-proto", "https://api.example/v1?")]
    #[case::a_path_that_goes_on_from_the_host("/rawPath", ".example/v1")]
    #[case::a_path_with_a_step_back("/rawPath", "/x/../path")]
    #[case::a_path_with_an_encoded_step_back("/rawPath", "/x/%2E%2e/path")]
    #[case::a_path_with_a_backslash("/rawPath", "/x\\path")]
    #[case::a_path_with_a_tab("/rawPath", "/pa\tth")]
    #[case::a_path_with_a_query("/rawPath", "/path?a")]
    #[case::a_path_with_a_fragment("/rawPath", "/path#a")]
    #[case::a_path_with_a_space_at_its_end("/rawPath", "/path ")]
    #[case::a_space_in_the_query("/rawQueryString", "like=not a query")]
    #[case::a_quote_in_the_query("/rawQueryString", "like=\"")]
    #[case::less_than_in_the_query("/rawQueryString", "like=<")]
    #[case::greater_than_in_the_query("/rawQueryString", "like=>")]
    #[case::a_control_character_in_the_query("/rawQueryString", "like=\u{1}")]
    #[case::a_header_with_a_line_break("/headers/accept", "a\r\nb")]
    #[case::a_method_that_is_none("/requestContext/http/method", "not a method")]
    #[case::a_body_that_is_no_base64("/body", "?")]
    #[tokio::test]
    async fn a_malformed_request_is_answered_400(#[case] at: &str, #[case] text: &str) {
        let mut event = event();
        event["isBase64Encoded"] = json!(at == "/body");
        if at == "/requestContext/domainName" {
            event["headers"].as_object_mut().unwrap().remove("host");
        }
        *event.pointer_mut(at).unwrap() = json!(text);
        let answer = answer(&event).await.unwrap();
        assert_eq!(answer["statusCode"], 400, "{answer}");
        assert_eq!(answer["headers"]["content-type"], "application/json");
        let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        assert_eq!(body, ApiError::MalformedRequest.body());
    }

    #[rstest]
    #[case::a_host_of_another_script("/headers/host", "bücher.example")]
    #[case::a_host_with_a_port("/headers/host", "[::1]:8080")]
    #[case::a_path_of_another_script("/rawPath", "/é \"<>")]
    #[case::a_query_of_another_script("/rawQueryString", "like=é")]
    #[case::a_header_of_another_script("/headers/accept", "é")]
    #[case::a_cookie_with_a_line_break("/cookies/0", "c=\r\n")]
    #[tokio::test]
    async fn an_unusual_request_is_answered_by_the_service(#[case] at: &str, #[case] text: &str) {
        let mut event = event();
        *event.pointer_mut(at).unwrap() = json!(text);
        let answer = answer(&event).await.unwrap();
        assert_eq!(answer["statusCode"], 200, "{answer}");
    }

    #[rstest]
    #[case::another_shape(json!({"neither": 1}))]
    #[case::nothing(json!(null))]
    #[case::another_context(json!({"requestContext": {"requestId": "1"}}))]
    #[tokio::test]
    async fn what_is_no_event_of_the_gateway_is_an_error(#[case] event: Value) {
        assert!(answer(&event).await.is_err());
    }

    /// Texts of all kinds, and such as are nearly right.
    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<String>(),
            "[ -~]{0,12}",
            "(https?://)?([a-z]{1,3}@)?[a-z0-9.%\\[\\]:-]{0,12}",
            "[/a-z?#&=%\"<>{}|\\\\^` \t\r\n\u{0}\u{7f}é]{0,12}",
        ]
    }

    proptest! {
        #[test]
        fn no_text_in_any_place_makes_the_library_panic_or_changes_the_path(
            at in prop::sample::select(vec![
                "/headers/host",
                "/headers/x-forwarded-proto",
                "/headers/accept",
                "/requestContext/domainName",
                "/requestContext/http/method",
                "/rawPath",
                "/rawQueryString",
                "/cookies/0",
                "/body",
            ]),
            text in text(),
            has_host in any::<bool>(),
            is_base64_encoded in any::<bool>(),
        ) {
            let mut event = event();
            let path = if at == "/rawPath" { format!("/{text}") } else { "/path".to_owned() };
            *event.pointer_mut(at).unwrap() = json!(text);
            event["rawPath"] = json!(path);
            event["isBase64Encoded"] = json!(is_base64_encoded);
            if !has_host {
                event["headers"].as_object_mut().unwrap().remove("host");
            }
            // What cannot be read does not come to be converted.
            if let Ok(request) = serde_json::from_value::<ApiGatewayV2httpRequest>(event) {
                let is_well_formed = is_well_formed(&request);
                let request = LambdaRequest::ApiGatewayV2(request);
                let converted = catch_unwind(|| lambda_http::Request::from(request));
                if is_well_formed {
                    let wanted = Url::parse(&format!("https://api.example{path}")).unwrap();
                    let converted = converted.unwrap();
                    prop_assert_eq!(converted.uri().path(), wanted.path());
                } else if ["/headers/accept", "/rawQueryString", "/cookies/0", "/body"].contains(&at) {
                    prop_assert!(converted.is_err(), "refused in vain");
                }
            }
        }
    }
}
