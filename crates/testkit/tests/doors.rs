//! Who comes in, who learns who is here, and how each is named (docs/sip-chat.md 0.6, 3.3, 3.7).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::net::SocketAddr;
use std::time::Duration;

use conference::Command;
use testkit::{HOST, Host, Room, Script, Stranger};

const SOURCE: &str = "198.51.100.66:5060";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Sends a request and gives the statuses that came back to its sender.
fn statuses(room: &mut Room, source: SocketAddr, request: &[u8]) -> Vec<u16> {
    let stranger = Stranger::join(&mut room.net, source);
    room.net.inject(source, HOST, request);
    room.net.run_for(Duration::from_secs(2));
    room.net.at(stranger).statuses()
}

fn request(method: &str, source: SocketAddr, more: &str, body: &str) -> Vec<u8> {
    let target = Host::conference_uri(HOST);
    format!(
        "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {source};branch=z9hG4bK{method};rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:mallory@{source}>;tag=m\r\nTo: <{target}>\r\n\
         Call-ID: m{port}@x\r\nCSeq: 1 {method}\r\nContact: <sip:mallory@{source}>\r\n{more}\
         Content-Length: {}\r\n\r\n{body}",
        body.len(),
        port = source.port()
    )
    .into_bytes()
}

#[test]
fn a_caller_without_a_common_format_is_refused_and_is_nobody() {
    let mut room = Room::new(31, vec![Script::new("bob")]);
    let source = address(SOURCE);
    let offer = "v=0\r\no=- 1 1 IN IP4 198.51.100.66\r\ns=-\r\nc=IN IP4 198.51.100.66\r\nt=0 0\r\n\
                 m=audio 4000 RTP/AVP 96\r\na=rtpmap:96 nonsense/8000\r\n";
    let invite = request("INVITE", source, "Content-Type: application/sdp\r\n", offer);
    assert_eq!(statuses(&mut room, source, &invite).last(), Some(&488));
    assert_eq!(room.net.at(room.host).roster().len(), 2);
}

#[test]
fn empty_tags_and_the_address_of_a_leg_are_no_proof_for_a_subscription() {
    let mut room = Room::new(32, vec![Script::new("bob")]);
    // A leg that is called and has not answered has no dialog yet.
    let nowhere = sip_core::Uri::parse("sip:nobody@192.0.2.99:5060").unwrap();
    room.net.act(room.host, |host| host.invite(&nowhere, None));
    let event = "Event: conference\r\n";
    let dialog = format!("{event}Target-Dialog: ;local-tag=x;remote-tag=\r\n");
    let source = address(SOURCE);
    let subscribe = request("SUBSCRIBE", source, &dialog, "");
    assert_eq!(statuses(&mut room, source, &subscribe), [403]);
    let beside_bob = address("192.0.2.21:5099");
    let subscribe = request("SUBSCRIBE", beside_bob, event, "");
    assert_eq!(statuses(&mut room, beside_bob, &subscribe), [403]);
}

#[test]
fn a_forbidden_text_is_forbidden_when_it_comes_again() {
    let mut room = Room::new(33, vec![Script::new("bob")]);
    let source = address(SOURCE);
    let target = Host::conference_uri(HOST).to_string();
    let first = Stranger::message(&target, "<sip:m@x>", source, "one", "let me in");
    assert_eq!(statuses(&mut room, source, &first), [403]);
    // While the first one's transaction lives, another branch of it is a merged request (RFC 3261 §8.2.2.2).
    room.net.run_for(Duration::from_secs(40));
    let source = address("198.51.100.66:5061");
    let again = String::from_utf8(first).unwrap().replace("z9hG4bKone", "z9hG4bKtwo");
    assert_eq!(statuses(&mut room, source, again.as_bytes()), [403]);
}

#[test]
fn the_hosts_new_name_is_never_empty_and_nobody_elses() {
    let mut room = Room::new(34, vec![Script::new("bob").named("Bob")]);
    let mut name = |name: &str| {
        let name = name.to_owned();
        room.net.act(room.host, |host| host.command(Command::SetName { name }));
        room.net.at(room.host).roster()[0].name.clone()
    };
    assert_eq!(name(" \u{202e} "), "alice");
    assert_eq!(name("bob"), "bob (2)");
    assert_eq!(name("Alice"), "Alice");
}
