//! Systems that do not say which datagram came back.

use std::io;
use std::net::SocketAddr;

use socket2::Socket;
use tokio::net::UdpSocket;

pub(crate) fn keep(_socket: &Socket, _is_ipv6: bool) -> io::Result<()> {
    Ok(())
}

pub(crate) fn next(_socket: &std::net::UdpSocket) -> io::Result<Option<SocketAddr>> {
    Err(io::ErrorKind::WouldBlock.into())
}

pub(crate) async fn ready(udp: &UdpSocket) {
    let _ = udp.readable().await;
}

pub(crate) fn returned(_udp: &UdpSocket) -> Option<SocketAddr> {
    None
}
