//! Who may come in by himself: a lock, a limit, and a lobby in which callers wait for the host (docs/sip-chat.md 3.11).
//! Who waits is nobody of the conference yet: he has no leg, so no text, no roster and no sound can reach him.

use std::collections::BTreeMap;
use std::time::Instant;

use sip_core::{CallKey, Failure, NameAddr, Request, Uri};

use super::pin::Entry;
use super::{Caller, Focus};
use crate::{Event, Now, ParticipantId, SipAct, Standing, Waiting, WaitingState, name};

/// The most who wait at a time.
const MAX_WAITING: usize = 32;

/// How the conference is closed to those who come, and who waits before it.
#[derive(Debug, Default)]
pub(super) struct Door {
    pub(super) locked: bool,
    pub(super) lobby: bool,
    pub(super) pin: Option<String>,
    pub(super) waiting: BTreeMap<CallKey, Guest>,
    /// What was told last.
    told: Option<Standing>,
    /// What OPTIONS was last told to say.
    presented: Option<Failure>,
}

/// Somebody before the door.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) shown: Waiting,
    pub(super) caller: Caller,
    pub(super) stage: Stage,
    /// Our tag, once the ACK of a call that is taken has said it.
    pub(super) tag: Option<String>,
    /// When he is sent away, where that is not the Endpoint's matter.
    pub(super) until: Option<Instant>,
}

/// How far he is.
#[derive(Debug)]
pub(super) enum Stage {
    /// He is asked for the PIN; his call is taken.
    Pin(Entry),
    /// He waits for the host, and his phone rings.
    Rings,
    /// He waits for the host, and hears a recording.
    Taken,
}

impl Guest {
    /// Whether he is still asked for the PIN.
    pub(super) fn is_asked(&self) -> bool {
        match self.stage {
            Stage::Pin(_) => true,
            Stage::Rings | Stage::Taken => false,
        }
    }
}

impl Focus {
    /// A call to the conference: let in, refused, or left to wait for the host.
    pub(super) fn arrives(&mut self, call: CallKey, caller: Caller, now: Now) {
        if let Some(failure) = self.refusal() {
            self.sip(SipAct::Reject { call, failure });
            return;
        }
        if !self.door.lobby && self.door.pin.is_none() {
            self.enter(call, caller, None, now);
            return;
        }
        if self.door.waiting.len() >= MAX_WAITING {
            self.sip(SipAct::Reject { call, failure: Failure::BUSY_HERE });
            return;
        }
        let Ok(from) = caller.request.headers.from_header() else {
            self.sip(SipAct::Reject { call, failure: Failure::BAD_REQUEST });
            return;
        };
        self.next_person += 1;
        let id = ParticipantId(self.next_person);
        let (entity, name) = match is_anonymous(&caller.request, &from) {
            true => anonymous(id),
            false => (super::entity_of(&from.uri), name::of_address(&from)),
        };
        let shown = Waiting { id, entity, name, state: WaitingState::Waiting };
        if self.door.pin.is_some() {
            self.ask_for_pin(call, caller, shown, now);
            return;
        }
        self.tell(Event::Lobby(shown.clone()));
        let stage = Stage::Rings;
        self.door.waiting.insert(call, Guest { shown, caller, stage, tag: None, until: None });
        let contact_user = self.conference_user();
        self.sip(SipAct::Ring { call, contact_user, is_focus: true });
        self.tell_standing();
    }

    /// What a call to the conference gets at this time, before anybody is asked; `None`: it may come in or wait.
    pub(super) fn refusal(&self) -> Option<Failure> {
        if self.over {
            Some(Failure::NOT_FOUND)
        } else if self.door.locked {
            Some(Failure::FORBIDDEN)
        } else {
            self.is_full().then_some(Failure::BUSY_HERE)
        }
    }

    pub(super) fn is_full(&self) -> bool {
        let here = self.people.values().filter(|person| person.gone_at.is_none()).count();
        here > self.settings.capacity
    }

    pub(super) fn lock(&mut self, on: bool, now: Now) {
        self.door.locked = on;
        self.tell_standing();
        self.roster_changed(now);
    }

    /// The lobby is opened, or closed: who waits there then comes in.
    pub(super) fn set_lobby(&mut self, on: bool, now: Now) {
        self.door.lobby = on;
        if !on {
            let waiting = self.door.waiting.values().filter(|guest| !guest.is_asked());
            let all: Vec<ParticipantId> = waiting.map(|guest| guest.shown.id).collect();
            all.into_iter().for_each(|id| self.let_in(id, now));
        }
        self.tell_standing();
    }

    /// The host lets somebody in, whatever is locked.
    pub(super) fn let_in(&mut self, id: ParticipantId, now: Now) {
        let Some(call) = self.waits_as(id) else { return };
        if self.is_full() {
            let text = "The conference is full".to_owned();
            self.tell(Event::Notice { text });
            return;
        }
        let Some(guest) = self.leaves_lobby(call, WaitingState::Admitted) else { return };
        match guest.stage {
            Stage::Rings => self.enter(call, guest.caller, Some(id), now),
            Stage::Pin(_) | Stage::Taken => self.enter_taken(call, guest, now),
        }
    }

    /// The host sends somebody away.
    pub(super) fn refuse(&mut self, id: ParticipantId) {
        let Some(call) = self.waits_as(id) else { return };
        let words = "The host did not let you in";
        self.turn_away(call, WaitingState::Refused, Failure::DECLINE, words);
    }

    fn turn_away(&mut self, call: CallKey, state: WaitingState, failure: Failure, words: &str) {
        let Some(guest) = self.leaves_lobby(call, state) else { return };
        match guest.stage {
            Stage::Rings => self.sip(SipAct::Reject { call, failure }),
            Stage::Pin(_) | Stage::Taken => {
                self.sip(SipAct::HangUp { call, reason: Some(words.to_owned()) });
            }
        }
    }

    fn waits_as(&mut self, id: ParticipantId) -> Option<CallKey> {
        let found = self.door.waiting.iter().find(|(_, guest)| guest.shown.id == id);
        let call = found.map(|(call, _)| *call).filter(|_| !self.is_asked(id));
        if call.is_none() {
            let text = "Nobody of that number waits in the lobby".to_owned();
            self.tell(Event::Notice { text });
        }
        call
    }

    /// Whoever waited with this call waits no more.
    pub(super) fn leaves_lobby(&mut self, call: CallKey, state: WaitingState) -> Option<Guest> {
        let mut guest = self.door.waiting.remove(&call)?;
        guest.shown.state = state;
        // Of those who are asked for the PIN the host was not told.
        if !guest.is_asked() {
            self.tell(Event::Lobby(guest.shown.clone()));
        }
        self.tell_standing();
        Some(guest)
    }

    /// The conference is over for those who wait too.
    pub(super) fn empty_lobby(&mut self) {
        for call in self.door.waiting.keys().copied().collect::<Vec<_>>() {
            let failure = Failure::TEMPORARILY_UNAVAILABLE;
            self.turn_away(call, WaitingState::Refused, failure, "The conference has ended");
        }
    }

    /// Says how the conference stands where that changed, and has OPTIONS answered as a call would be.
    pub(super) fn tell_standing(&mut self) {
        let refusal = self.refusal();
        if refusal != self.door.presented {
            self.door.presented = refusal;
            let user = self.conference_user();
            self.sip(SipAct::Present { user, refusal });
        }
        let in_it = |person: &&super::Person| person.is_here() && !person.shown.is_aside;
        let connected = self.people.values().filter(in_it).count();
        let standing = Standing {
            subject: self.settings.subject.clone(),
            locked: self.door.locked,
            lobby: self.door.lobby,
            pin: self.door.pin.is_some(),
            connected,
            waiting: self.door.waiting.values().filter(|guest| !guest.is_asked()).count(),
        };
        if self.door.told.as_ref() != Some(&standing) {
            self.door.told = Some(standing.clone());
            self.tell(Event::Conference(standing));
        }
    }
}

/// Whether a caller wants nobody to know who he is (RFC 3323, RFC 4579 §6).
pub(super) fn is_anonymous(request: &Request, from: &NameAddr) -> bool {
    let hides = |value: &str| {
        let mut wishes = value.split(';').map(str::trim);
        wishes.any(|one| ["id", "user", "header"].iter().any(|it| one.eq_ignore_ascii_case(it)))
    };
    let is_nobody = |uri: &Uri| {
        let host = uri.host.to_string();
        host.eq_ignore_ascii_case("anonymous.invalid")
    };
    request.headers.list("Privacy").iter().any(|value| hides(value))
        || from.uri.as_sip().is_some_and(is_nobody)
}

/// Address and name of such a one (RFC 4575 §8.2).
pub(super) fn anonymous(id: ParticipantId) -> (String, String) {
    let number = id.0;
    (format!("sip:anonymous{number}@anonymous.invalid"), format!("Anonymous {number}"))
}
