//! The tables and the queue do what they are asked for, and the function does not learn it.

use std::collections::BTreeMap;

use shared::{
    deliver::{client::DeliveryClient, guard::AddressGuard},
    model::{FAILURES_TO_OPEN, Hook, OpenCircuit},
    queue::Queue,
};
use testing::{Lost, LostAnswers};
use wiremock::MockServer;

use super::{
    bench::{Bench, job},
    receiver::{answering, requests},
};

/// A bench whose function can lose answers, and the two endpoints that it may call.
struct Scene {
    bench: Bench,
    lost: LostAnswers,
    up: MockServer,
    down: MockServer,
}

impl Scene {
    async fn new() -> Self {
        let (up, down) = (answering(200).await, answering(500).await);
        let lost = LostAnswers::default();
        let allowed = [*up.address(), *down.address()];
        let mut bench = Bench::new(&allowed, "1s").await;
        let sqs = lost.sqs(&bench.aws);
        bench.deliver.stores = lost.stores(&bench.aws);
        bench.deliver.deliveries = Queue::new(sqs.clone(), bench.deliveries.clone());
        bench.deliver.dead_letters = Queue::new(sqs, bench.dead_letters.clone());
        bench.deliver.client = DeliveryClient::new(AddressGuard::new(allowed.to_vec())).unwrap();
        Self {
            bench,
            lost,
            up,
            down,
        }
    }

    /// A hook with an endpoint that answers, one with an endpoint that fails, and one that has just failed often
    /// enough that its next failure opens its circuit.
    async fn hooks(&self) -> [Hook; 3] {
        let bench = &self.bench;
        let hooks = [
            bench.hook(&self.up.uri()).await,
            bench.hook(&self.down.uri()).await,
            bench.hook(&self.down.uri()).await,
        ];
        for _ in 1..FAILURES_TO_OPEN {
            assert!(bench.work([job(&hooks[2])]).await.is_empty());
        }
        hooks
    }

    /// How often each endpoint's hooks were called, by what the hooks count.
    async fn counted(&self, hooks: &[Hook; 3]) -> [u64; 2] {
        let mut counted = [0; 2];
        for (hook, endpoint) in hooks.iter().zip([0, 1, 1]) {
            counted[endpoint] += self.bench.stats(hook).await.total_calls;
        }
        counted
    }

    async fn called(&self) -> [u64; 2] {
        [requests(&self.up).await, requests(&self.down).await].map(|calls| calls.len() as u64)
    }

    async fn circuit(&self, hook: &Hook) -> Option<OpenCircuit> {
        let state = self.bench.stores.states.get(hook.id).await.unwrap();
        state.unwrap().circuit
    }
}

/// The calls of a batch for these hooks, by operation.
async fn calls_of_a_batch() -> Vec<String> {
    let scene = Scene::new().await;
    let hooks = scene.hooks().await;
    scene.lost.lose_none();
    assert!(scene.bench.work(hooks.each_ref().map(job)).await.is_empty());
    scene.lost.calls()
}

#[tokio::test]
async fn first_answer_lost_each_call_is_counted_once_and_each_delivery_goes_on() {
    let calls = calls_of_a_batch().await;
    let mut kinds = BTreeMap::<_, usize>::new();
    for call in &calls {
        *kinds.entry(call.as_str()).or_default() += 1;
    }
    // Hooks and states; two samples; two retries; three counters and a circuit.
    let wanted = [
        ("BatchGetItem", 2),
        ("PutItem", 2),
        ("SendMessageBatch", 2),
        ("UpdateItem", 4),
    ];
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), wanted);

    let losing = (0..calls.len()).map(async |position| {
        let scene = Scene::new().await;
        let hooks = scene.hooks().await;
        scene.lost.lose(position, Lost::First);
        let failed = scene.bench.work(hooks.each_ref().map(job)).await;
        scene.lost.lose_none();

        assert!(failed.is_empty(), "{position}: {failed:?}");
        assert_eq!(
            scene.counted(&hooks).await,
            scene.called().await,
            "{position}"
        );
        assert_eq!(scene.called().await, [1, 1 + FAILURES_TO_OPEN]);
        assert_eq!(scene.circuit(&hooks[1]).await, None, "{position}");
        assert!(scene.circuit(&hooks[2]).await.is_some(), "{position}");
    });
    futures_util::future::join_all(losing).await;
}

#[tokio::test]
async fn first_answer_lost_a_probe_is_made() {
    let scene = Scene::new().await;
    let [_, _, hook] = scene.hooks().await;
    assert!(scene.bench.work([job(&hook)]).await.is_empty());
    let states = &scene.bench.stores.states;
    let open = scene.circuit(&hook).await.unwrap();
    let due = OpenCircuit {
        probe_at: open.opened_at,
        ..open
    };
    assert!(
        states
            .set_circuit(hook.id, Some(&open), &due)
            .await
            .unwrap()
    );
    let before = scene.called().await;
    // Hooks, states, and then the lease.
    scene.lost.lose(2, Lost::First);
    assert!(scene.bench.work([job(&hook)]).await.is_empty());

    assert_eq!(scene.lost.calls()[2], "UpdateItem");
    assert_eq!(scene.called().await, [before[0], before[1] + 1]);
    let after = scene.circuit(&hook).await.unwrap();
    assert_eq!((after.probes, after.probing_until), (1, None));
}

/// The tables and the queue are out of reach from some answer on, and then there again.
#[tokio::test]
async fn all_answers_lost_each_call_is_counted_once_and_no_delivery_is_lost() {
    let calls = calls_of_a_batch().await;
    let losing = (0..calls.len()).map(async |position| {
        let scene = Scene::new().await;
        let hooks = scene.hooks().await;
        let jobs = hooks.each_ref().map(job);
        scene.lost.lose(position, Lost::Rest);
        let failed = scene.bench.work(jobs.clone()).await;
        scene.lost.lose_none();
        let call = &calls[position];
        assert_eq!(scene.counted(&hooks).await, scene.called().await, "{call}");

        // The queue hands out again what was not done with.
        let again = failed.into_iter().map(|position| jobs[position].clone());
        assert!(scene.bench.work(again).await.is_empty(), "{call}");
        assert_eq!(scene.counted(&hooks).await, scene.called().await, "{call}");
        assert!(scene.called().await[0] >= 1, "{call}");
        let waiting = scene.bench.waiting().await;
        for failing in &jobs[1..] {
            assert!(waiting.contains(&failing.delivery_id), "{call}");
        }
    });
    futures_util::future::join_all(losing).await;
}
