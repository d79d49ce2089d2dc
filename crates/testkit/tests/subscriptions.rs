//! A participant whose subscription to the roster ends: whether it subscribes anew, and when (RFC 6665 §4.1.2, §4.1.3).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use conference::ChatRate;
use sip_core::{Message, Method, Request, Response};
use testkit::{Guest, HOST, Host, Net, Node};

const DAVE: &str = "192.0.2.40:5060";

fn dave() -> SocketAddr {
    DAVE.parse().unwrap()
}

/// Dave in Alice's conference, subscribed.
fn conference() -> (Net, Node<Host>, Node<Guest>) {
    let mut net = Net::new(5);
    let host = Host::join_as(&mut net, "Alice", HOST, ChatRate::default(), "Parlour/0.1");
    let guest = Guest::join(&mut net, "Dave", "dave", dave());
    net.act(guest, |guest| guest.dial(&Host::conference_uri(HOST)));
    net.run_for(Duration::from_secs(2));
    assert_eq!(subscribes(&net).len(), 1);
    (net, host, guest)
}

/// Each SUBSCRIBE of Dave's, repetitions left out.
fn subscribes(net: &Net) -> Vec<Request> {
    let mut seen = BTreeSet::new();
    let steps = net.ladder().iter().filter(|step| step.from == dave());
    let requests = steps.filter_map(|step| match Message::parse(&step.contents) {
        Ok(Message::Request(request)) if request.method == Method::Subscribe => Some(request),
        _ => None,
    });
    requests.filter(|one| seen.insert(one.headers.get("Via").unwrap().to_owned())).collect()
}

/// What the host answered to this request.
fn answer(net: &Net, request: &Request) -> Response {
    let via = request.headers.top_via().unwrap();
    let found = net.ladder().iter().find_map(|step| match Message::parse(&step.contents) {
        Ok(Message::Response(response))
            if response.headers.top_via().unwrap().branch() == via.branch() =>
        {
            Some(response)
        }
        _ => None,
    });
    found.unwrap()
}

/// A NOTIFY of the host's in the dialog of the last SUBSCRIBE: it ends.
fn terminate(net: &mut Net, state: &str) {
    notify(net, 900, &format!("terminated;{state}"), "");
}

/// A NOTIFY with this number.
fn notify(net: &mut Net, number: u32, state: &str, document: &str) {
    let last = subscribes(net).pop().unwrap();
    let ok = answer(net, &last);
    let (from, to) = (ok.headers.get("To").unwrap(), ok.headers.get("From").unwrap());
    let call_id = ok.headers.call_id().unwrap();
    let notify = format!(
        "NOTIFY sip:dave@{DAVE} SIP/2.0\r\nVia: SIP/2.0/UDP {HOST};branch=z9hG4bK{call_id}{number};rport\r\n\
         Max-Forwards: 70\r\nFrom: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: {number} NOTIFY\r\n\
         Contact: <sip:conf@{HOST}>\r\nEvent: conference\r\n\
         Subscription-State: {state}\r\n\
         Content-Type: Application/Conference-Info+XML;charset=utf-8\r\n\
         Content-Length: {}\r\n\r\n{document}",
        document.len()
    );
    net.inject(HOST, dave(), notify.as_bytes());
    net.run_for(Duration::from_secs(1));
}

#[test]
fn ev12_ev13_a_deactivated_subscription_begins_anew_at_once_with_a_call_id_of_its_own() {
    let (mut net, _host, guest) = conference();
    terminate(&mut net, "reason=deactivated");
    let all = subscribes(&net);
    assert_eq!(all.len(), 2);
    assert_ne!(all[0].headers.call_id(), all[1].headers.call_id());
    assert!(answer(&net, &all[1]).status.is_success());
    assert_eq!(net.at(guest).roster().len(), 2);
    // A focus that goes on so does not keep us busy.
    terminate(&mut net, "reason=deactivated");
    assert_eq!(subscribes(&net).len(), 2);
    net.run_for(Duration::from_secs(32));
    assert_eq!(subscribes(&net).len(), 3);
}

#[test]
fn ev13_probation_and_giveup_are_waited_out() {
    for reason in ["probation", "giveup"] {
        let (mut net, _host, _guest) = conference();
        terminate(&mut net, &format!("reason={reason};retry-after=40"));
        net.run_for(Duration::from_secs(38));
        assert_eq!(subscribes(&net).len(), 1, "{reason}");
        net.run_for(Duration::from_secs(2));
        assert_eq!(subscribes(&net).len(), 2, "{reason}");
    }
}

#[test]
fn ev13_rejected_noresource_and_invariant_are_final() {
    for reason in ["rejected", "noresource", "invariant"] {
        let (mut net, _host, _guest) = conference();
        terminate(&mut net, &format!("reason={reason};retry-after=5"));
        net.run_for(Duration::from_secs(4000));
        assert_eq!(subscribes(&net).len(), 1, "{reason}");
    }
}

/// A document of Alice's conference, with these people in it.
fn document(state: &str, version: u32, people: &[&str]) -> String {
    let users = people.iter().map(|name| {
        format!(
            "<user entity=\"sip:{name}@192.0.2.60\"><display-text>{name}</display-text>\
             <endpoint entity=\"{name}\"><status>connected</status></endpoint></user>"
        )
    });
    format!(
        "<conference-info xmlns=\"urn:ietf:params:xml:ns:conference-info\" entity=\"sip:conf-1@{HOST}\" \
         state=\"{state}\" version=\"{version}\"><users state=\"{state}\">{}</users></conference-info>",
        users.collect::<String>()
    )
}

/// Who is in the conference, as Dave sees it, himself apart.
fn seen(net: &Net, guest: Node<Guest>) -> Vec<String> {
    let roster = net.at(guest).roster();
    let here = roster.iter().filter(|one| one.state == conference::ParticipantState::Connected);
    here.filter(|one| !one.is_self).map(|one| one.name.clone()).collect()
}

#[test]
fn ci8_old_documents_are_discarded_and_a_full_one_replaces_all() {
    let (mut net, _host, guest) = conference();
    assert_eq!(seen(&net, guest), ["Alice"]);
    notify(&mut net, 900, "active", &document("full", 50, &["erin", "frank"]));
    assert_eq!(seen(&net, guest), ["erin", "frank"]);
    for (number, version) in [(901, 50), (902, 49), (903, 1)] {
        notify(&mut net, number, "active", &document("full", version, &["greta"]));
        assert_eq!(seen(&net, guest), ["erin", "frank"], "version {version} after 50");
    }
    notify(&mut net, 904, "active", &document("full", 60, &["greta"]));
    assert_eq!(seen(&net, guest), ["greta"], "a full one may leave numbers out");
    assert_eq!(subscribes(&net).len(), 1);
}

#[test]
fn ci8_a_gap_asks_for_everything_once_and_what_is_known_stays() {
    let (mut net, _host, guest) = conference();
    notify(&mut net, 900, "active", &document("full", 50, &["erin"]));
    notify(&mut net, 901, "active", &document("partial", 51, &["frank"]));
    assert_eq!(seen(&net, guest), ["erin", "frank"]);
    assert_eq!(subscribes(&net).len(), 1);
    // The host itself counts from one: its answers to what is asked are old here, and so there is always a gap.
    for (number, version) in (902..922).zip(53..) {
        notify(&mut net, number, "active", &document("partial", version, &["greta"]));
        assert_eq!(seen(&net, guest), ["erin", "frank"]);
    }
    let asked = subscribes(&net);
    assert!((4..=5).contains(&asked.len()), "one in 5 s: {}", asked.len() - 1);
    let dialogs: BTreeSet<&str> = asked.iter().filter_map(|one| one.headers.call_id()).collect();
    assert_eq!(dialogs.len(), 1, "they are refreshes");
    notify(&mut net, 950, "active", &document("full", 90, &["greta"]));
    assert_eq!(seen(&net, guest), ["greta"]);
}

#[test]
fn ci8_a_conference_that_is_deleted_is_unsubscribed_from() {
    let (mut net, _host, _guest) = conference();
    notify(&mut net, 900, "active", &document("deleted", 50, &[]));
    let last = subscribes(&net).pop().unwrap();
    assert_eq!(last.headers.get("Expires"), Some("0"));
    assert!(answer(&net, &last).status.is_success());
}

#[test]
fn a_document_that_cannot_be_read_changes_nothing() {
    let (mut net, _host, guest) = conference();
    let good = document("full", 50, &["erin"]);
    for (number, bad) in (900..).zip([
        format!("<!DOCTYPE conference-info [<!ENTITY a \"b\">]>{good}"),
        good.replace("conference-info\" entity", "other\" entity"),
        good.replace("erin<", "er\u{1b}in<"),
        good.replace("</users>", ""),
        good.replace("<users state=\"full\">", &"<users>".repeat(40)),
        "not XML at all".to_owned(),
    ]) {
        notify(&mut net, number, "active", &bad);
        assert_eq!(seen(&net, guest), ["Alice"], "{bad}");
    }
    notify(&mut net, 950, "active", &good);
    assert_eq!(seen(&net, guest), ["erin"]);
    assert!(net.at(guest).is_in_call());
}
