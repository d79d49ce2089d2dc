//! What was written: grouped by author, windowed, every message selectable and copied byte for byte.

use engine::{DeliveryState, Line, Recipient, SessionKind};
use iced::widget::{
    Column, Row, Space, button, column, container, hover, keyed_column, row, scrollable,
};
use iced::{Alignment, Color, Element, Length};
use time::{OffsetDateTime, UtcOffset};

use super::{Entry, Message, State, is_coming};
use crate::icon::Icon;
use crate::selectable::{Source, selectable};
use crate::text;
use crate::theme::{Kind, Tokens};
use crate::ui::{action, avatar, label, line, meter};

/// Rows that are laid out at a time.
pub(super) const PAGE: usize = 60;
/// The widget id of the list.
pub const LIST: &str = "chat";
/// Lines of one author this close together are one group.
const GROUP: time::Duration = time::Duration::minutes(2);

impl State {
    pub(super) fn chat_panel<'a>(&'a self, tokens: Tokens, narrow: bool) -> Element<'a, Message> {
        // In the narrow window the tabs stand in the bar above; here it says who speaks.
        let head: Element<'a, Message> = if narrow {
            self.speaker(tokens)
        } else {
            container(label("Chat", 14.0, tokens.text))
                .padding([6, 12])
                .style(tokens.card(tokens.raised, Color::TRANSPARENT, 6.0, 0.0))
                .into()
        };
        let fill = if narrow { tokens.panel } else { tokens.bg };
        let head = container(head)
            .padding([0, 12])
            .width(Length::Fill)
            .height(if narrow { 40 } else { 48 })
            .align_y(Alignment::Center)
            .style(tokens.fill(fill));
        let list =
            if self.entries.is_empty() { self.nothing_yet(tokens) } else { self.list(tokens) };
        let mut panel = column![head, line(tokens), list];
        if self.unread > 0 && !self.at_end {
            panel = panel.push(self.below(tokens));
        }
        panel = panel.push(self.composer(tokens, narrow));
        container(panel).width(Length::Fill).height(Length::Fill).into()
    }

    /// "Bob is speaking", with the loudest one's badge and meter.
    fn speaker<'a>(&'a self, tokens: Tokens) -> Element<'a, Message> {
        let level = |id| self.levels.get(&id).copied().unwrap_or(-127.0);
        let speakers = self.people.iter().filter(|person| self.speaks(person));
        let Some(loudest) = speakers.max_by(|one, two| level(one.id).total_cmp(&level(two.id)))
        else {
            return label(self.whose(), 13.0, tokens.muted).into();
        };
        let color = self.color(tokens, &loudest.entity);
        row![
            avatar(tokens, &loudest.name, color, 24.0, true),
            label(loudest.name.as_str(), 13.0, tokens.text),
            label("is speaking", 13.0, tokens.ok),
            meter(tokens, level(loudest.id))
        ]
        .spacing(8)
        .align_y(Alignment::Center)
        .into()
    }

    /// Before the first line: who is being called, and where texts go.
    fn nothing_yet<'a>(&'a self, tokens: Tokens) -> Element<'a, Message> {
        let coming: Vec<&str> = self
            .people
            .iter()
            .filter(|person| !person.is_self && is_coming(person))
            .map(|person| person.name.as_str())
            .collect();
        let mut page = Column::new().align_x(Alignment::Center).spacing(6);
        if self.others() == 0 && !coming.is_empty() {
            let table = container(Icon::Table.view(28.0, tokens.accent))
                .center(56)
                .style(tokens.card(tokens.accent_soft, Color::TRANSPARENT, 28.0, 0.0));
            let rule = container(Space::new().width(64).height(1)).style(tokens.fill(tokens.line));
            page = page
                .push(table)
                .push(Space::new().height(8))
                .push(label(format!("Calling {}", text::listed(&coming)), 18.0, tokens.text))
                .push(label(text::WRITE_NOW, 14.0, tokens.muted))
                .push(container(rule).padding([16, 0]));
        }
        for words in text::EMPTY_CHAT {
            page = page.push(label(words, 13.0, tokens.muted));
        }
        container(page).center(Length::Fill).into()
    }

    /// "3 new below", with a hairline on both sides.
    fn below<'a>(&'a self, tokens: Tokens) -> Element<'a, Message> {
        let words = format!("{} new below", self.unread);
        let pill =
            row![label(words, 13.0, tokens.accent), Icon::ArrowDown.view(16.0, tokens.accent)]
                .spacing(8)
                .height(Length::Fill)
                .align_y(Alignment::Center);
        let pill = button(pill)
            .height(32)
            .padding([0, 14])
            .style(tokens.button(Kind::Soft, 16.0))
            .on_press(Message::ToEndPressed);
        let row = row![line(tokens), pill, line(tokens)].spacing(8).align_y(Alignment::Center);
        container(row).padding([4, 16]).into()
    }

    fn list<'a>(&'a self, tokens: Tokens) -> Element<'a, Message> {
        let last = self.held_at.unwrap_or(self.entries.len()).min(self.entries.len());
        let first = last.saturating_sub(self.shown_entries);
        let mut rows: Vec<(usize, Element<'a, Message>)> = Vec::new();
        if first > 0 {
            let words = format!("Show {} earlier", first.min(PAGE));
            let earlier = action(tokens, Kind::Quiet, None, words, Some(Message::EarlierPressed));
            rows.push((usize::MAX, container(earlier).center_x(Length::Fill).into()));
        }
        let mut before: Option<&Line> = None;
        for (place, entry) in self.entries.iter().enumerate().take(last).skip(first) {
            let row = match entry {
                Entry::Event { words, .. } => event_row(tokens, words),
                Entry::Line { line, source } => {
                    let continues = before.is_some_and(|before| {
                        before.from == line.from
                            && before.to == line.to
                            && before.verified == line.verified
                            && line.at - before.at < GROUP
                    });
                    self.message(tokens, place, line, source, continues)
                }
                Entry::Unsent { source, to, reason } => {
                    self.unsent(tokens, place, source, to, reason)
                }
            };
            rows.push((place, row));
            before = match entry {
                Entry::Line { line, .. } => Some(line),
                Entry::Event { .. } | Entry::Unsent { .. } => None,
            };
        }
        // Each row keeps its selection when others come or go.
        scrollable(keyed_column(rows).width(Length::Fill).padding([8, 0]))
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
        place: usize,
        line: &'a Line,
        source: &'a Source,
        continues: bool,
    ) -> Element<'a, Message> {
        let private = line.to != Recipient::Everyone && self.kind != SessionKind::Call;
        let color = self.color(tokens, &line.from);
        let mut words = Column::new();
        if !continues {
            words = words.push(self.message_head(tokens, line, color, private));
        }
        let is_cut = source.is_long() && !self.opened.contains(&place);
        words = words.push(selectable(source, tokens, Message::LinkPressed).cut(is_cut));
        if source.is_long() {
            let more = if is_cut { text::show_all(source) } else { "Show less".to_owned() };
            // Its words begin where the text does.
            let more = button(label(more, 14.0, tokens.accent))
                .padding([5, 0])
                .style(tokens.button(Kind::QuietAccent, 4.0))
                .on_press(Message::MessageOpened(place));
            words = words.push(more);
        }
        if line.is_own {
            words = words.push(self.delivery_row(tokens, line));
        }
        let badge: Element<'a, Message> = if continues {
            Space::new().width(32).into()
        } else {
            avatar(tokens, &line.name, color, 32.0, false)
        };
        let content = row![badge, words.spacing(2).width(Length::Fill)].spacing(12);
        let padding = if private { [8, 8] } else { [if continues { 2 } else { 6 }, 16] };
        let content = container(content).padding(padding).width(Length::Fill);
        let press = Some(Message::MessageCopied(line.id));
        let copy = action(tokens, Kind::Normal, Some(Icon::Copy), "Copy", press);
        let copy = container(container(copy).style(tokens.floating(8.0)).padding(3))
            .align_right(Length::Fill)
            .padding([2, if private { 8 } else { 16 }]);
        if private {
            return container(hover(private_block(tokens, content), copy)).padding([4, 8]).into();
        }
        hover(content, copy)
    }

    fn message_head<'a>(
        &'a self,
        tokens: Tokens,
        line: &'a Line,
        color: Color,
        private: bool,
    ) -> Row<'a, Message> {
        let name = if line.is_own { "You" } else { line.name.as_str() };
        let mut head = row![label(name, 14.0, color), label(clock(line.at), 12.0, tokens.muted)];
        if !line.verified {
            head = head.push(label("(not verified)", 12.0, tokens.warn));
        }
        if line.expired {
            head = head.push(label("(came too late)", 12.0, tokens.warn));
        }
        head = head.push(Space::new().width(Length::Fill));
        let head = match (&line.to, private) {
            (Recipient::Participant(entity), true) => {
                let words = format!("Private to {}", self.name_of(entity));
                head.push(Icon::Lock.view(14.0, tokens.private)).push(label(
                    words,
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
        head.spacing(8).align_y(Alignment::Center)
    }

    /// A text that was refused while the next one was being written: it is kept here until somebody needs it.
    fn unsent<'a>(
        &'a self,
        tokens: Tokens,
        place: usize,
        source: &'a Source,
        to: &'a Recipient,
        reason: &'a str,
    ) -> Element<'a, Message> {
        let whom = match to {
            Recipient::Everyone | Recipient::Me => "Not sent".to_owned(),
            Recipient::Participant(entity) => format!("Not sent to {}", self.name_of(entity)),
        };
        let press = Some(Message::UnsentCopied(place));
        let why = row![
            Icon::Alert.view(16.0, tokens.warn),
            label(format!("{whom}. {reason}"), 13.0, tokens.muted),
            action(tokens, Kind::QuietAccent, Some(Icon::Copy), "Copy", press)
        ]
        .spacing(8)
        .align_y(Alignment::Center);
        let text = selectable(source, tokens, Message::LinkPressed).cut(source.is_long());
        let content = row![Space::new().width(32), column![text, why].width(Length::Fill)];
        container(content.spacing(12)).padding([6, 16]).into()
    }

    fn delivery_row<'a>(&'a self, tokens: Tokens, line: &'a Line) -> Element<'a, Message> {
        let Some(deliveries) = self.deliveries.get(&line.id) else { return Space::new().into() };
        let names = |entity: &str| self.name_of(entity);
        let told = text::delivery(deliveries, self.kind == SessionKind::Joined, &names);
        if told.words.is_empty() {
            return Space::new().into();
        }
        let (icon, color) = delivery_icon(tokens, told.state);
        let mut words = row![icon.view(16.0, color), label(told.words, 13.0, tokens.muted)];
        if deliveries.len() > 1 {
            words = words.push(Icon::ChevronDown.view(14.0, tokens.muted));
        }
        let details = button(words.spacing(8).align_y(Alignment::Center))
            .padding([3, 0])
            .style(tokens.button(Kind::Quiet, 4.0))
            .on_press(Message::DeliveriesPressed(line.id));
        let mut content = row![details];
        if !told.again.is_empty() && self.ended.is_none() {
            let known = self.kind == SessionKind::Hosted;
            let names: Vec<String> = told.again.iter().map(|entity| self.name_of(entity)).collect();
            let words = if known {
                format!("Resend to {}", text::listed(&names))
            } else {
                "Resend".to_owned()
            };
            let press = Some(Message::ResendPressed(line.id, told.again));
            content =
                content.push(action(tokens, Kind::QuietAccent, Some(Icon::Retry), words, press));
        }
        content.spacing(8).align_y(Alignment::Center).into()
    }
}

/// Clock waiting, check accepted, triangle failed.
pub(super) fn delivery_icon(tokens: Tokens, state: DeliveryState) -> (Icon, Color) {
    match state {
        DeliveryState::Failed | DeliveryState::Unsupported => (Icon::Alert, tokens.warn),
        DeliveryState::Accepted | DeliveryState::Delivered => (Icon::Check, tokens.muted),
        DeliveryState::Left | DeliveryState::Sending | DeliveryState::Waiting => {
            (Icon::Clock, tokens.muted)
        }
    }
}

/// A soft purple block with a stripe at its left.
fn private_block<'a>(
    tokens: Tokens,
    content: impl Into<Element<'a, Message>>,
) -> Element<'a, Message> {
    let stripe = container(Space::new().width(3).height(Length::Fill)).style(tokens.card(
        tokens.private,
        tokens.private,
        1.5,
        0.0,
    ));
    let stripe = container(stripe).padding([8, 0]).height(Length::Fill);
    let block =
        container(content).style(tokens.card(tokens.private_soft, tokens.private_soft, 8.0, 0.0));
    iced::widget::stack![block, stripe].into()
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
