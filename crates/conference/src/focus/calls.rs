//! Calls of the conference: who is called, who is let in, who is gone, and the end of everything.

use sip_core::{
    AnyUri, CallFailure, CallKey, EndReason, Failure, Flow, Headers, Identity, NameAddr, Request,
    Response, SubscriptionKey, Uri,
};

use super::door::{anonymous, is_anonymous};
use super::leg::address_of;
use super::{Caller, FORGET_CALLER_AFTER, Focus, HOST, Leg, MAX_CALLERS, entity_of};
use crate::chat::quirks;
use crate::tie::beyond_hop;
use crate::{
    ChatAbility, Effect, Event, MediaState, MixerAct, Now, ParticipantId, ParticipantState, SipAct,
    WaitingState, name, words,
};

impl Focus {
    /// An INVITE: to the conference it comes to the door; to the host's own address it rings, and may be admitted later.
    pub(super) fn invited(
        &mut self,
        call: CallKey,
        request: &Request,
        flow: Flow,
        identity: &Identity,
        now: Now,
    ) {
        // Nobody says here that a ringing call was declined: it is forgotten when it cannot ring any more.
        self.callers.retain(|_, caller| caller.at + FORGET_CALLER_AFTER > now.monotonic);
        let identity = identity.clone();
        let caller =
            Caller { request: request.clone(), flow, identity, at: now.monotonic, is_aside: false };
        if self.is_conference(request) {
            self.arrives(call, caller, now);
            return;
        }
        while self.callers.len() >= MAX_CALLERS {
            self.callers.pop_first();
        }
        self.callers.insert(call, caller);
    }

    /// Whether the Request-URI is the conference. By its user part: it is unique at this host, whose addresses and ports
    /// are many, and some phones drop the port.
    pub(super) fn is_conference(&self, request: &Request) -> bool {
        let user = request.uri.as_sip().and_then(Uri::user_unescaped);
        user.is_some() && user == self.settings.conference.user_unescaped()
    }

    /// The ACK of a call that was let in says our tag.
    pub(super) fn acked(&mut self, call: CallKey, ack: &Request, now: Now) {
        if self.guest_acked(call, ack, now) {
            return;
        }
        if let Some(leg) = self.legs.get_mut(&call)
            && !leg.dialled_out
        {
            leg.dialog.1 = tag_of(ack.headers.to_header());
        }
        self.connected(call, now);
    }

    /// A target refresh: later texts go where the phone says that it is now.
    pub(super) fn reinvited(&mut self, call: CallKey, headers: &Headers, flow: Flow, now: Now) {
        let Some(leg) = self.legs.get_mut(&call) else { return };
        let before = leg.flow;
        leg.refresh(headers);
        leg.beyond_hop = beyond_hop(headers).or(leg.beyond_hop);
        // Where its Contact says nothing that can be reached, it is where this came from.
        if leg.flow == before {
            leg.flow = flow;
        }
        let (person, ability) = (leg.person, leg.ability());
        self.change(person, now, |shown| {
            if shown.chat != ChatAbility::Unknown {
                shown.chat = ability;
            }
        });
    }

    /// The call is over, in words for the roster.
    pub(super) fn ended(&mut self, call: CallKey, reason: &EndReason, now: Now) {
        let (words, how) = match reason {
            EndReason::Bye(_) => ("left".to_owned(), "departed"),
            EndReason::HungUp => (String::new(), "booted"),
            EndReason::Replaced { .. } => ("went on in another call".to_owned(), "departed"),
            EndReason::Unreachable => ("could not be reached any more".to_owned(), "failed"),
            EndReason::NoAck | EndReason::PeerLost => {
                ("The connection was lost".to_owned(), "failed")
            }
            EndReason::SessionExpired => ("was not heard of any more".to_owned(), "failed"),
        };
        self.call_over(call, words, Some(how), now);
    }

    /// A new name of the host: not empty, and nobody else's.
    pub(super) fn rename_host(&mut self, wished: &str, now: Now) {
        let mut wished = name::clean(wished);
        if wished.is_empty() {
            wished = name::of_uri(&self.settings.own.uri);
        }
        let entity = self.entity_of_person(HOST);
        let others = self.people.values().filter(|person| person.shown.id != HOST);
        let taken = others.map(|person| person.shown.name.as_str());
        let name = name::unique(&wished, &entity, "", taken);
        self.settings.own.display = Some(name.clone().into());
        self.change(HOST, now, |host| host.name = name);
    }

    pub(super) fn invite(&mut self, target: AnyUri, wished: Option<String>, now: Now) {
        self.invite_with(target, wished, Vec::new(), None, now);
    }

    /// The same, with further headers, and for somebody who is told what comes of it.
    pub(super) fn invite_with(
        &mut self,
        target: AnyUri,
        wished: Option<String>,
        headers: Vec<(&'static str, String)>,
        tells: Option<SubscriptionKey>,
        now: Now,
    ) -> Option<ParticipantId> {
        let Some(uri) = target.as_sip().cloned() else {
            self.tell(Event::Notice {
                text: format!("{target} cannot be called: only SIP addresses can"),
            });
            return None;
        };
        let entity = self.free_entity(entity_of(&target));
        let participant =
            self.add_person(&NameAddr::new(None, uri.clone()), entity, wished, true, now);
        if let Some(person) = self.people.get(&participant) {
            let shown = person.shown.clone();
            self.tell(Event::Participant(shown));
        }
        self.roster_changed(now);
        let from = self.caller();
        // The call of two that runs is a conference from here on.
        let with = self.legs.values().find(|leg| leg.connected && leg.is_aside && !leg.is_put_off);
        if let Some(with) = with.map(|leg| leg.person) {
            self.merge(Some(with), now);
        }
        let contact_user = self.conference_user();
        self.sip(SipAct::Dial {
            participant,
            target: uri,
            from,
            contact_user,
            is_focus: true,
            headers,
            tells,
        });
        Some(participant)
    }

    pub(super) fn conference_user(&self) -> String {
        self.settings.conference.user_unescaped().unwrap_or_default()
    }

    /// Who calls: the conference, so that what is written to the caller is written to all; where a provider stands between,
    /// the account that it lets call (sip-chat §0.13).
    fn caller(&self) -> NameAddr {
        let host = self.name_of(HOST);
        let conference = &self.settings.conference;
        match &self.settings.registered_at {
            Some(account) if !account.same_address(conference) => {
                NameAddr::new(Some(&host), account.clone())
            }
            Some(_) | None => {
                let display = format!("{host} ({})", self.settings.subject);
                NameAddr::new(Some(&display), conference.clone())
            }
        }
    }

    pub(super) fn dialling(&mut self, participant: ParticipantId, call: CallKey) {
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

    pub(super) fn answered(&mut self, call: CallKey, response: &Response, flow: Flow, now: Now) {
        let Some(leg) = self.legs.get_mut(&call) else { return };
        let headers = &response.headers;
        leg.flow = flow;
        leg.learn(headers, true);
        // No request of the phone's came yet: a proxy that keeps it reachable sees it where its Contact says.
        leg.beyond_hop = leg.contact.as_ref().and_then(address_of);
        let call_id = headers.call_id().unwrap_or_default().to_owned();
        leg.dialog = (call_id, tag_of(headers.from_header()), tag_of(headers.to_header()));
        self.connected(call, now);
    }

    pub(super) fn admit(&mut self, call: CallKey, now: Now) {
        let Some(caller) = self.callers.remove(&call) else { return };
        if self.over || self.is_full() {
            // An address that is nobody's any more (RFC 4579 §5.12), or a full house.
            let failure = if self.over { Failure::NOT_FOUND } else { Failure::BUSY_HERE };
            self.sip(SipAct::Reject { call, failure });
            return;
        }
        self.enter(call, caller, None, now);
    }

    /// A caller becomes one of the conference; `known`: the number that he waited under.
    pub(super) fn enter(
        &mut self,
        call: CallKey,
        caller: Caller,
        known: Option<ParticipantId>,
        now: Now,
    ) {
        let own = self.settings.own.uri.as_sip().and_then(Uri::user_unescaped);
        let own = own.filter(|_| caller.is_aside);
        let is_focus = own.is_none();
        if self.make_leg(call, caller, known, now) {
            let contact_user = own.unwrap_or_else(|| self.conference_user());
            self.sip(SipAct::Accept { call, contact_user, is_focus });
        } else {
            self.sip(SipAct::Reject { call, failure: Failure::BAD_REQUEST });
        }
    }

    /// A person and his leg, not connected yet; false where it is not said who calls.
    pub(super) fn make_leg(
        &mut self,
        call: CallKey,
        caller: Caller,
        known: Option<ParticipantId>,
        now: Now,
    ) -> bool {
        let headers = &caller.request.headers;
        let Ok(from) = headers.from_header() else { return false };
        let uri = from.uri.as_sip().cloned();
        let person = known.unwrap_or_else(|| {
            self.next_person += 1;
            ParticipantId(self.next_person)
        });
        if is_anonymous(&caller.request, &from) {
            let (entity, name) = anonymous(person);
            self.add_person_as(person, &from, entity, Some(name), false, now);
        } else {
            let entity = self.free_entity(entity_of(&from.uri));
            self.add_person_as(person, &from, entity, None, false, now);
        }
        if let Some(person) = self.people.get_mut(&person) {
            person.call = Some(call);
        }
        let mut leg = Leg::new(person, caller.flow, uri, quirks::of(headers.user_agent()), false);
        leg.learn(headers, false);
        leg.identity = caller.identity;
        leg.is_routed |= headers.vias().is_ok_and(|vias| vias.len() > 1);
        leg.beyond_hop = beyond_hop(headers);
        let tag = from.tag().unwrap_or_default().to_owned();
        leg.dialog = (headers.call_id().unwrap_or_default().to_owned(), String::new(), tag);
        // The phone files what it gets later under what it dialled.
        leg.dialled_uri = headers.to_header().ok().and_then(|to| to.uri.as_sip().map(Uri::bare));
        let is_aside = caller.is_aside;
        leg.is_aside = is_aside;
        self.legs.insert(call, leg);
        if let Some(person) = self.people.get_mut(&person) {
            person.shown.is_aside = is_aside;
        }
        true
    }

    pub(super) fn connected(&mut self, call: CallKey, now: Now) {
        let Some(leg) = self.legs.get_mut(&call) else { return };
        leg.connected = true;
        let person = leg.person;
        let ability = leg.ability();
        let agent = leg.quirks_name.clone();
        if let Some(person) = self.people.get_mut(&person) {
            person.joined = Some(now.utc);
        }
        if !self.legs.get(&call).is_some_and(|leg| leg.is_put_off) {
            self.mix(call);
        }
        self.change(person, now, |shown| {
            shown.state = ParticipantState::Connected;
            shown.reason.clear();
            shown.chat = ability;
            shown.agent = agent;
        });
        self.deliver_waiting(person, call, now);
        self.settle_asides(now);
    }

    pub(super) fn media(&mut self, call: CallKey, state: MediaState, now: Now) {
        let Some(leg) = self.legs.get(&call).filter(|leg| leg.connected) else { return };
        let state = match state {
            MediaState::Active => ParticipantState::Connected,
            MediaState::HeldByPeer => ParticipantState::OnHold,
        };
        self.change(leg.person, now, |shown| shown.state = state);
    }

    pub(super) fn refused(&mut self, call: CallKey, failure: &CallFailure, now: Now) {
        let Some(person) = self.participant_of(call) else { return };
        let name = self.name_of(person);
        let how = match failure {
            CallFailure::Declined(response) if response.status.understood().code() == 486 => "busy",
            _ => "failed",
        };
        self.call_over(call, words::call_failure(&name, failure), Some(how), now);
    }

    pub(super) fn call_over(
        &mut self,
        call: CallKey,
        reason: String,
        how: Option<&'static str>,
        now: Now,
    ) {
        self.leaves_lobby(call, WaitingState::Left);
        let Some(leg) = self.legs.remove(&call) else { return };
        self.effects.push_back(Effect::Mixer(MixerAct::Disconnect { call }));
        self.requests.retain(|_, of| *of != call);
        self.tokens.retain(|_, of| *of != call);
        let person = leg.person;
        self.leg_left(leg);
        self.gone(person, reason, how, now);
        self.settle_asides(now);
    }

    pub(super) fn gone(
        &mut self,
        id: ParticipantId,
        reason: String,
        how: Option<&'static str>,
        now: Now,
    ) {
        let Some(person) = self.people.get_mut(&id).filter(|person| person.gone_at.is_none())
        else {
            return;
        };
        person.gone_at = Some(now.monotonic);
        person.left = Some(now.utc);
        person.gone_how = how;
        person.call = None;
        let waiting = std::mem::take(&mut person.waiting);
        let entity = person.shown.entity.clone();
        self.referrer_gone(id);
        for line in waiting {
            self.delivery(line, &entity, crate::DeliveryState::Left, None, String::new());
        }
        // A person who never came in and was not called is not worth a line.
        let never_seen =
            self.people.get(&id).is_some_and(|person| person.joined.is_none() && !person.dialled);
        if never_seen {
            self.people.remove(&id);
            self.roster_changed(now);
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

    pub(super) fn remove(&mut self, id: ParticipantId, now: Now) {
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
                // What is accepted and not acknowledged yet cannot be cancelled any more.
                if self.legs.get(&call).is_some_and(|leg| !leg.dialled_out) {
                    self.sip(SipAct::HangUp { call, reason: None });
                } else {
                    self.sip(SipAct::Cancel { call });
                }
                self.call_over(call, "Not called any more".to_owned(), Some("booted"), now);
            }
            None => self.gone(id, "Not called any more".to_owned(), Some("booted"), now),
        }
    }

    pub(super) fn end(&mut self, now: Now) {
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
        self.empty_lobby();
        // What rings at the host's own address goes on ringing: it was not for the conference.
        self.callers.clear();
        self.tell(Event::Ended { reason: "The conference has ended".to_owned() });
    }
}

pub(super) fn tag_of<E>(address: Result<NameAddr, E>) -> String {
    let tag = address.ok().and_then(|address| address.tag().map(str::to_owned));
    tag.unwrap_or_default()
}
