//! Texts in envelopes: for whom they are, reports on them, typing marks, and what was written before somebody came
//! (docs/sip-chat.md).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::net::SocketAddr;
use std::time::Duration;

use conference::{Command, DeliveryState, Event, Recipient};
use sip_core::Content;
use testkit::{Guest, HOST, Node, Phone, Room, Script, TextAnswer};

const DAVE: &str = "192.0.2.40:5060";
const ERIN: &str = "192.0.2.41:5060";
const CONFERENCE: &str = "sip:conf-1@192.0.2.10:5060";
const ALICE: &str = "sip:alice@192.0.2.10:5060";
const BOB: &str = "sip:bob@192.0.2.21:5060";
const CAROL: &str = "sip:carol@192.0.2.22:5060";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn room(seed: u64) -> Room {
    let scripts = vec![Script::new("bob").named("Bob"), Script::new("carol").named("Carol")];
    Room::new(seed, scripts)
}

fn seconds(room: &mut Room, seconds: u64) {
    room.net.run_for(Duration::from_secs(seconds));
}

/// An envelope with these headers before its blank line.
fn envelope(headers: &str, text: &str) -> Content {
    let body = format!("{headers}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}");
    Content::new("message/cpim", body.into_bytes())
}

fn to(entity: &str) -> String {
    format!("From: Bob <{BOB}>\r\nTo: <{entity}>\r\n")
}

/// The status of the answer to something that a phone sends in its call.
fn answer(room: &mut Room, phone: Node<Phone>, content: Content) -> u16 {
    let request = room.net.act(phone, |phone| phone.send(content)).unwrap();
    seconds(room, 2);
    room.net.at(phone).outcome(request).flatten().expect("an answer")
}

fn shown(room: &Room, phone: Node<Phone>) -> Vec<String> {
    room.net.at(phone).shown().into_iter().map(str::to_owned).collect()
}

fn at_host(room: &Room) -> Vec<(String, Recipient)> {
    let lines = room.net.at(room.host).lines();
    lines.map(|line| (line.text.clone(), line.to.clone())).collect()
}

fn say_to(room: &mut Room, guest: Node<Guest>, entity: &str, text: &str) {
    let (reference, text) = ("r".to_owned(), text.to_owned());
    let to = Recipient::Participant(entity.to_owned());
    room.net.act(guest, |guest| guest.command(Command::Say { reference, text, to }));
    seconds(room, 3);
}

/// Recipient and state of every report on a delivery at a guest, without those on the way.
fn reported(room: &Room, guest: Node<Guest>) -> Vec<(String, DeliveryState)> {
    let events = room.net.at(guest).events().iter();
    let done = events.filter_map(|event| match event {
        Event::Delivery(one) if one.state != DeliveryState::Sending => {
            Some((one.recipient.clone(), one.state))
        }
        _ => None,
    });
    done.collect()
}

fn typing(events: &[Event]) -> Vec<(String, bool)> {
    let marks = events.iter().filter_map(|event| match event {
        Event::Typing { entity, on, .. } => Some((entity.clone(), *on)),
        _ => None,
    });
    marks.collect()
}

#[test]
fn an_envelope_says_for_whom_a_text_is() {
    let mut room = room(1);
    let [bob, carol] = room.phones[..] else { panic!("two phones") };
    let open = ["", "X: y\r\n", &to(CONFERENCE), "To: <sip:conf-1@192.0.2.10>\r\n"];
    for head in open {
        assert_eq!(answer(&mut room, bob, envelope(head, "for all")), 202, "{head}");
    }
    assert_eq!(shown(&room, carol), vec!["Bob: for all"; open.len()]);
    assert_eq!(answer(&mut room, bob, envelope(&to(ALICE), "for the host")), 200);
    assert_eq!(at_host(&room).pop(), Some(("for the host".to_owned(), Recipient::Me)));
    seconds(&mut room, 10);
    assert_eq!(answer(&mut room, bob, envelope(&to(CAROL), "for Carol")), 202);
    assert_eq!(shown(&room, carol).pop().unwrap(), "Bob (only to you): for Carol");
    assert_eq!(at_host(&room).len(), open.len() + 1, "a private text is not the host's");
    // A command is one in a plain text only.
    assert_eq!(answer(&mut room, bob, envelope(&to(CONFERENCE), "/who")), 202);
    assert_eq!(shown(&room, carol).pop().unwrap(), "Bob: /who");
}

#[test]
fn an_envelope_for_several_for_nobody_or_of_somebody_else_is_403() {
    let mut room = room(2);
    let [bob, carol] = room.phones[..] else { panic!("two phones") };
    let second = format!("To: <{ALICE}>\r\n");
    let forged = format!("From: Carol <{CAROL}>\r\nTo: <{CONFERENCE}>\r\n");
    for head in [
        to(CAROL) + &second,
        to(CONFERENCE) + &second,
        to(CAROL) + "cc: <sip:eve@x>\r\n",
        to("sip:nobody@192.0.2.22"),
        to("sip:carol@192.0.2.99"),
        to(BOB),
        forged,
    ] {
        assert_eq!(answer(&mut room, bob, envelope(&head, "no")), 403, "{head}");
    }
    assert!(shown(&room, carol).is_empty() && at_host(&room).is_empty());
    assert!(room.net.at(bob).is_in_call());
}

#[test]
fn ms5_200_says_that_only_the_host_has_it_and_202_that_it_goes_on() {
    let mut room = room(3);
    let [bob, carol] = room.phones[..] else { panic!("two phones") };
    assert_eq!(answer(&mut room, bob, Content::text("all")), 202);
    assert_eq!(answer(&mut room, bob, Content::text("/to Carol you")), 202);
    assert_eq!(answer(&mut room, bob, Content::text("/host you")), 200);
    room.net.act(carol, |carol| carol.hang_up());
    seconds(&mut room, 3);
    assert_eq!(answer(&mut room, bob, Content::text("nobody else is here")), 200);
}

#[test]
fn a_text_with_the_id_of_another_is_answered_the_same_and_shown_once() {
    let mut room = room(4);
    let [bob, carol] = room.phones[..] else { panic!("two phones") };
    let head =
        format!("{}NS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: abc\r\n", to(CONFERENCE));
    assert_eq!(answer(&mut room, bob, envelope(&head, "once")), 202);
    assert_eq!(answer(&mut room, bob, envelope(&head, "once")), 202);
    assert_eq!(shown(&room, carol), ["Bob: once"]);
    // Another's ids are his own.
    let head = head.replace(&format!("From: Bob <{BOB}>\r\n"), "");
    assert_eq!(answer(&mut room, carol, envelope(&head, "mine")), 202);
    assert_eq!(shown(&room, bob), ["Carol: mine"]);
    seconds(&mut room, 601);
    assert_eq!(answer(&mut room, bob, envelope(&head, "after ten minutes")), 202);
    assert_eq!(shown(&room, carol).len(), 2);
}

#[test]
fn clients_of_our_own_kind_get_envelopes_and_phones_get_text() {
    let mut room = room(5);
    let dave = room.guest("Dave", "dave", address(DAVE));
    // What a client of our own kind sees has names and order.
    room.net.act(room.host, |host| host.say("r", "hello"));
    seconds(&mut room, 2);
    let line = room.net.at(dave).lines().next().unwrap().clone();
    assert_eq!((line.from.as_str(), line.name.as_str(), line.seq), (ALICE, "Alice", Some(1)));
    assert!(line.verified && !line.is_history && line.to == Recipient::Everyone);
    let kinds: Vec<bool> = room
        .net
        .ladder()
        .iter()
        .filter(|step| step.to == address(DAVE) && step.contents.starts_with(b"MESSAGE"))
        .map(|step| String::from_utf8_lossy(&step.contents).contains("message/cpim"))
        .collect();
    assert_eq!(kinds, [true]);
    // Ordinary phones never get one.
    let raw = shown(&room, room.phones[0]);
    assert_eq!(raw, ["Alice: hello"]);
}

#[test]
fn ms21_a_2xx_is_no_report_and_only_a_report_says_delivered() {
    let mut room = room(6);
    let (dave, erin) =
        (room.guest("Dave", "dave", address(DAVE)), room.guest("Erin", "erin", address(ERIN)));
    // To a phone: taken by the focus, and nothing more is ever known.
    say_to(&mut room, dave, CAROL, "to a phone");
    assert_eq!(reported(&room, dave), [(CONFERENCE.to_owned(), DeliveryState::Accepted)]);
    // To a client: it reports.
    let entity = room.net.at(erin).uri().to_string();
    say_to(&mut room, dave, &entity, "to a client");
    let line = room.net.at(erin).lines().next().unwrap().clone();
    assert_eq!((line.text.as_str(), line.to), ("to a client", Recipient::Me));
    let last = reported(&room, dave).pop().unwrap();
    assert_eq!(last, (entity.clone(), DeliveryState::Delivered));
    // The host's own private text is reported on too; a public one is not.
    let before = room.net.at(room.host).deliveries().count();
    room.net.act(room.host, |host| {
        let to = Recipient::Participant(entity.clone());
        host.command(Command::Say { reference: "r".into(), text: "psst".into(), to });
    });
    seconds(&mut room, 2);
    let states: Vec<_> =
        room.net.at(room.host).deliveries().skip(before).map(|one| one.state).collect();
    assert_eq!(states.last(), Some(&DeliveryState::Delivered));
    room.net.act(room.host, |host| host.say("r", "all"));
    seconds(&mut room, 2);
    let delivered = |room: &Room| {
        let states = room.net.at(room.host).deliveries();
        states.filter(|one| one.state == DeliveryState::Delivered).count()
    };
    assert_eq!(delivered(&room), 1);
}

#[test]
fn ms20_ms21_the_author_hears_in_a_report_that_a_text_did_not_arrive() {
    let mut room = room(7);
    let dave = room.guest("Dave", "dave", address(DAVE));
    let carol = room.phones[1];
    room.net.act(carol, |carol| carol.set_answer(TextAnswer::Status(500)));
    say_to(&mut room, dave, CAROL, "are you there?");
    let failed = (CAROL.to_owned(), DeliveryState::Failed);
    assert_eq!(reported(&room, dave).last(), Some(&failed));
    let reports = |room: &Room| {
        let to_dave = room.net.ladder().iter().filter(|step| step.to == address(DAVE));
        let text = to_dave.map(|step| String::from_utf8_lossy(&step.contents).into_owned());
        text.filter(|text| text.contains("message/imdn+xml") && text.starts_with("MESSAGE"))
            .collect::<Vec<_>>()
    };
    let [report] = &reports(&room)[..] else { panic!("one report: {:?}", reports(&room)) };
    assert!(report.contains("\r\nContent-Disposition: notification\r\n"), "{report}");
    assert!(
        report.contains("\r\nimdn.Message-ID: ") && !report.contains("Disposition-Notification")
    );
    // A report is not reported on.
    let from_dave = room.net.ladder().iter().filter(|step| step.from == address(DAVE));
    assert!(
        !from_dave
            .into_iter()
            .any(|step| String::from_utf8_lossy(&step.contents).contains("<imdn"))
    );
    // Of public texts they come together, at most one in five seconds.
    room.net.act(dave, |dave| dave.say("r", "one"));
    room.net.act(dave, |dave| dave.say("r", "two"));
    seconds(&mut room, 3);
    assert_eq!(reports(&room).len(), 2);
    seconds(&mut room, 5);
    assert_eq!(reports(&room).len(), 3);
}

#[test]
fn ms22_no_report_follows_a_text_that_was_refused() {
    let mut room = room(8);
    let dave = room.guest("Dave", "dave", address(DAVE));
    // For somebody else, and by nobody that it could be told to.
    for head in [
        "From: Bob <sip:bob@x>\r\nTo: <sip:other@y>\r\n",
        "From: <sip:anonymous@anonymous.invalid>\r\n",
    ] {
        let head = format!(
            "{head}NS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: q\r\n\
             imdn.Disposition-Notification: positive-delivery, display\r\n"
        );
        let body = envelope(&head, "hi").body;
        let uri = room.net.at(dave).uri();
        let from = format!("<{CONFERENCE}>");
        let mut message = testkit::Stranger::message(&uri.to_string(), &from, HOST, "x", "@@");
        let text = String::from_utf8(message).unwrap();
        let text = text.replace("Content-Type: text/plain", "Content-Type: message/cpim");
        let (head, _) = text.split_once("\r\n\r\n").unwrap();
        let head: Vec<&str> =
            head.lines().filter(|line| !line.starts_with("Content-Length")).collect();
        message =
            format!("{}\r\nContent-Length: {}\r\n\r\n", head.join("\r\n"), body.len()).into_bytes();
        message.extend_from_slice(&body);
        room.net.inject(HOST, address(DAVE), &message);
        seconds(&mut room, 3);
    }
    let from_dave = room.net.ladder().iter().filter(|step| step.from == address(DAVE));
    assert!(
        !from_dave
            .into_iter()
            .any(|step| String::from_utf8_lossy(&step.contents).contains("<imdn"))
    );
}

#[test]
fn ms24_who_writes_is_told_to_those_who_read_such_marks_only() {
    let mut room = room(9);
    let (dave, erin) =
        (room.guest("Dave", "dave", address(DAVE)), room.guest("Erin", "erin", address(ERIN)));
    let entity = room.net.at(dave).uri().to_string();
    room.net.act(dave, |dave| dave.command(Command::Typing));
    seconds(&mut room, 1);
    let on = (entity.clone(), true);
    assert_eq!(typing(room.net.at(room.host).events()), std::slice::from_ref(&on));
    assert_eq!(typing(room.net.at(erin).events()), std::slice::from_ref(&on));
    // Fifteen seconds without a key.
    seconds(&mut room, 16);
    let off = (entity.clone(), false);
    assert_eq!(typing(room.net.at(erin).events()), [on.clone(), off.clone()]);
    // The text itself ends it.
    room.net.act(dave, |dave| dave.command(Command::Typing));
    seconds(&mut room, 1);
    room.net.act(dave, |dave| dave.say("r", "done"));
    seconds(&mut room, 2);
    let all = [on.clone(), off.clone(), on, off];
    assert_eq!(typing(room.net.at(erin).events()), all);
    assert_eq!(typing(room.net.at(room.host).events()), all);
    // The host too.
    room.net.act(room.host, |host| host.command(Command::Typing));
    seconds(&mut room, 1);
    assert_eq!(typing(room.net.at(erin).events()).last(), Some(&(ALICE.to_owned(), true)));
    // No phone was ever told, and a phone's own mark goes nowhere.
    for phone in room.phones.clone() {
        assert!(
            room.net
                .at(phone)
                .texts()
                .iter()
                .all(|text| text.content_type.starts_with("text/plain"))
        );
    }
    let before = typing(room.net.at(erin).events()).len();
    let mark = "<isComposing xmlns=\"urn:ietf:params:xml:ns:im-iscomposing\"><state>active</state></isComposing>";
    let bob = room.phones[0];
    assert_eq!(answer(&mut room, bob, Content::new("application/im-iscomposing+xml", mark)), 200);
    assert_eq!(typing(room.net.at(erin).events()).len(), before);
}

#[test]
fn history_goes_to_late_clients_once_oldest_first_and_never_private() {
    let mut room = room(10);
    for n in 1..=5 {
        room.net.act(room.host, |host| host.say("r", &format!("line {n}")));
        seconds(&mut room, 2);
    }
    let bob = room.phones[0];
    assert_eq!(answer(&mut room, bob, Content::text("/to Carol secret")), 202);
    let dave = room.guest("Dave", "dave", address(DAVE));
    assert_eq!(room.net.at(dave).lines().count(), 0, "off at the beginning");
    room.net.act(room.host, |host| host.command(Command::History { count: 3 }));
    let erin = room.guest("Erin", "erin", address(ERIN));
    room.net.act(room.host, |host| host.say("r", "now"));
    seconds(&mut room, 5);
    let lines: Vec<_> = room.net.at(erin).lines().cloned().collect();
    let texts: Vec<(&str, bool)> =
        lines.iter().map(|line| (line.text.as_str(), line.is_history)).collect();
    assert_eq!(texts, [("line 3", true), ("line 4", true), ("line 5", true), ("now", false)]);
    assert_eq!(lines[0].seq, Some(3));
    assert!(lines[0].at < lines[1].at, "as they were written");
    assert_eq!(room.net.at(dave).lines().count(), 1);
    for phone in &room.phones {
        let texts = room.net.at(*phone).shown();
        assert_eq!(texts.iter().filter(|text| text.contains("line 3")).count(), 1);
    }
}

#[test]
fn a_text_that_waited_for_a_minute_says_when_it_was_written() {
    let scripts = vec![
        Script::new("bob").named("Bob").answers(TextAnswer::Status(480)),
        Script::new("carol"),
    ];
    let mut room = Room::new(11, scripts);
    let bob = room.phones[0];
    let [one, two] = ["first", "second"];
    for text in [one, two] {
        room.net.act(room.host, |host| host.say("r", text));
    }
    seconds(&mut room, 5);
    room.net.act(bob, |bob| bob.set_answer(TextAnswer::Status(200)));
    seconds(&mut room, 120);
    let shown = shown(&room, bob);
    let [.., second] = &shown[..] else { panic!("{shown:?}") };
    let (name, text) = second.split_once("): ").unwrap();
    assert_eq!(text, "second");
    let time = name.strip_prefix("Alice (").unwrap();
    assert!(time.len() == 5 && time.as_bytes()[2] == b':', "{second}");
}

#[test]
fn ms19_whatever_asks_for_a_report_says_when_it_was_written() {
    let mut room = room(12);
    let (dave, erin) =
        (room.guest("Dave", "dave", address(DAVE)), room.guest("Erin", "erin", address(ERIN)));
    let entity = room.net.at(erin).uri().to_string();
    say_to(&mut room, dave, &entity, "private");
    room.net.act(dave, |dave| dave.say("r", "public"));
    room.net.act(room.host, |host| host.say("r", "of the host"));
    seconds(&mut room, 5);
    let steps = room.net.ladder().iter();
    let texts = steps.map(|step| String::from_utf8_lossy(&step.contents).into_owned());
    let envelopes: Vec<String> =
        texts.filter(|text| text.starts_with("MESSAGE") && text.contains("message/cpim")).collect();
    assert!(envelopes.len() > 5);
    assert!(envelopes.iter().all(|text| text.contains("\r\nimdn.Message-ID: ")), "{envelopes:?}");
    let asks = envelopes.iter().filter(|text| text.contains("Disposition-Notification"));
    assert!(asks.clone().count() >= 3);
    assert!(asks.clone().all(|text| text.contains("\r\nDateTime: ")));
}

#[test]
fn ms23_nothing_is_said_of_reading() {
    let mut room = room(13);
    let (dave, erin) =
        (room.guest("Dave", "dave", address(DAVE)), room.guest("Erin", "erin", address(ERIN)));
    let entity = room.net.at(erin).uri().to_string();
    say_to(&mut room, dave, &entity, "private");
    let steps = room.net.ladder().iter();
    let mut texts = steps.map(|step| String::from_utf8_lossy(&step.contents).into_owned());
    assert!(!texts.any(|text| text.starts_with("MESSAGE") && text.contains("display")));
}

/// A phone that lists envelopes and marks, and then refuses them.
fn fickle(seed: u64) -> (Room, Node<Phone>) {
    let fickle =
        Script { user_agent: "Parlourish/1".to_owned(), ..Script::new("bob").named("Bob") };
    let fickle = fickle.answers(TextAnswer::Only("text/plain;charset=UTF-8"));
    let room = Room::new(seed, vec![fickle, Script::new("carol")]);
    let bob = room.phones[0];
    (room, bob)
}

fn kinds(room: &Room, phone: Node<Phone>) -> Vec<&str> {
    room.net.at(phone).texts().iter().map(|text| text.content_type.as_str()).collect()
}

#[test]
fn who_lists_envelopes_and_refuses_one_gets_the_text_plain_from_then_on() {
    let (mut room, bob) = fickle(14);
    for text in ["one", "two"] {
        room.net.act(room.host, |host| host.say("r", text));
        seconds(&mut room, 2);
    }
    let plain = "text/plain;charset=UTF-8";
    assert_eq!(kinds(&room, bob), ["message/cpim", plain, plain]);
    assert_eq!(shown(&room, bob), ["Alice: one", "Alice: two"]);
}

#[test]
fn ms24_who_refused_a_mark_gets_none_any_more() {
    let (mut room, bob) = fickle(15);
    for _ in 0..3 {
        room.net.act(room.host, |host| host.command(Command::Typing));
        seconds(&mut room, 70);
    }
    assert_eq!(kinds(&room, bob), ["message/cpim"]);
    assert!(room.net.at(bob).is_in_call());
}
