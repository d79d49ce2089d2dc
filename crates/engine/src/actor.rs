//! The engine's loop: it routes between sockets, endpoint, session, media and the user. `actor/commands` does what the
//! user wants, `actor/events` what happened on the wire, `actor/effects` what the session wants, `actor/lifetime` what
//! begins and ends with a session and with the engine.

mod access;
mod commands;
mod effects;
mod events;
mod lifetime;
mod look_up;
mod moderation;
mod network;
mod registration;
mod transfer;
mod upgrade;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use media::io::{MediaEvent, Session as Sound};
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use sip_core::{
    CallKey, Endpoint, Flow, Input, NameAddr, Output, PendingMessage, PendingRefer,
    PendingSubscribe, Request, RequestId, Transport, Uri,
};
use sip_net::{Driver, Received, StopWatch};
use tokio::sync::{Notify, mpsc};

use crate::calls::{Calls, DigitWay};
use crate::journal::Journal;
use crate::session::Session;
use crate::trace::Recorder;
use crate::{
    CallRecord, Command, Event, IncomingId, Levels, ReferId, Settings, Trace, accounts, notice,
};

/// Levels are told at most this often.
const LEVEL_TICK: Duration = Duration::from_millis(50);

/// So often it is looked whether time stood still.
const PULSE: Duration = Duration::from_secs(1);

/// A call that rings here.
struct Ringing {
    call: CallKey,
    /// Who calls; the address with its port.
    peer: NameAddr,
    /// The INVITE.
    invite: Request,
    name: String,
    uri: String,
    since: i64,
    /// The way its INVITE came by, and what its Contact says: where a text in reply goes.
    flow: Flow,
    contact: Option<Uri>,
}

/// What will be written into the history when the session ends.
struct Story {
    record: CallRecord,
    connected: Option<Instant>,
    /// Entities of those who were connected at some time, besides ourselves.
    people: BTreeSet<String>,
}

struct Actor {
    settings: Settings,
    accounts: registration::Accounts,
    /// Our own address without any account.
    direct: Uri,
    endpoint: Endpoint,
    driver: Driver,
    rng: StdRng,
    levels: Arc<Mutex<Levels>>,
    calls: Calls,
    session: Option<Session>,
    /// Counts sessions and calls about to be made; see [`look_up::LookUp`].
    generation: u64,
    /// A call of the user's waits for the address of its host.
    looks_up: bool,
    /// What the endpoint told and nobody has looked at yet.
    waiting: VecDeque<sip_core::Event>,
    sound: Option<Sound>,
    muted: bool,
    /// Whether the hosted conference wants a password.
    is_guarded: bool,
    story: Option<Story>,
    ringing: BTreeMap<IncomingId, Ringing>,
    next_incoming: u32,
    next_line: u64,
    messages: BTreeMap<RequestId, PendingMessage>,
    /// Texts in reply to calls that were declined, by whom they are for.
    replies: BTreeMap<RequestId, String>,
    subscribes: BTreeMap<RequestId, PendingSubscribe>,
    refers: BTreeMap<RequestId, PendingRefer>,
    /// What participants want of the conference, as the user knows it.
    wishes: BTreeMap<ReferId, RequestId>,
    /// The wish of the other that the user has to decide on.
    referred: Option<(ReferId, transfer::Referred)>,
    /// Ours, by their requests.
    transfers: BTreeMap<RequestId, transfer::Transfer>,
    look_ups: BTreeMap<RequestId, look_up::LookUp>,
    journal: Journal,
    own: NameAddr,
    cname: String,
    recorder: Option<Recorder>,
    watch: StopWatch,
    /// Our re-INVITEs from another address.
    moves: BTreeMap<RequestId, CallKey>,
    /// And those that the user wanted.
    reoffers: BTreeMap<RequestId, CallKey>,
}

/// What the loop was woken by.
enum Woke {
    Command(Command),
    Pulse,
    Received(Received),
    Tick,
    Timeout,
}

/// Runs until the last handle is gone or `quit` is notified.
pub(crate) async fn run(
    settings: Settings,
    trace: Option<Trace>,
    mut commands: mpsc::Receiver<Command>,
    events: mpsc::UnboundedSender<Event>,
    levels: Arc<Mutex<Levels>>,
    quit: Arc<Notify>,
) {
    let usable = accounts::conference_user(&settings).and_then(|()| registration::check(&settings));
    let bound = match usable {
        Ok(()) => network::bind(&settings).await.map_err(|error| notice::cannot_listen(&error)),
        Err(text) => Err(text),
    };
    let (driver, hint) = match bound {
        Ok(bound) => bound,
        Err(text) => {
            let _ = events.send(Event::Fatal { text });
            return;
        }
    };
    let mut actor = Actor::new(settings, driver, events, levels);
    if let Some(trace) = trace {
        actor.begin_trace(&trace);
    }
    actor.tell(Event::Ready { uri: actor.own.uri.to_string(), hint });
    // The accounts are registered.
    actor.pump();
    let mut tick = tokio::time::interval(LEVEL_TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut pulse = tokio::time::interval(PULSE);
    pulse.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let wake = actor.next_wake();
        let woke = tokio::select! {
            received = actor.driver.receive() => received.map(Woke::Received),
            command = commands.recv() => command.map(Woke::Command),
            () = sleep_until(wake) => Some(Woke::Timeout),
            _ = tick.tick(), if actor.sound.is_some() => Some(Woke::Tick),
            _ = pulse.tick() => Some(Woke::Pulse),
            () = quit.notified() => None,
        };
        // Before anything is taken for too late that only was not looked at.
        actor.check_clock();
        match woke {
            Some(Woke::Command(command)) => actor.command(command),
            Some(Woke::Pulse) => {}
            Some(Woke::Received(received)) => actor.receive(received),
            Some(Woke::Tick) => actor.tick(),
            Some(Woke::Timeout) => actor.timeout(),
            None => break,
        }
        actor.pump();
    }
    actor.farewell().await;
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

impl Actor {
    fn new(
        settings: Settings,
        driver: Driver,
        events: mpsc::UnboundedSender<Event>,
        levels: Arc<Mutex<Levels>>,
    ) -> Self {
        let mut rng = StdRng::from_os_rng();
        let config = sip_core::Config { chat: true, ..sip_core::Config::default() };
        let mut endpoint = Endpoint::new(config, Box::new(StdRng::from_rng(&mut rng)));
        endpoint.serve(&settings.user, false);
        let address = accounts::reachable(driver.address());
        let accounts = registration::start(&settings, &mut endpoint);
        let direct = Uri::from_address(Some(&settings.user), address);
        let own = accounts.address.clone().unwrap_or_else(|| direct.clone());
        let own = NameAddr::new(Some(&settings.name), own);
        let journal = Journal::open(settings.data_folder.clone(), settings.retention, events);
        let cname = format!("{:016x}", rng.next_u64());
        Self {
            settings,
            accounts,
            direct,
            endpoint,
            driver,
            rng,
            levels,
            calls: Calls::default(),
            session: None,
            generation: 0,
            looks_up: false,
            waiting: VecDeque::new(),
            sound: None,
            muted: false,
            is_guarded: false,
            story: None,
            ringing: BTreeMap::new(),
            next_incoming: 0,
            next_line: 1 << 40,
            messages: BTreeMap::new(),
            replies: BTreeMap::new(),
            subscribes: BTreeMap::new(),
            refers: BTreeMap::new(),
            wishes: BTreeMap::new(),
            referred: None,
            transfers: BTreeMap::new(),
            look_ups: BTreeMap::new(),
            journal,
            own,
            cname,
            recorder: None,
            watch: StopWatch::new(Instant::now(), SystemTime::now()),
            moves: BTreeMap::new(),
            reoffers: BTreeMap::new(),
        }
    }

    fn tell(&self, event: Event) {
        self.journal.tell(event);
    }

    fn notice(&self, text: String) {
        self.tell(Event::Notice { text });
    }

    fn next_wake(&self) -> Option<Instant> {
        let endpoint = self.endpoint.poll_timeout().map(|(at, _)| at);
        let session =
            self.session.as_ref().and_then(|session| session.poll_timeout()).map(|(at, _)| at);
        endpoint.into_iter().chain(session).min()
    }

    fn receive(&mut self, received: Received) {
        self.feed(received);
        // What came together is handled together; the user's commands get their turn after it.
        for _ in 0..64 {
            self.pump();
            let Some(received) = self.driver.try_receive() else { break };
            self.feed(received);
        }
    }

    fn feed(&mut self, received: Received) {
        let now = Instant::now();
        let input = match &received {
            Received::AddressesChanged { gone } => return self.addresses_changed(gone),
            Received::Connection { connection, change } => {
                Input::Connection { now, connection: *connection, change: change.clone() }
            }
            Received::Datagram { source, destination, contents } => Input::Datagram {
                now,
                transport: Transport::Udp,
                source: *source,
                destination: *destination,
                contents,
            },
            Received::Stream { connection, contents } => {
                Input::Stream { now, connection: *connection, contents }
            }
            Received::Resolved { query, answer } => {
                Input::Resolved { now, query: *query, answer: answer.clone() }
            }
            Received::Untrusted { domain, problem } => {
                return self.notice(notice::untrusted(domain, *problem));
            }
            Received::Unreachable { destination } => {
                Input::Unreachable { now, destination: *destination }
            }
        };
        if let Err(error) = self.endpoint.handle_input(input) {
            tracing::debug!(%error, "input not used");
        }
    }

    fn timeout(&mut self) {
        let now = Instant::now();
        if let Err(error) = self.endpoint.handle_input(Input::Timeout(now)) {
            tracing::debug!(%error, "timeout not used");
        }
        if let Some(session) = &mut self.session {
            session.handle_timeout();
        }
    }

    /// Drains endpoint and session until both have nothing more.
    fn pump(&mut self) {
        loop {
            self.drain_effects();
            self.flush();
            match self.waiting.pop_front() {
                Some(event) => self.sip_event(event),
                None => return,
            }
        }
    }

    /// Sends what the endpoint has to send. After each effect, so that a line is with the first of a hundred people
    /// while it is still being written for the last; what the endpoint tells waits until the session has said all.
    fn flush(&mut self) {
        loop {
            match self.endpoint.poll_output() {
                Output::Close(connection) => self.driver.close(connection),
                Output::Connect(connect) => self.driver.connect(&connect),
                Output::Event(event) => self.waiting.push_back(event),
                Output::Resolve(query) => self.driver.resolve(query),
                Output::Timeout(_) => break,
                Output::Transmit(transmit) => self.driver.send(&transmit),
            }
        }
        self.write_trace();
    }

    fn tick(&mut self) {
        let mut pressed = Vec::new();
        let Some(sound) = &mut self.sound else { return };
        while let Some(event) = sound.poll_event() {
            let told = match event {
                MediaEvent::DeviceLost { reason } => {
                    Event::Notice { text: format!("The sound device went away: {reason}") }
                }
                MediaEvent::Devices { microphone, speaker } => Event::Audio { microphone, speaker },
                MediaEvent::Digit { leg, digit } => {
                    let mut legs = self.calls.legs();
                    let call = legs.find(|(_, known)| *known == leg).map(|(call, _)| call);
                    pressed.extend(call.map(|call| (call, digit)));
                    continue;
                }
            };
            self.journal.tell(told);
        }
        for (call, digit) in pressed {
            self.pressed(call, digit, DigitWay::Media);
        }
        let Some(sound) = &self.sound else { return };
        let Some(session) = &self.session else { return };
        let now = sound.levels();
        let mut levels_dbov = vec![(session.own_id(), now.local_dbov)];
        for (call, leg) in self.calls.legs() {
            let level = now.legs.iter().find(|(id, _)| *id == leg).map(|(_, level)| *level);
            if let (Some(participant), Some(level)) = (session.heard_in(call), level) {
                levels_dbov.push((participant, level));
            }
        }
        *self.levels.lock().unwrap_or_else(PoisonError::into_inner) = Levels { levels_dbov };
        let Some(session @ Session::Hosted(_)) = &mut self.session else { return };
        for (call, ssrc) in self.calls.new_sources(sound) {
            session.handle_command(conference::Command::Source { call, ssrc });
        }
    }
}
