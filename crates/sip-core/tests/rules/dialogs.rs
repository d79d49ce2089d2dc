//! Dialogs: route sets, targets, order, and what happens at their edges (RFC 3261 §12 to §15).

use sip_core::{CallFailure, Content, EndReason, Event, Failure, Outcome, StatusCode, Transport};

use crate::script::{CONTACT, PEER, Peer, Script, answer, millis, seconds};

const ROUTES: &str = "Record-Route: <sip:192.0.2.21;lr>, <sip:192.0.2.22:5070;lr>\r\n\
    Record-Route: <sip:192.0.2.23;lr>\r\n";

#[test]
fn ua8_routes_of_a_call_that_we_made_are_those_of_the_2xx_reversed() {
    let mut script = Script::new();
    let (call, _) = script.dialled(&format!("{ROUTES}{CONTACT}"));
    let ack = script.expect("ACK");
    let now = script.now;
    script.agent.message(&call, None, Content::text("x"), now);
    let message = script.expect("MESSAGE");
    for sent in [&ack, &message] {
        let routes = ["<sip:192.0.2.23;lr>", "<sip:192.0.2.22:5070;lr>", "<sip:192.0.2.21;lr>"];
        assert_eq!(sent.all("Route"), routes);
        assert_eq!(sent.request().uri.to_string(), "sip:peer@192.0.2.8:5060");
        assert_eq!(sent.flow.remote, "192.0.2.23:5060".parse().unwrap());
    }
}

#[test]
fn ua7_routes_of_a_call_that_came_are_those_of_the_invite_in_order() {
    let mut script = Script::new();
    let (call, _) = script.called(&format!("{ROUTES}{CONTACT}"));
    let now = script.now;
    script.agent.bye(call, None, now);
    let bye = script.expect("BYE");
    let routes = ["<sip:192.0.2.21;lr>", "<sip:192.0.2.22:5070;lr>", "<sip:192.0.2.23;lr>"];
    assert_eq!(bye.all("Route"), routes);
    assert_eq!(bye.flow.remote, "192.0.2.21:5060".parse().unwrap());
}

#[test]
fn ua7_record_routes_are_given_back_in_the_2xx() {
    let mut script = Script::new();
    let invite = script.asks("INVITE", &format!("{ROUTES}{CONTACT}"), "");
    script.udp(&invite).unwrap();
    let Event::Invited { call, .. } = script.event() else { panic!() };
    let now = script.now;
    let _unacked = script.agent.accept(call, Script::contact(), Content::sdp("v=0\r\n"), now);
    let ok = script.expect("SIP/2.0 200");
    assert_eq!(
        ok.all("Record-Route"),
        ["<sip:192.0.2.21;lr>", "<sip:192.0.2.22:5070;lr>", "<sip:192.0.2.23;lr>"]
    );
}

#[test]
fn ua9_a_strict_router_becomes_the_request_uri_and_the_target_comes_last() {
    let mut script = Script::new();
    let more = format!("Record-Route: <sip:192.0.2.21>, <sip:192.0.2.22;lr>\r\n{CONTACT}");
    let (call, _) = script.called(&more);
    let now = script.now;
    script.agent.bye(call, None, now);
    let bye = script.expect("BYE");
    assert_eq!(bye.request().uri.to_string(), "sip:192.0.2.21");
    assert_eq!(bye.all("Route"), ["<sip:192.0.2.22;lr>", "<sip:peer@192.0.2.8:5060>"]);
    assert_eq!(bye.flow.remote, "192.0.2.21:5060".parse().unwrap());
}

#[test]
fn a_record_route_that_cannot_be_read_is_400_and_not_an_empty_route_set() {
    let mut script = Script::new();
    let more = format!("Record-Route: <sip:192.0.2.21\r\n{CONTACT}");
    let invite = script.asks("INVITE", &more, "");
    assert!(script.udp(&invite).is_err());
    script.expect("SIP/2.0 400");
    assert!(script.silent());
}

#[test]
fn an_invite_without_a_contact_that_can_be_reached_is_400() {
    for contact in ["", "Contact: <tel:+15551234>\r\n"] {
        let mut script = Script::new();
        let invite = script.asks("INVITE", contact, "");
        script.udp(&invite).unwrap();
        script.expect("SIP/2.0 400");
        assert!(script.silent());
    }
}

#[test]
fn a_target_of_the_other_family_is_reached_where_the_peer_was_heard() {
    let mut script = Script::new();
    let (call, _) = script.called("Contact: <sip:peer@[2001:db8::8]:5060>\r\n");
    let now = script.now;
    script.agent.bye(call, None, now);
    let bye = script.expect("BYE");
    assert_eq!(bye.flow.remote, PEER.parse().unwrap());
    assert_eq!(bye.request().uri.to_string(), "sip:peer@[2001:db8::8]:5060");
}

#[test]
fn ua10_a_low_cseq_in_a_dialog_is_500() {
    let mut script = Script::new();
    let (_call, peer) = script.called(CONTACT);
    for (cseq, status) in [(50, "200"), (49, "500"), (50, "500"), (90, "200")] {
        // Another method, so that the branch is new.
        let method = if cseq == 50 && status == "500" { "BYE" } else { "OPTIONS" };
        script.udp(&peer.asks_with(method, cseq, "", "")).unwrap();
        script.expect(&format!("SIP/2.0 {status}"));
    }
}

#[test]
fn ua11_a_reinvite_moves_the_target_and_a_message_does_not() {
    let mut script = Script::new();
    let (call, mut peer) = script.called(CONTACT);
    let there = "Contact: <sip:peer@192.0.2.77:5077>\r\n";
    let message = peer.asks("MESSAGE", &format!("{there}Content-Type: text/plain\r\n"), "hello");
    script.udp(&message).unwrap();
    let Event::Message { message, .. } = script.event() else { panic!() };
    let now = script.now;
    script.agent.respond(message, StatusCode::OK, &[], now);
    assert_eq!(script.agent.remote_target(call.key()).unwrap().host.to_string(), "192.0.2.8");
    script.udp(&peer.asks("INVITE", there, "")).unwrap();
    let Event::Reinvited { reinvite, .. } = script.event() else { panic!() };
    script.agent.accept_reinvite(reinvite, Content::sdp("v=0\r\n"), now);
    script.expect("SIP/2.0 200 OK");
    script.udp(&peer.asks_with("ACK", peer.cseq, "", "")).unwrap();
    script.agent.message(&call, None, Content::text("x"), now);
    assert_eq!(script.expect("MESSAGE").flow.remote, "192.0.2.77:5077".parse().unwrap());
}

#[test]
fn ua15_a_reinvite_without_sdp_gets_our_offer_and_its_ack_brings_the_answer() {
    let mut script = Script::new();
    let (_call, mut peer) = script.called(CONTACT);
    script.udp(&peer.asks("INVITE", CONTACT, "")).unwrap();
    let Event::Reinvited { reinvite, request, .. } = script.event() else { panic!() };
    assert!(request.body.is_empty());
    let now = script.now;
    script.agent.accept_reinvite(reinvite, Content::sdp("v=0\r\n"), now);
    let ack = peer.asks_with("ACK", peer.cseq, "Content-Type: application/sdp\r\n", "v=0\r\n");
    script.udp(&ack).unwrap();
    let Event::ReinviteAcked { ack, .. } = script.event() else { panic!() };
    assert_eq!(ack.body, "v=0\r\n");
}

#[test]
fn a_reinvite_that_nobody_answers_is_500_and_the_next_one_is_taken() {
    let mut script = Script::new();
    let (call, mut peer) = script.called(CONTACT);
    script.udp(&peer.asks("INVITE", CONTACT, "")).unwrap();
    script.wait(seconds(6));
    script.expect("SIP/2.0 500");
    script.udp(&peer.asks_with("ACK", peer.cseq, "", "")).unwrap();
    let Event::Reinvited { .. } = script.event() else { panic!() };
    script.udp(&peer.asks("INVITE", CONTACT, "")).unwrap();
    let Event::Reinvited { reinvite, .. } = script.event() else { panic!("refused") };
    let now = script.now;
    script.agent.reject_reinvite(reinvite, Failure::NOT_ACCEPTABLE_HERE, now);
    script.expect("SIP/2.0 488");
    script.agent.reinvite(&call, Script::contact(), Content::sdp("v=0\r\n"), now);
    script.expect("INVITE");
}

#[test]
fn ua21_a_bye_of_ours_answers_what_is_open_with_487() {
    let mut script = Script::new();
    let (call, mut peer) = script.called(CONTACT);
    script.udp(&peer.asks("INVITE", CONTACT, "")).unwrap();
    let now = script.now;
    script.agent.bye(call, None, now);
    script.expect("SIP/2.0 487");
    assert_eq!(script.agent.load().pending, 0);
}

#[test]
fn a_cancelled_reinvite_is_487_and_the_call_stays() {
    let mut script = Script::new();
    let (call, mut peer) = script.called(CONTACT);
    let reinvite = peer.asks("INVITE", CONTACT, "");
    script.udp(&reinvite).unwrap();
    let cancel = reinvite.replace("INVITE sip", "CANCEL sip").replace(" INVITE\r\n", " CANCEL\r\n");
    script.udp(&cancel).unwrap();
    script.expect("SIP/2.0 200");
    script.expect("SIP/2.0 487");
    assert!(script.agent.remote_target(call.key()).is_some());
    script.udp(&peer.asks_with("ACK", peer.cseq, "", "")).unwrap();
    script.event();
    script.udp(&peer.asks("INVITE", CONTACT, "")).unwrap();
    let Event::Reinvited { .. } = script.event() else { panic!("refused") };
}

#[test]
fn tx18_a_cancelled_invite_that_the_peer_ignores_leaves_nothing_behind() {
    let mut script = Script::new();
    let (early, invite) = script.invite(Transport::Udp);
    script.answer(&invite, 180, CONTACT, "");
    let Event::Progress { .. } = script.event() else { panic!() };
    let now = script.now;
    script.agent.cancel(early, now);
    let cancel = script.expect("CANCEL");
    script.answer(&cancel, 200, "", "");
    script.wait(seconds(40));
    let Event::Rejected { failure: CallFailure::Cancelled, .. } = script.event() else { panic!() };
    assert!(script.agent.load().is_idle());
    assert!(script.agent.is_quiet());
}

#[test]
fn a_reinvite_answered_by_100_and_then_by_silence_ends_the_call() {
    let mut script = Script::new();
    let (call, _) = script.dialled(CONTACT);
    let now = script.now;
    script.agent.reinvite(&call, Script::contact(), Content::sdp("v=0\r\n"), now);
    let invite = script.expect("INVITE");
    script.answer(&invite, 100, "", "");
    script.wait(seconds(181));
    let Event::Completed { outcome: Outcome::TimedOut, .. } = script.event() else { panic!() };
    let Event::Ended { reason: EndReason::PeerLost, .. } = script.event() else { panic!() };
    script.expect("BYE");
    script.wait(seconds(60));
    assert!(script.agent.load().is_idle());
}

#[test]
fn a_call_that_ends_under_our_reinvite_tells_what_became_of_it() {
    let mut script = Script::new();
    let (call, mut peer) = script.dialled(CONTACT);
    let now = script.now;
    let id = script.agent.reinvite(&call, Script::contact(), Content::sdp("v=0\r\n"), now);
    let invite = script.expect("INVITE");
    script.answer(&invite, 100, "", "");
    script.udp(&peer.asks("BYE", "", "")).unwrap();
    let Event::Completed { request, outcome: Outcome::Unsendable, .. } = script.event() else {
        panic!()
    };
    assert_eq!(request, id);
    let Event::Ended { .. } = script.event() else { panic!() };
    script.wait(seconds(200));
    assert!(script.agent.load().is_idle());
    assert!(script.silent());
}

#[test]
fn requests_of_a_call_go_one_after_the_other_and_a_reinvite_goes_first() {
    let mut script = Script::new();
    let (call, _) = script.dialled(CONTACT);
    let now = script.now;
    script.agent.message(&call, None, Content::text("one"), now);
    script.agent.message(&call, None, Content::text("two"), now);
    script.agent.reinvite(&call, Script::contact(), Content::sdp("v=0\r\n"), now);
    let message = script.expect("MESSAGE");
    assert!(script.sent.is_empty(), "RFC 3428 §8: nothing beside the text in flight");
    script.answer(&message, 200, "", "");
    let invite = script.expect("INVITE");
    assert!(script.sent.is_empty(), "the second text waits for the re-INVITE to be heard of");
    script.wait(millis(400));
    assert!(script.sent.is_empty());
    script.answer(&invite, 100, "", "");
    assert_eq!(script.expect("MESSAGE").request().body, "two");
    script.answer(&invite, 200, CONTACT, "v=0\r\n");
    script.expect("ACK");
}

#[test]
fn a_bye_does_not_wait_for_a_text() {
    let mut script = Script::new();
    let (call, _) = script.dialled(CONTACT);
    let now = script.now;
    script.agent.message(&call, None, Content::text("one"), now);
    script.agent.bye(call, None, now);
    script.expect("BYE");
}

#[test]
fn a_reinvite_of_the_peer_goes_before_ours_that_waits() {
    let mut script = Script::new();
    let (call, mut peer) = script.dialled(CONTACT);
    let now = script.now;
    script.agent.message(&call, None, Content::text("one"), now);
    let id = script.agent.reinvite(&call, Script::contact(), Content::sdp("v=0\r\n"), now);
    script.udp(&peer.asks("INVITE", CONTACT, "")).unwrap();
    let Event::Completed { request, outcome: Outcome::Unsendable, .. } = script.event() else {
        panic!()
    };
    assert_eq!(request, id);
    let Event::Reinvited { .. } = script.event() else { panic!() };
}

#[test]
fn tx6_a_2xx_of_a_second_fork_is_acknowledged_each_time_and_hung_up_once() {
    let mut script = Script::new();
    let (_early, invite) = script.invite(Transport::Udp);
    script.answer(&invite, 200, CONTACT, "v=0\r\n");
    script.expect("ACK");
    let other = answer(&invite.request(), 200, "other", CONTACT, "v=0\r\n");
    script.udp(&other).unwrap();
    let ack = script.expect("ACK");
    assert!(ack.get("To").contains("tag=other"));
    let bye = script.expect("BYE");
    assert!(bye.get("To").contains("tag=other"));
    script.answer(&bye, 200, "", "");
    for _ in 0..3 {
        script.udp(&other).unwrap();
        script.expect("ACK");
    }
    assert_eq!(script.count("BYE"), 0);
    let Event::Answered { .. } = script.event() else { panic!() };
    assert!(script.silent(), "the call itself goes on");
}

#[test]
fn tx20_a_2xx_that_crosses_our_cancel_is_acknowledged_and_hung_up_once() {
    let mut script = Script::new();
    let (early, invite) = script.invite(Transport::Udp);
    script.answer(&invite, 180, CONTACT, "");
    script.event();
    let now = script.now;
    script.agent.cancel(early, now);
    script.expect("CANCEL");
    for time in 0..3 {
        script.answer(&invite, 200, CONTACT, "v=0\r\n");
        script.expect("ACK");
        assert_eq!(script.count("BYE"), usize::from(time == 0));
    }
    let Event::Rejected { failure: CallFailure::Cancelled, .. } = script.event() else { panic!() };
}

#[test]
fn ua4_a_merged_request_is_482() {
    let mut script = Script::new();
    let invite = script.asks("INVITE", CONTACT, "");
    script.udp(&invite).unwrap();
    script.expect("SIP/2.0 100");
    script.udp(&invite.replace("z9hG4bKout", "z9hG4bKother")).unwrap();
    script.expect("SIP/2.0 482");
}

#[test]
fn tx16_a_response_with_two_vias_or_of_another_sent_by_is_dropped() {
    let mut script = Script::new();
    let (_early, invite) = script.invite(Transport::Udp);
    let good = answer(&invite.request(), 200, "t", CONTACT, "v=0\r\n");
    let twice = good.replacen("Via: ", "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx\r\nVia: ", 1);
    let behind = good.replacen("Call-ID: ", "Via: SIP/2.0/UDP b;branch=z9hG4bKx\r\nCall-ID: ", 1);
    let foreign = good.replacen("192.0.2.1:5060;rport", "192.0.2.66:5060;rport", 1);
    assert!(foreign.contains("192.0.2.66"), "{good}");
    for bad in [twice, behind, foreign] {
        script.udp(&bad).unwrap();
        assert!(script.silent(), "{bad}");
    }
    script.udp(&good).unwrap();
    let Event::Answered { .. } = script.event() else { panic!() };
}

#[test]
fn tp4_tp5_received_and_rport_are_noted_and_answers_go_there() {
    let mut script = Script::new();
    let request = script.asks("OPTIONS", "", "");
    script.udp_from("198.51.100.4:4444", &request).unwrap();
    let sent = script.expect("SIP/2.0 200");
    assert_eq!(sent.flow.remote, "198.51.100.4:4444".parse().unwrap());
    let via = sent.get("Via");
    assert!(via.contains("received=198.51.100.4") && via.contains("rport=4444"), "{via}");
    let request = script.asks("OPTIONS", "", "").replace(";rport", "");
    script.udp_from("198.51.100.4:4444", &request).unwrap();
    let sent = script.expect("SIP/2.0 200");
    assert_eq!(sent.flow.remote, "198.51.100.4:5060".parse().unwrap(), "TP6: the sent-by port");
    assert!(sent.get("Via").contains("received=198.51.100.4"));
}

#[test]
fn ua17_an_invite_whose_time_ran_out_is_487() {
    let mut script = Script::new();
    let invite = script.asks("INVITE", &format!("Expires: 20\r\n{CONTACT}"), "");
    script.udp(&invite).unwrap();
    let Event::Invited { .. } = script.event() else { panic!() };
    script.wait(seconds(21));
    script.expect("SIP/2.0 487");
    let Event::Cancelled { .. } = script.event() else { panic!() };
}

#[test]
fn dialogs_over_ipv6_write_brackets_and_reach_the_target() {
    let mut script = Script::new();
    let flow = sip_core::Flow {
        transport: Transport::Udp,
        local: "[2001:db8::1]:5060".parse().unwrap(),
        remote: "[2001:db8::8]:5060".parse().unwrap(),
        connection: None,
    };
    let _early = script.invite_to(flow, "sip:peer@[2001:db8::8]");
    let invite = script.expect("INVITE");
    assert!(invite.get("Via").starts_with("SIP/2.0/UDP [2001:db8::1]:5060;"), "{}", invite.text);
    assert_eq!(invite.get("Contact"), "<sip:me@[2001:db8::1]:5060>");
    let contact = "Contact: <sip:peer@[2001:db8::9]:5070>\r\n";
    script.answer(&invite, 200, contact, "v=0\r\n");
    let Event::Answered { call, .. } = script.event() else { panic!() };
    assert_eq!(script.expect("ACK").flow.remote, "[2001:db8::9]:5070".parse().unwrap());
    let now = script.now;
    script.agent.bye(call, None, now);
    let bye = script.expect("BYE");
    assert_eq!(bye.request().uri.to_string(), "sip:peer@[2001:db8::9]:5070");
}

#[test]
fn ua12_a_request_of_a_dialog_that_is_over_is_481() {
    let mut script = Script::new();
    let (call, mut peer) = script.called(CONTACT);
    let now = script.now;
    script.agent.bye(call, None, now);
    for method in ["MESSAGE", "OPTIONS", "NOTIFY", "INVITE"] {
        script.udp(&peer.asks(method, CONTACT, "")).unwrap();
        script.expect("SIP/2.0 481");
    }
    let ghost = Peer { call_id: "ghost".into(), ..peer };
    script.udp(&ghost.asks_with("ACK", 1, "", "")).unwrap();
    script.sent.retain(|sent| !sent.text.starts_with("BYE"));
    assert!(script.sent.is_empty(), "an ACK is never answered");
}
