//! The headers of a message: an ordered list, kept as it came, typed on demand (RFC 3261 §7.3, §20).

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use memchr::memchr;

use super::method::is_token_byte;
use super::name_addr::NameAddrPart;
use super::names::Known;
use super::params::pieces;
use super::via::ViaPart;
use super::{CSeq, HeaderName, MAX_VIAS, Method, NameAddr, Params, ParseError, Text, Via};

/// One header line.
#[derive(Clone, Debug)]
struct Header {
    /// What it is, where its name is one of the known.
    known: Option<Known>,
    place: Place,
}

/// Where name and value stand.
#[derive(Clone, Debug)]
enum Place {
    /// In the bytes that were read, each from and to.
    Read { name: (u32, u32), value: (u32, u32) },
    /// In memory of their own: written by us, or read and not usable as it stood.
    Own(Box<Own>),
    /// Written by us under the RFC's own name.
    Value(Text),
}

/// A line that was folded, had bytes that are no UTF-8, or has a name of its own.
#[derive(Clone, Debug)]
struct Own {
    /// As it came; compact forms included.
    name: Text,
    /// Unfolded and trimmed; lossy where it was not UTF-8.
    value: Text,
    /// The bytes, where `value` does not give them back.
    raw: Option<Vec<u8>>,
}

/// Ordered headers. Names are compared without case, compact names are expanded.
///
/// What was read stays one piece of memory; a line is two ranges of it. Clones share it, and so do the typed values.
#[derive(Clone, Debug, Default)]
pub struct Headers {
    head: Arc<str>,
    lines: Vec<Header>,
}

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
        let lower = |text: &str| text.trim_ascii().to_ascii_lowercase();
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
    /// Reads the header lines that begin at `from` of a head; the second value names the first header that was none.
    /// Lines over the limit are a fault too.
    pub(super) fn parse(head: &[u8], from: usize, limit: usize) -> (Self, Option<HeaderName>) {
        let whole: Arc<str> = std::str::from_utf8(head).unwrap_or_default().into();
        let is_text = whole.len() == head.len();
        let lines = Vec::with_capacity(if head.len() > from { 16 } else { 0 });
        let mut headers = Self { head: whole, lines };
        let mut fault = None;
        let mut rest = head.get(from..).unwrap_or_default();
        while !rest.is_empty() {
            let (line, next) = next_line(rest);
            let start = head.len() - rest.len();
            rest = next;
            if line.is_empty() {
                continue;
            }
            if headers.lines.len() >= limit {
                return (headers, fault.or(Some(HeaderName("number of headers"))));
            }
            if let Err(name) = read_line(line, start, is_text, &mut headers.lines) {
                fault = fault.or(Some(HeaderName(name)));
            }
        }
        (headers, fault)
    }

    /// The text that what was read is a part of; empty where that was no UTF-8.
    pub(super) fn head(&self) -> &Arc<str> {
        &self.head
    }

    /// A header that is there twice and must not be (RFC 4475 §3.3.8, §3.3.9).
    pub(super) fn doubled(&self) -> Option<HeaderName> {
        const SINGLE: [Known; 6] = [
            Known::CONTENT_LENGTH,
            Known::FROM,
            Known::TO,
            Known::CALL_ID,
            Known::CSEQ,
            Known::MAX_FORWARDS,
        ];
        let (mut seen, mut twice) = (0_u64, 0_u64);
        for known in self.lines.iter().filter_map(|line| line.known) {
            twice |= seen & known.bit();
            seen |= known.bit();
        }
        let doubled = SINGLE.iter().find(|known| twice & known.bit() != 0)?;
        Some(HeaderName(doubled.name()))
    }

    /// Takes away Content-Length, which is written from the body.
    pub(super) fn remove_length(&mut self) {
        self.lines.retain(|line| line.known != Some(Known::CONTENT_LENGTH));
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        for line in &self.lines {
            if line.known == Some(Known::CONTENT_LENGTH) {
                continue;
            }
            out.put_slice(self.name_of(line).as_bytes());
            out.put_slice(b": ");
            match &line.place {
                Place::Own(own) => match &own.raw {
                    Some(raw) => out.put_slice(raw),
                    None => out.put_slice(own.value.as_bytes()),
                },
                Place::Read { .. } | Place::Value(_) => {
                    out.put_slice(self.value_of(line).as_bytes());
                }
            }
            out.put_slice(b"\r\n");
        }
    }

    /// About how many bytes [`Headers::write`] will write.
    pub(super) fn size(&self) -> usize {
        self.lines.iter().map(|line| self.value_of(line).len() + 24).sum()
    }

    /// The first value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.find(name).map(|line| self.value_of(line))
    }

    /// The value of each line of this name.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.all(name).map(|line| self.value_of(line))
    }

    /// All elements of a list header, over all of its lines.
    pub fn list(&self, name: &str) -> Vec<&str> {
        self.split(self.all(name)).map(|(_, element)| element).collect()
    }

    /// Adds a line at the end. Line ends in the value become spaces.
    pub fn push(&mut self, name: &str, value: impl AsRef<str>) {
        self.lines.push(header(name, value.as_ref()));
    }

    /// Adds a line at the front.
    pub fn push_front(&mut self, name: &str, value: impl AsRef<str>) {
        self.lines.insert(0, header(name, value.as_ref()));
    }

    /// Adds the lines of this name that another message has, without copying them.
    pub(super) fn push_from(&mut self, other: &Self, name: &str) {
        for line in other.all(name) {
            let place = match &line.place {
                Place::Read { name, value }
                    if line.known.is_some_and(|known| known.name() == other.slice(*name)) =>
                {
                    Place::Value(Text::within(&other.head, other.slice(*value)))
                }
                Place::Read { name, value } => Place::Own(Box::new(Own {
                    name: Text::within(&other.head, other.slice(*name)),
                    value: Text::within(&other.head, other.slice(*value)),
                    raw: None,
                })),
                Place::Own(own) => Place::Own(own.clone()),
                Place::Value(value) => Place::Value(value.clone()),
            };
            self.lines.push(Header { known: line.known, place });
        }
    }

    /// Replaces all lines of this name by one, at the place of the first.
    pub fn set(&mut self, name: &str, value: impl AsRef<str>) {
        let wanted = Known::find(name);
        match self.lines.iter().position(|line| self.is_named(line, wanted, name)) {
            Some(place) => {
                self.lines[place] = header(name, value.as_ref());
                self.retain(|at, is_named| at == place || !is_named, name);
            }
            None => self.push(name, value),
        }
    }

    /// Takes away all lines of this name.
    pub fn remove(&mut self, name: &str) {
        self.retain(|_, is_named| !is_named, name);
    }

    /// Takes away the first element of Via, and empty ones before it.
    pub(crate) fn pop_via(&mut self) {
        let is_via = |line: &Header| line.known == Some(Known::VIA);
        while let Some(place) = self.lines.iter().position(is_via) {
            let (found, rest) = behind_first(self.value_of(&self.lines[place]));
            match rest.map(|rest| header("Via", rest)) {
                Some(rest) => self.lines[place] = rest,
                None => {
                    self.lines.remove(place);
                }
            }
            if found {
                return;
            }
        }
    }

    /// All lines: name as it came and value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.lines.iter().map(|line| (self.name_of(line), self.value_of(line)))
    }

    fn retain(&mut self, keep: impl Fn(usize, bool) -> bool, name: &str) {
        let wanted = Known::find(name);
        let mut at = 0;
        let head = Arc::clone(&self.head);
        self.lines.retain(|line| {
            at += 1;
            keep(at - 1, is_named(&head, line, wanted, name))
        });
    }

    fn known(&self, known: Known) -> Option<&str> {
        let line = self.lines.iter().find(|line| line.known == Some(known))?;
        Some(self.value_of(line))
    }

    fn find(&self, name: &str) -> Option<&Header> {
        let wanted = Known::find(name);
        self.lines.iter().find(|line| self.is_named(line, wanted, name))
    }

    fn all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a Header> + use<'a, 'n> {
        let wanted = Known::find(name);
        self.lines.iter().filter(move |line| self.is_named(line, wanted, name))
    }

    fn is_named(&self, line: &Header, wanted: Option<Known>, name: &str) -> bool {
        is_named(&self.head, line, wanted, name)
    }

    fn name_of<'a>(&'a self, line: &'a Header) -> &'a str {
        name_of(&self.head, line)
    }

    fn value_of<'a>(&'a self, line: &'a Header) -> &'a str {
        match &line.place {
            Place::Read { value, .. } => self.slice(*value),
            Place::Own(own) => &own.value,
            Place::Value(value) => value,
        }
    }

    fn slice(&self, range: (u32, u32)) -> &str {
        slice(&self.head, range)
    }

    /// What a value is a part of: its typed form shares it.
    fn whole<'a>(&'a self, line: &'a Header) -> &'a Arc<str> {
        match &line.place {
            Place::Read { .. } => &self.head,
            Place::Own(own) => own.value.whole(),
            Place::Value(value) => value.whole(),
        }
    }

    /// The elements of the list that these lines are.
    fn split<'a>(
        &'a self,
        lines: impl Iterator<Item = &'a Header>,
    ) -> impl Iterator<Item = (&'a Header, &'a str)> {
        let elements = lines.flat_map(|line| {
            pieces(self.value_of(line), b',').map(move |element| (line, element.trim_ascii()))
        });
        elements.filter(|(_, element)| !element.is_empty())
    }

    fn elements(&self, known: Known) -> impl Iterator<Item = (&Header, &str)> {
        self.split(self.lines.iter().filter(move |line| line.known == Some(known)))
    }

    fn address(&self, known: Known) -> Result<NameAddr, ParseError> {
        let line = self.lines.iter().find(|line| line.known == Some(known));
        let line = line.ok_or(ParseError::Value(known.name()))?;
        NameAddr::within(self.whole(line), self.value_of(line))
    }

    fn addresses(&self, known: Known) -> Result<Vec<NameAddr>, ParseError> {
        let list = self.elements(known).filter(|(_, element)| *element != "*");
        list.map(|(line, element)| NameAddr::within(self.whole(line), element)).collect()
    }

    /// The first of From, To, Call-ID, Via, CSeq, Contact, Record-Route and Max-Forwards that is needed and missing, or
    /// cannot be read. `method`: the request's, which CSeq must have too.
    pub(super) fn unreadable(&self, method: Option<&Method>) -> Option<HeaderName> {
        let is_address = |known| self.known(known).is_some_and(|v| NameAddrPart::parse(v).is_ok());
        let are_addresses = |known| {
            let mut list = self.elements(known).filter(|(_, element)| *element != "*");
            list.all(|(_, element)| NameAddrPart::parse(element).is_ok())
        };
        let is_cseq = |seq: CSeq| method.is_none_or(|method| *method == seq.method);
        let fault = match () {
            () if !is_address(Known::FROM) => Known::FROM,
            () if !is_address(Known::TO) => Known::TO,
            () if self.call_id().is_none() => Known::CALL_ID,
            () if !self.has_vias() => Known::VIA,
            () if !self.cseq().is_ok_and(is_cseq) => Known::CSEQ,
            () if !are_addresses(Known::CONTACT) => Known::CONTACT,
            // A route set that cannot be read is not an empty one: requests would go past the proxies that asked for
            // them.
            () if !are_addresses(Known::RECORD_ROUTE) => Known::RECORD_ROUTE,
            () if self.known(Known::MAX_FORWARDS).is_some_and(|v| v.parse::<u32>().is_err()) => {
                Known::MAX_FORWARDS
            }
            () => return None,
        };
        Some(HeaderName(fault.name()))
    }

    /// Whether each of at most [`MAX_VIAS`] values of Via can be read, and there is one.
    fn has_vias(&self) -> bool {
        let mut count = 0;
        let good = self.elements(Known::VIA).all(|(_, element)| {
            count += 1;
            count <= MAX_VIAS && ViaPart::parse(element).is_ok()
        });
        good && count > 0
    }

    /// From.
    pub fn from_header(&self) -> Result<NameAddr, ParseError> {
        self.address(Known::FROM)
    }

    /// To.
    pub fn to_header(&self) -> Result<NameAddr, ParseError> {
        self.address(Known::TO)
    }

    /// The tag of To, where it has one.
    pub fn to_tag(&self) -> Option<&str> {
        NameAddrPart::parse(self.known(Known::TO)?).ok()?.tag()
    }

    /// The tag of From, where it has one.
    pub fn from_tag(&self) -> Option<&str> {
        NameAddrPart::parse(self.known(Known::FROM)?).ok()?.tag()
    }

    /// How many values Via has.
    pub fn via_count(&self) -> usize {
        self.elements(Known::VIA).count()
    }

    /// All values of Via, top first.
    pub fn vias(&self) -> Result<Vec<Via>, ParseError> {
        self.elements(Known::VIA).map(|(line, one)| Via::within(self.whole(line), one)).collect()
    }

    /// The top value of Via.
    pub fn top_via(&self) -> Result<Via, ParseError> {
        let (line, first) = self.elements(Known::VIA).next().ok_or(ParseError::Value("Via"))?;
        Via::within(self.whole(line), first)
    }

    /// CSeq.
    pub fn cseq(&self) -> Result<CSeq, ParseError> {
        CSeq::parse(self.known(Known::CSEQ).ok_or(ParseError::Value("CSeq"))?)
    }

    /// Call-ID.
    pub fn call_id(&self) -> Option<&str> {
        self.known(Known::CALL_ID).filter(|id| !id.is_empty())
    }

    /// All values of Contact; `*` gives none.
    pub fn contacts(&self) -> Result<Vec<NameAddr>, ParseError> {
        self.addresses(Known::CONTACT)
    }

    /// Route.
    pub fn routes(&self) -> Result<Vec<NameAddr>, ParseError> {
        self.addresses(Known::ROUTE)
    }

    /// Record-Route.
    pub fn record_routes(&self) -> Result<Vec<NameAddr>, ParseError> {
        self.addresses(Known::RECORD_ROUTE)
    }

    /// Max-Forwards.
    pub fn max_forwards(&self) -> Option<u32> {
        self.known(Known::MAX_FORWARDS)?.parse().ok()
    }

    /// Content-Length, where there is one.
    pub fn content_length(&self) -> Result<Option<usize>, ParseError> {
        self.known(Known::CONTENT_LENGTH).map(length).transpose()
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
        Some((package.trim_ascii().to_ascii_lowercase(), Params::parse(params).ok()?))
    }

    /// Subscription-State.
    pub fn subscription_state(&self) -> Option<SubscriptionState> {
        let value = self.get("Subscription-State")?;
        let (state, params) = value.split_once(';').unwrap_or((value, ""));
        let state = state.trim_ascii().to_ascii_lowercase();
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
        let kind =
            |value: &str| value.split(';').next().unwrap_or_default().trim_ascii().to_lowercase();
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
    let known = Known::find(name);
    let value = one_line(value.trim_ascii());
    let value = value.trim_ascii();
    let place = match known {
        Some(known) if known.name() == name => Place::Value(value.into()),
        Some(_) | None => {
            Place::Own(Box::new(Own { name: name.into(), value: value.into(), raw: None }))
        }
    };
    Header { known, place }
}

/// The value without what would begin another line; mostly as it is.
fn one_line(text: &str) -> Cow<'_, str> {
    match text.contains(['\r', '\n', '\0']) {
        true => Cow::Owned(super::one_line(text)),
        false => Cow::Borrowed(text),
    }
}

/// Whether a list has an element, and what stands behind the first.
fn behind_first(list: &str) -> (bool, Option<&str>) {
    let mut elements = pieces(list, b',');
    let found = elements.by_ref().any(|piece| !piece.trim_ascii().is_empty());
    let rest = elements.next().map(|next| {
        let start = next.as_ptr() as usize - list.as_ptr() as usize;
        list[start..].trim_ascii()
    });
    (found, rest.filter(|rest| found && !rest.is_empty()))
}

/// Adds a line that begins at `start` of a head; the error says what is wrong with it.
fn read_line(
    line: &[u8],
    start: usize,
    is_text: bool,
    lines: &mut Vec<Header>,
) -> Result<(), &'static str> {
    let end = line.iter().position(|byte| !is_token_byte(*byte)).unwrap_or(line.len());
    let colon = match line.get(end) {
        Some(b':') => end,
        _ => memchr(b':', line).ok_or("header line")?,
    };
    let name = line[..colon].trim_ascii();
    if name.is_empty() || (end < colon && !name.iter().all(|byte| is_token_byte(*byte))) {
        return Err("header name");
    }
    let value = line[colon + 1..].trim_ascii();
    let known = Known::read(name);
    let folded = memchr(b'\n', value).is_some();
    let at = |part: &[u8]| {
        let from = start + part.as_ptr() as usize - line.as_ptr() as usize;
        Some((u32::try_from(from).ok()?, u32::try_from(from + part.len()).ok()?))
    };
    if let (true, false, Some(name), Some(value)) = (is_text, folded, at(name), at(value)) {
        lines.push(Header { known, place: Place::Read { name, value } });
        return Ok(());
    }
    let value = if folded { unfold(value) } else { value.to_vec() };
    let (value, raw) = match String::from_utf8(value) {
        Ok(value) => (value, None),
        Err(error) => {
            let raw = error.into_bytes();
            (String::from_utf8_lossy(&raw).into_owned(), Some(raw))
        }
    };
    let name = std::str::from_utf8(name).unwrap_or_default();
    let own = Own { name: name.into(), value: value.into(), raw };
    lines.push(Header { known, place: Place::Own(Box::new(own)) });
    Ok(())
}

fn slice(head: &str, range: (u32, u32)) -> &str {
    head.get(range.0 as usize..range.1 as usize).unwrap_or_default()
}

fn name_of<'a>(head: &'a str, line: &'a Header) -> &'a str {
    match &line.place {
        Place::Read { name, .. } => slice(head, *name),
        Place::Own(own) => &own.name,
        Place::Value(_) => line.known.map_or("", Known::name),
    }
}

fn is_named(head: &str, line: &Header, wanted: Option<Known>, name: &str) -> bool {
    match (line.known, wanted) {
        (Some(known), Some(wanted)) => known == wanted,
        (None, None) => name_of(head, line).eq_ignore_ascii_case(name),
        (Some(_), None) | (None, Some(_)) => false,
    }
}

fn length(value: &str) -> Result<usize, ParseError> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    value.parse().ok().filter(|_| digits).ok_or(ParseError::Value("Content-Length"))
}

/// The first Content-Length of a head with its first line, which nothing else is read of.
pub(super) fn length_in(head: &[u8]) -> Result<Option<usize>, ParseError> {
    let mut rest = super::split_first_line(head).1;
    while !rest.is_empty() {
        let (line, next) = next_line(rest);
        rest = next;
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        if Known::read(line[..colon].trim_ascii()) == Some(Known::CONTENT_LENGTH) {
            let value = unfold(&line[colon + 1..]);
            return length(std::str::from_utf8(&value).unwrap_or_default()).map(Some);
        }
    }
    Ok(None)
}

fn seconds(value: &str) -> Option<Duration> {
    let value = value.trim_ascii();
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(Duration::from_secs(u64::from(value.parse().unwrap_or(u32::MAX))))
}

/// One logical line: continued while the next begins with white space.
fn next_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let mut end = 0;
    loop {
        let newline = memchr(b'\n', &bytes[end..]).map(|at| end + at);
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
        let (headers, fault) = Headers::parse(text.as_bytes(), 0, 64);
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
        let (headers, _) = Headers::parse(b"Subject: caf\xe9\r\n", 0, 4);
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
