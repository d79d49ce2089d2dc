//! What there is to tell of the conference: its people with their devices, as RFC 4575 words it.

use std::collections::BTreeMap;

use super::{Focus, HOST, Leg, Person};
use crate::info::state::{Detail, Endpoint, Media, State, User};
use crate::{ChatAbility, ParticipantState};

impl Focus {
    /// The state of the whole conference.
    pub(super) fn picture(&self) -> State {
        let mut users: Vec<User> = Vec::new();
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        for person in self.people.values().filter(|person| !person.shown.is_aside) {
            let shown = &person.shown;
            let leg = person.call.and_then(|call| self.legs.get(&call));
            let endpoint = self.endpoint(person, leg);
            let place = *places.entry(&shown.entity).or_insert(users.len());
            // Somebody with two devices is one person.
            if let Some(known) = users.get_mut(place) {
                known.endpoints.push(endpoint);
                continue;
            }
            let focus = leg.filter(|leg| leg.is_focus).and_then(|leg| leg.contact.as_ref());
            let cascaded_focus = focus.map(|uri| uri.bare().to_string());
            users.push(User {
                entity: shown.entity.clone(),
                name: shown.name.clone(),
                is_host: shown.is_host,
                cascaded_focus,
                endpoints: vec![endpoint],
            });
        }
        State {
            detail: Detail::Whole,
            entity: self.settings.conference.to_string(),
            subject: self.settings.subject.clone(),
            host_name: self.name_of(HOST),
            host_uri: self.entity_of_person(HOST),
            capacity: self.settings.capacity.saturating_add(1),
            is_locked: self.door.locked,
            users,
        }
    }

    fn endpoint(&self, person: &Person, leg: Option<&Leg>) -> Endpoint {
        let shown = &person.shown;
        let joining = match (shown.is_host, person.dialled) {
            (true, _) => "focus-owner",
            (false, true) => "dialed-out",
            (false, false) => "dialed-in",
        };
        let status = match shown.state {
            ParticipantState::DialingOut => "dialing-out",
            ParticipantState::Alerting if person.dialled => "alerting",
            ParticipantState::Alerting => "dialing-in",
            ParticipantState::Connected if shown.muted_by_host => "muted-via-focus",
            ParticipantState::Connected => "connected",
            ParticipantState::OnHold => "on-hold",
            ParticipantState::Disconnected => "disconnected",
        };
        // Whoever does not say who he is does not say who brought him either (RFC 4575 §8.2).
        let is_named = !is_anonymous(&shown.entity);
        let referred_by = person.referred_by.clone().filter(|_| is_named);
        let brought_by = || referred_by.clone().unwrap_or_else(|| self.entity_of_person(HOST));
        let is_muted = shown.muted || shown.muted_by_host;
        let is_gone = person.gone_at.is_some();
        let source = leg.and_then(|leg| leg.source);
        Endpoint {
            entity: format!("ep-{}", shown.id.0),
            status,
            joining,
            joined: person.joined,
            joined_by: (person.dialled && is_named).then(brought_by),
            referred_by,
            gone_how: person.gone_how.filter(|_| is_gone),
            gone: person.left.filter(|_| is_gone),
            media: vec![
                stream("1", "audio", "audio", source, hears(shown.state, is_muted)),
                stream("chat", "message", "chat", None, reads(shown.state, shown.chat)),
            ],
        }
    }
}

fn stream(
    id: &'static str,
    kind: &'static str,
    label: &'static str,
    source: Option<u32>,
    status: &'static str,
) -> Media {
    Media { id, kind, label: Some(label), source, status }
}

/// As the device sees it (RFC 4575 §5.8.5): who is muted only receives.
fn hears(state: ParticipantState, is_muted: bool) -> &'static str {
    match state {
        ParticipantState::Connected if is_muted => "recvonly",
        ParticipantState::Connected => "sendrecv",
        ParticipantState::Alerting
        | ParticipantState::DialingOut
        | ParticipantState::Disconnected
        | ParticipantState::OnHold => "inactive",
    }
}

/// A device that no text reaches may still write.
fn reads(state: ParticipantState, chat: ChatAbility) -> &'static str {
    match state {
        ParticipantState::Connected | ParticipantState::OnHold => match chat {
            ChatAbility::No => "sendonly",
            ChatAbility::LinesMayBeJoined | ChatAbility::Unknown | ChatAbility::Yes => "sendrecv",
        },
        ParticipantState::Alerting
        | ParticipantState::DialingOut
        | ParticipantState::Disconnected => "inactive",
    }
}

fn is_anonymous(entity: &str) -> bool {
    entity.ends_with("@anonymous.invalid")
}
