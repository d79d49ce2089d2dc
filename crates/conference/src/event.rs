//! What a conference, hosted or joined, tells the window and the command line.

use std::time::Duration;

use time::OffsetDateTime;

/// One participant for as long as the conference lasts; never given to another person.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ParticipantId(pub u32);

/// One chat line.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MessageId(pub u64);

/// Where a participant is in its life (RFC 4575 §5.7.3).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ParticipantState {
    /// INVITE sent, nothing heard.
    DialingOut,
    /// The phone rings.
    Alerting,
    /// In the conference.
    Connected,
    /// In the conference, media on hold.
    OnHold,
    /// Gone, or never came.
    Disconnected,
}

/// What an ordinary phone can do with text, as far as it is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ChatAbility {
    /// It takes text.
    Yes,
    /// It refused text, or lists an Allow without MESSAGE.
    No,
    /// Nothing is known yet.
    Unknown,
    /// It takes text, but is known to show several lines as one.
    LinesMayBeJoined,
}

/// One person in the roster.
#[derive(Clone, Debug, PartialEq)]
pub struct Participant {
    /// Who, in this process.
    pub id: ParticipantId,
    /// The address: `<user entity>` of the roster (RFC 4575 §5.6).
    pub entity: String,
    /// The name to show, unique in this conference.
    pub name: String,
    /// Whether it is the user of this program.
    pub is_self: bool,
    /// Whether it hosts the conference.
    pub is_host: bool,
    /// Where it is.
    pub state: ParticipantState,
    /// Why it is disconnected, in words for a person: "Bob is busy (486)"; empty otherwise.
    pub reason: String,
    /// Whether its microphone is known to be muted.
    pub muted: bool,
    /// Whether the host has taken its voice away: nobody hears it.
    pub muted_by_host: bool,
    /// Whether it is in a call with the host alone, beside the conference. Only hosts know of such.
    pub is_aside: bool,
    /// How loud the host lets everybody hear it, in dB; 0 is as it comes.
    pub volume_db: f32,
    /// Whether text reaches it.
    pub chat: ChatAbility,
    /// The phone's own name for itself (User-Agent or Server), where it gave one.
    pub agent: Option<String>,
}

/// How a hosted conference stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Standing {
    /// What it is about.
    pub subject: String,
    /// Whether nobody comes in by himself (RFC 4575 §5.5.3).
    pub locked: bool,
    /// Whether who comes waits for the host.
    pub lobby: bool,
    /// Whether who comes has to give a PIN.
    pub pin: bool,
    /// How many are in it, the host among them.
    pub connected: usize,
    /// How many wait in the lobby.
    pub waiting: usize,
}

/// Somebody who called the conference and is not in it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Waiting {
    /// Who; once he is let in he is the participant of the same number.
    pub id: ParticipantId,
    /// The address that he gave; nothing proves it.
    pub entity: String,
    /// The name that he gave.
    pub name: String,
    /// Whether he still waits.
    pub state: WaitingState,
}

/// What became of somebody who waits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WaitingState {
    /// He was let in.
    Admitted,
    /// He hung up, or waited too long.
    Left,
    /// He was sent away.
    Refused,
    /// He waits.
    Waiting,
}

/// To whom a line went or goes.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Recipient {
    /// All in the conference.
    Everyone,
    /// The user of this program alone.
    Me,
    /// One participant, by entity.
    Participant(String),
}

/// One chat line, received or our own.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Which line.
    pub id: MessageId,
    /// Its place in the total order of public lines; `None` for personal ones and where the focus gives none.
    pub seq: Option<u64>,
    /// The author's entity.
    pub from: String,
    /// The author's name at that time.
    pub name: String,
    /// Whether the user of this program wrote it.
    pub is_own: bool,
    /// To whom.
    pub to: Recipient,
    /// The text, byte for byte.
    pub text: String,
    /// Whether the author is known from his dialog; false shows "(not verified)".
    pub verified: bool,
    /// Whether its author gave it a time that was over when it came (RFC 3428 §7).
    pub expired: bool,
    /// Whether it was written before the user came.
    pub is_history: bool,
    /// When it was accepted, as far as is known; else when it came here.
    pub at: OffsetDateTime,
}

/// Delivery of one line to one recipient (docs/sip-chat.md).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum DeliveryState {
    /// Queued, or the recipient is not there yet.
    Waiting,
    /// Sent, no answer yet.
    Sending,
    /// Taken by the recipient's phone; not: read.
    Accepted,
    /// Its client reported delivery.
    Delivered,
    /// Not delivered.
    Failed,
    /// The phone cannot take text.
    Unsupported,
    /// The recipient left first.
    Left,
}

/// A change of one recipient's delivery.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Delivery {
    /// Which line.
    pub id: MessageId,
    /// The recipient's entity.
    pub recipient: String,
    /// How far it is.
    pub state: DeliveryState,
    /// The SIP status behind it, where there is one.
    pub code: Option<u16>,
    /// A reason in words; empty where none is needed.
    pub reason: String,
}

/// One event of a conference.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A line of ours was taken by the focus (at the host: numbered).
    Accepted {
        /// As given with the command.
        reference: String,
        /// The line.
        id: MessageId,
        /// Its number, where there is one.
        seq: Option<u64>,
    },
    /// The conference that we host stands otherwise than before.
    Conference(Standing),
    /// A line's delivery to one recipient changed.
    Delivery(Delivery),
    /// The conference is over for us.
    Ended {
        /// In words.
        reason: String,
    },
    /// A line, received or our own.
    Line(Line),
    /// Somebody waits to be let in, or does so no more.
    Lobby(Waiting),
    /// Something a person should know, in words.
    Notice {
        /// What.
        text: String,
    },
    /// A participant came, changed or went.
    Participant(Participant),
    /// A participant wants somebody called into the conference: the host says whether, by `Command::DecideReferral`.
    Referred {
        /// Which wish.
        refer: sip_core::RequestId,
        /// Whose.
        participant: ParticipantId,
        /// His name.
        name: String,
        /// Whom to call.
        to: String,
        /// Who is said to want it, which nothing proves; empty where nobody is named.
        referred_by: String,
    },
    /// He has gone: nobody waits for that any more.
    ReferredGone {
        /// Which wish.
        refer: sip_core::RequestId,
    },
    /// A line of ours was refused before it got a place: nothing was sent.
    Refused {
        /// As given with the command.
        reference: String,
        /// In words.
        reason: String,
    },
    /// The conference's subject is known or changed.
    Subject {
        /// The subject.
        subject: String,
    },
    /// Somebody writes, or does not any more.
    Typing {
        /// His entity.
        entity: String,
        /// His name.
        name: String,
        /// Whether he does.
        on: bool,
    },
}

/// How many texts a sender may write (sip-chat §3.10): a token bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ChatRate {
    /// No limit.
    Unlimited,
    /// `burst` at once, then one each `interval`.
    Limited {
        /// How many at once.
        burst: u32,
        /// One more after each.
        interval: Duration,
    },
}

impl Default for ChatRate {
    fn default() -> Self {
        Self::Limited { burst: 5, interval: Duration::from_secs(1) }
    }
}
