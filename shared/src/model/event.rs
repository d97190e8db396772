//! A published event as its publisher sees it.

use serde::{Deserialize, Serialize};

/// The answer to a published event: all its deliveries are in the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The event's id: the publisher's, or ours.
    pub id: String,
    /// Its name.
    pub event: String,
    /// How many hooks it matched.
    pub deliveries: usize,
}
