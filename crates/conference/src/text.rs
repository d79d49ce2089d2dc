//! What is recognised in a text: http and https links, e-mail addresses. The text itself is never changed.

use std::ops::Range;

use linkify::{LinkFinder, LinkKind};

/// A recognised piece.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Piece {
    /// Its bytes in the text.
    pub range: Range<usize>,
    /// What it is.
    pub kind: PieceKind,
}

/// What a piece is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PieceKind {
    /// An e-mail address.
    Email {
        /// The address.
        address: String,
    },
    /// A link; http and https only.
    Link {
        /// The whole URL.
        url: String,
    },
}

/// All pieces, in order, without overlap.
pub fn recognise(text: &str) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = links(text);
    let mut start = 0;
    for word in text.split_inclusive(ends) {
        for range in emails(word.trim_end_matches(ends)) {
            let range = start + range.start..start + range.end;
            if pieces
                .iter()
                .all(|piece| piece.range.end <= range.start || range.end <= piece.range.start)
            {
                let address = text[range.clone()].to_owned();
                pieces.push(Piece { range, kind: PieceKind::Email { address } });
            }
        }
        start += word.len();
    }
    pieces.sort_by_key(|piece| piece.range.start);
    pieces
}

/// linkify passes over bracketed IPv6 hosts, so links are found here by their scheme.
fn links(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let lower = text.to_ascii_lowercase();
    let mut from = 0;
    while let Some(at) = lower[from..].find("http").map(|at| from + at) {
        let scheme =
            ["https://", "http://"].into_iter().find(|scheme| lower[at..].starts_with(scheme));
        let begins_word = !text[..at].ends_with(|c: char| c.is_alphanumeric() && !is_unspaced(c));
        let Some(scheme) = scheme.filter(|_| begins_word) else {
            from = at + 4;
            continue;
        };
        let body = at + scheme.len();
        let end = text[body..].find(ends).map_or(text.len(), |length| body + length);
        let end = body + trimmed(&text[body..end]);
        let host = text[body..end].split(['/', '?', '#']).next().unwrap_or_default();
        if host.chars().any(char::is_alphanumeric) || host.starts_with("[:") {
            let url = text[at..end].to_owned();
            pieces.push(Piece { range: at..end, kind: PieceKind::Link { url } });
        }
        from = end.max(at + 4);
    }
    pieces
}

/// What is never within a link or an address: spaces, quotes of all kinds, the punctuation of scripts without spaces.
fn ends(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || "<>\"`|{}\\^".contains(c)
        || matches!(c, '«' | '»' | '\u{2018}'..='\u{201f}' | '‹' | '›')
        || matches!(c, '\u{3001}'..='\u{3003}' | '\u{3008}'..='\u{3011}' | '\u{3014}'..='\u{301f}')
        || matches!(
            c,
            '！' | '（' | '）' | '，' | '．' | '：' | '；' | '？' | '［' | '］' | '\u{ff5b}'
                ..='\u{ff65}'
        )
}

/// Letters of scripts that write no spaces between words: Chinese, Japanese, Thai and their like.
fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}')
        || matches!(c, '\u{2e80}'..='\u{9fff}' | '\u{a000}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7af}')
        || matches!(c, '\u{f900}'..='\u{faff}' | '\u{ff66}'..='\u{ff9d}' | '\u{20000}'..='\u{3ffff}')
}

/// Schemes whose addresses look like those of e-mail.
const OTHER_SCHEMES: [&str; 17] = [
    "acct", "ftp", "git", "h323", "im", "matrix", "pres", "scp", "sftp", "sip", "sips", "skype",
    "ssh", "tel", "ws", "wss", "xmpp",
];
/// So far back a scheme is looked for.
const SCHEME_REACH: usize = 256;

/// The e-mail addresses in a word: linkify knows neither punctuation of scripts without spaces nor other schemes.
fn emails(word: &str) -> Vec<Range<usize>> {
    if !word.contains('@') {
        return Vec::new();
    }
    let mut finder = LinkFinder::new();
    finder.kinds(&[LinkKind::Email]);
    let found = finder.links(word).map(|email| email.start()..email.end());
    found.filter(|email| !has_other_scheme(word, email.start)).collect()
}

/// Whether an address belongs to the URI of another scheme that begins before it.
fn has_other_scheme(word: &str, at: usize) -> bool {
    let mut from = at.saturating_sub(SCHEME_REACH);
    while !word.is_char_boundary(from) {
        from += 1;
    }
    let before = &word[from..at];
    let scheme = before.strip_suffix(':').unwrap_or_default();
    let scheme = scheme.rsplit(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    before.contains("://") || OTHER_SCHEMES.iter().any(|other| other.eq_ignore_ascii_case(scheme))
}

/// Length without the punctuation that belongs to the sentence, and without brackets that were opened outside.
fn trimmed(text: &str) -> usize {
    let count = |bracket: char| text.matches(bracket).count();
    let (round, square) = (count('('), count('['));
    let (mut closed_round, mut closed_square) = (count(')'), count(']'));
    let mut end = text.len();
    for last in text.chars().rev() {
        match last {
            '.' | ',' | ':' | ';' | '!' | '?' | '\'' | '*' | '_' | '~' | '…' => {}
            ')' if closed_round > round => closed_round -= 1,
            ']' if closed_square > square => closed_square -= 1,
            _ => return end,
        }
        end -= last.len_utf8();
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<&str> {
        recognise(text).into_iter().map(|piece| &text[piece.range]).collect()
    }

    #[test]
    fn links_end_before_the_sentence_does() {
        assert_eq!(
            found("See https://example.org/wiki/Foo_(bar). Or (http://a.b/c), HTTPS://X.Y!"),
            ["https://example.org/wiki/Foo_(bar)", "http://a.b/c", "HTTPS://X.Y"]
        );
    }

    #[test]
    fn ipv6_hosts_and_other_scripts_are_links() {
        assert_eq!(found("at http://[2001:db8::1]:8080/x now"), ["http://[2001:db8::1]:8080/x"]);
        assert_eq!(found("https://пример.рф/путь?ä=1"), ["https://пример.рф/путь?ä=1"]);
    }

    #[test]
    fn other_schemes_are_never_links() {
        let text =
            "javascript:alert(1) file:///etc/passwd data:x ssh://a.b xhttp://a.b http:// https://.";
        assert!(found(text).is_empty(), "{:?}", found(text));
    }

    #[test]
    fn scripts_without_spaces_and_their_punctuation_bound_links() {
        assert_eq!(found("请看https://a.example/x。谢谢"), ["https://a.example/x"]);
        assert_eq!(
            found("「https://a.example/y」、（http://b.example/）"),
            ["https://a.example/y", "http://b.example/"]
        );
        assert_eq!(
            found("https://a.example/x，https://b.example"),
            ["https://a.example/x", "https://b.example"]
        );
        assert_eq!(
            found("„https://a.example/q“ “http://b.example/r” ‘http://c.example’"),
            ["https://a.example/q", "http://b.example/r", "http://c.example"]
        );
        assert_eq!(found("https://a.example\u{a0}next"), ["https://a.example"]);
        assert!(found("путьhttps://a.example éhttp://b.example").is_empty());
    }

    #[test]
    fn email_addresses_end_where_the_words_do() {
        assert_eq!(found("mail\u{a0}bob@example.com\u{a0}now"), ["bob@example.com"]);
        assert_eq!(
            found("“bob@example.com” bob@example.org。谢谢，eve@example.net、"),
            ["bob@example.com", "bob@example.org", "eve@example.net"]
        );
        assert_eq!(
            found("mailto:bob@example.com Mail:eve@example.com"),
            ["bob@example.com", "eve@example.com"]
        );
    }

    #[test]
    fn addresses_of_other_schemes_are_no_email() {
        let text = "sip:bob@example.com SIPS:bob@example.com <sip:eve@example.org> ssh://u@h.org \
                    ssh://u:p@h.org xmpp:a@b.example git+ssh://git@h.org/x";
        assert!(found(text).is_empty(), "{:?}", found(text));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "what it costs is measured")]
    fn brackets_are_counted_once() {
        let begin = std::time::Instant::now();
        for end in [")", "]", ".)", "a@b.cd:", "http://a("] {
            let text = format!("http://a.example/{}", end.repeat(16 * 1024 / end.len()));
            recognise(&text);
        }
        assert!(begin.elapsed() < std::time::Duration::from_secs(2), "{:?}", begin.elapsed());
        assert_eq!(found("(https://a.example/(b)))"), ["https://a.example/(b)"]);
        assert_eq!(found("[http://a.example/[1]]."), ["http://a.example/[1]"]);
    }

    #[test]
    fn email_addresses_are_found_outside_of_links() {
        assert_eq!(
            found("mail bob@example.com, or http://u@h.example/"),
            ["bob@example.com", "http://u@h.example/"]
        );
    }
}
