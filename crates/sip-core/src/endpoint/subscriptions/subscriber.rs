//! The subscriber: SUBSCRIBE that goes out, NOTIFY that comes in (RFC 6665 §4.1).

use std::time::{Duration, Instant};

use super::{DEFAULT_EXPIRES, Package, Place, Role, Subscription, event_of};
use crate::dialog::Dialog;
use crate::endpoint::requests::Arrival;
use crate::endpoint::responses::Finish;
use crate::endpoint::transfer::Asked;
use crate::endpoint::usages::{Scope, scope};
use crate::endpoint::{Contact, Due, Endpoint, Owner, bodies, capabilities, contact_value};
use crate::message::Headers;
use crate::transaction::Timer;
use crate::{
    AnyUri, CallKey, Confirmed, Event, Flow, Method, NameAddr, Request, Response, StatusCode,
    SubscriptionEnd, SubscriptionKey, Uri,
};

/// The longest time that a notifier can tell us to stay away.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(86_400);
/// No notifier can make us refresh more often than about this.
const MIN_GRANTED: Duration = Duration::from_secs(2);

/// However often a notifier wants longer, so often is it asked anew.
const MAX_TOO_BRIEF: u8 = 3;

/// What a SUBSCRIBE of ours needs.
#[derive(Debug)]
pub struct Subscribe<'a> {
    /// The call to the focus.
    pub call: &'a Confirmed,
    /// The conference URI.
    pub target: Uri,
    /// Whether it goes inside the call's dialog.
    pub in_dialog: bool,
    /// Asked duration.
    pub expires: Duration,
    /// Our Contact.
    pub contact: Contact,
}

#[derive(Debug)]
pub(super) struct Subscriber {
    /// What was asked for.
    interval: Duration,
    /// A NOTIFY came: the subscription stands.
    notified: bool,
    /// How often in a row the notifier wanted longer.
    too_brief: u8,
    /// Of a REFER of ours.
    pub(super) asked: Option<Asked>,
}

impl Subscriber {
    /// What is asked for with each refresh.
    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    /// How long it lasts. No notifier may grant more than was asked (RFC 6665 §4.2.1.1).
    fn granted(&self, told: Option<Duration>) -> Duration {
        told.unwrap_or(self.interval).min(self.interval).max(MIN_GRANTED)
    }
}

impl Subscription {
    /// What we ended ourselves did not fail.
    fn end_of_ours(&self, end: SubscriptionEnd) -> SubscriptionEnd {
        if self.ending { SubscriptionEnd::Unsubscribed } else { end }
    }

    /// Notes a NOTIFY's number; the first one may come before the answer to our SUBSCRIBE and makes the dialog.
    fn take_notify(&mut self, request: &Request, number: u32, flow: Flow) -> bool {
        if let Place::Asked { local_tag, request: asked, contact, .. } = &self.place {
            let Some(mut dialog) = Dialog::as_server(request, local_tag, flow, contact.clone())
            else {
                return false;
            };
            dialog.local_cseq = asked.headers.cseq().map_or(1, |cseq| cseq.number);
            self.place = Place::Own(Box::new(dialog));
            return true;
        }
        match &mut self.place {
            Place::Own(dialog) => {
                let fresh = dialog.take_cseq(number);
                if fresh {
                    dialog.refresh(&request.headers, None);
                }
                fresh
            }
            Place::Shared(_) | Place::Asked { .. } => true,
        }
    }
}

impl Endpoint {
    /// Subscribes to the conference of a call. It is refreshed here until it ends; [`SubscriptionEnd::again`] says
    /// whether to subscribe anew then.
    pub fn subscribe(&mut self, subscribe: Subscribe<'_>, now: Instant) -> SubscriptionKey {
        let key = self.new_subscription_key();
        let call = subscribe.call.0;
        let package = Package::Conference;
        let common = asks(package.token().to_owned(), package, subscribe.expires);
        let dialog = self.calls.get(&call).and_then(|call| call.dialog.clone());
        let Some(dialog) = dialog else {
            self.emit(Event::SubscriptionEnded {
                subscription: key,
                end: SubscriptionEnd::Failed { status: None },
            });
            return key;
        };
        let role =
            Subscriber { interval: subscribe.expires, notified: false, too_brief: 0, asked: None };
        let role = Role::Subscriber(role);
        if subscribe.in_dialog {
            let new = Subscription::new(Place::Shared(call), package, role, now);
            self.subscriptions.insert(key, new);
            let owner = Owner::Subscribe { subscription: key, call: Some(call) };
            self.enqueue_shared(call, Method::Subscribe, None, common, owner, now);
            return key;
        }
        let local_tag = self.token();
        let call_id = self.token();
        let mut headers = Headers::default();
        headers.push("Max-Forwards", "70");
        headers.push("From", dialog.local.with_tag(&local_tag).to_string());
        headers.push("To", NameAddr::new(None, subscribe.target.clone()).to_string());
        headers.push("Call-ID", &call_id);
        headers.push("CSeq", "1 SUBSCRIBE");
        for route in &dialog.routes {
            headers.push("Route", route.to_string());
        }
        let flow = dialog.next_hop(|id| self.connections.contains_key(&id));
        let contact = self.placed(subscribe.contact, &flow);
        headers.push("Contact", contact_value(&contact, &flow));
        // RFC 4538 §4: the tags as the focus sees them.
        let id = &dialog.id;
        let tied = format!("{};local-tag={};remote-tag={}", id.call_id, id.remote.0, id.local.0);
        headers.push("Target-Dialog", tied);
        for (name, value) in &common {
            headers.push(name, value);
        }
        let uri = AnyUri::Sip(subscribe.target);
        let request =
            Request { method: Method::Subscribe, uri, headers, body: bytes::Bytes::new() };
        let owner = Owner::Subscribe { subscription: key, call: None };
        self.start_in_dialog(request.clone(), flow, owner, now);
        let place = Place::Asked { call_id, local_tag, request: Box::new(request), flow, contact };
        self.subscriptions.insert(key, Subscription::new(place, package, role, now));
        self.subscribe_sent(key, now);
        key
    }

    /// A REFER of ours begins a subscription.
    pub(in crate::endpoint) fn begin_asked(
        &mut self,
        call: CallKey,
        asked: Asked,
        now: Instant,
    ) -> SubscriptionKey {
        let key = self.new_subscription_key();
        let role = Subscriber {
            interval: DEFAULT_EXPIRES,
            notified: false,
            too_brief: 0,
            asked: Some(asked),
        };
        let place = Place::Shared(call);
        let new = Subscription::new(place, Package::Refer, Role::Subscriber(role), now);
        self.subscriptions.insert(key, new);
        key
    }

    pub(in crate::endpoint) fn asked_mut(&mut self, key: SubscriptionKey) -> Option<&mut Asked> {
        match &mut self.subscriptions.get_mut(&key)?.role {
            Role::Subscriber(subscriber) => subscriber.asked.as_mut(),
            Role::Notifier(_) => None,
        }
    }

    /// A REFER of ours makes no subscription after all.
    pub(in crate::endpoint) fn end_asked(&mut self, key: SubscriptionKey) {
        self.end_subscription(key, SubscriptionEnd::Unsubscribed);
    }

    /// A SUBSCRIBE goes out. Timer N runs from here: without a NOTIFY in this time there is no subscription (RFC 6665
    /// §4.1.2.4).
    pub(in crate::endpoint) fn subscribe_sent(&mut self, key: SubscriptionKey, now: Instant) {
        let Some(known) = self.subscriptions.get(&key) else { return };
        if matches!(&known.role, Role::Subscriber(subscriber) if !subscriber.notified) {
            let until = now + self.times.patience();
            self.arm(Due::Subscription(key), Some((until, Timer::Subscription)));
        }
    }

    /// A SUBSCRIBE went out again, with credentials or to another address.
    pub(in crate::endpoint) fn subscribe_replaced(&mut self, key: SubscriptionKey, client: u64) {
        if let Some(Subscription { place: Place::Asked { request, flow, .. }, .. }) =
            self.subscriptions.get_mut(&key)
            && let Some(client) = self.clients.get(&client)
        {
            **request = client.request.clone();
            *flow = client.flow;
        }
    }

    /// Asks again on the same subscription: refresh, or end with zero. It then ends with the notifier's last NOTIFY, or
    /// 64·T1 after the answer without one (RFC 6665 §4.1.2.3).
    pub fn resubscribe(&mut self, subscription: SubscriptionKey, expires: Duration, now: Instant) {
        let Some(known) = self.subscriptions.get_mut(&subscription) else { return };
        if known.is_notifier() {
            return;
        }
        known.ending |= expires.is_zero();
        let headers = asks(known.event(), known.package, expires);
        match &mut known.place {
            Place::Own(dialog) => {
                let mut request = dialog.request(Method::Subscribe, None);
                let hop = dialog.next_hop(|id| self.connections.contains_key(&id));
                request.headers.push("Contact", contact_value(&dialog.contact, &hop));
                for (name, value) in headers {
                    request.headers.push(name, value);
                }
                let owner = Owner::Subscribe { subscription, call: None };
                self.start_in_dialog(request, hop, owner, now);
            }
            Place::Shared(call) => {
                let call = *call;
                let owner = Owner::Subscribe { subscription, call: Some(call) };
                self.enqueue_shared(call, Method::Subscribe, None, headers, owner, now);
            }
            Place::Asked { .. } => {}
        }
    }

    pub(in crate::endpoint) fn subscribe_finished(
        &mut self,
        tx: u64,
        key: SubscriptionKey,
        finish: Finish,
        now: Instant,
    ) {
        let over = scope(&Method::Subscribe, &finish) != Scope::Transaction;
        let response = match finish {
            Finish::Response(response, _) if response.status.is_provisional() => return,
            Finish::Response(response, _) => Some(response),
            Finish::TimedOut | Finish::Unsendable => None,
        };
        let request = self.clients.get(&tx).map(|client| client.request.clone());
        let until = now + self.times.patience();
        let Some(known) = self.subscriptions.get_mut(&key) else { return };
        let Role::Subscriber(subscriber) = &mut known.role else { return };
        let success = response.as_ref().filter(|response| response.status.is_success());
        let Some(response) = success else {
            let least = response.as_ref().and_then(|one| least_of(one, subscriber));
            if let Some(least) = least.filter(|_| !known.ending) {
                self.ask_longer(tx, key, least, now);
                return;
            }
            let status = response.map(|response| response.status);
            // A refresh that fails otherwise leaves what is left of the time (RFC 6665 §4.1.2.2).
            let lasts = subscriber.notified && !over;
            if known.ending || !lasts {
                let status = status.map(StatusCode::code);
                let end = known.end_of_ours(SubscriptionEnd::Failed { status });
                self.end_subscription(key, end);
            }
            return;
        };
        subscriber.too_brief = 0;
        let asked = matches!(known.place, Place::Asked { .. });
        let (granted, notified) =
            (subscriber.granted(response.headers.expires()), subscriber.notified);
        if let (Place::Asked { contact, flow, .. }, Some(request)) = (&known.place, request)
            && let Some(dialog) = Dialog::as_client(&request, response, *flow, contact.clone())
        {
            known.place = Place::Own(Box::new(dialog));
        }
        if known.ending {
            // The last NOTIFY is still to come; refused in a call's dialog, it would end the call with some phones.
            self.arm(Due::Subscription(key), Some((until, Timer::Subscription)));
            if asked {
                self.resubscribe(key, Duration::ZERO, now);
            }
        } else if notified {
            self.lasts(key, granted, now);
        }
    }

    /// 423: the same SUBSCRIBE again, for as long as the notifier wants at least (RFC 6665 §4.1.2.1).
    fn ask_longer(&mut self, tx: u64, key: SubscriptionKey, least: Duration, now: Instant) {
        let Some(known) = self.subscriptions.get_mut(&key) else { return };
        let Role::Subscriber(subscriber) = &mut known.role else { return };
        subscriber.interval = least;
        subscriber.too_brief += 1;
        if !matches!(known.place, Place::Asked { .. }) {
            self.resubscribe(key, least, now);
            return;
        }
        let Some(client) = self.clients.get(&tx) else { return };
        let (mut request, flow, owner) =
            (client.request.clone(), client.flow, client.owner.clone());
        let sent = request.headers.cseq().map_or(1, |cseq| cseq.number);
        let number = self.next_cseq(&owner, sent);
        request.headers.pop_via();
        request.headers.set("CSeq", format!("{number} SUBSCRIBE"));
        request.headers.set("Expires", least.as_secs().to_string());
        let again = self.start_client(request, flow, owner.clone(), now);
        self.client_replaced(&owner, tx, again, now);
    }

    /// A NOTIFY: ours by the call it shares, by its dialog, or by the SUBSCRIBE whose answer it overtook.
    pub(in crate::endpoint) fn handle_notify(
        &mut self,
        mut arrival: Arrival,
        call: Option<CallKey>,
        now: Instant,
    ) {
        let request = &arrival.request;
        let Some(key) = self.subscriber_of(request, call) else {
            // 481 means the dialog to some, and with it the call.
            let status =
                if call.is_some() { StatusCode::BAD_EVENT } else { StatusCode::NO_SUCH_CALL };
            let mut response = request.response(status, None);
            response.headers.push("Allow-Events", capabilities::ALLOW_EVENTS.join(", "));
            self.respond_with(arrival.server, response, now);
            return;
        };
        let number = request.headers.cseq().map_or(0, |cseq| cseq.number);
        let in_order = match (&mut self.subscriptions.get_mut(&key), call) {
            (_, Some(call)) => {
                let dialog = self.calls.get_mut(&call).and_then(|call| call.dialog.as_mut());
                dialog.is_some_and(|dialog| dialog.take_cseq(number))
            }
            (Some(known), None) => known.take_notify(request, number, arrival.flow),
            (None, None) => false,
        };
        if !in_order {
            let status = StatusCode::SERVER_INTERNAL_ERROR;
            self.respond_status(arrival.server, request, status, now);
            return;
        }
        if let Err(response) = bodies::settle(&mut arrival.request) {
            self.respond_with(arrival.server, *response, now);
            return;
        }
        self.respond_status(arrival.server, &arrival.request, StatusCode::OK, now);
        self.notified(key, arrival.request, now);
    }

    /// The subscription that a NOTIFY is of: dialog, package and id are equal (RFC 6665 §4.1.2.4).
    fn subscriber_of(&self, request: &Request, call: Option<CallKey>) -> Option<SubscriptionKey> {
        let event = event_of(request)?;
        let in_own_dialog = if call.is_none() { self.subscription_of(request) } else { None };
        let found = self.subscriptions.iter().find(|(key, known)| {
            let here = match call {
                Some(call) => known.is_shared_with(call),
                None => Some(**key) == in_own_dialog,
            };
            here && !known.is_notifier() && known.is_of(&event)
        });
        found.map(|(key, _)| *key)
    }

    fn notified(&mut self, key: SubscriptionKey, request: Request, now: Instant) {
        let state = request.headers.subscription_state();
        let over = state.as_ref().is_some_and(|state| state.state == "terminated");
        if self.asked_mut(key).is_some() {
            self.refer_notified(key, &request, over);
        } else {
            self.emit(Event::Notified { subscription: key, request });
        }
        let Some(known) = self.subscriptions.get_mut(&key) else { return };
        let params = state.as_ref().map(|state| &state.params);
        let value = |name: &str| params.and_then(|params| params.value(name));
        let time = |name: &str| value(name)?.parse().ok().map(Duration::from_secs);
        if over {
            let end = known.end_of_ours(SubscriptionEnd::Terminated {
                reason: value("reason").map(str::to_ascii_lowercase),
                retry_after: time("retry-after").map(|after| after.min(MAX_RETRY_AFTER)),
            });
            self.end_subscription(key, end);
            return;
        }
        let (expires_at, ending) = (known.expires_at, known.ending);
        let Role::Subscriber(subscriber) = &mut known.role else { return };
        let first = !std::mem::replace(&mut subscriber.notified, true);
        let granted = subscriber.granted(time("expires"));
        // The notifier may shorten what it granted (RFC 6665 §4.2.2); it may not lengthen it.
        let shorter = time("expires").is_some() && now + granted < expires_at;
        if !ending && (first || shorter) {
            self.lasts(key, granted, now);
        }
    }

    /// It stands for this long from here, and is refreshed before.
    fn lasts(&mut self, key: SubscriptionKey, granted: Duration, now: Instant) {
        let Some(known) = self.subscriptions.get_mut(&key) else { return };
        known.expires_at = now + granted;
        // The news of a REFER are not asked for again.
        let share = if known.package == Package::Refer { 1.0 } else { 0.85 };
        let refresh = now + granted.mul_f64(share);
        self.arm(Due::Subscription(key), Some((refresh, Timer::Subscription)));
    }

    pub(super) fn subscriber_timeout(&mut self, key: SubscriptionKey, now: Instant) {
        let Some(known) = self.subscriptions.get(&key) else { return };
        let Role::Subscriber(subscriber) = &known.role else { return };
        if known.ending {
            self.end_subscription(key, SubscriptionEnd::Unsubscribed);
        } else if !subscriber.notified || known.expires_at <= now {
            self.end_subscription(key, SubscriptionEnd::Failed { status: None });
        } else {
            let interval = subscriber.interval;
            self.arm(Due::Subscription(key), Some((known.expires_at, Timer::Subscription)));
            self.resubscribe(key, interval, now);
        }
    }
}

/// What a 423 wants at least, where we go along with it.
fn least_of(response: &Response, subscriber: &Subscriber) -> Option<Duration> {
    let least = response.headers.min_expires().filter(|_| response.status.code() == 423)?;
    let fits = least > subscriber.interval && least <= DEFAULT_EXPIRES * 24;
    (fits && subscriber.too_brief < MAX_TOO_BRIEF).then_some(least)
}

/// The headers of a SUBSCRIBE.
fn asks(event: String, package: Package, expires: Duration) -> Vec<(&'static str, String)> {
    let expires = expires.min(DEFAULT_EXPIRES * 24).as_secs().to_string();
    vec![("Event", event), ("Accept", package.document().to_owned()), ("Expires", expires)]
}
