//! What is measured against `serve`, and the ceiling that it is held to.

mod burst;
mod growth;
mod handler;
mod neighbour;
mod steady;

pub(crate) use burst::{fan_out, throughput};
pub(crate) use growth::growth;
pub(crate) use handler::handler;
pub(crate) use neighbour::neighbour;
pub(crate) use steady::steady;

use std::time::{Duration, Instant};

use crate::{figures::Times, load::Request};

/// How long deliveries may take after the last event, but where a scenario says otherwise.
const PATIENCE: Duration = Duration::from_mins(1);

/// The times from a moment of each event's publishing to the arrival of each of its deliveries.
fn latencies(
    requests: &[Request],
    arrivals: impl Iterator<Item = (usize, Instant)>,
    since: impl Fn(&Request) -> Instant,
) -> Times {
    let mut begun = Vec::new();
    for request in requests {
        let end = begun.len().max(request.events.end);
        begun.resize(end, None);
        for event in request.events.clone() {
            begun[event] = Some(since(request));
        }
    }
    // A delivery may overtake the answer to its publisher.
    let times = arrivals.filter_map(|(event, at)| {
        let begun = begun.get(event).copied().flatten()?;
        Some(at.saturating_duration_since(begun))
    });
    times.collect()
}
