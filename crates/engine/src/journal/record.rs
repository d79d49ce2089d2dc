//! What is written, row by row.

use std::time::{Duration, SystemTime};

use rusqlite::{Connection, OptionalExtension, Result, params};
use time::OffsetDateTime;

use super::{Interrupted, Retention};
use crate::{
    CallRecord, Delivery, Line, MessageId, Participant, ParticipantState, RecordKind, json,
};

/// Rows the window gets.
const SHOWN: u32 = 200;
/// The conference of texts from outside of any session.
pub(super) const OUTSIDE: i64 = 0;

/// Microseconds since 1970 UTC.
pub(super) fn micros(at: OffsetDateTime) -> i64 {
    (at.unix_timestamp_nanos() / 1000).clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

pub(super) fn now() -> i64 {
    micros(SystemTime::now().into())
}

pub(super) fn begin(database: &Connection, uri: &str, subject: &str, kept: bool) -> Result<i64> {
    database.execute(
        "INSERT INTO conferences (uri, subject, started, kept) VALUES (?1, ?2, ?3, ?4)",
        params![uri, subject, now(), kept],
    )?;
    Ok(database.last_insert_rowid())
}

pub(super) fn rename(database: &Connection, id: i64, uri: &str, subject: &str) -> Result<()> {
    database
        .prepare_cached(
            "UPDATE conferences SET subject = ?2, uri = iif(?3 = '', uri, ?3) WHERE id = ?1",
        )?
        .execute(params![id, subject, uri])
        .map(drop)
}

pub(super) fn end(database: &Connection, id: i64) -> Result<()> {
    let at = now();
    database.execute("UPDATE conferences SET ended = ?2 WHERE id = ?1", params![id, at])?;
    database.execute(
        "UPDATE participants SET gone = ?2 WHERE conference = ?1 AND joined IS NOT NULL
         AND gone IS NULL",
        params![id, at],
    )?;
    Ok(())
}

pub(super) fn keep(database: &Connection, id: i64) -> Result<()> {
    database.execute("UPDATE conferences SET kept = 2 WHERE id = ?1", [id]).map(drop)
}

/// A line; one that is there already stays.
pub(super) fn line(database: &Connection, conference: i64, line: &Line) -> Result<()> {
    let scope = json::recipient(&line.to);
    database
        .prepare_cached(
            "INSERT OR IGNORE INTO messages
             (conference, line, seq, sender, name, is_own, scope, body, verified, expired, at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            conference,
            line.id.0 as i64,
            line.seq.map(|seq| seq as i64),
            line.from,
            line.name,
            line.is_own,
            scope,
            line.text,
            line.verified,
            line.expired,
            micros(line.at),
        ])
        .map(drop)
}

pub(super) fn accepted(
    database: &Connection,
    conference: i64,
    reference: &str,
    id: MessageId,
    seq: Option<u64>,
) -> Result<()> {
    database
        .prepare_cached(
            "UPDATE messages SET reference = ?3, seq = coalesce(?4, seq)
             WHERE conference = ?1 AND line = ?2",
        )?
        .execute(params![conference, id.0 as i64, reference, seq.map(|seq| seq as i64)])
        .map(drop)
}

pub(super) fn delivery(database: &Connection, conference: i64, delivery: &Delivery) -> Result<()> {
    database
        .prepare_cached(
            "INSERT OR REPLACE INTO deliveries
             (conference, line, recipient, state, code, reason, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            conference,
            delivery.id.0 as i64,
            delivery.recipient,
            json::delivery_state(delivery.state),
            delivery.code,
            delivery.reason,
            now(),
        ])
        .map(drop)
}

/// Who was there, from the first time to the last.
pub(super) fn participant(
    database: &Connection,
    conference: i64,
    person: &Participant,
) -> Result<()> {
    let is_here = matches!(person.state, ParticipantState::Connected | ParticipantState::OnHold);
    let is_gone = person.state == ParticipantState::Disconnected;
    let at = now();
    database
        .prepare_cached(
            "INSERT INTO participants (conference, entity, name, is_self, joined, gone)
             VALUES (?1, ?2, ?3, ?4, iif(?5, ?7, NULL), NULL)
             ON CONFLICT (conference, entity) DO UPDATE SET
             name = excluded.name, joined = coalesce(joined, excluded.joined),
             gone = iif(?5, NULL, iif(?6 AND joined IS NOT NULL, coalesce(gone, ?7), gone))",
        )?
        .execute(params![
            conference,
            person.entity,
            person.name,
            person.is_self,
            is_here,
            is_gone,
            at
        ])
        .map(drop)
}

/// Conferences that nobody ended: their program did not come to it. From here on they are over.
pub(super) fn interrupted(database: &Connection) -> Result<Vec<Interrupted>> {
    let mut query = database.prepare(
        "SELECT id, uri, subject, (SELECT count(*) FROM messages WHERE conference = conferences.id)
         FROM conferences WHERE ended IS NULL ORDER BY id",
    )?;
    let rows = query.query_map([], |row| {
        Ok(Interrupted {
            id: row.get(0)?,
            uri: row.get(1)?,
            subject: row.get(2)?,
            people: Vec::new(),
            lines: row.get(3)?,
        })
    })?;
    let mut all: Vec<Interrupted> = rows.collect::<Result<_>>()?;
    for one in &mut all {
        let mut query = database.prepare(
            "SELECT entity FROM participants WHERE conference = ?1 AND joined IS NOT NULL
             AND gone IS NULL AND NOT is_self ORDER BY joined",
        )?;
        one.people = query.query_map([one.id], |row| row.get(0))?.collect::<Result<_>>()?;
        let last: Option<i64> = database
            .query_row("SELECT max(at) FROM messages WHERE conference = ?1", [one.id], |row| {
                row.get(0)
            })
            .optional()?
            .flatten();
        database.execute(
            "UPDATE conferences SET ended = max(started, coalesce(?2, 0)), was_cut = 1
             WHERE id = ?1",
            params![one.id, last],
        )?;
    }
    Ok(all)
}

/// Erases the texts that are to go: those of ended conferences that nobody keeps, and what is too old. What an interrupted
/// conference left stays where `spares_cut`, for its owner to decide.
pub(super) fn erase(
    database: &mut Connection,
    retention: Retention,
    spares_cut: bool,
) -> Result<()> {
    let goes = "SELECT id FROM conferences WHERE ended IS NOT NULL AND
                (kept = 0 AND NOT (was_cut AND ?1) OR kept < 2 AND ended < ?2)";
    let before = match retention {
        Retention::Days(days) => now().saturating_sub(i64::from(days) * 86_400_000_000),
        Retention::Forever | Retention::Never | Retention::Session => i64::MIN,
    };
    let outside_before = match retention {
        Retention::Days(_) | Retention::Forever => before,
        Retention::Never | Retention::Session => i64::MAX,
    };
    let transaction = database.transaction()?;
    for table in ["deliveries", "messages", "participants"] {
        let sql = format!("DELETE FROM {table} WHERE conference IN ({goes})");
        transaction.execute(&sql, params![spares_cut, before])?;
    }
    let sql = format!("DELETE FROM conferences WHERE id IN ({goes})");
    transaction.execute(&sql, params![spares_cut, before])?;
    transaction.execute(
        "DELETE FROM messages WHERE conference = ?1 AND at < ?2",
        params![OUTSIDE, outside_before],
    )?;
    transaction.commit()
}

pub(super) fn delete(database: &mut Connection, id: i64) -> Result<bool> {
    let transaction = database.transaction()?;
    for table in ["deliveries", "messages", "participants"] {
        transaction.execute(&format!("DELETE FROM {table} WHERE conference = ?1"), [id])?;
    }
    let rows = transaction.execute("DELETE FROM conferences WHERE id = ?1", [id])?;
    transaction.commit()?;
    Ok(rows > 0)
}

pub(super) fn add(database: &Connection, record: &CallRecord) -> Result<()> {
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

pub(super) fn history(database: &Connection) -> Result<Vec<CallRecord>> {
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
