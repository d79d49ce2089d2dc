//! Who may come into the hosted conference, and who waits to be let in.

use engine::Waiting;
use iced::widget::{Column, Space, column, container, row};
use iced::{Alignment, Element, Length};

use super::{Message, State};
use crate::icon::Icon;
use crate::theme::{Kind, Tokens};
use crate::ui::{action, icon_action, label, middle};

impl State {
    /// Opens the card with lock and lobby; its sign says whether the conference is locked.
    pub(super) fn doors_button<'a>(&'a self, tokens: Tokens) -> Element<'a, Message> {
        let (icon, words) = match self.locked {
            true => (Icon::Lock, "Locked: who may come in"),
            false => (Icon::LockOpen, "Who may come in"),
        };
        icon_action(tokens, icon, words, Message::DoorsPressed)
    }

    /// Those who wait, above the people; `None` where nobody does.
    pub(super) fn lobby_list<'a>(&'a self, tokens: Tokens) -> Option<Element<'a, Message>> {
        if self.lobby.is_empty() {
            return None;
        }
        let head = label(format!("In the lobby: {}", self.lobby.len()), 13.0, tokens.accent);
        let rows = self.lobby.iter().map(|waiting| waits(tokens, waiting));
        let list = Column::with_children(rows).spacing(6);
        Some(container(column![head, list].spacing(6)).padding([6, 16]).into())
    }

    pub(super) fn doors_card<'a>(&'a self, tokens: Tokens) -> Element<'a, Message> {
        let lock = switch(
            tokens,
            "Lock",
            "Nobody comes in by himself. You can still call people.",
            self.locked,
            Message::LockPressed,
        );
        let lobby = switch(
            tokens,
            "Lobby",
            "Who calls waits until you let him in.",
            self.has_lobby,
            Message::LobbyPressed,
        );
        column![label("Who may come in", 18.0, tokens.text), lock, lobby]
            .spacing(12)
            .padding(16)
            .width(492)
            .into()
    }
}

/// What can be on or off, with what it means.
fn switch<'a>(
    tokens: Tokens,
    name: &'a str,
    words: &'a str,
    on: bool,
    message: Message,
) -> Element<'a, Message> {
    let state = if on { "On" } else { "Off" };
    let press = if on { "Turn off" } else { "Turn on" };
    let kind = if on { Kind::Normal } else { Kind::Primary };
    row![
        column![
            label(format!("{name}: {state}"), 15.0, tokens.text),
            label(words, 13.0, tokens.muted)
        ]
        .width(Length::Fill),
        action(tokens, kind, None, press, Some(message))
    ]
    .spacing(8)
    .align_y(Alignment::Center)
    .into()
}

fn waits<'a>(tokens: Tokens, waiting: &'a Waiting) -> Element<'a, Message> {
    let who = column![
        label(middle(&waiting.name, 22), 15.0, tokens.text),
        label(middle(&waiting.entity, 34), 12.0, tokens.muted)
    ];
    let admit = Message::AdmitPressed(waiting.id);
    row![
        who,
        Space::new().width(Length::Fill),
        icon_action(tokens, Icon::Close, "Refuse", Message::RefusePressed(waiting.id)),
        action(tokens, Kind::Primary, None, "Admit", Some(admit))
    ]
    .spacing(6)
    .align_y(Alignment::Center)
    .into()
}
