//! REFER as the one who is asked to call somebody: it is checked and handed over, and what becomes of the new call is told
//! to who asked, at most once a second (RFC 3515, RFC 3892, RFC 4488).

use std::time::{Duration, Instant};

use super::requests::Arrival;
use super::responses::Finish;
use super::subscriptions::Place;
use super::{Contact, Endpoint, answer_contact};
use crate::dialog::Dialog;
use crate::message::StatusFragment;
use crate::{
    CallFailure, CallKey, Content, Event, Failure, NameAddr, PendingRefer, ReferTo, Request,
    StatusCode, SubscriptionKey,
};

/// How long we tell of one: longer than any INVITE rings.
const LASTS: Duration = Duration::from_secs(300);
/// RFC 3515 §3.10.
const PAUSE: Duration = Duration::from_secs(1);

/// What a call has to do with REFER and Replaces.
#[derive(Debug, Default)]
pub(super) struct Transfer {
    /// Who wanted us to make this call is told what becomes of it.
    tells: Option<SubscriptionKey>,
    /// A REFER came in its dialog: the next one's events have an id (RFC 3515 §2.4.6).
    referred: bool,
    /// The call whose place it takes, and whether our user allows that.
    pub(super) replaces: Option<(CallKey, bool)>,
    /// The call that took its place; it is hung up as soon as it may be.
    pub(super) replaced_by: Option<CallKey>,
}

/// What was told of a REFER.
#[derive(Debug)]
pub(super) struct Progress {
    status: StatusCode,
    pub(super) sent_at: Option<Instant>,
    /// The status was not told yet.
    pub(super) due: bool,
}

impl Progress {
    /// When the status may be told.
    pub(super) fn due_at(&self) -> Option<Instant> {
        Some(self.sent_at? + PAUSE).filter(|_| self.due)
    }
}

impl Endpoint {
    pub(super) fn handle_refer(&mut self, arrival: Arrival, call: Option<CallKey>, now: Instant) {
        let (refer_to, referred_by) = match read(&arrival.request) {
            Ok(read) => read,
            Err(status) => {
                self.respond_status(arrival.server, &arrival.request, status, now);
                return;
            }
        };
        let id = self.hold(&arrival, call, None, now);
        let identity = self.identity_of(arrival.server);
        self.emit(Event::Referred {
            refer: PendingRefer(id),
            call,
            refer_to: Box::new(refer_to),
            referred_by: referred_by.map(Box::new),
            request: arrival.request,
            flow: arrival.flow,
            identity,
        });
    }

    /// 202: it is tried. Who asked is told 100 at once, and then what [`Endpoint::follow_refer`] or
    /// [`Endpoint::refer_progress`] say under this key; `None` where he does not want to be told (RFC 4488 §4). Ask the
    /// user before calling anybody, after this.
    pub fn accept_refer(
        &mut self,
        refer: PendingRefer,
        contact: Contact,
        now: Instant,
    ) -> Option<SubscriptionKey> {
        let pending = self.take_pending(refer.0)?;
        let request = &pending.request;
        let tag = self.servers.get(&pending.server).map(|server| server.tag.clone())?;
        let mut response = request.response(StatusCode::ACCEPTED, Some(&tag));
        super::calls::copy_record_route(request, &mut response);
        response.headers.push("Contact", answer_contact(&contact, &pending.flow, &pending.request));
        let quiet = wants_quiet(request);
        if quiet {
            response.headers.push("Refer-Sub", "false");
        }
        self.respond_with(pending.server, response, now);
        if quiet {
            return None;
        }
        let (place, event_id) = match pending.call {
            Some(key) => {
                let transfer = &mut self.calls.get_mut(&key)?.transfer;
                let first = !std::mem::replace(&mut transfer.referred, true);
                let number = request.headers.cseq().map_or(0, |cseq| cseq.number);
                (Place::Shared(key), (!first).then(|| number.to_string()))
            }
            None => {
                let dialog = Dialog::as_server(request, &tag, pending.flow, contact)?;
                (Place::Own(Box::new(dialog)), None)
            }
        };
        let progress = Progress { status: StatusCode::TRYING, sent_at: None, due: true };
        let key = self.begin_progress(place, event_id, progress, now + LASTS);
        self.tell_progress(key, now);
        Some(key)
    }

    /// Refuses it.
    pub fn reject_refer(&mut self, refer: PendingRefer, why: Failure, now: Instant) {
        if let Some(pending) = self.take_pending(refer.0) {
            self.respond_status(pending.server, &pending.request, why.into(), now);
        }
    }

    /// What becomes of this call of ours is what becomes of that REFER.
    pub fn follow_refer(&mut self, refer: SubscriptionKey, call: CallKey) {
        if let Some(call) = self.calls.get_mut(&call) {
            call.transfer.tells = Some(refer);
        }
    }

    /// Tells who sent a REFER how far it is; a final status ends it.
    pub fn refer_progress(&mut self, refer: SubscriptionKey, status: StatusCode, now: Instant) {
        let Some(progress) = self.progress_mut(refer) else { return };
        if !progress.status.is_provisional() || progress.status == status {
            return;
        }
        progress.status = status;
        progress.due = true;
        self.tell_progress(refer, now);
    }

    /// Sends the status that is due, or waits until it may.
    pub(super) fn tell_progress(&mut self, key: SubscriptionKey, now: Instant) {
        let Some(progress) = self.progress_mut(key) else { return };
        if progress.due && progress.due_at().is_none_or(|at| at <= now) {
            progress.due = false;
            progress.sent_at = Some(now);
            let status = progress.status;
            let terminate = (!status.is_provisional()).then_some("noresource");
            self.notify(key, Some(StatusFragment::content(status)), terminate, now);
        }
        self.arm_progress(key);
    }

    /// A SUBSCRIBE refreshed the news of a REFER, or ended them.
    pub(super) fn refer_refreshed(&mut self, key: SubscriptionKey, now: Instant) {
        let Some(progress) = self.progress_mut(key) else { return };
        progress.due = true;
        let body: Content = StatusFragment::content(progress.status);
        if self.has_run_out(key, now) {
            self.notify(key, Some(body), None, now);
        } else {
            self.tell_progress(key, now);
        }
    }

    /// Our INVITE was heard of: so is the REFER that led to it.
    pub(super) fn tell_referrer(&mut self, call: CallKey, status: StatusCode, now: Instant) {
        if let Some(refer) = self.calls.get(&call).and_then(|call| call.transfer.tells) {
            self.refer_progress(refer, status, now);
        }
    }

    /// Our INVITE came to nothing.
    pub(super) fn tell_referrer_failure(
        &mut self,
        call: CallKey,
        failure: &CallFailure,
        now: Instant,
    ) {
        self.tell_referrer(call, failure.status(), now);
    }
}

/// Refer-To and Referred-By, where they are as they have to be.
fn read(request: &Request) -> Result<(ReferTo, Option<NameAddr>), StatusCode> {
    let headers = &request.headers;
    let mut targets = headers.get_all("Refer-To");
    let (Some(target), None) = (targets.next(), targets.next()) else {
        return Err(StatusCode::BAD_REQUEST);
    };
    let refer_to = ReferTo::parse(target).map_err(|fault| fault.status())?;
    let mut referrers = headers.get_all("Referred-By");
    let referred_by = match (referrers.next(), referrers.next()) {
        (None, _) => None,
        (Some(one), None) => {
            let mut one = NameAddr::parse(one).map_err(|_| StatusCode::BAD_REQUEST)?;
            // The proof it points to does not travel with the address.
            one.params.remove("cid");
            Some(one)
        }
        (Some(_), Some(_)) => return Err(StatusCode::BAD_REQUEST),
    };
    Ok((refer_to, referred_by))
}

/// RFC 4488 §4: who sends it does not want to be told.
fn wants_quiet(request: &Request) -> bool {
    let value = request.headers.get("Refer-Sub").unwrap_or_default();
    value.split(';').next().is_some_and(|value| value.trim().eq_ignore_ascii_case("false"))
}

/// A REFER of ours was answered that nobody will be told of.
pub(super) fn is_quiet(finish: &Finish) -> bool {
    matches!(finish, Finish::Response(response, _)
        if response.headers.get("Refer-Sub").is_some_and(|value| value.trim().starts_with("false")))
}
