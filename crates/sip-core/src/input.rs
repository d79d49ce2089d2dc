//! What goes into and comes out of [`crate::Endpoint`]: bytes with their addresses, connections, answers of the name
//! system, and time.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;

use crate::Event;

/// A transport of RFC 3261 §18 that is implemented.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Transport {
    /// TCP: framed by Content-Length, never retransmitted by us.
    Tcp,
    /// UDP: one message a datagram, retransmitted by the transaction layer.
    Udp,
}

impl Transport {
    /// Whether the transport itself retransmits (RFC 3261 §17).
    pub const fn is_reliable(self) -> bool {
        matches!(self, Self::Tcp)
    }

    /// The token of a Via header: `UDP`, `TCP`.
    pub const fn via_token(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        }
    }
}

/// Names one stream connection; given by the driver, never used again for another.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ConnectionId(pub u64);

impl ConnectionId {
    /// Whether the Endpoint asked for it: see [`Connect`].
    pub const fn is_ours(self) -> bool {
        self.0 >> 63 == 1
    }
}

/// Where a message came from or goes to.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Flow {
    /// UDP or TCP.
    pub transport: Transport,
    /// Our own address as the peer can reach it: never the unspecified one.
    pub local: SocketAddr,
    /// The peer's address.
    pub remote: SocketAddr,
    /// The connection, where there is one.
    pub connection: Option<ConnectionId>,
}

/// What happened to a connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ConnectionChange {
    /// The peer connected to us, or a connection we asked for stands.
    Opened {
        /// Both ends. `flow.connection` is this connection.
        flow: Flow,
    },
    /// It is gone; `refused` when it never stood (RFC 3261 §18.1.1 then retries over UDP).
    Closed {
        /// Whether the peer refused it from the start.
        refused: bool,
    },
}

/// Names one question to the name system.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct QueryId(pub u64);

/// A question: at which address is this host, and from which of ours is it reached?
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Query {
    /// Comes back in [`Input::Resolved`].
    pub id: QueryId,
    /// A name or a literal address (without brackets).
    pub host: String,
    /// The port to reach it on.
    pub port: u16,
    /// The transport to be used.
    pub transport: Transport,
}

/// One address of a host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ResolvedTarget {
    /// The peer's address.
    pub remote: SocketAddr,
    /// Our own address towards it.
    pub local: SocketAddr,
}

/// The answer to a [`Query`]: empty when the host does not exist or cannot be reached.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct DnsAnswer {
    /// In the order in which they are to be tried.
    pub targets: Vec<ResolvedTarget>,
}

/// One input.
#[derive(Debug)]
pub enum Input<'a> {
    /// A UDP datagram.
    Datagram {
        /// When it was read.
        now: Instant,
        /// Always [`Transport::Udp`] for the time being.
        transport: Transport,
        /// Who sent it.
        source: SocketAddr,
        /// The address of ours it came to. On a listener of the unspecified address: the one that packets to `source`
        /// leave from, which is what the peer is told to answer to.
        destination: SocketAddr,
        /// Its bytes.
        contents: &'a [u8],
    },
    /// Bytes of a connection, in order, cut anywhere: framing is done inside.
    Stream {
        /// When they were read.
        now: Instant,
        /// Which connection.
        connection: ConnectionId,
        /// The bytes.
        contents: &'a [u8],
    },
    /// A connection opened or closed.
    Connection {
        /// When.
        now: Instant,
        /// Which.
        connection: ConnectionId,
        /// How.
        change: ConnectionChange,
    },
    /// The name system answered.
    Resolved {
        /// When.
        now: Instant,
        /// The question.
        query: QueryId,
        /// The answer.
        answer: DnsAnswer,
    },
    /// The system says that a datagram cannot get there (RFC 3261 §18.4): no route, or an ICMP error that it told.
    Unreachable {
        /// When.
        now: Instant,
        /// To whom it was sent.
        destination: SocketAddr,
    },
    /// Time has passed; at least what [`crate::Endpoint::poll_timeout`] asked for, or any later time.
    Timeout(Instant),
}

/// Bytes to be sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Transmit {
    /// Where from and where to; with a connection where one is to be used.
    pub flow: Flow,
    /// What.
    pub contents: Bytes,
}

/// A connection to be opened by the driver, which answers with [`Input::Connection`] under this id.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Connect {
    /// The id the Endpoint chose (its upper bit is set; the driver's own ids have it clear).
    pub connection: ConnectionId,
    /// Our address to connect from; its port is not binding.
    pub local: SocketAddr,
    /// The peer's address.
    pub remote: SocketAddr,
}

/// One output; drained until [`Output::Timeout`].
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "an output is moved once, out of the queue")]
pub enum Output {
    /// Close a connection once what was handed over for it is written; nothing of it is read any more.
    Close(ConnectionId),
    /// Open a connection.
    Connect(Connect),
    /// Something the user of the Endpoint must know.
    Event(Event),
    /// Ask the name system.
    Resolve(Query),
    /// Nothing more now: call again at this time, or on the next input.
    Timeout(Option<Instant>),
    /// Send bytes.
    Transmit(Transmit),
}
