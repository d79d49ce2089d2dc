//! Writes documents, minified, in the default namespace: some readers know elements by their qualified names.

use std::io::Cursor;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

use super::NAMESPACE;
use super::state::{Detail, Endpoint, Media, State, User};

type Xml = Writer<Cursor<Vec<u8>>>;
type Done = std::io::Result<()>;

/// The highest version: some readers take it for a number with a sign.
const MAX_VERSION: u32 = i32::MAX as u32;

impl State {
    /// Everything, for whoever knows nothing or may have missed something.
    pub(crate) fn full(&self, version: u32) -> Vec<u8> {
        document(&self.entity, "full", version, |xml| {
            self.write_description(xml)?;
            if self.detail == Detail::Whole {
                self.write_host(xml)?;
            }
            self.write_counts(xml)?;
            parent(xml, "users", &[("state", "full")], |xml| {
                self.users.iter().try_for_each(|user| user.write(xml, self.detail))
            })
        })
    }

    /// What has changed since `before`, for whoever was told that, in the same detail; `None` where nothing has.
    pub(crate) fn partial(&self, before: &Self, version: u32) -> Option<Vec<u8>> {
        let body = |xml: &mut Xml| {
            if self.description() != before.description() {
                self.write_description(xml)?;
            }
            if self.host() != before.host() {
                self.write_host(xml)?;
            }
            if self.counts() != before.counts() {
                self.write_counts(xml)?;
            }
            if self.users != before.users {
                // Without its state the element would be full, and wipe everybody else out.
                let partial = [("state", "partial")];
                parent(xml, "users", &partial, |xml| self.write_changes(before, xml))?;
            }
            Ok(())
        };
        (self != before).then(|| document(&self.entity, "partial", version, body))
    }

    fn description(&self) -> (&str, &str, usize) {
        (&self.subject, &self.host_name, self.capacity)
    }

    fn host(&self) -> (&str, &str) {
        (&self.host_name, &self.host_uri)
    }

    fn counts(&self) -> (usize, bool) {
        (self.user_count(), self.is_locked)
    }

    fn write_changes(&self, before: &Self, xml: &mut Xml) -> Done {
        for user in &self.users {
            match before.user(&user.entity) {
                Some(old) if old == user => {}
                Some(old) if old.is_same_person(user) => {
                    user.write_changes(old, xml, self.detail)?
                }
                Some(_) | None => user.write(xml, self.detail)?,
            }
        }
        let gone = before.users.iter().filter(|old| self.user(&old.entity).is_none());
        for old in gone {
            empty(xml, "user", &[("entity", &old.entity), ("state", "deleted")])?;
        }
        Ok(())
    }

    fn write_description(&self, xml: &mut Xml) -> Done {
        let uri = |xml: &mut Xml, name, shown: Option<&str>, purpose| {
            parent(xml, name, &[], |xml| {
                parent(xml, "entry", &[], |xml| {
                    text(xml, "uri", &self.entity)?;
                    shown.map_or(Ok(()), |shown| text(xml, "display-text", shown))?;
                    text(xml, "purpose", purpose)
                })
            })
        };
        parent(xml, "conference-description", &[], |xml| {
            if self.detail == Detail::Least {
                return text(xml, "subject", &self.subject);
            }
            text(xml, "display-text", &format!("{}'s conference", self.host_name))?;
            text(xml, "subject", &self.subject)?;
            uri(xml, "conf-uris", Some("Join"), "participation")?;
            uri(xml, "service-uris", None, "event")?;
            text(xml, "maximum-user-count", &self.capacity.to_string())?;
            parent(xml, "available-media", &[], |xml| {
                for (label, kind) in AVAILABLE {
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

    fn write_host(&self, xml: &mut Xml) -> Done {
        parent(xml, "host-info", &[], |xml| {
            text(xml, "display-text", &self.host_name)?;
            parent(xml, "uris", &[], |xml| {
                parent(xml, "entry", &[], |xml| text(xml, "uri", &self.host_uri))
            })
        })
    }

    fn write_counts(&self, xml: &mut Xml) -> Done {
        parent(xml, "conference-state", &[], |xml| {
            text(xml, "user-count", &self.user_count().to_string())?;
            text(xml, "active", "true")?;
            text(xml, "locked", if self.is_locked { "true" } else { "false" })
        })
    }
}

impl User {
    fn write(&self, xml: &mut Xml, detail: Detail) -> Done {
        parent(xml, "user", keyed(&[("entity", &self.entity), ("state", "full")], detail), |xml| {
            text(xml, "display-text", &self.name)?;
            if self.is_host || detail == Detail::Whole {
                let role = if self.is_host { "host" } else { "participant" };
                parent(xml, "roles", &[], |xml| text(xml, "entry", role))?;
            }
            if let Some(focus) = &self.cascaded_focus {
                text(xml, "cascaded-focus", focus)?;
            }
            self.endpoints.iter().try_for_each(|endpoint| endpoint.write(xml, detail))
        })
    }

    fn write_changes(&self, before: &Self, xml: &mut Xml, detail: Detail) -> Done {
        parent(xml, "user", &[("entity", &self.entity), ("state", "partial")], |xml| {
            for endpoint in &self.endpoints {
                match before.endpoint(&endpoint.entity) {
                    Some(old) if old == endpoint => {}
                    Some(old) if old.differs_little(endpoint) => {
                        endpoint.write_changes(old, xml)?;
                    }
                    Some(_) | None => endpoint.write(xml, detail)?,
                }
            }
            let gone = before.endpoints.iter().filter(|old| self.endpoint(&old.entity).is_none());
            for old in gone {
                empty(xml, "endpoint", &[("entity", &old.entity), ("state", "deleted")])?;
            }
            Ok(())
        })
    }
}

impl Endpoint {
    fn write(&self, xml: &mut Xml, detail: Detail) -> Done {
        let key = [("entity", self.entity.as_str()), ("state", "full")];
        parent(xml, "endpoint", keyed(&key, detail), |xml| {
            if let Some(by) = &self.referred_by {
                parent(xml, "referred", &[], |xml| text(xml, "by", by))?;
            }
            text(xml, "status", self.status)?;
            if detail == Detail::Whole {
                text(xml, "joining-method", self.joining)?;
            }
            if let Some(joined) = self.joined {
                parent(xml, "joining-info", &[], |xml| {
                    when(xml, joined)?;
                    self.joined_by.as_ref().map_or(Ok(()), |by| text(xml, "by", by))
                })?;
            }
            if let Some(how) = self.gone_how {
                text(xml, "disconnection-method", how)?;
            }
            if let Some(gone) = self.gone {
                parent(xml, "disconnection-info", &[], |xml| when(xml, gone))?;
            }
            self.media.iter().try_for_each(|media| media.write(xml))
        })
    }

    fn write_changes(&self, before: &Self, xml: &mut Xml) -> Done {
        parent(xml, "endpoint", &[("entity", &self.entity), ("state", "partial")], |xml| {
            if self.status != before.status {
                text(xml, "status", self.status)?;
            }
            // A stream has no state of its own: it is told whole, or not at all.
            let mut changed = self.media.iter().filter(|media| !before.media.contains(media));
            changed.try_for_each(|media| media.write(xml))
        })
    }
}

impl Media {
    /// Type and status are always there: one known reader takes them for granted.
    fn write(&self, xml: &mut Xml) -> Done {
        parent(xml, "media", &[("id", self.id)], |xml| {
            text(xml, "type", self.kind)?;
            self.label.map_or(Ok(()), |label| text(xml, "label", label))?;
            if let Some(source) = self.source {
                text(xml, "src-id", &source.to_string())?;
            }
            text(xml, "status", self.status)
        })
    }
}

/// What is full need not say so (RFC 4575 §4.4), though some read it more easily.
fn keyed<'a>(attributes: &'a [(&'a str, &'a str)], detail: Detail) -> &'a [(&'a str, &'a str)] {
    match detail {
        Detail::Least => &attributes[..1],
        Detail::Whole => attributes,
    }
}

/// What a conference has, by label: sound and texts.
const AVAILABLE: [(&str, &str); 2] = [("audio", "audio"), ("chat", "message")];

fn document(
    entity: &str,
    state: &str,
    version: u32,
    inner: impl FnOnce(&mut Xml) -> Done,
) -> Vec<u8> {
    let mut xml = Writer::new(Cursor::new(Vec::new()));
    let version = version.min(MAX_VERSION).to_string();
    let root = [("xmlns", NAMESPACE), ("entity", entity), ("state", state), ("version", &version)];
    // Writing into memory cannot fail.
    let _ = xml
        .write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))
        .and_then(|()| parent(&mut xml, "conference-info", &root, inner));
    xml.into_inner().into_inner()
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

fn empty(xml: &mut Xml, name: &str, attributes: &[(&str, &str)]) -> Done {
    parent(xml, name, attributes, |_| Ok(()))
}

fn text(xml: &mut Xml, name: &str, value: &str) -> Done {
    xml.create_element(name).write_text_content(BytesText::new(&legal(value)))?;
    Ok(())
}

/// In UTC (RFC 4575 §5.7.2), to the second.
fn when(xml: &mut Xml, when: OffsetDateTime) -> Done {
    let whole = when.replace_nanosecond(0).unwrap_or(when).to_offset(UtcOffset::UTC);
    text(xml, "when", &whole.format(&Rfc3339).unwrap_or_default())
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
mod tests;
