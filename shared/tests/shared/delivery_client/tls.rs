//! TLS that does not come about, and what we say in it.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    process::Command,
    sync::Arc,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::{FutureExt, future::BoxFuture};
use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair};
use rstest::rstest;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer},
    server::Acceptor,
};
use shared::{
    deliver::{
        client::DeliveryClient,
        guard::AddressGuard,
        resolve::{Found, Resolve},
    },
    model::{Outcome, Target, TlsFailure},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::Instant,
};
use tokio_rustls::TlsAcceptor;

use super::{
    NO_CONTENT, assert_untouched, client, listener, meet, payload, post, read_request,
    receiver::{
        Receiver,
        Step::{self, Flood, Hang, ReadALittle, Reset, Write},
    },
    target,
};

fn at(addr: SocketAddr) -> Target {
    target(&format!("https://{addr}/hook"))
}

/// A connection on which TLS fails.
#[rstest]
#[case::plain_http(&[ReadALittle, Write("HTTP/1.1 400 Bad Request\r\n\r\n")])]
#[case::plain_http_at_once(&[Write("HTTP/1.1 204 No Content\r\n\r\n")])]
#[case::an_alert(&[ReadALittle, Write("\u{15}\u{3}\u{3}\0\u{2}\u{2}\u{28}")])]
#[case::alerts_without_end(&[ReadALittle, Flood("\u{15}\u{3}\u{3}\0\u{2}\u{1}\u{5a}")])]
#[case::a_record_that_is_none(&[ReadALittle, Write("\u{16}\u{3}\u{3}\0\u{4}\u{7f}\u{7f}\u{7f}\u{7f}")])]
#[case::garbage_without_end(&[Flood("x")])]
#[tokio::test]
async fn an_endpoint_without_tls_is_told_apart(#[case] steps: &'static [Step]) {
    let receiver = Receiver::start(steps).await;
    let client = client(&[receiver.addr]);
    let outcome = post(&client, &at(receiver.addr), &payload("{}")).await;
    assert_eq!(outcome, Outcome::Tls(TlsFailure::Protocol));
    assert_eq!(receiver.connections(), 1);
}

#[rstest]
#[case::a_close_at_once(&[])]
#[case::a_close_after_the_hello(&[ReadALittle])]
#[case::a_reset(&[ReadALittle, Reset])]
#[tokio::test]
async fn a_connection_may_be_closed_before_there_is_tls(#[case] steps: &'static [Step]) {
    let receiver = Receiver::start(steps).await;
    let client = client(&[receiver.addr]);
    let outcome = post(&client, &at(receiver.addr), &payload("{}")).await;
    assert_eq!(outcome, Outcome::ConnectionClosed);
    assert_eq!(receiver.connections(), 1);
}

#[rstest]
#[case::silence(&[Hang])]
#[case::silence_after_the_hello(&[ReadALittle, Hang])]
#[case::half_a_record(&[ReadALittle, Write("\u{16}\u{3}\u{3}"), Hang])]
#[tokio::test]
async fn a_handshake_has_what_is_left_of_the_5_seconds_to_connect(#[case] steps: &'static [Step]) {
    let receiver = Receiver::start(steps).await;
    receiver.calm();
    let client = client(&[receiver.addr]);
    let started = Instant::now();
    let outcome = post(&client, &at(receiver.addr), &payload("{}")).await;
    assert_eq!(outcome, Outcome::TimedOut);
    assert!((5..10).contains(&started.elapsed().as_secs()));
}

/// A certificate for this name, valid until this year.
fn params(name: &str, until: i32) -> CertificateParams {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    params
}

/// What shakes hands with this certificate.
fn acceptor(certificate: CertificateDer<'static>, key: &KeyPair) -> TlsAcceptor {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// Answers 204 to whoever connects, again and again.
async fn serve(listener: &TcpListener, acceptor: TlsAcceptor) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let served: io::Result<()> = async {
            let mut stream = acceptor.accept(stream).await?;
            stream.read_u8().await?;
            stream.write_all(NO_CONTENT).await
        }
        .await;
        // A client that does not like the certificate has hung up.
        drop(served);
    }
}

const ENDPOINT: &str = "ENDPOINT_OF_THE_TLS_TEST";
const ATTEMPTS: &str = "ATTEMPTS_OF_THE_TLS_TEST";

/// Who is trusted belongs to the process, so the attempt is made in another one that trusts one authority.
#[rstest]
#[case::a_good_certificate("127.0.0.1", 2096, true, "Answered(204)")]
#[case::an_expired_one("127.0.0.1", 2001, true, "Tls(Expired)")]
#[case::one_for_another_name("endpoint.example", 2096, true, "Tls(WrongName)")]
#[case::one_of_another_authority("127.0.0.1", 2096, false, "Tls(Untrusted)")]
#[tokio::test]
async fn a_certificate_that_does_not_hold_is_told_apart(
    #[case] name: &str,
    #[case] until: i32,
    #[case] trusted: bool,
    #[case] outcome: &str,
) {
    let (authority_key, other_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let (authority, root) = authority(&authority_key);
    let issuer = Issuer::new(authority, if trusted { authority_key } else { other_key });
    let key = KeyPair::generate().unwrap();
    let certificate = params(name, until).signed_by(&key, &issuer).unwrap();
    let (listener, addr) = listener().await;
    let outcomes = tokio::select! {
        outcomes = attempts(1, addr, root) => outcomes,
        () = serve(&listener, acceptor(certificate.into(), &key)) => unreachable!("it serves on"),
    };
    assert_eq!(outcomes, [outcome]);
}

/// As on connections without TLS: only what goes out on a kept one is sent again.
#[tokio::test]
async fn a_kept_connection_is_told_from_a_new_one_under_tls() {
    let authority_key = KeyPair::generate().unwrap();
    let (authority, root) = authority(&authority_key);
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let certificate = params("127.0.0.1", 2096).signed_by(&key, &issuer).unwrap();
    let acceptor = acceptor(certificate.into(), &key);
    let (listener, addr) = listener().await;
    let accept = async || {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = acceptor.accept(stream).await.unwrap();
        read_request(&mut stream).await;
        stream
    };
    let endpoint = async {
        let mut kept = accept().await;
        kept.write_all(NO_CONTENT).await.unwrap();
        read_request(&mut kept).await;
        drop(kept);
        accept().await.write_all(NO_CONTENT).await.unwrap();
        drop(accept().await);
    };
    let (outcomes, ()) = meet(attempts(3, addr, root), endpoint).await;
    let wanted = ["Answered(204)", "Answered(204)", "ConnectionClosed"];
    assert_eq!(outcomes, wanted);
    assert_untouched(listener);
}

/// An authority with this key, and its own certificate.
fn authority(key: &KeyPair) -> (CertificateParams, Certificate) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = params.self_signed(key).unwrap();
    (params, root)
}

/// What so many attempts come to, one after the other, where this authority alone is trusted.
async fn attempts(count: usize, addr: SocketAddr, root: Certificate) -> Vec<String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = STANDARD.encode(root.der());
    let pem = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
    std::fs::write(file.path(), pem).unwrap();
    let mut attempts = Command::new(std::env::current_exe().unwrap());
    attempts
        .args(["--exact", "--ignored", "--nocapture"])
        .arg("delivery_client::tls::attempts_where_one_authority_is_trusted")
        .env(ENDPOINT, addr.to_string())
        .env(ATTEMPTS, count.to_string())
        .env("SSL_CERT_FILE", file.path())
        .env_remove("SSL_CERT_DIR");
    let ended = tokio::task::spawn_blocking(move || attempts.output().unwrap()).await;
    let said = String::from_utf8(ended.unwrap().stdout).unwrap();
    let outcomes = said
        .lines()
        .filter_map(|line| line.strip_prefix("outcome: "));
    outcomes.map(str::to_owned).collect()
}

#[tokio::test]
#[ignore = "other tests run it"]
#[expect(clippy::print_stdout, reason = "the test that runs it reads that")]
async fn attempts_where_one_authority_is_trusted() {
    let variable = |name| std::env::var_os(name).unwrap().into_string().unwrap();
    let addr: SocketAddr = variable(ENDPOINT).parse().unwrap();
    let (client, target, payload) = (client(&[addr]), at(addr), payload("{}"));
    println!();
    for _ in 0..variable(ATTEMPTS).parse().unwrap() {
        let outcome = post(&client, &target, &payload).await;
        println!("outcome: {outcome:?}");
    }
}

#[tokio::test]
async fn an_endpoint_that_nobody_vouches_for_gets_no_request() {
    let (listener, addr) = listener().await;
    let (client, target, payload) = (client(&[addr]), at(addr), payload("{}"));
    let key = KeyPair::generate().unwrap();
    let certificate = params("127.0.0.1", 2096).self_signed(&key).unwrap();
    let acceptor = acceptor(certificate.into(), &key);
    let endpoint = async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = acceptor.accept(stream).await?;
        stream.read_u8().await
    };
    let (outcome, served) = meet(post(&client, &target, &payload), endpoint).await;
    assert_eq!(outcome, Outcome::Tls(TlsFailure::Untrusted));
    assert!(served.is_err(), "a byte of the request came");
    assert_untouched(listener);
}

struct Here;

impl Resolve for Here {
    fn resolve(&self, _: &str) -> BoxFuture<'static, Found> {
        async { Ok(vec![IpAddr::from([127, 0, 0, 1])]) }.boxed()
    }
}

/// Reads what a client says first, and hangs up.
async fn read_server_name(mut stream: TcpStream) -> Option<String> {
    let mut acceptor = Acceptor::default();
    loop {
        let mut bytes = Vec::new();
        let read = stream.read_buf(&mut bytes).await.unwrap();
        assert_ne!(read, 0, "the hello broke off");
        acceptor.read_tls(&mut bytes.as_slice()).unwrap();
        match acceptor.accept() {
            Ok(Some(accepted)) => {
                return accepted.client_hello().server_name().map(str::to_owned);
            }
            Ok(None) => {}
            Err((error, _)) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn tls_is_asked_for_under_the_targets_own_name() {
    let (listener, addr) = listener().await;
    let guard = AddressGuard::new(vec![addr]);
    let client = DeliveryClient::with_resolver(guard, Here).unwrap();
    let endpoint = async { read_server_name(listener.accept().await.unwrap().0).await };
    let target = target(&format!("https://endpoint.example:{}/hook", addr.port()));
    let payload = payload("{}");
    let (outcome, name) = meet(post(&client, &target, &payload), endpoint).await;
    assert_eq!(outcome, Outcome::ConnectionClosed);
    assert_eq!(name.as_deref(), Some("endpoint.example"));
}
