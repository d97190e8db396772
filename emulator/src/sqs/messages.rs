//! Messages and batches of them: what they may be, and how they are shown.

use std::ops::RangeInclusive;

use md5::{Digest, Md5};
use uuid::Uuid;

use super::{
    SqsError,
    api::{
        BatchAnswer, Entry, Failed, MessageAttributes, NewMessage, ReceivedMessage, Sent,
        Successful,
    },
    queue::{ACCOUNT, Queue},
    store::{Outgoing, StoredMessage},
};
use crate::chain::TRACE_ATTRIBUTE;

/// The most bytes in a message, and in all messages of a batch together.
pub(super) const MAX_BYTES: usize = 1024 * 1024;

/// The most attributes of a message.
const MAX_ATTRIBUTES: usize = 10;

/// The most entries in a batch.
const MAX_ENTRIES: usize = 10;

pub(super) fn in_range(
    name: &str,
    value: i64,
    range: RangeInclusive<i64>,
) -> Result<i64, SqsError> {
    if range.contains(&value) {
        return Ok(value);
    }
    let (from, to) = range.into_inner();
    let message = format!("Value {value} for parameter {name} is invalid: {from} to {to}.");
    Err(SqsError::InvalidParameter(message))
}

/// Whether a text is a name as queues and the entries of batches have them.
pub(super) fn is_name(text: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (1..=80).contains(&text.len()) && text.chars().all(is_allowed)
}

/// Whether a text is the id of a group of messages.
fn is_group(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic())
}

pub(super) fn check_batch<E>(entries: &[Entry<E>]) -> Result<(), SqsError> {
    if entries.is_empty() {
        return Err(SqsError::EmptyBatch);
    }
    if entries.len() > MAX_ENTRIES {
        return Err(SqsError::TooManyEntries(entries.len()));
    }
    if let Some(entry) = entries.iter().find(|entry| !is_name(&entry.id)) {
        return Err(SqsError::InvalidEntryId(entry.id.clone()));
    }
    let mut ids: Vec<_> = entries.iter().map(|entry| &entry.id).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.len() < entries.len() {
        return Err(SqsError::IdsNotDistinct);
    }
    Ok(())
}

/// Does the same with each entry of a batch; one that fails does not spoil the others.
pub(super) fn each<E, A>(
    entries: Vec<Entry<E>>,
    mut action: impl FnMut(E) -> Result<A, SqsError>,
) -> BatchAnswer<A> {
    let mut answer = BatchAnswer {
        successful: Vec::new(),
        failed: Vec::new(),
    };
    for Entry { id, request } in entries {
        match action(request) {
            Ok(done) => answer.successful.push(Successful { id, answer: done }),
            Err(error) => answer.failed.push(Failed {
                id,
                code: error.codes().1,
                message: error.to_string(),
                sender_fault: !matches!(error, SqsError::Storage(_)),
            }),
        }
    }
    answer
}

pub(super) fn new_message(
    message: NewMessage,
    trace: Option<&str>,
    queue: &Queue,
) -> Result<(Outgoing, Sent), SqsError> {
    let NewMessage {
        body,
        delay_seconds,
        message_group_id,
        attributes,
    } = message;
    let delay = delay_seconds.unwrap_or_else(|| queue.number("DelaySeconds"));
    let delay = in_range("DelaySeconds", delay, 0..=900)? * 1000;
    let invalid = |text: String| Err(SqsError::InvalidParameter(text));
    if body.is_empty() {
        return Err(SqsError::MissingParameter("MessageBody"));
    }
    let limit = queue.number("MaximumMessageSize");
    let bytes = body.len() + bytes_of(&attributes);
    if i64::try_from(bytes).unwrap_or(i64::MAX) > limit {
        return invalid(format!(
            "A message of this queue has at most {limit} bytes."
        ));
    }
    if message_group_id.as_deref().is_some_and(|id| !is_group(id)) {
        return invalid(
            "MessageGroupId has 1 to 128 letters, digits and punctuation marks.".to_owned(),
        );
    }
    if attributes.len() > MAX_ATTRIBUTES {
        return invalid(format!(
            "A message has at most {MAX_ATTRIBUTES} attributes."
        ));
    }
    for (name, attribute) in &attributes {
        let value = attribute.string_value.as_deref().unwrap_or_default();
        if value.is_empty() || attribute.data_type.starts_with("Binary") {
            return invalid(format!(
                "The attribute {name} has no text: other values are not carried here."
            ));
        }
        if !value.chars().all(is_allowed) {
            return Err(SqsError::InvalidMessageContents);
        }
    }
    if !body.chars().all(is_allowed) {
        return Err(SqsError::InvalidMessageContents);
    }
    let message_id = Uuid::now_v7().to_string();
    let sent = Sent {
        message_id: message_id.clone(),
        md5_of_message_body: md5_hex(&body),
        md5_of_message_attributes: md5_of(&attributes),
    };
    Ok((
        Outgoing {
            message_id,
            body,
            group: message_group_id.unwrap_or_default(),
            attributes,
            trace: trace.unwrap_or_default().to_owned(),
            delay,
        },
        sent,
    ))
}

/// Whether the service takes a character: those that XML 1.0 does.
fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// How many bytes a message's attributes count for.
pub(super) fn bytes_of(attributes: &MessageAttributes) -> usize {
    let bytes = attributes.iter().map(|(name, attribute)| {
        let value = attribute.string_value.as_deref().unwrap_or_default();
        name.len() + attribute.data_type.len() + value.len()
    });
    bytes.sum()
}

fn md5_hex(text: impl AsRef<[u8]>) -> String {
    format!("{:032x}", u128::from_be_bytes(Md5::digest(text).into()))
}

/// The digest of a message's attributes that clients check, as the service's developer guide has it:
/// each part with its length before it, and a 1 before a text.
fn md5_of(attributes: &MessageAttributes) -> Option<String> {
    let mut bytes = Vec::new();
    let add = |bytes: &mut Vec<u8>, text: &str| {
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        bytes.extend(length.to_be_bytes());
        bytes.extend(text.as_bytes());
    };
    for (name, attribute) in attributes {
        add(&mut bytes, name);
        add(&mut bytes, &attribute.data_type);
        bytes.push(1);
        let value = attribute.string_value.as_deref();
        add(&mut bytes, value.unwrap_or_default());
    }
    (!attributes.is_empty()).then(|| md5_hex(bytes))
}

/// Which attributes of a received message are asked for.
pub(super) struct Wanted {
    /// Those of the system.
    pub(super) system: Vec<String>,
    /// Those of the sender.
    pub(super) sender: Vec<String>,
}

/// A received message as it is shown, with the attributes that are asked for.
pub(super) fn show(message: StoredMessage, wanted: &Wanted) -> ReceivedMessage {
    let is_asked = |name: &str| {
        wanted.sender.iter().any(|asked| match asked.as_str() {
            "All" | ".*" => true,
            asked => match asked.strip_suffix(".*") {
                Some(prefix) => name.starts_with(prefix),
                None => asked == name,
            },
        })
    };
    let mut message_attributes = message.attributes;
    message_attributes.retain(|name, _| is_asked(name));
    let attributes = [
        (
            "ApproximateFirstReceiveTimestamp",
            message.first_received_at.to_string(),
        ),
        ("ApproximateReceiveCount", message.receive_count.to_string()),
        ("MessageGroupId", message.group),
        ("SenderId", ACCOUNT.to_owned()),
        ("SentTimestamp", message.sent_at.to_string()),
        (TRACE_ATTRIBUTE, message.trace),
    ];
    let is_wanted = |name: &str| {
        let mut names = wanted.system.iter();
        names.any(|wanted| wanted == "All" || wanted == name)
    };
    ReceivedMessage {
        message_id: message.message_id,
        receipt_handle: message.receipt,
        md5_of_body: md5_hex(&message.body),
        body: message.body,
        attributes: attributes
            .into_iter()
            .filter(|(name, value)| is_wanted(name) && !value.is_empty())
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        md5_of_message_attributes: md5_of(&message_attributes),
        message_attributes,
    }
}
