//! What the user wants.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use conference::{Focus, FocusSettings, Member, MemberSettings};
use rand::RngCore;
use sip_core::{AnyUri, Content, Failure, Flow, Invite, NameAddr, PagerMessage, Transport, Uri};

use super::{Actor, Found, Purpose, Story};
use crate::calls::{Key, first_offer};
use crate::session::{Session, now};
use crate::{
    CallRecord, Command, Event, IncomingId, RecordKind, SessionKind, notice, parse_target,
};

/// The most people in a conference beside its host.
const CAPACITY: usize = 300;

impl Actor {
    pub(super) fn command(&mut self, command: Command) {
        match command {
            Command::AddToConference { incoming } => self.add_to_conference(incoming),
            Command::Answer { incoming } => self.answer(incoming),
            Command::Call { uri } => self.call(&uri),
            Command::Decline { incoming, text } => self.decline(incoming, text),
            Command::ForgetCall { id } => self.journal.forget(id),
            Command::Host { subject, invite } => self.host(subject, invite),
            Command::Invite { uri } => self.invite(&uri),
            Command::Leave => self.leave(),
            Command::Mute { on } => self.mute(on),
            Command::Remove { participant } => match &mut self.session {
                Some(session @ Session::Hosted(_)) => {
                    session.handle_command(conference::Command::Remove { participant });
                }
                Some(Session::Called { .. }) => self.notice(notice::only_host()),
                None => self.notice(notice::no_session()),
            },
            Command::Resend { message, recipient } => {
                self.tell_focus(conference::Command::Resend { message, recipient });
            }
            Command::Say { reference, text, to } => {
                if self.session.is_none() {
                    let reason = notice::no_session();
                    self.tell(Event::Refused { reference, reason });
                    return;
                }
                self.tell_focus(conference::Command::Say { reference, text, to });
            }
            Command::SetName { name } => {
                let name = conference::clean_name(&name);
                self.own.display = Some(name.clone()).filter(|name| !name.is_empty());
                self.settings.name.clone_from(&name);
                if let Some(session) = &mut self.session {
                    session.handle_command(conference::Command::SetName { name });
                }
            }
        }
    }

    fn tell_focus(&mut self, command: conference::Command) {
        match &mut self.session {
            Some(session) => session.handle_command(command),
            None => self.notice(notice::no_session()),
        }
    }

    fn host(&mut self, subject: String, invite: Vec<String>) {
        self.leave();
        self.drain_effects();
        let user = self
            .settings
            .conference_user
            .clone()
            .unwrap_or_else(|| format!("conf-{:016x}", self.rng.next_u64()));
        let Some(own) = self.own.uri.as_sip() else { return };
        let conference = own.with_user(&user);
        let subject = match conference::clean_name(&subject) {
            empty if empty.is_empty() => format!("{}'s conference", self.settings.name),
            subject => subject,
        };
        self.endpoint.serve(&user, true);
        let settings = FocusSettings {
            own: self.own.clone(),
            conference: conference.clone(),
            subject: subject.clone(),
            chat_rate: self.settings.chat_rate,
            capacity: CAPACITY,
        };
        self.start_sound();
        self.begin_story(RecordKind::Conference, conference.to_string(), subject.clone());
        self.session = Some(Session::Hosted(Box::new(Focus::new(settings, now()))));
        self.tell(Event::Session {
            kind: SessionKind::Hosted,
            subject,
            conference: conference.to_string(),
        });
        if let Some(story) = &mut self.story {
            story.connected = Some(Instant::now());
        }
        for uri in invite {
            self.invite(&uri);
        }
    }

    fn invite(&mut self, text: &str) {
        if !matches!(self.session, Some(Session::Hosted(_))) {
            self.notice(notice::only_host());
            return;
        }
        match parse_target(text) {
            Ok((uri, name)) => {
                self.tell_focus(conference::Command::Invite { target: AnyUri::Sip(uri), name });
            }
            Err(error) => self.notice(format!("{text}: {error}")),
        }
    }

    fn call(&mut self, text: &str) {
        match parse_target(text) {
            Ok((target, _)) => {
                self.leave();
                self.drain_effects();
                self.look_up(target.clone(), Purpose::Call { target });
            }
            Err(error) => {
                self.notice(format!("{text}: {error}"));
                self.tell(Event::Ended { reason: format!("{text}: {error}") });
            }
        }
    }

    pub(super) fn look_up(&self, target: Uri, purpose: Purpose) {
        let (found, listen) = (self.found.clone(), self.driver.address());
        tokio::spawn(async move {
            let port = target.port.unwrap_or(5060);
            let host =
                target.host.ip().map_or_else(|| target.host.to_string(), |ip| ip.to_string());
            let answer = sip_net::resolve(&host, port, listen).await;
            let _ = found.send(Found { purpose, answer });
        });
    }

    pub(super) fn looked_up(&mut self, found: Found) {
        let target = found.answer.targets.first().copied();
        match found.purpose {
            Purpose::Call { target: uri } => match target {
                Some(way) => self.call_at(uri, way),
                None => {
                    let reason = notice::not_found(&uri.host.to_string());
                    self.tell(Event::Ended { reason });
                }
            },
            Purpose::Dial { act } => self.dial_at(*act, target),
        }
    }

    fn call_at(&mut self, target: Uri, way: sip_core::ResolvedTarget) {
        let made = first_offer(way.local.ip(), &mut self.rng);
        let (negotiator, sockets, offer) = match made {
            Ok(made) => made,
            Err(error) => {
                self.tell(Event::Ended { reason: notice::no_sound(&error) });
                return;
            }
        };
        let flow = self.flow(&target, way);
        let peer = NameAddr::new(None, target.bare());
        let invite = Invite {
            target: target.clone(),
            flow,
            from: self.own.clone(),
            to: peer.clone(),
            contact: self.own_contact(),
            offer,
            headers: Vec::new(),
        };
        let early = self.endpoint.invite(invite, Instant::now());
        let call = early.key();
        self.calls
            .insert(call, Key::Early(early), way.local.ip(), Vec::new())
            .offered(negotiator, sockets);
        self.begin_story(RecordKind::Outgoing, target.to_string(), String::new());
        self.begin_call(MemberSettings { own: self.own.clone(), peer, call, dialled_by_us: true });
    }

    /// A session of two, until the other turns out to be a focus.
    pub(super) fn begin_call(&mut self, settings: MemberSettings) {
        let call = settings.call;
        let member = Member::new(settings);
        let subject = member.title();
        self.start_sound();
        self.session =
            Some(Session::Called { member: Box::new(member), call, told: SessionKind::Call });
        if let Some(story) = &mut self.story
            && story.record.name.is_empty()
        {
            story.record.name.clone_from(&subject);
        }
        self.tell(Event::Session { kind: SessionKind::Call, subject, conference: String::new() });
    }

    pub(super) fn flow(&self, target: &Uri, way: sip_core::ResolvedTarget) -> Flow {
        let transport = match target.transport().as_deref() {
            Some("tcp") => Transport::Tcp,
            _ => Transport::Udp,
        };
        Flow { transport, local: way.local, remote: way.remote, connection: None }
    }

    pub(super) fn own_contact(&self) -> sip_core::Contact {
        sip_core::Contact { user: self.settings.user.clone(), is_focus: false }
    }

    pub(super) fn begin_story(&mut self, kind: RecordKind, uri: String, name: String) {
        let record = CallRecord {
            id: 0,
            uri,
            name,
            kind,
            started_unix: unix_now(),
            duration: Default::default(),
            people: 0,
            messages: 0,
            reason: String::new(),
        };
        self.story = Some(Story { record, connected: None });
    }

    fn leave(&mut self) {
        if let Some(session) = &mut self.session {
            session.handle_command(conference::Command::End);
            self.drain_effects();
            self.end_session("You left".to_owned());
        }
    }

    fn mute(&mut self, on: bool) {
        self.muted = on;
        if let Some(sound) = &mut self.sound {
            sound.set_muted(on);
        }
        if let Some(session) = &mut self.session {
            session.handle_command(conference::Command::Muted { on });
        }
        self.tell(Event::Muted { on });
    }

    fn answer(&mut self, incoming: IncomingId) {
        let Some(ringing) = self.ringing.remove(&incoming) else { return };
        self.leave();
        self.drain_effects();
        let Ok(peer) = NameAddr::parse(&format!("<{}>", ringing.uri)) else { return };
        let peer = NameAddr {
            display: Some(ringing.name.clone()).filter(|name| !name.is_empty()),
            ..peer
        };
        self.begin_story(RecordKind::Incoming, ringing.uri, ringing.name);
        let call = ringing.call;
        self.begin_call(MemberSettings { own: self.own.clone(), peer, call, dialled_by_us: false });
        self.accept(call, self.own_contact());
        self.tell(Event::IncomingGone { incoming, reason: String::new(), missed: false });
    }

    fn add_to_conference(&mut self, incoming: IncomingId) {
        if !matches!(self.session, Some(Session::Hosted(_))) {
            self.answer(incoming);
            return;
        }
        let Some(ringing) = self.ringing.remove(&incoming) else { return };
        self.tell_focus(conference::Command::Admit { call: ringing.call });
        self.tell(Event::IncomingGone { incoming, reason: String::new(), missed: false });
    }

    pub(super) fn decline(&mut self, incoming: IncomingId, text: Option<String>) {
        let Some(ringing) = self.ringing.remove(&incoming) else { return };
        let now = Instant::now();
        if let Some(Key::Incoming(key)) = self.calls.take_key(ringing.call) {
            self.endpoint.reject(key, Failure::DECLINE, now);
        }
        self.calls.remove(ringing.call, None);
        if let Some(text) = text
            && let Ok(target) = Uri::parse(&ringing.uri)
            && let Some(ip) = target.host.ip()
        {
            let remote = std::net::SocketAddr::new(ip, target.port.unwrap_or(5060));
            let bound = self.driver.address();
            let ip = if bound.ip().is_unspecified() {
                sip_net::local_towards(remote).unwrap_or(bound.ip())
            } else {
                bound.ip()
            };
            let way = sip_core::ResolvedTarget {
                remote,
                local: std::net::SocketAddr::new(ip, bound.port()),
            };
            let flow = self.flow(&target, way);
            let to = NameAddr::new(None, target.bare());
            let message = PagerMessage {
                target,
                flow,
                from: self.own.clone(),
                to,
                content: Content::text(&text),
            };
            self.endpoint.pager_message(message, now);
        }
        self.tell(Event::IncomingGone {
            incoming,
            reason: "You declined".to_owned(),
            missed: false,
        });
    }
}

pub(super) fn unix_now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_secs() as i64)
}
