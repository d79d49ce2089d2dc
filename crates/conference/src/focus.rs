//! The focus of a conference (RFC 4353, RFC 4579): who is in it, and the order of everything. `focus/talk` decides who
//! gets a text, `focus/delivery` brings it there, `focus/documents` tells subscribers who is here.

mod delivery;
mod documents;
mod talk;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use sip_core::{
    AnyUri, CallFailure, CallKey, EndReason, Event as SipEvent, Failure, Flow, NameAddr, Request,
    RequestId, Response, SubscriptionKey, Uri,
};
use time::OffsetDateTime;

use crate::chat::limits::{self, SenderLimit};
use crate::chat::quirks::{self, Quirks, Way};
use crate::chat::whole::Joiner;
use crate::tie::LegAddress;
use crate::{
    ChatAbility, ChatRate, Command, Effect, Event, MediaState, MessageId, MixerAct, Now,
    Participant, ParticipantId, ParticipantState, SipAct, Timer, Token, name, words,
};
use delivery::{InFlight, Queued, Written};
use documents::Subscriber;

/// Somebody who left is shown this long.
const FORGET_AFTER: Duration = Duration::from_secs(30);

/// How a conference is set up.
#[derive(Clone, Debug)]
pub struct FocusSettings {
    /// The host's own address and name.
    pub own: NameAddr,
    /// The conference's URI; its user part is what people call.
    pub conference: Uri,
    /// What it is about.
    pub subject: String,
    /// Limit of each sender's texts.
    pub chat_rate: ChatRate,
    /// The most people beside the host.
    pub capacity: usize,
}

/// Somebody who is, was, or is to be in the conference.
#[derive(Debug)]
struct Person {
    shown: Participant,
    call: Option<CallKey>,
    joined: Option<OffsetDateTime>,
    dialled: bool,
    gone_at: Option<Instant>,
    /// Why he left, in the words of RFC 4575 §5.7.6.
    gone_how: Option<&'static str>,
    limit: SenderLimit,
    /// Lines for somebody who is still being called.
    waiting: Vec<MessageId>,
}

/// The call to a person.
#[derive(Debug)]
struct Leg {
    person: ParticipantId,
    connected: bool,
    dialled_out: bool,
    flow: Flow,
    uri: Option<Uri>,
    /// Call-ID, our tag and theirs.
    dialog: (String, String, String),
    /// Where texts outside of the dialog go, and as whom they come.
    contact: Option<Uri>,
    dialled_uri: Option<Uri>,
    /// What the phone calls itself.
    quirks_name: Option<String>,
    quirks: Quirks,
    way: Way,
    tried_other_way: bool,
    unsupported: bool,
    ever_accepted: bool,
    told: bool,
    limit: usize,
    /// Long texts of one of our own kind, while their parts come in.
    joiner: Joiner,
    queue: VecDeque<Queued>,
    queued_bytes: usize,
    in_flight: Option<InFlight>,
    retry_at: Option<Instant>,
}

/// A call that rings and is not yet let in.
#[derive(Debug)]
struct Caller {
    request: Request,
    flow: Flow,
}

/// The focus as a value.
pub struct Focus {
    settings: FocusSettings,
    effects: VecDeque<Effect>,
    people: BTreeMap<ParticipantId, Person>,
    legs: BTreeMap<CallKey, Leg>,
    callers: BTreeMap<CallKey, Caller>,
    next_person: u32,
    next_token: u64,
    next_line: u64,
    seq: u64,
    lines: BTreeMap<MessageId, Written>,
    own_limit: SenderLimit,
    conference_limit: SenderLimit,
    tokens: BTreeMap<Token, CallKey>,
    requests: BTreeMap<RequestId, CallKey>,
    seen: VecDeque<(String, u32, String)>,
    subscribers: BTreeMap<SubscriptionKey, Subscriber>,
    subscribing: BTreeMap<RequestId, Option<CallKey>>,
    over: bool,
}

impl std::fmt::Debug for Focus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Focus")
            .field("people", &self.people.len())
            .field("seq", &self.seq)
            .finish_non_exhaustive()
    }
}

const HOST: ParticipantId = ParticipantId(1);

impl Focus {
    /// A conference with its host alone.
    pub fn new(settings: FocusSettings, now: Now) -> Self {
        let limit = SenderLimit::new(settings.chat_rate, now.monotonic);
        let shown = Participant {
            id: HOST,
            entity: entity_of(&settings.own.uri),
            name: name::of_address(&settings.own),
            is_self: true,
            is_host: true,
            state: ParticipantState::Connected,
            reason: String::new(),
            muted: false,
            chat: ChatAbility::Yes,
            agent: None,
        };
        let host = Person {
            shown: shown.clone(),
            call: None,
            joined: Some(now.utc),
            dialled: false,
            gone_at: None,
            gone_how: None,
            limit: limit.clone(),
            waiting: Vec::new(),
        };
        let mut effects = VecDeque::new();
        effects.push_back(Effect::Event(Event::Subject { subject: settings.subject.clone() }));
        effects.push_back(Effect::Event(Event::Participant(shown)));
        Self {
            conference_limit: limits::conference(settings.chat_rate, now.monotonic),
            own_limit: limit,
            settings,
            effects,
            people: BTreeMap::from([(HOST, host)]),
            legs: BTreeMap::new(),
            callers: BTreeMap::new(),
            next_person: HOST.0,
            next_token: 0,
            next_line: 0,
            seq: 0,
            lines: BTreeMap::new(),
            tokens: BTreeMap::new(),
            requests: BTreeMap::new(),
            seen: VecDeque::new(),
            subscribers: BTreeMap::new(),
            subscribing: BTreeMap::new(),
            over: false,
        }
    }

    /// The user's wishes, and the reports on effects.
    pub fn handle_command(&mut self, command: Command, now: Now) {
        match command {
            Command::Admit { call } => self.admit(call, now),
            Command::Dialling { participant, call } => self.dialling(participant, call),
            Command::DialFailed { participant, reason } => {
                self.gone(participant, reason, Some("failed"), now);
            }
            Command::End => self.end(now),
            Command::Invite { target, name } => self.invite(target, name, now),
            Command::Media { call, state } => self.media(call, state, now),
            Command::Muted { on } => self.change(HOST, now, |host| host.muted = on),
            Command::Remove { participant } => self.remove(participant, now),
            Command::Resend { message, recipient } => self.resend(message, &recipient, now),
            Command::Say { reference, text, to } => self.say(reference, text, to, now),
            Command::Sent { token, request } => {
                if let Some(call) = self.tokens.remove(&token) {
                    self.requests.insert(request, call);
                }
            }
            Command::SetName { name } => {
                let name = name::clean(&name);
                self.settings.own.display = Some(name.clone());
                self.change(HOST, now, |host| host.name = name);
            }
            Command::Subscription { subscribe, subscription } => {
                self.subscribed(subscribe, subscription, now);
            }
            Command::Unsendable { token } => {
                if let Some(call) = self.tokens.remove(&token) {
                    self.text_finished(call, &sip_core::Outcome::Unsendable, now);
                }
            }
        }
    }

    /// What happened on the wire.
    pub fn handle_event(&mut self, event: &SipEvent, now: Now) {
        match event {
            SipEvent::Acked { call, .. } => self.connected(call.key(), now),
            SipEvent::Answered { call, response, flow } => {
                self.answered(call.key(), response, *flow, now)
            }
            SipEvent::Cancelled { call } => {
                self.callers.remove(call);
                self.call_over(*call, String::new(), Some("departed"), now);
            }
            SipEvent::Completed { request, outcome, .. } => {
                if let Some(call) = self.requests.remove(request) {
                    self.text_finished(call, outcome, now);
                }
            }
            SipEvent::Ended { call, reason } => {
                let (words, how) = match reason {
                    EndReason::Bye(_) => ("left".to_owned(), "departed"),
                    EndReason::HungUp => (String::new(), "booted"),
                    EndReason::NoAck | EndReason::PeerLost => {
                        ("The connection was lost".to_owned(), "failed")
                    }
                };
                self.call_over(*call, words, Some(how), now);
            }
            SipEvent::Invited { call, request, flow } => {
                self.callers.insert(call.key(), Caller { request: request.clone(), flow: *flow });
                let user = request.uri.as_sip().and_then(Uri::user_unescaped);
                if user.is_some() && user == self.settings.conference.user_unescaped() {
                    self.admit(call.key(), now);
                }
            }
            SipEvent::Message { message, call, request, flow } => {
                self.hear(message.id(), *call, request, flow, now);
            }
            SipEvent::Progress { call, response } => {
                if matches!(response.status.code(), 180 | 183)
                    && let Some(person) = self.legs.get(call).map(|leg| leg.person)
                {
                    self.change(person, now, |shown| shown.state = ParticipantState::Alerting);
                }
            }
            SipEvent::Rejected { call, failure } => self.refused(*call, failure, now),
            SipEvent::SubscribeReceived {
                subscribe,
                subscription,
                call,
                expires,
                request,
                flow,
            } => {
                let known = (*subscription, *call);
                self.asked_for_documents(subscribe.id(), known, *expires, request, flow);
            }
            SipEvent::SubscriptionEnded { subscription, .. } => {
                self.subscribers.remove(subscription);
            }
            SipEvent::Notified { .. }
            | SipEvent::Reinvited { .. }
            | SipEvent::ReinviteAcked { .. } => {}
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Now) {
        let due = |at: &Option<Instant>| at.is_some_and(|at| at <= now.monotonic);
        let ready: Vec<CallKey> =
            self.legs.iter().filter(|(_, leg)| due(&leg.retry_at)).map(|(key, _)| *key).collect();
        for key in ready {
            if let Some(leg) = self.legs.get_mut(&key) {
                leg.retry_at = None;
            }
            self.send_next(key, now);
        }
        let old: Vec<ParticipantId> = self
            .people
            .iter()
            .filter(|(_, person)| {
                person.gone_at.is_some_and(|at| at + FORGET_AFTER <= now.monotonic)
            })
            .map(|(id, _)| *id)
            .collect();
        for id in old {
            self.people.remove(&id);
            self.roster_changed(now);
        }
        self.send_documents(now);
    }

    /// The next thing to be done.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When it wants to be woken, and why.
    pub fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        let retries =
            self.legs.values().filter_map(|leg| leg.retry_at).map(|at| (at, Timer::Retry));
        let gone = self.people.values().filter_map(|person| person.gone_at);
        let gone = gone.map(|at| (at + FORGET_AFTER, Timer::Forget));
        let documents = self.next_document().map(|at| (at, Timer::Notify));
        retries.chain(gone).chain(documents).min()
    }

    /// The conference's URI.
    pub fn uri(&self) -> &Uri {
        &self.settings.conference
    }

    /// The host.
    pub fn own_id(&self) -> ParticipantId {
        HOST
    }

    /// Whose call this is.
    pub fn participant_of(&self, call: CallKey) -> Option<ParticipantId> {
        self.legs.get(&call).map(|leg| leg.person)
    }

    /// Everybody, in the order of coming.
    pub fn roster(&self) -> impl Iterator<Item = &Participant> {
        self.people.values().map(|person| &person.shown)
    }

    fn sip(&mut self, act: SipAct) {
        self.effects.push_back(Effect::Sip(act));
    }

    fn tell(&mut self, event: Event) {
        self.effects.push_back(Effect::Event(event));
    }

    fn change(&mut self, id: ParticipantId, now: Now, change: impl FnOnce(&mut Participant)) {
        let Some(person) = self.people.get_mut(&id) else { return };
        let before = person.shown.clone();
        change(&mut person.shown);
        if person.shown != before {
            let shown = person.shown.clone();
            self.tell(Event::Participant(shown));
            self.roster_changed(now);
        }
    }

    fn add_person(
        &mut self,
        address: &NameAddr,
        entity: String,
        wished: Option<String>,
        dialled: bool,
        now: Now,
    ) -> ParticipantId {
        self.next_person += 1;
        let id = ParticipantId(self.next_person);
        let wished = wished.map(|name| name::clean(&name)).filter(|name| !name.is_empty());
        let wished = wished.unwrap_or_else(|| name::of_address(address));
        let host = self.people.get(&HOST).map(|host| host.shown.name.clone()).unwrap_or_default();
        let taken = self.people.values().map(|person| person.shown.name.as_str());
        let name = name::unique(&wished, &entity, &host, taken);
        let shown = Participant {
            id,
            entity,
            name,
            is_self: false,
            is_host: false,
            state: if dialled { ParticipantState::DialingOut } else { ParticipantState::Alerting },
            reason: String::new(),
            muted: false,
            chat: ChatAbility::Unknown,
            agent: None,
        };
        let person = Person {
            shown,
            call: None,
            joined: None,
            dialled,
            gone_at: None,
            gone_how: None,
            limit: SenderLimit::new(self.settings.chat_rate, now.monotonic),
            waiting: Vec::new(),
        };
        self.people.insert(id, person);
        id
    }

    /// An entity nobody else has: the second leg of an address gets a number as parameter.
    fn free_entity(&self, wished: String) -> String {
        let taken = |entity: &str| self.people.values().any(|person| person.shown.entity == entity);
        if !taken(&wished) {
            return wished;
        }
        (2..).map(|n| format!("{wished};leg={n}")).find(|entity| !taken(entity)).unwrap_or(wished)
    }

    fn invite(&mut self, target: AnyUri, wished: Option<String>, now: Now) {
        let Some(uri) = target.as_sip().cloned() else {
            self.tell(Event::Notice {
                text: format!("{target} cannot be called: only SIP addresses can"),
            });
            return;
        };
        let entity = self.free_entity(entity_of(&target));
        let participant =
            self.add_person(&NameAddr::new(None, uri.clone()), entity, wished, true, now);
        if let Some(person) = self.people.get(&participant) {
            let shown = person.shown.clone();
            self.tell(Event::Participant(shown));
        }
        self.roster_changed(now);
        let host = self.people.get(&HOST).map(|host| host.shown.name.clone()).unwrap_or_default();
        let display = format!("{host} ({})", self.settings.subject);
        let from = NameAddr::new(Some(&display), self.settings.conference.clone());
        let contact_user = self.conference_user();
        self.sip(SipAct::Dial { participant, target: uri, from, contact_user, is_focus: true });
    }

    fn conference_user(&self) -> String {
        self.settings.conference.user_unescaped().unwrap_or_default()
    }

    fn dialling(&mut self, participant: ParticipantId, call: CallKey) {
        let Some(person) = self.people.get_mut(&participant) else {
            self.sip(SipAct::Cancel { call });
            return;
        };
        if person.gone_at.is_some() {
            self.sip(SipAct::Cancel { call });
            return;
        }
        person.call = Some(call);
        let uri = Uri::parse(&person.shown.entity).ok();
        let local = std::net::SocketAddr::from(([0, 0, 0, 0], 0));
        let flow =
            Flow { transport: sip_core::Transport::Udp, local, remote: local, connection: None };
        self.legs.insert(call, Leg::new(participant, flow, uri, quirks::of(None), true));
    }

    fn answered(&mut self, call: CallKey, response: &Response, flow: Flow, now: Now) {
        let Some(leg) = self.legs.get_mut(&call) else { return };
        let headers = &response.headers;
        leg.flow = flow;
        leg.learn(headers, true);
        let tag = |address: Result<NameAddr, _>| {
            address
                .ok()
                .and_then(|address: NameAddr| address.tag().map(str::to_owned))
                .unwrap_or_default()
        };
        let call_id = headers.call_id().unwrap_or_default().to_owned();
        leg.dialog = (call_id, tag(headers.from_header()), tag(headers.to_header()));
        self.connected(call, now);
    }

    fn admit(&mut self, call: CallKey, now: Now) {
        let Some(caller) = self.callers.remove(&call) else { return };
        let here = self.people.values().filter(|person| person.gone_at.is_none()).count();
        if self.over || here > self.settings.capacity {
            self.sip(SipAct::Reject { call, failure: Failure::BUSY_HERE });
            return;
        }
        let headers = &caller.request.headers;
        let Ok(from) = headers.from_header() else {
            self.sip(SipAct::Reject { call, failure: Failure::BAD_REQUEST });
            return;
        };
        let wants_privacy = headers.list("Privacy").iter().any(|value| {
            value.split(';').any(|one| ["id", "user", "header"].contains(&one.trim()))
        });
        let uri = from.uri.as_sip().cloned();
        let is_anonymous = wants_privacy
            || uri.as_ref().is_some_and(|uri| uri.host.to_string() == "anonymous.invalid");
        let person = if is_anonymous {
            let number = self.next_person;
            let entity = format!("sip:anonymous{number}@anonymous.invalid");
            self.add_person(&from, entity, Some(format!("Anonymous {number}")), false, now)
        } else {
            let entity = self.free_entity(entity_of(&from.uri));
            self.add_person(&from, entity, None, false, now)
        };
        if let Some(person) = self.people.get_mut(&person) {
            person.call = Some(call);
        }
        let mut leg = Leg::new(person, caller.flow, uri, quirks::of(headers.user_agent()), false);
        leg.learn(headers, false);
        let tag = from.tag().unwrap_or_default().to_owned();
        leg.dialog = (headers.call_id().unwrap_or_default().to_owned(), String::new(), tag);
        // The phone files what it gets later under what it dialled.
        leg.dialled_uri = headers.to_header().ok().and_then(|to| to.uri.as_sip().map(Uri::bare));
        self.legs.insert(call, leg);
        let contact_user = self.conference_user();
        self.sip(SipAct::Accept { call, contact_user, is_focus: true });
    }

    fn connected(&mut self, call: CallKey, now: Now) {
        let Some(leg) = self.legs.get_mut(&call) else { return };
        leg.connected = true;
        let person = leg.person;
        let ability = leg.ability();
        let agent = leg.quirks_name.clone();
        if let Some(person) = self.people.get_mut(&person) {
            person.joined = Some(now.utc);
        }
        self.effects.push_back(Effect::Mixer(MixerAct::Connect { call }));
        self.change(person, now, |shown| {
            shown.state = ParticipantState::Connected;
            shown.reason.clear();
            shown.chat = ability;
            shown.agent = agent;
        });
        self.deliver_waiting(person, call, now);
    }

    fn media(&mut self, call: CallKey, state: MediaState, now: Now) {
        let Some(leg) = self.legs.get(&call).filter(|leg| leg.connected) else { return };
        let state = match state {
            MediaState::Active => ParticipantState::Connected,
            MediaState::HeldByPeer => ParticipantState::OnHold,
        };
        self.change(leg.person, now, |shown| shown.state = state);
    }

    fn refused(&mut self, call: CallKey, failure: &CallFailure, now: Now) {
        let Some(person) = self.participant_of(call) else { return };
        let name = self.name_of(person);
        let how = match failure {
            CallFailure::Declined(response) if response.status.code() == 486 => "busy",
            _ => "failed",
        };
        self.call_over(call, words::call_failure(&name, failure), Some(how), now);
    }

    fn call_over(&mut self, call: CallKey, reason: String, how: Option<&'static str>, now: Now) {
        let Some(leg) = self.legs.remove(&call) else { return };
        self.effects.push_back(Effect::Mixer(MixerAct::Disconnect { call }));
        self.requests.retain(|_, of| *of != call);
        self.tokens.retain(|_, of| *of != call);
        let person = leg.person;
        self.leg_left(leg);
        self.gone(person, reason, how, now);
    }

    fn gone(&mut self, id: ParticipantId, reason: String, how: Option<&'static str>, now: Now) {
        let Some(person) = self.people.get_mut(&id).filter(|person| person.gone_at.is_none())
        else {
            return;
        };
        person.gone_at = Some(now.monotonic);
        person.gone_how = how;
        person.call = None;
        let waiting = std::mem::take(&mut person.waiting);
        let entity = person.shown.entity.clone();
        for line in waiting {
            self.delivery(line, &entity, crate::DeliveryState::Left, None, String::new());
        }
        // A person who never came in and was not called is not worth a line.
        let never_seen =
            self.people.get(&id).is_some_and(|person| person.joined.is_none() && !person.dialled);
        if never_seen {
            self.people.remove(&id);
            return;
        }
        self.change(id, now, |shown| {
            shown.state = ParticipantState::Disconnected;
            shown.reason = reason;
        });
        let subscriptions: Vec<SubscriptionKey> = self
            .subscribers
            .iter()
            .filter(|(_, known)| known.person == id)
            .map(|(key, _)| *key)
            .collect();
        for key in subscriptions {
            self.end_subscription(key, "rejected");
        }
    }

    fn remove(&mut self, id: ParticipantId, now: Now) {
        if id == HOST {
            return;
        }
        let Some(person) = self.people.get(&id) else { return };
        let (call, connected) = (person.call, person.joined.is_some());
        match call {
            Some(call) if connected => {
                self.sip(SipAct::HangUp { call, reason: Some("Removed by host".to_owned()) });
                self.call_over(call, "Removed by host".to_owned(), Some("booted"), now);
            }
            Some(call) => {
                self.sip(SipAct::Cancel { call });
                self.call_over(call, "Not called any more".to_owned(), Some("booted"), now);
            }
            None => self.gone(id, "Not called any more".to_owned(), Some("booted"), now),
        }
    }

    fn end(&mut self, now: Now) {
        if self.over {
            return;
        }
        self.over = true;
        let subscriptions: Vec<SubscriptionKey> = self.subscribers.keys().copied().collect();
        for key in subscriptions {
            self.end_subscription(key, "noresource");
        }
        let calls: Vec<(CallKey, bool)> =
            self.legs.iter().map(|(key, leg)| (*key, leg.connected)).collect();
        for (call, connected) in calls {
            if connected {
                self.sip(SipAct::HangUp {
                    call,
                    reason: Some("The conference has ended".to_owned()),
                });
            } else if self.legs.get(&call).is_some_and(|leg| leg.dialled_out) {
                self.sip(SipAct::Cancel { call });
            } else {
                self.sip(SipAct::HangUp { call, reason: None });
            }
            self.call_over(call, String::new(), Some("booted"), now);
        }
        let ringing: Vec<CallKey> = self.callers.keys().copied().collect();
        self.callers.clear();
        for call in ringing {
            self.sip(SipAct::Reject { call, failure: Failure::TEMPORARILY_UNAVAILABLE });
        }
        self.tell(Event::Ended { reason: "The conference has ended".to_owned() });
    }

    fn name_of(&self, id: ParticipantId) -> String {
        self.people.get(&id).map(|person| person.shown.name.clone()).unwrap_or_default()
    }

    fn addresses(&self) -> Vec<LegAddress<CallKey>> {
        let current = self.legs.iter().filter(|(_, leg)| leg.connected);
        current
            .map(|(key, leg)| LegAddress { key: *key, flow: leg.flow, uri: leg.uri.clone() })
            .collect()
    }
}

/// The address as the roster says it: without parameters.
pub(crate) fn entity_of(uri: &AnyUri) -> String {
    match uri {
        AnyUri::Sip(uri) => uri.bare().to_string(),
        AnyUri::Other(text) => text.clone(),
    }
}
