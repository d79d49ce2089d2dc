//! The two sockets of a leg: RTP on an even port, RTCP on the next (RFC 3550 section 11).

use std::{
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
};

/// An RTP and an RTCP socket, non-blocking, bound to neighbouring ports.
#[derive(Debug)]
pub struct Sockets {
    pub(super) rtp: UdpSocket,
    pub(super) rtcp: UdpSocket,
    rtp_port: u16,
}

impl Sockets {
    /// Binds a pair on `address`. Tries again while the neighbouring port is taken.
    pub fn bind(address: IpAddr) -> io::Result<Self> {
        let mut last = io::Error::from(io::ErrorKind::AddrInUse);
        for _ in 0..ATTEMPTS {
            let first = UdpSocket::bind(SocketAddr::new(address, 0))?;
            let port = first.local_addr()?.port();
            let neighbour = port ^ 1;
            match UdpSocket::bind(SocketAddr::new(address, neighbour)) {
                Ok(second) if port % 2 == 0 => return Self::new(first, second, port),
                Ok(second) => return Self::new(second, first, neighbour),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The port of the RTP socket: always even.
    pub fn rtp_port(&self) -> u16 {
        self.rtp_port
    }

    /// The port of the RTCP socket: the next one.
    pub fn rtcp_port(&self) -> u16 {
        self.rtp_port + 1
    }

    fn new(rtp: UdpSocket, rtcp: UdpSocket, rtp_port: u16) -> io::Result<Self> {
        rtp.set_nonblocking(true)?;
        rtcp.set_nonblocking(true)?;
        // Expedited forwarding (RFC 3246) for what is heard. Where the system refuses it, the
        // sound still flows.
        if rtp.local_addr()?.is_ipv4() {
            let _ = socket2::SockRef::from(&rtp).set_tos_v4(EXPEDITED_FORWARDING);
        }
        Ok(Self { rtp, rtcp, rtp_port })
    }
}

const ATTEMPTS: usize = 64;
const EXPEDITED_FORWARDING: u32 = 0xb8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rtp_is_even_and_rtcp_follows() {
        for _ in 0..20 {
            let sockets = Sockets::bind(IpAddr::from([127, 0, 0, 1])).unwrap();
            assert_eq!(sockets.rtp_port() % 2, 0);
            assert_eq!(sockets.rtp.local_addr().unwrap().port(), sockets.rtp_port());
            assert_eq!(sockets.rtcp.local_addr().unwrap().port(), sockets.rtp_port() + 1);
        }
    }
}
