//! REFER as the one who is asked (RFC 3515, RFC 3892, RFC 4488).

use sip_core::{
    CallKey, Event, Failure, PendingRefer, ReferTo, StatusCode, SubscriptionKey, Transport,
};

use crate::script::{CONTACT, Peer, Script, Sent, millis, seconds};

const CAROL: &str = "Refer-To: <sip:carol@192.0.2.9>\r\n";

/// A REFER outside of dialogs.
fn refer(script: &mut Script, more: &str) {
    let ask = script.asks("REFER", &format!("{CONTACT}{more}"), "");
    script.udp(&ask).unwrap();
}

fn referred(script: &mut Script) -> (PendingRefer, Option<CallKey>, ReferTo) {
    let Event::Referred { refer, call, refer_to, .. } = script.event() else { panic!() };
    (refer, call, *refer_to)
}

fn accept(script: &mut Script, refer: PendingRefer) -> Option<SubscriptionKey> {
    let now = script.now;
    script.agent.accept_refer(refer, Script::contact(), now)
}

/// In the call's dialog, accepted: its key and the first NOTIFY.
fn accepted(script: &mut Script, peer: &mut Peer) -> (SubscriptionKey, Sent) {
    script.udp(&peer.asks("REFER", &format!("{CONTACT}{CAROL}"), "")).unwrap();
    let (refer, ..) = referred(script);
    let key = accept(script, refer).unwrap();
    script.expect("SIP/2.0 202");
    let notify = script.expect("NOTIFY");
    (key, notify)
}

fn progress(script: &mut Script, key: SubscriptionKey, status: u16) {
    let now = script.now;
    script.agent.refer_progress(key, StatusCode::new(status).unwrap(), now);
}

#[test]
fn rf1_a_refer_has_one_refer_to_with_an_address_of_sip() {
    let cases = [
        ("", "400"),
        ("Refer-To: <sip:a@b>\r\nRefer-To: <sip:c@d>\r\n", "400"),
        ("Refer-To: <sip:a@b>\r\nr: <sip:c@d>\r\n", "400"),
        ("Refer-To: <sip:a@b>, <sip:c@d>\r\n", "400"),
        ("Refer-To: nonsense\r\n", "400"),
        ("Refer-To: <tel:+4930>\r\n", "416"),
        ("Refer-To: <http://example.org/>\r\n", "416"),
        ("Refer-To: <sip:a@b?Replaces=nonsense>\r\n", "400"),
        ("Refer-To: <sip:a@b>\r\nReferred-By: <sip:c@d>\r\nb: <sip:e@f>\r\n", "400"),
        ("Refer-To: <sip:a@b>\r\nReferred-By: \"x\r\n", "400"),
    ];
    for (more, status) in cases {
        let mut script = Script::new();
        refer(&mut script, more);
        let answer = script.expect("SIP/2.0");
        assert!(
            answer.first().starts_with(&format!("SIP/2.0 {status}")),
            "{more}: {}",
            answer.text
        );
        let (_call, mut peer) = script.called(CONTACT);
        script.udp(&peer.asks("REFER", &format!("{CONTACT}{more}"), "")).unwrap();
        let answer = script.expect("SIP/2.0");
        assert!(
            answer.first().starts_with(&format!("SIP/2.0 {status}")),
            "{more}: {}",
            answer.text
        );
        assert!(script.silent(), "{more}");
    }
}

#[test]
fn rf2_a_refer_is_202_and_its_outcome_is_told_from_100_to_the_end() {
    let mut script = Script::new();
    let (_call, mut peer) = script.called(CONTACT);
    let (key, notify) = accepted(&mut script, &mut peer);
    assert_eq!(notify.line("Event"), "refer");
    assert_eq!(notify.line("Content-Type"), "message/sipfrag;version=2.0");
    assert!(notify.line("Subscription-State").starts_with("active;expires="), "{}", notify.text);
    assert!(notify.text.ends_with("\r\n\r\nSIP/2.0 100 Trying\r\n"), "{}", notify.text);
    script.answer(&notify, 200, "", "");
    let early = script.invite_to(Script::flow(Transport::Udp), "sip:carol@192.0.2.9");
    script.agent.follow_refer(key, early.key());
    let invite = script.expect("INVITE");
    script.wait(seconds(2));
    script.answer(&invite, 180, "", "");
    let notify = script.expect("NOTIFY");
    assert!(notify.text.ends_with("SIP/2.0 180 Ringing\r\n"), "{}", notify.text);
    script.answer(&notify, 200, "", "");
    script.wait(seconds(2));
    script.answer(&invite, 200, CONTACT, "v=0\r\n");
    let notify = script.expect("NOTIFY");
    assert_eq!(notify.line("Subscription-State"), "terminated;reason=noresource");
    assert!(notify.text.ends_with("SIP/2.0 200 OK\r\n"), "{}", notify.text);
    script.answer(&notify, 200, "", "");
    script.wait(seconds(600));
    assert_eq!(script.count("NOTIFY"), 0);
    assert_eq!(script.agent.load().subscriptions, 0);
}

#[test]
fn rf2_a_call_that_fails_is_told_with_its_status() {
    for (status, told) in [(Some(486), "486"), (Some(603), "603"), (None, "408")] {
        let mut script = Script::new();
        refer(&mut script, CAROL);
        let (pending, call, _) = referred(&mut script);
        assert_eq!(call, None);
        let key = accept(&mut script, pending).unwrap();
        let notify = script.expect("NOTIFY");
        script.answer(&notify, 200, "", "");
        let early = script.invite_to(Script::flow(Transport::Udp), "sip:carol@192.0.2.9");
        script.agent.follow_refer(key, early.key());
        let invite = script.expect("INVITE");
        script.wait(seconds(2));
        match status {
            Some(status) => script.answer(&invite, status, "", ""),
            None => script.wait(seconds(31)),
        }
        let notify = script.expect("NOTIFY");
        assert_eq!(notify.line("Subscription-State"), "terminated;reason=noresource");
        let line = format!("\r\n\r\nSIP/2.0 {told} ");
        assert!(notify.text.contains(&line), "{}", notify.text);
    }
}

#[test]
fn rf2_the_news_go_on_when_the_call_they_came_by_is_hung_up() {
    let mut script = Script::new();
    let (_call, mut peer) = script.called(CONTACT);
    let (key, notify) = accepted(&mut script, &mut peer);
    script.answer(&notify, 200, "", "");
    script.udp(&peer.asks("BYE", "", "")).unwrap();
    script.wait(seconds(2));
    progress(&mut script, key, 200);
    let last = script.expect("NOTIFY");
    assert_eq!(last.get("Call-ID"), notify.get("Call-ID"));
    let number = |sent: &Sent| sent.request().headers.cseq().unwrap().number;
    assert_eq!(number(&last), number(&notify) + 1);
    assert_eq!(last.line("Subscription-State"), "terminated;reason=noresource");
    script.answer(&last, 200, "", "");
    assert_eq!(script.agent.load().subscriptions, 0);
}

#[test]
fn rf2_news_that_wait_for_a_text_survive_the_end_of_the_call() {
    let mut script = Script::new();
    let (call, mut peer) = script.called(CONTACT);
    let (key, notify) = accepted(&mut script, &mut peer);
    script.answer(&notify, 200, "", "");
    script.wait(seconds(2));
    let now = script.now;
    script.agent.message(&call, None, sip_core::Content::text("in the way"), now);
    progress(&mut script, key, 486);
    assert_eq!(script.count("NOTIFY"), 0);
    script.udp(&peer.asks("BYE", "", "")).unwrap();
    let last = script.expect("NOTIFY");
    assert!(last.text.ends_with("SIP/2.0 486 Busy Here\r\n"), "{}", last.text);
    assert_eq!(last.line("Subscription-State"), "terminated;reason=noresource");
}

#[test]
fn rf3_the_second_refer_of_a_dialog_has_the_id_of_its_cseq() {
    let mut script = Script::new();
    let (_call, mut peer) = script.called(CONTACT);
    let (first, notify) = accepted(&mut script, &mut peer);
    assert_eq!(notify.line("Event"), "refer");
    script.answer(&notify, 200, "", "");
    let (second, notify) = accepted(&mut script, &mut peer);
    assert_eq!(notify.line("Event"), format!("refer;id={}", peer.cseq));
    script.answer(&notify, 200, "", "");
    script.wait(seconds(2));
    progress(&mut script, first, 486);
    let notify = script.expect("NOTIFY");
    assert_eq!(notify.line("Event"), "refer");
    script.answer(&notify, 200, "", "");
    progress(&mut script, second, 200);
    assert_eq!(script.expect("NOTIFY").line("Event"), format!("refer;id={}", peer.cseq));
}

#[test]
fn rf4_at_most_one_notify_goes_in_a_second_and_it_has_the_newest() {
    let mut script = Script::new();
    let (_call, mut peer) = script.called(CONTACT);
    let (key, notify) = accepted(&mut script, &mut peer);
    script.answer(&notify, 200, "", "");
    for status in [180, 181, 182, 183, 200] {
        script.wait(millis(150));
        progress(&mut script, key, status);
    }
    assert_eq!(script.count("NOTIFY"), 0, "750 ms after the first");
    script.wait(millis(250));
    let notify = script.expect("NOTIFY");
    assert!(notify.text.ends_with("SIP/2.0 200 OK\r\n"), "{}", notify.text);
    progress(&mut script, key, 486);
    script.answer(&notify, 200, "", "");
    script.wait(seconds(5));
    assert_eq!(script.count("NOTIFY"), 0, "the final one is the last");
}

#[test]
fn rf5_a_subscribe_to_no_refer_is_403_and_one_to_a_refer_is_answered_with_its_state() {
    let mut script = Script::new();
    let ask = script.asks("SUBSCRIBE", &format!("{CONTACT}Event: refer\r\n"), "");
    script.udp(&ask).unwrap();
    assert!(script.expect("SIP/2.0").first().starts_with("SIP/2.0 403"));
    let (_call, mut peer) = script.called(CONTACT);
    let ask = format!("{CONTACT}Event: refer\r\nExpires: 100\r\n");
    script.udp(&peer.asks("SUBSCRIBE", &ask, "")).unwrap();
    assert!(script.expect("SIP/2.0").first().starts_with("SIP/2.0 403"));
    let (key, notify) = accepted(&mut script, &mut peer);
    script.answer(&notify, 200, "", "");
    let other = format!("{CONTACT}Event: refer;id=77\r\nExpires: 100\r\n");
    script.udp(&peer.asks("SUBSCRIBE", &other, "")).unwrap();
    assert!(script.expect("SIP/2.0").first().starts_with("SIP/2.0 403"));
    script.wait(seconds(2));
    progress(&mut script, key, 180);
    let notify = script.expect("NOTIFY");
    script.answer(&notify, 200, "", "");
    script.wait(seconds(2));
    script.udp(&peer.asks("SUBSCRIBE", &ask, "")).unwrap();
    assert_eq!(script.expect("SIP/2.0 200").get("Expires"), "100");
    let notify = script.expect("NOTIFY");
    assert_eq!(notify.line("Subscription-State"), "active;expires=100");
    assert!(notify.text.ends_with("SIP/2.0 180 Ringing\r\n"));
    script.answer(&notify, 200, "", "");
    let end = format!("{CONTACT}Event: refer\r\nExpires: 0\r\n");
    script.udp(&peer.asks("SUBSCRIBE", &end, "")).unwrap();
    let notify = script.expect("NOTIFY");
    assert_eq!(notify.line("Subscription-State"), "terminated;reason=timeout");
    script.answer(&notify, 200, "", "");
    assert_eq!(script.agent.load().subscriptions, 0);
    assert!(script.silent());
}

#[test]
fn rf6_who_does_not_want_to_be_told_is_not() {
    for in_dialog in [true, false] {
        let mut script = Script::new();
        let more = format!("{CONTACT}{CAROL}Refer-Sub: false\r\nRequire: norefersub\r\n");
        let ask = if in_dialog {
            script.called(CONTACT).1.asks("REFER", &more, "")
        } else {
            script.asks("REFER", &more, "")
        };
        script.udp(&ask).unwrap();
        let (pending, ..) = referred(&mut script);
        assert_eq!(accept(&mut script, pending), None);
        let answer = script.expect("SIP/2.0 202");
        assert_eq!(answer.line("Refer-Sub"), "false");
        script.wait(seconds(60));
        assert_eq!(script.count("NOTIFY"), 0);
        assert_eq!(script.agent.load().subscriptions, 0);
    }
}

#[test]
fn rf10_of_the_headers_in_a_refer_to_only_replaces_gets_through() {
    let mut script = Script::new();
    let target = "sip:carol@192.0.2.9?Replaces=a%40b%3Bto-tag%3D1%3Bfrom-tag%3D2\
                  &From=sip%3Aboss%40x&Via=v&Route=%3Csip%3Ae%3E&Contact=c&Authorization=d&body=x";
    refer(
        &mut script,
        &format!("Refer-To: <{target}>\r\nReferred-By: <sip:bob@x>;cid=\"1@x\"\r\n"),
    );
    let Event::Referred { refer: pending, refer_to, referred_by, .. } = script.event() else {
        panic!()
    };
    assert_eq!(refer_to.address.to_string(), "<sip:carol@192.0.2.9>");
    let replaces = refer_to.replaces.unwrap();
    assert_eq!((replaces.call_id.as_str(), replaces.to_tag.as_str()), ("a@b", "1"));
    assert_eq!(referred_by.unwrap().to_string(), "<sip:bob@x>");
    let now = script.now;
    script.agent.reject_refer(pending, Failure::new(603).unwrap(), now);
    assert!(script.expect("SIP/2.0").first().starts_with("SIP/2.0 603"));
    for method in ["bye", "REFER", "SUBSCRIBE", "MESSAGE"] {
        refer(&mut script, &format!("Refer-To: <sip:carol@192.0.2.9;method={method}>\r\n"));
        assert!(script.expect("SIP/2.0").first().starts_with("SIP/2.0 603"), "{method}");
    }
    assert!(script.silent());
}
