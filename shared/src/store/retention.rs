//! How long failed deliveries are kept.

use std::{
    fmt::{self, Display, Formatter},
    str::FromStr,
    time::Duration,
};

use jiff::Timestamp;

const DAY: Duration = Duration::from_hours(24);

/// How long failed deliveries are kept, from when they are recorded: some days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention(u32);

/// Why a text is no retention.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no number of days from 1 to 365")]
pub struct InvalidRetention(String);

impl Retention {
    /// The retention unless another is set.
    pub const DEFAULT: Self = Self(30);

    /// When what is recorded now may go.
    #[must_use]
    pub fn end(self, now: Timestamp) -> Timestamp {
        now + DAY * self.0
    }
}

impl FromStr for Retention {
    type Err = InvalidRetention;

    /// Reads a number of days.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let days = text.parse().ok().filter(|days| (1..=365).contains(days));
        days.map(Self)
            .ok_or_else(|| InvalidRetention(text.to_owned()))
    }
}

impl Display for Retention {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("1", "2025-01-21T15:30:00Z")]
    #[case("30", "2025-02-19T15:30:00Z")]
    #[case("365", "2026-01-20T15:30:00Z")]
    fn it_is_a_number_of_days(#[case] text: &str, #[case] end: &str) {
        let retention: Retention = text.parse().expect("a retention");
        assert_eq!(retention.to_string(), text);
        let now = "2025-01-20T15:30:00Z".parse().expect("a time");
        assert_eq!(retention.end(now).to_string(), end);
    }

    #[rstest]
    fn anything_else_is_none(#[values("", "0", "366", "-1", "1.5", "30d", " 30")] text: &str) {
        let refused = text.parse::<Retention>();
        assert_eq!(refused, Err(InvalidRetention(text.to_owned())));
    }
}
