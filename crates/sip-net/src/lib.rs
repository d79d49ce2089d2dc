//! The tokio driver of sip-core: UDP and TCP on one port, TLS on another, IPv4 and IPv6, DNS. It moves bytes and answers where a host is;
//! it decides nothing (RFC 3261 §18).

mod connection;
mod names;
mod resolve;
mod tls;
mod unreachable;
mod watch;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sip_core::{
    Connect, ConnectionChange, ConnectionId, DnsAnswer, Query, QueryId, Transmit, Transport,
};
use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::mpsc;

pub use resolve::local_towards;
pub use tls::{CertificateProblem, TlsIdentity, TlsSettings, TlsSettingsError};
pub use watch::StopWatch;

use connection::Connections;
use names::Names;
use resolve::Listening;
use tls::Tls;
use watch::Changes;

/// Received things that wait for the engine; beyond that the sockets wait.
const MAX_WAITING: usize = 4096;
const MAX_DATAGRAM: usize = 65_535;
/// How often a datagram is tried where the system tells of others that came back, and how many of those at a time.
const MAX_ATTEMPTS: u32 = 8;
const MAX_ERRORS: u32 = 256;
/// Peers whose way is remembered.
const MAX_ROUTES: usize = 4096;

/// What a [`Driver`] is told once.
#[derive(Clone, Debug, Default)]
pub struct DriverSettings {
    /// The name server for everything; without it services are asked of the system's servers and addresses of the
    /// system's resolver.
    pub name_server: Option<SocketAddr>,
    /// TLS.
    pub tls: TlsSettings,
    /// The port to take TLS connections on, where [`TlsSettings::identity`] is given; 0 takes any free one.
    pub tls_port: u16,
}

/// Why no port could be had.
#[derive(Debug, Error)]
pub enum BindError {
    /// The wished port is taken.
    #[error("port {port} is used by another program")]
    PortTaken {
        /// Which.
        port: u16,
    },
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsSettingsError),
    /// Anything else, such as an address that is not ours.
    #[error("cannot listen on {address}: {source}")]
    Unusable {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// Something came in.
#[derive(Debug)]
pub enum Received {
    /// Addresses of ours are new or gone, or work again.
    AddressesChanged {
        /// Those that are gone.
        gone: Vec<IpAddr>,
    },
    /// A connection opened or closed.
    Connection {
        /// Which.
        connection: ConnectionId,
        /// How.
        change: ConnectionChange,
    },
    /// A datagram.
    Datagram {
        /// From.
        source: SocketAddr,
        /// The address of ours: the bound one, or where that is the unspecified one, the address that packets to
        /// `source` leave from.
        destination: SocketAddr,
        /// Its bytes.
        contents: Vec<u8>,
    },
    /// The name system answered.
    Resolved {
        /// The question.
        query: QueryId,
        /// The answer.
        answer: DnsAnswer,
    },
    /// Bytes of a connection.
    Stream {
        /// Which.
        connection: ConnectionId,
        /// The bytes.
        contents: Vec<u8>,
    },
    /// A TLS server could not show that it is who it should be: nothing was sent to it.
    Untrusted {
        /// Whom we meant.
        domain: String,
        /// What is wrong with its certificate.
        problem: CertificateProblem,
    },
    /// The system knows of no way for a datagram, or an ICMP error says that it did not arrive (RFC 3261 §18.4). Only
    /// Linux tells which one that was.
    Unreachable {
        /// To.
        destination: SocketAddr,
    },
}

/// The sockets of one user agent.
#[derive(Debug)]
pub struct Driver {
    /// The same socket as the reading task's. Sending needs no readiness: a datagram goes at once or not at all, and
    /// tokio's own would call a fresh socket not ready.
    udp: std::net::UdpSocket,
    address: SocketAddr,
    received: mpsc::Receiver<Received>,
    sender: mpsc::Sender<Received>,
    connections: Connections,
    names: Arc<Names>,
    tls_port: Option<u16>,
}

impl Driver {
    /// Listens on UDP and TCP of the same port (RFC 3261 §18). Port 0 takes any free one.
    pub async fn bind(listen: SocketAddr) -> Result<Self, BindError> {
        Self::bind_with(listen, &DriverSettings::default()).await
    }

    /// The same with settings: TLS besides, where a certificate is given.
    pub async fn bind_with(
        listen: SocketAddr,
        settings: &DriverSettings,
    ) -> Result<Self, BindError> {
        let tls = Tls::new(&settings.tls)?;
        let secure = match tls.acceptor() {
            None => None,
            Some(_) => {
                let address = SocketAddr::new(listen.ip(), settings.tls_port);
                let unusable = |source| BindError::Unusable { address, source };
                Some(listen_tcp(address).map_err(unusable)?)
            }
        };
        let sockets = Self::sockets(listen)?;
        Ok(Self::start(sockets, listen, secure, tls, Names::new(settings.name_server)))
    }

    fn sockets(listen: SocketAddr) -> Result<Sockets, BindError> {
        let attempts = if listen.port() == 0 { 32 } else { 1 };
        let mut last = None;
        for _ in 0..attempts {
            match bind_both(listen) {
                Ok(sockets) => return Ok(sockets),
                Err(error) => last = Some(error),
            }
        }
        let source = last.unwrap_or_else(|| io::Error::from(io::ErrorKind::AddrInUse));
        if source.kind() == io::ErrorKind::AddrInUse {
            return Err(BindError::PortTaken { port: listen.port() });
        }
        Err(BindError::Unusable { address: listen, source })
    }

    fn start(
        (udp, reading, tcp): Sockets,
        listen: SocketAddr,
        secure: Option<TcpListener>,
        tls: Tls,
        names: Names,
    ) -> Self {
        let address = udp.local_addr().unwrap_or(listen);
        let (sender, received) = mpsc::channel(MAX_WAITING);
        let changes = Changes::default();
        tokio::spawn(read_datagrams(reading, address, sender.clone(), Arc::clone(&changes)));
        tokio::spawn(watch::watch_addresses(sender.clone(), changes));
        let acceptor = tls.acceptor().cloned();
        let connections = Connections::new(sender.clone(), address, tls);
        connections.accept(tcp, None);
        let tls_port = secure.as_ref().and_then(|secure| secure.local_addr().ok());
        let tls_port = tls_port.map(|address| address.port());
        if let (Some(secure), Some(acceptor)) = (secure, acceptor) {
            connections.accept(secure, Some(acceptor));
        }
        let names = Arc::new(names);
        Self { udp, address, received, sender, connections, names, tls_port }
    }

    /// Where it listens; the address may be the unspecified one.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port for TLS, where connections by it are taken.
    pub fn tls_port(&self) -> Option<u16> {
        self.tls_port
    }

    /// The next thing that came in. Cancel safe.
    pub async fn receive(&mut self) -> Option<Received> {
        self.received.recv().await
    }

    /// The next thing that is there already.
    pub fn try_receive(&mut self) -> Option<Received> {
        self.received.try_recv().ok()
    }

    /// Sends. Nothing waits: a datagram the system cannot take is lost as on the wire, and the transaction repeats it.
    pub fn send(&mut self, transmit: &Transmit) {
        if transmit.flow.transport != Transport::Udp {
            if let Some(connection) = transmit.flow.connection {
                self.connections.send(connection, transmit.contents.clone());
            }
            return;
        }
        self.send_datagram(&transmit.contents, transmit.flow.remote);
    }

    fn send_datagram(&self, contents: &[u8], destination: SocketAddr) {
        let mut attempts = 0;
        while let Err(error) = self.udp.send_to(contents, destination) {
            let unreachable = says_unreachable(&error);
            // Linux gives a socket's next call the error of any earlier datagram; this one has not gone then.
            if unreachable && attempts < MAX_ATTEMPTS {
                attempts += 1;
                self.tell_unreachable();
                continue;
            }
            tracing::debug!(%error, "a datagram was not sent");
            // A refusal is never this datagram's own, which is not there yet. Anything else, such as full buffers or a
            // datagram too large, says nothing about the peer.
            if unreachable && error.kind() != io::ErrorKind::ConnectionRefused {
                let _ = self.sender.try_send(Received::Unreachable { destination });
            }
            return;
        }
    }

    /// Tells of the datagrams that came back.
    fn tell_unreachable(&self) {
        for _ in 0..MAX_ERRORS {
            match unreachable::next(&self.udp) {
                Ok(Some(destination)) => {
                    let _ = self.sender.try_send(Received::Unreachable { destination });
                }
                Ok(None) => {}
                Err(_) => return,
            }
        }
    }

    /// Asks the name system; [`Received::Resolved`] tells what it says.
    pub fn resolve(&mut self, query: Query) {
        let (sender, names) = (self.sender.clone(), Arc::clone(&self.names));
        let listening = Listening { plain: self.address, tls_port: self.tls_port };
        tokio::spawn(async move {
            let answer = resolve::resolve(&names, &query, listening).await;
            let _ = sender.send(Received::Resolved { query: query.id, answer }).await;
        });
    }

    /// Opens a connection; [`Received::Connection`] tells how that went.
    pub fn connect(&mut self, connect: &Connect) {
        self.connections.connect(connect);
    }

    /// Closes a connection once what it was given is written; nothing more of it is received but its end.
    pub fn close(&mut self, connection: ConnectionId) {
        self.connections.close(connection);
    }
}

/// For sending, for reading, and for connections.
type Sockets = (std::net::UdpSocket, UdpSocket, TcpListener);

fn bind_both(listen: SocketAddr) -> io::Result<Sockets> {
    let domain = Domain::for_address(listen);
    let udp = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    udp.set_nonblocking(true)?;
    if listen.is_ipv6() {
        // Mapped IPv4 addresses would be a second way to write each peer's address, and none that SIP may write.
        udp.set_only_v6(true)?;
    }
    // Bursts of a large conference wait in the kernel, not on the floor.
    let _ = udp.set_recv_buffer_size(1 << 20);
    unreachable::keep(&udp, listen.is_ipv6())?;
    udp.bind(&listen.into())?;
    let udp: std::net::UdpSocket = udp.into();
    let reading = UdpSocket::from_std(udp.try_clone()?)?;
    let address = SocketAddr::new(listen.ip(), udp.local_addr()?.port());
    Ok((udp, reading, listen_tcp(address)?))
}

fn listen_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let tcp = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    tcp.set_nonblocking(true)?;
    tcp.set_reuse_address(true)?;
    if address.is_ipv6() {
        tcp.set_only_v6(true)?;
    }
    tcp.bind(&address.into())?;
    tcp.listen(128)?;
    TcpListener::from_std(tcp.into())
}

fn says_unreachable(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
    )
}

async fn read_datagrams(
    udp: UdpSocket,
    address: SocketAddr,
    sender: mpsc::Sender<Received>,
    changes: Changes,
) {
    let mut buffer = vec![0; MAX_DATAGRAM];
    let mut routes = BTreeMap::new();
    let mut seen = 0;
    loop {
        let received = match udp.try_recv_from(&mut buffer) {
            Ok((length, source)) => {
                let changed = changes.load(Ordering::Relaxed);
                if changed != seen {
                    seen = changed;
                    routes.clear();
                }
                let destination = destination(address, source, &mut routes);
                let contents = buffer[..length].to_vec();
                Received::Datagram { source, destination, contents }
            }
            Err(error) => match unreachable::returned(&udp) {
                Some(destination) => Received::Unreachable { destination },
                None if error.kind() == io::ErrorKind::WouldBlock => {
                    tokio::select! {
                        () = unreachable::ready(&udp) => continue,
                        // Nobody listens any more: the port is free again.
                        () = sender.closed() => return,
                    }
                }
                None => {
                    // An error of some earlier datagram is told here, too; the socket itself goes on.
                    tracing::debug!(%error, "reading a datagram");
                    tokio::task::yield_now().await;
                    continue;
                }
            },
        };
        if sender.send(received).await.is_err() {
            return;
        }
    }
}

/// The address of ours that a peer's datagram came to: the bound one, or the one towards that peer.
fn destination(
    bound: SocketAddr,
    source: SocketAddr,
    routes: &mut BTreeMap<IpAddr, IpAddr>,
) -> SocketAddr {
    if !bound.ip().is_unspecified() {
        return bound;
    }
    if let Some(ip) = routes.get(&source.ip()) {
        return SocketAddr::new(*ip, bound.port());
    }
    let ip = local_towards(source).unwrap_or(bound.ip());
    if routes.len() >= MAX_ROUTES {
        routes.clear();
    }
    routes.insert(source.ip(), ip);
    SocketAddr::new(ip, bound.port())
}
