//! The names of headers: known ones are found once, as a message is read, and compared as numbers after it.

/// A header that has a name of its own here, in any case or in its compact form.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Known(u8);

impl Known {
    pub(super) const CONTENT_LENGTH: Self = Self(6);

    /// `None` for a name that is not in the table.
    pub(super) fn find(name: &str) -> Option<Self> {
        let name = if let [byte] = name.as_bytes() { expand(*byte)? } else { name };
        let first = name.as_bytes().first()?.to_ascii_lowercase();
        let range = STARTS[usize::from(first.checked_sub(b'a').filter(|at| *at < 26)?)];
        let (from, to) = (usize::from(range.0), usize::from(range.1));
        let place = NAMES[from..to].iter().position(|known| known.eq_ignore_ascii_case(name))?;
        u8::try_from(from + place).ok().map(Self)
    }

    /// As the RFCs write it.
    pub(super) fn name(self) -> &'static str {
        NAMES[usize::from(self.0)]
    }
}

/// Compact names (RFC 3261 §7.3.3 and the RFCs of each).
fn expand(byte: u8) -> Option<&'static str> {
    Some(match byte.to_ascii_lowercase() {
        b'b' => "Referred-By",
        b'c' => "Content-Type",
        b'e' => "Content-Encoding",
        b'f' => "From",
        b'i' => "Call-ID",
        b'k' => "Supported",
        b'l' => "Content-Length",
        b'm' => "Contact",
        b'o' => "Event",
        b'r' => "Refer-To",
        b's' => "Subject",
        b't' => "To",
        b'u' => "Allow-Events",
        b'v' => "Via",
        b'x' => "Session-Expires",
        _ => return None,
    })
}

/// Where the names of each first letter stand in `NAMES`.
const STARTS: [(u8, u8); 26] = starts();

const fn starts() -> [(u8, u8); 26] {
    let mut out = [(0, 0); 26];
    let mut at = 0;
    while at < NAMES.len() {
        let letter = (NAMES[at].as_bytes()[0].to_ascii_lowercase() - b'a') as usize;
        if out[letter].1 == 0 {
            out[letter].0 = at as u8;
        }
        out[letter].1 = at as u8 + 1;
        at += 1;
    }
    out
}

/// By first letter.
const NAMES: [&str; 40] = [
    "Accept",
    "Allow",
    "Allow-Events",
    "Authorization",
    "CSeq",
    "Call-ID",
    "Content-Length",
    "Contact",
    "Content-Type",
    "Content-Encoding",
    "Date",
    "Event",
    "Expires",
    "From",
    "Max-Forwards",
    "Min-Expires",
    "Min-SE",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Path",
    "RAck",
    "RSeq",
    "Reason",
    "Record-Route",
    "Refer-To",
    "Referred-By",
    "Replaces",
    "Require",
    "Retry-After",
    "Route",
    "Server",
    "Service-Route",
    "Session-Expires",
    "Subject",
    "Subscription-State",
    "Supported",
    "To",
    "User-Agent",
    "Via",
    "WWW-Authenticate",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_in_any_case_and_by_its_compact_form() {
        for name in NAMES {
            assert_eq!(Known::find(&name.to_ascii_uppercase()).map(Known::name), Some(name));
        }
        assert_eq!(Known::find("L"), Some(Known::CONTENT_LENGTH));
        assert_eq!(Known::find("V").map(Known::name), Some("Via"));
        for byte in 0..=255 {
            assert!(expand(byte).is_none_or(|name| Known::find(name).is_some()));
        }
    }

    #[test]
    fn other_names_are_not_found() {
        for name in ["", "z", "X-Via", "Vi", "\u{e9}", "Zzz", "[x"] {
            assert_eq!(Known::find(name), None, "{name}");
        }
    }
}
