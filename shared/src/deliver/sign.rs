//! The headers by which an endpoint knows a delivery: those of Standard Webhooks 1.0.0, and what else it is
//! told without being asked for a body.
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
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::value::RawValue;
use sha2::Sha256;
use uuid::Uuid;

use crate::model::{HookId, Secret, Secrets};

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const WEBHOOK_EVENT: HeaderName = HeaderName::from_static("webhook-event");
const WEBHOOK_EVENT_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-event-timestamp");
const WEBHOOK_ATTEMPT: HeaderName = HeaderName::from_static("webhook-attempt");
const WEBHOOK_HOOK: HeaderName = HeaderName::from_static("webhook-hook");
const WEBHOOK_SERVICE_ID: HeaderName = HeaderName::from_static("webhook-service-id");
const WEBHOOK_ACADEMY: HeaderName = HeaderName::from_static("webhook-academy");
const WEBHOOK_TEST: HeaderName = HeaderName::from_static("webhook-test");

/// What is percent-encoded of a service id, which may have any character: all but the unreserved ones
/// (RFC 3986).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The block of SHA-256, in bytes.
const BLOCK_BYTES: usize = 64;

/// What an endpoint is told of an attempt.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// The delivery's id.
    pub delivery_id: Uuid,
    /// The event's name.
    pub event: &'a str,
    /// When the event was accepted.
    pub accepted_at: Timestamp,
    /// Which attempt of the delivery it is, from 1.
    pub attempt: u32,
    /// The hook.
    pub hook: HookId,
    /// The hook's service id.
    pub service_id: Option<&'a str>,
    /// The academy that the event is of.
    pub academy: Option<&'a str>,
    /// Whether it is a ping, and no delivery.
    pub is_ping: bool,
    /// The body.
    pub payload: &'a RawValue,
}

/// The headers of one attempt, made at `now`. An error: the event cannot stand in a header,
/// which is so of none that we queue.
pub fn headers(
    told: Told<'_>,
    secrets: Option<&Secrets>,
    now: Timestamp,
) -> Result<HeaderMap, InvalidHeaderValue> {
    let timestamp = now.as_second().to_string();
    let delivery_id = told.delivery_id.to_string();
    let mut headers = HeaderMap::with_capacity(10);
    headers.insert(WEBHOOK_ID, delivery_id.parse()?);
    headers.insert(WEBHOOK_TIMESTAMP, timestamp.parse()?);
    headers.insert(WEBHOOK_EVENT, told.event.parse()?);
    let accepted_at = told.accepted_at.as_second();
    headers.insert(WEBHOOK_EVENT_TIMESTAMP, accepted_at.into());
    headers.insert(WEBHOOK_ATTEMPT, told.attempt.into());
    headers.insert(WEBHOOK_HOOK, told.hook.get().into());
    if let Some(service_id) = told.service_id {
        let service_id = utf8_percent_encode(service_id, RESERVED).to_string();
        headers.insert(WEBHOOK_SERVICE_ID, service_id.parse()?);
    }
    if let Some(academy) = told.academy {
        // A slug may have letters that are not ASCII.
        let academy = utf8_percent_encode(academy, CONTROLS).to_string();
        headers.insert(WEBHOOK_ACADEMY, academy.parse()?);
    }
    if told.is_ping {
        headers.insert(WEBHOOK_TEST, HeaderValue::from_static("ping"));
    }
    if let Some(secrets) = secrets {
        let signatures: Vec<String> = secrets
            .valid_at(now)
            .map(|secret| signature(secret, &delivery_id, &timestamp, told.payload))
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

    fn told(payload: &RawValue) -> Told<'_> {
        Told {
            delivery_id: id(),
            event: EVENT,
            accepted_at: "2025-01-20T15:25:00.999Z".parse().unwrap(),
            attempt: 2,
            hook: HookId::new(125).unwrap(),
            service_id: None,
            academy: None,
            is_ping: false,
            payload,
        }
    }

    fn signed(secrets: &Secrets, now: Timestamp) -> HeaderMap {
        headers(told(&payload(PAYLOAD)), Some(secrets), now).unwrap()
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
                ("webhook-attempt", "2"),
                ("webhook-event", EVENT),
                ("webhook-event-timestamp", "1737386700"),
                ("webhook-hook", "125"),
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
        let headers = headers(told(&payload(PAYLOAD)), None, clock::now()).unwrap();
        assert!(!headers.contains_key("webhook-signature"));
        assert_eq!(headers.len(), 6);
    }

    #[test]
    fn a_service_id_an_academy_and_a_ping_are_named() {
        let payload = payload(PAYLOAD);
        let told = Told {
            service_id: Some("my service/é%-._~"),
            academy: Some("downtown-campus"),
            is_ping: true,
            ..told(&payload)
        };
        let headers = headers(told, None, clock::now()).unwrap();
        assert_eq!(
            headers["webhook-service-id"],
            "my%20service%2F%C3%A9%25-._~"
        );
        assert_eq!(headers["webhook-academy"], "downtown-campus");
        assert_eq!(headers["webhook-test"], "ping");
    }

    #[test]
    fn an_event_that_no_header_takes_is_an_error() {
        let payload = payload(PAYLOAD);
        let told = Told {
            event: "a\r\nx-admin: 1",
            ..told(&payload)
        };
        let result = headers(told, None, clock::now());
        assert!(result.is_err(), "{result:?}");
    }

    proptest! {
        #[test]
        fn any_key_and_any_text_verify(key: [u8; 32], text: String) {
            let secret = format!("whsec_{}", STANDARD.encode(key));
            let secret = Secret::parse(&secret).unwrap();
            let body = serde_json::to_string(&text).unwrap();
            let secrets = Secrets::first(secret.clone());
            let headers = headers(told(&payload(&body)), Some(&secrets), clock::now());
            prop_assert!(verify(&secret, &headers.unwrap(), &body).is_ok());
        }

        #[test]
        fn any_service_id_stands_in_a_header_and_can_be_read_back(text: String) {
            let payload = payload(PAYLOAD);
            let told = Told { service_id: Some(&text), ..told(&payload) };
            let headers = headers(told, None, clock::now()).unwrap();
            let value = headers["webhook-service-id"].to_str().unwrap();
            let read = percent_encoding::percent_decode_str(value).decode_utf8().unwrap();
            prop_assert_eq!(read, text);
        }
    }
}
