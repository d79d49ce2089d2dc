//! A conference host: a [`Focus`] on an Endpoint, driven as the engine drives it.

use std::net::SocketAddr;
use std::time::Instant;

use conference::{
    ChatRate, Command, Delivery, Effect, Event, Focus, FocusSettings, Line, MixerAct, Now,
    Participant, ParticipantState, Recipient,
};
use sip_core::{AnyUri, Failure, Host as UriHost, Input, NameAddr, Output, StatusCode, Uri};

use crate::net::{Actor, Net, Node};
use crate::shell::Shell;

/// The host.
pub struct Host {
    shell: Shell,
    focus: Focus,
    events: Vec<Event>,
    /// When each was told.
    times: Vec<Instant>,
    mixer: Vec<MixerAct>,
    personal: Vec<String>,
    takes_calls: bool,
}

impl Host {
    /// Puts a host into the network: own address `sip:alice@...`, conference `sip:conf-1@...`.
    pub fn join(net: &mut Net, name: &str, address: SocketAddr, chat_rate: ChatRate) -> Node<Self> {
        Self::join_as(net, name, address, chat_rate, "Parlour/0.1")
    }

    /// The same that calls itself otherwise.
    pub fn join_as(
        net: &mut Net,
        name: &str,
        address: SocketAddr,
        chat_rate: ChatRate,
        agent: &str,
    ) -> Node<Self> {
        let shell = Shell::new(address, agent, net.now(), net.generator());
        let generator = net.generator();
        net.add(address, Self::new(name, shell, generator, chat_rate, CAPACITY))
    }

    /// Alice, whose conference takes so many beside her.
    pub fn with_room_for(net: &mut Net, address: SocketAddr, capacity: usize) -> Node<Self> {
        let shell = Shell::new(address, "Parlour/0.1", net.now(), net.generator());
        let generator = net.generator();
        net.add(address, Self::new("Alice", shell, generator, ChatRate::default(), capacity))
    }

    fn new(
        name: &str,
        mut shell: Shell,
        generator: Box<dyn rand::RngCore + Send>,
        chat_rate: ChatRate,
        capacity: usize,
    ) -> Self {
        let now = shell.now;
        shell.endpoint.serve(OWN_USER, false);
        shell.endpoint.serve(CONFERENCE_USER, true);
        let settings = FocusSettings {
            own: NameAddr::new(Some(name), shell.own_uri(OWN_USER)),
            conference: shell.own_uri(CONFERENCE_USER),
            subject: "Weekly ops".to_owned(),
            registered_at: None,
            chat_rate,
            capacity,
        };
        let focus = Focus::new(settings, generator, now);
        let mut host = Self {
            shell,
            focus,
            events: Vec::new(),
            times: Vec::new(),
            mixer: Vec::new(),
            personal: Vec::new(),
            takes_calls: false,
        };
        host.carry_out();
        host
    }

    /// From now on the conference wants a password of those who come or write.
    pub fn guard(&mut self, guard: sip_core::auth::Guard) {
        self.shell.endpoint.guard(CONFERENCE_USER, Some(guard));
    }

    /// The conference URI of a host at `address`.
    pub fn conference_uri(address: SocketAddr) -> Uri {
        Uri::sip(Some(CONFERENCE_USER), UriHost::from(address.ip()), Some(address.port()))
    }

    /// The own URI of a host at `address`.
    pub fn own_uri(address: SocketAddr) -> Uri {
        Uri::sip(Some(OWN_USER), UriHost::from(address.ip()), Some(address.port()))
    }

    /// A command of the user.
    pub fn command(&mut self, command: Command) {
        self.focus.handle_command(command, self.shell.now);
        self.carry_out();
    }

    /// From now on calls to the host's own address are taken, as calls of two.
    pub fn take_calls(&mut self) {
        self.takes_calls = true;
    }

    /// Calls somebody into the conference, by the name that Alice knows, where she knows one.
    pub fn invite(&mut self, target: &Uri, name: Option<&str>) {
        let target = AnyUri::Sip(target.clone());
        self.command(Command::Invite { target, name: name.map(str::to_owned) });
    }

    /// Writes a line to everyone.
    pub fn say(&mut self, reference: &str, text: &str) {
        self.command(Command::Say {
            reference: reference.to_owned(),
            text: text.to_owned(),
            to: Recipient::Everyone,
        });
    }

    /// Everything that the focus told its user.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The same, each with the time when it was told.
    pub fn timed_events(&self) -> impl Iterator<Item = (Instant, &Event)> {
        self.times.iter().copied().zip(&self.events)
    }

    /// Every line shown here.
    pub fn lines(&self) -> impl Iterator<Item = &Line> {
        self.events.iter().filter_map(|event| match event {
            Event::Line(line) => Some(line),
            _ => None,
        })
    }

    /// Every report on a delivery.
    pub fn deliveries(&self) -> impl Iterator<Item = &Delivery> {
        self.events.iter().filter_map(|event| match event {
            Event::Delivery(delivery) => Some(delivery),
            _ => None,
        })
    }

    /// Texts to the host's own address that the focus left to the engine.
    pub fn personal_texts(&self) -> &[String] {
        &self.personal
    }

    /// What was asked of the mixer.
    pub fn mixer(&self) -> &[MixerAct] {
        &self.mixer
    }

    /// The roster as it is.
    pub fn roster(&self) -> Vec<Participant> {
        self.focus.roster().cloned().collect()
    }

    /// How many are connected, the host among them.
    pub fn connected(&self) -> usize {
        self.focus.roster().filter(|one| one.state == ParticipantState::Connected).count()
    }

    fn handle_event(&mut self, event: sip_core::Event) {
        self.focus.handle_event(&event, self.shell.now);
        let message = match &event {
            sip_core::Event::Message { message, request, .. } => {
                Some((message.id(), String::from_utf8_lossy(&request.body).into_owned()))
            }
            _ => None,
        };
        let invited = match &event {
            sip_core::Event::Invited { call, request, .. } => {
                Some((call.key(), request.uri.clone()))
            }
            _ => None,
        };
        for command in self.shell.absorb(event) {
            self.focus.handle_command(command, self.shell.now);
        }
        self.carry_out();
        // What the focus did not answer is the engine's: here, a text to the host outside of the conference.
        if let Some((id, text)) = message
            && let Some(pending) = self.shell.take_message(id)
        {
            let now = self.shell.now.monotonic;
            self.shell.endpoint.respond(pending, StatusCode::OK, &[], now);
            self.personal.push(text);
        }
        if let Some((call, uri)) = invited
            && uri.as_sip().and_then(|uri| uri.user.as_deref()) != Some(CONFERENCE_USER)
        {
            if self.takes_calls {
                self.command(Command::Aside { call });
            } else {
                self.shell.reject(call, Failure::BUSY_HERE);
            }
        }
    }

    fn carry_out(&mut self) {
        while let Some(effect) = self.focus.poll_effect() {
            match effect {
                Effect::Event(event) => {
                    self.times.push(self.shell.now.monotonic);
                    self.events.push(event);
                }
                Effect::Mixer(act) => self.mixer.push(act),
                Effect::Sip(act) => {
                    for report in self.shell.execute(act) {
                        self.focus.handle_command(report, self.shell.now);
                    }
                }
            }
        }
    }
}

impl Actor for Host {
    fn set_now(&mut self, now: Now) {
        self.shell.now = now;
    }

    fn handle_input(&mut self, input: Input<'_>) {
        let is_time = matches!(input, Input::Timeout(_));
        self.shell.handle_input(input);
        if is_time {
            self.focus.handle_timeout(self.shell.now);
            self.carry_out();
        }
    }

    fn poll_output(&mut self) -> Output {
        loop {
            match self.shell.poll_output() {
                Output::Event(event) => self.handle_event(event),
                Output::Timeout(timeout) => {
                    let focus = self.focus.poll_timeout().map(|(at, _)| at);
                    return Output::Timeout(Shell::earlier(timeout, focus));
                }
                output => return output,
            }
        }
    }
}

const CAPACITY: usize = 150;
const OWN_USER: &str = "alice";
const CONFERENCE_USER: &str = "conf-1";
