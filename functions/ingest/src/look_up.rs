//! What publishing has to know: whether the caller may publish, the academies, and who hears the events.
//!
//! It is looked up at once, so that a publisher waits once. A caller who may not publish is told so as soon as
//! that is known, whatever becomes of the rest; what it costs by then is bounded.

use std::collections::HashSet;

use futures_util::future::try_join;
use shared::{auth, http::ApiError, model::AcademyRef, store::Found};

use crate::{
    Ingest,
    incoming::{MAX_PAYLOAD_BYTES, Submission},
    matching::{HookCache, Occasion},
};

/// Up to how many academies, and pairs of an event and an academy, are looked up before it is known whether
/// the caller may publish.
const LOOK_UPS_AHEAD: usize = 4;

/// The longest body, in bytes, that is read before that is known: what an event with a payload may have.
pub(crate) const BYTES_AHEAD: usize = 2 * MAX_PAYLOAD_BYTES;

/// Who publishes.
#[derive(Debug)]
pub(crate) enum Publisher {
    /// Somebody who may: that was decided elsewhere, or before.
    Allowed,
    /// The user of this name, if it may.
    User(String),
}

impl Publisher {
    fn username(&self) -> Option<&str> {
        match self {
            Self::Allowed => None,
            Self::User(username) => Some(username),
        }
    }

    /// Whether it may publish, by what was found of it.
    fn check(&self, found: &Found) -> Result<(), ApiError> {
        let Some(username) = self.username() else {
            return Ok(());
        };
        if auth::active(found.user(username).cloned())?.may_publish() {
            Ok(())
        } else {
            Err(ApiError::PermissionDenied("publish events"))
        }
    }
}

impl Ingest {
    /// Looks up whether the publisher may publish, the academies that these events happened at and, as far as
    /// those are named by their slugs, the hooks that hear them.
    pub(crate) async fn look_up(
        &self,
        mut publisher: Publisher,
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
        if academies.len().max(occasions.len()) > LOOK_UPS_AHEAD {
            publisher = self.authorize(publisher).await?;
        }
        let who_and_where = async {
            let user = publisher.username();
            let found = self.stores.identities.find(user.as_slice(), &academies);
            let found = found.await?;
            publisher.check(&found)?;
            Ok(found)
        };
        let mut hooks = HookCache::default();
        // An error of theirs, too, is told to those only who may publish.
        let who_hears = async { Ok::<_, ApiError>(hooks.read(&self.stores, &occasions).await) };
        let (found, heard) = try_join(who_and_where, who_hears).await?;
        heard?;
        Ok((found, hooks))
    }

    /// The same publisher, who may publish as of now.
    pub(crate) async fn authorize(&self, publisher: Publisher) -> Result<Publisher, ApiError> {
        let user = publisher.username();
        let found = self.stores.identities.find(user.as_slice(), &[]).await?;
        publisher.check(&found)?;
        Ok(Publisher::Allowed)
    }
}
