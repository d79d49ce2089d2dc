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
    let mut finder = LinkFinder::new();
    finder.kinds(&[LinkKind::Email]);
    let mut pieces: Vec<Piece> = links(text);
    for email in finder.links(text) {
        let range = email.start()..email.end();
        if pieces
            .iter()
            .all(|piece| piece.range.end <= range.start || range.end <= piece.range.start)
        {
            let address = email.as_str().to_owned();
            pieces.push(Piece { range, kind: PieceKind::Email { address } });
        }
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
        let begins_word = !text[..at].ends_with(|c: char| c.is_alphanumeric());
        let Some(scheme) = scheme.filter(|_| begins_word) else {
            from = at + 4;
            continue;
        };
        let body = at + scheme.len();
        let stop = |c: char| c.is_whitespace() || c.is_control() || "<>\"`|{}\\^".contains(c);
        let end = text[body..].find(stop).map_or(text.len(), |length| body + length);
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

/// Length without the punctuation that belongs to the sentence, and without brackets that were opened outside.
fn trimmed(text: &str) -> usize {
    let mut rest = text;
    loop {
        let Some(last) = rest.chars().next_back() else { return 0 };
        let opened = |open: char| rest.matches(open).count() >= rest.matches(last).count();
        let keep = match last {
            '.' | ',' | ':' | ';' | '!' | '?' | '\'' | '*' | '_' | '~' | '…' | '»' | '”' | '’' => {
                false
            }
            ')' => opened('('),
            ']' => opened('['),
            _ => true,
        };
        if keep {
            return rest.len();
        }
        rest = &rest[..rest.len() - last.len_utf8()];
    }
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
    fn email_addresses_are_found_outside_of_links() {
        assert_eq!(
            found("mail bob@example.com, or http://u@h.example/"),
            ["bob@example.com", "http://u@h.example/"]
        );
    }
}
