//! An event as it was sent: its fields read and checked, its payload left as it is.

use std::sync::Arc;

use serde::{Deserialize, Deserializer};
use serde_json::{Value, value::RawValue};
use shared::{
    catalog::{self, CatalogEvent},
    http::{ApiError, Field, FieldErrors, TextField, object},
};

/// The largest payload, in bytes.
pub(crate) const MAX_PAYLOAD_BYTES: usize = 256 * 1024;

/// What the queue refuses: SQS takes the characters that XML 1.0 does.
const UNDELIVERABLE: [char; 2] = ['\u{fffe}', '\u{ffff}'];

const EVENT: TextField = TextField {
    name: "event",
    max_chars: 64,
    required: true,
    may_be_blank: false,
};
const ID: TextField = TextField {
    name: "id",
    max_chars: 64,
    required: false,
    may_be_blank: false,
};

/// Where an event happened, as its publisher says it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum AcademyRef {
    Slug(String),
    Id(u64),
}

impl std::fmt::Display for AcademyRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Slug(slug) => slug.fmt(f),
            Self::Id(id) => id.fmt(f),
        }
    }
}

/// An event that may be published.
#[derive(Clone, Debug)]
pub(crate) struct Incoming {
    pub(crate) event: &'static CatalogEvent,
    /// None: it happened at no academy.
    pub(crate) academy: Option<AcademyRef>,
    pub(crate) payload: Arc<RawValue>,
    /// The publisher's id for it.
    pub(crate) id: Option<String>,
}

/// The fields as they stand in the request. A field that is `null` is told apart from one that is
/// not there, which plain options would not do.
#[derive(Deserialize)]
struct Fields {
    #[serde(default, deserialize_with = "present")]
    event: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    academy: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    payload: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "present")]
    id: Option<Value>,
}

fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    value: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

impl Incoming {
    /// Reads an event: first all fields, then whether there is such an event.
    pub(crate) fn read(text: &str) -> Result<Self, ApiError> {
        let not_json = |error: serde_json::Error| ApiError::NotJson(error.to_string());
        if !text.starts_with('{') {
            object(Some(serde_json::from_str(text).map_err(not_json)?))?;
        }
        let fields: Fields = serde_json::from_str(text).map_err(not_json)?;
        let mut errors = FieldErrors::default();
        let event = EVENT.read(fields.event.as_ref(), &mut errors);
        let academy = academy(fields.academy, &mut errors);
        let payload = payload(fields.payload, &mut errors);
        let id = ID.read(fields.id.as_ref(), &mut errors);
        if let Field::Text(id) = &id
            && id.contains(UNDELIVERABLE)
        {
            errors.add(
                ID.name,
                "The characters U+FFFE and U+FFFF cannot be delivered.",
            );
        }
        let (Field::Text(event), Some(payload), true) = (event, payload, errors.is_empty()) else {
            return Err(ApiError::Fields(errors));
        };
        if payload.get().len() > MAX_PAYLOAD_BYTES {
            return Err(ApiError::PayloadTooLarge(MAX_PAYLOAD_BYTES));
        }
        let event = catalog::find(&event).ok_or(ApiError::UnknownEvent(event))?;
        let id = match id {
            Field::Text(id) => Some(id),
            Field::Absent | Field::Null => None,
        };
        Ok(Self {
            event,
            academy,
            payload: payload.into(),
            id,
        })
    }
}

fn academy(value: Option<Value>, errors: &mut FieldErrors) -> Option<AcademyRef> {
    match value {
        None => errors.add("academy", "This field is required."),
        Some(Value::Null) => {}
        Some(Value::String(slug)) => return Some(AcademyRef::Slug(slug.trim().to_owned())),
        Some(Value::Number(number)) if number.is_u64() => {
            return number.as_u64().map(AcademyRef::Id);
        }
        Some(_) => errors.add("academy", "Expected an academy's slug, its id, or null."),
    }
    None
}

fn payload(value: Option<Box<RawValue>>, errors: &mut FieldErrors) -> Option<Box<RawValue>> {
    let message = match value {
        None => "This field is required.",
        Some(payload) if payload.get() == "null" => "This field may not be null.",
        Some(payload) if payload.get().contains(UNDELIVERABLE) => {
            "The characters U+FFFE and U+FFFF cannot be delivered; write them as \\ufffe and \\uffff."
        }
        Some(payload) => return Some(payload),
    };
    errors.add("payload", message);
    None
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn mistakes(text: &str) -> Value {
        Incoming::read(text).unwrap_err().body()
    }

    #[test]
    fn the_payload_keeps_every_byte() {
        let text = r#"{"id": 7, "payload": {"a" : 1.50, "a":2}, "academy": 4, "event": " cohort_user.added "}"#;
        let incoming = Incoming::read(text).unwrap();
        assert_eq!(incoming.payload.get(), r#"{"a" : 1.50, "a":2}"#);
        assert_eq!(incoming.academy, Some(AcademyRef::Id(4)));
        assert_eq!(
            (incoming.event.name, incoming.id.as_deref()),
            ("cohort_user.added", Some("7"))
        );
    }

    #[rstest]
    #[case("{}", &["event", "academy", "payload"])]
    #[case(r#"{"event":null,"academy":null,"payload":null}"#, &["event", "payload"])]
    #[case(r#"{"event":"","academy":true,"payload":1,"id":""}"#, &["event", "academy", "id"])]
    #[case(r#"{"event":"x","academy":-1,"payload":1}"#, &["academy"])]
    #[case("{\"event\":\"x\",\"academy\":1,\"payload\":\"\u{ffff}\"}", &["payload"])]
    #[case(r#"{"event":"x","academy":1,"payload":1,"id":"\uffff"}"#, &["id"])]
    #[case("[]", &["non_field_errors"])]
    #[case("7", &["non_field_errors"])]
    fn every_field_is_checked(#[case] text: &str, #[case] fields: &[&str]) {
        let body = mistakes(text);
        let named: Vec<_> = body
            .as_object()
            .unwrap()
            .keys()
            .take(fields.len())
            .collect();
        assert_eq!(named, fields);
        assert_eq!(body["slug"], "validation-error");
    }

    #[test]
    fn an_unknown_event_is_named_after_the_fields_are_right() {
        let body = mistakes(r#"{"event":"x.y","academy":null,"payload":{}}"#);
        assert_eq!(
            (&body["slug"], &body["detail"]),
            (&"invalid-event".into(), &"Unexpected event x.y".into())
        );
    }

    #[test]
    fn the_largest_payload_is_256_kib() {
        let event = |bytes: usize| {
            let payload = "x".repeat(bytes - 2);
            format!(r#"{{"event":"cohort_user.added","academy":null,"payload":"{payload}"}}"#)
        };
        assert!(Incoming::read(&event(MAX_PAYLOAD_BYTES)).is_ok());
        assert_eq!(mistakes(&event(MAX_PAYLOAD_BYTES + 1))["status_code"], 413);
    }
}
