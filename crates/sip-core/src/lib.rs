//! A SIP user agent as a value: messages, transactions, dialogs, offers and answers (RFC 3261, 3264, 3428, 6026, 6665).
//!
//! The crate reads no clock, socket, file or random source of its own: time is a parameter, randomness an injected
//! generator, and what has to leave the process is polled from [`Endpoint::poll_output`].

pub mod auth;
pub mod message;
pub mod sdp;

mod dialog;
mod emergency;
mod endpoint;
mod event;
mod identity;
mod input;
mod key;
mod record;
mod transaction;

pub use emergency::{is_emergency, is_emergency_any, is_emergency_text};
pub use endpoint::{
    Account, Config, Contact, Endpoint, HandleError, Indices, Invite, Load, PagerMessage, Place,
    Refer, Registration, RegistrationFailure, Subscribe, Target, Timer, UdpKeepAlive, capabilities,
};
pub use event::{Again, CallFailure, EndReason, Event, Outcome, SubscriptionEnd};
pub use identity::Identity;
pub use input::{
    Connect, ConnectionChange, ConnectionId, DnsAnswer, Flow, Input, NaptrRecord, Output, Query,
    QueryId, Question, ResolvedTarget, SrvRecord, Transmit, Transport, Way,
};
pub use key::{
    AccountId, AwaitingAck, CallKey, Confirmed, Early, Incoming, PendingMessage, PendingRefer,
    PendingReinvite, PendingSubscribe, RequestId, SubscriptionKey,
};
pub use message::{
    AnyUri, CSeq, Content, Failure, Headers, Host, KeyPress, Message, Method, NameAddr, Params,
    ParseError, Provisional, Reason, ReferMethod, ReferTo, Replaces, Request, Response, Scheme,
    StatusCode, Success, Text, Uri, Via,
};
pub use record::{Bodies, Direction, Recorded};
