//! Who may come into the hosted conference, and who waits to be let in.

use engine::{Command, ParticipantState, Password, SessionKind, Waiting};
use iced::widget::{Column, Space, column, container, row, text_input};
use iced::{Alignment, Element, Length};

use super::floating::Floating;
use super::{Action, Message, State};
use crate::icon::Icon;
use crate::theme::{Kind, Tokens};
use crate::ui::{action, icon_action, label, middle};

/// What is typed into the card.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Typed {
    pin: String,
    password: String,
}

/// What was pressed or typed.
#[derive(Clone, Debug)]
pub enum Press {
    /// The invitation is to be copied.
    Invitation,
    /// Keys of the call are to be pressed.
    Keys,
    /// One was typed: all that was typed.
    KeysTyped(String),
    /// The password that the conference wants is to be given.
    Join,
    /// It is typed.
    JoinTyped(String),
    /// It is given.
    Joined,
    /// A password is typed that people have to give from now on.
    PasswordTyped(String),
    /// It holds; an empty one takes it away.
    PasswordSet,
    /// A PIN is typed that people have to give from now on.
    PinTyped(String),
    /// It holds; an empty one takes it away.
    PinSet,
}

impl State {
    pub(super) fn door(&mut self, press: Press) -> Action {
        let mut typed = match &self.floating {
            Some(Floating::Doors(typed)) => typed.clone(),
            _ => Typed::default(),
        };
        match press {
            Press::Invitation => {
                self.floating = None;
                return Action::Send(vec![Command::Invitation]);
            }
            Press::Keys => self.floating = Some(Floating::Keys(String::new())),
            Press::KeysTyped(now) => {
                let before = match &self.floating {
                    Some(Floating::Keys(before)) => before.clone(),
                    _ => String::new(),
                };
                // Only what is added was pressed: a key cannot be taken back.
                let keys = now.strip_prefix(before.as_str()).unwrap_or_default().to_owned();
                self.floating = Some(Floating::Keys(now));
                if !keys.is_empty() {
                    return Action::Send(vec![Command::Press { keys }]);
                }
            }
            Press::Join => self.floating = Some(Floating::Password(String::new())),
            Press::JoinTyped(now) => self.floating = Some(Floating::Password(now)),
            Press::Joined => {
                let Some(Floating::Password(text)) = self.floating.take() else {
                    return Action::None;
                };
                let other = self.people.iter().find(|person| !person.is_self);
                if let Some(uri) = other.map(|person| person.entity.clone()) {
                    let password = Password::new(text);
                    return Action::Send(vec![Command::Join { uri, password }]);
                }
            }
            Press::PasswordTyped(now) => {
                typed.password = now;
                self.floating = Some(Floating::Doors(typed));
            }
            Press::PasswordSet => {
                self.floating = None;
                let text = Password::new(typed.password);
                return Action::Send(vec![Command::Password { text }]);
            }
            Press::PinTyped(now) => {
                typed.pin = now;
                self.floating = Some(Floating::Doors(typed));
            }
            Press::PinSet => {
                self.floating = None;
                return Action::Send(vec![Command::Pin { text: Password::new(typed.pin) }]);
            }
        }
        Action::None
    }

    /// Where it ended because a password was wanted: the way to give it.
    pub(super) fn password_button<'a>(&'a self, tokens: Tokens) -> Option<Element<'a, Message>> {
        let wanted = self.ended.as_ref().is_some_and(|reason| reason.contains("(401)"));
        (wanted && self.kind == SessionKind::Call).then(|| {
            let press = Message::Door(Press::Join);
            action(tokens, Kind::Primary, Some(Icon::Key), "Enter the password", Some(press)).into()
        })
    }

    pub(super) fn keys_button<'a>(&'a self, tokens: Tokens) -> Element<'a, Message> {
        icon_action(tokens, Icon::Keypad, "Press keys in the call", Message::Door(Press::Keys))
    }

    /// Whether there is somebody whom keys could be pressed for.
    pub(super) fn takes_keys(&self) -> bool {
        self.kind != SessionKind::Hosted
            && self.ended.is_none()
            && self
                .people
                .iter()
                .any(|one| !one.is_self && one.state == ParticipantState::Connected)
    }

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

    pub(super) fn doors_card<'a>(
        &'a self,
        tokens: Tokens,
        typed: &'a Typed,
    ) -> Element<'a, Message> {
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
        let pin_words =
            if self.has_pin { "New PIN; empty: none any more" } else { "PIN for phones" };
        let pin = field(tokens, pin_words, &typed.pin, Press::PinTyped, Press::PinSet, false);
        let password = field(
            tokens,
            "Password; empty: none any more",
            &typed.password,
            Press::PasswordTyped,
            Press::PasswordSet,
            true,
        );
        column![label("Who may come in", 18.0, tokens.text), lock, lobby, pin, password]
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

/// Something typed, and a button that makes it hold.
fn field<'a>(
    tokens: Tokens,
    words: &'a str,
    typed: &'a str,
    edited: impl Fn(String) -> Press + 'a,
    set: Press,
    is_secret: bool,
) -> Element<'a, Message> {
    let input = text_input(words, typed)
        .secure(is_secret)
        .on_input(move |text| Message::Door(edited(text)))
        .on_submit(Message::Door(set.clone()))
        .padding([6, 12])
        .size(15)
        .style(tokens.field(6.0));
    row![input, action(tokens, Kind::Normal, None, "Set", Some(Message::Door(set)))]
        .spacing(8)
        .align_y(Alignment::Center)
        .into()
}

pub(super) fn keys_card<'a>(tokens: Tokens, typed: &'a str) -> Element<'a, Message> {
    let input = text_input("0 to 9, * and #", typed)
        .id("keys")
        .on_input(|text| Message::Door(Press::KeysTyped(text)))
        .padding([6, 12])
        .size(15)
        .style(tokens.field(6.0));
    let hint = "Each key is pressed in the call as you type it, for instance a PIN.";
    column![label("Keys", 18.0, tokens.text), input, label(hint, 13.0, tokens.muted)]
        .spacing(12)
        .padding(16)
        .width(360)
        .into()
}

pub(super) fn password_card<'a>(tokens: Tokens, typed: &'a str) -> Element<'a, Message> {
    let input = field(tokens, "Password", typed, Press::JoinTyped, Press::Joined, true);
    column![label("The password of the conference", 18.0, tokens.text), input]
        .spacing(12)
        .padding(16)
        .width(420)
        .into()
}
