//! Text out of the body of a MESSAGE (sip-chat §0.9, RFC 3428).

use sip_core::{Request, StatusCode};

use super::MAX_TEXT;

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

/// Types that are taken and shown to nobody.
const SILENT: [&str; 2] = ["application/im-iscomposing+xml", "message/imdn+xml"];

/// Reads the body of a MESSAGE, whoever it is for.
pub fn read(request: &Request) -> Body {
    let refuse = |status, headers| Body::Refused { status, headers };
    let encoding = request.headers.get("Content-Encoding").unwrap_or("identity");
    if !encoding.eq_ignore_ascii_case("identity") {
        let headers = vec![("Accept-Encoding", "identity".to_owned())];
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, headers);
    }
    if request.body.is_empty() {
        return Body::Nothing;
    }
    let kind = request.headers.content_type();
    let full =
        kind.as_ref().map_or_else(String::new, |kind| format!("{}/{}", kind.kind, kind.subtype));
    if SILENT.contains(&full.as_str()) {
        return Body::Nothing;
    }
    let is_text = kind.as_ref().is_none_or(|kind| kind.kind == "text");
    if !is_text {
        let headers = vec![("Accept", "text/plain".to_owned())];
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, headers);
    }
    if request.body.len() > MAX_TEXT {
        return refuse(StatusCode::REQUEST_ENTITY_TOO_LARGE, Vec::new());
    }
    let charset = kind.as_ref().and_then(|kind| kind.params.value("charset"));
    let text = decode(&request.body, charset);
    if full == "text/html" { Body::Text(plain_of_html(&text)) } else { Body::Text(text) }
}

/// UTF-8 unless Latin-1 is declared or nothing else fits.
fn decode(bytes: &[u8], charset: Option<&str>) -> String {
    let latin = || bytes.iter().map(|byte| char::from(*byte)).collect();
    match charset.map(str::to_ascii_lowercase).as_deref() {
        Some("iso-8859-1" | "latin1" | "windows-1252") => latin(),
        Some("utf-8" | "utf8") => String::from_utf8_lossy(bytes).into_owned(),
        Some(_) | None => std::str::from_utf8(bytes).map_or_else(|_| latin(), str::to_owned),
    }
}

/// The words of an HTML text: tags out, line breaks kept, the five entities read.
fn plain_of_html(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html;
    while let Some((before, behind)) = rest.split_once('<') {
        text.push_str(before);
        let is_tag = behind.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '!');
        let Some((tag, after)) = behind.split_once('>').filter(|_| is_tag) else {
            text.push('<');
            rest = behind;
            continue;
        };
        let name: String =
            tag.trim_start_matches('/').chars().take_while(char::is_ascii_alphanumeric).collect();
        let name = name.to_ascii_lowercase();
        if name == "br"
            || (tag.starts_with('/') && matches!(name.as_str(), "p" | "div" | "li" | "tr"))
        {
            text.push('\n');
        }
        rest = match name.as_str() {
            "script" | "style" => after
                .split_once("</")
                .map_or("", |(_, tail)| tail.split_once('>').map_or("", |t| t.1)),
            _ => after,
        };
    }
    text.push_str(rest);
    let entities = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&nbsp;", " "),
        ("&amp;", "&"),
    ];
    let plain = entities.into_iter().fold(text, |text, (entity, c)| text.replace(entity, c));
    plain.trim_end_matches('\n').to_owned()
}

#[cfg(test)]
mod tests {
    use sip_core::{AnyUri, Headers, Method};

    use super::*;

    fn read_as(kind: &str, body: &[u8]) -> Body {
        let mut headers = Headers::default();
        if !kind.is_empty() {
            headers.push("Content-Type", kind);
        }
        let uri = AnyUri::parse("sip:a@b").unwrap();
        read(&Request { method: Method::Message, uri, headers, body: body.to_vec().into() })
    }

    #[test]
    fn text_is_kept_byte_for_byte_and_charsets_are_read() {
        let text = "a  b\t\r\n\n €\n";
        assert_eq!(read_as("text/plain;charset=UTF-8", text.as_bytes()), Body::Text(text.into()));
        assert_eq!(read_as("", b"x"), Body::Text("x".into()));
        assert_eq!(read_as("text/plain", b"caf\xe9"), Body::Text("café".into()));
    }

    #[test]
    fn typing_marks_reports_and_empty_bodies_are_taken_and_shown_to_nobody() {
        for kind in ["application/im-iscomposing+xml", "message/imdn+xml"] {
            assert_eq!(read_as(kind, b"<x/>"), Body::Nothing);
        }
        assert_eq!(read_as("text/plain", b""), Body::Nothing);
    }

    #[test]
    fn html_becomes_text() {
        let html = b"<p>a &amp; <b>b</b></p>c<br/>1 < 2<script>x</script>";
        assert_eq!(read_as("text/html", html), Body::Text("a & b\nc\n1 < 2".into()));
    }

    #[test]
    fn other_types_are_415_with_accept_and_too_long_is_413() {
        let Body::Refused { status, headers } = read_as("image/png", b"x") else { panic!() };
        assert_eq!((status.code(), headers[0].0), (415, "Accept"));
        let Body::Refused { status, .. } = read_as("text/plain", &[b'x'; MAX_TEXT + 1]) else {
            panic!()
        };
        assert_eq!(status.code(), 413);
    }
}
