//! TLS that does not come about, and what we say in it.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rstest::rstest;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer},
    server::Acceptor,
};
use shared::{
    deliver::{client::DeliveryClient, guard::AddressGuard},
    model::{Outcome, Target},
};
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
    time::Instant,
};
use tokio_rustls::TlsAcceptor;

use super::{
    assert_untouched, client, listener, meet, payload, post,
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
#[case::a_close_at_once(&[])]
#[case::a_close_after_the_hello(&[ReadALittle])]
#[case::a_reset(&[ReadALittle, Reset])]
#[case::plain_http(&[ReadALittle, Write("HTTP/1.1 400 Bad Request\r\n\r\n")])]
#[case::plain_http_at_once(&[Write("HTTP/1.1 204 No Content\r\n\r\n")])]
#[case::an_alert(&[ReadALittle, Write("\u{15}\u{3}\u{3}\0\u{2}\u{2}\u{28}")])]
#[case::alerts_without_end(&[ReadALittle, Flood("\u{15}\u{3}\u{3}\0\u{2}\u{1}\u{5a}")])]
#[case::a_record_that_is_none(&[ReadALittle, Write("\u{16}\u{3}\u{3}\0\u{4}\u{7f}\u{7f}\u{7f}\u{7f}")])]
#[case::garbage_without_end(&[Flood("x")])]
#[tokio::test]
async fn an_endpoint_without_tls_is_unreachable(#[case] steps: &'static [Step]) {
    let receiver = Receiver::start(steps).await;
    let client = client(&[receiver.addr]);
    let outcome = post(&client, &at(receiver.addr), &payload("{}")).await;
    assert_eq!(outcome, Outcome::Unreachable);
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

/// Shakes hands with a certificate for this name, until this year, that nobody has signed but itself.
async fn serve_self_signed(listener: &TcpListener, name: &str, until: i32) -> io::Result<()> {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    let certificate = params.self_signed(&key).unwrap();
    let chain = vec![CertificateDer::from(certificate)];
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let mut stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await?;
    stream.read_u8().await?;
    Ok(())
}

#[rstest]
#[case::self_signed("127.0.0.1", 2096)]
#[case::expired("127.0.0.1", 2001)]
#[case::for_another_name("endpoint.example", 2096)]
#[tokio::test]
async fn an_endpoint_that_cannot_prove_its_name_gets_no_request(
    #[case] name: &str,
    #[case] until: i32,
) {
    let (listener, addr) = listener().await;
    let (client, target, payload) = (client(&[addr]), at(addr), payload("{}"));
    let endpoint = serve_self_signed(&listener, name, until);
    let (outcome, served) = meet(post(&client, &target, &payload), endpoint).await;
    assert_eq!(outcome, Outcome::Unreachable);
    assert!(served.is_err(), "a byte of the request came");
    assert_untouched(listener);
}

struct Here;

impl Resolve for Here {
    fn resolve(&self, _: Name) -> Resolving {
        let here = SocketAddr::new(IpAddr::from([127, 0, 0, 1]), 0);
        Box::pin(async move { Ok(Box::new(std::iter::once(here)) as Addrs) })
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
    assert_eq!(outcome, Outcome::Unreachable);
    assert_eq!(name.as_deref(), Some("endpoint.example"));
}
