//! One who does anything that a user may do, at any time, and checks all that he is told.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use conference::Now;
use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sip_core::{
    AwaitingAck, CallKey, Config, Confirmed, Contact, Content, Early, EndReason, Endpoint, Event,
    Failure, Flow, Incoming, Input, Invite, KeyPress, Load, Method, NameAddr, Outcome, Output,
    PagerMessage, PendingMessage, PendingRefer, PendingReinvite, PendingSubscribe, Refer, Request,
    RequestId, StatusCode, Subscribe, SubscriptionKey, Target, Transport, Uri, Way,
};
use testkit::Actor;

use crate::model::{Model, Phase};
use crate::wire::{PATIENCE, Wire};

/// What all know together, over every restart.
#[derive(Default)]
pub struct Book {
    /// Texts and the status that their reader gave them.
    answers: BTreeMap<String, u16>,
    /// Calls that somebody took, by Call-ID.
    taken: BTreeSet<String>,
    /// Who was hung up on, by Call-ID.
    hung_up_on: BTreeMap<String, SocketAddr>,
    texts: usize,
    /// Texts that came to their reader.
    pub delivered: usize,
    /// Calls, requests, requests heard and subscriptions of those who restarted.
    pub before: [usize; 4],
    /// Requests that began in dialogs.
    pub requests: usize,
}

/// The actor.
pub struct Peer {
    endpoint: Endpoint,
    pub model: Model,
    wire: Wire,
    book: Rc<RefCell<Book>>,
    chance: ChaCha8Rng,
    now: Instant,
    address: SocketAddr,
    user: String,
    /// Nothing new is begun, and what others begin is refused.
    is_calm: bool,
    early: Vec<Early>,
    incoming: Vec<Incoming>,
    awaiting: Vec<AwaitingAck>,
    confirmed: Vec<Confirmed>,
    messages: Vec<(PendingMessage, String)>,
    reinvites: Vec<PendingReinvite>,
    subscribes: Vec<(PendingSubscribe, Option<SubscriptionKey>, Option<CallKey>)>,
    refers: Vec<PendingRefer>,
    referred: Vec<SubscriptionKey>,
    subscriptions: BTreeMap<SubscriptionKey, bool>,
    call_ids: BTreeMap<CallKey, String>,
    own_texts: BTreeMap<RequestId, String>,
    /// Texts and when they came.
    read: BTreeMap<String, Instant>,
    /// Streams that stand here, as far as we were told.
    streams: BTreeSet<sip_core::ConnectionId>,
    /// The second that it is, and how often we were woken in it.
    wakes: (u64, usize),
    began: Instant,
}

impl Peer {
    /// A new one, who remembers nothing.
    pub fn new(
        user: &str,
        address: SocketAddr,
        now: Now,
        mut generator: Box<dyn RngCore + Send>,
        book: &Rc<RefCell<Book>>,
    ) -> Self {
        let chance = ChaCha8Rng::seed_from_u64(generator.next_u64());
        let mut endpoint = Endpoint::new(Config::default(), generator);
        endpoint.serve(user, false);
        Self {
            endpoint,
            model: Model::default(),
            wire: Wire::default(),
            book: book.clone(),
            chance,
            now: now.monotonic,
            address,
            user: user.to_owned(),
            is_calm: false,
            early: Vec::new(),
            incoming: Vec::new(),
            awaiting: Vec::new(),
            confirmed: Vec::new(),
            messages: Vec::new(),
            reinvites: Vec::new(),
            subscribes: Vec::new(),
            refers: Vec::new(),
            referred: Vec::new(),
            subscriptions: BTreeMap::new(),
            call_ids: BTreeMap::new(),
            own_texts: BTreeMap::new(),
            read: BTreeMap::new(),
            streams: BTreeSet::new(),
            wakes: (0, 0),
            began: now.monotonic,
        }
    }

    /// Does one thing by chance; others are at these addresses.
    pub fn step(&mut self, others: &[(String, SocketAddr)]) {
        let other = self.pick(others.len()).map(|n| others[n].clone());
        match (self.chance.random_range(0..100), other) {
            (0..14, Some(other)) if self.calls() < 6 => self.invite(&other, None),
            (14..20, _) => self.cancel(),
            (20..32, _) => self.treat_incoming(),
            (32..37, Some(other)) => self.write_to(&other),
            (37..52, _) => self.write_in_call(),
            (52..60, _) => self.offer_anew(),
            (60..64, _) => self.update(),
            (64..66, _) => self.ask_options(),
            (66, _) => self.press(),
            (95, _) => self.wake(),
            (96, Some((_, at))) => self.cannot_reach(at),
            (67..73, _) => self.subscribe(),
            (73..78, _) => self.notify(),
            (78..81, _) => self.resubscribe(),
            (81..86, Some(other)) => self.refer(&other),
            (86..89, _) => self.tell_of_refer(),
            (90..95, _) => self.answer_what_waits(),
            (97..100, _) | (89, _) => self.hang_up(),
            _ => {}
        }
        self.model.check_limits(self.now);
    }

    /// Ends everything, and begins nothing any more.
    pub fn calm_down(&mut self) {
        self.is_calm = true;
        let now = self.now;
        for early in std::mem::take(&mut self.early) {
            self.model.turn(early.key(), Phase::Cancelling, now);
            self.endpoint.cancel(early, now);
        }
        while !self.incoming.is_empty() {
            self.reject(0);
        }
        while !self.messages.is_empty() || !self.reinvites.is_empty() {
            self.answer_what_waits();
        }
        while !self.subscribes.is_empty() || !self.refers.is_empty() {
            self.answer_what_waits();
        }
        for key in std::mem::take(&mut self.referred) {
            self.endpoint.refer_progress(key, StatusCode::DECLINE, now);
        }
        for (key, is_ours) in self.subscriptions.clone() {
            if is_ours {
                self.endpoint.resubscribe(key, Duration::ZERO, now);
            } else {
                self.endpoint.notify(key, None, Some("noresource"), now);
            }
        }
        self.model.check_limits(now);
        while !self.awaiting.is_empty() || !self.confirmed.is_empty() {
            self.hang_up();
        }
    }

    /// What its Endpoint holds.
    pub fn load(&self) -> Load {
        self.endpoint.load()
    }

    /// Nothing is left, and everything was told.
    pub fn check_end(&self) {
        let load = self.load();
        assert!(load.is_idle(), "{} holds {load:?}", self.address);
        assert_eq!(load.connections, self.streams.len(), "streams of {}", self.address);
        self.model.check_end();
    }

    /// Writes down what there was: this one is gone.
    pub fn leave(&self) {
        let mut book = self.book.borrow_mut();
        let counts = self.model.counts();
        book.before = std::array::from_fn(|n| book.before[n] + counts[n]);
        book.requests += self.wire.requests;
    }

    fn calls(&self) -> usize {
        self.early.len() + self.incoming.len() + self.awaiting.len() + self.confirmed.len()
    }

    fn invite(&mut self, (user, at): &(String, SocketAddr), refer: Option<SubscriptionKey>) {
        let (transport, target) = self.target(user, *at);
        self.invite_uri(target, transport, refer, Vec::new());
    }

    fn invite_uri(
        &mut self,
        target: Uri,
        transport: Transport,
        refer: Option<SubscriptionKey>,
        mut headers: Vec<(&'static str, String)>,
    ) {
        if self.lucky(30) {
            headers.push(("Require", "100rel".to_owned()));
        }
        let way = match target.host.ip() {
            Some(ip) if self.lucky(70) => {
                let remote = SocketAddr::new(ip, target.port.unwrap_or(5060));
                Way::Flow(Flow { transport, local: self.address, remote, connection: None })
            }
            Some(_) | None => Way::Locate,
        };
        let offer = if self.lucky(15) { Content::sdp("") } else { description() };
        let seconds = self.chance.random_range(5..60);
        let expires = self.lucky(15).then(|| Duration::from_secs(seconds));
        let to = NameAddr::new(None, target.clone());
        let (from, contact) = (self.own(), self.contact());
        let invite = Invite { target, way, from, to, contact, offer, expires, headers };
        let early = self.endpoint.invite(invite, self.now);
        self.model.begin(early.key(), Phase::Calling, self.now);
        if let Some(time) = expires {
            self.model.limit(early.key(), self.now + time);
        }
        if let Some(refer) = refer {
            self.endpoint.follow_refer(refer, early.key());
        }
        self.early.push(early);
    }

    fn cancel(&mut self) {
        if let Some(n) = self.pick(self.early.len()) {
            let early = self.early.remove(n);
            self.model.turn(early.key(), Phase::Cancelling, self.now);
            self.endpoint.cancel(early, self.now);
        }
    }

    fn treat_incoming(&mut self) {
        let Some(n) = self.pick(self.incoming.len()) else { return };
        match self.chance.random_range(0..10) {
            0..3 => self.ring(n),
            3..8 => self.accept(n),
            _ => self.reject(n),
        }
    }

    fn ring(&mut self, n: usize) {
        let contact = self.contact();
        self.endpoint.ring(&self.incoming[n], &contact, self.now);
    }

    fn accept(&mut self, n: usize) {
        let incoming = self.incoming.remove(n);
        if self.lucky(70) {
            self.endpoint.allow_replace(&incoming);
        }
        let key = incoming.key();
        let awaiting = self.endpoint.accept(incoming, self.contact(), description(), self.now);
        if let Some(id) = self.call_ids.get(&key) {
            self.book.borrow_mut().taken.insert(id.clone());
        }
        // One that may not replace another is refused; it is told of as cancelled.
        if self.endpoint.flow(key).is_some() {
            self.model.turn(key, Phase::Answered, self.now);
            self.awaiting.push(awaiting);
        }
    }

    fn reject(&mut self, n: usize) {
        let incoming = self.incoming.remove(n);
        self.model.turn(incoming.key(), Phase::Over, self.now);
        self.endpoint.reject(incoming, Failure::BUSY_HERE, self.now);
    }

    fn write_to(&mut self, (user, at): &(String, SocketAddr)) {
        let (transport, target) = self.target(user, *at);
        let text = self.text();
        let flow = Flow { transport, local: self.address, remote: *at, connection: None };
        let way = if self.lucky(70) { Way::Flow(flow) } else { Way::Locate };
        let to = NameAddr::new(None, target.clone());
        let content = Content::text(&text);
        let message = PagerMessage { target, way, from: self.own(), to, content };
        let id = self.endpoint.pager_message(message, self.now);
        self.model.ask(id, Method::Message);
        self.own_texts.insert(id, text);
    }

    fn write_in_call(&mut self) {
        let Some(n) = self.pick(self.confirmed.len()) else { return };
        let text = self.text();
        let id = self.endpoint.message(&self.confirmed[n], None, Content::text(&text), self.now);
        self.model.ask(id, Method::Message);
        self.own_texts.insert(id, text);
    }

    fn offer_anew(&mut self) {
        let Some(n) = self.pick(self.confirmed.len()) else { return };
        let offer = if self.lucky(20) { Content::sdp("") } else { description() };
        let contact = self.contact();
        let id = self.endpoint.reinvite(&self.confirmed[n], contact, offer, self.now);
        self.model.ask(id, Method::Invite);
    }

    fn update(&mut self) {
        let Some(n) = self.pick(self.confirmed.len()) else { return };
        let offer = self.lucky(60).then(description);
        let id = self.endpoint.update(&self.confirmed[n], offer, self.now);
        self.model.ask(id, Method::Update);
    }

    fn ask_options(&mut self) {
        let Some(n) = self.pick(self.confirmed.len()) else { return };
        let id = self.endpoint.options(&self.confirmed[n], self.now);
        self.model.ask(id, Method::Options);
    }

    fn press(&mut self) {
        let Some(n) = self.pick(self.confirmed.len()) else { return };
        let press = KeyPress::new('5', None).expect("there is such a key");
        let id = self.endpoint.send_digit(&self.confirmed[n], press, self.now);
        self.model.ask(id, Method::Info);
    }

    fn subscribe(&mut self) {
        let Some(n) = self.pick(self.confirmed.len()) else { return };
        let call = &self.confirmed[n];
        let Some(target) = self.endpoint.remote_target(call.key()).cloned() else { return };
        let in_dialog = self.chance.random_range(0..2) == 0;
        let expires = Duration::from_secs(self.chance.random_range(30..3600));
        let contact = Contact::new(&self.user, false);
        let subscribe = Subscribe { call, target, in_dialog, expires, contact };
        let key = self.endpoint.subscribe(subscribe, self.now);
        self.model.subscribe(key, true);
        self.subscriptions.insert(key, true);
    }

    fn notify(&mut self) {
        let Some(key) = self.subscription(false) else { return };
        let over = self.lucky(15).then_some("noresource");
        let content = self.lucky(80).then(|| Content::conference_info("<conference-info/>"));
        self.endpoint.notify(key, content, over, self.now);
    }

    fn resubscribe(&mut self) {
        let Some(key) = self.subscription(true) else { return };
        let expires = if self.lucky(60) { 0 } else { self.chance.random_range(30..3600) };
        self.endpoint.resubscribe(key, Duration::from_secs(expires), self.now);
    }

    fn refer(&mut self, (user, at): &(String, SocketAddr)) {
        let Some(n) = self.pick(self.confirmed.len()) else { return };
        let (_, target) = self.target(user, *at);
        let other = self.pick(self.confirmed.len()).filter(|other| *other != n);
        let call = &self.confirmed[n];
        let to = match other.filter(|_| target.port.is_none_or(|port| port % 2 == 0)) {
            Some(other) => Target::Call(&self.confirmed[other]),
            None => Target::Address(target),
        };
        let id = self.endpoint.refer(Refer { call, to }, self.now);
        self.model.ask(id, Method::Refer);
    }

    fn tell_of_refer(&mut self) {
        let Some(n) = self.pick(self.referred.len()) else { return };
        let key = self.referred[n];
        let status = [StatusCode::RINGING, StatusCode::OK, StatusCode::BUSY_HERE];
        let status = status[self.chance.random_range(0..status.len())];
        self.endpoint.refer_progress(key, status, self.now);
        if !status.is_provisional() {
            self.referred.remove(n);
        }
    }

    /// Something that the peer asked and that we had left open; it may have been answered for us.
    fn answer_what_waits(&mut self) {
        if let Some((message, text)) = self.messages.pop() {
            self.answer_text(message, text);
        } else if let Some(reinvite) = self.reinvites.pop() {
            self.answer_offer(reinvite);
        } else if let Some((subscribe, known, call)) = self.subscribes.pop() {
            self.answer_subscribe(subscribe, known, call, Duration::from_secs(1800));
        } else if let Some(refer) = self.refers.pop() {
            self.answer_refer(refer, None);
        }
    }

    /// As if the machine had slept.
    fn wake(&mut self) {
        let _ = self.endpoint.handle_input(Input::Resumed { now: self.now });
    }

    /// The system says that nothing gets there, though it may.
    fn cannot_reach(&mut self, destination: SocketAddr) {
        let _ = self.endpoint.handle_input(Input::Unreachable { now: self.now, destination });
        self.wire.unreachable(destination);
    }

    fn hang_up(&mut self) {
        let n = self.chance.random_range(0..(self.confirmed.len() + self.awaiting.len()).max(1));
        if n < self.confirmed.len() {
            let call = self.confirmed.remove(n);
            self.endpoint.bye(call, Some("by chance"), self.now);
        } else if n - self.confirmed.len() < self.awaiting.len() {
            let call = self.awaiting.remove(n - self.confirmed.len());
            self.model.turn(call.key(), Phase::Leaving, self.now);
            self.endpoint.hang_up_unacked(call, None, self.now);
        }
    }

    fn answer_text(&mut self, message: PendingMessage, text: String) {
        let all = [200, 200, 200, 202, 403, 404, 408, 481, 486, 503, 603];
        let status = if self.is_calm { 200 } else { all[self.chance.random_range(0..all.len())] };
        self.book.borrow_mut().answers.insert(text, status);
        let status = StatusCode::new(status).expect("it is one");
        self.endpoint.respond(message, status, &[], self.now);
    }

    fn answer_offer(&mut self, reinvite: PendingReinvite) {
        if self.lucky(75) {
            self.endpoint.accept_reinvite(reinvite, description(), self.now);
        } else {
            let why = Failure::NOT_ACCEPTABLE_HERE;
            self.endpoint.reject_reinvite(reinvite, why, self.now);
        }
    }

    fn answer_subscribe(
        &mut self,
        subscribe: PendingSubscribe,
        known: Option<SubscriptionKey>,
        call: Option<CallKey>,
        expires: Duration,
    ) {
        if self.is_calm || (known.is_none() && self.lucky(15)) {
            self.endpoint.reject_subscribe(subscribe, Failure::DECLINE, self.now);
            return;
        }
        let before = self.endpoint.load().subscriptions;
        let contact = self.contact();
        let key = self.endpoint.accept_subscribe(subscribe, expires, contact, self.now);
        // It was answered for us meanwhile, or its call is over: the key names nothing.
        let began = self.endpoint.load().subscriptions > before;
        if began {
            assert!(call.is_none_or(|call| self.model.phase(call) != Phase::Over));
            self.model.subscribe(key, false);
            self.subscriptions.insert(key, false);
        }
        if began || known == Some(key) {
            let document = Content::conference_info("<conference-info/>");
            self.endpoint.notify(key, Some(document), None, self.now);
        }
    }

    fn answer_refer(&mut self, refer: PendingRefer, target: Option<(Uri, Option<String>)>) {
        if self.is_calm || self.lucky(30) {
            self.endpoint.reject_refer(refer, Failure::DECLINE, self.now);
            return;
        }
        let contact = self.contact();
        let told = self.endpoint.accept_refer(refer, contact, self.now);
        match target {
            Some((mut target, replaces)) if self.lucky(80) => {
                target.headers.clear();
                let headers = replaces.map(|value| ("Replaces", value)).into_iter().collect();
                self.invite_uri(target, Transport::Udp, told, headers);
            }
            Some(_) | None => self.referred.extend(told),
        }
    }

    fn told(&mut self, event: Event) {
        self.model.event(&event, self.now);
        match event {
            Event::Invited { call, request, .. } => self.invited(call, &request),
            Event::Acked { call, .. } => {
                self.awaiting.retain(|known| known.key() != call.key());
                self.confirmed.push(call);
            }
            Event::Answered { call, response, .. } => {
                let id = response.headers.call_id().unwrap_or_default().to_owned();
                assert!(self.book.borrow().taken.contains(&id), "an answer that nobody gave");
                self.call_ids.insert(call.key(), id);
                self.early.retain(|known| known.key() != call.key());
                self.confirmed.push(call);
            }
            Event::Ended { call, reason } => self.ended(call, &reason),
            Event::Rejected { call, .. } | Event::Cancelled { call, .. } => self.forget(call),
            Event::Message { message, request, .. } => self.read(message, &request),
            Event::Reinvited { reinvite, .. } | Event::Updated { update: reinvite, .. } => {
                match self.reaction() {
                    Reaction::Now => self.answer_offer(reinvite),
                    Reaction::Later => self.reinvites.push(reinvite),
                    Reaction::Never => {}
                }
            }
            Event::SubscribeReceived { subscribe, subscription, call, expires, .. } => {
                match self.reaction() {
                    Reaction::Now => self.answer_subscribe(subscribe, subscription, call, expires),
                    Reaction::Later => self.subscribes.push((subscribe, subscription, call)),
                    Reaction::Never => {}
                }
            }
            Event::Referred { refer, refer_to, .. } => {
                let replaces = refer_to.replaces.as_ref().map(ToString::to_string);
                let target = refer_to.address.uri.as_sip().cloned().map(|uri| (uri, replaces));
                match self.reaction() {
                    Reaction::Now => self.answer_refer(refer, target),
                    Reaction::Later => self.refers.push(refer),
                    Reaction::Never => {}
                }
            }
            Event::SubscriptionEnded { subscription, .. } => {
                self.subscriptions.remove(&subscription);
            }
            Event::Completed { request, outcome, .. } => self.completed(request, &outcome),
            Event::AddressChanged { .. }
            | Event::Digits { .. }
            | Event::Located { .. }
            | Event::Notified { .. }
            | Event::NotifyFailed { .. }
            | Event::Progress { .. }
            | Event::Reanswered { .. }
            | Event::Redirected { .. }
            | Event::ReferProgress { .. }
            | Event::Registration { .. }
            | Event::ReinviteAcked { .. } => {}
        }
    }

    fn invited(&mut self, call: Incoming, request: &Request) {
        let id = request.headers.call_id().unwrap_or_default().to_owned();
        self.call_ids.insert(call.key(), id);
        self.incoming.push(call);
        let last = self.incoming.len() - 1;
        match self.chance.random_range(0..10) {
            _ if self.is_calm => self.reject(last),
            0..5 => self.ring(last),
            5..7 => self.accept(last),
            7 => self.reject(last),
            _ => {}
        }
    }

    fn read(&mut self, message: PendingMessage, request: &Request) {
        let text = String::from_utf8_lossy(&request.body).into_owned();
        // A last repetition that is held back comes when the transaction is forgotten (RFC 3261 §17.2.2, Timer J).
        let first = self.read.insert(text.clone(), self.now);
        let again = first.is_none_or(|first| self.now >= first + PATIENCE);
        assert!(again, "{text:?} came twice to {}", self.address);
        self.book.borrow_mut().delivered += 1;
        match self.reaction() {
            Reaction::Now => self.answer_text(message, text),
            Reaction::Later => self.messages.push((message, text)),
            Reaction::Never => {}
        }
    }

    fn completed(&mut self, request: RequestId, outcome: &Outcome) {
        let Some(text) = self.own_texts.remove(&request) else { return };
        let Outcome::Answered(answer) = outcome else { return };
        let given = self.book.borrow().answers.get(&text).copied();
        let status = answer.status.code();
        // These are given by the Endpoint itself besides.
        let by_itself = matches!(status, 404 | 408 | 480 | 481 | 482 | 487 | 491 | 500 | 503);
        assert!(by_itself || given == Some(status), "{text:?}: {given:?} was heard as {status}");
    }

    fn ended(&mut self, call: CallKey, reason: &EndReason) {
        if let (EndReason::Bye(_), Some(id)) = (reason, self.call_ids.get(&call)) {
            let mut book = self.book.borrow_mut();
            let other = book.hung_up_on.insert(id.clone(), self.address);
            assert_eq!(other, None, "both were hung up on: {id}");
        }
        self.forget(call);
    }

    fn forget(&mut self, call: CallKey) {
        self.early.retain(|known| known.key() != call);
        self.incoming.retain(|known| known.key() != call);
        self.awaiting.retain(|known| known.key() != call);
        self.confirmed.retain(|known| known.key() != call);
    }

    fn reaction(&mut self) -> Reaction {
        match self.chance.random_range(0..20) {
            _ if self.is_calm => Reaction::Now,
            0..15 => Reaction::Now,
            15..19 => Reaction::Later,
            _ => Reaction::Never,
        }
    }

    fn subscription(&mut self, is_ours: bool) -> Option<SubscriptionKey> {
        let all = self.subscriptions.iter().filter(|(_, ours)| **ours == is_ours);
        let all: Vec<SubscriptionKey> = all.map(|(key, _)| *key).collect();
        self.pick(all.len()).map(|n| all[n])
    }

    fn target(&mut self, user: &str, at: SocketAddr) -> (Transport, Uri) {
        let transport = if self.lucky(30) { Transport::Tcp } else { Transport::Udp };
        let mut uri = Uri::from_address(Some(user), at);
        if transport == Transport::Tcp {
            uri.params.set("transport", Some("tcp"));
        }
        (transport, uri)
    }

    /// A text that there is once; some do not fit a datagram.
    fn text(&mut self) -> String {
        let mut book = self.book.borrow_mut();
        book.texts += 1;
        let number = book.texts;
        let length = if self.chance.random_range(0..12) == 0 { 1500 } else { 0 };
        format!("text {number} {}", "x".repeat(length))
    }

    fn contact(&self) -> Contact {
        Contact::new(&self.user, false)
    }

    fn own(&self) -> NameAddr {
        NameAddr::new(None, Uri::from_address(Some(&self.user), self.address))
    }

    fn lucky(&mut self, percent: u32) -> bool {
        self.chance.random_range(0..100) < percent
    }

    fn pick(&mut self, count: usize) -> Option<usize> {
        (count > 0).then(|| self.chance.random_range(0..count))
    }

    /// Nobody is woken without end.
    fn count_wake(&mut self) {
        let second = (self.now - self.began).as_secs();
        self.wakes = if self.wakes.0 == second { (second, self.wakes.1 + 1) } else { (second, 1) };
        assert!(self.wakes.1 < MOST_WAKES, "{} is busy without end", self.address);
    }
}

impl Actor for Peer {
    fn set_now(&mut self, now: Now) {
        self.now = now.monotonic;
    }

    fn handle_input(&mut self, input: Input<'_>) {
        match &input {
            Input::Datagram { contents, .. } => self.wire.heard(contents, self.now),
            Input::Timeout(_) => self.count_wake(),
            Input::Connection { connection, change, .. } => match change {
                sip_core::ConnectionChange::Opened { .. } => {
                    self.streams.insert(*connection);
                }
                sip_core::ConnectionChange::Closed { .. } => {
                    self.streams.remove(connection);
                }
            },
            Input::AddressesChanged { .. }
            | Input::Resolved { .. }
            | Input::Resumed { .. }
            | Input::Stream { .. }
            | Input::Unreachable { .. } => {}
        }
        // What cannot be used is the sender's fault.
        let _ = self.endpoint.handle_input(input);
    }

    fn poll_output(&mut self) -> Output {
        loop {
            let output = self.endpoint.poll_output();
            match &output {
                Output::Event(_) => {}
                Output::Transmit(transmit) => {
                    self.wire.sent(transmit.flow, &transmit.contents, self.now);
                }
                Output::Connect(connect) => {
                    self.streams.insert(connect.connection);
                }
                Output::Close(connection) => {
                    self.streams.remove(connection);
                }
                Output::Timeout(_) => {
                    let (ids, model) = (&self.call_ids, &self.model);
                    self.wire.settle(|id| {
                        let mut known = ids.iter().filter(|(_, known)| *known == id);
                        known.all(|(key, _)| model.phase(*key) == Phase::Over)
                    });
                }
                Output::Resolve(_) => {}
            }
            match output {
                Output::Event(event) => self.told(event),
                output => return output,
            }
        }
    }
}

/// When what the peer asks is answered.
enum Reaction {
    Now,
    Later,
    Never,
}

fn description() -> Content {
    Content::sdp("v=0\r\n")
}

/// Times that one may be woken in a second.
const MOST_WAKES: usize = 2_000;
