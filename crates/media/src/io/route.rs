//! Whose packets a leg takes, and where its own go (symmetric RTP, RFC 4961).
//!
//! The signalled address is always right. Where nothing ever came from it, the first stream that proves itself is
//! followed, once: that is how a phone behind NAT is reached. From then on only the same stream may move, so a
//! stranger neither is heard nor takes our stream over, unless he knows a number of 32 random bits.

use std::net::SocketAddr;

use crate::rtp::Packet;

/// The route of one leg.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Route {
    signalled: SocketAddr,
    target: SocketAddr,
    heard: Option<Heard>,
    candidate: Option<Candidate>,
}

/// The last packet that was taken.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Heard {
    tick: i64,
    ssrc: u32,
}

/// An address that may become the target.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Candidate {
    source: SocketAddr,
    ssrc: u32,
    sequence: u16,
    proofs: u8,
}

impl Route {
    /// A route to the signalled address.
    pub(super) fn new(signalled: SocketAddr) -> Self {
        Self { signalled, target: signalled, heard: None, candidate: None }
    }

    /// Where our packets go; `None` where the peer takes none (hold by an unspecified address).
    pub(super) fn target(&self) -> Option<SocketAddr> {
        (!self.target.ip().is_unspecified()).then_some(self.target)
    }

    /// The stream that is taken.
    pub(super) fn ssrc(&self) -> Option<u32> {
        self.heard.map(|heard| heard.ssrc)
    }

    /// Whether `packet` from `source` belongs to the leg. A stream from elsewhere is taken only after it proved itself
    /// by packets that follow each other.
    pub(super) fn accepts(&mut self, source: SocketAddr, packet: &Packet<'_>, tick: i64) -> bool {
        if source == self.signalled || source == self.target {
            self.follow(source, packet, tick);
            return true;
        }
        if !self.may_move(source, packet, tick) {
            return false;
        }
        let proofs = match self.candidate {
            Some(candidate)
                if (candidate.source, candidate.ssrc) == (source, packet.ssrc)
                    && packet.sequence == candidate.sequence.wrapping_add(1) =>
            {
                candidate.proofs + 1
            }
            _ => 1,
        };
        if proofs >= PROOFS {
            self.follow(source, packet, tick);
            return true;
        }
        let (ssrc, sequence) = (packet.ssrc, packet.sequence);
        self.candidate = Some(Candidate { source, ssrc, sequence, proofs });
        false
    }

    fn may_move(&self, source: SocketAddr, packet: &Packet<'_>, tick: i64) -> bool {
        if self.signalled.ip().is_unspecified() {
            return false;
        }
        let Some(heard) = self.heard else { return true };
        // NAT gives the same stream another port; another network gives it another address, which is rarer.
        let silent = if source.ip() == self.target.ip() { SILENT_TICKS } else { LOST_TICKS };
        heard.ssrc == packet.ssrc && tick - heard.tick >= silent
    }

    fn follow(&mut self, source: SocketAddr, packet: &Packet<'_>, tick: i64) {
        self.target = source;
        self.heard = Some(Heard { tick, ssrc: packet.ssrc });
        self.candidate = None;
    }
}

/// The present address is silent after a second.
const SILENT_TICKS: i64 = 50;
/// It is lost after three.
const LOST_TICKS: i64 = 150;
const PROOFS: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn packet(ssrc: u32, sequence: u16) -> Packet<'static> {
        let empty = Packet::parse(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap();
        Packet { ssrc, sequence, ..empty }
    }

    /// How many of `count` packets in a row are taken.
    fn taken(route: &mut Route, source: &str, ssrc: u32, tick: i64, count: u16) -> usize {
        let source = address(source);
        (0..count).filter(|n| route.accepts(source, &packet(ssrc, *n), tick)).count()
    }

    #[test]
    fn the_signalled_address_is_taken_at_once_and_strangers_never_after_it() {
        let mut route = Route::new(address("192.0.2.1:4000"));
        assert_eq!(taken(&mut route, "192.0.2.1:4000", 1, 0, 1), 1);
        for tick in [1, 60, 1_000, 100_000] {
            assert_eq!(taken(&mut route, "198.51.100.2:9000", 2, tick, 50), 0);
            assert_eq!(taken(&mut route, "192.0.2.1:4002", 2, tick, 50), 0);
        }
        assert_eq!(route.target(), Some(address("192.0.2.1:4000")));
    }

    #[test]
    fn behind_nat_the_first_stream_that_proves_itself_is_followed_once() {
        let mut route = Route::new(address("10.0.0.1:4000"));
        assert_eq!(taken(&mut route, "198.51.100.2:9000", 2, 0, 5), 3);
        assert_eq!(route.target(), Some(address("198.51.100.2:9000")));
        assert_eq!(taken(&mut route, "203.0.113.3:9000", 3, 500, 50), 0);
        assert_eq!(route.target(), Some(address("198.51.100.2:9000")));
    }

    #[test]
    fn whoever_was_followed_gives_way_to_the_signalled_address() {
        let mut route = Route::new(address("192.0.2.1:4000"));
        assert_eq!(taken(&mut route, "198.51.100.2:9000", 2, 0, 5), 3);
        assert_eq!(taken(&mut route, "192.0.2.1:4000", 1, 1, 1), 1);
        assert_eq!(route.target(), Some(address("192.0.2.1:4000")));
        assert_eq!(taken(&mut route, "198.51.100.2:9000", 2, 500, 50), 0);
    }

    #[test]
    fn the_same_stream_may_move_when_its_address_is_silent() {
        let mut route = Route::new(address("192.0.2.1:4000"));
        assert_eq!(taken(&mut route, "192.0.2.1:4000", 1, 0, 1), 1);
        assert_eq!(taken(&mut route, "192.0.2.1:5000", 1, 40, 5), 0);
        assert_eq!(taken(&mut route, "192.0.2.1:5000", 1, 60, 5), 3);
        assert_eq!(route.target(), Some(address("192.0.2.1:5000")));
        assert_eq!(taken(&mut route, "198.51.100.9:1", 1, 160, 5), 0);
        assert_eq!(taken(&mut route, "198.51.100.9:1", 1, 220, 5), 3);
        assert_eq!(route.target(), Some(address("198.51.100.9:1")));
    }

    #[test]
    fn packets_that_do_not_follow_each_other_prove_nothing() {
        let mut route = Route::new(address("192.0.2.1:4000"));
        let other = address("198.51.100.2:9000");
        for number in 0..20u16 {
            assert!(!route.accepts(other, &packet(u32::from(number), number), 0));
            assert!(!route.accepts(other, &packet(7, number * 2), 0));
        }
        assert_eq!(route.target(), Some(address("192.0.2.1:4000")));
    }

    #[test]
    fn an_unspecified_address_gets_nothing_and_is_not_replaced() {
        let mut route = Route::new(address("0.0.0.0:4000"));
        assert_eq!(taken(&mut route, "198.51.100.2:9000", 2, 0, 50), 0);
        assert_eq!(route.target(), None);
    }
}
