//! Calls that are moved: the other asks us to call somebody else, and the user says whether we do; or we ask the other
//! (RFC 3515, RFC 3892, RFC 5589).

use std::time::Instant;

use sip_core::{
    CallKey, Failure, NameAddr, Outcome, PendingRefer, Refer, ReferMethod, ReferTo, RequestId,
    Scheme, StatusCode, SubscriptionKey, Target, Uri,
};

use super::Actor;
use super::look_up::Purpose;
use crate::session::Session;
use crate::{AddressError, Event, ParticipantId, ReferId, TransferTo, notice, parse_target};

/// A REFER that the user has to decide on.
#[derive(Debug)]
pub(super) struct Referred {
    /// Who is told what comes of it.
    tells: Option<SubscriptionKey>,
    call: CallKey,
    name: String,
    to: Box<ReferTo>,
    by: Option<Box<NameAddr>>,
}

/// A REFER of ours.
#[derive(Debug)]
pub(super) struct Transfer {
    call: CallKey,
    name: String,
    purpose: Purposed,
}

/// What a REFER of ours is for.
#[derive(Clone, Debug, PartialEq)]
enum Purposed {
    /// The focus is to call this person into its conference.
    Invitation(String),
    /// The call is moved, and hung up once that worked.
    Move,
    /// The focus is to remove this person from its conference.
    Removal(String),
}

impl Actor {
    /// Somebody wants us to call somebody: only who is in a call with us alone may ask, and the user decides.
    pub(super) fn referred(
        &mut self,
        refer: PendingRefer,
        call: Option<CallKey>,
        to: Box<ReferTo>,
        by: Option<Box<NameAddr>>,
    ) {
        let now = Instant::now();
        let to_whom = to.address.uri.to_string();
        let emergency = parse_target(&to_whom) == Err(AddressError::Emergency);
        if emergency && let Some(call) = call {
            self.refuse_emergency(refer, call, &to_whom);
            return;
        }
        let own = match &self.session {
            Some(Session::Called { call, .. }) => Some(*call),
            Some(Session::Hosted(_)) | None => None,
        };
        let Some(call) = call.filter(|call| own == Some(*call)) else {
            self.endpoint.reject_refer(refer, Failure::FORBIDDEN, now);
            return;
        };
        let is_removal = to.method == ReferMethod::Bye;
        let is_sips = to.address.uri.as_sip().is_none_or(|uri| uri.scheme == Scheme::Sips);
        let unreadable = parse_target(&to_whom).is_err();
        if self.referred.is_some() || is_removal || is_sips || unreadable {
            self.endpoint.reject_refer(refer, Failure::DECLINE, now);
            return;
        }
        let contact = self.own_contact();
        let tells = self.endpoint.accept_refer(refer, contact, now);
        let name = self.session_title();
        self.next_incoming += 1;
        let id = ReferId(self.next_incoming);
        let event = Event::Referred {
            refer: id,
            name: name.clone(),
            to: to.address.uri.to_string(),
            referred_by: by.as_ref().map(|by| by.uri.to_string()).unwrap_or_default(),
        };
        self.referred = Some((id, Referred { tells, call, name, to, by }));
        self.tell(event);
    }

    /// Nobody is asked whether to call an emergency service; that somebody wanted it is told once for each call.
    fn refuse_emergency(&mut self, refer: PendingRefer, call: CallKey, to: &str) {
        self.endpoint.reject_refer(refer, Failure::DECLINE, Instant::now());
        let party = self.endpoint.remote_party(call);
        let name = party.map(|party| match party.display.as_deref() {
            Some(name) => conference::clean_name(name),
            None => party.uri.to_string(),
        });
        if self.calls.get_mut(call).is_some_and(|call| !std::mem::replace(&mut call.warned, true)) {
            let name = name.unwrap_or_default();
            self.notice(notice::emergency_transfer(&name, &conference::clean_line(to)));
        }
    }

    /// The user's answer to it.
    pub(super) fn decide_refer(&mut self, refer: ReferId, accepted: bool) {
        if let Some(wish) = self.wishes.remove(&refer)
            && let Some(session @ Session::Hosted(_)) = &mut self.session
        {
            session.handle_command(conference::Command::DecideReferral { refer: wish, accepted });
            return;
        }
        let Some((_, referred)) = self.referred.take_if(|(id, _)| *id == refer) else {
            self.notice(notice::no_transfer());
            return;
        };
        let target = referred.to.address.uri.as_sip().cloned();
        match target {
            Some(target) if accepted => {
                self.look_up(&target.clone(), Purpose::Referred { target, referred });
            }
            Some(_) | None => {
                self.notice(notice::transfer_declined(
                    &referred.name,
                    &referred.to.address.uri.to_string(),
                ));
                self.tell_referrer(&referred, StatusCode::DECLINE);
            }
        }
    }

    /// Whom to call was looked up: the new call takes the place of the one it was asked for in.
    pub(super) fn call_referred(
        &mut self,
        target: Uri,
        referred: &Referred,
        local: Option<std::net::IpAddr>,
    ) {
        let Some(local) = local else {
            self.notice(notice::not_found(&target.host.to_string()));
            self.tell_referrer(referred, StatusCode::NOT_FOUND);
            return;
        };
        let mut headers = Vec::new();
        if let Some(by) = &referred.by {
            headers.push(("Referred-By", by.to_string()));
        }
        if let Some(replaces) = &referred.to.replaces {
            headers.push(("Replaces", replaces.to_string()));
            headers.push(("Require", "replaces".to_owned()));
        }
        let before = self.session.take();
        if before.is_some() {
            self.close_session(before, "The call was moved");
        }
        match self.call_with(target, local, headers) {
            Some(call) => {
                if let Some(tells) = referred.tells {
                    self.endpoint.follow_refer(tells, call);
                }
            }
            None => self.tell_referrer(referred, StatusCode::NOT_ACCEPTABLE_HERE),
        }
    }

    fn tell_referrer(&mut self, referred: &Referred, status: StatusCode) {
        if let Some(tells) = referred.tells {
            self.endpoint.refer_progress(tells, status, Instant::now());
        }
    }

    /// The call in which we were asked is over: so is the question.
    pub(super) fn referrer_gone(&mut self, call: CallKey) {
        if let Some((refer, _)) = self.referred.take_if(|(_, referred)| referred.call == call) {
            self.tell(Event::ReferredGone { refer });
        }
    }

    /// Moves a participant's call to somebody else.
    pub(super) fn transfer(&mut self, participant: ParticipantId, to: TransferTo) {
        let now = Instant::now();
        let Some(call) = self.call_of(participant) else {
            self.notice(notice::nobody_to_move());
            return;
        };
        // A transfer would tell one who hides to the other, and where.
        if let (TransferTo::Participant(other), Some(Session::Hosted(focus))) = (&to, &self.session)
            && focus.is_hidden(*other)
        {
            self.notice(notice::would_tell_who_hides());
            return;
        }
        let other = match &to {
            TransferTo::Address(_) => None,
            TransferTo::Participant(other) => self.call_of(*other),
        };
        let address = match &to {
            TransferTo::Address(text) => match parse_target(text) {
                Ok((uri, _)) => Some(uri),
                Err(error) => {
                    self.notice(format!("{text}: {error}"));
                    return;
                }
            },
            TransferTo::Participant(_) => None,
        };
        let target = match (address, other.and_then(|other| self.calls.confirmed(other))) {
            (Some(address), _) => Target::Address(address),
            (None, Some(other)) => Target::Call(other),
            (None, None) => {
                self.notice(notice::nobody_to_move());
                return;
            }
        };
        let Some(key) = self.calls.confirmed(call) else {
            self.notice(notice::nobody_to_move());
            return;
        };
        let request = self.endpoint.refer(Refer { call: key, to: target }, now);
        let remote = self.endpoint.remote_party(call);
        let name = remote.map(|remote| match &remote.display {
            Some(display) => display.to_string(),
            None => remote.uri.to_string(),
        });
        let name = conference::clean_line(&name.unwrap_or_default());
        let purpose = Purposed::Move;
        self.transfers.insert(request, Transfer { call, name, purpose });
    }

    fn call_of(&self, participant: ParticipantId) -> Option<CallKey> {
        let session = self.session.as_ref()?;
        let mut ids = self.calls.ids().into_iter();
        ids.find(|call| match session {
            Session::Hosted(focus) => focus.participant_of(*call) == Some(participant),
            Session::Called { member, .. } => member.participant_of(*call) == Some(participant),
        })
    }

    /// Whether the other will try; true where the request was a transfer of ours.
    pub(super) fn transfer_answered(&mut self, request: RequestId, outcome: &Outcome) -> bool {
        if !self.transfers.contains_key(&request) {
            return false;
        }
        let code = match outcome {
            Outcome::Answered(answer) if answer.status.is_success() => return true,
            Outcome::Answered(answer) => Some(answer.status.code()),
            Outcome::TimedOut | Outcome::Unsendable => None,
        };
        if let Some(transfer) = self.transfers.remove(&request) {
            self.notice(transfer.failed(code));
        }
        true
    }

    /// News of a transfer of ours. Once it worked, the call it moved is hung up.
    pub(super) fn transfer_progress(
        &mut self,
        request: RequestId,
        status: Option<StatusCode>,
        is_last: bool,
    ) {
        if !is_last {
            return;
        }
        let Some(transfer) = self.transfers.remove(&request) else { return };
        if status.is_some_and(StatusCode::is_success) {
            match &transfer.purpose {
                Purposed::Invitation(who) => self.notice(notice::invited_by_host(who)),
                Purposed::Move => {
                    self.notice(notice::moved(&transfer.name));
                    self.hang_up(transfer.call, Some("The call was moved"));
                }
                Purposed::Removal(who) => self.notice(notice::removed_by_host(who)),
            }
        } else {
            self.notice(transfer.failed(status.map(StatusCode::code)));
        }
    }

    /// Asks the focus whose conference we are in to call somebody into it (RFC 4579 §5.5).
    pub(super) fn ask_to_invite(&mut self, call: CallKey, text: &str) {
        match parse_target(text) {
            Ok((uri, _)) => {
                let who = conference::clean_line(&uri.to_string());
                self.ask_focus(call, Target::Address(uri), Purposed::Invitation(who));
            }
            Err(error) => self.notice(format!("{text}: {error}")),
        }
    }

    /// Asks it to remove somebody, which it does for moderators (RFC 4579 §5.11).
    pub(super) fn ask_to_remove(&mut self, participant: ParticipantId) {
        let Some(Session::Called { member, call, .. }) = &self.session else { return };
        let mut people = member.roster();
        let person = people.find(|one| one.id == participant && !one.is_self);
        let known = person.and_then(|one| Some((Uri::parse(&one.entity).ok()?, one.name.clone())));
        let is_conference = member.is_conference().is_some();
        let call = *call;
        drop(people);
        match known {
            Some((uri, name)) if is_conference => {
                self.ask_focus(call, Target::Removal(uri), Purposed::Removal(name));
            }
            Some(_) | None => self.notice(notice::only_host()),
        }
    }

    fn ask_focus(&mut self, call: CallKey, to: Target<'_>, purpose: Purposed) {
        let name = self.session_title();
        match self.calls.confirmed(call) {
            Some(key) => {
                let request = self.endpoint.refer(Refer { call: key, to }, Instant::now());
                self.transfers.insert(request, Transfer { call, name, purpose });
            }
            None => self.notice(notice::no_session()),
        }
    }

    fn session_title(&self) -> String {
        match &self.session {
            Some(Session::Called { member, .. }) => member.title(),
            Some(Session::Hosted(_)) | None => String::new(),
        }
    }
}

impl Transfer {
    /// What is said where nothing came of it.
    fn failed(&self, code: Option<u16>) -> String {
        match &self.purpose {
            Purposed::Invitation(who) => notice::not_invited_by_host(who, code),
            Purposed::Move => notice::not_moved(&self.name, code),
            Purposed::Removal(who) => notice::not_removed_by_host(who, code),
        }
    }
}
