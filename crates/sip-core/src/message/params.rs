//! Parameters behind a semicolon: ordered, names without case, values as on the wire.

use std::fmt;

use super::ParseError;

/// `;name`, `;name=value` or `;name="quoted value"`, in order.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Params(Vec<(String, Option<String>)>);

impl Params {
    /// Reads `a=b;c;d="x;y"`; empty pieces are passed over.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut params = Vec::new();
        for piece in split_outside_quotes(text, ';') {
            let piece = piece.trim();
            if piece.is_empty() {
                continue;
            }
            match piece.split_once('=') {
                Some((name, value)) if !name.trim().is_empty() => {
                    let value = value.trim();
                    if value.starts_with('"') && (value.len() < 2 || !value.ends_with('"')) {
                        return Err(ParseError::Value("parameter"));
                    }
                    params.push((name.trim().to_owned(), Some(value.to_owned())));
                }
                Some(_) => return Err(ParseError::Value("parameter")),
                None => params.push((piece.to_owned(), None)),
            }
        }
        Ok(Self(params))
    }

    /// The raw value: `None` absent, `Some(None)` present without a value.
    pub fn get(&self, name: &str) -> Option<Option<&str>> {
        let found = self.0.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_deref())
    }

    /// The value without its quotes; `None` where absent or empty.
    pub fn value(&self, name: &str) -> Option<&str> {
        let value = self.get(name)??;
        Some(value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value))
    }

    /// Whether it is there.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Sets or adds.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        let value = value.map(str::to_owned);
        match self.0.iter_mut().find(|(key, _)| key.eq_ignore_ascii_case(name)) {
            Some(entry) => entry.1 = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    /// Takes it away.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
    }

    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_deref()))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.0 {
            match value {
                Some(value) => write!(f, ";{name}={value}")?,
                None => write!(f, ";{name}")?,
            }
        }
        Ok(())
    }
}

/// Pieces between separators that stand outside of quotes and angle brackets.
pub(super) fn split_outside_quotes(text: &str, separator: char) -> Vec<&str> {
    let (mut quoted, mut escaped, mut angle) = (false, false, 0_u32);
    let mut pieces = Vec::new();
    let mut start = 0;
    for (at, c) in text.char_indices() {
        if escaped {
            escaped = false;
            continue;
        }
        match c {
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '<' if !quoted => angle += 1,
            '>' if !quoted => angle = angle.saturating_sub(1),
            c if c == separator && !quoted && angle == 0 => {
                pieces.push(&text[start..at]);
                start = at + c.len_utf8();
            }
            _ => {}
        }
    }
    pieces.push(&text[start..]);
    pieces
}

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
