//! Which dead letters are one HookError, and what it counts.

use std::collections::BTreeSet;

use shared::{
    clock,
    model::{DeadLetter, HookError, HookId, QueueMessage},
};

use super::bench::{ACADEMY, Bench, EVENT, FAILURE, job, letter};

const NEVER_ENDED: &str = "The delivery was interrupted again and again.";

fn ids(error: &HookError) -> Vec<u64> {
    error.hooks.iter().copied().map(HookId::get).collect()
}

#[tokio::test]
async fn dead_letters_of_one_event_and_message_are_one_hook_error() {
    let bench = Bench::new().await;
    let letters = [letter(1, 7, 10), letter(2, 3, 20), letter(3, 7, 30)];
    bench.record(letters.map(QueueMessage::DeadLetter)).await;

    let error = bench.only().await;
    assert_eq!(error.id, 1);
    assert_eq!(
        (error.event.as_str(), error.message.as_str()),
        (EVENT, FAILURE)
    );
    assert_eq!((ids(&error), error.count), (vec![3, 7], 3));
    assert_eq!(error.created_at.to_string(), "2025-01-20T15:51:10Z");
    assert_eq!(error.updated_at.to_string(), "2025-01-20T15:51:30Z");
    assert_eq!(bench.of_owner(ACADEMY).await, [error]);
}

/// A row that lists all of them would grow with each, and to record one would take longer the more there are.
#[tokio::test]
async fn an_error_of_a_thousand_hooks_is_in_rows_that_do_not_grow_with_them() {
    let bench = Bench::new().await;
    let letters = (1..=1_000).map(|hook| letter(hook.into(), hook, 0));
    bench.record(letters.map(QueueMessage::DeadLetter)).await;
    let error = bench.only().await;
    assert_eq!(ids(&error), (1..=1_000).collect::<Vec<_>>());
    assert_eq!(error.count, 1_000);
    let sets = bench.rows().await.into_iter().filter_map(|row| {
        let hooks = row.get("hooks")?.as_ns().ok()?;
        Some(hooks.len())
    });
    assert_eq!(sets.max(), Some(64));
}

#[tokio::test]
async fn another_owner_event_or_message_is_another_hook_error() {
    let bench = Bench::new().await;
    let same = letter(1, 1, 0);
    let mut other_owner = letter(2, 2, 0);
    other_owner.job.hook.owner = "miami-campus".to_owned();
    let mut other_event = letter(3, 3, 0);
    other_event.job.event = "assignment.assignment_status_updated".to_owned();
    let other_message = DeadLetter {
        message: "The endpoint answered 404.".to_owned(),
        status: Some(404),
        ..letter(4, 4, 0)
    };
    let letters = [same, other_owner, other_event, other_message];
    bench.record(letters.map(QueueMessage::DeadLetter)).await;

    let of_academy = bench.of_owner(ACADEMY).await;
    let hooks: Vec<_> = of_academy.iter().map(ids).collect();
    assert_eq!(hooks, [[1], [3], [4]]);
    let of_other = bench.of_owner("miami-campus").await;
    assert_eq!(of_other.iter().map(ids).collect::<Vec<_>>(), [[2]]);
    let all = of_academy.iter().chain(&of_other);
    assert!(all.clone().all(|error| error.count == 1));
    assert_eq!(all.map(|error| error.id).collect::<BTreeSet<_>>().len(), 4);
    assert!(bench.of_owner("nobody").await.is_empty());
}

#[tokio::test]
async fn a_job_that_the_queue_gave_up_is_a_hook_error_of_now() {
    let bench = Bench::new().await;
    let before = clock::now();
    bench.record([QueueMessage::Delivery(job(1, 7))]).await;

    let error = bench.only().await;
    assert_eq!(
        (error.event.as_str(), error.message.as_str()),
        (EVENT, NEVER_ENDED)
    );
    assert_eq!((ids(&error), error.count), (vec![7], 1));
    assert!((before..=clock::now()).contains(&error.created_at));
    assert_eq!(error.updated_at, error.created_at);
}

#[tokio::test]
async fn both_doors_lead_to_the_same_owner() {
    let bench = Bench::new().await;
    let messages = [
        QueueMessage::Delivery(job(1, 7)),
        QueueMessage::DeadLetter(letter(2, 7, 0)),
    ];
    bench.record(messages).await;
    let errors = bench.of_owner(ACADEMY).await;
    let messages: Vec<_> = errors.iter().map(|error| error.message.as_str()).collect();
    assert_eq!(messages, [NEVER_ENDED, FAILURE]);
}

#[tokio::test]
async fn a_dead_letter_that_comes_twice_counts_once() {
    let bench = Bench::new().await;
    let once = || QueueMessage::DeadLetter(letter(1, 7, 10));
    bench.record([once(), once()]).await;
    bench.record([once()]).await;
    assert_eq!(bench.only().await.count, 1);
    assert_eq!(bench.kept().await.len(), 1);

    // So does a job that comes by the other door, although its time is another one each time.
    let once = || QueueMessage::Delivery(job(2, 7));
    bench.record([once(), once()]).await;
    let counts = bench.of_owner(ACADEMY).await;
    let counts: Vec<_> = counts.iter().map(|error| error.count).collect();
    assert_eq!(counts, [1, 1]);
}

#[tokio::test]
async fn batches_at_the_same_time_lose_no_count() {
    let bench = Bench::new().await;
    let batch = |range: std::ops::Range<u32>| {
        let letters = range.map(|n| letter(u128::from(n), u64::from(n) + 1, n));
        bench.record(letters.map(QueueMessage::DeadLetter).collect::<Vec<_>>())
    };
    tokio::join!(batch(0..6), batch(6..12));
    let error = bench.only().await;
    assert_eq!(error.count, 12);
    assert_eq!(ids(&error), (1..=12).collect::<Vec<_>>());
    assert_eq!(bench.kept().await.len(), 12);
}

#[tokio::test]
async fn what_is_no_dead_letter_fails_alone() {
    let bench = Bench::new().await;
    let good = |id| QueueMessage::DeadLetter(letter(id, 7, 0)).encode().unwrap();
    let bodies = [
        good(1),
        "this is no letter".to_owned(),
        good(2).replace("dead_letter.v1", "dead_letter.v9"),
        String::new(),
        good(3),
    ];
    assert_eq!(bench.failures(bodies).await, [1, 2, 3]);
    assert_eq!(bench.only().await.count, 2);
}

#[tokio::test]
async fn what_cannot_be_recorded_comes_again() {
    let bench = Bench::new().await;
    bench.drop_table().await;
    let body = QueueMessage::DeadLetter(letter(1, 7, 0)).encode().unwrap();
    assert_eq!(bench.failures([body]).await, [0]);
}
