//! A conference that is killed at any moment: whatever was reported as accepted is in the journal when it starts again.
//! `PARLOUR_KILLS` says how often (5 where it is not set), `PARLOUR_SEED` from where the moments are drawn.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[allow(dead_code, reason = "the other stories use the rest")]
#[path = "ends/cli.rs"]
mod cli;
#[allow(dead_code, reason = "the other stories use the rest")]
#[path = "ends/process.rs"]
mod process;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use cli::Cli;
use engine::{Archive, Transcript};
use process::within;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

/// Longer than anything here takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn host(folder: &Path) -> Cli {
    let folder = folder.to_str().unwrap();
    Cli::start(
        "host",
        &[
            "host",
            "--listen",
            "127.0.0.1:0",
            "--name",
            "Hanna",
            "--audio",
            "silence",
            "--conference",
            "conf-kill",
            "--chat-rate",
            "unlimited",
            "--data-folder",
            folder,
        ],
    )
}

fn guest(name: &str, conference: &str) -> Cli {
    let mut guest = Cli::start(
        name,
        &["join", conference, "--listen", "127.0.0.1:0", "--name", name, "--audio", "silence"],
    );
    guest.ready();
    guest.say("here");
    guest
}

/// What a killed host had reported.
struct Reported {
    texts: std::collections::BTreeMap<String, String>,
    events: Vec<Value>,
}

/// Hosts, writes from all sides, and kills the host at some moment.
fn round(folder: &Path, random: &mut ChaCha8Rng) -> (Reported, Cli) {
    let mut host = host(folder);
    let (_, conference) = host.ready();
    let mut guests = [guest("Bob", &conference), guest("Carol", &conference)];
    let both = |host: &Cli| host.messages().len() >= 2;
    assert!(within(PATIENCE, || both(&host)), "{}", host.tail());
    let end = Instant::now() + Duration::from_millis(random.random_range(20..1200));
    let mut texts = std::collections::BTreeMap::new();
    while Instant::now() < end {
        for _ in 0..random.random_range(1..8) {
            let text = format!("line {}\r\n\ttwo ä {}", texts.len(), random.random::<u64>());
            texts.insert(host.say(&text), text);
        }
        for guest in &mut guests {
            guest.say(&format!("answer {}", random.random::<u64>()));
        }
        std::thread::sleep(Duration::from_millis(random.random_range(0..40)));
    }
    host.signal("KILL");
    assert!(host.wait(PATIENCE).is_some());
    // What lies in the pipe was printed before.
    let mut known = usize::MAX;
    within(PATIENCE, || {
        let now = host.events().len();
        std::thread::sleep(Duration::from_millis(50));
        std::mem::replace(&mut known, now) == now
    });
    let events = host.events();
    drop(guests);
    (Reported { texts, events }, host)
}

/// How many lines were compared; fails where one is missing or differs.
fn compare(reported: &Reported, kept: &Transcript) -> usize {
    let mut compared = 0;
    for event in &reported.events {
        let id = event["id"].as_u64();
        let line = kept.lines.iter().find(|line| Some(line.id) == id);
        match event["event"].as_str().unwrap() {
            "accepted" => {
                let reference = event["ref"].as_str().unwrap();
                let line = line.unwrap_or_else(|| panic!("{event} is lost"));
                assert_eq!(line.reference.as_deref(), Some(reference), "{event}");
                assert_eq!(line.text, reported.texts[reference], "{event}");
                assert_eq!(line.seq, event["seq"].as_u64(), "{event}");
            }
            "message" => {
                let line = line.unwrap_or_else(|| panic!("{event} is lost"));
                assert_eq!(line.text, event["text"].as_str().unwrap(), "{event}");
                assert_eq!(line.from, event["from"].as_str().unwrap(), "{event}");
            }
            "delivery" => {
                let line = line.unwrap_or_else(|| panic!("the line of {event} is lost"));
                let to = event["recipient"].as_str().unwrap();
                assert!(line.deliveries.iter().any(|one| one.uri == to), "{event} is lost");
                continue;
            }
            _ => continue,
        }
        compared += 1;
    }
    compared
}

#[test]
fn what_was_reported_as_accepted_survives_a_kill_at_any_moment() {
    let folder = tempfile::tempdir().unwrap();
    let (kills, seed) = (number("PARLOUR_KILLS", 5), number("PARLOUR_SEED", 1));
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut compared = 0;
    for kill in 0..kills {
        let (reported, dead) = round(folder.path(), &mut random);
        // The next start finds what was interrupted, and says so.
        let mut again = host(folder.path());
        again.ready();
        let found = again.expect("interrupted", PATIENCE, |_| true);
        let id = found["id"].as_i64().unwrap();
        let archive = Archive::open(folder.path()).unwrap();
        let kept = archive.transcript(id).unwrap().expect("it is there");
        compared += compare(&reported, &kept);
        assert_eq!(found["lines"].as_u64(), Some(kept.lines.len() as u64));
        assert_eq!(found["people"].as_array().unwrap().len(), 2, "{found}");
        // Nobody kept it: with an orderly end it goes.
        again.end();
        assert!(again.wait(PATIENCE).is_some(), "{}", again.tail());
        let left = Archive::open(folder.path()).unwrap().transcripts().unwrap();
        assert_eq!(left, [], "after kill {kill}");
        drop(dead);
    }
    println!("{kills} kills (seed {seed}): {compared} lines reported, none lost");
    assert!(compared as u64 > kills * 5, "{compared} lines are too few to prove anything");
}

#[test]
fn a_conference_can_be_listed_exported_searched_kept_and_deleted_on_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let journal = |arguments: &[&str]| {
        let mut command = Command::new(cli::path());
        let done = command.args(["journal", "--data-folder", path]).args(arguments).output();
        let done = done.unwrap();
        (done.status.code().unwrap(), String::from_utf8(done.stdout).unwrap())
    };
    assert_eq!(journal(&["list"]).0, 1);
    let mut host = host(folder.path());
    host.ready();
    let reference = host.say("see https://example.org/x\nok");
    host.expect("accepted", PATIENCE, |event| event["ref"] == reference);
    let list = journal(&["list"]).1;
    let one: Value = serde_json::from_str(&list).unwrap();
    let id = one["id"].to_string();
    assert_eq!(
        (&one["lines"], &one["kept"], &one["ended"]),
        (&json!(1), &json!(false), &json!(null))
    );
    let text = journal(&["export", &id]).1;
    assert!(text.contains("Hanna -> all ---\nsee https://example.org/x\nok\n"), "{text}");
    let data: Value =
        serde_json::from_str(&journal(&["export", &id, "--format", "json"]).1).unwrap();
    assert_eq!(data["messages"][0]["body"], "see https://example.org/x\nok");
    let found: Value = serde_json::from_str(&journal(&["search", "has:link", "OK"]).1).unwrap();
    assert_eq!(found["text"], "see https://example.org/x\nok");
    assert_eq!(journal(&["search", "nothing-of-that"]).0, 1);
    host.command(&json!({"command": "keep"}));
    host.end();
    assert!(host.wait(PATIENCE).is_some());
    let one: Value = serde_json::from_str(&journal(&["list"]).1).unwrap();
    assert_eq!(one["kept"], true);
    assert_eq!((journal(&["delete", &id]).0, journal(&["list"]).0), (0, 1));
    assert_eq!(journal(&["add-contact", "sip:bob@x.example", "Bob"]).0, 0);
    let contact: Value = serde_json::from_str(&journal(&["contacts"]).1).unwrap();
    assert_eq!(contact, json!({"uri": "sip:bob@x.example", "name": "Bob"}));
}
