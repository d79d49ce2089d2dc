//! The call history: what is in it after the engine has ended and started again.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[allow(dead_code, reason = "the other tests use the rest")]
mod ends {
    pub mod phone;
    pub mod user;
}

use std::path::Path;
use std::time::Duration;

use ends::phone::Phone;
use ends::user::{User, settings};
use engine::ParticipantState::{Connected, Disconnected};
use engine::{CallRecord, Command, Event, RecordKind, Settings};

fn in_folder(name: &str, folder: &Path) -> Settings {
    Settings { data_folder: Some(folder.to_owned()), ..settings(name) }
}

/// The history as a new engine reads it.
fn reopened(folder: &Path) -> Vec<CallRecord> {
    history(&User::with(in_folder("Again", folder), []))
}

#[track_caller]
fn history(user: &User) -> Vec<CallRecord> {
    user.hears("the history", 0, |event| match event {
        Event::History(rows) => Some(rows.clone()),
        _ => None,
    })
}

#[test]
fn a_conference_that_quitting_ends_is_written_with_those_who_were_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let alice = User::with(in_folder("Alice", folder.path()), []);
    let (bob, carol) = (User::start("Bob"), User::start("Carol"));
    let busy = Phone::start(200);
    let conference = alice.hosts(&[&format!("sip:dora@{}", busy.address)]);
    bob.calls(&conference);
    carol.calls(&conference);
    alice.sees(0, "Carol", Connected);
    alice.sees(0, "Bob", Connected);
    // Who left counts, and who comes again counts once; the phone that only rings does not.
    bob.wants(Command::Leave);
    let mark = alice.mark();
    alice.sees(0, "Bob", Disconnected);
    bob.calls(&conference);
    alice.hears("Bob again", mark, |event| match event {
        Event::Participant(bob) => {
            (bob.name.starts_with("Bob") && bob.state == Connected).then_some(())
        }
        _ => None,
    });
    let to = engine::Recipient::Everyone;
    alice.wants(Command::Say { reference: "1".into(), text: "a line".into(), to });
    alice.hears("the line", 0, |event| matches!(event, Event::Line(_)).then_some(()));
    alice.handle.clone().shutdown();

    let rows = reopened(folder.path());
    assert_eq!(rows.len(), 1, "{rows:?}");
    let row = &rows[0];
    assert_eq!((row.kind, row.people, row.messages), (RecordKind::Conference, 2, 1), "{row:?}");
    assert_eq!((&row.uri, row.name.as_str()), (&conference, "Alice's conference"));
    assert_eq!(row.reason, "");
}

#[test]
fn a_conference_joined_counts_its_people_and_keeps_its_subject() {
    let folder = tempfile::tempdir().unwrap();
    let (alice, carol) = (User::start("Alice"), User::start("Carol"));
    let mark = alice.mark();
    alice.wants(Command::Host { subject: "Weekly".into(), invite: Vec::new() });
    let conference = alice.conference(mark);
    carol.calls(&conference);
    let bob = User::with(in_folder("Bob", folder.path()), []);
    bob.calls(&conference);
    bob.sees(0, "Carol", Connected);
    bob.sees(0, "Alice", Connected);
    bob.wants(Command::Leave);
    bob.ends(0);
    bob.handle.clone().shutdown();
    let rows = reopened(folder.path());
    let row = &rows[0];
    assert_eq!((row.kind, row.people, row.name.as_str()), (RecordKind::Conference, 2, "Weekly"));
    assert_eq!((&row.uri, row.reason.as_str()), (&conference, ""));
}

#[test]
fn declined_missed_and_refused_calls_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let alice = User::with(in_folder("Alice", folder.path()), []);
    let (bob, busy) = (User::start("Bob"), User::start("Busy"));
    // One second each: the history is in the order of their beginning.
    let pause = || std::thread::sleep(Duration::from_millis(1100));
    bob.calls(&alice.uri());
    alice.wants(Command::Decline { incoming: alice.rings(0), text: None });
    bob.ends(0);
    pause();
    let (mark, bobs) = (alice.mark(), bob.mark());
    bob.calls(&alice.uri());
    alice.rings(mark);
    bob.wants(Command::Leave);
    bob.ends(bobs);
    pause();
    let mark = alice.mark();
    alice.calls(&busy.uri());
    busy.wants(Command::Decline { incoming: busy.rings(0), text: None });
    alice.ends(mark);
    pause();
    let (mark, bobs) = (alice.mark(), bob.mark());
    bob.calls(&alice.uri());
    let incoming = alice.rings(mark);
    alice.wants(Command::Answer { incoming });
    alice.sees(mark, "Bob", Connected);
    bob.sees(bobs, "alice", Connected);
    alice.wants(Command::Leave);
    alice.ends(mark);
    pause();
    let mark = alice.mark();
    bob.calls(&alice.uri());
    alice.rings(mark);
    alice.handle.clone().shutdown();

    let rows = reopened(folder.path());
    let read: Vec<(RecordKind, &str, &str, u32)> = rows
        .iter()
        .map(|row| (row.kind, row.name.as_str(), row.reason.as_str(), row.people))
        .collect();
    let refused = rows[2].reason.clone();
    assert!(refused.contains("603"), "{refused}");
    assert_eq!(
        read,
        [
            (RecordKind::Missed, "Bob", "", 0),
            (RecordKind::Incoming, "Bob", "", 1),
            (RecordKind::Outgoing, "busy", refused.as_str(), 0),
            (RecordKind::Missed, "Bob", "", 0),
            (RecordKind::Incoming, "Bob", "You declined", 0),
        ]
    );
}

#[test]
fn a_damaged_file_is_set_aside_with_a_notice_and_the_history_begins_anew() {
    let no_database =
        &b"this is no database, although it is longer than the header of one: 0123456789"[..];
    let of_another_program = &include_bytes!("data/other.sqlite")[..];
    for damage in [no_database, of_another_program] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("calls.sqlite");
        std::fs::write(&file, damage).unwrap();
        let alice = User::with(in_folder("Alice", folder.path()), []);
        assert_eq!(history(&alice), []);
        let notice = alice.is_noticed(0, "damaged");
        let kept = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let kept = kept
            .filter(|path| path.to_string_lossy().contains(".damaged-"))
            .find(|path| !path.to_string_lossy().ends_with("-wal"))
            .unwrap();
        assert!(notice.contains(&kept.display().to_string()), "{notice}");
        assert!(std::fs::read(kept).unwrap() == damage, "what was set aside is not what was there");
        alice.hosts(&[]);
        alice.handle.clone().shutdown();
        assert_eq!(reopened(folder.path()).len(), 1);
    }
}

#[cfg(unix)]
#[test]
fn a_folder_that_was_there_keeps_its_rights_and_only_its_owner_reads_the_history() {
    use std::os::unix::fs::PermissionsExt;
    let rights = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let own = tempfile::tempdir().unwrap();
    std::fs::set_permissions(own.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    history(&User::with(in_folder("Alice", own.path()), []));
    assert_eq!(rights(own.path()), 0o755);
    assert_eq!(rights(&own.path().join("calls.sqlite")), 0o600);
    let new = own.path().join("deep").join("new");
    history(&User::with(in_folder("Alice", &new), []));
    assert_eq!(rights(&new), 0o700);
}
