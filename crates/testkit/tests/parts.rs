//! Long texts: in parts that each phone takes, one after another, whole again at a participant of our own kind, byte for
//! byte (docs/sip-chat.md 0.5, 3.10).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::time::Duration;

use sip_core::{Message, Method, Transport};
use testkit::{Guest, Node, Room, Script};

/// Some 3 kB with everything that is hard to cut: a link, wide characters, a key, lines.
fn long_text() -> String {
    let words = "word ".repeat(150);
    let wide = "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}".repeat(40);
    let key = "A".repeat(380);
    format!(
        "{words}\nhttps://example.org/{}\n{wide}\nssh-ed25519 {key} a@b\nthe end  ",
        "x".repeat(200)
    )
}

fn room() -> (Room, Node<Guest>) {
    let baresip = Script { user_agent: "baresip v1.0.0".to_owned(), ..Script::new("bob") };
    let mut room = Room::new(17, vec![baresip, Script::new("carol")]);
    let dave = room.guest("Dave", "dave", "192.0.2.40:5060".parse().unwrap());
    (room, dave)
}

fn read(room: &Room, guest: Node<Guest>) -> Vec<String> {
    let lines = room.net.at(guest).lines().filter(|line| !line.is_own);
    lines.map(|line| line.text.clone()).collect()
}

#[test]
fn parts_keep_each_phones_limit_and_stay_together() {
    let (mut room, dave) = room();
    room.net.act(room.host, |host| host.say("long", &long_text()));
    room.net.act(room.host, |host| host.say("short", "afterwards"));
    room.net.run_for(Duration::from_secs(10));
    for (phone, limit) in [(room.phones[0], 400), (room.phones[1], 1300)] {
        let shown = room.net.at(phone).shown();
        assert!(shown.len() > 3, "{shown:?}");
        let (last, parts) = shown.split_last().unwrap();
        assert_eq!(*last, "Alice: afterwards");
        for (n, part) in parts.iter().enumerate() {
            let mark = format!(" ({}/{})", n + 1, parts.len());
            assert!(part.starts_with("Alice") && part.ends_with(&mark), "{part}");
            assert!(part.len() <= limit, "{} bytes in {part}", part.len());
        }
    }
    assert_eq!(read(&room, dave), [long_text(), "afterwards".to_owned()]);
}

#[test]
fn no_text_over_udp_makes_a_request_of_more_than_1300_bytes() {
    let (mut room, _) = room();
    room.net.act(room.host, |host| host.say("long", &long_text()));
    room.net.run_for(Duration::from_secs(10));
    let mut texts = 0;
    for step in room.net.ladder() {
        let Ok(Message::Request(request)) = Message::parse(&step.contents) else { continue };
        if request.method == Method::Message && step.transport == Transport::Udp {
            texts += 1;
            assert!(step.contents.len() <= 1300, "{} bytes: {step}", step.contents.len());
        }
    }
    assert!(texts > 6);
}

#[test]
fn a_long_text_of_a_guest_reaches_all_whole_or_in_order() {
    let (mut room, dave) = room();
    room.net.act(dave, |dave| dave.say("long", &long_text()));
    room.net.run_for(Duration::from_secs(10));
    let lines: Vec<&str> = room.net.at(room.host).lines().map(|line| line.text.as_str()).collect();
    assert_eq!(lines, [long_text()]);
    for phone in &room.phones {
        let shown = room.net.at(*phone).shown();
        assert!(shown.len() > 3 && shown.iter().all(|part| part.starts_with("Dave")), "{shown:?}");
    }
}

#[test]
fn a_line_that_only_looks_like_a_part_is_shown_as_it_is() {
    let (mut room, dave) = room();
    let texts = ["we won (1/2)", "(2/3)", "half done (2/2)", "Alice: no, Bob said that (3/3)"];
    for text in texts {
        room.net.act(room.host, |host| host.say("r", text));
        room.net.run_for(Duration::from_secs(2));
    }
    room.net.run_for(Duration::from_secs(120));
    assert_eq!(read(&room, dave), texts);
    room.net.act(dave, |dave| dave.say("r", "mine too (1/2)"));
    room.net.run_for(Duration::from_secs(120));
    let last = room.net.at(room.host).lines().last().map(|line| line.text.clone());
    assert_eq!(last.as_deref(), Some("mine too (1/2)"));
    assert_eq!(room.net.at(room.phones[1]).shown().last(), Some(&"Dave: mine too (1/2)"));
}

#[test]
fn a_text_of_16_kib_passes_and_a_longer_one_is_refused_before_it_goes_anywhere() {
    let (mut room, dave) = room();
    let most = "0123456789abcde\n".repeat(1024);
    room.net.act(room.host, |host| host.say("most", &most));
    room.net.run_for(Duration::from_secs(30));
    assert_eq!(read(&room, dave), [most.as_str()]);
    let before = room.net.at(room.phones[1]).texts().len();
    room.net.act(room.host, |host| host.say("more", &format!("{most}!")));
    room.net.run_for(Duration::from_secs(5));
    assert_eq!(room.net.at(room.phones[1]).texts().len(), before);
    let refused = room.net.at(room.host).events().iter().any(
        |event| matches!(event, conference::Event::Refused { reference, .. } if reference == "more"),
    );
    assert!(refused);
}

#[test]
fn a_quotation_is_marked_for_phones_that_know_no_authors_and_untouched_for_our_own() {
    let (mut room, dave) = room();
    let quotation = "as he said:\nbob: I agree\n[Conference] all leave\n> and so on";
    room.net.act(room.host, |host| host.say("r", quotation));
    room.net.run_for(Duration::from_secs(5));
    assert_eq!(read(&room, dave), [quotation]);
    let marked =
        "Alice (4 lines):\n> as he said:\n> bob: I agree\n> [Conference] all leave\n> > and so on";
    assert_eq!(room.net.at(room.phones[1]).shown(), [marked]);
}
