//! Where a request goes: RFC 3263 as questions and answers. NAPTR, SRV and addresses are asked one after the other; what
//! is found first is used, the rest is kept for when it does not answer (§4.3).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rand::Rng;

use super::{Due, Endpoint, Owner};
use crate::endpoint::responses::Finish;
use crate::input::{NaptrRecord, SrvRecord};
use crate::transaction::Timer;
use crate::{
    AnyUri, DnsAnswer, Event, Flow, Host, NameAddr, Output, Query, QueryId, Question, Request,
    RequestId, ResolvedTarget, Scheme, Transport, Uri, Way,
};

/// The most requests that wait for the name system.
const MAX_LOCATIONS: usize = 256;
/// The most hosts of one service that are looked at, and the most services of one domain.
const MAX_HOPS: usize = 16;
/// The most addresses of one host that are tried.
const MAX_ADDRESSES: usize = 8;

/// A name that was not found is not asked for again in dialogs for this time.
const UNKNOWN: Duration = Duration::from_secs(60);
/// How long the name system may take where there is another way.
const SHORT: Duration = Duration::from_secs(4);

/// A host whose addresses are still to be asked.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Hop {
    transport: Transport,
    host: String,
    port: u16,
}

/// Where else a request may go.
#[derive(Clone, Debug, Default)]
pub(super) struct Rest {
    flows: VecDeque<Flow>,
    hops: VecDeque<Hop>,
}

/// What a URI says of its server (RFC 3263 §4).
#[derive(Clone, Debug, Eq, PartialEq)]
struct Server {
    secure: bool,
    transport: Option<Transport>,
    host: Host,
    port: Option<u16>,
}

#[derive(Debug)]
enum Goal {
    /// Somebody wants to know only.
    Ask(RequestId),
    /// This request goes there; `otherwise` where nothing is found.
    Send { request: Box<Request>, owner: Owner, otherwise: Option<Flow> },
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    Naptr,
    Srv,
    Addresses,
    /// There is no way: told with the next timeout.
    Failed,
}

/// A server that is looked for.
#[derive(Debug)]
pub(super) struct Location {
    goal: Goal,
    server: Option<Server>,
    step: Step,
    query: QueryId,
    /// Services whose SRV records are still to be asked.
    services: VecDeque<(Transport, String)>,
    /// A service said that it is not offered.
    denied: bool,
    rest: Rest,
}

impl Location {
    pub(super) fn has_request(&self) -> bool {
        matches!(self.goal, Goal::Send { .. })
    }
}

impl Server {
    /// The server of a URI; `None` where it wants what cannot be had.
    fn of(hop: &Uri, secure: bool) -> Option<Self> {
        let secure = secure || hop.scheme == Scheme::Sips;
        let transport = match hop.transport().as_deref() {
            None => None,
            Some("tcp" | "tls") if secure => Some(Transport::Tls),
            Some("tls") => Some(Transport::Tls),
            Some("tcp") => Some(Transport::Tcp),
            Some("udp") if !secure => Some(Transport::Udp),
            Some(_) => return None,
        };
        let maddr = hop.params.value("maddr").and_then(|host| host.parse().ok());
        let host = maddr.unwrap_or_else(|| hop.host.clone());
        Some(Self { secure, transport, host, port: hop.port })
    }

    fn default_transport(&self) -> Transport {
        let default = if self.secure { Transport::Tls } else { Transport::Udp };
        self.transport.unwrap_or(default)
    }

    /// The host itself, without services.
    fn hop(&self) -> Hop {
        let transport = self.default_transport();
        let port = self.port.unwrap_or(transport.default_port());
        Hop { transport, host: self.name(), port }
    }

    fn name(&self) -> String {
        match &self.host {
            Host::Name(name) => name.trim_end_matches('.').to_owned(),
            Host::V4(address) => address.to_string(),
            Host::V6(address) => address.to_string(),
        }
    }

    /// The services to ask for where NAPTR tells none.
    fn services(&self) -> VecDeque<(Transport, String)> {
        let all = [Transport::Udp, Transport::Tcp, Transport::Tls];
        let fits = |transport: &Transport| match self.transport {
            Some(wanted) => *transport == wanted,
            None => !self.secure || *transport == Transport::Tls,
        };
        let name = self.name();
        all.into_iter()
            .filter(fits)
            .map(|transport| {
                let service = match transport {
                    Transport::Tcp => "_sip._tcp",
                    Transport::Tls => "_sips._tcp",
                    Transport::Udp => "_sip._udp",
                };
                (transport, format!("{service}.{name}"))
            })
            .collect()
    }

    /// The services that NAPTR records name, best first (RFC 3263 §4.1).
    fn named_services(&self, mut records: Vec<NaptrRecord>) -> VecDeque<(Transport, String)> {
        records.sort_by_key(|record| (record.order, record.preference));
        let service = |record: NaptrRecord| {
            let transport = match record.services.to_ascii_uppercase().as_str() {
                "SIPS+D2T" => Transport::Tls,
                "SIP+D2T" => Transport::Tcp,
                "SIP+D2U" => Transport::Udp,
                _ => return None,
            };
            let fits = !self.secure || transport == Transport::Tls;
            let name = record.replacement.trim_end_matches('.').to_owned();
            let is_srv = record.flags.eq_ignore_ascii_case("s") && !name.is_empty();
            (fits && is_srv).then_some((transport, name))
        };
        records.into_iter().filter_map(service).take(MAX_HOPS).collect()
    }
}

impl Endpoint {
    /// Looks for the server of a URI, by the rules for a request to it; [`Event::Located`] tells the first way there.
    pub fn locate(&mut self, target: &Uri, now: Instant) -> RequestId {
        let id = self.new_request_id();
        self.start_location(Goal::Ask(id), Server::of(target, false), now);
        id
    }

    /// Starts a request outside of dialogs. The id is that of its client transaction, or of what looks for its server,
    /// which `client_replaced` changes for the former.
    pub(super) fn start_request(
        &mut self,
        request: Request,
        way: Way,
        owner: Owner,
        now: Instant,
    ) -> u64 {
        match way {
            // sips is never taken for less (RFC 3261 §26.2.2).
            Way::Flow(flow) if is_secure(&request) && flow.transport != Transport::Tls => {
                let request = Box::new(request);
                self.start_location(Goal::Send { request, owner, otherwise: None }, None, now)
            }
            Way::Flow(flow) => self.start_client(request, flow, owner, now),
            Way::Account(_) | Way::Locate => {
                let server = server_of(&request);
                let request = Box::new(request);
                self.start_location(Goal::Send { request, owner, otherwise: None }, server, now)
            }
        }
    }

    /// Starts a request inside a dialog: by the connection in use, else to its next hop, which is asked for where it is
    /// a name. Without an answer it goes where the peer was heard last: names of phones are often nobody's.
    pub(super) fn start_in_dialog(
        &mut self,
        request: Request,
        hop: Flow,
        owner: Owner,
        now: Instant,
    ) -> u64 {
        let server = server_of(&request);
        let secure = is_secure(&request);
        let named = server.as_ref().is_some_and(|server| server.host.ip().is_none());
        let may_go = !secure || hop.transport == Transport::Tls;
        self.unknown.retain(|_, until| *until > now);
        let unknown = server.as_ref().is_some_and(|one| self.unknown.contains_key(&one.name()));
        if may_go && (hop.connection.is_some() || !named || unknown) {
            return self.start_client(request, hop, owner, now);
        }
        let request = Box::new(request);
        let otherwise = Some(hop).filter(|_| may_go);
        self.start_location(Goal::Send { request, owner, otherwise }, server, now)
    }

    fn start_location(&mut self, goal: Goal, server: Option<Server>, now: Instant) -> u64 {
        let id = self.new_id();
        let mut location = Location {
            goal,
            server,
            step: Step::Failed,
            query: QueryId(0),
            services: VecDeque::new(),
            denied: false,
            rest: Rest::default(),
        };
        if self.locations.len() < MAX_LOCATIONS
            && let Some(server) = &location.server
        {
            if server.host.ip().is_some() || server.port.is_some() {
                location.step = Step::Addresses;
                location.rest.hops.push_back(server.hop());
            } else if server.transport.is_some() {
                location.step = Step::Srv;
                location.services = server.services();
            } else {
                location.step = Step::Naptr;
            }
        }
        self.locations.insert(id, location);
        self.ask_next(id, now);
        id
    }

    /// Asks what the location needs next. What cannot be asked has failed; that is told with the next timeout, because
    /// whoever began it does not know its id yet.
    fn ask_next(&mut self, id: u64, now: Instant) {
        let query = QueryId(self.new_id());
        let patience = self.times.patience();
        let Some(location) = self.locations.get_mut(&id) else { return };
        let has_other = matches!(location.goal, Goal::Send { otherwise: Some(_), .. });
        let until = now + if has_other { patience.min(SHORT) } else { patience };
        let asked = match location.step {
            Step::Naptr => location.server.as_ref().map(|one| (one.name(), Question::Naptr)),
            Step::Srv => location.services.front().map(|(_, name)| (name.clone(), Question::Srv)),
            Step::Addresses => location
                .rest
                .hops
                .front()
                .map(|hop| (hop.host.clone(), Question::Addresses { transport: hop.transport })),
            Step::Failed => None,
        };
        let Some((name, question)) = asked else {
            location.step = Step::Failed;
            self.arm(Due::Location(id), Some((now, Timer::Location)));
            return;
        };
        location.query = query;
        if !self.armed.contains_key(&Due::Location(id)) {
            self.arm(Due::Location(id), Some((until, Timer::Location)));
        }
        self.outputs.push_back(Output::Resolve(Query { id: query, name, question }));
    }

    pub(super) fn handle_resolved(&mut self, query: QueryId, answer: DnsAnswer, now: Instant) {
        let mut all = self.locations.iter();
        let Some(id) = all.find(|(_, one)| one.query == query).map(|(id, _)| *id) else {
            self.way_told(query, answer, now);
            return;
        };
        let Some(location) = self.locations.get_mut(&id) else { return };
        match (location.step, answer) {
            (Step::Naptr, DnsAnswer::Naptr(records)) => {
                let Some(server) = &location.server else { return };
                location.services = server.named_services(records);
                if location.services.is_empty() {
                    location.services = server.services();
                }
                location.step = Step::Srv;
            }
            (Step::Srv, DnsAnswer::Srv(records)) => {
                let Some((transport, _)) = location.services.pop_front() else { return };
                location.denied |= records.iter().any(|record| record.target == ".");
                let hops = in_order(records, &mut self.rng).into_iter().take(MAX_HOPS);
                location.rest.hops.extend(hops.map(|record| Hop {
                    transport,
                    host: record.target.trim_end_matches('.').to_owned(),
                    port: record.port,
                }));
                if !location.rest.hops.is_empty() {
                    location.step = Step::Addresses;
                } else if location.services.is_empty() {
                    location.step = Step::Addresses;
                    if let Some(server) = location.server.as_ref().filter(|_| !location.denied) {
                        location.rest.hops.push_back(server.hop());
                    }
                }
            }
            (Step::Addresses, DnsAnswer::Addresses(found)) => {
                let Some(hop) = location.rest.hops.pop_front() else { return };
                let found = found.into_iter().take(MAX_ADDRESSES);
                let flows = found.map(|target| flow_to(&hop, target));
                location.rest.flows.extend(flows);
                if let Some(flow) = location.rest.flows.pop_front() {
                    self.located(id, Some(flow), now);
                    return;
                }
            }
            // An answer of another kind, or a late one.
            (Step::Naptr | Step::Srv | Step::Addresses | Step::Failed, _) => return,
        }
        self.ask_next(id, now);
    }

    pub(super) fn location_timeout(&mut self, id: u64, now: Instant) {
        self.located(id, None, now);
    }

    /// The end of a location.
    fn located(&mut self, id: u64, flow: Option<Flow>, now: Instant) {
        self.arm(Due::Location(id), None);
        let Some(Location { goal, rest, server, .. }) = self.locations.remove(&id) else { return };
        if let (None, Some(server)) = (flow, server)
            && self.unknown.len() < MAX_LOCATIONS
        {
            self.unknown.insert(server.name(), now + UNKNOWN);
        }
        match goal {
            Goal::Ask(request) => self.emit(Event::Located { request, flow }),
            Goal::Send { request, owner, otherwise } => {
                let Some(flow) = flow.or(otherwise).filter(|_| self.is_wanted(&owner)) else {
                    let finish = Finish::Unsendable;
                    if !self.redirect_request(id, &request, &owner, &finish, now) {
                        self.finish(id, owner, finish, now);
                    }
                    return;
                };
                let new = self.send_located(*request, flow, rest, owner.clone(), now);
                self.client_replaced(&owner, id, new, now);
            }
        }
    }

    fn send_located(
        &mut self,
        mut request: Request,
        flow: Flow,
        rest: Rest,
        owner: Owner,
        now: Instant,
    ) -> u64 {
        refresh_contact(&mut request, &flow);
        let id = self.start_client(request, flow, owner, now);
        if let Some(client) = self.clients.get_mut(&id) {
            client.rest = rest;
        }
        id
    }

    /// Gives up looking for the server of a request that nobody wants any more; false where it is found already.
    pub(super) fn give_up_location(&mut self, id: u64) -> bool {
        self.arm(Due::Location(id), None);
        let given_up = self.locations.remove(&id);
        if let Some(Location { goal: Goal::Send { request, .. }, .. }) = &given_up {
            self.forget_redirects(request);
        }
        given_up.is_some()
    }

    /// Nobody waits any more for what these requests bring.
    pub(super) fn abandon(&mut self, of: impl Fn(&Owner) -> bool) {
        let is_sent = |location: &Location| match &location.goal {
            Goal::Send { owner, .. } => of(owner),
            Goal::Ask(_) => false,
        };
        let locations = self.locations.iter().filter(|(_, one)| is_sent(one));
        let locations: Vec<u64> = locations.map(|(id, _)| *id).collect();
        for id in locations {
            self.give_up_location(id);
        }
        let clients = self.clients.iter().filter(|(_, one)| of(&one.owner));
        let clients: Vec<u64> = clients.map(|(id, _)| *id).collect();
        for id in clients {
            self.forget_client(id);
        }
    }

    /// A server did not answer, or said 503: the same request goes to the next one, as another transaction (RFC 3263
    /// §4.3). False where there is none.
    pub(super) fn fail_over(&mut self, id: u64, finish: &Finish, now: Instant) -> bool {
        let failed = match finish {
            Finish::Response(response, _) => response.status.understood().code() == 503,
            Finish::TimedOut | Finish::Unsendable => true,
        };
        let Some(client) = self.clients.get(&id).filter(|_| failed) else { return false };
        let owner = client.owner.clone();
        let nothing = client.rest.flows.is_empty() && client.rest.hops.is_empty();
        if nothing || !self.is_wanted(&owner) {
            return false;
        }
        let Some(client) = self.clients.get_mut(&id) else { return false };
        let mut rest = std::mem::take(&mut client.rest);
        let (mut request, challenged) = (client.request.clone(), client.challenged.clone());
        request.headers.pop_via();
        let new = match rest.flows.pop_front() {
            Some(flow) => self.send_located(request, flow, rest, owner.clone(), now),
            None => {
                let request = Box::new(request);
                let goal = Goal::Send { request, owner: owner.clone(), otherwise: None };
                let new = self.start_location(goal, None, now);
                if let Some(location) = self.locations.get_mut(&new) {
                    location.step = Step::Addresses;
                    location.rest = rest;
                }
                self.arm(Due::Location(new), None);
                self.ask_next(new, now);
                new
            }
        };
        if let Some(client) = self.clients.get_mut(&new) {
            client.challenged = challenged;
        }
        self.client_replaced(&owner, id, new, now);
        true
    }
}

fn flow_to(hop: &Hop, target: ResolvedTarget) -> Flow {
    let remote = std::net::SocketAddr::new(target.remote, hop.port);
    Flow { transport: hop.transport, local: target.local, remote, connection: None }
}

/// SRV records in the order in which they are tried: by priority, and by chance as their weights say (RFC 2782).
fn in_order(mut records: Vec<SrvRecord>, rng: &mut dyn rand::RngCore) -> Vec<SrvRecord> {
    records.retain(|record| record.target != "." && !record.target.is_empty());
    // Those without weight first, so that they have their small chance.
    records.sort_by_key(|record| (record.priority, record.weight));
    records.truncate(4 * MAX_HOPS);
    let mut ordered = Vec::with_capacity(records.len());
    while let Some(priority) = records.first().map(|record| record.priority) {
        let equals = records.iter().take_while(|record| record.priority == priority);
        let total: u32 = equals.clone().map(|record| u32::from(record.weight)).sum();
        let chosen = rng.random_range(0..=total);
        let mut sum = 0;
        let at = equals.clone().position(|record| {
            sum += u32::from(record.weight);
            sum >= chosen
        });
        ordered.push(records.remove(at.unwrap_or(0)));
    }
    ordered
}

/// The URI that decides where a request goes (RFC 3261 §8.1.2).
fn next_hop(request: &Request) -> Option<Uri> {
    let route = request.headers.get("Route").and_then(|_| {
        let first = request.headers.list("Route").first().copied()?;
        NameAddr::parse(first).ok()
    });
    match route {
        Some(route) => route.uri.as_sip().cloned(),
        None => request.uri.as_sip().cloned(),
    }
}

fn server_of(request: &Request) -> Option<Server> {
    Server::of(&next_hop(request)?, is_sips(&request.uri))
}

/// The SIP domain that a server's certificate has to be for (RFC 5922 §7.1): the one asked for, before any look-up.
pub(super) fn domain_of(request: &Request) -> String {
    let host = next_hop(request).map(|uri| uri.host.to_string());
    host.unwrap_or_default().trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase()
}

pub(super) fn is_sips(uri: &AnyUri) -> bool {
    uri.as_sip().is_some_and(|uri| uri.scheme == Scheme::Sips)
}

/// Whether a request of ours may go by TLS only.
pub(super) fn is_secure(request: &Request) -> bool {
    is_sips(&request.uri) || next_hop(request).is_some_and(|uri| uri.scheme == Scheme::Sips)
}

/// Whether the answer to a request must have a `sips` Contact (RFC 3261 §12.1.1).
pub(super) fn is_secured(request: &Request) -> bool {
    let top = request.headers.record_routes().ok().and_then(|all| all.into_iter().next());
    let contact = || request.headers.contacts().ok().and_then(|all| all.into_iter().next());
    let other = top.or_else(contact);
    is_sips(&request.uri) || other.is_some_and(|other| is_sips(&other.uri))
}

/// A Contact value with `sips`, which says itself that TLS is meant.
pub(super) fn secure(contact: &str) -> String {
    let Ok(mut address) = NameAddr::parse(contact) else { return contact.to_owned() };
    if let AnyUri::Sip(uri) = &mut address.uri {
        uri.scheme = Scheme::Sips;
        uri.params.remove("transport");
    }
    address.to_string()
}

/// Says in a URI of ours by which transport it is reached; UDP needs no word.
pub(super) fn set_transport(uri: &mut Uri, transport: Transport) {
    match transport {
        Transport::Tcp => uri.params.set("transport", Some("tcp")),
        Transport::Tls => uri.params.set("transport", Some("tls")),
        Transport::Udp => uri.params.remove("transport"),
    }
}

/// Contact says the address that leads to the server that was found. Names and GRUUs are nobody's address.
fn refresh_contact(request: &mut Request, flow: &Flow) {
    let Some(mut address) = request.headers.contacts().ok().and_then(|all| all.into_iter().next())
    else {
        return;
    };
    let AnyUri::Sip(uri) = &mut address.uri else { return };
    if uri.host.ip().is_none() || uri.params.has("gr") {
        return;
    }
    uri.host = flow.local.ip().into();
    uri.port = Some(flow.local.port());
    set_transport(uri, flow.transport);
    request.headers.set("Contact", address.to_string());
}

/// A request to a `sips` URI has a `sips` Contact (RFC 3261 §8.1.1.8).
pub(super) fn secure_contact(request: &mut Request) {
    if is_secure(request)
        && let Some(contact) = request.headers.get("Contact").map(secure)
    {
        request.headers.set("Contact", contact);
    }
}

/// Our Contact as far as the way is known; the rest is written once it is.
pub(super) fn contact_of(contact: &super::Contact, way: Way) -> String {
    let nowhere = std::net::SocketAddr::from(([0, 0, 0, 0], 5060));
    let flow = match way {
        Way::Flow(flow) => flow,
        Way::Account(_) | Way::Locate => {
            Flow { transport: Transport::Udp, local: nowhere, remote: nowhere, connection: None }
        }
    };
    super::contact_value(contact, &flow)
}
