//! Opening connections to endpoints: to what the guard admits, with TLS where the target asks for it.

use std::{
    cell::Cell,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use http::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use tokio::{net::TcpStream, time::timeout};
use tower::{BoxError, Service};

use super::guard::GuardedResolver;
use crate::tls;

/// How long a connection may take to open, with the look-up of its name and its TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long nothing may come on a connection before the system asks whether anybody is there.
const KEEPALIVE: Duration = Duration::from_secs(15);

tokio::task_local! {
    static OPENED: Cell<bool>;
}

/// Makes an exchange, and says besides whether a connection was opened for it. If not, it has been
/// given one that was kept: the client asks for a new one in the task of the exchange.
pub(super) async fn watched<F: Future>(exchange: F) -> (F::Output, bool) {
    let exchange = async {
        let output = exchange.await;
        (output, OPENED.with(Cell::get))
    };
    OPENED.scope(Cell::new(false), exchange).await
}

/// Opens connections.
#[derive(Clone)]
pub(super) struct Connector(HttpsConnector<HttpConnector<GuardedResolver>>);

impl Connector {
    pub(super) fn new(resolver: GuardedResolver) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(resolver);
        // It also makes those that TLS goes over.
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEPALIVE));
        Self(HttpsConnector::from((tcp, tls::client_config())))
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        // Outside an exchange that is watched nobody wants to know.
        let _ = OPENED.try_with(|opened| opened.set(true));
        let opening = self.0.call(uri);
        async move { timeout(CONNECT_TIMEOUT, opening).await? }.boxed()
    }
}
