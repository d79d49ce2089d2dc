//! What went over the wire, for diagnosis: a ring of the last messages, and their text without secrets.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::Flow;

/// Which way a message went.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    /// To us.
    In,
    /// From us.
    Out,
}

/// Which bodies may be read in a record. Secrets are masked in all of them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Bodies {
    /// Session descriptions only; of texts and all others just the length.
    #[default]
    Descriptions,
    /// All.
    All,
}

/// One message as it went over the wire.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Which way.
    pub direction: Direction,
    /// Between whom.
    pub flow: Flow,
    contents: Bytes,
}

impl Recorded {
    /// Its text, line by line. Left out are credentials and their proofs (RFC 3261 §22, RFC 8760), passwords in URIs, keys
    /// of media (RFC 4568 §9.1, RFC 8839 §5.4), and bodies as wished.
    pub fn masked(&self, bodies: Bodies) -> String {
        masked(&self.contents, bodies)
    }

    /// Its Call-ID, where it has one.
    pub fn call_id(&self) -> Option<String> {
        let (head, _) = split(&self.contents);
        let head = String::from_utf8_lossy(head).into_owned();
        let value = |line: &str| {
            let (name, value) = line.split_once(':')?;
            let name = name.trim();
            let is_it = name.eq_ignore_ascii_case("Call-ID") || name.eq_ignore_ascii_case("i");
            is_it.then(|| value.trim().to_owned())
        };
        head.lines().skip(1).find_map(value)
    }
}

/// The last messages, until they are taken.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    limit: usize,
    messages: VecDeque<Recorded>,
}

impl Ring {
    pub(crate) fn with_limit(limit: usize) -> Self {
        Self { limit, messages: VecDeque::new() }
    }

    pub(crate) fn keeps(&self) -> bool {
        self.limit > 0
    }

    /// Keeps one; the oldest goes where there is no room. Line ends that keep a connection open are no messages.
    pub(crate) fn push(&mut self, direction: Direction, flow: Flow, contents: Bytes) {
        if self.limit == 0 || contents.iter().all(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return;
        }
        if self.messages.len() >= self.limit {
            self.messages.pop_front();
        }
        self.messages.push_back(Recorded { direction, flow, contents });
    }

    pub(crate) fn pop(&mut self) -> Option<Recorded> {
        self.messages.pop_front()
    }
}

const MASK: &str = "***";
/// Headers whose values prove that somebody knows a password.
const SECRET: [&str; 3] = ["Authorization", "Proxy-Authorization", "Authentication-Info"];
/// Lines of session descriptions that hold keys.
const KEYS: [&str; 4] = ["a=crypto:", "a=ice-pwd:", "a=key-mgmt:", "k="];

fn split(contents: &[u8]) -> (&[u8], &[u8]) {
    let at = |end: &[u8]| contents.windows(end.len()).position(|window| window == end);
    match (at(b"\r\n\r\n"), at(b"\n\n")) {
        (Some(crlf), lf) if lf.is_none_or(|lf| crlf < lf) => {
            (&contents[..crlf], &contents[crlf + 4..])
        }
        (_, Some(lf)) => (&contents[..lf], &contents[lf + 2..]),
        (_, None) => (contents, &[]),
    }
}

fn masked(contents: &[u8], bodies: Bodies) -> String {
    let (head, body) = split(contents);
    let head = String::from_utf8_lossy(head);
    let (mut text, mut hides, mut describes) = (String::new(), false, false);
    for line in head.lines() {
        if line.starts_with([' ', '\t']) {
            // A folded line belongs to the one before (RFC 3261 §7.3.1).
            if !hides {
                push_line(&mut text, &without_passwords(line));
            }
            continue;
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let name = name.trim();
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        hides = SECRET.iter().any(|secret| is(secret));
        if is("Content-Type") || is("c") {
            let kind = value.trim_start();
            describes =
                kind.get(..15).is_some_and(|kind| kind.eq_ignore_ascii_case("application/sdp"));
        }
        if hides {
            let scheme = value.split_whitespace().next().filter(|word| !word.contains('='));
            push_line(&mut text, &format!("{name}: {} {MASK}", scheme.unwrap_or_default()));
        } else {
            push_line(&mut text, &without_passwords(line));
        }
    }
    text.push('\n');
    if body.is_empty() {
        return text;
    }
    if !describes && bodies == Bodies::Descriptions {
        push_line(&mut text, &format!("[{} bytes]", body.len()));
        return text;
    }
    for line in String::from_utf8_lossy(body).lines() {
        let key = KEYS.iter().find(|key| {
            line.trim_start().get(..key.len()).is_some_and(|start| start.eq_ignore_ascii_case(key))
        });
        match key {
            Some(key) => push_line(&mut text, &format!("{key}{MASK}")),
            None => push_line(&mut text, line),
        }
    }
    text
}

fn push_line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

/// A line without the passwords of URIs (`sip:user:password@host`) and without credentials in their headers.
fn without_passwords(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = find(rest, "sip:").into_iter().chain(find(rest, "sips:")).min() {
        let start = at + rest[at..].find(':').map_or(0, |colon| colon + 1);
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let end = rest.find(['@', '>', ' ', '\t', '"', '<', ',']).unwrap_or(rest.len());
        if rest[end..].starts_with('@')
            && let Some((user, _)) = rest[..end].split_once(':')
        {
            out.push_str(&format!("{user}:{MASK}"));
            rest = &rest[end..];
        }
    }
    out.push_str(rest);
    while let Some(at) = find(&out, "authorization=").filter(|at| {
        let value = &out[at + "authorization=".len()..];
        !value.starts_with(MASK)
    }) {
        let value = at + "authorization=".len();
        let end = out[value..].find(['&', '>', ' ', '"', ',']).map_or(out.len(), |end| value + end);
        out.replace_range(value..end, MASK);
    }
    out
}

fn find(text: &str, wanted: &str) -> Option<usize> {
    let is = |window: &[u8]| window.eq_ignore_ascii_case(wanted.as_bytes());
    text.as_bytes().windows(wanted.len()).position(is)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVITE: &str = "INVITE sip:bob:PASSWORD1@example.org SIP/2.0\r\n\
        Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n\
        From: <sip:alice@example.org>;tag=1\r\nCall-ID: c1\r\n\
        proxy-authorization: Digest username=\"alice\",\r\n response=\"PASSWORD2\"\r\n\
        Authorization : Digest response=\"PASSWORD3\"\r\n\
        Authentication-Info: rspauth=\"PASSWORD4\"\r\n\
        Refer-To: <sips:x@y?Authorization=PASSWORD5&Subject=z>, <SIP:u:PASSWORD6@z>\r\n\
        Content-Type: application/sdp\r\n\r\n\
        v=0\r\nm=audio 4000 RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:PASSWORD7\r\n\
        A=ICE-PWD:PASSWORD8\r\nk=clear:PASSWORD9\r\na=sendrecv\r\n";

    #[test]
    fn no_secret_is_left_in_any_mode_and_the_rest_is() {
        for bodies in [Bodies::Descriptions, Bodies::All] {
            let text = masked(INVITE.as_bytes(), bodies);
            assert!(!text.contains("PASSWORD"), "{text}");
            for kept in [
                "INVITE sip:bob:***@example.org SIP/2.0",
                "proxy-authorization: Digest ***",
                "<sips:x@y?Authorization=***&Subject=z>, <SIP:u:***@z>",
                "m=audio 4000 RTP/SAVP 0",
                "a=crypto:***",
                "a=sendrecv",
            ] {
                assert!(text.contains(kept), "{kept} is not in {text}");
            }
        }
    }

    #[test]
    fn of_a_text_only_its_length_is_kept_unless_wished() {
        let text = "MESSAGE sip:a@b SIP/2.0\nc: text/plain\n\nmeet at eight\n";
        assert!(masked(text.as_bytes(), Bodies::Descriptions).ends_with("\n\n[14 bytes]\n"));
        assert!(masked(text.as_bytes(), Bodies::All).ends_with("\n\nmeet at eight\n"));
    }

    #[test]
    fn whatever_comes_is_masked_without_a_panic() {
        for end in 0..INVITE.len() {
            masked(&INVITE.as_bytes()[..end], Bodies::All);
        }
        masked(&[0xff, b'\n', 0xfe, b'\n', b'\n', 0], Bodies::All);
        masked("sip:é:ü@ß sips:\u{1f642}".as_bytes(), Bodies::All);
    }
}
