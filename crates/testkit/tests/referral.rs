//! What participants want by REFER: the host is asked before anybody is called, moderators alone remove people, and a
//! stranger gets nothing (RFC 4579 §5.5, §5.10, §5.11; docs/sip-chat.md).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::net::SocketAddr;
use std::time::Duration;

use conference::{Command, Event, Moderation, ParticipantState};
use sip_core::{Message, Method, Request, RequestId, Target, Uri};
use testkit::{HOST, Host, Node, Phone, Room, Script, Stranger};

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn room() -> Room {
    Room::new(61, vec![Script::new("bob").named("Bob"), Script::new("carol").named("Carol")])
}

/// Erin, whom nobody has called yet.
fn erin(room: &mut Room) -> (Node<Phone>, Uri) {
    let erin = Phone::join(&mut room.net, Script::new("erin"), address("192.0.2.51:5060"));
    let uri = room.net.at(erin).uri();
    (erin, uri)
}

/// The wishes that the host was told of.
fn wishes(room: &Room) -> Vec<(RequestId, String, String)> {
    let events = room.net.at(room.host).events().iter();
    let wishes = events.filter_map(|event| match event {
        Event::Referred { refer, name, to, .. } => Some((*refer, name.clone(), to.clone())),
        _ => None,
    });
    wishes.collect()
}

fn invite_of(room: &Room, to: &str) -> Option<Request> {
    let steps = room.net.ladder().iter().filter(|step| step.to == address(to));
    let mut requests = steps.filter_map(|step| match Message::parse(&step.contents) {
        Ok(Message::Request(request)) if request.method == Method::Invite => Some(request),
        _ => None,
    });
    requests.next()
}

fn decide(room: &mut Room, refer: RequestId, accepted: bool) {
    let host = room.host;
    room.net.act(host, |host| host.command(Command::DecideReferral { refer, accepted }));
    room.net.run_for(Duration::from_secs(5));
}

#[test]
fn rf7_whom_a_participant_wants_is_called_once_the_host_agrees() {
    let mut room = room();
    let (erin, uri) = erin(&mut room);
    let bob = room.phones[0];
    let asked = room.net.act(bob, |bob| bob.refer(Target::Address(uri.clone()))).unwrap();
    room.net.run_for(Duration::from_secs(5));
    assert_eq!(room.net.at(bob).outcome(asked), Some(Some(202)));
    assert_eq!(room.net.at(bob).news(), [Some(100)]);
    let told = wishes(&room);
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].1.as_str(), told[0].2.as_str()), ("Bob", "sip:erin@192.0.2.51:5060"));
    assert!(invite_of(&room, "192.0.2.51:5060").is_none(), "called before the host said so");
    decide(&mut room, told[0].0, true);
    let invite = invite_of(&room, "192.0.2.51:5060").unwrap();
    let contact = invite.headers.get("Contact").unwrap();
    assert!(contact.contains("conf-1@") && contact.contains(";isfocus"), "{contact}");
    assert_eq!(invite.headers.get("Referred-By"), Some("<sip:bob@192.0.2.21:5060>"));
    assert!(room.net.at(erin).is_in_call());
    assert_eq!(room.net.at(bob).news().last(), Some(&Some(200)));
    assert_eq!(room.net.at(room.host).connected(), 4);
}

#[test]
fn rf7_where_the_host_refuses_nobody_is_called_and_the_asker_hears_603() {
    let mut room = room();
    let (erin, uri) = erin(&mut room);
    let bob = room.phones[0];
    room.net.act(bob, |bob| bob.refer(Target::Address(uri)));
    room.net.run_for(Duration::from_secs(1));
    let refer = wishes(&room)[0].0;
    decide(&mut room, refer, false);
    assert_eq!(room.net.at(bob).news().last(), Some(&Some(603)));
    assert!(!room.net.at(erin).is_in_call());
    assert!(invite_of(&room, "192.0.2.51:5060").is_none());
    // An answer that comes twice does nothing.
    decide(&mut room, refer, true);
    assert!(invite_of(&room, "192.0.2.51:5060").is_none());
}

#[test]
fn rf7_what_was_wanted_by_who_left_is_wanted_no_more_and_wishes_have_an_end() {
    let mut room = room();
    let (_, uri) = erin(&mut room);
    let bob = room.phones[0];
    let mut last = None;
    for _ in 0..6 {
        last = room.net.act(bob, |bob| bob.refer(Target::Address(uri.clone())));
        room.net.run_for(Duration::from_secs(2));
    }
    assert_eq!(wishes(&room).len(), 4);
    assert_eq!(room.net.at(bob).outcome(last.unwrap()), Some(Some(603)));
    room.net.act(bob, Phone::hang_up);
    room.net.run_for(Duration::from_secs(2));
    let gone = |event: &&Event| matches!(event, Event::ReferredGone { .. });
    assert_eq!(room.net.at(room.host).events().iter().filter(gone).count(), 4);
    // Nobody calls an emergency service, and `sips` is not what we can do for somebody else.
    let carol = room.phones[1];
    for to in ["sip:112@192.0.2.51", "sips:erin@192.0.2.51"] {
        let uri = Uri::parse(to).unwrap();
        let asked = room.net.act(carol, |carol| carol.refer(Target::Address(uri))).unwrap();
        room.net.run_for(Duration::from_secs(2));
        assert_eq!(room.net.at(carol).outcome(asked), Some(Some(603)), "{to}");
    }
}

#[test]
fn rf8_a_moderator_removes_people_and_nobody_else_does() {
    let mut room = room();
    let (bob, carol) = (room.phones[0], room.phones[1]);
    let uri = room.net.at(carol).uri();
    let asked = room.net.act(bob, |bob| bob.refer(Target::Removal(uri.clone()))).unwrap();
    room.net.run_for(Duration::from_secs(2));
    assert_eq!(room.net.at(bob).outcome(asked), Some(Some(403)));
    assert!(room.net.at(carol).is_in_call());
    let roster = room.net.at(room.host).roster();
    let participant = roster.iter().find(|one| one.name == "Bob").unwrap().id;
    let act = Moderation::Moderator(true);
    room.net.act(room.host, |host| host.command(Command::Moderate { participant, act }));
    let stranger = Uri::parse("sip:nobody@192.0.2.77:5060").unwrap();
    room.net.act(bob, |bob| bob.refer(Target::Removal(stranger)));
    room.net.run_for(Duration::from_secs(3));
    assert_eq!(room.net.at(bob).news().last(), Some(&Some(404)));
    room.net.act(bob, |bob| bob.refer(Target::Removal(Host::own_uri(HOST))));
    room.net.run_for(Duration::from_secs(3));
    assert_eq!(room.net.at(bob).news().last(), Some(&Some(404)), "the host is nobody's to remove");
    room.net.act(bob, |bob| bob.refer(Target::Removal(uri)));
    room.net.run_for(Duration::from_secs(3));
    assert_eq!(room.net.at(bob).news().last(), Some(&Some(200)));
    assert!(!room.net.at(carol).is_in_call());
    let said = room.net.transcript().contains("Removed by host");
    let bye =
        room.net.ladder().iter().any(|step| {
            String::from_utf8_lossy(&step.contents).contains("text=\"Removed by host\"")
        });
    assert!(said || bye, "the BYE says why");
    let gone = room.net.at(room.host).roster().into_iter().find(|one| one.name == "Carol");
    assert_eq!(gone.unwrap().state, ParticipantState::Disconnected);
}

#[test]
fn rf9_a_call_that_is_to_be_replaced_goes_into_the_invite() {
    let mut room = room();
    let (call_id, ours, theirs) = dialog(&room, "192.0.2.21:5060");
    // Bob wants Carol's end of a call of his to come in, in its place.
    let to = format!(
        "<sip:carol@192.0.2.22:5060?Replaces={call_id}%3Bto-tag%3D{theirs}%3Bfrom-tag%3D{ours}>"
    );
    let refer = request(&room, "REFER", address("192.0.2.21:5060"), &format!("Refer-To: {to}\r\n"));
    room.net.inject(address("192.0.2.21:5060"), HOST, &refer);
    room.net.run_for(Duration::from_secs(2));
    let wish = wishes(&room)[0].clone();
    assert_eq!(wish.2, "sip:carol@192.0.2.22:5060");
    let before = room.net.ladder().len();
    decide(&mut room, wish.0, true);
    let invite =
        room.net.ladder()[before..].iter().find_map(|step| match Message::parse(&step.contents) {
            Ok(Message::Request(request)) if request.method == Method::Invite => Some(request),
            _ => None,
        });
    let invite = invite.unwrap();
    let replaces = format!("{call_id};to-tag={theirs};from-tag={ours}");
    assert_eq!(invite.headers.get("Replaces"), Some(replaces.as_str()));
    assert_eq!(invite.headers.get("Require"), Some("replaces"));
}

#[test]
fn rf11_who_is_not_in_the_conference_refers_nobody_and_target_dialog_says_who_is() {
    let mut room = room();
    let (_, uri) = erin(&mut room);
    let to = format!("Refer-To: <{uri}>\r\n");
    let outside = address("198.51.100.66:5060");
    let stranger = Stranger::join(&mut room.net, outside);
    let (call_id, ours, theirs) = dialog(&room, "192.0.2.21:5060");
    let wrong = format!("{to}Target-Dialog: {call_id};local-tag={ours};remote-tag=guessed\r\n");
    let half = format!("{to}Target-Dialog: {call_id};local-tag={ours}\r\n");
    for (n, more) in [to.clone(), wrong, half].into_iter().enumerate() {
        let refer = outside_dialog(outside, n, &more);
        room.net.inject(outside, HOST, &refer);
        room.net.run_for(Duration::from_secs(1));
    }
    assert_eq!(room.net.at(stranger).statuses(), [403, 403, 403]);
    assert!(wishes(&room).is_empty());
    let right = format!("{to}Target-Dialog: {call_id};local-tag={ours};remote-tag={theirs}\r\n");
    let refer = outside_dialog(outside, 7, &right);
    room.net.inject(outside, HOST, &refer);
    room.net.run_for(Duration::from_secs(1));
    assert_eq!(room.net.at(stranger).statuses().last(), Some(&202));
    assert_eq!(wishes(&room)[0].1, "Bob");
}

/// Call-ID, the host's tag and the phone's in the call of a phone that the host dialled.
fn dialog(room: &Room, phone: &str) -> (String, String, String) {
    let steps = room.net.ladder().iter().filter(|step| step.from == address(phone));
    let mut answers = steps.filter_map(|step| match Message::parse(&step.contents) {
        Ok(Message::Response(answer))
            if answer.status.is_success()
                && answer.headers.cseq().is_ok_and(|cseq| cseq.method == Method::Invite) =>
        {
            Some(answer)
        }
        _ => None,
    });
    let headers = answers.next().unwrap().headers;
    let tag = |address: sip_core::NameAddr| address.tag().unwrap().to_owned();
    (
        headers.call_id().unwrap().to_owned(),
        tag(headers.from_header().unwrap()),
        tag(headers.to_header().unwrap()),
    )
}

/// A request in the dialog of a phone, written by hand.
fn request(room: &Room, method: &str, phone: SocketAddr, more: &str) -> Vec<u8> {
    let (call_id, ours, theirs) = dialog(room, &phone.to_string());
    let target = Host::conference_uri(HOST);
    format!(
        "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {phone};branch=z9hG4bKhand;rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:bob@{phone}>;tag={theirs}\r\nTo: <{target}>;tag={ours}\r\n\
         Call-ID: {call_id}\r\nCSeq: 900 {method}\r\nContact: <sip:bob@{phone}>\r\n{more}\
         Content-Length: 0\r\n\r\n"
    )
    .into_bytes()
}

/// A REFER from outside of every dialog.
fn outside_dialog(source: SocketAddr, n: usize, more: &str) -> Vec<u8> {
    let target = Host::conference_uri(HOST);
    format!(
        "REFER {target} SIP/2.0\r\nVia: SIP/2.0/UDP {source};branch=z9hG4bKout{n};rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:bob@192.0.2.21:5060>;tag=m{n}\r\nTo: <{target}>\r\n\
         Call-ID: out{n}@x\r\nCSeq: 1 REFER\r\nContact: <sip:mallory@{source}>\r\n{more}\
         Content-Length: 0\r\n\r\n"
    )
    .into_bytes()
}
