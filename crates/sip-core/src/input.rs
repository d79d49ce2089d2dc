//! What goes into and comes out of [`crate::Endpoint`]: bytes with their addresses, connections, answers of the name
//! system, and time.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use bytes::Bytes;

use crate::Event;

/// A transport of RFC 3261 §18 that is implemented.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Transport {
    /// TCP: framed by Content-Length, never retransmitted by us.
    Tcp,
    /// TLS over TCP (RFC 3261 §26.2): as TCP, and the only one that a `sips` URI takes.
    Tls,
    /// UDP: one message a datagram, retransmitted by the transaction layer.
    Udp,
}

impl Transport {
    /// Whether the transport itself retransmits (RFC 3261 §17).
    pub const fn is_reliable(self) -> bool {
        match self {
            Self::Tcp | Self::Tls => true,
            Self::Udp => false,
        }
    }

    /// The token of a Via header: `UDP`, `TCP`, `TLS`.
    pub const fn via_token(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Udp => "UDP",
        }
    }

    /// The port of a URI that names none (RFC 3261 §19.1.2): 5060, and 5061 for TLS.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Tcp | Self::Udp => 5060,
            Self::Tls => 5061,
        }
    }
}

/// How a request outside of dialogs gets to its server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// As this account: from its address, by its proxy, with its credentials.
    Account(crate::AccountId),
    /// By this flow and no other; its local address goes into Via and Contact.
    Flow(Flow),
    /// The Endpoint finds the server from the topmost Route or the Request-URI (RFC 3263), asking by
    /// [`Output::Resolve`], and tries the next address where one does not answer (§4.3).
    Locate,
}

impl From<Flow> for Way {
    fn from(flow: Flow) -> Self {
        Self::Flow(flow)
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
    /// UDP, TCP or TLS.
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

/// A question to the name system (RFC 3263 §4).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Query {
    /// Comes back in [`Input::Resolved`].
    pub id: QueryId,
    /// The name as it is asked for, without a dot at its end; for [`Question::Addresses`] also a literal address
    /// without brackets, which needs no name system but a way there.
    pub name: String,
    /// What is asked.
    pub question: Question,
}

/// What is asked about a name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Question {
    /// Its addresses (A, AAAA), and from which of ours each is reached.
    Addresses {
        /// What will be spoken to them: our listening ports differ.
        transport: Transport,
    },
    /// Which services it offers (RFC 3403).
    Naptr,
    /// At which hosts a service is (RFC 2782).
    Srv,
}

/// One address of a host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ResolvedTarget {
    /// The peer's address.
    pub remote: IpAddr,
    /// Our own address towards it, with the port that we listen on.
    pub local: SocketAddr,
}

/// A NAPTR record (RFC 3403 §4.1).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NaptrRecord {
    /// Records of a lower order come first.
    pub order: u16,
    /// Among those of one order, lower ones are preferred.
    pub preference: u16,
    /// `s` where the replacement is the name of SRV records.
    pub flags: String,
    /// `SIP+D2U`, `SIP+D2T`, `SIPS+D2T`.
    pub services: String,
    /// The name to go on with.
    pub replacement: String,
}

/// An SRV record (RFC 2782).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SrvRecord {
    /// Lower ones come first.
    pub priority: u16,
    /// The share among those of one priority.
    pub weight: u16,
    /// The port of the service.
    pub port: u16,
    /// The host; `.` says that there is no such service.
    pub target: String,
}

/// The answer to a [`Query`], of its kind and in any order; empty when there is nothing or nobody answered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DnsAnswer {
    /// To [`Question::Addresses`], in the order in which they are to be tried.
    Addresses(Vec<ResolvedTarget>),
    /// To [`Question::Naptr`].
    Naptr(Vec<NaptrRecord>),
    /// To [`Question::Srv`].
    Srv(Vec<SrvRecord>),
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
    /// Addresses of ours have come or gone, or an interface works again: the way to a peer may be another one. Flows,
    /// registrations and calls are looked after as with [`Input::Resumed`].
    AddressesChanged {
        /// When.
        now: Instant,
        /// Those that are ours no more: connections of theirs are closed at once.
        gone: &'a [IpAddr],
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
    /// The machine slept, or the process was stopped: whatever was agreed on with anybody may be void. Feed it before the
    /// timeout that has become due meanwhile. Accounts register anew, and each call is asked whether it still stands.
    Resumed {
        /// When it was noticed.
        now: Instant,
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
    /// [`Transport::Tcp`] or [`Transport::Tls`].
    pub transport: Transport,
    /// TLS: the SIP domain that the peer's certificate has to be for (RFC 5922 §7), as it was before the name system
    /// was asked.
    pub domain: String,
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
