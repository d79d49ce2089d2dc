//! What every request and every response has, and how a user agent answers what it is asked (RFC 3261 §8, §11.2, §19).

use std::collections::BTreeSet;

use sip_core::auth::Credentials;
use sip_core::{
    Account, Content, Event, Failure, KeyPress, NameAddr, PagerMessage, Refer, Subscribe, Target,
    Transport, Uri,
};

use crate::script::{CONTACT, ME, PEER, Peer, Script, Sent, seconds};

const SDP: &str = "Content-Type: application/sdp\r\n";

/// Requests of every kind that is sent, as they went out.
fn all_requests() -> Vec<Sent> {
    let mut script = Script::new();
    let mut all = Vec::new();
    let reliable = format!("Require: 100rel\r\nRSeq: 1\r\n{CONTACT}");
    let (early, invite) = script.invite(Transport::Udp);
    script.answer(&invite, 183, &reliable, "");
    all.push(script.expect("PRACK"));
    let now = script.now;
    script.agent.cancel(early, now);
    all.push(script.expect("CANCEL"));
    script.answer(&invite, 487, "", "");
    all.push(script.expect("ACK"));
    all.push(invite);
    let address = NameAddr::parse("<sip:me@192.0.2.1>").unwrap();
    let account = Account {
        address: address.clone(),
        credentials: Credentials { username: "me".into(), password: "x".into(), realm: None },
        registrar: Some(Uri::parse(&format!("sip:{PEER}")).unwrap()),
        outbound_proxy: None,
        instance: None,
        features: Vec::new(),
    };
    script.agent.register(account, now);
    all.push(script.expect("REGISTER"));
    let text = PagerMessage {
        target: Uri::parse("sip:peer@192.0.2.8").unwrap(),
        way: Script::flow(Transport::Udp).into(),
        from: address.clone(),
        to: address,
        content: Content::text("x"),
    };
    script.agent.pager_message(text, now);
    all.push(script.expect("MESSAGE"));
    script.events.clear();
    let (call, mut peer) = script.dialled(CONTACT);
    all.push(script.expect("ACK"));
    script.events.clear();
    let target = || Uri::parse("sip:peer@192.0.2.8").unwrap();
    for in_dialog in [false, true] {
        let (expires, contact) = (seconds(600), Script::contact());
        let ask = Subscribe { call: &call, target: target(), in_dialog, expires, contact };
        script.agent.subscribe(ask, now);
        let sent = script.expect("SUBSCRIBE");
        script.answer(&sent, 200, "Expires: 600\r\n", "");
        all.push(sent);
    }
    script.agent.message(&call, None, Content::text("x"), now);
    script.agent.options(&call, now);
    script.agent.update(&call, None, now);
    script.agent.send_digit(&call, KeyPress::new('1', None).unwrap(), now);
    script.agent.refer(Refer { call: &call, to: Target::Address(target()) }, now);
    for method in ["MESSAGE", "OPTIONS", "UPDATE", "INFO", "REFER"] {
        let sent = script.expect(method);
        script.answer(&sent, if method == "REFER" { 603 } else { 200 }, CONTACT, "");
        all.push(sent);
    }
    script.agent.reinvite(&call, Script::contact(), Content::sdp("v=0\r\n"), now);
    let reinvite = script.expect("INVITE");
    script.answer(&reinvite, 200, CONTACT, "v=0\r\n");
    all.push(reinvite);
    all.push(script.expect("ACK"));
    let more = format!("Event: conference\r\nExpires: 600\r\n{CONTACT}");
    script.udp(&peer.asks("SUBSCRIBE", &more, "")).unwrap();
    script.events.retain(|event| matches!(event, Event::SubscribeReceived { .. }));
    let Event::SubscribeReceived { subscribe, .. } = script.event() else { panic!() };
    let key = script.agent.accept_subscribe(subscribe, seconds(600), Script::contact(), now);
    script.agent.notify(key, None, None, now);
    let notify = script.expect("NOTIFY");
    script.answer(&notify, 200, "", "");
    all.push(notify);
    script.agent.bye(call, None, now);
    all.push(script.expect("BYE"));
    all
}

#[test]
fn ua1_every_request_has_the_six_headers_and_a_branch_of_rfc_3261() {
    let all = all_requests();
    let methods: BTreeSet<String> =
        all.iter().map(|sent| sent.request().method.to_string()).collect();
    let expected =
        "ACK BYE CANCEL INFO INVITE MESSAGE NOTIFY OPTIONS PRACK REFER REGISTER SUBSCRIBE UPDATE";
    assert_eq!(methods.into_iter().collect::<Vec<_>>().join(" "), expected);
    for sent in &all {
        let text = &sent.text;
        for name in ["Via", "Max-Forwards", "From", "To", "Call-ID", "CSeq"] {
            assert_eq!(sent.all(name).len(), 1, "{name}: {text}");
        }
        let request = sent.request();
        assert_eq!(sent.get("Max-Forwards"), "70", "{text}");
        assert!(request.headers.from_header().unwrap().tag().is_some(), "{text}");
        assert_eq!(request.headers.cseq().unwrap().method, request.method, "{text}");
        let via = request.headers.top_via().unwrap();
        let branch = via.branch().unwrap();
        assert!(branch.starts_with("z9hG4bK") && branch.len() > 7, "{text}");
        assert!(sent.get("Via").starts_with(&format!("SIP/2.0/UDP {ME};")), "{text}");
    }
    // A branch is one transaction's: INVITE, CANCEL and the ACK of a failure share one, no others do.
    let branch =
        |sent: &Sent| sent.request().headers.top_via().unwrap().branch().map(str::to_owned);
    let branches: BTreeSet<_> = all.iter().map(branch).collect();
    assert_eq!(branches.len(), all.len() - 2);
    // Outside of a call there is no tag of a peer's.
    let outside: Vec<&Sent> = all.iter().filter(|sent| !sent.get("To").contains("tag=")).collect();
    assert!(outside.iter().all(|sent| {
        ["INVITE", "CANCEL", "MESSAGE", "REGISTER", "SUBSCRIBE"]
            .contains(&sent.request().method.as_str())
    }));
}

/// Whether values that ought to be random look so: all different, all of 64 bits, and each bit set about as often as not.
fn assert_random(values: &[String]) {
    let bits = 64;
    let different: BTreeSet<&String> = values.iter().collect();
    assert_eq!(different.len(), values.len());
    let numbers: Vec<u64> =
        values.iter().map(|value| u64::from_str_radix(value, 16).expect(value)).collect();
    for bit in 0..bits {
        let set = numbers.iter().filter(|number| **number >> bit & 1 == 1).count();
        let share = set as f64 / values.len() as f64;
        assert!((0.4..0.6).contains(&share), "bit {bit}: {share}");
    }
}

#[test]
fn ua2_tags_and_call_ids_are_64_random_bits_and_say_nothing_of_us() {
    let mut script = Script::new();
    let (mut from_tags, mut to_tags, mut call_ids) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..1000 {
        let (early, invite) = script.invite(Transport::Udp);
        let request = invite.request();
        from_tags.push(request.headers.from_header().unwrap().tag().unwrap().to_owned());
        call_ids.push(invite.get("Call-ID"));
        let now = script.now;
        script.agent.cancel(early, now);
        script.answer(&invite, 486, "", "");
        let ask = script.asks("INVITE", CONTACT, "");
        script.udp(&ask).unwrap();
        script.events.retain(|event| matches!(event, Event::Invited { .. }));
        let Event::Invited { call, .. } = script.event() else { panic!() };
        script.agent.reject(call, Failure::BUSY_HERE, now);
        let busy = script.expect("SIP/2.0 486").response();
        to_tags.push(busy.headers.to_header().unwrap().tag().unwrap().to_owned());
        script.wait(seconds(40));
        script.sent.clear();
    }
    assert_random(&from_tags);
    assert_random(&to_tags);
    assert_random(&call_ids);
    let roles: BTreeSet<&String> = from_tags.iter().chain(&to_tags).chain(&call_ids).collect();
    assert_eq!(roles.len(), 3000, "each role has values of its own");
    // Those of answers that are forgotten at once, and those of another start, are others again.
    let mut tags = Vec::new();
    for _ in 0..1000 {
        let ask = script.asks("NOTIFY", "", "");
        script.udp(&ask).unwrap();
        let gone = script.expect("SIP/2.0 481").response();
        tags.push(gone.headers.to_header().unwrap().tag().unwrap().to_owned());
    }
    assert_random(&tags);
}

#[test]
fn ua3_a_method_that_is_known_and_not_taken_is_405_and_one_that_is_not_known_501() {
    let mut script = Script::new();
    let (_call, mut peer) = script.called(CONTACT);
    for (method, status) in [("PUBLISH", 405), ("REGISTER", 405), ("FETCH", 501), ("invite", 501)] {
        // The method is looked at before what else is required (RFC 3261 §8.2.1).
        for more in ["", "Require: nobody-knows-this\r\n"] {
            let outside = script.asks(method, more, "");
            for ask in [outside, peer.asks(method, more, "")] {
                script.udp(&ask).unwrap();
                let sent = script.expect("SIP/2.0");
                assert!(sent.first().starts_with(&format!("SIP/2.0 {status}")), "{}", sent.text);
                let allowed = sent.all("Allow");
                assert!(allowed.contains(&"INVITE".to_owned()), "{}", sent.text);
                assert!(!allowed.contains(&method.to_owned()), "{}", sent.text);
            }
        }
    }
    assert!(script.silent());
}

#[test]
fn ua3_what_is_required_and_not_known_is_420_but_for_ack_and_cancel() {
    let mut script = Script::new();
    let more = format!("{CONTACT}Require: replaces, levitation\r\nRequire: 100rel, telepathy\r\n");
    let (_call, mut peer) = script.called(CONTACT);
    for method in ["INVITE", "OPTIONS", "MESSAGE", "SUBSCRIBE", "REFER"] {
        let outside = script.asks(method, &more, "");
        for ask in [outside, peer.asks(method, &more, "")] {
            script.udp(&ask).unwrap();
            let sent = script.expect("SIP/2.0");
            assert!(sent.first().starts_with("SIP/2.0 420"), "{}", sent.text);
            assert_eq!(sent.all("Unsupported"), ["levitation", "telepathy"]);
        }
    }
    assert!(script.silent());
    let required = format!("{CONTACT}Require: levitation\r\n");
    let invite = script.asks("INVITE", CONTACT, "");
    script.udp(&invite).unwrap();
    let Event::Invited { .. } = script.event() else { panic!() };
    let cancel = invite
        .replace("INVITE sip:", "CANCEL sip:")
        .replace(" INVITE\r\n", " CANCEL\r\n")
        .replace(CONTACT, &required);
    script.sent.clear();
    script.udp(&cancel).unwrap();
    script.expect("SIP/2.0 200");
    script.expect("SIP/2.0 487");
    let Event::Cancelled { .. } = script.event() else { panic!() };
    // An ACK with it confirms the call all the same, and nothing is answered to it.
    let invite = script.asks("INVITE", CONTACT, "");
    script.udp(&invite).unwrap();
    let Event::Invited { call, .. } = script.event() else { panic!() };
    let now = script.now;
    let _unacked = script.agent.accept(call, Script::contact(), Content::sdp("v=0\r\n"), now);
    let ok = script.expect("SIP/2.0 200");
    let peer = Peer {
        call_id: ok.get("Call-ID"),
        local: ok.get("From"),
        remote: ok.get("To"),
        cseq: ok.response().headers.cseq().unwrap().number,
    };
    script.udp(&peer.asks_with("ACK", peer.cseq, &required, "")).unwrap();
    let Event::Acked { .. } = script.event() else { panic!() };
    assert_eq!(script.count("SIP/2.0"), 0);
}

#[test]
fn ua4_whom_we_are_not_is_404_and_what_we_cannot_read_as_an_address_416() {
    let mut script = Script::new();
    for method in ["INVITE", "OPTIONS", "MESSAGE", "SUBSCRIBE", "REFER"] {
        for (uri, status) in [
            (format!("sip:somebody@{ME}"), 404),
            (format!("sip:ME@{ME}"), 404),
            ("tel:+15551234".to_owned(), 416),
            ("urn:service:sos".to_owned(), 416),
            ("nobodyKnowsThis:x".to_owned(), 416),
            // Not by TLS.
            (format!("sips:me@{ME}"), 416),
        ] {
            let ask = script
                .asks(method, CONTACT, "")
                .replace(&format!("sip:me@{ME} "), &format!("{uri} "));
            script.udp(&ask).unwrap();
            let sent = script.expect("SIP/2.0");
            assert!(sent.first().starts_with(&format!("SIP/2.0 {status}")), "{uri}: {}", sent.text);
        }
    }
    assert!(script.silent());
    // Host and port do not decide: phones and routers rewrite them; and inside a dialog not even the user part does.
    for uri in ["sip:me@example.com", "sip:%6De@192.0.2.1", "sip:192.0.2.1"] {
        let ask =
            script.asks("OPTIONS", "", "").replace(&format!("sip:me@{ME} "), &format!("{uri} "));
        script.udp(&ask).unwrap();
        script.expect("SIP/2.0 200");
    }
    let (_call, mut peer) = script.called(CONTACT);
    let ask = peer.asks("OPTIONS", "", "").replace("sip:me@", "sip:else@");
    script.udp(&ask).unwrap();
    script.expect("SIP/2.0 200");
}

/// A body that is not understood, and which header says what is.
const STRANGE: [(&str, &str, &str); 4] = [
    ("Content-Type: application/pidf+xml\r\n", "Accept", "application/sdp"),
    ("", "Accept", "application/sdp"),
    ("Content-Type: application/sdp\r\nContent-Encoding: gzip\r\n", "Accept-Encoding", "identity"),
    ("Content-Type: application/sdp\r\nContent-Language: mi\r\n", "Accept-Language", "en"),
];

#[test]
fn ua5_a_body_that_is_not_understood_is_415_with_what_is() {
    let mut script = Script::new();
    let (_call, mut peer) = script.called(CONTACT);
    for (more, name, value) in STRANGE {
        for disposition in ["", "Content-Disposition: session;handling=required\r\n"] {
            let more = format!("{CONTACT}{disposition}{more}");
            let outside = script.asks("INVITE", &more, "x");
            for ask in [
                outside,
                peer.asks("INVITE", &more, "x"),
                peer.asks("UPDATE", &more, "x"),
                script.asks("OPTIONS", &more, "x"),
            ] {
                script.udp(&ask).unwrap();
                let sent = script.expect("SIP/2.0");
                assert!(sent.first().starts_with("SIP/2.0 415"), "{more}: {}", sent.text);
                assert_eq!(sent.line(name), value, "{more}: {}", sent.text);
                for other in ["Accept", "Accept-Encoding", "Accept-Language"] {
                    assert!(other == name || sent.line(other).is_empty(), "{more}: {}", sent.text);
                }
                assert!(script.silent());
            }
        }
    }
    let more = format!("{CONTACT}{}{}", STRANGE[2].0, "Content-Language: mi\r\n");
    let ask = script.asks("INVITE", &more, "x");
    script.udp(&ask).unwrap();
    let sent = script.expect("SIP/2.0 415");
    assert_eq!((sent.line("Accept-Encoding"), sent.line("Accept-Language")), ("identity", "en"));
}

#[test]
fn ua5_a_body_that_may_be_passed_over_is() {
    for (more, ..) in STRANGE {
        for disposition in ["icon;handling=optional", "session ; Handling = OPTIONAL"] {
            let mut script = Script::new();
            let more = format!("{CONTACT}Content-Disposition: {disposition}\r\n{more}");
            let ask = script.asks("INVITE", &more, "x");
            script.udp(&ask).unwrap();
            let Event::Invited { request, .. } = script.event() else { panic!("{more}") };
            assert!(request.body.is_empty() && request.headers.content_type().is_none(), "{more}");
            let mut script = Script::new();
            let (_call, mut peer) = script.called(CONTACT);
            script.udp(&peer.asks("INVITE", &more, "x")).unwrap();
            let Event::Reinvited { request, .. } = script.event() else { panic!("{more}") };
            assert!(request.body.is_empty(), "{more}");
        }
    }
    // What is understood is read, whatever its disposition says.
    let mut script = Script::new();
    let more = format!(
        "{CONTACT}{SDP}Content-Disposition: session;handling=optional\r\nContent-Encoding: identity\r\n\
         Content-Language: EN-gb\r\n"
    );
    let ask = script.asks("INVITE", &more, "v=0\r\n");
    script.udp(&ask).unwrap();
    let Event::Invited { request, .. } = script.event() else { panic!() };
    assert_eq!(request.body, "v=0\r\n");
}

#[test]
fn ua5_a_bye_ends_the_call_whatever_its_body_is() {
    let mut script = Script::new();
    let (_call, mut peer) = script.called(CONTACT);
    script.udp(&peer.asks("BYE", "Content-Type: application/isup\r\n", "x")).unwrap();
    script.expect("SIP/2.0 200");
    let Event::Ended { .. } = script.event() else { panic!() };
}

/// An INVITE that came by two proxies, written as oddly as is allowed.
fn odd_invite() -> String {
    format!(
        "INVITE sip:me@{ME} SIP/2.0\r\n\
         Via: SIP/2.0/UDP 192.0.2.8:5060;rport;branch=z9hG4bKthree;x=\"a,b\"\r\n\
         v: SIP / 2.0 / TCP p2.example.com:5070 ;branch=z9hG4bKtwo ,\r\n SIP/2.0/TLS [2001:db8::9]:5061;branch=z9hG4bKone\r\n\
         f: \"Odd, \\\"one\\\"\" <sip:odd@192.0.2.8;x=y>;tag=Odd.Tag~1\r\n\
         t: <sip:me@192.0.2.1>\r\ni: Odd(ID)@192.0.2.8\r\nCSeq: 0004711  INVITE\r\nMax-Forwards: 5\r\n\
         {CONTACT}Content-Length: 0\r\n\r\n"
    )
}

fn assert_copied(sent: &Sent) {
    let vias = sent.all("Via");
    assert_eq!(vias.len(), 3, "{}", sent.text);
    for (via, branch) in vias.iter().zip(["three", "two", "one"]) {
        assert!(via.contains(&format!("branch=z9hG4bK{branch}")), "{}", sent.text);
    }
    assert!(vias[1].contains("p2.example.com:5070") && vias[2].contains("[2001:db8::9]:5061"));
    let headers = sent.response().headers;
    let from = headers.from_header().unwrap();
    assert_eq!(from.tag(), Some("Odd.Tag~1"));
    assert_eq!(from.uri.to_string(), "sip:odd@192.0.2.8;x=y");
    assert_eq!(headers.call_id(), Some("Odd(ID)@192.0.2.8"));
    let cseq = headers.cseq().unwrap();
    assert_eq!((cseq.number, cseq.method.as_str()), (4711, "INVITE"));
    assert_eq!(headers.to_header().unwrap().uri.to_string(), "sip:me@192.0.2.1");
}

#[test]
fn ua6_responses_copy_what_they_must_and_have_one_tag_of_ours() {
    let mut script = Script::new();
    let invite = odd_invite();
    script.udp(&invite).unwrap();
    let Event::Invited { call, .. } = script.event() else { panic!() };
    let now = script.now;
    script.agent.ring(&call, &Script::contact(), now);
    script.wait(seconds(61));
    let now = script.now;
    let _unacked = script.agent.accept(call, Script::contact(), Content::sdp("v=0\r\n"), now);
    script.wait(seconds(3));
    script.udp(&invite).unwrap();
    let mut tags = BTreeSet::new();
    let mut firsts = BTreeSet::new();
    while let Some(sent) = script.sent.pop_front() {
        assert_copied(&sent);
        let tag = sent.response().headers.to_header().unwrap().tag().map(str::to_owned);
        assert_eq!(tag.is_none(), sent.first().starts_with("SIP/2.0 100"), "{}", sent.text);
        tags.extend(tag);
        firsts.insert(sent.first().to_owned());
    }
    assert_eq!(firsts.len(), 3, "100, 180, 200: {firsts:?}");
    assert_eq!(tags.len(), 1);
}

#[test]
fn ua6_a_refusal_copies_too_and_says_the_same_each_time() {
    // One that is remembered, one that is not, and one in a dialog, whose To has its tag already.
    let unknown = odd_invite().replace("sip:me@192.0.2.1:5060 ", "sip:nobody@192.0.2.1 ");
    for (invite, status) in [(odd_invite(), 486), (unknown, 404)] {
        let mut script = Script::new();
        let mut tags = BTreeSet::new();
        for _ in 0..3 {
            script.udp(&invite).unwrap();
            if let Some(Event::Invited { call, .. }) = script.events.pop_front() {
                let now = script.now;
                script.agent.reject(call, Failure::BUSY_HERE, now);
            }
            let sent = script.expect(&format!("SIP/2.0 {status}"));
            assert_copied(&sent);
            tags.insert(sent.response().headers.to_header().unwrap().tag().map(str::to_owned));
        }
        assert_eq!(tags.len(), 1, "{status}: {tags:?}");
        assert!(!tags.contains(&None));
    }
    let mut script = Script::new();
    let (_call, mut peer) = script.called(CONTACT);
    script.udp(&peer.asks("OPTIONS", "", "")).unwrap();
    assert_eq!(script.expect("SIP/2.0 200").get("To"), peer.remote);
}

#[test]
fn ua18_a_2xx_of_an_invite_says_what_we_can() {
    let mut script = Script::new();
    let invite = script.asks("INVITE", CONTACT, "");
    script.udp(&invite).unwrap();
    let Event::Invited { call, .. } = script.event() else { panic!() };
    let now = script.now;
    let _unacked = script.agent.accept(call, Script::contact(), Content::sdp("v=0\r\n"), now);
    let first = script.expect("SIP/2.0 200");
    let (_call, mut peer) = script.called(CONTACT);
    script.udp(&peer.asks("INVITE", CONTACT, "")).unwrap();
    let Event::Reinvited { reinvite, .. } = script.event() else { panic!() };
    script.agent.accept_reinvite(reinvite, Content::sdp("v=0\r\n"), now);
    let again = script.expect("SIP/2.0 200");
    let said = sip_core::capabilities::SUPPORTED.join(", ");
    for sent in [first, again] {
        assert_eq!(sent.line("Allow"), sip_core::capabilities::ALLOW.join(", "));
        assert_eq!(sent.line("Supported"), said);
        assert_eq!(sent.line("Accept"), sip_core::capabilities::ACCEPT.join(", "));
    }
}

const TOLD: [&str; 7] = [
    "Allow",
    "Accept",
    "Accept-Encoding",
    "Accept-Language",
    "Supported",
    "Allow-Events",
    "Contact",
];

#[test]
fn ua23_options_is_answered_as_an_invite_would_be() {
    let mut script = Script::new();
    script.agent.serve("room", true);
    let ask = |script: &mut Script, user: &str, more: &str| {
        let ask = script.asks("OPTIONS", more, "").replace("sip:me@", &format!("sip:{user}@"));
        script.udp(&ask).unwrap();
        script.expect("SIP/2.0")
    };
    let sent = ask(&mut script, "room", "");
    assert!(sent.first().starts_with("SIP/2.0 200"));
    for name in TOLD {
        assert!(!sent.get(name).is_empty(), "{name}: {}", sent.text);
    }
    assert_eq!(sent.get("Contact"), format!("<sip:room@{ME}>;isfocus"));
    assert!(ask(&mut script, "nobody", "").first().starts_with("SIP/2.0 404"));
    let session = Content::sdp("v=0\r\ns=all that we can\r\n");
    script.agent.present("me", None, Some(session.clone()));
    for (accept, has) in [
        ("", true),
        ("Accept: application/sdp\r\n", true),
        ("Accept: text/plain, */*\r\n", true),
        ("Accept: text/plain\r\n", false),
    ] {
        let sent = ask(&mut script, "me", accept);
        assert!(sent.first().starts_with("SIP/2.0 200"));
        assert_eq!(sent.response().body == session.body, has, "{accept}: {}", sent.text);
        assert_eq!(sent.get("Content-Type") == "application/sdp", has, "{accept}");
    }
    script.agent.present("me", Some(Failure::BUSY_HERE), Some(session));
    let sent = ask(&mut script, "me", "");
    assert!(sent.first().starts_with("SIP/2.0 486"), "{}", sent.text);
    assert!(sent.response().body.is_empty());
    for name in TOLD {
        assert!(!sent.get(name).is_empty(), "{name}: {}", sent.text);
    }
    assert!(ask(&mut script, "room", "").first().starts_with("SIP/2.0 200"), "only of that user");
    script.agent.serve("me", false);
    assert!(ask(&mut script, "me", "").first().starts_with("SIP/2.0 200"), "served anew");
    assert!(script.silent());
}

#[test]
fn ua23_options_in_a_call_is_200_with_all_that_we_can_and_changes_nothing() {
    let mut script = Script::new();
    let (call, mut peer) = script.called(CONTACT);
    script.agent.present("me", Some(Failure::BUSY_HERE), None);
    let moved = "Contact: <sip:peer@192.0.2.99>\r\n";
    script.udp(&peer.asks("OPTIONS", moved, "")).unwrap();
    let sent = script.expect("SIP/2.0 200");
    for name in TOLD {
        assert!(!sent.get(name).is_empty(), "{name}: {}", sent.text);
    }
    assert!(script.silent());
    let now = script.now;
    script.agent.message(&call, None, Content::text("x"), now);
    assert_eq!(script.expect("MESSAGE").flow.remote, PEER.parse().unwrap());
}

#[test]
fn ua24_uris_are_equal_by_the_rules_and_not_by_their_letters() {
    let same = |one: &str, two: &str| {
        let (one, two) = (Uri::parse(one).unwrap(), Uri::parse(two).unwrap());
        assert_eq!(one.is_equivalent(&two), two.is_equivalent(&one), "{one} {two}");
        one.is_equivalent(&two)
    };
    // As in RFC 3261 §19.1.4, with other names.
    for (one, two) in [
        ("sip:%6Dona@oslo.example;transport=TCP", "sip:mona@Oslo.EXAMPLE;Transport=tcp"),
        ("sip:nils@bergen.example", "sip:nils@bergen.example;newparam=5"),
        ("sip:nils@bergen.example", "sip:nils@bergen.example;security=on"),
        ("sip:nils@bergen.example;newparam=5", "sip:nils@bergen.example;security=on"),
        (
            "sip:oslo.example;transport=tcp;method=REGISTER?to=sip:mona%40oslo.example",
            "sip:oslo.example;method=REGISTER;transport=tcp?to=sip:mona%40oslo.example",
        ),
        (
            "sip:mona@oslo.example?subject=fish%20soup&priority=urgent",
            "sip:mona@oslo.example?Priority=urgent&subject=fish%20soup",
        ),
        ("SIP:mona:pass@oslo.example", "sip:mona:p%61ss@oslo.example"),
        ("sip:mona@[2001:DB8::1]", "sip:mona@[2001:db8:0::1]"),
        ("sip:mona@oslo.example;lr", "sip:mona@oslo.example;LR"),
    ] {
        assert!(same(one, two), "{one} {two}");
    }
    for (one, two) in [
        ("SIP:MONA@OsLo.example;Transport=udp", "sip:mona@oslo.example;Transport=UDP"),
        ("sip:nils@bergen.example", "sip:nils@bergen.example:5060"),
        ("sip:nils@bergen.example", "sip:nils@bergen.example;transport=udp"),
        ("sip:nils@bergen.example", "sip:nils@bergen.example:6000;transport=tcp"),
        ("sip:nils@bergen.example", "sip:nils@bergen.example?Subject=next%20meeting"),
        ("sip:nils@phone21.bergen.example", "sip:nils@192.0.2.4"),
        // The relation is not transitive: each equals the one without.
        ("sip:nils@bergen.example;security=on", "sip:nils@bergen.example;security=off"),
        ("sip:nils@bergen.example", "sips:nils@bergen.example"),
        ("sip:bergen.example", "sip:nils@bergen.example"),
        ("sip:nils@bergen.example", "sip:nils:pass@bergen.example"),
        ("sip:nils:pass@bergen.example", "sip:nils:PASS@bergen.example"),
        ("sip:nils@bergen.example", "sip:nils@bergen.example;user=ip"),
        ("sip:nils@bergen.example", "sip:nils@bergen.example;ttl=1"),
        ("sip:nils@bergen.example", "sip:nils@bergen.example;method=INVITE"),
        ("sip:nils@bergen.example", "sip:nils@bergen.example;maddr=192.0.2.4"),
        ("sip:nils@bergen.example?subject=Soup", "sip:nils@bergen.example?subject=soup"),
        ("sip:nils@bergen.example?a=1&a=2", "sip:nils@bergen.example?a=1"),
    ] {
        assert!(!same(one, two), "{one} {two}");
    }
}
