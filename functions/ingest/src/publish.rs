//! Publishing a list of submissions: look up, claim, queue, settle.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use futures_util::future::join_all;
use jiff::Timestamp;
use shared::{
    clock,
    http::ApiError,
    metrics::{Count, Metrics},
    model::{AcademyRef, Accepted, AcceptedEvent, DeliveryJob, Hook, HookRef, QueueMessage},
    queue::Outgoing,
    store::{Claim, Found, IdSpace},
};
use uuid::Uuid;

use crate::{
    Ingest,
    delivery_ids::DeliveryIds,
    incoming::{Incoming, Submission},
    look_up::Publisher,
    matching::Occasion,
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

/// How many deliveries are claimed, queued and settled together, unless a single submission has more.
/// A claim is a lease, and must not run out because others are queued first.
const JOBS_IN_PART: usize = 1_000;

/// What becomes of one submission.
pub(crate) type Answer = Result<Accepted, ApiError>;

/// What became of submissions, in their order.
pub(crate) struct Outcome {
    /// Each one's answer. There is none where it is not known that every delivery is in the queue.
    pub(crate) answers: Vec<Option<Answer>>,
    /// Why some have none. What was queued completely is settled all the same, so that sending all of
    /// them again sends none of those twice that have an id.
    pub(crate) failure: Option<ApiError>,
}

impl Outcome {
    /// The answers, if each has one.
    pub(crate) fn all(self) -> Result<Vec<Answer>, ApiError> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let answers: Option<Vec<_>> = self.answers.into_iter().collect();
        answers.ok_or(ApiError::NotQueued)
    }
}

/// A submission on its way into the queue.
struct Pending {
    /// Its position in the request.
    position: usize,
    ids: IdSpace,
    /// Its id: the publisher's, or ours.
    id: String,
    /// Whether the id is the publisher's.
    claimed: bool,
    /// The lease on the publisher's id.
    lease: Option<u64>,
    events: Vec<(Incoming, Occasion)>,
}

impl Pending {
    /// How many deliveries it comes to.
    fn jobs(&self, hooks: &HashMap<Occasion, Vec<Hook>>) -> usize {
        let events = self.events.iter();
        events
            .map(|(_, occasion)| matched(hooks, occasion).len())
            .sum()
    }

    /// The ids of the deliveries of one of its events.
    fn delivery_ids(&self, (incoming, (name, academy)): &(Incoming, Occasion)) -> DeliveryIds {
        if self.claimed {
            let (academy, payload) = (academy.as_deref(), &incoming.payload);
            DeliveryIds::of(&self.ids, &self.id, name, academy, payload)
        } else {
            DeliveryIds::New
        }
    }

    /// The delivery of one of its events to a hook.
    fn job(
        &self,
        (incoming, (name, academy)): &(Incoming, Occasion),
        hook: &Hook,
        delivery_id: Uuid,
        now: Timestamp,
    ) -> DeliveryJob {
        DeliveryJob {
            delivery_id,
            event_id: self.id.clone(),
            event: (*name).to_owned(),
            academy: academy.clone(),
            hook: HookRef::from(hook),
            attempt: 1,
            not_before: now,
            accepted_at: now,
            event_accepted_at: None,
            // All deliveries of an event share its payload.
            payload: incoming.payload.clone(),
        }
    }
}

impl Ingest {
    /// Publishes submissions.
    pub(crate) async fn publish(
        &self,
        publisher: Publisher,
        submissions: Vec<Result<Submission, ApiError>>,
        metrics: &Metrics,
    ) -> Outcome {
        let mut answers: Vec<Option<Answer>> = submissions.iter().map(|_| None).collect();
        let published = self.publish_into(&mut answers, publisher, submissions, metrics);
        let failure = published.await.err();
        Outcome { answers, failure }
    }

    async fn publish_into(
        &self,
        answers: &mut [Option<Answer>],
        publisher: Publisher,
        submissions: Vec<Result<Submission, ApiError>>,
        metrics: &Metrics,
    ) -> Result<(), ApiError> {
        let mut well_formed = Vec::with_capacity(submissions.len());
        for (position, submission) in submissions.into_iter().enumerate() {
            match submission {
                Ok(submission) => well_formed.push((position, submission)),
                Err(error) => answers[position] = Some(Err(error)),
            }
        }
        let (found, hooks) = self.look_up(publisher, &well_formed).await?;
        let pending = on_their_way(well_formed, &found, answers);
        let events = pending.iter().flat_map(|submission| &submission.events);
        let occasions = events.map(|(_, occasion)| occasion.clone()).collect();
        let hooks = hooks.matched(&self.stores, occasions).await?;
        let (distinct, repeated) = without_repeated(pending);

        for part in parts(distinct, &hooks) {
            let now = clock::now();
            let granted = self.claim(part, answers, now).await?;
            let unsent = self.queue(&granted, &hooks, now, metrics).await;
            let settled = self.settle(granted, &hooks, &unsent).await;
            for (position, answer) in settled {
                let events = answer.as_ref().map_or(0, |accepted| accepted.events.len());
                metrics.count(Count::EventsAccepted, events);
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
            // All of them: none of these has an answer.
            let lost: Vec<_> = answers.iter_mut().filter_map(lost).collect();
            if let Some(Err(error)) = lost.into_iter().next() {
                return Err(error);
            }
        }
        for (position, first) in repeated {
            let answer = answers[first].as_ref();
            let accepted = answer.and_then(|answer| answer.as_ref().ok()).cloned();
            answers[position] = accepted.map(Ok);
        }
        Ok(())
    }

    /// Claims the ids that the publisher gave, and returns the submissions that are to be queued.
    async fn claim(
        &self,
        pending: Vec<Pending>,
        answers: &mut [Option<Answer>],
        now: Timestamp,
    ) -> Result<Vec<Pending>, ApiError> {
        let claims = pending.into_iter().map(async |submission| {
            let claim = if submission.claimed {
                self.claim_one(&submission, now).await.map(Some)
            } else {
                Ok(None)
            };
            (submission, claim)
        });
        let mut granted = Vec::new();
        let mut failed = None;
        for (mut submission, claim) in join_all(claims).await {
            let position = submission.position;
            match claim {
                Ok(None) => granted.push(submission),
                Ok(Some(Claim::Granted { lease })) => {
                    submission.lease = Some(lease);
                    granted.push(submission);
                }
                Ok(Some(Claim::Settled(accepted))) => answers[position] = Some(Ok(accepted)),
                Ok(Some(Claim::InProgress)) => {
                    answers[position] = Some(Err(ApiError::EventInProgress(submission.id)));
                }
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            None => Ok(granted),
            Some(error) => {
                join_all(granted.iter().map(|submission| self.release(submission))).await;
                Err(error)
            }
        }
    }

    /// Claims an id, waiting a little for another request that holds it.
    async fn claim_one(&self, submission: &Pending, now: Timestamp) -> Result<Claim, ApiError> {
        let (claims, Pending { ids, id, .. }) = (&self.stores.claims, submission);
        for pause in IN_PROGRESS_LOOKS {
            match claims.claim(ids, id, now).await? {
                Claim::InProgress => tokio::time::sleep(pause).await,
                claim => return Ok(claim),
            }
        }
        Ok(claims.claim(ids, id, now).await?)
    }

    async fn release(&self, submission: &Pending) {
        let Pending { ids, id, lease, .. } = submission;
        if let Some(lease) = *lease
            && let Err(error) = self.stores.claims.release(ids, id, lease).await
        {
            // It runs out by itself: until then the publisher is told to try again.
            tracing::warn!(event_id = id, %error, "a claim could not be released");
        }
    }

    /// Queues the deliveries of submissions and returns the positions of those of which not all are in
    /// the queue.
    async fn queue(
        &self,
        pending: &[Pending],
        hooks: &HashMap<Occasion, Vec<Hook>>,
        now: Timestamp,
        metrics: &Metrics,
    ) -> BTreeSet<usize> {
        let mut position_of_job = Vec::new();
        for submission in pending {
            let jobs = submission.jobs(hooks);
            position_of_job.extend(std::iter::repeat_n(submission.position, jobs));
        }
        let unsent = self.deliveries.send(messages(pending, hooks, now)).await;
        let queued = position_of_job.len().saturating_sub(unsent.len());
        metrics.count(Count::JobsQueued, queued);
        unsent
            .into_iter()
            .filter_map(|index| position_of_job.get(index).copied())
            .collect()
    }

    /// Ends each submission: settles the claims of those that are queued, releases those of the others.
    async fn settle(
        &self,
        pending: Vec<Pending>,
        hooks: &HashMap<Occasion, Vec<Hook>>,
        unsent: &BTreeSet<usize>,
    ) -> Vec<(usize, Answer)> {
        let settled = pending.into_iter().map(async |submission| {
            if unsent.contains(&submission.position) {
                self.release(&submission).await;
                return (submission.position, Err(ApiError::NotQueued));
            }
            let events = submission.events.into_iter();
            let events = events.map(|(incoming, occasion)| AcceptedEvent {
                event: incoming.event.name.to_owned(),
                deliveries: matched(hooks, &occasion).len(),
                dropped: incoming.dropped,
            });
            let accepted = Accepted {
                id: submission.id,
                events: events.collect(),
            };
            if let Some(lease) = submission.lease {
                let claims = &self.stores.claims;
                match claims.settle(&submission.ids, &accepted, lease).await {
                    Ok(true) => {}
                    // Its deliveries are in the queue, so it is accepted; only another sending of
                    // it would not be recognised.
                    Ok(false) => tracing::error!(event_id = accepted.id, "a claim ran out"),
                    Err(error) => {
                        let event_id = &accepted.id;
                        tracing::error!(event_id, %error, "a claim could not be settled");
                    }
                }
            }
            for accepted_event in &accepted.events {
                let AcceptedEvent {
                    event,
                    deliveries,
                    dropped,
                } = accepted_event;
                // Who publishes over the bus can see it nowhere else.
                let dropped = (!dropped.is_empty()).then(|| dropped.join(" "));
                let dropped = dropped.as_deref();
                tracing::info!(
                    event_id = accepted.id,
                    event,
                    deliveries,
                    dropped,
                    "accepted"
                );
            }
            (submission.position, Ok(accepted))
        });
        join_all(settled).await
    }
}

/// Submissions on their way, but for those at academies that there are not: they are answered.
fn on_their_way(
    submissions: Vec<(usize, Submission)>,
    found: &Found,
    answers: &mut [Option<Answer>],
) -> Vec<Pending> {
    let mut pending = Vec::with_capacity(submissions.len());
    for (position, submission) in submissions {
        let Submission { ids, id, events } = submission;
        let with_occasion = |incoming: Incoming| {
            let slug = |named: &AcademyRef| {
                let academy = found.academy(named);
                let slug = academy.map(|academy| academy.slug.clone());
                slug.ok_or_else(|| ApiError::UnknownAcademy(named.to_string()))
            };
            let slug = incoming.academy.as_ref().map(slug).transpose()?;
            let occasion = (incoming.event.name, slug);
            Ok((incoming, occasion))
        };
        match events.into_iter().map(with_occasion).collect() {
            Err(error) => answers[position] = Some(Err(error)),
            Ok(events) => pending.push(Pending {
                position,
                ids,
                claimed: id.is_some(),
                id: id.unwrap_or_else(|| Uuid::now_v7().to_string()),
                lease: None,
                events,
            }),
        }
    }
    pending
}

/// The hooks that an event is for.
fn matched<'a>(hooks: &'a HashMap<Occasion, Vec<Hook>>, occasion: &Occasion) -> &'a [Hook] {
    hooks.get(occasion).map_or(&[], Vec::as_slice)
}

/// The jobs of these submissions, one after the other as the queue takes them: there may be more of them
/// than fit into memory at once.
fn messages<'a>(
    pending: &'a [Pending],
    hooks: &'a HashMap<Occasion, Vec<Hook>>,
    now: Timestamp,
) -> impl Iterator<Item = Outgoing> + 'a {
    pending.iter().flat_map(move |submission| {
        submission.events.iter().flat_map(move |event| {
            let ids = submission.delivery_ids(event);
            let hooks = matched(hooks, &event.1).iter();
            hooks.map(move |hook| {
                let job = submission.job(event, hook, ids.to(hook.id), now);
                Outgoing::now(QueueMessage::Delivery(job))
            })
        })
    })
}

/// Takes out the submissions that repeat the id of an earlier one in the same request: their positions,
/// each with the earlier one's.
fn without_repeated(pending: Vec<Pending>) -> (Vec<Pending>, Vec<(usize, usize)>) {
    let mut first_of: HashMap<(IdSpace, String), usize> = HashMap::new();
    let mut repeated = Vec::new();
    let mut distinct = Vec::with_capacity(pending.len());
    for submission in pending {
        let key = (submission.ids.clone(), submission.id.clone());
        if let Some(first) = first_of.get(&key) {
            repeated.push((submission.position, *first));
        } else {
            first_of.insert(key, submission.position);
            distinct.push(submission);
        }
    }
    (distinct, repeated)
}

/// Cuts submissions into parts of at most [`JOBS_IN_PART`] deliveries, or of one submission that has
/// more.
fn parts(pending: Vec<Pending>, hooks: &HashMap<Occasion, Vec<Hook>>) -> Vec<Vec<Pending>> {
    let mut parts: Vec<Vec<Pending>> = Vec::new();
    let mut room = 0;
    for submission in pending {
        let jobs = submission.jobs(hooks);
        match parts.last_mut() {
            Some(part) if jobs <= room => part.push(submission),
            _ => {
                room = JOBS_IN_PART;
                parts.push(vec![submission]);
            }
        }
        room = room.saturating_sub(jobs);
    }
    parts
}
