//! The HTTP client that deliveries go out with.
//!
//! It belongs to us, not to the endpoint: one deadline covers a whole attempt, redirects are answers
//! like any other, no more of an answer is read than is needed to keep the connection, nothing is
//! decompressed, and no proxy of the environment stands between the address guard and the socket.
//!
//! # Kept connections
//!
//! Connections are kept between attempts, and an endpoint may close one at any time. If it does so
//! while a request is on its way, the request is sent once more within the same attempt: an idle
//! connection's end says nothing about the endpoint, and must not cost a delivery its next attempt
//! minutes later. A request that breaks off on a new connection is a failed attempt.
//!
//! Lambda freezes a process between invocations. When it thaws, every connection that it kept may be
//! dead, and none of them shows it before a request goes out on it. So the resend never takes another
//! kept connection: it goes out on a fresh one, which is not kept. And idle connections are kept for
//! seconds only, so that a process that was frozen finds few; that alone is not enough, since its
//! clock may have been frozen with it. One that was dropped in silence cannot be told from a slow
//! endpoint, and costs the attempt.
//!
//! # What an endpoint can cost
//!
//! The HTTP library takes heads of at most 100 fields and about 400 KiB, and no more than 16 KiB of
//! chunk extensions or trailers; of a body we take 64 KiB. Only interim answers (1xx) have
//! no bound but the deadline: they are dropped as they come, so that a flood of them costs the time
//! to parse what the line can carry, but no memory. Neither reqwest nor its connectors give a handle
//! to count them.

use std::{
    cell::Cell,
    error::Error,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::Extensions;
use hyper_util::client::legacy::{
    self,
    connect::{Connected, Connection, HttpInfo},
};
use reqwest::{
    Client, Request, Response,
    dns::Resolve,
    header::{CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT},
    redirect::Policy,
};
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout_at};
use tower::{Service, layer::layer_fn};

use super::{
    guard::{AddressGuard, GuardedResolver, LeadsInside, SystemResolver, bound_for},
    retry_after::RetryAfter,
};
use crate::{
    model::{DELIVERY_DEADLINE, Outcome, Target},
    tls,
};

/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection is kept without a request. Many servers (Node.js, Apache, uvicorn) close theirs after
/// 5 s: ours must be gone before that, or a request meets the close.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// How much of an answer's body is read, in bytes. A longer one counts as read, and costs the
/// endpoint its connection.
const ANSWER_LIMIT: usize = 64 * 1024;

/// How long an answer's body is waited for. A slower one costs the endpoint its connection, too.
const BODY_PATIENCE: Duration = Duration::from_secs(1);

/// What a piece of an answer's body counts for at least, in bytes: each is handed from task to task,
/// and a body in chunks of one byte would be 65,536 of them.
const LEAST_PIECE: usize = 256;

/// The document's name for us.
const USER_AGENT_VALUE: &str = "BreatheCode-Webhooks/1.0";

/// The client could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No endpoint could prove who it is.
    #[error("SSL_CERT_FILE or SSL_CERT_DIR is set, but holds no usable certificate")]
    NobodyTrusted,
    /// It cannot start.
    #[error("the HTTP client cannot start")]
    Http(#[from] reqwest::Error),
}

/// What an attempt came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// How it ended.
    pub outcome: Outcome,
    /// When the endpoint wants the next one, if it says so.
    pub retry_after: Option<RetryAfter>,
}

impl From<Outcome> for Reply {
    fn from(outcome: Outcome) -> Self {
        Self {
            outcome,
            retry_after: None,
        }
    }
}

/// Makes attempts. Connections are kept and shared between them; cloning is cheap.
#[derive(Clone, Debug)]
pub struct DeliveryClient {
    pooled: Client,
    /// For resends: each request has a connection of its own. Whether a connection is kept can be set for a
    /// client only, and not for a request.
    fresh: Client,
    guard: AddressGuard,
}

impl DeliveryClient {
    /// A client that goes where `guard` lets it.
    pub fn new(guard: AddressGuard) -> Result<Self, ClientError> {
        Self::with_resolver(guard, SystemResolver)
    }

    /// A client that learns addresses from this resolver. Its answers are judged like the system's.
    pub fn with_resolver(
        guard: AddressGuard,
        resolver: impl Resolve + 'static,
    ) -> Result<Self, ClientError> {
        if !tls::CLIENTS.trusts {
            return Err(ClientError::NobodyTrusted);
        }
        let headers = HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (USER_AGENT, HeaderValue::from_static(USER_AGENT_VALUE)),
        ]);
        let resolver = Arc::new(GuardedResolver::new(guard.clone(), resolver));
        let client = |idle_per_host| {
            Client::builder()
                .tls_backend_preconfigured(tls::client_config())
                .default_headers(headers.clone())
                .connect_timeout(CONNECT_TIMEOUT)
                .pool_idle_timeout(IDLE_TIMEOUT)
                .pool_max_idle_per_host(idle_per_host)
                .redirect(Policy::none())
                .no_proxy()
                .dns_resolver(Arc::clone(&resolver))
                .connector_layer(layer_fn(Noting))
                .build()
        };
        Ok(Self {
            pooled: client(usize::MAX)?,
            fresh: client(0)?,
            guard,
        })
    }

    /// POSTs a payload, byte for byte and under these headers beside the document's, and says how
    /// that ended: within [`DELIVERY_DEADLINE`].
    pub async fn post(&self, target: &Target, headers: HeaderMap, payload: &RawValue) -> Reply {
        if let Err(error) = self.guard.check(target.url()) {
            return failed(Outcome::Refused, &error).into();
        }
        let request = self
            .pooled
            .post(target.url().clone())
            .headers(headers)
            .body(payload.get().to_owned())
            .build();
        let deadline = Instant::now() + DELIVERY_DEADLINE;
        let exchange = async { self.exchange(request?).await };
        let exchange = bound_for(target.url(), exchange);
        let response = match timeout_at(deadline, exchange).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return failed(classify(&error), root_cause(&error)).into(),
            Err(elapsed) => return failed(Outcome::TimedOut, &elapsed).into(),
        };
        let status = response.status();
        let reply = Reply {
            outcome: Outcome::Answered(status.as_u16()),
            retry_after: RetryAfter::of(status, response.headers()),
        };
        // The status is the answer. What becomes of the body only decides on the connection.
        let patience = deadline.min(Instant::now() + BODY_PATIENCE);
        let _ = timeout_at(patience, read_to_keep(response)).await;
        reply
    }

    /// Sends a request, once more if a kept connection was closed under it, and reads the answer's head.
    async fn exchange(&self, request: Request) -> Result<Response, reqwest::Error> {
        let again = request.try_clone();
        let first = async {
            let sent = self.pooled.execute(request).await;
            (sent, OPENED.with(Cell::get))
        };
        match (OPENED.scope(Cell::new(None), first).await, again) {
            ((Err(error), opened), Some(again))
                if is_broken_off(&error) && was_kept(&error, opened) =>
            {
                tracing::debug!("a kept connection was closed: the request is sent once more");
                self.fresh.execute(again).await
            }
            ((sent, _), _) => sent,
        }
    }
}

tokio::task_local! {
    /// The connection that was opened for the request that this task sends, by its address here.
    ///
    /// The request may have gone out on another one: while a connection is opened, one that is given
    /// back wins if it comes first. What is opened is kept then, by a task of the client's own.
    static OPENED: Cell<Option<SocketAddr>>;
}

/// A connector that notes in [`OPENED`] what it has opened.
#[derive(Clone)]
struct Noting<S>(S);

impl<S, D> Service<D> for Noting<S>
where
    S: Service<D>,
    S::Response: Connection,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, destination: D) -> Self::Future {
        let opening = self.0.call(destination);
        Box::pin(async move {
            let connection = opening.await?;
            // Outside an exchange's first sending nobody wants to know.
            let _ = OPENED.try_with(|opened| opened.set(local_address(&connection.connected())));
            Ok(connection)
        })
    }
}

fn local_address(connection: &Connected) -> Option<SocketAddr> {
    let mut extras = Extensions::new();
    connection.get_extras(&mut extras);
    extras.get().map(HttpInfo::local_addr)
}

/// Whether a request failed on a connection, and not on the one that was opened for it.
fn was_kept(error: &reqwest::Error, opened: Option<SocketAddr>) -> bool {
    let connection = causes(error)
        .find_map(|cause| cause.downcast_ref::<legacy::Error>())
        .and_then(legacy::Error::connect_info)
        .and_then(local_address);
    connection.is_some_and(|connection| opened != Some(connection))
}

/// Reads an answer's body to its end, so that the connection can be used again, unless it is long.
async fn read_to_keep(mut response: Response) -> Result<(), reqwest::Error> {
    let mut read = 0;
    while let Some(chunk) = response.chunk().await? {
        read += chunk.len().max(LEAST_PIECE);
        if read > ANSWER_LIMIT {
            break;
        }
    }
    Ok(())
}

/// Whether a connection ended before it brought an answer. What came may have been the beginning of
/// one, but no more than that.
fn is_broken_off(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| {
        if let Some(error) = cause.downcast_ref::<hyper::Error>() {
            error.is_incomplete_message()
        } else if let Some(error) = cause.downcast_ref::<io::Error>() {
            matches!(
                error.kind(),
                io::ErrorKind::ConnectionReset
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::BrokenPipe
                    // TLS that was not closed in its own way.
                    | io::ErrorKind::UnexpectedEof
            )
        } else {
            false
        }
    })
}

fn classify(error: &reqwest::Error) -> Outcome {
    if causes(error).any(<dyn Error>::is::<LeadsInside>) {
        Outcome::Refused
    } else if error.is_timeout() {
        Outcome::TimedOut
    } else if error.is_connect() {
        Outcome::Unreachable
    } else {
        Outcome::Broken
    }
}

/// Logs the cause for the operator; the owner of the hook gets the outcome's own words.
fn failed(outcome: Outcome, cause: &dyn Error) -> Outcome {
    tracing::info!(?outcome, %cause, "no answer");
    outcome
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |cause| {
        let cause: &(dyn Error + 'static) = *cause;
        cause.source()
    })
}

/// The innermost cause: the outermost repeats the URL, which may hold a secret of its owner.
fn root_cause(error: &reqwest::Error) -> &dyn Error {
    causes(error).last().unwrap_or(&NoCause)
}

/// The client knows no more than that it failed.
#[derive(Debug, thiserror::Error)]
#[error("unknown")]
struct NoCause;
