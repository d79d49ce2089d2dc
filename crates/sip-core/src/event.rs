//! What an [`crate::Endpoint`] tells its user.

use std::time::Duration;

use crate::{
    CallKey, Confirmed, Flow, Identity, Incoming, KeyPress, NameAddr, PendingMessage, PendingRefer,
    PendingReinvite, PendingSubscribe, Reason, ReferTo, Request, RequestId, Response, StatusCode,
    SubscriptionKey,
};

/// One event. Keys inside are handed over once; everything else may be read by several listeners.
#[derive(Debug)]
pub enum Event {
    /// The ACK of our 2xx arrived: the dialog is confirmed. Its body is the answer where our 2xx carried the offer.
    Acked {
        /// The key of the confirmed dialog.
        call: Confirmed,
        /// The ACK.
        ack: Request,
    },
    /// Our address towards the peer of a confirmed call is another one than before: offer the session anew with
    /// `reinvite`, at once, with sound at the new address; the Contact follows by itself. Where nobody does so the call is
    /// only asked whether it stands.
    AddressChanged {
        /// Which call.
        call: CallKey,
        /// The way from now on; its local address is the new one.
        flow: Flow,
    },
    /// A 2xx to our INVITE; already acknowledged (RFC 3261 §13.2.2.4). Its body is the SDP answer.
    Answered {
        /// The key of the confirmed dialog.
        call: Confirmed,
        /// The 2xx; without a body of its own it has that of the reliable provisional response that answered (RFC 3262
        /// §5).
        response: Response,
        /// The flow it came by.
        flow: Flow,
    },
    /// An INVITE of a peer ended before it was answered: CANCEL, Expires, or 3 minutes without an answer of ours.
    /// The final response was sent by the Endpoint.
    Cancelled {
        /// Which call.
        call: CallKey,
        /// Why, where the peer said so: [`Reason::is_completed_elsewhere`] tells a call that was not missed.
        reason: Option<Reason>,
    },
    /// A request of ours other than the first INVITE has its outcome: MESSAGE, OPTIONS, re-INVITE.
    Completed {
        /// As returned when it was handed over.
        request: RequestId,
        /// The call it belonged to, where it was sent inside one.
        call: Option<CallKey>,
        /// What became of it.
        outcome: Outcome,
    },
    /// The peer pressed a key and said so by INFO, already answered. Keys that come as media are told by the media.
    Digits {
        /// Which call; it may still ring.
        call: CallKey,
        /// Which key.
        press: KeyPress,
    },
    /// A confirmed or answered call is over.
    Ended {
        /// Which call.
        call: CallKey,
        /// Why.
        reason: EndReason,
    },
    /// An INVITE outside a dialog. 100 has been sent; answer with ring, accept or reject.
    Invited {
        /// The key to answer with.
        call: Incoming,
        /// The INVITE; its body, where there is one, is the SDP offer.
        request: Request,
        /// The flow it came by.
        flow: Flow,
        /// Who sent it, as far as anything proves it.
        identity: Identity,
        /// The call that it means to replace (RFC 3891). Refuse it with 403 unless who calls may do that; `allow_replace`
        /// says that he may, and `accept` then ends the other call.
        replaces: Option<CallKey>,
    },
    /// A server was looked for, as [`crate::Endpoint::locate`] asked.
    Located {
        /// As returned there.
        request: RequestId,
        /// The first way to it; `None` where there is none.
        flow: Option<Flow>,
    },
    /// A MESSAGE in or out of a dialog. Answer it at once.
    Message {
        /// The key to answer with.
        message: PendingMessage,
        /// The call in whose dialog it came; `None` outside of a dialog.
        call: Option<CallKey>,
        /// The MESSAGE.
        request: Request,
        /// The flow it came by.
        flow: Flow,
        /// Who sent it, as far as anything proves it.
        identity: Identity,
    },
    /// As subscriber: a NOTIFY, already answered 200.
    Notified {
        /// Which subscription.
        subscription: SubscriptionKey,
        /// The NOTIFY.
        request: Request,
    },
    /// As notifier: a document was refused or could not be sent, and the subscription goes on: its subscriber does not
    /// know what it told.
    NotifyFailed {
        /// Which subscription.
        subscription: SubscriptionKey,
    },
    /// Progress of our INVITE: a 1xx other than 100. Its body, where there is one, is early media's SDP answer.
    Progress {
        /// Which call.
        call: CallKey,
        /// Which of the places that ring, each an early dialog (RFC 3261 §12.1): the tag of its To. `None` where it has
        /// no tag.
        fork: Option<String>,
        /// The provisional response.
        response: Response,
        /// The flow it came by.
        flow: Flow,
    },
    /// The Endpoint refreshed the session (RFC 4028), and the peer's answer is another than the one in force.
    Reanswered {
        /// Which call.
        call: CallKey,
        /// The 2xx; its body is the answer.
        response: Response,
    },
    /// Whom we called named somebody else instead, who is called now (RFC 3261 §8.1.3.4). Nothing proves that he may.
    Redirected {
        /// Which call.
        call: CallKey,
        /// Whom; the name is untrusted text.
        to: Box<NameAddr>,
    },
    /// What became of a REFER of ours.
    ReferProgress {
        /// As returned when it was handed over.
        request: RequestId,
        /// The call in whose dialog it went; it may be over.
        call: CallKey,
        /// How the call that was asked for fares; `None` where nothing was told, and nothing will be.
        status: Option<StatusCode>,
        /// The phrase beside it; untrusted text.
        phrase: String,
        /// Nothing more follows.
        is_last: bool,
    },
    /// Somebody wants us to call somebody (RFC 3515). Answer at once with `accept_refer` or `reject_refer`; ask the user
    /// before anything is done about it.
    Referred {
        /// The key to answer with.
        refer: PendingRefer,
        /// The call in whose dialog it came; `None` outside of a dialog.
        call: Option<CallKey>,
        /// Whom to call.
        refer_to: Box<ReferTo>,
        /// Who is said to want that: nothing proves it (RFC 3892). It goes into the INVITE as it is.
        referred_by: Option<Box<NameAddr>>,
        /// The REFER.
        request: Request,
        /// The flow it came by.
        flow: Flow,
        /// Who sent it, as far as anything proves it.
        identity: Identity,
    },
    /// An account stands otherwise than before.
    Registration {
        /// Which.
        account: crate::AccountId,
        /// How.
        state: crate::Registration,
    },
    /// Our INVITE came to nothing.
    Rejected {
        /// Which call.
        call: CallKey,
        /// Why.
        failure: CallFailure,
    },
    /// A re-INVITE in a confirmed dialog: answer it with `accept_reinvite` or `reject_reinvite`. The remote target is
    /// already updated (RFC 3261 §12.2.2), and goes back where it is refused.
    Reinvited {
        /// The key to answer with.
        reinvite: PendingReinvite,
        /// Which call.
        call: CallKey,
        /// The re-INVITE; without a body the 2xx carries our offer.
        request: Request,
        /// The flow it came by: the peer's address from now on.
        flow: Flow,
    },
    /// The ACK of a re-INVITE whose 2xx carried our offer: its body is the answer.
    ReinviteAcked {
        /// Which call.
        call: CallKey,
        /// The ACK.
        ack: Request,
    },
    /// An UPDATE with an offer (RFC 3311): answer it as a re-INVITE, with `accept_reinvite` or `reject_reinvite`, at
    /// once. The remote target is already updated. One without an offer is answered by the Endpoint.
    Updated {
        /// The key to answer with.
        update: PendingReinvite,
        /// Which call.
        call: CallKey,
        /// The UPDATE; its body is the offer.
        request: Request,
        /// The flow it came by: the peer's address from now on.
        flow: Flow,
    },
    /// As notifier: a SUBSCRIBE (first, refresh, or Expires 0). Answer with `accept_subscribe` or `reject_subscribe`.
    SubscribeReceived {
        /// The key to answer with.
        subscribe: PendingSubscribe,
        /// The subscription that it refreshes or ends; `None` for a new one.
        subscription: Option<SubscriptionKey>,
        /// The call in whose dialog it came, where it shares one.
        call: Option<CallKey>,
        /// Asked duration; 3600 s where the SUBSCRIBE says nothing; zero ends it.
        expires: Duration,
        /// The SUBSCRIBE.
        request: Request,
        /// The flow it came by.
        flow: Flow,
        /// Who sent it, as far as anything proves it.
        identity: Identity,
    },
    /// A subscription is over, as notifier (expired, a NOTIFY failed, ended by us) or as subscriber.
    SubscriptionEnded {
        /// Which subscription.
        subscription: SubscriptionKey,
        /// Why.
        end: SubscriptionEnd,
    },
}

/// What became of a request of ours.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// A final response of any class (401 and 407 only where no credentials fit).
    Answered(Response),
    /// No final response within 64·T1 (Timer B or F).
    TimedOut,
    /// The transport refused it, or the call ended first.
    Unsendable,
}

impl Outcome {
    /// The status, or what has to be taken for one: 408 where no answer came, 503 where the transport failed
    /// (RFC 3261 §8.1.3.1).
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Answered(response) => response.status,
            Self::TimedOut => StatusCode::REQUEST_TIMEOUT,
            Self::Unsendable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// Why a dial-out failed.
#[derive(Clone, Debug)]
pub enum CallFailure {
    /// We cancelled it.
    Cancelled,
    /// A final response of 300 to 699.
    Declined(Response),
    /// It was redirected to an emergency service, which is never called, and to nobody else who took it.
    Emergency,
    /// No final response in time, or in that of our own Expires.
    TimedOut,
    /// The transport refused it or the host was not found.
    Unreachable,
}

impl CallFailure {
    /// The status, or what has to be taken for one: 408 and 503 as in [`Outcome::status`], 487 for a call of ours that
    /// we took back, 603 for one that we do not make.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Cancelled => StatusCode::REQUEST_TERMINATED,
            Self::Declined(response) => response.status,
            Self::Emergency => StatusCode::DECLINE,
            Self::TimedOut => StatusCode::REQUEST_TIMEOUT,
            Self::Unreachable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// Why an established call ended.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "one for each call, at its end")]
pub enum EndReason {
    /// The peer sent BYE.
    Bye(Request),
    /// We hung up.
    HungUp,
    /// No ACK came for our 2xx within 64·T1; BYE was sent.
    NoAck,
    /// A request of ours showed that the peer has lost the dialog.
    PeerLost,
    /// After a stop of this machine, or with another address of it, the peer could not be reached in time; BYE was sent.
    Unreachable,
    /// Another call took its place (RFC 3891); BYE was sent.
    Replaced {
        /// That call.
        by: CallKey,
    },
    /// Nobody refreshed the session in its time (RFC 4028 §10); BYE was sent.
    SessionExpired,
}

impl EndReason {
    /// What the peer's BYE says of its reason (RFC 3326).
    pub fn told(&self) -> Option<Reason> {
        match self {
            Self::Bye(bye) => Reason::of(&bye.headers),
            Self::HungUp
            | Self::NoAck
            | Self::PeerLost
            | Self::Unreachable
            | Self::Replaced { .. }
            | Self::SessionExpired => None,
        }
    }

    /// What a BYE of ours says of its reason.
    pub(crate) fn to_tell(&self) -> Option<Reason> {
        match self {
            Self::NoAck => Some(Reason::sip(StatusCode::REQUEST_TIMEOUT, "No ACK came")),
            Self::PeerLost | Self::Unreachable => {
                Some(Reason::sip(StatusCode::REQUEST_TIMEOUT, "No answer came"))
            }
            Self::SessionExpired => {
                Some(Reason::sip(StatusCode::REQUEST_TIMEOUT, "The session was not refreshed"))
            }
            Self::Bye(_) | Self::HungUp | Self::Replaced { .. } => None,
        }
    }
}

/// Why a subscription ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SubscriptionEnd {
    /// Its time ran out.
    Expired,
    /// A NOTIFY or a SUBSCRIBE was answered so that nothing can follow, or not at all.
    Failed {
        /// The status, where there was an answer.
        status: Option<u16>,
    },
    /// The notifier ended it.
    Terminated {
        /// The `reason` parameter of Subscription-State.
        reason: Option<String>,
        /// The `retry-after` parameter.
        retry_after: Option<Duration>,
    },
    /// We ended it, or the call whose dialog it shared is over.
    Unsubscribed,
}

/// Whether to subscribe anew where a subscription ended; that is another subscription, with a Call-ID of its own
/// (RFC 6665 §4.1.2.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Again {
    /// Not before this time has passed.
    After(Duration),
    /// At once.
    AtOnce,
    /// Never: it would be refused again, or there is nothing any more to be told of.
    Never,
}

/// How long to stay away where a notifier wants that and does not say how long.
const LATER: Duration = Duration::from_secs(60);

impl SubscriptionEnd {
    /// What a subscriber does next (RFC 6665 §4.1.2.2, §4.1.3).
    pub fn again(&self) -> Again {
        match self {
            Self::Terminated { reason, retry_after } => match reason.as_deref() {
                Some("deactivated" | "timeout") => Again::AtOnce,
                Some("rejected" | "noresource" | "invariant") => Again::Never,
                // `probation`, `giveup`, and reasons that are not known.
                Some(_) | None => Again::After(retry_after.unwrap_or(LATER)),
            },
            Self::Failed { status } => {
                // No answer is as good as 408 or 503 (RFC 3261 §8.1.3.1), which are treated alike.
                let code = status.and_then(StatusCode::new).unwrap_or(StatusCode::REQUEST_TIMEOUT);
                match code.understood().code() {
                    481 => Again::AtOnce,
                    408 | 480 | 500 | 503 | 504 => Again::After(LATER),
                    _ => Again::Never,
                }
            }
            Self::Expired => Again::AtOnce,
            Self::Unsubscribed => Again::Never,
        }
    }
}
