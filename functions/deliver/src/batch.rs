//! A batch: its hooks read together, and the jobs of each hook worked in a [`Round`] of their own.
//!
//! The queue deletes a batch's messages when the slowest has ended. If that takes longer than
//! [`SETTLE_AFTER`], those that are done are deleted here: an endpoint that hangs for half a minute
//! would otherwise keep its neighbours' messages in flight for as long, and the queue, which tells
//! noisy groups by what they have in flight, could not tell them apart. A crash after that repeats
//! only what was still hanging.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use futures_util::{
    FutureExt, StreamExt,
    future::{BoxFuture, join},
    stream::FuturesUnordered,
};
use jiff::Timestamp;
use shared::{
    deliver::schedule::delay_until,
    model::{DeliveryJob, HookId},
    store::{SignedHook, StoreError, StoredState},
};

use crate::{
    Deliver, Received,
    round::{Next, Round, send},
};

/// How long reading the hooks of a batch may take: the attempts, and what is written after them, must
/// fit into the rest of an invocation.
const READING: Duration = Duration::from_secs(10);

/// How long the messages that are done wait for those that are not.
const SETTLE_AFTER: Duration = Duration::from_millis(500);

/// How long jobs wait whose hooks could not be read, in seconds.
const UNREADABLE_WAIT_S: u32 = 60;

/// How long after its time a job may be put off without an attempt.
pub(crate) const PATIENCE: Duration = Duration::from_hours(24);

type Hooks = HashMap<HookId, SignedHook>;
type States = HashMap<HookId, StoredState>;

/// The work on one batch, begun at one time.
#[derive(Clone, Copy)]
pub(crate) struct Batch<'a> {
    deliver: &'a Deliver,
    now: Timestamp,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(deliver: &'a Deliver, now: Timestamp) -> Self {
        Self { deliver, now }
    }

    /// Works jobs and returns the messages that the queue is to hand out again.
    pub(crate) async fn work(self, received: Vec<Received>) -> Vec<String> {
        let (due, early) = self.split(received);
        let (on_time, sent_on) = join(self.work_due(due), self.send_on(early)).await;
        [on_time, sent_on].concat()
    }

    /// The jobs whose time has come, and the others.
    fn split(self, received: Vec<Received>) -> (Vec<Received>, Vec<Next>) {
        let mut due = Vec::with_capacity(received.len());
        let mut early = Vec::new();
        for received in received {
            match delay_until(received.job.not_before, self.now) {
                None => due.push(received),
                Some(delay_s) => early.push(Next::again(received, delay_s)),
            }
        }
        (due, early)
    }

    async fn send_on(self, jobs: Vec<Next>) -> Vec<String> {
        send(&self.deliver.deliveries, jobs).await
    }

    async fn work_due(self, due: Vec<Received>) -> Vec<String> {
        // Boxed: the futures within the SDK's are as deep as the compiler goes.
        let reading = self.hooks_of(&due).boxed();
        let (hooks, states) = match tokio::time::timeout(READING, reading).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                tracing::error!(%error, "the hooks of a batch could not be read");
                return self.wait_for_the_table(due).await;
            }
            Err(_) => {
                tracing::error!("the hooks of a batch could not be read in time");
                return self.wait_for_the_table(due).await;
            }
        };
        let rounds: FuturesUnordered<_> = by_hook(due, &hooks)
            .into_iter()
            .map(|(id, (hook, jobs))| {
                let round = Round::new(self.deliver, self.now, hook, states.get(&id));
                ended(round, jobs).boxed()
            })
            .collect();
        self.settle(rounds).await
    }

    /// Waits for all rounds. When some take long, the messages of those that have ended are deleted
    /// meanwhile; what the queue does about them at the end then comes to nothing.
    async fn settle(self, mut rounds: FuturesUnordered<BoxFuture<'_, Ended>>) -> Vec<String> {
        let mut failed = Vec::new();
        let mut done = Vec::new();
        let soon = tokio::time::Instant::now() + SETTLE_AFTER;
        while let Ok(round) = tokio::time::timeout_at(soon, rounds.next()).await {
            let Some(round) = round else {
                return failed;
            };
            failed.extend(round.failed);
            done.extend(round.done);
        }
        let rest = rounds.map(|round| round.failed).concat();
        let (rest, ()) = join(rest, self.deliver.deliveries.delete(done)).await;
        failed.extend(rest);
        failed
    }

    /// Sends jobs on that nothing can be done for at present. They are not handed out again as they
    /// are: the redrive policy would count that, and end in half an hour what may take longer. What
    /// waits for a day is left to it.
    async fn wait_for_the_table(self, due: Vec<Received>) -> Vec<String> {
        let mut failed = Vec::new();
        let mut waiting = Vec::with_capacity(due.len());
        for received in due {
            if overdue(&received.job, self.now) > PATIENCE {
                failed.push(received.message_id);
            } else {
                waiting.push(Next::again(received, UNREADABLE_WAIT_S));
            }
        }
        failed.extend(self.send_on(waiting).await);
        failed
    }

    /// The hooks of these jobs as they are now, since the job only says where each was, and their
    /// states: those can be missed, since all that they can do here is to save calls.
    async fn hooks_of(self, due: &[Received]) -> Result<(Hooks, States), StoreError> {
        let mut places: Vec<_> = due
            .iter()
            .map(|received| &received.job)
            .map(|job| (&job.hook.scope, job.event.as_str(), job.hook.id))
            .collect();
        places.sort_unstable();
        places.dedup();
        let ids: Vec<HookId> = places.iter().map(|(_, _, id)| *id).collect();
        let stores = &self.deliver.stores;
        let found = stores.hooks.get_many(&places);
        let (found, states) = join(found, stores.states.get_many(&ids)).await;
        let states = states.unwrap_or_else(|error| {
            tracing::error!(%error, "the states of a batch's hooks could not be read");
            States::new()
        });
        let found = found?.into_iter().map(|signed| (signed.hook.id, signed));
        let mut hooks: Hooks = found.collect();
        // Not there any more: deleted, or moved because its owner's role changed.
        for id in ids {
            if !hooks.contains_key(&id)
                && let Some(signed) = stores.hooks.get_signed(id).await?
            {
                hooks.insert(id, signed);
            }
        }
        Ok((hooks, states))
    }
}

/// A round that has ended.
struct Ended {
    /// The messages that the queue is to hand out again.
    failed: Vec<String>,
    /// What deletes the others.
    done: Vec<String>,
}

/// Makes a round.
async fn ended(round: Round<'_>, jobs: Vec<Received>) -> Ended {
    let receipts: Vec<_> = jobs
        .iter()
        .map(|received| (received.message_id.clone(), received.receipt.clone()))
        .collect();
    let failed = round.work(jobs).await;
    let done = receipts.into_iter().filter(|(id, _)| !failed.contains(id));
    Ended {
        done: done.filter_map(|(_, receipt)| receipt).collect(),
        failed,
    }
}

/// How long after its time a job is.
pub(crate) fn overdue(job: &DeliveryJob, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(job.not_before)).unwrap_or_default()
}

/// The jobs that their hooks still want, by hook.
fn by_hook(due: Vec<Received>, hooks: &Hooks) -> BTreeMap<HookId, (&SignedHook, Vec<Received>)> {
    let mut wanted: BTreeMap<HookId, (&SignedHook, Vec<Received>)> = BTreeMap::new();
    for received in due {
        let job = &received.job;
        let hook = hooks.get(&job.hook.id).filter(|SignedHook { hook, .. }| {
            hook.subscription.event == job.event && hook.hears(job.academy.as_deref())
        });
        if let Some(hook) = hook {
            let (_, jobs) = wanted.entry(job.hook.id).or_insert((hook, Vec::new()));
            jobs.push(received);
        } else {
            tracing::info!(
                hook = job.hook.id.get(),
                delivery_id = %job.delivery_id,
                "dropped: the hook does not want it any more"
            );
        }
    }
    wanted
}
