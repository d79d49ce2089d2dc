//! The focus of a conference (RFC 4353, RFC 4579): who is in it, and the order of everything. `focus/talk` decides who
//! gets a text, `focus/delivery` brings it there, `focus/documents` tells subscribers who is here.

mod calls;
mod delivery;
mod documents;
mod door;
mod envelope;
mod history;
mod leg;
mod loops;
mod moderation;
mod picture;
mod pin;
mod referral;
mod reports;
mod resend;
mod talk;
mod typing;
mod upgrade;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use rand::RngCore;
use sip_core::{
    AnyUri, CallKey, Event as SipEvent, Flow, Identity, NameAddr, Request, RequestId,
    SubscriptionKey, Uri,
};
use time::OffsetDateTime;

use crate::chat::answer::TextType;
use crate::chat::composing::{Composer, Writers};
use crate::chat::ids::Ids;
use crate::chat::imdn::Report;
use crate::chat::limits::{self, SenderLimit};
use crate::chat::quirks::{Quirks, Way};
use crate::chat::reads::Reads;
use crate::chat::whole::Joiner;
use crate::tie::{LegAddress, tie_proven, tie_through};
use crate::{
    ChatAbility, ChatRate, Command, Effect, Event, MessageId, Now, Participant, ParticipantId,
    ParticipantState, SipAct, Timer, Token, name,
};
pub use moderation::Moderation;
pub use upgrade::Adopted;

use delivery::{InFlight, Queued, Written};
use documents::{Asked, Subscriber};
use door::Door;
use referral::Referral;

/// Somebody who left is shown this long.
const FORGET_AFTER: Duration = Duration::from_secs(30);
/// How long a call rings at most: the Endpoint gives it up then.
const FORGET_CALLER_AFTER: Duration = Duration::from_secs(180);
/// The most ringing calls of which the request is kept.
const MAX_CALLERS: usize = 32;

/// How a conference is set up.
#[derive(Clone, Debug)]
pub struct FocusSettings {
    /// The host's own address and name.
    pub own: NameAddr,
    /// The conference's URI; its user part is what people call.
    pub conference: Uri,
    /// What it is about.
    pub subject: String,
    /// An address of the domain at whose registrar we have an account: it vouches for who is from there.
    pub registered_at: Option<Uri>,
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
    /// The same for documents.
    left: Option<OffsetDateTime>,
    /// The entity of the participant who asked for him (RFC 3892), where it was not the host.
    referred_by: Option<String>,
    /// Why he left, in the words of RFC 4575 §5.7.6.
    gone_how: Option<&'static str>,
    limit: SenderLimit,
    /// He may remove others.
    is_moderator: bool,
    /// Lines for somebody who is still being called.
    waiting: Vec<MessageId>,
}

impl Person {
    /// Whether he is in the conference.
    fn is_here(&self) -> bool {
        matches!(self.shown.state, ParticipantState::Connected | ParticipantState::OnHold)
    }

    /// Whether nobody is to know who it is.
    fn is_anonymous(&self) -> bool {
        self.shown.entity.ends_with("@anonymous.invalid")
    }
}

/// The call to a person.
#[derive(Debug)]
struct Leg {
    person: ParticipantId,
    connected: bool,
    /// A call with the host alone, beside the conference; and whether that is on hold because he is elsewhere.
    is_aside: bool,
    is_put_off: bool,
    dialled_out: bool,
    flow: Flow,
    uri: Option<Uri>,
    /// What its INVITE proved.
    identity: Identity,
    /// Call-ID, our tag and theirs.
    dialog: (String, String, String),
    /// Whether a proxy stays on its way: requests from that hop are everybody's behind it.
    is_routed: bool,
    /// Where that proxy sees the phone.
    beyond_hop: Option<std::net::SocketAddr>,
    /// Where texts outside of the dialog go, and as whom they come.
    contact: Option<Uri>,
    /// What its sound comes under.
    source: Option<u32>,
    dialled_uri: Option<Uri>,
    /// What the phone calls itself.
    quirks_name: Option<String>,
    quirks: Quirks,
    /// What it reads beside plain text.
    reads: Reads,
    /// It refused an envelope: it gets none any more, whatever it lists.
    refused_envelope: bool,
    /// Whether it is a focus itself (RFC 4579 §5.2).
    is_focus: bool,
    /// What went to it and came from it, where it is.
    passed: loops::Passed,
    way: Way,
    tried_other_way: bool,
    unsupported: bool,
    /// Learnt from its answers.
    text_type: TextType,
    ever_accepted: bool,
    told: bool,
    limit: usize,
    /// Long texts of one of our own kind, while their parts come in.
    joiner: Joiner,
    queue: VecDeque<Queued>,
    queued_bytes: usize,
    /// Bytes of its route set in a request.
    route_bytes: usize,
    /// Dropped texts of which it was not told yet.
    dropped: usize,
    /// When it was told last that a private text of it failed.
    reported: Option<Instant>,
    /// Reports that wait to go together, and when the last ones went.
    owed: Vec<Report>,
    /// It refused a typing mark: it gets none any more (RFC 3994 §3.5).
    refused_marks: bool,
    /// It got the lines from before it came.
    has_history: bool,
    /// Of whom it was told that he writes, and when.
    marks: BTreeMap<ParticipantId, Instant>,
    owed_last: Option<Instant>,
    in_flight: Option<InFlight>,
    retry_at: Option<Instant>,
}

/// A call that rings and is not yet let in.
#[derive(Debug)]
struct Caller {
    request: Request,
    flow: Flow,
    identity: Identity,
    /// When it came.
    at: Instant,
    /// It is for the host alone, beside the conference.
    is_aside: bool,
}

/// The focus as a value.
pub struct Focus {
    settings: FocusSettings,
    effects: VecDeque<Effect>,
    people: BTreeMap<ParticipantId, Person>,
    legs: BTreeMap<CallKey, Leg>,
    callers: BTreeMap<CallKey, Caller>,
    door: Door,
    next_person: u32,
    next_token: u64,
    next_line: u64,
    seq: u64,
    lines: BTreeMap<MessageId, Written>,
    /// Lines that failed at a recipient.
    failed: BTreeSet<(MessageId, String)>,
    /// Lines that a recipient's client said to have delivered.
    delivered: BTreeSet<(MessageId, String)>,
    /// The time of what is being handled.
    now: Now,
    own_limit: SenderLimit,
    conference_limit: SenderLimit,
    tokens: BTreeMap<Token, CallKey>,
    requests: BTreeMap<RequestId, CallKey>,
    /// Whom participants want to be called, until the host says.
    referrals: BTreeMap<RequestId, Referral>,
    /// Whom moderators want to be removed, until the Endpoint has answered them.
    removals: BTreeMap<RequestId, Vec<ParticipantId>>,
    seen: VecDeque<talk::Seen>,
    /// Texts that were taken, by the ids in their envelopes.
    taken: VecDeque<envelope::Taken>,
    /// The id of the text that is being answered, where it has one.
    hearing: Option<(ParticipantId, String)>,
    ids: Ids,
    /// What is told of the host's own writing, and who else writes.
    composer: Composer,
    writers: Writers<ParticipantId>,
    /// How many of the last public lines somebody who comes late gets.
    history: usize,
    subscribers: BTreeMap<SubscriptionKey, Subscriber>,
    subscribing: BTreeMap<RequestId, Asked>,
    /// When the text that is being heard was written, where its time is over.
    stale: Option<time::OffsetDateTime>,
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
    /// A conference with its host alone. Message ids are made with the generator.
    pub fn new(settings: FocusSettings, generator: Box<dyn RngCore + Send>, now: Now) -> Self {
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
            muted_by_host: false,
            is_aside: false,
            volume_db: 0.0,
            chat: ChatAbility::Yes,
            agent: None,
        };
        let host = Person {
            shown: shown.clone(),
            call: None,
            joined: Some(now.utc),
            dialled: false,
            gone_at: None,
            left: None,
            referred_by: None,
            gone_how: None,
            limit: limit.clone(),
            is_moderator: false,
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
            door: Door::default(),
            next_person: HOST.0,
            next_token: 0,
            next_line: 0,
            seq: 0,
            lines: BTreeMap::new(),
            failed: BTreeSet::new(),
            delivered: BTreeSet::new(),
            now,
            tokens: BTreeMap::new(),
            requests: BTreeMap::new(),
            referrals: BTreeMap::new(),
            removals: BTreeMap::new(),
            seen: VecDeque::new(),
            taken: VecDeque::new(),
            hearing: None,
            ids: Ids::new(generator),
            composer: Composer::default(),
            writers: Writers::default(),
            history: 0,
            subscribers: BTreeMap::new(),
            subscribing: BTreeMap::new(),
            stale: None,
            over: false,
        }
    }

    /// The user's wishes, and the reports on effects.
    pub fn handle_command(&mut self, command: Command, now: Now) {
        self.now = now;
        match command {
            Command::Adopt(adopted) => self.adopt(*adopted, now),
            Command::Aside { call } => self.take_aside(call, now),
            Command::Admit { call } => self.admit(call, now),
            Command::DecideReferral { refer, accepted } => {
                self.decide_referral(refer, accepted, now);
            }
            Command::Dialling { participant, call } => self.dialling(participant, call),
            Command::AcceptFailed { call } => {
                let reason = "There is no audio format in common".to_owned();
                self.call_over(call, reason, Some("failed"), now);
            }
            Command::DialFailed { participant, reason } => {
                self.gone(participant, reason, Some("failed"), now);
            }
            Command::End => self.end(now),
            Command::History { count } => self.set_history(count),
            Command::Invite { target, name } => self.invite(target, name, now),
            Command::Key { call, digit } => self.key(call, digit, now),
            Command::LetIn { waiting } => self.let_in(waiting, now),
            Command::Lobby { on } => self.set_lobby(on, now),
            Command::Lock { on } => self.lock(on, now),
            Command::Media { call, state } => self.media(call, state, now),
            Command::Merge { participant } => self.merge(participant, now),
            Command::Moderate { participant, act } => self.moderate(participant, act, now),
            Command::Muted { on } => self.change(HOST, now, |host| host.muted = on),
            Command::NotReinvited { call } => self.not_reinvited(call),
            Command::Pin { pin } => self.set_pin(pin, now),
            Command::Refuse { waiting } => self.refuse(waiting),
            Command::ReferAccepted { refer, tells } => self.refer_accepted(refer, tells, now),
            Command::Remove { participant } => self.remove(participant, now),
            Command::Resend { message, recipient } => {
                self.resend(message, recipient.as_deref(), now)
            }
            Command::Say { reference, text, to } => self.say(reference, text, to, now),
            Command::Sent { token, request } => {
                if let Some(call) = self.tokens.remove(&token) {
                    self.requests.insert(request, call);
                }
            }
            Command::SetName { name } => self.rename_host(&name, now),
            Command::Source { call, ssrc } => self.sounds_as(call, ssrc, now),
            Command::Split { participant } => self.split(participant, now),
            Command::Subscription { subscribe, subscription } => {
                self.subscribed(subscribe, subscription, now);
            }
            Command::Typing => self.typing(now),
            Command::Unsendable { token } => {
                if let Some(call) = self.tokens.remove(&token) {
                    self.text_finished(call, &sip_core::Outcome::Unsendable, now);
                }
            }
        }
    }

    /// What happened on the wire.
    pub fn handle_event(&mut self, event: &SipEvent, now: Now) {
        self.now = now;
        match event {
            SipEvent::Acked { call, ack } => self.acked(call.key(), ack, now),
            SipEvent::Answered { call, response, flow } => {
                self.answered(call.key(), response, *flow, now)
            }
            SipEvent::Cancelled { call, .. } => {
                self.callers.remove(call);
                self.call_over(*call, String::new(), Some("departed"), now);
            }
            SipEvent::Completed { request, outcome, .. } => {
                if let Some(call) = self.requests.remove(request) {
                    self.text_finished(call, outcome, now);
                }
            }
            SipEvent::Ended { call, reason } => self.ended(*call, reason, now),
            // Who may take somebody's place in the conference is not settled: nobody.
            SipEvent::Invited { call, request, replaces: Some(_), .. } => {
                if self.is_conference(request) {
                    let failure = sip_core::Failure::FORBIDDEN;
                    self.sip(SipAct::Reject { call: call.key(), failure });
                }
            }
            SipEvent::Invited { call, request, flow, identity, replaces: None } => {
                self.invited(call.key(), request, *flow, identity, now);
            }
            SipEvent::Message { message, call, request, flow, identity } => {
                self.hear(message.id(), *call, request, (flow, identity), now);
            }
            SipEvent::NotifyFailed { subscription } => self.document_failed(*subscription, now),
            SipEvent::Progress { call, response, .. } => {
                if response.status.is_ringing()
                    && let Some(person) = self.legs.get(call).map(|leg| leg.person)
                {
                    self.change(person, now, |shown| shown.state = ParticipantState::Alerting);
                }
            }
            SipEvent::Redirected { call, to } => {
                if let Some(person) = self.participant_of(*call) {
                    let text = crate::words::redirected(&self.name_of(person), to);
                    self.tell(Event::Notice { text });
                }
            }
            SipEvent::Referred {
                refer, call, refer_to, referred_by, request, identity, ..
            } => {
                let wish = (&**refer_to, referred_by.as_deref());
                self.referred(refer.id(), *call, wish, request, identity);
            }
            SipEvent::Rejected { call, failure } => self.refused(*call, failure, now),
            SipEvent::SubscribeReceived {
                subscribe,
                subscription,
                call,
                expires,
                request,
                flow,
                identity,
            } => {
                let known = (*subscription, *call);
                let way = (flow, identity);
                self.asked_for_documents(subscribe.id(), known, *expires, request, way);
            }
            SipEvent::SubscriptionEnded { subscription, .. } => {
                self.subscribers.remove(subscription);
            }
            SipEvent::Reinvited { call, request, flow, .. }
            | SipEvent::Updated { call, request, flow, .. } => {
                self.reinvited(*call, &request.headers, *flow, now);
            }
            SipEvent::AddressChanged { call, flow } => {
                if let Some(leg) = self.legs.get_mut(call) {
                    leg.flow = *flow;
                }
            }
            SipEvent::Digits { .. }
            | SipEvent::Located { .. }
            | SipEvent::Registration { .. }
            | SipEvent::Notified { .. }
            | SipEvent::ReferProgress { .. }
            | SipEvent::Reanswered { .. }
            | SipEvent::ReinviteAcked { .. } => {}
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Now) {
        self.now = now;
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
        self.end_waits(now);
        self.send_documents(now);
        self.send_owed(now);
        self.typing_over(now);
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
        let reports = self.next_owed().map(|at| (at, Timer::Report));
        let typing = self.next_typing().map(|at| (at, Timer::Typing));
        let lobby = self.next_end_of_wait().map(|at| (at, Timer::Lobby));
        retries.chain(gone).chain(documents).chain(reports).chain(typing).chain(lobby).min()
    }

    /// The conference's URI.
    pub fn uri(&self) -> &Uri {
        &self.settings.conference
    }

    /// What it is about.
    pub fn subject(&self) -> &str {
        &self.settings.subject
    }

    /// What callers have to type, if anything.
    pub fn pin(&self) -> Option<&str> {
        self.door.pin.as_deref()
    }

    /// Whether a participant is anonymous to the others (RFC 4579 §6).
    pub fn is_hidden(&self, id: ParticipantId) -> bool {
        let person = self.people.get(&id);
        person.is_some_and(|person| person.shown.entity.ends_with("@anonymous.invalid"))
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
        self.add_person_as(id, address, entity, wished, dialled, now);
        id
    }

    /// The same for somebody who has his number already.
    fn add_person_as(
        &mut self,
        id: ParticipantId,
        address: &NameAddr,
        entity: String,
        wished: Option<String>,
        dialled: bool,
        now: Now,
    ) {
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
            muted_by_host: false,
            is_aside: false,
            volume_db: 0.0,
            chat: ChatAbility::Unknown,
            agent: None,
        };
        let person = Person {
            shown,
            call: None,
            joined: None,
            dialled,
            gone_at: None,
            left: None,
            referred_by: None,
            gone_how: None,
            limit: SenderLimit::new(self.settings.chat_rate, now.monotonic),
            is_moderator: false,
            waiting: Vec::new(),
        };
        self.people.insert(id, person);
    }

    /// An entity nobody else has: the second leg of an address gets a number as parameter.
    fn free_entity(&self, wished: String) -> String {
        let taken = |entity: &str| self.people.values().any(|person| person.shown.entity == entity);
        if !taken(&wished) {
            return wished;
        }
        (2..).map(|n| format!("{wished};leg={n}")).find(|entity| !taken(entity)).unwrap_or(wished)
    }

    fn name_of(&self, id: ParticipantId) -> String {
        self.people.get(&id).map(|person| person.shown.name.clone()).unwrap_or_default()
    }

    /// The leg of a request from outside of every dialog.
    fn tied(&self, request: &Request, (flow, identity): (&Flow, &Identity)) -> Option<CallKey> {
        let addresses = self.addresses();
        if let Some(proven) = tie_proven(identity, &addresses) {
            return proven;
        }
        tie_through(request, flow, &addresses, self.settings.registered_at.as_ref())
    }

    fn addresses(&self) -> Vec<LegAddress<CallKey>> {
        let current = self.legs.iter().filter(|(_, leg)| leg.connected);
        current
            .map(|(key, leg)| LegAddress {
                key: *key,
                flow: leg.flow,
                uri: leg.uri.clone(),
                identity: leg.identity.clone(),
                is_routed: leg.is_routed,
                beyond_hop: leg.beyond_hop,
            })
            .collect()
    }
}

/// The address as the roster says it: without parameters.
pub(crate) fn entity_of(uri: &AnyUri) -> String {
    match uri {
        AnyUri::Sip(uri) => uri.bare().to_string(),
        AnyUri::Other(text) => text.to_string(),
    }
}
