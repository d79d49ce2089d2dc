//! What the name system says, and which address of ours a host is reached from.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use sip_core::{DnsAnswer, Query, Question, ResolvedTarget};

/// The answer to a question; empty where there is none.
pub(crate) async fn resolve(query: &Query, listen: SocketAddr) -> DnsAnswer {
    match query.question {
        Question::Addresses { .. } => DnsAnswer::Addresses(addresses(&query.name, listen).await),
        Question::Naptr => DnsAnswer::Naptr(Vec::new()),
        Question::Srv => DnsAnswer::Srv(Vec::new()),
    }
}

/// Addresses of a host: a literal, or what the system's resolver says, those of the listening family only.
async fn addresses(host: &str, listen: SocketAddr) -> Vec<ResolvedTarget> {
    let found: Vec<IpAddr> = match host.parse::<IpAddr>() {
        Ok(ip) => vec![ip],
        Err(_) => match tokio::net::lookup_host((host, 0)).await {
            Ok(found) => found.map(|address| address.ip()).collect(),
            Err(error) => {
                tracing::debug!(%error, "a host was not found");
                Vec::new()
            }
        },
    };
    let fitting = found.into_iter().filter(|address| address.is_ipv4() == listen.is_ipv4());
    let targets = fitting.filter_map(|remote| {
        let ip = if listen.ip().is_unspecified() {
            local_towards(SocketAddr::new(remote, 5060)).ok()?
        } else {
            listen.ip()
        };
        Some(ResolvedTarget { remote, local: SocketAddr::new(ip, listen.port()) })
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
