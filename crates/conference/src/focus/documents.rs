//! Who is told who is here: subscriptions to the conference, one full document at a time (RFC 4575, RFC 6665).

use std::time::{Duration, Instant};

use sip_core::{CallKey, Content, Failure, Flow, Identity, Request, RequestId, SubscriptionKey};

use super::{Focus, HOST};
use crate::info::write::{Document, User};
use crate::{Now, ParticipantId, ParticipantState, SipAct};

/// RFC 4575 §3.9: at most one in this time to each subscriber.
const PAUSE: Duration = Duration::from_secs(5);

/// The most subscriptions of one participant: each gets a whole document for each change.
const MAX_OF_ONE: usize = 4;

/// Somebody who is told.
#[derive(Debug)]
pub(super) struct Subscriber {
    pub(super) person: ParticipantId,
    version: u32,
    last: Option<Instant>,
    changed: bool,
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
        let refreshed = known.is_some_and(|key| self.subscribers.contains_key(&key));
        let leg = leg.or_else(|| {
            let outside = self.is_conference(request) && !refreshed;
            let by_dialog = || self.target_dialog(request);
            outside.then(|| by_dialog().or_else(|| self.tied(request, way))).flatten()
        });
        let person = leg.and_then(|call| self.participant_of(call));
        let is_free = person.is_some_and(|person| self.subscriptions_of(person) < MAX_OF_ONE);
        if self.over || waits || !refreshed && !is_free {
            self.sip(SipAct::RejectSubscribe { subscribe, failure: Failure::FORBIDDEN });
            return;
        }
        self.subscribing.insert(subscribe, leg);
        let contact_user = self.conference_user();
        self.sip(SipAct::AcceptSubscribe { subscribe, expires, contact_user });
    }

    fn subscriptions_of(&self, person: ParticipantId) -> usize {
        let subscribed = self.subscribers.values().filter(|known| known.person == person);
        let asked = self.subscribing.values().flatten();
        let asked = asked.filter(|call| self.participant_of(**call) == Some(person));
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
        let leg = subscribe.and_then(|subscribe| self.subscribing.remove(&subscribe)).flatten();
        let person = leg.and_then(|call| self.participant_of(call));
        if let Some(person) = person {
            let new = Subscriber { person, version: 0, last: None, changed: true };
            self.subscribers.entry(key).or_insert(new);
        }
        // Each SUBSCRIBE, a refresh too, is followed by the full state at once (RFC 6665 §4.2.1.2).
        self.send_document(key, now);
        if let Some(call) = leg {
            self.send_history(call, now);
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
        for key in keys {
            self.send_document(key, now);
        }
    }

    pub(super) fn next_document(&self) -> Option<Instant> {
        let waiting = self.subscribers.values().filter(|subscriber| subscriber.changed);
        waiting.filter_map(|subscriber| subscriber.last.map(|last| last + PAUSE)).min()
    }

    fn send_document(&mut self, key: SubscriptionKey, now: Now) {
        let Some(subscriber) = self.subscribers.get_mut(&key) else { return };
        subscriber.version += 1;
        subscriber.last = Some(now.monotonic);
        subscriber.changed = false;
        let version = subscriber.version;
        let content = Some(Content::conference_info(self.document(version)));
        self.sip(SipAct::Notify { subscription: key, content, terminate: None });
    }

    pub(super) fn end_subscription(&mut self, key: SubscriptionKey, reason: &'static str) {
        if self.subscribers.remove(&key).is_some() {
            self.sip(SipAct::Notify { subscription: key, content: None, terminate: Some(reason) });
        }
    }

    /// The whole conference as a document.
    pub(crate) fn document(&self, version: u32) -> Vec<u8> {
        let host = self.name_of(HOST);
        let users = self.people.values().map(|person| {
            let shown = &person.shown;
            let joining = match (shown.is_host, person.dialled) {
                (true, _) => "focus-owner",
                (false, true) => "dialed-out",
                (false, false) => "dialed-in",
            };
            let status = match shown.state {
                ParticipantState::DialingOut => "dialing-out",
                ParticipantState::Alerting => "alerting",
                ParticipantState::Connected => "connected",
                ParticipantState::OnHold => "on-hold",
                ParticipantState::Disconnected => "disconnected",
            };
            User {
                entity: &shown.entity,
                name: &shown.name,
                is_host: shown.is_host,
                endpoint: format!("ep-{}", shown.id.0),
                status,
                joining,
                joined: person.joined,
                gone_how: person.gone_how.filter(|_| person.gone_at.is_some()),
                is_muted: shown.muted || shown.muted_by_host,
                is_held: shown.state == ParticipantState::OnHold,
                takes_text: shown.chat != crate::ChatAbility::No,
            }
        });
        Document {
            entity: &self.settings.conference.to_string(),
            subject: &self.settings.subject,
            host_name: &host,
            host_uri: &self.entity_of_person(HOST),
            capacity: self.settings.capacity,
            is_locked: self.door.locked,
            version,
            users: users.collect(),
        }
        .to_xml()
    }
}
