//! A PIN for those whose phone cannot give a password: the call is taken, a recording asks, keys are pressed. Who has not
//! given it is nobody of the conference: he hears recordings only.

use std::time::{Duration, Instant};

use sip_core::{CallKey, Request};

use super::calls::tag_of;
use super::door::{Guest, Stage};
use super::{Caller, Focus};
use crate::{Effect, Event, MixerAct, Now, ParticipantId, Prompt, SipAct, Waiting, WaitingState};

/// How long each try may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long one who gave the PIN waits for the host.
const WAIT: Duration = Duration::from_secs(600);
const TRIES: u8 = 3;
/// What is typed beyond this is no PIN of ours.
const MAX_TYPED: usize = 16;

/// What somebody typed.
#[derive(Debug, Default)]
pub(super) struct Entry {
    typed: String,
    wrong: u8,
}

impl Focus {
    /// From now on who calls has to give it; `None`: nobody has to, and who was asked comes in.
    pub(super) fn set_pin(&mut self, pin: Option<String>, now: Now) {
        self.door.pin = pin;
        if self.door.pin.is_none() {
            let asked = self.door.waiting.iter();
            let asked = asked.filter(|(_, guest)| guest.is_asked() && guest.tag.is_some());
            let asked: Vec<CallKey> = asked.map(|(call, _)| *call).collect();
            asked.into_iter().for_each(|call| self.gave_pin(call, now));
        }
        self.tell_standing();
    }

    /// Takes the call; what is heard then is a recording.
    pub(super) fn ask_for_pin(&mut self, call: CallKey, caller: Caller, shown: Waiting, now: Now) {
        let until = Some(now.monotonic + PATIENCE);
        let stage = Stage::Pin(Entry::default());
        self.door.waiting.insert(call, Guest { shown, caller, stage, tag: None, until });
        let contact_user = self.conference_user();
        // It is not the conference yet: that is said when he is in it.
        self.sip(SipAct::Accept { call, contact_user, is_focus: false });
    }

    /// The ACK of a call that was taken before its caller is let in; false where it is of another one.
    pub(super) fn guest_acked(&mut self, call: CallKey, ack: &Request, now: Now) -> bool {
        let Some(guest) = self.door.waiting.get_mut(&call) else { return false };
        guest.tag = Some(tag_of(ack.headers.to_header()));
        match self.door.pin {
            Some(_) => self.prompt(call, Prompt::Pin),
            // It was taken away meanwhile.
            None => self.gave_pin(call, now),
        }
        true
    }

    /// A key was pressed by who waits; the star begins anew, the square ends.
    pub(super) fn key(&mut self, call: CallKey, digit: char, now: Now) {
        let Some(guest) = self.door.waiting.get_mut(&call).filter(|guest| guest.tag.is_some())
        else {
            return;
        };
        let Stage::Pin(entry) = &mut guest.stage else { return };
        match digit {
            '*' => return entry.typed.clear(),
            '#' => {}
            digit if entry.typed.len() < MAX_TYPED => entry.typed.push(digit),
            _ => {}
        }
        let wanted = self.door.pin.clone().unwrap_or_default();
        if digit != '#' && entry.typed.len() < wanted.len() {
            return;
        }
        if digit == '#' && entry.typed.is_empty() {
            return;
        }
        if entry.typed == wanted {
            self.gave_pin(call, now);
            return;
        }
        entry.typed.clear();
        entry.wrong += 1;
        if entry.wrong < TRIES {
            guest.until = Some(now.monotonic + PATIENCE);
            self.prompt(call, Prompt::Wrong);
            return;
        }
        let name = guest.shown.name.clone();
        self.tell(Event::Notice { text: format!("{name} gave a wrong PIN three times") });
        self.send_away(call, "Wrong PIN");
    }

    /// The PIN was right: in, or to wait for the host.
    fn gave_pin(&mut self, call: CallKey, now: Now) {
        if self.refusal().is_some() {
            self.send_away(call, "The conference is full or locked");
            return;
        }
        if !self.door.lobby {
            if let Some(guest) = self.door.waiting.remove(&call) {
                self.enter_taken(call, guest, now);
            }
            return;
        }
        let Some(guest) = self.door.waiting.get_mut(&call) else { return };
        guest.stage = Stage::Taken;
        guest.until = Some(now.monotonic + WAIT);
        let shown = guest.shown.clone();
        self.tell(Event::Lobby(shown));
        self.prompt(call, Prompt::Lobby);
        self.tell_standing();
    }

    /// Whose call is taken already becomes one of the conference: his phone is told that it is one.
    pub(super) fn enter_taken(&mut self, call: CallKey, guest: Guest, now: Now) {
        let Guest { shown, caller, tag, .. } = guest;
        if !self.make_leg(call, caller, Some(shown.id), now) {
            return;
        }
        let Some(leg) = self.legs.get_mut(&call) else { return };
        leg.dialog.1 = tag.unwrap_or_default();
        let contact_user = Some(self.conference_user());
        self.sip(SipAct::Reinvite { call, contact_user, is_focus: true, on_hold: false });
        self.connected(call, now);
    }

    fn prompt(&mut self, call: CallKey, prompt: Prompt) {
        self.effects.push_back(Effect::Mixer(MixerAct::Prompt { call, prompt }));
    }

    /// A call that was taken ends before its caller was let in.
    fn send_away(&mut self, call: CallKey, reason: &str) {
        self.leaves_lobby(call, WaitingState::Refused);
        self.sip(SipAct::HangUp { call, reason: Some(reason.to_owned()) });
    }

    /// Who waited too long.
    pub(super) fn end_waits(&mut self, now: Now) {
        let late = |guest: &Guest| guest.until.is_some_and(|until| until <= now.monotonic);
        let late = self.door.waiting.iter().filter(|(_, guest)| late(guest));
        let late: Vec<(CallKey, bool)> =
            late.map(|(call, guest)| (*call, guest.is_asked())).collect();
        for (call, is_asked) in late {
            let reason = if is_asked { "No PIN was given" } else { "Nobody let you in" };
            self.leaves_lobby(call, WaitingState::Left);
            self.sip(SipAct::HangUp { call, reason: Some(reason.to_owned()) });
        }
    }

    pub(super) fn next_end_of_wait(&self) -> Option<Instant> {
        self.door.waiting.values().filter_map(|guest| guest.until).min()
    }

    /// Whether the number is of somebody who is asked for the PIN: the host does not know of him.
    pub(super) fn is_asked(&self, id: ParticipantId) -> bool {
        self.door.waiting.values().any(|guest| guest.shown.id == id && guest.is_asked())
    }
}
