//! Ways to registrars that are kept open and watched (RFC 5626 §4.4, RFC 6223), by a virtual clock.

use std::time::Duration;

use sip_core::auth::Credentials;
use sip_core::message::{BindingOutcome, BindingResponse};
use sip_core::{
    Account, AccountId, Config, Confirmed, ConnectionId, Content, Event, NameAddr, Registration,
    RegistrationFailure, Transport, UdpKeepAlive, Uri, Way,
};

use crate::script::{PEER, Script, Sent, answer, millis, seconds};

const PING: &str = "\r\n\r\n";
const OUTBOUND: &str = "Require: outbound\r\n";

fn account(transport: &str) -> Account {
    Account {
        address: NameAddr::parse("<sip:me@example.org>").unwrap(),
        credentials: Credentials { username: "me".into(), password: "secret".into(), realm: None },
        registrar: Some(Uri::parse(&format!("sip:{PEER};transport={transport}")).unwrap()),
        outbound_proxy: None,
        instance: Some("urn:uuid:00000000-0000-4000-8000-000000000001".into()),
        features: Vec::new(),
    }
}

/// 200 with the Contact that was asked for, for an hour.
fn granted(sent: &Sent, more: &str) -> String {
    let uri = sent.request().headers.contacts().unwrap()[0].uri.clone();
    answer(&sent.request(), 200, "r", &format!("Contact: <{uri}>;expires=3600\r\n{more}"), "")
}

/// The connection that was asked for stands, and its REGISTER is granted.
fn connected(script: &mut Script, more: &str) -> u64 {
    script.wait(Duration::ZERO);
    let id = script.connects.pop().expect("a connection").connection.0;
    script.open(id, PEER);
    let sent = script.expect("REGISTER");
    script.stream(id, &granted(&sent, more)).unwrap();
    script.sent.clear();
    id
}

fn by_tcp(more: &str) -> (Script, AccountId, u64) {
    let mut script = Script::new();
    let account = script.agent.register(account("tcp"), script.now);
    let connection = connected(&mut script, more);
    script.events.clear();
    (script, account, connection)
}

fn by_udp(config: Config, more: &str) -> (Script, AccountId) {
    let mut script = Script::with(config);
    let account = script.agent.register(account("udp"), script.now);
    let sent = script.expect("REGISTER");
    script.udp(&granted(&sent, more)).unwrap();
    script.events.clear();
    (script, account)
}

/// The next thing that is sent, and after how long.
fn next(script: &mut Script, within: u64) -> Option<(Sent, Duration)> {
    let start = script.now;
    while script.now < start + seconds(within) {
        script.wait(millis(100));
        if let Some(sent) = script.sent.pop_front() {
            return Some((sent, script.now - start));
        }
    }
    None
}

fn next_ping(script: &mut Script, within: u64) -> Duration {
    let (sent, after) = next(script, within).expect("a ping");
    assert_eq!(sent.text, PING);
    after
}

fn is_within(after: Duration, from: u64, to: u64) -> bool {
    (seconds(from)..=seconds(to) + millis(100)).contains(&after)
}

#[test]
fn tp11_a_stream_is_pinged_every_95_to_120_s_and_lives_while_it_is_answered() {
    let (mut script, account, connection) = by_tcp(OUTBOUND);
    let mut times = Vec::new();
    for _ in 0..8 {
        let after = next_ping(&mut script, 121);
        assert!(is_within(after, 95, 120), "{after:?}");
        times.push(after);
        script.stream(connection, "\r\n").unwrap();
    }
    times.dedup();
    assert!(times.len() > 4, "at random: {times:?}");
    assert!(script.closed.is_empty() && script.connects.is_empty() && script.silent());
    // Nothing is kept open that nobody is registered by.
    script.agent.unregister(account, script.now);
    script.wait(seconds(400));
    assert_eq!(script.count(PING), 0);
}

#[test]
fn tp11_flow_timer_and_keep_say_how_often_at_least() {
    let limits = |more: &str, keep: &str| {
        let mut script = Script::new();
        script.agent.register(account("tcp"), script.now);
        script.wait(Duration::ZERO);
        let id = script.connects.pop().unwrap().connection.0;
        script.open(id, PEER);
        let sent = script.expect("REGISTER");
        assert!(sent.get("Via").ends_with(";keep"), "{}", sent.text);
        script.stream(id, &granted(&sent, more).replace(";keep", keep)).unwrap();
        script.sent.clear();
        let after = next_ping(&mut script, 121);
        // Who says so much answers, or the flow has failed.
        script.wait(seconds(10));
        (after, !script.closed.is_empty())
    };
    for (more, keep) in [("Flow-Timer: 40\r\n", ""), ("", ";keep=40")] {
        let (after, failed) = limits(more, keep);
        assert!(is_within(after, 32, 40) && failed, "{more}{keep}: {after:?}");
    }
    for (more, keep) in [("Flow-Timer: 3000\r\n", ""), ("", ";keep=0"), (OUTBOUND, "")] {
        let (after, failed) = limits(more, keep);
        assert!(is_within(after, 95, 120) && failed, "{more}{keep}: {after:?}");
    }
    for (more, keep) in [("", ";keep"), ("Flow-Timer: soon\r\n", ""), ("", ";keep=x")] {
        let (after, failed) = limits(more, keep);
        assert!(is_within(after, 95, 120) && !failed, "{more}{keep}: {after:?}");
    }
}

/// A call by the account, and its answer by the connection.
fn call_by(script: &mut Script, account: AccountId, connection: u64) -> Confirmed {
    let _early = script.invite_to(Way::Account(account), "sip:bob@example.org");
    let invite = script.expect("INVITE");
    assert_eq!(invite.flow.connection, Some(ConnectionId(connection)));
    // A proxy that names itself by another transport than that of the flow.
    let more = format!("Contact: <sip:bob@198.51.100.9>\r\nRecord-Route: <sip:{PEER};lr>\r\n");
    let ok = answer(&invite.request(), 200, "b", &more, "v=0\r\n");
    script.stream(connection, &ok).unwrap();
    let Event::Answered { call, .. } = script.event() else { panic!() };
    script.expect("ACK");
    call
}

#[test]
fn tp11_without_a_pong_the_connection_is_closed_and_dialogs_go_on_by_the_new_one() {
    let (mut script, account, first) = by_tcp(OUTBOUND);
    let call = call_by(&mut script, account, first);
    next_ping(&mut script, 121);
    script.wait(millis(9_900));
    assert!(script.closed.is_empty());
    script.wait(millis(200));
    assert_eq!(script.closed, [ConnectionId(first)]);
    assert!(matches!(script.event(), Event::Registration { state: Registration::Registering, .. }));
    let second = connected(&mut script, OUTBOUND);
    assert_ne!(first, second);
    assert!(matches!(
        script.event(),
        Event::Registration { state: Registration::Registered { .. }, .. }
    ));
    script.close(first, false);
    assert!(script.connects.is_empty());
    script.agent.message(&call, None, Content::text("still here"), script.now);
    let message = script.expect("MESSAGE");
    assert_eq!(message.flow.connection, Some(ConnectionId(second)));
    next_ping(&mut script, 121);
    script.stream(second, "\r\n").unwrap();
    script.wait(seconds(11));
    assert_eq!(script.closed.len(), 1);
}

#[test]
fn tp11_a_server_that_said_nothing_need_not_answer_until_it_has_once() {
    let (mut script, _, connection) = by_tcp("Supported: outbound\r\n");
    for _ in 0..3 {
        next_ping(&mut script, 121);
    }
    script.wait(seconds(11));
    assert!(script.closed.is_empty());
    next_ping(&mut script, 121);
    script.stream(connection, "\r\n").unwrap();
    next_ping(&mut script, 121);
    script.wait(seconds(11));
    assert_eq!(script.closed, [ConnectionId(connection)]);
}

#[test]
fn tp11_a_server_that_promises_pongs_and_never_sends_any_is_not_left_again_and_again() {
    let (mut script, _, first) = by_tcp(OUTBOUND);
    next_ping(&mut script, 121);
    script.wait(seconds(11));
    assert_eq!(script.closed, [ConnectionId(first)]);
    connected(&mut script, OUTBOUND);
    for _ in 0..4 {
        next_ping(&mut script, 121);
    }
    script.wait(seconds(11));
    assert_eq!(script.closed.len(), 1);
}

#[test]
fn tp11_only_the_pong_is_a_sign_of_life() {
    // Neither a ping of the server's own nor a message.
    let (mut script, _, connection) = by_tcp(OUTBOUND);
    next_ping(&mut script, 121);
    script.stream(connection, PING).unwrap();
    assert_eq!(script.expect("\r\n").text, "\r\n", "it gets its pong");
    let options = script.asks("OPTIONS", "", "");
    script.stream(connection, &options).unwrap();
    script.expect("SIP/2.0 200");
    script.wait(seconds(11));
    assert_eq!(script.closed, [ConnectionId(connection)]);
    // Two pongs one after the other are no ping.
    let (mut script, _, connection) = by_tcp(OUTBOUND);
    for _ in 0..3 {
        next_ping(&mut script, 121);
        script.stream(connection, "\r\n").unwrap();
    }
    assert_eq!(script.count("\r\n"), 0);
    assert!(script.closed.is_empty());
}

#[test]
fn tp11_accounts_of_one_connection_share_its_pings() {
    let (mut script, _, connection) = by_tcp(OUTBOUND);
    let other =
        Account { address: NameAddr::parse("<sip:other@example.org>").unwrap(), ..account("tcp") };
    let id = script.agent.register(other, script.now);
    script.wait(Duration::ZERO);
    let sent = script.expect("REGISTER");
    assert_eq!(sent.flow.connection, Some(ConnectionId(connection)));
    script.stream(connection, &granted(&sent, OUTBOUND)).unwrap();
    script.wait(seconds(121));
    assert_eq!(script.count(PING), 1);
    script.stream(connection, "\r\n").unwrap();
    script.agent.unregister(id, script.now);
    let sent = script.expect("REGISTER");
    script.stream(connection, &answer(&sent.request(), 200, "r", "", "")).unwrap();
    script.sent.clear();
    next_ping(&mut script, 121);
}

#[test]
fn tp11_a_connection_lost_during_a_refresh_leads_to_one_register_by_the_next_one() {
    let (mut script, _, first) = by_tcp(OUTBOUND);
    while let Some((sent, _)) = next(&mut script, 121)
        && !sent.text.starts_with("REGISTER")
    {
        script.stream(first, "\r\n").unwrap();
    }
    script.sent.clear();
    script.close(first, false);
    assert_eq!(script.connects.len(), 1);
    script.events.clear();
    connected(&mut script, OUTBOUND);
    let Event::Registration { state: Registration::Registered { .. }, .. } = script.event() else {
        panic!()
    };
    script.wait(seconds(60));
    assert_eq!(script.count("REGISTER"), 0);
    assert!(script.silent());
}

#[test]
fn tp11_a_flood_of_pings_is_answered_in_part() {
    let mut script = Script::new();
    script.open(1, "192.0.2.8:40000");
    script.stream(1, &"\r\n\r\n".repeat(100_000)).unwrap();
    assert!((1..=8).contains(&script.count("\r\n")));
    script.stream(1, PING).unwrap();
    assert_eq!(script.count("\r\n"), 1, "the next one has its answer again");
}

/// The answer of a STUN server to a request of ours.
fn stun(request: &[u8], mapped: &str) -> Vec<u8> {
    assert_eq!(request[..8], [0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42]);
    let id = request[8..20].try_into().unwrap();
    let outcome = BindingOutcome::Mapped(Some(mapped.parse().unwrap()));
    BindingResponse { id, outcome }.to_bytes().to_vec()
}

#[test]
fn tp12_stun_where_the_server_says_that_it_answers() {
    let (mut script, _) = by_udp(Config::default(), OUTBOUND);
    let mut ids = Vec::new();
    for _ in 0..5 {
        let (sent, after) = next(&mut script, 30).expect("a binding request");
        assert!(is_within(after, 24, 29), "{after:?}");
        assert_eq!(sent.flow.remote, PEER.parse().unwrap());
        ids.push(sent.bytes[8..20].to_vec());
        script.datagram(PEER, &stun(&sent.bytes, "198.51.100.7:40001")).unwrap();
    }
    ids.dedup();
    assert_eq!(ids.len(), 5);
    assert!(script.silent());
}

#[test]
fn tp12_another_mapped_address_is_a_failure_of_the_flow() {
    let (mut script, _) = by_udp(Config::default(), OUTBOUND);
    let (sent, _) = next(&mut script, 30).unwrap();
    script.datagram(PEER, &stun(&sent.bytes, "198.51.100.7:40001")).unwrap();
    let (sent, _) = next(&mut script, 30).unwrap();
    script.datagram(PEER, &stun(&sent.bytes, "198.51.100.7:40002")).unwrap();
    let register = script.expect("REGISTER");
    script.udp(&granted(&register, OUTBOUND)).unwrap();
    // The flow is another, and what it shows is no change.
    let (sent, _) = next(&mut script, 30).unwrap();
    script.datagram(PEER, &stun(&sent.bytes, "198.51.100.7:40002")).unwrap();
    assert_eq!(script.count("REGISTER"), 0);
}

#[test]
fn tp12_silence_after_seven_requests_is_a_failure_of_the_flow() {
    let (mut script, _) = by_udp(Config::default(), OUTBOUND);
    let (sent, _) = next(&mut script, 30).unwrap();
    script.datagram(PEER, &stun(&sent.bytes, "198.51.100.7:40001")).unwrap();
    let (first, _) = next(&mut script, 30).unwrap();
    let mut waits = Vec::new();
    let last = loop {
        let (sent, after) = next(&mut script, 30).expect("an attempt, or a REGISTER");
        waits.push(after.as_millis());
        if sent.bytes != first.bytes {
            break sent;
        }
    };
    assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16_000, 8000]);
    assert!(last.text.starts_with("REGISTER"));
    assert!(matches!(script.event(), Event::Registration { state: Registration::Registering, .. }));
}

#[test]
fn tp12_a_server_that_promises_stun_and_never_answers_gets_line_ends_instead() {
    let (mut script, _) = by_udp(Config::default(), OUTBOUND);
    script.wait(seconds(70));
    let register = script.expect("REGISTER");
    script.udp(&granted(&register, OUTBOUND)).unwrap();
    script.sent.clear();
    let after = next_ping(&mut script, 30);
    assert!(is_within(after, 24, 29), "{after:?}");
    script.wait(seconds(600));
    assert_eq!(script.count("REGISTER"), 0);
}

#[test]
fn tp12_only_the_answer_to_our_own_request_counts() {
    let (mut script, _) = by_udp(Config::default(), OUTBOUND);
    let (sent, _) = next(&mut script, 30).unwrap();
    script.datagram(PEER, &stun(&sent.bytes, "198.51.100.7:40001")).unwrap();
    let (sent, _) = next(&mut script, 30).unwrap();
    let good = stun(&sent.bytes, "198.51.100.7:40002");
    let mut other = good.clone();
    other[19] ^= 1;
    script.datagram(PEER, &other).unwrap();
    script.datagram("192.0.2.66:5060", &good).unwrap();
    script.datagram(PEER, &good[..good.len() - 4]).unwrap();
    // Requests of others, and anything else that is no SIP.
    script.datagram(PEER, &sent.bytes).unwrap();
    script.datagram(PEER, &[1; 2000]).unwrap();
    script.datagram(PEER, &[3]).unwrap();
    assert!(script.sent.is_empty() && script.silent());
    script.datagram(PEER, &good).unwrap();
    script.expect("REGISTER");
    script.datagram(PEER, &good).unwrap();
    assert_eq!(script.count("REGISTER"), 0);
}

#[test]
fn tp12_else_it_is_as_the_settings_say() {
    let with = |udp_keepalive| {
        by_udp(Config { udp_keepalive, ..Config::default() }, "Supported: outbound\r\n").0
    };
    let mut script = with(UdpKeepAlive::Crlf);
    for _ in 0..5 {
        let after = next_ping(&mut script, 30);
        assert!(is_within(after, 24, 29), "{after:?}");
    }
    let mut script = with(UdpKeepAlive::Off);
    script.wait(seconds(300));
    assert!(script.sent.is_empty());
    let mut script = with(UdpKeepAlive::Options);
    let (options, after) = next(&mut script, 30).unwrap();
    assert!(is_within(after, 24, 29), "{after:?}");
    assert_eq!(options.first(), format!("OPTIONS sip:{PEER} SIP/2.0"));
    assert_eq!(options.flow.remote, PEER.parse().unwrap());
    // Whoever has never answered them is not left for it; any answer will do.
    script.wait(millis(31_800));
    assert_eq!(script.count("REGISTER"), 0);
    let (options, _) = next(&mut script, 30).unwrap();
    assert!(options.text.starts_with("OPTIONS"));
    script.answer(&options, 405, "", "");
    let (options, after) = next(&mut script, 30).unwrap();
    assert!(is_within(after, 24, 29) && options.text.starts_with("OPTIONS"), "{after:?}");
    script.wait(seconds(33));
    script.expect("REGISTER");
}

#[test]
fn tp12_flow_timer_says_how_often_datagrams_go() {
    let (mut script, _) = by_udp(Config::default(), "Flow-Timer: 15\r\n");
    let (sent, after) = next(&mut script, 30).unwrap();
    assert!(is_within(after, 12, 15), "{after:?}");
    script.datagram(PEER, &stun(&sent.bytes, "198.51.100.7:40001")).unwrap();
    let (_, after) = next(&mut script, 30).unwrap();
    assert!(is_within(after, 11, 15), "{after:?}");
}

#[test]
fn tp20_a_registrar_that_is_unreachable_is_registered_with_anew_and_then_with_patience() {
    let (mut script, _) = by_udp(Config::default(), "");
    next_ping(&mut script, 30);
    script.unreachable("192.0.2.99:5060");
    assert_eq!(script.count("REGISTER"), 0);
    script.unreachable(PEER);
    let register = script.expect("REGISTER");
    assert_eq!(register.flow.transport, Transport::Udp);
    script.events.clear();
    script.unreachable(PEER);
    let Event::Registration { state, .. } = script.event() else { panic!() };
    let Registration::Failed { failure, retry: Some(retry) } = state else { panic!("{state:?}") };
    assert_eq!(failure, RegistrationFailure::Unreachable);
    assert!((seconds(15)..=seconds(30)).contains(&retry));
}
