//! A call that rings: a card over whatever is shown. It never takes the keyboard.

use std::time::{Duration, Instant};

use engine::IncomingId;
use iced::widget::{Space, column, container, row};
use iced::{Alignment, Element, Length};

use crate::home::sender_color;
use crate::icon::Icon;
use crate::text;
use crate::theme::{Kind, Tokens};
use crate::ui::{action, avatar, big_action, label, line, middle, mono};

/// Buttons ignore what was meant for something else a moment ago.
const GUARD: Duration = Duration::from_millis(500);

/// One ringing call.
#[derive(Clone, Debug)]
pub struct State {
    /// Which.
    pub id: IncomingId,
    /// The caller's name; empty where he gave none.
    pub name: String,
    /// His address.
    pub uri: String,
    since: Instant,
}

/// What was pressed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Message {
    /// Add to conference.
    Added,
    /// Answer.
    Answered,
    /// Copy the address.
    Copied,
    /// Decline.
    Declined,
    /// Reply with text.
    Replied,
}

impl State {
    /// It rings now.
    pub fn new(id: IncomingId, name: String, uri: String) -> Self {
        Self { id, name, uri, since: Instant::now() }
    }

    /// Whether its buttons listen already.
    pub fn is_armed(&self) -> bool {
        self.since.elapsed() >= GUARD
    }

    /// Who calls, as it is shown.
    pub fn shown_name(&self) -> &str {
        if self.name.is_empty() { &self.uri } else { &self.name }
    }

    /// The card. `session` names a running conference and says how many are in it, and whether it is ours.
    pub fn view<'a>(
        &'a self,
        tokens: Tokens,
        session: Option<(&'a str, usize, bool)>,
    ) -> Element<'a, Message> {
        let seconds = self.since.elapsed().as_secs();
        let rings = format!("{:02}:{:02}", seconds / 60, seconds % 60);
        let head = row![
            Icon::PhoneIn.view(20.0, tokens.ok),
            label("Incoming call", 14.0, tokens.text),
            Space::new().width(Length::Fill),
            label("ringing", 13.0, tokens.muted),
            mono(rings, 12.0, tokens.muted)
        ]
        .spacing(8)
        .align_y(Alignment::Center);
        let color = sender_color(tokens, &self.uri);
        let who = column![
            label(middle(self.shown_name(), 30), 18.0, tokens.text),
            mono(middle(&self.uri, 36), 13.0, tokens.text)
        ];
        let copy = action(tokens, Kind::Quiet, Some(Icon::Copy), "Copy", Some(Message::Copied));
        let caller = row![
            avatar(tokens, self.shown_name(), color, 48.0, false),
            who.width(Length::Fill),
            copy
        ]
        .spacing(14)
        .align_y(Alignment::Center);
        let facts = row![
            Icon::LockOpen.view(16.0, tokens.muted),
            label("Not encrypted", 13.0, tokens.muted)
        ]
        .spacing(8)
        .align_y(Alignment::Center);
        let situation = match session {
            Some((name, count, _)) => {
                let people = text::people(count);
                format!("You are in {name} with {people}. Answering ends it.")
            }
            None => String::new(),
        };
        let ours = session.is_some_and(|(_, _, ours)| ours);
        let big = |kind: Kind, icon: Icon, words: &'a str, message: Message| {
            let color = crate::ui::ink(tokens, kind);
            big_action(
                tokens,
                kind,
                row![icon.view(18.0, color), label(words, 14.0, color)],
                Some(message),
            )
        };
        let mut buttons = row![big(Kind::Primary, Icon::Phone, "Answer", Message::Answered)];
        if ours {
            buttons =
                buttons.push(big(Kind::Normal, Icon::Invite, "Add to conference", Message::Added));
        }
        let buttons = buttons
            .push(Space::new().width(Length::Fill))
            .push(big(Kind::Danger, Icon::Leave, "Decline", Message::Declined))
            .spacing(8);
        let reply = row![
            container(label(text::CALL_BACK, 14.0, tokens.text))
                .padding([5, 12])
                .width(Length::Fill)
                .height(32)
                .style(tokens.card(tokens.bg, tokens.border, 6.0, 1.0)),
            action(tokens, Kind::Normal, None, "Reply with text", Some(Message::Replied))
        ]
        .spacing(8);
        let mut card = column![head, caller, facts, line(tokens)].spacing(14);
        if !situation.is_empty() {
            card = card.push(label(situation, 13.0, tokens.muted));
        }
        container(card.push(buttons).push(reply))
            .width(464)
            .padding(20)
            .style(tokens.floating(12.0))
            .into()
    }
}
