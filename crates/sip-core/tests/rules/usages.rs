//! What a failure inside a dialog takes with it, code by code (RFC 5057 §5).

use std::time::Duration;

use sip_core::{
    Confirmed, Content, EndReason, Event, KeyPress, Load, Outcome, Subscribe, SubscriptionKey,
    Transport, Uri,
};

use crate::script::{CONTACT, PEER, Peer, Script, Sent, answer, millis, seconds};

/// A little more than 64·T1, and less than it takes to repeat what goes out then.
const TIMER: Duration = Duration::from_millis(32_100);

/// What is left of a call and of the news of a REFER in its dialog.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Left {
    Both,
    Call,
    Neither,
    News,
}

/// The table of the RFC, as it is meant for a re-INVITE.
fn of_the_call(status: u16) -> Left {
    match status {
        405 | 408 | 480 | 481 | 501 => Left::News,
        404 | 410 | 416 | 482 | 483 | 484 | 485 | 502 | 604 => Left::Neither,
        _ => Left::Both,
    }
}

/// The same for a NOTIFY.
fn of_the_news(status: u16) -> Left {
    match of_the_call(status) {
        Left::News => Left::Call,
        _ if status == 489 => Left::Call,
        left => left,
    }
}

/// A call whose dialog also has the news of a REFER.
struct Scene {
    script: Script,
    call: Confirmed,
    peer: Peer,
    news: SubscriptionKey,
}

impl Scene {
    fn new() -> Self {
        let mut script = Script::new();
        let (call, mut peer) = script.dialled(CONTACT);
        let refer = peer.asks("REFER", &format!("{CONTACT}Refer-To: <sip:c@192.0.2.9>\r\n"), "");
        script.udp(&refer).unwrap();
        let Event::Referred { refer, .. } = script.event() else { panic!() };
        let news = script.agent.accept_refer(refer, Script::contact(), script.now).unwrap();
        let notify = script.expect("NOTIFY");
        script.answer(&notify, 200, "", "");
        script.wait(millis(1500));
        script.events.clear();
        script.sent.clear();
        Self { script, call, peer, news }
    }

    fn reinvite(&mut self) -> Sent {
        let (offer, now) = (Content::sdp("v=0\r\n"), self.script.now);
        self.script.agent.reinvite(&self.call, Script::contact(), offer, now);
        self.script.expect("INVITE")
    }

    fn notify(&mut self) -> Sent {
        let ringing = sip_core::StatusCode::RINGING;
        self.script.agent.refer_progress(self.news, ringing, self.script.now);
        self.script.expect("NOTIFY")
    }

    /// What there is now, by what the agent holds.
    fn left(&mut self) -> Left {
        let Load { calls, subscriptions, .. } = self.script.agent.load();
        match (calls, subscriptions) {
            (1, 1) => Left::Both,
            (1, 0) => Left::Call,
            (0, 1) => Left::News,
            (0, 0) => Left::Neither,
            more => panic!("{more:?}"),
        }
    }

    /// That what is left does work, and that what is gone was told of.
    fn check(mut self, expected: Left, what: &str) {
        assert_eq!(self.left(), expected, "{what}");
        let ended = self.script.events.iter().filter(|event| matches!(event, Event::Ended { .. }));
        let reasons: Vec<&Event> = ended.collect();
        let is_lost = |event: &&Event| matches!(event, Event::Ended { reason: EndReason::PeerLost, call } if *call == self.call.key());
        let byes = self.script.sent.iter().filter(|sent| sent.text.starts_with("BYE")).count();
        self.script.sent.retain(|sent| !sent.text.starts_with("BYE"));
        match expected {
            Left::Both | Left::Call => assert_eq!((reasons.len(), byes), (0, 0), "{what}"),
            Left::Neither | Left::News => {
                assert!(reasons.len() == 1 && reasons.iter().all(is_lost), "{what}");
                assert_eq!(byes, 1, "{what}");
            }
        }
        if matches!(expected, Left::Both | Left::Call) {
            let (text, now) = (Content::text("still here"), self.script.now);
            self.script.agent.message(&self.call, None, text, now);
            let message = self.script.expect("MESSAGE");
            self.script.answer(&message, 200, "", "");
        }
        self.script.wait(seconds(2));
        let done = sip_core::StatusCode::OK;
        self.script.agent.refer_progress(self.news, done, self.script.now);
        let tells = self.script.sent.iter().any(|sent| sent.text.contains("Event: refer"));
        let tells = tells || self.script.count("NOTIFY") > 0;
        assert_eq!(tells, matches!(expected, Left::Both | Left::News), "{what}");
        let more = self.peer.asks("OPTIONS", "", "");
        self.script.udp(&more).unwrap();
        let expected = if expected == Left::Neither || expected == Left::News { 481 } else { 200 };
        self.script.expect(&format!("SIP/2.0 {expected}"));
    }
}

/// All failures; 401 and 407 come without a challenge, so that they are final.
fn codes() -> impl Iterator<Item = u16> {
    300..=699
}

#[test]
fn ua14_each_code_of_a_reinvite_reaches_as_far_as_the_table_says() {
    for status in codes() {
        let mut scene = Scene::new();
        let reinvite = scene.reinvite();
        scene.script.answer(&reinvite, status, "", "");
        scene.check(of_the_call(status), &format!("re-INVITE {status}"));
    }
}

#[test]
fn ua14_each_code_of_a_notify_reaches_as_far_as_the_table_says() {
    for status in codes() {
        let mut scene = Scene::new();
        let notify = scene.notify();
        scene.script.answer(&notify, status, "", "");
        scene.check(of_the_news(status), &format!("NOTIFY {status}"));
    }
}

#[test]
fn ua14_each_code_of_update_and_info_reaches_as_far_as_the_table_says() {
    for (status, method) in codes().flat_map(|status| [(status, "UPDATE"), (status, "INFO")]) {
        let mut scene = Scene::new();
        let now = scene.script.now;
        if method == "UPDATE" {
            scene.script.agent.update(&scene.call, None, now);
        } else {
            scene.script.agent.send_digit(&scene.call, KeyPress::new('1', None).unwrap(), now);
        }
        let sent = scene.script.expect(method);
        scene.script.answer(&sent, status, "", "");
        // A peer that does not know these has not lost the call.
        let expected = match status {
            405 | 501 => Left::Both,
            _ => of_the_call(status),
        };
        scene.check(expected, &format!("{method} {status}"));
    }
}

#[test]
fn ua14_each_code_of_a_refresh_reaches_as_far_as_the_table_says() {
    for status in codes() {
        let mut script = Script::new();
        let (call, mut peer) = script.dialled(CONTACT);
        let target = Uri::parse("sip:conference@192.0.2.8").unwrap();
        let contact = Script::contact();
        let (expires, now) = (seconds(600), script.now);
        let ask = Subscribe { call: &call, target, in_dialog: true, expires, contact };
        let key = script.agent.subscribe(ask, now);
        let sent = script.expect("SUBSCRIBE");
        script.answer(&sent, 200, "Expires: 600\r\n", "");
        let state = "Event: conference\r\nSubscription-State: active;expires=600\r\n";
        script.udp(&peer.asks("NOTIFY", state, "")).unwrap();
        script.agent.resubscribe(key, seconds(600), now);
        let refresh = script.expect("SUBSCRIBE");
        script.answer(&refresh, status, "", "");
        let Load { calls, subscriptions, .. } = script.agent.load();
        let expected = match of_the_news(status) {
            // RFC 6665 §4.1.2.2: what is left of the time.
            _ if status == 408 => (1, 1),
            Left::Both => (1, 1),
            Left::Call => (1, 0),
            Left::Neither | Left::News => (0, 0),
        };
        assert_eq!((calls, subscriptions), expected, "SUBSCRIBE {status}");
    }
}

#[test]
fn ua14_each_code_of_a_refer_leaves_the_call_unless_the_dialog_is_lost() {
    for status in codes() {
        let mut scene = Scene::new();
        let to = sip_core::Target::Address(Uri::parse("sip:carol@192.0.2.9").unwrap());
        let refer = sip_core::Refer { call: &scene.call, to };
        let now = scene.script.now;
        scene.script.agent.refer(refer, now);
        let sent = scene.script.expect("REFER");
        scene.script.answer(&sent, status, "", "");
        // What may be said of the Refer-To is not taken as said of the dialog.
        let expected = match status {
            482 | 483 | 502 => Left::Neither,
            _ => Left::Both,
        };
        scene.check(expected, &format!("REFER {status}"));
    }
}

#[test]
fn ua14_each_code_of_a_bye_ends_the_news_only_where_the_dialog_is_lost() {
    for status in codes() {
        let Scene { mut script, call, news, .. } = Scene::new();
        script.agent.bye(call, None, script.now);
        let bye = script.expect("BYE");
        script.answer(&bye, status, "", "");
        script.agent.refer_progress(news, sip_core::StatusCode::OK, script.now);
        let tells = script.count("NOTIFY") == 1;
        assert_eq!(tells, of_the_call(status) != Left::Neither, "BYE {status}");
    }
}

#[test]
fn ua14_a_prack_that_finds_no_early_dialog_ends_that_one_only() {
    for (status, stays) in [(481, false), (404, false), (408, false), (400, true), (501, true)] {
        let mut script = Script::new();
        let (_early, invite) = script.invite(Transport::Udp);
        let ask = |script: &mut Script, tag: &str, rseq: u32| {
            let more = format!("Require: 100rel\r\nRSeq: {rseq}\r\n{CONTACT}");
            script.udp(&answer(&invite.request(), 180, tag, &more, "")).unwrap();
            let peer = Peer {
                call_id: invite.get("Call-ID"),
                local: format!("{};tag={tag}", invite.get("To")),
                remote: invite.get("From"),
                cseq: rseq,
            };
            (peer, script.expect("PRACK"))
        };
        let (mut one, prack) = ask(&mut script, "one", 1);
        let (mut other, _) = ask(&mut script, "other", 20);
        script.answer(&prack, status, "", "");
        script.udp(&one.asks("OPTIONS", "", "")).unwrap();
        let first = script.expect("SIP/2.0");
        assert_eq!(first.first().starts_with("SIP/2.0 200"), stays, "{status}: {}", first.first());
        script.udp(&other.asks("OPTIONS", "", "")).unwrap();
        script.expect("SIP/2.0 200");
        // The final response of the INVITE has the last word.
        script.events.clear();
        script.udp(&answer(&invite.request(), 200, "other", CONTACT, "v=0\r\n")).unwrap();
        assert!(matches!(script.event(), Event::Answered { .. }), "{status}");
    }
}

#[test]
fn ua13_silence_ends_the_usage_of_the_request_and_a_way_that_fails_ends_nothing() {
    type Ask = fn(&mut Scene) -> Sent;
    let update: Ask = |scene| {
        let now = scene.script.now;
        scene.script.agent.update(&scene.call, None, now);
        scene.script.expect("UPDATE")
    };
    let asks: [(Ask, Left); 3] =
        [(Scene::reinvite, Left::News), (update, Left::News), (Scene::notify, Left::Call)];
    for (ask, left) in asks {
        let mut scene = Scene::new();
        let sent = ask(&mut scene);
        scene.script.wait(TIMER);
        scene.script.sent.retain(|sent| sent.text.starts_with("BYE"));
        scene.check(left, sent.first());
        let mut scene = Scene::new();
        let sent = ask(&mut scene);
        scene.script.unreachable(PEER);
        scene.script.sent.clear();
        scene.check(Left::Both, sent.first());
    }
}

#[test]
fn ua13_481_and_408_end_the_call_and_a_text_or_a_question_never_does() {
    for status in [481, 408] {
        let mut scene = Scene::new();
        let reinvite = scene.reinvite();
        scene.script.answer(&reinvite, status, "", "");
        let Event::Completed { outcome: Outcome::Answered(response), .. } = scene.script.event()
        else {
            panic!("{status}")
        };
        assert_eq!(response.status.code(), status);
        scene.check(Left::News, &format!("re-INVITE {status}"));
    }
    for (status, method) in codes().flat_map(|status| [(status, "MESSAGE"), (status, "OPTIONS")]) {
        let mut scene = Scene::new();
        let now = scene.script.now;
        if method == "MESSAGE" {
            scene.script.agent.message(&scene.call, None, Content::text("x"), now);
        } else {
            scene.script.agent.options(&scene.call, now);
        }
        let sent = scene.script.expect(method);
        scene.script.answer(&sent, status, "", "");
        scene.check(Left::Both, &format!("{method} {status}"));
    }
    let mut scene = Scene::new();
    let (text, now) = (Content::text("x"), scene.script.now);
    scene.script.agent.message(&scene.call, None, text, now);
    scene.script.expect("MESSAGE");
    scene.script.wait(TIMER);
    scene.script.sent.clear();
    scene.check(Left::Both, "a text without an answer");
}
