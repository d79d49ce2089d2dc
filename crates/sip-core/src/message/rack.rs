//! The header RAck: which reliable provisional response a PRACK acknowledges (RFC 3262 §7.2).

use std::fmt;

use super::{CSeq, ParseError};

/// A reliable provisional response, by its number and that of its request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RAck {
    /// The RSeq of the response: 1 to 2³²-1.
    pub rseq: u32,
    /// The CSeq of the response.
    pub cseq: CSeq,
}

impl RAck {
    /// Reads a value.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let fault = || ParseError::Value("RAck");
        let text = text.trim_ascii();
        let (rseq, cseq) = text.split_once([' ', '\t']).ok_or_else(fault)?;
        let rseq = rseq_number(rseq).ok_or_else(fault)?;
        Ok(Self { rseq, cseq: CSeq::parse(cseq.trim_ascii())? })
    }
}

impl fmt::Display for RAck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.rseq, self.cseq)
    }
}

/// The value of RSeq; zero is none (RFC 3262 §7.1).
pub(crate) fn rseq_number(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && *number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_acknowledged_is_read_and_written() {
        let read = RAck::parse("776656 \t 1 INVITE").unwrap();
        assert_eq!((read.rseq, read.cseq.number), (776_656, 1));
        assert_eq!(read.to_string(), "776656 1 INVITE");
        for bad in
            ["", "1", "1 2", "0 1 INVITE", "+1 1 INVITE", "4294967296 1 INVITE", "x 1 INVITE"]
        {
            assert!(RAck::parse(bad).is_err(), "{bad}");
        }
    }
}
