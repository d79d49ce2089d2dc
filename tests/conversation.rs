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
use std::time::{Duration, Instant};

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

#[test]
fn who_is_muted_is_not_heard_and_a_file_is_heard_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let file = folder.join("tone.wav");
    write_tone(&file, 700.0, 44_100);
    let began = Instant::now();
    let mut alice = start(folder, "Alice", &["host", "--levels"], "silence");
    let (_, conference) = alice.ready();
    let mut bob = start(folder, "Bob", &["join", &conference], "tone:617");
    let carols = format!("file:{}", file.display());
    let carol = start(folder, "Carol", &["join", &conference], &carols);
    for cli in [&bob, &carol] {
        cli.ready();
    }
    thread::sleep(Duration::from_millis(6_500));
    let heard = folder.join("Alice.wav");
    assert_hears("Alice", &heard, &[617.0, 700.0], None);

    bob.command(&json!({"command": "mute", "on": true}));
    thread::sleep(Duration::from_millis(6_000));
    assert_hears("Alice, Bob being muted,", &heard, &[700.0], Some((617.0, 40.0)));
    levels_are_told(&alice, began.elapsed());

    bob.command(&json!({"command": "mute", "on": false}));
    thread::sleep(Duration::from_millis(6_000));
    assert_hears("Alice, Bob being back,", &heard, &[617.0, 700.0], None);
    assert!(alice.end().expect("Alice ends").success());
}

/// Bob's and Carol's levels were told at most ten times a second, near -20 dBov while they were heard.
fn levels_are_told(alice: &Cli, since: Duration) {
    let events = alice.events();
    for name in ["Bob", "Carol"] {
        let person = events.iter().rfind(|event| event["name"] == name).unwrap();
        let levels: Vec<f64> = events
            .iter()
            .filter(|event| event["event"] == "level" && event["id"] == person["id"])
            .map(|event| event["dbov"].as_f64().expect("a level is a number"))
            .collect();
        let per_second = levels.len() as f64 / since.as_secs_f64();
        assert!((5.0..=10.0).contains(&per_second), "{name}: {per_second:.1} levels a second");
        let near = levels.iter().filter(|dbov| (**dbov + 20.0).abs() < 3.0).count();
        assert!(near >= 30, "{name}: {levels:?}");
    }
}

fn write_tone(path: &Path, hz: f64, rate_hz: u32) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: rate_hz,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    for sample in testkit::tones::sine(hz, -20.0, rate_hz, rate_hz as usize * 30) {
        writer.write_sample(sample).unwrap();
    }
    writer.finalize().unwrap();
}

#[test]
fn who_does_not_come_and_who_is_removed_is_told_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let mut alice = start(folder.path(), "Alice", &["host"], "silence");
    let (_, conference) = alice.ready();
    let bob = start(folder.path(), "Bob", &["join", &conference], "silence");
    bob.ready();
    // A host takes no calls to his own address while nobody can be asked: he is busy.
    let mut busy = start(folder.path(), "Busy", &["host"], "silence");
    let (uri, _) = busy.ready();
    alice.invite(&uri);
    let declined = alice.expect("participant", Duration::from_secs(5), |event| {
        event["entity"] == uri.as_str() && event["state"] == "disconnected"
    });
    assert!(!declined["reason"].as_str().unwrap().is_empty(), "{declined}");

    let row = alice.expect("participant", Duration::from_secs(1), |event| event["name"] == "Bob");
    alice.command(&json!({"command": "remove", "id": row["id"]}));
    let ended = bob.expect("ended", Duration::from_secs(5), |_| true);
    assert!(!ended["reason"].as_str().unwrap().is_empty(), "{ended}");
    let gone = alice.expect("participant", Duration::from_secs(5), |event| {
        event["id"] == row["id"] && event["state"] == "disconnected"
    });
    assert!(!gone["reason"].as_str().unwrap().is_empty(), "{gone}");
    println!("{declined}\n{ended}\n{gone}");
    for cli in [&mut alice, &mut busy] {
        assert!(cli.end().expect("a host ends").success());
    }
}

#[test]
fn a_host_that_is_gone_without_a_word_does_not_leave_a_participant_hanging_on_his_own_end() {
    let folder = tempfile::tempdir().unwrap();
    let alice = start(folder.path(), "Alice", &["host"], "silence");
    let (_, conference) = alice.ready();
    let mut bob = start(folder.path(), "Bob", &["join", &conference], "silence");
    bob.ready();
    drop(alice);
    bob.say("anybody there?");
    assert!(bob.end().expect("Bob ends within five seconds all the same").success());
}
