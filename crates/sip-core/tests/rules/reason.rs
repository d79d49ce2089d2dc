//! Why a CANCEL or a BYE is sent (RFC 3326).

use sip_core::{EndReason, Event, Reason, StatusCode, Transport};

use crate::script::{CONTACT, Script, answer, seconds};

const ELSEWHERE: &str = "SIP;cause=200;text=\"Call completed elsewhere\"";

/// An INVITE of the peer that is cancelled with these lines; what is told of it.
fn cancelled(more: &str) -> Option<Reason> {
    let mut script = Script::new();
    let invite = script.asks("INVITE", CONTACT, "");
    script.udp(&invite).unwrap();
    let Event::Invited { .. } = script.event() else { panic!() };
    let cancel = invite.replace("INVITE", "CANCEL").replace(CONTACT, more);
    script.udp(&cancel).unwrap();
    script.expect("SIP/2.0 487");
    let Event::Cancelled { reason, .. } = script.event() else { panic!() };
    reason
}

#[test]
fn a_call_that_another_phone_took_is_told_from_one_that_was_given_up() {
    let reason = cancelled(&format!("Reason: {ELSEWHERE}\r\n")).unwrap();
    assert!(reason.is_completed_elsewhere());
    assert_eq!(reason.text.as_deref(), Some("Call completed elsewhere"));
    assert!(cancelled("Reason: Q.850;cause=26\r\n").unwrap().is_completed_elsewhere());
    assert!(!cancelled("Reason: SIP;cause=487\r\n").unwrap().is_completed_elsewhere());
    assert_eq!(cancelled(""), None);
    assert_eq!(cancelled("Reason: ;;\"\r\n"), None);
}

#[test]
fn the_reason_of_a_bye_is_told() {
    let mut script = Script::new();
    let (_call, mut peer) = script.called(CONTACT);
    let more = "Reason: Q.850;cause=16;text=\"Terminated\"\r\n";
    script.udp(&peer.asks("BYE", more, "")).unwrap();
    let Event::Ended { reason, .. } = script.event() else { panic!() };
    let told = reason.told().unwrap();
    assert_eq!((told.cause, told.text.as_deref()), (Some(16), Some("Terminated")));
    assert_eq!(EndReason::HungUp.told(), None);
}

#[test]
fn a_second_fork_hears_that_another_took_the_call() {
    let mut script = Script::new();
    let (_early, invite) = script.invite(Transport::Udp);
    for tag in ["one", "two"] {
        script.udp(&answer(&invite.request(), 200, tag, CONTACT, "v=0\r\n")).unwrap();
    }
    let bye = script.expect("BYE");
    assert!(bye.get("To").ends_with("tag=two"));
    assert_eq!(bye.line("Reason"), ELSEWHERE);
}

#[test]
fn a_cancel_and_the_bye_of_an_answer_that_crossed_it_say_why() {
    let mut script = Script::new();
    let (early, invite) = script.invite(Transport::Udp);
    let why = Reason::completed_elsewhere();
    script.agent.cancel_because(early, Some(why), script.now);
    script.answer(&invite, 180, CONTACT, "");
    assert_eq!(script.expect("CANCEL").line("Reason"), ELSEWHERE);
    script.answer(&invite, 200, CONTACT, "v=0\r\n");
    assert!(script.expect("BYE").line("Reason").starts_with("SIP;cause=487;"));

    let (early, invite) = script.invite(Transport::Udp);
    script.answer(&invite, 180, CONTACT, "");
    script.agent.cancel(early, script.now);
    assert_eq!(script.expect("CANCEL").line("Reason"), "");
}

#[test]
fn a_bye_says_in_whose_words_and_that_an_ack_did_not_come() {
    let mut script = Script::new();
    let (call, _) = script.dialled(CONTACT);
    script.agent.bye(call, Some("the \"weekly\" \\ ended\r\nVia: x"), script.now);
    let bye = script.expect("BYE");
    assert_eq!(bye.all("Via").len(), 1);
    let reason = Reason::of(&bye.request().headers).unwrap();
    assert_eq!(reason.cause, Some(StatusCode::OK.code()));
    assert_eq!(reason.text.as_deref(), Some("the \"weekly\" \\ ended  Via: x"));

    let mut script = Script::new();
    let invite = script.asks("INVITE", CONTACT, "");
    script.udp(&invite).unwrap();
    let Event::Invited { call, .. } = script.event() else { panic!() };
    let sdp = sip_core::Content::sdp("v=0\r\n");
    let _unacked = script.agent.accept(call, Script::contact(), sdp, script.now);
    script.wait(seconds(33));
    assert!(script.expect("BYE").line("Reason").starts_with("SIP;cause=408;"));
}
