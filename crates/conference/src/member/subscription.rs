//! Who is in a conference of somebody else: its roster is subscribed to, and anew where that ends and may begin again
//! (RFC 4579 §3.4, RFC 6665 §4.1).

use std::time::{Duration, Instant};

use sip_core::{Again, Request, SubscriptionEnd, SubscriptionKey};

use super::Member;
use crate::info::read::Taken;
use crate::{Event, Now, SipAct};

const EXPIRES: Duration = Duration::from_secs(3600);
/// A focus that ends every subscription at once must not keep us busy.
const PAUSE: Duration = Duration::from_secs(32);

/// A focus whose documents never fit together is asked for everything no more often than this.
const REFRESH_PAUSE: Duration = Duration::from_secs(5);

/// What is known of the attempts to subscribe.
#[derive(Debug, Default)]
pub(super) struct Renewal {
    /// Whether the last SUBSCRIBE went inside the call's dialog.
    in_dialog: bool,
    /// A document came by it.
    told: bool,
    /// When we last subscribed anew.
    last: Option<Instant>,
    /// When to do it next.
    at: Option<Instant>,
    /// When everything was asked for last because a document was missing.
    refreshed: Option<Instant>,
    /// When to ask for everything.
    refresh_at: Option<Instant>,
}

impl Renewal {
    pub(super) fn at(&self) -> Option<Instant> {
        self.at.into_iter().chain(self.refresh_at).min()
    }
}

impl Member {
    pub(super) fn subscribe(&mut self, in_dialog: bool) {
        let Some(target) = self.focus.clone() else { return };
        self.renewal.in_dialog = in_dialog;
        self.renewal.told = false;
        (self.renewal.at, self.renewal.refresh_at) = (None, None);
        // Its documents count from the beginning.
        self.known.renew();
        let call = self.settings.call;
        self.sip(SipAct::Subscribe { call, target, in_dialog, expires: EXPIRES });
    }

    /// It ended: what the reason asks for is done (RFC 6665 §4.1.2.2, §4.1.3).
    pub(super) fn subscription_over(&mut self, end: &SubscriptionEnd, now: Now) {
        if !self.connected {
            return;
        }
        let Renewal { in_dialog, told, last, .. } = self.renewal;
        if matches!(end, SubscriptionEnd::Failed { .. }) && !told {
            // Some take it in the dialog of the call only.
            if !in_dialog {
                self.subscribe(true);
                return;
            }
            let text = "The conference does not say who is in it".to_owned();
            self.tell(Event::Notice { text });
            return;
        }
        let wait = match end.again() {
            Again::AtOnce => Duration::ZERO,
            Again::After(wait) => wait,
            Again::Never => return,
        };
        let earliest = last.map_or(now.monotonic, |last| last + PAUSE);
        self.renewal.at = Some(earliest.max(now.monotonic + wait));
        self.subscribe_again(now);
    }

    /// Subscribes anew once its time has come.
    pub(super) fn subscribe_again(&mut self, now: Now) {
        if self.renewal.at.is_some_and(|at| at <= now.monotonic) {
            self.renewal.at = None;
            if self.connected {
                self.renewal.last = Some(now.monotonic);
                let in_dialog = self.renewal.in_dialog;
                self.subscribe(in_dialog);
            }
        }
    }

    /// Asks for the whole roster where that is due (RFC 4575 §4.6).
    pub(super) fn refresh(&mut self, now: Now) {
        if self.renewal.refresh_at.is_some_and(|at| at <= now.monotonic) {
            self.renewal.refresh_at = None;
            self.renewal.refreshed = Some(now.monotonic);
            if let Some(subscription) = self.subscription {
                self.sip(SipAct::Resubscribe { subscription, expires: EXPIRES });
            }
        }
    }

    pub(super) fn notified(&mut self, subscription: SubscriptionKey, request: &Request, now: Now) {
        if self.subscription.is_none() {
            self.subscription = Some(subscription);
        }
        if self.subscription != Some(subscription) {
            return;
        }
        self.renewal.told = true;
        if request.body.is_empty() {
            return;
        }
        match self.known.take(&request.body) {
            Ok(Taken::Changed) => {
                self.renewal.refresh_at = None;
                self.show_roster();
            }
            // What was known is shown until then.
            Ok(Taken::Gap) => {
                let last = self.renewal.refreshed;
                let earliest = last.map_or(now.monotonic, |last| last + REFRESH_PAUSE);
                self.renewal.refresh_at = Some(earliest.max(now.monotonic));
                self.refresh(now);
            }
            Ok(Taken::Deleted) => {
                self.sip(SipAct::Resubscribe { subscription, expires: Duration::ZERO })
            }
            Ok(Taken::Stale) => {}
            Err(error) => {
                tracing::debug!(%error, "a conference document was not taken");
            }
        }
    }
}
