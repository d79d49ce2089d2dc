//! The server transaction of all other requests (RFC 3261 §17.2.2, RFC 4320 §4).

use std::time::Instant;

use bytes::Bytes;

use super::{Again, Fired, Timer, Times};

/// Its state; each owns its timers.
#[derive(Debug)]
pub(crate) enum ServerOther {
    /// Not answered.
    Trying,
    /// Not answered; a 100 went out and is repeated for each repeated request.
    Proceeding { trying: Bytes },
    /// Answered; J repeats the answer for each repeated request.
    Completed { j: Instant, response: Bytes },
    /// Its time is over without an answer, which there will not be; J absorbs repeated requests.
    Unanswered { j: Instant },
}

impl ServerOther {
    /// A request came.
    pub(crate) fn new() -> Self {
        Self::Trying
    }

    /// The 100 goes out; false where an answer or another 100 went before.
    pub(crate) fn trying(&mut self, trying: Bytes) -> bool {
        let waits = matches!(self, Self::Trying);
        if waits {
            *self = Self::Proceeding { trying };
        }
        waits
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
            Self::Trying | Self::Proceeding { .. } => {
                let j = if reliable { now } else { now + times.patience() };
                *self = Self::Completed { j, response };
                true
            }
            Self::Completed { .. } | Self::Unanswered { .. } => false,
        }
    }

    /// It is too late for an answer (RFC 4320 §4.2).
    pub(crate) fn give_up(&mut self, times: &Times, now: Instant) {
        match self {
            Self::Trying | Self::Proceeding { .. } => {
                *self = Self::Unanswered { j: now + times.patience() };
            }
            Self::Completed { .. } | Self::Unanswered { .. } => {}
        }
    }

    /// The request came again.
    pub(crate) fn handle_again(&self) -> Again {
        match self {
            Self::Trying | Self::Unanswered { .. } => Again::Absorb,
            Self::Proceeding { .. } | Self::Completed { .. } => Again::Resend,
        }
    }

    /// What is sent again.
    pub(crate) fn response(&self) -> Option<&Bytes> {
        match self {
            Self::Trying | Self::Unanswered { .. } => None,
            Self::Proceeding { trying } => Some(trying),
            Self::Completed { response, .. } => Some(response),
        }
    }

    /// When it wants to be woken.
    pub(crate) fn deadline(&self) -> Option<(Instant, Timer)> {
        match self {
            Self::Trying | Self::Proceeding { .. } => None,
            Self::Completed { j, .. } | Self::Unanswered { j } => Some((*j, Timer::J)),
        }
    }

    /// Time has come.
    pub(crate) fn handle_timeout(&self, now: Instant) -> Fired {
        match self {
            Self::Completed { j, .. } | Self::Unanswered { j } if *j <= now => Fired::Done,
            Self::Trying
            | Self::Proceeding { .. }
            | Self::Completed { .. }
            | Self::Unanswered { .. } => Fired::Nothing,
        }
    }
}
