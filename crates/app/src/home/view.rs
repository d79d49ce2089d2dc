//! How home looks.

use iced::widget::{
    Column, Row, Space, button, column, container, row, scrollable, stack, text_input,
};
use iced::{Alignment, Color, Element, Length, Padding};

use super::calls::record_row;
use super::calls::sender_color;
use super::texts::person;
use super::{Chip, Message, State};
use crate::icon::Icon;
use crate::text;
use crate::theme::{Kind, Tokens};
use crate::ui::{action, avatar, big_action, count, icon_action, label, line, middle, mono};

/// The widget id of the call bar.
pub const CALL_BAR: &str = "call-bar";
/// The widget id of the name while it is edited.
pub const NAME: &str = "name";

/// How far the program is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// It cannot be called.
    Failed,
    /// It can be called.
    Ready,
    /// Not yet.
    Starting,
}

impl State {
    /// Who I am, and where I can be called.
    pub fn identity<'a>(
        &'a self,
        tokens: Tokens,
        name: &'a str,
        address: &'a str,
        phase: Phase,
    ) -> Element<'a, Message> {
        let who: Element<'a, Message> = match &self.renaming {
            Some(typed) => text_input("Your name", typed)
                .id(NAME)
                .on_input(Message::NameEdited)
                .on_submit(Message::NameSubmitted)
                .width(200)
                .padding([1, 6])
                .size(14)
                .style(tokens.field(4.0))
                .into(),
            None => button(label(name, 15.0, tokens.text))
                .padding(0)
                .style(tokens.button(Kind::Quiet, 4.0))
                .on_press(Message::NamePressed)
                .into(),
        };
        let (words, color) = match phase {
            Phase::Failed => ("Not reachable", tokens.err),
            Phase::Ready => ("Ready", tokens.ok),
            Phase::Starting => ("Starting", tokens.muted),
        };
        let dot = container(Space::new().width(8).height(8)).style(tokens.card(
            color,
            Color::TRANSPARENT,
            4.0,
            0.0,
        ));
        let first = row![who, dot, label(words, 14.0, color)].spacing(8).align_y(Alignment::Center);
        let second = mono(middle(address, 60), 12.0, tokens.muted);
        let own = tokens.senders[0];
        let mut bar = row![avatar(tokens, name, own, 36.0, false), column![first, second]];
        if !address.is_empty() {
            bar = bar.push(icon_action(
                tokens,
                Icon::Copy,
                "Copy my address",
                Message::AddressCopied,
            ));
        }
        let theme = if tokens.is_dark { "Light" } else { "Dark" };
        let bar = bar
            .push(Space::new().width(Length::Fill))
            .push(action(tokens, Kind::Quiet, None, theme, Some(Message::ThemePressed)))
            .spacing(12)
            .align_y(Alignment::Center);
        let bar = container(bar).padding([0, 32]).height(56).align_y(Alignment::Center);
        column![bar, line(tokens)].into()
    }

    /// What the user should know, on one line.
    pub fn hint_bar<'a>(&'a self, tokens: Tokens) -> Option<Element<'a, Message>> {
        let hint = self.hint.as_deref()?;
        let banner = row![
            Icon::Alert.view(20.0, tokens.warn),
            label(hint, 14.0, tokens.text).width(Length::Fill),
            icon_action(tokens, Icon::Close, "Close", Message::HintClosed)
        ]
        .spacing(12)
        .align_y(Alignment::Center);
        let banner = container(banner)
            .padding([8, 32])
            .width(Length::Fill)
            .style(tokens.fill(tokens.warn_soft));
        Some(column![banner, line(tokens)].into())
    }

    /// Everything between the bars.
    pub fn body<'a>(&'a self, tokens: Tokens) -> Element<'a, Message> {
        let top = column![self.call_bar(tokens), self.chip_row(tokens)];
        // The rows reach 12 px further than what stands in them.
        let side = Padding { left: 20.0, right: 20.0, ..Padding::ZERO };
        let list: Element<'a, Message> = if self.shows_texts() {
            scrollable(self.texts.view(tokens).padding(Padding { bottom: 8.0, ..Padding::ZERO }))
                .height(Length::Fill)
                .style(tokens.scroll())
                .into()
        } else {
            self.recent(tokens)
        };
        column![top, self.tabs(tokens), container(list).padding(side).height(Length::Fill)]
            .height(Length::Fill)
            .into()
    }

    /// The ring of the keyboard stands 2 px around the field. The field itself is drawn below it.
    fn call_bar<'a>(&'a self, tokens: Tokens) -> Element<'a, Message> {
        let frame = container(Space::new().width(Length::Fill).height(48)).style(tokens.card(
            tokens.bg,
            tokens.border,
            8.0,
            1.0,
        ));
        let frame = container(frame).padding(4);
        let field = text_input(text::CALL_BAR, &self.input)
            .id(CALL_BAR)
            .on_input(Message::InputEdited)
            .on_paste(Message::InputPasted)
            .on_submit(Message::InputSubmitted)
            .padding(Padding { top: 17.0, right: 20.0, bottom: 17.0, left: 53.0 })
            .line_height(iced::widget::text::LineHeight::Absolute(22.0.into()))
            .size(15)
            .style(tokens.ringed_field(12.0));
        let icon = container(Icon::Phone.view(18.0, tokens.muted)).padding([0, 22]).center_y(56);
        container(stack![frame, field, icon])
            .padding(Padding { top: 20.0, left: 28.0, right: 28.0, bottom: 0.0 })
            .into()
    }

    /// What is typed, and what Enter would do. With nothing typed there is nothing to press.
    fn chip_row<'a>(&'a self, tokens: Tokens) -> Element<'a, Message> {
        let chips = self.chips();
        if chips.is_empty() {
            return Space::new().height(20).into();
        }
        let good = chips.iter().filter(|chip| chip.fault.is_none()).count();
        let bad = chips.len() - good;
        let mut wrap = Row::new().spacing(8).align_y(Alignment::Center);
        for (place, chip) in chips.into_iter().enumerate() {
            wrap = wrap.push(chip_view(tokens, place, chip));
        }
        let wrap = wrap.width(Length::Fill).wrap().vertical_spacing(8);
        let mut content = row![container(wrap).padding([4, 0]).width(Length::Fill)]
            .spacing(12)
            .align_y(Alignment::End);
        if good > 0 {
            let ink = if bad == 0 { tokens.on_accent } else { tokens.muted };
            let (words, icon) = match good + bad {
                1 => ("Call", Icon::Phone),
                _ => ("Start conference", Icon::People),
            };
            let mut main = row![icon.view(20.0, ink), label(words, 14.0, ink)];
            if good > 1 {
                let hole = if bad == 0 { tokens.accent } else { tokens.panel };
                main = main.push(count(tokens, good, ink, hole));
            }
            let ready = (bad == 0).then_some(Message::InputSubmitted);
            content = content.push(big_action(tokens, Kind::Primary, main, ready));
        }
        container(content)
            .padding(Padding { top: 8.0, left: 32.0, right: 32.0, bottom: 20.0 })
            .into()
    }

    fn tabs<'a>(&'a self, tokens: Tokens) -> Element<'a, Message> {
        let texts = self.shows_texts();
        let tab = |words: &'static str, is_on: bool, to_texts: bool| {
            let kind = if is_on { Kind::Normal } else { Kind::Quiet };
            let message = Some(Message::TabPressed(to_texts));
            action(tokens, kind, None, words, message)
        };
        let mut head = row![tab("Recent", !texts, false)].spacing(4).align_y(Alignment::Center);
        if !self.texts.is_empty() {
            head = head.push(tab("Texts", texts, true));
            if self.texts.unseen() > 0 {
                head =
                    head.push(count(tokens, self.texts.unseen(), tokens.accent, tokens.on_accent));
            }
        }
        head = head.push(Space::new().width(Length::Fill));
        if !texts {
            let filter = text_input("Filter", &self.filter)
                .on_input(Message::FilterEdited)
                .width(216)
                .padding(Padding { top: 6.0, right: 12.0, bottom: 6.0, left: 34.0 })
                .line_height(iced::widget::text::LineHeight::Absolute(20.0.into()))
                .size(13)
                .style(tokens.field(6.0));
            let icon =
                container(Icon::Search.view(16.0, tokens.muted)).padding([0, 11]).center_y(32);
            head = head.push(stack![filter, icon]);
        }
        container(head)
            .padding(Padding { top: 8.0, right: 32.0, bottom: 12.0, left: 32.0 })
            .height(52)
            .into()
    }

    fn recent<'a>(&'a self, tokens: Tokens) -> Element<'a, Message> {
        let wanted = self.filter.trim().to_lowercase();
        let fits = |record: &&engine::CallRecord| {
            record.name.to_lowercase().contains(&wanted)
                || record.uri.to_lowercase().contains(&wanted)
        };
        let rows: Vec<Element<'a, Message>> = self
            .history
            .iter()
            .filter(fits)
            .map(|record| record_row(tokens, record, self.hovered == Some(record.id)))
            .collect();
        if rows.is_empty() {
            let words =
                if self.history.is_empty() { text::NO_CALLS } else { "Nothing fits the filter." };
            return container(label(words, 14.0, tokens.muted))
                .center_x(Length::Fill)
                .padding([48, 0])
                .into();
        }
        scrollable(Column::with_children(rows)).height(Length::Fill).style(tokens.scroll()).into()
    }
}

fn chip_view<'a>(tokens: Tokens, place: usize, chip: Chip) -> Element<'a, Message> {
    let (fill, ink) = match chip.fault {
        None => (tokens.raised, tokens.text),
        Some(_) => (tokens.err_soft, tokens.err),
    };
    let picture: Element<'a, Message> = match chip.fault {
        None => avatar(tokens, person(&chip.text), sender_color(tokens, &chip.text), 22.0, false),
        Some(_) => Icon::Alert.view(16.0, ink).into(),
    };
    let shown = middle(&crate::clean::one_line(&chip.text, 200), 34);
    let mut content = row![picture, label(shown, 14.0, ink)];
    if let Some(fault) = chip.fault {
        content = content.push(label(fault.to_string(), 12.0, tokens.err));
    }
    let cross =
        button(Icon::Close.view(14.0, ink)).padding(4).style(tokens.button(Kind::Quiet, 12.0));
    let content = content
        .push(cross.on_press(Message::ChipRemoved(place)))
        .spacing(8)
        .align_y(Alignment::Center);
    container(content)
        .padding(Padding { left: 6.0, right: 8.0, ..Padding::ZERO })
        .height(32)
        .align_y(Alignment::Center)
        .style(tokens.card(fill, Color::TRANSPARENT, 16.0, 0.0))
        .into()
}
