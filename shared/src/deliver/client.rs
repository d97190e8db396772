//! The HTTP client that deliveries go out with.
//!
//! It belongs to us, not to the endpoint: one deadline covers a whole attempt, redirects are answers
//! like any other, no more of an answer is read than is needed to keep the connection, nothing is
//! decompressed, and no proxy of the environment stands between the address guard and the socket.

use std::{error::Error, sync::Arc, time::Duration};

use reqwest::{
    Client, Response,
    header::{CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT},
    redirect::Policy,
};
use serde_json::value::RawValue;

use super::{
    guard::{AddressGuard, NotPublic, PublicResolver},
    retry_after::RetryAfter,
};
use crate::model::{DELIVERY_DEADLINE, Outcome, Target};

/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How much of an answer's body is read, in bytes. A longer one counts as read, and costs the
/// endpoint its connection.
const ANSWER_LIMIT: usize = 64 * 1024;

/// The document's name for us.
const USER_AGENT_VALUE: &str = "BreatheCode-Webhooks/1.0";

/// The client could not be made.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client cannot start")]
pub struct ClientError(#[from] reqwest::Error);

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
    http: Client,
    guard: AddressGuard,
}

impl DeliveryClient {
    /// A client that goes where `guard` lets it.
    pub fn new(guard: AddressGuard) -> Result<Self, ClientError> {
        // An error says that this process has a provider already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let headers = HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (USER_AGENT, HeaderValue::from_static(USER_AGENT_VALUE)),
        ]);
        let http = Client::builder()
            .default_headers(headers)
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(Policy::none())
            .no_proxy()
            .dns_resolver(Arc::new(PublicResolver))
            .build()?;
        Ok(Self { http, guard })
    }

    /// POSTs a payload, byte for byte and under these headers beside the document's, and says how
    /// that ended: within [`DELIVERY_DEADLINE`].
    pub async fn post(&self, target: &Target, headers: HeaderMap, payload: &RawValue) -> Reply {
        if self.guard.check(target.url()).is_err() {
            return Outcome::Refused.into();
        }
        let request = self
            .http
            .post(target.url().clone())
            .headers(headers)
            .body(payload.get().to_owned());
        let exchange = async {
            let response = request.send().await?;
            let status = response.status();
            let retry_after = RetryAfter::of(status, response.headers());
            read_to_keep(response).await?;
            Ok(Reply {
                outcome: Outcome::Answered(status.as_u16()),
                retry_after,
            })
        };
        match tokio::time::timeout(DELIVERY_DEADLINE, exchange).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(error)) => classify(&error).into(),
            Err(_) => Outcome::TimedOut.into(),
        }
    }
}

/// Reads an answer's body to its end, so that the connection can be used again, unless it is long.
async fn read_to_keep(mut response: Response) -> Result<(), reqwest::Error> {
    let mut read = 0;
    while let Some(chunk) = response.chunk().await? {
        read += chunk.len();
        if read > ANSWER_LIMIT {
            break;
        }
    }
    Ok(())
}

fn classify(error: &reqwest::Error) -> Outcome {
    let outcome = if has_cause::<NotPublic>(error) {
        Outcome::Refused
    } else if error.is_timeout() {
        Outcome::TimedOut
    } else if error.is_connect() {
        Outcome::Unreachable
    } else {
        Outcome::Broken
    };
    // The operator's log has the cause; the owner of the hook gets the outcome's own words.
    tracing::debug!(?outcome, cause = root_cause(error), "no answer");
    outcome
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |cause| {
        let cause: &(dyn Error + 'static) = *cause;
        cause.source()
    })
}

fn has_cause<E: Error + 'static>(error: &reqwest::Error) -> bool {
    causes(error).any(<dyn Error>::is::<E>)
}

/// The innermost cause: the outer ones repeat the URL, which may hold a secret of its owner.
fn root_cause(error: &reqwest::Error) -> String {
    causes(error)
        .last()
        .map_or_else(|| "unknown".to_owned(), ToString::to_string)
}
