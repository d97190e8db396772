//! What the tests work with.

use manage::Manage;
use shared::{
    deliver::{client::DeliveryClient, guard::AddressGuard},
    model::{Hook, HookId, HookStats, Scope, Subscription, Target},
    store::StoredState,
};
use testing::{Api, ROOT, World};

pub(crate) const SUBSCRIBE: &str = "hook/subscribe";
pub(crate) const CREATED: &str = "assignment.assignment_created";
pub(crate) const ADDED: &str = "cohort_user.added";
pub(crate) const LEAD: &str = "form_entry.added";

/// The function, and the tables that it works on.
pub(crate) struct Function {
    pub(crate) world: World,
    pub(crate) api: Api,
}

/// The function on empty tables. It lets targets through to one port of this machine.
pub(crate) async fn function() -> Function {
    let world = World::start().await;
    let guard = AddressGuard::new(vec!["127.0.0.1:3000".parse().unwrap()]);
    let client = DeliveryClient::new(guard.clone()).unwrap();
    let deliveries = world.queue("deliveries").await;
    let manage = Manage::new(world.stores.clone(), guard, client, deliveries);
    let api = Api::new(manage::service(manage));
    Function { world, api }
}

/// A hook as an import has it.
pub(crate) fn hook(
    id: u64,
    owner: &str,
    event: &str,
    service_id: Option<&str>,
) -> (Hook, StoredState) {
    let created_at = format!("2025-01-15T10:{:02}:00Z", id % 60).parse().unwrap();
    let hook = Hook {
        id: HookId::new(id).unwrap(),
        scope: Scope::of_owner(owner, owner == ROOT),
        owner: owner.to_owned(),
        subscription: Subscription {
            event: event.to_owned(),
            target: Target::parse(&format!("https://app.com/{id}")).unwrap(),
            service_id: service_id.map(str::to_owned),
        },
        created_at,
        updated_at: created_at,
    };
    let stats = HookStats {
        total_calls: id * 7 % 5,
        ..HookStats::default()
    };
    let state = StoredState::new(&hook, stats);
    (hook, state)
}

impl Function {
    pub(crate) async fn store(&self, hooks: &[(Hook, StoredState)]) {
        self.world.stores.hooks.import(hooks).await.unwrap();
    }

    /// The ids of a caller's list, in its order.
    pub(crate) async fn ids(&self, caller: &str, query: &str) -> Vec<u64> {
        let list = self
            .api
            .of(caller)
            .get(&format!("{SUBSCRIBE}?{query}"))
            .await
            .expect(200);
        let rows = list["results"].as_array().unwrap();
        rows.iter()
            .map(|hook| hook["id"].as_u64().unwrap())
            .collect()
    }
}
