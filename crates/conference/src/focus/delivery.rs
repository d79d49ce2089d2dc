//! Texts on their way to a leg: one queue a leg, one text in flight, parts in a row, and what the answers mean
//! (sip-chat §3.4, §3.8, §3.9).

use sip_core::{CallKey, Flow, Headers, Method, NameAddr, Outcome, Uri};

use super::{Focus, Leg};
use crate::chat::answer::{self, Next, TextType};
use crate::chat::form::Author;
use crate::chat::parts;
use crate::chat::quirks::{self, Quirks, Way};
use crate::{
    ChatAbility, Delivery, DeliveryState, Event, MessageId, Now, ParticipantId, Recipient, SipAct,
    Token, words,
};

/// The most texts, and bytes of them, that wait for one leg.
const MAX_QUEUE: usize = 200;
const MAX_QUEUE_BYTES: usize = 256 * 1024;
/// The most bytes of a request over UDP (RFC 3261 §18.1.1), and over TCP to a phone that may cut at 4000.
const UDP_REQUEST: usize = 1300;
const TCP_REQUEST: usize = 3500;
/// What proxies on the way may add.
const PROXIES: usize = 180;
/// Start line, Via, CSeq and all other headers without their URIs, names and tags.
const HEADERS: usize = 420;
const MIN_LIMIT: usize = 200;
/// The least time between two reports to the author of private texts.
const REPORT_PAUSE: std::time::Duration = std::time::Duration::from_secs(10);
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
}

/// A text that waits for its turn.
#[derive(Clone, Debug)]
pub(super) struct Queued {
    /// `None` for notices of the conference itself.
    pub(super) line: Option<MessageId>,
    pub(super) written: Written,
    pub(super) parts: Vec<parts::Part>,
    pub(super) next: usize,
    pub(super) retried: bool,
    pub(super) fell_back: bool,
    /// How many dropped texts it tells of; zero for all others.
    pub(super) gap: usize,
}

/// What a leg waits for.
#[derive(Debug)]
pub(super) struct InFlight {
    /// The text, or `None` while the dialog is being probed.
    pub(super) queued: Option<Queued>,
    /// The text that was in doubt when the probe went out, with its code.
    pub(super) doubtful: Option<(Queued, Option<u16>)>,
}

impl Leg {
    pub(super) fn new(
        person: ParticipantId,
        flow: Flow,
        uri: Option<Uri>,
        quirks: Quirks,
        dialled_out: bool,
    ) -> Self {
        Self {
            person,
            connected: false,
            dialled_out,
            flow,
            uri,
            identity: sip_core::Identity::Unverified,
            dialog: Default::default(),
            is_routed: false,
            beyond_hop: None,
            contact: None,
            dialled_uri: None,
            quirks_name: None,
            quirks,
            way: Way::InDialog,
            tried_other_way: false,
            unsupported: false,
            text_type: TextType::default(),
            ever_accepted: false,
            told: false,
            limit: usize::MAX,
            route_bytes: 0,
            dropped: 0,
            reported: None,
            joiner: Default::default(),
            queue: Default::default(),
            queued_bytes: 0,
            in_flight: None,
            retry_at: None,
        }
    }

    /// What a phone tells of itself in its INVITE or its answer.
    pub(super) fn learn(&mut self, headers: &Headers, dialled_out: bool) {
        self.quirks_name = headers.user_agent().map(crate::name::clean);
        self.quirks = quirks::of(headers.user_agent());
        self.way = if dialled_out { self.quirks.dialled_out } else { self.quirks.dialled_in };
        self.limit = self.quirks.limit.unwrap_or(usize::MAX);
        let routes = headers.record_routes().unwrap_or_default();
        self.route_bytes =
            routes.iter().map(|route| "Route: \r\n".len() + route.to_string().len()).sum();
        self.is_routed = headers.record_routes().is_ok_and(|routes| !routes.is_empty());
        self.take_target(headers);
    }

    /// How many bytes of text a request to this phone can carry when it says this display name and address of ours.
    fn room(&self, display: usize, own: usize) -> usize {
        let uri = |uri: &Option<Uri>| uri.as_ref().map_or(0, |uri| uri.to_string().len());
        let (call_id, ours, theirs) = &self.dialog;
        let names = display + 2 * own.max(uri(&self.uri)) + 64;
        let dialog = call_id.len() + ours.len() + theirs.len();
        let proxies = if self.is_routed { PROXIES } else { 0 };
        let used = HEADERS + names + dialog + uri(&self.contact) + self.route_bytes + proxies;
        let most = match self.flow.transport {
            sip_core::Transport::Udp => UDP_REQUEST,
            sip_core::Transport::Tcp | sip_core::Transport::Tls => TCP_REQUEST,
        };
        most.saturating_sub(used).max(MIN_LIMIT).min(self.limit)
    }

    /// Contact and Allow of a target refresh (RFC 3261 §12.2).
    pub(super) fn refresh(&mut self, headers: &Headers) {
        let before = self.contact.as_ref().and_then(address_of);
        self.take_target(headers);
        let after = self.contact.as_ref().and_then(address_of);
        // A phone whose Contact was where its requests came from has moved; behind a NAT nothing is known.
        let was_there = self.flow.transport == sip_core::Transport::Udp
            && !self.is_routed
            && before == Some(self.flow.remote);
        if let Some(remote) = after.filter(|_| was_there) {
            self.flow.remote = remote;
        }
    }

    fn take_target(&mut self, headers: &Headers) {
        let contact = headers.contacts().ok().and_then(|contacts| contacts.first().cloned());
        if let Some(uri) = contact.and_then(|contact| contact.uri.as_sip().cloned()) {
            self.contact = Some(uri);
        }
        // An Allow without MESSAGE says no; no Allow says nothing (RFC 3261 §20.5).
        if let Some(allow) = headers.allow() {
            self.unsupported = !allow.contains(&Method::Message);
        }
    }

    pub(super) fn ability(&self) -> ChatAbility {
        if self.unsupported || self.quirks.never_shows {
            ChatAbility::No
        } else if self.quirks.joins_lines {
            ChatAbility::LinesMayBeJoined
        } else {
            ChatAbility::Yes
        }
    }
}

/// Where a URI with a literal address leads over UDP.
pub(super) fn address_of(uri: &Uri) -> Option<std::net::SocketAddr> {
    let ip = uri.host.ip().filter(|_| uri.transport().is_none_or(|name| name == "udp"))?;
    Some(std::net::SocketAddr::new(ip, uri.port.unwrap_or(5060)))
}

impl Focus {
    pub(super) fn remember(&mut self, line: MessageId, written: Written) {
        self.lines.insert(line, written);
        while self.lines.len() > MAX_LINES {
            let Some((old, _)) = self.lines.pop_first() else { break };
            self.failed.retain(|(line, _)| *line != old);
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
            if shown.is_self || is_author || !is_recipient || person.gone_at.is_some() {
                continue;
            }
            self.relay_to(id, line, written, now);
        }
    }

    fn relay_to(&mut self, id: ParticipantId, line: MessageId, written: &Written, now: Now) {
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
        let written = Written {
            text: text.to_owned(),
            author: None,
            author_entity: self.settings.conference.to_string(),
            to: Recipient::Me,
        };
        self.enqueue(call, None, &written, now);
    }

    fn enqueue(&mut self, call: CallKey, line: Option<MessageId>, written: &Written, now: Now) {
        let entity = self.legs.get(&call).map(|leg| leg.person).map(|id| self.entity_of_person(id));
        let Some(entity) = entity else { return };
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
            parts: Vec::new(),
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
        let Some(leg) = self.legs.get_mut(&call) else { return };
        leg.queued_bytes += queued.written.text.len();
        leg.queue.push_back(queued);
        if let Some(line) = line {
            self.delivery(line, &entity, DeliveryState::Waiting, None, String::new());
        }
        self.drop_oldest(call, &entity);
        self.send_next(call, now);
    }

    /// Splits what is unsent of a text for its leg; false where it has too many parts.
    fn form(&mut self, call: CallKey, queued: &mut Queued) -> bool {
        let own = self.settings.conference.to_string().len();
        let Some(leg) = self.legs.get(&call) else { return false };
        let written = &queued.written;
        let author = match (&written.author, &written.to) {
            (None, _) => Author::Conference,
            (Some(name), Recipient::Everyone) => Author::Public(name),
            (Some(name), Recipient::Participant(_) | Recipient::Me) => Author::Private(name),
        };
        let name = written.author.as_ref().map_or(0, |name| name.len() + name.matches('"').count());
        let limit = leg.room(name + self.settings.subject.len() + 8, own);
        let names = || self.people.values().map(|person| person.shown.name.as_str()).collect();
        let names: Option<Vec<&str>> = (!leg.quirks.knows_authors).then(names);
        let sent = queued.next;
        let from = queued.parts.get(sent).map_or(0, |part| part.start);
        let new = parts::split(author, &written.text, names.as_deref(), limit, (from, sent));
        queued.parts.truncate(sent);
        queued.parts.extend(new);
        queued.parts.len() <= parts::MAX_PARTS || leg.quirks.knows_authors
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
        let author_entity = self.settings.conference.to_string();
        let Some(leg) = self.legs.get_mut(&call) else { return };
        let count = leg.dropped;
        let text =
            format!("[{count} {} not delivered]", if count == 1 { "message" } else { "messages" });
        let formed = crate::chat::form::plain(Author::Conference, &text, None);
        let written = Written { text, author: None, author_entity, to: Recipient::Me };
        let gap = Queued {
            line: None,
            written,
            parts: vec![parts::Part { formed, start: 0 }],
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
        let Some(queued) = leg.queue.pop_front() else { return };
        leg.queued_bytes = leg.queued_bytes.saturating_sub(queued.written.text.len());
        let line = queued.line.filter(|_| queued.next == 0 && !queued.retried);
        let person = leg.person;
        self.send_part(call, queued);
        if let Some(line) = line {
            let entity = self.entity_of_person(person);
            self.delivery(line, &entity, DeliveryState::Sending, None, String::new());
        }
    }

    fn send_part(&mut self, call: CallKey, queued: Queued) {
        self.next_token += 1;
        let token = Token(self.next_token);
        self.tokens.insert(token, call);
        let author = queued.written.author.clone();
        let subject = self.settings.subject.clone();
        let display = author.as_ref().map(|name| format!("{name} ({subject})"));
        let conference = self.settings.conference.clone();
        let Some(leg) = self.legs.get_mut(&call) else { return };
        let text = queued.parts.get(queued.next).map_or("", |part| part.formed.as_str());
        let content = leg.text_type.content(text);
        let act = match leg.way {
            Way::InDialog => SipAct::Message { token, call, from_display: display, content },
            Way::OutOfDialog => {
                let target = leg
                    .contact
                    .clone()
                    .or_else(|| leg.uri.clone())
                    .unwrap_or_else(|| conference.clone());
                let own = leg.dialled_uri.clone().unwrap_or(conference);
                let from = NameAddr::new(display.as_deref(), own);
                SipAct::PagerMessage { token, target, flow: Some(leg.flow), from, content }
            }
        };
        leg.in_flight = Some(InFlight { queued: Some(queued), doubtful: None });
        self.sip(act);
    }

    /// The request in flight of a leg has its outcome.
    pub(super) fn text_finished(&mut self, call: CallKey, outcome: &Outcome, now: Now) {
        let Some(leg) = self.legs.get_mut(&call) else { return };
        let Some(in_flight) = leg.in_flight.take() else { return };
        match in_flight {
            InFlight { queued: None, doubtful: Some((queued, code)) } => {
                self.probed(call, queued, code, outcome, now);
            }
            InFlight { queued: Some(queued), .. } => self.text_answered(call, queued, outcome, now),
            InFlight { queued: None, doubtful: None } => {}
        }
        self.send_next(call, now);
    }

    fn text_answered(&mut self, call: CallKey, mut queued: Queued, outcome: &Outcome, now: Now) {
        let Some(leg) = self.legs.get_mut(&call) else { return };
        if let Some(instead) = leg.text_type.instead(outcome) {
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
                    leg.in_flight = Some(InFlight { queued: None, doubtful: Some((queued, code)) });
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
        // Silence on a leg that took texts before may hide one that was shown.
        if code.is_none() && leg.ever_accepted {
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
        let (queued, doubtful) =
            leg.in_flight.map_or((None, None), |flight| (flight.queued, flight.doubtful));
        let open = queued.into_iter().chain(doubtful.map(|(queued, _)| queued)).chain(leg.queue);
        for line in open.filter_map(|queued| queued.line) {
            self.delivery(line, &entity, DeliveryState::Left, None, String::new());
        }
    }

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
        let between = self.lines.get(&line).filter(|written| {
            matches!(written.to, Recipient::Participant(_)) && written.author_entity != host
        });
        if let Some(author) = between.map(|written| written.author_entity.clone()) {
            self.report_to(&author, &recipient, state, &reason);
            return;
        }
        if state == DeliveryState::Failed {
            self.failed.insert((line, recipient.clone()));
        } else {
            self.failed.remove(&(line, recipient.clone()));
        }
        self.tell(Event::Delivery(Delivery { id: line, recipient, state, code, reason }));
    }

    /// What became of a private text is its author's matter alone; he is told of failures, not too often.
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

    pub(super) fn resend(&mut self, line: MessageId, recipient: &str, now: Now) {
        let Some(written) = self.lines.get(&line).cloned() else {
            self.tell(Event::Notice {
                text: "That message is too old to be sent again".to_owned(),
            });
            return;
        };
        let person = self.people.values().find(|person| person.shown.entity == recipient);
        let Some(id) =
            person.filter(|person| person.gone_at.is_none()).map(|person| person.shown.id)
        else {
            self.delivery(line, recipient, DeliveryState::Left, None, String::new());
            return;
        };
        if !self.failed.contains(&(line, recipient.to_owned())) {
            let text = "That message has not failed there: it is not sent again".to_owned();
            self.tell(Event::Notice { text });
            return;
        }
        self.relay_to(id, line, &written, now);
    }

    pub(super) fn entity_of_person(&self, id: ParticipantId) -> String {
        self.people.get(&id).map(|person| person.shown.entity.clone()).unwrap_or_default()
    }
}
