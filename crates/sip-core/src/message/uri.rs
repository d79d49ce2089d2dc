//! SIP and SIPS URIs (RFC 3261 §19.1), with IPv6 references (RFC 5118), and any other URI as it came.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use super::params::cut;
use super::{Params, ParseError, Text};

/// `sip` or `sips`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Scheme {
    /// `sip:`
    Sip,
    /// `sips:`
    Sips,
}

/// A host part.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Host {
    /// A name.
    Name(Text),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address; written in brackets.
    V6(Ipv6Addr),
}

impl Host {
    /// The address, where it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Name(_) => None,
            Self::V4(address) => Some((*address).into()),
            Self::V6(address) => Some((*address).into()),
        }
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Name(one), Self::Name(two)) => {
                one.trim_end_matches('.').eq_ignore_ascii_case(two.trim_end_matches('.'))
            }
            _ => self == other,
        }
    }
}

impl From<IpAddr> for Host {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => Self::V6(address),
        }
    }
}

impl FromStr for Host {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        HostPart::parse(text).map(|part| part.own(&Arc::default()))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::V4(address) => address.fmt(f),
            Self::V6(address) => write!(f, "[{address}]"),
        }
    }
}

/// A host within a text.
#[derive(Clone, Copy, Debug)]
pub(super) enum HostPart<'a> {
    Name(&'a str),
    V4(Ipv4Addr),
    V6(Ipv6Addr),
}

impl<'a> HostPart<'a> {
    fn parse(text: &'a str) -> Result<Self, ParseError> {
        let fault = ParseError::Value("host");
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or(fault)?;
            return inner.parse().map(Self::V6).map_err(|_| ParseError::Value("IPv6 address"));
        }
        if text.bytes().all(is_name_byte) { Self::of_name_bytes(text) } else { Err(fault) }
    }

    fn of_name_bytes(text: &'a str) -> Result<Self, ParseError> {
        if text.as_bytes().first().is_some_and(u8::is_ascii_digit)
            && let Ok(address) = text.parse()
        {
            return Ok(Self::V4(address));
        }
        if text.is_empty() || text.len() > 255 {
            return Err(ParseError::Value("host"));
        }
        Ok(Self::Name(text))
    }

    pub(super) fn own(self, whole: &Arc<str>) -> Host {
        match self {
            Self::Name(name) => Host::Name(Text::within(whole, name)),
            Self::V4(address) => Host::V4(address),
            Self::V6(address) => Host::V6(address),
        }
    }
}

/// Host and port of `host`, `host:port`, `[v6]` or `[v6]:port`.
pub(super) fn parse_host_port(text: &str) -> Result<(HostPart<'_>, Option<u16>), ParseError> {
    let (host, rest) = if text.starts_with('[') {
        let end = text.find(']').ok_or(ParseError::Value("IPv6 address"))?;
        (HostPart::parse(&text[..=end])?, &text[end + 1..])
    } else {
        let end = text.bytes().position(|byte| !is_name_byte(byte)).unwrap_or(text.len());
        (HostPart::of_name_bytes(&text[..end])?, &text[end..])
    };
    let port = match rest.trim_ascii_start().strip_prefix(':') {
        Some(port) => {
            let port = port.trim_ascii();
            let digits = port.bytes().all(|byte| byte.is_ascii_digit());
            let number = port.parse().ok().filter(|_| digits);
            Some(number.ok_or(ParseError::Value("port"))?)
        }
        None if rest.trim_ascii_start().is_empty() => None,
        None => return Err(ParseError::Value("host")),
    };
    Ok((host, port))
}

fn is_name_byte(byte: u8) -> bool {
    NAME[usize::from(byte)]
}

/// The bytes of a host name; the underscore is none, and is met.
const NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut at = 0;
    while at < table.len() {
        let byte = at as u8;
        table[at] = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        at += 1;
    }
    table
};

/// A SIP or SIPS URI.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Uri {
    /// `sip` or `sips`.
    pub scheme: Scheme,
    /// User part, escaped as on the wire.
    pub user: Option<Text>,
    /// Password, escaped as on the wire.
    pub password: Option<Text>,
    /// Host.
    pub host: Host,
    /// Port, where given.
    pub port: Option<u16>,
    /// Parameters.
    pub params: Params,
    /// What stands behind `?`, without it.
    pub headers: Text,
}

impl Uri {
    /// `sip:user@host:port`
    pub fn sip(user: Option<&str>, host: Host, port: Option<u16>) -> Self {
        Self {
            scheme: Scheme::Sip,
            user: user.map(|user| escape_user(user).into()),
            password: None,
            host,
            port,
            params: Params::default(),
            headers: Text::default(),
        }
    }

    /// `sip:user@address:port`
    pub fn from_address(user: Option<&str>, address: SocketAddr) -> Self {
        Self::sip(user, address.ip().into(), Some(address.port()))
    }

    /// Reads one, without angle brackets around it.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let whole: Arc<str> = text.into();
        UriPart::parse(&whole).map(|part| part.own(&whole))
    }

    /// The user part with its escapes undone; where they give no UTF-8, as on the wire.
    pub fn user_unescaped(&self) -> Option<String> {
        let user = self.user.as_deref()?;
        Some(String::from_utf8(unescape(user)).unwrap_or_else(|_| user.to_owned()))
    }

    /// The same with another user part.
    pub fn with_user(&self, user: &str) -> Self {
        Self { user: Some(escape_user(user).into()), ..self.clone() }
    }

    /// Without parameters and headers: the address of record's form.
    pub fn bare(&self) -> Self {
        Self { params: Params::default(), headers: Text::default(), password: None, ..self.clone() }
    }

    /// User and host equal; port and parameters are not looked at, because phones drop them.
    pub fn same_address(&self, other: &Self) -> bool {
        same_user(self.user.as_deref(), other.user.as_deref()) && self.host.is_same(&other.host)
    }

    /// Equivalence of RFC 3261 §19.1.4.
    pub fn is_equivalent(&self, other: &Self) -> bool {
        self.scheme == other.scheme
            && same_user(self.user.as_deref(), other.user.as_deref())
            && same_user(self.password.as_deref(), other.password.as_deref())
            && self.host.is_same(&other.host)
            && self.port == other.port
            && same_headers(&self.headers, &other.headers)
            && same_params(&self.params, &other.params)
    }

    /// The transport parameter in lower case.
    pub fn transport(&self) -> Option<String> {
        self.params.value("transport").map(str::to_ascii_lowercase)
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.scheme {
            Scheme::Sip => "sip:",
            Scheme::Sips => "sips:",
        })?;
        if let Some(user) = &self.user {
            f.write_str(user)?;
            if let Some(password) = &self.password {
                write!(f, ":{password}")?;
            }
            f.write_str("@")?;
        }
        self.host.fmt(f)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        self.params.fmt(f)?;
        if !self.headers.is_empty() {
            write!(f, "?{}", self.headers)?;
        }
        Ok(())
    }
}

/// Where the signs stand that divide what is behind the scheme. The user part may hold ; and ? (RFC 4475 §3.1.1.9): the
/// last @ decides.
#[derive(Default)]
struct Marks {
    first_at: Option<usize>,
    last_at: Option<usize>,
    colon: Option<usize>,
    /// The first behind the last @ and before the question mark.
    semicolon: Option<usize>,
    /// The first behind the last @.
    question: Option<usize>,
}

impl Marks {
    /// `None` where there is a byte that no SIP URI has.
    fn find(text: &str) -> Option<Self> {
        let mut marks = Self::default();
        for (place, byte) in text.bytes().enumerate() {
            if !MARKS[usize::from(byte)] {
                continue;
            }
            match byte {
                b'@' => {
                    marks.first_at.get_or_insert(place);
                    marks.last_at = Some(place);
                    (marks.semicolon, marks.question) = (None, None);
                }
                b':' => marks.colon = marks.colon.or(Some(place)),
                b';' if marks.question.is_none() => {
                    marks.semicolon = marks.semicolon.or(Some(place));
                }
                b';' => {}
                b'?' => marks.question = marks.question.or(Some(place)),
                _ => return None,
            }
        }
        Some(marks)
    }

    /// Where the user part ends, where there is one: at its password or at the @.
    fn user_end(&self) -> Option<usize> {
        let at = self.last_at?;
        Some(self.colon.filter(|colon| *colon < at).unwrap_or(at))
    }
}

const MARKS: [bool; 256] = {
    let mut table = [false; 256];
    let mut at = 0;
    while at < table.len() {
        let byte = at as u8;
        table[at] = matches!(byte, 0..=b' ' | 0x7f | b'<' | b'>' | b'"')
            || matches!(byte, b'@' | b':' | b';' | b'?');
        at += 1;
    }
    table
};

/// Scheme and rest of a text that begins with one of SIP's.
fn split_scheme(text: &str) -> Option<(Scheme, &str)> {
    let bytes = text.as_bytes();
    let colon = bytes.iter().take(5).position(|byte| *byte == b':')?;
    let scheme = match colon {
        3 if bytes[..3].eq_ignore_ascii_case(b"sip") => Scheme::Sip,
        4 if bytes[..4].eq_ignore_ascii_case(b"sips") => Scheme::Sips,
        _ => return None,
    };
    Some((scheme, &text[colon + 1..]))
}

/// A SIP or SIPS URI within a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct UriPart<'a> {
    scheme: Scheme,
    user: Option<&'a str>,
    password: Option<&'a str>,
    host: HostPart<'a>,
    port: Option<u16>,
    params: &'a str,
    headers: &'a str,
}

impl<'a> UriPart<'a> {
    fn parse(text: &'a str) -> Result<Self, ParseError> {
        let (scheme, rest) = split_scheme(text).ok_or_else(|| match cut(text, b':') {
            (_, Some(_)) => ParseError::Value("SIP scheme"),
            (_, None) => ParseError::Value("SIP URI"),
        })?;
        Self::parse_rest(scheme, rest)
    }

    fn parse_rest(scheme: Scheme, rest: &'a str) -> Result<Self, ParseError> {
        let marks = Marks::find(rest).ok_or(ParseError::Value("SIP URI"))?;
        let (user, password) = match marks.user_end() {
            Some(end) if end == 0 || marks.first_at.is_some_and(|at| at < end) => {
                return Err(ParseError::Value("user part"));
            }
            Some(end) => (Some(&rest[..end]), marks.last_at.and_then(|at| rest.get(end + 1..at))),
            None => (None, None),
        };
        let (rest, headers) = match marks.question {
            Some(at) => (&rest[..at], &rest[at + 1..]),
            None => (rest, ""),
        };
        let (rest, params) = match marks.semicolon {
            Some(at) => (&rest[..at], &rest[at + 1..]),
            None => (rest, ""),
        };
        let address = marks.last_at.map_or(rest, |at| &rest[at + 1..]);
        let (host, port) = parse_host_port(address)?;
        Params::check(params)?;
        Ok(Self { scheme, user, password, host, port, params, headers })
    }

    fn own(self, whole: &Arc<str>) -> Uri {
        let text = |part| Text::within(whole, part);
        Uri {
            scheme: self.scheme,
            user: self.user.map(text),
            password: self.password.map(text),
            host: self.host.own(whole),
            port: self.port,
            params: Params::within(whole, self.params),
            headers: if self.headers.is_empty() { Text::default() } else { text(self.headers) },
        }
    }
}

/// Any URI within a text.
#[derive(Clone, Copy, Debug)]
pub(super) enum AnyUriPart<'a> {
    Other(&'a str),
    Sip(UriPart<'a>),
}

impl<'a> AnyUriPart<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, ParseError> {
        if let Some((scheme, rest)) = split_scheme(text) {
            return UriPart::parse_rest(scheme, rest).map(Self::Sip);
        }
        let (scheme, rest) = text.split_once(':').ok_or(ParseError::Value("URI"))?;
        let scheme_good = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
        let rest_good = !rest.is_empty() && rest.bytes().all(|b| b > b' ' && !b"<>\"".contains(&b));
        if scheme_good && rest_good { Ok(Self::Other(text)) } else { Err(ParseError::Value("URI")) }
    }

    pub(super) fn own(self, whole: &Arc<str>) -> AnyUri {
        match self {
            Self::Other(text) => AnyUri::Other(Text::within(whole, text)),
            Self::Sip(uri) => AnyUri::Sip(uri.own(whole)),
        }
    }
}

/// Any URI: one of SIP, or another as it came (`tel:`, `urn:`, unknown schemes).
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum AnyUri {
    /// A scheme that is none of SIP's.
    Other(Text),
    /// SIP or SIPS.
    Sip(Uri),
}

impl AnyUri {
    /// Reads one; a scheme of SIP with a fault behind it is an error, not another scheme.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let whole: Arc<str> = text.into();
        AnyUriPart::parse(&whole).map(|part| part.own(&whole))
    }

    /// The SIP URI, where it is one.
    pub fn as_sip(&self) -> Option<&Uri> {
        match self {
            Self::Other(_) => None,
            Self::Sip(uri) => Some(uri),
        }
    }
}

impl From<Uri> for AnyUri {
    fn from(uri: Uri) -> Self {
        Self::Sip(uri)
    }
}

impl fmt::Display for AnyUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(text) => f.write_str(text),
            Self::Sip(uri) => uri.fmt(f),
        }
    }
}

fn same_user(one: Option<&str>, two: Option<&str>) -> bool {
    match (one, two) {
        (Some(one), Some(two)) => one == two || unescape(one) == unescape(two),
        (one, two) => one == two,
    }
}

/// Those in both must match, and those that decide where or how to send must be in both.
fn same_params(one: &Params, two: &Params) -> bool {
    // Of one that stands twice the first counts, as everywhere. Looked up in a map: there may be thousands.
    fn firsts(params: &Params) -> BTreeMap<String, Option<&str>> {
        let mut firsts = BTreeMap::new();
        for (name, value) in params.iter() {
            firsts.entry(name.to_ascii_lowercase()).or_insert(value);
        }
        firsts
    }
    if one == two {
        return true;
    }
    let significant = |name| matches!(name, "user" | "ttl" | "method" | "maddr" | "transport");
    let (ours, theirs) = (firsts(one), firsts(two));
    let ours_match = ours.iter().all(|(name, value)| match (theirs.get(name), value) {
        (Some(Some(two)), Some(one)) => one.eq_ignore_ascii_case(two),
        (Some(two), one) => one == two,
        (None, _) => !significant(name.as_str()),
    });
    ours_match && theirs.keys().all(|name| ours.contains_key(name) || !significant(name.as_str()))
}

/// In any order; names in any case, values to the letter.
fn same_headers(one: &str, two: &str) -> bool {
    fn sorted(headers: &str) -> Vec<(String, Vec<u8>)> {
        let parts = headers.split('&').filter(|part| !part.is_empty());
        let mut parts: Vec<(String, Vec<u8>)> = parts
            .map(|part| {
                let (name, value) = part.split_once('=').unwrap_or((part, ""));
                let name = String::from_utf8_lossy(&unescape(name)).to_ascii_lowercase();
                (name, unescape(value))
            })
            .collect();
        parts.sort_unstable();
        parts
    }
    one == two || sorted(one) == sorted(two)
}

pub(crate) fn unescape(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = |place: usize| bytes.get(place).and_then(|b| char::from(*b).to_digit(16));
        match (bytes[at], hex(at + 1), hex(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, _, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

fn escape_user(user: &str) -> String {
    let mut out = String::with_capacity(user.len());
    for byte in user.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_hosts_are_read_and_written_in_brackets() {
        let uri = Uri::parse("sip:bob@[2001:db8::1]:5070;transport=tcp").unwrap();
        assert_eq!(uri.host.ip(), Some("2001:db8::1".parse().unwrap()));
        assert_eq!(uri.port, Some(5070));
        assert_eq!(uri.to_string(), "sip:bob@[2001:db8::1]:5070;transport=tcp");
        assert!(Uri::parse("sip:bob@2001:db8::1").is_err());
        assert!(Uri::parse("sip:bob@[2001:db8::1").is_err());
    }

    #[test]
    fn a_user_part_may_hold_semicolons_and_escapes() {
        let uri = Uri::parse("sip:user;par=u%40example.net@example.com").unwrap();
        assert_eq!(uri.user_unescaped().unwrap(), "user;par=u@example.net");
        let odd = "sip:sips%3Auser%40example.com@example.net";
        assert_eq!(Uri::parse(odd).unwrap().to_string(), odd);
        assert!(Uri::parse("sip:a@b@c").is_err());
    }

    #[test]
    fn equivalence_follows_the_rules_of_rfc_3261() {
        let same = |a, b| Uri::parse(a).unwrap().is_equivalent(&Uri::parse(b).unwrap());
        assert!(same(
            "sip:%61lice@atlanta.com;transport=TCP",
            "sip:alice@AtLanTa.CoM;Transport=tcp"
        ));
        assert!(same("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"));
        assert!(!same("sip:alice@atlanta.com", "sip:ALICE@atlanta.com"));
        assert!(!same("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"));
        assert!(!same("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"));
        assert!(!same("sip:bob@biloxi.com;transport=udp", "sip:bob@biloxi.com"));
    }

    #[test]
    fn of_a_parameter_that_stands_twice_the_first_counts() {
        let same = |a, b| Uri::parse(a).unwrap().is_equivalent(&Uri::parse(b).unwrap());
        assert!(same("sip:a;b=1;b=2", "sip:a;b=1;b=2"));
        assert!(same("sip:a;B=1;b=2", "sip:a;c;b=1"));
        assert!(!same("sip:a;b=1;b=2", "sip:a;b=2;b=1"));
        assert!(!same("sip:a;b=1", "sip:a;b"));
    }

    #[test]
    fn other_schemes_survive_and_faults_do_not_become_other_schemes() {
        assert_eq!(AnyUri::parse("tel:+15551234567").unwrap().to_string(), "tel:+15551234567");
        assert!(AnyUri::parse("sip:a b@c").is_err());
        assert!(AnyUri::parse("nothing").is_err());
    }
}
