//! `publish` and `change`: against a running `serve`, and against an API that answers as it is told.

use std::{
    io::Write,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{Command, Output, Stdio},
    sync::{
        Arc,
        mpsc::{Receiver, channel},
    },
    thread,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{Endpoint, Request, Serve, command, run, text};

const EVENT: &str = "cohort_user.added";
const TOKEN: &str = "0123456789abcdef-of-the-platform";
const ACCEPTED: &str = r#"{"id": "a-1", "event": "cohort_user.added", "deliveries": 2}"#;

/// An API that answers one request after the other with these, and every further one with the last.
struct Fake {
    addr: SocketAddr,
    requests: Receiver<Request>,
}

impl Fake {
    fn start(answers: &[String]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (sender, requests) = channel();
        let mut answers = answers.to_vec();
        answers.reverse();
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let Some(request) = Request::read(&stream) else {
                    continue;
                };
                let answer = answers.last().cloned().unwrap();
                if answers.len() > 1 {
                    answers.pop();
                }
                // Before the answer: whoever has that finds the request. Nobody may be there any more.
                let _ = sender.send(request);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Self { addr, requests }
    }

    /// One that accepts with this body.
    fn accepting(body: &str) -> Self {
        Self::start(&[answer("202 Accepted", "", body)])
    }

    fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The next request, and its body as JSON.
    fn next(&self) -> (Request, Value) {
        let request = self.requests.recv().unwrap();
        let body = serde_json::from_str(&request.body).unwrap();
        (request, body)
    }

    fn has_more(&self) -> bool {
        self.requests.try_recv().is_ok()
    }
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{headers}\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

fn not_now(wait: &str) -> String {
    let headers = format!("Retry-After: {wait}\r\n");
    let body = r#"{"detail": "Not every\ndelivery is queued.", "status_code": 503}"#;
    answer("503 Service Unavailable", &headers, body)
}

/// A directory with one file in it.
fn file(content: impl AsRef<[u8]>) -> (TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path: PathBuf = directory.path().join("payload.json");
    std::fs::write(&path, content).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (directory, path)
}

/// The command for an API, with a token.
fn publisher(api: &str, token: &str) -> Command {
    let mut command = command();
    command
        .env("ACADEMY_HOOKS_API", api)
        .env("ACADEMY_HOOKS_TOKEN", token);
    command
}

#[test]
fn api_is_named_with_its_prefix_or_without() {
    let (_directory, file) = file(r#"{"id": 1}"#);
    for (end, line) in [
        ("", "post /v1/notify/event http/1.1"),
        ("/", "post /v1/notify/event http/1.1"),
        ("/v1/notify", "post /v1/notify/event http/1.1"),
        ("/v1/notify/", "post /v1/notify/event http/1.1"),
        ("/stage/v1/notify", "post /stage/v1/notify/event http/1.1"),
    ] {
        let fake = Fake::accepting(ACCEPTED);
        let api = format!("{}{end}", fake.url());
        let args = ["publish", EVENT, "--no-academy", "--file", &file];
        let done = publisher(&api, TOKEN).args(args).output().unwrap();
        ended(&done, 0);
        let (request, _) = fake.next();
        assert_eq!(request.head.lines().next(), Some(line), "{end:?}");
    }
}

/// Publishes what a file has to the fake, and checks how that ends.
fn publish(fake: &Fake, file: &str, more: &[&str], code: i32) -> Output {
    let args = ["publish", EVENT, "--no-academy", "--file", file];
    let done = publisher(&fake.url(), TOKEN)
        .args(args)
        .args(more)
        .output()
        .unwrap();
    ended(&done, code);
    done
}

/// Checks the exit code, and that nothing shows the token.
fn ended(done: &Output, code: i32) {
    let (said, complained) = (text(&done.stdout), text(&done.stderr));
    assert_eq!(done.status.code(), Some(code), "{said}{complained}");
    for printed in [said, complained] {
        assert!(!printed.contains(TOKEN), "{printed}");
    }
}

/// Runs a command with this on its standard input.
fn with_stdin(command: &mut Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    child.wait_with_output().unwrap()
}

#[test]
fn a_file_and_the_standard_input_arrive_as_they_are_and_once_under_an_id() {
    let endpoint = Endpoint::start(200);
    let allowed = endpoint.addr.to_string();
    let serve = Serve::start(&["--in-memory", "--allow-target", &allowed]);
    let academy = serve.token("downtown-campus");
    serve.subscribe(&academy, EVENT, &endpoint.url());
    let payload = "{\"watching\" : false,\n \"id\": 234, \"role\":\"\\u00e9é\", \"history_log\": [299.00, 12345678901234567890123]}";
    let (_directory, path) = file(format!("\n {payload}\n"));
    let api = format!("http://{}/", serve.addr);
    let token = serve.token("platform");
    let publish = |academy: &str, file: &str, more: &[&str]| {
        let mut command = publisher(&api, &token);
        command.args(["publish", EVENT, "--academy", academy, "--file", file]);
        command.args(more);
        command
    };

    let done = publish("downtown-campus", &path, &["--id", "a-1"])
        .output()
        .unwrap();
    ended(&done, 0);
    let said = "Accepted under the id a-1\ncohort_user.added  1 deliveries\n";
    assert_eq!(text(&done.stdout), said);
    assert_eq!(text(&done.stderr), "");
    assert_eq!(endpoint.next(), payload);

    // The same id again: the same answer, and no delivery before that of the next event.
    let again = publish("downtown-campus", &path, &["--id", "a-1"])
        .output()
        .unwrap();
    assert_eq!(text(&again.stdout), said);

    let done = with_stdin(&mut publish("4", "-", &["--json"]), "{\"id\": 7}");
    ended(&done, 0);
    let answer: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(answer["deliveries"], 1);
    assert_eq!(answer["id"].as_str().unwrap().len(), 36);
    assert_eq!(endpoint.next(), "{\"id\": 7}");
    assert!(!endpoint.has_more());
}

/// A payload of this many bytes.
fn largest(bytes: usize) -> String {
    let frame = r#"{"id":1,"role":""}"#.len();
    format!("{{\"id\":1,\"role\":\"{}\"}}\n", "x".repeat(bytes - frame))
}

#[test]
fn the_largest_payload_is_the_apis() {
    let serve = Serve::start(&["--in-memory"]);
    let api = format!("http://{}", serve.addr);
    for (bytes, code) in [(256 * 1024, 0), (256 * 1024 + 1, 1)] {
        let (_directory, path) = file(largest(bytes));
        let args = ["publish", EVENT, "--academy", "4", "--file", &path];
        let done = publisher(&api, &serve.token("platform"))
            .args(args)
            .output()
            .unwrap();
        ended(&done, code);
        let too_much = format!("Error: {path} has more than 256 KiB of JSON\n");
        assert_eq!(
            text(&done.stderr),
            if code == 0 { "" } else { &too_much },
            "{bytes}"
        );
    }
}

#[test]
fn what_the_api_refuses_is_said_in_its_words() {
    let serve = Serve::start(&["--in-memory"]);
    let api = format!("http://{}", serve.addr);
    let (_directory, path) = file("null");
    let (platform, academy) = (serve.token("platform"), serve.token("downtown-campus"));
    for (token, event, slug, said) in [
        (
            &platform,
            EVENT,
            "4",
            "answered 400: payload: This field may not be null.",
        ),
        (&academy, EVENT, "4", "answered 403: "),
        (
            &"unknown".to_owned(),
            EVENT,
            "4",
            "answered 401: Invalid or Inactive Token",
        ),
    ] {
        let args = ["publish", event, "--academy", slug, "--file", &path];
        let done = publisher(&api, token).args(args).output().unwrap();
        ended(&done, 1);
        let complained = text(&done.stderr);
        assert!(
            complained.starts_with(&format!("Error: the API {said}")),
            "{complained}"
        );
        assert_eq!(complained.lines().count(), 1, "{complained}");
    }
}

#[test]
fn a_request_has_what_was_given_and_the_token_of_the_environment_or_a_file() {
    let fake = Fake::accepting(ACCEPTED);
    let (_directory, path) = file("{\"a\": 1.50}");
    publish(&fake, &path, &["--id", "a-1"], 0);
    let (request, body) = fake.next();
    assert!(request.head.starts_with("post /v1/notify/event http/1.1\n"));
    let authorization = format!("\nauthorization: token {TOKEN}\n");
    assert!(request.head.contains(&authorization), "{}", request.head);
    assert_eq!(
        request.body,
        r#"{"event":"cohort_user.added","academy":null,"payload":{"a": 1.50},"id":"a-1"}"#
    );
    assert_eq!(body["academy"], Value::Null);

    let (_other, token) = file("of-a-file\n");
    for (academy, sent) in [("4", json!(4)), ("a4", json!("a4")), ("-4", json!("-4"))] {
        // An option counts more than the environment.
        let args = ["--token-file", &token, "--api", &fake.url()];
        let done = publisher("http://127.0.0.1:1", TOKEN)
            .args(["publish", EVENT, "--file", &path])
            .arg(format!("--academy={academy}"))
            .args(args)
            .output()
            .unwrap();
        ended(&done, 0);
        let (request, body) = fake.next();
        assert!(request.head.contains("token of-a-file\n"));
        assert_eq!(body["academy"], sent);
        assert_eq!(body["id"].as_str().unwrap().len(), 36);
    }
}

#[test]
fn a_change_has_the_sides_that_are_given() {
    let answered = r#"{"id": "c-1", "events": [
        {"event": "assignment.assignment_status_updated", "deliveries": 3},
        {"event": "assignment.assignment_created", "deliveries": 0}]}"#;
    let fake = Fake::accepting(answered);
    let (_directory, path) = file("{\"id\": 1, \"price\": 299.00}");
    let change = |args: &[&str]| {
        let mut command = publisher(&fake.url(), TOKEN);
        command.args(["change", "assignments.Task"]).args(args);
        command
    };

    let mut both = change(&["--before", &path, "--after", "-", "--id", "c-1"]);
    let done = with_stdin(&mut both, "{\"id\": 1, \"price\": 1e2}");
    ended(&done, 0);
    assert_eq!(
        text(&done.stdout),
        "Accepted under the id c-1\n\
         assignment.assignment_status_updated  3 deliveries\n\
         assignment.assignment_created  0 deliveries\n"
    );
    let (request, _) = fake.next();
    assert!(request.head.starts_with("post /v1/notify/change "));
    assert_eq!(
        request.body,
        "{\"model\":\"assignments.Task\",\"before\":{\"id\": 1, \"price\": 299.00},\
         \"after\":{\"id\": 1, \"price\": 1e2},\"id\":\"c-1\"}"
    );

    let done = change(&["--after", &path, "--json"]).output().unwrap();
    ended(&done, 0);
    assert_eq!(text(&done.stdout), format!("{answered}\n"));
    assert_eq!(fake.next().1["before"], Value::Null);
    ended(&change(&["--before", &path]).output().unwrap(), 0);
    assert_eq!(fake.next().1["after"], Value::Null);

    let quiet = Fake::accepting(r#"{"id": "c-2", "events": []}"#);
    let done = change(&["--after", &path, "--api", &quiet.url()])
        .output()
        .unwrap();
    ended(&done, 0);
    assert_eq!(
        text(&done.stdout),
        "Accepted under the id c-2\nThis change is no event.\n"
    );

    let (_other, list) = file("[1]");
    let done = change(&["--before", &list]).output().unwrap();
    ended(&done, 1);
    assert!(text(&done.stderr).contains(&format!("{list} is no record")));
    assert!(!fake.has_more());
}

/// An API on https that accepts everything, and its certificate in PEM.
fn https() -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(["localhost".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let text = BASE64_STANDARD.encode(certificate.der());
    let pem = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(certificate)], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let api = format!(
        "https://localhost:{}",
        listener.local_addr().unwrap().port()
    );
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let connection = ServerConnection::new(config.clone()).unwrap();
            let mut stream = StreamOwned::new(connection, stream);
            if Request::read(&mut stream).is_some() {
                let accepted = answer("202 Accepted", "", ACCEPTED);
                stream.write_all(accepted.as_bytes()).unwrap();
            }
        }
    });
    (api, pem)
}

#[test]
fn https_is_spoken_with_whom_the_system_trusts() {
    let (api, pem) = https();
    let (_directory, path) = file("{}");
    let (_other, trusted) = file(pem);
    let args = ["publish", EVENT, "--no-academy", "--file", &path];
    let done = publisher(&api, TOKEN)
        .args(args)
        .env("SSL_CERT_FILE", &trusted)
        .output()
        .unwrap();
    ended(&done, 0);

    let done = publisher(&api, TOKEN)
        .args(args)
        .env_remove("SSL_CERT_FILE")
        .output()
        .unwrap();
    ended(&done, 1);
    let complained = text(&done.stderr);
    assert!(
        complained.starts_with(&format!("Error: {api}/ is not to be trusted: ")),
        "{complained}"
    );
}

#[test]
fn fields_that_are_dropped_are_a_warning() {
    let fake = Fake::accepting(
        r#"{"id": "a-1", "event": "cohort_user.added", "deliveries": 2,
            "dropped": ["user.token", "user.password"]}"#,
    );
    let (_directory, path) = file("{}");
    for more in [&[][..], &["--json"]] {
        let done = publish(&fake, &path, more, 0);
        assert_eq!(
            text(&done.stderr),
            "Warning: cohort_user.added goes out without user.token, user.password\n"
        );
    }
}

#[test]
fn unaccepted_call_is_retried_under_the_same_id() {
    let (_directory, path) = file("{}");
    for more in [&[][..], &["--id", "a-1"]] {
        let accepted = answer("202 Accepted", "", ACCEPTED);
        let busy = answer("429 Too Many Requests", "Retry-After: 0\r\n", "{}");
        let fake = Fake::start(&[not_now("0"), busy, accepted]);
        let done = publish(&fake, &path, more, 0);
        let ids = [(); 3].map(|()| fake.next().1["id"].clone());
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        let id = ids[0].as_str().unwrap();
        assert!(!id.is_empty());
        // Whoever interrupts the command in a wait knows the id.
        assert_eq!(
            text(&done.stderr),
            format!(
                "the API answered 503: Not every delivery is queued.; it is sent again in 0 s, under the id {id}\n\
                 the API answered 429 Too Many Requests; it is sent again in 0 s, under the id {id}\n"
            )
        );
    }
}

#[test]
fn a_call_that_is_under_way_is_asked_for_until_it_must_have_ended() {
    let (_directory, path) = file("{}");
    let body =
        r#"{"detail": "It is being published.", "slug": "event-in-progress", "status_code": 503}"#;
    let under_way = answer("503 Service Unavailable", "Retry-After: 0\r\n", body);
    let accepted = answer("202 Accepted", "", ACCEPTED);
    // Far more often than what the API cannot queue.
    let answers = [vec![under_way; 20], vec![accepted]].concat();
    let fake = Fake::start(&answers);
    publish(&fake, &path, &["--id", "a-1"], 0);
    for _ in &answers {
        assert_eq!(fake.next().1["id"], "a-1");
    }
    assert!(!fake.has_more());
}

#[test]
fn repetitions_end_and_the_rest_is_for_later() {
    let (_directory, path) = file("{}");
    // A wait beyond the command's patience is not begun, however long it is.
    for (wait, tries) in [("0", 4), ("30", 1), ("18446744073709551615", 1)] {
        let fake = Fake::start(&[not_now(wait)]);
        let done = publish(&fake, &path, &["--id", "a-1"], 3);
        let complained = text(&done.stderr);
        assert!(
            complained.ends_with(
                "Error: the API answered 503: Not every delivery is queued.; send it again with --id a-1\n"
            ),
            "{complained}"
        );
        for _ in 0..tries {
            fake.next();
        }
        assert!(!fake.has_more(), "{wait}");
    }
}

#[test]
fn an_api_that_is_not_there_is_for_later() {
    let (_directory, path) = file("{}");
    let args = ["publish", EVENT, "--no-academy", "--file", &path];
    let done = publisher("http://127.0.0.1:1", TOKEN)
        .args(args)
        .args(["--id", "a-1"])
        .output()
        .unwrap();
    ended(&done, 3);
    let complained = text(&done.stderr);
    assert!(complained.contains("cannot be reached: "), "{complained}");
    assert!(
        complained.ends_with("; send it again with --id a-1\n"),
        "{complained}"
    );
    assert_eq!(complained.lines().count(), 4, "{complained}");
}

#[test]
fn an_answer_that_breaks_off_is_asked_for_again() {
    let whole = answer("202 Accepted", "", ACCEPTED);
    let half = whole[..whole.len() - 20].to_owned();
    let fake = Fake::start(&[half, whole]);
    let (_directory, path) = file("{}");
    let done = publish(&fake, &path, &[], 0);
    let complained = text(&done.stderr);
    assert!(complained.contains(" broke off: "), "{complained}");
    assert_eq!(fake.next().1["id"], fake.next().1["id"]);
}

#[test]
fn other_answers_are_refusals_and_a_redirect_is_not_followed() {
    let elsewhere = Fake::accepting(ACCEPTED);
    let location = format!("Location: {}/v1/notify/event\r\n", elsewhere.url());
    let (_directory, path) = file("{}");
    for (status, body, said) in [
        ("307 Temporary Redirect", "", "a redirect is not followed"),
        ("302 Found", "{}", "a redirect is not followed"),
        ("200 OK", "<html>", "the API answered 200 OK"),
        (
            "413 X",
            r#"{"detail": "a\u001b[2J\nb"}"#,
            "the API answered 413: a [2J b\n",
        ),
        ("202 Accepted", "<html>", "something that is not this API"),
    ] {
        let fake = Fake::start(&[answer(status, &location, body)]);
        let done = publish(&fake, &path, &[], 1);
        let complained = text(&done.stderr);
        assert!(complained.contains(said), "{complained}");
        fake.next();
        assert!(!fake.has_more() && !elsewhere.has_more(), "{status}");
    }
}

#[test]
fn a_file_that_cannot_be_sent_is_named_with_the_place() {
    let fake = Fake::accepting(ACCEPTED);
    let missing = "/nowhere/payload.json";
    let (_directory, broken) = file("{\"a\": 1,\n \"b\": NaN}");
    let (_latin, latin) = file(b"\"\xe9\"");
    let (_empty, empty) = file("");
    let (_large, large) = file(" ".repeat(5 * 1024 * 1024));
    let utf16 = std::iter::once(0xfeff).chain("{}".encode_utf16());
    let (_utf16, utf16) = file(utf16.flat_map(u16::to_le_bytes).collect::<Vec<_>>());
    for (path, said) in [
        (
            &utf16[..],
            "is no JSON: the text is UTF-16, by its byte order mark",
        ),
        (missing, "cannot read /nowhere/payload.json: No such file"),
        ("/", "cannot read /: Is a directory"),
        (&broken, "is no JSON: expected value at line 2 column 7"),
        (&latin, "is no JSON: invalid unicode code point at line 1"),
        (&empty, "is no JSON: EOF while parsing a value at line 1"),
        (&large, "has more than 256 KiB of JSON"),
    ] {
        let done = publish(&fake, path, &[], 1);
        let complained = text(&done.stderr);
        assert!(complained.contains(said), "{complained}");
        assert!(complained.contains(path), "{complained}");
        assert_eq!(complained.lines().count(), 1, "{complained}");
    }
    let args = ["publish", EVENT, "--no-academy", "--file", "-"];
    let done = with_stdin(publisher(&fake.url(), TOKEN).args(args), "{");
    ended(&done, 1);
    assert!(text(&done.stderr).starts_with("Error: the standard input is no JSON: EOF"));
    assert!(!fake.has_more());
}

#[test]
fn a_byte_order_mark_before_a_file_is_skipped() {
    let fake = Fake::accepting(ACCEPTED);
    let (_directory, path) = file("\u{feff}{\"id\": 7}");
    let (_other, token) = file("\u{feff}of-a-file\r\n");
    publish(&fake, &path, &["--token-file", &token], 0);
    let (request, body) = fake.next();
    assert_eq!(body["payload"], json!({"id": 7}));
    assert!(
        request.head.contains("token of-a-file\n"),
        "{}",
        request.head
    );
}

#[test]
fn a_token_does_not_go_where_others_could_read_it() {
    let (_directory, path) = file("{}");
    let args = ["publish", EVENT, "--no-academy", "--file", &path];
    for (api, said) in [
        ("http://example.com", "in the clear"),
        ("http://10.0.0.1:9000", "in the clear"),
        ("http://127.0.0.1.example.com", "in the clear"),
        ("http://0.0.0.0:9000", "in the clear"),
        ("ftp://127.0.0.1", "neither http:// nor https://"),
        ("localhost:9000", "neither http:// nor https://"),
        ("https://user:pw@example.com", "has credentials in it"),
        ("https://example.com/?a=b", "has more than a path"),
    ] {
        let done = publisher(api, TOKEN).args(args).output().unwrap();
        ended(&done, 1);
        let complained = text(&done.stderr);
        assert!(complained.contains(said), "{api}: {complained}");
        assert!(!complained.contains("pw"), "{complained}");
    }

    // A proxy would read what goes over http, and is not asked.
    let (proxy, fake) = (Fake::accepting(ACCEPTED), Fake::accepting(ACCEPTED));
    for api in ["localhost", "[::ffff:127.0.0.1]"] {
        let done = publisher(&format!("http://{api}:{}", fake.addr.port()), TOKEN)
            .env("http_proxy", proxy.url())
            .env("no_proxy", "")
            .args(args)
            .arg("--insecure")
            .output()
            .unwrap();
        ended(&done, 0);
        fake.next();
    }
    assert!(!proxy.has_more());
}

#[test]
fn a_token_is_needed_and_never_shown() {
    let fake = Fake::accepting(ACCEPTED);
    let (_directory, path) = file("{}");
    let args = ["publish", EVENT, "--no-academy", "--file", &path];
    let url = fake.url();
    let args = [&args[..], &["--api", &url]].concat();
    let nothing = run(&args);
    ended(&nothing, 1);
    assert!(text(&nothing.stderr).contains("set ACADEMY_HOOKS_TOKEN, or give --token-file"));
    let (_blank, blank) = file("\n");
    let (_words, words) = file(format!("{TOKEN} {TOKEN}"));
    let (_binary, binary) = file(format!("{TOKEN}\u{7f}"));
    for file in [blank, words, binary] {
        let done = run(&[&args[..], &["--token-file", &file]].concat());
        ended(&done, 1);
        assert!(text(&done.stderr).contains("the token is empty, or more than one word"));
    }
    ended(&run(&[&args[..], &["--token", "x"]].concat()), 2);
    assert!(!fake.has_more());

    for subcommand in ["publish", "change"] {
        for flag in ["-h", "--help"] {
            let help = publisher("http://secret-host", TOKEN)
                .args([subcommand, flag])
                .output()
                .unwrap();
            ended(&help, 0);
            let help = text(&help.stdout);
            assert!(!help.contains("secret-host"), "{help}");
            for part in ["ACADEMY_HOOKS_TOKEN", "ACADEMY_HOOKS_API", "Exit codes:"] {
                assert!(help.contains(part), "{part} is missing:\n{help}");
            }
        }
    }

    let traced = publisher(&fake.url(), TOKEN)
        .env("RUST_LOG", "trace")
        .args(&args)
        .output()
        .unwrap();
    ended(&traced, 0);
    let log = text(&traced.stdout) + &text(&traced.stderr);
    assert!(log.contains("TRACE"), "{log}");
}

#[test]
fn a_wrong_usage_is_told_apart_from_a_refusal() {
    for args in [
        &["publish", EVENT, "--file", "-"][..],
        &["publish", EVENT, "--no-academy"],
        &[
            "publish",
            EVENT,
            "--academy",
            "4",
            "--no-academy",
            "--file",
            "-",
        ],
        &[
            "publish",
            EVENT,
            "--academy",
            "99999999999999999999",
            "--file",
            "-",
        ],
        &["change", "assignments.Task"],
        &[
            "change",
            "assignments.Task",
            "--before",
            "-",
            "--after",
            "-",
        ],
        &["change", "--before", "-"],
    ] {
        let done = publisher("http://127.0.0.1:1", TOKEN)
            .args(args)
            .output()
            .unwrap();
        ended(&done, 2);
    }
}
