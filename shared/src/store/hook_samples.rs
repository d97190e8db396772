//! The table `hook_samples`: what a hook's deliveries look like, which is its newest payload with
//! personal data masked, and the event that it is of.
//!
//! It stands apart from the hook's state because every delivery writes that, and a write is charged
//! by the size of the whole row. The state tells when there was a sample, so that deliveries need not
//! ask here; when one is due, the condition of its write decides who keeps it.

use std::time::Duration;

use aws_sdk_dynamodb::{
    Client,
    types::{AttributeValue, Delete},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{StoreError, failed, hook_state::key, millis, while_contended, written};
use crate::model::{Hook, HookId};

/// How long a sample is kept before another takes its place.
const KEPT_FOR: Duration = Duration::from_hours(1);

/// The largest sample: an item may have 400 KiB, and some of it is for what stands beside.
pub const MAX_SAMPLE_BYTES: usize = 399 * 1024;

#[derive(Serialize, Deserialize)]
struct SampleItem {
    hook_id: HookId,
    event: String,
    edited_ms: i64,
    sampled_ms: i64,
    payload: String,
}

/// The table.
#[derive(Clone, Debug)]
pub struct HookSamples {
    client: Client,
    table: String,
}

impl HookSamples {
    pub(super) fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// The sample of a hook, as of now. One of another event than the hook has is none.
    pub async fn get(&self, hook: &Hook) -> Result<Option<String>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key(hook.id)))
            .consistent_read(true)
            .send()
            .await
            .map_err(failed("read a hook's sample"))?;
        let item: Option<SampleItem> = answer.item.map(serde_dynamo::from_item).transpose()?;
        let of_its_event = item.filter(|item| item.event == hook.subscription.event);
        Ok(of_its_event.map(|item| item.payload))
    }

    /// Keeps a payload of a hook as its sample. Of all who want to within an hour one does; a sample
    /// of the event that the hook had before is replaced at once, and one that the hook has got since
    /// it was edited is not. `false`: the payload is larger than a sample may be.
    pub async fn keep(
        &self,
        hook: &Hook,
        payload: &str,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        const KEEP: &str = "keep a hook's sample";
        if payload.len() > MAX_SAMPLE_BYTES {
            return Ok(false);
        }
        let event = hook.subscription.event.clone();
        let item = SampleItem {
            hook_id: hook.id,
            event: event.clone(),
            edited_ms: hook.updated_at.as_millisecond(),
            sampled_ms: at.as_millisecond(),
            payload: payload.to_owned(),
        };
        let request = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(serde_dynamo::to_item(item)?))
            .condition_expression(
                "attribute_not_exists(hook_id) \
                 OR (edited_ms <= :edited AND (sampled_ms <= :old OR event <> :event))",
            )
            .expression_attribute_values(":edited", millis(hook.updated_at))
            .expression_attribute_values(":old", millis(at - KEPT_FOR))
            .expression_attribute_values(":event", AttributeValue::S(event));
        while_contended(|| async { written(KEEP, request.clone().send().await) }).await?;
        Ok(true)
    }

    /// Removes the sample of a hook. The next is kept when it is due, an hour after this one.
    pub async fn forget(&self, id: HookId) -> Result<(), StoreError> {
        let request = self.client.delete_item().table_name(&self.table);
        let request = request.set_key(Some(key(id)));
        request
            .send()
            .await
            .map_err(failed("remove a hook's sample"))?;
        Ok(())
    }

    /// The write that removes a hook's sample, if there is one.
    pub(super) fn delete(&self, id: HookId) -> Result<Delete, StoreError> {
        Ok(Delete::builder()
            .table_name(&self.table)
            .set_key(Some(key(id)))
            .build()?)
    }
}

/// Whether a hook is to have a new sample, the last being of this time.
pub(super) fn is_due(sampled_at: Option<Timestamp>, now: Timestamp) -> bool {
    sampled_at.is_none_or(|sampled_at| sampled_at <= now - KEPT_FOR)
}
