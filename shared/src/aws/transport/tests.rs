use std::net::SocketAddr;

use aws_sdk_dynamodb::{
    Client,
    config::{
        BehaviorVersion, Config, Credentials, Region, retry::RetryConfig, timeout::TimeoutConfig,
    },
    error::SdkError,
    operation::list_tables::ListTablesError,
};
use aws_smithy_runtime_api::client::result::DispatchFailure;
use futures_util::future::join_all;
use rcgen::{CertificateParams, KeyPair};
use rstest::rstest;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::aws::is_unsent;

const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: 17\r\n\r\n{\"TableNames\":[]}";
const FAILURE: &str = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 2\r\n\r\n{}";
/// What one connection's requests are answered.
type Answers = &'static [&'static str];

const SHORT: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(5);

/// A client that tries a call so often, with a service at this address.
fn client_of(scheme: &str, addr: SocketAddr, tries: u32, timeouts: TimeoutConfig) -> Client {
    let retries = RetryConfig::standard()
        .with_max_attempts(tries)
        .with_initial_backoff(Duration::from_millis(1));
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::for_tests())
        .endpoint_url(format!("{scheme}://{addr}"))
        .http_client(Transport::default())
        .retry_config(retries)
        .timeout_config(timeouts)
        .build();
    Client::from_conf(config)
}

fn patient() -> TimeoutConfig {
    TimeoutConfig::builder().build()
}

/// Reads a request to its end; false if the client has hung up.
async fn read_request(stream: &mut BufReader<TcpStream>) -> bool {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return false;
        }
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
        if line.is_empty() {
            let mut body = vec![0; length];
            return stream.read_exact(&mut body).await.is_ok();
        }
    }
}

/// A service that answers the requests of its first connection with these, then those of its second; an
/// empty answer hangs up. How many requests each connection had is what it ends with.
async fn service(connections: &'static [Answers]) -> (SocketAddr, JoinHandle<Vec<usize>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let served = tokio::spawn(async move {
        let mut served = Vec::new();
        for answers in connections {
            // A connection that does not come is missed below.
            let Ok(accepted) = timeout(PATIENCE, listener.accept()).await else {
                break;
            };
            let mut stream = BufReader::new(accepted.unwrap().0);
            let mut requests = 0;
            for answer in *answers {
                if !read_request(&mut stream).await {
                    break;
                }
                requests += 1;
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            served.push(requests);
        }
        served
    });
    (addr, served)
}

/// A service that takes connections and says nothing.
async fn silent() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

async fn call(client: &Client) -> Result<(), SdkError<ListTablesError>> {
    client.list_tables().send().await.map(|_| ())
}

/// A call that comes to nothing before there is an answer, and why.
async fn failing(client: &Client) -> DispatchFailure {
    let error = call(client).await.unwrap_err();
    let SdkError::DispatchFailure(failure) = error else {
        panic!("{error:?}");
    };
    failure
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let (addr, served) = service(&[&[ANSWER, ANSWER, ANSWER]]).await;
    let client = client_of("http", addr, 1, patient());
    for _ in 0..3 {
        call(&client).await.unwrap();
    }
    drop(client);
    assert_eq!(served.await.unwrap(), [3]);
}

#[rstest]
#[case::a_service_that_hangs_up(&[&[ANSWER, ""] as Answers, &[ANSWER]], &[2, 1])]
#[case::a_service_that_hangs_up_at_once(&[&[""] as Answers, &[ANSWER, ANSWER]], &[1, 2])]
// The connection has another answer ready, and nobody comes for it.
#[case::a_failure_poisons_its_connection(&[&[ANSWER, FAILURE, ANSWER] as Answers, &[ANSWER]], &[2, 1])]
#[tokio::test]
async fn a_call_is_tried_again_on_another_connection(
    #[case] connections: &'static [Answers],
    #[case] requests: &[usize],
) {
    let (addr, served) = service(connections).await;
    let client = client_of("http", addr, 2, patient());
    for _ in 0..2 {
        call(&client).await.unwrap();
    }
    drop(client);
    assert_eq!(served.await.unwrap(), requests);
}

#[tokio::test]
async fn a_call_is_not_tried_more_often_than_the_sdk_says() {
    let (addr, served) = service(&[&[""], &[""]]).await;
    failing(&client_of("http", addr, 2, patient())).await;
    assert_eq!(served.await.unwrap(), [1, 1]);
}

/// How many connections are kept while the process is frozen.
const KEPT: usize = 8;
/// How often the SDK tries a call unless it is told otherwise.
const TRIES: u32 = 3;

/// A service, a client, and the connections that it has kept.
async fn kept(count: usize) -> (TcpListener, Client, Vec<BufReader<TcpStream>>) {
    let (listener, addr) = silent().await;
    let client = client_of("http", addr, TRIES, patient());
    let service = async {
        let mut streams = Vec::new();
        for _ in 0..count {
            let mut stream = BufReader::new(listener.accept().await.unwrap().0);
            assert!(read_request(&mut stream).await);
            streams.push(stream);
        }
        for stream in &mut streams {
            stream.write_all(ANSWER.as_bytes()).await.unwrap();
        }
        streams
    };
    let (calls, streams) = tokio::join!(calls(&client, count, None), service);
    assert!(calls.iter().all(Result::is_ok), "{calls:?}");
    (listener, client, streams)
}

/// Makes calls at the same time, each of whose tries may take so long.
async fn calls(
    client: &Client,
    count: usize,
    limit: Option<Duration>,
) -> Vec<Result<(), SdkError<ListTablesError>>> {
    let mut timeouts = TimeoutConfig::builder();
    timeouts.set_operation_attempt_timeout(limit);
    let timeouts = timeouts.build();
    let call = async || {
        let limited = Config::builder().timeout_config(timeouts.clone());
        let call = client.list_tables().customize().config_override(limited);
        call.send().await.map(drop)
    };
    join_all((0..count).map(|_| call())).await
}

#[derive(Clone, Copy, Debug)]
enum End {
    Close,
    Reset,
    /// The peer is gone, and nothing comes back.
    Silence,
}

/// How the connections end that were kept while the process was frozen.
#[derive(Clone, Copy, Debug)]
enum Thaw {
    /// They have ended, and nobody has looked at them since.
    Before(End),
    /// Whoever held them has forgotten them: each ends with the first request on it.
    AtTheRequest(End),
}

async fn end(stream: BufReader<TcpStream>, how: End) {
    match how {
        End::Close => {}
        End::Reset => stream.get_ref().set_zero_linger().unwrap(),
        End::Silence => std::future::pending().await,
    }
}

#[rstest]
#[tokio::test]
async fn calls_succeed_within_their_tries_when_all_kept_connections_are_dead(
    #[values(
        Thaw::Before(End::Close),
        Thaw::Before(End::Reset),
        Thaw::AtTheRequest(End::Close),
        Thaw::AtTheRequest(End::Reset),
        Thaw::AtTheRequest(End::Silence)
    )]
    thaw: Thaw,
    // With a few there are as many dead connections as each has tries.
    #[values(1, 2, KEPT)] count: usize,
) {
    let (listener, client, streams) = kept(KEPT).await;
    let mut service = JoinSet::new();
    for mut stream in streams {
        match thaw {
            Thaw::Before(how) => end(stream, how).await,
            Thaw::AtTheRequest(how) => {
                service.spawn(async move {
                    if read_request(&mut stream).await {
                        end(stream, how).await;
                    }
                });
            }
        }
    }
    service.spawn(async move {
        let mut fresh = JoinSet::new();
        loop {
            let mut stream = BufReader::new(listener.accept().await.unwrap().0);
            fresh.spawn(async move {
                while read_request(&mut stream).await {
                    stream.write_all(ANSWER.as_bytes()).await.unwrap();
                }
            });
        }
    });
    // Only who hears nothing has to wait for it.
    let is_silent = matches!(thaw, Thaw::AtTheRequest(End::Silence));
    let limit = is_silent.then_some(Duration::from_secs(2));
    let calls = calls(&client, count, limit).await;
    assert!(calls.iter().all(Result::is_ok), "{calls:?}");
}

/// Of many tries that meet dead connections, each retires the pool that it had, and none the next.
#[tokio::test]
async fn a_pool_is_retired_once() {
    let pool = Pool::new(connect(None));
    let first = pool.client();
    pool.retire(&first);
    let second = pool.client();
    assert!(!Arc::ptr_eq(&first, &second));
    pool.retire(&first);
    assert!(Arc::ptr_eq(&second, &pool.client()));
}

#[rstest]
#[case::used_again(Duration::from_secs(9), false)]
#[case::too_old(Duration::from_secs(11), true)]
#[tokio::test]
async fn idle_connection_is_kept_for_10_s(#[case] idle: Duration, #[case] is_new: bool) {
    let (listener, client, streams) = kept(1).await;
    tokio::time::pause();
    tokio::time::advance(idle).await;
    tokio::time::resume();
    let service = async {
        let mut stream = if is_new {
            BufReader::new(listener.accept().await.unwrap().0)
        } else {
            streams.into_iter().next().unwrap()
        };
        assert!(read_request(&mut stream).await);
        stream.write_all(ANSWER.as_bytes()).await.unwrap();
    };
    let met = async { tokio::join!(call(&client), service).0 };
    timeout(PATIENCE, met).await.unwrap().unwrap();
}

#[rstest]
#[case::to_shake_hands("https", TimeoutConfig::builder().connect_timeout(SHORT).build())]
#[case::to_answer("http", TimeoutConfig::builder().read_timeout(SHORT).build())]
#[tokio::test]
async fn a_service_has_so_long(#[case] scheme: &str, #[case] timeouts: TimeoutConfig) {
    let (_listener, addr) = silent().await;
    let failure = failing(&client_of(scheme, addr, 1, timeouts)).await;
    assert!(failure.is_timeout(), "{failure:?}");
    let error = SdkError::<ListTablesError>::DispatchFailure(failure);
    assert_eq!(is_unsent(&error), scheme == "https");
}

#[tokio::test]
async fn nobody_listens() {
    let (listener, addr) = silent().await;
    drop(listener);
    let failure = failing(&client_of("http", addr, 1, patient())).await;
    assert!(failure.is_io(), "{failure:?}");
    assert!(is_unsent(&SdkError::<ListTablesError>::DispatchFailure(
        failure
    )));
}

#[tokio::test]
async fn a_request_that_gets_no_answer_was_sent() {
    let (addr, served) = service(&[&[""]]).await;
    let error = call(&client_of("http", addr, 1, patient())).await;
    assert_eq!(served.await.unwrap(), [1]);
    assert!(!is_unsent(&error.unwrap_err()));
}

#[tokio::test]
async fn a_service_that_nobody_vouches_for_gets_no_request() {
    let (listener, addr) = silent().await;
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let chain = vec![CertificateDer::from(params.self_signed(&key).unwrap())];
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let client = client_of("https", addr, 1, patient());
    let config = ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(chain, key).unwrap();
    let served = tokio::spawn(async move {
        let stream = listener.accept().await.unwrap().0;
        let mut stream = TlsAcceptor::from(std::sync::Arc::new(config))
            .accept(stream)
            .await?;
        stream.read_u8().await
    });
    let failure = failing(&client).await;
    assert!(failure.is_io(), "{failure:?}");
    assert!(served.await.unwrap().is_err(), "a byte of the request came");
}

#[test]
fn tls_offers_one_version_of_http() {
    assert_eq!(tls::CLIENTS.config.alpn_protocols, [b"http/1.1"]);
}
