//! SIP messages: read and written byte for byte, headers typed on demand (RFC 3261 §7, §25; RFC 5118 for IPv6).
//!
//! Nothing is lost on the way: unknown headers, methods, schemes and bodies survive as they came. What is wrong with a
//! message is a [`ParseError`] that knows which answer fits.

mod dtmf;
mod error;
mod framing;
mod headers;
mod method;
mod name_addr;
mod names;
mod params;
mod rack;
mod reason;
mod refer_to;
mod replaces;
mod session_expires;
mod sipfrag;
mod status;
mod stun;
mod text;
mod uri;
mod via;

use std::fmt::Write;

use bytes::{BufMut, Bytes, BytesMut};
use memchr::memchr;

use uri::AnyUriPart;

pub use dtmf::KeyPress;
pub use error::{HeaderName, ParseError};
pub use framing::{Frame, FrameError, StreamFramer};
pub use headers::{Headers, MediaType, SubscriptionState};
pub use method::{CSeq, Method};
pub use name_addr::NameAddr;
pub use params::Params;
pub use rack::RAck;
pub(crate) use rack::rseq_number;
pub use reason::{Protocol, Reason};
pub use refer_to::{ReferMethod, ReferTo, ReferToFault};
pub use replaces::Replaces;
pub use session_expires::{MinSe, Refresher, SessionExpires};
pub use sipfrag::StatusFragment;
pub use status::{Failure, Provisional, StatusCode, Success};
pub use stun::{BindingOutcome, BindingResponse, StunId, binding_request};
pub use text::Text;
pub(crate) use uri::unescape;
pub use uri::{AnyUri, Host, Scheme, Uri};
pub use via::Via;

/// The largest message that is read, on any transport.
pub const MAX_MESSAGE: usize = 65_536;
/// The most header lines that are read.
const MAX_HEADERS: usize = 256;
/// The most hops that a message may have made: Max-Forwards begins at 70 (RFC 3261 §8.1.1.6).
const MAX_VIAS: usize = 71;

/// A body and its type.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Content {
    /// The value of Content-Type.
    pub content_type: String,
    /// The body.
    pub body: Bytes,
    /// Further headers of the request that carries it: name and value (`Date`).
    pub headers: Vec<(&'static str, String)>,
}

impl Content {
    /// Any content.
    pub fn new(content_type: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self { content_type: content_type.into(), body: body.into(), headers: Vec::new() }
    }

    /// The same with a further header in the request that carries it.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// A text as ordinary phones take it.
    pub fn text(text: &str) -> Self {
        Self::new("text/plain;charset=UTF-8", text.as_bytes().to_vec())
    }

    /// A session description.
    pub fn sdp(body: impl Into<Bytes>) -> Self {
        Self::new("application/sdp", body)
    }

    /// A conference document (RFC 4575).
    pub fn conference_info(body: impl Into<Bytes>) -> Self {
        Self::new("application/conference-info+xml", body)
    }
}

/// A request or a response.
#[derive(Clone, Debug)]
pub enum Message {
    /// A request.
    Request(Request),
    /// A response.
    Response(Response),
}

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    /// What is asked.
    pub method: Method,
    /// The Request-URI.
    pub uri: AnyUri,
    /// All headers in order, Content-Length excepted: it is written from the body.
    pub headers: Headers,
    /// The body.
    pub body: Bytes,
}

/// A response.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The reason phrase as it came; untrusted text.
    pub reason: String,
    /// All headers in order, Content-Length excepted.
    pub headers: Headers,
    /// The body.
    pub body: Bytes,
}

impl Message {
    /// Reads one datagram: bytes behind Content-Length are cut off, fewer are an error (RFC 3261 §18.3).
    pub fn parse(datagram: &[u8]) -> Result<Self, ParseError> {
        let datagram = skip_line_ends(datagram);
        if datagram.len() > MAX_MESSAGE {
            return Err(ParseError::TooLarge { size: datagram.len() });
        }
        let (head, body) = split_head(datagram).ok_or(ParseError::Truncated)?;
        let (first, lines) = split_first_line(head);
        let (headers, fault) = Headers::parse(head, head.len() - lines.len(), MAX_HEADERS);
        let mut message = Self::parse_start(first, headers)?;
        let fault = fault.or_else(|| message.headers().doubled());
        let length = match message.headers().content_length() {
            Ok(length) => length,
            Err(_) => return Err(message.refuse(HeaderName("Content-Length"))),
        };
        if let Some(header) = fault {
            return Err(message.refuse(header));
        }
        let body = match length {
            Some(length) if length > body.len() => {
                return Err(message.refuse(HeaderName("Content-Length")));
            }
            Some(length) => &body[..length],
            None => body,
        };
        message.set_body(Bytes::copy_from_slice(body));
        let method = match &message {
            Self::Request(request) => Some(&request.method),
            Self::Response(_) => None,
        };
        match message.headers().unreadable(method) {
            Some(header) => Err(message.refuse(header)),
            None => Ok(message),
        }
    }

    fn parse_start(line: &[u8], headers: Headers) -> Result<Self, ParseError> {
        let line = std::str::from_utf8(line).map_err(|_| ParseError::StartLine)?;
        if let Some(rest) = strip_version(line) {
            let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
            if code.len() != 3 {
                return Err(ParseError::StartLine);
            }
            let status =
                code.parse().ok().and_then(StatusCode::new).ok_or(ParseError::StartLine)?;
            let body = Bytes::new();
            return Ok(Self::Response(Response {
                status,
                reason: reason.to_owned(),
                headers,
                body,
            }));
        }
        let mut parts = line.split(' ');
        let (Some(method), Some(uri), Some(version)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(ParseError::StartLine);
        };
        let method = Method::parse(method).ok_or(ParseError::StartLine)?;
        let other = |uri: &str| AnyUri::Other(uri.into());
        let unread = |uri: &str, headers| Request {
            method: method.clone(),
            uri: other(uri),
            headers,
            body: Bytes::new(),
        };
        if !version.eq_ignore_ascii_case("SIP/2.0") && parts.clone().next().is_none() {
            if !version.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("SIP/")) {
                return Err(ParseError::StartLine);
            }
            let mut request = Box::new(unread(uri, headers));
            // Their Via has their version; the answer goes in ours.
            let vias: Vec<String> = request.headers.get_all("Via").map(str::to_owned).collect();
            request.headers.remove("Via");
            for via in vias {
                request.headers.push("Via", via.replacen(version, "SIP/2.0", 1));
            }
            return Err(ParseError::Version { request });
        }
        // The same text where the headers' memory has it: then the URI shares it.
        let head = std::sync::Arc::clone(headers.head());
        let at = method.as_str().len() + 1;
        let shared = head.get(at..at + uri.len()).filter(|shared| *shared == uri).unwrap_or(uri);
        let parsed = AnyUriPart::parse(shared).ok().filter(|_| parts.next().is_none());
        let Some(uri) = parsed.map(|uri| uri.own(&head)) else {
            let request = Box::new(unread(uri, headers));
            return Err(ParseError::Request { header: HeaderName("Request-URI"), request });
        };
        Ok(Self::Request(Request { method, uri, headers, body: Bytes::new() }))
    }

    /// The headers of either.
    pub fn headers(&self) -> &Headers {
        match self {
            Self::Request(request) => &request.headers,
            Self::Response(response) => &response.headers,
        }
    }

    fn set_body(&mut self, body: Bytes) {
        let (headers, place) = match self {
            Self::Request(request) => (&mut request.headers, &mut request.body),
            Self::Response(response) => (&mut response.headers, &mut response.body),
        };
        headers.remove_length();
        *place = body;
    }

    fn refuse(self, header: HeaderName) -> ParseError {
        match self {
            Self::Request(request) => ParseError::Request { header, request: Box::new(request) },
            Self::Response(_) => ParseError::Response { header },
        }
    }
}

impl Request {
    /// The bytes to send; Content-Length is always written.
    pub fn to_bytes(&self) -> Bytes {
        let mut bytes = room(&self.headers, &self.body);
        // Memory cannot refuse to be written to.
        let _ = write!(bytes, "{} {} SIP/2.0\r\n", self.method, self.uri);
        finish(bytes, &self.headers, &self.body)
    }

    /// Body and type, where there is a body.
    pub fn content(&self) -> Option<Content> {
        content(&self.headers, &self.body)
    }

    /// A response to this request: Via, From, To, Call-ID and CSeq copied (RFC 3261 §8.2.6.2). The tag goes to To where
    /// the request has none.
    pub fn response(&self, status: StatusCode, to_tag: Option<&str>) -> Response {
        let untagged = self.headers.to_header().is_ok_and(|to| to.tag().is_none());
        let mut headers = Headers::default();
        for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
            match to_tag.filter(|_| name == "To" && untagged) {
                Some(tag) => {
                    for value in self.headers.get_all(name) {
                        headers.push(name, format!("{value};tag={tag}"));
                    }
                }
                None => headers.push_from(&self.headers, name),
            }
        }
        Response { status, reason: status.reason_phrase().to_owned(), headers, body: Bytes::new() }
    }
}

impl Response {
    /// The bytes to send; Content-Length is always written.
    pub fn to_bytes(&self) -> Bytes {
        let mut bytes = room(&self.headers, &self.body);
        let reason = one_line(&self.reason);
        let _ = write!(bytes, "SIP/2.0 {} {reason}\r\n", self.status.code());
        finish(bytes, &self.headers, &self.body)
    }

    /// Body and type, where there is a body.
    pub fn content(&self) -> Option<Content> {
        content(&self.headers, &self.body)
    }

    /// Gives it a body.
    pub fn set_content(&mut self, content: Content) {
        self.headers.set("Content-Type", content.content_type);
        self.body = content.body;
    }
}

fn content(headers: &Headers, body: &Bytes) -> Option<Content> {
    (!body.is_empty()).then(|| Content {
        content_type: headers.get("Content-Type").unwrap_or_default().to_owned(),
        body: body.clone(),
        headers: Vec::new(),
    })
}

fn room(headers: &Headers, body: &[u8]) -> BytesMut {
    BytesMut::with_capacity(192 + headers.size() + body.len())
}

fn finish(mut bytes: BytesMut, headers: &Headers, body: &[u8]) -> Bytes {
    headers.write(&mut bytes);
    let _ = write!(bytes, "Content-Length: {}\r\n\r\n", body.len());
    bytes.put_slice(body);
    bytes.freeze()
}

/// Line ends and NUL never get into a header: they would begin another (RFC 3261 §25.1).
fn one_line(text: &str) -> String {
    text.chars().map(|c| if matches!(c, '\r' | '\n' | '\0') { ' ' } else { c }).collect()
}

fn strip_version(line: &str) -> Option<&str> {
    let (version, rest) = line.split_at_checked("SIP/2.0 ".len())?;
    version.eq_ignore_ascii_case("SIP/2.0 ").then_some(rest)
}

/// Leading line ends are skipped (RFC 3261 §7.5).
fn skip_line_ends(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
    &bytes[start.unwrap_or(bytes.len())..]
}

/// Head without its last line end, and body. Bare LF is taken as a line end.
fn split_head(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut from = 0;
    while let Some(at) = memchr(b'\n', &bytes[from..]) {
        let end = from + at;
        match (bytes.get(end + 1), bytes.get(end + 2)) {
            (Some(b'\n'), _) => return Some((&bytes[..end], &bytes[end + 2..])),
            (Some(b'\r'), Some(b'\n')) => return Some((&bytes[..end], &bytes[end + 3..])),
            _ => from = end + 1,
        }
    }
    None
}

fn split_first_line(head: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr(b'\n', head).unwrap_or(head.len());
    let rest = head.get(end + 1..).unwrap_or_default();
    (head[..end].strip_suffix(b"\r").unwrap_or(&head[..end]), rest)
}

#[cfg(test)]
mod tests;
