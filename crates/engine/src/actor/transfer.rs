//! Calls that are moved: the other asks us to call somebody else, and the user says whether we do; or we ask the other
//! (RFC 3515, RFC 3892, RFC 5589).

use std::time::Instant;

use sip_core::{
    CallKey, Failure, NameAddr, Outcome, PendingRefer, Refer, ReferTo, RequestId, Scheme,
    StatusCode, SubscriptionKey, Target, Uri,
};

use super::{Actor, Purpose};
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
        let is_sips = to.address.uri.as_sip().is_none_or(|uri| uri.scheme == Scheme::Sips);
        let unreadable = parse_target(&to_whom).is_err();
        if self.referred.is_some() || is_sips || unreadable {
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
        self.transfers.insert(request, Transfer { call, name });
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
            self.notice(notice::not_moved(&transfer.name, code));
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
        let Some(Transfer { call, name }) = self.transfers.remove(&request) else { return };
        if status.is_some_and(StatusCode::is_success) {
            self.notice(notice::moved(&name));
            self.hang_up(call, Some("The call was moved"));
        } else {
            self.notice(notice::not_moved(&name, status.map(StatusCode::code)));
        }
    }

    fn session_title(&self) -> String {
        match &self.session {
            Some(Session::Called { member, .. }) => member.title(),
            Some(Session::Hosted(_)) | None => String::new(),
        }
    }
}
