//! What was written: grouped by author, windowed, every message selectable and copied byte for byte.

use engine::{DeliveryState, Line, Recipient, SessionKind};
use iced::widget::{Column, Row, Space, button, column, container, hover, row, scrollable};
use iced::{Alignment, Color, Element, Length};
use time::{OffsetDateTime, UtcOffset};

use super::{Entry, Message, State};
use crate::icon::Icon;
use crate::selectable::{Source, selectable};
use crate::text;
use crate::theme::{Kind, Tokens};
use crate::ui::{action, avatar, label, line};

/// Rows that are laid out at a time.
pub(super) const PAGE: usize = 60;
/// The widget id of the list.
pub const LIST: &str = "chat";
/// Lines of one author this close together are one group.
const GROUP: time::Duration = time::Duration::minutes(2);

impl State {
    pub(super) fn chat_panel<'a>(&'a self, tokens: Tokens, narrow: bool) -> Element<'a, Message> {
        let head: Element<'a, Message> = if narrow {
            // The tabs stand in the bar above; here it says who speaks.
            label(self.speakers(), 13.0, tokens.ok).into()
        } else {
            container(label("Chat", 14.0, tokens.text))
                .padding([6, 12])
                .style(tokens.card(tokens.raised, Color::TRANSPARENT, 6.0, 0.0))
                .into()
        };
        let height = if narrow { 40 } else { 48 };
        let head = container(head).padding([0, if narrow { 16 } else { 12 }]);
        let head = head.height(height).align_y(Alignment::Center);
        let has_lines = !self.entries.is_empty();
        let list: Element<'a, Message> = if has_lines {
            self.list(tokens)
        } else {
            let words = label(text::EMPTY_CHAT, 14.0, tokens.muted);
            container(words).center(Length::Fill).into()
        };
        let mut panel = column![head, line(tokens), list];
        if self.unread > 0 && !self.at_end {
            let pill = row![
                label(format!("{} new below", self.unread), 13.0, tokens.accent),
                Icon::ArrowDown.view(14.0, tokens.accent)
            ]
            .spacing(8)
            .align_y(Alignment::Center);
            let pill = button(pill)
                .padding([6, 14])
                .style(tokens.button(Kind::Soft, 16.0))
                .on_press(Message::ToEndPressed);
            panel = panel.push(container(pill).center_x(Length::Fill).padding([6, 0]));
        }
        if self.ended.is_none() {
            panel = panel.push(self.composer(tokens));
        }
        container(panel).width(Length::Fill).height(Length::Fill).into()
    }

    fn list<'a>(&'a self, tokens: Tokens) -> Element<'a, Message> {
        let first = self.entries.len().saturating_sub(self.shown_entries);
        let mut rows = Column::new().padding([8, 0]);
        if first > 0 {
            let words = format!("Show {} earlier", first.min(PAGE));
            let earlier = action(tokens, Kind::Quiet, None, words, Some(Message::EarlierPressed));
            rows = rows.push(container(earlier).center_x(Length::Fill));
        }
        let mut before: Option<&Line> = None;
        for entry in &self.entries[first..] {
            match entry {
                Entry::Event { words } => {
                    rows = rows.push(event_row(tokens, words));
                    before = None;
                }
                Entry::Line { line, source } => {
                    let continues = before.is_some_and(|before| {
                        before.from == line.from
                            && before.to == line.to
                            && line.at - before.at < GROUP
                    });
                    rows = rows.push(self.message(tokens, line, source, continues));
                    before = Some(line);
                }
            }
        }
        scrollable(rows)
            .id(LIST)
            .anchor_bottom()
            .on_scroll(|viewport| Message::Scrolled(viewport.absolute_offset().y < 12.0))
            .height(Length::Fill)
            .width(Length::Fill)
            .style(tokens.scroll())
            .into()
    }

    fn message<'a>(
        &'a self,
        tokens: Tokens,
        line: &'a Line,
        source: &'a Source,
        continues: bool,
    ) -> Element<'a, Message> {
        let private = line.to != Recipient::Everyone && self.kind != SessionKind::Call;
        let color = self.color(tokens, &line.from);
        let name = if line.is_own { "You".to_owned() } else { line.name.clone() };
        let badge: Element<'a, Message> = if continues {
            Space::new().width(32).into()
        } else {
            avatar(tokens, &line.name, color, 32.0, false)
        };
        let mut words = Column::new();
        if !continues {
            let mut head =
                row![label(name, 14.0, color), label(clock(line.at), 12.0, tokens.muted)]
                    .spacing(8)
                    .align_y(Alignment::Center);
            if !line.verified {
                head = head.push(label("(not verified)", 12.0, tokens.warn));
            }
            head = head.push(Space::new().width(Length::Fill));
            let head: Row<'a, Message> = match (&line.to, private) {
                (Recipient::Participant(entity), true) => {
                    head.push(Icon::Lock.view(14.0, tokens.private)).push(label(
                        format!("Private to {}", self.name_of(entity)),
                        12.0,
                        tokens.private,
                    ))
                }
                (_, true) => head.push(Icon::Lock.view(14.0, tokens.private)).push(label(
                    "Private to you",
                    12.0,
                    tokens.private,
                )),
                (_, false) if self.kind == SessionKind::Call => head,
                (_, false) => head.push(label("to all", 12.0, tokens.muted)),
            };
            words = words.push(head);
        }
        words = words.push(selectable(source, tokens, Message::LinkPressed));
        if line.is_own {
            words = words.push(self.delivery_row(tokens, line));
        }
        let content = row![badge, words.spacing(2).width(Length::Fill)].spacing(12);
        let padding = if private { [8, 8] } else { [if continues { 2 } else { 6 }, 16] };
        let content = container(content).padding(padding).width(Length::Fill);
        let copy = container(
            container(action(
                tokens,
                Kind::Normal,
                Some(Icon::Copy),
                "Copy",
                Some(Message::MessageCopied(line.id)),
            ))
            .style(tokens.floating(8.0))
            .padding(3),
        )
        .align_right(Length::Fill)
        .padding([2, if private { 8 } else { 16 }]);
        if private {
            let stripe = container(Space::new().width(3).height(Length::Fill)).style(tokens.card(
                tokens.private,
                tokens.private,
                1.5,
                0.0,
            ));
            let stripe = container(stripe).padding([8, 0]).height(Length::Fill);
            let block = container(content).style(tokens.card(
                tokens.private_soft,
                tokens.private_soft,
                8.0,
                0.0,
            ));
            let block = iced::widget::stack![block, stripe];
            return container(hover(block, copy)).padding([4, 8]).into();
        }
        hover(content, copy)
    }

    fn delivery_row<'a>(&'a self, tokens: Tokens, line: &'a Line) -> Element<'a, Message> {
        let Some(deliveries) = self.deliveries.get(&line.id) else { return Space::new().into() };
        let (state, words, again) = text::delivery(deliveries, self.kind != SessionKind::Hosted);
        if words.is_empty() {
            return Space::new().into();
        }
        let (icon, color) = match state {
            DeliveryState::Failed => (Icon::Alert, tokens.warn),
            DeliveryState::Accepted => (Icon::Check, tokens.muted),
            _ => (Icon::Clock, tokens.muted),
        };
        let mut content = row![icon.view(16.0, color), label(words, 13.0, tokens.muted)];
        if !again.is_empty() && self.ended.is_none() {
            let names: Vec<String> = again.iter().map(|entity| self.name_of(entity)).collect();
            let words = format!("Resend to {}", names.join(", "));
            let message = Message::ResendPressed(line.id, again);
            content = content.push(action(
                tokens,
                Kind::QuietAccent,
                Some(Icon::Retry),
                words,
                Some(message),
            ));
        }
        content.spacing(8).align_y(Alignment::Center).into()
    }
}

fn event_row<'a>(tokens: Tokens, words: &'a str) -> Element<'a, Message> {
    let icon = container(Icon::People.view(16.0, tokens.muted)).center_x(32);
    let content =
        row![icon, label(words, 12.0, tokens.muted)].spacing(12).align_y(Alignment::Center);
    container(content).padding([0, 16]).height(32).align_y(Alignment::Center).into()
}

/// HH:MM here.
pub(super) fn clock(at: OffsetDateTime) -> String {
    let offset = UtcOffset::current_local_offset().unwrap_or(UtcOffset::UTC);
    let at = at.to_offset(offset);
    format!("{:02}:{:02}", at.hour(), at.minute())
}
