//! Offers of ours in a call, by re-INVITE or UPDATE: one at a time, in turn with the peer's. One that crosses the peer's
//! is answered 491 and goes again a little later, by chance (RFC 3261 §14.1, RFC 3311 §5.1).

use std::time::{Duration, Instant};

use super::calls::{Call, Phase};
use super::responses::Finish;
use super::{Contact, Due, Endpoint, Owner, contact_value};
use crate::transaction::Timer;
use crate::{CallKey, Content, Event, Method, Outcome, RequestId, Response, StatusCode};

/// A peer that answers 491 each time is not asked for ever.
const MAX_TRIES: u8 = 5;
/// In steps of so much (RFC 3261 §14.1).
const STEP: Duration = Duration::from_millis(10);

/// An offer of ours, while it waits and while it is out.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    pub(super) request: RequestId,
    pub(super) by: By,
    pub(super) content: Content,
    /// Not before then, because it or the one whose place it took was answered 491.
    after: Option<Instant>,
    /// That answer: the outcome, should it not go again.
    refusal: Option<Box<Response>>,
    tries: u8,
}

/// What carries an offer.
#[derive(Clone, Debug)]
pub(super) enum By {
    /// A re-INVITE, with this Contact.
    Reinvite(Contact),
    Update,
}

impl Offer {
    pub(super) fn new(request: RequestId, by: By, content: Content) -> Self {
        Self { request, by, content, after: None, refusal: None, tries: 0 }
    }

    /// Whether the peer's exchange may go before it; any other has failed then.
    fn stays(&self) -> bool {
        self.after.is_some()
    }
}

impl Endpoint {
    /// An offer that its user hands over. It takes the place of one that waits because it was answered 491.
    pub(super) fn offer_anew(
        &mut self,
        key: CallKey,
        by: By,
        content: Content,
        now: Instant,
    ) -> RequestId {
        let id = self.new_request_id();
        let free = |call: &&mut Call| {
            !call.is_exchanging() && call.waiting_offer.as_ref().is_none_or(Offer::stays)
        };
        let Some(call) = self.calls.get_mut(&key).filter(free) else {
            self.unsent(key, id);
            return id;
        };
        let old = call.waiting_offer.take();
        let after = old.as_ref().and_then(|old| old.after);
        call.waiting_offer = Some(Offer { after, ..Offer::new(id, by, content) });
        if let Some(old) = old {
            self.given_up(key, old);
        }
        self.send_next(key, now);
        id
    }

    /// Our offer was answered 491: it goes again later. False where this is its outcome.
    pub(super) fn defer_offer(
        &mut self,
        key: CallKey,
        offer: Offer,
        finish: &Finish,
        now: Instant,
    ) -> bool {
        let Some(refusal) = finish.glare().filter(|_| offer.tries < MAX_TRIES) else {
            return false;
        };
        let after = now + self.glare_delay(key);
        let Some(call) = self.calls.get_mut(&key) else { return false };
        if call.waiting_offer.is_some() {
            return false;
        }
        call.waiting_offer = Some(Offer {
            after: Some(after),
            refusal: Some(Box::new(refusal.clone())),
            tries: offer.tries + 1,
            ..offer
        });
        self.arm(Due::Glare(key), Some((after, Timer::Glare)));
        true
    }

    /// 2.1 to 4 s for who made the Call-ID, 0 to 2 s for the other (RFC 3261 §14.1).
    pub(super) fn glare_delay(&mut self, key: CallKey) -> Duration {
        let ours = self.calls.get(&key).is_some_and(|call| call.invite_cseq.is_none());
        let chance = self.rng.next_u32();
        STEP * if ours { 210 + chance % 191 } else { chance % 201 }
    }

    pub(super) fn glare_timeout(&mut self, key: CallKey, now: Instant) {
        self.send_next(key, now);
        self.send_early_again(key, now);
    }

    /// The peer's exchange begins: what waits without having been out fails.
    pub(super) fn yield_offer(&mut self, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        if let Some(offer) = call.waiting_offer.take_if(|offer| !offer.stays()) {
            self.unsent(key, offer.request);
        }
    }

    /// Sends the offer that waits, if it may go.
    pub(super) fn send_offer(&mut self, key: CallKey, now: Instant) -> bool {
        let Some(call) = self.calls.get_mut(&key) else { return false };
        let due = |offer: &mut Offer| offer.after.is_none_or(|after| after <= now);
        if call.is_exchanging() {
            return false;
        }
        let Some(offer) = call.waiting_offer.take_if(due) else { return false };
        if !call.descriptions.fits(&offer.content) {
            // The peer's exchange left a session of which this is no offer any more.
            self.given_up(key, offer);
            return false;
        }
        match offer.by {
            By::Reinvite(_) => self.send_reinvite(key, offer, now),
            By::Update => self.send_update(key, offer, now),
        }
        true
    }

    fn send_update(&mut self, key: CallKey, offer: Offer, now: Instant) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let Some(dialog) = call.dialog.as_mut() else { return };
        let id = offer.request;
        call.in_flight = Some(id);
        let mut request = dialog.request(Method::Update, None);
        let hop = dialog.next_hop(|id| self.connections.contains_key(&id));
        request.headers.push("Contact", contact_value(&dialog.contact, &hop));
        Self::write_capabilities(&self.config, &mut request.headers);
        call.timer.write(&mut request.headers);
        let content = call.descriptions.offer(offer.content.clone());
        request.headers.push("Content-Type", &content.content_type);
        request.body = content.body;
        call.updating = Some(offer);
        let owner = Owner::InDialog { call: key, request: id, method: Method::Update };
        self.start_in_dialog(request, hop, owner, now);
    }

    /// An offer does not go again.
    fn given_up(&mut self, key: CallKey, offer: Offer) {
        let outcome = match offer.refusal {
            Some(refusal) => Outcome::Answered(*refusal),
            None => Outcome::Unsendable,
        };
        self.emit(Event::Completed { request: offer.request, call: Some(key), outcome });
    }
}

impl Finish {
    /// A 491.
    pub(super) fn glare(&self) -> Option<&Response> {
        match self {
            Self::Response(response, _) => {
                Some(response).filter(|it| it.status == StatusCode::REQUEST_PENDING)
            }
            Self::TimedOut | Self::Unsendable => None,
        }
    }
}

impl Call {
    /// Whether an exchange of session descriptions is open, or none can be yet.
    fn is_exchanging(&self) -> bool {
        let open =
            self.updating.is_some() || self.reinvite.is_some() || self.their_reinvite.is_some();
        open || !matches!(self.phase, Phase::Confirmed)
    }

    /// Whether no exchange is open, and no offer of ours waits.
    pub(super) fn may_offer(&self) -> bool {
        !self.is_exchanging() && self.waiting_offer.is_none()
    }
}
