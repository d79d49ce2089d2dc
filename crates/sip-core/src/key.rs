//! The typed keys by which a user of [`crate::Endpoint`] names a call, a pending request or a subscription.
//!
//! A key holds no state: it is an index and a generation. One-shot acts of the protocol consume theirs, so that an
//! INVITE cannot be answered twice. Dropping a key changes nothing; the Endpoint times the call out itself.

macro_rules! identity {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name {
            pub(crate) index: u32,
            pub(crate) generation: u32,
        }

        impl $name {
            /// A value for tests and maps of other crates; it names nothing in any Endpoint that did not hand it out.
            pub const fn from_parts(index: u32, generation: u32) -> Self {
                Self { index, generation }
            }
        }
    };
}

identity! {
    /// Which call: stable from the first INVITE to the last BYE, whatever typed key stands for its phase.
    CallKey
}
/// Which account of ours.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct AccountId(pub u64);

identity! {
    /// Which request of ours outside INVITE (MESSAGE, OPTIONS, re-INVITE, NOTIFY): comes back in [`crate::Event::Completed`].
    RequestId
}
identity! {
    /// Which subscription, as notifier or as subscriber (RFC 6665).
    SubscriptionKey
}

macro_rules! call_key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Eq, Ord, PartialEq, PartialOrd)]
        #[must_use = "a key that is dropped can no longer be used; the call stays until the Endpoint times it out"]
        pub struct $name(pub(crate) CallKey);

        impl $name {
            /// The identity of the call, the same in all of its phases.
            pub fn key(&self) -> CallKey {
                self.0
            }
        }
    };
}

call_key! {
    /// An INVITE received and not yet answered finally.
    Incoming
}
call_key! {
    /// A 2xx sent, its ACK not yet received (RFC 3261 §13.3.1.4).
    AwaitingAck
}
call_key! {
    /// An INVITE sent and not yet answered finally: it can be cancelled.
    Early
}
call_key! {
    /// A confirmed dialog: it can carry MESSAGE, re-INVITE and BYE.
    Confirmed
}

macro_rules! pending_key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Eq, PartialEq)]
        #[must_use = "an unanswered request makes some phones end the call"]
        pub struct $name(pub(crate) RequestId);

        impl $name {
            /// The identity of the pending request.
            pub fn id(&self) -> RequestId {
                self.0
            }
        }
    };
}

pending_key! {
    /// A MESSAGE received and not yet answered.
    PendingMessage
}
pending_key! {
    /// A REFER received and not yet answered.
    PendingRefer
}
pending_key! {
    /// A re-INVITE received and not yet answered.
    PendingReinvite
}
pending_key! {
    /// A SUBSCRIBE received and not yet answered.
    PendingSubscribe
}
