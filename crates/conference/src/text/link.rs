//! Links, e-mail addresses, and the addresses of people who can be called.

use std::net::Ipv4Addr;
use std::ops::Range;

use linkify::{LinkFinder, LinkKind};
use sip_core::Uri;

use super::{Piece, PieceKind, begins_word, ends, number, trimmed};

/// http and https links. linkify passes over bracketed IPv6 hosts, so they are found by their scheme.
pub fn links(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let lower = text.to_ascii_lowercase();
    let mut from = 0;
    while let Some(at) = lower[from..].find("http").map(|at| from + at) {
        let scheme =
            ["https://", "http://"].into_iter().find(|scheme| lower[at..].starts_with(scheme));
        let Some(scheme) = scheme.filter(|_| begins_word(&text[..at])) else {
            from = at + 4;
            continue;
        };
        let body = at + scheme.len();
        from = body;
        let host = text[body..].split(|c| ends(c) || "/?#".contains(c)).next().unwrap_or_default();
        if host.chars().any(char::is_alphanumeric) || host.starts_with("[:") {
            // A comma is part of a URL, one before the next URL is not.
            let mut range = uri_at(text, at, scheme.len());
            let next = lower[body..range.end].find(",http").map(|next| body + next);
            range.end = next.unwrap_or(range.end);
            let url = text[range.clone()].to_owned();
            from = range.end;
            pieces.push(Piece { range, kind: PieceKind::Link { url } });
        }
    }
    pieces
}

/// Longest address of somebody that is recognised.
const LONGEST_URI: usize = 384;

/// `sip:`, `sips:` and `tel:` URIs.
pub(super) fn calls(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let lower = text.to_ascii_lowercase();
    let mut from = 0;
    while let Some(colon) = lower[from..].find(':').map(|at| from + at) {
        let scheme =
            ["sips", "sip", "tel"].into_iter().find(|scheme| lower[from..colon].ends_with(scheme));
        let start = from;
        from = colon + 1;
        let Some(scheme) = scheme else { continue };
        let at = colon - scheme.len();
        if at < start || !begins_word(&text[..at]) || text[..at].ends_with(['+', '-', '.']) {
            continue;
        }
        // A word without an end is looked at once and not from each of its colons.
        let mut limit = text.len().min(colon + LONGEST_URI);
        while !text.is_char_boundary(limit) {
            limit -= 1;
        }
        let range = uri_at(&text[..limit], at, scheme.len() + 1);
        let uri = &text[range.clone()];
        let body = uri.get(scheme.len() + 1..).unwrap_or_default();
        let kind = if scheme == "tel" {
            // "Tel:030 1234567" is no URI but a number behind a word.
            let goes_on = text[range.end..].starts_with([' ', '/'])
                && text[range.end + 1..].starts_with(|c: char| c.is_ascii_digit());
            number::of_tel(body).filter(|_| !goes_on).map(|number| PieceKind::Phone { number })
        } else {
            let names_host = body.contains(['@', '.', '['])
                || body.to_ascii_lowercase().starts_with("localhost");
            let is_uri = names_host && Uri::parse(uri).is_ok();
            is_uri.then(|| PieceKind::Sip { uri: uri.to_owned() })
        };
        if let Some(kind) = kind {
            from = from.max(range.end);
            pieces.push(Piece { range, kind });
        }
    }
    pieces
}

/// The URI that begins here; its scheme has so many bytes.
fn uri_at(text: &str, at: usize, scheme: usize) -> Range<usize> {
    let body = at + scheme;
    let end = text[body..].find(ends).map_or(text.len(), |length| body + length);
    at..body + trimmed(&text[body..end])
}

/// E-mail addresses.
pub(super) fn emails(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut start = 0;
    for word in text.split_inclusive(ends) {
        for range in emails_in(word.trim_end_matches(ends)) {
            let range = start + range.start..start + range.end;
            let address = text[range.clone()].to_owned();
            pieces.push(Piece { range, kind: PieceKind::Email { address } });
        }
        start += word.len();
    }
    pieces
}

/// Schemes whose addresses look like those of e-mail.
const OTHER_SCHEMES: [&str; 17] = [
    "acct", "ftp", "git", "h323", "im", "matrix", "pres", "scp", "sftp", "sip", "sips", "skype",
    "ssh", "tel", "ws", "wss", "xmpp",
];
/// So far back a scheme is looked for.
const SCHEME_REACH: usize = 256;

/// The e-mail addresses in a word: linkify knows neither punctuation of scripts without spaces nor other schemes.
fn emails_in(word: &str) -> Vec<Range<usize>> {
    if !word.contains('@') {
        return Vec::new();
    }
    let mut finder = LinkFinder::new();
    finder.kinds(&[LinkKind::Email]);
    let found = finder.links(word).map(|email| email.start()..email.end());
    // "root@192.0.2.7" is a login, and its address is recognised as such.
    let is_login = |email: &Range<usize>| {
        let host = word[email.clone()].rsplit('@').next().unwrap_or_default();
        host.parse::<Ipv4Addr>().is_ok()
    };
    found.filter(|email| !is_login(email) && !has_other_scheme(word, email.start)).collect()
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

#[cfg(test)]
mod tests {
    use super::super::{PieceKind, recognise};

    fn found(text: &str) -> Vec<&str> {
        let known =
            |kind: &PieceKind| matches!(kind, PieceKind::Email { .. } | PieceKind::Link { .. });
        let pieces = recognise(text).into_iter().filter(|piece| known(&piece.kind));
        pieces.map(|piece| &text[piece.range]).collect()
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
