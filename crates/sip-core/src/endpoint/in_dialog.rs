//! Requests inside a call: MESSAGE and OPTIONS one at a time, re-INVITE both ways, BYE (RFC 3261 §12.2, §14; RFC 3428).

use std::time::Instant;

use super::calls::{Call, Phase, TheirReinvite, UNANSWERED, copy_record_route};
use super::requests::Arrival;
use super::responses::{Finish, copy_credentials};
use super::{Contact, Due, Endpoint, Owner, contact_value};
use crate::transaction::{Backoff, Timer};
use crate::{
    CallKey, Confirmed, Content, EndReason, Event, Failure, Method, Outcome, PendingReinvite,
    RequestId, StatusCode, SubscriptionEnd, SubscriptionKey,
};

/// The most requests that wait in one call.
const MAX_WAITING: usize = 512;

/// A request that waits for its turn.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) request: RequestId,
    method: Method,
    from_display: Option<String>,
    content: Option<Content>,
    headers: Vec<(&'static str, String)>,
    owner: Owner,
}

impl Queued {
    /// Whether it belongs to this subscription.
    pub(super) fn is_of(&self, key: SubscriptionKey) -> bool {
        match &self.owner {
            Owner::Notify { subscription, .. } | Owner::Subscribe { subscription, .. } => {
                *subscription == key
            }
            Owner::Bye
            | Owner::Cancel
            | Owner::InDialog { .. }
            | Owner::Invite(_)
            | Owner::Pager(_)
            | Owner::Reinvite { .. } => false,
        }
    }
}

/// A re-INVITE of ours that is out.
#[derive(Debug)]
pub(super) struct OurReinvite {
    pub(super) tx: u64,
    pub(super) request: RequestId,
    /// Whether any response came: texts wait for the first only.
    heard: bool,
}

/// A re-INVITE of ours that waits for its turn.
#[derive(Debug)]
pub(super) struct WaitingReinvite {
    pub(super) request: RequestId,
    contact: Contact,
    offer: Content,
}

impl Endpoint {
    /// Sends a text in the call. `from_display` is the display name for this one request (sip-chat: relayed authors).
    pub fn message(
        &mut self,
        call: &Confirmed,
        from_display: Option<&str>,
        content: Content,
        now: Instant,
    ) -> RequestId {
        let from_display = from_display.map(str::to_owned);
        self.enqueue(call.0, Method::Message, from_display, Some(content), now)
    }

    /// Asks whether the call lives, and what the peer can do.
    pub fn options(&mut self, call: &Confirmed, now: Instant) -> RequestId {
        self.enqueue(call.0, Method::Options, None, None, now)
    }

    fn enqueue(
        &mut self,
        key: CallKey,
        method: Method,
        from_display: Option<String>,
        content: Option<Content>,
        now: Instant,
    ) -> RequestId {
        let request = self.new_request_id();
        let owner = Owner::InDialog { call: key, request };
        let queued = Queued { request, method, from_display, content, headers: Vec::new(), owner };
        self.enqueue_owned(key, queued, now);
        request
    }

    /// A NOTIFY or SUBSCRIBE that shares the call's dialog takes its turn with the texts.
    pub(super) fn enqueue_shared(
        &mut self,
        key: CallKey,
        method: Method,
        content: Option<Content>,
        headers: Vec<(&'static str, String)>,
        owner: Owner,
        now: Instant,
    ) {
        let request = self.new_request_id();
        let queued = Queued { request, method, from_display: None, content, headers, owner };
        self.enqueue_owned(key, queued, now);
    }

    fn enqueue_owned(&mut self, key: CallKey, queued: Queued, now: Instant) {
        match self.calls.get_mut(&key) {
            Some(call) if call.queue.len() < MAX_WAITING => {
                call.queue.push_back(queued);
                self.send_next(key, now);
            }
            _ => self.drop_queued(key, queued),
        }
    }

    /// A request that waited in vain.
    pub(super) fn drop_queued(&mut self, key: CallKey, queued: Queued) {
        match queued.owner {
            Owner::Notify { subscription, .. } | Owner::Subscribe { subscription, .. } => {
                self.end_subscription(subscription, SubscriptionEnd::Failed { status: None });
            }
            Owner::Bye
            | Owner::Cancel
            | Owner::InDialog { .. }
            | Owner::Invite(_)
            | Owner::Pager(_)
            | Owner::Reinvite { .. } => self.unsent(key, queued.request),
        }
    }

    pub(super) fn unsent(&mut self, key: CallKey, request: RequestId) {
        let outcome = Outcome::Unsendable;
        self.emit(Event::Completed { request, call: Some(key), outcome });
    }

    /// Sends what waits, when nothing is in flight: all our requests of a call go one after the other. A re-INVITE goes
    /// first; it holds texts back until it is heard of.
    pub(super) fn send_next(&mut self, key: CallKey, now: Instant) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let held = call.reinvite.as_ref().is_some_and(|ours| !ours.heard);
        if call.in_flight.is_some() || held || !matches!(call.phase, Phase::Confirmed) {
            return;
        }
        if let Some(waiting) = call.waiting_reinvite.take() {
            self.send_reinvite(key, waiting, now);
            return;
        }
        let Some(dialog) = call.dialog.as_mut() else { return };
        let Some(queued) = call.queue.pop_front() else { return };
        call.in_flight = Some(queued.request);
        let mut request = dialog.request(queued.method.clone(), None);
        if let Some(display) = &queued.from_display {
            let mut from = dialog.local.clone();
            from.display = Some(display.clone());
            request.headers.set("From", from.to_string());
        }
        let hop = dialog.next_hop(|id| self.connections.contains_key(&id));
        if queued.method != Method::Message {
            let contact = contact_value(&dialog.contact, &hop);
            request.headers.push("Contact", contact);
        }
        for (name, value) in &queued.headers {
            request.headers.push(name, value);
        }
        if let Some(content) = queued.content {
            request.headers.push("Content-Type", &content.content_type);
            request.body = content.body;
        }
        self.start_client(request, hop, queued.owner, now);
    }

    pub(super) fn in_dialog_finished(
        &mut self,
        key: CallKey,
        id: RequestId,
        finish: Finish,
        now: Instant,
    ) {
        if let Finish::Response(response, _) = &finish {
            if response.status.is_provisional() {
                return;
            }
            if let Some(dialog) = self.calls.get_mut(&key).and_then(|call| call.dialog.as_mut())
                && let Some(allow) = response.headers.allow()
            {
                dialog.allow = Some(allow);
            }
        }
        self.emit(Event::Completed { request: id, call: Some(key), outcome: finish.outcome() });
        self.turn_over(Some(key), now);
    }

    /// The request in flight has ended: the next one goes.
    pub(super) fn turn_over(&mut self, key: Option<CallKey>, now: Instant) {
        if let Some(key) = key
            && let Some(call) = self.calls.get_mut(&key)
        {
            call.in_flight = None;
            self.send_next(key, now);
        }
    }

    /// Offers the session anew, as soon as the request in flight has its answer. While the peer's own re-INVITE is open
    /// this fails at once, and so it does when one comes before ours is out.
    pub fn reinvite(
        &mut self,
        call: &Confirmed,
        contact: Contact,
        offer: Content,
        now: Instant,
    ) -> RequestId {
        let key = call.0;
        let id = self.new_request_id();
        let free = |known: &&mut Call| {
            let busy = known.reinvite.is_some()
                || known.waiting_reinvite.is_some()
                || known.their_reinvite.is_some();
            !busy && matches!(known.phase, Phase::Confirmed)
        };
        match self.calls.get_mut(&key).filter(free) {
            Some(known) => {
                known.waiting_reinvite = Some(WaitingReinvite { request: id, contact, offer });
                self.send_next(key, now);
            }
            None => self.unsent(key, id),
        }
        id
    }

    fn send_reinvite(&mut self, key: CallKey, waiting: WaitingReinvite, now: Instant) {
        let WaitingReinvite { request: id, contact, offer } = waiting;
        let Some(dialog) = self.calls.get_mut(&key).and_then(|call| call.dialog.as_mut()) else {
            return;
        };
        dialog.contact = contact;
        let mut request = dialog.request(Method::Invite, None);
        let hop = dialog.next_hop(|id| self.connections.contains_key(&id));
        request.headers.push("Contact", contact_value(&dialog.contact, &hop));
        Self::write_capabilities(&mut request.headers);
        request.headers.push("Content-Type", &offer.content_type);
        request.body = offer.body;
        let tx = self.start_client(request, hop, Owner::Reinvite { call: key, request: id }, now);
        if let Some(known) = self.calls.get_mut(&key) {
            known.reinvite = Some(OurReinvite { tx, request: id, heard: false });
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
                if dialog.flow.transport == crate::Transport::Tcp {
                    dialog.flow.connection = flow.connection;
                }
                let mut ack = dialog.request(Method::Ack, Some(number));
                if let Some(invite) = &invite {
                    copy_credentials(invite, &mut ack);
                }
                let hop = dialog.next_hop(|id| self.connections.contains_key(&id));
                self.write_ack_via(&mut ack, &hop);
                self.transmit(hop, ack.to_bytes());
            }
        }
        if !first {
            return;
        }
        if let Some(call) = self.calls.get_mut(&key) {
            call.reinvite = None;
        }
        let lost = match &finish {
            Finish::Response(response, _) => matches!(response.status.code(), 408 | 481),
            Finish::TimedOut => true,
            Finish::Unsendable => false,
        };
        self.emit(Event::Completed { request: id, call: Some(key), outcome: finish.outcome() });
        if lost {
            self.end_lost(key, EndReason::PeerLost, true, now);
        } else {
            self.send_next(key, now);
        }
    }

    pub(super) fn handle_in_dialog(&mut self, arrival: Arrival, key: CallKey, now: Instant) {
        let server = arrival.server;
        let Some(call) = self.calls.get_mut(&key) else { return };
        let Some(dialog) = call.dialog.as_mut() else { return };
        let number = arrival.request.headers.cseq().map_or(0, |cseq| cseq.number);
        if !dialog.take_cseq(number) {
            self.respond_status(server, &arrival.request, StatusCode::SERVER_INTERNAL_ERROR, now);
            return;
        }
        // The peer came back by another connection: it is the only way to phones behind a NAT.
        let known = dialog.flow.connection;
        if arrival.flow.connection.is_some()
            && known.is_some_and(|id| !self.connections.contains_key(&id))
        {
            dialog.flow = arrival.flow;
        }
        match arrival.request.method {
            Method::Bye => self.handle_bye(arrival, key, now),
            Method::Invite => self.handle_reinvite(arrival, key, now),
            Method::Message => self.hand_over_message(arrival, Some(key), now),
            Method::Options => self.answer_options_in_dialog(&arrival, key, now),
            Method::Subscribe => {
                let known = self.subscription_of(&arrival.request);
                self.handle_subscribe(arrival, Some(key), known, now);
            }
            Method::Ack
            | Method::Cancel
            | Method::Info
            | Method::Notify
            | Method::Prack
            | Method::Publish
            | Method::Refer
            | Method::Register
            | Method::Update
            | Method::Other(_) => {
                self.respond_status(server, &arrival.request, StatusCode::METHOD_NOT_ALLOWED, now);
            }
        }
    }

    fn answer_options_in_dialog(&mut self, arrival: &Arrival, key: CallKey, now: Instant) {
        let mut response = arrival.request.response(StatusCode::OK, None);
        Self::write_option_capabilities(&mut response.headers);
        if let Some(dialog) = self.calls.get(&key).and_then(|call| call.dialog.as_ref()) {
            response.headers.push("Contact", contact_value(&dialog.contact, &arrival.flow));
        }
        self.respond_with(arrival.server, response, now);
    }

    fn handle_bye(&mut self, arrival: Arrival, key: CallKey, now: Instant) {
        self.respond_status(arrival.server, &arrival.request, StatusCode::OK, now);
        self.remove_call(key, now);
        self.emit(Event::Ended { call: key, reason: EndReason::Bye(arrival.request) });
    }

    fn handle_reinvite(&mut self, arrival: Arrival, key: CallKey, now: Instant) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        if matches!(call.phase, Phase::AwaitingAck { .. }) || call.their_reinvite.is_some() {
            let mut response = arrival.request.response(StatusCode::SERVER_INTERNAL_ERROR, None);
            response.headers.push("Retry-After", "2");
            self.respond_with(arrival.server, response, now);
            return;
        }
        if call.reinvite.is_some() {
            self.respond_status(arrival.server, &arrival.request, StatusCode::REQUEST_PENDING, now);
            return;
        }
        if let Some(dialog) = call.dialog.as_mut() {
            dialog.refresh(&arrival.request.headers, Some(arrival.flow));
        }
        if let Some(ours) = call.waiting_reinvite.take() {
            self.unsent(key, ours.request);
        }
        self.respond_with(arrival.server, arrival.request.response(StatusCode::TRYING, None), now);
        let id = self.hold(&arrival, Some(key), None, now);
        if let Some(call) = self.calls.get_mut(&key) {
            call.their_reinvite = Some(TheirReinvite::Pending);
        }
        let reinvite = PendingReinvite(id);
        self.emit(Event::Reinvited { reinvite, call: key, request: arrival.request });
    }

    /// 200 with the SDP answer, or with our offer where the re-INVITE had none.
    pub fn accept_reinvite(&mut self, reinvite: PendingReinvite, answer: Content, now: Instant) {
        let Some(pending) = self.take_pending(reinvite.0) else { return };
        let Some(key) = pending.call else { return };
        let mut response = pending.request.response(StatusCode::OK, None);
        copy_record_route(&pending.request, &mut response);
        if let Some(dialog) = self.calls.get(&key).and_then(|call| call.dialog.as_ref()) {
            response.headers.push("Contact", contact_value(&dialog.contact, &pending.flow));
        }
        Self::write_capabilities(&mut response.headers);
        self.write_agent(&mut response.headers, "Server");
        response.set_content(answer);
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
        self.release_reinvite(&pending);
        self.respond_status(pending.server, &pending.request, why.into(), now);
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
        repeat.advance();
        let next = repeat.next.min(*until);
        let (flow, bytes) = (*back, success.clone());
        self.arm(Due::Call(key), Some((next, Timer::SuccessRetransmit)));
        self.transmit(flow, bytes);
    }
}
