//! `"Display" <uri>;params`: From, To, Contact, Route (RFC 3261 §20.10).

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use memchr::memchr;

use super::params::{cut, pieces};
use super::uri::AnyUriPart;
use super::{AnyUri, Params, ParseError, Text};

/// An address with its display name and the header's parameters.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct NameAddr {
    /// The display name with its quotes and escapes undone; untrusted text.
    pub display: Option<Text>,
    /// The address.
    pub uri: AnyUri,
    /// Parameters of the header, such as `tag`.
    pub params: Params,
}

impl NameAddr {
    /// Without parameters.
    pub fn new(display: Option<&str>, uri: impl Into<AnyUri>) -> Self {
        let display = display.filter(|name| !name.is_empty()).map(Text::from);
        Self { display, uri: uri.into(), params: Params::default() }
    }

    /// Reads one.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let whole: Arc<str> = text.into();
        Self::within(&whole, &whole)
    }

    /// Reads a part of a text.
    pub(super) fn within(whole: &Arc<str>, part: &str) -> Result<Self, ParseError> {
        NameAddrPart::parse(part).map(|part| part.own(whole))
    }

    /// Reads a comma-separated list.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, ParseError> {
        let whole: Arc<str> = text.into();
        pieces(&whole, b',').map(|piece| Self::within(&whole, piece)).collect()
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

/// An address within a text.
#[derive(Clone, Debug)]
pub(super) struct NameAddrPart<'a> {
    display: Option<Cow<'a, str>>,
    uri: AnyUriPart<'a>,
    params: &'a str,
}

impl<'a> NameAddrPart<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, ParseError> {
        let text = text.trim_ascii();
        let Some((display, rest)) = split_display(text)? else {
            // Without angle brackets parameters belong to the header (RFC 3261 §20).
            let (uri, params) = cut(text, b';');
            if uri.bytes().any(|byte| matches!(byte, b'?' | b',')) {
                return Err(ParseError::Value("address"));
            }
            let uri = AnyUriPart::parse(uri.trim_ascii_end())?;
            let params = params.unwrap_or_default();
            Params::check(params)?;
            return Ok(Self { display: None, uri, params });
        };
        let end = memchr(b'>', rest.as_bytes()).ok_or(ParseError::Value("address"))?;
        let (uri, params) = (&rest[..end], rest[end + 1..].trim_ascii_start());
        if !params.is_empty() && !params.starts_with(';') {
            return Err(ParseError::Value("address"));
        }
        Params::check(params)?;
        Ok(Self { display, uri: AnyUriPart::parse(uri.trim_ascii())?, params })
    }

    /// The tag parameter.
    pub(super) fn tag(&self) -> Option<&'a str> {
        Params::value_in(self.params, "tag")
    }

    fn own(self, whole: &Arc<str>) -> NameAddr {
        let display = self.display.map(|name| match name {
            Cow::Borrowed(name) => Text::within(whole, name),
            Cow::Owned(name) => name.into(),
        });
        let params = self.params.trim_start_matches(';');
        NameAddr { display, uri: self.uri.own(whole), params: Params::within(whole, params) }
    }
}

/// A display name where there is one, and what stands behind `<`.
type Split<'a> = (Option<Cow<'a, str>>, &'a str);

/// `None` where there is no `<`.
fn split_display(text: &str) -> Result<Option<Split<'_>>, ParseError> {
    if let Some(quoted) = text.strip_prefix('"') {
        let (name, rest) = split_quoted(quoted).ok_or(ParseError::Value("quoted name"))?;
        let rest = rest.trim_ascii_start().strip_prefix('<').ok_or(ParseError::Value("address"))?;
        return Ok(Some((Some(name).filter(|name| !name.is_empty()), rest)));
    }
    // A quote before it makes the bracket part of a parameter: `sip:a@b;+sip.instance="<urn:uuid:...>"`.
    let first = text.bytes().position(|byte| matches!(byte, b'<' | b'"'));
    let Some(first) = first.filter(|at| text[*at..].starts_with('<')) else { return Ok(None) };
    let (name, rest) = (text[..first].trim_ascii_end(), &text[first + 1..]);
    // Unquoted it is a row of tokens (RFC 3261 §25.1). Other signs that phones leave unquoted are let pass, where they
    // cannot be taken for something else.
    if name.bytes().any(|byte| matches!(byte, b',' | b';' | b':' | b'@' | b'>' | b'=')) {
        return Err(ParseError::Value("display name"));
    }
    Ok(Some(((!name.is_empty()).then_some(Cow::Borrowed(name)), rest)))
}

/// What stands before the closing quote, its escapes undone, and what stands behind it.
fn split_quoted(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let plain = text.bytes().position(|byte| matches!(byte, b'"' | b'\\'))?;
    if text[plain..].starts_with('"') {
        return Some((Cow::Borrowed(&text[..plain]), &text[plain + 1..]));
    }
    let mut name = String::with_capacity(text.len());
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => name.push(chars.next()?.1),
            '"' => return Some((Cow::Owned(name), &text[at + 1..])),
            c => name.push(c),
        }
    }
    None
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
