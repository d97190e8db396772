//! Hooks that change their event while they are listed: a list reads page by page.

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
    mpsc::{Receiver, Sender, channel},
};

use aws_sdk_dynamodb::{
    Client,
    config::{
        ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeTransmitInterceptorContextRef,
    },
    error::BoxError,
};
use shared::{
    model::{Hook, HookId},
    store::{Stores, TableNames},
};
use tokio::{
    sync::mpsc::{UnboundedSender, unbounded_channel},
    task::block_in_place,
};

use super::tables::{EVENT, OTHER_EVENT, Tables, academy, hook, ids, moved_to, unused};

/// Holds the second request for an operation until something else is done.
#[derive(Debug)]
struct Pause {
    operation: &'static str,
    seen: AtomicUsize,
    reached: UnboundedSender<()>,
    done: Mutex<Receiver<()>>,
}

impl Intercept for Pause {
    fn name(&self) -> &'static str {
        "pause"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let target = context.request().headers().get("x-amz-target");
        let is_of_it = target.is_some_and(|target| target.ends_with(self.operation));
        if is_of_it && self.seen.fetch_add(1, Ordering::Relaxed) == 1 {
            self.reached.send(())?;
            block_in_place(|| self.done.lock().unwrap().recv())?;
        }
        Ok(())
    }
}

/// Tables with a hundred hooks on two events, which are two pages: the first and the last are on the later
/// event.
async fn two_pages() -> (Tables, Vec<u64>) {
    let tables = Tables::new().await;
    let big = (1..=100).map(|id| {
        let event = if id == 1 || id == 100 {
            OTHER_EVENT
        } else {
            EVENT
        };
        let mut hook = moved_to(&hook(id), event);
        hook.subscription.service_id = Some("x".repeat(20_000));
        let state = unused(&hook);
        (hook, state)
    });
    let hooks = &tables.stores.hooks;
    hooks.import(&big.collect::<Vec<_>>()).await.unwrap();
    (tables, (1..=100).collect())
}

/// Stores whose second request for an operation waits until two hooks have moved: one from the second page
/// to the first, and one from the first to the second.
fn with_moves_between_pages(tables: &Tables, operation: &'static str) -> Stores {
    let (reached, mut is_reached) = unbounded_channel();
    let (done, is_done): (Sender<()>, _) = channel();
    let hooks = tables.stores.hooks.clone();
    tokio::spawn(async move {
        is_reached.recv().await.unwrap();
        for (id, event) in [(1, EVENT), (2, OTHER_EVENT)] {
            let old = hooks.get(HookId::new(id).unwrap()).await.unwrap().unwrap();
            assert!(hooks.replace(&old, &moved_to(&old, event)).await.unwrap());
        }
        done.send(()).unwrap();
    });
    let pause = Pause {
        operation,
        seen: AtomicUsize::new(0),
        reached,
        done: Mutex::new(is_done),
    };
    let config = tables.aws.dynamodb().config().to_builder();
    let client = Client::from_conf(config.interceptor(pause).build());
    Stores::new(&client, &TableNames::of_stack("test"))
}

/// The events of the hooks that have moved, in a list that has each hook once.
fn events_of_moved(found: &[Hook], all: &[u64]) -> [String; 2] {
    assert_eq!(ids(found), all);
    [1, 2].map(|id| {
        let moved = found.iter().find(|hook| hook.id.get() == id).unwrap();
        moved.subscription.event.clone()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_moves_from_page_to_page_is_in_the_list_of_its_scope_once() {
    let (tables, all) = two_pages().await;
    let hooks = with_moves_between_pages(&tables, "Query").hooks;
    let found = hooks.in_scope(&academy(), None).await.unwrap();
    assert_eq!(events_of_moved(&found, &all), [EVENT, OTHER_EVENT]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_moves_from_page_to_page_is_in_the_list_of_all_once() {
    let (tables, all) = two_pages().await;
    let hooks = with_moves_between_pages(&tables, "Scan").hooks;
    let found = hooks.everywhere(None).await.unwrap();
    assert_eq!(events_of_moved(&found, &all), [EVENT, OTHER_EVENT]);
}
