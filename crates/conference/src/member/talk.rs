//! Texts of a participant: his own to the peer, one at a time; the peer's to him, with their authors given back where the
//! peer is a focus (sip-chat §3.4, §3.8, §3.9).

use sip_core::{CallKey, Flow, Outcome, Request, RequestId, StatusCode};

use super::{
    Gathering, Member, OWN, Outgoing, PARTS_WAIT, PEER, SHORT_PART, SHORT_PART_WAIT, Said,
    TCP_LIMIT, UDP_LIMIT,
};
use crate::chat::whole::{self, Joined};
use crate::chat::{MAX_TEXT, body, expiry, form, parts};
use crate::focus::entity_of;
use crate::text::links;
use crate::tie::{LegAddress, tie};
use crate::{
    Delivery, DeliveryState, Event, Line, MessageId, Now, Recipient, SipAct, Token, name, words,
};

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
        let said = Said { text, to };
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
            at: now.utc,
        }));
        self.texts.insert(line, said.clone());
        while self.texts.len() > 200 {
            self.texts.pop_first();
        }
        self.queue_text(line, Some(reference), said);
    }

    /// What goes out for a text, or why it cannot.
    fn wire(&self, said: &Said) -> Result<String, String> {
        let Said { text, to } = said;
        if text.is_empty() {
            return Err("There is nothing to send.".to_owned());
        }
        if text.len() > MAX_TEXT {
            let size = text.len().div_ceil(1024);
            return Err(format!("16 KiB is the most a conference text can be (yours: {size} KiB)"));
        }
        let wire = match to {
            Recipient::Me if self.focus.is_some() => {
                return Err("A text to yourself is not sent.".to_owned());
            }
            Recipient::Participant(entity) if self.focus.is_some() => {
                self.private_wire(entity, text)?
            }
            // A text that would be read as a command keeps its slash.
            Recipient::Everyone if self.focus_is_ours() && text.starts_with('/') => {
                format!("/{text}")
            }
            Recipient::Everyone | Recipient::Me | Recipient::Participant(_) => text.clone(),
        };
        if wire.len() > MAX_TEXT {
            let over = wire.len() - MAX_TEXT;
            return Err(format!(
                "16 KiB is the most a conference text can be, with what says for whom it is: {over} bytes too many"
            ));
        }
        Ok(wire)
    }

    /// A text to one person, who is named by his address: a name may be the beginning of another, or of the text.
    fn private_wire(&self, entity: &str, text: &str) -> Result<String, String> {
        if !self.focus_is_ours() {
            return Err("This conference cannot pass a text to one person.".to_owned());
        }
        let known = self.people.values().find(|shown| shown.entity == entity && !shown.is_self);
        let Some(known) = known else {
            return Err(format!("Nobody here has the address {entity}."));
        };
        if known.is_host {
            return Ok(format!("/host {text}"));
        }
        if entity.contains(|c: char| c.is_whitespace() || matches!(c, '<' | '>')) {
            return Err(format!("{entity} is no address that a text can be sent to."));
        }
        Ok(format!("/to <{entity}> {text}"))
    }

    /// Whether the focus is one of ours and knows our text commands. What does not say so is not: it would tell
    /// everybody what is for one.
    fn focus_is_ours(&self) -> bool {
        self.focus.is_some() && self.is_ours
    }

    pub(super) fn queue_text(&mut self, line: MessageId, reference: Option<String>, said: Said) {
        self.queue.push_back(Outgoing { line, reference, said, parts: Vec::new(), next: 0 });
        self.delivered(line, DeliveryState::Sending, None, String::new());
        self.send_next();
    }

    /// A datagram holds little (RFC 3428 §8); over a connection a text goes in one piece.
    fn split(&self, wire: &str) -> Vec<String> {
        let is_stream = self.flow.is_some_and(|flow| flow.transport.is_reliable());
        let limit = if is_stream { TCP_LIMIT } else { UDP_LIMIT };
        if self.is_ours { whole::split(wire, limit) } else { parts::split_plain(wire, limit) }
    }

    pub(super) fn send_next(&mut self) {
        if self.in_flight.is_some() || !self.connected {
            return;
        }
        while let Some(outgoing) = self.queue.front() {
            if outgoing.parts.is_empty() {
                let made = self.wire(&outgoing.said).map(|wire| self.split(&wire));
                match (made, self.queue.front_mut()) {
                    (Ok(parts), Some(outgoing)) => outgoing.parts = parts,
                    (Err(reason), _) => {
                        self.unsendable(reason);
                        continue;
                    }
                    (Ok(_), None) => return,
                }
            }
            break;
        }
        let Some(text) = self.queue.front().and_then(|outgoing| outgoing.parts.get(outgoing.next))
        else {
            return;
        };
        let content = self.text_type.content(text);
        self.next_token += 1;
        let token = Token(self.next_token);
        self.in_flight = Some((token, None));
        let call = self.settings.call;
        self.sip(SipAct::Message { token, call, from_display: None, content });
    }

    /// What has become of the peer since the text was written forbids that it goes there.
    fn unsendable(&mut self, reason: String) {
        if let Some(outgoing) = self.queue.pop_front() {
            self.placed(outgoing.line, outgoing.reference);
            self.delivered(outgoing.line, DeliveryState::Failed, None, reason);
        }
    }

    pub(super) fn text_finished(&mut self, outcome: &Outcome) {
        self.in_flight = None;
        if let Some(instead) = self.text_type.instead(outcome) {
            self.text_type = instead;
            self.send_next();
            return;
        }
        let Some(outgoing) = self.queue.front_mut() else { return };
        let code = match outcome {
            Outcome::Answered(response) => Some(response.status),
            Outcome::TimedOut | Outcome::Unsendable => None,
        };
        if code.is_some_and(StatusCode::is_success) {
            outgoing.next += 1;
            if outgoing.next < outgoing.parts.len() {
                self.send_next();
                return;
            }
        }
        let Some(outgoing) = self.queue.pop_front() else { return };
        let line = outgoing.line;
        self.placed(line, outgoing.reference);
        if code.is_some_and(StatusCode::is_success) {
            self.delivered(
                line,
                DeliveryState::Accepted,
                code.map(StatusCode::code),
                String::new(),
            );
        } else {
            let name = self.name_of(PEER);
            let code = code.map(StatusCode::code);
            let reason = match code {
                Some(486) => {
                    "Too many texts at once. Wait a moment, then send it again.".to_owned()
                }
                other => words::text_failure(&name, other),
            };
            self.delivered(line, DeliveryState::Failed, code, reason);
        }
        self.send_next();
    }

    /// What was not taken when the call ended.
    pub(super) fn give_up_texts(&mut self) {
        self.in_flight = None;
        let open: Vec<Outgoing> = self.queue.drain(..).collect();
        for Outgoing { line, reference, .. } in open {
            self.placed(line, reference);
            self.delivered(line, DeliveryState::Left, None, String::new());
        }
    }

    /// Every line is answered under its reference, also one that then reaches nobody: its delivery says so.
    pub(super) fn placed(&mut self, id: MessageId, reference: Option<String>) {
        if let Some(reference) = reference {
            self.tell(Event::Accepted { reference, id, seq: None });
        }
    }

    pub(super) fn delivered(
        &mut self,
        id: MessageId,
        state: DeliveryState,
        code: Option<u16>,
        reason: String,
    ) {
        let recipient = match &self.focus {
            Some(focus) => focus.bare().to_string(),
            None => self.people.get(&PEER).map(|peer| peer.entity.clone()).unwrap_or_default(),
        };
        self.tell(Event::Delivery(Delivery { id, recipient, state, code, reason }));
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
        let text = match body::read(request) {
            body::Body::Text(text) => text,
            body::Body::Nothing => return self.answer(message, StatusCode::OK, Vec::new()),
            body::Body::Refused { status, headers } => {
                return self.answer(message, status, headers);
            }
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
            self.show(
                &entity.unwrap_or_default(),
                name,
                Recipient::Me,
                text.to_owned(),
                verified,
                now,
            );
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
