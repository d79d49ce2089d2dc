//! INVITE as the one who calls: its answers, forks and CANCEL (RFC 3261 §9.1, §13.2).

use std::time::{Duration, Instant};

use super::calls::{Call, Phase};
use super::descriptions::Descriptions;
use super::locate::{Rest, contact_of, domain_of};
use super::responses::{Finish, copy_credentials};
use super::session_timer::SessionTimer;
use super::{ClientMachine, Contact, Due, Endpoint, Owner};
use crate::dialog::Dialog;
use crate::message::Headers;
use crate::transaction::Timer;
use crate::{
    AnyUri, CallFailure, CallKey, Confirmed, Content, Early, Event, Flow, Method, NameAddr, Reason,
    Request, Response, StatusCode, Uri, Way,
};

/// The longest that an INVITE may be worth: a timer has to be able to hold it.
const MAX_EXPIRES: Duration = Duration::from_secs(86_400);

/// What an INVITE needs.
#[derive(Clone, Debug)]
pub struct Invite {
    /// The Request-URI.
    pub target: Uri,
    /// The way; its local address goes into Via and Contact.
    pub way: Way,
    /// Who calls; its tag is set here.
    pub from: NameAddr,
    /// Who is called.
    pub to: NameAddr,
    /// Where the peer reaches us in this dialog.
    pub contact: Contact,
    /// The SDP offer.
    pub offer: Content,
    /// How long it is worth (RFC 3261 §20.19): without an answer it is cancelled then, and [`CallFailure::TimedOut`] is
    /// told. `None`: until it is answered or cancelled.
    pub expires: Option<Duration>,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
}

impl Endpoint {
    /// Calls somebody.
    pub fn invite(&mut self, invite: Invite, now: Instant) -> Early {
        let key = self.new_call_key();
        let tag = self.token();
        let mut headers = Headers::default();
        headers.push("Max-Forwards", "70");
        let way = self.way_of(invite.way, &invite.target, &mut headers);
        let account = self.account_of(invite.way).cloned();
        let from = match account {
            Some(account) if invite.from.display.is_some() => {
                NameAddr { display: invite.from.display, ..account }
            }
            Some(account) => account,
            None => invite.from,
        };
        let contact = match way {
            Way::Flow(flow) => self.placed(invite.contact, &flow),
            Way::Account(_) | Way::Locate => {
                super::Contact { chat: self.config.chat, ..invite.contact }
            }
        };
        headers.push("From", from.with_tag(&tag).to_string());
        headers.push("To", invite.to.to_string());
        headers.push("Call-ID", self.token());
        headers.push("CSeq", "1 INVITE");
        headers.push("Contact", contact_of(&contact, way));
        Self::write_capabilities(&self.config, &mut headers);
        SessionTimer::default().write(&mut headers);
        for (name, value) in &invite.headers {
            headers.push(name, value);
        }
        if let Some(expires) = invite.expires {
            headers.push("Expires", expires.as_secs().max(1).to_string());
        }
        headers.push("Content-Type", &invite.offer.content_type);
        let uri = AnyUri::Sip(invite.target);
        let mut descriptions = Descriptions::default();
        let body = descriptions.offer(invite.offer).body;
        let request = Request { method: Method::Invite, uri, headers, body };
        let tx = self.start_request(request, way, Owner::Invite(key), now);
        let phase = Phase::Calling {
            tx,
            contact,
            cancel: false,
            cancel_sent: false,
            expired: false,
            emergency: false,
            why: None,
        };
        let call = Call { descriptions, ..Call::new(phase, None) };
        self.calls.insert(key, call);
        if let Some(expires) = invite.expires {
            let until = now + expires.clamp(Duration::from_secs(1), MAX_EXPIRES);
            self.arm(Due::Call(key), Some((until, Timer::Ringing)));
        }
        Early(key)
    }

    /// Gives up our INVITE. [`Event::Rejected`] follows.
    pub fn cancel(&mut self, call: Early, now: Instant) {
        self.cancel_because(call, None, now);
    }

    /// The same, with what the phones that ring are told of it (RFC 3326): [`Reason::completed_elsewhere`] lets them not
    /// count it as missed.
    pub fn cancel_because(&mut self, call: Early, reason: Option<Reason>, now: Instant) {
        if let Some(Call { phase: Phase::Calling { tx, cancel, why, .. }, .. }) =
            self.calls.get_mut(&call.0)
        {
            *cancel = true;
            *why = reason;
            let tx = *tx;
            if self.give_up_location(tx) {
                self.not_answered(call.0, CallFailure::Cancelled, now);
                return;
            }
            self.send_cancel(call.0, now);
        }
    }

    /// The time that our INVITE was worth is over (RFC 3261 §13.2.1).
    pub(super) fn invite_expired(&mut self, key: CallKey, now: Instant) {
        if let Some(Call { phase: Phase::Calling { expired, cancel: false, .. }, .. }) =
            self.calls.get_mut(&key)
        {
            *expired = true;
            let why = Reason::sip(StatusCode::REQUEST_TIMEOUT, "No answer in time");
            self.cancel_because(Early(key), Some(why), now);
        }
    }

    /// CANCEL goes out once a provisional response came (RFC 3261 §9.1).
    fn send_cancel(&mut self, key: CallKey, now: Instant) {
        let Some(Call { phase: Phase::Calling { tx, cancel: true, cancel_sent, why, .. }, .. }) =
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
        let (tx, why) = (*tx, why.take());
        let (invite, flow) = (client.request.clone(), client.flow);
        let mut request = self.like_invite(&invite, Method::Cancel);
        if let Some(why) = why {
            request.headers.push("Reason", why.to_string());
        }
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
            rest: Rest::default(),
            challenged: Vec::new(),
            acks: Vec::new(),
            forks: std::collections::BTreeMap::new(),
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
            self.tell_referrer(key, response.status, now);
            if response.status != StatusCode::TRYING && self.calls.contains_key(&key) {
                let fork = self.note_fork(id, key, &response, flow);
                if self.acknowledge(id, &response, now) {
                    self.emit(Event::Progress { call: key, fork, response, flow });
                }
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
        let failure = match self.calls.get(&key).map(|call| &call.phase) {
            Some(Phase::Calling { expired: true, .. }) => CallFailure::TimedOut,
            Some(Phase::Calling { cancel: true, .. }) => CallFailure::Cancelled,
            Some(Phase::Calling { emergency: true, .. }) => CallFailure::Emergency,
            Some(_) | None => failure,
        };
        self.rejected(key, failure, now);
    }

    fn rejected(&mut self, key: CallKey, failure: CallFailure, now: Instant) {
        if matches!(self.calls.get(&key), Some(Call { phase: Phase::Calling { .. }, .. })) {
            self.tell_referrer_failure(key, &failure, now);
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
            _ => Contact::new("", false),
        };
        let way = Flow { connection: flow.connection.or(way.connection), ..way };
        let Some(mut dialog) = Dialog::as_client(&invite, response, way, contact) else { return };
        let early = self.inherit_fork(id, &mut dialog);
        let mut ack = dialog.request(Method::Ack, Some(number));
        copy_credentials(&invite, &mut ack);
        let hop = dialog.next_hop(|id| self.connections.contains_key(&id));
        self.write_ack_via(&mut ack, &hop);
        let domain = domain_of(&ack);
        let ack = ack.to_bytes();
        self.transmit_to(hop, &domain, ack.clone());
        if let Some(client) = self.clients.get_mut(&id) {
            client.acks.push((tag, hop, ack));
        }
        if self.is_dialling(key) {
            self.end_forks(id, key);
            self.confirm(key, Some(dialog));
            self.keep_early_offer(id, key);
            self.tell_referrer(key, response.status, now);
            let mut response = response.clone();
            let (local, answer) = early.unzip();
            if let Some(answer) = answer.filter(|_| response.body.is_empty()) {
                response.set_content(answer);
            }
            if let Some(call) = self.calls.get_mut(&key) {
                if let Some(local) = local.flatten() {
                    call.descriptions.resume(local);
                }
                call.descriptions.answered(&response.body);
            }
            self.interval_answered(key, &response.headers, now);
            self.emit(Event::Answered { call: Confirmed(key), response, flow: way });
            self.send_next(key, now);
        } else {
            // Cancelled too late, or a second fork: the RFC wants ACK and BYE (RFC 3261 §13.2.2.4, §15).
            let mut bye = dialog.request(Method::Bye, None);
            let why = match self.calls.get(&key).map(|call| &call.phase) {
                Some(Phase::Calling { .. }) => {
                    Reason::sip(StatusCode::REQUEST_TERMINATED, "Cancelled before the answer")
                }
                Some(_) | None => Reason::completed_elsewhere(),
            };
            bye.headers.push("Reason", why.to_string());
            self.start_in_dialog(bye, hop, Owner::Bye, now);
            self.not_answered(key, CallFailure::Cancelled, now);
        }
    }
}
