//! What a hook remembers of its newest attempts, for its owner to look at.
//!
//! It is small on purpose: it is written with the hook's counters, and DynamoDB charges a write by
//! the size of the whole row.

use jiff::{SignedDuration, Timestamp, fmt::serde::timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Outcome;

/// How many attempts are remembered.
const REMEMBERED: usize = 12;

/// For how long.
const MEMORY: SignedDuration = SignedDuration::from_hours(7 * 24);

/// One attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// The delivery it was one of.
    pub delivery_id: Uuid,
    /// Its number among them, from 1.
    pub attempt: u32,
    /// When it ended.
    #[serde(with = "timestamp::millisecond::required")]
    pub at: Timestamp,
    /// How.
    pub outcome: Outcome,
    /// How long it took, in milliseconds.
    pub ms: u32,
    /// When the next one is due, to the second, if there is to be one.
    #[serde(with = "timestamp::second::optional")]
    pub next_attempt_at: Option<Timestamp>,
}

/// The newest of the attempts that are known and new, newest first.
#[must_use]
pub fn newest(
    known: impl IntoIterator<Item = AttemptRecord>,
    new: impl IntoIterator<Item = AttemptRecord>,
    now: Timestamp,
) -> Vec<AttemptRecord> {
    let recent = |record: &AttemptRecord| now.duration_since(record.at) <= MEMORY;
    let mut records: Vec<_> = new.into_iter().chain(known).filter(recent).collect();
    records.sort_by_key(|record| std::cmp::Reverse(record.at));
    records.truncate(REMEMBERED);
    records
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn start() -> Timestamp {
        "2025-01-20T15:30:00Z".parse().unwrap()
    }

    fn record(minute: u64) -> AttemptRecord {
        AttemptRecord {
            delivery_id: Uuid::from_u128(minute.into()),
            attempt: 1,
            at: start() + Duration::from_mins(minute),
            outcome: Outcome::Answered(200),
            ms: 12,
            next_attempt_at: None,
        }
    }

    #[test]
    fn the_newest_twelve_of_the_last_seven_days_are_remembered() {
        let week = 7 * 24 * 60;
        let now = start() + Duration::from_mins(week + 1);
        let known = (0..=15).rev().map(record);
        let records = newest(known, (16..=18).map(record), now);
        let minutes: Vec<u128> = records.iter().map(|r| r.delivery_id.as_u128()).collect();
        assert_eq!(minutes, (7..=18).rev().collect::<Vec<_>>());

        let records = newest(records, (20..=25).map(record), now);
        assert_eq!(records.len(), 12);
        assert_eq!(records.first(), Some(&record(25)));
        assert_eq!(records.last(), Some(&record(13)));
    }
}
