//! What is printed: JSON lines for scripts, words for people.

use std::io::Write;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use engine::json::{Wish, Writer, level_lines, notice_line};
use engine::{
    AccountState, Command, DeliveryState, Event, Levels, ParticipantState, Recipient, SessionKind,
    WaitingState,
};

/// A reader that is so many lines behind gets no levels: they would be old when he read them.
const BEHIND: usize = 500;
/// How long lines that nobody has taken yet hold up the end of the program.
const PATIENCE: Duration = Duration::from_secs(1);

/// Standard output, written by a thread of its own: who does not read does not stop the call.
pub struct Output {
    json: Option<Writer>,
    lines: Sender<String>,
    waiting: Arc<(Mutex<usize>, Condvar)>,
}

impl Output {
    /// JSON lines, or words.
    pub fn new(json: bool) -> Self {
        let (lines, received) = channel();
        let waiting = Arc::<(Mutex<usize>, Condvar)>::default();
        let done = Arc::clone(&waiting);
        std::thread::spawn(move || write(&received, &done));
        Self { json: json.then(Writer::default), lines, waiting }
    }

    /// One event.
    pub fn event(&mut self, event: &Event) {
        let line = match &mut self.json {
            Some(writer) => writer.line(event),
            None => words(event).map(|words| visible(&words)),
        };
        if let Some(line) = line {
            self.print(line);
        }
    }

    /// A notice of the program itself.
    pub fn notice(&mut self, text: &str) {
        self.print(match self.json {
            Some(_) => notice_line(text),
            None => visible(&format!("[{text}]")),
        });
    }

    /// Levels.
    pub fn levels(&mut self, levels: &Levels) {
        let behind = *self.waiting.0.lock().unwrap_or_else(PoisonError::into_inner) > BEHIND;
        if self.json.is_some() && !behind {
            level_lines(levels).into_iter().for_each(|line| self.print(line));
        }
    }

    /// A line of standard input: a JSON command, or without `--json` a text for everybody. `None` where it is empty.
    pub fn read(
        &self,
        line: &str,
        parse: impl Fn(&str) -> Result<Wish, String>,
    ) -> Result<Option<Wish>, String> {
        if line.is_empty() {
            return Ok(None);
        }
        match self.json {
            Some(_) => parse(line).map(Some),
            None => {
                let (reference, text) = (String::new(), line.to_owned());
                let say = Command::Say { reference, text, to: Recipient::Everyone };
                Ok(Some(Wish::Command(say)))
            }
        }
    }

    /// Waits a moment until all is written.
    pub fn finish(&self) {
        let left = self.waiting.0.lock().unwrap_or_else(PoisonError::into_inner);
        let _unused = self.waiting.1.wait_timeout_while(left, PATIENCE, |left| *left > 0);
    }

    fn print(&self, line: String) {
        let mut left = self.waiting.0.lock().unwrap_or_else(PoisonError::into_inner);
        if self.lines.send(line).is_ok() {
            *left += 1;
        }
    }
}

fn write(lines: &Receiver<String>, waiting: &(Mutex<usize>, Condvar)) {
    let mut out = std::io::stdout().lock();
    for line in lines {
        let written = writeln!(out, "{line}").and_then(|()| out.flush());
        let mut left = waiting.0.lock().unwrap_or_else(PoisonError::into_inner);
        *left -= 1;
        if written.is_err() {
            // A reader that went away ends nothing: the call goes on.
            *left = 0;
            waiting.1.notify_all();
            return;
        }
        waiting.1.notify_all();
    }
}

fn words(event: &Event) -> Option<String> {
    Some(match event {
        Event::Delivery(delivery)
            if matches!(delivery.state, DeliveryState::Failed | DeliveryState::Unsupported) =>
        {
            format!("[not delivered: {}]", delivery.reason)
        }
        Event::Ended { reason } => format!("[{reason}]"),
        Event::Fatal { text } | Event::Notice { text } => format!("[{text}]"),
        Event::Interrupted(found) => format!(
            "[{} was interrupted; {} lines of it are there: parlour-cli journal export {}]",
            found.subject, found.lines, found.id
        ),
        Event::Line(line) | Event::PersonalText(line) if !line.is_own => {
            let only = if line.to == Recipient::Everyone { "" } else { " (only to you)" };
            let doubt = if line.verified { "" } else { " (not verified)" };
            let late = if line.expired { " (came too late)" } else { "" };
            format!("{}{only}{doubt}{late}: {}", line.name, line.text)
        }
        Event::Invitation { text } => text.clone(),
        Event::Lobby(waiting) => match waiting.state {
            WaitingState::Waiting => format!("[{} waits in the lobby]", waiting.name),
            WaitingState::Left => format!("[{} waits no more]", waiting.name),
            WaitingState::Refused => format!("[{} was not let in]", waiting.name),
            // That he is here is told next.
            WaitingState::Admitted => return None,
        },
        Event::Participant(participant) if !participant.is_self => {
            let state = match participant.state {
                ParticipantState::DialingOut => "is being called",
                ParticipantState::Alerting => "is ringing",
                ParticipantState::Connected => "is here",
                ParticipantState::OnHold => "is on hold",
                ParticipantState::Disconnected => "is gone",
            };
            match participant.reason.as_str() {
                "" => format!("[{} {state}]", participant.name),
                reason => format!("[{} {state}: {reason}]", participant.name),
            }
        }
        Event::Ready { uri, .. } => format!("[You are {uri}]"),
        Event::Referred { name, to, .. } => {
            format!("[{name} wants you to call {to} instead; only a script can do that]")
        }
        Event::Registration { account, state, .. } => match state {
            AccountState::Registered => format!("[{account} is registered]"),
            AccountState::Unregistered => format!("[{account} is no longer registered]"),
            // A notice says why and what follows.
            AccountState::Failed | AccountState::Registering => return None,
        },
        Event::Refused { reason, .. } => format!("[not sent: {reason}]"),
        Event::Session { kind, subject, conference } => match kind {
            SessionKind::Call => format!("[Calling {subject}]"),
            SessionKind::Hosted => format!("[You host {subject}. People can join at {conference}]"),
            SessionKind::Joined => format!("[You are in {subject}, {conference}]"),
        },
        Event::Accepted { .. }
        | Event::Audio { .. }
        | Event::Conference(_)
        | Event::Delivery(_)
        | Event::Digit { .. }
        | Event::History(_)
        | Event::Incoming { .. }
        | Event::IncomingGone { .. }
        | Event::Line(_)
        | Event::Muted { .. }
        | Event::Participant(_)
        | Event::PersonalText(_)
        | Event::ReferredGone { .. }
        | Event::Typing { .. } => return None,
    })
}

/// A terminal obeys control characters, and characters that turn the direction of writing make a line seem to say
/// something else: both are shown instead. A text of several lines is indented, so that none of them can pass for
/// another's.
pub fn visible(words: &str) -> String {
    let shown = |c: char| match c {
        '\n' => "\n    ".to_owned(),
        '\t' => c.to_string(),
        c if c.is_control() || turns(c) => format!("[U+{:04X}]", u32::from(c)),
        c => c.to_string(),
    };
    words.replace("\r\n", "\n").chars().map(shown).collect()
}

/// Bidi controls (Unicode Annex 9), and the two separators that some terminals take for a new line.
fn turns(c: char) -> bool {
    matches!(
        c,
        '\u{061C}'
            | '\u{200E}'
            | '\u{200F}'
            | '\u{2028}'..='\u{202E}'
            | '\u{2066}'..='\u{2069}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ua28_whatever_is_printed_can_neither_command_the_terminal_nor_turn_a_line_around() {
        let escape = "\u{1b}[2J\u{202e}x\u{2069}\u{7f}\u{9b}";
        let shown = "[U+001B][2J[U+202E]x[U+2069][U+007F][U+009B]";
        let subject = format!("Weekly{escape}");
        let (conference, text) = ("sip:a@b".to_owned(), format!("No{escape}"));
        let session = Event::Session { kind: SessionKind::Joined, subject, conference };
        for event in [
            Event::Notice { text: text.clone() },
            Event::Ended { reason: text.clone() },
            Event::Refused { reference: String::new(), reason: text },
            session,
        ] {
            let printed = visible(&words(&event).unwrap());
            assert!(printed.contains(shown), "{printed}");
        }
    }

    #[test]
    fn no_line_of_a_text_looks_like_anothers() {
        assert_eq!(visible("Bob: a\r\nAlice: b\tc"), "Bob: a\n    Alice: b\tc");
    }
}
