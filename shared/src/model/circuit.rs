//! A hook's circuit: it keeps an endpoint that is down from costing a call, and half a minute, for
//! each delivery that waits for it.
//!
//! It is closed as long as deliveries arrive. [`FAILURES_TO_OPEN`] failures in a row open it:
//! deliveries are then put off without a call, until the time for a probe has come, which is one of
//! them. A probe that arrives closes the circuit; one that fails is followed by the next, later.
//! Nothing is lost by that, and the hook stays as it is.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How many failures in a row, with no success between, open a circuit.
pub const FAILURES_TO_OPEN: u64 = 5;

/// How long a probe counts as under way if nothing is heard of it: as long as a worker may live.
pub const PROBE_LEASE: Duration = Duration::from_secs(90);

/// A circuit that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenCircuit {
    /// Since when.
    pub opened_at: Timestamp,
    /// No probe before this time.
    pub probe_at: Timestamp,
    /// How many probes have been begun.
    pub probes: u32,
    /// Of the worker that has opened it, or begun its last probe: tells its change from that of another one at the
    /// same time.
    #[serde(default)]
    pub nonce: u64,
    /// When the lease of the probe that is under way ends, if nothing is heard of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probing_until: Option<Timestamp>,
}

impl OpenCircuit {
    /// A circuit with this nonce that opens now, with the first probe after `wait`.
    #[must_use]
    pub fn opened(now: Timestamp, wait: Duration, nonce: u64) -> Self {
        Self {
            opened_at: now,
            probe_at: now + wait,
            probes: 0,
            nonce,
            probing_until: None,
        }
    }

    /// How long it is until a probe may be made; `None` when that time has come.
    #[must_use]
    pub fn time_to_probe(&self, now: Timestamp) -> Option<Duration> {
        let rest = Duration::try_from(self.probe_at.duration_since(now)).ok()?;
        (!rest.is_zero()).then_some(rest)
    }

    /// The circuit with a probe begun under a lease with this nonce, or `None` when it is not the time for one.
    #[must_use]
    pub fn probing(self, now: Timestamp, nonce: u64) -> Option<Self> {
        let is_free = self.probing_until.is_none_or(|until| until <= now);
        (self.probe_at <= now && is_free).then(|| Self {
            probes: self.probes.saturating_add(1),
            nonce,
            probing_until: Some(now + PROBE_LEASE),
            ..self
        })
    }

    /// The circuit after its probe has failed, with the next one after `wait`.
    #[must_use]
    pub fn probe_failed(self, now: Timestamp, wait: Duration) -> Self {
        Self {
            probe_at: now + wait,
            probing_until: None,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_mins(5);

    fn start() -> Timestamp {
        "2025-01-20T15:30:00Z".parse().unwrap()
    }

    #[test]
    fn there_is_one_probe_at_a_time_and_none_before_its_time() {
        let open = OpenCircuit::opened(start(), WAIT, 1);
        let almost = start() + WAIT - Duration::from_millis(1);
        assert_eq!(open.probing(almost, 7), None);
        let first = open.probing(start() + WAIT, 7).unwrap();
        assert_eq!(first.probes, 1);
        assert_eq!(first.probing(start() + WAIT, 7), None);
    }

    #[test]
    fn a_probe_that_nothing_is_heard_of_is_followed_by_another() {
        let begun = start() + WAIT;
        let first = OpenCircuit::opened(start(), WAIT, 1)
            .probing(begun, 7)
            .unwrap();
        let almost = begun + PROBE_LEASE - Duration::from_millis(1);
        assert_eq!(first.probing(almost, 7), None);
        assert_eq!(first.probing(begun + PROBE_LEASE, 7).unwrap().probes, 2);
    }

    #[test]
    fn failed_probe_restarts_the_wait() {
        let begun = start() + WAIT;
        let probing = OpenCircuit::opened(start(), WAIT, 1)
            .probing(begun, 7)
            .unwrap();
        let failed = probing.probe_failed(begun, WAIT);
        assert_eq!((failed.opened_at, failed.probes), (start(), 1));
        assert_eq!(failed.probing(begun, 7), None);
        assert_eq!(failed.probing(begun + WAIT, 7).unwrap().probes, 2);
    }
}
