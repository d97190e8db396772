//! Changes of a hook: in its place, or from one key to another. Neither touches its secrets.

use aws_sdk_dynamodb::types::{TransactWriteItem, Update};

use super::{HookItem, Hooks, Unchanged, delete, key, put, signed};
use crate::{
    model::{Hook, Scope},
    store::{Item, StoreError, Transaction},
};

/// What an operation is called that changes a hook.
const CHANGE: &str = "change a hook";

impl Hooks {
    /// Puts `new` in the place of `old`: the same hook with the same secrets, perhaps under another
    /// key. `false` when `old` is not where it was; then nothing is changed.
    pub async fn replace(&self, old: &Hook, new: &Hook) -> Result<bool, StoreError> {
        let event = new.subscription.event.as_str();
        if old.scope != new.scope || old.subscription.event != event {
            return self.relocate(old, new).await;
        }
        let change = TransactWriteItem::builder().update(self.edit(new)?).build();
        let outcome = self.transact(CHANGE, vec![change]).await?;
        Ok(matches!(outcome, Transaction::Done))
    }

    /// Moves a hook to another key. A row's secrets can only be moved by writing them again: if they
    /// change in between, they are read again.
    async fn relocate(&self, old: &Hook, new: &Hook) -> Result<bool, StoreError> {
        let event = old.subscription.event.as_str();
        for _ in 0..3 {
            let Some(row) = self.row_at(&old.scope, event, old.id).await? else {
                return Ok(false);
            };
            let secrets = signed(row)?.secrets;
            let place = self
                .states
                .relocate(new.id, &new.scope, &new.subscription.event)?;
            let writes = vec![
                delete(self.delete_item(old, Unchanged::since(secrets.as_ref()))?),
                put(self.put(new, secrets.as_ref())?),
                TransactWriteItem::builder().update(place).build(),
            ];
            if let Transaction::Done = self.transact(CHANGE, writes).await? {
                return Ok(true);
            }
        }
        Err(StoreError::Contended(CHANGE))
    }

    /// Moves an owner's hooks from one scope to another, because the owner's role has changed, and
    /// says how many there were. What fails half-way is finished by doing it again.
    pub async fn move_all(
        &self,
        owner: &str,
        from: &Scope,
        to: &Scope,
    ) -> Result<usize, StoreError> {
        let mut moved = 0;
        for hook in self.in_scope(from, None).await? {
            if hook.owner == owner {
                let new = Hook {
                    scope: to.clone(),
                    ..hook.clone()
                };
                moved += usize::from(self.replace(&hook, &new).await?);
            }
        }
        Ok(moved)
    }

    /// The write that changes a hook in its place: everything but its key and its secrets.
    fn edit(&self, hook: &Hook) -> Result<Update, StoreError> {
        let key = key(&hook.scope, &hook.subscription.event, hook.id);
        let mut row: Item = serde_dynamo::to_item(HookItem::from(hook))?;
        row.retain(|name, _| !key.contains_key(name));
        let assignments: Vec<String> = row
            .keys()
            .map(|name| format!("#{name} = :{name}"))
            .collect();
        let names = row.keys().map(|name| (format!("#{name}"), name.clone()));
        Ok(Update::builder()
            .table_name(&self.table)
            .set_key(Some(key))
            .update_expression(format!("SET {}", assignments.join(", ")))
            .condition_expression("attribute_exists(event_hook)")
            .set_expression_attribute_names(Some(names.collect()))
            .set_expression_attribute_values(Some(
                row.into_iter()
                    .map(|(name, value)| (format!(":{name}"), value))
                    .collect(),
            ))
            .build()?)
    }
}
