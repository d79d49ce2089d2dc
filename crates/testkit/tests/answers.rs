//! What a participant of our own kind makes of the answers to his texts in a call between two (docs/sip-chat.md), and of a
//! conference whose host answers for himself.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::net::SocketAddr;
use std::time::Duration;

use conference::{DeliveryState, Event};
use testkit::{Guest, HOST, Host, Net, Node, Phone, Room, Script, TextAnswer};

/// Dave in a call with a phone that answers texts so.
fn call(texts: TextAnswer) -> (Net, Node<Guest>, Node<Phone>) {
    let mut net = Net::new(51);
    let at = |last: u8| SocketAddr::from(([192, 0, 2, last], 5060));
    let bob = Phone::join(&mut net, Script::new("bob").answers(texts), at(21));
    let dave = Guest::join(&mut net, "Dave", "dave", at(40));
    let uri = net.at(bob).uri();
    net.act(dave, |dave| dave.dial(&uri));
    net.run_for(Duration::from_secs(3));
    (net, dave, bob)
}

fn last(net: &Net, dave: Node<Guest>) -> (DeliveryState, Option<u16>) {
    let events = net.at(dave).events().iter().rev();
    let mut deliveries = events.filter_map(|event| match event {
        Event::Delivery(one) => Some((one.state, one.code)),
        _ => None,
    });
    deliveries.next().unwrap()
}

#[test]
fn each_answer_to_a_participants_text_has_its_meaning_and_none_ends_the_call() {
    use DeliveryState::{Accepted, Failed, Unsupported};
    for (answer, state, code, copies) in [
        (200, Accepted, Some(200), 1),
        (202, Accepted, Some(202), 1),
        (500, Failed, Some(500), 1),
        (403, Unsupported, Some(403), 1),
        (603, Unsupported, Some(603), 1),
        // Outside of the call too, and then it is known.
        (405, Unsupported, Some(405), 2),
        (501, Unsupported, Some(501), 2),
        // Once more after a minute.
        (480, Failed, Some(480), 2),
        (486, Failed, Some(486), 2),
        (503, Failed, Some(503), 2),
    ] {
        let (mut net, dave, bob) = call(TextAnswer::Status(answer));
        net.act(dave, |dave| dave.say("r", "hello"));
        net.run_for(Duration::from_secs(100));
        assert_eq!(last(&net, dave), (state, code), "{answer}");
        assert_eq!(net.at(bob).texts().len(), copies, "{answer}");
        assert!(net.at(bob).is_in_call() && net.at(dave).is_in_call(), "{answer}");
    }
}

#[test]
fn a_participants_text_that_is_not_answered_is_tried_once_outside_and_ends_no_call() {
    let (mut net, dave, bob) = call(TextAnswer::Silence);
    net.act(dave, |dave| dave.say("r", "hello"));
    net.run_for(Duration::from_secs(150));
    assert_eq!(last(&net, dave).0, DeliveryState::Unsupported);
    assert!(net.at(bob).is_in_call() && net.at(dave).is_in_call());
}

#[test]
fn what_a_participant_writes_to_the_host_alone_is_told_once_and_all_reaches_everybody() {
    let scripts = vec![Script::new("bob").named("Bob"), Script::new("carol")];
    let mut room = Room::new(52, scripts);
    let [bob, carol] = room.phones[..] else { panic!("two phones") };
    for text in ["first", "second", "/all third", "/allow"] {
        room.net.act(bob, |bob| bob.write_to(&Host::own_uri(HOST), text));
        room.net.run_for(Duration::from_secs(3));
    }
    assert_eq!(room.net.at(carol).shown(), ["Bob: third"]);
    let notice = "[Conference] Only Alice got this. Begin with /all to write to everyone.";
    assert_eq!(room.net.at(bob).shown(), [notice]);
    let lines: Vec<&str> = room.net.at(room.host).lines().map(|line| line.text.as_str()).collect();
    assert_eq!(lines, ["first", "second", "third", "/allow"]);
}
