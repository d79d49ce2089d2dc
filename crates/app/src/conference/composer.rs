//! Where one writes: to whom, what, and how much of it there is.

use engine::{ChatAbility, Recipient, SessionKind};
use iced::keyboard::key::Named;
use iced::keyboard::{self};
use iced::widget::text_editor::{Binding, KeyPress};
use iced::widget::{Column, Row, Space, button, column, container, row, scrollable, text_editor};
use iced::{Alignment, Color, Element, Length};

use super::{Message, State, is_coming, is_here};
use crate::icon::Icon;
use crate::text;
use crate::theme::{Kind, Tokens};
use crate::ui::{action, avatar, label, middle};

/// The widget id of the text.
pub const TEXT: &str = "composer";
/// Its height with one line of text.
pub(super) const HEIGHT: f32 = 80.0;

impl State {
    pub(super) fn composer<'a>(&'a self, tokens: Tokens, narrow: bool) -> Element<'a, Message> {
        if self.ended.is_some() {
            return self.leftover(tokens);
        }
        let private =
            matches!(self.target, Recipient::Participant(_)) && self.kind != SessionKind::Call;
        let bytes = self.draft_text().len();
        let placeholder = if private || self.kind == SessionKind::Call {
            text::COMPOSER
        } else {
            text::COMPOSER_ALL
        };
        let caret = tokens.composer();
        let has_keyboard = &self.composer_has_keyboard;
        let editor = text_editor(&self.draft)
            .id(TEXT)
            .placeholder(placeholder)
            .on_action(Message::DraftEdited)
            .key_binding(binding)
            .size(15)
            .line_height(iced::widget::text::LineHeight::Absolute(22.0.into()))
            .padding([0, 0])
            .min_height(22.0)
            .max_height(176.0)
            .style(move |theme, status| {
                has_keyboard.set(matches!(status, text_editor::Status::Focused { .. }));
                caret(theme, status)
            });
        let ready = (bytes > 0 && self.can_send()).then_some(Message::SendPressed);
        let (words, kind) = match &self.target {
            Recipient::Participant(entity) if private => {
                (format!("Send to {} only", self.name_of(entity)), Kind::Private)
            }
            _ => ("Send".to_owned(), Kind::Primary),
        };
        let ink = if ready.is_some() { crate::ui::ink(tokens, kind) } else { tokens.muted };
        let send = row![label(words, 14.0, ink), Icon::Enter.view(18.0, ink)].spacing(8);
        let send = button(send.height(Length::Fill).align_y(Alignment::Center))
            .height(32)
            .padding([0, 12])
            .style(tokens.button(kind, 6.0))
            .on_press_maybe(ready);
        let body = row![container(editor).width(Length::Fill).padding([5, 0]), send]
            .spacing(12)
            .align_y(Alignment::End);
        let mut content = column![self.target_line(tokens, private, bytes)];
        if !self.writers.is_empty() {
            let names: Vec<&str> = self.writers.iter().map(|(_, name)| name.as_str()).collect();
            content = content.push(label(text::writing(&names), 13.0, tokens.muted));
        }
        if let Some(reason) = self.why_not() {
            content = content.push(label(reason, 13.0, tokens.err));
        }
        let content = container(content.push(body)).padding(iced::Padding {
            top: 0.0,
            right: 8.0,
            bottom: 8.0,
            left: 12.0,
        });
        // The frame is drawn after the text and so knows whether the text has the keyboard.
        let frame =
            container(Space::new().width(Length::Fill).height(Length::Fill)).style(move |theme| {
                let (color, width) = match (private, has_keyboard.get()) {
                    (true, _) => (tokens.private, 2.0),
                    (false, true) => (tokens.accent, 2.0),
                    (false, false) => (tokens.border, 1.0),
                };
                tokens.card(Color::TRANSPARENT, color, 8.0, width)(theme)
            });
        let side = if narrow { 8.0 } else { 16.0 };
        container(iced::widget::stack![content, frame])
            .padding(iced::Padding { top: 8.0, right: side, bottom: side, left: side })
            .into()
    }

    /// What was being written when it ended: it can still be copied.
    fn leftover<'a>(&'a self, tokens: Tokens) -> Element<'a, Message> {
        if self.draft_text().trim().is_empty() {
            return Space::new().into();
        }
        let editor = text_editor(&self.draft)
            .on_action(Message::DraftEdited)
            .key_binding(|press| {
                binding(press).filter(|binding| !matches!(binding, Binding::Custom(_)))
            })
            .size(15)
            .padding([0, 0])
            .max_height(176.0)
            .style(tokens.composer());
        let head = row![
            label(text::LEFTOVER, 13.0, tokens.muted),
            Space::new().width(Length::Fill),
            action(tokens, Kind::Normal, Some(Icon::Copy), "Copy", Some(Message::DraftCopied))
        ]
        .align_y(Alignment::Center);
        let frame = container(column![head, editor].spacing(4))
            .padding([8, 12])
            .style(tokens.card(tokens.bg, tokens.border, 8.0, 1.0));
        container(frame).padding([8, 16]).into()
    }

    /// Why what is written cannot be sent as it stands.
    fn why_not(&self) -> Option<String> {
        let bytes = self.draft_text().len();
        if bytes > conference::MAX_TEXT {
            let size = bytes.div_ceil(1024);
            return Some(format!(
                "16 KiB is the most a conference text can be (yours: {size} KiB)"
            ));
        }
        match &self.target {
            Recipient::Participant(entity) if !self.target_is_here() => {
                Some(format!("{} left. Your text was not sent.", self.name_of(entity)))
            }
            Recipient::Everyone | Recipient::Me | Recipient::Participant(_) => None,
        }
    }

    fn target_line<'a>(
        &'a self,
        tokens: Tokens,
        private: bool,
        bytes: usize,
    ) -> Element<'a, Message> {
        let name = match &self.target {
            Recipient::Participant(entity) => format!("{} only", self.name_of(entity)),
            Recipient::Everyone | Recipient::Me => "Everyone".to_owned(),
        };
        let ink = if private { tokens.private } else { tokens.text };
        let mut choice = Row::new();
        if private {
            choice = choice.push(Icon::Lock.view(14.0, ink));
        }
        let choice = choice.push(label(name, 13.0, ink)).push(Icon::ChevronDown.view(16.0, ink));
        let choice = button(choice.spacing(6).align_y(Alignment::Center))
            .padding([4, 6])
            .style(tokens.button(Kind::Quiet, 4.0))
            .on_press(Message::TargetPressed);
        let mut line = row![];
        if self.kind == SessionKind::Call {
            let words = format!("To {}", middle(&self.subject, 40));
            line = line.push(label(words, 13.0, tokens.muted));
        } else {
            line = line.push(label("To", 13.0, tokens.muted)).push(choice);
            line = line.push(label(self.who_reads(private), 13.0, tokens.muted));
        }
        let over = bytes > conference::MAX_TEXT;
        let near = bytes > conference::MAX_TEXT * 8 / 10;
        let color = if over {
            tokens.err
        } else if near {
            tokens.warn
        } else {
            tokens.muted
        };
        let counter = if bytes == 0 { String::new() } else { format!("{bytes} bytes") };
        let line = line.push(Space::new().width(Length::Fill)).push(label(counter, 12.0, color));
        container(line.spacing(8).align_y(Alignment::Center))
            .height(40)
            .align_y(Alignment::Center)
            .into()
    }

    /// "2 can read, 1 cannot"; for one person: through whose computer it goes.
    fn who_reads(&self, private: bool) -> String {
        if private {
            return match self.kind {
                SessionKind::Joined => "Passes through the host's computer.".to_owned(),
                SessionKind::Call | SessionKind::Hosted => {
                    "Passes through your computer, the host.".to_owned()
                }
            };
        }
        let others = || self.people.iter().filter(|person| !person.is_self);
        let here: Vec<_> = others().filter(|person| is_here(person)).collect();
        let cannot = here.iter().filter(|person| person.chat == ChatAbility::No).count();
        let can = here.len() - cannot;
        let coming: Vec<&str> = others()
            .filter(|person| is_coming(person))
            .map(|person| person.name.as_str())
            .collect();
        match (can, cannot, coming.len()) {
            (0, 0, 0) => "Nobody else is here yet".to_owned(),
            (0, 0, 1) => format!("{}, when they answer", coming[0]),
            (0, 0, 2..=3) => format!("{}, when they answer", text::listed(&coming)),
            (0, 0, most) => format!("{most} people, when they answer"),
            (can, 0, _) => format!("{can} can read"),
            (can, cannot, _) => format!("{can} can read, {cannot} cannot"),
        }
    }

    pub(super) fn target_menu<'a>(&'a self, tokens: Tokens) -> Element<'a, Message> {
        let everyone = container(Icon::People.view(18.0, tokens.accent)).center_x(24).into();
        let all = "Everyone".to_owned();
        let mut menu =
            column![self.target(tokens, everyone, all, self.who_reads(false), Recipient::Everyone)];
        let mut people = Column::new();
        for person in self.people.iter().filter(|person| !person.is_self && is_here(person)) {
            let color: Color = self.color(tokens, &person.entity);
            let picture = avatar(tokens, &person.name, color, 24.0, false);
            let below = match (person.chat, self.kind) {
                (ChatAbility::No, _) => "Cannot receive text".to_owned(),
                (ChatAbility::LinesMayBeJoined, _) => {
                    "Private. Lines may be joined by that phone".to_owned()
                }
                (_, SessionKind::Joined) => {
                    "Private. Passes through the host's computer".to_owned()
                }
                (_, SessionKind::Call | SessionKind::Hosted) => "Private".to_owned(),
            };
            let to = Recipient::Participant(person.entity.clone());
            people = people.push(self.target(tokens, picture, person.name.clone(), below, to));
        }
        if self.others() > 0 {
            menu = menu.push(container(crate::ui::line(tokens)).padding([6, 10]).width(290));
        }
        let people = scrollable(people).style(tokens.scroll());
        menu.push(container(people).max_height(264)).padding(6).into()
    }

    fn target<'a>(
        &'a self,
        tokens: Tokens,
        picture: Element<'a, Message>,
        name: String,
        below: String,
        to: Recipient,
    ) -> Element<'a, Message> {
        let words =
            column![label(middle(&name, 28), 14.0, tokens.text), label(below, 12.0, tokens.muted)];
        let is_on = self.target == to;
        let mut content = row![picture, words.width(Length::Fill)];
        if is_on {
            content = content.push(Icon::Check.view(18.0, tokens.accent));
        }
        button(content.spacing(10).align_y(Alignment::Center))
            .width(290)
            .height(44)
            .padding([0, 10])
            .style(tokens.button(if is_on { Kind::Normal } else { Kind::Quiet }, 6.0))
            .on_press(Message::TargetChosen(to))
            .into()
    }
}

/// Enter sends, Shift+Enter begins a line; Tab and the window's own chords are left alone. Without the keyboard's focus
/// nothing is typed and nothing sent.
fn binding(press: KeyPress) -> Option<Binding<Message>> {
    if !matches!(press.status, text_editor::Status::Focused { .. }) {
        return None;
    }
    match &press.key {
        keyboard::Key::Named(Named::Enter) if press.modifiers.shift() => Some(Binding::Enter),
        keyboard::Key::Named(Named::Enter) => Some(Binding::Custom(Message::SendPressed)),
        keyboard::Key::Named(Named::Escape | Named::Tab) => None,
        // Characters that need AltGr come with Ctrl and Alt on some systems: they are typed.
        _ if press.modifiers.command() && !press.modifiers.alt() => {
            let letter = press.key.to_latin(press.physical_key);
            let edits = matches!(letter, Some('c' | 'x' | 'v' | 'a')) && !press.modifiers.shift();
            let is_letter = matches!(press.key, keyboard::Key::Character(_));
            if is_letter && !edits { None } else { Binding::from_key_press(press) }
        }
        _ => Binding::from_key_press(press),
    }
}

#[cfg(test)]
mod tests {
    use iced::keyboard::key::{Code, Physical};
    use iced::keyboard::{Key, Modifiers};
    use iced::widget::text_editor::Status;

    use super::*;

    fn press(key: Key, code: Code, modifiers: Modifiers, status: Status) -> KeyPress {
        let text = match &key {
            Key::Character(text) => Some(text.clone()),
            Key::Named(_) | Key::Unidentified => None,
        };
        let modified_key = key.clone();
        KeyPress { key, modified_key, physical_key: Physical::Code(code), modifiers, text, status }
    }

    const FOCUSED: Status = Status::Focused { is_hovered: false };

    #[test]
    fn nothing_is_sent_without_the_keyboard() {
        let enter = || Key::Named(Named::Enter);
        let none = Modifiers::default();
        let sends = |status| binding(press(enter(), Code::Enter, none, status));
        assert!(matches!(sends(FOCUSED), Some(Binding::Custom(Message::SendPressed))));
        assert!(sends(Status::Active).is_none() && sends(Status::Hovered).is_none());
    }

    #[test]
    fn chords_work_on_every_layout_and_the_windows_own_edit_nothing() {
        let chord = |letter: &str, code, more: Modifiers| {
            let key = Key::Character(letter.into());
            binding(press(key, code, Modifiers::COMMAND | more, FOCUSED))
        };
        let none = Modifiers::default();
        assert!(matches!(chord("м", Code::KeyV, none), Some(Binding::Paste)));
        assert!(matches!(chord("v", Code::KeyV, none), Some(Binding::Paste)));
        assert!(chord("X", Code::KeyX, Modifiers::SHIFT).is_none(), "declining cuts nothing");
        assert!(chord("A", Code::KeyA, Modifiers::SHIFT).is_none(), "answering selects nothing");
        assert!(chord("в", Code::KeyD, none).is_none());
    }
}
