//! Texts of a participant: his own to the peer, one at a time; the peer's to him, with their authors given back where the
//! peer is a focus (sip-chat §3.4, §3.8, §3.9).

use sip_core::{CallKey, Content, Flow, Outcome, Request, RequestId, StatusCode};

use super::{
    Gathering, Member, OWN, Outgoing, PARTS_WAIT, PEER, SHORT_PART, SHORT_PART_WAIT, TCP_LIMIT,
    UDP_LIMIT,
};
use crate::chat::{MAX_TEXT, body, form, parts};
use crate::focus::entity_of;
use crate::tie::{LegAddress, tie};
use crate::{
    Delivery, DeliveryState, Event, Line, MessageId, Now, Recipient, SipAct, Token, name, words,
};

/// One part of a text, as it came.
struct Part {
    author: String,
    private: bool,
    /// Without the mark, and with it.
    piece: String,
    whole: String,
    place: usize,
    count: usize,
}

impl Member {
    pub(super) fn say(&mut self, reference: String, text: String, to: Recipient, now: Now) {
        let refusal = if text.is_empty() {
            Some("There is nothing to send.".to_owned())
        } else if text.len() > MAX_TEXT {
            let size = text.len().div_ceil(1024);
            Some(format!("16 KiB is the most a conference text can be (yours: {size} KiB)"))
        } else {
            None
        };
        if let Some(reason) = refusal {
            self.tell(Event::Refused { reference, reason });
            return;
        }
        let wire = match &to {
            Recipient::Participant(entity) if self.focus.is_some() => {
                let known =
                    self.people.values().find(|shown| shown.entity == *entity && !shown.is_self);
                match known.filter(|_| self.focus_is_ours()) {
                    Some(shown) if shown.is_host => format!("/host {text}"),
                    Some(shown) => format!("/to {} {text}", shown.name),
                    None => {
                        let reason = "This conference cannot pass a text to one person.".to_owned();
                        self.tell(Event::Refused { reference, reason });
                        return;
                    }
                }
            }
            // A text that would be read as a command keeps its slash.
            Recipient::Everyone if self.focus_is_ours() && text.starts_with('/') => {
                format!("/{text}")
            }
            Recipient::Everyone | Recipient::Me | Recipient::Participant(_) => text.clone(),
        };
        self.next_line += 1;
        let line = MessageId(self.next_line);
        let own = self.people.get(&OWN).cloned();
        self.tell(Event::Line(Line {
            id: line,
            seq: None,
            from: own.as_ref().map(|own| own.entity.clone()).unwrap_or_default(),
            name: own.map(|own| own.name).unwrap_or_default(),
            is_own: true,
            to,
            text,
            verified: true,
            at: now.utc,
        }));
        self.texts.insert(line, wire.clone());
        while self.texts.len() > 200 {
            self.texts.pop_first();
        }
        self.queue_text(line, Some(reference), &wire);
    }

    /// Whether the focus is one of ours and knows our text commands.
    pub(super) fn focus_is_ours(&self) -> bool {
        let agent = self.people.get(&PEER).and_then(|peer| peer.agent.clone());
        self.focus.is_some()
            && (agent.is_none() || agent.is_some_and(|agent| agent.starts_with("Parlour")))
    }

    pub(super) fn queue_text(&mut self, line: MessageId, reference: Option<String>, wire: &str) {
        let is_tcp = self.flow.is_some_and(|flow| flow.transport == sip_core::Transport::Tcp);
        // A focus of ours takes it whole: the Endpoint sends by TCP what is too long for a datagram (RFC 3261 §18.1.1).
        let limit = if is_tcp || self.focus_is_ours() { TCP_LIMIT } else { UDP_LIMIT };
        let parts = parts::split_plain(wire, limit);
        self.queue.push_back(Outgoing { line, reference, parts, next: 0 });
        self.delivered(line, DeliveryState::Sending, None, String::new());
        self.send_next();
    }

    pub(super) fn send_next(&mut self) {
        if self.in_flight.is_some() || !self.connected {
            return;
        }
        let Some(text) = self.queue.front().and_then(|outgoing| outgoing.parts.get(outgoing.next))
        else {
            return;
        };
        let content = Content::text(text);
        self.next_token += 1;
        let token = Token(self.next_token);
        self.in_flight = Some((token, None));
        let call = self.settings.call;
        self.sip(SipAct::Message { token, call, from_display: None, content });
    }

    pub(super) fn text_finished(&mut self, outcome: &Outcome) {
        self.in_flight = None;
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
        let leg = LegAddress {
            key: (),
            flow: self.flow.unwrap_or(*flow),
            uri: self.settings.peer.uri.as_sip().cloned(),
        };
        let in_call = call == Some(self.settings.call);
        let tied =
            in_call || (call.is_none() && tie(request, flow, std::slice::from_ref(&leg)).is_some());
        let text = match body::read(request) {
            body::Body::Text(text) => text,
            body::Body::Nothing => return self.answer(message, StatusCode::OK, Vec::new()),
            body::Body::Refused { status, headers } => {
                return self.answer(message, status, headers);
            }
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
        let display = from.and_then(|from| from.display).map(|display| name::clean(&display));
        self.hear_peer(&text, display, in_call, now);
    }

    pub(super) fn hear_peer(
        &mut self,
        text: &str,
        display: Option<String>,
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
        if let Some(notice) = text.strip_prefix("[Conference] ") {
            self.tell(Event::Notice { text: notice.to_owned() });
            return;
        }
        let names: Vec<String> = self.people.values().map(|shown| shown.name.clone()).collect();
        let marked =
            parts::mark(text).filter(|(rest, _, _)| form::split_author(rest, &names).is_some());
        if let Some((rest, place, count)) = marked
            && let Some((author, private, piece)) = form::split_author(rest, &names)
        {
            let whole = format!("{piece}{}", &text[rest.len()..]);
            let part = Part { author, private, piece: piece.to_owned(), whole, place, count };
            self.gather(part, now);
            return;
        }
        self.show_gathered(now);
        match form::split_author(text, &names) {
            Some((author, private, body)) => {
                self.show_of(&author, private, body.to_owned(), verified, now)
            }
            None => {
                // An author who is not in the roster yet, or a focus of another make: its display name says who.
                let author = display
                    .map(|display| display.split(" (").next().unwrap_or_default().to_owned());
                let author = author.filter(|author| !author.is_empty());
                let split = author
                    .as_ref()
                    .and_then(|author| form::split_author(text, std::slice::from_ref(author)));
                let (private, body) =
                    split.map_or((false, text), |(_, private, body)| (private, body));
                let body = body.to_owned();
                let author = author.unwrap_or_else(|| self.name_of(PEER));
                self.show_of(&author, private, body, verified, now);
            }
        }
    }

    /// Keeps a part until all have come. What is no first part and continues nothing is a text that only looks like one.
    fn gather(&mut self, part: Part, now: Now) {
        let continues = self.gathering.as_ref().is_some_and(|known| {
            known.author == part.author
                && known.private == part.private
                && known.count == part.count
                && known.pieces.len() + 1 == part.place
        });
        if !continues {
            self.show_gathered(now);
            if part.place != 1 {
                self.show_of(&part.author, part.private, part.whole, true, now);
                return;
            }
        }
        let is_short = !continues && part.piece.len() < SHORT_PART;
        let gathering = self.gathering.get_or_insert_with(|| Gathering {
            author: part.author,
            private: part.private,
            pieces: Vec::new(),
            marked: Vec::new(),
            count: part.count,
            until: now.monotonic,
        });
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
            self.show_of(&gathering.author, gathering.private, text, true, now);
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
