//! Three `parlour-cli` on this machine: tones are heard, a line each way arrives, people come and go. Real sockets, no
//! other program.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[allow(dead_code, reason = "the other stories use the rest")]
mod ends {
    pub mod cli;
    pub mod process;
    pub mod recording;
}

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::thread;
use std::time::Duration;

use ends::cli::{Cli, assert_same_roster};
use ends::process::{free_port, within};
use ends::recording::assert_hears;
use serde_json::json;

const IP: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Opus lets a little of a tone through into the silence of its own end.
const APART_DB: f64 = 35.0;

fn start(folder: &Path, name: &str, mode: &[&str], audio: &str) -> Cli {
    let listen = SocketAddr::new(IP, free_port(IP)).to_string();
    let record = folder.join(format!("{name}.wav"));
    let mut arguments = mode.to_vec();
    let rest = ["--listen", &listen, "--name", name, "--audio", audio, "--record"];
    arguments.extend(rest);
    arguments.push(record.to_str().unwrap());
    Cli::start(name, &arguments)
}

#[test]
fn a_host_and_two_participants_hear_and_read_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut alice = start(folder, "Alice", &["host", "--conference", "room"], "tone:440");
    let (own, conference) = alice.ready();
    assert!(own.starts_with("sip:") && own.contains("127.0.0.1"), "{own}");
    assert!(conference.starts_with("sip:room@127.0.0.1:"), "{conference}");
    let mut bob = start(folder, "Bob", &["join", &conference], "tone:617");
    let mut carol = start(folder, "Carol", &["join", &conference], "tone:1009");
    let (_, joined) = bob.ready();
    assert_eq!(joined, conference);
    let three =
        |cli: &Cli| cli.present().values().filter(|(_, state)| state == "connected").count() == 3;
    for cli in [&alice, &bob, &carol] {
        assert!(within(Duration::from_secs(8), || three(cli)), "{:#?}", cli.roster());
    }
    assert_same_roster(&alice, &bob);
    assert_same_roster(&alice, &carol);

    everybody_reads_everybody(&mut alice, &mut bob, &mut carol);

    thread::sleep(Duration::from_secs(6));
    for (name, own, others) in [
        ("Alice", 440.0, [617.0, 1009.0]),
        ("Bob", 617.0, [440.0, 1009.0]),
        ("Carol", 1009.0, [440.0, 617.0]),
    ] {
        assert_hears(name, &folder.join(format!("{name}.wav")), &others, Some((own, APART_DB)));
    }

    assert!(bob.end().expect("Bob ends").success());
    let without_bob = || alice.present().len() == 2 && carol.present().len() == 2;
    assert!(within(Duration::from_secs(6), without_bob), "{:#?}", carol.roster());
    assert!(alice.end().expect("Alice ends").success());
    carol.expect("ended", Duration::from_secs(3), |_| true);
}

fn everybody_reads_everybody(alice: &mut Cli, bob: &mut Cli, carol: &mut Cli) {
    let lines = [
        ("Alice", "one line\nand another: ssh-ed25519 AAAAC3Nza alice@example.org"),
        ("Bob", "a link https://example.org/?q=[x] and “quotes”"),
        ("Carol", "  spaces at both ends, \u{1f642} and a tab\t.  "),
    ];
    let mut said = Vec::new();
    for (cli, (name, text)) in [&mut *alice, &mut *bob, &mut *carol].into_iter().zip(lines) {
        let reference = cli.say(text);
        cli.expect("accepted", Duration::from_secs(3), |event| event["ref"] == reference.as_str());
        said.push((name, text));
        thread::sleep(Duration::from_millis(300));
    }
    for (own, cli) in [("Alice", alice), ("Bob", bob), ("Carol", carol)] {
        let others: Vec<(&str, &str)> =
            said.iter().copied().filter(|(name, _)| *name != own).collect();
        let read = || {
            let messages = cli.messages().into_iter().filter(|line| line.name != own);
            messages.map(|line| (line.name, line.text)).collect::<Vec<_>>()
        };
        within(Duration::from_secs(5), || read().len() >= others.len());
        let read = read();
        let read: Vec<(&str, &str)> =
            read.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        assert_eq!(read, others, "what {own} reads");
    }
}

#[test]
fn what_is_no_command_is_answered_by_a_notice_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut alice = start(folder.path(), "Alice", &["host"], "silence");
    alice.ready();
    for broken in [
        json!({"command": "dance"}),
        json!("say"),
        json!({"text": "no command"}),
        json!({"command": "say", "ref": "r"}),
        json!({"command": "invite", "uri": "not an address"}),
    ] {
        let before = notices(&alice);
        alice.command(&broken);
        let told = within(Duration::from_secs(2), || notices(&alice) > before);
        assert!(told, "{broken} was passed over in silence");
    }
    alice.command(&json!({"command": "mute", "on": true, "unknown field": 1}));
    let reference = alice.say("still here");
    alice.expect("accepted", Duration::from_secs(2), |event| event["ref"] == reference.as_str());
    assert!(alice.end().expect("Alice ends").success());
}

fn notices(cli: &Cli) -> usize {
    cli.events().iter().filter(|event| event["event"] == "notice").count()
}

#[test]
fn a_taken_port_ends_the_program_with_a_failure() {
    let taken = std::net::UdpSocket::bind(SocketAddr::new(IP, 0)).unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let mut second = Cli::start("second", &["host", "--listen", &listen, "--audio", "silence"]);
    let status = second.wait(Duration::from_secs(5)).expect("a taken port ends the program");
    assert!(!status.success());
}

#[test]
fn who_is_not_let_in_is_told_why_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    let mut alice = start(folder.path(), "Alice", &["host"], "silence");
    let (_, conference) = alice.ready();
    let wrong = format!("sip:elsewhere@{}", conference.split_once('@').unwrap().1);
    let mut lonely = start(folder.path(), "Lonely", &["join", &wrong], "silence");
    let ended = lonely.expect("ended", Duration::from_secs(5), |_| true);
    assert!(ended["reason"].as_str().unwrap().contains("404"), "{ended}");
    let status = lonely.wait(Duration::from_secs(5)).expect("who cannot join ends");
    assert!(!status.success());
    assert!(alice.end().expect("Alice ends").success());
}
