//! The queues' file.
//!
//! A message is one row. It can be received when its `visible_at` has come; receiving it moves that
//! time on and gives it a new receipt. One connection behind a lock serves all requests: an
//! operation is one short transaction, of tens of microseconds.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use uuid::Uuid;

use super::SqsError;

/// Milliseconds since 1970.
pub(super) type Millis = i64;

/// A queue's attributes as they were set.
pub(super) type Attributes = BTreeMap<String, String>;

/// A message to store.
pub(super) struct Outgoing {
    pub(super) message_id: String,
    pub(super) body: String,
    pub(super) delay: Millis,
}

/// A message that was received.
pub(super) struct StoredMessage {
    pub(super) message_id: String,
    pub(super) receipt: String,
    pub(super) body: String,
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

/// How many messages a queue has.
pub(super) struct Counts {
    pub(super) visible: i64,
    pub(super) in_flight: i64,
    pub(super) delayed: i64,
}

/// All queues.
pub(crate) struct Store {
    connection: Mutex<Connection>,
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
        receipt TEXT
    );
    CREATE INDEX IF NOT EXISTS messages_by_time ON messages (queue, visible_at, id);
";

impl Store {
    /// Queues in memory.
    pub(crate) fn memory() -> rusqlite::Result<Self> {
        Self::with(Connection::open_in_memory()?)
    }

    /// Queues in a file.
    pub(crate) fn file(path: &Path) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        // What is committed survives the end of the process at any moment; the end of the machine
        // may cost the last transactions.
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "normal")?;
        Self::with(connection)
    }

    fn with(connection: Connection) -> rusqlite::Result<Self> {
        connection.execute_batch(SCHEMA)?;
        connection.set_prepared_statement_cache_capacity(32);
        Ok(Self {
            connection: Mutex::new(connection),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic elsewhere has rolled its transaction back.
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
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
                    "INSERT INTO messages (queue, message_id, body, sent_at, visible_at)
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute(params![
                    queue,
                    message.message_id,
                    message.body,
                    now,
                    now + message.delay
                ])?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// Receives messages, and moves those to the dead-letter queue that were received too often.
    /// Says whether any were moved.
    pub(super) fn receive(
        &self,
        queue: &str,
        rules: &ReceiveRules,
        now: Millis,
    ) -> Result<(Vec<StoredMessage>, bool), SqsError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let moved = match &rules.redrive {
            None => 0,
            Some((max_receives, target)) => {
                redrive(&transaction, queue, *max_receives, target, now)?
            }
        };
        let mut received = take(&transaction, queue, rules, now)?;
        for message in &mut received {
            message.receive_count += 1;
        }
        transaction.commit()?;
        Ok((received, moved > 0))
    }

    /// When the next message of a queue can be received.
    pub(super) fn next_visible(&self, queue: &str) -> Result<Option<Millis>, SqsError> {
        let connection = self.lock();
        let mut statement =
            connection.prepare_cached("SELECT MIN(visible_at) FROM messages WHERE queue = ?1")?;
        Ok(statement.query_row([queue], |row| row.get(0))?)
    }

    /// Deletes the message that was last received with this receipt. One that was received again
    /// since then stays, as it may with the real service.
    pub(super) fn delete(&self, queue: &str, receipt: &str) -> Result<(), SqsError> {
        let id = row_of(receipt)?;
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached("DELETE FROM messages WHERE id = ?1 AND queue = ?2 AND receipt = ?3")?;
        statement.execute(params![id, queue, receipt])?;
        Ok(())
    }

    pub(super) fn change_visibility(
        &self,
        queue: &str,
        receipt: &str,
        timeout: Millis,
        now: Millis,
    ) -> Result<(), SqsError> {
        let id = row_of(receipt)?;
        let changed = self.lock().execute(
            "UPDATE messages SET visible_at = ?4
             WHERE id = ?1 AND queue = ?2 AND receipt = ?3 AND visible_at > ?5",
            params![id, queue, receipt, now + timeout, now],
        )?;
        if changed == 1 {
            Ok(())
        } else {
            Err(SqsError::NotInFlight)
        }
    }

    pub(super) fn purge(&self, queue: &str) -> Result<(), SqsError> {
        self.lock()
            .execute("DELETE FROM messages WHERE queue = ?1", [queue])?;
        Ok(())
    }

    /// Deletes what was sent before a time.
    pub(super) fn expire(&self, queue: &str, sent_before: Millis) -> Result<(), SqsError> {
        self.lock().execute(
            "DELETE FROM messages WHERE queue = ?1 AND sent_at < ?2",
            params![queue, sent_before],
        )?;
        Ok(())
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

/// Moves messages that could be received but were received often enough.
fn redrive(
    transaction: &Transaction<'_>,
    queue: &str,
    max_receives: i64,
    target: &str,
    now: Millis,
) -> Result<usize, SqsError> {
    let mut statement = transaction.prepare_cached(
        "UPDATE messages
         SET queue = ?3, visible_at = ?4, receive_count = 0, first_received_at = NULL, receipt = NULL
         WHERE queue = ?1 AND visible_at <= ?4 AND receive_count >= ?2",
    )?;
    Ok(statement.execute(params![queue, max_receives, target, now])?)
}

fn take(
    transaction: &Transaction<'_>,
    queue: &str,
    rules: &ReceiveRules,
    now: Millis,
) -> Result<Vec<StoredMessage>, SqsError> {
    let mut select = transaction.prepare_cached(
        "SELECT id, message_id, body, sent_at, receive_count, first_received_at FROM messages
         WHERE queue = ?1 AND visible_at <= ?2 ORDER BY visible_at, id LIMIT ?3",
    )?;
    let rows = select.query_map(params![queue, now, rules.max_messages], |row| {
        let id: i64 = row.get(0)?;
        let message = StoredMessage {
            message_id: row.get(1)?,
            receipt: format!("{id}:{}", Uuid::now_v7().simple()),
            body: row.get(2)?,
            sent_at: row.get(3)?,
            receive_count: row.get(4)?,
            first_received_at: row.get::<_, Option<Millis>>(5)?.unwrap_or(now),
        };
        Ok((id, message))
    })?;
    let found = rows.collect::<Result<Vec<_>, _>>()?;
    let mut update = transaction.prepare_cached(
        "UPDATE messages SET visible_at = ?2, receipt = ?3, receive_count = receive_count + 1,
                             first_received_at = ?4 WHERE id = ?1",
    )?;
    for (id, message) in &found {
        let visible_at = now + rules.visibility_timeout;
        update.execute(params![
            id,
            visible_at,
            message.receipt,
            message.first_received_at
        ])?;
    }
    Ok(found.into_iter().map(|(_, message)| message).collect())
}

/// The row that a receipt names.
fn row_of(receipt: &str) -> Result<i64, SqsError> {
    let (id, _) = receipt.split_once(':').ok_or(SqsError::InvalidReceipt)?;
    id.parse().map_err(|_| SqsError::InvalidReceipt)
}
