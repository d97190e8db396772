//! The catalogue of events.

use axum::{Json, extract::State};
use shared::{
    catalog::{CatalogEntry, CatalogFilter},
    http::{Caller, Params},
};

use crate::Manage;

/// `GET hook/event`: the events there are, sorted by app and name.
pub(crate) async fn list(
    State(_): State<Manage>,
    _: Caller,
    params: Params,
) -> Json<Vec<CatalogEntry>> {
    let get = |name| params.get(name);
    let filter = CatalogFilter::new(get("app"), get("category"), get("event"), get("like"));
    Json(
        filter
            .events()
            .map(shared::catalog::CatalogEvent::entry)
            .collect(),
    )
}
