//! The hooks' samples: whose is kept, which is shown, and that none outlives its hook.

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use shared::{
    model::{Counts, Hook},
    store::{MAX_SAMPLE_BYTES, Recorded},
};

use super::tables::{EVENT, OTHER_EVENT, Tables, moved_to, start};

fn minutes(minutes: i64) -> Timestamp {
    start() + SignedDuration::from_mins(minutes)
}

/// The hook, edited so many minutes after it was made.
fn edited(hook: &Hook, minute: i64, event: &str) -> Hook {
    Hook {
        updated_at: minutes(minute),
        ..moved_to(hook, event)
    }
}

#[tokio::test]
async fn a_sample_is_kept_for_an_hour_and_then_gives_way_to_the_next() {
    let tables = Tables::new().await;
    let samples = &tables.stores.samples;
    let hook = tables.create(EVENT).await;
    assert_eq!(samples.get(&hook).await.unwrap(), None);
    for (minute, payload, wanted) in [
        (0, "1.00", "1.00"),
        (0, "2", "1.00"),
        (59, "3", "1.00"),
        (60, "4", "4"),
        (61, "5", "4"),
        (30, "6", "4"),
        (120, "7", "7"),
    ] {
        assert!(samples.keep(&hook, payload, minutes(minute)).await.unwrap());
        let sample = samples.get(&hook).await.unwrap();
        assert_eq!(sample.as_deref(), Some(wanted), "{minute}");
    }
}

#[tokio::test]
async fn a_sample_of_another_event_is_not_shown_and_gives_way_at_once() {
    let tables = Tables::new().await;
    let samples = &tables.stores.samples;
    let first = tables.create(EVENT).await;
    samples.keep(&first, "1", minutes(0)).await.unwrap();
    let second = edited(&first, 1, OTHER_EVENT);
    assert_eq!(samples.get(&second).await.unwrap(), None);
    samples.keep(&second, "2", minutes(1)).await.unwrap();
    assert_eq!(samples.get(&second).await.unwrap().unwrap(), "2");

    // A worker that has read the hook before it was edited does not turn it back, however late it is.
    for minute in [2, 90] {
        samples.keep(&first, "3", minutes(minute)).await.unwrap();
        assert_eq!(samples.get(&second).await.unwrap().unwrap(), "2");
        assert_eq!(samples.get(&first).await.unwrap(), None);
    }
}

#[tokio::test]
async fn the_state_tells_when_the_next_sample_is_due() {
    let tables = Tables::new().await;
    let (hooks, states) = (&tables.stores.hooks, &tables.stores.states);
    let hook = tables.create(EVENT).await;
    let needs_sample = async |minute| {
        let state = states.get(hook.id).await.unwrap().unwrap();
        state.needs_sample(minutes(minute))
    };
    let recorded = |minute, sampled_at| Recorded {
        hook_id: hook.id,
        calls: 1,
        last_call_at: minutes(minute),
        last_response_code: 200,
        succeeded: true,
        failures: 0,
        attempted: Counts::default(),
        expired_periods: Vec::new(),
        edited_at: start(),
        attempts: None,
        sampled_at,
    };
    assert!(needs_sample(0).await);
    states.record(&recorded(0, None)).await.unwrap();
    assert!(needs_sample(0).await);
    let sampled = recorded(1, Some(minutes(1)));
    states.record(&sampled).await.unwrap();
    // One without leaves it as it is.
    states.record(&recorded(2, None)).await.unwrap();
    assert!(!needs_sample(60).await);
    assert!(needs_sample(61).await);

    let same_event = edited(&hook, 3, EVENT);
    assert!(hooks.replace(&hook, &same_event).await.unwrap());
    assert!(!needs_sample(60).await);
    let other_event = edited(&hook, 4, OTHER_EVENT);
    assert!(hooks.replace(&same_event, &other_event).await.unwrap());
    assert!(needs_sample(4).await);
    // What was sampled before that says nothing about it.
    let late = recorded(5, Some(minutes(5)));
    states.record(&late).await.unwrap();
    assert!(needs_sample(5).await);
}

#[tokio::test]
async fn the_largest_sample_is_kept_and_a_larger_one_is_not_asked_for() {
    let tables = Tables::new().await;
    let samples = &tables.stores.samples;
    let hook = tables.create(&"e".repeat(64)).await;
    let largest = "x".repeat(MAX_SAMPLE_BYTES);
    let larger = format!("{largest}x");
    assert!(!samples.keep(&hook, &larger, minutes(0)).await.unwrap());
    assert_eq!(samples.get(&hook).await.unwrap(), None);
    assert!(samples.keep(&hook, &largest, minutes(0)).await.unwrap());
    assert_eq!(samples.get(&hook).await.unwrap(), Some(largest));
}

#[tokio::test]
async fn samples_go_with_their_hooks_however_large_they_are() {
    let tables = Tables::new().await;
    let (hooks, samples) = (&tables.stores.hooks, &tables.stores.samples);
    let stored = tables.import(1..=30).await;
    let payload = "x".repeat(MAX_SAMPLE_BYTES);
    // Not every hook has one.
    for hook in &stored[..25] {
        samples.keep(hook, &payload, minutes(0)).await.unwrap();
    }
    assert_eq!(tables.sample_rows().await, 25);
    assert!(hooks.delete(&stored[0]).await.unwrap());
    assert_eq!(tables.sample_rows().await, 24);
    // One that is gone already is in the way of those that it is deleted with.
    assert_eq!(hooks.delete_all(&stored).await.unwrap(), 29);
    assert_eq!(tables.sample_rows().await, 0);
}

#[tokio::test]
async fn a_deletion_that_comes_to_nothing_leaves_the_sample() {
    let tables = Tables::new().await;
    let (hooks, samples) = (&tables.stores.hooks, &tables.stores.samples);
    let old = tables.create(EVENT).await;
    let moved = edited(&old, 1, OTHER_EVENT);
    assert!(hooks.replace(&old, &moved).await.unwrap());
    samples.keep(&moved, "1", minutes(1)).await.unwrap();
    assert!(!hooks.delete(&old).await.unwrap());
    assert_eq!(samples.get(&moved).await.unwrap().unwrap(), "1");
}

#[tokio::test]
async fn a_sample_kept_while_its_hook_is_deleted_does_not_stay() {
    let tables = Tables::new().await;
    let (hooks, samples) = (&tables.stores.hooks, &tables.stores.samples);
    let stored = tables.import(1..=20).await;
    // What a worker does that knows nothing of the deletion.
    let deliver = async |hook: &Hook| {
        samples.keep(hook, "1", minutes(0)).await.unwrap();
        let recorded = Recorded {
            hook_id: hook.id,
            calls: 1,
            last_call_at: minutes(0),
            last_response_code: 200,
            succeeded: true,
            failures: 0,
            attempted: Counts::default(),
            expired_periods: Vec::new(),
            edited_at: start(),
            attempts: None,
            sampled_at: Some(minutes(0)),
        };
        tables.stores.states.record(&recorded).await.unwrap();
    };
    let work = join_all(stored.iter().map(deliver));
    let deletions = join_all(stored.iter().map(|hook| hooks.delete(hook)));
    let (_, deleted) = tokio::join!(work, deletions);
    assert!(deleted.into_iter().all(Result::unwrap));
    assert_eq!(tables.sample_rows().await, 0);
}

#[tokio::test]
async fn what_is_left_of_a_hook_that_is_gone_is_shown_to_nobody_and_in_nobodys_way() {
    let tables = Tables::new().await;
    let (hooks, samples) = (&tables.stores.hooks, &tables.stores.samples);
    let gone = tables.create(EVENT).await;
    assert!(hooks.delete(&gone).await.unwrap());
    // As after a worker that was killed between its two writes.
    samples.keep(&gone, "1", minutes(0)).await.unwrap();
    let next = tables.create(EVENT).await;
    assert_eq!(samples.get(&next).await.unwrap(), None);
    samples.keep(&next, "2", minutes(0)).await.unwrap();
    assert_eq!(samples.get(&next).await.unwrap().unwrap(), "2");
    assert_eq!(hooks.delete_all(&[gone, next]).await.unwrap(), 1);
}
