//! The one place that reads the time.
//!
//! Handlers read it once and pass it on, so that one request has one "now" and tests choose theirs.

use jiff::{Timestamp, Unit};

/// The current time, to the millisecond: as precise as a webhook's history needs, and short to read.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the clock's home")]
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    now.round(Unit::Millisecond).unwrap_or(now)
}
