//! A message's text taken apart for showing: what is shown for which bytes. Nothing is lost: the bytes stay beside it.

use std::ops::Range;
use std::sync::Arc;

use conference::text::{PieceKind, recognise};

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
    /// Part of a link, by its place among the links.
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

#[derive(Debug, Default)]
struct Parts {
    text: String,
    lines: Vec<Vec<Stretch>>,
    links: Vec<String>,
    hidden: usize,
    is_code: bool,
}

/// A message's text, taken apart once and shared by all who show it.
#[derive(Clone, Debug, Default)]
pub struct Source(Arc<Parts>);

impl Source {
    /// Takes a text apart.
    pub fn new(text: &str) -> Self {
        let pieces = recognise(text);
        let mut pieces = pieces.iter().peekable();
        let mut parts = Parts { text: text.to_owned(), is_code: is_code(text), ..Parts::default() };
        let mut start = 0;
        for line in text.split('\n') {
            let end = start + line.len();
            let visible_end = start + line.strip_suffix('\r').unwrap_or(line).len();
            let mut cutter = Cutter::new(text);
            let mut at = start;
            while let Some(piece) = pieces.next_if(|piece| piece.range.end <= visible_end) {
                cutter.take(at..piece.range.start, Kind::Plain);
                parts.links.push(match &piece.kind {
                    PieceKind::Email { address } => format!("mailto:{address}"),
                    PieceKind::Link { url } => url.clone(),
                });
                cutter.take(piece.range.clone(), Kind::Link(parts.links.len() - 1));
                at = piece.range.end;
            }
            cutter.take(at..visible_end, Kind::Plain);
            parts.hidden += cutter.hidden;
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

    /// The address behind a link.
    pub(super) fn link(&self, place: usize) -> Option<&str> {
        self.0.links.get(place).map(String::as_str)
    }

    pub(super) fn lines(&self) -> &[Vec<Stretch>] {
        &self.0.lines
    }

    /// Whether both are the same text taken apart once.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// A tab is shown as what it is: space up to the next stop.
fn is_hidden(c: char) -> bool {
    c != '\t' && crate::clean::is_hidden(c)
}

/// One line of text in which every hidden character is spelled out.
pub fn spelled_out(text: &str) -> String {
    let spell = |c: char| if is_hidden(c) { chip(c) } else { c.to_string() };
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
    hidden: usize,
    column: usize,
}

impl<'a> Cutter<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, stretches: Vec::new(), hidden: 0, column: 0 }
    }

    fn take(&mut self, range: Range<usize>, kind: Kind) {
        let mut plain = range.start;
        for (offset, c) in self.text[range.clone()].char_indices() {
            let at = range.start + offset;
            let next = at + c.len_utf8();
            let shown = if c == '\t' {
                " ".repeat(TAB_COLUMNS - self.column % TAB_COLUMNS)
            } else if is_hidden(c) {
                chip(c)
            } else {
                self.column += 1;
                continue;
            };
            self.push(plain..at, kind);
            self.column += shown.chars().count();
            self.hidden += usize::from(c != '\t');
            let kind = if c == '\t' { Kind::Plain } else { Kind::Chip };
            self.stretches.push(Stretch { shown, source: at..next, kind });
            plain = next;
        }
        self.push(plain..range.end, kind);
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
        assert_eq!(source.link(0), Some("https://x.y/z"));
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
