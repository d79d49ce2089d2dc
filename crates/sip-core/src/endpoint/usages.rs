//! What a failure inside a dialog takes with it: that request alone, the call or subscription that it is of, or all of
//! the dialog (RFC 5057 §5.1, §5.2).

use std::time::Instant;

use super::Endpoint;
use super::calls::Phase;
use super::responses::Finish;
use crate::dialog::{DialogId, LocalTag, RemoteTag};
use crate::{CallKey, EndReason, Method, StatusCode, SubscriptionEnd, SubscriptionKey};

/// How far a failure reaches.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Scope {
    /// This request has failed, nothing else.
    Transaction,
    /// The call (INVITE, BYE, INFO, PRACK, UPDATE) or the subscription (NOTIFY, SUBSCRIBE) that the request is of is
    /// over; what else shares its dialog stays.
    Usage,
    /// The dialog is over, and all that shares it.
    Dialog,
}

/// The table of RFC 5057 §5.1. Codes that are not known count as the first of their class.
const fn scope_of(status: StatusCode) -> Scope {
    match status.understood().code() {
        405 | 408 | 480 | 481 | 489 | 501 => Scope::Usage,
        404 | 410 | 416 | 482..=485 | 502 | 604 => Scope::Dialog,
        _ => Scope::Transaction,
    }
}

/// How far the end of a request inside a dialog reaches, by its method too.
pub(super) fn scope(method: &Method, finish: &Finish) -> Scope {
    let status = match finish {
        Finish::Response(response, _) => response.status,
        // RFC 3261 §8.1.3.1.
        Finish::TimedOut => StatusCode::REQUEST_TIMEOUT,
        Finish::Unsendable => StatusCode::SERVICE_UNAVAILABLE,
    };
    match (method, status.code()) {
        // Deviates from RFC 5057 §5.3: a text, and the question whether a call lives, end nothing, because phones that
        // cannot take a text answer anything at all; sound may still flow.
        (Method::Message | Method::Options, _) => Scope::Transaction,
        // Deviates from RFC 5057 §5.1: many say this of whom the Refer-To names, and the call has no part in that.
        (Method::Refer, 404 | 410 | 416 | 484 | 485 | 604) => Scope::Transaction,
        // Deviates from RFC 5057 §5.1: these methods are extras, and a call goes on without them.
        (Method::Info | Method::Prack | Method::Update, 405 | 501) => Scope::Transaction,
        // A refresh without an answer leaves what is left of the time (RFC 6665 §4.1.2.2).
        (Method::Subscribe, 408) => Scope::Transaction,
        // It means nothing elsewhere (RFC 5057 §5.1).
        (Method::Notify | Method::Subscribe, 489) => Scope::Usage,
        (_, 489) => Scope::Transaction,
        (_, _) => scope_of(status),
    }
}

/// How far a failure of a subscription's request reaches for the call whose dialog it shares.
pub(super) fn beyond(method: &Method, finish: &Finish) -> Scope {
    match scope(method, finish) {
        Scope::Dialog => Scope::Dialog,
        Scope::Transaction | Scope::Usage => Scope::Transaction,
    }
}

impl Endpoint {
    /// The request in flight has ended.
    pub(super) fn turn_over(&mut self, key: Option<CallKey>, scope: Scope, now: Instant) {
        let Some(key) = key else { return };
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.in_flight = None;
        self.settle(key, scope, now);
    }

    /// A failure reaches this far in the dialog of a call; where the call stays, its next request goes.
    pub(super) fn settle(&mut self, key: CallKey, scope: Scope, now: Instant) {
        if !self.calls.contains_key(&key) {
            return;
        }
        match scope {
            Scope::Transaction => self.send_next(key, now),
            Scope::Usage => self.end_lost(key, EndReason::PeerLost, true, now),
            Scope::Dialog => {
                self.end_subscriptions(|_, known| known.is_shared_with(key));
                // To the peer its call may stand for all we know (RFC 3261 §12.2.1.2).
                self.end_lost(key, EndReason::PeerLost, true, now);
            }
        }
    }

    /// Our BYE was answered. The call is over already; what goes on in its dialog may not.
    pub(super) fn bye_finished(&mut self, tx: u64, finish: &Finish) {
        if scope(&Method::Bye, finish) != Scope::Dialog {
            return;
        }
        let Some(id) = self.clients.get(&tx).and_then(|client| sent_in(&client.request)) else {
            return;
        };
        self.end_subscriptions(|_, known| known.is_in(&id));
    }

    /// A PRACK or an UPDATE of an early dialog came to nothing. Where the peer has lost the early dialog, it is over; the INVITE goes on, for other places
    /// may ring, and its final response has the last word.
    pub(super) fn early_finished(&mut self, tx: u64, tag: &str, method: &Method, finish: &Finish) {
        if finish.is_provisional() || scope(method, finish) == Scope::Transaction {
            return;
        }
        let fork = self.clients.get(&tx).and_then(|client| client.forks.get(tag));
        // A call that was taken meanwhile has the same dialog, and goes on.
        let early = |id: &DialogId| {
            let call = self.dialogs.get(id).and_then(|key| self.calls.get(key));
            call.is_some_and(|call| matches!(call.phase, Phase::Calling { .. }))
        };
        if let Some(over) = fork.map(|fork| fork.dialog.id.clone()).filter(early) {
            self.dialogs.remove(&over);
        }
    }

    fn end_subscriptions(&mut self, over: impl Fn(&SubscriptionKey, &super::Subscription) -> bool) {
        let known = self.subscriptions.iter().filter(|(key, known)| over(key, known));
        let keys: Vec<SubscriptionKey> = known.map(|(key, _)| *key).collect();
        for key in keys {
            self.end_subscription(key, SubscriptionEnd::Failed { status: None });
        }
    }
}

/// The dialog that a request of ours was sent in.
fn sent_in(request: &crate::Request) -> Option<DialogId> {
    let headers = &request.headers;
    let tag = |address: crate::NameAddr| address.tag().map(str::to_owned);
    Some(DialogId {
        call_id: headers.call_id()?.to_owned(),
        local: LocalTag(tag(headers.from_header().ok()?)?),
        remote: RemoteTag(tag(headers.to_header().ok()?).unwrap_or_default()),
    })
}
