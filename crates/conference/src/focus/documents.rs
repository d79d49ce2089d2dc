//! Who is told who is here, and when: subscriptions to the conference, each with documents counted for itself, whole at
//! first and then what changed (RFC 4575, RFC 6665). `focus/picture` says what there is to tell.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sip_core::{
    CallKey, Content, Failure, Flow, Identity, Request, RequestId, SubscriptionKey, Transport,
};

use super::Focus;
use crate::info::state::State;
use crate::{Now, ParticipantId, SipAct};

/// RFC 4575 §3.9: at most one in this time to each subscriber.
const PAUSE: Duration = Duration::from_secs(5);

/// The most subscriptions of one participant: each gets a whole document for each change.
const MAX_OF_ONE: usize = 4;

/// The most bytes of a document that a phone on UDP is sent: some take 4000 in all, and their own headers may be long.
const UDP_LIMIT: usize = 3_400;
/// The same for all others: what a message may be, less its headers.
const LIMIT: usize = 60_000;

/// Somebody who is told.
#[derive(Debug)]
pub(super) struct Subscriber {
    pub(super) person: ParticipantId,
    /// Of the last document: each has the next number, so that none is ever taken for an old one.
    version: u32,
    /// When it was sent.
    last: Option<Instant>,
    changed: bool,
    /// What the subscriber knows by it.
    told: Option<Arc<State>>,
    /// The most bytes of a document.
    limit: usize,
    /// The last document did not arrive.
    failed: bool,
    /// Nor did the one before.
    failed_before: bool,
}

/// A SUBSCRIBE that is being accepted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// `None` for a refresh.
    leg: Option<CallKey>,
    limit: usize,
}

impl Focus {
    /// A SUBSCRIBE: participants only (RFC 4575 §3.5).
    pub(super) fn asked_for_documents(
        &mut self,
        subscribe: RequestId,
        (known, call): (Option<SubscriptionKey>, Option<CallKey>),
        expires: Duration,
        request: &Request,
        way: (&Flow, &Identity),
    ) {
        let leg = call.filter(|call| self.legs.contains_key(call));
        let waits = call.is_some_and(|call| self.door.waiting.contains_key(&call));
        let leg = leg.filter(|call| self.legs.get(call).is_some_and(|leg| !leg.is_aside));
        let refreshed = known.is_some_and(|key| self.subscribers.contains_key(&key));
        let leg = leg.or_else(|| {
            let outside = self.is_conference(request) && !refreshed;
            let by_dialog = || self.target_dialog(request);
            outside.then(|| by_dialog().or_else(|| self.tied(request, way))).flatten()
        });
        let person = leg.and_then(|call| self.participant_of(call));
        let is_free = person.is_some_and(|person| self.subscriptions_of(person) < MAX_OF_ONE);
        if self.over || waits || !refreshed && !is_free {
            let failure = if self.over { Failure::NOT_FOUND } else { Failure::FORBIDDEN };
            self.sip(SipAct::RejectSubscribe { subscribe, failure });
            return;
        }
        // Our own kind takes anything by any transport.
        let is_ours = leg.and_then(|call| self.legs.get(&call));
        let is_ours = is_ours.is_some_and(|leg| leg.quirks.knows_authors);
        let is_small = way.0.transport == Transport::Udp && !is_ours;
        let limit = if is_small { UDP_LIMIT } else { LIMIT };
        self.subscribing.insert(subscribe, Asked { leg, limit });
        let contact_user = self.conference_user();
        self.sip(SipAct::AcceptSubscribe { subscribe, expires, contact_user });
    }

    fn subscriptions_of(&self, person: ParticipantId) -> usize {
        let subscribed = self.subscribers.values().filter(|known| known.person == person);
        let asked = self.subscribing.values().filter_map(|asked| asked.leg);
        let asked = asked.filter(|call| self.participant_of(*call) == Some(person));
        subscribed.count() + asked.count()
    }

    /// The leg whose dialog Target-Dialog names, both tags right (RFC 4538 §4). The tags are as we see them.
    pub(super) fn target_dialog(&self, request: &Request) -> Option<CallKey> {
        let value = request.headers.get("Target-Dialog")?;
        let (call_id, params) = value.split_once(';')?;
        let params = sip_core::Params::parse(params).ok()?;
        let (local, remote) = (params.value("local-tag")?, params.value("remote-tag")?);
        let named = (call_id.trim(), local, remote);
        if named.0.is_empty() || local.is_empty() || remote.is_empty() {
            return None;
        }
        let fits = self.legs.iter().find(|(_, leg)| {
            let (known, ours, theirs) = &leg.dialog;
            leg.connected && named == (known.as_str(), ours.as_str(), theirs.as_str())
        });
        fits.map(|(key, _)| *key)
    }

    pub(super) fn subscribed(
        &mut self,
        subscribe: Option<RequestId>,
        key: SubscriptionKey,
        now: Now,
    ) {
        let asked = subscribe.and_then(|subscribe| self.subscribing.remove(&subscribe));
        let person = asked.and_then(|asked| self.participant_of(asked.leg?));
        if let (Some(person), Some(Asked { limit, .. })) = (person, asked) {
            self.subscribers.entry(key).or_insert(Subscriber {
                person,
                version: 0,
                last: None,
                changed: true,
                told: None,
                limit,
                failed: false,
                failed_before: false,
            });
        }
        // Each SUBSCRIBE, a refresh too, is followed by the full state at once (RFC 6665 §4.2.1.2).
        if let Some(subscriber) = self.subscribers.get_mut(&key) {
            subscriber.told = None;
            let state = Arc::new(self.picture());
            self.send_document(key, &state, now);
        }
        if let Some(call) = asked.and_then(|asked| asked.leg) {
            self.send_history(call, now);
        }
    }

    /// A document did not arrive: all is told anew, once at its time and then with the next change.
    pub(super) fn document_failed(&mut self, key: SubscriptionKey, now: Now) {
        if let Some(subscriber) = self.subscribers.get_mut(&key) {
            subscriber.failed = true;
            subscriber.changed |= !subscriber.failed_before;
        }
        self.send_documents(now);
    }

    /// A leg's sound has a source, or another one (RFC 4575 §5.8.4).
    pub(super) fn sounds_as(&mut self, call: CallKey, ssrc: u32, now: Now) {
        let leg = self.legs.get_mut(&call);
        if leg.is_some_and(|leg| leg.source.replace(ssrc) != Some(ssrc)) {
            self.roster_changed(now);
        }
    }

    pub(super) fn roster_changed(&mut self, now: Now) {
        self.tell_standing();
        for subscriber in self.subscribers.values_mut() {
            subscriber.changed = true;
        }
        self.send_documents(now);
    }

    pub(super) fn send_documents(&mut self, now: Now) {
        let due = |subscriber: &&Subscriber| {
            subscriber.changed && subscriber.last.is_none_or(|last| last + PAUSE <= now.monotonic)
        };
        let keys: Vec<SubscriptionKey> = self
            .subscribers
            .iter()
            .filter(|(_, subscriber)| due(subscriber))
            .map(|(key, _)| *key)
            .collect();
        if keys.is_empty() {
            return;
        }
        let state = Arc::new(self.picture());
        for key in keys {
            self.send_document(key, &state, now);
        }
    }

    pub(super) fn next_document(&self) -> Option<Instant> {
        let waiting = self.subscribers.values().filter(|subscriber| subscriber.changed);
        waiting.filter_map(|subscriber| subscriber.last.map(|last| last + PAUSE)).min()
    }

    /// The next document of a subscription, unless nothing has changed for whoever gets it.
    fn send_document(&mut self, key: SubscriptionKey, whole: &Arc<State>, now: Now) {
        let Some(subscriber) = self.subscribers.get_mut(&key) else { return };
        let version = subscriber.version.saturating_add(1);
        let mut state = whole.clone();
        let mut full = state.full(version);
        if full.len() > subscriber.limit {
            state = Arc::new(whole.least());
            full = state.full(version);
        }
        subscriber.changed = false;
        let failed = std::mem::take(&mut subscriber.failed);
        subscriber.failed_before = failed;
        let told = subscriber.told.as_ref();
        let told = told.filter(|told| !failed && told.detail == state.detail);
        let body = match told.map(|told| state.partial(told, version)) {
            Some(None) => return,
            Some(Some(partial)) if is_worth(&partial, &full) => partial,
            Some(Some(_)) | None => full,
        };
        subscriber.version = version;
        subscriber.last = Some(now.monotonic);
        subscriber.told = Some(state);
        let content = Some(Content::conference_info(body));
        self.sip(SipAct::Notify { subscription: key, content, terminate: None });
    }

    pub(super) fn end_subscription(&mut self, key: SubscriptionKey, reason: &'static str) {
        if self.subscribers.remove(&key).is_some() {
            self.sip(SipAct::Notify { subscription: key, content: None, terminate: Some(reason) });
        }
    }
}

/// Whether what changed is so much less than all that it is sent alone.
fn is_worth(partial: &[u8], full: &[u8]) -> bool {
    partial.len() * 10 <= full.len() * 7
}
