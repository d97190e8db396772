//! The table `hook_errors`: what was given up, for its owner to see.
//!
//! Deliveries of one owner that failed on the same event with the same message are one HookError.
//! Beside it each failed delivery is kept whole for its [`Retention`], so that it can be sent again (how,
//! is told in `kept.rs`). The two are written in one transaction under the delivery's id: a dead letter
//! that the queue hands out twice is counted once.
//!
//! The hooks that a HookError hit stand apart from it, in short lists: one event may fail for thousands of hooks, and
//! each failure would otherwise write all of them again. They are made with it, and removed after it: an error without
//! hooks is one that is gone.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::{
    Client,
    types::{AttributeValue, ConditionCheck, Delete, Put, TransactWriteItem, Update},
};
use futures_util::{StreamExt, TryStreamExt, future::try_join_all, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Item, KEYS_PER_BATCH, Retention, StoreError, Transaction, batch_get, count_up, failed, keys,
    millis, number, transacted, while_contended, written,
};
use crate::model::{DeadLetter, DeliveryJob, HookError, HookId};

#[derive(Serialize)]
struct FailedDeliveryItem<'a> {
    owner: &'a str,
    error: String,
    /// With the next one, the key of an index.
    hook_id: HookId,
    /// Milliseconds since 1970: `failed_at` as a key, which has to be in order.
    failed_ms: i64,
    /// The delivery as it would be queued, as JSON text: its payload keeps every byte.
    job: String,
    message: &'a str,
    status: Option<u16>,
    failed_at: Timestamp,
    /// Seconds since 1970: the table's time to live.
    expires_at: i64,
}

/// How many owners' lists of hooks are read at once.
const PARALLEL_READS: usize = 8;

/// How many lists of hooks are removed at once: a transaction has room for 100 items (DynamoDB), and one says that
/// their HookError is gone.
const LISTS_PER_REMOVAL: usize = 99;

/// A stored HookError, but for its hooks.
#[derive(Deserialize)]
struct HookErrorItem {
    owner: String,
    id: u64,
    message: String,
    event: String,
    count: u64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// Some of the hooks that a HookError hit. They are a set of the table's own, so that adding one is one write.
#[derive(Deserialize)]
struct HooksItem {
    /// The sort key.
    error: String,
    hooks: Vec<HookId>,
}

/// The hooks that HookErrors hit, by what the sort keys of their lists begin with.
type HooksOfErrors = HashMap<String, BTreeSet<HookId>>;

/// A HookError and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedError {
    /// The owner of its hooks.
    pub owner: String,
    /// What its owner sees.
    pub error: HookError,
}

/// The table.
#[derive(Clone, Debug)]
pub struct HookErrors {
    pub(super) client: Client,
    pub(super) table: String,
    retention: Retention,
}

impl HookErrors {
    pub(super) fn new(client: Client, table: String) -> Self {
        Self {
            client,
            table,
            retention: Retention::DEFAULT,
        }
    }

    /// The table, with another retention for what is recorded from now on.
    #[must_use]
    pub fn keeping(self, retention: Retention) -> Self {
        Self { retention, ..self }
    }

    /// Records a dead letter: once, however often it is recorded. A delivery that was sent again and
    /// failed again is recorded again.
    pub async fn record(&self, letter: &DeadLetter, now: Timestamp) -> Result<(), StoreError> {
        const RECORD: &str = "record a HookError";
        let kept = TransactWriteItem::builder()
            .put(self.failed_delivery(letter, now)?)
            .build();
        let listed = TransactWriteItem::builder()
            .update(self.list_hook(letter)?)
            .build();
        let mut new_id = None;
        // The first round adds to a HookError that is there; when there is none, the second makes
        // it, which also holds if somebody else does so at the same moment.
        for _ in 0..2 {
            let counted = TransactWriteItem::builder()
                .update(self.count(letter, new_id)?)
                .build();
            let request = self
                .client
                .transact_write_items()
                .transact_items(kept.clone())
                .transact_items(counted)
                .transact_items(listed.clone());
            let written =
                while_contended(|| async { transacted(RECORD, request.clone().send().await) });
            match written.await? {
                Transaction::Done | Transaction::ConditionFailed(0) => return Ok(()),
                Transaction::ConditionFailed(_) => {
                    // A deletion that was cut off has left the hooks of another one.
                    self.remove_hooks(&letter.job.hook.owner, &letter.job.event, &letter.message)
                        .await?;
                    new_id = Some(self.next_id().await?);
                }
            }
        }
        Err(StoreError::Contended(RECORD))
    }

    fn failed_delivery(&self, letter: &DeadLetter, now: Timestamp) -> Result<Put, StoreError> {
        let job = &letter.job;
        let item = FailedDeliveryItem {
            owner: &job.hook.owner,
            error: keys::failed_delivery(&job.event, &letter.message, job.delivery_id),
            hook_id: job.hook.id,
            failed_ms: letter.failed_at.as_millisecond(),
            job: serde_json::to_string(job)?,
            message: &letter.message,
            status: letter.status,
            failed_at: letter.failed_at,
            expires_at: self.retention.end(now).as_second(),
        };
        Ok(Put::builder()
            .table_name(&self.table)
            .set_item(Some(serde_dynamo::to_item(item)?))
            // It is there already when this letter has been recorded, but also when the delivery was
            // sent again and has failed before it could be removed: then this is a newer failure.
            .condition_expression("attribute_not_exists(#error) OR sent_again_ms <= :accepted_ms")
            .expression_attribute_names("#error", "error")
            .expression_attribute_values(":accepted_ms", accepted_ms(job))
            .build()?)
    }

    /// The write that counts a dead letter in a HookError: in the one that is there, or, given an
    /// id, also in one that is not.
    fn count(&self, letter: &DeadLetter, new_id: Option<u64>) -> Result<Update, StoreError> {
        let job = &letter.job;
        let text = |value: &str| AttributeValue::S(value.to_owned());
        let update = Update::builder()
            .table_name(&self.table)
            .key("owner", text(&job.hook.owner))
            .key("error", text(&keys::error(&job.event, &letter.message)))
            .expression_attribute_names("#count", "count")
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":at", text(&letter.failed_at.to_string()));
        let update = match new_id {
            None => update
                .update_expression("SET updated_at = :at ADD #count :one")
                .condition_expression("attribute_exists(id)"),
            Some(id) => update
                .update_expression(
                    "SET updated_at = :at, created_at = if_not_exists(created_at, :at), \
                     id = if_not_exists(id, :id), message = :message, event = :event \
                     ADD #count :one",
                )
                .expression_attribute_values(":id", number(id))
                .expression_attribute_values(":message", text(&letter.message))
                .expression_attribute_values(":event", text(&job.event)),
        };
        Ok(update.build()?)
    }

    /// The write that lists the hook of a dead letter with those of its HookError.
    fn list_hook(&self, letter: &DeadLetter) -> Result<Update, StoreError> {
        let DeliveryJob { event, hook, .. } = &letter.job;
        let list = keys::error_hooks(event, &letter.message, hook.id);
        let hooks = AttributeValue::Ns(vec![hook.id.to_string()]);
        Ok(Update::builder()
            .table_name(&self.table)
            .key("owner", AttributeValue::S(hook.owner.clone()))
            .key("error", AttributeValue::S(list))
            .update_expression("ADD #hooks :hooks")
            .expression_attribute_names("#hooks", "hooks")
            .expression_attribute_values(":hooks", hooks)
            .build()?)
    }

    async fn next_id(&self) -> Result<u64, StoreError> {
        let (owner, error) = keys::ERROR_COUNTER;
        let key = Item::from([
            ("owner".to_owned(), AttributeValue::S(owner.to_owned())),
            ("error".to_owned(), AttributeValue::S(error.to_owned())),
        ]);
        count_up(&self.client, &self.table, key, "give out a HookError's id").await
    }

    /// The HookErrors of an owner.
    pub async fn of_owner(&self, owner: &str) -> Result<Vec<OwnedError>, StoreError> {
        let errors = self.query(owner, keys::ERROR_PREFIX).await?;
        let errors: Vec<HookErrorItem> = serde_dynamo::from_items(errors)?;
        // After the errors: the hooks of each of them are there, or it has been deleted since.
        let hooks = self.hook_lists(owner, keys::ERROR_HOOKS_PREFIX).await?;
        let errors = errors.into_iter();
        Ok(errors
            .filter_map(|error| owned_error(error, &hooks))
            .collect())
    }

    /// What of an owner has sort keys that begin so, as of now.
    async fn query(&self, owner: &str, prefix: &str) -> Result<Vec<Item>, StoreError> {
        self.client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("#owner = :owner AND begins_with(#error, :prefix)")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_names("#error", "error")
            .expression_attribute_values(":owner", AttributeValue::S(owner.to_owned()))
            .expression_attribute_values(":prefix", AttributeValue::S(prefix.to_owned()))
            .into_paginator()
            .items()
            .send()
            .try_collect()
            .await
            .map_err(failed("query HookErrors"))
    }

    /// An owner and the hooks that its HookErrors hit.
    async fn hooks_of(&self, owner: String) -> Result<(String, HooksOfErrors), StoreError> {
        let hooks = self.hook_lists(&owner, keys::ERROR_HOOKS_PREFIX).await?;
        Ok((owner, hooks))
    }

    /// The hooks in those of an owner's lists whose sort keys begin so.
    async fn hook_lists(&self, owner: &str, prefix: &str) -> Result<HooksOfErrors, StoreError> {
        let mut hooks = HooksOfErrors::new();
        for item in self.query(owner, prefix).await? {
            let list: HooksItem = serde_dynamo::from_item(item)?;
            let error = keys::prefix_of(&list.error).to_owned();
            hooks.entry(error).or_default().extend(list.hooks);
        }
        Ok(hooks)
    }

    /// Every HookError there is, for superadmins: a scan of the index that holds nothing else, so that
    /// what is kept beside them is not read. One that was made a moment ago may not be in it yet.
    pub async fn everywhere(&self) -> Result<Vec<OwnedError>, StoreError> {
        let mut keys: Vec<Item> = self
            .client
            .scan()
            .table_name(&self.table)
            .index_name(keys::ERRORS_BY_ID)
            .into_paginator()
            .items()
            .send()
            .try_collect()
            .await
            .map_err(failed("scan the HookErrors"))?;
        for key in &mut keys {
            key.retain(|name, _| name != "id");
        }
        let batches: Vec<Vec<Item>> = keys.chunks(KEYS_PER_BATCH).map(<[Item]>::to_vec).collect();
        let reads = batches
            .into_iter()
            .map(|keys| batch_get(&self.client, &self.table, keys, true, "read HookErrors"));
        let items: Vec<Item> = try_join_all(reads).await?.into_iter().flatten().collect();
        let errors: Vec<HookErrorItem> = serde_dynamo::from_items(items)?;
        let owners: BTreeSet<String> = errors.iter().map(|error| error.owner.clone()).collect();
        let reads: Vec<_> = owners
            .into_iter()
            .map(|owner| self.hooks_of(owner))
            .collect();
        let hooks: HashMap<String, HooksOfErrors> = stream::iter(reads)
            .buffer_unordered(PARALLEL_READS)
            .try_collect()
            .await?;
        let none = HooksOfErrors::new();
        let errors = errors.into_iter().filter_map(|error| {
            let hooks = hooks.get(&error.owner).unwrap_or(&none);
            owned_error(error, hooks)
        });
        Ok(errors.collect())
    }

    /// The HookError with this id, if it is this owner's; none: anybody's. One of another owner costs the
    /// same reads as one that is not there. It is found by an index: one that was made a moment ago may not
    /// be there yet.
    pub async fn get(
        &self,
        id: u64,
        owner: Option<&str>,
    ) -> Result<Option<OwnedError>, StoreError> {
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(keys::ERRORS_BY_ID)
            .key_condition_expression("id = :id")
            .expression_attribute_values(":id", number(id))
            .send()
            .await
            .map_err(failed("find a HookError"))?;
        let is_owned = |key: &Item| {
            let found = key.get("owner").and_then(|found| found.as_s().ok());
            owner.is_none_or(|owner| found.is_some_and(|found| found == owner))
        };
        let key = answer.items.unwrap_or_default().pop().filter(is_owned);
        let Some(mut key) = key else {
            return Ok(None);
        };
        key.retain(|name, _| name != "id");
        self.at(key).await
    }

    /// The HookError with this key, as of now.
    async fn at(&self, key: Item) -> Result<Option<OwnedError>, StoreError> {
        let request = self.client.get_item().table_name(&self.table);
        let answer = request
            .set_key(Some(key))
            .consistent_read(true)
            .send()
            .await;
        let Some(item) = answer.map_err(failed("read a HookError"))?.item else {
            return Ok(None);
        };
        let error: HookErrorItem = serde_dynamo::from_item(item)?;
        let lists = keys::error_hooks_of(&error.event, &error.message);
        let hooks = self.hook_lists(&error.owner, &lists).await?;
        Ok(owned_error(error, &hooks))
    }

    /// Removes the lists of the hooks that a HookError hit which is gone. If there is one again, they stay.
    async fn remove_hooks(
        &self,
        owner: &str,
        event: &str,
        message: &str,
    ) -> Result<(), StoreError> {
        const REMOVE: &str = "remove the hooks of a HookError";
        let is_gone = ConditionCheck::builder()
            .table_name(&self.table)
            .set_key(Some(key_of(owner, event, message)))
            .condition_expression("attribute_not_exists(id)")
            .build()?;
        let is_gone = TransactWriteItem::builder()
            .condition_check(is_gone)
            .build();
        let lists = self
            .query(owner, &keys::error_hooks_of(event, message))
            .await?;
        for lists in lists.chunks(LISTS_PER_REMOVAL) {
            let removals = lists.iter().map(|list| {
                let mut key = list.clone();
                key.retain(|name, _| name != "hooks");
                let removal = Delete::builder()
                    .table_name(&self.table)
                    .set_key(Some(key))
                    .build()?;
                Ok(TransactWriteItem::builder().delete(removal).build())
            });
            let items = [Ok(is_gone.clone())].into_iter().chain(removals);
            let items = items.collect::<Result<Vec<_>, StoreError>>()?;
            let request = self.client.transact_write_items();
            let request = request.set_transact_items(Some(items));
            // A dead letter may be recorded at this moment.
            let removed =
                while_contended(|| async { transacted(REMOVE, request.clone().send().await) });
            if let Transaction::ConditionFailed(_) = removed.await? {
                break;
            }
        }
        Ok(())
    }

    /// Removes a HookError and the deliveries that are kept with it, those that fail in the meantime
    /// as well. Interrupted, it leaves the HookError with its hooks, to be removed again, or hooks without it, which
    /// nobody sees and which go before there is one of its kind again.
    pub async fn delete(&self, found: &OwnedError) -> Result<(), StoreError> {
        const DELETE: &str = "delete a HookError";
        let OwnedError { owner, error } = found;
        let key = key_of(owner, &error.event, &error.message);
        let mut count = error.count;
        loop {
            self.remove_kept(found).await?;
            let request = self
                .client
                .delete_item()
                .table_name(&self.table)
                .set_key(Some(key.clone()))
                .condition_expression("id = :id AND #count = :count")
                .expression_attribute_names("#count", "count")
                .expression_attribute_values(":id", number(error.id))
                .expression_attribute_values(":count", number(count));
            let deleted =
                while_contended(|| async { written(DELETE, request.clone().send().await) });
            if deleted.await?.is_some() {
                break;
            }
            // Another delivery has failed, and is kept, since the count was read.
            match self.at(key.clone()).await? {
                Some(now) if now.error.id == error.id => count = now.error.count,
                _ => break,
            }
        }
        self.remove_hooks(owner, &error.event, &error.message).await
    }
}

/// When a delivery was accepted, or asked for again.
fn accepted_ms(job: &DeliveryJob) -> AttributeValue {
    millis(job.accepted_at)
}

/// The key of a HookError.
fn key_of(owner: &str, event: &str, message: &str) -> Item {
    Item::from([
        ("owner".to_owned(), AttributeValue::S(owner.to_owned())),
        (
            "error".to_owned(),
            AttributeValue::S(keys::error(event, message)),
        ),
    ])
}

/// A HookError with its hooks; `None` if they are gone, and it was before them.
fn owned_error(item: HookErrorItem, hooks: &HooksOfErrors) -> Option<OwnedError> {
    let hooks = hooks.get(&keys::error_hooks_of(&item.event, &item.message))?;
    let error = HookError {
        id: item.id,
        message: item.message,
        event: item.event,
        hooks: hooks.iter().copied().collect(),
        count: item.count,
        // A dead letter may be recorded after one that failed later.
        created_at: item.created_at.min(item.updated_at),
        updated_at: item.created_at.max(item.updated_at),
    };
    Some(OwnedError {
        owner: item.owner,
        error,
    })
}
