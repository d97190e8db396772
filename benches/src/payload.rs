//! The event that everything is measured with.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use shared::catalog;

/// The event that is published.
pub const EVENT: &str = "assignment.assignment_created";

/// The size of a payload, in bytes.
pub const PAYLOAD_BYTES: usize = 1024;

/// What the numbers of events begin after, so that all are of one length.
const NUMBERS_BEGIN: usize = 1_000_000;

const PAYLOAD_BEGIN: &str = r#"{"id":"#;

/// The payload of an event: the catalogue's example of it, under this number and with a description
/// that makes it as long as it is to be.
pub fn payload(number: usize) -> Result<String> {
    let event = catalog::find(EVENT).context("the catalogue has no such event")?;
    let mut payload: Value = serde_json::from_str(event.example())?;
    payload["id"] = json!(NUMBERS_BEGIN + number);
    payload["description"] = json!("");
    let missing = PAYLOAD_BYTES.saturating_sub(payload.to_string().len());
    payload["description"] = json!("x".repeat(missing));
    let text = payload.to_string();
    ensure!(
        text.len() == PAYLOAD_BYTES && text.starts_with(PAYLOAD_BEGIN),
        "an example that cannot be made a load"
    );
    Ok(text)
}

/// The number of the event that has this payload.
#[must_use]
pub fn number_of(payload: &[u8]) -> Option<usize> {
    let text = payload.strip_prefix(PAYLOAD_BEGIN.as_bytes())?;
    let digits = text.split(|byte| !byte.is_ascii_digit()).next()?;
    let number: usize = std::str::from_utf8(digits).ok()?.parse().ok()?;
    number.checked_sub(NUMBERS_BEGIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_a_kilobyte_that_says_which_event_it_is_of() {
        for number in [0, 7, 99_999] {
            let payload = payload(number).unwrap();
            assert_eq!(payload.len(), PAYLOAD_BYTES);
            assert_eq!(number_of(payload.as_bytes()), Some(number));
        }
        assert_eq!(number_of(b"{}"), None);
    }
}
