//! Offers that cross (RFC 3261 §14, RFC 3311 §5): 491, and who goes again when.

use std::time::Duration;

use sip_core::{Confirmed, Content, EndReason, Event, Outcome, RequestId, Transport};

use crate::script::{CONTACT, Peer, Script, Sent, answer, millis, seconds};

const SDP: &str = "Content-Type: application/sdp\r\n";
const UPDATES: &str = "Allow: INVITE, ACK, BYE, UPDATE\r\n";
const THEIRS: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.8\r\nm=audio 4 RTP/AVP 0\r\n";

/// A description of ours.
fn ours(version: u32, direction: &str) -> Content {
    let origin = format!("o=- 7 {version} IN IP4 192.0.2.1");
    Content::sdp(format!("v=0\r\n{origin}\r\nm=audio 2 RTP/AVP 0\r\na={direction}\r\n"))
}

/// Offers by a re-INVITE or an UPDATE.
fn offer(script: &mut Script, call: &Confirmed, method: &str, content: Content) -> RequestId {
    let now = script.now;
    match method {
        "INVITE" => script.agent.reinvite(call, Script::contact(), content, now),
        _ => script.agent.update(call, Some(content), now),
    }
}

/// How long it is until the next request of this method goes, in ms.
fn pause(script: &mut Script, method: &str) -> (u64, Sent) {
    for ms in 0..10_000 {
        if script.sent.iter().any(|sent| sent.text.starts_with(method)) {
            return (ms, script.expect(method));
        }
        script.wait(millis(1));
    }
    panic!("it never goes again")
}

fn completed(script: &mut Script) -> (RequestId, Option<u16>) {
    match script.event() {
        Event::Completed { request, outcome: Outcome::Answered(response), .. } => {
            (request, Some(response.status.code()))
        }
        Event::Completed { request, .. } => (request, None),
        other => panic!("{other:?}"),
    }
}

#[test]
fn ua19_ua27_after_491_an_offer_goes_again_by_chance_within_the_times_of_each_side() {
    for method in ["INVITE", "UPDATE"] {
        for (dialled, range) in [(true, 2100..=4000), (false, 0..=2000)] {
            let mut pauses = Vec::new();
            let mut script = Script::new();
            let more = format!("{CONTACT}{UPDATES}");
            let (call, _) = if dialled { script.dialled(&more) } else { script.called(&more) };
            script.count("");
            for turn in 0..30 {
                let content = ours(10 + turn, "sendonly");
                let id = offer(&mut script, &call, method, content.clone());
                let first = script.expect(method);
                script.answer(&first, 491, "", "");
                let (ms, again) = pause(&mut script, method);
                assert!(range.contains(&ms) && ms % 10 == 0, "{method} {dialled}: {ms} ms");
                pauses.push(ms);
                assert!(script.silent(), "one outcome");
                assert_eq!(again.request().body, content.body);
                assert_ne!(again.get("CSeq"), first.get("CSeq"));
                assert_ne!(again.get("Via"), first.get("Via"));
                script.answer(&again, 200, &more, "");
                assert_eq!(completed(&mut script), (id, Some(200)));
                script.wait(seconds(40));
                script.count("");
            }
            pauses.sort_unstable();
            pauses.dedup();
            assert!(pauses.len() > 10, "by chance: {pauses:?}");
        }
    }
}

#[test]
fn ua19_a_peer_that_answers_491_for_ever_is_asked_six_times() {
    for method in ["INVITE", "UPDATE"] {
        let mut script = Script::new();
        let (call, _) = script.dialled(&format!("{CONTACT}{UPDATES}"));
        let id = offer(&mut script, &call, method, ours(8, "sendonly"));
        for _ in 0..6 {
            let (_, sent) = pause(&mut script, method);
            assert!(script.silent());
            script.answer(&sent, 491, "", "");
        }
        assert_eq!(completed(&mut script), (id, Some(491)));
        script.wait(seconds(20));
        assert_eq!(script.count(method), 0);
        // Another one may follow.
        offer(&mut script, &call, method, ours(9, "sendonly"));
        script.expect(method);
    }
}

#[test]
fn ua19_texts_go_on_while_an_offer_waits_for_its_time() {
    let mut script = Script::new();
    let (call, _) = script.dialled(CONTACT);
    offer(&mut script, &call, "INVITE", ours(8, "sendonly"));
    let sent = script.expect("INVITE");
    script.answer(&sent, 491, "", "");
    let now = script.now;
    script.agent.message(&call, None, Content::text("x"), now);
    let text = script.expect("MESSAGE");
    // The text is out when the time comes: the offer goes behind it.
    script.wait(seconds(5));
    assert_eq!(script.count("INVITE"), 0);
    script.answer(&text, 200, "", "");
    script.expect("INVITE");
}

#[test]
fn ua19_a_newer_offer_takes_the_place_of_the_one_that_waits() {
    for method in ["INVITE", "UPDATE"] {
        let mut script = Script::new();
        let (call, _) = script.dialled(&format!("{CONTACT}{UPDATES}"));
        let old = offer(&mut script, &call, method, ours(8, "sendonly"));
        let sent = script.expect(method);
        script.answer(&sent, 491, "", "");
        let new = offer(&mut script, &call, "INVITE", ours(9, "sendrecv"));
        assert_eq!(completed(&mut script), (old, Some(491)));
        let (ms, again) = pause(&mut script, "INVITE");
        assert!((2100..=4000).contains(&ms), "it waits as long");
        assert_eq!(again.request().body, ours(9, "sendrecv").body);
        script.answer(&again, 200, CONTACT, THEIRS);
        assert_eq!(completed(&mut script), (new, Some(200)));
        script.wait(seconds(10));
        assert_eq!(script.count(method), 0, "the old one is over");
    }
}

#[test]
fn ua19_an_offer_that_waits_ends_with_its_call() {
    let mut script = Script::new();
    let (call, mut peer) = script.dialled(CONTACT);
    let id = offer(&mut script, &call, "INVITE", ours(8, "sendonly"));
    let sent = script.expect("INVITE");
    script.answer(&sent, 491, "", "");
    script.udp(&peer.asks("BYE", "", "")).unwrap();
    assert_eq!(completed(&mut script), (id, None));
    let Event::Ended { reason: EndReason::Bye(_), .. } = script.event() else { panic!() };
    script.wait(seconds(40));
    assert!(script.silent());
    assert_eq!(script.count("INVITE"), 0);
    assert!(script.agent.load().is_idle());
}

#[test]
fn ua19_the_peers_offer_goes_first_and_ours_behind_it_with_a_version_of_its_own() {
    let mut script = Script::new();
    let (call, mut peer) = script.dialled(CONTACT);
    let id = offer(&mut script, &call, "INVITE", ours(8, "sendonly"));
    let sent = script.expect("INVITE");
    // Theirs crosses ours: both are refused.
    let more = format!("{CONTACT}{SDP}");
    script.udp(&peer.asks("INVITE", &more, THEIRS)).unwrap();
    script.expect("SIP/2.0 491");
    script.udp(&peer.asks_with("ACK", peer.cseq, "", "")).unwrap();
    script.answer(&sent, 491, "", "");
    // They go first, and are answered as long as ours waits.
    script.udp(&peer.asks("INVITE", &more, THEIRS)).unwrap();
    let Event::Reinvited { reinvite, .. } = script.event() else { panic!() };
    let now = script.now;
    script.agent.accept_reinvite(reinvite, ours(9, "sendrecv"), now);
    let ok = script.expect("SIP/2.0 200");
    assert_eq!(ok.response().body, ours(9, "sendrecv").body);
    // Their ACK is late: ours waits for it, too.
    script.wait(seconds(6));
    assert_eq!(script.count("INVITE"), 0);
    script.udp(&peer.asks_with("ACK", peer.cseq, "", "")).unwrap();
    let again = script.expect("INVITE");
    assert_eq!(again.request().body, ours(10, "sendonly").body, "RFC 3264 §8");
    script.answer(&again, 200, CONTACT, THEIRS);
    assert_eq!(completed(&mut script), (id, Some(200)));
    // The next of its user, who counts on from 9.
    offer(&mut script, &call, "INVITE", ours(10, "inactive"));
    assert_eq!(script.expect("INVITE").request().body, ours(11, "inactive").body);
}

#[test]
fn ua19_an_offer_of_a_session_that_grew_meanwhile_is_told_as_refused() {
    let mut script = Script::new();
    let (call, mut peer) = script.dialled(CONTACT);
    let id = offer(&mut script, &call, "INVITE", ours(8, "sendonly"));
    let sent = script.expect("INVITE");
    script.answer(&sent, 491, "", "");
    script.udp(&peer.asks("INVITE", &format!("{CONTACT}{SDP}"), THEIRS)).unwrap();
    let Event::Reinvited { reinvite, .. } = script.event() else { panic!() };
    let mut grown = String::from_utf8(ours(9, "sendrecv").body.to_vec()).unwrap();
    grown.push_str("m=video 0 RTP/AVP 96\r\n");
    let now = script.now;
    script.agent.accept_reinvite(reinvite, Content::sdp(grown), now);
    script.udp(&peer.asks_with("ACK", peer.cseq, "", "")).unwrap();
    script.wait(seconds(5));
    assert_eq!(completed(&mut script), (id, Some(491)));
    assert_eq!(script.count("INVITE"), 0);
}

#[test]
fn ua19_ua25_a_refresh_that_crosses_an_offer_goes_again_within_the_same_times() {
    for allow in [UPDATES, ""] {
        let mut script = Script::new();
        let more = format!("{CONTACT}{allow}Session-Expires: 300;refresher=uac\r\n");
        let _call = script.dialled(&more);
        script.expect("ACK");
        script.wait(seconds(150));
        let method = if allow.is_empty() { "INVITE" } else { "UPDATE" };
        let refresh = script.expect(method);
        script.answer(&refresh, 491, "", "");
        let (ms, _) = pause(&mut script, method);
        assert!((2100..=4000).contains(&ms), "{ms}");
        assert!(script.silent());
    }
}

#[test]
fn ua19_a_second_reinvite_before_the_first_is_answered_is_500_with_a_time() {
    let mut script = Script::new();
    let (_call, mut peer) = script.called(CONTACT);
    let more = format!("{CONTACT}{SDP}");
    script.udp(&peer.asks("INVITE", &more, THEIRS)).unwrap();
    let Event::Reinvited { reinvite, .. } = script.event() else { panic!() };
    let first = peer.cseq;
    let mut times = Vec::new();
    for _ in 0..40 {
        script.udp(&peer.asks("INVITE", &more, THEIRS)).unwrap();
        let refused = script.expect("SIP/2.0 500");
        script.udp(&peer.asks_with("ACK", peer.cseq, "", "")).unwrap();
        times.push(refused.get("Retry-After").parse::<u32>().unwrap());
    }
    assert!(times.iter().all(|time| *time <= 10));
    times.sort_unstable();
    times.dedup();
    assert!(times.len() > 4, "by chance: {times:?}");
    assert!(script.silent());
    // The first has its answer all the same.
    let now = script.now;
    script.agent.accept_reinvite(reinvite, ours(8, "sendrecv"), now);
    let ok = script.expect("SIP/2.0 200");
    assert_eq!(ok.response().headers.cseq().unwrap().number, first);
}

/// A place that rings and has answered the INVITE's offer reliably, where it is `answered`.
fn ringing(script: &mut Script, tag: &str, invite: &Sent, answered: bool) -> Peer {
    let more = if answered {
        format!("Require: 100rel\r\nRSeq: 1\r\n{CONTACT}{UPDATES}{SDP}")
    } else {
        format!("{CONTACT}{UPDATES}")
    };
    let body = if answered { THEIRS } else { "" };
    script.udp(&answer(&invite.request(), 183, tag, &more, body)).unwrap();
    script.event();
    let headers = invite.request().headers;
    Peer {
        call_id: headers.call_id().unwrap().to_owned(),
        local: format!("{};tag={tag}", headers.get("To").unwrap()),
        remote: headers.get("From").unwrap().to_owned(),
        cseq: 0,
    }
}

#[test]
fn ua27_an_update_goes_early_where_the_place_that_rings_takes_it() {
    let mut script = Script::new();
    let (early, invite) = script.invite(Transport::Udp);
    script.answer(&invite, 180, CONTACT, "");
    script.event();
    let _ = ringing(&mut script, "plain", &invite, false);
    let now = script.now;
    // No Allow; no such place; an offer before the first one has its answer.
    for (fork, content) in
        [("peertag", None), ("nobody", None), ("plain", Some(ours(8, "sendonly")))]
    {
        let id = script.agent.update_early(&early, fork, content, now);
        assert_eq!(completed(&mut script), (id, None), "{fork}");
    }
    assert_eq!(script.count("UPDATE"), 0);
    let id = script.agent.update_early(&early, "plain", None, now);
    let update = script.expect("UPDATE");
    assert_eq!(update.request().body, "");
    assert!(update.get("To").ends_with(";tag=plain") && update.get("Contact").contains("sip:me@"));
    // One at a time.
    let second = script.agent.update_early(&early, "plain", None, now);
    assert_eq!(completed(&mut script), (second, None));
    script.answer(&update, 200, "Contact: <sip:peer@192.0.2.77:5060>\r\n", "");
    assert_eq!(completed(&mut script), (id, Some(200)));
    let third = script.agent.update_early(&early, "plain", None, now);
    let update = script.expect("UPDATE");
    assert_eq!(update.request().uri.to_string(), "sip:peer@192.0.2.77:5060");
    script.answer(&update, 501, "", "");
    assert_eq!(completed(&mut script), (third, Some(501)));
}

#[test]
fn ua27_an_early_offer_is_in_force_once_it_is_answered_and_the_call_taken() {
    let mut script = Script::new();
    let (early, invite) = script.invite(Transport::Udp);
    let mut peer = ringing(&mut script, "a", &invite, true);
    let now = script.now;
    let id = script.agent.update_early(&early, "a", Some(ours(8, "sendonly")), now);
    let update = script.expect("UPDATE");
    assert_eq!(update.request().body, ours(8, "sendonly").body);
    // An offer that crosses it.
    script.udp(&peer.asks("UPDATE", &format!("{CONTACT}{SDP}"), THEIRS)).unwrap();
    script.expect("SIP/2.0 491");
    script.answer(&update, 491, "", "");
    assert!(script.silent());
    let (ms, update) = pause(&mut script, "UPDATE");
    assert!((2100..=4000).contains(&ms), "{ms}");
    let second = THEIRS.replace("audio 4", "audio 6");
    script.answer(&update, 200, &format!("{CONTACT}{SDP}"), &second);
    assert_eq!(completed(&mut script), (id, Some(200)));
    script.udp(&answer(&invite.request(), 200, "a", CONTACT, "")).unwrap();
    let Event::Answered { call, response, .. } = script.event() else { panic!() };
    assert_eq!(response.body, second, "the answer in force");
    assert_eq!(*script.agent.local_description(call.key()).unwrap(), ours(8, "sendonly"));
    assert_eq!(script.agent.remote_description(call.key()).unwrap(), &second);
}

#[test]
fn ua27_an_early_update_ends_with_its_call_or_outlives_its_answer() {
    // It waits behind a 491 when the call is given up.
    let mut script = Script::new();
    let (early, invite) = script.invite(Transport::Udp);
    let _ = ringing(&mut script, "a", &invite, true);
    let now = script.now;
    let id = script.agent.update_early(&early, "a", Some(ours(8, "sendonly")), now);
    let update = script.expect("UPDATE");
    script.answer(&update, 491, "", "");
    script.agent.cancel(early, now);
    script.answer(&invite, 487, "", "");
    assert_eq!(completed(&mut script), (id, None));
    let Event::Rejected { .. } = script.event() else { panic!() };
    script.wait(seconds(60));
    assert_eq!((script.count("UPDATE"), script.silent()), (0, true));
    // It is out when the call is taken.
    let mut script = Script::new();
    let (early, invite) = script.invite(Transport::Udp);
    let _ = ringing(&mut script, "a", &invite, true);
    let now = script.now;
    let id = script.agent.update_early(&early, "a", Some(ours(8, "sendonly")), now);
    let update = script.expect("UPDATE");
    script.udp(&answer(&invite.request(), 200, "a", CONTACT, "")).unwrap();
    let Event::Answered { call, .. } = script.event() else { panic!() };
    let other = offer(&mut script, &call, "INVITE", ours(9, "inactive"));
    assert_eq!(completed(&mut script), (other, None), "one at a time");
    script.wait(Duration::from_millis(100));
    script.answer(&update, 200, &format!("{CONTACT}{SDP}"), THEIRS);
    assert_eq!(completed(&mut script), (id, Some(200)));
    assert_eq!(*script.agent.local_description(call.key()).unwrap(), ours(8, "sendonly"));
    offer(&mut script, &call, "INVITE", ours(9, "inactive"));
    script.expect("INVITE");
}
