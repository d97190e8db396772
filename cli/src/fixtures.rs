//! What a store begins with: a file of fixtures, or a demonstration.

use std::{
    collections::HashSet,
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use shared::{
    catalog, clock,
    model::{Academy, Hook, HookId, HookStats, Scope, Subscription, Target, User, check_name},
    store::{MAX_SAMPLE_BYTES, StoredState, StoredToken, Stores, TokenDigest},
};

use crate::operator::random_token;

/// The file. A field that it does not know is an error that names it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fixtures {
    #[serde(default)]
    academies: Vec<Academy>,
    #[serde(default)]
    users: Vec<User>,
    #[serde(default)]
    tokens: Vec<TokenFixture>,
    #[serde(default)]
    hooks: Vec<HookFixture>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenFixture {
    token: String,
    username: String,
    #[serde(default)]
    expires_at: Option<Timestamp>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HookFixture {
    id: HookId,
    owner: String,
    event: String,
    target: Target,
    #[serde(default)]
    service_id: Option<String>,
    #[serde(default)]
    total_calls: u64,
    #[serde(default)]
    last_call_at: Option<Timestamp>,
    #[serde(default)]
    last_response_code: Option<u16>,
    #[serde(default)]
    sample: Option<Box<RawValue>>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// A mark in the data directory while fixtures are loaded into it.
pub(crate) struct Loading(PathBuf);

impl Loading {
    /// That of a directory, which must not have it: a part of the fixtures is not what anybody asked for.
    pub(crate) fn into(directory: &Path) -> Result<Self> {
        let mark = directory.join("loading-fixtures");
        ensure!(
            !mark.exists(),
            "{} has a part of its fixtures only, since their loading was cut off: remove the directory",
            directory.display()
        );
        Ok(Self(mark))
    }

    fn begin(&self) -> Result<()> {
        let begun = File::create(&self.0).map(drop);
        begun.with_context(|| format!("cannot make {}", self.0.display()))
    }

    fn end(&self) -> Result<()> {
        let ended = fs::remove_file(&self.0);
        ended.with_context(|| format!("cannot remove {}", self.0.display()))
    }
}

impl Fixtures {
    /// Reads a file.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        serde_json::from_str(text)
            .with_context(|| format!("{} is no file of fixtures", path.display()))
    }

    /// Stores everything, into an empty store. What is wrong with them is found before anything is
    /// stored. While that takes, a directory has the mark.
    pub(crate) async fn load(&self, stores: &Stores, loading: Option<&Loading>) -> Result<()> {
        if !stores.identities.is_empty().await? {
            bail!("fixtures are for an empty store: remove the data directory, or use --in-memory");
        }
        self.check_names()?;
        let hooks = self.hooks.iter().map(|hook| self.hook(hook));
        let hooks = hooks.collect::<Result<Vec<_>>>()?;
        let mut ids = HashSet::new();
        if let Some((twice, _)) = hooks.iter().find(|(hook, _)| !ids.insert(hook.id)) {
            bail!("two hooks have the id {}", twice.id);
        }
        loading.map(Loading::begin).transpose()?;
        stores.hooks.import(&hooks).await?;
        for ((hook, _), fixture) in hooks.iter().zip(&self.hooks) {
            if let Some(sample) = &fixture.sample {
                let at = hook.updated_at;
                stores.samples.keep(hook, sample.get(), at).await?;
            }
        }
        for academy in &self.academies {
            stores.identities.add_academy(academy).await?;
        }
        for user in &self.users {
            stores.identities.put_user(user).await?;
        }
        for fixture in &self.tokens {
            let token = StoredToken {
                digest: TokenDigest::of(&fixture.token),
                username: fixture.username.clone(),
                created_at: clock::now(),
                expires_at: fixture.expires_at,
            };
            stores.identities.put_token(&token).await?;
        }
        loading.map(Loading::end).transpose()?;
        Ok(())
    }

    fn check_names(&self) -> Result<()> {
        let (mut slugs, mut ids) = (HashSet::new(), HashSet::new());
        for Academy { id, slug, .. } in &self.academies {
            check_name(slug)?;
            if !slugs.insert(slug) || !ids.insert(id) {
                bail!("two academies have the slug {slug:?} or the id {id}");
            }
        }
        let (mut names, mut tokens) = (HashSet::new(), HashSet::new());
        for User { username, .. } in &self.users {
            check_name(username)?;
            if !names.insert(username) {
                bail!("two users are called {username:?}");
            }
        }
        if let Some(twice) = self
            .tokens
            .iter()
            .find(|token| !tokens.insert(&token.token))
        {
            bail!(
                "two tokens are the same, one of them of {:?}",
                twice.username
            );
        }
        Ok(())
    }

    fn hook(&self, fixture: &HookFixture) -> Result<(Hook, StoredState)> {
        let HookFixture {
            id, owner, event, ..
        } = fixture;
        check_name(owner)?;
        if catalog::find(event).is_none() {
            bail!("hook {id}: there is no event {event:?}");
        }
        let sample = fixture.sample.as_deref().map(RawValue::get);
        if sample.is_some_and(|sample| sample.len() > MAX_SAMPLE_BYTES) {
            bail!("hook {id}: its sample has more than {MAX_SAMPLE_BYTES} bytes");
        }
        let mut users = self.users.iter();
        let is_superadmin = users.any(|user| user.username == *owner && user.is_superuser);
        let hook = Hook {
            id: *id,
            scope: Scope::of_owner(owner, is_superadmin),
            owner: owner.clone(),
            subscription: Subscription {
                event: event.clone(),
                target: fixture.target.clone(),
                service_id: fixture.service_id.clone(),
            },
            created_at: fixture.created_at,
            updated_at: fixture.updated_at,
        };
        let stats = HookStats {
            total_calls: fixture.total_calls,
            last_call_at: fixture.last_call_at,
            last_response_code: fixture.last_response_code,
        };
        let state = StoredState::new(&hook, stats);
        Ok((hook, state))
    }
}

/// The people of a demonstration, with their tokens.
pub(crate) struct Demonstration {
    pub(crate) academy: String,
    pub(crate) superadmin: String,
    pub(crate) publisher: String,
}

impl Demonstration {
    /// The academy's slug: that of the document's examples.
    pub(crate) const ACADEMY: &str = "downtown-campus";

    /// Stores an academy, a superadmin and a publisher: all of it, or nothing if it is cut off.
    pub(crate) async fn create(stores: &Stores) -> Result<Self> {
        let academy = Academy {
            id: 4,
            slug: Self::ACADEMY.to_owned(),
            name: "Downtown Campus".to_owned(),
        };
        let user = |username: &str, is_superuser, can_publish| User {
            username: username.to_owned(),
            is_superuser,
            is_active: true,
            can_publish,
        };
        let users = [
            user(Self::ACADEMY, false, false),
            user("admin", true, false),
            user("platform", false, true),
        ];
        let keys = [random_token(), random_token(), random_token()];
        let tokens: Vec<_> = keys
            .iter()
            .zip(&users)
            .map(|(key, user)| StoredToken {
                digest: TokenDigest::of(key),
                username: user.username.clone(),
                created_at: clock::now(),
                expires_at: None,
            })
            .collect();
        stores.identities.begin(&academy, &users, &tokens).await?;
        let [academy, superadmin, publisher] = keys;
        Ok(Self {
            academy,
            superadmin,
            publisher,
        })
    }
}
