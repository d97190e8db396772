//! Hooks that change their event while they are listed.
//!
//! A query reads a partition key by key. A hook that moves meanwhile may be missing at both its places, or
//! be at both. So before a hook moves its scope gets a mark with its id and the time, in a write of its own
//! that has ended by then: whoever has read the old place empty finds the mark afterwards. A list reads the
//! marks when it has read everything else, and looks up by their ids the hooks that it has not found exactly
//! once.
//!
//! There is one mark for each hook that has ever moved. It goes with the hook.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use aws_sdk_dynamodb::{
    error::SdkError,
    types::{AttributeValue, Delete},
};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;

use super::{Hooks, key_at};
use crate::{
    clock,
    model::{Hook, HookId, Scope},
    store::{Item, StoreError, failed, keys, millis, number},
};

/// How long ago a move may have begun that a list has met: longer than a list, and what is left of the
/// move, may take.
const MEMORY: Duration = Duration::from_mins(2);

/// How many hooks are looked up at once.
const PARALLEL_READS: usize = 8;

const MARK: &str = "mark that a hook moves";
const READ: &str = "read which hooks have moved";

#[derive(Deserialize)]
struct MovedItem {
    moved: HookId,
}

impl Hooks {
    /// Marks that a hook moves now from one event to another.
    pub(super) async fn mark_move(&self, scope: &Scope, id: HookId) -> Result<(), StoreError> {
        let mut mark = key_at(scope, keys::moved(id));
        mark.extend([
            ("moved".to_owned(), number(id)),
            ("moved_ms".to_owned(), now_ms(Duration::ZERO)),
        ]);
        self.client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(mark))
            .send()
            .await
            .map(drop)
            .map_err(failed(MARK))
    }

    /// The write that removes a hook's mark, if it has one.
    pub(super) fn forget_move(&self, scope: &Scope, id: HookId) -> Result<Delete, StoreError> {
        Ok(Delete::builder()
            .table_name(&self.table)
            .set_key(Some(key_at(scope, keys::moved(id))))
            .build()?)
    }

    /// The hooks that a list of a scope may have met on their way.
    pub(super) async fn moved_in(&self, scope: &Scope) -> Result<BTreeSet<HookId>, StoreError> {
        let marks = self
            .client
            .query()
            .table_name(&self.table)
            .projection_expression("moved")
            .consistent_read(true)
            .key_condition_expression("academy = :academy AND begins_with(event_hook, :prefix)")
            .filter_expression("moved_ms >= :since")
            .expression_attribute_values(":academy", AttributeValue::S(scope.as_str().to_owned()))
            .expression_attribute_values(
                ":prefix",
                AttributeValue::S(keys::MOVED_PREFIX.to_owned()),
            )
            .expression_attribute_values(":since", now_ms(MEMORY))
            .into_paginator()
            .items()
            .send()
            .try_collect()
            .await;
        moved(marks)
    }

    /// The hooks that a list of all scopes may have met on their way.
    pub(super) async fn moved_anywhere(&self) -> Result<BTreeSet<HookId>, StoreError> {
        let marks = self
            .client
            .scan()
            .table_name(&self.table)
            .projection_expression("moved")
            .consistent_read(true)
            .filter_expression("moved_ms >= :since")
            .expression_attribute_values(":since", now_ms(MEMORY))
            .into_paginator()
            .items()
            .send()
            .try_collect()
            .await;
        moved(marks)
    }

    /// A list with each of these hooks in it once, if it is wanted, and not twice.
    pub(super) async fn with_moved(
        &self,
        mut found: Vec<Hook>,
        moved: BTreeSet<HookId>,
        is_wanted: impl Fn(&Hook) -> bool,
    ) -> Result<Vec<Hook>, StoreError> {
        let mut times: HashMap<HookId, usize> = moved.into_iter().map(|id| (id, 0)).collect();
        for hook in &found {
            if let Some(times) = times.get_mut(&hook.id) {
                *times += 1;
            }
        }
        times.retain(|_, times| *times != 1);
        found.retain(|hook| !times.contains_key(&hook.id));
        let reads: Vec<_> = times.into_keys().map(|id| self.get(id)).collect();
        let now: Vec<Option<Hook>> = stream::iter(reads)
            .buffered(PARALLEL_READS)
            .try_collect()
            .await?;
        found.extend(now.into_iter().flatten().filter(is_wanted));
        Ok(found)
    }
}

/// This long ago.
fn now_ms(ago: Duration) -> AttributeValue {
    let time = clock::now() - ago;
    millis(time)
}

/// The hooks of the marks that a request has read.
fn moved<E>(marks: Result<Vec<Item>, SdkError<E>>) -> Result<BTreeSet<HookId>, StoreError>
where
    SdkError<E>: std::error::Error,
{
    let marks = marks.map_err(failed(READ))?;
    let ids = marks
        .into_iter()
        .map(|mark| Ok(serde_dynamo::from_item::<_, MovedItem>(mark)?.moved));
    ids.collect()
}
