//! The secrets in the hooks' rows.
//!
//! They stand beside the subscription because a delivery reads that row anyway, and apart from
//! [`Hook`] because nothing else has any use for them: a list, a match or a message cannot show what
//! it has never held. A hook gets its first secret when it is stored. A row without one is of an
//! older release; it gets one when its owner first asks, and until then has none to sign with.

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Hooks, hook, key};
use crate::{
    model::{Hook, HookId, InvalidSecret, PreviousSecret, Scope, Secret, Secrets},
    store::{Conditional, Item, StoreError, conditional, while_contended},
};

/// The attribute that holds them.
const SECRETS: &str = "secrets";

/// A hook with what its deliveries are signed with.
#[derive(Clone, Debug)]
pub struct SignedHook {
    /// The hook.
    pub hook: Hook,
    /// Its secrets, if it has any yet.
    pub secrets: Option<Secrets>,
}

#[derive(Serialize, Deserialize)]
struct SecretsItem {
    /// The current one: a name that expressions can say, which reserve `current`.
    signing: String,
    rotated_at: Option<Timestamp>,
    previous: Vec<PreviousItem>,
}

#[derive(Serialize, Deserialize)]
struct PreviousItem {
    secret: String,
    expires_at: Timestamp,
}

impl From<&Secrets> for SecretsItem {
    fn from(secrets: &Secrets) -> Self {
        let previous = secrets.previous.iter().map(|previous| PreviousItem {
            secret: previous.secret.expose(),
            expires_at: previous.expires_at,
        });
        Self {
            signing: secrets.current.expose(),
            rotated_at: secrets.rotated_at,
            previous: previous.collect(),
        }
    }
}

impl TryFrom<SecretsItem> for Secrets {
    type Error = InvalidSecret;

    fn try_from(item: SecretsItem) -> Result<Self, InvalidSecret> {
        let previous = item.previous.iter().map(|previous| {
            Ok(PreviousSecret {
                secret: Secret::parse(&previous.secret)?,
                expires_at: previous.expires_at,
            })
        });
        Ok(Self {
            current: Secret::parse(&item.signing)?,
            rotated_at: item.rotated_at,
            previous: previous.collect::<Result<_, _>>()?,
        })
    }
}

impl Hooks {
    /// The hook with this id and its secrets, as of now.
    pub async fn get_signed(&self, id: HookId) -> Result<Option<SignedHook>, StoreError> {
        self.get_signed_within(id, None).await
    }

    /// The same, if the hook is in this scope: [`Hooks::get_within`].
    pub async fn get_signed_within(
        &self,
        id: HookId,
        scope: Option<&Scope>,
    ) -> Result<Option<SignedHook>, StoreError> {
        let row = self.row(id, scope).await?;
        row.map(|(item, _)| signed(item)).transpose()
    }

    /// Gives a hook other secrets. `false` when the hook is not where it was found, or has other
    /// secrets than it was found with; then nothing is changed. So of two that rotate at the same
    /// time one finds the other's secret and rotates that, and no secret that somebody was given is
    /// lost.
    pub async fn set_secrets(
        &self,
        found: &SignedHook,
        secrets: &Secrets,
    ) -> Result<bool, StoreError> {
        const SET: &str = "set a hook's secrets";
        let Hook {
            id,
            scope,
            subscription,
            ..
        } = &found.hook;
        let unchanged = Unchanged::default().secrets(found.secrets.as_ref());
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(scope, &subscription.event, *id)))
            .update_expression("SET secrets = :secrets")
            .condition_expression(&unchanged.expression)
            .set_expression_attribute_values(unchanged.values())
            .expression_attribute_values(":secrets", attribute(secrets)?)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let set = while_contended(|| async { conditional(SET, request.clone().send().await) });
        let row = match set.await? {
            Conditional::Done(_) => return Ok(true),
            Conditional::Refused(row) => row.map(signed).transpose()?,
        };
        // Nobody else has made this secret: it is the write's own first try that stands in its way.
        let current = row.and_then(|row| row.secrets);
        Ok(current.is_some_and(|row| row.current.expose() == secrets.current.expose()))
    }
}

/// The condition that a row is there, and unchanged in what matters.
pub(super) struct Unchanged {
    pub(super) expression: String,
    values: Item,
}

impl Default for Unchanged {
    /// Nothing matters but that it is there.
    fn default() -> Self {
        Self {
            expression: "attribute_exists(event_hook)".to_owned(),
            values: Item::new(),
        }
    }
}

impl Unchanged {
    /// The row has these secrets. Every change makes a new current one, so that comparing this is
    /// enough.
    pub(super) fn secrets(self, secrets: Option<&Secrets>) -> Self {
        match secrets {
            None => self.and("attribute_not_exists(secrets)", None),
            Some(secrets) => self.and(
                "secrets.signing = :signing",
                Some((":signing", secrets.current.expose())),
            ),
        }
    }

    /// The subscription has not been edited since it was read: every edit has a later time.
    pub(super) fn subscription(self, hook: &Hook) -> Self {
        let edited = hook.updated_at.to_string();
        self.and("updated_at = :edited", Some((":edited", edited)))
    }

    fn and(mut self, condition: &str, value: Option<(&str, String)>) -> Self {
        self.expression = format!("{} AND {condition}", self.expression);
        let values = value.map(|(name, text)| (name.to_owned(), AttributeValue::S(text)));
        self.values.extend(values);
        self
    }

    /// The expression's values: the table takes no empty list of them.
    pub(super) fn values(self) -> Option<Item> {
        (!self.values.is_empty()).then_some(self.values)
    }
}

/// The row's hook and secrets.
pub(super) fn signed(item: Item) -> Result<SignedHook, StoreError> {
    let secrets = match item.get(SECRETS).cloned() {
        Some(secrets) => {
            let secrets: SecretsItem = serde_dynamo::from_attribute_value(secrets)?;
            Some(secrets.try_into()?)
        }
        None => None,
    };
    Ok(SignedHook {
        hook: hook(item)?,
        secrets,
    })
}

/// Adds secrets to a hook's row.
pub(super) fn with_secrets(mut row: Item, secrets: Option<&Secrets>) -> Result<Item, StoreError> {
    if let Some(secrets) = secrets {
        row.insert(SECRETS.to_owned(), attribute(secrets)?);
    }
    Ok(row)
}

fn attribute(secrets: &Secrets) -> Result<AttributeValue, StoreError> {
    Ok(serde_dynamo::to_attribute_value(SecretsItem::from(
        secrets,
    ))?)
}
