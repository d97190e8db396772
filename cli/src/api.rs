//! The HTTP API as a publisher calls it, wherever it runs.
//!
//! A call has three ends: accepted; refused, which no repetition changes; or not accepted now. Only
//! the last is tried again, a few times and within bounds, and then handed to whoever typed the
//! command as [`TryAgain`]. While the API says that a call under the same id is under way, it is asked until that
//! must have ended, whatever became of it: it may be our own last try, of a process that was killed. Whether the API had published something before it fell silent cannot be
//! known, so a call always has an id, under which the API does nothing twice.
//!
//! # The token
//!
//! It goes to the API that was named and nowhere else. Redirects are answers like any other. It does
//! not travel in the clear, but to this machine or when that is asked for; the proxy that the
//! environment may name is for https only, of which it sees nothing. No log shows it.

use std::{error::Error, io, net::IpAddr, path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use reqwest::{
    Client, Response, StatusCode, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER},
    redirect::Policy,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use shared::{store::Claims, terminal::one_line, tls};
use tokio::time::{Instant, sleep};

use crate::args::{ApiArgs, Environment};

/// How long a try may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// How long after its beginning a call is still tried again.
const PATIENCE: Duration = Duration::from_secs(30);

/// The same while another call under the same id is under way.
const IN_PROGRESS_PATIENCE: Duration = Duration::from_secs(75);

// A try may have claimed the id at its very end, and been cut off: then the lease has to run out, and there has to be
// time for one try more.
const _: () = assert!(
    IN_PROGRESS_PATIENCE.as_secs()
        > DEADLINE.as_secs() + Claims::LEASE.as_secs() + 2 * IN_PROGRESS_WAIT.as_secs()
);

/// The wait before each try while another call is under way, where the API does not ask for another.
const IN_PROGRESS_WAIT: Duration = Duration::from_secs(1);

/// The waits before the second and each further try, where the API does not ask for another.
const WAITS: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];

/// How much of an answer is read, in bytes: the longest answer to one call is far shorter.
const ANSWER_LIMIT: usize = 1024 * 1024;

/// The call was not accepted now. Made again later, and under the same id, it may be.
#[derive(Debug, thiserror::Error)]
#[error("{why}; send it again with --id {id}")]
pub(crate) struct TryAgain {
    why: String,
    id: String,
}

/// How a try ended, unless it was refused.
enum Tried {
    Accepted(Vec<u8>),
    NotNow {
        why: String,
        /// The wait that the API asks for.
        wait: Option<Duration>,
        /// Whether another call under the same id is under way.
        in_progress: bool,
    },
}

/// What the paths of the API begin with. Whoever names an API may name it with this or without.
const PREFIX: &str = "/v1/notify";

/// The API of a deployment, with a token for it.
pub(crate) struct Api {
    base: Url,
    http: Client,
}

impl Api {
    /// The API that the command line names, with the token that it or the environment has.
    pub(crate) fn new(args: &ApiArgs) -> Result<Self> {
        let base = &args.api;
        check(base, args.insecure)?;
        let headers = HeaderMap::from_iter([
            (AUTHORIZATION, authorization(args.token_file.as_deref())?),
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        ]);
        let mut http = Client::builder()
            .user_agent(concat!("academy-hooks/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .redirect(Policy::none())
            .tls_backend_preconfigured(tls::client_config())
            .timeout(DEADLINE);
        if base.scheme() == "http" {
            http = http.no_proxy();
        }
        let http = http.build().context("the HTTP client cannot start")?;
        Ok(Self {
            base: base.clone(),
            http,
        })
    }

    /// POSTs a body that has this id in it until it is accepted, and returns the answer as it came. The path is one
    /// below the API's prefix.
    pub(crate) async fn post(&self, path: &str, id: &str, body: String) -> Result<Vec<u8>> {
        let begin = Instant::now();
        let mut waits = WAITS.into_iter();
        loop {
            let (why, asked, in_progress) = match self.attempt(path, body.clone()).await? {
                Tried::Accepted(answer) => return Ok(answer),
                Tried::NotNow {
                    why,
                    wait,
                    in_progress,
                } => (why, wait, in_progress),
            };
            let (wait, patience) = if in_progress {
                (Some(IN_PROGRESS_WAIT), IN_PROGRESS_PATIENCE)
            } else {
                (waits.next(), PATIENCE)
            };
            let wait = wait.map(|wait| asked.unwrap_or(wait));
            let left = patience.saturating_sub(begin.elapsed());
            let Some(wait) = wait.filter(|wait| *wait < left) else {
                let id = id.to_owned();
                return Err(TryAgain { why, id }.into());
            };
            let seconds = wait.as_secs();
            complain!("{why}; it is sent again in {seconds} s, under the id {id}");
            sleep(wait).await;
        }
    }

    async fn attempt(&self, path: &str, body: String) -> Result<Tried> {
        let base = self.base.as_str().trim_end_matches('/');
        let base = base.strip_suffix(PREFIX).unwrap_or(base);
        let url = format!("{base}{PREFIX}{path}");
        let mut response = match self.http.post(url).body(body).send().await {
            Ok(response) => response,
            Err(error) => return self.unanswered(&error),
        };
        let status = response.status();
        let wait = retry_after(response.headers());
        let answer = match read(&mut response).await {
            Ok(answer) => answer,
            Err(error) => return self.unanswered(&error),
        };
        if status == StatusCode::ACCEPTED {
            return Ok(Tried::Accepted(answer));
        }
        let said = match detail(&answer) {
            Some(detail) => format!("the API answered {}: {detail}", status.as_u16()),
            None => format!("the API answered {status}"),
        };
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Ok(Tried::NotNow {
                why: said,
                wait,
                in_progress: is_in_progress(&answer),
            });
        }
        if status.is_redirection() {
            bail!("{said}; a redirect is not followed, since the token would go elsewhere");
        }
        bail!("{said}")
    }

    /// What there is to say where no answer came, or none that could be read to its end.
    fn unanswered(&self, error: &reqwest::Error) -> Result<Tried> {
        let api = &self.base;
        let cause = root_cause(error);
        if is_no_certificate(cause) {
            bail!("{api} is not to be trusted: {cause}");
        }
        let why = if error.is_connect() {
            format!("{api} cannot be reached: {cause}")
        } else if error.is_timeout() {
            format!("{api} did not answer within {} seconds", DEADLINE.as_secs())
        } else {
            format!("{api} broke off: {cause}")
        };
        Ok(Tried::NotNow {
            why,
            wait: None,
            in_progress: false,
        })
    }
}

/// Whether a token may be sent there.
fn check(api: &Url, insecure: bool) -> Result<()> {
    let host = api.host_str().unwrap_or_default();
    let is_http = api.scheme() == "http";
    if !is_http && api.scheme() != "https" || host.is_empty() {
        bail!("the API's URL {api} is neither http:// nor https://");
    }
    // Its credentials would be seen wherever the URL is said.
    if !api.username().is_empty() || api.password().is_some() {
        bail!("the API's URL has credentials in it; it takes a token, and nothing else");
    }
    if api.query().is_some() || api.fragment().is_some() {
        bail!("the API's URL {api} has more than a path");
    }
    if is_http && !insecure && !is_this_machine(host) {
        bail!(
            "the token would travel to {host} in the clear: use https://, or --insecure if that is \
             what you want"
        );
    }
    Ok(())
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

/// The header that says who calls. No message about it shows the token.
fn authorization(file: Option<&Path>) -> Result<HeaderValue> {
    let token = match file {
        Some(path) => {
            let token = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            SecretString::from(token)
        }
        None => Environment::read()
            .token
            .context("there is no token: set ACADEMY_HOOKS_TOKEN, or give --token-file")?,
    };
    // Some editors begin a file with a byte order mark.
    let token = token.expose_secret().trim_start_matches('\u{feff}').trim();
    if token.is_empty() || token.contains(|c: char| !c.is_ascii_graphic()) {
        bail!("the token is empty, or more than one word");
    }
    let mut header = HeaderValue::from_str(&format!("Token {token}"))?;
    header.set_sensitive(true);
    Ok(header)
}

/// Reads an answer, or as much of it as one of the API's can have.
async fn read(response: &mut Response) -> Result<Vec<u8>, reqwest::Error> {
    let mut answer = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        answer.extend_from_slice(&chunk);
        if answer.len() > ANSWER_LIMIT {
            break;
        }
    }
    Ok(answer)
}

/// The wait that an answer asks for, as the API does: in seconds.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    seconds.parse().ok().map(Duration::from_secs)
}

/// What the API says about a refusal, on one line.
fn detail(answer: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    answer["detail"].as_str().map(one_line)
}

/// Whether the API says that another call under the same id is under way.
fn is_in_progress(answer: &[u8]) -> bool {
    let answer: Result<Value, _> = serde_json::from_slice(answer);
    answer.is_ok_and(|answer| answer["slug"] == "event-in-progress")
}

/// The innermost cause: those around it say no more than that a request failed.
fn root_cause(error: &reqwest::Error) -> &(dyn Error + 'static) {
    let mut cause: &(dyn Error + 'static) = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause
}

/// Whether somebody answered who cannot prove to be the API.
fn is_no_certificate(mut cause: &(dyn Error + 'static)) -> bool {
    // An I/O error that is made of another error does not name that as its source.
    while let Some(inner) = cause
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
    {
        cause = inner;
    }
    let error = cause.downcast_ref::<rustls::Error>();
    matches!(error, Some(rustls::Error::InvalidCertificate(_)))
}
