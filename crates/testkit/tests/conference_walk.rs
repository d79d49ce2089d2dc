//! A random walk of a conference of 3 to 12: ordinary phones and our own kind come, leave, crash, are muted, held and
//! removed, change what they can, write to all and to one, over a network that loses, doubles and reorders. Afterwards
//! `checks` holds the packets, what each phone showed and what the host was told against each other.
//!
//! 50 seeds; `PARLOUR_SEEDS=n` runs that many. A seed that fails is printed; `PARLOUR_SEED=n` runs it alone and prints its
//! ladder.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::env;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use conference::{ChatRate, Command, DeliveryState, Moderation, ParticipantState, Recipient};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use testkit::{Bursts, Guest, HOST, Host, Jitter, Link, Net, Node, Phone, Script, TextAnswer};

use checks::Came;

#[path = "conference_walk/checks.rs"]
mod checks;

const STEPS: usize = 150;
/// How long the last text in a queue may take once the network is whole.
const AFTER: Duration = Duration::from_secs(2_400);

/// One who takes part.
enum Kind {
    Guest(Node<Guest>),
    Phone(Node<Phone>),
}

struct Person {
    kind: Kind,
    address: IpAddr,
    is_held: bool,
    /// Until when a call of its own may still come to something.
    dials_until: Duration,
    is_plugged: bool,
    /// It was cut off at some time, or did not take every text: what is sent to it may fail.
    may_fail: bool,
}

/// A text to one, and between whom.
struct Secret {
    token: String,
    between: Vec<IpAddr>,
}

struct Walk {
    net: Net,
    chance: ChaCha8Rng,
    host: Node<Host>,
    people: Vec<Person>,
    written: usize,
    secrets: Vec<Secret>,
    /// Whether phones crash and networks part in this one.
    has_crashes: bool,
    ended: bool,
}

#[test]
fn every_line_reaches_everybody_once_in_one_order_or_stands_as_failed_or_left() {
    if let Ok(seed) = env::var("PARLOUR_SEED") {
        let walk = walk(seed.parse().expect("a seed is a number"));
        println!("{}", walk.net.transcript());
        println!("{}", checks::check(&walk));
        return;
    }
    let seeds = env::var("PARLOUR_SEEDS").map_or(50, |n| n.parse().expect("a number"));
    let mut all = Came::default();
    for seed in 1..=seeds {
        all.add(&run(seed).0);
    }
    println!("{seeds} seeds: {all}");
    assert!(all.accepted as u64 > 50 * seeds && all.secrets as u64 > 2 * seeds, "next to nothing");
}

#[test]
fn a_conference_replays_exactly() {
    let of = |seed| run(seed).1;
    assert!(of(7) == of(7), "two runs of one seed differ");
    assert!(of(7) != of(8), "the seed does not matter");
}

fn run(seed: u64) -> (Came, String) {
    println!("seed {seed}");
    let walk = walk(seed);
    (checks::check(&walk), walk.net.transcript())
}

fn walk(seed: u64) -> Walk {
    let mut walk = Walk::new(seed);
    for _ in 0..STEPS {
        walk.step();
    }
    walk.end();
    walk
}

impl Walk {
    fn new(seed: u64) -> Self {
        let mut net = Net::new(seed);
        let mut chance = ChaCha8Rng::seed_from_u64(seed);
        let host = Host::join(&mut net, "Alice", HOST, ChatRate::Unlimited);
        let count = chance.random_range(2..12);
        let has_crashes = chance.random_bool(0.35);
        let people = (0..count).map(|n| {
            let address = SocketAddr::from(([192, 0, 2, 21 + n], 5060));
            let kind = if chance.random_bool(0.35) {
                Kind::Guest(Guest::join(&mut net, &user(n), &user(n), address))
            } else {
                let rings = Duration::from_millis(chance.random_range(50..3_000));
                Kind::Phone(Phone::join(
                    &mut net,
                    Script { rings, ..Script::new(&user(n)) },
                    address,
                ))
            };
            let address = address.ip();
            Person {
                kind,
                address,
                is_held: false,
                dials_until: Duration::ZERO,
                is_plugged: true,
                may_fail: false,
            }
        });
        let people = people.collect();
        let mut walk = Self {
            net,
            chance,
            host,
            people,
            written: 0,
            secrets: Vec::new(),
            has_crashes,
            ended: false,
        };
        walk.set_link();
        walk
    }

    fn step(&mut self) {
        match self.chance.random_range(0..100) {
            0..6 => self.set_link(),
            6..10 if self.has_crashes => self.crash(),
            10 if self.chance.random_bool(0.15) => self.host_leaves(),
            11..45 => self.host_acts(),
            _ => self.person_acts(),
        }
        let pause = match self.chance.random_range(0..20) {
            0..6 => self.chance.random_range(0..30),
            6..19 => self.chance.random_range(30..1_500),
            _ => self.chance.random_range(1_500..12_000),
        };
        self.net.run_for(Duration::from_millis(pause));
    }

    fn host_acts(&mut self) {
        let n = self.chance.random_range(0..self.people.len());
        match self.chance.random_range(0..20) {
            0..9 => {
                let line = self.line();
                self.net.act(self.host, |host| host.say("r", &line));
            }
            9..12 => self.host_whispers(n),
            12..15 => self.invite(n),
            15..16 => self.moderate(n, true),
            16..17 => self.moderate(n, false),
            17..18 => self.act_on(n, |id, on| Command::Moderate {
                participant: id,
                act: Moderation::Hold(on),
            }),
            18..19 => self.act_on(n, |id, _| Command::Remove { participant: id }),
            _ => {
                let name = format!("Alice{}", self.written);
                self.net.act(self.host, |host| host.command(Command::SetName { name }));
            }
        }
    }

    fn moderate(&mut self, n: usize, on: bool) {
        self.act_on(n, |id, _| Command::Moderate { participant: id, act: Moderation::Mute(on) });
    }

    /// Something that the host does about somebody who is there.
    fn act_on(
        &mut self,
        n: usize,
        command: impl FnOnce(conference::ParticipantId, bool) -> Command,
    ) {
        let on = self.chance.random_bool(0.5);
        if let Some((id, _, _)) = self.here(n) {
            self.net.act(self.host, |host| host.command(command(id, on)));
        }
    }

    /// Who somebody is to the host, while he is there: number, address, name.
    fn here(&self, n: usize) -> Option<(conference::ParticipantId, String, String)> {
        let start = format!("sip:{}@", user(u8::try_from(n).unwrap()));
        let roster = self.net.at(self.host).roster();
        let one = roster.into_iter().rfind(|one| {
            one.entity.starts_with(&start)
                && matches!(one.state, ParticipantState::Connected | ParticipantState::OnHold)
        });
        one.map(|one| (one.id, one.entity, one.name))
    }

    /// Whether nobody calls him and he calls nobody: he would have two legs else.
    fn is_away(&self, n: usize) -> bool {
        let start = format!("sip:{}@", user(u8::try_from(n).unwrap()));
        let roster = self.net.at(self.host).roster();
        let mut his = roster.iter().filter(|one| one.entity.starts_with(&start));
        let is_gone = his.all(|one| one.state == ParticipantState::Disconnected);
        is_gone && self.net.elapsed() > self.people[n].dials_until
    }

    fn invite(&mut self, n: usize) {
        let is_free = !self.ended && self.is_away(n);
        match self.people[n].kind {
            Kind::Phone(phone) if is_free && !self.net.at(phone).is_in_call() => {
                let uri = self.net.at(phone).uri();
                self.net.act(self.host, |host| host.invite(&uri, None));
            }
            Kind::Guest(_) | Kind::Phone(_) => {}
        }
    }

    fn host_whispers(&mut self, n: usize) {
        let Some((_, entity, _)) = self.here(n) else { return };
        let token = self.secret(vec![self.people[n].address]);
        let to = Recipient::Participant(entity);
        let reference = "p".to_owned();
        self.net.act(self.host, |host| {
            host.command(Command::Say { reference, text: token, to });
        });
    }

    fn person_acts(&mut self) {
        let n = self.chance.random_range(0..self.people.len());
        match self.people[n].kind {
            Kind::Guest(guest) => self.guest_acts(n, guest),
            Kind::Phone(phone) => self.phone_acts(n, phone),
        }
    }

    fn guest_acts(&mut self, n: usize, guest: Node<Guest>) {
        if !self.net.at(guest).is_in_call() {
            if self.net.at(guest).events().is_empty() {
                self.net.act(guest, |guest| guest.dial(&Host::conference_uri(HOST)));
            }
            return;
        }
        match self.chance.random_range(0..20) {
            0..12 => {
                let line = self.line();
                self.net.act(guest, |guest| guest.say("r", &line));
            }
            12..18 => {
                let Some((other, entity, _)) = self.other(n) else { return };
                let between = vec![self.people[n].address, self.people[other].address];
                let text = self.secret(between);
                let to = Recipient::Participant(entity);
                let reference = "p".to_owned();
                self.net.act(guest, |guest| {
                    guest.command(Command::Say { reference, text, to });
                });
            }
            18 if self.chance.random_bool(0.3) => {
                self.net.act(guest, |guest| guest.command(Command::End));
            }
            _ => self.net.act(guest, |guest| guest.command(Command::Muted { on: true })),
        }
    }

    fn phone_acts(&mut self, n: usize, phone: Node<Phone>) {
        if !self.net.at(phone).is_in_call() {
            if self.is_away(n) && self.chance.random_bool(0.6) {
                self.net.act(phone, |phone| phone.dial(&Host::conference_uri(HOST)));
                self.people[n].is_held = false;
                self.people[n].dials_until = self.net.elapsed() + Duration::from_secs(70);
            }
            return;
        }
        self.people[n].dials_until = Duration::ZERO;
        match self.chance.random_range(0..20) {
            0..9 => {
                let line = self.line();
                self.net.act(phone, |phone| phone.say(&line));
            }
            9..12 => {
                let Some((other, _, name)) = self.other(n) else { return };
                let between = vec![self.people[n].address, self.people[other].address];
                let text = format!("/to {name} {}", self.secret(between));
                self.net.act(phone, |phone| phone.say(&text));
            }
            12..14 => {
                let on = !self.people[n].is_held;
                self.net.act(phone, |phone| phone.hold(on));
                self.people[n].is_held = on;
            }
            14 => self.net.act(phone, |phone| phone.hang_up()),
            15..17 => {
                let line = self.line();
                self.net.act(phone, |phone| phone.write_to(&Host::conference_uri(HOST), &line));
            }
            17 => self.change(n, phone),
            _ => {
                let uri = Host::conference_uri(HOST);
                self.net.act(phone, |phone| phone.subscribe(&uri, false));
            }
        }
    }

    /// What a phone does with texts.
    fn change(&mut self, n: usize, phone: Node<Phone>) {
        let answers = [
            TextAnswer::Status(200),
            TextAnswer::Status(202),
            TextAnswer::Status(415),
            TextAnswer::Status(488),
            TextAnswer::Status(503),
            TextAnswer::Only("text/plain"),
            TextAnswer::Silence,
        ];
        let answer = answers[self.chance.random_range(0..answers.len())];
        self.people[n].may_fail |= !matches!(answer, TextAnswer::Status(200..300));
        self.net.act(phone, |phone| phone.set_answer(answer));
    }

    /// Somebody else who is there.
    fn other(&mut self, n: usize) -> Option<(usize, String, String)> {
        let other = self.chance.random_range(0..self.people.len());
        let (_, entity, name) = self.here(other).filter(|_| other != n)?;
        Some((other, entity, name))
    }

    fn line(&mut self) -> String {
        self.written += 1;
        format!("line-{:05}", self.written)
    }

    fn secret(&mut self, between: Vec<IpAddr>) -> String {
        self.written += 1;
        let token = format!("secret-{:05}", self.written);
        self.secrets.push(Secret { token: token.clone(), between });
        token
    }

    /// Anything from a plain network to one that loses 30 %.
    fn set_link(&mut self) {
        let chance = &mut self.chance;
        let mean = Duration::from_millis(chance.random_range(1..60));
        let bursts = Bursts {
            worsens: 0.02,
            recovers: 0.3,
            loss_when_good: 0.0,
            loss_when_bad: chance.random_range(0.3..0.9),
        };
        let link = Link {
            delay: Duration::from_millis(chance.random_range(1..120)),
            jitter: Jitter::Exponential { mean },
            loss: chance.random_range(0.0..0.3),
            bursts: (self.has_crashes && chance.random_bool(0.3)).then_some(bursts),
            duplication: chance.random_range(0.0..0.15),
            reordering: chance.random_range(0.0..0.25),
            hold_back: Duration::from_millis(chance.random_range(50..900)),
        };
        self.net.set_all_links(link);
    }

    /// Somebody is gone without a word, for a time or longer.
    fn crash(&mut self) {
        let n = self.chance.random_range(0..self.people.len());
        let plugs = !self.people[n].is_plugged;
        self.people[n].is_plugged = plugs;
        self.people[n].may_fail = true;
        self.plug(n, plugs);
    }

    fn plug(&mut self, n: usize, plugs: bool) {
        match (&self.people[n].kind, plugs) {
            (Kind::Guest(node), true) => self.net.plug(*node),
            (Kind::Guest(node), false) => self.net.unplug(*node),
            (Kind::Phone(node), true) => self.net.plug(*node),
            (Kind::Phone(node), false) => self.net.unplug(*node),
        }
    }

    fn host_leaves(&mut self) {
        self.ended = true;
        self.net.act(self.host, |host| host.command(Command::End));
    }

    /// The network is whole again and every phone takes what comes: then everything has its end.
    fn end(&mut self) {
        self.net.set_all_links(Link::PLAIN);
        for n in 0..self.people.len() {
            self.plug(n, true);
            if let Kind::Phone(phone) = self.people[n].kind {
                self.net.act(phone, |phone| phone.set_answer(TextAnswer::Status(200)));
            }
        }
        // Whoever is still called has rung for long, and nobody rings for ever: the host gives him up.
        self.net.run_for(Duration::from_secs(240));
        for one in self.net.at(self.host).roster() {
            if matches!(one.state, ParticipantState::Alerting | ParticipantState::DialingOut) {
                let participant = one.id;
                self.net.act(self.host, |host| host.command(Command::Remove { participant }));
            }
        }
        let host = self.host;
        let settled = |net: &Net| {
            checks::last_states(net.at(host))
                .values()
                .all(|(state, _)| !matches!(state, DeliveryState::Waiting | DeliveryState::Sending))
        };
        for _ in 0..60 {
            self.net.run_for(AFTER / 60);
            if settled(&self.net) {
                break;
            }
        }
        self.net.run_for(Duration::from_secs(70));
    }
}

fn user(n: u8) -> String {
    format!("user{n:02}")
}
