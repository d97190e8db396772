//! The operator's commands: who may use a deployment.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use aws_config::SdkConfig;
use shared::{
    aws, clock,
    config::{self, ConfigError},
    model::{Academy, AcademyRef, Scope, User},
    store::{Identities, StoredToken, Stores, TableNames, TokenDigest},
};

use crate::{
    args::{
        AcademyArgs, AcademyCommand, Deployment, TokenArgs, TokenCommand, UserArgs, UserCommand,
    },
    erase,
};

/// A token nobody can guess: 256 bits as hexadecimal digits.
pub(crate) fn random_token() -> String {
    use std::fmt::Write;

    rand::random::<[u8; 32]>()
        .iter()
        .fold(String::with_capacity(64), |mut token, byte| {
            // Writing to a string cannot fail.
            let _ = write!(token, "{byte:02x}");
            token
        })
}

/// What is missing when nothing says which deployment is meant.
pub(crate) const WHICH: &str =
    "which deployment? Name it with --stack, or its tables and queues by environment";

/// The tables of the people who may use a deployment, and of what they have.
async fn stores(deployment: &Deployment) -> Result<Stores> {
    let needed = [
        config::HOOKS_TABLE,
        config::HOOK_STATE_TABLE,
        config::IDENTITIES_TABLE,
    ];
    open(deployment, &needed, &aws::sdk_config().await)
}

/// The tables of a deployment, of which these must be known.
pub(crate) fn open(
    deployment: &Deployment,
    needed: &[&'static str],
    aws: &SdkConfig,
) -> Result<Stores> {
    let names = match &deployment.stack {
        Some(stack) => TableNames::of_stack(stack),
        None => config::tables(needed).context(WHICH)?,
    };
    Ok(Stores::new(&aws_sdk_dynamodb::Client::new(aws), &names))
}

/// The URL of a deployment's queue: of the stack's that is called so, or the one that `environment`
/// says.
pub(crate) async fn queue_url(
    deployment: &Deployment,
    name: &str,
    environment: impl FnOnce() -> Result<String, ConfigError>,
    sqs: &aws_sdk_sqs::Client,
) -> Result<String> {
    let Some(stack) = &deployment.stack else {
        return environment().context(WHICH);
    };
    let name = format!("{stack}-{name}");
    let found = sqs.get_queue_url().queue_name(&name).send().await;
    let found = found.with_context(|| format!("the queue {name} cannot be found"))?;
    found.queue_url.context("a queue has no URL")
}

pub(crate) async fn academy(args: AcademyArgs) -> Result<()> {
    let AcademyArgs {
        command,
        deployment,
    } = args;
    match command {
        AcademyCommand::Add { slug, name, id } => {
            let identities = stores(&deployment).await?.identities;
            let id = add_academy(&identities, &slug, name, id).await?;
            say!(
                "Academy {slug} has the number {id}. \
                 Its user: academy-hooks user add {slug}{deployment}"
            );
            Ok(())
        }
        AcademyCommand::Erase { slug, yes } => erase::academy(&deployment, &slug, yes).await,
    }
}

/// Adds an academy and returns its number.
async fn add_academy(
    identities: &Identities,
    slug: &str,
    name: Option<String>,
    given_id: Option<u64>,
) -> Result<u64> {
    // A number that the counter gives out may be one that was given by hand: then the next.
    let of_slug = AcademyRef::Slug(slug.to_owned());
    for _ in 0..1_000 {
        if identities.academy(&of_slug).await?.is_some() {
            bail!("there is an academy {slug:?} already");
        }
        let id = match given_id {
            Some(id) => id,
            None => identities.next_academy_id().await?,
        };
        let academy = Academy {
            id,
            slug: slug.to_owned(),
            name: name.clone().unwrap_or_else(|| slug.to_owned()),
        };
        if identities.add_academy(&academy).await? {
            return Ok(id);
        }
        if given_id.is_some() {
            bail!("there is an academy with the number {id} already");
        }
    }
    bail!("no free number was found: give one with --id")
}

pub(crate) async fn user(args: UserArgs) -> Result<()> {
    let UserCommand::Add {
        username,
        superadmin,
        publisher,
        inactive,
    } = args.command;
    let stores = stores(&args.deployment).await?;
    let user = User {
        username: username.clone(),
        is_superuser: superadmin,
        is_active: !inactive,
        can_publish: publisher,
    };
    stores.identities.put_user(&user).await?;
    // A change of role changes whose events the user's hooks hear.
    let [from, to] = [!superadmin, superadmin].map(|role| Scope::of_owner(&username, role));
    let moved = stores.hooks.move_all(&username, &from, &to).await?;
    if moved > 0 {
        say!("{moved} hooks of {username} now follow its role.");
    }
    let deployment = args.deployment;
    say!("User {username} is stored. A token: academy-hooks token issue {username}{deployment}");
    Ok(())
}

pub(crate) async fn token(args: TokenArgs) -> Result<()> {
    let deployment = args.deployment;
    let stores = stores(&deployment).await?;
    match args.command {
        TokenCommand::Issue {
            username,
            expires_in,
        } => {
            if stores.identities.user(&username).await?.is_none() {
                bail!(
                    "there is no user {username:?}; \
                     `academy-hooks user add {username}{deployment}` makes it"
                );
            }
            issue(&stores, username, expires_in).await
        }
        TokenCommand::List { username } => list(&stores, username.as_deref()).await,
        TokenCommand::Revoke { id } => revoke(&stores, &id).await,
    }
}

async fn issue(stores: &Stores, username: String, expires_in: Option<u32>) -> Result<()> {
    let now = clock::now();
    let days = |days: u32| Duration::from_hours(24) * days;
    let token = random_token();
    let stored = StoredToken {
        digest: TokenDigest::of(&token),
        username,
        created_at: now,
        expires_at: expires_in.map(|n| now + days(n)),
    };
    stores.identities.put_token(&stored).await?;
    say!("{token}");
    Ok(())
}

async fn list(stores: &Stores, username: Option<&str>) -> Result<()> {
    let mut tokens = stores.identities.tokens().await?;
    tokens.retain(|token| username.is_none_or(|name| token.username == name));
    tokens.sort_by(|a, b| (&a.username, a.created_at).cmp(&(&b.username, b.created_at)));
    for token in tokens {
        let expires = token
            .expires_at
            .map_or_else(|| "never".to_owned(), |time| time.to_string());
        say!(
            "{}  {}  issued {}  expires {expires}",
            token.digest.short(),
            token.username,
            token.created_at,
        );
    }
    Ok(())
}

async fn revoke(stores: &Stores, id: &str) -> Result<()> {
    let tokens = stores.identities.tokens().await?;
    let mut named = tokens
        .into_iter()
        .filter(|token| token.digest.short() == id);
    let token = named
        .next()
        .with_context(|| format!("there is no token {id}"))?;
    stores.identities.delete_token(&token.digest).await?;
    say!(
        "The token {id} of {} is refused from now on.",
        token.username
    );
    Ok(())
}
