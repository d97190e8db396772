//! A round: the jobs of a batch that are for one hook, attempted together and accounted for
//! together.
//!
//! The rounds of a batch do not wait for each other, and within one an attempt that takes its time does
//! not keep the others: what ends within half a second of each other is written together.

mod record;

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, future::join, stream::FuturesUnordered};
use jiff::Timestamp;
use serde_json::value::RawValue;
use shared::{
    deliver::schedule::{delay_until, put_off_for},
    metrics::{Count, Measure},
    model::{AttemptRecord, DeadLetter, HookId, OpenCircuit, Verdict},
    store::{SignedHook, StoredState},
};
use tokio::time::{Instant, timeout_at};

use crate::{
    Received,
    attempt::{Attempted, attempt},
    batch::{Batch, PATIENCE, SETTLE_AFTER, overdue},
    messages::Message,
    next::{Next, send},
};

/// What the owner is told of a delivery that an open circuit put off until it was too late.
const KEPT_FAILING: &str = "The endpoint kept failing, and this delivery was not attempted.";

/// The work on the jobs for one hook.
pub(crate) struct Round<'a> {
    batch: Batch<'a>,
    hook: &'a SignedHook,
    /// As it was a moment ago; unknown when it could not be read.
    state: Option<&'a StoredState>,
    /// The circuit with the probe that this round is.
    probe: Option<OpenCircuit>,
    /// Jobs that an open circuit keeps waiting.
    waiting: Vec<Received>,
    /// Jobs that are to come again.
    later: Vec<Next>,
    /// Deliveries that are given up.
    given_up: Vec<Next>,
    /// The attempts that were made, and are not written yet.
    records: Vec<AttemptRecord>,
    /// The attempts that the hook remembers, if they are known.
    known: Option<Vec<AttemptRecord>>,
    /// The payload that is to be the hook's sample, if one is to be kept.
    sample: Option<Arc<RawValue>>,
    /// The messages that are done with when what follows from them is written.
    done: Vec<Message>,
    /// When the last attempt ended.
    ended_at: Option<Timestamp>,
    /// Whether any has arrived.
    arrived: bool,
}

impl<'a> Round<'a> {
    pub(crate) fn new(
        batch: Batch<'a>,
        hook: &'a SignedHook,
        state: Option<&'a StoredState>,
    ) -> Self {
        Self {
            batch,
            hook,
            state,
            probe: None,
            waiting: Vec::new(),
            later: Vec::new(),
            given_up: Vec::new(),
            records: Vec::new(),
            known: state.map(StoredState::attempts),
            sample: None,
            done: Vec::new(),
            ended_at: None,
            arrived: false,
        }
    }

    fn hook_id(&self) -> HookId {
        self.hook.hook.id
    }

    /// Works jobs, and takes what is done with out of the batch's messages.
    pub(crate) async fn work(mut self, jobs: Vec<Received>) {
        let admitted = self.admit(jobs).await;
        self.sample = self.newest_payload(&admitted);
        let (deliver, hook, most) = (self.batch.deliver, self.hook, admitted.len().max(1));
        let by = self.batch.deadline.of_calls();
        let attempts: FuturesUnordered<_> = admitted
            .into_iter()
            .map(async |received| {
                let client = deliver.client.clone();
                let attempted = attempt(client, hook, received.job.clone(), by).await;
                (received, attempted)
            })
            .collect();
        let mut attempts = attempts.ready_chunks(most);
        let mut all = false;
        while !all {
            let soon = Instant::now() + SETTLE_AFTER;
            while !all && let Ok(ended) = timeout_at(soon, attempts.next()).await {
                all = ended.is_none();
                self.follow_all(ended.unwrap_or_default());
            }
            // Some take long: what has ended does not wait for them.
            if !all {
                self.write().await;
            }
        }
        self.put_off();
        self.write().await;
    }

    fn follow_all(&mut self, ended: Vec<(Received, Option<Attempted>)>) {
        for (received, attempted) in ended {
            if let Some(attempted) = attempted {
                self.follow(received, attempted);
            } else {
                // Its message is left, and comes again.
                self.batch.metrics.count(Count::AttemptsLost, 1);
            }
        }
    }

    /// The newest payload of these jobs, if the hook is known to need a sample.
    fn newest_payload(&self, jobs: &[Received]) -> Option<Arc<RawValue>> {
        self.state
            .filter(|state| state.needs_sample(self.batch.now))?;
        let jobs = jobs.iter().map(|received| &received.job);
        let newest = jobs.max_by_key(|job| (job.accepted_at, job.delivery_id))?;
        Some(Arc::clone(&newest.payload))
    }

    /// Lets all jobs through, or, when the hook's circuit is open, at most one as a probe; the
    /// others wait.
    async fn admit(&mut self, mut jobs: Vec<Received>) -> Vec<Received> {
        let Some(circuit) = self.state.and_then(|state| state.circuit) else {
            return jobs;
        };
        let probing = circuit.probing(self.batch.now, rand::random());
        if let Some(probing) = probing
            && self.begin(&circuit, probing).await
        {
            self.probe = Some(probing);
        }
        self.waiting = jobs.split_off(usize::from(self.probe.is_some()));
        jobs
    }

    /// Whether the probe is ours to make, and not another worker's.
    async fn begin(&self, circuit: &OpenCircuit, probing: OpenCircuit) -> bool {
        let states = &self.batch.deliver.stores.states;
        let begun = states.set_circuit(self.hook_id(), Some(circuit), &probing);
        begun.await.unwrap_or_else(|error| {
            tracing::error!(hook = self.hook_id().get(), %error, "a probe could not be begun");
            false
        })
    }

    /// Sends the jobs on that wait: at once when the probe has arrived, else until the next one may
    /// be made. Those that have waited too long are given up.
    fn put_off(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        let now = self.ended_at.unwrap_or(self.batch.now);
        let delay = self.time_to_probe(now);
        for received in waiting {
            self.done.push(received.message());
            let next = match delay {
                None => Next::again(received, 0),
                Some(_) if overdue(&received.job, now) > PATIENCE => {
                    let letter = DeadLetter {
                        job: received.job,
                        message: KEPT_FAILING.to_owned(),
                        status: None,
                        failed_at: now,
                    };
                    self.given_up
                        .push(Next::given_up(received.message_id, letter));
                    continue;
                }
                Some(rest) => {
                    received.log_put_off("the circuit is open");
                    Next::again(received, put_off_for(rest, rand::random()))
                }
            };
            self.later.push(next);
        }
    }

    /// How long it is until the next probe; `None` when there needs to be none any more.
    fn time_to_probe(&self, now: Timestamp) -> Option<Duration> {
        let circuit = self.state?.circuit?;
        let schedule = &self.batch.deliver.schedule;
        match self.probe {
            Some(_) if self.arrived => None,
            Some(probe) => Some(schedule.wait_before_probe(probe.probes)),
            // No time to wait for is left when another worker is at it: then that for the one after.
            None => {
                let after_it = || schedule.wait_before_probe(circuit.probes);
                Some(circuit.time_to_probe(now).unwrap_or_else(after_it))
            }
        }
    }

    /// Decides what follows from an attempt.
    fn follow(&mut self, mut received: Received, attempted: Attempted) {
        let Attempted {
            reply,
            ended_at,
            ms,
        } = attempted;
        let next = match reply.outcome.verdict() {
            Verdict::Delivered | Verdict::GiveUp => None,
            Verdict::Retry => self.batch.deliver.schedule.next_attempt(
                received.job.attempt,
                ended_at,
                reply.retry_after,
                rand::random(),
            ),
        };
        self.done.push(received.message());
        let job = &mut received.job;
        self.records.push(AttemptRecord {
            delivery_id: job.delivery_id,
            attempt: job.attempt,
            at: ended_at,
            outcome: reply.outcome,
            ms,
            next_attempt_at: next,
        });
        self.ended_at = self.ended_at.max(Some(ended_at));
        self.batch.metrics.count(reply.outcome.into(), 1);
        if reply.outcome.verdict() == Verdict::Delivered {
            self.arrived = true;
            let latency = Duration::try_from(ended_at.duration_since(job.accepted_at));
            let latency = latency.unwrap_or_default();
            self.batch
                .metrics
                .measure(Measure::DeliveryLatency, latency);
            return;
        }
        if let Some(not_before) = next {
            job.attempt = job.attempt.saturating_add(1);
            job.not_before = not_before;
            let delay_s = delay_until(not_before, ended_at).unwrap_or(0);
            self.later.push(Next::again(received, delay_s));
        } else {
            let letter = DeadLetter {
                message: reply.outcome.message(),
                status: reply.outcome.status(),
                failed_at: ended_at,
                job: received.job,
            };
            let given_up = Next::given_up(received.message_id, letter);
            self.given_up.push(given_up);
        }
    }

    /// Writes what the round has come to so far: the hook's state, and the messages that follow. With these
    /// the received ones are done with, but for those whose successors are not in the queue. The state is not
    /// waited for: the requests are made, and to work the jobs again for the sake of their count would make them
    /// once more.
    async fn write(&mut self) {
        let done = std::mem::take(&mut self.done);
        let later = std::mem::take(&mut self.later);
        let given_up = std::mem::take(&mut self.given_up);
        let giving_up = given_up.len();
        let recorded = self.recorded();
        self.records.clear();
        let mut sample = None;
        if let Some(recorded) = &recorded {
            self.known.clone_from(&recorded.attempts);
            sample = self.sample.take();
        }
        let sending = async {
            let (unsent_later, unsent_given_up) = join(
                send(&self.batch.deliver.deliveries, later),
                send(&self.batch.deliver.dead_letters, given_up),
            )
            .await;
            let given_up = giving_up.saturating_sub(unsent_given_up.len());
            self.batch.metrics.count(Count::DeliveriesGivenUp, given_up);
            let failed = [unsent_later, unsent_given_up].concat();
            self.batch.messages.take_out(done, &failed);
        };
        let (remembered, ()) = join(self.remember(recorded, sample), sending).await;
        if let Err(error) = remembered {
            tracing::error!(hook = self.hook_id().get(), %error, "a hook's state could not be written");
        }
    }
}
