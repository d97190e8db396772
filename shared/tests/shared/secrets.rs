//! The secrets in the hooks' rows: every hook has one, and nothing that happens to the hook loses it.

use std::{
    collections::BTreeSet,
    slice,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use aws_sdk_dynamodb::{
    Client,
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        interceptors::AfterDeserializationInterceptorContextRef,
    },
    error::BoxError,
};
use futures_util::future::join_all;
use shared::{
    model::{Hook, Scope, Secret, Secrets},
    store::{SignedHook, Stores, TableNames},
};
use testing::forget_secrets;

use super::tables::{ACADEMY, EVENT, Tables, academy, moved_to, start};

impl Tables {
    async fn signed(&self, hook: &Hook) -> SignedHook {
        let found = self.stores.hooks.get_signed(hook.id).await.unwrap();
        found.unwrap()
    }

    /// The texts of the secrets that sign now, newest first.
    async fn signing(&self, hook: &Hook) -> Vec<String> {
        let secrets = self.signed(hook).await.secrets.unwrap();
        secrets.valid_at(start()).map(Secret::expose).collect()
    }

    /// Rotates, however often another is faster, and returns the new secret.
    async fn rotate(&self, hook: &Hook) -> String {
        loop {
            let found = self.signed(hook).await;
            let new = Secret::random().unwrap();
            let secrets = found.secrets.clone().unwrap();
            let secrets = secrets.rotated(new.clone(), start()).unwrap();
            let set = self.stores.hooks.set_secrets(&found, &secrets).await;
            if set.unwrap() {
                return new.expose();
            }
        }
    }
}

/// Whether the SDK has been answered with secrets.
#[derive(Clone, Debug, Default)]
struct Seen(Arc<AtomicBool>);

impl Intercept for Seen {
    fn name(&self) -> &'static str {
        "seen"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.response().body().bytes().unwrap_or_default();
        if String::from_utf8_lossy(body).contains("whsec_") {
            self.0.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

#[tokio::test]
async fn every_hook_that_is_stored_has_a_secret_of_its_own() {
    let tables = Tables::new().await;
    let mut hooks = tables.import(1..=60).await;
    hooks.push(tables.create(EVENT).await);
    let mut texts = BTreeSet::new();
    for hook in &hooks {
        let secrets = tables.signed(hook).await.secrets.unwrap();
        assert!(secrets.rotated_at.is_none() && secrets.previous.is_empty());
        texts.insert(secrets.current.expose());
    }
    assert_eq!(texts.len(), 61);
}

#[tokio::test]
async fn what_deliveries_read_is_what_the_owner_gets() {
    let tables = Tables::new().await;
    let hook = tables.create(EVENT).await;
    tables.rotate(&hook).await;
    let place = [(&hook.scope, EVENT, hook.id)];
    let found = tables.stores.hooks.get_many(&place).await.unwrap();
    let secrets = found[0].secrets.as_ref().unwrap();
    let texts: Vec<_> = secrets.valid_at(start()).map(Secret::expose).collect();
    assert_eq!(texts, tables.signing(&hook).await);
    assert_eq!((texts.len(), secrets.rotated_at), (2, Some(start())));
    assert_eq!(found[0].hook, hook);
}

#[tokio::test]
async fn a_change_in_place_or_to_another_key_keeps_the_secrets() {
    let tables = Tables::new().await;
    let hooks = &tables.stores.hooks;
    let mut hook = tables.create(EVENT).await;
    tables.rotate(&hook).await;
    let before = tables.signing(&hook).await;

    let mut edited = hook.clone();
    edited.subscription.service_id = Some("edited".to_owned());
    edited.subscription.target = "https://hooks.example.com/y".to_owned().try_into().unwrap();
    edited.updated_at = "2025-01-21T00:00:00Z".parse().unwrap();
    let moved = moved_to(&edited, "cohort_user.added");
    for new in [edited, moved] {
        assert!(hooks.replace(&hook, &new).await.unwrap());
        assert_eq!(tables.signed(&new).await.hook, new);
        assert_eq!(tables.signing(&new).await, before);
        hook = new;
    }
    let (from, to) = (academy(), Scope::Platform);
    assert_eq!(hooks.move_all(ACADEMY, &from, &to).await.unwrap(), 1);
    assert_eq!(tables.signing(&hook).await, before);
}

#[tokio::test]
async fn a_change_and_a_rotation_at_the_same_time_are_both_made() {
    let tables = Tables::new().await;
    let hooks = &tables.stores.hooks;
    for event in [EVENT, "cohort_user.added"] {
        for _ in 0..10 {
            let hook = tables.create(EVENT).await;
            let first = tables.signing(&hook).await;
            let mut new = moved_to(&hook, event);
            new.subscription.service_id = Some("changed".to_owned());
            let (changed, rotated) = tokio::join!(hooks.replace(&hook, &new), tables.rotate(&hook));
            assert!(changed.unwrap());
            assert_eq!(tables.signed(&new).await.hook, new);
            assert_eq!(tables.signing(&new).await, [rotated, first[0].clone()]);
        }
    }
}

#[tokio::test]
async fn of_rotations_at_the_same_time_none_loses_a_secret_that_was_given_out() {
    let tables = Tables::new().await;
    let hook = tables.create(EVENT).await;
    let first = tables.signing(&hook).await;
    let given = join_all((0..4).map(|_| tables.rotate(&hook))).await;
    let wanted: BTreeSet<String> = first.into_iter().chain(given).collect();
    let signing = tables.signing(&hook).await;
    assert_eq!(signing.len(), 5);
    assert_eq!(signing.into_iter().collect::<BTreeSet<_>>(), wanted);
}

#[tokio::test]
async fn a_row_of_an_older_release_has_no_secret_and_gets_one() {
    let tables = Tables::new().await;
    let hooks = &tables.stores.hooks;
    let hook = tables.create(EVENT).await;
    forget_secrets(&tables.aws.dynamodb(), &hook).await;
    let found = tables.signed(&hook).await;
    assert!(found.secrets.is_none());
    let place = [(&hook.scope, EVENT, hook.id)];
    assert!(hooks.get_many(&place).await.unwrap()[0].secrets.is_none());

    // It moves without one, too.
    let moved = moved_to(&hook, "cohort_user.added");
    assert!(hooks.replace(&hook, &moved).await.unwrap());
    assert!(tables.signed(&moved).await.secrets.is_none());
    assert!(hooks.replace(&moved, &hook).await.unwrap());

    // Of two that would give it one, one does.
    let secrets = [(); 2].map(|()| Secrets::first(Secret::random().unwrap()));
    let set = join_all(secrets.iter().map(|new| hooks.set_secrets(&found, new))).await;
    let set: Vec<bool> = set.into_iter().map(Result::unwrap).collect();
    assert_ne!(set[0], set[1]);
    let winner = &secrets[usize::from(set[1])];
    assert_eq!(tables.signing(&hook).await, [winner.current.expose()]);
}

#[tokio::test]
async fn a_hook_that_has_gone_gets_no_secret() {
    let tables = Tables::new().await;
    let hooks = &tables.stores.hooks;
    let hook = tables.create(EVENT).await;
    let found = tables.signed(&hook).await;
    assert!(hooks.delete(&hook).await.unwrap());
    let unsigned = SignedHook {
        secrets: None,
        ..found.clone()
    };
    for found in [found, unsigned] {
        let secrets = Secrets::first(Secret::random().unwrap());
        assert!(!hooks.set_secrets(&found, &secrets).await.unwrap());
    }
    assert!(hooks.get_signed(hook.id).await.unwrap().is_none());
    assert!(tables.all().await.is_empty());
}

#[tokio::test]
async fn a_hook_read_with_its_secrets_does_not_show_them() {
    let tables = Tables::new().await;
    let hook = tables.create(EVENT).await;
    let text = tables.signing(&hook).await.remove(0);
    let shown = format!("{:?}", tables.signed(&hook).await);
    assert!(shown.contains("REDACTED"), "{shown}");
    assert!(!shown.contains(&text["whsec_".len()..]), "{shown}");
}

#[tokio::test]
async fn what_lists_and_matches_read_has_no_secrets_in_it() {
    let tables = Tables::new().await;
    let hook = tables.create(EVENT).await;
    let seen = Seen::default();
    let config = tables.aws.dynamodb().config().to_builder();
    let client = Client::from_conf(config.interceptor(seen.clone()).build());
    let hooks = Stores::new(&client, &TableNames::of_stack("test")).hooks;
    let scope = academy();
    for found in [
        hooks.in_scope(&scope, None).await.unwrap(),
        hooks.in_scope(&scope, Some(&[EVENT])).await.unwrap(),
        hooks.subscribed(&scope, EVENT).await.unwrap(),
        hooks.everywhere(None).await.unwrap(),
    ] {
        assert_eq!(found, slice::from_ref(&hook));
    }
    assert!(!seen.0.load(Ordering::Relaxed));
    // A delivery's read has.
    hooks.get_signed(hook.id).await.unwrap().unwrap();
    assert!(seen.0.load(Ordering::Relaxed));
}
