//! Hook ids: positive integers, dense enough to type, safe in every JSON reader.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The id of a hook: 1 up to 2^53 − 1, the largest integer that a JavaScript reader keeps exact.
/// Ids are given out upwards and never again.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[schema(value_type = u64, minimum = 1, maximum = 9_007_199_254_740_991_u64)]
#[serde(try_from = "u64", into = "u64")]
pub struct HookId(u64);

impl HookId {
    /// The largest id there can be.
    pub const MAX: u64 = (1 << 53) - 1;

    /// The id with this number, or `None` when no hook can have it.
    #[must_use]
    pub fn new(number: u64) -> Option<Self> {
        (1..=Self::MAX).contains(&number).then_some(Self(number))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }
}

impl std::fmt::Display for HookId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl From<HookId> for u64 {
    fn from(id: HookId) -> Self {
        id.0
    }
}

impl TryFrom<u64> for HookId {
    type Error = String;

    fn try_from(number: u64) -> Result<Self, Self::Error> {
        Self::new(number).ok_or_else(|| format!("{number} is no hook id: 1 to {}", Self::MAX))
    }
}
