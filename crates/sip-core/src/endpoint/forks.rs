//! Early dialogs of an INVITE of ours: one for each place that rings (RFC 3261 §12.1.2, §13.2.2.4).

use std::time::Instant;

use super::calls::{Call, Phase};
use super::descriptions::{NO_OFFER, write_warning};
use super::early_update::EarlyUpdate;
use super::requests::Arrival;
use super::{Endpoint, contact_value};
use crate::dialog::{Dialog, DialogId};
use crate::{CallKey, Content, Failure, Flow, Method, Response, StatusCode};

/// The most early dialogs of one INVITE: a proxy that goes on forking is listened to and not remembered.
const MAX_FORKS: usize = 16;

/// An early dialog.
#[derive(Debug)]
pub(super) struct Fork {
    pub(super) dialog: Dialog,
    /// The RSeq that was acknowledged last (RFC 3262 §4).
    pub(super) rseq: Option<u32>,
    /// The answer to our offer, once a reliable response brought it.
    pub(super) answer: Option<Content>,
    /// Our offer that an UPDATE brought in the place of the INVITE's.
    pub(super) local: Option<Content>,
    pub(super) updating: Option<EarlyUpdate>,
}

impl Fork {
    /// Whether an offer of ours waits for its answer, beside the INVITE's.
    fn offers(&self) -> bool {
        self.updating.as_ref().is_some_and(EarlyUpdate::is_offer)
    }
}

impl Endpoint {
    /// A provisional response of an INVITE of ours: its early dialog, begun or refreshed. Gives the tag of the fork.
    pub(super) fn note_fork(
        &mut self,
        tx: u64,
        key: CallKey,
        response: &Response,
        flow: Flow,
    ) -> Option<String> {
        let tag = response.headers.to_header().ok()?.tag()?.to_owned();
        let Some(Call { phase: Phase::Calling { contact, .. }, .. }) = self.calls.get(&key) else {
            return Some(tag);
        };
        let contact = contact.clone();
        let Some(client) = self.clients.get_mut(&tx) else { return Some(tag) };
        if let Some(fork) = client.forks.get_mut(&tag) {
            fork.dialog.refresh(&response.headers, None);
            return Some(tag);
        }
        if client.forks.len() >= MAX_FORKS {
            return Some(tag);
        }
        let way = Flow { connection: flow.connection.or(client.flow.connection), ..client.flow };
        if let Some(dialog) = Dialog::as_client(&client.request, response, way, contact) {
            self.dialogs.insert(dialog.id.clone(), key);
            let fork = Fork { dialog, rseq: None, answer: None, local: None, updating: None };
            client.forks.insert(tag.clone(), fork);
        }
        Some(tag)
    }

    /// The dialog of a 2xx takes over what its early one had: the numbers of both sides, what the peer allows, our offer
    /// and its answer.
    pub(super) fn inherit_fork(
        &self,
        tx: u64,
        dialog: &mut Dialog,
    ) -> Option<(Option<Content>, Content)> {
        let fork = self.clients.get(&tx)?.forks.get(&dialog.id.remote.0)?;
        dialog.local_cseq = dialog.local_cseq.max(fork.dialog.local_cseq);
        dialog.remote_cseq = fork.dialog.remote_cseq;
        if dialog.allow.is_none() {
            dialog.allow = fork.dialog.allow.clone();
        }
        Some((fork.local.clone(), fork.answer.clone()?))
    }

    /// Early dialogs are over with the final response: requests of theirs find nothing any more.
    pub(super) fn end_forks(&mut self, tx: u64, key: CallKey) {
        let Some(client) = self.clients.get_mut(&tx) else { return };
        let mut waiting = Vec::new();
        for fork in client.forks.values_mut() {
            self.dialogs.remove(&fork.dialog.id);
            if let Some(request) = fork.updating.as_ref().and_then(EarlyUpdate::waiting) {
                fork.updating = None;
                waiting.push(request);
            }
        }
        for request in waiting {
            self.unsent(key, request);
        }
    }

    /// A request of a peer whose phone still rings. It can be asked after; texts and transfers wait for the answer.
    pub(super) fn handle_early(&mut self, arrival: Arrival, key: CallKey, now: Instant) {
        let Some(Call { phase: Phase::Calling { tx, .. }, .. }) = self.calls.get(&key) else {
            return;
        };
        let tx = *tx;
        let id = DialogId::of_request(&arrival.request.headers);
        let fork = id.and_then(|id| self.clients.get_mut(&tx)?.forks.get_mut(&id.remote.0));
        let Some(fork) = fork else {
            self.respond_status(arrival.server, &arrival.request, StatusCode::NO_SUCH_CALL, now);
            return;
        };
        let number = arrival.request.headers.cseq().map_or(0, |cseq| cseq.number);
        let contact = fork.dialog.contact.clone();
        let status = if !fork.dialog.take_cseq(number) {
            StatusCode::SERVER_INTERNAL_ERROR
        } else {
            match arrival.request.method {
                Method::Bye => {
                    // A callee has no business to send it (RFC 3261 §15): only this branch is over.
                    let over = fork.dialog.id.clone();
                    self.dialogs.remove(&over);
                    StatusCode::OK
                }
                Method::Invite => StatusCode::REQUEST_PENDING,
                Method::Update if arrival.request.body.is_empty() => {
                    fork.dialog.refresh(&arrival.request.headers, Some(arrival.flow));
                    StatusCode::OK
                }
                // Our offer is open; once it is answered, another is for after the call is taken.
                Method::Update if fork.answer.is_none() || fork.offers() => {
                    StatusCode::REQUEST_PENDING
                }
                Method::Update => StatusCode::NOT_ACCEPTABLE_HERE,
                Method::Info => return self.handle_info(&arrival, key, now),
                Method::Options => {
                    let (server, request) = (arrival.server, &arrival.request);
                    self.answer_options(server, request, &arrival.flow, now);
                    return;
                }
                Method::Ack
                | Method::Cancel
                | Method::Message
                | Method::Notify
                | Method::Prack
                | Method::Publish
                | Method::Refer
                | Method::Register
                | Method::Subscribe
                | Method::Other(_) => Failure::TEMPORARILY_UNAVAILABLE.into(),
            }
        };
        let mut response = arrival.request.response(status, None);
        write_warning(&mut response, NO_OFFER);
        if arrival.request.method == Method::Update && status.is_success() {
            // The 2xx of a target refresh tells where we are (RFC 3311 §5.2).
            response.headers.push("Contact", contact_value(&contact, &arrival.flow));
        }
        self.respond_with(arrival.server, response, now);
    }
}
