//! The one session there is at a time: a conference of ours, or a call that may turn out to be into another's.

use std::time::{Instant, SystemTime};

use conference::{Command, Effect, Focus, Member, Now, ParticipantId, Timer};
use sip_core::CallKey;

use crate::SessionKind;

/// A session.
#[derive(Debug)]
pub(crate) enum Session {
    /// We are the focus.
    Hosted(Box<Focus>),
    /// We are a participant, or one of two.
    Called {
        /// The value.
        member: Box<Member>,
        /// The call it lives in.
        call: CallKey,
        /// What the window was told it is.
        told: SessionKind,
    },
}

impl Session {
    pub(crate) fn handle_event(&mut self, event: &sip_core::Event) {
        match self {
            Self::Hosted(focus) => focus.handle_event(event, now()),
            Self::Called { member, .. } => member.handle_event(event, now()),
        }
    }

    pub(crate) fn handle_command(&mut self, command: Command) {
        match self {
            Self::Hosted(focus) => focus.handle_command(command, now()),
            Self::Called { member, .. } => member.handle_command(command, now()),
        }
    }

    pub(crate) fn handle_timeout(&mut self) {
        match self {
            Self::Hosted(focus) => focus.handle_timeout(now()),
            Self::Called { member, .. } => member.handle_timeout(now()),
        }
    }

    pub(crate) fn poll_effect(&mut self) -> Option<Effect> {
        match self {
            Self::Hosted(focus) => focus.poll_effect(),
            Self::Called { member, .. } => member.poll_effect(),
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        match self {
            Self::Hosted(focus) => focus.poll_timeout(),
            Self::Called { member, .. } => member.poll_timeout(),
        }
    }

    /// Who alone is heard in a call. In the call to another's focus that is nobody: it carries the whole mix.
    pub(crate) fn heard_in(&self, call: CallKey) -> Option<ParticipantId> {
        match self {
            Self::Hosted(focus) => focus.participant_of(call),
            Self::Called { member, .. } if member.is_conference().is_some() => None,
            Self::Called { member, .. } => member.participant_of(call),
        }
    }

    pub(crate) fn own_id(&self) -> ParticipantId {
        match self {
            Self::Hosted(focus) => focus.own_id(),
            Self::Called { member, .. } => member.own_id(),
        }
    }
}

/// Both clocks.
pub(crate) fn now() -> Now {
    Now { monotonic: Instant::now(), utc: SystemTime::now().into() }
}
