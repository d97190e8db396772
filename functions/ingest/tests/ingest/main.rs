//! The function over HTTP, on the embedded tables and queue: what is accepted, and what is then in
//! the queue.

#![expect(
    clippy::unwrap_used,
    reason = "what the tests share fails the test that called it"
)]

mod bus;
mod changes;
mod events;
mod lost_answers;
mod requests;
mod runtime;

use aws_sdk_sqs::types::QueueAttributeName;
use ingest::Ingest;
use serde_json::{Value, json};
use shared::{
    model::{DeliveryJob, Hook, HookId, HookStats, Scope, Subscription, Target},
    queue::Queue,
    store::StoredState,
};
use testing::{Api, DOWNTOWN, PLATFORM, ROOT, World, take_jobs};

pub(crate) const ADDED: &str = "cohort_user.added";
pub(crate) const LEAD: &str = "form_entry.added";

pub(crate) struct Function {
    pub(crate) world: World,
    pub(crate) queue_url: String,
    /// As the publisher calls it.
    pub(crate) api: Api,
}

impl Function {
    pub(crate) async fn start() -> Self {
        let world = World::start().await;
        let queue = world.aws.sqs().create_queue().queue_name("deliveries");
        let queue_url = queue.send().await.unwrap().queue_url.unwrap();
        let api = Self::over(&world, queue_url.clone());
        Self {
            world,
            queue_url,
            api,
        }
    }

    fn over(world: &World, queue_url: String) -> Api {
        let queue = Queue::new(world.aws.sqs(), queue_url);
        Api::new(ingest::service(Ingest::new(world.stores.clone(), queue))).of(PLATFORM)
    }

    /// The function with a queue that takes nothing.
    pub(crate) fn without_queue(&self) -> Api {
        Self::over(&self.world, self.queue_url.replace("deliveries", "gone"))
    }

    pub(crate) async fn hook(&self, id: u64, owner: &str, event: &str) {
        self.hooks([(id, owner, event)]).await;
    }

    pub(crate) async fn hooks(&self, hooks: impl IntoIterator<Item = (u64, &str, &str)>) {
        let now = "2025-01-15T10:30:00Z".parse().unwrap();
        let stored: Vec<_> = hooks
            .into_iter()
            .map(|(id, owner, event)| {
                let hook = Hook {
                    id: HookId::new(id).unwrap(),
                    scope: Scope::of_owner(owner, owner == ROOT),
                    owner: owner.to_owned(),
                    subscription: Subscription {
                        event: event.to_owned(),
                        target: Target::parse("https://a.com/x").unwrap(),
                        service_id: None,
                    },
                    created_at: now,
                    updated_at: now,
                };
                let state = StoredState::new(&hook, HookStats::default());
                (hook, state)
            })
            .collect();
        self.world.stores.hooks.import(&stored).await.unwrap();
    }

    pub(crate) async fn publish(&self, body: &Value) -> testing::Answer {
        self.api.post("event", body).await
    }

    /// Takes everything out of the queue.
    pub(crate) async fn jobs(&self) -> Vec<DeliveryJob> {
        take_jobs(&self.world.aws.sqs(), &self.queue_url, 0).await
    }

    /// Waits for the first job in the queue.
    pub(crate) async fn something_queued(&self) {
        let count = QueueAttributeName::ApproximateNumberOfMessages;
        let sqs = self.world.aws.sqs();
        loop {
            let request = sqs.get_queue_attributes().queue_url(&self.queue_url);
            let answer = request.attribute_names(count.clone()).send().await;
            if answer.unwrap().attributes.unwrap()[&count] != "0" {
                return;
            }
        }
    }

    /// The hooks in the queue, ascending.
    pub(crate) async fn queued(&self) -> Vec<u64> {
        let mut ids: Vec<_> = self
            .jobs()
            .await
            .iter()
            .map(|job| job.hook.id.get())
            .collect();
        ids.sort_unstable();
        ids
    }
}

pub(crate) fn event(name: &str, academy: impl Into<Value>) -> Value {
    json!({"event": name, "academy": academy.into(), "payload": {"id": 1}})
}

pub(crate) fn event_with_id(id: &str) -> Value {
    json!({"event": ADDED, "academy": DOWNTOWN, "payload": {"id": 1}, "id": id})
}
