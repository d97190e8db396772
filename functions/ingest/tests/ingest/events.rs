//! `POST event`.

use std::{collections::BTreeSet, time::Duration};

use aws_sdk_dynamodb::types::AttributeValue;
use axum::http::Method;
use serde_json::{Value, json};
use shared::{
    model::User,
    store::{Claim, IdSpace},
};
use testing::{Api, DOWNTOWN, MIAMI, PLATFORM, ROOT, STUDENT, user};
use uuid::Uuid;

use crate::{ADDED, Function, LEAD, event, event_with_id};

#[tokio::test]
async fn an_event_becomes_one_job_for_each_hook_with_the_payloads_own_bytes() {
    let function = Function::start().await;
    function.hook(3, DOWNTOWN, ADDED).await;
    let payload = "{ \"watching\" : false,\t\"id\":1234567890123456789, \
                   \"history_log\": {\"big\": 12345678901234567890.50, \"a\":1, \"a\":2},\"role\":\"\\u00e9é\" }";
    let body = format!(
        r#" {{"payload":{payload}, "academy":"downtown-campus", "event":"{ADDED}", "id":"e-1"}} "#
    );
    let answer = function
        .api
        .call(Method::POST, "event", body)
        .await
        .expect(202);
    assert_eq!(
        answer,
        json!({"id": "e-1", "event": ADDED, "deliveries": 1})
    );
    let jobs = function.jobs().await;
    let [job] = jobs.as_slice() else {
        unreachable!("one hook, one job")
    };
    assert_eq!(job.payload.get(), payload);
    assert_eq!(
        (job.event.as_str(), job.event_id.as_str(), job.attempt),
        (ADDED, "e-1", 1)
    );
    assert_eq!(
        (job.academy.as_deref(), job.hook.owner.as_str()),
        (Some(DOWNTOWN), DOWNTOWN)
    );
    assert_eq!(job.not_before, job.accepted_at);
}

#[tokio::test]
async fn what_the_event_does_not_have_is_left_out_and_named() {
    let function = Function::start().await;
    function
        .hook(1, DOWNTOWN, "planfinancing.planfinancing_created")
        .await;
    let payload = r#"{"zebra": 1, "monthly_price": 299.00, "id": 334, "user": {"token": "t", "id": 7},
        "plans": [{"id": 1, "secret": "s"}, {"secret": "s", "id": 2.0e0}]}"#;
    let body = |payload: &str| {
        format!(
            r#"{{"event": "planfinancing.planfinancing_created", "academy": 1, "id": "p-1", "payload": {payload}}}"#
        )
    };
    let post = async |body: String| function.api.call(Method::POST, "event", body).await;
    let refused = post(body(payload)).await.expect(400);
    assert_eq!(
        refused["payload.plans[1].id"],
        json!(["Expected a record's number, got a decimal number."])
    );
    assert_eq!(
        refused["detail"],
        "payload.plans[1].id: Expected a record's number, got a decimal number."
    );

    let accepted = post(body(&payload.replace("2.0e0", "2"))).await.expect(202);
    let wanted = json!({
        "id": "p-1", "event": "planfinancing.planfinancing_created", "deliveries": 1,
        "dropped": ["zebra", "user.token", "plans[].secret"],
    });
    assert_eq!(accepted, wanted);
    let delivered = &function.jobs().await[0].payload;
    assert_eq!(
        delivered.get(),
        r#"{"monthly_price":299.00,"id":334,"user":{"id":7},"plans":[{"id":1},{"id":2}]}"#
    );
    // The first answer, again, names them again.
    assert_eq!(
        post(body(payload).replace("2.0e0", "2")).await.expect(202),
        wanted
    );
}

#[tokio::test]
async fn a_payload_is_of_its_event_or_refused() {
    let function = Function::start().await;
    for (payload, path) in [
        (json!({}), "payload.id"),
        (json!([]), "payload"),
        (json!("text"), "payload"),
        (json!({"id": "7"}), "payload.id"),
        (json!({"id": 7, "user": {"id": "Jane"}}), "payload.user.id"),
        (json!({"hook": {"id": 1}, "data": {"id": 7}}), "payload.id"),
    ] {
        let event = json!({"event": ADDED, "academy": null, "payload": payload});
        let refused = function.publish(&event).await.expect(400);
        assert!(refused[path].is_array(), "{payload}: {refused}");
        let many = function.publish(&json!([event])).await.expect(202);
        assert_eq!(many[0], refused);
    }
}

#[tokio::test]
async fn only_publishers_and_superadmins_publish() {
    let function = Function::start().await;
    for caller in [DOWNTOWN, STUDENT] {
        let refused = function
            .api
            .of(caller)
            .post("event", &event(ADDED, DOWNTOWN))
            .await
            .expect(403);
        assert_eq!(refused["slug"], "permission-denied");
    }
    function
        .api
        .with("Token nobody")
        .post("event", &event(ADDED, DOWNTOWN))
        .await
        .expect(401);
    function
        .api
        .of(ROOT)
        .post("event", &event(ADDED, DOWNTOWN))
        .await
        .expect(202);
    assert_eq!(
        function.api.get("event").await.expect(405)["slug"],
        "method-not-allowed"
    );
}

#[tokio::test]
async fn who_may_not_publish_is_not_told_what_is_wrong_with_a_body() {
    let function = Function::start().await;
    let too_long = "x".repeat(4 * 1024 * 1024 + 1);
    for body in ["{bad", "", "[{}]", "7", &too_long] {
        let post = async |api: Api| api.call(Method::POST, "event", body.to_owned()).await;
        let refused = post(function.api.of(DOWNTOWN)).await.expect(403);
        assert_eq!(refused["slug"], "permission-denied");
        post(function.api.with("Token nobody")).await.expect(401);
    }
}

#[tokio::test]
async fn who_may_not_publish_is_told_so_when_hooks_cannot_be_read() {
    let function = Function::start().await;
    let hooks = function.world.aws.dynamodb().delete_table();
    hooks.table_name("test-hooks").send().await.unwrap();
    let event = event(ADDED, DOWNTOWN);
    function.publish(&event).await.expect(503);
    let refused = function.api.of(DOWNTOWN).post("event", &event).await;
    assert_eq!(refused.expect(403)["slug"], "permission-denied");
}

#[tokio::test]
async fn an_inactive_user_publishes_nothing_whatever_it_sends() {
    let function = Function::start().await;
    let inactive = User {
        is_active: false,
        ..user(PLATFORM)
    };
    let identities = &function.world.stores.identities;
    identities.put_user(&inactive).await.unwrap();
    for body in [event(ADDED, DOWNTOWN), json!([]), json!("no event")] {
        let refused = function.publish(&body).await.expect(401);
        assert_eq!(refused["slug"], "inactive-user", "{body}");
    }
    for body in ["{bad".to_owned(), "x".repeat(4 * 1024 * 1024 + 1)] {
        let broken = function.api.call(Method::POST, "event", body).await;
        assert_eq!(broken.expect(401)["slug"], "inactive-user");
    }
    assert!(function.jobs().await.is_empty());
}

#[tokio::test]
async fn an_event_is_for_its_academys_hooks_and_those_of_superadmins() {
    let function = Function::start().await;
    function
        .hooks([
            (1, DOWNTOWN, ADDED),
            (2, MIAMI, ADDED),
            (3, ROOT, ADDED),
            (4, STUDENT, ADDED),
            (5, DOWNTOWN, LEAD),
        ])
        .await;
    // Whoever is inactive still hears.
    let inactive = User {
        is_active: false,
        ..user(DOWNTOWN)
    };
    function
        .world
        .stores
        .identities
        .put_user(&inactive)
        .await
        .unwrap();
    for (academy, hooks) in [
        (json!(DOWNTOWN), vec![1, 3]),
        (json!(1), vec![1, 3]),
        (json!(MIAMI), vec![2, 3]),
        (json!(null), vec![3]),
    ] {
        let accepted = function
            .publish(&event(ADDED, academy.clone()))
            .await
            .expect(202);
        assert_eq!(accepted["deliveries"], hooks.len(), "{academy}");
        assert_eq!(function.queued().await, hooks, "{academy}");
    }
    // A superadmin no more, though its hooks have not been moved yet.
    let former = User {
        is_superuser: false,
        ..user(ROOT)
    };
    function
        .world
        .stores
        .identities
        .put_user(&former)
        .await
        .unwrap();
    assert_eq!(
        function.publish(&event(ADDED, DOWNTOWN)).await.expect(202)["deliveries"],
        1
    );
    assert_eq!(function.queued().await, [1]);
}

#[tokio::test]
async fn a_list_is_answered_in_order_and_a_bad_item_spoils_no_other() {
    let function = Function::start().await;
    function.hook(1, DOWNTOWN, ADDED).await;
    let list = json!([
        event(ADDED, DOWNTOWN), event("x.y", DOWNTOWN), event(ADDED, "nowhere"), {"event": ADDED}, 7,
        event(LEAD, DOWNTOWN), event(ADDED, 99), event(ADDED, 1),
    ]);
    let answers = function.publish(&list).await.expect(202);
    let told = |answer: &Value| match &answer["slug"] {
        Value::Null => answer["deliveries"].to_string(),
        slug => slug.as_str().unwrap().to_owned(),
    };
    let told: Vec<_> = answers.as_array().unwrap().iter().map(told).collect();
    let wanted = [
        "1",
        "invalid-event",
        "invalid-academy",
        "validation-error",
        "validation-error",
        "0",
        "invalid-academy",
        "1",
    ];
    assert_eq!(told, wanted);
    assert_eq!(function.queued().await, [1, 1]);
    assert_eq!(function.publish(&json!([])).await.expect(202), json!([]));
    let many = json!(vec![event(ADDED, DOWNTOWN); 101]);
    assert_eq!(
        function.publish(&many).await.expect(400)["slug"],
        "too-many-events"
    );
    assert_eq!(function.queued().await, Vec::<u64>::new());
    assert_eq!(
        function
            .publish(&json!(vec![event(LEAD, DOWNTOWN); 100]))
            .await
            .expect(202)
            .as_array()
            .unwrap()
            .len(),
        100
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_single_event_is_its_answer() {
    let function = Function::start().await;
    for (body, status, slug) in [
        (event("x.y", DOWNTOWN), 400, "invalid-event"),
        (event(ADDED, "nowhere"), 400, "invalid-academy"),
        (event(ADDED, 99), 400, "invalid-academy"),
        (event(ADDED, "x".repeat(5_000)), 400, "invalid-academy"),
        (json!({}), 400, "validation-error"),
        (json!("text"), 400, "validation-error"),
        (
            json!({"event": ADDED, "academy": null, "payload": null}),
            400,
            "validation-error",
        ),
        (
            json!({"event": ADDED, "academy": null, "payload": {"id": 1}, "id": "i".repeat(65)}),
            400,
            "validation-error",
        ),
        (
            json!({"event": ADDED, "academy": null, "payload": {"id": 1, "role": "x".repeat(256 * 1024)}}),
            413,
            "payload-too-large",
        ),
    ] {
        assert_eq!(function.publish(&body).await.expect(status)["slug"], slug);
    }
    let list = json!([{"event": ADDED, "academy": null, "payload": {"id": 1, "role": "x".repeat(256 * 1024)}}]);
    assert_eq!(
        function.publish(&list).await.expect(202)[0]["status_code"],
        413
    );
    let post = async |body: String| function.api.call(Method::POST, "event", body).await;
    assert_eq!(
        post("{bad".to_owned()).await.expect(400)["slug"],
        "parse-error"
    );
    assert_eq!(
        post(String::new()).await.expect(400)["event"],
        json!(["This field is required."])
    );
    assert_eq!(
        post("x".repeat(4 * 1024 * 1024 + 1)).await.expect(413)["slug"],
        "body-too-large"
    );
    assert_eq!(function.queued().await, Vec::<u64>::new());
}

#[tokio::test]
async fn an_id_is_published_once_and_answered_as_the_first_time() {
    let function = Function::start().await;
    function.hook(1, DOWNTOWN, ADDED).await;
    let first = function.publish(&event_with_id("e-1")).await.expect(202);
    function.hook(2, DOWNTOWN, ADDED).await;
    // The same id is the same event, whatever else is said of it.
    let again = json!({"event": LEAD, "academy": null, "payload": {"id": 9}, "id": "e-1"});
    assert_eq!(function.publish(&again).await.expect(202), first);
    assert_eq!(function.queued().await, [1]);
    // Another publisher's is another event.
    let others = function
        .api
        .of(ROOT)
        .post("event", &event_with_id("e-1"))
        .await
        .expect(202);
    assert_eq!(others["deliveries"], 2);
    // A bad event takes no id.
    let bad = json!({"event": ADDED, "academy": null, "payload": {}, "id": "e-2"});
    function.publish(&bad).await.expect(400);
    function.jobs().await;
    let list = json!([
        event_with_id("e-2"),
        event_with_id("e-3"),
        event_with_id("e-2")
    ]);
    let answers = function.publish(&list).await.expect(202);
    assert_eq!(answers[0], answers[2]);
    assert_eq!(function.queued().await, [1, 1, 2, 2]);
}

#[tokio::test]
async fn of_many_requests_with_one_id_at_the_same_time_one_publishes() {
    let function = Function::start().await;
    function.hook(1, DOWNTOWN, ADDED).await;
    let body = event_with_id("e-1");
    let requests = (0..8).map(|_| function.publish(&body));
    let answers = futures_util::future::join_all(requests).await;
    let distinct: BTreeSet<String> = answers.iter().map(|a| a.expect(202).to_string()).collect();
    assert_eq!(distinct.len(), 1);
    assert_eq!(function.queued().await, [1]);
}

#[tokio::test]
async fn id_that_is_being_published_is_answered_retry_later() {
    let function = Function::start().await;
    let claims = &function.world.stores.claims;
    let claimed = claims
        .claim(&IdSpace::events_of(PLATFORM), "e-1", shared::clock::now())
        .await
        .unwrap();
    assert!(matches!(claimed, Claim::Granted { .. }));
    let busy = function.publish(&event_with_id("e-1")).await.expect(503);
    assert_eq!(busy["slug"], "event-in-progress");
    // A list of which not everything is in the queue is no 202 either, but what can be is queued.
    function.hook(1, DOWNTOWN, ADDED).await;
    let list = json!([event_with_id("e-1"), event_with_id("e-2")]);
    let busy = function.publish(&list).await.expect(503);
    assert_eq!(busy["slug"], "event-in-progress");
    assert_eq!(function.queued().await, [1]);
    // When the lease has run out, whoever held it is taken for dead.
    let later = shared::clock::now() + Duration::from_secs(31);
    let taken = claims
        .claim(&IdSpace::events_of(PLATFORM), "e-1", later)
        .await
        .unwrap();
    assert!(matches!(taken, Claim::Granted { .. }));
}

/// The ids of the deliveries in the queue, each with its hook and event.
async fn ids(function: &Function) -> BTreeSet<(u64, String, Uuid)> {
    let jobs = function.jobs().await.into_iter();
    jobs.map(|job| (job.hook.id.get(), job.event, job.delivery_id))
        .collect()
}

#[tokio::test]
async fn deliveries_of_a_request_that_died_are_queued_again_under_the_same_ids() {
    let function = Function::start().await;
    function
        .hooks([(1, DOWNTOWN, ADDED), (2, ROOT, ADDED)])
        .await;
    function.publish(&event_with_id("e-1")).await.expect(202);
    let first = ids(&function).await;
    assert_eq!(first.len(), 2);
    function.publish(&event_with_id("e-1")).await.expect(202);
    assert!(ids(&function).await.is_empty());

    // As it is when nobody came to settle the claim, and the lease has run out.
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let unsettled = function.world.aws.dynamodb().update_item();
    let unsettled = unsettled
        .table_name("test-claims")
        .key("publisher", text(PLATFORM))
        .key("event_id", text("e-1"))
        .update_expression("SET lease_until = :past REMOVE accepted")
        .expression_attribute_values(":past", AttributeValue::N("1".to_owned()));
    unsettled.send().await.unwrap();
    function.publish(&event_with_id("e-1")).await.expect(202);
    assert_eq!(ids(&function).await, first);
    function.publish(&event_with_id("e-2")).await.expect(202);
    assert!(ids(&function).await.is_disjoint(&first));
}

#[tokio::test]
async fn retry_without_a_publishers_id_gets_new_delivery_ids() {
    let function = Function::start().await;
    function.hook(1, DOWNTOWN, ADDED).await;
    let mut seen = BTreeSet::new();
    for _ in 0..2 {
        function.publish(&event(ADDED, DOWNTOWN)).await.expect(202);
        seen.extend(ids(&function).await);
    }
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|(_, _, id)| id.get_version_num() == 7));
}

#[tokio::test]
async fn without_a_queue_nothing_is_claimed_and_sending_again_works() {
    let function = Function::start().await;
    function.hook(1, DOWNTOWN, ADDED).await;
    let broken = function.without_queue();
    for body in [
        event_with_id("e-1"),
        event(ADDED, DOWNTOWN),
        json!([event_with_id("e-2")]),
    ] {
        let answer = broken.post("event", &body).await;
        assert_eq!(answer.expect(503)["slug"], "event-not-queued");
        assert_eq!(answer.0.headers()["retry-after"], "1");
    }
    let list = json!([event_with_id("e-1"), event_with_id("e-2")]);
    let answers = function.publish(&list).await.expect(202);
    assert_eq!(
        (&answers[0]["deliveries"], &answers[1]["deliveries"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(function.queued().await, [1, 1]);
    // What needs no queue is accepted without one.
    assert_eq!(
        broken
            .post("event", &event(LEAD, DOWNTOWN))
            .await
            .expect(202)["deliveries"],
        0
    );
}

#[tokio::test]
async fn a_publisher_that_hangs_up_leaves_nothing_half_published() {
    let function = Function::start().await;
    function
        .hooks((1..=500).map(|id| (id, DOWNTOWN, ADDED)))
        .await;
    let body = event_with_id("e-1");
    tokio::select! {
        _ = function.publish(&body) => unreachable!("it ended before the publisher hung up"),
        () = function.something_queued() => {}
    }
    let again = function.publish(&body).await.expect(202);
    assert_eq!(again["deliveries"], 500);
    assert_eq!(function.jobs().await.len(), 500);
}

#[tokio::test]
async fn a_list_of_more_jobs_than_a_part_has_is_queued_part_by_part() {
    let function = Function::start().await;
    function
        .hooks((1..=400).map(|id| (id, DOWNTOWN, ADDED)))
        .await;
    let ids = ["e-1", "e-2", "e-3", "e-4", "e-1", "e-5"];
    let list: Value = ids.iter().copied().map(event_with_id).collect();
    let answers = function.publish(&list).await.expect(202);
    for (answer, id) in answers.as_array().unwrap().iter().zip(ids) {
        assert_eq!(
            (&answer["id"], &answer["deliveries"]),
            (&json!(id), &json!(400))
        );
    }
    assert_eq!(function.publish(&list).await.expect(202), answers);
    assert_eq!(function.jobs().await.len(), 5 * 400);
}

#[tokio::test]
async fn a_thousand_hooks_get_a_job_each() {
    let function = Function::start().await;
    function
        .hooks((1..=1_000).map(|id| (id, DOWNTOWN, ADDED)))
        .await;
    let large = json!({"event": ADDED, "academy": DOWNTOWN, "payload": {"id": 1, "role": "x".repeat(20_000)}});
    assert_eq!(
        function.publish(&large).await.expect(202)["deliveries"],
        1_000
    );
    let jobs = function.jobs().await;
    let deliveries: BTreeSet<_> = jobs.iter().map(|job| &job.delivery_id).collect();
    let hooks: BTreeSet<_> = jobs.iter().map(|job| job.hook.id).collect();
    assert_eq!(
        (jobs.len(), deliveries.len(), hooks.len()),
        (1_000, 1_000, 1_000)
    );
}

/// Sends this body with these headers.
async fn with_headers(
    function: &Function,
    path: &str,
    keys: &[&str],
    body: &Value,
) -> testing::Answer {
    let mut request = axum::http::Request::post(format!("/v1/notify/{path}"))
        .header(
            "authorization",
            format!("Token {}", testing::token_of(PLATFORM)),
        )
        .header("content-type", "application/json");
    for key in keys {
        request = request.header("Idempotency-Key", *key);
    }
    let body = axum::body::Body::from(body.to_string());
    function.api.send(request.body(body).unwrap()).await
}

#[tokio::test]
async fn the_header_idempotency_key_is_another_place_for_the_id() {
    let function = Function::start().await;
    function.hook(1, DOWNTOWN, ADDED).await;
    let with_id = event_with_id("e-1");
    let without = event(ADDED, DOWNTOWN);
    let first = with_headers(&function, "event", &["e-1"], &without)
        .await
        .expect(202);
    assert_eq!(
        (&first["id"], &first["deliveries"]),
        (&json!("e-1"), &json!(1))
    );
    for (keys, body) in [
        (&["e-1"][..], &without),
        (&["\"e-1\""], &without),
        (&[" e-1 "], &with_id),
        (&[], &with_id),
    ] {
        let again = with_headers(&function, "event", keys, body)
            .await
            .expect(202);
        assert_eq!(again, first, "{keys:?}");
    }
    assert_eq!(function.queued().await, [1]);

    // The ids of changes are apart from those of events.
    let change = json!({
        "model": "admissions.CohortUser", "before": null,
        "after": {"id": 235, "educational_status": "ACTIVE", "cohort": {"id": 12, "academy": 1}},
    });
    for _ in 0..2 {
        let answer = with_headers(&function, "change", &["e-1"], &change)
            .await
            .expect(202);
        assert_eq!(answer["id"], "e-1");
    }
    assert_eq!(function.queued().await, [1]);
}

#[tokio::test]
async fn an_idempotency_key_that_cannot_be_the_id_is_a_mistake() {
    let function = Function::start().await;
    function.hook(1, DOWNTOWN, ADDED).await;
    let long = "k".repeat(65);
    let with_id = event_with_id("e-1");
    for (keys, body, message) in [
        (
            &["e-2"][..],
            &with_id,
            "This header and the field `id` are not the same.",
        ),
        (&["e-1", "e-1"], &with_id, "This header is given twice."),
        (&[""], &with_id, "This field may not be blank."),
        (&["\"\""], &with_id, "This field may not be blank."),
        (&["\u{e9}"], &with_id, "Not a valid string."),
        (
            &[&long],
            &event(ADDED, DOWNTOWN),
            "Ensure this field has no more than 64 characters.",
        ),
        (
            &["e-1"],
            &json!([with_id]),
            "A list has no id: give each of its items one, in the field `id`.",
        ),
    ] {
        let refused = with_headers(&function, "event", keys, body)
            .await
            .expect(400);
        assert_eq!(refused["Idempotency-Key"], json!([message]), "{keys:?}");
        assert_eq!(refused["slug"], "validation-error");
    }
    assert_eq!(function.queued().await, Vec::<u64>::new());
}

#[tokio::test]
async fn the_hooks_of_a_superadmin_who_is_not_active_hear_nothing() {
    let function = Function::start().await;
    function.hook(1, ROOT, ADDED).await;
    let identities = &function.world.stores.identities;
    let mut root = testing::user(ROOT);
    for (is_active, heard) in [(true, 1), (false, 0), (true, 1)] {
        root.is_active = is_active;
        identities.put_user(&root).await.unwrap();
        for academy in [json!(DOWNTOWN), json!(null)] {
            let answer = function.publish(&event(ADDED, academy)).await.expect(202);
            assert_eq!(answer["deliveries"], heard, "active: {is_active}");
        }
    }
}
