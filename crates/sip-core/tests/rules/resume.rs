//! After a stop of the machine or the process, and when addresses of ours have changed: all is back, or over with a
//! reason, within five seconds. By a virtual clock.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use sip_core::auth::Credentials;
use sip_core::{
    Account, CallKey, ConnectionId, Content, DnsAnswer, EndReason, Event, Input, NameAddr, Outcome,
    Output, Registration, RegistrationFailure, ResolvedTarget, Subscribe, SubscriptionEnd,
    Transport, Uri,
};

use crate::script::{CONTACT, ME, PEER, Peer, Script, Sent, millis, seconds};

const NEW: &str = "192.0.2.77:5060";
/// What everything has to be done in.
const SOON: Duration = Duration::from_millis(4500);

fn resume(script: &mut Script) {
    script.agent.handle_input(Input::Resumed { now: script.now }).unwrap();
}

fn addresses_changed(script: &mut Script, gone: &[&str]) {
    let gone: Vec<IpAddr> =
        gone.iter().map(|text| text.parse::<SocketAddr>().unwrap().ip()).collect();
    script.agent.handle_input(Input::AddressesChanged { now: script.now, gone: &gone }).unwrap();
}

/// From now on the peer is reached from there.
fn reached_from(script: &mut Script, local: &str) {
    let target =
        ResolvedTarget { remote: "192.0.2.8".parse().unwrap(), local: local.parse().unwrap() };
    script.zone.insert("A 192.0.2.8".to_owned(), DnsAnswer::Addresses(vec![target]));
}

fn unreached(script: &mut Script) {
    script.zone.insert("A 192.0.2.8".to_owned(), DnsAnswer::Addresses(Vec::new()));
}

fn ended(script: &mut Script, call: CallKey) -> EndReason {
    match script.event() {
        Event::Ended { call: of, reason } if of == call => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn after_a_stop_a_call_is_asked_for_once_and_stays_where_the_peer_knows_it() {
    let mut script = Script::new();
    let (call, _) = script.dialled(CONTACT);
    resume(&mut script);
    script.wait(millis(500));
    let options = script.expect("OPTIONS sip:peer@192.0.2.8:5060");
    assert_eq!(options.request().headers.cseq().unwrap().number, 2);
    assert!(options.get("To").contains("tag=peertag"));
    script.answer(&options, 200, "Allow: INVITE, MESSAGE\r\n", "");
    script.wait(seconds(40));
    assert!(script.silent(), "a call that stands is not told of");
    assert_eq!(script.count("OPTIONS"), 0);
    assert_eq!(script.agent.remote_allow(call.key()).map(<[_]>::len), Some(2));
}

#[test]
fn after_a_stop_any_answer_but_481_and_408_shows_that_the_peer_is_there() {
    for (status, stands) in [(200, true), (405, true), (500, true), (481, false), (408, false)] {
        let mut script = Script::new();
        let (call, _) = script.dialled(CONTACT);
        resume(&mut script);
        script.wait(millis(500));
        let options = script.expect("OPTIONS");
        script.answer(&options, status, "", "");
        script.wait(SOON);
        assert_eq!(script.silent(), stands, "{status}");
        if !stands {
            let reason = ended(&mut script, call.key());
            assert_eq!(matches!(reason, EndReason::PeerLost), status == 481, "{reason:?}");
            script.expect("BYE");
        }
    }
}

#[test]
fn after_a_stop_a_call_whose_peer_is_silent_ends_within_five_seconds() {
    let mut script = Script::new();
    let (call, _) = script.dialled(CONTACT);
    resume(&mut script);
    script.wait(millis(3500));
    assert!(script.silent(), "a datagram that is lost is repeated first");
    assert_eq!(script.count("OPTIONS"), 3);
    script.wait(seconds(1));
    assert!(matches!(ended(&mut script, call.key()), EndReason::Unreachable));
    script.expect("BYE sip:peer@192.0.2.8:5060");
    script.wait(seconds(40));
    assert!(script.agent.load().is_idle(), "nothing is left");
}

#[test]
fn after_a_stop_a_text_that_waits_for_its_answer_does_not_hold_the_question_back() {
    let mut script = Script::new();
    let (call, _) = script.dialled(CONTACT);
    let now = script.now;
    script.agent.message(&call, None, Content::text("hello"), now);
    script.expect("MESSAGE");
    resume(&mut script);
    script.wait(seconds(1));
    let options = script.expect("OPTIONS");
    script.answer(&options, 200, "", "");
    script.wait(SOON);
    assert!(script.silent());
}

#[test]
fn what_ran_out_during_a_stop_is_repeated_once_and_its_answer_still_counts() {
    let mut script = Script::new();
    let (call, _) = script.dialled(CONTACT);
    for answered in [true, false] {
        let now = script.now;
        let id = script.agent.message(&call, None, Content::text("hello"), now);
        let message = script.expect("MESSAGE");
        script.now += seconds(60);
        resume(&mut script);
        script.agent.handle_input(Input::Timeout(script.now)).unwrap();
        assert_eq!(script.count("MESSAGE"), 1, "no burst");
        assert!(script.silent(), "what lies unread is read first");
        if answered {
            script.answer(&message, 200, "", "");
        }
        script.wait(seconds(1));
        let Event::Completed { request, outcome, .. } = script.event() else { panic!() };
        assert_eq!(request, id);
        assert_eq!(matches!(outcome, Outcome::Answered(_)), answered);
        let options = script.expect("OPTIONS");
        script.answer(&options, 200, "", "");
    }
}

#[test]
fn a_clock_that_is_late_makes_no_burst() {
    let mut script = Script::new();
    let (_early, _) = script.invite(Transport::Udp);
    script.now += seconds(20);
    script.agent.handle_input(Input::Timeout(script.now)).unwrap();
    assert_eq!(script.count("INVITE"), 1);
    script.wait(millis(999));
    assert_eq!(script.count("INVITE"), 0, "the next one has its distance");
    script.wait(millis(1));
    assert_eq!(script.count("INVITE"), 1);
}

#[test]
fn with_another_address_the_session_is_offered_anew_from_there() {
    let mut script = Script::new();
    let (call, _) = script.dialled(CONTACT);
    reached_from(&mut script, NEW);
    addresses_changed(&mut script, &[ME]);
    script.agent.handle_input(Input::Timeout(script.now)).unwrap();
    let mut told = None;
    // Our user answers the event before time passes on.
    for _ in 0..50 {
        script.wait(millis(10));
        if let Some(Event::AddressChanged { call: of, flow }) = script.events.pop_front() {
            assert_eq!((of, flow.local.to_string()), (call.key(), NEW.to_owned()));
            let (contact, now) = (Script::contact(), script.now);
            told = Some(script.agent.reinvite(&call, contact, Content::sdp("v=0\r\n"), now));
        }
    }
    assert!(told.is_some(), "nobody was told");
    assert!(script.sent.iter().all(|sent| !sent.text.starts_with("OPTIONS")), "one question");
    let reinvite = script.expect("INVITE");
    assert_eq!(reinvite.get("Contact"), format!("<sip:me@{NEW}>"));
    assert!(reinvite.get("Via").contains(NEW), "{}", reinvite.text);
    script.answer(&reinvite, 200, CONTACT, "v=0\r\n");
    let ack = script.expect("ACK");
    assert_eq!(ack.flow.local.to_string(), NEW);
    script.wait(SOON);
    assert!(matches!(script.event(), Event::Completed { .. }));
    assert!(script.silent());
    assert_eq!(script.agent.flow(call.key()).unwrap().local.to_string(), NEW);
}

/// Time passes until our user is told of the other address, and he offers the session anew.
fn moves(script: &mut Script, call: &sip_core::Confirmed) -> Sent {
    for _ in 0..500 {
        script.wait(millis(10));
        if let Some(Event::AddressChanged { call: of, .. }) = script.events.pop_front() {
            assert_eq!(of, call.key());
            let (contact, now) = (Script::contact(), script.now);
            script.agent.reinvite(call, contact, Content::sdp("v=0\r\n"), now);
            return script.expect("INVITE");
        }
    }
    panic!("nobody was told")
}

#[test]
fn an_answer_at_once_is_question_enough_and_an_offer_that_crossed_goes_again() {
    let mut script = Script::new();
    let (call, _) = script.dialled(CONTACT);
    reached_from(&mut script, NEW);
    addresses_changed(&mut script, &[ME]);
    let reinvite = moves(&mut script, &call);
    script.answer(&reinvite, 491, CONTACT, "");
    script.expect("ACK");
    script.wait(seconds(4));
    let again = script.expect("INVITE");
    script.answer(&again, 200, CONTACT, "");
    script.expect("ACK");
    let Event::Completed { .. } = script.event() else { panic!() };
    script.wait(SOON);
    assert!(script.silent() && script.events.is_empty());
    assert_eq!(script.count("OPTIONS"), 0);
}

#[test]
fn who_answers_491_is_there_and_his_call_goes_on() {
    let mut script = Script::new();
    let (call, _) = script.dialled(CONTACT);
    reached_from(&mut script, NEW);
    addresses_changed(&mut script, &[ME]);
    let reinvite = moves(&mut script, &call);
    script.answer(&reinvite, 491, CONTACT, "");
    script.wait(seconds(15));
    assert!(script.silent());
    assert_eq!(script.count("BYE"), 0);
}

#[test]
fn an_offer_of_the_peer_that_is_open_comes_before_ours() {
    let mut script = Script::new();
    let (call, mut peer) = script.called(CONTACT);
    reached_from(&mut script, NEW);
    let theirs = peer.asks("INVITE", &format!("{CONTACT}Content-Type: application/sdp\r\n"), "v=0");
    script.udp(&theirs).unwrap();
    let Event::Reinvited { reinvite, .. } = script.event() else { panic!() };
    addresses_changed(&mut script, &[ME]);
    script.wait(seconds(1));
    assert!(script.silent(), "two offers would cross");
    let now = script.now;
    script.agent.accept_reinvite(reinvite, Content::sdp("v=0\r\n"), now);
    script.udp(&peer.asks_with("ACK", peer.cseq, "", "")).unwrap();
    moves(&mut script, &call);
}

#[test]
fn a_new_address_of_which_the_peer_does_not_hear_ends_the_call() {
    let mut script = Script::new();
    let (call, _) = script.dialled(CONTACT);
    reached_from(&mut script, NEW);
    addresses_changed(&mut script, &[ME]);
    while script.events.is_empty() {
        script.wait(millis(10));
    }
    let Event::AddressChanged { .. } = script.event() else { panic!() };
    let (contact, now) = (Script::contact(), script.now);
    script.agent.reinvite(&call, contact, Content::sdp("v=0\r\n"), now);
    script.wait(SOON);
    let Event::Completed { outcome: Outcome::Unsendable, .. } = script.event() else { panic!() };
    assert!(matches!(ended(&mut script, call.key()), EndReason::Unreachable));
    assert_eq!(script.expect("BYE").flow.local.to_string(), NEW);
}

#[test]
fn a_user_that_offers_nothing_has_the_call_asked_for_from_the_new_address() {
    let mut script = Script::new();
    let (_call, _) = script.dialled(CONTACT);
    reached_from(&mut script, NEW);
    addresses_changed(&mut script, &[]);
    script.wait(millis(700));
    let options = script.expect("OPTIONS");
    assert!(options.get("Via").contains(NEW));
    script.answer(&options, 200, "", "");
    script.wait(SOON);
    assert!(matches!(script.event(), Event::AddressChanged { .. }));
    assert!(script.silent());
}

#[test]
fn without_a_way_a_call_waits_for_one_and_not_for_ever() {
    for comes_back in [true, false] {
        let mut script = Script::new();
        let (call, _) = script.dialled(CONTACT);
        unreached(&mut script);
        addresses_changed(&mut script, &[ME]);
        script.wait(seconds(10));
        assert_eq!(script.count("OPTIONS"), 0);
        let asked = script.asked.len();
        assert!((9..=11).contains(&asked), "once a second: {asked}");
        assert!(script.silent());
        if comes_back {
            script.zone.clear();
            script.wait(seconds(1));
            let options = script.expect("OPTIONS");
            script.answer(&options, 200, "", "");
        }
        script.wait(seconds(40));
        assert_eq!(script.silent(), comes_back);
        if !comes_back {
            assert!(matches!(ended(&mut script, call.key()), EndReason::Unreachable));
        }
    }
}

/// A call that came in over TCP; its peer listens besides.
fn called_by_tcp(script: &mut Script) -> (sip_core::Confirmed, Peer) {
    script.open(1, "192.0.2.8:40000");
    let contact = "Contact: <sip:peer@192.0.2.8:5060;transport=tcp>\r\n";
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
        cseq: 1,
    };
    let ack = peer.asks_with("ACK", 1, "", "").replace("/UDP", "/TCP");
    script.stream(1, &ack).unwrap();
    let Event::Acked { call, .. } = script.event() else { panic!() };
    (call, peer)
}

fn stream_answer(script: &mut Script, id: u64, to: &Sent) {
    let text = crate::script::answer(&to.request(), 200, "peertag", "", "");
    script.stream(id, &text).unwrap();
}

#[test]
fn a_connection_that_is_dead_after_a_stop_is_replaced_within_the_time() {
    let mut script = Script::new();
    let (call, _) = called_by_tcp(&mut script);
    resume(&mut script);
    script.wait(millis(500));
    let options = script.expect("OPTIONS");
    assert_eq!(options.flow.connection, Some(ConnectionId(1)), "it is tried first");
    assert!(script.closed.is_empty());
    script.wait(millis(1700));
    assert_eq!(script.closed, [ConnectionId(1)]);
    let connect = script.connects.pop().expect("another connection");
    assert_eq!(connect.remote.to_string(), PEER, "where its Contact says");
    let new = connect.connection.0;
    script.open(new, PEER);
    let options = script.expect("OPTIONS");
    stream_answer(&mut script, new, &options);
    script.wait(seconds(40));
    assert!(script.silent(), "the call lives");
    let now = script.now;
    script.agent.message(&call, None, Content::text("still here"), now);
    assert_eq!(script.expect("MESSAGE").flow.connection, Some(connect.connection));
}

#[test]
fn a_peer_that_takes_no_new_connection_either_is_lost_within_the_time() {
    let mut script = Script::new();
    let (call, _) = called_by_tcp(&mut script);
    resume(&mut script);
    script.wait(millis(2300));
    let connect = script.connects.pop().expect("another connection");
    script.close(connect.connection.0, true);
    assert!(matches!(ended(&mut script, call.key()), EndReason::Unreachable));
}

#[test]
fn a_connection_that_answers_after_a_stop_stays() {
    let mut script = Script::new();
    let (_call, _) = called_by_tcp(&mut script);
    resume(&mut script);
    script.wait(millis(500));
    let options = script.expect("OPTIONS");
    stream_answer(&mut script, 1, &options);
    script.wait(seconds(40));
    assert!(script.closed.is_empty() && script.connects.is_empty() && script.silent());
}

#[test]
fn a_connection_that_is_reset_when_it_is_asked_is_replaced_at_once() {
    let mut script = Script::new();
    let (_call, _) = called_by_tcp(&mut script);
    resume(&mut script);
    script.wait(millis(500));
    script.expect("OPTIONS");
    script.close(1, false);
    let new = script.connects.pop().expect("another connection").connection.0;
    script.open(new, PEER);
    let options = script.expect("OPTIONS");
    stream_answer(&mut script, new, &options);
    script.wait(seconds(40));
    assert!(script.silent(), "the call lives");
}

#[test]
fn a_call_takes_the_connection_that_was_opened_since() {
    let mut script = Script::new();
    let (_call, _) = called_by_tcp(&mut script);
    resume(&mut script);
    script.open(2, "192.0.2.8:40000");
    script.wait(millis(500));
    assert_eq!(script.expect("OPTIONS").flow.connection, Some(ConnectionId(2)));
}

#[test]
fn names_that_were_not_found_before_a_stop_are_asked_for_again() {
    let mut script = Script::new();
    let (call, _) = script.dialled("Contact: <sip:peer@phone.example>\r\n");
    let now = script.now;
    script.agent.message(&call, None, Content::text("hello"), now);
    script.wait(millis(1));
    let message = script.expect("MESSAGE");
    script.answer(&message, 200, "", "");
    script.asked.clear();
    resume(&mut script);
    script.wait(millis(500));
    assert!(script.asked.iter().any(|name| name == "A phone.example"), "{:?}", script.asked);
}

#[test]
fn connections_from_an_address_that_is_gone_are_closed_at_once_and_no_others() {
    let mut script = Script::new();
    script.open(1, "192.0.2.8:40000");
    addresses_changed(&mut script, &[NEW]);
    script.wait(Duration::ZERO);
    assert!(script.closed.is_empty());
    addresses_changed(&mut script, &[ME]);
    script.wait(Duration::ZERO);
    assert_eq!(script.closed, [ConnectionId(1)]);
}

fn account(registrar: &str) -> Account {
    Account {
        address: NameAddr::parse("<sip:me@example.org>").unwrap(),
        credentials: Credentials { username: "me".into(), password: "secret".into(), realm: None },
        registrar: Some(Uri::parse(registrar).unwrap()),
        outbound_proxy: None,
        instance: None,
        features: Vec::new(),
    }
}

fn grant(sent: &Sent, via: &str) -> String {
    let contact = sent.request().headers.contacts().unwrap()[0].uri.to_string();
    let more = format!("Contact: <{contact}>;expires=600\r\n");
    let text = crate::script::answer(&sent.request(), 200, "reg", &more, "");
    text.replace(";rport", via)
}

fn states(script: &mut Script) -> Vec<Registration> {
    let state = |event| match event {
        Event::Registration { state, .. } => state,
        other => panic!("{other:?}"),
    };
    script.events.drain(..).map(state).collect()
}

#[test]
fn after_a_stop_accounts_register_anew_at_once_and_are_located_anew() {
    let mut script = Script::new();
    script.agent.register(account(&format!("sip:{PEER}")), script.now);
    let sent = script.expect("REGISTER");
    script.udp(&grant(&sent, "")).unwrap();
    reached_from(&mut script, NEW);
    script.asked.clear();
    states(&mut script);
    resume(&mut script);
    script.wait(millis(200));
    assert_eq!(script.asked, ["A 192.0.2.8"]);
    let sent = script.expect("REGISTER");
    assert!(sent.get("Via").contains(NEW), "{}", sent.text);
    assert_eq!(sent.line("Contact").split(';').next(), Some(format!("<sip:me@{NEW}>").as_str()));
    script.udp(&grant(&sent, "")).unwrap();
    // The binding of before is taken back.
    let sent = script.expect("REGISTER");
    assert!(sent.text.contains(&format!("Contact: <sip:me@{ME}>;expires=0")), "{}", sent.text);
    script.udp(&grant(&sent, "")).unwrap();
    script.wait(SOON);
    assert_eq!(script.count("REGISTER"), 0);
    let states = states(&mut script);
    assert!(matches!(states.last(), Some(Registration::Registered { .. })), "{states:?}");
}

#[test]
fn after_a_stop_nobody_waits_for_a_register_of_before_nor_out_of_patience() {
    let mut script = Script::new();
    script.agent.register(account(&format!("sip:{PEER}")), script.now);
    let before = script.expect("REGISTER");
    resume(&mut script);
    script.wait(millis(200));
    let sent = script.expect("REGISTER");
    assert_ne!(before.get("Via"), sent.get("Via"), "another transaction");
    assert_eq!(script.agent.load().transactions, 1, "the other one is over");
    // Refused with a long wait; the network is another one after the next stop.
    script.answer(&sent, 503, "Retry-After: 1000\r\n", "");
    script.wait(seconds(60));
    assert_eq!(script.count("REGISTER"), 0);
    resume(&mut script);
    script.wait(millis(200));
    assert_eq!(script.count("REGISTER"), 1);
}

#[test]
fn after_a_stop_a_registrar_that_is_not_reachable_yet_is_tried_again_soon() {
    let mut script = Script::new();
    script.agent.register(account(&format!("sip:{PEER}")), script.now);
    let sent = script.expect("REGISTER");
    script.udp(&grant(&sent, "")).unwrap();
    unreached(&mut script);
    states(&mut script);
    resume(&mut script);
    script.wait(millis(2500));
    assert!(!states(&mut script).iter().any(|state| matches!(state, Registration::Failed { .. })));
    script.zone.clear();
    script.wait(seconds(1));
    script.expect("REGISTER");
    unreached(&mut script);
    resume(&mut script);
    script.wait(seconds(5));
    let last = states(&mut script).pop();
    let Some(Registration::Failed { failure, retry: Some(retry) }) = last else { panic!() };
    assert_eq!(failure, RegistrationFailure::Unreachable);
    assert!(retry >= seconds(15), "then with patience: {retry:?}");
}

#[test]
fn after_a_stop_an_account_takes_a_new_connection_and_leaves_the_old_one() {
    let mut script = Script::new();
    script.agent.register(account(&format!("sip:{PEER};transport=tcp")), script.now);
    script.wait(Duration::ZERO);
    let old = script.connects.pop().unwrap().connection;
    script.open(old.0, PEER);
    let sent = script.expect("REGISTER");
    script.stream(old.0, &grant(&sent, "")).unwrap();
    resume(&mut script);
    script.wait(millis(200));
    let new = script.connects.pop().expect("another connection").connection;
    script.open(new.0, PEER);
    let sent = script.expect("REGISTER");
    assert_eq!(sent.flow.connection, Some(new));
    script.stream(new.0, &grant(&sent, "")).unwrap();
    script.wait(SOON);
    assert_eq!(script.closed, [old]);
    assert_eq!(script.count("REGISTER"), 0, "its binding is the same as before");
    let states = states(&mut script);
    assert!(matches!(states.last(), Some(Registration::Registered { .. })), "{states:?}");
}

#[test]
fn after_a_stop_subscriptions_are_refreshed_and_those_that_ran_out_begin_anew() {
    for slept in [seconds(1), seconds(601)] {
        let mut script = Script::new();
        let (call, mut peer) = script.dialled(CONTACT);
        let ask = Subscribe {
            call: &call,
            target: Uri::parse("sip:conference@192.0.2.8").unwrap(),
            in_dialog: true,
            expires: seconds(600),
            contact: Script::contact(),
        };
        script.agent.subscribe(ask, script.now);
        let sent = script.expect("SUBSCRIBE");
        script.answer(&sent, 200, "Expires: 600\r\n", "");
        let state = "Event: conference\r\nSubscription-State: active;expires=600\r\n";
        script.udp(&peer.asks("NOTIFY", state, "")).unwrap();
        let Event::Notified { .. } = script.event() else { panic!() };
        script.now += slept;
        resume(&mut script);
        script.wait(millis(500));
        if slept < seconds(600) {
            assert!(script.sent.iter().any(|sent| sent.text.starts_with("SUBSCRIBE")));
            assert!(script.silent());
        } else {
            let Event::SubscriptionEnded { end, .. } = script.event() else { panic!() };
            assert_eq!(end, SubscriptionEnd::Expired);
            assert_eq!(end.again(), sip_core::Again::AtOnce);
        }
    }
}

/// A call from a phone behind a translator: its Contact is of no use outside.
fn called_from_behind(script: &mut Script, contact: &str, more: &str) -> sip_core::Confirmed {
    let more = format!("Contact: <sip:peer@{contact}>\r\n{more}");
    let (call, mut peer) = script.called(&more);
    let options = peer.asks("OPTIONS", "", "");
    script.udp_from("192.0.2.8:61000", &options).unwrap();
    script.expect("SIP/2.0 200");
    call
}

#[test]
fn a_phone_behind_a_translator_is_reached_where_it_wrote_from_last() {
    for (contact, more, expected) in [
        ("10.0.0.5:5060", "", "192.0.2.8:61000"),
        ("[fd00::5]:5060", "", "192.0.2.8:61000"),
        ("192.0.2.9:5070", "", "192.0.2.9:5070"),
        ("192.0.2.8:5060", "", "192.0.2.8:5060"),
        // A proxy that stays in the way knows where the phone is.
        ("10.0.0.5:5060", "Record-Route: <sip:192.0.2.3;lr>\r\n", "192.0.2.3:5060"),
    ] {
        let mut script = Script::new();
        let call = called_from_behind(&mut script, contact, more);
        let now = script.now;
        script.agent.message(&call, None, Content::text("hello"), now);
        let message = script.expect("MESSAGE");
        assert_eq!(message.flow.remote.to_string(), expected, "{contact} {more}");
        assert_eq!(message.request().uri.to_string(), format!("sip:peer@{contact}"));
    }
}

#[test]
fn a_flood_of_stops_leaves_nothing_behind() {
    let mut script = Script::new();
    let (call, _) = script.dialled(CONTACT);
    for _ in 0..1000 {
        resume(&mut script);
    }
    script.wait(millis(500));
    assert_eq!(script.asked.len(), 1);
    let options = script.expect("OPTIONS");
    script.answer(&options, 200, "", "");
    let now = script.now;
    script.agent.bye(call, None, now);
    resume(&mut script);
    script.wait(seconds(60));
    assert!(script.agent.load().is_idle());
    assert!(matches!(script.agent.poll_output(), Output::Timeout(None)), "no timer is left");
}

#[test]
fn after_a_stop_peers_of_calls_are_told_where_the_account_is_now() {
    let mut script = Script::new();
    script.agent.register(account(&format!("sip:{PEER};transport=tcp")), script.now);
    script.wait(Duration::ZERO);
    let old = script.connects.pop().unwrap().connection;
    script.open(old.0, PEER);
    // The registrar sees the ends of our connections; it is told so at once.
    let seen_at = |script: &mut Script, connection: ConnectionId, port: u16| {
        for _ in 0..2 {
            let sent = script.expect("REGISTER");
            let text = grant(&sent, &format!(";rport={port};received=198.51.100.7"));
            script.stream(connection.0, &text).unwrap();
        }
        states(script);
    };
    seen_at(&mut script, old, 40_001);
    let contact = "Contact: <sip:peer@192.0.2.8:5060;transport=tcp>\r\nAllow: INVITE, UPDATE\r\n";
    let invite = script.asks("INVITE", contact, "").replace("/UDP", "/TCP");
    script.stream(old.0, &invite).unwrap();
    let Event::Invited { call, .. } = script.event() else { panic!() };
    let now = script.now;
    let _unacked = script.agent.accept(call, Script::contact(), Content::sdp("v=0\r\n"), now);
    let ok = script.expect("SIP/2.0 200");
    assert!(ok.get("Contact").contains("198.51.100.7:40001"));
    let ok = ok.response();
    let peer = Peer {
        call_id: ok.headers.call_id().unwrap().to_owned(),
        local: ok.headers.get("From").unwrap().to_owned(),
        remote: ok.headers.get("To").unwrap().to_owned(),
        cseq: 1,
    };
    let ack = peer.asks_with("ACK", 1, "", "").replace("/UDP", "/TCP");
    script.stream(old.0, &ack).unwrap();
    let Event::Acked { .. } = script.event() else { panic!() };
    resume(&mut script);
    script.wait(millis(200));
    let new = script.connects.pop().expect("another connection").connection;
    script.open(new.0, PEER);
    seen_at(&mut script, new, 40_002);
    let update = script.expect("UPDATE");
    assert!(update.get("Contact").contains("198.51.100.7:40002"), "{}", update.get("Contact"));
    assert_eq!(update.flow.connection, Some(new));
    assert!(script.closed.is_empty(), "until he knows, the peer writes by the old one");
    stream_answer(&mut script, new.0, &update);
    script.wait(SOON);
    assert_eq!(script.count("UPDATE"), 0, "once");
}

#[test]
fn a_text_that_went_to_where_the_peer_was_goes_anew_to_where_it_says_it_is() {
    let mut script = Script::new();
    let (call, mut peer) = script.dialled(CONTACT);
    let now = script.now;
    let id = script.agent.message(&call, None, Content::text("hello"), now);
    let lost = script.expect("MESSAGE sip:peer@192.0.2.8:5060");
    // It says where it is without a word on the session, or with one.
    for (number, method, body) in [(9, "UPDATE", ""), (10, "INVITE", "v=0\r\n")] {
        script.wait(seconds(1));
        let contact = format!("Contact: <sip:peer@192.0.2.{number}:5060>\r\n");
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        script.udp(&peer.asks(method, &format!("{contact}{kind}"), body)).unwrap();
        let again = script.expect(&format!("MESSAGE sip:peer@192.0.2.{number}:5060"));
        assert_eq!(again.flow.remote, format!("192.0.2.{number}:5060").parse().unwrap());
        assert!(again.request().headers.cseq().unwrap() != lost.request().headers.cseq().unwrap());
        assert_eq!(again.request().body, lost.request().body);
        if number == 10 {
            script.answer(&again, 200, "", "");
        }
    }
    let done = |event| matches!(event, Event::Completed { request, .. } if request == id);
    assert!(script.events.drain(..).any(done), "and its answer counts");
}
