//! The header `Idempotency-Key`: another place for the id of what is published.
//!
//! Clients that put such a key on every request need no field for it. It is the id, with the same rules. Of a
//! list each item has an id of its own, for which one header cannot stand.

use axum::http::{HeaderMap, HeaderName};
use serde_json::Value;
use shared::http::{ApiError, Field, FieldErrors, TextField};
use utoipa::{
    IntoParams, PartialSchema,
    openapi::path::{Parameter, ParameterBuilder, ParameterIn},
};

use crate::incoming::{ID, Submission};

const HEADER: HeaderName = HeaderName::from_static("idempotency-key");

/// The header as messages call it. Its rules are those of the id.
const KEY: TextField = TextField {
    name: "Idempotency-Key",
    ..ID
};

/// The id that a request's header gives, if it has one.
#[derive(Debug)]
pub(crate) struct IdempotencyKey(Option<String>);

impl IdempotencyKey {
    /// Reads the header: a text, with or without the quotes that a structured field has.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let mut values = headers.get_all(HEADER).iter();
        let Some(value) = values.next() else {
            return Ok(Self(None));
        };
        if values.next().is_some() {
            return Err(wrong("This header is given twice."));
        }
        let text = value.to_str().map_err(|_| wrong("Not a valid string."))?;
        let text = text.trim();
        let quoted = text
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'));
        let mut errors = FieldErrors::default();
        let text = Value::from(quoted.unwrap_or(text));
        match KEY.read(Some(&text), &mut errors) {
            Field::Text(key) if errors.is_empty() => Ok(Self(Some(key))),
            _ => Err(ApiError::Fields(errors)),
        }
    }

    /// Gives what was sent this id. It may have the same already, and no other.
    pub(crate) fn name(self, mut sent: Submission) -> Result<Submission, ApiError> {
        match (self.0, &sent.id) {
            (Some(key), Some(id)) if key != *id => {
                Err(wrong("This header and the field `id` are not the same."))
            }
            (Some(key), None) => {
                sent.id = Some(key);
                Ok(sent)
            }
            _ => Ok(sent),
        }
    }

    /// It is an error when it is there and what was sent is a list.
    pub(crate) fn refuse_for_list(&self) -> Result<(), ApiError> {
        match self.0 {
            None => Ok(()),
            Some(_) => Err(wrong(
                "A list has no id: give each of its items one, in the field `id`.",
            )),
        }
    }
}

fn wrong(message: &str) -> ApiError {
    let mut errors = FieldErrors::default();
    errors.add(KEY.name, message);
    ApiError::Fields(errors)
}

impl IntoParams for IdempotencyKey {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let header = ParameterBuilder::new()
            .name(KEY.name)
            .parameter_in(ParameterIn::Header)
            .description(Some("Stands for the field `id` of what is no list."))
            .schema(Some(String::schema()));
        vec![header.build()]
    }
}
