//! Sound files that cannot be used, and whose levels are told.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[allow(dead_code, reason = "the other tests use the rest")]
mod ends {
    pub mod user;
}

use std::time::Duration;

use ends::user::{User, settings, within};
use engine::ParticipantState::Connected;
use engine::{AudioKind, ParticipantId};

fn level_of(user: &User, id: ParticipantId) -> Option<f32> {
    let levels = user.handle.levels().levels_dbov;
    levels.iter().find(|(of, _)| *of == id).map(|(_, dbov)| *dbov)
}

#[test]
fn the_others_hear_each_other_though_the_host_can_neither_play_nor_record() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("not there");
    let mut unusable = settings("Alice");
    unusable.audio = AudioKind::File(nowhere.join("in.wav"));
    unusable.record = Some(nowhere.join("out.wav"));
    assert!(engine::check_sound(&unusable).unwrap_err().contains("in.wav"));
    let alice = User::with(unusable, []);
    let conference = alice.hosts(&[]);
    alice.is_noticed(0, "in.wav");
    alice.is_noticed(0, "out.wav");

    let mut loud = settings("Bob");
    loud.audio = AudioKind::Tone { hz: 440.0 };
    let bob = User::with(loud, []);
    let mut listening = settings("Carol");
    let record = folder.path().join("carol.wav");
    listening.record = Some(record.clone());
    assert!(engine::check_sound(&listening).is_ok());
    let carol = User::with(listening, []);
    bob.calls(&conference);
    carol.calls(&conference);
    let bobs = alice.sees(0, "Bob", Connected);
    alice.sees(0, "Carol", Connected);
    let heard = || level_of(&alice, bobs).is_some_and(|dbov| (dbov + 20.0).abs() < 3.0);
    assert!(within(Duration::from_secs(5), heard), "{:?}", alice.handle.levels());
    let is_loud = || {
        let bytes = std::fs::read(&record).unwrap_or_default();
        bytes.chunks_exact(2).skip(50).any(|two| i16::from_le_bytes([two[0], two[1]]) > 1000)
    };
    assert!(within(Duration::from_secs(5), is_loud), "Carol does not hear Bob");
}

#[test]
fn in_somebody_elses_conference_no_single_one_is_shown_as_loud_as_all_together() {
    let mut loud = settings("Alice");
    loud.audio = AudioKind::Tone { hz: 440.0 };
    let (alice, bob) = (User::with(loud, []), User::start("Bob"));
    bob.calls(&alice.hosts(&[]));
    bob.conference(0);
    bob.sees(0, "Alice", Connected);
    // A call between two, by contrast, shows how loud the other is.
    std::thread::sleep(Duration::from_secs(1));
    let levels = bob.handle.levels().levels_dbov;
    assert_eq!(levels.len(), 1, "{levels:?}");
    assert!(levels[0].1 < -60.0, "his own: {levels:?}");

    let carol = User::start("Carol");
    alice.calls(&carol.uri());
    carol.wants(engine::Command::Answer { incoming: carol.rings(0) });
    let alices = carol.sees(0, "Alice", Connected);
    let heard = || level_of(&carol, alices).is_some_and(|dbov| (dbov + 20.0).abs() < 3.0);
    assert!(within(Duration::from_secs(5), heard), "{:?}", carol.handle.levels());
}
