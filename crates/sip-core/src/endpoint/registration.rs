//! REGISTER (RFC 3261 §10), with outbound (RFC 5626), GRUU (RFC 5627), Path (RFC 3327) and Service-Route (RFC 3608): an
//! account is registered, kept so, found again behind a translator of addresses, and taken back.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::Rng;

use super::responses::Finish;
use super::{Due, Endpoint, Owner};
use crate::auth::Credentials;
use crate::message::Headers;
use crate::transaction::Timer;
use crate::{
    Account, AccountId, AnyUri, ConnectionId, Event, Flow, Method, NameAddr, Params,
    RegistrationFailure, RegistrationState, Request, Response, Transport, Uri, Way,
};

/// Base and upper bound of the time between attempts (RFC 5626 §4.5).
const RETRY: Duration = Duration::from_secs(30);
const MAX_RETRY: Duration = Duration::from_secs(1800);
/// The longest time that a registrar can tell us to stay away, and the longest registration.
const MAX_TIME: Duration = Duration::from_secs(86_400);
/// A registration that lasts less is refreshed no more often than this.
const MIN_REFRESH: Duration = Duration::from_secs(5);
/// A flow that fails so soon after a success is no reason to try again at once.
const STEADY: Duration = Duration::from_secs(30);
/// How often a registrar may ask for a longer registration.
const MAX_LENGTHENED: u8 = 3;
/// Option tags of a REGISTER from a device that has a name (RFC 5626 §4.2.1, RFC 5627 §4.1).
const SUPPORTED: &str = "path, outbound, gruu";

/// What is taken back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Removal {
    /// Our own binding.
    Own,
    /// Every binding of the address of record.
    All,
}

/// Where a registration is; what only lives in one state is kept in it.
#[derive(Debug)]
enum State {
    /// A REGISTER is out.
    Asking {
        /// Another is wanted when it is answered (RFC 3261 §10.2: never two at a time).
        next: Option<Option<Removal>>,
    },
    /// Known to the registrar since then.
    Registered { since: Instant },
    /// Tried again later.
    Waiting,
    /// Nothing happens before the user says so.
    Stopped,
    /// A REGISTER that takes back is out.
    Leaving,
}

/// One account.
#[derive(Debug)]
pub(super) struct Registration {
    account: Account,
    state: State,
    /// The one that was told last.
    told: Option<RegistrationState>,
    call_id: String,
    tag: String,
    cseq: u32,
    expires: Duration,
    lengthened: u8,
    failures: u32,
    /// How the registrar was reached last.
    flow: Option<Flow>,
    /// Where it saw us, where that is not where we think that we are.
    seen: Option<SocketAddr>,
    /// Our binding of before, to be taken back with the next.
    former: Option<Uri>,
    /// The last REGISTER went because we were seen elsewhere: another such waits for the refresh.
    moved: bool,
    /// What the registrar was given.
    bound: Option<Uri>,
    routes: Vec<NameAddr>,
    gruu: Option<Uri>,
    flow_timer: Option<Duration>,
    /// The user part was not served before.
    serves: bool,
}

impl Registration {
    pub(super) fn credentials(&self) -> &Vec<Credentials> {
        &self.account.credentials
    }

    /// `sip:domain`, without a user part (RFC 3261 §10.2).
    fn registrar(&self) -> Option<Uri> {
        let uri = self.account.registrar.as_ref().or_else(|| self.account.address.uri.as_sip())?;
        let mut uri = Uri { user: None, ..uri.bare() };
        if let Some(given) = self.account.registrar.as_ref().and_then(Uri::transport) {
            uri.params.set("transport", Some(&given));
        }
        Some(self.by_transport(uri, self.account.outbound_proxy.is_none()))
    }

    fn by_transport(&self, mut uri: Uri, is_next: bool) -> Uri {
        if let Some(transport) = self.account.transport.filter(|_| is_next)
            && uri.transport().is_none()
        {
            let token = transport.via_token().to_ascii_lowercase();
            uri.params.set("transport", Some(&token));
        }
        uri
    }

    /// The outbound proxy as a Route.
    fn proxy(&self) -> Option<NameAddr> {
        let mut uri = self.by_transport(self.account.outbound_proxy.clone()?, true);
        uri.params.set("lr", None);
        Some(NameAddr::new(None, uri))
    }

    /// The Route of requests that are no REGISTER: the outbound proxy, then what the registrar said (RFC 3608 §6.1).
    fn route_set(&self) -> Vec<NameAddr> {
        let same = |proxy: &NameAddr| match (self.routes.first(), &proxy.uri) {
            (Some(NameAddr { uri: AnyUri::Sip(first), .. }), AnyUri::Sip(proxy)) => {
                first.host == proxy.host && first.port == proxy.port
            }
            _ => false,
        };
        let proxy = self.proxy().filter(|proxy| !same(proxy));
        proxy.into_iter().chain(self.routes.iter().cloned()).collect()
    }

    /// Our Contact by that way; by an unknown one an address that is written once it is known.
    fn contact(&self, flow: Option<Flow>) -> NameAddr {
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 5060));
        let at = flow.map_or(nowhere, |flow| self.seen.unwrap_or(flow.local));
        let mut uri = Uri::from_address(Some(&self.account.contact.user), at);
        if let Some(flow) = flow {
            super::locate::set_transport(&mut uri, flow.transport);
        }
        let mut contact = NameAddr::new(None, uri);
        if self.account.contact.is_focus {
            contact.params.set("isfocus", None);
        }
        if let Some(instance) = &self.account.instance {
            contact.params.set("+sip.instance", Some(&format!("\"<{instance}>\"")));
            contact.params.set("reg-id", Some("1"));
        }
        for (name, value) in &self.account.features {
            contact.params.set(name, value.as_deref());
        }
        contact
    }

    /// Our own binding in the answer, with its parameters (RFC 3261 §10.2.4).
    fn own_binding(
        &self,
        sent: &Uri,
        response: &Response,
        seen: Option<SocketAddr>,
    ) -> Option<Params> {
        let ours = |contact: &NameAddr| {
            let Some(uri) = contact.uri.as_sip() else { return false };
            let by_name = self.account.instance.as_ref().is_some_and(|instance| {
                let given = contact.params.value("+sip.instance");
                given.is_some_and(|given| {
                    given.trim_matches(['<', '>']).eq_ignore_ascii_case(instance)
                }) && contact.params.value("reg-id").is_none_or(|id| id == "1")
            });
            // Some registrars write down what they saw instead of what we said.
            let by_sight = uri.user_unescaped() == sent.user_unescaped()
                && seen.is_some_and(|seen| {
                    uri.host.ip() == Some(seen.ip()) && uri.port == Some(seen.port())
                });
            uri.is_equivalent(sent) || by_name || by_sight
        };
        response.headers.contacts().ok()?.into_iter().find(ours).map(|contact| contact.params)
    }
}

impl Endpoint {
    /// Registers an account and keeps it so; [`Event::Registration`] tells how that goes. Requests to its contact's user
    /// part are taken from then on.
    pub fn register(&mut self, account: Account, now: Instant) -> AccountId {
        let id = self.new_id();
        let id = AccountId { index: id as u32, generation: (id >> 32) as u32 };
        let user = account.contact.user.clone();
        let serves = !self.served.iter().any(|served| served.user == user);
        if serves {
            self.serve(&user, account.contact.is_focus);
        }
        let (call_id, tag) = (self.token(), self.token());
        self.access.belongs(&call_id, id);
        let registration = Registration {
            expires: account.expires.min(MAX_TIME),
            account,
            state: State::Stopped,
            told: None,
            call_id,
            tag,
            cseq: 0,
            lengthened: 0,
            failures: 0,
            flow: None,
            seen: None,
            former: None,
            moved: false,
            bound: None,
            routes: Vec::new(),
            gruu: None,
            flow_timer: None,
            serves,
        };
        self.registrations.insert(id, registration);
        self.send_register(id, None, now);
        id
    }

    /// Takes our own binding back (RFC 3261 §10.2.2); requests to its contact are then nobody's.
    pub fn unregister(&mut self, account: AccountId, now: Instant) {
        self.leave(account, Removal::Own, now);
    }

    /// Takes back every binding of the address of record, those of other devices too: for the user's express wish only.
    pub fn unregister_everywhere(&mut self, account: AccountId, now: Instant) {
        self.leave(account, Removal::All, now);
    }

    /// Another password, after [`RegistrationFailure::WrongPassword`]; registers anew.
    pub fn set_credentials(
        &mut self,
        account: AccountId,
        credentials: Vec<Credentials>,
        now: Instant,
    ) {
        if let Some(known) = self.registrations.get_mut(&account) {
            known.account.credentials = credentials;
            self.access.forget(account);
            self.register_now(account, now);
        }
    }

    /// Registers all accounts anew, by ways that are looked for anew: after sleep, or with another address of ours. Those
    /// that wait for the user go on waiting.
    pub fn register_again(&mut self, now: Instant) {
        let ids: Vec<AccountId> = self.registrations.keys().copied().collect();
        for id in ids {
            let Some(known) = self.registrations.get_mut(&id) else { continue };
            known.flow = None;
            known.seen = None;
            known.failures = 0;
            if !matches!(known.state, State::Stopped | State::Leaving) {
                self.register_now(id, now);
            }
        }
    }

    /// How an account's registrar is reached; `None` while it is not registered.
    pub fn account_flow(&self, account: AccountId) -> Option<Flow> {
        let known = self.registrations.get(&account)?;
        known.flow.filter(|_| known.bound.is_some())
    }

    /// The account whose registrar a request came by, by address and port or connection.
    pub fn account_by_flow(&self, flow: &Flow) -> Option<AccountId> {
        let same = |known: &Registration| {
            known.flow.is_some_and(|way| {
                let connected = way.connection.is_some() && way.connection == flow.connection;
                connected || (way.transport == flow.transport && way.remote == flow.remote)
            })
        };
        self.registrations.iter().find(|(_, known)| same(known)).map(|(id, _)| *id)
    }

    /// Flows that must be kept open, and how often the registrar wants to hear of us (Flow-Timer, RFC 5626 §4.4).
    pub fn registered_flows(&self) -> Vec<(AccountId, Flow, Option<Duration>)> {
        let held = |(id, known): (&AccountId, &Registration)| {
            let flow = known.flow.filter(|_| known.bound.is_some())?;
            Some((*id, flow, known.flow_timer))
        };
        self.registrations.iter().filter_map(held).collect()
    }

    fn register_now(&mut self, id: AccountId, now: Instant) {
        let Some(known) = self.registrations.get_mut(&id) else { return };
        match &mut known.state {
            State::Asking { next } => *next = Some(None),
            State::Leaving => {}
            State::Registered { .. } | State::Waiting | State::Stopped => {
                self.send_register(id, None, now);
            }
        }
    }

    fn leave(&mut self, id: AccountId, removal: Removal, now: Instant) {
        let Some(known) = self.registrations.get_mut(&id) else { return };
        match &mut known.state {
            State::Asking { next } => *next = Some(Some(removal)),
            State::Leaving => {}
            State::Registered { .. } => self.send_register(id, Some(removal), now),
            State::Waiting | State::Stopped if known.bound.is_some() || removal == Removal::All => {
                self.send_register(id, Some(removal), now);
            }
            State::Waiting | State::Stopped => self.left(id),
        }
    }

    fn left(&mut self, id: AccountId) {
        self.arm(Due::Registration(id), None);
        self.tell_registration(id, RegistrationState::Unregistered);
        if let Some(known) = self.registrations.remove(&id)
            && known.serves
        {
            self.unserve(&known.account.contact.user);
        }
    }

    fn tell_registration(&mut self, id: AccountId, state: RegistrationState) {
        let Some(known) = self.registrations.get_mut(&id) else { return };
        let same = match (&known.told, &state) {
            (
                Some(RegistrationState::Registered { contact: one, .. }),
                RegistrationState::Registered { contact: two, .. },
            ) => one == two,
            (one, two) => one.as_ref() == Some(two),
        };
        known.told = Some(state.clone());
        if !same {
            self.emit(Event::Registration { account: id, state });
        }
    }

    fn send_register(&mut self, id: AccountId, removal: Option<Removal>, now: Instant) {
        self.arm(Due::Registration(id), None);
        let Some(known) = self.registrations.get_mut(&id) else { return };
        let quiet = removal.is_some() || matches!(known.state, State::Registered { .. });
        known.state = match removal {
            None => State::Asking { next: None },
            Some(_) => State::Leaving,
        };
        known.cseq += 1;
        let flow = known.flow;
        let mut headers = Headers::default();
        headers.push("Max-Forwards", "70");
        let address = NameAddr { params: Params::default(), ..known.account.address.clone() };
        headers.push("From", address.with_tag(&known.tag).to_string());
        headers.push("To", address.to_string());
        headers.push("Call-ID", &known.call_id);
        headers.push("CSeq", format!("{} REGISTER", known.cseq));
        if let Some(proxy) = known.proxy() {
            headers.push("Route", proxy.to_string());
        }
        let seconds = |time: Duration| time.as_secs().to_string();
        let expires = if removal.is_some() { Duration::ZERO } else { known.expires };
        if removal == Some(Removal::All) {
            headers.push("Contact", "*");
        } else {
            let mut contact = known.contact(flow);
            if removal.is_some()
                && let Some(bound) = &known.bound
            {
                contact.uri = AnyUri::Sip(bound.clone());
            }
            contact.params.set("expires", Some(&seconds(expires)));
            headers.push("Contact", contact.to_string());
        }
        // Without a name of the device the registrar does not know that both bindings are one.
        if let (Some(former), Some(_)) = (known.former.take(), flow) {
            headers.push("Contact", format!("<{former}>;expires=0"));
        }
        headers.push("Expires", seconds(expires));
        // No more than a registrar looks at: it is to fit into a datagram.
        headers.push("Allow", super::capabilities::ALLOW.join(", "));
        if known.account.instance.is_some() {
            headers.push("Supported", SUPPORTED);
        }
        let hop = known.proxy().and_then(|proxy| proxy.uri.as_sip().cloned()).or(known.registrar());
        let Some(uri) = known.registrar() else { return self.left(id) };
        if !quiet {
            self.tell_registration(id, RegistrationState::Registering);
        }
        let uri = AnyUri::Sip(uri);
        let request = Request { method: Method::Register, uri, headers, body: bytes::Bytes::new() };
        let owner = Owner::Register(id);
        match flow {
            Some(flow) => self.start_request(request, Way::Flow(flow), owner, now),
            None => self.start_towards(request, hop.as_ref(), owner, now),
        };
    }

    pub(super) fn next_register_cseq(&mut self, account: AccountId, sent: u32) -> u32 {
        let Some(known) = self.registrations.get_mut(&account) else { return sent + 1 };
        known.cseq = known.cseq.max(sent) + 1;
        known.cseq
    }

    /// It is on its way by that flow.
    pub(super) fn register_replaced(&mut self, account: AccountId, new: u64) {
        if let (Some(known), Some(client)) =
            (self.registrations.get_mut(&account), self.clients.get(&new))
        {
            known.flow = Some(client.flow);
        }
    }

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
        let sent = self.clients.get(&tx).map(|client| {
            let contacts = client.request.headers.contacts().unwrap_or_default();
            let uri = contacts.first().and_then(|contact| contact.uri.as_sip().cloned());
            (client.flow, uri, !client.challenged.is_empty())
        });
        let Some(known) = self.registrations.get_mut(&id) else { return };
        let next = match &mut known.state {
            State::Leaving => return self.left(id),
            State::Asking { next } => next.take(),
            State::Registered { .. } | State::Waiting | State::Stopped => None,
        };
        known.state = State::Waiting;
        let failure = match (finish, sent) {
            (Finish::Response(response, _), Some((flow, Some(uri), _)))
                if response.status.is_success() =>
            {
                // What is too long for a datagram goes by TCP alone; the registrar reaches us as the Contact says.
                known.flow = Some(match (uri.transport(), flow.transport) {
                    (None, Transport::Tcp) => {
                        Flow { transport: Transport::Udp, connection: None, ..flow }
                    }
                    _ => flow,
                });
                self.take_registration(id, &uri, &response, now)
            }
            (Finish::Response(response, _), sent) => {
                let answered = sent.is_some_and(|(_, _, answered)| answered);
                self.refused_registration(id, &response, answered, now)
            }
            (Finish::TimedOut, _) => Some((RegistrationFailure::NoAnswer, None)),
            (Finish::Unsendable, _) => Some((RegistrationFailure::Unreachable, None)),
        };
        if let Some((failure, wait)) = failure {
            self.registration_failed(id, failure, wait, now);
        }
        match next {
            Some(Some(removal)) => self.leave(id, removal, now),
            Some(None) => self.register_now(id, now),
            None => {}
        }
    }

    /// 200: how long, where we were seen, by which routes, and under which name (RFC 3261 §10.2.4).
    fn take_registration(
        &mut self,
        id: AccountId,
        sent: &Uri,
        response: &Response,
        now: Instant,
    ) -> Option<(RegistrationFailure, Option<Duration>)> {
        let known = self.registrations.get_mut(&id)?;
        let flow = known.flow?;
        let seen = seen_at(response, &flow);
        let binding = known.own_binding(sent, response, seen);
        if binding.is_none() && response.headers.get("Contact").is_some() {
            return Some((RegistrationFailure::NotKept, None));
        }
        let given = binding.as_ref().and_then(|params| params.value("expires")?.parse().ok());
        let given = given.map(Duration::from_secs).or(response.headers.expires());
        let expires = given.unwrap_or(known.expires).min(MAX_TIME);
        if expires.is_zero() {
            return Some((RegistrationFailure::NotKept, None));
        }
        known.routes = routes_of(&response.headers, "Service-Route");
        known.gruu = binding.as_ref().and_then(|params| {
            let gruu = params.value("pub-gruu").or_else(|| params.value("temp-gruu"))?;
            Uri::parse(gruu).ok()
        });
        let seconds =
            response.headers.get("Flow-Timer").and_then(|value| value.trim().parse().ok());
        known.flow_timer = seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs);
        known.failures = 0;
        known.lengthened = 0;
        known.state = State::Registered { since: now };
        known.bound = Some(sent.clone());
        let contact = known.gruu.clone().unwrap_or_else(|| sent.clone());
        let is_elsewhere = seen.is_some_and(|seen| {
            sent.host.ip() != Some(seen.ip()) || sent.port != Some(seen.port())
        });
        let moves = is_elsewhere && !known.moved;
        known.moved = moves;
        if is_elsewhere {
            known.seen = seen;
            // With a name of the device the new binding takes the place of the old one (RFC 5626 §6).
            known.former = Some(sent.clone()).filter(|_| known.account.instance.is_none());
        }
        let at = expires.mul_f64(self.rng.random_range(0.85..0.95)).max(MIN_REFRESH);
        self.arm(Due::Registration(id), Some((now + at, Timer::Registration)));
        if moves {
            self.send_register(id, None, now);
        } else {
            self.tell_registration(id, RegistrationState::Registered { expires, contact });
        }
        None
    }

    /// A final answer of 300 and above.
    fn refused_registration(
        &mut self,
        id: AccountId,
        response: &Response,
        answered: bool,
        now: Instant,
    ) -> Option<(RegistrationFailure, Option<Duration>)> {
        let known = self.registrations.get_mut(&id)?;
        let status = response.status;
        match status.code() {
            401 | 407 if answered => Some((RegistrationFailure::WrongPassword, None)),
            401 | 407 => Some((RegistrationFailure::NoPassword, None)),
            403 | 404 => Some((RegistrationFailure::Refused { status }, None)),
            423 => match response.headers.min_expires() {
                // As long as it wants (RFC 3261 §10.2.8).
                Some(least)
                    if least > known.expires
                        && least <= MAX_TIME
                        && known.lengthened < MAX_LENGTHENED =>
                {
                    known.expires = least;
                    known.lengthened += 1;
                    self.send_register(id, None, now);
                    None
                }
                Some(_) | None => Some((RegistrationFailure::Trouble { status }, None)),
            },
            _ => {
                let wait = response.headers.retry_after().map(|wait| wait.min(MAX_TIME));
                Some((RegistrationFailure::Trouble { status }, wait))
            }
        }
    }

    fn registration_failed(
        &mut self,
        id: AccountId,
        failure: RegistrationFailure,
        wait: Option<Duration>,
        now: Instant,
    ) {
        let share = self.rng.random_range(0.5..=1.0);
        let Some(known) = self.registrations.get_mut(&id) else { return };
        let is_final = match failure {
            RegistrationFailure::WrongPassword
            | RegistrationFailure::NoPassword
            | RegistrationFailure::Refused { .. } => true,
            RegistrationFailure::Trouble { .. }
            | RegistrationFailure::NotKept
            | RegistrationFailure::NoAnswer
            | RegistrationFailure::Unreachable => false,
        };
        known.flow = None;
        known.seen = None;
        known.moved = false;
        if is_final {
            known.state = State::Stopped;
            known.bound = None;
            self.tell_registration(id, RegistrationState::Failed { failure, retry_in: None });
            return;
        }
        // RFC 5626 §4.5.
        let longest = RETRY.saturating_mul(1 << known.failures.min(10)).min(MAX_RETRY);
        known.failures = known.failures.saturating_add(1);
        let retry = wait.unwrap_or(Duration::ZERO).max(longest.mul_f64(share));
        known.state = State::Waiting;
        self.arm(Due::Registration(id), Some((now + retry, Timer::Registration)));
        let state = RegistrationState::Failed { failure, retry_in: Some(retry) };
        self.tell_registration(id, state);
    }

    pub(super) fn registration_timeout(&mut self, id: AccountId, now: Instant) {
        self.arm(Due::Registration(id), None);
        self.register_now(id, now);
    }

    /// The connection to a registrar is gone: it cannot reach us any more (RFC 5626 §4.5).
    pub(super) fn flow_lost(&mut self, connection: ConnectionId, now: Instant) {
        let hit = |known: &Registration| {
            known.flow.is_some_and(|flow| flow.connection == Some(connection))
        };
        let ids: Vec<AccountId> =
            self.registrations.iter().filter(|(_, known)| hit(known)).map(|(id, _)| *id).collect();
        for id in ids {
            self.account_flow_failed(id, now);
        }
    }

    /// What keeps the flow of an account open got no answer: it is registered anew by another.
    pub(super) fn account_flow_failed(&mut self, id: AccountId, now: Instant) {
        let Some(known) = self.registrations.get_mut(&id) else { return };
        known.flow = None;
        known.seen = None;
        match known.state {
            State::Registered { since } if now.saturating_duration_since(since) >= STEADY => {
                self.send_register(id, None, now);
            }
            State::Registered { .. } => {
                self.registration_failed(id, RegistrationFailure::Unreachable, None, now);
            }
            State::Asking { .. } | State::Waiting | State::Stopped | State::Leaving => {}
        }
    }

    /// A request of ours outside of dialogs as an account.
    pub(super) fn start_by_account(
        &mut self,
        mut request: Request,
        account: AccountId,
        owner: Owner,
        now: Instant,
    ) -> u64 {
        let Some(known) = self.registrations.get(&account) else {
            return self.start_towards(request, None, owner, now);
        };
        for route in known.route_set() {
            request.headers.push("Route", route.to_string());
        }
        let (flow, proxied) = (known.flow, known.account.outbound_proxy.is_some());
        let registrar = known.registrar();
        if let Some(call_id) = request.headers.call_id().map(str::to_owned) {
            self.access.belongs(&call_id, account);
        }
        let may_go =
            |flow: &Flow| !super::locate::is_secure(&request) || flow.transport == Transport::Tls;
        match flow.filter(may_go) {
            Some(flow) => {
                super::locate::refresh_contact(&mut request, &flow);
                self.start_client(request, flow, owner, now)
            }
            None if proxied => self.start_request(request, Way::Locate, owner, now),
            None => self.start_towards(request, registrar.as_ref(), owner, now),
        }
    }

    /// A dialog that a registrar brought us is its account's: its requests have the account's credentials and Contact.
    pub(super) fn note_account(&mut self, request: &Request, flow: &Flow) {
        if let Some(account) = self.account_by_flow(flow)
            && let Some(call_id) = request.headers.call_id()
        {
            self.access.belongs(call_id, account);
        }
    }

    /// Writes into the Contact of an account's message where others reach us: its GRUU (RFC 5627 §4.3), or the address at
    /// which the registrar sees us.
    pub(super) fn write_reachable(&self, headers: &mut Headers) {
        let Some(id) = self.access.account_of(headers) else { return };
        let Some(known) = self.registrations.get(&id) else { return };
        if headers.cseq().is_ok_and(|cseq| cseq.method == Method::Register) {
            return;
        }
        let first = headers.contacts().ok().and_then(|all| all.into_iter().next());
        let Some(mut contact) = first else { return };
        let AnyUri::Sip(uri) = &mut contact.uri else { return };
        let is_own = uri.user_unescaped().as_ref() == Some(&known.account.contact.user);
        match (&known.gruu, known.seen) {
            (Some(gruu), _) if is_own => *uri = Uri { scheme: uri.scheme, ..gruu.clone() },
            (_, Some(seen)) if uri.host.ip().is_some() => {
                uri.host = seen.ip().into();
                uri.port = Some(seen.port());
            }
            _ => return,
        }
        headers.set("Contact", contact.to_string());
    }
}

/// Where the registrar saw us, where that is elsewhere than we said (RFC 3581 §4). The port of a connection is no address
/// that others can connect to; behind a translator it is all there is.
fn seen_at(response: &Response, flow: &Flow) -> Option<SocketAddr> {
    let via = response.headers.top_via().ok()?;
    let ip = via.received()?;
    let port = via.rport()?;
    match flow.transport {
        Transport::Udp => Some(SocketAddr::new(ip, port)),
        Transport::Tcp | Transport::Tls if ip == flow.local.ip() => Some(flow.local),
        Transport::Tcp | Transport::Tls => Some(SocketAddr::new(ip, port)),
    }
}

fn routes_of(headers: &Headers, name: &str) -> Vec<NameAddr> {
    headers.list(name).into_iter().filter_map(|one| NameAddr::parse(one).ok()).collect()
}
