//! INVITE as the one who is called: ringing, the answer, its ACK (RFC 3261 §9.2, §13.3).

use std::time::{Duration, Instant};

use super::calls::{Call, Phase, RING_AGAIN, TheirReinvite, UNANSWERED, copy_record_route};
use super::descriptions::{NO_FORMAT, write_warning};
use super::requests::{Arrival, takes_sdp, trying};
use super::{Contact, Due, Endpoint, answer_contact};
use crate::dialog::{Dialog, DialogId};
use crate::transaction::{Backoff, Timer};
use crate::{
    AwaitingAck, CallKey, Confirmed, Content, EndReason, Event, Failure, Incoming, Reason, Request,
    StatusCode,
};

impl Endpoint {
    pub(super) fn handle_invite(&mut self, arrival: Arrival, now: Instant) {
        let Arrival { request, flow, server } = arrival;
        let contacts = request.headers.contacts().unwrap_or_default();
        if contacts.first().and_then(|contact| contact.uri.as_sip()).is_none() {
            self.respond_status(server, &request, StatusCode::BAD_REQUEST, now);
            return;
        }
        // Our answer would be of the one type that it does not take (RFC 3261 §13.2.1, RFC 4475 §3.3.15).
        if !takes_sdp(&request) {
            self.respond_status(server, &request, StatusCode::NOT_ACCEPTABLE, now);
            return;
        }
        if let Some(response) = Self::refuse_interval(&request) {
            self.respond_with(server, response, now);
            return;
        }
        let replaces = match self.replaced_by(&request) {
            Ok(replaces) => replaces,
            Err(status) => {
                self.respond_status(server, &request, status, now);
                return;
            }
        };
        let key = self.new_call_key();
        let Some(transaction) = self.servers.get_mut(&server) else { return };
        transaction.call = Some(key);
        let tag = transaction.tag.clone();
        self.respond_with(server, trying(&request), now);
        let expires = request.headers.expires().unwrap_or(UNANSWERED).min(UNANSWERED);
        let until = now + expires.max(Duration::from_secs(1));
        let phase = Phase::Incoming {
            server,
            request: request.clone(),
            flow,
            tag,
            ringing: None,
            ring_at: now + RING_AGAIN,
            until,
        };
        let mut call = Call::new(phase, None);
        call.invite_cseq = request.headers.cseq().ok().map(|cseq| cseq.number);
        call.transfer.replaces = replaces.map(|old| (old, false));
        self.calls.insert(key, call);
        self.arm(Due::Call(key), Some((until, Timer::Ringing)));
        let identity = self.identity_of(server);
        self.emit(Event::Invited { call: Incoming(key), request, flow, identity, replaces });
    }

    /// 180. Repeated every minute until the call is answered.
    pub fn ring(&mut self, call: &Incoming, contact: &Contact, now: Instant) {
        let Some(Call { phase: Phase::Incoming { flow, .. }, .. }) = self.calls.get(&call.0) else {
            return;
        };
        let contact = &self.placed(contact.clone(), flow);
        let Some(known) = self.calls.get_mut(&call.0) else { return };
        let Phase::Incoming { request, flow, ringing, ring_at, until, .. } = &mut known.phase
        else {
            return;
        };
        let mut response = request.response(StatusCode::RINGING, None);
        copy_record_route(request, &mut response);
        response.headers.push("Contact", answer_contact(contact, flow, request));
        *ringing = Some(response.clone());
        *ring_at = now + RING_AGAIN;
        let next = (*ring_at).min(*until);
        self.begin_early(call.0, contact);
        self.arm(Due::Call(call.0), Some((next, Timer::Ringing)));
        self.send_ringing(call.0, response, now);
    }

    /// 200 with the SDP answer, or with our offer where the INVITE had none. Repeated until the ACK comes.
    pub fn accept(
        &mut self,
        call: Incoming,
        contact: Contact,
        answer: Content,
        now: Instant,
    ) -> AwaitingAck {
        let key = call.0;
        if self.may_not_replace(key) {
            self.finish_incoming(key, StatusCode::FORBIDDEN, now);
            self.emit(Event::Cancelled { call: key, reason: None });
            return AwaitingAck(key);
        }
        let Some(known) = self.calls.get(&key) else { return AwaitingAck(key) };
        let Phase::Incoming { server, request, flow, tag, .. } = &known.phase else {
            return AwaitingAck(key);
        };
        let (server, flow, request) = (*server, *flow, request.clone());
        let contact = self.placed(contact, &flow);
        let mut response = request.response(StatusCode::OK, Some(tag));
        copy_record_route(&request, &mut response);
        response.headers.push("Contact", answer_contact(&contact, &flow, &request));
        Self::write_capabilities(&self.config, &mut response.headers);
        self.write_agent(&mut response.headers, "Server");
        let mut dialog = Dialog::as_server(&request, tag, flow, contact);
        if let (Some(dialog), Some(early)) = (&mut dialog, &known.dialog) {
            dialog.local_cseq = early.local_cseq;
            dialog.remote_cseq = early.remote_cseq;
        }
        self.answer_interval(key, &request, &mut response, now);
        self.describe(key, &request, &mut response, answer);
        let success = response.to_bytes();
        let back = self.servers.get(&server).map_or(flow, |transaction| transaction.flow);
        self.respond_with(server, response, now);
        self.arm(Due::Reliable(key), None);
        let until = now + self.times.patience();
        let repeat = Backoff::new(now, self.times.t1, Some(self.times.t2));
        if let Some(known) = self.calls.get_mut(&key) {
            known.phase = Phase::AwaitingAck { success, back, repeat, until, hang_up: None };
            if let Some(dialog) = dialog {
                self.dialogs.insert(dialog.id.clone(), key);
                known.dialog = Some(dialog);
            }
        }
        self.arm(Due::Call(key), Some((repeat.next, Timer::SuccessRetransmit)));
        self.end_replaced(key, now);
        AwaitingAck(key)
    }

    /// Refuses a call.
    pub fn reject(&mut self, call: Incoming, why: Failure, now: Instant) {
        self.finish_incoming(call.0, why.into(), now);
    }

    pub(super) fn finish_incoming(&mut self, key: CallKey, status: StatusCode, now: Instant) {
        let Some(Call { phase: Phase::Incoming { server, request, .. }, .. }) =
            self.calls.get(&key)
        else {
            return;
        };
        let (server, mut response) = (*server, request.response(status, None));
        write_warning(&mut response, NO_FORMAT);
        self.remove_call(key, now);
        self.respond_with(server, response, now);
    }

    pub(super) fn cancelled_by_peer(
        &mut self,
        key: CallKey,
        server: u64,
        reason: Option<Reason>,
        now: Instant,
    ) {
        if let Some(super::ServerTransaction {
            machine: super::ServerMachine::Invite(machine), ..
        }) = self.servers.get(&server)
            && !machine.is_proceeding()
        {
            return;
        }
        if matches!(self.calls.get(&key), Some(Call { phase: Phase::Incoming { .. }, .. })) {
            self.finish_incoming(key, StatusCode::REQUEST_TERMINATED, now);
            self.emit(Event::Cancelled { call: key, reason });
        }
    }

    /// The ACK of a 2xx of ours: of the first INVITE or of a re-INVITE.
    pub(super) fn handle_success_ack(&mut self, ack: Request, now: Instant) {
        let Some(key) =
            DialogId::of_request(&ack.headers).and_then(|id| self.dialogs.get(&id).copied())
        else {
            return;
        };
        let Some(call) = self.calls.get_mut(&key) else { return };
        match (&mut call.phase, &call.their_reinvite) {
            (Phase::AwaitingAck { hang_up, .. }, _) => {
                let hang_up = hang_up.take();
                let replaced_by = call.transfer.replaced_by;
                call.descriptions.answered(&ack.body);
                self.confirm(key, None);
                self.arm_session(key);
                match (hang_up, replaced_by) {
                    (Some(_), Some(by)) => {
                        self.end_lost(key, EndReason::Replaced { by }, true, now);
                    }
                    (Some(reason), None) => self.bye(Confirmed(key), reason.as_deref(), now),
                    (None, _) => {
                        self.emit(Event::Acked { call: Confirmed(key), ack });
                        self.send_next(key, now);
                    }
                }
            }
            (Phase::Confirmed, Some(TheirReinvite::Answered { cseq, offered, .. }))
                if ack.headers.cseq().is_ok_and(|got| got.number == *cseq) =>
            {
                let offered = *offered;
                call.their_reinvite = None;
                if offered {
                    call.descriptions.answered(&ack.body);
                }
                self.arm(Due::Call(key), None);
                if offered {
                    self.emit(Event::ReinviteAcked { call: key, ack });
                }
                self.send_next(key, now);
            }
            _ => {}
        }
    }
}
