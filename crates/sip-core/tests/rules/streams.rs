//! Connections: framing that fails, ways that are gone (RFC 3261 §18).

use sip_core::{ConnectionId, Content, Event, Outcome, Transport};

use crate::script::{CONTACT, PEER, Peer, Script, answer, seconds};

const OUTSIDE: &str = "192.0.2.8:40000";

#[test]
fn a_million_line_ends_are_passed_over() {
    let mut script = Script::new();
    script.open(1, OUTSIDE);
    script.stream(1, &"\n".repeat(1_000_000)).unwrap();
    let options = script.asks("OPTIONS", "", "");
    script.stream(1, &options).unwrap();
    assert!(script.expect("SIP/2.0 200").flow.connection.is_some());
}

#[test]
fn tp18_a_message_too_large_gets_513_and_the_connection_is_closed() {
    let mut script = Script::new();
    script.open(1, OUTSIDE);
    let large = script.asks("MESSAGE", "", "").replace("Length: 0", "Length: 99999");
    assert!(script.stream(1, &large).is_err());
    script.expect("SIP/2.0 513");
    assert_eq!(script.closed, [ConnectionId(1)]);
    assert!(script.stream(1, &"x".repeat(100)).is_err(), "nothing more is taken from it");
    script.close(1, false);
}

#[test]
fn a_head_that_never_ends_closes_the_connection() {
    let mut script = Script::new();
    script.open(1, OUTSIDE);
    let endless = format!("OPTIONS sip:me@192.0.2.1 SIP/2.0\r\nX: {}", "x".repeat(70_000));
    assert!(script.stream(1, &endless).is_err());
    assert_eq!(script.closed, [ConnectionId(1)]);
    assert_eq!(script.count("SIP/2.0"), 0);
}

/// A call that came in over TCP from an ephemeral port.
fn called_by_tcp(script: &mut Script, contact: &str) -> (sip_core::Confirmed, Peer) {
    script.open(1, OUTSIDE);
    let invite = script.asks("INVITE", contact, "").replace("/UDP", "/TCP");
    script.stream(1, &invite).unwrap();
    let Event::Invited { call, .. } = script.event() else { panic!() };
    let now = script.now;
    let _unacked = script.agent.accept(call, Script::contact(), Content::sdp("v=0\r\n"), now);
    let ok = script.expect("SIP/2.0 200").response();
    let peer = Peer {
        call_id: ok.headers.call_id().unwrap().to_owned(),
        local: ok.headers.get("From").unwrap().to_owned(),
        remote: ok.headers.get("To").unwrap().to_owned(),
        cseq: 50,
    };
    let number = ok.headers.cseq().unwrap().number;
    script.stream(1, &peer.asks_with("ACK", number, "", "")).unwrap();
    let Event::Acked { call, .. } = script.event() else { panic!() };
    (call, peer)
}

#[test]
fn requests_of_a_dialog_use_its_connection_while_open_and_the_contact_afterwards() {
    let mut script = Script::new();
    let contact = "Contact: <sip:peer@192.0.2.8:5080;transport=tcp>\r\n";
    let (call, _) = called_by_tcp(&mut script, contact);
    let now = script.now;
    script.agent.message(&call, None, Content::text("one"), now);
    let message = script.expect("MESSAGE");
    assert_eq!(message.flow.connection, Some(ConnectionId(1)));
    let text = answer(&message.request(), 200, "x", "", "");
    script.stream(1, &text).unwrap();
    script.event();
    script.close(1, false);
    script.agent.message(&call, None, Content::text("two"), now);
    script.wait(seconds(0));
    let connect = &script.connects[0];
    assert_eq!(connect.remote, "192.0.2.8:5080".parse().unwrap());
}

#[test]
fn a_request_by_a_new_connection_gives_the_dialog_its_way_back() {
    let mut script = Script::new();
    let (call, mut peer) = called_by_tcp(&mut script, CONTACT);
    script.close(1, false);
    script.open(2, "192.0.2.8:40001");
    script.stream(2, &peer.asks("OPTIONS", "", "")).unwrap();
    script.expect("SIP/2.0 200");
    let now = script.now;
    script.agent.message(&call, None, Content::text("two"), now);
    assert_eq!(script.expect("MESSAGE").flow.connection, Some(ConnectionId(2)));
}

#[test]
fn tx21_a_request_on_a_connection_that_is_lost_has_failed() {
    let mut script = Script::new();
    let (call, _) = called_by_tcp(&mut script, CONTACT);
    let now = script.now;
    script.agent.message(&call, None, Content::text("one"), now);
    script.expect("MESSAGE");
    script.close(1, false);
    let Event::Completed { outcome: Outcome::Unsendable, .. } = script.event() else { panic!() };
}

#[test]
fn a_refusal_leaves_finished_transactions_finished() {
    let mut script = Script::new();
    let large = Content::sdp(format!("v=0\r\n{}", "a=x\r\n".repeat(300)));
    let _early = script.invite_with(Script::flow(Transport::Udp), "sip:peer@192.0.2.8", large);
    let first = script.connects.pop().expect("it goes by TCP").connection.0;
    script.open(first, PEER);
    let invite = script.expect("INVITE");
    let contact = "Contact: <sip:peer@192.0.2.8:5060;transport=tcp>\r\n";
    script.stream(first, &answer(&invite.request(), 200, "t", contact, "v=0\r\n")).unwrap();
    let Event::Answered { call, .. } = script.event() else { panic!() };
    script.close(first, false);
    let now = script.now;
    script.agent.message(&call, None, Content::text("x"), now);
    script.wait(seconds(0));
    let second = script.connects.pop().expect("a new connection").connection.0;
    script.close(second, true);
    assert_eq!(script.count("INVITE"), 0);
    let Event::Completed { outcome: Outcome::Unsendable, .. } = script.event() else { panic!() };
    assert!(script.silent());
}

#[test]
fn tp2_a_large_invite_falls_back_to_datagrams_where_tcp_is_refused() {
    let mut script = Script::new();
    let large = Content::sdp(format!("v=0\r\n{}", "a=x\r\n".repeat(300)));
    let _early = script.invite_with(Script::flow(Transport::Udp), "sip:peer@192.0.2.8", large);
    let first = script.connects.pop().expect("it goes by TCP").connection.0;
    script.close(first, true);
    let invite = script.expect("INVITE");
    assert_eq!(invite.flow.transport, Transport::Udp);
    assert!(invite.get("Via").starts_with("SIP/2.0/UDP"));
}

#[test]
fn tp2_a_connection_that_stood_and_is_lost_is_no_reason_for_a_datagram() {
    let mut script = Script::new();
    let large = Content::sdp(format!("v=0\r\n{}", "a=x\r\n".repeat(300)));
    let _early = script.invite_with(Script::flow(Transport::Udp), "sip:peer@192.0.2.8", large);
    let connection = script.connects.pop().expect("it goes by TCP").connection.0;
    script.open(connection, PEER);
    script.expect("INVITE");
    script.close(connection, false);
    // It may have arrived there.
    assert_eq!(script.count("INVITE"), 0);
    let Event::Rejected { .. } = script.event() else { panic!() };
}

#[test]
fn ms6_a_large_message_never_goes_by_datagram() {
    let mut script = Script::new();
    let (call, _) = script.dialled(CONTACT);
    let now = script.now;
    script.agent.message(&call, None, Content::text(&"x".repeat(1400)), now);
    assert_eq!(script.count("MESSAGE"), 0);
    let connect = script.connects.pop().expect("it goes by TCP");
    assert_eq!(connect.remote, PEER.parse().unwrap());
    script.close(connect.connection.0, true);
    let Event::Completed { outcome: Outcome::Unsendable, .. } = script.event() else { panic!() };
    assert_eq!(script.count("MESSAGE"), 0);
}

#[test]
fn tp20_an_unreachable_address_fails_what_waits_for_it_and_nothing_else() {
    let mut script = Script::new();
    let (call, _) = script.dialled(CONTACT);
    let now = script.now;
    script.agent.message(&call, None, Content::text("x"), now);
    script.unreachable("192.0.2.99:5060");
    assert!(script.silent());
    script.unreachable(PEER);
    let Event::Completed { outcome: Outcome::Unsendable, .. } = script.event() else { panic!() };
    assert!(script.agent.remote_target(call.key()).is_some());
}
