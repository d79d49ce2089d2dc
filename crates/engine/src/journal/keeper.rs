//! The thread: takes what waits, writes it in one transaction, and then tells it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::mpsc::UnboundedSender;

use super::{Order, Retention, record, store};
use crate::{Event, MessageId, notice};

/// Most that is written in one transaction.
const BATCH: usize = 1024;
/// So long an answer to the user's own line waits for the line itself.
const LINE_FOLLOWS: Duration = Duration::from_secs(5);

struct Keeper<'a> {
    folder: PathBuf,
    retention: Retention,
    events: &'a UnboundedSender<Event>,
    database: Option<Connection>,
    /// Held as long as the thread runs.
    lock: Option<File>,
    /// The running session's.
    conference: Option<i64>,
    /// The last session's, which can still be kept.
    last: Option<i64>,
    /// Its lines that are written.
    lines: BTreeSet<MessageId>,
    /// Answers to lines that are not written yet: their reference and place.
    answers: BTreeMap<MessageId, (String, Option<u64>)>,
    /// What is written and not told yet, in its order.
    outbox: VecDeque<Event>,
}

/// Runs until the engine lets go of the journal.
pub(super) fn keep(
    folder: &Path,
    retention: Retention,
    orders: &Receiver<Order>,
    events: &UnboundedSender<Event>,
) {
    let mut keeper = Keeper {
        folder: folder.to_owned(),
        retention,
        events,
        database: None,
        lock: None,
        conference: None,
        last: None,
        lines: BTreeSet::new(),
        answers: BTreeMap::new(),
        outbox: VecDeque::new(),
    };
    keeper.open();
    loop {
        let next = match keeper.outbox.is_empty() {
            true => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
            false => orders.recv_timeout(LINE_FOLLOWS),
        };
        let first = match next {
            Ok(order) => order,
            Err(RecvTimeoutError::Timeout) => {
                keeper.tell_all();
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let mut batch = vec![first];
        batch.extend(orders.try_iter().take(BATCH - 1));
        keeper.take(batch);
    }
    keeper.tell_all();
    keeper.close();
}

impl Keeper<'_> {
    fn open(&mut self) {
        let events = self.events;
        // Where nobody listens any more, the rest is written all the same.
        let say = |text| drop(events.send(Event::Notice { text }));
        match store::open_or_set_aside(&self.folder, say) {
            Ok(mut database) => {
                self.lock = store::own(&self.folder);
                if self.lock.is_some() {
                    let begun = record::interrupted(&database).and_then(|interrupted| {
                        record::erase(&mut database, self.retention, true)?;
                        Ok(interrupted)
                    });
                    match begun {
                        Ok(all) => {
                            self.outbox.extend(all.into_iter().map(Event::Interrupted));
                        }
                        Err(error) => self.fault(&error),
                    }
                }
                self.database = Some(database);
                self.tell_history();
            }
            Err(error) => self.fault(&error),
        }
        self.tell_all();
    }

    /// Writes a batch and tells it. Where it cannot be written the call goes on, with a notice.
    fn take(&mut self, batch: Vec<Order>) {
        let changes = batch.iter().any(|order| matches!(order, Order::Add(_) | Order::Forget(_)));
        if batch.iter().any(|order| matches!(order, Order::Begin { .. })) {
            self.tell_all();
        }
        if let Err(error) = self.write(&batch) {
            if store::is_damage(&error) {
                self.begin_anew(&error);
            } else {
                self.fault(&error);
            }
        }
        for order in batch {
            if let Order::Tell(event) = order {
                self.outbox.push_back(event);
            }
        }
        if changes {
            self.tell_history();
        }
        self.tell();
    }

    /// All or nothing.
    fn write(&mut self, batch: &[Order]) -> rusqlite::Result<()> {
        let Some(mut database) = self.database.take() else { return Ok(()) };
        let written = self.write_into(&mut database, batch);
        self.database = Some(database);
        written
    }

    fn write_into(&mut self, database: &mut Connection, batch: &[Order]) -> rusqlite::Result<()> {
        if !batch.iter().any(is_written) {
            return Ok(());
        }
        if self.lock.is_some() && batch.iter().any(|order| matches!(order, Order::Begin { .. })) {
            // The conference before is over, and nobody kept it.
            record::erase(database, self.retention, true)?;
        }
        let transaction = database.transaction()?;
        for order in batch {
            match order {
                Order::Add(row) => {
                    record::add(&transaction, row)?;
                    if let Some(id) = self.conference.take() {
                        record::end(&transaction, id)?;
                        self.last = Some(id);
                    }
                }
                Order::Begin { uri, subject } => self.begin(&transaction, uri, subject)?,
                Order::Forget(id) => {
                    transaction.execute("DELETE FROM calls WHERE id = ?1", [id])?;
                }
                Order::Keep => {
                    if let Some(id) = self.conference.or(self.last) {
                        record::keep(&transaction, id)?;
                    }
                }
                Order::Tell(event) => self.record(&transaction, event)?,
            }
        }
        transaction.commit()
    }

    fn begin(&mut self, database: &Connection, uri: &str, subject: &str) -> rusqlite::Result<()> {
        if let Some(id) = self.conference.take() {
            record::end(database, id)?;
        }
        self.lines.clear();
        self.answers.clear();
        let kept = match self.retention {
            Retention::Never => return Ok(()),
            Retention::Days(_) | Retention::Forever => true,
            Retention::Session => false,
        };
        self.conference = Some(record::begin(database, uri, subject, kept)?);
        Ok(())
    }

    fn record(&mut self, database: &Connection, event: &Event) -> rusqlite::Result<()> {
        if self.retention == Retention::Never {
            return Ok(());
        }
        if let Event::PersonalText(line) = event {
            // Their numbers begin anew with each start.
            database.execute(
                "DELETE FROM messages WHERE conference = ?1 AND line = ?2",
                rusqlite::params![record::OUTSIDE, line.id.0 as i64],
            )?;
            return record::line(database, record::OUTSIDE, line);
        }
        // What comes after the end belongs to the conference that ended.
        let Some(id) = self.conference.or(self.last) else { return Ok(()) };
        match event {
            Event::Accepted { reference, id: line, seq } => {
                if !self.lines.contains(line) {
                    self.answers.insert(*line, (reference.clone(), *seq));
                }
                record::accepted(database, id, reference, *line, *seq)
            }
            Event::Delivery(delivery) => record::delivery(database, id, delivery),
            Event::Line(line) => {
                record::line(database, id, line)?;
                self.lines.insert(line.id);
                match self.answers.remove(&line.id) {
                    Some((reference, seq)) => {
                        record::accepted(database, id, &reference, line.id, seq)
                    }
                    None => Ok(()),
                }
            }
            Event::Participant(person) => record::participant(database, id, person),
            Event::Session { subject, conference, .. } => {
                record::rename(database, id, conference, subject)
            }
            _ => Ok(()),
        }
    }

    /// Tells what is written. An answer to the user's line is told after the line itself is written, which may follow.
    fn tell(&mut self) {
        let may_wait = self.database.is_some() && self.conference.is_some();
        while let Some(event) = self.outbox.pop_front() {
            if let Event::Accepted { id, .. } = &event
                && may_wait
                && !self.lines.contains(id)
            {
                self.outbox.push_front(event);
                return;
            }
            let _ = self.events.send(event);
        }
    }

    fn tell_all(&mut self) {
        self.outbox.drain(..).for_each(|event| drop(self.events.send(event)));
    }

    fn tell_history(&mut self) {
        let Some(database) = &self.database else { return };
        match record::history(database) {
            Ok(rows) => self.outbox.push_back(Event::History(rows)),
            Err(error) => self.fault(&error),
        }
    }

    fn fault(&mut self, error: &dyn std::fmt::Display) {
        self.outbox.push_back(Event::Notice { text: notice::history_unusable(error) });
    }

    /// The file went bad while it was written: it is set aside, and the rest goes into another.
    fn begin_anew(&mut self, error: &rusqlite::Error) {
        self.database = None;
        let events = self.events;
        let say = |text| drop(events.send(Event::Notice { text }));
        let opened = store::set_aside(&self.folder, error, say)
            .map_err(store::OpenError::from)
            .and_then(|()| store::open(&self.folder));
        self.last = None;
        match opened {
            Ok(database) => {
                let kept = !matches!(self.retention, Retention::Session);
                let running = self.conference.take();
                self.conference = running.and_then(|_| record::begin(&database, "", "", kept).ok());
                self.database = Some(database);
            }
            Err(error) => self.fault(&error),
        }
    }

    fn close(&mut self) {
        let Some(mut database) = self.database.take() else { return };
        let ended = match self.conference.take() {
            Some(id) => record::end(&database, id),
            None => Ok(()),
        };
        let alone = self.lock.is_some();
        let erased = ended.and_then(|()| match alone {
            true => record::erase(&mut database, self.retention, false),
            false => Ok(()),
        });
        if let Err(error) = erased {
            tracing::warn!(%error, "what should go from the journal is still there");
        }
    }
}

fn is_written(order: &Order) -> bool {
    match order {
        Order::Add(_) | Order::Begin { .. } | Order::Forget(_) | Order::Keep => true,
        Order::Tell(event) => matches!(
            event,
            Event::Accepted { .. }
                | Event::Delivery(_)
                | Event::Line(_)
                | Event::Participant(_)
                | Event::PersonalText(_)
                | Event::Session { .. }
        ),
    }
}
