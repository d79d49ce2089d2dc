//! Who may come into a conference, and who waits before it: lock, limit, lobby, PIN; and who hides (docs/sip-chat.md 3.11, RFC 4579 §5).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::net::SocketAddr;
use std::time::Duration;

use conference::{
    Command, Event, MixerAct, ParticipantId, Prompt, Standing, Waiting, WaitingState,
};
use sip_core::{CallFailure, Message, Method};
use testkit::{Guest, HOST, Host, Net, Node, Phone, Script, Stranger};

const BOB: &str = "192.0.2.21:5060";
const SOON: Duration = Duration::from_secs(3);

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Alice alone in a conference for so many others.
fn alice(capacity: usize) -> (Net, Node<Host>) {
    let mut net = Net::new(7);
    let host = Host::with_room_for(&mut net, HOST, capacity);
    (net, host)
}

/// Bob's phone, which calls the conference.
fn bob(net: &mut Net) -> Node<Phone> {
    let phone = Phone::join(net, Script::new("bob").named("Bob"), address(BOB));
    net.act(phone, |phone| phone.dial(&Host::conference_uri(HOST)));
    net.run_for(SOON);
    phone
}

fn refused_with(net: &Net, phone: Node<Phone>) -> u16 {
    match net.at(phone).refused() {
        Some(CallFailure::Declined(response)) => response.status.code(),
        other => panic!("{other:?}"),
    }
}

/// What a stranger is told by a request to this user.
fn asked(net: &mut Net, method: &str, user: &str, port: u16, more: &str) -> Message {
    let source = SocketAddr::from(([198, 51, 100, 66], port));
    let stranger = Stranger::join(net, source);
    let target = format!("sip:{user}@{HOST}");
    let request = format!(
        "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {source};branch=z9hG4bK{port};rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:m@{source}>;tag=m\r\nTo: <{target}>\r\nCall-ID: {port}@x\r\n\
         CSeq: 1 {method}\r\nContact: <sip:m@{source}>\r\n{more}Content-Length: 0\r\n\r\n"
    );
    net.inject(source, HOST, request.as_bytes());
    net.run_for(Duration::from_secs(1));
    Message::parse(net.at(stranger).heard().last().expect("an answer")).unwrap()
}

fn status(message: &Message) -> u16 {
    match message {
        Message::Response(response) => response.status.code(),
        Message::Request(request) => panic!("{request:?}"),
    }
}

fn waiting(net: &Net, host: Node<Host>) -> Vec<Waiting> {
    let events = net.at(host).events().iter();
    let told = events.filter_map(|event| match event {
        Event::Lobby(waiting) => Some(waiting.clone()),
        _ => None,
    });
    told.collect()
}

fn standing(net: &Net, host: Node<Host>) -> Standing {
    let mut events = net.at(host).events().iter().rev();
    let found = events.find_map(|event| match event {
        Event::Conference(standing) => Some(standing.clone()),
        _ => None,
    });
    found.unwrap()
}

/// Everything that went from the host to that address.
fn sent_to(net: &Net, to: SocketAddr) -> Vec<Message> {
    let steps = net.ladder().iter().filter(|step| step.from == HOST && step.to == to);
    steps.map(|step| Message::parse(&step.contents).unwrap()).collect()
}

fn command(net: &mut Net, host: Node<Host>, command: Command) {
    net.act(host, |host| host.command(command));
    net.run_for(SOON);
}

#[test]
fn fo5_a_locked_conference_is_403_and_who_is_in_it_stays_and_who_is_called_comes() {
    let (mut net, host) = alice(9);
    let dave = Guest::join(&mut net, "Dave", "dave", address("192.0.2.40:5060"));
    net.act(dave, |dave| dave.dial(&Host::conference_uri(HOST)));
    net.run_for(SOON);
    command(&mut net, host, Command::Lock { on: true });
    assert!(standing(&net, host).locked);
    let bob = bob(&mut net);
    assert_eq!(refused_with(&net, bob), 403);
    assert!(net.at(dave).is_in_call());
    let carol = Phone::join(&mut net, Script::new("carol"), address("192.0.2.22:5060"));
    let uri = net.at(carol).uri();
    net.act(host, |host| host.invite(&uri, None));
    net.run_for(SOON);
    assert!(net.at(carol).is_in_call());
    net.run_for(Duration::from_secs(5));
    let documents = |net: &Net| {
        let sent = sent_to(net, address("192.0.2.40:5060")).into_iter();
        let bodies = sent.filter_map(|message| match message {
            Message::Request(request) if request.method == Method::Notify => Some(request.body),
            _ => None,
        });
        bodies.map(|body| String::from_utf8(body.to_vec()).unwrap()).collect::<Vec<_>>()
    };
    assert!(documents(&net).first().unwrap().contains("<locked>false</locked>"));
    assert!(documents(&net).last().unwrap().contains("<locked>true</locked>"));

    command(&mut net, host, Command::Lock { on: false });
    net.act(bob, |bob| bob.dial(&Host::conference_uri(HOST)));
    net.run_for(SOON);
    assert!(net.at(bob).is_in_call());
}

#[test]
fn fo5_a_full_conference_is_486_and_an_unknown_one_404() {
    let (mut net, host) = alice(1);
    let bob = bob(&mut net);
    assert!(net.at(bob).is_in_call());
    let carol = Phone::join(&mut net, Script::new("carol"), address("192.0.2.22:5060"));
    net.act(carol, |carol| carol.dial(&Host::conference_uri(HOST)));
    net.run_for(SOON);
    assert_eq!(refused_with(&net, carol), 486);
    assert_eq!(net.at(host).roster().len(), 2);
    assert_eq!(status(&asked(&mut net, "INVITE", "conf-2", 5060, "")), 404);
}

#[test]
fn fo2_fo5_options_is_answered_as_a_call_would_be() {
    let (mut net, host) = alice(1);
    let answer = asked(&mut net, "OPTIONS", "conf-1", 5060, "");
    assert_eq!(status(&answer), 200);
    let Message::Response(response) = answer else { panic!() };
    assert_eq!(response.headers.get("Contact").unwrap(), "<sip:conf-1@192.0.2.10:5060>;isfocus");
    command(&mut net, host, Command::Lock { on: true });
    assert_eq!(status(&asked(&mut net, "OPTIONS", "conf-1", 5061, "")), 403);
    command(&mut net, host, Command::Lock { on: false });
    assert_eq!(status(&asked(&mut net, "OPTIONS", "conf-1", 5062, "")), 200);
    let bob = bob(&mut net);
    assert_eq!(status(&asked(&mut net, "OPTIONS", "conf-1", 5063, "")), 486);
    net.act(bob, |bob| bob.hang_up());
    net.run_for(SOON);
    assert_eq!(status(&asked(&mut net, "OPTIONS", "conf-1", 5064, "")), 200);
    assert_eq!(status(&asked(&mut net, "OPTIONS", "conf-2", 5065, "")), 404);
}

#[test]
fn fo5_who_waits_in_the_lobby_gets_nothing_of_the_conference_until_he_is_let_in() {
    let (mut net, host) = alice(9);
    command(&mut net, host, Command::Lobby { on: true });
    let bob = bob(&mut net);
    net.act(host, |host| host.say("1", "before"));
    net.run_for(Duration::from_secs(20));
    let told = waiting(&net, host);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].name.as_str(), told[0].state), ("Bob", WaitingState::Waiting));
    assert_eq!(told[0].entity, "sip:bob@192.0.2.21:5060");
    assert_eq!((standing(&net, host).waiting, standing(&net, host).connected), (1, 1));
    assert_eq!(net.at(host).roster().len(), 1, "he is nobody of the conference");
    for message in sent_to(&net, address(BOB)) {
        assert!(matches!(status(&message), 100 | 180), "{message:?}");
        let Message::Response(response) = message else { panic!() };
        assert!(response.body.is_empty());
    }

    command(&mut net, host, Command::LetIn { waiting: told[0].id });
    assert!(net.at(bob).is_in_call());
    assert_eq!(waiting(&net, host).last().unwrap().state, WaitingState::Admitted);
    let roster = net.at(host).roster();
    assert_eq!((roster[1].id, roster[1].name.as_str()), (told[0].id, "Bob"));
    assert_eq!((standing(&net, host).waiting, standing(&net, host).connected), (0, 2));
    net.act(host, |host| host.say("2", "after"));
    net.run_for(SOON);
    assert_eq!(net.at(bob).shown(), ["Alice: after"]);
}

#[test]
fn fo5_who_is_refused_in_the_lobby_is_declined_and_who_hangs_up_waits_no_more() {
    let (mut net, host) = alice(9);
    command(&mut net, host, Command::Lobby { on: true });
    let bob = bob(&mut net);
    let id = waiting(&net, host)[0].id;
    command(&mut net, host, Command::Refuse { waiting: id });
    assert_eq!(refused_with(&net, bob), 603);
    let dave = Guest::join(&mut net, "Dave", "dave", address("192.0.2.40:5060"));
    net.act(dave, |dave| dave.dial(&Host::conference_uri(HOST)));
    net.run_for(SOON);
    net.act(dave, |dave| dave.command(Command::End));
    net.run_for(SOON);
    let states: Vec<WaitingState> = waiting(&net, host).iter().map(|one| one.state).collect();
    use WaitingState::{Left, Refused, Waiting};
    assert_eq!(states, [Waiting, Refused, Waiting, Left]);
    assert_eq!((net.at(host).roster().len(), standing(&net, host).waiting), (1, 0));
    // Of nobody it is said that he is not there.
    command(&mut net, host, Command::LetIn { waiting: ParticipantId(99) });
    let told = net.at(host).events().last().unwrap();
    assert!(matches!(told, Event::Notice { text } if text.contains("lobby")), "{told:?}");
}

#[test]
fn fo5_nobody_waits_for_ever_nor_beyond_the_end_and_a_lobby_has_its_bounds() {
    let (mut net, host) = alice(99);
    command(&mut net, host, Command::Lobby { on: true });
    let first = bob(&mut net);
    net.run_for(Duration::from_secs(181));
    assert_eq!(waiting(&net, host).last().unwrap().state, WaitingState::Left);
    assert!(net.at(first).refused().is_some());
    let phones: Vec<Node<Phone>> = (0..33)
        .map(|n| {
            let script = Script::new(&format!("p{n}"));
            let phone =
                Phone::join(&mut net, script, SocketAddr::from(([192, 0, 2, 100 + n], 5060)));
            net.act(phone, |phone| phone.dial(&Host::conference_uri(HOST)));
            net.run_for(Duration::from_millis(100));
            phone
        })
        .collect();
    net.run_for(SOON);
    assert_eq!(standing(&net, host).waiting, 32);
    assert_eq!(refused_with(&net, phones[32]), 486);
    command(&mut net, host, Command::End);
    assert!(phones[..32].iter().all(|phone| refused_with(&net, *phone) == 480));
}

#[test]
fn fo5_closing_the_lobby_lets_everybody_in_who_waits_but_no_more_than_there_is_room_for() {
    let (mut net, host) = alice(1);
    command(&mut net, host, Command::Lobby { on: true });
    let bob = bob(&mut net);
    let carol = Phone::join(&mut net, Script::new("carol"), address("192.0.2.22:5060"));
    net.act(carol, |carol| carol.dial(&Host::conference_uri(HOST)));
    net.run_for(SOON);
    assert_eq!(standing(&net, host).waiting, 2);
    command(&mut net, host, Command::Lobby { on: false });
    assert!(net.at(bob).is_in_call() && !net.at(carol).is_in_call());
    net.act(bob, |bob| bob.hang_up());
    net.run_for(Duration::from_secs(40));
    let id = waiting(&net, host).iter().find(|one| one.name == "carol").unwrap().id;
    command(&mut net, host, Command::LetIn { waiting: id });
    assert!(net.at(carol).is_in_call());
}

#[test]
fn fo13_a_list_of_recipients_that_must_be_understood_is_420() {
    let (mut net, host) = alice(9);
    let required = "Require: recipient-list-invite\r\n";
    let answer = asked(&mut net, "INVITE", "conf-1", 5060, required);
    assert_eq!(status(&answer), 420);
    let Message::Response(response) = answer else { panic!() };
    assert_eq!(response.headers.get("Unsupported"), Some("recipient-list-invite"));
    assert_eq!(net.at(host).roster().len(), 1);
}

/// A request of somebody who wants nobody to know who he is.
fn hidden(method: &str, number: u32, tag: &str, more: &str, body: &str) -> Vec<u8> {
    let target = Host::conference_uri(HOST);
    format!(
        "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {MALLORY};branch=z9hG4bK{method}{number};rport\r\n\
         Max-Forwards: 70\r\nFrom: \"Mallory Malone\" <sip:mallory@{MALLORY}>;tag=m\r\nTo: <{target}>{tag}\r\n\
         Call-ID: hidden\r\nCSeq: {number} {method}\r\nContact: <sip:mallory@{MALLORY}>\r\n{more}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

const MALLORY: &str = "198.51.100.66:5060";

#[test]
fn fo10_who_hides_is_anonymous_to_everybody_in_roster_text_and_lobby() {
    let (mut net, host) = alice(9);
    let bob = bob(&mut net);
    let dave = Guest::join(&mut net, "Dave", "dave", address("192.0.2.40:5060"));
    net.act(dave, |dave| dave.dial(&Host::conference_uri(HOST)));
    net.run_for(SOON);
    command(&mut net, host, Command::Lobby { on: true });
    let stranger = Stranger::join(&mut net, address(MALLORY));
    let offer = "v=0\r\no=- 1 1 IN IP4 198.51.100.66\r\ns=-\r\nc=IN IP4 198.51.100.66\r\nt=0 0\r\n\
                 m=audio 4000 RTP/AVP 0\r\n";
    let more = "Privacy: user;ID\r\nContent-Type: application/sdp\r\n";
    net.inject(address(MALLORY), HOST, &hidden("INVITE", 1, "", more, offer));
    net.run_for(SOON);
    let waits = waiting(&net, host).pop().unwrap();
    let entity = format!("sip:anonymous{}@anonymous.invalid", waits.id.0);
    assert_eq!((&waits.entity, &waits.name), (&entity, &format!("Anonymous {}", waits.id.0)));
    command(&mut net, host, Command::LetIn { waiting: waits.id });
    let answer = Message::parse(net.at(stranger).heard().last().unwrap()).unwrap();
    assert_eq!(status(&answer), 200);
    let Message::Response(answer) = answer else { panic!() };
    let tag = answer.headers.to_header().unwrap().tag().unwrap().to_owned();
    let tag = format!(";tag={tag}");
    net.inject(address(MALLORY), HOST, &hidden("ACK", 1, &tag, "", ""));
    net.run_for(SOON);
    let text = "Content-Type: text/plain\r\n";
    net.inject(address(MALLORY), HOST, &hidden("MESSAGE", 2, &tag, text, "psst"));
    net.run_for(Duration::from_secs(8));

    let author = waits.name.clone();
    assert_eq!(net.at(bob).shown(), [format!("{author}: psst")]);
    let line = net.at(dave).lines().last().unwrap();
    assert_eq!((&line.name, &line.from, line.text.as_str()), (&author, &entity, "psst"));
    assert!(net.at(dave).roster().iter().any(|one| one.entity == entity));
    assert!(net.at(host).roster().iter().any(|one| one.entity == entity));
    // On the wire nobody else is told who he is, or where.
    for to in [BOB, "192.0.2.40:5060"] {
        let steps = net.ladder().iter().filter(|step| step.to == address(to));
        for step in steps {
            let text = String::from_utf8_lossy(&step.contents).to_lowercase();
            assert!(!text.contains("mallory") && !text.contains("malone"), "{text}");
            assert!(!text.contains("198.51.100.66"), "{text}");
        }
    }
    let shown = format!("{:?}", net.at(host).events()).to_lowercase();
    assert!(!shown.contains("mallory"), "the host knows no more than the others");
}

#[test]
fn fo5_a_caller_without_the_pin_is_nobody_and_what_he_sends_is_for_nobody() {
    let (mut net, host) = alice(9);
    let pin = || Some("4711".to_owned());
    command(&mut net, host, Command::Pin { pin: pin() });
    let bob = bob(&mut net);
    assert!(net.at(bob).is_in_call());
    let prompts = |net: &Net| {
        let acts = net.at(host).mixer().iter();
        let acts = acts.filter_map(|act| match act {
            MixerAct::Prompt { call, prompt } => Some((*call, *prompt)),
            MixerAct::Connect { .. } => panic!("nobody is in the mix"),
            _ => None,
        });
        acts.collect::<Vec<_>>()
    };
    let call = prompts(&net)[0].0;
    assert_eq!(prompts(&net), [(call, Prompt::Pin)]);
    net.act(host, |host| host.say("1", "for those who are in"));
    let text = net.act(bob, |bob| bob.say("am I in?")).unwrap();
    net.run_for(SOON);
    assert_eq!(net.at(bob).outcome(text), Some(Some(403)));
    assert!(net.at(bob).texts().is_empty());
    assert_eq!(net.at(host).roster().len(), 1);
    assert_eq!((standing(&net, host).waiting, standing(&net, host).connected), (0, 1));
    for message in sent_to(&net, address(BOB)) {
        let bytes = format!("{message:?}");
        assert!(!bytes.contains("isfocus") && !bytes.contains("Weekly"), "{bytes}");
    }
    let press = |net: &mut Net, keys: &str| {
        for digit in keys.chars() {
            net.act(host, |host| host.command(Command::Key { call, digit }));
        }
        net.run_for(SOON);
    };
    press(&mut net, "471*12#");
    assert_eq!(prompts(&net).len(), 2);
    press(&mut net, "###");
    assert_eq!(prompts(&net).len(), 2, "nothing typed is no try");
    press(&mut net, "9999");
    assert_eq!(prompts(&net)[1..], [(call, Prompt::Wrong), (call, Prompt::Wrong)]);
    press(&mut net, "4711");
    assert_eq!(net.at(host).connected(), 2);
    net.act(host, |host| host.say("2", "welcome"));
    net.run_for(SOON);
    assert_eq!(net.at(bob).shown(), ["Alice: welcome"]);
    let told = sent_to(&net, address(BOB)).into_iter().any(|message| match message {
        Message::Request(request) if request.method == Method::Invite => {
            request.headers.get("Contact").unwrap().contains(";isfocus")
        }
        _ => false,
    });
    assert!(told, "his phone is told that it is a conference");
}

#[test]
fn fo5_who_gives_no_pin_is_gone_after_a_minute_and_one_taken_away_lets_in_who_was_asked() {
    let (mut net, host) = alice(9);
    let pin = || Some("4711".to_owned());
    command(&mut net, host, Command::Pin { pin: pin() });
    let bob = bob(&mut net);
    net.run_for(Duration::from_secs(61));
    assert!(!net.at(bob).is_in_call());
    net.act(bob, |bob| bob.dial(&Host::conference_uri(HOST)));
    net.run_for(SOON);
    assert!(net.at(bob).is_in_call());
    assert_eq!(net.at(host).connected(), 1);
    command(&mut net, host, Command::Pin { pin: None });
    assert_eq!(net.at(host).connected(), 2);
    command(&mut net, host, Command::Pin { pin: pin() });
    assert_eq!(net.at(host).connected(), 2, "who is in stays");
}

#[test]
fn fo5_who_gave_the_pin_and_waits_is_sent_away_by_the_host_or_after_ten_minutes() {
    let (mut net, host) = alice(9);
    command(&mut net, host, Command::Pin { pin: Some("4711".to_owned()) });
    command(&mut net, host, Command::Lobby { on: true });
    let bob = bob(&mut net);
    let enter = |net: &mut Net| {
        let call = net.at(host).mixer().iter().rev().find_map(|act| match act {
            MixerAct::Prompt { call, .. } => Some(*call),
            _ => None,
        });
        for digit in "4711".chars() {
            let key = Command::Key { call: call.unwrap(), digit };
            net.act(host, |host| host.command(key));
        }
        net.run_for(SOON);
    };
    enter(&mut net);
    let told = waiting(&net, host);
    assert_eq!(told.len(), 1);
    command(&mut net, host, Command::Refuse { waiting: told[0].id });
    assert!(!net.at(bob).is_in_call());
    net.act(bob, |bob| bob.dial(&Host::conference_uri(HOST)));
    net.run_for(SOON);
    enter(&mut net);
    net.run_for(Duration::from_secs(590));
    assert!(net.at(bob).is_in_call());
    net.run_for(Duration::from_secs(15));
    assert!(!net.at(bob).is_in_call());
    let states: Vec<WaitingState> = waiting(&net, host).iter().map(|one| one.state).collect();
    use WaitingState::{Left, Refused, Waiting};
    assert_eq!(states, [Waiting, Refused, Waiting, Left]);
}
