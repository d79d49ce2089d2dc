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

    /// Throws away what waits.
    pub(super) fn drain(&self) {
        let mut datagram = [0; 16];
        for socket in [&self.rtp, &self.rtcp] {
            for _ in 0..MOST_WAITING {
                match socket.recv(&mut datagram) {
                    Ok(_) => {}
                    // Some systems call a datagram that does not fit an error; it is gone all the same.
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock => {}
                    Err(_) => break,
                }
            }
        }
    }

    fn new(rtp: UdpSocket, rtcp: UdpSocket, rtp_port: u16) -> io::Result<Self> {
        rtp.set_nonblocking(true)?;
        rtcp.set_nonblocking(true)?;
        // Expedited forwarding (RFC 3246) for what is heard. Where the system refuses it, the
        // sound still flows.
        let socket = socket2::SockRef::from(&rtp);
        let _ = match rtp.local_addr()? {
            SocketAddr::V4(_) => socket.set_tos_v4(EXPEDITED_FORWARDING),
            #[cfg(unix)]
            SocketAddr::V6(_) => socket.set_tclass_v6(EXPEDITED_FORWARDING),
            #[cfg(not(unix))]
            SocketAddr::V6(_) => Ok(()),
        };
        Ok(Self { rtp, rtcp, rtp_port })
    }
}

const ATTEMPTS: usize = 64;
const MOST_WAITING: usize = 10_000;
const EXPEDITED_FORWARDING: u32 = 0xb8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_is_marked_as_urgent_in_both_families() {
        let sockets = Sockets::bind(IpAddr::from([127, 0, 0, 1])).unwrap();
        let marked = socket2::SockRef::from(&sockets.rtp).tos_v4();
        assert_eq!(marked.unwrap(), EXPEDITED_FORWARDING);
        let Ok(sockets) = Sockets::bind(IpAddr::from(std::net::Ipv6Addr::LOCALHOST)) else {
            return;
        };
        let marked = socket2::SockRef::from(&sockets.rtp).tclass_v6();
        assert_eq!(marked.unwrap(), EXPEDITED_FORWARDING);
    }

    #[test]
    fn nothing_waits_after_a_drain() {
        let sockets = Sockets::bind(IpAddr::from([127, 0, 0, 1])).unwrap();
        for _ in 0..50 {
            sockets.rtcp.send_to(&[7; 200], sockets.rtp.local_addr().unwrap()).unwrap();
        }
        sockets.drain();
        assert!(sockets.rtp.recv(&mut [0; 300]).is_err());
    }

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
