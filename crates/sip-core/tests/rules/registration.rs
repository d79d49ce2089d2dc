//! Accounts at a registrar (RFC 3261 §10, RFC 5626, RFC 5627), by a virtual clock.

use std::time::Duration;

use sip_core::auth::Credentials;
use sip_core::{
    Account, AccountId, DnsAnswer, Event, NameAddr, Registration, RegistrationFailure, Request,
    ResolvedTarget, Transport, Uri, Way,
};

use crate::script::{ME, PEER, Script, Sent};

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const INSTANCE: &str = "urn:uuid:00000000-0000-4000-8000-000000000001";

fn account() -> Account {
    Account {
        address: NameAddr::parse("\"Me\" <sip:me@example.org>").unwrap(),
        credentials: Credentials { username: "me".into(), password: "secret".into(), realm: None },
        registrar: Some(Uri::parse(&format!("sip:{PEER}")).unwrap()),
        outbound_proxy: None,
        instance: Some(INSTANCE.into()),
        features: vec!["audio".into()],
    }
}

fn register(script: &mut Script, account: Account) -> (AccountId, Sent) {
    let id = script.agent.register(account, script.now);
    let sent = script.expect("REGISTER");
    assert_eq!(state(script), Registration::Registering);
    (id, sent)
}

fn state(script: &mut Script) -> Registration {
    match script.event() {
        Event::Registration { state, .. } => state,
        other => panic!("{other:?}"),
    }
}

/// 200 with the contact that was asked for, granted for `expires`.
fn grant(script: &mut Script, sent: &Sent, expires: u64, more: &str) {
    let contact = contact(&sent.request());
    let text = format!("Contact: <{}>;expires={expires}{more}\r\n", contact.uri);
    script.answer(sent, 200, &text, "");
}

fn contact(request: &Request) -> NameAddr {
    request.headers.contacts().unwrap()[0].clone()
}

fn registered(script: &mut Script) -> AccountId {
    let (id, sent) = register(script, account());
    grant(script, &sent, 600, "");
    assert_eq!(state(script), Registration::Registered { expires: secs(600) });
    id
}

#[test]
fn rg1_a_register_names_the_domain_and_keeps_call_id_and_counts() {
    let mut script = Script::new();
    let target = ResolvedTarget { remote: [192, 0, 2, 8].into(), local: ME.parse().unwrap() };
    script.zone.insert("A example.org".into(), DnsAnswer::Addresses(vec![target]));
    let bare = Account { registrar: None, ..account() };
    let _ = script.agent.register(bare, script.now);
    script.wait(Duration::ZERO);
    let first = script.expect("REGISTER");
    assert!(first.first().starts_with("REGISTER sip:example.org SIP/2.0"), "{}", first.first());
    let request = first.request();
    let aor = "\"Me\" <sip:me@example.org>";
    assert_eq!(request.headers.get("To"), Some(aor));
    assert!(request.headers.get("From").unwrap().starts_with(&format!("{aor};tag=")));
    // No second one while the first is open (§10.2).
    let Event::Registration { account, .. } = script.event() else { panic!() };
    script.agent.register_again(account, script.now);
    assert_eq!(script.count("REGISTER"), 0);
    grant(&mut script, &first, 600, "");
    let second = script.expect("REGISTER").request();
    assert_eq!(second.headers.call_id(), request.headers.call_id());
    let numbers = [&request, &second].map(|one| one.headers.cseq().unwrap().number);
    assert_eq!(numbers[1], numbers[0] + 1);
}

#[test]
fn rg2_our_own_binding_says_when_to_refresh() {
    let mut script = Script::new();
    let (_, sent) = register(&mut script, account());
    let own = contact(&sent.request());
    let others = format!(
        "Contact: <sip:me@192.0.2.200:5060>;expires=20, <{}>;expires=1000\r\nExpires: 30\r\n",
        own.uri
    );
    script.answer(&sent, 200, &others, "");
    assert_eq!(state(&mut script), Registration::Registered { expires: secs(1000) });
    script.wait(secs(849));
    assert_eq!(script.count("REGISTER"), 0);
    script.wait(secs(102));
    assert!(script.count("REGISTER") > 0, "refreshed between 85 and 95 %");
}

#[test]
fn rg3_a_registrar_that_wants_longer_gets_it() {
    let mut script = Script::new();
    let (_, sent) = register(&mut script, account());
    script.answer(&sent, 423, "Min-Expires: 1800\r\n", "");
    let again = script.expect("REGISTER").request();
    assert_eq!(again.headers.get("Expires"), Some("1800"));
    assert_eq!(contact(&again).params.value("expires"), Some("1800"));
}

#[test]
fn rg4_unregistering_takes_our_own_binding_only() {
    let mut script = Script::new();
    let id = registered(&mut script);
    script.agent.unregister(id, script.now);
    let sent = script.expect("REGISTER");
    let request = sent.request();
    assert_eq!(request.headers.get("Expires"), Some("0"));
    assert_eq!(request.headers.get_all("Contact").count(), 1);
    assert_eq!(contact(&request).params.value("expires"), Some("0"));
    script.answer(&sent, 200, "", "");
    assert_eq!(state(&mut script), Registration::Unregistered);
    assert!(script.agent.is_unregistered());
    script.wait(secs(4000));
    assert_eq!(script.count("REGISTER"), 0);
}

#[test]
fn rg5_silence_is_answered_by_patience_that_grows() {
    let mut script = Script::new();
    register(&mut script, account());
    let mut waits = Vec::new();
    for _ in 0..8 {
        script.wait(secs(32));
        let Registration::Failed { failure, retry: Some(wait) } = state(&mut script) else {
            panic!()
        };
        assert_eq!(failure, RegistrationFailure::NoAnswer);
        waits.push(wait);
        script.count("REGISTER");
        script.wait(wait.saturating_sub(Duration::from_millis(1)));
        assert_eq!(script.count("REGISTER"), 0, "not before its time");
        script.wait(Duration::from_millis(1));
        assert_eq!(script.count("REGISTER"), 1);
        assert_eq!(state(&mut script), Registration::Registering);
    }
    for (wait, full) in waits.iter().zip([30, 60, 120, 240, 480, 960, 1800, 1800]) {
        assert!((secs(full) / 2..=secs(full)).contains(wait), "{wait:?} of {full}");
    }
}

#[test]
fn rg5_what_a_person_must_put_right_is_not_tried_again() {
    for (status, more, failure) in [
        (
            401,
            "WWW-Authenticate: Digest realm=\"x\", nonce=\"a\"\r\n",
            RegistrationFailure::Credentials,
        ),
        (403, "", RegistrationFailure::Refused { status: 403, reason: "Because".into() }),
        (404, "", RegistrationFailure::Refused { status: 404, reason: "Because".into() }),
    ] {
        let mut script = Script::new();
        let (id, mut sent) = register(&mut script, account());
        if status == 401 {
            script.answer(&sent, status, more, "");
            sent = script.expect("REGISTER");
        }
        script.answer(&sent, status, more, "");
        let Registration::Failed { failure: told, retry } = state(&mut script) else { panic!() };
        match (&failure, &told) {
            (
                RegistrationFailure::Refused { status, .. },
                RegistrationFailure::Refused { status: told, .. },
            ) => assert_eq!(status, told),
            _ => assert_eq!(failure, told),
        }
        assert_eq!(retry, None);
        script.wait(secs(4000));
        assert_eq!(script.count("REGISTER"), 0);
        script.agent.register_again(id, script.now);
        assert_eq!(script.count("REGISTER"), 1, "but where it is asked for");
    }
}

#[test]
fn rg6_instance_flow_and_gruu() {
    let mut script = Script::new();
    let (id, sent) = register(&mut script, account());
    let request = sent.request();
    let own = contact(&request);
    assert_eq!(own.params.value("+sip.instance"), Some(format!("<{INSTANCE}>").as_str()));
    assert_eq!(own.params.value("reg-id"), Some("1"));
    assert_eq!(request.headers.list("Supported"), ["path", "outbound", "gruu"]);
    grant(&mut script, &sent, 600, ";pub-gruu=\"sip:me@example.org;gr=abc\"");
    let _ = state(&mut script);
    let _early = script.invite_to(Way::Account(id), "sip:bob@example.org");
    let invite = script.expect("INVITE");
    assert_eq!(invite.flow.remote, PEER.parse().unwrap(), "by the flow of the registration");
    let invite = invite.request();
    assert_eq!(contact(&invite).uri.to_string(), "sip:me@example.org;gr=abc");
    assert!(invite.headers.get("From").unwrap().starts_with("\"Me\" <sip:me@example.org>;tag="));
}

#[test]
fn rg6_a_flow_that_is_lost_is_registered_anew_at_once() {
    let mut script = Script::new();
    let registrar = Uri::parse(&format!("sip:{PEER};transport=tcp")).unwrap();
    let _ = script.agent.register(Account { registrar: Some(registrar), ..account() }, script.now);
    script.wait(Duration::ZERO);
    let connect = script.connects.pop().expect("a connection");
    script.open(connect.connection.0, PEER);
    let sent = script.expect("REGISTER");
    let text = crate::script::answer(
        &sent.request(),
        200,
        "r",
        &format!("Contact: <{}>;expires=600\r\n", contact(&sent.request()).uri),
        "",
    );
    script.stream(connect.connection.0, &text).unwrap();
    script.close(connect.connection.0, false);
    assert_eq!(script.connects.len(), 1, "a new connection at once");
}

#[test]
fn rg7_an_address_behind_a_nat_is_learnt_and_registered() {
    let mut script = Script::new();
    let (id, sent) = register(&mut script, account());
    let own = contact(&sent.request()).uri;
    let seen = |sent: &Sent| {
        let contact = contact(&sent.request()).uri;
        let more = format!("Contact: <{contact}>;expires=600\r\n");
        crate::script::answer(&sent.request(), 200, "r", &more, "")
            .replace(";rport", ";received=198.51.100.7;rport=40001")
    };
    script.udp(&seen(&sent)).unwrap();
    let again = script.expect("REGISTER");
    let contacts = again.request().headers.contacts().unwrap();
    assert_eq!(contacts[0].uri.to_string(), "sip:me@198.51.100.7:40001");
    assert_eq!(contacts[1].uri, own, "the useless one goes");
    assert_eq!(contacts[1].params.value("expires"), Some("0"));
    script.udp(&seen(&again)).unwrap();
    assert_eq!(script.count("REGISTER"), 0, "once is enough");
    let _early = script.invite_to(Way::Account(id), "sip:bob@example.org");
    let invite = script.expect("INVITE").request();
    assert_eq!(contact(&invite).uri.to_string(), "sip:me@198.51.100.7:40001");
}

#[test]
fn rg7_a_call_during_a_refresh_goes_as_before() {
    let mut script = Script::new();
    let id = registered(&mut script);
    while !script.sent.iter().any(|sent| sent.text.starts_with("REGISTER")) {
        script.wait(secs(1));
    }
    script.count("REGISTER");
    script.asked.clear();
    let _early = script.invite_to(Way::Account(id), "sip:bob@example.org");
    assert!(script.asked.is_empty(), "the flow is known: {:?}", script.asked);
    assert_eq!(script.expect("INVITE").flow.remote, PEER.parse().unwrap());
}

#[test]
fn rg8_features_are_said_with_each_refresh() {
    let mut script = Script::new();
    let (_, first) = register(&mut script, account());
    grant(&mut script, &first, 600, "");
    script.wait(secs(571));
    let second = script.expect("REGISTER");
    for sent in [first, second] {
        assert!(contact(&sent.request()).params.has("audio"));
    }
}

#[test]
fn an_account_goes_by_its_proxy_and_answers_with_its_own_password() {
    let mut script = Script::new();
    let proxy = Uri::parse(&format!("sip:{PEER}")).unwrap();
    let with = Account { outbound_proxy: Some(proxy), registrar: None, ..account() };
    let (id, sent) = register(&mut script, with);
    assert_eq!(sent.request().headers.get("Route"), Some(format!("<sip:{PEER};lr>").as_str()));
    assert_eq!(sent.flow.transport, Transport::Udp);
    script.answer(&sent, 401, "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n", "");
    let again = script.expect("REGISTER");
    let value = again.request().headers.get("Authorization").unwrap().to_owned();
    assert!(value.contains("username=\"me\"") && !value.contains("secret"), "{value}");
    grant(&mut script, &again, 600, "");
    let _early = script.invite_to(Way::Account(id), "sip:bob@far.example");
    let invite = script.expect("INVITE");
    assert_eq!(invite.request().headers.get("Route"), Some(format!("<sip:{PEER};lr>").as_str()));
    assert_eq!(invite.flow.remote, PEER.parse().unwrap());
    assert!(!format!("{:?}", account()).contains("secret"), "passwords are not printed");
}

#[test]
fn rg5_a_registrar_cannot_make_us_hurry_without_end() {
    let mut script = Script::new();
    let (_, mut sent) = register(&mut script, account());
    for minimum in 0..3 {
        script.answer(&sent, 423, &format!("Min-Expires: {}\r\n", 601 + minimum), "");
        sent = script.expect("REGISTER");
    }
    script.answer(&sent, 423, "Min-Expires: 900\r\n", "");
    assert_eq!(script.count("REGISTER"), 0, "patience begins");

    let mut script = Script::new();
    let (_, mut sent) = register(&mut script, account());
    for port in 40_001..40_004 {
        let contact = contact(&sent.request()).uri;
        let more = format!("Contact: <{contact}>;expires=600\r\n");
        let text = crate::script::answer(&sent.request(), 200, "r", &more, "")
            .replace(";rport", &format!(";received=198.51.100.7;rport={port}"));
        script.udp(&text).unwrap();
        sent = script.expect("REGISTER");
    }
    let more = format!("Contact: <{}>;expires=600\r\n", contact(&sent.request()).uri);
    let text = crate::script::answer(&sent.request(), 200, "r", &more, "")
        .replace(";rport", ";received=198.51.100.7;rport=40100");
    script.udp(&text).unwrap();
    assert_eq!(script.count("REGISTER"), 0, "the next one at its time");
}

#[test]
fn rg2_a_registrar_that_says_yes_and_keeps_no_binding_of_ours_has_failed() {
    let other = "Contact: <sip:me@192.0.2.200:5060>;expires=600\r\n".to_owned();
    let ended = |sent: &Sent| format!("Contact: <{}>;expires=0\r\n", contact(&sent.request()).uri);
    let answers: [&dyn Fn(&Sent) -> String; 3] = [&|_| other.clone(), &|_| String::new(), &ended];
    for more in answers {
        let mut script = Script::new();
        let (_, sent) = register(&mut script, account());
        script.answer(&sent, 200, &more(&sent), "");
        let Registration::Failed { failure, retry: Some(wait) } = state(&mut script) else {
            panic!()
        };
        assert_eq!(failure, RegistrationFailure::NotBound);
        assert!((secs(15)..=secs(30)).contains(&wait), "{wait:?}");
        script.wait(wait);
        let sent = script.expect("REGISTER");
        assert_eq!(state(&mut script), Registration::Registering);
        script.answer(&sent, 200, &more(&sent), "");
        let Registration::Failed { retry: Some(longer), .. } = state(&mut script) else { panic!() };
        assert!(longer >= secs(30), "patience grows: {longer:?}");
    }
}

#[test]
fn rg2_our_binding_is_known_though_the_registrar_writes_it_otherwise() {
    let instance = format!(";+sip.instance=\"<{}>\"", INSTANCE.to_uppercase());
    for written in [
        format!("<sip:me@198.51.100.9:1>;reg-id=1{instance}"),
        "<sip:me@192.0.2.1:5060;transport=udp>".to_owned(),
    ] {
        let mut script = Script::new();
        let (_, sent) = register(&mut script, account());
        let more = format!("Contact: <sip:x@192.0.2.7>;expires=20, {written};expires=900\r\n");
        script.answer(&sent, 200, &more, "");
        assert_eq!(
            state(&mut script),
            Registration::Registered { expires: secs(900) },
            "{written}"
        );
    }
    // Another flow of this computer is not this one.
    let mut script = Script::new();
    let (_, sent) = register(&mut script, account());
    let more = format!("Contact: <sip:me@198.51.100.9:1>;reg-id=2{instance};expires=900\r\n");
    script.answer(&sent, 200, &more, "");
    let Registration::Failed { .. } = state(&mut script) else { panic!() };
}

#[test]
fn rg2_a_short_grant_is_refreshed_before_it_ends() {
    let mut script = Script::new();
    let (_, sent) = register(&mut script, account());
    grant(&mut script, &sent, 4, "");
    assert_eq!(state(&mut script), Registration::Registered { expires: secs(4) });
    script.wait(Duration::from_millis(3_300));
    assert_eq!(script.count("REGISTER"), 0);
    script.wait(Duration::from_millis(600));
    assert_eq!(script.count("REGISTER"), 1);
}

#[test]
fn rg2_a_refresh_is_not_told_as_if_the_account_did_not_stand() {
    let mut script = Script::new();
    let _ = registered(&mut script);
    let refreshed = |script: &mut Script| {
        while !script.sent.iter().any(|sent| sent.text.starts_with("REGISTER")) {
            script.wait(secs(1));
        }
        script.expect("REGISTER")
    };
    let refresh = refreshed(&mut script);
    assert!(script.silent(), "it still stands");
    grant(&mut script, &refresh, 600, "");
    assert_eq!(state(&mut script), Registration::Registered { expires: secs(600) });
    // One that is not answered is told when it has failed, and from then on each try.
    script.sent.clear();
    refreshed(&mut script);
    script.wait(secs(32));
    let Registration::Failed { retry: Some(wait), .. } = state(&mut script) else { panic!() };
    script.wait(wait);
    assert_eq!(state(&mut script), Registration::Registering);
}

/// Registered by TCP at a registrar that sees the connection come from another port, and says this besides; its flow, and
/// what it was sent.
fn by_connection(script: &mut Script, more: &str) -> (AccountId, u64, Sent) {
    let registrar = Uri::parse(&format!("sip:{PEER};transport=tcp")).unwrap();
    let with = Account { registrar: Some(registrar), ..account() };
    let id = script.agent.register(with, script.now);
    script.wait(Duration::ZERO);
    let connection = script.connects.pop().expect("a connection").connection.0;
    script.open(connection, PEER);
    let sent = script.expect("REGISTER");
    grant_by(script, connection, &sent, more);
    (id, connection, sent)
}

fn grant_by(script: &mut Script, connection: u64, sent: &Sent, more: &str) {
    let more = format!("Contact: <{}>;expires=600\r\n{more}", contact(&sent.request()).uri);
    let text = crate::script::answer(&sent.request(), 200, "r", &more, "")
        .replace(";rport", ";received=192.0.2.1;rport=40001");
    script.stream(connection, &text).unwrap();
}

#[test]
fn rg7_without_outbound_the_connection_is_found_by_its_own_port() {
    let mut script = Script::new();
    let (id, connection, first) = by_connection(&mut script, "");
    assert_eq!(contact(&first.request()).uri.to_string(), "sip:me@192.0.2.1:5060;transport=tcp");
    let again = script.expect("REGISTER");
    assert_eq!(contact(&again.request()).uri.to_string(), "sip:me@192.0.2.1:40001;transport=tcp");
    grant_by(&mut script, connection, &again, "");
    let _early = script.invite_to(Way::Account(id), "sip:bob@example.org");
    let own = contact(&script.expect("INVITE").request()).uri;
    assert_eq!(own.to_string(), "sip:me@192.0.2.1:40001;transport=tcp");
    // It is of no use once the connection is gone, and is replaced at once.
    script.close(connection, false);
    assert_eq!(script.connects.len(), 1);
}

#[test]
fn rg6_with_outbound_the_contact_is_where_we_listen_and_calls_keep_to_the_flow() {
    let mut script = Script::new();
    let (id, connection, first) = by_connection(&mut script, "Require: outbound\r\n");
    assert_eq!(script.count("REGISTER"), 0, "once is enough");
    let own = contact(&first.request());
    assert_eq!(own.uri.to_string(), "sip:me@192.0.2.1:5060;transport=tcp");
    assert_eq!(own.params.value("reg-id"), Some("1"));
    let _early = script.invite_to(Way::Account(id), "sip:bob@example.org");
    let own = contact(&script.expect("INVITE").request()).uri;
    assert_eq!(own.to_string(), "sip:me@192.0.2.1:5060;transport=tcp;ob");
    for _ in 0..571 {
        script.wait(secs(1));
        // A registrar of RFC 5626 answers pings; a way that is not answered by is left.
        if script.sent.pop_front_if(|sent| sent.text == "\r\n\r\n").is_some() {
            script.stream(connection, "\r\n").unwrap();
        }
    }
    let refresh = contact(&script.expect("REGISTER").request()).uri;
    assert_eq!(refresh.to_string(), "sip:me@192.0.2.1:5060;transport=tcp");
}
