//! What a batch of attempts leaves in the state of one hook: its counters, and its circuit.

use shared::{
    deliver::schedule::RetrySchedule,
    model::{FAILURES_TO_OPEN, HookId, OpenCircuit, Outcome, Verdict},
    store::{HookStates, Recorded, StoreError},
};

use crate::attempt::Attempted;

/// The attempts of one batch at one hook.
#[derive(Debug, Default)]
pub(crate) struct History {
    attempts: Vec<Attempted>,
    /// The circuit as this batch has put it to begin a probe.
    pub(crate) probe: Option<OpenCircuit>,
}

impl History {
    pub(crate) fn add(&mut self, attempted: Attempted) {
        self.attempts.push(attempted);
    }

    /// Whether there is anything to write yet: a probe that is under way has left nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.attempts.is_empty()
    }

    /// Writes it: one write, and another one only when the circuit opens or a probe has failed.
    pub(crate) async fn write(
        mut self,
        hook_id: HookId,
        states: &HookStates,
        schedule: &RetrySchedule,
    ) -> Result<(), StoreError> {
        self.attempts.sort_by_key(|attempted| attempted.ended_at);
        let Some(last) = self.attempts.last() else {
            return Ok(());
        };
        let (now, recorded) = (last.ended_at, recorded(hook_id, &self.attempts, last));
        let failures = states.record(&recorded).await?.unwrap_or_default();
        if recorded.succeeded {
            return Ok(());
        }
        let circuit = match self.probe {
            Some(probe) => probe.probe_failed(now, schedule.wait_before_probe(probe.probes)),
            None if failures >= FAILURES_TO_OPEN => {
                OpenCircuit::opened(now, schedule.wait_before_probe(0))
            }
            None => return Ok(()),
        };
        let set = states.set_circuit(hook_id, self.probe.as_ref(), &circuit);
        if set.await? {
            tracing::warn!(
                hook = hook_id.get(),
                failures,
                probe_at = %circuit.probe_at,
                "the circuit is open"
            );
        }
        Ok(())
    }
}

/// What the attempts, in the order of their ends, come to.
fn recorded(hook_id: HookId, attempts: &[Attempted], last: &Attempted) -> Recorded {
    let outcomes = || attempts.iter().map(|attempted| attempted.reply.outcome);
    let succeeded = |outcome: &Outcome| outcome.verdict() == Verdict::Delivered;
    // A target that was refused was not called: that costs nothing, and says nothing about it.
    let failures = outcomes()
        .rev()
        .take_while(|outcome| !succeeded(outcome))
        .filter(|outcome| *outcome != Outcome::Refused);
    Recorded {
        hook_id,
        calls: attempts.len() as u64,
        last_call_at: last.ended_at,
        last_response_code: last.reply.outcome.code(),
        succeeded: outcomes().any(|outcome| succeeded(&outcome)),
        failures: failures.count() as u64,
    }
}
