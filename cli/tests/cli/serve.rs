//! `serve`: what it begins with, what it keeps, how it ends.

use std::{
    collections::BTreeSet,
    fs::File,
    net::TcpListener,
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use serde_json::{Value, json};

use crate::process::{Endpoint, Serve, announce, command, eventually, run, text, try_call};

const HOOKS: &str = "/v1/notify/hook/subscribe";
const EVENT: &str = "cohort_user.added";

#[test]
fn a_first_start_shows_tokens_and_commands_that_work() {
    let directory = tempfile::tempdir().unwrap();
    let serve = Serve::in_directory(directory.path(), &[]);
    let academy = serve.token("downtown-campus");
    // The commands as they are printed: their tokens, paths and bodies.
    let mut commands = serve
        .greeting
        .lines()
        .filter(|line| line.starts_with("  curl "));
    let body = |command: &str| {
        command
            .split(" -d '")
            .nth(1)
            .unwrap()
            .trim_end_matches('\'')
            .to_owned()
    };
    let token = |command: &str| {
        let token = command.split("Token ").nth(1).unwrap();
        token.split('\'').next().unwrap().to_owned()
    };
    let subscribe = commands.next().unwrap();
    let (status, hook) = serve.call("POST", HOOKS, &token(subscribe), &body(subscribe));
    assert_eq!(status, 201, "{hook}");
    let publish = commands.next().unwrap();
    let (status, accepted) =
        serve.call("POST", "/v1/notify/event", &token(publish), &body(publish));
    assert_eq!((status, &accepted["deliveries"]), (202, &Value::from(1)));
    assert!(commands.next().unwrap().contains(&academy));
    let delivered = || {
        let (_, list) = serve.call("GET", HOOKS, &academy, "");
        (list["results"][0]["last_response_code"] == 200).then_some(())
    };
    eventually("the delivery to the inbox", delivered);

    let (status, _) = serve.call("GET", HOOKS, &serve.token("admin"), "");
    assert_eq!(status, 200);
    drop(serve);
    let again = Serve::in_directory(directory.path(), &[]);
    assert!(!again.greeting.contains("curl"), "{}", again.greeting);
    assert_eq!(again.call("GET", HOOKS, &academy, "").1["count"], 1);
}

#[test]
fn a_first_start_says_what_to_do_first() {
    let serve = Serve::start(&["--in-memory"]);
    let lines: Vec<&str> = serve.greeting.lines().collect();
    let first = |start: &str| {
        let position = lines.iter().position(|line| line.starts_with(start));
        position.unwrap_or_else(|| panic!("{start} is missing:\n{}", serve.greeting))
    };
    let order = [
        "The API listens on http://",
        "  academy ",
        "  curl ",
        "  export ",
    ]
    .map(first);
    assert!(order.is_sorted(), "{}", serve.greeting);
    assert_eq!(order[0], 0);
}

#[test]
fn a_body_that_is_announced_to_be_too_large_is_refused_before_it_comes() {
    let serve = Serve::start(&["--in-memory"]);
    let addr = serve.addr.to_string();
    let document = serve.call("GET", "/v1/notify/openapi.json", "", "").1;
    let paths = document["paths"].as_object().unwrap();
    let mut routes = BTreeSet::new();
    for (path, item) in paths {
        for (method, operation) in item.as_object().unwrap() {
            if operation["requestBody"].is_object() {
                routes.insert((path.replace("{id}", "1"), method.to_uppercase()));
            }
        }
    }
    assert_eq!(routes.len(), 4, "{routes:?}");
    for (path, method) in &routes {
        let is_published = !path.contains("/hook/");
        let user = if is_published { "platform" } else { "admin" };
        let token = format!("Authorization: Token {}", serve.token(user));
        let answer = announce(&addr, method, path, &token, 100_000_000);
        assert!(answer.starts_with("HTTP/1.1 413 "), "{path}: {answer}");
        assert!(answer.contains(r#""slug":"body-too-large""#), "{answer}");
    }
    for (endpoint, target) in [
        ("AWS_ENDPOINT_URL_SQS", "AmazonSQS.SendMessage"),
        ("AWS_ENDPOINT_URL_EVENTBRIDGE", "AWSEvents.PutEvents"),
    ] {
        let url = serve.exports()[endpoint].clone();
        let addr = url.strip_prefix("http://").unwrap();
        let target = format!("X-Amz-Target: {target}");
        let answer = announce(addr, "POST", "/", &target, 100_000_000);
        assert!(answer.starts_with("HTTP/1.1 413 "), "{endpoint}: {answer}");
    }
}

#[test]
fn the_inbox_shows_what_it_gets() {
    let serve = Serve::start(&["--in-memory"]);
    let inbox = serve
        .greeting
        .split("what it gets: http://")
        .nth(1)
        .unwrap();
    let inbox = inbox.lines().next().unwrap();
    let target = format!("http://{inbox}webhooks");
    serve.subscribe(&serve.token("downtown-campus"), EVENT, &target);
    serve.publish(&serve.token("platform"), EVENT, "downtown-campus");
    let mut shown = String::new();
    while !shown.contains(r#"  {"id": 1}"#) {
        shown.push_str(&serve.next_line());
        shown.push('\n');
    }
    for part in [
        "POST /webhooks\n",
        "\n  webhook-id: ",
        "\n  webhook-signature: v1,",
        "\n  webhook-event: cohort_user.added\n",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[test]
fn a_refused_target_on_this_machine_names_the_option_that_lets_it_be_called() {
    let serve = Serve::start(&["--in-memory"]);
    let token = serve.token("downtown-campus");
    for host in [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "printer.local",
        "db.internal",
    ] {
        let body = format!(r#"{{"event": "{EVENT}", "target": "http://{host}:8731/"}}"#);
        let (status, answer) = serve.call("POST", HOOKS, &token, &body);
        assert_eq!(status, 400, "{host}");
        let refused = answer["target"].to_string();
        for part in ["--allow-target IP:PORT", "not http://localhost:3000/"] {
            assert!(refused.contains(part), "{host}: {answer}");
        }
    }
}

#[test]
fn busy_api_port_is_named_with_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let refused = run(&["serve", "--in-memory", "--addr", &addr]);
    assert_eq!(refused.status.code(), Some(1));
    let said = text(&refused.stderr);
    for part in [&addr, "--addr IP:PORT"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

// Elsewhere loopback has one address.
#[cfg(target_os = "linux")]
#[test]
fn busy_inbox_port_is_named_in_the_greeting() {
    let inbox = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = inbox.local_addr().unwrap();
    // The inbox is on the port after the API's, whichever address that has.
    let api = format!("127.0.0.2:{}", taken.port() - 1);
    let serve = Serve::at(&api, &["--in-memory"]);
    let taken = taken.to_string();
    let line = serve.greeting.lines().find(|line| line.contains(&taken));
    let said = line.unwrap_or_else(|| panic!("{}", serve.greeting));
    for part in ["No inbox", "--addr"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!serve.greeting.contains("An inbox"), "{}", serve.greeting);
}

#[test]
fn pipes_that_nobody_reads_hold_up_no_delivery_and_no_end() {
    let endpoint = Endpoint::start(200);
    let allowed = endpoint.addr.to_string();
    let args = ["--in-memory", "--allow-target", &allowed];
    let deliver = |serve: &Serve, events: usize| {
        let publisher = serve.token("platform");
        serve.subscribe(&serve.token("downtown-campus"), EVENT, &endpoint.url());
        for _ in 0..events {
            serve.publish(&publisher, EVENT, "downtown-campus");
            endpoint.next();
        }
    };
    // What ended reading, as `tee` does at a Ctrl-C that both get.
    let serve = Serve::closed(&args);
    deliver(&serve, 3);
    let (status, _) = serve.stop("-INT");
    assert!(status.success());
    // What is there and does not read: all that a pipe takes is a fraction of this.
    let (serve, _unread) = Serve::unread("trace,dynoxide=error", &args);
    deliver(&serve, 60);
    let (status, said) = serve.stop("-INT");
    assert!(status.success());
    assert!(said.contains("Stopped."), "{said}");
}

#[test]
fn a_directory_whose_fixtures_were_cut_off_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("fixtures.json");
    // So many that they take a while.
    let tokens: Vec<Value> = (0..20_000)
        .map(|number| json!({"token": format!("token-{number}"), "username": "a"}))
        .collect();
    std::fs::write(&file, json!({"tokens": tokens}).to_string()).unwrap();
    let data = directory.path().join("data");
    let start = || {
        let mut command = command();
        command.args(["serve", "--addr", "127.0.0.1:0", "--data"]);
        command.arg(&data);
        command
    };
    let mut loading = start()
        .arg("--fixtures")
        .arg(&file)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while !data.join("loading-fixtures").exists() {
        assert!(loading.try_wait().unwrap().is_none());
    }
    loading.kill().unwrap();
    loading.wait().unwrap();
    for more in [&[][..], &["--fixtures", file.to_str().unwrap()]] {
        let refused = start().args(more).output().unwrap();
        assert!(!refused.status.success());
        let said = text(&refused.stderr);
        assert!(said.contains("remove the directory"), "{said}");
    }
}

#[test]
fn what_was_answered_survives_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let endpoint = Endpoint::start(200);
    let allowed = endpoint.addr.to_string();
    let args = ["--allow-target", allowed.as_str()];
    let serve = Serve::in_directory(directory.path(), &args);
    let (academy, publisher) = (serve.token("downtown-campus"), serve.token("platform"));
    serve.subscribe(&academy, EVENT, &endpoint.url());

    // Writers of hooks and events, cut off in the middle.
    let stop = Arc::new(AtomicBool::new(false));
    let made = Arc::new(Mutex::new(Vec::new()));
    let accepted = Arc::new(Mutex::new(Vec::new()));
    let addr = serve.addr;
    let writers: Vec<_> = (1..=4)
        .map(|writer| {
            let (stop, made, accepted) = (stop.clone(), made.clone(), accepted.clone());
            let (academy, publisher) = (academy.clone(), publisher.clone());
            thread::spawn(move || {
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let hook = r#"{"event": "form_entry.added", "target": "https://a.com/x"}"#;
                    match try_call(addr, "POST", HOOKS, &academy, hook) {
                        Ok((201, hook)) => made.lock().unwrap().push(hook["id"].clone()),
                        _ => break,
                    }
                    let payload = format!(r#"{{"id":{writer}{number:05}}}"#);
                    let event = format!(
                        r#"{{"event": "{EVENT}", "academy": "downtown-campus", "payload": {payload}}}"#
                    );
                    match try_call(addr, "POST", "/v1/notify/event", &publisher, &event) {
                        Ok((202, _)) => accepted.lock().unwrap().push(payload),
                        _ => break,
                    }
                }
            })
        })
        .collect();
    eventually("a dozen events", || {
        (accepted.lock().unwrap().len() >= 12).then_some(())
    });
    serve.kill();
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.join().unwrap();
    }

    let serve = Serve::in_directory(directory.path(), &args);
    let (_, list) = serve.call("GET", &format!("{HOOKS}?limit=1000"), &academy, "");
    let kept: Vec<&Value> = list["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|h| &h["id"])
        .collect();
    for id in made.lock().unwrap().iter() {
        assert!(kept.contains(&id), "hook {id} is gone");
    }
    // A hook and its history exist together: each that is listed can be read.
    for id in kept {
        assert_eq!(
            serve.call("GET", &format!("{HOOKS}/{id}"), &academy, "").0,
            200
        );
    }
    // Each event that was accepted arrives, before the kill or after it.
    let mut missing: BTreeSet<String> = accepted.lock().unwrap().drain(..).collect();
    while !missing.is_empty() {
        missing.remove(&endpoint.next());
    }
}

#[test]
fn jobs_that_wait_at_the_end_are_counted_and_come_at_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let endpoint = Endpoint::start(500);
    let allowed = endpoint.addr.to_string();
    let args = ["--allow-target", &allowed, "--retry-schedule", "2s"];
    let serve = Serve::in_directory(directory.path(), &args);
    let (academy, publisher) = (serve.token("downtown-campus"), serve.token("platform"));
    serve.subscribe(&academy, EVENT, &endpoint.url());
    serve.publish(&publisher, EVENT, "downtown-campus");
    assert_eq!(endpoint.next(), r#"{"id": 1}"#);
    let counted = || {
        let (_, list) = serve.call("GET", HOOKS, &academy, "");
        (list["results"][0]["total_calls"] == 1).then_some(())
    };
    eventually("the first attempt's record", counted);

    let (status, said) = serve.stop("-TERM");
    assert!(status.success());
    assert!(
        said.contains("1 queued jobs wait for the next start"),
        "{said}"
    );
    let serve = Serve::in_directory(directory.path(), &args);
    assert_eq!(endpoint.next(), r#"{"id": 1}"#);
    let given_up = || {
        let (_, errors) = serve.call("GET", "/v1/notify/hook/error", &academy, "");
        (errors["count"] == 1).then_some(errors)
    };
    let errors = eventually("the HookError", given_up);
    assert_eq!(
        errors["results"][0]["message"],
        "The endpoint answered 500."
    );

    let (status, said) = serve.stop("-INT");
    assert!(status.success());
    assert!(said.contains("0 queued jobs"), "{said}");
}

// Elsewhere loopback has one address.
#[cfg(target_os = "linux")]
#[test]
fn tables_and_queues_listen_on_another_address_where_that_is_asked_for() {
    let serve = Serve::start(&["--in-memory", "--aws-addr", "127.0.0.2"]);
    let exports = serve.exports();
    for (name, value) in &exports {
        let is_url = name.starts_with("AWS_ENDPOINT_URL_") || name.ends_with("_QUEUE_URL");
        assert_eq!(
            value.starts_with("http://127.0.0.2:"),
            is_url,
            "{name}={value}"
        );
    }
    let queues = serve.aws("AWS_ENDPOINT_URL_SQS", "AmazonSQS.ListQueues", &json!({}));
    let queues = queues["QueueUrls"].as_array().unwrap();
    let deliveries = json!(exports["DELIVERIES_QUEUE_URL"]);
    assert!(queues.contains(&deliveries), "{queues:?}");
    // What works on the tables finds them there; the API is where it is without.
    serve.done(&["academy", "add", "uptown-campus"]);
    assert_eq!(serve.addr.ip().to_string(), "127.0.0.1");
}

#[test]
fn an_address_that_nobody_can_call_is_refused_with_the_reason() {
    for (address, reason) in [
        ("0.0.0.0", "not an address that others can connect to"),
        ("::", "not an address that others can connect to"),
        ("docker0", "not an IP address"),
        ("[::1]", "no brackets"),
        ("127.0.0.1:9100", "the address alone"),
        ("[::1]:9100", "the address alone"),
        ("fe80::1", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("224.0.0.1", "not an address that others can connect to"),
        (
            "::ffff:0.0.0.0",
            "not an address that others can connect to",
        ),
        // Of a block that is kept for documentation.
        ("192.0.2.1", "cannot listen on 192.0.2.1"),
    ] {
        let args = ["serve", "--in-memory", "--addr", "127.0.0.1:0"];
        let refused = run(&[&args[..], &["--aws-addr", address]].concat());
        assert!(!refused.status.success(), "{address}");
        let said = text(&refused.stderr);
        assert!(said.contains(reason), "{address}: {said}");
    }
}

#[test]
fn a_directory_has_one_server() {
    let directory = tempfile::tempdir().unwrap();
    let _first = Serve::in_directory(directory.path(), &[]);
    let data = directory.path().to_str().unwrap();
    let second = run(&["serve", "--addr", "127.0.0.1:0", "--data", data]);
    assert!(!second.status.success());
    assert!(text(&second.stderr).contains("is in use by another process"));
}

#[test]
fn fixtures_are_read_whole_or_refused_with_the_reason() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("fixtures.json");
    let file = file.to_str().unwrap();
    let hook = |id: u32, event: &str| {
        format!(
            r#"{{"id": {id}, "owner": "a", "event": "{event}", "target": "https://a.com/x",
                "created_at": "2025-01-15T10:30:00Z", "updated_at": "2025-01-15T10:30:00Z"}}"#
        )
    };
    let academy = |id: u32| format!(r#"{{"id": {id}, "slug": "a{id}", "name": "A"}}"#);
    let sample = format!("[{}]", "1,".repeat(205_000) + "1");
    for (fixtures, reason) in [
        (r#"{"acadmies": []}"#.to_owned(), "acadmies"),
        (
            r#"{"users": [{"username": "a", "admin": true}]}"#.to_owned(),
            "admin",
        ),
        ("no json".to_owned(), "is no file of fixtures"),
        (
            format!(r#"{{"hooks": [{}]}}"#, hook(1, "x.y")),
            "there is no event \"x.y\"",
        ),
        (
            format!(r#"{{"hooks": [{}]}}"#, hook(0, EVENT)),
            "no hook id",
        ),
        (
            format!(r#"{{"hooks": [{}, {}]}}"#, hook(7, EVENT), hook(7, EVENT)),
            "two hooks have the id 7",
        ),
        (
            format!(r#"{{"academies": [{}, {}]}}"#, academy(3), academy(3)),
            "two academies",
        ),
        (
            format!(
                r#"{{"hooks": [{}]}}"#,
                hook(7, EVENT).replace(r#""owner""#, &format!(r#""sample": {sample}, "owner""#))
            ),
            "its sample has more than",
        ),
        (
            r#"{"academies": [{"id": 1, "slug": "*", "name": "A"}]}"#.to_owned(),
            "is no name",
        ),
    ] {
        std::fs::write(file, &fixtures).unwrap();
        let refused = run(&[
            "serve",
            "--in-memory",
            "--addr",
            "127.0.0.1:0",
            "--fixtures",
            file,
        ]);
        assert!(!refused.status.success(), "{fixtures}");
        let said = text(&refused.stderr);
        assert!(said.contains(reason), "{fixtures}: {said}");
    }

    let data = directory.path().join("data");
    Serve::in_directory(&data, &[]).kill();
    std::fs::write(file, "{}").unwrap();
    let data = data.to_str().unwrap();
    let refused = run(&[
        "serve",
        "--data",
        data,
        "--addr",
        "127.0.0.1:0",
        "--fixtures",
        file,
    ]);
    assert!(text(&refused.stderr).contains("fixtures are for an empty store"));
}

#[test]
fn the_fixtures_of_the_event_files_can_be_loaded() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../events/fixtures.json");
    let serve = Serve::start(&["--in-memory", "--fixtures", file]);
    let (status, list) = serve.call("GET", HOOKS, "demo-academy-token", "");
    assert_eq!((status, &list["count"]), (200, &Value::from(1)));
    assert_eq!(list["results"][0]["id"], 1);
    // The next hook gets an id above those of the fixtures.
    let hook = serve.subscribe("demo-academy-token", EVENT, "https://a.com/x");
    assert_eq!(hook["id"], 2);
}

#[test]
fn a_sample_of_the_fixtures_is_shown_as_it_is_given_until_a_delivery_leaves_its_own() {
    let endpoint = Endpoint::start(200);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("fixtures.json");
    let mut fixtures: Value =
        serde_json::from_str(include_str!("../../../events/fixtures.json")).unwrap();
    fixtures["hooks"][0]["target"] = endpoint.url().into();
    let given = json!({"name": "Jane", "email": "jane@example.com"});
    fixtures["hooks"][0]["sample"] = given.clone();
    std::fs::write(&file, fixtures.to_string()).unwrap();
    let allowed = endpoint.addr.to_string();
    let serve = Serve::start(&[
        "--in-memory",
        "--fixtures",
        file.to_str().unwrap(),
        "--allow-target",
        &allowed,
    ]);
    let sample = || {
        let path = "/v1/notify/hook/1/sample";
        serve.call("GET", path, "demo-academy-token", "")
    };
    assert_eq!(sample(), (200, given.clone()));
    let event = "assignment.assignment_created";
    let publisher = "demo-publisher-token";
    assert_eq!(serve.publish(publisher, event, "downtown-campus"), 1);
    endpoint.next();
    let kept = eventually("a new sample", || {
        let (_, sample) = sample();
        (sample != given).then_some(sample)
    });
    assert_eq!(kept, json!({"id": 1}));
}

#[test]
fn no_secret_is_in_the_log_at_any_level() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let endpoint = Endpoint::start(200);
    let allowed = endpoint.addr.to_string();
    let args = ["--in-memory", "--allow-target", &allowed];
    // The embedded tables are no part of a deployment.
    let levels = "trace,dynoxide=error";
    let serve = Serve::logging(levels, File::create(&path).unwrap(), &args);
    let (academy, publisher) = (serve.token("downtown-campus"), serve.token("platform"));
    serve.subscribe(&academy, EVENT, &endpoint.url());
    let secret = |method: &str, path: &str| {
        let (status, answer) = serve.call(method, &format!("{HOOKS}/1/{path}"), &academy, "");
        assert_eq!(status, 200, "{answer}");
        answer["secret"].as_str().unwrap().to_owned()
    };
    let secrets = [secret("GET", "secret"), secret("POST", "secret/rotate")];
    assert_eq!(serve.publish(&publisher, EVENT, "downtown-campus"), 1);
    endpoint.next();
    serve.call("GET", HOOKS, &academy, "");
    let (status, _) = serve.stop("-INT");
    assert!(status.success());

    let log = std::fs::read_to_string(&path).unwrap();
    for part in ["TRACE", "rotated a secret", "attempted", "BatchGetItem"] {
        assert!(log.contains(part), "{part} is missing");
    }
    for secret in secrets {
        assert!(!log.contains(&secret["whsec_".len()..]));
    }
}
