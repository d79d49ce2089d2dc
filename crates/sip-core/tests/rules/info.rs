//! Digits by INFO, and INFO that is not known (RFC 6086).

use sip_core::{Event, KeyPress, Outcome, Transport};

use crate::script::{CONTACT, Peer, Script, Sent, answer, millis};

const RELAY: &str = "Content-Type: application/dtmf-relay\r\n";

fn info(script: &mut Script, peer: &mut Peer, more: &str, body: &str) -> Sent {
    script.udp(&peer.asks("INFO", more, body)).unwrap();
    script.expect("SIP/2.0")
}

#[test]
fn digits_by_info_are_answered_and_told() {
    let mut script = Script::new();
    let (call, mut peer) = script.called(CONTACT);
    for (more, body, digit, duration) in [
        (RELAY, "Signal=5\r\nDuration=160\r\n", '5', Some(millis(160))),
        ("Content-Type: application/dtmf\r\n", "#", '#', None),
        ("Info-Package: dtmf\r\nContent-Type: application/dtmf-relay\r\n", "Signal=*", '*', None),
    ] {
        let answered = info(&mut script, &mut peer, more, body);
        assert!(answered.first().starts_with("SIP/2.0 200"), "{}", answered.text);
        let Event::Digits { call: of, press } = script.event() else { panic!("{body}") };
        assert_eq!((of, press.digit(), press.duration()), (call.key(), digit, duration));
    }
}

#[test]
fn an_info_that_repeats_or_overtakes_is_no_second_digit() {
    let mut script = Script::new();
    let (_call, mut peer) = script.called(CONTACT);
    let text = peer.asks("INFO", RELAY, "Signal=5\r\n");
    script.udp(&text).unwrap();
    script.udp(&text).unwrap();
    assert_eq!(script.count("SIP/2.0 200"), 2);
    let Event::Digits { .. } = script.event() else { panic!() };
    assert!(script.silent());
    let old = peer.asks_with("INFO", peer.cseq - 1, RELAY, "Signal=6\r\n");
    script.udp(&old).unwrap();
    script.expect("SIP/2.0 500");
    assert!(script.silent());
}

#[test]
fn an_info_that_is_not_known_is_refused_with_what_is_and_the_call_goes_on() {
    let mut script = Script::new();
    let (_call, mut peer) = script.called(CONTACT);
    assert!(info(&mut script, &mut peer, "", "").first().starts_with("SIP/2.0 200"));
    for more in ["Content-Type: application/media_control+xml\r\n", ""] {
        let refused = info(&mut script, &mut peer, more, "<x/>");
        assert!(refused.first().starts_with("SIP/2.0 415"), "{}", refused.text);
        assert_eq!(refused.all("Accept"), ["application/dtmf-relay", "application/dtmf"]);
    }
    let refused = info(&mut script, &mut peer, RELAY, "Signal=none\r\n");
    assert!(refused.first().starts_with("SIP/2.0 400"), "{}", refused.text);
    let refused = info(&mut script, &mut peer, "Info-Package: trunk\r\n", "");
    assert!(refused.first().starts_with("SIP/2.0 469"), "{}", refused.text);
    assert_eq!(refused.line("Recv-Info"), "dtmf");
    assert!(script.silent());
    let outside = script.asks("INFO", RELAY, "Signal=1\r\n");
    script.udp(&outside).unwrap();
    script.expect("SIP/2.0 481");
    assert!(script.silent());
}

#[test]
fn digits_may_come_while_it_still_rings() {
    let mut script = Script::new();
    let (_early, invite) = script.invite(Transport::Udp);
    script.udp(&answer(&invite.request(), 183, "one", CONTACT, "")).unwrap();
    let Event::Progress { call, .. } = script.event() else { panic!() };
    let mut peer = Peer {
        call_id: invite.get("Call-ID"),
        local: format!("{};tag=one", invite.get("To")),
        remote: invite.get("From"),
        cseq: 5,
    };
    info(&mut script, &mut peer, RELAY, "Signal=9\r\n");
    let Event::Digits { call: of, press } = script.event() else { panic!() };
    assert_eq!((of, press.digit()), (call, '9'));
}

#[test]
fn a_digit_of_ours_goes_by_info_where_the_peer_takes_that() {
    let mut script = Script::new();
    let (call, _) = script.dialled(&format!("{CONTACT}Allow: INVITE, ACK, BYE, INFO\r\n"));
    let press = KeyPress::new('d', Some(millis(250))).unwrap();
    let one = script.agent.send_digit(&call, press, script.now);
    let two = script.agent.send_digit(&call, KeyPress::new('1', None).unwrap(), script.now);
    let sent = script.expect("INFO");
    assert_eq!(&sent.request().body[..], b"Signal=D\r\nDuration=250\r\n");
    assert_eq!(sent.get("Content-Type"), "application/dtmf-relay");
    assert!(sent.all("Contact").is_empty(), "{}", sent.text);
    assert_eq!(script.count("INFO"), 0, "one after the other");
    script.answer(&sent, 200, "", "");
    let Event::Completed { request, outcome: Outcome::Answered(_), .. } = script.event() else {
        panic!()
    };
    assert_eq!(request, one);
    let sent = script.expect("INFO");
    assert_eq!(&sent.request().body[..], b"Signal=1\r\nDuration=160\r\n");
    script.answer(&sent, 415, "", "");
    let Event::Completed { request, .. } = script.event() else { panic!() };
    assert_eq!(request, two);
    assert!(script.silent(), "the call goes on");

    let (call, _) = script.dialled(&format!("{CONTACT}Allow: INVITE, ACK, BYE\r\n"));
    script.agent.send_digit(&call, press, script.now);
    let Event::Completed { outcome: Outcome::Unsendable, .. } = script.event() else { panic!() };
    assert_eq!(script.count("INFO"), 0);
}
