//! A user: an engine on the loopback interface, and everything it told.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use engine::{
    AudioKind, ChatRate, Command, Event, Handle, IncomingId, ParticipantId, ParticipantState,
    SessionKind, Settings,
};

/// Longer than anything here takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(8);

/// One user.
pub struct User {
    /// The way to the engine.
    pub handle: Handle,
    told: Arc<Mutex<Vec<Event>>>,
}

/// Settings of somebody who is silent and has a free port.
pub fn settings(name: &str) -> Settings {
    Settings {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        network: engine::DriverSettings::default(),
        accounts: Vec::new(),
        fall_back_to_free_port: false,
        user: engine::user_of_name(name),
        name: name.to_owned(),
        conference_user: None,
        audio: AudioKind::Silence,
        record: None,
        chat_rate: ChatRate::Unlimited,
        data_folder: None,
        retention: engine::Retention::default(),
        unattended: false,
    }
}

impl User {
    /// Somebody with the settings of [`settings`].
    pub fn start(name: &str) -> Self {
        Self::with(settings(name), [])
    }

    /// Somebody whose first commands wait already when his engine comes up.
    pub fn with<const N: usize>(settings: Settings, first: [Command; N]) -> Self {
        let (handle, mut events) = engine::start(settings);
        for command in first {
            handle.try_send(command).unwrap();
        }
        let told = Arc::<Mutex<Vec<Event>>>::default();
        let keep = Arc::clone(&told);
        thread::spawn(move || {
            while let Some(event) = events.recv_blocking() {
                keep.lock().unwrap().push(event);
            }
        });
        Self { handle, told }
    }

    /// Wants something.
    pub fn wants(&self, command: Command) {
        self.handle.try_send(command).unwrap();
    }

    /// Everything told so far.
    pub fn told(&self) -> Vec<Event> {
        self.told.lock().unwrap().clone()
    }

    /// How much was told so far: later things stand behind it.
    pub fn mark(&self) -> usize {
        self.told.lock().unwrap().len()
    }

    /// Waits for something told after the mark.
    #[track_caller]
    pub fn hears<T>(&self, what: &str, mark: usize, so: impl Fn(&Event) -> Option<T>) -> T {
        let mut found = None;
        within(PATIENCE, || {
            found = self.told.lock().unwrap().iter().skip(mark).find_map(&so);
            found.is_some()
        });
        found.unwrap_or_else(|| panic!("nobody told: {what}\n{:#?}", self.told()))
    }

    /// Nothing of the kind is told in half a second.
    #[track_caller]
    pub fn hears_nothing<T>(&self, what: &str, mark: usize, so: impl Fn(&Event) -> Option<T>) {
        thread::sleep(Duration::from_millis(500));
        let told = self.told();
        let found = told.iter().skip(mark).any(|event| so(event).is_some());
        assert!(!found, "told: {what}\n{told:#?}");
    }

    /// His own address.
    #[track_caller]
    pub fn uri(&self) -> String {
        self.hears("ready", 0, |event| match event {
            Event::Ready { uri, .. } => Some(uri.clone()),
            _ => None,
        })
    }

    /// The address of the conference that he hosts or joined after the mark.
    #[track_caller]
    pub fn conference(&self, mark: usize) -> String {
        self.hears("a conference", mark, |event| match event {
            Event::Session {
                kind: SessionKind::Hosted | SessionKind::Joined, conference, ..
            } => Some(conference.clone()),
            _ => None,
        })
    }

    /// Hosts a conference with these; gives its address.
    #[track_caller]
    pub fn hosts(&self, invite: &[&str]) -> String {
        let mark = self.mark();
        let invite = invite.iter().map(|uri| (*uri).to_owned()).collect();
        self.wants(Command::Host { subject: String::new(), invite });
        self.conference(mark)
    }

    /// Calls somebody.
    pub fn calls(&self, uri: &str) {
        self.wants(Command::Call { uri: uri.to_owned() });
    }

    /// Waits until it rings here.
    #[track_caller]
    pub fn rings(&self, mark: usize) -> IncomingId {
        self.hears("a call that rings", mark, |event| match event {
            Event::Incoming { incoming, .. } => Some(*incoming),
            _ => None,
        })
    }

    /// Waits until a call rings no more; gives the reason and whether it was missed.
    #[track_caller]
    pub fn rings_no_more(&self, incoming: IncomingId) -> (String, bool) {
        self.hears("the end of ringing", 0, |event| match event {
            Event::IncomingGone { incoming: gone, reason, missed } if *gone == incoming => {
                Some((reason.clone(), *missed))
            }
            _ => None,
        })
    }

    /// Waits until somebody of that name has that state.
    #[track_caller]
    pub fn sees(&self, mark: usize, name: &str, state: ParticipantState) -> ParticipantId {
        self.hears(&format!("{name} {state:?}"), mark, |event| match event {
            Event::Participant(shown) if shown.name == name && shown.state == state => {
                Some(shown.id)
            }
            _ => None,
        })
    }

    /// Waits until the session is over; gives the reason.
    #[track_caller]
    pub fn ends(&self, mark: usize) -> String {
        self.hears("the end", mark, ended)
    }

    /// Waits for a notice with these words in it.
    #[track_caller]
    pub fn is_noticed(&self, mark: usize, words: &str) -> String {
        self.hears(&format!("a notice with {words:?}"), mark, |event| match event {
            Event::Notice { text } if text.contains(words) => Some(text.clone()),
            _ => None,
        })
    }
}

impl Drop for User {
    fn drop(&mut self) {
        self.handle.clone().shutdown();
    }
}

/// The reason of an end.
pub fn ended(event: &Event) -> Option<String> {
    match event {
        Event::Ended { reason } => Some(reason.clone()),
        _ => None,
    }
}

/// Looks every 10 ms whether something is so, at most `limit`.
pub fn within(limit: Duration, mut so: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if so() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
}
