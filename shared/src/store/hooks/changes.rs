//! Changes of a hook: in its place, or from one key to another. Neither touches its secrets.

use aws_sdk_dynamodb::types::{TransactWriteItem, Update};

use super::{HookItem, Hooks, SignedHook, Unchanged, delete, key, put, signed};
use crate::{
    model::{Hook, HookId, Scope},
    store::{Item, StoreError, Transaction, while_contended},
};

/// What an operation is called that changes a hook.
const CHANGE: &str = "change a hook";

impl Hooks {
    /// Puts `new` in the place of `old`: the same hook with the same secrets, perhaps under another
    /// key. `false` when `old` is not where it was, or has been edited since it was read; then nothing
    /// is changed. An edit has to have a later `updated_at` than the one before it.
    pub async fn replace(&self, old: &Hook, new: &Hook) -> Result<bool, StoreError> {
        if old.scope != new.scope || old.subscription.event != new.subscription.event {
            return self.relocate(old, new).await;
        }
        let writes = vec![
            update(self.edit(old, new)?),
            update(self.states.follow(old, new)?),
        ];
        let outcome = self.transact(CHANGE, writes).await?;
        Ok(matches!(outcome, Transaction::Done))
    }

    /// Moves a hook to another key. A row's secrets can only be moved by writing them again: if they
    /// change in between, they are read again. Within a scope the move is marked first, for those who list
    /// it meanwhile; a hook that leaves a scope is in no list of it any more.
    async fn relocate(&self, old: &Hook, new: &Hook) -> Result<bool, StoreError> {
        while_contended(async || {
            let event = old.subscription.event.as_str();
            let Some(row) = self.row_at(&old.scope, event, old.id).await? else {
                return Ok(false);
            };
            let SignedHook { hook, secrets } = signed(row)?;
            if hook.updated_at != old.updated_at {
                return Ok(false);
            }
            let unchanged = Unchanged::default()
                .subscription(old)
                .secrets(secrets.as_ref());
            let mut writes = vec![
                delete(self.delete_item(old, unchanged)?),
                put(self.put(new, secrets.as_ref())?),
                update(self.states.follow(old, new)?),
            ];
            if old.scope == new.scope {
                self.mark_move(&old.scope, old.id).await?;
            } else {
                writes.push(delete(self.forget_move(&old.scope, old.id)?));
            }
            match self.transact(CHANGE, writes).await? {
                Transaction::Done => Ok(true),
                Transaction::ConditionFailed(_) => Err(StoreError::Contended(CHANGE)),
            }
        })
        .await
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
                moved += usize::from(self.move_one(hook.id, from, to).await?);
            }
        }
        Ok(moved)
    }

    /// Moves a hook, as it is now. `false` when it is not there any more.
    async fn move_one(&self, id: HookId, from: &Scope, to: &Scope) -> Result<bool, StoreError> {
        while_contended(async || {
            let Some(old) = self.get(id).await?.filter(|hook| hook.scope == *from) else {
                return Ok(false);
            };
            let new = Hook {
                scope: to.clone(),
                ..old.clone()
            };
            if self.replace(&old, &new).await? {
                Ok(true)
            } else {
                Err(StoreError::Contended(CHANGE))
            }
        })
        .await
    }

    /// The write that changes a hook in its place: everything but its key and its secrets.
    fn edit(&self, old: &Hook, hook: &Hook) -> Result<Update, StoreError> {
        let unchanged = Unchanged::default().subscription(old);
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
            .condition_expression(&unchanged.expression)
            .set_expression_attribute_names(Some(names.collect()))
            .set_expression_attribute_values(Some(
                row.into_iter()
                    .map(|(name, value)| (format!(":{name}"), value))
                    .chain(unchanged.values().unwrap_or_default())
                    .collect(),
            ))
            .build()?)
    }
}

fn update(update: Update) -> TransactWriteItem {
    TransactWriteItem::builder().update(update).build()
}
