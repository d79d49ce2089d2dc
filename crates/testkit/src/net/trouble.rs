//! What a test does to the network while it runs: plugs, partitions, translators, broken connections, restarts.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use sip_core::ConnectionChange;

use super::nat::{Nat, NatId, NatKind};
use super::{Actor, Delivery, Net, Node};

/// Where an actor of any kind sits.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Place(usize);

/// Who hears at once that a connection broke; the other one hears when it next sends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Told {
    /// Both ends.
    Both,
    /// The one that was named first.
    First,
    /// None of them: a translator forgot the connection.
    Nobody,
}

impl<A> Node<A> {
    /// Its place, whatever its kind.
    pub fn place(self) -> Place {
        Place(self.index)
    }
}

impl Net {
    /// Pulls an actor's plug: nothing reaches it or leaves it any more. Streams wait.
    pub fn unplug<A>(&mut self, node: Node<A>) {
        self.seats[node.index].plugged = false;
        self.remark(format!("{} is unplugged", self.seats[node.index].address));
    }

    /// Plugs it in again.
    pub fn plug<A>(&mut self, node: Node<A>) {
        self.seats[node.index].plugged = true;
        self.remark(format!("{} is plugged in", self.seats[node.index].address));
        self.send_stalled();
    }

    /// Puts another actor in its place: it crashed and began anew. Its connections are gone; their other ends hear it
    /// when they next send.
    pub fn restart<A: Actor>(&mut self, node: Node<A>, actor: A) {
        let place = node.index;
        self.remark(format!("{} restarts", self.seats[place].address));
        for end in self.streams.between(place, None) {
            self.streams.reset(end);
        }
        self.stalled.retain(|(from, ..)| *from != place);
        self.deliveries.retain(|_, delivery| match delivery {
            Delivery::Connection { to, .. } | Delivery::Answer { to, .. } => *to != place,
            Delivery::Datagram { .. } | Delivery::Stream { .. } | Delivery::Heal => true,
        });
        self.seats[place].actor = Box::new(actor);
        self.seats[place].timeout = None;
        self.tell_time(place);
        self.drain(place);
    }

    /// A translator with this address outside; mappings that nothing goes out by last `lifetime`.
    pub fn add_nat(&mut self, kind: NatKind, outside: IpAddr, lifetime: Duration) -> NatId {
        self.nats.push(Nat::new(kind, outside, lifetime));
        NatId(self.nats.len() - 1)
    }

    /// Puts an actor behind a translator: its own address is then private.
    pub fn put_behind<A>(&mut self, node: Node<A>, nat: NatId) {
        self.seats[node.index].nat = Some(nat);
        let (inside, outside) = (self.seats[node.index].address, self.nats[nat.0].outside);
        self.remark(format!("{inside} is behind {outside}, {:?}", self.nats[nat.0].kind));
    }

    /// The address by which somebody behind a translator was heard last, while that is let in.
    pub fn mapped<A>(&self, node: Node<A>) -> Option<SocketAddr> {
        let seat = &self.seats[node.index];
        self.nats[seat.nat?.0].mapped(seat.address, self.now)
    }

    /// A translator forgets everything: its next mappings have other ports, and connections through it break, of which
    /// nobody is told.
    pub fn rebind(&mut self, nat: NatId) {
        self.nats[nat.0].rebind();
        self.remark(format!("{} forgets its mappings", self.nats[nat.0].outside));
        for place in 0..self.seats.len() {
            if self.seats[place].nat != Some(nat) {
                continue;
            }
            for end in self.streams.between(place, None) {
                self.break_stream(end, Told::Nobody);
            }
        }
    }

    /// Cuts some off from all others until [`Net::heal`]; among themselves they talk.
    pub fn partition(&mut self, together: &[Place]) {
        let seats: Vec<SocketAddr> =
            together.iter().map(|place| self.seats[place.0].address).collect();
        self.remark(format!("cut off from all others: {seats:?}"));
        self.partitions.push(together.iter().map(|place| place.0).collect::<BTreeSet<_>>());
    }

    /// The same for some time; then the oldest partition ends.
    pub fn partition_for(&mut self, together: &[Place], duration: Duration) {
        self.partition(together);
        self.schedule(self.now + duration, Delivery::Heal);
    }

    /// Ends all partitions. Streams go on.
    pub fn heal(&mut self) {
        self.partitions.clear();
        self.remark("no partition is left".to_owned());
        self.send_stalled();
    }

    /// Breaks all connections between two: nothing on its way arrives.
    pub fn reset<A, B>(&mut self, one: Node<A>, other: Node<B>, told: Told) {
        let (first, second) = (self.seats[one.index].address, self.seats[other.index].address);
        self.remark(format!("connections of {first} and {second} break, told: {told:?}"));
        for end in self.streams.between(one.index, Some(other.index)) {
            self.break_stream(end, told);
        }
    }

    pub(super) fn heal_old(&mut self) {
        if !self.partitions.is_empty() {
            self.partitions.remove(0);
            self.remark("a partition ends".to_owned());
            self.send_stalled();
        }
    }

    /// Whether a partition is between two.
    pub(super) fn cut_off(&self, from: Option<usize>, to: usize) -> bool {
        let apart = |side: &BTreeSet<usize>| {
            side.contains(&to) != from.is_some_and(|from| side.contains(&from))
        };
        self.partitions.iter().any(apart)
    }

    fn break_stream(&mut self, end: super::End, told: Told) {
        let other = self.streams.reset(end);
        self.stalled.retain(|(_, to, _)| *to != end && Some(*to) != other);
        let closed = ConnectionChange::Closed { refused: false };
        match told {
            // It is still there for its owner, without a peer.
            Told::Nobody => self.streams.orphan(end),
            Told::Both | Told::First => {
                let at = self.streams.arrival(end, self.now);
                self.tell(end, closed.clone(), at);
            }
        }
        if let (Told::Both, Some(other)) = (told, other) {
            self.streams.forget(other);
            let at = self.streams.arrival(other, self.now);
            self.tell(other, closed, at);
        }
    }

    /// What waited for its way goes, where that is there again.
    fn send_stalled(&mut self) {
        for (from, end, contents) in std::mem::take(&mut self.stalled) {
            let up = self.seats[from].plugged && self.seats[end.0].plugged;
            if up && !self.cut_off(Some(from), end.0) {
                self.send_along(from, end, &contents);
            } else {
                self.stalled.push((from, end, contents));
            }
        }
    }

    fn remark(&mut self, text: String) {
        self.ladder.note(self.now - self.began, text);
    }
}
