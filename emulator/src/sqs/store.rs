//! The queues' file.
//!
//! A message is one row. It can be received when its `visible_at` has come; receiving it moves that
//! time on and gives it a new receipt. Which of those that can be received are is for
//! [`groups`](super::groups) to say. One connection behind a lock serves all requests: an operation
//! is one short transaction, of tens of microseconds, however many messages wait.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use uuid::Uuid;

use super::{SqsError, api::MessageAttributes, groups};

/// Milliseconds since 1970.
pub(super) type Millis = i64;

/// A queue's attributes as they were set.
pub(super) type Attributes = BTreeMap<String, String>;

/// A message to store.
pub(super) struct Outgoing {
    pub(super) message_id: String,
    pub(super) body: String,
    /// The group it belongs to; empty for none.
    pub(super) group: String,
    pub(super) attributes: MessageAttributes,
    /// The trace header that it was sent with; empty for none.
    pub(super) trace: String,
    pub(super) delay: Millis,
}

/// A message that was received.
pub(super) struct StoredMessage {
    pub(super) message_id: String,
    pub(super) receipt: String,
    pub(super) body: String,
    pub(super) group: String,
    pub(super) attributes: MessageAttributes,
    pub(super) trace: String,
    pub(super) sent_at: Millis,
    pub(super) receive_count: i64,
    pub(super) first_received_at: Millis,
}

/// What receiving goes by.
pub(super) struct ReceiveRules {
    pub(super) max_messages: i64,
    pub(super) visibility_timeout: Millis,
    /// After how many receives a message goes to which queue instead.
    pub(super) redrive: Option<(i64, String)>,
}

/// What receiving came to.
pub(super) struct Taken {
    pub(super) messages: Vec<StoredMessage>,
    /// Whether messages have moved to the dead-letter queue.
    pub(super) moved: bool,
    /// When there may be something to receive if nothing else happens.
    pub(super) next: Option<Millis>,
}

/// How many messages a queue has.
pub(super) struct Counts {
    pub(super) visible: i64,
    pub(super) in_flight: i64,
    pub(super) delayed: i64,
}

/// How long may pass between two notes that the queues are alive. What is more is time in which nobody could work
/// them: the process had ended, or the machine slept.
const ALIVE_WITHIN: Millis = 2 * 60 * 1000;

/// All queues.
pub(crate) struct Store {
    connection: Mutex<Connection>,
    /// Whether a receive has left messages behind that a deletion makes room for.
    held_back: AtomicBool,
}

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS queues (
        name TEXT PRIMARY KEY,
        attributes TEXT NOT NULL,
        created_at INTEGER NOT NULL
    );
    CREATE TABLE IF NOT EXISTS messages (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        queue TEXT NOT NULL,
        message_id TEXT NOT NULL,
        body TEXT NOT NULL,
        sent_at INTEGER NOT NULL,
        visible_at INTEGER NOT NULL,
        receive_count INTEGER NOT NULL DEFAULT 0,
        first_received_at INTEGER,
        receipt TEXT,
        message_group TEXT NOT NULL DEFAULT '',
        attributes TEXT NOT NULL DEFAULT '{}',
        trace TEXT NOT NULL DEFAULT '',
        kept_since INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE IF NOT EXISTS alive (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        at INTEGER NOT NULL
    );
";

/// After the columns that an older file may lack.
const INDEXES: &str = "
    DROP INDEX IF EXISTS messages_by_time;
    CREATE INDEX IF NOT EXISTS messages_by_group
        ON messages (queue, message_group, visible_at, id);
    CREATE INDEX IF NOT EXISTS messages_received
        ON messages (queue, receive_count, visible_at) WHERE receive_count > 0;
    CREATE INDEX IF NOT EXISTS messages_in_flight
        ON messages (queue, message_group, visible_at) WHERE receipt IS NOT NULL;
";

impl Store {
    /// Queues in memory.
    pub(crate) fn memory() -> rusqlite::Result<Self> {
        let connection = Connection::open_in_memory()?;
        prepare(&connection)?;
        Self::with(connection)
    }

    /// Queues in a file, which no other process works on. Those who had messages in flight have
    /// ended with the server that they had them from, so these can be received again at once.
    pub(crate) fn file(path: &Path, now: Millis) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        // What is committed survives the end of the process at any moment; the end of the machine
        // may cost the last transactions.
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "normal")?;
        prepare(&connection)?;
        connection.execute(
            "UPDATE messages SET visible_at = ?1 WHERE receipt IS NOT NULL AND visible_at > ?1",
            [now],
        )?;
        // How long the messages of an older file have been kept while somebody could work them, nobody knows.
        connection.execute(
            "UPDATE messages SET kept_since = ?1 WHERE kept_since = 0",
            [now],
        )?;
        let store = Self::with(connection)?;
        store.note_alive(now)?;
        Ok(store)
    }

    fn with(connection: Connection) -> rusqlite::Result<Self> {
        groups::open(&connection)?;
        connection.set_prepared_statement_cache_capacity(32);
        Ok(Self {
            connection: Mutex::new(connection),
            held_back: AtomicBool::new(false),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic elsewhere has rolled its transaction back.
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the queues can be worked. The time since it was last noted, if that is long, does not count as
    /// time for which messages have been kept.
    pub(super) fn note_alive(&self, now: Millis) -> rusqlite::Result<()> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let last: Option<Millis> = transaction
            .query_row("SELECT at FROM alive", [], |row| row.get(0))
            .optional()?;
        let away = last.map_or(0, |last| now - last);
        if away > ALIVE_WITHIN {
            transaction.execute(
                "UPDATE messages SET kept_since = MIN(kept_since + ?1, ?2)",
                [away, now],
            )?;
        }
        transaction.execute(
            "INSERT INTO alive (one, at) VALUES (1, ?1) ON CONFLICT DO UPDATE SET at = excluded.at",
            [now],
        )?;
        transaction.commit()
    }

    /// Makes a queue, or gives one its attributes.
    pub(super) fn put(
        &self,
        name: &str,
        attributes: &BTreeMap<String, String>,
        now: Millis,
    ) -> Result<(), SqsError> {
        let text = serde_json::to_string(attributes)?;
        self.lock().execute(
            "INSERT INTO queues (name, attributes, created_at) VALUES (?1, ?2, ?3)
             ON CONFLICT (name) DO UPDATE SET attributes = excluded.attributes",
            params![name, text, now],
        )?;
        Ok(())
    }

    /// A queue's attributes as they were set, and when it was made.
    pub(super) fn queue(&self, name: &str) -> Result<Option<(Attributes, Millis)>, SqsError> {
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached("SELECT attributes, created_at FROM queues WHERE name = ?1")?;
        let row: Option<(String, Millis)> = statement
            .query_row([name], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((text, created_at)) = row else {
            return Ok(None);
        };
        Ok(Some((serde_json::from_str(&text)?, created_at)))
    }

    pub(super) fn names(&self) -> Result<Vec<String>, SqsError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached("SELECT name FROM queues ORDER BY name")?;
        let names = statement.query_map([], |row| row.get(0))?;
        Ok(names.collect::<Result<_, _>>()?)
    }

    pub(super) fn send(
        &self,
        queue: &str,
        messages: &[Outgoing],
        now: Millis,
    ) -> Result<(), SqsError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        for message in messages {
            transaction
                .prepare_cached(
                    "INSERT INTO messages
                         (queue, message_id, body, sent_at, kept_since, visible_at, message_group,
                          attributes, trace)
                     VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6, ?7, ?8)",
                )?
                .execute(params![
                    queue,
                    message.message_id,
                    message.body,
                    now,
                    now + message.delay,
                    message.group,
                    serde_json::to_string(&message.attributes)?,
                    message.trace
                ])?;
            groups::comes(&transaction, queue, &message.group, now + message.delay)?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// Receives messages, and moves those to the dead-letter queue that were received too often.
    pub(super) fn receive(
        &self,
        queue: &str,
        rules: &ReceiveRules,
        now: Millis,
    ) -> Result<Taken, SqsError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let moved = match &rules.redrive {
            None => false,
            Some((max_receives, target)) => {
                redrive(&transaction, queue, *max_receives, target, now)?
            }
        };
        let choice = groups::choose(&transaction, queue, rules.max_messages, now)?;
        let messages = take(&transaction, &choice.ids, rules, now)?;
        for group in &choice.groups {
            groups::refresh(&transaction, queue, group)?;
        }
        transaction.commit()?;
        if choice.held_back {
            self.held_back.store(true, Ordering::Relaxed);
        }
        Ok(Taken {
            messages,
            moved,
            next: choice.next,
        })
    }

    /// Deletes the message that was last received with this receipt. One that was received again
    /// since then stays, as it may with the real service. Says whether that may have made room for
    /// messages that a receive has left behind.
    pub(super) fn delete(&self, queue: &str, receipt: &str) -> Result<bool, SqsError> {
        let id = row_of(receipt)?;
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached("DELETE FROM messages WHERE id = ?1 AND queue = ?2 AND receipt = ?3")?;
        let deleted = statement.execute(params![id, queue, receipt])?;
        Ok(deleted > 0 && self.held_back.swap(false, Ordering::Relaxed))
    }

    pub(super) fn change_visibility(
        &self,
        queue: &str,
        receipt: &str,
        timeout: Millis,
        now: Millis,
    ) -> Result<(), SqsError> {
        let id = row_of(receipt)?;
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let changed: Option<String> = transaction
            .query_row(
                "UPDATE messages SET visible_at = ?4
                 WHERE id = ?1 AND queue = ?2 AND receipt = ?3 AND visible_at > ?5
                 RETURNING message_group",
                params![id, queue, receipt, now + timeout, now],
                |row| row.get(0),
            )
            .optional()?;
        let group = changed.ok_or(SqsError::NotInFlight)?;
        groups::comes(&transaction, queue, &group, now + timeout)?;
        transaction.commit()?;
        Ok(())
    }

    pub(super) fn purge(&self, queue: &str) -> Result<(), SqsError> {
        // The group's entries go at the next receive.
        self.lock()
            .execute("DELETE FROM messages WHERE queue = ?1", [queue])?;
        Ok(())
    }

    /// Deletes what has been kept since before a time, and says how many messages that were.
    pub(super) fn expire(&self, queue: &str, kept_before: Millis) -> Result<usize, SqsError> {
        let expired = self.lock().execute(
            "DELETE FROM messages WHERE queue = ?1 AND kept_since < ?2",
            params![queue, kept_before],
        )?;
        Ok(expired)
    }

    pub(super) fn counts(&self, queue: &str, now: Millis) -> Result<Counts, SqsError> {
        Ok(self.lock().query_row(
            "SELECT COUNT(*) FILTER (WHERE visible_at <= ?2),
                    COUNT(*) FILTER (WHERE visible_at > ?2 AND receipt IS NOT NULL),
                    COUNT(*) FILTER (WHERE visible_at > ?2 AND receipt IS NULL)
             FROM messages WHERE queue = ?1",
            params![queue, now],
            |row| {
                Ok(Counts {
                    visible: row.get(0)?,
                    in_flight: row.get(1)?,
                    delayed: row.get(2)?,
                })
            },
        )?)
    }
}

/// Makes the tables, or brings those of an older file up to date.
fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(SCHEMA)?;
    for (column, definition) in [
        ("message_group", "TEXT NOT NULL DEFAULT ''"),
        ("attributes", "TEXT NOT NULL DEFAULT '{}'"),
        ("trace", "TEXT NOT NULL DEFAULT ''"),
        ("kept_since", "INTEGER NOT NULL DEFAULT 0"),
    ] {
        if !connection.column_exists(None, "messages", column)? {
            connection.execute_batch(&format!(
                "ALTER TABLE messages ADD COLUMN {column} {definition}"
            ))?;
        }
    }
    connection.execute_batch(INDEXES)
}

/// Moves messages that could be received but were received often enough.
fn redrive(
    transaction: &Transaction<'_>,
    queue: &str,
    max_receives: i64,
    target: &str,
    now: Millis,
) -> Result<bool, SqsError> {
    let mut statement = transaction.prepare_cached(
        "UPDATE messages
         SET queue = ?3, visible_at = ?4, receive_count = 0, first_received_at = NULL, receipt = NULL
         WHERE queue = ?1 AND visible_at <= ?4 AND receive_count >= ?2 AND receive_count > 0
         RETURNING message_group",
    )?;
    let moved = statement.query_map(params![queue, max_receives, target, now], |row| row.get(0))?;
    let moved: Vec<String> = moved.collect::<Result<_, _>>()?;
    for group in &moved {
        groups::comes(transaction, target, group, now)?;
    }
    Ok(!moved.is_empty())
}

/// Hands these messages out.
fn take(
    transaction: &Transaction<'_>,
    ids: &[i64],
    rules: &ReceiveRules,
    now: Millis,
) -> Result<Vec<StoredMessage>, SqsError> {
    let mut update = transaction.prepare_cached(
        "UPDATE messages SET visible_at = ?2, receipt = ?3, receive_count = receive_count + 1,
                             first_received_at = coalesce(first_received_at, ?4)
         WHERE id = ?1
         RETURNING message_id, receipt, body, message_group, sent_at, receive_count,
                   first_received_at, attributes, trace",
    )?;
    let mut messages = Vec::with_capacity(ids.len());
    for id in ids {
        let receipt = format!("{id}:{}", Uuid::now_v7().simple());
        let visible_at = now + rules.visibility_timeout;
        let (mut message, attributes) =
            update.query_row(params![id, visible_at, receipt, now], |row| {
                let message = StoredMessage {
                    message_id: row.get(0)?,
                    receipt: row.get(1)?,
                    body: row.get(2)?,
                    group: row.get(3)?,
                    sent_at: row.get(4)?,
                    receive_count: row.get(5)?,
                    first_received_at: row.get(6)?,
                    attributes: MessageAttributes::new(),
                    trace: row.get(8)?,
                };
                Ok((message, row.get::<_, String>(7)?))
            })?;
        message.attributes = serde_json::from_str(&attributes)?;
        messages.push(message);
    }
    Ok(messages)
}

/// The row that a receipt names.
fn row_of(receipt: &str) -> Result<i64, SqsError> {
    let (id, _) = receipt.split_once(':').ok_or(SqsError::InvalidReceipt)?;
    id.parse().map_err(|_| SqsError::InvalidReceipt)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const HOUR: Millis = 3_600_000;

    fn open(path: &Path, now: Millis) -> Store {
        Store::file(path, now).unwrap()
    }

    fn send(store: &Store, now: Millis) {
        let message = Outgoing {
            message_id: "m".to_owned(),
            body: "x".to_owned(),
            group: String::new(),
            attributes: MessageAttributes::new(),
            trace: String::new(),
            delay: 0,
        };
        store.send("jobs", &[message], now).unwrap();
    }

    #[test]
    fn time_in_which_nobody_could_work_a_queue_does_not_count_as_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sqs.sqlite");
        let store = open(&path, 0);
        send(&store, 1_000);
        store.note_alive(60_000).unwrap();
        drop(store);

        // Five days later, and again after a sleep of the machine.
        let down = 120 * HOUR;
        let store = open(&path, 60_000 + down);
        store.note_alive(60_000 + 2 * down).unwrap();
        let now = 60_000 + 2 * down;
        assert_eq!(store.expire("jobs", now - 60_000).unwrap(), 0);
        // What the queue says of when it was sent stays the truth.
        let rules = ReceiveRules {
            max_messages: 1,
            visibility_timeout: 0,
            redrive: None,
        };
        let taken = store.receive("jobs", &rules, now).unwrap();
        assert_eq!(taken.messages[0].sent_at, 1_000);
        assert_eq!(store.expire("jobs", now - 58_000).unwrap(), 1);
    }

    #[test]
    fn time_that_is_noted_counts_as_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sqs.sqlite");
        let store = open(&path, 0);
        send(&store, 1);
        for minute in 1..=60 {
            store.note_alive(minute * 60_000).unwrap();
        }
        drop(store);
        let store = open(&path, HOUR + 1);
        assert_eq!(store.expire("jobs", 2).unwrap(), 1);
    }

    #[test]
    fn a_clock_that_is_set_back_makes_nothing_older_or_newer_than_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sqs.sqlite");
        let store = open(&path, 2 * HOUR);
        send(&store, 2 * HOUR);
        store.note_alive(HOUR).unwrap();
        assert_eq!(store.expire("jobs", 2 * HOUR).unwrap(), 0);
        assert_eq!(store.expire("jobs", 2 * HOUR + 1).unwrap(), 1);
    }

    #[test]
    fn messages_of_an_older_file_are_kept_from_its_first_opening_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sqs.sqlite");
        let store = open(&path, 0);
        send(&store, 0);
        let older = "ALTER TABLE messages DROP COLUMN kept_since; DROP TABLE alive;";
        store.lock().execute_batch(older).unwrap();
        drop(store);
        let store = open(&path, HOUR);
        assert_eq!(store.expire("jobs", HOUR).unwrap(), 0);
        assert_eq!(store.expire("jobs", HOUR + 1).unwrap(), 1);
    }
}
