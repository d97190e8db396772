//! Dead-lettered deliveries: seen and redelivered, by their owner and by an operator.

use serde_json::{Value, json};

use crate::process::{Endpoint, Serve, command, eventually, run, text};

const EVENT: &str = "cohort_user.added";
const ERRORS: &str = "/v1/notify/hook/error";

/// A `serve` that gives a delivery up after its first failure, with endpoints that answer these.
fn serve<const N: usize>(statuses: [u16; N]) -> (Serve, [Endpoint; N]) {
    let endpoints = statuses.map(Endpoint::start);
    let mut args = vec!["--in-memory".to_owned(), "--retry-schedule=".to_owned()];
    args.extend(
        endpoints
            .each_ref()
            .map(|endpoint| format!("--allow-target={}", endpoint.addr)),
    );
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    (Serve::start(&args), endpoints)
}

/// Waits until the academy has an error of so many deliveries.
fn error_of(serve: &Serve, count: u64) -> Value {
    let academy = serve.token("downtown-campus");
    eventually("the error", || {
        let (_, list) = serve.call("GET", ERRORS, &academy, "");
        let error = list["results"][0].clone();
        (error["count"] == count).then_some(error)
    })
}

fn refused(serve: &Serve, args: &[&str]) -> String {
    let refused = serve.run(args);
    assert!(!refused.status.success(), "{args:?}");
    text(&refused.stderr)
}

#[test]
fn dead_letter_is_redelivered_under_the_same_id() {
    let (serve, [ill, well]) = serve([500, 200]);
    let (academy, publisher) = (serve.token("downtown-campus"), serve.token("platform"));
    let hook = serve.subscribe(&academy, EVENT, &ill.url());
    assert_eq!(serve.publish(&publisher, EVENT, "downtown-campus"), 1);
    ill.next();
    let error = error_of(&serve, 1);

    let path = format!("/v1/notify/hook/subscribe/{}", hook["id"]);
    let body = json!({"event": EVENT, "target": well.url()}).to_string();
    assert_eq!(serve.call("PUT", &path, &academy, &body).0, 200);
    let path = format!("{ERRORS}/{}/redeliver", error["id"]);
    for redelivered in [1, 0] {
        let answer = serve.call("POST", &path, &academy, "");
        let wanted = json!({"redelivered": redelivered, "left": false});
        assert_eq!(answer, (202, wanted));
    }
    assert_eq!(well.next(), r#"{"id": 1}"#);
    let ids = eventually("both attempts in the log", || {
        let ids = serve.attempts();
        (ids.len() == 2).then_some(ids)
    });
    assert_eq!(ids[0], ids[1]);
    assert!(!well.has_more() && !ill.has_more());
    assert_eq!(error["redeliverable"], 1);
    let mut repaired = error;
    repaired["redeliverable"] = 0.into();
    assert_eq!(error_of(&serve, 1), repaired);
}

#[test]
fn an_operator_lists_errors_and_sends_again_what_is_kept() {
    let (serve, [ill]) = serve([500]);
    let (academy, publisher) = (serve.token("downtown-campus"), serve.token("platform"));
    serve.subscribe(&academy, EVENT, &ill.url());
    // Fewer failures in all than open a circuit.
    for _ in 0..2 {
        serve.publish(&publisher, EVENT, "downtown-campus");
        ill.next();
    }
    let error = error_of(&serve, 2);
    let id = error["id"].to_string();

    let listed = serve.done(&["errors", "list"]);
    assert_eq!(listed.lines().count(), 1);
    for part in [
        &id,
        "downtown-campus",
        EVENT,
        "2 deliveries",
        "hooks 1",
        error["created_at"].as_str().unwrap(),
        error["updated_at"].as_str().unwrap(),
        "The endpoint answered 500.",
    ] {
        assert!(listed.contains(part), "{part}: {listed}");
    }
    let of_owner = ["errors", "list", "--stack", "academy-hooks", "--owner"];
    assert_eq!(
        serve.done(&[&of_owner[..], &["downtown-campus"]].concat()),
        listed
    );
    assert_eq!(
        serve.done(&[&of_owner[..], &["miami-campus"]].concat()),
        "No errors.\n"
    );

    let redeliver = ["errors", "redeliver", &id];
    let foreign = refused(
        &serve,
        &[&redeliver[..], &["--owner", "miami-campus"]].concat(),
    );
    assert!(foreign.contains("there is no error"), "{foreign}");
    assert!(refused(&serve, &["errors", "redeliver", "99"]).contains("there is no error"));
    // They fail at once again, and are not sent for ever.
    let sent = serve.done(&redeliver);
    assert!(
        sent.contains(&format!("2 deliveries of error {id}")),
        "{sent}"
    );
    assert_eq!(error_of(&serve, 4)["id"], error["id"]);
    for _ in 0..2 {
        ill.next();
    }
    assert!(!ill.has_more());
    let by_stack = [
        &redeliver[..],
        &["--owner", "downtown-campus", "--stack", "academy-hooks"],
    ];
    assert!(serve.done(&by_stack.concat()).contains("2 deliveries"));
}

#[test]
fn an_error_of_which_nothing_is_kept_says_so() {
    let (serve, [ill, well]) = serve([410, 200]);
    let (academy, publisher) = (serve.token("downtown-campus"), serve.token("platform"));
    let hook = serve.subscribe(&academy, EVENT, &ill.url());
    serve.publish(&publisher, EVENT, "downtown-campus");
    let id = error_of(&serve, 1)["id"].to_string();
    let path = format!("/v1/notify/hook/subscribe/{}", hook["id"]);
    let body = json!({"event": EVENT, "target": well.url()}).to_string();
    assert_eq!(serve.call("PUT", &path, &academy, &body).0, 200);
    serve.done(&["errors", "redeliver", &id]);
    well.next();
    let again = serve.done(&["errors", "redeliver", &id]);
    assert!(again.contains("Nothing is kept"), "{again}");
}

/// Calls the queues of a `serve` as the AWS CLI does.
fn sqs(serve: &Serve, action: &str, request: &Value) -> Value {
    serve.aws(
        "AWS_ENDPOINT_URL_SQS",
        &format!("AmazonSQS.{action}"),
        request,
    )
}

/// A dead-letter queue that no function takes from.
fn parked(serve: &Serve) -> String {
    let queue = sqs(
        serve,
        "CreateQueue",
        &json!({"QueueName": "parked-dead-letters"}),
    );
    queue["QueueUrl"].as_str().unwrap().to_owned()
}

fn job(number: usize) -> Value {
    json!({
        "type": "delivery.v1",
        "delivery_id": format!("00000000-0000-0000-0000-{number:012}"),
        "event_id": "odd\u{1b}id", "event": EVENT, "academy": "downtown-campus",
        "hook": {"id": 7, "academy": "downtown-campus", "owner": "downtown-campus"},
        "attempt": 8, "not_before": "2025-01-20T15:30:00Z",
        "accepted_at": "2025-01-20T15:30:00Z", "payload": {"secret": 234}
    })
}

#[test]
fn peeking_shows_what_is_in_the_dead_letter_queue_and_leaves_it_there() {
    let serve = Serve::start(&["--in-memory"]);
    let url = parked(&serve);
    let letter = json!({
        "type": "dead_letter.v1", "job": job(1), "message": "The endpoint answered 500.",
        "status": 500, "failed_at": "2025-01-20T15:51:00Z"
    });
    for body in [
        letter.to_string(),
        job(2).to_string(),
        "no \u{9b}letter".to_owned(),
    ] {
        sqs(
            &serve,
            "SendMessage",
            &json!({"QueueUrl": url, "MessageBody": body}),
        );
    }
    for round in 1..=2 {
        let shown = serve.done(&["dlq", "peek", "--stack", "parked"]);
        let messages: Vec<&str> = shown.split("\nmessage ").skip(1).collect();
        assert_eq!(messages.len(), 3, "{shown}");
        assert!(shown.contains("Messages: 3 visible,"), "{shown}");
        let find = |part: &str| {
            let found = messages.iter().find(|message| message.contains(part));
            *found.unwrap_or_else(|| panic!("{part}: {shown}"))
        };
        let letter = find("00000000-0000-0000-0000-000000000001");
        for part in [
            " s old  received ",
            "dead letter: The endpoint answered 500. At 2025-01-20T15:51:00Z.",
            "to hook 7 of downtown-campus, attempt 8",
            EVENT,
            r#"with the id "odd\u{1b}id""#,
        ] {
            assert!(letter.contains(part), "{round} {part}: {letter}");
        }
        assert!(find("00000000-0000-0000-0000-000000000002").contains("queue gave up"));
        assert!(find("unreadable").contains("11 bytes"), "{shown}");
        assert!(
            !shown.contains("234") && !shown.contains("letter\""),
            "{shown}"
        );
    }

    let exports = [("DEAD_LETTERS_QUEUE_URL", &url)];
    let mut peek = command();
    peek.envs(serve.exports()).envs(exports);
    let shown = peek.args(["dlq", "peek", "--payload"]).output().unwrap();
    let shown = text(&shown.stdout);
    assert!(shown.contains(r#"payload {"secret":234}"#), "{shown}");
    assert!(shown.contains(r#"body "no \u{9b}letter""#), "{shown}");
}

#[test]
fn peeking_shows_more_than_one_batch_and_no_more_than_is_wanted() {
    let serve = Serve::start(&["--in-memory"]);
    let url = parked(&serve);
    for number in 0..25 {
        let body = job(number).to_string();
        sqs(
            &serve,
            "SendMessage",
            &json!({"QueueUrl": url, "MessageBody": body}),
        );
    }
    for (max, wanted) in [("7", 7), ("100", 25)] {
        let shown = serve.done(&["dlq", "peek", "--stack", "parked", "--max", max]);
        assert_eq!(shown.matches("\nmessage ").count(), wanted, "{shown}");
    }
}

#[test]
fn a_message_that_cannot_be_recorded_is_counted_while_nobody_sees_it() {
    let serve = Serve::start(&["--in-memory"]);
    let url = serve.exports()["DEAD_LETTERS_QUEUE_URL"].clone();
    let poison = json!({"QueueUrl": url, "MessageBody": "poison"});
    sqs(&serve, "SendMessage", &poison);
    eventually("the message in the worker's hands", || {
        let shown = serve.done(&["dlq", "peek"]);
        shown.contains("1 in flight,").then_some(())
    });
}

#[test]
fn what_names_no_deployment_is_told_what_is_missing() {
    for (args, variable) in [
        (&["errors", "list"][..], "HOOK_ERRORS_TABLE"),
        (&["errors", "redeliver", "1"], "HOOK_ERRORS_TABLE"),
        (&["dlq", "peek"], "DEAD_LETTERS_QUEUE_URL"),
    ] {
        let nowhere = run(args);
        assert!(!nowhere.status.success(), "{args:?}");
        let told = text(&nowhere.stderr);
        assert!(
            told.contains("--stack") && told.contains(variable),
            "{told}"
        );
    }
    let serve = Serve::start(&["--in-memory"]);
    let unknown = refused(&serve, &["dlq", "peek", "--stack", "nothing"]);
    assert!(unknown.contains("nothing-dead-letters"), "{unknown}");
}
