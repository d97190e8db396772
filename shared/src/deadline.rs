//! The time that an invocation has.
//!
//! When it is over, Lambda ends the process, whatever that is in the middle of, and everything of the
//! invocation is redelivered. So a worker stops before that by itself: what has ended is written down and its
//! answer says so, and SQS redelivers the rest. `ingest` goes without: what it publishes in vain is known by its
//! ids when it is retried, so that it loses no more than the figures of that invocation.

use std::time::{Duration, SystemTime};

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
    /// has as long as Lambda lets any take, and so has one that would have longer.
    #[must_use]
    pub fn at(end: SystemTime, now: Timestamp) -> Self {
        let end = Timestamp::try_from(end).unwrap_or(Timestamp::MAX);
        let left = Duration::try_from(end.duration_since(now)).ok();
        let left = left.filter(|left| !left.is_zero()).unwrap_or(LONGEST);
        Self::after(left.min(LONGEST))
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

    const NOW: Duration = Duration::from_hours(20 * 365 * 24);

    /// Those of an invocation that ends so long after 1970.
    fn of(end: Duration) -> [Duration; 2] {
        let now = Timestamp::UNIX_EPOCH + NOW;
        let deadline = Deadline::at(SystemTime::UNIX_EPOCH + end, now);
        [deadline.of_calls(), deadline.of_answer()].map(|at| at - deadline.begun)
    }

    fn of_time_left(left_ms: u64) -> [Duration; 2] {
        of(NOW + Duration::from_millis(left_ms))
    }

    #[test]
    fn there_is_time_to_write_after_the_calls_and_to_answer_after_that() {
        assert_eq!(
            of_time_left(90_000),
            [60_000, 88_200].map(Duration::from_millis)
        );
        assert_eq!(of_time_left(300), [200, 294].map(Duration::from_millis));
    }

    #[test]
    fn a_time_that_is_over_or_that_no_invocation_has_is_the_longest() {
        let no_calendar_has_it = Duration::from_millis(u64::MAX);
        for end in [Duration::ZERO, NOW, NOW + 2 * LONGEST, no_calendar_has_it] {
            assert_eq!(of(end), [600, 882].map(Duration::from_secs));
        }
    }
}
