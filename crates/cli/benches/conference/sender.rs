//! One thread that sends the RTP of all participants: a packet each every 20 ms, spread over the 20 ms.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::clock::{Clock, MILLISECOND};
use crate::figures::Window;
use crate::leg::{HEADER, Leg};
use crate::sound::{FRAME, Frames};

/// A burst's length in packets.
const BURST_PACKETS: u64 = 5;
/// From one burst to the next, in packets: a second.
const BURST_EVERY: u64 = 50;
/// The 20 ms are cut into so many moments of sending.
const SLOTS: u64 = 40;
/// Later than this, a send is counted as late.
const LATE: u64 = 5 * MILLISECOND;

/// One burst: whose it was, and when its first packet went out.
#[derive(Clone, Copy, Debug)]
pub struct Burst {
    /// The leg that sent it.
    pub pilot: usize,
    /// When the packet went out whose first sample is the onset.
    pub at: u64,
}

/// What was sent.
#[derive(Debug, Default)]
pub struct Sent {
    /// All bursts.
    pub bursts: Vec<Burst>,
    /// Packets that went out more than 5 ms late, by when: the generator's own failing.
    pub late: Vec<u64>,
}

impl Sent {
    /// Whether the generator was late in, or just after, that stretch of time.
    pub fn held_up(&self, window: Window) -> bool {
        let window = Window { from: window.from, to: window.to + 4 * LATE };
        self.late.iter().any(|at| window.contains(*at))
    }
}

/// Sends until `stop`; leg 0 sends the steady tone, while `bursting` the others give a burst a second in turn.
pub fn send(legs: &[Arc<Leg>], clock: Clock, bursting: &AtomicBool, stop: &AtomicBool) -> Sent {
    let frames = Frames::new();
    let slots = slots(legs.len());
    let mut sent = Sent::default();
    let mut turn = 0;
    let mut pilot = None;
    let start = clock.now();
    for tick in 0_u64.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let in_burst = tick % BURST_EVERY;
        if in_burst == 0 && bursting.load(Ordering::Relaxed) && legs.len() > 1 {
            pilot = Some(1 + turn % (legs.len() - 1));
            turn += 1;
        } else if in_burst == BURST_PACKETS {
            pilot = None;
        }
        for (slot, members) in &slots {
            let due = start + tick * 20 * MILLISECOND + slot * 20 * MILLISECOND / SLOTS;
            clock.sleep_until(due);
            for &member in members {
                let payload = if pilot == Some(member) {
                    frames.burst()
                } else if member == 0 {
                    frames.tone()
                } else {
                    frames.quiet(member + tick as usize)
                };
                let packet = packet(member, tick, payload);
                let now = clock.now();
                if pilot == Some(member) && in_burst == 0 {
                    sent.bursts.push(Burst { pilot: member, at: now });
                }
                if now > due + LATE {
                    sent.late.push(now);
                }
                legs[member].send(&packet);
            }
        }
    }
    sent
}

/// Who sends when. Neighbours in number are far apart in time, so that few pilots sample all phases.
fn slots(legs: usize) -> Vec<(u64, Vec<usize>)> {
    let mut slots: Vec<(u64, Vec<usize>)> = (0..SLOTS).map(|slot| (slot, Vec::new())).collect();
    for leg in 0..legs {
        slots[leg * 17 % SLOTS as usize].1.push(leg);
    }
    slots.retain(|(_, members)| !members.is_empty());
    slots
}

fn packet(leg: usize, tick: u64, payload: &[u8; FRAME]) -> [u8; HEADER + FRAME] {
    let mut packet = [0; HEADER + FRAME];
    packet[0] = 0x80;
    packet[2..4].copy_from_slice(&(tick as u16).to_be_bytes());
    packet[4..8].copy_from_slice(&(tick as u32).wrapping_mul(FRAME as u32).to_be_bytes());
    packet[8..12].copy_from_slice(&(0x5000_0000 + leg as u32).to_be_bytes());
    packet[HEADER..].copy_from_slice(payload);
    packet
}
