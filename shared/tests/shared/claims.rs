//! Claims of event ids: granted once, for as long as they last.

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use shared::{
    model::{Accepted, AcceptedEvent},
    store::{Claim, Claims, IdSpace},
};

use super::tables::{EVENT, Tables, start};

fn ids() -> IdSpace {
    IdSpace::events_of("platform")
}

const ID: &str = "assignment-456-created";

async fn claim(claims: &Claims, now: Timestamp) -> Claim {
    claims.claim(&ids(), ID, now).await.unwrap()
}

async fn granted(claims: &Claims, now: Timestamp) -> u64 {
    match claim(claims, now).await {
        Claim::Granted { lease } => lease,
        other => panic!("{other:?}"),
    }
}

fn accepted() -> Accepted {
    Accepted {
        id: ID.to_owned(),
        events: vec![AcceptedEvent {
            event: EVENT.to_owned(),
            deliveries: 3,
            dropped: vec!["user.token".to_owned()],
        }],
    }
}

fn later(millis: i64) -> Timestamp {
    start() + SignedDuration::from_millis(millis)
}

#[tokio::test]
async fn of_many_requests_at_the_same_time_one_is_granted_the_id() {
    let tables = Tables::new().await;
    let claims = &tables.stores.claims;
    let outcomes = join_all((0..25).map(|_| claim(claims, start()))).await;
    let is_granted = |claim: &&Claim| matches!(claim, Claim::Granted { .. });
    assert_eq!(outcomes.iter().filter(is_granted).count(), 1);
    let in_progress = outcomes.iter().filter(|claim| **claim == Claim::InProgress);
    assert_eq!(in_progress.count(), 24);
}

#[tokio::test]
async fn an_id_belongs_to_its_publisher_and_what_it_publishes() {
    let tables = Tables::new().await;
    let claims = &tables.stores.claims;
    granted(claims, start()).await;
    for others in [
        IdSpace::events_of("another"),
        IdSpace::changes_of("platform"),
        IdSpace::events_of_bus("platform"),
        IdSpace::changes_of_bus("platform"),
    ] {
        let of_other = claims.claim(&others, ID, start()).await.unwrap();
        assert!(matches!(of_other, Claim::Granted { .. }), "{others:?}");
    }
    let other_id = claims.claim(&ids(), "another", start()).await.unwrap();
    assert!(matches!(other_id, Claim::Granted { .. }));
}

#[tokio::test]
async fn a_settled_id_is_answered_as_the_first_time_for_24_hours() {
    let tables = Tables::new().await;
    let claims = &tables.stores.claims;
    let lease = granted(claims, start()).await;
    let settled = claims.settle(&ids(), &accepted(), lease).await;
    assert!(settled.unwrap());
    // What is settled is not given back, not even by the one who has settled it.
    claims.release(&ids(), ID, lease).await.unwrap();

    let day = 24 * 60 * 60 * 1_000;
    for millis in [0, 29_999, 30_000, day - 1_000, day - 1] {
        let again = claim(claims, later(millis)).await;
        assert_eq!(again, Claim::Settled(accepted()), "after {millis} ms");
    }
    granted(claims, later(day)).await;
    assert_eq!(claim(claims, later(day)).await, Claim::InProgress);
}

#[tokio::test]
async fn a_released_id_can_be_claimed_again_at_once() {
    let tables = Tables::new().await;
    let claims = &tables.stores.claims;
    let lease = granted(claims, start()).await;
    claims.release(&ids(), ID, lease).await.unwrap();
    granted(claims, later(1)).await;
}

#[tokio::test]
async fn a_lease_runs_out_after_30_seconds() {
    let tables = Tables::new().await;
    let claims = &tables.stores.claims;
    granted(claims, start()).await;
    assert_eq!(claim(claims, later(29_999)).await, Claim::InProgress);
    granted(claims, later(30_000)).await;
    assert_eq!(claim(claims, later(59_999)).await, Claim::InProgress);
}

#[tokio::test]
async fn who_comes_back_too_late_settles_nothing() {
    let tables = Tables::new().await;
    let claims = &tables.stores.claims;
    let first = granted(claims, start()).await;
    let second = granted(claims, later(30_000)).await;
    let accepted = accepted();
    assert!(!claims.settle(&ids(), &accepted, first).await.unwrap());
    claims.release(&ids(), ID, second).await.unwrap();
    assert!(!claims.settle(&ids(), &accepted, first).await.unwrap());
    // Nothing is left of it that would stand in the way of the next.
    granted(claims, later(30_001)).await;
}

#[tokio::test]
async fn who_comes_back_too_late_releases_nothing() {
    let tables = Tables::new().await;
    let claims = &tables.stores.claims;
    let first = granted(claims, start()).await;
    let second = granted(claims, later(30_000)).await;
    claims.release(&ids(), ID, first).await.unwrap();
    assert_eq!(claim(claims, later(31_000)).await, Claim::InProgress);
    claims.release(&ids(), ID, second).await.unwrap();
    claims.release(&ids(), ID, second).await.unwrap();
    granted(claims, later(31_000)).await;
}
