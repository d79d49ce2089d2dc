//! What is known of a leg: how the phone behind it is reached, and what a text to it may be (sip-chat §0.1, §3.2, §3.10).

use sip_core::{Flow, Headers, Method, Uri};

use super::Leg;
use super::delivery::MIN_LIMIT;
use crate::chat::answer::TextType;
use crate::chat::quirks::{self, Quirks, Way};
use crate::chat::reads::Reads;
use crate::{ChatAbility, ParticipantId};

/// The most bytes of a request over UDP (RFC 3261 §18.1.1), and over TCP to a phone that may cut at 4000.
const UDP_REQUEST: usize = 1300;
const TCP_REQUEST: usize = 3500;
/// What proxies on the way may add.
const PROXIES: usize = 180;
/// Start line, Via, CSeq and all other headers without their URIs, names and tags.
const HEADERS: usize = 420;
/// The most bytes of a request to an end of our own kind over a connection that nobody else reads.
const OWN_REQUEST: usize = crate::chat::MAX_TEXT + 4096;

impl Leg {
    pub(super) fn new(
        person: ParticipantId,
        flow: Flow,
        uri: Option<Uri>,
        quirks: Quirks,
        dialled_out: bool,
    ) -> Self {
        Self {
            person,
            connected: false,
            is_aside: false,
            is_put_off: false,
            dialled_out,
            flow,
            uri,
            identity: sip_core::Identity::Unverified,
            dialog: Default::default(),
            is_routed: false,
            beyond_hop: None,
            contact: None,
            source: None,
            dialled_uri: None,
            quirks_name: None,
            quirks,
            reads: Reads::default(),
            refused_envelope: false,
            is_focus: false,
            passed: Default::default(),
            way: Way::InDialog,
            tried_other_way: false,
            unsupported: false,
            text_type: TextType::default(),
            ever_accepted: false,
            told: false,
            limit: usize::MAX,
            route_bytes: 0,
            dropped: 0,
            reported: None,
            owed: Vec::new(),
            refused_marks: false,
            has_history: false,
            marks: Default::default(),
            owed_last: None,
            joiner: Default::default(),
            queue: Default::default(),
            queued_bytes: 0,
            in_flight: None,
            retry_at: None,
        }
    }

    /// What a phone tells of itself in its INVITE or its answer.
    pub(super) fn learn(&mut self, headers: &Headers, dialled_out: bool) {
        self.quirks_name = headers.user_agent().map(crate::name::clean);
        self.quirks = quirks::of(headers.user_agent());
        self.way = if dialled_out { self.quirks.dialled_out } else { self.quirks.dialled_in };
        self.limit = self.quirks.limit.unwrap_or(usize::MAX);
        let routes = headers.record_routes().unwrap_or_default();
        self.route_bytes =
            routes.iter().map(|route| "Route: \r\n".len() + route.to_string().len()).sum();
        self.is_routed = headers.record_routes().is_ok_and(|routes| !routes.is_empty());
        self.take_target(headers);
    }

    /// How many bytes of text a request to this phone can carry when it says this display name and address of ours.
    pub(super) fn room(&self, display: usize, own: usize) -> usize {
        let uri = |uri: &Option<Uri>| uri.as_ref().map_or(0, |uri| uri.to_string().len());
        let (call_id, ours, theirs) = &self.dialog;
        let names = display + 2 * own.max(uri(&self.uri)) + 64;
        let dialog = call_id.len() + ours.len() + theirs.len();
        let proxies = if self.is_routed { PROXIES } else { 0 };
        let used = HEADERS + names + dialog + uri(&self.contact) + self.route_bytes + proxies;
        let most = match self.flow.transport {
            sip_core::Transport::Udp => UDP_REQUEST,
            sip_core::Transport::Tcp | sip_core::Transport::Tls if self.is_ours_and_near() => {
                OWN_REQUEST
            }
            sip_core::Transport::Tcp | sip_core::Transport::Tls => TCP_REQUEST,
        };
        most.saturating_sub(used).max(MIN_LIMIT).min(self.limit)
    }

    fn is_ours_and_near(&self) -> bool {
        self.reads.is_ours && self.reads.envelopes && !self.is_routed
    }

    /// Contact and Allow of a target refresh (RFC 3261 §12.2).
    pub(super) fn refresh(&mut self, headers: &Headers) {
        let before = self.contact.as_ref().and_then(address_of);
        self.take_target(headers);
        let after = self.contact.as_ref().and_then(address_of);
        // A phone whose Contact was where its requests came from has moved; behind a NAT nothing is known.
        let was_there = self.flow.transport == sip_core::Transport::Udp
            && !self.is_routed
            && before == Some(self.flow.remote);
        if let Some(remote) = after.filter(|_| was_there) {
            self.flow.remote = remote;
        }
    }

    fn take_target(&mut self, headers: &Headers) {
        let contact = headers.contacts().ok().and_then(|contacts| contacts.first().cloned());
        self.is_focus |= contact.as_ref().is_some_and(|contact| contact.params.has("isfocus"));
        if let Some(reads) = Reads::of(headers) {
            self.reads = Reads {
                // Between conferences texts are plain: an envelope would name authors that the other has not.
                envelopes: reads.envelopes && !self.refused_envelope && !self.is_focus,
                ..reads
            };
        }
        if let Some(uri) = contact.and_then(|contact| contact.uri.as_sip().cloned()) {
            self.contact = Some(uri);
        }
        // An Allow without MESSAGE says no; no Allow says nothing (RFC 3261 §20.5).
        if let Some(allow) = headers.allow() {
            self.unsupported = !allow.contains(&Method::Message);
        }
    }

    pub(super) fn ability(&self) -> ChatAbility {
        if self.unsupported || self.quirks.never_shows {
            ChatAbility::No
        } else if self.quirks.joins_lines {
            ChatAbility::LinesMayBeJoined
        } else {
            ChatAbility::Yes
        }
    }
}

/// Where a URI with a literal address leads over UDP.
pub(super) fn address_of(uri: &Uri) -> Option<std::net::SocketAddr> {
    let ip = uri.host.ip().filter(|_| uri.transport().is_none_or(|name| name == "udp"))?;
    Some(std::net::SocketAddr::new(ip, uri.port.unwrap_or(5060)))
}
