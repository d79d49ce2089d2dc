//! Where a host is, and which address of ours it is reached from.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use sip_core::{DnsAnswer, ResolvedTarget};

/// Addresses of a host: a literal, or what the system's resolver says, those of the listening family only.
pub async fn resolve(host: &str, port: u16, listen: SocketAddr) -> DnsAnswer {
    let literal = host.trim_matches(['[', ']']).parse::<IpAddr>();
    let addresses: Vec<SocketAddr> = match literal {
        Ok(ip) => vec![SocketAddr::new(ip, port)],
        Err(_) => match tokio::net::lookup_host((host, port)).await {
            Ok(found) => found.collect(),
            Err(error) => {
                tracing::debug!(%error, "a host was not found");
                Vec::new()
            }
        },
    };
    let fitting = addresses.into_iter().filter(|address| address.is_ipv4() == listen.is_ipv4());
    let targets = fitting.filter_map(|remote| {
        let ip =
            if listen.ip().is_unspecified() { local_towards(remote).ok()? } else { listen.ip() };
        Some(ResolvedTarget { remote, local: SocketAddr::new(ip, listen.port()) })
    });
    DnsAnswer { targets: targets.collect() }
}

/// The address of ours that packets to this peer leave from. Nothing is sent.
pub fn local_towards(remote: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr =
        if remote.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(remote)?;
    Ok(socket.local_addr()?.ip())
}
