//! Where one writes: to whom, what, and how much of it there is.

use engine::{ChatAbility, Recipient, SessionKind};
use iced::keyboard::key::Named;
use iced::keyboard::{self};
use iced::widget::text_editor::{Binding, KeyPress};
use iced::widget::{Column, Space, button, column, container, row, text_editor};
use iced::{Alignment, Color, Element, Length};

use super::{Message, State, is_coming, is_here};
use crate::icon::Icon;
use crate::text;
use crate::theme::{Kind, Tokens};
use crate::ui::{action, avatar, label};

/// The widget id of the text.
pub const TEXT: &str = "composer";

impl State {
    pub(super) fn composer<'a>(&'a self, tokens: Tokens) -> Element<'a, Message> {
        let private =
            matches!(self.target, Recipient::Participant(_)) && self.kind != SessionKind::Call;
        let bytes = self.draft_text().len();
        let over = bytes > conference::MAX_TEXT;
        let editor = text_editor(&self.draft)
            .id(TEXT)
            .placeholder(text::COMPOSER)
            .on_action(Message::DraftEdited)
            .key_binding(binding)
            .size(15)
            .line_height(iced::widget::text::LineHeight::Absolute(22.0.into()))
            .padding([0, 0])
            .min_height(22.0)
            .max_height(176.0)
            .style(tokens.composer());
        let ready = (bytes > 0 && self.can_send()).then_some(Message::SendPressed);
        let (words, kind) = match &self.target {
            Recipient::Participant(entity) if private => {
                (format!("Send to {} only", self.name_of(entity)), Kind::Private)
            }
            _ => ("Send".to_owned(), Kind::Primary),
        };
        let send = action(tokens, kind, Some(Icon::Enter), words, ready);
        let body = row![container(editor).width(Length::Fill).padding([5, 0]), send]
            .spacing(12)
            .align_y(Alignment::End);
        let mut content = Column::new();
        content = content.push(self.target_line(tokens, private, bytes));
        if over {
            let size = bytes.div_ceil(1024);
            let reason = format!("16 KiB is the most a conference text can be (yours: {size} KiB)");
            content = content.push(label(reason, 13.0, tokens.err));
        }
        if !self.target_is_here()
            && let Recipient::Participant(entity) = &self.target
        {
            let reason = format!("{} left. Your text was not sent.", self.name_of(entity));
            content = content.push(label(reason, 13.0, tokens.err));
        }
        let (color, width) = if private { (tokens.private, 2.0) } else { (tokens.border, 1.0) };
        let content = content.push(body).spacing(2);
        let frame = container(content)
            .padding(iced::Padding { top: 2.0, right: 8.0, bottom: 8.0, left: 12.0 })
            .style(tokens.card(tokens.bg, color, 8.0, width));
        container(frame)
            .padding(iced::Padding { top: 8.0, right: 16.0, bottom: 16.0, left: 16.0 })
            .into()
    }

    fn target_line<'a>(
        &'a self,
        tokens: Tokens,
        private: bool,
        bytes: usize,
    ) -> Element<'a, Message> {
        let name = match &self.target {
            Recipient::Participant(entity) => self.name_of(entity),
            Recipient::Everyone | Recipient::Me => "Everyone".to_owned(),
        };
        let ink = if private { tokens.private } else { tokens.text };
        let mut choice = row![label(name, 14.0, ink), Icon::ChevronDown.view(16.0, ink)];
        if private {
            choice = row![Icon::Lock.view(14.0, ink), choice];
        }
        let choice = button(choice.spacing(6).align_y(Alignment::Center))
            .padding([4, 6])
            .style(tokens.button(Kind::Quiet, 4.0))
            .on_press(Message::TargetPressed);
        let mut line = row![];
        if self.kind != SessionKind::Call {
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
            .height(36)
            .align_y(Alignment::Center)
            .into()
    }

    /// "2 can read, 1 cannot"; for one person: through whose computer it goes.
    fn who_reads(&self, private: bool) -> String {
        if private {
            return match self.kind {
                SessionKind::Joined => "Passes through the host's computer.".to_owned(),
                SessionKind::Call | SessionKind::Hosted => "Only this person gets it.".to_owned(),
            };
        }
        let others = || self.people.iter().filter(|person| !person.is_self);
        let here: Vec<_> = others().filter(|person| is_here(person)).collect();
        let cannot = here.iter().filter(|person| person.chat == ChatAbility::No).count();
        let can = here.len() - cannot;
        let waiting = others().filter(|person| is_coming(person)).count();
        match (can, cannot, waiting) {
            (0, 0, 0) => "Nobody else is here yet".to_owned(),
            (0, 0, _) => "They get it when they answer".to_owned(),
            (can, 0, _) => format!("{can} can read"),
            (can, cannot, _) => format!("{can} can read, {cannot} cannot"),
        }
    }

    pub(super) fn target_menu<'a>(&'a self, tokens: Tokens) -> Element<'a, Message> {
        let entry = |picture: Element<'a, Message>,
                     name: String,
                     below: String,
                     to: Recipient|
         -> Element<'a, Message> {
            let words = column![label(name, 14.0, tokens.text), label(below, 12.0, tokens.muted)];
            button(row![picture, words].spacing(12).align_y(Alignment::Center))
                .width(280)
                .padding([4, 10])
                .style(tokens.button(Kind::Quiet, 6.0))
                .on_press(Message::TargetChosen(to))
                .into()
        };
        let everyone = container(Icon::People.view(20.0, tokens.muted)).center_x(28).into();
        let mut menu = column![entry(
            everyone,
            "Everyone".to_owned(),
            self.who_reads(false),
            Recipient::Everyone
        )];
        for person in self.people.iter().filter(|person| !person.is_self && is_here(person)) {
            let color: Color = self.color(tokens, &person.entity);
            let picture = avatar(tokens, &person.name, color, 28.0, false);
            let below = match self.kind {
                SessionKind::Joined => "Private. Passes through the host's computer.".to_owned(),
                SessionKind::Call | SessionKind::Hosted => "Private".to_owned(),
            };
            let to = Recipient::Participant(person.entity.clone());
            menu = menu.push(entry(picture, person.name.clone(), below, to));
        }
        menu.padding(6).into()
    }
}

/// Enter sends, Shift+Enter begins a line; Tab and the window's own keys are left alone.
fn binding(press: KeyPress) -> Option<Binding<Message>> {
    match &press.key {
        keyboard::Key::Named(Named::Enter) if press.modifiers.shift() => Some(Binding::Enter),
        keyboard::Key::Named(Named::Enter) => Some(Binding::Custom(Message::SendPressed)),
        keyboard::Key::Named(Named::Escape | Named::Tab) => None,
        keyboard::Key::Character(key)
            if press.modifiers.command() && !matches!(key.as_str(), "c" | "x" | "v" | "a") =>
        {
            None
        }
        _ => Binding::from_key_press(press),
    }
}
