//! The transactions as a peer sees them (RFC 3261 §17, RFC 4320).

use std::time::Duration;

use sip_core::{
    Again, CallFailure, ConnectionId, Content, Event, Flow, Invite, NameAddr, Outcome,
    PagerMessage, StatusCode, Subscribe, SubscriptionEnd, Transport, Uri,
};

use crate::script::{CONTACT, PEER, Script, Sent, answer, millis, seconds};

const OUTSIDE: &str = "192.0.2.8:40000";

/// Our INVITE on a connection that stands.
fn invite_by(script: &mut Script, transport: Transport) -> (ConnectionId, Sent) {
    let _early = script.invite_to(Script::flow(transport), "sip:peer@192.0.2.8");
    let connection = script.connects.pop().expect("a connection").connection;
    script.open_by(transport, connection.0, PEER);
    (connection, script.expect("INVITE"))
}

fn text_to_peer(script: &mut Script, transport: Transport) {
    let target = Uri::parse("sip:peer@192.0.2.8").unwrap();
    let message = PagerMessage {
        target: target.clone(),
        way: Script::flow(transport).into(),
        from: NameAddr::new(None, Uri::parse("sip:me@192.0.2.1").unwrap()),
        to: NameAddr::new(None, target),
        content: Content::text("x"),
    };
    let now = script.now;
    script.agent.pager_message(message, now);
}

#[test]
fn tx2_an_invite_by_a_stream_is_sent_once_and_given_up_after_32_s() {
    for transport in [Transport::Tcp, Transport::Tls] {
        let mut script = Script::new();
        let (connection, invite) = invite_by(&mut script, transport);
        assert_eq!(invite.flow.connection, Some(connection));
        script.wait(millis(31_999));
        assert!(script.silent(), "not before 64·T1");
        assert_eq!(script.sent.len(), 0, "{transport:?}: it is not repeated");
        script.wait(millis(1));
        let event = script.event();
        assert!(matches!(event, Event::Rejected { failure: CallFailure::TimedOut, .. }));
        assert_eq!(script.sent.len(), 0, "neither ACK nor anything else");
        assert!(script.agent.load().is_idle());
    }
}

#[test]
fn tx3_any_provisional_response_ends_the_repetitions_of_an_invite() {
    for status in [100, 180, 184] {
        let mut script = Script::new();
        let (_early, invite) = script.invite(Transport::Udp);
        script.wait(millis(1600));
        assert_eq!(script.count("INVITE"), 2, "at 0.5 s and 1.5 s");
        script.answer(&invite, status, CONTACT, "");
        script.events.clear();
        script.wait(seconds(600));
        assert_eq!(script.sent.len(), 0, "{status}");
        assert!(script.silent(), "it may ring for as long as it likes");
        script.answer(&invite, 200, CONTACT, "v=0\r\n");
        assert!(matches!(script.event(), Event::Answered { .. }));
    }
}

/// What RFC 3261 §17.1.1.3 asks of the ACK of a failure.
fn check_ack(ack: &Sent, invite: &Sent, response: &str, flow: Flow) {
    let (first, asked) = (ack.first(), invite.first());
    assert_eq!(first.strip_prefix("ACK "), asked.strip_prefix("INVITE "), "the Request-URI");
    assert_eq!(ack.all("Via").len(), 1);
    assert_eq!(ack.get("Via"), invite.get("Via"), "branch and all");
    for name in ["Call-ID", "From"] {
        assert_eq!(ack.line(name), invite.line(name));
    }
    let number = invite.request().headers.cseq().unwrap().number;
    assert_eq!(ack.line("CSeq"), format!("{number} ACK"));
    let to = response.lines().find_map(|line| line.strip_prefix("To: "));
    assert!(ack.line("To").contains("tag="), "{}", ack.text);
    assert_eq!(Some(ack.line("To")), to, "as in the response");
    assert_eq!(ack.all("Route"), invite.all("Route"));
    assert_eq!(ack.flow, flow, "where the INVITE went");
    assert!(ack.text.ends_with("Content-Length: 0\r\n\r\n"), "{}", ack.text);
}

#[test]
fn tx4_the_ack_of_a_failure_has_the_fields_of_its_invite_and_is_repeated_untold() {
    for status in [300, 404, 486, 503, 603, 699] {
        let mut script = Script::new();
        let target = Uri::parse("sip:peer@192.0.2.8;x=y").unwrap();
        let route = "<sip:192.0.2.8;lr>, <sip:192.0.2.9:5070;lr>".to_owned();
        let invite = Invite {
            target: target.clone(),
            way: Script::flow(Transport::Udp).into(),
            from: NameAddr::new(Some("Me"), Uri::parse("sip:me@192.0.2.1").unwrap()),
            to: NameAddr::new(None, target),
            contact: Script::contact(),
            offer: Content::sdp("v=0\r\n"),
            headers: vec![("Route", route)],
            expires: None,
        };
        let _early = script.agent.invite(invite, script.now);
        let invite = script.expect("INVITE");
        assert_eq!(invite.all("Route").len(), 2);
        let response = answer(&invite.request(), status, "busytag", "", "");
        // It does not matter from where the answer comes.
        script.udp_from("192.0.2.77:5099", &response).unwrap();
        let first = script.expect("ACK");
        check_ack(&first, &invite, &response, invite.flow);
        let Event::Rejected { failure: CallFailure::Declined(told), .. } = script.event() else {
            panic!()
        };
        assert_eq!(told.status.code(), status);
        for _ in 0..5 {
            script.wait(seconds(5));
            script.udp(&response).unwrap();
            assert_eq!(script.expect("ACK").text, first.text, "the same for each");
        }
        assert!(script.silent(), "the user hears of it once");
        assert_eq!(script.count("INVITE"), 0);
    }
}

#[test]
fn tx4_a_failure_by_a_stream_and_in_a_call_is_acknowledged_on_the_same_way() {
    let mut script = Script::new();
    let (connection, invite) = invite_by(&mut script, Transport::Tcp);
    let response = answer(&invite.request(), 486, "busytag", "", "");
    script.stream(connection.0, &response).unwrap();
    check_ack(&script.expect("ACK"), &invite, &response, invite.flow);

    let mut script = Script::new();
    let route = "Record-Route: <sip:192.0.2.44:5090;lr>\r\n";
    let (call, _) = script.dialled(&format!("{CONTACT}{route}"));
    script.sent.clear();
    let now = script.now;
    script.agent.reinvite(&call, Script::contact(), Content::sdp("v=0\r\n"), now);
    script.wait(seconds(0));
    let invite = script.expect("INVITE");
    assert_eq!(invite.all("Route"), ["<sip:192.0.2.44:5090;lr>"]);
    let response = answer(&invite.request(), 488, "", "", "");
    script.udp(&response).unwrap();
    let ack = script.expect("ACK");
    check_ack(&ack, &invite, &response, invite.flow);
    assert!(matches!(script.event(), Event::Completed { .. }));
    script.udp(&response).unwrap();
    assert_eq!(script.expect("ACK").text, ack.text);
    assert!(script.silent());
}

#[test]
fn tx9_an_invite_has_its_100_at_once() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut script = Script::new();
        let invite = script.asks("INVITE", &format!("{CONTACT}Timestamp: 54.5\r\n"), "");
        by(&mut script, transport, &invite);
        let trying = script.sent.pop_front().expect("before its user does anything");
        assert!(trying.first().starts_with("SIP/2.0 100"), "{}", trying.text);
        assert!(!trying.line("To").contains("tag="), "{}", trying.text);
        assert_eq!(trying.line("Timestamp"), "54.5", "§8.2.6.1");
        assert!(script.sent.is_empty());
        assert!(matches!(script.event(), Event::Invited { .. }));
    }
    let mut script = Script::new();
    let (_call, mut peer) = script.called(CONTACT);
    script.sent.clear();
    let more = format!("{CONTACT}Content-Type: application/sdp\r\n");
    script.udp(&peer.asks("INVITE", &more, "v=0\r\n")).unwrap();
    assert!(script.sent[0].first().starts_with("SIP/2.0 100"), "a re-INVITE too");
}

#[test]
fn tx9_there_is_no_100_where_the_answer_is_due_at_once() {
    let mut script = Script::new();
    let bare = script.asks("INVITE", "", "");
    let stranger = script.asks("INVITE", CONTACT, "").replacen("sip:me@", "sip:nobody@", 1);
    let scheme = script.asks("INVITE", CONTACT, "").replacen("sip:me@", "http:me@", 1);
    let extension = script.asks("INVITE", &format!("{CONTACT}Require: x\r\n"), "");
    let kind = script.asks("INVITE", &format!("{CONTACT}Content-Type: a/b\r\n"), "x");
    let accept = script.asks("INVITE", &format!("{CONTACT}Accept: a/b\r\n"), "");
    let gone =
        script.asks("INVITE", CONTACT, "").replacen("192.0.2.1>\r\n", "192.0.2.1>;tag=x\r\n", 1);
    for (request, status) in [
        (bare, "400"),
        (stranger, "404"),
        (scheme, "416"),
        (extension, "420"),
        (kind, "415"),
        (accept, "406"),
        (gone, "481"),
    ] {
        script.udp(&request).unwrap();
        let sent: Vec<String> = script.sent.drain(..).map(|sent| sent.first().to_owned()).collect();
        assert_eq!(sent.len(), 1, "{sent:?}");
        assert!(sent[0].starts_with(&format!("SIP/2.0 {status}")), "{sent:?}, not {status}");
    }
    assert!(script.silent());
}

/// Feeds a request by a datagram, or by connection 1, which is opened for it.
fn by(script: &mut Script, transport: Transport, text: &str) {
    if transport == Transport::Udp {
        script.udp(text).unwrap();
    } else {
        script.open_by(transport, 1, OUTSIDE);
        script.stream(1, &text.replace("/UDP", &format!("/{}", transport.via_token()))).unwrap();
    }
}

#[test]
fn tx10_a_repeated_invite_gets_the_latest_provisional_response_and_rings_once() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut script = Script::new();
        let invite = script.asks("INVITE", CONTACT, "");
        by(&mut script, transport, &invite);
        let Event::Invited { call, .. } = script.event() else { panic!() };
        let trying = script.expect("SIP/2.0 100");
        let again = |script: &mut Script| {
            match transport {
                Transport::Udp => script.udp(&invite).unwrap(),
                Transport::Tcp | Transport::Tls => {
                    script.stream(1, &invite.replace("/UDP", "/TCP")).unwrap();
                }
            }
            let sent = script.sent.pop_front().expect("an answer");
            assert!(script.sent.is_empty(), "one for each");
            sent
        };
        let repeated = again(&mut script);
        assert_eq!((&repeated.text, repeated.flow), (&trying.text, trying.flow));
        let now = script.now;
        script.agent.ring(&call, &Script::contact(), now);
        let ringing = script.expect("SIP/2.0 180");
        for _ in 0..3 {
            let repeated = again(&mut script);
            assert_eq!((&repeated.text, repeated.flow), (&ringing.text, ringing.flow));
        }
        assert!(script.silent(), "{transport:?}: no second ring");
    }
}

/// Requests that wait for their user, each with the one that brings its event.
fn unanswered(script: &mut Script) -> Vec<String> {
    let (_call, mut peer) = script.called(CONTACT);
    let refer = "Refer-To: <sip:third@192.0.2.9>\r\n";
    let sdp = format!("{CONTACT}Content-Type: application/sdp\r\n");
    let event = format!("{CONTACT}Event: conference\r\nExpires: 600\r\n");
    vec![
        script.asks("MESSAGE", "Content-Type: text/plain\r\n", "x"),
        script.asks("SUBSCRIBE", &event, ""),
        peer.asks("MESSAGE", "Content-Type: text/plain\r\n", "x"),
        peer.asks("REFER", &format!("{CONTACT}{refer}"), ""),
        peer.asks("UPDATE", &sdp, "v=0\r\n"),
    ]
}

#[test]
fn tx17_a_request_without_an_answer_gets_100_after_3_5_s_and_nothing_before() {
    let mut script = Script::new();
    for request in unanswered(&mut script) {
        script.sent.clear();
        script.events.clear();
        script.udp(&request).unwrap();
        assert!(!script.silent(), "{request}");
        script.wait(millis(3499));
        script.udp(&request).unwrap();
        assert_eq!(script.sent.len(), 0, "nothing before Timer E of the peer reached T2");
        script.wait(millis(1));
        let trying = script.sent.pop_front().expect("100");
        assert!(trying.first().starts_with("SIP/2.0 100"), "{}", trying.text);
        script.udp(&request).unwrap();
        assert_eq!(script.sent.pop_front().expect("again").text, trying.text);
        script.wait(millis(1499));
        assert_eq!(script.sent.len(), 0, "one 100");
        script.wait(millis(1));
        let last = script.sent.pop_front().expect("our own answer");
        assert!(last.first().starts_with("SIP/2.0 500"), "never 408: {}", last.text);
        script.udp(&request).unwrap();
        assert_eq!(script.sent.pop_front().expect("the answer again").text, last.text);
    }
}

#[test]
fn tx17_an_answer_in_time_leaves_no_100_behind() {
    let mut script = Script::new();
    let message = script.asks("MESSAGE", "Content-Type: text/plain\r\n", "x");
    script.udp(&message).unwrap();
    let Event::Message { message, .. } = script.event() else { panic!() };
    script.wait(seconds(3));
    let now = script.now;
    script.agent.respond(message, StatusCode::OK, &[], now);
    script.wait(seconds(40));
    let sent: Vec<Sent> = script.sent.drain(..).collect();
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert!(sent[0].first().starts_with("SIP/2.0 200"));
    // By a stream it is the same, and the answer may come behind the 100.
    let text = script.asks("MESSAGE", "Content-Type: text/plain\r\n", "x");
    by(&mut script, Transport::Tcp, &text);
    let Event::Message { message, .. } = script.event() else { panic!() };
    script.wait(millis(3600));
    let trying = script.expect("SIP/2.0 100");
    assert_eq!(trying.flow.connection, Some(ConnectionId(1)));
    let now = script.now;
    script.agent.respond(message, StatusCode::ACCEPTED, &[], now);
    script.expect("SIP/2.0 202");
}

#[test]
fn tx17_whatever_its_user_says_a_request_gets_no_other_1xx_and_no_408() {
    for status in [100, 180, 183, 199] {
        let mut script = Script::new();
        let text = script.asks("MESSAGE", "Content-Type: text/plain\r\n", "x");
        script.udp(&text).unwrap();
        let Event::Message { message, .. } = script.event() else { panic!() };
        let now = script.now;
        script.agent.respond(message, StatusCode::new(status).unwrap(), &[], now);
        script.wait(seconds(3));
        assert_eq!(script.sent.len(), 0, "{status}");
        script.wait(seconds(3));
        let sent: Vec<String> = script.sent.drain(..).map(|sent| sent.first().to_owned()).collect();
        assert_eq!(sent, ["SIP/2.0 100 Trying", "SIP/2.0 500 Server Internal Error"]);
    }
    let mut script = Script::new();
    let timeout = sip_core::Failure::new(408).unwrap();
    let subscribe = format!("{CONTACT}Event: conference\r\n");
    for (method, more) in [("MESSAGE", "Content-Type: text/plain\r\n"), ("SUBSCRIBE", &subscribe)] {
        let text = script.asks(method, more, "");
        script.udp(&text).unwrap();
        let now = script.now;
        match script.event() {
            Event::Message { message, .. } => {
                script.agent.respond(message, timeout.into(), &[], now);
            }
            Event::SubscribeReceived { subscribe, .. } => {
                script.agent.reject_subscribe(subscribe, timeout, now);
            }
            other => panic!("{other:?}"),
        }
        script.wait(seconds(31));
        script.udp(&text).unwrap();
        assert!(script.sent.is_empty() && script.silent(), "{method}: no answer is the answer");
    }
    script.wait(seconds(32));
    assert!(script.agent.load().is_idle());
}

#[test]
fn tx21_no_answer_is_told_as_408_and_a_transport_that_failed_as_503() {
    let (timeout, unavailable) = (StatusCode::REQUEST_TIMEOUT, StatusCode::SERVICE_UNAVAILABLE);
    let mut script = Script::new();
    let (_early, _) = script.invite(Transport::Udp);
    text_to_peer(&mut script, Transport::Udp);
    script.wait(seconds(32));
    let Event::Rejected { failure, .. } = script.event() else { panic!() };
    assert!(matches!(failure, CallFailure::TimedOut));
    assert_eq!(failure.status(), timeout);
    let Event::Completed { outcome, .. } = script.event() else { panic!() };
    assert!(matches!(outcome, Outcome::TimedOut));
    assert_eq!(outcome.status(), timeout);

    for transport in [Transport::Udp, Transport::Tcp] {
        let fail = |script: &mut Script| match transport {
            Transport::Udp => script.unreachable(PEER),
            Transport::Tcp | Transport::Tls => {
                let connect = script.connects.pop().expect("a connection");
                script.close(connect.connection.0, true);
            }
        };
        let _early = script.invite_to(Script::flow(transport), "sip:peer@192.0.2.8");
        fail(&mut script);
        let Event::Rejected { failure, .. } = script.event() else { panic!() };
        assert!(matches!(failure, CallFailure::Unreachable));
        assert_eq!(failure.status(), unavailable);
        text_to_peer(&mut script, transport);
        script.wait(Duration::ZERO);
        fail(&mut script);
        let Event::Completed { outcome, .. } = script.event() else { panic!() };
        assert!(matches!(outcome, Outcome::Unsendable));
        assert_eq!(outcome.status(), unavailable);
    }
}

#[test]
fn tx21_a_subscription_without_an_answer_is_taken_up_again_as_after_408_or_503() {
    for unreachable in [false, true] {
        let mut script = Script::new();
        let (call, _) = script.dialled(CONTACT);
        let subscribe = Subscribe {
            call: &call,
            target: Uri::parse("sip:peer@192.0.2.8").unwrap(),
            in_dialog: true,
            expires: seconds(600),
            contact: Script::contact(),
        };
        script.agent.subscribe(subscribe, script.now);
        script.expect("SUBSCRIBE");
        if unreachable {
            script.unreachable(PEER);
        } else {
            script.wait(seconds(33));
        }
        let Event::SubscriptionEnded { end, .. } = script.event() else { panic!() };
        for status in [408, 503] {
            let answered = SubscriptionEnd::Failed { status: Some(status) };
            assert_eq!(end.again(), answered.again());
            assert!(matches!(end.again(), Again::After(_)));
        }
    }
}

#[test]
fn tx22_what_is_not_known_is_taken_for_its_class() {
    let mut script = Script::new();
    let (_early, invite) = script.invite(Transport::Udp);
    script.answer(&invite, 184, CONTACT, "");
    let Event::Progress { response, fork, .. } = script.event() else { panic!() };
    assert!(fork.is_some() && response.status.is_ringing());
    assert_eq!(response.status.understood(), StatusCode::SESSION_PROGRESS);
    script.answer(&invite, 299, CONTACT, "v=0\r\n");
    let Event::Answered { call, .. } = script.event() else { panic!() };
    script.expect("ACK");

    let ends = |script: &mut Script, status: u16| {
        let options = script.agent.options(&call, script.now);
        let asked = script.expect("OPTIONS");
        script.answer(&asked, status, "", "");
        let Event::Completed { request, outcome, .. } = script.event() else { panic!() };
        assert_eq!(request, options);
        outcome.status().understood().code()
    };
    assert_eq!(ends(&mut script, 298), 200);
    assert_eq!(ends(&mut script, 450), 400);
    assert_eq!(ends(&mut script, 599), 500);
    assert!(script.agent.remote_target(call.key()).is_some(), "none of them is 481");

    for (status, class) in [(399, 300), (499, 400), (599, 500), (699, 600)] {
        let (_early, invite) = script.invite(Transport::Udp);
        script.answer(&invite, status, "", "");
        script.expect("ACK");
        let Event::Rejected { failure, .. } = script.event() else { panic!() };
        assert_eq!(
            (failure.status().code(), failure.status().understood().code()),
            (status, class)
        );
    }
    let again = |status| SubscriptionEnd::Failed { status: Some(status) }.again();
    assert_eq!(again(599), again(500));
    assert_eq!(again(499), again(400));
    assert_ne!(again(599), again(499));
    assert!(
        script.udp(&answer(&invite.request(), 200, "t", "", "").replacen("200", "700", 1)).is_err()
    );
}
