//! Where a link leads, and what about its host deceives the eye (UTS 39).

use std::net::{IpAddr, Ipv4Addr};

use unicode_security::{MixedScript, RestrictionLevel, RestrictionLevelDetection};

use super::punycode;

/// The host of a link.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Host {
    /// In letters, as people read it.
    pub shown: String,
    /// As the DNS knows it.
    pub ascii: String,
    /// What deserves a warning.
    pub doubts: Vec<Doubt>,
}

/// What deceives.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Doubt {
    /// An address written as a number, so that it does not look like one.
    DisguisedAddress(IpAddr),
    /// Characters that do not show stand in the link.
    HiddenCharacters,
    /// A name in other letters looks like this one.
    LooksLike(String),
    /// Letters of scripts that are not written together.
    MixedScripts,
    /// Something stands before an @: it is not where the link leads.
    UserPart(String),
}

/// The host of an http or https URL.
pub fn host_of(url: &str) -> Host {
    let rest = url.find("://").map_or(url, |at| &url[at + 3..]);
    // Browsers take a backslash for a slash.
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let (user, place) = match authority.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, authority),
    };
    let name = match place.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        Some((_, behind)) => &place[..place.len() - behind.len()],
        None => place.split(':').next().unwrap_or_default(),
    };
    let shown: Vec<String> = name.split('.').map(letters).collect();
    let ascii: Vec<String> = shown.iter().map(|label| coded(label)).collect();
    let mut doubts = Vec::new();
    doubts.extend(user.map(|user| Doubt::UserPart(user.to_owned())));
    doubts.extend(disguised(name).map(Doubt::DisguisedAddress));
    if !super::hidden(url).is_empty() {
        doubts.push(Doubt::HiddenCharacters);
    }
    if let Some(like) = look_alike(&shown) {
        doubts.push(Doubt::LooksLike(like));
    }
    if shown.iter().any(|label| is_mixed(label)) {
        doubts.push(Doubt::MixedScripts);
    }
    Host { shown: shown.join("."), ascii: ascii.join("."), doubts }
}

/// A label in letters; one that cannot be read stays as it is.
fn letters(label: &str) -> String {
    let lower = label.to_lowercase();
    let coded = lower.strip_prefix("xn--");
    coded.and_then(punycode::decode).filter(|read| !read.is_empty()).unwrap_or(lower)
}

fn coded(label: &str) -> String {
    let code = || punycode::encode(label);
    if label.is_ascii() { label.to_owned() } else { code().unwrap_or_else(|| label.to_owned()) }
}

/// The ASCII name that a name with other letters looks like.
fn look_alike(labels: &[String]) -> Option<String> {
    let mut deceives = false;
    let like = labels.iter().map(|label| {
        let like: String = label.chars().map(similar).collect();
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if !label.is_ascii() && !like.is_empty() && like.chars().all(is_name) {
            deceives = true;
            like.to_ascii_lowercase()
        } else {
            label.clone()
        }
    });
    let like: Vec<String> = like.collect();
    deceives.then(|| like.join("."))
}

/// What a character looks like: the one of ASCII, where there is one.
fn similar(c: char) -> String {
    if c.is_ascii() {
        return c.to_string();
    }
    let mut buffer = [0; 4];
    unicode_security::skeleton(c.encode_utf8(&mut buffer)).collect()
}

/// Above "Highly Restrictive" of UTS 39 §5.2: Latin with Chinese, Japanese or Korean is written together, others are not.
fn is_mixed(label: &str) -> bool {
    !label.is_ascii()
        && !label.is_single_script()
        && label.detect_restriction_level() > RestrictionLevel::HighlyRestrictive
}

/// An IPv4 address as browsers read it from one to four numbers, decimal, octal or hexadecimal, where it is not written
/// in the usual way.
fn disguised(name: &str) -> Option<IpAddr> {
    if name.parse::<Ipv4Addr>().is_ok() || name.starts_with('[') {
        return None;
    }
    let parts: Vec<&str> = name.strip_suffix('.').unwrap_or(name).split('.').collect();
    let (last, first) = parts.split_last()?;
    if first.len() > 3 {
        return None;
    }
    let mut value = number(last)?;
    if value >= 1 << (8 * (4 - first.len())) {
        return None;
    }
    for (place, part) in first.iter().enumerate() {
        let part = number(part).filter(|part| *part < 256)?;
        value += part << (8 * (3 - place));
    }
    let bits = u32::try_from(value).ok()?;
    Some(IpAddr::V4(Ipv4Addr::from_bits(bits)))
}

fn number(part: &str) -> Option<u64> {
    let lower = part.to_ascii_lowercase();
    let is_number = |digits: &str, radix: u32| digits.chars().all(|c| c.is_digit(radix));
    let (digits, radix) = match lower.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None if lower.len() > 1 && lower.starts_with('0') => (&lower[1..], 8),
        None => (lower.as_str(), 10),
    };
    (!part.is_empty() && is_number(digits, radix))
        .then(|| if digits.is_empty() { Some(0) } else { u64::from_str_radix(digits, radix).ok() })
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn look_alike_hosts_are_told_with_what_they_look_like() {
        for url in ["https://\u{430}pple.com/", "https://xn--pple-43d.com/"] {
            let host = host_of(url);
            assert_eq!(
                (host.shown.as_str(), host.ascii.as_str()),
                ("\u{430}pple.com", "xn--pple-43d.com")
            );
            assert!(host.doubts.contains(&Doubt::LooksLike("apple.com".into())), "{host:?}");
            assert!(host.doubts.contains(&Doubt::MixedScripts), "{host:?}");
        }
        let whole = host_of("https://\u{440}\u{430}\u{443}\u{440}\u{430}\u{4cf}.com");
        assert_eq!(whole.doubts, [Doubt::LooksLike("paypal.com".into())]);
    }

    #[test]
    fn honest_names_of_other_scripts_raise_no_doubt() {
        for url in [
            "https://example.org/",
            "https://пример.рф/путь",
            "https://bücher.example",
            "https://xn--bcher-kva.example",
            "https://日本語.jp",
            "https://例えtest.jp",
            "https://παράδειγμα.gr",
            "https://[2001:db8::1]:8080/x",
            "https://192.0.2.7/",
            "https://العربية.example",
        ] {
            assert_eq!(host_of(url).doubts, [], "{url}");
        }
    }

    #[test]
    fn what_stands_before_an_at_and_numbers_that_are_addresses_are_doubted() {
        let bank = host_of("https://bank.example@evil.example/login");
        assert_eq!(bank.shown, "evil.example");
        assert_eq!(bank.doubts, [Doubt::UserPart("bank.example".into())]);
        for url in
            ["http://3221225991", "http://0xC0000207/", "http://0300.0.2.7", "http://192.0.519"]
        {
            let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
            assert_eq!(host_of(url).doubts, [Doubt::DisguisedAddress(address)], "{url}");
        }
        assert_eq!(host_of("http://a.example/\u{202e}gpj").doubts, [Doubt::HiddenCharacters]);
    }
}
