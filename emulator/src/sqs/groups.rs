//! Which messages a receive gets, so that one group of them does not keep the others waiting.
//!
//! The service does this for messages that carry a `MessageGroupId` (its name for it: fair queues).
//! A group that has many messages in flight, by number and by share, is noisy. A receive gets
//! messages of quiet groups as long as there are any. Of the groups that have waited longest those with the
//! fewest messages in flight come first, so that a long row of one group stands in nobody's way; and each
//! gives all that fits, so that a worker has much to do for few hooks and little to write. Only when
//! no quiet group waits does it get messages of a noisy one, the one with the fewest in flight, and
//! then of that one alone: workers that are held up by it hold up nobody else's messages. A group is
//! quiet again as soon as what it has in flight is done with, so none waits for ever. Within a group
//! the oldest message comes first.
//!
//! One rule is ours. The service hands out whatever its consumers ask for, and Lambda adds workers
//! when those it has are busy; here the workers are as many as they are. A group is therefore not
//! handed out beyond [`GROUP_IN_FLIGHT`] messages, and the rest of it waits in the queue. Messages
//! without a group are each a group of their own to the service; here they are never noisy.
//!
//! It is cheap however many messages wait, because a group's first message is known: `waiting` has
//! a row for each group with a time that is not later than the first message's. It may be earlier,
//! when that message is gone; whoever finds nothing then puts it right. The table is rebuilt at each
//! start and kept in memory.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{SqsError, store::Millis};

/// The most messages of one group that are in flight at once.
pub const GROUP_IN_FLIGHT: u32 = 64;

/// What makes a group noisy, with the service's figures: so many messages in flight…
const NOISY_FROM: i64 = 30;

/// … that are more than one in so many of all that are.
const NOISY_SHARE: i64 = 10;

/// The group of messages without one.
const NONE: &str = "";

/// What a receive is to get.
pub(super) struct Choice {
    /// The messages' rows, in the order in which they are shown.
    pub(super) ids: Vec<i64>,
    /// The groups they are of.
    pub(super) groups: Vec<String>,
    /// When there may be more if there is nothing now and nothing is sent or deleted.
    pub(super) next: Option<Millis>,
    /// Whether there is nothing because a group has all that it may have.
    pub(super) held_back: bool,
}

/// Makes `waiting` for the messages that are there.
pub(super) fn open(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.execute_batch(
        "CREATE TEMP TABLE waiting (
             queue TEXT NOT NULL,
             message_group TEXT NOT NULL,
             next_at INTEGER NOT NULL,
             PRIMARY KEY (queue, message_group)
         ) WITHOUT ROWID;
         CREATE INDEX temp.waiting_by_time ON waiting (queue, next_at);
         INSERT INTO waiting
             SELECT queue, message_group, MIN(visible_at) FROM messages
             GROUP BY queue, message_group;",
    )
}

/// Notes that a message of a group can be received at a time.
pub(super) fn comes(
    transaction: &Transaction<'_>,
    queue: &str,
    group: &str,
    at: Millis,
) -> Result<(), SqsError> {
    transaction
        .prepare_cached(
            "INSERT INTO waiting (queue, message_group, next_at) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET next_at = MIN(next_at, excluded.next_at)",
        )?
        .execute(params![queue, group, at])?;
    Ok(())
}

/// Puts right when a group's first message can be received.
pub(super) fn refresh(
    transaction: &Transaction<'_>,
    queue: &str,
    group: &str,
) -> Result<(), SqsError> {
    let first: Option<Millis> = transaction
        .prepare_cached(
            "SELECT MIN(visible_at) FROM messages WHERE queue = ?1 AND message_group = ?2",
        )?
        .query_row([queue, group], |row| row.get(0))?;
    match first {
        Some(at) => transaction
            .prepare_cached(
                "UPDATE waiting SET next_at = ?3 WHERE queue = ?1 AND message_group = ?2",
            )?
            .execute(params![queue, group, at])?,
        None => transaction
            .prepare_cached("DELETE FROM waiting WHERE queue = ?1 AND message_group = ?2")?
            .execute([queue, group])?,
    };
    Ok(())
}

/// Chooses up to `max` messages that can be received now.
pub(super) fn choose(
    transaction: &Transaction<'_>,
    queue: &str,
    max: i64,
    now: Millis,
) -> Result<Choice, SqsError> {
    let in_flight = InFlight::read(transaction, queue, now)?;
    let mut choice = of_quiet_groups(transaction, queue, &in_flight, max, now)?;
    if choice.ids.is_empty() {
        of_a_noisy_group(transaction, queue, &in_flight, max, now, &mut choice)?;
    }
    if choice.ids.is_empty() {
        look_ahead(transaction, queue, &in_flight, now, &mut choice)?;
    }
    Ok(choice)
}

/// How many messages of each group are in flight.
struct InFlight {
    counts: HashMap<String, i64>,
    all: i64,
}

impl InFlight {
    fn read(transaction: &Transaction<'_>, queue: &str, now: Millis) -> Result<Self, SqsError> {
        let mut statement = transaction.prepare_cached(
            "SELECT message_group, COUNT(*) FROM messages
             WHERE queue = ?1 AND receipt IS NOT NULL AND visible_at > ?2 GROUP BY message_group",
        )?;
        let rows =
            statement.query_map(params![queue, now], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let counts: HashMap<String, i64> = rows.collect::<Result<_, _>>()?;
        let all = counts.values().sum();
        Ok(Self { counts, all })
    }

    fn of(&self, group: &str) -> i64 {
        self.counts.get(group).copied().unwrap_or_default()
    }

    /// How many messages a group may still get.
    fn room(&self, group: &str) -> i64 {
        if group == NONE {
            return i64::MAX;
        }
        (i64::from(GROUP_IN_FLIGHT) - self.of(group)).max(0)
    }

    fn is_noisy(&self, group: &str) -> bool {
        let count = self.of(group);
        let by_share = count >= NOISY_FROM && count * NOISY_SHARE > self.all;
        self.room(group) == 0 || (by_share && group != NONE)
    }

    /// The noisy groups, the one with the fewest messages in flight first.
    fn noisy(&self) -> Vec<&str> {
        let groups = self.counts.keys().map(String::as_str);
        let mut noisy: Vec<&str> = groups.filter(|group| self.is_noisy(group)).collect();
        noisy.sort_unstable_by_key(|group| self.of(group));
        noisy
    }
}

/// Messages of quiet groups, those first with the fewest in flight of those that have waited longest: of each
/// as many as fit.
fn of_quiet_groups(
    transaction: &Transaction<'_>,
    queue: &str,
    in_flight: &InFlight,
    max: i64,
    now: Millis,
) -> Result<Choice, SqsError> {
    let mut ids = Vec::new();
    let mut groups = Vec::new();
    let mut left = max;
    loop {
        let mut outdated = false;
        for group in due(transaction, queue, in_flight, max, now)? {
            let room = left.min(in_flight.room(&group));
            if room == 0 {
                break;
            }
            let oldest = oldest(transaction, queue, &group, room, now)?;
            if oldest.is_empty() {
                refresh(transaction, queue, &group)?;
                outdated = true;
            } else {
                left = left.saturating_sub_unsigned(oldest.len() as u64);
                ids.extend(oldest);
                groups.push(group);
            }
        }
        // Behind entries that were put right there may be others.
        if !ids.is_empty() || !outdated {
            break;
        }
    }
    Ok(Choice {
        ids,
        groups,
        next: None,
        held_back: false,
    })
}

/// The quiet groups that have something by their entries, up to `max`: those that have waited longest, of
/// which those with the fewest messages in flight come first.
fn due(
    transaction: &Transaction<'_>,
    queue: &str,
    in_flight: &InFlight,
    max: i64,
    now: Millis,
) -> Result<Vec<String>, SqsError> {
    let mut statement = transaction.prepare_cached(
        "SELECT message_group FROM waiting WHERE queue = ?1 AND next_at <= ?2 ORDER BY next_at",
    )?;
    let mut rows = statement.query(params![queue, now])?;
    let mut due = Vec::new();
    while let Some(row) = rows.next()? {
        let group: String = row.get(0)?;
        if !in_flight.is_noisy(&group) {
            due.push(group);
            if i64::try_from(due.len()).is_ok_and(|found| found == max) {
                break;
            }
        }
    }
    due.sort_by_key(|group| in_flight.of(group));
    Ok(due)
}

/// The oldest messages of a group that can be received.
fn oldest(
    transaction: &Transaction<'_>,
    queue: &str,
    group: &str,
    max: i64,
    now: Millis,
) -> Result<Vec<i64>, SqsError> {
    let mut statement = transaction.prepare_cached(
        "SELECT id FROM messages WHERE queue = ?1 AND message_group = ?2 AND visible_at <= ?3
         ORDER BY visible_at, id LIMIT ?4",
    )?;
    let ids = statement.query_map(params![queue, group, now, max], |row| row.get(0))?;
    Ok(ids.collect::<Result<_, _>>()?)
}

/// Messages of the noisy group that has the fewest in flight, as many as it may still have.
fn of_a_noisy_group(
    transaction: &Transaction<'_>,
    queue: &str,
    in_flight: &InFlight,
    max: i64,
    now: Millis,
    choice: &mut Choice,
) -> Result<(), SqsError> {
    for group in in_flight.noisy() {
        let room = in_flight.room(group);
        let ids = oldest(transaction, queue, group, max.min(room), now)?;
        if !ids.is_empty() {
            choice.ids = ids;
            choice.groups = vec![group.to_owned()];
            break;
        }
        if room > 0 {
            refresh(transaction, queue, group)?;
        }
    }
    Ok(())
}

/// When there may be something to receive: when a message's time comes, or when a group that has
/// all that it may have gets one back.
fn look_ahead(
    transaction: &Transaction<'_>,
    queue: &str,
    in_flight: &InFlight,
    now: Millis,
    choice: &mut Choice,
) -> Result<(), SqsError> {
    let mut statement = transaction.prepare_cached(
        "SELECT message_group, next_at FROM waiting WHERE queue = ?1 ORDER BY next_at",
    )?;
    let mut rows = statement.query([queue])?;
    let mut times = Vec::new();
    while let Some(row) = rows.next()? {
        let group: String = row.get(0)?;
        let at: Millis = row.get(1)?;
        if !in_flight.is_noisy(&group) {
            times.push(at);
            break;
        }
        if at > now {
            times.push(at);
            continue;
        }
        choice.held_back = true;
        let freed: Option<Millis> = transaction
            .prepare_cached(
                "SELECT visible_at FROM messages
                 WHERE queue = ?1 AND message_group = ?2 AND receipt IS NOT NULL AND visible_at > ?3
                 ORDER BY visible_at LIMIT 1",
            )?
            .query_row(params![queue, group, now], |row| row.get(0))
            .optional()?;
        times.extend(freed);
    }
    choice.next = times.into_iter().min();
    Ok(())
}
