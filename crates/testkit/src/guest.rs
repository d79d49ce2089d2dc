//! A participant of our own kind: a [`Member`] on an Endpoint, driven as the engine drives it.

use std::net::SocketAddr;

use conference::{
    Command, Effect, Event, Line, Member, MemberSettings, Now, Participant, Recipient,
};
use sip_core::{CallKey, Contact, Input, NameAddr, Output, Uri};

use crate::net::{Actor, Net, Node};
use crate::shell::Shell;

/// The participant.
pub struct Guest {
    shell: Shell,
    own: NameAddr,
    user: String,
    member: Option<(CallKey, Member)>,
    /// For the message ids of its one call.
    generator: Option<Box<dyn rand::RngCore + Send>>,
    events: Vec<Event>,
}

impl Guest {
    /// Puts a participant into the network, in no conference yet.
    pub fn join(net: &mut Net, name: &str, user: &str, address: SocketAddr) -> Node<Self> {
        let mut shell = Shell::new(address, "Parlour/0.1", net.now(), net.generator());
        let generator = net.generator();
        shell.endpoint.serve(user, false);
        let guest = Self {
            own: NameAddr::new(Some(name), shell.own_uri(user)),
            user: user.to_owned(),
            shell,
            generator: Some(generator),
            member: None,
            events: Vec::new(),
        };
        net.add(address, guest)
    }

    /// Calls a conference, once.
    pub fn dial(&mut self, conference: &Uri) {
        let contact = Contact::new(self.user.clone(), false);
        let call = self.shell.dial(conference.clone(), self.own.clone(), contact);
        let call = call.expect("a conference of the virtual network has a literal address");
        let settings = MemberSettings {
            own: self.own.clone(),
            peer: NameAddr::new(None, conference.clone()),
            call,
            dialled_by_us: true,
            invited: None,
        };
        let generator = self.generator.take().expect("a guest calls once");
        self.member = Some((call, Member::new(settings, generator)));
        self.carry_out();
    }

    /// Writes a line to everyone.
    pub fn say(&mut self, reference: &str, text: &str) {
        self.command(Command::Say {
            reference: reference.to_owned(),
            text: text.to_owned(),
            to: Recipient::Everyone,
        });
    }

    /// A command of the user.
    pub fn command(&mut self, command: Command) {
        if let Some((_, member)) = &mut self.member {
            member.handle_command(command, self.shell.now);
        }
        self.carry_out();
    }

    /// Everything that the member told its user.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Every line shown here.
    pub fn lines(&self) -> impl Iterator<Item = &Line> {
        self.events.iter().filter_map(|event| match event {
            Event::Line(line) => Some(line),
            _ => None,
        })
    }

    /// The roster as shown here.
    pub fn roster(&self) -> Vec<Participant> {
        let mut people: Vec<Participant> = Vec::new();
        for event in &self.events {
            if let Event::Participant(one) = event {
                people.retain(|other| other.id != one.id);
                people.push(one.clone());
            }
        }
        people.sort_by_key(|one| one.id);
        people
    }

    /// Where it is called.
    pub fn uri(&self) -> Uri {
        self.shell.own_uri(&self.user)
    }

    /// Whether the call stands.
    pub fn is_in_call(&self) -> bool {
        self.shell.confirmed().next().is_some()
    }

    fn handle_event(&mut self, event: sip_core::Event) {
        if let sip_core::Event::Invited { call, request, flow, .. } = event {
            self.take(call, request, flow);
            return;
        }
        if let Some((_, member)) = &mut self.member {
            member.handle_event(&event, self.shell.now);
        }
        for command in self.shell.absorb(event) {
            if let Some((_, member)) = &mut self.member {
                member.handle_command(command, self.shell.now);
            }
        }
        self.shell.decline_refers();
        self.carry_out();
    }

    /// Takes the first call there is, as the engine does when its user answers; further ones ring for ever.
    fn take(&mut self, call: sip_core::Incoming, request: sip_core::Request, flow: sip_core::Flow) {
        let key = call.key();
        let from = request.headers.from_header();
        let invited = Some((request.clone(), flow));
        let identity = sip_core::Identity::Unverified;
        self.shell.absorb(sip_core::Event::Invited {
            call,
            request,
            flow,
            identity,
            replaces: None,
        });
        if let (None, Ok(from)) = (&self.member, from) {
            let settings = MemberSettings {
                own: self.own.clone(),
                peer: NameAddr::new(
                    from.display.as_deref(),
                    from.uri.as_sip().cloned().expect("a SIP caller"),
                ),
                call: key,
                dialled_by_us: false,
                invited,
            };
            let generator = self.generator.take().expect("a guest is in one call");
            self.member = Some((key, Member::new(settings, generator)));
            self.shell.accept(key, Contact::new(self.user.clone(), false));
            self.carry_out();
        }
    }

    fn carry_out(&mut self) {
        let Some((_, member)) = &mut self.member else { return };
        while let Some(effect) = member.poll_effect() {
            match effect {
                Effect::Event(event) => self.events.push(event),
                Effect::Mixer(_) => {}
                Effect::Sip(act) => {
                    for report in self.shell.execute(act) {
                        member.handle_command(report, self.shell.now);
                    }
                }
            }
        }
    }
}

impl Actor for Guest {
    fn set_now(&mut self, now: Now) {
        self.shell.now = now;
    }

    fn handle_input(&mut self, input: Input<'_>) {
        let is_time = matches!(input, Input::Timeout(_));
        self.shell.handle_input(input);
        if let (true, Some((_, member))) = (is_time, &mut self.member) {
            member.handle_timeout(self.shell.now);
            self.carry_out();
        }
    }

    fn poll_output(&mut self) -> Output {
        loop {
            match self.shell.poll_output() {
                Output::Event(event) => self.handle_event(event),
                Output::Timeout(timeout) => {
                    let member = self.member.as_ref().and_then(|(_, member)| member.poll_timeout());
                    return Output::Timeout(Shell::earlier(timeout, member.map(|(at, _)| at)));
                }
                output => return output,
            }
        }
    }
}
