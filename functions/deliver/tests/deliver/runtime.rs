//! The function's own binary under a Runtime API, as Lambda runs it.

use std::{collections::BTreeSet, time::Duration};

use aws_sdk_sqs::types::MessageSystemAttributeName;
use serde_json::{Value, json, to_value};
use shared::model::QueueMessage;
use testing::{Bootstrap, Ended, event_files};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers};

use super::{
    bench::{Bench, encoded, event, job},
    receiver::{answering, closed, requests, url},
};

const BINARY: &str = env!("CARGO_BIN_EXE_deliver");

/// The body of the one message of an event.
fn body(event: &Value) -> &str {
    let records = event["Records"].as_array().unwrap();
    assert_eq!(records.len(), 1);
    records[0]["body"].as_str().unwrap()
}

#[tokio::test]
async fn one_process_does_with_every_event_file_what_is_said_of_it() {
    let server = answering(200).await;
    let bench = Bench::new(&[], "5s").await;
    // The files' jobs are for the first hook of the academy.
    let hook = bench.hook(&server.uri()).await;
    let environment = bench.environment(&server.address().to_string(), "5s");
    let process = Bootstrap::start(BINARY, &environment).await;
    let mut called = Vec::new();
    for file in event_files("deliver") {
        let ended = process.invoke(file.event.clone()).await;
        file.assert_answered(&ended.answer.unwrap());
        if file.name == "poison" {
            continue;
        }
        // To the byte what this release queues.
        let body = body(&file.event);
        let message = QueueMessage::decode(body).unwrap();
        assert_eq!(message.encode().unwrap(), body, "{}", file.name);
        let calls = requests(&server).await;
        if calls.len() > called.len() {
            let body: Value = serde_json::from_str(body).unwrap();
            let payload: Value = serde_json::from_slice(&calls.last().unwrap().body).unwrap();
            assert_eq!(payload, body["payload"], "{}", file.name);
            called.push((file.name, ended.request_id));
        }
    }
    let names: Vec<&str> = called.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["first-attempt", "retry-due"]);
    assert_eq!(bench.stats(&hook).await.total_calls, 2);
    // The one that is not due is sent on.
    assert_eq!(bench.count(&bench.deliveries).await, 1);

    let log = process.end().await;
    log.assert_of_requests();
    for (_, request_id) in &called {
        let lines = log.of_request(request_id);
        assert!(lines.iter().any(|line| line["message"] == "attempted"));
    }
    let delivered = log.metrics().into_iter().map(|line| {
        assert_eq!(line["Function"], "deliver");
        line["AttemptsDelivered"].clone()
    });
    assert_eq!(delivered.collect::<Vec<_>>(), [1, 1]);
}

#[tokio::test]
async fn what_is_no_event_of_a_queue_is_an_error_and_the_process_lives_on() {
    let server = answering(200).await;
    let bench = Bench::new(&[], "5s").await;
    let hook = bench.hook(&server.uri()).await;
    let environment = bench.environment(&server.address().to_string(), "5s");
    let process = Bootstrap::start(BINARY, &environment).await;
    for shape in [json!({"neither": 1}), json!({"Records": 1}), json!(null)] {
        let ended = process.invoke(shape).await;
        assert!(ended.answer.is_err(), "{ended:?}");
    }
    let jobs = to_value(event([encoded(job(&hook))])).unwrap();
    let answer = process.answer(jobs).await;
    assert_eq!(answer, json!({"batchItemFailures": []}));
    assert_eq!(requests(&server).await.len(), 1);
    process.end().await.assert_of_requests();
}

/// It is what Lambda counts chains of invocations by.
#[tokio::test]
async fn a_retry_carries_the_trace_of_its_invocation() {
    let server = answering(500).await;
    let bench = Bench::new(&[], "1s").await;
    let hook = bench.hook(&server.uri()).await;
    let environment = bench.environment(&server.address().to_string(), "1s");
    let process = Bootstrap::start(BINARY, &environment).await;
    let jobs = to_value(event([encoded(job(&hook))])).unwrap();
    assert_eq!(process.answer(jobs).await, json!({"batchItemFailures": []}));

    let request = bench
        .aws
        .sqs()
        .receive_message()
        .queue_url(&bench.deliveries);
    let request = request.wait_time_seconds(20);
    let retry = request.message_system_attribute_names(MessageSystemAttributeName::All);
    let retry = retry.send().await.unwrap().messages.unwrap().remove(0);
    let trace = &retry.attributes.unwrap()[&MessageSystemAttributeName::AwsTraceHeader];
    assert!(trace.starts_with("Root=1-"), "{trace}");
}

/// The messages that an answer in time names.
fn again(ended: Ended) -> BTreeSet<String> {
    assert!(ended.is_in_time);
    let answer = ended.answer.unwrap();
    let items = answer["batchItemFailures"].as_array().unwrap().iter();
    items
        .map(|item| item["itemIdentifier"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn before_its_time_is_over_a_batch_writes_what_has_ended_and_names_the_rest() {
    // The second call is not answered before the invocation's time is over.
    let server = MockServer::start().await;
    for delay_s in [0, 25] {
        let answer = ResponseTemplate::new(200).set_delay(Duration::from_secs(delay_s));
        let mock = Mock::given(matchers::any()).respond_with(answer);
        mock.up_to_n_times(1).mount(&server).await;
    }
    let down = closed().await;
    let bench = Bench::new(&[], "5s").await;
    let half = bench.hook(&server.uri()).await;
    let failing = bench.hook(&url(down)).await;
    let allowed = format!("{},{down}", server.address());
    let environment = bench.environment(&allowed, "5s");
    let environment = environment.timing_out_after(Duration::from_secs(6));
    let process = Bootstrap::start(BINARY, &environment).await;
    let jobs = [job(&half), job(&failing), job(&half)];
    let batch = to_value(event(jobs.map(encoded))).unwrap();
    let again = again(process.invoke(batch).await);

    // Which of the two of one hook was the second is not known.
    assert!(again == ["0".to_owned()].into() || again == ["2".to_owned()].into());
    let stats = bench.stats(&half).await;
    assert_eq!(
        (stats.total_calls, stats.last_response_code),
        (1, Some(200))
    );
    let stats = bench.stats(&failing).await;
    assert_eq!(
        (stats.total_calls, stats.last_response_code),
        (1, Some(502))
    );
    let retry = bench.next_job().await;
    assert_eq!((retry.hook.id, retry.attempt), (failing.id, 2));
    assert_eq!(bench.count(&bench.deliveries).await, 1);

    let jobs = to_value(event([encoded(job(&failing))])).unwrap();
    let answer = process.answer(jobs).await;
    assert_eq!(answer, json!({"batchItemFailures": []}));
    let log = process.end().await;
    log.assert_of_requests();
    let figures = &log.metrics()[0];
    let counted = ["AttemptsDelivered", "AttemptsUnreachable", "AttemptsLost"];
    for name in counted {
        assert_eq!(figures[name], 1, "{name}: {figures}");
    }
}

#[tokio::test]
async fn when_the_tables_hang_a_batch_names_all_of_it_before_its_time_is_over() {
    let bench = Bench::new(&[], "5s").await;
    let hook = bench.hook("http://127.0.0.1:9/").await;
    let (environment, _listener) = bench.environment("", "5s").with_silent_tables();
    let environment = environment.timing_out_after(Duration::from_secs(2));
    let process = Bootstrap::start(BINARY, &environment).await;
    let batch = event([encoded(job(&hook)), encoded(job(&hook))]);
    let ended = process.invoke(to_value(batch).unwrap()).await;
    let request_id = ended.request_id.clone();
    assert_eq!(again(ended), ["0".to_owned(), "1".to_owned()].into());

    let log = process.end().await;
    log.assert_of_requests();
    let lines = log.of_request(&request_id);
    let cut_off = "a batch was cut off: its time is over";
    assert!(lines.iter().any(|line| line["message"] == cut_off));
}

#[tokio::test]
async fn without_a_variable_it_needs_it_ends_and_says_which() {
    let bench = Bench::new(&[], "5s").await;
    Bootstrap::assert_needs_its_variables(BINARY, &bench.environment("", "5s"));
}
