//! Names as they are shown: cleaned of what could deceive, unique in the conference (sip-chat §3.11).

use sip_core::{AnyUri, NameAddr};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_segmentation::UnicodeSegmentation;

const MAX_GRAPHEMES: usize = 64;
const MAX_BYTES: usize = 128;
const MAX_MARKS: usize = 8;

/// A name: a line without what stands between a name and a text, and without what begins a notice.
pub fn clean(name: &str) -> String {
    let plain: String = name.chars().map(|c| if is_colon(c) { ' ' } else { c }).collect();
    let begins = |c: char| matches!(c, '[' | '\u{ff3b}') || c.is_whitespace() || is_invisible(c);
    let name = line(&plain);
    let name = name.trim_start_matches(begins).trim_end();
    if name.chars().all(is_invisible) { String::new() } else { name.to_owned() }
}

/// A line of somebody's: without controls and direction marks, NFC, at most 64 graphemes of at most 8 marks each, and at
/// most 128 bytes.
pub fn line(text: &str) -> String {
    let visible = text.chars().filter(|c| !c.is_control() && !is_direction_mark(*c));
    let mut marks = 0;
    let limited: String = visible
        .nfc()
        .filter(|c| {
            marks = if is_combining_mark(*c) { marks + 1 } else { 0 };
            marks <= MAX_MARKS
        })
        .collect();
    let spaced = limited.split_whitespace().collect::<Vec<_>>().join(" ");
    cut(&spaced, MAX_GRAPHEMES, MAX_BYTES).trim_end().to_owned()
}

/// The beginning, at most so long.
fn cut(text: &str, graphemes: usize, bytes: usize) -> &str {
    let ends = text.grapheme_indices(true).map(|(at, grapheme)| at + grapheme.len());
    let end = ends.take(graphemes).take_while(|end| *end <= bytes).last();
    &text[..end.unwrap_or(0)]
}

/// What is read as the colon behind an author.
fn is_colon(c: char) -> bool {
    matches!(c, ':' | '\u{2236}' | '\u{a789}' | '\u{fe13}' | '\u{fe55}' | '\u{ff1a}')
}

/// Characters that take no place.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}')
}

/// Marks that change the direction of the text around them.
fn is_direction_mark(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The name of an address: its display name, else its user part, else the host.
pub(crate) fn of_address(address: &NameAddr) -> String {
    let display = address.display.as_deref().map(clean).filter(|name| !name.is_empty());
    display.unwrap_or_else(|| of_uri(&address.uri))
}

/// The name of an address that gave none.
pub(crate) fn of_uri(uri: &AnyUri) -> String {
    let user = uri.as_sip().and_then(|uri| uri.user_unescaped()).map(|user| clean(&user));
    let host = || uri.as_sip().map_or_else(|| uri.to_string(), |uri| uri.host.to_string());
    // An address of IPv6 begins like a notice and is full of colons.
    let host = || clean(&host().replace(['[', ']'], "").replace(':', "-"));
    user.filter(|user| !user.is_empty()).unwrap_or_else(host)
}

/// `Bob`, `Bob (2)`, ...; a name that looks like the host's or like a notice, or that begins like somebody else's and goes
/// on as if that one had written, gets its address appended.
pub(crate) fn unique<'a>(
    wished: &str,
    entity: &str,
    host: &str,
    taken: impl Iterator<Item = &'a str> + Clone,
) -> String {
    let poses = looks_like(wished, host)
        || looks_like(wished, "Conference")
        || goes_on(wished, host)
        || goes_on(wished, "Conference")
        || taken.clone().any(|other| goes_on(wished, other));
    let name =
        if poses { with(wished, &format!(" <{}>", address(entity))) } else { wished.to_owned() };
    let is_taken = |name: &str| taken.clone().any(|other| looks_like(other, name));
    if !is_taken(&name) {
        return name;
    }
    let numbered = (2..).map(|n: u32| with(&name, &format!(" ({n})")));
    numbered.into_iter().find(|name| !is_taken(name)).unwrap_or(name)
}

/// A name with something behind it that a cut would take away.
fn with(name: &str, behind: &str) -> String {
    let graphemes = MAX_GRAPHEMES.saturating_sub(behind.graphemes(true).count());
    let start = cut(name, graphemes, MAX_BYTES.saturating_sub(behind.len()));
    format!("{}{behind}", start.trim_end())
}

/// An address as a name can hold it: without scheme and colons, and so short that a name stays before it.
fn address(entity: &str) -> String {
    let (_, bare) = entity.split_once(':').unwrap_or(("", entity));
    let bare = clean(bare);
    cut(&bare, MAX_GRAPHEMES / 2, MAX_BYTES / 2).to_owned()
}

/// What is left of a name for somebody who reads fast: without case, marks, spaces and what cannot be seen, compatibility
/// forms folded.
fn skeleton(text: &str) -> String {
    let seen = |c: &char| !is_combining_mark(*c) && !c.is_whitespace() && !is_invisible(*c);
    text.nfkd().filter(seen).flat_map(char::to_lowercase).map(fold).collect()
}

/// Equal to the eye of somebody who reads fast.
fn looks_like(one: &str, two: &str) -> bool {
    skeleton(one) == skeleton(two)
}

/// Whether a name is another and then something that is no name any more: "Anna (only to you)", "Conference] Welcome".
fn goes_on(name: &str, other: &str) -> bool {
    let (name, other) = (skeleton(name), skeleton(other));
    let rest = name.strip_prefix(other.as_str()).filter(|_| !other.is_empty());
    rest.is_some_and(|rest| rest.starts_with(|c: char| !c.is_alphanumeric()))
}

/// The letters of other scripts that are taken for Latin ones most easily.
fn fold(c: char) -> char {
    match c {
        'а' => 'a',
        'е' => 'e',
        'о' | 'ο' | '0' => 'o',
        'р' => 'p',
        'с' => 'c',
        'х' => 'x',
        'у' => 'y',
        'і' | 'ı' | '1' | 'l' => 'i',
        'ѕ' => 's',
        'ј' => 'j',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_and_direction_marks_are_taken_out_and_length_is_limited() {
        assert_eq!(clean("A\u{202e}li\nce\u{7} "), "Alice");
        assert_eq!(clean(&"e\u{301}".repeat(200)).graphemes(true).count(), 64);
        assert_eq!(clean(&format!("z{}", "\u{301}".repeat(50))).chars().count(), 1 + MAX_MARKS);
    }

    #[test]
    fn names_are_unique_and_nobody_is_taken_for_the_host() {
        let taken = ["Anna", "Bob"];
        let unique = |name| super::unique(name, "sip:x@y", "Anna", taken.iter().copied());
        assert_eq!(unique("Bob"), "Bob (2)");
        assert_eq!(unique("bob"), "bob (2)");
        assert_eq!(unique("Аnna"), "Аnna <x@y>", "a Cyrillic A");
        assert_eq!(unique("An\u{200b}n\u{ad}a"), "An\u{200b}n\u{ad}a <x@y>");
        assert_eq!(unique("Conference] Welcome"), "Conference] Welcome <x@y>");
        assert_eq!(unique("Anna (only to you)"), "Anna (only to you) <x@y>");
        assert_eq!(unique("Bob (3 lines)"), "Bob (3 lines) <x@y>");
        assert_eq!(unique("Anna Smith"), "Anna Smith");
        assert_eq!(unique("Bobby"), "Bobby");
        assert_eq!(unique("Carol"), "Carol");
    }

    #[test]
    fn a_name_neither_ends_an_author_nor_begins_a_notice() {
        assert_eq!(clean("Bob: I agree"), "Bob I agree");
        assert_eq!(clean("Bob\u{ff1a} x"), "Bob x");
        assert_eq!(clean("\u{200b}[[Conference] x"), "Conference] x");
        assert_eq!(clean("\u{200b}\u{feff}"), "");
        assert_eq!(line("[ops]: week 12"), "[ops]: week 12");
    }

    #[test]
    fn names_stay_short_with_what_is_put_behind_them() {
        let wide = "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}".repeat(30);
        let entity = format!("sip:{}@{}:5060", "u".repeat(100), "h".repeat(100));
        for long in [clean(&"x".repeat(500)), clean(&wide)] {
            assert!(!long.is_empty() && long.len() <= MAX_BYTES);
            let taken = [long.as_str()];
            let second = unique(&long, &entity, "Anna", taken.iter().copied());
            assert!(second.ends_with(" (2)") && second.len() <= MAX_BYTES, "{second}");
            let host = unique(&long, &entity, &long, taken.iter().copied());
            assert!(host.ends_with('>') && host.len() <= MAX_BYTES, "{host}");
            for name in [long.clone(), second, host] {
                assert_eq!(clean(&name), name, "what a participant reads is the same");
            }
        }
    }

    #[test]
    fn an_address_without_a_name_is_named_by_its_user_part() {
        let name = |text: &str| of_address(&NameAddr::parse(text).unwrap());
        assert_eq!(name("<sip:bob@192.0.2.1:5070>"), "bob");
        assert_eq!(name("\"\" <sip:192.0.2.1>"), "192.0.2.1");
        assert_eq!(name("<sip:[2001:db8::1]:5060>"), "2001-db8--1");
        assert_eq!(name("\"Bob B\" <sip:b@c>"), "Bob B");
    }
}
