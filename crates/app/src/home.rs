//! Home: what I am reachable at, whom to call, whom I called.

use engine::{AddressError, CallRecord, RecordKind, parse_target};
use iced::widget::{Column, Row, Space, button, column, container, row, scrollable, text_input};
use iced::{Alignment, Color, Element, Length};
use time::{OffsetDateTime, UtcOffset};

use crate::icon::Icon;
use crate::text;
use crate::theme::{Kind, Tokens};
use crate::ui::{action, avatar, big_action, count, icon_action, label, line, middle, mono};

/// The widget id of the call bar.
pub const CALL_BAR: &str = "call-bar";

/// What the screen holds.
#[derive(Debug, Default)]
pub struct State {
    /// What is typed into the call bar.
    pub input: String,
    filter: String,
    /// The call history, newest first.
    pub history: Vec<CallRecord>,
    /// The name being edited, where it is.
    pub renaming: Option<String>,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Message {
    /// The address was copied.
    AddressCopied,
    /// A row's Call again was pressed.
    CallAgain(i64),
    /// A chip's cross was pressed.
    ChipRemoved(usize),
    /// Typed into the filter.
    FilterEdited(String),
    /// Typed into the call bar.
    InputEdited(String),
    /// Enter, or the main button.
    InputSubmitted,
    /// The name was pressed.
    NamePressed,
    /// Typed into the name.
    NameEdited(String),
    /// Enter in the name.
    NameSubmitted,
    /// The theme button.
    ThemePressed,
}

/// What should happen.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Call one address.
    Call(String),
    /// Put a text into the clipboard.
    Copy(String),
    /// Start a conference with these.
    Host(Vec<String>),
    /// Nothing.
    None,
    /// Take another name.
    Rename(String),
    /// Next theme.
    SwitchTheme,
}

/// One token of the call bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Chip {
    /// As typed.
    pub text: String,
    /// Why it cannot be called.
    pub fault: Option<AddressError>,
}

impl State {
    /// With an address in the call bar.
    pub fn with_input(input: String) -> Self {
        Self { input, ..Self::default() }
    }

    /// What is typed, token by token.
    pub fn chips(&self) -> Vec<Chip> {
        let tokens =
            self.input.split([',', ';', '\n']).map(str::trim).filter(|token| !token.is_empty());
        tokens
            .map(|token| Chip { text: token.to_owned(), fault: parse_target(token).err() })
            .collect()
    }

    /// Handles one message.
    pub fn update(&mut self, message: Message, address: &str) -> Action {
        match message {
            Message::AddressCopied => return Action::Copy(address.to_owned()),
            Message::CallAgain(id) => {
                if let Some(record) = self.history.iter().find(|record| record.id == id) {
                    return Action::Call(record.uri.clone());
                }
            }
            Message::ChipRemoved(place) => {
                let mut chips = self.chips();
                if place < chips.len() {
                    chips.remove(place);
                }
                self.input = chips.into_iter().map(|chip| chip.text).collect::<Vec<_>>().join(", ");
            }
            Message::FilterEdited(filter) => self.filter = filter,
            Message::InputEdited(input) => self.input = input,
            Message::InputSubmitted => {
                let chips = self.chips();
                let good: Vec<String> = chips
                    .iter()
                    .filter(|chip| chip.fault.is_none())
                    .map(|chip| chip.text.clone())
                    .collect();
                // A wrong token stays for its owner to mend; nothing is called behind his back.
                if good.len() < chips.len() {
                    return Action::None;
                }
                self.input.clear();
                return match good.len() {
                    1 => Action::Call(good.into_iter().next().unwrap_or_default()),
                    _ => Action::Host(good),
                };
            }
            Message::NamePressed => self.renaming = Some(String::new()),
            Message::NameEdited(name) => self.renaming = Some(name),
            Message::NameSubmitted => {
                if let Some(name) = self.renaming.take().filter(|name| !name.trim().is_empty()) {
                    return Action::Rename(name.trim().to_owned());
                }
            }
            Message::ThemePressed => return Action::SwitchTheme,
        }
        Action::None
    }

    /// The screen.
    pub fn view<'a>(
        &'a self,
        tokens: Tokens,
        name: &'a str,
        address: &'a str,
        hint: Option<&'a str>,
    ) -> Element<'a, Message> {
        let mut page = Column::new().push(self.identity(tokens, name, address)).push(line(tokens));
        if let Some(hint) = hint {
            let banner = row![Icon::Alert.view(20.0, tokens.warn), label(hint, 14.0, tokens.text)]
                .spacing(12)
                .align_y(Alignment::Center);
            page = page.push(
                container(banner)
                    .padding([10, 32])
                    .width(Length::Fill)
                    .style(tokens.fill(tokens.warn_soft)),
            );
        }
        let body =
            column![self.call_bar(tokens), self.chip_row(tokens), self.recent(tokens)].spacing(12);
        page.push(container(body).padding([24, 32]).height(Length::Fill)).into()
    }

    fn identity<'a>(
        &'a self,
        tokens: Tokens,
        name: &'a str,
        address: &'a str,
    ) -> Element<'a, Message> {
        let color = tokens.senders[0];
        let who: Element<'a, Message> = match &self.renaming {
            Some(typed) => text_input(name, typed)
                .on_input(Message::NameEdited)
                .on_submit(Message::NameSubmitted)
                .width(200)
                .padding([4, 8])
                .size(14)
                .style(tokens.field(6.0))
                .into(),
            None => button(label(name, 15.0, tokens.text))
                .padding(0)
                .style(tokens.button(Kind::Quiet, 4.0))
                .on_press(Message::NamePressed)
                .into(),
        };
        let ready =
            if address.is_empty() { ("Starting", tokens.muted) } else { ("Ready", tokens.ok) };
        let dot = container(Space::new().width(8).height(8)).style(tokens.card(
            ready.1,
            Color::TRANSPARENT,
            4.0,
            0.0,
        ));
        let first =
            row![who, dot, label(ready.0, 14.0, ready.1)].spacing(8).align_y(Alignment::Center);
        let second = mono(middle(address, 60), 12.0, tokens.muted);
        let mut bar =
            row![avatar(tokens, name, color, 36.0, false), column![first, second].spacing(1)];
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
        container(bar).padding([0, 32]).height(56).align_y(Alignment::Center).into()
    }

    fn call_bar<'a>(&'a self, tokens: Tokens) -> Element<'a, Message> {
        let field = text_input(text::CALL_BAR, &self.input)
            .id(CALL_BAR)
            .on_input(Message::InputEdited)
            .on_submit(Message::InputSubmitted)
            .padding(iced::Padding { top: 13.0, right: 16.0, bottom: 13.0, left: 48.0 })
            .size(15)
            .style(tokens.field(8.0));
        let icon = container(Icon::Phone.view(18.0, tokens.muted)).padding([0, 18]).center_y(46);
        iced::widget::stack![field, icon].into()
    }

    fn chip_row<'a>(&'a self, tokens: Tokens) -> Element<'a, Message> {
        let chips = self.chips();
        let good = chips.iter().filter(|chip| chip.fault.is_none()).count();
        let bad = chips.len() - good;
        let mut wrap = Row::new().spacing(8).align_y(Alignment::Center);
        for (place, chip) in chips.into_iter().enumerate() {
            wrap = wrap.push(chip_view(tokens, place, chip));
        }
        let (words, icon) = match good {
            1 => ("Call", Icon::Phone),
            _ => ("Start conference", Icon::People),
        };
        let mut main =
            row![icon.view(20.0, tokens.on_accent), label(words, 14.0, tokens.on_accent)];
        if good > 1 {
            main = main.push(count(tokens, good, tokens.on_accent, tokens.accent));
        }
        let ready = (bad == 0).then_some(Message::InputSubmitted);
        let main = big_action(tokens, Kind::Primary, main, ready);
        row![wrap.width(Length::Fill).wrap().vertical_spacing(8), main].spacing(12).into()
    }

    fn recent<'a>(&'a self, tokens: Tokens) -> Element<'a, Message> {
        let tab = container(label("Recent", 14.0, tokens.text))
            .padding([6, 12])
            .style(tokens.card(tokens.raised, Color::TRANSPARENT, 6.0, 0.0));
        let filter = text_input("Filter", &self.filter)
            .on_input(Message::FilterEdited)
            .width(216)
            .padding([6, 12])
            .size(14)
            .style(tokens.field(6.0));
        let head = row![tab, Space::new().width(Length::Fill), filter].align_y(Alignment::Center);
        let wanted = self.filter.to_lowercase();
        let fits = |record: &&CallRecord| {
            record.name.to_lowercase().contains(&wanted)
                || record.uri.to_lowercase().contains(&wanted)
        };
        let rows: Vec<Element<'a, Message>> =
            self.history.iter().filter(fits).map(|record| record_row(tokens, record)).collect();
        let list: Element<'a, Message> = if rows.is_empty() {
            let words =
                if self.history.is_empty() { text::NO_CALLS } else { "Nothing fits the filter." };
            container(label(words, 14.0, tokens.muted))
                .center_x(Length::Fill)
                .padding([48, 0])
                .into()
        } else {
            scrollable(Column::with_children(rows))
                .height(Length::Fill)
                .style(tokens.scroll())
                .into()
        };
        column![Space::new().height(4), head, list].spacing(12).into()
    }
}

fn chip_view<'a>(tokens: Tokens, place: usize, chip: Chip) -> Element<'a, Message> {
    let (fill, ink, icon) = match chip.fault {
        None => (tokens.raised, tokens.text, Icon::User),
        Some(_) => (tokens.err_soft, tokens.err, Icon::Alert),
    };
    let mut content = row![icon.view(16.0, ink), label(middle(&chip.text, 40), 14.0, ink)];
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
        .padding([0, 10])
        .height(32)
        .align_y(Alignment::Center)
        .style(tokens.card(fill, Color::TRANSPARENT, 16.0, 0.0))
        .into()
}

fn record_row<'a>(tokens: Tokens, record: &'a CallRecord) -> Element<'a, Message> {
    let missed = record.kind == RecordKind::Missed;
    let picture: Element<'a, Message> = if record.kind == RecordKind::Conference {
        container(Icon::Table.view(20.0, tokens.accent))
            .center(36)
            .style(tokens.card(tokens.accent_soft, Color::TRANSPARENT, 18.0, 0.0))
            .into()
    } else {
        avatar(tokens, &record.name, sender_color(tokens, &record.uri), 36.0, false)
    };
    let name = if record.name.is_empty() { &record.uri } else { &record.name };
    let below = label(text::record(record), 13.0, if missed { tokens.err } else { tokens.muted });
    let mut second = Row::new().spacing(6).align_y(Alignment::Center);
    if missed {
        second = second.push(Icon::PhoneIn.view(14.0, tokens.err));
    }
    let words =
        column![label(middle(name, 60), 15.0, tokens.text), second.push(below)].width(Length::Fill);
    let mut content = row![picture, words, label(when(record.started_unix), 13.0, tokens.muted)];
    // A conference of ours had an address of its own that is gone.
    if record.kind != RecordKind::Conference {
        content = content.push(action(
            tokens,
            Kind::Quiet,
            Some(Icon::Phone),
            "Call",
            Some(Message::CallAgain(record.id)),
        ));
    }
    let content = content.spacing(12).align_y(Alignment::Center);
    container(content).height(60).align_y(Alignment::Center).padding([0, 12]).into()
}

/// The colour of somebody outside of a conference: by his address.
pub fn sender_color(tokens: Tokens, entity: &str) -> Color {
    tokens.senders[hash(entity) % tokens.senders.len()]
}

/// A number that stays the same for an address.
pub fn hash(text: &str) -> usize {
    text.bytes().fold(5381_usize, |sum, byte| sum.wrapping_mul(33) ^ usize::from(byte))
}

/// "Today 10:02", "Yesterday 17:40", "2026-11-22 16:21".
fn when(unix: i64) -> String {
    let offset = UtcOffset::current_local_offset().unwrap_or(UtcOffset::UTC);
    let Ok(then) = OffsetDateTime::from_unix_timestamp(unix) else { return String::new() };
    let (then, now) = (then.to_offset(offset), OffsetDateTime::now_utc().to_offset(offset));
    let clock = format!("{:02}:{:02}", then.hour(), then.minute());
    match (now.date() - then.date()).whole_days() {
        0 => format!("Today {clock}"),
        1 => format!("Yesterday {clock}"),
        _ => format!("{} {clock}", then.date()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_is_called_several_start_a_conference_and_a_wrong_one_stays() {
        let mut state = State::default();
        state.update(Message::InputEdited("bob@example.org".into()), "");
        assert_eq!(
            state.update(Message::InputSubmitted, ""),
            Action::Call("bob@example.org".into())
        );
        state.update(Message::InputEdited("bob@x.y, carol@x.y\nsip:d@[::1]".into()), "");
        let Action::Host(people) = state.update(Message::InputSubmitted, "") else { panic!() };
        assert_eq!(people, ["bob@x.y", "carol@x.y", "sip:d@[::1]"]);
        state.update(Message::InputEdited("bob@x.y, dave@@x.y".into()), "");
        assert_eq!(state.update(Message::InputSubmitted, ""), Action::None);
        assert_eq!(state.chips()[1].fault, Some(AddressError::TwoAts));
        state.update(Message::ChipRemoved(1), "");
        assert_eq!(state.input, "bob@x.y");
        state.update(Message::InputEdited(String::new()), "");
        assert_eq!(state.update(Message::InputSubmitted, ""), Action::Host(Vec::new()));
    }
}
