//! Whoever is not in the conference neither writes into it nor learns anything of it; whoever is, is recognised where he
//! writes outside of his call; a text to the host alone stays with the host (docs/sip-chat.md 0.6, 3.1, 3.3, 3.11).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::net::SocketAddr;
use std::time::Duration;

use conference::Recipient;
use sip_core::auth::{Challenge, Credentials, Guard};
use sip_core::{Message, Method};
use testkit::{HOST, Host, Room, Script, Stranger};

const ELSEWHERE: &str = "198.51.100.66:5060";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Bob and Carol behind one address, Dave at his own.
fn room() -> Room {
    Room::at(
        21,
        vec![
            (Script::new("bob").named("Bob"), address("192.0.2.30:5060")),
            (Script::new("carol").named("Carol"), address("192.0.2.30:5070")),
            (Script::new("dave").named("Dave"), address("192.0.2.31:5060")),
        ],
    )
}

/// Sends one MESSAGE of a stranger and gives the statuses that came back to him.
fn answers(room: &mut Room, source: &str, target: &str, from: &str) -> Vec<u16> {
    let source = address(source);
    let stranger = Stranger::join(&mut room.net, source);
    let branch = format!("s{}", source.port());
    let bytes = Stranger::message(target, from, source, &branch, "let me in");
    room.net.inject(source, HOST, &bytes);
    room.net.run_for(Duration::from_secs(40));
    room.net.at(stranger).statuses()
}

fn assert_shown_to_nobody(room: &Room) {
    for phone in &room.phones {
        assert!(room.net.at(*phone).texts().is_empty(), "{:?}", room.net.at(*phone).texts());
    }
    assert_eq!(room.net.at(room.host).lines().count(), 0);
    assert!(room.net.at(room.host).personal_texts().is_empty());
}

#[test]
fn a_stranger_at_the_conference_uri_is_forbidden() {
    let mut room = room();
    let target = Host::conference_uri(HOST).to_string();
    assert_eq!(answers(&mut room, ELSEWHERE, &target, "<sip:mallory@198.51.100.66>"), [403]);
    assert_shown_to_nobody(&room);
}

#[test]
fn an_unknown_uri_is_not_found() {
    let mut room = room();
    let target = "sip:conf-2@192.0.2.10:5060";
    assert_eq!(answers(&mut room, ELSEWHERE, target, "<sip:mallory@198.51.100.66>"), [404]);
    assert_shown_to_nobody(&room);
}

#[test]
fn a_forged_from_is_forbidden() {
    let mut room = room();
    let target = Host::conference_uri(HOST).to_string();
    for (source, from) in [
        (ELSEWHERE, "\"Dave\" <sip:dave@192.0.2.31:5060>"),
        ("198.51.100.66:5061", "\"Alice\" <sip:alice@192.0.2.10:5060>"),
        ("198.51.100.66:5062", "<sip:conf-1@192.0.2.10:5060>"),
    ] {
        assert_eq!(answers(&mut room, source, &target, from), [403], "{from}");
    }
    assert_shown_to_nobody(&room);
}

#[test]
fn another_port_of_an_address_that_two_legs_share_is_nobody() {
    let mut room = room();
    let target = Host::conference_uri(HOST).to_string();
    let from = "\"Bob\" <sip:bob@192.0.2.30:5060>";
    assert_eq!(answers(&mut room, "192.0.2.30:5099", &target, from), [403]);
    assert_shown_to_nobody(&room);
}

#[test]
fn another_port_of_an_address_with_one_leg_is_that_leg_but_not_verified() {
    let mut room = room();
    let target = Host::conference_uri(HOST).to_string();
    let from = "<sip:dave@192.0.2.31>";
    assert_eq!(answers(&mut room, "192.0.2.31:49152", &target, from), [202]);
    let lines: Vec<_> = room.net.at(room.host).lines().collect();
    assert_eq!(lines.len(), 1);
    assert_eq!((lines[0].name.as_str(), lines[0].verified), ("Dave", false));
    assert_eq!(room.net.at(room.phones[0]).shown().len(), 1);
    assert!(room.net.at(room.phones[2]).shown().is_empty(), "the author hears no echo");
}

#[test]
fn a_wrong_user_at_an_address_with_one_leg_is_forbidden() {
    let mut room = room();
    let target = Host::conference_uri(HOST).to_string();
    assert_eq!(answers(&mut room, "192.0.2.31:49152", &target, "<sip:eve@192.0.2.31>"), [403]);
    assert_shown_to_nobody(&room);
}

#[test]
fn a_phone_that_writes_outside_of_its_call_is_known_by_its_own_address() {
    let mut room = room();
    let target = Host::conference_uri(HOST);
    let bob = room.phones[0];
    let request = room.net.act(bob, |bob| bob.write_to(&target, "hello")).unwrap();
    room.net.run_for(Duration::from_secs(2));
    assert_eq!(room.net.at(bob).outcome(request), Some(Some(202)));
    assert_eq!(room.net.at(room.phones[1]).shown(), ["Bob: hello"]);
    assert_eq!(room.net.at(room.phones[2]).shown(), ["Bob: hello"]);
    assert!(room.net.at(bob).shown().is_empty());
}

#[test]
fn a_stranger_that_became_a_former_participant_is_forbidden() {
    let mut room = room();
    let target = Host::conference_uri(HOST);
    let dave = room.phones[2];
    room.net.act(dave, |dave| dave.hang_up());
    room.net.run_for(Duration::from_secs(2));
    let request = room.net.act(dave, |dave| dave.write_to(&target, "still here")).unwrap();
    room.net.run_for(Duration::from_secs(2));
    assert_eq!(room.net.at(dave).outcome(request), Some(Some(403)));
    assert_shown_to_nobody(&room);
}

#[test]
fn a_text_to_the_hosts_own_address_stays_with_the_host() {
    let mut room = room();
    let target = Host::own_uri(HOST);
    let bob = room.phones[0];
    let request = room.net.act(bob, |bob| bob.write_to(&target, "between us")).unwrap();
    room.net.run_for(Duration::from_secs(40));
    assert_eq!(room.net.at(bob).outcome(request), Some(Some(200)));
    let host = room.net.at(room.host);
    let personal = host.lines().filter(|line| line.to == Recipient::Me).map(|line| &line.text);
    let shown: Vec<&String> = personal.chain(host.personal_texts()).collect();
    assert_eq!(shown, ["between us"]);
    assert_eq!(host.lines().filter(|line| line.to != Recipient::Me).count(), 0);
    for other in &room.phones[1..] {
        assert!(room.net.at(*other).texts().is_empty());
    }
}

#[test]
fn ms10_a_text_whose_time_is_over_is_shown_so_and_relayed_with_the_time_of_its_writing() {
    let mut room = room();
    let (bob, source) = (room.phones[0], address("192.0.2.30:5060"));
    let target = Host::conference_uri(HOST).to_string();
    let from = format!("\"Bob\" <{}>", room.net.at(bob).uri());
    let cases =
        [("Date: Sat Feb 1 23:05:07 2020\r\nExpires: 60\r\n", true), ("Expires: 60\r\n", false)];
    for (number, (more, expired)) in cases.into_iter().enumerate() {
        let plain = Stranger::message(&target, &from, source, &format!("late{number}"), "news");
        let text = String::from_utf8(plain).unwrap();
        let text = text.replace("Content-Type", &format!("{more}Content-Type"));
        room.net.inject(source, HOST, text.as_bytes());
        room.net.run_for(Duration::from_secs(5));
        let host = room.net.at(room.host);
        assert_eq!(host.lines().last().map(|line| line.expired), Some(expired), "{more}");
        let shown = room.net.at(room.phones[1]).shown().pop().unwrap().to_owned();
        assert_eq!(shown, if expired { "Bob (23:05): news" } else { "Bob: news" });
    }
}

#[test]
fn au6_au8_where_a_password_is_wanted_neither_a_way_nor_another_ones_password_passes_for_a_participant()
 {
    let mut room = room();
    let target = Host::conference_uri(HOST).to_string();
    let mallory = Credentials { username: "mallory".into(), password: "m".into(), realm: None };
    let people = vec![mallory.clone()];
    let guard = Guard { realm: "conf-1@192.0.2.10".into(), people, shared: None };
    room.net.act(room.host, |host| host.guard(guard));
    // Dave's name from Dave's machine, which has one leg: without a password it would do.
    let source = address("192.0.2.31:49152");
    let stranger = Stranger::join(&mut room.net, source);
    let from = "<sip:dave@192.0.2.31>";
    let plain = Stranger::message(&target, from, source, "s1", "let me in");
    room.net.inject(source, HOST, &plain);
    room.net.run_for(Duration::from_secs(1));
    assert_eq!(room.net.at(stranger).statuses(), [401]);
    let heard = room.net.at(stranger).heard().to_vec();
    let Message::Response(refusal) = Message::parse(&heard[0]).unwrap() else { panic!() };
    let known = [mallory];
    let (_, challenge, credentials) = Challenge::answerable(&refusal.headers, &known)[0].clone();
    let answer = challenge.answer(credentials, &Method::Message, &target, "c", 1);
    let again = Stranger::message(&target, from, source, "s2", "let me in");
    let again = String::from_utf8(again).unwrap();
    let again = again.replacen("CSeq", &format!("Authorization: {answer}\r\nCSeq"), 1);
    room.net.inject(source, HOST, again.as_bytes());
    room.net.run_for(Duration::from_secs(40));
    assert_eq!(room.net.at(stranger).statuses(), [401, 403]);
    assert_shown_to_nobody(&room);
}
