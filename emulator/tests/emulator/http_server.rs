//! A server's bounds: heads that do not end, connections on which nothing is asked, answers that nobody takes.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    routing::get,
};
use emulator::{ServerLimits, serve};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, mpsc},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

const NEVER: Duration = Duration::from_hours(1);

/// Bounds that a test does not meet, but for those that it sets.
const WIDE: ServerLimits = ServerLimits {
    connections: 100,
    head: NEVER,
    stall: NEVER,
};

struct Served {
    addr: SocketAddr,
    stop: CancellationToken,
    ended: JoinHandle<()>,
}

async fn start(router: Router, limits: ServerLimits) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let ended = tokio::spawn(serve(listener, router, limits, stop.clone()));
    Served { addr, stop, ended }
}

fn hello() -> Router {
    Router::new().fallback(async || "hello")
}

async fn connect(served: &Served) -> TcpStream {
    TcpStream::connect(served.addr).await.unwrap()
}

/// Sends the text; that the other side has closed meanwhile shows when the answer is read.
async fn say(stream: &mut TcpStream, text: &str) {
    let _ = stream.write_all(text.as_bytes()).await;
}

/// What comes until the connection ends, however it ends.
async fn rest(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all).await;
    String::from_utf8(all).unwrap()
}

const LAST: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn a_head_that_does_not_end_is_cut_off() {
    let limits = ServerLimits {
        head: Duration::from_millis(50),
        ..WIDE
    };
    let served = start(hello(), limits).await;
    for begun in ["", "GET / HTTP/1.1\r\nX-Long: a"] {
        let mut stream = connect(&served).await;
        say(&mut stream, begun).await;
        assert!(!rest(&mut stream).await.contains("hello"), "{begun:?}");
    }
    let mut stream = connect(&served).await;
    say(&mut stream, LAST).await;
    assert!(rest(&mut stream).await.ends_with("hello"));
}

#[tokio::test]
async fn for_one_connection_too_many_the_one_that_has_been_idle_longest_is_closed() {
    let limits = ServerLimits {
        connections: 2,
        ..WIDE
    };
    let served = start(hello(), limits).await;
    let mut silent = connect(&served).await;
    let mut used = connect(&served).await;
    say(&mut used, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut answer = [0; 12];
    used.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");

    let mut third = connect(&served).await;
    say(&mut third, LAST).await;
    assert!(rest(&mut third).await.ends_with("hello"));
    assert_eq!(rest(&mut silent).await, "");
    say(&mut used, LAST).await;
    assert!(rest(&mut used).await.ends_with("hello"));
}

#[tokio::test]
async fn a_request_that_does_not_come_whole_keeps_nobody_out() {
    let limits = ServerLimits {
        connections: 1,
        ..WIDE
    };
    let (read, mut is_read) = mpsc::unbounded_channel();
    let router = Router::new().fallback(async move |body: Body| {
        read.send(()).unwrap();
        let body = axum::body::to_bytes(body, 100).await.unwrap();
        format!("{} bytes", body.len())
    });
    let served = start(router, limits).await;
    let post = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\n";
    let mut half = connect(&served).await;
    say(&mut half, post).await;
    is_read.recv().await.unwrap();
    say(&mut half, "a").await;
    let mut whole = connect(&served).await;
    say(&mut whole, &format!("{post}abc")).await;
    assert!(rest(&mut whole).await.ends_with("3 bytes"));
    assert_eq!(rest(&mut half).await, "");
}

#[tokio::test]
async fn a_connection_whose_request_is_being_worked_is_not_closed_for_another() {
    let (asked, mut is_asked) = mpsc::unbounded_channel();
    let go_on = Arc::new(Notify::new());
    let released = go_on.clone();
    let slow = get(async move || {
        asked.send(()).unwrap();
        released.notified().await;
        "slow"
    });
    let limits = ServerLimits {
        connections: 1,
        ..WIDE
    };
    let served = start(Router::new().route("/", slow), limits).await;
    let mut first = connect(&served).await;
    // It stays open after its answer, until it is closed for the other one.
    say(&mut first, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    is_asked.recv().await.unwrap();
    let mut second = connect(&served).await;
    say(&mut second, LAST).await;
    go_on.notify_one();
    assert!(rest(&mut first).await.ends_with("slow"));
    is_asked.recv().await.unwrap();
    go_on.notify_one();
    assert!(rest(&mut second).await.ends_with("slow"));
}

/// An answer's bytes. When they are dropped the channel ends.
struct Held(
    Vec<u8>,
    #[expect(dead_code, reason = "its drop tells")] mpsc::Sender<()>,
);

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

#[tokio::test]
async fn answer_that_nobody_takes_is_cut_off() {
    const LENGTH: usize = 32 * 1024 * 1024;
    let (sender, mut dropped) = mpsc::channel(1);
    let sender = Arc::new(Mutex::new(Some(sender)));
    let large = get(async move || {
        let sender = sender.lock().unwrap().take().unwrap();
        Body::from(Bytes::from_owner(Held(vec![b'x'; LENGTH], sender)))
    });
    let limits = ServerLimits {
        stall: Duration::from_millis(50),
        ..WIDE
    };
    let served = start(Router::new().route("/", large), limits).await;
    let mut stream = connect(&served).await;
    say(&mut stream, LAST).await;
    // Nothing is read until the server holds nothing of it any more.
    assert_eq!(dropped.recv().await, None);
    assert!(rest(&mut stream).await.len() < LENGTH);
}

#[tokio::test]
async fn a_stop_ends_what_is_asked_and_closes_the_rest() {
    let (asked, mut is_asked) = mpsc::unbounded_channel();
    let go_on = Arc::new(Notify::new());
    let released = go_on.clone();
    let slow = get(async move || {
        asked.send(()).unwrap();
        released.notified().await;
        "slow"
    });
    let served = start(Router::new().route("/", slow), WIDE).await;
    let mut silent = connect(&served).await;
    let mut busy = connect(&served).await;
    say(&mut busy, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    is_asked.recv().await.unwrap();
    served.stop.cancel();
    assert_eq!(rest(&mut silent).await, "");
    go_on.notify_one();
    assert!(rest(&mut busy).await.ends_with("slow"));
    served.ended.await.unwrap();
}
