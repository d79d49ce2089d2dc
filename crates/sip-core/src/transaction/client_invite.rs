//! The INVITE client transaction (RFC 3261 §17.1.1, RFC 6026 §7.2).

use std::time::Instant;

use bytes::Bytes;

use super::{Backoff, Fired, Reaction, Timer, Times};
use crate::StatusCode;

/// Its state; each owns its timers.
#[derive(Debug)]
pub(crate) enum ClientInvite {
    /// Sent, nothing heard. A retransmits on UDP, without a cap.
    Calling { a: Option<Backoff>, b: Instant },
    /// A provisional response came. It may ring for as long as the user likes, unless a limit was set.
    Proceeding { limit: Option<Instant> },
    /// A failure came; D absorbs its repetitions, each gets the ACK.
    Completed { d: Instant, ack: Bytes },
    /// A success came; M lets its repetitions and those of other forks through.
    Accepted { m: Instant },
}

impl ClientInvite {
    /// The INVITE goes out now.
    pub(crate) fn new(reliable: bool, times: &Times, now: Instant) -> Self {
        let a = (!reliable).then(|| Backoff::new(now, times.t1, None));
        Self::Calling { a, b: now + times.patience() }
    }

    /// A response with its status. After `DeliverAndAck` the caller gives the ACK to [`Self::completed`].
    pub(crate) fn handle_response(
        &mut self,
        status: StatusCode,
        times: &Times,
        now: Instant,
    ) -> Reaction {
        match self {
            Self::Calling { .. } if status.is_provisional() => {
                *self = Self::Proceeding { limit: None };
                Reaction::Deliver
            }
            Self::Proceeding { .. } if status.is_provisional() => Reaction::Deliver,
            Self::Calling { .. } | Self::Proceeding { .. } if status.is_success() => {
                *self = Self::Accepted { m: now + times.patience() };
                Reaction::Deliver
            }
            Self::Calling { .. } | Self::Proceeding { .. } => Reaction::DeliverAndAck,
            Self::Completed { .. } if status.class() >= 3 => Reaction::AckAgain,
            Self::Accepted { .. } if status.is_success() => Reaction::Deliver,
            Self::Completed { .. } | Self::Accepted { .. } => Reaction::Ignore,
        }
    }

    /// The failure was delivered and this ACK sent.
    pub(crate) fn completed(&mut self, ack: Bytes, reliable: bool, times: &Times, now: Instant) {
        // RFC 3261 §17.1.1.2: at least 32 s on UDP, zero on reliable transports.
        let d = if reliable { now } else { now + times.patience() };
        *self = Self::Completed { d, ack };
    }

    /// The ACK of a failure.
    pub(crate) fn ack(&self) -> Option<&Bytes> {
        match self {
            Self::Completed { ack, .. } => Some(ack),
            Self::Calling { .. } | Self::Proceeding { .. } | Self::Accepted { .. } => None,
        }
    }

    /// No final response by then is as good as 408: of a cancelled INVITE (RFC 3261 §9.1), or inside a call, where a
    /// second limit never puts off the first.
    pub(crate) fn limit(&mut self, until: Instant) {
        if let Self::Proceeding { limit } = self {
            *limit = Some(limit.map_or(until, |known| known.min(until)));
        }
    }

    /// Whether a provisional response came and no final one: only then it may be cancelled (RFC 3261 §9.1).
    pub(crate) fn is_proceeding(&self) -> bool {
        matches!(self, Self::Proceeding { .. })
    }

    /// Time stood still for us: an answer may lie unread, and gets until then.
    pub(crate) fn prolong(&mut self, until: Instant) {
        match self {
            Self::Calling { b, .. } => *b = until.max(*b),
            Self::Proceeding { limit } => *limit = limit.map(|limit| limit.max(until)),
            Self::Completed { .. } | Self::Accepted { .. } => {}
        }
    }

    /// When it wants to be woken.
    pub(crate) fn deadline(&self) -> Option<(Instant, Timer)> {
        match self {
            Self::Calling { a, b } => {
                let a = a.map(|a| (a.next, Timer::A));
                a.into_iter().chain([(*b, Timer::B)]).min()
            }
            Self::Proceeding { limit } => limit.map(|limit| (limit, Timer::Ringing)),
            Self::Completed { d, .. } => Some((*d, Timer::D)),
            Self::Accepted { m } => Some((*m, Timer::M)),
        }
    }

    /// Time has come.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Fired {
        match self {
            Self::Calling { b, .. } if *b <= now => Fired::TimedOut,
            Self::Calling { a: Some(a), .. } if a.next <= now => {
                a.advance(now);
                Fired::Retransmit
            }
            Self::Proceeding { limit: Some(limit) } if *limit <= now => Fired::TimedOut,
            Self::Completed { d, .. } if *d <= now => Fired::Done,
            Self::Accepted { m } if *m <= now => Fired::Done,
            Self::Calling { .. }
            | Self::Proceeding { .. }
            | Self::Completed { .. }
            | Self::Accepted { .. } => Fired::Nothing,
        }
    }
}
