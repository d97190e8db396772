//! The time that an invocation has.
//!
//! When it is over, Lambda ends the process, whatever that is in the middle of, and everything of the
//! invocation comes again. So a worker stops before that by itself: what has ended is written down and its
//! answer says so, what has not comes again. `ingest` goes without: what it publishes in vain is known by its
//! ids when it comes again, so that it loses no more than the figures of that invocation.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// How long Lambda lets an invocation take at most.
const LONGEST: Duration = Duration::from_mins(15);

/// When an invocation has to end.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    begun: Instant,
    left: Duration,
}

impl Deadline {
    /// That of an invocation that has from now until this time. One that is over before it begins says
    /// nothing: Lambda has no such invocations, but `cargo lambda watch` gives every one a time in 1970. It
    /// has as long as Lambda lets any take.
    #[must_use]
    pub fn at(end: Timestamp, now: Timestamp) -> Self {
        let left = Duration::try_from(end.duration_since(now)).ok();
        Self::after(left.filter(|left| !left.is_zero()).unwrap_or(LONGEST))
    }

    /// That of an invocation that begins at this moment.
    #[must_use]
    pub fn after(left: Duration) -> Self {
        Self {
            begun: Instant::now(),
            left,
        }
    }

    /// Until when others may be waited for, so that what comes of it can still be written: for two thirds
    /// of the time.
    #[must_use]
    pub fn of_calls(self) -> Instant {
        self.begun + self.left * 2 / 3
    }

    /// Until when anything may be done, so that the answer still goes out: all but a fiftieth of the time.
    #[must_use]
    pub fn of_answer(self) -> Instant {
        self.begun + self.left * 49 / 50
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(left_ms: i64) -> [Duration; 2] {
        let now: Timestamp = "2025-01-20T15:30:00Z".parse().unwrap();
        let end = Timestamp::from_millisecond(now.as_millisecond() + left_ms).unwrap();
        let deadline = Deadline::at(end, now);
        [deadline.of_calls(), deadline.of_answer()].map(|at| at - deadline.begun)
    }

    #[test]
    fn there_is_time_to_write_after_the_calls_and_to_answer_after_that() {
        assert_eq!(of(90_000), [60_000, 88_200].map(Duration::from_millis));
        assert_eq!(of(300), [200, 294].map(Duration::from_millis));
    }

    #[test]
    fn a_time_that_is_over_says_nothing() {
        for left_ms in [0, -1, -1_000_000_000] {
            assert_eq!(of(left_ms), [600, 882].map(Duration::from_secs));
        }
    }
}
