//! `POST change`.

use axum::http::Method;
use serde_json::{Value, json};
use shared::catalog;
use testing::{DOWNTOWN, MIAMI, ROOT, STUDENT};

use crate::{ADDED, Function, LEAD, event_with_id};

const TASK: &str = "assignments.Task";
const STATUS: &str = "assignment.assignment_status_updated";

fn task(status: &str, revision: &str, academy: &Value) -> Value {
    json!({
        "id": 456, "task_status": status, "revision_status": revision, "telemetry_id": 7,
        "cohort": {"id": 12, "slug": "full-stack-45", "academy": academy},
    })
}

fn change(before: &Value, after: &Value) -> Value {
    json!({"model": TASK, "before": before, "after": after})
}

fn done() -> Value {
    let academy = json!({"id": 1, "slug": DOWNTOWN});
    change(
        &task("PENDING", "PENDING", &academy),
        &task("DONE", "PENDING", &academy),
    )
}

impl Function {
    async fn tell(&self, change: &Value) -> testing::Answer {
        self.api.post("change", change).await
    }
}

#[tokio::test]
async fn a_change_becomes_the_events_that_it_is_for_the_academy_in_the_record() {
    let function = Function::start().await;
    function
        .hooks([
            (1, DOWNTOWN, STATUS),
            (2, DOWNTOWN, "assignment.assignment_revision_status_updated"),
            (3, MIAMI, STATUS),
            (4, ROOT, STATUS),
            (5, DOWNTOWN, "assignment.assignment_created"),
        ])
        .await;
    let answer = function.tell(&done()).await.expect(202);
    assert_eq!(
        answer["events"],
        json!([{"event": STATUS, "deliveries": 2}])
    );
    let mut jobs = function.jobs().await;
    jobs.sort_by_key(|job| job.hook.id);
    let hooks: Vec<_> = jobs.iter().map(|job| job.hook.id.get()).collect();
    assert_eq!(hooks, [1, 4]);
    for job in &jobs {
        assert_eq!(job.event_id, answer["id"]);
        assert_eq!(job.academy.as_deref(), Some(DOWNTOWN));
        // What the event has of the record, as it stands there; the rest goes without a word.
        let payload: Value = serde_json::from_str(job.payload.get()).unwrap();
        assert_eq!(payload["task_status"], "DONE");
        assert_eq!(payload["cohort"]["slug"], "full-stack-45");
        assert!(payload.get("telemetry_id").is_none());
    }

    let both = change(
        &task("PENDING", "PENDING", &json!(1)),
        &task("DONE", "APPROVED", &json!(1)),
    );
    let answer = function.tell(&both).await.expect(202);
    assert_eq!(
        answer["events"],
        json!([
            {"event": "assignment.assignment_revision_status_updated", "deliveries": 1},
            {"event": STATUS, "deliveries": 2},
        ])
    );
    assert_eq!(function.queued().await, [1, 2, 4]);
}

#[tokio::test]
async fn a_change_that_is_no_event_is_accepted_and_queues_nothing() {
    let function = Function::start().await;
    function.hook(1, DOWNTOWN, STATUS).await;
    let same = task("DONE", "PENDING", &json!(1));
    for (before, after) in [(&same, &same), (&same, &json!(null))] {
        let answer = function.tell(&change(before, after)).await.expect(202);
        assert_eq!(answer["events"], json!([]));
        assert!(answer["id"].is_string());
    }
    assert_eq!(function.queued().await, Vec::<u64>::new());
}

#[tokio::test]
async fn a_change_of_no_academy_reaches_superadmins_alone() {
    let function = Function::start().await;
    function
        .hooks([(1, DOWNTOWN, STATUS), (2, ROOT, STATUS)])
        .await;
    let nowhere = |status| json!({"id": 456, "task_status": status, "revision_status": "PENDING", "cohort": null});
    let answer = function
        .tell(&change(&nowhere("PENDING"), &nowhere("DONE")))
        .await
        .expect(202);
    assert_eq!(answer["events"][0]["deliveries"], 1);
    assert_eq!(function.queued().await, [2]);
}

#[tokio::test]
async fn what_is_wrong_with_a_change_is_named() {
    let function = Function::start().await;
    let pending = task("PENDING", "PENDING", &json!(1));
    let with = |field: &str, value: Value| {
        let mut after = task("DONE", "PENDING", &json!(1));
        after[field] = value;
        change(&pending, &after)
    };
    for (body, slug, field) in [
        (json!({}), "validation-error", "model"),
        (json!({"model": TASK}), "validation-error", "before"),
        (
            json!({"model": TASK, "before": null}),
            "validation-error",
            "after",
        ),
        (
            change(&json!(null), &json!(null)),
            "validation-error",
            "after",
        ),
        (change(&json!([]), &pending), "validation-error", "before"),
        (
            change(&pending, &json!("text")),
            "validation-error",
            "after",
        ),
        (
            change(&json!({}), &pending),
            "validation-error",
            "before.revision_status",
        ),
        (with("id", json!("x")), "validation-error", "after.id"),
        (
            with("cohort", json!(12)),
            "validation-error",
            "after.cohort",
        ),
        (
            with("cohort", json!({"id": 12})),
            "validation-error",
            "after.cohort.academy",
        ),
        (
            with("cohort", json!({"id": 12, "academy": 99})),
            "invalid-academy",
            "detail",
        ),
        (
            json!({"model": "auth.User", "before": null, "after": {}}),
            "invalid-model",
            "detail",
        ),
    ] {
        let answer = function.tell(&body).await.expect(400);
        assert_eq!(answer["slug"], slug, "{body}: {answer}");
        assert!(!answer[field].is_null(), "{body}: {answer}");
    }
    let unknown = json!({"model": "auth.User", "before": null, "after": {}});
    let unknown = function.tell(&unknown).await.expect(400);
    for model in catalog::models() {
        assert!(unknown["detail"].as_str().unwrap().contains(model));
    }
    let large = with("description", json!("x".repeat(256 * 1024)));
    let large = function.tell(&large).await.expect(413);
    assert_eq!(large["slug"], "payload-too-large");
    // What no event has may be as large as a request.
    let unused = with("notes", json!("x".repeat(300 * 1024)));
    assert_eq!(
        function.tell(&unused).await.expect(202)["events"][0]["event"],
        STATUS
    );
    assert_eq!(function.queued().await, Vec::<u64>::new());
}

#[tokio::test]
async fn a_list_of_changes_is_answered_in_order() {
    let function = Function::start().await;
    function.hook(1, DOWNTOWN, STATUS).await;
    let list = json!([done(), {"model": "auth.User", "before": null, "after": {}}, 7, done()]);
    let answers = function.tell(&list).await.expect(202);
    assert_eq!(answers[0]["events"][0]["deliveries"], 1);
    assert_eq!(answers[1]["slug"], "invalid-model");
    assert_eq!(answers[2]["slug"], "validation-error");
    assert_eq!(answers[3]["events"][0]["deliveries"], 1);
    assert_eq!(function.queued().await, [1, 1]);
    let many = function.tell(&json!(vec![done(); 101])).await.expect(400);
    assert_eq!(many["slug"], "too-many-events");
}

#[tokio::test]
async fn a_change_with_an_id_is_published_once_with_all_its_events() {
    let function = Function::start().await;
    function
        .hooks([
            (1, DOWNTOWN, LEAD),
            (2, DOWNTOWN, "form_entry.new_deal"),
            (3, DOWNTOWN, ADDED),
        ])
        .await;
    let lead = |id: &str, deal: Value| {
        json!({"model": "marketing.FormEntry", "before": null, "id": id,
               "after": {"id": 9876, "academy": 1, "ac_deal_id": deal, "deal_status": null}})
    };
    let first = function.tell(&lead("c-1", json!("77"))).await.expect(202);
    assert_eq!(
        first,
        json!({"id": "c-1", "events": [
            {"event": LEAD, "deliveries": 1},
            {"event": "form_entry.new_deal", "deliveries": 1},
        ]})
    );
    assert_eq!(function.queued().await, [1, 2]);
    // Whatever is said under it the second time.
    for again in [
        lead("c-1", json!("77")),
        lead("c-1", json!(null)),
        done_as("c-1"),
    ] {
        assert_eq!(function.tell(&again).await.expect(202), first);
    }
    assert_eq!(function.queued().await, Vec::<u64>::new());
    // The ids of events are others.
    let event = function.publish(&event_with_id("c-1")).await.expect(202);
    assert_eq!(event["event"], ADDED);
    assert_eq!(function.queued().await, [3]);
    // A change that was not queued gives its id back.
    let broken = function.without_queue();
    broken
        .post("change", &lead("c-2", json!("78")))
        .await
        .expect(503);
    function.tell(&lead("c-2", json!("78"))).await.expect(202);
    assert_eq!(function.queued().await, [1, 2]);
}

fn done_as(id: &str) -> Value {
    let mut change = done();
    change["id"] = json!(id);
    change
}

#[tokio::test]
async fn only_publishers_and_superadmins_tell_of_changes() {
    let function = Function::start().await;
    for caller in [DOWNTOWN, STUDENT] {
        let refused = function.api.of(caller).post("change", &done()).await;
        assert_eq!(refused.expect(403)["slug"], "permission-denied");
    }
    function
        .api
        .of(ROOT)
        .post("change", &done())
        .await
        .expect(202);
    let wrong = function.api.call(Method::PUT, "change", "{}").await;
    assert_eq!(wrong.expect(405)["slug"], "method-not-allowed");
}
