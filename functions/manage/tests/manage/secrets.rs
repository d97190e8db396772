//! The secrets of hooks: who is given them, what a rotation does, and where they never are.

use axum::http::{Method, header};
use futures_util::future::join_all;
use jiff::Timestamp;
use serde_json::{Value, json};
use shared::{
    clock,
    model::{Hook, HookId, SECRET_OVERLAP, Secret},
};
use testing::{Answer, Api, DOWNTOWN, MIAMI, ROOT};

use super::function::{ADDED, CREATED, Function, SUBSCRIBE, function, hook};

const SECRET: &str = "hook/subscribe/1/secret";
const ROTATE: &str = "hook/subscribe/1/secret/rotate";

/// A function with one hook, of the academy.
async fn with_hook() -> Function {
    let function = function().await;
    function.store(&[hook(1, DOWNTOWN, CREATED, None)]).await;
    function
}

async fn rotate(api: &Api) -> Answer {
    api.call(Method::POST, ROTATE, "").await
}

fn secret(answer: &Value) -> String {
    answer["secret"].as_str().unwrap().to_owned()
}

fn time(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

impl Function {
    async fn stored(&self) -> Hook {
        let id = HookId::new(1).unwrap();
        self.world.stores.hooks.get(id).await.unwrap().unwrap()
    }

    /// The secrets that a delivery would be signed with.
    async fn signing(&self, now: Timestamp) -> Vec<String> {
        let id = HookId::new(1).unwrap();
        let found = self.world.stores.hooks.get_signed(id).await.unwrap();
        let secrets = found.unwrap().secrets;
        secrets.map_or_else(Vec::new, |secrets| {
            secrets.valid_at(now).map(Secret::expose).collect()
        })
    }

    /// Makes the hook's row one of a release that knew no secrets.
    async fn forget_secrets(&self) {
        testing::forget_secrets(&self.world.aws.dynamodb(), &self.stored().await).await;
    }
}

#[tokio::test]
async fn the_owner_and_a_superadmin_are_given_the_secret_and_nobody_keeps_it() {
    let function = with_hook().await;
    let answer = function.api.of(DOWNTOWN).get(SECRET).await;
    let body = answer.expect(200);
    let text = secret(&body);
    Secret::parse(&text).unwrap();
    assert_eq!(
        body,
        json!({"secret": text, "rotated_at": null, "previous_expires_at": null})
    );
    assert_eq!(answer.0.headers()[header::CACHE_CONTROL], "no-store");
    assert_eq!(function.signing(clock::now()).await, [text]);
    // However often it is asked for, and by whom.
    for caller in [DOWNTOWN, ROOT] {
        let again = function.api.of(caller).get(SECRET).await;
        assert_eq!(again.expect(200), body);
    }
}

#[tokio::test]
async fn nobody_else_gets_anywhere() {
    let function = with_hook().await;
    let before = function.signing(clock::now()).await;
    let foreign = function.api.of(MIAMI);
    let wanted = json!({"detail": "Hook 1 not found for this user",
                        "slug": "hook-not-found", "status_code": 404});
    assert_eq!(foreign.get(SECRET).await.expect(404), wanted);
    assert_eq!(rotate(&foreign).await.expect(404), wanted);
    function.api.get(SECRET).await.expect(401);
    rotate(&function.api).await.expect(401);
    assert_eq!(function.signing(clock::now()).await, before);

    let api = function.api.of(DOWNTOWN);
    for (method, path, status) in [
        (Method::POST, SECRET, 405),
        (Method::PUT, SECRET, 405),
        (Method::DELETE, SECRET, 405),
        (Method::GET, ROTATE, 405),
        (Method::GET, "hook/subscribe/1/secret/", 404),
        (Method::GET, "hook/subscribe/0/secret", 404),
        (Method::POST, "hook/subscribe/x/secret/rotate", 404),
        (
            Method::POST,
            "hook/subscribe/99999999999999999999/secret/rotate",
            404,
        ),
    ] {
        api.call(method, path, "").await.expect(status);
    }
    assert_eq!(function.signing(clock::now()).await, before);
}

#[tokio::test]
async fn a_rotation_makes_a_new_secret_beside_the_old_one() {
    let function = with_hook().await;
    let api = function.api.of(DOWNTOWN);
    let old = secret(&api.get(SECRET).await.expect(200));
    let hook = function.stored().await;
    let before = clock::now();
    let answer = rotate(&api).await;
    let body = answer.expect(200);
    let after = clock::now();

    assert_eq!(answer.0.headers()[header::CACHE_CONTROL], "no-store");
    let (new, rotated_at) = (secret(&body), time(&body["rotated_at"]));
    assert_ne!(new, old);
    assert!((clock::whole_second(before)..=after).contains(&rotated_at));
    let expires_at = time(&body["previous_expires_at"]);
    assert_eq!(expires_at, rotated_at + SECRET_OVERLAP);
    assert_eq!(body.as_object().unwrap().len(), 3);
    assert_eq!(api.get(SECRET).await.expect(200), body);
    assert_eq!(function.signing(after).await, [new.clone(), old]);
    assert_eq!(function.signing(expires_at).await, [new]);
    // It is no edit of the subscription.
    assert_eq!(function.stored().await, hook);
}

#[tokio::test]
async fn every_replaced_secret_has_its_day_and_there_are_no_more_than_five() {
    let function = with_hook().await;
    let api = function.api.of(DOWNTOWN);
    let mut wanted = vec![secret(&api.get(SECRET).await.expect(200))];
    for _ in 0..4 {
        wanted.insert(0, secret(&rotate(&api).await.expect(200)));
        assert_eq!(function.signing(clock::now()).await, wanted);
    }
    let refused = json!({
        "detail": "Hook 1 has had too many secrets in the last 24 hours, please try again later",
        "slug": "too-many-secrets", "status_code": 409});
    assert_eq!(rotate(&api).await.expect(409), refused);
    assert_eq!(function.signing(clock::now()).await, wanted);
    let current = secret(&api.get(SECRET).await.expect(200));
    assert_eq!(current, wanted[0]);
}

#[tokio::test]
async fn a_hook_of_an_older_release_gets_its_secret_when_it_is_first_asked_for() {
    let function = with_hook().await;
    function.forget_secrets().await;
    let api = function.api.of(DOWNTOWN);
    assert!(function.signing(clock::now()).await.is_empty());
    // Requests at the same time agree.
    let answers = join_all((0..4).map(|_| api.get(SECRET))).await;
    let bodies: Vec<Value> = answers.iter().map(|answer| answer.expect(200)).collect();
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
    assert_eq!(bodies[0]["rotated_at"], Value::Null);
    assert_eq!(function.signing(clock::now()).await, [secret(&bodies[0])]);

    // To a rotation there is nothing to rotate.
    function.forget_secrets().await;
    let first = rotate(&api).await.expect(200);
    assert_eq!(first["rotated_at"], Value::Null);
    assert_eq!(first["previous_expires_at"], Value::Null);
    assert_eq!(function.signing(clock::now()).await, [secret(&first)]);
}

#[tokio::test]
async fn updates_and_rotations_at_the_same_time_are_all_made() {
    let function = with_hook().await;
    let api = function.api.of(DOWNTOWN);
    let old = secret(&api.get(SECRET).await.expect(200));
    let put = async |event: &str, target: &str| {
        let body = json!({"event": event, "target": target}).to_string();
        api.call(Method::PUT, "hook/subscribe/1", body)
            .await
            .expect(200)
    };
    let (edited, first) = tokio::join!(put(CREATED, "https://a.com/1"), rotate(&api));
    assert_eq!(edited["target"], "https://a.com/1");
    let first = secret(&first.expect(200));
    let (moved, second) = tokio::join!(put(ADDED, "https://a.com/2"), rotate(&api));
    assert_eq!(moved["event"], ADDED);
    let second = secret(&second.expect(200));

    let subscription = function.stored().await.subscription;
    assert_eq!(subscription.event, ADDED);
    assert_eq!(subscription.target.as_str(), "https://a.com/2");
    let signing = function.signing(clock::now()).await;
    assert_eq!(signing, [second, first, old]);
}

#[tokio::test]
async fn no_other_answer_has_a_secret_in_it() {
    let function = function().await;
    let api = function.api.of(DOWNTOWN);
    let subscription = json!({"event": CREATED, "target": "https://a.com/x"});
    let created = api.post(SUBSCRIBE, &subscription).await;
    created.expect(201);
    let text = secret(&api.get(SECRET).await.expect(200));
    let old = text["whsec_".len()..].to_owned();
    let text = secret(&rotate(&api).await.expect(200));
    let new = text["whsec_".len()..].to_owned();

    let one = "hook/subscribe/1";
    let mut answers = vec![created];
    for path in [SUBSCRIBE, one, "hook/1/sample", "hook/error", "hook/event"] {
        answers.push(api.get(path).await);
    }
    let all = format!("{SUBSCRIBE}?academy=*");
    answers.push(function.api.of(ROOT).get(&all).await);
    answers.push(api.call(Method::PUT, one, subscription.to_string()).await);
    answers.push(api.call(Method::DELETE, one, "").await);
    for answer in answers {
        assert!(answer.0.status().is_success());
        let body = String::from_utf8_lossy(answer.0.body());
        let shown = [&old, &new, "secret", "whsec_"]
            .iter()
            .any(|word| body.contains(*word));
        assert!(!shown, "{body}");
    }
}
