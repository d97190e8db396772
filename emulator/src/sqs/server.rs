//! The HTTP side: which action is called, and how answers and errors look.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{SqsError, Store, messages::MAX_BYTES, store::Millis};
use crate::{body_limit::bounded, chain::TRACE_HEADER};

/// A batch of a MiB in JSON, where a character may take six.
const BODY_LIMIT: usize = 8 * MAX_BYTES;

/// The embedded SQS.
#[derive(Clone)]
pub(crate) struct Server {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) store: Store,
    pub(super) url: String,
    /// Wakes those who wait for a message.
    pub(super) changed: Notify,
    pub(super) stop: CancellationToken,
}

impl Server {
    /// A server at this URL over these queues. Waits for messages end when `stop` is cancelled.
    pub(crate) fn new(store: Store, url: String, stop: CancellationToken) -> Self {
        let changed = Notify::new();
        Self {
            inner: Arc::new(Inner {
                store,
                url,
                changed,
                stop,
            }),
        }
    }

    /// Its HTTP side.
    pub(crate) fn router(&self) -> Router {
        bounded(Router::new().fallback(serve), BODY_LIMIT).with_state(self.clone())
    }

    /// Deletes messages that have been kept for as long as their queue keeps them, and says so.
    pub(crate) fn sweep(&self) {
        if let Err(error) = self.expire() {
            tracing::warn!(%error, "expired messages could not be removed");
        }
    }

    fn expire(&self) -> Result<(), SqsError> {
        let now = now();
        self.inner.store.note_alive(now)?;
        for name in self.inner.store.names()? {
            let kept = self.queue(&name)?.number("MessageRetentionPeriod");
            let expired = self.inner.store.expire(&name, now - kept * 1000)?;
            if expired > 0 {
                tracing::warn!(
                    queue = name,
                    messages = expired,
                    kept_s = kept,
                    "removed: kept for as long as the queue keeps messages"
                );
            }
        }
        Ok(())
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a queue keeps its own time, as the service does"
)]
pub(crate) fn now() -> Millis {
    jiff::Timestamp::now().as_millisecond()
}

async fn serve(State(server): State<Server>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers
        .get("x-amz-target")
        .and_then(|value| value.to_str().ok());
    let action = target
        .and_then(|target| target.strip_prefix("AmazonSQS."))
        .unwrap_or_default();
    let trace = headers
        .get(TRACE_HEADER)
        .and_then(|value| value.to_str().ok());
    server.answer(action, trace, &body).await
}

impl Server {
    /// Answers an action. What is sent keeps the request's trace header.
    pub(crate) async fn answer(&self, action: &str, trace: Option<&str>, body: &[u8]) -> Response {
        let answer = match action {
            "CreateQueue" => call(body, |request| self.create_queue(request)),
            "GetQueueUrl" => call(body, |request| self.queue_url(&request)),
            "ListQueues" => call(body, |request| self.list_queues(&request)),
            "SetQueueAttributes" => call(body, |request| self.set_attributes(request)),
            "GetQueueAttributes" => call(body, |request| self.attributes(&request)),
            "PurgeQueue" => call(body, |request| self.purge(&request)),
            "SendMessage" => call(body, |request| self.send(request, trace)),
            "SendMessageBatch" => call(body, |request| self.send_batch(request, trace)),
            "DeleteMessage" => call(body, |request| self.delete(&request)),
            "DeleteMessageBatch" => call(body, |request| self.delete_batch(request)),
            "ChangeMessageVisibility" => call(body, |request| self.change_visibility(&request)),
            "ChangeMessageVisibilityBatch" => {
                call(body, |request| self.change_visibility_batch(request))
            }
            "ReceiveMessage" => match serde_json::from_slice(body) {
                Ok(request) => self.receive(request).await.and_then(|answer| json(&answer)),
                Err(error) => Err(error.into()),
            },
            unknown => Err(SqsError::InvalidAction(unknown.to_owned())),
        };
        answer.unwrap_or_else(IntoResponse::into_response)
    }
}

fn call<R: DeserializeOwned, A: Serialize>(
    body: &[u8],
    action: impl FnOnce(R) -> Result<A, SqsError>,
) -> Result<Response, SqsError> {
    json(&action(serde_json::from_slice(body)?)?)
}

const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.0");

fn json<A: Serialize>(answer: &A) -> Result<Response, SqsError> {
    let body = serde_json::to_vec(answer)?;
    Ok(([(header::CONTENT_TYPE, MEDIA_TYPE)], body).into_response())
}

impl IntoResponse for SqsError {
    fn into_response(self) -> Response {
        let (shape, code) = self.codes();
        let (status, fault) = match self {
            Self::Storage(_) => (StatusCode::INTERNAL_SERVER_ERROR, "Receiver"),
            _ => (StatusCode::BAD_REQUEST, "Sender"),
        };
        let body = serde_json::json!({
            "__type": format!("com.amazonaws.sqs#{shape}"),
            "message": self.to_string(),
        });
        let mut response = (status, body.to_string()).into_response();
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, MEDIA_TYPE);
        if let Ok(value) = HeaderValue::from_str(&format!("{code};{fault}")) {
            response.headers_mut().insert("x-amzn-query-error", value);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::Mutex,
    };

    use super::*;
    use crate::sqs::store::{Attributes, Outgoing};

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_expires_is_said() {
        let store = Store::memory().unwrap();
        for (queue, kept_s) in [("short", "60"), ("long", "3600")] {
            let kept_s = kept_s.to_owned();
            let attributes = Attributes::from([("MessageRetentionPeriod".to_owned(), kept_s)]);
            store.put(queue, &attributes, now()).unwrap();
            let message = || Outgoing {
                message_id: "m".to_owned(),
                body: "x".to_owned(),
                group: String::new(),
                attributes: std::collections::BTreeMap::new(),
                trace: String::new(),
                delay: 0,
            };
            let two_minutes_ago = now() - 120_000;
            let messages = [message(), message()];
            store.send(queue, &messages, two_minutes_ago).unwrap();
        }
        let server = Server::new(store, String::new(), CancellationToken::new());
        let log = Log::default();
        let writer = log.clone();
        let logging = tracing_subscriber::fmt().with_ansi(false);
        let logging = logging.with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(logging, || {
            server.sweep();
            server.sweep();
        });
        let said = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert_eq!(said.lines().count(), 1, "{said}");
        for part in [" WARN ", r#"queue="short""#, "messages=2", "kept_s=60"] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}
