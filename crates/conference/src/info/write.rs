//! Writes full documents, minified, in the default namespace: some readers know elements by their qualified names.

use std::io::Cursor;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

type Xml = Writer<Cursor<Vec<u8>>>;
type Done = std::io::Result<()>;

const NAMESPACE: &str = "urn:ietf:params:xml:ns:conference-info";

/// One person as the document says it.
#[derive(Debug)]
pub(crate) struct User<'a> {
    pub(crate) entity: &'a str,
    pub(crate) name: &'a str,
    pub(crate) is_host: bool,
    pub(crate) endpoint: String,
    pub(crate) status: &'static str,
    pub(crate) joining: &'static str,
    pub(crate) joined: Option<OffsetDateTime>,
    pub(crate) gone_how: Option<&'static str>,
    pub(crate) is_muted: bool,
    pub(crate) is_held: bool,
    pub(crate) takes_text: bool,
}

/// A whole conference.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    pub(crate) entity: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) host_name: &'a str,
    pub(crate) host_uri: &'a str,
    pub(crate) capacity: usize,
    pub(crate) is_locked: bool,
    pub(crate) version: u32,
    pub(crate) users: Vec<User<'a>>,
}

impl Document<'_> {
    /// The bytes of the body.
    pub(crate) fn to_xml(&self) -> Vec<u8> {
        let mut xml = Writer::new(Cursor::new(Vec::new()));
        // Writing into memory cannot fail.
        let _ = self.write(&mut xml);
        xml.into_inner().into_inner()
    }

    fn write(&self, xml: &mut Xml) -> Done {
        xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
        let version = self.version.to_string();
        let root = [
            ("xmlns", NAMESPACE),
            ("entity", self.entity),
            ("state", "full"),
            ("version", &version),
        ];
        parent(xml, "conference-info", &root, |xml| {
            self.description(xml)?;
            self.host(xml)?;
            parent(xml, "conference-state", &[], |xml| {
                let here = self.users.iter().filter(|user| user.status != "disconnected").count();
                text(xml, "user-count", &here.to_string())?;
                text(xml, "active", "true")?;
                text(xml, "locked", if self.is_locked { "true" } else { "false" })
            })?;
            parent(xml, "users", &[("state", "full")], |xml| {
                self.users.iter().try_for_each(|user| user.write(xml))
            })
        })
    }

    fn description(&self, xml: &mut Xml) -> Done {
        parent(xml, "conference-description", &[], |xml| {
            text(xml, "display-text", &format!("{}'s conference", self.host_name))?;
            text(xml, "subject", self.subject)?;
            parent(xml, "conf-uris", &[], |xml| {
                parent(xml, "entry", &[], |xml| {
                    text(xml, "uri", self.entity)?;
                    text(xml, "purpose", "participation")
                })
            })?;
            text(xml, "maximum-user-count", &self.capacity.to_string())?;
            parent(xml, "available-media", &[], |xml| {
                for (label, kind) in [("audio", "audio"), ("chat", "message")] {
                    parent(xml, "entry", &[("label", label)], |xml| {
                        text(xml, "display-text", label)?;
                        text(xml, "type", kind)?;
                        text(xml, "status", "sendrecv")
                    })?;
                }
                Ok(())
            })
        })
    }

    fn host(&self, xml: &mut Xml) -> Done {
        parent(xml, "host-info", &[], |xml| {
            text(xml, "display-text", self.host_name)?;
            parent(xml, "uris", &[], |xml| {
                parent(xml, "entry", &[], |xml| text(xml, "uri", self.host_uri))
            })
        })
    }
}

impl User<'_> {
    fn write(&self, xml: &mut Xml) -> Done {
        parent(xml, "user", &[("entity", self.entity), ("state", "full")], |xml| {
            text(xml, "display-text", self.name)?;
            let role = if self.is_host { "host" } else { "participant" };
            parent(xml, "roles", &[], |xml| text(xml, "entry", role))?;
            parent(xml, "endpoint", &[("entity", &self.endpoint), ("state", "full")], |xml| {
                text(xml, "status", self.status)?;
                text(xml, "joining-method", self.joining)?;
                if let Some(when) = self.joined.and_then(|when| when.replace_nanosecond(0).ok()) {
                    let when =
                        when.to_offset(time::UtcOffset::UTC).format(&Rfc3339).unwrap_or_default();
                    parent(xml, "joining-info", &[], |xml| text(xml, "when", &when))?;
                }
                if let Some(how) = self.gone_how {
                    text(xml, "disconnection-method", how)?;
                }
                let audio = match (self.status, self.is_held, self.is_muted) {
                    ("connected", false, false) => "sendrecv",
                    ("connected", false, true) => "recvonly",
                    _ => "inactive",
                };
                media(xml, "1", "audio", "audio", audio)?;
                let chat = match (self.status, self.takes_text) {
                    ("connected" | "on-hold", true) => "sendrecv",
                    ("connected" | "on-hold", false) => "sendonly",
                    _ => "inactive",
                };
                media(xml, "chat", "message", "chat", chat)
            })
        })
    }
}

/// Type and status are always there: one known reader takes them for granted.
fn media(xml: &mut Xml, id: &str, kind: &str, label: &str, status: &str) -> Done {
    parent(xml, "media", &[("id", id)], |xml| {
        text(xml, "type", kind)?;
        text(xml, "label", label)?;
        text(xml, "status", status)
    })
}

fn parent(
    xml: &mut Xml,
    name: &str,
    attributes: &[(&str, &str)],
    inner: impl FnOnce(&mut Xml) -> Done,
) -> Done {
    let attributes: Vec<(&str, String)> =
        attributes.iter().map(|(key, value)| (*key, legal(value))).collect();
    let attributes = attributes.iter().map(|(key, value)| (*key, value.as_str()));
    xml.create_element(name).with_attributes(attributes).write_inner_content(inner)?;
    Ok(())
}

fn text(xml: &mut Xml, name: &str, value: &str) -> Done {
    xml.create_element(name).write_text_content(BytesText::new(&legal(value)))?;
    Ok(())
}

/// Without the characters that XML 1.0 cannot hold (§2.2): one would make the whole document unreadable.
fn legal(value: &str) -> String {
    let is_legal = |c: &char| match c {
        '\t' | '\n' | '\r' => true,
        '\u{fffe}' | '\u{ffff}' => false,
        c => !c.is_control(),
    };
    value.chars().filter(is_legal).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::info::read::Known;

    #[test]
    fn what_xml_cannot_hold_is_left_out_everywhere() {
        let bad = "a\u{0}\u{1b}\u{7f}\u{fffe}\u{ffff}<&\"\u{e9}";
        let entity = format!("sip:u{bad}@h");
        let document = Document {
            entity: &format!("sip:conf{bad}@h"),
            subject: bad,
            host_name: bad,
            host_uri: bad,
            capacity: 3,
            is_locked: false,
            version: 1,
            users: vec![User {
                entity: &entity,
                name: bad,
                is_host: false,
                endpoint: bad.to_owned(),
                status: "connected",
                joining: "dialed-in",
                joined: None,
                gone_how: None,
                is_muted: false,
                is_held: false,
                takes_text: true,
            }],
        };
        let xml = String::from_utf8(document.to_xml()).unwrap();
        assert!(!xml.contains(|c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}')));
        let mut known = Known::default();
        known.take(xml.as_bytes()).unwrap();
        assert_eq!(known.subject.as_deref(), Some("a<&\"\u{e9}"));
        let people = known.people();
        assert_eq!(people[0].entity, "sip:ua<&\"\u{e9}@h");
        assert_eq!(people[0].name, "a<&\"\u{e9}");
    }
}
