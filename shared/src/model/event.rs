//! What was published, as its publisher sees it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The answer to an event, or to a change and the events that it is: all their deliveries are in the
/// queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": "task-456-saved-7",
    "events": [{"event": "assignment.assignment_status_updated", "deliveries": 1}]
}))]
pub struct Accepted {
    /// The id: the publisher's, or ours. All events of a change have the change's.
    pub id: String,
    /// The events: of a change there may be none, or several.
    pub events: Vec<AcceptedEvent>,
}

/// An event whose deliveries are in the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AcceptedEvent {
    /// Its name.
    pub event: String,
    /// How many hooks it matched.
    pub deliveries: usize,
    /// The fields of the payload that were left out because the event does not have them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<String>,
}
