//! The headers by which an endpoint knows a delivery: Standard Webhooks 1.0.0, and the event's name.
//!
//! The id is the delivery's, the same on every attempt, so that an endpoint that has seen it can
//! leave a repetition alone. Time and signature are each attempt's own: an endpoint refuses what is
//! older than a few minutes, and a retry may come hours later. What is signed is the id, the time and
//! the body, joined by dots; while an old secret is still valid there is a signature of each, newest
//! first, and an endpoint takes the one that it can verify.
//!
//! A hook that has no secret yet is called without a signature, and with all else: nobody has been
//! given a secret that its deliveries could be verified with.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use http::header::{HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue};
use jiff::Timestamp;
use serde_json::value::RawValue;
use sha2::Sha256;
use uuid::Uuid;

use crate::model::{Secret, Secrets};

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const WEBHOOK_EVENT: HeaderName = HeaderName::from_static("webhook-event");

/// The block of SHA-256, in bytes.
const BLOCK_BYTES: usize = 64;

/// The headers of one attempt, made at `now`. An error: the event cannot stand in a header,
/// which is so of none that we queue.
pub fn headers(
    delivery_id: Uuid,
    event: &str,
    payload: &RawValue,
    secrets: Option<&Secrets>,
    now: Timestamp,
) -> Result<HeaderMap, InvalidHeaderValue> {
    let timestamp = now.as_second().to_string();
    let mut headers = HeaderMap::with_capacity(4);
    let delivery_id = delivery_id.to_string();
    headers.insert(WEBHOOK_ID, delivery_id.parse()?);
    headers.insert(WEBHOOK_TIMESTAMP, timestamp.parse()?);
    headers.insert(WEBHOOK_EVENT, event.parse()?);
    if let Some(secrets) = secrets {
        let signatures: Vec<String> = secrets
            .valid_at(now)
            .map(|secret| signature(secret, &delivery_id, &timestamp, payload))
            .collect();
        let signatures: HeaderValue = signatures.join(" ").parse()?;
        headers.insert(WEBHOOK_SIGNATURE, signatures);
    }
    Ok(headers)
}

fn signature(secret: &Secret, id: &str, timestamp: &str, payload: &RawValue) -> String {
    // HMAC itself fills a short key up with zeros to the length of a block. A whole block is a key
    // that cannot have a wrong length.
    let mut block = [0; BLOCK_BYTES];
    let (key, _) = block.split_at_mut(secret.key().len());
    key.copy_from_slice(secret.key());
    let mut mac = Hmac::<Sha256>::new(&block.into());
    for part in [id, ".", timestamp, ".", payload.get()] {
        mac.update(part.as_bytes());
    }
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use standardwebhooks::{Webhook, WebhookError};

    use super::*;
    use crate::{clock, model::SECRET_OVERLAP};

    const ID: &str = "0199b5a0-4f6e-7c3a-8d21-5b7e0a9c1f42";

    fn id() -> Uuid {
        ID.parse().unwrap()
    }

    const EVENT: &str = "cohort_user.added";
    const PAYLOAD: &str = "{\"price\": 299.00,\n\"s\":\"\\u00e9é\"}";

    fn payload(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    fn signed(secrets: &Secrets, now: Timestamp) -> HeaderMap {
        headers(id(), EVENT, &payload(PAYLOAD), Some(secrets), now).unwrap()
    }

    /// Verifies as a receiver does, with the published library.
    fn verify(secret: &Secret, headers: &HeaderMap, body: &str) -> Result<(), WebhookError> {
        let receiver = Webhook::new(&secret.expose()).unwrap();
        receiver.verify(body.as_bytes(), headers)
    }

    fn refused(result: &Result<(), WebhookError>) -> bool {
        matches!(result, Err(WebhookError::InvalidSignature))
    }

    #[test]
    fn what_is_signed_is_what_the_published_library_signs() {
        // A key and a time that stay, so that this holds from one release to the next.
        let secret = Secret::parse("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=").unwrap();
        let now: Timestamp = "2025-01-20T15:30:00.999Z".parse().unwrap();
        let headers = signed(&Secrets::first(secret.clone()), now);
        let theirs = Webhook::new(&secret.expose())
            .unwrap()
            .sign(ID, 1_737_387_000, PAYLOAD.as_bytes())
            .unwrap();
        let mut all: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect();
        all.sort_unstable();
        assert_eq!(
            all,
            [
                ("webhook-event", EVENT),
                ("webhook-id", ID),
                ("webhook-signature", theirs.as_str()),
                ("webhook-timestamp", "1737387000"),
            ]
        );
    }

    #[test]
    fn a_changed_body_id_or_time_is_refused_and_so_is_another_secret() {
        let secret = Secret::random().unwrap();
        let headers = signed(&Secrets::first(secret.clone()), clock::now());
        verify(&secret, &headers, PAYLOAD).unwrap();

        let changed = PAYLOAD.replace("299.00", "299.0");
        assert!(refused(&verify(&secret, &headers, &changed)));
        assert!(refused(&verify(
            &Secret::random().unwrap(),
            &headers,
            PAYLOAD
        )));
        let second = clock::now().as_second() - 60;
        for (name, value) in [
            (WEBHOOK_ID, "another".to_owned()),
            (WEBHOOK_TIMESTAMP, second.to_string()),
        ] {
            let mut headers = headers.clone();
            headers.insert(name, value.parse().unwrap());
            assert!(refused(&verify(&secret, &headers, PAYLOAD)));
        }
    }

    #[test]
    fn after_a_rotation_either_secret_verifies_until_the_old_one_has_expired() {
        let [old, new] = [(); 2].map(|()| Secret::random().unwrap());
        let now = clock::now();
        let rotated_at = |ago: Duration| {
            let secrets = Secrets::first(old.clone());
            secrets.rotated(new.clone(), now - ago).unwrap()
        };

        let both = signed(&rotated_at(Duration::ZERO), now);
        verify(&old, &both, PAYLOAD).unwrap();
        verify(&new, &both, PAYLOAD).unwrap();
        let newest = signed(&Secrets::first(new.clone()), now);
        let [newest, both] =
            [&newest, &both].map(|headers| headers["webhook-signature"].to_str().unwrap());
        assert_eq!(both.split(' ').count(), 2);
        assert_eq!(both.split(' ').next(), Some(newest));

        let one = signed(&rotated_at(SECRET_OVERLAP), now);
        verify(&new, &one, PAYLOAD).unwrap();
        assert!(refused(&verify(&old, &one, PAYLOAD)));
    }

    #[test]
    fn without_a_secret_there_is_no_signature_and_all_else() {
        let headers = headers(id(), EVENT, &payload(PAYLOAD), None, clock::now()).unwrap();
        assert!(!headers.contains_key("webhook-signature"));
        assert_eq!(headers.len(), 3);
    }

    #[test]
    fn an_event_that_no_header_takes_is_an_error() {
        let payload = payload(PAYLOAD);
        let result = headers(id(), "a\r\nx-admin: 1", &payload, None, clock::now());
        assert!(result.is_err(), "{result:?}");
    }

    proptest! {
        #[test]
        fn any_key_and_any_text_verify(key: [u8; 32], text: String) {
            let secret = format!("whsec_{}", STANDARD.encode(key));
            let secret = Secret::parse(&secret).unwrap();
            let body = serde_json::to_string(&text).unwrap();
            let secrets = Secrets::first(secret.clone());
            let headers = headers(id(), EVENT, &payload(&body), Some(&secrets), clock::now());
            prop_assert!(verify(&secret, &headers.unwrap(), &body).is_ok());
        }
    }
}
