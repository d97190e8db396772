//! HookErrors: the deliveries that were given up.

use axum::{extract::State, response::Response};
use shared::{
    http::{ApiError, Caller, Page, PageLinks, Params},
    model::HookError,
};

use crate::{Manage, filter::items, owner::Owner};

/// `GET hook/error`: newest first; `event` (a comma list) and `like` (event or message) narrow it.
pub(crate) async fn list(
    State(manage): State<Manage>,
    Caller(principal): Caller,
    params: Params,
    links: PageLinks,
) -> Result<Response, ApiError> {
    let stores = &manage.stores;
    let found = match Owner::listed(&principal, &params, &stores.identities).await? {
        Owner::Everybody => stores.errors.everywhere().await?,
        Owner::User { username, .. } => stores.errors.of_owner(&username).await?,
    };
    let mut found: Vec<_> = found.into_iter().map(|found| found.error).collect();
    found.retain(|error| wanted(error, &params));
    found.sort_by_key(|error| std::cmp::Reverse((error.created_at, error.id)));
    let page = Page::of(&params);
    Ok(page.answer(found.len(), page.cut(found), &links))
}

fn wanted(error: &HookError, params: &Params) -> bool {
    let like = params.get("like").map(str::to_lowercase);
    params
        .get("event")
        .is_none_or(|list| items(list).any(|event| event == error.event))
        && like.is_none_or(|like| {
            error.event.to_lowercase().contains(&like)
                || error.message.to_lowercase().contains(&like)
        })
}
