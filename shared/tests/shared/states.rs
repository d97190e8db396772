//! The hooks' histories.

use std::{collections::BTreeSet, time::Duration};

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::{join_all, try_join_all};
use jiff::{SignedDuration, Timestamp};
use shared::{
    clock,
    model::{AttemptRecord, Counts, HookId, HookStats, OpenCircuit, Outcome, TlsFailure, newest},
    store::{Recorded, StoreError, StoredState, Stores, TableNames},
};
use testing::{Lost, LostAnswers, Spy};
use tokio::time::Instant;
use uuid::Uuid;

use super::tables::{EVENT, OTHER_EVENT, Tables, hook, moved_to, start};

fn recorded(hook_id: HookId, calls: u64, last_response_code: u16, minute: i64) -> Recorded {
    Recorded {
        hook_id,
        calls,
        last_call_at: start() + SignedDuration::from_mins(minute),
        last_response_code,
        succeeded: last_response_code == 200,
        failures: if last_response_code == 200 { 0 } else { calls },
        attempted: Counts::default(),
        expired_periods: Vec::new(),
        edited_at: start() + SignedDuration::from_mins(minute),
        attempts: None,
        sampled_at: None,
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
async fn attempts_are_counted_by_three_hours_and_what_is_over_goes() {
    let tables = Tables::new().await;
    let states = &tables.stores.states;
    let hook = tables.create(EVENT).await;
    let counts = |delivered, failed| Counts { delivered, failed };
    let at = |minute, attempted| Recorded {
        attempted,
        ..recorded(hook.id, 1, 200, minute)
    };
    let state = async || states.get(hook.id).await.unwrap().unwrap();
    let time = |minute| start() + SignedDuration::from_mins(minute);
    states.record(&at(0, counts(2, 1))).await.unwrap();
    states.record(&at(200, counts(5, 0))).await.unwrap();
    // Of a target that was refused, late or not, and with the attempts before it known or not: an attempt is an attempt.
    let refused = Recorded {
        calls: 0,
        attempts: Some(Vec::new()),
        ..at(201, counts(0, 4))
    };
    states.record(&at(1, counts(1, 0))).await.unwrap();
    let unknown = Recorded {
        attempts: None,
        ..refused.clone()
    };
    let late = Recorded {
        last_call_at: time(2),
        ..unknown.clone()
    };
    for batch in [refused, unknown, late] {
        states.record(&batch).await.unwrap();
    }
    let now = state().await;
    assert_eq!(now.periods.last_day(time(201)), counts(8, 13));
    assert_eq!(now.stats.total_calls, 3);
    assert_eq!(now.periods.last_day(time(25 * 60)), counts(5, 8));

    let over = now.periods.expired(time(25 * 60)).collect();
    let next_day = Recorded {
        expired_periods: over,
        ..at(25 * 60, counts(1, 0))
    };
    states.record(&next_day).await.unwrap();
    let periods = state().await.periods;
    assert_eq!(periods.0.len(), 2);
    assert_eq!(periods.last_day(time(25 * 60)), counts(6, 8));
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
    // The second hook's last batches are of workers whose clocks are ahead.
    for ahead in [None, Some(Duration::from_hours(1))] {
        let hook = tables.create(EVENT).await;
        if let Some(ahead) = ahead {
            fill_slots(&tables, hook.id, beginning_of(clock::now() + ahead)).await;
        }
        let batches = (1..=200).map(|n| recorded(hook.id, n, 200, 1));
        for written in join_all(batches.map(async |batch| states.record(&batch).await)).await {
            written.unwrap();
        }
        let state = states.get(hook.id).await.unwrap().unwrap();
        assert_eq!(state.stats.total_calls, 20_100);
    }
}

/// Gives a hook's row a token in each slot: each begins with this.
async fn fill_slots(tables: &Tables, id: HookId, beginning: [u8; 6]) {
    for slot in 0..8 {
        let mut token = [255; 10];
        token[..6].copy_from_slice(&beginning);
        let request = tables.aws.dynamodb().update_item();
        let request = request
            .table_name("test-hook-state")
            .key("hook_id", AttributeValue::N(id.to_string()))
            .update_expression(format!("SET b{slot} = :token"))
            .expression_attribute_values(":token", AttributeValue::B(token.to_vec().into()));
        request.send().await.unwrap();
    }
}

/// What a token begins with that was made at this time.
fn beginning_of(time: Timestamp) -> [u8; 6] {
    let millis = time.as_millisecond().to_be_bytes();
    millis[2..].try_into().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_counted_once_if_the_table_answers_in_the_end() {
    let tables = Tables::new().await;
    let lost = LostAnswers::default();
    let states = lost.stores(&tables.aws).states;
    let hook = tables.create(EVENT).await;
    for (minute, losing) in (1..).zip([1, 4, 9]) {
        lost.lose(0, Lost::Calls(losing));
        let failures = states.record(&recorded(hook.id, 1, 500, minute)).await;
        assert_eq!(failures.unwrap(), Some(minute.unsigned_abs()));
        assert_eq!(lost.calls().len(), losing + 1);
    }
    lost.lose(0, Lost::Rest);
    let failed = states.record(&recorded(hook.id, 1, 500, 4)).await;
    assert!(
        matches!(failed, Err(StoreError::Table { .. })),
        "{failed:?}"
    );
    assert_eq!(lost.calls().len(), 10);
}

#[tokio::test]
async fn a_batch_that_was_not_sent_and_then_loses_its_slot_is_counted() {
    let tables = Tables::new().await;
    let lost = LostAnswers::default();
    let states = lost.stores(&tables.aws).states;
    // The tokens of workers whose clocks are ahead.
    let ahead = beginning_of(clock::now() + Duration::from_hours(1));
    for (losing, counted) in [(Lost::Unconnected, 1), (Lost::First, 0)] {
        let hook = tables.create(EVENT).await;
        fill_slots(&tables, hook.id, ahead).await;
        lost.lose(0, losing);
        states.record(&recorded(hook.id, 1, 200, 1)).await.unwrap();
        let state = states.get(hook.id).await.unwrap().unwrap();
        assert_eq!(state.stats.total_calls, counted, "{losing:?}");
    }
}

/// On its own clock: nothing but the pauses takes time.
#[tokio::test(start_paused = true)]
async fn a_batch_that_always_loses_its_slot_is_given_up_after_pauses_of_random_lengths() {
    let tables = Tables::new().await;
    let spy = Spy::default();
    let stores = Stores::new(&spy.dynamodb(&tables.aws), &TableNames::of_stack("test"));
    let hook = tables.create(EVENT).await;
    // No token is newer than these.
    fill_slots(&tables, hook.id, [255; 6]).await;
    let mut took = BTreeSet::new();
    for _ in 0..3 {
        spy.forget();
        let begun = Instant::now();
        let lost = stores.states.record(&recorded(hook.id, 1, 200, 1)).await;
        assert!(matches!(lost, Err(StoreError::Contended(_))), "{lost:?}");
        assert_eq!(spy.counts()["UpdateItem"], 10);
        took.insert(begun.elapsed());
    }
    assert_eq!(took.len(), 3);
    let bounds = Duration::from_secs(1)..Duration::from_secs(7);
    assert!(took.iter().all(|took| bounds.contains(took)), "{took:?}");
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
    let state = StoredState::new(&hook, stats);
    hooks.import(&[(hook.clone(), state)]).await.unwrap();
    states.record(&recorded(hook.id, 1, 500, 1)).await.unwrap();

    let (_, state) = hooks.get_with_state(hook.id).await.unwrap().unwrap();
    assert_eq!(state.stats.total_calls, 157);
    assert_eq!(state.stats.last_response_code, Some(500));
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

#[tokio::test]
async fn failures_in_a_row_are_counted_from_the_last_success() {
    let tables = Tables::new().await;
    let states = &tables.stores.states;
    let hook = tables.create(EVENT).await;
    let batches = [(1, 500), (3, 504), (1, 200), (2, 500)];
    let mut seen = Vec::new();
    for (minute, (calls, code)) in (1..).zip(batches) {
        let batch = recorded(hook.id, calls, code, minute);
        seen.push(states.record(&batch).await.unwrap());
    }
    assert_eq!(seen, [Some(1), Some(4), Some(0), Some(2)]);
    // One that ended before the newest is known to have ended says nothing new.
    let late = recorded(hook.id, 7, 500, 0);
    assert_eq!(states.record(&late).await.unwrap(), None);
    let state = states.get(hook.id).await.unwrap().unwrap();
    assert_eq!((state.failures_in_row, state.stats.total_calls), (2, 14));
}

#[tokio::test]
async fn of_workers_that_change_a_circuit_at_the_same_time_one_does() {
    let tables = Tables::new().await;
    let states = &tables.stores.states;
    let hook = tables.create(EVENT).await;
    let [open, other] =
        [1, 2].map(|nonce| OpenCircuit::opened(start(), Duration::from_mins(1), nonce));
    states.record(&recorded(hook.id, 4, 500, 1)).await.unwrap();
    assert!(!states.set_circuit(hook.id, None, &open).await.unwrap());
    states.record(&recorded(hook.id, 1, 500, 2)).await.unwrap();
    let opening = [open, other].map(|to| async move {
        let opened = states.set_circuit(hook.id, None, &to).await.unwrap();
        opened.then_some(to)
    });
    let opened: Vec<_> = join_all(opening).await.into_iter().flatten().collect();
    let [open] = opened[..] else {
        panic!("{opened:?}");
    };

    let time = start() + Duration::from_mins(2);
    let probes = [1, 2, 3].map(|nonce| open.probing(time, nonce).unwrap());
    let probing = probes
        .each_ref()
        .map(|to| states.set_circuit(hook.id, Some(&open), to));
    let begun = try_join_all(probing).await.unwrap();
    assert_eq!(begun.iter().filter(|begun| **begun).count(), 1);
    let state = states.get(hook.id).await.unwrap().unwrap();
    let winner = begun
        .iter()
        .position(|begun| *begun)
        .map(|winner| probes[winner]);
    assert_eq!(state.circuit, winner);
}

#[tokio::test]
async fn a_success_and_a_new_target_close_the_circuit() {
    let tables = Tables::new().await;
    let (hooks, states) = (&tables.stores.hooks, &tables.stores.states);
    let hook = tables.create(EVENT).await;
    let open = OpenCircuit::opened(start(), Duration::from_mins(1), 1);
    let open_it = async |minute| {
        let failing = recorded(hook.id, 5, 500, minute);
        assert_eq!(states.record(&failing).await.unwrap(), Some(5));
        assert!(states.set_circuit(hook.id, None, &open).await.unwrap());
    };
    open_it(1).await;
    states.record(&recorded(hook.id, 1, 200, 2)).await.unwrap();
    assert_eq!(states.get(hook.id).await.unwrap().unwrap().circuit, None);

    open_it(3).await;
    let mut relabelled = hook.clone();
    relabelled.subscription.service_id = Some("v2".to_owned());
    assert!(hooks.replace(&hook, &relabelled).await.unwrap());
    let state = states.get(hook.id).await.unwrap().unwrap();
    assert_eq!((state.failures_in_row, state.circuit), (5, Some(open)));

    let mut elsewhere = relabelled.clone();
    elsewhere.subscription.target = "https://b.com/".to_owned().try_into().unwrap();
    assert!(hooks.replace(&relabelled, &elsewhere).await.unwrap());
    let state = states.get(hook.id).await.unwrap().unwrap();
    assert_eq!((state.failures_in_row, state.circuit), (0, None));
    assert_eq!(state.stats.total_calls, 11);
}

#[tokio::test]
async fn the_circuit_of_a_hook_that_is_gone_is_not_set() {
    let tables = Tables::new().await;
    let open = OpenCircuit::opened(start(), Duration::from_mins(1), 1);
    let id = HookId::new(7).unwrap();
    let states = &tables.stores.states;
    assert!(!states.set_circuit(id, None, &open).await.unwrap());
    assert!(states.get(id).await.unwrap().is_none());
}

#[tokio::test]
async fn the_newest_attempts_are_remembered_until_the_event_is_another() {
    let tables = Tables::new().await;
    let (hooks, states) = (&tables.stores.hooks, &tables.stores.states);
    let hook = tables.create(EVENT).await;
    assert_eq!(states.get(hook.id).await.unwrap().unwrap().attempts(), []);
    let outcomes = [
        Outcome::Answered(204),
        Outcome::Answered(503),
        Outcome::TimedOut,
        Outcome::ConnectionClosed,
        Outcome::ConnectionRefused,
        Outcome::Unresolved,
        Outcome::Tls(TlsFailure::Protocol),
        Outcome::Protocol,
        Outcome::Refused,
        Outcome::NameRefused,
    ];
    let attempts: Vec<_> = (1..)
        .zip(outcomes)
        .map(|(attempt, outcome)| AttemptRecord {
            delivery_id: Uuid::from_u128(u128::MAX - u128::from(attempt)),
            attempt,
            at: start() + SignedDuration::from_millis(i64::from(attempt)),
            outcome,
            ms: u32::MAX / attempt,
            next_attempt_at: (attempt > 1).then(|| start() + SignedDuration::from_hours(10)),
        })
        .collect();
    let batch = Recorded {
        attempts: Some(attempts.clone()),
        ..recorded(hook.id, 10, 500, 1)
    };
    states.record(&batch).await.unwrap();
    // A batch that does not know them leaves them as they are.
    states.record(&recorded(hook.id, 1, 200, 2)).await.unwrap();
    let (_, state) = hooks.get_with_state(hook.id).await.unwrap().unwrap();
    assert_eq!(state.attempts(), attempts);

    let mut elsewhere = hook.clone();
    elsewhere.subscription.target = "https://b.com/".to_owned().try_into().unwrap();
    assert!(hooks.replace(&hook, &elsewhere).await.unwrap());
    let (_, state) = hooks.get_with_state(hook.id).await.unwrap().unwrap();
    assert_eq!(state.attempts().len(), attempts.len());
    let other = moved_to(&elsewhere, OTHER_EVENT);
    assert!(hooks.replace(&elsewhere, &other).await.unwrap());
    let (_, state) = hooks.get_with_state(hook.id).await.unwrap().unwrap();
    assert_eq!(state.attempts(), []);
}

/// DynamoDB charges a write for each kilobyte of the row.
#[tokio::test]
async fn the_row_of_a_busy_hook_with_an_open_circuit_stays_below_a_kilobyte() {
    let tables = Tables::new().await;
    let states = &tables.stores.states;
    let hook = tables
        .create("assignment.assignment_revision_status_updated")
        .await;
    let now: Timestamp = "2026-11-24T12:30:45.678Z".parse().unwrap();
    let attempt = AttemptRecord {
        delivery_id: Uuid::now_v7(),
        attempt: 8,
        at: now,
        outcome: Outcome::Answered(503),
        ms: 29_999,
        next_attempt_at: Some(now + SignedDuration::from_hours(10)),
    };
    let batch = Recorded {
        last_call_at: now,
        attempts: Some(newest([], vec![attempt; 100], now)),
        sampled_at: Some(now),
        ..recorded(hook.id, 1_000_000, 503, 1)
    };
    // As often as leaves a token in every slot, and a day's calls.
    for n in 1..=210 {
        let last_call_at = now - SignedDuration::from_mins(6 * (210 - n));
        let batch = Recorded {
            last_call_at,
            attempted: Counts {
                delivered: 100_000,
                failed: 12_345,
            },
            ..batch.clone()
        };
        states.record(&batch).await.unwrap();
    }
    let open = OpenCircuit::opened(now, Duration::from_mins(15), u64::MAX);
    let probing = open
        .probing(now + Duration::from_mins(15), u64::MAX)
        .unwrap();
    assert!(states.set_circuit(hook.id, None, &probing).await.unwrap());
    let rows = tables.state_rows().await;
    let sizes: Vec<usize> = rows
        .iter()
        .map(|row| {
            row.iter()
                .map(|(name, value)| name.len() + size(value))
                .sum()
        })
        .collect();
    assert!(
        sizes
            .iter()
            .max()
            .is_some_and(|size| (700..=1_024).contains(size)),
        "{sizes:?}"
    );
}

/// An attribute's size as DynamoDB counts it.
fn size(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(digits) => digits.len().div_ceil(2) + 1,
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::M(map) => {
            3 + map
                .iter()
                .map(|(k, v)| 1 + k.len() + size(v))
                .sum::<usize>()
        }
        other => unreachable!("{other:?} is not in the row"),
    }
}

#[tokio::test]
async fn a_probe_that_arrived_closes_the_circuit_even_if_its_record_is_late() {
    let tables = Tables::new().await;
    let states = &tables.stores.states;
    let hook = tables.create(EVENT).await;
    states.record(&recorded(hook.id, 5, 500, 5)).await.unwrap();
    let open = OpenCircuit::opened(start(), Duration::from_mins(1), 1);
    assert!(states.set_circuit(hook.id, None, &open).await.unwrap());
    let late = recorded(hook.id, 1, 200, 4);
    assert_eq!(states.record(&late).await.unwrap(), None);

    let other = open.probe_failed(start(), Duration::from_mins(7));
    states.close_circuit(hook.id, &other).await.unwrap();
    let state = states.get(hook.id).await.unwrap().unwrap();
    assert_eq!((state.circuit, state.failures_in_row), (Some(open), 5));
    states.close_circuit(hook.id, &open).await.unwrap();
    let state = states.get(hook.id).await.unwrap().unwrap();
    assert_eq!((state.circuit, state.failures_in_row), (None, 0));
}
