//! The form of a text on a phone that knows no authors: the name stands in the text (sip-chat §0.3, §3.11.4), and back.

use crate::name::is_invisible;

/// Who wrote, and to whom it goes, as a plain phone is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Author<'a> {
    /// The conference itself.
    Conference,
    /// The other of a call of two: nobody needs to be named.
    Other,
    /// A participant, to all.
    Public(&'a str),
    /// A participant, to this phone only.
    Private(&'a str),
}

impl Author<'_> {
    fn label(self) -> String {
        match self {
            Self::Conference => "[Conference]".to_owned(),
            Self::Other => String::new(),
            Self::Public(name) => name.to_owned(),
            Self::Private(name) => format!("{name} (only to you)"),
        }
    }
}

/// The text as it goes out. One line: the name in front. More lines, or a key: the name on a line of its own, so that
/// what is copied is exact. Where a line poses as one of `names` or as the conference, all are marked; without `names`
/// none: the reader tells authors from texts by himself.
pub(crate) fn plain(author: Author<'_>, text: &str, names: Option<&[&str]>) -> String {
    let label = author.label();
    if author == Author::Conference {
        return format!("{label} {text}");
    }
    if author == Author::Other {
        return text.to_owned();
    }
    let lines = count_lines(text);
    if lines == 1 && !text.contains(is_line_end) && !is_key(text) {
        return format!("{label}: {text}");
    }
    let words = if lines == 1 { "1 line".to_owned() } else { format!("{lines} lines") };
    if names.is_some_and(|names| split_lines(text).any(|line| poses(line, names))) {
        let marked: String = split_lines(text).map(|line| format!("> {line}")).collect();
        return format!("{label} ({words}):\n{marked}");
    }
    format!("{label} ({words}):\n{text}")
}

/// The name of an author whose text comes late, with the time of its writing (UTC).
pub(crate) fn late(name: &str, written: time::OffsetDateTime) -> String {
    let written = written.to_offset(time::UtcOffset::UTC);
    format!("{name} ({:02}:{:02})", written.hour(), written.minute())
}

/// Takes the time of a late text off, as [`late`] writes it.
fn without_time(rest: &str) -> &str {
    let Some((time, behind)) = rest.strip_prefix(" (").and_then(|rest| rest.split_once(')')) else {
        return rest;
    };
    let digits = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_time = time.split_once(':').is_some_and(|(hour, minute)| digits(hour) && digits(minute));
    if is_time { behind } else { rest }
}

/// Lines of a text; a line end at its end begins none.
pub(crate) fn count_lines(text: &str) -> usize {
    split_lines(text).count().max(1)
}

/// Whatever some phone begins a line behind (UAX #14: BK, CR, LF, NL).
fn is_line_end(c: char) -> bool {
    matches!(c, '\n' | '\u{b}' | '\u{c}' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// The lines with their ends; CR and LF together are one.
fn split_lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (at, end) = match rest.char_indices().find(|(_, c)| is_line_end(*c)) {
            Some(found) => found,
            None if rest.is_empty() => return None,
            None => return Some(std::mem::take(&mut rest)),
        };
        let is_pair = rest[at..].starts_with("\r\n");
        let (line, behind) = rest.split_at(if is_pair { at + 2 } else { at + end.len_utf8() });
        rest = behind;
        Some(line)
    })
}

fn poses(line: &str, names: &[&str]) -> bool {
    let unseen = |c: char| c.is_whitespace() || is_invisible(c);
    let line = line.trim_start_matches(unseen);
    let begins = |name: &str| {
        line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
            && line[name.len()..].trim_start_matches(unseen).starts_with([':', '('])
    };
    line.starts_with("[Conference]") || names.iter().any(|name| begins(name))
}

/// Something that must be copied as a whole line.
fn is_key(text: &str) -> bool {
    let kinds = ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-", "-----BEGIN ", "age1"];
    kinds.iter().any(|kind| text.trim_start().starts_with(kind))
}

/// Takes the author off a text of a focus: name, whether it is for us only, and the text.
pub(crate) fn split_author<'a>(text: &'a str, names: &[String]) -> Option<(String, bool, &'a str)> {
    // The longest name first: "Bob (2)" before "Bob".
    let mut known: Vec<&String> = names.iter().collect();
    known.sort_by_key(|name| std::cmp::Reverse(name.len()));
    for name in known {
        let Some(rest) = text.strip_prefix(name.as_str()) else { continue };
        let rest = without_time(rest);
        let (private, rest) = match rest.strip_prefix(" (only to you)") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        if let Some(body) = rest.strip_prefix(": ") {
            return Some((name.clone(), private, body));
        }
        let lines = rest.strip_prefix(" (").and_then(|rest| rest.split_once("):\n"));
        if let Some((count, body)) = lines {
            let number = count.strip_suffix(" lines").or(count.strip_suffix(" line"));
            if number.is_some_and(|number| number.parse::<usize>().is_ok()) {
                return Some((name.clone(), private, body));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 2] = ["Alice", "Bob"];

    #[test]
    fn ms10_the_time_of_a_late_text_stands_behind_the_name_and_comes_off_again() {
        let name = late("Bob", time::macros::datetime!(2026-11-22 23:05:07 UTC));
        assert_eq!(name, "Bob (23:05)");
        let names = ["Bob".to_owned(), "Bob (2)".to_owned()];
        for (author, private) in [(Author::Public(&name), false), (Author::Private(&name), true)] {
            let text = plain(author, "hi", None);
            let split = split_author(&text, &names);
            assert_eq!(split, Some(("Bob".to_owned(), private, "hi")), "{text}");
        }
        assert_eq!(split_author("Bob (3:05): hi", &names), None);
    }

    #[test]
    fn one_line_gets_the_name_in_front_and_more_get_it_on_its_own_line() {
        assert_eq!(plain(Author::Public("Alice"), "hi", Some(&NAMES)), "Alice: hi");
        assert_eq!(plain(Author::Private("Alice"), "hi", Some(&NAMES)), "Alice (only to you): hi");
        assert_eq!(
            plain(Author::Public("Alice"), "a\nb\n", Some(&NAMES)),
            "Alice (2 lines):\na\nb\n"
        );
        let key = "ssh-ed25519 AAAA x";
        assert_eq!(
            plain(Author::Public("Alice"), key, Some(&NAMES)),
            format!("Alice (1 line):\n{key}")
        );
        assert_eq!(plain(Author::Conference, "Welcome", Some(&NAMES)), "[Conference] Welcome");
    }

    #[test]
    fn lines_that_pose_as_somebody_else_are_marked() {
        assert_eq!(
            plain(Author::Public("Alice"), "x\nBob: y", Some(&NAMES)),
            "Alice (2 lines):\n> x\n> Bob: y"
        );
        assert_eq!(
            plain(Author::Public("Alice"), "x\n[Conference] y", Some(&NAMES)),
            "Alice (2 lines):\n> x\n> [Conference] y"
        );
        assert!(
            plain(Author::Public("Alice"), "x\nBobby: y", Some(&NAMES)).ends_with("\nx\nBobby: y")
        );
    }

    #[test]
    fn every_line_end_counts() {
        for end in ["\n", "\r\n", "\r", "\u{b}", "\u{c}", "\u{85}", "\u{2028}", "\u{2029}"] {
            let text = format!("x{end}Bob: I agree");
            assert_eq!(
                plain(Author::Public("Alice"), &text, Some(&NAMES)),
                format!("Alice (2 lines):\n> x{end}> Bob: I agree"),
                "{end:?}"
            );
            assert_eq!(count_lines(&format!("a{end}b{end}")), 2, "{end:?}");
            assert_eq!(count_lines(end), 1, "{end:?}");
        }
        assert_eq!(count_lines(""), 1);
        assert_eq!(count_lines("a\n\r\nb"), 3);
        let hidden = "x\n\u{200b}Bob\u{feff}: y";
        assert!(plain(Author::Public("Alice"), hidden, Some(&NAMES)).contains("\n> x"));
    }

    #[test]
    fn what_goes_out_comes_back() {
        let names = ["Bob".to_owned(), "Bob (2)".to_owned(), "Alice".to_owned()];
        for (name, private, text) in [
            ("Bob (2)", false, "hi: there"),
            ("Bob", true, "x"),
            ("Alice", false, "a\n b\n\n"),
            ("Alice", false, "ssh-rsa A b"),
        ] {
            let author = if private { Author::Private(name) } else { Author::Public(name) };
            let out = plain(author, text, None);
            assert_eq!(split_author(&out, &names), Some((name.to_owned(), private, text)), "{out}");
        }
        assert_eq!(split_author("Eve: hi", &names), None);
    }
}
