//! Texts on their way to a leg: one queue a leg, one text in flight, parts in a row, and what the answers mean
//! (sip-chat §3.4, §3.8, §3.9).

use sip_core::{CallKey, NameAddr, Outcome};

use super::loops::Pass;
use super::{Focus, Leg};
use time::OffsetDateTime;

use crate::chat::answer::{self, Next};
use crate::chat::cpim::Wants;
use crate::chat::form::{self, Author};
use crate::chat::parts;
use crate::chat::quirks::Way;
use crate::{
    ChatAbility, Delivery, DeliveryState, Event, MessageId, Now, ParticipantId, Recipient, SipAct,
    Token, words,
};

/// The most texts, and bytes of them, that wait for one leg.
const MAX_QUEUE: usize = 200;
const MAX_QUEUE_BYTES: usize = 256 * 1024;
pub(super) const MIN_LIMIT: usize = 200;
/// The least time between two reports to the author of private texts.
const REPORT_PAUSE: std::time::Duration = std::time::Duration::from_secs(10);
/// A text that leaves so long after it was accepted says when it was written.
const LATE: time::Duration = time::Duration::seconds(60);
/// Lines that can be sent again.
const MAX_LINES: usize = 1000;

/// A line that was accepted.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) text: String,
    /// The author; `None` is the conference.
    pub(super) author: Option<String>,
    pub(super) author_entity: String,
    pub(super) to: Recipient,
    /// Its id in envelopes, the same for every copy.
    pub(super) id: String,
    /// Its place in the order of public lines.
    pub(super) seq: Option<u64>,
    /// When it was accepted; of a text that came too late for its author, when he wrote it.
    pub(super) at: OffsetDateTime,
    pub(super) is_late: bool,
    /// The reports that its author asked for.
    pub(super) wants: Wants,
    /// The focuses that it went through before.
    pub(super) via: Vec<String>,
    pub(super) hops: u32,
}

/// What goes to a leg.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// A line from before it came.
    History,
    /// Reports, of this type.
    Reports(String),
    /// A line, or words of the conference.
    Text,
}

/// A text that waits for its turn.
#[derive(Clone, Debug)]
pub(super) struct Queued {
    /// `None` for notices of the conference itself.
    pub(super) line: Option<MessageId>,
    pub(super) written: Written,
    pub(super) kind: Kind,
    pub(super) parts: Vec<parts::Part>,
    /// Whether it was formed for an envelope, and whether with the time of its writing.
    pub(super) enveloped: bool,
    pub(super) timed: bool,
    pub(super) next: usize,
    pub(super) retried: bool,
    pub(super) fell_back: bool,
    /// How many dropped texts it tells of; zero for all others.
    pub(super) gap: usize,
}

/// What a leg waits for an answer to.
#[derive(Debug)]
pub(super) enum InFlight {
    /// A typing mark.
    Mark,
    /// Whether its dialog lives; the text that was in doubt when that was asked, with its code.
    Probe(Box<Queued>, Option<u16>),
    /// A part of a text.
    Text(Box<Queued>),
}

impl Focus {
    pub(super) fn remember(&mut self, line: MessageId, written: Written) {
        self.lines.insert(line, written);
        while self.lines.len() > MAX_LINES {
            let Some((old, _)) = self.lines.pop_first() else { break };
            self.failed.retain(|(line, _)| *line != old);
            self.delivered.retain(|(line, _)| *line != old);
        }
    }

    /// Puts a line into the queue of everybody it is for.
    pub(super) fn relay(&mut self, line: MessageId, written: &Written, now: Now) {
        let people: Vec<ParticipantId> = self.people.keys().copied().collect();
        for id in people {
            let Some(person) = self.people.get(&id) else { continue };
            let shown = &person.shown;
            let is_author = shown.entity == written.author_entity;
            let is_recipient = match &written.to {
                Recipient::Everyone => true,
                Recipient::Participant(entity) => shown.entity == *entity,
                Recipient::Me => false,
            };
            // Whom the host talks to alone gets nothing that is for everybody.
            let is_outside = shown.is_aside && written.to == Recipient::Everyone;
            let is_gone = person.gone_at.is_some();
            if shown.is_self || is_author || !is_recipient || is_outside || is_gone {
                continue;
            }
            self.relay_to(id, line, written, now);
        }
    }

    pub(super) fn relay_to(
        &mut self,
        id: ParticipantId,
        line: MessageId,
        written: &Written,
        now: Now,
    ) {
        let Some(person) = self.people.get_mut(&id) else { return };
        let entity = person.shown.entity.clone();
        let connected =
            person.call.filter(|call| self.legs.get(call).is_some_and(|leg| leg.connected));
        match connected {
            Some(call) => self.enqueue(call, Some(line), written, now),
            None => {
                person.waiting.push(line);
                let full = person.waiting.len() > MAX_QUEUE;
                let oldest = full.then(|| person.waiting.remove(0));
                if let Some(oldest) = oldest {
                    self.too_many(oldest, &entity);
                }
                self.delivery(line, &entity, DeliveryState::Waiting, None, String::new());
            }
        }
    }

    /// What was written while a person was being called.
    pub(super) fn deliver_waiting(&mut self, id: ParticipantId, call: CallKey, now: Now) {
        let waiting = self
            .people
            .get_mut(&id)
            .map(|person| std::mem::take(&mut person.waiting))
            .unwrap_or_default();
        for line in waiting {
            if let Some(written) = self.lines.get(&line).cloned() {
                self.enqueue(call, Some(line), &written, now);
            } else {
                let entity = self.entity_of_person(id);
                self.too_many(line, &entity);
            }
        }
    }

    /// A word of the conference itself to one leg.
    pub(super) fn notice_to(&mut self, call: CallKey, text: &str, now: Now) {
        let written = self.words_of_ours(text, now);
        self.enqueue(call, None, &written, now);
    }

    /// Words of the conference itself.
    pub(super) fn words_of_ours(&mut self, text: &str, now: Now) -> Written {
        Written {
            text: text.to_owned(),
            author: None,
            author_entity: self.settings.conference.to_string(),
            to: Recipient::Me,
            id: self.ids.make(),
            seq: None,
            at: now.utc,
            is_late: false,
            wants: Wants::default(),
            via: Vec::new(),
            hops: 0,
        }
    }

    fn enqueue(&mut self, call: CallKey, line: Option<MessageId>, written: &Written, now: Now) {
        self.enqueue_as(call, line, written, Kind::Text, now);
    }

    pub(super) fn enqueue_as(
        &mut self,
        call: CallKey,
        line: Option<MessageId>,
        written: &Written,
        kind: Kind,
        now: Now,
    ) {
        let entity = self.legs.get(&call).map(|leg| leg.person).map(|id| self.entity_of_person(id));
        let Some(entity) = entity else { return };
        match self.may_pass(call, line.map(|_| written.text.as_str()), now) {
            Pass::Goes => {}
            Pass::Known => return,
            Pass::Paused => {
                if let Some(line) = line {
                    let reason = "Texts go round between the conferences".to_owned();
                    self.delivery(line, &entity, DeliveryState::Failed, None, reason);
                }
                return;
            }
        }
        let Some(leg) = self.legs.get_mut(&call) else { return };
        if leg.unsupported {
            let name = self
                .people
                .get(&leg.person)
                .map(|person| person.shown.name.clone())
                .unwrap_or_default();
            if let Some(line) = line {
                self.delivery(
                    line,
                    &entity,
                    DeliveryState::Unsupported,
                    None,
                    words::text_unsupported(&name),
                );
            }
            return;
        }
        let mut queued = Queued {
            line,
            written: written.clone(),
            kind,
            parts: Vec::new(),
            enveloped: false,
            timed: false,
            next: 0,
            retried: false,
            fell_back: false,
            gap: 0,
        };
        if !self.form(call, &mut queued) {
            let reason = "The text has too many parts for this phone".to_owned();
            if let Some(line) = line {
                self.delivery(line, &entity, DeliveryState::Failed, None, reason);
            }
            return;
        }
        if let Some(line) = line {
            self.delivery(line, &entity, DeliveryState::Waiting, None, String::new());
        }
        self.put(call, queued, now);
    }

    /// Into the queue of a leg.
    pub(super) fn put(&mut self, call: CallKey, queued: Queued, now: Now) {
        let Some(leg) = self.legs.get_mut(&call) else { return };
        let person = leg.person;
        leg.queued_bytes += queued.written.text.len();
        leg.queue.push_back(queued);
        let entity = self.entity_of_person(person);
        self.drop_oldest(call, &entity);
        self.send_next(call, now);
    }

    /// Splits what is unsent of a text for its leg; false where it has too many parts, or the leg cannot read it at all.
    fn form(&mut self, call: CallKey, queued: &mut Queued) -> bool {
        let Some(leg) = self.legs.get(&call) else { return false };
        let sent = queued.next;
        queued.enveloped = leg.reads.envelopes && leg.way == Way::InDialog && !leg.is_aside;
        if let Kind::Reports(_) = queued.kind {
            // Its one part is there already.
            return queued.enveloped && leg.reads.reports;
        }
        let from = queued.parts.get(sent).map_or(0, |part| part.start);
        let new = if queued.enveloped {
            self.form_enveloped(leg, queued, (from, sent))
        } else if queued.kind == Kind::History {
            return false;
        } else {
            queued.timed = self.is_late(&queued.written);
            self.form_plain(leg, &queued.written, (from, sent))
        };
        let may_be_many = leg.quirks.knows_authors || leg.reads.is_ours;
        queued.parts.truncate(sent);
        queued.parts.extend(new);
        queued.parts.len() <= parts::MAX_PARTS || may_be_many
    }

    /// Whether a plain phone is told when a text was written.
    fn is_late(&self, written: &Written) -> bool {
        let accepted = written.author.is_some() && written.at + LATE < self.now.utc;
        written.is_late || accepted
    }

    fn form_plain(&self, leg: &Leg, written: &Written, begin: (usize, usize)) -> Vec<parts::Part> {
        let own = self.settings.conference.to_string().len();
        let late = |name: &String| form::late(name, written.at);
        let name = written.author.as_ref();
        let label = name.filter(|_| self.is_late(written)).map(late);
        let label = label.as_ref().or(name);
        let author = match (label, &written.to) {
            (None, _) => Author::Conference,
            (Some(_), Recipient::Participant(_) | Recipient::Me) if leg.is_aside => Author::Other,
            (Some(name), Recipient::Everyone) => Author::Public(name),
            (Some(name), Recipient::Participant(_) | Recipient::Me) => Author::Private(name),
        };
        let limit = leg.room(self.display_room(written), own);
        let names = || self.people.values().map(|person| person.shown.name.as_str()).collect();
        let names: Option<Vec<&str>> = (!leg.quirks.knows_authors).then(names);
        parts::split(author, &written.text, names.as_deref(), limit, begin)
    }

    /// Bytes of the display name of a text's author, as a request says it.
    pub(super) fn display_room(&self, written: &Written) -> usize {
        let name = written.author.as_ref().map_or(0, |name| name.len() + name.matches('"').count());
        name + self.settings.subject.len() + 8
    }

    /// Keeps a queue within its bounds: the oldest public text goes first, with a word on how many went; then words of
    /// the conference, without one; then private texts, of which their authors are told.
    fn drop_oldest(&mut self, call: CallKey, entity: &str) {
        loop {
            let Some(leg) = self.legs.get_mut(&call) else { return };
            if leg.queue.len() <= MAX_QUEUE && leg.queued_bytes <= MAX_QUEUE_BYTES {
                return;
            }
            let public = leg.queue.iter().position(|one| one.written.to == Recipient::Everyone);
            let notice = || leg.queue.iter().position(|one| one.line.is_none() && one.gap == 0);
            let private = || leg.queue.iter().position(|one| one.line.is_some());
            let Some(place) = public.or_else(notice).or_else(private) else { return };
            let Some(old) = leg.queue.remove(place) else { return };
            leg.queued_bytes = leg.queued_bytes.saturating_sub(old.written.text.len());
            if public.is_some() {
                leg.dropped += 1;
                self.mark_gap(call, place);
            }
            if let Some(line) = old.line {
                self.too_many(line, entity);
            }
        }
    }

    fn mark_gap(&mut self, call: CallKey, place: usize) {
        let Some(count) = self.legs.get(&call).map(|leg| leg.dropped) else { return };
        let text =
            format!("[{count} {} not delivered]", if count == 1 { "message" } else { "messages" });
        let written = self.words_of_ours(&text, self.now);
        let Some(leg) = self.legs.get_mut(&call) else { return };
        let enveloped = leg.reads.envelopes && leg.way == Way::InDialog;
        let formed = if enveloped { text } else { form::plain(Author::Conference, &text, None) };
        let gap = Queued {
            line: None,
            written,
            kind: Kind::Text,
            parts: vec![parts::Part { formed, start: 0 }],
            enveloped,
            timed: false,
            next: 0,
            retried: false,
            fell_back: false,
            gap: count,
        };
        if let Some(known) = leg.queue.iter_mut().find(|queued| queued.gap > 0) {
            let (before, after) = (known.written.text.len(), gap.written.text.len());
            *known = gap;
            leg.queued_bytes = (leg.queued_bytes + after).saturating_sub(before);
        } else {
            leg.queued_bytes += gap.written.text.len();
            leg.queue.insert(place.min(leg.queue.len()), gap);
        }
    }

    /// A phone was told of some dropped texts; what waits tells of the others.
    fn gap_told(&mut self, call: CallKey, told: usize) {
        let Some(leg) = self.legs.get_mut(&call) else { return };
        leg.dropped = leg.dropped.saturating_sub(told);
        if told > 0 && leg.queue.iter().any(|queued| queued.gap > 0) {
            self.mark_gap(call, 0);
        }
    }

    fn too_many(&mut self, line: MessageId, entity: &str) {
        let reason = "Too many texts were waiting".to_owned();
        self.delivery(line, entity, DeliveryState::Failed, None, reason);
    }

    /// Sends the next part, or the next text, when nothing is in flight.
    pub(super) fn send_next(&mut self, call: CallKey, now: Now) {
        let Some(leg) = self.legs.get_mut(&call) else { return };
        let blocked = leg.retry_at.is_some_and(|at| at > now.monotonic);
        if leg.in_flight.is_some() || blocked || !leg.connected {
            return;
        }
        let Some(mut queued) = leg.queue.pop_front() else { return };
        leg.queued_bytes = leg.queued_bytes.saturating_sub(queued.written.text.len());
        self.form_again(call, &mut queued);
        let Some(leg) = self.legs.get(&call) else { return };
        let line = queued.line.filter(|_| queued.next == 0 && !queued.retried);
        let person = leg.person;
        self.send_part(call, queued);
        if let Some(line) = line {
            let entity = self.entity_of_person(person);
            self.delivery(line, &entity, DeliveryState::Sending, None, String::new());
        }
    }

    /// What waited long says when it was written; what the leg learnt since says how it reads.
    fn form_again(&mut self, call: CallKey, queued: &mut Queued) {
        let Some(leg) = self.legs.get(&call) else { return };
        let enveloped = leg.reads.envelopes && leg.way == Way::InDialog;
        let is_stale = queued.enveloped != enveloped
            || !queued.enveloped && queued.timed != self.is_late(&queued.written);
        if queued.gap == 0 && queued.kind == Kind::Text && is_stale {
            self.form(call, queued);
        }
    }

    fn send_part(&mut self, call: CallKey, queued: Queued) {
        self.next_token += 1;
        let token = Token(self.next_token);
        self.tokens.insert(token, call);
        let is_aside = self.legs.get(&call).is_some_and(|leg| leg.is_aside);
        let subject = &self.settings.subject;
        let display = match (&queued.kind, &queued.written.author) {
            // In a call of two nobody needs to be named.
            (Kind::Text, Some(_)) if is_aside => None,
            (Kind::Text, Some(name)) => Some(format!("{name} ({subject})")),
            (Kind::Text, None) => None,
            // These are nobody's words.
            (Kind::History | Kind::Reports(_), _) => Some(String::new()),
        };
        let conference = self.settings.conference.clone();
        let Some(content) = self.content_of(call, &queued) else { return };
        let Some(leg) = self.legs.get_mut(&call) else { return };
        let act = match leg.way {
            Way::InDialog => SipAct::Message { token, call, from_display: display, content },
            Way::OutOfDialog => {
                // Behind a proxy the phone is reached by its address: where it is is not for us to ask.
                let ways =
                    if leg.is_routed { [&leg.uri, &leg.contact] } else { [&leg.contact, &leg.uri] };
                let target = ways.into_iter().flatten().next().unwrap_or(&conference).clone();
                let own = leg.dialled_uri.clone().unwrap_or(conference);
                let from = NameAddr::new(display.as_deref(), own);
                SipAct::PagerMessage { token, target, flow: Some(leg.flow), from, content }
            }
        };
        leg.in_flight = Some(InFlight::Text(Box::new(queued)));
        self.sip(act);
    }

    /// The request in flight of a leg has its outcome.
    pub(super) fn text_finished(&mut self, call: CallKey, outcome: &Outcome, now: Now) {
        let Some(leg) = self.legs.get_mut(&call) else { return };
        let Some(in_flight) = leg.in_flight.take() else { return };
        match in_flight {
            InFlight::Mark => self.mark_answered(call, outcome),
            InFlight::Probe(queued, code) => self.probed(call, *queued, code, outcome, now),
            InFlight::Text(queued) => self.text_answered(call, *queued, outcome, now),
        }
        self.send_next(call, now);
    }

    fn text_answered(&mut self, call: CallKey, mut queued: Queued, outcome: &Outcome, now: Now) {
        let Some(leg) = self.legs.get_mut(&call) else { return };
        if queued.enveloped && answer::refuses_envelope(outcome) {
            // The same as ordinary phones get it, remembered for the leg.
            leg.refused_envelope = true;
            leg.reads.envelopes = false;
            if self.form(call, &mut queued) {
                self.send_part(call, queued);
            }
            return;
        }
        if let Some(instead) = leg.text_type.instead(outcome).filter(|_| !queued.enveloped) {
            leg.text_type = instead;
            self.send_part(call, queued);
            return;
        }
        match answer::read(outcome, &leg.quirks) {
            Next::Accepted => {
                leg.ever_accepted = true;
                queued.next += 1;
                queued.retried = false;
                if queued.next < queued.parts.len() {
                    self.send_part(call, queued);
                } else {
                    self.settle(call, &queued, DeliveryState::Accepted, None);
                    self.gap_told(call, queued.gap);
                }
            }
            // Neither way took it: no text reaches this phone (sip-chat §3.9).
            Next::Failed(code) | Next::Probe(code) if queued.fell_back => {
                leg.unsupported = true;
                self.settle(call, &queued, DeliveryState::Unsupported, code);
                self.now_unsupported(call, now);
            }
            Next::Failed(code) => self.settle(call, &queued, DeliveryState::Failed, code),
            Next::Shorter => {
                let size = queued.parts.get(queued.next).map_or(0, |part| part.formed.len());
                let shorter = (size / 2).max(MIN_LIMIT);
                leg.limit = leg.limit.min(shorter);
                if size > MIN_LIMIT && self.form(call, &mut queued) {
                    self.send_part(call, queued);
                } else {
                    self.settle(call, &queued, DeliveryState::Failed, Some(413));
                }
            }
            Next::Retry(_, code) if queued.retried => {
                self.settle(call, &queued, DeliveryState::Failed, Some(code))
            }
            Next::Retry(after, _) => {
                queued.retried = true;
                leg.retry_at = Some(now.monotonic + after);
                if queued.gap > 0 && leg.queue.iter().any(|other| other.gap > 0) {
                    // A later one tells of the same texts and more.
                    return;
                }
                leg.queued_bytes += queued.written.text.len();
                leg.queue.push_front(queued);
            }
            Next::TryOtherWay(code) => self.try_other_way(call, queued, Some(code), now),
            Next::Unsupported(code) => {
                leg.unsupported = true;
                self.settle(call, &queued, DeliveryState::Unsupported, Some(code));
                self.now_unsupported(call, now);
            }
            Next::Probe(code) if leg.way == Way::InDialog => {
                self.next_token += 1;
                let token = Token(self.next_token);
                self.tokens.insert(token, call);
                if let Some(leg) = self.legs.get_mut(&call) {
                    leg.in_flight = Some(InFlight::Probe(Box::new(queued), code));
                }
                self.sip(SipAct::Options { token, call });
            }
            Next::Probe(code) => self.settle(call, &queued, DeliveryState::Failed, code),
        }
    }

    /// The dialog was in doubt and OPTIONS has been answered, or not.
    fn probed(
        &mut self,
        call: CallKey,
        queued: Queued,
        code: Option<u16>,
        outcome: &Outcome,
        now: Now,
    ) {
        let Some(leg) = self.legs.get(&call) else { return };
        if answer::proves_life(outcome) == Some(false) {
            // Sound may still flow, and whoever lost his call is missed by it: the call never ends for a text.
            self.settle(call, &queued, DeliveryState::Failed, code);
            return;
        }
        // Silence on a leg that took texts before may hide one that was shown; and where nothing at all comes back, no
        // other way leads anywhere, and the text would stand there twice once the phone is back.
        // Our own kind answers every text that it gets.
        let may_be_shown =
            leg.ever_accepted || leg.quirks.knows_authors || answer::proves_life(outcome).is_none();
        if code.is_none() && may_be_shown {
            self.settle(call, &queued, DeliveryState::Failed, None);
        } else {
            self.try_other_way(call, queued, code, now);
        }
    }

    /// Once, outside of the dialog; then the leg takes no text.
    fn try_other_way(&mut self, call: CallKey, mut queued: Queued, code: Option<u16>, now: Now) {
        let Some(leg) = self.legs.get_mut(&call) else { return };
        if !leg.tried_other_way && !queued.fell_back && leg.way == Way::InDialog {
            leg.tried_other_way = true;
            leg.way = Way::OutOfDialog;
            queued.fell_back = true;
            self.send_part(call, queued);
            return;
        }
        if code.is_some() {
            leg.unsupported = true;
            self.settle(call, &queued, DeliveryState::Unsupported, code);
            self.now_unsupported(call, now);
        } else {
            self.settle(call, &queued, DeliveryState::Failed, None);
        }
    }

    fn now_unsupported(&mut self, call: CallKey, now: Now) {
        let Some(leg) = self.legs.get_mut(&call) else { return };
        let waiting = std::mem::take(&mut leg.queue);
        leg.queued_bytes = 0;
        let person = leg.person;
        for queued in &waiting {
            self.settle(call, queued, DeliveryState::Unsupported, None);
        }
        self.change(person, now, |shown| shown.chat = ChatAbility::No);
    }

    fn settle(&mut self, call: CallKey, queued: &Queued, state: DeliveryState, code: Option<u16>) {
        let Some(line) = queued.line else { return };
        let Some(person) = self.legs.get(&call).map(|leg| leg.person) else { return };
        let (entity, name) = (self.entity_of_person(person), self.name_of(person));
        let reason = match state {
            DeliveryState::Failed => words::text_failure(&name, code),
            DeliveryState::Unsupported => words::text_unsupported(&name),
            DeliveryState::Waiting
            | DeliveryState::Sending
            | DeliveryState::Accepted
            | DeliveryState::Delivered
            | DeliveryState::Left => String::new(),
        };
        self.delivery(line, &entity, state, code, reason);
    }

    /// The leg is gone: nothing waits any more.
    pub(super) fn leg_left(&mut self, leg: Leg) {
        let entity = self.entity_of_person(leg.person);
        let open = match leg.in_flight {
            Some(InFlight::Probe(queued, _) | InFlight::Text(queued)) => Some(*queued),
            Some(InFlight::Mark) | None => None,
        };
        let open = open.into_iter().chain(leg.queue);
        for line in open.filter_map(|queued| queued.line) {
            self.delivery(line, &entity, DeliveryState::Left, None, String::new());
        }
    }

    /// A change of what became of a line at one recipient: told to its author, where that is not the host too.
    pub(super) fn delivery(
        &mut self,
        line: MessageId,
        recipient: &str,
        state: DeliveryState,
        code: Option<u16>,
        reason: String,
    ) {
        let recipient = recipient.to_owned();
        let host = self.entity_of_person(super::HOST);
        let written = self.lines.get(&line).filter(|written| written.author_entity != host);
        let is_public = written.is_none_or(|written| written.to == Recipient::Everyone);
        if let Some(written) = written.cloned() {
            let change = (recipient.as_str(), state, code);
            if !self.report(line, &written, change) && !is_public {
                self.report_to(&written.author_entity, &recipient, state, &reason);
            }
        }
        // What became of a private text is the matter of those two.
        if !is_public {
            return;
        }
        if state == DeliveryState::Failed {
            self.failed.insert((line, recipient.clone()));
        } else {
            self.failed.remove(&(line, recipient.clone()));
        }
        self.tell(Event::Delivery(Delivery { id: line, recipient, state, code, reason }));
    }

    /// The author of a private text who reads no reports is told of failures in words, not too often.
    fn report_to(&mut self, author: &str, recipient: &str, state: DeliveryState, reason: &str) {
        let reason = match state {
            DeliveryState::Left => "left",
            DeliveryState::Failed | DeliveryState::Unsupported => reason,
            DeliveryState::Waiting
            | DeliveryState::Sending
            | DeliveryState::Accepted
            | DeliveryState::Delivered => return,
        };
        let now = self.now;
        let of = |entity: &str| self.people.values().find(|person| person.shown.entity == entity);
        let Some(call) = of(author).and_then(|person| person.call) else { return };
        let name = of(recipient).map_or(recipient, |person| person.shown.name.as_str());
        let text = format!("Not delivered to {name}: {reason}");
        let Some(leg) = self.legs.get_mut(&call) else { return };
        if leg.reported.is_some_and(|at| now.monotonic < at + REPORT_PAUSE) {
            return;
        }
        leg.reported = Some(now.monotonic);
        self.notice_to(call, &text, now);
    }

    pub(super) fn entity_of_person(&self, id: ParticipantId) -> String {
        self.people.get(&id).map(|person| person.shown.entity.clone()).unwrap_or_default()
    }
}
