//! The notifier's rules (RFC 6665 §4.2), in the dialog of a call and in one of its own.

use sip_core::{Content, Event, SubscriptionEnd, SubscriptionKey};

use crate::script::{CONTACT, Peer, Script, Sent, seconds};

const BODY: &str = "<conference-info/>";

/// A SUBSCRIBE outside of dialogs with these headers.
fn asked(script: &mut Script, more: &str) -> String {
    let ask = script.asks("SUBSCRIBE", &format!("{CONTACT}{more}"), "");
    script.udp(&ask).unwrap();
    ask
}

/// Accepts what was asked for, for as long as was asked, and sends the document.
fn accept(script: &mut Script) -> (SubscriptionKey, Sent) {
    let Event::SubscribeReceived { subscribe, expires, .. } = script.event() else { panic!() };
    let now = script.now;
    let key = script.agent.accept_subscribe(subscribe, expires, Script::contact(), now);
    let ok = script.expect("SIP/2.0 200");
    document(script, key);
    (key, ok)
}

fn document(script: &mut Script, key: SubscriptionKey) {
    let now = script.now;
    script.agent.notify(key, Some(Content::conference_info(BODY)), None, now);
}

/// A subscription of a minute, its first NOTIFY answered; the peer in its dialog.
fn subscribed(script: &mut Script, event: &str) -> (SubscriptionKey, Peer) {
    asked(script, &format!("Event: {event}\r\nExpires: 60\r\n"));
    let (key, ok) = accept(script);
    let notify = script.expect("NOTIFY");
    script.answer(&notify, 200, "", "");
    let ok = ok.response();
    let peer = Peer {
        call_id: ok.headers.call_id().unwrap().to_owned(),
        local: ok.headers.get("From").unwrap().to_owned(),
        remote: ok.headers.get("To").unwrap().to_owned(),
        cseq: 10,
    };
    (key, peer)
}

#[test]
fn ev1_a_subscribe_is_answered_200_for_the_time_asked_or_less() {
    for (asks, granted) in
        [("", "3600"), ("Expires: 600\r\n", "600"), ("Expires: 90000\r\n", "3600")]
    {
        let mut script = Script::new();
        asked(&mut script, &format!("Event: conference\r\n{asks}"));
        let Event::SubscribeReceived { subscribe, .. } = script.event() else { panic!() };
        let (now, long) = (script.now, seconds(3600));
        script.agent.accept_subscribe(subscribe, long, Script::contact(), now);
        let ok = script.expect("SIP/2.0 2");
        assert!(ok.first().starts_with("SIP/2.0 200 "), "never 202: {}", ok.text);
        assert_eq!(ok.get("Expires"), granted);
        assert_eq!(ok.get("Contact"), "<sip:me@192.0.2.1:5060>");
    }
}

#[test]
fn ev2_a_subscribe_of_no_time_gets_one_notify_with_the_state_and_the_end() {
    let mut script = Script::new();
    asked(&mut script, "Event: conference\r\nExpires: 0\r\n");
    accept(&mut script);
    let notify = script.expect("NOTIFY");
    assert_eq!(notify.line("Subscription-State"), "terminated;reason=timeout");
    assert!(notify.text.ends_with(BODY), "{}", notify.text);
    script.answer(&notify, 200, "", "");
    script.wait(seconds(100));
    assert_eq!(script.count("NOTIFY"), 0);
    assert_eq!(script.agent.load().subscriptions, 0);
}

#[test]
fn ev2_a_refresh_to_zero_ends_with_the_state() {
    let mut script = Script::new();
    let (key, mut peer) = subscribed(&mut script, "conference");
    let more = format!("{CONTACT}Event: conference\r\nExpires: 0\r\n");
    script.udp(&peer.asks("SUBSCRIBE", &more, "")).unwrap();
    let (again, _) = accept(&mut script);
    assert_eq!(again, key);
    let notify = script.expect("NOTIFY");
    assert_eq!(notify.line("Subscription-State"), "terminated;reason=timeout");
    assert!(notify.text.ends_with(BODY));
    script.answer(&notify, 200, "", "");
    let Event::SubscriptionEnded { end: SubscriptionEnd::Expired, .. } = script.event() else {
        panic!()
    };
}

#[test]
fn ev3_an_event_that_is_unknown_or_missing_is_489_with_those_that_are_not() {
    for event in ["Event: presence\r\n", "", "Event: conference.winfo\r\n"] {
        let mut script = Script::new();
        asked(&mut script, event);
        let answer = script.expect("SIP/2.0");
        assert!(answer.first().starts_with("SIP/2.0 489"), "{event}: {}", answer.text);
        assert_eq!(answer.all("Allow-Events"), sip_core::capabilities::ALLOW_EVENTS);
        assert!(script.silent());
    }
}

#[test]
fn ev4_a_time_that_is_too_short_is_423_with_the_least() {
    for expires in [1, 59] {
        let mut script = Script::new();
        asked(&mut script, &format!("Event: conference\r\nExpires: {expires}\r\n"));
        let answer = script.expect("SIP/2.0");
        assert!(answer.first().starts_with("SIP/2.0 423"), "{}", answer.text);
        assert_eq!(answer.get("Min-Expires"), "60");
        assert!(script.silent());
    }
}

#[test]
fn ev5_accept_without_the_document_of_the_package_is_406() {
    let cases = [
        ("Accept: application/pidf+xml, text/plain\r\n", false),
        ("Accept: text/*\r\n", false),
        ("Accept: application/pidf+xml, application/conference-info+xml;q=0.5\r\n", true),
        ("Accept: application/*\r\n", true),
        ("Accept: */*\r\n", true),
        ("", true),
    ];
    for (accept, taken) in cases {
        let mut script = Script::new();
        asked(&mut script, &format!("Event: conference\r\n{accept}"));
        if taken {
            assert!(matches!(script.event(), Event::SubscribeReceived { .. }), "{accept}");
        } else {
            let answer = script.expect("SIP/2.0");
            assert!(answer.first().starts_with("SIP/2.0 406"), "{accept}: {}", answer.text);
            assert!(script.silent());
        }
    }
}

#[test]
fn ev6_a_notify_says_event_with_id_state_with_the_time_left_and_contact() {
    let mut script = Script::new();
    let (key, _) = subscribed(&mut script, "conference;id=7");
    script.wait(seconds(20));
    document(&mut script, key);
    let notify = script.expect("NOTIFY");
    assert_eq!(notify.line("Event"), "conference;id=7");
    assert_eq!(notify.line("Subscription-State"), "active;expires=40");
    assert_eq!(notify.get("Contact"), "<sip:me@192.0.2.1:5060>");
}

#[test]
fn ev6_two_ids_in_one_call_are_two_subscriptions() {
    let mut script = Script::new();
    let (_call, mut peer) = script.called(CONTACT);
    let mut keys = Vec::new();
    for id in ["1", "2", "1"] {
        let more = format!("{CONTACT}Event: conference;id={id}\r\nExpires: 60\r\n");
        script.udp(&peer.asks("SUBSCRIBE", &more, "")).unwrap();
        let (key, _) = accept(&mut script);
        let notify = script.expect("NOTIFY");
        assert_eq!(notify.line("Event"), format!("conference;id={id}"));
        script.answer(&notify, 200, "", "");
        keys.push(key);
    }
    assert!(keys[0] != keys[1] && keys[0] == keys[2], "{keys:?}");
}

#[test]
fn ev7_what_a_notify_is_answered_removes_the_subscription_or_not() {
    let removing = [404, 405, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 604];
    for status in removing.into_iter().chain([400, 403, 500, 503, 603]) {
        let mut script = Script::new();
        let (key, _) = subscribed(&mut script, "conference");
        document(&mut script, key);
        let notify = script.expect("NOTIFY");
        script.answer(&notify, status, "", "");
        let gone = script.agent.load().subscriptions == 0;
        assert_eq!(gone, removing.contains(&status), "{status}");
        document(&mut script, key);
        assert_eq!(script.count("NOTIFY"), usize::from(!gone), "{status}");
    }
}

#[test]
fn ev7_a_notify_without_an_answer_removes_the_subscription() {
    let mut script = Script::new();
    let (key, _) = subscribed(&mut script, "conference");
    document(&mut script, key);
    script.wait(seconds(33));
    let Event::SubscriptionEnded { end, .. } = script.event() else { panic!() };
    assert_eq!(end, SubscriptionEnd::Failed { status: None });
}

#[test]
fn ev8_one_notify_is_in_flight_and_the_rest_waits_in_order() {
    let mut script = Script::new();
    let (key, _) = subscribed(&mut script, "conference");
    for n in 0..3 {
        let now = script.now;
        script.agent.notify(key, Some(Content::conference_info(format!("<{n}/>"))), None, now);
    }
    for n in 0..3 {
        let notify = script.expect("NOTIFY");
        assert!(notify.text.ends_with(&format!("<{n}/>")), "{}", notify.text);
        assert_eq!(script.count("NOTIFY"), 0, "{n}: the next one waits");
        script.answer(&notify, 200, "", "");
    }
}

#[test]
fn ev9_a_subscription_that_runs_out_says_so_in_its_last_notify() {
    let mut script = Script::new();
    let (_, mut peer) = subscribed(&mut script, "conference");
    script.wait(seconds(59));
    assert_eq!(script.count("NOTIFY"), 0);
    script.wait(seconds(1));
    let notify = script.expect("NOTIFY");
    assert_eq!(notify.line("Subscription-State"), "terminated;reason=timeout");
    let more = format!("{CONTACT}Event: conference\r\nExpires: 60\r\n");
    script.udp(&peer.asks("SUBSCRIBE", &more, "")).unwrap();
    let late = script.expect("SIP/2.0");
    assert!(late.first().starts_with("SIP/2.0 481"), "too late for a refresh: {}", late.text);
    script.answer(&notify, 200, "", "");
    let Event::SubscriptionEnded { end: SubscriptionEnd::Expired, .. } = script.event() else {
        panic!()
    };
}
