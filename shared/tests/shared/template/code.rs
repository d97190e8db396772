//! What of the template the code relies on. Nothing but this holds the two together: a deployment would
//! find out at its first request.

use std::{collections::BTreeSet, time::Duration};

use serde_json::value::RawValue;
use shared::{
    aws::OPERATION_TIMEOUT,
    catalog, config,
    deadline::Deadline,
    model::{
        ATTEMPT_GUARD, DeadLetter, DeliveryJob, HookId, HookRef, PROBE_LEASE, QueueMessage, Scope,
    },
};
use tokio::time::Instant;

use super::{TEMPLATE, entries, number, read, text};

/// The calls by which a function asks for a variable, and the variable's name.
const ASKED: [(&str, &str); 13] = [
    ("HOOKS_TABLE", config::HOOKS_TABLE),
    ("HOOK_STATE_TABLE", config::HOOK_STATE_TABLE),
    ("HOOK_SAMPLES_TABLE", config::HOOK_SAMPLES_TABLE),
    ("HOOK_ERRORS_TABLE", config::HOOK_ERRORS_TABLE),
    ("IDENTITIES_TABLE", config::IDENTITIES_TABLE),
    ("CLAIMS_TABLE", config::CLAIMS_TABLE),
    ("deliveries_queue", "DELIVERIES_QUEUE_URL"),
    ("dead_letters_queue", "DEAD_LETTERS_QUEUE_URL"),
    ("dead_events_queue", "DEAD_EVENTS_QUEUE_URL"),
    ("metrics_namespace", "METRICS_NAMESPACE"),
    ("retry_schedule", "RETRY_SCHEDULE"),
    ("allow_targets", "ALLOW_TARGETS"),
    ("failed_delivery_retention", "FAILED_DELIVERY_DAYS"),
];

/// What `lambda_http` and the log's filter read themselves.
const OTHERS_READ: [&str; 2] = ["AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH", "RUST_LOG"];

#[test]
fn every_function_is_given_the_variables_that_it_asks_for_and_no_other() {
    let functions = TEMPLATE.resources("AWS::Serverless::Function");
    assert_eq!(functions.len(), 4);
    for function in functions {
        let code = text(&TEMPLATE.properties(function)["CodeUri"]);
        let main = read(&format!("{code}/src/main.rs"));
        let asked: BTreeSet<&str> = main
            .split("config::")
            .skip(1)
            .map(|rest| {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
                &rest[..end.unwrap_or(rest.len())]
            })
            // Takes the names of tables, which stand beside it.
            .filter(|call| *call != "tables")
            .map(|call| {
                let known = ASKED.iter().find(|(known, _)| *known == call);
                known.unwrap_or_else(|| panic!("{function}: {call}")).1
            })
            .collect();
        let of_all = &TEMPLATE["Globals"]["Function"];
        let given = [of_all, TEMPLATE.properties(function)];
        let given = given.map(|function| &function["Environment"]["Variables"]);
        let given = given.into_iter().flat_map(entries).map(|(name, _)| name);
        let ours = given.filter(|name| !OTHERS_READ.contains(name));
        assert_eq!(ours.collect::<BTreeSet<_>>(), asked, "{function}");
    }
}

#[test]
fn what_ingest_serves_is_routed_to_it_and_everything_else_to_manage() {
    let routes = |function: &str| -> BTreeSet<Option<&str>> {
        let events = TEMPLATE.properties(function)["Events"].as_hash().unwrap();
        let routes = events
            .values()
            .filter(|event| text(&event["Type"]) == "HttpApi");
        routes
            .map(|event| event["Properties"]["Path"].as_str())
            .collect()
    };
    let code = read("functions/ingest/src/lib.rs");
    let served = code.split("path = \"").skip(1);
    let served: BTreeSet<_> = served.map(|rest| rest.split('"').next()).collect();
    assert!(!served.is_empty());
    assert_eq!(routes("Ingest"), served);
    // No path: every request that no other route takes.
    assert_eq!(routes("Manage"), BTreeSet::from([None]));
}

#[test]
fn cargo_lambda_routes_as_the_template_does() {
    let manifest = read("Cargo.toml");
    let (_, table) = manifest
        .split_once("[workspace.metadata.lambda.watch.router]\n")
        .unwrap();
    let lines = table.lines().take_while(|line| !line.is_empty());
    let table: BTreeSet<(&str, &str)> = lines
        .map(|line| {
            let (path, function) = line.split_once(" = ").unwrap();
            (path.trim_matches('"'), function.trim_matches('"'))
        })
        .collect();
    let ingest = TEMPLATE.properties("Ingest")["Events"].as_hash().unwrap();
    let paths = ingest
        .values()
        .filter_map(|event| event["Properties"]["Path"].as_str());
    let mut wanted: BTreeSet<_> = paths.map(|path| (path, "ingest")).collect();
    wanted.extend([("/", "manage"), ("/{*everything_else}", "manage")]);
    assert_eq!(table, wanted);
}

#[test]
fn the_bus_hands_on_what_comes_from_an_app_of_the_catalogue() {
    let pattern = TEMPLATE.properties("EventsRule")["EventPattern"]
        .as_hash()
        .unwrap();
    let pattern: Vec<_> = pattern.iter().collect();
    let [(field, sources)] = pattern.as_slice() else {
        unreachable!("the sources decide")
    };
    assert_eq!(text(field), "source");
    let sources = sources.as_vec().unwrap().iter().map(text);
    let apps: BTreeSet<String> = catalog::events()
        .map(|event| format!("breathecode.{}", event.app()))
        .collect();
    // In the catalogue's order, each once.
    assert!(sources.eq(apps.iter().map(String::as_str)));
}

#[test]
fn what_cannot_be_put_into_the_queue_of_events_is_a_dead_event() {
    let targets = &TEMPLATE.properties("EventsRule")["Targets"];
    assert_eq!(targets.as_vec().unwrap().len(), 1);
    assert_eq!(text(&targets[0]["Arn"]), "EventsQueue.Arn");
    let dead = text(&targets[0]["DeadLetterConfig"]["Arn"]);
    assert_eq!(dead, "DeadEventsQueue.Arn");
    // Either lets the rule in.
    for queue in ["EventsQueue", "DeadEventsQueue"] {
        let policy = &TEMPLATE.properties(&format!("{queue}Policy"))["PolicyDocument"];
        let mut statements = policy["Statement"].as_vec().unwrap().iter();
        assert!(statements.any(|statement| statement["Effect"].as_str() == Some("Allow")));
    }
}

fn timeout(function: &str) -> Duration {
    let seconds = number(&TEMPLATE.properties(function)["Timeout"]);
    Duration::from_secs(seconds.try_into().unwrap())
}

#[test]
fn a_worker_outlives_its_slowest_batch() {
    // The hooks are read, which is cut off, and a probe is begun.
    let reading = read("functions/deliver/src/batch.rs");
    assert!(reading.contains("const READING: Duration = Duration::from_secs(10);"));
    let before = Duration::from_secs(10) + OPERATION_TIMEOUT;
    // In the end a sample is kept, which is cut off, and the state is written, a second time if it is late,
    // then the circuit or, if the hook is gone, the removal of the sample. The messages that follow go
    // out meanwhile.
    let sampling = read("functions/deliver/src/round/record.rs");
    assert!(sampling.contains("const SAMPLING: Duration = Duration::from_secs(3);"));
    let after = Duration::from_secs(3) + 3 * OPERATION_TIMEOUT;
    let begun = Instant::now();
    let deadline = Deadline::after(timeout("Deliver"));
    assert!(deadline.of_calls() >= begun + before + ATTEMPT_GUARD);
    assert!(deadline.of_answer() >= begun + before + ATTEMPT_GUARD + after);
}

#[test]
fn no_second_probe_is_made_while_the_first_may_be_under_way() {
    assert!(PROBE_LEASE >= timeout("Deliver"));
}

/// A whole number, or a product of some, that a file of the code names.
fn of_code(path: &str, name: &str) -> i64 {
    let code = read(path);
    let (_, rest) = code.split_once(&format!("const {name}: ")).unwrap();
    let (value, _) = rest.split_once(';').unwrap();
    let (_, value) = value.split_once(" = ").unwrap();
    let value = value.replace('_', "");
    let factors = value.split(" * ").map(str::parse::<i64>);
    factors.map(Result::unwrap).product()
}

fn of_bundle(name: &str) -> i64 {
    of_code("cli/src/bundle.rs", name)
}

const KIBIBYTE: usize = 1024;
const MEBIBYTE: usize = 1024 * KIBIBYTE;

#[test]
fn the_largest_payload_fits_a_message_on_its_way_and_at_its_end() {
    let path = "functions/ingest/src/incoming.rs";
    let bytes = usize::try_from(of_code(path, "MAX_PAYLOAD_BYTES")).unwrap();
    assert_eq!(bytes, 256 * KIBIBYTE);
    let payload = format!("\"{}\"", "x".repeat(bytes - 2));
    // Whatever a text in the envelope is limited to, it is not longer than this.
    let long = || "x".repeat(4 * KIBIBYTE);
    let now = "2025-01-20T15:30:00.123456789Z".parse().unwrap();
    let job = DeliveryJob {
        delivery_id: uuid::Uuid::max(),
        event_id: long(),
        event: long(),
        academy: Some(long()),
        hook: HookRef {
            id: HookId::new(1).unwrap(),
            scope: Scope::Academy(long()),
            owner: long(),
        },
        attempt: u32::MAX,
        not_before: now,
        accepted_at: now,
        event_accepted_at: None,
        payload: RawValue::from_string(payload).unwrap().into(),
    };
    let letter = DeadLetter {
        job: job.clone(),
        message: long(),
        status: Some(u16::MAX),
        failed_at: now,
    };
    for message in [
        QueueMessage::Delivery(job),
        QueueMessage::DeadLetter(letter),
    ] {
        assert!(message.encode().unwrap().len() <= MEBIBYTE);
    }
}

#[test]
fn what_ingest_takes_fits_through_the_gateway_and_into_an_invocation() {
    let path = "functions/ingest/src/lib.rs";
    let body = usize::try_from(of_code(path, "BODY_LIMIT")).unwrap();
    // API Gateway takes 10 MB, and hands it on within an event of at most 6 MB with the headers,
    // which it takes 10 KiB of; at worst the body is in there in base64.
    let event = body.div_ceil(3) * 4 + 64 * KIBIBYTE;
    assert!(body <= 10_000_000);
    assert!(event <= 6_000_000);
}

#[test]
fn the_bundle_on_one_machine_has_the_templates_figures() {
    for (queue, figure) in [
        ("EventsQueue", "EVENTS_VISIBILITY_TIMEOUT_S"),
        ("DeliveriesQueue", "VISIBILITY_TIMEOUT_S"),
        ("DeadLettersQueue", "DEAD_LETTERS_VISIBILITY_TIMEOUT_S"),
    ] {
        let hidden_s = number(&TEMPLATE.properties(queue)["VisibilityTimeout"]);
        assert_eq!(hidden_s, of_bundle(figure), "{queue}");
    }
    for queue in ["EventsQueue", "DeliveriesQueue"] {
        let times = number(&TEMPLATE.properties(queue)["RedrivePolicy"]["maxReceiveCount"]);
        assert_eq!(times, of_bundle("MAX_RECEIVES"), "{queue}");
    }
    for queue in TEMPLATE.resources("AWS::SQS::Queue") {
        let kept_s = number(&TEMPLATE.properties(queue)["MessageRetentionPeriod"]);
        assert_eq!(kept_s, of_bundle("RETENTION_S"), "{queue}");
    }
    for (function, figure) in [
        ("Deliver", "DELIVER_TIMEOUT_S"),
        ("Errors", "ERRORS_TIMEOUT_S"),
    ] {
        let timeout_s = number(&TEMPLATE.properties(function)["Timeout"]);
        assert_eq!(timeout_s, of_bundle(figure), "{function}");
    }
    for worker in TEMPLATE.workers() {
        let size = &worker.mapping["BatchSize"];
        // Nothing is gathered there.
        let usual = number(size.as_vec().map_or(size, |sizes| &sizes[2]));
        assert_eq!(usual, of_bundle("BATCH_SIZE"), "{}", worker.function);
    }
}
