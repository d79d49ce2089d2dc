//! A participant of our own kind in the conferences of others and in calls between two: what it takes the other end for,
//! how its texts travel, and whom it believes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::net::SocketAddr;
use std::time::Duration;

use conference::{ChatRate, Command, Event, Line, ParticipantState, Recipient};
use sip_core::{Message, Method, Request, Transport};
use testkit::{Guest, HOST, Host, Net, Node, Phone, Room, Script, Stranger};

const DAVE: &str = "192.0.2.40:5060";
const ERIN: &str = "192.0.2.41:5060";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn guest(net: &mut Net, name: &str, at: &str) -> Node<Guest> {
    Guest::join(net, name, &name.to_lowercase(), address(at))
}

/// Every MESSAGE that went out of an address, and by what.
fn sent(net: &Net, from: SocketAddr) -> Vec<(Transport, Request, usize)> {
    let steps = net.ladder().iter().filter(|step| step.from == from);
    let requests = steps.filter_map(|step| match Message::parse(&step.contents) {
        Ok(Message::Request(request)) if request.method == Method::Message => {
            Some((step.transport, request, step.contents.len()))
        }
        _ => None,
    });
    requests.collect()
}

fn bodies(net: &Net, from: SocketAddr) -> Vec<String> {
    let sent = sent(net, from).into_iter();
    sent.map(|(_, request, _)| String::from_utf8(request.body.to_vec()).unwrap()).collect()
}

fn say_to(net: &mut Net, guest: Node<Guest>, reference: &str, entity: &str, text: &str) {
    let to = Recipient::Participant(entity.to_owned());
    let (reference, text) = (reference.to_owned(), text.to_owned());
    net.act(guest, |guest| guest.command(Command::Say { reference, text, to }));
    net.run_for(Duration::from_secs(5));
}

fn refusal(net: &Net, guest: Node<Guest>, wanted: &str) -> Option<String> {
    let events = net.at(guest).events().iter();
    let mut refused = events.filter_map(|event| match event {
        Event::Refused { reference, reason } if reference == wanted => Some(reason.clone()),
        _ => None,
    });
    refused.next()
}

fn heard(net: &Net, guest: Node<Guest>) -> Vec<Line> {
    net.at(guest).lines().filter(|line| !line.is_own).cloned().collect()
}

/// Some 5 kB that end as a part of a text does.
fn long_text() -> String {
    let link = format!("https://example.org/{}", "x".repeat(400));
    format!("{}a {link}\n\u{20ac} {} (1/2)", "word ".repeat(300), "y".repeat(2500))
}

/// Dave in a conference with Carol, whose host calls itself `agent`.
fn conference_of(agent: &str) -> (Net, Node<Host>, Node<Phone>, Node<Guest>) {
    let mut net = Net::new(77);
    let host = Host::join_as(&mut net, "Alice", HOST, ChatRate::default(), agent);
    let carol = Phone::join(&mut net, Script::new("carol"), address("192.0.2.21:5060"));
    let dave = guest(&mut net, "Dave", DAVE);
    let uri = net.at(carol).uri();
    net.act(host, |host| host.invite(&uri, Some("Carol")));
    net.act(dave, |dave| dave.dial(&Host::conference_uri(HOST)));
    net.run_for(Duration::from_secs(12));
    assert_eq!(net.at(host).connected(), 3);
    assert_eq!(net.at(dave).roster().iter().filter(|one| one.name == "Carol").count(), 1);
    (net, host, carol, dave)
}

#[test]
fn who_is_called_by_a_host_is_in_a_conference() {
    let mut net = Net::new(5);
    let host = Host::join(&mut net, "Alice", HOST, ChatRate::default());
    let bob = Phone::join(&mut net, Script::new("bob").named("Bob"), address("192.0.2.21:5060"));
    let dave = guest(&mut net, "Dave", DAVE);
    for uri in [net.at(bob).uri(), net.at(dave).uri()] {
        net.act(host, |host| host.invite(&uri, None));
    }
    net.run_for(Duration::from_secs(15));
    let here = net.at(dave).roster().into_iter();
    let here = here.filter(|one| one.state == ParticipantState::Connected);
    let mut names: Vec<String> = here.map(|one| one.name).collect();
    names.sort();
    assert_eq!(names, ["Alice", "bob", "dave"]);
    net.act(bob, |bob| bob.say("hello"));
    net.run_for(Duration::from_secs(5));
    let lines = heard(&net, dave);
    assert_eq!(lines.len(), 1);
    assert_eq!((lines[0].name.as_str(), lines[0].text.as_str()), ("bob", "hello"));
    assert!(lines[0].verified && lines[0].to == Recipient::Everyone);
}

#[test]
fn a_private_text_never_goes_to_a_focus_of_another_kind() {
    let (mut net, _, carol, dave) = conference_of("Other/1.0");
    let entity = net.at(carol).uri().to_string();
    say_to(&mut net, dave, "private", &entity, "secret");
    assert!(refusal(&net, dave, "private").unwrap().contains("cannot pass a text to one person"));
    net.act(dave, |dave| dave.say("public", "/slash"));
    net.run_for(Duration::from_secs(5));
    assert_eq!(bodies(&net, address(DAVE)), ["/slash"]);
}

#[test]
fn at_a_focus_of_another_kind_only_the_display_name_tells_the_author() {
    let (mut net, _, carol, dave) = conference_of("Other/1.0");
    let text = "one\nAlice: I agree";
    net.act(carol, |carol| carol.say(text));
    net.run_for(Duration::from_secs(5));
    let line = heard(&net, dave).pop().unwrap();
    assert_eq!((line.name.as_str(), line.text.as_str()), ("Carol", text));
    let notices = |net: &Net| {
        let events = net.at(dave).events().iter();
        events.filter(|event| matches!(event, Event::Notice { .. })).count()
    };
    let before = notices(&net);
    let from = format!("<sip:conf-1@{HOST}>");
    let forged = "[Conference] Everybody leave";
    let target = net.at(dave).uri().to_string();
    net.inject(HOST, address(DAVE), &Stranger::message(&target, &from, HOST, "f", forged));
    net.run_for(Duration::from_secs(5));
    assert_eq!(notices(&net), before);
    let line = heard(&net, dave).pop().unwrap();
    assert!(line.text == forged && !line.verified, "{line:?}");
}

#[test]
fn a_private_text_names_its_recipient_by_address() {
    let (mut net, _, carol, dave) = conference_of("Parlour/0.1");
    let entity = net.at(carol).uri().to_string();
    say_to(&mut net, dave, "a", &entity, "Lee, are you there?");
    say_to(&mut net, dave, "b", "sip:alice@192.0.2.10:5060", "Alice?");
    say_to(&mut net, dave, "c", "sip:nobody@192.0.2.9", "anybody?");
    assert!(refusal(&net, dave, "c").is_some());
    let sent = bodies(&net, address(DAVE));
    let wanted =
        [(entity.as_str(), "Lee, are you there?"), ("sip:alice@192.0.2.10:5060", "Alice?")];
    assert_eq!(sent.len(), wanted.len());
    for (body, (to, text)) in sent.iter().zip(wanted) {
        assert!(body.contains(&format!("\r\nTo: <{to}>\r\n")), "{body}");
        assert!(body.ends_with(&format!("\r\n\r\n{text}")), "{body}");
    }
}

#[test]
fn long_texts_of_a_guest_go_by_datagrams_of_1300_bytes_and_arrive_as_one() {
    let (mut net, host, _, dave) = conference_of("Parlour/0.1");
    let most = "0123456789abcde\n".repeat(1024);
    let texts = [long_text(), "(1/1)".to_owned(), "we won (1/2)".to_owned(), most];
    for text in &texts {
        net.act(dave, |dave| dave.say("r", text));
        net.run_for(Duration::from_secs(4));
    }
    net.run_for(Duration::from_secs(10));
    let lines: Vec<String> = net.at(host).lines().map(|line| line.text.clone()).collect();
    assert_eq!(lines, texts);
    let sent = sent(&net, address(DAVE));
    assert!(sent.len() > 30, "{}", sent.len());
    for (transport, _, size) in sent {
        assert!(transport == Transport::Udp && size <= 1300, "{size} bytes by {transport:?}");
    }
}

#[test]
fn two_of_our_own_kind_give_each_other_whole_texts() {
    let mut net = Net::new(6);
    let (dave, erin) = (guest(&mut net, "Dave", DAVE), guest(&mut net, "Erin", ERIN));
    let uri = net.at(erin).uri();
    net.act(dave, |dave| dave.dial(&uri));
    net.run_for(Duration::from_secs(3));
    let texts = [long_text(), "half (1/2)".to_owned(), "/to Bob x".to_owned()];
    for text in &texts {
        net.act(dave, |dave| dave.say("d", text));
        net.act(erin, |erin| erin.say("e", text));
        net.run_for(Duration::from_secs(5));
    }
    for (who, name) in [(dave, "erin"), (erin, "Dave")] {
        let lines = heard(&net, who);
        assert!(lines.iter().all(|line| line.name == name && line.verified), "{lines:?}");
        let read: Vec<String> = lines.into_iter().map(|line| line.text).collect();
        assert_eq!(read, texts, "from {name}");
    }
}

#[test]
fn a_text_outside_of_the_call_is_never_verified_and_a_strangers_is_his_own() {
    let mut net = Net::new(8);
    let (dave, erin) = (guest(&mut net, "Dave", DAVE), guest(&mut net, "Erin", ERIN));
    let mallory = address("198.51.100.66:5060");
    Stranger::join(&mut net, mallory);
    let uri = net.at(erin).uri();
    net.act(dave, |dave| dave.dial(&uri));
    net.run_for(Duration::from_secs(3));
    let uri = uri.to_string();
    let from = format!("\"Dave\" <sip:dave@{DAVE}>");
    for (source, branch, text) in [(mallory, "m", "forged"), (address(DAVE), "d", "outside")] {
        let bytes = Stranger::message(&uri, &from, source, branch, text);
        net.inject(source, address(ERIN), &bytes);
        net.run_for(Duration::from_secs(3));
    }
    let lines = heard(&net, erin);
    assert_eq!(
        lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(),
        ["forged", "outside"]
    );
    assert!(lines.iter().all(|line| !line.verified), "{lines:?}");
}

#[test]
fn lines_that_look_like_parts_of_one_text_stay_two() {
    let (mut net, host, _, dave) = conference_of("Parlour/0.1");
    let texts = ["we won (1/2)", "they too (2/2)"];
    for text in texts {
        net.act(host, |host| host.say("r", text));
    }
    net.run_for(Duration::from_secs(70));
    let read: Vec<String> = heard(&net, dave).into_iter().map(|line| line.text).collect();
    assert_eq!(read, texts);
}

#[test]
fn what_came_of_a_text_is_shown_when_the_conference_ends() {
    let mut room = Room::new(9, vec![Script::new("bob")]);
    let dave = room.guest("Dave", "dave", address(DAVE));
    let text = "word ".repeat(400);
    room.net.act(room.host, |host| host.say("r", &text));
    let part = |net: &Net| {
        let steps = net.ladder().iter().filter(|step| step.to == address(DAVE));
        let second = b"\r\nchat.Part: 2/";
        let mut texts = steps.map(|step| &step.contents);
        texts.any(|bytes| bytes.windows(second.len()).any(|window| window == second))
    };
    assert!(room.net.run_until(Duration::from_secs(5), part));
    room.net.act(room.host, |host| host.command(Command::End));
    room.net.run_for(Duration::from_secs(5));
    let lines = heard(&room.net, dave);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(text.starts_with(&lines[0].text) && lines[0].text.len() > 100, "{lines:?}");
    let events = room.net.at(dave).events().iter();
    let told =
        |event: &Event| matches!(event, Event::Notice { text } if text.contains("did not come"));
    assert!(events.into_iter().any(told));
}
