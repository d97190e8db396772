//! Failed deliveries on their way back into the queue.

use std::{collections::BTreeMap, time::Duration};

use aws_sdk_sqs::Client;
use shared::{
    model::DeliveryJob,
    queue::Queue,
    redeliver::{MOST, RedeliverError, Redelivered, redeliver},
    store::{HookErrors, Kept},
};
use testing::take_jobs;
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    kept::{after, claim_all, hook_id, id, letter, record},
    tables::{EVENT, Tables, start},
};

/// The store, and a queue to send to.
struct Bench {
    _tables: Tables,
    errors: HookErrors,
    sqs: Client,
    url: String,
    queue: Queue,
}

/// A deadline that no machine is too slow for.
fn in_ten_minutes() -> Instant {
    Instant::now() + Duration::from_mins(10)
}

impl Bench {
    async fn new() -> Self {
        let tables = Tables::new().await;
        let sqs = tables.aws.sqs();
        let created = sqs.create_queue().queue_name("deliveries").send().await;
        let url = created.unwrap().queue_url.unwrap();
        Self {
            errors: tables.stores.errors.clone(),
            queue: Queue::new(sqs.clone(), url.clone()),
            _tables: tables,
            sqs,
            url,
        }
    }

    async fn redeliver(&self, which: &Kept) -> Result<Redelivered, RedeliverError> {
        let deadline = in_ten_minutes();
        redeliver(
            &self.errors,
            &self.queue,
            which,
            after(99),
            after(99),
            deadline,
        )
        .await
    }

    /// Takes the jobs that are in the queue.
    async fn jobs(&self) -> Vec<DeliveryJob> {
        take_jobs(&self.sqs, &self.url, 0).await
    }

    /// How often each delivery is in the queue.
    async fn sent(&self) -> BTreeMap<Uuid, usize> {
        let mut sent = BTreeMap::new();
        for job in self.jobs().await {
            *sent.entry(job.delivery_id).or_default() += 1;
        }
        sent
    }
}

#[tokio::test]
async fn redelivery_keeps_ids_and_payload_and_restarts_the_schedule() {
    let bench = Bench::new().await;
    let found = record(&bench.errors, &[letter(1, 7, 0)]).await;
    let done = bench.redeliver(&Kept::OfError(found)).await.unwrap();
    assert_eq!((done.redelivered, done.left), (1, false));
    let jobs = bench.jobs().await;
    let wanted = DeliveryJob {
        attempt: 1,
        not_before: after(99),
        accepted_at: after(99),
        event_accepted_at: Some(letter(1, 7, 0).job.accepted_at),
        ..letter(1, 7, 0).job
    };
    assert_eq!(format!("{jobs:?}"), format!("{:?}", [wanted]));
    assert_eq!(
        (jobs[0].event.as_str(), jobs[0].event_id.as_str()),
        (EVENT, "event-of-1")
    );
}

#[tokio::test]
async fn twice_in_a_row_or_at_the_same_time_is_once() {
    let bench = Bench::new().await;
    let letters: Vec<_> = (0..90).map(|n| letter(id(n), 7, n)).collect();
    let of_error = Kept::OfError(record(&bench.errors, &letters).await);
    let of_hook = Kept::OfHook(hook_id(7), start());
    let (a, b, c) = tokio::join!(
        bench.redeliver(&of_error),
        bench.redeliver(&of_hook),
        bench.redeliver(&of_error),
    );
    let sum: usize = [a, b, c].map(|done| done.unwrap().redelivered).iter().sum();
    let again = bench.redeliver(&of_error).await.unwrap();
    assert_eq!((sum, again.redelivered), (90, 0));
    let sent = bench.sent().await;
    assert_eq!((sent.len(), sent.values().max()), (90, Some(&1)));
}

#[tokio::test]
async fn what_the_queue_does_not_take_stays_and_can_be_asked_for_again() {
    let bench = Bench::new().await;
    let letters: Vec<_> = (0..30).map(|n| letter(id(n), 7, n)).collect();
    let of_error = Kept::OfError(record(&bench.errors, &letters).await);
    let nowhere = Queue::new(bench.sqs.clone(), format!("{}-gone", bench.url));
    let deadline = in_ten_minutes();
    let failed = redeliver(
        &bench.errors,
        &nowhere,
        &of_error,
        after(99),
        after(99),
        deadline,
    )
    .await;
    assert!(
        matches!(failed, Err(RedeliverError::NotQueued)),
        "{failed:?}"
    );
    // At once, not only when the claims have run out.
    let done = bench.redeliver(&of_error).await.unwrap();
    assert_eq!((done.redelivered, done.left), (30, false));
    assert_eq!(bench.sent().await.len(), 30);
}

#[tokio::test]
async fn what_others_are_sending_is_left_to_them() {
    let bench = Bench::new().await;
    let of_error = Kept::OfError(record(&bench.errors, &[letter(1, 7, 0)]).await);
    let claimed = claim_all(&bench.errors, &of_error, after(99), after(99)).await;
    assert_eq!(claimed, [1]);
    let done = bench.redeliver(&of_error).await.unwrap();
    assert_eq!((done.redelivered, done.left), (0, false));
    assert!(bench.jobs().await.is_empty());
}

#[tokio::test]
async fn after_its_deadline_a_call_sends_nothing_and_says_that_deliveries_are_left() {
    let bench = Bench::new().await;
    let of_error = Kept::OfError(record(&bench.errors, &[letter(1, 7, 0)]).await);
    let past = Instant::now()
        .checked_sub(Duration::from_millis(1))
        .unwrap();
    let done = redeliver(
        &bench.errors,
        &bench.queue,
        &of_error,
        after(99),
        after(99),
        past,
    )
    .await;
    let nothing = Redelivered {
        redelivered: 0,
        left: true,
    };
    assert_eq!(done.unwrap(), nothing);
    assert!(bench.jobs().await.is_empty());
}

#[tokio::test]
async fn a_call_sends_no_more_than_it_may_and_says_that_there_are_more() {
    let bench = Bench::new().await;
    let count = i64::try_from(MOST).unwrap() + 5;
    let letters: Vec<_> = (0..count).map(|n| letter(id(n), 7, n % 90)).collect();
    let of_error = Kept::OfError(record(&bench.errors, &letters).await);
    let first = bench.redeliver(&of_error).await.unwrap();
    assert_eq!((first.redelivered, first.left), (MOST, true));
    let rest = bench.redeliver(&of_error).await.unwrap();
    assert_eq!((rest.redelivered, rest.left), (5, false));
    let sent = bench.sent().await;
    assert_eq!((sent.len(), sent.values().max()), (MOST + 5, Some(&1)));
}
