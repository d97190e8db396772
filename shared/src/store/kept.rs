//! The failed deliveries in the table `hook_errors`: how they come back out of it.
//!
//! Sending one again takes three steps. It is claimed with a conditional write and a lease, so that of
//! two requests at the same time one sends it; it is sent; then it is removed, if the lease on it is
//! still that one. A request that cannot send gives its claim back, and one that dies leaves a lease
//! that runs out: nothing is lost, and at worst a delivery is sent twice.
//!
//! A delivery that is sent may fail before it is removed. It is then recorded in the place of the one
//! that was claimed, without a lease, and the removal leaves it there.
//!
//! Payloads are up to 256 KiB and there may be thousands: what is looked for are keys, page by page;
//! a payload is read when its delivery is claimed.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use aws_sdk_dynamodb::{
    operation::query::builders::QueryFluentBuilder,
    types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure},
};
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde::Deserialize;

use super::{
    Conditional, HookErrors, Item, OwnedError, StoreError, conditional, failed, is_given_back,
    keys, millis, number, while_contended, written,
};
use crate::model::{DeliveryJob, HookId};

/// How long a claim holds: longer than a request may last.
const LEASE: Duration = Duration::from_mins(1);

/// How many removals run at once.
const PARALLEL_REMOVALS: usize = 16;

/// At how many hooks' failed deliveries a list of HookErrors looks.
const HOOKS_LOOKED_AT: usize = 1_000;

/// At how many failed deliveries of each, a page more or less.
const KEPT_LOOKED_AT: usize = 5_000;

/// How many of these queries run at once.
const PARALLEL_LOOKS: usize = 8;

/// Which failed deliveries.
#[derive(Clone, Debug)]
pub enum Kept {
    /// Those of a HookError.
    OfError(OwnedError),
    /// Those of a hook that failed at this time or later.
    OfHook(HookId, Timestamp),
}

/// Names a failed delivery.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct KeptKey {
    owner: String,
    error: String,
}

impl KeptKey {
    fn item(&self) -> Item {
        let text = |value: &String| AttributeValue::S(value.clone());
        Item::from([
            ("owner".to_owned(), text(&self.owner)),
            ("error".to_owned(), text(&self.error)),
        ])
    }
}

/// A failed delivery that is ours to send again, for a minute.
#[derive(Clone, Debug)]
pub struct ClaimedDelivery {
    key: KeptKey,
    lease: u64,
    /// The delivery as it was last attempted.
    pub job: DeliveryJob,
}

#[derive(Deserialize)]
struct KeptItem {
    job: String,
    lease: Option<u64>,
}

/// Where the event of a job happened.
#[derive(Deserialize)]
struct Happened {
    academy: Option<String>,
}

/// The keys of failed deliveries, a page at a time.
#[derive(Debug)]
pub struct KeptPages {
    /// The query for the next page.
    query: Option<QueryFluentBuilder>,
}

impl KeptPages {
    fn newest_first(self) -> Self {
        let query = self.query.map(|query| query.scan_index_forward(false));
        Self { query }
    }

    /// The next page, which may be empty, or `None` after the last one.
    pub async fn next(&mut self) -> Result<Option<Vec<KeptKey>>, StoreError> {
        let Some(query) = self.query.take() else {
            return Ok(None);
        };
        let page = query.clone().send().await;
        let page = page.map_err(failed("look for failed deliveries"))?;
        self.query = page
            .last_evaluated_key
            .map(|key| query.set_exclusive_start_key(Some(key)));
        let items = page.items.unwrap_or_default();
        Ok(Some(serde_dynamo::from_items(items)?))
    }
}

impl HookErrors {
    /// The deliveries that failed until a time: of a HookError, as of now. A hook's are found by an index: one that
    /// failed a moment ago may not be there yet, and one that was removed may still be.
    #[must_use]
    pub fn kept(&self, which: &Kept, until: Timestamp) -> KeptPages {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .projection_expression("#owner, #error")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_names("#error", "error")
            .expression_attribute_values(":until", millis(until));
        let query = match which {
            Kept::OfError(OwnedError { owner, error }) => query
                .consistent_read(true)
                .key_condition_expression("#owner = :owner AND begins_with(#error, :prefix)")
                .filter_expression("failed_ms <= :until")
                .expression_attribute_values(":owner", AttributeValue::S(owner.clone()))
                .expression_attribute_values(
                    ":prefix",
                    AttributeValue::S(keys::failed_deliveries(&error.event, &error.message)),
                ),
            // The table does not take a range that ends before it begins.
            Kept::OfHook(_, since) if *since > until => return KeptPages { query: None },
            Kept::OfHook(hook, since) => query
                .index_name(keys::KEPT_BY_HOOK)
                .key_condition_expression("hook_id = :hook AND failed_ms BETWEEN :since AND :until")
                .expression_attribute_values(":hook", number(hook))
                .expression_attribute_values(":since", millis(*since)),
        };
        KeptPages { query: Some(query) }
    }

    /// How many deliveries are kept with each of these HookErrors, as of a moment ago: one query for each
    /// hook that they hit, of keys alone. Of a hook with thousands, and of a thousandth hook and those
    /// after it, not all are counted; an error that may have some of those has 1 at least. So 0 is none.
    pub async fn count_kept(&self, errors: &[OwnedError]) -> Result<Vec<u64>, StoreError> {
        let hooks: BTreeSet<HookId> = errors
            .iter()
            .flat_map(|found| found.error.hooks.iter().copied())
            .collect();
        let looks = hooks.iter().take(HOOKS_LOOKED_AT);
        let looks: Vec<_> = looks.map(|hook| self.kept_of_hook(*hook)).collect();
        let looked: Vec<_> = stream::iter(looks)
            .buffer_unordered(PARALLEL_LOOKS)
            .try_collect()
            .await?;
        let mut counts: HashMap<(String, String), u64> = HashMap::new();
        let mut counted = BTreeSet::new();
        for (hook, keys, is_all) in looked {
            if is_all {
                counted.insert(hook);
            }
            for KeptKey { owner, error } in keys {
                let group = keys::prefix_of(&error).to_owned();
                *counts.entry((owner, group)).or_default() += 1;
            }
        }
        let count = |OwnedError { owner, error }: &OwnedError| {
            let group = keys::failed_deliveries(&error.event, &error.message);
            let count = counts.get(&(owner.clone(), group)).copied();
            let is_all = error.hooks.iter().all(|hook| counted.contains(hook));
            count.unwrap_or_default().max(u64::from(!is_all))
        };
        Ok(errors.iter().map(count).collect())
    }

    /// The keys of a hook's failed deliveries, newest first, and whether they are all.
    async fn kept_of_hook(&self, hook: HookId) -> Result<(HookId, Vec<KeptKey>, bool), StoreError> {
        let which = Kept::OfHook(hook, Timestamp::MIN);
        let mut pages = self.kept(&which, Timestamp::MAX).newest_first();
        let mut found = Vec::new();
        while found.len() < KEPT_LOOKED_AT {
            match pages.next().await? {
                Some(keys) => found.extend(keys),
                None => return Ok((hook, found, true)),
            }
        }
        Ok((hook, found, pages.query.is_none()))
    }

    /// Claims a failed delivery. Of any number of requests at the same time one gets it; `None` for
    /// the others, and when it is gone, or has failed again since `until`. On an error it is given back; if that
    /// fails too, it stays claimed until the lease runs out.
    pub async fn claim(
        &self,
        key: KeptKey,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Option<ClaimedDelivery>, StoreError> {
        let lease = rand::random();
        let claimed = self.put_claim(&key, lease, until, now).await;
        if claimed.is_err() && !is_given_back(self.release(&key, lease)).await {
            tracing::warn!("a failed delivery stays claimed until its lease runs out");
        }
        Ok(claimed?.map(|job| ClaimedDelivery { key, lease, job }))
    }

    async fn put_claim(
        &self,
        key: &KeptKey,
        lease: u64,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Option<DeliveryJob>, StoreError> {
        const CLAIM: &str = "claim a failed delivery";
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key.item()))
            // By the second a newer failure is told apart when it is recorded.
            .update_expression("SET lease = :lease, lease_until = :end, sent_again_ms = :now")
            .condition_expression(
                "failed_ms <= :until \
                 AND (attribute_not_exists(lease_until) OR lease_until <= :now)",
            )
            .expression_attribute_values(":lease", number(lease))
            .expression_attribute_values(":end", millis(now + LEASE))
            .expression_attribute_values(":until", millis(until))
            .expression_attribute_values(":now", millis(now))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let claimed =
            while_contended(|| async { conditional(CLAIM, request.clone().send().await) });
        let item = match claimed.await? {
            Conditional::Done(answer) => answer.attributes,
            Conditional::Refused(item) => item,
        };
        let item: Option<KeptItem> = item.map(serde_dynamo::from_item).transpose()?;
        // A claim whose answer was lost stands in the way of its own repetition.
        let Some(item) = item.filter(|item| item.lease == Some(lease)) else {
            return Ok(None);
        };
        Ok(Some(serde_json::from_str(&item.job)?))
    }

    /// Removes a failed delivery that has been sent, if the claim on it still holds.
    pub async fn remove(&self, claimed: &ClaimedDelivery) -> Result<bool, StoreError> {
        const REMOVE: &str = "remove a failed delivery";
        let request = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(claimed.key.item()))
            .condition_expression("lease = :lease")
            .expression_attribute_values(":lease", number(claimed.lease));
        let removed = while_contended(|| async { written(REMOVE, request.clone().send().await) });
        Ok(removed.await?.is_some())
    }

    /// Gives a claim back that still holds: the delivery was not sent.
    pub async fn give_back(&self, claimed: &ClaimedDelivery) -> Result<(), StoreError> {
        self.release(&claimed.key, claimed.lease).await
    }

    async fn release(&self, key: &KeptKey, lease: u64) -> Result<(), StoreError> {
        const RELEASE: &str = "release a failed delivery";
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key.item()))
            .update_expression("REMOVE lease, lease_until")
            .condition_expression("lease = :lease")
            .expression_attribute_values(":lease", number(lease));
        let released = while_contended(|| async { written(RELEASE, request.clone().send().await) });
        released.await.map(drop)
    }

    /// Removes the deliveries that are kept with a HookError, claimed or not.
    pub(super) async fn remove_kept(&self, found: &OwnedError) -> Result<(), StoreError> {
        let mut pages = self.kept(&Kept::OfError(found.clone()), Timestamp::MAX);
        while let Some(keys) = pages.next().await? {
            self.erase(keys).await?;
        }
        Ok(())
    }

    /// The failed deliveries of what happened at an academy, whosever hooks they are for: a scan of the whole
    /// table, for operators.
    pub async fn kept_of_academy(&self, slug: &str) -> Result<Vec<KeptKey>, StoreError> {
        // As a job spells it; which of its members it is, is seen when it is read.
        let spelled = serde_json::to_string(slug)?;
        let mut items = self
            .client
            .scan()
            .table_name(&self.table)
            .projection_expression("#owner, #error, job")
            .filter_expression("contains(job, :academy)")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_names("#error", "error")
            .expression_attribute_values(":academy", AttributeValue::S(spelled))
            .into_paginator()
            .items()
            .send();
        let mut found = Vec::new();
        while let Some(item) = items.next().await {
            let item = item.map_err(failed("scan the failed deliveries"))?;
            let kept: KeptItem = serde_dynamo::from_item(item.clone())?;
            let happened: Happened = serde_json::from_str(&kept.job)?;
            if happened.academy.as_deref() == Some(slug) {
                found.push(serde_dynamo::from_item(item)?);
            }
        }
        Ok(found)
    }

    /// Removes failed deliveries for good, claimed or not.
    pub async fn erase(&self, keys: Vec<KeptKey>) -> Result<(), StoreError> {
        let removals = keys.into_iter().map(|key| self.remove_at(key));
        stream::iter(removals)
            .buffer_unordered(PARALLEL_REMOVALS)
            .try_collect()
            .await
    }

    async fn remove_at(&self, key: KeptKey) -> Result<(), StoreError> {
        const REMOVE: &str = "remove a failed delivery";
        let request = self.client.delete_item().table_name(&self.table);
        let request = request.set_key(Some(key.item()));
        let removed = while_contended(|| async { written(REMOVE, request.clone().send().await) });
        removed.await.map(drop)
    }
}
