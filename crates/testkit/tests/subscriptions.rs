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
    let last = subscribes(net).pop().unwrap();
    let ok = answer(net, &last);
    let (from, to) = (ok.headers.get("To").unwrap(), ok.headers.get("From").unwrap());
    let call_id = ok.headers.call_id().unwrap();
    let notify = format!(
        "NOTIFY sip:dave@{DAVE} SIP/2.0\r\nVia: SIP/2.0/UDP {HOST};branch=z9hG4bK{call_id};rport\r\n\
         Max-Forwards: 70\r\nFrom: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: 900 NOTIFY\r\n\
         Contact: <sip:conf@{HOST}>\r\nEvent: conference\r\n\
         Subscription-State: terminated;{state}\r\nContent-Length: 0\r\n\r\n"
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
