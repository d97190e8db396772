//! The function's own binary under a Runtime API, as Lambda runs it.

use std::time::Duration;

use serde_json::{Value, json};
use shared::model::{HookId, QueueMessage};
use testing::{Bootstrap, event_files};

use super::bench::{ACADEMY, Bench};

const BINARY: &str = env!("CARGO_BIN_EXE_errors");

/// An event file of the function.
fn file(name: &str) -> Value {
    let mut files = event_files("errors").into_iter();
    files.find(|file| file.name == name).unwrap().event
}

#[tokio::test]
async fn one_process_does_with_every_event_file_what_is_said_of_it() {
    let bench = Bench::new().await;
    let process = Bootstrap::start(BINARY, &bench.environment()).await;
    let mut requests = Vec::new();
    for file in event_files("errors") {
        let ended = process.invoke(file.event.clone()).await;
        file.assert_answered(&ended.answer.unwrap());
        if file.name != "poison" {
            // To the byte what this release queues.
            let body = file.event["Records"][0]["body"].as_str().unwrap();
            let message = QueueMessage::decode(body).unwrap();
            assert_eq!(message.encode().unwrap(), body, "{}", file.name);
            requests.push(ended.request_id);
        }
    }
    let errors = bench.of_owner(ACADEMY).await;
    let messages: Vec<&str> = errors.iter().map(|error| error.message.as_str()).collect();
    let wanted = [
        "The endpoint answered 500.",
        "The endpoint did not answer in time.",
        "The delivery was interrupted again and again.",
    ];
    assert_eq!(messages, wanted);
    for error in errors {
        assert_eq!(error.hooks, [HookId::new(1).unwrap()]);
        let told = (error.event.as_str(), error.count);
        assert_eq!(told, ("assignment.assignment_created", 1));
    }
    assert_eq!(bench.kept().await.len(), 3);

    let log = process.end().await;
    log.assert_of_requests();
    for request_id in requests {
        let lines = log.of_request(&request_id);
        assert!(lines.iter().any(|line| line["message"] == "given up"));
    }
    let figures = ["Recorded", "Recorded", "Recorded", "Failed"]
        .map(|class| json!({"Function": "errors", format!("DeadLetters{class}"): 1}));
    assert_eq!(log.metrics(), figures);
}

#[tokio::test]
async fn what_is_no_event_of_a_queue_is_an_error_and_the_process_lives_on() {
    let bench = Bench::new().await;
    let process = Bootstrap::start(BINARY, &bench.environment()).await;
    for shape in [json!({"neither": 1}), json!({"Records": 1}), json!(null)] {
        let ended = process.invoke(shape).await;
        assert!(ended.answer.is_err(), "{ended:?}");
    }
    process.answer(file("given-up")).await;
    assert_eq!(bench.only().await.count, 1);
    process.end().await.assert_of_requests();
}

#[tokio::test]
async fn when_the_table_hangs_a_batch_is_named_before_its_time_is_over() {
    let bench = Bench::new().await;
    let (environment, _listener) = bench.environment().with_silent_tables();
    let environment = environment.timing_out_after(Duration::from_secs(2));
    let process = Bootstrap::start(BINARY, &environment).await;
    let records = ["given-up", "no-answer"].map(|name| file(name)["Records"][0].clone());
    let ended = process.invoke(json!({"Records": records})).await;
    assert!(ended.is_in_time);
    let failures = records.map(|record| json!({"itemIdentifier": record["messageId"]}));
    let answer = json!({"batchItemFailures": failures});
    assert_eq!(ended.answer.unwrap(), answer);

    let log = process.end().await;
    log.assert_of_requests();
    let figures = json!({"Function": "errors", "DeadLettersFailed": 2});
    assert_eq!(log.metrics(), [figures]);
}

#[tokio::test]
async fn without_a_variable_it_needs_it_ends_and_says_which() {
    let bench = Bench::new().await;
    Bootstrap::assert_needs_its_variables(BINARY, &bench.environment());
}
