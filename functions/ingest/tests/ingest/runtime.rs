//! The function's own binary under a Runtime API, as Lambda runs it.

use serde_json::{Value, json};
use testing::{Bootstrap, DOWNTOWN, Environment, PLATFORM, event_files, user};

use crate::{bus::OnBus, event};

const BINARY: &str = env!("CARGO_BIN_EXE_ingest");

const CREATED: &str = "assignment.assignment_created";

/// An event file of the function.
fn file(name: &str) -> Value {
    let mut files = event_files("ingest").into_iter();
    files.find(|file| file.name == name).unwrap().event
}

fn none_again() -> Value {
    json!({"batchItemFailures": []})
}

fn environment(on_bus: &OnBus) -> Environment {
    let refers = [
        ("DeliveriesQueue", on_bus.function.queue_url.as_str()),
        ("DeadEventsQueue", on_bus.dead_url.as_str()),
    ];
    Environment::of("Ingest", &on_bus.function.world.aws, &refers)
}

/// What the event files are for: a publisher, and a hook for each of two events.
async fn start() -> (OnBus, Bootstrap) {
    let on_bus = OnBus::start().await;
    let function = &on_bus.function;
    function.hook(2, DOWNTOWN, CREATED).await;
    let updated = "assignment.assignment_status_updated";
    function.hook(3, DOWNTOWN, updated).await;
    let (world, publisher) = (&function.world, user(PLATFORM));
    world.add(&publisher, "demo-publisher-token", None).await;
    let process = Bootstrap::start(BINARY, &environment(&on_bus)).await;
    (on_bus, process)
}

#[tokio::test]
async fn one_process_does_with_every_event_file_what_is_said_of_it() {
    let (on_bus, process) = start().await;
    let function = &on_bus.function;
    let mut queued = Vec::new();
    for file in event_files("ingest") {
        let answer = process.answer(file.event.clone()).await;
        file.assert_answered(&answer);
        queued.push((file.name, function.queued().await));
    }
    let wanted = [
        ("publish", vec![2]),
        // One of its three has just been published, one has no hook, and one is wrong.
        ("publish-list", vec![]),
        ("bus-event", vec![2]),
        ("bus-change", vec![3]),
        ("bus-bad", vec![]),
    ];
    assert_eq!(queued, wanted.map(|(name, ids)| (name.to_owned(), ids)));
    let reasons: Vec<_> = on_bus.dead().await;
    let mut reasons: Vec<_> = reasons.iter().map(|(_, reason)| reason.as_str()).collect();
    reasons.sort_unstable();
    let wanted = [
        "Unexpected event assignment.assignment_graded",
        "academy: This field is required.",
    ];
    assert_eq!(reasons, wanted);
    // It has been published already.
    assert_eq!(process.answer(file("bus-event")).await, none_again());
    assert_eq!(function.queued().await, Vec::<u64>::new());
    process.end().await.assert_of_requests();
}

#[tokio::test]
async fn what_is_no_event_of_its_kinds_is_an_error_and_the_process_lives_on() {
    let (on_bus, process) = start().await;
    for shape in [json!({"neither": 1}), json!({"Records": 1}), json!(null)] {
        let ended = process.invoke(shape).await;
        assert!(ended.answer.is_err(), "{ended:?}");
    }
    assert_eq!(process.answer(file("bus-event")).await, none_again());
    assert_eq!(on_bus.function.queued().await, [2]);
    process.end().await.assert_of_requests();
}

#[tokio::test]
async fn a_malformed_request_is_answered_400_and_the_process_lives_on() {
    let (on_bus, process) = start().await;
    let malformed = [
        ("/headers/host", "not a host"),
        ("/headers/host", "api.example/v1"),
        ("/rawQueryString", "not a query"),
        ("/rawQueryString", "\""),
        ("/rawQueryString", "<"),
        ("/rawQueryString", "\u{1}"),
    ];
    for (at, text) in malformed {
        let mut request = file("publish");
        *request.pointer_mut(at).unwrap() = json!(text);
        process.assert_malformed(request).await;
    }
    assert_eq!(on_bus.function.queued().await, Vec::<u64>::new());
    let mut unusual = file("publish");
    unusual["rawQueryString"] = json!("é");
    let answer = process.answer(unusual).await;
    assert_eq!(answer["statusCode"], 202, "{answer}");
    assert_eq!(on_bus.function.queued().await, [2]);

    let log = process.end().await;
    log.assert_of_requests();
    let refused = json!({"Function": "ingest", "RequestsRefused": 1});
    assert_eq!(
        log.metrics()[..malformed.len()],
        [(); 6].map(|()| refused.clone())
    );
}

#[tokio::test]
async fn a_panic_is_an_error_and_the_process_lives_on() {
    let (on_bus, process) = start().await;
    let panicked = process.assert_panics(file("publish")).await;
    let answer = process.answer(file("publish")).await;
    assert_eq!(answer["statusCode"], 202, "{answer}");
    assert_eq!(on_bus.function.queued().await, [2]);
    process.end().await.assert_panicked(&panicked);
}

#[tokio::test]
async fn log_says_why_an_event_is_dead_lettered_and_nothing_of_its_content() {
    let (on_bus, process) = start().await;
    assert_eq!(process.answer(file("bus-bad")).await, none_again());
    // What is wrong with a payload is said, but not what it has there.
    let mut wrong = file("bus-event");
    let body = wrong["Records"][0]["body"].as_str().unwrap();
    let body = body
        .replace("\"id\":456,", "\"id\":\"a-secret\",")
        .replace("Build a Todo App", "a-secret");
    wrong["Records"][0]["body"] = json!(body);
    assert_eq!(process.answer(wrong).await, none_again());
    assert_eq!(on_bus.dead().await.len(), 3);

    let log = Value::from(process.end().await.lines).to_string();
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
    let (on_bus, process) = start().await;
    process.answer(file("bus-event")).await;
    process.answer(file("publish")).await;
    let mut of_nobody = file("publish");
    of_nobody["headers"] = json!({"content-type": "application/json"});
    process.answer(of_nobody).await;
    let tables = on_bus.function.world.aws.dynamodb();
    let request = tables.delete_table().table_name("test-hooks");
    request.send().await.unwrap();
    let mut another = file("publish");
    another["body"] = json!(event(CREATED, DOWNTOWN).to_string());
    another["isBase64Encoded"] = json!(false);
    process.answer(another).await;
    // SQS is to redeliver it.
    let answer = process.answer(file("bus-change")).await;
    assert_eq!(answer["batchItemFailures"].as_array().unwrap().len(), 1);

    let log = process.end().await;
    log.assert_of_requests();
    let accepted = log
        .lines
        .iter()
        .filter(|line| line["message"] == "accepted");
    assert_eq!(accepted.count(), 2, "{log:?}");
    let wanted = [
        json!({"Function": "ingest", "EventsAccepted": 1, "JobsQueued": 1}),
        json!({"Function": "ingest", "RequestsAnswered": 1, "EventsAccepted": 1, "JobsQueued": 1}),
        json!({"Function": "ingest", "RequestsRefused": 1}),
        json!({"Function": "ingest", "RequestsFailed": 1}),
    ];
    assert_eq!(log.metrics(), wanted, "{log:?}");
}

/// It does not look at the time that it has: a call of a table times out well before that is over, and with
/// the first that fails a request, and a batch, ends. One that is cut off by Lambda all the same is redelivered, and
/// what of it has been settled is known by its id.
#[tokio::test]
async fn when_the_tables_hang_publishers_are_told_and_the_bus_sends_again_before_the_time_is_over()
{
    let on_bus = OnBus::start().await;
    let (environment, _listener) = environment(&on_bus).with_silent_tables();
    let of_api = Bootstrap::start(BINARY, &environment).await;
    let of_bus = Bootstrap::start(BINARY, &environment).await;
    let records = ["bus-event", "bus-change"].map(|name| file(name)["Records"][0].clone());
    let batch = json!({"Records": records});
    let (request, batch) = tokio::join!(of_api.invoke(file("publish")), of_bus.invoke(batch));
    assert!(request.is_in_time && batch.is_in_time);
    let answer = request.answer.unwrap();
    assert_eq!(answer["statusCode"], 503, "{answer}");
    let failures = records.map(|record| json!({"itemIdentifier": record["messageId"]}));
    let answer = json!({"batchItemFailures": failures});
    assert_eq!(batch.answer.unwrap(), answer);
    assert_eq!(on_bus.function.queued().await, Vec::<u64>::new());
    assert!(on_bus.dead().await.is_empty());

    let log = of_api.end().await;
    log.assert_of_requests();
    let figures = json!({"Function": "ingest", "RequestsFailed": 1});
    assert_eq!(log.metrics(), [figures]);
    of_bus.end().await.assert_of_requests();
}

#[tokio::test]
async fn without_a_variable_it_needs_it_ends_and_says_which() {
    let on_bus = OnBus::start().await;
    Bootstrap::assert_needs_its_variables(BINARY, &environment(&on_bus));
}
