//! Names as they are shown: cleaned of what could deceive, unique in the conference (sip-chat §3.11).

use sip_core::{AnyUri, NameAddr};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_segmentation::UnicodeSegmentation;

const MAX_GRAPHEMES: usize = 64;
const MAX_MARKS: usize = 8;

/// Without controls and direction marks, NFC, at most 64 graphemes of at most 8 marks each.
pub fn clean(name: &str) -> String {
    let visible = name.chars().filter(|c| !c.is_control() && !is_direction_mark(*c));
    let mut marks = 0;
    let limited: String = visible
        .nfc()
        .filter(|c| {
            marks = if is_combining_mark(*c) { marks + 1 } else { 0 };
            marks <= MAX_MARKS
        })
        .collect();
    let text: String = limited.graphemes(true).take(MAX_GRAPHEMES).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
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
    user.filter(|user| !user.is_empty()).unwrap_or_else(host)
}

/// `Bob`, `Bob (2)`, ...; a name that looks like the host's or like a notice gets its address appended.
pub(crate) fn unique<'a>(
    wished: &str,
    entity: &str,
    host: &str,
    taken: impl Iterator<Item = &'a str> + Clone,
) -> String {
    let mut name = wished.to_owned();
    if looks_like(&name, host)
        || looks_like(&name, "[Conference]")
        || looks_like(&name, "Conference")
    {
        name = format!("{name} <{entity}>");
    }
    let is_taken = |name: &str| taken.clone().any(|other| looks_like(other, name));
    if !is_taken(&name) {
        return name;
    }
    (2..).map(|n| format!("{name} ({n})")).find(|name| !is_taken(name)).unwrap_or(name)
}

/// Equal to the eye of somebody who reads fast: without case, marks and spaces, compatibility forms folded.
fn looks_like(one: &str, two: &str) -> bool {
    let skeleton = |text: &str| -> String {
        let plain = text.nfkd().filter(|c| !is_combining_mark(*c) && !c.is_whitespace());
        plain.flat_map(char::to_lowercase).map(fold).collect()
    };
    skeleton(one) == skeleton(two)
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
        assert_eq!(unique("Аnna"), "Аnna <sip:x@y>", "a Cyrillic A");
        assert_eq!(unique("[Conference]"), "[Conference] <sip:x@y>");
        assert_eq!(unique("Carol"), "Carol");
    }

    #[test]
    fn an_address_without_a_name_is_named_by_its_user_part() {
        let name = |text: &str| of_address(&NameAddr::parse(text).unwrap());
        assert_eq!(name("<sip:bob@192.0.2.1:5070>"), "bob");
        assert_eq!(name("\"\" <sip:192.0.2.1>"), "192.0.2.1");
        assert_eq!(name("\"Bob B\" <sip:b@c>"), "Bob B");
    }
}
