//! Which addresses ask for an emergency service (RFC 5031, RFC 3966, 3GPP TS 22.101 §10.1). A user agent without a
//! place, a fixed provider and a telephone line must not pretend to make such a call: it is refused before any packet.

use crate::{AnyUri, Uri};

/// Numbers that every telephone takes for emergency calls, wherever they are dialled (3GPP TS 22.101 §10.1), and those
/// of single countries that nobody gives to a desk.
const EVERYWHERE: &[&str] = &["000", "08", "110", "112", "118", "119", "911", "995", "999"];

/// Numbers of single countries that are also extensions in offices: emergency calls where the address says that it is
/// a telephone number (`tel:`, `user=phone`, digits alone), not where it names a user of some host.
const BY_TELEPHONE: &[&str] = &[
    "061", "062", "065", "066", "100", "101", "102", "103", "104", "106", "107", "108", "111",
    "113", "114", "115", "117", "120", "122", "123", "125", "126", "127", "128", "129", "130",
    "131", "132", "133", "140", "144", "15", "150", "155", "158", "160", "166", "17", "18", "180",
    "185", "190", "191", "192", "193", "194", "195", "196", "197", "198", "199", "991", "992",
    "993", "994", "997", "998",
];

/// Whether a SIP address asks for an emergency service: by its number, with or without `+`, escapes, separators and
/// parameters of telephone numbers, or by a service name in its user part.
pub fn is_emergency(uri: &Uri) -> bool {
    let Some(user) = uri.user_unescaped() else { return false };
    let by_telephone = ["phone", "dialstring"]
        .iter()
        .any(|kind| uri.params.value("user").is_some_and(|user| user.eq_ignore_ascii_case(kind)));
    is_service(&user) || is_number(&user, by_telephone)
}

/// The same for an address of any scheme: `tel:112`, `urn:service:sos.police`.
pub fn is_emergency_any(uri: &AnyUri) -> bool {
    match uri {
        AnyUri::Sip(uri) => is_emergency(uri),
        AnyUri::Other(text) => is_emergency_text(text),
    }
}

/// The same for what a person typed without `sip:` and host: digits with separators, a `tel:` or `urn:` URI.
pub fn is_emergency_text(text: &str) -> bool {
    let text = text.trim();
    let rest = text.get(4..).filter(|_| starts_with(text, "tel:"));
    is_service(text) || is_number(rest.unwrap_or(text), true)
}

/// `urn:service:sos`, its sub-services, and their forms of before RFC 5031.
fn is_service(text: &str) -> bool {
    let text = text.trim();
    let names = ["urn:service:sos", "urn:nena:service:sos", "sos"];
    names.iter().any(|name| {
        starts_with(text, name)
            && text[name.len()..]
                .chars()
                .next()
                .is_none_or(|next| !next.is_alphanumeric() && next != '-')
    })
}

fn is_number(text: &str, by_telephone: bool) -> bool {
    let number = text.split(';').next().unwrap_or_default();
    let mut digits = String::new();
    for c in number.chars() {
        match digit(c) {
            Some(digit) => digits.push(digit),
            None if c.is_whitespace() || "+-.()/_\u{a0}".contains(c) => {}
            None => return false,
        }
    }
    EVERYWHERE.contains(&digits.as_str()) || by_telephone && BY_TELEPHONE.contains(&digits.as_str())
}

/// Digits of the keyboards of the world.
fn digit(c: char) -> Option<char> {
    let zero = match u32::from(c) {
        0x30..=0x39 => 0x30,
        0x660..=0x669 => 0x660,
        0x6f0..=0x6f9 => 0x6f0,
        0x966..=0x96f => 0x966,
        0xff10..=0xff19 => 0xff10,
        _ => return None,
    };
    char::from_digit(u32::from(c) - zero, 10)
}

fn starts_with(text: &str, start: &str) -> bool {
    text.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sip(text: &str) -> bool {
        is_emergency(&Uri::parse(text).unwrap())
    }

    #[test]
    fn emergency_numbers_are_known_in_every_form_of_a_sip_address() {
        for text in [
            "sip:112@example.org",
            "sips:911@example.org",
            "sip:112@example.org;user=phone",
            "sip:+112@example.org",
            "sip:1-1-2@example.org;user=phone",
            "sip:%31%31%32@example.org",
            "sip:%EF%BC%91%EF%BC%91%EF%BC%92@example.org",
            "sip:112;phone-context=+49@example.org;user=phone",
            "sip:112:secret@example.org",
            "sip:101@example.org;user=phone",
            "sip:17@example.org;User=Phone",
            "sip:102@example.org;user=dialstring",
            "sip:urn%3Aservice%3Asos.fire@example.org",
            "sip:sos@example.org",
            "sip:sos.police@example.org",
        ] {
            assert!(sip(text), "{text}");
        }
        for text in [
            "sip:example.org",
            "sip:alice112@example.org",
            "sip:1120@example.org",
            "sip:101@example.org",
            "sip:sosa@example.org",
            "sip:sos-team@example.org",
            "sip:alice@112.example.org",
            "sip:+491121234567@example.org;user=phone",
        ] {
            assert!(!sip(text), "{text}");
        }
    }

    #[test]
    fn emergency_services_are_known_by_other_schemes_and_as_people_type_them() {
        for text in [
            "tel:112",
            "TEL:+112",
            "tel:1-1-2;phone-context=+49",
            "tel:17",
            "urn:service:sos",
            "URN:Service:SOS.police",
            "urn:service:sos.animal-control",
            "urn:nena:service:sos",
            "1 1 2",
            " 112 ",
            "(9-1-1)",
            "\u{661}\u{661}\u{662}",
        ] {
            assert!(is_emergency_text(text), "{text}");
            if let Ok(uri) = AnyUri::parse(text) {
                assert!(is_emergency_any(&uri), "{text}");
            }
        }
        for text in
            ["", "tel:", "urn:service:sosial", "urn:service:counseling", "tel:+493011211", "é"]
        {
            assert!(!is_emergency_text(text), "{text}");
        }
    }
}
