//! The focus and the participant of a conference as values (RFC 4353, 4575, 4579): roster, policy, chat relay, text
//! recognition. No clock, socket, file or random source: time is a parameter, randomness an injected generator.

mod event;

pub use event::{
    ChatAbility, ChatRate, Delivery, DeliveryState, Event, Line, MessageId, Participant,
    ParticipantId, ParticipantState, Recipient,
};

mod command;
mod effect;

pub use command::{Command, MediaState, Token};
pub use effect::{Effect, MixerAct, SipAct};
