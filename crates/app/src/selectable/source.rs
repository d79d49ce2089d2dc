//! A message's text taken apart for showing: what is shown for which bytes. Nothing is lost: the bytes stay beside it.

use std::ops::Range;
use std::sync::Arc;

use conference::text::{Piece, PieceKind, Recognised};

use crate::clean::is_hidden;

/// Columns between tab stops.
const TAB_COLUMNS: usize = 8;
/// A text with more lines than this is shown cut until it is opened.
const MOST_LINES: usize = 12;
/// The same for characters.
const MOST_CHARS: usize = 1200;

/// What a stretch of a line is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// A hidden character, spelled out.
    Chip,
    /// Part of what can be pressed, by its place.
    Link(usize),
    /// Everything else.
    Plain,
}

/// A stretch of a line: what is shown for which bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Stretch {
    pub(super) shown: String,
    pub(super) source: Range<usize>,
    pub(super) kind: Kind,
}

/// What happens where a piece of a text is pressed: always the safe thing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Press {
    /// Somebody's address or number; whether he is called is asked.
    Call(String),
    /// It is copied.
    Copy(String),
    /// A link; whether it is opened is asked.
    Link(String),
}

#[derive(Debug, Default)]
struct Parts {
    text: String,
    lines: Vec<Vec<Stretch>>,
    presses: Vec<Press>,
    hidden: usize,
    is_code: bool,
}

/// A message's text, taken apart once and shared by all who show it.
#[derive(Clone, Debug, Default)]
pub struct Source(Arc<Parts>);

impl Source {
    /// Takes a text apart.
    pub fn new(text: &str) -> Self {
        let found = Recognised::new(text);
        let spans = found.spans(text);
        let mut parts = Parts { text: text.to_owned(), is_code: is_code(text), ..Parts::default() };
        parts.presses = found.pieces.iter().map(|piece| press(piece, text)).collect();
        parts.hidden = found.hidden.len();
        let (mut start, mut first) = (0, 0);
        for line in text.split('\n') {
            let end = start + line.len();
            let visible_end = start + line.strip_suffix('\r').unwrap_or(line).len();
            let mut cutter = Cutter::new(text);
            while spans.get(first).is_some_and(|span| span.range.end <= start) {
                first += 1;
            }
            for span in spans[first..].iter().take_while(|span| span.range.start < visible_end) {
                // A piece may have many lines.
                let range = span.range.start.max(start)..span.range.end.min(visible_end);
                let kind = span.piece.map_or(Kind::Plain, Kind::Link);
                match span.hidden {
                    Some(_) => cutter.take_hidden(range),
                    None => cutter.take(range, kind),
                }
            }
            parts.lines.push(cutter.stretches);
            start = end + 1;
        }
        // A line end at the end begins no line.
        if parts.lines.len() > 1 && text.ends_with('\n') {
            parts.lines.pop();
        }
        Self(Arc::new(parts))
    }

    /// The text, byte for byte.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// How many characters are shown as chips.
    pub fn hidden(&self) -> usize {
        self.0.hidden
    }

    /// How many lines it has.
    pub fn line_count(&self) -> usize {
        self.0.lines.len()
    }

    /// Whether it is shown cut until it is opened. What is copied, searched or clicked is never cut.
    pub fn is_long(&self) -> bool {
        self.line_count() > MOST_LINES || self.0.text.chars().nth(MOST_CHARS).is_some()
    }

    /// Whether it is shown in the fixed-width font: a key, a fence, or lines that are indented.
    pub fn is_code(&self) -> bool {
        self.0.is_code
    }

    /// What a piece does.
    pub(super) fn press(&self, place: usize) -> Option<&Press> {
        self.0.presses.get(place)
    }

    pub(super) fn lines(&self) -> &[Vec<Stretch>] {
        &self.0.lines
    }

    /// Whether both are the same text taken apart once.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Addresses of people are called, links opened, after a question; all else is copied, as it stands there.
fn press(piece: &Piece, text: &str) -> Press {
    match &piece.kind {
        PieceKind::Email { address } => Press::Copy(address.clone()),
        PieceKind::Link { url } => Press::Link(url.clone()),
        PieceKind::Phone { number } => Press::Call(number.clone()),
        PieceKind::Sip { uri } => Press::Call(uri.clone()),
        PieceKind::Armour { .. }
        | PieceKind::Fingerprint
        | PieceKind::Ip { .. }
        | PieceKind::PrivateKey { .. }
        | PieceKind::SshKey(_) => Press::Copy(text[piece.range.clone()].to_owned()),
    }
}

/// One line of text in which every hidden character is spelled out.
pub fn spelled_out(text: &str) -> String {
    let spell = |c: char| if c != '\t' && is_hidden(c) { chip(c) } else { c.to_string() };
    text.chars().map(spell).collect()
}

fn chip(c: char) -> String {
    format!("[U+{:04X}]", u32::from(c))
}

/// Public keys and armour, fences, or two indented lines.
fn is_code(text: &str) -> bool {
    const STARTS: [&str; 5] = ["ssh-", "ecdsa-sha2-", "sk-ssh-", "-----BEGIN ", "```"];
    let begins = |line: &str| STARTS.iter().any(|start| line.starts_with(start));
    text.lines().any(begins) || text.lines().filter(|line| line.starts_with("  ")).nth(1).is_some()
}

/// Cuts one line into stretches.
struct Cutter<'a> {
    text: &'a str,
    stretches: Vec<Stretch>,
    column: usize,
}

impl<'a> Cutter<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, stretches: Vec::new(), column: 0 }
    }

    /// A tab is shown as what it is: space up to the next stop.
    fn take(&mut self, range: Range<usize>, kind: Kind) {
        let mut plain = range.start;
        for (offset, c) in self.text[range.clone()].char_indices() {
            if c != '\t' {
                self.column += 1;
                continue;
            }
            let at = range.start + offset;
            self.push(plain..at, kind);
            let shown = " ".repeat(TAB_COLUMNS - self.column % TAB_COLUMNS);
            self.column += shown.len();
            plain = at + 1;
            self.stretches.push(Stretch { shown, source: at..plain, kind: Kind::Plain });
        }
        self.push(plain..range.end, kind);
    }

    fn take_hidden(&mut self, range: Range<usize>) {
        let shown: String = self.text[range.clone()].chars().map(chip).collect();
        self.column += shown.len();
        self.stretches.push(Stretch { shown, source: range, kind: Kind::Chip });
    }

    fn push(&mut self, source: Range<usize>, kind: Kind) {
        if !source.is_empty() {
            let shown = self.text[source.clone()].to_owned();
            self.stretches.push(Stretch { shown, source, kind });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(source: &Source, line: usize) -> String {
        source.lines()[line].iter().map(|stretch| stretch.shown.as_str()).collect()
    }

    #[test]
    fn what_is_shown_stands_for_the_bytes_that_came() {
        let text = "a\tb\u{202e}c\r\nsee https://x.y/z, ok\n";
        let source = Source::new(text);
        assert_eq!((source.text(), source.hidden(), source.line_count()), (text, 1, 2));
        assert_eq!(shown(&source, 0), "a       b[U+202E]c");
        assert_eq!(source.press(0), Some(&Press::Link("https://x.y/z".into())));
        let plain = |stretch: &&Stretch| stretch.kind == Kind::Plain;
        for stretch in source.lines().iter().flatten().filter(plain) {
            let bytes = &text[stretch.source.clone()];
            assert!(bytes == stretch.shown || bytes == "\t");
        }
    }

    #[test]
    fn hidden_characters_are_spelled_out_in_links_too() {
        let source = Source::new("see https://example.org/\u{202e}gpj.exe now");
        assert_eq!(source.hidden(), 1);
        assert_eq!(shown(&source, 0), "see https://example.org/[U+202E]gpj.exe now");
        assert_eq!(spelled_out("a\u{200b}b\u{1b}"), "a[U+200B]b[U+001B]");
    }

    #[test]
    fn tabs_stop_every_eight_columns_and_count_what_is_shown() {
        assert_eq!(shown(&Source::new("\t\tx"), 0), format!("{}x", " ".repeat(16)));
        assert_eq!(shown(&Source::new("abcdefgh\tx"), 0), format!("abcdefgh{}x", " ".repeat(8)));
    }

    #[test]
    fn every_piece_does_the_safe_thing_and_many_lines_are_one_piece() {
        let key = "-----BEGIN PGP MESSAGE-----\n\nhQ\n-----END PGP MESSAGE-----";
        let text =
            format!("{key}\nbob@a.example [2001:db8::1]:22 sip:eve@a.example +49 30 1234567");
        let source = Source::new(&text);
        let presses = [
            Press::Copy(key.into()),
            Press::Copy("bob@a.example".into()),
            Press::Copy("[2001:db8::1]:22".into()),
            Press::Call("sip:eve@a.example".into()),
            Press::Call("+49301234567".into()),
        ];
        for (place, press) in presses.iter().enumerate() {
            assert_eq!(source.press(place), Some(press));
        }
        let of_key =
            |line: usize| source.lines()[line].iter().all(|part| part.kind == Kind::Link(0));
        assert!((0..4).all(of_key));
        assert_eq!(source.lines()[4].len(), 7);
    }

    #[test]
    fn keys_fences_and_indented_lines_are_code_and_sentences_are_not() {
        for code in ["ssh-ed25519 AAAA c", "x\n-----BEGIN PGP", "a:\n  b\n  c", "```\nx\n```"] {
            assert!(Source::new(code).is_code(), "{code}");
        }
        for words in ["the ssh-agent", "a:\n  b", "x"] {
            assert!(!Source::new(words).is_code(), "{words}");
        }
    }

    #[test]
    fn long_texts_are_told_from_short_ones() {
        assert!(!Source::new(&"x\n".repeat(12)).is_long());
        assert!(Source::new(&"x\n".repeat(13)).is_long());
        assert!(Source::new(&"x".repeat(1201)).is_long());
        assert!(!Source::new(&"ä".repeat(1200)).is_long());
    }
}
