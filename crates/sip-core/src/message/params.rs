//! Parameters behind a semicolon: ordered, names without case, values as on the wire.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::{ParseError, Text};

/// `;name`, `;name=value` or `;name="quoted value"`, in order. Kept as they came and looked up in their text: they are
/// few, and most are never asked for.
#[derive(Clone, Debug, Default)]
pub struct Params(Option<Text>);

impl Params {
    /// Reads `a=b;c;d="x;y"`; empty pieces are passed over.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        Self::check(text)?;
        Ok(Self(Some(text.trim_ascii()).filter(|text| !text.is_empty()).map(Text::from)))
    }

    /// Whether they can be read.
    pub(super) fn check(text: &str) -> Result<(), ParseError> {
        match plain_names(text) {
            Some(true) => Ok(()),
            Some(false) => Err(ParseError::Value("parameter")),
            None => Self::check_quoted(text),
        }
    }

    fn check_quoted(text: &str) -> Result<(), ParseError> {
        for piece in pieces(text, b';') {
            let Some((name, value)) = piece.split_once('=') else { continue };
            let value = value.trim_ascii();
            let open = value.starts_with('"') && (value.len() < 2 || !value.ends_with('"'));
            if name.trim_ascii().is_empty() || open {
                return Err(ParseError::Value("parameter"));
            }
        }
        // Behind an open quote or bracket nothing could be added any more.
        if is_open(text) { Err(ParseError::Value("parameter")) } else { Ok(()) }
    }

    /// Those of a checked part of a text.
    pub(super) fn within(whole: &Arc<str>, part: &str) -> Self {
        if part.is_empty() {
            return Self(None);
        }
        let part = part.trim_ascii();
        Self((!part.is_empty()).then(|| Text::within(whole, part)))
    }

    /// The value in a checked text, as [`Params::value`] gives it.
    pub(super) fn value_in<'a>(text: &'a str, name: &str) -> Option<&'a str> {
        let value = pairs(text).find(|(key, _)| key.eq_ignore_ascii_case(name))?.1?;
        Some(value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value))
    }

    /// The raw value: `None` absent, `Some(None)` present without a value.
    pub fn get(&self, name: &str) -> Option<Option<&str>> {
        self.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The value without its quotes; `None` where absent or empty.
    pub fn value(&self, name: &str) -> Option<&str> {
        Self::value_in(self.0.as_ref()?, name)
    }

    /// Whether it is there.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Sets or adds. Neither name nor value may hold what ends a parameter outside of quotes.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        let mut text = String::with_capacity(self.0.as_ref().map_or(0, |text| text.len()) + 48);
        let mut add = |name: &str, value: Option<&str>| {
            if !text.is_empty() {
                text.push(';');
            }
            text.push_str(name);
            if let Some(value) = value {
                text.push('=');
                text.push_str(value);
            }
        };
        let mut found = false;
        for (key, old) in self.iter() {
            let this = !found && key.eq_ignore_ascii_case(name);
            found |= this;
            add(key, if this { value } else { old });
        }
        if !found {
            add(name, value);
        }
        self.0 = Some(text.into());
    }

    /// Takes it away.
    pub fn remove(&mut self, name: &str) {
        if !self.has(name) {
            return;
        }
        let kept: Vec<String> = self
            .iter()
            .filter(|(key, _)| !key.eq_ignore_ascii_case(name))
            .map(|(key, value)| value.map_or(key.to_owned(), |value| format!("{key}={value}")))
            .collect();
        self.0 = (!kept.is_empty()).then(|| kept.join(";").into());
    }

    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        pairs(self.0.as_ref().map_or("", |text| text.as_str()))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

impl PartialEq for Params {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Params {}

impl PartialOrd for Params {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Params {
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

impl Hash for Params {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for pair in self.iter() {
            pair.hash(state);
        }
    }
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in self.iter() {
            match value {
                Some(value) => write!(f, ";{name}={value}")?,
                None => write!(f, ";{name}")?,
            }
        }
        Ok(())
    }
}

/// Names and raw values of a checked text.
fn pairs(text: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let pieces = pieces(text, b';').map(str::trim_ascii).filter(|piece| !piece.is_empty());
    pieces.map(|piece| match cut(piece, b'=') {
        (name, Some(value)) => (name.trim_ascii_end(), Some(value.trim_ascii_start())),
        (name, None) => (name, None),
    })
}

/// What stands before the first of a byte of ASCII, and what behind it, where it is there.
pub(super) fn cut(text: &str, at: u8) -> (&str, Option<&str>) {
    match text.bytes().position(|byte| byte == at) {
        Some(place) => (&text[..place], Some(&text[place + 1..])),
        None => (text, None),
    }
}

/// What a byte is to a row of parameters.
#[derive(Clone, Copy)]
enum Part {
    Named,
    Space,
    Next,
    Value,
    Hides,
}

const PARTS: [Part; 256] = {
    let mut table = [Part::Named; 256];
    let mut at = 0;
    while at < table.len() {
        table[at] = match at as u8 {
            b'"' | b'<' | b'>' => Part::Hides,
            b';' => Part::Next,
            b'=' => Part::Value,
            byte if byte.is_ascii_whitespace() => Part::Space,
            _ => Part::Named,
        };
        at += 1;
    }
    table
};

/// Whether each value has a name, read in one pass; `None` where a quote or a bracket asks for more than that.
fn plain_names(text: &str) -> Option<bool> {
    let (mut is_named, mut good) = (false, true);
    for byte in text.bytes() {
        match PARTS[usize::from(byte)] {
            Part::Named => is_named = true,
            Part::Space => {}
            Part::Next => is_named = false,
            Part::Value => {
                good &= is_named;
                is_named = true;
            }
            Part::Hides => return None,
        }
    }
    Some(good)
}

/// Pieces between separators that stand outside of quotes and angle brackets.
pub(super) fn pieces(text: &str, separator: u8) -> impl Iterator<Item = &str> + Clone {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        match separator_in(text, separator) {
            Some(at) => {
                rest = Some(&text[at + 1..]);
                Some(&text[..at])
            }
            None => rest.take(),
        }
    })
}

fn separator_in(text: &str, separator: u8) -> Option<usize> {
    scan(text, Some(separator)).ok()
}

/// Whether a quote or an angle bracket is left open.
fn is_open(text: &str) -> bool {
    scan(text, None) == Err(true)
}

/// The place of the separator; without one, whether the text ends within quotes or brackets.
fn scan(text: &str, separator: Option<u8>) -> Result<usize, bool> {
    let (mut quoted, mut angle) = (false, 0_u32);
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at).copied() {
        match byte {
            byte if !MARKS[usize::from(byte)] => {}
            // What is escaped is passed over.
            b'\\' if quoted => at += 1,
            b'"' => quoted = !quoted,
            b'<' if !quoted => angle += 1,
            b'>' if !quoted => angle = angle.saturating_sub(1),
            byte if Some(byte) == separator && !quoted && angle == 0 => return Ok(at),
            _ => {}
        }
        at += 1;
    }
    Err(quoted || angle > 0)
}

/// The bytes that separate, and those that hide separators.
const MARKS: [bool; 256] = {
    let mut table = [false; 256];
    let marks = b",;\"<>\\";
    let mut at = 0;
    while at < marks.len() {
        table[marks[at] as usize] = true;
        at += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_values_keep_their_separators() {
        let params = Params::parse("a=1;+sip.instance=\"<urn:uuid:0;1>\" ; lr;;b = c").unwrap();
        assert_eq!(params.value("+SIP.instance"), Some("<urn:uuid:0;1>"));
        assert_eq!(params.get("lr"), Some(None));
        assert_eq!(params.value("b"), Some("c"));
        assert_eq!(params.to_string(), ";a=1;+sip.instance=\"<urn:uuid:0;1>\";lr;b=c");
        assert!(Params::parse("a=\"x").is_err());
    }
}
