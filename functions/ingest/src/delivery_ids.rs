//! The ids of an event's deliveries, which the endpoints get as `webhook-id`.
//!
//! What is published under its publisher's id may be published twice after all: when this function is
//! killed between the queue and the claim's end, the publisher sends it again. Its deliveries then have the
//! same ids, so that an endpoint that has seen one knows the other.

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use shared::{model::HookId, store::IdSpace};
use uuid::{Builder, Uuid};

/// The ids of the deliveries of one event.
#[derive(Clone)]
pub(crate) enum DeliveryIds {
    /// Of one that cannot be recognised when it is published again.
    New,
    /// Of one that its publisher's id stands for: made of what it is.
    Of(Sha256),
}

impl DeliveryIds {
    /// Those of an event that its publisher calls so. The payload is a part of them since the same id is
    /// another event on another day.
    pub(crate) fn of(
        ids: &IdSpace,
        id: &str,
        event: &str,
        academy: Option<&str>,
        payload: &RawValue,
    ) -> Self {
        let mut hash = Sha256::new();
        let parts = [ids.as_str(), id, event];
        for part in parts.into_iter().chain(academy).chain([payload.get()]) {
            // With its length, so that it cannot go on into the next.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self::Of(hash)
    }

    /// The id of the delivery to this hook.
    pub(crate) fn to(&self, hook: HookId) -> Uuid {
        let Self::Of(hash) = self else {
            return Uuid::now_v7();
        };
        let digest = hash.clone().chain_update(hook.get().to_be_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest.finalize()[..16]);
        // Version 8: made by a rule of one's own.
        Builder::from_custom_bytes(bytes).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(of: [&str; 4], academy: Option<&str>, hook: u64) -> Uuid {
        let [publisher, id, event, payload] = of;
        let payload = RawValue::from_string(payload.to_owned()).unwrap();
        let ids = IdSpace::events_of(publisher);
        let ids = DeliveryIds::of(&ids, id, event, academy, &payload);
        ids.to(HookId::new(hook).unwrap())
    }

    #[test]
    fn an_id_is_of_everything_that_its_delivery_is_and_the_same_in_every_release() {
        let (event, miami) = ("cohort_user.added", Some("miami"));
        let first = id(["platform", "e-1", event, "{}"], miami, 7);
        assert_eq!(first.to_string(), "5fae50d6-d57c-8ebe-87c8-eb5900549d19");
        assert_eq!(first.get_version_num(), 8);
        for other in [
            id(["other", "e-1", event, "{}"], miami, 7),
            id(["platform", "e-2", event, "{}"], miami, 7),
            id(["platforme", "-1", event, "{}"], miami, 7),
            id(["platform", "e-1", "cohort_user.changed", "{}"], miami, 7),
            id(["platform", "e-1", event, "{ }"], miami, 7),
            id(["platform", "e-1", event, "{}"], Some("downtown"), 7),
            id(["platform", "e-1", event, "{}"], None, 7),
            id(["platform", "e-1", event, "{}"], miami, 8),
        ] {
            assert_ne!(first, other);
        }
    }
}
