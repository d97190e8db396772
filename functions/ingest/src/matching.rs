//! Which hooks an event is for: the academy's own, and those of everyone who is a superadmin now.

use std::collections::{HashMap, HashSet};

use futures_util::future::try_join_all;
use shared::{
    catalog::AcademyRef,
    http::ApiError,
    model::{Hook, Scope},
    store::{StoreError, Stores},
};

/// An event's name and the slug of the academy that it happened at: all that matching depends on.
pub(crate) type Occasion = (&'static str, Option<String>);

/// The academies that events of one request happened at, each read once.
pub(crate) struct Academies(HashMap<AcademyRef, Option<String>>);

impl Academies {
    pub(crate) async fn read<'a>(
        stores: &Stores,
        wanted: impl Iterator<Item = &'a AcademyRef>,
    ) -> Result<Self, StoreError> {
        let distinct: HashSet<&AcademyRef> = wanted.collect();
        let reads = distinct.into_iter().map(async |academy| {
            let found = match academy {
                AcademyRef::Slug(slug) => stores.identities.academy(slug).await,
                AcademyRef::Id(id) => stores.identities.academy_by_id(*id).await,
            };
            found.map(|found| (academy.clone(), found.map(|academy| academy.slug)))
        });
        Ok(Self(try_join_all(reads).await?.into_iter().collect()))
    }

    /// The slug of an academy.
    pub(crate) fn slug(&self, academy: &AcademyRef) -> Result<String, ApiError> {
        let slug = self.0.get(academy).cloned().flatten();
        slug.ok_or_else(|| ApiError::UnknownAcademy(academy.to_string()))
    }
}

/// The hooks for each of these occasions.
pub(crate) async fn hooks_for(
    stores: &Stores,
    occasions: HashSet<Occasion>,
) -> Result<HashMap<Occasion, Vec<Hook>>, StoreError> {
    // A list of events at one academy asks for the platform's hooks of an event once.
    let queries: HashSet<(Scope, &'static str)> = occasions
        .iter()
        .flat_map(|(event, academy)| {
            let academy = academy.clone().map(Scope::Academy);
            academy
                .into_iter()
                .chain([Scope::Platform])
                .map(|scope| (scope, *event))
        })
        .collect();
    let answers = try_join_all(queries.into_iter().map(async |(scope, event)| {
        let hooks = stores.hooks.subscribed(&scope, event).await?;
        Ok::<_, StoreError>(((scope, event), hooks))
    }));
    let mut found: HashMap<_, _> = answers.await?.into_iter().collect();
    keep_superadmins(stores, &mut found).await?;
    let hooks = |scope, event| found.get(&(scope, event)).into_iter().flatten().cloned();
    Ok(occasions
        .into_iter()
        .map(|(event, academy)| {
            let own = academy
                .clone()
                .map(Scope::Academy)
                .map(|scope| hooks(scope, event));
            let own = own.into_iter().flatten();
            let matched = own.chain(hooks(Scope::Platform, event)).collect();
            ((event, academy), matched)
        })
        .collect())
}

/// Drops the hooks of former superadmins from the platform's.
async fn keep_superadmins(
    stores: &Stores,
    found: &mut HashMap<(Scope, &'static str), Vec<Hook>>,
) -> Result<(), StoreError> {
    let of_platform = found
        .iter()
        .filter(|((scope, _), _)| *scope == Scope::Platform);
    let owners: HashSet<&str> = of_platform
        .flat_map(|(_, hooks)| hooks)
        .map(|hook| hook.owner.as_str())
        .collect();
    let owners: Vec<&str> = owners.into_iter().collect();
    let superadmins = stores.identities.superadmins_among(&owners).await?;
    for ((scope, _), hooks) in found.iter_mut() {
        if *scope == Scope::Platform {
            hooks.retain(|hook| superadmins.contains(&hook.owner));
        }
    }
    Ok(())
}
