//! Reports on what became of texts (RFC 5438, sip-chat §3.5): to the authors that asked for them, and from recipients. A
//! phone's 2xx is never turned into "delivered".

use std::time::{Duration, Instant};

use sip_core::CallKey;

use super::Focus;
use super::delivery::{Kind, Queued, Written};
use crate::chat::imdn::{self, Fate, Report};
use crate::chat::parts::Part;
use crate::{DeliveryState, MessageId, Now, ParticipantId, Recipient};

/// The least time between reports on public texts to one author.
const PAUSE: Duration = Duration::from_secs(5);
/// The most reports that wait for one author; older ones go.
const MAX_OWED: usize = 200;
/// Bytes of reports in one request over a datagram: with envelope and headers it stays below 1300.
const MOST: usize = 420;

impl Focus {
    /// Tells the author of a line what became of it at one recipient; false where he reads no reports.
    pub(super) fn report(
        &mut self,
        line: MessageId,
        written: &Written,
        (recipient, state, code): (&str, DeliveryState, Option<u16>),
    ) -> bool {
        let author = self.people.values().find(|one| one.shown.entity == written.author_entity);
        let Some(call) = author.filter(|one| !one.is_anonymous()).and_then(|one| one.call) else {
            return false;
        };
        let Some(leg) = self.legs.get(&call) else { return false };
        if !leg.reads.envelopes || !leg.reads.reports || leg.is_focus {
            return false;
        }
        let is_private = written.to != Recipient::Everyone;
        let fate = match state {
            DeliveryState::Delivered => Fate::Delivered,
            DeliveryState::Failed | DeliveryState::Left => Fate::Failed,
            // That a phone takes no texts at all the roster says; of each public one it is not said again.
            DeliveryState::Unsupported if is_private || code.is_some() => Fate::Failed,
            DeliveryState::Accepted
            | DeliveryState::Sending
            | DeliveryState::Unsupported
            | DeliveryState::Waiting => return true,
        };
        let is_wanted = match fate {
            Fate::Delivered => written.wants.positive && is_private,
            Fate::Failed => written.wants.negative,
        };
        if !is_wanted {
            return fate == Fate::Delivered;
        }
        let report = Report {
            id: written.id.clone(),
            written: Some(written.at),
            recipient: recipient.to_owned(),
            fate,
        };
        tracing::debug!(line = line.0, ?fate, "reported");
        if is_private {
            self.send_reports(call, &[report], self.now);
        } else if let Some(leg) = self.legs.get_mut(&call) {
            if leg.owed.len() >= MAX_OWED {
                leg.owed.remove(0);
            }
            leg.owed.push(report);
            self.send_owed(self.now);
        }
        true
    }

    /// Sends what is owed to those who were not told for a while.
    pub(super) fn send_owed(&mut self, now: Now) {
        let is_due = |last: Option<Instant>| last.is_none_or(|last| last + PAUSE <= now.monotonic);
        let due = self.legs.iter().filter(|(_, leg)| !leg.owed.is_empty() && is_due(leg.owed_last));
        let due: Vec<CallKey> = due.map(|(call, _)| *call).collect();
        for call in due {
            let Some(leg) = self.legs.get_mut(&call) else { continue };
            leg.owed_last = Some(now.monotonic);
            let mut count = 1;
            while count < leg.owed.len() && imdn::bundle(&leg.owed[..=count]).1.len() <= MOST {
                count += 1;
            }
            let reports: Vec<Report> = leg.owed.drain(..count).collect();
            self.send_reports(call, &reports, now);
        }
    }

    /// When reports are to go.
    pub(super) fn next_owed(&self) -> Option<Instant> {
        let waiting = self.legs.values().filter(|leg| !leg.owed.is_empty());
        waiting.filter_map(|leg| leg.owed_last.map(|last| last + PAUSE)).min()
    }

    fn send_reports(&mut self, call: CallKey, reports: &[Report], now: Now) {
        let (kind, body) = imdn::bundle(reports);
        let written = self.words_of_ours("", now);
        let queued = Queued {
            line: None,
            written,
            kind: Kind::Reports(kind),
            parts: vec![Part { formed: body, start: 0 }],
            enveloped: true,
            timed: false,
            next: 0,
            retried: false,
            fell_back: false,
            gap: 0,
        };
        self.put(call, queued, now);
    }

    /// Reports came: of a line that went to their sender, each once.
    pub(super) fn reported(&mut self, from: ParticipantId, reports: Vec<Report>) {
        let entity = self.entity_of_person(from);
        for report in reports {
            let went_there = |written: &Written| match &written.to {
                Recipient::Everyone => written.author_entity != entity,
                Recipient::Participant(to) => *to == entity,
                Recipient::Me => false,
            };
            let mut lines = self.lines.iter().rev();
            let line = lines.find(|(_, written)| written.id == report.id && went_there(written));
            let Some(line) = line.map(|(line, _)| *line) else { continue };
            let is_new = self.delivered.insert((line, entity.clone()));
            if !is_new {
                continue;
            }
            let (state, reason) = match report.fate {
                Fate::Delivered => (DeliveryState::Delivered, String::new()),
                Fate::Failed => {
                    let name = self.name_of(from);
                    (DeliveryState::Failed, crate::words::text_failure(&name, None))
                }
            };
            self.delivery(line, &entity, state, None, reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_reports_are_more_than_one_request_takes_and_one_is_not() {
        let report = Report {
            id: "1SFkKfjPw5Zr3pQm".into(),
            written: Some(time::macros::datetime!(2026-11-22 23:06:00 UTC)),
            recipient: "sip:bob@example.com".into(),
            fate: Fate::Failed,
        };
        assert!(imdn::bundle(std::slice::from_ref(&report)).1.len() <= MOST);
        assert!(imdn::bundle(&[report.clone(), report]).1.len() > MOST);
    }
}
