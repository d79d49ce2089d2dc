//! A participant's texts on their way to the peer: one at a time, in envelopes where the peer reads them, in parts where
//! they are long, and what the answers mean (sip-chat §3.8, §3.9).

use sip_core::{Content, NameAddr, Outcome, RequestId, StatusCode};

use super::{Member, OWN, PEER, Said};
use crate::chat::answer::{self, Next};
use crate::chat::composing::Mark;
use crate::chat::cpim::{Disposition, Head, Wants};
use crate::chat::imdn::Report;
use crate::chat::parts::Part;
use crate::chat::quirks::{self, Way};
use crate::chat::{MAX_TEXT, parts, whole};
use crate::{
    ChatAbility, Delivery, DeliveryState, Event, MessageId, Now, Participant, Recipient, SipAct,
    Token, words,
};

/// Bytes of a plain text in one request over UDP.
const UDP_LIMIT: usize = 600;
/// The most bytes of a request over UDP (RFC 3428 §8).
const UDP_REQUEST: usize = 1300;
/// Start line and headers without their addresses, and the mark of a part in an envelope.
const HEADERS: usize = 460;
const PART_ROOM: usize = 90;
const MIN_LIMIT: usize = 200;

/// What waits for its turn.
#[derive(Debug)]
pub(super) struct Outgoing {
    what: What,
    /// Empty until its turn comes: who the peer is and how it is reached may not be known before.
    parts: Vec<Part>,
    next: usize,
    enveloped: bool,
    retried: bool,
    fell_back: bool,
}

#[derive(Debug)]
enum What {
    /// What became of a text of the peer's, and to whom that goes.
    Report(Report, Option<NameAddr>),
    /// A text of ours; the reference until it is answered under that.
    Text { line: MessageId, reference: Option<String>, said: Said },
}

/// A request that waits for its answer.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) token: Token,
    pub(super) request: Option<RequestId>,
    what: Sent,
}

/// What it is.
#[derive(Clone, Copy, Debug)]
enum Sent {
    /// A typing mark.
    Mark,
    /// Whether the call lives, after this answer to the first in the queue.
    Probe(Option<u16>),
    /// The next part of the first in the queue.
    Text,
}

impl Member {
    /// What goes out for a text, or why it cannot.
    pub(super) fn wire(&self, said: &Said) -> Result<String, String> {
        let Said { text, to, .. } = said;
        if text.is_empty() {
            return Err("There is nothing to send.".to_owned());
        }
        if text.len() > MAX_TEXT {
            let size = text.len().div_ceil(1024);
            return Err(format!("16 KiB is the most a conference text can be (yours: {size} KiB)"));
        }
        let wire = match to {
            Recipient::Participant(entity) if self.focus.is_some() && self.envelopes() => {
                self.recipient(entity)?;
                text.clone()
            }
            Recipient::Everyone if self.envelopes() => text.clone(),
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

    /// Who gets a text to one person, or why nobody does.
    fn recipient(&self, entity: &str) -> Result<&Participant, String> {
        if !self.focus_is_ours() {
            return Err("This conference cannot pass a text to one person.".to_owned());
        }
        let known = self.people.values().find(|shown| shown.entity == entity && !shown.is_self);
        known.ok_or_else(|| format!("Nobody here has the address {entity}."))
    }

    /// A text to one person, who is named by his address: a name may be the beginning of another, or of the text.
    fn private_wire(&self, entity: &str, text: &str) -> Result<String, String> {
        if self.recipient(entity)?.is_host {
            return Ok(format!("/host {text}"));
        }
        if entity.contains(|c: char| c.is_whitespace() || matches!(c, '<' | '>')) {
            return Err(format!("{entity} is no address that a text can be sent to."));
        }
        Ok(format!("/to <{entity}> {text}"))
    }

    /// Whether the focus is one of ours and knows our text commands. What does not say so is not: it would tell
    /// everybody what is for one.
    pub(super) fn focus_is_ours(&self) -> bool {
        self.focus.is_some() && self.is_ours
    }

    pub(super) fn queue_text(
        &mut self,
        line: MessageId,
        reference: Option<String>,
        said: Said,
        now: Now,
    ) {
        self.delivered(line, DeliveryState::Sending, None, String::new());
        self.queue(What::Text { line, reference, said }, now);
    }

    /// A text once more, where the peer did not take it; with the same id, so that nobody gets it twice.
    pub(super) fn resend(&mut self, line: MessageId, now: Now) {
        match self.texts.get(&line).cloned() {
            Some(said) if self.failed.contains(&line) => self.queue_text(line, None, said, now),
            Some(_) => {
                let text = "That message has not failed there: it is not sent again".to_owned();
                self.tell(Event::Notice { text });
            }
            None => {
                let text = "That message is too old to be sent again".to_owned();
                self.tell(Event::Notice { text });
            }
        }
    }

    /// Tells the author of a text that it came (RFC 5438 §7.2).
    pub(super) fn queue_report(&mut self, report: Report, to: Option<NameAddr>, now: Now) {
        self.queue(What::Report(report, to), now);
    }

    fn queue(&mut self, what: What, now: Now) {
        self.queue.push_back(Outgoing {
            what,
            parts: Vec::new(),
            next: 0,
            enveloped: false,
            retried: false,
            fell_back: false,
        });
        self.send_next(now);
    }

    /// Whether texts go in envelopes.
    pub(super) fn envelopes(&self) -> bool {
        self.reads.envelopes && !self.refused_envelope && self.way == Way::InDialog
    }

    /// A typing mark, if nothing else is on its way: it never waits.
    pub(super) fn send_mark(&mut self, mark: Mark) {
        // Of a conference that is not ours nobody knows to whom it goes.
        let is_meant = self.focus.is_none() || self.focus_is_ours();
        let is_free = self.connected && self.in_flight.is_none() && self.queue.is_empty();
        if !self.reads.marks || self.refused_marks || !is_meant || !is_free {
            return;
        }
        let kind = "application/im-iscomposing+xml";
        let content = if self.envelopes() {
            let head =
                Head { id: Some(self.message_ids.make()), ..self.addressed(&Recipient::Everyone) };
            head.seal(kind, Disposition::Text, &mark.to_xml())
        } else {
            Content::new(kind, mark.to_xml().into_bytes())
        };
        self.send(Sent::Mark, content);
    }

    /// The envelope of what goes to somebody.
    fn addressed(&self, to: &Recipient) -> Head {
        let own = self.people.get(&OWN);
        let name = own.map(|own| own.name.clone()).unwrap_or_default();
        let from = own.and_then(|own| NameAddr::parse(&format!("<{}>", own.entity)).ok());
        let from = from.map(|from| NameAddr { display: Some(name.as_str().into()), ..from });
        let entity = match (to, &self.focus) {
            (Recipient::Participant(entity), Some(_)) => entity.clone(),
            (Recipient::Everyone | Recipient::Me, Some(focus)) => focus.bare().to_string(),
            (_, None) => self.people.get(&PEER).map(|peer| peer.entity.clone()).unwrap_or_default(),
        };
        let to = NameAddr::parse(&format!("<{entity}>")).ok();
        Head { from, to: to.into_iter().collect(), ..Head::default() }
    }

    fn head_of(&self, said: &Said) -> Head {
        let is_private = self.focus.is_none() || said.to != Recipient::Everyone;
        Head {
            written: Some(said.at),
            id: Some(said.id.clone()),
            wants: Wants { positive: is_private, negative: true },
            ..self.addressed(&said.to)
        }
    }

    /// A datagram holds little (RFC 3428 §8); over a connection a text goes in one piece.
    fn split(&self, said: &Said, begin: (usize, usize)) -> Result<Vec<Part>, String> {
        let wire = self.wire(said)?;
        let is_stream = self.flow.is_some_and(|flow| flow.transport.is_reliable());
        if self.envelopes() {
            let head = self.head_of(said);
            let around = head.text("").body.len() + PART_ROOM;
            let addresses = head.from.iter().chain(&head.to).map(|one| one.uri.to_string().len());
            let headers = HEADERS + 2 * addresses.sum::<usize>();
            let room =
                if is_stream { MAX_TEXT } else { UDP_REQUEST.saturating_sub(headers + around) };
            let limit = room.clamp(MIN_LIMIT, self.limit.max(MIN_LIMIT));
            return Ok(parts::split_bare(&wire, limit, begin));
        }
        let limit = if is_stream { MAX_TEXT } else { UDP_LIMIT };
        let limit = limit.min(self.limit.max(MIN_LIMIT));
        let made = if self.is_ours && self.way == Way::InDialog {
            whole::split(&wire, limit)
        } else {
            parts::split_plain(&wire, limit)
        };
        Ok(made.into_iter().map(|formed| Part { formed, start: 0 }).collect())
    }

    pub(super) fn send_next(&mut self, now: Now) {
        let waits = self.retry_at.is_some_and(|at| at > now.monotonic);
        if self.in_flight.is_some() || !self.connected || waits {
            return;
        }
        while let Some(mut outgoing) = self.queue.pop_front() {
            if self.unsupported && matches!(outgoing.what, What::Text { .. }) {
                let reason = words::text_unsupported(&self.name_of(PEER));
                self.done(outgoing, DeliveryState::Unsupported, None, reason);
                continue;
            }
            if outgoing.parts.is_empty() {
                match self.form(&mut outgoing, (0, 0)) {
                    Ok(true) => {}
                    Ok(false) => continue,
                    // What has become of the peer since the text was written forbids that it goes there.
                    Err(reason) => {
                        self.done(outgoing, DeliveryState::Failed, None, reason);
                        continue;
                    }
                }
            }
            let content = self.content(&outgoing);
            self.queue.push_front(outgoing);
            self.send(Sent::Text, content);
            return;
        }
    }

    /// Makes the parts of what goes next; false where the peer does not read it at all.
    fn form(&mut self, outgoing: &mut Outgoing, begin: (usize, usize)) -> Result<bool, String> {
        outgoing.enveloped = self.envelopes();
        let new = match &outgoing.what {
            What::Report(..) if !outgoing.enveloped || !self.reads.reports => return Ok(false),
            What::Report(report, _) => vec![Part { formed: report.to_xml(), start: 0 }],
            What::Text { said, .. } => self.split(said, begin)?,
        };
        outgoing.parts.truncate(begin.1);
        outgoing.parts.extend(new);
        Ok(true)
    }

    fn content(&mut self, outgoing: &Outgoing) -> Content {
        let text = outgoing.parts.get(outgoing.next).map_or("", |part| part.formed.as_str());
        match &outgoing.what {
            What::Report(_, to) => {
                let id = Some(self.message_ids.make());
                let head = Head { id, ..self.addressed(&Recipient::Everyone) };
                let to = to.clone().map_or(head.to, |to| vec![NameAddr { display: None, ..to }]);
                let head = Head { to, ..head };
                head.seal("message/imdn+xml", Disposition::Notification, text)
            }
            What::Text { said, .. } if outgoing.enveloped => {
                let count = outgoing.parts.len();
                let part = (count > 1).then_some((outgoing.next + 1, count));
                Head { part, ..self.head_of(said) }.text(text)
            }
            What::Text { .. } => self.text_type.content(text),
        }
    }

    fn send(&mut self, what: Sent, content: Content) {
        let token = self.depart(what);
        let call = self.settings.call;
        match self.way {
            Way::InDialog => {
                self.sip(SipAct::Message { token, call, from_display: None, content });
            }
            Way::OutOfDialog => {
                let peer = self.settings.peer.uri.as_sip().cloned();
                let known = self.focus.clone().or_else(|| self.contact.clone());
                let (from, flow) = (self.settings.own.clone(), self.flow);
                match known.or(peer) {
                    Some(target) => {
                        self.sip(SipAct::PagerMessage { token, target, flow, from, content });
                    }
                    None => self.in_flight = None,
                }
            }
        }
    }

    fn depart(&mut self, what: Sent) -> Token {
        self.next_token += 1;
        let token = Token(self.next_token);
        self.in_flight = Some(Flight { token, request: None, what });
        token
    }

    /// The request in flight has its outcome.
    pub(super) fn text_finished(&mut self, outcome: &Outcome, now: Now) {
        let Some(flight) = self.in_flight.take() else { return };
        let Some(outgoing) = self.queue.pop_front().filter(|_| !matches!(flight.what, Sent::Mark))
        else {
            if let Outcome::Answered(response) = outcome {
                self.refused_marks |= !response.status.is_success();
            }
            self.send_next(now);
            return;
        };
        match flight.what {
            Sent::Mark => {}
            Sent::Probe(code) => self.probed(outgoing, code, outcome, now),
            Sent::Text => self.answered(outgoing, outcome, now),
        }
        self.send_next(now);
    }

    fn answered(&mut self, mut outgoing: Outgoing, outcome: &Outcome, now: Now) {
        if outgoing.enveloped && answer::refuses_envelope(outcome) {
            // The same as ordinary phones get it, remembered for the call.
            self.refused_envelope = true;
            return self.again(outgoing);
        }
        let instead = self.text_type.instead(outcome).filter(|_| !outgoing.enveloped);
        if let Some(instead) = instead {
            self.text_type = instead;
            self.queue.push_front(outgoing);
            return;
        }
        let quirks = quirks::of(self.agent.as_deref());
        let name = self.name_of(PEER);
        match answer::read(outcome, &quirks) {
            Next::Accepted => {
                self.ever_accepted = true;
                outgoing.next += 1;
                outgoing.retried = false;
                if outgoing.next < outgoing.parts.len() {
                    self.queue.push_front(outgoing);
                } else {
                    let code = match outcome {
                        Outcome::Answered(response) => Some(response.status),
                        Outcome::TimedOut | Outcome::Unsendable => None,
                    };
                    let code = code.map(StatusCode::code);
                    self.done(outgoing, DeliveryState::Accepted, code, String::new());
                }
            }
            Next::Failed(code) | Next::Probe(code) if outgoing.fell_back => {
                self.takes_no_text(outgoing, code);
            }
            Next::Failed(code) => self.failed(outgoing, code),
            Next::Shorter => self.shorter(outgoing),
            Next::Retry(after, _) if !outgoing.retried => {
                outgoing.retried = true;
                self.retry_at = Some(now.monotonic + after);
                self.queue.push_front(outgoing);
            }
            Next::Retry(_, 486) => {
                let reason = "Too many texts at once. Wait a moment, then send it again.";
                self.done(outgoing, DeliveryState::Failed, Some(486), reason.to_owned());
            }
            Next::Retry(_, code) => self.failed(outgoing, Some(code)),
            Next::TryOtherWay(code) => self.try_other_way(outgoing, Some(code)),
            // A focus refuses one text; what it says of one it does not say of all.
            Next::Unsupported(code) if self.focus.is_some() => {
                let reason = words::text_failure(&name, Some(code));
                self.done(outgoing, DeliveryState::Failed, Some(code), reason);
            }
            Next::Unsupported(code) => self.takes_no_text(outgoing, Some(code)),
            Next::Probe(code) if self.way == Way::InDialog => {
                self.queue.push_front(outgoing);
                let token = self.depart(Sent::Probe(code));
                self.sip(SipAct::Options { token, call: self.settings.call });
            }
            Next::Probe(code) => self.failed(outgoing, code),
        }
    }

    /// Once more, formed anew.
    fn again(&mut self, mut outgoing: Outgoing) {
        outgoing.parts.clear();
        outgoing.next = 0;
        self.queue.push_front(outgoing);
    }

    fn shorter(&mut self, mut outgoing: Outgoing) {
        let size = outgoing.parts.get(outgoing.next).map_or(0, |part| part.formed.len());
        self.limit = self.limit.min((size / 2).max(MIN_LIMIT));
        let begin = (outgoing.parts.get(outgoing.next).map_or(0, |part| part.start), outgoing.next);
        // Plain parts are counted from the first: only a text of which nothing went can be cut anew.
        let can = size > MIN_LIMIT && (outgoing.enveloped || outgoing.next == 0);
        if can && self.form(&mut outgoing, begin) == Ok(true) {
            self.queue.push_front(outgoing);
        } else {
            self.failed(outgoing, Some(413));
        }
    }

    /// The call was in doubt, and OPTIONS has been answered, or not. It never ends for a text.
    fn probed(&mut self, outgoing: Outgoing, code: Option<u16>, outcome: &Outcome, _now: Now) {
        let is_dead = answer::proves_life(outcome) == Some(false);
        // Silence of one that took texts before may hide one that was shown; so may that of one who answers nothing at
        // all, and our own kind answers every text that it gets.
        let may_be_shown =
            self.ever_accepted || self.is_ours || answer::proves_life(outcome).is_none();
        if is_dead || code.is_none() && may_be_shown {
            self.failed(outgoing, code);
        } else {
            self.try_other_way(outgoing, code);
        }
    }

    /// Once, outside of the call; then the peer takes no text.
    fn try_other_way(&mut self, mut outgoing: Outgoing, code: Option<u16>) {
        if outgoing.fell_back || self.way == Way::OutOfDialog {
            return self.takes_no_text(outgoing, code);
        }
        self.way = Way::OutOfDialog;
        outgoing.fell_back = true;
        self.again(outgoing);
    }

    fn takes_no_text(&mut self, outgoing: Outgoing, code: Option<u16>) {
        self.unsupported = true;
        self.change(PEER, |peer| peer.chat = ChatAbility::No);
        let reason = words::text_unsupported(&self.name_of(PEER));
        self.done(outgoing, DeliveryState::Unsupported, code, reason);
    }

    fn failed(&mut self, outgoing: Outgoing, code: Option<u16>) {
        let reason = words::text_failure(&self.name_of(PEER), code);
        self.done(outgoing, DeliveryState::Failed, code, reason);
    }

    /// Nothing more is tried.
    fn done(
        &mut self,
        outgoing: Outgoing,
        state: DeliveryState,
        code: Option<u16>,
        reason: String,
    ) {
        let What::Text { line, reference, .. } = outgoing.what else { return };
        self.placed(line, reference);
        self.delivered(line, state, code, reason);
    }

    /// What was not taken when the call ended.
    pub(super) fn give_up_texts(&mut self) {
        self.in_flight = None;
        self.retry_at = None;
        let open: Vec<Outgoing> = self.queue.drain(..).collect();
        for outgoing in open {
            self.done(outgoing, DeliveryState::Left, None, String::new());
        }
    }

    /// Every line is answered under its reference, also one that then reaches nobody: its delivery says so.
    fn placed(&mut self, id: MessageId, reference: Option<String>) {
        if let Some(reference) = reference {
            self.tell(Event::Accepted { reference, id, seq: None });
        }
    }

    fn delivered(
        &mut self,
        id: MessageId,
        state: DeliveryState,
        code: Option<u16>,
        reason: String,
    ) {
        if state == DeliveryState::Failed {
            self.failed.insert(id);
        } else {
            self.failed.remove(&id);
        }
        let recipient = match &self.focus {
            Some(focus) => focus.bare().to_string(),
            None => self.people.get(&PEER).map(|peer| peer.entity.clone()).unwrap_or_default(),
        };
        self.tell(Event::Delivery(Delivery { id, recipient, state, code, reason }));
    }
}
