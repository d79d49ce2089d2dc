//! The call history: one thread, one writer, SQLite in the user's data folder. No text is ever stored.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use rusqlite::{Connection, params};
use tokio::sync::mpsc::UnboundedSender;

use crate::{CallRecord, Event, RecordKind, notice};

/// Rows the window gets.
const SHOWN: u32 = 200;
const VERSION: u32 = 1;

enum Order {
    Add(CallRecord),
    Forget(i64),
}

/// The history; without a folder nothing is kept.
#[derive(Debug)]
pub(crate) struct Journal {
    orders: Option<Sender<Order>>,
}

impl Journal {
    /// Opens it and tells what is in it.
    pub(crate) fn open(folder: Option<PathBuf>, events: UnboundedSender<Event>) -> Self {
        let Some(folder) = folder else { return Self { orders: None } };
        let (orders, received) = channel();
        let spawned = std::thread::Builder::new().name("journal".to_owned()).spawn(move || {
            let database = match open(&folder) {
                Ok(database) => database,
                Err(error) => {
                    let _ = events.send(Event::Notice { text: notice::history_unusable(&error) });
                    return;
                }
            };
            let tell = |database: &Connection| match history(database) {
                Ok(rows) => events.send(Event::History(rows)).is_ok(),
                Err(error) => {
                    events.send(Event::Notice { text: notice::history_unusable(&error) }).is_ok()
                }
            };
            tell(&database);
            for order in received {
                let done = match &order {
                    Order::Add(record) => add(&database, record),
                    Order::Forget(id) => {
                        database.execute("DELETE FROM calls WHERE id = ?1", [id]).map(|_| ())
                    }
                };
                if let Err(error) = done {
                    let _ = events.send(Event::Notice { text: notice::history_unusable(&error) });
                }
                if !tell(&database) {
                    return;
                }
            }
        });
        Self { orders: spawned.is_ok().then_some(orders) }
    }

    pub(crate) fn add(&self, record: CallRecord) {
        self.order(Order::Add(record));
    }

    pub(crate) fn forget(&self, id: i64) {
        self.order(Order::Forget(id));
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            let _ = orders.send(order);
        }
    }
}

fn open(folder: &Path) -> Result<Connection, Box<dyn std::error::Error>> {
    std::fs::create_dir_all(folder)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))?;
    }
    let database = Connection::open(folder.join("calls.sqlite"))?;
    database.pragma_update(None, "journal_mode", "WAL")?;
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
        return Err("it was written by a later version of Parlour".into());
    }
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
