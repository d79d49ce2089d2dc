//! REGISTER against a registrar that is written out (RFC 3261 §10, RFC 5626, RFC 5627).

use std::time::Duration;

use sip_core::auth::Credentials;
use sip_core::{
    Account, AccountId, Contact, Content, DnsAnswer, Event, Invite, NameAddr, Params,
    RegistrationFailure, RegistrationState, ResolvedTarget, Transport, Uri, Way,
};

use crate::script::{ME, PEER, Script, Sent, answer, millis, seconds};

const REALM: &str = "WWW-Authenticate: Digest realm=\"r\", nonce=\"n1\", qop=\"auth\"\r\n";

fn account() -> Account {
    let address = NameAddr::parse("\"Me\" <sip:me@example.com>").unwrap();
    let one = Credentials { username: "me".into(), password: "secret".into(), realm: None };
    Account::new(address, vec![one])
}

/// A script whose name system knows example.com at the peer's address.
fn script() -> Script {
    let mut script = Script::new();
    let target =
        ResolvedTarget { remote: "192.0.2.8".parse().unwrap(), local: ME.parse().unwrap() };
    script.zone.insert("A example.com".into(), DnsAnswer::Addresses(vec![target]));
    script
}

fn register(script: &mut Script, account: Account) -> (AccountId, Sent) {
    let now = script.now;
    let id = script.agent.register(account, now);
    let sent = script.expect("REGISTER");
    assert_eq!(state(script), RegistrationState::Registering);
    (id, sent)
}

fn state(script: &mut Script) -> RegistrationState {
    loop {
        if let Event::Registration { state, .. } = script.event() {
            return state;
        }
    }
}

/// 200 with the bindings of the request, `expires` each; `more` stands beside them.
fn accept(script: &mut Script, sent: &Sent, expires: u64, more: &str) {
    let mut all = String::new();
    for contact in sent.all("Contact") {
        let mut contact = NameAddr::parse(&contact).unwrap();
        if contact.params.value("expires") != Some("0") {
            contact.params.set("expires", Some(&expires.to_string()));
            all.push_str(&format!("Contact: {contact}\r\n"));
        }
    }
    script.answer(sent, 200, &format!("{all}{more}"), "");
}

fn registered(script: &mut Script, account: Account) -> (AccountId, Sent) {
    let (id, sent) = register(script, account);
    accept(script, &sent, 3600, "");
    let RegistrationState::Registered { .. } = state(script) else { panic!() };
    (id, sent)
}

fn number(sent: &Sent) -> u32 {
    sent.request().headers.cseq().unwrap().number
}

fn params(sent: &Sent) -> Params {
    NameAddr::parse(&sent.get("Contact")).unwrap().params
}

/// How long until the next REGISTER, to the tenth of a second.
fn until_next(script: &mut Script) -> (Duration, Sent) {
    let start = script.now;
    for _ in 0..200_000 {
        if script.sent.iter().any(|sent| sent.text.starts_with("REGISTER")) {
            break;
        }
        script.wait(millis(100));
    }
    (script.now - start, script.expect("REGISTER"))
}

#[test]
fn rg1_the_domain_is_asked_under_one_call_id_and_one_at_a_time() {
    let mut script = script();
    let (id, first) = register(&mut script, account());
    let request = first.request();
    assert_eq!(request.uri.to_string(), "sip:example.com");
    assert_eq!(first.flow.remote, PEER.parse().unwrap());
    let (from, to) = (request.headers.from_header().unwrap(), request.headers.to_header().unwrap());
    assert_eq!(
        (from.uri.to_string(), to.uri.to_string()),
        ("sip:me@example.com".into(), "sip:me@example.com".into())
    );
    assert!(to.tag().is_none() && from.tag().is_some());
    assert!(
        first.get("Contact").starts_with("<sip:me@192.0.2.1:5060>"),
        "{}",
        first.get("Contact")
    );
    // The user's wish waits for the answer.
    let now = script.now;
    script.agent.unregister(id, now);
    assert_eq!(script.count("REGISTER"), 0);
    script.answer(&first, 401, REALM, "");
    let second = script.expect("REGISTER");
    assert_eq!(first.get("Call-ID"), second.get("Call-ID"));
    assert_eq!((number(&first), number(&second)), (1, 2));
    assert!(second.line("Authorization").contains("uri=\"sip:example.com\""));
    accept(&mut script, &second, 3600, "");
    let third = script.expect("REGISTER");
    assert_eq!((number(&third), third.get("Expires").as_str()), (3, "0"));
    assert!(third.line("Authorization").contains("nc=00000002"), "AU7: sent beforehand");
}

#[test]
fn rg2_the_own_binding_is_found_among_others_and_refreshed_in_time() {
    let mut script = script();
    let (_, sent) = register(&mut script, account());
    let others = "Contact: <sip:me@192.0.2.77:5060>;expires=10, \
        <sip:%6De@192.0.2.1:5060>;expires=600, <sip:other@192.0.2.1:5060>;expires=20\r\n";
    script.answer(&sent, 200, others, "");
    let RegistrationState::Registered { expires, contact } = state(&mut script) else { panic!() };
    assert_eq!((expires, contact.to_string().as_str()), (seconds(600), "sip:me@192.0.2.1:5060"));
    let (after, again) = until_next(&mut script);
    assert!((seconds(510)..=seconds(571)).contains(&after), "{after:?}");
    assert_eq!(number(&again), 2);
    accept(&mut script, &again, 600, "");
    assert!(script.silent(), "a refresh is no news");
    // Without it the registrar has not kept us.
    let (_, again) = until_next(&mut script);
    script.answer(&again, 200, "Contact: <sip:me@192.0.2.77:5060>;expires=10\r\n", "");
    let RegistrationState::Failed { failure, retry_in } = state(&mut script) else { panic!() };
    assert_eq!(failure, RegistrationFailure::NotKept);
    assert!(retry_in.is_some());
}

#[test]
fn rg3_a_registrar_that_wants_longer_gets_it_but_not_without_end() {
    let mut script = script();
    let (_, mut sent) = register(&mut script, account());
    script.answer(&sent, 423, "Min-Expires: 7200\r\n", "");
    for least in [7201, 7202] {
        sent = script.expect("REGISTER");
        assert_eq!(sent.get("Expires"), (least - 1).to_string());
        script.answer(&sent, 423, &format!("Min-Expires: {least}\r\n"), "");
    }
    sent = script.expect("REGISTER");
    script.answer(&sent, 423, "Min-Expires: 9000\r\n", "");
    let RegistrationState::Failed { failure: RegistrationFailure::Trouble { status }, .. } =
        state(&mut script)
    else {
        panic!()
    };
    assert_eq!((status.code(), script.count("REGISTER")), (423, 0));
}

#[test]
fn rg4_only_the_own_binding_is_taken_back_unless_the_user_says_all() {
    let mut script = script();
    let (id, _) = registered(&mut script, account());
    let now = script.now;
    script.agent.unregister(id, now);
    let sent = script.expect("REGISTER");
    assert_eq!(sent.all("Contact"), ["<sip:me@192.0.2.1:5060>;expires=0"]);
    script.answer(&sent, 200, "", "");
    assert_eq!(state(&mut script), RegistrationState::Unregistered);
    script.wait(seconds(4000));
    assert_eq!(script.count("REGISTER"), 0);
    let (id, _) = registered(&mut script, account());
    let now = script.now;
    script.agent.unregister_everywhere(id, now);
    let sent = script.expect("REGISTER");
    assert_eq!((sent.get("Contact").as_str(), sent.get("Expires").as_str()), ("*", "0"));
}

#[test]
fn rg4_an_account_that_never_was_registered_is_gone_at_once_and_its_address_with_it() {
    let mut script = script();
    let mut account = account();
    account.contact = Contact { user: "desk".into(), is_focus: false };
    let (id, sent) = register(&mut script, account);
    script.answer(&sent, 500, "", "");
    let RegistrationState::Failed { .. } = state(&mut script) else { panic!() };
    let invite = script.asks("OPTIONS", "", "").replace("sip:me@", "sip:desk@");
    script.udp(&invite).unwrap();
    script.expect("SIP/2.0 200");
    let now = script.now;
    script.agent.unregister(id, now);
    assert_eq!(state(&mut script), RegistrationState::Unregistered);
    let invite = script.asks("OPTIONS", "", "").replace("sip:me@", "sip:desk@");
    script.udp(&invite).unwrap();
    script.expect("SIP/2.0 404");
}

#[test]
fn rg5_failures_are_retried_ever_more_slowly() {
    let mut script = script();
    let (_, mut sent) = register(&mut script, account());
    for n in 0..8_u32 {
        script.answer(&sent, 500, "", "");
        let RegistrationState::Failed { retry_in: Some(told), .. } = state(&mut script) else {
            panic!()
        };
        let (after, again) = until_next(&mut script);
        let longest = seconds(30 * 2_u64.pow(n)).min(seconds(1800));
        assert!(after >= longest / 2 && after <= longest + millis(100), "{n}: {after:?}");
        assert!(after.abs_diff(told) <= millis(100));
        assert_eq!(state(&mut script), RegistrationState::Registering);
        sent = again;
    }
    // A registrar may say when; a success begins anew.
    script.answer(&sent, 503, "Retry-After: 2500\r\n", "");
    let (after, sent) = until_next(&mut script);
    assert!(after.abs_diff(seconds(2500)) <= millis(100), "{after:?}");
    accept(&mut script, &sent, 3600, "");
    let (_, sent) = until_next(&mut script);
    script.answer(&sent, 500, "", "");
    let (after, _) = until_next(&mut script);
    assert!(after <= seconds(31));
}

#[test]
fn rg5_silence_is_no_answer_and_not_retried_at_once() {
    let mut script = script();
    let (_, _) = register(&mut script, account());
    script.wait(seconds(33));
    let RegistrationState::Failed { failure, retry_in } = state(&mut script) else { panic!() };
    assert_eq!(failure, RegistrationFailure::NoAnswer);
    assert!(retry_in.is_some_and(|time| time >= seconds(15)));
    // A registrar that cannot be found.
    let mut script = Script::new();
    script.agent.register(account(), script.now);
    script.wait(millis(1));
    assert_eq!(state(&mut script), RegistrationState::Registering);
    let RegistrationState::Failed { failure, .. } = state(&mut script) else { panic!() };
    assert_eq!(failure, RegistrationFailure::Unreachable);
}

#[test]
fn rg5_what_the_user_must_mend_is_not_retried() {
    for (status, more, expected) in [
        (403, "", "Refused"),
        (404, "", "Refused"),
        (401, "WWW-Authenticate: Basic realm=\"r\"\r\n", "NoPassword"),
    ] {
        let mut script = script();
        let (_, sent) = register(&mut script, account());
        script.answer(&sent, status, more, "");
        let RegistrationState::Failed { failure, retry_in: None } = state(&mut script) else {
            panic!()
        };
        assert!(format!("{failure:?}").starts_with(expected), "{failure:?}");
        script.wait(seconds(8000));
        assert_eq!(script.count("REGISTER"), 0);
    }
    let mut script = script();
    let (id, sent) = register(&mut script, account());
    script.answer(&sent, 401, REALM, "");
    let sent = script.expect("REGISTER");
    script.answer(&sent, 401, &REALM.replace("n1", "n2"), "");
    let failed =
        RegistrationState::Failed { failure: RegistrationFailure::WrongPassword, retry_in: None };
    assert_eq!(state(&mut script), failed);
    script.wait(seconds(8000));
    assert_eq!(script.count("REGISTER"), 0);
    // Until the user gives another; the refused one is not sent along.
    let other = Credentials { username: "me".into(), password: "right".into(), realm: None };
    let now = script.now;
    script.agent.set_credentials(id, vec![other], now);
    let sent = script.expect("REGISTER");
    assert!(sent.line("Authorization").is_empty());
    accept(&mut script, &sent, 3600, "");
    assert_eq!(state(&mut script), RegistrationState::Registering);
    let RegistrationState::Registered { .. } = state(&mut script) else { panic!() };
}

#[test]
fn rg6_rg8_the_device_has_a_name_and_says_what_it_can_each_time() {
    let mut script = script();
    let mut account = account();
    account.instance = Some("urn:uuid:00000000-0000-1000-8000-000a95a0e128".into());
    account.features = vec![("audio".into(), None), ("+parlour.chat".into(), Some("\"1\"".into()))];
    let (id, first) = register(&mut script, account);
    let gruu = ";pub-gruu=\"sip:me@example.com;gr=urn:uuid:00000000-0000-1000-8000-000a95a0e128\"";
    let contact = first.get("Contact").replace("expires=3600", "expires=60");
    script.answer(&first, 200, &format!("Contact: {contact}{gruu}\r\nFlow-Timer: 90\r\n"), "");
    let RegistrationState::Registered { contact, .. } = state(&mut script) else { panic!() };
    assert!(contact.params.has("gr"), "{contact}");
    let (_, second) = until_next(&mut script);
    for sent in [&first, &second] {
        let params = params(sent);
        assert_eq!(
            params.get("+sip.instance"),
            Some(Some("\"<urn:uuid:00000000-0000-1000-8000-000a95a0e128>\""))
        );
        assert_eq!(params.value("reg-id"), Some("1"));
        assert!(params.has("audio") && params.value("+parlour.chat") == Some("1"));
        assert_eq!(sent.all("Supported"), ["path", "outbound", "gruu"]);
    }
    // Calls of the account have the GRUU as their Contact, and the conference its own user part.
    call(&mut script, id, "me");
    let invite = script.expect("INVITE");
    assert!(invite.get("Contact").contains("gr=urn:uuid:"), "{}", invite.get("Contact"));
    call(&mut script, id, "conf-1");
    let invite = script.expect("INVITE");
    assert_eq!(invite.get("Contact"), "<sip:conf-1@192.0.2.1:5060>");
}

fn call(script: &mut Script, account: AccountId, user: &str) {
    let to = Uri::parse("sip:bob@example.org").unwrap();
    let invite = Invite {
        target: to.clone(),
        way: Way::Account(account),
        from: NameAddr::parse("<sip:me@example.com>").unwrap(),
        to: NameAddr::new(None, to),
        contact: Contact { user: user.into(), is_focus: false },
        offer: Content::sdp("v=0\r\n"),
        headers: Vec::new(),
    };
    let now = script.now;
    let _early = script.agent.invite(invite, now);
}

#[test]
fn rg6_an_account_goes_by_its_routes_and_a_lost_connection_is_replaced() {
    let mut script = script();
    let mut account = account();
    account.outbound_proxy = Some(Uri::parse("sip:192.0.2.9:5070").unwrap());
    account.transport = Some(Transport::Tcp);
    let now = script.now;
    let id = script.agent.register(account, now);
    script.wait(millis(1));
    let connection = script.connects[0].connection;
    script.open_by(Transport::Tcp, connection.0, "192.0.2.9:5070");
    let sent = script.expect("REGISTER");
    assert_eq!(sent.get("Route"), "<sip:192.0.2.9:5070;transport=tcp;lr>");
    assert_eq!(sent.request().uri.to_string(), "sip:example.com");
    assert!(sent.get("Contact").contains("transport=tcp"));
    let contact = sent.get("Contact");
    let ok = answer(
        &sent.request(),
        200,
        "t",
        &format!("Contact: {contact}\r\nService-Route: <sip:home.example.com;lr>\r\n"),
        "",
    );
    script.stream(connection.0, &ok).unwrap();
    assert_eq!(state(&mut script), RegistrationState::Registering);
    let RegistrationState::Registered { .. } = state(&mut script) else { panic!() };
    call(&mut script, id, "me");
    let invite = script.expect("INVITE");
    assert_eq!(
        invite.all("Route"),
        ["<sip:192.0.2.9:5070;transport=tcp;lr>", "<sip:home.example.com;lr>"]
    );
    assert_eq!(invite.flow.connection, Some(connection));
    assert_eq!(invite.request().uri.to_string(), "sip:bob@example.org");
    script.wait(seconds(60));
    script.close(connection.0, false);
    script.wait(millis(1));
    assert_eq!(script.connects.len(), 2, "RFC 5626: another flow at once");
}

#[test]
fn rg7_the_address_that_the_registrar_sees_is_registered() {
    let mut script = script();
    let (_, first) = register(&mut script, account());
    let text =
        answer(&first.request(), 200, "t", &format!("Contact: {}\r\n", first.get("Contact")), "");
    let seen = |text: &str| text.replace(";rport;", ";rport=4711;received=203.0.113.5;");
    script.udp(&seen(&text)).unwrap();
    let second = script.expect("REGISTER");
    let contacts = second.all("Contact");
    assert!(contacts[0].starts_with("<sip:me@203.0.113.5:4711>"), "{contacts:?}");
    assert_eq!(contacts[1], "<sip:me@192.0.2.1:5060>;expires=0");
    let text = answer(&second.request(), 200, "t", &format!("Contact: {}\r\n", contacts[0]), "");
    script.udp(&seen(&text)).unwrap();
    let RegistrationState::Registered { contact, .. } = state(&mut script) else { panic!() };
    assert_eq!(contact.to_string(), "sip:me@203.0.113.5:4711");
    assert_eq!(script.count("REGISTER"), 0);
    // A call by way of the registrar is answered with it too.
    let invite = script.asks("INVITE", crate::script::CONTACT, "");
    script.udp(&invite).unwrap();
    let Event::Invited { call, .. } = script.event() else { panic!() };
    let now = script.now;
    let _unacked = script.agent.accept(call, Script::contact(), Content::sdp("v=0\r\n"), now);
    let ok = script.expect("SIP/2.0 200");
    assert_eq!(ok.get("Contact"), "<sip:me@203.0.113.5:4711>");
    // One that comes another way is not.
    let invite = script.asks("INVITE", crate::script::CONTACT, "");
    script.udp_from("192.0.2.50:5060", &invite).unwrap();
    let Event::Invited { call, .. } = script.event() else { panic!() };
    let _unacked = script.agent.accept(call, Script::contact(), Content::sdp("v=0\r\n"), now);
    assert_eq!(script.expect("SIP/2.0 200").get("Contact"), "<sip:me@192.0.2.1:5060>");
}

#[test]
fn rg7_a_translator_that_changes_its_mind_each_time_does_not_make_us_register_without_end() {
    let mut script = script();
    let (_, mut sent) = register(&mut script, account());
    for port in 4000..4002 {
        let contact = sent.get("Contact");
        let text = answer(&sent.request(), 200, "t", &format!("Contact: {contact}\r\n"), "");
        script
            .udp(&text.replace(";rport;", &format!(";rport={port};received=203.0.113.5;")))
            .unwrap();
        if port == 4000 {
            sent = script.expect("REGISTER");
        }
    }
    script.wait(seconds(1000));
    assert_eq!(script.count("REGISTER"), 0);
}

#[test]
fn accounts_are_kept_apart() {
    let mut script = script();
    let (_, first) = registered(&mut script, account());
    let mut other = account();
    other.address = NameAddr::parse("<sip:you@example.com>").unwrap();
    other.contact.user = "you".into();
    other.credentials[0].username = "you".into();
    let (_, second) = register(&mut script, other);
    assert_ne!(first.get("Call-ID"), second.get("Call-ID"));
    script.answer(&second, 401, REALM, "");
    let again = script.expect("REGISTER");
    assert!(again.line("Authorization").contains("username=\"you\""));
}

#[test]
fn after_sleep_all_that_is_registered_is_registered_anew() {
    let mut script = script();
    registered(&mut script, account());
    let now = script.now;
    script.agent.register_again(now);
    script.expect("REGISTER");
}

#[test]
fn au5_nothing_that_is_printed_has_the_password() {
    let account = account();
    assert!(!format!("{account:?}").contains("secret"));
    let mut script = script();
    let (_, sent) = register(&mut script, account);
    script.answer(&sent, 401, REALM, "");
    let sent = script.expect("REGISTER");
    assert!(!sent.text.contains("secret"));
    assert!(!format!("{:?} {:?}", script.agent, script.events).contains("secret"));
}
