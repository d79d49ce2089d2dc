//! Requests that come in: matched, checked, and handed to the part that owns their method (RFC 3261 §8.2, §12.2.2).

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::transport::note_source;
use super::{
    Due, Endpoint, MAX_TRANSACTIONS, Pending, ServerKey, ServerMachine, ServerTransaction,
    capabilities,
};
use crate::dialog::DialogId;
use crate::transaction::{Again, Fired, ServerInvite, ServerOther, Timer};
use crate::{
    AnyUri, CallKey, Event, Flow, Method, Request, RequestId, Response, Scheme, StatusCode,
    SubscriptionKey,
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
        let back = note_source(&mut request, flow);
        let Some(key) = server_key(&request) else { return };
        if request.method == Method::Ack {
            self.handle_ack(request, &key, now);
            return;
        }
        if let Some(id) = self.server_index.get(&key).copied() {
            self.answer_again(id);
            return;
        }
        if request.method == Method::Cancel {
            self.handle_cancel(&request, back, now);
            return;
        }
        if self.servers.len() + self.clients.len() >= MAX_TRANSACTIONS {
            self.send_stateless(
                request.response(StatusCode::SERVICE_UNAVAILABLE, Some("overload")),
                back,
            );
            return;
        }
        let merged = merged_key(&request).filter(|_| !has_to_tag(&request));
        if merged.as_ref().is_some_and(|key| self.merged_index.contains_key(key)) {
            self.send_stateless(request.response(StatusCode::LOOP_DETECTED, Some("merged")), back);
            return;
        }
        let server = self.start_server(&request, key, back);
        if let Some(merged) = merged {
            self.merged_index.insert(merged, server);
        }
        let arrival = Arrival { request, flow, server };
        match self.check(&arrival.request) {
            Some(response) => self.respond_with(server, response, now),
            None => self.dispatch(arrival, now),
        }
    }

    /// Everything that is wrong with a request whatever its method; the response that says so.
    fn check(&mut self, request: &Request) -> Option<Response> {
        let answer = |status| Some(request.response(status, None));
        match &request.uri {
            AnyUri::Other(_) => return answer(StatusCode::UNSUPPORTED_URI_SCHEME),
            // There is no TLS, and sips is never taken for less.
            AnyUri::Sip(uri) if uri.scheme == Scheme::Sips => {
                return answer(StatusCode::UNSUPPORTED_URI_SCHEME);
            }
            AnyUri::Sip(_) => {}
        }
        let required = request.headers.require();
        if !required.is_empty() {
            let mut response = request.response(StatusCode::BAD_EXTENSION, None);
            response.headers.push("Unsupported", required.join(", "));
            return Some(response);
        }
        if !capabilities::ALLOW.contains(&request.method.as_str()) {
            let known = !matches!(request.method, Method::Other(_));
            let status =
                if known { StatusCode::METHOD_NOT_ALLOWED } else { StatusCode::NOT_IMPLEMENTED };
            let mut response = request.response(status, None);
            response.headers.push("Allow", capabilities::ALLOW.join(", "));
            return Some(response);
        }
        None
    }

    fn dispatch(&mut self, arrival: Arrival, now: Instant) {
        let Arrival { request, server, .. } = &arrival;
        let server = *server;
        if has_to_tag(request) {
            let call = DialogId::of_request(&request.headers)
                .and_then(|id| self.dialogs.get(&id).copied());
            if request.method == Method::Notify {
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
        if request.method == Method::Notify || request.method == Method::Bye {
            self.respond_status(server, &arrival.request, StatusCode::NO_SUCH_CALL, now);
            return;
        }
        if self.served_by(request).is_none() {
            self.respond_status(server, &arrival.request, StatusCode::NOT_FOUND, now);
            return;
        }
        match request.method {
            Method::Invite => self.handle_invite(arrival, now),
            Method::Message => self.hand_over_message(arrival, None, now),
            Method::Options => self.answer_options(server, &arrival.request, &arrival.flow, now),
            Method::Subscribe => self.handle_subscribe(arrival, None, None, now),
            Method::Ack
            | Method::Bye
            | Method::Cancel
            | Method::Info
            | Method::Notify
            | Method::Prack
            | Method::Publish
            | Method::Refer
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
        let Arrival { request, flow, .. } = arrival;
        self.emit(Event::Message { message: crate::PendingMessage(id), call, request, flow });
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
        };
        self.pending.insert(id, pending);
        self.arm(Due::Pending(id), Some((now + UNANSWERED, Timer::Unanswered)));
        id
    }

    /// The request of a key, which is then used up.
    pub(super) fn take_pending(&mut self, id: RequestId) -> Option<Pending> {
        self.arm(Due::Pending(id), None);
        self.pending.remove(&id)
    }

    pub(super) fn pending_timeout(&mut self, id: RequestId, now: Instant) {
        if let Some(pending) = self.take_pending(id) {
            tracing::warn!(method = %pending.request.method, "left unanswered");
            self.respond_status(
                pending.server,
                &pending.request,
                StatusCode::SERVER_INTERNAL_ERROR,
                now,
            );
        }
    }

    pub(super) fn answer_options(
        &mut self,
        server: u64,
        request: &Request,
        flow: &Flow,
        now: Instant,
    ) {
        let mut response = request.response(StatusCode::OK, None);
        Self::write_capabilities(&mut response.headers);
        if let Some(served) = self.served_by(request) {
            response.headers.push("Contact", super::contact_value(served, flow));
        }
        self.respond_with(server, response, now);
    }

    fn start_server(&mut self, request: &Request, key: ServerKey, flow: Flow) -> u64 {
        let id = self.new_id();
        let tag = self.token();
        let machine = if request.method == Method::Invite {
            ServerMachine::Invite(ServerInvite::new(Bytes::new()))
        } else {
            ServerMachine::Other(ServerOther::new())
        };
        self.server_index.insert(key.clone(), id);
        self.servers.insert(id, ServerTransaction { machine, key, flow, tag, call: None });
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

    /// A response of a server transaction: gets our tag and goes where the request came from.
    pub(super) fn respond_with(&mut self, server: u64, mut response: Response, now: Instant) {
        self.write_agent(&mut response.headers, "Server");
        let times = self.times;
        let Some(transaction) = self.servers.get_mut(&server) else { return };
        if response.status != StatusCode::TRYING
            && let Ok(to) = response.headers.to_header()
            && to.tag().is_none()
        {
            let value = format!(
                "{};tag={}",
                response.headers.get("To").unwrap_or_default(),
                transaction.tag
            );
            response.headers.set("To", value);
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
            ServerMachine::Other(machine) => {
                if !machine.respond(bytes.clone(), reliable, &times, now) {
                    return;
                }
            }
        }
        let flow = transaction.flow;
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
        let key = ServerKey { method: Method::Invite, ..key.clone() };
        let times = self.times;
        if let Some(id) = self.server_index.get(&key).copied()
            && let Some(transaction) = self.servers.get_mut(&id)
            && let ServerMachine::Invite(machine) = &mut transaction.machine
            && machine.handle_ack(transaction.flow.transport.is_reliable(), &times, now)
        {
            self.arm_server(id);
            return;
        }
        self.handle_success_ack(request, now);
    }

    fn handle_cancel(&mut self, request: &Request, back: Flow, now: Instant) {
        let invite = server_key(request).map(|key| ServerKey { method: Method::Invite, ..key });
        let found = invite.and_then(|key| self.server_index.get(&key).copied());
        let Some(key) = server_key(request) else { return };
        let server = self.start_server(request, key, back);
        let Some(invite) = found else {
            self.respond_status(server, request, StatusCode::NO_SUCH_CALL, now);
            return;
        };
        let (tag, call) = match self.servers.get(&invite) {
            Some(transaction) => (transaction.tag.clone(), transaction.call),
            None => return,
        };
        self.respond_with(server, request.response(StatusCode::OK, Some(&tag)), now);
        if let Some(call) = call {
            self.cancelled_by_peer(call, invite, now);
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
                let key = transaction.key.clone();
                self.arm(Due::Server(id), None);
                self.servers.remove(&id);
                self.server_index.remove(&key);
                self.merged_index.retain(|_, server| *server != id);
            }
        }
    }
}

/// Branch, sent-by and method; requests of RFC 2543 are known by their Call-ID, CSeq and tag instead.
pub(super) fn server_key(request: &Request) -> Option<ServerKey> {
    let via = request.headers.top_via().ok()?;
    let branch = match via.branch().filter(|branch| branch.starts_with("z9hG4bK")) {
        Some(branch) => branch.to_owned(),
        None => {
            let headers = &request.headers;
            let from = headers.from_header().ok()?;
            let number = headers.cseq().ok()?.number;
            let tag = from.tag().unwrap_or_default();
            format!("{}|{number}|{tag}|{}", headers.call_id()?, request.uri)
        }
    };
    let sent_by = format!("{}:{}", via.host, via.port.unwrap_or(5060)).to_ascii_lowercase();
    Some(ServerKey { branch, sent_by, method: request.method.clone() })
}

fn merged_key(request: &Request) -> Option<(String, String, String)> {
    let headers = &request.headers;
    let from = headers.from_header().ok()?;
    let tag = from.tag().unwrap_or_default().to_owned();
    Some((headers.call_id()?.to_owned(), tag, headers.cseq().ok()?.to_string()))
}

fn has_to_tag(request: &Request) -> bool {
    request.headers.to_header().is_ok_and(|to| to.tag().is_some())
}
