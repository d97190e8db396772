//! What publishing has to know: whether the caller may publish, the academies, and who hears the events.
//!
//! It is looked up at once, so that a publisher waits once. What it costs when the caller may not publish is
//! bounded: of many events the caller is looked up first.

use std::collections::HashSet;

use futures_util::future::try_join;
use shared::{auth, http::ApiError, model::AcademyRef, store::Found};

use crate::{
    Ingest,
    incoming::Submission,
    matching::{HookCache, Occasion},
};

/// Up to how many academies, and pairs of an event and an academy, are looked up before it is known whether
/// the caller may publish.
const LOOK_UPS_AHEAD: usize = 4;

/// Who publishes.
#[derive(Debug)]
pub(crate) enum Publisher {
    /// Whoever may put events on the bus: that is decided there.
    Bus,
    /// The user of this name, if it may.
    User(String),
}

impl Publisher {
    fn username(&self) -> Option<&str> {
        match self {
            Self::Bus => None,
            Self::User(username) => Some(username),
        }
    }
}

impl Ingest {
    /// Looks up whether the publisher may publish, the academies that these events happened at and, as far as
    /// those are named by their slugs, the hooks that hear them.
    pub(crate) async fn look_up(
        &self,
        publisher: &Publisher,
        submissions: &[(usize, Submission)],
    ) -> Result<(Found, HookCache), ApiError> {
        let events = submissions.iter().flat_map(|(_, sent)| &sent.events);
        let academies: HashSet<&AcademyRef> = events
            .clone()
            .filter_map(|event| event.academy.as_ref())
            .collect();
        let academies: Vec<&AcademyRef> = academies.into_iter().collect();
        let occasions: HashSet<Occasion> = events
            .filter_map(|incoming| {
                let slug = match &incoming.academy {
                    Some(academy) => Some(academy.valid_slug()?.to_owned()),
                    None => None,
                };
                Some((incoming.event.name, slug))
            })
            .collect();
        let mut unknown = publisher.username();
        if academies.len().max(occasions.len()) > LOOK_UPS_AHEAD {
            self.authorize(publisher).await?;
            unknown = None;
        }
        let mut hooks = HookCache::default();
        let users = unknown.as_slice();
        let found = self.stores.identities.find(users, &academies);
        let (found, ()) = try_join(found, hooks.read(&self.stores, &occasions)).await?;
        if let Some(username) = unknown {
            check(username, &found)?;
        }
        Ok((found, hooks))
    }

    /// Whether the publisher may publish, as of now.
    pub(crate) async fn authorize(&self, publisher: &Publisher) -> Result<(), ApiError> {
        let Some(username) = publisher.username() else {
            return Ok(());
        };
        check(
            username,
            &self.stores.identities.find(&[username], &[]).await?,
        )
    }
}

/// Whether the user of this name may publish, by what was found of it.
fn check(username: &str, found: &Found) -> Result<(), ApiError> {
    if auth::active(found.user(username).cloned())?.may_publish() {
        Ok(())
    } else {
        Err(ApiError::PermissionDenied("publish events"))
    }
}
