//! Text out of the body of a MESSAGE (sip-chat §0.9, RFC 3428).

use encoding_rs::{Encoding, UTF_8};
use sip_core::message::MediaType;
use sip_core::{AnyUri, NameAddr, Request, StatusCode};

use super::composing::Mark;
use super::cpim::{self, Fault, Head};
use super::imdn::{self, Report};
use super::packed::{self, Unpacked};
use super::{MAX_TEXT, html};

/// The longest body, once it is unpacked: a text with an envelope around it.
const MAX_BODY: usize = 2 * MAX_TEXT;

/// What a MESSAGE holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Body {
    /// A text for people.
    Text(String),
    /// Nothing for people: empty, a typing mark, a delivery report.
    Nothing,
    /// To be refused.
    Refused {
        /// With what.
        status: StatusCode,
        /// Further headers of that answer: name and value.
        headers: Vec<(&'static str, String)>,
    },
}

/// All that is taken, as a refusal says it.
const ACCEPT: &str = "text/plain, message/cpim, message/imdn+xml, application/im-iscomposing+xml";

/// What a MESSAGE holds, for those who read envelopes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Content {
    /// Somebody writes, or does not any more.
    Mark(Mark),
    /// Nothing for anybody.
    Nothing,
    /// To be refused.
    Refused { status: StatusCode, headers: Vec<(&'static str, String)> },
    /// What became of texts.
    Reports(Vec<Report>),
    /// A text for people.
    Text(String),
}

/// Reads the body of a MESSAGE, whoever it is for.
pub fn read(request: &Request) -> Body {
    let (head, content) = open(request);
    if !is_for_us(request, head.as_ref()) {
        return Body::Refused { status: StatusCode::FORBIDDEN, headers: Vec::new() };
    }
    match content {
        Content::Text(text) => Body::Text(text),
        Content::Mark(_) | Content::Nothing | Content::Reports(_) => Body::Nothing,
        Content::Refused { status, headers } => Body::Refused { status, headers },
    }
}

/// Whether an envelope is for one only, and for whom the request is. It need not say.
pub(crate) fn is_for_us(request: &Request, head: Option<&Head>) -> bool {
    head.is_none_or(|head| {
        let all = head.to.iter().all(|to| is_for(request, to));
        all && head.to.len() <= 1 && !head.has_copies
    })
}

/// Whether an address of the envelope is the one that the request went to.
fn is_for(request: &Request, to: &NameAddr) -> bool {
    let AnyUri::Sip(to) = &to.uri else { return false };
    let header = request.headers.to_header().ok().and_then(|to| to.uri.as_sip().cloned());
    let known = request.uri.as_sip().into_iter().chain(&header);
    known.into_iter().any(|uri| uri.same_address(to))
}

/// The envelope of a MESSAGE, where it has one that can be read, and what it holds.
pub(crate) fn open(request: &Request) -> (Option<Head>, Content) {
    let encoding = request.headers.get("Content-Encoding").unwrap_or("identity");
    let body = match packed::unpack(encoding, &request.body, MAX_BODY) {
        Unpacked::Body(body) => body,
        Unpacked::Unknown => {
            let headers = vec![("Accept-Encoding", packed::ACCEPT.to_owned())];
            return (None, refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, headers));
        }
        Unpacked::Broken if request.body.is_empty() => Vec::new(),
        Unpacked::Broken => return (None, refuse(StatusCode::BAD_REQUEST, Vec::new())),
        Unpacked::TooLong => {
            return (None, refuse(StatusCode::REQUEST_ENTITY_TOO_LARGE, Vec::new()));
        }
    };
    if body.is_empty() {
        return (None, Content::Nothing);
    }
    let kind = request.headers.content_type();
    if !kind.as_ref().is_some_and(|kind| kind.is("message/cpim")) {
        return (None, read_content(kind, &body));
    }
    match cpim::open(&body) {
        Ok(opened) if opened.content.is_empty() => (Some(opened.head), Content::Nothing),
        Ok(opened) => {
            let content = read_content(opened.kind, opened.content);
            (Some(opened.head), content)
        }
        Err(Fault::Malformed) => (None, refuse(StatusCode::BAD_REQUEST, Vec::new())),
        Err(Fault::Requires) => (None, unsupported()),
    }
}

fn refuse(status: StatusCode, headers: Vec<(&'static str, String)>) -> Content {
    Content::Refused { status, headers }
}

fn unsupported() -> Content {
    refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, vec![("Accept", ACCEPT.to_owned())])
}

/// A content with its type; without one it is text.
fn read_content(kind: Option<MediaType>, content: &[u8]) -> Content {
    let is = |name: &str| kind.as_ref().is_some_and(|kind| kind.is(name));
    if is("application/im-iscomposing+xml") {
        return Mark::read(content).map_or(Content::Nothing, Content::Mark);
    }
    if let Some(reports) = kind.as_ref().and_then(|kind| imdn::read(kind, content)) {
        return if reports.is_empty() { Content::Nothing } else { Content::Reports(reports) };
    }
    if kind.as_ref().is_some_and(|kind| kind.kind != "text") {
        return unsupported();
    }
    if content.len() > MAX_TEXT {
        return refuse(StatusCode::REQUEST_ENTITY_TOO_LARGE, Vec::new());
    }
    let charset = kind.as_ref().and_then(|kind| kind.params.value("charset"));
    let text = decode(content, charset);
    if is("text/html") { Content::Text(html::words(&text)) } else { Content::Text(text) }
}

/// As declared, with what does not fit replaced; UTF-8 where nothing is declared, Latin-1 where that does not fit.
fn decode(bytes: &[u8], charset: Option<&str>) -> String {
    let latin = || bytes.iter().map(|byte| char::from(*byte)).collect();
    match charset.and_then(|charset| Encoding::for_label_no_replacement(charset.as_bytes())) {
        Some(encoding) if encoding == UTF_8 => String::from_utf8_lossy(bytes).into_owned(),
        Some(encoding) => encoding.decode_without_bom_handling(bytes).0.into_owned(),
        None => std::str::from_utf8(bytes).map_or_else(|_| latin(), str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use sip_core::{AnyUri, Headers, Method};

    use super::*;

    fn read_as(kind: &str, body: &[u8]) -> Body {
        read_with(kind, "", body)
    }

    fn read_with(kind: &str, encoding: &str, body: &[u8]) -> Body {
        let mut headers = Headers::default();
        if !encoding.is_empty() {
            headers.push("Content-Encoding", encoding);
        }
        if !kind.is_empty() {
            headers.push("Content-Type", kind);
        }
        let uri = AnyUri::parse("sip:a@b").unwrap();
        read(&Request { method: Method::Message, uri, headers, body: body.to_vec().into() })
    }

    #[test]
    fn ms1_plain_text_is_kept_byte_for_byte() {
        let text = "a  b\t\r\n\n €\n";
        assert_eq!(read_as("text/plain;charset=UTF-8", text.as_bytes()), Body::Text(text.into()));
    }

    #[test]
    fn ms1_an_envelope_of_cpim_is_opened_where_it_is_for_whom_the_request_is() {
        let mime =
            "Content-Type: text/plain; charset=utf-8\r\nContent-ID: <1@x>\r\n\r\nh\u{e9}\r\n";
        let heads = [
            "From: Bob <im:bob@x>\r\nDateTime: 2026-01-01T00:00:00Z\r\n\r\n",
            "From: <sip:eve@x>\r\nTo: Me <sip:a@b>\r\nSubject: s\r\n\r\n",
            // Without the blank line, as some write it.
            "From: <sip:eve@x>\r\n",
            "\r\n",
        ];
        for head in heads {
            let body = format!("{head}{mime}");
            let expected = Body::Text("h\u{e9}\r\n".into());
            assert_eq!(read_as("message/cpim", body.as_bytes()), expected, "{head}");
            let lf = body.replace("\r\n", "\n");
            assert_eq!(read_as("Message/CPIM", lf.as_bytes()), Body::Text("h\u{e9}\n".into()));
        }
        let refused = |head: &str| match read_as("message/cpim", format!("{head}{mime}").as_bytes())
        {
            Body::Refused { status, .. } => status.code(),
            other => panic!("{other:?}"),
        };
        assert_eq!(refused("To: <sip:c@b>\r\n\r\n"), 403, "for somebody else");
        assert_eq!(refused("To: <sip:a@b>\r\nTo: <sip:c@b>\r\n\r\n"), 403);
        assert_eq!(refused("cc: <sip:a@b>\r\n\r\n"), 403);
        assert_eq!(refused("Require: imdn.x\r\n\r\n"), 415);
        assert_eq!(refused("no header\r\n\r\n"), 400);
        for kind in ["image/png", "message/cpim"] {
            let body = format!("From: <sip:e@x>\r\n\r\nContent-Type: {kind}\r\n\r\nx");
            let Body::Refused { status, .. } = read_as("message/cpim", body.as_bytes()) else {
                panic!("{kind}")
            };
            assert_eq!(status.code(), 415);
        }
        let whole = format!("{}{mime}", heads[1]);
        for length in 0..whole.len() {
            read_as("message/cpim", &whole.as_bytes()[..length]);
        }
    }

    #[test]
    fn ms14_charsets_are_read_as_declared_and_guessed_where_not() {
        let cases: [(&str, &[u8], &str); 10] = [
            ("text/plain", "h\u{e9}".as_bytes(), "h\u{e9}"),
            ("text/plain", b"h\xe9", "h\u{e9}"),
            ("text/plain;charset=utf-8", b"h\xe9!", "h\u{fffd}!"),
            ("text/plain;charset=\"UTF-8\"", "\u{20ac}".as_bytes(), "\u{20ac}"),
            ("text/plain; charset=iso-8859-1", b"h\xe9", "h\u{e9}"),
            ("text/plain;charset=ISO-8859-15", b"\xa4", "\u{20ac}"),
            ("text/plain;charset=windows-1251", b"\xcf\xf0", "\u{41f}\u{440}"),
            ("text/plain;charset=Shift_JIS", b"\x93\xfa", "\u{65e5}"),
            ("text/plain;charset=utf-16le", b"h\0\xe9\0", "h\u{e9}"),
            ("text/plain;charset=x-nobody", b"h\xe9", "h\u{e9}"),
        ];
        for (kind, bytes, expected) in cases {
            assert_eq!(read_as(kind, bytes), Body::Text(expected.into()), "{kind}");
        }
    }

    #[test]
    fn ms15_a_coding_that_is_not_known_is_415_with_those_that_are() {
        for coding in ["gzip", "identity, gzip"] {
            let Body::Refused { status, headers } = read_with("text/plain", coding, b"x") else {
                panic!("{coding}")
            };
            assert_eq!(status.code(), 415);
            assert_eq!(headers, [("Accept-Encoding", "identity, deflate".to_owned())]);
        }
        assert_eq!(read_with("text/plain", "Identity", b"x"), Body::Text("x".into()));
    }

    #[test]
    fn ms26_nothing_is_taken_and_shown_to_nobody_and_what_has_no_type_is_text() {
        for kind in ["", "text/plain", "image/png", "message/cpim"] {
            assert_eq!(read_as(kind, b""), Body::Nothing, "{kind}");
        }
        assert_eq!(read_as("", b"x"), Body::Text("x".into()));
    }

    #[test]
    fn ms13_typing_marks_reports_and_empty_bodies_are_taken_and_shown_to_nobody() {
        for kind in ["application/im-iscomposing+xml", "message/imdn+xml"] {
            assert_eq!(read_as(kind, b"<x/>"), Body::Nothing);
        }
        assert_eq!(read_as("text/plain", b""), Body::Nothing);
    }

    #[test]
    fn html_and_packed_texts_become_text() {
        let html = b"<p>a &amp; <b>b</b></p>";
        assert_eq!(read_as("text/html", html), Body::Text("a & b".into()));
        use std::io::Write;
        let packed = |body: &[u8]| {
            let best = flate2::Compression::best();
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), best);
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        };
        assert_eq!(read_with("text/plain", "deflate", &packed(b"hi")), Body::Text("hi".into()));
        let long = packed(&vec![b'x'; 10 * MAX_BODY]);
        let Body::Refused { status, .. } = read_with("text/plain", "deflate", &long) else {
            panic!()
        };
        assert_eq!(status.code(), 413);
        let Body::Refused { status, .. } = read_with("text/plain", "deflate", b"x") else {
            panic!()
        };
        assert_eq!(status.code(), 400);
    }

    #[test]
    fn ms13_other_types_are_415_with_accept_and_too_long_is_413() {
        let Body::Refused { status, headers } = read_as("image/png", b"x") else { panic!() };
        assert_eq!(status.code(), 415);
        let accept =
            "text/plain, message/cpim, message/imdn+xml, application/im-iscomposing+xml".to_owned();
        assert_eq!(headers, [("Accept", accept)]);
        let Body::Refused { status, .. } = read_as("text/plain", &[b'x'; MAX_TEXT + 1]) else {
            panic!()
        };
        assert_eq!(status.code(), 413);
    }
}
