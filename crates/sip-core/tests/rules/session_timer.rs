//! Session timers (RFC 4028): who refreshes when, and what happens where nobody does.

use sip_core::message::SessionExpires;
use sip_core::{Content, EndReason, Event, Input, Outcome, StatusCode, Transport};

use crate::script::{CONTACT, Peer, Script, seconds};

const UPDATES: &str = "Allow: INVITE, ACK, BYE, UPDATE\r\n";
const PLAIN: &str = "Allow: INVITE, ACK, BYE\r\n";
const TIMER: &str = "Supported: timer\r\n";
const SDP: &str = "Content-Type: application/sdp\r\n";
const THEIRS: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.8\r\nm=audio 4 RTP/AVP 0\r\n";

/// Session-Expires as a line.
fn lasts(value: &str) -> String {
    format!("Session-Expires: {value}\r\n")
}

/// What a 2xx of the peer says, beside its Contact.
fn says(timer: &str, allow: &str) -> String {
    format!("{CONTACT}{}Require: timer\r\n{allow}", lasts(timer))
}

fn ours() -> Content {
    Content::sdp("v=0\r\no=- 7 7 IN IP4 192.0.2.1\r\nm=audio 2 RTP/AVP 0\r\n")
}

#[test]
fn ua25_an_invite_asks_for_half_an_hour_and_names_what_it_takes() {
    let mut script = Script::new();
    let (_early, invite) = script.invite(Transport::Udp);
    assert_eq!((invite.get("Session-Expires"), invite.get("Min-SE")), ("1800".into(), "90".into()));
    assert!(invite.all("Supported").contains(&"timer".to_owned()));
}

#[test]
fn ua25_who_refreshes_does_at_half_of_the_interval_by_an_update_without_a_description() {
    let mut script = Script::new();
    let (_call, _) = script.dialled(&says("1200;refresher=uac", UPDATES));
    script.expect("ACK");
    for _ in 0..3 {
        script.wait(seconds(599));
        assert_eq!(script.count(""), 0);
        script.wait(seconds(1));
        let update = script.expect("UPDATE");
        assert_eq!(update.request().body, "");
        assert_eq!(update.get("Session-Expires"), "1200;refresher=uac");
        assert_eq!(update.get("Min-SE"), "90");
        script.answer(&update, 200, &says("1200;refresher=uac", ""), "");
    }
    assert!(script.silent(), "nobody asked for it");
}

#[test]
fn ua25_without_update_a_refresh_repeats_our_description_in_a_reinvite() {
    let mut script = Script::new();
    let (call, _) = script.called(&format!("{CONTACT}{TIMER}{PLAIN}{}", lasts("1800")));
    let now = script.now;
    let id = script.agent.reinvite(&call, Script::contact(), ours(), now);
    let reinvite = script.expect("INVITE");
    let more = format!("{}{SDP}", says("1800;refresher=uac", ""));
    script.answer(&reinvite, 200, &more, THEIRS);
    let Event::Completed { request, .. } = script.event() else { panic!() };
    assert_eq!(request, id);
    for (theirs, tells) in [(THEIRS, false), (&*THEIRS.replace("audio 4", "audio 6"), true)] {
        script.wait(seconds(900));
        let refresh = script.expect("INVITE");
        assert_eq!(refresh.request().body, ours().body);
        assert_eq!(refresh.get("Session-Expires"), "1800;refresher=uac");
        script.answer(&refresh, 200, &more, theirs);
        script.expect("ACK");
        if tells {
            let Event::Reanswered { response, .. } = script.event() else { panic!() };
            assert_eq!(response.body, theirs);
        }
        assert!(script.silent());
    }
    let sent = script.agent.local_description(call.key()).unwrap();
    assert_eq!(*sent, ours());
}

#[test]
fn ua25_a_2xx_says_who_refreshes() {
    for (asks, says, requires) in [
        (format!("{TIMER}{}", lasts("1200")), "1200;refresher=uas", true),
        (format!("{TIMER}{}", lasts("1200;refresher=uac")), "1200;refresher=uac", true),
        (format!("{TIMER}{}", lasts("90;refresher=uas")), "90;refresher=uas", true),
        ("Require: timer\r\nx: 3600;refresher=uac\r\n".to_owned(), "3600;refresher=uac", true),
        (TIMER.to_owned(), "1800;refresher=uas", true),
        (format!("{TIMER}Min-SE: 2400\r\n"), "2400;refresher=uas", true),
        // A proxy asks, for a caller that knows nothing of it.
        (lasts("1200"), "1200;refresher=uas", false),
        (lasts("20"), "", false),
        (lasts("nonsense"), "", false),
        (String::new(), "", false),
    ] {
        let more = format!("{CONTACT}{asks}");
        let check = |ok: crate::script::Sent| {
            assert_eq!(ok.get("Session-Expires"), says, "{asks}");
            assert_eq!(ok.all("Require").contains(&"timer".to_owned()), requires, "{asks}");
            assert!(ok.all("Supported").contains(&"timer".to_owned()));
        };
        let mut script = Script::new();
        let invite = script.asks("INVITE", &more, "");
        script.udp(&invite).unwrap();
        let Event::Invited { call, .. } = script.event() else { panic!() };
        let now = script.now;
        let _unacked = script.agent.accept(call, Script::contact(), ours(), now);
        check(script.expect("SIP/2.0 200"));
        // The same in a call, by re-INVITE and by UPDATE.
        let mut script = Script::new();
        let (_call, mut peer) = script.called(CONTACT);
        script.udp(&peer.asks("UPDATE", &more, "")).unwrap();
        check(script.expect("SIP/2.0 200"));
        script.udp(&peer.asks("UPDATE", &format!("{more}{SDP}"), THEIRS)).unwrap();
        let Event::Updated { update, .. } = script.event() else { panic!() };
        let now = script.now;
        script.agent.accept_reinvite(update, ours(), now);
        check(script.expect("SIP/2.0 200"));
        script.udp(&peer.asks("INVITE", &more, "")).unwrap();
        let Event::Reinvited { reinvite, .. } = script.event() else { panic!() };
        script.agent.accept_reinvite(reinvite, ours(), now);
        check(script.expect("SIP/2.0 200"));
    }
}

#[test]
fn ua25_an_interval_below_90_s_is_422_for_who_knows_timers() {
    let short = format!("{CONTACT}{TIMER}{}", lasts("89"));
    let mut script = Script::new();
    let invite = script.asks("INVITE", &short, "");
    script.udp(&invite).unwrap();
    let refused = script.expect("SIP/2.0 422 Session Interval Too Small");
    assert_eq!(refused.get("Min-SE"), "90");
    assert!(script.silent());
    assert_eq!(script.agent.load().calls, 0);
    let (call, mut peer) = script.called(CONTACT);
    for (method, body) in [("INVITE", THEIRS), ("UPDATE", ""), ("UPDATE", THEIRS)] {
        let kind = if body.is_empty() { "" } else { SDP };
        let there = short.replace("192.0.2.8", "192.0.2.77");
        script.udp(&peer.asks(method, &format!("{there}{kind}"), body)).unwrap();
        assert_eq!(script.expect("SIP/2.0 422").get("Min-SE"), "90");
        assert!(script.silent());
        let target = script.agent.remote_target(call.key()).unwrap();
        assert_eq!(target.host.to_string(), "192.0.2.8", "nothing of it counts");
    }
}

#[test]
fn ua25_after_422_the_invite_goes_again_with_what_is_asked_for() {
    let mut script = Script::new();
    let (_early, first) = script.invite(Transport::Udp);
    script.answer(&first, 422, "Min-SE: 3600\r\n", "");
    script.expect("ACK");
    let second = script.expect("INVITE");
    assert_eq!(second.get("Session-Expires"), "3600");
    assert_eq!(second.get("Min-SE"), "3600");
    assert_eq!(second.get("Call-ID"), first.get("Call-ID"));
    assert_eq!(second.get("CSeq"), "2 INVITE");
    assert_ne!(second.get("Via"), first.get("Via"));
    assert!(script.silent(), "its user waits for the outcome");
    script.answer(&second, 200, &says("3600;refresher=uac", UPDATES), "v=0\r\n");
    let Event::Answered { .. } = script.event() else { panic!() };
    // What was learned stays with the call, and a later minimum adds to it.
    script.wait(seconds(1800));
    let update = script.expect("UPDATE");
    assert_eq!(update.get("Session-Expires"), "3600;refresher=uac");
    script.answer(&update, 422, "Min-SE: 4000\r\n", "");
    let update = script.expect("UPDATE");
    assert_eq!(update.get("Session-Expires"), "4000;refresher=uac");
    assert_eq!(update.get("Min-SE"), "4000");
}

#[test]
fn ua25_a_422_that_asks_for_nothing_more_or_for_ever_more_is_the_outcome() {
    for more in ["", "Min-SE: 1800\r\n", "Min-SE: x\r\n"] {
        let mut script = Script::new();
        let (_early, invite) = script.invite(Transport::Udp);
        script.answer(&invite, 422, more, "");
        let Event::Rejected { .. } = script.event() else { panic!("{more}") };
        assert_eq!(script.count("INVITE"), 0);
    }
    let mut script = Script::new();
    let (_early, mut invite) = script.invite(Transport::Udp);
    let mut sent = 1;
    for raised in 1..20 {
        script.answer(&invite, 422, &format!("Min-SE: {}\r\n", 2000 + raised), "");
        if !script.silent() {
            break;
        }
        invite = script.expect("INVITE");
        sent += 1;
    }
    let Event::Rejected { .. } = script.event() else { panic!() };
    assert_eq!(sent, 4);
}

#[test]
fn ua25_who_does_not_refresh_hangs_up_shortly_before_the_end() {
    for (interval, last) in [(1800, 1768), (90, 60), (96, 64)] {
        let mut script = Script::new();
        let (call, _) = script.dialled(&says(&format!("{interval};refresher=uas"), UPDATES));
        script.expect("ACK");
        script.wait(seconds(last - 1));
        assert!(script.silent());
        assert_eq!(script.count(""), 0);
        script.wait(seconds(1));
        script.expect("BYE");
        let Event::Ended { call: ended, reason: EndReason::SessionExpired } = script.event() else {
            panic!("{interval}")
        };
        assert_eq!(ended, call.key());
        script.wait(seconds(64));
        assert!(script.agent.load().is_idle());
    }
    // The one who was called, alike.
    let mut script = Script::new();
    let _call = script.called(&format!("{CONTACT}{TIMER}{}", lasts("300;refresher=uac")));
    script.wait(seconds(267));
    assert_eq!(script.count("BYE"), 0);
    script.wait(seconds(1));
    script.expect("BYE");
    let Event::Ended { reason: EndReason::SessionExpired, .. } = script.event() else { panic!() };
}

#[test]
fn ua25_a_refresh_of_the_peer_begins_the_interval_anew() {
    let mut script = Script::new();
    let (_call, mut peer) = script.dialled(&says("300;refresher=uas", UPDATES));
    let more = format!("{CONTACT}{TIMER}{}", lasts("300;refresher=uac"));
    for _ in 0..4 {
        script.wait(seconds(150));
        script.udp(&peer.asks("UPDATE", &more, "")).unwrap();
        assert_eq!(script.expect("SIP/2.0 200").get("Session-Expires"), "300;refresher=uac");
        script.wait(seconds(150));
        script.udp(&peer.asks("INVITE", &format!("{more}{SDP}"), THEIRS)).unwrap();
        let Event::Reinvited { reinvite, .. } = script.event() else { panic!() };
        let now = script.now;
        script.agent.accept_reinvite(reinvite, ours(), now);
        script.udp(&peer.asks_with("ACK", peer.cseq, "", "")).unwrap();
    }
    assert_eq!(script.count("BYE"), 0);
    // A text does not.
    script.wait(seconds(200));
    let text = peer.asks("MESSAGE", "Content-Type: text/plain\r\n", "x");
    script.udp(&text).unwrap();
    let Event::Message { message, .. } = script.event() else { panic!() };
    let now = script.now;
    script.agent.respond(message, StatusCode::OK, &[], now);
    script.wait(seconds(68));
    script.expect("BYE");
}

#[test]
fn ua25_the_roles_may_change_with_each_refresh_and_the_timer_may_be_taken_away() {
    let mut script = Script::new();
    let (_call, mut peer) = script.dialled(&says("300;refresher=uas", UPDATES));
    let more = format!("{CONTACT}{TIMER}{}", lasts("200;refresher=uas"));
    script.udp(&peer.asks("UPDATE", &more, "")).unwrap();
    script.expect("SIP/2.0 200");
    script.wait(seconds(100));
    let update = script.expect("UPDATE");
    assert_eq!(update.get("Session-Expires"), "200;refresher=uac");
    // Timers are known, and none is said: the session has no end any more (§7.2).
    script.answer(&update, 200, &format!("{CONTACT}{TIMER}"), "");
    script.wait(seconds(10_000));
    assert_eq!(script.count(""), 0);
    assert!(script.silent());
}

#[test]
fn ua25_a_refresh_that_finds_the_call_gone_or_nobody_at_all_ends_it() {
    for (status, allow) in [
        (Some(481), UPDATES),
        (Some(408), UPDATES),
        (None, UPDATES),
        (Some(481), PLAIN),
        (None, PLAIN),
    ] {
        let mut script = Script::new();
        let (_call, _) = script.dialled(&says("1800;refresher=uac", allow));
        script.expect("ACK");
        script.wait(seconds(900));
        let start = if allow == UPDATES { "UPDATE" } else { "INVITE" };
        let refresh = script.expect(start);
        match status {
            Some(status) => script.answer(&refresh, status, "", ""),
            None => script.wait(seconds(32)),
        }
        script.expect("BYE");
        let Event::Ended { reason: EndReason::PeerLost, .. } = script.event() else { panic!() };
        assert!(script.silent());
        script.wait(seconds(64));
        assert!(script.agent.load().is_idle());
    }
}

#[test]
fn ua25_a_refresh_that_is_refused_is_tried_again_until_the_end_and_not_without_pause() {
    let mut script = Script::new();
    let (_call, _) = script.dialled(&says("1800;refresher=uac", UPDATES));
    script.expect("ACK");
    let mut tries = 0;
    for _ in 0..1768 {
        script.wait(seconds(1));
        while let Some(sent) = script.sent.pop_front() {
            if sent.text.starts_with("UPDATE") {
                tries += 1;
                script.answer(&sent, 500, "", "");
            } else {
                assert!(sent.text.starts_with("BYE"), "{}", sent.text);
            }
        }
    }
    let Event::Ended { reason: EndReason::SessionExpired, .. } = script.event() else { panic!() };
    assert!((3..20).contains(&tries), "{tries}");
    // An UPDATE that was allowed and is not: the next is a re-INVITE, at once.
    let mut script = Script::new();
    let (_call, _) = script.dialled(&says("1800;refresher=uac", UPDATES));
    script.wait(seconds(900));
    let update = script.expect("UPDATE");
    script.answer(&update, 501, "", "");
    let reinvite = script.expect("INVITE");
    script.answer(&reinvite, 200, &says("1800;refresher=uac", UPDATES), "v=0\r\n");
    script.wait(seconds(900));
    script.expect("INVITE");
}

#[test]
fn ua25_a_peer_without_timers_is_refreshed_all_the_same_and_lost_only_by_silence() {
    let mut script = Script::new();
    let (_call, _) = script.dialled(&format!("{CONTACT}{PLAIN}"));
    script.expect("ACK");
    for status in [200, 488, 500, 200] {
        script.wait(seconds(900));
        let refresh = script.expect("INVITE");
        assert_eq!(refresh.request().body, "v=0\r\n");
        script.answer(&refresh, status, CONTACT, if status == 200 { "v=0\r\n" } else { "" });
    }
    assert!(script.silent());
    script.wait(seconds(900 + 33));
    script.expect("BYE");
    let Event::Ended { reason: EndReason::PeerLost, .. } = script.event() else { panic!() };
    // Nor is a network that takes nothing any more waited for without end.
    let mut script = Script::new();
    let (_call, _) = script.dialled(&format!("{CONTACT}{PLAIN}"));
    for _ in 0..300 {
        script.wait(seconds(10));
        if script.count("INVITE") > 0 {
            script.unreachable("192.0.2.8:5060");
        }
    }
    let Event::Ended { reason: EndReason::SessionExpired, .. } = script.event() else { panic!() };
}

#[test]
fn ua25_a_refresh_by_update_does_not_wait_for_a_reinvite_that_is_open() {
    let mut script = Script::new();
    let (call, _) = script.dialled(&says("300;refresher=uac", UPDATES));
    script.expect("ACK");
    script.wait(seconds(149));
    let now = script.now;
    let id = script.agent.reinvite(&call, Script::contact(), ours(), now);
    let reinvite = script.expect("INVITE");
    script.answer(&reinvite, 100, "", "");
    script.wait(seconds(1));
    let update = script.expect("UPDATE");
    script.answer(&update, 200, &says("300;refresher=uac", ""), "");
    assert!(script.silent());
    script.answer(&reinvite, 488, "", "");
    let Event::Completed { request, outcome: Outcome::Answered(_), .. } = script.event() else {
        panic!()
    };
    assert_eq!(request, id);
    script.wait(seconds(149));
    assert_eq!(script.count("UPDATE"), 0);
    script.wait(seconds(1));
    script.expect("UPDATE");
}

#[test]
fn ua25_a_refresh_by_reinvite_waits_for_the_exchange_that_is_open_which_may_do_for_it() {
    for status in [200, 488] {
        let mut script = Script::new();
        let (call, _) = script.dialled(&says("300;refresher=uac", PLAIN));
        script.expect("ACK");
        script.wait(seconds(140));
        let now = script.now;
        script.agent.reinvite(&call, Script::contact(), ours(), now);
        let reinvite = script.expect("INVITE");
        script.answer(&reinvite, 100, "", "");
        script.wait(seconds(20));
        assert_eq!(script.count("INVITE"), 0);
        let more = format!("{}{SDP}", says("300;refresher=uac", ""));
        script.answer(&reinvite, status, &more, THEIRS);
        script.event();
        if status == 200 {
            script.wait(seconds(149));
            assert_eq!(script.count("INVITE"), 0);
            script.wait(seconds(1));
        }
        let refresh = script.expect("INVITE");
        let body = if status == 200 { ours().body } else { "v=0\r\n".into() };
        assert_eq!(refresh.request().body, body, "what is in force");
    }
}

#[test]
fn ua25_a_call_that_ends_under_its_refresh_tells_nothing_of_it() {
    for allow in [UPDATES, PLAIN] {
        let mut script = Script::new();
        let (_call, mut peer) = script.dialled(&says("300;refresher=uac", allow));
        script.expect("ACK");
        script.wait(seconds(150));
        assert_eq!(script.sent.len(), 1);
        script.udp(&peer.asks("BYE", "", "")).unwrap();
        let Event::Ended { reason: EndReason::Bye(_), .. } = script.event() else { panic!() };
        script.wait(seconds(400));
        assert!(script.silent());
        assert!(script.agent.load().is_idle());
    }
}

#[test]
fn ua25_no_peer_makes_us_refresh_without_pause() {
    let mut script = Script::new();
    let (_call, _) = script.dialled(&says("0;refresher=uac", UPDATES));
    script.expect("ACK");
    script.wait(seconds(15));
    assert_eq!(script.count("UPDATE"), 0);
    let read = SessionExpires::parse("0;refresher=uac").unwrap();
    assert_eq!(read.interval, seconds(0));
    let mut script = Script::new();
    let (_call, mut peer): (_, Peer) = script.called(&format!("{CONTACT}{}", lasts("1")));
    script.udp(&peer.asks("UPDATE", &format!("{CONTACT}{}", lasts("1")), "")).unwrap();
    script.expect("SIP/2.0 200");
    script.wait(seconds(300));
    assert_eq!(script.count(""), 0);
}

#[test]
fn ua25_after_a_stop_there_is_time_for_a_refresh_of_either_side() {
    for refresher in ["uas", "uac"] {
        let mut script = Script::new();
        let timer = format!("300;refresher={refresher}");
        let (_call, mut peer) = script.dialled(&says(&timer, UPDATES));
        script.expect("ACK");
        script.now += seconds(290);
        let now = script.now;
        script.agent.handle_input(Input::Resumed { now }).unwrap();
        script.wait(seconds(1));
        assert!(script.silent());
        // What asks whether the call stands, and our refresh.
        let mut refreshed = false;
        while let Some(sent) = script.sent.pop_front() {
            refreshed |= sent.text.starts_with("UPDATE");
            script.answer(&sent, 200, &says("300;refresher=uac", UPDATES), "");
        }
        assert_eq!(refreshed, refresher == "uac");
        if !refreshed {
            let more = format!("{CONTACT}{TIMER}{}", lasts("300;refresher=uac"));
            script.udp(&peer.asks("UPDATE", &more, "")).unwrap();
            script.expect("SIP/2.0 200");
        }
        script.wait(seconds(60));
        let over = |event: &Event| matches!(event, Event::Ended { .. });
        assert!(!script.events.iter().any(over), "{refresher}");
    }
    // None comes: it is over within five seconds.
    let mut script = Script::new();
    let _call = script.dialled(&says("300;refresher=uas", UPDATES));
    script.now += seconds(400);
    let now = script.now;
    script.agent.handle_input(Input::Resumed { now }).unwrap();
    script.wait(seconds(5));
    let Event::Ended { .. } = script.event() else { panic!() };
}
