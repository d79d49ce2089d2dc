//! A dialog: what both ends agreed on, and the requests inside it (RFC 3261 §12). Matched by Call-ID and tags only,
//! because some stacks rewrite the URIs of From and To.

use std::net::{IpAddr, SocketAddr};

use crate::endpoint::Contact;
use crate::message::{AnyUri, Headers};
use crate::{
    ConnectionId, Flow, Method, NameAddr, ParseError, Request, Response, Scheme, Transport, Uri,
};

/// Our half of the dialog id.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct LocalTag(pub(crate) String);

/// The peer's half; empty for peers of RFC 2543.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct RemoteTag(pub(crate) String);

/// Call-ID and both tags.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct DialogId {
    pub(crate) call_id: String,
    pub(crate) local: LocalTag,
    pub(crate) remote: RemoteTag,
}

impl DialogId {
    /// The dialog a received request speaks of: To is ours.
    pub(crate) fn of_request(headers: &Headers) -> Option<Self> {
        let tag = |address: Result<NameAddr, ParseError>| address.ok()?.tag().map(str::to_owned);
        Some(Self {
            call_id: headers.call_id()?.to_owned(),
            local: LocalTag(tag(headers.to_header())?),
            remote: RemoteTag(tag(headers.from_header()).unwrap_or_default()),
        })
    }
}

/// One dialog.
#[derive(Clone, Debug)]
pub(crate) struct Dialog {
    pub(crate) id: DialogId,
    /// With our tag.
    pub(crate) local: NameAddr,
    /// With the peer's tag.
    pub(crate) remote: NameAddr,
    pub(crate) local_cseq: u32,
    pub(crate) remote_cseq: Option<u32>,
    pub(crate) remote_target: Uri,
    pub(crate) routes: Vec<NameAddr>,
    /// How the peer was reached or heard last.
    pub(crate) flow: Flow,
    pub(crate) contact: Contact,
    /// The peer's Allow, once it gave one.
    pub(crate) allow: Option<Vec<Method>>,
    /// Where the peer itself, and no proxy, wrote from last by datagram.
    heard: Option<SocketAddr>,
}

impl Dialog {
    /// Ours by answering this request with this tag (RFC 3261 §12.1.1).
    pub(crate) fn as_server(
        request: &Request,
        tag: &str,
        flow: Flow,
        contact: Contact,
    ) -> Option<Self> {
        let headers = &request.headers;
        let (local, remote) =
            (headers.to_header().ok()?.with_tag(tag), headers.from_header().ok()?);
        let id = DialogId {
            call_id: headers.call_id()?.to_owned(),
            local: LocalTag(tag.to_owned()),
            remote: RemoteTag(remote.tag().unwrap_or_default().to_owned()),
        };
        let mut dialog = Self {
            id,
            local,
            remote_target: target(headers).or_else(|| request_source(headers, flow))?,
            remote,
            local_cseq: 0,
            remote_cseq: headers.cseq().ok().map(|cseq| cseq.number),
            routes: headers.record_routes().unwrap_or_default(),
            flow,
            contact,
            allow: headers.allow(),
            heard: None,
        };
        dialog.hear(flow);
        Some(dialog)
    }

    /// Ours by this response to our request (RFC 3261 §12.1.2).
    pub(crate) fn as_client(
        request: &Request,
        response: &Response,
        flow: Flow,
        contact: Contact,
    ) -> Option<Self> {
        let headers = &response.headers;
        // From and Call-ID are our own; the peer may have rewritten the URI.
        let local = request.headers.from_header().ok()?;
        let tag = headers.to_header().ok()?.tag().unwrap_or_default().to_owned();
        let mut remote = request.headers.to_header().ok()?;
        if !tag.is_empty() {
            remote = remote.with_tag(&tag);
        }
        let id = DialogId {
            call_id: request.headers.call_id()?.to_owned(),
            local: LocalTag(local.tag()?.to_owned()),
            remote: RemoteTag(tag),
        };
        let mut routes = headers.record_routes().unwrap_or_default();
        routes.reverse();
        let mut dialog = Self {
            id,
            local,
            remote,
            local_cseq: request.headers.cseq().ok()?.number,
            remote_cseq: None,
            remote_target: target(headers).or_else(|| request.uri.as_sip().cloned())?,
            routes,
            flow,
            contact,
            allow: headers.allow(),
            heard: None,
        };
        // Only where no proxy can stand between.
        let target = request.uri.as_sip().and_then(|uri| uri.host.ip());
        if target == Some(flow.remote.ip()) && request.headers.get("Route").is_none() {
            dialog.hear(flow);
        }
        Some(dialog)
    }

    /// The peer wrote by this flow: where it is behind a translator, that is the only way to it (RFC 3581). Nothing is
    /// learnt from a proxy.
    pub(crate) fn hear(&mut self, flow: Flow) {
        if flow.transport == Transport::Udp && self.routes.is_empty() {
            self.heard = Some(flow.remote);
            if self.flow.transport == Transport::Udp {
                self.flow = flow;
            }
        }
    }

    /// Our address towards the peer; whether it is another one than before. A connection from the old one is left.
    pub(crate) fn move_to(&mut self, local: SocketAddr) -> bool {
        let moved = self.flow.local.ip() != local.ip();
        if moved {
            self.flow = Flow { local, connection: None, ..self.flow };
            self.contact.at = None;
        }
        moved
    }

    /// What the peer says that it takes.
    pub(crate) fn refresh_allow(&mut self, headers: &Headers) {
        if let Some(allow) = headers.allow() {
            self.allow = Some(allow);
        }
    }

    /// Contact and Allow of a target refresh or of its 2xx (RFC 3261 §12.2); whether the peer is elsewhere than before.
    pub(crate) fn refresh(&mut self, headers: &Headers, flow: Option<Flow>) -> bool {
        let target = target(headers).unwrap_or_else(|| self.remote_target.clone());
        let moved = target != self.remote_target;
        self.remote_target = target;
        self.refresh_allow(headers);
        if let Some(flow) = flow {
            self.flow = flow;
        }
        moved
    }

    /// Notes the CSeq of a received request; false when it is lower than one before (RFC 3261 §12.2.2).
    pub(crate) fn take_cseq(&mut self, number: u32) -> bool {
        if self.remote_cseq.is_some_and(|known| number <= known) {
            return false;
        }
        self.remote_cseq = Some(number);
        true
    }

    /// A request inside the dialog, without Via and Contact; the CSeq grows by one unless `cseq` says which.
    pub(crate) fn request(&mut self, method: Method, cseq: Option<u32>) -> Request {
        let number = cseq.unwrap_or_else(|| {
            self.local_cseq += 1;
            self.local_cseq
        });
        let mut headers = Headers::default();
        let mut routes: Vec<NameAddr> = self.routes.clone();
        let mut uri = AnyUri::Sip(self.remote_target.clone());
        let strict = routes
            .first()
            .and_then(|first| first.uri.as_sip())
            .is_some_and(|first| !first.params.has("lr"));
        if strict {
            // A strict router wants to be the Request-URI and the target last (RFC 3261 §12.2.1.1).
            let first = routes.remove(0);
            routes.push(NameAddr::new(None, uri));
            uri = first.uri;
        }
        headers.push("Max-Forwards", "70");
        headers.push("From", self.local.to_string());
        headers.push("To", self.remote.to_string());
        headers.push("Call-ID", &self.id.call_id);
        headers.push("CSeq", format!("{number} {method}"));
        for route in &routes {
            headers.push("Route", route.to_string());
        }
        Request { method, uri, headers, body: bytes::Bytes::new() }
    }

    /// Where its requests go: the connection in use while it is open, else the first route or the target (RFC 3261
    /// §12.2.1.1). A host name, or an address of the other family, is reached where the peer was heard last.
    pub(crate) fn next_hop(&self, is_open: impl Fn(ConnectionId) -> bool) -> Flow {
        let connection = self.flow.connection;
        if connection.is_some_and(is_open) {
            return self.flow;
        }
        let hop =
            self.routes.first().and_then(|first| first.uri.as_sip()).unwrap_or(&self.remote_target);
        let secure = hop.scheme == Scheme::Sips || self.remote_target.scheme == Scheme::Sips;
        let transport = match hop.transport().as_deref() {
            Some("tcp" | "tls") if secure => Transport::Tls,
            None if secure => Transport::Tls,
            Some("tcp") => Transport::Tcp,
            Some("tls") => Transport::Tls,
            Some(_) | None => Transport::Udp,
        };
        let port = hop.port.unwrap_or(transport.default_port());
        let reachable = |ip: &IpAddr| ip.is_ipv4() == self.flow.local.is_ipv4();
        let Some(ip) = hop.host.ip().filter(reachable) else {
            // The port of a connection that the peer had opened is nobody's after it.
            let theirs = connection.is_some_and(|id| !id.is_ours());
            let remote = SocketAddr::new(self.flow.remote.ip(), port);
            return Flow {
                remote: if theirs { remote } else { self.flow.remote },
                connection: None,
                ..self.flow
            };
        };
        let named = SocketAddr::new(ip, port);
        // A phone behind a translator names an address that nobody outside can reach.
        let elsewhere = |heard: &SocketAddr| heard.ip() != ip && is_private(ip);
        let by_source = self.routes.is_empty() && transport == Transport::Udp;
        let remote = self.heard.filter(|heard| by_source && elsewhere(heard)).unwrap_or(named);
        Flow { transport, remote, connection: None, ..self.flow }
    }
}

/// Whether an address means something only where it is (RFC 1918, RFC 3927, RFC 4193, RFC 6598).
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [first, second, ..] = ip.octets();
            let shared = first == 100 && (64..128).contains(&second);
            ip.is_private() || ip.is_link_local() || ip.is_loopback() || shared
        }
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_loopback(),
    }
}

fn target(headers: &Headers) -> Option<Uri> {
    headers.contacts().ok()?.first()?.uri.as_sip().cloned()
}

/// A peer without Contact is reached where it wrote from.
fn request_source(headers: &Headers, flow: Flow) -> Option<Uri> {
    let from = headers.from_header().ok()?;
    Some(Uri::from_address(from.uri.as_sip()?.user.as_deref(), flow.remote))
}
