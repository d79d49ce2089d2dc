//! The sessions that the window holds: the one that runs, and those that ended and were not closed yet.

use engine::SessionKind;

use crate::conference;

/// One session and its screen.
#[derive(Debug)]
pub struct Session {
    /// Which.
    pub id: u32,
    /// Its screen.
    pub screen: conference::State,
    /// Whether our microphone is muted in it.
    pub muted: bool,
    /// Lines written in it.
    pub lines: usize,
}

impl Session {
    /// What was written into its composer and not sent.
    pub fn unsent(&self) -> Option<String> {
        let text = self.screen.draft.text();
        (!text.trim().is_empty()).then_some(text)
    }

    /// Whether closing it would take something away.
    fn has_words(&self) -> bool {
        self.lines > 0 || self.unsent().is_some()
    }
}

/// All of them. Only the last can run.
#[derive(Debug, Default)]
pub struct Sessions {
    all: Vec<Session>,
    next: u32,
    shown: Option<u32>,
}

impl Sessions {
    /// A session begins and is shown, or the running one is something else by now. Whether it is a new one.
    pub fn begin(&mut self, kind: SessionKind, subject: String, conference: String) -> bool {
        if let Some(running) = self.running_mut() {
            running.screen.kind = kind;
            running.screen.subject = subject;
            running.screen.conference = conference;
            return false;
        }
        // What ended without a word has nothing to come back to.
        self.all.retain(Session::has_words);
        let id = self.next;
        self.next += 1;
        let screen = conference::State::new(kind, subject, conference);
        self.all.push(Session { id, screen, muted: false, lines: 0 });
        self.shown = Some(id);
        true
    }

    /// The one that runs.
    pub fn running(&self) -> Option<&Session> {
        self.all.last().filter(|session| session.screen.ended.is_none())
    }

    /// The same, to change it.
    pub fn running_mut(&mut self) -> Option<&mut Session> {
        self.all.last_mut().filter(|session| session.screen.ended.is_none())
    }

    /// The one that runs or ran last: what is told late belongs to it.
    pub fn latest_mut(&mut self) -> Option<&mut Session> {
        self.all.last_mut()
    }

    /// The one on the screen; `None`: home is.
    pub fn shown(&self) -> Option<&Session> {
        self.all.iter().find(|session| Some(session.id) == self.shown)
    }

    /// The same, to change it.
    pub fn shown_mut(&mut self) -> Option<&mut Session> {
        let shown = self.shown;
        self.all.iter_mut().find(|session| Some(session.id) == shown)
    }

    /// Whether that session is on the screen.
    pub fn shows_latest(&self) -> bool {
        self.shown.is_some() && self.all.last().map(|session| session.id) == self.shown
    }

    /// Home comes to the front.
    pub fn show_home(&mut self) {
        self.shown = None;
    }

    /// A session comes to the front.
    pub fn show(&mut self, id: u32) {
        self.shown = Some(id);
    }

    /// Those that ended, newest first.
    pub fn ended(&self) -> impl Iterator<Item = &Session> {
        self.all.iter().rev().filter(|session| session.screen.ended.is_some())
    }

    /// One that ended.
    pub fn find(&self, id: u32) -> Option<&Session> {
        self.all.iter().find(|session| session.id == id)
    }

    /// Takes an ended one away for good.
    pub fn close(&mut self, id: u32) {
        self.all.retain(|session| session.id != id || session.screen.ended.is_none());
        if self.shown == Some(id) {
            self.shown = None;
        }
    }

    /// A session with a text that was not sent.
    pub fn with_unsent(&self) -> Option<&Session> {
        self.all.iter().rev().find(|session| session.unsent().is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(sessions: &mut Sessions, subject: &str) -> u32 {
        assert!(sessions.begin(SessionKind::Hosted, subject.into(), "sip:c@x".into()));
        sessions.latest_mut().unwrap().id
    }

    fn end(sessions: &mut Sessions) {
        sessions.running_mut().unwrap().screen.ended = Some("You left".into());
    }

    #[test]
    fn an_ended_session_with_an_unsent_text_stays_until_it_is_closed() {
        let mut sessions = Sessions::default();
        let old = begin(&mut sessions, "Weekly ops");
        sessions.running_mut().unwrap().screen.insert("half a thou\u{fe0f}ght\r\n");
        end(&mut sessions);
        sessions.show_home();
        begin(&mut sessions, "Other");
        assert_eq!(sessions.running().unwrap().screen.subject, "Other");
        let kept: Vec<u32> = sessions.ended().map(|session| session.id).collect();
        assert_eq!(kept, [old]);
        let unsent = sessions.find(old).unwrap().unsent();
        assert_eq!(unsent.as_deref(), Some("half a thou\u{fe0f}ght\r\n"));
        assert!(sessions.running().unwrap().unsent().is_none(), "it went to other people");
        sessions.close(old);
        assert!(sessions.ended().next().is_none());
    }

    #[test]
    fn one_that_ended_without_a_word_makes_room_and_a_running_one_is_never_closed() {
        let mut sessions = Sessions::default();
        let first = begin(&mut sessions, "Bob");
        sessions.close(first);
        assert!(sessions.running().is_some());
        end(&mut sessions);
        begin(&mut sessions, "Carol");
        assert!(sessions.ended().next().is_none());
    }

    #[test]
    fn a_call_that_turns_into_a_conference_stays_the_same_session() {
        let mut sessions = Sessions::default();
        let id = begin(&mut sessions, "Bob");
        assert!(!sessions.begin(SessionKind::Joined, "Weekly".into(), "sip:conf@x".into()));
        let running = sessions.running().unwrap();
        assert_eq!((running.id, running.screen.kind), (id, SessionKind::Joined));
        assert!(sessions.shows_latest());
    }
}
