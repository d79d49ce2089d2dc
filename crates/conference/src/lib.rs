//! The focus and the participant of a conference as values (RFC 4353, 4575, 4579): roster, policy, chat relay, text
//! recognition. No clock, socket, file or random source: time is a parameter, randomness an injected generator.

pub mod info;
pub mod text;

mod chat;
mod command;
mod effect;
mod event;
mod focus;
mod member;
mod name;
mod tie;
mod words;

use std::time::Instant;

use time::OffsetDateTime;

pub use chat::MAX_TEXT;
pub use chat::body::{Body as TextBody, read as read_text};
pub use chat::expiry::expired as text_expired;
pub use command::{Command, MediaState, Token};
pub use effect::{Effect, MixerAct, Prompt, SipAct};
pub use event::{
    ChatAbility, ChatRate, Delivery, DeliveryState, Event, Line, MessageId, Participant,
    ParticipantId, ParticipantState, Recipient, Standing, Waiting, WaitingState,
};
pub use focus::{Adopted, Focus, FocusSettings, Moderation};
pub use member::{Member, MemberSettings};
pub use name::{clean as clean_name, line as clean_line};

/// The time, as both kinds of clock tell it.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For intervals.
    pub monotonic: Instant,
    /// For what people and documents see.
    pub utc: OffsetDateTime,
}

/// Why a conference wants to be woken.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Timer {
    /// Somebody who left is forgotten.
    Forget,
    /// Somebody waited too long to be let in.
    Lobby,
    /// A document may be sent again (RFC 4575 §3.9).
    Notify,
    /// A text's parts did not all come.
    Parts,
    /// Reports on texts may go to their author.
    Report,
    /// A text may be tried again.
    Retry,
    /// A subscription that ended begins anew (RFC 6665 §4.1.3).
    Subscribe,
    /// Somebody may not write any more.
    Typing,
}
