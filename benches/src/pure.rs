//! The parts of the functions' hot paths that touch no socket and no clock, each with an input like those of
//! every day: timed by `cargo bench -p bench`, counted in instructions by `make bench-check`.

use std::{hint::black_box, sync::Arc};

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde_json::{Value, json, value::RawValue};
use shared::{
    catalog::{self, Change},
    deliver::{
        schedule::{RetrySchedule, delay_until},
        sign::{self, Told},
    },
    mask,
    model::{DeliveryJob, HookId, HookRef, QueueMessage, Scope, Secret, Secrets},
};
use uuid::Uuid;

use crate::payload::{EVENT, payload};

/// A part, and how it is done once.
#[expect(missing_debug_implementations, reason = "it holds a closure")]
pub struct Part {
    /// Its name.
    pub name: &'static str,
    /// Does it.
    pub once: Box<dyn Fn() -> Result<()>>,
}

impl Part {
    fn new<T>(name: &'static str, once: impl Fn() -> Result<T> + 'static) -> Self {
        let once = move || {
            black_box(once()?);
            Ok(())
        };
        Self {
            name,
            once: Box::new(once),
        }
    }
}

/// All parts.
pub fn parts() -> Result<Vec<Part>> {
    let now: Timestamp = "2025-01-20T15:30:00Z".parse()?;
    let payload: Arc<RawValue> = RawValue::from_string(payload(0)?)?.into();
    let event = catalog::find(EVENT).context("the catalogue has no such event")?;
    let delivery = QueueMessage::Delivery(DeliveryJob {
        delivery_id: Uuid::from_u128(1),
        event_id: Uuid::from_u128(2).to_string(),
        event: EVENT.to_owned(),
        academy: Some("academy".to_owned()),
        hook: HookRef {
            id: HookId::new(1).context("no id for a hook")?,
            scope: Scope::Academy("academy".to_owned()),
            owner: "academy".to_owned(),
        },
        attempt: 1,
        not_before: now,
        accepted_at: now,
        event_accepted_at: None,
        payload: Arc::clone(&payload),
    });
    let encoded = delivery.encode()?;
    let secret = Secret::parse("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")?;
    let secrets = Secrets::first(secret);
    let schedule: RetrySchedule = RetrySchedule::DEFAULT.parse()?;
    // A record says at which academy it is, which the payload that is made of it does not.
    let mut record: Value = serde_json::from_str(payload.get())?;
    record["cohort"]["academy"] = json!({"id": 1, "slug": "academy"});
    let record = RawValue::from_string(record.to_string())?;
    let [validated, signed, masked] = [(); 3].map(|()| Arc::clone(&payload));
    Ok(vec![
        Part::new("validate a payload", move || {
            Ok(event.payload(black_box(Arc::clone(&validated)))?)
        }),
        Part::new("find the events of a change", move || {
            let change = Change {
                model: event.model,
                before: None,
                after: Some(black_box(&record)),
            };
            Ok(change.events()?)
        }),
        Part::new("encode a job", move || Ok(black_box(&delivery).encode()?)),
        Part::new("decode a job", move || {
            Ok(QueueMessage::decode(black_box(&encoded))?)
        }),
        Part::new("sign a delivery", move || {
            let told = Told {
                delivery_id: Uuid::from_u128(1),
                event: EVENT,
                accepted_at: now,
                attempt: 1,
                hook: HookId::new(7).context("no id for a hook")?,
                service_id: Some("staging"),
                academy: Some("downtown-campus"),
                is_ping: false,
                payload: black_box(&signed),
            };
            Ok(sign::headers(told, Some(&secrets), now)?)
        }),
        Part::new("mask a sample", move || {
            Ok(mask::sample(black_box(&masked))?)
        }),
        Part::new("schedule a retry", move || {
            let next = schedule.next_attempt(black_box(2), now, None, 0.5);
            Ok(next.and_then(|next| delay_until(next, now)))
        }),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_can_be_done() {
        for part in parts().unwrap() {
            (part.once)().unwrap();
        }
    }
}
