//! Passwords that we ask for, and whom we believe (RFC 3261 §22, RFC 3325, RFC 8760).

use sip_core::auth::{Credentials, Guard};
use sip_core::{Config, Content, Event, Headers, Identity, Method, Transport};

use crate::script::{CONTACT, ME, PEER, Script, seconds};

const REALM: &str = "conf@192.0.2.1";

fn script() -> Script {
    let mut script = Script::new();
    let person = |name: &str, password: &str| Credentials {
        username: name.into(),
        password: password.into(),
        realm: None,
    };
    let people = vec![person("bob", "b"), person("carol", "c")];
    let guard = Guard { realm: REALM.into(), people, shared: Some("open".into()) };
    script.agent.guard("me", Some(guard));
    script
}

/// The challenges to a MESSAGE without credentials.
fn challenged(script: &mut Script) -> Vec<String> {
    let text = script.asks("MESSAGE", "Content-Type: text/plain\r\n", "hi");
    script.udp(&text).unwrap();
    let response = script.expect("SIP/2.0 401").response();
    response.headers.get_all("WWW-Authenticate").map(str::to_owned).collect()
}

/// Authorization for one challenge.
fn authorization(challenge: &str, name: &str, password: &str, method: &str, count: u32) -> String {
    let mut headers = Headers::default();
    headers.push("WWW-Authenticate", challenge);
    let one = [Credentials { username: name.into(), password: password.into(), realm: None }];
    let found = sip_core::auth::Challenge::answerable(&headers, &one);
    let (_, challenge, credentials) = &found[0];
    let method = Method::parse(method).unwrap();
    challenge.answer(credentials, &method, &format!("sip:me@{ME}"), "cnonce", count)
}

fn says(script: &mut Script, authorization: &str) {
    let more = format!("Authorization: {authorization}\r\nContent-Type: text/plain\r\n");
    let text = script.asks("MESSAGE", &more, "hi");
    script.udp(&text).unwrap();
}

fn identity(script: &mut Script) -> Option<Identity> {
    match script.events.pop_front()? {
        Event::Message { identity, .. } | Event::Invited { identity, .. } => Some(identity),
        other => panic!("{other:?}"),
    }
}

fn person(name: &str) -> Option<Identity> {
    Some(Identity::Authenticated { username: name.into(), realm: REALM.into() })
}

#[test]
fn au6_who_comes_without_a_password_is_asked_and_not_told_of() {
    let mut script = script();
    let challenges = challenged(&mut script);
    assert_eq!(challenges.len(), 2);
    assert!(challenges[0].contains("algorithm=SHA-256") && challenges[1].contains("algorithm=MD5"));
    for challenge in &challenges {
        assert!(challenge.starts_with("Digest ") && challenge.contains("qop=\"auth\""));
        assert!(challenge.contains(&format!("realm=\"{REALM}\"")));
    }
    for (method, more) in [
        ("INVITE", CONTACT),
        ("SUBSCRIBE", "Event: conference\r\nContact: <sip:p@192.0.2.8>\r\n"),
        ("REFER", "Refer-To: <sip:x@y>\r\nContact: <sip:p@192.0.2.8>\r\n"),
        // As an INVITE would be (RFC 3261 §11.2).
        ("OPTIONS", ""),
    ] {
        let text = script.asks(method, more, "");
        script.udp(&text).unwrap();
        script.expect("SIP/2.0 401");
    }
    assert!(script.silent());
    assert!(script.agent.load().is_idle(), "strangers leave nothing behind");
}

#[test]
fn au6_au8_the_right_password_lets_in_and_is_the_proof_of_who_it_is() {
    for place in [0, 1] {
        let mut script = script();
        let challenge = challenged(&mut script)[place].clone();
        says(&mut script, &authorization(&challenge, "bob", "b", "MESSAGE", 1));
        assert_eq!(identity(&mut script), person("bob"));
        let invite = format!(
            "Authorization: {}\r\n{CONTACT}",
            authorization(&challenge, "carol", "c", "INVITE", 2)
        );
        let text = script.asks("INVITE", &invite, "");
        script.udp(&text).unwrap();
        assert_eq!(identity(&mut script), person("carol"));
        // The shared password proves no name, and is not good for names that have their own.
        says(&mut script, &authorization(&challenge, "anybody", "open", "MESSAGE", 3));
        assert_eq!(identity(&mut script), Some(Identity::Unverified));
        says(&mut script, &authorization(&challenge, "bob", "open", "MESSAGE", 4));
        assert_eq!(identity(&mut script), None);
    }
}

#[test]
fn au6_wrong_answers_are_asked_again() {
    let mut script = script();
    let challenge = challenged(&mut script)[0].clone();
    let right = authorization(&challenge, "bob", "b", "MESSAGE", 1);
    for wrong in [
        authorization(&challenge, "bob", "x", "MESSAGE", 1),
        authorization(&challenge, "eve", "b", "MESSAGE", 1),
        authorization(&challenge, "bob", "b", "INVITE", 1),
        right.replace("nonce=\"1", "nonce=\"2"),
        // With the right password, but a nonce that we never gave.
        authorization(&challenge.replace("nonce=\"1", "nonce=\"2"), "bob", "b", "MESSAGE", 1),
        right.replace(REALM, "other"),
        right.replace("sip:me@", "sip:you@"),
        right.replace("qop=auth", "qop=auth-int"),
        right.replace("nc=00000001", "nc=1"),
        right.replace("Digest", "Basic"),
        "Basic Ym9iOmI=".to_owned(),
        "Digest".to_owned(),
        String::new(),
    ] {
        says(&mut script, &wrong);
        let again = script.expect("SIP/2.0 401");
        assert!(!again.text.contains("stale"), "{wrong}");
        assert_eq!(identity(&mut script), None);
    }
    says(&mut script, &right);
    assert_eq!(identity(&mut script), person("bob"));
}

#[test]
fn au6_a_nonce_is_good_for_each_count_once_and_for_five_minutes() {
    let mut script = script();
    let challenge = challenged(&mut script)[0].clone();
    let first = authorization(&challenge, "bob", "b", "MESSAGE", 1);
    says(&mut script, &first);
    assert_eq!(identity(&mut script), person("bob"));
    says(&mut script, &first);
    assert!(script.expect("SIP/2.0 401").text.contains("stale=true"), "replayed");
    assert_eq!(identity(&mut script), None);
    script.wait(seconds(290));
    says(&mut script, &authorization(&challenge, "bob", "b", "MESSAGE", 2));
    assert_eq!(identity(&mut script), person("bob"));
    script.wait(seconds(20));
    script.events.clear();
    says(&mut script, &authorization(&challenge, "bob", "b", "MESSAGE", 3));
    assert!(script.expect("SIP/2.0 401").text.contains("stale=true"), "old");
    // Without a count: once.
    let challenge = challenged(&mut script)[0].replace(", qop=\"auth\"", "");
    let once = authorization(&challenge, "bob", "b", "MESSAGE", 1);
    says(&mut script, &once);
    assert_eq!(identity(&mut script), person("bob"));
    says(&mut script, &once);
    assert_eq!(identity(&mut script), None);
}

#[test]
fn au6_nonces_in_use_are_forgotten_oldest_first_and_then_not_taken() {
    let mut script = script();
    let first = challenged(&mut script)[0].clone();
    says(&mut script, &authorization(&first, "bob", "b", "MESSAGE", 1));
    assert_eq!(identity(&mut script), person("bob"));
    for n in 0..4100 {
        let next = challenged(&mut script)[1].clone();
        says(&mut script, &authorization(&next, "bob", "b", "MESSAGE", 1));
        assert_eq!(identity(&mut script), person("bob"), "{n}");
        script.sent.clear();
        if n % 200 == 0 {
            // Texts that nobody answers; their transactions end.
            script.wait(seconds(6));
            script.events.clear();
        }
    }
    // A count that it had not seen: only because the nonce is forgotten it is not taken.
    says(&mut script, &authorization(&first, "bob", "b", "MESSAGE", 2));
    assert_eq!(identity(&mut script), None);
}

#[test]
fn au4_neither_ack_nor_cancel_nor_what_is_in_a_dialog_is_challenged() {
    let mut script = script();
    let challenge = challenged(&mut script)[0].clone();
    let invite = format!(
        "Authorization: {}\r\n{CONTACT}",
        authorization(&challenge, "bob", "b", "INVITE", 1)
    );
    let text = script.asks("INVITE", &invite, "");
    script.udp(&text).unwrap();
    let Some(Event::Invited { call, .. }) = script.events.pop_front() else { panic!() };
    let now = script.now;
    let _unacked = script.agent.accept(call, Script::contact(), Content::sdp("v=0\r\n"), now);
    let ok = script.expect("SIP/2.0 200").response();
    let get = |name: &str| ok.headers.get(name).unwrap().to_owned();
    for (method, n) in [("ACK", 2), ("MESSAGE", 3)] {
        let text = format!(
            "{method} sip:me@{ME} SIP/2.0\r\nVia: SIP/2.0/UDP {PEER};rport;branch=z9hG4bKd{n}\r\n\
             From: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {n} {method}\r\n\
             Content-Type: text/plain\r\nContent-Length: 0\r\n\r\n",
            get("From"),
            get("To"),
            get("Call-ID")
        );
        script.udp(&text).unwrap();
    }
    assert_eq!(script.count("SIP/2.0 401"), 0);
    let cancelled = script.asks("CANCEL", "", "");
    script.udp(&cancelled).unwrap();
    script.expect("SIP/2.0 481");
}

#[test]
fn au6_one_of_our_own_kind_answers_by_itself() {
    let mut focus = script();
    let one = Credentials { username: "carol".into(), password: "c".into(), realm: None };
    let mut phone = Script::with(Config { credentials: vec![one], ..Config::default() });
    let (_early, first) = phone.invite_to_me();
    focus.udp_from("192.0.2.1:5060", &first).unwrap();
    let refusal = focus.expect("SIP/2.0 401").text;
    phone.udp(&refusal).unwrap();
    phone.expect("ACK");
    let second = phone.expect("INVITE").text;
    focus.udp_from("192.0.2.1:5060", &second).unwrap();
    assert_eq!(identity(&mut focus), person("carol"));
}

impl Script {
    fn invite_to_me(&mut self) -> (sip_core::Early, String) {
        let early = self.invite_to(Self::flow(Transport::Udp), &format!("sip:me@{PEER}"));
        let sent = self.expect("INVITE").text;
        (early, sent)
    }
}

#[test]
fn au8_an_asserted_identity_counts_from_a_trusted_hop_only() {
    let header = "P-Asserted-Identity: \"Bob\" <sip:bob@example.com;x=1>, <tel:+1>\r\nContent-Type: text/plain\r\n";
    for (trusted, expected) in [
        (PEER, Identity::Asserted(sip_core::Uri::parse("sip:bob@example.com").unwrap())),
        ("192.0.2.99:1", Identity::Unverified),
    ] {
        let trusted: std::net::SocketAddr = trusted.parse().unwrap();
        let mut script = Script::with(Config { trusted: vec![trusted.ip()], ..Config::default() });
        let text = script.asks("MESSAGE", header, "hi");
        script.udp(&text).unwrap();
        assert_eq!(identity(&mut script), Some(expected));
        let plain = script.asks("MESSAGE", "Content-Type: text/plain\r\n", "hi");
        script.udp(&plain).unwrap();
        assert_eq!(identity(&mut script), Some(Identity::Unverified));
    }
}

#[test]
fn au5_a_guard_does_not_print_its_passwords() {
    let guard =
        Guard { realm: REALM.into(), people: Vec::new(), shared: Some("open sesame".into()) };
    assert!(!format!("{guard:?}").contains("sesame"));
}
