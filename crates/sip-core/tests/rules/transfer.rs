//! REFER as the one who asks: blind and attended transfer, and what is told of it (RFC 3515, RFC 4488, RFC 5589).

use sip_core::{Confirmed, Event, Outcome, Refer, RequestId, StatusCode, Target, Uri};

use crate::script::{CONTACT, Peer, Script, Sent, seconds};

fn refer(script: &mut Script, call: &Confirmed) -> (RequestId, Sent) {
    let to = Target::Address(Uri::parse("sip:carol@192.0.2.9;transport=tcp").unwrap());
    let now = script.now;
    let id = script.agent.refer(Refer { call, to }, now);
    let sent = script.expect("REFER");
    (id, sent)
}

/// A NOTIFY of the peer with this status line; the answer to it.
fn tell(script: &mut Script, peer: &mut Peer, event: &str, state: &str, line: &str) -> Sent {
    let more = format!(
        "{CONTACT}Event: {event}\r\nSubscription-State: {state}\r\nContent-Type: message/sipfrag\r\n"
    );
    script.udp(&peer.asks("NOTIFY", &more, line)).unwrap();
    script.expect("SIP/2.0")
}

/// Status and whether it is the last of the next progress, which must be of this REFER.
fn told(script: &mut Script, of: RequestId) -> (Option<u16>, bool) {
    match script.event() {
        Event::ReferProgress { request, status, is_last, .. } => {
            assert_eq!(request, of);
            (status.map(StatusCode::code), is_last)
        }
        other => panic!("{other:?}"),
    }
}

fn completed(script: &mut Script, of: RequestId) -> Outcome {
    match script.event() {
        Event::Completed { request, outcome, .. } => {
            assert_eq!(request, of);
            outcome
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn rf2_a_blind_transfer_is_asked_for_in_the_call_and_its_news_are_told() {
    let mut script = Script::new();
    let (call, mut peer) = script.dialled(CONTACT);
    let (id, sent) = refer(&mut script, &call);
    assert_eq!(sent.line("Refer-To"), "<sip:carol@192.0.2.9;transport=tcp>");
    assert_eq!(sent.line("Referred-By"), "<sip:me@192.0.2.1>");
    assert_eq!(sent.get("Call-ID"), peer.call_id);
    assert_eq!(sent.get("Contact"), "<sip:me@192.0.2.1:5060>");
    script.answer(&sent, 202, CONTACT, "");
    let Outcome::Answered(answer) = completed(&mut script, id) else { panic!() };
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    let ok = tell(&mut script, &mut peer, "refer", "active;expires=60", "SIP/2.0 100 Trying");
    assert!(ok.first().starts_with("SIP/2.0 200"), "{}", ok.text);
    assert_eq!(told(&mut script, id), (Some(100), false));
    tell(&mut script, &mut peer, "refer", "terminated;reason=noresource", "SIP/2.0 200 OK\r\n");
    assert_eq!(told(&mut script, id), (Some(200), true));
    script.wait(seconds(200));
    assert!(script.silent());
    assert_eq!(script.agent.load().subscriptions, 0);
    assert!(script.agent.remote_target(call.key()).is_some(), "the call stays");
}

#[test]
fn rf2_a_notify_may_overtake_the_answer_and_200_means_taken_too() {
    let mut script = Script::new();
    let (call, mut peer) = script.dialled(CONTACT);
    let (id, sent) = refer(&mut script, &call);
    tell(&mut script, &mut peer, "refer", "active", "SIP/2.0 180 Ringing\r\n");
    assert_eq!(told(&mut script, id), (Some(180), false));
    script.answer(&sent, 200, CONTACT, "");
    completed(&mut script, id);
    tell(&mut script, &mut peer, "refer", "terminated;reason=noresource", "SIP/2.0 486 Busy");
    assert_eq!(told(&mut script, id), (Some(486), true));
}

#[test]
fn rf2_a_transfer_of_which_nothing_is_told_ends_all_the_same() {
    let mut script = Script::new();
    let (call, mut peer) = script.dialled(CONTACT);
    let (id, sent) = refer(&mut script, &call);
    script.answer(&sent, 202, CONTACT, "");
    completed(&mut script, id);
    script.wait(seconds(33));
    assert_eq!(told(&mut script, id), (None, true));
    let (id, sent) = refer(&mut script, &call);
    script.answer(&sent, 202, CONTACT, "");
    completed(&mut script, id);
    tell(&mut script, &mut peer, "refer", "active;expires=60", "SIP/2.0 100 Trying");
    assert_eq!(told(&mut script, id), (Some(100), false));
    script.wait(seconds(61));
    assert_eq!(told(&mut script, id), (None, true));
    assert_eq!(script.count("SUBSCRIBE"), 0);
    let (id, _) = refer(&mut script, &call);
    script.udp(&peer.asks("BYE", "", "")).unwrap();
    script.wait(seconds(40));
    assert!(matches!(script.event(), Event::Ended { .. }));
    assert!(matches!(completed(&mut script, id), Outcome::TimedOut));
    assert!(script.silent());
    assert_eq!(script.agent.load().subscriptions, 0);
}

#[test]
fn rf2_a_transfer_that_is_refused_is_told_once() {
    let mut script = Script::new();
    let (call, mut peer) = script.dialled(CONTACT);
    let (id, sent) = refer(&mut script, &call);
    script.answer(&sent, 603, "", "");
    let Outcome::Answered(answer) = completed(&mut script, id) else { panic!() };
    assert_eq!(answer.status.code(), 603);
    assert_eq!(script.agent.load().subscriptions, 0);
    let late = tell(&mut script, &mut peer, "refer", "active", "SIP/2.0 200 OK");
    assert!(!late.first().starts_with("SIP/2.0 200"), "{}", late.text);
    assert!(script.silent());
}

#[test]
fn rf3_news_of_two_transfers_are_told_apart_by_the_cseq() {
    let mut script = Script::new();
    let (call, mut peer) = script.dialled(CONTACT);
    let (first, sent) = refer(&mut script, &call);
    script.answer(&sent, 202, CONTACT, "");
    completed(&mut script, first);
    let (second, sent) = refer(&mut script, &call);
    script.answer(&sent, 202, CONTACT, "");
    completed(&mut script, second);
    let id = sent.request().headers.cseq().unwrap().number;
    let event = format!("refer;id={id}");
    tell(&mut script, &mut peer, &event, "active;expires=60", "SIP/2.0 180 Ringing");
    assert_eq!(told(&mut script, second), (Some(180), false));
    tell(&mut script, &mut peer, "refer", "active;expires=60", "SIP/2.0 183 Progress");
    assert_eq!(told(&mut script, first), (Some(183), false));
    let none = format!("refer;id={}", id + 7);
    let answer = tell(&mut script, &mut peer, &none, "active", "SIP/2.0 200 OK");
    assert!(answer.first().starts_with("SIP/2.0 489"), "{}", answer.text);
}

#[test]
fn rf6_where_the_peer_tells_nothing_nothing_is_waited_for() {
    let mut script = Script::new();
    let (call, _) = script.dialled(CONTACT);
    let (id, sent) = refer(&mut script, &call);
    script.answer(&sent, 202, &format!("{CONTACT}Refer-Sub: false\r\n"), "");
    completed(&mut script, id);
    script.wait(seconds(60));
    assert!(script.silent());
    assert_eq!(script.agent.load().subscriptions, 0);
}

#[test]
fn an_attended_transfer_names_the_other_call_as_its_other_end_knows_it() {
    let mut script = Script::new();
    let (call, _) = script.dialled(CONTACT);
    let (other, peer) = script.called("Contact: <sip:carol@192.0.2.9:5070>\r\n");
    let now = script.now;
    script.agent.refer(Refer { call: &call, to: Target::Call(&other) }, now);
    let sent = script.expect("REFER");
    let tag = |address: &str| address.rsplit_once("tag=").unwrap().1.to_owned();
    let expected = format!(
        "<sip:carol@192.0.2.9:5070?Replaces={}%3Bto-tag%3D{}%3Bfrom-tag%3D{}>",
        peer.call_id,
        tag(&peer.local),
        tag(&peer.remote)
    );
    assert_eq!(sent.line("Refer-To"), expected);
}

#[test]
fn rf2_the_last_news_may_overtake_the_answer_and_the_outcome_is_told_all_the_same() {
    let mut script = Script::new();
    let (call, mut peer) = script.dialled(CONTACT);
    let (id, sent) = refer(&mut script, &call);
    tell(&mut script, &mut peer, "refer", "terminated;reason=noresource", "SIP/2.0 200 OK\r\n");
    assert_eq!(told(&mut script, id), (Some(200), true));
    script.answer(&sent, 202, CONTACT, "");
    assert!(matches!(completed(&mut script, id), Outcome::Answered(_)));
    // Two at once when the call ends: one is out, one waits for its turn; each has one outcome.
    let (first, _) = refer(&mut script, &call);
    let now = script.now;
    let target = Uri::parse("sip:carol@192.0.2.9").unwrap();
    let second = Refer { call: &call, to: Target::Address(target) };
    let second = script.agent.refer(second, now);
    script.udp(&peer.asks("BYE", "", "")).unwrap();
    script.wait(seconds(40));
    let mut outcomes = Vec::new();
    while let Some(event) = script.events.pop_front() {
        if let Event::Completed { request, .. } = event {
            outcomes.push(request);
        }
    }
    assert_eq!(outcomes, [second, first]);
    script.wait(seconds(40));
    assert!(script.agent.load().is_idle(), "{:?}", script.agent.load());
}
