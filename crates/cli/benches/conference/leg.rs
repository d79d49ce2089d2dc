//! The RTP of one participant (RFC 3550): its sockets, and all packets that reached it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::clock::Clock;
use crate::sound::{Ear, Heard};

/// Bytes of an RTP header without extras.
pub const HEADER: usize = 12;

/// One participant's audio.
pub struct Leg {
    socket: UdpSocket,
    // Bound like a phone's, never read: reports that come are taken and not looked at.
    _reports: UdpSocket,
    remote: OnceLock<SocketAddr>,
}

/// One packet that came.
#[derive(Clone, Copy, Debug)]
pub struct Packet {
    /// When.
    pub at: u64,
    /// Its number.
    pub sequence: u16,
    /// What it holds.
    pub heard: Heard,
}

impl Leg {
    /// Takes an even port and the odd one above it.
    pub fn open() -> io::Result<Self> {
        for _ in 0..200 {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            let port = socket.local_addr()?.port();
            if port % 2 == 1 || port == u16::MAX - 1 {
                continue;
            }
            if let Ok(reports) = UdpSocket::bind((Ipv4Addr::LOCALHOST, port + 1)) {
                socket.set_read_timeout(Some(Duration::from_millis(100)))?;
                return Ok(Self { socket, _reports: reports, remote: OnceLock::new() });
            }
        }
        Err(io::Error::other("no pair of free ports"))
    }

    /// The port that our offer names.
    pub fn port(&self) -> io::Result<u16> {
        Ok(self.socket.local_addr()?.port())
    }

    /// Where we send from now on. The first word counts.
    pub fn send_to(&self, remote: SocketAddr) {
        let _ = self.remote.set(remote);
    }

    /// Sends one packet where the other end is known.
    pub fn send(&self, packet: &[u8]) {
        if let Some(remote) = self.remote.get() {
            // A packet that the system refuses shows as a loss at the listeners.
            let _ = self.socket.send_to(packet, remote);
        }
    }

    /// Takes packets until `stop`.
    pub fn receive(&self, clock: Clock, stop: &AtomicBool) -> Vec<Packet> {
        let ear = Ear::new();
        let mut packets = Vec::with_capacity(4096);
        let mut buffer = [0; 2048];
        while !stop.load(Ordering::Relaxed) {
            let Ok((length, _)) = self.socket.recv_from(&mut buffer) else { continue };
            let at = clock.now();
            // Version 2, no padding, no extension, u-law.
            if length > HEADER && buffer[0] == 0x80 && buffer[1] & 0x7f == 0 {
                let sequence = u16::from_be_bytes([buffer[2], buffer[3]]);
                let heard = ear.hear(&buffer[HEADER..length]);
                packets.push(Packet { at, sequence, heard });
            }
        }
        packets
    }
}
