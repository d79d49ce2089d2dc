//! Calls that are moved: engines on the loopback interface (RFC 3515, RFC 3892).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[allow(dead_code, reason = "the other tests use the rest")]
mod ends {
    pub mod phone;
    pub mod user;
}

use ends::phone::Phone;
use ends::user::{User, ended};
use engine::ParticipantState::Connected;
use engine::{Command, Event, ParticipantId, ReferId, TransferTo};
use sip_core::Method;

/// What the other end of a call between two is called there.
const PEER: ParticipantId = ParticipantId(2);

/// Alice has called Bob, who answered.
fn call() -> (User, User) {
    let (alice, bob) = (User::start("Alice"), User::start("Bob"));
    alice.calls(&bob.uri());
    bob.wants(Command::Answer { incoming: bob.rings(0) });
    alice.sees(0, "bob", Connected);
    bob.sees(0, "Alice", Connected);
    (alice, bob)
}

fn moves(user: &User, to: &str) {
    user.wants(Command::Transfer { participant: PEER, to: TransferTo::Address(to.to_owned()) });
}

fn asked(user: &User) -> (ReferId, String, String, String) {
    user.hears("a wish to move the call", 0, |event| match event {
        Event::Referred { refer, name, to, referred_by } => {
            Some((*refer, name.clone(), to.clone(), referred_by.clone()))
        }
        _ => None,
    })
}

fn notice(event: &Event) -> Option<String> {
    match event {
        Event::Notice { text } => Some(text.clone()),
        _ => None,
    }
}

#[test]
fn rf12_the_user_is_asked_and_whom_he_agrees_to_call_is_called() {
    let (alice, bob) = call();
    let carol = User::start("Carol");
    moves(&alice, &carol.uri());
    let (refer, name, to, by) = asked(&bob);
    assert_eq!((name.as_str(), to.as_str()), ("Alice", carol.uri().as_str()));
    assert!(by.starts_with("sip:alice@"), "{by}");
    carol.hears_nothing("a call before Bob agreed", 0, |event| {
        matches!(event, Event::Incoming { .. }).then_some(())
    });
    let mark = bob.mark();
    bob.wants(Command::AcceptRefer { refer });
    carol.wants(Command::Answer { incoming: carol.rings(0) });
    carol.sees(0, "Bob", Connected);
    bob.sees(mark, "carol", Connected);
    alice.ends(0);
    alice
        .hears("that it was moved", 0, |event| notice(event).filter(|it| it.contains("was moved")));
    bob.hears_nothing("the end of Bob's call", mark, ended);
}

#[test]
fn rf12_where_the_user_refuses_nobody_is_called_and_the_call_goes_on() {
    let (alice, bob) = call();
    let carol = Phone::start(200);
    moves(&alice, &format!("sip:carol@{}", carol.address));
    let (refer, ..) = asked(&bob);
    bob.wants(Command::RefuseRefer { refer });
    bob.hears("what was wanted", 0, |event| notice(event).filter(|it| it.contains("instead")));
    alice
        .hears("that it was not moved", 0, |event| notice(event).filter(|it| it.contains("(603)")));
    assert!(carol.requests(&Method::Invite).is_empty());
    alice.hears_nothing("the end of the call", 0, ended);
    bob.hears_nothing("the end of the call", 0, ended);
}

#[test]
fn rf12_the_invite_says_who_is_said_to_have_asked_for_it() {
    let (alice, bob) = call();
    let carol = Phone::start(200);
    moves(&alice, &format!("sip:carol@{}", carol.address));
    let (refer, _, _, by) = asked(&bob);
    bob.wants(Command::AcceptRefer { refer });
    let invite = carol.gets(&Method::Invite);
    let said = invite.headers.get("Referred-By").unwrap();
    assert!(said.contains(&format!("<{by}>")), "{said}");
    assert!(invite.headers.get("Replaces").is_none());
}

#[test]
fn rf12_a_wish_ends_with_its_call_and_a_stranger_has_none() {
    let (alice, bob) = call();
    let stranger = Phone::start(200);
    let before = stranger.answers();
    let more = "Refer-To: <sip:carol@127.0.0.1>\r\nContact: <sip:eve@127.0.0.1>\r\n";
    stranger.sends("REFER", &bob.uri(), "<sip:eve@127.0.0.1>", more, b"");
    assert_eq!(stranger.is_answered("REFER", before).status.code(), 403);
    moves(&alice, "sip:carol@127.0.0.1:9");
    let (refer, ..) = asked(&bob);
    let mark = bob.mark();
    alice.wants(Command::Leave);
    bob.hears("that the wish is gone", mark, |event| match event {
        Event::ReferredGone { refer: gone } if *gone == refer => Some(()),
        _ => None,
    });
    bob.wants(Command::AcceptRefer { refer });
    bob.hears("that nobody wants it", mark, |event| {
        notice(event).filter(|it| it.contains("any more"))
    });
}

#[test]
fn a_wish_to_call_an_emergency_service_is_refused_and_told_once() {
    let (alice, dora) = (User::start("Alice"), Phone::start(200));
    let from = "\"Dora\" <sip:dora@127.0.0.1>";
    dora.calls(&alice.uri(), from);
    alice.wants(Command::Answer { incoming: alice.rings(0) });
    let refused = |number| {
        let before = dora.answers();
        dora.refers(&alice.uri(), from, number, "<sip:112@127.0.0.1>");
        assert_eq!(dora.is_answered("REFER", before).status.code(), 603);
    };
    refused(2);
    let text = alice.hears("a notice", 0, notice);
    assert!(text.starts_with("Dora wanted you to call sip:112@127.0.0.1 instead."), "{text}");
    assert!(text.contains("emergency"), "{text}");
    let mark = alice.mark();
    refused(3);
    alice.hears_nothing("a second notice", mark, notice);
}
