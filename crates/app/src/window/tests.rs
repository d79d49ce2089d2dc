//! The window's state, without a display.

use engine::{
    IncomingId, Line, MessageId, Participant, ParticipantId, ParticipantState, Recipient,
};

use super::*;

fn window() -> Window {
    let options = Options {
        name: "Anna".into(),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        audio: AudioKind::Silence,
        host: None,
        conference: None,
        invite: Vec::new(),
        address: None,
        data_folder: None,
        theme: Wanted::Light,
        json: false,
    };
    Window::new(options, None).0
}

fn tell(window: &mut Window, event: Event) {
    let _task = window.update(Message::Engine(event));
}

fn session(window: &mut Window, kind: SessionKind, others: u32) {
    let subject = "Weekly ops".to_owned();
    tell(window, Event::Session { kind, subject, conference: "sip:conf@x".into() });
    for id in 1..=others {
        let participant = Participant {
            id: ParticipantId(id),
            entity: format!("sip:p{id}@x"),
            name: format!("P{id}"),
            is_self: false,
            is_host: false,
            state: ParticipantState::Connected,
            reason: String::new(),
            muted: false,
            muted_by_host: false,
            is_aside: false,
            volume_db: 0.0,
            chat: engine::ChatAbility::Yes,
            agent: None,
        };
        tell(window, Event::Participant(participant));
    }
}

fn line(text: &str) -> Line {
    Line {
        id: MessageId(9),
        seq: None,
        from: "sip:stranger@192.0.2.9:5060".into(),
        name: "Stranger".into(),
        is_own: false,
        to: Recipient::Me,
        text: text.into(),
        verified: false,
        expired: false,
        is_history: false,
        at: time::OffsetDateTime::UNIX_EPOCH,
    }
}

fn close_request(window: &mut Window) {
    let _task = window.update(Message::Window(window::Event::CloseRequested));
}

#[test]
fn closing_the_window_hangs_up_and_asks_where_others_would_lose_something() {
    for kind in [SessionKind::Hosted, SessionKind::Joined, SessionKind::Call] {
        let mut window = window();
        session(&mut window, kind, 2);
        close_request(&mut window);
        assert!(window.question.is_some() && !window.closing, "{kind:?}");
        let _task = window.update(Message::Question(question::Message::Confirmed));
        assert!(window.closing, "it quits, not only leaves ({kind:?})");
    }
    let mut quiet = window();
    close_request(&mut quiet);
    assert!(quiet.closing);
}

#[test]
fn quitting_by_key_asks_the_same_and_escape_stays() {
    let mut window = window();
    session(&mut window, SessionKind::Hosted, 1);
    let _task = window.update(Message::Key(Shortcut::Quit));
    assert!(window.question.is_some());
    let _task = window.update(Message::Key(Shortcut::Close { captured: true }));
    assert!(window.question.is_none() && !window.closing);
}

#[test]
fn quitting_never_loses_a_text_without_asking() {
    let mut window = window();
    session(&mut window, SessionKind::Hosted, 0);
    window.sessions.running_mut().unwrap().screen.insert("half a thought");
    tell(&mut window, Event::Ended { reason: "You left".into() });
    let _task = window.update(Message::Key(Shortcut::Quit));
    assert!(window.question.is_some() && !window.closing);
    let _task = window.update(Message::Question(question::Message::Confirmed));
    assert!(window.closing);
}

#[test]
fn dialling_from_home_asks_while_others_are_in_the_session() {
    let mut window = window();
    session(&mut window, SessionKind::Hosted, 3);
    let _task = window.update(Message::Key(Shortcut::CallBar));
    let typed = "sip:bob@127.0.0.1:9".to_owned();
    let _task = window.update(Message::Home(home::Message::InputEdited(typed.clone())));
    let _task = window.update(Message::Home(home::Message::InputSubmitted));
    assert_eq!(
        window.question.as_ref().map(|question| &question.intent),
        Some(&Intent::Dial(vec![typed.clone()]))
    );
    let _task = window.update(Message::Question(question::Message::Stayed));
    assert_eq!((window.home.input.as_str(), window.sessions.shown().is_some()), (&*typed, false));
    // Added instead: the conference goes on and is shown again.
    let _task = window.update(Message::Home(home::Message::InputSubmitted));
    let _task = window.update(Message::Question(question::Message::Added));
    assert_eq!((window.home.input.as_str(), window.sessions.shown().is_some()), ("", true));
}

#[test]
fn answering_by_key_asks_while_others_are_in_the_session_until_the_caller_gives_up() {
    let mut window = window();
    session(&mut window, SessionKind::Joined, 1);
    let incoming = IncomingId(4);
    tell(&mut window, Event::Incoming { incoming, name: "Bob".into(), uri: "sip:b@x".into() });
    let _task = window.update(Message::Key(Shortcut::Answer));
    assert!(window.question.is_none(), "the card has only just come");
    std::thread::sleep(Duration::from_millis(600));
    let _task = window.update(Message::Key(Shortcut::Answer));
    assert!(window.question.is_some());
    tell(&mut window, Event::IncomingGone { incoming, reason: String::new(), missed: true });
    assert!(window.question.is_none() && window.incoming.first().is_none());
}

#[test]
fn a_text_from_outside_goes_to_the_list_and_never_into_a_conference() {
    let mut window = window();
    tell(&mut window, Event::PersonalText(line(&"x\n".repeat(200))));
    session(&mut window, SessionKind::Hosted, 1);
    tell(&mut window, Event::PersonalText(line("to you alone")));
    assert_eq!(window.sessions.running().unwrap().lines, 0);
    let _task = window.update(Message::Home(home::Message::TabPressed(true)));
    assert!(window.home.shows_texts());
}

#[test]
fn an_ended_conference_stays_reachable_until_it_is_closed() {
    let mut window = window();
    session(&mut window, SessionKind::Hosted, 1);
    tell(&mut window, Event::Line(line("something said")));
    tell(&mut window, Event::Ended { reason: "You left".into() });
    let _task = window.update(Message::Key(Shortcut::CallBar));
    let id = window.sessions.ended().next().map(|session| session.id).unwrap();
    session(&mut window, SessionKind::Call, 0);
    let _task = window.update(Message::EndedOpened(id));
    assert_eq!(window.sessions.shown().map(|session| session.lines), Some(1));
    let _task = window.update(Message::Conference(conference::Message::BackPressed));
    assert!(window.sessions.ended().next().is_some(), "back is not close");
    let _task = window.update(Message::EndedClosed(id));
    assert!(window.sessions.ended().next().is_none() && window.sessions.running().is_some());
}

#[test]
fn nothing_ticks_without_a_session_or_a_ringing_call() {
    let mut window = window();
    assert_eq!(window.tick(), None);
    session(&mut window, SessionKind::Call, 0);
    assert_eq!(window.tick(), Some(TICK));
    tell(&mut window, Event::Ended { reason: "Busy".into() });
    assert_eq!(window.tick(), None);
    let incoming = IncomingId(1);
    tell(&mut window, Event::Incoming { incoming, name: "Bob".into(), uri: "sip:b@x".into() });
    assert_eq!(window.tick(), Some(SLOW_TICK));
}

#[test]
fn what_is_wrong_with_the_sound_is_told_where_the_session_is_looked_at() {
    let mut window = window();
    let broken = || Err("It was unplugged.".to_owned());
    tell(&mut window, Event::Audio { microphone: broken(), speaker: broken() });
    let words = "No sound from microphone and speaker: It was unplugged.";
    assert_eq!(window.no_sound.as_deref(), Some(words));
    session(&mut window, SessionKind::Hosted, 0);
    assert_eq!(window.no_sound, None, "the session shows it");
}

#[test]
fn a_new_size_at_home_leaves_what_was_not_read_unread() {
    let mut window = window();
    session(&mut window, SessionKind::Hosted, 1);
    let _task = window.update(Message::Key(Shortcut::CallBar));
    tell(&mut window, Event::Line(line("not seen yet")));
    let resized = window::Event::Resized(Size::new(720.0, 480.0));
    let _task = window.update(Message::Window(resized));
    assert_eq!(window.sessions.running().map(|running| running.screen.unread), Some(1));
}
