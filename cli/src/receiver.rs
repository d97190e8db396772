//! An endpoint of our own, to try deliveries with: it answers each request with the same status and
//! hands it on to whoever wants to look at it.

use std::{fmt::Write, net::SocketAddr};

use anyhow::{Context, Result};
use axum::{
    Router,
    body::{Bytes, to_bytes},
    extract::Request,
    http::{HeaderMap, Method, StatusCode},
};
use emulator::{ServerLimits, serve};
use shared::terminal::printable;
use tokio::{
    net::TcpListener,
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
};
use tokio_util::sync::CancellationToken;

/// The most bytes that it takes of a body.
const BODY_LIMIT: usize = 1024 * 1024;

/// More connections than deliveries to one endpoint are made at once.
const LIMITS: ServerLimits = ServerLimits::with_connections(2 * emulator::GROUP_IN_FLIGHT as usize);

/// How many bytes of a body are shown.
const SHOWN_LIMIT: usize = 4096;

/// A request as it came in.
pub(crate) struct Received {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Received {
    /// The request for a person to read, with what would act on a terminal escaped, and the beginning of a long body.
    pub(crate) fn shown(&self) -> String {
        let mut shown = format!("  {} {}\n", self.method, printable(&self.path));
        for (name, value) in &self.headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            // Writing into a text does not fail.
            let _ = writeln!(shown, "  {name}: {}", printable(&value));
        }
        let (body, rest) = self.body.split_at(self.body.len().min(SHOWN_LIMIT));
        shown.push('\n');
        for line in String::from_utf8_lossy(body).lines() {
            let _ = writeln!(shown, "  {}", printable(line));
        }
        if !rest.is_empty() {
            let _ = writeln!(shown, "  … and {} bytes more", rest.len());
        }
        shown
    }
}

/// A running receiver.
pub(crate) struct Receiver {
    pub(crate) addr: SocketAddr,
    pub(crate) requests: UnboundedReceiver<Received>,
}

impl Receiver {
    /// Listens, and answers with `status` for as long as the process runs.
    pub(crate) async fn start(addr: SocketAddr, status: StatusCode) -> Result<Self> {
        let listener = TcpListener::bind(addr)
            .await
            .with_context(|| format!("cannot listen on {addr}"))?;
        let addr = listener.local_addr()?;
        let (sender, requests) = unbounded_channel();
        let router = Router::new().fallback(move |request: Request| {
            let sender = sender.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = to_bytes(body, BODY_LIMIT).await.unwrap_or_default();
                // Nobody may be looking any more, which is no reason to answer otherwise.
                let _ = sender.send(Received {
                    method: parts.method,
                    path: parts.uri.to_string(),
                    headers: parts.headers,
                    body,
                });
                status
            }
        });
        tokio::spawn(serve(listener, router, LIMITS, CancellationToken::new()));
        Ok(Self { addr, requests })
    }
}
