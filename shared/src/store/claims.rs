//! The table `claims`: which ids a publisher has used in the last 24 hours, for events and for changes.
//!
//! Publishing under an id takes two steps. The id is first claimed under a short lease, so that of
//! two requests at the same time only one queues deliveries; when all of them are queued the claim
//! is settled with the answer, which every later request gets. A request that fails gives its claim
//! back; one that dies leaves a lease that runs out. Times are compared here: the table's own
//! expiry only tidies up.
//!
//! A lease has a name that no other has, so that a claim whose answer was lost is known when it is repeated.

use std::time::Duration;

use aws_sdk_dynamodb::{
    Client,
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Conditional, Item, StoreError, conditional, is_given_back, keys, millis, number, written,
};
use crate::model::Accepted;

/// How long an id stands for the same event.
const WINDOW: Duration = Duration::from_hours(24);

#[derive(Serialize, Deserialize)]
struct ClaimItem {
    publisher: String,
    event_id: String,
    lease: u64,
    /// Milliseconds since 1970.
    lease_until: i64,
    /// Seconds since 1970: the table's time to live.
    expires_at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    accepted: Option<Accepted>,
}

/// Among which ids an id is meant. Each publisher has its own, and those of events are apart from those
/// of changes: what is answered differs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdSpace(String);

impl IdSpace {
    /// The events that this user publishes.
    #[must_use]
    pub fn events_of(publisher: &str) -> Self {
        Self(keys::claims_of_events(publisher))
    }

    /// The changes that this user publishes.
    #[must_use]
    pub fn changes_of(publisher: &str) -> Self {
        Self(keys::claims_of_changes(publisher))
    }

    /// The events that come over an event bus from this source.
    #[must_use]
    pub fn events_of_bus(source: &str) -> Self {
        Self(keys::claims_of_bus_events(source))
    }

    /// The changes that come over an event bus from this source.
    #[must_use]
    pub fn changes_of_bus(source: &str) -> Self {
        Self(keys::claims_of_bus_changes(source))
    }

    /// As a text, which no other has.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What became of the wish to publish under an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The id is ours: publish, then settle or release it with this lease.
    Granted {
        /// Names the lease.
        lease: u64,
    },
    /// It has been published: this was the answer.
    Settled(Accepted),
    /// Another request is publishing it at this moment.
    InProgress,
}

/// The table.
#[derive(Clone, Debug)]
pub struct Claims {
    client: Client,
    table: String,
}

impl Claims {
    /// How long one request may take: no longer than the gateway waits for it.
    pub const LEASE: Duration = Duration::from_secs(30);

    pub(super) fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// Claims an id. Of any number of requests at the same time one is granted it.
    ///
    /// On an error the id is given back. If that fails too, it stays claimed until the lease runs out.
    pub async fn claim(
        &self,
        ids: &IdSpace,
        id: &str,
        now: Timestamp,
    ) -> Result<Claim, StoreError> {
        let lease = rand::random();
        let claim = self.put_claim(ids, id, lease, now).await;
        if claim.is_err() && !is_given_back(self.release(ids, id, lease)).await {
            tracing::warn!(
                event_id = id,
                "an id stays claimed until its lease runs out"
            );
        }
        claim
    }

    async fn put_claim(
        &self,
        ids: &IdSpace,
        id: &str,
        lease: u64,
        now: Timestamp,
    ) -> Result<Claim, StoreError> {
        let item = ClaimItem {
            publisher: ids.0.clone(),
            event_id: id.to_owned(),
            lease,
            lease_until: (now + Self::LEASE).as_millisecond(),
            expires_at: (now + WINDOW).as_second(),
            accepted: None,
        };
        let result = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(serde_dynamo::to_item(item)?))
            .condition_expression(
                "attribute_not_exists(event_id) OR expires_at <= :second \
                 OR (attribute_not_exists(accepted) AND lease_until <= :millisecond)",
            )
            .expression_attribute_values(":second", number(now.as_second()))
            .expression_attribute_values(":millisecond", millis(now))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let held = match conditional("claim an id", result)? {
            Conditional::Done(_) => return Ok(Claim::Granted { lease }),
            Conditional::Refused(item) => item.map(serde_dynamo::from_item::<_, ClaimItem>),
        };
        Ok(match held.transpose()? {
            Some(ClaimItem {
                accepted: Some(accepted),
                ..
            }) => Claim::Settled(accepted),
            Some(held) if held.lease == lease => Claim::Granted { lease },
            _ => Claim::InProgress,
        })
    }

    /// Keeps the answer for every later request with this id. `false`, and nothing kept, when the
    /// lease on it is not this one any more.
    pub async fn settle(
        &self,
        ids: &IdSpace,
        accepted: &Accepted,
        lease: u64,
    ) -> Result<bool, StoreError> {
        let result = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(ids, &accepted.id)))
            .update_expression("SET accepted = :accepted")
            .condition_expression("lease = :lease")
            .expression_attribute_values(":accepted", serde_dynamo::to_attribute_value(accepted)?)
            .expression_attribute_values(":lease", number(lease))
            .send()
            .await;
        Ok(written("settle an id", result)?.is_some())
    }

    /// Gives an id back, if the lease on it is still this one.
    pub async fn release(&self, ids: &IdSpace, id: &str, lease: u64) -> Result<(), StoreError> {
        let result = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(key(ids, id)))
            .condition_expression("lease = :lease AND attribute_not_exists(accepted)")
            .expression_attribute_values(":lease", number(lease))
            .send()
            .await;
        written("release an id", result).map(drop)
    }
}

fn key(ids: &IdSpace, id: &str) -> Item {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    Item::from([
        ("publisher".to_owned(), text(&ids.0)),
        ("event_id".to_owned(), text(id)),
    ])
}
