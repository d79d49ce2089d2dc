//! What happened on the wire: the session hears it first, then keys and media follow, then the session's wishes.

use std::time::{Instant, SystemTime};

use conference::{Line, MessageId, Recipient, TextBody};
use sip_core::{
    AnyUri, CallKey, Event as SipEvent, Failure, Flow, NameAddr, Outcome, Reason, Request,
    StatusCode, Uri,
};

use super::commands::unix_now;
use super::lifetime::record;
use super::{Actor, Ringing};
use crate::calls::{DigitWay, Key, media_state};
use crate::session::Session;
use crate::{Event, IncomingId, RecordKind, SessionKind, notice};

impl Actor {
    pub(super) fn sip_event(&mut self, event: SipEvent) {
        // Nobody is known well enough to take the place of another call.
        if let SipEvent::Invited { call, replaces: Some(_), .. } = event {
            self.endpoint.reject(call, Failure::FORBIDDEN, Instant::now());
            return;
        }
        if let Some(session) = &mut self.session {
            session.handle_event(&event);
        }
        self.absorb(event);
        self.drain_effects();
        self.tell_session();
    }

    fn absorb(&mut self, event: SipEvent) {
        match event {
            SipEvent::Acked { call, ack } => {
                let id = call.key();
                self.calls.set_key(id, Key::Confirmed(call));
                if !ack.body.is_empty() {
                    self.take_answer(id, &ack.body);
                }
                self.connected();
            }
            SipEvent::Answered { call, response, .. } => {
                let id = call.key();
                self.calls.set_key(id, Key::Confirmed(call));
                self.take_answer(id, &response.body);
                self.connected();
            }
            SipEvent::Cancelled { call, reason } => {
                self.calls.remove(call, self.sound.as_mut());
                self.stopped_ringing(call, reason.as_ref());
            }
            SipEvent::Completed { request, outcome, .. } => {
                if !self.call_moved(request, &outcome)
                    && !self.offered_again(request, &outcome)
                    && !self.transfer_answered(request, &outcome)
                    && let Some(name) = self.replies.remove(&request)
                {
                    self.replied(&name, &outcome);
                }
            }
            SipEvent::Notified { .. }
            | SipEvent::NotifyFailed { .. }
            | SipEvent::Progress { .. }
            | SipEvent::Redirected { .. } => {}
            SipEvent::Digits { call, press } => {
                self.pressed(call, press.digit(), DigitWay::Info);
            }
            SipEvent::ReferProgress { request, status, is_last, .. } => {
                self.transfer_progress(request, status, is_last);
            }
            SipEvent::Referred { refer, .. }
                if matches!(self.session, Some(Session::Hosted(_))) =>
            {
                self.refers.insert(refer.id(), refer);
            }
            SipEvent::Referred { refer, call, refer_to, referred_by, .. } => {
                self.referred(refer, call, refer_to, referred_by);
            }
            SipEvent::Ended { call, .. } | SipEvent::Rejected { call, .. } => {
                self.referrer_gone(call);
                self.calls.remove(call, self.sound.as_mut());
                self.stopped_ringing(call, None);
            }
            SipEvent::Invited { call, request, flow, .. } => {
                let id = call.key();
                let offer = request.body.to_vec();
                self.calls.insert(id, Key::Incoming(call), flow.local.ip(), offer);
                let user = request.uri.as_sip().and_then(|uri| uri.user_unescaped());
                if self.is_own_user(user.as_deref()) {
                    self.rings(id, &request, flow);
                }
            }
            SipEvent::Located { request, flow } => self.looked_up(request, flow),
            SipEvent::Registration { account, state } => self.registration(account, &state),
            SipEvent::Message { message, request, .. } => {
                let id = message.id();
                self.messages.insert(id, message);
                if self.session.is_none() {
                    self.personal_text(id, &request);
                }
            }
            SipEvent::Reinvited { reinvite, call, request, .. }
            | SipEvent::Updated { update: reinvite, call, request, .. } => {
                let now = Instant::now();
                let answered =
                    self.calls.get_mut(call).map(|known| known.answer_again(&request.body));
                match answered {
                    Some(Ok((content, agreed))) => {
                        self.endpoint.accept_reinvite(reinvite, content, now);
                        if let Some(agreed) = agreed {
                            self.run_leg(call, &agreed);
                        }
                    }
                    Some(Err(_)) | None => {
                        self.endpoint.reject_reinvite(reinvite, Failure::NOT_ACCEPTABLE_HERE, now);
                    }
                }
            }
            SipEvent::Reanswered { call, response } => self.take_answer(call, &response.body),
            SipEvent::AddressChanged { call, flow } => self.move_call(call, flow),
            SipEvent::ReinviteAcked { call, ack } => self.take_answer(call, &ack.body),
            SipEvent::SubscribeReceived { subscribe, .. } => {
                if self.session.is_none() {
                    self.endpoint.reject_subscribe(subscribe, Failure::FORBIDDEN, Instant::now());
                } else {
                    self.subscribes.insert(subscribe.id(), subscribe);
                }
            }
            SipEvent::SubscriptionEnded { .. } => {}
        }
    }

    /// A key was pressed at the other end of a call.
    pub(super) fn pressed(&mut self, call: CallKey, digit: char, way: DigitWay) {
        let Some(session) = &mut self.session else { return };
        if !self.calls.takes_digit(call, way) {
            return;
        }
        match session.heard_in(call) {
            Some(participant) => self.tell(Event::Digit { participant, digit }),
            // He may be giving the PIN.
            None => {
                if let Session::Hosted(focus) = session {
                    let key = conference::Command::Key { call, digit };
                    focus.handle_command(key, crate::session::now());
                }
            }
        }
    }

    fn connected(&mut self) {
        if let Some(story) = &mut self.story {
            story.connected.get_or_insert_with(Instant::now);
        }
    }

    pub(super) fn take_answer(&mut self, call: CallKey, answer: &[u8]) {
        let Some(known) = self.calls.get_mut(call) else { return };
        match known.take_answer(answer) {
            Ok(agreed) => self.run_leg(call, &agreed),
            Err(error) => {
                tracing::info!(%error, "an answer cannot be used");
                self.hang_up(call, Some("No audio format in common"));
                self.notice(notice::no_format("The other"));
            }
        }
    }

    pub(super) fn run_leg(&mut self, call: CallKey, agreed: &sip_core::sdp::Agreed) {
        let cname = self.cname.clone();
        if let (Some(known), Some(sound)) = (self.calls.get_mut(call), self.sound.as_mut()) {
            known.run(agreed, sound, &cname);
        }
        if let Some(session) = &mut self.session {
            let state = media_state(agreed);
            session.handle_command(conference::Command::Media { call, state });
        }
    }

    fn rings(&mut self, call: CallKey, request: &Request, flow: Flow) {
        let now = Instant::now();
        let Ok(from) = request.headers.from_header() else {
            self.reject(call, Failure::BAD_REQUEST);
            return;
        };
        let contact = request.headers.contacts().ok().and_then(|contacts| {
            contacts.first().and_then(|contact| contact.uri.as_sip().cloned())
        });
        let name = from.display.as_deref().map(conference::clean_name).unwrap_or_default();
        // The address with its port: where a call back goes.
        let address = match (from.uri, &contact) {
            (AnyUri::Sip(uri), Some(contact)) if uri.port.is_none() && uri.host == contact.host => {
                AnyUri::Sip(Uri { port: contact.port, ..uri.bare() })
            }
            (uri, _) => uri,
        };
        let ringing = Ringing {
            call,
            invite: request.clone(),
            uri: address.to_string(),
            peer: NameAddr::new(Some(name.as_str()).filter(|name| !name.is_empty()), address),
            name,
            since: unix_now(),
            flow,
            contact,
        };
        if self.settings.unattended {
            if self.take_unasked(call, request) {
                return;
            }
            self.reject(call, Failure::BUSY_HERE);
            self.notice(notice::missed(ringing.shown()));
            self.record_missed(&ringing);
            return;
        }
        self.next_incoming += 1;
        let incoming = IncomingId(self.next_incoming);
        let contact = self.own_contact();
        if let Some(Key::Incoming(key)) =
            self.calls.get_mut(call).and_then(|call| call.key.as_ref())
        {
            self.endpoint.ring(key, &contact, now);
        }
        let (name, uri) = (ringing.name.clone(), ringing.uri.clone());
        self.ringing.insert(incoming, ringing);
        self.tell(Event::Incoming { incoming, name, uri });
    }

    fn reject(&mut self, call: CallKey, failure: Failure) {
        if let Some(Key::Incoming(key)) = self.calls.take_key(call) {
            self.endpoint.reject(key, failure, Instant::now());
        }
        self.calls.remove(call, None);
    }

    /// Whether a call rings at our own address and waits for the user.
    pub(super) fn rings_here(&self, call: CallKey) -> bool {
        self.ringing.values().any(|ringing| ringing.call == call)
    }

    fn stopped_ringing(&mut self, call: CallKey, why: Option<&Reason>) {
        let found = self.ringing.iter().find(|(_, ringing)| ringing.call == call);
        let Some(incoming) = found.map(|(id, _)| *id) else { return };
        if let Some(ringing) = self.ringing.remove(&incoming) {
            if why.is_some_and(Reason::is_completed_elsewhere) {
                let reason = "Answered elsewhere".to_owned();
                self.tell(Event::IncomingGone { incoming, reason, missed: false });
                return;
            }
            let reason = format!("{} hung up", ringing.shown());
            self.missed(incoming, ringing, reason);
        }
    }

    pub(super) fn missed(&mut self, incoming: IncomingId, ringing: Ringing, reason: String) {
        self.record_missed(&ringing);
        self.tell(Event::IncomingGone { incoming, reason, missed: true });
    }

    fn record_missed(&self, ringing: &Ringing) {
        let (uri, shown) = (ringing.uri.clone(), ringing.shown().to_owned());
        self.journal.add(record(RecordKind::Missed, uri, shown, ringing.since));
    }

    /// What became of a text in reply to a call.
    fn replied(&self, name: &str, outcome: &Outcome) {
        match outcome {
            Outcome::Answered(response) if response.status.is_success() => {}
            Outcome::Answered(response) => {
                self.notice(notice::text_not_taken(name, response.status.code()));
            }
            Outcome::TimedOut | Outcome::Unsendable => self.notice(notice::text_not_sent(name)),
        }
    }

    /// A text to our own address while there is no session.
    fn personal_text(&mut self, message: sip_core::RequestId, request: &Request) {
        let Some(key) = self.messages.remove(&message) else { return };
        let now = Instant::now();
        let text = match conference::read_text(request) {
            TextBody::Text(text) => text,
            TextBody::Nothing => return self.endpoint.respond(key, StatusCode::OK, &[], now),
            TextBody::Refused { status, headers } => {
                return self.endpoint.respond(key, status, &headers, now);
            }
        };
        self.endpoint.respond(key, StatusCode::OK, &[], now);
        let Ok(from) = request.headers.from_header() else { return };
        self.next_line += 1;
        let name =
            from.display.as_deref().map(conference::clean_name).filter(|name| !name.is_empty());
        self.tell(Event::PersonalText(Line {
            id: MessageId(self.next_line),
            seq: None,
            from: from.uri.to_string(),
            name: name.unwrap_or_else(|| from.uri.to_string()),
            is_own: false,
            to: Recipient::Me,
            text,
            verified: false,
            expired: conference::text_expired(request, SystemTime::now().into()).is_some(),
            is_history: false,
            at: SystemTime::now().into(),
        }));
    }

    /// Tells the window when a call has turned out to be a conference.
    fn tell_session(&mut self) {
        let Some(Session::Called { member, told, .. }) = &mut self.session else { return };
        if *told == SessionKind::Call
            && let Some(uri) = member.is_conference()
        {
            *told = SessionKind::Joined;
            let (subject, conference) = (member.title(), uri.bare().to_string());
            if let Some(story) = &mut self.story {
                story.record.kind = RecordKind::Conference;
                // So far the focus itself stood for all.
                story.people.clear();
            }
            self.tell(Event::Session { kind: SessionKind::Joined, subject, conference });
        }
    }
}
