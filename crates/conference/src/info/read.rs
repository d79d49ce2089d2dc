//! Reads documents of any focus: tolerant in form, strict in size; merges partial ones (RFC 4575 §4.6).

use std::collections::BTreeMap;

use quick_xml::Reader;
use quick_xml::events::Event;
use thiserror::Error;

const MAX_BYTES: usize = 1024 * 1024;
const MAX_DEPTH: usize = 32;
const MAX_USERS: usize = 2000;
const MAX_ATTRIBUTES: usize = 64;

/// Why a document cannot be used.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum InfoError {
    /// Not well-formed, or a document type definition.
    #[error("the conference document is not readable XML")]
    Malformed,
    /// The root is another element.
    #[error("this is no conference document")]
    NotConferenceInfo,
    /// Over a limit.
    #[error("the conference document is too large")]
    TooLarge,
}

/// An element with what counts of it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) children: Vec<Element>,
    pub(crate) text: String,
}

impl Element {
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    fn child_text(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.trim()).filter(|text| !text.is_empty())
    }

    /// Without a state attribute an element is full (RFC 4575 §4.6).
    fn state(&self) -> &str {
        self.attribute("state").unwrap_or("full")
    }
}

/// The tree of a document. Prefixes are dropped; entities other than XML's own are refused with the DTD.
pub(crate) fn tree(bytes: &[u8]) -> Result<Element, InfoError> {
    if bytes.len() > MAX_BYTES {
        return Err(InfoError::TooLarge);
    }
    let mut reader =
        Reader::from_str(std::str::from_utf8(bytes).map_err(|_| InfoError::Malformed)?);
    let mut stack: Vec<Element> = Vec::new();
    loop {
        match reader.read_event().map_err(|_| InfoError::Malformed)? {
            Event::Start(start) => {
                if stack.len() >= MAX_DEPTH {
                    return Err(InfoError::TooLarge);
                }
                stack.push(element(&start)?);
            }
            Event::Empty(start) => {
                let empty = element(&start)?;
                match stack.last_mut() {
                    Some(parent) => parent.children.push(empty),
                    None => return Ok(empty),
                }
            }
            Event::End(_) => {
                let done = stack.pop().ok_or(InfoError::Malformed)?;
                match stack.last_mut() {
                    Some(parent) => parent.children.push(done),
                    None => return Ok(done),
                }
            }
            Event::Text(text) => {
                if let Some(current) = stack.last_mut() {
                    current.text.push_str(&text);
                }
            }
            Event::CData(data) => {
                if let Some(current) = stack.last_mut() {
                    current.text.push_str(&data);
                }
            }
            Event::GeneralRef(reference) => {
                let character = match &*reference {
                    "amp" => '&',
                    "lt" => '<',
                    "gt" => '>',
                    "quot" => '"',
                    "apos" => '\'',
                    _ => reference.resolve_char_ref().ok().flatten().ok_or(InfoError::Malformed)?,
                };
                if let Some(current) = stack.last_mut() {
                    current.text.push(character);
                }
            }
            Event::DocType(_) | Event::Eof => return Err(InfoError::Malformed),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
}

fn element(start: &quick_xml::events::BytesStart<'_>) -> Result<Element, InfoError> {
    let name = start.local_name().as_ref().to_owned();
    let mut attributes = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|_| InfoError::Malformed)?;
        if attributes.len() >= MAX_ATTRIBUTES {
            return Err(InfoError::TooLarge);
        }
        let key = attribute.key.as_ref().to_owned();
        let value = quick_xml::escape::unescape(&attribute.value)
            .map_err(|_| InfoError::Malformed)?
            .into_owned();
        attributes.push((key, value));
    }
    Ok(Element { name, attributes, children: Vec::new(), text: String::new() })
}

/// One person as a focus tells of him.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Seen {
    /// `<user entity>`
    pub entity: String,
    /// `<display-text>`, empty where there is none.
    pub name: String,
    /// Whether a role says host.
    pub is_host: bool,
    /// `<status>` of the endpoint that is furthest in.
    pub status: String,
    /// Whether all audio that is told of is recvonly or inactive while connected.
    pub is_muted: bool,
    /// Whether text reaches him, where the focus tells.
    pub takes_text: Option<bool>,
}

/// What a subscriber knows.
#[derive(Clone, Debug, Default)]
pub struct Known {
    version: Option<u32>,
    users: BTreeMap<String, Element>,
    order: Vec<String>,
    /// `<subject>`, where there is one.
    pub subject: Option<String>,
}

/// What a document brought.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Taken {
    /// The roster may have changed.
    Changed,
    /// The conference is over.
    Deleted,
    /// A partial document came without the one before it: ask for all.
    Gap,
    /// Old: discarded.
    Stale,
}

impl Known {
    /// A new subscription counts its documents anew.
    pub(crate) fn renew(&mut self) {
        self.version = None;
    }

    /// Takes a document in.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<Taken, InfoError> {
        let root = tree(bytes)?;
        if root.name != "conference-info" {
            return Err(InfoError::NotConferenceInfo);
        }
        let version = root.attribute("version").and_then(|version| version.trim().parse().ok());
        let state = root.state().to_owned();
        if state == "deleted" {
            return Ok(Taken::Deleted);
        }
        if let (Some(old), Some(new)) = (self.version, version) {
            if new <= old {
                return Ok(Taken::Stale);
            }
            if state == "partial" && new > old + 1 {
                return Ok(Taken::Gap);
            }
        } else if state == "partial" && self.version.is_none() {
            return Ok(Taken::Gap);
        }
        self.version = version.or(self.version);
        if let Some(description) = root.child("conference-description") {
            self.subject =
                description.child_text("subject").map(str::to_owned).or(self.subject.take());
        }
        if let Some(users) = root.child("users") {
            if users.state() == "full" {
                self.users.clear();
                self.order.clear();
            }
            for user in users.children.iter().filter(|child| child.name == "user") {
                self.take_user(user)?;
            }
        }
        Ok(Taken::Changed)
    }

    fn take_user(&mut self, user: &Element) -> Result<(), InfoError> {
        let Some(entity) = user.attribute("entity") else { return Ok(()) };
        match user.state() {
            "deleted" => {
                self.users.remove(entity);
                self.order.retain(|known| known != entity);
            }
            "partial" if self.users.contains_key(entity) => {
                if let Some(known) = self.users.get_mut(entity) {
                    merge(known, user);
                }
            }
            _ => {
                if self.users.len() >= MAX_USERS {
                    return Err(InfoError::TooLarge);
                }
                if self.users.insert(entity.to_owned(), user.clone()).is_none() {
                    self.order.push(entity.to_owned());
                }
            }
        }
        Ok(())
    }

    /// Takes a document; whether it was of use. For readers that keep no subscription.
    pub fn learn(&mut self, bytes: &[u8]) -> Result<bool, InfoError> {
        self.take(bytes).map(|taken| match taken {
            Taken::Changed | Taken::Deleted => true,
            Taken::Gap | Taken::Stale => false,
        })
    }

    /// Everybody, in the order in which the focus told of them.
    pub fn people(&self) -> Vec<Seen> {
        let users = self
            .order
            .iter()
            .filter_map(|entity| self.users.get(entity).map(|user| (entity, user)));
        users.map(|(entity, user)| seen(entity, user)).collect()
    }
}

/// A partial element: keyed children are merged or deleted, all others replaced.
fn merge(known: &mut Element, news: &Element) {
    for child in &news.children {
        let key = child.attribute("entity").or(child.attribute("id"));
        let same = |other: &Element| {
            other.name == child.name
                && (key.is_none() || other.attribute("entity").or(other.attribute("id")) == key)
        };
        let place = known.children.iter().position(same);
        match (place, child.state()) {
            (Some(place), "deleted") => {
                known.children.remove(place);
            }
            (None, "deleted") => {}
            (Some(place), "partial") => merge(&mut known.children[place], child),
            (Some(place), _) => known.children[place] = child.clone(),
            (None, _) => known.children.push(child.clone()),
        }
    }
}

fn seen(entity: &str, user: &Element) -> Seen {
    let roles = user.child("roles");
    let is_host =
        roles.is_some_and(|roles| roles.children.iter().any(|role| role.text.trim() == "host"));
    let rank = |status: &str| {
        [
            "disconnected",
            "disconnecting",
            "dialing-in",
            "dialing-out",
            "pending",
            "alerting",
            "on-hold",
            "muted-via-focus",
            "connected",
        ]
        .iter()
        .position(|known| *known == status)
    };
    let endpoints = user.children.iter().filter(|child| child.name == "endpoint");
    let best = endpoints.max_by_key(|endpoint| endpoint.child_text("status").and_then(rank));
    let status = best.and_then(|endpoint| endpoint.child_text("status")).unwrap_or("connected");
    let media = |kind: &str| {
        let all = best.into_iter().flat_map(|endpoint| &endpoint.children);
        let mut fitting = all
            .filter(move |child| child.name == "media" && child.child_text("type") == Some(kind));
        fitting.next().and_then(|media| media.child_text("status").map(str::to_owned))
    };
    let audio = media("audio");
    let is_muted = status == "muted-via-focus"
        || (status == "connected"
            && audio.is_some_and(|status| status == "recvonly" || status == "inactive"));
    let takes_text = media("message").map(|status| status == "sendrecv" || status == "recvonly");
    let name = user.child_text("display-text").map(crate::name::clean).unwrap_or_default();
    Seen {
        entity: entity.to_owned(),
        name,
        is_host,
        status: status.to_owned(),
        is_muted,
        takes_text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(attributes: &str, users: &str) -> Vec<u8> {
        format!(
            "<?xml version=\"1.0\"?><ci:conference-info xmlns:ci=\"urn:ietf:params:xml:ns:conference-info\" \
             entity=\"sip:c@d\" {attributes}>{users}</ci:conference-info>"
        )
        .into_bytes()
    }

    fn user(name: &str, status: &str) -> String {
        format!(
            "<user entity=\"sip:{name}@x\"><display-text>{name} &amp; &#67;o</display-text>\
             <endpoint entity=\"e\"><status>{status}</status></endpoint></user>"
        )
    }

    #[test]
    fn full_documents_replace_and_old_ones_are_discarded() {
        let mut known = Known::default();
        let first = document(
            "version=\"1\"",
            &format!("<users>{}{}</users>", user("a", "connected"), user("b", "on-hold")),
        );
        assert_eq!(known.take(&first), Ok(Taken::Changed));
        let people = known.people();
        assert_eq!(
            (people.len(), people[0].name.as_str(), people[1].status.as_str()),
            (2, "a & Co", "on-hold")
        );
        assert_eq!(known.take(&first), Ok(Taken::Stale));
        let next = document("version=\"2\"", &format!("<users>{}</users>", user("b", "connected")));
        assert_eq!(known.take(&next), Ok(Taken::Changed));
        assert_eq!(known.people().len(), 1);
    }

    #[test]
    fn a_new_subscription_counts_anew() {
        let mut known = Known::default();
        let users = |name| format!("<users>{}</users>", user(name, "connected"));
        assert_eq!(known.take(&document("version=\"7\"", &users("a"))), Ok(Taken::Changed));
        known.renew();
        assert_eq!(known.take(&document("version=\"0\"", &users("b"))), Ok(Taken::Changed));
        assert_eq!(known.people()[0].entity, "sip:b@x");
    }

    #[test]
    fn partial_documents_are_merged_and_a_gap_is_told() {
        let mut known = Known::default();
        let partial = |version, inner: &str| {
            document(
                &format!("version=\"{version}\" state=\"partial\""),
                &format!("<users state=\"partial\">{inner}</users>"),
            )
        };
        assert_eq!(known.take(&partial(4, "")), Ok(Taken::Gap));
        let both = format!("<users>{}{}</users>", user("a", "connected"), user("b", "alerting"));
        known.take(&document("version=\"4\"", &both)).unwrap();
        let news = "<user entity=\"sip:b@x\" state=\"partial\"><endpoint entity=\"e\" state=\"partial\">\
                    <status>connected</status></endpoint></user><user entity=\"sip:a@x\" state=\"deleted\"/>";
        assert_eq!(known.take(&partial(5, news)), Ok(Taken::Changed));
        let people = known.people();
        assert_eq!(
            (people.len(), people[0].entity.as_str(), people[0].status.as_str()),
            (1, "sip:b@x", "connected")
        );
        assert_eq!(people[0].name, "b & Co");
        assert_eq!(known.take(&partial(7, "")), Ok(Taken::Gap));
    }

    #[test]
    fn hostile_documents_are_refused() {
        let mut known = Known::default();
        let deep = format!("{}{}", "<a>".repeat(50), "</a>".repeat(50));
        assert_eq!(known.take(deep.as_bytes()), Err(InfoError::TooLarge));
        let dtd = b"<!DOCTYPE x [<!ENTITY a \"b\">]><conference-info/>";
        assert_eq!(known.take(dtd), Err(InfoError::Malformed));
        assert_eq!(known.take(b"<other/>"), Err(InfoError::NotConferenceInfo));
        assert_eq!(known.take(b"<conference-info>"), Err(InfoError::Malformed));
        assert_eq!(known.take(&vec![b' '; MAX_BYTES + 1]), Err(InfoError::TooLarge));
    }
}
