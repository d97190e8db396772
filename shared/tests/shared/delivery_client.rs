//! The delivery client against real sockets. An endpoint here is a few lines over a TCP stream,
//! since most of them do what no HTTP server would.
//!
//! Deadlines are met without waiting for them: once an endpoint has the request, nothing is under
//! way but timers, the clock is stopped, and it jumps from one timer to the next.

mod connections;
mod names;
mod receiver;
mod receivers;
mod tls;

use std::{io, net::SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::value::RawValue;
use shared::{
    deliver::{client::DeliveryClient, guard::AddressGuard},
    model::{DELIVERY_DEADLINE, Outcome, Target},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Duration, Instant},
};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers};

const NO_CONTENT: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

fn client(allowed: &[SocketAddr]) -> DeliveryClient {
    DeliveryClient::new(AddressGuard::new(allowed.to_vec())).unwrap()
}

fn target(text: &str) -> Target {
    Target::parse(text).unwrap()
}

fn at(addr: SocketAddr) -> Target {
    target(&format!("http://{addr}/hook"))
}

fn payload(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

async fn post(client: &DeliveryClient, target: &Target, payload: &RawValue) -> Outcome {
    client.post(target, HeaderMap::new(), payload).await.outcome
}

/// Attempts, and the endpoint that they meet, which must not be left waiting for what never comes.
async fn meet<O, T>(
    attempts: impl Future<Output = O>,
    endpoint: impl Future<Output = T>,
) -> (O, T) {
    let endpoint = tokio::time::timeout(DELIVERY_DEADLINE * 2, endpoint);
    let (outcomes, endpoint) = tokio::join!(attempts, endpoint);
    (outcomes, endpoint.unwrap())
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// Reads one request to its end: the payload is an object without one inside.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
    }
    String::from_utf8(request).unwrap()
}

async fn accept(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = listener.accept().await.unwrap();
    read_request(&mut stream).await;
    stream
}

/// Holds that nobody has connected: a connection would wait in the listener's queue by now.
fn assert_untouched(canary: TcpListener) {
    let accepted = canary.into_std().unwrap().accept();
    assert_eq!(accepted.unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

fn assert_deadline(started: Instant) {
    let took = started.elapsed();
    // What passes before the clock is stopped is real time.
    let most = DELIVERY_DEADLINE + Duration::from_secs(5);
    assert!((DELIVERY_DEADLINE..most).contains(&took), "{took:?}");
}

#[tokio::test]
async fn the_largest_payload_arrives_byte_for_byte() {
    let server = MockServer::start().await;
    Mock::given(matchers::method("POST"))
        .respond_with(ResponseTemplate::new(202))
        .mount(&server)
        .await;
    let text = format!("{{\"n\": 1.0,  \"é\":\"{}\"}}", "x".repeat(256 * 1024));
    let client = client(&[*server.address()]);
    let outcome = post(&client, &target(&server.uri()), &payload(&text)).await;
    assert_eq!(outcome, Outcome::Answered(202));
    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].body == text.as_bytes());
}

#[tokio::test]
async fn names_of_headers_are_written_as_the_document_writes_them() {
    let (listener, addr) = listener().await;
    let client = client(&[addr]);
    let target = at(addr);
    let headers = HeaderMap::from_iter([(
        HeaderName::from_static("webhook-event-timestamp"),
        HeaderValue::from_static("1737387000"),
    )]);
    let payload = payload("{}");
    let attempt = async { client.post(&target, headers, &payload).await.outcome };
    let endpoint = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = read_request(&mut stream).await;
        stream.write_all(NO_CONTENT).await.unwrap();
        request
    };
    let (outcome, request) = meet(attempt, endpoint).await;
    assert_eq!(outcome, Outcome::Answered(204));
    let mut lines: Vec<&str> = request.lines().collect();
    assert_eq!(lines.remove(0), "POST /hook HTTP/1.1");
    lines.sort_unstable();
    let host = format!("Host: {addr}");
    assert_eq!(
        lines,
        [
            "",
            "Accept: */*",
            "Content-Length: 2",
            "Content-Type: application/json",
            &host,
            "User-Agent: BreatheCode-Webhooks/1.0",
            "Webhook-Event-Timestamp: 1737387000",
            "{}",
        ]
    );
}

/// The letters are those that one of the two encodes, and the other does not.
#[tokio::test]
async fn a_target_is_called_as_it_is_shown() {
    let (listener, addr) = listener().await;
    let client = client(&[addr]);
    let target = target(&format!("http://{addr}/it's/é?it's={{é|\"^`}}=%27#it's"));
    let payload = payload("{}");
    let endpoint = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = read_request(&mut stream).await;
        stream.write_all(NO_CONTENT).await.unwrap();
        request
    };
    let (outcome, request) = meet(post(&client, &target, &payload), endpoint).await;
    assert_eq!(outcome, Outcome::Answered(204));
    let called = request.lines().next().unwrap();
    let called = called.strip_prefix("POST ").unwrap();
    let called = called.strip_suffix(" HTTP/1.1").unwrap();
    assert_eq!(target.as_str(), format!("http://{addr}{called}#it's"));
    assert!(called.contains("/it's/%C3%A9?it%27s="), "{called}");
}

#[tokio::test]
async fn no_encoding_of_the_answer_is_asked_for() {
    let (listener, addr) = listener().await;
    let (client, target, payload) = (client(&[addr]), at(addr), payload("{}"));
    let endpoint = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = read_request(&mut stream).await;
        stream.write_all(NO_CONTENT).await.unwrap();
        request.to_lowercase()
    };
    let (outcome, request) = meet(post(&client, &target, &payload), endpoint).await;
    assert_eq!(outcome, Outcome::Answered(204));
    assert!(request.starts_with("post /hook http/1.1\r\n"), "{request}");
    for header in ["accept-encoding", "te:", "expect"] {
        assert!(!request.contains(header), "{request}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_connection_that_does_not_open_has_5_seconds() {
    // A listener's queue takes one connection more than it says; Linux leaves the next one waiting.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let addr = listener.local_addr().unwrap();
    let _queued = TcpStream::connect(addr).await.unwrap();

    let (client, payload, target) = (client(&[addr]), payload("{}"), at(addr));
    tokio::time::pause();
    let started = Instant::now();
    let outcome = post(&client, &target, &payload).await;
    assert_eq!(outcome, Outcome::TimedOut);
    let took = started.elapsed().as_secs();
    assert_eq!(took, 5);
}
