//! Texts of a participant: his own to the peer, one at a time; the peer's to him, with their authors given back where the
//! peer is a focus (sip-chat §3.4, §3.8, §3.9).

use sip_core::{CallKey, Flow, Request, RequestId, StatusCode};

use super::{Gathering, Member, OWN, PARTS_WAIT, PEER, SHORT_PART, SHORT_PART_WAIT, Said};
use crate::chat::body::{self, Content};
use crate::chat::composing::Mark;
use crate::chat::whole::Joined;
use crate::chat::{expiry, form, parts};
use crate::focus::entity_of;
use crate::text::links;
use crate::tie::{LegAddress, tie};
use crate::{Event, Line, MessageId, Now, Recipient, SipAct, name};

/// One part of a text, as it came.
struct Part {
    author: String,
    private: bool,
    verified: bool,
    /// Without the mark, and with it.
    piece: String,
    whole: String,
    /// Bytes on the wire.
    size: usize,
    place: usize,
    count: usize,
}

impl Member {
    pub(super) fn say(&mut self, reference: String, text: String, to: Recipient, now: Now) {
        let said = Said { text, to, id: self.message_ids.make(), at: now.utc };
        if let Err(reason) = self.wire(&said) {
            self.tell(Event::Refused { reference, reason });
            return;
        }
        self.next_line += 1;
        let line = MessageId(self.next_line);
        let own = self.people.get(&OWN).cloned();
        self.tell(Event::Line(Line {
            id: line,
            seq: None,
            from: own.as_ref().map(|own| own.entity.clone()).unwrap_or_default(),
            name: own.map(|own| own.name).unwrap_or_default(),
            is_own: true,
            to: said.to.clone(),
            text: said.text.clone(),
            verified: true,
            expired: false,
            is_history: false,
            at: now.utc,
        }));
        self.texts.insert(line, said.clone());
        while self.texts.len() > 200 {
            let old = self.texts.pop_first();
            old.map(|(line, _)| self.failed.remove(&line));
        }
        self.composer.sent();
        self.queue_text(line, Some(reference), said, now);
    }

    pub(super) fn hear(
        &mut self,
        message: RequestId,
        call: Option<CallKey>,
        request: &Request,
        flow: &Flow,
        now: Now,
    ) {
        self.stale = expiry::expired(request, now.utc).is_some();
        let in_call = call == Some(self.settings.call);
        let tied = in_call || (call.is_none() && self.is_from_peer(request, flow));
        let (head, content) = body::open(request);
        let (head, content) = match head {
            Some(head) if tied => return self.hear_enveloped(message, request, head, content, now),
            head => (head, content),
        };
        let text = match content {
            Content::Text(_) if head.is_some() && !body::is_for_us(request, head.as_ref()) => {
                return self.answer(message, StatusCode::FORBIDDEN, Vec::new());
            }
            Content::Text(text) => text,
            Content::Mark(mark) => {
                self.answer(message, StatusCode::OK, Vec::new());
                return self.heard_bare_mark(mark, in_call, now);
            }
            Content::Nothing | Content::Reports(_) => {
                return self.answer(message, StatusCode::OK, Vec::new());
            }
            Content::Refused { status, headers } => return self.answer(message, status, headers),
        };
        // A focus gives texts in parts another form, with their authors.
        let joined = if in_call && self.is_ours && self.focus.is_none() {
            self.joiner.take(text)
        } else {
            Joined::Whole(text)
        };
        let text = match joined {
            Joined::Whole(text) => text,
            Joined::More => return self.answer(message, StatusCode::OK, Vec::new()),
            Joined::Broken => return self.answer(message, StatusCode::FORBIDDEN, Vec::new()),
        };
        self.answer(message, StatusCode::OK, Vec::new());
        let from = request.headers.from_header().ok();
        if !tied {
            // A text to our own address from somebody else: personal.
            let name = from.as_ref().map(name::of_address).unwrap_or_default();
            let entity = from.map(|from| entity_of(&from.uri)).unwrap_or_default();
            self.show(&entity, name, Recipient::Me, text, false, now);
            return;
        }
        let author = from.and_then(|from| from.display).map(|display| {
            author_of(&display, self.known.subject.as_deref(), self.focus_is_ours())
        });
        let author = author.filter(|author| !author.is_empty());
        self.hear_peer(&text, author, in_call, now);
    }

    /// Whether a request outside of the call comes from whom we talk to. Where his way is not known, nobody knows.
    fn is_from_peer(&self, request: &Request, flow: &Flow) -> bool {
        self.flow.is_some_and(|known| {
            let peer = LegAddress {
                key: (),
                flow: known,
                uri: self.settings.peer.uri.as_sip().cloned(),
                identity: sip_core::Identity::Unverified,
                is_routed: false,
                beyond_hop: None,
            };
            tie(request, flow, &[peer]).is_some()
        })
    }

    pub(super) fn hear_peer(
        &mut self,
        text: &str,
        author: Option<String>,
        verified: bool,
        now: Now,
    ) {
        if self.focus.is_none() {
            self.show_gathered(now);
            let (name, entity) =
                (self.name_of(PEER), self.people.get(&PEER).map(|peer| peer.entity.clone()));
            let entity = entity.unwrap_or_default();
            if let Some(false) = self.writers.hear(&entity, Mark::Idle, now.monotonic) {
                self.tell_typing(&entity, &name, false);
            }
            self.show(&entity, name, Recipient::Me, text.to_owned(), verified, now);
            return;
        }
        // Another kind of focus passes on what people write as it is, and a text outside of the call may be anybody's.
        let is_ours = self.focus_is_ours();
        if let Some(notice) = text.strip_prefix("[Conference] ").filter(|_| is_ours && verified) {
            self.tell(Event::Notice { text: notice.to_owned() });
            return;
        }
        let marked = parts::mark(text)
            .filter(|(rest, _, _)| self.split_author(rest, author.as_deref()).is_some());
        if let Some((rest, place, count)) = marked
            && let Some((author, private, piece)) = self.split_author(rest, author.as_deref())
        {
            let whole = format!("{piece}{}", &text[rest.len()..]);
            let (piece, size) = (piece.to_owned(), text.len());
            let part = Part { author, private, verified, piece, whole, size, place, count };
            self.gather(part, now);
            return;
        }
        self.show_gathered(now);
        let (author, private, body) = match self.split_author(text, author.as_deref()) {
            Some(split) => split,
            None => (author.unwrap_or_else(|| self.name_of(PEER)), false, text),
        };
        self.show_of(&author, private, body.to_owned(), verified, now);
    }

    /// The author in front of a text: whom the display name tells; of those in the roster only at a focus of ours, which
    /// puts the author in front of every text.
    fn split_author<'a>(
        &self,
        text: &'a str,
        author: Option<&str>,
    ) -> Option<(String, bool, &'a str)> {
        let told = author.and_then(|author| form::split_author(text, &[author.to_owned()]));
        told.or_else(|| {
            let names = || self.people.values().map(|shown| shown.name.clone()).collect::<Vec<_>>();
            self.focus_is_ours().then(|| form::split_author(text, &names())).flatten()
        })
    }

    /// Keeps a part until all have come. What is no first part and continues nothing is a text that only looks like one.
    fn gather(&mut self, part: Part, now: Now) {
        let continues = self.gathering.as_ref().is_some_and(|known| {
            known.author == part.author
                && known.private == part.private
                && known.verified == part.verified
                && known.count == part.count
                && is_full(known.last, &part.piece)
                && known.pieces.len() + 1 == part.place
        });
        if !continues {
            self.show_gathered(now);
            if part.place != 1 {
                self.show_of(&part.author, part.private, part.whole, part.verified, now);
                return;
            }
        }
        let is_short = part.size < SHORT_PART;
        let gathering = self.gathering.get_or_insert_with(|| Gathering {
            author: part.author,
            private: part.private,
            verified: part.verified,
            pieces: Vec::new(),
            marked: Vec::new(),
            count: part.count,
            last: 0,
            until: now.monotonic,
        });
        gathering.last = part.size;
        gathering.pieces.push(part.piece);
        gathering.marked.push(part.whole);
        gathering.until = now.monotonic + if is_short { SHORT_PART_WAIT } else { PARTS_WAIT };
        if gathering.pieces.len() == gathering.count {
            self.show_gathered(now);
        }
    }

    /// Shows what has come of a text in parts: whole where all came, as they came where not, so that nothing is lost.
    pub(super) fn show_gathered(&mut self, now: Now) {
        let Some(gathering) = self.gathering.take() else { return };
        let texts = if gathering.pieces.len() == gathering.count {
            vec![gathering.pieces.concat()]
        } else {
            gathering.marked
        };
        for text in texts {
            self.show_of(&gathering.author, gathering.private, text, gathering.verified, now);
        }
    }

    pub(super) fn show_of(
        &mut self,
        author: &str,
        private: bool,
        text: String,
        verified: bool,
        now: Now,
    ) {
        let known = self.people.values().find(|shown| shown.name == author);
        let focus = self.focus.as_ref().map(|focus| focus.bare().to_string()).unwrap_or_default();
        let entity = known.map_or(focus, |shown| shown.entity.clone());
        let to = if private { Recipient::Me } else { Recipient::Everyone };
        self.show(&entity, author.to_owned(), to, text, verified, now);
    }

    pub(super) fn show(
        &mut self,
        entity: &str,
        name: String,
        to: Recipient,
        text: String,
        verified: bool,
        now: Now,
    ) {
        self.next_line += 1;
        self.tell(Event::Line(Line {
            id: MessageId(self.next_line),
            seq: None,
            from: entity.to_owned(),
            name,
            is_own: false,
            to,
            text,
            verified,
            expired: self.stale,
            is_history: false,
            at: now.utc,
        }));
    }

    pub(super) fn answer(
        &mut self,
        message: RequestId,
        status: StatusCode,
        headers: Vec<(&'static str, String)>,
    ) {
        self.sip(SipAct::Respond { message, status, headers });
    }
}

/// Whether a part of so many bytes had to end where the next piece begins: it is nearly as long as a part may be, or a
/// link that is not cut stands next. Otherwise they are two texts that only look like parts.
fn is_full(size: usize, next: &str) -> bool {
    let link = || {
        let end = next.find(char::is_whitespace).unwrap_or(next.len());
        let first = links(&next[..end]).into_iter().next();
        first.filter(|piece| piece.range.start == 0)
    };
    size >= SHORT_PART || link().is_some_and(|link| size + link.range.len() >= SHORT_PART)
}

/// The author in the display name of a relayed text: a focus of ours puts the subject behind it.
fn author_of(display: &str, subject: Option<&str>, is_ours: bool) -> String {
    let behind = subject.map(|subject| format!(" ({subject})"));
    let author = match behind.and_then(|behind| display.strip_suffix(behind.as_str())) {
        Some(author) => author,
        None if is_ours => display.rsplit_once(" (").map_or(display, |(author, _)| author),
        None => display,
    };
    name::clean(author)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subject_is_taken_off_an_author_and_nothing_else() {
        let subject = Some("Weekly ops (EU): all");
        let display = "Bob (2) (Weekly ops (EU): all)";
        assert_eq!(author_of(display, subject, true), "Bob (2)");
        assert_eq!(author_of(display, subject, false), "Bob (2)");
        assert_eq!(author_of("Bob (2) (Weekly ops)", None, true), "Bob (2)");
        assert_eq!(author_of("Bob (home)", None, false), "Bob (home)");
        assert_eq!(author_of("Bob", subject, true), "Bob");
    }

    #[test]
    fn a_part_that_others_follow_is_nearly_full_or_ends_before_a_link() {
        let link = format!("https://example.org/{} and more", "x".repeat(240));
        assert!(is_full(600, "anything"));
        assert!(is_full(12, &link));
        assert!(!is_full(12, "they too"));
        assert!(!is_full(12, "https://example.org/ is it"));
    }
}
