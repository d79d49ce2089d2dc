//! Replaces: an INVITE that takes the place of another call of ours (RFC 3891). Who may do that is the user's to say.

use std::time::Instant;

use super::Endpoint;
use super::calls::{Call, Phase};
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
        let rings = |key: &CallKey| {
            let phase = self.calls.get(key).map(|call| &call.phase);
            matches!(phase, Some(Phase::Calling { .. } | Phase::Incoming { .. }))
        };
        if let Some(key) = self.dialogs.get(&id).copied().filter(|key| !rings(key)) {
            // Somebody has answered it: it is no early one any more.
            return if replaces.early_only { Err(StatusCode::BUSY_HERE) } else { Ok(Some(key)) };
        }
        if self.ended.contains(&id) {
            return Err(StatusCode::DECLINE);
        }
        // An early one may be replaced where we began it; a call that rings here may not.
        let early = self.calls.iter().find(|(_, call)| self.is_early(call, &id));
        early.map(|(key, _)| Some(*key)).ok_or(StatusCode::NO_SUCH_CALL)
    }

    fn is_early(&self, call: &Call, id: &DialogId) -> bool {
        let Phase::Calling { tx, cancel: false, .. } = &call.phase else { return false };
        let Some(client) = self.clients.get(tx) else { return false };
        let headers = &client.request.headers;
        let local = headers.from_header().ok().and_then(|from| from.tag().map(str::to_owned));
        headers.call_id() == Some(&id.call_id)
            && local.as_deref() == Some(&id.local.0)
            && call.transfer.early_tags.contains(&id.remote.0)
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
            Some(Phase::AwaitingAck { .. }) => self.hang_up_unacked(AwaitingAck(old), None, now),
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

    /// Notes who answered our INVITE provisionally.
    pub(super) fn note_early(&mut self, key: CallKey, response: &crate::Response) {
        const MAX_EARLY: usize = 16;
        let to = response.headers.to_header().ok();
        let Some(tag) = to.and_then(|to| to.tag().map(str::to_owned)) else { return };
        if let Some(Call { transfer, .. }) = self.calls.get_mut(&key)
            && transfer.early_tags.len() < MAX_EARLY
            && !transfer.early_tags.contains(&tag)
        {
            transfer.early_tags.push(tag);
        }
    }
}
