//! Redirects (RFC 3261 §8.1.3.4, §19.1.5, §21.3), and INVITEs that are worth a time only (§13.2.1).

use sip_core::auth::Credentials;
use sip_core::{
    CallFailure, Config, Content, Event, Invite, NameAddr, Outcome, PagerMessage, Subscribe,
    Transport, Uri, Way,
};

use crate::script::{CONTACT, Peer, Script, Sent, answer, millis, seconds};

const FIRST: &str = "sip:peer@192.0.2.8";

/// Our INVITE to the peer, out.
fn called(script: &mut Script) -> Sent {
    script.invite(Transport::Udp).1
}

fn moved(script: &mut Script, invite: &Sent, status: u16, contacts: &str) {
    let text = answer(&invite.request(), status, "r", contacts, "");
    script.udp_from(&invite.flow.remote.to_string(), &text).unwrap();
}

/// The next INVITE; the ACK of the redirect went before it.
fn next(script: &mut Script) -> Sent {
    let ack = script.expect("");
    assert!(ack.first().starts_with("ACK "), "{}", ack.text);
    script.expect("INVITE")
}

fn uri(sent: &Sent) -> String {
    sent.request().uri.to_string()
}

/// Fails the calls that follow each with 404, and tells to whom they went.
fn tried(script: &mut Script) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(at) = script.sent.iter().position(|sent| sent.text.starts_with("INVITE")) {
        let sent = script.sent.remove(at).unwrap();
        script.sent.clear();
        all.push(uri(&sent));
        moved(script, &sent, 404, "");
    }
    all
}

fn failure(script: &mut Script) -> CallFailure {
    loop {
        match script.event() {
            Event::Rejected { failure, .. } => return failure,
            Event::Redirected { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn ua22_a_redirected_call_keeps_call_id_from_and_to_and_counts_on() {
    let mut script = Script::new();
    let first = called(&mut script);
    moved(&mut script, &first, 302, "Contact: \"Desk\" <sip:desk@192.0.2.9:5070>\r\n");
    let second = next(&mut script);
    assert_eq!(uri(&second), "sip:desk@192.0.2.9:5070");
    assert_eq!(second.flow.remote, "192.0.2.9:5070".parse().unwrap());
    for name in ["From", "To", "Call-ID", "Max-Forwards", "Content-Type"] {
        assert_eq!(second.get(name), first.get(name), "{name}");
    }
    assert!(!second.get("To").contains("tag="));
    assert_eq!(second.get("CSeq"), "2 INVITE");
    assert_ne!(second.get("Via"), first.get("Via"));
    assert_eq!(second.request().body, first.request().body);
    let Event::Redirected { to, .. } = script.event() else { panic!() };
    assert_eq!(to.to_string(), "\"Desk\" <sip:desk@192.0.2.9:5070>");
    let contact = "Contact: <sip:desk@192.0.2.9:5070>\r\n";
    let ok = answer(&second.request(), 200, "desk", contact, "v=0\r\n");
    script.udp_from("192.0.2.9:5070", &ok).unwrap();
    let Event::Answered { call, .. } = script.event() else { panic!() };
    assert_eq!(script.expect("ACK").get("CSeq"), "2 ACK");
    script.agent.bye(call, None, script.now);
    let bye = script.expect("BYE");
    assert_eq!((bye.get("CSeq").as_str(), bye.flow.remote.port()), ("3 BYE", 5070));
}

#[test]
fn ua22_contacts_are_tried_by_their_q_and_none_twice() {
    let mut script = Script::new();
    let first = called(&mut script);
    let contacts = format!(
        "Contact: <sip:c@192.0.2.13>;q=0.2, <sip:a@192.0.2.11>, <sip:b@192.0.2.12>;q=0.7\r\n\
         Contact: <sip:a@192.0.2.11>;q=0.1, <{FIRST}>;q=0.9, <tel:+4930123>\r\n"
    );
    moved(&mut script, &first, 300, &contacts);
    let a = next(&mut script);
    assert_eq!(uri(&a), "sip:a@192.0.2.11");
    // Whom it names is tried before the others, and it may name nobody again.
    let more = format!("Contact: <sip:d@192.0.2.14>, <sip:b@192.0.2.12>, <{FIRST}>\r\n");
    moved(&mut script, &a, 302, &more);
    let left = ["sip:d@192.0.2.14", "sip:b@192.0.2.12", "sip:c@192.0.2.13"];
    assert_eq!(tried(&mut script), left);
    let CallFailure::Declined(last) = failure(&mut script) else { panic!() };
    assert_eq!(last.status.code(), 404);
    script.wait(seconds(40));
    assert!(script.agent.load().is_idle());
}

#[test]
fn ua22_the_next_address_is_tried_where_one_is_silent_or_is_not_found() {
    let mut script = Script::new();
    let first = called(&mut script);
    let contacts = "Contact: <sip:a@nowhere.example>, <sip:b@192.0.2.12>, <sip:c@192.0.2.13>\r\n";
    moved(&mut script, &first, 302, contacts);
    script.wait(millis(1));
    let b = script.expect("INVITE");
    assert_eq!(uri(&b), "sip:b@192.0.2.12");
    script.sent.clear();
    script.wait(seconds(32));
    let c = script.sent.iter().rfind(|sent| sent.text.starts_with("INVITE")).unwrap();
    assert_eq!(uri(c), "sip:c@192.0.2.13");
    script.sent.clear();
    script.wait(seconds(32));
    assert!(matches!(failure(&mut script), CallFailure::TimedOut));
}

#[test]
fn ua22_a_6xx_speaks_for_all_places() {
    let mut script = Script::new();
    let first = called(&mut script);
    moved(&mut script, &first, 302, "Contact: <sip:a@192.0.2.11>, <sip:b@192.0.2.12>\r\n");
    let a = next(&mut script);
    moved(&mut script, &a, 603, "");
    assert_eq!(script.count("INVITE"), 0);
    assert!(matches!(failure(&mut script), CallFailure::Declined(_)));
}

#[test]
fn ua22_redirects_without_end_are_not_followed() {
    let mut script = Script::new();
    let mut sent = called(&mut script);
    let mut count = 0;
    loop {
        count += 1;
        assert!(count < 100);
        let contact = format!("Contact: <sip:x{count}@192.0.2.20>\r\n");
        moved(&mut script, &sent, 302, &contact);
        match script.sent.iter().position(|sent| sent.text.starts_with("INVITE")) {
            Some(at) => sent = script.sent.remove(at).unwrap(),
            None => break,
        }
    }
    assert_eq!(count, 6, "five redirects one behind the other");
    assert!(
        matches!(failure(&mut script), CallFailure::Declined(last) if last.status.code() == 302)
    );
    let mut script = Script::new();
    let sent = called(&mut script);
    let many: Vec<String> = (0..30).map(|n| format!("<sip:x{n}@192.0.2.20>")).collect();
    moved(&mut script, &sent, 302, &format!("Contact: {}\r\n", many.join(", ")));
    assert_eq!(tried(&mut script).len(), 7, "eight addresses with the first");
}

#[test]
fn ua22_a_redirect_without_an_address_that_can_be_used_is_the_failure_it_is() {
    for (status, contacts) in [
        (300, ""),
        (302, "Contact: <tel:+4930123>\r\n"),
        (302, "Contact: <mailto:a@b>, <http://example.org>\r\n"),
        (302, "Contact: <sip:peer@192.0.2.8>\r\n"),
        (302, "Contact: <sip:a@192.0.2.9;method=BYE>\r\n"),
        (380, "Contact: <sip:a@192.0.2.9>\r\n"),
    ] {
        let mut script = Script::new();
        let first = called(&mut script);
        moved(&mut script, &first, status, contacts);
        assert_eq!(script.count("INVITE"), 0, "{contacts}");
        let Event::Rejected { failure: CallFailure::Declined(response), .. } = script.event()
        else {
            panic!("{contacts}")
        };
        assert_eq!(response.status.code(), status);
    }
}

#[test]
fn ua22_sips_never_becomes_sip() {
    let mut script = Script::new();
    let _early = script.invite_to(Way::Locate, "sips:peer@192.0.2.8");
    let connect = script.connects.pop().unwrap();
    script.open_by(Transport::Tls, connect.connection.0, "192.0.2.8:5061");
    let first = script.expect("INVITE");
    let contacts = "Contact: <sip:a@192.0.2.11>, <sips:b@192.0.2.12>;q=0.1\r\n";
    let text = answer(&first.request(), 302, "r", contacts, "");
    script.stream(connect.connection.0, &text).unwrap();
    assert_eq!(script.count("INVITE"), 0, "nothing by datagram");
    let connect = script.connects.pop().unwrap();
    assert_eq!(connect.transport, Transport::Tls);
    assert_eq!(connect.remote, "192.0.2.12:5061".parse().unwrap());
    script.open_by(Transport::Tls, connect.connection.0, "192.0.2.12:5061");
    let second = script.expect("INVITE");
    assert_eq!(uri(&second), "sips:b@192.0.2.12");
    let text = answer(&second.request(), 302, "r", "Contact: <sip:c@192.0.2.13>\r\n", "");
    script.stream(connect.connection.0, &text).unwrap();
    assert!(matches!(failure(&mut script), CallFailure::Declined(_)));
}

#[test]
fn ua22_of_the_headers_that_a_contact_asks_for_only_harmless_ones_are_taken() {
    let mut script = Script::new();
    let first = called(&mut script);
    let names = [
        "From",
        "To",
        "Call-ID",
        "CSeq",
        "Via",
        "Record-Route",
        "Route",
        "Accept",
        "Accept-Encoding",
        "Accept-Language",
        "Allow",
        "Contact",
        "Organization",
        "Supported",
        "User-Agent",
        "Require",
        "Content-Type",
        "Content-Length",
        "Date",
        "Authorization",
        "Alert-Info",
        "Call-Info",
        "Reply-To",
        "Replaces",
        "P-Asserted-Identity",
        "Expires",
        "body",
        "Max-Forwards",
    ];
    let asked: Vec<String> = names.iter().map(|name| format!("{name}=evil%20{name}")).collect();
    let contact = format!(
        "Contact: <sip:a@192.0.2.11;method=INVITE?{}&subject=Lunch%3f&Priority=a%0d%0aVia:%20evil\
         &In-Reply-To=%ff&Subject=again>\r\n",
        asked.join("&")
    );
    moved(&mut script, &first, 302, &contact);
    let second = next(&mut script);
    assert_eq!(uri(&second), "sip:a@192.0.2.11");
    assert_eq!(second.all("Subject"), ["Lunch?"]);
    assert!(!second.text.contains("evil"), "{}", second.text);
    for name in ["Priority", "In-Reply-To", "Route", "Require", "Replaces"] {
        assert!(second.all(name).is_empty(), "{name}");
    }
    assert_eq!(second.all("From"), first.all("From"));
}

#[test]
fn ua22_an_emergency_service_is_never_called_and_the_outcome_says_so() {
    for target in ["sip:112@192.0.2.9", "urn:service:sos", "tel:911", "sips:sos.police@example.org"]
    {
        let mut script = Script::new();
        let first = called(&mut script);
        moved(&mut script, &first, 302, &format!("Contact: <{target}>\r\n"));
        assert_eq!(script.count("INVITE"), 0, "{target}");
        assert!(matches!(failure(&mut script), CallFailure::Emergency), "{target}");
        // Who else is named is called.
        let mut script = Script::new();
        let first = called(&mut script);
        moved(&mut script, &first, 302, &format!("Contact: <{target}>, <sip:a@192.0.2.11>\r\n"));
        assert_eq!(tried(&mut script), ["sip:a@192.0.2.11"]);
        assert!(matches!(failure(&mut script), CallFailure::Emergency), "{target}");
    }
}

#[test]
fn ua22_a_call_that_nobody_wants_any_more_goes_nowhere() {
    let mut script = Script::new();
    let (early, first) = script.invite(Transport::Udp);
    script.agent.cancel(early, script.now);
    moved(&mut script, &first, 302, "Contact: <sip:a@192.0.2.11>\r\n");
    assert_eq!(script.count("INVITE"), 0);
    let Event::Rejected { failure: CallFailure::Cancelled, .. } = script.event() else { panic!() };
    // While the server of the next address is looked for.
    let mut script = Script::new();
    let (early, first) = script.invite(Transport::Udp);
    script.held = Some(Vec::new());
    moved(&mut script, &first, 302, "Contact: <sip:a@a.example>, <sip:b@192.0.2.12>\r\n");
    script.agent.cancel(early, script.now);
    assert!(matches!(failure(&mut script), CallFailure::Cancelled));
    script.wait(seconds(70));
    assert_eq!(script.count("INVITE"), 0);
    assert!(script.agent.load().is_idle());
}

#[test]
fn ua22_places_that_rang_before_the_redirect_are_over() {
    let mut script = Script::new();
    let first = called(&mut script);
    script.udp(&answer(&first.request(), 180, "old", CONTACT, "")).unwrap();
    moved(&mut script, &first, 302, "Contact: <sip:a@192.0.2.11>\r\n");
    let second = next(&mut script);
    let mut old = Peer {
        call_id: second.get("Call-ID"),
        local: format!("{};tag=old", second.get("To")),
        remote: second.get("From"),
        cseq: 8,
    };
    script.udp(&old.asks("OPTIONS", "", "")).unwrap();
    script.expect("SIP/2.0 481");
    let ok = answer(&second.request(), 200, "new", CONTACT, "v=0\r\n");
    script.udp_from("192.0.2.11:5060", &ok).unwrap();
    script.events.clear();
    script.udp(&old.asks("BYE", "", "")).unwrap();
    script.expect("SIP/2.0 481");
    assert!(script.silent(), "the call is not theirs any more");
}

#[test]
fn ua22_305_names_a_proxy_and_the_request_stays() {
    let mut script = Script::new();
    let first = called(&mut script);
    moved(&mut script, &first, 305, "Contact: <sip:192.0.2.30:5080>\r\n");
    let second = next(&mut script);
    assert_eq!(uri(&second), FIRST);
    assert_eq!(second.line("Route"), "<sip:192.0.2.30:5080;lr>");
    assert_eq!(second.flow.remote, "192.0.2.30:5080".parse().unwrap());
}

#[test]
fn ua22_proofs_made_for_one_server_are_not_shown_to_another() {
    let credentials = vec![Credentials { username: "u".into(), password: "p".into(), realm: None }];
    let mut script = Script::with(Config { credentials, ..Config::default() });
    let first = called(&mut script);
    let asks = "WWW-Authenticate: Digest realm=\"one\", nonce=\"n\"\r\n";
    moved(&mut script, &first, 401, asks);
    let first = next(&mut script);
    assert!(!first.get("Authorization").is_empty());
    moved(&mut script, &first, 302, "Contact: <sip:a@192.0.2.11>\r\n");
    let second = next(&mut script);
    assert_eq!(second.get("Authorization"), "");
    assert_eq!(second.get("CSeq"), "3 INVITE");
    // The other may ask for its own.
    moved(&mut script, &second, 401, asks);
    let second = next(&mut script);
    assert!(!second.get("Authorization").is_empty());
    assert_eq!(
        (uri(&second).as_str(), second.get("CSeq").as_str()),
        ("sip:a@192.0.2.11", "4 INVITE")
    );
}

#[test]
fn ua22_texts_and_subscriptions_follow_and_what_is_in_a_dialog_does_not() {
    let mut script = Script::new();
    let to = NameAddr::parse("sip:peer@192.0.2.8").unwrap();
    let text = PagerMessage {
        target: Uri::parse(FIRST).unwrap(),
        way: Script::flow(Transport::Udp).into(),
        from: NameAddr::parse("sip:me@192.0.2.1").unwrap(),
        to,
        content: Content::text("hello"),
    };
    script.agent.pager_message(text, script.now);
    let first = script.expect("MESSAGE");
    let contact = "Contact: <sip:a@192.0.2.11?Subject=x>\r\n";
    moved(&mut script, &first, 302, contact);
    let second = script.expect("MESSAGE");
    assert_eq!(
        (uri(&second).as_str(), second.get("CSeq").as_str()),
        ("sip:a@192.0.2.11", "2 MESSAGE")
    );
    assert_eq!(second.get("Call-ID"), first.get("Call-ID"));
    assert!(!second.text.contains("Subject"));
    moved(&mut script, &second, 200, "");
    let Event::Completed { outcome: Outcome::Answered(ok), .. } = script.event() else { panic!() };
    assert!(ok.status.is_success());

    let (call, _) = script.dialled(CONTACT);
    let target = Uri::parse("sip:conference@192.0.2.8").unwrap();
    let contact = Script::contact();
    let ask = Subscribe { call: &call, target, in_dialog: false, expires: seconds(600), contact };
    script.agent.subscribe(ask, script.now);
    let first = script.expect("SUBSCRIBE");
    moved(&mut script, &first, 302, "Contact: <sip:conference@192.0.2.11>\r\n");
    let second = script.expect("SUBSCRIBE");
    assert_eq!(second.flow.remote, "192.0.2.11:5060".parse().unwrap());
    assert_eq!(
        (second.get("CSeq"), second.get("Event")),
        ("2 SUBSCRIBE".into(), first.get("Event"))
    );

    script.agent.message(&call, None, Content::text("hello"), script.now);
    let message = script.expect("MESSAGE");
    moved(&mut script, &message, 302, "Contact: <sip:a@192.0.2.11>\r\n");
    assert_eq!(script.count("MESSAGE"), 0);
}

fn invite_for(script: &mut Script, secs: u64) -> Sent {
    let target = Uri::parse(FIRST).unwrap();
    let invite = Invite {
        target: target.clone(),
        way: Script::flow(Transport::Udp).into(),
        from: NameAddr::parse("sip:me@192.0.2.1").unwrap(),
        to: NameAddr::new(None, target),
        contact: Script::contact(),
        offer: Content::sdp("v=0\r\n"),
        expires: Some(seconds(secs)),
        headers: Vec::new(),
    };
    let _early = script.agent.invite(invite, script.now);
    script.expect("INVITE")
}

#[test]
fn ua17_an_invite_of_ours_is_cancelled_when_its_time_runs_out() {
    let mut script = Script::new();
    let invite = invite_for(&mut script, 30);
    assert_eq!(invite.get("Expires"), "30");
    script.answer(&invite, 180, CONTACT, "");
    let Event::Progress { .. } = script.event() else { panic!() };
    script.wait(millis(29_900));
    assert_eq!(script.count("CANCEL"), 0);
    script.wait(millis(200));
    let cancel = script.expect("CANCEL");
    script.answer(&cancel, 200, "", "");
    script.answer(&invite, 487, "", "");
    let Event::Rejected { failure, .. } = script.event() else { panic!() };
    assert!(matches!(failure, CallFailure::TimedOut), "{failure:?}");
    script.wait(seconds(40));
    assert!(script.agent.load().is_idle());
}

#[test]
fn ua17_an_answer_in_time_ends_the_watch_and_one_behind_it_is_hung_up() {
    let mut script = Script::new();
    let invite = invite_for(&mut script, 30);
    script.wait(seconds(1));
    script.answer(&invite, 200, CONTACT, "v=0\r\n");
    let Event::Answered { .. } = script.event() else { panic!() };
    script.wait(seconds(60));
    assert_eq!(script.count("CANCEL") + script.count("BYE"), 0);
    assert!(script.silent());

    let mut script = Script::new();
    let invite = invite_for(&mut script, 10);
    script.answer(&invite, 180, CONTACT, "");
    let Event::Progress { .. } = script.event() else { panic!() };
    script.wait(seconds(11));
    script.answer(&invite, 200, CONTACT, "v=0\r\n");
    script.expect("ACK");
    script.expect("BYE");
    let Event::Rejected { failure, .. } = script.event() else { panic!() };
    assert!(matches!(failure, CallFailure::TimedOut), "{failure:?}");
}
