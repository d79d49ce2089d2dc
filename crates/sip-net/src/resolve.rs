//! What the name system says, and which address of ours a host is reached from.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use sip_core::{DnsAnswer, Query, Question, ResolvedTarget, Transport};

use crate::names::Names;

/// Where we listen: for UDP and TCP, and for TLS where we do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listening {
    pub(crate) plain: SocketAddr,
    pub(crate) tls_port: Option<u16>,
}

impl Listening {
    fn port(self, transport: Transport) -> u16 {
        match transport {
            Transport::Tcp | Transport::Udp => self.plain.port(),
            Transport::Tls => self.tls_port.unwrap_or(self.plain.port()),
        }
    }
}

/// The answer to a question; empty where there is none.
pub(crate) async fn resolve(names: &Names, query: &Query, listening: Listening) -> DnsAnswer {
    match query.question {
        Question::Addresses { transport } => {
            let found = match query.name.parse::<IpAddr>() {
                Ok(ip) => vec![ip],
                Err(_) => names.addresses(&query.name).await,
            };
            DnsAnswer::Addresses(reached(found, transport, listening))
        }
        Question::Naptr => DnsAnswer::Naptr(names.naptr(&query.name).await),
        Question::Srv => DnsAnswer::Srv(names.srv(&query.name).await),
    }
}

/// Those of the listening family, each with our own address towards it.
fn reached(found: Vec<IpAddr>, transport: Transport, listening: Listening) -> Vec<ResolvedTarget> {
    let listen = listening.plain;
    let fitting = found.into_iter().filter(|address| address.is_ipv4() == listen.is_ipv4());
    let targets = fitting.filter_map(|remote| {
        let ip = if listen.ip().is_unspecified() {
            local_towards(SocketAddr::new(remote, 5060)).ok()?
        } else {
            listen.ip()
        };
        Some(ResolvedTarget { remote, local: SocketAddr::new(ip, listening.port(transport)) })
    });
    targets.collect()
}

/// The address of ours that packets to this peer leave from. Nothing is sent.
pub fn local_towards(remote: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr =
        if remote.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(remote)?;
    Ok(socket.local_addr()?.ip())
}
