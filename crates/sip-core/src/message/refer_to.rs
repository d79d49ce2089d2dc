//! The header Refer-To: whom to call, and what the INVITE that does it may carry (RFC 3515 §2.1, RFC 3261 §19.1.5).

use std::fmt;

use super::uri::unescape;
use super::{AnyUri, NameAddr, ParseError, Replaces, StatusCode};

/// Whom somebody wants us to call, with all that he may not decide taken away: of the headers that the URI asks for only
/// Replaces is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReferTo {
    /// What is wanted of whom.
    pub method: ReferMethod,
    /// Name and address; the URI has no headers and no `method` any more.
    pub address: NameAddr,
    /// The call whose place the new one takes.
    pub replaces: Option<Replaces>,
}

/// What a Refer-To may want.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ReferMethod {
    /// That somebody is removed from a conference (RFC 4579 §5.11). Whoever hosts none refuses it with 603.
    Bye,
    /// That somebody is called.
    #[default]
    Invite,
}

/// Why a Refer-To is not obeyed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ReferToFault {
    /// It cannot be read: 400.
    Malformed,
    /// Another method than INVITE and BYE: 603.
    Method,
    /// No address of SIP: 416.
    Scheme,
}

impl ReferToFault {
    /// The answer that fits.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::Method => StatusCode::DECLINE,
            Self::Scheme => StatusCode::UNSUPPORTED_URI_SCHEME,
        }
    }
}

impl From<ParseError> for ReferToFault {
    fn from(_: ParseError) -> Self {
        Self::Malformed
    }
}

impl ReferTo {
    /// Reads a value: one address, for an INVITE or a BYE.
    pub fn parse(text: &str) -> Result<Self, ReferToFault> {
        // Headers go first: an @ in them, which some leave unescaped, would be taken for that of the user part.
        let (before, headers, after) = match brackets(text) {
            Some((open, close)) => match text[open..close].find('?') {
                Some(mark) => {
                    let mark = open + mark;
                    (&text[..mark], &text[mark + 1..close], &text[close..])
                }
                None => (text, "", ""),
            },
            None => (text, "", ""),
        };
        let mut address = NameAddr::parse(&format!("{before}{after}"))?;
        let AnyUri::Sip(uri) = &mut address.uri else { return Err(ReferToFault::Scheme) };
        let method = match uri.params.value("method") {
            Some("BYE") => ReferMethod::Bye,
            Some("INVITE") | None => ReferMethod::Invite,
            Some(_) => return Err(ReferToFault::Method),
        };
        uri.params.remove("method");
        uri.headers.clear();
        let mut replaces = None;
        for header in headers.split('&') {
            let (name, value) = header.split_once('=').unwrap_or((header, ""));
            if name.eq_ignore_ascii_case("Replaces") {
                let value = String::from_utf8(unescape(value));
                let value = value.map_err(|_| ReferToFault::Malformed)?;
                if replaces.replace(Replaces::parse(&value)?).is_some() {
                    return Err(ReferToFault::Malformed);
                }
            }
        }
        // Who is to be removed takes nobody's place.
        let replaces = replaces.filter(|_| method == ReferMethod::Invite);
        Ok(Self { method, address, replaces })
    }
}

impl fmt::Display for ReferTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut address = self.address.clone();
        if let (AnyUri::Sip(uri), ReferMethod::Bye) = (&mut address.uri, self.method) {
            uri.params.set("method", Some("BYE"));
        }
        if let (AnyUri::Sip(uri), Some(replaces)) = (&mut address.uri, &self.replaces) {
            uri.headers = format!("Replaces={}", escape(&replaces.to_string())).into();
        }
        address.fmt(f)
    }
}

/// As a header's value stands in a URI (RFC 3261 §25.1, `hvalue`).
fn escape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Where the address's brackets stand: those of a quoted name are none.
fn brackets(text: &str) -> Option<(usize, usize)> {
    let (mut quoted, mut escaped, mut open) = (false, false, None);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' if open.is_none() => quoted = !quoted,
            b'<' if !quoted && open.is_none() => open = Some(at),
            b'>' if !quoted => return open.map(|open| (open, at)),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_a_quoted_name_are_none_of_the_address() {
        let text = "\"Otto <x> \\\" >\" <sip:o@x.example?Replaces=a%3Bto-tag%3D1%3Bfrom-tag%3D2>";
        let read = ReferTo::parse(text).unwrap();
        assert!(read.replaces.is_some());
    }

    #[test]
    fn an_address_with_the_call_to_replace_is_read_and_written() {
        let text =
            "<sip:carol@192.0.2.4;transport=tcp?Replaces=ab%40c%3Bto-tag%3D1%3Bfrom-tag%3D2>";
        let read = ReferTo::parse(text).unwrap();
        assert_eq!(read.address.uri.to_string(), "sip:carol@192.0.2.4;transport=tcp");
        assert_eq!(read.replaces.as_ref().unwrap().call_id, "ab@c");
        assert_eq!(read.to_string(), text);
        // As some write it.
        let loose = "\"C\" <sip:c@d?Replaces=ab@c;to-tag=1;from-tag=2&Require=replaces>;x=y";
        let loose = ReferTo::parse(loose).unwrap();
        assert_eq!(loose.replaces, read.replaces);
        assert_eq!(loose.address.uri.to_string(), "sip:c@d");
        assert_eq!(ReferTo::parse("sip:c@d").unwrap().replaces, None);
    }

    #[test]
    fn rf10_headers_of_the_uri_other_than_replaces_are_taken_away() {
        let text = "<sip:c@d;method=INVITE?From=sip%3Aboss%40d&Via=x&Route=%3Csip%3Ae%3E&Contact=f&body=v>";
        let read = ReferTo::parse(text).unwrap();
        assert_eq!(read.to_string(), "<sip:c@d>");
    }

    #[test]
    fn rf10_another_method_than_invite_and_bye_is_refused() {
        for method in ["REFER", "SUBSCRIBE", "bye", "invite", ""] {
            let text = format!("<sip:c@d;method={method}>");
            assert_eq!(ReferTo::parse(&text), Err(ReferToFault::Method), "{method}");
        }
        let text = "<sip:c@d;method=BYE?Replaces=a%3Bto-tag%3D1%3Bfrom-tag%3D2>";
        let read = ReferTo::parse(text).unwrap();
        assert_eq!((read.method, read.replaces.clone()), (ReferMethod::Bye, None));
        assert_eq!(read.to_string(), "<sip:c@d;method=BYE>");
    }

    #[test]
    fn what_is_no_address_of_sip_is_told_from_what_is_none() {
        for text in ["<tel:+4930>", "http://example.org", "<urn:service:sos>"] {
            assert_eq!(ReferTo::parse(text), Err(ReferToFault::Scheme), "{text}");
        }
        for text in
            ["", "<sip:>", "<sip:a@b>, <sip:c@d>", "<sip:a@b?Replaces=x>", "sip:a@b?Replaces=x"]
        {
            assert_eq!(ReferTo::parse(text), Err(ReferToFault::Malformed), "{text}");
        }
    }
}
