//! TCP connections of the virtual network: who holds which end, and that bytes arrive in order.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use sip_core::{Connect, ConnectionChange, ConnectionId, Flow};

/// All connections.
#[derive(Default)]
pub struct Streams {
    /// The other end of each end.
    ends: BTreeMap<(usize, ConnectionId), (usize, ConnectionId)>,
    /// By whom each end is reached, to find a connection that is named by address only.
    remotes: BTreeMap<(usize, SocketAddr), ConnectionId>,
    /// When the last bytes arrive at each end.
    last_arrival: BTreeMap<(usize, ConnectionId), Instant>,
    opened: u64,
}

impl Streams {
    /// Opens a connection, or refuses it where `to` is nobody: what each end is told.
    pub fn open(
        &mut self,
        from: usize,
        local: SocketAddr,
        connect: &Connect,
        to: Option<usize>,
    ) -> Vec<(usize, ConnectionId, ConnectionChange)> {
        let Some(to) = to else {
            let change = ConnectionChange::Closed { refused: true };
            return vec![(from, connect.connection, change)];
        };
        let transport = connect.transport;
        self.opened += 1;
        let accepted = ConnectionId(self.opened);
        let port = 40_000 + u16::try_from(self.opened % 20_000).unwrap_or_default();
        let outside = SocketAddr::new(local.ip(), port);
        self.ends.insert((from, connect.connection), (to, accepted));
        self.ends.insert((to, accepted), (from, connect.connection));
        self.remotes.insert((from, connect.remote), connect.connection);
        self.remotes.insert((to, outside), accepted);
        let opened = |local, remote, connection| ConnectionChange::Opened {
            flow: Flow { transport, local, remote, connection: Some(connection) },
        };
        vec![
            (to, accepted, opened(connect.remote, outside, accepted)),
            (from, connect.connection, opened(local, connect.remote, connect.connection)),
        ]
    }

    /// The other end of the connection that a flow of `from` names.
    pub fn peer(&self, from: usize, flow: &Flow) -> Option<(usize, ConnectionId)> {
        let own = flow.connection.or_else(|| self.remotes.get(&(from, flow.remote)).copied())?;
        self.ends.get(&(from, own)).copied()
    }

    /// Takes away both ends: the one that is to hear of it.
    pub fn close(
        &mut self,
        from: usize,
        connection: ConnectionId,
    ) -> Option<(usize, ConnectionId)> {
        let other = self.ends.remove(&(from, connection))?;
        self.ends.remove(&other);
        self.remotes.retain(|(at, _), id| (*at, *id) != (from, connection) && (*at, *id) != other);
        Some(other)
    }

    /// When bytes that could arrive at `earliest` do arrive: never before those sent earlier.
    pub fn arrival(&mut self, to: usize, connection: ConnectionId, earliest: Instant) -> Instant {
        let last = self.last_arrival.entry((to, connection)).or_insert(earliest);
        *last = earliest.max(*last);
        *last
    }
}
