//! What the engine tells a [`crate::Focus`] or a [`crate::Member`] beside SIP events.

use sip_core::{AnyUri, CallKey, RequestId, SubscriptionKey};

use crate::{Adopted, MessageId, Moderation, ParticipantId, Recipient};

/// Names one request that a conference handed over in an effect; given by the conference.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Token(pub u64);

/// Media of a leg as negotiated (RFC 3264 §8.4), seen from this side.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MediaState {
    /// Both ways.
    Active,
    /// The peer put us on hold (its offer was sendonly, inactive, or c=0.0.0.0).
    HeldByPeer,
}

/// A wish of the user, or the report on an effect.
#[derive(Clone, Debug)]
pub enum Command {
    /// Report on `SipAct::Accept`: the offer could not be answered, the call was refused.
    AcceptFailed {
        /// Which call.
        call: CallKey,
    },
    /// A call of two that was there before goes on beside the conference.
    Adopt(Box<Adopted>),
    /// A call to the host's own address is answered as a call of two, beside the conference.
    Aside {
        /// The call, as named in its `Invited` event.
        call: CallKey,
    },
    /// An incoming call to the conference URI, or one the user added by hand, is to join. (Calls whose Request-URI is
    /// the conference's the focus takes by itself.)
    Admit {
        /// The call, as named in its `Invited` event.
        call: CallKey,
    },
    /// The host's answer to `Event::Referred`.
    DecideReferral {
        /// Which.
        refer: RequestId,
        /// Whether whom it names is called.
        accepted: bool,
    },
    /// Report on `SipAct::Dial`: the INVITE is on its way under this key.
    Dialling {
        /// Who is called.
        participant: ParticipantId,
        /// The call.
        call: CallKey,
    },
    /// Report on `SipAct::Dial`: it could not even be sent.
    DialFailed {
        /// Who was to be called.
        participant: ParticipantId,
        /// In words.
        reason: String,
    },
    /// End the conference, or leave it.
    End,
    /// Those who come late get so many of the last public lines, where their client can show them as such.
    History {
        /// How many; zero: none.
        count: usize,
    },
    /// Call somebody into the conference.
    Invite {
        /// Whom: already parsed and completed by the engine.
        target: AnyUri,
        /// The name, where the user knows one.
        name: Option<String>,
    },
    /// A key was pressed at the other end of a call.
    Key {
        /// Which call.
        call: CallKey,
        /// `0` to `9`, `*`, `#`, `A` to `D`.
        digit: char,
    },
    /// Let somebody in who waits in the lobby.
    LetIn {
        /// Whom.
        waiting: ParticipantId,
    },
    /// From now on who calls the conference waits until the host lets him in; or not, and who waits comes in.
    Lobby {
        /// Open.
        on: bool,
    },
    /// From now on nobody comes in by himself; or again.
    Lock {
        /// Locked.
        on: bool,
    },
    /// A leg's media changed.
    Media {
        /// Which leg.
        call: CallKey,
        /// How.
        state: MediaState,
    },
    /// Calls beside the conference become part of it.
    Merge {
        /// Whose; `None`: all.
        participant: Option<ParticipantId>,
    },
    /// The host does something about a participant.
    Moderate {
        /// About whom.
        participant: ParticipantId,
        /// What.
        act: Moderation,
    },
    /// Our own microphone is muted or not.
    Muted {
        /// Muted.
        on: bool,
    },
    /// Report on `SipAct::Reinvite`: the other did not agree.
    NotReinvited {
        /// Which call.
        call: CallKey,
    },
    /// Report on `SipAct::AcceptRefer`.
    ReferAccepted {
        /// As in the effect.
        refer: RequestId,
        /// Who is told what comes of it; `None` where nobody wants to be.
        tells: Option<SubscriptionKey>,
    },
    /// From now on who calls the conference has to give this PIN by the keys of his phone; `None`: nobody has to.
    Pin {
        /// Digits.
        pin: Option<String>,
    },
    /// Send somebody away who waits in the lobby.
    Refuse {
        /// Whom.
        waiting: ParticipantId,
    },
    /// Remove a participant.
    Remove {
        /// Whom.
        participant: ParticipantId,
    },
    /// Send a line once more to one who did not get it.
    Resend {
        /// Which line.
        message: MessageId,
        /// To whom, by entity; `None`: to all who did not get it.
        recipient: Option<String>,
    },
    /// Write a line.
    Say {
        /// Comes back with the acceptance.
        reference: String,
        /// Byte for byte.
        text: String,
        /// To whom.
        to: Recipient,
    },
    /// Report on an effect with a token: the Endpoint's id of that request; its outcome comes as a `Completed` event.
    Sent {
        /// As in the effect.
        token: Token,
        /// The Endpoint's.
        request: RequestId,
    },
    /// The user pressed a key in the text that he writes.
    Typing,
    /// Report on an effect with a token: it could not be sent.
    Unsendable {
        /// As in the effect.
        token: Token,
    },
    /// Change the user's name.
    SetName {
        /// The name.
        name: String,
    },
    /// What a leg's sound comes under has become known, or another.
    Source {
        /// Which leg.
        call: CallKey,
        /// The SSRC of its RTP (RFC 3550 §5.1).
        ssrc: u32,
    },
    /// A participant's call becomes one with the host alone.
    Split {
        /// Whose.
        participant: ParticipantId,
    },
    /// Report on `SipAct::AcceptSubscribe` (a subscription of a peer) and on `SipAct::Subscribe` (one of ours).
    Subscription {
        /// The pending SUBSCRIBE accepted; `None` for one of ours.
        subscribe: Option<RequestId>,
        /// Its key.
        subscription: SubscriptionKey,
    },
}
