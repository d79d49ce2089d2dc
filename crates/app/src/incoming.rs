//! Calls that ring: a card over whatever is shown. It never takes the keyboard.

use std::time::{Duration, Instant};

use engine::{IncomingId, SessionKind};
use iced::widget::{Column, Space, column, container, row};
use iced::{Alignment, Element, Length};

use crate::clean::one_line;
use crate::home::sender_color;
use crate::icon::Icon;
use crate::question::Running;
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
    /// The caller's name; his address where he gave none.
    pub name: String,
    /// His address.
    pub uri: String,
    since: Instant,
    shown: Option<Instant>,
}

/// The calls that ring, in their order. The first has the card.
#[derive(Debug, Default)]
pub struct Queue(Vec<State>);

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

impl Queue {
    /// Another call rings.
    pub fn rings(&mut self, id: IncomingId, name: &str, uri: String, now: Instant) {
        let name = one_line(if name.is_empty() { &uri } else { name }, 60);
        self.0.push(State { id, name, uri, since: now, shown: None });
        self.show_first(now);
    }

    /// A call rings no more.
    pub fn gone(&mut self, id: IncomingId, now: Instant) {
        self.0.retain(|call| call.id != id);
        self.show_first(now);
    }

    /// The buttons of a card listen when it was on the screen for a moment, however long the call rang before.
    fn show_first(&mut self, now: Instant) {
        if let Some(first) = self.0.first_mut() {
            first.shown.get_or_insert(now);
        }
    }

    /// The one with the card.
    pub fn first(&self) -> Option<&State> {
        self.0.first()
    }

    /// The one with the card, where its buttons listen already.
    pub fn armed(&self, now: Instant) -> Option<&State> {
        self.0.first().filter(|call| {
            call.shown.is_some_and(|shown| now.saturating_duration_since(shown) >= GUARD)
        })
    }

    /// Whether that call rings.
    pub fn has(&self, id: IncomingId) -> bool {
        self.0.iter().any(|call| call.id == id)
    }

    /// How many ring behind the card.
    pub fn more(&self) -> usize {
        self.0.len().saturating_sub(1)
    }
}

impl State {
    /// The card. `running` is the session that answering would end; `more` calls ring behind it.
    pub fn view<'a>(
        &'a self,
        tokens: Tokens,
        running: Option<Running<'a>>,
        more: usize,
    ) -> Element<'a, Message> {
        let facts = row![
            Icon::LockOpen.view(16.0, tokens.muted),
            label("Not encrypted", 13.0, tokens.muted)
        ]
        .spacing(8)
        .align_y(Alignment::Center);
        let mut card = Column::new()
            .push(self.head(tokens))
            .push(self.caller(tokens))
            .push(facts)
            .push(line(tokens))
            .spacing(14);
        if let Some(running) = running {
            card = card.push(situation(tokens, running));
        }
        let hosts = running.is_some_and(|running| running.kind == SessionKind::Hosted);
        card = card.push(buttons(tokens, hosts));
        if more > 0 {
            card = card.push(label(more_ring(more), 13.0, tokens.muted));
        }
        container(card).width(464).padding(20).style(tokens.floating(12.0)).into()
    }

    fn head<'a>(&self, tokens: Tokens) -> Element<'a, Message> {
        let seconds = self.since.elapsed().as_secs();
        let rings = format!("{:02}:{:02}", seconds / 60, seconds % 60);
        let clock = row![label("ringing", 13.0, tokens.muted), mono(rings, 12.0, tokens.muted)]
            .spacing(4)
            .align_y(Alignment::Center);
        row![
            Icon::PhoneIn.view(18.0, tokens.ok),
            label("Incoming call", 13.0, tokens.text),
            Space::new().width(Length::Fill),
            clock
        ]
        .spacing(8)
        .align_y(Alignment::Center)
        .into()
    }

    fn caller<'a>(&'a self, tokens: Tokens) -> Element<'a, Message> {
        let color = sender_color(tokens, &self.uri);
        let who = column![
            label(middle(&self.name, 30), 18.0, tokens.text),
            mono(middle(&one_line(&self.uri, 200), 32), 13.0, tokens.text)
        ];
        let copy = action(tokens, Kind::Quiet, Some(Icon::Copy), "Copy", Some(Message::Copied));
        row![avatar(tokens, &self.name, color, 48.0, false), who.width(Length::Fill), copy]
            .spacing(16)
            .align_y(Alignment::Center)
            .into()
    }
}

/// What answering does to the running session.
fn situation<'a>(tokens: Tokens, running: Running<'_>) -> Element<'a, Message> {
    let subject = one_line(running.subject, 28);
    let (before, behind) = match running.kind {
        SessionKind::Call => ("You are in a call with ", ". Answering ends it.".to_owned()),
        SessionKind::Hosted | SessionKind::Joined => {
            let people = text::people(running.others);
            let ends = if running.kind == SessionKind::Hosted { "ends" } else { "leaves" };
            ("You are in ", format!(" with {people}. Answering {ends} it."))
        }
    };
    row![
        label(before, 13.0, tokens.muted),
        label(subject, 13.0, tokens.text),
        label(behind, 13.0, tokens.muted)
    ]
    .into()
}

fn buttons<'a>(tokens: Tokens, hosts: bool) -> Element<'a, Message> {
    let big = |kind: Kind, icon: Icon, words: &'a str, message: Message| {
        let color = crate::ui::ink(tokens, kind);
        let content = row![icon.view(18.0, color), label(words, 14.0, color)];
        big_action(tokens, kind, content, Some(message))
    };
    let mut buttons = row![big(Kind::Primary, Icon::Phone, "Answer", Message::Answered)];
    if hosts {
        buttons =
            buttons.push(big(Kind::Normal, Icon::Invite, "Add to conference", Message::Added));
    }
    let buttons = buttons
        .push(Space::new().width(Length::Fill))
        .push(big(Kind::Danger, Icon::Leave, "Decline", Message::Declined))
        .spacing(8);
    let words =
        row![Icon::Chat.view(16.0, tokens.muted), label(text::CALL_BACK, 13.0, tokens.text)]
            .spacing(8)
            .align_y(Alignment::Center);
    let reply = row![
        container(words)
            .padding([0, 12])
            .width(Length::Fill)
            .height(32)
            .align_y(Alignment::Center)
            .style(tokens.card(tokens.bg, tokens.border, 6.0, 1.0)),
        action(tokens, Kind::Normal, None, "Reply with text", Some(Message::Replied))
    ]
    .spacing(8);
    column![buttons, reply].spacing(12).into()
}

fn more_ring(more: usize) -> String {
    match more {
        1 => "1 more call is ringing".to_owned(),
        more => format!("{more} more calls are ringing"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buttons_of_a_card_wait_until_that_card_was_shown_for_a_moment() {
        let (mut queue, start) = (Queue::default(), Instant::now());
        queue.rings(IncomingId(1), "Carol", "sip:carol@x".into(), start);
        queue.rings(IncomingId(2), "", "sip:dave@x".into(), start);
        assert!(queue.armed(start + GUARD / 2).is_none());
        let later = start + Duration::from_secs(10);
        assert_eq!(queue.armed(later).map(|call| call.id), Some(IncomingId(1)));
        assert_eq!(queue.more(), 1);
        // Carol hangs up under the pointer: a click meant for her does not reach Dave.
        queue.gone(IncomingId(1), later);
        assert_eq!(queue.first().map(|call| call.name.as_str()), Some("sip:dave@x"));
        assert!(queue.armed(later).is_none());
        assert!(queue.armed(later + GUARD).is_some());
        assert_eq!((queue.more(), more_ring(2)), (0, "2 more calls are ringing".to_owned()));
    }
}
