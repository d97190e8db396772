//! Whose records a request is about.
//!
//! Everybody sees their own. A superadmin may turn a list, a bulk deletion or a creation to an academy's
//! with `academy=<slug>`, and a list to everybody's with `academy=*`. Anybody else may name the academy
//! that they are, and no other.

use shared::{
    http::{ApiError, HookPath, Params},
    model::{Hook, HookId, Principal, Scope},
    store::{Hooks, Identities, SignedHook, StoredState},
};

/// Whose records.
pub(crate) enum Owner {
    /// Those of one user.
    User(User),
    /// Those of all.
    Everybody,
}

/// A user who has records.
pub(crate) struct User {
    pub(crate) username: String,
    is_superadmin: bool,
}

impl Owner {
    /// Whose list is asked for.
    pub(crate) async fn listed(
        principal: &Principal,
        params: &Params,
        identities: &Identities,
    ) -> Result<Self, ApiError> {
        match params.get("academy").map(str::trim) {
            Some("*") if principal.user.is_superuser => Ok(Self::Everybody),
            _ => User::one(principal, params, identities)
                .await
                .map(Self::User),
        }
    }

    /// The owner's hooks: all, or those on the named events.
    pub(crate) async fn hooks(
        &self,
        hooks: &Hooks,
        events: Option<&[&str]>,
    ) -> Result<Vec<Hook>, ApiError> {
        match self {
            Self::Everybody => Ok(hooks.everywhere(events).await?),
            Self::User(user) => {
                let mut found = hooks.in_scope(&user.scope(), events).await?;
                found.retain(|hook| hook.owner == user.username);
                Ok(found)
            }
        }
    }
}

impl User {
    fn of(principal: &Principal) -> Self {
        Self {
            username: principal.user.username.clone(),
            is_superadmin: principal.user.is_superuser,
        }
    }

    /// Whose hooks are asked for, or are to be made or deleted: the caller's, or an academy's.
    pub(crate) async fn one(
        principal: &Principal,
        params: &Params,
        identities: &Identities,
    ) -> Result<Self, ApiError> {
        let academy = params
            .get("academy")
            .map(str::trim)
            .filter(|slug| !slug.is_empty());
        let Some(slug) = academy else {
            return Ok(Self::of(principal));
        };
        if !principal.user.is_superuser {
            let own = principal.academy.as_ref();
            return match own.filter(|own| own.slug == slug) {
                Some(_) => Ok(Self::of(principal)),
                None => Err(ApiError::PermissionDenied("act for this academy")),
            };
        }
        let (user, academy) = identities.user_and_academy(slug).await?;
        if academy.is_none() {
            return Err(ApiError::UnknownAcademy(slug.to_owned()));
        }
        Ok(Self {
            username: slug.to_owned(),
            is_superadmin: user.is_some_and(|user| user.is_superuser),
        })
    }

    /// Whose events the user's hooks hear.
    pub(crate) fn scope(&self) -> Scope {
        Scope::of_owner(&self.username, self.is_superadmin)
    }
}

/// Where the hooks are that the principal may have: its own, or any for a superadmin. By that a foreign
/// hook is told apart from a missing one by nothing in the answer, nor by what it takes to give it.
fn within(principal: &Principal) -> Option<Scope> {
    (!principal.user.is_superuser).then(|| User::of(principal).scope())
}

/// Whether what this user owns is the principal's to manage.
fn owns(principal: &Principal, owner: &str) -> bool {
    principal.user.is_superuser || owner == principal.user.username
}

/// The hook with this id, if the principal may have it.
pub(crate) async fn find(
    hooks: &Hooks,
    id: Option<HookId>,
    principal: &Principal,
) -> Result<Option<Hook>, ApiError> {
    let found = state_of(hooks, id, principal).await?;
    Ok(found.map(|(hook, _)| hook))
}

/// Reads [`find`]'s hook, and its state. Not there: a 404.
pub(crate) async fn find_with_state(
    hooks: &Hooks,
    path: &HookPath,
    principal: &Principal,
) -> Result<(Hook, StoredState), ApiError> {
    let found = state_of(hooks, path.id, principal).await?;
    found.ok_or_else(|| ApiError::HookNotFound(path.number.clone()))
}

async fn state_of(
    hooks: &Hooks,
    id: Option<HookId>,
    principal: &Principal,
) -> Result<Option<(Hook, StoredState)>, ApiError> {
    let Some(id) = id else {
        return Ok(None);
    };
    let found = hooks.get_within(id, within(principal).as_ref()).await?;
    Ok(found.filter(|(hook, _)| owns(principal, &hook.owner)))
}

/// Reads [`find`]'s hook with its secrets. Not there: a 404.
pub(crate) async fn find_signed(
    hooks: &Hooks,
    path: &HookPath,
    principal: &Principal,
) -> Result<SignedHook, ApiError> {
    let scope = within(principal);
    let found = match path.id {
        None => None,
        Some(id) => hooks.get_signed_within(id, scope.as_ref()).await?,
    };
    found
        .filter(|found| owns(principal, &found.hook.owner))
        .ok_or_else(|| ApiError::HookNotFound(path.number.clone()))
}
