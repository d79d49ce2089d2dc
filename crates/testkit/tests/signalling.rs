//! A random walk of bare Endpoints: four people do anything that the interface allows, at any time, over a network that
//! loses, doubles, reorders, translates, parts and breaks. Nothing is told that may not be, nothing is left over.
//!
//! 50 seeds; `PARLOUR_SEEDS=n` runs that many. A seed that fails is printed; `PARLOUR_SEED=n` (or `0x...`) runs it alone and
//! prints its ladder.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::cell::RefCell;
use std::env;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use testkit::{Bursts, Jitter, Link, NatId, NatKind, Net, Node, Told};

use peer::{Book, Peer};

#[path = "signalling/model.rs"]
mod model;
#[path = "signalling/peer.rs"]
mod peer;
#[path = "signalling/wire.rs"]
mod wire;

const PEOPLE: usize = 4;
/// How long they walk.
const WALK: Duration = Duration::from_secs(600);
/// How long the last transaction and the last text in a queue may take after it.
const AFTER: Duration = Duration::from_secs(2_400);

/// What one seed came to.
#[derive(Default)]
struct Came {
    transcript: String,
    messages: usize,
    requests: usize,
    delivered: usize,
    calls: usize,
    subscriptions: usize,
}

struct Walk {
    net: Net,
    chance: ChaCha8Rng,
    people: Vec<Node<Peer>>,
    nat: NatId,
    book: Rc<RefCell<Book>>,
}

#[test]
fn nothing_is_told_that_may_not_be_and_nothing_is_left_over() {
    if let Ok(seed) = env::var("PARLOUR_SEED") {
        println!("{}", run(number(&seed)).transcript);
        return;
    }
    let seeds = env::var("PARLOUR_SEEDS").map_or(50, |n| number(&n));
    let mut all = Came::default();
    for seed in 1..=seeds {
        let came = run(seed);
        all.messages += came.messages;
        all.requests += came.requests;
        all.delivered += came.delivered;
        all.calls += came.calls;
        all.subscriptions += came.subscriptions;
    }
    println!(
        "{seeds} seeds: {} messages on the wire, {} requests in dialogs, {} calls at either side, \
         {} subscriptions, {} texts delivered",
        all.messages, all.requests, all.calls, all.subscriptions, all.delivered
    );
    let each = |count: usize| count as u64 / seeds;
    assert!(each(all.calls) > 50 && each(all.delivered) > 20, "they do next to nothing");
}

#[test]
fn a_seed_replays_exactly() {
    let of = |seed| run(seed).transcript;
    assert!(of(7) == of(7), "two runs of one seed differ");
    assert!(of(7) != of(8), "the seed does not matter");
}

fn number(text: &str) -> u64 {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.unwrap_or_else(|_| panic!("{text:?} is no number"))
}

fn run(seed: u64) -> Came {
    println!("seed {seed}");
    let mut walk = Walk::new(seed);
    while walk.net.elapsed() < WALK {
        walk.step();
    }
    walk.end();
    let book = walk.book.borrow();
    Came {
        messages: walk.net.ladder().len(),
        requests: book.requests,
        delivered: book.delivered,
        calls: book.before[0],
        subscriptions: book.before[3],
        transcript: walk.net.transcript(),
    }
}

impl Walk {
    fn new(seed: u64) -> Self {
        let mut net = Net::new(seed);
        let mut chance = ChaCha8Rng::seed_from_u64(seed);
        let book = Rc::new(RefCell::new(Book::default()));
        let people: Vec<Node<Peer>> = (0..PEOPLE)
            .map(|n| {
                let (now, generator) = (net.now(), net.generator());
                net.add(address(n), Peer::new(&user(n), address(n), now, generator, &book))
            })
            .collect();
        let kinds = [NatKind::AddressRestricted, NatKind::FullCone, NatKind::Symmetric];
        let kind = kinds[chance.random_range(0..kinds.len())];
        let lifetime = Duration::from_secs(chance.random_range(20..200));
        let nat = net.add_nat(kind, IpAddr::from([198, 51, 100, 1]), lifetime);
        if chance.random_range(0..10) < 7 {
            net.put_behind(people[PEOPLE - 1], nat);
        }
        Self { net, chance, people, nat, book }
    }

    /// Somebody does something, or something is done to the network; then a little time passes, or none.
    fn step(&mut self) {
        match self.chance.random_range(0..100) {
            0..90 => self.act(),
            90..94 => self.set_link(),
            94..95 => self.part(),
            95..96 => self.net.rebind(self.nat),
            96..98 => self.reset(),
            98 if self.chance.random_range(0..4) == 0 => self.restart(),
            _ => {}
        }
        let pause = match self.chance.random_range(0..20) {
            0..6 => self.chance.random_range(0..30),
            6..19 => self.chance.random_range(30..2_500),
            _ => self.chance.random_range(2_500..20_000),
        };
        self.net.run_for(Duration::from_millis(pause));
    }

    fn act(&mut self) {
        let n = self.chance.random_range(0..PEOPLE);
        let others: Vec<(String, SocketAddr)> = (0..PEOPLE)
            .filter(|other| *other != n)
            .map(|other| {
                let node = self.people[other];
                (user(other), self.net.mapped(node).unwrap_or(address(other)))
            })
            .collect();
        self.net.act(self.people[n], |peer| peer.step(&others));
    }

    /// Anything from a plain network to one that loses 30 %.
    fn set_link(&mut self) {
        let chance = &mut self.chance;
        let mean = Duration::from_millis(chance.random_range(1..60));
        let bursts = Bursts {
            worsens: 0.02,
            recovers: 0.2,
            loss_when_good: 0.0,
            loss_when_bad: chance.random_range(0.3..1.0),
        };
        let link = Link {
            delay: Duration::from_millis(chance.random_range(1..120)),
            jitter: Jitter::Exponential { mean },
            loss: chance.random_range(0.0..0.3),
            bursts: chance.random_bool(0.3).then_some(bursts),
            duplication: chance.random_range(0.0..0.15),
            reordering: chance.random_range(0.0..0.25),
            hold_back: Duration::from_millis(chance.random_range(50..900)),
        };
        let one_way = chance.random_bool(0.5);
        let (one, other) = (chance.random_range(0..PEOPLE), chance.random_range(0..PEOPLE));
        if one_way && one != other {
            self.net.set_link(self.people[one], self.people[other], link);
        } else {
            self.net.set_all_links(link);
        }
    }

    fn part(&mut self) {
        let chance = &mut self.chance;
        let some: Vec<_> = self.people.iter().filter(|_| chance.random_bool(0.4)).collect();
        let places: Vec<_> = some.into_iter().map(|node| node.place()).collect();
        let time = Duration::from_millis(chance.random_range(200..60_000));
        self.net.partition_for(&places, time);
    }

    fn reset(&mut self) {
        let (one, other) =
            (self.chance.random_range(0..PEOPLE), self.chance.random_range(0..PEOPLE));
        let told = [Told::Both, Told::First, Told::Nobody][self.chance.random_range(0..3)];
        if one != other {
            self.net.reset(self.people[one], self.people[other], told);
        }
    }

    fn restart(&mut self) {
        let n = self.chance.random_range(0..PEOPLE);
        self.net.act(self.people[n], |peer| peer.leave());
        let (now, generator) = (self.net.now(), self.net.generator());
        let peer = Peer::new(&user(n), address(n), now, generator, &self.book);
        self.net.restart(self.people[n], peer);
    }

    /// The network is whole again, and everybody ends what he has begun: then there is nothing.
    fn end(&mut self) {
        self.net.heal();
        self.net.set_all_links(Link::PLAIN);
        for one in &self.people {
            for other in &self.people {
                self.net.set_link(*one, *other, Link::PLAIN);
            }
        }
        for node in &self.people {
            self.net.act(*node, |peer| peer.calm_down());
        }
        let people = self.people.clone();
        let idle = |net: &Net| people.iter().all(|node| net.at(*node).load().is_idle());
        self.net.run_until(AFTER, idle);
        // Nothing comes back.
        self.net.run_for(Duration::from_secs(64));
        for node in &self.people {
            self.net.act(*node, |peer| {
                peer.check_end();
                peer.leave();
            });
        }
    }
}

fn user(n: usize) -> String {
    format!("user{n}")
}

fn address(n: usize) -> SocketAddr {
    let last = 11 + u8::try_from(n).unwrap();
    SocketAddr::from(([192, 0, 2, last], 5060))
}
