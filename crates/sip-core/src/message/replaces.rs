//! The header Replaces: the dialog whose place an INVITE takes (RFC 3891 §6.1).

use std::fmt;

use super::{Params, ParseError};

/// A dialog as its other end names it: `to_tag` is the tag of who gets the INVITE.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Replaces {
    /// Call-ID.
    pub call_id: String,
    /// The local tag of who gets the INVITE.
    pub to_tag: String,
    /// The remote tag of who gets the INVITE.
    pub from_tag: String,
    /// Only while nobody has answered.
    pub early_only: bool,
}

impl Replaces {
    /// Reads a value; both tags have to be there, each once.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let fault = || ParseError::Value("Replaces");
        let (call_id, params) = text.split_once(';').ok_or_else(fault)?;
        let call_id = call_id.trim_ascii();
        let params = Params::parse(params)?;
        let tag = |wanted: &str| {
            let mut found = params.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
            let value = found.next()?.1?;
            (found.next().is_none() && is_word(value)).then(|| value.to_owned())
        };
        let to_tag = tag("to-tag").ok_or_else(fault)?;
        let from_tag = tag("from-tag").ok_or_else(fault)?;
        if !is_word(call_id) {
            return Err(fault());
        }
        let early_only = params.has("early-only");
        Ok(Self { call_id: call_id.to_owned(), to_tag, from_tag, early_only })
    }
}

impl fmt::Display for Replaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { call_id, to_tag, from_tag, early_only } = self;
        let early = if *early_only { ";early-only" } else { "" };
        write!(f, "{call_id};to-tag={to_tag};from-tag={from_tag}{early}")
    }
}

fn is_word(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_graphic() && !b",;\"".contains(&byte);
    !text.is_empty() && text.bytes().all(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dialog_is_read_and_written() {
        let text = "425928@bobster.example.org;to-tag=7743;from-tag=6472;early-only";
        let read = Replaces::parse(text).unwrap();
        assert_eq!((read.to_tag.as_str(), read.from_tag.as_str()), ("7743", "6472"));
        assert!(read.early_only);
        assert_eq!(read.to_string(), text);
        let loose = Replaces::parse(" a@b ; From-Tag = 1 ;to-tag= 2;x=y").unwrap();
        assert_eq!(loose.to_string(), "a@b;to-tag=2;from-tag=1");
    }

    #[test]
    fn what_names_no_dialog_is_an_error() {
        for text in [
            "",
            "a@b",
            "a@b;to-tag=1",
            ";to-tag=1;from-tag=2",
            "a b;to-tag=1;from-tag=2",
            "a;to-tag=;from-tag=2",
            "a;to-tag=1;to-tag=1;from-tag=2",
            "a;to-tag=1;from-tag=2, b;to-tag=1;from-tag=2",
        ] {
            assert!(Replaces::parse(text).is_err(), "{text}");
        }
    }
}
