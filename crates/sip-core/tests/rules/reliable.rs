//! Reliable provisional responses and PRACK (RFC 3262).

use sip_core::{Content, Event, Incoming, Transport};

use crate::script::{CONTACT, Peer, Script, Sent, answer, millis, seconds};

fn reliable(rseq: u32) -> String {
    format!("Require: 100rel\r\nRSeq: {rseq}\r\n{CONTACT}")
}

#[test]
fn ua26_a_reliable_provisional_response_gets_its_prack_in_the_early_dialog() {
    let mut script = Script::new();
    let (_early, invite) = script.invite(Transport::Udp);
    assert!(invite.all("Supported").contains(&"100rel".to_owned()));
    let routes = format!("{}Record-Route: <sip:192.0.2.21;lr>\r\n", reliable(4_000_000_000));
    script.answer(&invite, 180, &routes, "");
    let Event::Progress { .. } = script.event() else { panic!() };
    let prack = script.expect("PRACK");
    assert_eq!(prack.get("RAck"), "4000000000 1 INVITE");
    assert_eq!(prack.get("CSeq"), "2 PRACK");
    assert_eq!(prack.all("Route"), ["<sip:192.0.2.21;lr>"]);
    assert_eq!(prack.flow.remote, "192.0.2.21:5060".parse().unwrap());
    assert!(prack.get("To").contains("tag=peertag"));
    assert!(prack.get("Contact").is_empty());
}

#[test]
fn ua26_repeated_and_unordered_ones_are_neither_acknowledged_nor_told() {
    let mut script = Script::new();
    let (_early, invite) = script.invite(Transport::Udp);
    for (rseq, taken) in [(7, true), (7, false), (9, false), (6, false), (8, true), (9, true)] {
        script.answer(&invite, 180, &reliable(rseq), "");
        assert_eq!(script.count("PRACK"), usize::from(taken), "{rseq}");
        assert_eq!(script.events.drain(..).count(), usize::from(taken), "{rseq}");
    }
    // Another place has numbers of its own; a plain response needs none.
    script.udp(&answer(&invite.request(), 180, "other", &reliable(1), "")).unwrap();
    assert_eq!(script.count("PRACK"), 1);
    script.answer(&invite, 180, CONTACT, "");
    assert_eq!(script.count("PRACK"), 0);
    for bad in ["0", "x", "-1", "4294967296"] {
        let more = reliable(1).replace("RSeq: 1", &format!("RSeq: {bad}"));
        script.udp(&answer(&invite.request(), 180, "third", &more, "")).unwrap();
        assert_eq!(script.count("PRACK"), 0, "{bad}");
    }
}

#[test]
fn ua26_an_answer_in_a_reliable_response_is_that_of_a_2xx_without_one() {
    let mut script = Script::new();
    let (_early, invite) = script.invite(Transport::Udp);
    let more = format!("{}Content-Type: application/sdp\r\n", reliable(1));
    script.answer(&invite, 183, &more, "v=0\r\ns=early\r\n");
    script.answer(&invite, 200, CONTACT, "");
    let Event::Progress { .. } = script.event() else { panic!() };
    let Event::Answered { call, response, .. } = script.event() else { panic!() };
    assert_eq!(response.body, "v=0\r\ns=early\r\n");
    assert_eq!(response.headers.get("Content-Type"), Some("application/sdp"));
    let now = script.now;
    script.agent.bye(call, None, now);
    assert_eq!(script.expect("BYE").get("CSeq"), "3 BYE", "the PRACK had number 2");
}

#[test]
fn ua26_a_fork_that_answers_late_is_hung_up_behind_its_prack() {
    let mut script = Script::new();
    let (_early, invite) = script.invite(Transport::Udp);
    script.udp(&answer(&invite.request(), 180, "one", &reliable(1), "")).unwrap();
    script.udp(&answer(&invite.request(), 200, "two", CONTACT, "v=0\r\n")).unwrap();
    script.udp(&answer(&invite.request(), 200, "one", CONTACT, "v=0\r\n")).unwrap();
    assert_eq!(script.expect("BYE").get("CSeq"), "3 BYE");
}

/// A call that has to ring reliably, its 180, and the peer behind it.
fn ringing(script: &mut Script) -> (Incoming, Sent, Peer) {
    let more = format!("Require: 100rel\r\n{CONTACT}Content-Type: application/sdp\r\n");
    let invite = script.asks("INVITE", &more, "v=0\r\n");
    script.udp(&invite).unwrap();
    let Event::Invited { call, .. } = script.event() else { panic!() };
    let now = script.now;
    script.agent.ring(&call, &Script::contact(), now);
    let sent = script.expect("SIP/2.0 180");
    let headers = sent.response().headers;
    let peer = Peer {
        call_id: headers.call_id().unwrap().to_owned(),
        local: headers.get("From").unwrap().to_owned(),
        remote: headers.get("To").unwrap().to_owned(),
        cseq: headers.cseq().unwrap().number,
    };
    (call, sent, peer)
}

fn rack(sent: &Sent) -> String {
    format!("RAck: {} {}\r\n", sent.get("RSeq"), sent.get("CSeq"))
}

#[test]
fn ua26_ringing_is_reliable_where_the_caller_requires_it_and_repeated_until_its_prack() {
    let mut script = Script::new();
    let (call, first, mut peer) = ringing(&mut script);
    assert_eq!(first.get("Require"), "100rel");
    assert!(first.get("RSeq").parse::<u32>().unwrap() > 0);
    // T1, then twice as long each time: at 0.5, 1.5 and 3.5 s.
    for (time, sent) in [(499, 0), (2, 1), (998, 0), (2, 1), (1998, 0), (2, 1)] {
        script.wait(millis(time));
        assert_eq!(script.count("SIP/2.0 180"), sent, "{time}");
    }
    let other = rack(&first).replace("RAck: ", "RAck: 1");
    script.udp(&peer.asks("PRACK", &other, "")).unwrap();
    script.expect("SIP/2.0 481");
    script.udp(&peer.asks("PRACK", &rack(&first), "")).unwrap();
    script.expect("SIP/2.0 200");
    script.wait(seconds(30));
    assert_eq!(script.count("SIP/2.0 180"), 0);
    script.udp(&peer.asks("PRACK", &rack(&first), "")).unwrap();
    script.expect("SIP/2.0 481");
    let now = script.now;
    let _unacked = script.agent.accept(call, Script::contact(), Content::sdp("v=0\r\n"), now);
    script.expect("SIP/2.0 200");
}

#[test]
fn ua26_a_reliable_response_without_its_prack_ends_in_a_5xx() {
    let mut script = Script::new();
    let (_call, ..) = ringing(&mut script);
    script.wait(millis(31_900));
    assert_eq!(script.count("SIP/2.0 5"), 0);
    script.wait(millis(200));
    script.expect("SIP/2.0 500");
    let Event::Cancelled { .. } = script.event() else { panic!() };
}

#[test]
fn ua16_ua26_ringing_is_repeated_every_minute_reliable_or_not() {
    let mut script = Script::new();
    let (_call, first, mut peer) = ringing(&mut script);
    script.udp(&peer.asks("PRACK", &rack(&first), "")).unwrap();
    script.expect("SIP/2.0 200");
    script.wait(seconds(59));
    assert_eq!(script.count("SIP/2.0 180"), 0);
    script.wait(millis(1001));
    let second = script.expect("SIP/2.0 180");
    let number = |sent: &Sent| sent.get("RSeq").parse::<u64>().unwrap();
    assert_eq!(number(&second), number(&first) + 1);
    let mut script = Script::new();
    let invite = script.asks("INVITE", CONTACT, "");
    script.udp(&invite).unwrap();
    let Event::Invited { call, .. } = script.event() else { panic!() };
    let now = script.now;
    script.agent.ring(&call, &Script::contact(), now);
    script.expect("SIP/2.0 180");
    script.wait(seconds(121));
    assert_eq!(script.count("SIP/2.0 180"), 2);
}

#[test]
fn ua26_an_invite_without_an_offer_that_requires_it_is_answered_and_never_rung() {
    let mut script = Script::new();
    let invite = script.asks("INVITE", &format!("Require: 100rel\r\n{CONTACT}"), "");
    script.udp(&invite).unwrap();
    let Event::Invited { call, .. } = script.event() else { panic!() };
    let now = script.now;
    script.agent.ring(&call, &Script::contact(), now);
    assert_eq!(script.count("SIP/2.0 18"), 0);
    let _unacked = script.agent.accept(call, Script::contact(), Content::sdp("v=0\r\n"), now);
    script.expect("SIP/2.0 200");
}

#[test]
fn ua26_an_offer_in_a_prack_is_488_and_the_call_rings_on() {
    let mut script = Script::new();
    let (call, first, mut peer) = ringing(&mut script);
    let more = format!("{}Content-Type: application/sdp\r\n", rack(&first));
    script.udp(&peer.asks("PRACK", &more, "v=0\r\n")).unwrap();
    script.expect("SIP/2.0 488");
    script.wait(seconds(40));
    assert_eq!(script.count("SIP/2.0 180"), 0, "it was acknowledged");
    let now = script.now;
    let _unacked = script.agent.accept(call, Script::contact(), Content::sdp("v=0\r\n"), now);
    script.expect("SIP/2.0 200");
}

#[test]
fn ua21_a_caller_may_hang_up_an_early_dialog() {
    let mut script = Script::new();
    let (_call, _, mut peer) = ringing(&mut script);
    script.udp(&peer.asks("BYE", "", "")).unwrap();
    script.expect("SIP/2.0 200");
    script.expect("SIP/2.0 487");
    let Event::Cancelled { .. } = script.event() else { panic!() };
    script.udp(&peer.asks("PRACK", "RAck: 1 1 INVITE\r\n", "")).unwrap();
    script.expect("SIP/2.0 481");
}
