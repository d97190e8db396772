//! How the SDK's calls go out: over HTTP/1.1, on kept connections, with this process's [TLS](crate::tls).
//!
//! The SDK's own client reads the system's certificates for itself, as the delivery client would, and makes a
//! connector that nobody uses for each service. It has more than we need, too: another HTTP version, which
//! neither DynamoDB nor SQS speaks, proxies and pools. What the SDK relies on is kept: the timeouts of its
//! settings, which failures are worth another try, and that a connection is not used again after a failure.

use std::{
    collections::HashMap,
    error::Error,
    fmt, io,
    sync::{LazyLock, Mutex, PoisonError},
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
        // Whoever panicked has left the connectors as they were.
        let mut connectors = self
            .connectors
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let connector = connectors.entry(timeouts).or_insert_with(|| {
            SharedHttpConnector::new(Connector {
                client: client(timeouts.connect),
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

/// A client whose connections, with their TLS, may take so long to open.
fn client(
    connect_timeout: Option<Duration>,
) -> Client<impl Connect + Clone + Send + Sync + 'static, SdkBody> {
    let mut tcp = TcpConnector::new();
    tcp.set_nodelay(true);
    tcp.enforce_http(false);
    let https = HttpsConnector::from((tcp, tls::client_config()));
    let connect = service_fn(move |uri: Uri| {
        let opened = https.clone().call(uri);
        Box::pin(within(connect_timeout, opened))
    });
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .build(connect)
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
    client: Client<C, SdkBody>,
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
            capture.set_connection_retriever(move || retrieve(&connection));
        }
        let sent = within(self.read_timeout, self.client.request(request));
        HttpConnectorFuture::new(async move {
            let response = sent.await.map_err(classify)?;
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

/// Says what kind of failure it is: the SDK tries again after one of the line, and not after a mistake.
fn classify(error: BoxError) -> ConnectorError {
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
    let unconnected = find::<legacy::Error>(&*error).is_some_and(legacy::Error::is_connect);
    if unconnected || find::<io::Error>(&*error).is_some() {
        ConnectorError::io(error)
    } else {
        ConnectorError::other(error, None)
    }
}

/// The first of an error's causes that is of this type, itself among them.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    std::iter::successors(Some(error), |&cause| cause.source())
        .find_map(|cause| cause.downcast_ref())
}

#[cfg(test)]
mod tests;
