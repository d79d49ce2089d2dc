//! The machine slept, the process was stopped, or our addresses have changed.

use std::net::IpAddr;
use std::time::{Instant, SystemTime};

use sip_core::{CallKey, Flow, Input, NameAddr, Outcome, RequestId, Uri};
use sip_net::{BindError, Driver};

use super::Actor;
use crate::calls::Key;
use crate::{Settings, accounts, notice};

impl Actor {
    /// Looks whether time stood still.
    pub(super) fn check_clock(&mut self) {
        let now = Instant::now();
        if let Some(lost) = self.watch.check(now, SystemTime::now()) {
            tracing::info!(seconds = lost.as_secs(), "stopped for a while");
            self.look_after(Input::Resumed { now });
        }
    }

    /// Addresses of ours are new or gone.
    pub(super) fn addresses_changed(&mut self, gone: &[IpAddr]) {
        tracing::info!(?gone, "our addresses have changed");
        self.look_after(Input::AddressesChanged { now: Instant::now(), gone });
        self.find_own_address();
    }

    fn look_after(&mut self, input: Input<'_>) {
        if let Err(error) = self.endpoint.handle_input(input) {
            tracing::debug!(%error, "input not used");
        }
    }

    /// Where we can be called without an account.
    fn find_own_address(&mut self) {
        let address = accounts::reachable(self.driver.address());
        let direct = Uri::from_address(Some(&self.settings.user), address);
        // Without a network there is none but the loopback one, which is nobody's to call.
        if direct == self.direct || address.ip().is_loopback() {
            return;
        }
        self.direct = direct;
        if self.accounts.address.is_none() {
            self.own = NameAddr::new(Some(&self.settings.name), self.direct.clone());
            self.notice(notice::other_address(&self.own.uri));
        }
    }

    /// A call goes on from another address of ours: its sound does so too.
    pub(super) fn move_call(&mut self, call: CallKey, flow: Flow) {
        let Some(known) = self.calls.get_mut(call) else { return };
        let offer = match known.move_to(flow.local.ip()) {
            Ok(Some(offer)) => offer,
            Ok(None) => return,
            Err(error) => return self.notice(notice::no_sound(&error)),
        };
        let contact = self.endpoint.local_contact(call).cloned();
        let key = self.calls.get_mut(call).and_then(|known| known.key.as_ref());
        if let (Some(contact), Some(Key::Confirmed(key))) = (contact, key) {
            let request = self.endpoint.reinvite(key, contact, offer, Instant::now());
            self.moves.insert(request, call);
        }
    }

    /// The answer to such an offer; false where a request was another.
    pub(super) fn call_moved(&mut self, request: RequestId, outcome: &Outcome) -> bool {
        let Some(call) = self.moves.remove(&request) else { return false };
        match outcome {
            Outcome::Answered(response) if response.status.is_success() => {
                self.take_answer(call, &response.body);
            }
            Outcome::Answered(_) | Outcome::TimedOut | Outcome::Unsendable => {}
        }
        true
    }
}

/// Binds the port that is wished, or the next free one where that may be.
pub(super) async fn bind(settings: &Settings) -> Result<(Driver, Option<String>), BindError> {
    match Driver::bind_with(settings.listen, &settings.network).await {
        Err(BindError::PortTaken { port }) if settings.fall_back_to_free_port => {
            let mut listen = settings.listen;
            for next in port.saturating_add(2)..port.saturating_add(40) {
                listen.set_port(next);
                if let Ok(driver) = Driver::bind_with(listen, &settings.network).await {
                    return Ok((driver, Some(notice::other_port(port, next))));
                }
            }
            listen.set_port(0);
            let driver = Driver::bind_with(listen, &settings.network).await?;
            let hint = notice::other_port(port, driver.address().port());
            Ok((driver, Some(hint)))
        }
        bound => bound.map(|driver| (driver, None)),
    }
}
