//! After a stop of the machine or of the process, and when our addresses have changed: connections are suspected,
//! accounts register anew, and what stands with others is asked for, each within five seconds.
//!
//! A call goes through these steps: the way to its peer is asked for, as it may lead from another address of ours. Where
//! it does, the user of the Endpoint offers the session anew; where it does not, OPTIONS asks whether the peer still knows
//! the dialog (RFC 5057 §5.1: 481 says that it does not). What is not answered in time is over.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use rand::Rng;

use super::calls::Phase;
use super::responses::Finish;
use super::{ClientMachine, Due, Endpoint, Owner, contact_value};
use crate::transaction::Timer;
use crate::{
    CallKey, ConnectionId, DnsAnswer, EndReason, Event, Flow, Method, Output, Query, QueryId,
    Question, RequestId, ResolvedTarget, SubscriptionKey,
};

/// What came during a stop lies unread: what ran out meanwhile gets this long to be answered by it.
const GRACE: Duration = Duration::from_secs(1);
/// A session whose time ran out gets so much more, to be refreshed.
const REFRESH: Duration = Duration::from_secs(3);
/// Calls and subscriptions are asked for after this time, each by chance a little later: the accounts go first.
const FIRST: Duration = Duration::from_millis(300);
const SPREAD_MS: u64 = 200;
/// A request of before that has no answer yet goes first, for this long.
const ITS_TURN: Duration = Duration::from_millis(400);
/// Our user gets this long to offer the session anew.
const TOLD: Duration = Duration::from_millis(100);
/// A connection gets this long for the answer; then another one does. Datagrams, which are repeated, get twice that.
const ANSWER: Duration = Duration::from_millis(1700);
/// How often the way is asked for where there is none.
const NO_WAY: Duration = Duration::from_secs(1);

/// What is asked whether it stands.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Probed {
    Call(CallKey),
    Subscription(SubscriptionKey),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    /// Nothing is asked yet.
    Begun,
    /// The way to the peer is asked for.
    Asking(QueryId),
    /// Our address is another one; an exchange of session descriptions has to end before a new one begins.
    Busy,
    /// Our user was told of our other address.
    Told,
    /// It offers the session anew.
    Offered,
    /// A request of before is waited for.
    Held,
    /// Our OPTIONS is out; `last` where there is no other way to try.
    Sent { request: RequestId, last: bool },
}

#[derive(Debug)]
pub(super) struct Probe {
    step: Step,
    /// Without a way there until then it is over.
    until: Instant,
}

impl Endpoint {
    /// Time stood still, or these addresses are gone.
    pub(super) fn handle_resumed(&mut self, gone: &[IpAddr], now: Instant) {
        self.unknown.clear();
        self.prolong(now + GRACE);
        self.rouse_accounts(gone, now);
        let mut lost = Vec::new();
        for (id, connection) in &mut self.connections {
            if gone.contains(&connection.flow.local.ip()) {
                lost.push(*id);
            } else {
                connection.suspect = connection.open;
            }
        }
        for id in lost {
            self.drop_connection(id, now);
        }
        let subscriptions = self.standing_subscriptions(now).into_iter();
        let confirmed = |call: &super::Call| matches!(call.phase, Phase::Confirmed);
        let calls = self.calls.iter().filter(|(_, call)| confirmed(call));
        let calls = calls.map(|(key, _)| Probed::Call(*key));
        let all: Vec<Probed> = calls.chain(subscriptions.map(Probed::Subscription)).collect();
        for which in all {
            let until = now + self.times.patience();
            self.probes.insert(which, Probe { step: Step::Begun, until });
            let later = Duration::from_millis(self.rng.random_range(0..SPREAD_MS));
            self.arm(Due::Probe(which), Some((now + FIRST + later, Timer::Probe)));
        }
    }

    /// Requests whose time ran out, and answers whose ACK did not come, while nobody read.
    fn prolong(&mut self, until: Instant) {
        let ids: Vec<u64> = self.clients.keys().copied().collect();
        for id in ids {
            if let Some(client) = self.clients.get_mut(&id) {
                match &mut client.machine {
                    ClientMachine::Invite(machine) => machine.prolong(until),
                    ClientMachine::Other(machine) => machine.prolong(until),
                }
            }
            self.arm_client(id);
        }
        for call in self.calls.values_mut() {
            if let Phase::AwaitingAck { until: known, .. } = &mut call.phase {
                *known = until.max(*known);
            }
            call.timer.prolong(until + REFRESH);
        }
        let calls: Vec<CallKey> = self.calls.keys().copied().collect();
        for call in calls {
            self.arm_session(call);
        }
    }

    /// Nothing has come by it since a stop.
    pub(super) fn is_suspect(&self, id: ConnectionId) -> bool {
        self.connections.get(&id).is_some_and(|connection| connection.suspect)
    }

    pub(super) fn end_probe(&mut self, which: Probed) {
        if self.probes.remove(&which).is_some() {
            self.arm(Due::Probe(which), None);
        }
    }

    fn step(&mut self, which: Probed, step: Step, next: Instant) {
        if let Some(probe) = self.probes.get_mut(&which) {
            probe.step = step;
            self.arm(Due::Probe(which), Some((next, Timer::Probe)));
        }
    }

    pub(super) fn probe_timeout(&mut self, which: Probed, now: Instant) {
        let Some(probe) = self.probes.get(&which) else { return };
        let given_up = probe.until <= now;
        match (probe.step, which) {
            (Step::Begun | Step::Asking(_), Probed::Subscription(_)) if given_up => {
                self.end_probe(which);
            }
            (Step::Begun | Step::Asking(_), Probed::Call(key)) if given_up => {
                self.end_lost(key, EndReason::Unreachable, true, now);
            }
            (Step::Begun | Step::Asking(_), _) => self.ask_way(which, now),
            (Step::Told, Probed::Call(key)) => {
                let offers = self
                    .calls
                    .get(&key)
                    .is_some_and(|call| call.reinvite.is_some() || call.waiting_offer.is_some());
                if offers {
                    self.step(which, Step::Offered, now + 2 * ANSWER);
                } else {
                    self.send_probe(key, false, now);
                }
            }
            (Step::Busy, Probed::Call(key)) if !given_up => self.tell_moved(key, now),
            (Step::Busy | Step::Held, Probed::Call(key)) => self.send_probe(key, false, now),
            (Step::Sent { last: false, .. }, Probed::Call(key)) => self.probe_anew(key, now),
            (Step::Offered | Step::Sent { last: true, .. }, Probed::Call(key)) => {
                self.end_lost(key, EndReason::Unreachable, true, now);
            }
            (_, Probed::Subscription(_)) => self.end_probe(which),
        }
    }

    /// Asks from which address of ours the peer is reached.
    fn ask_way(&mut self, which: Probed, now: Instant) {
        let Some(hop) = self.probed_hop(which) else { return self.end_probe(which) };
        let id = QueryId(self.new_id());
        let question = Question::Addresses { transport: hop.transport };
        self.step(which, Step::Asking(id), now + NO_WAY);
        let name = hop.remote.ip().to_string();
        self.outputs.push_back(Output::Resolve(Query { id, name, question }));
    }

    fn probed_hop(&self, which: Probed) -> Option<Flow> {
        let dialog = match which {
            Probed::Call(key) => self.calls.get(&key)?.dialog.as_ref()?,
            Probed::Subscription(key) => self.dialog_of(key)?,
        };
        Some(dialog.next_hop(|id| self.connections.contains_key(&id)))
    }

    /// The answer to such a question. Without a way it is asked again.
    pub(super) fn way_told(&mut self, query: QueryId, answer: DnsAnswer, now: Instant) {
        let mut all = self.probes.iter();
        let asked = |probe: &Probe| probe.step == Step::Asking(query);
        let Some(which) = all.find(|(_, probe)| asked(probe)).map(|(which, _)| *which) else {
            return;
        };
        let DnsAnswer::Addresses(found) = answer else { return };
        let Some(ResolvedTarget { local, .. }) = found.first().copied() else { return };
        let key = match which {
            Probed::Call(key) => key,
            Probed::Subscription(key) => {
                self.end_probe(which);
                return self.subscription_reached(key, local, now);
            }
        };
        let Some(dialog) = self.calls.get_mut(&key).and_then(|call| call.dialog.as_mut()) else {
            return self.end_probe(which);
        };
        if dialog.move_to(local) {
            self.resend_in_flight(key, now);
            self.tell_moved(key, now);
        } else if self.calls.get(&key).is_some_and(|call| call.in_flight.is_some()) {
            self.step(which, Step::Held, now + ITS_TURN);
        } else {
            self.send_probe(key, false, now);
        }
    }

    /// An account is registered anew: peers of calls that write to where it was before are told where it is (RFC 3261
    /// §12.2). `left` is its connection of
    /// before; true where one may still write by it.
    pub(super) fn renew_contacts(
        &mut self,
        account: &Flow,
        left: Option<ConnectionId>,
        now: Instant,
    ) -> bool {
        let by = |flow: &Flow| flow.transport == account.transport && flow.remote == account.remote;
        let confirmed = |call: &super::Call| matches!(call.phase, Phase::Confirmed);
        let all = self.calls.iter().filter(|(_, call)| confirmed(call));
        let of = |call: &super::Call| call.dialog.as_ref().is_some_and(|dialog| by(&dialog.flow));
        let all: Vec<CallKey> = all.filter(|(_, call)| of(call)).map(|(key, _)| *key).collect();
        for key in &all {
            let Some(contact) = self
                .calls
                .get(key)
                .and_then(|call| call.dialog.as_ref())
                .map(|one| one.contact.clone())
            else {
                continue;
            };
            let before = contact_value(&contact, account);
            let contact = self.placed(contact, account);
            if contact_value(&contact, account) == before {
                continue;
            }
            let Some(call) = self.calls.get_mut(key) else { continue };
            if let Some(dialog) = call.dialog.as_mut() {
                dialog.contact = contact;
                if dialog.flow.connection == left {
                    dialog.flow.connection = account.connection;
                }
            }
            call.timer.ask();
            self.send_refresh(*key, now);
        }
        !all.is_empty()
    }

    /// Our user offers the session anew, as soon as it may.
    fn tell_moved(&mut self, key: CallKey, now: Instant) {
        let which = Probed::Call(key);
        let free = self.calls.get(&key).is_some_and(super::Call::may_offer);
        match self.flow(key).filter(|_| free) {
            Some(flow) => {
                self.emit(Event::AddressChanged { call: key, flow });
                // By then it has done so, or will not.
                self.step(which, Step::Told, now + TOLD);
            }
            None => self.step(which, Step::Busy, now + TOLD),
        }
    }

    /// OPTIONS, past whatever waits for its turn: should that never have an answer, nor would this.
    fn send_probe(&mut self, key: CallKey, last: bool, now: Instant) {
        let request = self.new_request_id();
        self.leave_suspect(key);
        let Some(dialog) = self.calls.get_mut(&key).and_then(|call| call.dialog.as_mut()) else {
            return self.end_probe(Probed::Call(key));
        };
        let mut options = dialog.request(Method::Options, None);
        let hop = dialog.next_hop(|id| self.connections.contains_key(&id));
        options.headers.push("Contact", contact_value(&dialog.contact, &hop));
        let reliable = hop.transport.is_reliable();
        let wait = if reliable { ANSWER } else { 2 * ANSWER };
        let last = last || !reliable;
        self.step(Probed::Call(key), Step::Sent { request, last }, now + wait);
        self.start_in_dialog(options, hop, Owner::Probe { call: key, request }, now);
    }

    /// Where a connection to the same place was opened since, a call does not wait for its old one to prove dead.
    fn leave_suspect(&mut self, key: CallKey) {
        let Some(flow) = self.flow(key) else { return };
        if !flow.connection.is_some_and(|id| self.is_suspect(id)) {
            return;
        }
        let same = |other: &Flow| other.transport == flow.transport && other.remote == flow.remote;
        let mut all = self.connections.iter();
        let fresh = all.find(|(_, one)| one.open && !one.suspect && same(&one.flow));
        let fresh = fresh.map(|(id, _)| *id);
        if let (Some(fresh), Some(dialog)) =
            (fresh, self.calls.get_mut(&key).and_then(|call| call.dialog.as_mut()))
        {
            dialog.flow.connection = Some(fresh);
        }
    }

    /// Nothing came by the connection: it counts as dead, and another one is opened.
    fn probe_anew(&mut self, key: CallKey, now: Instant) {
        let Some(hop) = self.probed_hop(Probed::Call(key)) else { return };
        // First this, so that what the connection's end brings about is not taken for an answer.
        self.step(Probed::Call(key), Step::Begun, now + NO_WAY);
        if let Some(id) = hop.connection {
            self.drop_connection(id, now);
        }
        self.send_probe(key, true, now);
    }

    /// What became of our OPTIONS: any answer comes from somebody who is there, and two say that the call is not.
    pub(super) fn probe_finished(
        &mut self,
        key: CallKey,
        request: RequestId,
        finish: Finish,
        now: Instant,
    ) {
        let which = Probed::Call(key);
        let Some(Probe { step: Step::Sent { request: ours, last }, .. }) = self.probes.get(&which)
        else {
            return;
        };
        if *ours != request || finish.is_provisional() {
            return;
        }
        let last = *last;
        match finish {
            Finish::Response(response, _) if response.status.code() == 481 => {
                self.end_lost(key, EndReason::PeerLost, true, now);
            }
            Finish::Response(response, flow) if response.status.code() != 408 => {
                self.end_probe(which);
                if let Some(dialog) = self.calls.get_mut(&key).and_then(|call| call.dialog.as_mut())
                {
                    dialog.refresh_allow(&response.headers);
                    if flow.transport.is_reliable() {
                        dialog.flow = Flow { local: dialog.flow.local, ..flow };
                    }
                }
            }
            Finish::Unsendable if !last => self.send_probe(key, true, now),
            Finish::Response(..) | Finish::TimedOut | Finish::Unsendable => {
                self.end_lost(key, EndReason::Unreachable, true, now);
            }
        }
    }

    /// A re-INVITE has its outcome: where it was for our other address, the peer is there.
    pub(super) fn moved(&mut self, key: CallKey, finish: &Finish) {
        let which = Probed::Call(key);
        let step = self.probes.get(&which).map(|probe| probe.step);
        if !matches!(step, Some(Step::Told | Step::Offered)) {
            return;
        }
        match finish {
            // An offer that crossed another goes again by itself (RFC 3261 §14.1); the peer is there all the same.
            Finish::Response(..) => self.end_probe(which),
            Finish::TimedOut | Finish::Unsendable => {}
        }
    }
}
