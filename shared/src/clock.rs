//! The one place that reads the time, and that says how it is shown.
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

/// A time as the API shows it: in whole seconds.
#[must_use]
pub fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// An attempt's time as the API shows it: always with milliseconds, `2025-01-20T15:30:00.120Z`.
#[must_use]
pub fn with_millis(time: Timestamp) -> String {
    format!("{time:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_in_whole_seconds_and_those_of_attempts_with_three_digits() {
        for (time, second, millis) in [
            (
                "2025-01-20T15:30:00Z",
                "2025-01-20T15:30:00Z",
                "2025-01-20T15:30:00.000Z",
            ),
            (
                "2025-01-20T15:30:00.12Z",
                "2025-01-20T15:30:00Z",
                "2025-01-20T15:30:00.120Z",
            ),
            (
                "2025-01-20T15:30:59.999Z",
                "2025-01-20T15:30:59Z",
                "2025-01-20T15:30:59.999Z",
            ),
            (
                "2025-01-20T15:30:00.1239Z",
                "2025-01-20T15:30:00Z",
                "2025-01-20T15:30:00.123Z",
            ),
        ] {
            let parsed: Timestamp = time.parse().expect("a time");
            assert_eq!(whole_second(parsed).to_string(), second);
            assert_eq!(with_millis(parsed), millis);
        }
    }
}
