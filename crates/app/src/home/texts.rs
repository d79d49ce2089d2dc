//! Texts from outside of any session: kept until they are closed.

use std::collections::VecDeque;

use engine::Line;
use iced::widget::{Column, Space, column, container, row};
use iced::{Alignment, Color, Element, Length};

use super::Message;
use super::calls::{sender_color, when};
use crate::clean::one_line;
use crate::icon::Icon;
use crate::selectable::{Source, selectable};
use crate::theme::{Kind, Tokens};
use crate::ui::{action, avatar, icon_action, label, middle, mono};

/// Anybody can write, so not everything is kept.
const MOST: usize = 100;
/// What is shown of a text before it is unfolded.
const FIRST_LINES: usize = 4;
const FIRST_CHARS: usize = 360;

/// One text.
#[derive(Debug)]
struct Note {
    line: Line,
    name: String,
    address: String,
    source: Source,
    /// Its beginning, where it is long.
    folded: Option<Source>,
    is_unfolded: bool,
}

/// All of them, newest first.
#[derive(Debug, Default)]
pub(super) struct Texts {
    all: VecDeque<Note>,
    unseen: usize,
    dropped: usize,
}

impl Texts {
    pub(super) fn add(&mut self, line: Line) {
        let start = beginning(&line.text);
        let folded = (start.len() < line.text.len()).then(|| Source::new(start));
        let note = Note {
            name: one_line(&line.name, 60),
            address: one_line(&line.from, 200),
            source: Source::new(&line.text),
            folded,
            is_unfolded: false,
            line,
        };
        self.all.push_front(note);
        self.unseen += 1;
        if self.all.len() > MOST {
            self.all.pop_back();
            self.dropped += 1;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn seen(&mut self) {
        self.unseen = 0;
    }

    /// How many came since the list was looked at.
    pub(super) fn unseen(&self) -> usize {
        self.unseen
    }

    pub(super) fn exact(&self, id: u64) -> Option<&str> {
        self.all.iter().find(|note| note.line.id.0 == id).map(|note| note.line.text.as_str())
    }

    pub(super) fn close(&mut self, id: u64) {
        self.all.retain(|note| note.line.id.0 != id);
        self.unseen = self.unseen.min(self.all.len());
        if self.all.is_empty() {
            self.dropped = 0;
        }
    }

    pub(super) fn unfold(&mut self, id: u64) {
        if let Some(note) = self.all.iter_mut().find(|note| note.line.id.0 == id) {
            note.is_unfolded = !note.is_unfolded;
        }
    }

    pub(super) fn view(&self, tokens: Tokens) -> Column<'_, Message> {
        let mut list = Column::new().spacing(8);
        for note in &self.all {
            list = list.push(note.view(tokens));
        }
        if self.dropped > 0 {
            let words = format!("{} older ones were dropped.", self.dropped);
            list = list.push(label(words, 13.0, tokens.muted));
        }
        list
    }
}

impl Note {
    fn view(&self, tokens: Tokens) -> Element<'_, Message> {
        let id = self.line.id.0;
        let color = sender_color(tokens, &self.line.from);
        let copy =
            action(tokens, Kind::Quiet, Some(Icon::Copy), "Copy", Some(Message::TextCopied(id)));
        let mut first = row![label(middle(&self.name, 40), 15.0, tokens.text)]
            .spacing(8)
            .align_y(Alignment::Center);
        if self.name != self.address {
            first = first.push(mono(middle(&self.address, 44), 12.0, tokens.muted));
        }
        let first = first.push(Space::new().width(Length::Fill)).push(label(
            when(self.line.at.unix_timestamp()),
            13.0,
            tokens.muted,
        ));
        let source = match &self.folded {
            Some(folded) if !self.is_unfolded => folded,
            _ => &self.source,
        };
        let mut words = column![first, selectable(source, tokens, Message::LinkPressed)].spacing(4);
        if self.folded.is_some() {
            let size = self.line.text.len();
            let press = if self.is_unfolded {
                "Show less".to_owned()
            } else {
                format!("Show all ({} lines, {size} bytes)", self.source.line_count())
            };
            let message = Some(Message::TextUnfolded(id));
            words = words.push(action(tokens, Kind::QuietAccent, None, press, message));
        }
        let close = icon_action(tokens, Icon::Close, "Close", Message::TextClosed(id));
        let content = row![
            avatar(tokens, person(&self.name), color, 36.0, false),
            words.width(Length::Fill),
            copy,
            close
        ]
        .spacing(12);
        container(content)
            .padding(12)
            .width(Length::Fill)
            .style(tokens.card(tokens.panel, Color::TRANSPARENT, 8.0, 0.0))
            .into()
    }
}

/// Whose initial stands for an address: the user's, not the scheme's.
pub(super) fn person(name: &str) -> &str {
    let bare = name.strip_prefix("sip:").or_else(|| name.strip_prefix("sips:"));
    bare.unwrap_or(name)
}

/// A few lines, at the boundary of a character.
fn beginning(text: &str) -> &str {
    let lines = text.match_indices('\n').nth(FIRST_LINES - 1).map_or(text.len(), |(at, _)| at + 1);
    // The last line end alone is nothing to unfold.
    let lines = if lines + 1 >= text.len() { text.len() } else { lines };
    let chars = text.char_indices().nth(FIRST_CHARS).map_or(text.len(), |(at, _)| at);
    &text[..lines.min(chars)]
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::home) fn line(id: u64, text: &str) -> Line {
        Line {
            id: engine::MessageId(id),
            seq: None,
            from: "sip:stranger@192.0.2.9:5060".into(),
            name: "Stranger".into(),
            is_own: false,
            to: engine::Recipient::Me,
            text: text.into(),
            verified: false,
            expired: false,
            is_history: false,
            at: time::OffsetDateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_long_text_begins_with_a_few_lines() {
        assert_eq!(beginning("a\nb"), "a\nb");
        assert_eq!(beginning(&"x\n".repeat(200)), "x\nx\nx\nx\n");
        assert_eq!(beginning(&"\u{e9}".repeat(2000)).chars().count(), FIRST_CHARS);
    }

    #[test]
    fn the_newest_stands_first_and_a_flood_drops_the_oldest_and_says_so() {
        let mut texts = Texts::default();
        for id in 0..150 {
            texts.add(line(id, "x"));
        }
        let ids: Vec<u64> = texts.all.iter().map(|note| note.line.id.0).take(2).collect();
        assert_eq!((ids, texts.all.len(), texts.dropped), (vec![149, 148], MOST, 50));
    }
}
