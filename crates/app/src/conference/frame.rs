//! What stands around people and words: the bar above, banners, the controls below.

use engine::SessionKind;
use iced::widget::{Row, Space, button, column, container, row, stack};
use iced::{Alignment, Element, Length, Size};

use super::{Message, NARROW, State, Transcript, is_coming, is_here};
use crate::icon::Icon;
use crate::theme::{Kind, Tokens};
use crate::ui::{action, big_action, count, icon_action, label, line, middle, mono, upright};

impl State {
    /// The screen.
    pub fn view<'a>(&'a self, tokens: Tokens, size: Size) -> Element<'a, Message> {
        let narrow = size.width < NARROW;
        let body: Element<'a, Message> = match (narrow, self.shows_chat) {
            (true, _) if self.chat_tab => self.chat_panel(tokens, true),
            (true, _) => self.people_panel(tokens, true, Length::Fill),
            (false, true) => row![
                self.people_panel(tokens, false, Length::Fixed(304.0)),
                upright(tokens),
                self.chat_panel(tokens, false)
            ]
            .into(),
            (false, false) => self.people_panel(tokens, false, Length::Fill),
        };
        let bar = if narrow { self.narrow_bar(tokens) } else { self.top_bar(tokens) };
        let mut page = column![bar, line(tokens)];
        if let Some(notice) = &self.notice {
            page = page.push(banner(tokens, notice));
        }
        if self.ended.is_none() {
            for (refer, words) in &self.wishes {
                page = page.push(self.wish_banner(tokens, *refer, words));
            }
        }
        if let Some(reason) = &self.ended {
            page = page.push(ended_banner(tokens, reason, self.password_button(tokens)));
        }
        let body = container(body).height(Length::Fill);
        let page = page.push(body).push(line(tokens)).push(self.controls(tokens, narrow));
        let mut layers = stack![page];
        if let Some(floating) = &self.floating {
            layers = layers.push(self.float(tokens, narrow, floating));
        }
        if let Some((words, _)) = &self.toast {
            layers = layers.push(self.toast(tokens, narrow, words));
        }
        layers.into()
    }

    fn top_bar<'a>(&'a self, tokens: Tokens) -> Element<'a, Message> {
        let mut bar = row![
            icon_action(tokens, Icon::ArrowLeft, "Back", Message::BackPressed),
            label(middle(&self.subject, 40), 18.0, tokens.text),
            container(upright(tokens)).height(20),
            mono(self.timer(), 12.0, tokens.text),
            label(self.situation(), 13.0, tokens.muted),
            Space::new().width(Length::Fill)
        ];
        if self.takes_keys() {
            bar = bar.push(self.keys_button(tokens));
        }
        if self.can_invite() {
            bar = bar.push(self.doors_button(tokens));
            bar = bar.push(action(
                tokens,
                Kind::Normal,
                Some(Icon::Invite),
                "Invite",
                Some(Message::InvitePressed),
            ));
        }
        let bar = bar.spacing(12).align_y(Alignment::Center);
        container(bar).padding([0, 16]).height(56).align_y(Alignment::Center).into()
    }

    fn narrow_bar<'a>(&'a self, tokens: Tokens) -> Element<'a, Message> {
        let tab = |icon: Icon, words: &'static str, chat: bool| {
            let on = self.chat_tab == chat;
            let ink = if on { tokens.text } else { tokens.muted };
            let mut content = row![icon.view(18.0, ink), label(words, 14.0, ink)];
            if !chat {
                content = content.push(count(tokens, self.shown_people(), tokens.raised, ink));
            } else if self.unread > 0 {
                content = content.push(count(tokens, self.unread, tokens.accent, tokens.on_accent));
            }
            let kind = if on { Kind::Normal } else { Kind::Quiet };
            button(content.spacing(8).height(Length::Fill).align_y(Alignment::Center))
                .height(32)
                .padding([0, 12])
                .style(tokens.button(kind, 6.0))
                .on_press(Message::TabPressed(chat))
        };
        let mut bar = row![
            icon_action(tokens, Icon::ArrowLeft, "Back", Message::BackPressed),
            label(middle(&self.subject, 24), 15.0, tokens.text),
            mono(self.timer(), 12.0, tokens.muted),
            Space::new().width(Length::Fill),
            tab(Icon::People, "People", false),
            tab(Icon::Chat, "Chat", true)
        ];
        if self.takes_keys() {
            bar = bar.push(self.keys_button(tokens));
        }
        if self.can_invite() {
            bar = bar.push(container(upright(tokens)).height(20)).push(self.doors_button(tokens));
            bar = bar.push(icon_action(tokens, Icon::Invite, "Invite", Message::InvitePressed));
        }
        let bar = bar.spacing(8).align_y(Alignment::Center);
        container(bar).padding([0, 8]).height(48).align_y(Alignment::Center).into()
    }

    fn can_invite(&self) -> bool {
        self.ended.is_none()
    }

    /// "hosted by you · 3 of 4 connected".
    fn situation(&self) -> String {
        let whose = self.whose();
        if self.ended.is_some() {
            return whose;
        }
        let here = self.people.iter().filter(|person| is_here(person)).count();
        let coming = self.people.iter().filter(|person| is_coming(person)).count();
        if self.others() == 0 && coming > 0 {
            return format!("{whose} · calling {}", crate::text::people(coming));
        }
        format!("{whose} · {here} of {} connected", here + coming)
    }

    /// "hosted by Anna".
    pub(super) fn whose(&self) -> String {
        match self.kind {
            SessionKind::Call => "in a call".to_owned(),
            SessionKind::Hosted => "hosted by you".to_owned(),
            SessionKind::Joined => {
                let host = self.people.iter().find(|person| person.is_host);
                host.map_or_else(
                    || "conference".to_owned(),
                    |host| format!("hosted by {}", host.name),
                )
            }
        }
    }

    fn controls<'a>(&'a self, tokens: Tokens, narrow: bool) -> Element<'a, Message> {
        let press = |kind: Kind, content: Row<'a, Message>, message: Message| {
            if narrow {
                let content = content.spacing(8).height(Length::Fill).align_y(Alignment::Center);
                return button(content)
                    .height(32)
                    .padding([0, 12])
                    .style(tokens.button(kind, 6.0))
                    .on_press(message);
            }
            big_action(tokens, kind, content, Some(message))
        };
        let mut bar = Row::new();
        if self.ended.is_none() {
            let (kind, icon, words) = if self.muted {
                (Kind::Danger, Icon::MicOff, "Unmute")
            } else {
                (Kind::Normal, Icon::Mic, "Mute")
            };
            let ink = crate::ui::ink(tokens, kind);
            let mut content = row![icon.view(18.0, ink), label(words, 14.0, ink)];
            if !narrow {
                let ink = if self.muted { ink } else { tokens.muted };
                content = content.push(label("Ctrl+D", 12.0, ink));
            }
            bar = bar.push(press(kind, content, Message::MutePressed));
        }
        if !narrow {
            let kind = if self.shows_chat { Kind::Soft } else { Kind::Normal };
            let ink = crate::ui::ink(tokens, kind);
            let mut content = row![Icon::Chat.view(18.0, ink), label("Chat", 14.0, ink)];
            if self.unread > 0 {
                content = content.push(count(tokens, self.unread, tokens.accent, tokens.on_accent));
            }
            bar = bar.push(press(kind, content, Message::ChatToggled));
        }
        let words = if self.ended.is_some() { "Close" } else { "Leave" };
        let leave = row![Icon::Leave.view(18.0, tokens.err), label(words, 14.0, tokens.err)];
        let bar = bar
            .push(Space::new().width(Length::Fill))
            .push(press(Kind::Danger, leave, Message::LeavePressed))
            .spacing(8)
            .align_y(Alignment::Center);
        container(bar)
            .padding([0, if narrow { 8 } else { 16 }])
            .height(if narrow { 52 } else { 64 })
            .align_y(Alignment::Center)
            .into()
    }
}

fn banner<'a>(tokens: Tokens, words: &'a str) -> Element<'a, Message> {
    let content = row![
        Icon::Alert.view(20.0, tokens.warn),
        container(label(words, 14.0, tokens.text)).width(Length::Fill),
        icon_action(tokens, Icon::Close, "Close", Message::NoticeClosed)
    ]
    .spacing(12)
    .align_y(Alignment::Center);
    container(content)
        .padding([8, 16])
        .width(Length::Fill)
        .style(tokens.fill(tokens.warn_soft))
        .into()
}

fn ended_banner<'a>(
    tokens: Tokens,
    reason: &'a str,
    act: Option<Element<'a, Message>>,
) -> Element<'a, Message> {
    let content =
        row![Icon::Leave.view(20.0, tokens.muted), label(reason, 14.0, tokens.text)].push(act);
    let wish = |words, wish| {
        action(tokens, Kind::Normal, None, words, Some(Message::TranscriptPressed(wish)))
    };
    let content = content
        .push(Space::new().width(Length::Fill))
        .push(wish("Keep", Transcript::Keep))
        .push(wish("Export", Transcript::Export));
    let content = content.spacing(12).align_y(Alignment::Center);
    container(content)
        .padding([12, 16])
        .width(Length::Fill)
        .style(tokens.fill(tokens.raised))
        .into()
}
