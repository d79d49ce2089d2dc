//! The whole API of the window and the command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use conference::{
    ChatAbility, ChatRate, Delivery, DeliveryState, Line, MessageId, Moderation, Participant,
    ParticipantId, ParticipantState, Recipient, Standing, Waiting, WaitingState,
};
pub use media::AudioKind;
pub use sip_net::{DriverSettings, TlsIdentity, TlsSettings};

use crate::{Interrupted, Retention};

/// How an engine is started.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen for SIP, UDP and TCP on the same port. Port 0: any free one.
    pub listen: SocketAddr,
    /// Name server and TLS.
    pub network: DriverSettings,
    /// The user's accounts. The first one makes calls; without one addresses are called directly.
    pub accounts: Vec<AccountSettings>,
    /// Whether another free port is taken when `listen`'s is in use (the window does, scripts do not).
    pub fall_back_to_free_port: bool,
    /// The user's name, shown to people.
    pub name: String,
    /// The user part of our own address.
    pub user: String,
    /// Fixed user part of the conference URI; `None`: 64 random bits (RFC 4579 appendix A).
    pub conference_user: Option<String>,
    /// What we send into the call.
    pub audio: AudioKind,
    /// Where what we hear is written, as WAV.
    pub record: Option<PathBuf>,
    /// Limit of each sender's texts.
    pub chat_rate: ChatRate,
    /// Where the call history and the texts live; `None`: neither is kept.
    pub data_folder: Option<PathBuf>,
    /// How long texts are kept there.
    pub retention: Retention,
    /// What becomes of a call to our own address while nobody can be asked (command line): `true` refuses it as busy.
    pub unattended: bool,
}

/// An account at a provider.
#[derive(Clone, Debug)]
pub struct AccountSettings {
    /// Its address, `sip:alice@example.org`.
    pub address: String,
    /// The name for its password, where that is not the address's user part.
    pub username: Option<String>,
    /// Its password.
    pub password: Password,
    /// Where to register, where that is not the domain.
    pub registrar: Option<String>,
    /// What all requests go through.
    pub outbound_proxy: Option<String>,
    /// How registrar or proxy are reached; `None`: as their domain says (RFC 3263).
    pub transport: Option<AccountTransport>,
    /// `urn:uuid:...` of this installation, the same at each start (RFC 5626 §4.1).
    pub instance: Option<String>,
}

/// A password. It is never printed.
#[derive(Clone)]
pub struct Password(String);

impl Password {
    /// Of this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password")
    }
}

/// How a provider is reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AccountTransport {
    /// TCP.
    Tcp,
    /// TLS.
    Tls,
    /// UDP.
    Udp,
}

impl AccountTransport {
    pub(crate) const fn token(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Udp => "udp",
        }
    }
}

/// How an account stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AccountState {
    /// It could not be registered; [`Event::Registration`] has the reason.
    Failed,
    /// Calls to it arrive here.
    Registered,
    /// Its registrar was asked.
    Registering,
    /// It was given up by us.
    Unregistered,
}

/// One call that rings here.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct IncomingId(pub u32);

/// One wish of the other to move the call.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ReferId(pub u32);

/// Where a call is moved to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TransferTo {
    /// To an address, as in [`Command::Call`].
    Address(String),
    /// To another participant of the hosted conference, whose call ends with it.
    Participant(ParticipantId),
}

/// What window and command line can ask for. One session (conference hosted, conference joined, or call) at a time.
#[derive(Clone, Debug)]
pub enum Command {
    /// Call whom the other wants us to call; the present call ends with that. In a hosted conference: call him into it.
    AcceptRefer {
        /// Which.
        refer: ReferId,
    },
    /// Let somebody in who waits in the lobby.
    Admit {
        /// Whom, as in [`Event::Lobby`].
        waiting: ParticipantId,
    },
    /// Answer a ringing call: it becomes the session. A running session ends first.
    Answer {
        /// Which.
        incoming: IncomingId,
    },
    /// Answer a ringing call into the conference that is hosted here.
    AddToConference {
        /// Which.
        incoming: IncomingId,
    },
    /// Call one address. Where its owner turns out to be a focus, this is a conference joined (RFC 4579 §5.1).
    Call {
        /// A SIP URI, or `user@host`, or `host`.
        uri: String,
    },
    /// Forget one row of the call history.
    ForgetCall {
        /// As in [`CallRecord`].
        id: i64,
    },
    /// Decline a ringing call, with a text where one is given (603, then a MESSAGE).
    Decline {
        /// Which.
        incoming: IncomingId,
        /// "I'll call you back".
        text: Option<String>,
    },
    /// Hold the call that we are in: nothing is sent and nothing heard, texts go on. Or go on with it. A host holds his
    /// participants one by one, with [`Command::Moderate`].
    Hold {
        /// On hold.
        on: bool,
    },
    /// Those who come late get so many of the last public lines, where their client can show them as such.
    History {
        /// How many; zero: none.
        count: usize,
    },
    /// Host a conference and invite these. With nobody to invite it waits for people to dial in.
    Host {
        /// Its subject; empty: "NAME's conference".
        subject: String,
        /// Whom to call.
        invite: Vec<String>,
    },
    /// Call one more into the hosted conference; in the conference of another, ask its host to do so.
    /// In a call of two that call becomes a conference of ours.
    Invite {
        /// As in [`Command::Call`].
        uri: String,
    },
    /// Ask for the text that invites people into the hosted conference: [`Event::Invitation`].
    Invitation,
    /// As [`Command::Call`], to who wants a password (digest).
    Join {
        /// As there.
        uri: String,
        /// The password.
        password: Password,
    },
    /// Keep the texts of this session, or of the one that just ended, whatever [`Settings::retention`] says.
    KeepTranscript,
    /// Leave the session. The host's leaving ends the conference for everybody.
    Leave,
    /// Calls beside the hosted conference become part of it. In a call of two: that call becomes a conference of ours.
    Merge {
        /// Whose; `None`: all.
        participant: Option<ParticipantId>,
    },
    /// As host: silence, volume, hold of a participant, and whether he may remove others.
    Moderate {
        /// About whom.
        participant: ParticipantId,
        /// What.
        act: Moderation,
    },
    /// From now on who calls the hosted conference waits until he is let in; or not, and who waits comes in.
    Lobby {
        /// Open.
        on: bool,
    },
    /// From now on nobody comes into the hosted conference by himself; or again.
    Lock {
        /// Locked.
        on: bool,
    },
    /// Mute or unmute our microphone.
    Mute {
        /// Muted.
        on: bool,
    },
    /// From now on whoever calls, writes or subscribes to the hosted conference from outside of a call has to know this
    /// password (digest, RFC 8760); who is in stays. Empty: nobody has to any more. It ends with the conference.
    Password {
        /// The password.
        text: Password,
    },
    /// From now on who calls the hosted conference has to type this PIN, 4 to 12 digits, on his phone. Empty: nobody has
    /// to any more. Who is in stays.
    Pin {
        /// The PIN.
        text: Password,
    },
    /// Press keys in the call that we are in (RFC 4733).
    Press {
        /// `0` to `9`, `*`, `#`, `A` to `D`; 32 at most.
        keys: String,
    },
    /// Send somebody away who waits in the lobby.
    Refuse {
        /// Whom, as in [`Event::Lobby`].
        waiting: ParticipantId,
    },
    /// Do not call whom the other wants us to call.
    RefuseRefer {
        /// Which.
        refer: ReferId,
    },
    /// Remove a participant, or give up calling him; in the conference of another, ask for that as a moderator.
    Remove {
        /// Whom.
        participant: ParticipantId,
    },
    /// Send a line once more to those who did not get it.
    Resend {
        /// Which line.
        message: MessageId,
        /// To whom, by entity; `None`: to all who did not get it.
        recipient: Option<String>,
    },
    /// Write a line.
    Say {
        /// Comes back in [`Event::Accepted`] or [`Event::Refused`].
        reference: String,
        /// The text; sent byte for byte.
        text: String,
        /// To whom.
        to: Recipient,
    },
    /// Change the user's name.
    SetName {
        /// The name.
        name: String,
    },
    /// As host: a participant's call becomes one with us alone, on hold while the conference has people.
    Split {
        /// Whose.
        participant: ParticipantId,
    },
    /// The user pressed a key in the text that he writes: the others may see that he does.
    Typing,
    /// Ask a participant's phone to call somebody else instead. Its call here ends once that worked.
    Transfer {
        /// Whose.
        participant: ParticipantId,
        /// Whom it is to call.
        to: TransferTo,
    },
}

/// Kind of a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SessionKind {
    /// A call between two.
    Call,
    /// A conference of ours.
    Hosted,
    /// A conference of another focus.
    Joined,
}

/// One row of the call history.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CallRecord {
    /// Which row.
    pub id: i64,
    /// The other's or the conference's address.
    pub uri: String,
    /// Its name; the address where there was none.
    pub name: String,
    /// What it was.
    pub kind: RecordKind,
    /// When it began, seconds since 1970 UTC.
    pub started_unix: i64,
    /// How long it was connected.
    pub duration: Duration,
    /// How many took part besides the user.
    pub people: u32,
    /// How many lines were written.
    pub messages: u32,
    /// Why nothing came of it, in words; empty otherwise.
    pub reason: String,
}

/// What a row of the history was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RecordKind {
    /// We called.
    Outgoing,
    /// They called, we answered.
    Incoming,
    /// They called, nobody answered.
    Missed,
    /// A conference, hosted or joined.
    Conference,
}

/// What the engine tells. Nothing here is lost; levels come by [`crate::Handle::levels`].
#[derive(Clone, Debug)]
pub enum Event {
    /// A line of ours has its place.
    Accepted {
        /// As in [`Command::Say`].
        reference: String,
        /// Which line it is.
        id: MessageId,
        /// Its number in the conference's order.
        seq: Option<u64>,
    },
    /// The hosted conference stands otherwise than before.
    Conference(Standing),
    /// Delivery of a line to one recipient.
    Delivery(Delivery),
    /// A participant pressed a key of his phone.
    Digit {
        /// Who.
        participant: ParticipantId,
        /// `0` to `9`, `*`, `#`, `A` to `D`.
        digit: char,
    },
    /// The session is over.
    Ended {
        /// In words.
        reason: String,
    },
    /// The engine could not start or had to stop.
    Fatal {
        /// In words, with what to do.
        text: String,
    },
    /// The call history, newest first, whenever it changed.
    History(Vec<CallRecord>),
    /// A call rings here.
    Incoming {
        /// Which.
        incoming: IncomingId,
        /// The caller's name; empty where he gave none.
        name: String,
        /// The caller's address with its port.
        uri: String,
    },
    /// The text that invites people into the hosted conference.
    Invitation {
        /// A few lines.
        text: String,
    },
    /// A call rings no more.
    IncomingGone {
        /// Which.
        incoming: IncomingId,
        /// In words: "Carol hung up".
        reason: String,
        /// Whether the user missed it.
        missed: bool,
    },
    /// A conference was running when the program ended without a word. Its texts are there until the next orderly end,
    /// unless [`crate::Archive::keep`] keeps them.
    Interrupted(Interrupted),
    /// A line.
    Line(Line),
    /// Somebody waits to be let into the hosted conference, or does so no more.
    Lobby(Waiting),
    /// A text from outside of any session, to our own address.
    PersonalText(Line),
    /// Our microphone is muted or not.
    Muted {
        /// Muted.
        on: bool,
    },
    /// Something a person should know.
    Notice {
        /// In words.
        text: String,
    },
    /// A participant came, changed or went.
    Participant(Participant),
    /// The engine listens.
    Ready {
        /// Our own address.
        uri: String,
        /// Set where the wished port was taken: "Port 5060 is used by another program. Using 5062 instead."
        hint: Option<String>,
    },
    /// An account stands otherwise than before.
    Registration {
        /// Its address.
        account: String,
        /// How it stands.
        state: AccountState,
        /// Why it failed; otherwise empty.
        reason: String,
    },
    /// The other wants the call moved: that we call somebody else instead (RFC 3515). In a hosted conference: a participant
    /// wants somebody to be called into it.
    Referred {
        /// Which.
        refer: ReferId,
        /// The other's name.
        name: String,
        /// Whom to call.
        to: String,
        /// Who is said to want it; nothing proves that. Empty where nobody is named.
        referred_by: String,
    },
    /// He wants it no more, or the call is over.
    ReferredGone {
        /// Which.
        refer: ReferId,
    },
    /// A line of ours was refused; nothing was sent, the text is to be kept.
    Refused {
        /// As in [`Command::Say`].
        reference: String,
        /// In words.
        reason: String,
    },
    /// A session began, or turned from a call into a conference joined.
    Session {
        /// What it is.
        kind: SessionKind,
        /// Its subject, or the other's name.
        subject: String,
        /// The conference's URI: ours where we host, the one joined otherwise; empty in a call.
        conference: String,
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
    /// Audio devices work, or do not.
    Audio {
        /// The microphone's name, or why there is none.
        microphone: Result<String, String>,
        /// The speaker's.
        speaker: Result<String, String>,
    },
}

/// The latest level of everybody, at most 20 times a second.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Levels {
    /// Participant and level in dBov: 0 is full scale, -127 silence (RFC 6464).
    pub levels_dbov: Vec<(ParticipantId, f32)>,
}
