//! The virtual network: clock, wires, delivery. UDP may be lost, doubled, held back; TCP is a reliable stream that may
//! be refused and may break; names are answered from a table. `link` is what a way does to what goes along it, `nat`
//! translates addresses, `trouble` is what a test does to the network while it runs.

mod link;
mod names;
mod nat;
mod streams;
mod trouble;

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use conference::Now;
use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sip_core::{
    Connect, ConnectionChange, ConnectionId, DnsAnswer, Input, Output, Query, Transmit, Transport,
};
use time::OffsetDateTime;

use crate::ladder::{self, Fate, Ladder, Step};
use names::Names;
use nat::Nat;
use streams::{End, Peer, Streams};

pub use link::{Bursts, Jitter, Link};
pub use nat::{NatId, NatKind};
pub use trouble::{Place, Told};

/// Somebody on the network.
pub trait Actor: Any {
    /// What time it is; told before anything else.
    fn set_now(&mut self, now: Now);
    /// Bytes, a connection, an answer of the name system, or time.
    fn handle_input(&mut self, input: Input<'_>);
    /// Drained until [`Output::Timeout`]. Events are the actor's own matter: it never gives one out.
    fn poll_output(&mut self) -> Output;
}

/// Names an actor and its kind.
pub struct Node<A> {
    index: usize,
    kind: PhantomData<fn() -> A>,
}

impl<A> Clone for Node<A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for Node<A> {}

/// The network.
pub struct Net {
    seed: u64,
    began: Instant,
    now: Instant,
    chance: ChaCha8Rng,
    generators: ChaCha8Rng,
    seats: Vec<Seat>,
    default_link: Link,
    links: BTreeMap<(usize, usize), Link>,
    /// Which ways are in a bad time: see [`Bursts`].
    bad: BTreeMap<(Option<usize>, Option<usize>), bool>,
    nats: Vec<Nat>,
    /// Who is cut off from all others, together.
    partitions: Vec<BTreeSet<usize>>,
    /// Bytes of streams that wait for the way to be there again.
    stalled: Vec<(usize, End, Bytes)>,
    names: Names,
    deliveries: BTreeMap<(Instant, u64), Delivery>,
    next_delivery: u64,
    streams: Streams,
    ladder: Ladder,
}

struct Seat {
    address: SocketAddr,
    actor: Box<dyn Actor>,
    timeout: Option<Instant>,
    plugged: bool,
    takes_tcp: bool,
    drop_next: usize,
    nat: Option<NatId>,
}

enum Delivery {
    Datagram {
        to: usize,
        source: SocketAddr,
        destination: SocketAddr,
        contents: Bytes,
    },
    Stream {
        to: usize,
        connection: ConnectionId,
        contents: Bytes,
    },
    Connection {
        to: usize,
        connection: ConnectionId,
        change: ConnectionChange,
    },
    /// The partition of that time ends.
    Heal,
    Answer {
        to: usize,
        query: sip_core::QueryId,
        answer: DnsAnswer,
    },
}

impl Net {
    /// An empty network. Everything that happens by chance follows from `seed`.
    pub fn new(seed: u64) -> Self {
        let began = Instant::now();
        Self {
            seed,
            began,
            now: began,
            chance: ChaCha8Rng::seed_from_u64(seed),
            generators: ChaCha8Rng::seed_from_u64(seed ^ 0x9e37_79b9_7f4a_7c15),
            seats: Vec::new(),
            default_link: Link::default(),
            links: BTreeMap::new(),
            bad: BTreeMap::new(),
            nats: Vec::new(),
            partitions: Vec::new(),
            stalled: Vec::new(),
            names: Names::default(),
            deliveries: BTreeMap::new(),
            next_delivery: 0,
            streams: Streams::default(),
            ladder: Ladder::default(),
        }
    }

    /// Puts an actor at an address, where it takes UDP and TCP.
    pub fn add<A: Actor>(&mut self, address: SocketAddr, actor: A) -> Node<A> {
        let taken = self.seats.iter().any(|seat| seat.address == address);
        assert!(!taken, "{address} is taken");
        self.seats.push(Seat {
            address,
            actor: Box::new(actor),
            timeout: None,
            plugged: true,
            takes_tcp: true,
            drop_next: 0,
            nat: None,
        });
        let index = self.seats.len() - 1;
        self.tell_time(index);
        self.drain(index);
        Node { index, kind: PhantomData }
    }

    /// A generator for an actor, different for each, the same for the same seed.
    pub fn generator(&mut self) -> Box<dyn RngCore + Send> {
        Box::new(ChaCha8Rng::seed_from_u64(self.generators.next_u64()))
    }

    /// What chance does on all ways that have no [`Net::set_link`] of their own.
    pub fn set_all_links(&mut self, link: Link) {
        self.default_link = link;
    }

    /// What chance does on the way from one to another; the way back is another link.
    pub fn set_link<A, B>(&mut self, from: Node<A>, to: Node<B>, link: Link) {
        self.links.insert((from.index, to.index), link);
    }

    /// What the name system knows.
    pub fn names(&mut self) -> &mut Names {
        &mut self.names
    }

    /// Loses the next `count` datagrams to an actor.
    pub fn drop_next<A>(&mut self, to: Node<A>, count: usize) {
        self.seats[to.index].drop_next += count;
    }

    /// Whether an actor takes TCP connections; otherwise they are refused.
    pub fn set_takes_tcp<A>(&mut self, node: Node<A>, takes: bool) {
        self.seats[node.index].takes_tcp = takes;
    }

    /// Sends raw bytes from any address, whoever sits there.
    pub fn inject(&mut self, source: SocketAddr, destination: SocketAddr, contents: &[u8]) {
        let from = self.seat_of(source);
        let contents = Bytes::copy_from_slice(contents);
        match from {
            Some(from) => self.send_datagram(from, source, destination, contents),
            None => self.send_outside(None, source, source, destination, contents),
        }
    }

    /// Does something as an actor and sends what follows from it.
    pub fn act<A: Actor, R>(&mut self, node: Node<A>, act: impl FnOnce(&mut A) -> R) -> R {
        self.tell_time(node.index);
        let actor: &mut dyn Any = self.seats[node.index].actor.as_mut();
        let result = act(actor.downcast_mut().expect("a node knows its actor's kind"));
        self.drain(node.index);
        result
    }

    /// Lets time pass.
    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.step(end) {}
        self.now = end;
    }

    /// Lets time pass until something is so, at most `limit`; tells whether it came to be.
    pub fn run_until(&mut self, limit: Duration, mut so: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now + limit;
        while !so(self) {
            if !self.step(end) {
                self.now = end;
                return so(self);
            }
        }
        true
    }

    /// Looks at an actor.
    pub fn at<A: Actor>(&self, node: Node<A>) -> &A {
        let actor: &dyn Any = self.seats[node.index].actor.as_ref();
        actor.downcast_ref().expect("a node knows its actor's kind")
    }

    /// Where an actor is.
    pub fn address<A>(&self, node: Node<A>) -> SocketAddr {
        self.seats[node.index].address
    }

    /// What time it is.
    pub fn now(&self) -> Now {
        let since = time::Duration::try_from(self.elapsed()).expect("a test is short");
        Now { monotonic: self.now, utc: OffsetDateTime::UNIX_EPOCH + FIRST_DAY + since }
    }

    /// How much time has passed since the network began.
    pub fn elapsed(&self) -> Duration {
        self.now - self.began
    }

    /// Everything that was sent.
    pub fn ladder(&self) -> &[Step] {
        self.ladder.steps()
    }

    /// Everything that was sent and done to the network, one line each, to compare two runs or to read.
    pub fn transcript(&self) -> String {
        self.ladder.lines(usize::MAX)
    }

    /// The last `steps` as arrows between columns, as they are printed when a test fails.
    pub fn picture(&self, steps: usize) -> String {
        self.ladder.picture(steps)
    }

    /// The next thing that happens, no later than `end`.
    fn step(&mut self, end: Instant) -> bool {
        let delivery = self.deliveries.first_key_value().map(|((at, _), _)| *at);
        let timeout = self
            .seats
            .iter()
            .enumerate()
            .filter(|(_, seat)| seat.plugged)
            .filter_map(|(index, seat)| seat.timeout.map(|at| (at, index)))
            .min();
        match (delivery, timeout) {
            (Some(at), other) if at <= end && other.is_none_or(|(other, _)| at <= other) => {
                self.now = self.now.max(at);
                if let Some((_, delivery)) = self.deliveries.pop_first() {
                    self.deliver(delivery);
                }
                true
            }
            (_, Some((at, index))) if at <= end => {
                let stands_still = at <= self.now;
                self.now = self.now.max(at);
                self.tell_time(index);
                self.seats[index].actor.handle_input(Input::Timeout(self.now));
                self.drain(index);
                let seat = &self.seats[index];
                assert!(
                    !(stands_still && seat.timeout.is_some_and(|next| next <= at)),
                    "{} asks for the same time again and again",
                    seat.address
                );
                true
            }
            _ => false,
        }
    }

    fn deliver(&mut self, delivery: Delivery) {
        let now = self.now;
        let to = match &delivery {
            Delivery::Datagram { to, .. }
            | Delivery::Stream { to, .. }
            | Delivery::Connection { to, .. }
            | Delivery::Answer { to, .. } => *to,
            Delivery::Heal => {
                self.heal_old();
                return;
            }
        };
        let broken = match &delivery {
            Delivery::Stream { to, connection, .. } => !self.streams.takes((*to, *connection)),
            Delivery::Datagram { .. }
            | Delivery::Connection { .. }
            | Delivery::Answer { .. }
            | Delivery::Heal => false,
        };
        if !self.seats[to].plugged || broken {
            return;
        }
        self.tell_time(to);
        let actor = &mut self.seats[to].actor;
        match delivery {
            Delivery::Datagram { source, destination, contents, .. } => {
                let transport = Transport::Udp;
                let contents = &contents;
                actor.handle_input(Input::Datagram {
                    now,
                    transport,
                    source,
                    destination,
                    contents,
                });
            }
            Delivery::Stream { connection, contents, .. } => {
                actor.handle_input(Input::Stream { now, connection, contents: &contents });
            }
            Delivery::Connection { connection, change, .. } => {
                actor.handle_input(Input::Connection { now, connection, change });
            }
            Delivery::Answer { query, answer, .. } => {
                actor.handle_input(Input::Resolved { now, query, answer });
            }
            Delivery::Heal => {}
        }
        self.drain(to);
    }

    fn tell_time(&mut self, index: usize) {
        let now = self.now();
        self.seats[index].actor.set_now(now);
    }

    fn drain(&mut self, index: usize) {
        loop {
            match self.seats[index].actor.poll_output() {
                Output::Transmit(transmit) => self.transmit(index, transmit),
                Output::Close(connection) => self.close(index, connection),
                Output::Connect(connect) => self.connect(index, &connect),
                Output::Resolve(query) => self.resolve(index, &query),
                Output::Event(event) => panic!("an actor keeps its events to itself: {event:?}"),
                Output::Timeout(timeout) => {
                    self.seats[index].timeout = timeout;
                    return;
                }
            }
        }
    }

    fn transmit(&mut self, from: usize, transmit: Transmit) {
        let flow = transmit.flow;
        match flow.transport {
            Transport::Udp => {
                self.send_datagram(from, flow.local, flow.remote, transmit.contents);
            }
            Transport::Tcp | Transport::Tls => self.send_stream(from, &transmit),
        }
    }

    /// A datagram leaves a seat: to a neighbour behind the same translator, or out through it.
    fn send_datagram(
        &mut self,
        from: usize,
        source: SocketAddr,
        destination: SocketAddr,
        contents: Bytes,
    ) {
        let nat = self.seats[from].nat;
        let neighbour = self.seat_of(destination).is_some_and(|to| self.seats[to].nat == nat);
        let seen = match nat {
            Some(id) if !neighbour => self.nats[id.0].out(source, destination, self.now),
            Some(_) | None => source,
        };
        self.send_outside(Some(from), source, seen, destination, contents);
    }

    /// A datagram that others see as coming from `seen`.
    fn send_outside(
        &mut self,
        from: Option<usize>,
        source: SocketAddr,
        seen: SocketAddr,
        destination: SocketAddr,
        contents: Bytes,
    ) {
        let nat = self.nats.iter().position(|nat| nat.outside == destination.ip());
        let inside = match nat {
            Some(nat) => self.nats[nat].inside(seen, destination, self.now),
            None => Some(destination),
        };
        let to = inside.and_then(|inside| self.seat_of(inside)).filter(|to| {
            nat.is_some() || self.seats[*to].nat.is_none_or(|_| self.same_side(from, *to))
        });
        let link = self.link(from, to);
        let bad = self.bad.entry((from, to)).or_default();
        let luck = link.throw(bad, &mut self.chance);
        let unplugged = from.is_some_and(|from| !self.seats[from].plugged);
        let fate = match to {
            None if nat.is_some() => Fate::NotLetIn,
            None => Fate::NobodyThere,
            Some(to) if unplugged || !self.seats[to].plugged => Fate::NobodyThere,
            Some(to) if self.cut_off(from, to) => Fate::CutOff,
            Some(to) if self.seats[to].drop_next > 0 => {
                self.seats[to].drop_next -= 1;
                Fate::Dropped
            }
            Some(_) if luck.lost => Fate::Lost,
            Some(_) if luck.twice => Fate::Duplicated,
            Some(_) if luck.late => Fate::Delayed,
            Some(_) => Fate::Delivered,
        };
        let as_seen = (seen != source).then_some(seen);
        let arrives = inside.unwrap_or(destination);
        let into = (arrives != destination).then_some(arrives);
        self.note((source, destination), (as_seen, into), Transport::Udp, &contents, fate);
        let Some(to) = to else { return };
        let copies: &[Duration] = match fate {
            Fate::Delivered | Fate::Delayed => &luck.takes[..1],
            Fate::Duplicated => &luck.takes,
            Fate::Broken
            | Fate::CutOff
            | Fate::Dropped
            | Fate::Lost
            | Fate::NobodyThere
            | Fate::NotLetIn
            | Fate::Waits => &[],
        };
        for takes in copies {
            let (at, contents) = (self.now + *takes, contents.clone());
            let delivery = Delivery::Datagram { to, source: seen, destination: arrives, contents };
            self.schedule(at, delivery);
        }
    }

    /// Whether a private address is reached without a translator.
    fn same_side(&self, from: Option<usize>, to: usize) -> bool {
        from.is_some_and(|from| self.seats[from].nat == self.seats[to].nat)
    }

    fn resolve(&mut self, from: usize, query: &Query) {
        let local = self.seats[from].address;
        let answer = self.names.answer(query, local);
        self.schedule(self.now, Delivery::Answer { to: from, query: query.id, answer });
    }

    fn connect(&mut self, from: usize, connect: &Connect) {
        let there = self.seat_of(connect.remote);
        // A translator lets no connection in, and a private address is nobody's outside.
        let there =
            there.filter(|to| self.seats[*to].nat.is_none() || self.same_side(Some(from), *to));
        let is_up = |to: &usize| {
            let plugged = self.seats[*to].plugged && self.seats[from].plugged;
            plugged && !self.cut_off(Some(from), *to)
        };
        let silent = there.is_some_and(|to| !is_up(&to));
        let to = there.filter(is_up).filter(|to| self.seats[*to].takes_tcp);
        let takes = if silent { CONNECT_TIMEOUT } else { self.stream_takes(from, to) };
        let (local, nat) = (self.seats[from].address, self.seats[from].nat);
        let neighbour = to.is_some_and(|to| self.same_side(Some(from), to));
        let outside = match nat.filter(|_| !neighbour) {
            Some(nat) => self.nats[nat.0].outside,
            None => local.ip(),
        };
        for (end, change) in self.streams.open(from, local, outside, connect, to) {
            let at = self.streams.arrival(end, self.now + takes);
            self.tell(end, change, at);
        }
    }

    fn close(&mut self, from: usize, connection: ConnectionId) {
        let Some(other) = self.streams.close((from, connection)) else { return };
        let takes = self.stream_takes(from, Some(other.0));
        let at = self.streams.arrival(other, self.now + takes);
        self.tell(other, ConnectionChange::Closed { refused: false }, at);
    }

    fn tell(&mut self, (to, connection): End, change: ConnectionChange, at: Instant) {
        self.schedule(at, Delivery::Connection { to, connection, change });
    }

    fn send_stream(&mut self, from: usize, transmit: &Transmit) {
        let flow = transmit.flow;
        let fate = match self.streams.peer(from, &flow) {
            Peer::None => Fate::NobodyThere,
            Peer::Gone(own) => {
                let takes = self.stream_takes(from, None);
                self.streams.forget(own);
                self.tell(own, ConnectionChange::Closed { refused: false }, self.now + takes);
                Fate::Broken
            }
            Peer::End(end) => {
                let plugged = self.seats[end.0].plugged && self.seats[from].plugged;
                if !plugged || self.cut_off(Some(from), end.0) {
                    self.stalled.push((from, end, transmit.contents.clone()));
                    Fate::Waits
                } else {
                    self.send_along(from, end, &transmit.contents);
                    Fate::Delivered
                }
            }
        };
        let (ends, contents) = ((flow.local, flow.remote), &transmit.contents);
        self.note(ends, (None, None), flow.transport, contents, fate);
    }

    /// A stream is cut anywhere: framing is the receiver's task.
    fn send_along(&mut self, from: usize, end: End, contents: &Bytes) {
        let takes = self.stream_takes(from, Some(end.0));
        let cut = self.chance.random_range(0..=contents.len());
        let at = self.streams.arrival(end, self.now + takes);
        let (to, connection) = end;
        for contents in [contents.slice(..cut), contents.slice(cut..)] {
            if !contents.is_empty() {
                self.schedule(at, Delivery::Stream { to, connection, contents });
            }
        }
    }

    fn stream_takes(&mut self, from: usize, to: Option<usize>) -> Duration {
        let link = self.link(Some(from), to);
        let bad = self.bad.entry((Some(from), to)).or_default();
        link.stream_takes(bad, &mut self.chance)
    }

    fn schedule(&mut self, at: Instant, delivery: Delivery) {
        self.deliveries.insert((at, self.next_delivery), delivery);
        self.next_delivery += 1;
    }

    fn note(
        &mut self,
        (from, to): (SocketAddr, SocketAddr),
        (seen, into): (Option<SocketAddr>, Option<SocketAddr>),
        transport: Transport,
        contents: &Bytes,
        fate: Fate,
    ) {
        let summary = ladder::summary(contents);
        let (at, contents) = (self.elapsed(), contents.clone());
        self.ladder.push(Step { at, from, to, seen, into, transport, summary, contents, fate });
    }

    fn seat_of(&self, address: SocketAddr) -> Option<usize> {
        self.seats.iter().position(|seat| seat.address == address)
    }

    fn link(&self, from: Option<usize>, to: Option<usize>) -> Link {
        let known = from.zip(to).and_then(|ends| self.links.get(&ends));
        known.copied().unwrap_or(self.default_link)
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("network of seed {}:\n{}", self.seed, self.ladder.picture(150));
        }
    }
}

/// How long a connection is tried that nobody refuses.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The virtual calendar begins on 2026-01-01.
const FIRST_DAY: time::Duration = time::Duration::days(20_454);
