//! Calls between the host and one other, beside the conference: how one of them becomes part of it, and a part of it
//! becomes a call of two again (RFC 4579 §5.3; docs/sip-chat.md 0.8). The host is in one conversation at a time: while the
//! conference has people such calls are on hold, without them all but the newest.

use sip_core::{AnyUri, CallKey, Flow, Headers, NameAddr, SubscriptionKey};

use super::{Focus, HOST, Leg, entity_of};
use crate::chat::quirks;
use crate::tie::beyond_hop;
use crate::{Effect, Event, MixerAct, Now, ParticipantId, ParticipantState, SipAct};

/// A call of two that was there before the conference.
#[derive(Clone, Debug)]
pub struct Adopted {
    /// The call; it is confirmed.
    pub call: CallKey,
    /// The other.
    pub peer: NameAddr,
    /// What it is called so far.
    pub name: String,
    /// Whether we called.
    pub dialled_out: bool,
    /// What its phone said of itself last.
    pub headers: Headers,
    /// The way to it.
    pub flow: Flow,
    /// Call-ID, our tag and theirs.
    pub dialog: (String, String, String),
    /// The lines written so far: theirs are the numbers up to this one.
    pub lines: u64,
}

impl Focus {
    /// A call of two goes on in this conference, as a call of two at first.
    pub(super) fn adopt(&mut self, adopted: Adopted, now: Now) {
        let Adopted { call, peer, name, dialled_out, headers, flow, dialog, lines } = adopted;
        self.next_line = self.next_line.max(lines);
        let entity = self.free_entity(entity_of(&peer.uri));
        let person = self.add_person(&peer, entity, Some(name), dialled_out, now);
        let uri = match &peer.uri {
            AnyUri::Sip(uri) => Some(uri.clone()),
            AnyUri::Other(_) => None,
        };
        let mut leg = Leg::new(person, flow, uri, quirks::of(headers.user_agent()), dialled_out);
        leg.learn(&headers, dialled_out);
        leg.beyond_hop = beyond_hop(&headers);
        leg.dialog = dialog;
        leg.is_aside = true;
        self.legs.insert(call, leg);
        if let Some(person) = self.people.get_mut(&person) {
            person.call = Some(call);
            person.shown.is_aside = true;
        }
        self.connected(call, now);
    }

    /// A call to the host's own address is answered, and stays his alone.
    pub(super) fn take_aside(&mut self, call: CallKey, now: Now) {
        if let Some(mut caller) = self.callers.remove(&call) {
            caller.is_aside = true;
            self.enter(call, caller, None, now);
        }
    }

    /// Whether such a call may be taken: who is in the conference is not put off for it.
    pub fn is_free(&self) -> bool {
        !self.over && !self.legs.values().any(|leg| !leg.is_aside)
    }

    /// These calls become part of the conference; all of them where nobody is named.
    pub(super) fn merge(&mut self, only: Option<ParticipantId>, now: Now) {
        let meant = |leg: &&Leg| leg.is_aside && only.is_none_or(|id| leg.person == id);
        let calls: Vec<CallKey> = self
            .legs
            .iter()
            .filter(|(_, leg)| meant(leg) && leg.connected)
            .map(|(call, _)| *call)
            .collect();
        if calls.is_empty() {
            let text = "There is no call beside the conference to merge.".to_owned();
            return self.tell(Event::Notice { text });
        }
        for call in &calls {
            self.join(*call, now);
        }
        self.settle_asides(now);
        // Whoever learns nothing from a Contact has to be told in words that his words are everybody's now (RFC 7701 §11).
        let host = self.name_of(HOST);
        let names: Vec<String> = self.here().map(|shown| shown.name.clone()).collect();
        for call in calls {
            if self.legs.get(&call).is_some_and(|leg| leg.quirks.knows_authors) {
                continue;
            }
            let text = format!(
                "Messages you send in this call now go to everyone in the conference of {host}. \
                 Here are: {}",
                names.join(", ")
            );
            self.notice_to(call, &text, now);
        }
    }

    fn join(&mut self, call: CallKey, now: Now) {
        let contact_user = Some(self.conference_user());
        let Some(leg) = self.legs.get_mut(&call) else { return };
        leg.is_aside = false;
        leg.is_put_off = false;
        let id = leg.person;
        self.sip(SipAct::Reinvite { call, contact_user, is_focus: true, on_hold: false });
        self.mix(call);
        self.change(id, now, |shown| shown.is_aside = false);
        self.roster_changed(now);
    }

    /// Who is in the conference becomes the other end of a call of two.
    pub(super) fn split(&mut self, id: ParticipantId, now: Now) {
        let call = self.people.get(&id).and_then(|person| person.call);
        let leg = call.and_then(|call| self.legs.get_mut(&call));
        let (Some(call), Some(leg)) = (call, leg.filter(|leg| leg.connected && !leg.is_aside))
        else {
            let text = "Nobody in the conference is meant by that.".to_owned();
            return self.tell(Event::Notice { text });
        };
        leg.is_aside = true;
        let told = !leg.quirks.knows_authors;
        // What was for everybody and is still on its way to him he gets: he was here when it was written.
        self.sip(SipAct::Reinvite { call, contact_user: None, is_focus: false, on_hold: false });
        let his = self.subscribers.iter().filter(|(_, known)| known.person == id);
        for key in his.map(|(key, _)| *key).collect::<Vec<SubscriptionKey>>() {
            self.end_subscription(key, "noresource");
        }
        self.change(id, now, |shown| shown.is_aside = true);
        self.roster_changed(now);
        if told {
            let text =
                format!("Messages you send in this call now go to {} alone.", self.name_of(HOST));
            self.notice_to(call, &text, now);
        }
        self.settle_asides(now);
    }

    /// One conversation at a time: which of the calls beside the conference are on hold.
    pub(super) fn settle_asides(&mut self, now: Now) {
        if self.over {
            return;
        }
        let busy = self.legs.values().any(|leg| leg.connected && !leg.is_aside);
        let asides = self.legs.iter().filter(|(_, leg)| leg.connected && leg.is_aside);
        let newest = asides.clone().map(|(_, leg)| leg.person).max().filter(|_| !busy);
        let changed: Vec<(CallKey, bool)> = asides
            .map(|(call, leg)| (*call, Some(leg.person) != newest, leg.is_put_off))
            .filter(|(_, wanted, is)| wanted != is)
            .map(|(call, wanted, _)| (call, wanted))
            .collect();
        for (call, on_hold) in changed {
            let Some(leg) = self.legs.get_mut(&call) else { continue };
            leg.is_put_off = on_hold;
            let id = leg.person;
            self.sip(SipAct::Reinvite { call, contact_user: None, is_focus: false, on_hold });
            if on_hold {
                self.effects.push_back(Effect::Mixer(MixerAct::Disconnect { call }));
                self.change(id, now, |shown| shown.state = ParticipantState::OnHold);
            } else {
                self.mix(call);
            }
        }
    }

    /// Whether somebody is in a call with the host alone.
    pub(super) fn is_aside(&self, id: ParticipantId) -> bool {
        self.people.get(&id).is_some_and(|person| person.shown.is_aside)
    }

    /// Who is in the conference itself.
    pub(super) fn here(&self) -> impl Iterator<Item = &crate::Participant> {
        let here = self.people.values().filter(|person| person.gone_at.is_none());
        here.map(|person| &person.shown).filter(|shown| !shown.is_aside)
    }
}
