//! The call history: one thread, one writer, SQLite in the user's data folder. No text is ever stored.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, params};
use tokio::sync::mpsc::UnboundedSender;

use crate::{CallRecord, Event, RecordKind, notice};

/// Rows the window gets.
const SHOWN: u32 = 200;
const VERSION: u32 = 1;
const FILE: &str = "calls.sqlite";

enum Order {
    Add(CallRecord),
    Forget(i64),
}

/// The history; without a folder nothing is kept.
#[derive(Debug)]
pub(crate) struct Journal {
    orders: Option<Sender<Order>>,
    /// Closed by the thread when everything is written.
    written: Receiver<()>,
}

/// Why the history cannot be used.
#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error("it was written by a later version of Parlour")]
    Later,
    #[error("{0}")]
    Database(#[from] rusqlite::Error),
    #[error("{0}")]
    Folder(#[from] std::io::Error),
}

impl Journal {
    /// Opens it and tells what is in it.
    pub(crate) fn open(folder: Option<PathBuf>, events: UnboundedSender<Event>) -> Self {
        let (done, written) = channel();
        let Some(folder) = folder else { return Self { orders: None, written } };
        let (orders, received) = channel();
        let spawned = std::thread::Builder::new().name("journal".to_owned()).spawn(move || {
            keep(&folder, &received, &events);
            drop(done);
        });
        Self { orders: spawned.is_ok().then_some(orders), written }
    }

    pub(crate) fn add(&self, record: CallRecord) {
        self.order(Order::Add(record));
    }

    pub(crate) fn forget(&self, id: i64) {
        self.order(Order::Forget(id));
    }

    /// Waits until everything is written, at most so long.
    pub(crate) fn close(&mut self, limit: Duration) {
        if self.orders.take().is_some()
            && self.written.recv_timeout(limit) == Err(RecvTimeoutError::Timeout)
        {
            tracing::warn!("the call history could not be written in time");
        }
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            let _ = orders.send(order);
        }
    }
}

/// The thread: writes one order after the other and tells the history after each.
fn keep(folder: &Path, orders: &Receiver<Order>, events: &UnboundedSender<Event>) {
    // Where nobody listens any more, the rest is written all the same.
    let notice = |text| drop(events.send(Event::Notice { text }));
    let database = match open_or_set_aside(folder, notice) {
        Ok(database) => database,
        Err(error) => return notice(notice::history_unusable(&error)),
    };
    let tell = || match history(&database) {
        Ok(rows) => drop(events.send(Event::History(rows))),
        Err(error) => notice(notice::history_unusable(&error)),
    };
    tell();
    for order in orders {
        let done = match &order {
            Order::Add(record) => add(&database, record),
            Order::Forget(id) => {
                database.execute("DELETE FROM calls WHERE id = ?1", [id]).map(|_| ())
            }
        };
        if let Err(error) = done {
            notice(notice::history_unusable(&error));
        }
        tell();
    }
}

/// A damaged file is kept under another name: what can be read of it is its owner's to decide, and calls go on.
fn open_or_set_aside(folder: &Path, notice: impl Fn(String)) -> Result<Connection, OpenError> {
    let damage = match open(folder) {
        Err(OpenError::Database(error)) if is_damage(&error) => error,
        opened => return opened,
    };
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let aside = folder.join(format!("{FILE}.damaged-{unix}"));
    std::fs::rename(folder.join(FILE), &aside)?;
    for beside in ["-wal", "-shm"] {
        // They belong to the file set aside, and are not always there.
        let _ = std::fs::rename(
            folder.join(format!("{FILE}{beside}")),
            folder.join(format!("{FILE}.damaged-{unix}{beside}")),
        );
    }
    notice(notice::history_set_aside(&damage, &aside));
    open(folder)
}

fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    match error {
        rusqlite::Error::SqliteFailure(code, _) => {
            // "Unknown" is what a missing table or column gives: somebody else's file under our name.
            matches!(code.code, DatabaseCorrupt | NotADatabase | rusqlite::ErrorCode::Unknown)
        }
        rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::SqlInputError { .. } => true,
        _ => false,
    }
}

fn open(folder: &Path) -> Result<Connection, OpenError> {
    // The folder may be the user's own and stay as it is; what is made here only he can read.
    let mut builder = std::fs::DirBuilder::new();
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
        builder.mode(0o700);
        options.mode(0o600);
    }
    builder.recursive(true).create(folder)?;
    let path = folder.join(FILE);
    options.open(&path)?;
    let database = Connection::open(path)?;
    let version: u32 = database.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version < 1 {
        database.execute_batch(
            "BEGIN;
             CREATE TABLE calls (
               id INTEGER PRIMARY KEY, uri TEXT NOT NULL, name TEXT NOT NULL, kind INTEGER NOT NULL,
               started INTEGER NOT NULL, seconds INTEGER NOT NULL, people INTEGER NOT NULL,
               messages INTEGER NOT NULL, reason TEXT NOT NULL);
             COMMIT;",
        )?;
        database.pragma_update(None, "user_version", VERSION)?;
    } else if version > VERSION {
        return Err(OpenError::Later);
    }
    // What cannot be read back is found now and not at the end of a call.
    history(&database)?;
    database.pragma_update(None, "journal_mode", "WAL")?;
    Ok(database)
}

fn add(database: &Connection, record: &CallRecord) -> rusqlite::Result<()> {
    database.execute(
        "INSERT INTO calls (uri, name, kind, started, seconds, people, messages, reason)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            record.uri,
            record.name,
            number(record.kind),
            record.started_unix,
            record.duration.as_secs() as i64,
            record.people,
            record.messages,
            record.reason
        ],
    )?;
    Ok(())
}

fn history(database: &Connection) -> rusqlite::Result<Vec<CallRecord>> {
    let mut query = database.prepare(
        "SELECT id, uri, name, kind, started, seconds, people, messages, reason
         FROM calls ORDER BY started DESC, id DESC LIMIT ?1",
    )?;
    let rows = query.query_map([SHOWN], |row| {
        let seconds: i64 = row.get(5)?;
        Ok(CallRecord {
            id: row.get(0)?,
            uri: row.get(1)?,
            name: row.get(2)?,
            kind: kind(row.get(3)?),
            started_unix: row.get(4)?,
            duration: Duration::from_secs(seconds.max(0) as u64),
            people: row.get(6)?,
            messages: row.get(7)?,
            reason: row.get(8)?,
        })
    })?;
    rows.collect()
}

fn number(kind: RecordKind) -> i64 {
    match kind {
        RecordKind::Outgoing => 0,
        RecordKind::Incoming => 1,
        RecordKind::Missed => 2,
        RecordKind::Conference => 3,
    }
}

fn kind(number: i64) -> RecordKind {
    match number {
        0 => RecordKind::Outgoing,
        1 => RecordKind::Incoming,
        2 => RecordKind::Missed,
        _ => RecordKind::Conference,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_there_again_newest_first() {
        let folder = tempfile::tempdir().unwrap();
        let record = |name: &str, started_unix| CallRecord {
            id: 0,
            uri: "sip:a@b".into(),
            name: name.into(),
            kind: RecordKind::Missed,
            started_unix,
            duration: Duration::from_secs(9),
            people: 1,
            messages: 2,
            reason: String::new(),
        };
        let database = open(folder.path()).unwrap();
        add(&database, &record("old", 1)).unwrap();
        add(&database, &record("new", 2)).unwrap();
        drop(database);
        let rows = history(&open(folder.path()).unwrap()).unwrap();
        let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["new", "old"]);
        assert_eq!((rows[0].kind, rows[0].duration.as_secs()), (RecordKind::Missed, 9));
    }
}
