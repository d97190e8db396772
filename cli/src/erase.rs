//! Erasing an academy: what is stored of it, and of what happened at it.
//!
//! First nobody can act for it any more, then its hooks go, then what their deliveries have left behind: so
//! nothing that is erased comes back meanwhile, but by deliveries that were under way. Each step can be done
//! again, so that whatever ends the command, the same command does the rest.

use std::fmt::{self, Display, Formatter};

use anyhow::{Result, bail};
use shared::{
    aws, config,
    model::{Academy, Hook, Scope, User},
    store::{KeptKey, OwnedError, StoredToken, Stores},
};

use crate::{args::Deployment, operator::open};

/// Shows what there is of an academy and, if that is wanted, erases it.
pub(crate) async fn academy(deployment: &Deployment, slug: &str, erase: bool) -> Result<()> {
    let needed = [
        config::HOOKS_TABLE,
        config::HOOK_STATE_TABLE,
        config::HOOK_SAMPLES_TABLE,
        config::HOOK_ERRORS_TABLE,
        config::IDENTITIES_TABLE,
    ];
    let stores = open(deployment, &needed, &aws::sdk_config().await)?;
    let access = Access::of(&stores, slug, deployment).await?;
    say!("{access}\n{}", Belongings::of(&stores, slug).await?);
    if erase {
        access.revoke(&stores).await?;
        // Looked for again: what has been made in between is erased as well.
        Belongings::of(&stores, slug).await?.erase(&stores).await?;
        say!("It is erased.");
    } else {
        say!(
            "Nothing is erased yet: `academy-hooks academy erase {slug} --yes{deployment}` does it."
        );
    }
    Ok(())
}

/// Who can act for an academy, and be published to.
struct Access {
    academy: Option<Academy>,
    user: Option<User>,
    tokens: Vec<StoredToken>,
}

impl Access {
    async fn of(stores: &Stores, slug: &str, deployment: &Deployment) -> Result<Self> {
        let (user, academy) = stores.identities.user_and_academy(slug).await?;
        if user.as_ref().is_some_and(|user| user.is_superuser) {
            bail!(
                "{slug} is a superadmin: `academy-hooks user add {slug}{deployment}` makes it the \
                 academy's user"
            );
        }
        let mut tokens = stores.identities.tokens().await?;
        tokens.retain(|token| token.username == slug);
        Ok(Self {
            academy,
            user,
            tokens,
        })
    }

    async fn revoke(&self, stores: &Stores) -> Result<()> {
        for token in &self.tokens {
            stores.identities.delete_token(&token.digest).await?;
        }
        if let Some(user) = &self.user {
            stores.identities.delete_user(&user.username).await?;
        }
        if let Some(academy) = &self.academy {
            stores.identities.delete_academy(academy).await?;
        }
        Ok(())
    }
}

impl Display for Access {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let there = |is: bool| if is { "there" } else { "not there" };
        writeln!(f, "academy: {}", there(self.academy.is_some()))?;
        writeln!(f, "its user: {}", there(self.user.is_some()))?;
        write!(f, "its tokens: {}", self.tokens.len())
    }
}

/// What an academy has, and what is kept of what happened at it.
struct Belongings {
    hooks: Vec<Hook>,
    errors: Vec<OwnedError>,
    /// Failed deliveries of what happened there, to whomever.
    kept: Vec<KeptKey>,
    /// Hooks of others that hear every academy.
    everybodys: Vec<Hook>,
}

impl Belongings {
    async fn of(stores: &Stores, slug: &str) -> Result<Self> {
        let scope = Scope::of_owner(slug, false);
        let everybodys = stores.hooks.in_scope(&Scope::Platform, None).await?;
        let mut hooks = stores.hooks.in_scope(&scope, None).await?;
        // Its own are among those when a change of its role was cut off.
        let (own, everybodys) = everybodys.into_iter().partition(|hook| hook.owner == slug);
        hooks.extend::<Vec<_>>(own);
        Ok(Self {
            hooks,
            errors: stores.errors.of_owner(slug).await?,
            kept: stores.errors.kept_of_academy(slug).await?,
            everybodys,
        })
    }

    async fn erase(self, stores: &Stores) -> Result<()> {
        stores.hooks.delete_all(&self.hooks).await?;
        // Most of it belongs to the errors, which then have nothing left to look for.
        stores.errors.erase(self.kept).await?;
        for error in &self.errors {
            stores.errors.delete(error).await?;
        }
        for hook in &self.everybodys {
            stores.samples.forget(hook.id).await?;
        }
        Ok(())
    }
}

impl Display for Belongings {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "its hooks: {}", self.hooks.len())?;
        writeln!(f, "its errors: {}", self.errors.len())?;
        writeln!(
            f,
            "deliveries kept of what happened at it, to whomever: {}",
            self.kept.len()
        )?;
        write!(
            f,
            "superadmins' hooks, whose samples go as well: {}",
            self.everybodys.len()
        )
    }
}
