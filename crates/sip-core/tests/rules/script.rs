//! The agent under test, what it sent and told, and a peer whose every message the test writes.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use sip_core::{
    Config, Confirmed, Connect, ConnectionChange, ConnectionId, Contact, Content, DnsAnswer, Early,
    Endpoint, Event, Flow, HandleError, Input, Invite, Message, NameAddr, Output, Query, Question,
    Request, ResolvedTarget, Response, StatusCode, Transport, Uri, Way,
};

pub const ME: &str = "192.0.2.1:5060";
pub const PEER: &str = "192.0.2.8:5060";

/// Something the agent sent, with its way.
#[derive(Debug)]
pub struct Sent {
    pub flow: Flow,
    pub text: String,
    pub bytes: Vec<u8>,
}

impl Sent {
    pub fn request(&self) -> Request {
        match Message::parse(self.text.as_bytes()).unwrap() {
            Message::Request(request) => request,
            Message::Response(_) => panic!("a response: {}", self.text),
        }
    }

    pub fn response(&self) -> Response {
        match Message::parse(self.text.as_bytes()).unwrap() {
            Message::Response(response) => response,
            Message::Request(_) => panic!("a request: {}", self.text),
        }
    }

    pub fn first(&self) -> &str {
        self.text.lines().next().unwrap_or_default()
    }

    /// All values of a header, in order.
    pub fn all(&self, name: &str) -> Vec<String> {
        let headers = match Message::parse(self.text.as_bytes()).unwrap() {
            Message::Request(request) => request.headers,
            Message::Response(response) => response.headers,
        };
        headers.list(name).into_iter().map(str::to_owned).collect()
    }

    pub fn get(&self, name: &str) -> String {
        self.all(name).into_iter().next().unwrap_or_default()
    }

    /// A whole header line, commas included.
    pub fn line(&self, name: &str) -> &str {
        let mut lines = self.text.lines();
        let found = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        found.unwrap_or_default()
    }
}

/// The agent and everything around it.
pub struct Script {
    pub now: Instant,
    pub agent: Endpoint,
    pub sent: VecDeque<Sent>,
    pub events: VecDeque<Event>,
    pub connects: Vec<Connect>,
    pub closed: Vec<ConnectionId>,
    /// What the name system was asked, in order.
    pub asked: Vec<String>,
    /// What it knows: of `SRV _sip._udp.example.com`, `A host.example.com` and so on.
    pub zone: BTreeMap<String, DnsAnswer>,
    /// Questions are not answered but kept here.
    pub held: Option<Vec<Query>>,
    me: SocketAddr,
    count: u32,
}

/// A dialog as the peer sees it.
#[derive(Clone, Debug)]
pub struct Peer {
    pub call_id: String,
    /// The peer's From, with its tag.
    pub local: String,
    /// Our address, with our tag.
    pub remote: String,
    pub cseq: u32,
}

impl Peer {
    /// A request of the peer in the dialog, with the next CSeq.
    pub fn asks(&mut self, method: &str, more: &str, body: &str) -> String {
        self.cseq += 1;
        self.asks_with(method, self.cseq, more, body)
    }

    pub fn asks_with(&self, method: &str, cseq: u32, more: &str, body: &str) -> String {
        let Self { call_id, local, remote, .. } = self;
        format!(
            "{method} sip:me@{ME} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {PEER};rport;branch=z9hG4bK{call_id}{cseq}{method}\r\n\
             From: {local}\r\nTo: {remote}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\n\
             Max-Forwards: 70\r\n{more}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }
}

impl Script {
    pub fn new() -> Self {
        Self::with(Config::default())
    }

    pub fn with(config: Config) -> Self {
        let mut agent = Endpoint::new(config, Box::new(ChaCha8Rng::seed_from_u64(1)));
        agent.serve("me", false);
        Self {
            now: Instant::now(),
            agent,
            sent: VecDeque::new(),
            events: VecDeque::new(),
            connects: Vec::new(),
            closed: Vec::new(),
            asked: Vec::new(),
            zone: BTreeMap::new(),
            held: None,
            me: ME.parse().unwrap(),
            count: 0,
        }
    }

    fn drain(&mut self) {
        loop {
            match self.agent.poll_output() {
                Output::Close(connection) => self.closed.push(connection),
                Output::Connect(connect) => self.connects.push(connect),
                Output::Event(event) => self.events.push_back(event),
                Output::Resolve(query) => self.resolve(query),
                Output::Timeout(_) => return,
                Output::Transmit(transmit) => self.sent.push_back(Sent {
                    flow: transmit.flow,
                    text: String::from_utf8_lossy(&transmit.contents).into_owned(),
                    bytes: transmit.contents.to_vec(),
                }),
            }
        }
    }

    fn resolve(&mut self, query: Query) {
        let kind = match query.question {
            Question::Addresses { .. } => "A",
            Question::Naptr => "NAPTR",
            Question::Srv => "SRV",
        };
        let name = format!("{kind} {}", query.name);
        self.asked.push(name.clone());
        if let Some(held) = &mut self.held {
            held.push(query);
            return;
        }
        let nothing = match query.question {
            Question::Addresses { .. } => {
                let ip = query.name.parse().ok();
                let target = |remote| ResolvedTarget { remote, local: self.me };
                DnsAnswer::Addresses(ip.map(target).into_iter().collect())
            }
            Question::Naptr => DnsAnswer::Naptr(Vec::new()),
            Question::Srv => DnsAnswer::Srv(Vec::new()),
        };
        let answer = self.zone.get(&name).cloned().unwrap_or(nothing);
        let input = Input::Resolved { now: self.now, query: query.id, answer };
        self.agent.handle_input(input).unwrap();
    }

    fn feed(&mut self, input: Input<'_>) -> Result<(), HandleError> {
        let result = self.agent.handle_input(input);
        self.drain();
        result
    }

    pub fn udp(&mut self, text: &str) -> Result<(), HandleError> {
        self.udp_from(PEER, text)
    }

    pub fn udp_from(&mut self, source: &str, text: &str) -> Result<(), HandleError> {
        self.datagram(source, text.as_bytes())
    }

    pub fn datagram(&mut self, source: &str, contents: &[u8]) -> Result<(), HandleError> {
        self.feed(Input::Datagram {
            now: self.now,
            transport: Transport::Udp,
            source: source.parse().unwrap(),
            destination: self.me,
            contents,
        })
    }

    pub fn stream(&mut self, id: u64, text: &str) -> Result<(), HandleError> {
        let connection = ConnectionId(id);
        self.feed(Input::Stream { now: self.now, connection, contents: text.as_bytes() })
    }

    pub fn resolved(&mut self, query: &Query, answer: DnsAnswer) {
        self.feed(Input::Resolved { now: self.now, query: query.id, answer }).unwrap();
    }

    pub fn open(&mut self, id: u64, remote: &str) {
        self.open_by(Transport::Tcp, id, remote);
    }

    pub fn open_by(&mut self, transport: Transport, id: u64, remote: &str) {
        let flow =
            Flow { transport, local: self.me, remote: remote.parse().unwrap(), connection: None };
        let change = ConnectionChange::Opened { flow };
        self.feed(Input::Connection { now: self.now, connection: ConnectionId(id), change })
            .unwrap();
    }

    pub fn close(&mut self, id: u64, refused: bool) {
        let change = ConnectionChange::Closed { refused };
        self.feed(Input::Connection { now: self.now, connection: ConnectionId(id), change })
            .unwrap();
    }

    pub fn unreachable(&mut self, destination: &str) {
        let destination = destination.parse().unwrap();
        self.feed(Input::Unreachable { now: self.now, destination }).unwrap();
    }

    /// Lets time pass; every timer fires at its own time.
    pub fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        self.drain();
        while let Some((at, _)) = self.agent.poll_timeout().filter(|(at, _)| *at <= end) {
            self.now = at.max(self.now);
            self.feed(Input::Timeout(self.now)).unwrap();
        }
        self.now = end;
        self.feed(Input::Timeout(end)).unwrap();
    }

    /// The next thing sent whose first line begins so; what stands before it is passed over.
    pub fn expect(&mut self, start: &str) -> Sent {
        self.drain();
        let firsts: Vec<String> = self.sent.iter().map(|sent| sent.first().to_owned()).collect();
        while let Some(sent) = self.sent.pop_front() {
            if sent.text.starts_with(start) {
                return sent;
            }
        }
        panic!("no {start} among {firsts:?}")
    }

    /// How many such messages wait to be looked at; they are gone afterwards.
    pub fn count(&mut self, start: &str) -> usize {
        self.drain();
        self.sent.drain(..).filter(|sent| sent.text.starts_with(start)).count()
    }

    pub fn event(&mut self) -> Event {
        self.drain();
        self.events.pop_front().expect("an event")
    }

    pub fn silent(&mut self) -> bool {
        self.drain();
        self.events.is_empty()
    }

    pub fn contact() -> Contact {
        Contact::new("me".to_owned(), false)
    }

    /// A request outside of dialogs.
    pub fn asks(&mut self, method: &str, more: &str, body: &str) -> String {
        self.count += 1;
        let n = self.count;
        format!(
            "{method} sip:me@{ME} SIP/2.0\r\nVia: SIP/2.0/UDP {PEER};rport;branch=z9hG4bKout{n}\r\n\
             From: <sip:peer@192.0.2.8>;tag=out\r\nTo: <sip:me@192.0.2.1>\r\nCall-ID: out{n}\r\n\
             CSeq: {n} {method}\r\nMax-Forwards: 70\r\n{more}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    /// The peer's answer to a request of ours, by datagram.
    pub fn answer(&mut self, to: &Sent, status: u16, more: &str, body: &str) {
        let text = answer(&to.request(), status, "peertag", more, body);
        self.udp(&text).unwrap();
    }

    pub fn invite_to(&mut self, way: impl Into<Way>, target: &str) -> Early {
        self.invite_with(way, target, Content::sdp("v=0\r\n"))
    }

    pub fn invite_with(&mut self, way: impl Into<Way>, target: &str, offer: Content) -> Early {
        let to = Uri::parse(target).unwrap();
        let me = Uri::parse("sip:me@192.0.2.1").unwrap();
        let invite = Invite {
            target: to.clone(),
            way: way.into(),
            from: NameAddr::new(None, me),
            to: NameAddr::new(None, to),
            contact: Self::contact(),
            offer,
            expires: None,
            headers: Vec::new(),
        };
        let early = self.agent.invite(invite, self.now);
        self.drain();
        early
    }

    pub fn flow(transport: Transport) -> Flow {
        let (local, remote) = (ME.parse().unwrap(), PEER.parse().unwrap());
        Flow { transport, local, remote, connection: None }
    }

    /// Our INVITE, out.
    pub fn invite(&mut self, transport: Transport) -> (Early, Sent) {
        let early = self.invite_to(Self::flow(transport), "sip:peer@192.0.2.8");
        let sent = self.expect("INVITE");
        (early, sent)
    }

    /// A call that we made; `more` stands in the 2xx.
    pub fn dialled(&mut self, more: &str) -> (Confirmed, Peer) {
        let (_early, invite) = self.invite(Transport::Udp);
        self.answer(&invite, 200, more, "v=0\r\n");
        let Event::Answered { call, .. } = self.event() else { panic!("not answered") };
        let request = invite.request();
        let peer = Peer {
            call_id: request.headers.call_id().unwrap().to_owned(),
            local: format!("{};tag=peertag", request.headers.get("To").unwrap()),
            remote: request.headers.get("From").unwrap().to_owned(),
            cseq: 0,
        };
        (call, peer)
    }

    /// A call from the peer, confirmed; `more` stands in its INVITE.
    pub fn called(&mut self, more: &str) -> (Confirmed, Peer) {
        let invite = self.asks("INVITE", more, "");
        self.udp(&invite).unwrap();
        let Event::Invited { call, .. } = self.event() else { panic!("no call") };
        let _unacked = self.agent.accept(call, Self::contact(), Content::sdp("v=0\r\n"), self.now);
        let ok = self.expect("SIP/2.0 200").response();
        let mut peer = Peer {
            call_id: ok.headers.call_id().unwrap().to_owned(),
            local: ok.headers.get("From").unwrap().to_owned(),
            remote: ok.headers.get("To").unwrap().to_owned(),
            cseq: ok.headers.cseq().unwrap().number,
        };
        let ack = peer.asks_with("ACK", peer.cseq, "", "");
        self.udp(&ack).unwrap();
        let Event::Acked { call, .. } = self.event() else { panic!("not confirmed") };
        peer.cseq += 10;
        (call, peer)
    }
}

/// Contact of the peer, as a header line.
pub const CONTACT: &str = "Contact: <sip:peer@192.0.2.8:5060>\r\n";

/// A response to a request; the tag goes to To where there is none.
pub fn answer(request: &Request, status: u16, tag: &str, more: &str, body: &str) -> String {
    let status = StatusCode::new(status).unwrap();
    let mut text = format!("SIP/2.0 {status} X\r\n");
    for (name, value) in request.response(status, Some(tag)).headers.iter() {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("{more}Content-Length: {}\r\n\r\n{body}", body.len()));
    text
}

pub fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}
