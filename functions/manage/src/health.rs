//! How a hook's endpoint does: its failures in a row, and its circuit.

use axum::{Json, extract::State};
use jiff::Timestamp;
use serde::Serialize;
use shared::{
    clock,
    http::{ApiError, Caller, HookPath},
    model::{HookId, HookStats},
    store::StoredState,
};

use crate::{Manage, owner};

/// Whether deliveries are attempted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Circuit {
    /// All of them.
    Closed,
    /// None before the next probe.
    Open,
    /// One: the probe that is due or under way.
    HalfOpen,
}

/// A hook's health on the wire.
#[derive(Debug, Serialize)]
pub(crate) struct Health {
    id: HookId,
    circuit: Circuit,
    failures_in_row: u64,
    opened_at: Option<Timestamp>,
    next_probe_at: Option<Timestamp>,
    #[serde(flatten)]
    stats: HookStats,
}

impl Health {
    fn of(state: &StoredState, now: Timestamp) -> Self {
        let open = state.circuit;
        Self {
            id: state.hook_id,
            circuit: match open {
                None => Circuit::Closed,
                Some(open) if now < open.probe_at => Circuit::Open,
                Some(_) => Circuit::HalfOpen,
            },
            failures_in_row: state.failures_in_row,
            opened_at: open.map(|open| open.opened_at),
            next_probe_at: open.map(|open| open.probe_at),
            stats: state.stats,
        }
    }
}

/// `GET hook/subscribe/{id}/health`.
pub(crate) async fn get(
    State(manage): State<Manage>,
    Caller(principal): Caller,
    path: HookPath,
) -> Result<Json<Health>, ApiError> {
    let (_, state) = owner::find_with_state(&manage.stores.hooks, &path, &principal).await?;
    Ok(Json(Health::of(&state, clock::now())))
}
