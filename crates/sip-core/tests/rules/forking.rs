//! Early dialogs and forks of an INVITE of ours (RFC 3261 §12.1.2, §13.2.2.4).

use sip_core::{Event, Transport};

use crate::script::{CONTACT, PEER, Peer, Script, Sent, answer};

/// The fork with this tag, as it sees the dialog.
fn fork_of(invite: &Sent, tag: &str) -> Peer {
    let headers = invite.request().headers;
    Peer {
        call_id: headers.call_id().unwrap().to_owned(),
        local: format!("{};tag={tag}", headers.get("To").unwrap()),
        remote: headers.get("From").unwrap().to_owned(),
        // Branches are made of it: no two forks may send the same one.
        cseq: tag.bytes().fold(0, |sum, byte| sum * 31 + u32::from(byte)) % 1_000_000,
    }
}

#[test]
fn ua8_each_place_that_rings_is_an_early_dialog_and_progress_tells_which() {
    let mut script = Script::new();
    let (_early, invite) = script.invite(Transport::Udp);
    for (tag, body) in [("one", "v=0\r\ns=one\r\n"), ("two", "v=0\r\ns=two\r\n")] {
        let more = format!("{CONTACT}Content-Type: application/sdp\r\n");
        script.udp(&answer(&invite.request(), 183, tag, &more, body)).unwrap();
        let Event::Progress { fork, response, flow, .. } = script.event() else { panic!() };
        assert_eq!(fork.as_deref(), Some(tag));
        assert_eq!(response.body, body);
        assert_eq!(flow.remote, PEER.parse().unwrap());
    }
    for tag in ["one", "two"] {
        let options = fork_of(&invite, tag).asks("OPTIONS", "", "");
        script.udp(&options).unwrap();
        script.expect("SIP/2.0 200");
    }
    let options = fork_of(&invite, "three").asks("OPTIONS", "", "");
    script.udp(&options).unwrap();
    script.expect("SIP/2.0 481");
}

#[test]
fn ua8_the_fork_that_answers_is_the_call_and_the_early_ones_are_over() {
    let mut script = Script::new();
    let (_early, invite) = script.invite(Transport::Udp);
    let routes = "Record-Route: <sip:192.0.2.21;lr>\r\n";
    let early = format!("{routes}Contact: <sip:peer@192.0.2.70>\r\n");
    for tag in ["one", "two"] {
        script.udp(&answer(&invite.request(), 180, tag, &early, "")).unwrap();
        let Event::Progress { .. } = script.event() else { panic!() };
    }
    let ok = format!("Record-Route: <sip:192.0.2.22;lr>\r\n{CONTACT}");
    script.udp(&answer(&invite.request(), 200, "two", &ok, "v=0\r\n")).unwrap();
    let Event::Answered { call, .. } = script.event() else { panic!() };
    let ack = script.expect("ACK");
    assert_eq!(ack.all("Route"), ["<sip:192.0.2.22;lr>"], "the route set is that of the 2xx");
    assert_eq!(ack.request().uri.to_string(), "sip:peer@192.0.2.8:5060");
    script.udp(&fork_of(&invite, "one").asks("OPTIONS", "", "")).unwrap();
    script.expect("SIP/2.0 481");
    script.udp(&fork_of(&invite, "two").asks("OPTIONS", "", "")).unwrap();
    script.expect("SIP/2.0 200");
    assert!(script.agent.remote_target(call.key()).is_some());
    // The other one picks up all the same.
    script.udp(&answer(&invite.request(), 200, "one", CONTACT, "v=0\r\n")).unwrap();
    assert!(script.expect("ACK").get("To").contains("tag=one"));
    assert!(script.expect("BYE").get("To").contains("tag=one"));
    assert!(script.silent(), "the call itself goes on");
}

#[test]
fn ua8_a_failure_ends_all_early_dialogs_and_forks_without_end_are_not_remembered() {
    let mut script = Script::new();
    let (_early, invite) = script.invite(Transport::Udp);
    for n in 0..100 {
        script.udp(&answer(&invite.request(), 180, &format!("t{n}"), CONTACT, "")).unwrap();
    }
    assert_eq!(script.events.len(), 100);
    script.udp(&fork_of(&invite, "t0").asks("OPTIONS", "", "")).unwrap();
    script.expect("SIP/2.0 200");
    script.udp(&fork_of(&invite, "t99").asks("OPTIONS", "", "")).unwrap();
    script.expect("SIP/2.0 481");
    script.udp(&answer(&invite.request(), 486, "t0", "", "")).unwrap();
    script.udp(&fork_of(&invite, "t1").asks("OPTIONS", "", "")).unwrap();
    script.expect("SIP/2.0 481");
}

#[test]
fn ua19_ua21_what_a_callee_may_not_ask_in_an_early_dialog_changes_nothing() {
    let mut script = Script::new();
    let (_early, invite) = script.invite(Transport::Udp);
    script.udp(&answer(&invite.request(), 180, "one", CONTACT, "")).unwrap();
    let Event::Progress { .. } = script.event() else { panic!() };
    let mut fork = fork_of(&invite, "one");
    script.udp(&fork.asks("INVITE", CONTACT, "")).unwrap();
    script.expect("SIP/2.0 491");
    script.udp(&fork.asks("MESSAGE", "", "")).unwrap();
    script.expect("SIP/2.0 480");
    script.udp(&fork.asks("BYE", "", "")).unwrap();
    script.expect("SIP/2.0 200");
    assert!(script.silent(), "other places may still pick up");
    script.udp(&answer(&invite.request(), 200, "two", CONTACT, "v=0\r\n")).unwrap();
    let Event::Answered { .. } = script.event() else { panic!() };
}
