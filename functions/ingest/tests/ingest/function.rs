//! The function's own binary between a Runtime API and the embedded services, as Lambda runs it.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
};

use axum::{
    Router,
    body::Bytes,
    extract::Path,
    http::StatusCode,
    routing::{get, post},
};
use serde_json::{Value, json};
use testing::{DOWNTOWN, PLATFORM, user};
use tokio::{
    net::TcpListener,
    sync::{
        Mutex,
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    },
};

use crate::{bus::OnBus, event, file};

/// What the function made of an invocation: an answer, or an error.
type Outcome = Result<Value, Value>;

/// The function in a process of its own.
struct Process {
    child: Child,
    invocations: UnboundedSender<String>,
    outcomes: UnboundedReceiver<Outcome>,
    /// What it has logged.
    log: UnboundedReceiver<String>,
}

impl Process {
    async fn start(on_bus: &OnBus) -> Self {
        let (invocations, queue) = unbounded_channel();
        let (sender, outcomes) = unbounded_channel();
        let runtime_api = serve(runtime_api(queue, sender)).await;
        let aws = &on_bus.function.world.aws;
        let mut child = Command::new(env!("CARGO_BIN_EXE_ingest"))
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", runtime_api)
            .env("AWS_LAMBDA_FUNCTION_NAME", "ingest")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "local")
            .env("AWS_SECRET_ACCESS_KEY", "local")
            .env("AWS_ENDPOINT_URL_DYNAMODB", aws.dynamodb_url())
            .env("AWS_ENDPOINT_URL_SQS", aws.sqs_url())
            .env("AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH", "true")
            .env("HOOKS_TABLE", "test-hooks")
            .env("IDENTITIES_TABLE", "test-identities")
            .env("CLAIMS_TABLE", "test-claims")
            .env("METRICS_NAMESPACE", "test")
            .env("DELIVERIES_QUEUE_URL", &on_bus.function.queue_url)
            .env("DEAD_EVENTS_QUEUE_URL", &on_bus.dead_url)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (lines, log) = unbounded_channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = lines.send(line);
            }
        });
        Self {
            child,
            invocations,
            outcomes,
            log,
        }
    }

    async fn invoke(&mut self, event: String) -> Outcome {
        self.invocations.send(event).unwrap();
        self.outcomes.recv().await.unwrap()
    }

    /// Ends it; what it has logged.
    async fn end(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let mut log = String::new();
        while let Some(line) = self.log.recv().await {
            log.push_str(&line);
            log.push('\n');
        }
        log
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    addr
}

/// The API that a function gets its invocations from.
fn runtime_api(queue: UnboundedReceiver<String>, outcomes: UnboundedSender<Outcome>) -> Router {
    let queue = Arc::new(Mutex::new(queue));
    let next = move || {
        let queue = Arc::clone(&queue);
        async move {
            let event = queue.lock().await.recv().await.unwrap();
            let headers = [
                ("lambda-runtime-aws-request-id", "1"),
                ("lambda-runtime-deadline-ms", "9999999999999"),
                ("lambda-runtime-invoked-function-arn", "arn:ingest"),
            ];
            (headers, event)
        }
    };
    let outcome = move |Path((_, kind)): Path<(String, String)>, body: Bytes| {
        let outcomes = outcomes.clone();
        async move {
            let body = serde_json::from_slice(&body).unwrap();
            let outcome = match kind.as_str() {
                "response" => Ok(body),
                _ => Err(body),
            };
            outcomes.send(outcome).unwrap();
            StatusCode::ACCEPTED
        }
    };
    Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/{kind}", post(outcome))
}

#[tokio::test]
async fn one_process_answers_the_gateway_and_the_bus() {
    let on_bus = OnBus::start().await;
    let OnBus { function, .. } = &on_bus;
    let created = "assignment.assignment_created";
    function.hook(2, DOWNTOWN, created).await;
    function
        .hook(3, DOWNTOWN, "assignment.assignment_status_updated")
        .await;
    let publisher = user(PLATFORM);
    function
        .world
        .add(&publisher, "demo-publisher-token", None)
        .await;
    let mut process = Process::start(&on_bus).await;
    let all_done = Ok(json!({"batchItemFailures": []}));

    assert_eq!(process.invoke(file("bus-event.json")).await, all_done);
    assert_eq!(function.queued().await, [2]);
    let answer = process.invoke(file("publish.json")).await.unwrap();
    assert_eq!(answer["statusCode"], 202, "{answer}");
    let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&body["event"], &body["deliveries"]),
        (&json!(created), &json!(1))
    );
    assert_eq!(function.queued().await, [2]);
    assert_eq!(process.invoke(file("bus-change.json")).await, all_done);
    assert_eq!(function.queued().await, [3]);

    // Neither a request nor a queue's: an error, which ends nothing.
    let refused = process.invoke(json!({"neither": 1}).to_string()).await;
    assert!(refused.is_err(), "{refused:?}");
    // It has been published already.
    assert_eq!(process.invoke(file("bus-event.json")).await, all_done);
    assert_eq!(function.queued().await, Vec::<u64>::new());
    assert!(on_bus.dead().await.is_empty());
}

#[tokio::test]
async fn the_log_says_why_an_event_is_put_aside_and_nothing_of_what_is_in_it() {
    let on_bus = OnBus::start().await;
    let mut process = Process::start(&on_bus).await;
    let all_done = Ok(json!({"batchItemFailures": []}));
    assert_eq!(process.invoke(file("bus-bad.json")).await, all_done);
    let reasons: Vec<_> = on_bus
        .dead()
        .await
        .into_iter()
        .map(|(_, reason)| reason)
        .collect();
    let wanted = [
        "Unexpected event assignment.assignment_graded",
        "academy: This field is required.",
    ];
    assert!(
        wanted
            .iter()
            .all(|wanted| reasons.iter().any(|reason| reason == wanted)),
        "{reasons:?}"
    );

    // What is wrong with a payload is said, but not what it has there.
    let mut wrong: Value = serde_json::from_str(&file("bus-event.json")).unwrap();
    let body = wrong["Records"][0]["body"].as_str().unwrap();
    let body = body
        .replace("\"id\":456,", "\"id\":\"a-secret\",")
        .replace("Build a Todo App", "a-secret");
    wrong["Records"][0]["body"] = json!(body);
    assert_eq!(process.invoke(wrong.to_string()).await, all_done);
    assert_eq!(on_bus.dead().await.len(), 1);

    let log = process.end().await;
    for part in [
        "an event of the bus is wrong",
        "00000000-0000-4000-8000-000000000011",
        "Unexpected event assignment.assignment_graded",
        "payload.id",
    ] {
        assert!(log.contains(part), "{part}: {log}");
    }
    assert!(!log.contains("a-secret"), "{log}");
}

#[tokio::test]
async fn an_invocation_prints_its_metrics_in_one_line_and_all_others_are_of_its_request() {
    let on_bus = OnBus::start().await;
    let OnBus { function, .. } = &on_bus;
    let created = "assignment.assignment_created";
    function.hook(2, DOWNTOWN, created).await;
    let publisher = user(PLATFORM);
    function
        .world
        .add(&publisher, "demo-publisher-token", None)
        .await;
    let mut process = Process::start(&on_bus).await;
    process.invoke(file("bus-event.json")).await.unwrap();
    process.invoke(file("publish.json")).await.unwrap();
    let mut of_nobody: Value = serde_json::from_str(&file("publish.json")).unwrap();
    of_nobody["headers"] = json!({"content-type": "application/json"});
    process.invoke(of_nobody.to_string()).await.unwrap();
    let tables = function.world.aws.dynamodb();
    let request = tables.delete_table().table_name("test-hooks");
    request.send().await.unwrap();
    let mut another: Value = serde_json::from_str(&file("publish.json")).unwrap();
    another["body"] = json!(event(created, DOWNTOWN).to_string());
    another["isBase64Encoded"] = json!(false);
    process.invoke(another.to_string()).await.unwrap();
    // Nothing comes of it but that it comes again.
    let answer = process.invoke(file("bus-change.json")).await.unwrap();
    assert_eq!(answer["batchItemFailures"].as_array().unwrap().len(), 1);

    let log = process.end().await;
    let lines = log.lines().map(serde_json::from_str::<Value>);
    let lines = lines.collect::<Result<Vec<_>, _>>().unwrap();
    let (metrics, others): (Vec<_>, Vec<_>) = lines
        .into_iter()
        .partition(|line| line.get("_aws").is_some());
    let accepted = others.iter().filter(|line| line["message"] == "accepted");
    assert_eq!(accepted.count(), 2, "{log}");
    for line in &others {
        assert_eq!(line["spans"][0]["requestId"], "1", "{log}");
    }
    let figures: Vec<Value> = metrics
        .into_iter()
        .map(|mut line| {
            let about = line.as_object_mut().unwrap().remove("_aws").unwrap();
            let about = &about["CloudWatchMetrics"][0];
            assert_eq!(about["Namespace"], "test");
            line
        })
        .collect();
    let wanted = [
        json!({"Function": "ingest", "EventsAccepted": 1, "JobsQueued": 1}),
        json!({"Function": "ingest", "RequestsAnswered": 1, "EventsAccepted": 1, "JobsQueued": 1}),
        json!({"Function": "ingest", "RequestsRefused": 1}),
        json!({"Function": "ingest", "RequestsFailed": 1}),
    ];
    assert_eq!(figures, wanted, "{log}");
}
