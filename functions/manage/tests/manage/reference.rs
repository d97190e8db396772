//! What the API says of itself.

use axum::{
    body::Body,
    http::{Request, header},
};
use serde_json::{Value, json};
use shared::catalog;
use testing::{DOWNTOWN, STUDENT};

use super::function::{Function, function};

#[tokio::test]
async fn the_schema_of_an_event_is_that_of_its_payload() {
    let Function { world: _world, api } = function().await;
    for event in catalog::events() {
        let path = format!("hook/event/{}/schema", event.name);
        assert_eq!(api.of(STUDENT).get(&path).await.expect(200), event.schema());
    }
    let path = "hook/event/cohort_user.added/schema";
    api.get(path).await.expect(401);
    for unknown in ["no.such_event", "COHORT_USER.ADDED", "%00", "a%2Fb"] {
        let path = format!("hook/event/{unknown}/schema");
        let answer = api.of(DOWNTOWN).get(&path).await.expect(404);
        assert_eq!(answer["slug"], "event-not-found");
    }
    let wrong = api.of(DOWNTOWN).post(path, &json!({})).await;
    assert_eq!(wrong.expect(405)["slug"], "method-not-allowed");
}

#[tokio::test]
async fn anybody_may_read_the_description() {
    let Function { world: _world, api } = function().await;
    let answer = api.get("openapi.json").await;
    assert_eq!(answer.0.headers()[header::CONTENT_TYPE], "application/json");
    let document = answer.expect(200);
    assert_eq!(document["openapi"], "3.1.0");
    let webhooks = document["webhooks"].as_object().unwrap();
    let names: Vec<&str> = catalog::events().map(|event| event.name).collect();
    assert!(webhooks.keys().eq(names.iter()));
    for (path, method) in [
        ("/v1/notify/hook/subscribe", "post"),
        ("/v1/notify/event", "post"),
        ("/v1/notify/change", "post"),
        ("/health", "get"),
    ] {
        assert!(document["paths"][path][method].is_object(), "{path}");
    }
}

#[tokio::test]
async fn every_endpoint_but_the_public_ones_asks_who_calls() {
    let Function { world: _world, api } = function().await;
    let document = api.get("openapi.json").await.expect(200);
    let mut public = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for operation in item.as_object().unwrap().values() {
            match &operation["security"] {
                Value::Array(schemes) if schemes == &[json!({"token": []})] => {
                    assert!(operation["responses"]["401"].is_object(), "{path}");
                }
                _ => public.push(path.as_str()),
            }
        }
    }
    assert_eq!(
        public,
        ["/v1/notify/openapi.json", "/v1/notify/docs", "/health"]
    );
}

#[tokio::test]
async fn the_page_needs_nothing_from_anywhere() {
    let Function { world: _world, api } = function().await;
    let answer = api.get("docs").await.0;
    assert_eq!(answer.status(), 200);
    let headers = answer.headers();
    assert_eq!(headers[header::CONTENT_TYPE], "text/html; charset=utf-8");
    let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none';"));
    let page = std::str::from_utf8(answer.body()).unwrap();
    for event in catalog::events() {
        assert!(page.contains(event.name), "{}", event.name);
    }
    for loading in ["<script", "<link", "<img", "@import", "url("] {
        assert!(!page.contains(loading), "{loading}");
    }
}

#[tokio::test]
async fn the_commands_of_the_page_call_the_api_that_serves_it() {
    let Function { world: _world, api } = function().await;
    for (host, scheme, begin_with) in [
        ("hooks.academy.org", "https", "https://hooks.academy.org/"),
        ("127.0.0.1:9000", "http", "http://127.0.0.1:9000/"),
        ("[::1]:9000", "http", "http://[::1]:9000/"),
        // No hosts, but they could be in a header.
        ("'><script>", "https", "https://hooks.example.com/"),
        ("evil.com/x/..", "https", "https://hooks.example.com/"),
        ("a@evil.com", "https", "https://hooks.example.com/"),
        ("evil.com:99999", "https", "https://hooks.example.com/"),
        ("]]]", "https", "https://hooks.example.com/"),
        ("", "https", "https://hooks.example.com/"),
    ] {
        let request = Request::get("/v1/notify/docs")
            .header(header::HOST, host)
            .header("x-forwarded-proto", scheme);
        let answer = api.send(request.body(Body::empty()).unwrap()).await.0;
        assert_eq!(answer.headers()[header::VARY], "host, x-forwarded-proto");
        let page = std::str::from_utf8(answer.body()).unwrap();
        let urls = || page.split("<pre>curl '").skip(1);
        assert!(urls().count() > 3);
        assert!(urls().all(|url| url.starts_with(begin_with)));
        let examples = page.matches("https://hooks.example.com").count();
        assert_eq!(
            examples > 0,
            begin_with.starts_with("https://hooks.example.com")
        );
        assert!(page.contains("Authorization: Token YOUR_ACADEMY_TOKEN"));
        assert!(!page.contains("<script"));
    }
}
