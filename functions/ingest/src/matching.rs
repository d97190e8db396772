//! Which hooks an event is for: the academy's own, and those of everyone who is an active superadmin now.

use std::collections::{HashMap, HashSet};

use futures_util::future::try_join_all;
use shared::{
    model::{Hook, Scope},
    store::{StoreError, Stores},
};

/// An event's name and the slug of the academy that it happened at: all that matching depends on.
pub(crate) type Occasion = (&'static str, Option<String>);

/// Whose hooks, and on which event: what is asked of the table.
type Question = (Scope, &'static str);

/// Hooks that have been read for a request. What one reading asks for, no later one asks for again.
#[derive(Default)]
pub(crate) struct HookCache(HashMap<Question, Vec<Hook>>);

impl HookCache {
    /// Reads the hooks for these occasions, as far as they are not there.
    pub(crate) async fn read(
        &mut self,
        stores: &Stores,
        occasions: &HashSet<Occasion>,
    ) -> Result<(), StoreError> {
        // A list of events at one academy asks for the platform's hooks of an event once.
        let wanted: HashSet<Question> = occasions.iter().flat_map(questions).collect();
        let missing = wanted
            .into_iter()
            .filter(|wanted| !self.0.contains_key(wanted));
        let answers = try_join_all(missing.map(async |(scope, event)| {
            let hooks = stores.hooks.subscribed(&scope, event).await?;
            Ok::<_, StoreError>(((scope, event), hooks))
        }));
        self.0.extend(answers.await?);
        Ok(())
    }

    /// The hooks for each of these occasions.
    pub(crate) async fn matched(
        mut self,
        stores: &Stores,
        occasions: HashSet<Occasion>,
    ) -> Result<HashMap<Occasion, Vec<Hook>>, StoreError> {
        self.read(stores, &occasions).await?;
        self.keep_superadmins(stores).await?;
        let hooks = |occasion: &Occasion| {
            let of = |question| self.0.get(&question).into_iter().flatten().cloned();
            questions(occasion).flat_map(of).collect()
        };
        let with_hooks = occasions.into_iter().map(|occasion| {
            let hooks = hooks(&occasion);
            (occasion, hooks)
        });
        Ok(with_hooks.collect())
    }

    /// Drops the hooks of former superadmins, and of those who are not active, from the platform's.
    async fn keep_superadmins(&mut self, stores: &Stores) -> Result<(), StoreError> {
        let of_platform = self
            .0
            .iter()
            .filter(|((scope, _), _)| *scope == Scope::Platform);
        let owners: HashSet<&str> = of_platform
            .flat_map(|(_, hooks)| hooks)
            .map(|hook| hook.owner.as_str())
            .collect();
        let owners: Vec<&str> = owners.into_iter().collect();
        let superadmins = stores.identities.superadmins_among(&owners).await?;
        for ((scope, _), hooks) in &mut self.0 {
            if *scope == Scope::Platform {
                hooks.retain(|hook| superadmins.contains(&hook.owner));
            }
        }
        Ok(())
    }
}

/// What is to be asked to know who hears of it: of the academy's hooks first, if it happened at one.
fn questions((event, academy): &Occasion) -> impl Iterator<Item = Question> + use<> {
    let (event, academy) = (*event, academy.clone().map(Scope::Academy));
    let scopes = academy.into_iter().chain([Scope::Platform]);
    scopes.map(move |scope| (scope, event))
}
