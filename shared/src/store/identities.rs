//! The table `identities`: academies, users, and tokens by their digests. The functions only read
//! it; the operator's command writes it.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::{
    Client,
    types::{AttributeValue, Put, TransactWriteItem},
};
use futures_util::future::try_join_all;
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use super::{
    Item, KEYS_PER_BATCH, StoreError, Transaction, batch_get, count_up, failed, keys, transacted,
    written,
};
use crate::model::{Academy, AcademyRef, User, check_name};

/// What is kept of a token: its SHA-256 digest. A token is 160 bits or more of randomness, so that
/// a plain digest cannot be searched backwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenDigest(String);

impl TokenDigest {
    /// The digest of a token.
    #[must_use]
    pub fn of(token: &str) -> Self {
        Self(keys::hex(&Sha256::digest(token)))
    }

    /// The first digits, by which an operator names the token.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

/// A token as it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoredToken {
    /// Its digest.
    pub digest: TokenDigest,
    /// Whose it is.
    pub username: String,
    /// When it was issued.
    pub created_at: Timestamp,
    /// When it stops being accepted; never, if there is no time.
    pub expires_at: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
struct Keyed<T> {
    identity: String,
    #[serde(flatten)]
    value: T,
}

/// Users and academies that were [found](Identities::find).
#[derive(Debug)]
pub struct Found {
    users: HashMap<String, User>,
    academies: HashMap<AcademyRef, Academy>,
}

impl Found {
    /// The user of this name.
    #[must_use]
    pub fn user(&self, username: &str) -> Option<&User> {
        self.users.get(username)
    }

    /// The academy of this slug or number.
    #[must_use]
    pub fn academy(&self, academy: &AcademyRef) -> Option<&Academy> {
        self.academies.get(academy)
    }
}

/// The table.
#[derive(Clone, Debug)]
pub struct Identities {
    client: Client,
    table: String,
}

impl Identities {
    pub(super) fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// The token with this digest.
    pub async fn token(&self, digest: &TokenDigest) -> Result<Option<StoredToken>, StoreError> {
        self.get(keys::token(&digest.0)).await
    }

    /// The user of this name.
    pub async fn user(&self, username: &str) -> Result<Option<User>, StoreError> {
        self.get(keys::user(username)).await
    }

    /// Those of these users and academies that there are, as of now: one request for a hundred of them.
    pub async fn find(
        &self,
        users: &[&str],
        academies: &[&AcademyRef],
    ) -> Result<Found, StoreError> {
        // What is no name is nobody's, and may be longer than a key can be.
        let names = users.iter().filter(|name| check_name(name).is_ok());
        let keys_of_academies = academies.iter().filter_map(|academy| academy_key(academy));
        let wanted = names.map(|name| keys::user(name)).chain(keys_of_academies);
        let wanted: BTreeSet<String> = wanted.collect();
        let wanted: Vec<Item> = wanted.into_iter().map(key).collect();
        let reads = wanted.chunks(KEYS_PER_BATCH).map(|keys| {
            let (client, table, keys) = (&self.client, &self.table, keys.to_vec());
            batch_get(client, table, keys, true, "read users and academies")
        });
        let mut items = HashMap::new();
        for item in try_join_all(reads).await?.into_iter().flatten() {
            if let Some(Ok(identity)) = item.get("identity").map(AttributeValue::as_s) {
                items.insert(identity.clone(), item);
            }
        }
        let mut found = Found {
            users: HashMap::new(),
            academies: HashMap::new(),
        };
        for name in users {
            if let Some(item) = items.remove(&keys::user(name)) {
                found.users.insert((*name).to_owned(), value(item)?);
            }
        }
        for academy in academies {
            if let Some(item) = academy_key(academy).and_then(|key| items.remove(&key)) {
                found.academies.insert((*academy).clone(), value(item)?);
            }
        }
        Ok(found)
    }

    /// The user of this name and the academy with the same slug: what a request's rights hang on.
    pub async fn user_and_academy(
        &self,
        name: &str,
    ) -> Result<(Option<User>, Option<Academy>), StoreError> {
        let academy = AcademyRef::Slug(name.to_owned());
        let found = self.find(&[name], &[&academy]).await?;
        Ok((found.user(name).cloned(), found.academy(&academy).cloned()))
    }

    /// Which of these users are superadmins now, and active.
    pub async fn superadmins_among(&self, names: &[&str]) -> Result<Vec<String>, StoreError> {
        let users = self.find(names, &[]).await?.users.into_values();
        let superadmins = users.filter(|user| user.is_superuser && user.is_active);
        Ok(superadmins.map(|user| user.username).collect())
    }

    /// The academy of this slug or number.
    pub async fn academy(&self, academy: &AcademyRef) -> Result<Option<Academy>, StoreError> {
        match academy_key(academy) {
            Some(identity) => self.get(identity).await,
            None => Ok(None),
        }
    }

    /// Stores an academy under its slug and its number. `false`, and nothing stored, when another
    /// academy has either.
    pub async fn add_academy(&self, academy: &Academy) -> Result<bool, StoreError> {
        self.begin(academy, &[], &[]).await
    }

    /// Stores an academy, users and tokens, together at most 100 of them: all, or none (`false`) when
    /// one of them is there already.
    pub async fn begin(
        &self,
        academy: &Academy,
        users: &[User],
        tokens: &[StoredToken],
    ) -> Result<bool, StoreError> {
        let mut puts = vec![
            self.put_new(keys::academy(&academy.slug), academy)?,
            self.put_new(keys::academy_id(academy.id), academy)?,
        ];
        for user in users {
            puts.push(self.put_new(keys::user(&user.username), user)?);
        }
        for token in tokens {
            puts.push(self.put_new(keys::token(&token.digest.0), token)?);
        }
        let writes = puts
            .into_iter()
            .map(|put| TransactWriteItem::builder().put(put).build());
        let request = self.client.transact_write_items();
        let result = request
            .set_transact_items(Some(writes.collect()))
            .send()
            .await;
        let transaction = transacted("store an academy", result)?;
        Ok(matches!(transaction, Transaction::Done))
    }

    /// A number that no academy was given by this method before.
    pub async fn next_academy_id(&self) -> Result<u64, StoreError> {
        let key = key(keys::ACADEMY_COUNTER.to_owned());
        count_up(
            &self.client,
            &self.table,
            key,
            "give out an academy's number",
        )
        .await
    }

    /// Stores a user, in the place of one of the same name.
    pub async fn put_user(&self, user: &User) -> Result<(), StoreError> {
        self.put(keys::user(&user.username), user).await
    }

    /// Stores a token, in the place of one of the same digest.
    pub async fn put_token(&self, token: &StoredToken) -> Result<(), StoreError> {
        self.put(keys::token(&token.digest.0), token).await
    }

    /// All tokens: a scan, for operators.
    pub async fn tokens(&self) -> Result<Vec<StoredToken>, StoreError> {
        let items: Vec<Item> = self
            .client
            .scan()
            .table_name(&self.table)
            .filter_expression("begins_with(#identity, :prefix)")
            .expression_attribute_names("#identity", "identity")
            .expression_attribute_values(
                ":prefix",
                AttributeValue::S(keys::TOKEN_PREFIX.to_owned()),
            )
            .into_paginator()
            .items()
            .send()
            .try_collect()
            .await
            .map_err(failed("scan the tokens"))?;
        items.into_iter().map(value).collect()
    }

    /// Removes a token: it is refused from the next request on.
    pub async fn delete_token(&self, digest: &TokenDigest) -> Result<(), StoreError> {
        self.delete(keys::token(&digest.0)).await
    }

    /// Removes an academy, by its number, unless that is another's by now, and by its slug. Its user stays.
    /// Interrupted, it leaves the slug, by which it can be removed again.
    pub async fn delete_academy(&self, academy: &Academy) -> Result<(), StoreError> {
        let by_number = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(key(keys::academy_id(academy.id))))
            .condition_expression("slug = :slug")
            .expression_attribute_values(":slug", AttributeValue::S(academy.slug.clone()))
            .send()
            .await;
        written("delete an academy's number", by_number)?;
        self.delete(keys::academy(&academy.slug)).await
    }

    /// Removes a user. Its tokens stay, and are refused.
    pub async fn delete_user(&self, username: &str) -> Result<(), StoreError> {
        self.delete(keys::user(username)).await
    }

    /// Whether nobody has been stored yet.
    pub async fn is_empty(&self) -> Result<bool, StoreError> {
        let answer = self
            .client
            .scan()
            .table_name(&self.table)
            .limit(1)
            .send()
            .await
            .map_err(failed("look into the identities"))?;
        Ok(answer.items().is_empty())
    }

    async fn get<T: DeserializeOwned>(&self, identity: String) -> Result<Option<T>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key(identity)))
            .consistent_read(true)
            .send()
            .await
            .map_err(failed("read an identity"))?;
        answer.item.map(value).transpose()
    }

    async fn delete(&self, identity: String) -> Result<(), StoreError> {
        self.client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(key(identity)))
            .send()
            .await
            .map(drop)
            .map_err(failed("delete an identity"))
    }

    async fn put<T: Serialize>(&self, identity: String, value: &T) -> Result<(), StoreError> {
        self.client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(serde_dynamo::to_item(Keyed { identity, value })?))
            .send()
            .await
            .map(drop)
            .map_err(failed("store an identity"))
    }

    fn put_new<T: Serialize>(&self, identity: String, value: &T) -> Result<Put, StoreError> {
        Ok(Put::builder()
            .table_name(&self.table)
            .set_item(Some(serde_dynamo::to_item(Keyed { identity, value })?))
            .condition_expression("attribute_not_exists(#identity)")
            .expression_attribute_names("#identity", "identity")
            .build()?)
    }
}

/// The key of an academy. None: what it is named by can be no academy's, and may be longer than a key can be.
fn academy_key(academy: &AcademyRef) -> Option<String> {
    match academy {
        AcademyRef::Slug(_) => academy.valid_slug().map(keys::academy),
        AcademyRef::Id(id) => Some(keys::academy_id(*id)),
    }
}

fn key(identity: String) -> Item {
    Item::from([("identity".to_owned(), AttributeValue::S(identity))])
}

fn value<T: DeserializeOwned>(item: Item) -> Result<T, StoreError> {
    Ok(serde_dynamo::from_item::<_, Keyed<T>>(item)?.value)
}
