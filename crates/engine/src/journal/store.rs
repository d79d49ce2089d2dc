//! The file: opening, its tables, what becomes of a damaged one.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OpenFlags};

use super::record;
use crate::notice;

pub(super) const FILE: &str = "calls.sqlite";
const LOCK: &str = "calls.lock";
const VERSION: u32 = 2;
/// So long a writer waits for another program's.
const PATIENCE: Duration = Duration::from_secs(2);
/// A larger file is not read through when it is opened.
const LARGE: u64 = 64 * 1024 * 1024;

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error("it was written by a later version of Parlour")]
    Later,
    #[error("it is damaged: {0}")]
    Damaged(String),
    #[error("{0}")]
    Database(#[from] rusqlite::Error),
    #[error("{0}")]
    Folder(#[from] std::io::Error),
}

/// A damaged file is kept under another name: what can be read of it is its owner's to decide, and calls go on.
pub(super) fn open_or_set_aside(
    folder: &Path,
    notice: impl Fn(String),
) -> Result<Connection, OpenError> {
    let damage = match open(folder) {
        Err(OpenError::Database(error)) if is_damage(&error) => error.to_string(),
        Err(OpenError::Damaged(words)) => words,
        opened => return opened,
    };
    set_aside(folder, &damage, notice)?;
    open(folder)
}

/// Gives the file another name.
pub(super) fn set_aside(
    folder: &Path,
    damage: &dyn std::fmt::Display,
    notice: impl Fn(String),
) -> std::io::Result<()> {
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
    notice(notice::history_set_aside(damage, &aside));
    Ok(())
}

pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
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

/// Held by the program whose conferences are running: what another finds open then was not interrupted.
pub(super) fn own(folder: &Path) -> Option<File> {
    let file = File::options().append(true).create(true).open(folder.join(LOCK)).ok()?;
    file.try_lock().ok().map(|()| file)
}

pub(super) fn open(folder: &Path) -> Result<Connection, OpenError> {
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
    let size = options.open(&path)?.metadata()?.len();
    let database = Connection::open(path)?;
    database.busy_timeout(PATIENCE)?;
    if size < LARGE {
        let found: String = database.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if found != "ok" {
            return Err(OpenError::Damaged(found));
        }
    }
    // Somebody else's file is left as it is.
    let version: u32 = database.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version > 0 {
        record::history(&database)?;
    }
    migrate(&database)?;
    // What cannot be read back is found now and not at the end of a call.
    record::history(&database)?;
    for table in ["conferences", "contacts", "deliveries", "messages", "participants"] {
        database.prepare(&format!("SELECT * FROM {table} LIMIT 1"))?.exists([])?;
    }
    database.pragma_update(None, "journal_mode", "WAL")?;
    // A commit is on the disk when it returns, also where the machine goes down.
    database.pragma_update(None, "synchronous", "FULL")?;
    // What was deleted is not left in the file.
    database.pragma_update(None, "secure_delete", true)?;
    Ok(database)
}

/// The same for reading, and for the few things that are done where no engine runs. The file must be there.
pub(super) fn open_existing(folder: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(folder.join(FILE), flags)?;
    database.busy_timeout(PATIENCE)?;
    migrate(&database)?;
    database.pragma_update(None, "secure_delete", true)?;
    Ok(database)
}

fn migrate(database: &Connection) -> Result<(), OpenError> {
    let version: u32 = database.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version > VERSION {
        return Err(OpenError::Later);
    }
    for (number, tables) in (1..).zip(VERSIONS) {
        if version < number {
            database.execute_batch(&format!(
                "BEGIN IMMEDIATE; {tables} PRAGMA user_version = {number}; COMMIT;"
            ))?;
        }
    }
    Ok(())
}

/// What each version brought. Times are microseconds since 1970 UTC, those of `calls` seconds.
const VERSIONS: [&str; VERSION as usize] = [
    "CREATE TABLE calls (
       id INTEGER PRIMARY KEY, uri TEXT NOT NULL, name TEXT NOT NULL, kind INTEGER NOT NULL,
       started INTEGER NOT NULL, seconds INTEGER NOT NULL, people INTEGER NOT NULL,
       messages INTEGER NOT NULL, reason TEXT NOT NULL);",
    "CREATE TABLE conferences (
       id INTEGER PRIMARY KEY AUTOINCREMENT, uri TEXT NOT NULL, subject TEXT NOT NULL,
       started INTEGER NOT NULL, ended INTEGER, kept INTEGER NOT NULL, was_cut INTEGER NOT NULL DEFAULT 0);
     CREATE TABLE participants (
       conference INTEGER NOT NULL, entity TEXT NOT NULL, name TEXT NOT NULL, is_self INTEGER NOT NULL,
       joined INTEGER, gone INTEGER, PRIMARY KEY (conference, entity));
     CREATE TABLE messages (
       id INTEGER PRIMARY KEY AUTOINCREMENT, conference INTEGER NOT NULL, line INTEGER NOT NULL,
       seq INTEGER, reference TEXT, sender TEXT NOT NULL, name TEXT NOT NULL, is_own INTEGER NOT NULL,
       scope TEXT NOT NULL, body TEXT NOT NULL, verified INTEGER NOT NULL, expired INTEGER NOT NULL,
       at INTEGER NOT NULL);
     CREATE UNIQUE INDEX lines ON messages (conference, line);
     CREATE TABLE deliveries (
       conference INTEGER NOT NULL, line INTEGER NOT NULL, recipient TEXT NOT NULL,
       state TEXT NOT NULL, code INTEGER, reason TEXT NOT NULL, at INTEGER NOT NULL,
       PRIMARY KEY (conference, line, recipient));
     CREATE TABLE contacts (
       id INTEGER PRIMARY KEY, uri TEXT NOT NULL UNIQUE, name TEXT NOT NULL, added INTEGER NOT NULL);",
];
