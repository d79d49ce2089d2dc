//! One SIP user agent: transactions, dialogs, calls and subscriptions behind one value.
//!
//! The parts: `transport` (flows, connections, Via), `requests` (what comes in), `responses` (what comes back),
//! `calls` (their phases, BYE), `outgoing` and `incoming` (INVITE from either side), `reinvite`, `in_dialog` (MESSAGE
//! and OPTIONS), `redirect` (RFC 3261 §8.1.3.4), `pager` (MESSAGE outside of dialogs), `subscriptions` (RFC 6665),
//! `locate` (RFC 3263), `credentials` (RFC 3261 §22), `resume` (after a stop, or with other addresses).

mod bodies;
mod calls;
mod credentials;
mod descriptions;
mod early_update;
mod forks;
mod glare;
mod in_dialog;
mod incoming;
mod info;
mod keepalive;
mod load;
mod locate;
mod outgoing;
mod pager;
mod redirect;
mod refer;
mod registration;
mod reinvite;
mod reliable;
mod replaces;
mod requests;
mod responses;
mod resume;
mod session_timer;
mod subscriptions;
mod transfer;
mod transport;
mod update;
mod usages;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::RngCore;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::auth::{Challenger, Credentials, Guard};
use crate::dialog::DialogId;
use crate::message::Headers;
use crate::record::{Direction, Recorded, Ring};
use crate::transaction::{ClientInvite, ClientOther, ServerInvite, ServerOther, Times};
use crate::{
    AccountId, CallKey, Content, Event, Failure, Flow, Identity, Input, Method, Output, Request,
    RequestId, SubscriptionKey,
};

pub use crate::transaction::Timer;
pub use keepalive::UdpKeepAlive;
pub use load::{Indices, Load};
pub use outgoing::Invite;
pub use pager::PagerMessage;
pub use registration::{Account, Registration, RegistrationFailure};
pub use subscriptions::Subscribe;
pub use transfer::{Refer, Target};

use calls::Call;
use pager::PagerQueue;
use subscriptions::Subscription;
use transport::Connection;

/// What this user agent implements. Allow, Accept and Allow-Events are written from here and nowhere else; a test
/// compares them with what is dispatched.
pub mod capabilities {
    /// Methods that are understood.
    pub const ALLOW: &[&str] = &[
        "INVITE",
        "ACK",
        "CANCEL",
        "BYE",
        "OPTIONS",
        "MESSAGE",
        "SUBSCRIBE",
        "NOTIFY",
        "PRACK",
        "REFER",
        "UPDATE",
        "INFO",
    ];
    /// Types of bodies that are understood.
    pub const ACCEPT: &[&str] = &["application/sdp", "text/plain"];
    /// Types that a user agent with [`Config::chat`](super::Config::chat) understands besides.
    pub const ACCEPT_CHAT: &[&str] =
        &["message/cpim", "message/imdn+xml", "application/im-iscomposing+xml", "message/sipfrag"];
    /// Codings of bodies that are understood.
    pub const ACCEPT_ENCODING: &str = "identity";
    /// The language of what is read and written here.
    pub const ACCEPT_LANGUAGE: &str = "en";
    /// Event packages that can be subscribed to.
    pub const ALLOW_EVENTS: &[&str] = &["conference", "refer"];
    /// Option tags of extensions.
    pub const SUPPORTED: &[&str] = &["100rel", "norefersub", "replaces", "timer"];
}

/// The most transactions at a time; beyond that requests are refused and forgotten.
const MAX_TRANSACTIONS: usize = 20_000;
/// Of these, kept free for requests of dialogs that stand: a flood must not silence those who take part.
const RESERVED: usize = 4_000;
/// The most answered requests of one call whose answers are kept to be sent again (RFC 3261 §17.2.2). An older one that
/// comes again is told by its number not to be new: it gets 500 and is not taken twice (§12.2.2).
const MAX_ANSWERED: usize = 2_000;
/// The most transactions that requests outside of dialogs from one address may hold.
const MAX_PER_SOURCE: usize = 4_000;

/// Settings of an [`Endpoint`].
#[derive(Clone, Debug)]
pub struct Config {
    /// User-Agent and Server; empty: none is written.
    pub user_agent: String,
    /// For challenges of servers.
    pub credentials: Vec<Credentials>,
    /// Next hops, such as an outbound proxy of one's own, whose P-Asserted-Identity is believed (RFC 3325).
    pub trusted: Vec<IpAddr>,
    /// T1, 500 ms unless set: the first retransmission on UDP; 64·T1 is how long anything is waited for
    /// (RFC 3261 §17.1.1.1).
    pub t1: Duration,
    /// T2, 4 s unless set: the longest time between retransmissions of anything but an INVITE.
    pub t2: Duration,
    /// T4, 5 s unless set: how long repetitions of an answered request are expected.
    pub t4: Duration,
    /// Whether the user reads texts in envelopes (RFC 3862), delivery reports and typing marks: Accept lists their types,
    /// and Contacts of calls say `+parlour.chat="1"`.
    pub chat: bool,
    /// How the way to a registrar is kept open where it does not say that it answers STUN (RFC 5626 §4.4.2).
    pub udp_keepalive: UdpKeepAlive,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            user_agent: concat!("Parlour/", env!("CARGO_PKG_VERSION")).to_owned(),
            credentials: Vec::new(),
            trusted: Vec::new(),
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
            chat: false,
            udp_keepalive: UdpKeepAlive::default(),
        }
    }
}

/// User part and feature of a Contact; address and transport are the flow's.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Contact {
    /// The user part.
    pub user: String,
    /// Whether `;isfocus` is said (RFC 3840 §9).
    pub is_focus: bool,
    /// Whether `;+parlour.chat="1"` is said; the Endpoint writes it as [`Config::chat`] wants.
    pub chat: bool,
    /// Where, if that is not the flow's own address; the Endpoint writes it where an account's registrar sees us elsewhere.
    pub at: Option<Box<Place>>,
}

impl Contact {
    /// At the flow's own address.
    pub fn new(user: impl Into<String>, is_focus: bool) -> Self {
        Self { user: user.into(), is_focus, chat: false, at: None }
    }
}

/// Where a Contact is, for a peer that reaches us by a provider.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Place {
    /// The address that the provider sees, with its transport; the user part is the Contact's.
    Address(crate::Uri),
    /// A GRUU (RFC 5627), whole.
    Gruu(crate::Uri),
}

/// Why an input could not be used. Nothing of it remains; the Endpoint goes on.
#[derive(Debug, Error)]
pub enum HandleError {
    /// Bytes that are no message; answered where that was possible.
    #[error(transparent)]
    Malformed(#[from] crate::ParseError),
    /// A connection nobody told of.
    #[error("bytes of a connection that is not open")]
    UnknownConnection,
    /// A stream that can no longer be framed; [`Output::Close`] follows.
    #[error(transparent)]
    Unframed(#[from] crate::message::FrameError),
}

/// What OPTIONS is told of a served user.
#[derive(Debug)]
struct Presented {
    refusal: Option<Failure>,
    session: Option<Content>,
}

/// Which thing has a timer.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Due {
    Account(AccountId),
    Call(CallKey),
    Client(u64),
    Glare(CallKey),
    KeepAlive(u64),
    Location(u64),
    Pending(RequestId),
    Probe(resume::Probed),
    Reliable(CallKey),
    Server(u64),
    Session(CallKey),
    Subscription(SubscriptionKey),
}

#[derive(Debug)]
enum ClientMachine {
    Invite(ClientInvite),
    Other(ClientOther),
}

/// Whose request it was.
#[derive(Clone, Debug)]
enum Owner {
    Bye,
    Cancel,
    /// In the early dialog with this tag of the INVITE `tx`.
    EarlyUpdate {
        call: CallKey,
        tx: u64,
        tag: String,
        request: RequestId,
    },
    InDialog {
        call: CallKey,
        request: RequestId,
        method: Method,
    },
    Invite(CallKey),
    /// Of a way that is kept open.
    KeepAlive(u64),
    /// `call`: in whose dialog, where it shares one.
    Notify {
        subscription: SubscriptionKey,
        call: Option<CallKey>,
    },
    Pager(RequestId),
    /// Asks whether the call stands.
    Probe {
        call: CallKey,
        request: RequestId,
    },
    Register(AccountId),
    /// For the early dialog with this tag of the INVITE `tx`.
    Prack {
        tx: u64,
        tag: String,
    },
    Refer {
        subscription: SubscriptionKey,
        call: CallKey,
        request: RequestId,
    },
    /// An UPDATE that refreshes the session.
    Refresh {
        call: CallKey,
        request: RequestId,
    },
    Reinvite {
        call: CallKey,
        request: RequestId,
    },
    /// As with Notify.
    Subscribe {
        subscription: SubscriptionKey,
        call: Option<CallKey>,
    },
}

#[derive(Debug)]
struct ClientTransaction {
    machine: ClientMachine,
    request: Request,
    bytes: Bytes,
    flow: Flow,
    owner: Owner,
    /// Where it goes when TCP is refused (RFC 3261 §18.1.1).
    fallback: Option<Flow>,
    /// Where it goes when this server does not answer (RFC 3263 §4.3).
    rest: locate::Rest,
    /// The challenges that led to this request.
    challenged: Vec<credentials::Challenged>,
    /// ACKs of the successes to an INVITE, by the tag of their To: each is acknowledged each time it comes.
    acks: Vec<(String, Flow, Bytes)>,
    /// Early dialogs of an INVITE, by the tag of their To; kept to its end for the numbers of their requests.
    forks: BTreeMap<String, forks::Fork>,
}

#[derive(Debug)]
enum ServerMachine {
    Invite(ServerInvite),
    Other(ServerOther),
}

#[derive(Debug)]
struct ServerTransaction {
    machine: ServerMachine,
    key: ServerKey,
    /// Where responses go.
    flow: Flow,
    /// The tag we put into To.
    tag: String,
    call: Option<CallKey>,
    /// In whose dialog the request came.
    within: Option<CallKey>,
    /// Its entry in `merged_index`.
    merged: Option<MergedKey>,
    /// Who sent the request.
    identity: Identity,
    /// Whose share of the transactions it takes; `None` inside a dialog.
    source: Option<IpAddr>,
}

/// Call-ID, From tag and CSeq: what two branches of one request have in common (RFC 3261 §8.2.2.2).
type MergedKey = (String, String, String);

/// What makes a received request the same one (RFC 3261 §17.2.3).
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct ServerKey {
    branch: String,
    sent_by: String,
    method: Method,
}

/// A MESSAGE, SUBSCRIBE or re-INVITE that its user has not answered.
#[derive(Debug)]
struct Pending {
    server: u64,
    request: Request,
    flow: Flow,
    call: Option<CallKey>,
    subscription: Option<SubscriptionKey>,
    /// Then we answer it ourselves.
    until: Instant,
}

/// A SIP user agent as a value. Feed it with [`Endpoint::handle_input`], drain it with [`Endpoint::poll_output`].
pub struct Endpoint {
    config: Config,
    times: Times,
    rng: Box<dyn RngCore + Send>,
    outputs: VecDeque<Output>,
    served: Vec<Contact>,
    next_id: u64,
    clients: BTreeMap<u64, ClientTransaction>,
    client_index: BTreeMap<(String, Method), u64>,
    servers: BTreeMap<u64, ServerTransaction>,
    server_index: BTreeMap<ServerKey, u64>,
    merged_index: BTreeMap<MergedKey, u64>,
    /// How many server transactions outside of dialogs an address holds.
    sources: BTreeMap<IpAddr, usize>,
    /// Makes the tags of stateless answers; drawn at the first.
    secret: Option<u64>,
    calls: BTreeMap<CallKey, Call>,
    dialogs: BTreeMap<DialogId, CallKey>,
    /// Those that were over last.
    ended: VecDeque<DialogId>,
    subscriptions: BTreeMap<SubscriptionKey, Subscription>,
    pending: BTreeMap<RequestId, Pending>,
    pagers: BTreeMap<String, PagerQueue>,
    probes: BTreeMap<resume::Probed, resume::Probe>,
    connections: BTreeMap<crate::ConnectionId, Connection>,
    access: credentials::Access,
    registrants: BTreeMap<AccountId, registration::Registrant>,
    keeping: keepalive::Keeping,
    /// By the user parts that they guard.
    guards: BTreeMap<String, Guard>,
    challenger: Option<Challenger>,
    /// By the user parts that they speak of.
    presented: BTreeMap<String, Presented>,
    locations: BTreeMap<u64, locate::Location>,
    /// By Call-ID: requests that were redirected and have no outcome yet.
    redirects: BTreeMap<String, redirect::Targets>,
    /// Names that were not found, and until when they count as such.
    unknown: BTreeMap<String, Instant>,
    due: BTreeSet<(Instant, Due)>,
    armed: BTreeMap<Due, (Instant, Timer)>,
    record: Ring,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("calls", &self.calls.len())
            .field("transactions", &(self.clients.len() + self.servers.len()))
            .finish_non_exhaustive()
    }
}

impl Endpoint {
    /// With nothing served. All tags, branches and ids come from `rng`, which must be unpredictable in production.
    pub fn new(config: Config, rng: Box<dyn RngCore + Send>) -> Self {
        let times = Times { t1: config.t1, t2: config.t2, t4: config.t4 };
        Self {
            config,
            times,
            rng,
            outputs: VecDeque::new(),
            served: Vec::new(),
            next_id: 1,
            clients: BTreeMap::new(),
            client_index: BTreeMap::new(),
            servers: BTreeMap::new(),
            server_index: BTreeMap::new(),
            merged_index: BTreeMap::new(),
            sources: BTreeMap::new(),
            secret: None,
            calls: BTreeMap::new(),
            dialogs: BTreeMap::new(),
            ended: VecDeque::new(),
            subscriptions: BTreeMap::new(),
            pending: BTreeMap::new(),
            pagers: BTreeMap::new(),
            probes: BTreeMap::new(),
            connections: BTreeMap::new(),
            access: credentials::Access::default(),
            registrants: BTreeMap::new(),
            keeping: keepalive::Keeping::default(),
            guards: BTreeMap::new(),
            challenger: None,
            presented: BTreeMap::new(),
            locations: BTreeMap::new(),
            redirects: BTreeMap::new(),
            unknown: BTreeMap::new(),
            due: BTreeSet::new(),
            armed: BTreeMap::new(),
            record: Ring::default(),
        }
    }

    /// Takes requests to this user part; all others get 404. Requests without a user part go to the first served.
    pub fn serve(&mut self, user: &str, is_focus: bool) {
        self.unserve(user);
        self.served.push(Contact::new(user, is_focus));
    }

    /// Takes them no longer.
    pub fn unserve(&mut self, user: &str) {
        self.served.retain(|served| served.user != user);
        self.guards.remove(user);
        self.presented.remove(user);
    }

    /// What OPTIONS to a served user is told: 200, or the failure that an INVITE would get at this time; and with 200 this
    /// session description, to those who take one (RFC 3261 §11.2).
    pub fn present(&mut self, user: &str, refusal: Option<Failure>, session: Option<Content>) {
        self.presented.insert(user.to_owned(), Presented { refusal, session });
    }

    /// From now on calls, texts, subscriptions and transfers to a served user need a password, and so does OPTIONS; `None`:
    /// no more. Those that come without get 401 and are not told of (RFC 3261 §22.2).
    pub fn guard(&mut self, user: &str, guard: Option<Guard>) {
        match guard {
            Some(guard) => self.guards.insert(user.to_owned(), guard),
            None => self.guards.remove(user),
        };
    }

    /// Feeds one input. An error concerns that input alone.
    pub fn handle_input(&mut self, input: Input<'_>) -> Result<(), HandleError> {
        match input {
            Input::Datagram { now, transport, source, destination, contents } => {
                let flow = Flow { transport, local: destination, remote: source, connection: None };
                self.handle_datagram(flow, contents, now)
            }
            Input::Stream { now, connection, contents } => {
                self.handle_stream(connection, contents, now)
            }
            Input::Connection { now, connection, change } => {
                self.handle_connection(connection, change, now);
                Ok(())
            }
            Input::Resolved { now, query, answer } => {
                self.handle_resolved(query, answer, now);
                Ok(())
            }
            Input::AddressesChanged { now, gone } => {
                self.handle_resumed(gone, now);
                Ok(())
            }
            Input::Resumed { now } => {
                self.handle_resumed(&[], now);
                Ok(())
            }
            Input::Unreachable { now, destination } => {
                self.handle_unreachable(destination, now);
                Ok(())
            }
            Input::Timeout(now) => {
                self.handle_timeout(now);
                Ok(())
            }
        }
    }

    /// The next output; [`Output::Timeout`] when there is none for now.
    pub fn poll_output(&mut self) -> Output {
        let next = self.poll_timeout().map(|(at, _)| at);
        let output = self.outputs.pop_front().unwrap_or(Output::Timeout(next));
        if let Output::Transmit(transmit) = &output
            && self.record.keeps()
            // What keeps a way open is no message.
            && transmit.contents.first().is_some_and(u8::is_ascii_graphic)
        {
            self.record.push(Direction::Out, transmit.flow, transmit.contents.clone());
        }
        output
    }

    /// Keeps the last `limit` messages of either direction for [`Self::poll_recorded`]; 0, as at first, keeps none.
    pub fn record(&mut self, limit: usize) {
        self.record = Ring::with_limit(limit);
    }

    /// The oldest message that was kept and not taken yet.
    pub fn poll_recorded(&mut self) -> Option<Recorded> {
        self.record.pop()
    }

    /// When it must be fed [`Input::Timeout`] at the latest, and why.
    pub fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        let (_, due) = self.due.first()?;
        self.armed.get(due).copied()
    }

    /// Whether no request of ours waits for its answer: then nothing is lost by ending now.
    pub fn is_quiet(&self) -> bool {
        let asks = self.locations.values().any(|location| location.has_request());
        !asks
            && self.clients.values().all(|client| match &client.machine {
                ClientMachine::Invite(machine) => {
                    matches!(
                        machine,
                        ClientInvite::Completed { .. } | ClientInvite::Accepted { .. }
                    )
                }
                ClientMachine::Other(machine) => matches!(machine, ClientOther::Completed { .. }),
            })
    }

    fn handle_timeout(&mut self, now: Instant) {
        while let Some((at, due)) = self.due.first().copied() {
            if at > now {
                break;
            }
            match due {
                Due::Account(id) => self.account_timeout(id, now),
                Due::Call(key) => self.call_timeout(key, now),
                Due::Client(id) => self.client_timeout(id, now),
                Due::Glare(key) => self.glare_timeout(key, now),
                Due::KeepAlive(id) => self.keep_alive_timeout(id, now),
                Due::Location(id) => self.location_timeout(id, now),
                Due::Pending(id) => self.pending_timeout(id, now),
                Due::Probe(which) => self.probe_timeout(which, now),
                Due::Reliable(key) => self.reliable_timeout(key, now),
                Due::Server(id) => self.server_timeout(id, now),
                Due::Session(key) => self.session_timeout(key, now),
                Due::Subscription(key) => self.subscription_timeout(key, now),
            }
            // Whatever did not set itself a later time is not due any more.
            if self.due.first() == Some(&(at, due)) && at <= now {
                let rearmed = self.armed.get(&due).is_some_and(|(next, _)| *next > now);
                if !rearmed {
                    self.arm(due, None);
                }
            }
        }
    }

    fn arm(&mut self, due: Due, next: Option<(Instant, Timer)>) {
        if let Some((at, _)) = self.armed.remove(&due) {
            self.due.remove(&(at, due));
        }
        if let Some((at, timer)) = next {
            self.due.insert((at, due));
            self.armed.insert(due, (at, timer));
        }
    }

    fn emit(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn new_call_key(&mut self) -> CallKey {
        let id = self.new_id();
        CallKey { index: id as u32, generation: (id >> 32) as u32 }
    }

    fn new_request_id(&mut self) -> RequestId {
        let id = self.new_id();
        RequestId { index: id as u32, generation: (id >> 32) as u32 }
    }

    fn new_subscription_key(&mut self) -> SubscriptionKey {
        let id = self.new_id();
        SubscriptionKey { index: id as u32, generation: (id >> 32) as u32 }
    }

    /// 64 random bits (RFC 3261 §19.3 asks for 32 at least).
    fn token(&mut self) -> String {
        format!("{:016x}", self.rng.next_u64())
    }

    /// A tag that the same request gets each time, and nobody can foretell.
    fn stateless_tag(&mut self, request: &Request) -> String {
        let secret = *self.secret.get_or_insert_with(|| self.rng.next_u64());
        let mut hash = Sha256::new();
        hash.update(secret.to_be_bytes());
        let via = request.headers.top_via().ok();
        let branch = via.as_ref().and_then(|via| via.branch());
        let headers = &request.headers;
        for part in [branch, headers.call_id(), headers.get("From"), headers.get("CSeq")] {
            hash.update(part.unwrap_or_default());
            hash.update([0]);
        }
        let digest = hash.finalize();
        digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// The served user a Request-URI means: its user part decides, never host or port, which phones drop or rewrite.
    fn served_by(&self, request: &Request) -> Option<&Contact> {
        let uri = request.uri.as_sip()?;
        match uri.user_unescaped() {
            Some(user) => self.served.iter().find(|served| served.user == user),
            None => self.served.first(),
        }
    }

    fn write_capabilities(config: &Config, headers: &mut Headers) {
        headers.set("Allow", capabilities::ALLOW.join(", "));
        let chat = if config.chat { capabilities::ACCEPT_CHAT } else { &[] };
        headers.set("Accept", [capabilities::ACCEPT, chat].concat().join(", "));
        headers.set("Supported", capabilities::SUPPORTED.join(", "));
        headers.set("Allow-Events", capabilities::ALLOW_EVENTS.join(", "));
    }

    /// What an answer to OPTIONS has besides (RFC 3261 §11.2).
    fn write_option_capabilities(config: &Config, headers: &mut Headers) {
        Self::write_capabilities(config, headers);
        headers.set("Accept-Encoding", capabilities::ACCEPT_ENCODING);
        headers.set("Accept-Language", capabilities::ACCEPT_LANGUAGE);
    }
}

/// `<sip:user@address:port>` with transport and feature.
fn contact_value(contact: &Contact, flow: &Flow) -> String {
    let uri = match contact.at.as_deref() {
        None => {
            let mut uri = crate::Uri::from_address(Some(&contact.user), flow.local);
            locate::set_transport(&mut uri, flow.transport);
            uri
        }
        Some(Place::Address(at)) => at.with_user(&contact.user),
        Some(Place::Gruu(gruu)) => gruu.clone(),
    };
    let focus = if contact.is_focus { ";isfocus" } else { "" };
    let chat = if contact.chat { ";+parlour.chat=\"1\"" } else { "" };
    format!("<{uri}>{focus}{chat}")
}

/// The same for a response: `sips` where the request wants it (RFC 3261 §12.1.1).
fn answer_contact(contact: &Contact, flow: &Flow, request: &Request) -> String {
    let value = contact_value(contact, flow);
    if locate::is_secured(request) { locate::secure(&value) } else { value }
}
