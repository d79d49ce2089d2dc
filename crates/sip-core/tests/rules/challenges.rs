//! Digest challenges through the whole agent (RFC 3261 §22).

use sip_core::auth::Credentials;
use sip_core::{CallFailure, Config, Content, Event, Outcome, Transport};

use crate::script::{CONTACT, Script, Sent};

fn script() -> Script {
    let one = Credentials { username: "u".into(), password: "p".into(), realm: None };
    Script::with(Config { credentials: vec![one], ..Config::default() })
}

fn challenge(header: &str, realm: &str, nonce: &str, stale: bool) -> String {
    let stale = if stale { ", stale=true" } else { "" };
    format!(
        "{header}-Authenticate: Digest realm=\"{realm}\", nonce=\"{nonce}\", qop=\"auth\"{stale}\r\n"
    )
}

fn number(sent: &Sent) -> u32 {
    sent.request().headers.cseq().unwrap().number
}

#[test]
fn au1_a_proxy_and_then_the_phone_are_answered_each_and_the_ack_has_both() {
    let mut script = script();
    let (_early, first) = script.invite(Transport::Udp);
    script.answer(&first, 407, &challenge("Proxy", "proxy", "n1", false), "");
    script.expect("ACK");
    let second = script.expect("INVITE");
    assert!(second.line("Proxy-Authorization").contains("nonce=\"n1\""));
    script.answer(&second, 401, &challenge("WWW", "phone", "n2", false), "");
    let third = script.expect("INVITE");
    assert!(third.line("Proxy-Authorization").contains("nonce=\"n1\""));
    assert!(third.line("Authorization").contains("nonce=\"n2\""));
    assert_eq!([&first, &second, &third].map(number), [1, 2, 3]);
    assert_eq!(first.get("From"), third.get("From"));
    assert_eq!(first.get("Call-ID"), third.get("Call-ID"));
    script.answer(&third, 200, CONTACT, "v=0\r\n");
    let ack = script.expect("ACK");
    assert!(!ack.line("Authorization").is_empty() && !ack.line("Proxy-Authorization").is_empty());
    let Event::Answered { .. } = script.event() else { panic!() };
}

#[test]
fn au3_a_stale_nonce_is_renewed_once_and_a_refusal_is_final() {
    let mut script = script();
    let (_early, first) = script.invite(Transport::Udp);
    script.answer(&first, 401, &challenge("WWW", "r", "n1", false), "");
    let second = script.expect("INVITE");
    script.answer(&second, 401, &challenge("WWW", "r", "n2", true), "");
    let third = script.expect("INVITE");
    assert!(third.line("Authorization").contains("nonce=\"n2\""));
    script.answer(&third, 401, &challenge("WWW", "r", "n3", true), "");
    assert_eq!(script.count("INVITE"), 0, "always stale is no end");
    let Event::Rejected { failure: CallFailure::Declined(_), .. } = script.event() else {
        panic!()
    };
}

#[test]
fn au1_the_password_of_whom_we_call_is_for_him_and_the_accounts_for_proxies() {
    let mut script = script();
    let (_early, first) = script.invite(Transport::Udp);
    let target = first.request().uri.as_sip().unwrap().clone();
    let other = Credentials { username: "bob".into(), password: "other".into(), realm: None };
    script.agent.set_password(Some((target.clone(), other.clone())));
    script.answer(&first, 407, &challenge("Proxy", "proxy", "n1", false), "");
    let second = script.expect("INVITE");
    assert!(second.line("Proxy-Authorization").contains("username=\"u\""));
    script.answer(&second, 401, &challenge("WWW", "phone", "n2", false), "");
    let third = script.expect("INVITE");
    assert!(third.line("Authorization").contains("username=\"bob\""));
    assert!(third.line("Proxy-Authorization").contains("username=\"u\""));

    // Somebody else gets the account's, and so does he once it is forgotten.
    for (set, target) in [(true, target.with_user("someone")), (false, target)] {
        let mut script = self::script();
        script.agent.set_password(set.then(|| (target, other.clone())));
        let (_early, first) = script.invite(Transport::Udp);
        script.answer(&first, 401, &challenge("WWW", "phone", "n", false), "");
        assert!(script.expect("INVITE").line("Authorization").contains("username=\"u\""));
    }
}

#[test]
fn a_wrong_password_is_tried_once() {
    let mut script = script();
    let (_early, first) = script.invite(Transport::Udp);
    script.answer(&first, 401, &challenge("WWW", "r", "n1", false), "");
    let second = script.expect("INVITE");
    script.answer(&second, 401, &challenge("WWW", "r", "n2", false), "");
    assert_eq!(script.count("INVITE"), 0);
    let Event::Rejected { .. } = script.event() else { panic!() };
}

#[test]
fn realms_without_end_are_not_followed() {
    let mut script = script();
    let (_early, mut invite) = script.invite(Transport::Udp);
    let mut sent = 0;
    for n in 0..100 {
        script.answer(&invite, 401, &challenge("WWW", &format!("r{n}"), "n", false), "");
        // With all those answers it grows beyond a datagram.
        if let Some(connect) = script.connects.pop() {
            script.open(connect.connection.0, crate::script::PEER);
        }
        if !script.sent.iter().any(|sent| sent.text.starts_with("INVITE")) {
            break;
        }
        invite = script.expect("INVITE");
        sent += 1;
    }
    assert!(sent < 10, "{sent}");
    let Event::Rejected { .. } = script.event() else { panic!() };
}

#[test]
fn au7_a_call_does_not_carry_realms_without_end() {
    let mut script = script();
    let (call, _peer) = script.dialled(CONTACT);
    for n in 0..60 {
        let now = script.now;
        script.agent.message(&call, None, Content::text("hello"), now);
        let asked = script.expect("MESSAGE");
        script.answer(&asked, 401, &challenge("WWW", &format!("r{n}"), "n", false), "");
        if let Some(connect) = script.connects.pop() {
            script.open(connect.connection.0, crate::script::PEER);
        }
        let answered = script.expect("MESSAGE");
        let count = answered.text.matches("\r\nAuthorization: ").count();
        assert!(count <= 6, "{count} after {n}");
        script.answer(&answered, 200, "", "");
    }
}

#[test]
fn a_challenge_that_crosses_our_cancel_does_not_send_the_invite_again() {
    let mut script = script();
    let (early, invite) = script.invite(Transport::Udp);
    script.answer(&invite, 100, "", "");
    let now = script.now;
    script.agent.cancel(early, now);
    let cancel = script.expect("CANCEL");
    script.answer(&invite, 407, &challenge("Proxy", "r", "n1", false), "");
    let Event::Rejected { failure: CallFailure::Cancelled, .. } = script.event() else { panic!() };
    assert_eq!(script.count("INVITE"), 0);
    script.answer(&cancel, 401, &challenge("WWW", "r", "n2", false), "");
    assert_eq!(script.count("CANCEL"), 0, "AU5: nobody may challenge a CANCEL");
}

#[test]
fn au4_the_ack_of_a_challenged_reinvite_has_its_credentials() {
    let mut script = script();
    let (call, _) = script.dialled(CONTACT);
    script.sent.clear();
    let now = script.now;
    script.agent.reinvite(&call, Script::contact(), Content::sdp("v=0\r\n"), now);
    let first = script.expect("INVITE");
    script.answer(&first, 401, &challenge("WWW", "r", "n1", false), "");
    let second = script.expect("INVITE");
    assert_eq!(number(&second), number(&first) + 1);
    script.answer(&second, 200, CONTACT, "v=0\r\n");
    let ack = script.expect("ACK");
    assert_eq!(number(&ack), number(&second));
    assert!(ack.line("Authorization").contains("nonce=\"n1\""));
    script.agent.message(&call, None, Content::text("x"), now);
    assert_eq!(number(&script.expect("MESSAGE")), number(&second) + 1);
}

#[test]
fn a_challenged_text_goes_again_and_keeps_its_turn() {
    let mut script = script();
    let (call, mut peer) = script.dialled(CONTACT);
    let now = script.now;
    script.agent.message(&call, None, Content::text("one"), now);
    script.agent.message(&call, None, Content::text("two"), now);
    let first = script.expect("MESSAGE");
    script.answer(&first, 407, &challenge("Proxy", "r", "n1", false), "");
    let again = script.expect("MESSAGE");
    assert_eq!(again.request().body, "one");
    script.answer(&again, 200, "", "");
    let Event::Completed { outcome: Outcome::Answered(_), .. } = script.event() else { panic!() };
    let two = script.expect("MESSAGE");
    script.udp(&peer.asks("BYE", "", "")).unwrap();
    script.answer(&two, 407, &challenge("Proxy", "r", "n2", false), "");
    assert_eq!(script.count("MESSAGE"), 0, "the call is gone");
}

#[test]
fn au1_proxy_and_server_in_one_response_are_both_answered() {
    let mut script = script();
    let (_early, first) = script.invite(Transport::Udp);
    let both = challenge("WWW", "phone", "n1", false) + &challenge("Proxy", "proxy", "n2", false);
    script.answer(&first, 407, &both, "");
    let second = script.expect("INVITE");
    assert!(second.line("Authorization").contains("realm=\"phone\""));
    assert!(second.line("Proxy-Authorization").contains("realm=\"proxy\""));
    assert_eq!(script.count("INVITE"), 0);
}

#[test]
fn au2_of_several_challenges_the_topmost_that_is_known_is_answered() {
    let mut script = script();
    let (_early, first) = script.invite(Transport::Udp);
    let with = |algorithm: &str, nonce: &str| {
        challenge("WWW", "r", nonce, false).replace("qop", &format!("algorithm={algorithm}, qop"))
    };
    let all =
        [with("SHA-1024", "a"), with("SHA-256", "b"), with("SHA-512-256", "c"), with("MD5", "d")];
    script.answer(&first, 401, &all.concat(), "");
    let second = script.expect("INVITE");
    assert!(second.line("Authorization").contains("nonce=\"b\""));
    assert!(second.line("Authorization").contains("algorithm=SHA-256"));
    // Each of the three makes an answer of its own length.
    for (algorithm, digits) in [("MD5", 32), ("SHA-256", 64), ("SHA-512-256", 64)] {
        let (_early, first) = script.invite(Transport::Udp);
        script.answer(&first, 401, &with(algorithm, "n"), "");
        let answer = script.expect("INVITE").line("Authorization").to_owned();
        let response = answer.split("response=\"").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!(response.len(), digits, "{answer}");
    }
}

#[test]
fn au3_the_same_nonce_refused_is_the_end() {
    for stale in [false, true] {
        let mut script = script();
        let (_early, first) = script.invite(Transport::Udp);
        script.answer(&first, 401, &challenge("WWW", "r", "n1", false), "");
        let second = script.expect("INVITE");
        script.answer(&second, 401, &challenge("WWW", "r", "n1", stale), "");
        assert_eq!(script.count("INVITE"), 0);
        let Event::Rejected { .. } = script.event() else { panic!() };
    }
}

#[test]
fn au3_without_qop_there_is_neither_count_nor_cnonce() {
    let mut script = script();
    let (_early, first) = script.invite(Transport::Udp);
    script.answer(
        &first,
        401,
        "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", userhash=true\r\n",
        "",
    );
    let value = script.expect("INVITE").line("Authorization").to_owned();
    assert!(value.contains("username=\"u\"") && value.contains("uri=\"sip:peer@192.0.2.8\""));
    assert!(!value.contains("nc=") && !value.contains("cnonce") && !value.contains("qop"));
}

#[test]
fn au3_au7_credentials_go_along_in_the_call_with_a_growing_count_and_the_next_nonce() {
    let mut script = script();
    let (_early, first) = script.invite(Transport::Udp);
    script.answer(&first, 407, &challenge("Proxy", "r", "n1", false), "");
    let second = script.expect("INVITE");
    assert!(second.line("Proxy-Authorization").contains("nc=00000001"));
    script.answer(&second, 200, CONTACT, "v=0\r\n");
    assert!(script.expect("ACK").line("Proxy-Authorization").contains("nc=00000001"));
    let Event::Answered { call, .. } = script.event() else { panic!() };
    let now = script.now;
    script.agent.message(&call, None, Content::text("x"), now);
    let text = script.expect("MESSAGE");
    assert!(text.line("Proxy-Authorization").contains("nc=00000002"), "{}", text.text);
    script.answer(&text, 200, "Proxy-Authentication-Info: nextnonce=\"n2\"\r\n", "");
    let Event::Completed { .. } = script.event() else { panic!() };
    script.agent.message(&call, None, Content::text("y"), now);
    let text = script.expect("MESSAGE");
    let value = text.line("Proxy-Authorization");
    assert!(value.contains("nonce=\"n2\"") && value.contains("nc=00000001"), "{value}");
    // What was sent beforehand and is not good any more is renewed, stale or not.
    script.answer(&text, 407, &challenge("Proxy", "r", "n3", false), "");
    let again = script.expect("MESSAGE");
    assert!(again.line("Proxy-Authorization").contains("nonce=\"n3\""));
    assert_eq!(again.text.matches("Proxy-Authorization").count(), 1);
    script.agent.bye(call, None, now);
    assert!(script.expect("BYE").line("Proxy-Authorization").contains("nc=00000002"));
}

#[test]
fn au3_credentials_of_another_realm_are_not_given() {
    let one =
        Credentials { username: "u".into(), password: "p".into(), realm: Some("mine".into()) };
    let mut script = Script::with(Config { credentials: vec![one], ..Config::default() });
    let (_early, first) = script.invite(Transport::Udp);
    script.answer(&first, 401, &challenge("WWW", "theirs", "n1", false), "");
    assert_eq!(script.count("INVITE"), 0);
    let Event::Rejected { .. } = script.event() else { panic!() };
}

#[test]
fn au5_basic_is_not_answered() {
    let mut script = script();
    let (_early, first) = script.invite(Transport::Udp);
    script.answer(&first, 401, "WWW-Authenticate: Basic realm=\"r\"\r\n", "");
    assert_eq!(script.count("INVITE"), 0);
}

#[test]
fn au7_what_is_remembered_has_a_bound() {
    let mut script = script();
    for n in 0..4200 {
        let (_early, first) = script.invite(Transport::Udp);
        script.answer(&first, 401, &challenge("WWW", "r", &format!("n{n}"), false), "");
        let second = script.expect("INVITE");
        script.answer(&second, 486, "", "");
        script.sent.clear();
        script.events.clear();
        if n % 500 == 0 {
            script.wait(std::time::Duration::from_secs(40));
        }
    }
    let (_early, first) = script.invite(Transport::Udp);
    script.answer(&first, 401, &challenge("WWW", "r", "n4199", false), "");
    assert!(script.expect("INVITE").line("Authorization").contains("nc=00000002"));
    let (_early, first) = script.invite(Transport::Udp);
    script.answer(&first, 401, &challenge("WWW", "r", "n0", false), "");
    let again = script.expect("INVITE");
    assert!(again.line("Authorization").contains("nc=00000001"), "the oldest is forgotten");
}

#[test]
fn places_that_rang_before_a_challenge_leave_nothing_behind() {
    let mut script = script();
    let (_early, first) = script.invite(Transport::Udp);
    script.answer(&first, 180, CONTACT, "");
    let Event::Progress { .. } = script.event() else { panic!() };
    assert_eq!(script.agent.load().indices.dialogs, 1);
    script.answer(&first, 407, &challenge("Proxy", "proxy", "n1", false), "");
    let second = script.expect("INVITE");
    assert_eq!(script.agent.load().indices.dialogs, 0);
    script.answer(&second, 486, "", "");
    let Event::Rejected { .. } = script.event() else { panic!() };
    script.wait(std::time::Duration::from_secs(40));
    assert!(script.agent.load().is_idle(), "{:?}", script.agent.load());
}
