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
//! minutes later. So it is when a kept connection brings a 408, by which a server says that it has waited
//! long enough for a request, and means the one that it had not got yet. A request that breaks off on a new
//! connection is a failed attempt.
//!
//! Lambda freezes a process between invocations. When it thaws, every connection that it kept may be
//! dead, and none of them shows it before a request goes out on it. So the resend never takes another
//! kept connection: it goes out on a fresh one, which is not kept. And idle connections are kept for
//! seconds only, so that a process that was frozen finds few; that alone is not enough, since its
//! clock may have been frozen with it. One that was dropped in silence cannot be told from a slow
//! endpoint, and costs the attempt.
//!
//! # What is an answer
//!
//! The status line. Endpoints are written by hand, and what else stands in a head is read as leniently as
//! it can be: a line that is no header is left out, folded lines are joined, and a space before a colon is
//! nobody's harm. A head has at most 1,024 fields and about 400 KiB. What cannot be read at all
//! is a failure with a class of its own.
//!
//! # What an endpoint can cost
//!
//! The HTTP library takes no more than 16 KiB of chunk extensions or trailers; of a body we take 64 KiB.
//! Only interim answers (1xx) have no bound but the deadline: they are dropped as they come, so that a flood
//! of them costs the time to parse what the line can carry, but no memory.

use std::{
    collections::HashMap,
    error::Error,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use reqwest::{
    Client, Request, Response, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, TRANSFER_ENCODING, USER_AGENT},
    redirect::Policy,
};
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout_at};
use tower::util::MapResponseLayer;
use url::{Position, Url};

use super::{
    connection, failure,
    guard::{AddressGuard, GuardedResolver, bound_for},
    resolve::{Resolve, SystemResolver},
    retry_after::RetryAfter,
};
use crate::{
    model::{DELIVERY_DEADLINE, Outcome, Target},
    tls,
};

/// How long a connection may take to open, with the look-up of its name and its TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection is kept without a request. Many servers (Node.js, Apache, uvicorn) close theirs after
/// 5 s: ours must be gone before that, or a request meets the close.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// How many fields the head of an answer may have. Room for so many is made for each head, and there
/// is no head that needs them.
const MOST_FIELDS: usize = 1_024;

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

/// Makes attempts. Connections are kept and shared between them; cloning is cheap.
#[derive(Clone, Debug)]
pub struct DeliveryClient {
    pooled: Client,
    /// For resends: each request has a connection of its own. Whether a connection is kept can be set for a
    /// client only, and not for a request.
    fresh: Client,
    distrusted: Distrusted,
    guard: AddressGuard,
}

impl DeliveryClient {
    /// A client that goes where `guard` lets it.
    pub fn new(guard: AddressGuard) -> Result<Self, ClientError> {
        Self::with_resolver(guard, SystemResolver::default())
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
                .connector_layer(MapResponseLayer::new(connection::noted))
                .http1_title_case_headers()
                .http1_max_headers(MOST_FIELDS)
                .http1_allow_obsolete_multiline_headers_in_responses(true)
                .http1_allow_spaces_after_header_name_in_responses(true)
                .http1_ignore_invalid_headers_in_responses(true)
                .build()
        };
        Ok(Self {
            pooled: client(usize::MAX)?,
            fresh: client(0)?,
            distrusted: Distrusted::default(),
            guard,
        })
    }

    /// POSTs a payload, byte for byte and under these headers beside the document's, and says how
    /// that ended: within [`DELIVERY_DEADLINE`].
    pub async fn post(&self, target: &Target, headers: HeaderMap, payload: &RawValue) -> Reply {
        if let Err(error) = self.guard.check(target.url()) {
            return no_answer(Outcome::Refused, &error);
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
            Ok(Err(error)) => return no_answer(failure::outcome(&error), &error.without_url()),
            Err(elapsed) => return no_answer(Outcome::TimedOut, &elapsed),
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

    /// Sends a request, and reads the answer's head.
    async fn exchange(&self, request: Request) -> Result<Response, reqwest::Error> {
        let url = request.url().clone();
        let response = if self.distrusted.has(&url) {
            self.fresh.execute(request).await?
        } else {
            self.send(request).await?
        };
        if has_two_lengths(response.headers()) {
            self.distrusted.add(&url);
        }
        Ok(response)
    }

    /// Sends a request, once more if a kept connection was closed under it.
    async fn send(&self, request: Request) -> Result<Response, reqwest::Error> {
        let again = request.try_clone();
        let (sent, kept) = connection::watched(self.pooled.execute(request)).await;
        let closed = match &sent {
            Ok(response) => response.status() == StatusCode::REQUEST_TIMEOUT,
            Err(error) => failure::is_broken_off(error),
        };
        match again {
            Some(again) if closed && kept => {
                tracing::debug!("a kept connection was closed: the request is sent once more");
                self.fresh.execute(again).await
            }
            _ => sent,
        }
    }
}

/// Whether an answer says in two ways where it ends. Its status counts like any other's; but what
/// comes after it may be seen as a part of it by somebody on the way, and so no other request may follow on
/// its connection.
fn has_two_lengths(headers: &HeaderMap) -> bool {
    headers.contains_key(CONTENT_LENGTH) && headers.contains_key(TRANSFER_ENCODING)
}

/// The endpoints of which no kept connection is used. The HTTP client keeps a connection as soon as it has
/// the whole answer, and takes no word against it; so whoever is not to use it uses none of the endpoint's
/// until it has been idle for too long.
#[derive(Clone, Debug, Default)]
struct Distrusted(Arc<Mutex<HashMap<String, Instant>>>);

impl Distrusted {
    fn add(&self, url: &Url) {
        let now = Instant::now();
        let mut since = self.since();
        since.retain(|_, since| Self::lasts(*since, now));
        since.insert(endpoint(url).to_owned(), now);
    }

    fn has(&self, url: &Url) -> bool {
        let since = self.since().get(endpoint(url)).copied();
        since.is_some_and(|since| Self::lasts(since, Instant::now()))
    }

    /// Twice as long as the connection is kept, since that begins when its answer has been read.
    fn lasts(since: Instant, now: Instant) -> bool {
        now - since < IDLE_TIMEOUT * 2
    }

    fn since(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        // Whoever panicked has left it as it was.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What those URLs have in common whose requests share connections.
fn endpoint(url: &Url) -> &str {
    &url[..Position::BeforePath]
}

/// Reads an answer's body to its end, so that the connection can be used again, unless it is long.
async fn read_to_keep(mut response: Response) -> Result<(), reqwest::Error> {
    let mut read = 0;
    while let Some(piece) = response.chunk().await? {
        read += piece.len().max(LEAST_PIECE);
        if read > ANSWER_LIMIT {
            break;
        }
    }
    Ok(())
}

fn no_answer(outcome: Outcome, error: &(dyn Error + 'static)) -> Reply {
    failure::log(outcome, error);
    Reply {
        outcome,
        retry_after: None,
    }
}
