//! Calls of two and the conference here: one becomes part of it, or becomes a conference itself (docs/sip-chat.md 0.8).

use conference::{Command as ToSession, Focus};
use rand::SeedableRng;
use rand::rngs::StdRng;
use sip_core::{CallKey, Request};

use super::Actor;
use crate::session::{Session, now};
use crate::{Event, ParticipantId, RecordKind, SessionKind, notice};

impl Actor {
    /// A call to our own address while nobody can be asked: it is taken as a call of two where the host is free, and
    /// where it is no conference that calls.
    pub(super) fn take_unasked(&mut self, call: CallKey, request: &Request) -> bool {
        let contacts = request.headers.contacts().unwrap_or_default();
        let is_focus = contacts.iter().any(|contact| contact.params.has("isfocus"));
        let Some(Session::Hosted(focus)) = &mut self.session else { return false };
        if is_focus || !focus.is_free() {
            return false;
        }
        focus.handle_command(ToSession::Aside { call }, now());
        true
    }

    /// Calls beside the conference become part of it; the call that we are in becomes a conference.
    pub(super) fn merge(&mut self, participant: Option<ParticipantId>) {
        if matches!(self.session, Some(Session::Called { .. })) && !self.host_call() {
            return;
        }
        self.tell_host(ToSession::Merge { participant });
    }

    /// A participant's call becomes one with us alone.
    pub(super) fn split(&mut self, participant: ParticipantId) {
        self.tell_host(ToSession::Split { participant });
    }

    /// The call of two that we are in becomes the first of a conference of ours; false where that cannot be.
    pub(super) fn host_call(&mut self) -> bool {
        let adopted = match &self.session {
            Some(Session::Called { member, .. }) => member.adopted(),
            Some(Session::Hosted(_)) => return true,
            None => None,
        };
        let Some(adopted) = adopted else {
            self.notice(notice::not_upgraded());
            return false;
        };
        let (settings, conference) = self.conference_settings("");
        let subject = settings.subject.clone();
        let generator = Box::new(StdRng::from_rng(&mut self.rng));
        let mut focus = Focus::new(settings, generator, now());
        focus.handle_command(ToSession::Adopt(Box::new(adopted)), now());
        self.session = Some(Session::Hosted(Box::new(focus)));
        if let Some(story) = &mut self.story {
            story.record.kind = RecordKind::Conference;
            story.record.name.clone_from(&subject);
            story.record.uri.clone_from(&conference);
        }
        self.tell(Event::Session { kind: SessionKind::Hosted, subject, conference });
        true
    }
}
