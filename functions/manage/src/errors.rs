//! HookErrors: the deliveries that were given up.

use axum::{Json, extract::State};
use shared::{
    error_responses,
    http::{ApiError, Caller, Listing, Page, PageLinks, Params},
    model::HookError,
};

use crate::{Manage, filter::items, owner::Owner};

error_responses!(ListErrors: ApiError::UnknownAcademy("no-such-academy".to_owned()));

/// `GET hook/error`: newest first; `event` (a comma list) and `like` (event or message) narrow it.
#[utoipa::path(
    get,
    path = "/v1/notify/hook/error",
    tag = "Errors",
    operation_id = "listErrors",
    summary = "What was given up of the caller's deliveries, and why",
    description = "One record for each event and message, newest first.",
    params(
        ("event" = Option<String>, Query, description = "Names of events, separated by commas."),
        ("like" = Option<String>, Query, description = "A part of event or message, in any case."),
        ("academy" = Option<String>, Query, description = "For superadmins: an academy's slug, or `*`."),
        Page,
    ),
    responses((status = 200, description = "Errors", body = Listing<HookError>), ListErrors),
    security(("token" = [])),
)]
pub(crate) async fn list(
    State(manage): State<Manage>,
    Caller(principal): Caller,
    params: Params,
    links: PageLinks,
) -> Result<Json<Listing<HookError>>, ApiError> {
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
