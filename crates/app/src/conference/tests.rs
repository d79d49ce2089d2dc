//! The screen without a window.

use conference::text::SecretKind;

use super::*;

fn person(id: u32, name: &str, state: ParticipantState) -> Participant {
    Participant {
        id: ParticipantId(id),
        entity: format!("sip:{name}@x"),
        name: name.into(),
        is_self: id == 1,
        is_host: id == 1,
        state,
        reason: String::new(),
        muted: false,
        muted_by_host: false,
        is_aside: false,
        volume_db: 0.0,
        chat: engine::ChatAbility::Yes,
        agent: None,
    }
}

fn state() -> State {
    let mut state = State::new(SessionKind::Hosted, "Weekly ops".into(), "sip:conf@x".into());
    for (id, name) in [(1, "Anna"), (2, "Bob"), (3, "Carol")] {
        state.participant(person(id, name, ParticipantState::Connected));
    }
    state
}

fn line(id: u64, text: &str) -> Line {
    Line {
        id: MessageId(id),
        seq: Some(1),
        from: "sip:Bob@x".into(),
        name: "Bob".into(),
        is_own: false,
        to: Recipient::Everyone,
        text: text.into(),
        verified: true,
        expired: false,
        is_history: false,
        at: time::OffsetDateTime::UNIX_EPOCH,
    }
}

fn write(state: &mut State, text: &str) {
    let paste = text_editor::Edit::Paste(std::sync::Arc::new(text.to_owned()));
    state.update(Message::DraftEdited(text_editor::Action::Edit(paste)));
}

/// Presses Send and says what went to the engine.
fn send(state: &mut State) -> (String, String, Recipient) {
    match state.update(Message::SendPressed) {
        Action::Say(Command::Say { reference, text, to }) => (reference, text, to),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_written_is_sent_byte_for_byte() {
    for text in ["a\tb  c\n\n  key", "key\n", "a\r\nb\r\n", "x\n\n", "\n  y"] {
        let mut state = state();
        write(&mut state, text);
        let (_, sent, to) = send(&mut state);
        assert_eq!((sent.as_str(), to), (text, Recipient::Everyone));
        assert!(state.draft_text().is_empty());
    }
}

#[test]
fn a_refused_text_comes_back_with_whom_it_was_for() {
    let mut state = state();
    let bob = Recipient::Participant("sip:Bob@x".into());
    state.update(Message::TargetChosen(bob.clone()));
    write(&mut state, "secret\n");
    let (reference, ..) = send(&mut state);
    state.update(Message::TargetChosen(Recipient::Everyone));
    state.refused(&reference, "Too much at once".into());
    assert_eq!((state.draft_text().as_str(), &state.target), ("secret\n", &bob));
}

#[test]
fn a_refused_text_is_kept_beside_what_is_being_written() {
    let mut state = state();
    write(&mut state, "first");
    let (reference, ..) = send(&mut state);
    write(&mut state, "second");
    state.refused(&reference, "Too much at once".into());
    assert_eq!(state.draft_text(), "second");
    let place = state.entries.len() - 1;
    let Action::Copy(copied) = state.update(Message::UnsentCopied(place)) else { panic!() };
    assert_eq!(copied, "first");
}

#[test]
fn what_was_being_written_at_the_end_can_be_copied_and_is_not_sent() {
    let mut state = state();
    write(&mut state, "half a sent");
    state.end("Anna ended the conference".into());
    assert!(matches!(state.update(Message::SendPressed), Action::None));
    write(&mut state, "more");
    let Action::Copy(copied) = state.update(Message::DraftCopied) else { panic!() };
    assert_eq!(copied, "half a sent");
}

#[test]
fn nothing_moves_under_the_eyes_of_who_reads_further_up() {
    let mut state = state();
    state.update(Message::Scrolled(false));
    let held = state.held_at;
    state.line(line(1, "new"), true);
    state.update(Message::Scrolled(false));
    assert_eq!((state.held_at, state.unread), (held, 1));
    assert!(matches!(state.update(Message::ToEndPressed), Action::ToEnd));
    assert_eq!((state.held_at, state.unread), (None, 0));
}

#[test]
fn lines_count_as_unread_while_the_chat_is_behind_another_tab() {
    let mut state = state();
    state.resize(Size::new(720.0, 480.0));
    state.update(Message::TabPressed(false));
    state.line(line(1, "new"), true);
    assert_eq!(state.unread, 1);
    state.update(Message::TabPressed(true));
    assert_eq!(state.unread, 0);
}

#[test]
fn who_is_here_is_removed_only_when_asked_and_who_is_called_at_once() {
    let mut state = state();
    assert!(matches!(state.update(Message::RemovePressed(ParticipantId(2))), Action::None));
    let confirmed = state.update(Message::RemoveConfirmed(ParticipantId(2)));
    assert!(matches!(confirmed, Action::Send(_)) && !state.is_floating());
    state.participant(person(4, "Dave", ParticipantState::Alerting));
    let stopped = state.update(Message::RemovePressed(ParticipantId(4)));
    assert!(matches!(stopped, Action::Send(_)));
}

#[test]
fn who_left_stays_a_while_and_his_name_for_good() {
    let mut state = state();
    state.participant(person(2, "Bob", ParticipantState::Disconnected));
    state.tick(&Levels::default());
    assert_eq!(state.shown_people(), 2);
    assert_eq!(state.people.len(), 3);
    let long_ago = Instant::now().checked_sub(GONE_STAYS).unwrap();
    state.since.insert(ParticipantId(2), long_ago);
    state.tick(&Levels::default());
    assert_eq!((state.people.len(), state.name_of("sip:Bob@x").as_str()), (2, "Bob"));
}

#[test]
fn a_private_target_that_left_blocks_sending_and_never_becomes_everyone() {
    let mut state = state();
    state.update(Message::TargetChosen(Recipient::Participant("sip:Bob@x".into())));
    write(&mut state, "secret");
    state.participant(person(2, "Bob", ParticipantState::Disconnected));
    assert!(matches!(state.update(Message::SendPressed), Action::None));
    assert_eq!(state.draft_text(), "secret");
}

#[test]
fn comings_in_a_row_are_one_row() {
    let state = state();
    let words: Vec<&str> = state
        .entries
        .iter()
        .map(|entry| match entry {
            Entry::Event { words, .. } => words.as_str(),
            Entry::Line { .. } | Entry::Unsent { .. } => "line",
        })
        .collect();
    assert_eq!(words.len(), 1);
    assert!(words[0].ends_with("Bob and Carol joined"), "{words:?}");
}

#[test]
fn a_host_asks_before_ending_for_all() {
    let mut state = state();
    assert!(matches!(state.update(Message::LeavePressed), Action::None));
    assert!(state.is_floating());
    let Action::Send(commands) = state.update(Message::LeaveConfirmed) else { panic!() };
    assert!(matches!(commands.as_slice(), [Command::Leave]));
}

#[test]
fn a_copy_gives_the_exact_bytes() {
    let mut state = state();
    let text = "ssh-ed25519 AAAA\u{202e} x\r\n";
    state.line(line(7, text), true);
    let copied = state.update(Message::MessageCopied(MessageId(7)));
    let Action::Copy(copied) = copied else { panic!() };
    assert_eq!(copied, text);
    assert!(state.toast.as_ref().unwrap().0.ends_with("1 of them hidden"));
}

#[test]
fn what_looks_secret_is_asked_about_before_it_leaves() {
    let mut state = state();
    let key = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n-----END OPENSSH PRIVATE KEY-----";
    write(&mut state, key);
    assert!(matches!(state.update(Message::SendPressed), Action::None));
    assert_eq!(state.floating, Some(Floating::Secret { kind: SecretKind::PrivateKey }));
    state.update(Message::FloatingClosed);
    assert_eq!(state.draft_text(), key);
    state.update(Message::SendPressed);
    let Action::Say(Command::Say { text, .. }) = state.update(Message::SecretConfirmed) else {
        panic!("not sent")
    };
    assert_eq!((text.as_str(), &state.floating), (key, &None));
}

#[test]
fn pieces_of_a_text_are_copied_asked_about_or_offered_to_be_called() {
    let mut state = state();
    let copied = state.update(Message::LinkPressed(Press::Copy("192.0.2.7".into())));
    assert!(matches!(copied, Action::Copy(text) if text == "192.0.2.7"));
    state.update(Message::LinkPressed(Press::Call("sip:eve@x.example".into())));
    assert_eq!(state.floating, Some(Floating::Invite { typed: "sip:eve@x.example".into() }));
    state.update(Message::LinkPressed(Press::Link("https://x.example".into())));
    assert_eq!(state.floating, Some(Floating::Link { url: "https://x.example".into() }));
}
