//! Linux keeps the ICMP errors of a socket in a queue of their own, each with the address that the datagram went to.

use std::io;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsRawFd;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc::{SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6, sock_extended_err, sockaddr_in6};
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt,
};
use socket2::Socket;
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Has the system keep the errors of a socket.
pub(crate) fn keep(socket: &Socket, is_ipv6: bool) -> io::Result<()> {
    let kept = if is_ipv6 {
        setsockopt(socket, sockopt::Ipv6RecvErr, &true)
    } else {
        setsockopt(socket, sockopt::Ipv4RecvErr, &true)
    };
    Ok(kept?)
}

/// Takes the next error: the address that cannot be reached; `None` for one that says less. `WouldBlock` where there is
/// none. Nothing of the datagram itself is looked at.
pub(crate) fn next(socket: &impl AsRawFd) -> io::Result<Option<SocketAddr>> {
    let mut space = cmsg_space!(sock_extended_err, sockaddr_in6);
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let read = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut [], Some(&mut space), flags);
    let message = match read {
        Ok(message) => message,
        Err(Errno::EAGAIN) => return Err(io::ErrorKind::WouldBlock.into()),
        Err(error) => return Err(error.into()),
    };
    let found = message.cmsgs()?.any(|part| match part {
        ControlMessageOwned::Ipv4RecvErr(error, _) | ControlMessageOwned::Ipv6RecvErr(error, _) => {
            says_unreachable(&error)
        }
        _ => false,
    });
    Ok(message.address.filter(|_| found).and_then(|address| as_std(&address)))
}

/// Waits for a datagram, or for an error.
pub(crate) async fn ready(udp: &UdpSocket) {
    let _ = udp.ready(Interest::READABLE.add(Interest::ERROR)).await;
}

/// Where the next datagram that came back had gone to; `None` where no other did.
pub(crate) fn returned(udp: &UdpSocket) -> Option<SocketAddr> {
    loop {
        match udp.try_io(Interest::ERROR, || next(udp)) {
            Ok(None) => {}
            Ok(found) => return found,
            Err(_) => return None,
        }
    }
}

/// Host, network, port or protocol unreachable, or a parameter problem (§18.4). A full queue, a time to live that ran out
/// and a datagram too large for a link say nothing about the peer.
fn says_unreachable(error: &sock_extended_err) -> bool {
    match error.ee_origin {
        // 3: unreachable, of which 4 is the size; 12: parameter problem (RFC 792).
        SO_EE_ORIGIN_ICMP => matches!((error.ee_type, error.ee_code), (3, 0..=3 | 5..) | (12, _)),
        // RFC 4443 §3.1, §3.4.
        SO_EE_ORIGIN_ICMP6 => matches!(error.ee_type, 1 | 4),
        _ => false,
    }
}

fn as_std(address: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(four) = address.as_sockaddr_in() {
        return Some(SocketAddrV4::new(four.ip(), four.port()).into());
    }
    let six = address.as_sockaddr_in6()?;
    Some(SocketAddrV6::new(six.ip(), six.port(), 0, six.scope_id()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(ee_origin: u8, ee_type: u8, ee_code: u8) -> sock_extended_err {
        let (ee_errno, ee_info, ee_data) = (0, 0, 0);
        sock_extended_err { ee_errno, ee_origin, ee_type, ee_code, ee_pad: 0, ee_info, ee_data }
    }

    #[test]
    fn tp20_source_quench_time_to_live_and_size_are_no_reason_to_give_up() {
        let (four, six) = (SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6);
        for (origin, kind, code) in [
            (four, 3, 0),
            (four, 3, 1),
            (four, 3, 3),
            (four, 3, 13),
            (four, 12, 0),
            (six, 1, 4),
            (six, 4, 0),
        ] {
            assert!(says_unreachable(&error(origin, kind, code)), "{origin} {kind} {code}");
        }
        for (origin, kind, code) in [
            (four, 4, 0),
            (four, 11, 0),
            (four, 3, 4),
            (four, 5, 1),
            (six, 2, 0),
            (six, 3, 0),
            (1, 3, 3),
        ] {
            assert!(!says_unreachable(&error(origin, kind, code)), "{origin} {kind} {code}");
        }
    }
}
