//! The hooks' histories.

use futures_util::future::join_all;
use jiff::SignedDuration;
use serde_json::json;
use shared::{
    model::{HookId, HookStats},
    store::{Recorded, StoredState},
};

use super::tables::{EVENT, Tables, hook, start};

fn recorded(hook_id: HookId, calls: u64, last_response_code: u16, minute: i64) -> Recorded {
    Recorded {
        hook_id,
        calls,
        last_call_at: start() + SignedDuration::from_mins(minute),
        last_response_code,
    }
}

#[tokio::test]
async fn batches_add_up_and_the_last_one_is_shown() {
    let tables = Tables::new().await;
    let states = &tables.stores.states;
    let hook = tables.create(EVENT).await;
    states.record(&recorded(hook.id, 10, 200, 1)).await.unwrap();
    states.record(&recorded(hook.id, 1, 504, 2)).await.unwrap();
    let state = states.get(hook.id).await.unwrap().unwrap();
    let wanted = HookStats {
        total_calls: 11,
        last_call_at: Some(start() + SignedDuration::from_mins(2)),
        last_response_code: Some(504),
    };
    assert_eq!(state.stats, wanted);
    // The subscription was not edited.
    let found = tables.stores.hooks.get(hook.id).await.unwrap();
    assert_eq!(found, Some(hook));
}

#[tokio::test]
async fn a_batch_recorded_late_counts_but_does_not_turn_the_hook_back() {
    let tables = Tables::new().await;
    let states = &tables.stores.states;
    let hook = tables.create(EVENT).await;
    states.record(&recorded(hook.id, 1, 500, 2)).await.unwrap();
    states.record(&recorded(hook.id, 3, 200, 1)).await.unwrap();
    let state = states.get(hook.id).await.unwrap().unwrap();
    let wanted = HookStats {
        total_calls: 4,
        last_call_at: Some(start() + SignedDuration::from_mins(2)),
        last_response_code: Some(500),
    };
    assert_eq!(state.stats, wanted);
}

#[tokio::test]
async fn batches_at_the_same_time_lose_no_call() {
    let tables = Tables::new().await;
    let states = &tables.stores.states;
    let hook = tables.create(EVENT).await;
    let batches: Vec<_> = (1..=20).map(|n| recorded(hook.id, n, 200, 1)).collect();
    for written in join_all(batches.iter().map(|batch| states.record(batch))).await {
        written.unwrap();
    }
    let state = states.get(hook.id).await.unwrap().unwrap();
    assert_eq!(state.stats.total_calls, 210);
}

#[tokio::test]
async fn a_record_does_not_bring_a_deleted_hook_back() {
    let tables = Tables::new().await;
    let states = &tables.stores.states;
    let hook = tables.create(EVENT).await;
    assert!(tables.stores.hooks.delete(&hook).await.unwrap());
    states.record(&recorded(hook.id, 1, 200, 1)).await.unwrap();
    assert!(states.get(hook.id).await.unwrap().is_none());
    assert!(tables.stores.hooks.get(hook.id).await.unwrap().is_none());
}

#[tokio::test]
async fn an_imported_history_goes_on() {
    let tables = Tables::new().await;
    let (hooks, states) = (&tables.stores.hooks, &tables.stores.states);
    let hook = hook(42);
    let stats = HookStats {
        total_calls: 156,
        last_call_at: Some(start()),
        last_response_code: Some(200),
    };
    let sample = json!({"id": 1, "b": null, "a": ["é", 1.5]});
    let state = StoredState::new(&hook, stats, Some(&sample));
    hooks.import(&[(hook.clone(), state)]).await.unwrap();
    states.record(&recorded(hook.id, 1, 500, 1)).await.unwrap();

    let (_, state) = hooks.get_with_state(hook.id).await.unwrap().unwrap();
    assert_eq!(state.stats.total_calls, 157);
    assert_eq!(state.stats.last_response_code, Some(500));
    assert_eq!(state.sample(), Some(sample));
}

#[tokio::test]
async fn more_states_than_one_request_takes_are_read_and_missing_ones_left_out() {
    let tables = Tables::new().await;
    let stored = tables.import(1..=230).await;
    let gone = (300..=310).map(|id| HookId::new(id).unwrap());
    let ids: Vec<HookId> = stored.iter().map(|hook| hook.id).chain(gone).collect();
    let states = tables.stores.states.get_many(&ids).await.unwrap();
    assert_eq!(states.len(), 230);
    assert!(states.iter().all(|(id, state)| *id == state.hook_id));
}
