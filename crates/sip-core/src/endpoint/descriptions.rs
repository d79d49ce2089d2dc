//! The session descriptions of a call: which of either side are in force, and the numbers of ours (RFC 3264 §4, §8).
//! What they say is for the user of the Endpoint; here they are kept so that a refresh can repeat ours as it is, and an
//! exchange that fails leaves both as they were (RFC 3261 §14.1).

use bytes::Bytes;

use super::Endpoint;
use crate::{CallKey, Content, Request, Response};

/// Those of one call.
#[derive(Debug, Default)]
pub(super) struct Descriptions {
    /// Ours in force.
    local: Option<Content>,
    /// The peer's in force.
    remote: Option<Bytes>,
    /// Ours that waits for its answer.
    offered: Option<Content>,
    /// The number and the rest of ours that went out last, in force or not.
    sent: Option<(u64, String)>,
}

impl Descriptions {
    /// Ours that goes out as an offer, numbered.
    pub(super) fn offer(&mut self, content: Content) -> Content {
        let content = self.number(content);
        self.offered = Some(content.clone());
        content
    }

    /// Ours that goes out as the answer to this offer, numbered: both are in force.
    pub(super) fn answer(&mut self, offer: &Bytes, content: Content) -> Content {
        let content = self.number(content);
        self.local = Some(content.clone());
        self.remote = Some(offer.clone());
        content
    }

    /// An offer that went out numbered, before the call was taken.
    pub(super) fn resume(&mut self, offer: Content) {
        self.offered = Some(offer);
    }

    /// Our offer has this answer; an empty one says nothing, and leaves the peer's as it was. True where it is another
    /// than the one in force.
    pub(super) fn answered(&mut self, answer: &Bytes) -> bool {
        if let Some(offered) = self.offered.take() {
            self.local = Some(offered);
        }
        let differs = !answer.is_empty() && self.remote.as_ref() != Some(answer);
        if differs {
            self.remote = Some(answer.clone());
        }
        differs
    }

    /// Our offer was refused: what was in force stays.
    pub(super) fn refused(&mut self) {
        self.offered = None;
    }

    /// Ours in force.
    pub(super) fn local(&self) -> Option<&Content> {
        self.local.as_ref()
    }

    /// Whether an offer of before still is one: it has all the streams that the session has (RFC 3264 §8).
    pub(super) fn fits(&self, offer: &Content) -> bool {
        let streams = |body: &Bytes| {
            body.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"m=")).count()
        };
        self.local.as_ref().is_none_or(|local| streams(&local.body) <= streams(&offer.body))
    }

    /// The version grows with each description that differs from the one sent before, and only then (RFC 3264 §8): also
    /// where that one was made later, because an offer had to wait for the peer's.
    pub(super) fn number(&mut self, content: Content) -> Content {
        // The one in force again is no other, even behind one that was refused.
        if self.local.as_ref() == Some(&content) {
            return content;
        }
        let Some((version, rest)) = take_version(&content.body) else { return content };
        let number = match &self.sent {
            Some((known, same)) if version <= *known && *same == rest => *known,
            Some((known, _)) if version <= *known => known.saturating_add(1),
            Some(_) | None => version,
        };
        let body = if number == version { content.body } else { put_version(&rest, number) };
        self.sent = Some((number, rest));
        Content { body, ..content }
    }
}

impl Endpoint {
    /// Writes our description into the 2xx to an INVITE or UPDATE of the peer: an answer, or an offer where it has none.
    pub(super) fn describe(
        &mut self,
        key: CallKey,
        request: &Request,
        response: &mut Response,
        content: Content,
    ) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let content = if request.body.is_empty() {
            call.descriptions.offer(content)
        } else {
            call.descriptions.answer(&request.body, content)
        };
        response.set_content(content);
    }

    /// Our session description in force: the last one that was exchanged with success (RFC 3264 §4).
    pub fn local_description(&self, call: CallKey) -> Option<&Content> {
        self.calls.get(&call)?.descriptions.local()
    }

    /// The body of the peer's in force.
    pub fn remote_description(&self, call: CallKey) -> Option<&Bytes> {
        self.calls.get(&call)?.descriptions.remote.as_ref()
    }
}

/// 488 and 606 tell what cannot be taken (RFC 3261 §14.2, §20.43).
pub(super) fn write_warning(response: &mut Response, text: &str) {
    if matches!(response.status.code(), 488 | 606) {
        response.headers.push("Warning", text);
    }
}

/// The formats of the description.
pub(super) const NO_FORMAT: &str = "305 parlour \"Incompatible media format\"";
/// An offer at a time when there cannot be one.
pub(super) const NO_OFFER: &str = "399 parlour \"No second offer before the call is taken\"";

/// The version of the origin, and the text with `*` in its place.
fn take_version(body: &[u8]) -> Option<(u64, String)> {
    let text = std::str::from_utf8(body).ok()?;
    let start = if text.starts_with("o=") { 0 } else { text.find("\no=")? + 1 };
    let line = text[start..].lines().next()?;
    let mut fields = line.split(' ');
    let (user, id, version) = (fields.next()?, fields.next()?, fields.next()?);
    let at = start + user.len() + id.len() + 2;
    let (before, after) = (&text[..at], &text[at + version.len()..]);
    Some((version.parse().ok()?, format!("{before}*{after}")))
}

/// The star that `take_version` wrote is the first one behind the origin's two fields.
fn put_version(rest: &str, version: u64) -> Bytes {
    let start = if rest.starts_with("o=") { 0 } else { rest.find("\no=").map_or(0, |at| at + 1) };
    let (before, origin) = rest.split_at(start);
    let fields: Vec<&str> = origin.splitn(3, ' ').collect();
    let [user, id, tail] = fields.as_slice() else { return Bytes::from(rest.to_owned()) };
    let tail = tail.strip_prefix('*').unwrap_or(tail);
    Bytes::from(format!("{before}{user} {id} {version}{tail}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(version: u64, more: &str) -> Content {
        Content::sdp(format!("v=0\r\no=- 7 {version} IN IP4 192.0.2.1\r\ns=*\r\n{more}"))
    }

    #[test]
    fn a_description_that_waited_is_numbered_behind_those_that_went_before() {
        let mut known = Descriptions::default();
        assert_eq!(known.offer(described(8, "one")), described(8, "one"));
        known.refused();
        assert_eq!(known.answer(&Bytes::new(), described(9, "two")), described(9, "two"));
        // The first goes again: it is new to the peer.
        assert_eq!(known.offer(described(8, "one")), described(10, "one"));
        assert_eq!(known.offer(described(9, "one")), described(10, "one"), "nothing changed");
        assert_eq!(known.offer(described(10, "three")), described(11, "three"));
        assert_eq!(known.offer(described(20, "four")), described(20, "four"));
    }

    #[test]
    fn what_has_no_origin_goes_as_it_is() {
        let mut known = Descriptions::default();
        for body in ["v=0\r\n", "", "o=-", "v=0\r\no=- 1 x IN", "v=0\r\no=- 1  IN"] {
            let content = Content::sdp(body.to_owned());
            assert_eq!(known.offer(content.clone()), content);
        }
        let bytes = Content::new("x/y", Bytes::from_static(b"o=\xff"));
        assert_eq!(known.offer(bytes.clone()), bytes);
    }

    #[test]
    fn an_offer_with_fewer_streams_than_the_session_has_is_none_any_more() {
        let mut known = Descriptions::default();
        let (one, two) = (described(1, "m=audio\r\n"), described(2, "m=audio\r\nm=video\r\n"));
        assert!(known.fits(&one));
        known.answer(&Bytes::new(), two.clone());
        assert!(!known.fits(&one) && known.fits(&two));
    }
}
