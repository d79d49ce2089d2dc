//! message/sipfrag: the status line by which a NOTIFY tells what became of a REFER (RFC 3420, RFC 3515 §2.4.5).

use super::{Content, StatusCode};

/// The longest status line that is read.
const MAX_LINE: usize = 512;

/// The first line of a fragment of a response.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StatusFragment {
    /// The status.
    pub status: StatusCode,
    /// The phrase as it came; untrusted text.
    pub phrase: String,
}

impl StatusFragment {
    /// Reads the first line of a body; whatever follows is not looked at.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let line = body.get(..MAX_LINE).unwrap_or(body);
        let end = line.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
        let line = match end {
            Some(end) => &line[..end],
            None if body.len() > MAX_LINE => return None,
            None => line,
        };
        let line = String::from_utf8_lossy(line);
        let rest = line.trim_ascii_start().strip_prefix("SIP/2.0 ")?.trim_ascii_start();
        let (code, phrase) = rest.split_once(' ').unwrap_or((rest, ""));
        let digits = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit());
        let status = StatusCode::new(code.parse().ok().filter(|_| digits)?)?;
        Some(Self { status, phrase: phrase.trim_ascii().to_owned() })
    }

    /// The body that tells a status.
    pub fn content(status: StatusCode) -> Content {
        let line = format!("SIP/2.0 {status} {}\r\n", status.reason_phrase());
        Content::new("message/sipfrag;version=2.0", line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_line_is_read_and_written() {
        let read = StatusFragment::parse(b"SIP/2.0 486 Busy Here\r\nTo: <sip:a@b>\r\n").unwrap();
        assert_eq!((read.status.code(), read.phrase.as_str()), (486, "Busy Here"));
        assert_eq!(StatusFragment::parse(b"SIP/2.0 200").unwrap().status, StatusCode::OK);
        assert_eq!(
            &StatusFragment::content(StatusCode::TRYING).body[..],
            b"SIP/2.0 100 Trying\r\n"
        );
    }

    #[test]
    fn what_is_none_gives_nothing_at_any_length() {
        let whole = b"SIP/2.0 200 OK\r\n";
        for length in 0..11 {
            assert_eq!(StatusFragment::parse(&whole[..length]), None, "{length}");
        }
        for text in ["INVITE sip:a@b SIP/2.0", "SIP/2.0 2000 OK", "SIP/2.0 +20 OK", "SIP/2.0 099 X"]
        {
            assert_eq!(StatusFragment::parse(text.as_bytes()), None, "{text}");
        }
        let endless = format!("SIP/2.0 200 {}", "x".repeat(100_000));
        assert_eq!(StatusFragment::parse(endless.as_bytes()), None);
    }
}
