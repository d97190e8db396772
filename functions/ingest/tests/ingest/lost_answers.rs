//! The tables and the queue do what they are asked for, and the function does not learn it.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use ingest::Ingest;
use serde_json::json;
use shared::{model::DeliveryJob, queue::Queue};
use testing::{Api, DOWNTOWN, Lost, LostAnswers, PLATFORM};

use crate::{ADDED, Function, event_with_id};

/// A function with two hooks, whose clients lose answers.
async fn losing() -> (Function, LostAnswers) {
    let mut function = Function::start().await;
    function.hook(1, DOWNTOWN, ADDED).await;
    function.hook(2, DOWNTOWN, ADDED).await;
    let lost = LostAnswers::default();
    let aws = &function.world.aws;
    let queue = Queue::new(lost.sqs(aws), function.queue_url.clone());
    let ingest = Ingest::new(lost.stores(aws), queue);
    function.api = Api::new(ingest::service(ingest)).of(PLATFORM);
    (function, lost)
}

/// The calls of publishing an event under an id.
async fn calls() -> usize {
    let (function, lost) = losing().await;
    function.publish(&event_with_id("e-1")).await.expect(202);
    let calls = lost.calls();
    for call in ["PutItem", "SendMessageBatch", "UpdateItem"] {
        assert!(calls.iter().any(|each| each == call), "{calls:?}");
    }
    calls.len()
}

#[tokio::test]
async fn first_answer_lost_event_is_published_once() {
    let publishing = (0..calls().await).map(async |position| {
        let (function, lost) = losing().await;
        lost.lose(position, Lost::First);
        let event = event_with_id("e-1");
        let accepted = function.publish(&event).await.expect(202);
        lost.lose_none();
        assert_eq!(
            accepted,
            json!({"id": "e-1", "event": ADDED, "deliveries": 2})
        );

        // The second time nothing is queued.
        let jobs = function.jobs().await;
        assert_eq!(
            function.publish(&event).await.expect(202),
            accepted,
            "{position}"
        );
        assert!(function.jobs().await.is_empty(), "{position}");
        // A batch that was sent twice has the same ids.
        let ids: BTreeSet<_> = jobs.iter().map(|job| job.delivery_id).collect();
        assert_eq!(ids.len(), 2, "{position}");
    });
    join_all(publishing).await;
}

/// The tables and the queue are out of reach from some answer on, and then there again.
#[tokio::test]
async fn all_answers_lost_event_is_published_on_retry() {
    let publishing = (0..calls().await).map(async |position| {
        let (function, lost) = losing().await;
        lost.lose(position, Lost::Rest);
        let event = event_with_id("e-1");
        let answer = function.publish(&event).await;
        lost.lose_none();
        let is_accepted = answer.0.status().as_u16() == 202;
        if !is_accepted {
            answer.expect(503);
        }
        let ids = |jobs: Vec<DeliveryJob>| {
            jobs.into_iter()
                .map(|job| job.delivery_id)
                .collect::<BTreeSet<_>>()
        };
        let mut queued = ids(function.jobs().await);
        if is_accepted {
            assert_eq!(queued.len(), 2, "{position}");
        }
        // At once: no lease has to run out first.
        function.publish(&event).await.expect(202);
        queued.extend(ids(function.jobs().await));
        assert_eq!(queued.len(), 2, "{position}");
    });
    join_all(publishing).await;
}
