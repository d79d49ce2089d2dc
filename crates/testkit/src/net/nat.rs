//! Translators of addresses between private networks and the one outside (RFC 4787 speaks of their kinds).

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Names a translator of the network.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct NatId(pub(super) usize);

/// Who may send in by a mapping, and how long it lasts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NatKind {
    /// One mapping for each inside address; any port of an address that was written to may send in.
    AddressRestricted,
    /// One mapping for each inside address; anybody may send in.
    FullCone,
    /// Another mapping for each destination; only that one may send in.
    Symmetric,
}

/// A translator.
#[derive(Debug)]
pub(super) struct Nat {
    pub(super) kind: NatKind,
    pub(super) outside: IpAddr,
    /// How long a mapping lasts that nothing goes out by.
    lifetime: Duration,
    mappings: Vec<Mapping>,
    next_port: u16,
}

#[derive(Debug)]
struct Mapping {
    inside: SocketAddr,
    outside: SocketAddr,
    /// Written to.
    peers: BTreeSet<SocketAddr>,
    used: Instant,
}

impl Nat {
    pub(super) fn new(kind: NatKind, outside: IpAddr, lifetime: Duration) -> Self {
        Self { kind, outside, lifetime, mappings: Vec::new(), next_port: 40_000 }
    }

    /// What a datagram from inside looks like outside.
    pub(super) fn out(&mut self, inside: SocketAddr, to: SocketAddr, now: Instant) -> SocketAddr {
        self.forget_old(now);
        let symmetric = self.kind == NatKind::Symmetric;
        let known = self.mappings.iter_mut().find(|mapping| {
            mapping.inside == inside && (!symmetric || mapping.peers.contains(&to))
        });
        if let Some(mapping) = known {
            mapping.used = now;
            mapping.peers.insert(to);
            return mapping.outside;
        }
        let outside = SocketAddr::new(self.outside, self.next_port);
        self.next_port = self.next_port.checked_add(1).unwrap_or(40_000);
        let peers = BTreeSet::from([to]);
        self.mappings.push(Mapping { inside, outside, peers, used: now });
        outside
    }

    /// Who inside gets a datagram from outside.
    pub(super) fn inside(
        &mut self,
        from: SocketAddr,
        outside: SocketAddr,
        now: Instant,
    ) -> Option<SocketAddr> {
        self.forget_old(now);
        let mapping = self.mappings.iter().find(|mapping| mapping.outside == outside)?;
        let may = match self.kind {
            NatKind::AddressRestricted => mapping.peers.iter().any(|peer| peer.ip() == from.ip()),
            NatKind::FullCone => true,
            NatKind::Symmetric => mapping.peers.contains(&from),
        };
        may.then_some(mapping.inside)
    }

    /// The address outside by which somebody inside was heard last.
    pub(super) fn mapped(&self, inside: SocketAddr, now: Instant) -> Option<SocketAddr> {
        let mut all = self.mappings.iter().rev();
        let lives = |mapping: &&Mapping| {
            mapping.inside == inside && now.saturating_duration_since(mapping.used) < self.lifetime
        };
        all.find(lives).map(|mapping| mapping.outside)
    }

    /// All mappings are gone; the next ones have other ports.
    pub(super) fn rebind(&mut self) {
        self.mappings.clear();
    }

    fn forget_old(&mut self, now: Instant) {
        let lifetime = self.lifetime;
        self.mappings.retain(|mapping| now.saturating_duration_since(mapping.used) < lifetime);
    }
}
