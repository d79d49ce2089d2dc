//! Ways of messages: connections, the way of responses, framing (RFC 3261 §18).

use sip_core::{
    ConnectionId, Content, Event, HandleError, NameAddr, PagerMessage, StatusCode, Transport, Uri,
};

use crate::script::{CONTACT, PEER, Script, Sent, answer, millis, seconds};

const OUTSIDE: &str = "192.0.2.8:40000";

fn text_by_tcp(script: &mut Script) {
    let target = Uri::parse("sip:peer@192.0.2.8").unwrap();
    let message = PagerMessage {
        target: target.clone(),
        way: Script::flow(Transport::Tcp).into(),
        from: NameAddr::new(None, Uri::parse("sip:me@192.0.2.1").unwrap()),
        to: NameAddr::new(None, target),
        content: Content::text("x"),
    };
    let now = script.now;
    script.agent.pager_message(message, now);
}

fn remote(sent: &Sent) -> String {
    sent.flow.remote.to_string()
}

#[test]
fn tp3_an_open_connection_is_used_again_and_brings_the_responses() {
    let mut script = Script::new();
    text_by_tcp(&mut script);
    script.wait(seconds(0));
    let connection = script.connects.pop().expect("a connection").connection;
    script.open(connection.0, PEER);
    let mut before = None;
    for _ in 0..3 {
        let message = script.expect("MESSAGE");
        assert_eq!(message.flow.connection, Some(connection));
        assert!(
            message.line("Via").starts_with("SIP/2.0/TCP 192.0.2.1:5060;"),
            "the listening port"
        );
        assert_ne!(before.replace(message.get("Call-ID")), Some(message.get("Call-ID")));
        script.stream(connection.0, &answer(&message.request(), 200, "t", "", "")).unwrap();
        assert!(matches!(script.event(), Event::Completed { .. }));
        text_by_tcp(&mut script);
        script.wait(seconds(0));
        assert!(script.connects.is_empty(), "no second one");
    }
    let _early = script.invite_to(Script::flow(Transport::Tcp), "sip:peer@192.0.2.8");
    assert!(script.connects.is_empty(), "nor for a call");
    assert_eq!(script.expect("INVITE").flow.connection, Some(connection));
    // To another port, or by another transport, it is another connection.
    let _early = script.invite_to(
        sip_core::Flow {
            remote: "192.0.2.8:5070".parse().unwrap(),
            ..Script::flow(Transport::Tcp)
        },
        "sip:peer@192.0.2.8:5070",
    );
    let _early = script.invite_to(Script::flow(Transport::Tls), "sip:peer@192.0.2.8");
    assert_eq!(script.connects.len(), 2);
}

#[test]
fn tp3_a_connection_of_the_peer_may_bring_the_response() {
    for lost in [false, true] {
        let mut script = Script::new();
        let _early = script.invite_to(Script::flow(Transport::Tcp), "sip:peer@192.0.2.8");
        let connection = script.connects.pop().expect("a connection").connection;
        script.open(connection.0, PEER);
        let invite = script.expect("INVITE");
        script.stream(connection.0, &answer(&invite.request(), 180, "t", CONTACT, "")).unwrap();
        assert!(matches!(script.event(), Event::Progress { .. }));
        if lost {
            script.close(connection.0, false);
        }
        assert!(script.silent(), "it still rings there");
        script.open(2, OUTSIDE);
        let ok = answer(&invite.request(), 200, "t", CONTACT, "v=0\r\n");
        script.stream(2, &ok).unwrap();
        assert!(matches!(script.event(), Event::Answered { .. }), "{lost}");
        let ack = script.expect("ACK");
        assert!(ack.flow.connection.is_some() && ack.flow.transport == Transport::Tcp);
    }
}

#[test]
fn tp6_by_a_stream_responses_go_back_on_their_connection_whatever_the_via_says() {
    let mut script = Script::new();
    for (id, sent_by) in
        [(1, "192.0.2.8:5080"), (2, "far.example.com"), (3, "192.0.2.8;maddr=192.0.2.99")]
    {
        script.open(id, &format!("192.0.2.8:4000{id}"));
        let request = script.asks("OPTIONS", "", "");
        let request = request.replace("/UDP 192.0.2.8:5060;rport", &format!("/TCP {sent_by}"));
        script.stream(id, &request).unwrap();
        let ok = script.expect("SIP/2.0 200");
        assert_eq!(ok.flow.connection, Some(ConnectionId(id)), "{sent_by}");
        assert_eq!(remote(&ok), format!("192.0.2.8:4000{id}"));
    }
    assert!(script.connects.is_empty());
}

#[test]
fn tp6_where_the_connection_is_gone_a_new_one_goes_to_received_and_the_sent_by_port() {
    for (transport, sent_by, expected) in [
        (Transport::Tcp, "192.0.2.8:5080", "192.0.2.8:5080"),
        (Transport::Tcp, "192.0.2.8", "192.0.2.8:5060"),
        (Transport::Tcp, "192.0.2.8;rport", "192.0.2.8:5060"),
        (Transport::Tcp, "10.0.0.3:5082", "192.0.2.8:5082"),
        (Transport::Tcp, "far.example.com:5081", "192.0.2.8:5081"),
        (Transport::Tls, "far.example.com", "192.0.2.8:5061"),
    ] {
        let mut script = Script::new();
        script.open_by(transport, 1, OUTSIDE);
        let request = script.asks("MESSAGE", "Content-Type: text/plain\r\n", "x");
        let by = format!("/{} {sent_by}", transport.via_token());
        script.stream(1, &request.replace("/UDP 192.0.2.8:5060;rport", &by)).unwrap();
        let Event::Message { message, .. } = script.event() else { panic!() };
        script.close(1, false);
        let now = script.now;
        script.agent.respond(message, StatusCode::OK, &[], now);
        assert_eq!(script.count("SIP/2.0"), 0, "nothing by the way that is gone");
        let connect = script.connects.pop().expect("a new connection");
        assert_eq!((connect.transport, connect.remote), (transport, expected.parse().unwrap()));
        script.open_by(transport, connect.connection.0, expected);
        let ok = script.expect("SIP/2.0 200");
        assert_eq!(ok.flow.connection, Some(connect.connection), "{sent_by}");
    }
}

#[test]
fn tp6_by_datagram_responses_go_to_maddr_then_to_received_and_rport_then_to_sent_by() {
    for (sent_by, expected) in [
        ("192.0.2.8:5070;maddr=192.0.2.99", "192.0.2.99:5070"),
        ("192.0.2.8;maddr=192.0.2.99", "192.0.2.99:5060"),
        ("192.0.2.8:5070;rport;maddr=192.0.2.99", "192.0.2.99:5070"),
        // Nobody we could send to.
        ("192.0.2.8:5070;rport;maddr=host.example.com", "198.51.100.4:4444"),
        ("192.0.2.8:5070;rport;maddr=[2001:db8::9]", "198.51.100.4:4444"),
        ("192.0.2.8:5070;rport;maddr=127.0.0.1", "198.51.100.4:4444"),
        ("192.0.2.8:5070;rport;maddr=0.0.0.0", "198.51.100.4:4444"),
        ("192.0.2.8:5070;rport", "198.51.100.4:4444"),
        ("192.0.2.8:5070;rport=9", "198.51.100.4:4444"),
        ("198.51.100.4:5070;rport", "198.51.100.4:4444"),
        ("192.0.2.8:5070", "198.51.100.4:5070"),
        ("192.0.2.8", "198.51.100.4:5060"),
        ("192.0.2.8:5070;received=203.0.113.1", "198.51.100.4:5070"),
        ("far.example.com:5071", "198.51.100.4:5071"),
        ("198.51.100.4:5072", "198.51.100.4:5072"),
        ("198.51.100.4", "198.51.100.4:5060"),
    ] {
        let mut script = Script::new();
        let request = script.asks("MESSAGE", "Content-Type: text/plain\r\n", "x");
        let request = request.replace("192.0.2.8:5060;rport", sent_by);
        script.udp_from("198.51.100.4:4444", &request).unwrap();
        let Event::Message { message, .. } = script.event() else { panic!() };
        let now = script.now;
        script.agent.respond(message, StatusCode::OK, &[], now);
        let ok = script.expect("SIP/2.0 200");
        assert_eq!(remote(&ok), expected, "{sent_by}");
        assert_eq!(ok.flow.local, Script::flow(Transport::Udp).local, "from where it came to");
        // A refusal that leaves nothing behind goes the same way.
        let stranger = request.replace("sip:me@", "sip:nobody@").replace("bKout1", "bKother");
        script.udp_from("198.51.100.4:4444", &stranger).unwrap();
        assert_eq!(remote(&script.expect("SIP/2.0 404")), expected, "{sent_by}");
    }
}

#[test]
fn tp7_a_response_of_another_sent_by_is_dropped_without_a_word() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut script = Script::new();
        let _early = script.invite_to(Script::flow(transport), "sip:peer@192.0.2.8");
        if let Some(connect) = script.connects.pop() {
            script.open(connect.connection.0, PEER);
        }
        let invite = script.expect("INVITE");
        let busy = answer(&invite.request(), 486, "t", "", "");
        for foreign in
            ["192.0.2.66:5060", "192.0.2.1:5061", "me.example.com:5060", "[2001:db8::1]:5060"]
        {
            let text = busy.replacen("192.0.2.1:5060;rport", &format!("{foreign};rport"), 1);
            assert!(text.contains(foreign), "{busy}");
            match invite.flow.connection {
                Some(connection) => script.stream(connection.0, &text).unwrap(),
                None => script.udp(&text).unwrap(),
            }
            assert!(script.silent() && script.sent.is_empty(), "{foreign}: no event and no ACK");
        }
        script.wait(millis(600));
        let repeated = usize::from(transport == Transport::Udp);
        assert_eq!(script.count("INVITE"), repeated, "it waits as before");
        match invite.flow.connection {
            Some(connection) => script.stream(connection.0, &busy).unwrap(),
            None => script.udp(&busy).unwrap(),
        }
        script.expect("ACK");
        assert!(matches!(script.event(), Event::Rejected { .. }));
    }
}

#[test]
fn tp8_a_stream_is_cut_by_content_length_whatever_its_pieces() {
    let mut script = Script::new();
    script.open(1, OUTSIDE);
    let text = |script: &mut Script, body: &str| {
        script.asks("MESSAGE", "Content-Type: text/plain\r\n", body).replace("/UDP", "/TCP")
    };
    let take = |script: &mut Script| {
        let Event::Message { request, .. } = script.event() else { panic!() };
        String::from_utf8_lossy(&request.body).into_owned()
    };
    // Line ends before a message, one body that looks like another message, two messages in one piece.
    let (one, two) = (text(&mut script, "BYE sip:x SIP/2.0\r\n\r\n"), text(&mut script, "two"));
    script.stream(1, &format!("\r\n{one}\r\n{two}")).unwrap();
    assert_eq!(
        (take(&mut script), take(&mut script)),
        ("BYE sip:x SIP/2.0\r\n\r\n".into(), "two".into())
    );
    // Whole, and the beginning of the next.
    let (three, four) = (text(&mut script, "three"), text(&mut script, "four"));
    let (head, tail) = four.split_at(four.len() / 2);
    script.stream(1, &format!("{three}{head}")).unwrap();
    assert_eq!(take(&mut script), "three");
    assert!(script.silent());
    script.stream(1, tail).unwrap();
    assert_eq!(take(&mut script), "four");
    // 200 pieces of one byte, and then the rest: nothing is taken before its last byte.
    let five = text(&mut script, "five");
    assert!(five.len() > 200);
    let (bytes, rest) = five.split_at(five.len() - 200);
    script.stream(1, bytes).unwrap();
    for (at, byte) in rest.char_indices() {
        assert!(script.silent(), "{at}");
        script.stream(1, byte.encode_utf8(&mut [0; 4])).unwrap();
    }
    assert_eq!(take(&mut script), "five");
    let six = text(&mut script, "six");
    for byte in six.chars() {
        assert!(script.silent());
        script.stream(1, byte.encode_utf8(&mut [0; 4])).unwrap();
    }
    assert_eq!(take(&mut script), "six");
    assert!(script.closed.is_empty());
}

#[test]
fn tp8_a_stream_without_content_length_gets_400_and_is_closed() {
    for length in ["", "Content-Length: x\r\n", "Content-Length: -1\r\n"] {
        let mut script = Script::new();
        script.open(1, OUTSIDE);
        let bare = script.asks("OPTIONS", "", "").replace("Content-Length: 0\r\n", length);
        let next = script.asks("OPTIONS", "", "");
        assert!(script.stream(1, &format!("{bare}{next}")).is_err());
        assert_eq!(script.expect("SIP/2.0 400").flow.connection, Some(ConnectionId(1)));
        assert_eq!(script.closed, [ConnectionId(1)]);
        assert!(script.sent.is_empty(), "what follows it has no beginning");
    }
    // The compact name is as good.
    let mut script = Script::new();
    script.open(1, OUTSIDE);
    let compact = script.asks("OPTIONS", "", "").replace("Content-Length:", "l :");
    script.stream(1, &compact).unwrap();
    script.expect("SIP/2.0 200");
}

#[test]
fn tp9_a_datagram_ends_where_content_length_says_or_else_where_it_ends() {
    let mut script = Script::new();
    let mut body = |length: &str, body: &str| {
        let text = script.asks("MESSAGE", "Content-Type: text/plain\r\n", "");
        let text = text.replace("Content-Length: 0\r\n", length);
        let result = script.udp(&format!("{text}{body}"));
        let taken = match script.events.pop_front() {
            Some(Event::Message { request, .. }) => String::from_utf8(request.body.to_vec()).ok(),
            _ => None,
        };
        let sent = script.sent.drain(..).map(|sent| sent.first().to_owned()).next();
        (result.is_ok(), taken, sent)
    };
    let taken = |text: &str| (true, Some(text.to_owned()), None);
    assert_eq!(body("Content-Length: 5\r\n", "hello and more"), taken("hello"));
    assert_eq!(body("Content-Length: 0\r\n", "all of it"), taken(""));
    assert_eq!(body("Content-Length: 5\r\n", "hello"), taken("hello"));
    assert_eq!(body("", "hello to the end\r\n"), taken("hello to the end\r\n"));
    assert_eq!(body("", ""), taken(""));
    for short in ["Content-Length: 6\r\n", "Content-Length: 99999999999999999999\r\n"] {
        let (fits, event, answer) = body(short, "hello");
        assert!(!fits && event.is_none());
        assert!(answer.is_some_and(|first| first.starts_with("SIP/2.0 400")), "{short}");
    }
}

#[test]
fn tp9_a_response_that_is_cut_short_is_dropped() {
    let mut script = Script::new();
    let (_early, invite) = script.invite(Transport::Udp);
    let whole = answer(&invite.request(), 200, "t", CONTACT, "v=0\r\n");
    let cut = &whole[..whole.len() - 1];
    assert!(matches!(script.udp(cut), Err(HandleError::Malformed(_))));
    assert!(script.silent() && script.sent.is_empty());
    script.wait(millis(600));
    assert_eq!(script.count("INVITE"), 1, "it was none");
    script.udp(&format!("{whole}and more")).unwrap();
    let Event::Answered { response, .. } = script.event() else { panic!() };
    assert_eq!(response.body, "v=0\r\n");
    script.expect("ACK");
}

#[test]
fn tp10_a_double_line_end_on_a_connection_is_answered_by_a_single_one() {
    for transport in [Transport::Tcp, Transport::Tls] {
        let mut script = Script::new();
        script.open_by(transport, 1, OUTSIDE);
        script.stream(1, "\r\n\r\n").unwrap();
        let pong = script.sent.pop_front().expect("a pong");
        assert_eq!((pong.text.as_str(), pong.flow.connection), ("\r\n", Some(ConnectionId(1))));
        assert_eq!(remote(&pong), OUTSIDE);
        // In two pieces, and between messages.
        script.stream(1, "\r\n").unwrap();
        assert!(script.sent.is_empty());
        script.stream(1, "\r\n").unwrap();
        assert_eq!(script.sent.pop_front().expect("a pong").text, "\r\n");
        let token = format!("/{}", transport.via_token());
        let (one, two) = (script.asks("OPTIONS", "", ""), script.asks("OPTIONS", "", ""));
        let text = format!("{one}\r\n\r\n{two}").replace("/UDP", &token);
        script.stream(1, &text).unwrap();
        let firsts: Vec<String> =
            script.sent.drain(..).map(|sent| sent.first().to_owned()).collect();
        assert_eq!(firsts, ["SIP/2.0 200 OK", "", "SIP/2.0 200 OK"]);
        assert!(script.closed.is_empty());
    }
}

#[test]
fn tp10_a_single_line_end_is_passed_over() {
    let mut script = Script::new();
    script.open(1, OUTSIDE);
    script.stream(1, "\r\n").unwrap();
    script.wait(seconds(30));
    assert!(script.sent.is_empty() && script.silent());
    let options = script.asks("OPTIONS", "", "").replace("/UDP", "/TCP");
    script.stream(1, &format!("{options}\r\n")).unwrap();
    script.expect("SIP/2.0 200");
    assert!(script.sent.is_empty() && script.closed.is_empty());
    // By datagram it keeps a way open, and is never answered.
    script.udp("\r\n\r\n").unwrap();
    script.udp("\r\n").unwrap();
    assert!(script.sent.is_empty() && script.silent());
}

#[test]
fn tp13_what_begins_as_stun_is_never_read_as_sip() {
    let mut script = Script::new();
    script.agent.record(100);
    let options = script.asks("OPTIONS", "", "");
    // A Binding request and response with their magic cookie, and what only begins so.
    let cookie = "\u{0}\u{0}\u{21}\u{12}AB0123456789abcd";
    for first in ["\u{0}\u{1}", "\u{1}\u{1}"] {
        for rest in [cookie, "", "\r\n\r\n", options.as_str()] {
            let told = script.udp(&format!("{first}{rest}"));
            assert!(told.is_ok(), "the parser would have called it malformed: {told:?}");
            assert!(script.silent());
        }
    }
    let answered = script.sent.drain(..).any(|sent| sent.text.starts_with("SIP"));
    assert!(!answered && script.agent.poll_recorded().is_none(), "none of them is a message");
    assert!(script.agent.load().is_idle());
    script.udp(&options).unwrap();
    script.expect("SIP/2.0 200");
    assert!(script.agent.poll_recorded().is_some());
}
