//! Every rule as a caller sees it.

use std::{collections::BTreeSet, time::Duration};

use axum::http::{Method, header};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};
use shared::{
    clock,
    model::{
        AttemptRecord, Counts, DeadLetter, DeliveryJob, Hook, HookId, HookRef, OpenCircuit,
        Outcome, TlsFailure,
    },
    store::Recorded,
};
use testing::{DOWNTOWN, MIAMI, ROOT, STUDENT, user};
use uuid::Uuid;

use super::function::{ADDED, CREATED, Function, LEAD, SUBSCRIBE, function, hook};

/// The dead letter of a delivery to a hook.
pub(crate) fn letter(hook: &Hook, number: usize, at: Timestamp) -> DeadLetter {
    DeadLetter {
        job: DeliveryJob {
            delivery_id: Uuid::from_u128(number as u128),
            event_id: "e".to_owned(),
            event: hook.subscription.event.clone(),
            academy: None,
            hook: HookRef::from(hook),
            attempt: 5,
            not_before: at,
            accepted_at: at,
            event_accepted_at: None,
            payload: serde_json::value::RawValue::from_string("{}".to_owned())
                .unwrap()
                .into(),
        },
        message: "The endpoint answered 500.".to_owned(),
        status: Some(500),
        failed_at: at,
    }
}

#[tokio::test]
async fn nobody_gets_in_without_a_token_that_counts() {
    let Function { world, api } = function().await;
    world
        .add(
            &user("late"),
            "tok-late",
            Some("2020-01-01T00:00:00Z".parse().unwrap()),
        )
        .await;
    let sleeper = shared::model::User {
        is_active: false,
        ..user("sleeper")
    };
    world.add(&sleeper, "tok-sleeper", None).await;
    for (header, detail) in [
        ("Bearer x", "Authentication credentials were not provided."),
        ("Token", "Invalid token header. No credentials provided."),
        (
            "Token a b",
            "Invalid token header. Token string should not contain spaces.",
        ),
        ("Token nobody", "Invalid or Inactive Token"),
        ("Token tok-late", "Token expired at 2020-01-01T00:00:00Z"),
        ("token tok-sleeper", "Invalid or inactive user"),
    ] {
        let answer = api.with(header).get(SUBSCRIBE).await;
        let body = answer.expect(401);
        assert_eq!(
            (&body["detail"], &body["error"]),
            (&json!(detail), &json!(detail))
        );
        assert_eq!(body["is_authenticated"], "False");
        assert_eq!(answer.0.headers()[header::WWW_AUTHENTICATE], "Token");
    }
    api.get(SUBSCRIBE).await.expect(401);
    api.with("tOkEn token-of-downtown-campus")
        .get(SUBSCRIBE)
        .await
        .expect(200);
}

#[tokio::test]
async fn errors_of_the_frame_are_json_too() {
    let function = function().await;
    let api = function.api.of(DOWNTOWN);
    for (method, path, status) in [
        (Method::GET, "hook/subscribe/", 404),
        (Method::GET, "hook/subscribe/0", 404),
        (Method::DELETE, "hook/subscribe/-1", 404),
        (Method::GET, "hook/x/sample", 404),
        (Method::GET, "hook/event/", 404),
        (Method::GET, "hook/event/%FF/schema", 404),
        (Method::GET, "hook/subscribe/%FF", 404),
        (Method::DELETE, "hook/error/%ff", 404),
        (Method::GET, "%FF", 404),
        (Method::GET, "/%FF/%C3", 404),
        (Method::GET, "/", 404),
        (Method::PATCH, "hook/subscribe/1", 405),
        (Method::PUT, "hook/subscribe", 405),
        (Method::POST, "hook/subscribe/1", 405),
        (Method::POST, "hook/sample", 405),
        (Method::POST, "/health", 405),
    ] {
        let body = api.call(method.clone(), path, "").await.expect(status);
        assert_eq!(body["status_code"], status, "{method} {path}");
        assert!(body["detail"].is_string() && body["slug"].is_string());
    }
    let too_large = api
        .call(Method::POST, SUBSCRIBE, "x".repeat(64 * 1024 + 1))
        .await;
    assert_eq!(too_large.expect(413)["slug"], "body-too-large");
    assert_eq!(
        api.call(Method::POST, SUBSCRIBE, "{bad").await.expect(400)["slug"],
        "parse-error"
    );
    let text = axum::http::Request::post("http://h/v1/notify/hook/subscribe")
        .header(header::AUTHORIZATION, "Token token-of-downtown-campus")
        .header(header::CONTENT_TYPE, "text/plain")
        .body(axum::body::Body::from("{}"))
        .unwrap();
    assert_eq!(
        api.send(text).await.expect(415)["slug"],
        "unsupported-media-type"
    );
    let encoded = |coding: &str| {
        axum::http::Request::post("http://h/v1/notify/hook/subscribe")
            .header(header::AUTHORIZATION, "Token token-of-downtown-campus")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONTENT_ENCODING, coding)
            .body(axum::body::Body::from("{}"))
            .unwrap()
    };
    for coding in ["gzip", "br", "identity, gzip"] {
        let refused = api.send(encoded(coding)).await.expect(415);
        assert_eq!(refused["slug"], "unsupported-media-type");
        let named = format!("Unsupported content encoding \"{coding}\"");
        assert!(refused["detail"].as_str().unwrap().starts_with(&named));
    }
    api.send(encoded("identity")).await.expect(400);
    assert_eq!(
        api.get("/health").await.expect(200),
        json!({"status": "ok"})
    );
}

#[tokio::test]
async fn a_body_may_begin_with_a_byte_order_mark_and_half_a_surrogate_pair_is_named() {
    let function = function().await;
    let api = function.api.of(DOWNTOWN);
    let body = format!("{{\"event\": \"{ADDED}\", \"target\": \"https://a.com\"}}");
    let marked = api.call(Method::POST, SUBSCRIBE, format!("\u{feff}{body}"));
    marked.await.expect(201);
    let empty = api.call(Method::POST, SUBSCRIBE, "\u{feff}").await;
    assert_eq!(empty.expect(400)["slug"], "validation-error");
    let utf16: Vec<u8> = std::iter::once(0xfeff)
        .chain(body.encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect();
    let named = api.call(Method::POST, SUBSCRIBE, utf16).await.expect(400);
    let wanted =
        "JSON parse error - the text is UTF-16, by its byte order mark, and is to be UTF-8";
    assert_eq!(named["detail"], wanted);
    let half = api.call(Method::POST, SUBSCRIBE, r#"{"event": "\ud83d"}"#);
    let said = half.await.expect(400)["detail"].to_string();
    assert!(said.contains("half of a surrogate pair"), "{said}");
}

#[tokio::test]
async fn a_subscription_is_made_as_it_was_asked_for() {
    let function = function().await;
    let api = function.api.of(DOWNTOWN);
    let made = api
        .post(
            SUBSCRIBE,
            &json!({"event": " cohort_user.added ", "target": "HTTPS://A.com:8443/x?y#z",
                                 "service_id": "  v2 ", "total_calls": 9, "id": 77}),
        )
        .await
        .expect(201);
    let fields: Vec<_> = made
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let nine = [
        "id",
        "event",
        "target",
        "service_id",
        "created_at",
        "updated_at",
        "total_calls",
        "last_call_at",
        "last_response_code",
    ];
    assert_eq!(fields, nine);
    assert_eq!((&made["id"], &made["event"]), (&json!(1), &json!(ADDED)));
    assert_eq!(
        (&made["target"], &made["service_id"]),
        (&json!("HTTPS://A.com:8443/x?y#z"), &json!("v2"))
    );
    assert_eq!(
        (&made["total_calls"], &made["last_call_at"]),
        (&json!(0), &json!(null))
    );
    assert_eq!(api.get("hook/subscribe/001").await.expect(200), made);
    api.post(
        SUBSCRIBE,
        &json!({"event": LEAD, "target": "http://127.0.0.1:3000/"}),
    )
    .await
    .expect(201);
    // An id is not given out again, not even that of the newest hook.
    api.call(Method::DELETE, "hook/subscribe/2", "")
        .await
        .expect(200);
    let next = api
        .post(
            SUBSCRIBE,
            &json!({"event": LEAD, "target": "https://a.com"}),
        )
        .await;
    assert_eq!(next.expect(201)["id"], 3);
}

#[tokio::test]
async fn every_mistake_is_named_and_nothing_is_stored() {
    let function = function().await;
    let api = function.api.of(DOWNTOWN);
    let required = "This field is required.";
    for (body, field, message) in [
        (json!({}), "event", required),
        (json!({"event": ADDED}), "target", required),
        (
            json!({"event": null, "target": "https://a.com"}),
            "event",
            "This field may not be null.",
        ),
        (
            json!({"event": " ", "target": "https://a.com"}),
            "event",
            "This field may not be blank.",
        ),
        (
            json!({"event": "e".repeat(65), "target": "https://a.com"}),
            "event",
            "Ensure this field has no more than 64 characters.",
        ),
        (
            json!({"event": ADDED, "target": format!("https://a.com/{}", "x".repeat(2_035))}),
            "target",
            "Ensure this field has no more than 2048 characters.",
        ),
        (
            // As it is sent, each of these is six characters.
            json!({"event": ADDED, "target": format!("https://a.com/{}", "é".repeat(2_000))}),
            "target",
            "Ensure this field has no more than 2048 characters.",
        ),
        (
            json!({"event": ADDED, "target": "https://a.com/\0"}),
            "target",
            "Null characters are not allowed.",
        ),
        (
            json!({"event": ADDED, "target": "https://intranet/x"}),
            "target",
            "Enter a valid URL.",
        ),
        (
            json!({"event": ADDED, "target": "ftp://a.com/x"}),
            "target",
            "Enter a valid URL.",
        ),
        (
            json!({"event": ADDED, "target": "https://a.com", "service_id": true}),
            "service_id",
            "Not a valid string.",
        ),
        (
            json!({"event": ADDED, "target": "https://a.com", "service_id": "s".repeat(65)}),
            "service_id",
            "Ensure this field has no more than 64 characters.",
        ),
        (
            json!([{"event": ADDED}]),
            "non_field_errors",
            "Invalid data. Expected a dictionary, but got list.",
        ),
    ] {
        let answer = api.post(SUBSCRIBE, &body).await.expect(400);
        assert_eq!(answer[field], json!([message]), "{body}");
        assert_eq!(answer["slug"], "validation-error");
    }
    for target in [
        "http://localhost:3000/x",
        "http://10.0.0.1/",
        "http://169.254.169.254/latest",
        "http://2130706433/",
        "http://[::1]/",
        "http://127.0.0.1:3001/",
        "https://user:pw@a.com/x",
        "http://a.internal/",
    ] {
        let answer = api
            .post(SUBSCRIBE, &json!({"event": ADDED, "target": target}))
            .await;
        assert!(answer.expect(400)["target"].is_array(), "{target}");
    }
    assert_eq!(function.ids(ROOT, "academy=*").await, Vec::<u64>::new());
}

#[tokio::test]
async fn fields_come_before_the_event_and_the_event_before_the_academy() {
    let function = function().await;
    let api = function.api.of(STUDENT);
    let target = "https://a.com";
    let fields = api
        .post(SUBSCRIBE, &json!({"event": "x.y"}))
        .await
        .expect(400);
    assert_eq!(fields["slug"], "validation-error");
    let event = api
        .post(SUBSCRIBE, &json!({"event": "x.y", "target": target}))
        .await
        .expect(400);
    let wanted =
        json!({"detail": "Unexpected event x.y", "slug": "invalid-event", "status_code": 400});
    assert_eq!(event, wanted);
    let academy = api
        .post(SUBSCRIBE, &json!({"event": ADDED, "target": target}))
        .await
        .expect(400);
    let wanted = json!({"detail": "No valid academy token found", "slug": "invalid-academy-token",
                        "status_code": 400});
    assert_eq!(academy, wanted);
}

#[tokio::test]
async fn an_update_replaces_what_it_names_and_keeps_the_rest() {
    let function = function().await;
    function
        .store(&[hook(7, DOWNTOWN, CREATED, Some("v1"))])
        .await;
    let api = function.api.of(DOWNTOWN);
    let before = api.get("hook/subscribe/7").await.expect(200);
    let put = async |body: Value| {
        api.call(Method::PUT, "hook/subscribe/7", body.to_string())
            .await
    };
    let moved = put(json!({"event": LEAD, "target": "https://b.com"}))
        .await
        .expect(200);
    for kept in [
        "id",
        "service_id",
        "created_at",
        "total_calls",
        "last_call_at",
    ] {
        assert_eq!(moved[kept], before[kept], "{kept}");
    }
    assert_eq!(
        (&moved["event"], &moved["target"]),
        (&json!(LEAD), &json!("https://b.com"))
    );
    assert_ne!(moved["updated_at"], before["updated_at"]);
    assert_eq!(api.get("hook/subscribe/7").await.expect(200), moved);
    assert_eq!(
        function.ids(DOWNTOWN, &format!("event={CREATED}")).await,
        Vec::<u64>::new()
    );
    let cleared = put(json!({"event": LEAD, "target": "https://b.com", "service_id": null})).await;
    assert_eq!(cleared.expect(200)["service_id"], json!(null));
    put(json!({"event": "x.y", "target": "https://b.com"}))
        .await
        .expect(400);
    assert_eq!(
        put(json!({})).await.expect(400)["target"],
        json!(["This field is required."])
    );
}

#[tokio::test]
async fn the_health_of_a_hook_shows_its_circuit() {
    let function = function().await;
    let [downtown, root] = [DOWNTOWN, ROOT].map(|name| function.api.of(name));
    function.store(&[hook(1, DOWNTOWN, ADDED, None)]).await;
    let path = format!("{SUBSCRIBE}/1/health");
    assert_eq!(
        downtown.get(&path).await.expect(200),
        json!({
            "id": 1, "circuit": "closed", "failures_in_row": 0, "opened_at": null,
            "next_probe_at": null, "total_calls": 2, "last_call_at": null,
            "last_response_code": null, "last_24_hours": {"delivered": 0, "failed": 0},
        })
    );

    let states = &function.world.stores.states;
    let id = HookId::new(1).unwrap();
    let opened_at = "2025-01-20T15:30:00Z".parse().unwrap();
    let failing = Recorded {
        hook_id: id,
        calls: 5,
        last_call_at: opened_at,
        last_response_code: 500,
        succeeded: false,
        failures: 5,
        attempted: Counts::default(),
        expired_periods: Vec::new(),
        edited_at: clock::now(),
        attempts: None,
        sampled_at: None,
    };
    assert_eq!(states.record(&failing).await.unwrap(), Some(5));
    let mut open = OpenCircuit::opened(opened_at, Duration::from_hours(1), 1);
    assert!(states.set_circuit(id, None, &open).await.unwrap());
    let half_open = root.get(&path).await.expect(200);
    assert_eq!(half_open["circuit"], "half_open");
    assert_eq!(half_open["opened_at"], "2025-01-20T15:30:00Z");
    assert_eq!(half_open["next_probe_at"], "2025-01-20T16:30:00Z");

    let due = open;
    open.probe_at = "2099-01-01T00:00:00Z".parse().unwrap();
    assert!(states.set_circuit(id, Some(&due), &open).await.unwrap());
    assert_eq!(downtown.get(&path).await.expect(200)["circuit"], "open");
}

#[tokio::test]
async fn the_newest_attempts_are_listed_without_a_word_of_why_a_target_was_refused() {
    let function = function().await;
    function.store(&[hook(1, DOWNTOWN, ADDED, None)]).await;
    let api = function.api.of(DOWNTOWN);
    let none = api.get("hook/1/attempts").await.expect(200);
    assert_eq!((&none["count"], &none["results"]), (&json!(0), &json!([])));

    let now = clock::now();
    let record = |attempt: u32, outcome| AttemptRecord {
        delivery_id: Uuid::from_u128(attempt.into()),
        attempt,
        at: now - SignedDuration::from_mins(attempt.into()),
        outcome,
        ms: attempt * 10,
        next_attempt_at: None,
    };
    let long_ago = AttemptRecord {
        at: now - SignedDuration::from_hours(8 * 24),
        ..record(11, Outcome::Answered(500))
    };
    let attempts = vec![
        record(1, Outcome::Answered(204)),
        AttemptRecord {
            next_attempt_at: Some("2099-01-01T00:00:00Z".parse().unwrap()),
            ..record(2, Outcome::Answered(503))
        },
        record(3, Outcome::TimedOut),
        record(4, Outcome::ConnectionClosed),
        record(5, Outcome::ConnectionRefused),
        record(6, Outcome::Unresolved),
        record(7, Outcome::Tls(TlsFailure::Expired)),
        record(8, Outcome::Protocol),
        record(9, Outcome::Refused),
        record(10, Outcome::NameRefused),
        long_ago,
    ];
    let recorded = Recorded {
        hook_id: HookId::new(1).unwrap(),
        calls: 11,
        last_call_at: now,
        last_response_code: 204,
        succeeded: true,
        failures: 0,
        attempted: Counts::default(),
        expired_periods: Vec::new(),
        edited_at: now,
        attempts: Some(attempts),
        sampled_at: None,
    };
    function
        .world
        .stores
        .states
        .record(&recorded)
        .await
        .unwrap();

    let list = api.get("hook/1/attempts").await.expect(200);
    assert_eq!(list["count"], 10);
    let rows = list["results"].as_array().unwrap();
    let shown: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row["attempt"].clone(),
                row["code"].clone(),
                row["failure"].clone(),
            )
        })
        .collect();
    let wanted = [
        (1, json!(204), Value::Null),
        (2, json!(503), json!("http_status")),
        (3, json!(504), json!("timeout")),
        (4, json!(502), json!("connection_closed")),
        (5, json!(502), json!("connection_refused")),
        (6, json!(502), json!("dns")),
        (7, json!(502), json!("tls")),
        (8, json!(502), json!("protocol")),
        (9, json!(502), json!("refused_address")),
        (10, json!(502), json!("refused_address")),
    ];
    assert_eq!(
        shown,
        wanted.map(|(attempt, code, failure)| (json!(attempt), code, failure))
    );
    assert_eq!(
        rows[1],
        json!({
            "at": clock::with_millis(now - SignedDuration::from_mins(2)),
            "delivery_id": "00000000-0000-0000-0000-000000000002", "event": ADDED, "attempt": 2,
            "code": 503, "failure": "http_status", "ms": 20,
            "next_attempt_at": "2099-01-01T00:00:00.000Z",
        })
    );
    let page = api
        .get("hook/1/attempts?limit=2&offset=2")
        .await
        .expect(200);
    assert_eq!(page["results"], json!(rows[2..4]));
}

#[tokio::test]
async fn a_foreign_hook_is_answered_like_one_that_is_not_there() {
    let function = function().await;
    function.store(&[hook(8, MIAMI, ADDED, None)]).await;
    let body = json!({"event": ADDED, "target": "https://a.com"}).to_string();
    for caller in [DOWNTOWN, STUDENT] {
        let api = function.api.of(caller);
        for (method, foreign, missing) in [
            (Method::GET, "hook/subscribe/8", "hook/subscribe/9"),
            (Method::PUT, "hook/subscribe/8", "hook/subscribe/9"),
            (Method::DELETE, "hook/subscribe/8", "hook/subscribe/9"),
            (
                Method::GET,
                "hook/subscribe/8/health",
                "hook/subscribe/9/health",
            ),
            (Method::GET, "hook/8/sample", "hook/9/sample"),
            (Method::GET, "hook/8/attempts", "hook/9/attempts"),
            (
                Method::GET,
                "hook/subscribe/8/secret",
                "hook/subscribe/9/secret",
            ),
            (
                Method::POST,
                "hook/subscribe/8/secret/rotate",
                "hook/subscribe/9/secret/rotate",
            ),
        ] {
            let [foreign, missing] = [
                api.call(method.clone(), foreign, body.clone()).await,
                api.call(method.clone(), missing, body.clone()).await,
            ];
            let text = |answer: &testing::Answer| {
                String::from_utf8_lossy(answer.0.body()).replace('9', "8")
            };
            assert_eq!(foreign.0.status(), missing.0.status(), "{method}");
            assert_eq!(text(&foreign), text(&missing));
        }
    }
    let not_found = function
        .api
        .of(DOWNTOWN)
        .get("hook/subscribe/99999999999999999999")
        .await;
    let wanted = json!({"detail": "Hook 99999999999999999999 not found for this user",
                        "slug": "hook-not-found", "status_code": 404});
    assert_eq!(not_found.expect(404), wanted);
    assert_eq!(function.ids(MIAMI, "").await, [8]);
}

#[tokio::test]
async fn a_superadmin_has_its_own_and_may_turn_to_others() {
    let function = function().await;
    function
        .store(&[
            hook(1, DOWNTOWN, ADDED, None),
            hook(2, MIAMI, ADDED, None),
            hook(3, ROOT, ADDED, None),
        ])
        .await;
    let api = function.api.of(ROOT);
    assert_eq!(function.ids(ROOT, "").await, [3]);
    assert_eq!(function.ids(ROOT, "academy=miami-campus").await, [2]);
    assert_eq!(function.ids(ROOT, "academy=*&sort=id").await, [1, 2, 3]);
    assert_eq!(function.ids(DOWNTOWN, "academy=downtown-campus").await, [1]);
    assert_eq!(function.ids(DOWNTOWN, "academy=").await, [1]);
    let unknown = api.get("hook/subscribe?academy=nowhere").await.expect(400);
    assert_eq!(unknown["slug"], "invalid-academy");
    let endless = format!("hook/subscribe?academy={}", "x".repeat(5_000));
    let unknown = api.get(&endless).await.expect(400);
    assert_eq!(unknown["slug"], "invalid-academy");

    api.get("hook/subscribe/1").await.expect(200);
    api.get("hook/1/sample").await.expect(200);
    let body = json!({"event": LEAD, "target": "https://a.com"}).to_string();
    api.call(Method::PUT, "hook/subscribe/1", body)
        .await
        .expect(200);
    // It is still the academy's.
    assert_eq!(function.ids(DOWNTOWN, "").await, [1]);
    let delete =
        async |path: &str| api.call(Method::DELETE, path, "").await.expect(200)["details"].clone();
    assert_eq!(
        delete("hook/subscribe?event=cohort_user.added").await,
        "Unsubscribed from 1 hooks"
    );
    assert_eq!(function.ids(ROOT, "academy=*").await, [2, 1]);
    let academy = "hook/subscribe?event=cohort_user.added&academy=miami-campus";
    assert_eq!(delete(academy).await, "Unsubscribed from 1 hooks");
    assert_eq!(
        delete("hook/subscribe/1").await,
        "Unsubscribed from 1 hooks"
    );
    assert_eq!(function.ids(ROOT, "academy=*").await, Vec::<u64>::new());
}

#[tokio::test]
async fn who_is_no_superadmin_may_name_its_own_academy_and_no_other() {
    let function = function().await;
    function.store(&[hook(1, MIAMI, ADDED, None)]).await;
    let body = json!({"event": ADDED, "target": "https://a.com"}).to_string();
    let error = json!({
        "detail": "You don't have permission to act for this academy.", "slug": "permission-denied",
        "status_code": 403,
    });
    for (caller, academy) in [
        (DOWNTOWN, MIAMI),
        (DOWNTOWN, "*"),
        (DOWNTOWN, "nowhere"),
        (STUDENT, DOWNTOWN),
        (STUDENT, STUDENT),
    ] {
        let api = function.api.of(caller);
        for (method, path) in [
            (Method::GET, "hook/subscribe?"),
            (Method::POST, "hook/subscribe?"),
            (Method::DELETE, "hook/subscribe?event=cohort_user.added&"),
            (Method::GET, "hook/error?"),
            (Method::GET, "hook/sample?event=cohort_user.added&"),
        ] {
            let path = format!("{path}academy={academy}");
            let refused = api.call(method, &path, body.clone()).await.expect(403);
            assert_eq!(refused, error, "{caller} {path}");
        }
    }
    assert_eq!(function.ids(ROOT, "academy=*").await, [1]);
    let own = format!("{SUBSCRIBE}?academy={DOWNTOWN}");
    let api = function.api.of(DOWNTOWN);
    api.call(Method::POST, &own, body).await.expect(201);
}

#[tokio::test]
async fn a_superadmin_subscribes_for_an_academy_whose_own_the_hook_is() {
    let function = function().await;
    let api = function.api.of(ROOT);
    let body = json!({"event": ADDED, "target": "https://a.com"});
    let path = format!("{SUBSCRIBE}?academy={MIAMI}");
    let made = api.post(&path, &body).await.expect(201);
    assert_eq!(function.ids(MIAMI, "").await, [1]);
    assert_eq!(function.ids(ROOT, "").await, Vec::<u64>::new());
    let miami = function.api.of(MIAMI);
    assert_eq!(miami.get("hook/subscribe/1").await.expect(200), made);
    let stored = function.world.stores.hooks.get(HookId::new(1).unwrap());
    let stored = stored.await.unwrap().unwrap();
    assert_eq!(
        (stored.scope.academy(), stored.owner.as_str()),
        (Some(MIAMI), MIAMI)
    );

    for academy in ["nowhere", "*"] {
        let path = format!("{SUBSCRIBE}?academy={academy}");
        let unknown = api.post(&path, &body).await.expect(400);
        assert_eq!(unknown["slug"], "invalid-academy");
        // Fields and the event come before the academy.
        let mistake = json!({"event": "x.y", "target": "https://a.com"});
        let mistake = api.post(&path, &mistake).await.expect(400);
        assert_eq!(mistake["slug"], "invalid-event");
    }
}

#[tokio::test]
async fn a_hook_shows_what_is_expanded_and_else_its_nine_fields() {
    let function = function().await;
    let rows = [
        hook(1, DOWNTOWN, ADDED, None),
        hook(2, ROOT, ADDED, None),
        hook(5, DOWNTOWN, ADDED, None),
    ];
    function.store(&rows).await;
    let recorded = Recorded {
        hook_id: HookId::new(1).unwrap(),
        calls: 3,
        last_call_at: clock::now(),
        last_response_code: 500,
        succeeded: false,
        failures: 3,
        attempted: Counts {
            delivered: 4,
            failed: 3,
        },
        expired_periods: Vec::new(),
        edited_at: clock::now(),
        attempts: None,
        sampled_at: None,
    };
    let states = &function.world.stores.states;
    states.record(&recorded).await.unwrap();

    let root = function.api.of(ROOT);
    let plain = root.get("hook/subscribe/1?expand=all,").await.expect(200);
    assert_eq!(plain.as_object().unwrap().len(), 9);
    let last_call_at = clock::whole_second(recorded.last_call_at).to_string();
    assert_eq!(plain["last_call_at"], last_call_at);
    let with = |more: Value| {
        let mut all = plain.as_object().unwrap().clone();
        all.extend(more.as_object().unwrap().clone());
        Value::Object(all)
    };
    let owner = json!({"owner": DOWNTOWN, "academy": DOWNTOWN});
    let health = json!({
        "status": "failing", "failures_in_row": 3,
        "last_24_hours": {"delivered": 4, "failed": 3},
    });
    let get = async |expand: &str| {
        let path = format!("hook/subscribe/1?expand={expand}");
        root.get(&path).await.expect(200)
    };
    assert_eq!(get("owner").await, with(owner.clone()));
    assert_eq!(get("health,x").await, with(health.clone()));
    let mut both = with(owner);
    both.as_object_mut()
        .unwrap()
        .extend(health.as_object().unwrap().clone());
    assert_eq!(get("%20health%20,owner").await, both);

    let list = root
        .get("hook/subscribe?academy=*&sort=id&expand=owner,health&envelope=false")
        .await
        .expect(200);
    assert_eq!(list[0], both);
    assert_eq!(
        (&list[1]["owner"], &list[1]["academy"]),
        (&json!(ROOT), &json!(null))
    );
    let statuses: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|hook| &hook["status"])
        .collect();
    assert_eq!(statuses, ["failing", "ok", "never_called"]);

    for (status, ids) in [
        ("failing", vec![1]),
        ("ok", vec![2]),
        ("never_called", vec![5]),
        ("ok,%20failing", vec![1, 2]),
        ("nonsense,ok", vec![2]),
        ("paused", vec![]),
        ("", vec![]),
    ] {
        let query = format!("academy=*&sort=id&limit=1&status={status}");
        let page = root.get(&format!("{SUBSCRIBE}?{query}")).await.expect(200);
        assert_eq!(page["count"], ids.len(), "{status}");
        let query = query.replace("limit=1", "limit=20");
        assert_eq!(function.ids(ROOT, &query).await, ids, "{status}");
    }
}

#[tokio::test]
async fn many_hooks_are_deleted_by_filter_and_none_without() {
    let function = function().await;
    let hooks: Vec<_> = (1..=130)
        .map(|id| {
            hook(
                id,
                DOWNTOWN,
                if id <= 120 { ADDED } else { LEAD },
                Some(if id % 2 == 0 { "a" } else { "b" }),
            )
        })
        .collect();
    function.store(&hooks).await;
    let api = function.api.of(DOWNTOWN);
    for query in ["", "?app=marketing", "?like=app"] {
        let answer = api
            .call(Method::DELETE, &format!("{SUBSCRIBE}{query}"), "")
            .await
            .expect(400);
        let wanted = json!({"detail": "Please include some filter in the URL", "slug": "validation-error",
                            "status_code": 400});
        assert_eq!(answer, wanted);
    }
    let delete = async |query: &str| {
        let path = format!("{SUBSCRIBE}?{query}");
        api.call(Method::DELETE, &path, "").await.expect(200)["details"].clone()
    };
    assert_eq!(delete("event=nope").await, "Unsubscribed from 0 hooks");
    assert_eq!(
        delete("event=form_entry.added&service_id=a,c").await,
        "Unsubscribed from 5 hooks"
    );
    assert_eq!(
        delete("event=cohort_user.added,%20form_entry.added").await,
        "Unsubscribed from 125 hooks"
    );
    assert_eq!(function.ids(DOWNTOWN, "").await, Vec::<u64>::new());
}

#[tokio::test]
async fn samples_are_the_stored_payload_or_the_events_example() {
    let function = function().await;
    let first = hook(1, DOWNTOWN, CREATED, Some("s1"));
    let sample = json!({"n": 2});
    let samples = &function.world.stores.samples;
    let kept = samples.keep(&first.0, r#"{"n":2}"#, clock::now());
    assert!(kept.await.unwrap());
    function
        .store(&[first, hook(2, DOWNTOWN, ADDED, Some("s2"))])
        .await;
    let api = function.api.of(DOWNTOWN);
    assert_eq!(api.get("hook/1/sample").await.expect(200), sample);
    assert_eq!(
        api.get("hook/2/sample").await.expect(200)["role"],
        "STUDENT"
    );
    assert_eq!(
        api.get("hook/sample?like=ASSIGNMENT").await.expect(200),
        sample
    );
    assert_eq!(
        api.get("hook/sample?service_id=s1,s2").await.expect(200),
        sample
    );
    // No hook of one's own: the example, spelt as the document spells it.
    let example = api
        .get("hook/sample?event=planfinancing.planfinancing_created")
        .await;
    assert!(String::from_utf8_lossy(example.0.body()).contains("299.00"));
    for (query, slug) in [
        ("", "missing-filter"),
        ("?app=assignments", "missing-filter"),
        ("?event=x.y", "invalid-event"),
        ("?service_id=s9", "hook-not-found"),
        ("?like=zzz", "hook-not-found"),
    ] {
        let answer = api.get(&format!("hook/sample{query}")).await.expect(400);
        assert_eq!(answer["slug"], slug, "{query}");
    }
    let missing = api.get("hook/9999/sample").await.expect(400);
    assert_eq!(
        missing["detail"],
        "No hook found with this filters for sample data"
    );
}

#[tokio::test]
async fn a_sample_is_shown_as_it_is_kept_to_whoever_may_see_its_hook() {
    let function = function().await;
    let stored = hook(1, DOWNTOWN, CREATED, None);
    let payload = r#"{"price":299.00,"big":12345678901234567890123,"a":1,"a":2}"#;
    let samples = &function.world.stores.samples;
    let kept = samples.keep(&stored.0, payload, clock::now());
    assert!(kept.await.unwrap());
    function.store(&[stored]).await;
    let query = format!("hook/sample?event={CREATED}");
    for (caller, path) in [
        (DOWNTOWN, "hook/1/sample"),
        (ROOT, "hook/1/sample"),
        (DOWNTOWN, &query),
    ] {
        let shown = function.api.of(caller).get(path).await;
        assert_eq!(shown.0.body(), payload.as_bytes(), "{caller} {path}");
    }
    let foreign = function.api.of(MIAMI).get("hook/1/sample").await;
    assert_eq!(foreign.expect(400)["slug"], "hook-not-found");
}

#[tokio::test]
async fn a_sample_is_gone_with_the_hooks_event_and_with_the_hook() {
    let function = function().await;
    let api = function.api.of(DOWNTOWN);
    let samples = &function.world.stores.samples;
    for id in 1..=3 {
        let stored = hook(id, DOWNTOWN, CREATED, Some("s"));
        let kept = samples.keep(&stored.0, r#"{"n":1}"#, clock::now());
        assert!(kept.await.unwrap());
        function.store(&[stored]).await;
    }
    let put = async |event: &str, target: &str| {
        let body = json!({"event": event, "target": target}).to_string();
        let put = api.call(Method::PUT, "hook/subscribe/1", body).await;
        put.expect(200);
        api.get("hook/1/sample").await.expect(200)
    };
    assert_eq!(put(CREATED, "https://b.com/x").await, json!({"n": 1}));
    let other = put(ADDED, "https://b.com/x").await;
    assert_eq!(other["role"], "STUDENT");

    let rows = async || {
        let dynamodb = function.world.aws.dynamodb();
        let scan = dynamodb.scan().table_name("test-hook-samples");
        scan.send().await.unwrap().count
    };
    assert_eq!(rows().await, 3);
    for (path, left) in [("hook/subscribe/1", 2), ("hook/subscribe?service_id=s", 0)] {
        api.call(Method::DELETE, path, "").await.expect(200);
        assert_eq!(rows().await, left);
    }
}

#[tokio::test]
async fn the_catalogue_is_filtered_by_app_name_and_text() {
    let function = function().await;
    let api = function.api.of(STUDENT);
    let names = async |query: &str| {
        let list = api.get(&format!("hook/event?{query}")).await.expect(200);
        list.as_array().unwrap().len()
    };
    let all = shared::catalog::events().count();
    for (query, count) in [
        ("", all),
        ("app=ASSIGNMENTS", 3),
        ("category=authentication", 3),
        ("like=assignment", 3),
        ("event=cohort_user.added,FORM_ENTRY.added", 2),
        ("app=", all),
        ("app=nope", 0),
        ("limit=2", all),
    ] {
        assert_eq!(names(query).await, count, "{query}");
    }
    let list = api.get("hook/event?like=revision").await.expect(200);
    let wanted = json!([{
        "event": "assignment.assignment_revision_status_updated",
        "label": "Assignment Revision Status Updated",
        "description": "Triggered when an assignment's revision status changes (PENDING, APPROVED, REJECTED)",
        "app": "assignments",
        "model": "assignments.Task"
    }]);
    assert_eq!(list, wanted);
}

#[tokio::test]
async fn lists_are_filtered_sorted_and_cut() {
    let function = function().await;
    function
        .store(&[
            hook(1, DOWNTOWN, CREATED, Some("svc-1")),
            hook(2, DOWNTOWN, ADDED, Some("")),
            hook(3, DOWNTOWN, LEAD, Some("SVC-1")),
            hook(4, DOWNTOWN, CREATED, None),
            hook(5, MIAMI, CREATED, Some("svc-1")),
        ])
        .await;
    for (query, ids) in [
        ("", vec![4, 3, 2, 1]),
        ("app=assignments,%20MARKETING", vec![4, 3, 1]),
        ("app=", vec![]),
        (
            "event=assignment.assignment_created,%20form_entry.added",
            vec![4, 3, 1],
        ),
        ("event=ASSIGNMENT.assignment_created", vec![]),
        ("signal=ASSIGNMENT_created", vec![4, 1]),
        ("signal=breathecode.marketing.signals.created%2B", vec![3]),
        ("service_id=svc-1,nope", vec![1]),
        ("service_id=", vec![2]),
        ("like=APP.com/3", vec![3]),
        ("like=%25", vec![]),
        ("app=assignments&service_id=svc-1&like=created", vec![1]),
        ("sort=event,-id", vec![4, 1, 2, 3]),
        ("sort=service_id", vec![4, 2, 3, 1]),
        ("sort=-total_calls", vec![2, 4, 1, 3]),
        ("sort=nofield", vec![4, 3, 2, 1]),
        ("event=zzz&event=form_entry.added", vec![3]),
        // A filter of the catalogue alone.
        ("category=assignments", vec![4, 3, 2, 1]),
        ("limit=2&offset=1", vec![3, 2]),
        (
            "offset=18446744073709551615&limit=18446744073709551616",
            vec![],
        ),
    ] {
        assert_eq!(function.ids(DOWNTOWN, query).await, ids, "{query}");
    }
    let api = function.api.of(DOWNTOWN);
    let page = api
        .get("hook/subscribe?limit=1&event=a,b&offset=2&app=marketing")
        .await
        .expect(200);
    assert_eq!(
        (&page["count"], &page["next"], &page["last"]),
        (&json!(0), &json!(null), &json!(null))
    );
    let page = api
        .get("hook/subscribe?limit=1&like=app,&offset=0")
        .await
        .expect(200);
    assert_eq!(page["count"], 0);
    let page = api.get("hook/subscribe?offset=2&limit=1").await.expect(200);
    let base = "http://api.example.com/v1/notify/hook/subscribe";
    assert_eq!(page["first"], format!("{base}?limit=1"));
    assert_eq!(page["previous"], format!("{base}?limit=1&offset=1"));
    assert_eq!(page["next"], format!("{base}?limit=1&offset=3"));
    assert_eq!(page["last"], format!("{base}?limit=1&offset=3"));
    assert!(
        api.get("hook/subscribe?envelope=no")
            .await
            .expect(200)
            .is_array()
    );
}

#[tokio::test]
async fn errors_are_listed_to_their_owner_only() {
    let function = function().await;
    for (number, (owner, event)) in [
        (DOWNTOWN, ADDED),
        (DOWNTOWN, ADDED),
        (DOWNTOWN, LEAD),
        (MIAMI, ADDED),
    ]
    .into_iter()
    .enumerate()
    {
        let (hook, _) = hook(1 + number as u64, owner, event, None);
        let at = format!("2025-01-20T15:3{number}:00Z").parse().unwrap();
        let letter = letter(&hook, number, at);
        function
            .world
            .stores
            .errors
            .record(&letter, at)
            .await
            .unwrap();
    }
    let list = function
        .api
        .of(DOWNTOWN)
        .get("hook/error")
        .await
        .expect(200);
    assert_eq!(list["count"], 2);
    assert_eq!(list["results"][0]["event"], LEAD);
    let wanted = json!({"id": 1, "message": "The endpoint answered 500.", "event": ADDED, "hooks": [1, 2],
                        "count": 2, "created_at": "2025-01-20T15:30:00Z", "updated_at": "2025-01-20T15:31:00Z",
                        "redeliverable": 2});
    assert_eq!(list["results"][1], wanted);
    for (caller, query, count) in [
        (DOWNTOWN, "event=form_entry.added,x", 1),
        (DOWNTOWN, "like=answered 500", 2),
        (DOWNTOWN, "like=zzz", 0),
        (DOWNTOWN, "academy=downtown-campus", 2),
        (DOWNTOWN, "hook=1", 1),
        (DOWNTOWN, "hook= 2,3 ,x", 2),
        (DOWNTOWN, "hook=3&event=cohort_user.added", 0),
        (DOWNTOWN, "hook=4", 0),
        (DOWNTOWN, "hook=", 0),
        (STUDENT, "", 0),
        (ROOT, "", 0),
        (ROOT, "academy=miami-campus", 1),
        (ROOT, "academy=*", 3),
    ] {
        let path = format!("hook/error?{}", query.replace(' ', "%20"));
        let list = function.api.of(caller).get(&path).await.expect(200);
        assert_eq!(list["count"], count, "{caller} {query}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is stored and asked for, walking from page to page gives the bare list.
    #[test]
    fn the_pages_of_a_list_are_the_list(
        kinds in proptest::collection::vec((0_usize..3, 0_usize..3), 0..30),
        filter in prop::sample::select(vec![
            "", "app=assignments", "event=cohort_user.added,form_entry.added", "service_id=a,b", "like=app.com/1",
            "signal=created", "app=admissions&service_id=a",
        ]),
        sort in prop::sample::select(vec!["", "id", "-event,service_id", "total_calls,-target", "nope"]),
        limit in 1_usize..8,
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let function = function().await;
            let hooks: Vec<_> = kinds
                .iter()
                .zip(1..)
                .map(|((event, service), id)| {
                    hook(id, DOWNTOWN, [CREATED, ADDED, LEAD][*event], [None, Some("a"), Some("b")][*service])
                })
                .collect();
            function.store(&hooks).await;
            let api = function.api.of(DOWNTOWN);
            let query = format!("{filter}&sort={sort}");
            let bare = api.get(&format!("{SUBSCRIBE}?{query}&envelope=false&limit=1000")).await.expect(200);
            let bare = bare.as_array().unwrap().clone();

            let mut walked = Vec::new();
            let mut next = Some(format!("/v1/notify/{SUBSCRIBE}?{query}&limit={limit}"));
            while let Some(path) = next {
                let page = api.get(&path).await.expect(200);
                assert_eq!(page["count"], bare.len());
                walked.extend(page["results"].as_array().unwrap().clone());
                next = page["next"].as_str().map(|url| url.replace("http://api.example.com", ""));
            }
            assert_eq!(walked, bare);
            let distinct: BTreeSet<u64> = bare.iter().map(|hook| hook["id"].as_u64().unwrap()).collect();
            assert_eq!(distinct.len(), bare.len());
        });
    }
}
