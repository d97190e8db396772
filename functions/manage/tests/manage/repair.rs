//! Repairing over HTTP: failed deliveries sent again or forgotten, endpoints tried out.

use std::{collections::BTreeSet, net::SocketAddr, time::Instant};

use aws_sdk_sqs::Client;
use axum::http::{Method, header};
use jiff::{SignedDuration, Timestamp};
use manage::Manage;
use serde_json::{Value, json, value::RawValue};
use shared::{
    catalog, clock,
    deliver::{client::DeliveryClient, guard::AddressGuard},
    model::{
        Counts, DeadLetter, DeliveryJob, Hook, HookId, HookRef, HookStats, OpenCircuit, Scope,
        Subscription, Target,
    },
    queue::Queue,
    store::{Recorded, StoredState, Stores},
};
use testing::{Answer, Api, DOWNTOWN, MIAMI, ROOT, STUDENT, World, take_jobs};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use uuid::Uuid;

const EVENT: &str = "cohort_user.added";
const NO_DELIVERY: [u128; 0] = [];

pub(super) struct Function {
    pub(super) world: World,
    pub(super) api: Api,
    sqs: Client,
    pub(super) deliveries_url: String,
}

impl Function {
    /// The function, which may call these addresses.
    pub(super) async fn start(allowed: Vec<SocketAddr>) -> Self {
        let world = World::start().await;
        let sqs = world.aws.sqs();
        let created = sqs.create_queue().queue_name("deliveries").send().await;
        let deliveries_url = created.unwrap().queue_url.unwrap();
        let deliveries = Queue::new(sqs.clone(), deliveries_url.clone());
        Self {
            api: api(world.stores.clone(), allowed, deliveries),
            world,
            sqs,
            deliveries_url,
        }
    }

    pub(super) async fn store(&self, hook: Hook, sample: Option<&str>) {
        let state = StoredState::new(&hook, HookStats::default());
        let Stores { hooks, samples, .. } = &self.world.stores;
        if let Some(sample) = sample {
            samples.keep(&hook, sample, clock::now()).await.unwrap();
        }
        hooks.import(&[(hook, state)]).await.unwrap();
    }

    pub(super) async fn record(&self, letters: impl IntoIterator<Item = DeadLetter>) {
        for letter in letters {
            let errors = &self.world.stores.errors;
            errors.record(&letter, letter.failed_at).await.unwrap();
        }
    }

    /// Has failed deliveries sent again; 202.
    pub(super) async fn redeliver(&self, caller: &str, path: &str) -> Value {
        self.post(caller, path).await.expect(202)
    }

    pub(super) async fn post(&self, caller: &str, path: &str) -> Answer {
        self.api.of(caller).call(Method::POST, path, "").await
    }

    /// How many deliveries of each error can be sent again, newest error first.
    pub(super) async fn redeliverable(&self, caller: &str) -> Vec<u64> {
        let list = self.api.of(caller).get("hook/error").await.expect(200);
        let errors = list["results"].as_array().unwrap();
        errors
            .iter()
            .map(|error| error["redeliverable"].as_u64().unwrap())
            .collect()
    }

    pub(super) async fn count(&self, caller: &str) -> Value {
        let list = self.api.of(caller).get("hook/error").await.expect(200);
        list["count"].clone()
    }

    /// Takes the deliveries out of the queue.
    pub(super) async fn queued(&self) -> Vec<DeliveryJob> {
        let mut jobs = take_jobs(&self.sqs, &self.deliveries_url, 0).await;
        jobs.sort_by_key(|job| job.delivery_id);
        jobs
    }

    async fn queued_ids(&self) -> Vec<u128> {
        let jobs = self.queued().await.into_iter();
        jobs.map(|job| job.delivery_id.as_u128()).collect()
    }
}

pub(super) fn api(stores: Stores, allowed: Vec<SocketAddr>, deliveries: Queue) -> Api {
    let guard = AddressGuard::new(allowed);
    let client = DeliveryClient::new(guard.clone()).unwrap();
    let manage = Manage::new(stores, guard, client, deliveries);
    Api::new(manage::service(manage))
}

pub(super) fn hook(id: u64, owner: &str, target: &str) -> Hook {
    Hook {
        id: HookId::new(id).unwrap(),
        scope: Scope::of_owner(owner, owner == ROOT),
        owner: owner.to_owned(),
        subscription: Subscription {
            event: EVENT.to_owned(),
            target: Target::parse(target).unwrap(),
            service_id: None,
        },
        created_at: at(0),
        updated_at: at(0),
    }
}

fn at(second: i64) -> Timestamp {
    let start: Timestamp = "2025-01-20T15:30:00Z".parse().unwrap();
    start + SignedDuration::from_secs(second)
}

/// The dead letter of a delivery to a hook, by the second of its failure.
pub(super) fn letter(delivery_id: u128, hook_id: u64, owner: &str, second: i64) -> DeadLetter {
    let payload = RawValue::from_string("{\"id\": 1.0}".to_owned()).unwrap();
    DeadLetter {
        job: DeliveryJob {
            delivery_id: Uuid::from_u128(delivery_id),
            event_id: "event-1".to_owned(),
            event: EVENT.to_owned(),
            academy: Some(owner.to_owned()),
            hook: HookRef::from(&hook(hook_id, owner, "https://a.com/x")),
            attempt: 8,
            not_before: at(second),
            accepted_at: at(0),
            event_accepted_at: None,
            payload: payload.into(),
        },
        message: "The endpoint answered 500.".to_owned(),
        status: Some(500),
        failed_at: at(second),
    }
}

/// An endpoint that gives this answer to each request, and the requests' bodies in their order.
async fn endpoint(answer: &'static str) -> (SocketAddr, tokio::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (sender, bodies) = tokio::sync::mpsc::channel(8);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            let body = loop {
                stream.read_buf(&mut request).await.unwrap();
                let text = String::from_utf8_lossy(&request).into_owned();
                if let Some((head, body)) = text.split_once("\r\n\r\n") {
                    let length = head.to_ascii_lowercase();
                    let length = length.split("content-length: ").nth(1).unwrap();
                    let length: usize = length.lines().next().unwrap().parse().unwrap();
                    if body.len() >= length {
                        break body.to_owned();
                    }
                }
            };
            stream.write_all(answer.as_bytes()).await.unwrap();
            sender.send(body).await.unwrap();
        }
    });
    (addr, bodies)
}

#[tokio::test]
async fn the_deliveries_of_an_error_go_back_once_with_their_ids() {
    let function = Function::start(vec![]).await;
    function
        .record((1..=3).map(|id| letter(id, 7, DOWNTOWN, 0)))
        .await;
    let path = "hook/error/1/redeliver";
    let before = clock::now();
    assert_eq!(function.redeliverable(DOWNTOWN).await, [3]);
    let done = function.redeliver(DOWNTOWN, path).await;
    assert_eq!(done, json!({"redelivered": 3, "left": false}));
    let again = function.redeliver(DOWNTOWN, path).await;
    assert_eq!(again, json!({"redelivered": 0, "left": false}));

    let jobs = function.queued().await;
    let ids: Vec<_> = jobs.iter().map(|job| job.delivery_id.as_u128()).collect();
    assert_eq!(ids, [1, 2, 3]);
    for job in jobs {
        assert_eq!((job.event_id.as_str(), job.attempt), ("event-1", 1));
        assert_eq!(job.payload.get(), "{\"id\": 1.0}");
        assert_eq!(job.accepted_at, job.not_before);
        assert!((before..=clock::now()).contains(&job.accepted_at));
        assert_eq!(job.event_accepted_at(), at(0));
    }
    // The record of what happened stays, and looks repaired.
    assert_eq!(function.count(DOWNTOWN).await, 1);
    assert_eq!(function.redeliverable(DOWNTOWN).await, [0]);
}

#[tokio::test]
async fn requests_at_the_same_time_send_each_delivery_once() {
    let function = Function::start(vec![]).await;
    function
        .store(hook(7, DOWNTOWN, "https://a.com/x"), None)
        .await;
    function
        .record((0..50).map(|id| letter(id, 7, DOWNTOWN, 0)))
        .await;
    let (of_error, of_hook) = (
        "hook/error/1/redeliver",
        "hook/7/redeliver?since=2025-01-01T00:00:00Z",
    );
    let answers = tokio::join!(
        function.redeliver(DOWNTOWN, of_error),
        function.redeliver(ROOT, of_error),
        function.redeliver(DOWNTOWN, of_hook),
    );
    let count = |answer: &Value| answer["redelivered"].as_u64().unwrap();
    assert_eq!(
        count(&answers.0) + count(&answers.1) + count(&answers.2),
        50
    );
    let ids = function.queued_ids().await;
    assert_eq!(ids, (0..50).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_hooks_deliveries_go_back_by_the_time_of_their_failure() {
    let function = Function::start(vec![]).await;
    for id in [7, 8] {
        function
            .store(hook(id, DOWNTOWN, "https://a.com/x"), None)
            .await;
    }
    let other_message = DeadLetter {
        message: "The endpoint did not answer in time.".to_owned(),
        ..letter(4, 7, DOWNTOWN, 30)
    };
    let letters = [
        letter(1, 7, DOWNTOWN, 0),
        letter(2, 7, DOWNTOWN, 10),
        letter(3, 8, DOWNTOWN, 20),
        other_message,
        letter(5, 7, DOWNTOWN, 40),
    ];
    function.record(letters).await;
    for (query, wanted) in [
        ("since=2025-01-20T15:30:41Z", &[][..]),
        ("since=2025-01-20T15:30:00Z&until=2025-01-20T15:29:59Z", &[]),
        ("since=2999-01-01T00:00:00Z", &[]),
        (
            "since=2025-01-20T15:30:10Z&until=2025-01-20T15:30:30Z",
            &[2, 4],
        ),
        ("since=2025-01-20T16:30:00%2B01:00", &[1, 5]),
        ("since=2025-01-20T15:30:00Z", &[]),
    ] {
        let path = format!("hook/7/redeliver?{query}");
        let done = function.redeliver(DOWNTOWN, &path).await;
        assert_eq!(
            done,
            json!({"redelivered": wanted.len(), "left": false}),
            "{query}"
        );
        assert_eq!(function.queued_ids().await, wanted, "{query}");
    }
}

#[tokio::test]
async fn since_must_be_there_and_a_time() {
    let function = Function::start(vec![]).await;
    function
        .store(hook(7, DOWNTOWN, "https://a.com/x"), None)
        .await;
    let time = "Enter a time such as 2025-01-20T15:30:00Z.";
    for (query, wanted) in [
        ("", json!({"since": ["This field is required."]})),
        ("since=", json!({"since": [time]})),
        ("since=yesterday", json!({"since": [time]})),
        ("since=2025-01-20", json!({"since": [time]})),
        ("since=1737387000", json!({"since": [time]})),
        (
            "since=2025-01-20T15:30:00Z&until=x",
            json!({"until": [time]}),
        ),
        ("since=x&until=x", json!({"since": [time], "until": [time]})),
    ] {
        let path = format!("hook/7/redeliver?{query}");
        let mut body = function.post(DOWNTOWN, &path).await.expect(400);
        assert_eq!(body["slug"], "validation-error", "{query}");
        let fields = body.as_object_mut().unwrap();
        fields.retain(|name, _| ["since", "until"].contains(&name.as_str()));
        assert_eq!(body, wanted, "{query}");
    }
}

#[tokio::test]
async fn only_the_owner_and_superadmins_repair_and_others_see_nothing() {
    let function = Function::start(vec![]).await;
    function
        .store(hook(7, DOWNTOWN, "http://127.0.0.1:1/x"), None)
        .await;
    function.record([letter(1, 7, DOWNTOWN, 0)]).await;
    let since = "since=2025-01-01T00:00:00Z";
    for (method, path, slug) in [
        ("POST", "hook/error/{}/redeliver", "error-not-found"),
        (
            "POST",
            &format!("hook/{{}}/redeliver?{since}"),
            "hook-not-found",
        ),
        // What is missing is told before what is wrong.
        ("POST", "hook/{}/redeliver", "hook-not-found"),
        ("POST", "hook/{}/ping", "hook-not-found"),
    ] {
        let method: Method = method.parse().unwrap();
        let foreign = if path.contains("error") { "1" } else { "7" };
        let mut answers = BTreeSet::new();
        for (caller, id) in [
            (MIAMI, foreign),
            (STUDENT, foreign),
            (MIAMI, "9"),
            (ROOT, "99999999999999999999"),
        ] {
            let api = function.api.of(caller);
            let answer = api.call(method.clone(), &path.replace("{}", id), "").await;
            let body = answer.expect(404);
            assert_eq!(body["slug"], slug, "{path}");
            answers.insert(body.to_string().replace(id, "N"));
        }
        assert_eq!(answers.len(), 1, "{answers:?}");
        let path = path.replace("{}", foreign);
        function.api.call(method, &path, "").await.expect(401);
    }
    let api = function.api.of(MIAMI);
    for id in ["1", "9"] {
        let path = format!("hook/error/{id}");
        let answer = api.call(Method::DELETE, &path, "").await.expect(200);
        assert_eq!(answer, json!({"details": "Deleted 0 errors"}));
    }
    assert_eq!(function.queued_ids().await, NO_DELIVERY);

    let done = function.redeliver(ROOT, "hook/error/1/redeliver").await;
    assert_eq!(done["redelivered"], 1);
}

#[tokio::test]
async fn the_paths_take_their_methods_alone_and_ids_that_are_numbers() {
    let function = Function::start(vec![]).await;
    let api = function.api.of(DOWNTOWN);
    for (method, path, status) in [
        (Method::GET, "hook/error/1/redeliver", 405),
        (Method::GET, "hook/error/1", 405),
        (Method::GET, "hook/1/redeliver", 405),
        (Method::GET, "hook/1/ping", 405),
        (Method::POST, "hook/error/x/redeliver", 404),
        (Method::POST, "hook/error/0/redeliver", 404),
        (Method::DELETE, "hook/error/redeliver", 404),
        (Method::POST, "hook/x/ping", 404),
    ] {
        let answer = api.call(method, path, "").await;
        assert_eq!(answer.0.status().as_u16(), status, "{path}");
    }
}

#[tokio::test]
async fn what_the_queue_does_not_take_is_told_and_kept() {
    let function = Function::start(vec![]).await;
    function.record([letter(1, 7, DOWNTOWN, 0)]).await;
    let gone = Queue::new(
        function.sqs.clone(),
        format!("{}-gone", function.deliveries_url),
    );
    let broken = api(function.world.stores.clone(), vec![], gone);
    let path = "hook/error/1/redeliver";
    let answer = broken.of(DOWNTOWN).call(Method::POST, path, "").await;
    assert_eq!(answer.expect(503)["slug"], "deliveries-not-queued");
    assert!(answer.0.headers().contains_key(header::RETRY_AFTER));
    let done = function.redeliver(DOWNTOWN, path).await;
    assert_eq!(done["redelivered"], 1);
}

#[tokio::test]
async fn an_error_is_deleted_with_what_is_kept_with_it() {
    let function = Function::start(vec![]).await;
    function
        .store(hook(7, DOWNTOWN, "https://a.com/x"), None)
        .await;
    let other = DeadLetter {
        message: "The endpoint answered 404.".to_owned(),
        ..letter(2, 7, DOWNTOWN, 0)
    };
    function.record([letter(1, 7, DOWNTOWN, 0), other]).await;
    let api = function.api.of(DOWNTOWN);
    for deleted in [1, 0] {
        let answer = api
            .call(Method::DELETE, "hook/error/1", "")
            .await
            .expect(200);
        assert_eq!(
            answer,
            json!({"details": format!("Deleted {deleted} errors")})
        );
    }
    assert_eq!(function.count(DOWNTOWN).await, 1);
    let path = "hook/7/redeliver?since=2025-01-01T00:00:00Z";
    assert_eq!(function.redeliver(DOWNTOWN, path).await["redelivered"], 1);
    assert_eq!(function.queued_ids().await, [2]);
}

#[tokio::test]
async fn a_ping_sends_what_the_sample_shows_and_tells_how_that_went() {
    for (answer, code, failure) in [
        ("HTTP/1.1 204 X\r\n\r\n", 204, json!(null)),
        (
            "HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n",
            500,
            json!("http_status"),
        ),
        (
            "HTTP/1.1 302 X\r\nlocation: /\r\ncontent-length: 0\r\n\r\n",
            302,
            json!("http_status"),
        ),
        ("nonsense\r\n\r\n", 502, json!("protocol")),
    ] {
        let (addr, mut bodies) = endpoint(answer).await;
        let function = Function::start(vec![addr]).await;
        let target = format!("http://{addr}/x");
        let sample = r#"{"id":"7***7","price":299.00}"#;
        function
            .store(hook(7, DOWNTOWN, &target), Some(sample))
            .await;
        function.store(hook(8, DOWNTOWN, &target), None).await;
        let example = catalog::find(EVENT).unwrap().example();
        for (id, body) in [(7, sample), (8, example)] {
            let pinged = function
                .post(DOWNTOWN, &format!("hook/{id}/ping"))
                .await
                .expect(200);
            assert_eq!(
                (&pinged["code"], &pinged["failure"]),
                (&json!(code), &failure)
            );
            assert!(pinged["ms"].as_u64().unwrap() < 15_000, "{pinged}");
            assert_eq!(pinged.as_object().unwrap().len(), 3);
            assert_eq!(bodies.recv().await.unwrap(), body);
            let path = format!("hook/{id}/sample");
            let shown = function.api.of(DOWNTOWN).get(&path).await;
            assert_eq!(shown.0.body(), body.as_bytes());
        }
    }
}

#[tokio::test]
async fn a_ping_says_that_it_is_one_and_which_hook_it_is_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let function = Function::start(vec![addr]).await;
    let mut hook = hook(7, DOWNTOWN, &format!("http://{addr}/x"));
    hook.subscription.service_id = Some("my service".to_owned());
    function.store(hook, Some("{}")).await;
    let endpoint = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"{}") {
            assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
        }
        let answer = b"HTTP/1.1 204 X\r\n\r\n";
        stream.write_all(answer).await.unwrap();
        String::from_utf8(request).unwrap()
    };
    let (pinged, request) = tokio::join!(function.post(DOWNTOWN, "hook/7/ping"), endpoint);
    pinged.expect(200);
    let event = format!("Webhook-Event: {EVENT}");
    for line in [
        "Webhook-Test: ping",
        "Webhook-Attempt: 1",
        "Webhook-Hook: 7",
        "Webhook-Academy: downtown-campus",
        "Webhook-Service-Id: my%20service",
        &event,
    ] {
        assert!(
            request.lines().any(|sent| sent == line),
            "{line} in {request}"
        );
    }
}

#[tokio::test]
async fn a_ping_is_no_delivery_and_an_open_circuit_does_not_stop_it() {
    let (addr, mut bodies) = endpoint("HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n").await;
    let function = Function::start(vec![addr]).await;
    let hook = hook(7, DOWNTOWN, &format!("http://{addr}/x"));
    let id = hook.id;
    function.store(hook, None).await;
    let states = &function.world.stores.states;
    let wait = std::time::Duration::from_hours(1);
    let open = OpenCircuit::opened(clock::now(), wait, 1);
    let failing = Recorded {
        hook_id: id,
        calls: 5,
        last_call_at: clock::now(),
        last_response_code: 500,
        succeeded: false,
        failures: 5,
        attempted: Counts::default(),
        expired_periods: Vec::new(),
        edited_at: clock::now(),
        attempts: None,
        sampled_at: None,
    };
    states.record(&failing).await.unwrap();
    assert!(states.set_circuit(id, None, &open).await.unwrap());
    let before = format!("{:?}", states.get(id).await.unwrap());
    let pinged = function.post(DOWNTOWN, "hook/7/ping").await.expect(200);
    assert_eq!(pinged["code"], 500);
    bodies.recv().await.unwrap();
    assert_eq!(format!("{:?}", states.get(id).await.unwrap()), before);
    assert_eq!(function.count(DOWNTOWN).await, 0);
}

#[tokio::test]
async fn a_refused_address_has_one_class_and_no_exact_time() {
    // Nobody listens where somebody has just listened.
    let closed = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let function = Function::start(vec![closed]).await;
    function
        .store(hook(1, DOWNTOWN, &format!("http://{closed}/x")), None)
        .await;
    function
        .store(hook(2, DOWNTOWN, "http://127.0.0.1:1/x"), None)
        .await;
    function
        .store(hook(3, DOWNTOWN, "http://10.0.0.1/x"), None)
        .await;
    let pinged = function.post(DOWNTOWN, "hook/1/ping").await.expect(200);
    let ms = pinged["ms"].as_u64().unwrap();
    assert_eq!(
        pinged,
        json!({"code": 502, "ms": ms, "failure": "connection_refused"})
    );
    for id in [2, 3] {
        let started = Instant::now();
        let pinged = function
            .post(DOWNTOWN, &format!("hook/{id}/ping"))
            .await
            .expect(200);
        let ms = pinged["ms"].as_u64().unwrap();
        assert_eq!(
            pinged,
            json!({"code": 502, "ms": ms, "failure": "refused_address"})
        );
        assert!((1_000..2_000).contains(&ms), "{id}: {ms}");
        assert!(started.elapsed().as_millis() >= u128::from(ms));
    }
}

#[tokio::test]
async fn a_ping_of_an_endpoint_that_hangs_ends_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let function = Function::start(vec![addr]).await;
    function
        .store(hook(7, DOWNTOWN, &format!("http://{addr}/x")), None)
        .await;
    let pinged = function.post(DOWNTOWN, "hook/7/ping").await.expect(200);
    assert_eq!(
        (&pinged["code"], &pinged["failure"]),
        (&json!(504), &json!("timeout"))
    );
    let ms = pinged["ms"].as_u64().unwrap();
    assert!((15_000..20_000).contains(&ms), "{ms}");
    drop(listener);
}
