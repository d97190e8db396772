//! The table `hook_state`: where each hook lives, what its deliveries left behind, and the counter
//! of hook ids. Deliveries write here, spread over as many partitions as there are hooks.

mod record;

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    Client,
    primitives::Blob,
    types::{AttributeValue, Delete, Put, ReturnValuesOnConditionCheckFailure, Update},
};
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::{Timestamp, fmt::serde::timestamp};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::{
    Conditional, HookSamples, Item, KEYS_PER_BATCH, StoreError, batch_get, conditional, count_up,
    failed, hook_samples, millis, number, while_contended, written,
};
use crate::model::{
    AttemptRecord, Counts, FAILURES_TO_OPEN, Hook, HookId, HookStats, OpenCircuit, Period, Periods,
    Scope,
};

pub use record::Recorded;

/// The row that holds the counter: no hook has the id 0.
const COUNTER: u64 = 0;

/// The first byte of encoded attempts: the form that the others are in.
const ATTEMPTS_FORM: u8 = 2;

/// How many batch reads run at once when a list wants the state of many hooks.
const PARALLEL_READS: usize = 8;

/// A hook's row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoredState {
    /// The hook's id.
    pub hook_id: HookId,
    /// Its partition in the hooks' table.
    #[serde(rename = "academy")]
    pub scope: Scope,
    /// Its event, the other half of its key.
    pub event: String,
    /// Its history.
    #[serde(flatten)]
    pub stats: HookStats,
    /// Failed attempts since the last that succeeded.
    #[serde(default)]
    pub failures_in_row: u64,
    /// Its circuit, when that is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circuit: Option<OpenCircuit>,
    /// Its newest attempts, encoded.
    #[serde(default)]
    attempts: ByteBuf,
    /// When one of its payloads was kept as a sample.
    #[serde(
        rename = "sampled_ms",
        with = "timestamp::millisecond::optional",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    sampled_at: Option<Timestamp>,
    /// How many of its attempts arrived and failed in the last day.
    #[serde(skip)]
    pub periods: Periods,
}

impl StoredState {
    /// The state of a hook with this history.
    #[must_use]
    pub fn new(hook: &Hook, stats: HookStats) -> Self {
        Self {
            hook_id: hook.id,
            scope: hook.scope.clone(),
            event: hook.subscription.event.clone(),
            stats,
            failures_in_row: 0,
            circuit: None,
            attempts: ByteBuf::new(),
            sampled_at: None,
            periods: Periods::default(),
        }
    }

    /// Its newest attempts, newest first. Those that another release has written in a form that this
    /// one does not know are forgotten.
    #[must_use]
    pub fn attempts(&self) -> Vec<AttemptRecord> {
        match self.attempts.split_first() {
            Some((&ATTEMPTS_FORM, records)) => postcard::from_bytes(records).unwrap_or_default(),
            _ => Vec::new(),
        }
    }

    /// Whether one of its payloads is to be kept as a sample now, because the last that was is an
    /// hour old, or there is none.
    #[must_use]
    pub fn needs_sample(&self, now: Timestamp) -> bool {
        hook_samples::is_due(self.sampled_at, now)
    }
}

/// The table.
#[derive(Clone, Debug)]
pub struct HookStates {
    client: Client,
    table: String,
    samples: HookSamples,
}

impl HookStates {
    pub(super) fn new(client: Client, table: String, samples: HookSamples) -> Self {
        Self {
            client,
            table,
            samples,
        }
    }

    /// Gives out the next hook id. An id that is then not used is lost, never given out again.
    pub(super) async fn next_id(&self) -> Result<HookId, StoreError> {
        let key = Item::from([("hook_id".to_owned(), number(COUNTER))]);
        let id = count_up(&self.client, &self.table, key, "give out a hook id").await?;
        HookId::new(id).ok_or(StoreError::OutOfIds)
    }

    /// Keeps the counter from giving out `id` or anything below it.
    pub(super) async fn reserve(&self, id: HookId) -> Result<(), StoreError> {
        let result = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("hook_id", number(COUNTER))
            .update_expression("SET last_id = :id")
            .condition_expression("attribute_not_exists(last_id) OR last_id < :id")
            .expression_attribute_values(":id", number(id.get()))
            .send()
            .await;
        written("reserve a hook id", result).map(drop)
    }

    /// The state of a hook, as of now.
    pub async fn get(&self, id: HookId) -> Result<Option<StoredState>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key(id)))
            .consistent_read(true)
            .send()
            .await
            .map_err(failed("read a hook's state"))?;
        answer.item.map(stored).transpose()
    }

    /// The states of these hooks, as of a moment ago; one that is gone, or cannot be read, is left out.
    pub async fn get_many(
        &self,
        ids: &[HookId],
    ) -> Result<HashMap<HookId, StoredState>, StoreError> {
        let batches = ids
            .chunks(KEYS_PER_BATCH)
            .map(|ids| ids.iter().copied().map(key).collect::<Vec<_>>());
        stream::iter(batches.collect::<Vec<_>>())
            .map(|keys| batch_get(&self.client, &self.table, keys, false, "read hooks' states"))
            .buffered(PARALLEL_READS)
            .try_fold(HashMap::new(), async |mut states, items| {
                for item in items {
                    match stored(item) {
                        Ok(state) => drop(states.insert(state.hook_id, state)),
                        Err(error) => tracing::error!(%error, "a hook's state has an odd shape"),
                    }
                }
                Ok(states)
            })
            .await
    }

    /// Puts a hook's circuit into the state `to`, which its nonce makes the caller's own. `false`, and
    /// nothing changed, when it is not in the state `from` any more, or, to be opened (`None`), has not enough failures
    /// in a row any more.
    pub async fn set_circuit(
        &self,
        id: HookId,
        from: Option<&OpenCircuit>,
        to: &OpenCircuit,
    ) -> Result<bool, StoreError> {
        const SET: &str = "set a hook's circuit";
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(id)))
            .update_expression("SET circuit = :to")
            .expression_attribute_values(":to", serde_dynamo::to_attribute_value(to)?);
        let request = match from {
            None => request
                .condition_expression(
                    "attribute_not_exists(circuit) AND failures_in_row >= :threshold",
                )
                .expression_attribute_values(":threshold", number(FAILURES_TO_OPEN)),
            Some(from) => request
                .condition_expression("circuit = :from")
                .expression_attribute_values(":from", serde_dynamo::to_attribute_value(from)?),
        };
        let request = request
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let set = while_contended(|| async { conditional(SET, request.clone().send().await) });
        let row = match set.await? {
            Conditional::Done(_) => return Ok(true),
            Conditional::Refused(row) => row.map(stored),
        };
        // Or it is in the state `to`: an answer was lost, and the write has met its own first try.
        Ok(row.transpose()?.is_some_and(|row| row.circuit == Some(*to)))
    }

    /// Closes a hook's circuit, if it is still in this state.
    pub async fn close_circuit(&self, id: HookId, from: &OpenCircuit) -> Result<(), StoreError> {
        const CLOSE: &str = "close a hook's circuit";
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(id)))
            .update_expression("REMOVE circuit, failures_in_row")
            .condition_expression("circuit = :from")
            .expression_attribute_values(":from", serde_dynamo::to_attribute_value(from)?);
        while_contended(|| async { written(CLOSE, request.clone().send().await) })
            .await
            .map(drop)
    }

    /// The write that creates a hook's state, for a transaction with the hook itself.
    pub(super) fn put(&self, state: &StoredState) -> Result<Put, StoreError> {
        Ok(Put::builder()
            .table_name(&self.table)
            .set_item(Some(serde_dynamo::to_item(state)?))
            .condition_expression("attribute_not_exists(hook_id)")
            .build()?)
    }

    /// The write that follows from a change of a hook: its state says where it lives from now on,
    /// a new target is not blamed for the failures of the old one, and the attempts that are remembered
    /// are those of its present event, as is the sample.
    pub(super) fn follow(&self, old: &Hook, new: &Hook) -> Result<Update, StoreError> {
        let text = |value: &str| AttributeValue::S(value.to_owned());
        let mut forgotten = Vec::new();
        if old.subscription.target != new.subscription.target {
            forgotten.extend(["failures_in_row", "circuit"]);
        }
        if old.subscription.event != new.subscription.event {
            forgotten.extend(["attempts", "sampled_ms"]);
        }
        let mut expression =
            "SET academy = :academy, event = :event, edited_ms = :edited".to_owned();
        if !forgotten.is_empty() {
            expression = format!("{expression} REMOVE {}", forgotten.join(", "));
        }
        Ok(Update::builder()
            .table_name(&self.table)
            .set_key(Some(key(new.id)))
            .update_expression(expression)
            .condition_expression("attribute_exists(hook_id)")
            .expression_attribute_values(":academy", text(new.scope.as_str()))
            .expression_attribute_values(":event", text(&new.subscription.event))
            .expression_attribute_values(":edited", millis(new.updated_at))
            .build()?)
    }

    /// The write that removes a hook's state.
    pub(super) fn delete(&self, id: HookId) -> Result<Delete, StoreError> {
        Ok(Delete::builder()
            .table_name(&self.table)
            .set_key(Some(key(id)))
            .build()?)
    }
}

/// The state in a row.
fn stored(row: Item) -> Result<StoredState, StoreError> {
    let periods = row.iter().filter_map(|(name, value)| {
        let packed = value.as_n().ok()?.parse().ok()?;
        Some((Period::of_attribute(name)?, Counts::unpacked(packed)))
    });
    let periods = Periods(periods.collect());
    let state: StoredState = serde_dynamo::from_item(row)?;
    Ok(StoredState { periods, ..state })
}

/// Attempts as they are stored: binary, since a row of a kilobyte is the cheapest to write.
fn encoded(attempts: &[AttemptRecord]) -> Result<AttributeValue, StoreError> {
    let bytes = postcard::to_extend(&attempts, vec![ATTEMPTS_FORM])?;
    Ok(AttributeValue::B(Blob::new(bytes)))
}

pub(super) fn key(id: HookId) -> Item {
    Item::from([("hook_id".to_owned(), number(id.get()))])
}
