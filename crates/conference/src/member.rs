//! The participant's side: one call to (or from) one peer. Where the peer says `isfocus` its roster is shown and its
//! relayed texts are given back their authors; otherwise it is a call between two (RFC 4579 §3.4, sip-chat §3.9).

mod envelope;
mod sending;
mod subscription;
mod talk;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use rand::RngCore;
use sip_core::{
    CallFailure, CallKey, EndReason, Event as SipEvent, Flow, Headers, Method, NameAddr, Outcome,
    Reason, Request, SubscriptionKey, Uri,
};

use crate::chat::answer::TextType;
use crate::chat::composing::{Composer, Writers};
use crate::chat::cpim::Head;
use crate::chat::ids::Ids;
use crate::chat::quirks::{self, Way};
use crate::chat::reads::Reads;
use crate::chat::whole::Joiner;
use crate::focus::entity_of;
use crate::info::read::Known;
use crate::{
    ChatAbility, Command, Effect, Event, MediaState, MessageId, MixerAct, Now, Participant,
    ParticipantId, ParticipantState, Recipient, SipAct, Timer, name, words,
};

use sending::{Flight, Outgoing};
use subscription::Renewal;

/// Parts of a text are waited for this long after the last one.
const PARTS_WAIT: Duration = Duration::from_secs(60);
/// A short one that is marked as the first of several is more likely a whole text that ends so: it waits only this long.
const SHORT_PART_WAIT: Duration = Duration::from_secs(2);
/// What a focus of ours leaves of its limit unused at most, unless a link did not fit any more.
const SHORT_PART: usize = 250;

/// How a call is set up.
#[derive(Clone, Debug)]
pub struct MemberSettings {
    /// Our own address and name.
    pub own: NameAddr,
    /// The peer.
    pub peer: NameAddr,
    /// The call.
    pub call: CallKey,
    /// Whether we called.
    pub dialled_by_us: bool,
    /// The INVITE that we took, and the way it came. Its event is over before there is a value to hear it.
    pub invited: Option<(Request, Flow)>,
}

/// A text of ours, as it was written.
#[derive(Clone, Debug)]
struct Said {
    text: String,
    to: Recipient,
    /// Its id in envelopes.
    id: String,
    /// When it was written.
    at: time::OffsetDateTime,
}

#[derive(Debug)]
struct Gathering {
    author: String,
    private: bool,
    verified: bool,
    pieces: Vec<String>,
    /// The pieces as they came, with their marks: shown so where not all of them come.
    marked: Vec<String>,
    count: usize,
    /// Bytes of the last part on the wire.
    last: usize,
    until: Instant,
}

/// The participant as a value.
pub struct Member {
    settings: MemberSettings,
    effects: VecDeque<Effect>,
    people: BTreeMap<ParticipantId, Participant>,
    ids: BTreeMap<String, ParticipantId>,
    next_person: u32,
    next_line: u64,
    next_token: u64,
    connected: bool,
    flow: Option<Flow>,
    /// What the peer calls itself, and whether it is of our own kind.
    agent: Option<String>,
    is_ours: bool,
    joiner: Joiner,
    focus: Option<Uri>,
    /// What the peer said of itself last, and Call-ID and tags, for when this call becomes part of a conference here.
    headers: Headers,
    dialog: (String, String, String),
    subscription: Option<SubscriptionKey>,
    renewal: Renewal,
    known: Known,
    queue: VecDeque<Outgoing>,
    in_flight: Option<Flight>,
    retry_at: Option<Instant>,
    /// What the peer reads beside plain text.
    reads: Reads,
    /// Learnt from its answers: it takes no envelope, or no typing mark, whatever it lists.
    refused_envelope: bool,
    refused_marks: bool,
    /// How texts reach it, and what became of that.
    way: Way,
    contact: Option<Uri>,
    unsupported: bool,
    ever_accepted: bool,
    /// The most bytes of a text that it took.
    limit: usize,
    message_ids: Ids,
    /// Texts that came, by the ids in their envelopes.
    taken: VecDeque<(String, Instant)>,
    /// The envelope of a text of which parts are missing, and how long they are waited for.
    partial: Option<(Head, Instant)>,
    composer: Composer,
    writers: Writers<String>,
    gathering: Option<Gathering>,
    texts: BTreeMap<MessageId, Said>,
    /// Those of them that the peer did not take.
    failed: BTreeSet<MessageId>,
    /// The time of the text heard last was over.
    stale: bool,
    /// Learnt from the peer's answers.
    text_type: TextType,
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Member").field("focus", &self.focus.is_some()).finish_non_exhaustive()
    }
}

/// The most people of a conference whose numbers are kept, those who left among them.
const MAX_KNOWN: usize = 8000;

/// Whose message it is that says tags: its sender's is in From.
#[derive(Clone, Copy, Debug)]
enum Side {
    /// Ours, or an answer to ours.
    Ours,
    /// Theirs.
    Theirs,
}

const OWN: ParticipantId = ParticipantId(1);
const PEER: ParticipantId = ParticipantId(2);

impl Member {
    /// A call that is being made, or was just answered by us. Message ids are made with the generator.
    pub fn new(mut settings: MemberSettings, generator: Box<dyn RngCore + Send>) -> Self {
        let person = |id, address: &NameAddr, state| Participant {
            id,
            entity: entity_of(&address.uri),
            name: name::of_address(address),
            is_self: id == OWN,
            is_host: false,
            state,
            reason: String::new(),
            muted: false,
            muted_by_host: false,
            is_aside: false,
            volume_db: 0.0,
            chat: if id == OWN { ChatAbility::Yes } else { ChatAbility::Unknown },
            agent: None,
        };
        let start = if settings.dialled_by_us {
            ParticipantState::DialingOut
        } else {
            ParticipantState::Alerting
        };
        let own = person(OWN, &settings.own, ParticipantState::Connected);
        let peer = person(PEER, &settings.peer, start);
        let mut effects = VecDeque::new();
        for shown in [&own, &peer] {
            effects.push_back(Effect::Event(Event::Participant(shown.clone())));
        }
        let ids = BTreeMap::from([(own.entity.clone(), OWN), (peer.entity.clone(), PEER)]);
        let invited = settings.invited.take();
        let mut member = Self {
            settings,
            effects,
            people: BTreeMap::from([(OWN, own), (PEER, peer)]),
            ids,
            next_person: PEER.0,
            next_line: 0,
            next_token: 0,
            connected: false,
            flow: None,
            agent: None,
            is_ours: false,
            joiner: Joiner::default(),
            focus: None,
            headers: Headers::default(),
            dialog: Default::default(),
            subscription: None,
            renewal: Renewal::default(),
            known: Known::default(),
            queue: VecDeque::new(),
            in_flight: None,
            retry_at: None,
            reads: Reads::default(),
            refused_envelope: false,
            refused_marks: false,
            way: Way::InDialog,
            contact: None,
            unsupported: false,
            ever_accepted: false,
            limit: usize::MAX,
            message_ids: Ids::new(generator),
            taken: VecDeque::new(),
            partial: None,
            composer: Composer::default(),
            writers: Writers::default(),
            gathering: None,
            texts: BTreeMap::new(),
            failed: BTreeSet::new(),
            stale: false,
            text_type: TextType::default(),
        };
        if let Some((request, flow)) = invited {
            member.flow = Some(flow);
            member.in_dialog(&request.headers, Side::Theirs);
            member.learn(&request.headers);
        }
        member
    }

    /// The user's wishes, and the reports on effects.
    pub fn handle_command(&mut self, command: Command, now: Now) {
        let call = self.settings.call;
        match command {
            Command::End => {
                self.give_up_texts();
                if self.connected {
                    self.sip(SipAct::HangUp { call, reason: None });
                } else if self.settings.dialled_by_us {
                    self.sip(SipAct::Cancel { call });
                } else {
                    self.sip(SipAct::HangUp { call, reason: None });
                }
            }
            Command::Media { state, .. } => {
                let state = match state {
                    MediaState::Active => ParticipantState::Connected,
                    MediaState::HeldByPeer => ParticipantState::OnHold,
                };
                if self.focus.is_none() && self.connected {
                    self.change(PEER, |shown| shown.state = state);
                }
            }
            Command::Muted { on } => self.change(OWN, |own| own.muted = on),
            Command::Resend { message, .. } => {
                self.resend(message, now);
            }
            Command::Say { reference, text, to } => self.say(reference, text, to, now),
            Command::Sent { token, request } => {
                if let Some(flight) = self.in_flight.as_mut().filter(|one| one.token == token) {
                    flight.request = Some(request);
                }
            }
            Command::SetName { name } => {
                let name = name::clean(&name);
                self.change(OWN, |own| own.name = name);
            }
            Command::Source { .. } => {}
            Command::Subscription { subscription, .. } => self.subscription = Some(subscription),
            Command::NotReinvited { .. } => {
                let text =
                    format!("{} did not agree to that; the call is as before.", self.name_of(PEER));
                self.tell(Event::Notice { text });
            }
            Command::Typing => self.typing(now),
            Command::Unsendable { token } => {
                if self.in_flight.as_ref().is_some_and(|flight| flight.token == token) {
                    self.text_finished(&Outcome::Unsendable, now);
                }
            }
            Command::AcceptFailed { .. }
            | Command::Adopt(_)
            | Command::Aside { .. }
            | Command::Admit { .. }
            | Command::DecideReferral { .. }
            | Command::Dialling { .. }
            | Command::DialFailed { .. }
            | Command::History { .. }
            | Command::Invite { .. }
            | Command::Merge { .. }
            | Command::Moderate { .. }
            | Command::Key { .. }
            | Command::Split { .. }
            | Command::LetIn { .. }
            | Command::Pin { .. }
            | Command::Lobby { .. }
            | Command::Lock { .. }
            | Command::ReferAccepted { .. }
            | Command::Refuse { .. }
            | Command::Remove { .. } => {
                let text = "Only the host of a conference can do that".to_owned();
                self.tell(Event::Notice { text });
            }
        }
    }

    /// What happened on the wire.
    pub fn handle_event(&mut self, event: &SipEvent, now: Now) {
        let own = self.settings.call;
        match event {
            SipEvent::Acked { call, ack } if call.key() == own => {
                self.in_dialog(&ack.headers, Side::Theirs);
                self.connected_now(now);
            }
            SipEvent::Answered { call, response, flow } if call.key() == own => {
                self.flow = Some(*flow);
                self.in_dialog(&response.headers, Side::Ours);
                self.learn(&response.headers);
                self.connected_now(now);
            }
            SipEvent::AddressChanged { call, flow } if *call == own => self.flow = Some(*flow),
            SipEvent::Invited { call, request, flow, .. } if call.key() == own => {
                self.flow = Some(*flow);
                self.in_dialog(&request.headers, Side::Theirs);
                self.learn(&request.headers);
            }
            SipEvent::Cancelled { call, reason } if *call == own => {
                let elsewhere = reason.as_ref().is_some_and(Reason::is_completed_elsewhere);
                let words = if elsewhere { "Answered elsewhere" } else { "The caller hung up" };
                self.over(words.to_owned(), now)
            }
            SipEvent::Completed { request, outcome, .. } => {
                let in_flight = self.in_flight.as_ref().and_then(|flight| flight.request);
                if in_flight == Some(*request) {
                    self.text_finished(outcome, now);
                } else if let Outcome::Answered(response) = outcome
                    && response.status.is_success()
                    && response.headers.get("CSeq").is_some_and(|cseq| cseq.ends_with("INVITE"))
                {
                    self.learn(&response.headers);
                }
            }
            SipEvent::Ended { call, reason } if *call == own => {
                let name = self.name_of(PEER);
                let words = match reason {
                    EndReason::Bye(bye) => words::said_why(bye).unwrap_or_else(|| {
                        let what = if self.focus.is_some() {
                            "The conference has ended"
                        } else {
                            "hung up"
                        };
                        if self.focus.is_some() {
                            what.to_owned()
                        } else {
                            format!("{name} {what}")
                        }
                    }),
                    EndReason::HungUp => "You left".to_owned(),
                    EndReason::NoAck | EndReason::PeerLost => "The connection was lost".to_owned(),
                    EndReason::Unreachable => format!("{name} could not be reached any more"),
                    EndReason::SessionExpired => format!("{name} was not heard of any more"),
                    EndReason::Replaced { .. } => format!("{name} went on in another call"),
                };
                self.over(words, now);
            }
            SipEvent::Message { message, call, request, flow, .. } => {
                self.hear(message.id(), *call, request, flow, now)
            }
            SipEvent::Notified { subscription, request } => {
                self.notified(*subscription, request, now)
            }
            SipEvent::Progress { call, response, .. } if *call == own => {
                if response.status.is_ringing() {
                    self.change(PEER, |peer| peer.state = ParticipantState::Alerting);
                }
            }
            SipEvent::Reinvited { call, request, .. } | SipEvent::Updated { call, request, .. }
                if *call == own =>
            {
                self.learn(&request.headers)
            }
            SipEvent::Redirected { call, to } if *call == own => {
                let text = words::redirected(&self.name_of(PEER), to);
                self.tell(Event::Notice { text });
            }
            SipEvent::Rejected { call, failure } if *call == own => {
                let name = self.name_of(PEER);
                let words = match failure {
                    CallFailure::Cancelled => "Not called any more".to_owned(),
                    other => words::call_failure(&name, other),
                };
                self.over(words, now);
            }
            SipEvent::SubscribeReceived { subscribe, .. } => {
                let failure = sip_core::Failure::FORBIDDEN;
                self.sip(SipAct::RejectSubscribe { subscribe: subscribe.id(), failure });
            }
            SipEvent::SubscriptionEnded { subscription, end }
                if self.subscription == Some(*subscription) =>
            {
                self.subscription = None;
                self.subscription_over(end, now);
            }
            SipEvent::Acked { .. }
            | SipEvent::Answered { .. }
            | SipEvent::Cancelled { .. }
            | SipEvent::Digits { .. }
            | SipEvent::Ended { .. }
            | SipEvent::Invited { .. }
            | SipEvent::Located { .. }
            | SipEvent::NotifyFailed { .. }
            | SipEvent::Progress { .. }
            | SipEvent::Redirected { .. }
            | SipEvent::ReferProgress { .. }
            | SipEvent::Referred { .. }
            | SipEvent::Registration { .. }
            | SipEvent::Reinvited { .. }
            | SipEvent::Updated { .. }
            | SipEvent::Reanswered { .. }
            | SipEvent::AddressChanged { .. }
            | SipEvent::ReinviteAcked { .. }
            | SipEvent::Rejected { .. }
            | SipEvent::SubscriptionEnded { .. } => {}
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Now) {
        if self.gathering.as_ref().is_some_and(|gathering| gathering.until <= now.monotonic) {
            self.show_gathered(now);
        }
        if self.retry_at.is_some_and(|at| at <= now.monotonic) {
            self.retry_at = None;
            self.send_next(now);
        }
        self.partial_over(now);
        self.typing_over(now);
        self.subscribe_again(now);
        self.refresh(now);
    }

    /// The next thing to be done.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When it wants to be woken, and why.
    pub fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        let parts = self.gathering.as_ref().map(|gathering| (gathering.until, Timer::Parts));
        let again = self.renewal.at().map(|at| (at, Timer::Subscribe));
        let partial = self.partial.as_ref().map(|(_, until)| (*until, Timer::Parts));
        let retry = self.retry_at.map(|at| (at, Timer::Retry));
        let typing = self.composer.until().into_iter().chain(self.writers.until());
        let typing = typing.min().map(|at| (at, Timer::Typing));
        let all = parts.into_iter().chain(again).chain(partial).chain(retry).chain(typing);
        all.min_by_key(|(at, _)| *at)
    }

    /// The remote focus's URI, where the peer is one.
    pub fn is_conference(&self) -> Option<&Uri> {
        self.focus.as_ref()
    }

    /// Ourselves.
    pub fn own_id(&self) -> ParticipantId {
        OWN
    }

    /// Who is heard in the call: the peer.
    pub fn participant_of(&self, call: CallKey) -> Option<ParticipantId> {
        (call == self.settings.call).then_some(PEER)
    }

    /// Everybody, in the order of coming.
    pub fn roster(&self) -> impl Iterator<Item = &Participant> {
        self.people.values()
    }

    /// What the peer is called.
    pub fn title(&self) -> String {
        self.known.subject.clone().unwrap_or_else(|| self.name_of(PEER))
    }

    fn sip(&mut self, act: SipAct) {
        self.effects.push_back(Effect::Sip(act));
    }

    fn tell(&mut self, event: Event) {
        self.effects.push_back(Effect::Event(event));
    }

    fn change(&mut self, id: ParticipantId, change: impl FnOnce(&mut Participant)) {
        let Some(shown) = self.people.get_mut(&id) else { return };
        let before = shown.clone();
        change(shown);
        if *shown != before {
            let shown = shown.clone();
            self.tell(Event::Participant(shown));
        }
    }

    fn name_of(&self, id: ParticipantId) -> String {
        self.people.get(&id).map(|shown| shown.name.clone()).unwrap_or_default()
    }

    /// Contact and agent of the peer; `;isfocus` makes it a conference (RFC 4579 §3.4).
    fn learn(&mut self, headers: &Headers) {
        let contacts = headers.contacts().unwrap_or_default();
        if let Some(agent) = headers.user_agent() {
            self.is_ours = quirks::of(Some(agent)).knows_authors;
            let agent = name::line(agent);
            self.agent = Some(agent.clone());
            self.change(PEER, |peer| peer.agent = Some(agent));
        }
        if let Some(reads) = Reads::of(headers) {
            self.reads = reads;
        }
        // An Allow without MESSAGE says no; no Allow says nothing (RFC 3261 §20.5).
        if let Some(allow) = headers.allow() {
            self.unsupported = !allow.contains(&Method::Message);
        }
        if let Some(contact) = contacts.first().and_then(|contact| contact.uri.as_sip()) {
            self.contact = Some(contact.clone());
        }
        self.is_ours |= contacts.iter().any(|contact| contact.params.has("+parlour.chat"));
        let focus = contacts.iter().find(|contact| contact.params.has("isfocus"));
        let focus = focus.and_then(|contact| contact.uri.as_sip().cloned());
        self.headers = headers.clone();
        match focus {
            Some(focus) if self.focus.is_none() => {
                self.focus = Some(focus);
                if self.connected {
                    self.subscribe(false);
                }
            }
            Some(_) => {}
            // Its Contact says so no more: it is a call of two again (RFC 4579 §3.4).
            None if self.focus.is_some() && !contacts.is_empty() => self.no_conference(),
            None => {}
        }
    }

    fn no_conference(&mut self) {
        self.focus = None;
        if let Some(subscription) = self.subscription.take() {
            self.sip(SipAct::Resubscribe { subscription, expires: Duration::ZERO });
        }
        self.known = Known::default();
        let others: Vec<ParticipantId> =
            self.people.keys().copied().filter(|id| *id != OWN && *id != PEER).collect();
        for id in others {
            self.change(id, |shown| shown.state = ParticipantState::Disconnected);
            self.people.remove(&id);
        }
        self.change(PEER, |peer| peer.is_host = false);
        let text = format!("You talk to {} alone now.", self.name_of(PEER));
        self.tell(Event::Notice { text });
    }

    /// Call-ID and tags, as far as a message of ours or of theirs says them.
    fn in_dialog(&mut self, headers: &Headers, side: Side) {
        let tag = |address: Option<NameAddr>| {
            address.and_then(|address| address.tag().map(str::to_owned)).unwrap_or_default()
        };
        let (from, to) = (tag(headers.from_header().ok()), tag(headers.to_header().ok()));
        let (ours, theirs) = match side {
            Side::Ours => (from, to),
            Side::Theirs => (to, from),
        };
        self.dialog = (headers.call_id().unwrap_or_default().to_owned(), ours, theirs);
    }

    /// The call, for a conference of ours that it is to be part of; `None` where it is not connected, or is in one.
    pub fn adopted(&self) -> Option<crate::Adopted> {
        if !self.connected || self.focus.is_some() {
            return None;
        }
        Some(crate::Adopted {
            call: self.settings.call,
            peer: self.settings.peer.clone(),
            name: self.name_of(PEER),
            dialled_out: self.settings.dialled_by_us,
            headers: self.headers.clone(),
            flow: self.flow?,
            dialog: self.dialog.clone(),
            lines: self.next_line,
        })
    }

    fn connected_now(&mut self, now: Now) {
        if self.connected {
            return;
        }
        self.connected = true;
        self.effects.push_back(Effect::Mixer(MixerAct::Connect { call: self.settings.call }));
        let takes_text = !self.unsupported;
        self.change(PEER, |peer| {
            peer.state = ParticipantState::Connected;
            peer.chat = if takes_text { ChatAbility::Yes } else { ChatAbility::No };
        });
        if self.focus.is_some() {
            self.subscribe(false);
        }
        self.send_next(now);
    }

    /// The focus's roster takes the place of what we thought: people are known by their entity.
    fn show_roster(&mut self) {
        if let Some(subject) = self.known.subject.clone() {
            self.tell(Event::Subject { subject });
        }
        let own =
            Uri::parse(&self.people.get(&OWN).map(|own| own.entity.clone()).unwrap_or_default())
                .ok();
        let is_own = |entity: &str| match (Uri::parse(entity), &own) {
            (Ok(uri), Some(own)) => uri.same_address(own) && uri.port == own.port,
            _ => false,
        };
        let own_muted = self.people.get(&OWN).is_some_and(|own| own.muted);
        let people = self.known.people();
        let mut present = Vec::new();
        for seen in &people {
            let id = if is_own(&seen.entity) && !present.contains(&OWN) {
                OWN
            } else {
                self.id_of(&seen.entity, seen.is_host)
            };
            present.push(id);
            let state = match seen.status.as_str() {
                "dialing-out" | "dialing-in" | "pending" => ParticipantState::DialingOut,
                "alerting" => ParticipantState::Alerting,
                "on-hold" => ParticipantState::OnHold,
                "disconnected" | "disconnecting" => ParticipantState::Disconnected,
                _ => ParticipantState::Connected,
            };
            let name = if seen.name.is_empty() { seen.entity.clone() } else { seen.name.clone() };
            let chat = match seen.takes_text {
                Some(true) => ChatAbility::Yes,
                Some(false) => ChatAbility::No,
                None => ChatAbility::Unknown,
            };
            let shown = Participant {
                id,
                entity: seen.entity.clone(),
                name,
                is_self: id == OWN,
                is_host: seen.is_host,
                state,
                reason: String::new(),
                // Whether we are muted nobody knows better than we.
                muted: if id == OWN { own_muted } else { seen.is_muted },
                muted_by_host: false,
                is_aside: false,
                volume_db: 0.0,
                chat,
                agent: self.agent.clone().filter(|_| id == PEER),
            };
            if self.people.get(&id) != Some(&shown) {
                self.people.insert(id, shown.clone());
                self.tell(Event::Participant(shown));
            }
        }
        if self.ids.len() > MAX_KNOWN {
            // A focus whose people come and go without end: whoever comes back then is somebody new.
            self.ids.retain(|_, id| present.contains(id) || *id <= PEER);
        }
        let gone: Vec<ParticipantId> =
            self.people.keys().copied().filter(|id| !present.contains(id)).collect();
        for id in gone {
            // The focus itself stood for the conference until its roster came.
            if let Some(mut shown) = self.people.remove(&id)
                && shown.state != ParticipantState::Disconnected
            {
                shown.state = ParticipantState::Disconnected;
                self.tell(Event::Participant(shown));
            }
        }
    }

    /// The host of the conference is whom we talked to all along.
    fn id_of(&mut self, entity: &str, is_host: bool) -> ParticipantId {
        if let Some(id) = self.ids.get(entity) {
            return *id;
        }
        let id = if is_host && !self.ids.values().any(|id| id.0 > PEER.0) {
            PEER
        } else {
            self.next_person += 1;
            ParticipantId(self.next_person)
        };
        self.ids.insert(entity.to_owned(), id);
        id
    }

    fn over(&mut self, reason: String, now: Now) {
        self.show_gathered(now);
        self.show_partial(now);
        self.connected = false;
        self.effects.push_back(Effect::Mixer(MixerAct::Disconnect { call: self.settings.call }));
        self.give_up_texts();
        self.tell(Event::Ended { reason });
    }
}
