//! Where names lead: made-up answers of a resolver, and a canary at the address that must not be
//! called.

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, SocketAddr},
    process::Command,
    sync::{
        Arc, Mutex,
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
        guard::{AddressGuard, GuardedResolver},
        resolve::{Found, LookupError, Resolve, SystemResolver},
    },
    model::{Outcome, Target},
};
use tokio::{io::AsyncWriteExt, time::Instant};
use tracing::Instrument;

use super::{
    NO_CONTENT, accept, assert_untouched, at, client, listener, meet, payload, post, read_request,
    receiver::{
        Receiver,
        Step::{ReadRequest, Write},
    },
    target,
};

const HERE: &str = "127.0.0.1";

/// A resolver with answers of its own, whatever the name: one a look-up, in turn.
#[derive(Clone, Default)]
struct Answers {
    turns: Arc<Mutex<VecDeque<Vec<IpAddr>>>>,
    lookups: Arc<AtomicUsize>,
}

impl Answers {
    fn new(turns: &[&[&str]]) -> Self {
        let addresses = |turn: &&[&str]| turn.iter().map(|ip| ip.parse().unwrap()).collect();
        Self {
            turns: Arc::new(Mutex::new(turns.iter().map(addresses).collect())),
            lookups: Arc::default(),
        }
    }

    fn lookups(&self) -> usize {
        self.lookups.load(Ordering::Relaxed)
    }
}

impl Resolve for Answers {
    fn resolve(&self, _: &str) -> BoxFuture<'static, Found> {
        self.lookups.fetch_add(1, Ordering::Relaxed);
        let turn = self.turns.lock().unwrap().pop_front();
        let found = turn.ok_or_else(|| io::Error::other("no such name").into());
        async { found }.boxed()
    }
}

/// A resolver that never answers.
struct Silence;

impl Resolve for Silence {
    fn resolve(&self, _: &str) -> BoxFuture<'static, Found> {
        Box::pin(std::future::pending())
    }
}

fn client_with(allowed: &[SocketAddr], resolver: impl Resolve + 'static) -> DeliveryClient {
    let guard = AddressGuard::new(allowed.to_vec());
    DeliveryClient::with_resolver(guard, resolver).unwrap()
}

fn named(port: u16) -> Target {
    target(&format!("http://endpoint.example:{port}/hook"))
}

/// Receives one request and closes the connection.
const ONCE: &[super::receiver::Step] = &[
    ReadRequest,
    Write("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n"),
];

/// The answers that lead to the canary, in the ways that a machine may call its own address; the
/// guard's own tests have a case for every block.
#[rstest]
#[case::one_answer(&[HERE])]
#[case::a_public_one_first(&["8.8.8.8", HERE])]
#[case::a_public_one_last(&[HERE, "8.8.8.8"])]
#[case::a_public_ipv6_one_beside_it(&["2606:4700::1111", HERE])]
#[case::ipv4_in_ipv6(&["::ffff:127.0.0.1"])]
#[case::any_address(&["0.0.0.0"])]
#[case::any_ipv6_address(&["::"])]
#[tokio::test]
async fn a_name_with_one_answer_that_leads_inside_is_refused_whole(#[case] answers: &[&str]) {
    let (canary, addr) = listener().await;
    let resolver = Answers::new(&[answers]);
    let client = client_with(&[], resolver.clone());
    let outcome = post(&client, &named(addr.port()), &payload("{}")).await;
    assert_eq!(outcome, Outcome::NameRefused);
    assert_eq!(resolver.lookups(), 1);
    assert_untouched(canary);
}

#[rstest]
#[tokio::test]
async fn no_answer_leads_inside(
    #[values(
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.168.0.1",
        "168.63.129.16",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:0:1::1",
        "fd00:ec2::254",
        "fe80::1",
        "ff02::1"
    )]
    ip: &str,
) {
    let resolver = GuardedResolver::new(AddressGuard::default(), Answers::new(&[&[ip]]));
    let Err(LookupError::LeadsInside(refused)) = resolver.resolve("a.example").await else {
        panic!("it was not refused");
    };
    assert_eq!(refused, ip.parse::<IpAddr>().unwrap());
}

#[tokio::test]
async fn the_answers_that_are_called_are_those_that_were_judged_under_the_targets_port() {
    let answers = Answers::new(&[&["8.8.8.8", "2606:4700::1"]]);
    let resolver = GuardedResolver::new(AddressGuard::default(), answers);
    let name = "a.example".parse().unwrap();
    let vetted = reqwest::dns::Resolve::resolve(&resolver, name).await;
    let vetted: Vec<String> = vetted.unwrap().map(|address| address.to_string()).collect();
    assert_eq!(vetted, ["8.8.8.8:0", "[2606:4700::1]:0"]);
}

#[tokio::test]
async fn a_name_is_called_at_its_address_under_its_own_name() {
    let (listener, addr) = listener().await;
    let client = client_with(&[addr], Answers::new(&[&[HERE]]));
    let endpoint = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = read_request(&mut stream).await;
        stream.write_all(NO_CONTENT).await.unwrap();
        request
    };
    let (target, payload) = (named(addr.port()), payload("{}"));
    let (outcome, request) = meet(post(&client, &target, &payload), endpoint).await;
    assert_eq!(outcome, Outcome::Answered(204));
    let host = format!("\r\nHost: endpoint.example:{}\r\n", addr.port());
    assert!(request.contains(&host), "{request}");
}

#[tokio::test]
async fn an_exception_is_for_its_own_port_whatever_the_name() {
    let (canary, addr) = listener().await;
    let other = SocketAddr::new(addr.ip(), addr.port() ^ 1);
    let client = client_with(&[other], Answers::new(&[&[HERE]]));
    let outcome = post(&client, &named(addr.port()), &payload("{}")).await;
    assert_eq!(outcome, Outcome::NameRefused);
    assert_untouched(canary);
}

#[tokio::test]
async fn a_name_is_looked_up_once_for_each_connection() {
    let receiver = Receiver::start(ONCE).await;
    let resolver = Answers::new(&[&[HERE], &[HERE], &[HERE]]);
    let client = client_with(&[receiver.addr], resolver.clone());
    for attempts in 1..=3 {
        let outcome = post(&client, &named(receiver.addr.port()), &payload("{}")).await;
        assert_eq!(outcome, Outcome::Answered(204));
        assert_eq!(resolver.lookups(), attempts);
    }
}

#[tokio::test]
async fn a_kept_connection_leads_where_it_led() {
    let (listener, addr) = listener().await;
    let resolver = Answers::new(&[&[HERE], &["10.0.0.1"]]);
    let client = client_with(&[addr], resolver.clone());
    let endpoint = async {
        let mut stream = accept(&listener).await;
        stream.write_all(NO_CONTENT).await.unwrap();
        read_request(&mut stream).await;
        stream.write_all(NO_CONTENT).await.unwrap();
    };
    let (target, payload) = (named(addr.port()), payload("{}"));
    let requests = async {
        for _ in 0..2 {
            let outcome = post(&client, &target, &payload).await;
            assert_eq!(outcome, Outcome::Answered(204));
        }
    };
    tokio::join!(requests, endpoint);
    assert_eq!(resolver.lookups(), 1);
}

/// The second answer would reach the same receiver by an address that is no exception.
#[tokio::test]
async fn a_name_that_turns_inside_between_two_attempts_is_refused() {
    let receiver = Receiver::start(ONCE).await;
    let resolver = Answers::new(&[&[HERE], &["::ffff:127.0.0.1"]]);
    let client = client_with(&[receiver.addr], resolver.clone());
    let target = named(receiver.addr.port());
    let first = post(&client, &target, &payload("{}")).await;
    // A second look-up between the judgement and the connection would have been refused.
    assert_eq!((first, resolver.lookups()), (Outcome::Answered(204), 1));
    let second = post(&client, &target, &payload("{}")).await;
    assert_eq!((second, resolver.lookups()), (Outcome::NameRefused, 2));
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn a_name_without_an_address_is_unresolved() {
    let client = client_with(&[], Answers::new(&[&[]]));
    let outcome = post(&client, &named(80), &payload("{}")).await;
    assert_eq!(outcome, Outcome::Unresolved);
}

#[tokio::test]
async fn a_name_that_nobody_has_is_unresolved() {
    let made_up = client_with(&[], Answers::default());
    let outcome = post(&made_up, &named(80), &payload("{}")).await;
    assert_eq!(outcome, Outcome::Unresolved);
    let target = target("http://endpoint.invalid/hook");
    let outcome = post(&client(&[]), &target, &payload("{}")).await;
    assert_eq!(outcome, Outcome::Unresolved);
}

#[tokio::test(start_paused = true)]
async fn a_name_has_4_of_the_5_seconds_to_connect() {
    let started = Instant::now();
    let outcome = post(&client_with(&[], Silence), &named(80), &payload("{}")).await;
    assert_eq!(outcome, Outcome::Unresolved);
    assert_eq!(started.elapsed().as_secs(), 4);
}

/// A name server: silent for names of one kind, until it is told to speak, or is dropped.
struct NameServer {
    asked: Arc<AtomicUsize>,
    speak: Option<std::sync::mpsc::Sender<()>>,
}

impl NameServer {
    fn start() -> (Self, SystemResolver) {
        let asked = Arc::new(AtomicUsize::new(0));
        let (speak, spoken) = std::sync::mpsc::channel();
        let (silence, counter) = (Mutex::new(spoken), Arc::clone(&asked));
        let resolver = SystemResolver::asking(move |name| {
            counter.fetch_add(1, Ordering::Relaxed);
            if name.ends_with(".silent.example") {
                // The first to get here waits for the word, and the others for the first.
                let _ = silence.lock().unwrap().recv();
            }
            Ok(vec![HERE.parse().unwrap()])
        });
        let server = Self {
            asked,
            speak: Some(speak),
        };
        (server, resolver)
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

/// More names than Tokio has threads to block.
#[tokio::test]
async fn hundreds_of_names_whose_servers_are_silent_keep_no_other_waiting() {
    let (server, resolver) = NameServer::start();
    let silent = join_all((0..600).map(|n| resolver.resolve(&format!("{n}.silent.example"))));
    let mut silent = Box::pin(silent);
    assert!(silent.as_mut().now_or_never().is_none());
    let receiver = Receiver::start(ONCE).await;
    let client = client_with(&[receiver.addr], resolver);
    let target = named(receiver.addr.port());
    for _ in 0..3 {
        let outcome = post(&client, &target, &payload("{}")).await;
        assert_eq!(outcome, Outcome::Answered(204));
    }
    assert!(silent.as_mut().now_or_never().is_none());
    drop(server);
    assert!(silent.await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn lookups_of_one_name_at_a_time_are_one_lookup() {
    let (mut server, resolver) = NameServer::start();
    let lookups = || join_all((0..100).map(|_| resolver.resolve("a.silent.example")));
    let mut first = Box::pin(lookups());
    // Whoever stops waiting leaves the lookup to those who come after.
    assert!(first.as_mut().now_or_never().is_none());
    drop(first);
    let second = lookups();
    server.speak.take();
    for found in second.await {
        assert_eq!(found.unwrap(), [HERE.parse::<IpAddr>().unwrap()]);
    }
    assert_eq!(server.asked(), 1);
    // An answer is not kept.
    assert!(resolver.resolve("a.silent.example").await.is_ok());
    assert_eq!(server.asked(), 2);
}

#[tokio::test]
async fn a_lookup_that_panics_is_no_answer_and_the_next_one_asks_again() {
    let turns = AtomicUsize::new(0);
    let resolver = SystemResolver::asking(move |_| {
        assert_ne!(turns.fetch_add(1, Ordering::Relaxed), 0, "on purpose");
        Ok(vec![HERE.parse().unwrap()])
    });
    let first = resolver.resolve("a.example").await;
    assert!(matches!(first, Err(LookupError::Unanswered)), "{first:?}");
    assert!(resolver.resolve("a.example").await.is_ok());
}

#[tokio::test]
async fn what_is_not_public_is_refused_before_a_socket_is_opened() {
    let (canary, addr) = listener().await;
    let other = SocketAddr::new(addr.ip(), 1);
    let client = client(&[other]);
    let by_name = target(&format!("http://localhost:{}/hook", addr.port()));
    for target in [at(addr), by_name] {
        let outcome = post(&client, &target, &payload("{}")).await;
        assert_eq!(outcome, Outcome::Refused);
    }
    assert_untouched(canary);
}

#[tokio::test]
async fn the_systems_own_answers_are_judged() {
    let resolver = GuardedResolver::new(AddressGuard::default(), SystemResolver::default());
    let found = resolver.resolve("localhost").await;
    assert!(
        matches!(found, Err(LookupError::LeadsInside(_))),
        "{found:?}"
    );
}

/// A log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn an_owner_is_told_the_class_and_the_operator_the_cause_without_the_url() {
    let (closed, addr) = listener().await;
    drop(closed);
    let url = |host: &str| target(&format!("http://{host}:{}/s3cret?s3cret", addr.port()));
    let cases = [
        (
            Answers::default(),
            url("10.0.0.1"),
            "refused_address",
            "public addresses",
        ),
        (
            Answers::new(&[&["10.0.0.1"]]),
            url("a.example"),
            "refused_address",
            "resolves to 10.0.0.1",
        ),
        (Answers::default(), url("a.example"), "dns", "no such name"),
        (Answers::new(&[&[]]), url("a.example"), "dns", "no address"),
        (
            Answers::new(&[&[HERE]]),
            url("a.example"),
            "connection_refused",
            "refused",
        ),
        (
            Answers::default(),
            url(HERE),
            "connection_refused",
            "refused",
        ),
    ];
    // The whole process logs here: a log of one thread's own would miss what another thread was
    // the first to log, with none. Each line says which case it is of.
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone());
    tracing::subscriber::set_global_default(subscriber.finish()).unwrap();
    tracing::callsite::rebuild_interest_cache();
    for (case, (resolver, target, class, cause)) in cases.into_iter().enumerate() {
        let client = client_with(&[addr], resolver);
        let attempt = tracing::info_span!("attempt", case);
        let payload = payload("{}");
        let outcome = post(&client, &target, &payload).instrument(attempt).await;

        assert_eq!((outcome.failure(), outcome.code()), (Some(class), 502));
        assert!(!outcome.message().contains("10.0.0.1"));
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let marked = format!("attempt{{case={case}}}");
        let lines: Vec<_> = log.lines().filter(|line| line.contains(&marked)).collect();
        assert!(
            lines.iter().any(|line| line.contains(cause)),
            "{cause:?} in {lines:?}"
        );
        assert!(!log.contains("s3cret"), "{log}");
    }
}

/// The environment belongs to the process, so the attempt is made in another one: this test again.
#[tokio::test]
async fn a_proxy_of_the_environment_is_ignored() {
    const RECEIVER: &str = "RECEIVER_OF_THE_PROXY_TEST";
    if let Some(addr) = std::env::var_os(RECEIVER) {
        let addr: SocketAddr = addr.to_str().unwrap().parse().unwrap();
        let outcome = post(&client(&[addr]), &at(addr), &payload("{}")).await;
        assert_eq!(outcome, Outcome::Answered(204));
        return;
    }
    let receiver = Receiver::start(ONCE).await;
    let (canary, proxy) = listener().await;
    let mut again = Command::new(std::env::current_exe().unwrap());
    again
        .args([
            "--exact",
            "delivery_client::names::a_proxy_of_the_environment_is_ignored",
        ])
        .env(RECEIVER, receiver.addr.to_string())
        .env_remove("NO_PROXY")
        .env_remove("no_proxy");
    for variable in [
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
    ] {
        again.env(variable, format!("http://{proxy}"));
    }
    let ended = tokio::task::spawn_blocking(move || again.output()).await;
    let output = ended.unwrap().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(receiver.connections(), 1);
    assert_untouched(canary);
}
