//! What is kept of calls and conferences: SQLite in the user's data folder, one thread, one writer. `keeper` is the thread,
//! `store` opens and mends the file, `record` writes, `archive` reads, `export` gives a conference as text, page or data.
//!
//! Everything the engine tells goes through the thread: a line is told only after it was written and committed, so that a
//! crash loses nothing that was shown.

mod archive;
mod export;
mod keeper;
mod record;
mod store;

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

pub use archive::{
    Archive, ArchiveError, Attendance, Contact, Found, Kept, KeptDelivery, Transcript,
    TranscriptInfo,
};
pub(crate) use export::iso;
pub use export::{Format, Private, export};

use crate::{CallRecord, Event};

/// How long the texts of a conference are kept. The list of calls is kept in any case.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Retention {
    /// So many days.
    Days(u32),
    /// Until the user deletes them.
    Forever,
    /// They are never written.
    Never,
    /// Until the conference is over, unless the user keeps it; after a crash they are there.
    #[default]
    Session,
}

/// A conference that was running when the program ended without a word.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Interrupted {
    /// Its transcript.
    pub id: i64,
    /// Its address; of a call the other's.
    pub uri: String,
    /// Its subject.
    pub subject: String,
    /// Who was in it, by entity, besides the user.
    pub people: Vec<String>,
    /// How many lines of it are there.
    pub lines: u32,
}

/// What the thread is to do.
enum Order {
    /// A row of the history; where a conference is open it is over.
    Add(CallRecord),
    /// A session begins.
    Begin { uri: String, subject: String },
    /// The session's texts are kept.
    Keep,
    /// A row of the history goes.
    Forget(i64),
    /// Tell this, once what it says is written.
    Tell(Event),
}

/// The way to the thread; without a folder nothing is kept, and what is told goes straight on.
#[derive(Debug)]
pub(crate) struct Journal {
    orders: Option<Sender<Order>>,
    events: UnboundedSender<Event>,
    /// Closed by the thread when everything is written.
    written: Receiver<()>,
}

impl Journal {
    /// Opens it and tells what is in it.
    pub(crate) fn open(
        folder: Option<PathBuf>,
        retention: Retention,
        events: UnboundedSender<Event>,
    ) -> Self {
        let (done, written) = channel();
        let Some(folder) = folder else { return Self { orders: None, events, written } };
        let (orders, received) = channel();
        let told = events.clone();
        let spawned = std::thread::Builder::new().name("journal".to_owned()).spawn(move || {
            keeper::keep(&folder, retention, &received, &told);
            drop(done);
        });
        Self { orders: spawned.is_ok().then_some(orders), events, written }
    }

    pub(crate) fn add(&self, record: CallRecord) {
        self.order(Order::Add(record));
    }

    pub(crate) fn begin(&self, uri: String, subject: String) {
        self.order(Order::Begin { uri, subject });
    }

    pub(crate) fn forget(&self, id: i64) {
        self.order(Order::Forget(id));
    }

    pub(crate) fn keep(&self) {
        self.order(Order::Keep);
    }

    /// Tells the user, once what is told would survive a crash.
    pub(crate) fn tell(&self, event: Event) {
        let event = match &self.orders {
            Some(orders) => match orders.send(Order::Tell(event)) {
                Ok(()) => return,
                Err(std::sync::mpsc::SendError(Order::Tell(event))) => event,
                Err(_) => return,
            },
            None => event,
        };
        // Where nobody listens any more there is nobody to tell.
        let _ = self.events.send(event);
    }

    /// Waits until everything is written, at most so long.
    pub(crate) fn close(&mut self, limit: Duration) {
        if self.orders.take().is_some()
            && self.written.recv_timeout(limit) == Err(RecvTimeoutError::Timeout)
        {
            tracing::warn!("the journal could not be written in time");
        }
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            let _ = orders.send(order);
        }
    }
}
