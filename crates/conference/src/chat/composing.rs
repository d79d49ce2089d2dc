//! Typing marks (RFC 3994): the document, when one is sent, and how long one is believed. Times are on an injected clock.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::time::{Duration, Instant};

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use crate::info::tree::tree_of_any;

/// Who wrote nothing for so long is idle (§3.2).
const IDLE_AFTER: Duration = Duration::from_secs(15);
/// How long a mark holds that says nothing of it (§3.3).
const DEFAULT_HOLD: Duration = Duration::from_secs(120);
/// A mark is not renewed before (§3.2: at least 60 s), and a shorter time of somebody else's is not believed.
const REFRESH: Duration = Duration::from_secs(60);
/// The longest that a mark is believed.
const MAX_HOLD: Duration = Duration::from_secs(600);

/// A mark.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mark {
    /// He writes; the mark holds for so long.
    Active(Duration),
    /// He does not.
    Idle,
}

impl Mark {
    /// That somebody writes, as we say it.
    pub(crate) const WRITES: Self = Self::Active(REFRESH);

    /// As the body of `application/im-iscomposing+xml`.
    pub(crate) fn to_xml(self) -> String {
        let mut xml = Writer::new(Cursor::new(Vec::new()));
        // Writing into memory cannot fail.
        let _ = self.write(&mut xml);
        String::from_utf8(xml.into_inner().into_inner()).unwrap_or_default()
    }

    fn write(self, xml: &mut Writer<Cursor<Vec<u8>>>) -> std::io::Result<()> {
        xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
        xml.get_mut().get_mut().extend_from_slice(b"\r\n");
        let end = xml.get_ref().get_ref().len();
        xml.get_mut().set_position(end as u64);
        let root = xml.create_element("isComposing");
        let root = root.with_attribute(("xmlns", "urn:ietf:params:xml:ns:im-iscomposing"));
        root.write_inner_content(|xml| {
            let mut text = |name: &str, value: &str| {
                xml.create_element(name).write_text_content(BytesText::new(value)).map(|_| ())
            };
            text("state", if self == Self::Idle { "idle" } else { "active" })?;
            text("contenttype", "text/plain")?;
            match self {
                Self::Active(hold) => text("refresh", &hold.as_secs().to_string()),
                Self::Idle => Ok(()),
            }
        })?;
        Ok(())
    }

    /// Reads one; a state that is not known is idle.
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let root = tree_of_any(body).ok().filter(|root| root.name == "isComposing")?;
        let text = |name: &str| root.child(name).map(|child| child.text.trim());
        if text("state") != Some("active") {
            return Some(Self::Idle);
        }
        let refresh = text("refresh").and_then(|seconds| seconds.parse().ok());
        let hold = refresh.map_or(DEFAULT_HOLD, Duration::from_secs);
        Some(Self::Active(hold.clamp(REFRESH, MAX_HOLD)))
    }
}

/// What we tell of our own writing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Composer {
    /// Nothing is being written.
    #[default]
    Idle,
    /// Something is; it was told at `told`, and the last key was pressed at `touched`.
    Active { told: Instant, touched: Instant },
}

impl Composer {
    /// The user pressed a key: the mark to send, where one is due.
    pub(crate) fn touch(&mut self, now: Instant) -> Option<Mark> {
        let due = match *self {
            Self::Idle => true,
            Self::Active { told, .. } => told + REFRESH <= now,
        };
        let told = match *self {
            Self::Active { told, .. } if !due => told,
            Self::Active { .. } | Self::Idle => now,
        };
        *self = Self::Active { told, touched: now };
        due.then_some(Mark::WRITES)
    }

    /// Time has passed: the mark to send, where one is due.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<Mark> {
        let over = self.until().is_some_and(|until| until <= now);
        over.then(|| {
            *self = Self::Idle;
            Mark::Idle
        })
    }

    /// The text was sent, which tells more than a mark (§3.2).
    pub(crate) fn sent(&mut self) {
        *self = Self::Idle;
    }

    /// When it is to be woken.
    pub(crate) fn until(&self) -> Option<Instant> {
        match self {
            Self::Idle => None,
            Self::Active { touched, .. } => Some(*touched + IDLE_AFTER),
        }
    }
}

/// Others that write, as far as their marks are believed.
#[derive(Clone, Debug)]
pub(crate) struct Writers<K>(BTreeMap<K, Instant>);

impl<K> Default for Writers<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Clone + Ord> Writers<K> {
    /// A mark of somebody's; whether that changes what is known, and to what.
    pub(crate) fn hear(&mut self, who: &K, mark: Mark, now: Instant) -> Option<bool> {
        match mark {
            Mark::Active(hold) => {
                let known = self.0.insert(who.clone(), now + hold);
                known.is_none().then_some(true)
            }
            Mark::Idle => self.0.remove(who).map(|_| false),
        }
    }

    /// Those whose marks are over.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<K> {
        let over = self.0.iter().filter(|(_, until)| **until <= now);
        let over: Vec<K> = over.map(|(who, _)| who.clone()).collect();
        self.0.retain(|_, until| *until > now);
        over
    }

    /// When the next one is over.
    pub(crate) fn until(&self) -> Option<Instant> {
        self.0.values().min().copied()
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test's clock must begin somewhere")]
mod tests {
    use super::*;

    #[test]
    fn ms24_a_mark_is_written_to_the_letter_and_read_as_it_is_meant() {
        let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n\
            <isComposing xmlns=\"urn:ietf:params:xml:ns:im-iscomposing\"><state>active</state>\
            <contenttype>text/plain</contenttype><refresh>60</refresh></isComposing>";
        assert_eq!(Mark::WRITES.to_xml(), expected);
        for mark in [Mark::WRITES, Mark::Idle] {
            assert_eq!(Mark::read(mark.to_xml().as_bytes()), Some(mark));
        }
        let read =
            |inner: &str| Mark::read(format!("<isComposing>{inner}</isComposing>").as_bytes());
        assert_eq!(read("<state>active</state>"), Some(Mark::Active(DEFAULT_HOLD)));
        assert_eq!(read("<state>active</state><refresh>5</refresh>"), Some(Mark::WRITES));
        assert_eq!(
            read("<state>active</state><refresh>90</refresh>"),
            Some(Mark::Active(Duration::from_secs(90)))
        );
        assert_eq!(
            read("<state>active</state><refresh>99999999</refresh>"),
            Some(Mark::Active(MAX_HOLD))
        );
        assert_eq!(read("<state>dancing</state>"), Some(Mark::Idle), "not known: idle");
        assert_eq!(read(""), Some(Mark::Idle));
        for bad in ["", "<imdn/>", "<!DOCTYPE x><isComposing><state>active</state></isComposing>"] {
            assert_eq!(Mark::read(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn ms24_a_mark_is_sent_at_the_first_key_renewed_after_60_s_and_over_after_15_without_one() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut composer = Composer::default();
        assert_eq!(composer.expire(at(0)), None);
        assert_eq!(composer.touch(at(0)), Some(Mark::WRITES));
        for second in 1..60 {
            assert_eq!(composer.touch(at(second)), None, "{second} s");
            assert_eq!(composer.expire(at(second)), None);
        }
        assert_eq!(composer.touch(at(60)), Some(Mark::WRITES));
        assert_eq!(composer.until(), Some(at(75)));
        assert_eq!(composer.expire(at(74)), None);
        assert_eq!(composer.expire(at(75)), Some(Mark::Idle));
        assert_eq!(composer.until(), None);
        assert_eq!(composer.touch(at(76)), Some(Mark::WRITES));
        composer.sent();
        assert_eq!(composer.expire(at(200)), None, "the text said it");
    }

    #[test]
    fn ms24_a_mark_of_somebody_elses_is_believed_until_its_time_is_over() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut writers = Writers::default();
        assert_eq!(writers.hear(&1, Mark::Idle, at(0)), None);
        assert_eq!(writers.hear(&1, Mark::Active(DEFAULT_HOLD), at(0)), Some(true));
        assert_eq!(writers.hear(&1, Mark::Active(DEFAULT_HOLD), at(50)), None, "renewed");
        assert_eq!(writers.until(), Some(at(170)));
        assert_eq!(writers.expire(at(169)), Vec::<i32>::new());
        assert_eq!(writers.expire(at(170)), [1]);
        assert_eq!(writers.hear(&1, Mark::WRITES, at(171)), Some(true));
        assert_eq!(writers.hear(&1, Mark::Idle, at(172)), Some(false));
        assert_eq!(writers.until(), None);
    }
}
