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
    /// The lease of the probe that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probing: Option<ProbeLease>,
}

/// A worker's right to make the probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeLease {
    /// When it ends, if nothing is heard of the probe.
    pub until: Timestamp,
    /// Tells it from that of a worker who begins the probe at the same time.
    pub nonce: u64,
}

impl OpenCircuit {
    /// A circuit that opens now, with the first probe after `wait`.
    #[must_use]
    pub fn opened(now: Timestamp, wait: Duration) -> Self {
        Self {
            opened_at: now,
            probe_at: now + wait,
            probes: 0,
            probing: None,
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
        let lost = self.probing.is_none_or(|lease| lease.until <= now);
        let until = now + PROBE_LEASE;
        (self.probe_at <= now && lost).then(|| Self {
            probes: self.probes.saturating_add(1),
            probing: Some(ProbeLease { until, nonce }),
            ..self
        })
    }

    /// The circuit after its probe has failed, with the next one after `wait`.
    #[must_use]
    pub fn probe_failed(self, now: Timestamp, wait: Duration) -> Self {
        Self {
            probe_at: now + wait,
            probing: None,
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
        let open = OpenCircuit::opened(start(), WAIT);
        let almost = start() + WAIT - Duration::from_millis(1);
        assert_eq!(open.probing(almost, 7), None);
        let first = open.probing(start() + WAIT, 7).unwrap();
        assert_eq!(first.probes, 1);
        assert_eq!(first.probing(start() + WAIT, 7), None);
    }

    #[test]
    fn a_probe_that_nothing_is_heard_of_is_followed_by_another() {
        let begun = start() + WAIT;
        let first = OpenCircuit::opened(start(), WAIT)
            .probing(begun, 7)
            .unwrap();
        let almost = begun + PROBE_LEASE - Duration::from_millis(1);
        assert_eq!(first.probing(almost, 7), None);
        assert_eq!(first.probing(begun + PROBE_LEASE, 7).unwrap().probes, 2);
    }

    #[test]
    fn failed_probe_restarts_the_wait() {
        let begun = start() + WAIT;
        let probing = OpenCircuit::opened(start(), WAIT)
            .probing(begun, 7)
            .unwrap();
        let failed = probing.probe_failed(begun, WAIT);
        assert_eq!((failed.opened_at, failed.probes), (start(), 1));
        assert_eq!(failed.probing(begun, 7), None);
        assert_eq!(failed.probing(begun + WAIT, 7).unwrap().probes, 2);
    }
}
