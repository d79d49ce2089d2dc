//! Asked before something ends a session that others are in.

use engine::{IncomingId, SessionKind};
use iced::widget::{Space, button, column, container, opaque, row, stack};
use iced::{Element, Length};

use crate::text;
use crate::theme::{Kind, Tokens};
use crate::ui::{action, label};

/// What the user was about to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Intent {
    /// Answer a call.
    Answer(IncomingId),
    /// Call a row of the history again.
    CallAgain(String),
    /// Call what is typed into the call bar: one address, or a conference with several.
    Dial(Vec<String>),
    /// Close the program.
    Quit,
}

/// What was pressed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Message {
    /// Add to conference.
    Added,
    /// Do it.
    Confirmed,
    /// Stay.
    Stayed,
}

/// The question: what was meant, and what stands against it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Question {
    /// What was meant.
    pub intent: Intent,
    words: String,
    confirm: &'static str,
    can_add: bool,
}

/// What runs now.
#[derive(Clone, Copy, Debug)]
pub struct Running<'a> {
    /// What it is.
    pub kind: SessionKind,
    /// Its subject, or the other's name.
    pub subject: &'a str,
    /// How many others are in it.
    pub others: usize,
}

impl Question {
    /// Whether and what is to be asked before that.
    pub fn before(intent: Intent, running: Option<Running<'_>>) -> Option<Self> {
        let running = running?;
        let hosts = running.kind == SessionKind::Hosted;
        let asks = running.others > 0 || (hosts && intent != Intent::Quit);
        if !asks {
            return None;
        }
        let (deed, confirm) = match &intent {
            Intent::Answer(_) => ("Answering", "Answer"),
            Intent::CallAgain(_) => ("Calling", "Call"),
            Intent::Dial(targets) if targets.len() == 1 => ("Calling", "Call"),
            Intent::Dial(_) => ("Starting another conference", "Start"),
            Intent::Quit if hosts => ("Leaving", "End for all"),
            Intent::Quit => ("Quitting", "Leave"),
        };
        let (subject, people) = (running.subject, text::people(running.others));
        let words = match (running.kind, running.others) {
            (SessionKind::Hosted, 0) => format!("{deed} ends {subject}. Nobody else is in it."),
            (SessionKind::Hosted, _) if intent == Intent::Quit => {
                format!("You host this conference. Leaving ends it for {people}.")
            }
            (SessionKind::Hosted, _) => format!("{deed} ends {subject} for {people}."),
            (SessionKind::Joined, _) => {
                format!("You are in {subject} with {people}. {deed} leaves it.")
            }
            (SessionKind::Call, _) => format!("You are in a call with {subject}. {deed} ends it."),
        };
        let can_add = hosts && intent != Intent::Quit;
        Some(Self { intent, words, confirm, can_add })
    }

    /// Quitting would lose what was written and not sent.
    pub fn unsent(subject: &str) -> Self {
        let words = format!("Your text to {subject} was not sent. Quitting loses it.");
        Self { intent: Intent::Quit, words, confirm: "Quit", can_add: false }
    }

    /// And it loses a text.
    pub fn losing_text(mut self) -> Self {
        self.words.push_str(" A text that you did not send is lost.");
        self
    }

    /// The card, over everything.
    pub fn view(&self, tokens: Tokens) -> Element<'_, Message> {
        let mut buttons = row![
            Space::new().width(Length::Fill),
            action(tokens, Kind::Normal, None, "Stay", Some(Message::Stayed))
        ];
        if self.can_add {
            let add = action(tokens, Kind::Normal, None, "Add to conference", Some(Message::Added));
            buttons = buttons.push(add);
        }
        let confirm = action(tokens, Kind::Danger, None, self.confirm, Some(Message::Confirmed));
        let card = column![
            label(self.words.as_str(), 15.0, tokens.text).width(Length::Fill),
            buttons.push(confirm).spacing(8)
        ]
        .spacing(16)
        .padding(16)
        .width(464);
        let veil = button(Space::new().width(Length::Fill).height(Length::Fill))
            .style(|_, _| button::Style { background: None, ..button::Style::default() })
            .on_press(Message::Stayed);
        let card = opaque(container(card).style(tokens.floating(12.0)));
        stack![veil, container(card).center(Length::Fill)].into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosted(others: usize) -> Option<Running<'static>> {
        Some(Running { kind: SessionKind::Hosted, subject: "Weekly ops", others })
    }

    #[test]
    fn a_host_is_told_for_how_many_it_ends_and_can_add_instead() {
        let question = Question::before(Intent::Dial(vec!["bob@x.y".into()]), hosted(3)).unwrap();
        assert_eq!(question.words, "Calling ends Weekly ops for 3 people.");
        assert!(question.can_add);
        let question = Question::before(Intent::Quit, hosted(3)).unwrap();
        let words = "You host this conference. Leaving ends it for 3 people.";
        assert_eq!((question.words.as_str(), question.can_add), (words, false));
        let alone = Question::before(Intent::Answer(IncomingId(1)), hosted(0)).unwrap();
        assert_eq!(alone.words, "Answering ends Weekly ops. Nobody else is in it.");
    }

    #[test]
    fn nothing_is_asked_where_nobody_loses_anything() {
        assert_eq!(Question::before(Intent::Quit, hosted(0)), None);
        assert_eq!(Question::before(Intent::Quit, None), None);
        let call = Running { kind: SessionKind::Call, subject: "Bob", others: 0 };
        assert_eq!(Question::before(Intent::CallAgain("sip:c@x".into()), Some(call)), None);
    }

    #[test]
    fn a_guest_is_told_that_he_leaves() {
        let joined = Running { kind: SessionKind::Joined, subject: "Weekly ops", others: 1 };
        let question = Question::before(Intent::Quit, Some(joined)).unwrap();
        assert_eq!(question.words, "You are in Weekly ops with 1 person. Quitting leaves it.");
    }
}
