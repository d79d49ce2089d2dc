//! A walk by chance: people dial in, are called, hold, leave, are removed and write, against a model that knows only who
//! is there. Every line reaches exactly those who are there, once, in order, and nobody reads himself.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::net::SocketAddr;
use std::time::Duration;

use conference::{ChatRate, Command};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use testkit::{HOST, Host, Net, Node, Phone, Script};

const PEOPLE: usize = 5;
const STEPS: usize = 120;

/// One phone, and what the model knows of it.
struct Person {
    phone: Node<Phone>,
    is_in: bool,
    is_held: bool,
    should_read: Vec<String>,
}

struct Walk {
    net: Net,
    host: Node<Host>,
    people: Vec<Person>,
    host_should_read: Vec<String>,
    written: usize,
}

#[test]
fn every_line_reaches_exactly_those_who_are_there() {
    for seed in 1..=12 {
        println!("seed {seed}");
        let mut chance = ChaCha8Rng::seed_from_u64(seed);
        let mut walk = Walk::new(seed);
        for _ in 0..STEPS {
            walk.step(&mut chance);
        }
        walk.check();
    }
}

impl Walk {
    fn new(seed: u64) -> Self {
        let mut net = Net::new(seed);
        let host = Host::join(&mut net, "Alice", HOST, ChatRate::Unlimited);
        let people = (0..PEOPLE)
            .map(|n| {
                let last = 21 + u8::try_from(n).unwrap();
                let script = Script { rings: Duration::from_millis(200), ..Script::new(&user(n)) };
                let address = SocketAddr::from(([192, 0, 2, last], 5060));
                let phone = Phone::join(&mut net, script, address);
                Person { phone, is_in: false, is_held: false, should_read: Vec::new() }
            })
            .collect();
        Self { net, host, people, host_should_read: Vec::new(), written: 0 }
    }

    fn step(&mut self, chance: &mut ChaCha8Rng) {
        let n = chance.random_range(0..PEOPLE);
        let (phone, is_in) = (self.people[n].phone, self.people[n].is_in);
        match (is_in, chance.random_range(0..10)) {
            (false, 0..4) => {
                self.net.act(phone, |phone| phone.dial(&Host::conference_uri(HOST)));
                self.people[n].is_in = true;
            }
            (false, 4..8) => {
                let uri = self.net.at(phone).uri();
                self.net.act(self.host, |host| host.invite(&uri, None));
                self.people[n].is_in = true;
            }
            (true, 0) => {
                self.net.act(phone, |phone| phone.hang_up());
                (self.people[n].is_in, self.people[n].is_held) = (false, false);
            }
            (true, 1) => self.remove(n),
            (true, 2) => {
                let on = !self.people[n].is_held;
                self.net.act(phone, |phone| phone.hold(on));
                self.people[n].is_held = on;
            }
            (true, 3..6) => {
                let line = self.write(Some(n));
                self.net.act(phone, |phone| phone.say(&line)).expect("it is in a call");
            }
            (true, 6..8) => {
                let line = self.write(Some(n));
                self.net.act(phone, |phone| phone.write_to(&Host::conference_uri(HOST), &line));
            }
            _ => {
                let line = self.write(None);
                self.net.act(self.host, |host| host.say("r", &line));
            }
        }
        self.net.run_for(Duration::from_millis(1_500));
        let there = self.people.iter().filter(|person| person.is_in).count() + 1;
        let roster = self.net.at(self.host).roster();
        let held = self.people.iter().filter(|person| person.is_held).count();
        assert_eq!(self.net.at(self.host).connected() + held, there, "{roster:#?}");
    }

    fn remove(&mut self, n: usize) {
        let entity = format!("{}@", user(n));
        let roster = self.net.at(self.host).roster();
        let here = roster.iter().filter(|one| one.entity.contains(&entity));
        let id = here.map(|one| one.id).max().expect("who is in is in the roster");
        self.net.act(self.host, |host| host.command(Command::Remove { participant: id }));
        (self.people[n].is_in, self.people[n].is_held) = (false, false);
    }

    /// A new line; notes who should read it.
    fn write(&mut self, author: Option<usize>) -> String {
        self.written += 1;
        let line = format!("line {}", self.written);
        for (n, person) in self.people.iter_mut().enumerate() {
            if person.is_in && author != Some(n) {
                person.should_read.push(line.clone());
            }
        }
        self.host_should_read.push(line.clone());
        line
    }

    fn check(&self) {
        for (n, person) in self.people.iter().enumerate() {
            let phone = self.net.at(person.phone);
            let read: Vec<String> = phone
                .shown()
                .into_iter()
                .filter(|text| text.contains("line "))
                .map(|text| text.split_once(": ").unwrap().1.to_owned())
                .collect();
            assert_eq!(read, person.should_read, "what {} reads", user(n));
            assert_eq!(phone.is_in_call(), person.is_in, "{}", user(n));
        }
        let read: Vec<String> =
            self.net.at(self.host).lines().map(|line| line.text.clone()).collect();
        assert_eq!(read, self.host_should_read, "what Alice reads");
    }
}

fn user(n: usize) -> String {
    format!("user{n}")
}
