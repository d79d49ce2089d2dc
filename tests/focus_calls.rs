//! The calls of a conference, each feature once: `parlour-cli` on this machine, real sockets, what is heard checked in
//! recordings.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[allow(dead_code, reason = "the other stories use the rest")]
mod ends {
    pub mod cli;
    pub mod process;
    pub mod recording;
}

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ends::cli::Cli;
use ends::process::{free_port, within};
use ends::recording::Window;
use serde_json::{Value, json};
use tempfile::TempDir;

const IP: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const SOON: Duration = Duration::from_secs(6);
/// A tone that is heard is at -20 dBov, one that is not far below.
const HEARD_DBOV: f64 = -26.0;
const UNHEARD_DBOV: f64 = -50.0;

/// One end: its program, where it listens, the tone it sends, and what it hears.
struct End {
    cli: Cli,
    #[allow(dead_code)]
    address: SocketAddr,
    tone_hz: f64,
    record: PathBuf,
}

impl End {
    fn start(folder: &Path, name: &str, tone_hz: f64, mode: &[&str]) -> Self {
        let address = SocketAddr::new(IP, free_port(IP));
        let (listen, audio) = (address.to_string(), format!("tone:{tone_hz}"));
        let record = folder.join(format!("{name}.wav"));
        let rest = ["--listen", &listen, "--name", name, "--audio", &audio, "--record"];
        let mut arguments = mode.to_vec();
        arguments.extend(rest);
        arguments.push(record.to_str().unwrap());
        Self { cli: Cli::start(name, &arguments), address, tone_hz, record }
    }

    fn level_dbov(&self, of: &Self) -> f64 {
        Window::of_last(&self.record, 0.5).map_or(-127.0, |window| window.level_dbov(of.tone_hz))
    }

    fn hears(&self, of: &Self) -> bool {
        self.level_dbov(of) > HEARD_DBOV
    }

    fn does_not_hear(&self, of: &Self) -> bool {
        self.level_dbov(of) < UNHEARD_DBOV
    }

    #[track_caller]
    fn soon(&self, what: &str, so: impl Fn() -> bool) {
        assert!(within(SOON, so), "{what}\n{}", self.cli.tail());
    }

    fn id_of(&self, name: &str) -> u64 {
        let events = self.cli.events();
        let known = events.iter().rev().find(|event| {
            event["event"] == "participant"
                && event["name"] == name
                && event["state"] != "disconnected"
        });
        known.unwrap_or_else(|| panic!("no {name}\n{}", self.cli.tail()))["id"].as_u64().unwrap()
    }

    fn state_of(&self, name: &str) -> String {
        let events = self.cli.events();
        let known = events.iter().rev();
        let mut known =
            known.filter(|event| event["event"] == "participant" && event["name"] == name);
        known.next().map_or_else(String::new, |event| event["state"].as_str().unwrap().to_owned())
    }

    fn reads(&self, text: &str) -> usize {
        self.cli.messages().iter().filter(|line| line.text == text).count()
    }

    fn command(&mut self, command: Value) {
        self.cli.command(&command);
    }

    fn noticed(&self, words: &str) -> bool {
        let said = |event: &Value| event["text"].as_str().is_some_and(|text| text.contains(words));
        self.cli.events().iter().any(|event| event["event"] == "notice" && said(event))
    }
}

/// Alice's conference with Bob and Carol in it; everybody hears everybody.
struct Three {
    _folder: TempDir,
    alice: End,
    bob: End,
    carol: End,
}

impl Three {
    fn meet() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let alice = End::start(folder.path(), "Alice", 440.0, &["host"]);
        let (_, conference) = alice.cli.ready();
        let bob = End::start(folder.path(), "Bob", 617.0, &["join", &conference]);
        let carol = End::start(folder.path(), "Carol", 1009.0, &["join", &conference]);
        for end in [&alice, &bob, &carol] {
            end.soon("not all three are there", || connected(end) == 3);
        }
        let three = Self { _folder: folder, alice, bob, carol };
        let Self { alice, bob, carol, .. } = &three;
        for (one, others) in [(alice, [bob, carol]), (bob, [alice, carol]), (carol, [alice, bob])] {
            one.soon("somebody is not heard", || others.iter().all(|other| one.hears(other)));
        }
        three
    }
}

fn connected(end: &End) -> usize {
    end.cli.present().values().filter(|(_, state)| state == "connected").count()
}

#[test]
fn focus_mute_takes_one_voice_away_and_gives_it_back() {
    let Three { mut alice, bob, carol, _folder } = Three::meet();
    let id = alice.id_of("Bob");
    alice.command(json!({"command": "mute", "id": id, "on": true}));
    alice.cli.expect("participant", SOON, |event| event["name"] == "Bob" && event["muted"] == true);
    carol.cli.expect("participant", SOON, |event| event["name"] == "Bob" && event["muted"] == true);
    for end in [&alice, &carol] {
        end.soon("a muted one is heard", || end.does_not_hear(&bob));
    }
    bob.soon("who is muted hears nobody", || bob.hears(&alice) && bob.hears(&carol));
    alice.soon("the wrong one was muted", || alice.hears(&carol));
    alice.command(json!({"command": "mute", "id": id, "on": false}));
    for end in [&alice, &carol] {
        end.soon("his voice did not come back", || end.hears(&bob));
    }
    let refused = |end: &mut End| end.command(json!({"command": "mute", "id": id, "on": true}));
    let mut carol = carol;
    refused(&mut carol);
    carol.soon("a participant mutes another", || carol.noticed("Only the host"));
    assert!(alice.hears(&bob));
}

#[test]
fn focus_volume_makes_one_louder_or_softer_for_everybody() {
    let Three { mut alice, bob, carol, _folder } = Three::meet();
    let id = alice.id_of("Bob");
    for (db, wanted_dbov) in [(-12.0, -32.0), (6.0, -14.0), (0.0, -20.0)] {
        alice.command(json!({"command": "volume", "id": id, "db": db}));
        for end in [&alice, &carol] {
            let near = || (end.level_dbov(&bob) - wanted_dbov).abs() < 2.0;
            end.soon(&format!("{db} dB: {:.1} dBov", end.level_dbov(&bob)), near);
        }
        assert!(alice.hears(&carol), "the wrong one");
    }
    // Beyond the range it is the end of the range.
    alice.command(json!({"command": "volume", "id": id, "db": -1000}));
    let near = || (alice.level_dbov(&bob) + 60.0).abs() < 4.0;
    alice.soon("-40 dB is the least", near);
    alice.command(json!({"command": "volume", "id": id}));
    alice.soon("no volume is given", || alice.noticed("needs a volume in dB"));
}

#[test]
fn focus_hold_takes_one_out_of_the_sound_and_leaves_him_the_texts() {
    let Three { mut alice, mut bob, carol, _folder } = Three::meet();
    let id = alice.id_of("Bob");
    alice.command(json!({"command": "hold", "id": id, "on": true}));
    for end in [&alice, &carol] {
        end.soon("he is not on hold", || end.state_of("Bob") == "on-hold");
        end.soon("who is on hold is heard", || end.does_not_hear(&bob));
    }
    bob.soon("who is on hold hears", || bob.does_not_hear(&alice) && bob.does_not_hear(&carol));
    alice.soon("the others are on hold too", || alice.hears(&carol) && carol.hears(&alice));
    alice.cli.say("while you wait");
    bob.soon("no text while on hold", || bob.reads("while you wait") == 1);
    alice.command(json!({"command": "hold", "id": id, "on": false}));
    alice.soon("he stays on hold", || alice.hears(&bob) && alice.state_of("Bob") == "connected");
    carol.soon("not heard again", || carol.hears(&bob));
    bob.soon("hears nobody again", || bob.hears(&alice) && bob.hears(&carol));
    // A participant holds his own call.
    bob.command(json!({"command": "hold", "on": true}));
    alice.soon("his own hold", || alice.state_of("Bob") == "on-hold" && alice.does_not_hear(&bob));
    bob.command(json!({"command": "hold", "on": false}));
    alice.soon("his own hold ends", || alice.state_of("Bob") == "connected" && alice.hears(&bob));
}

#[test]
fn focus_refer_in_calls_whom_a_participant_wants_once_the_host_agrees() {
    let Three { mut alice, mut bob, carol, _folder } = Three::meet();
    let dave = End::start(_folder.path(), "Dave", 1500.0, &["host"]);
    let (_, room) = dave.cli.ready();
    bob.command(json!({"command": "invite", "uri": room}));
    let wish = alice.cli.expect("referred", SOON, |event| event["name"] == "Bob");
    assert_eq!(wish["to"], room.as_str());
    alice.command(json!({"command": "refuse_refer", "id": wish["id"]}));
    bob.soon("he does not hear that the host refused", || bob.noticed("(603)"));
    assert_eq!(connected(&dave), 1, "called although the host refused");
    bob.command(json!({"command": "invite", "uri": room}));
    let again = alice.cli.expect("referred", SOON, |event| event["id"] != wish["id"]);
    alice.command(json!({"command": "accept_refer", "id": again["id"]}));
    bob.soon("he does not hear that it worked", || bob.noticed("as you asked"));
    for end in [&alice, &bob, &carol] {
        end.soon("who was wanted did not come", || connected(end) == 4);
        end.soon("who was wanted is not heard", || end.hears(&dave));
    }
}

#[test]
fn focus_merge_makes_one_conference_of_the_calls_to_the_hosts_own_address() {
    let folder = tempfile::tempdir().unwrap();
    let mut alice = End::start(folder.path(), "Alice", 440.0, &["host"]);
    let (own, _) = alice.cli.ready();
    let mut bob = End::start(folder.path(), "Bob", 617.0, &["join", &own]);
    alice.soon("Bob is not taken", || alice.state_of("Bob") == "connected" && alice.hears(&bob));
    bob.soon("Bob does not hear", || bob.hears(&alice));
    bob.cli.say("between us");
    alice.soon("Bob's words", || alice.reads("between us") == 1);
    assert_eq!(alice.cli.messages()[0].to, "me", "a call of two is private");
    let carol = End::start(folder.path(), "Carol", 1009.0, &["join", &own]);
    // The newer call is the one that is talked in; the older one waits.
    alice.soon("Carol is not taken", || alice.hears(&carol) && alice.state_of("Bob") == "on-hold");
    carol.soon("Carol hears", || carol.hears(&alice) && carol.does_not_hear(&bob));
    bob.soon("Bob hears while he waits", || bob.does_not_hear(&alice));
    alice.command(json!({"command": "merge"}));
    for (one, others) in
        [(&alice, [&bob, &carol]), (&bob, [&alice, &carol]), (&carol, [&alice, &bob])]
    {
        one.soon("not merged", || others.iter().all(|other| one.hears(other)));
        one.soon("not all in the roster", || connected(one) == 3);
    }
    for end in [&bob, &carol] {
        // What was a call is a conference by now, and says so.
        assert!(end.cli.ready().1.contains("conf-"));
    }
    bob.cli.say("to all");
    for end in [&alice, &carol] {
        end.soon("Bob's words are for all", || end.reads("to all") == 1);
        assert_eq!(end.reads("between us"), usize::from(std::ptr::eq(end, &alice)));
    }
}

#[test]
fn focus_merge_a_call_of_two_becomes_a_conference_when_somebody_is_called_into_it() {
    let folder = tempfile::tempdir().unwrap();
    let alice = End::start(folder.path(), "Alice", 440.0, &["host"]);
    let (own, _) = alice.cli.ready();
    let mut bob = End::start(folder.path(), "Bob", 617.0, &["join", &own]);
    bob.soon("Bob is not taken", || bob.hears(&alice) && alice.hears(&bob));
    let carol = End::start(folder.path(), "Carol", 1009.0, &["host"]);
    let (_, room) = carol.cli.ready();
    bob.command(json!({"command": "invite", "uri": room}));
    bob.soon("Bob hosts them both", || connected(&bob) == 3);
    for (one, others) in
        [(&alice, [&bob, &carol]), (&bob, [&alice, &carol]), (&carol, [&alice, &bob])]
    {
        one.soon("not in one conference", || others.iter().all(|other| one.hears(other)));
    }
}

#[test]
fn focus_split_takes_one_aside_and_leaves_the_others_together() {
    let Three { mut alice, mut bob, mut carol, _folder } = Three::meet();
    let id = alice.id_of("Bob");
    alice.command(json!({"command": "split", "id": id}));
    for end in [&alice, &carol] {
        end.soon("who was split off is heard", || end.does_not_hear(&bob));
    }
    bob.soon("he hears the conference", || bob.does_not_hear(&alice) && bob.does_not_hear(&carol));
    carol.soon("he is in the roster", || carol.state_of("Bob") == "disconnected");
    assert!(alice.hears(&carol) && carol.hears(&alice));
    bob.cli.say("to the host alone");
    alice.soon("his words", || alice.reads("to the host alone") == 1);
    carol.cli.say("to the conference");
    alice.soon("her words", || alice.reads("to the conference") == 1);
    // What is left to itself is one conversation again.
    assert!(carol.cli.end().is_some());
    alice.soon("the call of two goes on", || alice.hears(&bob) && bob.hears(&alice));
    assert_eq!(carol.reads("to the host alone") + bob.reads("to the conference"), 0);
    alice.command(json!({"command": "merge", "id": id}));
    bob.soon("back in the conference", || connected(&bob) == 2 && bob.hears(&alice));
}

#[test]
fn focus_remove_ends_one_call_with_its_reason() {
    let Three { mut alice, mut bob, carol, _folder } = Three::meet();
    let id = alice.id_of("Bob");
    alice.command(json!({"command": "remove", "id": id}));
    let ended = bob.cli.expect("ended", SOON, |_| true);
    assert_eq!(ended["reason"], "Removed by host");
    assert!(bob.cli.wait(SOON).is_some());
    for end in [&alice, &carol] {
        end.soon("he is still there", || end.state_of("Bob") == "disconnected");
        end.soon("he is still heard", || end.does_not_hear(&bob));
    }
    assert!(carol.hears(&alice) && alice.hears(&carol));
}

#[test]
fn focus_remove_by_a_participant_needs_the_word_of_the_host() {
    let Three { mut alice, mut bob, mut carol, _folder } = Three::meet();
    let id = bob.id_of("Carol");
    bob.command(json!({"command": "remove", "id": id}));
    bob.soon("he removes others", || bob.noticed("Only the host, and moderators"));
    assert_eq!(alice.state_of("Carol"), "connected");
    let moderator = alice.id_of("Bob");
    alice.command(json!({"command": "moderator", "id": moderator, "on": true}));
    // Commands are done in their order: behind this line he is one.
    alice.command(json!({"command": "say", "text": "Bob may remove people", "ref": "named"}));
    alice.cli.expect("accepted", SOON, |event| event["ref"] == "named");
    bob.command(json!({"command": "remove", "id": id}));
    bob.soon("a moderator removes nobody", || bob.noticed("was removed from the conference"));
    assert_eq!(carol.cli.expect("ended", SOON, |_| true)["reason"], "Removed by host");
    assert!(carol.cli.wait(SOON).is_some());
}

#[test]
fn focus_end_all_ends_every_call_and_the_address() {
    let Three { mut alice, mut bob, mut carol, _folder } = Three::meet();
    let (_, conference) = alice.cli.ready();
    assert!(alice.cli.end().expect("the host ends").success());
    for end in [&mut bob, &mut carol] {
        let ended = end.cli.expect("ended", SOON, |_| true);
        assert_eq!(ended["reason"], "The conference has ended");
        assert!(end.cli.wait(SOON).expect("it ends with the conference").success());
    }
    let late = End::start(_folder.path(), "Late", 300.0, &["join", &conference]);
    late.cli.expect("ended", Duration::from_secs(40), |_| true);
}
