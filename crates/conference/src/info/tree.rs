//! The tree of a document of any focus: well-formed XML 1.0 without document types, within limits, what belongs to other
//! namespaces apart (sip-chat §3.11).

use quick_xml::NsReader;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};
use thiserror::Error;

use super::NAMESPACE;

const MAX_BYTES: usize = 1024 * 1024;
const MAX_DEPTH: usize = 32;
/// Enough for 2,000 people as we write them.
const MAX_ELEMENTS: usize = 50_000;
const MAX_ATTRIBUTES: usize = 64;

/// Why a document cannot be used.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum InfoError {
    /// Not well-formed, or with a document type definition.
    #[error("the conference document is not readable XML")]
    Malformed,
    /// The root is another element, or of another namespace.
    #[error("this is no conference document")]
    NotConferenceInfo,
    /// Over a limit.
    #[error("the conference document is too large")]
    TooLarge,
}

/// An element with what counts of it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Element {
    /// Without its prefix.
    pub(crate) name: String,
    /// Of another namespace than the document's; one without any is taken for that.
    pub(crate) is_foreign: bool,
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) children: Vec<Element>,
    pub(crate) text: String,
}

impl Element {
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name && !child.is_foreign)
    }

    /// Of a child; `None` where there is none or nothing in it.
    pub(crate) fn child_text(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.trim()).filter(|text| !text.is_empty())
    }

    /// Without a state attribute an element is full (RFC 4575 §4.6).
    pub(crate) fn state(&self) -> &str {
        self.attribute("state").unwrap_or("full")
    }

    /// About how many bytes of memory it takes.
    pub(crate) fn weight(&self) -> usize {
        let attributes = self.attributes.iter().map(|(key, value)| 48 + key.len() + value.len());
        let children = self.children.iter().map(Self::weight);
        let own = size_of::<Self>() + self.name.len() + self.text.len();
        own + attributes.sum::<usize>() + children.sum::<usize>()
    }

    /// Takes out what belongs to other namespaces.
    pub(crate) fn prune(&mut self) {
        self.children.retain(|child| !child.is_foreign);
        self.children.iter_mut().for_each(Self::prune);
    }
}

/// The tree of a conference document.
pub(crate) fn tree(bytes: &[u8]) -> Result<Element, InfoError> {
    build(bytes, Builder { own: Some(NAMESPACE.to_owned()), ..Builder::default() })
}

/// The tree of any small document: what is not of its root's namespace is foreign.
pub(crate) fn tree_of_any(bytes: &[u8]) -> Result<Element, InfoError> {
    build(bytes, Builder::default())
}

/// Entities other than XML's own are refused with the document types that could define them;
/// comments and processing instructions are passed over.
fn build(bytes: &[u8], mut builder: Builder) -> Result<Element, InfoError> {
    if bytes.len() > MAX_BYTES {
        return Err(InfoError::TooLarge);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| InfoError::Malformed)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if !text.chars().all(is_legal) {
        return Err(InfoError::Malformed);
    }
    let mut reader = NsReader::from_str(text);
    loop {
        let (namespace, event) = reader.read_resolved_event().map_err(|_| InfoError::Malformed)?;
        match event {
            Event::Start(start) => builder.open(&start, &namespace)?,
            Event::Empty(start) => {
                builder.open(&start, &namespace)?;
                builder.close()?;
            }
            Event::End(_) => builder.close()?,
            Event::Text(text) => builder.text(&text)?,
            Event::CData(data) => builder.text(&data)?,
            Event::GeneralRef(reference) => builder.text(&referred(&reference)?)?,
            Event::DocType(_) => return Err(InfoError::Malformed),
            Event::Eof => return builder.root.ok_or(InfoError::Malformed),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
}

#[derive(Default)]
struct Builder {
    /// The namespace that is not foreign; the root's where none is given.
    own: Option<String>,
    root: Option<Element>,
    open: Vec<Element>,
    count: usize,
}

impl Builder {
    fn open(
        &mut self,
        start: &BytesStart<'_>,
        namespace: &ResolveResult<'_>,
    ) -> Result<(), InfoError> {
        self.count += 1;
        if self.open.len() >= MAX_DEPTH || self.count > MAX_ELEMENTS {
            return Err(InfoError::TooLarge);
        }
        // There is one root.
        if self.root.is_some() {
            return Err(InfoError::Malformed);
        }
        let is_foreign = match namespace {
            ResolveResult::Unbound => false,
            ResolveResult::Bound(Namespace(name)) => {
                self.own.get_or_insert_with(|| (*name).to_owned()) != name
            }
            ResolveResult::Unknown(_) => return Err(InfoError::Malformed),
        };
        self.open.push(element(start, is_foreign)?);
        Ok(())
    }

    fn close(&mut self) -> Result<(), InfoError> {
        let done = self.open.pop().ok_or(InfoError::Malformed)?;
        match self.open.last_mut() {
            Some(parent) => parent.children.push(done),
            None => self.root = Some(done),
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), InfoError> {
        match self.open.last_mut() {
            Some(current) => current.text.push_str(text),
            None if text.trim().is_empty() => {}
            None => return Err(InfoError::Malformed),
        }
        Ok(())
    }
}

fn element(start: &BytesStart<'_>, is_foreign: bool) -> Result<Element, InfoError> {
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
        if !value.chars().all(is_legal) {
            return Err(InfoError::Malformed);
        }
        attributes.push((key, value));
    }
    Ok(Element { name, is_foreign, attributes, children: Vec::new(), text: String::new() })
}

/// What a reference in a text stands for.
fn referred(reference: &quick_xml::events::BytesRef<'_>) -> Result<String, InfoError> {
    let character = match &**reference {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => reference.resolve_char_ref().ok().flatten().ok_or(InfoError::Malformed)?,
    };
    if is_legal(character) { Ok(character.to_string()) } else { Err(InfoError::Malformed) }
}

/// Whether XML 1.0 can hold a character (§2.2).
pub(super) fn is_legal(character: char) -> bool {
    match character {
        '\t' | '\n' | '\r' => true,
        '\u{fffe}' | '\u{ffff}' => false,
        other => other >= ' ',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(document: &str) -> InfoError {
        tree(document.as_bytes()).unwrap_err()
    }

    #[test]
    fn what_is_not_well_formed_is_refused() {
        for bad in [
            "",
            "text",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "<a/>text",
            "text<a/>",
            "<a b=\"1\" b=\"2\"/>",
            "<a b=1/>",
            "<a>&what;</a>",
            "<a b=\"&what;\"/>",
            "<x:a/>",
            "<!DOCTYPE a><a/>",
            "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>",
            "<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>",
        ] {
            assert_eq!(refused(bad), InfoError::Malformed, "{bad}");
        }
        assert_eq!(tree(b"<a>\xff</a>"), Err(InfoError::Malformed));
        assert_eq!(
            tree(&[0xff, 0xfe, b'<', 0, b'a', 0, b'/', 0, b'>', 0]),
            Err(InfoError::Malformed)
        );
        assert!(tree(b"\xef\xbb\xbf<?xml version=\"1.0\"?><!-- x --><a/>\r\n").is_ok());
        assert!(tree(b"<?do this?><a><?do that?></a>").is_ok());
    }

    #[test]
    fn characters_that_xml_cannot_hold_are_refused_however_they_are_written() {
        for bad in
            ["\u{0}", "\u{1}", "\u{b}", "\u{1b}", "\u{fffe}", "&#0;", "&#1;", "&#x1b;", "&#xffff;"]
        {
            assert_eq!(refused(&format!("<a>{bad}</a>")), InfoError::Malformed, "{bad:?}");
            assert_eq!(refused(&format!("<a b=\"{bad}\"/>")), InfoError::Malformed, "{bad:?}");
        }
        let fine = tree("<a b=\"&#x41;\">&#9;&#xe9;\u{85}</a>".as_bytes()).unwrap();
        assert_eq!((fine.attribute("b"), fine.text.as_str()), (Some("A"), "\t\u{e9}\u{85}"));
    }

    #[test]
    fn what_is_too_large_is_refused() {
        let deep = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
        assert!(tree(deep(MAX_DEPTH).as_bytes()).is_ok());
        assert_eq!(refused(&deep(MAX_DEPTH + 1)), InfoError::TooLarge);
        assert_eq!(refused(&" ".repeat(MAX_BYTES + 1)), InfoError::TooLarge);
        assert_eq!(
            refused(&format!("<a>{}</a>", "<b/>".repeat(MAX_ELEMENTS))),
            InfoError::TooLarge
        );
        let attributes = |count| (0..count).map(|n| format!(" a{n}=\"\"")).collect::<String>();
        assert!(tree(format!("<a{}/>", attributes(MAX_ATTRIBUTES)).as_bytes()).is_ok());
        assert_eq!(
            refused(&format!("<a{}/>", attributes(MAX_ATTRIBUTES + 1))),
            InfoError::TooLarge
        );
    }

    #[test]
    fn names_belong_to_their_namespace_whatever_their_prefix() {
        let of = |text: &str| tree(text.as_bytes()).unwrap();
        let ours = format!("<i:a xmlns:i=\"{NAMESPACE}\"><b/><x xmlns=\"urn:x\"><y/></x></i:a>");
        let ours = of(&ours);
        let foreign = |element: &Element| element.is_foreign;
        assert_eq!((ours.name.as_str(), foreign(&ours)), ("a", false));
        assert_eq!(ours.children.iter().map(foreign).collect::<Vec<_>>(), [false, true]);
        assert!(foreign(&ours.children[1].children[0]));
        assert!(ours.child("x").is_none() && ours.child("b").is_some());
        assert!(!foreign(&of("<a/>")), "RFC 4579's own example has no namespace");
        assert!(foreign(&of("<a xmlns=\"urn:x\"/>")));
        let mut pruned = ours;
        pruned.prune();
        assert_eq!(pruned.children.len(), 1);
    }
}
