//! The delivery client against real sockets. An endpoint here is a few lines over a TCP stream,
//! since most of them do what no HTTP server would.
//!
//! Deadlines are met without waiting for them: once an endpoint has the request, nothing is under
//! way but timers, the clock is stopped, and it jumps from one timer to the next.

use std::{net::SocketAddr, str::FromStr, time::Duration};

use reqwest::{
    dns::{Name, Resolve},
    header::HeaderMap,
};
use serde_json::value::RawValue;
use shared::{
    deliver::{
        client::DeliveryClient,
        guard::{AddressGuard, NotPublic, PublicResolver},
    },
    model::{DELIVERY_DEADLINE, Outcome, Target},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::Instant,
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

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// Reads one request to its end: the payload is an object without one inside.
async fn read_request(stream: &mut TcpStream) {
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
    }
}

async fn accept(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = listener.accept().await.unwrap();
    read_request(&mut stream).await;
    stream
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
async fn a_connection_serves_one_request_after_the_other() {
    let (listener, addr) = listener().await;
    let client = client(&[addr]);
    let endpoint = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        for _ in 0..2 {
            read_request(&mut stream).await;
            let answer = b"HTTP/1.1 500 Oh\r\ncontent-length: 2\r\n\r\n{}";
            stream.write_all(answer).await.unwrap();
        }
    };
    let (target, payload) = (at(addr), payload("{}"));
    let requests = async {
        // The clones share what they have open.
        let first = post(&client.clone(), &target, &payload).await;
        (first, post(&client, &target, &payload).await)
    };
    let ((), outcomes) = tokio::join!(endpoint, requests);
    assert_eq!(outcomes, (Outcome::Answered(500), Outcome::Answered(500)));
}

#[tokio::test]
async fn a_kept_connection_that_the_endpoint_has_closed_costs_no_failure() {
    let (listener, addr) = listener().await;
    let client = client(&[addr]);
    let (target, payload) = (at(addr), payload("{}"));
    for _ in 0..3 {
        // An answer that promises to keep the connection, which is then closed.
        let endpoint = async {
            let mut stream = accept(&listener).await;
            stream.write_all(NO_CONTENT).await.unwrap();
            stream.shutdown().await.unwrap();
        };
        let (outcome, ()) = tokio::join!(post(&client, &target, &payload), endpoint);
        assert_eq!(outcome, Outcome::Answered(204));
    }
}

#[tokio::test]
async fn an_answer_without_end_is_read_no_further_than_it_is_worth() {
    let (listener, addr) = listener().await;
    let client = client(&[addr]);
    let endpoint = async {
        let mut stream = accept(&listener).await;
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n";
        stream.write_all(head).await.unwrap();
        // Until the client hangs up.
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
    };
    let (target, payload) = (at(addr), payload("{}"));
    let (outcome, ()) = tokio::join!(post(&client, &target, &payload), endpoint);
    assert_eq!(outcome, Outcome::Answered(200));
}

#[tokio::test]
async fn an_endpoint_that_does_not_answer_has_30_seconds() {
    let (listener, addr) = listener().await;
    let (client, payload) = (client(&[addr]), payload("{}"));
    let endpoint = async {
        let stream = accept(&listener).await;
        tokio::time::pause();
        stream
    };
    let (target, started) = (at(addr), Instant::now());
    let (outcome, _stream) = tokio::join!(post(&client, &target, &payload), endpoint);
    assert_eq!(outcome, Outcome::TimedOut);
    assert_deadline(started);
}

#[tokio::test]
async fn an_endpoint_that_drips_its_answer_has_30_seconds_for_all_of_it() {
    let (listener, addr) = listener().await;
    let (client, payload) = (client(&[addr]), payload("{}"));
    let endpoint = async {
        let mut stream = accept(&listener).await;
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n";
        stream.write_all(head).await.unwrap();
        tokio::time::pause();
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(7)).await;
        }
    };
    let (target, started) = (at(addr), Instant::now());
    let attempt = async {
        let outcome = post(&client, &target, &payload).await;
        (outcome, started)
    };
    tokio::select! {
        (outcome, started) = attempt => {
            assert_eq!(outcome, Outcome::TimedOut);
            assert_deadline(started);
        }
        () = endpoint => panic!("the endpoint was not waited for"),
    }
}

fn assert_deadline(started: Instant) {
    let took = started.elapsed();
    // What passes before the clock is stopped is real time.
    let most = DELIVERY_DEADLINE + Duration::from_secs(1);
    assert!((DELIVERY_DEADLINE..most).contains(&took), "{took:?}");
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

#[tokio::test]
async fn an_endpoint_that_speaks_no_tls_is_unreachable() {
    let (listener, addr) = listener().await;
    let (client, payload) = (client(&[addr]), payload("{}"));
    let endpoint = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(NO_CONTENT).await.unwrap();
        stream
    };
    let target = target(&format!("https://{addr}/hook"));
    let (outcome, _stream) = tokio::join!(post(&client, &target, &payload), endpoint);
    assert_eq!(outcome, Outcome::Unreachable);
}

#[tokio::test]
async fn a_name_that_nobody_has_is_unreachable() {
    let target = target("http://endpoint.invalid/hook");
    let outcome = post(&client(&[]), &target, &payload("{}")).await;
    assert_eq!(outcome, Outcome::Unreachable);
}

#[tokio::test]
async fn what_is_not_public_is_refused_before_a_socket_is_opened() {
    let (listener, addr) = listener().await;
    let other = SocketAddr::new(addr.ip(), 1);
    let client = client(&[other]);
    let by_name = target(&format!("http://localhost:{}/hook", addr.port()));
    for target in [at(addr), by_name] {
        let outcome = post(&client, &target, &payload("{}")).await;
        assert_eq!(outcome, Outcome::Refused);
    }
    // A connection would wait in the listener's queue by now.
    let accepted = tokio::time::timeout(Duration::ZERO, listener.accept()).await;
    assert!(accepted.is_err());
}

#[tokio::test]
async fn a_name_that_leads_inside_is_not_resolved() {
    let name = Name::from_str("localhost").unwrap();
    let Err(error) = PublicResolver.resolve(name).await else {
        panic!("it was resolved");
    };
    assert!(error.is::<NotPublic>(), "{error}");
}
