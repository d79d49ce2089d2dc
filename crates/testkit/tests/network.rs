//! The virtual network itself: what it does to datagrams and streams, and that a conference stands on it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::time::Duration;

use conference::ParticipantState;
use testkit::{Fate, HOST, Host, Link, Net, Room, Script, Stranger};

#[test]
fn datagrams_take_their_time_and_those_to_nobody_are_noted() {
    let mut net = Net::new(1);
    let (a, b) = ("192.0.2.1:5060".parse().unwrap(), "192.0.2.2:5060".parse().unwrap());
    let stranger = Stranger::join(&mut net, b);
    net.set_all_links(Link { delay: Duration::from_millis(50), ..Link::default() });
    net.inject(a, b, b"one");
    net.run_for(Duration::from_millis(49));
    assert!(net.at(stranger).heard().is_empty());
    net.run_for(Duration::from_millis(1));
    assert_eq!(net.at(stranger).heard(), [b"one".to_vec()]);
    net.inject(b, a, b"two");
    assert_eq!(net.ladder().last().unwrap().fate, Fate::NobodyThere);
}

#[test]
fn the_next_datagrams_are_dropped_as_told_and_no_more() {
    let mut net = Net::new(1);
    let (a, b) = ("192.0.2.1:5060".parse().unwrap(), "192.0.2.2:5060".parse().unwrap());
    let stranger = Stranger::join(&mut net, b);
    net.drop_next(stranger, 2);
    for datagram in [b"1", b"2", b"3"] {
        net.inject(a, b, datagram);
    }
    net.run_for(Duration::from_secs(1));
    assert_eq!(net.at(stranger).heard(), [b"3".to_vec()]);
}

#[test]
fn a_datagram_held_back_is_overtaken() {
    let mut net = Net::new(1);
    let (a, b) = ("192.0.2.1:5060".parse().unwrap(), "192.0.2.2:5060".parse().unwrap());
    let stranger = Stranger::join(&mut net, b);
    net.set_all_links(Link { reordering: 1.0, ..Link::default() });
    net.inject(a, b, b"first");
    net.set_all_links(Link { delay: Duration::ZERO, ..Link::default() });
    net.inject(a, b, b"second");
    net.run_for(Duration::from_secs(1));
    assert_eq!(net.at(stranger).heard(), [b"second".to_vec(), b"first".to_vec()]);
}

#[test]
fn phones_are_called_ring_and_are_in() {
    let mut room = Room::new(2, vec![Script::new("bob").named("Bob"), Script::new("carol")]);
    let roster = room.net.at(room.host).roster();
    let people: Vec<_> = roster.iter().map(|one| (one.name.as_str(), one.state)).collect();
    let connected = ParticipantState::Connected;
    assert_eq!(people, [("Alice", connected), ("Bob", connected), ("carol", connected)]);
    room.net.act(room.phones[0], |bob| bob.hang_up());
    room.net.run_for(Duration::from_secs(1));
    assert_eq!(room.net.at(room.host).connected(), 2);
    assert!(room.net.at(room.phones[1]).is_in_call());
}

#[test]
fn a_guest_sees_the_same_people_as_the_host() {
    let mut room = Room::new(2, vec![Script::new("bob").named("Bob"), Script::new("carol")]);
    let dave = room.guest("Dave", "dave", "192.0.2.40:5060".parse().unwrap());
    let of = |people: Vec<conference::Participant>| {
        let mut rows: Vec<_> = people
            .into_iter()
            .map(|one| (one.entity, one.name, format!("{:?}", one.state)))
            .collect();
        rows.sort();
        rows
    };
    assert_eq!(of(room.net.at(dave).roster()), of(room.net.at(room.host).roster()));
    room.net.act(room.phones[0], |bob| bob.hang_up());
    room.net.run_for(Duration::from_secs(6));
    assert_eq!(of(room.net.at(dave).roster()), of(room.net.at(room.host).roster()));
    // The document of four does not fit a datagram: it went by TCP (RFC 3261 §18.1.1).
    assert!(room.net.transcript().contains(" TCP NOTIFY "));
}

#[test]
fn a_guest_that_refuses_tcp_gets_the_roster_by_udp() {
    let mut room = Room::new(2, vec![Script::new("bob").named("Bob"), Script::new("carol")]);
    let address = "192.0.2.40:5060".parse().unwrap();
    let dave = testkit::Guest::join(&mut room.net, "Dave", "dave", address);
    room.net.set_takes_tcp(dave, false);
    let conference = Host::conference_uri(HOST);
    room.net.act(dave, |dave| dave.dial(&conference));
    room.net.run_for(Duration::from_secs(12));
    assert_eq!(room.net.at(dave).roster().len(), 4);
    assert!(!room.net.transcript().contains(" TCP NOTIFY "));
}
