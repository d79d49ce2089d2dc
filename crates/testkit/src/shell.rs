//! An Endpoint with the keys of its calls, as the engine keeps them: events are read by the conference first, then their
//! keys are taken here, then the conference's wishes are carried out.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use conference::{Command, MediaState, Now, SipAct};
use rand::RngCore;
use sip_core::sdp::{AudioFormat, Direction, LocalAudio, Negotiator};
use sip_core::{
    AwaitingAck, CallKey, Config, Confirmed, Contact, Content, Early, EndReason, Endpoint, Event,
    Flow, Host, Incoming, Input, Invite, Method, NameAddr, Outcome, Output, PagerMessage,
    PendingMessage, PendingRefer, PendingSubscribe, RequestId, Subscribe, Transport, Uri, Way,
};

/// The Endpoint and everything that the engine remembers beside it.
pub struct Shell {
    /// The user agent.
    pub endpoint: Endpoint,
    /// Where it sits.
    pub address: SocketAddr,
    /// What time it is.
    pub now: Now,
    /// Where addresses are that the name system need not be asked for.
    pub known: BTreeMap<String, SocketAddr>,
    /// Why calls ended, in order.
    pub ended: Vec<(CallKey, EndReason)>,
    incoming: BTreeMap<CallKey, (Incoming, Bytes)>,
    early: BTreeMap<CallKey, Early>,
    awaiting: BTreeMap<CallKey, AwaitingAck>,
    confirmed: BTreeMap<CallKey, Confirmed>,
    messages: BTreeMap<RequestId, PendingMessage>,
    subscribes: BTreeMap<RequestId, PendingSubscribe>,
    refers: BTreeMap<RequestId, PendingRefer>,
    media: BTreeMap<CallKey, Negotiator>,
    contacts: BTreeMap<CallKey, Contact>,
    sessions: u64,
}

impl Shell {
    /// A user agent that calls itself `user_agent`.
    pub fn new(
        address: SocketAddr,
        user_agent: &str,
        now: Now,
        generator: Box<dyn RngCore + Send>,
    ) -> Self {
        // Ordinary phones know nothing but text.
        let chat = user_agent.starts_with("Parlour");
        let config = Config { user_agent: user_agent.to_owned(), chat, ..Config::default() };
        Self {
            endpoint: Endpoint::new(config, generator),
            address,
            now,
            known: BTreeMap::new(),
            ended: Vec::new(),
            incoming: BTreeMap::new(),
            early: BTreeMap::new(),
            awaiting: BTreeMap::new(),
            confirmed: BTreeMap::new(),
            messages: BTreeMap::new(),
            subscribes: BTreeMap::new(),
            refers: BTreeMap::new(),
            media: BTreeMap::new(),
            contacts: BTreeMap::new(),
            sessions: 0,
        }
    }

    /// Feeds the Endpoint. What it cannot use is the sender's fault and changes nothing here.
    pub fn handle_input(&mut self, input: Input<'_>) {
        let _ = self.endpoint.handle_input(input);
    }

    /// The Endpoint's next output, its events apart.
    pub fn poll_output(&mut self) -> Output {
        self.endpoint.poll_output()
    }

    /// The flow by which a URI is reached from here without the name system.
    pub fn flow_to(&self, uri: &Uri) -> Option<Flow> {
        let transport = match uri.transport().as_deref() {
            Some("tls") => Transport::Tls,
            Some("tcp") => Transport::Tcp,
            Some(_) | None => Transport::Udp,
        };
        let port = uri.port.unwrap_or(transport.default_port());
        let known = self.known.get(&uri.bare().to_string()).copied();
        let remote = known.or_else(|| Some(SocketAddr::new(uri.host.ip()?, port)))?;
        Some(Flow { transport, local: self.address, remote, connection: None })
    }

    /// The way to a URI: names are asked for.
    fn way_to(&self, uri: &Uri) -> Way {
        self.flow_to(uri).map_or(Way::Locate, Way::Flow)
    }

    /// The address of a user here.
    pub fn own_uri(&self, user: &str) -> Uri {
        Uri::sip(Some(user), Host::from(self.address.ip()), Some(self.address.port()))
    }

    /// Calls somebody.
    pub fn dial(&mut self, target: Uri, from: NameAddr, contact: Contact) -> Option<CallKey> {
        self.dial_with(target, from, contact, Vec::new())
    }

    /// The same, with further headers.
    pub fn dial_with(
        &mut self,
        target: Uri,
        from: NameAddr,
        contact: Contact,
        headers: Vec<(&'static str, String)>,
    ) -> Option<CallKey> {
        let way = self.way_to(&target);
        let mut negotiator = self.negotiator();
        let early = self.endpoint.invite(
            Invite {
                to: NameAddr::new(None, target.clone()),
                target,
                way,
                from,
                contact: contact.clone(),
                offer: negotiator.offer(),
                expires: None,
                headers,
            },
            self.now.monotonic,
        );
        let key = early.key();
        self.early.insert(key, early);
        self.media.insert(key, negotiator);
        self.contacts.insert(key, contact);
        Some(key)
    }

    /// Asks the other end of a call to call, or to remove, somebody.
    pub fn refer(&mut self, key: CallKey, to: sip_core::Target<'_>) -> Option<RequestId> {
        let call = self.confirmed.get(&key)?;
        Some(self.endpoint.refer(sip_core::Refer { call, to }, self.now.monotonic))
    }

    /// Refuses the wishes of others that nobody has decided on.
    pub fn decline_refers(&mut self) {
        for (_, refer) in std::mem::take(&mut self.refers) {
            let now = self.now.monotonic;
            self.endpoint.reject_refer(refer, sip_core::Failure::DECLINE, now);
        }
    }

    /// Takes a call that rings; false where its offer cannot be answered.
    pub fn accept(&mut self, key: CallKey, contact: Contact) -> bool {
        let Some((incoming, offer)) = self.incoming.remove(&key) else { return true };
        let now = self.now.monotonic;
        let mut negotiator = self.negotiator();
        let answer = if offer.is_empty() {
            negotiator.offer()
        } else {
            match negotiator.answer(&offer) {
                Ok((answer, _)) => answer,
                Err(_) => {
                    let failure = sip_core::Failure::NOT_ACCEPTABLE_HERE;
                    self.endpoint.reject(incoming, failure, now);
                    return false;
                }
            }
        };
        let awaiting = self.endpoint.accept(incoming, contact.clone(), answer, now);
        self.awaiting.insert(key, awaiting);
        self.media.insert(key, negotiator);
        self.contacts.insert(key, contact);
        true
    }

    /// Lets a call ring.
    pub fn ring(&mut self, key: CallKey, contact: &Contact) {
        if let Some((incoming, _)) = self.incoming.get(&key) {
            self.endpoint.ring(incoming, contact, self.now.monotonic);
        }
    }

    /// Refuses a call that rings.
    pub fn reject(&mut self, key: CallKey, failure: sip_core::Failure) {
        if let Some((incoming, _)) = self.incoming.remove(&key) {
            self.endpoint.reject(incoming, failure, self.now.monotonic);
        }
    }

    /// Ends a call that was answered.
    pub fn hang_up(&mut self, key: CallKey, reason: Option<&str>) {
        let now = self.now.monotonic;
        if let Some(call) = self.confirmed.remove(&key) {
            self.endpoint.bye(call, reason, now);
        } else if let Some(call) = self.awaiting.remove(&key) {
            self.endpoint.hang_up_unacked(call, reason, now);
        }
    }

    /// Offers a call's session anew.
    pub fn reinvite(&mut self, key: CallKey, direction: Direction) {
        self.reinvite_as(key, self.contacts.get(&key).cloned(), direction);
    }

    fn reinvite_as(&mut self, key: CallKey, contact: Option<Contact>, direction: Direction) {
        let (Some(call), Some(contact)) = (self.confirmed.get(&key), contact) else { return };
        let Some(negotiator) = self.media.get_mut(&key) else { return };
        negotiator.set_direction(direction);
        let offer = negotiator.offer();
        self.endpoint.reinvite(call, contact, offer, self.now.monotonic);
    }

    /// A text in a call's dialog.
    pub fn message(
        &mut self,
        key: CallKey,
        from_display: Option<&str>,
        content: Content,
    ) -> Option<RequestId> {
        let call = self.confirmed.get(&key)?;
        Some(self.endpoint.message(call, from_display, content, self.now.monotonic))
    }

    /// A text outside of any dialog.
    pub fn pager_message(
        &mut self,
        target: Uri,
        flow: Option<Flow>,
        from: NameAddr,
        content: Content,
    ) -> Option<RequestId> {
        let way = flow.map_or_else(|| self.way_to(&target), Way::Flow);
        let to = NameAddr::new(None, target.clone());
        let message = PagerMessage { target, way, from, to, content };
        Some(self.endpoint.pager_message(message, self.now.monotonic))
    }

    /// The calls that are confirmed.
    pub fn confirmed(&self) -> impl Iterator<Item = CallKey> {
        self.confirmed.keys().copied()
    }

    /// A MESSAGE that is still to be answered.
    pub fn take_message(&mut self, id: RequestId) -> Option<PendingMessage> {
        self.messages.remove(&id)
    }

    /// Takes the keys out of an event; answers re-INVITEs as the engine does. What the conference must be told of the
    /// media comes back.
    pub fn absorb(&mut self, event: Event) -> Vec<Command> {
        match event {
            Event::Invited { call, request, .. } => {
                self.incoming.insert(call.key(), (call, request.body));
            }
            Event::Acked { call, ack } => {
                let key = call.key();
                self.awaiting.remove(&key);
                self.confirmed.insert(key, call);
                self.read_answer(key, &ack.body);
            }
            Event::Answered { call, response, .. } => {
                let key = call.key();
                self.early.remove(&key);
                self.confirmed.insert(key, call);
                self.read_answer(key, &response.body);
            }
            Event::Message { message, .. } => {
                self.messages.insert(message.id(), message);
            }
            Event::SubscribeReceived { subscribe, .. } => {
                self.subscribes.insert(subscribe.id(), subscribe);
            }
            Event::Reinvited { reinvite, call, request, .. }
            | Event::Updated { update: reinvite, call, request, .. } => {
                return self.answer_reinvite(reinvite, call, &request.body);
            }
            Event::Ended { call, reason } => {
                self.forget(call);
                self.ended.push((call, reason));
            }
            Event::Rejected { call, .. } | Event::Cancelled { call, .. } => self.forget(call),
            Event::Completed { call: Some(call), outcome: Outcome::Answered(response), .. } => {
                let is_offer = response.headers.cseq().is_ok_and(|it| it.method == Method::Invite);
                if is_offer && response.status.is_success() {
                    self.read_answer(call, &response.body);
                }
            }
            Event::Reanswered { call, response } => self.read_answer(call, &response.body),
            Event::Completed { .. }
            | Event::Digits { .. }
            | Event::Located { .. }
            | Event::Registration { .. }
            | Event::Notified { .. }
            | Event::NotifyFailed { .. }
            | Event::Progress { .. }
            | Event::Redirected { .. }
            | Event::ReferProgress { .. }
            | Event::AddressChanged { .. }
            | Event::ReinviteAcked { .. }
            | Event::SubscriptionEnded { .. } => {}
            Event::Referred { refer, .. } => {
                self.refers.insert(refer.id(), refer);
            }
        }
        Vec::new()
    }

    /// Carries out a wish of a conference; its reports come back.
    pub fn execute(&mut self, act: SipAct) -> Vec<Command> {
        let now = self.now.monotonic;
        match act {
            SipAct::Accept { call, contact_user, is_focus } => {
                if !self.accept(call, Contact::new(contact_user, is_focus)) {
                    return vec![Command::AcceptFailed { call }];
                }
            }
            SipAct::AcceptRefer { refer, contact_user } => {
                let Some(pending) = self.refers.remove(&refer) else { return Vec::new() };
                let contact = Contact::new(contact_user, true);
                let tells = self.endpoint.accept_refer(pending, contact, now);
                return vec![Command::ReferAccepted { refer, tells }];
            }
            SipAct::AcceptSubscribe { subscribe, expires, contact_user } => {
                return self.accept_subscribe(subscribe, expires, contact_user);
            }
            SipAct::Cancel { call } => {
                if let Some(early) = self.early.remove(&call) {
                    self.endpoint.cancel(early, now);
                }
            }
            SipAct::Dial { participant, target, from, contact_user, is_focus, headers, tells } => {
                let contact = Contact::new(contact_user, is_focus);
                return vec![match self.dial_with(target, from, contact, headers) {
                    Some(call) => {
                        if let Some(tells) = tells {
                            self.endpoint.follow_refer(tells, call);
                        }
                        Command::Dialling { participant, call }
                    }
                    None => {
                        let reason = "no way there".to_owned();
                        Command::DialFailed { participant, reason }
                    }
                }];
            }
            SipAct::HangUp { call, reason } => self.hang_up(call, reason.as_deref()),
            SipAct::Message { token, call, from_display, content } => {
                return vec![match self.message(call, from_display.as_deref(), content) {
                    Some(request) => Command::Sent { token, request },
                    None => Command::Unsendable { token },
                }];
            }
            SipAct::Notify { subscription, content, terminate } => {
                // Every document of every test keeps the content model.
                if let Some(content) = &content {
                    let breaches = conference::info::check(&content.body);
                    assert_eq!(breaches, Ok(Vec::new()), "{content:?}");
                }
                self.endpoint.notify(subscription, content, terminate, now);
            }
            SipAct::Options { token, call } => {
                return vec![match self.confirmed.get(&call) {
                    Some(call) => {
                        Command::Sent { token, request: self.endpoint.options(call, now) }
                    }
                    None => Command::Unsendable { token },
                }];
            }
            SipAct::PagerMessage { token, target, flow, from, content } => {
                return vec![match self.pager_message(target, flow, from, content) {
                    Some(request) => Command::Sent { token, request },
                    None => Command::Unsendable { token },
                }];
            }
            SipAct::ReferProgress { subscription, status } => {
                self.endpoint.refer_progress(subscription, status, now);
            }
            SipAct::Reinvite { call, contact_user, is_focus, on_hold } => {
                let own = || self.contacts.get(&call).map(|contact| contact.user.clone());
                let contact = contact_user.or_else(own).map(|user| Contact::new(user, is_focus));
                let hold = if on_hold { Direction::Inactive } else { Direction::SendRecv };
                self.reinvite_as(call, contact, hold);
            }
            SipAct::Reject { call, failure } => self.reject(call, failure),
            SipAct::RejectRefer { refer, failure } => {
                if let Some(refer) = self.refers.remove(&refer) {
                    self.endpoint.reject_refer(refer, failure, now);
                }
            }
            SipAct::RejectSubscribe { subscribe, failure } => {
                if let Some(subscribe) = self.subscribes.remove(&subscribe) {
                    self.endpoint.reject_subscribe(subscribe, failure, now);
                }
            }
            SipAct::Respond { message, status, headers } => {
                if let Some(message) = self.messages.remove(&message) {
                    self.endpoint.respond(message, status, &headers, now);
                }
            }
            SipAct::Present { user, refusal } => self.endpoint.present(&user, refusal, None),
            SipAct::Ring { call, contact_user, is_focus } => {
                self.ring(call, &Contact::new(contact_user, is_focus));
            }
            SipAct::Subscribe { call, target, in_dialog, expires } => {
                return self.subscribe(call, target, in_dialog, expires);
            }
            SipAct::Resubscribe { subscription, expires } => {
                self.endpoint.resubscribe(subscription, expires, now);
            }
        }
        Vec::new()
    }

    /// The earlier of the Endpoint's time and another.
    pub fn earlier(ours: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
        match (ours, other) {
            (Some(ours), Some(other)) => Some(ours.min(other)),
            (one, other) => one.or(other),
        }
    }

    fn accept_subscribe(
        &mut self,
        id: RequestId,
        expires: std::time::Duration,
        user: String,
    ) -> Vec<Command> {
        let Some(subscribe) = self.subscribes.remove(&id) else { return Vec::new() };
        let contact = Contact::new(user, true);
        let now = self.now.monotonic;
        let subscription = self.endpoint.accept_subscribe(subscribe, expires, contact, now);
        vec![Command::Subscription { subscribe: Some(id), subscription }]
    }

    fn subscribe(
        &mut self,
        key: CallKey,
        target: Uri,
        in_dialog: bool,
        expires: std::time::Duration,
    ) -> Vec<Command> {
        let (Some(call), Some(contact)) = (self.confirmed.get(&key), self.contacts.get(&key))
        else {
            return Vec::new();
        };
        let contact = Contact::new(contact.user.clone(), false);
        let subscribe = Subscribe { call, target, in_dialog, expires, contact };
        let subscription = self.endpoint.subscribe(subscribe, self.now.monotonic);
        vec![Command::Subscription { subscribe: None, subscription }]
    }

    fn answer_reinvite(
        &mut self,
        reinvite: sip_core::PendingReinvite,
        call: CallKey,
        offer: &[u8],
    ) -> Vec<Command> {
        let now = self.now.monotonic;
        let Some(negotiator) = self.media.get_mut(&call) else {
            self.endpoint.reject_reinvite(reinvite, sip_core::Failure::NOT_ACCEPTABLE_HERE, now);
            return Vec::new();
        };
        if offer.is_empty() {
            let offer = negotiator.offer();
            self.endpoint.accept_reinvite(reinvite, offer, now);
            return Vec::new();
        }
        match negotiator.answer(offer) {
            Ok((answer, agreed)) => {
                self.endpoint.accept_reinvite(reinvite, answer, now);
                let held = agreed.held_by_peer;
                let state = if held { MediaState::HeldByPeer } else { MediaState::Active };
                vec![Command::Media { call, state }]
            }
            Err(_) => {
                let failure = sip_core::Failure::NOT_ACCEPTABLE_HERE;
                self.endpoint.reject_reinvite(reinvite, failure, now);
                Vec::new()
            }
        }
    }

    /// An answer that cannot be used leaves the call without media, which no test here listens to.
    fn read_answer(&mut self, key: CallKey, body: &[u8]) {
        if let (Some(negotiator), false) = (self.media.get_mut(&key), body.is_empty()) {
            let _ = negotiator.accept_answer(body);
        }
    }

    fn forget(&mut self, key: CallKey) {
        self.incoming.remove(&key);
        self.early.remove(&key);
        self.awaiting.remove(&key);
        self.confirmed.remove(&key);
        self.media.remove(&key);
        self.contacts.remove(&key);
    }

    fn negotiator(&mut self) -> Negotiator {
        self.sessions += 1;
        let pcmu = AudioFormat {
            payload_type: 0,
            encoding: "PCMU".to_owned(),
            clock_rate_hz: 8_000,
            channels: 1,
            fmtp: None,
        };
        let local = LocalAudio {
            address: self.address.ip(),
            rtp_port: 20_000,
            rtcp_port: 20_001,
            formats: vec![pcmu],
            telephone_event: Some(101),
            ptime_ms: 20,
        };
        Negotiator::new(local, self.sessions)
    }
}
