//! A batch: what each of its jobs asks for, done together, and settled in one part or two.
//!
//! To settle is to write what has come of the jobs that are done. That happens when all are done,
//! and for those that are done after [`SETTLE_AFTER`] then already: their messages are deleted here,
//! as the queue would otherwise do only when the slowest job has ended. Without that, an endpoint
//! that hangs for half a minute would keep its neighbours' messages in flight for as long, and the
//! queue, which tells noisy groups by what they have in flight, could not tell them apart. A crash
//! after it repeats only what was still hanging.

use std::{
    collections::{BTreeMap, HashMap},
    mem,
    time::Duration,
};

use futures_util::{
    StreamExt,
    future::{join, join_all, join3},
    stream::FuturesUnordered,
};
use jiff::Timestamp;
use shared::{
    deliver::schedule::{delay_until, put_off_for},
    model::{DeadLetter, DeliveryJob, Hook, HookId, OpenCircuit, QueueMessage, Verdict},
    queue::{Outgoing, Queue},
    store::{StoreError, StoredState},
};

use crate::{
    Deliver, Received,
    attempt::{Attempted, attempt},
    history::History,
};

/// What the owner is told of a delivery that an open circuit put off until it was too late.
const NEVER_TRIED_AGAIN: &str =
    "The endpoint kept failing, and this delivery was not tried any more.";

/// How long the jobs that are done wait for those that are not.
const SETTLE_AFTER: Duration = Duration::from_millis(500);

type Hooks = HashMap<HookId, Hook>;
type States = HashMap<HookId, StoredState>;

/// A message that is to be sent because of a received one.
struct Next {
    /// The received message: done with only when its successor is in a queue.
    message_id: String,
    outgoing: Outgoing,
}

/// The work on one batch, begun at one time.
pub(crate) struct Batch<'a> {
    deliver: &'a Deliver,
    now: Timestamp,
    /// The messages that are not settled, with what deletes each.
    unsettled: HashMap<String, Option<String>>,
    /// Messages that are to be handed out again.
    failed: Vec<String>,
    /// Jobs that are to come again.
    later: Vec<Next>,
    /// Deliveries that are given up.
    given_up: Vec<Next>,
    /// What happened to each hook.
    histories: BTreeMap<HookId, History>,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(deliver: &'a Deliver, now: Timestamp) -> Self {
        Self {
            deliver,
            now,
            unsettled: HashMap::new(),
            failed: Vec::new(),
            later: Vec::new(),
            given_up: Vec::new(),
            histories: BTreeMap::new(),
        }
    }

    /// Works jobs and returns the messages that the queue is to hand out again.
    pub(crate) async fn work(mut self, received: Vec<Received>) -> Vec<String> {
        self.unsettled = received
            .iter()
            .map(|received| (received.message_id.clone(), received.receipt.clone()))
            .collect();
        let due = self.send_on_early(received);
        match self.hooks_of(&due).await {
            Ok((hooks, states)) => {
                let wanted = wanted(due, &hooks);
                let admitted = self.admit(wanted, &states).await;
                self.attempt_all(admitted).await;
            }
            Err(error) => {
                tracing::error!(%error, "the hooks of a batch could not be read");
                self.failed
                    .extend(due.into_iter().map(|received| received.message_id));
            }
        }
        self.write().await;
        self.failed
    }

    /// Sends jobs on whose time has not come, and returns the others.
    fn send_on_early(&mut self, received: Vec<Received>) -> Vec<Received> {
        let mut due = Vec::with_capacity(received.len());
        for received in received {
            match delay_until(received.job.not_before, self.now) {
                None => due.push(received),
                Some(delay_s) => self.send_again(received, delay_s),
            }
        }
        due
    }

    /// The hooks of these jobs as they are now, since the job only says where each was, and their
    /// states: those can be missed, since all that they can do here is to save calls.
    async fn hooks_of(&self, due: &[Received]) -> Result<(Hooks, States), StoreError> {
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
        let mut hooks: Hooks = found?.into_iter().map(|hook| (hook.id, hook)).collect();
        // Not there any more: deleted, or moved because its owner's role changed.
        for id in ids {
            if !hooks.contains_key(&id)
                && let Some(hook) = stores.hooks.get(id).await?
            {
                hooks.insert(id, hook);
            }
        }
        Ok((hooks, states))
    }

    /// Lets through the jobs whose hooks may be called, and puts off those whose circuit is open, but
    /// for one of them when it is time for a probe.
    async fn admit(
        &mut self,
        wanted: Vec<(Received, Hook)>,
        states: &States,
    ) -> Vec<(Received, Hook)> {
        let mut open: HashMap<HookId, OpenCircuit> = states
            .iter()
            .filter_map(|(id, state)| Some((*id, state.circuit?)))
            .collect();
        let mut admitted = Vec::with_capacity(wanted.len());
        for (received, hook) in wanted {
            let Some(circuit) = open.get_mut(&hook.id) else {
                admitted.push((received, hook));
                continue;
            };
            if self.begin_probe(hook.id, circuit).await {
                admitted.push((received, hook));
            } else {
                self.put_off(received, circuit);
            }
        }
        admitted
    }

    /// Whether the next call of this hook is a probe, and ours to make.
    async fn begin_probe(&mut self, id: HookId, circuit: &mut OpenCircuit) -> bool {
        let Some(probing) = circuit.probing(self.now) else {
            return false;
        };
        let states = &self.deliver.stores.states;
        let begun = states.set_circuit(id, Some(circuit), &probing).await;
        // Ours or another worker's: there is a probe under way.
        *circuit = probing;
        match begun {
            Ok(true) => {
                self.histories.entry(id).or_default().probe = Some(probing);
                true
            }
            Ok(false) => false,
            Err(error) => {
                tracing::error!(hook = id.get(), %error, "a probe could not be begun");
                false
            }
        }
    }

    /// Sends a job on until the next probe may be made, or gives it up when it has waited too long.
    fn put_off(&mut self, received: Received, circuit: &OpenCircuit) {
        let schedule = &self.deliver.schedule;
        let waited = self.now.duration_since(received.job.accepted_at);
        if Duration::try_from(waited).is_ok_and(|waited| waited > schedule.patience()) {
            let letter = DeadLetter {
                job: received.job,
                message: NEVER_TRIED_AGAIN.to_owned(),
                status: None,
                failed_at: self.now,
            };
            return self.give_up(received.message_id, letter);
        }
        // No time to wait for is left when a probe is under way.
        let rest = Duration::try_from(circuit.probe_at.duration_since(self.now))
            .unwrap_or_else(|_| schedule.wait_before_probe(circuit.probes));
        self.send_again(received, put_off_for(rest, rand::random()));
    }

    async fn attempt_all(&mut self, admitted: Vec<(Received, Hook)>) {
        let deliver = self.deliver;
        let mut hanging: Vec<String> = admitted
            .iter()
            .map(|(received, _)| received.message_id.clone())
            .collect();
        let mut attempts: FuturesUnordered<_> = admitted
            .into_iter()
            .map(async |(received, hook)| {
                let target = hook.subscription.target;
                let made = attempt(deliver.client.clone(), target, received.job.clone());
                (received, made.await)
            })
            .collect();
        let mut patience = Box::pin(tokio::time::sleep(SETTLE_AFTER));
        loop {
            tokio::select! {
                biased;
                ended = attempts.next() => match ended {
                    None => return,
                    Some((received, Some(attempted))) => {
                        hanging.retain(|id| *id != received.message_id);
                        self.follow(received, attempted);
                    }
                    Some((received, None)) => self.failed.push(received.message_id),
                },
                () = &mut patience => break,
            }
        }
        // Each attempt is a task of its own, which goes on meanwhile.
        self.settle_but(&hanging).await;
        while let Some((received, attempted)) = attempts.next().await {
            match attempted {
                Some(attempted) => self.follow(received, attempted),
                None => self.failed.push(received.message_id),
            }
        }
    }

    /// Writes what the batch has come to so far and deletes the messages that are done with: all but
    /// those that still hang or have failed.
    async fn settle_but(&mut self, hanging: &[String]) {
        self.write().await;
        let (open, done): (HashMap<_, _>, HashMap<_, _>) = mem::take(&mut self.unsettled)
            .into_iter()
            .partition(|(id, _)| hanging.contains(id) || self.failed.contains(id));
        self.unsettled = open;
        let receipts = done.into_values().flatten();
        self.deliver.deliveries.delete(receipts).await;
    }

    /// Decides what follows from an attempt.
    fn follow(&mut self, mut received: Received, attempted: Attempted) {
        let job = &mut received.job;
        let Attempted { reply, ended_at } = attempted;
        let history = self.histories.entry(job.hook.id).or_default();
        history.add(attempted);
        let next = match reply.outcome.verdict() {
            Verdict::Delivered => return,
            Verdict::Retry => self.deliver.schedule.next_attempt(
                job.attempt,
                ended_at,
                reply.retry_after,
                rand::random(),
            ),
            Verdict::GiveUp => None,
        };
        if let Some(not_before) = next {
            job.attempt = job.attempt.saturating_add(1);
            job.not_before = not_before;
            let delay_s = delay_until(not_before, ended_at).unwrap_or(0);
            self.send_again(received, delay_s);
        } else {
            let letter = DeadLetter {
                message: reply.outcome.message(),
                status: reply.outcome.status(),
                failed_at: ended_at,
                job: received.job,
            };
            self.give_up(received.message_id, letter);
        }
    }

    fn send_again(&mut self, received: Received, delay_s: u32) {
        let message = QueueMessage::Delivery(received.job);
        self.later.push(Next {
            message_id: received.message_id,
            outgoing: Outgoing { message, delay_s },
        });
    }

    fn give_up(&mut self, message_id: String, letter: DeadLetter) {
        let outgoing = Outgoing::now(QueueMessage::DeadLetter(letter));
        self.given_up.push(Next {
            message_id,
            outgoing,
        });
    }

    /// Writes what the batch has come to: the histories, and the messages that follow.
    async fn write(&mut self) {
        let deliver = self.deliver;
        let (empty, histories): (BTreeMap<_, _>, BTreeMap<_, _>) = mem::take(&mut self.histories)
            .into_iter()
            .partition(|(_, history)| history.is_empty());
        self.histories = empty;
        let histories = async {
            let writes = histories.into_iter().map(|(hook_id, history)| {
                history.write(hook_id, &deliver.stores.states, &deliver.schedule)
            });
            for error in join_all(writes).await.into_iter().filter_map(Result::err) {
                // The request is made: to work the job again for the sake of its count would make
                // it once more.
                tracing::error!(%error, "a hook's history could not be written");
            }
        };
        let (later, given_up) = (mem::take(&mut self.later), mem::take(&mut self.given_up));
        let ((), unsent_later, unsent_given_up) = join3(
            histories,
            send(&deliver.deliveries, later),
            send(&deliver.dead_letters, given_up),
        )
        .await;
        self.failed.extend(unsent_later);
        self.failed.extend(unsent_given_up);
    }
}

/// The jobs that their hooks still want, each with its hook.
fn wanted(due: Vec<Received>, hooks: &Hooks) -> Vec<(Received, Hook)> {
    let hook_of = |job: &DeliveryJob| {
        let hook = hooks.get(&job.hook.id)?;
        let hears = hook.subscription.event == job.event && hook.hears(job.academy.as_deref());
        hears.then(|| hook.clone())
    };
    due.into_iter()
        .filter_map(|received| {
            let hook = hook_of(&received.job);
            if hook.is_none() {
                tracing::info!(
                    hook = received.job.hook.id.get(),
                    delivery_id = received.job.delivery_id,
                    "dropped: the hook does not want it any more"
                );
            }
            hook.map(|hook| (received, hook))
        })
        .collect()
}

/// Sends messages and returns the received ones whose successors are not in the queue.
async fn send(queue: &Queue, next: Vec<Next>) -> Vec<String> {
    let (message_ids, messages): (Vec<_>, Vec<_>) = next
        .into_iter()
        .map(|next| (next.message_id, next.outgoing))
        .unzip();
    let unsent = queue.send(messages).await;
    unsent
        .into_iter()
        .filter_map(|index| message_ids.get(index).cloned())
        .collect()
}
