//! Methods and CSeq. The vocabulary of known methods is rsip's, behind our own type.

use std::fmt;

use super::{ParseError, Text};

/// A request method; case-sensitive (RFC 3261 §7.1).
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(missing_docs, reason = "the variants are the methods of the RFCs")]
pub enum Method {
    Ack,
    Bye,
    Cancel,
    Info,
    Invite,
    Message,
    Notify,
    Options,
    Prack,
    Publish,
    Refer,
    Register,
    Subscribe,
    Update,
    /// Any other token.
    Other(Text),
}

impl Method {
    /// Reads a token; `None` where it is none.
    pub fn parse(text: &str) -> Option<Self> {
        // rsip reads methods in any case; RFC 3261 §7.1 has them case-sensitive.
        let known = match text.as_bytes() {
            b"ACK" => rsip::Method::Ack,
            b"BYE" => rsip::Method::Bye,
            b"CANCEL" => rsip::Method::Cancel,
            b"INFO" => rsip::Method::Info,
            b"INVITE" => rsip::Method::Invite,
            b"MESSAGE" => rsip::Method::Message,
            b"NOTIFY" => rsip::Method::Notify,
            b"OPTIONS" => rsip::Method::Options,
            b"PRACK" => rsip::Method::PRack,
            b"PUBLISH" => rsip::Method::Publish,
            b"REFER" => rsip::Method::Refer,
            b"REGISTER" => rsip::Method::Register,
            b"SUBSCRIBE" => rsip::Method::Subscribe,
            b"UPDATE" => rsip::Method::Update,
            _ => {
                let token = !text.is_empty() && text.bytes().all(is_token_byte);
                return token.then(|| Self::Other(text.into()));
            }
        };
        Some(known.into())
    }

    /// The token.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Ack => "ACK",
            Self::Bye => "BYE",
            Self::Cancel => "CANCEL",
            Self::Info => "INFO",
            Self::Invite => "INVITE",
            Self::Message => "MESSAGE",
            Self::Notify => "NOTIFY",
            Self::Options => "OPTIONS",
            Self::Prack => "PRACK",
            Self::Publish => "PUBLISH",
            Self::Refer => "REFER",
            Self::Register => "REGISTER",
            Self::Subscribe => "SUBSCRIBE",
            Self::Update => "UPDATE",
            Self::Other(token) => token,
        }
    }
}

impl From<rsip::Method> for Method {
    fn from(known: rsip::Method) -> Self {
        match known {
            rsip::Method::Ack => Self::Ack,
            rsip::Method::Bye => Self::Bye,
            rsip::Method::Cancel => Self::Cancel,
            rsip::Method::Info => Self::Info,
            rsip::Method::Invite => Self::Invite,
            rsip::Method::Message => Self::Message,
            rsip::Method::Notify => Self::Notify,
            rsip::Method::Options => Self::Options,
            rsip::Method::PRack => Self::Prack,
            rsip::Method::Publish => Self::Publish,
            rsip::Method::Refer => Self::Refer,
            rsip::Method::Register => Self::Register,
            rsip::Method::Subscribe => Self::Subscribe,
            rsip::Method::Update => Self::Update,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Number and method of a request (RFC 3261 §20.16).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CSeq {
    /// Below 2^31.
    pub number: u32,
    /// As in the request.
    pub method: Method,
}

impl CSeq {
    /// Reads the value of the header.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        Self::read(text).ok_or(ParseError::Value("CSeq"))
    }

    fn read(text: &str) -> Option<Self> {
        let text = text.trim_ascii();
        let (number, method) = text.split_at(text.bytes().position(|b| !b.is_ascii_digit())?);
        let method = method.strip_prefix(|c: char| c.is_ascii_whitespace())?.trim_ascii_start();
        let number = number.parse().ok().filter(|number| *number <= i32::MAX as u32)?;
        Some(Self { number, method: Method::parse(method)? })
    }
}

impl fmt::Display for CSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.method)
    }
}

/// A byte of a token (RFC 3261 §25.1).
pub(super) const fn is_token_byte(byte: u8) -> bool {
    TOKEN[byte as usize]
}

/// Looked up, not compared: each byte of each name is asked for.
const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut at = 0;
    while at < 128 {
        let byte = at as u8;
        table[at] = byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~');
        at += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_case_sensitive_and_unknown_ones_survive() {
        assert_eq!(Method::parse("INVITE"), Some(Method::Invite));
        assert_eq!(Method::parse("invite"), Some(Method::Other("invite".into())));
        assert_eq!(
            Method::parse("!interesting-Method0123456789_*+`.%'~").unwrap().as_str().len(),
            37
        );
        assert_eq!(Method::parse("A B"), None);
        assert_eq!(Method::parse("PRACK"), Some(Method::Prack));
    }

    #[test]
    fn cseq_takes_any_white_space_and_refuses_numbers_over_31_bits() {
        assert_eq!(CSeq::parse("1 \t INVITE").unwrap().number, 1);
        assert!(CSeq::parse("36893488147419103232 REGISTER").is_err());
        assert!(CSeq::parse("2147483648 INVITE").is_err());
        assert!(CSeq::parse("1").is_err());
    }
}
