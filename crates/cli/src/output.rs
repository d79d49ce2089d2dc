//! What is printed: JSON lines for scripts, words for people.

use std::io::Write;

use engine::json::{Wish, Writer, level_lines, notice_line};
use engine::{Command, DeliveryState, Event, Levels, ParticipantState, Recipient, SessionKind};

/// Standard output.
pub struct Output {
    json: Option<Writer>,
}

impl Output {
    /// JSON lines, or words.
    pub fn new(json: bool) -> Self {
        Self { json: json.then(Writer::default) }
    }

    /// One event.
    pub fn event(&mut self, event: &Event) {
        match &mut self.json {
            Some(writer) => {
                if let Some(line) = writer.line(event) {
                    print(&line);
                }
            }
            None => {
                if let Some(words) = words(event) {
                    print(&words);
                }
            }
        }
    }

    /// A notice of the program itself.
    pub fn notice(&mut self, text: &str) {
        match self.json {
            Some(_) => print(&notice_line(text)),
            None => print(text),
        }
    }

    /// Levels.
    pub fn levels(&mut self, levels: &Levels) {
        if self.json.is_some() {
            level_lines(levels).iter().for_each(|line| print(line));
        }
    }

    /// A line of standard input: a JSON command, or without `--json` a text for everybody.
    pub fn read(
        &self,
        line: &str,
        parse: impl Fn(&str) -> Result<Wish, String>,
    ) -> Result<Wish, String> {
        match self.json {
            Some(_) => parse(line),
            None => {
                let (reference, text) = (String::new(), line.to_owned());
                Ok(Wish::Command(Command::Say { reference, text, to: Recipient::Everyone }))
            }
        }
    }
}

fn print(line: &str) {
    let mut out = std::io::stdout().lock();
    // A reader that went away ends nothing: the call goes on.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
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
        Event::Line(line) | Event::PersonalText(line) if !line.is_own => {
            let only = if line.to == Recipient::Everyone { "" } else { " (only to you)" };
            let doubt = if line.verified { "" } else { " (not verified)" };
            format!("{}{only}{doubt}: {}", line.name, visible(&line.text))
        }
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
        Event::Refused { reason, .. } => format!("[not sent: {reason}]"),
        Event::Session { kind, subject, conference } => match kind {
            SessionKind::Call => format!("[Calling {subject}]"),
            SessionKind::Hosted => format!("[You host {subject}. People can join at {conference}]"),
            SessionKind::Joined => format!("[You are in {subject}, {conference}]"),
        },
        Event::Accepted { .. }
        | Event::Audio { .. }
        | Event::Delivery(_)
        | Event::History(_)
        | Event::Incoming { .. }
        | Event::IncomingGone { .. }
        | Event::Line(_)
        | Event::Muted { .. }
        | Event::Participant(_)
        | Event::PersonalText(_) => return None,
    })
}

/// A terminal obeys control characters: they are shown instead.
fn visible(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => c.to_string(),
        c if c.is_control() => format!("[U+{:04X}]", u32::from(c)),
        c => c.to_string(),
    };
    text.chars().map(shown).collect()
}
