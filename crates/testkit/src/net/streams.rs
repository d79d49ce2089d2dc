//! TCP connections of the virtual network: who holds which end, that bytes arrive in order, and how they break.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Instant;

use sip_core::{Connect, ConnectionChange, ConnectionId, Flow};

/// One end: whose, and its number there.
pub(super) type End = (usize, ConnectionId);

/// All connections.
#[derive(Default)]
pub(super) struct Streams {
    /// The other end of each end; none when that one is gone and this one has not heard of it.
    ends: BTreeMap<End, Option<End>>,
    /// By whom each end is reached, to find a connection that is named by address only.
    remotes: BTreeMap<(usize, SocketAddr), ConnectionId>,
    /// When the last bytes arrive at each end.
    last_arrival: BTreeMap<End, Instant>,
    /// Ends that take nothing more, though it is on its way.
    dead: BTreeSet<End>,
    opened: u64,
}

/// What a connection leads to.
pub(super) enum Peer {
    /// That end.
    End(End),
    /// To nobody: the sender will hear that it is gone.
    Gone(End),
    /// There is no such connection.
    None,
}

impl Streams {
    /// Opens a connection, or refuses it where `to` is nobody: what each end is told. `outside` is the address that the
    /// connecting end is seen under.
    pub(super) fn open(
        &mut self,
        from: usize,
        local: SocketAddr,
        outside: std::net::IpAddr,
        connect: &Connect,
        to: Option<usize>,
    ) -> Vec<(End, ConnectionChange)> {
        let ours = (from, connect.connection);
        let Some(to) = to else {
            return vec![(ours, ConnectionChange::Closed { refused: true })];
        };
        let transport = connect.transport;
        self.opened += 1;
        let theirs = (to, ConnectionId(self.opened));
        let port = 40_000 + u16::try_from(self.opened % 20_000).unwrap_or_default();
        let outside = SocketAddr::new(outside, port);
        self.ends.insert(ours, Some(theirs));
        self.ends.insert(theirs, Some(ours));
        self.remotes.insert((from, connect.remote), connect.connection);
        self.remotes.insert((to, outside), theirs.1);
        let opened = |local, remote, connection| ConnectionChange::Opened {
            flow: Flow { transport, local, remote, connection: Some(connection) },
        };
        vec![
            (theirs, opened(connect.remote, outside, theirs.1)),
            (ours, opened(local, connect.remote, connect.connection)),
        ]
    }

    /// Where the connection leads that a flow of `from` names.
    pub(super) fn peer(&self, from: usize, flow: &Flow) -> Peer {
        let id = flow.connection.or_else(|| self.remotes.get(&(from, flow.remote)).copied());
        let Some(own) = id.map(|id| (from, id)) else { return Peer::None };
        match self.ends.get(&own) {
            Some(Some(other)) => Peer::End(*other),
            Some(None) => Peer::Gone(own),
            None => Peer::None,
        }
    }

    /// Takes away both ends: the one that is to hear of it.
    pub(super) fn close(&mut self, end: End) -> Option<End> {
        let other = self.forget(end)??;
        self.forget(other);
        Some(other)
    }

    /// All connections between two seats, by the end at the first; with one seat, all of its.
    pub(super) fn between(&self, one: usize, other: Option<usize>) -> Vec<End> {
        let fits = |end: &Option<End>| match other {
            Some(other) => end.is_some_and(|(at, _)| at == other),
            None => true,
        };
        let all = self.ends.iter().filter(|((at, _), peer)| *at == one && fits(peer));
        all.map(|(end, _)| *end).collect()
    }

    /// Breaks a connection: nothing on its way arrives. Gives the end that is still there without its peer.
    pub(super) fn reset(&mut self, end: End) -> Option<End> {
        let other = self.forget(end).flatten();
        self.dead.insert(end);
        if let Some(other) = other {
            self.dead.insert(other);
            self.ends.insert(other, None);
        }
        other
    }

    /// An end that was reset and whose owner does not know.
    pub(super) fn orphan(&mut self, end: End) {
        self.ends.insert(end, None);
    }

    /// An end that knows that its connection is gone.
    pub(super) fn forget(&mut self, end: End) -> Option<Option<End>> {
        let other = self.ends.remove(&end)?;
        self.remotes.retain(|(at, _), id| (*at, *id) != end);
        Some(other)
    }

    /// Whether bytes may still be given to an end.
    pub(super) fn takes(&self, end: End) -> bool {
        !self.dead.contains(&end)
    }

    /// When bytes that could arrive at `earliest` do arrive: never before those sent earlier.
    pub(super) fn arrival(&mut self, end: End, earliest: Instant) -> Instant {
        let last = self.last_arrival.entry(end).or_insert(earliest);
        *last = earliest.max(*last);
        *last
    }
}
