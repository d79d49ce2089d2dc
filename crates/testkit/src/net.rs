//! The virtual network: clock, wires, delivery. UDP may be lost, doubled, held back; TCP is a reliable stream that may
//! be refused; names are answered from a table.

mod names;
mod streams;

use std::any::Any;
use std::collections::BTreeMap;
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

use crate::ladder::{self, Fate, Step};
use names::Names;
use streams::Streams;

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

/// How the way from one actor to another treats datagrams.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// How long everything takes.
    pub delay: Duration,
    /// Share of datagrams that are lost, 0 to 1.
    pub loss: f64,
    /// Share that comes twice.
    pub duplication: f64,
    /// Share that is held back by up to [`Link::hold_back`], so that later ones overtake it.
    pub reordering: f64,
    /// The longest that a datagram is held back.
    pub hold_back: Duration,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(10),
            loss: 0.0,
            duplication: 0.0,
            reordering: 0.0,
            hold_back: Duration::from_millis(300),
        }
    }
}

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
    names: Names,
    deliveries: BTreeMap<(Instant, u64), Delivery>,
    next_delivery: u64,
    streams: Streams,
    ladder: Vec<Step>,
}

struct Seat {
    address: SocketAddr,
    actor: Box<dyn Actor>,
    timeout: Option<Instant>,
    plugged: bool,
    takes_tcp: bool,
    drop_next: usize,
}

enum Delivery {
    Datagram { to: usize, source: SocketAddr, destination: SocketAddr, contents: Bytes },
    Stream { to: usize, connection: ConnectionId, contents: Bytes },
    Connection { to: usize, connection: ConnectionId, change: sip_core::ConnectionChange },
    Answer { to: usize, query: sip_core::QueryId, answer: DnsAnswer },
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
            names: Names::default(),
            deliveries: BTreeMap::new(),
            next_delivery: 0,
            streams: Streams::default(),
            ladder: Vec::new(),
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

    /// Pulls an actor's plug: nothing reaches it or leaves it any more.
    pub fn unplug<A>(&mut self, node: Node<A>) {
        self.seats[node.index].plugged = false;
    }

    /// Sends raw bytes from any address, whoever sits there.
    pub fn inject(&mut self, source: SocketAddr, destination: SocketAddr, contents: &[u8]) {
        let from = self.seat_of(source);
        self.send_datagram(from, source, destination, Bytes::copy_from_slice(contents));
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
        &self.ladder
    }

    /// Everything that was sent, one line each, to compare two runs or to read.
    pub fn transcript(&self) -> String {
        ladder::tail(&self.ladder, usize::MAX)
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
        };
        if !self.seats[to].plugged {
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
                self.send_datagram(Some(from), flow.local, flow.remote, transmit.contents);
            }
            Transport::Tcp | Transport::Tls => self.send_stream(from, &transmit),
        }
    }

    fn send_datagram(
        &mut self,
        from: Option<usize>,
        source: SocketAddr,
        destination: SocketAddr,
        contents: Bytes,
    ) {
        let to = self.seat_of(destination);
        let link = self.link(from, to);
        // All dice are thrown for every datagram, so that one link's settings do not shift another's luck.
        let [lost, twice, late] = [link.loss, link.duplication, link.reordering]
            .map(|share| self.chance.random::<f64>() < share);
        let holds = [self.chance.random::<f64>(), self.chance.random::<f64>()];
        let unplugged = from.is_some_and(|from| !self.seats[from].plugged);
        let fate = match to {
            None => Fate::NobodyThere,
            Some(to) if unplugged || !self.seats[to].plugged => Fate::NobodyThere,
            Some(to) if self.seats[to].drop_next > 0 => {
                self.seats[to].drop_next -= 1;
                Fate::Dropped
            }
            Some(_) if lost => Fate::Lost,
            Some(_) if twice => Fate::Duplicated,
            Some(_) if late => Fate::Delayed,
            Some(_) => Fate::Delivered,
        };
        self.note(source, destination, Transport::Udp, &contents, fate);
        let Some(to) = to else { return };
        let copies: &[f64] = match fate {
            Fate::Delivered => &[0.0],
            Fate::Delayed => &holds[..1],
            Fate::Duplicated => &[0.0, holds[1]],
            Fate::Lost | Fate::Dropped | Fate::NobodyThere => &[],
        };
        for hold in copies {
            let at = self.now + link.delay + link.hold_back.mul_f64(*hold);
            let contents = contents.clone();
            self.schedule(at, Delivery::Datagram { to, source, destination, contents });
        }
    }

    fn resolve(&mut self, from: usize, query: &Query) {
        let local = self.seats[from].address;
        let answer = self.names.answer(query, local);
        self.schedule(self.now, Delivery::Answer { to: from, query: query.id, answer });
    }

    fn connect(&mut self, from: usize, connect: &Connect) {
        let to = self.seat_of(connect.remote).filter(|to| {
            let seat = &self.seats[*to];
            seat.plugged && seat.takes_tcp
        });
        let delay = self.link(Some(from), to).delay;
        let local = self.seats[from].address;
        for (to, connection, change) in self.streams.open(from, local, connect, to) {
            let delivery = Delivery::Connection { to, connection, change };
            self.schedule(self.now + delay, delivery);
        }
    }

    fn close(&mut self, from: usize, connection: ConnectionId) {
        let Some((to, connection)) = self.streams.close(from, connection) else { return };
        let earliest = self.now + self.link(Some(from), Some(to)).delay;
        let at = self.streams.arrival(to, connection, earliest);
        let change = ConnectionChange::Closed { refused: false };
        self.schedule(at, Delivery::Connection { to, connection, change });
    }

    fn send_stream(&mut self, from: usize, transmit: &Transmit) {
        let flow = transmit.flow;
        let fate = match self.streams.peer(from, &flow) {
            None => Fate::NobodyThere,
            Some((to, _)) if !self.seats[to].plugged || !self.seats[from].plugged => {
                Fate::NobodyThere
            }
            Some((to, connection)) => {
                let delay = self.link(Some(from), Some(to)).delay;
                // A stream is cut anywhere: framing is the receiver's task.
                let cut = self.chance.random_range(0..=transmit.contents.len());
                let at = self.streams.arrival(to, connection, self.now + delay);
                for contents in [transmit.contents.slice(..cut), transmit.contents.slice(cut..)] {
                    if !contents.is_empty() {
                        self.schedule(at, Delivery::Stream { to, connection, contents });
                    }
                }
                Fate::Delivered
            }
        };
        self.note(flow.local, flow.remote, flow.transport, &transmit.contents, fate);
    }

    fn schedule(&mut self, at: Instant, delivery: Delivery) {
        self.deliveries.insert((at, self.next_delivery), delivery);
        self.next_delivery += 1;
    }

    fn note(
        &mut self,
        from: SocketAddr,
        to: SocketAddr,
        transport: Transport,
        contents: &Bytes,
        fate: Fate,
    ) {
        let summary = ladder::summary(contents);
        let contents = contents.clone();
        self.ladder.push(Step { at: self.elapsed(), from, to, transport, summary, contents, fate });
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
            eprintln!("network of seed {}:\n{}", self.seed, ladder::tail(&self.ladder, 150));
        }
    }
}

/// The virtual calendar begins on 2026-01-01.
const FIRST_DAY: time::Duration = time::Duration::days(20_454);
