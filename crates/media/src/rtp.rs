//! RTP packets (RFC 3550 section 5): read with every optional part, written with a plain header.
//!
//! Demultiplexing follows RFC 7983 and RFC 5761: a datagram whose version is not 2 (STUN, DTLS) or whose
//! second byte is an RTCP type is never taken for RTP.

/// Bytes of a header without CSRC list and extension.
pub const HEADER_BYTES: usize = 12;

/// A received packet; borrows the datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// First packet after a silence, for audio.
    pub marker: bool,
    /// 0 to 127.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: u16,
    /// In units of the codec's clock.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
    /// Contributing sources, as on the wire.
    pub(crate) csrc: &'a [u8],
    /// What the codec gets: without padding.
    pub payload: &'a [u8],
}

/// Why a datagram is no RTP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRtp {
    /// RTCP on the RTP port.
    #[error("it is RTCP")]
    Control,
    /// The padding count is 0 or larger than the payload.
    #[error("wrong padding")]
    Padding,
    /// Shorter than its own header says.
    #[error("too short")]
    Short,
    /// STUN, DTLS or noise.
    #[error("version is not 2")]
    Version,
}

impl<'a> Packet<'a> {
    /// Reads a datagram.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, NotRtp> {
        let (header, rest) = datagram.split_first_chunk::<HEADER_BYTES>().ok_or(NotRtp::Short)?;
        if header[0] >> 6 != 2 {
            return Err(NotRtp::Version);
        }
        if is_control(datagram) {
            return Err(NotRtp::Control);
        }
        let csrc_bytes = usize::from(header[0] & 0x0f) * 4;
        let (csrc, mut payload) = rest.split_at_checked(csrc_bytes).ok_or(NotRtp::Short)?;
        if header[0] & 0x10 != 0 {
            let (extension, rest) = payload.split_first_chunk::<4>().ok_or(NotRtp::Short)?;
            let words = usize::from(u16::from_be_bytes([extension[2], extension[3]]));
            payload = rest.get(words * 4..).ok_or(NotRtp::Short)?;
        }
        if header[0] & 0x20 != 0 {
            let padding = usize::from(*payload.last().ok_or(NotRtp::Padding)?);
            let kept = payload.len().checked_sub(padding).ok_or(NotRtp::Padding)?;
            if padding == 0 {
                return Err(NotRtp::Padding);
            }
            payload = &payload[..kept];
        }
        Ok(Self {
            marker: header[1] & 0x80 != 0,
            payload_type: header[1] & 0x7f,
            sequence: u16::from_be_bytes([header[2], header[3]]),
            timestamp: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
            ssrc: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
            csrc,
            payload,
        })
    }

    /// The contributing sources: at most 15.
    pub fn contributing(&self) -> impl Iterator<Item = u32> + 'a {
        self.csrc
            .chunks_exact(4)
            .map(|four| u32::from_be_bytes([four[0], four[1], four[2], four[3]]))
    }
}

/// Whether a datagram with version 2 is RTCP: types 192 to 223 (RFC 5761 section 4).
pub fn is_control(datagram: &[u8]) -> bool {
    datagram.len() >= 8 && datagram[0] >> 6 == 2 && (192..=223).contains(&datagram[1])
}

/// The sending half of a stream: what its headers say next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    /// Our synchronisation source.
    pub ssrc: u32,
    /// Sequence number of the next packet.
    pub sequence: u16,
    /// Timestamp of the next packet.
    pub timestamp: u32,
    /// Whether the next packet begins a talkspurt.
    pub marker: bool,
    /// Packets sent, for sender reports.
    pub packets: u32,
    /// Payload bytes sent, for sender reports.
    pub octets: u32,
}

impl Sender {
    /// A stream that begins at a random place (RFC 3550 section 5.1): draws three numbers.
    pub fn new(rng: &mut dyn rand::RngCore) -> Self {
        Self {
            ssrc: rng.next_u32(),
            sequence: (rng.next_u32() >> 16) as u16,
            timestamp: rng.next_u32(),
            marker: true,
            packets: 0,
            octets: 0,
        }
    }

    /// Writes the header of a packet with `payload_bytes` and steps on. The clock is stepped by
    /// [`Self::pass`], since it runs while nothing is sent.
    pub fn write_header(&mut self, payload_type: u8, payload_bytes: usize) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        header[0] = 0x80;
        header[1] = payload_type & 0x7f | if self.marker { 0x80 } else { 0 };
        header[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        header[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        header[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        self.marker = false;
        self.sequence = self.sequence.wrapping_add(1);
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(payload_bytes as u32);
        header
    }

    /// Lets the media clock run on.
    pub fn pass(&mut self, samples: u32) {
        self.timestamp = self.timestamp.wrapping_add(samples);
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    /// Version 2, padding, extension of one word, two CSRCs, marker, type 111.
    const FULL: [u8; 36] = [
        0xb2, 0xef, 0x12, 0x34, 0, 0, 0, 160, 0, 0, 0, 7, // header
        0, 0, 0, 1, 0, 0, 0, 2, // CSRC
        0xbe, 0xde, 0, 1, 9, 9, 9, 9, // extension
        1, 2, 3, 4, 5, 0, 0, 3, // payload and padding
    ];

    #[test]
    fn csrc_extension_and_padding_are_skipped() {
        let packet = Packet::parse(&FULL).unwrap();
        assert!(packet.marker);
        assert_eq!(packet.payload_type, 111);
        assert_eq!((packet.sequence, packet.timestamp, packet.ssrc), (0x1234, 160, 7));
        assert_eq!(packet.contributing().collect::<Vec<_>>(), [1, 2]);
        assert_eq!(packet.payload, [1, 2, 3, 4, 5]);
    }

    #[test]
    fn stun_dtls_and_rtcp_are_not_rtp() {
        let mut stun = [0u8; 28];
        stun[1] = 1;
        assert_eq!(Packet::parse(&stun), Err(NotRtp::Version));
        let mut dtls = [0u8; 28];
        dtls[0] = 22;
        assert_eq!(Packet::parse(&dtls), Err(NotRtp::Version));
        let mut report = [0u8; 28];
        (report[0], report[1]) = (0x80, 200);
        assert_eq!(Packet::parse(&report), Err(NotRtp::Control));
    }

    #[test]
    fn no_truncation_panics_or_reads_beyond() {
        for end in 0..FULL.len() {
            let _ = Packet::parse(&FULL[..end]);
        }
        let mut padded = FULL;
        padded[35] = 200;
        assert_eq!(Packet::parse(&padded), Err(NotRtp::Padding));
        padded[35] = 0;
        assert_eq!(Packet::parse(&padded), Err(NotRtp::Padding));
    }

    #[test]
    fn what_is_written_is_read_and_only_the_first_has_the_marker() {
        let mut sender = Sender::new(&mut rand_chacha::ChaCha8Rng::seed_from_u64(1));
        sender.sequence = u16::MAX;
        let before = sender;
        let first = sender.write_header(8, 160);
        sender.pass(160);
        let second = sender.write_header(8, 160);
        let (first, second) = (Packet::parse(&first).unwrap(), Packet::parse(&second).unwrap());
        assert!(first.marker && !second.marker);
        assert_eq!((first.sequence, second.sequence), (u16::MAX, 0));
        assert_eq!(second.timestamp, before.timestamp.wrapping_add(160));
        assert_eq!((sender.packets, sender.octets), (2, 320));
    }
}
