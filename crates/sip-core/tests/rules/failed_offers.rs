//! Offers that come to nothing leave the session as it was (RFC 3261 §14), and how calls are hung up (§15).

use sip_core::sdp::{AudioFormat, Direction, LocalAudio, Negotiator};
use sip_core::{Content, EndReason, Event, Failure, Outcome, Transport};

use crate::script::{CONTACT, Script, millis, seconds};

const MORE: &str = "Contact: <sip:peer@192.0.2.8:5060>\r\nContent-Type: application/sdp\r\n\
    Allow: INVITE, ACK, BYE, UPDATE\r\n";
/// Another place, and a description that nothing is in common with.
const ELSEWHERE: &str = "Contact: <sip:peer@192.0.2.77:5060>\r\nContent-Type: application/sdp\r\n";
const BAD: &str = "v=0\r\no=- 1 2 IN IP4 192.0.2.8\r\ns=-\r\nc=IN IP4 192.0.2.8\r\nt=0 0\r\n\
    m=audio 6002 RTP/AVP 18\r\n";
const THEIRS: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.8\r\ns=-\r\nc=IN IP4 192.0.2.8\r\nt=0 0\r\n\
    m=audio 6000 RTP/AVP 0\r\n";

fn negotiator() -> Negotiator {
    let pcmu = AudioFormat {
        payload_type: 0,
        encoding: "PCMU".into(),
        clock_rate_hz: 8000,
        channels: 1,
        fmtp: None,
    };
    let local = LocalAudio {
        address: "192.0.2.1".parse().unwrap(),
        rtp_port: 4000,
        rtcp_port: 4001,
        formats: vec![pcmu],
        telephone_event: None,
        ptime_ms: 20,
    };
    Negotiator::new(local, 7)
}

#[test]
fn ua20_an_offer_of_ours_that_fails_leaves_the_session_as_it_was() {
    for method in ["INVITE", "UPDATE"] {
        for status in [Some(488), Some(500), Some(603), Some(415), None] {
            let mut media = negotiator();
            let first = media.offer();
            let mut script = Script::new();
            let _early = script.invite_with(
                Script::flow(Transport::Udp),
                "sip:peer@192.0.2.8",
                first.clone(),
            );
            let invite = script.expect("INVITE");
            script.answer(&invite, 200, MORE, THEIRS);
            let Event::Answered { call, response, .. } = script.event() else { panic!() };
            let agreed = media.accept_answer(&response.body).unwrap();
            media.set_direction(Direction::SendOnly);
            let hold = media.offer();
            assert_ne!(hold, first);
            let now = script.now;
            let id = match method {
                "INVITE" => script.agent.reinvite(&call, Script::contact(), hold.clone(), now),
                _ => script.agent.update(&call, Some(hold.clone()), now),
            };
            let offer = script.expect(method);
            assert_eq!(offer.request().body, hold.body);
            match status {
                // What a refusal brings along is no answer.
                Some(status) => script.answer(&offer, status, ELSEWHERE, BAD),
                None => script.unreachable("192.0.2.8:5060"),
            }
            let Event::Completed { request, .. } = script.event() else { panic!() };
            assert_eq!(request, id);
            assert_eq!(*script.agent.local_description(call.key()).unwrap(), first);
            assert_eq!(script.agent.remote_description(call.key()).unwrap(), THEIRS);
            assert_eq!(media.agreed(), Some(&agreed));
            let target = script.agent.remote_target(call.key()).unwrap();
            assert_eq!(target.host.to_string(), "192.0.2.8");
            // The call goes on, in both directions.
            script.agent.message(&call, None, Content::text("x"), now);
            script.expect("MESSAGE");
            assert!(script.silent());
        }
    }
}

#[test]
fn ua20_a_bad_offer_of_the_peer_is_488_with_a_warning_and_changes_nothing() {
    for method in ["INVITE", "UPDATE"] {
        let mut media = negotiator();
        let mut script = Script::new();
        let invite = script.asks("INVITE", MORE, THEIRS);
        script.udp(&invite).unwrap();
        let Event::Invited { call, request, .. } = script.event() else { panic!() };
        let (answer, agreed) = media.answer(&request.body).unwrap();
        let now = script.now;
        let _unacked = script.agent.accept(call, Script::contact(), answer.clone(), now);
        let ok = script.expect("SIP/2.0 200").response();
        let mut peer = crate::script::Peer {
            call_id: ok.headers.call_id().unwrap().to_owned(),
            local: ok.headers.get("From").unwrap().to_owned(),
            remote: ok.headers.get("To").unwrap().to_owned(),
            cseq: ok.headers.cseq().unwrap().number,
        };
        script.udp(&peer.asks_with("ACK", peer.cseq, "", "")).unwrap();
        let Event::Acked { call, .. } = script.event() else { panic!() };
        for turn in 0..3 {
            let offer = peer.asks(method, ELSEWHERE, BAD);
            script.udp(&offer).unwrap();
            let (Event::Reinvited { reinvite, request, .. }
            | Event::Updated { update: reinvite, request, .. }) = script.event()
            else {
                panic!()
            };
            assert!(media.answer(&request.body).is_err());
            let now = script.now;
            match turn {
                0 => {
                    script.agent.reject_reinvite(reinvite, Failure::NOT_ACCEPTABLE_HERE, now);
                    let refused = script.expect("SIP/2.0 488");
                    assert!(refused.line("Warning").starts_with("305 "), "{}", refused.text);
                }
                // Nobody answers; or the peer takes it back.
                1 => {
                    script.wait(seconds(5));
                    script.expect("SIP/2.0 500");
                }
                _ => {
                    let cancel = offer.replace("INVITE sip", "CANCEL sip");
                    script.udp(&cancel.replace(" INVITE\r\n", " CANCEL\r\n")).unwrap();
                    script.wait(seconds(5));
                }
            }
            if method == "INVITE" {
                script.udp(&peer.asks_with("ACK", peer.cseq, "", "")).unwrap();
            }
            assert_eq!(media.agreed(), Some(&agreed));
            assert_eq!(*script.agent.local_description(call.key()).unwrap(), answer);
            assert_eq!(script.agent.remote_description(call.key()).unwrap(), THEIRS);
            let target = script.agent.remote_target(call.key()).unwrap();
            assert_eq!(target.host.to_string(), "192.0.2.8", "{method} {turn}");
        }
        assert!(script.silent(), "the call stands");
        // A good one is taken all the same.
        script.udp(&peer.asks(method, ELSEWHERE, &THEIRS.replace("6000", "6004"))).unwrap();
        let (Event::Reinvited { reinvite, request, .. }
        | Event::Updated { update: reinvite, request, .. }) = script.event()
        else {
            panic!()
        };
        let (answer, _) = media.answer(&request.body).unwrap();
        let now = script.now;
        script.agent.accept_reinvite(reinvite, answer.clone(), now);
        assert_eq!(*script.agent.local_description(call.key()).unwrap(), answer);
        assert_eq!(*script.agent.remote_description(call.key()).unwrap(), request.body);
        let target = script.agent.remote_target(call.key()).unwrap();
        assert_eq!(target.host.to_string(), "192.0.2.77");
    }
}

#[test]
fn ua20_an_invite_with_a_bad_offer_is_488_with_a_warning() {
    let mut script = Script::new();
    let invite = script.asks("INVITE", MORE, BAD);
    script.udp(&invite).unwrap();
    let Event::Invited { call, .. } = script.event() else { panic!() };
    let now = script.now;
    script.agent.reject(call, Failure::NOT_ACCEPTABLE_HERE, now);
    assert!(script.expect("SIP/2.0 488").line("Warning").starts_with("305 "));
}

#[test]
fn ua21_a_bye_of_the_peer_ends_the_call_at_once_and_what_is_open_with_487() {
    let mut script = Script::new();
    let (call, mut peer) = script.called(CONTACT);
    let refer = format!("{CONTACT}Refer-To: <sip:carol@192.0.2.9>\r\n");
    for (method, more) in [("INVITE", CONTACT), ("REFER", &refer)] {
        script.udp(&peer.asks(method, more, "")).unwrap();
        let (Event::Reinvited { .. } | Event::Referred { .. }) = script.event() else { panic!() };
    }
    let now = script.now;
    let text = script.agent.message(&call, None, Content::text("one"), now);
    let late = script.agent.message(&call, None, Content::text("two"), now);
    script.expect("MESSAGE");
    script.udp(&peer.asks("BYE", "", "")).unwrap();
    assert_eq!(script.now, now, "no time has passed");
    let firsts: Vec<String> = script.sent.drain(..).map(|sent| sent.first().to_owned()).collect();
    let count = |status: &str| firsts.iter().filter(|first| first.contains(status)).count();
    assert_eq!((count(" 200 "), count(" 487 "), firsts.len()), (1, 2, 3), "{firsts:?}");
    let Event::Completed { request, outcome: Outcome::Unsendable, .. } = script.event() else {
        panic!()
    };
    assert_eq!(request, late);
    let Event::Ended { call: ended, reason: EndReason::Bye(_) } = script.event() else { panic!() };
    assert_eq!(ended, call.key());
    script.wait(seconds(60));
    let Event::Completed { request, outcome: Outcome::TimedOut, .. } = script.event() else {
        panic!()
    };
    assert_eq!(request, text);
    assert!(script.agent.load().is_idle());
}

#[test]
fn ua21_a_caller_gives_up_an_early_dialog_by_cancel_and_never_by_bye() {
    let mut script = Script::new();
    let (early, invite) = script.invite(Transport::Udp);
    script.answer(&invite, 183, &format!("{CONTACT}Require: 100rel\r\nRSeq: 1\r\n"), "");
    script.event();
    let now = script.now;
    script.agent.cancel(early, now);
    let cancel = script.expect("CANCEL");
    assert_eq!(cancel.get("Via"), invite.get("Via"));
    script.answer(&cancel, 200, "", "");
    script.answer(&invite, 487, "", "");
    let Event::Rejected { .. } = script.event() else { panic!() };
    script.wait(seconds(60));
    assert_eq!(script.count("BYE"), 0);
    assert!(script.agent.load().is_idle());
}

#[test]
fn ua21_a_callee_that_hangs_up_before_the_ack_sends_its_bye_behind_it_or_when_none_comes() {
    for acked in [true, false] {
        let mut script = Script::new();
        let invite = script.asks("INVITE", CONTACT, "");
        script.udp(&invite).unwrap();
        let Event::Invited { call, .. } = script.event() else { panic!() };
        let now = script.now;
        let unacked = script.agent.accept(call, Script::contact(), Content::sdp("v=0\r\n"), now);
        let ok = script.expect("SIP/2.0 200").response();
        script.agent.hang_up_unacked(unacked, Some("enough"), now);
        script.wait(seconds(31));
        assert_eq!(script.count("BYE"), 0);
        assert!(script.silent());
        if acked {
            let peer = crate::script::Peer {
                call_id: ok.headers.call_id().unwrap().to_owned(),
                local: ok.headers.get("From").unwrap().to_owned(),
                remote: ok.headers.get("To").unwrap().to_owned(),
                cseq: ok.headers.cseq().unwrap().number,
            };
            script.udp(&peer.asks_with("ACK", peer.cseq, "", "")).unwrap();
        } else {
            script.wait(seconds(1) + millis(1));
        }
        let bye = script.expect("BYE");
        assert!(bye.get("Reason").contains("enough"));
        let Event::Ended { reason: EndReason::HungUp, .. } = script.event() else { panic!() };
        assert!(script.silent());
    }
}

#[test]
fn ua21_ua26_a_prack_or_an_update_that_fails_behind_the_answer_does_not_take_the_call_along() {
    let mut script = Script::new();
    let (early, invite) = script.invite(Transport::Udp);
    let reliable = format!("{MORE}Require: 100rel\r\nRSeq: 1\r\n");
    script.answer(&invite, 183, &reliable, THEIRS);
    script.event();
    let prack = script.expect("PRACK");
    let now = script.now;
    script.agent.update_early(&early, "peertag", None, now);
    let update = script.expect("UPDATE");
    script.answer(&invite, 200, MORE, "");
    let Event::Answered { .. } = script.event() else { panic!() };
    script.answer(&prack, 481, "", "");
    script.answer(&update, 481, "", "");
    let Event::Completed { .. } = script.event() else { panic!() };
    let headers = invite.request().headers;
    let mut peer = crate::script::Peer {
        call_id: headers.call_id().unwrap().to_owned(),
        local: format!("{};tag=peertag", headers.get("To").unwrap()),
        remote: headers.get("From").unwrap().to_owned(),
        cseq: 0,
    };
    script.udp(&peer.asks("BYE", "", "")).unwrap();
    script.expect("SIP/2.0 200");
    let Event::Ended { reason: EndReason::Bye(_), .. } = script.event() else { panic!() };
}
