//! Ways to registrars, kept open and watched (RFC 5626 §4.4, §8; RFC 6223): a ping that has a pong on a stream, a STUN
//! binding by datagram where the server says that it answers one, else what the settings say.
//!
//! A server says so with its 2xx to a REGISTER: Flow-Timer, `Require: outbound`, or a value for `keep` in our Via. From
//! it silence is a failure. `Supported: outbound` alone does not count, it says nothing about the proxy on the way. All
//! streams are pinged, which costs a server that knows nothing of it nothing (RFC 3261 §7.5); one that has answered once
//! has to answer from then on.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::{Rng, RngCore};

use super::responses::Finish;
use super::{Due, Endpoint, Owner, locate};
use crate::message::{
    BindingOutcome, BindingResponse, Headers, NameAddr, StunId, Via, binding_request,
};
use crate::transaction::Timer;
use crate::{AnyUri, ConnectionId, Flow, Method, Request, Response, Transport, Uri};

/// RFC 5626 §4.4.1: how often a stream is pinged, and how long its pong may take.
const STREAM: (Duration, Duration) = (Duration::from_secs(95), Duration::from_secs(120));
const PONG: Duration = Duration::from_secs(10);
/// RFC 5626 §4.4.2: how often a datagram goes.
const DATAGRAM: (Duration, Duration) = (Duration::from_secs(24), Duration::from_secs(29));
/// RFC 5389 §7.2.1: so many requests, and so many times the first interval after the last.
const STUN_SENDS: u32 = 7;
const STUN_LAST: u32 = 16;
/// The most servers whose silence is remembered.
const MAX_SILENT: usize = 64;

/// How the way to a registrar is kept open by datagrams where it does not say that it answers STUN.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum UdpKeepAlive {
    /// Two line ends, which nobody answers: the NAT sees that the way is used.
    #[default]
    Crlf,
    /// Nothing.
    Off,
    /// OPTIONS: a server that has answered once and does so no more is registered with anew.
    Options,
}

#[derive(Debug)]
enum Waits {
    Nothing,
    /// OPTIONS are out: their transaction knows until when.
    Options,
    Pong,
    Stun {
        id: StunId,
        sent: u32,
        interval: Duration,
    },
}

#[derive(Debug)]
struct Kept {
    flow: Flow,
    /// The server said that it answers.
    claimed: bool,
    /// It has answered.
    answered: bool,
    /// From and to.
    interval: (Duration, Duration),
    next: Instant,
    waits: Waits,
    /// Our address as it saw it last.
    mapped: Option<SocketAddr>,
}

/// All of them, by their timers.
#[derive(Debug, Default)]
pub(super) struct Keeping {
    flows: BTreeMap<u64, Kept>,
    /// Servers that said that they answer, and never did: they are believed no more.
    silent: BTreeSet<(Transport, SocketAddr)>,
}

/// What a 2xx to a REGISTER says.
struct Said {
    answers: bool,
    limit: Option<Duration>,
}

impl Said {
    fn by(response: &Response) -> Self {
        let headers = &response.headers;
        let number = |text: &str| text.trim().parse::<u32>().ok();
        let via = headers.top_via().ok();
        let keep = via.as_ref().and_then(|via| via.params.value("keep")).and_then(number);
        let timer = headers.get("Flow-Timer").and_then(number);
        let outbound = headers.require().iter().any(|tag| tag.eq_ignore_ascii_case("outbound"));
        let limit = keep.into_iter().chain(timer).filter(|seconds| *seconds > 0).min();
        Self {
            answers: keep.is_some() || timer.is_some() || outbound,
            limit: limit.map(|seconds| Duration::from_secs(seconds.into())),
        }
    }

    /// As often as usual, and as the server wants: 80 to 100 % of its time (RFC 5626 §4.4).
    fn interval(&self, transport: Transport) -> (Duration, Duration) {
        let (from, to) = if transport.is_reliable() { STREAM } else { DATAGRAM };
        match self.limit {
            Some(limit) => (from.min(limit * 4 / 5), to.min(limit)),
            None => (from, to),
        }
    }
}

impl Endpoint {
    /// An account is registered by this flow.
    pub(super) fn keep_flow(&mut self, flow: Flow, response: &Response, now: Instant) {
        let said = Said::by(response);
        let interval = said.interval(flow.transport);
        let silent = self.keeping.silent.contains(&(flow.transport, flow.remote));
        let claimed = said.answers && !silent;
        let mut known = self.keeping.flows.iter_mut();
        let id = match known.find(|(_, kept)| kept.flow == flow) {
            Some((id, kept)) => {
                kept.claimed = claimed;
                if kept.interval == interval || !matches!(kept.waits, Waits::Nothing) {
                    kept.interval = interval;
                    return;
                }
                kept.interval = interval;
                *id
            }
            None => {
                let id = self.new_id();
                let (waits, mapped) = (Waits::Nothing, None);
                let kept =
                    Kept { flow, claimed, answered: false, interval, next: now, waits, mapped };
                self.keeping.flows.insert(id, kept);
                id
            }
        };
        self.plan_keep_alive(id, now);
        self.rest_kept(id, now);
    }

    /// Flows that no account is registered by are not kept any more.
    pub(super) fn tend_flows(&mut self) {
        let gone = |kept: &Kept| !self.registrants.values().any(|one| one.keeps(&kept.flow));
        let flows = self.keeping.flows.iter();
        let ids: Vec<u64> = flows.filter(|(_, kept)| gone(kept)).map(|(id, _)| *id).collect();
        for id in ids {
            self.keeping.flows.remove(&id);
            self.arm(Due::KeepAlive(id), None);
        }
    }

    /// Nobody could be registered with: what was silent before may have been the network.
    pub(super) fn forgive_silence(&mut self) {
        self.keeping.silent.clear();
    }

    pub(super) fn keep_alive_timeout(&mut self, id: u64, now: Instant) {
        let patience = self.times.t1 * STUN_LAST;
        let Some(kept) = self.keeping.flows.get_mut(&id) else { return };
        match &mut kept.waits {
            Waits::Nothing => self.send_keep_alive(id, now),
            Waits::Options => {}
            Waits::Pong if kept.claimed || kept.answered => self.flow_failed(id, now),
            Waits::Pong => {
                if let Some(connection) = kept.flow.connection {
                    self.await_pong(connection, false);
                }
                self.rest_kept(id, now);
            }
            Waits::Stun { sent, .. } if *sent >= STUN_SENDS => self.flow_failed(id, now),
            Waits::Stun { id: stun, sent, interval } => {
                *sent += 1;
                *interval *= 2;
                let wait = if *sent == STUN_SENDS { patience } else { *interval };
                let (flow, request) = (kept.flow, binding_request(stun));
                self.arm(Due::KeepAlive(id), Some((now + wait, Timer::KeepAlive)));
                self.transmit(flow, request);
            }
        }
    }

    /// When the next one goes.
    fn plan_keep_alive(&mut self, id: u64, now: Instant) {
        let Some(kept) = self.keeping.flows.get_mut(&id) else { return };
        let (from, to) = kept.interval;
        kept.next = now + self.rng.random_range(from..=to);
    }

    /// Nothing is waited for until the next one goes.
    fn rest_kept(&mut self, id: u64, now: Instant) {
        let Some(kept) = self.keeping.flows.get_mut(&id) else { return };
        kept.waits = Waits::Nothing;
        let next = kept.next.max(now);
        self.arm(Due::KeepAlive(id), Some((next, Timer::KeepAlive)));
    }

    fn send_keep_alive(&mut self, id: u64, now: Instant) {
        self.plan_keep_alive(id, now);
        let Some(kept) = self.keeping.flows.get_mut(&id) else { return };
        let flow = kept.flow;
        match (flow.connection, self.config.udp_keepalive) {
            (Some(connection), _) => {
                kept.waits = Waits::Pong;
                self.await_pong(connection, true);
                self.arm(Due::KeepAlive(id), Some((now + PONG, Timer::KeepAlive)));
                self.transmit(flow, Bytes::from_static(b"\r\n\r\n"));
            }
            (None, _) if kept.claimed => self.send_stun(id, now),
            (None, UdpKeepAlive::Crlf) => {
                self.rest_kept(id, now);
                self.transmit(flow, Bytes::from_static(b"\r\n\r\n"));
            }
            (None, UdpKeepAlive::Off) => self.rest_kept(id, now),
            (None, UdpKeepAlive::Options) => {
                kept.waits = Waits::Options;
                self.arm(Due::KeepAlive(id), None);
                if let Some(request) = self.keep_alive_options(flow) {
                    self.start_client(request, flow, Owner::KeepAlive(id), now);
                }
            }
        }
    }

    fn send_stun(&mut self, id: u64, now: Instant) {
        let mut stun = StunId::default();
        self.rng.fill_bytes(&mut stun);
        let interval = self.times.t1;
        let Some(kept) = self.keeping.flows.get_mut(&id) else { return };
        kept.waits = Waits::Stun { id: stun, sent: 1, interval };
        let flow = kept.flow;
        self.arm(Due::KeepAlive(id), Some((now + interval, Timer::KeepAlive)));
        self.transmit(flow, binding_request(&stun));
    }

    /// OPTIONS to the very server that the flow leads to.
    fn keep_alive_options(&mut self, flow: Flow) -> Option<Request> {
        let (tag, call_id) = (self.token(), self.token());
        let by = self.registrants.values().find(|one| one.keeps(&flow))?;
        let mut uri = Uri::from_address(None, flow.remote);
        locate::set_transport(&mut uri, flow.transport);
        let mut headers = Headers::default();
        headers.push("Max-Forwards", "70");
        headers.push("From", by.address().with_tag(&tag).to_string());
        headers.push("To", NameAddr::new(None, uri.clone()).to_string());
        headers.push("Call-ID", call_id);
        headers.push("CSeq", "1 OPTIONS");
        let uri = AnyUri::Sip(uri);
        Some(Request { method: Method::Options, uri, headers, body: Bytes::new() })
    }

    /// The answer to such OPTIONS; any will do.
    pub(super) fn keep_alive_finished(&mut self, id: u64, finish: Finish, now: Instant) {
        if finish.is_provisional() {
            return;
        }
        let Some(kept) = self.keeping.flows.get_mut(&id) else { return };
        match finish {
            Finish::Response(response, _) => {
                let via = response.headers.top_via().ok();
                let seen = via.as_ref().and_then(|via: &Via| {
                    via.received().zip(via.rport()).map(|(ip, port)| SocketAddr::new(ip, port))
                });
                self.kept_answered(id, seen, now);
            }
            Finish::TimedOut | Finish::Unsendable if kept.answered => self.flow_failed(id, now),
            Finish::TimedOut | Finish::Unsendable => self.rest_kept(id, now),
        }
    }

    /// A datagram that is no SIP (RFC 7983): only the answer to a request of ours is looked at.
    pub(super) fn handle_stun(&mut self, flow: Flow, datagram: &[u8], now: Instant) {
        let mut flows = self.keeping.flows.iter();
        let ours = |kept: &Kept| {
            let Waits::Stun { id, .. } = &kept.waits else { return None };
            let from = kept.flow.connection.is_none() && kept.flow.remote == flow.remote;
            let response = from.then(|| BindingResponse::parse(datagram)).flatten()?;
            (response.id == *id).then_some(response.outcome)
        };
        let found = flows.find_map(|(id, kept)| Some((*id, ours(kept)?)));
        match found {
            Some((id, BindingOutcome::Mapped(mapped))) => self.kept_answered(id, mapped, now),
            Some((id, BindingOutcome::Refused(_))) => self.flow_failed(id, now),
            None => {}
        }
    }

    /// The pong of a connection.
    pub(super) fn handle_pong(&mut self, connection: ConnectionId, now: Instant) {
        let mut flows = self.keeping.flows.iter();
        let by = |kept: &Kept| {
            kept.flow.connection == Some(connection) && matches!(kept.waits, Waits::Pong)
        };
        if let Some(id) = flows.find(|(_, kept)| by(kept)).map(|(id, _)| *id) {
            self.kept_answered(id, None, now);
        }
    }

    /// The server lives. One that sees us elsewhere than before has to be told where we are (RFC 5626 §4.4.2).
    fn kept_answered(&mut self, id: u64, mapped: Option<SocketAddr>, now: Instant) {
        let Some(kept) = self.keeping.flows.get_mut(&id) else { return };
        kept.answered = true;
        self.keeping.silent.remove(&(kept.flow.transport, kept.flow.remote));
        let moved = kept.mapped.zip(mapped).is_some_and(|(old, new)| old != new);
        kept.mapped = mapped.or(kept.mapped);
        if moved {
            self.flow_failed(id, now);
        } else {
            self.rest_kept(id, now);
        }
    }

    /// Datagrams do not get to this address: what was kept open with it is not.
    pub(super) fn kept_unreachable(&mut self, destination: SocketAddr, now: Instant) {
        let by = |kept: &Kept| kept.flow.connection.is_none() && kept.flow.remote == destination;
        let flows = self.keeping.flows.iter();
        let ids: Vec<u64> = flows.filter(|(_, kept)| by(kept)).map(|(id, _)| *id).collect();
        for id in ids {
            if let Some(kept) = self.keeping.flows.get_mut(&id) {
                // There is nobody, which is more than silence.
                kept.claimed = false;
                self.flow_failed(id, now);
            }
        }
    }

    /// The flow is of no use any more: its accounts register by a new one (RFC 5626 §4.2).
    fn flow_failed(&mut self, id: u64, now: Instant) {
        self.arm(Due::KeepAlive(id), None);
        let Some(kept) = self.keeping.flows.remove(&id) else { return };
        tracing::info!(?kept.waits, "the way to a registrar is gone");
        if kept.claimed && !kept.answered && self.keeping.silent.len() < MAX_SILENT {
            self.keeping.silent.insert((kept.flow.transport, kept.flow.remote));
        }
        match kept.flow.connection {
            Some(connection) => self.drop_connection(connection, now),
            None => self.account_flow_lost(|flow| *flow == kept.flow, now),
        }
    }

    /// The dialogs that went by a connection which is lost go on by the one that took its place.
    pub(super) fn move_dialogs(&mut self, lost: ConnectionId, to: Flow) {
        let calls = self.calls.values_mut().filter_map(|call| call.dialog.as_mut());
        let calls = calls.map(|dialog| &mut dialog.flow);
        let subscriptions = self.subscriptions.values_mut().filter_map(|one| one.flow_mut());
        for flow in calls.chain(subscriptions) {
            if flow.connection == Some(lost) {
                *flow = to;
            }
        }
    }
}
