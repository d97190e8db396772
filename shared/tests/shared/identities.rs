//! Academies, users and tokens.

use futures_util::future::join_all;
use jiff::SignedDuration;
use shared::{
    model::{Academy, AcademyRef, User},
    store::{StoredToken, TokenDigest},
};

use super::tables::{ACADEMY, Tables, start};

fn academy(id: u64, slug: &str) -> Academy {
    Academy {
        id,
        slug: slug.to_owned(),
        name: slug.to_uppercase(),
    }
}

fn slug(slug: &str) -> AcademyRef {
    AcademyRef::Slug(slug.to_owned())
}

fn user(username: &str, is_superuser: bool) -> User {
    User {
        username: username.to_owned(),
        is_superuser,
        is_active: true,
        can_publish: false,
    }
}

fn token(text: &str, username: &str) -> StoredToken {
    StoredToken {
        digest: TokenDigest::of(text),
        username: username.to_owned(),
        created_at: start(),
        expires_at: Some(start() + SignedDuration::from_hours(1)),
    }
}

#[tokio::test]
async fn an_academy_is_found_by_its_slug_and_its_number() {
    let tables = Tables::new().await;
    let identities = &tables.stores.identities;
    assert!(identities.is_empty().await.unwrap());
    let downtown = academy(7, ACADEMY);
    assert!(identities.add_academy(&downtown).await.unwrap());
    assert!(!identities.is_empty().await.unwrap());
    let found = identities.academy(&slug(ACADEMY)).await.unwrap();
    assert_eq!(found.as_ref(), Some(&downtown));
    assert_eq!(
        identities.academy(&AcademyRef::Id(7)).await.unwrap(),
        Some(downtown)
    );
    assert_eq!(identities.academy(&slug("7")).await.unwrap(), None);
    assert_eq!(identities.academy(&AcademyRef::Id(8)).await.unwrap(), None);
}

#[tokio::test]
async fn an_academy_with_a_taken_slug_or_number_leaves_no_trace() {
    let tables = Tables::new().await;
    let identities = &tables.stores.identities;
    let first = academy(1, ACADEMY);
    assert!(identities.add_academy(&first).await.unwrap());
    assert!(!identities.add_academy(&academy(2, ACADEMY)).await.unwrap());
    assert!(!identities.add_academy(&academy(1, "miami")).await.unwrap());

    assert_eq!(identities.academy(&AcademyRef::Id(2)).await.unwrap(), None);
    assert_eq!(identities.academy(&slug("miami")).await.unwrap(), None);
    let found = identities.academy(&slug(ACADEMY)).await.unwrap();
    assert_eq!(found.as_ref(), Some(&first));
    assert_eq!(
        identities.academy(&AcademyRef::Id(1)).await.unwrap(),
        Some(first)
    );
}

#[tokio::test]
async fn an_academy_is_removed_and_a_number_that_is_anothers_by_now_stays() {
    let tables = Tables::new().await;
    let identities = &tables.stores.identities;
    let downtown = academy(7, ACADEMY);
    assert!(identities.add_academy(&downtown).await.unwrap());
    identities.delete_academy(&downtown).await.unwrap();
    assert_eq!(identities.academy(&slug(ACADEMY)).await.unwrap(), None);
    assert_eq!(identities.academy(&AcademyRef::Id(7)).await.unwrap(), None);

    // Whoever removes it again has read it before.
    let miami = academy(7, "miami");
    assert!(identities.add_academy(&miami).await.unwrap());
    identities.delete_academy(&downtown).await.unwrap();
    assert_eq!(
        identities.academy(&AcademyRef::Id(7)).await.unwrap(),
        Some(miami)
    );
}

#[tokio::test]
async fn numbers_of_academies_are_given_out_once() {
    let tables = Tables::new().await;
    let identities = &tables.stores.identities;
    let numbers = join_all((0..10).map(|_| identities.next_academy_id())).await;
    let mut numbers: Vec<u64> = numbers.into_iter().map(Result::unwrap).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=10).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_user_and_the_academy_of_its_name_are_read_together() {
    let tables = Tables::new().await;
    let identities = &tables.stores.identities;
    let both = || identities.user_and_academy(ACADEMY);
    assert_eq!(both().await.unwrap(), (None, None));
    let user = user(ACADEMY, false);
    identities.put_user(&user).await.unwrap();
    assert_eq!(both().await.unwrap(), (Some(user.clone()), None));
    let academy = academy(1, ACADEMY);
    assert!(identities.add_academy(&academy).await.unwrap());
    assert_eq!(both().await.unwrap(), (Some(user), Some(academy)));
}

#[tokio::test]
async fn superadmins_are_told_from_the_others_as_of_now() {
    let tables = Tables::new().await;
    let identities = &tables.stores.identities;
    // More than one request takes, and half of them do not exist.
    let names: Vec<String> = (0..240).map(|n| format!("user-{n}")).collect();
    for (n, name) in names.iter().enumerate().filter(|(n, _)| n % 2 == 0) {
        let user = user(name, n % 80 == 0);
        identities.put_user(&user).await.unwrap();
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let superadmins = async || {
        let mut found = identities.superadmins_among(&names).await.unwrap();
        found.sort_unstable();
        found
    };
    assert_eq!(superadmins().await, ["user-0", "user-160", "user-80"]);
    identities.put_user(&user("user-0", false)).await.unwrap();
    assert_eq!(superadmins().await, ["user-160", "user-80"]);
    assert!(identities.superadmins_among(&[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn tokens_are_listed_found_by_digest_and_removed() {
    let tables = Tables::new().await;
    let identities = &tables.stores.identities;
    identities.put_user(&user("root", true)).await.unwrap();
    identities.next_academy_id().await.unwrap();
    for text in ["one", "two"] {
        identities.put_token(&token(text, "root")).await.unwrap();
    }
    let one = TokenDigest::of("one");
    let found = identities.token(&one).await.unwrap().unwrap();
    assert_eq!(found.username, "root");
    assert_eq!(found.expires_at, token("one", "root").expires_at);
    let digests = async || {
        let tokens = identities.tokens().await.unwrap();
        let mut digests: Vec<String> = tokens
            .iter()
            .map(|token| token.digest.short().to_owned())
            .collect();
        digests.sort_unstable();
        digests
    };
    // SHA-256 of the two words, as any other tool computes it.
    assert_eq!(digests().await, ["3fc4ccfe7458", "7692c3ad3540"]);

    identities.delete_token(&one).await.unwrap();
    identities.delete_token(&one).await.unwrap();
    assert!(identities.token(&one).await.unwrap().is_none());
    assert_eq!(digests().await, ["3fc4ccfe7458"]);
}
