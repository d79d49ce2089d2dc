//! The actor that wires SIP, media and conference together: all that the window and the command line see.

mod accounts;
mod actor;
mod api;
mod calls;
mod invitation;
mod journal;
pub mod json;
mod notice;
mod prompts;
mod session;
mod trace;

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use tokio::sync::mpsc;

pub use accounts::{AddressError, parse_target, user_of_name};
pub use api::*;
pub use invitation::invitation_address;
pub use journal::{
    Archive, ArchiveError, Attendance, Contact, Format, Found, Interrupted, Kept, KeptDelivery,
    Private, Retention, Transcript, TranscriptInfo, export,
};
pub use trace::{Trace, TraceLine, read_trace};

/// Commands that wait for the engine.
const MAX_COMMANDS: usize = 256;

/// A command came back: too many wait, or the engine has ended.
#[derive(Clone, Debug)]
pub struct Full(pub Command);

/// The way to a running engine. Cloned freely; none of its functions waits for the engine, `shutdown` excepted.
#[derive(Clone, Debug)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
    levels: Arc<Mutex<Levels>>,
    quit: Arc<tokio::sync::Notify>,
    ended: Arc<(Mutex<bool>, std::sync::Condvar)>,
}

/// What the engine tells; nothing is lost.
#[derive(Debug)]
pub struct Events(mpsc::UnboundedReceiver<Event>);

/// Starts an engine on a thread of its own. [`Event::Ready`] or [`Event::Fatal`] comes first.
pub fn start(settings: Settings) -> (Handle, Events) {
    start_traced(settings, None)
}

/// The same, writing every message of SIP into a file.
pub fn start_traced(settings: Settings, trace: Option<Trace>) -> (Handle, Events) {
    let (commands, receiver) = mpsc::channel(MAX_COMMANDS);
    let (events, told) = mpsc::unbounded_channel();
    let handle = Handle {
        commands,
        levels: Arc::default(),
        quit: Arc::default(),
        ended: Arc::new((Mutex::new(false), std::sync::Condvar::new())),
    };
    let (levels, quit, ended) = (handle.levels.clone(), handle.quit.clone(), handle.ended.clone());
    let failed = events.clone();
    let spawned = std::thread::Builder::new().name("engine".to_owned()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        match runtime {
            Ok(runtime) => {
                runtime.block_on(actor::run(settings, trace, receiver, events, levels, quit))
            }
            Err(error) => {
                let _ = events.send(Event::Fatal { text: notice::no_engine(&error) });
            }
        }
        *ended.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        ended.1.notify_all();
    });
    if let Err(error) = spawned {
        let _ = failed.send(Event::Fatal { text: notice::no_engine(&error) });
    }
    (handle, Events(told))
}

/// Whether that file can be played and that one be written, in words where not. A session with one that cannot goes on
/// without it; a program that nobody watches rather says so before it starts. The record file is begun anew.
pub fn check_sound(settings: &Settings) -> Result<(), String> {
    let audio = match &settings.audio {
        AudioKind::Device => AudioKind::Silence,
        audio => audio.clone(),
    };
    let config = media::io::SessionConfig { audio, record: settings.record.clone() };
    media::io::Session::start(config)
        .map(media::io::Session::stop)
        .map_err(|error| notice::no_sound(&error))
}

impl Handle {
    /// Hands a command over; gives it back where that is not possible now.
    pub fn try_send(&self, command: Command) -> Result<(), Full> {
        self.commands.try_send(command).map_err(|error| Full(error.into_inner()))
    }

    /// The latest levels.
    pub fn levels(&self) -> Levels {
        self.levels.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Hangs up and ends the engine; returns within 2 s.
    pub fn shutdown(self) {
        self.quit.notify_one();
        let ended = self.ended.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = Duration::from_secs(2);
        let _unused = self.ended.1.wait_timeout_while(ended, wait, |ended| !*ended);
    }
}

impl Events {
    /// The next event; `None` when the engine has ended.
    pub fn recv_blocking(&mut self) -> Option<Event> {
        self.0.blocking_recv()
    }

    /// An event that is there already.
    pub fn try_recv(&mut self) -> Option<Event> {
        self.0.try_recv().ok()
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        self.0.poll_recv(context)
    }
}
