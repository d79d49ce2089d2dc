//! Subscriptions: what notifier and subscriber have in common (RFC 6665). The parts: `notifier` (SUBSCRIBE that comes,
//! NOTIFY that goes), `subscriber` (SUBSCRIBE that goes, NOTIFY that comes).

mod notifier;
mod subscriber;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::in_dialog::Queued;
use super::resume::Probed;
use super::{Contact, Due, Endpoint};
use crate::dialog::{Dialog, DialogId};
use crate::{CallKey, Event, Flow, Request, StatusCode, SubscriptionEnd, SubscriptionKey};

pub use subscriber::Subscribe;

use notifier::Notifier;
use subscriber::Subscriber;

/// How long a subscription lasts where nobody says (RFC 4575 §3.3), and the longest that is granted.
const DEFAULT_EXPIRES: Duration = Duration::from_secs(3600);

/// An event package that is implemented.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Package {
    /// RFC 4575.
    Conference,
    /// RFC 3515: what became of a REFER.
    Refer,
}

/// Where the requests of a subscription go.
#[derive(Debug)]
pub(super) enum Place {
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
enum Role {
    Notifier(Notifier),
    Subscriber(Subscriber),
}

#[derive(Debug)]
pub(super) struct Subscription {
    place: Place,
    package: Package,
    event_id: Option<String>,
    expires_at: Instant,
    /// The last NOTIFY is out, or our own SUBSCRIBE with zero is asked for.
    ending: bool,
    role: Role,
}

impl Subscription {
    /// The way of a dialog of its own.
    pub(super) fn flow_mut(&mut self) -> Option<&mut Flow> {
        match &mut self.place {
            Place::Own(dialog) => Some(&mut dialog.flow),
            Place::Asked { flow, .. } => Some(flow),
            Place::Shared(_) => None,
        }
    }
}

impl Package {
    /// The type of the documents of RFC 4575.
    pub(super) const CONFERENCE: &str = "application/conference-info+xml";
    /// The type of what is told of a REFER.
    pub(super) const REFER: &str = "message/sipfrag";

    /// By the token of an Event header, in lower case.
    fn parse(token: &str) -> Option<Self> {
        match token {
            "conference" => Some(Self::Conference),
            "refer" => Some(Self::Refer),
            _ => None,
        }
    }

    const fn token(self) -> &'static str {
        match self {
            Self::Conference => "conference",
            Self::Refer => "refer",
        }
    }

    /// The type of the bodies of its NOTIFYs.
    pub(super) const fn document(self) -> &'static str {
        match self {
            Self::Conference => Self::CONFERENCE,
            Self::Refer => Self::REFER,
        }
    }
}

impl Subscription {
    fn new(place: Place, package: Package, role: Role, now: Instant) -> Self {
        let expires_at = now + DEFAULT_EXPIRES;
        Self { place, package, event_id: None, expires_at, ending: false, role }
    }

    /// The value of Event.
    fn event(&self) -> String {
        match &self.event_id {
            Some(id) => format!("{};id={id}", self.package.token()),
            None => self.package.token().to_owned(),
        }
    }

    fn is_notifier(&self) -> bool {
        matches!(self.role, Role::Notifier(_))
    }

    pub(super) fn is_shared_with(&self, call: CallKey) -> bool {
        matches!(self.place, Place::Shared(of) if of == call)
    }

    /// Whether it has this dialog for itself.
    pub(super) fn is_in(&self, id: &DialogId) -> bool {
        matches!(&self.place, Place::Own(dialog) if dialog.id == *id)
    }

    /// Whether a request's Event means this one: package and id are equal (RFC 6665 §8.2.1).
    fn is_of(&self, event: &(Package, Option<String>)) -> bool {
        let by_id = match &self.role {
            Role::Subscriber(Subscriber { asked: Some(asked), .. }) => {
                asked.is_meant_by(event.1.as_deref())
            }
            Role::Subscriber(_) | Role::Notifier(_) => self.event_id == event.1,
        };
        self.package == event.0 && by_id
    }
}

/// Package and id of a request's Event; `None` for a package that is not implemented.
fn event_of(request: &Request) -> Option<(Package, Option<String>)> {
    let (token, params) = request.headers.event()?;
    Some((Package::parse(&token)?, params.value("id").map(str::to_owned)))
}

impl Endpoint {
    pub(super) fn end_subscription(&mut self, key: SubscriptionKey, end: SubscriptionEnd) {
        self.arm(Due::Subscription(key), None);
        self.end_probe(Probed::Subscription(key));
        let Some(ended) = self.subscriptions.remove(&key) else { return };
        // What waits for its turn in the call's dialog would speak for nobody.
        if let Place::Shared(call) = ended.place
            && let Some(call) = self.calls.get_mut(&call)
        {
            call.queue.retain(|queued| !queued.is_of(key));
        }
        match ended.role {
            Role::Subscriber(Subscriber { asked: Some(asked), .. }) => self.refer_over(&asked),
            Role::Notifier(Notifier { progress: Some(_), .. }) => {}
            Role::Subscriber(_) | Role::Notifier(_) => {
                self.emit(Event::SubscriptionEnded { subscription: key, end });
            }
        }
    }

    /// A call is over, and with it what shared its dialog: but for news of a REFER, which go on in that dialog (RFC 5057
    /// §5.2). Of several only the oldest: they would count each for itself.
    pub(super) fn end_shared_subscriptions(
        &mut self,
        call: CallKey,
        dialog: Option<Dialog>,
        queue: &mut VecDeque<Queued>,
        now: Instant,
    ) {
        let known = self.subscriptions.iter().filter(|(_, known)| known.is_shared_with(call));
        let keys: Vec<SubscriptionKey> = known.map(|(key, _)| *key).collect();
        let mut dialog = dialog;
        for key in keys {
            match self.subscriptions.get_mut(&key) {
                Some(known) if known.package == Package::Refer && dialog.is_some() => {
                    if let Some(dialog) = dialog.take() {
                        known.place = Place::Own(Box::new(dialog));
                        let waited = queue.len();
                        queue.retain(|queued| !known.is_notifier() || !queued.is_of(key));
                        if queue.len() < waited {
                            self.tell_again(key, now);
                        }
                    }
                }
                Some(_) | None => self.end_subscription(key, SubscriptionEnd::Unsubscribed),
            }
        }
    }

    /// A subscription whose dialog a request is in.
    pub(super) fn subscription_of(&self, request: &Request) -> Option<SubscriptionKey> {
        let id = DialogId::of_request(&request.headers)?;
        let found = self.subscriptions.iter().find(|(_, known)| match &known.place {
            Place::Own(dialog) => dialog.id == id,
            Place::Shared(call) => self.dialogs.get(&id) == Some(call),
            Place::Asked { call_id, local_tag, .. } => {
                *call_id == id.call_id && *local_tag == id.local.0
            }
        });
        found.map(|(key, _)| *key)
    }

    /// Anything but a NOTIFY in a dialog that a subscription has for itself.
    pub(super) fn handle_subscription_request(
        &mut self,
        arrival: super::requests::Arrival,
        key: SubscriptionKey,
        now: Instant,
    ) {
        let number = arrival.request.headers.cseq().map_or(0, |cseq| cseq.number);
        let in_order = match self.subscriptions.get_mut(&key).map(|known| &mut known.place) {
            Some(Place::Own(dialog)) => dialog.take_cseq(number),
            _ => true,
        };
        let status = if !in_order {
            StatusCode::SERVER_INTERNAL_ERROR
        } else if arrival.request.method == crate::Method::Subscribe {
            self.handle_subscribe(arrival, None, now);
            return;
        } else {
            // sip-chat 3.1 k: a text in a SUBSCRIBE dialog is nobody's.
            StatusCode::NO_SUCH_CALL
        };
        self.respond_status(arrival.server, &arrival.request, status, now);
    }

    /// Those that stand, for after a stop: what ran out meanwhile has ended.
    pub(super) fn standing_subscriptions(&mut self, now: Instant) -> Vec<SubscriptionKey> {
        let over = |known: &Subscription| {
            !known.is_notifier() && known.package != Package::Refer && known.expires_at <= now
        };
        let ended: Vec<SubscriptionKey> =
            self.subscriptions.iter().filter(|(_, one)| over(one)).map(|(key, _)| *key).collect();
        for key in ended {
            self.end_subscription(key, SubscriptionEnd::Expired);
        }
        let stands = |known: &Subscription| match &known.place {
            Place::Own(_) => true,
            Place::Shared(_) => !known.is_notifier() && known.package != Package::Refer,
            Place::Asked { .. } => false,
        };
        let standing = self.subscriptions.iter().filter(|(_, one)| stands(one) && !one.ending);
        standing.map(|(key, _)| *key).collect()
    }

    /// The dialog that a subscription is in.
    pub(super) fn dialog_of(&self, key: SubscriptionKey) -> Option<&Dialog> {
        match &self.subscriptions.get(&key)?.place {
            Place::Own(dialog) => Some(dialog),
            Place::Shared(call) => self.calls.get(call)?.dialog.as_ref(),
            Place::Asked { .. } => None,
        }
    }

    /// After a stop, or from another address of ours: a subscription of ours is refreshed at once, and says where we are;
    /// one of the other's is told so with its next NOTIFY (RFC 6665 §4.4.1).
    pub(super) fn subscription_reached(
        &mut self,
        key: SubscriptionKey,
        local: SocketAddr,
        now: Instant,
    ) {
        let Some(known) = self.subscriptions.get_mut(&key) else { return };
        if let Place::Own(dialog) = &mut known.place {
            dialog.move_to(local);
        }
        if let Role::Subscriber(subscriber) = &known.role
            && known.package != Package::Refer
        {
            let interval = subscriber.interval();
            self.resubscribe(key, interval, now);
        }
    }

    pub(super) fn next_subscription_cseq(&mut self, key: SubscriptionKey, sent: u32) -> u32 {
        let dialog = match self.subscriptions.get_mut(&key).map(|known| &mut known.place) {
            Some(Place::Own(dialog)) => Some(&mut **dialog),
            Some(Place::Shared(call)) => {
                let call = *call;
                self.calls.get_mut(&call).and_then(|call| call.dialog.as_mut())
            }
            Some(Place::Asked { .. }) | None => None,
        };
        let Some(dialog) = dialog else { return sent + 1 };
        dialog.local_cseq += 1;
        dialog.local_cseq
    }

    pub(super) fn subscription_timeout(&mut self, key: SubscriptionKey, now: Instant) {
        match self.subscriptions.get(&key).map(|known| &known.role) {
            Some(Role::Notifier(_)) => self.notifier_timeout(key, now),
            Some(Role::Subscriber(_)) => self.subscriber_timeout(key, now),
            None => {}
        }
    }
}
