//! The record of dead-lettered deliveries.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::HookId;

/// All given-up deliveries of one owner that share an event and a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookError {
    /// Its id, given out as those of hooks are, from a counter of its own.
    pub id: u64,
    /// What went wrong, in words for the owner.
    pub message: String,
    /// The event's name.
    pub event: String,
    /// The hooks it hit, ascending.
    pub hooks: Vec<HookId>,
    /// How many deliveries it ended.
    pub count: u64,
    /// The first time.
    pub created_at: Timestamp,
    /// The last time.
    pub updated_at: Timestamp,
}
