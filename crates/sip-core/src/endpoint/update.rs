//! UPDATE in a call, both ways (RFC 3311): a target refresh, with an offer or without.

use std::time::Instant;

use super::calls::{Call, Phase, TheirReinvite, copy_record_route};
use super::glare::By;
use super::requests::Arrival;
use super::responses::Finish;
use super::{Endpoint, Pending, contact_value};
use crate::{
    CallKey, Confirmed, Content, Event, Method, PendingReinvite, RequestId, Response, StatusCode,
};

impl Endpoint {
    /// Refreshes the call, or offers the session anew where there is an offer; in its turn with the texts. The peer has
    /// to list UPDATE in its Allow. An offer fails at once while another exchange is open.
    pub fn update(&mut self, call: &Confirmed, offer: Option<Content>, now: Instant) -> RequestId {
        match offer {
            Some(offer) => self.offer_anew(call.0, By::Update, offer, now),
            None => self.enqueue(call.0, Method::Update, None, None, now),
        }
    }

    /// A request in a call has its outcome: the 2xx of an UPDATE refreshes target and session. True where it goes again.
    pub(super) fn update_finished(
        &mut self,
        key: CallKey,
        id: RequestId,
        finish: &Finish,
        now: Instant,
    ) -> bool {
        let Some(call) = self.calls.get_mut(&key) else { return false };
        let ours = call.updating.take_if(|ours| ours.request == id);
        let Some(response) = finish.success() else {
            let Some(ours) = ours else { return false };
            call.descriptions.refused();
            return self.defer_offer(key, ours, finish, now);
        };
        if ours.is_some() {
            call.descriptions.answered(&response.body);
        }
        if response.headers.cseq().is_ok_and(|cseq| cseq.method == Method::Update) {
            if let Some(dialog) = call.dialog.as_mut() {
                dialog.refresh(&response.headers, None);
            }
            self.interval_answered(key, &response.headers, now);
        }
        false
    }

    /// An UPDATE of the peer in a call that stands (RFC 3311 §5.2).
    pub(super) fn handle_update(&mut self, arrival: Arrival, key: CallKey, now: Instant) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let offers = !arrival.request.body.is_empty();
        if let Some(refusal) = call.refuse_update(offers) {
            self.refuse_exchange(&arrival, refusal, now);
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
        let Some(call) = self.calls.get_mut(&key) else { return };
        if !offers {
            let mut response = self.update_success(&arrival, key);
            self.answer_interval(key, &arrival.request, &mut response, now);
            self.respond_with(arrival.server, response, now);
            return;
        }
        call.their_reinvite = Some(TheirReinvite::Pending { before });
        self.yield_offer(key);
        let id = self.hold(&arrival, Some(key), None, now);
        let Arrival { request, flow, .. } = arrival;
        self.emit(Event::Updated { update: PendingReinvite(id), call: key, request, flow });
    }

    /// 491 or 500 for an offer that crosses another (RFC 3261 §14.2, RFC 3311 §5.2).
    pub(super) fn refuse_exchange(&mut self, arrival: &Arrival, status: StatusCode, now: Instant) {
        let mut response = arrival.request.response(status, None);
        if status == StatusCode::SERVER_INTERNAL_ERROR {
            // RFC 3311 §5.2: 0 to 10 s, by chance.
            let seconds = self.rng.next_u32() % 11;
            response.headers.push("Retry-After", seconds.to_string());
        }
        self.respond_with(arrival.server, response, now);
    }

    /// The 2xx of a target refresh.
    pub(super) fn update_success(&self, arrival: &Arrival, key: CallKey) -> Response {
        let mut response = arrival.request.response(StatusCode::OK, None);
        copy_record_route(&arrival.request, &mut response);
        if let Some(dialog) = self.calls.get(&key).and_then(|call| call.dialog.as_ref()) {
            response.headers.push("Contact", contact_value(&dialog.contact, &arrival.flow));
        }
        Self::write_capabilities(&self.config, &mut response.headers);
        response
    }

    /// The answer to an UPDATE's offer: no ACK follows it.
    pub(super) fn accept_update(
        &mut self,
        pending: Pending,
        key: CallKey,
        answer: Content,
        now: Instant,
    ) {
        self.release_reinvite(&pending);
        let Pending { server, request, flow, .. } = pending;
        let arrival = Arrival { request, flow, server };
        let mut response = self.update_success(&arrival, key);
        self.answer_interval(key, &arrival.request, &mut response, now);
        self.describe(key, &arrival.request, &mut response, answer);
        self.respond_with(server, response, now);
        self.send_next(key, now);
    }
}

impl Call {
    fn refuse_update(&self, offers: bool) -> Option<StatusCode> {
        if matches!(self.their_reinvite, Some(TheirReinvite::Pending { .. })) {
            return Some(StatusCode::SERVER_INTERNAL_ERROR);
        }
        if !offers {
            return None;
        }
        let ours = match &self.their_reinvite {
            Some(TheirReinvite::Answered { offered, .. }) => *offered,
            Some(TheirReinvite::Pending { .. }) | None => false,
        };
        if ours || self.updating.is_some() || self.reinvite.is_some() {
            return Some(StatusCode::REQUEST_PENDING);
        }
        // Our 2xx is not acknowledged yet: its exchange is kept until it is.
        let unacked =
            self.their_reinvite.is_some() || matches!(self.phase, Phase::AwaitingAck { .. });
        unacked.then_some(StatusCode::SERVER_INTERNAL_ERROR)
    }
}
