//! HookErrors: the deliveries that were dead-lettered.

use std::{cmp::Reverse, collections::HashSet};

use axum::{Json, extract::State};
use jiff::Timestamp;
use serde::Serialize;
use shared::{
    clock, error_responses,
    http::{ApiError, Caller, Listing, Page, PageLinks, Params},
    model::{HookError, HookId},
};
use utoipa::ToSchema;

use crate::{Manage, filter::items, owner::Owner};

/// A HookError on the wire.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HookError)]
#[schema(example = json!({
    "id": 12,
    "message": "The endpoint answered 500.",
    "event": "cohort_user.added",
    "hooks": [124, 125],
    "count": 37,
    "created_at": "2025-01-20T15:51:00Z",
    "updated_at": "2025-01-21T09:10:00Z",
    "redeliverable": 12
}))]
pub(crate) struct ErrorView {
    /// Its id, given out as those of hooks are, from a counter of its own.
    id: u64,
    /// What went wrong, in words for the owner.
    message: String,
    /// The event's name.
    event: String,
    /// The hooks it hit, ascending.
    hooks: Vec<HookId>,
    /// How many deliveries it ended.
    count: u64,
    /// The first time.
    created_at: Timestamp,
    /// The last time.
    updated_at: Timestamp,
    /// How many of its deliveries can still be sent again, as of a moment ago; 0: none. Where there are
    /// thousands it may be fewer than there are, but not 0.
    redeliverable: u64,
}

impl From<(HookError, u64)> for ErrorView {
    fn from((error, redeliverable): (HookError, u64)) -> Self {
        Self {
            id: error.id,
            message: error.message,
            event: error.event,
            hooks: error.hooks,
            count: error.count,
            created_at: clock::whole_second(error.created_at),
            updated_at: clock::whole_second(error.updated_at),
            redeliverable,
        }
    }
}

error_responses!(
    ListErrors:
    ApiError::UnknownAcademy("no-such-academy".to_owned()),
    ApiError::PermissionDenied("act for this academy"),
);

/// `GET hook/error`: newest first; `event` and `hook` (comma lists) and `like` (event or message) narrow it.
#[utoipa::path(
    get,
    path = "/v1/notify/hook/error",
    tag = "Errors",
    operation_id = "listErrors",
    summary = "Which of the caller's deliveries were dead-lettered, and why",
    description = "One record for each event and message, newest first.",
    params(
        ("event" = Option<String>, Query, description = "Names of events, separated by commas."),
        ("hook" = Option<String>, Query, description = "Ids of hooks, separated by commas: the errors that hit one of them."),
        ("like" = Option<String>, Query, description = "A part of event or message, in any case."),
        ("academy" = Option<String>, Query, description = "For superadmins: an academy's slug, or `*`."),
        Page,
    ),
    responses((status = 200, description = "Errors", body = Listing<ErrorView>), ListErrors),
    security(("token" = [])),
)]
pub(crate) async fn list(
    State(manage): State<Manage>,
    Caller(principal): Caller,
    params: Params,
    links: PageLinks,
) -> Result<Json<Listing<ErrorView>>, ApiError> {
    let stores = &manage.stores;
    let mut found = match Owner::listed(&principal, &params, &stores.identities).await? {
        Owner::Everybody => stores.errors.everywhere().await?,
        Owner::User(user) => stores.errors.of_owner(&user.username).await?,
    };
    let filter = ErrorFilter::of(&params);
    found.retain(|found| filter.wants(&found.error));
    found.sort_by_key(|found| Reverse((found.error.created_at, found.error.id)));
    let page = Page::of(&params);
    let count = found.len();
    let found = page.cut(found);
    let kept = stores.errors.count_kept(&found).await?;
    let errors = found.into_iter().map(|found| found.error);
    let views = errors.zip(kept).map(ErrorView::from).collect();
    Ok(page.answer(count, views, &links))
}

/// What a query wants of a list of errors. All parts must hold.
struct ErrorFilter<'a> {
    events: Option<HashSet<&'a str>>,
    hooks: Option<HashSet<u64>>,
    like: Option<String>,
}

impl<'a> ErrorFilter<'a> {
    fn of(params: &'a Params) -> Self {
        let ids = |list| items(list).filter_map(|item| item.parse().ok()).collect();
        Self {
            events: params.get("event").map(|list| items(list).collect()),
            hooks: params.get("hook").map(ids),
            like: params.get("like").map(str::to_lowercase),
        }
    }

    fn wants(&self, error: &HookError) -> bool {
        let hits = |hooks: &HashSet<u64>| error.hooks.iter().any(|id| hooks.contains(&id.get()));
        self.events
            .as_ref()
            .is_none_or(|events| events.contains(error.event.as_str()))
            && self.hooks.as_ref().is_none_or(hits)
            && self.like.as_ref().is_none_or(|like| {
                error.event.to_lowercase().contains(like)
                    || error.message.to_lowercase().contains(like)
            })
    }
}
