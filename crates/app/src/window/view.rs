//! What stands around the screens: bars, the card of a ringing call, the question before something ends.

use iced::widget::{Column, Row, Space, column, container, opaque, row, stack, tooltip};
use iced::{Alignment, Element, Length, Padding};

use super::*;
use crate::clean::one_line;
use crate::icon::Icon;
use crate::theme::Kind;
use crate::ui::{action, icon_action, label, line, mono};

impl Window {
    /// Everything has its fixed place among its siblings, so that nothing that comes or goes takes the keyboard away.
    pub(super) fn view(&self) -> Element<'_, Message> {
        let tokens = self.tokens();
        let screen: Element<'_, Message> = match self.sessions.shown() {
            Some(session) => {
                let screen = session.screen.view(tokens, self.size).map(Message::Conference);
                stack![screen, self.card(tokens, 69.0)].into()
            }
            None => self.home_screen(tokens),
        };
        let screen = container(screen)
            .width(Length::Fill)
            .height(Length::Fill)
            .style(tokens.fill(tokens.bg));
        let question: Element<'_, Message> = match &self.question {
            Some(question) => question.view(tokens).map(Message::Question),
            None => Space::new().into(),
        };
        stack![screen, question].into()
    }

    fn home_screen(&self, tokens: Tokens) -> Element<'_, Message> {
        let identity = self.home.identity(tokens, &self.name, &self.address, self.phase);
        let body = stack![self.home.body(tokens).map(Message::Home), self.card(tokens, 12.0)];
        column![
            identity.map(Message::Home),
            self.bars(tokens),
            container(body).height(Length::Fill),
            self.status_bar(tokens)
        ]
        .into()
    }

    fn card(&self, tokens: Tokens, top: f32) -> Element<'_, Message> {
        // One card at a time: what answering does is being asked.
        let asked = |question: &Question| matches!(question.intent, Intent::Answer(_));
        if self.question.as_ref().is_some_and(asked) {
            return Space::new().into();
        }
        let Some(call) = self.incoming.first() else { return Space::new().into() };
        let card = call.view(tokens, self.running(), self.incoming.more());
        let padding = Padding { top, right: 32.0, ..Padding::ZERO };
        container(opaque(card.map(Message::Incoming)))
            .align_right(Length::Fill)
            .padding(padding)
            .into()
    }

    fn bars(&self, tokens: Tokens) -> Element<'_, Message> {
        let mut bars = Column::new();
        if let Some(session) = self.sessions.running() {
            bars = bars.push(self.mini_bar(tokens, session));
        }
        let mut ended = self.sessions.ended();
        if let Some(session) = ended.next() {
            bars = bars.push(ended_bar(tokens, session, ended.count()));
        }
        if let Some(words) = self.home.hint_bar(tokens) {
            bars = bars.push(words.map(Message::Home));
        }
        bars.into()
    }

    /// The running call, while home is shown.
    fn mini_bar<'a>(&self, tokens: Tokens, session: &'a Session) -> Element<'a, Message> {
        let screen = &session.screen;
        let people = match screen.kind {
            SessionKind::Call => String::new(),
            SessionKind::Hosted => {
                format!("{}, you are the host", crate::text::people(screen.others() + 1))
            }
            SessionKind::Joined => crate::text::people(screen.others() + 1),
        };
        let (icon, words) =
            if session.muted { (Icon::MicOff, "Unmute") } else { (Icon::Mic, "Mute") };
        let mute = action(
            tokens,
            if session.muted { Kind::Danger } else { Kind::Quiet },
            Some(icon),
            words,
            Some(Message::MutePressed),
        );
        let bar = row![
            Icon::Table.view(20.0, tokens.accent),
            label(one_line(&screen.subject, 40), 14.0, tokens.text),
            mono(screen.timer(), 12.0, tokens.muted),
            label(people, 13.0, tokens.muted),
            Space::new().width(Length::Fill),
            mute,
            action(tokens, Kind::Outline, None, "Return to call", Some(Message::ReturnPressed))
        ];
        bar_of(tokens, bar, tokens.accent_soft)
    }

    /// Whether sound works, and where calls come in.
    fn status_bar(&self, tokens: Tokens) -> Element<'_, Message> {
        let mut bar = Row::new().spacing(16).align_y(Alignment::Center);
        if let Some(audio) = &self.audio {
            let microphone = audio.microphone.as_ref().err().map(String::as_str);
            bar = bar.push(status(tokens, "Microphone", "No microphone", microphone));
            let speaker = audio.speaker.as_ref().err().map(String::as_str);
            bar = bar.push(status(tokens, "Speaker", "No speaker", speaker));
        }
        match self.phase {
            home::Phase::Failed => {
                let reason = Some("Nobody can call, and nobody can be called.");
                bar = bar.push(status(tokens, "", "No network", reason));
            }
            home::Phase::Ready => {
                let words = format!("Port {} (UDP and TCP)", port(&self.address));
                bar = bar.push(status(tokens, words, "", None));
            }
            home::Phase::Starting => {}
        }
        let bar = container(bar)
            .padding([0, 32])
            .width(Length::Fill)
            .height(32)
            .align_y(Alignment::Center)
            .style(tokens.fill(tokens.panel));
        column![line(tokens), bar].into()
    }
}

fn bar_of<'a>(
    tokens: Tokens,
    content: Row<'a, Message>,
    fill: iced::Color,
) -> Element<'a, Message> {
    let bar = container(content.spacing(12).align_y(Alignment::Center))
        .padding([0, 32])
        .height(48)
        .width(Length::Fill)
        .align_y(Alignment::Center)
        .style(tokens.fill(fill));
    column![bar, line(tokens)].into()
}

/// A session that is over and not closed yet; `more` others are behind it.
fn ended_bar<'a>(tokens: Tokens, session: &'a Session, more: usize) -> Element<'a, Message> {
    let subject = one_line(&session.screen.subject, 40);
    let words = match more {
        0 => format!("{subject} ended."),
        1 => format!("{subject} and 1 other ended."),
        more => format!("{subject} and {more} others ended."),
    };
    let mut bar = row![Icon::Table.view(20.0, tokens.muted), label(words, 14.0, tokens.text)];
    let unsent = session.unsent().is_some();
    if unsent {
        bar = bar.push(label("Your text was not sent.", 13.0, tokens.warn));
    }
    bar = bar.push(Space::new().width(Length::Fill));
    if unsent {
        let copy = Some(Message::UnsentCopied(session.id));
        bar = bar.push(action(tokens, Kind::Normal, Some(Icon::Copy), "Copy text", copy));
    }
    let open = Some(Message::EndedOpened(session.id));
    bar = bar.push(action(tokens, Kind::Outline, None, "Open", open)).push(icon_action(
        tokens,
        Icon::Close,
        "Close",
        Message::EndedClosed(session.id),
    ));
    bar_of(tokens, bar, tokens.panel)
}

/// What works, or the lack of it with the reason under the pointer.
fn status<'a>(
    tokens: Tokens,
    works: impl Into<String>,
    fails: &'static str,
    fault: Option<&'a str>,
) -> Element<'a, Message> {
    let (icon, color, ink, words) = match fault {
        None => (Icon::Check, tokens.ok, tokens.muted, works.into()),
        Some(_) => (Icon::Alert, tokens.err, tokens.err, fails.to_owned()),
    };
    let content =
        row![icon.view(14.0, color), label(words, 12.0, ink)].spacing(6).align_y(Alignment::Center);
    match fault {
        None => content.into(),
        Some(reason) => {
            let tip = container(label(reason, 12.0, tokens.text))
                .padding([4, 8])
                .style(tokens.floating(6.0));
            tooltip(content, tip, tooltip::Position::Top).gap(8).into()
        }
    }
}

/// The port of an address of ours, which is always written.
fn port(address: &str) -> &str {
    let behind = address.rsplit(':').next().unwrap_or_default();
    if behind.chars().all(|c| c.is_ascii_digit()) { behind } else { "5060" }
}
