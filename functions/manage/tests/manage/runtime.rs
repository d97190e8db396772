//! The function's own binary under a Runtime API, as Lambda runs it.

use serde_json::{Value, json};
use shared::model::{QueueMessage, Target};
use testing::{Bootstrap, DOWNTOWN, Environment, World, event_files, user};

use super::function::{CREATED, hook};

const BINARY: &str = env!("CARGO_BIN_EXE_manage");

/// An event file of a function.
fn file(function: &str, name: &str) -> Value {
    let mut files = event_files(function).into_iter();
    files.find(|file| file.name == name).unwrap().event
}

/// What the event files are for: an academy, its hook, and dead-lettered deliveries to it.
async fn start() -> (World, Bootstrap) {
    let world = World::start().await;
    let academy = user(DOWNTOWN);
    world.add(&academy, "demo-academy-token", None).await;
    let (mut hook, state) = hook(1, DOWNTOWN, CREATED, Some("my-service-v1"));
    // Refused without a call, however public the network is that the tests run in.
    hook.subscription.target = Target::parse("http://127.0.0.1:1/").unwrap();
    world.stores.hooks.import(&[(hook, state)]).await.unwrap();
    for name in ["given-up", "no-answer"] {
        let event = file("errors", name);
        let body = event["Records"][0]["body"].as_str().unwrap();
        let QueueMessage::DeadLetter(letter) = QueueMessage::decode(body).unwrap() else {
            panic!("{name} is no dead letter")
        };
        let recording = world.stores.errors.record(&letter, letter.failed_at);
        recording.await.unwrap();
    }
    let process = Bootstrap::start(BINARY, &environment(&world).await).await;
    (world, process)
}

async fn environment(world: &World) -> Environment {
    let queue = world.aws.sqs().create_queue().queue_name("deliveries");
    let url = queue.send().await.unwrap().queue_url.unwrap();
    Environment::of("Manage", &world.aws, &[("DeliveriesQueue", &url)])
}

#[tokio::test]
async fn one_process_does_with_every_event_file_what_is_said_of_it() {
    let (world, process) = start().await;
    let mut figures = Vec::new();
    for file in event_files("manage") {
        let answer = process.answer(file.event.clone()).await;
        file.assert_answered(&answer);
        let class = match answer["statusCode"].as_u64().unwrap() {
            400.. => "RequestsRefused",
            _ => "RequestsAnswered",
        };
        figures.push(json!({"Function": "manage", class: 1}));
    }
    // The last of them delete everything.
    assert!(
        world
            .stores
            .hooks
            .everywhere(None)
            .await
            .unwrap()
            .is_empty()
    );
    let answer = process.answer(file("manage", "get-hook")).await;
    assert_eq!(answer["statusCode"], 404, "{answer}");
    figures.push(json!({"Function": "manage", "RequestsRefused": 1}));

    let log = process.end().await;
    log.assert_of_requests();
    assert_eq!(log.metrics(), figures);
}

#[tokio::test]
async fn what_is_no_request_is_an_error_and_the_process_lives_on() {
    let (_world, process) = start().await;
    let of_queue = file("errors", "given-up");
    for shape in [json!({"neither": 1}), of_queue, json!(null)] {
        let ended = process.invoke(shape).await;
        assert!(ended.answer.is_err(), "{ended:?}");
    }
    let answer = process.answer(file("manage", "get-hook")).await;
    assert_eq!(answer["statusCode"], 200, "{answer}");
    process.end().await.assert_of_requests();
}

#[tokio::test]
async fn a_malformed_request_is_answered_400_and_the_process_lives_on() {
    let (_world, process) = start().await;
    let malformed = [
        ("/headers/host", "not a host"),
        ("/headers/host", "api.example/v1"),
        ("/headers/accept", "a\r\nb"),
        ("/rawQueryString", "like=not a query"),
        ("/rawQueryString", "like=\""),
        ("/rawQueryString", "like=<"),
        ("/rawQueryString", "like=\u{1}"),
    ];
    for (at, text) in malformed {
        let mut request = file("manage", "list-hooks");
        *request.pointer_mut(at).unwrap() = json!(text);
        process.assert_malformed(request).await;
    }
    let mut unusual = file("manage", "list-hooks");
    unusual["rawQueryString"] = json!("like=é");
    for request in [unusual, file("manage", "get-hook")] {
        let answer = process.answer(request).await;
        assert_eq!(answer["statusCode"], 200, "{answer}");
    }

    let log = process.end().await;
    log.assert_of_requests();
    let classes = [["Refused"; 7].as_slice(), &["Answered"; 2]].concat();
    let figures = classes.iter();
    let figures = figures.map(|class| json!({"Function": "manage", format!("Requests{class}"): 1}));
    assert_eq!(log.metrics(), figures.collect::<Vec<_>>());
}

#[tokio::test]
async fn a_panic_is_an_error_and_the_process_lives_on() {
    let (_world, process) = start().await;
    let panicked = process.assert_panics(file("manage", "get-hook")).await;
    let answer = process.answer(file("manage", "get-hook")).await;
    assert_eq!(answer["statusCode"], 200, "{answer}");
    process.end().await.assert_panicked(&panicked);
}

#[tokio::test]
async fn the_log_has_no_token_and_no_payload_at_any_level() {
    let world = World::start().await;
    let academy = user(DOWNTOWN);
    world.add(&academy, "demo-academy-token", None).await;
    let environment = environment(&world).await.with("RUST_LOG", "trace");
    let process = Bootstrap::start(BINARY, &environment).await;
    let answer = process.answer(file("manage", "subscribe")).await;
    assert_eq!(answer["statusCode"], 201, "{answer}");

    let lines = process.end().await.lines;
    assert!(lines.iter().any(|line| line["level"] == "TRACE"));
    let text = json!(lines).to_string();
    // The header, the body, and what is stored.
    for content in ["demo-academy-token", "my-service-v1", "whsec_"] {
        assert!(!text.contains(content), "{content}");
    }
}

/// It does not look at the time that it has: a call of a table times out well before that is over, and with
/// the first that fails a request ends.
#[tokio::test]
async fn when_the_tables_hang_a_request_is_answered_503_before_its_time_is_over() {
    let world = World::start().await;
    let (environment, _listener) = environment(&world).await.with_silent_tables();
    let process = Bootstrap::start(BINARY, &environment).await;
    let ended = process.invoke(file("manage", "get-hook")).await;
    assert!(ended.is_in_time);
    let answer = ended.answer.unwrap();
    assert_eq!(answer["statusCode"], 503, "{answer}");
    // What needs no table is answered all the while.
    let answer = process.answer(file("manage", "health")).await;
    assert_eq!(answer["statusCode"], 200, "{answer}");

    let log = process.end().await;
    log.assert_of_requests();
    let figures = ["Failed", "Answered"]
        .map(|class| json!({"Function": "manage", format!("Requests{class}"): 1}));
    assert_eq!(log.metrics(), figures);
}

#[tokio::test]
async fn without_a_variable_it_needs_it_ends_and_says_which() {
    let world = World::start().await;
    Bootstrap::assert_needs_its_variables(BINARY, &environment(&world).await);
}
