//! How many attempts at a hook's deliveries arrived and failed in the last 24 hours, in periods of three hours.
//!
//! Each period is an attribute of its own in the hook's row, named by the period, and its two counts are one number: so
//! that workers can add to it at the same time. Whoever adds to the present period removes those that have expired. There
//! are as few of them as the row has room for.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// How many periods are kept, the present one included.
const PERIODS: i64 = 8;

/// How long a period is.
const PERIOD_SECONDS: i64 = 3 * 3_600;

/// The weight of a delivered attempt in the packed number. Fewer attempts than this fail in a period.
const DELIVERED: u64 = 1_000_000_000;

/// Counts of attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({"delivered": 132, "failed": 3}))]
pub struct Counts {
    /// How many were answered 2xx.
    pub delivered: u64,
    /// How many were not.
    pub failed: u64,
}

impl Counts {
    /// Both as one number.
    pub(crate) fn packed(self) -> u64 {
        self.delivered
            .saturating_mul(DELIVERED)
            .saturating_add(self.failed)
    }

    /// The counts that a number stands for.
    pub(crate) fn unpacked(packed: u64) -> Self {
        Self {
            delivered: packed / DELIVERED,
            failed: packed % DELIVERED,
        }
    }
}

/// Three hours, counted from 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(i64);

impl Period {
    /// The period of a time.
    #[must_use]
    pub fn of(time: Timestamp) -> Self {
        Self(time.as_second().div_euclid(PERIOD_SECONDS))
    }

    /// Whether it is one of those that count now.
    fn is_kept(self, now: Timestamp) -> bool {
        let present = Self::of(now).0;
        (present - PERIODS + 1..=present).contains(&self.0)
    }

    /// The name of its attribute.
    pub(crate) fn attribute(self) -> String {
        format!("p{:x}", self.0)
    }

    /// The period of an attribute with this name.
    pub(crate) fn of_attribute(name: &str) -> Option<Self> {
        i64::from_str_radix(name.strip_prefix('p')?, 16)
            .ok()
            .map(Self)
    }
}

/// The counts of the last periods, in any order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Periods(pub Vec<(Period, Counts)>);

impl Periods {
    /// What they come to in the present period and the seven before it: in the last 21 to 24 hours.
    #[must_use]
    pub fn last_day(&self, now: Timestamp) -> Counts {
        let kept = self.0.iter().filter(|(period, _)| period.is_kept(now));
        kept.fold(Counts::default(), |sum, (_, counts)| Counts {
            delivered: sum.delivered.saturating_add(counts.delivered),
            failed: sum.failed.saturating_add(counts.failed),
        })
    }

    /// The periods that do not count any more.
    pub fn expired(&self, now: Timestamp) -> impl Iterator<Item = Period> {
        let periods = self.0.iter().map(|(period, _)| *period);
        periods.filter(move |period| *period < Period::of(now) && !period.is_kept(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_of_a_period_are_one_number_that_can_be_added_to() {
        let counts = |delivered, failed| Counts { delivered, failed };
        let sum = counts(3, 999_999_000).packed() + counts(4, 999).packed();
        assert_eq!(Counts::unpacked(sum), counts(7, 999_999_999));
        assert_eq!(Counts::unpacked(0), Counts::default());
    }

    #[test]
    fn the_present_period_and_the_seven_before_it_count() {
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = time("2025-01-20T15:30:00Z");
        let at = |text| {
            (
                Period::of(time(text)),
                Counts {
                    delivered: 1,
                    failed: 2,
                },
            )
        };
        let periods = Periods(vec![
            at("2025-01-20T15:00:00Z"),
            at("2025-01-19T18:00:00Z"),
            at("2025-01-19T17:59:59Z"),
            // By a clock that is ahead.
            at("2025-01-20T18:00:00Z"),
        ]);
        assert_eq!(
            periods.last_day(now),
            Counts {
                delivered: 2,
                failed: 4
            }
        );
        let expired: Vec<_> = periods.expired(now).collect();
        assert_eq!(expired, [Period::of(time("2025-01-19T15:00:00Z"))]);
        let attribute = expired[0].attribute();
        assert_eq!(Period::of_attribute(&attribute), Some(expired[0]));
        assert_eq!(Period::of_attribute("payload"), None);
    }
}
