//! What travels through the queues: one job is one delivery.
//!
//! Every message says its type and version, so that a worker of the next release can tell what an
//! older one has left in the queue. The payload is carried as the very bytes that were published.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{Hook, HookId, Scope};

/// Where the hook of a job was when the event was matched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookRef {
    /// Its id.
    pub id: HookId,
    /// Its partition.
    #[serde(rename = "academy")]
    pub scope: Scope,
    /// Its owner, who gets the HookError even when the hook is gone by then.
    pub owner: String,
}

impl From<&Hook> for HookRef {
    fn from(hook: &Hook) -> Self {
        Self {
            id: hook.id,
            scope: hook.scope.clone(),
            owner: hook.owner.clone(),
        }
    }
}

/// One delivery of one event to one hook.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeliveryJob {
    /// The delivery's id: the same for all its attempts.
    pub delivery_id: Uuid,
    /// The event's id: the publisher's, or ours.
    pub event_id: String,
    /// The event's name.
    pub event: String,
    /// The academy it happened at.
    pub academy: Option<String>,
    /// The hook to call.
    pub hook: HookRef,
    /// The attempt this job is to make, from 1.
    pub attempt: u32,
    /// The attempt is not to be made before this time.
    pub not_before: Timestamp,
    /// When the publisher was answered 202, or, for a redelivery, when it was asked for: its schedule begins here, and
    /// a failure after it is a new one.
    pub accepted_at: Timestamp,
    /// When the event was accepted, where that is not `accepted_at`: of a delivery that was asked for again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_accepted_at: Option<Timestamp>,
    /// The request body, byte for byte.
    pub payload: Arc<RawValue>,
}

impl DeliveryJob {
    /// When the publisher was answered 202, whatever has become of the delivery since.
    #[must_use]
    pub fn event_accepted_at(&self) -> Timestamp {
        self.event_accepted_at.unwrap_or(self.accepted_at)
    }
}

/// A dead-lettered delivery, with its last failure.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The delivery as it was last attempted.
    pub job: DeliveryJob,
    /// What went wrong, in words for the owner.
    pub message: String,
    /// What the endpoint answered, if it did.
    pub status: Option<u16>,
    /// When.
    pub failed_at: Timestamp,
}

/// A message of either queue.
#[derive(Clone, Debug)]
pub enum QueueMessage {
    /// `delivery.v1`.
    Delivery(DeliveryJob),
    /// `dead_letter.v1`.
    DeadLetter(DeadLetter),
}

/// Why a message's body cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// It is no JSON object with a `type`, or not one of its type.
    #[error("the message cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// A type or version that this release does not know.
    #[error("the message is of the unknown type {0:?}")]
    UnknownType(String),
}

const DELIVERY: &str = "delivery.v1";
const DEAD_LETTER: &str = "dead_letter.v1";

#[derive(Serialize)]
struct Tagged<'a, T> {
    r#type: &'a str,
    #[serde(flatten)]
    message: &'a T,
}

#[derive(Deserialize)]
struct Tag {
    r#type: String,
}

impl QueueMessage {
    /// The hook that it is about.
    #[must_use]
    pub fn hook_id(&self) -> HookId {
        match self {
            Self::Delivery(job) | Self::DeadLetter(DeadLetter { job, .. }) => job.hook.id,
        }
    }

    /// The message as a queue carries it.
    pub fn encode(&self) -> Result<String, serde_json::Error> {
        match self {
            Self::Delivery(job) => encode(DELIVERY, job),
            Self::DeadLetter(letter) => encode(DEAD_LETTER, letter),
        }
    }

    /// Reads a message's body.
    pub fn decode(body: &str) -> Result<Self, Malformed> {
        // Two passes, because serde's own tagged enums buffer what they read and would lose the
        // payload's exact bytes.
        let tag: Tag = serde_json::from_str(body)?;
        match tag.r#type.as_str() {
            DELIVERY => Ok(Self::Delivery(serde_json::from_str(body)?)),
            DEAD_LETTER => Ok(Self::DeadLetter(serde_json::from_str(body)?)),
            _ => Err(Malformed::UnknownType(tag.r#type)),
        }
    }
}

fn encode<T: Serialize>(r#type: &str, message: &T) -> Result<String, serde_json::Error> {
    serde_json::to_string(&Tagged { r#type, message })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(payload: &str) -> DeliveryJob {
        DeliveryJob {
            delivery_id: Uuid::from_u128(1),
            event_id: "e-1".to_owned(),
            event: "cohort_user.added".to_owned(),
            academy: None,
            hook: HookRef {
                id: HookId::new(7).unwrap(),
                scope: Scope::Platform,
                owner: "root".to_owned(),
            },
            attempt: 2,
            not_before: "2025-01-20T15:30:00Z".parse().unwrap(),
            accepted_at: "2025-01-20T15:30:00Z".parse().unwrap(),
            event_accepted_at: None,
            payload: RawValue::from_string(payload.to_owned()).unwrap().into(),
        }
    }

    #[test]
    fn the_payload_keeps_every_byte_through_both_queues() {
        let payload = "{\"price\": 299.00,  \"big\":12345678901234567890123, \"a\":1,\"a\":2,\n\"e\":1E2,\"s\":\"\\u00e9é\"}";
        let body = QueueMessage::Delivery(job(payload)).encode().unwrap();
        let QueueMessage::Delivery(read) = QueueMessage::decode(&body).unwrap() else {
            panic!("a delivery was written");
        };
        assert_eq!(read.payload.get(), payload);

        let letter = DeadLetter {
            job: read,
            message: "The endpoint answered 500.".to_owned(),
            status: Some(500),
            failed_at: "2025-01-20T15:51:00Z".parse().unwrap(),
        };
        let body = QueueMessage::DeadLetter(letter).encode().unwrap();
        let QueueMessage::DeadLetter(read) = QueueMessage::decode(&body).unwrap() else {
            panic!("a dead letter was written");
        };
        assert_eq!(read.job.payload.get(), payload);
        assert_eq!(read.job.hook.scope, Scope::Platform);
    }

    /// Jobs of a release are in the queue when the next one is deployed, and when that is taken back. So these
    /// texts do not change: another format is another version, beside which this one stays readable.
    #[test]
    fn version_1_is_written_and_read_as_it_ever_was() {
        const JOB: &str = r#""delivery_id":"00000000-0000-0000-0000-000000000001","event_id":"e-1","event":"cohort_user.added","academy":null,"hook":{"id":7,"academy":"*","owner":"root"},"attempt":2,"not_before":"2025-01-20T15:30:00Z","accepted_at":"2025-01-20T15:30:00Z","payload":{"id": 1}"#;
        let delivery = format!(r#"{{"type":"delivery.v1",{JOB}}}"#);
        let letter = format!(
            r#"{{"type":"dead_letter.v1","job":{{{JOB}}},"message":"The endpoint answered 500.","status":500,"failed_at":"2025-01-20T15:51:00Z"}}"#
        );
        for text in [delivery, letter] {
            let message = QueueMessage::decode(&text).unwrap();
            assert_eq!(message.encode().unwrap(), text);
        }
    }

    #[test]
    fn what_is_no_message_is_told_apart_from_a_newer_version() {
        assert!(matches!(
            QueueMessage::decode("no json"),
            Err(Malformed::Json(_))
        ));
        assert!(matches!(
            QueueMessage::decode(r#"{"type":"delivery.v1"}"#),
            Err(Malformed::Json(_))
        ));
        assert!(matches!(
            QueueMessage::decode(r#"{"type":"delivery.v9","x":1}"#),
            Err(Malformed::UnknownType(kind)) if kind == "delivery.v9"
        ));
    }
}
