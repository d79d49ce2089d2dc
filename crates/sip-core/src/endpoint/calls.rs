//! Calls: their phases, hanging up, their timers (RFC 3261 §13, §15).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::descriptions::Descriptions;
use super::glare::Offer;
use super::in_dialog::Queued;
use super::refer::Transfer;
use super::reinvite::OurReinvite;
use super::reliable::Reliable;
use super::resume::Probed;
use super::session_timer::SessionTimer;
use super::{Contact, Due, Endpoint, Owner};
use crate::dialog::Dialog;
use crate::transaction::{Backoff, Timer};
use crate::{
    AwaitingAck, CallKey, Confirmed, EndReason, Event, Failure, Flow, Method, NameAddr, Reason,
    Request, RequestId, Response, StatusCode, Uri,
};

/// An INVITE nobody answers is refused after this time.
pub(super) const UNANSWERED: Duration = Duration::from_secs(180);
/// 180 is repeated so that proxies keep the call (RFC 3261 §13.3.1.1).
pub(super) const RING_AGAIN: Duration = Duration::from_secs(60);

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a call is in one phase and few calls exist")]
pub(super) enum Phase {
    /// Our INVITE is out.
    Calling {
        tx: u64,
        contact: Contact,
        cancel: bool,
        cancel_sent: bool,
        /// It is cancelled because its own time ran out.
        expired: bool,
        /// It led to an emergency service, which is not called.
        emergency: bool,
        /// What its CANCEL says.
        why: Option<Reason>,
    },
    /// Their INVITE rings.
    Incoming {
        server: u64,
        request: Request,
        flow: Flow,
        tag: String,
        ringing: Option<Response>,
        ring_at: Instant,
        until: Instant,
    },
    /// Our 2xx is out.
    AwaitingAck {
        success: Bytes,
        back: Flow,
        repeat: Backoff,
        until: Instant,
        hang_up: Option<Option<String>>,
    },
    /// Both know.
    Confirmed,
}

/// One call. The dialog is there from the first 2xx or our own tag on.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) phase: Phase,
    pub(super) dialog: Option<Dialog>,
    pub(super) queue: VecDeque<Queued>,
    pub(super) in_flight: Option<RequestId>,
    /// Our re-INVITE that is out.
    pub(super) reinvite: Option<OurReinvite>,
    /// Our offer that goes once the request in flight has its answer.
    pub(super) waiting_offer: Option<Offer>,
    /// Their re-INVITE that is not answered or not acknowledged.
    pub(super) their_reinvite: Option<TheirReinvite>,
    pub(super) transfer: Transfer,
    /// Our offer that is out by UPDATE.
    pub(super) updating: Option<Offer>,
    /// Our last reliable provisional response.
    pub(super) reliable: Option<Reliable>,
    /// The CSeq of their INVITE.
    pub(super) invite_cseq: Option<u32>,
    pub(super) descriptions: Descriptions,
    pub(super) timer: SessionTimer,
    /// The server transactions of their requests other than INVITE that were answered, oldest first; some may be over.
    pub(super) answered: VecDeque<u64>,
}

/// A re-INVITE of the peer.
#[derive(Debug)]
pub(super) enum TheirReinvite {
    /// Waits for our user; the target of before is in force again where he refuses (RFC 6141 §4).
    Pending { before: Uri },
    /// Our 2xx waits for its ACK; `offered` where it carried our offer.
    Answered {
        cseq: u32,
        offered: bool,
        success: Bytes,
        back: Flow,
        repeat: Backoff,
        until: Instant,
    },
}

impl Call {
    pub(super) fn new(phase: Phase, dialog: Option<Dialog>) -> Self {
        Self {
            phase,
            dialog,
            queue: VecDeque::new(),
            in_flight: None,
            reinvite: None,
            waiting_offer: None,
            their_reinvite: None,
            transfer: Transfer::default(),
            updating: None,
            reliable: None,
            invite_cseq: None,
            descriptions: Descriptions::default(),
            timer: SessionTimer::default(),
            answered: VecDeque::new(),
        }
    }
}

impl Endpoint {
    pub(super) fn confirm(&mut self, key: CallKey, dialog: Option<Dialog>) {
        self.arm(Due::Call(key), None);
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.phase = Phase::Confirmed;
        if let Some(dialog) = dialog {
            self.dialogs.insert(dialog.id.clone(), key);
            call.dialog = Some(dialog);
        }
    }

    pub(super) fn remove_call(&mut self, key: CallKey, now: Instant) {
        self.arm(Due::Call(key), None);
        self.arm(Due::Reliable(key), None);
        self.arm(Due::Session(key), None);
        self.arm(Due::Glare(key), None);
        self.end_probe(Probed::Call(key));
        let Some(mut call) = self.calls.remove(&key) else { return };
        if let Phase::Calling { tx, .. } = &call.phase {
            self.end_forks(*tx, key);
        }
        if let Some(dialog) = &call.dialog {
            self.dialogs.remove(&dialog.id);
            self.note_ended(dialog.id.clone());
        }
        self.terminate_pending(key, now);
        if let Some(ours) = &call.reinvite {
            self.limit_client(ours.tx, now + self.times.patience());
        }
        // A refresh is the Endpoint's own.
        let open = call.reinvite.map(|ours| ours.offer.request);
        let open = open.filter(|request| !call.timer.is_refresh(*request));
        for request in open.into_iter().chain(call.waiting_offer.map(|ours| ours.request)) {
            self.unsent(key, request);
        }
        self.end_shared_subscriptions(key, call.dialog, &mut call.queue, now);
        // Texts that had no chance have not been sent.
        for queued in call.queue {
            self.drop_queued(key, queued);
        }
    }

    /// Hangs up. The key is used up; [`Event::Ended`] follows at once.
    pub fn bye(&mut self, call: Confirmed, reason: Option<&str>, now: Instant) {
        let key = call.0;
        if !matches!(self.calls.get(&key), Some(Call { phase: Phase::Confirmed, .. })) {
            return;
        }
        self.hung_up(key, reason, now);
    }

    /// Hangs up a call whose ACK has not come: BYE goes out behind it (RFC 3261 §15).
    pub fn hang_up_unacked(&mut self, call: AwaitingAck, reason: Option<&str>, now: Instant) {
        match self.calls.get_mut(&call.0) {
            Some(Call { phase: Phase::AwaitingAck { hang_up, .. }, .. }) => {
                *hang_up = Some(reason.map(str::to_owned));
            }
            Some(Call { phase: Phase::Confirmed, .. }) => self.bye(Confirmed(call.0), reason, now),
            _ => {}
        }
    }

    /// BYE goes, at once or when the ACK that it had to wait for will not come any more (RFC 3261 §15).
    fn hung_up(&mut self, key: CallKey, reason: Option<&str>, now: Instant) {
        self.send_bye(key, reason.map(|text| Reason::sip(StatusCode::OK, text)), now);
        self.remove_call(key, now);
        self.emit(Event::Ended { call: key, reason: EndReason::HungUp });
    }

    fn send_bye(&mut self, key: CallKey, reason: Option<Reason>, now: Instant) {
        let Some(dialog) = self.calls.get_mut(&key).and_then(|call| call.dialog.as_mut()) else {
            return;
        };
        let mut bye = dialog.request(Method::Bye, None);
        let hop = dialog.next_hop(|id| self.connections.contains_key(&id));
        if let Some(reason) = reason {
            bye.headers.push("Reason", reason.to_string());
        }
        self.start_in_dialog(bye, hop, Owner::Bye, now);
    }

    /// The call is over although nobody said BYE to us.
    pub(super) fn end_lost(
        &mut self,
        key: CallKey,
        reason: EndReason,
        send_bye: bool,
        now: Instant,
    ) {
        if send_bye {
            self.send_bye(key, reason.to_tell(), now);
        }
        self.remove_call(key, now);
        self.emit(Event::Ended { call: key, reason });
    }

    pub(super) fn call_timeout(&mut self, key: CallKey, now: Instant) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        match &mut call.phase {
            Phase::Calling { .. } => self.invite_expired(key, now),
            Phase::Incoming { request, ringing, ring_at, until, .. } => {
                if *until <= now {
                    // Either the caller said how long it is worth (RFC 3261 §13.3.1), or nobody was here.
                    let status = match request.headers.expires() {
                        Some(expires) if expires < UNANSWERED => StatusCode::REQUEST_TERMINATED,
                        Some(_) | None => Failure::TEMPORARILY_UNAVAILABLE.into(),
                    };
                    self.finish_incoming(key, status, now);
                    self.emit(Event::Cancelled { call: key, reason: None });
                    return;
                }
                *ring_at = now + RING_AGAIN;
                let next = (*ring_at).min(*until);
                let again = ringing.clone();
                self.arm(Due::Call(key), Some((next, Timer::Ringing)));
                if let Some(response) = again {
                    self.send_ringing(key, response, now);
                }
            }
            Phase::AwaitingAck { success, back, repeat, until, hang_up } => {
                if *until <= now {
                    match hang_up.take() {
                        Some(reason) => self.hung_up(key, reason.as_deref(), now),
                        None => self.end_lost(key, EndReason::NoAck, true, now),
                    }
                    return;
                }
                repeat.advance(now);
                let next = repeat.next.min(*until);
                let (flow, bytes) = (*back, success.clone());
                self.arm(Due::Call(key), Some((next, Timer::SuccessRetransmit)));
                self.transmit(flow, bytes);
            }
            Phase::Confirmed => self.reinvite_timeout(key, now),
        }
    }

    /// The peer's Contact.
    pub fn remote_target(&self, call: CallKey) -> Option<&Uri> {
        self.dialog(call).map(|dialog| &dialog.remote_target)
    }

    /// How the peer is reached.
    pub fn flow(&self, call: CallKey) -> Option<Flow> {
        self.dialog(call).map(|dialog| dialog.flow)
    }

    /// Our Contact in the dialog.
    pub fn local_contact(&self, call: CallKey) -> Option<&Contact> {
        self.dialog(call).map(|dialog| &dialog.contact)
    }

    /// What the peer's Allow says, where it had one.
    pub fn remote_allow(&self, call: CallKey) -> Option<&[Method]> {
        self.dialog(call)?.allow.as_deref()
    }

    /// Our address in the dialog.
    pub fn local_party(&self, call: CallKey) -> Option<&NameAddr> {
        self.dialog(call).map(|dialog| &dialog.local)
    }

    /// The peer's address in the dialog.
    pub fn remote_party(&self, call: CallKey) -> Option<&NameAddr> {
        self.dialog(call).map(|dialog| &dialog.remote)
    }

    fn dialog(&self, call: CallKey) -> Option<&Dialog> {
        self.calls.get(&call)?.dialog.as_ref()
    }

    pub(super) fn next_cseq(&mut self, owner: &Owner, sent: u32) -> u32 {
        let key = match owner {
            Owner::InDialog { call, .. }
            | Owner::Refer { call, .. }
            | Owner::Refresh { call, .. }
            | Owner::Probe { call, .. }
            | Owner::Reinvite { call, .. } => *call,
            Owner::Bye
            | Owner::Cancel
            | Owner::Invite(_)
            | Owner::KeepAlive(_)
            | Owner::Pager(_) => return sent + 1,
            Owner::Register(account) => return self.next_register_cseq(*account, sent),
            Owner::EarlyUpdate { tx, tag, .. } | Owner::Prack { tx, tag } => {
                return self.next_early_cseq(*tx, tag, sent);
            }
            Owner::Notify { call: Some(call), .. } | Owner::Subscribe { call: Some(call), .. } => {
                *call
            }
            Owner::Notify { subscription, .. } | Owner::Subscribe { subscription, .. } => {
                return self.next_subscription_cseq(*subscription, sent);
            }
        };
        match self.calls.get_mut(&key).and_then(|call| call.dialog.as_mut()) {
            Some(dialog) => {
                dialog.local_cseq += 1;
                dialog.local_cseq
            }
            None => sent + 1,
        }
    }

    /// A challenged request went out again as another transaction.
    pub(super) fn client_replaced(&mut self, owner: &Owner, old: u64, new: u64, now: Instant) {
        match owner {
            Owner::Refer { subscription, .. } => {
                let cseq = self.clients.get(&new).and_then(|new| new.request.headers.cseq().ok());
                self.refer_sent(*subscription, cseq.map_or(0, |cseq| cseq.number), now);
            }
            Owner::Invite(key) => {
                // Places that rang do not ring for the new one.
                self.end_forks(old, *key);
                if let Some(Call { phase: Phase::Calling { tx, .. }, .. }) = self.calls.get_mut(key)
                {
                    *tx = new;
                }
            }
            Owner::Reinvite { call, .. } => {
                if let Some(Call { reinvite: Some(ours), .. }) = self.calls.get_mut(call)
                    && ours.tx == old
                {
                    ours.tx = new;
                }
            }
            Owner::Subscribe { subscription, .. } => {
                self.subscribe_replaced(*subscription, new);
                self.subscribe_sent(*subscription, now);
            }
            Owner::Bye
            | Owner::Cancel
            | Owner::EarlyUpdate { .. }
            | Owner::InDialog { .. }
            | Owner::KeepAlive(_)
            | Owner::Notify { .. }
            | Owner::Pager(_)
            | Owner::Probe { .. }
            | Owner::Register(_)
            | Owner::Prack { .. }
            | Owner::Refresh { .. } => {}
        }
    }
}

pub(super) fn copy_record_route(request: &Request, response: &mut Response) {
    for value in request.headers.get_all("Record-Route") {
        response.headers.push("Record-Route", value);
    }
}
