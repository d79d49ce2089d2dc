//! The envelope of a text between two ends that read one: message/cpim (RFC 3862) with the message ids and wishes of
//! RFC 5438 and our own `chat` headers. Who wrote a text the request says, never the envelope.

use std::collections::BTreeMap;

use sip_core::message::MediaType;
use sip_core::{Content, NameAddr};
use time::OffsetDateTime;

use super::date;

/// Namespace of message ids and delivery reports (RFC 5438 §6).
const IMDN: &str = "urn:ietf:params:imdn";
/// Namespace of what a focus of ours says of a text besides. It never changes.
const CHAT: &str = "urn:uuid:6f0c3c1e-8f1d-5a0e-9c57-2b1f6d1c4a77";

/// Bounds of what is read of an envelope.
const MAX_HEADERS: usize = 64;
const MAX_LINE: usize = 2048;
const MAX_VIAS: usize = 16;
/// The longest message id that is kept.
const MAX_ID: usize = 128;

/// Which reports the author of a text asks for (RFC 5438 §6.2). Those on reading are neither asked for nor sent.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Wants {
    /// When it was delivered.
    pub(crate) positive: bool,
    /// When it was not.
    pub(crate) negative: bool,
}

/// The headers of an envelope.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Head {
    /// Who it says wrote the text.
    pub(crate) from: Option<NameAddr>,
    /// For whom it is: more than one are refused (RFC 7701 §6.1).
    pub(crate) to: Vec<NameAddr>,
    /// Whether it names recipients of copies.
    pub(crate) has_copies: bool,
    /// When it was written.
    pub(crate) written: Option<OffsetDateTime>,
    /// Its id, the same wherever it goes.
    pub(crate) id: Option<String>,
    /// The reports asked for.
    pub(crate) wants: Wants,
    /// Its place in the order of public texts.
    pub(crate) seq: Option<u64>,
    /// Whether it was written before its reader came.
    pub(crate) history: bool,
    /// Which part of how many it is.
    pub(crate) part: Option<(usize, usize)>,
    /// The focuses that it went through.
    pub(crate) via: Vec<String>,
    /// How many those were.
    pub(crate) hops: u32,
}

/// An envelope that was opened.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Opened<'a> {
    /// What it says.
    pub(crate) head: Head,
    /// The type of its content; `None`: it names none.
    pub(crate) kind: Option<MediaType>,
    /// Its content.
    pub(crate) content: &'a [u8],
}

/// Why an envelope is not opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    /// It cannot be read.
    Malformed,
    /// It requires a header that is not known here (RFC 3862 §2.3.2).
    Requires,
}

/// What a content is for, beside its type.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Disposition {
    /// To be shown.
    Text,
    /// A report (RFC 5438 §7.2.1).
    Notification,
}

/// Opens an envelope. Line ends may be LF only, and the blank line before the MIME headers may be missing, as some write.
pub(crate) fn open(body: &[u8]) -> Result<Opened<'_>, Fault> {
    let mut rest = body;
    let mut fields = Vec::new();
    let mut kind = None;
    let mut blanks = 0;
    while blanks < 2 {
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or(Fault::Malformed)?;
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
        rest = &rest[end + 1..];
        if line.is_empty() {
            blanks += if kind.is_some() { 2 } else { 1 };
            continue;
        }
        if line.len() > MAX_LINE || fields.len() >= MAX_HEADERS {
            return Err(Fault::Malformed);
        }
        let line = std::str::from_utf8(line).map_err(|_| Fault::Malformed)?;
        let (name, value) = line.split_once(':').ok_or(Fault::Malformed)?;
        if name.eq_ignore_ascii_case("Content-Type") {
            kind = Some(MediaType::parse(value.trim()).ok_or(Fault::Malformed)?);
        } else if blanks == 0 {
            fields.push((name, value.trim()));
        }
    }
    Ok(Opened { head: read(&fields)?, kind, content: rest })
}

/// The headers that count. Prefixes mean what their NS says, whatever they are called (RFC 3862 §3.4).
fn read(fields: &[(&str, &str)]) -> Result<Head, Fault> {
    let mut spaces = BTreeMap::new();
    let mut head = Head::default();
    for (name, value) in fields {
        let (space, local) = match name.split_once('.') {
            Some((prefix, local)) => (spaces.get(prefix).copied(), local),
            None => (Some(spaces.get("").copied().unwrap_or_default()), *name),
        };
        match (space, local) {
            (Some(""), "From") => head.from = Some(address(value)?),
            (Some(""), "To") => head.to.push(address(value)?),
            (Some(""), "cc") => head.has_copies = true,
            (Some(""), "DateTime") => head.written = date::read(value),
            (Some(""), "NS") => {
                let (prefix, uri) = value.split_once('<').ok_or(Fault::Malformed)?;
                spaces.insert(prefix.trim(), uri.trim_end_matches('>'));
            }
            (Some(""), "Require") => {
                if !value.split(',').all(|name| is_known(name.trim(), &spaces)) {
                    return Err(Fault::Requires);
                }
            }
            (Some(IMDN), local) => read_imdn(&mut head, local, value),
            (Some(CHAT), local) => read_chat(&mut head, local, value),
            (Some(_) | None, _) => {}
        }
    }
    Ok(head)
}

fn read_imdn(head: &mut Head, name: &str, value: &str) {
    match name {
        "Message-ID" if is_id(value) => head.id = Some(value.to_owned()),
        "Disposition-Notification" => {
            let mut kinds =
                value.split(',').map(|kind| kind.split(';').next().unwrap_or("").trim());
            head.wants.positive |= kinds.clone().any(|kind| kind == "positive-delivery");
            head.wants.negative |= kinds.any(|kind| kind == "negative-delivery");
        }
        _ => {}
    }
}

fn read_chat(head: &mut Head, name: &str, value: &str) {
    match name {
        "Seq" => head.seq = value.parse().ok(),
        "History" => head.history = value == "1",
        "Part" => {
            let part = value.split_once('/').and_then(|(place, count)| {
                Some((place.parse().ok()?, count.parse::<usize>().ok()?))
            });
            head.part = part.filter(|(place, count)| (1..=*count).contains(place));
        }
        "Via" if head.via.len() < MAX_VIAS => {
            head.via.push(value.trim_matches(['<', '>']).to_owned());
        }
        "Hops" => head.hops = value.parse().unwrap_or(u32::MAX),
        _ => {}
    }
}

/// Whether a header that an envelope requires is one that is understood here.
fn is_known(name: &str, spaces: &BTreeMap<&str, &str>) -> bool {
    let plain = ["From", "To", "cc", "DateTime", "Subject", "NS", "Require"];
    match name.split_once('.') {
        None => plain.contains(&name),
        Some((prefix, local)) => match spaces.get(prefix).copied() {
            Some(IMDN) => ["Message-ID", "Disposition-Notification"].contains(&local),
            Some(CHAT) => ["Seq", "History", "Part", "Via", "Hops"].contains(&local),
            Some(_) | None => false,
        },
    }
}

/// An id that can be written again as it is.
fn is_id(value: &str) -> bool {
    (1..=MAX_ID).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_graphic())
}

/// `Formal-name <URI>`: the URI never stands alone.
fn address(value: &str) -> Result<NameAddr, Fault> {
    let (name, rest) = value.rsplit_once('<').ok_or(Fault::Malformed)?;
    let uri = rest.strip_suffix('>').ok_or(Fault::Malformed)?;
    let mut address = NameAddr::parse(&format!("<{uri}>")).map_err(|_| Fault::Malformed)?;
    let name = name.trim();
    let quoted = name.strip_prefix('"').and_then(|name| name.strip_suffix('"'));
    let name = unescape(quoted.unwrap_or(name));
    address.display = (!name.is_empty()).then(|| name.into());
    Ok(address)
}

/// `\b \t \n \r \" \' \\ \uXXXX` (RFC 3862 §2.3.1); what is none of these stays.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('\\') {
        out.push_str(before);
        let mut next = behind.chars();
        let (c, used) = match next.next() {
            Some('b') => ('\u{8}', 1),
            Some('t') => ('\t', 1),
            Some('n') => ('\n', 1),
            Some('r') => ('\r', 1),
            Some(c @ ('"' | '\'' | '\\')) => (c, 1),
            Some('u') => {
                let code = behind.get(1..5).and_then(|hex| u32::from_str_radix(hex, 16).ok());
                code.and_then(char::from_u32).map_or(('\\', 0), |c| (c, 5))
            }
            Some(_) | None => ('\\', 0),
        };
        out.push(c);
        rest = &behind[used..];
    }
    out.push_str(rest);
    out
}

impl Head {
    /// What tells one request from another with the same text: the id, and which part it is.
    pub(crate) fn part_id(&self) -> Option<String> {
        let id = self.id.as_deref()?;
        Some(
            self.part
                .map_or_else(|| id.to_owned(), |(place, count)| format!("{id} {place}/{count}")),
        )
    }

    /// The envelope as it goes out, with what is in it. One header a line, one space behind each colon, lines end with
    /// CR and LF.
    pub(crate) fn seal(&self, kind: &str, disposition: Disposition, content: &str) -> Content {
        let mut out = self.lines();
        out.push_str(&format!("\r\nContent-Type: {kind}\r\n"));
        if disposition == Disposition::Notification {
            out.push_str("Content-Disposition: notification\r\n");
        }
        out.push_str("\r\n");
        out.push_str(content);
        Content::new("message/cpim", out.into_bytes())
    }

    /// The same around a text.
    pub(crate) fn text(&self, text: &str) -> Content {
        self.seal("text/plain; charset=utf-8", Disposition::Text, text)
    }

    fn lines(&self) -> String {
        let mut out = String::new();
        let mut line = |name: &str, value: &str| {
            out.push_str(&format!("{name}: {value}\r\n"));
        };
        if let Some(from) = &self.from {
            line("From", &written(from));
        }
        for to in &self.to {
            line("To", &written(to));
        }
        if let Some(at) = self.written {
            line("DateTime", &date::rfc3339(at));
        }
        if let Some(id) = &self.id {
            line("NS", &format!("imdn <{IMDN}>"));
            line("imdn.Message-ID", id);
            let wanted = match self.wants {
                Wants { positive: true, negative: true } => "positive-delivery, negative-delivery",
                Wants { positive: true, negative: false } => "positive-delivery",
                Wants { positive: false, negative: true } => "negative-delivery",
                Wants { positive: false, negative: false } => "",
            };
            if !wanted.is_empty() {
                line("imdn.Disposition-Notification", wanted);
            }
        }
        let ours = self.seq.is_some() || self.history || self.part.is_some() || self.hops > 0;
        if ours || !self.via.is_empty() {
            line("NS", &format!("chat <{CHAT}>"));
        }
        if let Some(seq) = self.seq {
            line("chat.Seq", &seq.to_string());
        }
        if self.history {
            line("chat.History", "1");
        }
        if let Some((place, count)) = self.part {
            line("chat.Part", &format!("{place}/{count}"));
        }
        for via in &self.via {
            line("chat.Via", &format!("<{via}>"));
        }
        if self.hops > 0 {
            line("chat.Hops", &self.hops.to_string());
        }
        out
    }
}

/// An address as an envelope has it: a name of plain words as it is, any other in quotes with what it must not hold as
/// `\uXXXX`.
fn written(address: &NameAddr) -> String {
    let uri = &address.uri;
    let Some(name) = address.display.as_deref().filter(|name| !name.is_empty()) else {
        return format!("<{uri}>");
    };
    let is_token = |word: &str| {
        let fits = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-^_`|~.".contains(&c);
        !word.is_empty() && word.bytes().all(fits)
    };
    if name.split(' ').all(is_token) {
        return format!("{name} <{uri}>");
    }
    let mut quoted = String::new();
    for c in name.chars() {
        match c {
            '\u{8}' => quoted.push_str("\\b"),
            '\t' => quoted.push_str("\\t"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\\' => quoted.push_str("\\\\"),
            '"' => quoted.push_str("\\u0022"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    format!("\"{quoted}\" <{uri}>")
}

#[cfg(test)]
mod tests {
    use sip_core::Uri;
    use time::macros::datetime;

    use super::*;

    fn bob(name: Option<&str>) -> NameAddr {
        NameAddr::new(name, Uri::parse("sip:bob@example.com").unwrap())
    }

    fn text(content: &Content) -> String {
        String::from_utf8(content.body.to_vec()).unwrap()
    }

    #[test]
    fn ms16_an_envelope_is_written_to_the_letter() {
        let head = Head {
            from: Some(bob(Some("Bob"))),
            to: vec![NameAddr::new(None, Uri::parse("sip:conf@192.0.2.10:5060").unwrap())],
            written: Some(datetime!(2026-11-22 23:05:07.120 UTC)),
            id: Some("1SFkKfjPw5Zr3pQm".into()),
            wants: Wants { positive: true, negative: true },
            seq: Some(17),
            history: true,
            part: Some((2, 3)),
            via: vec!["sip:other@x".into()],
            hops: 1,
            ..Head::default()
        };
        let expected = "From: Bob <sip:bob@example.com>\r\nTo: <sip:conf@192.0.2.10:5060>\r\n\
            DateTime: 2026-11-22T23:05:07.120Z\r\nNS: imdn <urn:ietf:params:imdn>\r\n\
            imdn.Message-ID: 1SFkKfjPw5Zr3pQm\r\n\
            imdn.Disposition-Notification: positive-delivery, negative-delivery\r\n\
            NS: chat <urn:uuid:6f0c3c1e-8f1d-5a0e-9c57-2b1f6d1c4a77>\r\nchat.Seq: 17\r\n\
            chat.History: 1\r\nchat.Part: 2/3\r\nchat.Via: <sip:other@x>\r\nchat.Hops: 1\r\n\r\n\
            Content-Type: text/plain; charset=utf-8\r\n\r\n a\n\r\nb ";
        let sealed = head.text(" a\n\r\nb ");
        assert_eq!(text(&sealed), expected);
        assert_eq!(sealed.content_type, "message/cpim");
        let opened = open(&sealed.body).unwrap();
        assert_eq!(opened.head, head);
        assert_eq!(opened.content, b" a\n\r\nb ");
        let report = Head::default().seal("message/imdn+xml", Disposition::Notification, "<x/>");
        let expected =
            "\r\nContent-Type: message/imdn+xml\r\nContent-Disposition: notification\r\n\r\n<x/>";
        assert_eq!(text(&report), expected);
    }

    #[test]
    fn ms16_controls_in_a_name_are_escaped_and_nothing_else_is() {
        for (name, expected) in [
            ("Bob", "Bob"),
            ("Bob B.", "Bob B."),
            ("Bob  B", "\"Bob  B\""),
            ("B\u{f6}b", "\"B\u{f6}b\""),
            ("a\u{8}b\tc\nd\re\\f", "\"a\\bb\\tc\\nd\\re\\\\f\""),
            ("a\u{0}b\u{85}\"c\"", "\"a\\u0000b\\u0085\\u0022c\\u0022\""),
            ("a'/<b>", "\"a'/<b>\""),
        ] {
            let head = Head { from: Some(bob(Some(name))), ..Head::default() };
            let sealed = text(&head.text("x"));
            let line = sealed.lines().next().unwrap();
            assert_eq!(line, format!("From: {expected} <sip:bob@example.com>"));
            let opened = open(sealed.as_bytes()).unwrap();
            assert_eq!(opened.head.from.unwrap().display.as_deref(), Some(name));
        }
    }

    #[test]
    fn ms17_what_others_write_is_read_and_what_they_require_is_known_or_refused() {
        let mime = "Content-type: text/plain\r\nContent-Length: 999\r\n\r\nhi";
        for head in [
            "From: MR SANDERS <im:piglet@x>\r\nTo: <im:a@b>\r\nX: y\r\nq.z: 1\r\nSubject:;lang=fr m\r\n\r\n",
            "From: <sip:bob@x>\r\nRequire: From\r\n",
            "NS: i <urn:ietf:params:imdn>\r\nRequire: i.Message-ID,To\r\n\r\n",
            "\r\n",
        ] {
            let body = format!("{head}{mime}");
            let lf = body.replace("\r\n", "\n");
            for body in [body, lf] {
                let opened =
                    open(body.as_bytes()).unwrap_or_else(|fault| panic!("{body}: {fault:?}"));
                assert_eq!(opened.content, b"hi", "{body}");
                assert!(opened.kind.unwrap().is("text/plain"));
            }
        }
        for (head, fault) in [
            ("Require: imdn.Message-ID\r\n\r\n", Fault::Requires),
            ("Require: MyFeatures.Vital\r\n\r\n", Fault::Requires),
            ("From: sip:bob@x\r\n\r\n", Fault::Malformed),
            ("From: Bob <sip:bob@x\r\n\r\n", Fault::Malformed),
            ("no header\r\n\r\n", Fault::Malformed),
            ("NS: nothing\r\n\r\n", Fault::Malformed),
        ] {
            assert_eq!(open(format!("{head}{mime}").as_bytes()), Err(fault), "{head}");
        }
        assert_eq!(open(b"From: \xff <sip:b@x>\r\n\r\n\r\nx"), Err(Fault::Malformed));
        let long = format!("X: {}\r\n\r\n{mime}", "y".repeat(MAX_LINE));
        assert_eq!(open(long.as_bytes()), Err(Fault::Malformed));
        let many = format!("{}\r\n{mime}", "X: y\r\n".repeat(MAX_HEADERS + 1));
        assert_eq!(open(many.as_bytes()), Err(Fault::Malformed));
    }

    #[test]
    fn ms18_a_prefix_means_what_its_namespace_says() {
        let read = |head: &str| {
            let body = format!("{head}\r\nContent-Type: text/plain\r\n\r\nx");
            open(body.as_bytes()).unwrap().head
        };
        let ours = read("NS: q <urn:ietf:params:imdn>\r\nq.Message-ID: abc\r\n");
        assert_eq!(ours.id.as_deref(), Some("abc"));
        let other = read("NS: imdn <urn:example:other>\r\nimdn.Message-ID: abc\r\n");
        assert_eq!(other.id, None, "the prefix is another's");
        assert_eq!(read("imdn.Message-ID: abc\r\n").id, None, "the prefix is nobody's");
        let both = "NS: imdn <urn:example:other>\r\nNS: a <urn:ietf:params:imdn>\r\n\
                    imdn.Message-ID: no\r\na.Message-ID: yes\r\n\
                    a.Disposition-Notification: negative-delivery, display;x=y\r\n";
        let both = read(both);
        assert_eq!(both.id.as_deref(), Some("yes"));
        assert_eq!(both.wants, Wants { positive: false, negative: true });
        assert_eq!(read("NS: c <urn:ietf:params:imdn>\r\nc.Message-ID: a b\r\n").id, None);
    }

    #[test]
    fn no_cut_or_changed_envelope_panics() {
        let head = Head {
            from: Some(bob(Some("B\u{f6}b \\u12"))),
            id: Some("x".into()),
            part: Some((1, 2)),
            ..Head::default()
        };
        let sealed = head.text("h\u{e9}");
        for end in 0..sealed.body.len() {
            let _ = open(&sealed.body[..end]);
            let mut changed = sealed.body.to_vec();
            for byte in [0, b'\n', b'<', b'\\', 0xff] {
                changed[end] = byte;
                let _ = open(&changed);
            }
        }
        assert_eq!(unescape("\\u12\\u00e9\\q\\"), "\\u12\u{e9}\\q\\");
    }
}
