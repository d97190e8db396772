//! An EventBridge with one bus and one rule: what is put on the bus from the rule's sources goes into a
//! queue, in the envelope that the service puts around it.
//!
//! It serves `PutEvents` alone, and holds it to the limits that the service has had everywhere; some
//! regions take larger entries by now. An event that no
//! rule is for is accepted and gone, as with the service.

use std::sync::{Arc, OnceLock};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::{body_limit::bounded, sqs};

/// The most bytes of all entries of a request together.
const MAX_BYTES: usize = 256 * 1024;

/// The most entries of a request.
const MAX_ENTRIES: usize = 10;

/// A request of that size in JSON, where a character may take six.
const BODY_LIMIT: usize = 8 * MAX_BYTES;

/// Which events of which bus go into which queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRule {
    /// The bus's name.
    pub bus: String,
    /// The sources whose events do.
    pub sources: Vec<String>,
    /// The queue's name.
    pub queue: String,
}

/// The embedded EventBridge.
#[derive(Clone)]
pub(crate) struct Server {
    rule: Arc<OnceLock<EventRule>>,
    queues: sqs::Server,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutEvents {
    #[serde(default)]
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    #[serde(default)]
    source: String,
    #[serde(default)]
    detail_type: String,
    #[serde(default)]
    detail: String,
    event_bus_name: Option<String>,
    /// In seconds since 1970.
    time: Option<f64>,
    #[serde(default)]
    resources: Vec<String>,
}

/// An event as its target gets it.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Envelope<'a> {
    version: &'a str,
    id: Uuid,
    detail_type: &'a str,
    source: &'a str,
    account: &'a str,
    time: Timestamp,
    region: &'a str,
    resources: &'a [String],
    detail: &'a RawValue,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Put {
    failed_entry_count: usize,
    entries: Vec<PutEntry>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct PutEntry {
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<String>,
}

/// What is wrong with a request as a whole.
struct Refused {
    kind: &'static str,
    message: String,
}

/// What is wrong with an entry: the service's code, and words.
type WrongEntry = (&'static str, String);

impl Server {
    /// A server over these queues, with the rule that it is given in time.
    pub(crate) fn new(queues: sqs::Server, rule: Arc<OnceLock<EventRule>>) -> Self {
        Self { rule, queues }
    }

    /// Its HTTP side.
    pub(crate) fn router(self) -> Router {
        bounded(Router::new().fallback(serve), BODY_LIMIT).with_state(self)
    }

    fn put_events(&self, body: &[u8]) -> Result<Put, Refused> {
        let request: PutEvents = serde_json::from_slice(body)
            .map_err(|error| Refused::new("SerializationException", error.to_string()))?;
        let count = request.entries.len();
        if !(1..=MAX_ENTRIES).contains(&count) {
            let message =
                format!("A request has 1 to {MAX_ENTRIES} entries, this one has {count}.");
            return Err(Refused::new("ValidationException", message));
        }
        let bytes: usize = request.entries.iter().map(Entry::bytes).sum();
        if bytes > MAX_BYTES {
            let message =
                format!("The entries have {bytes} bytes, at most {MAX_BYTES} are allowed.");
            return Err(Refused::new("ValidationException", message));
        }
        let entries: Vec<_> = request
            .entries
            .iter()
            .map(|entry| match self.put(entry) {
                Ok(id) => PutEntry {
                    event_id: Some(id),
                    ..PutEntry::default()
                },
                Err((code, message)) => PutEntry {
                    error_code: Some(code),
                    error_message: Some(message),
                    ..PutEntry::default()
                },
            })
            .collect();
        let failed = entries.iter().filter(|entry| entry.error_code.is_some());
        Ok(Put {
            failed_entry_count: failed.count(),
            entries,
        })
    }

    fn put(&self, entry: &Entry) -> Result<Uuid, WrongEntry> {
        let given = [
            ("Source", &entry.source),
            ("DetailType", &entry.detail_type),
            ("Detail", &entry.detail),
        ];
        if let Some((name, _)) = given.iter().find(|(_, value)| value.is_empty()) {
            let message = format!("Parameter {name} is not valid. It is required.");
            return Err(("InvalidArgument", message));
        }
        let malformed = || ("MalformedDetail", "Detail is malformed.".to_owned());
        let detail: &RawValue = serde_json::from_str(&entry.detail).map_err(|_| malformed())?;
        if !detail.get().starts_with('{') {
            return Err(malformed());
        }
        let id = Uuid::new_v4();
        let Some(rule) = self.rule.get() else {
            return Ok(id);
        };
        // A bus may be named by its ARN.
        let bus = entry.event_bus_name.as_deref().unwrap_or("default");
        if bus.rsplit('/').next() != Some(&rule.bus) || !rule.sources.contains(&entry.source) {
            return Ok(id);
        }
        let failed = |error: &dyn std::fmt::Display| {
            tracing::error!(%error, "an event could not be queued");
            (
                "InternalFailure",
                "The event could not be queued.".to_owned(),
            )
        };
        let envelope = Envelope {
            version: "0",
            id,
            detail_type: &entry.detail_type,
            source: &entry.source,
            account: sqs::ACCOUNT,
            time: entry.time().map_err(|error| ("InvalidArgument", error))?,
            region: "us-east-1",
            resources: &entry.resources,
            detail,
        };
        let body = serde_json::to_string(&envelope).map_err(|error| failed(&error))?;
        self.queues
            .put(&rule.queue, body)
            .map_err(|error| failed(&error))?;
        Ok(id)
    }
}

impl Entry {
    /// How many bytes it counts for.
    fn bytes(&self) -> usize {
        let texts = [&self.source, &self.detail_type, &self.detail];
        let time = self.time.map_or(0, |_| 14);
        time + texts
            .into_iter()
            .chain(&self.resources)
            .map(String::len)
            .sum::<usize>()
    }

    /// When it happened: to the second, as the service tells it.
    fn time(&self) -> Result<Timestamp, String> {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a cast saturates, and what is too far away is no time"
        )]
        let second = match self.time {
            None => sqs::now() / 1000,
            Some(seconds) => seconds as i64,
        };
        Timestamp::from_second(second).map_err(|_| "Parameter Time is not valid.".to_owned())
    }
}

impl Refused {
    fn new(kind: &'static str, message: String) -> Self {
        Self { kind, message }
    }
}

const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.1");

async fn serve(State(server): State<Server>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers
        .get("x-amz-target")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let answer = match target {
        "AWSEvents.PutEvents" => server.put_events(&body),
        unknown => Err(Refused::new(
            "UnknownOperationException",
            format!("The action {unknown} is not known here."),
        )),
    };
    let (status, body) = match answer {
        Ok(put) => (StatusCode::OK, serde_json::json!(put)),
        Err(Refused { kind, message }) => (
            StatusCode::BAD_REQUEST,
            serde_json::json!({"__type": kind, "message": message}),
        ),
    };
    (
        status,
        [(header::CONTENT_TYPE, MEDIA_TYPE)],
        body.to_string(),
    )
        .into_response()
}
