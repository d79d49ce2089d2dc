//! What the virtual network does to those on it: chance, translators, partitions, broken connections.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::net::SocketAddr;
use std::time::Duration;

use testkit::{
    Bursts, Fate, HOST, Host, Jitter, Link, NatKind, Net, Phone, Room, Script, Stranger, Told,
};

const INSIDE: &str = "10.0.0.2:5060";
const OUTSIDE: &str = "203.0.113.1";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn bursts_lose_their_mean_and_lose_it_together() {
    let mut net = Net::new(3);
    let (a, b) = (address("192.0.2.1:5060"), address("192.0.2.2:5060"));
    let _there = Stranger::join(&mut net, b);
    let bursts = Bursts { worsens: 0.02, recovers: 0.1, loss_when_good: 0.01, loss_when_bad: 0.9 };
    net.set_all_links(Link { bursts: Some(bursts), ..Link::default() });
    for _ in 0..20_000 {
        net.inject(a, b, b"x");
    }
    let lost: Vec<bool> = net.ladder().iter().map(|step| step.fate == Fate::Lost).collect();
    let share = |of: &[bool]| of.iter().filter(|lost| **lost).count() as f64 / of.len() as f64;
    assert!((share(&lost) - bursts.mean_loss()).abs() < 0.02, "{}", share(&lost));
    let after_loss: Vec<bool> = lost.windows(2).filter(|two| two[0]).map(|two| two[1]).collect();
    assert!(share(&after_loss) > 0.7, "what follows a loss is lost: {}", share(&after_loss));
}

#[test]
fn jitter_spreads_as_its_distribution_says() {
    let most = Duration::from_millis(100);
    for (jitter, mean, longest) in
        [(Jitter::Uniform { most }, 0.05, 0.1), (Jitter::Exponential { mean: most }, 0.1, 1.0)]
    {
        let mut net = Net::new(3);
        let (a, b) = (address("192.0.2.1:5060"), address("192.0.2.2:5060"));
        let there = Stranger::join(&mut net, b);
        net.set_all_links(Link { delay: Duration::ZERO, jitter, ..Link::default() });
        let mut arrivals = Vec::new();
        for _ in 0..2_000 {
            net.inject(a, b, b"x");
            let (before, began) = (net.at(there).heard().len(), net.elapsed());
            assert!(net.run_until(seconds(2), |net| net.at(there).heard().len() > before));
            arrivals.push((net.elapsed() - began).as_secs_f64());
        }
        let sum: f64 = arrivals.iter().sum();
        assert!((sum / 2_000.0 - mean).abs() < mean / 10.0, "{jitter:?}: {}", sum / 2_000.0);
        assert!(arrivals.iter().all(|taken| *taken <= longest), "{jitter:?}");
    }
}

#[test]
fn translators_let_in_whom_their_kind_says() {
    // Whether the one written to gets in by its other port, and whether a third one does.
    for (kind, other_port, third) in [
        (NatKind::FullCone, true, true),
        (NatKind::AddressRestricted, true, false),
        (NatKind::Symmetric, false, false),
    ] {
        let mut net = Net::new(1);
        let inside = Stranger::join(&mut net, address(INSIDE));
        let nat = net.add_nat(kind, OUTSIDE.parse().unwrap(), seconds(60));
        net.put_behind(inside, nat);
        let far = address("192.0.2.9:5060");
        let there = Stranger::join(&mut net, far);
        net.inject(address(INSIDE), far, b"out");
        net.run_for(seconds(1));
        assert_eq!(net.at(there).heard().len(), 1);
        let mapped = net.mapped(inside).unwrap();
        assert_eq!(mapped.ip().to_string(), OUTSIDE);
        let mut heard = 0;
        for (source, gets_in) in
            [("192.0.2.9:5060", true), ("192.0.2.9:7", other_port), ("192.0.2.77:5060", third)]
        {
            net.inject(address(source), mapped, b"in");
            net.run_for(seconds(1));
            heard += usize::from(gets_in);
            assert_eq!(net.at(inside).heard().len(), heard, "{kind:?} and {source}");
        }
        net.inject(far, address(INSIDE), b"past the translator");
        assert_eq!(net.ladder().last().unwrap().fate, Fate::NobodyThere);
        net.rebind(nat);
        net.inject(far, mapped, b"in");
        assert_eq!(net.ladder().last().unwrap().fate, Fate::NotLetIn, "{kind:?} has rebound");
        net.inject(address(INSIDE), far, b"out");
        net.run_for(seconds(61));
        assert_ne!(net.ladder().last().unwrap().seen, Some(mapped));
        net.inject(far, net.ladder().last().unwrap().seen.unwrap(), b"too late");
        assert_eq!(net.ladder().last().unwrap().fate, Fate::NotLetIn, "{kind:?}: 60 s are over");
    }
}

#[test]
fn a_partition_holds_datagrams_off_and_streams_back() {
    let mut room = Room::new(2, vec![Script::new("bob").named("Bob"), Script::new("carol")]);
    let dave = room.guest("Dave", "dave", address("192.0.2.40:5060"));
    room.net.partition_for(&[dave.place()], seconds(5));
    room.net.act(room.phones[0], |bob| bob.hang_up());
    room.net.run_for(seconds(4));
    assert_eq!(room.net.at(dave).roster().len(), 4);
    let fates: Vec<Fate> = room.net.ladder().iter().map(|step| step.fate).collect();
    assert!(fates.contains(&Fate::Waits) || fates.contains(&Fate::CutOff));
    room.net.run_for(seconds(8));
    let here = |net: &Net| net.at(dave).roster().iter().filter(|one| one.name == "Bob").count();
    let there = room.net.at(room.host).roster().iter().filter(|one| one.name == "Bob").count();
    assert_eq!(here(&room.net), there, "what waited has come");
    assert!(room.net.transcript().contains("==== a partition ends"));
}

#[test]
fn of_a_broken_connection_hear_those_who_are_told_and_the_others_when_they_send() {
    for told in [Told::Both, Told::First, Told::Nobody] {
        let mut net = Net::new(5);
        let host = Host::join(&mut net, "Alice", HOST, conference::ChatRate::Unlimited);
        let bob = Phone::join(&mut net, Script::new("bob"), address("192.0.2.21:5060"));
        let uri = "sip:conf@192.0.2.10:5060;transport=tcp".replace("conf", &{
            let uri = Host::conference_uri(HOST);
            uri.user.unwrap()
        });
        net.act(bob, |bob| bob.dial(&sip_core::Uri::parse(&uri).unwrap()));
        net.run_for(seconds(3));
        assert!(net.at(bob).is_in_call());
        net.reset(bob, host, told);
        net.run_for(seconds(1));
        net.act(bob, |bob| bob.say("still there?"));
        net.run_for(seconds(3));
        let broken = net.ladder().iter().any(|step| step.fate == Fate::Broken);
        assert_eq!(broken, told == Told::Nobody, "{told:?}:\n{}", net.transcript());
    }
}

#[test]
fn a_failed_test_shows_arrows_between_columns_with_fates() {
    let mut net = Net::new(1);
    let (a, b) = (address("192.0.2.1:5060"), address("192.0.2.2:5060"));
    let there = Stranger::join(&mut net, b);
    net.inject(a, b, b"one");
    net.drop_next(there, 1);
    net.inject(a, b, b"two");
    net.unplug(there);
    net.inject(b, a, b"three");
    let picture = net.picture(10);
    for line in [
        "  A = 192.0.2.1:5060",
        "    0.000      |-------->|     UDP 3 bytes",
        "    0.000      |----x    |     UDP 3 bytes  (dropped by the test)",
        "    0.000 ==== 192.0.2.2:5060 is unplugged",
        "    0.000      |    x----|     UDP 5 bytes  (nobody there)",
    ] {
        assert!(picture.lines().any(|have| have == line), "{line}\n{picture}");
    }
    assert!(net.picture(1).starts_with("  A = 192.0.2.2:5060"), "{}", net.picture(1));
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let run = |seed| {
        let mut room = Room::new(seed, vec![Script::new("bob"), Script::new("carol")]);
        let bursts =
            Bursts { worsens: 0.1, recovers: 0.3, loss_when_good: 0.0, loss_when_bad: 0.8 };
        room.net.set_all_links(Link {
            jitter: Jitter::Exponential { mean: Duration::from_millis(30) },
            loss: 0.1,
            bursts: Some(bursts),
            duplication: 0.1,
            reordering: 0.2,
            ..Link::default()
        });
        for n in 0..20 {
            room.net.act(room.host, |host| host.say("r", &format!("line {n}")));
            room.net.run_for(seconds(2));
        }
        let contents: Vec<bytes::Bytes> =
            room.net.ladder().iter().map(|step| step.contents.clone()).collect();
        (room.net.transcript(), contents)
    };
    let one = run(7);
    assert!(one == run(7));
    assert!(one.0 != run(8).0);
}
