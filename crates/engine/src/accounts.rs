//! Our own address, and reading the addresses that a person types.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use sip_core::{AnyUri, NameAddr, Uri, is_emergency, is_emergency_any, is_emergency_text};
use thiserror::Error;

use crate::{Settings, invitation_address, notice};

/// Why something typed is no address that can be called.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum AddressError {
    /// Nothing but spaces.
    #[error("is empty")]
    Empty,
    /// An emergency number.
    #[error("Parlour cannot make emergency calls. Use a phone.")]
    Emergency,
    /// A number without an account that could complete it.
    #[error("Phone numbers need a SIP account")]
    NeedsAccount,
    /// `a@@b`
    #[error("has two @ signs")]
    TwoAts,
    /// A space inside.
    #[error("has a space in it")]
    Space,
    /// More than 512 bytes.
    #[error("is too long")]
    TooLong,
    /// Header fields behind `?`, which could make a call do something else.
    #[error("has hidden instructions behind the question mark")]
    Headers,
    /// Anything else.
    #[error("is not a SIP address")]
    Invalid,
}

/// Reads `sip:user@host`, `user@host`, `host`, `"Name" <sip:...>`, a whole invitation; the name comes back where there is one.
pub fn parse_target(text: &str) -> Result<(Uri, Option<String>), AddressError> {
    let text = invitation_address(text).unwrap_or(text).trim();
    if text.is_empty() {
        return Err(AddressError::Empty);
    }
    if text.len() > 512 {
        return Err(AddressError::TooLong);
    }
    if text.contains('<') {
        let address = NameAddr::parse(text).map_err(|_| AddressError::Invalid)?;
        if is_emergency_any(&address.uri) {
            return Err(AddressError::Emergency);
        }
        let AnyUri::Sip(uri) = address.uri else { return Err(AddressError::Invalid) };
        return check(uri).map(|uri| (uri, address.display.map(Into::into)));
    }
    let lower = text.to_ascii_lowercase();
    let digits: String =
        text.chars().filter(|c| !matches!(c, ' ' | '-' | '/' | '(' | ')')).collect();
    let bare = digits.trim_start_matches("tel:");
    if is_emergency_text(text) || asks_for_emergency(text) {
        return Err(AddressError::Emergency);
    }
    let is_number =
        !bare.is_empty() && bare.trim_start_matches('+').chars().all(|c| c.is_ascii_digit());
    if is_number || lower.starts_with("tel:") {
        return Err(AddressError::NeedsAccount);
    }
    if text.matches('@').count() > 1 {
        return Err(AddressError::TwoAts);
    }
    if text.contains(char::is_whitespace) {
        return Err(AddressError::Space);
    }
    let has_scheme = lower.starts_with("sip:") || lower.starts_with("sips:");
    let full = if has_scheme { text.to_owned() } else { format!("sip:{text}") };
    let host_alone = !full.contains('@') && !has_scheme;
    let uri = Uri::parse(&full).map_err(|_| AddressError::Invalid)?;
    // One word alone is a name somebody forgot to complete, not a host.
    let word = host_alone && uri.host.ip().is_none() && !uri.host.to_string().contains('.');
    if word && !text.eq_ignore_ascii_case("localhost") {
        return Err(AddressError::Invalid);
    }
    check(uri).map(|uri| (uri, None))
}

fn check(uri: Uri) -> Result<Uri, AddressError> {
    if !uri.headers.is_empty() {
        return Err(AddressError::Headers);
    }
    Ok(uri)
}

/// Whether a SIP address, as somebody in a hurry types it, is one of an emergency service: this goes before every other
/// fault, because it says what to do.
fn asks_for_emergency(text: &str) -> bool {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    [text.clone(), format!("sip:{text}")]
        .iter()
        .any(|text| Uri::parse(text).is_ok_and(|uri| is_emergency(&uri)))
}

/// A user part made of a name: letters and digits in lower case; `parlour` where nothing is left.
pub fn user_of_name(name: &str) -> String {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    if plain.is_empty() { "parlour".to_owned() } else { plain.to_ascii_lowercase() }
}

/// Whether conference and host can be told apart by their addresses.
pub(crate) fn conference_user(settings: &Settings) -> Result<(), String> {
    match &settings.conference_user {
        Some(user) if user.is_empty() => Err(notice::no_conference_user()),
        Some(user) if *user == settings.user => Err(notice::conference_is_user(user)),
        Some(_) | None => Ok(()),
    }
}

/// The address by which others reach us: the bound one, or the one that the default route leaves from.
pub(crate) fn reachable(bound: SocketAddr) -> SocketAddr {
    if !bound.ip().is_unspecified() {
        return bound;
    }
    let (far, near): (SocketAddr, IpAddr) = if bound.is_ipv4() {
        (SocketAddr::from(([192, 0, 2, 1], 9)), Ipv4Addr::LOCALHOST.into())
    } else {
        (SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 9)), Ipv6Addr::LOCALHOST.into())
    };
    SocketAddr::new(sip_net::local_towards(far).unwrap_or(near), bound.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, AddressError> {
        parse_target(text).map(|(uri, _)| uri.to_string())
    }

    #[test]
    fn addresses_are_read_as_people_write_them() {
        assert_eq!(read(" carol@example.net "), Ok("sip:carol@example.net".into()));
        assert_eq!(read("sip:bob@[::1]:5070"), Ok("sip:bob@[::1]:5070".into()));
        assert_eq!(read("192.0.2.1:5062"), Ok("sip:192.0.2.1:5062".into()));
        let named = parse_target("\"Bob B\" <sip:bob@x.y>").unwrap();
        assert_eq!(named.1.as_deref(), Some("Bob B"));
    }

    #[test]
    fn what_cannot_be_called_says_why() {
        assert_eq!(read("dave@@example.org"), Err(AddressError::TwoAts));
        for emergency in [
            "112",
            " 1 1 2 ",
            "+112",
            "17",
            "tel:112",
            "tel:1-1-2",
            "sip:911@example.org",
            "sips:911@example.org",
            "112@example.org",
            "1 1 2@example.org",
            "sip:112@example.org;user=phone",
            "sip:1 1 2@example.org;user=phone",
            "\"Help\" <sip:112@example.org>",
            "<tel:112>",
            "<urn:service:sos.police>",
            "sip:112@example.org?Priority=emergency",
            "urn:service:sos",
            "URN:service:sos.police",
        ] {
            assert_eq!(read(emergency), Err(AddressError::Emergency), "{emergency}");
        }
        assert_eq!(read("+49 30 1234567"), Err(AddressError::NeedsAccount));
        assert_eq!(read("bob"), Err(AddressError::Invalid));
        assert_eq!(read("sip:a@b?Replaces=x"), Err(AddressError::Headers));
        assert_eq!(read("  "), Err(AddressError::Empty));
        assert_eq!(read("a b@c"), Err(AddressError::Space));
    }
}
