//! A call of two that becomes a conference, and one that is a call of two again; phones that know nothing of conferences
//! (RFC 4579 §3.3, §3.4, §5.2, §5.3; docs/sip-chat.md 0.8, 3.1).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::net::SocketAddr;
use std::time::Duration;

use conference::{ChatRate, Command, Event, ParticipantId, Recipient};
use sip_core::{Message, Method, Request};
use testkit::{Guest, HOST, Host, Net, Node, Phone, Room, Script};

const BOB: &str = "192.0.2.21:5060";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Bob calls Alice's own address; she takes it.
fn call_of_two() -> (Net, Node<Host>, Node<Phone>) {
    let mut net = Net::new(71);
    let host = Host::join(&mut net, "Alice", HOST, ChatRate::default());
    net.act(host, Host::take_calls);
    let bob = Phone::join(&mut net, Script::new("bob").named("Bob"), address(BOB));
    net.act(bob, |bob| bob.dial(&Host::own_uri(HOST)));
    net.run_for(Duration::from_secs(3));
    assert!(net.at(bob).is_in_call());
    (net, host, bob)
}

/// The requests that went to an address, in order.
fn requests_to(net: &Net, to: &str) -> Vec<Request> {
    let steps = net.ladder().iter().filter(|step| step.to == address(to));
    let requests = steps.filter_map(|step| match Message::parse(&step.contents) {
        Ok(Message::Request(request)) => Some(request),
        _ => None,
    });
    requests.collect()
}

fn reinvites(net: &Net) -> Vec<Request> {
    let mut all = requests_to(net, BOB);
    all.retain(|request| request.method == Method::Invite);
    all
}

fn answer_of_alice(net: &Net) -> sip_core::Response {
    let mut answers =
        net.ladder().iter().filter(|step| step.to == address(BOB)).filter_map(|step| {
            match Message::parse(&step.contents) {
                Ok(Message::Response(response)) if response.status.is_success() => Some(response),
                _ => None,
            }
        });
    answers.next().unwrap()
}

#[test]
fn fo4_a_call_of_two_becomes_a_conference_by_a_re_invite_in_its_dialog() {
    let (mut net, host, bob) = call_of_two();
    let first = answer_of_alice(&net);
    let contact = first.headers.get("Contact").unwrap();
    assert!(contact.contains("alice@") && !contact.contains("isfocus"), "{contact}");
    net.act(bob, |bob| bob.say("between us"));
    net.run_for(Duration::from_secs(1));
    let private = net.at(host).lines().next().unwrap().clone();
    assert_eq!(
        (private.to, private.text.as_str(), private.seq),
        (Recipient::Me, "between us", None)
    );
    net.act(host, |host| host.command(Command::Merge { participant: None }));
    net.run_for(Duration::from_secs(3));
    let again = reinvites(&net);
    assert_eq!(again.len(), 1);
    let headers = &again[0].headers;
    let contact = headers.get("Contact").unwrap();
    assert!(contact.contains("conf-1@") && contact.contains(";isfocus"), "{contact}");
    assert_eq!(headers.call_id().unwrap(), first.headers.call_id().unwrap());
    // Who asks is who answered: From and To have changed places, with their tags.
    assert_eq!(headers.get("From"), first.headers.get("To"));
    assert_eq!(headers.get("To"), first.headers.get("From"));
    // The whole description, and as nothing in it is new, the same version.
    let version = |body: &[u8]| {
        let text = String::from_utf8_lossy(body).into_owned();
        assert!(text.contains("m=audio"), "{text}");
        text.lines().find(|line| line.starts_with("o=")).unwrap().to_owned()
    };
    assert_eq!(version(&again[0].body), version(&first.body));
    // The phone learns in words whose its words are now; once.
    let told =
        net.at(bob).shown().iter().filter(|text| text.contains("now go to everyone")).count();
    assert_eq!(told, 1, "{:?}", net.at(bob).shown());
    net.act(bob, |bob| bob.say("to all"));
    net.run_for(Duration::from_secs(1));
    let public = net.at(host).lines().last().unwrap();
    assert_eq!((&public.to, public.seq), (&Recipient::Everyone, Some(1)));
}

#[test]
fn fo4_one_call_at_a_time_and_whoever_is_called_in_makes_it_a_conference() {
    let (mut net, host, bob) = call_of_two();
    let carol =
        Phone::join(&mut net, Script::new("carol").named("Carol"), address("192.0.2.22:5060"));
    net.act(carol, |carol| carol.dial(&Host::own_uri(HOST)));
    net.run_for(Duration::from_secs(3));
    // The older call is on hold: neither direction.
    let held = String::from_utf8_lossy(&reinvites(&net)[0].body).into_owned();
    assert!(held.contains("a=inactive"), "{held}");
    net.act(host, |host| host.say("1", "for the conference"));
    net.run_for(Duration::from_secs(1));
    assert!(net.at(bob).shown().is_empty() && net.at(carol).shown().is_empty());
    let dave = Phone::join(&mut net, Script::new("dave").named("Dave"), address("192.0.2.23:5060"));
    let uri = net.at(dave).uri();
    net.act(host, |host| host.invite(&uri, None));
    net.run_for(Duration::from_secs(5));
    let aside = |net: &Net| {
        let roster = net.at(host).roster();
        roster.into_iter().filter(|one| one.is_aside).map(|one| one.name).collect::<Vec<_>>()
    };
    assert_eq!(aside(&net), ["Bob"], "the call that was talked in is the conference's");
    net.act(host, |host| host.command(Command::Merge { participant: None }));
    net.run_for(Duration::from_secs(3));
    assert!(aside(&net).is_empty());
    let back = String::from_utf8_lossy(&reinvites(&net).last().unwrap().body).into_owned();
    assert!(back.contains("a=sendrecv"), "{back}");
    net.act(host, |host| host.say("2", "to all three"));
    net.run_for(Duration::from_secs(2));
    for phone in [bob, carol, dave] {
        let shown = net.at(phone).shown();
        assert_eq!(shown.iter().filter(|text| text.ends_with("to all three")).count(), 1);
    }
}

#[test]
fn fo14_a_participant_knows_a_conference_by_the_contact_of_its_call_and_when_it_is_none_any_more() {
    let mut net = Net::new(72);
    let host = Host::join(&mut net, "Alice", HOST, ChatRate::default());
    net.act(host, Host::take_calls);
    let guest = Guest::join(&mut net, "Dave", "dave", address("192.0.2.40:5060"));
    net.act(guest, |guest| guest.dial(&Host::own_uri(HOST)));
    net.run_for(Duration::from_secs(3));
    let subscribes = |net: &Net| {
        let requests = requests_to(net, "192.0.2.10:5060");
        requests.iter().filter(|one| one.method == Method::Subscribe).count()
    };
    assert_eq!(subscribes(&net), 0, "a call of two is no conference");
    net.act(host, |host| host.command(Command::Merge { participant: None }));
    net.run_for(Duration::from_secs(8));
    assert!(subscribes(&net) > 0);
    let subject = |event: &Event| matches!(event, Event::Subject { .. });
    assert!(net.at(guest).events().iter().any(subject), "the roster came");
    let id = net.at(host).roster().iter().find(|one| one.name == "Dave").unwrap().id;
    net.act(host, |host| host.command(Command::Split { participant: id }));
    net.run_for(Duration::from_secs(8));
    let alone = |event: &Event| matches!(event, Event::Notice { text } if text.contains("alone"));
    assert!(net.at(guest).events().iter().any(alone));
    // What he writes is the host's alone again.
    net.act(guest, |guest| guest.say("1", "just you"));
    net.run_for(Duration::from_secs(2));
    assert_eq!(net.at(host).lines().last().unwrap().to, Recipient::Me);
    assert_ne!(id, ParticipantId(1));
}

#[test]
fn fo3_fo15_whom_the_conference_calls_needs_to_know_nothing_of_conferences() {
    let mut room = Room::new(73, vec![Script::new("bob").named("Bob"), Script::new("carol")]);
    room.net.act(room.host, |host| host.say("1", "hello"));
    room.net.act(room.phones[1], |carol| carol.say("hello too"));
    room.net.run_for(Duration::from_secs(30));
    let requests = requests_to(&room.net, BOB);
    let invite = requests.iter().find(|request| request.method == Method::Invite).unwrap();
    let contact = invite.headers.get("Contact").unwrap();
    assert!(contact.contains("<sip:conf-1@192.0.2.10:5060>;isfocus"), "{contact}");
    assert!(!invite.uri.to_string().contains("isfocus"));
    for request in &requests {
        assert_eq!(request.headers.get("Require"), None, "{}", request.method.as_str());
        let plain = [Method::Invite, Method::Ack, Method::Message, Method::Bye];
        assert!(plain.contains(&request.method), "{} to a phone", request.method.as_str());
    }
    assert_eq!(room.net.at(room.phones[0]).shown(), ["Alice: hello", "carol: hello too"]);
}
