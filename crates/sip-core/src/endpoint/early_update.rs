//! UPDATE before the call is taken (RFC 3311 §5.1), from the one who calls: in one early dialog of an INVITE.

use std::time::Instant;

use super::calls::{Call, Phase};
use super::forks::Fork;
use super::glare::{By, Offer};
use super::responses::Finish;
use super::{Due, Endpoint, Owner, contact_value};
use crate::transaction::Timer;
use crate::{CallKey, Content, Early, Event, Method, RequestId, Response};

/// A peer that answers 491 each time is not asked for ever.
const MAX_TRIES: u8 = 5;

/// An UPDATE of ours in an early dialog.
#[derive(Debug)]
pub(super) struct EarlyUpdate {
    request: RequestId,
    offer: Option<Content>,
    /// It was answered 491 and goes again then; `None` while it is out.
    after: Option<Instant>,
    tries: u8,
}

impl EarlyUpdate {
    /// Whether an offer of it is with the peer.
    pub(super) fn is_offer(&self) -> bool {
        self.offer.is_some() && self.after.is_none()
    }

    /// One that waits, and will not go any more when the call is taken or over.
    pub(super) fn waiting(&self) -> Option<RequestId> {
        self.after.map(|_| self.request)
    }
}

impl Endpoint {
    /// Refreshes an early dialog, or offers its session anew where there is an offer; `fork` is that of
    /// [`Event::Progress`]. It fails at once where that place does not list UPDATE in its Allow, where one is out
    /// already, and with an offer before a reliable response has answered the one of the INVITE. [`Event::Completed`]
    /// tells the outcome.
    pub fn update_early(
        &mut self,
        call: &Early,
        fork: &str,
        offer: Option<Content>,
        now: Instant,
    ) -> RequestId {
        let (key, request) = (call.0, self.new_request_id());
        let takes = |known: &&mut Fork| {
            let allow = known.dialog.allow.as_ref();
            allow.is_some_and(|allow| allow.contains(&Method::Update))
                && known.updating.is_none()
                && (offer.is_none() || known.answer.is_some())
        };
        let wanted = self.is_dialling(key);
        match self.fork_mut(key, fork).filter(takes).filter(|_| wanted) {
            Some(known) => {
                known.updating = Some(EarlyUpdate { request, offer, after: None, tries: 0 });
                self.send_early_update(key, fork, now);
            }
            None => self.unsent(key, request),
        }
        request
    }

    fn fork_mut(&mut self, key: CallKey, tag: &str) -> Option<&mut Fork> {
        let Some(Call { phase: Phase::Calling { tx, .. }, .. }) = self.calls.get(&key) else {
            return None;
        };
        self.clients.get_mut(tx)?.forks.get_mut(tag)
    }

    fn send_early_update(&mut self, key: CallKey, tag: &str, now: Instant) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let Phase::Calling { tx, .. } = call.phase else { return };
        let fork = self.clients.get_mut(&tx).and_then(|client| client.forks.get_mut(tag));
        let Some(Fork { dialog, updating: Some(update), .. }) = fork else { return };
        update.after = None;
        let mut request = dialog.request(Method::Update, None);
        let hop = dialog.next_hop(|id| self.connections.contains_key(&id));
        request.headers.push("Contact", contact_value(&dialog.contact, &hop));
        Self::write_capabilities(&self.config, &mut request.headers);
        if let Some(offer) = &mut update.offer {
            *offer = call.descriptions.number(offer.clone());
            request.headers.push("Content-Type", &offer.content_type);
            request.body = offer.body.clone();
        }
        let owner =
            Owner::EarlyUpdate { call: key, tx, tag: tag.to_owned(), request: update.request };
        self.start_in_dialog(request, hop, owner, now);
    }

    /// Those that were answered 491 go again when their time has come.
    pub(super) fn send_early_again(&mut self, key: CallKey, now: Instant) {
        let Some(Call { phase: Phase::Calling { tx, .. }, .. }) = self.calls.get(&key) else {
            return;
        };
        let Some(client) = self.clients.get(tx) else { return };
        let waiting = client.forks.iter().filter_map(|(tag, fork)| {
            let after = fork.updating.as_ref().and_then(|update| update.after)?;
            Some((after, tag.clone()))
        });
        let (due, later): (Vec<_>, Vec<_>) = waiting.partition(|(after, _)| *after <= now);
        for (_, tag) in due {
            self.send_early_update(key, &tag, now);
        }
        let next = later.into_iter().map(|(after, _)| after).min();
        self.arm(Due::Glare(key), next.map(|after| (after, Timer::Glare)));
    }

    pub(super) fn early_update_finished(
        &mut self,
        key: CallKey,
        tx: u64,
        tag: &str,
        id: RequestId,
        finish: Finish,
        now: Instant,
    ) {
        if finish.is_provisional() {
            return;
        }
        let delay = self.glare_delay(key);
        let rings = self.is_dialling(key);
        let fork = self.clients.get_mut(&tx).and_then(|client| client.forks.get_mut(tag));
        let mut offer = None;
        if let Some(fork) = fork {
            let again = fork.updating.as_mut().filter(|update| update.tries < MAX_TRIES && rings);
            if let (Some(_), Some(update)) = (finish.glare(), again) {
                update.after = Some(now + delay);
                update.tries += 1;
                self.send_early_again(key, now);
                return;
            }
            offer = fork.updating.take().and_then(|update| update.offer);
            if let Some(response) = finish.success() {
                fork.dialog.refresh(&response.headers, None);
                if let (Some(offer), Some(answer), true) = (&offer, response.content(), rings) {
                    fork.local = Some(offer.clone());
                    fork.answer = Some(answer);
                }
            }
        }
        self.early_finished(tx, tag, &Method::Update, &finish);
        if let Some(call) = self.calls.get_mut(&key) {
            call.updating.take_if(|ours| ours.request == id);
        }
        if let Some(response) = finish.success() {
            self.update_taken(key, tag, offer, response);
        }
        self.emit(Event::Completed { request: id, call: Some(key), outcome: finish.outcome() });
        self.send_next(key, now);
    }

    /// The call is taken while an offer of its early dialog is out: no other goes before that has its answer.
    pub(super) fn keep_early_offer(&mut self, tx: u64, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let tag = call.dialog.as_ref().map(|dialog| dialog.id.remote.0.as_str());
        let forks = self.clients.get(&tx).map(|client| &client.forks);
        let fork = tag.and_then(|tag| forks?.get(tag));
        if let Some(update) = fork.and_then(|fork| fork.updating.as_ref())
            && let (Some(offer), None) = (&update.offer, update.after)
        {
            call.updating = Some(Offer::new(update.request, By::Update, offer.clone()));
        }
    }

    /// The call was taken before the answer to an UPDATE of before came.
    fn update_taken(
        &mut self,
        key: CallKey,
        tag: &str,
        offer: Option<Content>,
        response: &Response,
    ) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let Some(dialog) = call.dialog.as_mut().filter(|dialog| dialog.id.remote.0 == tag) else {
            return;
        };
        dialog.refresh(&response.headers, None);
        if let Some(offer) = offer {
            call.descriptions.resume(offer);
            call.descriptions.answered(&response.body);
        }
    }
}
