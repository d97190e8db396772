//! JSON bodies.

use axum::http::{HeaderMap, header};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{ApiError, FieldErrors};
use crate::plain::{Plain, without_mark};

/// Reads a JSON body; `None` for an empty one, of whatever type it is said to be. A byte order mark before
/// it is skipped.
pub fn json_body<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Option<T>, ApiError> {
    if body.is_empty() {
        return Ok(None);
    }
    for coding in headers.get_all(header::CONTENT_ENCODING) {
        let coding = String::from_utf8_lossy(coding.as_bytes());
        let coding = coding.trim();
        if !coding.is_empty() && !coding.eq_ignore_ascii_case("identity") {
            return Err(ApiError::EncodedBody(coding.to_owned()));
        }
    }
    let media_type = headers
        .get(header::CONTENT_TYPE)
        .map_or(&b""[..], |value| value.as_bytes());
    let media_type = String::from_utf8_lossy(media_type);
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(ApiError::UnsupportedMediaType(media_type.into_owned()));
    }
    let json = without_mark(body).map_err(|error| ApiError::NotJson(error.to_string()))?;
    if json.is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(json)
        .map(Some)
        .map_err(|error| ApiError::not_json(&error))
}

/// The object that a body must be; an empty body is an empty object.
pub fn object(body: Option<Plain>) -> Result<Map<String, Value>, ApiError> {
    let kind = match body.map(|Plain(value)| value) {
        None => return Ok(Map::new()),
        Some(Value::Object(object)) => return Ok(object),
        Some(Value::Null) => {
            return Err(ApiError::Fields(FieldErrors::of_body(
                "No data provided".to_owned(),
            )));
        }
        Some(Value::Array(_)) => "list",
        Some(Value::String(_)) => "str",
        Some(Value::Bool(_)) => "bool",
        Some(Value::Number(number)) if number.is_f64() => "float",
        Some(Value::Number(_)) => "int",
    };
    let message = format!("Invalid data. Expected a dictionary, but got {kind}.");
    Err(ApiError::Fields(FieldErrors::of_body(message)))
}
