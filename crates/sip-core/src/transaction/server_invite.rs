//! The INVITE server transaction (RFC 3261 §17.2.1, RFC 6026 §7.1).

use std::time::Instant;

use bytes::Bytes;

use super::{Again, Backoff, Fired, Timer, Times};

/// Its state; each owns its timers.
#[derive(Debug)]
pub(crate) enum ServerInvite {
    /// Not answered finally; the latest provisional response is repeated for each repeated INVITE.
    Proceeding { provisional: Bytes },
    /// A failure was sent: G repeats it on UDP until the ACK, H gives up.
    Completed { g: Option<Backoff>, h: Instant, response: Bytes },
    /// The ACK came; I absorbs its repetitions.
    Confirmed { i: Instant },
    /// A success was sent; L absorbs repeated INVITEs. The 2xx itself is repeated by the core.
    Accepted { l: Instant },
}

impl ServerInvite {
    /// An INVITE came and this provisional response went out.
    pub(crate) fn new(provisional: Bytes) -> Self {
        Self::Proceeding { provisional }
    }

    /// Another provisional response goes out.
    pub(crate) fn provisional(&mut self, response: Bytes) {
        if let Self::Proceeding { provisional } = self {
            *provisional = response;
        }
    }

    /// A failure goes out.
    pub(crate) fn failure(&mut self, response: Bytes, reliable: bool, times: &Times, now: Instant) {
        if matches!(self, Self::Proceeding { .. }) {
            let g = (!reliable).then(|| Backoff::new(now, times.t1, Some(times.t2)));
            *self = Self::Completed { g, h: now + times.patience(), response };
        }
    }

    /// A success goes out.
    pub(crate) fn success(&mut self, times: &Times, now: Instant) {
        if matches!(self, Self::Proceeding { .. }) {
            *self = Self::Accepted { l: now + times.patience() };
        }
    }

    /// Whether no final response went out.
    pub(crate) fn is_proceeding(&self) -> bool {
        matches!(self, Self::Proceeding { .. })
    }

    /// The INVITE came again.
    pub(crate) fn handle_again(&self) -> Again {
        match self {
            Self::Proceeding { .. } | Self::Completed { .. } => Again::Resend,
            Self::Confirmed { .. } | Self::Accepted { .. } => Again::Absorb,
        }
    }

    /// An ACK of its branch came: true when it was the ACK of a failure.
    pub(crate) fn handle_ack(&mut self, reliable: bool, times: &Times, now: Instant) -> bool {
        match self {
            Self::Completed { .. } => {
                let i = if reliable { now } else { now + times.t4 };
                *self = Self::Confirmed { i };
                true
            }
            Self::Confirmed { .. } => true,
            Self::Proceeding { .. } | Self::Accepted { .. } => false,
        }
    }

    /// What is sent again.
    pub(crate) fn response(&self) -> Option<&Bytes> {
        match self {
            Self::Proceeding { provisional } => Some(provisional),
            Self::Completed { response, .. } => Some(response),
            Self::Confirmed { .. } | Self::Accepted { .. } => None,
        }
    }

    /// When it wants to be woken.
    pub(crate) fn deadline(&self) -> Option<(Instant, Timer)> {
        match self {
            Self::Proceeding { .. } => None,
            Self::Completed { g, h, .. } => {
                let g = g.map(|g| (g.next, Timer::G));
                g.into_iter().chain([(*h, Timer::H)]).min()
            }
            Self::Confirmed { i } => Some((*i, Timer::I)),
            Self::Accepted { l } => Some((*l, Timer::L)),
        }
    }

    /// Time has come.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Fired {
        match self {
            Self::Completed { h, .. } if *h <= now => Fired::TimedOut,
            Self::Completed { g: Some(g), .. } if g.next <= now => {
                g.advance(now);
                Fired::Retransmit
            }
            Self::Confirmed { i } if *i <= now => Fired::Done,
            Self::Accepted { l } if *l <= now => Fired::Done,
            Self::Proceeding { .. }
            | Self::Completed { .. }
            | Self::Confirmed { .. }
            | Self::Accepted { .. } => Fired::Nothing,
        }
    }
}
