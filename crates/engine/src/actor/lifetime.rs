//! What begins and ends with a session, and with the engine: its sound, its row in the history, the goodbye.

use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use media::io::{MediaError, Session as Sound, SessionConfig};

use super::commands::unix_now;
use super::{Actor, Story, sleep_until};
use crate::session::Session;
use crate::trace::{Recorder, WAITING};
use crate::{AudioKind, CallRecord, Event, Levels, RecordKind, Trace, notice};

/// BYEs and their answers get this long when the engine ends.
const FAREWELL: Duration = Duration::from_millis(700);
/// And the history this long to be written.
const LAST_ROW: Duration = Duration::from_millis(800);

impl Actor {
    /// Sound for a new session. What cannot be played or recorded is left out: the others still hear each other here.
    pub(super) fn start_sound(&mut self) {
        self.muted = false;
        let mut config = SessionConfig {
            audio: self.settings.audio.clone(),
            record: self.settings.record.clone(),
        };
        let sound = loop {
            match Sound::start(config.clone()) {
                Ok(sound) => break sound,
                Err(error @ MediaError::Play { .. }) if config.audio != AudioKind::Silence => {
                    self.notice(notice::not_played(&error));
                    config.audio = AudioKind::Silence;
                }
                Err(error @ MediaError::Record { .. }) if config.record.is_some() => {
                    self.notice(notice::not_recorded(&error));
                    config.record = None;
                }
                Err(error) => {
                    self.notice(notice::no_sound(&error));
                    return;
                }
            }
        };
        // The devices are told by an event, once the sound system has answered.
        self.sound = Some(sound);
    }

    /// The session is over: everything that belonged to it goes. Calls that ring stay the user's to answer.
    pub(super) fn end_session(&mut self, reason: String) {
        let session = self.session.take();
        if session.is_some() {
            self.close_session(session, &reason);
            self.tell(Event::Ended { reason });
        }
    }

    /// The same, where another takes its place at once and the user need not be told.
    pub(super) fn close_session(&mut self, session: Option<Session>, reason: &str) {
        self.generation += 1;
        for refer in std::mem::take(&mut self.wishes).into_keys() {
            self.tell(Event::ReferredGone { refer });
        }
        self.is_guarded = false;
        self.endpoint.set_password(None);
        if let Some(Session::Hosted(focus)) = &session {
            let user = focus.uri().user_unescaped().unwrap_or_default();
            self.endpoint.unserve(&user);
        }
        self.write_story(reason);
        for call in self.calls.ids() {
            if !self.rings_here(call) {
                self.hang_up(call, None);
                self.calls.remove(call, self.sound.as_mut());
            }
        }
        if let Some(sound) = self.sound.take() {
            sound.stop();
        }
        *self.levels.lock().unwrap_or_else(PoisonError::into_inner) = Levels::default();
    }

    pub(super) fn begin_story(&mut self, kind: RecordKind, uri: String, name: String) {
        self.journal.begin(uri.clone(), name.clone());
        let record = record(kind, uri, name, unix_now());
        self.story = Some(Story { record, connected: None, people: BTreeSet::new() });
    }

    fn write_story(&mut self, reason: &str) {
        let Some(Story { mut record, connected, people }) = self.story.take() else { return };
        record.people = people.len() as u32;
        record.duration = connected.map(|at| at.elapsed()).unwrap_or_default();
        if connected.is_none() {
            reason.clone_into(&mut record.reason);
        }
        self.journal.add(record);
    }

    /// Every message is written from here on. A file that cannot be written costs nothing but itself.
    pub(super) fn begin_trace(&mut self, trace: &Trace) {
        match Recorder::begin(trace) {
            Ok(recorder) => {
                self.recorder = Some(recorder);
                self.endpoint.record(WAITING);
            }
            Err(error) => self.notice(notice::no_trace(&trace.file, &error)),
        }
    }

    pub(super) fn write_trace(&mut self) {
        let Some(recorder) = &mut self.recorder else { return };
        while let Some(recorded) = self.endpoint.poll_recorded() {
            if let Err(error) = recorder.write(&recorded) {
                self.endpoint.record(0);
                self.recorder = None;
                self.notice(notice::trace_ended(&error));
                return;
            }
        }
    }

    /// Says goodbye to everybody and ends, in less than the two seconds that [`crate::Handle::shutdown`] waits.
    pub(super) async fn farewell(&mut self) {
        self.hang_up_all().await;
        self.journal.close(LAST_ROW);
    }

    async fn hang_up_all(&mut self) {
        for id in self.ringing.keys().copied().collect::<Vec<_>>() {
            self.miss(id);
        }
        self.leave();
        self.pump();
        self.unregister_all();
        self.pump();
        let end = Instant::now() + FAREWELL;
        while self.endpoint.load().transactions > 0 && Instant::now() < end {
            let wake = self.next_wake().unwrap_or(end).min(end);
            tokio::select! {
                received = self.driver.receive() => match received {
                    Some(received) => self.receive(received),
                    None => return,
                },
                () = sleep_until(Some(wake)) => self.timeout(),
            }
            self.pump();
            if self.endpoint.is_quiet() {
                return;
            }
        }
    }
}

/// A row of the history in which nothing happened yet.
pub(super) fn record(kind: RecordKind, uri: String, name: String, started_unix: i64) -> CallRecord {
    CallRecord {
        id: 0,
        uri,
        name,
        kind,
        started_unix,
        duration: Duration::ZERO,
        people: 0,
        messages: 0,
        reason: String::new(),
    }
}
