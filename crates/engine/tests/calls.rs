//! Calls that ring, are answered, added, declined and replaced: engines on the loopback interface.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[allow(dead_code, reason = "the other tests use the rest")]
mod ends {
    pub mod phone;
    pub mod user;
}

use std::time::Duration;

use ends::phone::Phone;
use ends::user::{User, ended, settings, within};
use engine::ParticipantState::{Connected, Disconnected};
use engine::{Command, Event, SessionKind};
use sip_core::Method;

#[test]
fn who_is_answered_out_of_a_conference_is_connected_and_the_conference_is_over() {
    let (alice, bob, carol) = (User::start("Alice"), User::start("Bob"), User::start("Carol"));
    carol.calls(&alice.hosts(&[]));
    alice.sees(0, "Carol", Connected);
    bob.calls(&alice.uri());
    let incoming = alice.rings(0);
    let mark = alice.mark();
    alice.wants(Command::Answer { incoming });
    alice.ends(mark);
    carol.ends(0);
    alice.sees(mark, "Bob", Connected);
    bob.sees(0, "alice", Connected);
    assert_eq!(alice.rings_no_more(incoming), (String::new(), false));
    bob.hears_nothing("the end of Bob's call", 0, ended);
}

#[test]
fn who_is_answered_out_of_a_call_is_connected_and_that_call_is_over() {
    let (alice, bob, carol) = (User::start("Alice"), User::start("Bob"), User::start("Carol"));
    alice.calls(&carol.uri());
    carol.wants(Command::Answer { incoming: carol.rings(0) });
    alice.sees(0, "carol", Connected);
    bob.calls(&alice.uri());
    let incoming = alice.rings(0);
    let mark = alice.mark();
    alice.wants(Command::Answer { incoming });
    carol.ends(0);
    alice.sees(mark, "Bob", Connected);
    bob.sees(0, "alice", Connected);
    bob.hears_nothing("the end of Bob's call", 0, ended);
}

#[test]
fn what_rings_at_the_own_address_outlives_the_conference_and_can_be_answered() {
    let (alice, bob) = (User::start("Alice"), User::start("Bob"));
    alice.hosts(&[]);
    bob.calls(&alice.uri());
    let incoming = alice.rings(0);
    alice.wants(Command::Leave);
    alice.ends(0);
    bob.hears_nothing("the end of Bob's call", 0, ended);
    let mark = alice.mark();
    alice.wants(Command::Answer { incoming });
    alice.sees(mark, "Bob", Connected);
    bob.sees(0, "alice", Connected);
}

#[test]
fn who_rings_is_added_to_the_conference() {
    let (alice, bob) = (User::start("Alice"), User::start("Bob"));
    let conference = alice.hosts(&[]);
    bob.calls(&alice.uri());
    let incoming = alice.rings(0);
    alice.wants(Command::AddToConference { incoming });
    alice.sees(0, "Bob", Connected);
    assert_eq!(alice.rings_no_more(incoming), (String::new(), false));
    assert_eq!(bob.conference(0), conference);
    alice.wants(Command::Leave);
    assert!(bob.ends(0).contains("ended"), "{:?}", bob.told());
}

#[test]
fn who_is_declined_hears_so_and_who_gives_up_is_missed() {
    let (alice, bob) = (User::start("Alice"), User::start("Bob"));
    bob.calls(&alice.uri());
    let incoming = alice.rings(0);
    alice.wants(Command::Decline { incoming, text: None });
    assert_eq!(alice.rings_no_more(incoming), ("You declined".to_owned(), false));
    assert!(bob.ends(0).contains("603"), "{:?}", bob.told());
    let (mark, bobs) = (alice.mark(), bob.mark());
    bob.calls(&alice.uri());
    let incoming = alice.rings(mark);
    bob.wants(Command::Leave);
    bob.ends(bobs);
    assert_eq!(alice.rings_no_more(incoming), ("Bob hung up".to_owned(), true));
}

#[test]
fn a_text_in_reply_goes_the_way_the_call_came_and_its_failure_is_told() {
    let alice = User::start("Alice");
    for (answer, words) in [(200, None), (415, Some("cannot show text")), (404, Some("(404)"))] {
        // An address that no look-up leads to: a phone behind a provider.
        let phone = Phone::start(answer);
        let mark = alice.mark();
        phone.calls(&alice.uri(), "\"Dora\" <sip:dora@provider.invalid>");
        let incoming = alice.rings(mark);
        let text = Some("I'll call back".to_owned());
        alice.wants(Command::Decline { incoming, text });
        assert_eq!(phone.is_answered("INVITE", 0).status.code(), 603);
        let message = phone.gets(&Method::Message);
        assert_eq!(message.body.as_ref(), b"I'll call back");
        assert_eq!(message.uri.to_string(), format!("sip:phone@{}", phone.address));
        match words {
            Some(words) => drop(alice.is_noticed(mark, words)),
            None => alice.hears_nothing("a notice", mark, |event| match event {
                Event::Notice { text } => Some(text.clone()),
                _ => None,
            }),
        }
    }
}

#[test]
fn an_address_that_cannot_be_read_ends_no_session() {
    let (alice, bob) = (User::start("Alice"), User::start("Bob"));
    let mark = alice.mark();
    alice.calls("bob@@example.net");
    assert!(alice.ends(mark).contains("two @ signs"));
    bob.calls(&alice.hosts(&[]));
    alice.sees(0, "Bob", Connected);
    let mark = alice.mark();
    alice.calls("bob@@example.net");
    alice.is_noticed(mark, "two @ signs");
    let invite = vec!["sip:carol@127.0.0.1:9".to_owned(), "a b".to_owned()];
    alice.wants(Command::Host { subject: String::new(), invite });
    alice.is_noticed(mark, "has a space");
    alice.hears_nothing("an end", mark, ended);
    // One that can be read does.
    alice.calls(&bob.uri());
    alice.ends(mark);
    bob.rings(0);
}

#[test]
fn leaving_while_a_host_is_looked_up_gives_the_call_up() {
    let phone = Phone::start(200);
    let uri = format!("sip:dora@localhost:{}", phone.address.port());
    // Both commands wait when the engine comes up: no look-up is as fast.
    let alice = User::with(settings("Alice"), [Command::Call { uri }, Command::Leave]);
    assert_eq!(alice.ends(0), "You left");
    std::thread::sleep(Duration::from_millis(700));
    assert!(phone.requests(&Method::Invite).is_empty(), "the call was placed all the same");
}

#[test]
fn a_call_takes_the_place_of_one_whose_host_is_still_looked_up() {
    let (first, second) = (Phone::start(200), Phone::start(200));
    let uri = |phone: &Phone| format!("sip:dora@localhost:{}", phone.address.port());
    let both = [Command::Call { uri: uri(&first) }, Command::Call { uri: uri(&second) }];
    let alice = User::with(settings("Alice"), both);
    second.gets(&Method::Invite);
    std::thread::sleep(Duration::from_millis(500));
    assert!(first.requests(&Method::Invite).is_empty(), "a call that nobody wants any more");
    alice.hears_nothing("an end", 0, ended);

    let host = Command::Host { subject: String::new(), invite: Vec::new() };
    let bob = User::with(settings("Bob"), [Command::Call { uri: uri(&first) }, host]);
    bob.conference(0);
    std::thread::sleep(Duration::from_millis(500));
    assert!(first.requests(&Method::Invite).is_empty(), "a call that nobody wants any more");
    bob.hears_nothing("a call", 0, |event| match event {
        Event::Session { kind: SessionKind::Call, .. } => Some(()),
        _ => None,
    });
}

#[test]
fn what_was_looked_up_for_one_conference_is_not_told_to_the_next() {
    let phone = Phone::start(200);
    let host = |uri: String| Command::Host { subject: String::new(), invite: vec![uri] };
    let reachable = format!("sip:dora@{}", phone.address);
    let alice = User::with(
        settings("Alice"),
        [host("sip:nobody@nowhere.invalid".to_owned()), host(reachable)],
    );
    phone.gets(&Method::Invite);
    std::thread::sleep(Duration::from_secs(1));
    let told = alice.told();
    let end = told.iter().position(|event| matches!(event, Event::Ended { .. })).unwrap();
    let failed = told[end..].iter().any(|event| match event {
        Event::Participant(shown) => shown.state == Disconnected,
        _ => false,
    });
    assert!(!failed, "{told:#?}");
    assert!(within(Duration::from_secs(1), || phone.requests(&Method::Cancel).is_empty()));
}

#[test]
fn what_rings_when_the_engine_ends_is_told_so() {
    let (alice, bob) = (User::start("Alice"), User::start("Bob"));
    bob.calls(&alice.uri());
    let incoming = alice.rings(0);
    alice.handle.clone().shutdown();
    assert!(alice.rings_no_more(incoming).1);
    assert!(bob.ends(0).contains("480"), "{:?}", bob.told());
}

#[test]
fn every_line_is_answered_under_its_reference_also_one_that_reaches_nobody() {
    let (alice, phone) = (User::start("Alice"), Phone::start(200));
    let say = |reference: &str| Command::Say {
        reference: reference.to_owned(),
        text: "a line".to_owned(),
        to: engine::Recipient::Everyone,
    };
    alice.uri();
    alice.wants(say("before"));
    alice.hears("a refusal", 0, |event| match event {
        Event::Refused { reference, .. } if reference == "before" => Some(()),
        _ => None,
    });
    alice.calls(&format!("sip:dora@{}", phone.address));
    phone.gets(&Method::Invite);
    alice.wants(say("unheard"));
    alice.wants(Command::Leave);
    alice.ends(0);
    let line = alice.hears("an answer", 0, |event| match event {
        Event::Accepted { reference, id, .. } if reference == "unheard" => Some(*id),
        _ => None,
    });
    alice.hears("that it reached nobody", 0, |event| match event {
        Event::Delivery(delivery) if delivery.id == line => {
            (delivery.state == engine::DeliveryState::Left).then_some(())
        }
        _ => None,
    });
}

#[test]
fn who_is_muted_in_a_conference_joined_stays_so_whatever_its_roster_says() {
    let (alice, bob, carol) = (User::start("Alice"), User::start("Bob"), User::start("Carol"));
    let conference = alice.hosts(&[]);
    bob.calls(&conference);
    bob.conference(0);
    bob.sees(0, "Alice", Connected);
    bob.wants(Command::Mute { on: true });
    carol.calls(&conference);
    bob.sees(0, "Carol", Connected);
    std::thread::sleep(Duration::from_millis(300));
    let told = bob.told();
    let own = told.iter().rev().find_map(|event| match event {
        Event::Participant(shown) if shown.is_self => Some(shown.muted),
        _ => None,
    });
    assert_eq!(own, Some(true));
}

#[test]
fn a_call_that_another_phone_took_is_not_missed() {
    let alice = User::start("Alice");
    for (reason, words, missed) in [
        (
            "Reason: SIP;cause=200;text=\"Call completed elsewhere\"\r\n",
            "Answered elsewhere",
            false,
        ),
        ("", "Dora hung up", true),
    ] {
        let (dora, mark) = (Phone::start(200), alice.mark());
        dora.calls(&alice.uri(), "\"Dora\" <sip:dora@127.0.0.1>");
        let incoming = alice.rings(mark);
        dora.cancels(&alice.uri(), "\"Dora\" <sip:dora@127.0.0.1>", 0, reason);
        assert_eq!(alice.rings_no_more(incoming), (words.to_owned(), missed));
    }
}

#[test]
fn ua17_a_call_of_ours_rings_for_three_minutes_and_not_for_ever() {
    let phone = Phone::start(200);
    let uri = format!("sip:dora@127.0.0.1:{}", phone.address.port());
    let alice = User::start("Alice");
    alice.calls(&uri);
    assert_eq!(phone.gets(&Method::Invite).headers.get("Expires"), Some("180"));
    let called = Phone::start(200);
    let bob = User::start("Bob");
    bob.hosts(&[&format!("sip:dora@127.0.0.1:{}", called.address.port())]);
    assert_eq!(called.gets(&Method::Invite).headers.get("Expires"), Some("180"));
}
