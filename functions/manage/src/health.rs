//! How a hook's endpoint does: its failures in a row, and its circuit.

use axum::{Json, extract::State};
use jiff::Timestamp;
use serde::Serialize;
use shared::{
    clock, error_responses,
    http::{ApiError, Caller, HookPath},
    model::{Counts, HookId, HookStats},
    store::StoredState,
};
use utoipa::ToSchema;

use crate::{Manage, owner};

/// Whether deliveries are attempted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
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
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": 125,
    "circuit": "open",
    "failures_in_row": 7,
    "opened_at": "2025-01-20T15:30:00Z",
    "next_probe_at": "2025-01-20T15:45:00Z",
    "total_calls": 156,
    "last_call_at": "2025-01-20T15:30:00Z",
    "last_response_code": 503,
    "last_24_hours": {"delivered": 149, "failed": 7}
}))]
pub(crate) struct Health {
    id: HookId,
    /// Whether deliveries are attempted. `closed`: all are; `open`: none before the next probe; `half_open`: one is, the
    /// probe that is due or under way.
    circuit: Circuit,
    /// How many calls have failed since the last that arrived. Five open the circuit.
    failures_in_row: u64,
    /// Since when the circuit is open; `null` when it is closed.
    #[schema(required)]
    opened_at: Option<Timestamp>,
    /// When the next probe is made; `null` when the circuit is closed.
    #[schema(required)]
    next_probe_at: Option<Timestamp>,
    #[serde(flatten)]
    stats: HookStats,
    /// What has become of its attempts, probes included, in the current three-hour period and the seven before it.
    last_24_hours: Counts,
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
            opened_at: open.map(|open| clock::whole_second(open.opened_at)),
            next_probe_at: open.map(|open| clock::whole_second(open.probe_at)),
            stats: state.stats.shown(),
            last_24_hours: state.periods.last_day(now),
        }
    }
}

error_responses!(GetErrors: ApiError::HookNotFound("125".to_owned()), ApiError::UnknownPath);

/// `GET hook/subscribe/{id}/health`.
#[utoipa::path(
    get,
    path = "/v1/notify/hook/subscribe/{id}/health",
    tag = "Hooks",
    operation_id = "getHookHealth",
    summary = "How a hook's endpoint does",
    description = "Its failures in a row, and its circuit: five failures open it, and its deliveries \
                   then wait, but for one at a time that probes the endpoint.",
    params(HookPath),
    responses((status = 200, description = "The hook's health", body = Health), GetErrors),
    security(("token" = [])),
)]
pub(crate) async fn get(
    State(manage): State<Manage>,
    Caller(principal): Caller,
    path: HookPath,
) -> Result<Json<Health>, ApiError> {
    let (_, state) = owner::find_with_state(&manage.stores.hooks, &path, &principal).await?;
    Ok(Json(Health::of(&state, clock::now())))
}
