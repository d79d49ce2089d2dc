//! Flows and connections: what comes in is framed and read here, what goes out gets its Via and its way (RFC 3261 §18,
//! RFC 3581).

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use bytes::Bytes;

use super::locate::{Rest, domain_of, secure_contact};
use super::{ClientMachine, ClientTransaction, Due, Endpoint, HandleError, Owner};
use crate::message::{Frame, FrameError, Message, StreamFramer};
use crate::record::Direction;
use crate::transaction::{ClientInvite, ClientOther};
use crate::{
    Connect, ConnectionChange, ConnectionId, Flow, Method, Output, Request, Response, StatusCode,
    Transmit, Transport,
};

/// RFC 3261 §18.1.1: larger requests go over TCP.
const MAX_UDP_REQUEST: usize = 1300;
/// The most pings in one piece of a stream that are answered.
const MAX_PONGS: u32 = 8;
/// The most messages kept for a connection that is being opened.
const MAX_WAITING: usize = 256;

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) flow: Flow,
    framer: StreamFramer,
    pub(super) open: bool,
    waiting: Vec<Bytes>,
    /// Nothing came by it since a stop: it may be dead, and nothing that can go elsewhere takes it.
    pub(super) suspect: bool,
    /// TLS: whom the certificate of a connection of ours was checked for.
    domain: String,
}

impl Endpoint {
    pub(super) fn handle_datagram(
        &mut self,
        flow: Flow,
        contents: &[u8],
        now: Instant,
    ) -> Result<(), HandleError> {
        if contents.iter().all(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return Ok(());
        }
        // First octets 0 to 3 are STUN (RFC 7983), never SIP.
        if contents.first().is_some_and(|first| *first < 4) {
            self.handle_stun(flow, contents, now);
            return Ok(());
        }
        self.handle_message(flow, contents, now)
    }

    pub(super) fn handle_stream(
        &mut self,
        id: ConnectionId,
        contents: &[u8],
        now: Instant,
    ) -> Result<(), HandleError> {
        let connection = self.connections.get_mut(&id).ok_or(HandleError::UnknownConnection)?;
        connection.framer.push(contents);
        connection.suspect = false;
        let mut result = Ok(());
        let mut pongs = 0;
        loop {
            let Some(connection) = self.connections.get_mut(&id) else { return result };
            let flow = connection.flow;
            match connection.framer.next_frame() {
                None => return result,
                // A flood of pings has no flood of answers.
                Some(Ok(Frame::Ping)) if pongs >= MAX_PONGS => {}
                Some(Ok(Frame::Ping)) => {
                    pongs += 1;
                    self.transmit(flow, Bytes::from_static(b"\r\n"));
                }
                Some(Ok(Frame::Pong)) => self.handle_pong(id, now),
                Some(Ok(Frame::Message(bytes))) => {
                    let handled = self.handle_message(flow, &bytes, now);
                    result = result.and(handled);
                }
                Some(Err(error)) => {
                    self.refuse_stream(id, error, now);
                    return Err(error.into());
                }
            }
        }
    }

    /// Nothing can be framed on this connection any more: the request at fault is answered where its headers let it
    /// be, and the connection goes.
    fn refuse_stream(&mut self, id: ConnectionId, error: FrameError, now: Instant) {
        let Some(connection) = self.connections.get(&id) else { return };
        let flow = connection.flow;
        let status = match error {
            FrameError::NoLength => StatusCode::BAD_REQUEST,
            FrameError::TooLarge => StatusCode::MESSAGE_TOO_LARGE,
        };
        if let Some(mut request) = connection.framer.head().and_then(unframed_request) {
            let back = note_source(&mut request, flow);
            self.refuse(&request, request.response(status, None), back);
        }
        self.drop_connection(id, now);
    }

    /// Ends a connection of no more use; what it was still given is written.
    pub(super) fn drop_connection(&mut self, id: ConnectionId, now: Instant) {
        self.outputs.push_back(Output::Close(id));
        self.connection_lost(id, now);
    }

    /// Whether a ping of ours is out on a connection.
    pub(super) fn await_pong(&mut self, id: ConnectionId, awaits: bool) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.framer.await_pong(awaits);
        }
    }

    pub(super) fn handle_connection(
        &mut self,
        id: ConnectionId,
        change: ConnectionChange,
        now: Instant,
    ) {
        match change {
            ConnectionChange::Opened { flow } => {
                let flow = Flow { connection: Some(id), ..flow };
                let waiting = match self.connections.get_mut(&id) {
                    Some(connection) => {
                        connection.open = true;
                        connection.flow = Flow { local: connection.flow.local, ..flow };
                        std::mem::take(&mut connection.waiting)
                    }
                    None => {
                        let framer = StreamFramer::default();
                        let connection = Connection {
                            flow,
                            framer,
                            open: true,
                            waiting: Vec::new(),
                            suspect: false,
                            domain: String::new(),
                        };
                        self.connections.insert(id, connection);
                        Vec::new()
                    }
                };
                for contents in waiting {
                    self.outputs.push_back(Output::Transmit(Transmit { flow, contents }));
                }
            }
            ConnectionChange::Closed { .. } => self.connection_lost(id, now),
        }
    }

    /// A connection was refused, or is gone: requests on it that were not heard of take their other way, where they
    /// have one, and have failed otherwise (RFC 3261 §8.1.3.1, §18.1.1). An INVITE that rings stays: its answer may come
    /// by a connection that the peer opens (§18.2.2).
    pub(super) fn connection_lost(&mut self, id: ConnectionId, now: Instant) {
        let Some(lost) = self.connections.remove(&id) else { return };
        self.account_flow_lost(|flow| flow.connection == Some(id), now);
        let hit = |client: &&ClientTransaction| {
            let waits = match &client.machine {
                ClientMachine::Invite(_) => client_waits(client),
                ClientMachine::Other(machine) => !matches!(machine, ClientOther::Completed { .. }),
            };
            client.flow.connection == Some(id) && waits
        };
        let ids: Vec<u64> =
            self.clients.iter().filter(|(_, client)| hit(client)).map(|(id, _)| *id).collect();
        for id in ids {
            let Some(client) = self.clients.get_mut(&id) else { continue };
            // What a connection took that stood may have arrived: only a refused one sends elsewhere.
            match client.fallback.take().filter(|_| !lost.open) {
                Some(flow) => {
                    client.flow = flow;
                    set_via_transport(&mut client.request, flow.transport);
                    client.bytes = client.request.to_bytes();
                    client.machine = machine(&client.request.method, false, &self.times, now);
                    let bytes = client.bytes.clone();
                    self.arm_client(id);
                    self.transmit(flow, bytes);
                }
                None => self.client_unsendable(id, now),
            }
        }
    }

    /// A datagram could not be delivered: transactions to that address have failed (RFC 3261 §18.4).
    pub(super) fn handle_unreachable(&mut self, destination: SocketAddr, now: Instant) {
        let hit = |client: &&ClientTransaction| {
            client.flow.transport == Transport::Udp
                && client.flow.remote == destination
                && client_waits(client)
        };
        let ids: Vec<u64> =
            self.clients.iter().filter(|(_, client)| hit(client)).map(|(id, _)| *id).collect();
        for id in ids {
            self.client_unsendable(id, now);
        }
        self.kept_unreachable(destination, now);
    }

    fn handle_message(
        &mut self,
        flow: Flow,
        contents: &[u8],
        now: Instant,
    ) -> Result<(), HandleError> {
        if self.record.keeps() {
            self.record.push(Direction::In, flow, Bytes::copy_from_slice(contents));
        }
        match Message::parse(contents) {
            Ok(Message::Request(request)) => self.handle_request(request, flow, now),
            Ok(Message::Response(response)) => self.handle_response(response, flow, now),
            Err(error) => {
                if let Some((status, request)) = error.answer() {
                    let mut request = request.clone();
                    let flow = note_source(&mut request, flow);
                    self.refuse(&request, request.response(status, None), flow);
                }
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// A final answer that leaves nothing behind: the same request again gets the same one (RFC 3261 §8.2.7).
    pub(super) fn refuse(&mut self, request: &Request, mut response: Response, flow: Flow) {
        let tag = self.stateless_tag(request);
        super::requests::add_tag(&mut response, &tag);
        self.write_agent(&mut response.headers, "Server");
        self.transmit(flow, response.to_bytes());
    }

    pub(super) fn write_agent(&self, headers: &mut crate::Headers, name: &str) {
        if !self.config.user_agent.is_empty() {
            headers.set(name, &self.config.user_agent);
        }
    }

    /// A stream to this peer that stands: a text prefers it to datagrams (RFC 3428 §8).
    pub(super) fn stream_to(&self, flow: Flow) -> Option<Flow> {
        let mut known = self.connections.values();
        // TLS is of one domain; it is found by `transmit_to`, where that fits.
        let fits = |known: &&Connection| {
            let stands = known.open && !known.suspect;
            stands && known.flow.transport == Transport::Tcp && known.flow.remote == flow.remote
        };
        let found = known.find(fits).filter(|_| flow.transport != Transport::Tls)?;
        Some(Flow { local: flow.local, ..found.flow })
    }

    /// Bytes on their way: by datagram, by an open connection, or by one that is opened now.
    pub(super) fn transmit(&mut self, flow: Flow, contents: Bytes) {
        self.transmit_to(flow, &flow.remote.ip().to_string(), contents);
    }

    /// The same, to a server whose certificate has to be for this domain where the flow is TLS; gives the connection
    /// they take. A connection that was opened for another domain is not taken: nobody proved that it is the same.
    pub(super) fn transmit_to(
        &mut self,
        flow: Flow,
        domain: &str,
        contents: Bytes,
    ) -> Option<ConnectionId> {
        if flow.transport == Transport::Udp {
            self.outputs.push_back(Output::Transmit(Transmit { flow, contents }));
            return None;
        }
        let by_id = flow.connection.filter(|id| self.connections.contains_key(id));
        let known = by_id.or_else(|| {
            let mut all = self.connections.iter();
            let fits = |known: &Connection| {
                !known.suspect
                    && known.flow.transport == flow.transport
                    && known.flow.remote == flow.remote
                    && (flow.transport == Transport::Tcp || known.domain == domain)
            };
            all.find(|(_, known)| fits(known)).map(|(id, _)| *id)
        });
        let id = known.unwrap_or_else(|| {
            let id = ConnectionId(self.new_id() | (1 << 63));
            let flow = Flow { connection: Some(id), ..flow };
            let connection = Connection {
                flow,
                framer: StreamFramer::default(),
                open: false,
                waiting: Vec::new(),
                suspect: false,
                domain: domain.to_owned(),
            };
            self.connections.insert(id, connection);
            let connect = Connect {
                connection: id,
                transport: flow.transport,
                domain: domain.to_owned(),
                local: flow.local,
                remote: flow.remote,
            };
            self.outputs.push_back(Output::Connect(connect));
            id
        });
        let connection = self.connections.get_mut(&id)?;
        if connection.open {
            // A response is addressed to where a new connection would have to go: the one that stands goes elsewhere.
            let flow = Flow { connection: Some(id), ..connection.flow };
            self.outputs.push_back(Output::Transmit(Transmit { flow, contents }));
        } else if connection.waiting.len() < MAX_WAITING {
            connection.waiting.push(contents);
        }
        Some(id)
    }

    /// Starts a client transaction: Via with a new branch, the way, the timers.
    pub(super) fn start_client(
        &mut self,
        mut request: Request,
        flow: Flow,
        owner: Owner,
        now: Instant,
    ) -> u64 {
        let branch = format!("z9hG4bK{}", self.token());
        self.write_agent(&mut request.headers, "User-Agent");
        secure_contact(&mut request);
        self.write_credentials(&mut request);
        write_via(&mut request, &flow, &branch);
        let mut bytes = request.to_bytes();
        let (mut flow, mut fallback) = (flow, None);
        if flow.transport == Transport::Udp && bytes.len() > MAX_UDP_REQUEST {
            // A large MESSAGE has no way back to UDP (RFC 3428 §8).
            fallback = Some(flow).filter(|_| request.method != Method::Message);
            flow = Flow { transport: Transport::Tcp, connection: None, ..flow };
            set_via_transport(&mut request, Transport::Tcp);
            bytes = request.to_bytes();
        }
        let id = self.new_id();
        self.client_index.insert((branch, request.method.clone()), id);
        let machine = machine(&request.method, flow.transport.is_reliable(), &self.times, now);
        let connection = self.transmit_to(flow, &domain_of(&request), bytes.clone());
        let flow = Flow { connection, ..flow };
        let client = ClientTransaction {
            machine,
            request,
            bytes,
            flow,
            owner,
            fallback,
            rest: Rest::default(),
            challenged: Vec::new(),
            acks: Vec::new(),
            forks: std::collections::BTreeMap::new(),
        };
        self.clients.insert(id, client);
        self.arm_client(id);
        id
    }

    /// An INVITE that was heard of is given up then, should no final response come.
    pub(super) fn limit_client(&mut self, id: u64, until: Instant) {
        if let Some(ClientTransaction { machine: ClientMachine::Invite(machine), .. }) =
            self.clients.get_mut(&id)
        {
            machine.limit(until);
            self.arm_client(id);
        }
    }

    pub(super) fn arm_client(&mut self, id: u64) {
        let next = self.clients.get(&id).and_then(|client| match &client.machine {
            ClientMachine::Invite(machine) => machine.deadline(),
            ClientMachine::Other(machine) => machine.deadline(),
        });
        self.arm(Due::Client(id), next);
    }
}

/// The request of a head without its body, where it can be answered.
fn unframed_request(head: &[u8]) -> Option<Request> {
    match Message::parse(head) {
        Ok(Message::Request(request)) => Some(request).filter(|one| one.method != Method::Ack),
        Ok(Message::Response(_)) => None,
        Err(error) => error.answer().map(|(_, request)| request.clone()),
    }
}

fn client_waits(client: &ClientTransaction) -> bool {
    match &client.machine {
        ClientMachine::Invite(machine) => matches!(machine, ClientInvite::Calling { .. }),
        ClientMachine::Other(machine) => matches!(machine, ClientOther::Trying { .. }),
    }
}

fn machine(
    method: &Method,
    reliable: bool,
    times: &crate::transaction::Times,
    now: Instant,
) -> ClientMachine {
    if *method == Method::Invite {
        ClientMachine::Invite(ClientInvite::new(reliable, times, now))
    } else {
        ClientMachine::Other(ClientOther::new(reliable, times, now))
    }
}

/// Puts our Via on top; rport is always asked for (RFC 3581).
pub(super) fn write_via(request: &mut Request, flow: &Flow, branch: &str) {
    // We would keep the way of a registration open: does the server want that (RFC 6223 §4.1)?
    let keep = if request.method == Method::Register { ";keep" } else { "" };
    let transport = flow.transport.via_token();
    let via = format!("SIP/2.0/{transport} {};rport;branch={branch}{keep}", flow.local);
    request.headers.push_front("Via", via);
}

fn set_via_transport(request: &mut Request, transport: Transport) {
    if let Ok(mut via) = request.headers.top_via() {
        via.transport = transport.via_token().into();
        request.headers.pop_via();
        request.headers.push_front("Via", via.to_string());
    }
}

/// Writes received and rport into the top Via (RFC 3261 §18.2.1, RFC 3581 §4); gives the way of the responses: of a
/// connection, its remote address is where a new one goes should that be closed (§18.2.2).
pub(super) fn note_source(request: &mut Request, flow: Flow) -> Flow {
    let Ok(mut via) = request.headers.top_via() else { return flow };
    let asked = via.params.has("rport");
    let differs = via.host.ip() != Some(flow.remote.ip());
    if asked {
        via.params.set("rport", Some(&flow.remote.port().to_string()));
    }
    if asked || differs {
        via.params.set("received", Some(&flow.remote.ip().to_string()));
    }
    request.headers.pop_via();
    request.headers.push_front("Via", via.to_string());
    let port = via.port.unwrap_or(flow.transport.default_port());
    let ip = match via.maddr().filter(|ip| may_answer_to(*ip, &flow)) {
        Some(ip) => ip,
        None if asked && flow.transport == Transport::Udp => return flow,
        None => flow.remote.ip(),
    };
    Flow { remote: SocketAddr::new(ip, port), ..flow }
}

/// A peer may have its answers sent elsewhere by datagram (RFC 3261 §18.2.2, before RFC 3581 §4), but not to this very
/// computer, nor to where the socket does not reach.
fn may_answer_to(ip: IpAddr, flow: &Flow) -> bool {
    let inside = ip.is_loopback() && !flow.remote.ip().is_loopback();
    let reached = ip.is_ipv4() == flow.remote.is_ipv4() && !ip.is_unspecified();
    flow.transport == Transport::Udp && reached && !inside
}
