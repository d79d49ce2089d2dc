//! The floor: what a conference costs when it only mixes. One thread, one wake-up every 20 ms, no SIP, no reports, no
//! jitter buffer, no concealment: a packet in, the sum of the others out.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use crate::leg::HEADER;
use crate::sound::{self, Ear, FRAME};

/// Mixes for `legs` until it is killed. Its ports go to standard output, one line.
pub fn run(legs: usize) -> io::Result<()> {
    let mut ports = Vec::new();
    let mut all = Vec::new();
    for number in 0..legs {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_nonblocking(true)?;
        ports.push(socket.local_addr()?.port().to_string());
        all.push(Port { socket, number, remote: None, samples: [0; FRAME] });
    }
    println!("{}", ports.join(" "));
    io::stdout().flush()?;

    let ear = Ear::new();
    let codes: Vec<u8> = (0..=u16::MAX).map(|bits| sound::encode(bits.cast_signed())).collect();
    let mut due = Instant::now();
    for tick in 0_u32.. {
        due += Duration::from_millis(20);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let mut sum = [0_i32; FRAME];
        for port in &mut all {
            port.take(&ear);
            for (sum, sample) in sum.iter_mut().zip(&port.samples) {
                *sum += i32::from(*sample);
            }
        }
        for port in &all {
            port.give(tick, &sum, &codes);
        }
    }
    Ok(())
}

struct Port {
    socket: UdpSocket,
    number: usize,
    remote: Option<SocketAddr>,
    samples: [i16; FRAME],
}

impl Port {
    fn take(&mut self, ear: &Ear) {
        let mut buffer = [0; 2048];
        match self.socket.recv_from(&mut buffer) {
            Ok((length, remote)) if length >= HEADER + FRAME => {
                self.remote = Some(remote);
                for (sample, byte) in self.samples.iter_mut().zip(&buffer[HEADER..]) {
                    *sample = ear.sample(*byte);
                }
            }
            Ok(_) | Err(_) => self.samples = [0; FRAME],
        }
    }

    fn give(&self, tick: u32, sum: &[i32; FRAME], codes: &[u8]) {
        let Some(remote) = self.remote else { return };
        let mut packet = [0; HEADER + FRAME];
        packet[0] = 0x80;
        packet[2..4].copy_from_slice(&(tick as u16).to_be_bytes());
        packet[4..8].copy_from_slice(&tick.wrapping_mul(FRAME as u32).to_be_bytes());
        packet[8..12].copy_from_slice(&(self.number as u32).to_be_bytes());
        for ((byte, sum), own) in packet[HEADER..].iter_mut().zip(sum).zip(&self.samples) {
            let others = (sum - i32::from(*own)).clamp(i32::from(i16::MIN), i32::from(i16::MAX));
            *byte = codes[usize::from((others as i16).cast_unsigned())];
        }
        // Nobody may listen any more at the end of a run.
        let _ = self.socket.send_to(&packet, remote);
    }
}
