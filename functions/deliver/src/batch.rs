//! A batch: what each of its jobs asks for, done together.

use std::collections::{BTreeMap, HashMap};

use futures_util::future::{join_all, join3};
use jiff::Timestamp;
use shared::{
    deliver::schedule::delay_until,
    model::{DeadLetter, HookId, QueueMessage, Verdict},
    queue::{Outgoing, Queue},
    store::{Recorded, SignedHook, StoreError},
};

use crate::{
    Deliver, Received,
    attempt::{Attempted, attempt},
};

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
    /// Messages that are to be handed out again.
    failed: Vec<String>,
    /// Jobs that are to come again.
    later: Vec<Next>,
    /// Deliveries that are given up.
    given_up: Vec<Next>,
    /// What happened to each hook.
    recorded: BTreeMap<HookId, Recorded>,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(deliver: &'a Deliver, now: Timestamp) -> Self {
        Self {
            deliver,
            now,
            failed: Vec::new(),
            later: Vec::new(),
            given_up: Vec::new(),
            recorded: BTreeMap::new(),
        }
    }

    /// Works jobs and returns the messages that the queue is to hand out again.
    pub(crate) async fn work(mut self, received: Vec<Received>) -> Vec<String> {
        let due = self.put_off(received);
        match self.hooks_of(&due).await {
            Ok(hooks) => self.attempt_all(due, &hooks).await,
            Err(error) => {
                tracing::error!(%error, "the hooks of a batch could not be read");
                self.failed
                    .extend(due.into_iter().map(|received| received.message_id));
            }
        }
        self.write().await
    }

    /// Sends jobs on whose time has not come, and returns the others.
    fn put_off(&mut self, received: Vec<Received>) -> Vec<Received> {
        let mut due = Vec::with_capacity(received.len());
        for received in received {
            match delay_until(received.job.not_before, self.now) {
                None => due.push(received),
                Some(delay_s) => self.later.push(Next {
                    message_id: received.message_id,
                    outgoing: Outgoing {
                        message: QueueMessage::Delivery(received.job),
                        delay_s,
                    },
                }),
            }
        }
        due
    }

    /// The hooks of these jobs as they are now: the job only says where each was.
    async fn hooks_of(&self, due: &[Received]) -> Result<HashMap<HookId, SignedHook>, StoreError> {
        let mut places: Vec<_> = due
            .iter()
            .map(|received| &received.job)
            .map(|job| (&job.hook.scope, job.event.as_str(), job.hook.id))
            .collect();
        places.sort_unstable();
        places.dedup();
        let hooks = &self.deliver.stores.hooks;
        let found = hooks.get_many(&places).await?;
        let found = found.into_iter().map(|signed| (signed.hook.id, signed));
        let mut by_id: HashMap<HookId, SignedHook> = found.collect();
        // Not there any more: deleted, or moved because its owner's role changed.
        for (_, _, id) in places {
            if !by_id.contains_key(&id)
                && let Some(signed) = hooks.get_signed(id).await?
            {
                by_id.insert(id, signed);
            }
        }
        Ok(by_id)
    }

    async fn attempt_all(&mut self, due: Vec<Received>, hooks: &HashMap<HookId, SignedHook>) {
        let mut attempts = Vec::with_capacity(due.len());
        for received in due {
            let job = &received.job;
            let signed = hooks.get(&job.hook.id).filter(|SignedHook { hook, .. }| {
                hook.subscription.event == job.event && hook.hears(job.academy.as_deref())
            });
            let Some(SignedHook { hook, secrets }) = signed else {
                tracing::info!(
                    hook = job.hook.id.get(),
                    delivery_id = job.delivery_id,
                    "dropped: the hook does not want it any more"
                );
                continue;
            };
            let made = attempt(
                self.deliver.client.clone(),
                hook.subscription.target.clone(),
                secrets.clone(),
                received.job.clone(),
            );
            attempts.push(async { (received, made.await) });
        }
        for (received, attempted) in join_all(attempts).await {
            match attempted {
                Some(attempted) => self.follow(received, attempted),
                None => self.failed.push(received.message_id),
            }
        }
    }

    /// Decides what follows from an attempt.
    fn follow(&mut self, received: Received, attempted: Attempted) {
        let Received {
            message_id,
            mut job,
        } = received;
        let Attempted { reply, ended_at } = attempted;
        self.record(job.hook.id, attempted);
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
            let delay_s = delay_until(job.not_before, ended_at).unwrap_or(0);
            let message = QueueMessage::Delivery(job);
            let outgoing = Outgoing { message, delay_s };
            self.later.push(Next {
                message_id,
                outgoing,
            });
        } else {
            let letter = DeadLetter {
                message: reply.outcome.message(),
                status: reply.outcome.status(),
                failed_at: ended_at,
                job,
            };
            let outgoing = Outgoing::now(QueueMessage::DeadLetter(letter));
            self.given_up.push(Next {
                message_id,
                outgoing,
            });
        }
    }

    fn record(&mut self, hook_id: HookId, attempted: Attempted) {
        let this = Recorded {
            hook_id,
            calls: 1,
            last_call_at: attempted.ended_at,
            last_response_code: attempted.reply.outcome.code(),
        };
        self.recorded
            .entry(hook_id)
            .and_modify(|so_far| {
                let newest = if this.last_call_at >= so_far.last_call_at {
                    this
                } else {
                    *so_far
                };
                *so_far = Recorded {
                    calls: so_far.calls + 1,
                    ..newest
                };
            })
            .or_insert(this);
    }

    /// Writes what the batch has come to: the histories, and the messages that follow.
    async fn write(mut self) -> Vec<String> {
        let deliver = self.deliver;
        let histories = async {
            let writes = self
                .recorded
                .values()
                .map(|recorded| deliver.stores.states.record(recorded));
            for error in join_all(writes).await.into_iter().filter_map(Result::err) {
                // The request is made: to work the job again for the sake of its count would make
                // it once more.
                tracing::error!(%error, "a hook's history could not be written");
            }
        };
        let (later, given_up) = (self.later, self.given_up);
        let ((), unsent_later, unsent_given_up) = join3(
            histories,
            send(&deliver.deliveries, later),
            send(&deliver.dead_letters, given_up),
        )
        .await;
        self.failed.extend(unsent_later);
        self.failed.extend(unsent_given_up);
        self.failed
    }
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
