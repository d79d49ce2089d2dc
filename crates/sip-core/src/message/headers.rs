//! The headers of a message: an ordered list, kept as it came, typed on demand (RFC 3261 §7.3, §20).

use std::time::Duration;

use bytes::{BufMut, BytesMut};

use super::params::split_outside_quotes;
use super::{CSeq, HeaderName, Method, NameAddr, Params, ParseError, Via};

/// One header line.
#[derive(Clone, Debug)]
struct Header {
    /// As it came; compact forms included.
    name: String,
    /// Unfolded and trimmed; lossy where it was not UTF-8.
    text: String,
    /// The bytes, where `text` does not give them back.
    raw: Option<Vec<u8>>,
}

/// Ordered headers. Names are compared without case, compact names are expanded.
#[derive(Clone, Debug, Default)]
pub struct Headers(Vec<Header>);

/// A media type with its parameters, in lower case.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MediaType {
    /// `text`
    pub kind: String,
    /// `plain`
    pub subtype: String,
    /// `charset=...`
    pub params: Params,
}

impl MediaType {
    /// Reads the value of Content-Type or one of Accept.
    pub fn parse(text: &str) -> Option<Self> {
        let (full, params) = text.split_once(';').unwrap_or((text, ""));
        let (kind, subtype) = full.split_once('/')?;
        let lower = |text: &str| text.trim().to_ascii_lowercase();
        let params = Params::parse(params).unwrap_or_default();
        Some(Self { kind: lower(kind), subtype: lower(subtype), params })
    }

    /// Whether it is `kind/subtype`.
    pub fn is(&self, full: &str) -> bool {
        full.split_once('/')
            .is_some_and(|(kind, subtype)| self.kind == kind && self.subtype == subtype)
    }
}

/// The value of Subscription-State (RFC 6665 §8.2.3).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SubscriptionState {
    /// `active`, `pending` or `terminated`.
    pub state: String,
    /// `expires`, `reason`, `retry-after`.
    pub params: Params,
}

impl Headers {
    /// Reads header lines; the second value names the first header that was none. Lines over the limit are a fault too.
    pub(super) fn parse(mut lines: &[u8], limit: usize) -> (Self, Option<HeaderName>) {
        let mut headers = Self::default();
        let mut fault = None;
        while !lines.is_empty() {
            let (line, rest) = next_line(lines);
            lines = rest;
            if line.is_empty() {
                continue;
            }
            if headers.0.len() >= limit {
                return (headers, fault.or(Some(HeaderName("number of headers"))));
            }
            let Some(colon) = line.iter().position(|byte| *byte == b':') else {
                fault = fault.or(Some(HeaderName("header line")));
                continue;
            };
            let name = line[..colon].trim_ascii();
            if name.is_empty() || !name.iter().all(|byte| super::method::is_token_byte(*byte)) {
                fault = fault.or(Some(HeaderName("header name")));
                continue;
            }
            let name = String::from_utf8_lossy(name).into_owned();
            let value = unfold(&line[colon + 1..]);
            let (text, raw) = match String::from_utf8(value) {
                Ok(text) => (text, None),
                Err(error) => {
                    let raw = error.into_bytes();
                    (String::from_utf8_lossy(&raw).into_owned(), Some(raw))
                }
            };
            headers.0.push(Header { name, text, raw });
        }
        (headers, fault)
    }

    /// A singleton that is there twice with different values, or a value that cannot be.
    pub(super) fn fault(&self) -> Option<HeaderName> {
        let lengths = self.get_all("Content-Length").count();
        (lengths > 1).then_some(HeaderName("Content-Length"))
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        for header in &self.0 {
            if is_same_name(&header.name, "Content-Length") {
                continue;
            }
            out.put_slice(header.name.as_bytes());
            out.put_slice(b": ");
            match &header.raw {
                Some(raw) => out.put_slice(raw),
                None => out.put_slice(header.text.as_bytes()),
            }
            out.put_slice(b"\r\n");
        }
    }

    /// The first value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|h| is_same_name(&h.name, name)).map(|h| h.text.as_str())
    }

    /// The value of each line of this name.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |h| is_same_name(&h.name, name)).map(|h| h.text.as_str())
    }

    /// All elements of a list header, over all of its lines.
    pub fn list(&self, name: &str) -> Vec<&str> {
        let lines = self.0.iter().filter(|h| is_same_name(&h.name, name));
        let elements = lines.flat_map(|h| split_outside_quotes(&h.text, ','));
        elements.map(str::trim).filter(|element| !element.is_empty()).collect()
    }

    /// Adds a line at the end. Line ends in the value become spaces.
    pub fn push(&mut self, name: &str, value: impl AsRef<str>) {
        self.0.push(header(name, value.as_ref()));
    }

    /// Adds a line at the front.
    pub fn push_front(&mut self, name: &str, value: impl AsRef<str>) {
        self.0.insert(0, header(name, value.as_ref()));
    }

    /// Replaces all lines of this name by one, at the place of the first.
    pub fn set(&mut self, name: &str, value: impl AsRef<str>) {
        match self.0.iter().position(|h| is_same_name(&h.name, name)) {
            Some(place) => {
                self.0[place] = header(name, value.as_ref());
                let mut at = 0;
                self.0.retain(|h| {
                    at += 1;
                    at - 1 == place || !is_same_name(&h.name, name)
                });
            }
            None => self.push(name, value),
        }
    }

    /// Takes away all lines of this name.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|h| !is_same_name(&h.name, name));
    }

    /// Takes away the first element of Via, and empty ones before it.
    pub(crate) fn pop_via(&mut self) {
        while let Some(place) = self.0.iter().position(|h| is_same_name(&h.name, "Via")) {
            let pieces = split_outside_quotes(&self.0[place].text, ',');
            let first = pieces.iter().position(|piece| !piece.trim().is_empty());
            let rest = first.map(|first| pieces[first + 1..].join(",").trim().to_owned());
            match &rest {
                Some(rest) if !rest.is_empty() => self.0[place] = header("Via", rest),
                _ => {
                    self.0.remove(place);
                }
            }
            if first.is_some() {
                return;
            }
        }
    }

    /// All lines: name as it came and value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|h| (h.name.as_str(), h.text.as_str()))
    }

    /// From.
    pub fn from_header(&self) -> Result<NameAddr, ParseError> {
        NameAddr::parse(self.get("From").ok_or(ParseError::Value("From"))?)
    }

    /// To.
    pub fn to_header(&self) -> Result<NameAddr, ParseError> {
        NameAddr::parse(self.get("To").ok_or(ParseError::Value("To"))?)
    }

    /// All values of Via, top first.
    pub fn vias(&self) -> Result<Vec<Via>, ParseError> {
        self.list("Via").into_iter().map(Via::parse).collect()
    }

    /// The top value of Via.
    pub fn top_via(&self) -> Result<Via, ParseError> {
        Via::parse(self.list("Via").first().ok_or(ParseError::Value("Via"))?)
    }

    /// CSeq.
    pub fn cseq(&self) -> Result<CSeq, ParseError> {
        CSeq::parse(self.get("CSeq").ok_or(ParseError::Value("CSeq"))?)
    }

    /// Call-ID.
    pub fn call_id(&self) -> Option<&str> {
        self.get("Call-ID").filter(|id| !id.is_empty())
    }

    /// All values of Contact; `*` gives none.
    pub fn contacts(&self) -> Result<Vec<NameAddr>, ParseError> {
        let list = self.list("Contact");
        list.into_iter().filter(|contact| *contact != "*").map(NameAddr::parse).collect()
    }

    /// Route.
    pub fn routes(&self) -> Result<Vec<NameAddr>, ParseError> {
        self.list("Route").into_iter().map(NameAddr::parse).collect()
    }

    /// Record-Route.
    pub fn record_routes(&self) -> Result<Vec<NameAddr>, ParseError> {
        self.list("Record-Route").into_iter().map(NameAddr::parse).collect()
    }

    /// Max-Forwards.
    pub fn max_forwards(&self) -> Option<u32> {
        self.get("Max-Forwards")?.parse().ok()
    }

    /// Content-Length, where there is one.
    pub fn content_length(&self) -> Result<Option<usize>, ParseError> {
        let Some(value) = self.get("Content-Length") else { return Ok(None) };
        let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        let length = value.parse().ok().filter(|_| digits);
        length.map(Some).ok_or(ParseError::Value("Content-Length"))
    }

    /// Content-Type.
    pub fn content_type(&self) -> Option<MediaType> {
        MediaType::parse(self.get("Content-Type")?)
    }

    /// Expires; a number too large to be one counts as the largest.
    pub fn expires(&self) -> Option<Duration> {
        seconds(self.get("Expires")?)
    }

    /// Min-Expires.
    pub fn min_expires(&self) -> Option<Duration> {
        seconds(self.get("Min-Expires")?)
    }

    /// Retry-After, without its comment and parameters.
    pub fn retry_after(&self) -> Option<Duration> {
        let value = self.get("Retry-After")?;
        seconds(value.split([' ', ';', '(']).next()?)
    }

    /// Event: package in lower case, and parameters.
    pub fn event(&self) -> Option<(String, Params)> {
        let value = self.get("Event")?;
        let (package, params) = value.split_once(';').unwrap_or((value, ""));
        Some((package.trim().to_ascii_lowercase(), Params::parse(params).ok()?))
    }

    /// Subscription-State.
    pub fn subscription_state(&self) -> Option<SubscriptionState> {
        let value = self.get("Subscription-State")?;
        let (state, params) = value.split_once(';').unwrap_or((value, ""));
        let state = state.trim().to_ascii_lowercase();
        Some(SubscriptionState { state, params: Params::parse(params).ok()? })
    }

    /// Allow; `None` where the header is absent, which says nothing (RFC 3261 §20.5).
    pub fn allow(&self) -> Option<Vec<Method>> {
        self.get("Allow")?;
        Some(self.list("Allow").into_iter().filter_map(Method::parse).collect())
    }

    /// Accept, types in lower case without parameters; `None` where the header is absent.
    pub fn accept(&self) -> Option<Vec<String>> {
        self.get("Accept")?;
        let kind = |value: &str| value.split(';').next().unwrap_or_default().trim().to_lowercase();
        Some(self.list("Accept").into_iter().map(kind).collect())
    }

    /// The option tags of Supported.
    pub fn supported(&self) -> Vec<&str> {
        self.list("Supported")
    }

    /// The option tags of Require.
    pub fn require(&self) -> Vec<&str> {
        self.list("Require")
    }

    /// What the peer calls itself: User-Agent, or Server.
    pub fn user_agent(&self) -> Option<&str> {
        self.get("User-Agent").or_else(|| self.get("Server"))
    }
}

fn header(name: &str, value: &str) -> Header {
    Header { name: name.to_owned(), text: super::one_line(value).trim().to_owned(), raw: None }
}

fn seconds(value: &str) -> Option<Duration> {
    let value = value.trim();
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(Duration::from_secs(u64::from(value.parse().unwrap_or(u32::MAX))))
}

fn is_same_name(one: &str, two: &str) -> bool {
    expand(one).eq_ignore_ascii_case(expand(two))
}

/// Compact names (RFC 3261 §7.3.3 and the RFCs of each).
fn expand(name: &str) -> &str {
    let [byte] = name.as_bytes() else { return name };
    match byte.to_ascii_lowercase() {
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
        _ => name,
    }
}

/// One logical line: continued while the next begins with white space.
fn next_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let mut end = 0;
    loop {
        let newline = bytes[end..].iter().position(|byte| *byte == b'\n').map(|at| end + at);
        let Some(newline) = newline else { return (bytes, &[]) };
        if !matches!(bytes.get(newline + 1), Some(b' ' | b'\t')) {
            let line = &bytes[..newline];
            return (line.strip_suffix(b"\r").unwrap_or(line), &bytes[newline + 1..]);
        }
        end = newline + 1;
    }
}

/// Line end and the white space behind it become one space.
fn unfold(value: &[u8]) -> Vec<u8> {
    let value = value.trim_ascii();
    if !value.contains(&b'\n') {
        return value.to_vec();
    }
    let mut out = Vec::with_capacity(value.len());
    for part in value.split(|byte| *byte == b'\n') {
        let part = part.trim_ascii();
        if !part.is_empty() {
            if !out.is_empty() {
                out.push(b' ');
            }
            out.extend_from_slice(part);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Headers {
        let (headers, fault) = Headers::parse(text.as_bytes(), 64);
        assert_eq!(fault, None);
        headers
    }

    #[test]
    fn compact_names_folding_and_odd_white_space_are_read() {
        let headers = read(
            "v: SIP/2.0/UDP a;branch=1\r\nTO :\r\n sip:vivekg@chair ;\r\n\ttag = 19\r\nm:<sip:x@y>\r\n",
        );
        assert_eq!(headers.top_via().unwrap().branch(), Some("1"));
        assert_eq!(headers.to_header().unwrap().tag(), Some("19"));
        assert_eq!(headers.contacts().unwrap().len(), 1);
    }

    #[test]
    fn lists_go_over_lines_and_a_via_can_be_popped_from_either() {
        let mut headers = read("Via: SIP/2.0/UDP a, SIP/2.0/TCP b\nVia: SIP/2.0/UDP c\n");
        assert_eq!(headers.vias().unwrap().len(), 3);
        headers.pop_via();
        headers.pop_via();
        assert_eq!(headers.top_via().unwrap().host.to_string(), "c");
    }

    #[test]
    fn bytes_that_are_no_utf8_survive() {
        let (headers, _) = Headers::parse(b"Subject: caf\xe9\r\n", 4);
        let mut out = BytesMut::new();
        headers.write(&mut out);
        assert_eq!(&out[..], b"Subject: caf\xe9\r\n");
    }

    #[test]
    fn a_value_cannot_begin_another_header() {
        let mut headers = Headers::default();
        headers.push("Subject", "a\r\nEvil: b");
        let mut out = BytesMut::new();
        headers.write(&mut out);
        assert_eq!(&out[..], b"Subject: a  Evil: b\r\n");
    }

    #[test]
    fn set_keeps_the_place_and_one_line() {
        let mut headers = read("A: 1\nB: 2\nA: 3\n");
        headers.set("A", "4");
        assert_eq!(headers.iter().collect::<Vec<_>>(), [("A", "4"), ("B", "2")]);
    }

    #[test]
    fn a_negative_content_length_is_a_fault() {
        assert!(read("Content-Length: -999\n").content_length().is_err());
        assert!(read("l: +1\n").content_length().is_err());
        assert_eq!(read("l: 5\n").content_length().unwrap(), Some(5));
    }
}
