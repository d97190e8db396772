//! What was sent, read and checked: an event, or a change and the events that it is.
//!
//! All fields are checked before anything is looked up, so that a mistake is answered whatever else is
//! going on. A payload is held to its event's type and otherwise stays the text that it is.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};
use shared::{
    catalog::{self, CatalogEvent, Change, ChangeError},
    http::{ApiError, Field, FieldErrors, TextField, object},
    model::AcademyRef,
    plain::Plain,
    store::IdSpace,
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
const MODEL: TextField = TextField {
    name: "model",
    max_chars: 64,
    required: true,
    may_be_blank: false,
};
pub(crate) const ID: TextField = TextField {
    name: "id",
    max_chars: 64,
    required: false,
    may_be_blank: false,
};

/// What is published under one id: an event, or a change with none, one or several events.
#[derive(Clone, Debug)]
pub(crate) struct Submission {
    /// Among which ids its id is meant.
    pub(crate) ids: IdSpace,
    /// The publisher's id for it.
    pub(crate) id: Option<String>,
    pub(crate) events: Vec<Incoming>,
}

/// An event that may be published.
#[derive(Clone, Debug)]
pub(crate) struct Incoming {
    pub(crate) event: &'static CatalogEvent,
    /// None: it happened at no academy.
    pub(crate) academy: Option<AcademyRef>,
    pub(crate) payload: Arc<RawValue>,
    /// What was left out of the payload.
    pub(crate) dropped: Vec<String>,
}

/// An event's fields as they stand in a request. A field that is `null` is told apart from one that is
/// not there, which plain options would not do.
#[derive(Deserialize)]
pub(crate) struct EventFields {
    #[serde(default, deserialize_with = "plain")]
    pub(crate) event: Option<Value>,
    #[serde(default, deserialize_with = "plain")]
    academy: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    payload: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "plain")]
    pub(crate) id: Option<Value>,
}

/// A change's fields as they stand in a request.
#[derive(Deserialize)]
pub(crate) struct ChangeFields {
    #[serde(default, deserialize_with = "plain")]
    model: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    before: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "present")]
    after: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "plain")]
    pub(crate) id: Option<Value>,
}

fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    value: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

fn plain<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Value>, D::Error> {
    Plain::deserialize(value).map(|Plain(value)| Some(value))
}

/// What can be read of a request and is submitted.
pub(crate) trait Submitted: DeserializeOwned {
    /// Checks all fields.
    fn submission(self, ids: IdSpace) -> Result<Submission, ApiError>;

    /// Reads it out of a text, which must be an object.
    fn read(text: &str, ids: IdSpace) -> Result<Submission, ApiError> {
        fields::<Self>(text)?.submission(ids)
    }
}

/// The fields of a text that must be an object.
pub(crate) fn fields<T: DeserializeOwned>(text: &str) -> Result<T, ApiError> {
    let not_json = |error: serde_json::Error| ApiError::not_json(&error);
    if !text.starts_with('{') {
        object(Some(serde_json::from_str(text).map_err(not_json)?))?;
    }
    serde_json::from_str(text).map_err(not_json)
}

impl Submitted for EventFields {
    /// First all fields, then whether there is such an event, then whether its payload is one.
    fn submission(self, ids: IdSpace) -> Result<Submission, ApiError> {
        let mut errors = FieldErrors::default();
        let event = EVENT.read(self.event.as_ref(), &mut errors);
        let academy = academy(self.academy, &mut errors);
        let payload = payload(self.payload, &mut errors);
        let id = id(self.id.as_ref(), &mut errors);
        let (Field::Text(event), Some(payload), true) = (event, payload, errors.is_empty()) else {
            return Err(ApiError::Fields(errors));
        };
        if payload.get().len() > MAX_PAYLOAD_BYTES {
            return Err(ApiError::PayloadTooLarge(MAX_PAYLOAD_BYTES));
        }
        let event = catalog::find(&event).ok_or(ApiError::UnknownEvent(event))?;
        let payload = event.payload(payload.into()).map_err(|mistake| {
            let mut errors = FieldErrors::default();
            errors.add(mistake.path.below("payload"), mistake.message);
            ApiError::Fields(errors)
        })?;
        Ok(Submission {
            ids,
            id,
            events: vec![Incoming {
                event,
                academy,
                payload: payload.json,
                dropped: payload.dropped,
            }],
        })
    }
}

impl Submitted for ChangeFields {
    /// First all fields, then what the change is. What the events do not have of the record is left out
    /// without a word: a record has more than any of them.
    fn submission(self, ids: IdSpace) -> Result<Submission, ApiError> {
        let mut errors = FieldErrors::default();
        let model = MODEL.read(self.model.as_ref(), &mut errors);
        for (name, record) in [("before", &self.before), ("after", &self.after)] {
            if record.is_none() {
                errors.add(name, "This field is required.");
            }
        }
        let there = |record: Option<Box<RawValue>>| record.filter(|json| json.get() != "null");
        let both_given = self.before.is_some() && self.after.is_some();
        let (before, after) = (there(self.before), there(self.after));
        if both_given && before.is_none() && after.is_none() {
            errors.add("after", "This field and `before` may not both be null.");
        }
        let id = id(self.id.as_ref(), &mut errors);
        let (Field::Text(model), true) = (model, errors.is_empty()) else {
            return Err(ApiError::Fields(errors));
        };
        let change = Change {
            model: &model,
            before: before.as_deref(),
            after: after.as_deref(),
        };
        let derived = change.events().map_err(|error| match error {
            ChangeError::UnknownModel(model) => ApiError::UnknownModel(model),
            ChangeError::Record { side, mistake } => {
                let mut errors = FieldErrors::default();
                errors.add(mistake.path.below(side), mistake.message);
                ApiError::Fields(errors)
            }
        })?;
        let events = derived.into_iter().map(|derived| {
            if derived.payload.get().len() > MAX_PAYLOAD_BYTES {
                return Err(ApiError::PayloadTooLarge(MAX_PAYLOAD_BYTES));
            }
            if derived.payload.get().contains(UNDELIVERABLE) {
                let mut errors = FieldErrors::default();
                errors.add("after", UNDELIVERABLE_JSON);
                return Err(ApiError::Fields(errors));
            }
            Ok(Incoming {
                event: derived.event,
                academy: derived.academy,
                payload: derived.payload,
                dropped: Vec::new(),
            })
        });
        Ok(Submission {
            ids,
            id,
            events: events.collect::<Result<_, _>>()?,
        })
    }
}

fn id(value: Option<&Value>, errors: &mut FieldErrors) -> Option<String> {
    let Field::Text(id) = ID.read(value, errors) else {
        return None;
    };
    if id.contains(UNDELIVERABLE) {
        errors.add(
            ID.name,
            "The characters U+FFFE and U+FFFF cannot be delivered.",
        );
    }
    Some(id)
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

const UNDELIVERABLE_JSON: &str =
    "The characters U+FFFE and U+FFFF cannot be delivered; write them as \\ufffe and \\uffff.";

fn payload(value: Option<Box<RawValue>>, errors: &mut FieldErrors) -> Option<Box<RawValue>> {
    let message = match value {
        None => "This field is required.",
        Some(payload) if payload.get() == "null" => "This field may not be null.",
        Some(payload) if payload.get().contains(UNDELIVERABLE) => UNDELIVERABLE_JSON,
        Some(payload) => return Some(payload),
    };
    errors.add("payload", message);
    None
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn read(text: &str) -> Result<Submission, ApiError> {
        EventFields::read(text, IdSpace::events_of("platform"))
    }

    fn mistakes(text: &str) -> Value {
        read(text).unwrap_err().body()
    }

    #[test]
    fn names_that_serde_json_uses_itself_do_not_overflow_the_stack() {
        let nested = (0..12).fold("1".to_owned(), |inner, _| {
            let inner = serde_json::json!({"$serde_json::private::RawValue": inner});
            format!("{}{inner}{}", "[".repeat(100), "]".repeat(100))
        });
        mistakes(&format!(
            r#"{{"event": {nested}, "academy": {nested}, "payload": 1, "id": {nested}}}"#
        ));
        mistakes(&nested);
        let record = format!(r#"{{"id": 1, "cohort": {nested}, "educational_status": {nested}}}"#);
        let change = format!(
            r#"{{"model": "admissions.CohortUser", "before": {record}, "after": {record}}}"#
        );
        ChangeFields::read(&change, IdSpace::events_of("platform")).expect_err("no academy");
    }

    #[test]
    fn the_payload_keeps_every_byte() {
        let text = r#"{"id": 7, "payload": {"id" : 1, "role":"\u00e9"}, "academy": 4, "event": " cohort_user.added "}"#;
        let submission = read(text).unwrap();
        assert_eq!(submission.id.as_deref(), Some("7"));
        let [incoming] = submission.events.as_slice() else {
            unreachable!("an event is one")
        };
        assert_eq!(incoming.payload.get(), r#"{"id" : 1, "role":"\u00e9"}"#);
        assert_eq!(incoming.academy, Some(AcademyRef::Id(4)));
        assert_eq!(incoming.event.name, "cohort_user.added");
        assert!(incoming.dropped.is_empty());
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
            let role = "x".repeat(bytes - r#"{"id":1,"role":""}"#.len());
            format!(
                r#"{{"event":"cohort_user.added","academy":null,"payload":{{"id":1,"role":"{role}"}}}}"#
            )
        };
        assert!(read(&event(MAX_PAYLOAD_BYTES)).is_ok());
        assert_eq!(mistakes(&event(MAX_PAYLOAD_BYTES + 1))["status_code"], 413);
    }
}
