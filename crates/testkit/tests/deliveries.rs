//! Private texts and their failures, queues that are full, phones that take no text at all (docs/sip-chat.md 3.4, 3.7, 3.9).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::time::Duration;

use conference::{ChatAbility, Command, DeliveryState, Event};
use testkit::{Room, Script, TextAnswer};

fn room(seed: u64, carol: TextAnswer) -> Room {
    let scripts = vec![
        Script::new("bob").named("Bob"),
        Script::new("carol").named("Carol").answers(carol),
        Script::new("dave").named("Dave"),
    ];
    Room::new(seed, scripts)
}

fn carols_ability(room: &Room) -> ChatAbility {
    room.net.at(room.host).roster().iter().find(|one| one.name == "Carol").unwrap().chat
}

#[test]
fn a_private_text_goes_by_name_or_by_address_to_one_only() {
    let mut room = room(41, TextAnswer::Status(200));
    let [bob, carol, dave] = room.phones[..] else { panic!("three phones") };
    room.net.act(bob, |bob| bob.say("/to Carol by name"));
    let command = format!("/to <{}> by address", room.net.at(carol).uri());
    room.net.act(bob, |bob| bob.say(&command));
    room.net.run_for(Duration::from_secs(5));
    let expected = ["Bob (only to you): by name", "Bob (only to you): by address"];
    assert_eq!(room.net.at(carol).shown(), expected);
    assert!(room.net.at(dave).texts().is_empty());
}

#[test]
fn the_author_of_a_private_text_is_told_of_its_failure_and_the_host_of_nothing() {
    let mut room = room(42, TextAnswer::Status(500));
    let bob = room.phones[0];
    for text in ["/to Carol one", "/to Carol two"] {
        room.net.act(bob, |bob| bob.say(text));
        room.net.run_for(Duration::from_secs(2));
    }
    let shown = room.net.at(bob).shown();
    assert_eq!(shown.len(), 1, "one report in ten seconds: {shown:?}");
    assert!(shown[0].starts_with("[Conference] Not delivered to Carol: "), "{shown:?}");
    assert_eq!(room.net.at(room.host).deliveries().count(), 0);
}

#[test]
fn a_private_text_to_a_phone_that_takes_none_is_refused() {
    let mut room = room(43, TextAnswer::Status(603));
    let bob = room.phones[0];
    room.net.act(room.host, |host| host.say("r", "first"));
    room.net.run_for(Duration::from_secs(2));
    assert_eq!(carols_ability(&room), ChatAbility::No);
    let request = room.net.act(bob, |bob| bob.say("/to Carol hello")).unwrap();
    room.net.run_for(Duration::from_secs(2));
    assert_eq!(room.net.at(bob).outcome(request), Some(Some(488)));
}

#[test]
fn a_phone_that_is_silent_both_ways_takes_no_text() {
    let mut room = room(44, TextAnswer::Silence);
    room.net.act(room.host, |host| host.say("r", "hello?"));
    room.net.run_for(Duration::from_secs(120));
    assert_eq!(carols_ability(&room), ChatAbility::No);
    assert!(room.net.at(room.phones[1]).is_in_call());
}

#[test]
fn a_full_queue_says_how_many_texts_it_lost() {
    let mut room = room(45, TextAnswer::Status(486));
    let carol = room.phones[1];
    for n in 0..300 {
        room.net.act(room.host, |host| host.say("r", &format!("line {n}")));
        room.net.run_for(Duration::from_secs(1));
    }
    room.net.act(carol, |carol| carol.set_answer(TextAnswer::Status(200)));
    let before = room.net.at(carol).texts().len();
    room.net.run_for(Duration::from_secs(120));
    let texts = &room.net.at(carol).texts()[before..];
    let gaps: Vec<_> = texts.iter().filter(|text| text.text.contains("messages not del")).collect();
    assert_eq!(gaps.len(), 1);
    let host = room.net.at(room.host);
    let lost = host.deliveries().filter(|one| one.reason == "Too many texts were waiting").count();
    assert_eq!(gaps[0].text, format!("[Conference] [{lost} messages not delivered]"));
    assert_eq!(texts.last().unwrap().text, "Alice: line 299");
}

#[test]
fn a_line_is_sent_again_only_to_whom_it_failed() {
    let mut room = room(46, TextAnswer::Status(500));
    let [bob, carol, _] = room.phones[..] else { panic!("three phones") };
    room.net.act(room.host, |host| host.say("r", "hello"));
    room.net.run_for(Duration::from_secs(2));
    let host = room.net.at(room.host);
    let message = host.lines().next().unwrap().id;
    let failed = host.deliveries().find(|one| one.state == DeliveryState::Failed).unwrap();
    let failed = failed.recipient.clone();
    room.net.act(carol, |carol| carol.set_answer(TextAnswer::Status(200)));
    for recipient in [failed, room.net.at(bob).uri().to_string()] {
        let recipient = Some(recipient);
        room.net.act(room.host, |host| host.command(Command::Resend { message, recipient }));
        room.net.run_for(Duration::from_secs(2));
    }
    assert_eq!(room.net.at(carol).texts().len(), 2);
    assert_eq!(room.net.at(bob).texts().len(), 1);
    let told =
        |event: &Event| matches!(event, Event::Notice { text } if text.contains("not failed"));
    assert!(room.net.at(room.host).events().iter().any(told));
}

#[test]
fn ms11_whatever_a_phone_answers_a_text_counts_as_taken_never_as_read() {
    for status in [200, 202, 299] {
        let mut room = room(47, TextAnswer::Status(status));
        room.net.act(room.host, |host| host.say("r", "hello"));
        room.net.run_for(Duration::from_secs(5));
        let states: Vec<_> = room.net.at(room.host).deliveries().map(|one| one.state).collect();
        assert_eq!(states.iter().filter(|one| **one == DeliveryState::Accepted).count(), 3);
        assert!(!states.contains(&DeliveryState::Delivered), "{status}: {states:?}");
    }
}

#[test]
fn ms12_a_text_refused_with_415_goes_again_in_a_type_that_is_accepted_and_so_do_the_next() {
    let mut room = room(48, TextAnswer::Only("text/plain"));
    let [bob, carol, _] = room.phones[..] else { panic!("three phones") };
    for text in ["one", "two"] {
        room.net.act(room.host, |host| host.say("r", text));
        room.net.run_for(Duration::from_secs(5));
    }
    let kinds = |room: &Room, phone: testkit::Node<testkit::Phone>| -> Vec<(String, String)> {
        let texts = room.net.at(phone).texts().iter();
        texts.map(|text| (text.content_type.clone(), text.text.clone())).collect()
    };
    let line = |kind: &str, text: &str| (kind.to_owned(), text.to_owned());
    let first = line("text/plain;charset=UTF-8", "Alice: one");
    let rest = [line("text/plain", "Alice: one"), line("text/plain", "Alice: two")];
    let expected: Vec<_> = [first].into_iter().chain(rest).collect();
    assert_eq!(kinds(&room, carol), expected);
    assert_eq!(kinds(&room, bob).len(), 2, "who takes them gets each once");
    let host = room.net.at(room.host);
    let failed = |state| matches!(state, DeliveryState::Failed | DeliveryState::Unsupported);
    assert!(!host.deliveries().any(|one| failed(one.state)));
}

#[test]
fn ms12_a_phone_whose_accept_names_nothing_we_have_is_not_asked_again() {
    let mut room = room(49, TextAnswer::Only("application/json"));
    let carol = room.phones[1];
    for text in ["one", "two"] {
        room.net.act(room.host, |host| host.say("r", text));
        room.net.run_for(Duration::from_secs(5));
    }
    // In the dialog and outside of it, once each.
    assert_eq!(room.net.at(carol).texts().len(), 2);
    assert_eq!(carols_ability(&room), ChatAbility::No);
}
