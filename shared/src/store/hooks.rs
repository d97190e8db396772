//! The table `hooks`: the subscriptions, keyed by whose events they hear and by event.
//!
//! One Query by partition lists an owner's hooks; one by partition and event finds those that an
//! event is for, however many others there are. A hook and its state are made, moved and removed in
//! one transaction, so that neither is ever found without the other. Its sample is removed with them.
//!
//! A hook that changes its event moves to another key, and a query may pass its new place before and its
//! old one after. A mark beside the hooks says that it was on its way (how, is told in `moves.rs`), so that
//! a list can look for it.
//!
//! A row holds the hook's secrets as well, which only [`SignedHook`] ever shows. Whatever changes a
//! hook leaves them as they are.

mod changes;
mod moves;
mod secrets;

use aws_sdk_dynamodb::{
    Client,
    types::{AttributeValue, Delete, Put, TransactWriteItem},
};
use futures_util::{StreamExt, TryStreamExt, future::try_join_all, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    HookSamples, HookStates, Item, KEYS_PER_BATCH, StoreError, StoredState, Transaction, batch_get,
    failed, keys, transacted, while_contended,
};
use crate::model::{Hook, HookId, HookStats, Scope, Secret, Secrets, Subscription, Target};

pub use secrets::SignedHook;
use secrets::{Unchanged, signed, with_secrets};

/// A hook and its state are two writes, and a transaction takes a hundred.
const HOOKS_PER_TRANSACTION: usize = 50;

/// A transaction takes four megabytes, of what it removes as well, and a sample may have 400 KB.
const DELETIONS_PER_TRANSACTION: usize = 8;

/// How many transactions a bulk deletion has under way.
const PARALLEL_TRANSACTIONS: usize = 4;

/// What it is called to read a hook.
const READ: &str = "read a hook";

/// What lists and matches read of a row: a [`HookItem`], and not the secrets.
const WITHOUT_SECRETS: &str =
    "academy, event_hook, id, #owner, event, target, service_id, created_at, updated_at";

/// `owner` is a word of DynamoDB's own.
const OWNER: (&str, &str) = ("#owner", "owner");

#[derive(Serialize, Deserialize)]
struct HookItem {
    academy: Scope,
    event_hook: String,
    id: HookId,
    owner: String,
    event: String,
    target: Target,
    service_id: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<&Hook> for HookItem {
    fn from(hook: &Hook) -> Self {
        let subscription = hook.subscription.clone();
        Self {
            academy: hook.scope.clone(),
            event_hook: keys::event_hook(&subscription.event, hook.id),
            id: hook.id,
            owner: hook.owner.clone(),
            event: subscription.event,
            target: subscription.target,
            service_id: subscription.service_id,
            created_at: hook.created_at,
            updated_at: hook.updated_at,
        }
    }
}

impl From<HookItem> for Hook {
    fn from(item: HookItem) -> Self {
        Self {
            id: item.id,
            scope: item.academy,
            owner: item.owner,
            subscription: Subscription {
                event: item.event,
                target: item.target,
                service_id: item.service_id,
            },
            created_at: item.created_at,
            updated_at: item.updated_at,
        }
    }
}

/// The table.
#[derive(Clone, Debug)]
pub struct Hooks {
    client: Client,
    table: String,
    states: HookStates,
    samples: HookSamples,
}

impl Hooks {
    pub(super) fn new(
        client: Client,
        table: String,
        states: HookStates,
        samples: HookSamples,
    ) -> Self {
        Self {
            client,
            table,
            states,
            samples,
        }
    }

    /// Stores a new hook and gives it an id and a secret.
    pub async fn create(
        &self,
        scope: Scope,
        owner: &str,
        subscription: Subscription,
        now: Timestamp,
    ) -> Result<Hook, StoreError> {
        let hook = Hook {
            id: self.states.next_id().await?,
            scope,
            owner: owner.to_owned(),
            subscription,
            created_at: now,
            updated_at: now,
        };
        let state = StoredState::new(&hook, HookStats::default());
        let new = [(hook, state)];
        self.insert(&new).await?;
        let [(hook, _)] = new;
        Ok(hook)
    }

    /// Stores hooks that have ids and histories already, fifty in a transaction, and gives each a
    /// secret. Ids given out later are above theirs. An id that is taken ends it, with the hooks before
    /// it stored.
    pub async fn import(&self, hooks: &[(Hook, StoredState)]) -> Result<(), StoreError> {
        if let Some(highest) = hooks.iter().map(|(hook, _)| hook.id).max() {
            self.states.reserve(highest).await?;
        }
        for hooks in hooks.chunks(HOOKS_PER_TRANSACTION) {
            self.insert(hooks).await?;
        }
        Ok(())
    }

    async fn insert(&self, hooks: &[(Hook, StoredState)]) -> Result<(), StoreError> {
        const INSERT: &str = "store new hooks";
        let mut writes = Vec::with_capacity(2 * hooks.len());
        for (hook, state) in hooks {
            let secrets = Secrets::first(Secret::random()?);
            let hook = self.put(hook, Some(&secrets))?;
            writes.extend([put(hook), put(self.states.put(state)?)]);
        }
        match self.transact(INSERT, writes).await? {
            Transaction::Done => Ok(()),
            Transaction::ConditionFailed(_) => Err(StoreError::Taken(INSERT)),
        }
    }

    /// The hook with this id, as of now.
    pub async fn get(&self, id: HookId) -> Result<Option<Hook>, StoreError> {
        Ok(self.get_with_state(id).await?.map(|(hook, _)| hook))
    }

    /// The hook with this id and its state, as of now.
    pub async fn get_with_state(
        &self,
        id: HookId,
    ) -> Result<Option<(Hook, StoredState)>, StoreError> {
        self.get_within(id, None).await
    }

    /// The hook with this id and its state, as of now, if it is in this scope; none: in any. One that is
    /// in another costs the same reads as one that is not there, so that nobody can tell by the time.
    pub async fn get_within(
        &self,
        id: HookId,
        scope: Option<&Scope>,
    ) -> Result<Option<(Hook, StoredState)>, StoreError> {
        let row = self.row(id, scope).await?;
        row.map(|(item, state)| Ok((hook(item)?, state)))
            .transpose()
    }

    async fn row(
        &self,
        id: HookId,
        scope: Option<&Scope>,
    ) -> Result<Option<(Item, StoredState)>, StoreError> {
        // Between the two reads a hook may move to another key: then look again.
        while_contended(async || {
            let state = self.states.get(id).await?;
            let is_in = |state: &StoredState| scope.is_none_or(|scope| *scope == state.scope);
            let Some(state) = state.filter(is_in) else {
                return Ok(None);
            };
            match self.row_at(&state.scope, &state.event, id).await? {
                Some(item) => Ok(Some((item, state))),
                None => Err(StoreError::Contended(READ)),
            }
        })
        .await
    }

    async fn row_at(
        &self,
        scope: &Scope,
        event: &str,
        id: HookId,
    ) -> Result<Option<Item>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key(scope, event, id)))
            .consistent_read(true)
            .send()
            .await
            .map_err(failed(READ))?;
        Ok(answer.item)
    }

    /// The hooks at these places and their secrets, as of now; one that has gone from its place, or
    /// cannot be read, is left out.
    pub async fn get_many(
        &self,
        places: &[(&Scope, &str, HookId)],
    ) -> Result<Vec<SignedHook>, StoreError> {
        let batches: Vec<Vec<Item>> = places
            .chunks(KEYS_PER_BATCH)
            .map(|places| {
                places
                    .iter()
                    .map(|(scope, event, id)| key(scope, event, *id))
                    .collect()
            })
            .collect();
        let reads = batches
            .into_iter()
            .map(|keys| batch_get(&self.client, &self.table, keys, true, "read hooks"));
        let items = try_join_all(reads).await?.into_iter().flatten();
        let readable = items.filter_map(|item| {
            let signed = signed(item);
            signed
                .inspect_err(|error| tracing::error!(%error, "a hook has an odd shape"))
                .ok()
        });
        Ok(readable.collect())
    }

    /// The hooks of a partition, as of now: all, or those on the named events. A hook that is there
    /// throughout is there once, also when it changes its event meanwhile.
    pub async fn in_scope(
        &self,
        scope: &Scope,
        events: Option<&[&str]>,
    ) -> Result<Vec<Hook>, StoreError> {
        let found = match events {
            None => self.query(scope, None, true).await?,
            Some(events) => {
                let queries = events
                    .iter()
                    .map(|event| self.query(scope, Some(event), true));
                try_join_all(queries).await?.into_iter().flatten().collect()
            }
        };
        let moved = self.moved_in(scope).await?;
        let is_wanted = |hook: &Hook| hook.scope == *scope && is_on(hook, events);
        self.with_moved(found, moved, is_wanted).await
    }

    /// The hooks that an event in this scope is for, as of a moment ago: a subscription may take
    /// that moment to be heard, which halves what every event costs.
    pub async fn subscribed(&self, scope: &Scope, event: &str) -> Result<Vec<Hook>, StoreError> {
        self.query(scope, Some(event), false).await
    }

    /// Every hook there is, once, on the named events if any are named: two scans, for superadmins.
    pub async fn everywhere(&self, events: Option<&[&str]>) -> Result<Vec<Hook>, StoreError> {
        let items: Vec<Item> = self
            .client
            .scan()
            .table_name(&self.table)
            .projection_expression(WITHOUT_SECRETS)
            .expression_attribute_names(OWNER.0, OWNER.1)
            .filter_expression("attribute_exists(id)")
            .consistent_read(true)
            .into_paginator()
            .items()
            .send()
            .try_collect()
            .await
            .map_err(failed("scan the hooks"))?;
        let mut found = items.into_iter().map(hook).collect::<Result<Vec<_>, _>>()?;
        found.retain(|hook| is_on(hook, events));
        let moved = self.moved_anywhere().await?;
        self.with_moved(found, moved, |hook| is_on(hook, events))
            .await
    }

    async fn query(
        &self,
        scope: &Scope,
        event: Option<&str>,
        consistent: bool,
    ) -> Result<Vec<Hook>, StoreError> {
        let mut request = self
            .client
            .query()
            .table_name(&self.table)
            .projection_expression(WITHOUT_SECRETS)
            .expression_attribute_names(OWNER.0, OWNER.1)
            .consistent_read(consistent)
            .expression_attribute_values(":academy", AttributeValue::S(scope.as_str().to_owned()));
        request = match event {
            // After the moves.
            None => request
                .key_condition_expression("academy = :academy AND event_hook >= :first")
                .expression_attribute_values(":first", AttributeValue::S("0".to_owned())),
            Some(event) => request
                .key_condition_expression("academy = :academy AND begins_with(event_hook, :event)")
                .expression_attribute_values(
                    ":event",
                    AttributeValue::S(keys::event_prefix(event)),
                ),
        };
        let items: Vec<Item> = request
            .into_paginator()
            .items()
            .send()
            .try_collect()
            .await
            .map_err(failed("query hooks"))?;
        items.into_iter().map(hook).collect()
    }

    /// Removes a hook, its history and its sample. `false` when it is not where it was: gone already,
    /// or moved by somebody else at this moment.
    pub async fn delete(&self, hook: &Hook) -> Result<bool, StoreError> {
        let outcome = self.transact("delete a hook", self.deletion(hook)?).await?;
        Ok(matches!(outcome, Transaction::Done))
    }

    /// Removes these hooks and says how many of them it was that did so.
    pub async fn delete_all(&self, hooks: &[Hook]) -> Result<usize, StoreError> {
        let transactions = hooks.chunks(DELETIONS_PER_TRANSACTION);
        let transactions: Vec<_> = transactions
            .map(|hooks| self.delete_together(hooks))
            .collect();
        stream::iter(transactions)
            .buffered(PARALLEL_TRANSACTIONS)
            .try_fold(0, async |sum, deleted| Ok(sum + deleted))
            .await
    }

    async fn delete_together(&self, hooks: &[Hook]) -> Result<usize, StoreError> {
        let deletions = hooks.iter().map(|hook| self.deletion(hook));
        let writes = deletions.collect::<Result<Vec<_>, _>>()?.concat();
        if let Transaction::Done = self.transact("delete hooks", writes).await? {
            return Ok(hooks.len());
        }
        // One of them has gone meanwhile, which must not save the others.
        let mut deleted = 0;
        for hook in hooks {
            deleted += usize::from(self.delete(hook).await?);
        }
        Ok(deleted)
    }

    fn deletion(&self, hook: &Hook) -> Result<Vec<TransactWriteItem>, StoreError> {
        Ok(vec![
            delete(self.delete_item(hook, Unchanged::default())?),
            delete(self.forget_move(&hook.scope, hook.id)?),
            delete(self.states.delete(hook.id)?),
            delete(self.samples.delete(hook.id)?),
        ])
    }

    /// One transaction, tried again when it met another one on the same rows.
    async fn transact(
        &self,
        operation: &'static str,
        writes: Vec<TransactWriteItem>,
    ) -> Result<Transaction, StoreError> {
        while_contended(|| async {
            let request = self.client.transact_write_items();
            let request = request.set_transact_items(Some(writes.clone()));
            transacted(operation, request.send().await)
        })
        .await
    }

    /// The write that makes a hook's row.
    fn put(&self, hook: &Hook, secrets: Option<&Secrets>) -> Result<Put, StoreError> {
        let row = serde_dynamo::to_item(HookItem::from(hook))?;
        Ok(Put::builder()
            .table_name(&self.table)
            .set_item(Some(with_secrets(row, secrets)?))
            .condition_expression("attribute_not_exists(event_hook)")
            .build()?)
    }

    /// The write that removes a hook's row, under a condition.
    fn delete_item(&self, hook: &Hook, condition: Unchanged) -> Result<Delete, StoreError> {
        Ok(Delete::builder()
            .table_name(&self.table)
            .set_key(Some(key(&hook.scope, &hook.subscription.event, hook.id)))
            .condition_expression(&condition.expression)
            .set_expression_attribute_values(condition.values())
            .build()?)
    }
}

/// Whether a hook is on one of these events; none: on any.
fn is_on(hook: &Hook, events: Option<&[&str]>) -> bool {
    events.is_none_or(|events| events.contains(&hook.subscription.event.as_str()))
}

fn key(scope: &Scope, event: &str, id: HookId) -> Item {
    key_at(scope, keys::event_hook(event, id))
}

fn key_at(scope: &Scope, place: String) -> Item {
    let scope = scope.as_str().to_owned();
    Item::from([
        ("academy".to_owned(), AttributeValue::S(scope)),
        ("event_hook".to_owned(), AttributeValue::S(place)),
    ])
}

fn hook(item: Item) -> Result<Hook, StoreError> {
    Ok(serde_dynamo::from_item::<_, HookItem>(item)?.into())
}

fn put(put: Put) -> TransactWriteItem {
    TransactWriteItem::builder().put(put).build()
}

fn delete(delete: Delete) -> TransactWriteItem {
    TransactWriteItem::builder().delete(delete).build()
}
