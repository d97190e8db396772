//! What receivers that misbehave cost in memory: many attempts against all kinds of them at once,
//! and the resident set before, between and after. It should rise to what the attempts under way
//! need, and stay there.
//!
//! `cargo run --release -p shared --example misbehaving_receivers [attempts]`, on Linux. The
//! receivers are in the same process, so that theirs is counted too.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement on a console, which ends where it cannot go on"
)]

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use http::HeaderMap;
use serde_json::value::RawValue;
use shared::{
    deliver::{client::DeliveryClient, guard::AddressGuard},
    model::Target,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::Instant,
};

/// How many attempts are under way at a time.
const AT_A_TIME: usize = 200;

/// How many attempts there are between two lines of the report.
const STRIDE: usize = 1_000;

/// What a receiver does once a request has come.
#[derive(Clone, Copy)]
enum Then {
    Close,
    Reset,
    Flood(&'static str),
    Drip(&'static str),
    Hang,
}

/// The kinds: their share of all attempts, what they write first, and what they do then. Those that
/// use the whole deadline have a small share, or the measurement would take hours.
const KINDS: &[(usize, &str, Then)] = &[
    (10, "", Then::Close),
    (10, "", Then::Reset),
    (10, "HTTP/1.1 2", Then::Close),
    (10, "this is no HTTP\r\n\r\n", Then::Close),
    (
        10,
        "HTTP/1.1 999 ?\r\ncontent-length: 0\r\n\r\n",
        Then::Close,
    ),
    (
        10,
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
        Then::Flood("x"),
    ),
    (
        10,
        "HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n",
        Then::Close,
    ),
    (
        10,
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello",
        Then::Close,
    ),
    (
        10,
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello",
        Then::Reset,
    ),
    (10, "HTTP/1.1 200 OK\r\n\r\n", Then::Flood("x")),
    (
        10,
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        Then::Flood("400\r\n"),
    ),
    (
        10,
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        Then::Flood("1\r\nx\r\n"),
    ),
    (10, "HTTP/1.1 200 OK\r\n", Then::Flood("x-x: x\r\n")),
    (10, "HTTP/1.1 200 OK\r\nx: ", Then::Flood("x")),
    (3, "", Then::Hang),
    (3, "HTTP/1.1 200 OK\r\nx: ", Then::Drip("x")),
    (3, "HTTP/1.1 200 OK\r\n\r\n", Then::Drip("x")),
    (1, "", Then::Flood("HTTP/1.1 100 Continue\r\n\r\n")),
];

async fn receive(first: &str, then: Then, mut stream: TcpStream) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    stream.write_all(first.as_bytes()).await?;
    match then {
        Then::Close => Ok(()),
        Then::Reset => stream.set_zero_linger(),
        Then::Flood(text) => {
            let text = text.repeat(4096 / text.len());
            loop {
                stream.write_all(text.as_bytes()).await?;
            }
        }
        Then::Drip(text) => loop {
            stream.write_all(text.as_bytes()).await?;
            tokio::time::sleep(Duration::from_secs(1)).await;
        },
        // Until the client hangs up.
        Then::Hang => stream.read_u8().await.map(drop),
    }
}

async fn start(first: &'static str, then: Then) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(receive(first, then, stream));
        }
    });
    addr
}

fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.unwrap()
        .split_whitespace()
        .skip(1)
        .collect::<Vec<_>>()
        .join(" ")
}

#[tokio::main]
async fn main() {
    let attempts = std::env::args()
        .nth(1)
        .map_or(10_000, |n| n.parse().unwrap());
    let mut receivers = Vec::new();
    for (share, first, then) in KINDS {
        let addr = start(first, *then).await;
        receivers.extend(std::iter::repeat_n(addr, *share));
    }
    let targets: Vec<Target> = receivers
        .iter()
        .map(|addr| Target::parse(&format!("http://{addr}/hook")).unwrap())
        .collect();
    let client = DeliveryClient::new(AddressGuard::new(receivers)).unwrap();
    let payload = format!("{{\"x\":\"{}\"}}", "x".repeat(16 * 1024));
    let payload: Arc<RawValue> = RawValue::from_string(payload).unwrap().into();

    let started = Instant::now();
    println!("attempts  resident");
    println!("{:>8}  {}", 0, resident());
    let turns = Arc::new(Semaphore::new(AT_A_TIME));
    let mut under_way = JoinSet::new();
    let mut outcomes = BTreeMap::new();
    // A stride that shares no factor with the number of targets mixes the kinds.
    let mixed = (0..attempts).map(|n| &targets[n * 37 % targets.len()]);
    for (n, target) in mixed.enumerate() {
        let turn = turns.clone().acquire_owned().await.unwrap();
        let (client, target, payload) = (client.clone(), target.clone(), payload.clone());
        under_way.spawn(async move {
            let reply = client.post(&target, HeaderMap::new(), &payload).await;
            drop(turn);
            format!("{:?}", reply.outcome)
        });
        while let Some(outcome) = under_way.try_join_next() {
            *outcomes.entry(outcome.unwrap()).or_insert(0) += 1;
        }
        if (n + 1) % STRIDE == 0 {
            println!("{:>8}  {}", n + 1, resident());
        }
    }
    while let Some(outcome) = under_way.join_next().await {
        *outcomes.entry(outcome.unwrap()).or_insert(0) += 1;
    }
    println!("   ended  {}", resident());
    println!("{outcomes:#?} in {:?}", started.elapsed());
}
