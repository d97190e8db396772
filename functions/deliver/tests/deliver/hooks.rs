//! The worker trusts the table, not the job: what became of a hook while a delivery waited.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::SignedDuration;
use rstest::rstest;
use shared::{
    clock,
    model::{DeliveryJob, Hook, HookRef, Scope},
};

use super::{
    bench::{ACADEMY, Bench, EVENT, encoded, job},
    receiver::{answering, requests},
};

#[tokio::test]
async fn a_deleted_hook_is_not_called_and_its_job_is_gone() {
    let server = answering(200).await;
    let bench = Bench::new(&[*server.address()], "5s").await;
    let deleted = bench.hook(&server.uri()).await;
    assert!(bench.stores.hooks.delete(&deleted).await.unwrap());
    assert!(bench.work([job(&deleted)]).await.is_empty());

    assert!(requests(&server).await.is_empty());
    bench.assert_nothing_queued().await;
    let state = bench.stores.states.get(deleted.id).await.unwrap();
    assert!(state.is_none(), "{state:?}");
}

#[tokio::test]
async fn a_hook_deleted_during_its_attempt_stays_deleted() {
    let (listener, addr) = super::receiver::listener().await;
    let bench = Bench::new(&[addr], "").await;
    let hook = bench.hook(&super::receiver::url(addr)).await;
    let endpoint = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        super::receiver::read_request(&mut stream).await;
        assert!(bench.stores.hooks.delete(&hook).await.unwrap());
        // Closed without an answer.
    };
    let (failed, ()) = tokio::join!(bench.work([job(&hook)]), endpoint);
    assert!(failed.is_empty());
    assert!(bench.stores.states.get(hook.id).await.unwrap().is_none());
    // Its owner still learns what became of the delivery.
    assert_eq!(bench.next_letter().await.job.hook, HookRef::from(&hook));
}

#[tokio::test]
async fn a_changed_target_is_called_at_its_new_address() {
    let (old, new) = (answering(200).await, answering(200).await);
    let bench = Bench::new(&[*old.address(), *new.address()], "5s").await;
    let hook = bench.hook(&old.uri()).await;
    bench
        .change(&hook, |hook| {
            hook.subscription.target = new.uri().try_into().unwrap();
        })
        .await;
    assert!(bench.work([job(&hook)]).await.is_empty());
    assert!(requests(&old).await.is_empty());
    assert_eq!(requests(&new).await.len(), 1);
}

#[tokio::test]
async fn a_hook_that_hears_another_event_now_is_not_called() {
    let server = answering(200).await;
    let bench = Bench::new(&[*server.address()], "5s").await;
    let hook = bench.hook(&server.uri()).await;
    bench
        .change(&hook, |hook| {
            hook.subscription.event = "cohort_user.added".to_owned();
        })
        .await;
    assert!(bench.work([job(&hook)]).await.is_empty());
    assert!(requests(&server).await.is_empty());
    bench.assert_nothing_queued().await;
    assert_eq!(bench.stats(&hook).await.total_calls, 0);
}

/// An event of an academy, or of none, meets a hook that has moved from one scope to another while
/// the delivery waited: how often it is called.
#[rstest]
#[case::became_a_superadmin(ACADEMY, "*", Some(ACADEMY), 1)]
#[case::was_a_superadmin_and_it_is_its_own_academy("*", ACADEMY, Some(ACADEMY), 1)]
#[case::was_a_superadmin_and_it_is_anothers("*", ACADEMY, Some("uptown-campus"), 0)]
#[case::was_a_superadmin_and_it_is_the_platforms("*", ACADEMY, None, 0)]
#[tokio::test]
async fn a_hook_that_has_moved_is_called_if_it_still_hears_the_event(
    #[case] from: &str,
    #[case] to: &str,
    #[case] academy: Option<&str>,
    #[case] calls: usize,
) {
    let server = answering(200).await;
    let bench = Bench::new(&[*server.address()], "5s").await;
    let scope = |key: &str| Scope::from(key.to_owned());
    let hook = bench.hook_in(scope(from), ACADEMY, &server.uri()).await;
    let queued = DeliveryJob {
        academy: academy.map(str::to_owned),
        ..job(&hook)
    };
    let hooks = &bench.stores.hooks;
    let moved = hooks.move_all(ACADEMY, &scope(from), &scope(to)).await;
    assert_eq!(moved.unwrap(), 1);
    assert!(bench.work([queued]).await.is_empty());

    assert_eq!(requests(&server).await.len(), calls);
    let total_calls = bench.stats(&hook).await.total_calls;
    assert_eq!(usize::try_from(total_calls).unwrap(), calls);
    bench.assert_nothing_queued().await;
}

#[tokio::test]
async fn the_hooks_are_read_again_for_every_batch() {
    let (old, new) = (answering(500).await, answering(200).await);
    let bench = Bench::new(&[*old.address(), *new.address()], "1s").await;
    let hook: Hook = bench.hook(&old.uri()).await;
    assert!(bench.work([job(&hook)]).await.is_empty());
    bench
        .change(&hook, |hook| {
            hook.subscription.target = new.uri().try_into().unwrap();
        })
        .await;
    let again = bench.next_job().await;
    assert!(bench.work([again]).await.is_empty());
    assert_eq!(requests(&old).await.len(), 1);
    assert_eq!(requests(&new).await.len(), 1);
    let stats = bench.stats(&hook).await;
    assert_eq!(
        (stats.total_calls, stats.last_response_code),
        (2, Some(200))
    );
}

#[tokio::test]
async fn without_the_table_every_due_job_waits_uncalled() {
    let server = answering(200).await;
    let bench = Bench::new(&[*server.address()], "5s").await;
    let hook = bench.hook(&server.uri()).await;
    let table = bench.aws.dynamodb().delete_table().table_name("test-hooks");
    table.send().await.unwrap();
    // For a day, so that the redrive policy does not end what only has to wait; then it may.
    let long_due = DeliveryJob {
        not_before: clock::now() - SignedDuration::from_hours(25),
        ..job(&hook)
    };
    let first = job(&hook);
    let jobs = [first.clone(), long_due, job(&hook)];
    assert_eq!(bench.work(jobs).await, [1]);
    assert!(requests(&server).await.is_empty());
    assert_eq!(bench.spy.delays(), [60, 60]);
    let sent = bench.spy.requests("SendMessageBatch");
    let body = &sent[0]["Entries"][0]["MessageBody"];
    assert_eq!(body, &encoded(first));
}

#[tokio::test]
async fn a_hook_whose_role_changed_between_its_jobs_keeps_its_circuit_and_its_attempts() {
    let server = answering(200).await;
    let bench = Bench::new(&[*server.address()], "5s").await;
    let old = bench.hook(&server.uri()).await;
    assert!(bench.work([job(&old)]).await.is_empty());
    let scopes = [Scope::Academy(ACADEMY.to_owned()), Scope::Platform];
    let [from, to] = &scopes;
    let moved = bench.stores.hooks.move_all(ACADEMY, from, to).await;
    assert_eq!(moved.unwrap(), 1);
    let new = bench.stores.hooks.get(old.id).await.unwrap().unwrap();
    // Two places of one hook: its state is asked for once.
    assert!(bench.work([job(&old), job(&new)]).await.is_empty());
    assert_eq!(requests(&server).await.len(), 3);
    let state = bench.stores.states.get(old.id).await.unwrap().unwrap();
    assert_eq!(state.attempts().len(), 3);
}

#[tokio::test]
async fn a_row_that_cannot_be_read_keeps_nobody_else_waiting() {
    let server = answering(200).await;
    let bench = Bench::new(&[*server.address()], "5s").await;
    let (well, ill) = (
        bench.hook(&server.uri()).await,
        bench.hook(&server.uri()).await,
    );
    let request = bench.aws.dynamodb().update_item().table_name("test-hooks");
    let spoilt = request
        .key("academy", AttributeValue::S(ACADEMY.to_owned()))
        .key(
            "event_hook",
            AttributeValue::S(format!("{EVENT}#{:016}", ill.id.get())),
        )
        .update_expression("SET target = :nothing")
        .expression_attribute_values(":nothing", AttributeValue::S("no URL".to_owned()));
    spoilt.send().await.unwrap();
    assert!(bench.work([job(&well), job(&ill)]).await.is_empty());
    assert_eq!(bench.stats(&well).await.total_calls, 1);
    assert_eq!(bench.stats(&ill).await.total_calls, 0);
    assert_eq!(bench.spy.delays(), [60]);
}

#[tokio::test]
async fn a_new_target_is_not_blamed_for_calls_to_the_old_one_that_were_under_way() {
    let (endpoint, addr) = super::receiver::listener().await;
    let bench = Bench::new(&[addr], "1m").await;
    let hook = bench.hook(&super::receiver::url(addr)).await;
    let meanwhile = async {
        let mut held = Vec::new();
        for _ in 0..6 {
            let (mut stream, _) = endpoint.accept().await.unwrap();
            super::receiver::read_request(&mut stream).await;
            held.push(stream);
        }
        bench
            .change(&hook, |hook| {
                hook.subscription.target = "https://a.com/".to_owned().try_into().unwrap();
                hook.updated_at = clock::now();
            })
            .await;
        // Closed without an answer, all of them.
    };
    let jobs = (0..6).map(|_| job(&hook));
    let (failed, ()) = tokio::join!(bench.work(jobs), meanwhile);
    assert!(failed.is_empty());
    let state = bench.stores.states.get(hook.id).await.unwrap().unwrap();
    assert_eq!((state.failures_in_row, state.circuit), (0, None));
    assert_eq!(state.stats.total_calls, 6);
}
