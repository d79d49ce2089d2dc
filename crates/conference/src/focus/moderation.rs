//! What the host does about one participant: silence, volume, hold, and who may remove people (conference-info §5.4).

use sip_core::CallKey;

use super::{Focus, HOST};
use crate::{Effect, Event, MixerAct, Now, ParticipantId, SipAct};

/// The volumes that can be set, in dB: from hardly heard to four times the amplitude.
const VOLUMES_DB: std::ops::RangeInclusive<f32> = -40.0..=12.0;

/// What the host does about one participant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Moderation {
    /// His call is put on hold: he hears nobody and nobody hears him; texts reach him. Or it goes on.
    Hold(bool),
    /// He may remove others by REFER (RFC 4579 §5.11), or not any more.
    Moderator(bool),
    /// Nobody hears him, or everybody does again. He hears the others all along.
    Mute(bool),
    /// How loud everybody hears him, in dB: 0 is as it comes, from -40 to 12.
    Volume {
        /// The gain.
        gain_db: f32,
    },
}

impl Focus {
    /// The host does something about a participant.
    pub(super) fn moderate(&mut self, id: ParticipantId, act: Moderation, now: Now) {
        let Some(person) = self.people.get_mut(&id).filter(|one| one.gone_at.is_none()) else {
            return self.tell(Event::Notice { text: "Nobody here is meant by that.".to_owned() });
        };
        if id == HOST {
            let text = "That is for the others: your own microphone is muted as such.".to_owned();
            return self.tell(Event::Notice { text });
        }
        let call = person.call;
        match act {
            Moderation::Hold(on) => self.hold(id, on),
            Moderation::Moderator(on) => person.is_moderator = on,
            Moderation::Mute(on) => {
                if let Some(call) = call {
                    self.effects.push_back(Effect::Mixer(MixerAct::Mute { call, on }));
                }
                self.change(id, now, |shown| shown.muted_by_host = on);
            }
            Moderation::Volume { gain_db } => {
                // What is no number is as it comes.
                let gain_db = if gain_db.is_nan() { 0.0 } else { gain_db };
                let gain_db = gain_db.clamp(*VOLUMES_DB.start(), *VOLUMES_DB.end());
                if let Some(call) = call {
                    self.effects.push_back(Effect::Mixer(MixerAct::Volume { call, gain_db }));
                }
                self.change(id, now, |shown| shown.volume_db = gain_db);
            }
        }
    }

    /// A leg comes into the mix: as its person was before, where he had another one.
    pub(super) fn mix(&mut self, call: CallKey) {
        self.effects.push_back(Effect::Mixer(MixerAct::Connect { call }));
        let person = self.participant_of(call).and_then(|id| self.people.get(&id));
        let Some(shown) = person.map(|person| &person.shown) else { return };
        let (on, gain_db) = (shown.muted_by_host, shown.volume_db);
        if on {
            self.effects.push_back(Effect::Mixer(MixerAct::Mute { call, on }));
        }
        if gain_db != 0.0 {
            self.effects.push_back(Effect::Mixer(MixerAct::Volume { call, gain_db }));
        }
    }

    /// A re-INVITE that takes both directions away, or gives them back (RFC 3264 §8.4).
    fn hold(&mut self, id: ParticipantId, on: bool) {
        let call = self.people.get(&id).and_then(|person| person.call);
        let call = call.filter(|call| self.legs.get(call).is_some_and(|leg| leg.connected));
        match call {
            Some(call) => {
                let contact_user = Some(self.conference_user());
                self.sip(SipAct::Reinvite { call, contact_user, is_focus: true, on_hold: on });
            }
            None => {
                let text = format!("{} is not here yet.", self.name_of(id));
                self.tell(Event::Notice { text });
            }
        }
    }

    /// A re-INVITE of ours was refused, or not answered: all stays as it was.
    pub(super) fn not_reinvited(&mut self, call: CallKey) {
        if let Some(id) = self.participant_of(call) {
            let text = format!(
                "{}'s phone did not agree to that; its call is as before.",
                self.name_of(id)
            );
            self.tell(Event::Notice { text });
        }
    }
}
