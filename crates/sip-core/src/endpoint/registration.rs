//! Accounts: REGISTER, its refreshes and its failures (RFC 3261 §10), kept flows (RFC 5626), GRUU (RFC 5627), Path (RFC
//! 3327) and Service-Route (RFC 3608).

use std::net::IpAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::Rng;

use super::responses::Finish;
use super::{Contact, Due, Endpoint, Owner, Place, locate};
use crate::auth::Credentials;
use crate::message::{Headers, Via};
use crate::transaction::Timer;
use crate::{
    AccountId, AnyUri, ConnectionId, Event, Flow, Method, NameAddr, Request, Response, Uri, Way,
};

/// What is asked for.
const EXPIRES: Duration = Duration::from_secs(600);
/// No Min-Expires makes us ask for more.
const MAX_EXPIRES: Duration = Duration::from_secs(86_400);
/// RFC 5626 §4.5: the first wait after a failure, and the longest.
const BACK_OFF: Duration = Duration::from_secs(30);
const MAX_BACK_OFF: Duration = Duration::from_secs(1800);
/// However a registrar behaves, so often is it asked anew at once before patience begins.
const MAX_HURRIED: u32 = 3;
/// After a stop, or with another address, so often a registrar that cannot be reached is tried again soon: the network may
/// come back a moment later.
const EAGER: u32 = 4;
const SOON: Duration = Duration::from_secs(1);
/// Within this time accounts register anew then, each when chance says.
const ROUSE_MS: u64 = 200;
/// The most hops of a Service-Route that are kept.
const MAX_ROUTES: usize = 8;

/// Somebody's account at a provider.
#[derive(Clone, Debug)]
pub struct Account {
    /// The address of record, with the name that is shown.
    pub address: NameAddr,
    /// Name and password there.
    pub credentials: Credentials,
    /// Where to register, where that is not the domain of the address; its transport parameter counts.
    pub registrar: Option<Uri>,
    /// What everything goes through; its transport parameter counts.
    pub outbound_proxy: Option<Uri>,
    /// `urn:uuid:...` of this installation, the same at each start (RFC 5626 §4.1).
    pub instance: Option<String>,
    /// Feature parameters of the Contact, with each refresh (RFC 3840 §6): `audio`, `+parlour.chat="1"`.
    pub features: Vec<String>,
}

/// How an account stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Registration {
    /// A REGISTER is out, and until it is answered the account does not stand; a refresh is not told.
    Registering,
    /// It stands.
    Registered {
        /// Until it has to be refreshed at the latest; the Endpoint does so before.
        expires: Duration,
    },
    /// It does not stand.
    Failed {
        /// Why.
        failure: RegistrationFailure,
        /// When it is tried again by itself; `None`: only when it is asked for.
        retry: Option<Duration>,
    },
    /// It was ended by us.
    Unregistered,
}

/// Why an account could not be registered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RegistrationFailure {
    /// The password, or the name, is wrong (401 or 407 again).
    Credentials,
    /// Nobody answered.
    NoAnswer,
    /// The registrar said yes and keeps no binding of ours all the same: calls would not arrive.
    NotBound,
    /// The registrar refused, with this status and reason; the reason is untrusted text.
    Refused {
        /// The status.
        status: u16,
        /// Its words.
        reason: String,
    },
    /// The registrar was not found, or takes no connection.
    Unreachable,
}

#[derive(Debug)]
enum State {
    /// A REGISTER is out; `ending` where it takes the binding away.
    Asking { ending: bool },
    /// It stands; the timer refreshes it.
    Standing,
    /// The timer tries again.
    Waiting,
    /// Nothing happens by itself.
    Stopped,
}

/// An account and its binding.
#[derive(Debug)]
pub(super) struct Registrant {
    account: Account,
    state: State,
    call_id: String,
    tag: String,
    cseq: u32,
    expires: Duration,
    failures: u32,
    /// REGISTERs sent at once on what the registrar said or did, since the last that was due.
    hurried: u32,
    /// How the registrar was reached: requests of the account go the same way (RFC 5626 §4.3).
    flow: Option<Flow>,
    /// The one before, by which dialogs go that stand.
    lost: Option<Flow>,
    /// Our address as the registrar sees it.
    seen: Option<Uri>,
    /// The registrar reaches us by the flow of the registration, whatever our Contact says (RFC 5626 §6).
    outbound: bool,
    /// Bindings of ours that are of no use any more.
    stale: Vec<Uri>,
    /// The binding, and the connection, of before a stop.
    left: Option<(Uri, Option<ConnectionId>)>,
    /// How often it is still tried again soon.
    eager: u32,
    gruu: Option<Uri>,
    service_routes: Vec<NameAddr>,
    /// What to do once the REGISTER that is out has its answer.
    again: Option<Again>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Again {
    Refresh,
    End,
}

impl Registrant {
    fn aor(&self) -> Option<&Uri> {
        self.account.address.uri.as_sip()
    }

    /// Whether the binding holds; it does so while it is refreshed.
    fn is_standing(&self) -> bool {
        match self.state {
            State::Standing => self.flow.is_some(),
            State::Asking { ending } => !ending && self.flow.is_some(),
            State::Waiting | State::Stopped => false,
        }
    }

    /// Whether it stands by this very flow.
    pub(super) fn keeps(&self, flow: &Flow) -> bool {
        self.is_standing() && self.flow.as_ref() == Some(flow)
    }

    /// The address of record.
    pub(super) fn address(&self) -> &NameAddr {
        &self.account.address
    }

    /// Whether a flow is that of the registration.
    fn is_by(&self, flow: &Flow) -> bool {
        self.flow.is_some_and(|own| own.transport == flow.transport && own.remote == flow.remote)
    }
}

impl Endpoint {
    /// Registers an account and keeps it so; [`Event::Registration`] tells how it stands, each time that changes.
    pub fn register(&mut self, account: Account, now: Instant) -> AccountId {
        let id = AccountId(self.new_id());
        let (call_id, tag) = (self.token(), self.token());
        let registrant = Registrant {
            account,
            state: State::Stopped,
            call_id,
            tag,
            cseq: 0,
            expires: EXPIRES,
            failures: 0,
            hurried: 0,
            flow: None,
            lost: None,
            seen: None,
            outbound: false,
            stale: Vec::new(),
            left: None,
            eager: 0,
            gruu: None,
            service_routes: Vec::new(),
            again: None,
        };
        self.registrants.insert(id, registrant);
        self.send_register(id, false, now);
        id
    }

    /// Takes the binding away, this one only (RFC 3261 §10.2.2).
    pub fn unregister(&mut self, account: AccountId, now: Instant) {
        self.ask_register(account, Again::End, now);
    }

    /// Registers anew, at once: the user corrected something, or the network is another.
    pub fn register_again(&mut self, account: AccountId, now: Instant) {
        if let Some(registrant) = self.registrants.get_mut(&account) {
            registrant.failures = 0;
            registrant.hurried = 0;
        }
        self.ask_register(account, Again::Refresh, now);
    }

    /// The way to `target` for this account: the flow of its registration, where it stands and requests to that target
    /// go by it; else they are located.
    pub fn account_flow(&self, account: AccountId, target: &Uri) -> Option<Flow> {
        let registrant = self.registrants.get(&account)?;
        let proxied = registrant.account.outbound_proxy.is_some()
            || !registrant.service_routes.is_empty()
            || registrant.aor().is_some_and(|aor| aor.host.is_same(&target.host));
        registrant.flow.filter(|_| registrant.is_standing() && proxied)
    }

    /// Whether nothing is left to be told to a registrar.
    pub fn is_unregistered(&self) -> bool {
        let rests = |one: &Registrant| !matches!(one.state, State::Asking { .. });
        self.registrants.values().all(rests)
    }

    /// The way of a request, and the Route that it carries where it is an account's.
    pub(super) fn way_of(&self, way: Way, target: &Uri, headers: &mut Headers) -> Way {
        let Way::Account(id) = way else { return way };
        let Some(registrant) = self.registrants.get(&id) else { return Way::Locate };
        match &registrant.account.outbound_proxy {
            Some(proxy) => headers.push("Route", loose(proxy)),
            None => {
                for route in &registrant.service_routes {
                    headers.push("Route", route.to_string());
                }
            }
        }
        self.account_flow(id, target).map_or(Way::Locate, Way::Flow)
    }

    /// The address of record of an account: who a request of it is from.
    pub(super) fn account_of(&self, way: Way) -> Option<&NameAddr> {
        let Way::Account(id) = way else { return None };
        self.registrants.get(&id).map(|registrant| &registrant.account.address)
    }

    /// The account that a request is from.
    pub(super) fn account_by_from(&self, request: &Request) -> Option<AccountId> {
        let from = request.headers.from_header().ok()?;
        let from = from.uri.as_sip()?;
        let is = |one: &Registrant| one.aor().is_some_and(|aor| aor.same_address(from));
        self.registrants.iter().find(|(_, one)| is(one)).map(|(id, _)| *id)
    }

    /// Our Contact on this flow: as a registrar on its other end sees us.
    pub(super) fn placed(&self, contact: Contact, flow: &Flow) -> Contact {
        let contact = Contact { chat: self.config.chat, ..contact };
        let by = self.registrants.values().find(|one| one.is_standing() && one.is_by(flow));
        let Some(registrant) = by else { return contact };
        let own = registrant.aor().and_then(Uri::user_unescaped);
        let place = match (&registrant.gruu, &registrant.seen) {
            // A conference has an address of its own (RFC 4579 §4.2), which no registrar knows.
            (Some(gruu), _) if !contact.is_focus && own.as_deref() == Some(&contact.user) => {
                Some(Place::Gruu(gruu.clone()))
            }
            // In a dialog the proxy keeps to the flow as well (RFC 5626 §4.3).
            (_, seen) if registrant.outbound => {
                let at = seen.clone().unwrap_or_else(|| address_of(flow));
                Some(Place::Address(with_ob(at)))
            }
            (_, Some(seen)) => Some(Place::Address(seen.clone())),
            (_, None) => None,
        };
        Contact { at: place.map(Box::new), ..contact }
    }

    /// The credentials for a request: those of the account that it is from.
    pub(super) fn credentials_for(&self, request: &Request) -> Vec<Credentials> {
        let from = request.headers.from_header().ok();
        let from = from.as_ref().and_then(|from| from.uri.as_sip());
        let of = |one: &&Registrant| match (one.aor(), from) {
            (Some(aor), Some(from)) => aor.same_address(from),
            _ => false,
        };
        let own = self.registrants.values().find(of).map(|one| one.account.credentials.clone());
        own.into_iter().chain(self.config.credentials.iter().cloned()).collect()
    }

    fn ask_register(&mut self, id: AccountId, again: Again, now: Instant) {
        let Some(registrant) = self.registrants.get_mut(&id) else { return };
        match registrant.state {
            // One at a time (RFC 3261 §10.2).
            State::Asking { ending } => {
                registrant.again = (again == Again::Refresh || !ending).then_some(again);
            }
            State::Stopped | State::Waiting if again == Again::End => {
                registrant.state = State::Stopped;
                self.arm(Due::Account(id), None);
                self.tell_registration(id, Registration::Unregistered);
            }
            State::Standing | State::Waiting | State::Stopped => {
                self.send_register(id, again == Again::End, now);
            }
        }
    }

    fn send_register(&mut self, id: AccountId, ending: bool, now: Instant) {
        self.arm(Due::Account(id), None);
        let Some(registrant) = self.registrants.get_mut(&id) else { return };
        let Some(aor) = registrant.aor().cloned() else { return };
        let stands = registrant.is_standing();
        registrant.cseq += 1;
        registrant.again = None;
        registrant.state = State::Asking { ending };
        let expires = if ending { Duration::ZERO } else { registrant.expires };
        let account = &registrant.account;
        let mut registrar =
            account.registrar.clone().unwrap_or_else(|| Uri { user: None, ..aor.bare() });
        registrar.user = None;
        registrar.password = None;
        let mut headers = Headers::default();
        headers.push("Max-Forwards", "70");
        headers.push("From", account.address.with_tag(&registrant.tag).to_string());
        headers.push("To", account.address.to_string());
        headers.push("Call-ID", &registrant.call_id);
        headers.push("CSeq", format!("{} REGISTER", registrant.cseq));
        if let Some(proxy) = &account.outbound_proxy {
            headers.push("Route", loose(proxy));
        }
        let user = aor.user_unescaped().unwrap_or_default();
        let place = registrant.seen.clone().map(Place::Address);
        let contact = Contact { at: place.map(Box::new), ..Contact::new(user, false) };
        let flow = registrant.flow.filter(|flow| match flow.connection {
            Some(connection) => self.connections.contains_key(&connection),
            None => true,
        });
        let way = flow.map_or(Way::Locate, Way::Flow);
        let mut value = locate::contact_of(&contact, way);
        if let Some(instance) = &account.instance {
            value.push_str(&format!(";+sip.instance=\"<{instance}>\";reg-id=1"));
        }
        for feature in &account.features {
            value.push_str(&format!(";{feature}"));
        }
        value.push_str(&format!(";expires={}", expires.as_secs()));
        headers.push("Contact", value);
        for stale in std::mem::take(&mut registrant.stale) {
            headers.push("Contact", format!("<{stale}>;expires=0"));
        }
        headers.push("Expires", expires.as_secs().to_string());
        headers.push("Supported", "path, outbound, gruu");
        headers.push("Allow", super::capabilities::ALLOW.join(", "));
        let request = Request {
            method: Method::Register,
            uri: AnyUri::Sip(registrar),
            headers,
            body: Bytes::new(),
        };
        if !ending && !stands {
            self.tell_registration(id, Registration::Registering);
        }
        self.start_request(request, way, Owner::Register(id), now);
    }

    /// The answer to a REGISTER, or none.
    pub(super) fn register_finished(
        &mut self,
        tx: u64,
        id: AccountId,
        finish: Finish,
        now: Instant,
    ) {
        if finish.is_provisional() {
            return;
        }
        let sent = self.clients.get(&tx).map(|client| (client.request.clone(), client.flow));
        let Some(registrant) = self.registrants.get_mut(&id) else { return };
        let State::Asking { ending } = registrant.state else { return };
        match finish {
            Finish::Response(response, flow) if response.status.is_success() => {
                if ending {
                    self.unregistered(id, now);
                } else if let Some((request, way)) = sent {
                    let connection = flow.connection.or(way.connection);
                    self.registered(id, &request, &response, Flow { connection, ..way }, now);
                }
            }
            _ if ending => self.unregistered(id, now),
            Finish::Response(response, _) => self.register_refused(id, &response, now),
            // The way it went by is gone: by another one, at once.
            Finish::TimedOut | Finish::Unsendable if registrant.again == Some(Again::Refresh) => {
                registrant.again = None;
                self.hurry(id, now);
            }
            Finish::TimedOut => self.register_failed(id, RegistrationFailure::NoAnswer, None, now),
            Finish::Unsendable => {
                self.register_failed(id, RegistrationFailure::Unreachable, None, now);
            }
        }
    }

    fn unregistered(&mut self, id: AccountId, now: Instant) {
        let Some(registrant) = self.registrants.get_mut(&id) else { return };
        registrant.state = State::Stopped;
        registrant.flow = None;
        let again = registrant.again.take();
        self.tell_registration(id, Registration::Unregistered);
        if again == Some(Again::Refresh) {
            self.send_register(id, false, now);
        }
    }

    fn registered(
        &mut self,
        id: AccountId,
        request: &Request,
        response: &Response,
        flow: Flow,
        now: Instant,
    ) {
        let share = self.rng.random_range(85..=95);
        let Some(registrant) = self.registrants.get_mut(&id) else { return };
        let ours = request.headers.contacts().unwrap_or_default().into_iter().next();
        let ours = ours.and_then(|contact| contact.uri.as_sip().cloned());
        let theirs = response.headers.contacts().unwrap_or_default();
        let binding = own_binding(&theirs, ours.as_ref(), registrant.account.instance.as_deref());
        let granted = binding.and_then(|binding| {
            let own = binding.params.value("expires").and_then(|expires| expires.parse().ok());
            let granted = own.map(Duration::from_secs).or_else(|| response.headers.expires());
            Some(granted.unwrap_or(registrant.expires)).filter(|granted| !granted.is_zero())
        });
        let (Some(binding), Some(granted)) = (binding, granted) else {
            self.register_failed(id, RegistrationFailure::NotBound, None, now);
            return;
        };
        registrant.failures = 0;
        registrant.flow = Some(flow);
        // However short: a binding that is refreshed too late is none.
        let expires = granted.min(MAX_EXPIRES);
        registrant.gruu = binding.params.value("pub-gruu").and_then(|gruu| Uri::parse(gruu).ok());
        registrant.outbound = response.headers.require().contains(&"outbound");
        let routes = response.headers.get_all("Service-Route");
        let routes = routes.filter_map(|route| NameAddr::parse(route).ok()).take(MAX_ROUTES);
        registrant.service_routes = routes.collect();
        let seen = seen_at(response.headers.top_via().ok().as_ref(), &flow);
        // Of a connection that is the port of our end of it, at which nobody listens. A registrar without outbound finds
        // the connection by it and has no other way to us behind a NAT; one with outbound needs no such Contact.
        let seen = seen.filter(|_| !(registrant.outbound && flow.transport.is_reliable()));
        let moved = seen.is_some() && registrant.seen != seen && ours != seen_contact(&ours, &seen);
        let standing = seen_contact(&ours, &seen).filter(|_| moved).or(ours.clone());
        registrant.stale = ours.into_iter().filter(|_| moved).collect();
        registrant.eager = 0;
        let left = registrant.left.take();
        let roused = left.is_some();
        let (binding, connection) = left.unzip();
        // With outbound the new binding has taken its place (RFC 5626 §6).
        let is_other = |left: &Uri| !registrant.outbound && standing.as_ref() != Some(left);
        let other = binding.filter(is_other);
        registrant.stale.extend(other);
        let outdated = !registrant.stale.is_empty();
        registrant.seen = seen;
        registrant.state = State::Standing;
        let again = registrant.again.take();
        let lost = registrant.lost.take().filter(|lost| lost.remote == flow.remote);
        if let (Some(Flow { connection: Some(lost), .. }), Some(_)) = (lost, flow.connection) {
            self.move_dialogs(lost, flow);
        }
        self.keep_flow(flow, response, now);
        let refresh = now + expires * share / 100;
        self.arm(Due::Account(id), Some((refresh, Timer::Registration)));
        self.tell_registration(id, Registration::Registered { expires });
        match again {
            Some(again) => self.ask_register(id, again, now),
            // The registrar sees us elsewhere than we said: it is told so (a NAT).
            None if outdated && self.may_hurry(id) => self.send_register(id, false, now),
            None => {}
        }
        if roused {
            // The old connection may be sound: what is written to it before peers hear of the new one still comes by it.
            let old = connection.flatten();
            let used = self.renew_contacts(&flow, old, now);
            if let Some(old) = old.filter(|old| !used && self.is_suspect(*old)) {
                self.drop_connection(old, now);
            }
        }
    }

    fn register_refused(&mut self, id: AccountId, response: &Response, now: Instant) {
        let status = response.status.code();
        let Some(registrant) = self.registrants.get_mut(&id) else { return };
        if status == 423
            && registrant.hurried < MAX_HURRIED
            && let Some(min) = response.headers.min_expires()
            && min > registrant.expires
            && min <= MAX_EXPIRES
        {
            registrant.expires = min;
            registrant.hurried += 1;
            self.send_register(id, false, now);
            return;
        }
        let failure = match status {
            401 | 407 => RegistrationFailure::Credentials,
            _ => RegistrationFailure::Refused { status, reason: response.reason.to_string() },
        };
        let retry = response.headers.get("Retry-After").and_then(|value| {
            let digits = value.trim().split(|c: char| !c.is_ascii_digit()).next()?;
            digits.parse().ok().map(Duration::from_secs)
        });
        // What a person has to put right is not tried again by itself.
        match status {
            401 | 403 | 404 | 407 => {
                registrant.state = State::Stopped;
                registrant.again = None;
                self.tell_registration(id, Registration::Failed { failure, retry: None });
            }
            _ => self.register_failed(id, failure, retry, now),
        }
    }

    /// RFC 5626 §4.5: 30 s, doubled with each failure up to half an hour, half to all of it.
    fn register_failed(
        &mut self,
        id: AccountId,
        failure: RegistrationFailure,
        asked: Option<Duration>,
        now: Instant,
    ) {
        let share = self.rng.random_range(50..=100);
        let Some(registrant) = self.registrants.get_mut(&id) else { return };
        let doubled = BACK_OFF * (1 << registrant.failures.min(6));
        let wait = doubled.min(MAX_BACK_OFF) * share / 100;
        let wait = wait.max(asked.unwrap_or_default().min(MAX_BACK_OFF));
        registrant.failures += 1;
        registrant.flow = None;
        let again = registrant.again.take();
        registrant.state = State::Waiting;
        let is_eager =
            registrant.eager > 0 && failure == RegistrationFailure::Unreachable && again.is_none();
        if is_eager {
            registrant.eager -= 1;
        }
        match failure {
            RegistrationFailure::NoAnswer | RegistrationFailure::Unreachable => {
                self.forgive_silence();
            }
            RegistrationFailure::Credentials
            | RegistrationFailure::NotBound
            | RegistrationFailure::Refused { .. } => {}
        }
        if is_eager {
            self.arm(Due::Account(id), Some((now + SOON, Timer::Registration)));
            return;
        }
        self.arm(Due::Account(id), Some((now + wait, Timer::Registration)));
        self.tell_registration(id, Registration::Failed { failure, retry: Some(wait) });
        if let Some(again) = again {
            self.ask_register(id, again, now);
        }
    }

    /// The number of a REGISTER that goes again with credentials.
    pub(super) fn next_register_cseq(&mut self, id: AccountId, sent: u32) -> u32 {
        let Some(registrant) = self.registrants.get_mut(&id) else { return sent + 1 };
        registrant.cseq = registrant.cseq.max(sent) + 1;
        registrant.cseq
    }

    /// Whether a REGISTER may go at once, unasked.
    fn may_hurry(&mut self, id: AccountId) -> bool {
        let Some(registrant) = self.registrants.get_mut(&id) else { return false };
        registrant.hurried += 1;
        registrant.hurried <= MAX_HURRIED
    }

    pub(super) fn account_timeout(&mut self, id: AccountId, now: Instant) {
        if let Some(registrant) = self.registrants.get_mut(&id) {
            registrant.hurried = 0;
        }
        self.send_register(id, false, now);
    }

    /// A flow is gone: accounts that were registered by it are registered anew at once (RFC 5626 §4.4).
    pub(super) fn account_flow_lost(&mut self, is_lost: impl Fn(&Flow) -> bool, now: Instant) {
        let by = |one: &Registrant| one.is_standing() && one.flow.as_ref().is_some_and(&is_lost);
        let lost: Vec<AccountId> =
            self.registrants.iter().filter(|(_, one)| by(one)).map(|(id, _)| *id).collect();
        for id in lost {
            let Some(registrant) = self.registrants.get_mut(&id) else { continue };
            registrant.lost = registrant.flow.take();
            if registrant.lost.is_some_and(|flow| flow.connection.is_some()) {
                registrant.seen = None;
            }
            match registrant.state {
                // A refresh is out: one at a time (RFC 3261 §10.2).
                State::Asking { .. } => {
                    registrant.again.get_or_insert(Again::Refresh);
                    self.tend_flows();
                }
                State::Standing | State::Stopped | State::Waiting => self.hurry(id, now),
            }
        }
    }

    /// Registers at once where that was not done too often, else with patience.
    fn hurry(&mut self, id: AccountId, now: Instant) {
        if self.may_hurry(id) {
            self.send_register(id, false, now);
        } else {
            self.register_failed(id, RegistrationFailure::Unreachable, None, now);
        }
    }

    /// After a stop, or with another address of ours: each account that is to stand registers anew at once, by a way that
    /// is found anew (RFC 5626 §4.4). A REGISTER of before is not waited for.
    pub(super) fn rouse_accounts(&mut self, gone: &[IpAddr], now: Instant) {
        let ids: Vec<AccountId> = self.registrants.keys().copied().collect();
        for id in ids {
            let wait = Duration::from_millis(self.rng.random_range(0..ROUSE_MS));
            let Some(registrant) = self.registrants.get_mut(&id) else { continue };
            let ends = registrant.again == Some(Again::End);
            match registrant.state {
                State::Asking { ending: true } | State::Stopped => continue,
                State::Asking { ending: false } | State::Standing | State::Waiting if ends => {
                    continue;
                }
                State::Asking { ending: false } | State::Standing | State::Waiting => {}
            }
            registrant.failures = 0;
            registrant.hurried = 0;
            registrant.eager = EAGER;
            if let Some(flow) = registrant.flow.take() {
                let user = registrant.aor().and_then(|aor| aor.user.clone());
                let seen = registrant.seen.clone().map(|seen| Uri { user, ..seen });
                registrant.left = seen.map(|seen| (seen, flow.connection));
                if flow.connection.is_some() || gone.contains(&flow.local.ip()) {
                    registrant.seen = None;
                }
            }
            registrant.state = State::Waiting;
            self.abandon(|owner| matches!(owner, Owner::Register(of) if *of == id));
            self.arm(Due::Account(id), Some((now + wait, Timer::Registration)));
        }
    }

    fn tell_registration(&mut self, account: AccountId, state: Registration) {
        self.tend_flows();
        self.emit(Event::Registration { account, state });
    }
}

/// Where the registrar sees us (RFC 3581): what received and rport of our Via say.
fn seen_at(via: Option<&Via>, flow: &Flow) -> Option<Uri> {
    let via = via?;
    let received = via.params.value("received").map(|text| text.trim_matches(['[', ']']));
    let ip = match received {
        Some(text) => text.parse().ok()?,
        None => via.host.ip()?,
    };
    let port = via.params.value("rport").and_then(|port| port.parse().ok());
    let port = port.or(via.port).unwrap_or(flow.transport.default_port());
    let mut uri = Uri::from_address(None, (ip, port).into());
    locate::set_transport(&mut uri, flow.transport);
    Some(uri)
}

/// Our Contact if it named the place where we are seen.
fn seen_contact(ours: &Option<Uri>, seen: &Option<Uri>) -> Option<Uri> {
    let (ours, seen) = ours.as_ref().zip(seen.as_ref())?;
    Some(Uri { user: ours.user.clone(), ..seen.clone() })
}

/// Our binding among those of a registrar: by instance and flow (RFC 5626 §4.1), by comparison (RFC 3261 §10.2.4), or where
/// only what is said of the transport was lost on the way.
fn own_binding<'a>(
    theirs: &'a [NameAddr],
    ours: Option<&Uri>,
    instance: Option<&str>,
) -> Option<&'a NameAddr> {
    let ours = ours?;
    let named = instance.map(|instance| format!("<{instance}>"));
    let by_instance = |one: &&NameAddr| {
        let said = one.params.value("+sip.instance");
        let same =
            said.zip(named.as_deref()).is_some_and(|(one, two)| one.eq_ignore_ascii_case(two));
        same && one.params.value("reg-id").is_none_or(|number| number == "1")
    };
    let is = |one: &&NameAddr| one.uri.as_sip().is_some_and(|one| one.is_equivalent(ours));
    let resembles = |one: &&NameAddr| {
        let one = one.uri.as_sip();
        one.is_some_and(|one| one.same_address(ours) && one.port == ours.port)
    };
    let mut all = theirs.iter();
    let found = all.clone().find(is).or_else(|| all.clone().find(by_instance));
    found.or_else(|| all.find(resembles))
}

/// The address of our end of a flow, as others reach it.
fn address_of(flow: &Flow) -> Uri {
    let mut uri = Uri::from_address(None, flow.local);
    locate::set_transport(&mut uri, flow.transport);
    uri
}

/// The same address, reached by the flow that it was said on (RFC 5626 §4.3).
fn with_ob(mut uri: Uri) -> Uri {
    uri.params.set("ob", None);
    uri
}

/// A proxy as a Route, always a loose one.
pub(super) fn loose(proxy: &Uri) -> String {
    let mut proxy = proxy.clone();
    proxy.params.set("lr", None);
    NameAddr::new(None, proxy).to_string()
}
