//! The tables and the queue do what they are asked for, and the function does not learn it: the caller gets the same
//! answer, and the same is left behind, as if no answer had been lost.

use std::collections::BTreeSet;

use axum::http::Method;
use futures_util::future::join_all;
use rstest::rstest;
use serde_json::{Value, json};
use shared::queue::Queue;
use testing::{DOWNTOWN, Lost, LostAnswers};
use uuid::Uuid;

use super::repair::{Function, api, hook, letter};

/// A function with two hooks of an academy and two failed deliveries of the first, whose clients lose answers.
async fn losing() -> (Function, LostAnswers) {
    let mut function = Function::start(vec![]).await;
    function
        .store(hook(1, DOWNTOWN, "https://a.com/1"), None)
        .await;
    function
        .store(hook(2, DOWNTOWN, "https://a.com/2"), None)
        .await;
    function
        .record([1, 2].map(|id| letter(id, 1, DOWNTOWN, 0)))
        .await;
    let lost = LostAnswers::default();
    let aws = &function.world.aws;
    let deliveries = Queue::new(lost.sqs(aws), function.deliveries_url.clone());
    function.api = api(lost.stores(aws), vec![], deliveries).of(DOWNTOWN);
    (function, lost)
}

/// What an operation has come to.
#[derive(Debug, PartialEq)]
struct Ended {
    status: u16,
    answer: Value,
    /// The targets of its hooks.
    hooks: Vec<Value>,
    errors: Value,
    redeliverable: Vec<u64>,
    queued: Vec<Uuid>,
    /// How many secrets the first hook's deliveries would be signed with.
    secrets: usize,
}

async fn run(function: &Function, method: &Method, path: &str, body: &str) -> Ended {
    let answer = function
        .api
        .call(method.clone(), path, body.to_owned())
        .await;
    let status = answer.0.status().as_u16();
    let mut answer: Value = serde_json::from_slice(answer.0.body()).unwrap();
    for varies in [
        "id",
        "secret",
        "created_at",
        "updated_at",
        "previous_expires_at",
        "rotated_at",
    ] {
        if let Some(value) = answer.get_mut(varies) {
            *value = json!("varies");
        }
    }
    let list = function.api.get("hook/subscribe").await.expect(200);
    let mut hooks: Vec<Value> = list["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hook| hook["target"].clone())
        .collect();
    hooks.sort_by_key(Value::to_string);
    let first = function
        .world
        .stores
        .hooks
        .get_signed(hook(1, DOWNTOWN, "https://a.com/1").id)
        .await;
    let secrets = first.unwrap().and_then(|hook| hook.secrets);
    let jobs = function.queued().await;
    let mut queued: Vec<Uuid> = jobs.iter().map(|job| job.delivery_id).collect();
    queued.sort_unstable();
    Ended {
        status,
        answer,
        hooks,
        errors: function.count(DOWNTOWN).await,
        redeliverable: function.redeliverable(DOWNTOWN).await,
        queued,
        secrets: secrets.map_or(0, |secrets| 1 + secrets.previous.len()),
    }
}

#[rstest]
#[case::create(
    Method::POST,
    "hook/subscribe",
    r#"{"event": "cohort_user.added", "target": "https://a.com/3"}"#,
    201
)]
#[case::retarget(
    Method::PUT,
    "hook/subscribe/1",
    r#"{"event": "cohort_user.added", "target": "https://a.com/3"}"#,
    200
)]
#[case::another_event(
    Method::PUT,
    "hook/subscribe/1",
    r#"{"event": "form_entry.added", "target": "https://a.com/1"}"#,
    200
)]
#[case::delete(Method::DELETE, "hook/subscribe/1", "", 200)]
#[case::delete_many(Method::DELETE, "hook/subscribe?event=cohort_user.added", "", 200)]
#[case::rotate(Method::POST, "hook/subscribe/1/secret/rotate", "", 200)]
#[case::redeliver_error(Method::POST, "hook/error/1/redeliver", "", 202)]
#[case::redeliver_hook(Method::POST, "hook/1/redeliver?since=2025-01-01T00:00:00Z", "", 202)]
#[case::forget(Method::DELETE, "hook/error/1", "", 200)]
#[tokio::test]
async fn one_lost_answer_changes_nothing(
    #[case] method: Method,
    #[case] path: &str,
    #[case] body: &str,
    #[case] status: u16,
) {
    let (function, lost) = losing().await;
    let answer = function
        .api
        .call(method.clone(), path, body.to_owned())
        .await;
    assert_eq!(answer.0.status().as_u16(), status, "{:?}", answer.0.body());
    let calls = lost.calls();
    let (function, _) = losing().await;
    let expected = run(&function, &method, path, body).await;

    let runs = calls.iter().enumerate().map(async |(position, call)| {
        let (function, lost) = losing().await;
        lost.lose(position, Lost::First);
        let mut ended = run(&function, &method, path, body).await;
        // What is sent twice has the same ids.
        if call == "SendMessageBatch" {
            ended.queued.dedup();
        }
        assert_eq!(ended, expected, "answer {position}: {call}");
    });
    join_all(runs).await;
}

/// The tables and the queue are out of reach from some answer on, and then there again: the same request goes on with
/// what is left.
#[rstest]
#[case::of_error("hook/error/1/redeliver")]
#[case::of_hook("hook/1/redeliver?since=2025-01-01T00:00:00Z")]
#[tokio::test]
async fn all_answers_lost_a_redelivery_goes_on_at_once(#[case] path: &str) {
    let (function, lost) = losing().await;
    function.post(DOWNTOWN, path).await.expect(202);
    let runs = lost.calls().into_iter().enumerate();
    let runs = runs.map(async |(position, call)| {
        let (function, lost) = losing().await;
        lost.lose(position, Lost::Rest);
        let first = function.post(DOWNTOWN, path).await;
        lost.lose_none();
        if first.0.status() != 202 {
            first.expect(503);
            function.redeliver(DOWNTOWN, path).await;
        }
        let jobs = function.queued().await;
        let queued: BTreeSet<Uuid> = jobs.iter().map(|job| job.delivery_id).collect();
        assert_eq!(queued.len(), 2, "answer {position}: {call}");
    });
    join_all(runs).await;
}
