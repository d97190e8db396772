//! What a round leaves of its attempts: the hook's state with its circuit, and its sample.
//!
//! Once an hour a round leaves the newest of its payloads, masked, as the hook's sample. The hook's state
//! says whether that is due. It comes before the state is written, which is to say so; if it fails, it
//! is the next round's, and nothing else is any different.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt;
use jiff::Timestamp;
use serde_json::value::RawValue;
use shared::{
    mask,
    metrics::Count,
    model::{AttemptRecord, Counts, FAILURES_TO_OPEN, OpenCircuit, Verdict, newest},
    store::{Recorded, StoreError},
};
use tokio::time::timeout;

use super::Round;

/// How long keeping a sample may take: what is written after it must fit into the rest of an invocation.
const SAMPLING: Duration = Duration::from_secs(3);

impl Round<'_> {
    /// Writes the hook's state: one write, and another only when its circuit opens or its probe has
    /// failed. A sample is kept before that.
    pub(super) async fn remember(
        &self,
        recorded: Option<Recorded>,
        sample: Option<Arc<RawValue>>,
    ) -> Result<(), StoreError> {
        let states = &self.batch.deliver.stores.states;
        let Some(mut recorded) = recorded else {
            return Ok(());
        };
        if let Some(payload) = sample {
            let kept = self.keep(&payload, recorded.last_call_at).await;
            recorded.sampled_at = kept.then_some(recorded.last_call_at);
        }
        let failures = states.record(&recorded).await?;
        if recorded.succeeded
            && let Some(probe) = &self.probe
        {
            // A record that came late has not closed it.
            if failures.is_none() {
                states.close_circuit(self.hook_id(), probe).await?;
            }
            return Ok(());
        }
        let failures = failures.unwrap_or_default();
        let (now, schedule) = (recorded.last_call_at, &self.batch.deliver.schedule);
        let circuit = match self.probe {
            Some(probe) => probe.probe_failed(now, schedule.wait_before_probe(probe.probes)),
            // Also after a success: as many may have failed since, within what is written at once.
            None if failures >= FAILURES_TO_OPEN => {
                OpenCircuit::opened(now, schedule.wait_before_probe(0), rand::random())
            }
            None => return Ok(()),
        };
        let set = states.set_circuit(self.hook_id(), self.probe.as_ref(), &circuit);
        if set.await? {
            if self.probe.is_none() {
                self.batch.metrics.count(Count::CircuitsOpened, 1);
            }
            tracing::warn!(
                hook = self.hook_id().get(),
                failures,
                probe_at = %circuit.probe_at,
                "the circuit is open"
            );
        }
        Ok(())
    }

    /// Keeps a payload as the hook's sample. Whether the hook has one of this hour then.
    async fn keep(&self, payload: &RawValue, at: Timestamp) -> bool {
        let hook = self.hook_id().get();
        let sample = match mask::sample(payload) {
            Ok(Some(sample)) => sample,
            Ok(None) => return false,
            Err(error) => {
                tracing::warn!(hook, %error, "a payload cannot be kept as a sample");
                return false;
            }
        };
        let samples = &self.batch.deliver.stores.samples;
        let keeping = samples.keep(&self.hook.hook, &sample, at).boxed();
        match timeout(SAMPLING, keeping).await {
            Ok(Ok(true)) => return true,
            Ok(Ok(false)) => tracing::warn!(hook, "a payload is too large to be kept as a sample"),
            Ok(Err(error)) => tracing::error!(hook, %error, "a sample could not be kept"),
            Err(_) => tracing::error!(hook, "a sample could not be kept in time"),
        }
        false
    }

    /// What the attempts come to; nothing when there was none.
    pub(super) fn recorded(&self) -> Option<Recorded> {
        // A target that was refused was not called: that is no call, costs nothing, and says nothing about it.
        let calls = || {
            self.records
                .iter()
                .filter(|record| record.outcome.is_call())
        };
        let newest_of_all = self.records.iter().max_by_key(|record| record.at)?;
        let last = calls().max_by_key(|record| record.at);
        let last = last.unwrap_or(newest_of_all);
        let successes = calls().filter(|record| succeeded(record));
        let last_success = successes.map(|record| record.at).max();
        let failures = calls().filter(|record| {
            !succeeded(record) && last_success.is_none_or(|success| record.at > success)
        });
        let delivered = self.records.iter().filter(|record| succeeded(record));
        let delivered = delivered.count() as u64;
        let new = self.records.iter().copied();
        Some(Recorded {
            hook_id: self.hook_id(),
            calls: calls().count() as u64,
            last_call_at: last.at,
            last_response_code: last.outcome.code(),
            succeeded: last_success.is_some(),
            failures: failures.count() as u64,
            attempted: Counts {
                delivered,
                failed: self.records.len() as u64 - delivered,
            },
            expired_periods: self
                .state
                .map(|state| state.periods.expired(newest_of_all.at).collect())
                .unwrap_or_default(),
            edited_at: self.hook.hook.updated_at,
            attempts: self
                .known
                .as_ref()
                .map(|known| newest(known.iter().copied(), new, newest_of_all.at)),
            sampled_at: None,
        })
    }
}

fn succeeded(record: &AttemptRecord) -> bool {
    record.outcome.verdict() == Verdict::Delivered
}
