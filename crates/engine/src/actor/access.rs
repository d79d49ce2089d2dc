//! Who may come into the hosted conference, how people are told of it, and what another conference wants of us.

use sip_core::auth::{Credentials, Guard};

use super::Actor;
use super::look_up::Purpose;
use crate::calls::Pressed;
use crate::invitation::Invitation;
use crate::session::Session;
use crate::{Event, Password, notice, parse_target};

/// How long a PIN may be.
const PIN_DIGITS: std::ops::RangeInclusive<usize> = 4..=12;

impl Actor {
    /// What only the host of a conference can do.
    pub(super) fn tell_host(&mut self, command: conference::Command) {
        match &mut self.session {
            Some(session @ Session::Hosted(_)) => session.handle_command(command),
            Some(Session::Called { .. }) => self.notice(notice::only_host()),
            None => self.notice(notice::no_session()),
        }
    }

    pub(super) fn guard_conference(&mut self, password: &Password) {
        let Some(Session::Hosted(focus)) = &self.session else {
            return self.notice(notice::no_conference());
        };
        let uri = focus.uri();
        let user = uri.user_unescaped().unwrap_or_default();
        let password = Some(password.reveal().to_owned()).filter(|text| !text.is_empty());
        let is_set = password.is_some();
        // The same for as long as the conference lasts, and no other's (RFC 3261 §22.1).
        let realm = format!("{}@{}", uri.user.as_deref().unwrap_or_default(), uri.host);
        let guard =
            password.map(|shared| Guard { realm, people: Vec::new(), shared: Some(shared) });
        self.is_guarded = is_set;
        self.endpoint.guard(&user, guard);
        self.notice(notice::conference_password(is_set));
    }

    pub(super) fn set_pin(&mut self, pin: &Password) {
        let pin = pin.reveal().trim();
        if !matches!(self.session, Some(Session::Hosted(_))) {
            return self.notice(notice::no_conference());
        }
        let is_one = PIN_DIGITS.contains(&pin.len()) && pin.bytes().all(|c| c.is_ascii_digit());
        if !pin.is_empty() && !is_one {
            return self.notice(notice::no_pin());
        }
        let pin = Some(pin.to_owned()).filter(|pin| !pin.is_empty());
        self.notice(notice::conference_pin(pin.is_some()));
        self.tell_host(conference::Command::Pin { pin });
    }

    /// The text that invites people.
    pub(super) fn invitation(&mut self) {
        let Some(Session::Hosted(focus)) = &self.session else {
            return self.notice(notice::no_conference());
        };
        let has_account =
            self.accounts.address.as_ref().is_some_and(|own| own.same_address(focus.uri()));
        let invitation = Invitation {
            subject: focus.subject(),
            host: &self.settings.name,
            uri: focus.uri(),
            pin: focus.pin(),
            has_password: self.is_guarded,
            has_account,
        };
        let text = invitation.text();
        self.tell(Event::Invitation { text });
    }

    /// Calls who wants a password.
    pub(super) fn join(&mut self, text: &str, password: &Password) {
        let Ok((target, _)) = parse_target(text) else { return self.call(text) };
        self.make_room();
        let credentials = Credentials {
            username: self.settings.user.clone(),
            password: password.reveal().to_owned(),
            realm: None,
        };
        self.endpoint.set_password(Some((target.clone(), credentials)));
        self.looks_up = true;
        self.look_up(&target.clone(), Purpose::Call { target });
    }

    /// Presses keys in the call that we are in.
    pub(super) fn press(&mut self, keys: &str) {
        let Some(Session::Called { call, .. }) = &self.session else {
            return self.notice(notice::no_keys_here());
        };
        match self.calls.press(*call, keys, self.sound.as_mut()) {
            Pressed::Yes => {}
            Pressed::NotYet => self.notice(notice::no_keys_yet()),
            Pressed::Never => self.notice(notice::takes_no_keys()),
        }
    }
}
