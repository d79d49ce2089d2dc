//! Who may come into a conference: lock, lobby, password, PIN, invitation, and who hides. Real sockets, no other program.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[allow(dead_code, reason = "the other stories use the rest")]
mod ends {
    pub mod cli;
    pub mod process;
    pub mod watcher;
}

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use ends::cli::Cli;
use ends::process::{free_port, within};
use ends::watcher::Watcher;
use serde_json::{Value, json};

const IP: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const SOON: Duration = Duration::from_secs(8);

fn start(name: &str, arguments: &[&str]) -> Cli {
    let listen = SocketAddr::new(IP, free_port(IP)).to_string();
    let mut all = arguments.to_vec();
    all.extend(["--listen", &listen, "--name", name, "--audio", "silence"]);
    Cli::start(name, &all)
}

/// A conference of Alice's alone.
fn alice() -> (Cli, String) {
    let alice = start("Alice", &["host", "--subject", "Weekly ops"]);
    let (_, conference) = alice.ready();
    (alice, conference)
}

fn is_here(cli: &Cli, name: &str) {
    cli.expect("participant", SOON, |event| event["name"] == name && event["state"] == "connected");
}

/// The reason in the last line of somebody who was not let in.
fn not_let_in(mut cli: Cli) -> String {
    let status = cli.wait(SOON).expect("who is not let in ends");
    assert_eq!(status.code(), Some(1), "{}", cli.tail());
    let ended = cli.expect("ended", SOON, |_| true);
    ended["reason"].as_str().unwrap().to_owned()
}

fn waits(host: &Cli, name: &str) -> Value {
    host.expect("lobby", SOON, |event| event["name"] == name && event["state"] == "waiting")
}

#[test]
fn focus_lock_keeps_out_who_comes_and_nobody_who_is_there() {
    let (mut alice, conference) = alice();
    let bob = start("Bob", &["join", &conference]);
    is_here(&alice, "Bob");
    alice.command(&json!({"command": "lock", "on": true}));
    let locked = alice.expect("conference", SOON, |event| event["locked"] == true);
    assert_eq!((&locked["subject"], &locked["connected"]), (&json!("Weekly ops"), &json!(2)));
    let reason = not_let_in(start("Carol", &["join", &conference]));
    assert!(reason.contains("403"), "{reason}");
    assert_eq!(alice.present().len(), 2);

    alice.command(&json!({"command": "lock", "on": false}));
    alice.expect("conference", SOON, |event| event["locked"] == false && event["connected"] == 2);
    let dave = start("Dave", &["join", &conference]);
    for cli in [&alice, &bob, &dave] {
        is_here(cli, "Dave");
    }
    assert!(alice.end().expect("Alice ends").success());
}

#[test]
fn focus_lobby_keeps_everything_from_who_waits_until_the_host_lets_him_in() {
    let (mut alice, conference) = alice();
    alice.command(&json!({"command": "lobby", "on": true}));
    alice.expect("conference", SOON, |event| event["lobby"] == true);
    let bob = start("Bob", &["join", &conference]);
    let waiting = waits(&alice, "Bob");
    alice.say("for those who are in");
    bob.expect("participant", SOON, |event| event["state"] == "alerting");
    let carol = start("Carol", &["join", &conference]);
    let refused = waits(&alice, "Carol");
    alice.command(&json!({"command": "refuse", "id": refused["id"]}));
    let reason = not_let_in(carol);
    assert!(reason.contains("603"), "{reason}");
    // By now what was said would be there; who waits has heard only that it rings.
    let told = bob.events();
    assert!(told.iter().all(|event| event["event"] == "participant"), "{told:#?}");
    assert_eq!(alice.present().len(), 1);

    alice.command(&json!({"command": "admit", "id": waiting["id"]}));
    alice.expect("lobby", SOON, |event| event["state"] == "admitted");
    alice.expect("participant", SOON, |event| {
        event["id"] == waiting["id"] && event["state"] == "connected"
    });
    bob.expect("participant", SOON, |event| event["name"] == "Alice");
    alice.say("welcome");
    let line = bob.expect("message", SOON, |_| true);
    assert_eq!(line["text"], "welcome");
    assert!(alice.end().expect("Alice ends").success());
}

#[test]
fn fo7_fo8_each_conference_has_an_address_of_its_own_of_64_random_bits() {
    let hosts: Vec<(Cli, String)> = (0..3).map(|_| alice()).collect();
    let users: Vec<&str> = hosts
        .iter()
        .map(|(_, conference)| conference.strip_prefix("sip:").unwrap().split('@').next().unwrap())
        .collect();
    for (at, user) in users.iter().enumerate() {
        let digits = user.strip_prefix("conf-").unwrap();
        assert!(digits.len() == 16 && u64::from_str_radix(digits, 16).is_ok(), "{user}");
        assert!(!users[..at].contains(user), "{users:?}");
    }
}

#[test]
fn focus_password_is_asked_of_who_comes_and_join_gives_it_from_a_file() {
    let (mut alice, conference) = alice();
    alice.command(&json!({"command": "password", "text": "correct horse"}));
    alice.expect("notice", SOON, |event| event["text"].as_str().unwrap().contains("password"));
    let reason = not_let_in(start("Bob", &["join", &conference]));
    assert!(reason.contains("401"), "{reason}");
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let option = "--conference-password-file";
    let wrong = file("wrong", "battery staple\n");
    let reason = not_let_in(start("Carol", &["join", &conference, option, &wrong]));
    assert!(reason.contains("401"), "{reason}");
    assert_eq!(alice.present().len(), 1);

    let right = file("right", "correct horse\n");
    let mut dave = start("Dave", &["join", &conference, option, &right]);
    dave.ready();
    is_here(&alice, "Dave");
    is_here(&dave, "Alice");
    dave.say("hello");
    alice.expect("message", SOON, |event| event["text"] == "hello");
    // And from standard input, before commands.
    let mut erin = start("Erin", &["join", &conference, option, "-"]);
    erin.write(b"correct horse\n");
    is_here(&erin, "Dave");
    erin.say("hello too");
    alice.expect("message", SOON, |event| event["text"] == "hello too");
    assert!(alice.end().expect("Alice ends").success());
}

#[test]
fn focus_pin_is_typed_on_the_phone_and_three_wrong_ones_end_the_call() {
    let (mut alice, conference) = alice();
    alice.command(&json!({"command": "pin", "text": "12"}));
    alice.expect("notice", SOON, |event| event["text"] == "A PIN has 4 to 12 digits.");
    alice.command(&json!({"command": "pin", "text": "4711"}));
    alice.expect("conference", SOON, |event| event["pin"] == true);
    let folder = tempfile::tempdir().unwrap();
    let heard = folder.path().join("bob.wav");
    let record = ["--record", heard.to_str().unwrap()];
    let mut bob = start("Bob", &[&["join", conference.as_str()][..], &record[..]].concat());
    let is_answered = |cli: &Cli| {
        cli.expect("participant", SOON, |event| event["state"] == "connected" && event["id"] == 2);
    };
    is_answered(&bob);
    alice.say("for those who are in");
    bob.say("is anybody there?");
    bob.command(&json!({"command": "digits", "text": "12344*4711"}));
    let (_, joined) = bob.ready();
    assert_eq!(joined, conference);
    is_here(&alice, "Bob");
    is_here(&bob, "Alice");
    alice.say("welcome");
    bob.expect("message", SOON, |event| event["text"] == "welcome");
    let read: Vec<String> = bob.messages().into_iter().map(|line| line.text).collect();
    assert_eq!(read, ["welcome"]);
    assert!(alice.messages().is_empty(), "{:?}", alice.messages());

    let mut carol = start("Carol", &["join", &conference]);
    is_answered(&carol);
    carol.command(&json!({"command": "digits", "text": "000011112222"}));
    let ended = carol.expect("ended", Duration::from_secs(15), |_| true);
    assert_eq!(ended["reason"], "Wrong PIN");
    alice.expect("notice", SOON, |event| event["text"] == "Carol gave a wrong PIN three times");
    alice_hears_nothing_of(&alice, "Carol");

    assert!(alice.end().expect("Alice ends").success());
    bob.expect("ended", SOON, |_| true);
    bob.wait(SOON);
    let samples = hound::WavReader::open(&heard).unwrap().into_samples::<i16>();
    let loudest = samples.map(|sample| sample.unwrap().unsigned_abs()).max().unwrap();
    assert!(loudest > 3_000, "no recording asked for the PIN: {loudest}");
}

fn alice_hears_nothing_of(alice: &Cli, name: &str) {
    let named = alice.roster().values().any(|(known, _)| known == name);
    assert!(!named, "{:#?}", alice.roster());
}

#[test]
fn focus_pin_and_lobby_are_passed_one_after_the_other() {
    let (mut alice, conference) = alice();
    alice.command(&json!({"command": "pin", "text": "2580"}));
    alice.command(&json!({"command": "lobby", "on": true}));
    alice.expect("conference", SOON, |event| event["pin"] == true && event["lobby"] == true);
    let mut bob = start("Bob", &["join", &conference]);
    bob.expect("participant", SOON, |event| event["state"] == "connected" && event["id"] == 2);
    bob.command(&json!({"command": "digits", "text": "2580"}));
    let waiting = waits(&alice, "Bob");
    assert!(bob.events().iter().all(|event| event["event"] == "participant"), "{}", bob.tail());
    alice.command(&json!({"command": "admit", "id": waiting["id"]}));
    bob.ready();
    is_here(&bob, "Alice");
    assert!(alice.end().expect("Alice ends").success());
}

#[test]
fn focus_invitation_is_pasted_as_it_is_and_leads_into_the_lobby() {
    let (mut alice, conference) = alice();
    alice.command(&json!({"command": "lobby", "on": true}));
    alice.command(&json!({"command": "invitation"}));
    let invitation = alice.expect("invitation", SOON, |_| true);
    let text = invitation["text"].as_str().unwrap();
    assert!(text.starts_with("Weekly ops\n") && text.contains(&conference), "{text}");
    assert!(text.ends_with("It works on the computer of Alice only."), "{text}");
    for (name, typed) in [("Bob", text), ("Carol", conference.as_str())] {
        let mut guest = start(name, &["join", typed]);
        let waiting = waits(&alice, name);
        alice.command(&json!({"command": "admit", "id": waiting["id"]}));
        let (_, joined) = guest.ready();
        assert_eq!(joined, conference);
        assert!(guest.end().expect("he ends").success());
    }
    alice.command(&json!({"command": "pin", "text": "4711"}));
    alice.command(&json!({"command": "invitation"}));
    alice.expect("invitation", SOON, |event| event["text"].as_str().unwrap().contains("PIN: 4711"));
    assert!(alice.end().expect("Alice ends").success());
}

#[test]
fn ci10_the_roster_says_what_each_device_sends_under_once_it_is_heard() {
    let (mut alice, conference) = alice();
    let bob = start("Bob", &["join", &conference]);
    is_here(&bob, "Alice");
    let focus = conference.split_once('@').unwrap().1.parse().unwrap();
    let watcher = Watcher::join(IP, focus, &conference);
    // Bob's stream is there; the watcher has no sound.
    let sources = || watcher.documents().iter().map(|one| one.matches("<src-id>").count()).max();
    assert!(within(SOON, || sources() == Some(1)), "{:#?}", watcher.documents());
    assert!(alice.end().expect("Alice ends").success());
}

#[test]
fn focus_anonymous_hides_who_wants_it_from_everybody() {
    let (mut alice, conference) = alice();
    let bob = start("Bob", &["join", &conference]);
    is_here(&bob, "Alice");
    let focus = conference.split_once('@').unwrap().1.parse().unwrap();
    let hidden = Watcher::hidden(IP, focus, &conference);
    let came = alice.expect("participant", SOON, |event| {
        event["entity"].as_str().unwrap().ends_with("@anonymous.invalid")
    });
    let entity = came["entity"].as_str().unwrap();
    assert_eq!(entity, format!("sip:anonymous{}@anonymous.invalid", came["id"]));
    assert_eq!(came["name"], format!("Anonymous {}", came["id"]));
    bob.expect("participant", SOON, |event| event["entity"] == entity);
    // Nobody is told his address, and he himself is told what all are.
    assert!(within(SOON, || hidden.documents().iter().any(|document| document.contains(entity))));
    let told = [bob.events(), alice.events()].concat();
    let told: Vec<String> = told.iter().map(Value::to_string).chain(hidden.documents()).collect();
    assert!(told.iter().all(|one| !one.to_lowercase().contains("watcher")), "{told:#?}");
    let target = came["id"].clone();
    let bobs = alice.expect("participant", SOON, |event| event["name"] == "Bob");
    alice.command(&json!({"command": "transfer", "id": bobs["id"], "with": target}));
    let told = alice.expect("notice", SOON, |_| true);
    assert!(told["text"].as_str().unwrap().contains("anonymous"), "{told}");
    assert!(alice.end().expect("Alice ends").success());
}
