//! What was kept, for reading: conferences with their lines, search, contacts. It is another reader of the same file and
//! may be used beside a running engine; the few things that it changes are single statements.

use std::path::Path;

use rusqlite::{Connection, Row, params};
use time::OffsetDateTime;

use super::{record, store};
use crate::{Recipient, json};

/// Most lines that a search gives.
const MOST_FOUND: usize = 1000;

/// The journal of a data folder.
#[derive(Debug)]
pub struct Archive(Connection);

/// Why it cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ArchiveError(String);

impl From<store::OpenError> for ArchiveError {
    fn from(error: store::OpenError) -> Self {
        Self(error.to_string())
    }
}

impl From<rusqlite::Error> for ArchiveError {
    fn from(error: rusqlite::Error) -> Self {
        Self(error.to_string())
    }
}

/// One conference or call, without its lines.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TranscriptInfo {
    /// Which; never given again.
    pub id: i64,
    /// Its address; of a call the other's.
    pub uri: String,
    /// Its subject, or the other's name.
    pub subject: String,
    /// When it began.
    pub started: OffsetDateTime,
    /// When it ended; `None` while it runs, or where its program was killed and none was started since.
    pub ended: Option<OffsetDateTime>,
    /// Whether its lines stay.
    pub is_kept: bool,
    /// How many lines there are.
    pub lines: u32,
}

/// The same with all that was kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Transcript {
    /// What it was.
    pub info: TranscriptInfo,
    /// Who was in it.
    pub people: Vec<Attendance>,
    /// Its lines, in their order.
    pub lines: Vec<Kept>,
}

/// Somebody who was in a conference.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Attendance {
    /// His address in the roster.
    pub uri: String,
    /// His name.
    pub name: String,
    /// When he came; `None`: he never did.
    pub joined: Option<OffsetDateTime>,
    /// When he left; `None`: he did not.
    pub gone: Option<OffsetDateTime>,
}

/// One line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Kept {
    /// The conference it belongs to; 0: none.
    pub conference: i64,
    /// As in [`crate::Line`].
    pub id: u64,
    /// Its place in the order of public lines.
    pub seq: Option<u64>,
    /// Of one's own line: as given with it.
    pub reference: Option<String>,
    /// The author's entity.
    pub from: String,
    /// His name at that time.
    pub name: String,
    /// Whether the user wrote it.
    pub is_own: bool,
    /// To whom.
    pub to: Recipient,
    /// The text, byte for byte.
    pub text: String,
    /// Whether the author was known from his call.
    pub verified: bool,
    /// When it was taken.
    pub at: OffsetDateTime,
    /// What became of it at each recipient.
    pub deliveries: Vec<KeptDelivery>,
}

/// What became of a line at one recipient, at last.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeptDelivery {
    /// His entity.
    pub uri: String,
    /// As in docs/parlour-cli.md.
    pub state: String,
    /// The SIP status behind it.
    pub code: Option<u16>,
    /// In words.
    pub reason: String,
    /// When that was known.
    pub at: OffsetDateTime,
}

/// A line that was found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Found {
    /// The subject of its conference; empty for a text from outside.
    pub subject: String,
    /// The line, without its deliveries.
    pub line: Kept,
}

/// A person whose address was saved.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Contact {
    /// The address.
    pub uri: String,
    /// The name.
    pub name: String,
}

impl Archive {
    /// Opens the journal of a data folder, which must exist.
    pub fn open(folder: &Path) -> Result<Self, ArchiveError> {
        Ok(Self(store::open_existing(folder)?))
    }

    /// All conferences and calls whose texts are there, newest first.
    pub fn transcripts(&self) -> Result<Vec<TranscriptInfo>, ArchiveError> {
        let mut query = self.0.prepare(&format!("{INFO} ORDER BY started DESC, id DESC"))?;
        let rows = query.query_map([], info)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// One with its people and lines; `None` where there is none of that number.
    pub fn transcript(&self, id: i64) -> Result<Option<Transcript>, ArchiveError> {
        let mut query = self.0.prepare(&format!("{INFO} WHERE id = ?1"))?;
        let Some(info) = query.query_map([id], info)?.next().transpose()? else { return Ok(None) };
        let mut query = self.0.prepare(
            "SELECT entity, name, joined, gone FROM participants WHERE conference = ?1
             ORDER BY coalesce(joined, 9e18), rowid",
        )?;
        let people = query.query_map([id], |row| {
            Ok(Attendance {
                uri: row.get(0)?,
                name: row.get(1)?,
                joined: maybe(row, 2)?,
                gone: maybe(row, 3)?,
            })
        })?;
        let people = people.collect::<Result<_, _>>()?;
        let mut query = self
            .0
            .prepare(&format!("SELECT {LINE} FROM messages WHERE conference = ?1 ORDER BY id"))?;
        let lines = query.query_map([id], line)?;
        let mut lines: Vec<Kept> = lines.collect::<Result<_, _>>()?;
        for line in &mut lines {
            line.deliveries = self.deliveries(id, line.id)?;
        }
        Ok(Some(Transcript { info, people, lines }))
    }

    fn deliveries(&self, id: i64, line: u64) -> Result<Vec<KeptDelivery>, ArchiveError> {
        let mut query = self.0.prepare_cached(
            "SELECT recipient, state, code, reason, at FROM deliveries
             WHERE conference = ?1 AND line = ?2 ORDER BY recipient",
        )?;
        let rows = query.query_map(params![id, line as i64], |row| {
            Ok(KeptDelivery {
                uri: row.get(0)?,
                state: row.get(1)?,
                code: row.get(2)?,
                reason: row.get(3)?,
                at: at(row.get(4)?),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Texts from outside of any session, in their order.
    pub fn outside(&self) -> Result<Vec<Kept>, ArchiveError> {
        let mut query = self
            .0
            .prepare(&format!("SELECT {LINE} FROM messages WHERE conference = ?1 ORDER BY id"))?;
        let rows = query.query_map([record::OUTSIDE], line)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Lines in which all of this stands, newest first, at most a thousand: words as they are written, upper and lower case
    /// alike; `from:NAME` a part of the author's name or address; `has:link`, `has:key`, `has:ip` something recognised.
    pub fn search(&self, wanted: &str) -> Result<Vec<Found>, ArchiveError> {
        let wanted = Wanted::read(wanted);
        let mut query = self.0.prepare(&format!(
            "SELECT {LINE}, (SELECT subject FROM conferences WHERE id = messages.conference)
             FROM messages ORDER BY at DESC, id DESC"
        ))?;
        let mut rows = query.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let line = line(row)?;
            if wanted.fits(&line) {
                let subject: Option<String> = row.get(11)?;
                found.push(Found { subject: subject.unwrap_or_default(), line });
            }
            if found.len() == MOST_FOUND {
                break;
            }
        }
        Ok(found)
    }

    /// Keeps a conference's texts from now on; whether there is one of that number.
    pub fn keep(&self, id: i64) -> Result<bool, ArchiveError> {
        Ok(self.0.execute("UPDATE conferences SET kept = 2 WHERE id = ?1", [id])? > 0)
    }

    /// Deletes a conference with all its texts; whether there was one of that number.
    pub fn delete(&mut self, id: i64) -> Result<bool, ArchiveError> {
        Ok(record::delete(&mut self.0, id)?)
    }

    /// All contacts, by name.
    pub fn contacts(&self) -> Result<Vec<Contact>, ArchiveError> {
        let mut query = self.0.prepare("SELECT uri, name FROM contacts ORDER BY name, uri")?;
        let rows =
            query.query_map([], |row| Ok(Contact { uri: row.get(0)?, name: row.get(1)? }))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Saves a contact; one with this address gets the new name.
    pub fn save_contact(&self, contact: &Contact) -> Result<(), ArchiveError> {
        self.0.execute(
            "INSERT INTO contacts (uri, name, added) VALUES (?1, ?2, ?3)
             ON CONFLICT (uri) DO UPDATE SET name = excluded.name",
            params![contact.uri, contact.name, record::now()],
        )?;
        Ok(())
    }

    /// Deletes a contact; whether there was one with this address.
    pub fn delete_contact(&self, uri: &str) -> Result<bool, ArchiveError> {
        Ok(self.0.execute("DELETE FROM contacts WHERE uri = ?1", [uri])? > 0)
    }
}

/// What is searched for.
#[derive(Debug, Default)]
struct Wanted {
    words: Vec<String>,
    from: Vec<String>,
    has: Vec<String>,
}

impl Wanted {
    fn read(text: &str) -> Self {
        let mut wanted = Self::default();
        for word in text.split_whitespace() {
            let lower = word.to_lowercase();
            if let Some(name) = lower.strip_prefix("from:") {
                wanted.from.push(name.to_owned());
            } else if let Some(what) = lower.strip_prefix("has:") {
                wanted.has.push(what.to_owned());
            } else {
                wanted.words.push(lower);
            }
        }
        wanted
    }

    fn fits(&self, line: &Kept) -> bool {
        let author = || format!("{} {}", line.name.to_lowercase(), line.from.to_lowercase());
        (self.from.is_empty() || self.from.iter().all(|name| author().contains(name)))
            && (self.words.is_empty() || {
                let text = line.text.to_lowercase();
                self.words.iter().all(|word| text.contains(word))
            })
            && (self.has.is_empty() || self.has.iter().all(|what| has(&line.text, what)))
    }
}

fn has(text: &str, what: &str) -> bool {
    use conference::text::PieceKind::{
        Armour, Email, Fingerprint, Ip, Link, Phone, PrivateKey, Sip, SshKey,
    };
    conference::text::recognise(text).iter().any(|piece| match &piece.kind {
        Armour { .. } | Fingerprint | PrivateKey { .. } | SshKey(_) => what == "key",
        Email { .. } | Phone { .. } | Sip { .. } => false,
        Ip { .. } => what == "ip",
        Link { .. } => what == "link",
    })
}

const INFO: &str = "SELECT id, uri, subject, started, ended, kept,
    (SELECT count(*) FROM messages WHERE conference = conferences.id) FROM conferences";
const LINE: &str =
    "conference, line, seq, reference, sender, name, is_own, scope, body, verified, at";

fn info(row: &Row<'_>) -> rusqlite::Result<TranscriptInfo> {
    let kept: i64 = row.get(5)?;
    Ok(TranscriptInfo {
        id: row.get(0)?,
        uri: row.get(1)?,
        subject: row.get(2)?,
        started: at(row.get(3)?),
        ended: maybe(row, 4)?,
        is_kept: kept > 0,
        lines: row.get(6)?,
    })
}

fn line(row: &Row<'_>) -> rusqlite::Result<Kept> {
    let (id, seq): (i64, Option<i64>) = (row.get(1)?, row.get(2)?);
    let scope: String = row.get(7)?;
    Ok(Kept {
        conference: row.get(0)?,
        id: id as u64,
        seq: seq.map(|seq| seq as u64),
        reference: row.get(3)?,
        from: row.get(4)?,
        name: row.get(5)?,
        is_own: row.get(6)?,
        to: json::recipient_of(&scope),
        text: row.get(8)?,
        verified: row.get(9)?,
        at: at(row.get(10)?),
        deliveries: Vec::new(),
    })
}

fn at(micros: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn maybe(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<OffsetDateTime>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(at))
}
