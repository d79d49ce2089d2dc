//! re-INVITE, both ways (RFC 3261 §14).

use std::time::Instant;

use super::calls::{Call, Phase, TheirReinvite, UNANSWERED, copy_record_route};
use super::descriptions::{NO_FORMAT, write_warning};
use super::glare::{By, Offer};
use super::requests::{Arrival, trying};
use super::responses::{Finish, copy_credentials};
use super::{Contact, Due, Endpoint, Owner, answer_contact, contact_value, usages};
use crate::transaction::{Backoff, Timer};
use crate::{
    CallKey, Confirmed, Content, EndReason, Event, Failure, Method, PendingReinvite, RequestId,
    StatusCode,
};

/// A re-INVITE of ours that is out.
#[derive(Debug)]
pub(super) struct OurReinvite {
    pub(super) tx: u64,
    pub(super) offer: Offer,
    /// Whether any response came: texts wait for the first only.
    pub(super) heard: bool,
}

impl Endpoint {
    /// Offers the session anew, as soon as the request in flight has its answer. While the peer's own re-INVITE is open
    /// this fails at once, and so it does when one comes before ours is out. One that crosses the peer's and is answered 491 goes again by itself;
    /// [`Event::Completed`] tells the outcome once.
    pub fn reinvite(
        &mut self,
        call: &Confirmed,
        contact: Contact,
        offer: Content,
        now: Instant,
    ) -> RequestId {
        self.offer_anew(call.0, By::Reinvite(contact), offer, now)
    }

    pub(super) fn send_reinvite(&mut self, key: CallKey, ours: Offer, now: Instant) {
        let By::Reinvite(contact) = ours.by.clone() else { return };
        let (id, offer) = (ours.request, ours.content.clone());
        let flow = self.calls.get(&key).and_then(|call| call.dialog.as_ref().map(|one| one.flow));
        let contact = match flow {
            Some(flow) => self.placed(contact, &flow),
            None => contact,
        };
        let Some(call) = self.calls.get_mut(&key) else { return };
        let Some(dialog) = call.dialog.as_mut() else { return };
        dialog.contact = contact;
        let mut request = dialog.request(Method::Invite, None);
        let hop = dialog.next_hop(|id| self.connections.contains_key(&id));
        request.headers.push("Contact", contact_value(&dialog.contact, &hop));
        Self::write_capabilities(&self.config, &mut request.headers);
        call.timer.write(&mut request.headers);
        let offer = call.descriptions.offer(offer);
        request.headers.push("Content-Type", &offer.content_type);
        request.body = offer.body;
        let tx =
            self.start_in_dialog(request, hop, Owner::Reinvite { call: key, request: id }, now);
        if let Some(known) = self.calls.get_mut(&key) {
            known.reinvite = Some(OurReinvite { tx, offer: ours, heard: false });
        }
    }

    pub(super) fn reinvite_finished(
        &mut self,
        tx: u64,
        key: CallKey,
        id: RequestId,
        finish: Finish,
        now: Instant,
    ) {
        if finish.is_provisional() {
            // The session hangs between old and new for so long as this is open: not without end.
            self.limit_client(tx, now + UNANSWERED);
        }
        let invite = self.clients.get(&tx).map(|client| client.request.clone());
        let Some(call) = self.calls.get_mut(&key) else { return };
        let first = call.reinvite.as_ref().is_some_and(|ours| ours.tx == tx);
        let refresh = call.timer.is_refresh(id);
        if let Finish::Response(response, flow) = &finish {
            if response.status.is_provisional() {
                if let Some(ours) = &mut call.reinvite {
                    ours.heard = true;
                }
                self.send_next(key, now);
                return;
            }
            if response.status.is_success() {
                let number = response.headers.cseq().map_or(1, |cseq| cseq.number);
                let Some(dialog) = call.dialog.as_mut() else { return };
                dialog.refresh(&response.headers, None);
                if dialog.flow.transport.is_reliable() {
                    dialog.flow.connection = flow.connection;
                }
                let mut ack = dialog.request(Method::Ack, Some(number));
                if let Some(invite) = &invite {
                    copy_credentials(invite, &mut ack);
                }
                let hop = dialog.next_hop(|id| self.connections.contains_key(&id));
                self.write_ack_via(&mut ack, &hop);
                self.transmit_to(hop, &super::locate::domain_of(&ack), ack.to_bytes());
            }
        }
        if !first {
            return;
        }
        let ours = self.reinvite_settled(key, refresh, &finish, now);
        self.moved(key, &finish);
        if refresh {
            self.refresh_finished(key, &Method::Invite, &finish, now);
            self.send_next(key, now);
            return;
        }
        if ours.is_some_and(|ours| self.defer_offer(key, ours, &finish, now)) {
            self.send_next(key, now);
            return;
        }
        let scope = usages::scope(&Method::Invite, &finish);
        self.emit(Event::Completed { request: id, call: Some(key), outcome: finish.outcome() });
        self.settle(key, scope, now);
    }

    /// Our re-INVITE has its final answer: its description is in force, or what was in force stays (RFC 3261 §14.1).
    fn reinvite_settled(
        &mut self,
        key: CallKey,
        refresh: bool,
        finish: &Finish,
        now: Instant,
    ) -> Option<Offer> {
        let call = self.calls.get_mut(&key)?;
        let ours = call.reinvite.take().map(|ours| ours.offer);
        let Some(response) = finish.success() else {
            call.descriptions.refused();
            return ours;
        };
        let differs = call.descriptions.answered(&response.body);
        self.interval_answered(key, &response.headers, now);
        if refresh && differs {
            self.emit(Event::Reanswered { call: key, response: response.clone() });
        }
        ours
    }

    pub(super) fn handle_reinvite(&mut self, arrival: Arrival, key: CallKey, now: Instant) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        if matches!(call.phase, Phase::AwaitingAck { .. }) || call.their_reinvite.is_some() {
            self.refuse_exchange(&arrival, StatusCode::SERVER_INTERNAL_ERROR, now);
            return;
        }
        if call.reinvite.is_some() || call.updating.is_some() {
            self.respond_status(arrival.server, &arrival.request, StatusCode::REQUEST_PENDING, now);
            return;
        }
        if let Some(response) = Self::refuse_interval(&arrival.request) {
            self.respond_with(arrival.server, response, now);
            return;
        }
        let Some(dialog) = call.dialog.as_mut() else { return };
        let before = dialog.remote_target.clone();
        if dialog.refresh(&arrival.request.headers, Some(arrival.flow)) {
            self.resend_in_flight(key, now);
        }
        self.yield_offer(key);
        self.respond_with(arrival.server, trying(&arrival.request), now);
        let id = self.hold(&arrival, Some(key), None, now);
        if let Some(call) = self.calls.get_mut(&key) {
            call.their_reinvite = Some(TheirReinvite::Pending { before });
        }
        let reinvite = PendingReinvite(id);
        let Arrival { request, flow, .. } = arrival;
        self.emit(Event::Reinvited { reinvite, call: key, request, flow });
    }

    /// 200 with the SDP answer, or with our offer where the re-INVITE had none.
    pub fn accept_reinvite(&mut self, reinvite: PendingReinvite, answer: Content, now: Instant) {
        let Some(pending) = self.take_pending(reinvite.0) else { return };
        let Some(key) = pending.call else { return };
        if pending.request.method == Method::Update {
            self.accept_update(pending, key, answer, now);
            return;
        }
        let mut response = pending.request.response(StatusCode::OK, None);
        copy_record_route(&pending.request, &mut response);
        if let Some(dialog) = self.calls.get(&key).and_then(|call| call.dialog.as_ref()) {
            response
                .headers
                .push("Contact", answer_contact(&dialog.contact, &pending.flow, &pending.request));
        }
        Self::write_capabilities(&self.config, &mut response.headers);
        self.write_agent(&mut response.headers, "Server");
        self.answer_interval(key, &pending.request, &mut response, now);
        self.describe(key, &pending.request, &mut response, answer);
        let back =
            self.servers.get(&pending.server).map_or(pending.flow, |transaction| transaction.flow);
        let success = response.to_bytes();
        self.respond_with(pending.server, response, now);
        let repeat = Backoff::new(now, self.times.t1, Some(self.times.t2));
        let until = now + self.times.patience();
        let cseq = pending.request.headers.cseq().map_or(0, |cseq| cseq.number);
        let offered = pending.request.body.is_empty();
        if let Some(Call { their_reinvite, .. }) = self.calls.get_mut(&key) {
            *their_reinvite =
                Some(TheirReinvite::Answered { cseq, offered, success, back, repeat, until });
            self.arm(Due::Call(key), Some((repeat.next, Timer::SuccessRetransmit)));
        }
    }

    /// Refuses it; the session stays as it was.
    pub fn reject_reinvite(&mut self, reinvite: PendingReinvite, why: Failure, now: Instant) {
        let Some(pending) = self.take_pending(reinvite.0) else { return };
        self.refuse_reinvite(&pending);
        let mut response = pending.request.response(why.into(), None);
        write_warning(&mut response, NO_FORMAT);
        self.respond_with(pending.server, response, now);
        if let Some(key) = pending.call {
            self.send_next(key, now);
        }
    }

    pub(super) fn reinvite_timeout(&mut self, key: CallKey, now: Instant) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let Some(TheirReinvite::Answered { success, back, repeat, until, .. }) =
            &mut call.their_reinvite
        else {
            self.arm(Due::Call(key), None);
            return;
        };
        if *until <= now {
            self.end_lost(key, EndReason::NoAck, true, now);
            return;
        }
        repeat.advance(now);
        let next = repeat.next.min(*until);
        let (flow, bytes) = (*back, success.clone());
        self.arm(Due::Call(key), Some((next, Timer::SuccessRetransmit)));
        self.transmit(flow, bytes);
    }
}
