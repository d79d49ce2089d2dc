//! `"Display" <uri>;params`: From, To, Contact, Route (RFC 3261 §20.10).

use std::fmt;

use super::params::split_outside_quotes;
use super::{AnyUri, Params, ParseError};

/// An address with its display name and the header's parameters.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct NameAddr {
    /// The display name with its quotes and escapes undone; untrusted text.
    pub display: Option<String>,
    /// The address.
    pub uri: AnyUri,
    /// Parameters of the header, such as `tag`.
    pub params: Params,
}

impl NameAddr {
    /// Without parameters.
    pub fn new(display: Option<&str>, uri: impl Into<AnyUri>) -> Self {
        let display = display.filter(|name| !name.is_empty()).map(str::to_owned);
        Self { display, uri: uri.into(), params: Params::default() }
    }

    /// Reads one.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let text = text.trim();
        let Some((display, rest)) = split_display(text)? else {
            // Without angle brackets parameters belong to the header (RFC 3261 §20).
            let (uri, params) = text.split_once(';').unwrap_or((text, ""));
            if uri.contains(['?', ',']) {
                return Err(ParseError::Value("address"));
            }
            let uri = AnyUri::parse(uri.trim())?;
            return Ok(Self { display: None, uri, params: Params::parse(params)? });
        };
        let (uri, params) = rest.split_once('>').ok_or(ParseError::Value("address"))?;
        let params = params.trim();
        if !params.is_empty() && !params.starts_with(';') {
            return Err(ParseError::Value("address"));
        }
        Ok(Self { display, uri: AnyUri::parse(uri.trim())?, params: Params::parse(params)? })
    }

    /// Reads a comma-separated list.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, ParseError> {
        split_outside_quotes(text, ',').into_iter().map(Self::parse).collect()
    }

    /// The tag parameter.
    pub fn tag(&self) -> Option<&str> {
        self.params.value("tag")
    }

    /// The same with this tag.
    pub fn with_tag(&self, tag: &str) -> Self {
        let mut with = self.clone();
        with.params.set("tag", Some(tag));
        with
    }
}

/// Display name and what stands behind `<`; `None` where there is no `<`.
fn split_display(text: &str) -> Result<Option<(Option<String>, &str)>, ParseError> {
    if let Some(quoted) = text.strip_prefix('"') {
        let mut name = String::new();
        let mut chars = quoted.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => name.extend(chars.next().map(|(_, c)| c)),
                '"' => {
                    let rest = quoted[at + 1..].trim_start();
                    let rest = rest.strip_prefix('<').ok_or(ParseError::Value("address"))?;
                    return Ok(Some((Some(name).filter(|name| !name.is_empty()), rest)));
                }
                c => name.push(c),
            }
        }
        return Err(ParseError::Value("quoted name"));
    }
    // A quote before it makes the bracket part of a parameter: `sip:a@b;+sip.instance="<urn:uuid:...>"`.
    let split = text.split_once('<').filter(|(name, _)| !name.contains('"'));
    Ok(split.map(|(name, rest)| {
        let name = name.trim();
        ((!name.is_empty()).then(|| name.to_owned()), rest)
    }))
}

impl fmt::Display for NameAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(display) = &self.display {
            f.write_str("\"")?;
            for c in display.chars() {
                match c {
                    '"' | '\\' => write!(f, "\\{c}")?,
                    c if c.is_control() => f.write_str(" ")?,
                    c => write!(f, "{c}")?,
                }
            }
            f.write_str("\" ")?;
        }
        write!(f, "<{}>{}", self.uri, self.params)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_names_may_hold_anything() {
        let text = "\"J Rosenberg \\\\\\\" <x>, y\" <sip:jdrosen@example.com;a=b>;tag = 98asjd8";
        let address = NameAddr::parse(text).unwrap();
        assert_eq!(address.display.as_deref(), Some("J Rosenberg \\\" <x>, y"));
        assert_eq!(address.tag(), Some("98asjd8"));
        assert_eq!(NameAddr::parse(&address.to_string()).unwrap(), address);
    }

    #[test]
    fn without_brackets_parameters_belong_to_the_header() {
        let address = NameAddr::parse("sip:a@b.c;tag=1").unwrap();
        assert_eq!(address.tag(), Some("1"));
        assert_eq!(address.uri.to_string(), "sip:a@b.c");
        assert!(NameAddr::parse("sip:user@example.com?Route=%3Csip:x%3E").is_err());
    }

    #[test]
    fn a_bracket_inside_a_quoted_parameter_is_no_bracket_of_the_address() {
        let contact = "sip:a@192.0.2.8;+sip.instance=\"<urn:uuid:0-1>\"";
        let address = NameAddr::parse(contact).unwrap();
        assert_eq!(address.uri.to_string(), "sip:a@192.0.2.8");
        assert_eq!(address.params.value("+sip.instance"), Some("<urn:uuid:0-1>"));
    }

    #[test]
    fn an_open_quote_or_bracket_is_an_error() {
        assert!(NameAddr::parse("\"Mr. J. User <sip:j.user@example.com>").is_err());
        assert!(NameAddr::parse("Bob <sip:bob@example.com").is_err());
    }

    #[test]
    fn lists_are_split_outside_of_quotes_and_brackets() {
        let list = NameAddr::parse_list("\"a,b\" <sip:x@y>;q=1, <sip:z@[::1]>").unwrap();
        assert_eq!(list.len(), 2);
    }
}
