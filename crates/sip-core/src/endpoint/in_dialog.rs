//! Requests inside a call: MESSAGE and OPTIONS one at a time, BYE (RFC 3261 §12.2; RFC 3428).

use std::time::Instant;

use super::calls::Phase;
use super::requests::Arrival;
use super::responses::Finish;
use super::{Endpoint, Owner, answer_contact, bodies, contact_value, usages};
use crate::{
    CallKey, Confirmed, Content, EndReason, Event, Method, Outcome, RequestId, StatusCode,
    SubscriptionEnd, SubscriptionKey,
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
            Owner::Refer { subscription, .. } => *subscription == key,
            Owner::Bye
            | Owner::Cancel
            | Owner::EarlyUpdate { .. }
            | Owner::InDialog { .. }
            | Owner::Invite(_)
            | Owner::KeepAlive(_)
            | Owner::Pager(_)
            | Owner::Probe { .. }
            | Owner::Register(_)
            | Owner::Prack { .. }
            | Owner::Refresh { .. }
            | Owner::Reinvite { .. } => false,
        }
    }
}

impl Endpoint {
    /// Sends a text in the call. `from_display` is the display name for this one request (sip-chat: relayed authors),
    /// an empty one is none.
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

    pub(super) fn enqueue(
        &mut self,
        key: CallKey,
        method: Method,
        from_display: Option<String>,
        content: Option<Content>,
        now: Instant,
    ) -> RequestId {
        let request = self.new_request_id();
        let owner = Owner::InDialog { call: key, request, method: method.clone() };
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
            Owner::Refer { .. } => self.refer_unsent(queued.owner),
            Owner::Bye
            | Owner::Cancel
            | Owner::EarlyUpdate { .. }
            | Owner::InDialog { .. }
            | Owner::Invite(_)
            | Owner::KeepAlive(_)
            | Owner::Pager(_)
            | Owner::Probe { .. }
            | Owner::Register(_)
            | Owner::Prack { .. }
            | Owner::Refresh { .. }
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
        if self.send_refresh(key, now) {
            return;
        }
        let Some(call) = self.calls.get_mut(&key) else { return };
        let held = call.reinvite.as_ref().is_some_and(|ours| !ours.heard);
        if call.in_flight.is_some() || held || !matches!(call.phase, Phase::Confirmed) {
            return;
        }
        if self.send_offer(key, now) {
            return;
        }
        let Some(call) = self.calls.get_mut(&key) else { return };
        let Some(dialog) = call.dialog.as_mut() else { return };
        let Some(queued) = call.queue.pop_front() else { return };
        call.in_flight = Some(queued.request);
        let mut request = dialog.request(queued.method.clone(), None);
        if let Some(display) = &queued.from_display {
            let mut from = dialog.local.clone();
            from.display = (!display.is_empty()).then(|| display.into());
            request.headers.set("From", from.to_string());
        }
        let hop = dialog.next_hop(|id| self.connections.contains_key(&id));
        if Self::has_contact(&queued.method) {
            let contact = contact_value(&dialog.contact, &hop);
            request.headers.push("Contact", contact);
        }
        // Without an offer: those take another way.
        if queued.method == Method::Update {
            Self::write_capabilities(&self.config, &mut request.headers);
            call.timer.write(&mut request.headers);
        }
        for (name, value) in &queued.headers {
            request.headers.push(name, value);
        }
        if let Some(content) = queued.content {
            for (name, value) in &content.headers {
                request.headers.push(name, value);
            }
            request.headers.push("Content-Type", &content.content_type);
            request.body = content.body;
        }
        let asked = match &queued.owner {
            Owner::Refer { subscription, .. } | Owner::Subscribe { subscription, .. } => {
                Some(*subscription)
            }
            Owner::Bye
            | Owner::Cancel
            | Owner::EarlyUpdate { .. }
            | Owner::InDialog { .. }
            | Owner::Invite(_)
            | Owner::KeepAlive(_)
            | Owner::Notify { .. }
            | Owner::Pager(_)
            | Owner::Probe { .. }
            | Owner::Register(_)
            | Owner::Prack { .. }
            | Owner::Refresh { .. }
            | Owner::Reinvite { .. } => None,
        };
        let cseq = request.headers.cseq().map_or(0, |cseq| cseq.number);
        self.start_in_dialog(request, hop, queued.owner, now);
        if let Some(subscription) = asked {
            self.subscribe_sent(subscription, now);
            self.refer_sent(subscription, cseq, now);
        }
    }

    /// What is out went to where nobody is any more, or its answer would go there: it goes anew, by the way that leads there
    /// now, as another request.
    pub(super) fn resend_in_flight(&mut self, key: CallKey, now: Instant) {
        let Some(super::Call { in_flight: Some(ours), dialog: Some(dialog), .. }) =
            self.calls.get(&key)
        else {
            return;
        };
        let ours = *ours;
        // A REFER is left to its time: whoever took it would dial twice.
        let is_out = |owner: &Owner| match owner {
            Owner::InDialog { call, request, .. } => *call == key && *request == ours,
            Owner::Notify { call, .. } | Owner::Subscribe { call, .. } => *call == Some(key),
            Owner::Bye
            | Owner::Cancel
            | Owner::EarlyUpdate { .. }
            | Owner::Invite(_)
            | Owner::KeepAlive(_)
            | Owner::Pager(_)
            | Owner::Prack { .. }
            | Owner::Probe { .. }
            | Owner::Refer { .. }
            | Owner::Refresh { .. }
            | Owner::Register(_)
            | Owner::Reinvite { .. } => false,
        };
        let hop = dialog.next_hop(|id| self.connections.contains_key(&id));
        let contact = contact_value(&dialog.contact, &hop);
        let target = crate::AnyUri::Sip(dialog.remote_target.clone());
        // The last of those that challenges brought about.
        let found = self.clients.iter().rfind(|(_, client)| is_out(&client.owner));
        let Some((id, client)) = found else { return };
        let (id, owner, mut request) = (*id, client.owner.clone(), client.request.clone());
        let Ok(cseq) = request.headers.cseq() else { return };
        let number = self.next_cseq(&owner, cseq.number);
        request.headers.pop_via();
        request.headers.set("CSeq", format!("{number} {}", request.method));
        if request.headers.get("Contact").is_some() {
            request.headers.set("Contact", contact);
        }
        request.uri = target;
        self.forget_client(id);
        self.start_in_dialog(request, hop, owner.clone(), now);
        if let Owner::Subscribe { subscription, .. } = owner {
            self.subscribe_sent(subscription, now);
        }
    }

    pub(super) fn in_dialog_finished(
        &mut self,
        key: CallKey,
        id: RequestId,
        method: &Method,
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
        let scope = usages::scope(method, &finish);
        if self.update_finished(key, id, &finish, now) {
            self.turn_over(Some(key), scope, now);
            return;
        }
        self.emit(Event::Completed { request: id, call: Some(key), outcome: finish.outcome() });
        self.turn_over(Some(key), scope, now);
    }

    pub(super) fn handle_in_dialog(&mut self, mut arrival: Arrival, key: CallKey, now: Instant) {
        let server = arrival.server;
        let Some(call) = self.calls.get_mut(&key) else { return };
        if matches!(call.phase, Phase::Calling { .. }) {
            self.handle_early(arrival, key, now);
            return;
        }
        let rings = matches!(call.phase, Phase::Incoming { .. });
        let Some(dialog) = call.dialog.as_mut() else { return };
        let number = arrival.request.headers.cseq().map_or(0, |cseq| cseq.number);
        if !dialog.take_cseq(number) {
            self.respond_status(server, &arrival.request, StatusCode::SERVER_INTERNAL_ERROR, now);
            return;
        }
        if let Err(response) = bodies::settle(&mut arrival.request) {
            self.respond_with(server, *response, now);
            return;
        }
        // The peer came back by another connection: it is the only way to phones behind a NAT.
        let known = dialog.flow.connection;
        if arrival.flow.connection.is_some()
            && known.is_some_and(|id| !self.connections.contains_key(&id))
        {
            dialog.flow = arrival.flow;
        }
        dialog.hear(arrival.flow);
        if rings {
            self.handle_while_ringing(arrival, key, now);
            return;
        }
        match arrival.request.method {
            Method::Bye => self.handle_bye(arrival, key, now),
            Method::Info => self.handle_info(&arrival, key, now),
            Method::Invite => self.handle_reinvite(arrival, key, now),
            Method::Message => self.hand_over_message(arrival, Some(key), now),
            Method::Options => self.answer_options_in_dialog(&arrival, key, now),
            Method::Prack => self.handle_prack(arrival, key, now),
            Method::Refer => self.handle_refer(arrival, Some(key), now),
            Method::Subscribe => self.handle_subscribe(arrival, Some(key), now),
            Method::Update => self.handle_update(arrival, key, now),
            Method::Ack
            | Method::Cancel
            | Method::Notify
            | Method::Publish
            | Method::Register
            | Method::Other(_) => {
                self.respond_status(server, &arrival.request, StatusCode::METHOD_NOT_ALLOWED, now);
            }
        }
    }

    fn answer_options_in_dialog(&mut self, arrival: &Arrival, key: CallKey, now: Instant) {
        let mut response = arrival.request.response(StatusCode::OK, None);
        Self::write_option_capabilities(&self.config, &mut response.headers);
        if let Some(dialog) = self.calls.get(&key).and_then(|call| call.dialog.as_ref()) {
            response
                .headers
                .push("Contact", answer_contact(&dialog.contact, &arrival.flow, &arrival.request));
        }
        self.respond_with(arrival.server, response, now);
    }

    fn handle_bye(&mut self, arrival: Arrival, key: CallKey, now: Instant) {
        self.respond_status(arrival.server, &arrival.request, StatusCode::OK, now);
        self.remove_call(key, now);
        self.emit(Event::Ended { call: key, reason: EndReason::Bye(arrival.request) });
    }
}
