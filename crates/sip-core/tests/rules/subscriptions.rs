//! Subscriptions that share a call's dialog, and the subscriber's rules (RFC 6665 §4.1, RFC 4575).

use sip_core::{
    Again, Confirmed, Content, Event, Subscribe, SubscriptionEnd, SubscriptionKey, Transport, Uri,
};

use crate::script::{CONTACT, Peer, Script, Sent, answer, seconds};

const NOTIFY: &str = "Event: conference\r\nSubscription-State: ";

fn subscribe(script: &mut Script, call: &Confirmed, in_dialog: bool) -> (SubscriptionKey, Sent) {
    let target = Uri::parse("sip:conference@192.0.2.8").unwrap();
    let contact = Script::contact();
    let ask = Subscribe { call, target, in_dialog, expires: seconds(600), contact };
    let key = script.agent.subscribe(ask, script.now);
    let sent = script.expect("SUBSCRIBE");
    (key, sent)
}

/// Accepted and notified, in the call's dialog.
fn subscribed(script: &mut Script, call: &Confirmed, peer: &mut Peer) -> SubscriptionKey {
    let (key, sent) = subscribe(script, call, true);
    script.answer(&sent, 200, "Expires: 600\r\n", "");
    notify(script, peer, "active;expires=600");
    let Event::Notified { .. } = script.event() else { panic!() };
    key
}

fn notify(script: &mut Script, peer: &mut Peer, state: &str) -> Sent {
    let more = format!("{NOTIFY}{state}\r\n");
    let notify = peer.asks("NOTIFY", &more, "");
    script.udp(&notify).unwrap();
    script.expect("SIP/2.0")
}

/// A MESSAGE of ours goes out: the queue of the call is not stuck.
fn texts_still_go(script: &mut Script, call: &Confirmed) {
    let now = script.now;
    script.agent.message(call, None, Content::text("still here"), now);
    let message = script.expect("MESSAGE");
    script.answer(&message, 200, "", "");
}

fn is_end(event: &Event) -> bool {
    matches!(event, Event::SubscriptionEnded { .. })
}

#[test]
fn a_granted_time_beyond_all_bounds_counts_as_the_asked_one() {
    for state in ["active;expires=18446744073709551615", "active;expires=99999999999999999999999"] {
        let mut script = Script::new();
        let (call, mut peer) = script.dialled(CONTACT);
        let (_, sent) = subscribe(&mut script, &call, true);
        script.answer(&sent, 200, "Expires: 4294967295\r\n", "");
        notify(&mut script, &mut peer, state);
        script.wait(seconds(511));
        script.expect("SUBSCRIBE");
    }
}

#[test]
fn a_retry_after_beyond_all_bounds_is_cut() {
    let mut script = Script::new();
    let (call, mut peer) = script.dialled(CONTACT);
    subscribed(&mut script, &call, &mut peer);
    notify(&mut script, &mut peer, "terminated;reason=probation;retry-after=18446744073709551615");
    script.event();
    let Event::SubscriptionEnded { end: SubscriptionEnd::Terminated { retry_after, .. }, .. } =
        script.event()
    else {
        panic!()
    };
    assert!(script.now.checked_add(retry_after.unwrap()).is_some());
    assert!(retry_after.unwrap() <= seconds(86_400));
}

#[test]
fn a_last_notify_that_overtakes_the_answer_does_not_stop_the_texts() {
    let mut script = Script::new();
    let (call, mut peer) = script.dialled(CONTACT);
    let key = subscribed(&mut script, &call, &mut peer);
    let now = script.now;
    script.agent.resubscribe(key, seconds(0), now);
    let sent = script.expect("SUBSCRIBE");
    notify(&mut script, &mut peer, "terminated;reason=timeout");
    script.answer(&sent, 200, "Expires: 0\r\n", "");
    texts_still_go(&mut script, &call);
}

#[test]
fn ev12_timer_n_runs_from_the_subscribe_on_the_wire_not_from_its_queue() {
    let mut script = Script::new();
    let (call, _) = script.dialled(CONTACT);
    let now = script.now;
    script.agent.message(&call, None, Content::text("answered late"), now);
    script.agent.message(&call, None, Content::text("unanswered"), now);
    let message = script.expect("MESSAGE");
    let target = Uri::parse("sip:conference@192.0.2.8").unwrap();
    let contact = Script::contact();
    let ask = Subscribe { call: &call, target, in_dialog: true, expires: seconds(600), contact };
    script.agent.subscribe(ask, now);
    script.wait(seconds(10));
    script.answer(&message, 200, "", "");
    script.wait(seconds(40));
    let sent = script.expect("SUBSCRIBE");
    assert!(!script.events.iter().any(is_end), "its turn came after 42 s");
    script.answer(&sent, 200, "Expires: 600\r\n", "");
    script.wait(seconds(23));
    assert!(!script.events.iter().any(is_end), "31 s after it was sent");
    script.wait(seconds(2));
    let Some(Event::SubscriptionEnded { end, .. }) = script.events.iter().find(|one| is_end(one))
    else {
        panic!("Timer N did not fire")
    };
    assert_eq!(*end, SubscriptionEnd::Failed { status: None });
    texts_still_go(&mut script, &call);
}

fn notifier(script: &mut Script, peer: &mut Peer) -> SubscriptionKey {
    let more = format!("Event: conference\r\nExpires: 60\r\n{CONTACT}");
    let ask = peer.asks("SUBSCRIBE", &more, "");
    script.udp(&ask).unwrap();
    let Event::SubscribeReceived { subscribe, .. } = script.event() else { panic!() };
    let now = script.now;
    let key = script.agent.accept_subscribe(subscribe, seconds(60), Script::contact(), now);
    script.expect("SIP/2.0 200");
    key
}

#[test]
fn a_subscription_that_expires_under_its_last_notify_does_not_stop_the_texts() {
    let mut script = Script::new();
    let (call, mut peer) = script.called(CONTACT);
    notifier(&mut script, &mut peer);
    script.wait(seconds(50));
    // The last NOTIFY waits for this text, and is still out when the subscription is given up.
    let now = script.now;
    script.agent.message(&call, None, Content::text("unanswered"), now);
    script.wait(seconds(70));
    assert!(script.count("NOTIFY") > 0);
    assert!(script.events.iter().any(is_end));
    texts_still_go(&mut script, &call);
}

#[test]
fn subscriptions_of_a_call_end_with_it() {
    let mut script = Script::new();
    let (call, mut peer) = script.called(CONTACT);
    let theirs = notifier(&mut script, &mut peer);
    let ours = subscribed(&mut script, &call, &mut peer);
    script.udp(&peer.asks("BYE", "", "")).unwrap();
    let ended: Vec<SubscriptionKey> = script
        .events
        .iter()
        .filter_map(|event| match event {
            Event::SubscriptionEnded { subscription, .. } => Some(*subscription),
            _ => None,
        })
        .collect();
    assert!(ended.contains(&theirs) && ended.contains(&ours), "{ended:?}");
    assert_eq!(script.agent.load().subscriptions, 0);
    script.sent.clear();
    script.wait(seconds(1000));
    assert_eq!(script.count("SUBSCRIBE") + script.count("NOTIFY"), 0);
}

#[test]
fn the_last_notify_of_an_unsubscription_in_the_call_is_taken() {
    let mut script = Script::new();
    let (call, mut peer) = script.dialled(CONTACT);
    let key = subscribed(&mut script, &call, &mut peer);
    let now = script.now;
    script.agent.resubscribe(key, seconds(0), now);
    let sent = script.expect("SUBSCRIBE");
    script.answer(&sent, 200, "Expires: 0\r\n", "");
    let answer = notify(&mut script, &mut peer, "terminated;reason=timeout");
    assert!(answer.first().starts_with("SIP/2.0 200"), "{}", answer.text);
    script.event();
    let Event::SubscriptionEnded { end: SubscriptionEnd::Unsubscribed, .. } = script.event() else {
        panic!()
    };
}

#[test]
fn an_unsubscription_without_a_last_notify_ends_by_itself() {
    let mut script = Script::new();
    let (call, mut peer) = script.dialled(CONTACT);
    let key = subscribed(&mut script, &call, &mut peer);
    let now = script.now;
    script.agent.resubscribe(key, seconds(0), now);
    let sent = script.expect("SUBSCRIBE");
    script.answer(&sent, 200, "Expires: 0\r\n", "");
    script.wait(seconds(33));
    let Event::SubscriptionEnded { end: SubscriptionEnd::Unsubscribed, .. } = script.event() else {
        panic!()
    };
    assert_eq!(script.count("SUBSCRIBE"), 0);
}

#[test]
fn a_notify_of_no_subscription_in_a_live_call_is_489_because_481_ends_calls() {
    let mut script = Script::new();
    let (_call, mut peer) = script.dialled(CONTACT);
    let answer = notify(&mut script, &mut peer, "active");
    assert!(answer.first().starts_with("SIP/2.0 489"), "{}", answer.text);
}

#[test]
fn a_refresh_after_a_challenged_subscribe_counts_on() {
    let config = sip_core::Config {
        credentials: vec![sip_core::auth::Credentials {
            username: "u".into(),
            password: "p".into(),
            realm: None,
        }],
        ..sip_core::Config::default()
    };
    let mut script = Script::with(config);
    let (call, _) = script.dialled(CONTACT);
    let (_, sent) = subscribe(&mut script, &call, false);
    script.answer(&sent, 401, "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n", "");
    let again = script.expect("SUBSCRIBE");
    assert_eq!(again.get("CSeq"), "2 SUBSCRIBE");
    let mut peer = Peer {
        call_id: again.get("Call-ID"),
        local: format!("{};tag=focus", again.get("To")),
        remote: again.get("From"),
        cseq: 0,
    };
    let more = format!("{NOTIFY}active;expires=600\r\n{CONTACT}");
    script.udp(&peer.asks("NOTIFY", &more, "")).unwrap();
    script.answer(&again, 200, "Expires: 600\r\n", "");
    script.wait(seconds(511));
    assert_eq!(script.expect("SUBSCRIBE").get("CSeq"), "3 SUBSCRIBE");
}

/// The focus's side of a SUBSCRIBE outside of the call's dialog, with this tag.
fn focus(sent: &Sent, tag: &str) -> Peer {
    Peer {
        call_id: sent.get("Call-ID"),
        local: format!("{};tag={tag}", sent.get("To")),
        remote: sent.get("From"),
        cseq: 0,
    }
}

fn notify_outside(script: &mut Script, peer: &mut Peer, event: &str, state: &str) -> Sent {
    let more = format!("Event: {event}\r\nSubscription-State: {state}\r\n{CONTACT}");
    script.udp(&peer.asks("NOTIFY", &more, "")).unwrap();
    script.expect("SIP/2.0")
}

#[test]
fn ev10_a_notify_may_come_before_the_answer_to_its_subscribe() {
    let mut script = Script::new();
    let (call, _) = script.dialled(CONTACT);
    let (key, sent) = subscribe(&mut script, &call, false);
    let mut peer = focus(&sent, "focus");
    let answered = notify_outside(&mut script, &mut peer, "conference", "active;expires=600");
    assert!(answered.first().starts_with("SIP/2.0 200"), "{}", answered.text);
    let Event::Notified { subscription, .. } = script.event() else { panic!() };
    assert_eq!(subscription, key);
    script.udp(&answer(&sent.request(), 200, "focus", "Expires: 600\r\n", "")).unwrap();
    let answered = notify_outside(&mut script, &mut peer, "conference", "active;expires=600");
    assert!(answered.first().starts_with("SIP/2.0 200"), "{}", answered.text);
}

#[test]
fn ev11_a_notify_that_matches_no_subscription_is_481() {
    let mut script = Script::new();
    let (call, _) = script.dialled(CONTACT);
    let (_, sent) = subscribe(&mut script, &call, false);
    let right = focus(&sent, "focus");
    let wrong = [
        Peer { call_id: "another".into(), ..right.clone() },
        Peer { remote: format!("{}x", right.remote), ..right.clone() },
    ];
    for mut peer in wrong {
        let answered = notify_outside(&mut script, &mut peer, "conference", "active");
        assert!(answered.first().starts_with("SIP/2.0 481"), "{}", answered.text);
    }
    for event in ["refer", "conference;id=7", "presence"] {
        let answered = notify_outside(&mut script, &mut right.clone(), event, "active");
        assert!(answered.first().starts_with("SIP/2.0 481"), "{event}: {}", answered.text);
    }
    assert!(script.silent());
}

#[test]
fn ev11_of_a_forked_subscribe_the_first_dialog_counts_and_the_others_get_481() {
    let mut script = Script::new();
    let (call, _) = script.dialled(CONTACT);
    let (_, sent) = subscribe(&mut script, &call, false);
    let (mut first, mut second) = (focus(&sent, "first"), focus(&sent, "second"));
    second.cseq = 100;
    notify_outside(&mut script, &mut first, "conference", "active;expires=600");
    let answered = notify_outside(&mut script, &mut second, "conference", "active;expires=600");
    assert!(answered.first().starts_with("SIP/2.0 481"), "{}", answered.text);
    let answered = notify_outside(&mut script, &mut first, "conference", "active;expires=600");
    assert!(answered.first().starts_with("SIP/2.0 200"), "{}", answered.text);
}

/// Subscribed outside of the call's dialog; the refresh has gone out.
fn refreshing(script: &mut Script, call: &Confirmed) -> (Sent, Sent) {
    let (_, first) = subscribe(script, call, false);
    script.answer(&first, 200, "Expires: 600\r\n", "");
    let mut peer = focus(&first, "peertag");
    notify_outside(script, &mut peer, "conference", "active;expires=600");
    script.event();
    script.wait(seconds(511));
    let refresh = script.expect("SUBSCRIBE");
    assert_eq!(refresh.get("Call-ID"), first.get("Call-ID"));
    (first, refresh)
}

#[test]
fn ev12_a_refresh_that_is_refused_for_good_ends_the_subscription_and_the_next_has_its_own_call_id()
{
    for status in [404, 405, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 604] {
        let mut script = Script::new();
        let (call, _) = script.dialled(CONTACT);
        let (first, refresh) = refreshing(&mut script, &call);
        script.answer(&refresh, status, "", "");
        let Event::SubscriptionEnded { end, .. } = script.event() else { panic!("{status}") };
        assert_eq!(end, SubscriptionEnd::Failed { status: Some(status) });
        assert_eq!(end.again() == Again::AtOnce, status == 481, "{status}");
        script.sent.clear();
        let (_, anew) = subscribe(&mut script, &call, false);
        assert_ne!(anew.get("Call-ID"), first.get("Call-ID"));
        assert_ne!(anew.get("From"), first.get("From"));
        assert!(!anew.get("To").contains("tag="), "{}", anew.text);
    }
}

#[test]
fn ev12_a_refresh_that_fails_otherwise_leaves_what_is_left_of_the_time() {
    for status in [500, 503] {
        let mut script = Script::new();
        let (call, _) = script.dialled(CONTACT);
        let (first, refresh) = refreshing(&mut script, &call);
        script.answer(&refresh, status, "", "");
        assert!(script.silent(), "{status}");
        let mut peer = focus(&first, "peertag");
        peer.cseq = 5;
        let answered = notify_outside(&mut script, &mut peer, "conference", "active;expires=80");
        assert!(answered.first().starts_with("SIP/2.0 200"), "{}", answered.text);
        script.event();
        script.wait(seconds(90));
        assert!(script.events.iter().any(is_end), "its time ran out");
    }
}

#[test]
fn ev13_the_reason_of_the_end_says_whether_to_subscribe_again() {
    let after = |n| Again::After(seconds(n));
    let table = [
        ("deactivated", Again::AtOnce),
        ("deactivated;retry-after=30", Again::AtOnce),
        ("timeout", Again::AtOnce),
        ("probation;retry-after=30", after(30)),
        ("giveup;retry-after=7", after(7)),
        ("probation", after(60)),
        ("something-new;retry-after=5", after(5)),
        ("rejected;retry-after=30", Again::Never),
        ("noresource", Again::Never),
        ("invariant", Again::Never),
    ];
    for (reason, expected) in table {
        let mut script = Script::new();
        let (call, mut peer) = script.dialled(CONTACT);
        subscribed(&mut script, &call, &mut peer);
        notify(&mut script, &mut peer, &format!("terminated;reason={reason}"));
        script.event();
        let Event::SubscriptionEnded { end, .. } = script.event() else { panic!("{reason}") };
        assert_eq!(end.again(), expected, "{reason}");
    }
}

#[test]
fn ev12_a_notifier_that_wants_longer_gets_it() {
    // Outside of the call's dialog, inside of it, and at a refresh.
    for in_dialog in [false, true] {
        let mut script = Script::new();
        let (call, peer) = script.dialled(CONTACT);
        let (key, first) = subscribe(&mut script, &call, in_dialog);
        script.answer(&first, 423, "Min-Expires: 700\r\n", "");
        let again = script.expect("SUBSCRIBE");
        assert_eq!(again.get("Expires"), "700");
        assert_eq!(again.get("Call-ID"), first.get("Call-ID"));
        let number = |sent: &Sent| sent.request().headers.cseq().unwrap().number;
        assert_eq!(number(&again), number(&first) + 1);
        script.answer(&again, 200, "Expires: 700\r\n", "");
        let mut there = if in_dialog { peer.clone() } else { focus(&again, "peertag") };
        notify_outside(&mut script, &mut there, "conference", "active;expires=700");
        let Event::Notified { subscription, .. } = script.event() else { panic!() };
        assert_eq!(subscription, key);
        script.wait(seconds(596));
        let refresh = script.expect("SUBSCRIBE");
        assert_eq!(refresh.get("Expires"), "700");
        script.sent.clear();
        script.answer(&refresh, 423, "Min-Expires: 800\r\n", "");
        assert_eq!(script.expect("SUBSCRIBE").get("Expires"), "800");
        assert!(script.silent(), "{:?}", script.events);
    }
}

#[test]
fn ev12_a_notifier_cannot_make_us_ask_without_end() {
    let mut script = Script::new();
    let (call, _) = script.dialled(CONTACT);
    let (_, mut sent) = subscribe(&mut script, &call, false);
    for least in [601, 602, 603] {
        script.answer(&sent, 423, &format!("Min-Expires: {least}\r\n"), "");
        sent = script.expect("SUBSCRIBE");
    }
    script.answer(&sent, 423, "Min-Expires: 604\r\n", "");
    let Event::SubscriptionEnded { end, .. } = script.event() else { panic!() };
    assert_eq!(end, SubscriptionEnd::Failed { status: Some(423) });
    for more in ["", "Min-Expires: 600\r\n", "Min-Expires: 99999999\r\n"] {
        let (_, sent) = subscribe(&mut script, &call, false);
        script.answer(&sent, 423, more, "");
        let Event::SubscriptionEnded { .. } = script.event() else { panic!("{more}") };
        assert_eq!(script.count("SUBSCRIBE"), 0, "{more}");
    }
}

#[test]
fn news_that_went_to_where_the_peer_was_go_anew_to_where_it_is_and_hold_up_no_text() {
    let mut script = Script::new();
    let (call, mut peer) = script.called(CONTACT);
    let key = notifier(&mut script, &mut peer);
    let now = script.now;
    script.agent.notify(key, Some(Content::conference_info("<one/>")), None, now);
    let lost = script.expect("NOTIFY sip:peer@192.0.2.8:5060");
    script.agent.message(&call, None, Content::text("hello"), now);
    assert!(script.silent(), "one after the other");
    script.wait(seconds(1));
    let contact = "Contact: <sip:peer@192.0.2.9:5060>\r\n";
    script.udp(&peer.asks("UPDATE", contact, "")).unwrap();
    let again = script.expect("NOTIFY sip:peer@192.0.2.9:5060");
    assert_eq!(again.request().body, lost.request().body);
    assert_eq!(again.get("Event"), lost.get("Event"));
    script.answer(&again, 200, "", "");
    let text = script.expect("MESSAGE sip:peer@192.0.2.9:5060");
    script.answer(&text, 200, "", "");
    script.wait(seconds(40));
    assert!(!script.events.iter().any(is_end), "the one that was lost ends nothing");
}

#[test]
fn a_subscribe_that_went_to_where_the_peer_was_goes_anew_to_where_it_is() {
    let mut script = Script::new();
    let (call, mut peer) = script.dialled(CONTACT);
    let (_, lost) = subscribe(&mut script, &call, true);
    script.wait(seconds(1));
    let contact = "Contact: <sip:peer@192.0.2.9:5060>\r\n";
    script.udp(&peer.asks("UPDATE", contact, "")).unwrap();
    let again = script.expect("SUBSCRIBE sip:peer@192.0.2.9:5060");
    assert_eq!(again.get("Expires"), lost.get("Expires"));
    script.answer(&again, 200, "Expires: 600\r\n", "");
    notify(&mut script, &mut peer, "active;expires=600");
    assert!(script.events.drain(..).any(|event| matches!(event, Event::Notified { .. })));
    script.wait(seconds(40));
    assert!(!script.events.iter().any(is_end));
    texts_still_go(&mut script, &call);
}

#[test]
fn ci19_documents_of_a_subscription_by_tls_go_by_tls_or_not_at_all() {
    for (contact, again) in
        [("sip:peer@192.0.2.8", false), ("sip:peer@192.0.2.8;transport=tls", true)]
    {
        let mut script = Script::new();
        script.open_by(Transport::Tls, 1, "192.0.2.8:40000");
        let more = format!("Event: conference\r\nExpires: 600\r\nContact: <{contact}>\r\n");
        let ask = script.asks("SUBSCRIBE", &more, "");
        script.stream(1, &ask.replace("SIP/2.0/UDP", "SIP/2.0/TLS")).unwrap();
        let Event::SubscribeReceived { subscribe, .. } = script.event() else { panic!() };
        let now = script.now;
        let key = script.agent.accept_subscribe(subscribe, seconds(600), Script::contact(), now);
        script.expect("SIP/2.0 200");
        let tell = |script: &mut Script| {
            let document = Content::conference_info("<secret/>");
            script.agent.notify(key, Some(document), None, script.now);
        };
        tell(&mut script);
        let notify = script.expect("NOTIFY");
        assert_eq!(notify.flow.transport, Transport::Tls, "{contact}");
        script.stream(1, &answer(&notify.request(), 200, "", "", "")).unwrap();
        script.close(1, false);
        tell(&mut script);
        assert_eq!(script.count("NOTIFY"), 0, "{contact}: nothing goes in the clear");
        let connect = script.connects.pop();
        assert_eq!(connect.map(|connect| connect.transport), again.then_some(Transport::Tls));
        if !again {
            assert!(is_end(&script.event()), "the subscriber asks anew, if he likes");
        }
    }
}
