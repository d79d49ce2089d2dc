//! The four transaction machines (RFC 3261 §17 with the corrections of RFC 6026), each a type of its own whose states
//! own exactly the timers that may run in them. They hold bytes and times; matching and routing are the Endpoint's.

mod client_invite;
mod client_other;
mod server_invite;
mod server_other;

use std::time::{Duration, Instant};

pub(crate) use client_invite::ClientInvite;
pub(crate) use client_other::ClientOther;
pub(crate) use server_invite::ServerInvite;
pub(crate) use server_other::ServerOther;

/// Why the Endpoint wants to be woken: the RFCs' timers, and our own limits.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[expect(missing_docs, reason = "the letters are those of RFC 3261 table 4 and RFC 6026")]
pub enum Timer {
    A,
    B,
    D,
    E,
    F,
    G,
    H,
    I,
    J,
    K,
    L,
    M,
    /// Retransmission of a 2xx until its ACK (RFC 3261 §13.3.1.4).
    SuccessRetransmit,
    /// An INVITE that nobody answers, a cancelled one or a re-INVITE that never ends, a repeated 180.
    Ringing,
    /// What keeps the way to a registrar open, and its answer (RFC 5626 §4.4).
    KeepAlive,
    /// A server that is not found in time (RFC 3263).
    Location,
    /// A call or a subscription that is asked whether it stands, after a stop or with another address.
    Probe,
    /// The next REGISTER of an account.
    Registration,
    /// A request that its user left unanswered: the 100 of RFC 4320 §4.1, and our own answer.
    Unanswered,
    /// A reliable provisional response that waits for its PRACK (RFC 3262 §3).
    Provisional,
    /// An offer that was answered 491 and goes again (RFC 3261 §14.1).
    Glare,
    /// A session's refresh or end (RFC 4028).
    Session,
    /// A subscription's refresh or end.
    Subscription,
}

/// The base times of RFC 3261 table 4.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) t1: Duration,
    pub(crate) t2: Duration,
    pub(crate) t4: Duration,
}

impl Times {
    /// 64·T1: Timers B, D, F, H, J, L, M.
    pub(crate) fn patience(&self) -> Duration {
        self.t1 * 64
    }

    /// How long a client's Timer E takes to be set to T2: 3.5 s (RFC 4320 §4.1).
    pub(crate) fn until_t2(&self) -> Duration {
        let (mut sum, mut interval) = (Duration::ZERO, self.t1);
        while interval < self.t2 && !interval.is_zero() {
            sum += interval;
            interval *= 2;
        }
        sum
    }
}

/// Times of retransmission: doubling, up to a cap where there is one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    pub(crate) next: Instant,
    interval: Duration,
    cap: Option<Duration>,
}

impl Backoff {
    pub(crate) fn new(now: Instant, first: Duration, cap: Option<Duration>) -> Self {
        Self { next: now + first, interval: first, cap }
    }

    /// After a retransmission now, which was due at `next`. What came too late is not made up for: one retransmission
    /// says as much as many at once.
    pub(crate) fn advance(&mut self, now: Instant) {
        self.interval *= 2;
        if let Some(cap) = self.cap {
            self.interval = self.interval.min(cap);
        }
        self.next += self.interval;
        if self.next <= now {
            self.next = now + self.interval;
        }
    }
}

/// What a timer brought about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fired {
    /// The transaction is over; nobody needs to know.
    Done,
    /// Nothing was due.
    Nothing,
    /// Send the last message again.
    Retransmit,
    /// No answer (B, F) or no ACK (H) in time: the user must know; the transaction is over.
    TimedOut,
}

/// What a client transaction makes of a response.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reaction {
    /// Send the ACK again; the user has seen the response already.
    AckAgain,
    /// Hand it to the user.
    Deliver,
    /// Hand it to the user; the machine needs its ACK first.
    DeliverAndAck,
    /// Nothing.
    Ignore,
}

/// What a server transaction makes of a request that came again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Again {
    /// Nothing: it is being worked on, or acknowledged.
    Absorb,
    /// Send the last response again.
    Resend,
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test's clock must begin somewhere")]
mod tests;
