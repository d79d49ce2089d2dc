//! The client transaction of all other requests (RFC 3261 §17.1.2).

use std::time::Instant;

use super::{Backoff, Fired, Reaction, Timer, Times};
use crate::StatusCode;

/// Its state; each owns its timers.
#[derive(Debug)]
pub(crate) enum ClientOther {
    /// Sent, nothing heard. E retransmits on UDP, doubling up to T2.
    Trying { e: Option<Backoff>, f: Instant },
    /// A provisional response came: E is T2.
    Proceeding { e: Option<Backoff>, f: Instant },
    /// Answered; K absorbs repetitions.
    Completed { k: Instant },
}

impl ClientOther {
    /// The request goes out now.
    pub(crate) fn new(reliable: bool, times: &Times, now: Instant) -> Self {
        let e = (!reliable).then(|| Backoff::new(now, times.t1, Some(times.t2)));
        Self::Trying { e, f: now + times.patience() }
    }

    /// A response with its status.
    pub(crate) fn handle_response(
        &mut self,
        status: StatusCode,
        reliable: bool,
        times: &Times,
        now: Instant,
    ) -> Reaction {
        match self {
            Self::Trying { f, .. } if status.is_provisional() => {
                let e = (!reliable).then(|| Backoff::new(now, times.t2, Some(times.t2)));
                *self = Self::Proceeding { e, f: *f };
                Reaction::Deliver
            }
            Self::Proceeding { .. } if status.is_provisional() => Reaction::Deliver,
            Self::Trying { .. } | Self::Proceeding { .. } => {
                let k = if reliable { now } else { now + times.t4 };
                *self = Self::Completed { k };
                Reaction::Deliver
            }
            Self::Completed { .. } => Reaction::Ignore,
        }
    }

    /// Time stood still for us: an answer may lie unread, and gets until then.
    pub(crate) fn prolong(&mut self, until: Instant) {
        match self {
            Self::Trying { f, .. } | Self::Proceeding { f, .. } => *f = until.max(*f),
            Self::Completed { .. } => {}
        }
    }

    /// When it wants to be woken.
    pub(crate) fn deadline(&self) -> Option<(Instant, Timer)> {
        match self {
            Self::Trying { e, f } | Self::Proceeding { e, f } => {
                let e = e.map(|e| (e.next, Timer::E));
                e.into_iter().chain([(*f, Timer::F)]).min()
            }
            Self::Completed { k } => Some((*k, Timer::K)),
        }
    }

    /// Time has come.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Fired {
        match self {
            Self::Trying { f, .. } | Self::Proceeding { f, .. } if *f <= now => Fired::TimedOut,
            Self::Trying { e: Some(e), .. } | Self::Proceeding { e: Some(e), .. }
                if e.next <= now =>
            {
                e.advance(now);
                Fired::Retransmit
            }
            Self::Completed { k } if *k <= now => Fired::Done,
            Self::Trying { .. } | Self::Proceeding { .. } | Self::Completed { .. } => {
                Fired::Nothing
            }
        }
    }
}
