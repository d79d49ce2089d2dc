//! RTCP: reports, source description and goodbye, always compound (RFC 3550 section 6).

use crate::rtp::{Packet, Sender};

/// What a compound packet told about us and the sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Who sent it.
    pub ssrc: u32,
    /// Middle 32 bits of the NTP time of a sender report.
    pub sender_report: Option<u32>,
    /// What it says about our stream.
    pub about_us: Option<Block>,
    /// The source says goodbye.
    pub bye: bool,
}

/// A report block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// Loss since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Last sender report that was seen: middle 32 bits of its NTP time.
    pub last_report: u32,
    /// How long ago that was, in 1/65536 s.
    pub since_last: u32,
}

/// Reads a compound packet; `None` when it is not one.
pub fn parse(datagram: &[u8], our_ssrc: u32) -> Option<Received> {
    let mut received = Received::default();
    let mut rest = datagram;
    let mut first = true;
    while !rest.is_empty() {
        let header = rest.first_chunk::<4>()?;
        let length = (usize::from(u16::from_be_bytes([header[2], header[3]])) + 1) * 4;
        let packet = rest.get(..length)?;
        rest = &rest[length..];
        let (count, kind) = (header[0] & 0x1f, header[1]);
        if header[0] >> 6 != 2 || !(192..=223).contains(&kind) {
            return None;
        }
        if first {
            received.ssrc = word(packet, 4)?;
            first = false;
        }
        let blocks = match kind {
            SENDER_REPORT => {
                received.sender_report = Some(word(packet, 10)?);
                28
            }
            RECEIVER_REPORT => 8,
            GOODBYE => {
                received.bye = true;
                continue;
            }
            _ => continue,
        };
        for index in 0..usize::from(count) {
            let at = blocks + index * 24;
            if word(packet, at)? == our_ssrc {
                received.about_us = Some(Block {
                    fraction_lost: *packet.get(at + 4)?,
                    last_report: word(packet, at + 16)?,
                    since_last: word(packet, at + 20)?,
                });
            }
        }
    }
    (!first).then_some(received)
}

/// How we receive one source (RFC 3550 sections A.1, A.3, A.8).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reception {
    ssrc: u32,
    base: u32,
    highest: u32,
    received: u32,
    expected_before: u32,
    received_before: u32,
    transit: Option<i64>,
    jitter: f64,
    last_report: u32,
    last_report_at: f64,
    /// The number that would continue a stream whose numbers jumped.
    restart: Option<u16>,
}

impl Reception {
    /// Takes a packet. `arrival`: seconds since the session began and the clock rate in Hz; without it the packet is
    /// counted, but says nothing about jitter.
    pub fn receive(&mut self, packet: &Packet<'_>, arrival: Option<(f64, u32)>) {
        if self.received == 0 || packet.ssrc != self.ssrc {
            self.begin(packet);
        }
        let ahead = packet.sequence.wrapping_sub(self.highest as u16);
        if ahead < MOST_AHEAD {
            self.highest = self.highest.wrapping_add(u32::from(ahead));
        } else if ahead <= u16::MAX - MOST_BEHIND {
            // Two in a row at another place: the source began anew. One alone counts for nothing.
            if self.restart != Some(packet.sequence) {
                self.restart = Some(packet.sequence.wrapping_add(1));
                return;
            }
            self.begin(packet);
        }
        self.restart = None;
        self.received += 1;
        let Some((now_s, clock_rate_hz)) = arrival else { return };
        let arrival = (now_s * f64::from(clock_rate_hz)) as i64;
        let transit = i64::from((arrival as u32).wrapping_sub(packet.timestamp) as i32);
        if let Some(before) = self.transit.replace(transit) {
            let step = ((transit - before) as i32).unsigned_abs();
            self.jitter += (f64::from(step) - self.jitter) / 16.0;
        }
    }

    fn begin(&mut self, packet: &Packet<'_>) {
        *self = Self {
            ssrc: packet.ssrc,
            base: u32::from(packet.sequence),
            highest: u32::from(packet.sequence),
            ..Self::default()
        };
    }

    /// Remembers a sender report of the source.
    pub fn reported(&mut self, middle: u32, now_s: f64) {
        (self.last_report, self.last_report_at) = (middle, now_s);
    }

    /// Packets that never came.
    pub fn lost(&self) -> u32 {
        self.expected().saturating_sub(self.received)
    }

    /// Packets that came.
    pub fn received(&self) -> u32 {
        self.received
    }

    /// Interarrival jitter in units of the clock.
    pub fn jitter(&self) -> f64 {
        self.jitter
    }

    fn expected(&self) -> u32 {
        if self.received == 0 { 0 } else { self.highest.wrapping_sub(self.base).wrapping_add(1) }
    }

    fn block(&mut self, now_s: f64) -> [u8; 24] {
        let (expected, lost) = (self.expected(), self.lost());
        let interval = expected.wrapping_sub(self.expected_before);
        let arrived = self.received.wrapping_sub(self.received_before);
        (self.expected_before, self.received_before) = (expected, self.received);
        let fraction = match interval.saturating_sub(arrived) {
            0 => 0,
            gone => (u64::from(gone) * 256 / u64::from(interval)).min(255) as u32,
        };
        let since = if self.last_report == 0 {
            0
        } else {
            ((now_s - self.last_report_at) * 65_536.0) as u32
        };
        let mut block = [0; 24];
        let words = [
            self.ssrc,
            fraction << 24 | lost.min(0x7f_ffff),
            self.highest,
            self.jitter as u32,
            self.last_report,
            since,
        ];
        for (four, word) in block.chunks_exact_mut(4).zip(words) {
            four.copy_from_slice(&word.to_be_bytes());
        }
        block
    }
}

/// Writes a compound packet into `out`: a sender report when something was sent since the last one, else a
/// receiver report; the CNAME; and a goodbye when the stream ends. Returns its length.
pub fn write(
    out: &mut [u8; LARGEST_BYTES],
    sender: &Sender,
    sending: bool,
    reception: &mut Reception,
    clock: Clock,
    cname: &str,
    bye: bool,
) -> usize {
    let blocks = u8::from(reception.received > 0);
    let mut writer = Writer { out, at: 0 };
    let start = writer.open(blocks, if sending { SENDER_REPORT } else { RECEIVER_REPORT });
    writer.word(sender.ssrc);
    if sending {
        let ntp = clock.ntp();
        writer.word((ntp >> 32) as u32);
        writer.word(ntp as u32);
        writer.word(sender.timestamp);
        writer.word(sender.packets);
        writer.word(sender.octets);
    }
    if blocks > 0 {
        writer.bytes(&reception.block(clock.now_s));
    }
    writer.close(start);
    let start = writer.open(1, SOURCE_DESCRIPTION);
    writer.word(sender.ssrc);
    let cname = &cname.as_bytes()[..cname.len().min(LONGEST_CNAME)];
    writer.bytes(&[1, cname.len() as u8]);
    writer.bytes(cname);
    // At least one zero ends the list, then zeros up to the next word.
    let zeros = 4 - (writer.at - start) % 4;
    writer.bytes(&[0; 4][..zeros]);
    writer.close(start);
    if bye {
        let start = writer.open(1, GOODBYE);
        writer.word(sender.ssrc);
        writer.close(start);
    }
    writer.at
}

/// The time of a report.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clock {
    /// Seconds since the session began.
    pub now_s: f64,
    /// NTP seconds (since 1900) when the session began.
    pub ntp_start_s: f64,
}

impl Clock {
    /// NTP time, 32.32.
    pub fn ntp(self) -> u64 {
        ((self.ntp_start_s + self.now_s) * 4_294_967_296.0) as u64
    }

    /// The round trip in seconds that a block about us tells (RFC 3550 section 6.4.1).
    pub fn round_trip_s(self, block: Block) -> Option<f64> {
        if block.last_report == 0 {
            return None;
        }
        let now = (self.ntp() >> 16) as u32;
        let trip = now.wrapping_sub(block.last_report).wrapping_sub(block.since_last) as i32;
        Some(f64::from(trip.max(0)) / 65_536.0)
    }
}

struct Writer<'a> {
    out: &'a mut [u8; LARGEST_BYTES],
    at: usize,
}

impl Writer<'_> {
    fn open(&mut self, count: u8, kind: u8) -> usize {
        let start = self.at;
        self.bytes(&[0x80 | count, kind, 0, 0]);
        start
    }

    fn close(&mut self, start: usize) {
        let words = ((self.at - start) / 4 - 1) as u16;
        self.out[start + 2..start + 4].copy_from_slice(&words.to_be_bytes());
    }

    fn word(&mut self, word: u32) {
        self.bytes(&word.to_be_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.out[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }
}

fn word(packet: &[u8], at: usize) -> Option<u32> {
    let four = packet.get(at..at + 4)?;
    Some(u32::from_be_bytes([four[0], four[1], four[2], four[3]]))
}

/// Room for any compound packet we write.
pub const LARGEST_BYTES: usize = 256;
const LONGEST_CNAME: usize = 128;
const SENDER_REPORT: u8 = 200;
/// Largest jump of sequence numbers that is a loss, and largest step back that is a reordering (RFC 3550 section A.1).
const MOST_AHEAD: u16 = 3_000;
const MOST_BEHIND: u16 = 100;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(ssrc: u32) -> Sender {
        Sender { ssrc, sequence: 5, timestamp: 800, marker: false, packets: 5, octets: 800 }
    }

    fn received(numbers: &[u16]) -> Reception {
        let mut reception = Reception::default();
        for number in numbers {
            let mut packet = [0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
            packet[2..4].copy_from_slice(&number.to_be_bytes());
            packet[4..8].copy_from_slice(&(u32::from(*number) * 160).to_be_bytes());
            let packet = Packet::parse(&packet).unwrap();
            reception.receive(&packet, Some((f64::from(*number) * 0.02, 8_000)));
        }
        reception
    }

    #[test]
    fn a_report_with_goodbye_is_read_back_and_padded_to_words() {
        let clock = Clock { now_s: 10.0, ntp_start_s: 3.9e9 };
        for cname in ["", "a", "ab", "abc", "abcd", &"x".repeat(300)] {
            let mut out = [0; LARGEST_BYTES];
            let mut reception = received(&[1, 2, 4]);
            let length = write(&mut out, &sender(7), true, &mut reception, clock, cname, true);
            assert_eq!(length % 4, 0);
            let read = parse(&out[..length], 9).unwrap();
            assert_eq!((read.ssrc, read.bye), (7, true));
            assert_eq!(read.sender_report, Some((clock.ntp() >> 16) as u32));
            assert_eq!(read.about_us.unwrap().fraction_lost, 64);
        }
    }

    #[test]
    fn loss_is_counted_over_the_wrap() {
        let reception = received(&[65_534, 65_535, 1, 2]);
        assert_eq!((reception.received(), reception.lost()), (4, 1));
    }

    #[test]
    fn numbers_that_jump_begin_anew_with_the_second_packet() {
        let reception = received(&[10, 11, 30_000, 30_001, 30_002]);
        assert_eq!((reception.received(), reception.lost()), (2, 0));
        let stray = received(&[10, 11, 30_000, 12, 13]);
        assert_eq!((stray.received(), stray.lost()), (4, 0));
        let reordered = received(&[10, 12, 11, 13]);
        assert_eq!((reordered.received(), reordered.lost()), (4, 0));
    }

    #[test]
    fn an_event_is_received_and_says_nothing_about_jitter() {
        let mut reception = received(&[1, 2]);
        let mut event = [0x80, 101, 0, 3, 0, 0, 0, 0, 0, 0, 0, 9];
        for number in 3..20 {
            event[3] = number;
            reception.receive(&Packet::parse(&event).unwrap(), None);
        }
        assert_eq!((reception.received(), reception.lost()), (19, 0));
        assert!(reception.jitter() < 1.0);
    }

    #[test]
    fn the_round_trip_is_what_is_left_after_the_wait_of_the_peer() {
        let start = Clock { now_s: 1.0, ntp_start_s: 3.9e9 };
        let block =
            Block { fraction_lost: 0, last_report: (start.ntp() >> 16) as u32, since_last: 65_536 };
        let trip = Clock { now_s: 2.25, ..start }.round_trip_s(block).unwrap();
        assert!((trip - 0.25).abs() < 0.001);
        assert_eq!(start.round_trip_s(Block::default()), None);
    }

    #[test]
    fn no_truncation_panics() {
        let clock = Clock { now_s: 1.0, ntp_start_s: 3.9e9 };
        let mut out = [0; LARGEST_BYTES];
        let length = write(&mut out, &sender(7), true, &mut received(&[1]), clock, "abc", true);
        for end in 0..length {
            let _ = parse(&out[..end], 9);
        }
        for byte in 0..length {
            let mut broken = out;
            broken[byte] = 255;
            let _ = parse(&broken[..length], 9);
        }
    }
}
