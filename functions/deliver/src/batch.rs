//! A batch: its hooks read together, and the jobs of each hook worked in a [`Round`] of their own.
//!
//! The queue deletes a batch's messages when the slowest has ended. If that takes longer than
//! [`SETTLE_AFTER`], those that are done with are deleted here: an endpoint that hangs for half a minute
//! would otherwise keep its neighbours' messages in flight for as long, and the queue, which tells
//! noisy groups by what they have in flight, could not tell them apart. A crash after that repeats
//! only what was still hanging.
//!
//! Lambda ends an invocation whose time is over, and hands all of its messages out again that are not
//! deleted. Usually no batch takes that long; but a batch of which every step takes all the time that it may
//! does. Attempts are cut off while there is still time to write what the others have come to, and the batch
//! itself while there is still time to name what is left of it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use futures_util::{
    FutureExt, StreamExt,
    future::{BoxFuture, join},
    stream::{self, FuturesUnordered},
};
use jiff::Timestamp;
use shared::{
    deadline::Deadline,
    deliver::schedule::delay_until,
    metrics::{Measure, Metrics},
    model::{DeliveryJob, HookId},
    store::{SignedHook, StoredState},
};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use crate::{
    Deliver, Received,
    messages::{Message, Messages},
    next::{Next, send},
    round::Round,
};

/// How long reading the hooks of a batch may take: the attempts, and what is written after them, must
/// fit into the rest of an invocation.
const READING: Duration = Duration::from_secs(10);

/// How many hooks are looked for at once that are not where their jobs say.
const PARALLEL_READS: usize = 10;

/// How long reading their states may take.
const READING_STATES: Duration = Duration::from_secs(3);

/// How long the messages that are done wait for those that are not.
pub(crate) const SETTLE_AFTER: Duration = Duration::from_millis(500);

/// How long jobs wait whose hooks could not be read, in seconds.
const UNREADABLE_WAIT_S: u32 = 60;

/// How long after its time a job may be put off without an attempt.
pub(crate) const PATIENCE: Duration = Duration::from_hours(24);

/// After how long in the queue a message tells that nobody worked it: longer than its delay and all the times for
/// which it can be hidden until the redrive policy ends it.
const UNWORKED: Duration = Duration::from_hours(6);

/// The work on one batch, begun at one time.
#[derive(Clone, Copy)]
pub(crate) struct Batch<'a> {
    pub(crate) deliver: &'a Deliver,
    pub(crate) now: Timestamp,
    pub(crate) deadline: Deadline,
    pub(crate) metrics: &'a Metrics,
    pub(crate) messages: &'a Messages,
}

impl<'a> Batch<'a> {
    /// Works jobs, and takes what is done with out of the messages, until the time is over.
    pub(crate) async fn work(self, received: Vec<Received>) {
        let working = self.work_off(received).boxed();
        let in_time = timeout_at(self.deadline.of_answer(), working).await;
        if in_time.is_err() {
            tracing::error!(
                messages = self.messages.left().len(),
                "a batch was cut off: its time is over"
            );
        }
    }

    async fn work_off(self, received: Vec<Received>) {
        let (mut due, early) = self.split(received);
        let ages = due.iter().map(|received| overdue(&received.job, self.now));
        if let Some(oldest) = ages.max() {
            self.metrics.measure(Measure::OldestJobAge, oldest);
        }
        self.renew_patience(&mut due);
        let found = self.find(&due).await;
        let sorted = found.sort(due);
        let parts = FuturesUnordered::new();
        parts.push(self.send_on(early).boxed());
        parts.push(self.wait_for_the_tables(sorted.unreadable).boxed());
        for (id, (hook, jobs)) in sorted.wanted {
            let round = Round::new(self, hook, found.states.get(&id));
            parts.push(round.work(jobs).boxed());
        }
        self.messages.take_out(messages(&sorted.dropped), &[]);
        self.settle(parts).await;
    }

    /// The jobs whose time has come, and the others with the rest of their waits in seconds.
    fn split(self, received: Vec<Received>) -> (Vec<Received>, Vec<(Received, u32)>) {
        let mut due = Vec::with_capacity(received.len());
        let mut early = Vec::new();
        for received in received {
            match delay_until(received.job.not_before, self.now) {
                None => due.push(received),
                Some(delay_s) => early.push((received, delay_s)),
            }
        }
        (due, early)
    }

    /// Makes jobs due now that lay in the queue while nobody worked it. Being put off is what wears patience out: a
    /// job that no worker has looked at for days would otherwise be given up at the first look.
    fn renew_patience(self, due: &mut [Received]) {
        for received in due {
            let lay = received.sent_at.map(|sent_at| since(sent_at, self.now));
            if lay.is_some_and(|lay| lay > UNWORKED) {
                received.job.not_before = self.now;
            }
        }
    }

    async fn send_on(self, jobs: Vec<(Received, u32)>) {
        let messages = messages(jobs.iter().map(|(received, _)| received));
        let next = jobs
            .into_iter()
            .map(|(received, delay_s)| Next::again(received, delay_s));
        let failed = send(&self.deliver.deliveries, next.collect()).await;
        self.messages.take_out(messages, &failed);
    }

    /// Sends jobs on that nothing can be done for at present. They are not handed out again as they
    /// are: the redrive policy would count that, and end in half an hour what may take longer. What
    /// waits for a day is left to it.
    async fn wait_for_the_tables(self, jobs: Vec<Received>) {
        let waiting = jobs
            .into_iter()
            .filter(|received| overdue(&received.job, self.now) <= PATIENCE);
        let waiting = waiting.map(|received| {
            received.log_put_off("its hook could not be read");
            (received, UNREADABLE_WAIT_S)
        });
        self.send_on(waiting.collect()).await;
    }

    /// Waits for all parts. As long as some take their time, the messages that are done with are deleted
    /// every half second; what the queue does about them at the end then comes to nothing. A deletion that is
    /// still under way then is given up.
    async fn settle<'b>(self, mut parts: FuturesUnordered<BoxFuture<'b, ()>>)
    where
        'a: 'b,
    {
        let mut deletions = FuturesUnordered::new();
        loop {
            let soon = Instant::now() + SETTLE_AFTER;
            loop {
                tokio::select! {
                    part = parts.next() => if part.is_none() {
                        return;
                    },
                    Some(()) = deletions.next() => {}
                    () = sleep_until(soon) => break,
                }
            }
            let receipts = self.messages.receipts();
            if !receipts.is_empty() {
                deletions.push(self.deliver.deliveries.delete(receipts));
            }
        }
    }

    /// Reads the hooks of these jobs as they are now, since a job only says where its hook was, and
    /// their states. Those can be missed: all that they can do here is to save calls.
    async fn find(self, due: &[Received]) -> Found {
        // Boxed: the futures within the SDK's are as deep as the compiler goes.
        let read = join(self.hooks_of(due).boxed(), self.states_of(due));
        let ((hooks, unreadable), states) = read.await;
        Found {
            hooks,
            unreadable,
            states,
        }
    }

    /// The hooks that are there, and the ids of those of which that is not known when the time for it is over.
    async fn hooks_of(self, due: &[Received]) -> (HashMap<HookId, SignedHook>, BTreeSet<HookId>) {
        let end = Instant::now() + READING;
        let mut places: Vec<_> = due
            .iter()
            .map(|received| &received.job)
            .map(|job| (&job.hook.scope, job.event.as_str(), job.hook.id))
            .collect();
        places.sort_unstable();
        places.dedup();
        let store = &self.deliver.stores.hooks;
        let mut hooks = HashMap::new();
        let mut unreadable = ids(due);
        match timeout_at(end, store.get_many(&places)).await {
            Ok(Ok(found)) => hooks.extend(found.into_iter().map(|signed| (signed.hook.id, signed))),
            Ok(Err(error)) => {
                tracing::error!(%error, "the hooks of a batch could not be read");
                return (hooks, unreadable);
            }
            Err(_) => {
                tracing::error!("the hooks of a batch could not be read in time");
                return (hooks, unreadable);
            }
        }
        unreadable.retain(|id| !hooks.contains_key(id));
        // Not there any more: deleted, or moved because its owner's role changed.
        let gone = unreadable.clone();
        let mut reads = stream::iter(gone)
            .map(async |id| (id, store.get_signed(id).await))
            .buffer_unordered(PARALLEL_READS);
        loop {
            match timeout_at(end, reads.next()).await {
                Ok(None) => break,
                Ok(Some((id, Ok(signed)))) => {
                    unreadable.remove(&id);
                    hooks.extend(signed.map(|signed| (id, signed)));
                }
                Ok(Some((id, Err(error)))) => {
                    tracing::error!(hook = id.get(), %error, "a hook could not be read");
                }
                Err(_) => {
                    let hooks = unreadable.len();
                    tracing::error!(hooks, "hooks of a batch could not be read in time");
                    break;
                }
            }
        }
        (hooks, unreadable)
    }

    async fn states_of(self, due: &[Received]) -> HashMap<HookId, StoredState> {
        let ids: Vec<HookId> = ids(due).into_iter().collect();
        let reading = self.deliver.stores.states.get_many(&ids).boxed();
        match timeout(READING_STATES, reading).await {
            Ok(Ok(states)) => return states,
            Ok(Err(error)) => {
                tracing::error!(%error, "the states of a batch's hooks could not be read");
            }
            Err(_) => tracing::error!("the states of a batch's hooks could not be read in time"),
        }
        HashMap::new()
    }
}

/// What is in the tables about the jobs of a batch.
struct Found {
    hooks: HashMap<HookId, SignedHook>,
    /// Hooks of which nobody knows now whether they are there.
    unreadable: BTreeSet<HookId>,
    states: HashMap<HookId, StoredState>,
}

/// What is to be done with the jobs of a batch.
#[derive(Default)]
struct Sorted<'a> {
    /// Those that their hooks still want, by hook.
    wanted: BTreeMap<HookId, (&'a SignedHook, Vec<Received>)>,
    /// Those of hooks that cannot be read.
    unreadable: Vec<Received>,
    /// Those that nobody wants any more.
    dropped: Vec<Received>,
}

impl Found {
    fn sort(&self, due: Vec<Received>) -> Sorted<'_> {
        let mut sorted = Sorted::default();
        for received in due {
            let job = &received.job;
            let hook = self
                .hooks
                .get(&job.hook.id)
                .filter(|SignedHook { hook, .. }| {
                    hook.subscription.event == job.event && hook.hears(job.academy.as_deref())
                });
            if let Some(hook) = hook {
                let wanted = sorted.wanted.entry(job.hook.id);
                let (_, jobs) = wanted.or_insert((hook, Vec::new()));
                jobs.push(received);
            } else if self.unreadable.contains(&job.hook.id) {
                sorted.unreadable.push(received);
            } else {
                tracing::info!(
                    hook = job.hook.id.get(),
                    delivery_id = %job.delivery_id,
                    event_id = job.event_id,
                    "dropped: the hook does not want it any more"
                );
                sorted.dropped.push(received);
            }
        }
        sorted
    }
}

fn messages<'a>(jobs: impl IntoIterator<Item = &'a Received>) -> Vec<Message> {
    jobs.into_iter().map(Received::message).collect()
}

fn ids(jobs: &[Received]) -> BTreeSet<HookId> {
    jobs.iter().map(|received| received.job.hook.id).collect()
}

/// How long after its time a job is.
pub(crate) fn overdue(job: &DeliveryJob, now: Timestamp) -> Duration {
    since(job.not_before, now)
}

fn since(time: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(time)).unwrap_or_default()
}
