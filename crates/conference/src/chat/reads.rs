//! What the other end of a call reads beside plain text, as far as it says so (sip-chat §3.2). Nothing is guessed: many
//! phones answer 200 to what they then show raw.

use sip_core::Headers;

/// Types that are listed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Reads {
    /// Envelopes: `message/cpim`, to the letter.
    pub(crate) envelopes: bool,
    /// Typing marks.
    pub(crate) marks: bool,
    /// Delivery reports.
    pub(crate) reports: bool,
    /// It is of our own kind: it knows parts, order and history besides.
    pub(crate) is_ours: bool,
}

impl Reads {
    /// From the headers of an INVITE, an answer to one, or a target refresh; `None` where they say nothing of it.
    pub(crate) fn of(headers: &Headers) -> Option<Self> {
        let contacts = headers.contacts().unwrap_or_default();
        let is_ours = contacts.iter().any(|contact| contact.params.has("+parlour.chat"));
        let accept = headers.accept();
        if accept.is_none() && !is_ours {
            return None;
        }
        let accept = accept.unwrap_or_default();
        let lists = |kind: &str| is_ours || accept.iter().any(|one| one.as_str() == kind);
        Some(Self {
            envelopes: lists("message/cpim"),
            marks: lists("application/im-iscomposing+xml"),
            reports: lists("message/imdn+xml"),
            is_ours,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(accept: &str, contact: &str) -> Option<Reads> {
        let mut headers = Headers::default();
        if !accept.is_empty() {
            headers.push("Accept", accept);
        }
        headers.push("Contact", contact);
        Reads::of(&headers)
    }

    #[test]
    fn only_what_is_listed_to_the_letter_is_read() {
        let plain = "<sip:bob@192.0.2.21>";
        assert_eq!(read("", plain), None);
        for accept in ["*/*", "message/*", "text/plain", "application/sdp, text/html"] {
            assert_eq!(read(accept, plain), Some(Reads::default()), "{accept}");
        }
        let some = read("text/plain, message/cpim, message/imdn+xml", plain).unwrap();
        assert!(some.envelopes && some.reports && !some.marks && !some.is_ours);
        let ours = read("", "<sip:bob@192.0.2.21>;+parlour.chat=\"1\"").unwrap();
        assert!(ours.envelopes && ours.reports && ours.marks && ours.is_ours);
    }
}
