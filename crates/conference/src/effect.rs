//! What a [`crate::Focus`] or a [`crate::Member`] wants done.

use std::time::Duration;

use sip_core::{
    CallKey, Content, Failure, Flow, NameAddr, RequestId, StatusCode, SubscriptionKey, Uri,
};

use crate::{Event, ParticipantId, Token};

/// One wish; drained after every `handle_*`.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "an effect is moved once, out of the queue")]
pub enum Effect {
    /// Tell the user.
    Event(Event),
    /// Change the mix.
    Mixer(MixerAct),
    /// Send something.
    Sip(SipAct),
}

/// A change of the mix. Legs come and go with their media; this is policy only.
#[derive(Clone, Debug, PartialEq)]
pub enum MixerAct {
    /// The leg is part of the conference: mix it.
    Connect {
        /// Which leg.
        call: CallKey,
    },
    /// It is not any more.
    Disconnect {
        /// Which leg.
        call: CallKey,
    },
    /// Nobody hears the leg, or everybody does again.
    Mute {
        /// Which leg.
        call: CallKey,
        /// Nobody.
        on: bool,
    },
    /// How loud everybody hears the leg.
    Volume {
        /// Which leg.
        call: CallKey,
        /// In dB; 0 is as it comes.
        gain_db: f32,
    },
    /// Play a recording to who is not in the mix, in place of one that still plays.
    Prompt {
        /// Which leg.
        call: CallKey,
        /// Which recording.
        prompt: Prompt,
    },
}

/// What is said to who waits before the conference.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Prompt {
    /// That the host will let him in.
    Lobby,
    /// That he is to give the PIN.
    Pin,
    /// That this was not the PIN.
    Wrong,
}

/// Something to be sent. Display names are raw text; the message layer quotes them.
#[derive(Clone, Debug)]
pub enum SipAct {
    /// Accept a call: 200 with an SDP answer, Contact `contact_user` at our address, with `;isfocus` where asked.
    Accept {
        /// Which call.
        call: CallKey,
        /// User part of the Contact.
        contact_user: String,
        /// Whether the Contact says `;isfocus` (RFC 3840 §9, RFC 4579 §5.2).
        is_focus: bool,
    },
    /// Take a REFER: 202, then 100; `Command::ReferAccepted` reports.
    AcceptRefer {
        /// Which.
        refer: RequestId,
        /// User part of the Contact.
        contact_user: String,
    },
    /// Accept a SUBSCRIBE with 200; `Command::Subscription` reports the key.
    AcceptSubscribe {
        /// Which.
        subscribe: RequestId,
        /// Granted duration.
        expires: Duration,
        /// User part of the Contact.
        contact_user: String,
    },
    /// Give up an INVITE of ours.
    Cancel {
        /// Which call.
        call: CallKey,
    },
    /// Call somebody; `Command::Dialling` or `Command::DialFailed` reports.
    Dial {
        /// Who.
        participant: ParticipantId,
        /// Request-URI.
        target: Uri,
        /// From: display name and address (its tag is the Endpoint's matter).
        from: NameAddr,
        /// User part of the Contact.
        contact_user: String,
        /// Whether the Contact says `;isfocus`.
        is_focus: bool,
        /// Further headers of the INVITE.
        headers: Vec<(&'static str, String)>,
        /// Who wanted that by REFER and is told what comes of it.
        tells: Option<SubscriptionKey>,
    },
    /// BYE.
    HangUp {
        /// Which call.
        call: CallKey,
        /// `Reason: SIP;cause=200;text="..."` (RFC 3326), where one is given.
        reason: Option<String>,
    },
    /// MESSAGE in the call's dialog.
    Message {
        /// Comes back in `Command::Sent`.
        token: Token,
        /// Which call.
        call: CallKey,
        /// Display name of From for this request, empty: none; URI and tag stay the dialog's.
        from_display: Option<String>,
        /// Type and body.
        content: Content,
    },
    /// NOTIFY.
    Notify {
        /// Which subscription.
        subscription: SubscriptionKey,
        /// The document.
        content: Option<Content>,
        /// Ends the subscription with this reason (`noresource`, `rejected`, `timeout`).
        terminate: Option<&'static str>,
    },
    /// OPTIONS in the call's dialog: proves that it lives, shows its Allow.
    Options {
        /// Comes back in `Command::Sent`.
        token: Token,
        /// Which call.
        call: CallKey,
    },
    /// MESSAGE outside of a dialog.
    PagerMessage {
        /// Comes back in `Command::Sent`.
        token: Token,
        /// Request-URI.
        target: Uri,
        /// Where to send it when the leg's own flow is to be used.
        flow: Option<Flow>,
        /// From.
        from: NameAddr,
        /// Type and body.
        content: Content,
    },
    /// Tell who sent a REFER how far it is; a final status ends it.
    ReferProgress {
        /// Whom.
        subscription: SubscriptionKey,
        /// How far.
        status: StatusCode,
    },
    /// Offer the session anew, whole (RFC 3261 §14): with another Contact, or another direction. Where that is not agreed
    /// to `Command::NotReinvited` reports, and the session is as it was.
    Reinvite {
        /// Which call.
        call: CallKey,
        /// User part of the Contact from now on; `None`: the user's own.
        contact_user: Option<String>,
        /// Whether the Contact says `;isfocus`.
        is_focus: bool,
        /// Neither direction, or both.
        on_hold: bool,
    },
    /// What OPTIONS to that user is told from now on: 200, or the failure that a call would get (RFC 3261 §11.2).
    Present {
        /// The user part.
        user: String,
        /// The failure.
        refusal: Option<Failure>,
    },
    /// Refuse a call.
    Reject {
        /// Which call.
        call: CallKey,
        /// With what.
        failure: Failure,
    },
    /// Refuse a REFER.
    RejectRefer {
        /// Which.
        refer: RequestId,
        /// With what.
        failure: Failure,
    },
    /// Refuse a SUBSCRIBE.
    RejectSubscribe {
        /// Which.
        subscribe: RequestId,
        /// With what.
        failure: Failure,
    },
    /// Answer a MESSAGE.
    Respond {
        /// Which.
        message: RequestId,
        /// With what.
        status: StatusCode,
        /// Further headers: name and value.
        headers: Vec<(&'static str, String)>,
    },
    /// 180 to a call.
    Ring {
        /// Which call.
        call: CallKey,
        /// User part of the Contact.
        contact_user: String,
        /// Whether the Contact says `;isfocus`.
        is_focus: bool,
    },
    /// SUBSCRIBE to the conference package of the focus at the other end; outside of the dialog, with Target-Dialog;
    /// `in_dialog`: inside it.
    Subscribe {
        /// The call to the focus.
        call: CallKey,
        /// The conference URI: the remote target of the call.
        target: Uri,
        /// Whether inside the call's dialog.
        in_dialog: bool,
        /// Asked duration.
        expires: Duration,
    },
    /// SUBSCRIBE again with the same dialog: refresh (to get a full document), or end it with zero.
    Resubscribe {
        /// Which subscription of ours.
        subscription: SubscriptionKey,
        /// Asked duration; zero ends it.
        expires: Duration,
    },
}
