//! Which request is the same one again, and whose ACK and CANCEL (RFC 3261 §17.2.3).

use sip_core::{Event, Transport};

use crate::script::{CONTACT, Script, Sent, millis, seconds};

#[test]
fn tx15_a_request_is_the_same_by_branch_sent_by_and_method() {
    let mut script = Script::new();
    let message = script.asks("MESSAGE", "Content-Type: text/plain\r\n", "x");
    let mut arrives = |text: &str| {
        script.udp(text).unwrap();
        let is_new = script.events.pop_front().is_some();
        script.sent.clear();
        is_new
    };
    assert!(arrives(&message));
    assert!(!arrives(&message), "the same again");
    // All else may differ: only these three are compared.
    assert!(!arrives(&message.replace("Call-ID: out1", "Call-ID: other")));
    let bare = message.replace("192.0.2.8:5060;", "192.0.2.8;");
    assert!(!arrives(&bare.replace("Call-ID: out1", "Call-ID: bare")), "5060 is the usual port");
    let port = message.replace("192.0.2.8:5060;", "192.0.2.8:5062;");
    assert!(arrives(&port.replace("Call-ID: out1", "Call-ID: port")), "another port of sent-by");
    let host = message.replace("192.0.2.8:5060;", "Host.example.com;");
    assert!(arrives(&host.replace("Call-ID: out1", "Call-ID: host")), "another host");
    assert!(!arrives(&host.replace("Host.", "hOST.")), "in any case");
    let branch = message.replace("z9hG4bKout1", "z9hG4bKother");
    assert!(arrives(&branch.replace("Call-ID: out1", "Call-ID: branch")));
    // A SUBSCRIBE under the branch of a MESSAGE is another request.
    let subscribe = message.replace("MESSAGE", "SUBSCRIBE").replace("Call-ID: out1", "Call-ID: s");
    let more = "Event: conference\r\nContent-Disposition: render;handling=optional\r\nC";
    let subscribe = subscribe.replace("Content-Type", &format!("{CONTACT}{more}"));
    assert!(arrives(&subscribe));
}

#[test]
fn tx15_the_usual_port_of_sent_by_is_that_of_its_transport() {
    let mut script = Script::new();
    script.open_by(Transport::Tls, 1, "192.0.2.8:40000");
    let message = script.asks("MESSAGE", "Content-Type: text/plain\r\n", "x");
    let message = message.replace("/UDP 192.0.2.8:5060;", "/TLS 192.0.2.8;");
    let mut arrives = |text: &str| {
        script.stream(1, text).unwrap();
        script.events.pop_front().is_some()
    };
    assert!(arrives(&message));
    let port = |port: u16| {
        let text = message.replace("192.0.2.8;", &format!("192.0.2.8:{port};"));
        text.replace("Call-ID: out1", &format!("Call-ID: p{port}"))
    };
    assert!(!arrives(&port(5061)), "the same");
    assert!(arrives(&port(5060)), "another");
}

#[test]
fn tx15_ack_and_cancel_find_their_invite_by_its_branch() {
    let mut script = Script::new();
    let invite = script.asks("INVITE", CONTACT, "");
    script.udp(&invite).unwrap();
    let foreign = invite.replace("INVITE", "CANCEL").replace("192.0.2.8:5060;", "192.0.2.9:5060;");
    script.udp(&foreign).unwrap();
    script.expect("SIP/2.0 481");
    script.udp(&invite.replace("INVITE", "CANCEL")).unwrap();
    script.expect("SIP/2.0 200");
    let refused = script.expect("SIP/2.0 487");
    let ack = invite.replace("INVITE", "ACK");
    let ack = ack.replace("192.0.2.1>\r\n", &format!("192.0.2.1>;{}\r\n", tag_of(&refused)));
    script.udp(&ack.replace("192.0.2.8:5060;", "192.0.2.9:5060;")).unwrap();
    script.wait(millis(600));
    assert_eq!(script.count("SIP/2.0 487"), 1, "the ACK of somebody else ends nothing");
    script.udp(&ack).unwrap();
    script.wait(seconds(10));
    assert_eq!(script.count("SIP/2.0 487"), 0);
}

fn tag_of(response: &Sent) -> String {
    let to = response.response().headers.to_header().unwrap();
    format!("tag={}", to.tag().unwrap())
}

/// A request as RFC 2543 wrote it: nothing in its branch, or no branch at all.
fn old(script: &mut Script, method: &str, more: &str, body: &str) -> String {
    let text = script.asks(method, more, body);
    let (head, rest) = text.split_once(";branch=").unwrap();
    let (_, rest) = rest.split_once("\r\n").unwrap();
    format!("{head}\r\n{rest}")
}

#[test]
fn tx15_without_the_magic_cookie_the_rules_of_rfc_2543_tell_requests_apart() {
    let mut script = Script::new();
    let (call, peer) = script.called(CONTACT);
    let inside = |text: &str| {
        let text = text.replacen(
            "From: <sip:peer@192.0.2.8>;tag=out",
            &format!("From: {}", peer.local),
            1,
        );
        let text =
            text.replacen("To: <sip:me@192.0.2.1>\r\n", &format!("To: {}\r\n", peer.remote), 1);
        text.replacen("Call-ID: out2", &format!("Call-ID: {}", peer.call_id), 1)
            .replace("CSeq: 2 ", "CSeq: 700 ")
    };
    let message = old(&mut script, "MESSAGE", "Content-Type: text/plain\r\n", "x");
    for branch in ["", ";branch=1", ";branch=z9hG4bK"] {
        let with = message.replacen("rport\r\n", &format!("rport{branch}\r\n"), 1);
        let with = with.replace("Call-ID: out2", &format!("Call-ID: old{}", branch.len()));
        let mut arrives = |text: &str| {
            script.udp(text).unwrap();
            let is_new = script.events.pop_front().is_some();
            (is_new, script.sent.drain(..).map(|sent| sent.first().to_owned()).next())
        };
        assert!(arrives(&with).0);
        assert_eq!(arrives(&with), (false, None), "{branch}: the same again");
        // Each field that RFC 3261 §17.2.3 names makes it another request.
        assert!(
            arrives(&with.replacen("sip:me@192.0.2.1:5060 ", "sip:me@192.0.2.1 ", 1))
                != (false, None)
        );
        assert!(arrives(&with.replacen(";tag=out", ";tag=other", 1)).0);
        assert!(arrives(&with.replacen("Call-ID: old", "Call-ID: new", 1)).0);
        assert!(arrives(&with.replace("CSeq: 2 ", "CSeq: 3 ")).0);
        assert!(
            arrives(&with.replacen("5060;rport", "5060;rport;x=y", 1)) != (false, None),
            "the Via"
        );
        let tagged = with.replacen("<sip:me@192.0.2.1>\r\n", "<sip:me@192.0.2.1>;tag=none\r\n", 1);
        let (_, answer) = arrives(&tagged);
        assert!(answer.is_some_and(|answer| answer.starts_with("SIP/2.0 481")), "the tag of To");
    }
    script.udp(&inside(&message)).unwrap();
    let Event::Message { call: Some(of), .. } = script.event() else { panic!() };
    assert_eq!(of, call.key());
    script.udp(&inside(&message)).unwrap();
    assert!(script.silent(), "inside of a dialog too");
}

#[test]
fn tx15_an_old_ack_is_known_by_our_tag_and_an_old_cancel_by_all_but_its_method() {
    let mut script = Script::new();
    let invite = old(&mut script, "INVITE", CONTACT, "");
    script.udp(&invite).unwrap();
    let Event::Invited { call, .. } = script.event() else { panic!() };
    script.udp(&invite).unwrap();
    assert_eq!((script.count("SIP/2.0 100"), script.silent()), (2, true));
    let now = script.now;
    script.agent.reject(call, sip_core::Failure::BUSY_HERE, now);
    let busy = script.expect("SIP/2.0 486");
    script.udp(&invite).unwrap();
    assert_eq!(script.expect("SIP/2.0 486").text, busy.text);
    let ack = invite.replace("INVITE", "ACK");
    let with = |tag: &str| ack.replacen("192.0.2.1>\r\n", &format!("192.0.2.1>;{tag}\r\n"), 1);
    for wrong in
        [ack.clone(), with("tag=wrong"), with(&tag_of(&busy)).replace("CSeq: 1", "CSeq: 9")]
    {
        script.udp(&wrong).unwrap();
        script.wait(millis(4000));
        assert!(script.count("SIP/2.0 486") > 0, "it goes on: {wrong}");
    }
    script.udp(&with(&tag_of(&busy))).unwrap();
    script.wait(seconds(40));
    assert_eq!(script.count("SIP/2.0 486"), 0, "acknowledged");
    assert!(script.agent.load().is_idle());

    let invite = old(&mut script, "INVITE", CONTACT, "");
    script.udp(&invite).unwrap();
    script.udp(&invite.replace("INVITE", "CANCEL")).unwrap();
    script.expect("SIP/2.0 200");
    script.expect("SIP/2.0 487");
}
