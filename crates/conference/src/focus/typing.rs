//! Who is writing (RFC 3994, sip-chat §3.10): told to those who read such marks, in a small conference, and never behind
//! anything else.

use std::time::{Duration, Instant};

use sip_core::{CallKey, NameAddr, Outcome};

use super::delivery::InFlight;
use super::{Focus, HOST};
use crate::chat::composing::Mark;
use crate::chat::cpim::{Disposition, Head};
use crate::chat::quirks::Way;
use crate::{Event, Now, ParticipantId, SipAct, Token};

/// In a larger conference nobody is told.
const MOST_PEOPLE: usize = 8;
/// A leg is not told again of the same person before.
const AGAIN: Duration = Duration::from_secs(60);

impl Focus {
    /// The host pressed a key.
    pub(super) fn typing(&mut self, now: Now) {
        if let Some(mark) = self.composer.touch(now.monotonic) {
            self.spread(HOST, mark, None, now);
        }
    }

    /// A mark of a participant. A bare one, without an envelope, is a phone's: it goes nowhere (sip-chat §0.9).
    pub(super) fn heard_mark(
        &mut self,
        from: ParticipantId,
        mark: Mark,
        head: Option<&Head>,
        now: Now,
    ) {
        let Some(head) = head.filter(|_| !self.is_focus(from)) else { return };
        if let Some(on) = self.writers.hear(&from, mark, now.monotonic) {
            self.tell_typing(from, on);
        }
        self.spread(from, mark, head.id.clone(), now);
    }

    /// A text of somebody's came: he writes it no more (§3.3), and nobody needs a mark for that.
    pub(super) fn wrote(&mut self, author: ParticipantId, now: Now) {
        if author == HOST {
            self.composer.sent();
        } else if self.writers.hear(&author, Mark::Idle, now.monotonic).is_some() {
            self.tell_typing(author, false);
        }
        self.legs.values_mut().for_each(|leg| {
            leg.marks.remove(&author);
        });
    }

    /// Time has passed.
    pub(super) fn typing_over(&mut self, now: Now) {
        if let Some(mark) = self.composer.expire(now.monotonic) {
            self.spread(HOST, mark, None, now);
        }
        for who in self.writers.expire(now.monotonic) {
            self.tell_typing(who, false);
        }
    }

    /// When somebody may be done.
    pub(super) fn next_typing(&self) -> Option<Instant> {
        self.composer.until().into_iter().chain(self.writers.until()).min()
    }

    /// Whether it refused the mark: then it gets none any more.
    pub(super) fn mark_answered(&mut self, call: CallKey, outcome: &Outcome) {
        let Outcome::Answered(response) = outcome else { return };
        if let Some(leg) = self.legs.get_mut(&call) {
            leg.refused_marks |= !response.status.is_success();
        }
    }

    fn tell_typing(&mut self, who: ParticipantId, on: bool) {
        let (entity, name) = (self.entity_of_person(who), self.name_of(who));
        self.tell(Event::Typing { entity, name, on });
    }

    /// To those who read marks and wait for nothing; a mark is never queued.
    fn spread(&mut self, author: ParticipantId, mark: Mark, id: Option<String>, now: Now) {
        let here = self.here().count();
        if self.is_aside(author) {
            return;
        }
        let Some(from) = self.address_of(author).filter(|_| here <= MOST_PEOPLE) else { return };
        let fits = |leg: &super::Leg| {
            let reads = leg.reads.envelopes && leg.reads.marks && !leg.refused_marks;
            let is_free = leg.in_flight.is_none() && leg.queue.is_empty() && leg.connected;
            let is_news = match (leg.marks.get(&author), mark) {
                (Some(told), Mark::Active(_)) => *told + AGAIN <= now.monotonic,
                (None, Mark::Active(_)) | (Some(_), Mark::Idle) => true,
                (None, Mark::Idle) => false,
            };
            let is_other = leg.person != author && !leg.is_focus && !leg.is_aside;
            reads && is_free && is_news && is_other && leg.way == Way::InDialog
        };
        let calls: Vec<CallKey> =
            self.legs.iter().filter(|(_, leg)| fits(leg)).map(|(call, _)| *call).collect();
        if calls.is_empty() {
            return;
        }
        let id = id.unwrap_or_else(|| self.ids.make());
        let to = NameAddr::new(None, self.settings.conference.clone());
        let head = Head { from: Some(from), to: vec![to], id: Some(id), ..Head::default() };
        let kind = "application/im-iscomposing+xml";
        let content = head.seal(kind, Disposition::Text, &mark.to_xml());
        for call in calls {
            self.next_token += 1;
            let token = Token(self.next_token);
            self.tokens.insert(token, call);
            let Some(leg) = self.legs.get_mut(&call) else { continue };
            match mark {
                Mark::Active(_) => leg.marks.insert(author, now.monotonic),
                Mark::Idle => leg.marks.remove(&author),
            };
            leg.in_flight = Some(InFlight::Mark);
            let from_display = Some(String::new());
            self.sip(SipAct::Message { token, call, from_display, content: content.clone() });
        }
    }
}
