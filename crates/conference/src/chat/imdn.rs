//! Reports on what became of a text (RFC 5438): one recipient each. Those on reading are never written, and say nothing
//! when they are read.

use std::io::Cursor;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};
use sip_core::message::MediaType;
use time::OffsetDateTime;

use super::date;
use crate::info::tree::{Element, tree_of_any};

/// The most reports of one body that are read.
const MAX_REPORTS: usize = 16;
/// What stands between the reports of one body; no report has it.
const BOUNDARY: &str = "parlour-report";

/// One report.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Report {
    /// The id of the text that it is on.
    pub(crate) id: String,
    /// When that was written.
    pub(crate) written: Option<OffsetDateTime>,
    /// Whose copy of it.
    pub(crate) recipient: String,
    /// What became of it.
    pub(crate) fate: Fate,
}

/// What became of a copy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fate {
    /// It was delivered.
    Delivered,
    /// It was not.
    Failed,
}

impl Report {
    /// As the body of `message/imdn+xml`.
    pub(crate) fn to_xml(&self) -> String {
        let mut xml = Writer::new(Cursor::new(Vec::new()));
        // Writing into memory cannot fail.
        let _ = self.write(&mut xml);
        String::from_utf8(xml.into_inner().into_inner()).unwrap_or_default()
    }

    fn write(&self, xml: &mut Writer<Cursor<Vec<u8>>>) -> std::io::Result<()> {
        xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
        xml.get_mut().get_mut().extend_from_slice(b"\r\n");
        let end = xml.get_ref().get_ref().len();
        xml.get_mut().set_position(end as u64);
        let root = xml.create_element("imdn");
        let root = root.with_attribute(("xmlns", "urn:ietf:params:xml:ns:imdn"));
        root.write_inner_content(|xml| {
            let mut text = |name: &str, value: &str| {
                xml.create_element(name).write_text_content(BytesText::new(value)).map(|_| ())
            };
            text("message-id", &self.id)?;
            if let Some(written) = self.written {
                text("datetime", &date::rfc3339(written))?;
            }
            text("recipient-uri", &self.recipient)?;
            xml.create_element("delivery-notification").write_inner_content(|xml| {
                xml.create_element("status").write_inner_content(|xml| {
                    let fate = match self.fate {
                        Fate::Delivered => "delivered",
                        Fate::Failed => "failed",
                    };
                    xml.create_element(fate).write_empty().map(|_| ())
                })?;
                Ok(())
            })?;
            Ok(())
        })?;
        Ok(())
    }
}

/// Several reports as one content: the type and the body (RFC 5438 §8.3). One goes as it is.
pub(crate) fn bundle(reports: &[Report]) -> (String, String) {
    if let [one] = reports {
        return ("message/imdn+xml".to_owned(), one.to_xml());
    }
    let mut body = String::new();
    for report in reports {
        body.push_str(&format!("--{BOUNDARY}\r\nContent-Type: message/imdn+xml\r\n\r\n"));
        body.push_str(&report.to_xml());
        body.push_str("\r\n");
    }
    body.push_str(&format!("--{BOUNDARY}--\r\n"));
    (format!("multipart/mixed;boundary={BOUNDARY}"), body)
}

/// The reports of a content; `None` where it holds something else. What is no report on a delivery is left out.
pub(crate) fn read(kind: &MediaType, body: &[u8]) -> Option<Vec<Report>> {
    if kind.is("message/imdn+xml") {
        return Some(read_one(body).into_iter().collect());
    }
    if !kind.is("multipart/mixed") {
        return None;
    }
    let text = std::str::from_utf8(body).ok()?;
    let mark = format!("--{}", kind.params.value("boundary").filter(|mark| !mark.is_empty())?);
    let mut reports = Vec::new();
    for part in text.split(mark.as_str()).skip(1).take(MAX_REPORTS) {
        if part.starts_with("--") {
            break;
        }
        let part = part.strip_prefix("\r\n").or_else(|| part.strip_prefix('\n'))?;
        let (head, body) = part.split_once("\r\n\r\n").or_else(|| part.split_once("\n\n"))?;
        let is_report = head.lines().any(|line| {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let kind = MediaType::parse(value.trim());
            name.eq_ignore_ascii_case("Content-Type")
                && kind.is_some_and(|kind| kind.is("message/imdn+xml"))
        });
        if !is_report {
            return None;
        }
        reports.extend(read_one(body.trim_end().as_bytes()));
    }
    Some(reports)
}

fn read_one(body: &[u8]) -> Option<Report> {
    let root = tree_of_any(body).ok().filter(|root| root.name == "imdn")?;
    let text = |name: &str| root.child(name).map(|child| child.text.trim().to_owned());
    let status = root.child("delivery-notification")?.child("status")?;
    let is = |names: &[&str]| {
        status.children.iter().any(|one: &Element| names.contains(&one.name.as_str()))
    };
    let fate = match () {
        () if is(&["delivered"]) => Fate::Delivered,
        () if is(&["failed", "forbidden", "error"]) => Fate::Failed,
        () => return None,
    };
    Some(Report {
        id: text("message-id").filter(|id| !id.is_empty())?,
        written: text("datetime").and_then(|at| date::read(&at)),
        recipient: text("recipient-uri").unwrap_or_default(),
        fate,
    })
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn report(id: &str, fate: Fate) -> Report {
        Report {
            id: id.into(),
            written: Some(datetime!(2026-11-22 23:06:00 UTC)),
            recipient: "sip:bob@example.com".into(),
            fate,
        }
    }

    fn kind(text: &str) -> MediaType {
        MediaType::parse(text).unwrap()
    }

    #[test]
    fn ms20_a_report_is_written_to_the_letter_and_read_again() {
        let failed = report("Qk2v9yTzLw0aXb7c", Fate::Failed);
        let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<imdn xmlns=\"urn:ietf:params:xml:ns:imdn\">\
            <message-id>Qk2v9yTzLw0aXb7c</message-id><datetime>2026-11-22T23:06:00Z</datetime>\
            <recipient-uri>sip:bob@example.com</recipient-uri><delivery-notification><status><failed/></status>\
            </delivery-notification></imdn>";
        assert_eq!(failed.to_xml(), expected);
        let (single, body) = bundle(std::slice::from_ref(&failed));
        assert_eq!(read(&kind(&single), body.as_bytes()), Some(vec![failed.clone()]));
        let both = vec![failed, report("a<&\"b", Fate::Delivered)];
        let (mixed, body) = bundle(&both);
        assert_eq!(read(&kind(&mixed), body.as_bytes()), Some(both));
    }

    #[test]
    fn ms23_a_report_on_reading_says_nothing() {
        let shown = report("x", Fate::Delivered).to_xml();
        let shown = shown.replace("delivery-notification", "display-notification");
        let shown = shown.replace("delivered", "displayed");
        assert_eq!(read(&kind("message/imdn+xml"), shown.as_bytes()), Some(Vec::new()));
    }

    #[test]
    fn ms25_no_report_has_a_document_type_another_charset_or_no_end() {
        let good = report("x", Fate::Failed).to_xml();
        let imdn = kind("message/imdn+xml");
        let body = good.split_once("\r\n").unwrap().1;
        let with_type = format!("<!DOCTYPE imdn [<!ENTITY x \"y\">]>{body}");
        let deep = format!("{}{}", "<imdn>".repeat(100_000), "</imdn>".repeat(100_000));
        for bad in
            [with_type.as_str(), deep.as_str(), &good[..good.len() - 3], "", "nonsense", "<other/>"]
        {
            assert_eq!(read(&imdn, bad.as_bytes()), Some(Vec::new()));
        }
        let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(read(&imdn, &utf16), Some(Vec::new()));
        let other = "--x\r\nContent-Type: text/plain\r\n\r\nhello\r\n--x--";
        assert_eq!(read(&kind("multipart/mixed;boundary=x"), other.as_bytes()), None);
        assert_eq!(read(&kind("multipart/mixed"), other.as_bytes()), None);
    }
}
