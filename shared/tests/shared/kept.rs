//! Failed deliveries: recorded, found, claimed, removed.

use std::{collections::BTreeSet, slice, sync::Arc};

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use emulator::{LocalAws, Storage};
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, value::RawValue};
use shared::{
    model::{DeadLetter, DeliveryJob, HookId, HookRef},
    store::{
        ClaimedDelivery, HookErrors, Kept, KeptKey, OwnedError, Stores, TableNames, create_tables,
    },
};
use testing::{Lost, LostAnswers, Spy};
use uuid::Uuid;

use super::tables::{ACADEMY, EVENT, Tables, academy, start};

pub(crate) const FAILURE: &str = "The endpoint answered 500.";

pub(crate) fn hook_id(id: u64) -> HookId {
    HookId::new(id).unwrap()
}

pub(crate) fn after(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds)
}

pub(crate) fn id(number: i64) -> u128 {
    u128::try_from(number).unwrap()
}

/// The dead letter of a delivery that failed some seconds after the start.
pub(crate) fn letter(delivery_id: u128, hook: u64, second: i64) -> DeadLetter {
    let job = DeliveryJob {
        delivery_id: Uuid::from_u128(delivery_id),
        event_id: format!("event-of-{delivery_id}"),
        event: EVENT.to_owned(),
        academy: Some(ACADEMY.to_owned()),
        hook: HookRef {
            id: hook_id(hook),
            scope: academy(),
            owner: ACADEMY.to_owned(),
        },
        attempt: 8,
        not_before: start(),
        accepted_at: start(),
        event_accepted_at: None,
        payload: Arc::from(RawValue::from_string("{\"b\": 1.00}".to_owned()).unwrap()),
    };
    DeadLetter {
        job,
        message: FAILURE.to_owned(),
        status: Some(500),
        failed_at: after(second),
    }
}

/// Records letters and returns the HookError of the first one.
pub(crate) async fn record(errors: &HookErrors, letters: &[DeadLetter]) -> OwnedError {
    for letter in letters {
        errors.record(letter, start()).await.unwrap();
    }
    let first = &letters[0];
    let mut found = errors.of_owner(&first.job.hook.owner).await.unwrap();
    found.retain(|found| found.error.message == first.message);
    found.remove(0)
}

/// All keys that are found, in their order.
async fn keys(errors: &HookErrors, which: &Kept, until: Timestamp) -> Vec<KeptKey> {
    let mut pages = errors.kept(which, until);
    let mut keys = Vec::new();
    while let Some(page) = pages.next().await.unwrap() {
        keys.extend(page);
    }
    keys
}

/// Claims everything that is found, and returns the deliveries' ids.
pub(crate) async fn claim_all(
    errors: &HookErrors,
    which: &Kept,
    until: Timestamp,
    now: Timestamp,
) -> Vec<u128> {
    let mut ids = Vec::new();
    for key in keys(errors, which, until).await {
        let claimed = errors.claim(key, until, now).await.unwrap();
        ids.extend(claimed.map(|claimed| claimed.job.delivery_id.as_u128()));
    }
    ids
}

async fn claim(errors: &HookErrors, key: &KeptKey, now: Timestamp) -> Option<ClaimedDelivery> {
    errors.claim(key.clone(), now, now).await.unwrap()
}

/// The store with one failed delivery in it, and its key.
async fn one() -> (Tables, HookErrors, Kept, KeptKey) {
    let tables = Tables::new().await;
    let errors = tables.stores.errors.clone();
    let of_error = Kept::OfError(record(&errors, &[letter(1, 7, 0)]).await);
    let key = keys(&errors, &of_error, after(0)).await.remove(0);
    (tables, errors, of_error, key)
}

#[tokio::test]
async fn a_hook_error_is_found_by_its_id_whoever_owns_it() {
    let tables = Tables::new().await;
    let errors = &tables.stores.errors;
    let other = DeadLetter {
        message: "The endpoint answered 404.".to_owned(),
        ..letter(2, 7, 1)
    };
    let first = record(errors, &[letter(1, 7, 0)]).await;
    let second = record(errors, &[other]).await;
    for found in [&first, &second] {
        let read = errors.get(found.error.id, None).await.unwrap();
        assert_eq!(read.as_ref(), Some(found));
    }
    assert_eq!(first.owner, ACADEMY);
    let of = async |owner| errors.get(1, Some(owner)).await.unwrap();
    assert_eq!(of(ACADEMY).await, Some(first));
    assert_eq!(of("miami-campus").await, None);
    assert_eq!(errors.get(3, None).await.unwrap(), None);
}

#[tokio::test]
async fn what_is_kept_is_counted_for_each_error_of_its_own_until_it_is_removed() {
    let tables = Tables::new().await;
    let errors = &tables.stores.errors;
    let other = |delivery_id, hook| DeadLetter {
        message: "The endpoint answered 404.".to_owned(),
        ..letter(delivery_id, hook, 1)
    };
    let mut of_another = letter(9, 8, 1);
    "miami-campus".clone_into(&mut of_another.job.hook.owner);
    let first = record(errors, &[letter(1, 7, 0), letter(2, 7, 0), letter(3, 8, 0)]).await;
    let second = record(errors, &[other(4, 7)]).await;
    let foreign = record(errors, &[of_another]).await;
    let all = [first.clone(), second, foreign];
    assert_eq!(errors.count_kept(&all).await.unwrap(), [3, 1, 1]);
    assert_eq!(errors.count_kept(&all[1..]).await.unwrap(), [1, 1]);
    assert!(errors.count_kept(&[]).await.unwrap().is_empty());

    for (left, key) in keys(errors, &Kept::OfError(first), after(9))
        .await
        .iter()
        .enumerate()
    {
        let claimed = claim(errors, key, after(9)).await.unwrap();
        assert!(errors.remove(&claimed).await.unwrap());
        let counts = errors.count_kept(&all).await.unwrap();
        assert_eq!(counts, [2 - left as u64, 1, 1]);
    }
}

#[tokio::test]
async fn deliveries_are_found_by_their_error_or_by_their_hook_and_time() {
    let tables = Tables::new().await;
    let errors = &tables.stores.errors;
    let other_message = DeadLetter {
        message: "The endpoint answered 404.".to_owned(),
        ..letter(4, 7, 30)
    };
    let letters = [letter(1, 7, 0), letter(2, 7, 10), letter(3, 8, 20)];
    let of_error = Kept::OfError(record(errors, &letters).await);
    record(errors, &[other_message]).await;
    let of_hook = |second| Kept::OfHook(hook_id(7), after(second));
    for (which, until, wanted) in [
        (&of_error, 60, &[1, 2, 3][..]),
        (&of_error, 10, &[1, 2]),
        (&of_hook(0), 60, &[1, 2, 4]),
        (&of_hook(1), 60, &[2, 4]),
        (&of_hook(10), 29, &[2]),
        (&of_hook(31), 60, &[]),
        (&of_hook(61), 60, &[]),
    ] {
        let found = claim_all(errors, which, after(until), start()).await;
        assert_eq!(found, wanted, "{which:?}");
        // The claims are given back, or they would be in the way of the next ones.
        for key in keys(errors, which, after(until)).await {
            let again = claim(errors, &key, after(3_600)).await.unwrap();
            errors.give_back(&again).await.unwrap();
        }
    }
}

#[tokio::test]
async fn large_payloads_come_page_by_page_and_none_is_missed() {
    let tables = Tables::new().await;
    let errors = &tables.stores.errors;
    let payload = format!("\"{}\"", "x".repeat(256 * 1024 - 2));
    let payload: Arc<RawValue> = Arc::from(RawValue::from_string(payload).unwrap());
    let letters = (0..9).map(|number| {
        let mut letter = letter(id(number), 7, number);
        letter.job.payload = payload.clone();
        letter
    });
    let which = Kept::OfError(record(errors, &letters.collect::<Vec<_>>()).await);

    let mut pages = errors.kept(&which, after(60));
    let mut sizes = Vec::new();
    while let Some(page) = pages.next().await.unwrap() {
        sizes.push(page.len());
    }
    assert!(
        sizes.len() > 1 && sizes.iter().all(|size| *size <= 4),
        "{sizes:?}"
    );
    assert_eq!(sizes.iter().sum::<usize>(), 9);
    let claimed = claim_all(errors, &which, after(60), after(60)).await;
    assert_eq!(claimed.into_iter().collect::<BTreeSet<_>>().len(), 9);
}

#[tokio::test]
async fn of_many_at_the_same_time_one_claims_a_delivery() {
    let (_tables, errors, _, key) = one().await;
    let claims = join_all((0..16).map(|_| claim(&errors, &key, after(0)))).await;
    let claimed: Vec<_> = claims.into_iter().flatten().collect();
    assert_eq!(claimed.len(), 1);
    assert_eq!(claimed[0].job.payload.get(), "{\"b\": 1.00}");
}

#[tokio::test]
async fn a_claim_that_nothing_is_heard_of_runs_out() {
    let (_tables, errors, of_error, key) = one().await;
    let lost = claim(&errors, &key, after(0)).await.unwrap();
    assert!(claim(&errors, &key, after(59)).await.is_none());
    let taken_over = claim(&errors, &key, after(60)).await.unwrap();
    // The first one is not dead after all, but it has nothing to say any more.
    assert!(!errors.remove(&lost).await.unwrap());
    errors.give_back(&lost).await.unwrap();
    assert!(claim(&errors, &key, after(61)).await.is_none());
    assert!(errors.remove(&taken_over).await.unwrap());
    assert!(keys(&errors, &of_error, after(99)).await.is_empty());
}

#[tokio::test]
async fn a_claim_that_is_given_back_can_be_had_at_once() {
    let (_tables, errors, _, key) = one().await;
    let claimed = claim(&errors, &key, after(0)).await.unwrap();
    errors.give_back(&claimed).await.unwrap();
    assert!(claim(&errors, &key, after(0)).await.is_some());
}

#[tokio::test]
async fn a_delivery_that_fails_again_is_counted_again_and_kept_again() {
    let (_tables, errors, of_error, key) = one().await;
    let claimed = claim(&errors, &key, after(0)).await.unwrap();
    assert!(errors.remove(&claimed).await.unwrap());
    let mut again = letter(1, 7, 5);
    again.job.accepted_at = after(0);
    let found = record(&errors, &[again]).await;
    assert_eq!((found.error.id, found.error.count), (1, 2));
    // What was asked for is what had failed by then.
    assert!(keys(&errors, &of_error, after(4)).await.is_empty());
    assert_eq!(keys(&errors, &of_error, after(5)).await, [key]);
}

#[tokio::test]
async fn one_that_fails_again_before_it_is_removed_stays() {
    let (_tables, errors, of_error, key) = one().await;
    let claimed = claim(&errors, &key, after(0)).await.unwrap();
    let mut again = letter(1, 7, 5);
    again.job.accepted_at = after(0);
    let found = record(&errors, &[again.clone()]).await;
    assert_eq!(found.error.count, 2);
    assert!(!errors.remove(&claimed).await.unwrap());
    assert_eq!(keys(&errors, &of_error, after(5)).await.len(), 1);
    // Its letter may come twice, too.
    assert_eq!(record(&errors, &[again]).await.error.count, 2);
    // It is a new failure: the one that was asked for before is gone.
    assert!(
        errors
            .claim(key.clone(), after(4), after(9))
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        errors
            .claim(key, after(5), after(9))
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn the_old_letter_of_one_that_is_claimed_changes_nothing() {
    let (_tables, errors, _, key) = one().await;
    let claimed = claim(&errors, &key, after(1)).await.unwrap();
    let found = record(&errors, &[letter(1, 7, 0)]).await;
    assert_eq!(found.error.count, 1);
    assert!(errors.remove(&claimed).await.unwrap());
}

#[tokio::test]
async fn a_hook_error_goes_with_what_is_kept_with_it_and_nothing_else_does() {
    let tables = Tables::new().await;
    let errors = &tables.stores.errors;
    let letters: Vec<_> = (0..40).map(|n| letter(id(n), 7, n)).collect();
    let other = DeadLetter {
        message: "The endpoint answered 404.".to_owned(),
        ..letter(0, 7, 50)
    };
    let found = record(errors, &letters).await;
    let other = record(errors, &[other]).await;
    // Another one fails after it was looked at.
    record(errors, &[letter(77, 8, 60)]).await;
    errors.delete(&found).await.unwrap();

    assert_eq!(errors.everywhere().await.unwrap(), slice::from_ref(&other));
    assert_eq!(errors.get(found.error.id, None).await.unwrap(), None);
    assert!(
        keys(errors, &Kept::OfError(found.clone()), after(99))
            .await
            .is_empty()
    );
    assert_eq!(
        keys(errors, &Kept::OfError(other), after(99)).await.len(),
        1
    );
    let of_hook = Kept::OfHook(hook_id(7), start());
    assert_eq!(keys(errors, &of_hook, after(99)).await.len(), 1);

    // A second time, and when others have failed in the same way since then, it changes nothing.
    let new = record(errors, &[letter(0, 7, 70)]).await;
    assert_eq!((new.error.id, new.error.count), (3, 1));
    errors.delete(&new).await.unwrap();
    errors.delete(&new).await.unwrap();
}

/// How many rows of the table are lists of hooks.
async fn hook_lists(tables: &Tables) -> usize {
    let request = tables.aws.dynamodb().scan().table_name("test-hook-errors");
    let items = request.send().await.unwrap().items.unwrap();
    let keys = items.iter().filter_map(|item| item["error"].as_s().ok());
    keys.filter(|key| key.starts_with("hooks#")).count()
}

/// A HookError with more lists of hooks than a transaction has room for, and one delivery of each hook.
async fn far_reaching(tables: &Tables) -> OwnedError {
    let letters: Vec<_> = (1..=120)
        .map(|n| letter(id(n), n.unsigned_abs() * 64, n))
        .collect();
    record(&tables.stores.errors, &letters).await
}

#[tokio::test]
async fn deletion_that_is_cut_off_leaves_no_error_without_its_hooks_and_no_hooks_to_the_next() {
    let tables = Tables::new().await;
    let lost = LostAnswers::default();
    let errors = lost.stores(&tables.aws).errors;
    let found = far_reaching(&tables).await;
    errors.delete(&found).await.unwrap();
    assert_eq!(hook_lists(&tables).await, 0);
    let calls = lost.calls();
    let deleted = calls.iter().rposition(|call| call == "DeleteItem").unwrap();
    let after_it = ["Query", "TransactWriteItems", "TransactWriteItems"];
    assert_eq!(calls[deleted + 1..], after_it);

    for cut_off in deleted - 1..calls.len() {
        let tables = Tables::new().await;
        let found = far_reaching(&tables).await;
        let losing = lost.stores(&tables.aws).errors;
        lost.lose(cut_off, Lost::Rest);
        losing.delete(&found).await.unwrap_err();

        let errors = &tables.stores.errors;
        let is_gone = cut_off >= deleted;
        let left: Vec<_> = (!is_gone).then_some(found.clone()).into_iter().collect();
        assert_eq!(errors.of_owner(ACADEMY).await.unwrap(), left, "{cut_off}");
        assert_eq!(errors.everywhere().await.unwrap(), left, "{cut_off}");
        let read = errors.get(found.error.id, None).await.unwrap();
        assert_eq!(read.is_none(), is_gone, "{cut_off}");

        let next = record(errors, &[letter(200, 7, 200)]).await;
        let hooks = if is_gone { 1 } else { 121 };
        assert_eq!(next.error.hooks.len(), hooks, "{cut_off}");
        assert_eq!(hook_lists(&tables).await, hooks, "{cut_off}");
        errors.delete(&next).await.unwrap();
        assert_eq!(hook_lists(&tables).await, 0, "{cut_off}");
    }
}

#[tokio::test]
async fn error_that_is_deleted_while_it_is_read_is_not_seen() {
    let tables = Tables::new().await;
    let errors = &tables.stores.errors;
    let found = record(errors, &[letter(1, 7, 0)]).await;
    // What a reader meets who has read the error before it was deleted, and its hooks after that.
    let request = tables.aws.dynamodb().scan().table_name("test-hook-errors");
    let mut items = request.send().await.unwrap().items.unwrap();
    items.retain(|item| item["error"].as_s().unwrap().starts_with("hooks#"));
    let request = tables.aws.dynamodb().delete_item();
    let request = request
        .table_name("test-hook-errors")
        .key("owner", items[0]["owner"].clone())
        .key("error", items[0]["error"].clone());
    request.send().await.unwrap();
    assert!(errors.of_owner(ACADEMY).await.unwrap().is_empty());
    assert!(errors.everywhere().await.unwrap().is_empty());
    assert_eq!(errors.get(found.error.id, None).await.unwrap(), None);
}

#[tokio::test]
async fn a_deletion_reads_what_is_there_now() {
    let tables = Tables::new().await;
    let spy = Spy::default();
    let stores = Stores::new(&spy.dynamodb(&tables.aws), &TableNames::of_stack("test"));
    let found = record(&stores.errors, &[letter(1, 7, 0)]).await;
    spy.forget();
    stores.errors.delete(&found).await.unwrap();
    let queries = spy.requests("Query");
    assert_eq!(queries.len(), 2);
    let is_consistent = |query: &Value| query["ConsistentRead"] == true;
    assert!(queries.iter().all(is_consistent), "{queries:?}");
}

#[tokio::test]
async fn it_is_kept_for_as_long_as_was_set_when_it_was_recorded() {
    let tables = Tables::new().await;
    let errors = tables.stores.errors.clone();
    record(&errors, &[letter(1, 7, 0)]).await;
    let errors = errors.keeping("7".parse().unwrap());
    record(&errors, &[letter(2, 7, 0)]).await;

    let request = tables.aws.dynamodb().scan().table_name("test-hook-errors");
    let items = request.send().await.unwrap().items.unwrap();
    // HookErrors themselves stay.
    let mut ends: Vec<i64> = items
        .iter()
        .filter_map(|item| item.get("expires_at"))
        .map(|end| end.as_n().unwrap().parse().unwrap())
        .collect();
    ends.sort_unstable();
    let days = [7, 30].map(|days| start() + SignedDuration::from_hours(24 * days));
    assert_eq!(ends, days.map(Timestamp::as_second));
}

#[tokio::test]
async fn a_table_of_an_older_release_is_given_its_indexes() {
    let aws = LocalAws::start(&Storage::Memory).await.unwrap();
    let names = TableNames::of_stack("test");
    let mut request = aws
        .dynamodb()
        .create_table()
        .table_name(&names.hook_errors)
        .billing_mode(BillingMode::PayPerRequest);
    for (name, role) in [("owner", KeyType::Hash), ("error", KeyType::Range)] {
        let key = KeySchemaElement::builder()
            .attribute_name(name)
            .key_type(role);
        let kind = AttributeDefinition::builder()
            .attribute_name(name)
            .attribute_type(ScalarAttributeType::S);
        request = request
            .key_schema(key.build().unwrap())
            .attribute_definitions(kind.build().unwrap());
    }
    request.send().await.unwrap();
    let errors = Stores::new(&aws.dynamodb(), &names).errors;
    record(&errors, &[letter(1, 7, 0)]).await;

    create_tables(&aws.dynamodb(), &names).await.unwrap();
    assert!(errors.get(1, None).await.unwrap().is_some());
    let of_hook = Kept::OfHook(hook_id(7), start());
    assert_eq!(keys(&errors, &of_hook, after(0)).await.len(), 1);
}
