//! Replaces: an INVITE that takes the place of another call of ours (RFC 3891). Who may do that is the user's to say.

use std::time::Instant;

use super::Endpoint;
use super::calls::Phase;
use crate::dialog::{DialogId, LocalTag, RemoteTag};
use crate::{
    AwaitingAck, CallKey, Early, EndReason, Incoming, Method, Replaces, Request, StatusCode,
};

/// How many calls that are over are known.
const MAX_ENDED: usize = 128;

/// A request whose Replaces can mean nothing: in another method, twice, beside Join, or illegible (RFC 3891 §3).
pub(super) fn is_misplaced(request: &Request) -> bool {
    let mut values = request.headers.get_all("Replaces");
    let Some(first) = values.next() else { return false };
    request.method != Method::Invite
        || values.next().is_some()
        || request.headers.get("Join").is_some()
        || Replaces::parse(first).is_err()
}

impl Endpoint {
    /// The call that an INVITE means to replace, where it may at all; or the answer that it may not (RFC 3891 §3).
    pub(super) fn replaced_by(&self, request: &Request) -> Result<Option<CallKey>, StatusCode> {
        let Some(value) = request.headers.get("Replaces") else { return Ok(None) };
        let replaces = Replaces::parse(value).map_err(|_| StatusCode::BAD_REQUEST)?;
        let id = DialogId {
            call_id: replaces.call_id.clone(),
            local: LocalTag(replaces.to_tag.clone()),
            remote: RemoteTag(replaces.from_tag.clone()),
        };
        let known = self.dialogs.get(&id).copied();
        match known.and_then(|key| Some((key, &self.calls.get(&key)?.phase))) {
            // An early one may be replaced where we began it; a call that rings here may not.
            Some((key, Phase::Calling { cancel: false, .. })) => Ok(Some(key)),
            Some((_, Phase::Calling { cancel: true, .. } | Phase::Incoming { .. })) => {
                Err(StatusCode::NO_SUCH_CALL)
            }
            // Somebody has answered it: it is no early one any more.
            Some((_, Phase::AwaitingAck { .. } | Phase::Confirmed)) if replaces.early_only => {
                Err(StatusCode::BUSY_HERE)
            }
            Some((key, Phase::AwaitingAck { .. } | Phase::Confirmed)) => Ok(Some(key)),
            None if self.ended.contains(&id) => Err(StatusCode::DECLINE),
            None => Err(StatusCode::NO_SUCH_CALL),
        }
    }

    /// The user says that this call may take the place of the one it names; without that it cannot be accepted.
    pub fn allow_replace(&mut self, call: &Incoming) {
        if let Some(call) = self.calls.get_mut(&call.0)
            && let Some((_, allowed)) = &mut call.transfer.replaces
        {
            *allowed = true;
        }
    }

    /// Whether a call names another that our user has not let it replace.
    pub(super) fn may_not_replace(&self, call: CallKey) -> bool {
        let replaces = self.calls.get(&call).and_then(|call| call.transfer.replaces);
        replaces.is_some_and(|(_, allowed)| !allowed)
    }

    /// The new call was accepted: the one it replaces is over (RFC 3891 §3).
    pub(super) fn end_replaced(&mut self, by: CallKey, now: Instant) {
        let replaces = self.calls.get(&by).and_then(|call| call.transfer.replaces);
        let Some((old, true)) = replaces else { return };
        match self.calls.get(&old).map(|call| &call.phase) {
            Some(Phase::Calling { .. }) => self.cancel(Early(old), now),
            Some(Phase::AwaitingAck { .. }) => {
                if let Some(call) = self.calls.get_mut(&old) {
                    call.transfer.replaced_by = Some(by);
                }
                self.hang_up_unacked(AwaitingAck(old), None, now);
            }
            Some(Phase::Confirmed) => {
                self.end_lost(old, EndReason::Replaced { by }, true, now);
            }
            Some(Phase::Incoming { .. }) | None => {}
        }
    }

    /// Notes that a dialog is over: an INVITE that would replace it is told so.
    pub(super) fn note_ended(&mut self, id: DialogId) {
        if self.ended.len() >= MAX_ENDED {
            self.ended.pop_front();
        }
        self.ended.push_back(id);
    }
}
