//! How an engine starts, ends, and bears those who are too quick or too slow for it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[allow(dead_code, reason = "the other tests use the rest")]
mod ends {
    pub mod phone;
    pub mod user;
}

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use ends::phone::Phone;
use ends::user::{User, settings};
use engine::ParticipantState::Connected;
use engine::{Command, Event, Full, Recipient};

#[test]
fn shutting_down_hangs_up_and_takes_less_than_two_seconds() {
    let (alice, bob) = (User::start("Alice"), User::start("Bob"));
    bob.calls(&alice.hosts(&[]));
    alice.sees(0, "Bob", Connected);
    bob.conference(0);
    let began = Instant::now();
    alice.handle.clone().shutdown();
    let took = began.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert!(alice.handle.try_send(Command::Leave).is_err(), "the engine goes on");
    // A BYE came: he need not find out by silence.
    assert_eq!(bob.ends(0), "The conference has ended");
}

#[test]
fn shutting_down_does_not_wait_for_those_who_are_gone() {
    let alice = User::start("Alice");
    let conference = alice.hosts(&["sip:dora@127.0.0.1:9"]);
    assert!(conference.contains("127.0.0.1"));
    let began = Instant::now();
    alice.handle.clone().shutdown();
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[test]
fn a_command_too_many_comes_back_whole() {
    let alice = User::start("Alice");
    alice.hosts(&[]);
    let say = |n: u32| Command::Say {
        reference: n.to_string(),
        text: format!("line {n}"),
        to: Recipient::Everyone,
    };
    let mut returned = None;
    for n in 0..1_000_000 {
        if let Err(Full(command)) = alice.handle.try_send(say(n)) {
            returned = Some((n, command));
            break;
        }
    }
    let (n, command) = returned.expect("there is a limit");
    let Command::Say { reference, text, to } = command else { panic!("{command:?}") };
    assert_eq!((reference, text), (n.to_string(), format!("line {n}")));
    assert_eq!(to, Recipient::Everyone);
    // All that were taken before it have their place; there is room again.
    let last = (n - 1).to_string();
    alice.hears("the last one taken", 0, |event| match event {
        Event::Accepted { reference, .. } if *reference == last => Some(()),
        _ => None,
    });
    alice.wants(Command::Leave);
}

#[test]
fn who_does_not_read_what_is_told_does_not_stop_the_engine() {
    let (handle, mut events) = engine::start(settings("Alice"));
    let Some(Event::Ready { uri, .. }) = events.recv_blocking() else { panic!() };
    handle.try_send(Command::Host { subject: String::new(), invite: Vec::new() }).unwrap();
    // Nobody reads while thousands of events come about.
    let mut said = 0_u32;
    while said < 5_000 {
        let text = format!("line {said}");
        let say = Command::Say { reference: said.to_string(), text, to: Recipient::Everyone };
        match handle.try_send(say) {
            Ok(()) => said += 1,
            Err(Full(_)) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    let phone = Phone::start(200);
    phone.sends("OPTIONS", &uri, "<sip:phone@example.net>", "", b"");
    assert!(phone.is_answered("OPTIONS", 0).status.is_success());
    let mut accepted = 0;
    while accepted < said {
        match events.recv_blocking().expect("the engine runs") {
            Event::Accepted { reference, .. } => {
                assert_eq!(reference, accepted.to_string());
                accepted += 1;
            }
            _ => continue,
        }
    }
    handle.shutdown();
}

#[test]
fn a_taken_port_is_an_error_or_the_next_free_one() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap();
    let mut wished = settings("Alice");
    wished.listen = listen;
    let strict = User::with(wished.clone(), []);
    let fatal = strict.hears("a fatal error", 0, |event| match event {
        Event::Fatal { text } => Some(text.clone()),
        _ => None,
    });
    assert!(fatal.contains(&listen.port().to_string()), "{fatal}");

    wished.fall_back_to_free_port = true;
    let (uri, hint) = User::with(wished, []).hears("ready", 0, |event| match event {
        Event::Ready { uri, hint } => Some((uri.clone(), hint.clone())),
        _ => None,
    });
    let used: SocketAddr = uri.split_once('@').unwrap().1.parse().unwrap();
    assert_ne!(used.port(), listen.port());
    let hint = hint.expect("the user is told");
    assert!(hint.contains(&format!("Using {}", used.port())), "{hint}");
}

#[test]
fn host_and_conference_cannot_share_an_address() {
    for (user, words) in [("alice", "cannot both be called"), ("", "is empty")] {
        let mut clashing = settings("Alice");
        clashing.conference_user = Some(user.to_owned());
        User::with(clashing, []).hears("a fatal error", 0, |event| match event {
            Event::Fatal { text } if text.contains(words) => Some(()),
            _ => None,
        });
    }
}

#[test]
fn no_packet_leaves_for_an_emergency_number_and_the_user_is_told() {
    let there = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = there.local_addr().unwrap();
    let by_tcp = std::net::TcpListener::bind(address).unwrap();
    there.set_nonblocking(true).unwrap();
    by_tcp.set_nonblocking(true).unwrap();
    let alice = User::start("Alice");
    let typed = [
        "112".to_owned(),
        "tel:911".to_owned(),
        "urn:service:sos.police".to_owned(),
        format!("sip:112@{address}"),
        format!("sip:%31%31%32@{address};user=phone"),
        format!("+1 1 2@{address}"),
        format!("\"Help\" <sip:sos@{address};transport=tcp>"),
    ];
    let told = |event: &Event| match event {
        Event::Ended { reason: text } | Event::Notice { text } => {
            text.ends_with("Parlour cannot make emergency calls. Use a phone.").then_some(())
        }
        _ => None,
    };
    for uri in &typed {
        let mark = alice.mark();
        alice.wants(Command::Call { uri: uri.clone() });
        alice.hears(uri, mark, told);
    }
    let mark = alice.mark();
    alice.wants(Command::Host { subject: String::new(), invite: typed.to_vec() });
    alice.hears("host", mark, told);
    for uri in &typed {
        let mark = alice.mark();
        alice.wants(Command::Invite { uri: uri.clone() });
        alice.hears(uri, mark, told);
    }
    std::thread::sleep(Duration::from_millis(300));
    assert!(there.recv(&mut [0; 2000]).is_err(), "a datagram left");
    assert!(by_tcp.accept().is_err(), "a connection was opened");
    // What is not an emergency number does get there: the silence above was no accident.
    alice.wants(Command::Invite { uri: format!("sip:1120@{address}") });
    let arrived = || there.recv(&mut [0; 2000]).is_ok();
    assert!(ends::user::within(Duration::from_secs(5), arrived), "nothing leaves at all");
}
