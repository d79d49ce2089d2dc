//! The small pieces every screen is made of.

use iced::widget::{Button, Row, Space, Text, button, container, row, text};
use iced::{Alignment, Color, Element, Font, Length};

use crate::icon::Icon;
use crate::theme::{Kind, Tokens};

/// Everything else.
pub const SANS: Font = Font::with_name("Fira Sans");
/// Addresses, keys, timers.
pub const MONO: Font = Font::with_name("Hack");

/// A text of a size and colour; nothing is ever bold.
pub fn label<'a>(content: impl text::IntoFragment<'a>, size: f32, color: Color) -> Text<'a> {
    text(content).size(size).color(color).line_height(1.4)
}

/// The same in the fixed-width font.
pub fn mono<'a>(content: impl text::IntoFragment<'a>, size: f32, color: Color) -> Text<'a> {
    label(content, size, color).font(MONO)
}

/// The colour of what stands on a button.
pub fn ink(tokens: Tokens, kind: Kind) -> Color {
    match kind {
        Kind::Danger => tokens.err,
        Kind::Normal | Kind::Outline => tokens.text,
        Kind::Primary => tokens.on_accent,
        Kind::Private => tokens.on_private,
        Kind::Quiet => tokens.muted,
        Kind::QuietAccent | Kind::Soft => tokens.accent,
    }
}

/// A button of 32 px with an icon and a word. Without a message it is disabled.
pub fn action<'a, Message: Clone + 'a>(
    tokens: Tokens,
    kind: Kind,
    icon: Option<Icon>,
    words: impl text::IntoFragment<'a>,
    message: Option<Message>,
) -> Button<'a, Message> {
    let color = if message.is_some() { ink(tokens, kind) } else { tokens.muted };
    let mut content = Row::new().spacing(8).align_y(Alignment::Center).height(Length::Fill);
    if let Some(icon) = icon {
        content = content.push(icon.view(18.0, color));
    }
    content = content.push(label(words, 14.0, color));
    button(content)
        .height(32)
        .padding([0, 12])
        .style(tokens.button(kind, 6.0))
        .on_press_maybe(message)
}

/// A button of 40 px.
pub fn big_action<'a, Message: Clone + 'a>(
    tokens: Tokens,
    kind: Kind,
    content: Row<'a, Message>,
    message: Option<Message>,
) -> Button<'a, Message> {
    let content = content.spacing(10).align_y(Alignment::Center).height(Length::Fill);
    button(content)
        .height(40)
        .padding([0, 16])
        .style(tokens.button(kind, 8.0))
        .on_press_maybe(message)
}

/// An icon alone, with its name as a tooltip.
pub fn icon_action<'a, Message: Clone + 'a>(
    tokens: Tokens,
    icon: Icon,
    name: &'a str,
    message: Message,
) -> Element<'a, Message> {
    let inner = container(icon.view(18.0, tokens.muted)).center(Length::Fill);
    let press = button(inner)
        .width(32)
        .height(32)
        .padding(0)
        .style(tokens.button(Kind::Quiet, 6.0))
        .on_press(message);
    hint(tokens, press, name)
}

/// Something with words that appear when the pointer rests on it.
pub fn hint<'a, Message: 'a>(
    tokens: Tokens,
    content: impl Into<Element<'a, Message>>,
    words: &'a str,
) -> Element<'a, Message> {
    let tip =
        container(label(words, 12.0, tokens.text)).padding([4, 8]).style(tokens.floating(6.0));
    iced::widget::tooltip(content, tip, iced::widget::tooltip::Position::Bottom).gap(4).into()
}

/// The round badge of a person.
pub fn avatar<'a, Message: 'a>(
    tokens: Tokens,
    name: &str,
    color: Color,
    size: f32,
    ring: bool,
) -> Element<'a, Message> {
    let initial: String = name
        .chars()
        .find(|c| c.is_alphanumeric())
        .map(|c| c.to_uppercase().to_string())
        .unwrap_or_default();
    let fill = tokens.tint(color);
    let badge = container(label(initial, size * 0.4, color)).center(size).style(tokens.card(
        fill,
        Color::TRANSPARENT,
        size / 2.0,
        0.0,
    ));
    if !ring {
        return badge.into();
    }
    let whole = size + 8.0;
    container(badge)
        .center(whole)
        .style(tokens.card(Color::TRANSPARENT, tokens.ok, whole / 2.0, 2.0))
        .into()
}

/// A hairline across.
pub fn line<'a, Message: 'a>(tokens: Tokens) -> Element<'a, Message> {
    container(Space::new().width(Length::Fill).height(1)).style(tokens.fill(tokens.line)).into()
}

/// A hairline down.
pub fn upright<'a, Message: 'a>(tokens: Tokens) -> Element<'a, Message> {
    container(Space::new().width(1).height(Length::Fill)).style(tokens.fill(tokens.line)).into()
}

/// A small number in a pill.
pub fn count<'a, Message: 'a>(
    tokens: Tokens,
    number: usize,
    fill: Color,
    ink: Color,
) -> Element<'a, Message> {
    container(label(number.to_string(), 12.0, ink))
        .padding([1, 7])
        .style(tokens.card(fill, Color::TRANSPARENT, 10.0, 0.0))
        .into()
}

/// Ten segments: how loud somebody is.
pub fn meter<'a, Message: 'a>(tokens: Tokens, dbov: f32) -> Element<'a, Message> {
    let lit = lit_segments(dbov);
    let segment = |n: u32| -> Element<'a, Message> {
        let color = match (n < lit, n >= 8) {
            (true, true) => tokens.warn,
            (true, false) => tokens.ok,
            (false, _) => tokens.seg_off,
        };
        let bar = |height: f32| {
            container(Space::new().width(4).height(height)).style(tokens.card(
                color,
                Color::TRANSPARENT,
                1.0,
                0.0,
            ))
        };
        if n < lit && n >= 8 {
            iced::widget::column![bar(6.0), bar(6.0)].spacing(2).into()
        } else {
            bar(14.0).into()
        }
    };
    row((0..10).map(segment)).spacing(2).into()
}

/// Five dB a segment, the first at -55 dBov, the last two from -15 dBov on.
pub fn lit_segments(dbov: f32) -> u32 {
    if dbov < -55.0 { 0 } else { (((dbov + 60.0) / 5.0) as u32).min(10) }
}

/// An address cut in the middle, so that both user and host stay readable.
pub fn middle(text: &str, most: usize) -> String {
    let chars: Vec<char> = text.chars().collect();
    if chars.len() <= most || most < 5 {
        return text.to_owned();
    }
    let head = most / 2;
    let tail = most - head - 1;
    let start: String = chars[..head].iter().collect();
    let end: String = chars[chars.len() - tail..].iter().collect();
    format!("{start}…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_lights_segments_and_silence_none() {
        assert_eq!(lit_segments(-127.0), 0);
        assert_eq!(lit_segments(-20.0), 8);
        assert_eq!(lit_segments(0.0), 10);
        assert_eq!(lit_segments(-40.0), 4);
    }

    #[test]
    fn long_addresses_are_cut_in_the_middle() {
        let cut = middle("sip:conf-0123456789abcdef@192.0.2.10:5060", 21);
        assert_eq!(
            (cut.chars().count(), cut.starts_with("sip:conf-0…"), cut.ends_with(":5060")),
            (21, true, true)
        );
        assert_eq!(middle("short", 10), "short");
    }
}
