//! Phones that refuse texts, or do not answer them, keep their call, and their neighbours wait for nobody; what the
//! focus itself answers never ends a call (docs/sip-chat.md 3.7, 3.8).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::time::Duration;

use conference::{DeliveryState, MessageId};
use sip_core::{Content, Method};
use testkit::{Phone, Room, Script, TextAnswer};

/// Statuses that end the dialog or its INVITE usage in some phone (RFC 5057 §5.1 and captures).
const DEADLY: [u16; 15] =
    [404, 405, 408, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 502, 604];

#[test]
fn a_phone_that_refuses_texts_keeps_its_call_and_delays_nobody() {
    for status in [405, 415, 488, 500, 501] {
        keeps_its_call_and_delays_nobody(TextAnswer::Status(status));
    }
}

#[test]
fn a_phone_that_does_not_answer_texts_keeps_its_call_and_delays_nobody() {
    keeps_its_call_and_delays_nobody(TextAnswer::Silence);
}

#[test]
fn a_phone_that_says_its_dialog_is_gone_keeps_its_call_while_the_dialog_answers() {
    for status in [403, 404, 408, 410, 416, 480, 481, 482, 483, 486, 502, 503, 603, 604] {
        keeps_its_call_and_delays_nobody(TextAnswer::Status(status));
    }
}

fn keeps_its_call_and_delays_nobody(answer: TextAnswer) {
    let scripts = vec![
        Script::new("bob").named("Bob").answers(answer),
        Script::new("carol").named("Carol"),
        Script::new("dave").named("Dave"),
    ];
    let mut room = Room::new(7, scripts);
    let [bob, carol, dave] = room.phones[..] else { panic!("three phones") };

    for (second, from) in (0..40).zip([carol, dave].into_iter().cycle()) {
        let text = format!("line {second}");
        let sent = room.net.elapsed();
        let request = room.net.act(from, |phone| phone.say(&text)).unwrap();
        let other = if second % 2 == 0 { dave } else { carol };
        room.net.run_for(Duration::from_millis(100));
        let heard = room.net.at(other).texts().last().map(|text| (text.text.clone(), text.at));
        let (heard, at) = heard.unwrap_or_else(|| panic!("{answer:?}: {text} did not come"));
        assert!(heard.ends_with(&text), "{answer:?}: {heard} came instead of {text}");
        assert!(at < sent + Duration::from_millis(60), "{answer:?}: {text} came late");
        assert_eq!(room.net.at(from).outcome(request), Some(Some(202)), "{answer:?}");
        room.net.run_for(Duration::from_millis(1_400));
    }
    room.net.run_for(Duration::from_secs(90));

    for phone in [bob, carol, dave] {
        assert!(room.net.at(phone).is_in_call(), "{answer:?}: a call ended");
    }
    assert_eq!(room.net.at(room.host).connected(), 4, "{answer:?}");
    assert!(room.net.ladder().iter().all(|step| !step.summary.starts_with(Method::Bye.as_str())));
    assert_eq!(room.net.at(carol).shown().len(), 20, "{answer:?}");
    assert_eq!(room.net.at(dave).shown().len(), 20, "{answer:?}");
    // One after the other, each tried again where its answer says so: in the end nothing is left open, and nothing is
    // said to have been accepted by the phone that took nothing.
    room.net.run_for(Duration::from_secs(3_600));
    let mut last: BTreeMap<MessageId, DeliveryState> = BTreeMap::new();
    for delivery in room.net.at(room.host).deliveries().filter(|it| it.recipient.contains("bob@")) {
        last.insert(delivery.id, delivery.state);
    }
    assert_eq!(last.len(), 40, "{answer:?}: every line is reported");
    for (id, state) in last {
        assert!(
            matches!(state, DeliveryState::Failed | DeliveryState::Unsupported),
            "{answer:?}: {id:?} stands as {state:?}"
        );
    }
}

#[test]
fn a_phone_that_takes_no_text_in_the_call_is_tried_outside_of_it_once() {
    for status in [405, 415, 488, 501] {
        let scripts = vec![
            Script::new("bob").answers(TextAnswer::Status(status)),
            Script::new("carol").named("Carol"),
        ];
        let mut room = Room::new(3, scripts);
        for line in ["one", "two", "three"] {
            room.net.act(room.phones[1], |carol| carol.say(line));
            room.net.run_for(Duration::from_secs(5));
        }
        let texts = room.net.at(room.phones[0]).texts();
        let ways: Vec<bool> = texts.iter().map(|text| text.call.is_some()).collect();
        assert_eq!(ways, [true, false], "{status}: in the call once, outside once, then no more");
    }
}

#[test]
fn a_text_that_may_have_been_shown_is_not_sent_again() {
    let scripts = vec![
        Script::new("bob").answers(TextAnswer::Status(500)),
        Script::new("carol").named("Carol"),
    ];
    let mut room = Room::new(4, scripts);
    room.net.act(room.phones[1], |carol| carol.say("once"));
    room.net.run_for(Duration::from_secs(60));
    assert_eq!(room.net.at(room.phones[0]).texts().len(), 1);
}

#[test]
fn no_answer_of_the_focus_to_a_text_in_a_call_is_deadly_or_missing() {
    let bodies = vec![
        Content::text("plain"),
        Content::text(""),
        Content::text("two\r\nlines"),
        Content::text("/to Nobody are you there?"),
        Content::text(&"long ".repeat(4_000)),
        Content::new("text/plain", vec![0xff, 0xfe, 0x00, 0x41]),
        Content::new("text/plain;charset=nowhere", "plain"),
        Content::new("text/html", "<b>bold</b>"),
        Content::new("application/im-iscomposing+xml", "<isComposing/>"),
        Content::new("message/imdn+xml", "<imdn/>"),
        Content::new(
            "message/cpim",
            "To: <sip:nobody@example.com>\r\n\r\nContent-Type: text/plain\r\n\r\nhello",
        ),
        Content::new("message/cpim", "no header at all"),
        Content::new("multipart/mixed;boundary=x", "--x\r\n\r\nhello\r\n--x--"),
        Content::new("application/octet-stream", vec![0; 64]),
        Content::new("nonsense", "nonsense"),
        Content::new("", "no type"),
    ];
    let mut room = Room::new(11, vec![Script::new("bob"), Script::new("carol")]);
    let bob = room.phones[0];
    for content in bodies {
        let kind = content.content_type.clone();
        let status = answer_to(&mut room, bob, content);
        assert!(!DEADLY.contains(&status), "{kind} was answered {status}");
        room.net.run_for(Duration::from_secs(2));
    }
    // A flood: beyond the limit they are refused, in a way that ends nothing.
    for _ in 0..30 {
        let status = answer_to(&mut room, bob, Content::text("again"));
        assert!([202, 486].contains(&status), "a flood was answered {status}");
    }
    assert!(room.net.at(bob).is_in_call());
}

/// The status of the answer, which must come within 200 ms.
fn answer_to(room: &mut Room, phone: testkit::Node<Phone>, content: Content) -> u16 {
    let kind = content.content_type.clone();
    let request = room.net.act(phone, |phone| phone.send(content)).unwrap();
    room.net.run_for(Duration::from_millis(200));
    let outcome = room.net.at(phone).outcome(request);
    outcome.flatten().unwrap_or_else(|| panic!("{kind} was not answered"))
}

#[test]
fn a_burst_of_one_phone_arrives_in_order_and_once_over_loss() {
    let mut room = Room::new(5, vec![Script::new("bob").named("Bob"), Script::new("carol")]);
    let [bob, carol] = room.phones[..] else { panic!("two phones") };
    room.net.drop_next(carol, 3);
    for line in ["a", "b", "c", "d", "e"] {
        room.net.act(bob, |bob| bob.say(line));
    }
    room.net.run_for(Duration::from_secs(30));
    assert_eq!(room.net.at(carol).shown(), ["Bob: a", "Bob: b", "Bob: c", "Bob: d", "Bob: e"]);
}

#[test]
fn accept_names_the_types_of_text_that_the_conference_shows_and_no_others() {
    let mut room = Room::new(9, vec![Script::new("bob").named("Bob"), Script::new("carol")]);
    let bob = room.phones[0];
    let kinds = ["text/plain", "message/cpim", "application/json", "multipart/mixed"];
    for kind in kinds {
        let before = room.net.at(room.host).lines().count();
        let content = Content::new(kind, "words".as_bytes().to_vec());
        let request = room.net.act(bob, |bob| bob.send(content)).unwrap();
        room.net.run_for(Duration::from_secs(2));
        let shown = room.net.at(room.host).lines().count() > before;
        let listed = sip_core::capabilities::ACCEPT.contains(&kind);
        assert_eq!(shown, listed, "{kind}: {:?}", room.net.at(bob).outcome(request));
    }
    let texts = sip_core::capabilities::ACCEPT.iter().filter(|kind| **kind != "application/sdp");
    assert!(texts.into_iter().all(|kind| kinds.contains(kind)), "a type that is not tried here");
}
