//! Connections that are kept, and how they end.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, join_all},
};
use rstest::rstest;
use shared::{
    deliver::{
        client::DeliveryClient,
        guard::AddressGuard,
        resolve::{Found, Resolve},
    },
    model::{DELIVERY_DEADLINE, Outcome},
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinSet,
    time::{Duration, Instant},
};

use super::{
    NO_CONTENT, accept, assert_deadline, assert_untouched, at, client, listener, meet, payload,
    post, read_request, target,
};

/// A listener, and a client that has kept a connection to it.
async fn kept() -> (TcpListener, SocketAddr, DeliveryClient, TcpStream) {
    let (listener, addr) = listener().await;
    let client = client(&[addr]);
    let endpoint = async {
        let mut stream = accept(&listener).await;
        stream.write_all(NO_CONTENT).await.unwrap();
        stream
    };
    let (target, payload) = (at(addr), payload("{}"));
    let (outcome, stream) = meet(post(&client, &target, &payload), endpoint).await;
    assert_eq!(outcome, Outcome::Answered(204));
    (listener, addr, client, stream)
}

#[tokio::test]
async fn a_connection_serves_one_request_after_the_other() {
    let (listener, addr, client, mut stream) = kept().await;
    let endpoint = async {
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
    assert_untouched(listener);
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
        let (outcome, ()) = meet(post(&client, &target, &payload), endpoint).await;
        assert_eq!(outcome, Outcome::Answered(204));
    }
}

/// How an endpoint ends a connection on which it has read a request.
#[derive(Clone, Copy, Debug)]
enum End {
    Close,
    Reset,
    /// The beginning of a head looks to us like nothing.
    CloseWithinTheHead,
    /// A server that waited for a request on a kept connection says so before it closes it.
    RequestTimeout,
}

const REQUEST_TIMEOUT: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n\r\n";

async fn end(mut stream: TcpStream, end: End) {
    match end {
        End::Close => {}
        End::Reset => stream.set_zero_linger().unwrap(),
        End::CloseWithinTheHead => stream.write_all(b"HTTP/1.1 2").await.unwrap(),
        End::RequestTimeout => stream.write_all(REQUEST_TIMEOUT).await.unwrap(),
    }
}

#[rstest]
#[tokio::test]
async fn a_request_on_a_kept_connection_that_ends_is_sent_once_more_as_it_was(
    #[values(End::Close, End::Reset, End::CloseWithinTheHead, End::RequestTimeout)] how: End,
) {
    let (listener, addr, client, mut stream) = kept().await;
    let endpoint = async {
        let on_the_kept = read_request(&mut stream).await;
        end(stream, how).await;
        let (mut stream, _) = listener.accept().await.unwrap();
        let on_a_new = read_request(&mut stream).await;
        stream.write_all(NO_CONTENT).await.unwrap();
        (on_the_kept, on_a_new)
    };
    let (target, payload) = (at(addr), payload("{\"n\":1}"));
    let (outcome, requests) = meet(post(&client, &target, &payload), endpoint).await;
    assert_eq!(outcome, Outcome::Answered(204));
    assert_eq!(requests.0, requests.1);
    assert_untouched(listener);
}

/// A resolver whose second look-up finds nothing, and says when it has begun.
#[derive(Clone, Default)]
struct SecondIsSilent {
    lookups: Arc<AtomicUsize>,
    second: Arc<Notify>,
}

impl Resolve for SecondIsSilent {
    fn resolve(&self, _: &str) -> BoxFuture<'static, Found> {
        if self.lookups.fetch_add(1, Ordering::Relaxed) == 1 {
            self.second.notify_one();
            return std::future::pending().boxed();
        }
        async { Ok(vec![IpAddr::from([127, 0, 0, 1])]) }.boxed()
    }
}

/// While a request has a connection opened, another one may come back, and is taken.
#[rstest]
#[case::a_close(b"")]
#[case::a_408(REQUEST_TIMEOUT)]
#[tokio::test]
async fn a_connection_that_comes_back_while_one_is_opened_counts_as_kept(#[case] last: &[u8]) {
    let (listener, addr) = listener().await;
    let resolver = SecondIsSilent::default();
    let guard = AddressGuard::new(vec![addr]);
    let client = DeliveryClient::with_resolver(guard, resolver.clone()).unwrap();
    let target = target(&format!("http://endpoint.example:{}/hook", addr.port()));
    let payload = payload("{}");
    let endpoint = async {
        let mut stream = accept(&listener).await;
        resolver.second.notified().await;
        stream.write_all(NO_CONTENT).await.unwrap();
        read_request(&mut stream).await;
        stream.write_all(last).await.unwrap();
        drop(stream);
        let mut stream = accept(&listener).await;
        stream.write_all(NO_CONTENT).await.unwrap();
    };
    let attempts = join_all((0..2).map(|_| post(&client, &target, &payload)));
    let (outcomes, ()) = meet(attempts, endpoint).await;
    assert_eq!(outcomes, [Outcome::Answered(204); 2]);
    assert_untouched(listener);
}

#[rstest]
#[tokio::test]
async fn a_request_on_a_new_connection_that_ends_is_a_failed_attempt(
    #[values(End::Close, End::Reset, End::CloseWithinTheHead)] how: End,
) {
    let (listener, addr) = listener().await;
    let client = client(&[addr]);
    let endpoint = async { end(accept(&listener).await, how).await };
    let (target, payload) = (at(addr), payload("{}"));
    let (outcome, ()) = meet(post(&client, &target, &payload), endpoint).await;
    assert_eq!(outcome, Outcome::ConnectionClosed);
    assert_untouched(listener);
}

/// How the connections end that were kept while the process was frozen.
#[derive(Clone, Copy, Debug)]
enum Thaw {
    /// They have ended, and nobody has looked at them since.
    Before(End),
    /// Whoever held them has forgotten them: each ends with the first request on it.
    AtTheRequest(End),
}

#[rstest]
#[tokio::test]
async fn ten_kept_connections_that_end_at_once_fail_no_attempt(
    #[values(
        Thaw::Before(End::Close),
        Thaw::Before(End::Reset),
        Thaw::AtTheRequest(End::Close),
        Thaw::AtTheRequest(End::Reset),
        Thaw::AtTheRequest(End::CloseWithinTheHead)
    )]
    thaw: Thaw,
    // With fewer than ten there is another kept connection that a resend could take.
    #[values(1, 5, 10)] attempts: usize,
) {
    let (listener, addr) = listener().await;
    let (client, target, payload) = (client(&[addr]), at(addr), payload("{}"));
    let post_all = |count| join_all((0..count).map(|_| post(&client, &target, &payload)));
    let mut kept = Vec::new();
    let endpoint = async {
        for _ in 0..10 {
            kept.push(accept(&listener).await);
        }
        for stream in &mut kept {
            stream.write_all(NO_CONTENT).await.unwrap();
        }
    };
    let (outcomes, ()) = tokio::join!(post_all(10), endpoint);
    assert_eq!(outcomes, [Outcome::Answered(204); 10]);

    let mut endpoint = JoinSet::new();
    for mut stream in kept {
        match thaw {
            Thaw::Before(how) => end(stream, how).await,
            Thaw::AtTheRequest(how) => {
                endpoint.spawn(async move {
                    read_request(&mut stream).await;
                    end(stream, how).await;
                });
            }
        }
    }
    endpoint.spawn(async move {
        loop {
            accept(&listener).await.write_all(NO_CONTENT).await.unwrap();
        }
    });
    let outcomes = post_all(attempts).await;
    assert_eq!(outcomes, vec![Outcome::Answered(204); attempts]);
}

#[rstest]
#[case::used_again(Duration::from_secs(3), false)]
#[case::too_old(Duration::from_secs(5), true)]
#[tokio::test]
async fn an_idle_connection_is_kept_for_seconds(#[case] idle: Duration, #[case] is_new: bool) {
    let (listener, addr, client, mut kept) = kept().await;
    tokio::time::pause();
    tokio::time::advance(idle).await;
    tokio::time::resume();
    let endpoint = async {
        let mut stream = if is_new {
            accept(&listener).await
        } else {
            read_request(&mut kept).await;
            kept
        };
        stream.write_all(NO_CONTENT).await.unwrap();
    };
    let (target, payload) = (at(addr), payload("{}"));
    let (outcome, ()) = meet(post(&client, &target, &payload), endpoint).await;
    assert_eq!(outcome, Outcome::Answered(204));
    assert_untouched(listener);
}

#[tokio::test]
async fn a_408_on_a_new_connection_is_the_answer() {
    let (listener, addr) = listener().await;
    let client = client(&[addr]);
    let endpoint = async {
        let mut stream = accept(&listener).await;
        stream.write_all(REQUEST_TIMEOUT).await.unwrap();
    };
    let (target, payload) = (at(addr), payload("{}"));
    let (outcome, ()) = meet(post(&client, &target, &payload), endpoint).await;
    assert_eq!(outcome, Outcome::Answered(408));
    assert_untouched(listener);
}

/// What of it is the body depends on who reads it.
#[rstest]
#[case::a_body("5\r\nhello\r\n0\r\n\r\n")]
#[case::no_body("0\r\n\r\n")]
#[tokio::test]
async fn an_answer_with_two_lengths_counts_and_no_request_follows_it(#[case] body: &str) {
    let (listener, addr) = listener().await;
    let client = client(&[addr]);
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n";
    let answer = format!("{head}{body}");
    let mut open = Vec::new();
    for _ in 0..3 {
        let endpoint = async {
            let mut stream = accept(&listener).await;
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream
        };
        let (target, payload) = (at(addr), payload("{}"));
        let (outcome, stream) = meet(post(&client, &target, &payload), endpoint).await;
        assert_eq!(outcome, Outcome::Answered(200));
        open.push(stream);
    }
}

#[tokio::test]
async fn connections_are_kept_again_when_an_answer_with_two_lengths_is_long_past() {
    let (listener, addr) = listener().await;
    let (client, target, payload) = (client(&[addr]), at(addr), payload("{}"));
    let answer =
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    for (answer, status) in [(&answer[..], 200), (NO_CONTENT, 204)] {
        let endpoint = async { accept(&listener).await.write_all(answer).await.unwrap() };
        let (outcome, ()) = meet(post(&client, &target, &payload), endpoint).await;
        assert_eq!(outcome, Outcome::Answered(status));
    }
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(10)).await;
    tokio::time::resume();
    let endpoint = async {
        let mut stream = accept(&listener).await;
        stream.write_all(NO_CONTENT).await.unwrap();
        read_request(&mut stream).await;
        stream.write_all(NO_CONTENT).await.unwrap();
    };
    let attempts = async {
        let first = post(&client, &target, &payload).await;
        let second = post(&client, &target, &payload).await;
        (first, second)
    };
    let (outcomes, ()) = meet(attempts, endpoint).await;
    assert_eq!(outcomes, (Outcome::Answered(204), Outcome::Answered(204)));
}

#[tokio::test]
async fn a_request_is_not_sent_a_third_time() {
    let (listener, addr, client, mut stream) = kept().await;
    let endpoint = async {
        read_request(&mut stream).await;
        drop(stream);
        drop(accept(&listener).await);
    };
    let (target, payload) = (at(addr), payload("{}"));
    let (outcome, ()) = meet(post(&client, &target, &payload), endpoint).await;
    assert_eq!(outcome, Outcome::ConnectionClosed);
    assert_untouched(listener);
}

#[rstest]
#[case::nonsense("this is no HTTP\r\n\r\n", Outcome::Protocol)]
#[case::half_an_answer(
    "HTTP/1.1 500 Oh\r\ncontent-length: 100\r\n\r\nhello",
    Outcome::Answered(500)
)]
#[tokio::test]
async fn an_answer_on_a_kept_connection_is_the_answer_however_broken(
    #[case] answer: &str,
    #[case] wanted: Outcome,
) {
    let (listener, addr, client, mut stream) = kept().await;
    let endpoint = async {
        read_request(&mut stream).await;
        stream.write_all(answer.as_bytes()).await.unwrap();
        drop(stream);
    };
    let (target, payload) = (at(addr), payload("{}"));
    let (outcome, ()) = meet(post(&client, &target, &payload), endpoint).await;
    assert_eq!(outcome, wanted);
    assert_untouched(listener);
}

#[tokio::test]
async fn both_exchanges_share_one_deadline() {
    let (listener, addr, client, mut stream) = kept().await;
    let endpoint = async {
        read_request(&mut stream).await;
        tokio::time::pause();
        tokio::time::sleep(DELIVERY_DEADLINE * 2 / 3).await;
        tokio::time::resume();
        drop(stream);
        let stream = accept(&listener).await;
        tokio::time::pause();
        stream
    };
    let (target, payload) = (at(addr), payload("{}"));
    let started = Instant::now();
    let (outcome, _stream) = meet(post(&client, &target, &payload), endpoint).await;
    assert_eq!(outcome, Outcome::TimedOut);
    assert_deadline(started);
}
