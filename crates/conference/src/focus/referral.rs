//! What participants want by REFER: that somebody is called into the conference, which the host decides, or that somebody
//! is removed, which only moderators may (RFC 4579 §5.5, §5.10, §5.11; conference-info §5.3, §5.4).

use sip_core::{
    CallKey, Failure, Identity, NameAddr, ReferMethod, ReferTo, Request, RequestId, Scheme,
    StatusCode, SubscriptionKey, Uri,
};

use super::{Focus, HOST};
use crate::{Event, Now, ParticipantId, SipAct, name};

/// The most wishes that wait for the host: of one participant, and of all.
const MAX_OF_ONE: usize = 4;
const MAX_OF_ALL: usize = 32;

/// A wish of a participant that was taken.
#[derive(Debug)]
pub(super) struct Referral {
    /// Whose.
    by: ParticipantId,
    to: Box<ReferTo>,
    /// Goes into the INVITE as it came (RFC 3892 §2.2).
    referred_by: Option<Box<NameAddr>>,
    /// Who is told what comes of it; unknown until the Endpoint has answered.
    tells: Option<SubscriptionKey>,
}

impl Focus {
    /// A REFER came: of a participant, in his call, tied to it by Target-Dialog, or proven to be his (RFC 4579 §6).
    pub(super) fn referred(
        &mut self,
        refer: RequestId,
        call: Option<CallKey>,
        (to, referred_by): (&ReferTo, Option<&NameAddr>),
        request: &Request,
        identity: &Identity,
    ) {
        let in_dialog = call.filter(|call| self.legs.get(call).is_some_and(|leg| leg.connected));
        let leg = in_dialog.or_else(|| {
            let outside = call.is_none() && self.is_conference(request);
            let proven = || crate::tie::tie_proven(identity, &self.addresses()).flatten();
            outside.then(|| self.target_dialog(request).or_else(proven)).flatten()
        });
        let by = leg.and_then(|leg| self.participant_of(leg));
        let Some(by) = by.filter(|by| !self.over && !self.is_aside(*by)) else {
            return self.refuse_refer(refer, Failure::FORBIDDEN);
        };
        match to.method {
            ReferMethod::Bye => self.asked_to_remove(refer, by, to),
            ReferMethod::Invite => {
                let is_callable =
                    to.address.uri.as_sip().is_some_and(|uri| {
                        uri.scheme == Scheme::Sip && !sip_core::is_emergency(uri)
                    });
                let waiting = self.referrals.values().filter(|one| one.by == by).count();
                if !is_callable || waiting >= MAX_OF_ONE || self.referrals.len() >= MAX_OF_ALL {
                    return self.refuse_refer(refer, Failure::DECLINE);
                }
                let referred_by = referred_by.cloned().map(Box::new);
                let referral = Referral { by, to: Box::new(to.clone()), referred_by, tells: None };
                let said = referral.referred_by.as_ref().map(|by| by.uri.to_string());
                self.referrals.insert(refer, referral);
                let contact_user = self.conference_user();
                self.sip(SipAct::AcceptRefer { refer, contact_user });
                self.tell(Event::Referred {
                    refer,
                    participant: by,
                    name: self.name_of(by),
                    to: to.address.uri.to_string(),
                    referred_by: said.map(|said| name::line(&said)).unwrap_or_default(),
                });
            }
        }
    }

    fn refuse_refer(&mut self, refer: RequestId, failure: Failure) {
        self.sip(SipAct::RejectRefer { refer, failure });
    }

    /// Report on `SipAct::AcceptRefer`.
    pub(super) fn refer_accepted(
        &mut self,
        refer: RequestId,
        tells: Option<SubscriptionKey>,
        now: Now,
    ) {
        if let Some(referral) = self.referrals.get_mut(&refer) {
            referral.tells = tells;
        }
        if let Some(targets) = self.removals.remove(&refer) {
            let status = if targets.is_empty() { StatusCode::NOT_FOUND } else { StatusCode::OK };
            for id in targets {
                self.remove(id, now);
            }
            self.tell_referrer(tells, status);
        }
    }

    /// The host's answer.
    pub(super) fn decide_referral(&mut self, refer: RequestId, accepted: bool, now: Now) {
        let Some(Referral { by, to, referred_by, tells }) = self.referrals.remove(&refer) else {
            return self.tell(Event::Notice { text: "Nobody wants that any more.".to_owned() });
        };
        if !accepted {
            return self.tell_referrer(tells, StatusCode::DECLINE);
        }
        let mut headers = Vec::new();
        if let Some(by) = referred_by {
            headers.push(("Referred-By", by.to_string()));
        }
        if let Some(replaces) = &to.replaces {
            headers.push(("Replaces", replaces.to_string()));
            headers.push(("Require", "replaces".to_owned()));
        }
        let wished = to.address.display.as_deref().map(str::to_owned);
        let called = self.invite_with(to.address.uri.clone(), wished, headers, tells, now);
        let referrer = self.people.get(&by).map(|by| by.shown.entity.clone());
        if let Some(person) = called.and_then(|called| self.people.get_mut(&called)) {
            person.referred_by = referrer;
            self.roster_changed(now);
        }
    }

    fn tell_referrer(&mut self, tells: Option<SubscriptionKey>, status: StatusCode) {
        if let Some(subscription) = tells {
            self.sip(SipAct::ReferProgress { subscription, status });
        }
    }

    /// Whose wish it was has gone: nobody waits for it any more.
    pub(super) fn referrer_gone(&mut self, id: ParticipantId) {
        let his = self.referrals.iter().filter(|(_, one)| one.by == id);
        for refer in his.map(|(refer, _)| *refer).collect::<Vec<_>>() {
            self.referrals.remove(&refer);
            self.tell(Event::ReferredGone { refer });
        }
    }

    /// Several legs of the one who is meant go together. The host himself nobody removes.
    fn asked_to_remove(&mut self, refer: RequestId, by: ParticipantId, to: &ReferTo) {
        let may = self.people.get(&by).is_some_and(|person| person.is_moderator);
        if !may {
            return self.refuse_refer(refer, Failure::FORBIDDEN);
        }
        let wanted = to.address.uri.to_string();
        let address = to.address.uri.as_sip().map(Uri::bare);
        let is_meant = |entity: &str| {
            let known = Uri::parse(entity).ok().map(|uri| uri.bare());
            entity == wanted
                || matches!((&known, &address), (Some(known), Some(address))
                    if known.same_address(address) && known.port == address.port)
        };
        let here = self.people.values().filter(|one| one.gone_at.is_none() && one.shown.id != HOST);
        let meant = here.filter(|person| is_meant(&person.shown.entity));
        let targets: Vec<ParticipantId> = meant.map(|person| person.shown.id).collect();
        let names: Vec<String> = targets.iter().map(|id| self.name_of(*id)).collect();
        self.removals.insert(refer, targets);
        let contact_user = self.conference_user();
        self.sip(SipAct::AcceptRefer { refer, contact_user });
        if !names.is_empty() {
            let text = format!("{} removed {}.", self.name_of(by), names.join(", "));
            self.tell(Event::Notice { text });
        }
    }
}
