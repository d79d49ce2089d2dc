//! UPDATE, in early dialogs and in calls (RFC 3311).

use sip_core::{Content, Event, Outcome, Transport};

use crate::script::{CONTACT, Peer, Script, answer};

const SDP: &str = "Content-Type: application/sdp\r\n";
const THERE: &str = "Contact: <sip:peer@192.0.2.77:5077>\r\n";

#[test]
fn ua27_an_update_without_an_offer_refreshes_the_target_and_is_answered_at_once() {
    let mut script = Script::new();
    let (call, mut peer) = script.called(CONTACT);
    script.udp(&peer.asks("UPDATE", THERE, "")).unwrap();
    let ok = script.expect("SIP/2.0 200");
    assert!(ok.get("Contact").contains("sip:me@"));
    assert!(ok.all("Allow").contains(&"UPDATE".to_owned()));
    assert!(script.silent());
    assert_eq!(script.agent.remote_target(call.key()).unwrap().host.to_string(), "192.0.2.77");
}

#[test]
fn ua27_an_offer_in_an_update_is_answered_in_its_2xx_and_nothing_is_repeated() {
    let mut script = Script::new();
    let (call, mut peer) = script.called(CONTACT);
    script.udp(&peer.asks("UPDATE", &format!("{THERE}{SDP}"), "v=0\r\ns=new\r\n")).unwrap();
    let Event::Updated { update, call: of, request, .. } = script.event() else { panic!() };
    assert_eq!((of, &request.body[..]), (call.key(), &b"v=0\r\ns=new\r\n"[..]));
    let now = script.now;
    script.agent.accept_reinvite(update, Content::sdp("v=0\r\n"), now);
    let ok = script.expect("SIP/2.0 200");
    assert_eq!(ok.response().body, "v=0\r\n");
    script.wait(std::time::Duration::from_secs(40));
    assert_eq!(script.count(""), 0, "a 2xx to UPDATE has no ACK and is not repeated");
    let now = script.now;
    script.agent.reinvite(&call, Script::contact(), Content::sdp("v=0\r\n"), now);
    script.expect("INVITE");
}

#[test]
fn ua27_an_update_that_crosses_an_offer_is_491_or_500_with_a_time() {
    let mut script = Script::new();
    let (call, mut peer) = script.dialled(CONTACT);
    let offer = format!("{CONTACT}{SDP}");
    // Theirs is open: another one of any kind is 500.
    script.udp(&peer.asks("UPDATE", &offer, "v=0\r\n")).unwrap();
    let Event::Updated { update, .. } = script.event() else { panic!() };
    for (method, more, body) in
        [("UPDATE", &offer[..], "v=0\r\n"), ("UPDATE", CONTACT, ""), ("INVITE", &offer, "v=0\r\n")]
    {
        script.udp(&peer.asks(method, more, body)).unwrap();
        let refused = script.expect("SIP/2.0 500");
        assert!(refused.get("Retry-After").parse::<u32>().unwrap() <= 10, "{method}");
    }
    let now = script.now;
    script.agent.reject_reinvite(update, sip_core::Failure::NOT_ACCEPTABLE_HERE, now);
    script.expect("SIP/2.0 488");
    // Ours is open: 491 for an offer, none for a refresh.
    script.agent.update(&call, Some(Content::sdp("v=0\r\n")), now);
    let ours = script.expect("UPDATE");
    for method in ["UPDATE", "INVITE"] {
        script.udp(&peer.asks(method, &offer, "v=0\r\n")).unwrap();
        script.expect("SIP/2.0 491");
    }
    script.udp(&peer.asks("UPDATE", CONTACT, "")).unwrap();
    script.expect("SIP/2.0 200");
    script.answer(&ours, 200, &offer, "v=0\r\n");
    script.udp(&peer.asks("UPDATE", &offer, "v=0\r\n")).unwrap();
    let Event::Completed { outcome: Outcome::Answered(_), .. } = script.event() else { panic!() };
    let Event::Updated { .. } = script.event() else { panic!("491 for ever") };
}

#[test]
fn ua27_an_update_of_ours_refreshes_the_target_by_its_2xx() {
    let mut script = Script::new();
    let (call, _) = script.dialled(CONTACT);
    let now = script.now;
    let id = script.agent.update(&call, None, now);
    let update = script.expect("UPDATE");
    assert!(update.get("Contact").contains("sip:me@"));
    script.answer(&update, 200, THERE, "");
    let Event::Completed { request, .. } = script.event() else { panic!() };
    assert_eq!(request, id);
    assert_eq!(script.agent.remote_target(call.key()).unwrap().host.to_string(), "192.0.2.77");
    // Two exchanges at a time are none.
    script.agent.update(&call, Some(Content::sdp("v=0\r\n")), now);
    let second = script.agent.update(&call, Some(Content::sdp("v=0\r\n")), now);
    let Event::Completed { request, outcome: Outcome::Unsendable, .. } = script.event() else {
        panic!()
    };
    assert_eq!(request, second);
}

#[test]
fn ua27_in_an_early_dialog_a_refresh_is_taken_and_an_offer_waits() {
    let mut script = Script::new();
    let (_early, invite) = script.invite(Transport::Udp);
    script.answer(&invite, 180, CONTACT, "");
    let headers = invite.request().headers;
    let mut fork = Peer {
        call_id: headers.call_id().unwrap().to_owned(),
        local: format!("{};tag=peertag", headers.get("To").unwrap()),
        remote: headers.get("From").unwrap().to_owned(),
        cseq: 0,
    };
    script.udp(&fork.asks("UPDATE", THERE, "")).unwrap();
    assert!(script.expect("SIP/2.0 200").get("Contact").contains("sip:me@"));
    script.udp(&fork.asks("UPDATE", &format!("{THERE}{SDP}"), "v=0\r\n")).unwrap();
    script.expect("SIP/2.0 491");
    let answered = format!("Require: 100rel\r\nRSeq: 1\r\n{CONTACT}{SDP}");
    script.udp(&answer(&invite.request(), 183, "peertag", &answered, "v=0\r\n")).unwrap();
    script.udp(&fork.asks("UPDATE", &format!("{THERE}{SDP}"), "v=0\r\n")).unwrap();
    script.expect("SIP/2.0 488");
    let mut script = Script::new();
    let more = format!("{CONTACT}{SDP}");
    let invite = script.asks("INVITE", &more, "v=0\r\n");
    script.udp(&invite).unwrap();
    let Event::Invited { call, .. } = script.event() else { panic!() };
    let now = script.now;
    script.agent.ring(&call, &Script::contact(), now);
    let headers = script.expect("SIP/2.0 180").response().headers;
    let mut peer = Peer {
        call_id: headers.call_id().unwrap().to_owned(),
        local: headers.get("From").unwrap().to_owned(),
        remote: headers.get("To").unwrap().to_owned(),
        cseq: headers.cseq().unwrap().number,
    };
    script.udp(&peer.asks("UPDATE", THERE, "")).unwrap();
    script.expect("SIP/2.0 200");
    script.udp(&peer.asks("UPDATE", &more, "v=0\r\n")).unwrap();
    assert!(!script.expect("SIP/2.0 500").get("Retry-After").is_empty());
}
