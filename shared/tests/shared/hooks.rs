//! The hooks' table: who wins when two want the same hook, and which ids there are.

use std::slice;

use futures_util::future::join_all;
use shared::{
    model::{Counts, Hook, HookId, Scope},
    store::{Recorded, StoreError},
};

use super::tables::{
    ACADEMY, EVENT, OTHER_EVENT, Tables, academy, hook, ids, moved_to, start, subscription, unused,
};

#[tokio::test]
async fn a_new_hook_is_found_by_its_id_its_place_and_its_event() {
    let tables = Tables::new().await;
    let hooks = &tables.stores.hooks;
    let mut wanted = subscription(EVENT);
    // An empty text is a value of its own.
    wanted.service_id = Some(String::new());
    let created = hooks.create(academy(), ACADEMY, wanted, start()).await;
    let created = created.unwrap();
    tables.create(OTHER_EVENT).await;

    assert_eq!(created.id.get(), 1);
    assert_eq!(hooks.get(created.id).await.unwrap(), Some(created.clone()));
    let found = hooks.subscribed(&academy(), EVENT).await.unwrap();
    assert_eq!(found, slice::from_ref(&created));
    let found = hooks.in_scope(&academy(), Some(&[EVENT])).await.unwrap();
    assert_eq!(found, slice::from_ref(&created));
    assert_eq!(hooks.in_scope(&academy(), None).await.unwrap().len(), 2);
    assert!(
        hooks
            .in_scope(&Scope::Platform, None)
            .await
            .unwrap()
            .is_empty()
    );
    let found = hooks.everywhere(Some(&[EVENT])).await.unwrap();
    assert_eq!(found, slice::from_ref(&created));
    let (same, state) = hooks.get_with_state(created.id).await.unwrap().unwrap();
    assert_eq!(same, created);
    assert_eq!((state.scope, state.event.as_str()), (academy(), EVENT));
    assert_eq!(state.stats.total_calls, 0);
}

#[tokio::test]
async fn an_event_whose_name_begins_with_anothers_is_another() {
    let tables = Tables::new().await;
    let short = tables.create("cohort.added").await;
    let long = tables.create("cohort.added_again").await;
    let hooks = &tables.stores.hooks;
    let found = hooks.subscribed(&academy(), "cohort.added").await.unwrap();
    assert_eq!(found, slice::from_ref(&short));
    let events = ["cohort.added", "cohort.added_again"];
    let found = hooks.in_scope(&academy(), Some(&events)).await.unwrap();
    assert_eq!(found, [short, long]);
}

#[tokio::test]
async fn a_list_of_many_pages_is_whole() {
    let tables = Tables::new().await;
    // DynamoDB answers a megabyte at a time: this is two.
    let big = (1..=100).map(|id| {
        let mut hook = hook(id);
        hook.subscription.service_id = Some("x".repeat(20_000));
        let state = unused(&hook);
        (hook, state)
    });
    let hooks = &tables.stores.hooks;
    hooks.import(&big.collect::<Vec<_>>()).await.unwrap();
    let all: Vec<u64> = (1..=100).collect();
    assert_eq!(ids(&hooks.in_scope(&academy(), None).await.unwrap()), all);
    assert_eq!(
        ids(&hooks.subscribed(&academy(), EVENT).await.unwrap()),
        all
    );
    assert_eq!(tables.all().await, all);
}

#[tokio::test]
async fn more_places_than_one_request_takes_are_read_and_empty_ones_left_out() {
    let tables = Tables::new().await;
    let stored = tables.import(1..=230).await;
    let gone: Vec<Hook> = (300..=310).map(hook).collect();
    let everywhere = stored.iter().chain(&gone);
    let places: Vec<_> = everywhere
        .map(|hook| (&hook.scope, EVENT, hook.id))
        .collect();
    let found = tables.stores.hooks.get_many(&places).await.unwrap();
    let found: Vec<Hook> = found.into_iter().map(|signed| signed.hook).collect();
    assert_eq!(ids(&found), (1..=230).collect::<Vec<_>>());
    assert!(tables.stores.hooks.get_many(&[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_change_that_moves_a_hook_keeps_its_id_and_its_history() {
    let tables = Tables::new().await;
    let hooks = &tables.stores.hooks;
    let old = tables.create(EVENT).await;
    let called = Recorded {
        hook_id: old.id,
        calls: 3,
        last_call_at: start(),
        last_response_code: 200,
        succeeded: true,
        failures: 0,
        attempted: Counts::default(),
        expired_periods: Vec::new(),
        edited_at: start(),
        attempts: None,
        sampled_at: None,
    };
    tables.stores.states.record(&called).await.unwrap();
    let new = moved_to(&old, OTHER_EVENT);
    assert!(hooks.replace(&old, &new).await.unwrap());

    let (found, state) = hooks.get_with_state(old.id).await.unwrap().unwrap();
    assert_eq!(found, new);
    assert_eq!(
        (state.event.as_str(), state.stats.total_calls),
        (OTHER_EVENT, 3)
    );
    assert!(
        hooks
            .subscribed(&academy(), EVENT)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(tables.all().await, [1]);
}

#[tokio::test]
async fn a_hook_that_has_moved_is_not_replaced_at_its_old_place() {
    let tables = Tables::new().await;
    let hooks = &tables.stores.hooks;
    let old = tables.create(EVENT).await;
    let moved = moved_to(&old, OTHER_EVENT);
    assert!(hooks.replace(&old, &moved).await.unwrap());

    // Whoever has read it before that is told so, whether he would move it or leave it there.
    let late_move = moved_to(&old, "cohort_user.added");
    assert!(!hooks.replace(&old, &late_move).await.unwrap());
    let mut late_edit = old.clone();
    late_edit.subscription.service_id = Some("late".to_owned());
    assert!(!hooks.replace(&old, &late_edit).await.unwrap());
    assert!(!hooks.delete(&old).await.unwrap());
    let everywhere = hooks.everywhere(None).await.unwrap();
    assert_eq!(everywhere, slice::from_ref(&moved));
    assert_eq!(hooks.get(old.id).await.unwrap(), Some(moved));
}

#[tokio::test]
async fn of_changes_at_the_same_time_one_is_made() {
    let tables = Tables::new().await;
    let hooks = &tables.stores.hooks;
    let old = tables.create(EVENT).await;
    let events = (0..8).map(|n| format!("event.number_{n}"));
    let wishes: Vec<Hook> = events.map(|event| moved_to(&old, &event)).collect();
    let outcomes = join_all(wishes.iter().map(|new| hooks.replace(&old, new))).await;
    let made: Vec<&Hook> = outcomes
        .into_iter()
        .zip(&wishes)
        .filter_map(|(made, wish)| made.unwrap().then_some(wish))
        .collect();
    assert_eq!(made.len(), 1);
    assert_eq!(hooks.get(old.id).await.unwrap().as_ref(), Some(made[0]));
    assert_eq!(tables.all().await, [1]);
}

#[tokio::test]
async fn a_deleted_hook_is_gone_with_its_history_and_nothing_brings_it_back() {
    let tables = Tables::new().await;
    let (hooks, states) = (&tables.stores.hooks, &tables.stores.states);
    let deleted = tables.create(EVENT).await;
    assert!(hooks.delete(&deleted).await.unwrap());
    assert!(!hooks.delete(&deleted).await.unwrap());
    assert!(!hooks.replace(&deleted, &deleted).await.unwrap());
    let moved = moved_to(&deleted, OTHER_EVENT);
    assert!(!hooks.replace(&deleted, &moved).await.unwrap());

    assert_eq!(hooks.get(deleted.id).await.unwrap(), None);
    assert!(states.get(deleted.id).await.unwrap().is_none());
    assert!(tables.all().await.is_empty());
}

#[tokio::test]
async fn one_that_is_gone_already_does_not_save_the_others() {
    let tables = Tables::new().await;
    let hooks = &tables.stores.hooks;
    // More than one transaction takes, with one gone in the middle of the second.
    let stored = tables.import(1..=130).await;
    assert!(hooks.delete(&stored[70]).await.unwrap());
    let kept = tables.create(OTHER_EVENT).await;
    assert_eq!(hooks.delete_all(&stored).await.unwrap(), 129);

    assert_eq!(tables.all().await, [kept.id.get()]);
    let ids: Vec<HookId> = stored.iter().map(|hook| hook.id).collect();
    let states = tables.stores.states.get_many(&ids).await.unwrap();
    assert!(states.is_empty());
    assert_eq!(hooks.delete_all(&stored).await.unwrap(), 0);
    assert_eq!(hooks.delete_all(&[]).await.unwrap(), 0);
}

#[tokio::test]
async fn of_bulk_deletions_at_the_same_time_each_hook_is_counted_once() {
    let tables = Tables::new().await;
    let hooks = &tables.stores.hooks;
    let stored = tables.import(1..=20).await;
    let (first, second) = tokio::join!(hooks.delete_all(&stored), hooks.delete_all(&stored));
    assert_eq!(first.unwrap() + second.unwrap(), 20);
    assert!(tables.all().await.is_empty());
}

#[tokio::test]
async fn an_id_is_given_out_once_whatever_becomes_of_its_hook() {
    let tables = Tables::new().await;
    let hooks = &tables.stores.hooks;
    for id in 1..=3 {
        let hook = tables.create(EVENT).await;
        assert_eq!(hook.id.get(), id);
        assert!(hooks.delete(&hook).await.unwrap());
    }
    // An imported id lifts those that follow above it, and a lower one does not bring them down.
    tables.import([1_000]).await;
    assert_eq!(tables.create(EVENT).await.id.get(), 1_001);
    tables.import([500]).await;
    assert_eq!(tables.create(EVENT).await.id.get(), 1_002);
    assert_eq!(tables.all().await, [500, 1_000, 1_001, 1_002]);
}

#[tokio::test]
async fn hooks_made_at_the_same_time_have_ids_of_their_own() {
    let tables = Tables::new().await;
    let made = join_all((0..25).map(|_| tables.create(EVENT))).await;
    assert_eq!(ids(&made), (1..=25).collect::<Vec<_>>());
    assert_eq!(tables.all().await, ids(&made));
}

#[tokio::test]
async fn an_import_replaces_nothing() {
    let tables = Tables::new().await;
    let there = tables.create(EVENT).await;
    let hooks = &tables.stores.hooks;
    for event in [EVENT, OTHER_EVENT] {
        let taken = moved_to(&hook(there.id.get()), event);
        let state = unused(&taken);
        let refused = hooks.import(&[(taken, state)]).await;
        assert!(matches!(refused, Err(StoreError::Taken(_))), "{refused:?}");
    }
    assert_eq!(hooks.everywhere(None).await.unwrap(), [there]);
}

#[tokio::test]
async fn an_owners_hooks_move_and_nobody_elses() {
    let tables = Tables::new().await;
    let hooks = &tables.stores.hooks;
    for event in [EVENT, OTHER_EVENT] {
        tables.create(event).await;
    }
    // A superadmin who acts in this academy's partition is another owner.
    let other = hooks.create(academy(), "root", subscription(EVENT), start());
    let other = other.await.unwrap();
    let to = Scope::Platform;
    assert_eq!(hooks.move_all(ACADEMY, &academy(), &to).await.unwrap(), 2);

    assert_eq!(hooks.in_scope(&academy(), None).await.unwrap(), [other]);
    assert_eq!(ids(&hooks.in_scope(&to, None).await.unwrap()), [1, 2]);
    let (moved, state) = hooks
        .get_with_state(HookId::new(1).unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!((moved.scope, state.scope), (to.clone(), to.clone()));
    assert_eq!(hooks.move_all(ACADEMY, &academy(), &to).await.unwrap(), 0);
    assert_eq!(hooks.move_all(ACADEMY, &to, &academy()).await.unwrap(), 2);
    assert_eq!(hooks.in_scope(&academy(), None).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_mark_of_a_move_is_no_hook_and_goes_with_the_hook() {
    let tables = Tables::new().await;
    let hooks = &tables.stores.hooks;
    let old = tables.create(EVENT).await;
    let new = moved_to(&old, OTHER_EVENT);
    assert!(hooks.replace(&old, &new).await.unwrap());
    assert_eq!(
        hooks.in_scope(&academy(), None).await.unwrap(),
        slice::from_ref(&new)
    );
    assert_eq!(hooks.everywhere(None).await.unwrap(), slice::from_ref(&new));
    // On the event that it has left it is not looked up in vain.
    assert!(
        hooks
            .in_scope(&academy(), Some(&[EVENT]))
            .await
            .unwrap()
            .is_empty()
    );

    let rows = async || {
        let scan = tables.aws.dynamodb().scan().table_name("test-hooks");
        scan.send().await.unwrap().count
    };
    assert_eq!(rows().await, 2);
    let elsewhere = Hook {
        scope: Scope::Platform,
        ..new.clone()
    };
    assert!(hooks.replace(&new, &elsewhere).await.unwrap());
    assert_eq!(rows().await, 1);
    let back = moved_to(&elsewhere, EVENT);
    assert!(hooks.replace(&elsewhere, &back).await.unwrap());
    assert_eq!(rows().await, 2);
    assert!(hooks.delete(&back).await.unwrap());
    assert_eq!(rows().await, 0);
}
