//! The notifier: SUBSCRIBE that comes in, NOTIFY that goes out (RFC 6665 §4.2).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{DEFAULT_EXPIRES, Package, Place, Role, Subscription, event_of};
use crate::dialog::Dialog;
use crate::endpoint::refer::Progress;
use crate::endpoint::requests::Arrival;
use crate::endpoint::responses::Finish;
use crate::endpoint::usages::{Scope, scope};
use crate::endpoint::{Contact, Due, Endpoint, Owner, answer_contact, capabilities, contact_value};
use crate::transaction::Timer;
use crate::{
    CallKey, Content, Event, Failure, Method, PendingSubscribe, StatusCode, SubscriptionEnd,
    SubscriptionKey, Transport,
};

/// Shorter subscriptions cost more than they tell: 423 (RFC 6665 §4.2.1.1).
const MIN_EXPIRES: Duration = Duration::from_secs(60);
/// The most documents that wait for one subscriber.
const MAX_WAITING: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Notifier {
    /// What waits for the answer to the NOTIFY in flight; the second value ends the subscription.
    queue: VecDeque<(Option<Content>, Option<String>)>,
    in_flight: bool,
    /// Of a REFER: what is told of it.
    pub(super) progress: Option<Progress>,
}

impl Endpoint {
    /// A SUBSCRIBE: first, refresh, or end.
    pub(in crate::endpoint) fn handle_subscribe(
        &mut self,
        arrival: Arrival,
        call: Option<CallKey>,
        now: Instant,
    ) {
        let headers = &arrival.request.headers;
        let Some(event) = event_of(&arrival.request) else {
            let mut response = arrival.request.response(StatusCode::BAD_EVENT, None);
            response.headers.push("Allow-Events", capabilities::ALLOW_EVENTS.join(", "));
            self.respond_with(arrival.server, response, now);
            return;
        };
        let in_own_dialog =
            if call.is_none() { self.subscription_of(&arrival.request) } else { None };
        let known = self.notifier_of(&event, call, in_own_dialog);
        let refusal = match known {
            // Nobody subscribes to what became of no REFER (RFC 3515 §2.4.4).
            None if event.0 == Package::Refer => Some(StatusCode::FORBIDDEN),
            // Its last NOTIFY is out; or its dialog has another subscription, and no second one begins in it.
            Some(key) if self.subscriptions.get(&key).is_some_and(|known| known.ending) => {
                Some(StatusCode::NO_SUCH_CALL)
            }
            None if in_own_dialog.is_some() => Some(StatusCode::NO_SUCH_CALL),
            Some(_) | None if !takes(headers.accept(), event.0) => {
                Some(Failure::NOT_ACCEPTABLE.into())
            }
            Some(_) | None => None,
        };
        if let Some(status) = refusal {
            self.respond_status(arrival.server, &arrival.request, status, now);
            return;
        }
        let expires = headers.expires().unwrap_or(DEFAULT_EXPIRES).min(DEFAULT_EXPIRES);
        if !expires.is_zero() && expires < MIN_EXPIRES {
            let mut response = arrival.request.response(StatusCode::INTERVAL_TOO_BRIEF, None);
            response.headers.push("Min-Expires", MIN_EXPIRES.as_secs().to_string());
            self.respond_with(arrival.server, response, now);
            return;
        }
        let id = self.hold(&arrival, call, known, now);
        if let (Package::Refer, Some(key)) = (event.0, known) {
            let contact = self.contact_of(key);
            self.accept_subscribe(PendingSubscribe(id), expires, contact, now);
            self.refer_refreshed(key, now);
            return;
        }
        let identity = self.identity_of(arrival.server);
        self.emit(Event::SubscribeReceived {
            subscribe: PendingSubscribe(id),
            subscription: known,
            call,
            expires,
            request: arrival.request,
            flow: arrival.flow,
            identity,
        });
    }

    /// The subscription that a SUBSCRIBE refreshes: of the call's dialog, or of its own.
    fn notifier_of(
        &self,
        event: &(Package, Option<String>),
        call: Option<CallKey>,
        in_own_dialog: Option<SubscriptionKey>,
    ) -> Option<SubscriptionKey> {
        let found = self.subscriptions.iter().find(|(key, known)| {
            let here = match call {
                Some(call) => known.is_shared_with(call),
                None => Some(**key) == in_own_dialog,
            };
            here && known.is_notifier() && known.is_of(event)
        });
        found.map(|(key, _)| *key)
    }

    /// 200, for the time asked or less. The caller sends the document with [`Endpoint::notify`] next.
    pub fn accept_subscribe(
        &mut self,
        subscribe: PendingSubscribe,
        expires: Duration,
        contact: Contact,
        now: Instant,
    ) -> SubscriptionKey {
        let Some(pending) = self.take_pending(subscribe.0) else {
            return self.new_subscription_key();
        };
        let contact = self.placed(contact, &pending.flow);
        let tag =
            self.servers.get(&pending.server).map(|server| server.tag.clone()).unwrap_or_default();
        let expires = expires.min(pending.request.headers.expires().unwrap_or(DEFAULT_EXPIRES));
        let mut response = pending.request.response(StatusCode::OK, Some(&tag));
        crate::endpoint::calls::copy_record_route(&pending.request, &mut response);
        response.headers.push("Contact", answer_contact(&contact, &pending.flow, &pending.request));
        response.headers.push("Expires", expires.as_secs().to_string());
        self.respond_with(pending.server, response, now);
        let key = match pending.subscription.filter(|key| self.subscriptions.contains_key(key)) {
            Some(key) => key,
            // The call ended before its SUBSCRIBE was answered.
            None if pending.call.is_some_and(|call| !self.calls.contains_key(&call)) => {
                return self.new_subscription_key();
            }
            None => {
                let place = match pending.call {
                    Some(call) => Some(Place::Shared(call)),
                    None => Dialog::as_server(&pending.request, &tag, pending.flow, contact)
                        .map(|dialog| Place::Own(Box::new(dialog))),
                };
                let (Some(place), Some((package, event_id))) = (place, event_of(&pending.request))
                else {
                    return self.new_subscription_key();
                };
                let key = self.new_subscription_key();
                let role = Role::Notifier(Notifier::default());
                let new = Subscription { event_id, ..Subscription::new(place, package, role, now) };
                self.subscriptions.insert(key, new);
                key
            }
        };
        if let Some(subscription) = self.subscriptions.get_mut(&key) {
            subscription.expires_at = now + expires;
            if let Place::Own(dialog) = &mut subscription.place {
                dialog.refresh(&pending.request.headers, Some(pending.flow));
            }
        }
        self.arm(Due::Subscription(key), Some((now + expires, Timer::Subscription)));
        key
    }

    /// Refuses it.
    pub fn reject_subscribe(&mut self, subscribe: PendingSubscribe, why: Failure, now: Instant) {
        if let Some(pending) = self.take_pending(subscribe.0) {
            self.respond_status(pending.server, &pending.request, why.into(), now);
        }
    }

    /// Sends a document; `terminate` ends the subscription with this reason, and so does a time that has run out, as
    /// that of a SUBSCRIBE with Expires 0 has (RFC 6665 §4.2.1.2). One is in flight, the rest waits.
    pub fn notify(
        &mut self,
        subscription: SubscriptionKey,
        content: Option<Content>,
        terminate: Option<&str>,
        now: Instant,
    ) {
        let Some(known) = self.subscriptions.get_mut(&subscription) else { return };
        let Role::Notifier(notifier) = &mut known.role else { return };
        if known.ending {
            return;
        }
        if notifier.queue.len() >= MAX_WAITING {
            notifier.queue.pop_front();
        }
        let terminate = terminate.or((known.expires_at <= now).then_some("timeout"));
        known.ending = terminate.is_some();
        notifier.queue.push_back((content, terminate.map(str::to_owned)));
        if known.ending {
            // Should the last NOTIFY hang behind others, the subscription is gone all the same.
            let until = now + self.times.patience() * 2;
            self.arm(Due::Subscription(subscription), Some((until, Timer::Subscription)));
        }
        self.send_next_notify(subscription, now);
    }

    fn send_next_notify(&mut self, key: SubscriptionKey, now: Instant) {
        if self.would_be_overheard(key) {
            self.end_subscription(key, SubscriptionEnd::Failed { status: None });
            return;
        }
        let Some(known) = self.subscriptions.get_mut(&key) else { return };
        let event = known.event();
        let Role::Notifier(notifier) = &mut known.role else { return };
        if notifier.in_flight {
            return;
        }
        let Some((content, terminate)) = notifier.queue.pop_front() else { return };
        notifier.in_flight = true;
        let state = match &terminate {
            Some(reason) => format!("terminated;reason={reason}"),
            None => {
                let left = known.expires_at.saturating_duration_since(now).as_secs();
                format!("active;expires={left}")
            }
        };
        let headers = vec![("Event", event), ("Subscription-State", state)];
        match &mut known.place {
            Place::Shared(call) => {
                let call = *call;
                let owner = Owner::Notify { subscription: key, call: Some(call) };
                self.enqueue_shared(call, Method::Notify, content, headers, owner, now);
            }
            Place::Own(dialog) => {
                let mut request = dialog.request(Method::Notify, None);
                let hop = dialog.next_hop(|id| self.connections.contains_key(&id));
                request.headers.push("Contact", contact_value(&dialog.contact, &hop));
                for (name, value) in headers {
                    request.headers.push(name, value);
                }
                if let Some(content) = content {
                    request.headers.push("Content-Type", &content.content_type);
                    request.body = content.body;
                }
                let owner = Owner::Notify { subscription: key, call: None };
                self.start_in_dialog(request, hop, owner, now);
            }
            Place::Asked { .. } => {}
        }
    }

    /// Whether the subscription came by TLS and its documents could only go by something less (RFC 4575 §8.1).
    fn would_be_overheard(&self, key: SubscriptionKey) -> bool {
        let dialog = match self.subscriptions.get(&key).map(|known| &known.place) {
            Some(Place::Own(dialog)) => Some(dialog.as_ref()),
            Some(Place::Shared(call)) => self.calls.get(call).and_then(|call| call.dialog.as_ref()),
            Some(Place::Asked { .. }) | None => None,
        };
        dialog.is_some_and(|dialog| {
            let hop = dialog.next_hop(|id| self.connections.contains_key(&id));
            dialog.flow.transport == Transport::Tls && hop.transport != Transport::Tls
        })
    }

    pub(in crate::endpoint) fn notify_finished(
        &mut self,
        key: SubscriptionKey,
        finish: Finish,
        now: Instant,
    ) {
        let status = match &finish {
            Finish::Response(response, _) if response.status.is_provisional() => return,
            Finish::Response(response, _) => Some(response.status),
            Finish::TimedOut | Finish::Unsendable => None,
        };
        let over = scope(&Method::Notify, &finish) != Scope::Transaction;
        let Some(known) = self.subscriptions.get_mut(&key) else { return };
        let is_missed = known.package == Package::Conference
            && !over
            && !known.ending
            && !status.is_some_and(StatusCode::is_success);
        let Role::Notifier(notifier) = &mut known.role else { return };
        notifier.in_flight = false;
        if over && !known.ending {
            let status = status.map(StatusCode::code);
            self.end_subscription(key, SubscriptionEnd::Failed { status });
        } else if known.ending && notifier.queue.is_empty() {
            let end = if known.expires_at <= now {
                SubscriptionEnd::Expired
            } else {
                SubscriptionEnd::Unsubscribed
            };
            self.end_subscription(key, end);
        } else {
            if is_missed {
                self.emit(Event::NotifyFailed { subscription: key });
            }
            self.send_next_notify(key, now);
        }
    }

    /// The news of a REFER begin.
    pub(in crate::endpoint) fn begin_progress(
        &mut self,
        place: Place,
        event_id: Option<String>,
        progress: Progress,
        expires_at: Instant,
    ) -> SubscriptionKey {
        let key = self.new_subscription_key();
        let role = Role::Notifier(Notifier { progress: Some(progress), ..Notifier::default() });
        let package = Package::Refer;
        let new = Subscription { place, package, event_id, expires_at, ending: false, role };
        self.subscriptions.insert(key, new);
        key
    }

    pub(in crate::endpoint) fn progress_mut(
        &mut self,
        key: SubscriptionKey,
    ) -> Option<&mut Progress> {
        match &mut self.subscriptions.get_mut(&key)?.role {
            Role::Notifier(notifier) => notifier.progress.as_mut(),
            Role::Subscriber(_) => None,
        }
    }

    /// Wakes when the next status may be told, or when the time is over.
    pub(in crate::endpoint) fn arm_progress(&mut self, key: SubscriptionKey) {
        let Some(known) = self.subscriptions.get(&key).filter(|known| !known.ending) else {
            return;
        };
        let Role::Notifier(notifier) = &known.role else { return };
        let due = notifier.progress.as_ref().and_then(Progress::due_at);
        let next = due.map_or(known.expires_at, |due| due.min(known.expires_at));
        self.arm(Due::Subscription(key), Some((next, Timer::Subscription)));
    }

    pub(in crate::endpoint) fn has_run_out(&self, key: SubscriptionKey, now: Instant) -> bool {
        self.subscriptions.get(&key).is_some_and(|known| known.expires_at <= now)
    }

    fn contact_of(&self, key: SubscriptionKey) -> Contact {
        let contact = match self.subscriptions.get(&key).map(|known| &known.place) {
            Some(Place::Own(dialog)) => Some(dialog.contact.clone()),
            Some(Place::Shared(call)) => {
                let dialog = self.calls.get(call).and_then(|call| call.dialog.as_ref());
                dialog.map(|dialog| dialog.contact.clone())
            }
            Some(Place::Asked { contact, .. }) => Some(contact.clone()),
            None => None,
        };
        contact.unwrap_or(Contact::new("", false))
    }

    /// The call whose dialog it shared is over: what waited there for its turn goes by itself.
    pub(super) fn tell_again(&mut self, key: SubscriptionKey, now: Instant) {
        let Some(known) = self.subscriptions.get_mut(&key) else { return };
        let Role::Notifier(notifier) = &mut known.role else { return };
        notifier.in_flight = false;
        notifier.queue.clear();
        known.ending = false;
        if let Some(progress) = &mut notifier.progress {
            progress.due = true;
            progress.sent_at = None;
        }
        self.tell_progress(key, now);
    }

    pub(super) fn notifier_timeout(&mut self, key: SubscriptionKey, now: Instant) {
        let waits = self.progress_mut(key).is_some_and(|progress| progress.due);
        if waits && !self.has_run_out(key, now) {
            self.tell_progress(key, now);
        } else if self.subscriptions.get(&key).is_some_and(|known| known.ending) {
            self.end_subscription(key, SubscriptionEnd::Expired);
        } else {
            // A last NOTIFY says that the time is over (RFC 6665 §4.2.1.4).
            self.notify(key, None, Some("timeout"), now);
        }
    }
}

/// Whether Accept, where there is one, names the documents of the package.
fn takes(accept: Option<Vec<String>>, package: Package) -> bool {
    let document = package.document();
    let (kind, _) = document.split_once('/').unwrap_or((document, ""));
    accept.is_none_or(|accept| {
        accept.iter().any(|one| {
            let all_of_kind = one.strip_suffix("/*").is_some_and(|one| one == kind);
            one == document || one == "*/*" || all_of_kind
        })
    })
}
