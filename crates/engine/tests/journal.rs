//! The journal: what is in it after the engine has ended and started again, what is found, exported, erased and mended.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[allow(dead_code, reason = "the other tests use the rest")]
mod ends {
    pub mod phone;
    pub mod user;
}

use std::path::Path;
use std::time::{Duration, Instant};

use ends::user::{User, settings};
use engine::ParticipantState::Connected;
use engine::{
    Archive, Command, Contact, Event, Format, Private, Recipient, Retention, Settings, Transcript,
    export,
};

fn in_folder(name: &str, folder: &Path, retention: Retention) -> Settings {
    Settings { data_folder: Some(folder.to_owned()), retention, ..settings(name) }
}

fn says(user: &User, reference: &str, text: &str, to: Recipient) {
    let mark = user.mark();
    user.wants(Command::Say { reference: reference.into(), text: text.into(), to });
    user.hears("that it is accepted", mark, |event| match event {
        Event::Accepted { reference: told, .. } => (told == reference).then_some(()),
        _ => None,
    });
}

/// Alice hosts, Bob is in, three lines are said; one of them only to Bob, one by him.
fn conference(folder: &Path, retention: Retention) -> (User, User) {
    let alice = User::with(in_folder("Alice", folder, retention), []);
    let mark = alice.mark();
    alice.wants(Command::Host { subject: "Weekly <ops>".into(), invite: Vec::new() });
    let conference = alice.conference(mark);
    let bob = User::start("Bob");
    bob.calls(&conference);
    alice.sees(0, "Bob", Connected);
    says(&alice, "1", "two\r\n  lines & https://example.org/x\n", Recipient::Everyone);
    let bobs = alice.hears("Bob", 0, |event| match event {
        Event::Participant(person) => (!person.is_self).then(|| person.entity.clone()),
        _ => None,
    });
    says(&alice, "2", "only you", Recipient::Participant(bobs));
    bob.wants(Command::Say {
        reference: "b".into(),
        text: "GrüSSe from 192.0.2.7".into(),
        to: Recipient::Everyone,
    });
    alice.hears("Bob's line", 0, |event| match event {
        Event::Line(line) => (!line.is_own).then_some(()),
        _ => None,
    });
    (alice, bob)
}

fn only(folder: &Path) -> Transcript {
    let archive = Archive::open(folder).unwrap();
    let all = archive.transcripts().unwrap();
    assert_eq!(all.len(), 1, "{all:?}");
    archive.transcript(all[0].id).unwrap().unwrap()
}

#[test]
fn what_was_told_is_there_while_the_conference_runs_and_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let (alice, _bob) = conference(folder.path(), Retention::Forever);
    let running = only(folder.path());
    assert_eq!((running.info.ended, running.lines.len()), (None, 3), "{running:?}");
    alice.wants(Command::Leave);
    alice.hears("the end", 0, |event| matches!(event, Event::Ended { .. }).then_some(()));
    alice.handle.clone().shutdown();
    let after = only(folder.path());
    assert_eq!(after.info.subject, "Weekly <ops>");
    assert!(after.info.is_kept && after.info.ended.is_some());
    let texts: Vec<&str> = after.lines.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(
        texts,
        ["two\r\n  lines & https://example.org/x\n", "only you", "GrüSSe from 192.0.2.7"]
    );
    let own = &after.lines[0];
    assert_eq!((own.reference.as_deref(), own.seq, own.is_own), (Some("1"), Some(1), true));
    assert_eq!(own.deliveries.len(), 1, "{own:?}");
    assert_eq!(own.deliveries[0].state, "accepted");
    assert_eq!(after.people.len(), 2, "{:?}", after.people);
    assert!(after.people.iter().all(|person| person.joined.is_some() && person.gone.is_some()));
}

#[test]
fn an_export_changes_no_byte_of_a_text_and_leaves_private_lines_out_unless_asked() {
    let folder = tempfile::tempdir().unwrap();
    let (alice, _bob) = conference(folder.path(), Retention::Forever);
    alice.handle.clone().shutdown();
    let transcript = only(folder.path());
    let data: serde_json::Value =
        serde_json::from_str(&export(&transcript, Format::Json, Private::Included)).unwrap();
    let bodies: Vec<&str> = data["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["body"].as_str().unwrap())
        .collect();
    let texts: Vec<&str> = transcript.lines.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(bodies, texts);
    assert_eq!(data["messages"][0]["parts"][0]["kind"], "link");
    assert_eq!(data["messages"][0]["delivery"][0]["state"], "accepted");
    assert_eq!(data["conference"]["subject"], "Weekly <ops>");
    for format in [Format::Html, Format::Json, Format::Text] {
        let public = export(&transcript, format, Private::LeftOut);
        assert!(!public.contains("only you"), "{public}");
        assert!(public.contains("GrüSSe from 192.0.2.7"), "{public}");
        assert!(export(&transcript, format, Private::Included).contains("only you"));
    }
    let page = export(&transcript, Format::Html, Private::LeftOut);
    assert!(page.contains("<h1>Weekly &lt;ops&gt;</h1>"), "{page}");
    assert!(
        page.contains("<pre>\ntwo&#13;\n  lines &amp; https://example.org/x\n</pre>"),
        "{page}"
    );
    let text = export(&transcript, Format::Text, Private::LeftOut);
    assert!(
        text.contains(" Alice -> all ---\ntwo\r\n  lines & https://example.org/x\n\n"),
        "{text}"
    );
}

#[test]
fn a_search_finds_words_authors_and_what_is_recognised() {
    let folder = tempfile::tempdir().unwrap();
    let (alice, _bob) = conference(folder.path(), Retention::Forever);
    alice.handle.clone().shutdown();
    let archive = Archive::open(folder.path()).unwrap();
    let found = |wanted: &str| -> Vec<String> {
        archive.search(wanted).unwrap().into_iter().map(|found| found.line.text).collect()
    };
    assert_eq!(found("grüsse FROM"), ["GrüSSe from 192.0.2.7"]);
    assert_eq!(found("from:alice you"), ["only you"]);
    assert_eq!(found("has:ip"), ["GrüSSe from 192.0.2.7"]);
    assert_eq!(found("has:link").len(), 1);
    assert!(found("has:key").is_empty() && found("from:alice has:ip").is_empty());
    assert_eq!(found("").len(), 3);
}

#[test]
fn texts_of_a_session_go_with_the_program_unless_they_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (alice, _bob) = conference(folder.path(), Retention::Session);
    alice.wants(Command::Leave);
    alice.hears("the end", 0, |event| matches!(event, Event::Ended { .. }).then_some(()));
    // The end screen still shows and exports them.
    assert_eq!(only(folder.path()).lines.len(), 3);
    alice.handle.clone().shutdown();
    assert_eq!(Archive::open(folder.path()).unwrap().transcripts().unwrap(), []);
    assert_eq!(Archive::open(folder.path()).unwrap().search("").unwrap(), []);
    // The list of calls stays.
    let rows = User::with(in_folder("Again", folder.path(), Retention::Session), []);
    let rows = rows.hears("the history", 0, |event| match event {
        Event::History(rows) => Some(rows.len()),
        _ => None,
    });
    assert_eq!(rows, 1);

    let kept = tempfile::tempdir().unwrap();
    let (alice, _bob) = conference(kept.path(), Retention::Session);
    alice.wants(Command::KeepTranscript);
    let end = Instant::now() + Duration::from_secs(8);
    while !only(kept.path()).info.is_kept {
        assert!(Instant::now() < end, "it is not kept");
        std::thread::sleep(Duration::from_millis(10));
    }
    alice.handle.clone().shutdown();
    assert_eq!(only(kept.path()).lines.len(), 3);
}

#[test]
fn texts_that_are_never_kept_are_never_written() {
    let folder = tempfile::tempdir().unwrap();
    let (alice, _bob) = conference(folder.path(), Retention::Never);
    assert_eq!(Archive::open(folder.path()).unwrap().search("").unwrap(), []);
    alice.handle.clone().shutdown();
    let mut bytes = Vec::new();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        bytes.extend(std::fs::read(file.unwrap().path()).unwrap());
    }
    assert!(!String::from_utf8_lossy(&bytes).contains("only you"));
}

#[test]
fn a_damaged_journal_is_set_aside_with_a_notice_and_the_calls_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let (alice, _bob) = conference(folder.path(), Retention::Forever);
    alice.handle.clone().shutdown();
    let file = folder.path().join("calls.sqlite");
    let mut bytes = std::fs::read(&file).unwrap();
    // The head stays as it is, so that only reading it through shows the damage.
    bytes[4096..].iter_mut().for_each(|byte| *byte = 0x5a);
    std::fs::write(&file, bytes).unwrap();
    let (alice, _bob) = conference(folder.path(), Retention::Forever);
    let aside = alice.hears("the notice", 0, |event| match event {
        Event::Notice { text } => text.contains("is kept as").then(|| text.clone()),
        _ => None,
    });
    assert!(aside.contains("calls.sqlite.damaged-"), "{aside}");
    alice.handle.clone().shutdown();
    assert_eq!(only(folder.path()).lines.len(), 3);
}

#[test]
fn contacts_are_saved_renamed_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let alice = User::with(in_folder("Alice", folder.path(), Retention::Session), []);
    alice.hears("the history", 0, |event| matches!(event, Event::History(_)).then_some(()));
    let archive = Archive::open(folder.path()).unwrap();
    let contact = |uri: &str, name: &str| Contact { uri: uri.into(), name: name.into() };
    for one in [contact("sip:b@x", "Bob"), contact("sip:a@x", "Al"), contact("sip:b@x", "Rob")] {
        archive.save_contact(&one).unwrap();
    }
    alice.handle.clone().shutdown();
    assert_eq!(archive.contacts().unwrap(), [contact("sip:a@x", "Al"), contact("sip:b@x", "Rob")]);
    assert!(archive.delete_contact("sip:a@x").unwrap());
    assert!(!archive.delete_contact("sip:a@x").unwrap());
    assert_eq!(archive.contacts().unwrap().len(), 1);
}
