//! Takes all waiting datagrams of a socket, with one system call where the system allows it.

use std::net::{SocketAddr, UdpSocket};

#[cfg(target_os = "linux")]
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, SockaddrIn6, SockaddrLike, recvmmsg};

/// Buffers for a batch. Lives on the media thread.
pub(super) struct Receiver {
    buffers: Box<[[u8; DATAGRAM_BYTES]; BATCH]>,
    // The kernel writes the length of each address back, so the families may not share headers.
    #[cfg(target_os = "linux")]
    v4: MultiHeaders<SockaddrIn>,
    #[cfg(target_os = "linux")]
    v6: MultiHeaders<SockaddrIn6>,
}

impl Receiver {
    /// Allocates the buffers.
    pub(super) fn new() -> Self {
        Self {
            buffers: Box::new([[0; DATAGRAM_BYTES]; BATCH]),
            #[cfg(target_os = "linux")]
            v4: MultiHeaders::preallocate(BATCH, None),
            #[cfg(target_os = "linux")]
            v6: MultiHeaders::preallocate(BATCH, None),
        }
    }

    /// Gives every waiting datagram to `each`, at most [`MOST`]: a flood must not stop the tick. Returns how many.
    pub(super) fn receive(
        &mut self,
        socket: &UdpSocket,
        is_ipv4: bool,
        mut each: impl FnMut(SocketAddr, &[u8]),
    ) -> usize {
        let mut taken = 0;
        while taken < MOST {
            let count = self.batch(socket, is_ipv4, &mut each);
            taken += count;
            if count < BATCH {
                break;
            }
        }
        taken
    }

    #[cfg(target_os = "linux")]
    fn batch(
        &mut self,
        socket: &UdpSocket,
        is_ipv4: bool,
        each: &mut impl FnMut(SocketAddr, &[u8]),
    ) -> usize {
        if is_ipv4 {
            batch_of(&mut self.v4, &mut self.buffers, socket, each, |address| {
                SocketAddr::from((address.ip(), address.port()))
            })
        } else {
            batch_of(&mut self.v6, &mut self.buffers, socket, each, |address| {
                SocketAddr::from((address.ip(), address.port()))
            })
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn batch(
        &mut self,
        socket: &UdpSocket,
        _is_ipv4: bool,
        each: &mut impl FnMut(SocketAddr, &[u8]),
    ) -> usize {
        let buffer = &mut self.buffers[0];
        for count in 0..BATCH {
            match socket.recv_from(buffer) {
                Ok((bytes, source)) => each(source, &buffer[..bytes]),
                Err(_) => return count,
            }
        }
        BATCH
    }
}

#[cfg(target_os = "linux")]
fn batch_of<S: SockaddrLike + Copy>(
    headers: &mut MultiHeaders<S>,
    buffers: &mut [[u8; DATAGRAM_BYTES]; BATCH],
    socket: &UdpSocket,
    each: &mut impl FnMut(SocketAddr, &[u8]),
    address_of: impl Fn(S) -> SocketAddr,
) -> usize {
    use std::{io::IoSliceMut, os::fd::AsRawFd};

    let mut slices = buffers.each_mut().map(|buffer| [IoSliceMut::new(buffer)]);
    let flags = MsgFlags::MSG_DONTWAIT;
    let Ok(messages) = recvmmsg(socket.as_raw_fd(), headers, slices.iter_mut(), flags, None) else {
        return 0;
    };
    let mut count = 0;
    for message in messages {
        count += 1;
        if let (Some(address), Some(bytes)) = (message.address, message.iovs().next()) {
            each(address_of(address), bytes);
        }
    }
    count
}

const BATCH: usize = 8;
const MOST: usize = 64;
const DATAGRAM_BYTES: usize = 1_600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_waiting_datagrams_come_with_their_source_in_both_families() {
        let mut receiver = Receiver::new();
        for address in ["127.0.0.1:0", "[::1]:0", "127.0.0.1:0", "[::1]:0"] {
            let Ok(socket) = UdpSocket::bind(address) else { continue };
            let from = UdpSocket::bind(address).unwrap();
            for number in 0..19u8 {
                from.send_to(&[number; 3], socket.local_addr().unwrap()).unwrap();
            }
            let mut got = Vec::new();
            receiver.receive(&socket, address.starts_with('1'), |source, bytes| {
                assert_eq!(source, from.local_addr().unwrap());
                assert_eq!(bytes.len(), 3);
                got.push(bytes[0]);
            });
            assert_eq!(got, (0..19).collect::<Vec<_>>());
            receiver.receive(&socket, address.starts_with('1'), |_, _| panic!("empty"));
        }
    }
}
