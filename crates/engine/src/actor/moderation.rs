//! Calls whose session is offered anew by the user's wish: hold, and another Contact.

use std::time::Instant;

use conference::{Command as ToSession, Moderation};
use sip_core::{CallKey, Contact, Outcome, RequestId};

use super::Actor;
use crate::calls::Key;
use crate::session::Session;
use crate::{ParticipantId, notice};

impl Actor {
    /// The host does something about a participant.
    pub(super) fn moderate(&mut self, participant: ParticipantId, act: Moderation) {
        match &mut self.session {
            Some(session @ Session::Hosted(_)) => {
                session.handle_command(ToSession::Moderate { participant, act });
            }
            Some(Session::Called { .. }) => self.notice(notice::only_host()),
            None => self.notice(notice::no_session()),
        }
    }

    /// Removes somebody, or asks the focus to do so.
    pub(super) fn remove(&mut self, participant: ParticipantId) {
        match &mut self.session {
            Some(session @ Session::Hosted(_)) => {
                session.handle_command(ToSession::Remove { participant });
            }
            Some(Session::Called { .. }) => self.ask_to_remove(participant),
            None => self.notice(notice::no_session()),
        }
    }

    /// Holds the call that we are in, or goes on with it.
    pub(super) fn hold(&mut self, on_hold: bool) {
        match &self.session {
            Some(Session::Called { call, .. }) => {
                let call = *call;
                let own = self.own_contact();
                self.offer_again(call, own, on_hold);
            }
            Some(Session::Hosted(_)) => self.notice(notice::hold_whom()),
            None => self.notice(notice::no_session()),
        }
    }

    /// A re-INVITE with the whole description (RFC 3264 §8).
    pub(super) fn offer_again(&mut self, call: CallKey, contact: Contact, on_hold: bool) {
        let offer = self.calls.get_mut(call).and_then(|known| known.offer_again(on_hold));
        let key = self.calls.get_mut(call).and_then(|known| known.key.as_ref());
        match (offer, key) {
            (Some(offer), Some(Key::Confirmed(key))) => {
                let request = self.endpoint.reinvite(key, contact, offer, Instant::now());
                self.reoffers.insert(request, call);
            }
            (_, Some(_) | None) => self.not_reinvited(call),
        }
    }

    /// The answer to such an offer; false where a request was another.
    pub(super) fn offered_again(&mut self, request: RequestId, outcome: &Outcome) -> bool {
        let Some(call) = self.reoffers.remove(&request) else { return false };
        match outcome {
            Outcome::Answered(response) if response.status.is_success() => {
                self.take_answer(call, &response.body);
            }
            Outcome::Answered(_) | Outcome::TimedOut | Outcome::Unsendable => {
                self.not_reinvited(call);
            }
        }
        true
    }

    fn not_reinvited(&mut self, call: CallKey) {
        if let Some(known) = self.calls.get_mut(call) {
            known.not_offered();
            if let Some(session) = &mut self.session {
                session.handle_command(ToSession::NotReinvited { call });
            }
        }
    }
}
