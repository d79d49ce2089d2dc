//! Reliable provisional responses and PRACK, from both sides (RFC 3262).

use std::time::Instant;

use bytes::Bytes;

use super::calls::{Call, Phase};
use super::descriptions::{NO_OFFER, write_warning};
use super::requests::Arrival;
use super::responses::copy_credentials;
use super::{Contact, Due, Endpoint, Owner, contact_value};
use crate::dialog::Dialog;
use crate::message::{RAck, rseq_number};
use crate::transaction::{Backoff, Timer};
use crate::{CallKey, Event, Method, Reason, Request, Response, StatusCode};

/// The last reliable response that we sent for an INVITE.
#[derive(Debug)]
pub(super) struct Reliable {
    rseq: u32,
    /// Until its PRACK comes.
    unacked: Option<Unacked>,
}

#[derive(Debug)]
struct Unacked {
    response: Bytes,
    repeat: Backoff,
    until: Instant,
}

impl Endpoint {
    /// A reliable provisional response of an early dialog gets its PRACK (RFC 3262 §4). False for one that came before,
    /// or out of order: it is as if it had not come.
    pub(super) fn acknowledge(&mut self, tx: u64, response: &Response, now: Instant) -> bool {
        if !is_reliable(response) {
            return true;
        }
        let number = response.headers.get("RSeq").and_then(rseq_number);
        let to = response.headers.to_header();
        let tag = to.ok().and_then(|to| to.tag().map(str::to_owned));
        let (Some(rseq), Some(tag), Ok(cseq)) = (number, tag, response.headers.cseq()) else {
            return false;
        };
        let Some(client) = self.clients.get_mut(&tx) else { return false };
        let Some(fork) = client.forks.get_mut(&tag) else { return false };
        if fork.rseq.is_some_and(|known| known.checked_add(1) != Some(rseq)) {
            return false;
        }
        fork.rseq = Some(rseq);
        if !response.body.is_empty() && fork.answer.is_none() {
            fork.answer = response.content();
        }
        let mut prack = fork.dialog.request(Method::Prack, None);
        prack.headers.push("RAck", RAck { rseq, cseq }.to_string());
        copy_credentials(&client.request, &mut prack);
        let hop = fork.dialog.next_hop(|id| self.connections.contains_key(&id));
        self.start_client(prack, hop, Owner::Prack { tx, tag }, now);
        true
    }

    /// The number of a PRACK that goes out once more.
    pub(super) fn next_early_cseq(&mut self, tx: u64, tag: &str, sent: u32) -> u32 {
        let client = self.clients.get_mut(&tx);
        match client.and_then(|client| client.forks.get_mut(tag)) {
            Some(fork) => {
                fork.dialog.local_cseq += 1;
                fork.dialog.local_cseq
            }
            None => sent + 1,
        }
    }

    /// 180, reliably where the caller requires it. Then an INVITE without an offer gets none at all: the response would
    /// have to bring ours (RFC 3262 §5), and what we offer is known when the call is taken.
    pub(super) fn send_ringing(&mut self, key: CallKey, mut response: Response, now: Instant) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let Phase::Incoming { server, request, .. } = &call.phase else { return };
        let server = *server;
        if !request.headers.require().contains(&"100rel") {
            self.respond_with(server, response, now);
            return;
        }
        let waits = call.reliable.as_ref().is_some_and(|known| known.unacked.is_some());
        if request.body.is_empty() || waits {
            return;
        }
        let rseq = match &call.reliable {
            Some(known) => known.rseq.saturating_add(1),
            // RFC 3262 §3: anything from 1 to 2³¹-1.
            None => (self.rng.next_u32() >> 1).max(1),
        };
        response.headers.push("Require", "100rel");
        response.headers.push("RSeq", rseq.to_string());
        self.respond_with(server, response, now);
        let bytes = self.servers.get(&server).and_then(|known| match &known.machine {
            super::ServerMachine::Invite(machine) => machine.response().cloned(),
            super::ServerMachine::Other(_) => None,
        });
        let (Some(response), Some(call)) = (bytes, self.calls.get_mut(&key)) else { return };
        let repeat = Backoff::new(now, self.times.t1, None);
        let until = now + self.times.patience();
        call.reliable = Some(Reliable { rseq, unacked: Some(Unacked { response, repeat, until }) });
        self.arm(Due::Reliable(key), Some((repeat.next, Timer::Provisional)));
    }

    /// The early dialog of a call that rings here.
    pub(super) fn begin_early(&mut self, key: CallKey, contact: &Contact) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let Phase::Incoming { request, flow, tag, .. } = &call.phase else { return };
        if call.dialog.is_none()
            && let Some(dialog) = Dialog::as_server(request, tag, *flow, contact.clone())
        {
            self.dialogs.insert(dialog.id.clone(), key);
            call.dialog = Some(dialog);
        }
    }

    pub(super) fn reliable_timeout(&mut self, key: CallKey, now: Instant) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let Phase::Incoming { server, .. } = &call.phase else { return };
        let server = *server;
        let Some(Reliable { unacked: Some(unacked), .. }) = &mut call.reliable else { return };
        if unacked.until <= now {
            // RFC 3262 §3: the caller does not hear us.
            self.finish_incoming(key, StatusCode::SERVER_INTERNAL_ERROR, now);
            self.emit(Event::Cancelled { call: key, reason: None });
            return;
        }
        unacked.repeat.advance(now);
        let next = unacked.repeat.next.min(unacked.until);
        let bytes = unacked.response.clone();
        self.arm(Due::Reliable(key), Some((next, Timer::Provisional)));
        if let Some(flow) = self.servers.get(&server).map(|known| known.flow) {
            self.transmit(flow, bytes);
        }
    }

    /// A PRACK of the peer. An offer in it is refused: the one of the INVITE has no answer yet (RFC 3264 §4).
    pub(super) fn handle_prack(&mut self, arrival: Arrival, key: CallKey, now: Instant) {
        let call = self.calls.get_mut(&key);
        let status = if !call.is_some_and(|call| call.take_prack(&arrival.request)) {
            StatusCode::NO_SUCH_CALL
        } else {
            self.arm(Due::Reliable(key), None);
            let offers = !arrival.request.body.is_empty();
            if offers { StatusCode::NOT_ACCEPTABLE_HERE } else { StatusCode::OK }
        };
        let mut response = arrival.request.response(status, None);
        write_warning(&mut response, NO_OFFER);
        self.respond_with(arrival.server, response, now);
    }

    /// A request of the caller while the call rings here.
    pub(super) fn handle_while_ringing(&mut self, arrival: Arrival, key: CallKey, now: Instant) {
        let status = match arrival.request.method {
            Method::Prack => return self.handle_prack(arrival, key, now),
            Method::Info => return self.handle_info(&arrival, key, now),
            Method::Bye => {
                // RFC 3261 §15.1.2.
                self.respond_status(arrival.server, &arrival.request, StatusCode::OK, now);
                self.finish_incoming(key, StatusCode::REQUEST_TERMINATED, now);
                let reason = Reason::of(&arrival.request.headers);
                self.emit(Event::Cancelled { call: key, reason });
                return;
            }
            Method::Options => {
                let mut response = arrival.request.response(StatusCode::OK, None);
                Self::write_option_capabilities(&self.config, &mut response.headers);
                if let Some(dialog) = self.calls.get(&key).and_then(|call| call.dialog.as_ref()) {
                    let contact = contact_value(&dialog.contact, &arrival.flow);
                    response.headers.push("Contact", contact);
                }
                self.respond_with(arrival.server, response, now);
                return;
            }
            Method::Update if arrival.request.body.is_empty() => {
                if let Some(dialog) = self.calls.get_mut(&key).and_then(|call| call.dialog.as_mut())
                {
                    dialog.refresh(&arrival.request.headers, Some(arrival.flow));
                }
                let response = self.update_success(&arrival, key);
                self.respond_with(arrival.server, response, now);
                return;
            }
            // The INVITE's own offer has no answer yet.
            Method::Invite | Method::Update => {
                self.refuse_exchange(&arrival, StatusCode::SERVER_INTERNAL_ERROR, now);
                return;
            }
            Method::Ack
            | Method::Cancel
            | Method::Message
            | Method::Notify
            | Method::Publish
            | Method::Refer
            | Method::Register
            | Method::Subscribe
            | Method::Other(_) => crate::Failure::TEMPORARILY_UNAVAILABLE.into(),
        };
        self.respond_status(arrival.server, &arrival.request, status, now);
    }
}

impl Call {
    /// Whether a PRACK acknowledges what waits for it; then nothing does any more.
    fn take_prack(&mut self, prack: &Request) -> bool {
        let Some(rack) = prack.headers.get("RAck").and_then(|value| RAck::parse(value).ok()) else {
            return false;
        };
        let Some(known) = &mut self.reliable else { return false };
        // The INVITE's own number: that of its dialog before any request followed.
        let ours = rack.rseq == known.rseq
            && rack.cseq.method == Method::Invite
            && self.invite_cseq == Some(rack.cseq.number);
        ours && known.unacked.take().is_some()
    }
}

fn is_reliable(response: &Response) -> bool {
    response.headers.require().contains(&"100rel")
}
