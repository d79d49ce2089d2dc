//! What the user wants.

use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use conference::{Focus, FocusSettings, Member, MemberSettings};
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use sip_core::{AnyUri, Content, Failure, Invite, NameAddr, PagerMessage, Uri, Way};

use super::lifetime::record;
use super::look_up::Purpose;
use super::{Actor, Ringing};
use crate::calls::{Key, first_offer};
use crate::session::{Session, now};
use crate::{Command, Event, IncomingId, RecordKind, SessionKind, notice, parse_target};

/// So long a call of ours rings; then it is given up, also where the other end never says more than that it rings
/// (RFC 3261 §13.2.1).
pub(super) const RING_FOR: Duration = Duration::from_secs(180);

/// The most people in a conference beside its host.
const CAPACITY: usize = 300;

impl Actor {
    pub(super) fn command(&mut self, command: Command) {
        match command {
            Command::AcceptRefer { refer } => self.decide_refer(refer, true),
            Command::AddToConference { incoming } => self.add_to_conference(incoming),
            Command::Admit { waiting } => {
                self.tell_host(conference::Command::LetIn { waiting });
            }
            Command::Answer { incoming } => self.answer(incoming),
            Command::Call { uri } => self.call(&uri),
            Command::Decline { incoming, text } => self.decline(incoming, text),
            Command::ForgetCall { id } => self.journal.forget(id),
            Command::KeepTranscript => self.journal.keep(),
            Command::Hold { on } => self.hold(on),
            Command::History { count } => match &mut self.session {
                Some(session @ Session::Hosted(_)) => {
                    session.handle_command(conference::Command::History { count });
                }
                Some(Session::Called { .. }) => self.notice(notice::only_host()),
                None => self.notice(notice::no_session()),
            },
            Command::Host { subject, invite } => self.host(subject, invite),
            Command::Invite { uri } => self.invite(&uri),
            Command::Invitation => self.invitation(),
            Command::Join { uri, password } => self.join(&uri, &password),
            Command::Leave => self.leave(),
            Command::Merge { participant } => self.merge(participant),
            Command::Moderate { participant, act } => self.moderate(participant, act),
            Command::Lobby { on } => self.tell_host(conference::Command::Lobby { on }),
            Command::Lock { on } => self.tell_host(conference::Command::Lock { on }),
            Command::Mute { on } => self.mute(on),
            Command::Password { text } => self.guard_conference(&text),
            Command::Pin { text } => self.set_pin(&text),
            Command::Press { keys } => self.press(&keys),
            Command::Refuse { waiting } => {
                self.tell_host(conference::Command::Refuse { waiting });
            }
            Command::RefuseRefer { refer } => self.decide_refer(refer, false),
            Command::Split { participant } => self.split(participant),
            Command::Typing => self.tell_focus(conference::Command::Typing),
            Command::Transfer { participant, to } => self.transfer(participant, to),
            Command::Remove { participant } => self.remove(participant),
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
                self.own.display = (!name.is_empty()).then(|| name.as_str().into());
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
        let unusable =
            invite.iter().filter_map(|uri| parse_target(uri).err().map(|why| (uri, why)));
        let unusable: Vec<String> = unusable.map(|(uri, why)| format!("{uri}: {why}")).collect();
        // A slip of the pen ends no conference: only an order that can be carried out whole does.
        if self.session.is_some() && !unusable.is_empty() {
            unusable.into_iter().for_each(|text| self.notice(text));
            return;
        }
        self.make_room();
        let (settings, conference) = self.conference_settings(&subject);
        let subject = settings.subject.clone();
        self.start_sound();
        self.begin_story(RecordKind::Conference, conference.clone(), subject.clone());
        let generator = Box::new(StdRng::from_rng(&mut self.rng));
        self.session = Some(Session::Hosted(Box::new(Focus::new(settings, generator, now()))));
        self.tell(Event::Session { kind: SessionKind::Hosted, subject, conference });
        if let Some(story) = &mut self.story {
            story.connected = Some(Instant::now());
        }
        for uri in invite {
            self.invite(&uri);
        }
    }

    /// How a new conference is set up, and its address; it is served from here on.
    pub(super) fn conference_settings(&mut self, subject: &str) -> (FocusSettings, String) {
        let user = self
            .settings
            .conference_user
            .clone()
            .unwrap_or_else(|| format!("conf-{:016x}", self.rng.next_u64()));
        // A conference's own address is none of the account's, unless the account is the conference's.
        let conference = match &self.accounts.address {
            Some(address) if self.accounts.user().as_ref() == Some(&user) => address.clone(),
            Some(_) | None => self.direct.with_user(&user),
        };
        let subject = match conference::clean_line(subject) {
            empty if empty.is_empty() => format!("{}'s conference", self.settings.name),
            subject => subject,
        };
        self.endpoint.serve(&user, true);
        let settings = FocusSettings {
            own: self.own.clone(),
            conference: conference.clone(),
            subject,
            registered_at: self.accounts.address.clone(),
            chat_rate: self.settings.chat_rate,
            capacity: CAPACITY,
        };
        (settings, conference.to_string())
    }

    fn invite(&mut self, text: &str) {
        match &self.session {
            Some(Session::Hosted(_)) => {}
            Some(Session::Called { call, member, .. }) if member.is_conference().is_some() => {
                let call = *call;
                return self.ask_to_invite(call, text);
            }
            Some(Session::Called { .. }) => {
                // A call of two becomes a conference with the first who is called into it.
                if parse_target(text).is_ok() && !self.host_call() {
                    return;
                }
            }
            None => return self.notice(notice::no_session()),
        }
        match parse_target(text) {
            Ok((uri, name)) => {
                self.tell_focus(conference::Command::Invite { target: AnyUri::Sip(uri), name });
            }
            Err(error) => self.notice(format!("{text}: {error}")),
        }
    }

    pub(super) fn call(&mut self, text: &str) {
        match parse_target(text) {
            Ok((target, _)) => {
                self.make_room();
                self.looks_up = true;
                self.look_up(&target.clone(), Purpose::Call { target });
            }
            Err(error) => {
                let text = format!("{text}: {error}");
                if self.session.is_some() || self.looks_up {
                    self.notice(text);
                } else {
                    self.tell(Event::Ended { reason: text });
                }
            }
        }
    }

    pub(super) fn call_at(&mut self, target: Uri, local: IpAddr) {
        self.call_with(target, local, Vec::new());
    }

    /// Makes a call with further headers in its INVITE; `None` where there is no sound for it.
    pub(super) fn call_with(
        &mut self,
        target: Uri,
        local: IpAddr,
        headers: Vec<(&'static str, String)>,
    ) -> Option<sip_core::CallKey> {
        let made = first_offer(local, &mut self.rng);
        let (negotiator, sockets, offer) = match made {
            Ok(made) => made,
            Err(error) => {
                self.tell(Event::Ended { reason: notice::no_sound(&error) });
                return None;
            }
        };
        let peer = NameAddr::new(None, target.bare());
        let invite = Invite {
            target: target.clone(),
            way: self.way(),
            from: self.own.clone(),
            to: peer.clone(),
            contact: self.own_contact(),
            offer,
            expires: Some(RING_FOR),
            headers,
        };
        let early = self.endpoint.invite(invite, Instant::now());
        let call = early.key();
        self.calls.insert(call, Key::Early(early), local, Vec::new()).offered(negotiator, sockets);
        self.begin_story(RecordKind::Outgoing, target.to_string(), String::new());
        self.begin_call(MemberSettings {
            own: self.own.clone(),
            peer,
            call,
            dialled_by_us: true,
            invited: None,
        });
        Some(call)
    }

    /// A session of two, until the other turns out to be a focus.
    pub(super) fn begin_call(&mut self, settings: MemberSettings) {
        let call = settings.call;
        let generator = Box::new(StdRng::from_rng(&mut self.rng));
        let member = Member::new(settings, generator);
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

    pub(super) fn own_contact(&self) -> sip_core::Contact {
        sip_core::Contact::new(
            self.accounts.user().unwrap_or_else(|| self.settings.user.clone()),
            false,
        )
    }

    /// Ends whatever the user is in: a session, or a call whose host is still looked up.
    pub(super) fn leave(&mut self) {
        if self.looks_up {
            self.make_room();
            self.tell(Event::Ended { reason: "You left".to_owned() });
        } else {
            self.make_room();
        }
    }

    /// As [`Self::leave`], for something that takes its place: of a call that was not yet made nobody needs to hear.
    pub(super) fn make_room(&mut self) {
        self.generation += 1;
        self.looks_up = false;
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
        if !self.ringing.contains_key(&incoming) {
            return;
        }
        // It goes on ringing until the session before is over: what belongs to that one is hung up upon.
        self.make_room();
        let Some(ringing) = self.ringing.remove(&incoming) else { return };
        let call = ringing.call;
        let peer = ringing.peer.clone();
        self.begin_story(RecordKind::Incoming, ringing.uri, ringing.name);
        self.begin_call(MemberSettings {
            own: self.own.clone(),
            peer,
            call,
            dialled_by_us: false,
            invited: Some((ringing.invite, ringing.flow)),
        });
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
        self.drain_effects();
        let taken = self.calls.get_mut(ringing.call).is_some();
        let reason = if taken { String::new() } else { notice::not_taken(ringing.shown()) };
        self.tell(Event::IncomingGone { incoming, reason, missed: false });
    }

    fn decline(&mut self, incoming: IncomingId, text: Option<String>) {
        let Some(ringing) = self.refuse(incoming, Failure::DECLINE) else { return };
        if let Some(text) = text {
            self.reply(&ringing, &text);
        }
        let reason = "You declined".to_owned();
        let mut row = record(
            RecordKind::Incoming,
            ringing.uri.clone(),
            ringing.shown().to_owned(),
            ringing.since,
        );
        row.reason.clone_from(&reason);
        self.journal.add(row);
        self.tell(Event::IncomingGone { incoming, reason, missed: false });
    }

    /// Nobody will answer it any more.
    pub(super) fn miss(&mut self, incoming: IncomingId) {
        let Some(ringing) = self.refuse(incoming, Failure::TEMPORARILY_UNAVAILABLE) else { return };
        self.missed(incoming, ringing, notice::not_answered());
    }

    fn refuse(&mut self, incoming: IncomingId, failure: Failure) -> Option<Ringing> {
        let ringing = self.ringing.remove(&incoming)?;
        if let Some(Key::Incoming(key)) = self.calls.take_key(ringing.call) {
            self.endpoint.reject(key, failure, Instant::now());
        }
        self.calls.remove(ringing.call, None);
        Some(ringing)
    }

    /// A text to who was declined. It goes the way his INVITE came: his From may be an address that cannot be looked up.
    fn reply(&mut self, ringing: &Ringing, text: &str) {
        let from = ringing.peer.uri.as_sip();
        let Some(target) = ringing.contact.as_ref().or(from).cloned() else {
            self.notice(notice::text_not_sent(ringing.shown()));
            return;
        };
        let message = PagerMessage {
            way: Way::Flow(ringing.flow),
            from: self.own.clone(),
            to: NameAddr::new(None, from.unwrap_or(&target).bare()),
            content: Content::text(text),
            target,
        };
        let request = self.endpoint.pager_message(message, Instant::now());
        self.replies.insert(request, ringing.shown().to_owned());
    }
}

impl Ringing {
    /// What the user knows it by.
    pub(super) fn shown(&self) -> &str {
        if self.name.is_empty() { &self.uri } else { &self.name }
    }
}

pub(super) fn unix_now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_secs() as i64)
}
