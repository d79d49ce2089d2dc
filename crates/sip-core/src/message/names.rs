//! The names of headers: known ones are found once, as a message is read, and compared as numbers after it.

/// A header that has a name of its own here, in any case or in its compact form.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Known(u8);

impl Known {
    pub(super) const CALL_ID: Self = Self::of("Call-ID");
    pub(super) const CONTACT: Self = Self::of("Contact");
    pub(super) const CONTENT_LENGTH: Self = Self::of("Content-Length");
    pub(super) const CSEQ: Self = Self::of("CSeq");
    pub(super) const FROM: Self = Self::of("From");
    pub(super) const MAX_FORWARDS: Self = Self::of("Max-Forwards");
    pub(super) const RECORD_ROUTE: Self = Self::of("Record-Route");
    pub(super) const ROUTE: Self = Self::of("Route");
    pub(super) const TO: Self = Self::of("To");
    pub(super) const VIA: Self = Self::of("Via");

    /// `None` for a name that is not in the table.
    pub(super) fn find(name: &str) -> Option<Self> {
        Self::read(name.as_bytes())
    }

    /// The same for what was just read.
    pub(super) fn read(name: &[u8]) -> Option<Self> {
        let name = match name {
            [byte] => expand(*byte)?.as_bytes(),
            name => name,
        };
        let at = PLACES[slot(name, FACTOR)?];
        let known = NAMES.get(usize::from(at))?;
        let same = known.as_bytes() == name || known.as_bytes().eq_ignore_ascii_case(name);
        same.then_some(Self(at))
    }

    /// For the constants: a name that is not in the table does not compile.
    const fn of(name: &str) -> Self {
        let mut at = 0;
        while !NAMES[at].eq_ignore_ascii_case(name) {
            at += 1;
        }
        Self(at as u8)
    }

    /// For sets of them.
    pub(super) const fn bit(self) -> u64 {
        1 << self.0
    }

    /// As the RFCs write it.
    pub(super) fn name(self) -> &'static str {
        NAMES[usize::from(self.0)]
    }
}

/// A set of them is 64 bits.
const _: () = assert!(NAMES.len() <= 64);

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

/// Where a name is looked for in `PLACES`: first and last letter and length tell nearly all of them apart, and the factor
/// those that they do not.
const fn slot(name: &[u8], factor: usize) -> Option<usize> {
    let (Some(first), Some(last)) = (name.first(), name.last()) else { return None };
    let (first, last) = ((*first | 0x20) as usize, (*last | 0x20) as usize);
    Some((first * factor + last * 7 + name.len()) % SLOTS)
}

const SLOTS: usize = 512;

/// The place in `NAMES` of the name of each slot; where there is none, past the end.
const PLACES: [u8; SLOTS] = match places(FACTOR) {
    Some(places) => places,
    None => panic!("two names share a slot"),
};

/// The first that gives each name a slot of its own.
const FACTOR: usize = {
    let mut factor = 1;
    while places(factor).is_none() {
        factor += 1;
    }
    factor
};

const fn places(factor: usize) -> Option<[u8; SLOTS]> {
    let mut places = [u8::MAX; SLOTS];
    let mut at = 0;
    while at < NAMES.len() {
        match slot(NAMES[at].as_bytes(), factor) {
            Some(slot) if places[slot] == u8::MAX => places[slot] = at as u8,
            Some(_) | None => return None,
        }
        at += 1;
    }
    Some(places)
}

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
