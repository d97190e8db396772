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

/// The hook with this id, if the principal may have it: its own, or any for a superadmin. A foreign
/// hook is told apart from a missing one by nothing in the answer.
pub(crate) fn visible(hook: Option<Hook>, principal: &Principal) -> Option<Hook> {
    hook.filter(|hook| owns(principal, &hook.owner))
}

/// Whether what this user owns is the principal's to manage.
pub(crate) fn owns(principal: &Principal, owner: &str) -> bool {
    principal.user.is_superuser || owner == principal.user.username
}

/// Reads [`visible`]'s hook.
pub(crate) async fn find(
    hooks: &Hooks,
    id: Option<HookId>,
    principal: &Principal,
) -> Result<Option<Hook>, ApiError> {
    match id {
        None => Ok(None),
        Some(id) => Ok(visible(hooks.get(id).await?, principal)),
    }
}

/// Reads [`visible`]'s hook, and its state. Not there: a 404.
pub(crate) async fn find_with_state(
    hooks: &Hooks,
    path: &HookPath,
    principal: &Principal,
) -> Result<(Hook, StoredState), ApiError> {
    let found = match path.id {
        None => None,
        Some(id) => hooks.get_with_state(id).await?,
    };
    let (hook, state) = found.unzip();
    visible(hook, principal)
        .zip(state)
        .ok_or_else(|| ApiError::HookNotFound(path.number.clone()))
}

/// Reads [`visible`]'s hook with its secrets. Not there: a 404.
pub(crate) async fn find_signed(
    hooks: &Hooks,
    path: &HookPath,
    principal: &Principal,
) -> Result<SignedHook, ApiError> {
    let found = match path.id {
        None => None,
        Some(id) => hooks.get_signed(id).await?,
    };
    found
        .filter(|found| owns(principal, &found.hook.owner))
        .ok_or_else(|| ApiError::HookNotFound(path.number.clone()))
}
