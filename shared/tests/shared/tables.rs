//! Tables in memory, and hooks to put into them.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use emulator::{LocalAws, Storage};
use jiff::Timestamp;
use shared::{
    model::{Hook, HookId, HookStats, Scope, Subscription},
    store::{StoredState, Stores, TableNames, create_tables},
};

/// The owner of the hooks unless a test says otherwise.
pub(crate) const ACADEMY: &str = "downtown-campus";

/// The event that they hear.
pub(crate) const EVENT: &str = "assignment.assignment_created";

/// Another one.
pub(crate) const OTHER_EVENT: &str = "assignment.assignment_status_updated";

/// Empty tables, and the server that holds them for as long as this lives.
pub(crate) struct Tables {
    pub(crate) aws: LocalAws,
    pub(crate) stores: Stores,
}

impl Tables {
    pub(crate) async fn new() -> Self {
        let aws = LocalAws::start(&Storage::Memory).await.unwrap();
        let names = TableNames::of_stack("test");
        create_tables(&aws.dynamodb(), &names).await.unwrap();
        Self {
            stores: Stores::new(&aws.dynamodb(), &names),
            aws,
        }
    }

    /// The rows of the hooks' states, as they are stored.
    pub(crate) async fn state_rows(&self) -> Vec<HashMap<String, AttributeValue>> {
        let request = self.aws.dynamodb().scan().table_name("test-hook-state");
        request.send().await.unwrap().items.unwrap()
    }

    /// How many samples there are, whose ever.
    pub(crate) async fn sample_rows(&self) -> usize {
        let request = self.aws.dynamodb().scan().table_name("test-hook-samples");
        let request = request.projection_expression("hook_id");
        let ids = request.into_paginator().items().send();
        ids.collect::<Result<Vec<_>, _>>().await.unwrap().len()
    }

    /// A new hook of the academy.
    pub(crate) async fn create(&self, event: &str) -> Hook {
        let hooks = &self.stores.hooks;
        let created = hooks.create(academy(), ACADEMY, subscription(event), start());
        created.await.unwrap()
    }

    /// Imports hooks with these ids, without a history.
    pub(crate) async fn import(&self, ids: impl IntoIterator<Item = u64>) -> Vec<Hook> {
        let hooks: Vec<Hook> = ids.into_iter().map(hook).collect();
        let stored = hooks.iter().map(|hook| (hook.clone(), unused(hook)));
        let stored: Vec<_> = stored.collect();
        self.stores.hooks.import(&stored).await.unwrap();
        hooks
    }

    /// The ids of all hooks there are, in order.
    pub(crate) async fn all(&self) -> Vec<u64> {
        let hooks = self.stores.hooks.everywhere(None).await.unwrap();
        ids(&hooks)
    }
}

/// The state of a hook that was never called.
pub(crate) fn unused(hook: &Hook) -> StoredState {
    StoredState::new(hook, HookStats::default())
}

/// A hook of the academy with this id.
pub(crate) fn hook(id: u64) -> Hook {
    Hook {
        id: HookId::new(id).unwrap(),
        scope: academy(),
        owner: ACADEMY.to_owned(),
        subscription: subscription(EVENT),
        created_at: start(),
        updated_at: start(),
    }
}

pub(crate) fn academy() -> Scope {
    Scope::Academy(ACADEMY.to_owned())
}

pub(crate) fn subscription(event: &str) -> Subscription {
    Subscription {
        event: event.to_owned(),
        target: "https://hooks.example.com/x".to_owned().try_into().unwrap(),
        service_id: None,
    }
}

/// The same hook on another event.
pub(crate) fn moved_to(hook: &Hook, event: &str) -> Hook {
    let mut moved = hook.clone();
    event.clone_into(&mut moved.subscription.event);
    moved
}

/// A time to begin at.
pub(crate) fn start() -> Timestamp {
    "2025-01-20T15:30:00Z".parse().unwrap()
}

/// The ids of hooks, in order.
pub(crate) fn ids(hooks: &[Hook]) -> Vec<u64> {
    let mut ids: Vec<u64> = hooks.iter().map(|hook| hook.id.get()).collect();
    ids.sort_unstable();
    ids
}
