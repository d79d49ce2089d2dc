//! What is written is what is read: texts made by chance of everything that means something on the wire go from host to
//! guest, from guest to host, and from a phone to both, byte for byte.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::time::Duration;

use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use testkit::{Room, Script};

const FRAGMENTS: &[&str] = &[
    "Alice",
    "Bob",
    "Dave",
    "carol",
    ": ",
    ":",
    " (2 lines):\n",
    " (1 line):\n",
    "\n",
    "\r\n",
    "\n\n",
    " ",
    "  ",
    "\t",
    " (1/2)",
    " (2/2)",
    "(1/3)",
    "[Conference] ",
    "[Conference]",
    "/",
    "//",
    "/to Bob ",
    "/host ",
    "/all ",
    "/who",
    "> ",
    "word",
    "\u{1f468}\u{200d}\u{1f469}",
    "e\u{301}",
    "\u{202e}",
    "\u{200f}",
    "\u{feff}",
    "\0",
    "\u{1b}[31m",
    "<b>",
    "&amp;",
    "%s",
    "\\n",
    "ssh-ed25519 AAAA",
    "-----BEGIN KEY-----\n",
    "https://example.org/[x]?y=1",
    " (only to you): ",
    "\u{fffd}",
    "Subject: x\r\n\r\n",
    "SIP/2.0 200 OK\r\n",
];

fn text(chance: &mut ChaCha8Rng) -> String {
    let mut text = String::new();
    for _ in 0..chance.random_range(1..8) {
        text.push_str(FRAGMENTS.choose(chance).unwrap());
    }
    if chance.random_range(0..20) == 0 {
        text = text.repeat(chance.random_range(10..60));
    }
    text
}

#[test]
fn every_text_is_read_as_it_was_written() {
    for seed in 1..=6 {
        println!("seed {seed}");
        let mut chance = ChaCha8Rng::seed_from_u64(seed);
        let mut room = Room::new(seed, vec![Script::new("bob").named("Bob"), Script::new("carol")]);
        let dave = room.guest("Dave", "dave", "192.0.2.40:5060".parse().unwrap());
        let (mut of_host, mut of_guest, mut of_phone) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..60 {
            let [one, two] = [text(&mut chance), text(&mut chance)];
            room.net.act(room.host, |host| host.say("a", &one));
            room.net.run_for(Duration::from_secs(3));
            room.net.act(dave, |dave| dave.say("d", &two));
            room.net.run_for(Duration::from_secs(3));
            of_host.push(one);
            of_guest.push(two);
            // A phone's first slash may be a command.
            let three = text(&mut chance);
            if !three.starts_with('/') && three.len() < 1000 {
                room.net.act(room.phones[0], |bob| bob.say(&three));
                room.net.run_for(Duration::from_secs(3));
                of_phone.push(three);
            }
        }
        room.net.run_for(Duration::from_secs(120));
        let dave = room.net.at(dave);
        let read = |name: &str| -> Vec<String> {
            let lines = dave.lines().filter(|line| line.name == name && !line.is_own);
            lines.map(|line| line.text.clone()).collect()
        };
        same("host to guest", &read("Alice"), &of_host);
        same("phone to guest", &read("Bob"), &of_phone);
        let host = room.net.at(room.host);
        let heard = |name: &str| -> Vec<String> {
            let lines = host.lines().filter(|line| line.name == name && !line.is_own);
            lines.map(|line| line.text.clone()).collect()
        };
        same("guest to host", &heard("Dave"), &of_guest);
        same("phone to host", &heard("Bob"), &of_phone);
    }
}

#[track_caller]
fn same(way: &str, read: &[String], written: &[String]) {
    for (n, (read, written)) in read.iter().zip(written).enumerate() {
        assert_eq!(read, written, "{way}, text {n}");
    }
    assert_eq!(read.len(), written.len(), "{way}: {:?}", read.last());
}
