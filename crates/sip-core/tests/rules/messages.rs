//! MESSAGE in and out of calls (RFC 3428).

use sip_core::{Content, Event, NameAddr, PagerMessage, RequestId, StatusCode, Transport, Uri};

use crate::script::{CONTACT, PEER, Peer, Script, Sent, millis, seconds};

fn text_to(script: &mut Script, target: &str, text: &str) -> RequestId {
    let target = Uri::parse(target).unwrap();
    let message = PagerMessage {
        target: target.clone(),
        way: Script::flow(Transport::Udp).into(),
        from: NameAddr::new(None, Uri::parse("sip:me@192.0.2.1").unwrap()),
        to: NameAddr::new(None, target),
        content: Content::text(text),
    };
    let now = script.now;
    script.agent.pager_message(message, now)
}

/// Answers the text that came.
fn take(script: &mut Script, status: u16) -> Sent {
    let Event::Message { message, .. } = script.event() else { panic!() };
    let now = script.now;
    script.agent.respond(message, StatusCode::new(status).unwrap(), &[], now);
    script.expect("SIP/2.0")
}

#[test]
fn ms2_a_message_of_ours_has_no_contact() {
    let mut script = Script::new();
    text_to(&mut script, "sip:peer@192.0.2.8", "outside");
    let outside = script.expect("MESSAGE");
    let (call, _) = script.dialled(CONTACT);
    let now = script.now;
    script.agent.message(&call, None, Content::text("inside"), now);
    let inside = script.expect("MESSAGE");
    for sent in [outside, inside] {
        assert!(
            sent.all("Contact").is_empty() && sent.all("Record-Route").is_empty(),
            "{}",
            sent.text
        );
    }
}

#[test]
fn ms2_the_contact_of_a_message_is_passed_over() {
    let mut script = Script::new();
    let (call, mut peer) = script.dialled(CONTACT);
    let before = script.agent.remote_target(call.key()).cloned();
    let more = "Contact: <sip:elsewhere@192.0.2.66>\r\nContent-Type: text/plain\r\n";
    script.udp(&peer.asks("MESSAGE", more, "x")).unwrap();
    assert!(take(&mut script, 200).first().starts_with("SIP/2.0 200"));
    assert_eq!(script.agent.remote_target(call.key()).cloned(), before);
}

#[test]
fn ms3_the_answer_to_a_message_has_neither_body_nor_contact() {
    for status in [200, 202] {
        let mut script = Script::new();
        let (_call, mut peer) = script.dialled(CONTACT);
        let more = "Content-Type: text/plain\r\n";
        let outside = script.asks("MESSAGE", more, "x");
        for ask in [peer.asks("MESSAGE", more, "x"), outside] {
            script.udp(&ask).unwrap();
            let answer = take(&mut script, status);
            assert!(answer.first().starts_with(&format!("SIP/2.0 {status}")));
            assert!(answer.all("Contact").is_empty(), "{}", answer.text);
            assert!(answer.text.ends_with("Content-Length: 0\r\n\r\n"), "{}", answer.text);
        }
    }
}

#[test]
fn ms4_a_message_has_its_final_answer_within_seconds_and_none_before() {
    let mut script = Script::new();
    let ask = script.asks("MESSAGE", "Content-Type: text/plain\r\n", "x");
    script.udp(&ask).unwrap();
    assert!(matches!(script.event(), Event::Message { .. }));
    script.wait(millis(3400));
    assert_eq!(script.count("SIP/2.0"), 0, "no provisional response, until RFC 4320 wants one");
    script.wait(millis(1600));
    script.expect("SIP/2.0 100");
    let answer = script.expect("SIP/2.0");
    assert!(answer.first().starts_with("SIP/2.0 500"), "{}", answer.text);
}

#[test]
fn ms7_outside_of_calls_the_next_text_to_an_address_waits_for_the_answer() {
    let mut script = Script::new();
    for text in ["one", "two", "three"] {
        text_to(&mut script, "sip:peer@192.0.2.8", text);
    }
    let one = script.expect("MESSAGE");
    assert!(one.text.ends_with("one"));
    assert_eq!(script.count("MESSAGE"), 0);
    // To another address it need not wait.
    text_to(&mut script, "sip:other@192.0.2.8", "other");
    let other = script.expect("MESSAGE");
    assert!(other.text.ends_with("other"));
    script.answer(&one, 100, "", "");
    assert_eq!(script.count("MESSAGE"), 0, "a provisional answer is none");
    script.answer(&one, 200, "", "");
    let two = script.expect("MESSAGE");
    assert!(two.text.ends_with("two"));
    assert_ne!(two.get("Call-ID"), one.get("Call-ID"));
    script.wait(seconds(33));
    let three = script.sent.iter().rev().find(|sent| sent.text.ends_with("three"));
    assert!(three.is_some(), "a text without an answer holds the next no longer than its timer");
}

#[test]
fn ms7_in_a_call_one_text_is_out_at_a_time() {
    let mut script = Script::new();
    let (call, _) = script.dialled(CONTACT);
    for text in ["one", "two"] {
        let now = script.now;
        script.agent.message(&call, None, Content::text(text), now);
    }
    let one = script.expect("MESSAGE");
    assert_eq!(script.count("MESSAGE"), 0);
    script.answer(&one, 486, "", "");
    assert!(script.expect("MESSAGE").text.ends_with("two"));
}

#[test]
fn ms8_a_stream_that_stands_is_preferred_to_datagrams() {
    let mut script = Script::new();
    text_to(&mut script, "sip:peer@192.0.2.8", "by datagram");
    let sent = script.expect("MESSAGE");
    assert_eq!(sent.flow.transport, Transport::Udp);
    script.answer(&sent, 200, "", "");
    script.open(7, PEER);
    text_to(&mut script, "sip:peer@192.0.2.8", "by stream");
    let sent = script.expect("MESSAGE");
    assert_eq!(sent.flow.transport, Transport::Tcp);
    assert!(sent.get("Via").starts_with("SIP/2.0/TCP"), "{}", sent.text);
    assert!(script.connects.is_empty());
}

#[test]
fn ms9_a_text_opens_no_dialog() {
    let mut script = Script::new();
    text_to(&mut script, "sip:peer@192.0.2.8", "x");
    let sent = script.expect("MESSAGE");
    assert!(!sent.get("To").contains("tag="));
    script.answer(&sent, 200, CONTACT, "");
    let mut peer = Peer {
        call_id: sent.get("Call-ID"),
        local: format!("{};tag=peertag", sent.get("To")),
        remote: sent.get("From"),
        cseq: 5,
    };
    assert!(matches!(script.event(), Event::Completed { .. }));
    script.udp(&peer.asks("MESSAGE", "Content-Type: text/plain\r\n", "x")).unwrap();
    assert!(script.expect("SIP/2.0").first().starts_with("SIP/2.0 481"));
    text_to(&mut script, "sip:peer@192.0.2.8", "y");
    let next = script.expect("MESSAGE");
    assert_ne!(next.get("Call-ID"), sent.get("Call-ID"));
    assert!(script.silent());
    assert_eq!(script.agent.load().calls, 0);
}
