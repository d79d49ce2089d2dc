//! What the session wants done, in the order in which it wants it.

use std::net::IpAddr;
use std::time::Instant;

use conference::{Command as ToSession, Effect, Event as SessionEvent, MixerAct, SipAct};
use sip_core::{
    AnyUri, CallKey, Contact, Failure, Invite, NameAddr, PagerMessage, StatusCode, Subscribe,
    SubscriptionKey, Uri, Way,
};

use super::Actor;
use super::commands::RING_FOR;
use super::look_up::Purpose;
use crate::calls::{Key, first_offer};
use crate::session::Session;
use crate::{Event, Participant, ParticipantState, ReferId, SessionKind, notice};

impl Actor {
    pub(super) fn drain_effects(&mut self) {
        while let Some(effect) = self.session.as_mut().and_then(Session::poll_effect) {
            match effect {
                Effect::Event(event) => self.session_event(event),
                Effect::Mixer(MixerAct::Connect { call }) => {
                    self.calls.connect(call, true, self.sound.as_mut())
                }
                Effect::Mixer(MixerAct::Disconnect { call }) => {
                    self.calls.connect(call, false, self.sound.as_mut());
                }
                Effect::Mixer(MixerAct::Mute { call, on }) => {
                    self.calls.mute(call, on, self.sound.as_mut());
                }
                Effect::Mixer(MixerAct::Prompt { call, prompt }) => {
                    self.calls.play(call, prompt, self.sound.as_mut());
                }
                Effect::Mixer(MixerAct::Volume { call, gain_db }) => {
                    self.calls.set_volume(call, gain_db, self.sound.as_mut());
                }
                Effect::Sip(act) => self.act(act),
            }
            self.flush();
        }
    }

    fn session_event(&mut self, event: SessionEvent) {
        match event {
            SessionEvent::Accepted { reference, id, seq } => {
                self.tell(Event::Accepted { reference, id, seq })
            }
            SessionEvent::Conference(standing) => self.tell(Event::Conference(standing)),
            SessionEvent::Delivery(delivery) => self.tell(Event::Delivery(delivery)),
            SessionEvent::Ended { reason } => self.end_session(reason),
            SessionEvent::Line(line) => {
                if let Some(story) = &mut self.story {
                    story.record.messages += 1;
                }
                self.tell(Event::Line(line));
            }
            SessionEvent::Lobby(waiting) => self.tell(Event::Lobby(waiting)),
            SessionEvent::Notice { text } => self.notice(text),
            SessionEvent::Participant(participant) => self.participant(participant),
            SessionEvent::Referred { refer, name, to, referred_by, .. } => {
                self.next_incoming += 1;
                let id = ReferId(self.next_incoming);
                self.wishes.insert(id, refer);
                self.tell(Event::Referred { refer: id, name, to, referred_by });
            }
            SessionEvent::ReferredGone { refer } => {
                let known = self.wishes.iter().find(|(_, wish)| **wish == refer);
                if let Some(id) = known.map(|(id, _)| *id) {
                    self.wishes.remove(&id);
                    self.tell(Event::ReferredGone { refer: id });
                }
            }
            SessionEvent::Refused { reference, reason } => {
                self.tell(Event::Refused { reference, reason })
            }
            SessionEvent::Subject { subject } => {
                if let Some(Session::Called { member, told: SessionKind::Joined, .. }) =
                    &self.session
                {
                    let conference = member
                        .is_conference()
                        .map(|uri| uri.bare().to_string())
                        .unwrap_or_default();
                    if let Some(story) = &mut self.story {
                        story.record.name.clone_from(&subject);
                    }
                    self.tell(Event::Session { kind: SessionKind::Joined, subject, conference });
                }
            }
            SessionEvent::Typing { entity, name, on } => {
                self.tell(Event::Typing { entity, name, on });
            }
        }
    }

    fn participant(&mut self, participant: Participant) {
        let is_here =
            matches!(participant.state, ParticipantState::Connected | ParticipantState::OnHold);
        if let Some(story) = &mut self.story
            && is_here
            && !participant.is_self
        {
            // Who left and came again is the same person, although the roster tells both legs apart.
            let address = Uri::parse(&participant.entity).map(|uri| uri.bare().to_string());
            story.people.insert(address.unwrap_or_else(|_| participant.entity.clone()));
        }
        self.tell(Event::Participant(participant));
    }

    fn act(&mut self, act: SipAct) {
        let now = Instant::now();
        match act {
            SipAct::Accept { call, contact_user, is_focus } => {
                self.accept(call, Contact::new(contact_user, is_focus));
            }
            SipAct::AcceptRefer { refer, contact_user } => {
                let Some(key) = self.refers.remove(&refer) else { return };
                let contact = Contact::new(contact_user, true);
                let tells = self.endpoint.accept_refer(key, contact, now);
                self.report(ToSession::ReferAccepted { refer, tells });
            }
            SipAct::AcceptSubscribe { subscribe, expires, contact_user } => {
                let Some(key) = self.subscribes.remove(&subscribe) else { return };
                let contact = Contact::new(contact_user, true);
                let subscription = self.endpoint.accept_subscribe(key, expires, contact, now);
                self.report(ToSession::Subscription { subscribe: Some(subscribe), subscription });
            }
            SipAct::Cancel { call } => {
                if let Some(Key::Early(early)) = self.calls.take_key(call) {
                    self.endpoint.cancel(early, now);
                }
            }
            SipAct::Dial { .. } => {
                if let SipAct::Dial { target, participant, tells, .. } = &act {
                    let target = target.clone();
                    if sip_core::is_emergency(&target) {
                        let (participant, reason) = (*participant, notice::emergency());
                        self.not_dialled(*tells, StatusCode::DECLINE);
                        self.report(ToSession::DialFailed { participant, reason });
                        return;
                    }
                    self.look_up(&target, Purpose::Dial { act: Box::new(act) });
                }
            }
            SipAct::HangUp { call, reason } => self.hang_up(call, reason.as_deref()),
            SipAct::Message { token, call, from_display, content } => {
                let sent = self
                    .calls
                    .confirmed(call)
                    .map(|key| self.endpoint.message(key, from_display.as_deref(), content, now));
                self.report(match sent {
                    Some(request) => ToSession::Sent { token, request },
                    None => ToSession::Unsendable { token },
                });
            }
            SipAct::Notify { subscription, content, terminate } => {
                self.endpoint.notify(subscription, content, terminate, now);
            }
            SipAct::Options { token, call } => {
                let sent = self.calls.confirmed(call).map(|key| self.endpoint.options(key, now));
                self.report(match sent {
                    Some(request) => ToSession::Sent { token, request },
                    None => ToSession::Unsendable { token },
                });
            }
            SipAct::PagerMessage { token, target, flow, from, content } => {
                let Some(flow) = flow else {
                    self.report(ToSession::Unsendable { token });
                    return;
                };
                let to = NameAddr::new(None, target.bare());
                let way = Way::Flow(flow);
                let message = PagerMessage { target, way, from, to, content };
                let request = self.endpoint.pager_message(message, now);
                self.report(ToSession::Sent { token, request });
            }
            SipAct::ReferProgress { subscription, status } => {
                self.endpoint.refer_progress(subscription, status, now);
            }
            SipAct::Reinvite { call, contact_user, is_focus, on_hold } => {
                let own = self.own_contact();
                let contact = contact_user.map_or(own, |user| Contact::new(user, is_focus));
                self.offer_again(call, contact, on_hold);
            }
            // Who rings at our own address is the user's to answer, whatever becomes of the conference.
            SipAct::Reject { call, .. } if self.rings_here(call) => {}
            SipAct::Reject { call, failure } => {
                if let Some(Key::Incoming(key)) = self.calls.take_key(call) {
                    self.endpoint.reject(key, failure, now);
                }
                self.calls.remove(call, None);
            }
            SipAct::RejectRefer { refer, failure } => {
                if let Some(key) = self.refers.remove(&refer) {
                    self.endpoint.reject_refer(key, failure, now);
                }
            }
            SipAct::RejectSubscribe { subscribe, failure } => {
                if let Some(key) = self.subscribes.remove(&subscribe) {
                    self.endpoint.reject_subscribe(key, failure, now);
                }
            }
            SipAct::Respond { message, status, headers } => {
                if let Some(key) = self.messages.remove(&message) {
                    self.endpoint.respond(key, status, &headers, now);
                }
            }
            SipAct::Resubscribe { subscription, expires } => {
                self.endpoint.resubscribe(subscription, expires, now);
            }
            SipAct::Present { user, refusal } => self.endpoint.present(&user, refusal, None),
            SipAct::Ring { call, contact_user, is_focus } => {
                let contact = Contact::new(contact_user, is_focus);
                if let Some(Key::Incoming(key)) =
                    self.calls.get_mut(call).and_then(|call| call.key.as_ref())
                {
                    self.endpoint.ring(key, &contact, now);
                }
            }
            SipAct::Subscribe { call, target, in_dialog, expires } => {
                let contact = self.own_contact();
                let Some(key) = self.calls.confirmed(call) else { return };
                let subscribe = Subscribe { call: key, target, in_dialog, expires, contact };
                let subscription = self.endpoint.subscribe(subscribe, now);
                self.report(ToSession::Subscription { subscribe: None, subscription });
            }
        }
    }

    /// Nobody was called for who sent a REFER: he hears it.
    fn not_dialled(&mut self, tells: Option<SubscriptionKey>, status: StatusCode) {
        if let Some(tells) = tells {
            self.endpoint.refer_progress(tells, status, Instant::now());
        }
    }

    fn report(&mut self, report: ToSession) {
        if let Some(session) = &mut self.session {
            session.handle_command(report);
        }
    }

    /// 200 with our half of the session; 488 where there is nothing in common.
    pub(super) fn accept(&mut self, call: CallKey, contact: Contact) {
        let now = Instant::now();
        let Some(known) = self.calls.get_mut(call) else { return };
        let made = known.answer(&mut self.rng);
        let Some(Key::Incoming(key)) = self.calls.take_key(call) else { return };
        match made {
            Ok((content, agreed)) => {
                let unacked = self.endpoint.accept(key, contact, content, now);
                self.calls.set_key(call, Key::AwaitingAck(unacked));
                if let Some(agreed) = agreed {
                    self.run_leg(call, &agreed);
                }
            }
            Err(error) => {
                tracing::info!(%error, "an offer cannot be answered");
                self.endpoint.reject(key, Failure::NOT_ACCEPTABLE_HERE, now);
                self.calls.remove(call, None);
                self.notice(notice::no_format("The caller"));
                self.report(ToSession::AcceptFailed { call });
                if matches!(&self.session, Some(Session::Called { call: own, .. }) if *own == call)
                {
                    self.end_session(notice::no_format("The caller"));
                }
            }
        }
    }

    pub(super) fn hang_up(&mut self, call: CallKey, reason: Option<&str>) {
        let now = Instant::now();
        match self.calls.take_key(call) {
            Some(Key::AwaitingAck(key)) => self.endpoint.hang_up_unacked(key, reason, now),
            Some(Key::Confirmed(key)) => self.endpoint.bye(key, reason, now),
            Some(Key::Early(key)) => self.endpoint.cancel(key, now),
            Some(Key::Incoming(key)) => {
                self.endpoint.reject(key, Failure::TEMPORARILY_UNAVAILABLE, now)
            }
            None => {}
        }
    }

    /// A participant's host was looked up: the INVITE goes out.
    pub(super) fn dial_at(&mut self, act: SipAct, local: Option<IpAddr>) {
        let SipAct::Dial { participant, target, from, contact_user, is_focus, headers, tells } =
            act
        else {
            return;
        };
        let fail = |actor: &mut Self, reason| {
            actor.not_dialled(tells, StatusCode::SERVICE_UNAVAILABLE);
            actor.report(ToSession::DialFailed { participant, reason });
        };
        let Some(local) = local else {
            let reason = notice::not_found(&target.host.to_string());
            return fail(self, reason);
        };
        let (negotiator, sockets, offer) = match first_offer(local, &mut self.rng) {
            Ok(made) => made,
            Err(error) => return fail(self, notice::no_sound(&error)),
        };
        // The conference is where the peer can reach it: on the address that leads to the peer.
        let from = match &from.uri {
            AnyUri::Sip(uri) if self.driver.address().ip().is_unspecified() => {
                let mut uri = uri.clone();
                uri.host = local.into();
                NameAddr { uri: AnyUri::Sip(uri), ..from }
            }
            _ => from,
        };
        let way = self.way();
        let contact = Contact::new(contact_user, is_focus);
        let to = NameAddr::new(None, target.bare());
        let invite =
            Invite { target, way, from, to, contact, offer, expires: Some(RING_FOR), headers };
        let early = self.endpoint.invite(invite, Instant::now());
        let call = early.key();
        if let Some(tells) = tells {
            self.endpoint.follow_refer(tells, call);
        }
        self.calls.insert(call, Key::Early(early), local, Vec::new()).offered(negotiator, sockets);
        self.report(ToSession::Dialling { participant, call });
    }
}
