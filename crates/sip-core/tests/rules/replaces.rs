//! Replaces: an INVITE that takes the place of another call (RFC 3891).

use sip_core::{CallKey, Content, EndReason, Event, Incoming, Transport};

use crate::script::{CONTACT, Peer, Script, Sent};

/// The header that names this dialog of ours.
fn replaces(peer: &Peer) -> String {
    let tag = |address: &str| address.rsplit_once("tag=").unwrap().1.to_owned();
    let (to, from) = (tag(&peer.remote), tag(&peer.local));
    format!("Replaces: {};to-tag={to};from-tag={from}", peer.call_id)
}

fn invite(script: &mut Script, header: &str) {
    let ask = script.asks("INVITE", &format!("{CONTACT}{header}\r\n"), "");
    script.udp(&ask).unwrap();
}

fn refused(script: &mut Script, header: &str, status: u16) {
    script.sent.clear();
    invite(script, header);
    let answer = script.expect("SIP/2.0");
    let answer = if answer.text.starts_with("SIP/2.0 100") { script.expect("SIP") } else { answer };
    assert!(answer.first().starts_with(&format!("SIP/2.0 {status}")), "{header}: {}", answer.text);
    assert!(script.silent(), "{header}");
}

/// The INVITE was handed over with the call it names.
fn invited(script: &mut Script) -> (Incoming, Option<CallKey>) {
    let Event::Invited { call, replaces, .. } = script.event() else { panic!() };
    (call, replaces)
}

fn accept(script: &mut Script, call: Incoming) -> Sent {
    let now = script.now;
    let _unacked = script.agent.accept(call, Script::contact(), Content::sdp("v=0\r\n"), now);
    script.expect("SIP/2.0")
}

#[test]
fn rj1_replaces_stands_once_in_an_invite_and_not_beside_join() {
    let mut script = Script::new();
    let (call, mut peer) = script.called(CONTACT);
    let good = replaces(&peer);
    let join = good.replace("Replaces", "Join");
    for header in [
        format!("{good}\r\n{good}"),
        format!("{good}\r\n{join}"),
        "Replaces: nonsense".to_owned(),
        "Replaces: a;to-tag=1".to_owned(),
        format!("{good}, b;to-tag=1;from-tag=2"),
    ] {
        refused(&mut script, &header, 400);
    }
    for method in ["OPTIONS", "MESSAGE", "SUBSCRIBE", "REFER"] {
        let more = format!("{CONTACT}{good}\r\nEvent: conference\r\nRefer-To: <sip:a@b>\r\n");
        let ask = script.asks(method, &more, "");
        script.udp(&ask).unwrap();
        assert!(script.expect("SIP/2.0").first().starts_with("SIP/2.0 400"), "{method}");
    }
    script.udp(&peer.asks("OPTIONS", &format!("{good}\r\n"), "")).unwrap();
    assert!(script.expect("SIP/2.0").first().starts_with("SIP/2.0 400"));
    assert!(script.silent());
    assert!(script.agent.remote_target(call.key()).is_some());
}

#[test]
fn rj2_what_cannot_be_replaced_is_refused_as_it_should() {
    let mut script = Script::new();
    refused(&mut script, "Replaces: nobody;to-tag=1;from-tag=2", 481);
    let (call, mut peer) = script.called(CONTACT);
    let good = replaces(&peer);
    // The tags the wrong way round are another dialog.
    let swapped = Peer { local: peer.remote.clone(), remote: peer.local.clone(), ..peer.clone() };
    refused(&mut script, &replaces(&swapped), 481);
    refused(&mut script, &format!("{good};early-only"), 486);
    script.udp(&peer.asks("BYE", "", "")).unwrap();
    assert!(matches!(script.event(), Event::Ended { .. }));
    refused(&mut script, &good, 603);
    drop(call);
    // One that was made by a SUBSCRIBE.
    let more = format!("{CONTACT}Event: conference\r\n");
    let ask = script.asks("SUBSCRIBE", &more, "");
    script.udp(&ask).unwrap();
    let Event::SubscribeReceived { subscribe, expires, .. } = script.event() else { panic!() };
    let now = script.now;
    script.agent.accept_subscribe(subscribe, expires, Script::contact(), now);
    let ok = script.expect("SIP/2.0 200").response();
    let dialog = Peer {
        call_id: ok.headers.call_id().unwrap().to_owned(),
        local: ok.headers.get("From").unwrap().to_owned(),
        remote: ok.headers.get("To").unwrap().to_owned(),
        cseq: 0,
    };
    refused(&mut script, &replaces(&dialog), 481);
}

#[test]
fn rj2_a_call_that_rings_here_cannot_be_replaced() {
    let mut script = Script::new();
    invite(&mut script, "Subject: first");
    let (ringing, _) = invited(&mut script);
    let now = script.now;
    script.agent.ring(&ringing, &Script::contact(), now);
    let ring = script.expect("SIP/2.0 180").response();
    let dialog = Peer {
        call_id: ring.headers.call_id().unwrap().to_owned(),
        local: ring.headers.get("From").unwrap().to_owned(),
        remote: ring.headers.get("To").unwrap().to_owned(),
        cseq: 0,
    };
    refused(&mut script, &replaces(&dialog), 481);
}

#[test]
fn rj2_a_call_of_ours_that_rings_there_can_be_replaced() {
    let mut script = Script::new();
    let (early, ours) = script.invite(Transport::Udp);
    script.answer(&ours, 180, CONTACT, "");
    script.event();
    let dialog = Peer {
        call_id: ours.get("Call-ID"),
        local: format!("{};tag=peertag", ours.get("To")),
        remote: ours.get("From"),
        cseq: 0,
    };
    let stranger = Peer { local: "x;tag=other".to_owned(), ..dialog.clone() };
    refused(&mut script, &replaces(&stranger), 481);
    invite(&mut script, &format!("{};early-only", replaces(&dialog)));
    let (call, old) = invited(&mut script);
    assert_eq!(old, Some(early.key()));
    script.agent.allow_replace(&call);
    assert!(accept(&mut script, call).first().starts_with("SIP/2.0 100"));
    script.expect("SIP/2.0 200");
    script.expect("CANCEL");
}

#[test]
fn rj2_an_allowed_call_takes_the_place_of_the_old_one() {
    let mut script = Script::new();
    let (old, peer) = script.called(CONTACT);
    invite(&mut script, &format!("{}\r\nRequire: replaces", replaces(&peer)));
    let (call, named) = invited(&mut script);
    assert_eq!(named, Some(old.key()));
    let by = call.key();
    script.agent.allow_replace(&call);
    accept(&mut script, call);
    script.expect("SIP/2.0 200");
    let bye = script.expect("BYE");
    assert_eq!(bye.get("Call-ID"), peer.call_id);
    let Event::Ended { call, reason: EndReason::Replaced { by: new } } = script.event() else {
        panic!()
    };
    assert_eq!((call, new), (old.key(), by));
}

#[test]
fn rj2_a_call_whose_ack_has_not_come_is_replaced_too_and_told_so() {
    let mut script = Script::new();
    invite(&mut script, "Subject: first");
    let (first, _) = invited(&mut script);
    let old = first.key();
    accept(&mut script, first);
    let ok = script.expect("SIP/2.0 200").response();
    let peer = Peer {
        call_id: ok.headers.call_id().unwrap().to_owned(),
        local: ok.headers.get("From").unwrap().to_owned(),
        remote: ok.headers.get("To").unwrap().to_owned(),
        cseq: ok.headers.cseq().unwrap().number,
    };
    invite(&mut script, &replaces(&peer));
    let (call, named) = invited(&mut script);
    assert_eq!(named, Some(old));
    let by = call.key();
    script.agent.allow_replace(&call);
    accept(&mut script, call);
    assert_eq!(script.count("BYE"), 0, "not before its ACK (RFC 3261 §15)");
    script.udp(&peer.asks_with("ACK", peer.cseq, "", "")).unwrap();
    assert_eq!(script.expect("BYE").get("Call-ID"), peer.call_id);
    let Event::Ended { call, reason: EndReason::Replaced { by: new } } = script.event() else {
        panic!("nobody hung up")
    };
    assert_eq!((call, new), (old, by));
}

#[test]
fn rj4_a_call_that_is_not_allowed_to_leaves_the_old_one_as_it_is() {
    let mut script = Script::new();
    let (old, mut peer) = script.called(CONTACT);
    let header = replaces(&peer);
    // Accepted by a user who did not look: 403.
    invite(&mut script, &header);
    let (call, _) = invited(&mut script);
    let key = call.key();
    accept(&mut script, call);
    script.expect("SIP/2.0 403");
    let Event::Cancelled { call, .. } = script.event() else { panic!() };
    assert_eq!(call, key);
    // Allowed, and then refused or taken back.
    invite(&mut script, &header);
    let (call, _) = invited(&mut script);
    script.agent.allow_replace(&call);
    let now = script.now;
    script.agent.reject(call, sip_core::Failure::BUSY_HERE, now);
    script.expect("SIP/2.0 486");
    assert_eq!(script.count("BYE"), 0);
    script.udp(&peer.asks("OPTIONS", "", "")).unwrap();
    assert!(script.expect("SIP/2.0").first().starts_with("SIP/2.0 200"));
    assert!(script.agent.remote_target(old.key()).is_some());
}

#[test]
fn rj6_replaces_is_supported_and_can_be_required_and_join_is_not() {
    let mut script = Script::new();
    let (_early, ours) = script.invite(Transport::Udp);
    let said = ours.all("Supported");
    assert!(said.contains(&"replaces".to_owned()), "{said:?}");
    assert!(said.contains(&"norefersub".to_owned()) && !said.contains(&"join".to_owned()));
    invite(&mut script, "Require: replaces");
    let (call, old) = invited(&mut script);
    assert_eq!(old, None);
    accept(&mut script, call);
    assert!(script.expect("SIP/2.0 200").all("Supported").contains(&"replaces".to_owned()));
    invite(&mut script, "Require: join");
    assert_eq!(script.expect("SIP/2.0 420").get("Unsupported"), "join");
}
