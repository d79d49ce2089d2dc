//! Who may come into a conference: lock and lobby. Real sockets, `parlour-cli` only.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[allow(dead_code, reason = "the other stories use the rest")]
mod ends {
    pub mod cli;
    pub mod process;
}

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use ends::cli::Cli;
use ends::process::free_port;
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
