//! The headers Session-Expires and Min-SE: how long a session lasts without a refresh, and who refreshes it (RFC 4028
//! §4, §5).

use std::fmt;
use std::time::Duration;

use super::{Params, ParseError};

/// Who sends the refreshes, seen from the request that the header or its answer belongs to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refresher {
    /// Who sent the request.
    Uac,
    /// Who answered it.
    Uas,
}

/// A value of Session-Expires.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SessionExpires {
    /// After this time without a refresh the session is over; whole seconds.
    pub interval: Duration,
    /// Who refreshes; `None` in a request leaves it to who answers.
    pub refresher: Option<Refresher>,
}

impl SessionExpires {
    /// Reads a value. A refresher of another name is none.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let (number, params) = text.split_once(';').unwrap_or((text, ""));
        let interval = delta_seconds(number).ok_or(ParseError::Value("Session-Expires"))?;
        let params = Params::parse(params)?;
        let refresher = params.value("refresher").and_then(|value| {
            let is = |name: &str| value.eq_ignore_ascii_case(name);
            if is("uac") { Some(Refresher::Uac) } else { is("uas").then_some(Refresher::Uas) }
        });
        Ok(Self { interval, refresher })
    }
}

impl fmt::Display for SessionExpires {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let refresher = match self.refresher {
            None => "",
            Some(Refresher::Uac) => ";refresher=uac",
            Some(Refresher::Uas) => ";refresher=uas",
        };
        write!(f, "{}{refresher}", self.interval.as_secs())
    }
}

/// A value of Min-SE: the shortest interval that whoever wrote it takes; whole seconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MinSe(pub Duration);

impl MinSe {
    /// Reads a value; parameters are passed over.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let number = text.split(';').next().unwrap_or_default();
        delta_seconds(number).map(Self).ok_or(ParseError::Value("Min-SE"))
    }
}

impl fmt::Display for MinSe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_secs().fmt(f)
    }
}

/// Digits; what is more than 2³²-1 is as good as that (RFC 3261 §20.19).
fn delta_seconds(text: &str) -> Option<Duration> {
    let text = text.trim();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(Duration::from_secs(text.parse::<u32>().unwrap_or(u32::MAX).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_read_and_written() {
        for (text, seconds, refresher) in [
            ("1800", 1800, None),
            (" 90 ; Refresher = UAS", 90, Some(Refresher::Uas)),
            ("4294967296;refresher=uac;x=y", u64::from(u32::MAX), Some(Refresher::Uac)),
            ("0;refresher=proxy", 0, None),
        ] {
            let read = SessionExpires::parse(text).unwrap();
            assert_eq!((read.interval.as_secs(), read.refresher), (seconds, refresher), "{text}");
            assert_eq!(SessionExpires::parse(&read.to_string()).unwrap(), read);
        }
        assert_eq!(MinSe::parse("120;lr").unwrap().to_string(), "120");
    }

    #[test]
    fn what_is_no_number_is_an_error() {
        for text in ["", ";refresher=uac", "-1", "1.5", "a", "90;x=\""] {
            assert!(SessionExpires::parse(text).is_err(), "{text}");
        }
        assert!(MinSe::parse("").is_err());
    }
}
