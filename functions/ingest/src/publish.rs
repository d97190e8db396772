//! Publishing a list of events: match, claim, queue, settle.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use futures_util::future::join_all;
use jiff::Timestamp;
use shared::{
    clock,
    http::ApiError,
    model::{Accepted, DeliveryJob, Hook, HookRef, QueueMessage},
    queue::Outgoing,
    store::Claim,
};
use uuid::Uuid;

use crate::{
    Ingest,
    incoming::Incoming,
    matching::{Academies, Occasion, hooks_for},
};

/// How long a request waits for another one that is publishing the same event, and how often it
/// looks.
const IN_PROGRESS_LOOKS: [Duration; 5] = [
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(800),
];

/// How many deliveries are claimed, queued and settled together, unless a single event has more. A
/// claim is a lease, and must not run out because others are queued first.
const JOBS_IN_PART: usize = 1_000;

/// What becomes of one event.
pub(crate) type Answer = Result<Accepted, ApiError>;

/// An event on its way into the queue.
struct Pending {
    /// Its position in the request.
    position: usize,
    incoming: Incoming,
    occasion: Occasion,
    /// Its id: the publisher's, or ours.
    id: String,
    /// The lease on the publisher's id.
    lease: Option<i64>,
}

impl Pending {
    /// The delivery of this event to a hook.
    fn job(&self, hook: &Hook, now: Timestamp) -> DeliveryJob {
        DeliveryJob {
            delivery_id: Uuid::now_v7(),
            event_id: self.id.clone(),
            event: self.incoming.event.name.to_owned(),
            academy: self.occasion.1.clone(),
            hook: HookRef::from(hook),
            attempt: 1,
            not_before: now,
            accepted_at: now,
            // All deliveries of an event share its payload.
            payload: self.incoming.payload.clone(),
        }
    }
}

impl Ingest {
    /// Publishes events and answers each, in their order. An error as a whole means that not every
    /// delivery is known to be in the queue; the events that were queued completely are settled all
    /// the same, so that sending the request again sends none of those twice that have an id.
    pub(crate) async fn publish(
        &self,
        publisher: &str,
        events: Vec<Result<Incoming, ApiError>>,
    ) -> Result<Vec<Answer>, ApiError> {
        let mut answers: Vec<Option<Answer>> = events.iter().map(|_| None).collect();
        let pending = self.with_academies(events, &mut answers).await?;
        let occasions = pending.iter().map(|event| event.occasion.clone()).collect();
        let hooks = hooks_for(&self.stores, occasions).await?;
        let (distinct, repeated) = without_repeated(pending);

        for part in parts(distinct, &hooks) {
            let now = clock::now();
            let granted = self.claim(publisher, part, &mut answers, now).await?;
            let unsent = self.queue(&granted, &hooks, now).await;
            let settled = self.settle(publisher, granted, &hooks, &unsent).await;
            for (position, answer) in settled {
                answers[position] = Some(answer);
            }
            let lost = |answer: &mut Option<Answer>| {
                answer.take_if(|answer| {
                    matches!(
                        answer,
                        Err(ApiError::NotQueued | ApiError::EventInProgress(_))
                    )
                })
            };
            if let Some(Err(error)) = answers.iter_mut().find_map(lost) {
                return Err(error);
            }
        }
        for (position, first) in repeated {
            let answer = answers[first]
                .as_ref()
                .and_then(|answer| answer.as_ref().ok())
                .cloned();
            answers[position] = Some(answer.ok_or(ApiError::NotQueued));
        }
        Ok(answers
            .into_iter()
            .map(|answer| answer.unwrap_or(Err(ApiError::NotQueued)))
            .collect())
    }

    /// Finds the academies of the events that are well-formed, and answers the others.
    async fn with_academies(
        &self,
        events: Vec<Result<Incoming, ApiError>>,
        answers: &mut [Option<Answer>],
    ) -> Result<Vec<Pending>, ApiError> {
        let wanted = events
            .iter()
            .flatten()
            .filter_map(|event| event.academy.as_ref());
        let academies = Academies::read(&self.stores, wanted).await?;
        let mut pending = Vec::with_capacity(events.len());
        for (position, event) in events.into_iter().enumerate() {
            let found = event.and_then(|incoming| {
                let slug = incoming
                    .academy
                    .as_ref()
                    .map(|academy| academies.slug(academy));
                Ok((slug.transpose()?, incoming))
            });
            match found {
                Err(error) => answers[position] = Some(Err(error)),
                Ok((academy, incoming)) => pending.push(Pending {
                    position,
                    occasion: (incoming.event.name, academy),
                    id: incoming
                        .id
                        .clone()
                        .unwrap_or_else(|| Uuid::now_v7().to_string()),
                    incoming,
                    lease: None,
                }),
            }
        }
        Ok(pending)
    }

    /// Claims the ids that the publisher gave, and returns the events that are to be queued.
    async fn claim(
        &self,
        publisher: &str,
        pending: Vec<Pending>,
        answers: &mut [Option<Answer>],
        now: Timestamp,
    ) -> Result<Vec<Pending>, ApiError> {
        let claims = pending.into_iter().map(async |event| {
            let claim = match &event.incoming.id {
                None => Ok(None),
                Some(id) => self.claim_one(publisher, id, now).await.map(Some),
            };
            (event, claim)
        });
        let mut granted = Vec::new();
        let mut failed = None;
        for (mut event, claim) in join_all(claims).await {
            match claim {
                Ok(None) => granted.push(event),
                Ok(Some(Claim::Granted { lease })) => {
                    event.lease = Some(lease);
                    granted.push(event);
                }
                Ok(Some(Claim::Settled(accepted))) => answers[event.position] = Some(Ok(accepted)),
                Ok(Some(Claim::InProgress)) => {
                    answers[event.position] = Some(Err(ApiError::EventInProgress(event.id)));
                }
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            None => Ok(granted),
            Some(error) => {
                join_all(granted.iter().map(|event| self.release(publisher, event))).await;
                Err(error)
            }
        }
    }

    /// Claims an id, waiting a little for another request that holds it.
    async fn claim_one(
        &self,
        publisher: &str,
        id: &str,
        now: Timestamp,
    ) -> Result<Claim, ApiError> {
        for pause in IN_PROGRESS_LOOKS {
            match self.stores.claims.claim(publisher, id, now).await? {
                Claim::InProgress => tokio::time::sleep(pause).await,
                claim => return Ok(claim),
            }
        }
        Ok(self.stores.claims.claim(publisher, id, now).await?)
    }

    async fn release(&self, publisher: &str, event: &Pending) {
        if let Some(lease) = event.lease
            && let Err(error) = self
                .stores
                .claims
                .release(publisher, &event.id, lease)
                .await
        {
            // It runs out by itself: until then the publisher is told to try again.
            tracing::warn!(%error, "a claim could not be released");
        }
    }

    /// Queues the deliveries of events and returns the positions of the events of which not all
    /// are in the queue.
    async fn queue(
        &self,
        pending: &[Pending],
        hooks: &HashMap<Occasion, Vec<Hook>>,
        now: Timestamp,
    ) -> BTreeSet<usize> {
        let mut position_of_job = Vec::new();
        for event in pending {
            let jobs = hooks.get(&event.occasion).map_or(0, Vec::len);
            position_of_job.extend(std::iter::repeat_n(event.position, jobs));
        }
        let unsent = self.deliveries.send(messages(pending, hooks, now)).await;
        unsent
            .into_iter()
            .filter_map(|index| position_of_job.get(index).copied())
            .collect()
    }

    /// Ends each event: settles the claims of those that are queued, releases those of the others.
    async fn settle(
        &self,
        publisher: &str,
        pending: Vec<Pending>,
        hooks: &HashMap<Occasion, Vec<Hook>>,
        unsent: &BTreeSet<usize>,
    ) -> Vec<(usize, Answer)> {
        let settled = pending.into_iter().map(async |event| {
            if unsent.contains(&event.position) {
                self.release(publisher, &event).await;
                return (event.position, Err(ApiError::NotQueued));
            }
            let accepted = Accepted {
                deliveries: hooks.get(&event.occasion).map_or(0, Vec::len),
                id: event.id,
                event: event.incoming.event.name.to_owned(),
            };
            if let Some(lease) = event.lease {
                match self.stores.claims.settle(publisher, &accepted, lease).await {
                    Ok(true) => {}
                    // Its deliveries are in the queue, so it is accepted; only another sending of
                    // it would not be recognised.
                    Ok(false) => tracing::error!(event_id = accepted.id, "a claim ran out"),
                    Err(error) => tracing::error!(%error, "a claim could not be settled"),
                }
            }
            tracing::info!(
                event_id = accepted.id,
                event = accepted.event,
                deliveries = accepted.deliveries,
                "accepted"
            );
            (event.position, Ok(accepted))
        });
        join_all(settled).await
    }
}

/// The jobs of these events, one after the other as the queue takes them: there may be more of them
/// than fit into memory at once.
fn messages<'a>(
    pending: &'a [Pending],
    hooks: &'a HashMap<Occasion, Vec<Hook>>,
    now: Timestamp,
) -> impl Iterator<Item = Outgoing> + 'a {
    pending.iter().flat_map(move |event| {
        let hooks = hooks.get(&event.occasion).into_iter().flatten();
        hooks.map(move |hook| Outgoing::now(QueueMessage::Delivery(event.job(hook, now))))
    })
}

/// Takes out the events that repeat the id of an earlier one in the same request: their positions,
/// each with the earlier one's.
fn without_repeated(pending: Vec<Pending>) -> (Vec<Pending>, Vec<(usize, usize)>) {
    let mut first_of: HashMap<String, usize> = HashMap::new();
    let mut repeated = Vec::new();
    let mut distinct = Vec::with_capacity(pending.len());
    for event in pending {
        if let Some(first) = event.incoming.id.as_ref().and_then(|id| first_of.get(id)) {
            repeated.push((event.position, *first));
        } else {
            first_of.insert(event.id.clone(), event.position);
            distinct.push(event);
        }
    }
    (distinct, repeated)
}

/// Cuts events into parts of at most [`JOBS_IN_PART`] deliveries, or of one event that has more.
fn parts(pending: Vec<Pending>, hooks: &HashMap<Occasion, Vec<Hook>>) -> Vec<Vec<Pending>> {
    let mut parts: Vec<Vec<Pending>> = Vec::new();
    let mut room = 0;
    for event in pending {
        let jobs = hooks.get(&event.occasion).map_or(0, Vec::len);
        match parts.last_mut() {
            Some(part) if jobs <= room => part.push(event),
            _ => {
                room = JOBS_IN_PART;
                parts.push(vec![event]);
            }
        }
        room = room.saturating_sub(jobs);
    }
    parts
}
