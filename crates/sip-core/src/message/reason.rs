//! The header Reason: why a request was sent (RFC 3326), in words and numbers of SIP or of the telephone network.

use std::fmt;

use super::{Headers, Params, ParseError, StatusCode};

/// The most values of a message that are read.
const MAX_VALUES: usize = 16;
/// The longest text that is kept, in characters.
const MAX_TEXT: usize = 256;

/// Whose numbers a cause is one of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Protocol {
    /// Q.850: causes of the telephone network.
    Q850,
    /// SIP: status codes.
    Sip,
    /// Another, as it came.
    Other(String),
}

/// One reason. Nothing proves it, and its text is untrusted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reason {
    /// Whose number `cause` is.
    pub protocol: Protocol,
    /// The number, where there is one.
    pub cause: Option<u16>,
    /// Words for a person, where there are any.
    pub text: Option<String>,
}

impl Reason {
    /// One of SIP.
    pub fn sip(status: StatusCode, text: &str) -> Self {
        let text = Some(text.to_owned()).filter(|text| !text.is_empty());
        Self { protocol: Protocol::Sip, cause: Some(status.code()), text }
    }

    /// What a proxy tells the phones that did not answer when another one did (RFC 3326 §3.1).
    pub fn completed_elsewhere() -> Self {
        Self::sip(StatusCode::OK, "Call completed elsewhere")
    }

    /// Reads one value.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let (protocol, params) = text.split_once(';').unwrap_or((text, ""));
        let protocol = protocol.trim();
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte);
        if protocol.is_empty() || !protocol.bytes().all(good) {
            return Err(ParseError::Value("Reason"));
        }
        let params = Params::parse(params)?;
        let protocol = match protocol {
            _ if protocol.eq_ignore_ascii_case("SIP") => Protocol::Sip,
            _ if protocol.eq_ignore_ascii_case("Q.850") => Protocol::Q850,
            _ => Protocol::Other(protocol.to_owned()),
        };
        let cause = params.value("cause").and_then(|cause| cause.parse().ok());
        let text = params.value("text").map(unquoted).filter(|text| !text.is_empty());
        Ok(Self { protocol, cause, text })
    }

    /// That of a message; of several the one of SIP, else the first that can be read.
    pub fn of(headers: &Headers) -> Option<Self> {
        let values = headers.list("Reason").into_iter().take(MAX_VALUES);
        let all: Vec<Self> = values.filter_map(|value| Self::parse(value).ok()).collect();
        let best = all.iter().position(|reason| reason.protocol == Protocol::Sip);
        all.into_iter().nth(best.unwrap_or_default())
    }

    /// Whether another phone of the one who is called took the call: in the words of SIP, or as `non-selected user
    /// clearing` of Q.850.
    pub fn is_completed_elsewhere(&self) -> bool {
        match self.protocol {
            Protocol::Sip => self.cause == Some(200),
            Protocol::Q850 => self.cause == Some(26),
            Protocol::Other(_) => false,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.protocol {
            Protocol::Q850 => f.write_str("Q.850")?,
            Protocol::Sip => f.write_str("SIP")?,
            Protocol::Other(name) => f.write_str(name)?,
        }
        if let Some(cause) = self.cause {
            write!(f, ";cause={cause}")?;
        }
        if let Some(text) = &self.text {
            f.write_str(";text=\"")?;
            for c in text.chars() {
                match c {
                    '"' | '\\' => write!(f, "\\{c}")?,
                    c if c.is_control() => f.write_str(" ")?,
                    c => write!(f, "{c}")?,
                }
            }
            f.write_str("\"")?;
        }
        Ok(())
    }
}

/// A quoted value with its escapes undone.
fn unquoted(value: &str) -> String {
    let mut text = String::new();
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        text.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(MAX_TEXT).map(printable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[&str]) -> Option<Reason> {
        let mut headers = Headers::default();
        for line in lines {
            headers.push("Reason", line);
        }
        Reason::of(&headers)
    }

    #[test]
    fn a_reason_is_read_and_written() {
        let text = "SIP;cause=200;text=\"Call completed elsewhere\"";
        let read = Reason::parse(text).unwrap();
        assert_eq!(read, Reason::completed_elsewhere());
        assert_eq!(read.to_string(), text);
        let read = Reason::parse("q.850 ; Cause = 16 ; text=Terminated").unwrap();
        assert_eq!((&read.protocol, read.cause), (&Protocol::Q850, Some(16)));
        assert_eq!(read.to_string(), "Q.850;cause=16;text=\"Terminated\"");
        let odd = Reason::sip(StatusCode::OK, "\"a\\b\";c\r\nVia: x");
        assert_eq!(Reason::parse(&odd.to_string()).unwrap().text.unwrap(), "\"a\\b\";c  Via: x");
        let bare = Reason::parse("preemption;cause=x").unwrap();
        assert_eq!(bare.to_string(), "preemption");
    }

    #[test]
    fn of_several_that_of_sip_counts() {
        let both = of(&["Q.850;cause=16;text=\"a,b\", SIP;cause=600", "SIP;cause=480"]).unwrap();
        assert_eq!(both.to_string(), "SIP;cause=600");
        assert_eq!(of(&["?;x=1", "Q.850;cause=17"]).unwrap().cause, Some(17));
        assert_eq!(of(&[]), None);
        assert_eq!(of(&["SIP;text=\"open"]), None);
    }

    #[test]
    fn another_phone_took_it_by_either_number() {
        let elsewhere = |text: &str| Reason::parse(text).unwrap().is_completed_elsewhere();
        assert!(elsewhere("SIP;cause=200") && elsewhere("Q.850;cause=26"));
        for text in ["SIP;cause=600", "SIP", "Q.850;cause=200", "SIP;cause=26", "X;cause=200"] {
            assert!(!elsewhere(text), "{text}");
        }
    }

    #[test]
    fn a_text_without_end_is_cut() {
        let long = format!("SIP;cause=200;text=\"{}\"", "\u{e9}".repeat(5000));
        assert_eq!(Reason::parse(&long).unwrap().text.unwrap().chars().count(), MAX_TEXT);
    }
}
