//! Requests that come in: matched, checked, and handed to the part that owns their method (RFC 3261 §8.2, §12.2.2).

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::calls::TheirReinvite;
use super::transport::note_source;
use super::{
    Due, Endpoint, MAX_ANSWERED, MAX_PER_SOURCE, MAX_TRANSACTIONS, MergedKey, Pending, RESERVED,
    ServerKey, ServerMachine, ServerTransaction, bodies, capabilities,
};
use crate::dialog::DialogId;
use crate::transaction::{Again, Fired, ServerInvite, ServerOther, Timer};
use crate::{
    AnyUri, CallKey, Event, Flow, Method, Reason, Request, RequestId, Response, Scheme, StatusCode,
    SubscriptionKey, Transport,
};

/// What a user may take for a MESSAGE or a SUBSCRIBE before we answer 500 ourselves: a phone that waits hangs up.
const UNANSWERED: Duration = Duration::from_secs(5);

/// A request that passed the transaction layer.
pub(super) struct Arrival {
    pub(super) request: Request,
    pub(super) flow: Flow,
    pub(super) server: u64,
}

impl Endpoint {
    pub(super) fn handle_request(&mut self, mut request: Request, flow: Flow, now: Instant) {
        // Before it is noted where it came from: an old peer's Via is compared as a whole.
        let Some(key) = server_key(&request) else { return };
        let back = note_source(&mut request, flow);
        if request.method == Method::Ack {
            self.handle_ack(request, &key, now);
            return;
        }
        if let Some(id) = self.server_index.get(&key).copied() {
            self.answer_again(id);
            return;
        }
        if request.method == Method::Cancel {
            self.handle_cancel(&request, key, back, now);
            return;
        }
        let merged = merged_key(&request).filter(|_| !has_to_tag(&request));
        self.make_room(&request);
        let refusal =
            self.check(&request, &flow).or_else(|| self.check_place(&request, back, &merged));
        if let Some(response) = refusal {
            self.refuse(&request, response, back);
            return;
        }
        let identity = match self.identify(&request, &flow, now) {
            Ok(identity) => identity,
            Err(response) => {
                self.refuse(&request, *response, back);
                return;
            }
        };
        let server = self.start_server(&request, key, back, merged);
        if let Some(transaction) = self.servers.get_mut(&server) {
            transaction.identity = identity;
        }
        self.dispatch(Arrival { request, flow, server }, now);
    }

    /// Whether there is anybody to take a request, and room for it. What is refused here is not remembered: strangers
    /// can send as many as they like.
    fn check_place(
        &self,
        request: &Request,
        back: Flow,
        merged: &Option<MergedKey>,
    ) -> Option<Response> {
        let answer = |status| Some(request.response(status, None));
        let held = self.servers.len() + self.clients.len();
        if has_to_tag(request) {
            let known = self.call_of(request).is_some() || self.subscription_of(request).is_some();
            if !known {
                return answer(StatusCode::NO_SUCH_CALL);
            }
            if held >= MAX_TRANSACTIONS && request.method != Method::Bye {
                // In a dialog 503 would be more than this one request's refusal to some.
                let mut response = request.response(StatusCode::SERVER_INTERNAL_ERROR, None);
                response.headers.push("Retry-After", "5");
                return Some(response);
            }
            return None;
        }
        if matches!(
            request.method,
            Method::Notify | Method::Bye | Method::Info | Method::Prack | Method::Update
        ) {
            return answer(StatusCode::NO_SUCH_CALL);
        }
        if self.served_by(request).is_none() {
            return answer(StatusCode::NOT_FOUND);
        }
        let share = self.sources.get(&back.remote.ip()).copied().unwrap_or_default();
        if held >= MAX_TRANSACTIONS - RESERVED || share >= MAX_PER_SOURCE {
            return answer(StatusCode::SERVICE_UNAVAILABLE);
        }
        if merged.as_ref().is_some_and(|key| self.merged_index.contains_key(key)) {
            return answer(StatusCode::LOOP_DETECTED);
        }
        None
    }

    /// When there is no room left, a call has as much as it had: for its next request the oldest answer goes.
    fn make_room(&mut self, request: &Request) {
        if self.servers.len() + self.clients.len() < MAX_TRANSACTIONS {
            return;
        }
        let Some(call) = self.call_of(request).and_then(|key| self.calls.get_mut(&key)) else {
            return;
        };
        while let Some(oldest) = call.answered.pop_front() {
            if self.servers.contains_key(&oldest) {
                self.forget_server(oldest);
                return;
            }
        }
    }

    /// An answered request takes its place among those of its call.
    fn note_answered(&mut self, server: u64) {
        let within = self.servers.get(&server).and_then(|transaction| transaction.within);
        let Some(call) = within.and_then(|key| self.calls.get_mut(&key)) else { return };
        call.answered.push_back(server);
        if call.answered.len() > MAX_ANSWERED
            && let Some(oldest) = call.answered.pop_front()
        {
            self.forget_server(oldest);
        }
    }

    /// The call in whose dialog a request is.
    fn call_of(&self, request: &Request) -> Option<CallKey> {
        self.dialogs.get(&DialogId::of_request(&request.headers)?).copied()
    }

    /// Everything that is wrong with a request whatever its method; the response that says so.
    fn check(&self, request: &Request, flow: &Flow) -> Option<Response> {
        let answer = |status| Some(request.response(status, None));
        match &request.uri {
            AnyUri::Other(_) => return answer(StatusCode::UNSUPPORTED_URI_SCHEME),
            // sips is never taken for less than TLS (RFC 3261 §26.2.2).
            AnyUri::Sip(uri) if uri.scheme == Scheme::Sips && flow.transport != Transport::Tls => {
                return answer(StatusCode::UNSUPPORTED_URI_SCHEME);
            }
            AnyUri::Sip(_) => {}
        }
        if !capabilities::ALLOW.contains(&request.method.as_str()) {
            let known = !matches!(request.method, Method::Other(_));
            let status =
                if known { StatusCode::METHOD_NOT_ALLOWED } else { StatusCode::NOT_IMPLEMENTED };
            let mut response = request.response(status, None);
            response.headers.push("Allow", capabilities::ALLOW.join(", "));
            return Some(response);
        }
        let mut required = request.headers.require();
        required.retain(|tag| !capabilities::SUPPORTED.contains(tag));
        if !required.is_empty() {
            let mut response = request.response(StatusCode::BAD_EXTENSION, None);
            response.headers.push("Unsupported", required.join(", "));
            return Some(response);
        }
        super::replaces::is_misplaced(request)
            .then(|| request.response(StatusCode::BAD_REQUEST, None))
    }

    fn dispatch(&mut self, mut arrival: Arrival, now: Instant) {
        let server = arrival.server;
        if has_to_tag(&arrival.request) {
            let call = self.call_of(&arrival.request);
            if arrival.request.method == Method::Notify {
                self.handle_notify(arrival, call, now);
            } else if let Some(call) = call {
                self.handle_in_dialog(arrival, call, now);
            } else if let Some(key) = self.subscription_of(&arrival.request) {
                self.handle_subscription_request(arrival, key, now);
            } else {
                self.respond_status(server, &arrival.request, StatusCode::NO_SUCH_CALL, now);
            }
            return;
        }
        if let Err(response) = bodies::settle(&mut arrival.request) {
            self.respond_with(server, *response, now);
            return;
        }
        match arrival.request.method {
            Method::Invite => self.handle_invite(arrival, now),
            Method::Message => self.hand_over_message(arrival, None, now),
            Method::Options => self.answer_options(server, &arrival.request, &arrival.flow, now),
            Method::Refer => self.handle_refer(arrival, None, now),
            Method::Subscribe => self.handle_subscribe(arrival, None, now),
            Method::Ack
            | Method::Bye
            | Method::Cancel
            | Method::Info
            | Method::Notify
            | Method::Prack
            | Method::Publish
            | Method::Register
            | Method::Update
            | Method::Other(_) => {
                self.respond_status(server, &arrival.request, StatusCode::METHOD_NOT_ALLOWED, now);
            }
        }
    }

    /// A MESSAGE for the user to answer, at once.
    pub(super) fn hand_over_message(
        &mut self,
        arrival: Arrival,
        call: Option<CallKey>,
        now: Instant,
    ) {
        let id = self.hold(&arrival, call, None, now);
        let Arrival { request, flow, server } = arrival;
        let identity = self.identity_of(server);
        let message = crate::PendingMessage(id);
        self.emit(Event::Message { message, call, request, flow, identity });
    }

    /// Keeps a request until its user answers.
    pub(super) fn hold(
        &mut self,
        arrival: &Arrival,
        call: Option<CallKey>,
        subscription: Option<SubscriptionKey>,
        now: Instant,
    ) -> RequestId {
        let id = self.new_request_id();
        let pending = Pending {
            server: arrival.server,
            request: arrival.request.clone(),
            flow: arrival.flow,
            call,
            subscription,
            until: now + UNANSWERED,
        };
        // RFC 4320 §4.1: after that time 100 tells the peer to be patient, and before it nothing may.
        let trying = Some(now + self.times.until_t2())
            .filter(|_| pending.request.method != Method::Invite)
            .map_or(pending.until, |trying| trying.min(pending.until));
        self.pending.insert(id, pending);
        self.arm(Due::Pending(id), Some((trying, Timer::Unanswered)));
        id
    }

    /// The request of a key, which is then used up.
    pub(super) fn take_pending(&mut self, id: RequestId) -> Option<Pending> {
        self.arm(Due::Pending(id), None);
        self.pending.remove(&id)
    }

    pub(super) fn pending_timeout(&mut self, id: RequestId, now: Instant) {
        if let Some(pending) = self.pending.get(&id).filter(|pending| pending.until > now) {
            let (server, until) = (pending.server, pending.until);
            let trying = trying(&pending.request);
            self.arm(Due::Pending(id), Some((until, Timer::Unanswered)));
            self.respond_with(server, trying, now);
            return;
        }
        if let Some(pending) = self.take_pending(id) {
            tracing::warn!(method = %pending.request.method, "left unanswered");
            self.refuse_reinvite(&pending);
            self.respond_status(
                pending.server,
                &pending.request,
                StatusCode::SERVER_INTERNAL_ERROR,
                now,
            );
            if let Some(key) = pending.call {
                self.send_next(key, now);
            }
        }
    }

    /// Their re-INVITE has its final answer: the next one may come, and ours may go.
    pub(super) fn release_reinvite(&mut self, pending: &Pending) {
        if matches!(pending.request.method, Method::Invite | Method::Update)
            && let Some(call) = pending.call.and_then(|key| self.calls.get_mut(&key))
        {
            call.their_reinvite = None;
        }
    }

    /// It was refused: nothing of it counts.
    pub(super) fn refuse_reinvite(&mut self, pending: &Pending) {
        if let Some(call) = pending.call.and_then(|key| self.calls.get_mut(&key))
            && matches!(pending.request.method, Method::Invite | Method::Update)
            && let Some(TheirReinvite::Pending { before }) = call.their_reinvite.take()
            && let Some(dialog) = call.dialog.as_mut()
        {
            dialog.remote_target = before;
        }
    }

    /// What the peer asked in a call and we have not answered ends with it (RFC 3261 §15.1.2). A text has its answer
    /// from its user at once, whatever becomes of the call.
    pub(super) fn terminate_pending(&mut self, key: CallKey, now: Instant) {
        let open: Vec<RequestId> = self
            .pending
            .iter()
            .filter(|(_, pending)| {
                pending.call == Some(key) && pending.request.method != Method::Message
            })
            .map(|(id, _)| *id)
            .collect();
        for id in open {
            if let Some(Pending { server, request, .. }) = self.take_pending(id) {
                self.respond_status(server, &request, StatusCode::REQUEST_TERMINATED, now);
            }
        }
    }

    /// As an INVITE would be answered at this moment, with all that we can (RFC 3261 §11.2).
    pub(super) fn answer_options(
        &mut self,
        server: u64,
        request: &Request,
        flow: &Flow,
        now: Instant,
    ) {
        let served = self.served_by(request);
        let user = served.map(|served| served.user.as_str()).unwrap_or_default();
        let told = self.presented.get(user);
        let status = told.and_then(|told| told.refusal).map_or(StatusCode::OK, StatusCode::from);
        let mut response = request.response(status, None);
        Self::write_option_capabilities(&self.config, &mut response.headers);
        if let Some(served) = served {
            response.headers.push("Contact", super::answer_contact(served, flow, request));
        }
        let session = told.and_then(|told| told.session.clone());
        if let Some(session) = session.filter(|_| status.is_success() && takes_sdp(request)) {
            response.set_content(session);
        }
        self.respond_with(server, response, now);
    }

    fn start_server(
        &mut self,
        request: &Request,
        key: ServerKey,
        flow: Flow,
        merged: Option<MergedKey>,
    ) -> u64 {
        let id = self.new_id();
        let tag = self.token();
        let machine = if request.method == Method::Invite {
            ServerMachine::Invite(ServerInvite::new(Bytes::new()))
        } else {
            ServerMachine::Other(ServerOther::new())
        };
        self.server_index.insert(key.clone(), id);
        if let Some(merged) = &merged {
            self.merged_index.insert(merged.clone(), id);
        }
        let source = (!has_to_tag(request)).then(|| flow.remote.ip());
        let within = source.is_none().then(|| self.call_of(request)).flatten();
        if let Some(source) = source {
            *self.sources.entry(source).or_default() += 1;
        }
        let identity = crate::Identity::Unverified;
        let transaction = ServerTransaction {
            machine,
            key,
            flow,
            tag,
            call: None,
            within,
            merged,
            identity,
            source,
        };
        self.servers.insert(id, transaction);
        id
    }

    /// A final answer without more than its status.
    pub(super) fn respond_status(
        &mut self,
        server: u64,
        request: &Request,
        status: StatusCode,
        now: Instant,
    ) {
        let response = request.response(status, None);
        self.respond_with(server, response, now);
    }

    /// A response of a server transaction: gets our tag and goes where the request came from. Of a request other than
    /// INVITE no provisional response but 100 is sent, and never 408: it would come too late (RFC 4320 §4).
    pub(super) fn respond_with(&mut self, server: u64, mut response: Response, now: Instant) {
        self.write_agent(&mut response.headers, "Server");
        let times = self.times;
        let Some(transaction) = self.servers.get_mut(&server) else { return };
        if response.status != StatusCode::TRYING {
            add_tag(&mut response, &transaction.tag);
        }
        let reliable = transaction.flow.transport.is_reliable();
        let bytes = response.to_bytes();
        match &mut transaction.machine {
            ServerMachine::Invite(machine) if response.status.is_provisional() => {
                machine.provisional(bytes.clone());
            }
            ServerMachine::Invite(machine) if response.status.is_success() => {
                machine.success(&times, now)
            }
            ServerMachine::Invite(machine) => machine.failure(bytes.clone(), reliable, &times, now),
            ServerMachine::Other(machine) if response.status.is_provisional() => {
                if response.status != StatusCode::TRYING || !machine.trying(bytes.clone()) {
                    return;
                }
            }
            ServerMachine::Other(machine) if response.status == StatusCode::REQUEST_TIMEOUT => {
                machine.give_up(&times, now);
                self.arm_server(server);
                return;
            }
            ServerMachine::Other(machine) => {
                if !machine.respond(bytes.clone(), reliable, &times, now) {
                    return;
                }
            }
        }
        let flow = transaction.flow;
        if matches!(transaction.machine, ServerMachine::Other(_)) {
            self.note_answered(server);
        }
        self.arm_server(server);
        self.transmit(flow, bytes);
    }

    fn answer_again(&mut self, server: u64) {
        let Some(transaction) = self.servers.get(&server) else { return };
        let (again, response) = match &transaction.machine {
            ServerMachine::Invite(machine) => (machine.handle_again(), machine.response()),
            ServerMachine::Other(machine) => (machine.handle_again(), machine.response()),
        };
        if let (Again::Resend, Some(bytes)) =
            (again, response.filter(|bytes| !bytes.is_empty()).cloned())
        {
            let flow = transaction.flow;
            self.transmit(flow, bytes);
        }
    }

    fn handle_ack(&mut self, request: Request, key: &ServerKey, now: Instant) {
        let times = self.times;
        if let Some(id) = self.acknowledged(&request, key)
            && let Some(transaction) = self.servers.get_mut(&id)
            && let ServerMachine::Invite(machine) = &mut transaction.machine
            && machine.handle_ack(transaction.flow.transport.is_reliable(), &times, now)
        {
            self.arm_server(id);
            return;
        }
        self.handle_success_ack(request, now);
    }

    /// The INVITE that an ACK is for, by its branch; that of an old peer by what it answers, whose To has our tag where
    /// the INVITE's had none (RFC 3261 §17.2.3).
    fn acknowledged(&self, ack: &Request, key: &ServerKey) -> Option<u64> {
        let key = ServerKey { method: Method::Invite, ..key.clone() };
        if !key.branch.contains('\n') {
            return self.server_index.get(&key).copied();
        }
        let tag = ack.headers.to_tag()?;
        let untagged =
            ServerKey { branch: key.branch.strip_suffix(tag)?.to_owned(), ..key.clone() };
        let is_ours = |id: &&u64| self.servers.get(*id).is_some_and(|known| known.tag == tag);
        let found = self.server_index.get(&untagged).filter(is_ours);
        found.or_else(|| self.server_index.get(&key)).copied()
    }

    fn handle_cancel(&mut self, request: &Request, key: ServerKey, back: Flow, now: Instant) {
        let invite = ServerKey { method: Method::Invite, ..key.clone() };
        let found = self.server_index.get(&invite).copied().and_then(|invite| {
            let transaction = self.servers.get(&invite)?;
            Some((invite, transaction.tag.clone(), transaction.call))
        });
        let Some((invite, tag, call)) = found else {
            self.refuse(request, request.response(StatusCode::NO_SUCH_CALL, None), back);
            return;
        };
        let server = self.start_server(request, key, back, None);
        self.respond_with(server, request.response(StatusCode::OK, Some(&tag)), now);
        match call {
            Some(call) => self.cancelled_by_peer(call, invite, Reason::of(&request.headers), now),
            None => self.reinvite_cancelled(invite, now),
        }
    }

    /// The peer takes back a re-INVITE that our user has not answered; the session stays as it was.
    fn reinvite_cancelled(&mut self, invite: u64, now: Instant) {
        let mut open = self.pending.iter();
        let id = open.find(|(_, pending)| pending.server == invite).map(|(id, _)| *id);
        if let Some(pending) = id.and_then(|id| self.take_pending(id)) {
            self.refuse_reinvite(&pending);
            let status = StatusCode::REQUEST_TERMINATED;
            self.respond_status(pending.server, &pending.request, status, now);
            if let Some(key) = pending.call {
                self.send_next(key, now);
            }
        }
    }

    pub(super) fn arm_server(&mut self, id: u64) {
        let next = self.servers.get(&id).and_then(|transaction| match &transaction.machine {
            ServerMachine::Invite(machine) => machine.deadline(),
            ServerMachine::Other(machine) => machine.deadline(),
        });
        self.arm(Due::Server(id), next);
    }

    pub(super) fn server_timeout(&mut self, id: u64, now: Instant) {
        let Some(transaction) = self.servers.get_mut(&id) else { return };
        let fired = match &mut transaction.machine {
            ServerMachine::Invite(machine) => machine.handle_timeout(now),
            ServerMachine::Other(machine) => machine.handle_timeout(now),
        };
        match fired {
            Fired::Nothing => self.arm_server(id),
            Fired::Retransmit => {
                self.answer_again(id);
                self.arm_server(id);
            }
            Fired::Done | Fired::TimedOut => {
                self.forget_server(id);
            }
        }
    }

    fn forget_server(&mut self, id: u64) {
        self.arm(Due::Server(id), None);
        let Some(transaction) = self.servers.remove(&id) else { return };
        self.server_index.remove(&transaction.key);
        if let Some(merged) = &transaction.merged {
            self.merged_index.remove(merged);
        }
        if let Some(source) = transaction.source
            && let Some(share) = self.sources.get_mut(&source)
        {
            *share -= 1;
            if *share == 0 {
                self.sources.remove(&source);
            }
        }
    }
}

/// Whether an answer may have a session description: Accept says so, or says nothing.
pub(super) fn takes_sdp(request: &Request) -> bool {
    let takes = ["application/sdp", "application/*", "*/*"];
    let accept = request.headers.accept();
    accept.is_none_or(|types| types.iter().any(|kind| takes.contains(&kind.as_str())))
}

/// Gives To this tag where it has none.
pub(super) fn add_tag(response: &mut Response, tag: &str) {
    if response.headers.to_header().is_ok_and(|to| to.tag().is_none()) {
        let value = format!("{};tag={tag}", response.headers.get("To").unwrap_or_default());
        response.headers.set("To", value);
    }
}

/// Branch, sent-by and method (RFC 3261 §17.2.3). A request of RFC 2543 has no branch that tells it apart: there it is
/// all that a repetition has in common with it.
pub(super) fn server_key(request: &Request) -> Option<ServerKey> {
    let via = request.headers.top_via().ok()?;
    let branch = match via.branch().filter(|branch| is_unique(branch)) {
        Some(branch) => branch.to_owned(),
        None => old_branch(request)?,
    };
    let tls = via.transport.eq_ignore_ascii_case(Transport::Tls.via_token());
    let usual = if tls { Transport::Tls } else { Transport::Udp }.default_port();
    let sent_by = format!("{}:{}", via.host, via.port.unwrap_or(usual)).to_ascii_lowercase();
    Some(ServerKey { branch, sent_by, method: request.method.clone() })
}

/// The sign of RFC 3261 alone tells nothing apart (RFC 4475 §3.2.1).
fn is_unique(branch: &str) -> bool {
    branch.len() > 7 && branch.starts_with("z9hG4bK")
}

/// Request-URI, both tags, Call-ID, the number of CSeq and the whole top Via (RFC 3261 §17.2.3). No line end gets into
/// any of them, so that none passes for another, nor for a branch. The tag of To is last: that of an ACK has to come off.
fn old_branch(request: &Request) -> Option<String> {
    let headers = &request.headers;
    let (call_id, number) = (headers.call_id()?, headers.cseq().ok()?.number);
    let (tag, via) = (headers.from_tag().unwrap_or_default(), headers.top_via().ok()?);
    let to_tag = headers.to_tag().unwrap_or_default();
    Some(format!("{}\n{tag}\n{call_id}\n{number}\n{via}\n{to_tag}", request.uri))
}

fn merged_key(request: &Request) -> Option<MergedKey> {
    let headers = &request.headers;
    let from = headers.from_header().ok()?;
    let tag = from.tag().unwrap_or_default().to_owned();
    Some((headers.call_id()?.to_owned(), tag, headers.cseq().ok()?.to_string()))
}

/// 100 with the Timestamp of the request (RFC 3261 §8.2.6.1).
pub(super) fn trying(request: &Request) -> Response {
    let mut response = request.response(StatusCode::TRYING, None);
    if let Some(stamp) = request.headers.get("Timestamp") {
        response.headers.push("Timestamp", stamp);
    }
    response
}

fn has_to_tag(request: &Request) -> bool {
    request.headers.to_header().is_ok_and(|to| to.tag().is_some())
}
