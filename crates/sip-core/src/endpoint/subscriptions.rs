//! Subscriptions to the conference package, as notifier and as subscriber (RFC 6665, RFC 4575).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::requests::Arrival;
use super::responses::Finish;
use super::{Contact, Due, Endpoint, Owner, capabilities, contact_value, ends_usage};
use crate::dialog::{Dialog, DialogId};
use crate::message::Headers;
use crate::transaction::Timer;
use crate::{
    AnyUri, CallKey, Confirmed, Content, Event, Failure, Flow, Method, NameAddr, PendingSubscribe,
    Request, StatusCode, SubscriptionEnd, SubscriptionKey, Uri,
};

const DEFAULT_EXPIRES: Duration = Duration::from_secs(3600);
/// The longest time that a notifier can tell us to stay away.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(86_400);
/// The most documents that wait for one subscriber.
const MAX_WAITING: usize = 64;

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
enum Place {
    /// A dialog of its own.
    Own(Box<Dialog>),
    /// The INVITE dialog of this call.
    Shared(CallKey),
    /// Our SUBSCRIBE is out, no dialog yet.
    Asked {
        call_id: String,
        local_tag: String,
        request: Box<Request>,
        flow: Flow,
        contact: Contact,
    },
}

#[derive(Debug)]
pub(super) struct Subscription {
    place: Place,
    notifier: bool,
    event_id: Option<String>,
    expires_at: Instant,
    /// Subscriber: what was asked for.
    interval: Duration,
    queue: VecDeque<(Option<Content>, Option<String>)>,
    in_flight: bool,
    /// The last NOTIFY is out, or our own SUBSCRIBE with zero is asked for.
    ending: bool,
    notified: bool,
}

impl Endpoint {
    /// A SUBSCRIBE: first (`known` empty), refresh, or end.
    pub(super) fn handle_subscribe(
        &mut self,
        arrival: Arrival,
        call: Option<CallKey>,
        known: Option<SubscriptionKey>,
        now: Instant,
    ) {
        let headers = &arrival.request.headers;
        let package = headers.event().map(|(package, _)| package);
        if !package.is_some_and(|package| capabilities::ALLOW_EVENTS.contains(&package.as_str())) {
            let mut response = arrival.request.response(StatusCode::BAD_EVENT, None);
            response.headers.push("Allow-Events", capabilities::ALLOW_EVENTS.join(", "));
            self.respond_with(arrival.server, response, now);
            return;
        }
        let document = "application/conference-info+xml";
        let takes = |accept: Vec<String>| {
            accept.iter().any(|one| one == document || one == "*/*" || one == "application/*")
        };
        if !headers.accept().is_none_or(takes) {
            let not_acceptable = StatusCode::from(Failure::NOT_ACCEPTABLE);
            self.respond_status(arrival.server, &arrival.request, not_acceptable, now);
            return;
        }
        let expires = headers.expires().unwrap_or(DEFAULT_EXPIRES).min(DEFAULT_EXPIRES);
        let id = self.hold(&arrival, call, known, now);
        self.emit(Event::SubscribeReceived {
            subscribe: PendingSubscribe(id),
            subscription: known,
            call,
            expires,
            request: arrival.request,
            flow: arrival.flow,
        });
    }

    /// 200. The caller sends the document with [`Endpoint::notify`] next.
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
        let tag =
            self.servers.get(&pending.server).map(|server| server.tag.clone()).unwrap_or_default();
        let mut response = pending.request.response(StatusCode::OK, Some(&tag));
        super::calls::copy_record_route(&pending.request, &mut response);
        response.headers.push("Contact", contact_value(&contact, &pending.flow));
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
                    Some(call) => Place::Shared(call),
                    None => {
                        match Dialog::as_server(&pending.request, &tag, pending.flow, contact) {
                            Some(dialog) => Place::Own(Box::new(dialog)),
                            None => return self.new_subscription_key(),
                        }
                    }
                };
                let key = self.new_subscription_key();
                let event = pending.request.headers.event();
                let event_id = event.and_then(|(_, params)| params.value("id").map(str::to_owned));
                self.subscriptions.insert(key, Subscription::new(place, true, event_id, now));
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

    /// Sends a document; `terminate` ends the subscription with this reason. One is in flight, the rest waits.
    pub fn notify(
        &mut self,
        subscription: SubscriptionKey,
        content: Option<Content>,
        terminate: Option<&str>,
        now: Instant,
    ) {
        let Some(known) = self.subscriptions.get_mut(&subscription) else { return };
        if !known.notifier || known.ending {
            return;
        }
        if known.queue.len() >= MAX_WAITING {
            known.queue.pop_front();
        }
        known.ending = terminate.is_some();
        known.queue.push_back((content, terminate.map(str::to_owned)));
        self.send_next_notify(subscription, now);
    }

    fn send_next_notify(&mut self, key: SubscriptionKey, now: Instant) {
        let Some(known) = self.subscriptions.get_mut(&key) else { return };
        if known.in_flight {
            return;
        }
        let Some((content, terminate)) = known.queue.pop_front() else { return };
        known.in_flight = true;
        let state = match &terminate {
            Some(reason) => format!("terminated;reason={reason}"),
            None => {
                let left = known.expires_at.saturating_duration_since(now).as_secs();
                format!("active;expires={left}")
            }
        };
        let event = match &known.event_id {
            Some(id) => format!("conference;id={id}"),
            None => "conference".to_owned(),
        };
        let headers = vec![("Event", event), ("Subscription-State", state)];
        match &mut known.place {
            Place::Shared(call) => {
                let call = *call;
                self.enqueue_shared(
                    call,
                    Method::Notify,
                    content,
                    headers,
                    Owner::Notify { subscription: key, call: Some(call) },
                    now,
                );
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
                self.start_client(request, hop, owner, now);
            }
            Place::Asked { .. } => {}
        }
    }

    pub(super) fn notify_finished(&mut self, key: SubscriptionKey, finish: Finish, now: Instant) {
        let status = match &finish {
            Finish::Response(response, _) if response.status.is_provisional() => return,
            Finish::Response(response, _) => Some(response.status),
            Finish::TimedOut | Finish::Unsendable => None,
        };
        let Some(known) = self.subscriptions.get_mut(&key) else { return };
        known.in_flight = false;
        let failed = status
            .is_none_or(|status| ends_usage(status) || matches!(status.code(), 405 | 489 | 501));
        if failed && !known.ending {
            let status = status.map(StatusCode::code);
            self.end_subscription(key, SubscriptionEnd::Failed { status });
        } else if known.ending && known.queue.is_empty() {
            let end = if known.expires_at <= now {
                SubscriptionEnd::Expired
            } else {
                SubscriptionEnd::Unsubscribed
            };
            self.end_subscription(key, end);
        } else {
            self.send_next_notify(key, now);
        }
    }

    pub(super) fn end_subscription(&mut self, key: SubscriptionKey, end: SubscriptionEnd) {
        self.arm(Due::Subscription(key), None);
        let Some(ended) = self.subscriptions.remove(&key) else { return };
        // What waits for its turn in the call's dialog would speak for nobody.
        if let Place::Shared(call) = ended.place
            && let Some(call) = self.calls.get_mut(&call)
        {
            call.queue.retain(|queued| !queued.is_of(key));
        }
        self.emit(Event::SubscriptionEnded { subscription: key, end });
    }

    /// A call is over, and with it what shared its dialog.
    pub(super) fn end_shared_subscriptions(&mut self, call: CallKey) {
        let shared = |known: &Subscription| matches!(known.place, Place::Shared(of) if of == call);
        let keys: Vec<SubscriptionKey> = self
            .subscriptions
            .iter()
            .filter(|(_, known)| shared(known))
            .map(|(key, _)| *key)
            .collect();
        for key in keys {
            self.end_subscription(key, SubscriptionEnd::Unsubscribed);
        }
    }

    /// A challenged SUBSCRIBE went out again.
    pub(super) fn subscribe_replaced(&mut self, key: SubscriptionKey, client: u64) {
        if let Some(Subscription { place: Place::Asked { request, .. }, .. }) =
            self.subscriptions.get_mut(&key)
            && let Some(client) = self.clients.get(&client)
        {
            **request = client.request.clone();
        }
    }

    /// Subscribes to the conference of a call. It is refreshed here until it ends.
    pub fn subscribe(&mut self, subscribe: Subscribe<'_>, now: Instant) -> SubscriptionKey {
        let key = self.new_subscription_key();
        let call = subscribe.call.0;
        let seconds = subscribe.expires.as_secs().to_string();
        let document = "application/conference-info+xml".to_owned();
        let common =
            vec![("Event", "conference".to_owned()), ("Accept", document), ("Expires", seconds)];
        let dialog = self.calls.get(&call).and_then(|call| call.dialog.clone());
        let Some(dialog) = dialog else {
            self.emit(Event::SubscriptionEnded {
                subscription: key,
                end: SubscriptionEnd::Failed { status: None },
            });
            return key;
        };
        let place = if subscribe.in_dialog {
            Place::Shared(call)
        } else {
            let tag = self.token();
            let call_id = self.token();
            let mut headers = Headers::default();
            headers.push("Max-Forwards", "70");
            let mut from = dialog.local.clone();
            from.params.set("tag", Some(&tag));
            headers.push("From", from.to_string());
            headers.push("To", NameAddr::new(None, subscribe.target.clone()).to_string());
            headers.push("Call-ID", &call_id);
            headers.push("CSeq", "1 SUBSCRIBE");
            for route in &dialog.routes {
                headers.push("Route", route.to_string());
            }
            let hop = dialog.next_hop(|id| self.connections.contains_key(&id));
            headers.push("Contact", contact_value(&subscribe.contact, &hop));
            // RFC 4538 §4: the tags as the focus sees them.
            let id = &dialog.id;
            let tied =
                format!("{};local-tag={};remote-tag={}", id.call_id, id.remote.0, id.local.0);
            headers.push("Target-Dialog", tied);
            for (name, value) in &common {
                headers.push(name, value);
            }
            let uri = AnyUri::Sip(subscribe.target);
            let request =
                Request { method: Method::Subscribe, uri, headers, body: bytes::Bytes::new() };
            let contact = subscribe.contact.clone();
            let owner = Owner::Subscribe { subscription: key, call: None };
            self.start_client(request.clone(), hop, owner, now);
            Place::Asked { call_id, local_tag: tag, request: Box::new(request), flow: hop, contact }
        };
        let shared = matches!(place, Place::Shared(_));
        let mut subscription = Subscription::new(place, false, None, now);
        subscription.interval = subscribe.expires;
        self.subscriptions.insert(key, subscription);
        // Timer N: without a NOTIFY in this time there is no subscription (RFC 6665 §4.1.2.4).
        let until = now + self.times.patience();
        self.arm(Due::Subscription(key), Some((until, Timer::Subscription)));
        if shared {
            let owner = Owner::Subscribe { subscription: key, call: Some(call) };
            self.enqueue_shared(call, Method::Subscribe, None, common, owner, now);
        }
        key
    }

    /// Asks again on the same subscription: refresh, or end with zero. It then ends with the notifier's last NOTIFY, or
    /// 64·T1 after the answer without one (RFC 6665 §4.1.2.3).
    pub fn resubscribe(&mut self, subscription: SubscriptionKey, expires: Duration, now: Instant) {
        let Some(known) = self.subscriptions.get_mut(&subscription) else { return };
        if known.notifier {
            return;
        }
        known.ending |= expires.is_zero();
        let document = "application/conference-info+xml".to_owned();
        let headers = vec![
            ("Event", "conference".to_owned()),
            ("Accept", document),
            ("Expires", expires.as_secs().to_string()),
        ];
        match &mut known.place {
            Place::Own(dialog) => {
                let mut request = dialog.request(Method::Subscribe, None);
                let hop = dialog.next_hop(|id| self.connections.contains_key(&id));
                request.headers.push("Contact", contact_value(&dialog.contact, &hop));
                for (name, value) in headers {
                    request.headers.push(name, value);
                }
                let owner = Owner::Subscribe { subscription, call: None };
                self.start_client(request, hop, owner, now);
            }
            Place::Shared(call) => {
                let call = *call;
                self.enqueue_shared(
                    call,
                    Method::Subscribe,
                    None,
                    headers,
                    Owner::Subscribe { subscription, call: Some(call) },
                    now,
                );
            }
            Place::Asked { .. } => {}
        }
    }

    pub(super) fn subscribe_finished(
        &mut self,
        tx: u64,
        key: SubscriptionKey,
        finish: Finish,
        now: Instant,
    ) {
        let response = match finish {
            Finish::Response(response, _) if response.status.is_provisional() => return,
            Finish::Response(response, _) => Some(response),
            Finish::TimedOut | Finish::Unsendable => None,
        };
        let request = self.clients.get(&tx).map(|client| client.request.clone());
        let Some(known) = self.subscriptions.get_mut(&key) else { return };
        let Some(response) =
            response.filter(|response| response.status.is_success() || !known.notified)
        else {
            let end = known.end_of_ours(SubscriptionEnd::Failed { status: None });
            self.end_subscription(key, end);
            return;
        };
        if !response.status.is_success() {
            let status = Some(response.status.code());
            let end = known.end_of_ours(SubscriptionEnd::Failed { status });
            self.end_subscription(key, end);
            return;
        }
        let asked = matches!(known.place, Place::Asked { .. });
        if let (Place::Asked { contact, flow, .. }, Some(request)) = (&known.place, request)
            && let Some(dialog) = Dialog::as_client(&request, &response, *flow, contact.clone())
        {
            known.place = Place::Own(Box::new(dialog));
        }
        if known.ending {
            // The last NOTIFY is still to come; refused in a call's dialog, it would end the call with some phones.
            let until = now + self.times.patience();
            self.arm(Due::Subscription(key), Some((until, Timer::Subscription)));
            if asked {
                self.resubscribe(key, Duration::ZERO, now);
            }
            return;
        }
        let granted = known.granted(response.headers.expires());
        known.expires_at = now + granted;
        if known.notified {
            let refresh = now + granted.mul_f64(0.85);
            self.arm(Due::Subscription(key), Some((refresh, Timer::Subscription)));
        }
    }

    /// A NOTIFY: ours by the call it shares, by its dialog, or by the SUBSCRIBE whose answer it overtook.
    pub(super) fn handle_notify(&mut self, arrival: Arrival, call: Option<CallKey>, now: Instant) {
        let request = &arrival.request;
        let package = request.headers.event().map(|(package, _)| package);
        let key = match call {
            Some(call) => self
                .subscriptions
                .iter()
                .find(|(_, known)| {
                    !known.notifier && matches!(known.place, Place::Shared(of) if of == call)
                })
                .map(|(key, _)| *key),
            None => self.subscription_of(request),
        };
        let (Some(key), true) = (key, package.as_deref() == Some("conference")) else {
            // 481 means the dialog to some, and with it the call.
            let status =
                if call.is_some() { StatusCode::BAD_EVENT } else { StatusCode::NO_SUCH_CALL };
            let mut response = arrival.request.response(status, None);
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
            self.respond_status(
                arrival.server,
                &arrival.request,
                StatusCode::SERVER_INTERNAL_ERROR,
                now,
            );
            return;
        }
        self.respond_status(arrival.server, &arrival.request, StatusCode::OK, now);
        let state = arrival.request.headers.subscription_state();
        let over = state.as_ref().is_some_and(|state| state.state == "terminated");
        self.emit(Event::Notified { subscription: key, request: arrival.request });
        if over {
            let params = state.map(|state| state.params).unwrap_or_default();
            let retry_after = params.value("retry-after").and_then(|value| value.parse().ok());
            let retry_after = retry_after.map(Duration::from_secs);
            let end = SubscriptionEnd::Terminated {
                reason: params.value("reason").map(str::to_ascii_lowercase),
                retry_after: retry_after.map(|after| after.min(MAX_RETRY_AFTER)),
            };
            let end = match self.subscriptions.get(&key) {
                Some(known) => known.end_of_ours(end),
                None => end,
            };
            self.end_subscription(key, end);
        } else if let Some(known) = self.subscriptions.get_mut(&key)
            && !known.notified
            && !known.ending
        {
            known.notified = true;
            let left = state.and_then(|state| state.params.value("expires")?.parse().ok());
            let granted = known.granted(left.map(Duration::from_secs));
            let refresh = now + granted.mul_f64(0.85);
            self.arm(Due::Subscription(key), Some((refresh, Timer::Subscription)));
        }
    }

    /// A SUBSCRIBE, or anything else, in the dialog of a subscription.
    pub(super) fn handle_subscription_request(
        &mut self,
        arrival: Arrival,
        key: SubscriptionKey,
        now: Instant,
    ) {
        let number = arrival.request.headers.cseq().map_or(0, |cseq| cseq.number);
        let in_order = match self.subscriptions.get_mut(&key).map(|known| &mut known.place) {
            Some(Place::Own(dialog)) => dialog.take_cseq(number),
            _ => true,
        };
        if !in_order {
            self.respond_status(
                arrival.server,
                &arrival.request,
                StatusCode::SERVER_INTERNAL_ERROR,
                now,
            );
        } else if arrival.request.method == Method::Subscribe {
            self.handle_subscribe(arrival, None, Some(key), now);
        } else {
            // sip-chat 3.1 k: a text in a SUBSCRIBE dialog is nobody's.
            self.respond_status(arrival.server, &arrival.request, StatusCode::NO_SUCH_CALL, now);
        }
    }

    /// The subscription whose dialog a request is in.
    pub(super) fn subscription_of(&self, request: &Request) -> Option<SubscriptionKey> {
        let id = DialogId::of_request(&request.headers)?;
        let found = self.subscriptions.iter().find(|(_, known)| match &known.place {
            Place::Own(dialog) => dialog.id == id,
            Place::Shared(call) => self.dialogs.get(&id) == Some(call) && known.notifier,
            Place::Asked { call_id, local_tag, .. } => {
                *call_id == id.call_id && *local_tag == id.local.0
            }
        });
        found.map(|(key, _)| *key)
    }

    pub(super) fn next_subscription_cseq(&mut self, key: SubscriptionKey, sent: u32) -> u32 {
        match self.subscriptions.get_mut(&key).map(|known| &mut known.place) {
            Some(Place::Own(dialog)) => {
                dialog.local_cseq += 1;
                dialog.local_cseq
            }
            Some(Place::Shared(call)) => {
                let call = *call;
                match self.calls.get_mut(&call).and_then(|call| call.dialog.as_mut()) {
                    Some(dialog) => {
                        dialog.local_cseq += 1;
                        dialog.local_cseq
                    }
                    None => sent + 1,
                }
            }
            Some(Place::Asked { .. }) | None => sent + 1,
        }
    }

    pub(super) fn subscription_timeout(&mut self, key: SubscriptionKey, now: Instant) {
        let Some(known) = self.subscriptions.get(&key) else { return };
        match (known.notifier, known.notified) {
            (true, _) if known.ending => self.end_subscription(key, SubscriptionEnd::Expired),
            (true, _) => {
                // A last NOTIFY says that the time is over; should it hang, the subscription is gone all the same.
                let until = now + self.times.patience();
                self.arm(Due::Subscription(key), Some((until, Timer::Subscription)));
                self.notify(key, None, Some("timeout"), now);
            }
            (false, _) if known.ending => {
                self.end_subscription(key, SubscriptionEnd::Unsubscribed);
            }
            (false, false) => self.end_subscription(key, SubscriptionEnd::Failed { status: None }),
            (false, true) => {
                let (interval, until) = (known.interval, now + self.times.patience());
                self.arm(Due::Subscription(key), Some((until, Timer::Subscription)));
                self.resubscribe(key, interval, now);
            }
        }
    }
}

impl Subscription {
    fn new(place: Place, notifier: bool, event_id: Option<String>, now: Instant) -> Self {
        Self {
            place,
            notifier,
            event_id,
            expires_at: now + DEFAULT_EXPIRES,
            interval: DEFAULT_EXPIRES,
            queue: VecDeque::new(),
            in_flight: false,
            ending: false,
            notified: false,
        }
    }

    /// As subscriber: how long it lasts. No notifier may grant more than was asked (RFC 6665 §4.2.1.1).
    fn granted(&self, told: Option<Duration>) -> Duration {
        told.unwrap_or(self.interval).min(self.interval).max(Duration::from_secs(2))
    }

    /// As subscriber: what we ended ourselves did not fail.
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
