//! Keys pressed on a phone, in the body of an INFO: `application/dtmf-relay` and `application/dtmf`, which no RFC defines and
//! many gateways speak.

use std::time::Duration;

use super::{Content, MediaType};

/// The longest press that is believed.
const MAX_DURATION: Duration = Duration::from_secs(60);
/// The longest body that can be one, in bytes.
const MAX_BODY: usize = 256;
/// What is sent where nobody says how long, in milliseconds.
const USUAL: u128 = 160;
const RELAY: &str = "application/dtmf-relay";
const PLAIN: &str = "application/dtmf";

/// One key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KeyPress {
    digit: char,
    duration: Option<Duration>,
}

impl KeyPress {
    /// The types of bodies that are read.
    pub const ACCEPT: &str = "application/dtmf-relay, application/dtmf";

    /// One of `0` to `9`, `*`, `#`, `A` to `D`, in either case; how long it is pressed, a minute at most.
    pub fn new(digit: char, duration: Option<Duration>) -> Option<Self> {
        let digit = digit.to_ascii_uppercase();
        let duration = duration.map(|duration| duration.min(MAX_DURATION));
        "0123456789*#ABCD".contains(digit).then_some(Self { digit, duration })
    }

    /// Which key: `0` to `9`, `*`, `#`, `A` to `D`.
    pub const fn digit(self) -> char {
        self.digit
    }

    /// How long it was pressed, where that was said.
    pub const fn duration(self) -> Option<Duration> {
        self.duration
    }

    /// Whether this is the type of a body that may hold one.
    pub fn is_type(kind: &MediaType) -> bool {
        kind.is(RELAY) || kind.is(PLAIN)
    }

    /// Reads a body: lines `Signal=5` and `Duration=160`, in milliseconds, or the key alone.
    pub fn parse(kind: &MediaType, body: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(body).ok().filter(|text| text.len() <= MAX_BODY)?;
        if kind.is(PLAIN) && !text.contains('=') {
            return Self::new(signal(text)?, None);
        }
        let (mut digit, mut duration) = (None, None);
        for line in text.lines() {
            let Some((name, value)) = line.split_once('=') else { continue };
            let name = name.trim();
            if name.eq_ignore_ascii_case("Signal") && digit.is_none() {
                digit = Some(signal(value)?);
            } else if name.eq_ignore_ascii_case("Duration") {
                duration = value.trim().parse().ok().map(Duration::from_millis);
            }
        }
        Self::new(digit?, duration)
    }

    /// The body of an INFO.
    pub fn content(self) -> Content {
        let millis = self.duration.map_or(USUAL, |duration| duration.as_millis());
        Content::new(RELAY, format!("Signal={}\r\nDuration={millis}\r\n", self.digit))
    }
}

/// A key as it is written: itself, or its number as an event of RFC 4733.
fn signal(text: &str) -> Option<char> {
    let text = text.trim();
    let mut chars = text.chars();
    match (chars.next()?, chars.next()) {
        (key, None) => Some(key),
        _ => match text.parse().ok()? {
            10_u8 => Some('*'),
            11 => Some('#'),
            number @ 12..=15 => Some(char::from(b'A' + number - 12)),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: &str, body: &str) -> Option<(char, Option<u64>)> {
        let press = KeyPress::parse(&MediaType::parse(kind).unwrap(), body.as_bytes())?;
        Some((press.digit(), press.duration().map(|duration| duration.as_millis() as u64)))
    }

    #[test]
    fn keys_are_read_as_gateways_write_them() {
        for (body, expected) in [
            ("Signal=5\r\nDuration=160\r\n", ('5', Some(160))),
            ("Signal= *\nDuration= 250", ('*', Some(250))),
            ("duration=100\r\nsignal=d", ('D', Some(100))),
            ("Signal=11\r\n", ('#', None)),
            ("Signal=12\r\nDuration=x\r\nOther=1", ('A', None)),
            ("Signal=0\r\nDuration=99999999999", ('0', Some(60_000))),
        ] {
            assert_eq!(read("application/dtmf-relay", body), Some(expected), "{body:?}");
        }
        for (body, digit) in [("7", '7'), ("#\r\n", '#'), ("10", '*'), ("Signal=3", '3')] {
            assert_eq!(read("Application/DTMF", body), Some((digit, None)), "{body:?}");
        }
    }

    #[test]
    fn what_is_no_key_is_none() {
        let long = format!("Signal=5\r\n{}", "x".repeat(300));
        for body in [
            "",
            "Signal=",
            "Signal=E",
            "Signal=16",
            "Signal=55",
            "Signal=\u{665}",
            "5=Signal",
            &long,
        ] {
            assert_eq!(read("application/dtmf-relay", body), None, "{body:?}");
        }
        assert_eq!(read("application/dtmf", ""), None);
        assert_eq!(read("application/dtmf", "hello"), None);
        let kind = MediaType::parse("application/dtmf").unwrap();
        assert_eq!(KeyPress::parse(&kind, &[0xff, b'5']), None);
        assert!(!KeyPress::is_type(&MediaType::parse("text/plain").unwrap()));
    }

    #[test]
    fn what_is_written_is_read() {
        for digit in "0123456789*#ABCD".chars() {
            let press = KeyPress::new(digit, Some(Duration::from_millis(90))).unwrap();
            let content = press.content();
            let kind = MediaType::parse(&content.content_type).unwrap();
            assert_eq!(KeyPress::parse(&kind, &content.body), Some(press));
        }
        assert_eq!(KeyPress::new('x', None), None);
    }
}
