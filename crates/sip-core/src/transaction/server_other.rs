//! The server transaction of all other requests (RFC 3261 §17.2.2). Provisional responses are never sent: RFC 4320 §4.

use std::time::Instant;

use bytes::Bytes;

use super::{Again, Fired, Timer, Times};

/// Its state; each owns its timers.
#[derive(Debug)]
pub(crate) enum ServerOther {
    /// Not answered.
    Trying,
    /// Answered; J repeats the answer for each repeated request.
    Completed { j: Instant, response: Bytes },
}

impl ServerOther {
    /// A request came.
    pub(crate) fn new() -> Self {
        Self::Trying
    }

    /// The final response goes out; false when one went out before, which stands.
    pub(crate) fn respond(
        &mut self,
        response: Bytes,
        reliable: bool,
        times: &Times,
        now: Instant,
    ) -> bool {
        match self {
            Self::Trying => {
                let j = if reliable { now } else { now + times.patience() };
                *self = Self::Completed { j, response };
                true
            }
            Self::Completed { .. } => false,
        }
    }

    /// The request came again.
    pub(crate) fn handle_again(&self) -> Again {
        match self {
            Self::Trying => Again::Absorb,
            Self::Completed { .. } => Again::Resend,
        }
    }

    /// What is sent again.
    pub(crate) fn response(&self) -> Option<&Bytes> {
        match self {
            Self::Trying => None,
            Self::Completed { response, .. } => Some(response),
        }
    }

    /// When it wants to be woken.
    pub(crate) fn deadline(&self) -> Option<(Instant, Timer)> {
        match self {
            Self::Trying => None,
            Self::Completed { j, .. } => Some((*j, Timer::J)),
        }
    }

    /// Time has come.
    pub(crate) fn handle_timeout(&self, now: Instant) -> Fired {
        match self {
            Self::Completed { j, .. } if *j <= now => Fired::Done,
            Self::Trying | Self::Completed { .. } => Fired::Nothing,
        }
    }
}
