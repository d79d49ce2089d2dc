//! What happened on the wire: the session hears it first, then keys and media follow, then the session's wishes.

use std::time::{Instant, SystemTime};

use conference::{Line, MessageId, Recipient};
use sip_core::{CallKey, Event as SipEvent, Failure, NameAddr, Request, StatusCode};

use super::commands::unix_now;
use super::{Actor, Ringing};
use crate::calls::{Key, media_state};
use crate::session::Session;
use crate::{CallRecord, Event, IncomingId, RecordKind, SessionKind, notice};

impl Actor {
    pub(super) fn sip_event(&mut self, event: SipEvent) {
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
            SipEvent::Cancelled { call } => {
                self.calls.remove(call, self.sound.as_mut());
                self.stopped_ringing(call);
            }
            SipEvent::Completed { .. } | SipEvent::Notified { .. } | SipEvent::Progress { .. } => {}
            SipEvent::Ended { call, .. } | SipEvent::Rejected { call, .. } => {
                self.calls.remove(call, self.sound.as_mut());
            }
            SipEvent::Invited { call, request, flow } => {
                let id = call.key();
                let offer = request.body.to_vec();
                self.calls.insert(id, Key::Incoming(call), flow.local.ip(), offer);
                let user = request.uri.as_sip().and_then(|uri| uri.user_unescaped());
                let to_us = user.is_none() || user.as_deref() == Some(&self.settings.user);
                if to_us {
                    self.rings(id, &request);
                }
            }
            SipEvent::Message { message, request, .. } => {
                let id = message.id();
                self.messages.insert(id, message);
                if self.session.is_none() {
                    self.personal_text(id, &request);
                }
            }
            SipEvent::Reinvited { reinvite, call, request } => {
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

    fn connected(&mut self) {
        if let Some(story) = &mut self.story {
            story.connected.get_or_insert_with(Instant::now);
        }
    }

    fn take_answer(&mut self, call: CallKey, answer: &[u8]) {
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

    fn rings(&mut self, call: CallKey, request: &Request) {
        let now = Instant::now();
        let Ok(from) = request.headers.from_header() else { return };
        let contact =
            request.headers.contacts().ok().and_then(|contacts| contacts.first().cloned());
        let name = from.display.as_deref().map(conference::clean_name).unwrap_or_default();
        let shown = if name.is_empty() { from.uri.to_string() } else { name.clone() };
        if self.settings.unattended {
            if let Some(Key::Incoming(key)) = self.calls.take_key(call) {
                self.endpoint.reject(key, Failure::BUSY_HERE, now);
            }
            self.calls.remove(call, None);
            self.notice(notice::missed(&shown));
            return;
        }
        self.next_incoming += 1;
        let incoming = IncomingId(self.next_incoming);
        // The address with its port: where a call back goes.
        let uri = match (&from.uri, contact) {
            (
                sip_core::AnyUri::Sip(uri),
                Some(NameAddr { uri: sip_core::AnyUri::Sip(contact), .. }),
            ) if uri.port.is_none() && uri.host == contact.host => {
                sip_core::Uri { port: contact.port, ..uri.bare() }.to_string()
            }
            (uri, _) => uri.to_string(),
        };
        let contact = self.own_contact();
        if let Some(Key::Incoming(key)) =
            self.calls.get_mut(call).and_then(|call| call.key.as_ref())
        {
            self.endpoint.ring(key, &contact, now);
        }
        let ringing = Ringing { call, name: name.clone(), uri: uri.clone(), since: unix_now() };
        self.ringing.insert(incoming, ringing);
        self.tell(Event::Incoming { incoming, name, uri });
    }

    fn stopped_ringing(&mut self, call: CallKey) {
        let found =
            self.ringing.iter().find(|(_, ringing)| ringing.call == call).map(|(id, _)| *id);
        let Some((incoming, ringing)) =
            found.and_then(|id| self.ringing.remove(&id).map(|ringing| (id, ringing)))
        else {
            return;
        };
        let shown =
            if ringing.name.is_empty() { ringing.uri.clone() } else { ringing.name.clone() };
        self.journal.add(CallRecord {
            id: 0,
            uri: ringing.uri,
            name: shown.clone(),
            kind: RecordKind::Missed,
            started_unix: ringing.since,
            duration: Default::default(),
            people: 1,
            messages: 0,
            reason: String::new(),
        });
        self.tell(Event::IncomingGone {
            incoming,
            reason: format!("{shown} hung up"),
            missed: true,
        });
    }

    /// A text to our own address while there is no session.
    fn personal_text(&mut self, message: sip_core::RequestId, request: &Request) {
        let Some(key) = self.messages.remove(&message) else { return };
        let now = Instant::now();
        let is_text = request.headers.content_type().is_none_or(|kind| kind.kind == "text");
        if !is_text {
            let headers = [("Accept", "text/plain".to_owned())];
            self.endpoint.respond(key, StatusCode::UNSUPPORTED_MEDIA_TYPE, &headers, now);
            return;
        }
        if request.body.len() > conference::MAX_TEXT {
            self.endpoint.respond(key, StatusCode::REQUEST_ENTITY_TOO_LARGE, &[], now);
            return;
        }
        self.endpoint.respond(key, StatusCode::OK, &[], now);
        let Ok(from) = request.headers.from_header() else { return };
        if request.body.is_empty() {
            return;
        }
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
            text: String::from_utf8_lossy(&request.body).into_owned(),
            verified: false,
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
            }
            self.tell(Event::Session { kind: SessionKind::Joined, subject, conference });
        }
    }
}
