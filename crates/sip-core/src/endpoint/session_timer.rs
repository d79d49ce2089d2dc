//! Session timers (RFC 4028): a call lasts an agreed interval from each INVITE, re-INVITE or UPDATE that succeeds. One
//! side refreshes it at half of that, the other hangs up shortly before its end: a peer that is gone is found out.

use std::time::{Duration, Instant};

use super::calls::{Call, Phase, TheirReinvite};
use super::glare::{By, Offer};
use super::responses::Finish;
use super::usages::{Scope, scope};
use super::{Due, Endpoint, Owner, contact_value};
use crate::message::{Headers, MinSe, Refresher, SessionExpires};
use crate::transaction::Timer;
use crate::{CallKey, EndReason, Method, Request, RequestId, Response, StatusCode};

/// What we ask for where nothing was agreed on (RFC 4028 §4 recommends it).
const WISHED: Duration = Duration::from_secs(1800);
/// The least that may be asked for (RFC 4028 §5).
const LEAST: Duration = Duration::from_secs(90);
/// A 2xx may not go below what we asked for at least; one that does is taken at its word down to this.
const SHORTEST: Duration = Duration::from_secs(32);
/// A side that does not refresh hangs up so long before the end, or a third of the interval (RFC 4028 §10).
const MARGIN: Duration = Duration::from_secs(32);
/// A refresh that was refused is tried again no sooner.
const RETRY: Duration = Duration::from_secs(5);
/// So many 422 in a row are followed: a peer may not raise its minimum for ever.
const MAX_RAISES: u8 = 3;

/// The session timer of a call.
#[derive(Debug)]
pub(super) struct SessionTimer {
    /// The largest Min-SE that the peer or a proxy named in this call, or `LEAST`.
    least: Duration,
    running: Option<Running>,
    /// Our refresh goes as soon as nothing else is out.
    waits: bool,
    /// Our refresh that is out.
    out: Option<RequestId>,
    /// How many 422 came since the last success.
    raises: u8,
    /// The peer refused an UPDATE that it had allowed.
    no_update: bool,
}

#[derive(Clone, Copy, Debug)]
struct Running {
    interval: Duration,
    /// When we refresh; `None` where the peer does.
    refresh_at: Option<Instant>,
    /// When we hang up, unless a refresh came; `None` where the peer knows no session timers and we refresh to find out
    /// whether it is there.
    until: Option<Instant>,
}

impl Default for SessionTimer {
    fn default() -> Self {
        Self { least: LEAST, running: None, waits: false, out: None, raises: 0, no_update: false }
    }
}

impl SessionTimer {
    /// Session-Expires and Min-SE of an INVITE or UPDATE of ours. Inside a call the roles stay as they are (§7.4).
    pub(super) fn write(&self, headers: &mut Headers) {
        let refresher = self.running.map(|running| match running.refresh_at {
            Some(_) => Refresher::Uac,
            None => Refresher::Uas,
        });
        let value = SessionExpires { interval: self.asked(), refresher };
        headers.set("Session-Expires", value.to_string());
        headers.set("Min-SE", MinSe(self.least).to_string());
    }

    /// A refresh is wanted, whatever the time.
    pub(super) fn ask(&mut self) {
        self.waits = true;
    }

    fn asked(&self) -> Duration {
        self.running.map_or(WISHED, |running| running.interval).max(self.least)
    }

    fn start(&mut self, interval: Duration, ours: bool, binding: bool, now: Instant) {
        self.waits = false;
        self.raises = 0;
        let refresh_at = ours.then(|| now + interval / 2);
        let until = binding.then(|| now + interval - margin(interval));
        self.running = Some(Running { interval, refresh_at, until });
    }

    fn stop(&mut self) {
        self.waits = false;
        self.raises = 0;
        self.running = None;
    }

    fn note_least(&mut self, headers: &Headers) {
        if let Some(said) = min_se(headers) {
            self.least = self.least.max(said);
        }
    }

    /// The 2xx to an INVITE or UPDATE of the peer: takes what it asks for, or asks for ours where it knows timers and
    /// does not (RFC 4028 §9, table 2).
    fn answer(&mut self, asked: &Headers, response: &mut Headers, now: Instant) {
        self.note_least(asked);
        let knows = knows_timers(asked);
        let (interval, refresher) = match session_expires(asked) {
            Some(said) if knows => (said.interval, said.refresher.unwrap_or(Refresher::Uas)),
            // A proxy wrote it, and none may write so little.
            Some(said) if said.interval < LEAST => return self.stop(),
            Some(said) => (said.interval, Refresher::Uas),
            None if knows => (self.asked(), Refresher::Uas),
            None => return self.stop(),
        };
        let value = SessionExpires { interval, refresher: Some(refresher) };
        response.set("Session-Expires", value.to_string());
        if knows {
            response.push("Require", "timer");
        }
        self.start(interval, refresher == Refresher::Uas, true, now);
    }

    /// A 2xx to an INVITE or UPDATE of ours (RFC 4028 §7.2).
    fn answered(&mut self, headers: &Headers, now: Instant) {
        match session_expires(headers) {
            // One without a refresher breaks §9; somebody has to.
            Some(said) => {
                let ours = said.refresher != Some(Refresher::Uas);
                self.start(said.interval.max(SHORTEST), ours, true, now);
            }
            None if knows_timers(headers) => self.stop(),
            None => self.start(self.asked(), true, false, now),
        }
    }

    fn due(&self) -> Option<Instant> {
        let running = self.running?;
        let refresh_at = running.refresh_at.filter(|_| !self.waits && self.out.is_none());
        refresh_at.into_iter().chain(running.until).min()
    }

    /// Nobody read for a while: the session does not end before then, for its refresh may lie unread, or be due by us.
    pub(super) fn prolong(&mut self, least: Instant) {
        if let Some(Running { until: Some(until), .. }) = &mut self.running {
            *until = least.max(*until);
        }
    }

    /// Whether this request is our refresh.
    pub(super) fn is_refresh(&self, request: RequestId) -> bool {
        self.out == Some(request)
    }

    fn refresh_is_out(&mut self, request: RequestId) {
        self.waits = false;
        self.out = Some(request);
    }

    /// It was refused, and the session lasts as long as it did: tried again in half of the rest.
    fn refused(&mut self, sent: bool, glare: Option<Duration>, now: Instant) {
        let Some(running) = &mut self.running else { return };
        if !sent && running.until.is_none() {
            // Not even a peer that knows no timers is waited for without end.
            running.until = Some(now + (running.interval / 2).saturating_sub(MARGIN).max(RETRY));
        }
        if running.refresh_at.is_some() {
            let rest = running.until.map_or(running.interval, |until| until - now);
            running.refresh_at = Some(now + glare.unwrap_or((rest / 2).max(RETRY)));
        }
    }
}

impl Endpoint {
    /// 422 where a peer that knows session timers asks for less than may be (RFC 4028 §9).
    pub(super) fn refuse_interval(request: &Request) -> Option<Response> {
        let said = session_expires(&request.headers)?;
        if said.interval >= LEAST || !knows_timers(&request.headers) {
            return None;
        }
        let mut response = request.response(StatusCode::SESSION_INTERVAL_TOO_SMALL, None);
        response.headers.push("Min-SE", MinSe(LEAST).to_string());
        Some(response)
    }

    /// Writes the session timer into the 2xx to an INVITE or UPDATE of the peer; it runs from here.
    pub(super) fn answer_interval(
        &mut self,
        key: CallKey,
        request: &Request,
        response: &mut Response,
        now: Instant,
    ) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.timer.answer(&request.headers, &mut response.headers, now);
        self.arm_session(key);
    }

    /// A 2xx to an INVITE or UPDATE of ours begins the interval anew.
    pub(super) fn interval_answered(&mut self, key: CallKey, headers: &Headers, now: Instant) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.timer.answered(headers, now);
        self.arm_session(key);
    }

    /// 422 to a request of ours: it goes out again with the interval that is asked for (RFC 4028 §7.3).
    pub(super) fn raise_interval(&mut self, id: u64, response: &Response, now: Instant) -> bool {
        if response.status != StatusCode::SESSION_INTERVAL_TOO_SMALL {
            return false;
        }
        let Some(client) = self.clients.get_mut(&id) else { return false };
        let owner = client.owner.clone();
        let Some(key) = owner.call() else { return false };
        let Some(least) = min_se(&response.headers) else { return false };
        let asked = session_expires(&client.request.headers);
        let Some(asked) = asked.filter(|asked| asked.interval < least) else { return false };
        let Some(call) = self.calls.get_mut(&key) else { return false };
        call.timer.note_least(&response.headers);
        if call.timer.raises >= MAX_RAISES {
            return false;
        }
        call.timer.raises += 1;
        let value = SessionExpires { interval: least, ..asked };
        client.request.headers.set("Session-Expires", value.to_string());
        client.request.headers.set("Min-SE", MinSe(call.timer.least).to_string());
        let challenged = client.challenged.clone();
        self.is_wanted(&owner) && self.send_again(id, owner, challenged, now)
    }

    pub(super) fn session_timeout(&mut self, key: CallKey, now: Instant) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let Some(running) = call.timer.running else { return };
        if !matches!(call.phase, Phase::Confirmed) {
            // The ACK has a time of its own; behind it this is looked at again.
            return;
        }
        if running.until.is_some_and(|until| until <= now) {
            self.end_lost(key, EndReason::SessionExpired, true, now);
            return;
        }
        if running.refresh_at.is_some_and(|at| at <= now) && call.timer.out.is_none() {
            call.timer.waits = true;
            self.send_refresh(key, now);
        }
        self.arm_session(key);
    }

    /// Sends the refresh that waits, where it may go: an UPDATE without a description where the peer takes one, else a
    /// re-INVITE with ours as it is (RFC 4028 §7.4). True where it went.
    pub(super) fn send_refresh(&mut self, key: CallKey, now: Instant) -> bool {
        let Some(call) = self.calls.get_mut(&key) else { return false };
        let ready = call.timer.waits
            && call.timer.out.is_none()
            && call.in_flight.is_none()
            && matches!(call.phase, Phase::Confirmed);
        // The answer to theirs refreshes, too.
        if !ready || matches!(call.their_reinvite, Some(TheirReinvite::Pending { .. })) {
            return false;
        }
        if call.takes_update() {
            self.send_refresh_update(key, now);
            return true;
        }
        let local = call.descriptions.local().filter(|_| call.may_offer()).cloned();
        let (Some(offer), Some(dialog)) = (local, &call.dialog) else { return false };
        let contact = dialog.contact.clone();
        let request = self.new_request_id();
        if let Some(call) = self.calls.get_mut(&key) {
            call.timer.refresh_is_out(request);
        }
        self.send_reinvite(key, Offer::new(request, By::Reinvite(contact), offer), now);
        true
    }

    fn send_refresh_update(&mut self, key: CallKey, now: Instant) {
        let id = self.new_request_id();
        let Some(call) = self.calls.get_mut(&key) else { return };
        let Some(dialog) = call.dialog.as_mut() else { return };
        call.timer.refresh_is_out(id);
        call.in_flight = Some(id);
        let mut request = dialog.request(Method::Update, None);
        let hop = dialog.next_hop(|id| self.connections.contains_key(&id));
        request.headers.push("Contact", contact_value(&dialog.contact, &hop));
        Self::write_capabilities(&self.config, &mut request.headers);
        call.timer.write(&mut request.headers);
        self.start_in_dialog(request, hop, Owner::Refresh { call: key, request: id }, now);
    }

    pub(super) fn refresh_by_update_finished(
        &mut self,
        key: CallKey,
        id: RequestId,
        finish: Finish,
        now: Instant,
    ) {
        if finish.is_provisional() {
            return;
        }
        self.update_finished(key, id, &finish, now);
        self.refresh_finished(key, &Method::Update, &finish, now);
        self.turn_over(Some(key), Scope::Transaction, now);
    }

    /// Our refresh has its outcome. A peer that has lost the call ends it, and so does silence (RFC 4028 §10).
    pub(super) fn refresh_finished(
        &mut self,
        key: CallKey,
        method: &Method,
        finish: &Finish,
        now: Instant,
    ) {
        let reach = scope(method, finish);
        if reach != Scope::Transaction {
            self.settle(key, reach, now);
            return;
        }
        // One that crosses the peer's offer goes again as any other (RFC 3261 §14.1).
        let glare = finish.glare().is_some().then(|| self.glare_delay(key));
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.timer.out = None;
        let (sent, status) = match finish {
            Finish::Response(response, _) => (true, response.status.code()),
            Finish::TimedOut => (true, 408),
            Finish::Unsendable => (false, 503),
        };
        match status {
            200..=299 => {}
            405 | 501 if !call.timer.no_update => {
                call.timer.no_update = true;
                call.timer.waits = true;
            }
            _ => call.timer.refused(sent, glare, now),
        }
        self.arm_session(key);
    }

    pub(super) fn arm_session(&mut self, key: CallKey) {
        let due = self.calls.get(&key).and_then(|call| call.timer.due());
        self.arm(Due::Session(key), due.map(|at| (at, Timer::Session)));
    }
}

impl Call {
    fn takes_update(&self) -> bool {
        let allow = self.dialog.as_ref().and_then(|dialog| dialog.allow.as_ref());
        !self.timer.no_update && allow.is_some_and(|allow| allow.contains(&Method::Update))
    }
}

impl Owner {
    /// The call whose session a request could refresh.
    fn call(&self) -> Option<CallKey> {
        match self {
            Self::InDialog { call, .. }
            | Self::Invite(call)
            | Self::Refresh { call, .. }
            | Self::Reinvite { call, .. } => Some(*call),
            Self::Bye
            | Self::Cancel
            | Self::EarlyUpdate { .. }
            | Self::KeepAlive(_)
            | Self::Notify { .. }
            | Self::Pager(_)
            | Self::Probe { .. }
            | Self::Register(_)
            | Self::Prack { .. }
            | Self::Refer { .. }
            | Self::Subscribe { .. } => None,
        }
    }
}

fn margin(interval: Duration) -> Duration {
    MARGIN.min(interval / 3)
}

/// Session-Expires; what cannot be read is as good as none.
fn session_expires(headers: &Headers) -> Option<SessionExpires> {
    SessionExpires::parse(headers.get("Session-Expires")?).ok()
}

fn min_se(headers: &Headers) -> Option<Duration> {
    Some(MinSe::parse(headers.get("Min-SE")?).ok()?.0)
}

fn knows_timers(headers: &Headers) -> bool {
    let mut tags = headers.supported().into_iter().chain(headers.require());
    tags.any(|tag| tag.eq_ignore_ascii_case("timer"))
}
