//! Characters that do not show: they control, join, or turn the direction of writing (UAX 9).

use std::ops::Range;

use unicode_bidi::BidiClass;

/// A character that does not show.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hidden {
    /// Its bytes in the text.
    pub range: Range<usize>,
    /// Which one.
    pub character: char,
    /// What it does.
    pub kind: HiddenKind,
}

/// What a hidden character does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HiddenKind {
    /// It controls a terminal: C0, C1, ESC.
    Control,
    /// It turns the direction of what follows, or ends that.
    Direction,
    /// It ends a line without being a line end.
    LineEnd,
    /// It tags, invisibly.
    Tag,
    /// It has no width.
    ZeroWidth,
}

/// All of them, in order. Line ends, tabs, and what joins emoji or Arabic and Indic letters are none.
pub fn hidden(text: &str) -> Vec<Hidden> {
    let mut found = Vec::new();
    let mut before = None;
    let mut in_flag = false;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|(_, next)| *next);
        // A flag of a region is a black flag and tags.
        in_flag = c == '\u{1f3f4}' || in_flag && is_tag(c);
        let is_normal = match c {
            '\n' | '\t' => true,
            '\r' => next == Some('\n'),
            '\u{200c}' | '\u{200d}' => joins(before, next),
            c => in_flag && is_tag(c),
        };
        if !is_normal && let Some(kind) = kind(c) {
            found.push(Hidden { range: at..at + c.len_utf8(), character: c, kind });
        }
        before = Some(c);
    }
    found
}

fn kind(c: char) -> Option<HiddenKind> {
    use BidiClass::{FSI, LRE, LRI, LRO, PDF, PDI, RLE, RLI, RLO};
    match c {
        '\u{2028}' | '\u{2029}' => Some(HiddenKind::LineEnd),
        c if c.is_control() => Some(HiddenKind::Control),
        '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2064}' | '\u{feff}' => {
            Some(HiddenKind::ZeroWidth)
        }
        c if is_tag(c) => Some(HiddenKind::Tag),
        '\u{61c}' | '\u{200e}' | '\u{200f}' => Some(HiddenKind::Direction),
        c => match unicode_bidi::bidi_class(c) {
            FSI | LRE | LRI | LRO | PDF | PDI | RLE | RLI | RLO => Some(HiddenKind::Direction),
            _ => None,
        },
    }
}

fn is_tag(c: char) -> bool {
    matches!(c, '\u{e0000}'..='\u{e007f}')
}

/// Whether a joiner belongs between these two: in emoji, and between letters of scripts that are joined.
fn joins(before: Option<char>, next: Option<char>) -> bool {
    let plain = |c: char| c.is_ascii() || c.is_whitespace() || kind(c).is_some();
    let is_latin = |c: char| c.is_alphabetic() && c < '\u{590}';
    let fits = |c: Option<char>| c.is_some_and(|c| !plain(c) && !is_latin(c));
    // Persian words may end with one.
    fits(before) && (fits(next) || before.is_some_and(char::is_alphabetic))
}

/// The direction in which a text is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    /// From the left.
    Left,
    /// Both; a line needs isolation from what stands around it.
    Mixed,
    /// From the right.
    Right,
}

/// The direction of a text by its letters.
pub fn direction(text: &str) -> Direction {
    let (mut left, mut right) = (false, false);
    for c in text.chars() {
        match unicode_bidi::bidi_class(c) {
            BidiClass::L => left = true,
            BidiClass::AL | BidiClass::R => right = true,
            _ => {}
        }
    }
    match (left, right) {
        (_, false) => Direction::Left,
        (false, true) => Direction::Right,
        (true, true) => Direction::Mixed,
    }
}
