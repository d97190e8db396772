//! How the SDK's calls go out: over HTTP/1.1, on kept connections, with this process's [TLS](crate::tls).
//!
//! The SDK's own client reads the system's certificates for itself, as the delivery client would, and makes a
//! connector that nobody uses for each service. It has more than we need, too: another HTTP version, which
//! neither DynamoDB nor SQS speaks, proxies and pools. What the SDK relies on is kept: the timeouts of its
//! settings, which failures are worth another try, and that a connection is not used again after a failure.
//!
//! # After a freeze
//!
//! Lambda freezes a process between invocations. When it thaws, every connection that it kept may be dead, and
//! none of them shows it before a request goes out on it. The SDK has three tries for a call, and each could
//! take the next dead connection. So a try that has no answer retires the whole pool: whatever is sent after
//! it goes out on a connection that was opened after it. Nothing is sent again here: which calls may be
//! repeated is for the SDK's retry policy to say, and for the caller who set it.

use std::{
    collections::HashMap,
    error::Error,
    fmt, io,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        connection::{CaptureSmithyConnection, ConnectionMetadata},
        connector_metadata::ConnectorMetadata,
        http::{
            HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings,
            SharedHttpConnector,
        },
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
        runtime_components::{RuntimeComponents, RuntimeComponentsBuilder},
    },
};
use aws_smithy_types::{body::SdkBody, config_bag::ConfigBag, retry::ErrorKind};
use http::Uri;
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{
        self, Client,
        connect::{CaptureConnection, Connect, HttpConnector as TcpConnector, capture_connection},
    },
    rt::{TokioExecutor, TokioTimer},
};
use tokio::time::{error::Elapsed, timeout};
use tower::{Service, service_fn};

use crate::tls;

/// How long a connection is kept without a request. The invocations of a busy function follow each other within
/// seconds and share their connections. A function that waited longer was frozen: a handshake, with its TLS
/// session resumed, costs it less than a try that fails.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// The SDK's HTTP client. There is a pool of connections for each pair of timeouts, which is one in all
/// unless a source of credentials has its own.
#[derive(Debug, Default)]
pub(super) struct Transport {
    connectors: Mutex<HashMap<Timeouts, SharedHttpConnector>>,
}

/// How long a connection may take to open, and an answer to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Timeouts {
    connect: Option<Duration>,
    read: Option<Duration>,
}

impl HttpClient for Transport {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let timeouts = Timeouts {
            connect: settings.connect_timeout(),
            read: settings.read_timeout(),
        };
        let mut connectors = locked(&self.connectors);
        let connector = connectors.entry(timeouts).or_insert_with(|| {
            SharedHttpConnector::new(Connector {
                pool: Arc::new(Pool::new(connect(timeouts.connect))),
                read_timeout: timeouts.read,
            })
        });
        connector.clone()
    }

    /// A service's client is made: the system's certificates are read now, and not during the first call,
    /// which somebody waits for.
    fn validate_base_client_config(
        &self,
        _: &RuntimeComponentsBuilder,
        _: &ConfigBag,
    ) -> Result<(), BoxError> {
        LazyLock::force(&tls::CLIENTS);
        Ok(())
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        Some(ConnectorMetadata::new("hyper", Some("1.x".into())))
    }
}

/// What this mutex holds: whoever panicked has left it as it was.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens connections, which may take so long with their TLS.
fn connect(limit: Option<Duration>) -> impl Connect + Clone + Send + Sync + 'static {
    let mut tcp = TcpConnector::new();
    tcp.set_nodelay(true);
    tcp.enforce_http(false);
    let https = HttpsConnector::from((tcp, tls::client_config()));
    service_fn(move |uri: Uri| {
        let opened = https.clone().call(uri);
        Box::pin(within(limit, opened))
    })
}

/// The client whose pool of connections is in use.
struct Pool<C> {
    connect: C,
    client: Mutex<Arc<Client<C, SdkBody>>>,
}

impl<C: Connect + Clone + Send + Sync + 'static> Pool<C> {
    fn new(connect: C) -> Self {
        let client = Mutex::new(empty(connect.clone()));
        Self { connect, client }
    }

    fn client(&self) -> Arc<Client<C, SdkBody>> {
        locked(&self.client).clone()
    }

    /// Replaces this client, unless that has been done. Its idle connections are closed, and the others after
    /// their requests.
    fn retire(&self, client: &Arc<Client<C, SdkBody>>) {
        let mut current = locked(&self.client);
        if Arc::ptr_eq(&current, client) {
            *current = empty(self.connect.clone());
        }
    }
}

/// A client that has no connections yet.
fn empty<C: Connect + Clone>(connect: C) -> Arc<Client<C, SdkBody>> {
    let client = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .build(connect);
    Arc::new(client)
}

/// A try. If it ends without an answer after it was given a connection, its client is retired: also if nobody
/// waits for it any longer, which is how the SDK ends a try whose time is over.
struct Try<C: Connect + Clone + Send + Sync + 'static> {
    pool: Arc<Pool<C>>,
    client: Arc<Client<C, SdkBody>>,
    connection: CaptureConnection,
    is_answered: bool,
}

impl<C: Connect + Clone + Send + Sync + 'static> Try<C> {
    fn answered(mut self) {
        self.is_answered = true;
    }
}

impl<C: Connect + Clone + Send + Sync + 'static> Drop for Try<C> {
    fn drop(&mut self) {
        if !self.is_answered && self.connection.connection_metadata().is_some() {
            self.pool.retire(&self.client);
        }
    }
}

/// Waits that long for what may fail, or until it is there.
async fn within<T, E: Into<BoxError>>(
    limit: Option<Duration>,
    future: impl Future<Output = Result<T, E>>,
) -> Result<T, BoxError> {
    match limit {
        Some(limit) => timeout(limit, future).await?.map_err(Into::into),
        None => future.await.map_err(Into::into),
    }
}

struct Connector<C> {
    pool: Arc<Pool<C>>,
    read_timeout: Option<Duration>,
}

impl<C> fmt::Debug for Connector<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

impl<C: Connect + Clone + Send + Sync + 'static> HttpConnector for Connector<C> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let mut request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(error) => {
                return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into())));
            }
        };
        let connection = capture_connection(&mut request);
        if let Some(capture) = request.extensions().get::<CaptureSmithyConnection>() {
            let connection = connection.clone();
            capture.set_connection_retriever(move || retrieve(&connection));
        }
        let client = self.pool.client();
        let sent = within(self.read_timeout, client.request(request));
        let this_try = Try {
            pool: Arc::clone(&self.pool),
            client,
            connection,
            is_answered: false,
        };
        HttpConnectorFuture::new(async move {
            let response = sent.await.map_err(classify)?;
            this_try.answered();
            HttpResponse::try_from(response.map(SdkBody::from_body_1_x))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// The connection that a request went out on, for the SDK to say that it is not to be used again.
fn retrieve(connection: &CaptureConnection) -> Option<ConnectionMetadata> {
    connection.connection_metadata().as_ref()?;
    let connection = connection.clone();
    let poison = move || {
        if let Some(connected) = connection.connection_metadata().as_ref() {
            connected.poison();
        }
    };
    Some(
        ConnectionMetadata::builder()
            .proxied(false)
            .poison_fn(poison)
            .build(),
    )
}

/// A request that was not sent, because no connection could be opened for it.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Unconnected(pub BoxError);

/// Says what kind of failure it is: the SDK tries again after one of the line, and not after a mistake.
fn classify(error: BoxError) -> ConnectorError {
    if find::<legacy::Error>(&*error).is_some_and(legacy::Error::is_connect) {
        let is_timeout = find::<Elapsed>(&*error).is_some();
        let error = Unconnected(error).into();
        return if is_timeout {
            ConnectorError::timeout(error)
        } else {
            ConnectorError::io(error)
        };
    }
    if find::<Elapsed>(&*error).is_some() {
        return ConnectorError::timeout(error);
    }
    if let Some(broken) = find::<hyper::Error>(&*error) {
        if broken.is_timeout() {
            return ConnectorError::timeout(error);
        }
        if broken.is_user() {
            return ConnectorError::user(error);
        }
        if broken.is_incomplete_message() {
            return ConnectorError::other(error, Some(ErrorKind::TransientError));
        }
        if broken.is_closed() || broken.is_canceled() {
            return ConnectorError::io(error);
        }
    }
    if find::<io::Error>(&*error).is_some() {
        ConnectorError::io(error)
    } else {
        ConnectorError::other(error, None)
    }
}

/// The first of an error's causes that is of this type, itself among them.
pub(super) fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    std::iter::successors(Some(error), |&cause| cause.source())
        .find_map(|cause| cause.downcast_ref())
}

#[cfg(test)]
mod tests;
