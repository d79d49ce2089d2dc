//! INVITE, its answers, CANCEL and BYE, from both sides (RFC 3261 §9, §13, §15).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::in_dialog::{OurReinvite, Queued, WaitingReinvite};
use super::requests::Arrival;
use super::responses::{Finish, copy_credentials};
use super::{ClientMachine, Contact, Due, Endpoint, Owner, contact_value};
use crate::dialog::{Dialog, DialogId};
use crate::message::Headers;
use crate::transaction::{Backoff, Timer};
use crate::{
    AnyUri, AwaitingAck, CallFailure, CallKey, Confirmed, Content, Early, EndReason, Event,
    Failure, Flow, Incoming, Method, NameAddr, Request, RequestId, Response, StatusCode, Uri,
};

/// An INVITE nobody answers is refused after this time.
pub(super) const UNANSWERED: Duration = Duration::from_secs(180);
/// 180 is repeated so that proxies keep the call (RFC 3261 §13.3.1.1).
const RING_AGAIN: Duration = Duration::from_secs(60);

/// What an INVITE needs.
#[derive(Clone, Debug)]
pub struct Invite {
    /// The Request-URI.
    pub target: Uri,
    /// The way; its local address goes into Via and Contact.
    pub flow: Flow,
    /// Who calls; its tag is set here.
    pub from: NameAddr,
    /// Who is called.
    pub to: NameAddr,
    /// Where the peer reaches us in this dialog.
    pub contact: Contact,
    /// The SDP offer.
    pub offer: Content,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a call is in one phase and few calls exist")]
pub(super) enum Phase {
    /// Our INVITE is out.
    Calling { tx: u64, contact: Contact, cancel: bool, cancel_sent: bool },
    /// Their INVITE rings.
    Incoming {
        server: u64,
        request: Request,
        flow: Flow,
        tag: String,
        ringing: Option<Response>,
        ring_at: Instant,
        until: Instant,
    },
    /// Our 2xx is out.
    AwaitingAck {
        success: Bytes,
        back: Flow,
        repeat: Backoff,
        until: Instant,
        hang_up: Option<Option<String>>,
    },
    /// Both know.
    Confirmed,
}

/// One call. The dialog is there from the first 2xx or our own tag on.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) phase: Phase,
    pub(super) dialog: Option<Dialog>,
    pub(super) queue: VecDeque<Queued>,
    pub(super) in_flight: Option<RequestId>,
    /// Our re-INVITE that is out.
    pub(super) reinvite: Option<OurReinvite>,
    /// Our re-INVITE that goes once the request in flight has its answer.
    pub(super) waiting_reinvite: Option<WaitingReinvite>,
    /// Their re-INVITE that is not answered or not acknowledged.
    pub(super) their_reinvite: Option<TheirReinvite>,
}

/// A re-INVITE of the peer.
#[derive(Debug)]
pub(super) enum TheirReinvite {
    /// Waits for our user.
    Pending,
    /// Our 2xx waits for its ACK; `offered` where it carried our offer.
    Answered {
        cseq: u32,
        offered: bool,
        success: Bytes,
        back: Flow,
        repeat: Backoff,
        until: Instant,
    },
}

impl Call {
    fn new(phase: Phase, dialog: Option<Dialog>) -> Self {
        Self {
            phase,
            dialog,
            queue: VecDeque::new(),
            in_flight: None,
            reinvite: None,
            waiting_reinvite: None,
            their_reinvite: None,
        }
    }
}

impl Endpoint {
    /// Calls somebody.
    pub fn invite(&mut self, invite: Invite, now: Instant) -> Early {
        let key = self.new_call_key();
        let tag = self.token();
        let mut headers = Headers::default();
        headers.push("Max-Forwards", "70");
        headers.push("From", invite.from.with_tag(&tag).to_string());
        headers.push("To", invite.to.to_string());
        headers.push("Call-ID", self.token());
        headers.push("CSeq", "1 INVITE");
        headers.push("Contact", contact_value(&invite.contact, &invite.flow));
        Self::write_capabilities(&mut headers);
        for (name, value) in &invite.headers {
            headers.push(name, value);
        }
        headers.push("Content-Type", &invite.offer.content_type);
        let uri = AnyUri::Sip(invite.target);
        let request = Request { method: Method::Invite, uri, headers, body: invite.offer.body };
        let tx = self.start_client(request, invite.flow, Owner::Invite(key), now);
        let phase =
            Phase::Calling { tx, contact: invite.contact, cancel: false, cancel_sent: false };
        self.calls.insert(key, Call::new(phase, None));
        Early(key)
    }

    /// Gives up our INVITE. [`Event::Rejected`] follows.
    pub fn cancel(&mut self, call: Early, now: Instant) {
        if let Some(Call { phase: Phase::Calling { cancel, .. }, .. }) = self.calls.get_mut(&call.0)
        {
            *cancel = true;
            self.send_cancel(call.0, now);
        }
    }

    /// CANCEL goes out once a provisional response came (RFC 3261 §9.1).
    fn send_cancel(&mut self, key: CallKey, now: Instant) {
        let Some(Call { phase: Phase::Calling { tx, cancel: true, cancel_sent, .. }, .. }) =
            self.calls.get_mut(&key)
        else {
            return;
        };
        let Some(client) = self.clients.get(tx) else { return };
        let proceeding =
            matches!(&client.machine, ClientMachine::Invite(machine) if machine.is_proceeding());
        if *cancel_sent || !proceeding {
            return;
        }
        *cancel_sent = true;
        let tx = *tx;
        let (invite, flow) = (client.request.clone(), client.flow);
        let request = self.like_invite(&invite, Method::Cancel);
        self.start_with_same_via(request, flow, now);
        // If no final response follows, the INVITE is over all the same (RFC 3261 §9.1).
        self.limit_client(tx, now + self.times.patience());
    }

    /// Whether an INVITE of ours is out that its user still wants.
    pub(super) fn is_dialling(&self, key: CallKey) -> bool {
        let phase = self.calls.get(&key).map(|call| &call.phase);
        matches!(phase, Some(Phase::Calling { cancel: false, .. }))
    }

    fn start_with_same_via(&mut self, request: Request, flow: Flow, now: Instant) {
        let Ok(via) = request.headers.top_via() else { return };
        let branch = via.branch().unwrap_or_default().to_owned();
        let bytes = request.to_bytes();
        let id = self.new_id();
        self.client_index.insert((branch, request.method.clone()), id);
        let machine = ClientMachine::Other(crate::transaction::ClientOther::new(
            flow.transport.is_reliable(),
            &self.times,
            now,
        ));
        let client = super::ClientTransaction {
            machine,
            request,
            bytes: bytes.clone(),
            flow,
            owner: Owner::Cancel,
            fallback: None,
            challenged: Vec::new(),
            acks: Vec::new(),
        };
        self.clients.insert(id, client);
        self.arm_client(id);
        self.transmit(flow, bytes);
    }

    pub(super) fn invite_finished(&mut self, id: u64, key: CallKey, finish: Finish, now: Instant) {
        let (response, flow) = match finish {
            Finish::Response(response, flow) => (response, flow),
            Finish::TimedOut => return self.not_answered(key, CallFailure::TimedOut, now),
            Finish::Unsendable => return self.not_answered(key, CallFailure::Unreachable, now),
        };
        if response.status.is_provisional() {
            if response.status != StatusCode::TRYING && self.calls.contains_key(&key) {
                self.emit(Event::Progress { call: key, response });
            }
            self.send_cancel(key, now);
        } else if response.status.is_success() {
            self.handle_success(id, key, &response, flow, now);
        } else {
            self.not_answered(key, CallFailure::Declined(response), now);
        }
    }

    /// Our INVITE came to nothing; after a CANCEL that is what was asked for, however it ended.
    fn not_answered(&mut self, key: CallKey, failure: CallFailure, now: Instant) {
        let failure = if self.is_dialling(key) { failure } else { CallFailure::Cancelled };
        self.rejected(key, failure, now);
    }

    fn rejected(&mut self, key: CallKey, failure: CallFailure, now: Instant) {
        if matches!(self.calls.get(&key), Some(Call { phase: Phase::Calling { .. }, .. })) {
            self.remove_call(key, now);
            self.emit(Event::Rejected { call: key, failure });
        }
    }

    /// A 2xx to our INVITE: acknowledged each time it comes; one of another fork is hung up at once.
    fn handle_success(
        &mut self,
        id: u64,
        key: CallKey,
        response: &Response,
        flow: Flow,
        now: Instant,
    ) {
        let Some(client) = self.clients.get(&id) else { return };
        let (invite, way) = (client.request.clone(), client.flow);
        let tag = response
            .headers
            .to_header()
            .ok()
            .and_then(|to| to.tag().map(str::to_owned))
            .unwrap_or_default();
        let number = invite.headers.cseq().map_or(1, |cseq| cseq.number);
        if let Some((_, flow, ack)) = client.acks.iter().find(|(known, ..)| *known == tag) {
            let (flow, ack) = (*flow, ack.clone());
            self.transmit(flow, ack);
            return;
        }
        let contact = match self.calls.get(&key) {
            Some(Call { phase: Phase::Calling { contact, .. }, .. }) => contact.clone(),
            Some(Call { dialog: Some(dialog), .. }) => dialog.contact.clone(),
            _ => Contact { user: String::new(), is_focus: false },
        };
        let way = Flow { connection: flow.connection.or(way.connection), ..way };
        let Some(mut dialog) = Dialog::as_client(&invite, response, way, contact) else { return };
        let mut ack = dialog.request(Method::Ack, Some(number));
        copy_credentials(&invite, &mut ack);
        let hop = dialog.next_hop(|id| self.connections.contains_key(&id));
        self.write_ack_via(&mut ack, &hop);
        let ack = ack.to_bytes();
        self.transmit(hop, ack.clone());
        if let Some(client) = self.clients.get_mut(&id) {
            client.acks.push((tag, hop, ack));
        }
        if self.is_dialling(key) {
            self.confirm(key, Some(dialog));
            self.emit(Event::Answered {
                call: Confirmed(key),
                response: response.clone(),
                flow: way,
            });
            self.send_next(key, now);
        } else {
            // Cancelled too late, or a second fork: the RFC wants ACK and BYE (RFC 3261 §13.2.2.4, §15).
            let bye = dialog.request(Method::Bye, None);
            self.start_client(bye, hop, Owner::Bye, now);
            self.rejected(key, CallFailure::Cancelled, now);
        }
    }

    fn confirm(&mut self, key: CallKey, dialog: Option<Dialog>) {
        self.arm(Due::Call(key), None);
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.phase = Phase::Confirmed;
        if let Some(dialog) = dialog {
            self.dialogs.insert(dialog.id.clone(), key);
            call.dialog = Some(dialog);
        }
    }

    pub(super) fn remove_call(&mut self, key: CallKey, now: Instant) {
        self.arm(Due::Call(key), None);
        let Some(call) = self.calls.remove(&key) else { return };
        if let Some(dialog) = &call.dialog {
            self.dialogs.remove(&dialog.id);
        }
        self.terminate_pending(key, now);
        if let Some(ours) = &call.reinvite {
            self.limit_client(ours.tx, now + self.times.patience());
        }
        let open = call.reinvite.map(|ours| ours.request);
        for request in open.into_iter().chain(call.waiting_reinvite.map(|ours| ours.request)) {
            self.unsent(key, request);
        }
        // Texts that had no chance have not been sent.
        for queued in call.queue {
            self.drop_queued(key, queued);
        }
        self.end_shared_subscriptions(key);
    }

    pub(super) fn handle_invite(&mut self, arrival: Arrival, now: Instant) {
        let Arrival { request, flow, server } = arrival;
        let contacts = request.headers.contacts().unwrap_or_default();
        if contacts.first().and_then(|contact| contact.uri.as_sip()).is_none() {
            self.respond_status(server, &request, StatusCode::BAD_REQUEST, now);
            return;
        }
        let kind = request.headers.content_type();
        if !request.body.is_empty() && !kind.is_some_and(|kind| kind.is("application/sdp")) {
            let mut response = request.response(StatusCode::UNSUPPORTED_MEDIA_TYPE, None);
            response.headers.push("Accept", "application/sdp");
            self.respond_with(server, response, now);
            return;
        }
        let key = self.new_call_key();
        let Some(transaction) = self.servers.get_mut(&server) else { return };
        transaction.call = Some(key);
        let tag = transaction.tag.clone();
        self.respond_with(server, request.response(StatusCode::TRYING, None), now);
        let expires = request.headers.expires().unwrap_or(UNANSWERED).min(UNANSWERED);
        let until = now + expires.max(Duration::from_secs(1));
        let phase = Phase::Incoming {
            server,
            request: request.clone(),
            flow,
            tag,
            ringing: None,
            ring_at: now + RING_AGAIN,
            until,
        };
        self.calls.insert(key, Call::new(phase, None));
        self.arm(Due::Call(key), Some((until, Timer::Ringing)));
        self.emit(Event::Invited { call: Incoming(key), request, flow });
    }

    /// 180. Repeated every minute until the call is answered.
    pub fn ring(&mut self, call: &Incoming, contact: &Contact, now: Instant) {
        let Some(known) = self.calls.get_mut(&call.0) else { return };
        let Phase::Incoming { server, request, flow, ringing, ring_at, until, .. } =
            &mut known.phase
        else {
            return;
        };
        let mut response = request.response(StatusCode::RINGING, None);
        copy_record_route(request, &mut response);
        response.headers.push("Contact", contact_value(contact, flow));
        *ringing = Some(response.clone());
        *ring_at = now + RING_AGAIN;
        let next = (*ring_at).min(*until);
        let server = *server;
        self.arm(Due::Call(call.0), Some((next, Timer::Ringing)));
        self.respond_with(server, response, now);
    }

    /// 200 with the SDP answer, or with our offer where the INVITE had none. Repeated until the ACK comes.
    pub fn accept(
        &mut self,
        call: Incoming,
        contact: Contact,
        answer: Content,
        now: Instant,
    ) -> AwaitingAck {
        let key = call.0;
        let Some(known) = self.calls.get(&key) else { return AwaitingAck(key) };
        let Phase::Incoming { server, request, flow, tag, .. } = &known.phase else {
            return AwaitingAck(key);
        };
        let (server, flow) = (*server, *flow);
        let mut response = request.response(StatusCode::OK, Some(tag));
        copy_record_route(request, &mut response);
        response.headers.push("Contact", contact_value(&contact, &flow));
        Self::write_capabilities(&mut response.headers);
        self.write_agent(&mut response.headers, "Server");
        let dialog = Dialog::as_server(request, tag, flow, contact);
        response.set_content(answer);
        let success = response.to_bytes();
        let back = self.servers.get(&server).map_or(flow, |transaction| transaction.flow);
        self.respond_with(server, response, now);
        let until = now + self.times.patience();
        let repeat = Backoff::new(now, self.times.t1, Some(self.times.t2));
        if let Some(known) = self.calls.get_mut(&key) {
            known.phase = Phase::AwaitingAck { success, back, repeat, until, hang_up: None };
            if let Some(dialog) = dialog {
                self.dialogs.insert(dialog.id.clone(), key);
                known.dialog = Some(dialog);
            }
        }
        self.arm(Due::Call(key), Some((repeat.next, Timer::SuccessRetransmit)));
        AwaitingAck(key)
    }

    /// Refuses a call.
    pub fn reject(&mut self, call: Incoming, why: Failure, now: Instant) {
        self.finish_incoming(call.0, why.into(), now);
    }

    fn finish_incoming(&mut self, key: CallKey, status: StatusCode, now: Instant) {
        let Some(Call { phase: Phase::Incoming { server, request, .. }, .. }) =
            self.calls.get(&key)
        else {
            return;
        };
        let (server, response) = (*server, request.response(status, None));
        self.remove_call(key, now);
        self.respond_with(server, response, now);
    }

    pub(super) fn cancelled_by_peer(&mut self, key: CallKey, server: u64, now: Instant) {
        if let Some(super::ServerTransaction {
            machine: super::ServerMachine::Invite(machine), ..
        }) = self.servers.get(&server)
            && !machine.is_proceeding()
        {
            return;
        }
        if matches!(self.calls.get(&key), Some(Call { phase: Phase::Incoming { .. }, .. })) {
            self.finish_incoming(key, StatusCode::REQUEST_TERMINATED, now);
            self.emit(Event::Cancelled { call: key });
        }
    }

    /// The ACK of a 2xx of ours: of the first INVITE or of a re-INVITE.
    pub(super) fn handle_success_ack(&mut self, ack: Request, now: Instant) {
        let Some(key) =
            DialogId::of_request(&ack.headers).and_then(|id| self.dialogs.get(&id).copied())
        else {
            return;
        };
        let Some(call) = self.calls.get_mut(&key) else { return };
        match (&mut call.phase, &call.their_reinvite) {
            (Phase::AwaitingAck { hang_up, .. }, _) => {
                let hang_up = hang_up.take();
                self.confirm(key, None);
                match hang_up {
                    Some(reason) => self.bye(Confirmed(key), reason.as_deref(), now),
                    None => {
                        self.emit(Event::Acked { call: Confirmed(key), ack });
                        self.send_next(key, now);
                    }
                }
            }
            (Phase::Confirmed, Some(TheirReinvite::Answered { cseq, offered, .. }))
                if ack.headers.cseq().is_ok_and(|got| got.number == *cseq) =>
            {
                let offered = *offered;
                call.their_reinvite = None;
                self.arm(Due::Call(key), None);
                if offered {
                    self.emit(Event::ReinviteAcked { call: key, ack });
                }
                self.send_next(key, now);
            }
            _ => {}
        }
    }

    /// Hangs up. The key is used up; [`Event::Ended`] follows at once.
    pub fn bye(&mut self, call: Confirmed, reason: Option<&str>, now: Instant) {
        let key = call.0;
        if !matches!(self.calls.get(&key), Some(Call { phase: Phase::Confirmed, .. })) {
            return;
        }
        self.send_bye(key, reason, now);
        self.remove_call(key, now);
        self.emit(Event::Ended { call: key, reason: EndReason::HungUp });
    }

    /// Hangs up a call whose ACK has not come: BYE goes out behind it (RFC 3261 §15).
    pub fn hang_up_unacked(&mut self, call: AwaitingAck, reason: Option<&str>, now: Instant) {
        match self.calls.get_mut(&call.0) {
            Some(Call { phase: Phase::AwaitingAck { hang_up, .. }, .. }) => {
                *hang_up = Some(reason.map(str::to_owned));
            }
            Some(Call { phase: Phase::Confirmed, .. }) => self.bye(Confirmed(call.0), reason, now),
            _ => {}
        }
    }

    fn send_bye(&mut self, key: CallKey, reason: Option<&str>, now: Instant) {
        let Some(dialog) = self.calls.get_mut(&key).and_then(|call| call.dialog.as_mut()) else {
            return;
        };
        let mut bye = dialog.request(Method::Bye, None);
        let hop = dialog.next_hop(|id| self.connections.contains_key(&id));
        if let Some(reason) = reason {
            let text = reason.replace(['"', '\\'], "'");
            bye.headers.push("Reason", format!("SIP;cause=200;text=\"{text}\""));
        }
        self.start_client(bye, hop, Owner::Bye, now);
    }

    /// The call is over although nobody said BYE to us.
    pub(super) fn end_lost(
        &mut self,
        key: CallKey,
        reason: EndReason,
        send_bye: bool,
        now: Instant,
    ) {
        if send_bye {
            self.send_bye(key, None, now);
        }
        self.remove_call(key, now);
        self.emit(Event::Ended { call: key, reason });
    }

    pub(super) fn call_timeout(&mut self, key: CallKey, now: Instant) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        match &mut call.phase {
            Phase::Calling { .. } => {}
            Phase::Incoming { server, request, ringing, ring_at, until, .. } => {
                if *until <= now {
                    // Either the caller said how long it is worth (RFC 3261 §13.3.1), or nobody was here.
                    let status = match request.headers.expires() {
                        Some(expires) if expires < UNANSWERED => StatusCode::REQUEST_TERMINATED,
                        Some(_) | None => Failure::TEMPORARILY_UNAVAILABLE.into(),
                    };
                    self.finish_incoming(key, status, now);
                    self.emit(Event::Cancelled { call: key });
                    return;
                }
                *ring_at = now + RING_AGAIN;
                let next = (*ring_at).min(*until);
                let again = ringing.clone().map(|response| (*server, response));
                self.arm(Due::Call(key), Some((next, Timer::Ringing)));
                if let Some((server, response)) = again {
                    self.respond_with(server, response, now);
                }
            }
            Phase::AwaitingAck { success, back, repeat, until, .. } => {
                if *until <= now {
                    self.end_lost(key, EndReason::NoAck, true, now);
                    return;
                }
                repeat.advance();
                let next = repeat.next.min(*until);
                let (flow, bytes) = (*back, success.clone());
                self.arm(Due::Call(key), Some((next, Timer::SuccessRetransmit)));
                self.transmit(flow, bytes);
            }
            Phase::Confirmed => self.reinvite_timeout(key, now),
        }
    }

    /// The peer's Contact.
    pub fn remote_target(&self, call: CallKey) -> Option<&Uri> {
        self.dialog(call).map(|dialog| &dialog.remote_target)
    }

    /// How the peer is reached.
    pub fn flow(&self, call: CallKey) -> Option<Flow> {
        self.dialog(call).map(|dialog| dialog.flow)
    }

    /// What the peer's Allow says, where it had one.
    pub fn remote_allow(&self, call: CallKey) -> Option<&[Method]> {
        self.dialog(call)?.allow.as_deref()
    }

    /// Our address in the dialog.
    pub fn local_party(&self, call: CallKey) -> Option<&NameAddr> {
        self.dialog(call).map(|dialog| &dialog.local)
    }

    /// The peer's address in the dialog.
    pub fn remote_party(&self, call: CallKey) -> Option<&NameAddr> {
        self.dialog(call).map(|dialog| &dialog.remote)
    }

    fn dialog(&self, call: CallKey) -> Option<&Dialog> {
        self.calls.get(&call)?.dialog.as_ref()
    }

    pub(super) fn next_cseq(&mut self, owner: &Owner, sent: u32) -> u32 {
        let key = match owner {
            Owner::InDialog { call, .. } | Owner::Reinvite { call, .. } => *call,
            Owner::Bye | Owner::Cancel | Owner::Invite(_) | Owner::Pager(_) => return sent + 1,
            Owner::Notify { call: Some(call), .. } | Owner::Subscribe { call: Some(call), .. } => {
                *call
            }
            Owner::Notify { subscription, .. } | Owner::Subscribe { subscription, .. } => {
                return self.next_subscription_cseq(*subscription, sent);
            }
        };
        match self.calls.get_mut(&key).and_then(|call| call.dialog.as_mut()) {
            Some(dialog) => {
                dialog.local_cseq += 1;
                dialog.local_cseq
            }
            None => sent + 1,
        }
    }

    /// A challenged request went out again as another transaction.
    pub(super) fn client_replaced(&mut self, owner: &Owner, old: u64, new: u64) {
        match owner {
            Owner::Invite(key) => {
                if let Some(Call { phase: Phase::Calling { tx, .. }, .. }) = self.calls.get_mut(key)
                {
                    *tx = new;
                }
            }
            Owner::Reinvite { call, .. } => {
                if let Some(Call { reinvite: Some(ours), .. }) = self.calls.get_mut(call)
                    && ours.tx == old
                {
                    ours.tx = new;
                }
            }
            Owner::Subscribe { subscription, .. } => self.subscribe_replaced(*subscription, new),
            Owner::Bye
            | Owner::Cancel
            | Owner::InDialog { .. }
            | Owner::Notify { .. }
            | Owner::Pager(_) => {}
        }
    }
}

pub(super) fn copy_record_route(request: &Request, response: &mut Response) {
    for value in request.headers.get_all("Record-Route") {
        response.headers.push("Record-Route", value);
    }
}
