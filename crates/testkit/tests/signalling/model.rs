//! What an Endpoint may tell its user, and when: a small model of calls, requests and subscriptions. It knows what the user
//! did and what was told before, and nothing of how it came about.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sip_core::{
    CallFailure, CallKey, EndReason, Event, Method, Outcome, RequestId, SubscriptionEnd,
    SubscriptionKey,
};

/// Where a call is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// Our INVITE is out.
    Calling,
    /// We gave it up.
    Cancelling,
    /// Theirs rings here.
    Ringing,
    /// We took it; its ACK has not come.
    Answered,
    /// The same, and we hung up.
    Leaving,
    /// Both know.
    Confirmed,
    /// Nothing may follow.
    Over,
}

struct Call {
    phase: Phase,
    since: Instant,
    /// Our INVITE is worth so long.
    until: Option<Instant>,
}

/// What became of a request of ours so far.
#[derive(Default)]
struct Asked {
    /// `None`: its outcome was told before it was handed over to the end.
    method: Option<Method>,
    /// The outcome, once told: whether it is a success that has news.
    outcome: Option<bool>,
    /// The last news of a REFER were told.
    told: bool,
}

struct Subscription {
    is_ours: bool,
    over: bool,
}

/// What one Endpoint told.
#[derive(Default)]
pub struct Model {
    calls: BTreeMap<CallKey, Call>,
    requests: BTreeMap<RequestId, Asked>,
    /// Requests of the peer that we were told of.
    heard: BTreeMap<RequestId, ()>,
    subscriptions: BTreeMap<SubscriptionKey, Subscription>,
}

impl Model {
    /// A call begins.
    pub fn begin(&mut self, key: CallKey, phase: Phase, now: Instant) {
        let known = self.calls.insert(key, Call { phase, since: now, until: None });
        assert!(known.is_none(), "{key:?} names two calls");
    }

    /// Our INVITE is not worth more than this time.
    pub fn limit(&mut self, key: CallKey, until: Instant) {
        self.calls.get_mut(&key).expect("it has begun").until = Some(until);
    }

    /// The user did something: the call is elsewhere.
    pub fn turn(&mut self, key: CallKey, phase: Phase, now: Instant) {
        let call = self.calls.get_mut(&key).expect("the user acts on what he knows");
        assert!(call.phase != Phase::Over, "{key:?} is over and has a key");
        (call.phase, call.since) = (phase, now);
    }

    /// Where a call is.
    pub fn phase(&self, key: CallKey) -> Phase {
        self.calls.get(&key).map_or(Phase::Over, |call| call.phase)
    }

    /// The user asked something. Its outcome may have been told already.
    pub fn ask(&mut self, id: RequestId, method: Method) {
        let known = self.requests.insert(id, Asked { method: Some(method), ..Asked::default() });
        assert!(known.is_none(), "{id:?} names two requests");
    }

    /// A subscription begins.
    pub fn subscribe(&mut self, key: SubscriptionKey, is_ours: bool) {
        let known = self.subscriptions.insert(key, Subscription { is_ours, over: false });
        assert!(known.is_none(), "{key:?} names two subscriptions");
    }

    /// Checks an event against what was before.
    pub fn event(&mut self, event: &Event, now: Instant) {
        match event {
            Event::Invited { call, replaces, .. } => {
                self.begin(call.key(), Phase::Ringing, now);
                if let Some(old) = replaces {
                    assert!(self.phase(*old) != Phase::Over, "{old:?} is over and replaced");
                }
            }
            Event::Progress { call, .. } | Event::Redirected { call, .. } => {
                self.in_phase(*call, &[Phase::Calling, Phase::Cancelling], event);
            }
            Event::Answered { call, .. } => {
                self.pass(call.key(), &[Phase::Calling], Phase::Confirmed, event, now);
            }
            Event::Acked { call, .. } => {
                self.pass(call.key(), &[Phase::Answered], Phase::Confirmed, event, now);
            }
            Event::Cancelled { call, .. } => {
                self.pass(*call, &[Phase::Ringing], Phase::Over, event, now);
            }
            Event::Rejected { call, failure } => {
                let until = self.calls.get(call).and_then(|call| call.until);
                let from: &[Phase] = match failure {
                    CallFailure::Cancelled => &[Phase::Cancelling],
                    // Its time was over when the user gave it up.
                    CallFailure::TimedOut if until.is_some_and(|until| until <= now) => {
                        &[Phase::Calling, Phase::Cancelling]
                    }
                    CallFailure::Declined(_)
                    | CallFailure::Emergency
                    | CallFailure::TimedOut
                    | CallFailure::Unreachable => &[Phase::Calling],
                };
                self.pass(*call, from, Phase::Over, event, now);
            }
            Event::Ended { call, reason } => {
                let from: &[Phase] = match reason {
                    EndReason::Bye(_) | EndReason::Replaced { .. } => {
                        &[Phase::Answered, Phase::Leaving, Phase::Confirmed]
                    }
                    EndReason::HungUp => &[Phase::Leaving, Phase::Confirmed],
                    EndReason::NoAck => &[Phase::Answered, Phase::Leaving, Phase::Confirmed],
                    EndReason::PeerLost | EndReason::SessionExpired | EndReason::Unreachable => {
                        CONFIRMED
                    }
                };
                self.pass(*call, from, Phase::Over, event, now);
            }
            Event::Message { message, call, .. } => {
                self.heard(message.id(), *call, STANDING, event);
            }
            Event::Reinvited { reinvite: id, call, .. }
            | Event::Updated { update: id, call, .. } => {
                let from =
                    if matches!(event, Event::Updated { .. }) { STANDING } else { CONFIRMED };
                self.heard(id.id(), Some(*call), from, event);
            }
            Event::Referred { refer, call, .. } => self.heard(refer.id(), *call, STANDING, event),
            Event::SubscribeReceived { subscribe, subscription, call, .. } => {
                self.heard(subscribe.id(), *call, STANDING, event);
                if let Some(key) = subscription {
                    self.standing(*key, false, event);
                }
            }
            Event::ReinviteAcked { call, .. } | Event::Reanswered { call, .. } => {
                self.in_phase(*call, CONFIRMED, event);
            }
            Event::Digits { call, .. } => {
                assert!(self.phase(*call) != Phase::Over, "the call is over: {event:?}");
            }
            Event::Completed { request, outcome, .. } => self.completed(*request, outcome),
            Event::ReferProgress { request, is_last, .. } => {
                let asked = self.requests.get_mut(request).expect("of a REFER of ours");
                assert!(
                    asked.method == Some(Method::Refer) && !asked.told,
                    "news after the last: {event:?}"
                );
                assert!(asked.outcome != Some(false), "news of what was refused: {event:?}");
                asked.told = *is_last;
            }
            Event::Notified { subscription, .. } => self.standing(*subscription, true, event),
            Event::NotifyFailed { subscription } => self.standing(*subscription, false, event),
            Event::SubscriptionEnded { subscription, end } => {
                let ours = self.subscriptions.get_mut(subscription).expect("of what was begun");
                assert!(!ours.over, "ended twice: {event:?}");
                let told = matches!(end, SubscriptionEnd::Terminated { .. });
                assert!(ours.is_ours || !told, "we are the notifier: {event:?}");
                ours.over = true;
            }
            Event::AddressChanged { .. } | Event::Located { .. } | Event::Registration { .. } => {}
        }
    }

    /// What has a limit has kept it: 64·T1 for an ACK, three minutes for a call that rings.
    pub fn check_limits(&self, now: Instant) {
        for (key, call) in &self.calls {
            let limit = match call.phase {
                Phase::Answered | Phase::Leaving => Duration::from_secs(33),
                Phase::Ringing => Duration::from_secs(181),
                Phase::Calling | Phase::Cancelling | Phase::Confirmed | Phase::Over => continue,
            };
            assert!(now < call.since + limit, "{key:?} is {:?} beyond its limit", call.phase);
        }
    }

    /// Everything has had its end.
    pub fn check_end(&self) {
        for (key, call) in &self.calls {
            assert_eq!(call.phase, Phase::Over, "{key:?}");
        }
        for (id, asked) in &self.requests {
            let method = &asked.method;
            let outcome =
                asked.outcome.unwrap_or_else(|| panic!("{method:?} {id:?} has no outcome"));
            let knows = *method != Some(Method::Refer) || !outcome || asked.told;
            assert!(knows, "nobody says what became of the REFER {id:?}");
        }
        for (key, known) in &self.subscriptions {
            assert!(known.over, "{key:?} has no end");
        }
    }

    /// How many calls, requests and subscriptions there were.
    pub fn counts(&self) -> [usize; 4] {
        [self.calls.len(), self.requests.len(), self.heard.len(), self.subscriptions.len()]
    }

    fn pass(&mut self, key: CallKey, from: &[Phase], to: Phase, event: &Event, now: Instant) {
        self.in_phase(key, from, event);
        let call = self.calls.get_mut(&key).expect("of a call that was begun");
        (call.phase, call.since) = (to, now);
    }

    fn in_phase(&self, key: CallKey, phases: &[Phase], event: &Event) {
        let phase = self.calls.get(&key).expect("of a call that was begun").phase;
        assert!(phases.contains(&phase), "the call is {phase:?}: {event:?}");
    }

    fn heard(&mut self, id: RequestId, call: Option<CallKey>, from: &[Phase], event: &Event) {
        assert!(self.heard.insert(id, ()).is_none(), "told twice: {event:?}");
        if let Some(call) = call {
            self.in_phase(call, from, event);
        }
    }

    fn completed(&mut self, id: RequestId, outcome: &Outcome) {
        let asked = self.requests.entry(id).or_default();
        assert!(asked.outcome.is_none(), "{id:?} has two outcomes, the second: {outcome:?}");
        let quiet = |headers: &sip_core::Headers| headers.get("Refer-Sub") == Some("false");
        asked.outcome = Some(match outcome {
            Outcome::Answered(answer) => answer.status.is_success() && !quiet(&answer.headers),
            Outcome::TimedOut | Outcome::Unsendable => false,
        });
    }

    fn standing(&self, key: SubscriptionKey, is_ours: bool, event: &Event) {
        let known = self.subscriptions.get(&key).expect("of a subscription that was begun");
        assert!(!known.over && known.is_ours == is_ours, "no such subscription: {event:?}");
    }
}

const CONFIRMED: &[Phase] = &[Phase::Confirmed];
/// Their requests may overtake the ACK.
const STANDING: &[Phase] = &[Phase::Answered, Phase::Leaving, Phase::Confirmed];
