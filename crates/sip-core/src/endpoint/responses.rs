//! Responses, and requests of ours that end without one (RFC 3261 §8.1.3, §17.1).

use std::time::Instant;

use super::transport::write_via;
use super::{ClientMachine, Due, Endpoint, Owner, usages};
use crate::message::Headers;
use crate::transaction::{ClientOther, Fired, Reaction};
use crate::{Flow, Method, Outcome, Request, Response};

/// How a request of ours came to its end.
pub(super) enum Finish {
    /// A response, provisional or final.
    Response(Response, Flow),
    /// 64·T1 without a final one.
    TimedOut,
    /// The transport could not take it.
    Unsendable,
}

impl Finish {
    pub(super) fn is_provisional(&self) -> bool {
        matches!(self, Self::Response(response, _) if response.status.is_provisional())
    }

    /// A 2xx.
    pub(super) fn success(&self) -> Option<&Response> {
        match self {
            Self::Response(response, _) => Some(response).filter(|it| it.status.is_success()),
            Self::TimedOut | Self::Unsendable => None,
        }
    }

    pub(super) fn outcome(self) -> Outcome {
        match self {
            Self::Response(response, _) => Outcome::Answered(response),
            Self::TimedOut => Outcome::TimedOut,
            Self::Unsendable => Outcome::Unsendable,
        }
    }
}

impl Endpoint {
    pub(super) fn handle_response(&mut self, response: Response, flow: Flow, now: Instant) {
        let headers = &response.headers;
        let (Ok(via), Ok(cseq)) = (headers.top_via(), headers.cseq()) else { return };
        // A response with a second Via was not meant for us (RFC 3261 §8.1.3.3).
        if headers.list("Via").len() != 1 {
            return;
        }
        let Some(branch) = via.branch() else { return };
        let Some(id) = self.client_index.get(&(branch.to_owned(), cseq.method)).copied() else {
            return;
        };
        let times = self.times;
        let Some(client) = self.clients.get_mut(&id) else { return };
        // Somebody else's answer under our branch (RFC 3261 §18.1.2).
        let ours = client.request.headers.top_via();
        if !ours.is_ok_and(|ours| ours.host == via.host && ours.port == via.port) {
            return;
        }
        let reliable = client.flow.transport.is_reliable();
        let reaction = match &mut client.machine {
            ClientMachine::Invite(machine) => machine.handle_response(response.status, &times, now),
            ClientMachine::Other(machine) => {
                machine.handle_response(response.status, reliable, &times, now)
            }
        };
        match reaction {
            Reaction::Ignore => return,
            Reaction::AckAgain => {
                if let ClientMachine::Invite(machine) = &client.machine
                    && let Some(ack) = machine.ack().cloned()
                {
                    let flow = client.flow;
                    self.transmit(flow, ack);
                }
                return;
            }
            Reaction::Deliver => {}
            Reaction::DeliverAndAck => {
                let ack = failure_ack(&client.request, &response).to_bytes();
                if let ClientMachine::Invite(machine) = &mut client.machine {
                    machine.completed(ack.clone(), reliable, &times, now);
                }
                let flow = client.flow;
                self.transmit(flow, ack);
            }
        }
        let is_final = !response.status.is_provisional();
        self.arm_client(id);
        if response.status.is_success() {
            self.note_next_nonce(&response);
        }
        if !self.answer_challenge(id, &response, now)
            && !self.raise_interval(id, &response, now)
            && let Some(client) = self.clients.get(&id)
        {
            let owner = client.owner.clone();
            let finish = Finish::Response(response, flow);
            if !self.fail_over(id, &finish, now) && !self.redirect(id, &finish, now) {
                self.finish(id, owner, finish, now);
            }
        }
        if is_final {
            self.retire_client(id);
        }
    }

    /// An answered request other than an INVITE is forgotten: what timer K waits for (RFC 3261 §17.1.2.2), the answer again,
    /// belongs to nothing then and is dropped, without memory for each text of the last 5 s.
    fn retire_client(&mut self, id: u64) {
        let machine = self.clients.get(&id).map(|client| &client.machine);
        if matches!(machine, Some(ClientMachine::Other(ClientOther::Completed { .. }))) {
            self.forget_client(id);
        }
    }

    /// Hands the end of a client transaction to the part that began it.
    pub(super) fn finish(&mut self, id: u64, owner: Owner, finish: Finish, now: Instant) {
        match owner {
            Owner::Bye => self.bye_finished(id, &finish),
            Owner::Cancel => {}
            Owner::EarlyUpdate { call, tx, tag, request } => {
                self.early_update_finished(call, tx, &tag, request, finish, now);
            }
            Owner::InDialog { call, request, method } => {
                self.in_dialog_finished(call, request, &method, finish, now)
            }
            Owner::KeepAlive(kept) => self.keep_alive_finished(kept, finish, now),
            Owner::Invite(call) => self.invite_finished(id, call, finish, now),
            Owner::Notify { subscription, call } => {
                let over = call.filter(|_| !finish.is_provisional());
                let scope = usages::beyond(&Method::Notify, &finish);
                self.notify_finished(subscription, finish, now);
                self.turn_over(over, scope, now);
            }
            Owner::Pager(request) => self.pager_finished(request, finish, now),
            Owner::Prack { tx, tag } => self.early_finished(tx, &tag, &Method::Prack, &finish),
            Owner::Probe { call, request } => self.probe_finished(call, request, finish, now),
            Owner::Register(account) => self.register_finished(id, account, finish, now),
            Owner::Refer { subscription, call, request } => {
                let over = Some(call).filter(|_| !finish.is_provisional());
                let scope = usages::beyond(&Method::Refer, &finish);
                self.refer_finished((subscription, request, call), finish);
                self.turn_over(over, scope, now);
            }
            Owner::Refresh { call, request } => {
                self.refresh_by_update_finished(call, request, finish, now)
            }
            Owner::Reinvite { call, request } => {
                self.reinvite_finished(id, call, request, finish, now)
            }
            Owner::Subscribe { subscription, call } => {
                let over = call.filter(|_| !finish.is_provisional());
                let scope = usages::beyond(&Method::Subscribe, &finish);
                self.subscribe_finished(id, subscription, finish, now);
                self.turn_over(over, scope, now);
            }
        }
    }

    /// Whether anybody still waits for what a request brings: a cancelled INVITE must not go out again.
    pub(super) fn is_wanted(&self, owner: &Owner) -> bool {
        match owner {
            Owner::Bye | Owner::Pager(_) | Owner::Prack { .. } => true,
            Owner::Register(account) => self.registrants.contains_key(account),
            Owner::Cancel | Owner::KeepAlive(_) => false,
            Owner::EarlyUpdate { call, .. }
            | Owner::InDialog { call, .. }
            | Owner::Refresh { call, .. }
            | Owner::Probe { call, .. }
            | Owner::Reinvite { call, .. } => self.calls.contains_key(call),
            Owner::Invite(call) => self.is_dialling(*call),
            Owner::Notify { subscription, .. }
            | Owner::Refer { subscription, .. }
            | Owner::Subscribe { subscription, .. } => {
                self.subscriptions.contains_key(subscription)
            }
        }
    }

    pub(super) fn client_timeout(&mut self, id: u64, now: Instant) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        let fired = match &mut client.machine {
            ClientMachine::Invite(machine) => machine.handle_timeout(now),
            ClientMachine::Other(machine) => machine.handle_timeout(now),
        };
        match fired {
            Fired::Nothing => self.arm_client(id),
            Fired::Retransmit => {
                let (flow, bytes) = (client.flow, client.bytes.clone());
                self.arm_client(id);
                self.transmit(flow, bytes);
            }
            Fired::Done => self.forget_client(id),
            Fired::TimedOut => {
                let owner = client.owner.clone();
                let goes_on = self.fail_over(id, &Finish::TimedOut, now)
                    || self.redirect(id, &Finish::TimedOut, now);
                self.end_forks_of(id, &owner);
                self.forget_client(id);
                if !goes_on {
                    self.finish(id, owner, Finish::TimedOut, now);
                }
            }
        }
    }

    /// The transport could not take it: as if answered 503 (RFC 3261 §8.1.3.1).
    pub(super) fn client_unsendable(&mut self, id: u64, now: Instant) {
        let Some(client) = self.clients.get(&id) else { return };
        let owner = client.owner.clone();
        let goes_on = self.fail_over(id, &Finish::Unsendable, now)
            || self.redirect(id, &Finish::Unsendable, now);
        self.end_forks_of(id, &owner);
        self.forget_client(id);
        if !goes_on {
            self.finish(id, owner, Finish::Unsendable, now);
        }
    }

    /// What rang for an INVITE that is over rings for nobody.
    fn end_forks_of(&mut self, id: u64, owner: &Owner) {
        if let Owner::Invite(call) = owner {
            self.end_forks(id, *call);
        }
    }

    pub(super) fn forget_client(&mut self, id: u64) {
        self.arm(Due::Client(id), None);
        let Some(client) = self.clients.remove(&id) else { return };
        if let Ok(via) = client.request.headers.top_via() {
            let branch = via.branch().unwrap_or_default().to_owned();
            self.client_index.remove(&(branch, client.request.method));
        }
    }

    /// Sends a CANCEL or an ACK that shares way and top Via with an INVITE of ours.
    pub(super) fn like_invite(&self, invite: &Request, method: Method) -> Request {
        let mut headers = Headers::default();
        if let Ok(via) = invite.headers.top_via() {
            headers.push("Via", via.to_string());
        }
        for name in ["Max-Forwards", "From", "To", "Call-ID"] {
            headers.push(name, invite.headers.get(name).unwrap_or_default());
        }
        let number = invite.headers.cseq().map_or(1, |cseq| cseq.number);
        headers.push("CSeq", format!("{number} {method}"));
        for route in invite.headers.get_all("Route") {
            headers.push("Route", route);
        }
        Request { method, uri: invite.uri.clone(), headers, body: bytes::Bytes::new() }
    }

    /// A request of ours that is no transaction: the ACK of a success.
    pub(super) fn write_ack_via(&mut self, request: &mut Request, flow: &Flow) {
        let branch = format!("z9hG4bK{}", self.token());
        write_via(request, flow, &branch);
    }
}

/// The ACK of a success has the credentials of its INVITE (RFC 3261 §22.1).
pub(super) fn copy_credentials(invite: &Request, ack: &mut Request) {
    for name in ["Authorization", "Proxy-Authorization"] {
        for value in invite.headers.get_all(name) {
            ack.headers.push(name, value);
        }
    }
}

/// The ACK of a failure (RFC 3261 §17.1.1.3): the INVITE's own, with the To of the response.
fn failure_ack(invite: &Request, response: &Response) -> Request {
    let mut headers = Headers::default();
    if let Ok(via) = invite.headers.top_via() {
        headers.push("Via", via.to_string());
    }
    headers.push("Max-Forwards", "70");
    headers.push("From", invite.headers.get("From").unwrap_or_default());
    headers.push("To", response.headers.get("To").unwrap_or_default());
    headers.push("Call-ID", invite.headers.get("Call-ID").unwrap_or_default());
    let number = invite.headers.cseq().map_or(1, |cseq| cseq.number);
    headers.push("CSeq", format!("{number} ACK"));
    for route in invite.headers.get_all("Route") {
        headers.push("Route", route);
    }
    Request { method: Method::Ack, uri: invite.uri.clone(), headers, body: bytes::Bytes::new() }
}
