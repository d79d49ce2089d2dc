//! Redirection: the addresses of a 3xx are tried one after the other, best first (RFC 3261 §8.1.3.4). A redirect comes from
//! whom we called, or from whoever answers for him: it may lead us on, not in circles, not from TLS to less, not to an
//! emergency service, and it may not write our headers (§19.1.5).

use std::collections::VecDeque;
use std::time::Instant;

use super::calls::{Call, Phase};
use super::locate::is_sips;
use super::registration::loose;
use super::responses::Finish;
use super::{Endpoint, Owner};
use crate::message::unescape;
use crate::{AnyUri, Event, Method, NameAddr, Params, Request, Response, Text, Uri, Way};

/// The most addresses that one request is sent to, its first included.
const MAX_TARGETS: usize = 8;
/// The most redirects one behind the other.
const MAX_HOPS: u8 = 5;
/// The most Contacts of a response that are looked at.
const MAX_CONTACTS: usize = 32;
/// The longest header that a Contact may ask for, in bytes.
const MAX_HEADER: usize = 256;
/// What a Contact may ask for: words about the call. Everything else says who we are, what we can do or where a message
/// goes, or makes the other phone fetch something.
const HARMLESS: [&str; 4] = ["History-Info", "In-Reply-To", "Priority", "Subject"];

/// An address to try.
#[derive(Clone, Debug)]
struct Candidate {
    /// Name and address, without headers and without `method`.
    address: NameAddr,
    uri: Uri,
    headers: Vec<(&'static str, String)>,
    /// 305: the request stays as it is and passes here.
    is_proxy: bool,
    /// How many redirects led here.
    hops: u8,
}

/// Where a request that was redirected has been and may still go; by its Call-ID, which it keeps.
#[derive(Debug)]
pub(super) struct Targets {
    /// As it was before the first redirect, without Via and credentials.
    base: Request,
    waiting: VecDeque<Candidate>,
    /// Every address that was tried or waits.
    known: Vec<Uri>,
    /// How many redirects led to the one that is tried.
    hops: u8,
    /// An emergency service was among them.
    emergency: bool,
}

impl Targets {
    fn new(request: &Request) -> Self {
        let mut base = request.clone();
        base.headers.pop_via();
        for name in ["Authorization", "Proxy-Authorization"] {
            base.headers.remove(name);
        }
        let known = request.uri.as_sip().cloned().into_iter().collect();
        Self { base, waiting: VecDeque::new(), known, hops: 0, emergency: false }
    }

    /// Takes the addresses of a redirect, in front of those that wait: they stand for the one that was tried last.
    fn take(&mut self, request: &Request, response: &Response) {
        let mut found: Vec<(u16, Candidate)> = Vec::new();
        for contact in response.headers.list("Contact").into_iter().take(MAX_CONTACTS) {
            let Ok(contact) = NameAddr::parse(contact) else { continue };
            if crate::is_emergency_any(&contact.uri) {
                self.emergency = true;
                continue;
            }
            // 380 names services of another kind in its body (§21.3.5).
            if self.hops >= MAX_HOPS || response.status.code() == 380 {
                continue;
            }
            let quality = quality(&contact.params);
            let is_proxy = response.status.code() == 305;
            let Some(candidate) = candidate(contact, request, is_proxy, self.hops + 1) else {
                continue;
            };
            let known = self.known.iter().any(|known| known.is_equivalent(&candidate.uri));
            if !known && self.known.len() < MAX_TARGETS {
                self.known.push(candidate.uri.clone());
                found.push((quality, candidate));
            }
        }
        found.sort_by_key(|(quality, _)| std::cmp::Reverse(*quality));
        for (_, candidate) in found.into_iter().rev() {
            self.waiting.push_front(candidate);
        }
    }
}

impl Endpoint {
    /// A request of ours failed: after a 3xx it goes to the next address, under the same Call-ID, From and To and with
    /// CSeq + 1. False where there is none.
    pub(super) fn redirect(&mut self, id: u64, finish: &Finish, now: Instant) -> bool {
        let Some(client) = self.clients.get(&id) else { return false };
        if self.redirects.is_empty() && !redirects(finish) {
            return false;
        }
        let (request, owner) = (client.request.clone(), client.owner.clone());
        self.redirect_request(id, &request, &owner, finish, now)
    }

    /// The same for a request whose server was not found.
    pub(super) fn redirect_request(
        &mut self,
        id: u64,
        request: &Request,
        owner: &Owner,
        finish: &Finish,
        now: Instant,
    ) -> bool {
        if finish.is_provisional() || request.headers.to_tag().is_some() {
            return false;
        }
        let Some(call_id) = request.headers.call_id().map(str::to_owned) else { return false };
        let known = self.redirects.remove(&call_id);
        let over = match finish {
            // A 6xx speaks for all places (§21.6).
            Finish::Response(response, _) => matches!(response.status.code(), 200..=299 | 600..),
            Finish::TimedOut | Finish::Unsendable => false,
        };
        if over || !may_follow(owner) || !self.is_wanted(owner) {
            return false;
        }
        let mut targets = match (known, finish) {
            (Some(targets), _) => targets,
            (None, finish) if redirects(finish) => Targets::new(request),
            (None, _) => return false,
        };
        if let Finish::Response(response, _) = finish
            && redirects(finish)
        {
            targets.take(request, response);
        }
        let Some(next) = targets.waiting.pop_front() else {
            if targets.emergency {
                self.note_emergency(owner);
            }
            return false;
        };
        targets.hops = next.hops;
        let sent = request.headers.cseq().map_or(1, |cseq| cseq.number);
        let request = self.aimed(&targets.base, &next, sent, owner);
        self.redirects.insert(call_id, targets);
        if let Owner::Invite(call) = owner {
            self.end_forks(id, *call);
        }
        self.send_redirected(id, request, owner, next.is_proxy, now);
        if let Owner::Invite(call) = owner {
            self.emit(Event::Redirected { call: *call, to: Box::new(next.address) });
        }
        true
    }

    /// Nobody wants to know any more where a request may still go.
    pub(super) fn forget_redirects(&mut self, request: &Request) {
        if let Some(call_id) = request.headers.call_id() {
            self.redirects.remove(call_id);
        }
    }

    fn aimed(&mut self, base: &Request, next: &Candidate, sent: u32, owner: &Owner) -> Request {
        let mut request = base.clone();
        let number = self.next_cseq(owner, sent);
        request.headers.set("CSeq", format!("{number} {}", request.method));
        if next.is_proxy {
            request.headers.remove("Route");
            request.headers.push("Route", loose(&next.uri));
        } else {
            request.uri = AnyUri::Sip(next.uri.clone());
        }
        for (name, value) in &next.headers {
            request.headers.set(name, value);
        }
        request
    }

    fn send_redirected(
        &mut self,
        id: u64,
        mut request: Request,
        owner: &Owner,
        by_proxy: bool,
        now: Instant,
    ) {
        let before = self.clients.get(&id).map(|client| client.flow);
        // What an account sends goes by its own proxy wherever it leads.
        let account = self.account_by_from(&request).filter(|_| !by_proxy);
        let target = request.uri.as_sip().cloned();
        let way = match account.zip(target) {
            Some((account, target)) => {
                request.headers.remove("Route");
                self.way_of(Way::Account(account), &target, &mut request.headers)
            }
            None => Way::Locate,
        };
        let same = |flow: &crate::Flow| {
            before.is_some_and(|old| old.transport == flow.transport && old.remote == flow.remote)
        };
        // The proofs made for one server are not shown to another.
        if !matches!(&way, Way::Flow(flow) if same(flow)) {
            self.forget_credentials(&request);
        }
        let new = self.start_request(request, way, owner.clone(), now);
        self.client_replaced(owner, id, new, now);
    }

    /// A call led to an emergency service and nowhere else.
    fn note_emergency(&mut self, owner: &Owner) {
        if let Owner::Invite(key) = owner
            && let Some(Call { phase: Phase::Calling { emergency, .. }, .. }) =
                self.calls.get_mut(key)
        {
            *emergency = true;
        }
    }
}

/// A REGISTER is for its registrar, and what is inside a dialog for its other end.
fn may_follow(owner: &Owner) -> bool {
    match owner {
        Owner::Invite(_) | Owner::Pager(_) | Owner::Subscribe { call: None, .. } => true,
        Owner::Bye
        | Owner::Cancel
        | Owner::EarlyUpdate { .. }
        | Owner::InDialog { .. }
        | Owner::KeepAlive(_)
        | Owner::Notify { .. }
        | Owner::Prack { .. }
        | Owner::Probe { .. }
        | Owner::Refer { .. }
        | Owner::Register(_)
        | Owner::Refresh { .. }
        | Owner::Reinvite { .. }
        | Owner::Subscribe { call: Some(_), .. } => false,
    }
}

fn redirects(finish: &Finish) -> bool {
    matches!(finish, Finish::Response(response, _) if (300..400).contains(&response.status.code()))
}

/// A Contact as a target; `None` for what we cannot or must not follow.
fn candidate(contact: NameAddr, request: &Request, is_proxy: bool, hops: u8) -> Option<Candidate> {
    let AnyUri::Sip(mut uri) = contact.uri else { return None };
    // sips is never taken for less (RFC 3261 §26.2.2).
    if is_sips(&request.uri) && uri.scheme != crate::Scheme::Sips {
        return None;
    }
    if uri.params.value("method").is_some_and(|method| method != request.method.as_str()) {
        return None;
    }
    uri.params.remove("method");
    let headers = harmless(&uri.headers, &request.method);
    uri.headers = Text::default();
    let address = NameAddr {
        display: contact.display,
        uri: AnyUri::Sip(uri.clone()),
        params: Params::default(),
    };
    Some(Candidate { address, uri, headers, is_proxy, hops })
}

/// The headers of a URI that may be obeyed.
fn harmless(headers: &str, method: &Method) -> Vec<(&'static str, String)> {
    let mut taken: Vec<(&'static str, String)> = Vec::new();
    if *method != Method::Invite {
        return taken;
    }
    for header in headers.split('&') {
        let Some((name, value)) = header.split_once('=') else { continue };
        let Some(name) = HARMLESS.into_iter().find(|one| one.eq_ignore_ascii_case(name)) else {
            continue;
        };
        let value = String::from_utf8(unescape(value)).ok();
        let fits = |value: &String| {
            !value.is_empty() && value.len() <= MAX_HEADER && !value.chars().any(char::is_control)
        };
        if let Some(value) = value.filter(fits)
            && taken.iter().all(|(known, _)| *known != name)
        {
            taken.push((name, value));
        }
    }
    taken
}

/// The q of a Contact in thousandths (RFC 3261 §20.10); all of it where it says none.
fn quality(params: &Params) -> u16 {
    let Some(text) = params.value("q") else { return 1000 };
    let quality: f32 = text.parse().unwrap_or_default();
    (quality.clamp(0.0, 1.0) * 1000.0) as u16
}
