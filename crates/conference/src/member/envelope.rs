//! Texts, reports and typing marks that come to a participant in envelopes, and what he sends for them (RFC 3862,
//! RFC 5438, RFC 3994).

use std::time::{Duration, Instant};

use sip_core::{NameAddr, Request, RequestId, StatusCode, Uri};

use super::{Member, OWN, PARTS_WAIT, PEER};
use crate::chat::body::{self, Content};
use crate::chat::composing::Mark;
use crate::chat::cpim::Head;
use crate::chat::imdn::{Fate, Report};
use crate::chat::whole::Joined;
use crate::focus::entity_of;
use crate::{Delivery, DeliveryState, Event, Line, MessageId, Now, Recipient, name, words};

/// Ids of texts are known so long, and so many of them.
const REMEMBER: Duration = Duration::from_secs(600);
const MAX_TAKEN: usize = 1024;

impl Member {
    /// An envelope from whom we talk to.
    pub(super) fn hear_enveloped(
        &mut self,
        message: RequestId,
        request: &Request,
        head: Head,
        content: Content,
        now: Now,
    ) {
        let text = match content {
            Content::Mark(mark) => {
                self.answer(message, StatusCode::OK, Vec::new());
                return self.heard_mark(&head, mark, now);
            }
            Content::Nothing => return self.answer(message, StatusCode::OK, Vec::new()),
            Content::Refused { status, headers } => return self.answer(message, status, headers),
            Content::Reports(reports) => {
                self.answer(message, StatusCode::OK, Vec::new());
                return reports.into_iter().for_each(|report| self.heard_report(report));
            }
            Content::Text(text) => text,
        };
        let Some(to) = self.recipient_of(request, &head) else {
            return self.answer(message, StatusCode::FORBIDDEN, Vec::new());
        };
        if let Some(id) = head.part_id()
            && !self.is_new(id, now.monotonic)
        {
            return self.answer(message, StatusCode::OK, Vec::new());
        }
        let joined = match (&head.id, head.part) {
            (Some(id), Some(part)) => {
                if self.partial.as_ref().is_some_and(|(known, _)| known.id != head.id) {
                    self.show_partial(now);
                }
                self.joiner.take_part(id, part, text)
            }
            (Some(_) | None, _) => Joined::Whole(text),
        };
        match joined {
            Joined::Whole(text) => {
                self.partial = None;
                self.answer(message, StatusCode::OK, Vec::new());
                self.show_enveloped(&head, to, text, now);
                self.report_delivery(&head, now);
            }
            Joined::More => {
                self.answer(message, StatusCode::OK, Vec::new());
                self.partial = Some((head, now.monotonic + PARTS_WAIT));
            }
            Joined::Broken => self.answer(message, StatusCode::FORBIDDEN, Vec::new()),
        }
    }

    /// For whom a text is; `None`: for others, or for several.
    fn recipient_of(&self, request: &Request, head: &Head) -> Option<Recipient> {
        if head.has_copies || head.to.len() > 1 {
            return None;
        }
        let Some(focus) = &self.focus else {
            return body::is_for_us(request, Some(head)).then_some(Recipient::Me);
        };
        let Some(to) = head.to.first() else { return Some(Recipient::Everyone) };
        let user = to.uri.as_sip().and_then(Uri::user_unescaped);
        if user.is_some() && user == focus.user_unescaped() {
            return Some(Recipient::Everyone);
        }
        let own = self.people.get(&OWN).is_some_and(|own| own.entity == to.uri.to_string());
        (own || body::is_for_us(request, Some(head))).then_some(Recipient::Me)
    }

    /// Whether no text with this id came before; from now on one has.
    fn is_new(&mut self, id: String, now: Instant) -> bool {
        while self.taken.front().is_some_and(|(_, at)| *at + REMEMBER <= now) {
            self.taken.pop_front();
        }
        if self.taken.iter().any(|(known, _)| *known == id) {
            return false;
        }
        if self.taken.len() >= MAX_TAKEN {
            self.taken.pop_front();
        }
        self.taken.push_back((id, now));
        true
    }

    fn show_enveloped(&mut self, head: &Head, to: Recipient, text: String, now: Now) {
        let Some(focus) = &self.focus else {
            return self.hear_peer(&text, None, true, now);
        };
        // The conference speaks without a name. With one it is the host, where people dial his account to join.
        let is_focus = |from: &NameAddr| {
            let user = from.uri.as_sip().and_then(Uri::user_unescaped);
            from.display.is_none() && user.is_some() && user == focus.user_unescaped()
        };
        if self.focus_is_ours() && head.from.as_ref().is_some_and(is_focus) {
            self.tell(Event::Notice { text: name::line(&text) });
            return;
        }
        let (entity, shown) = self.author(head);
        if let Some(false) = self.writers.hear(&entity, Mark::Idle, now.monotonic) {
            self.tell_typing(&entity, &shown, false);
        }
        self.next_line += 1;
        self.tell(Event::Line(Line {
            id: MessageId(self.next_line),
            seq: head.seq,
            from: entity,
            name: shown,
            is_own: false,
            to,
            text,
            verified: true,
            expired: self.stale,
            is_history: head.history,
            at: head.written.filter(|at| head.history && *at <= now.utc).unwrap_or(now.utc),
        }));
    }

    /// Entity and name of who wrote: the roster's where it has him.
    fn author(&self, head: &Head) -> (String, String) {
        let Some(from) = &head.from else {
            let focus = self.focus.as_ref().map(|focus| focus.bare().to_string());
            return (focus.unwrap_or_default(), self.name_of(PEER));
        };
        let (exact, bare) = (from.uri.to_string(), entity_of(&from.uri));
        let of = |entity: &str| self.people.values().find(|shown| shown.entity == entity);
        match of(&exact).or_else(|| of(&bare)) {
            Some(shown) => (shown.entity.clone(), shown.name.clone()),
            None => (exact, name::of_address(from)),
        }
    }

    /// Tells the author that his text came, where he asks for that and can be told (RFC 5438 §7.2): never of a report,
    /// and never somebody who is not to be known.
    fn report_delivery(&mut self, head: &Head, now: Now) {
        let Some(id) = head.id.clone().filter(|_| head.wants.positive && !head.history) else {
            return;
        };
        let host = head.from.as_ref().and_then(|from| from.uri.as_sip());
        if host.is_none_or(|from| from.host.to_string() == "anonymous.invalid") {
            return;
        }
        let recipient = self.people.get(&OWN).map(|own| own.entity.clone()).unwrap_or_default();
        let report = Report { id, written: head.written, recipient, fate: Fate::Delivered };
        self.queue_report(report, head.from.clone(), now);
    }

    /// What became of a text of ours at one of those it was for.
    fn heard_report(&mut self, report: Report) {
        let line = self.texts.iter().rev().find(|(_, said)| said.id == report.id);
        let Some(line) = line.map(|(line, _)| *line) else { return };
        let shown = self.people.values().find(|shown| shown.entity == report.recipient);
        let name = shown.map_or_else(|| name::line(&report.recipient), |shown| shown.name.clone());
        let (state, reason) = match report.fate {
            Fate::Delivered => (DeliveryState::Delivered, String::new()),
            Fate::Failed => (DeliveryState::Failed, words::text_not_delivered(&name)),
        };
        let recipient = name::line(&report.recipient);
        self.tell(Event::Delivery(Delivery { id: line, recipient, state, code: None, reason }));
    }

    /// Shows what has come of a text whose other parts did not come in time.
    pub(super) fn partial_over(&mut self, now: Now) {
        if self.partial.as_ref().is_some_and(|(_, until)| *until <= now.monotonic) {
            self.show_partial(now);
        }
    }

    pub(super) fn show_partial(&mut self, now: Now) {
        let Some((head, _)) = self.partial.take() else { return };
        let Some(text) = self.joiner.give_up() else { return };
        let conference = self.focus.as_ref().and_then(Uri::user_unescaped);
        let to = head.to.first().and_then(|to| to.uri.as_sip()).and_then(Uri::user_unescaped);
        let is_public = self.focus.is_some() && (to.is_none() || to == conference);
        let to = if is_public { Recipient::Everyone } else { Recipient::Me };
        self.show_enveloped(&head, to, text, now);
        let text = "The end of the last text did not come.".to_owned();
        self.tell(Event::Notice { text });
    }

    /// The user pressed a key.
    pub(super) fn typing(&mut self, now: Now) {
        if let Some(mark) = self.composer.touch(now.monotonic) {
            self.send_mark(mark);
        }
    }

    /// A mark from within the call, without an envelope: of whom we talk to, where that is one person.
    pub(super) fn heard_bare_mark(&mut self, mark: Mark, in_call: bool, now: Now) {
        if in_call && self.focus.is_none() {
            let entity = self.people.get(&PEER).map(|peer| peer.entity.clone()).unwrap_or_default();
            let name = self.name_of(PEER);
            self.mark(&entity, &name, mark, now);
        }
    }

    fn heard_mark(&mut self, head: &Head, mark: Mark, now: Now) {
        if self.focus.is_none() {
            return self.heard_bare_mark(mark, true, now);
        }
        let (entity, name) = self.author(head);
        self.mark(&entity, &name, mark, now);
    }

    fn mark(&mut self, entity: &str, name: &str, mark: Mark, now: Now) {
        if let Some(on) = self.writers.hear(&entity.to_owned(), mark, now.monotonic) {
            self.tell_typing(entity, name, on);
        }
    }

    /// Time has passed.
    pub(super) fn typing_over(&mut self, now: Now) {
        if let Some(mark) = self.composer.expire(now.monotonic) {
            self.send_mark(mark);
        }
        for entity in self.writers.expire(now.monotonic) {
            let shown = self.people.values().find(|shown| shown.entity == entity);
            let name = shown.map_or_else(|| entity.clone(), |shown| shown.name.clone());
            self.tell_typing(&entity, &name, false);
        }
    }

    pub(super) fn tell_typing(&mut self, entity: &str, name: &str, on: bool) {
        let (entity, name) = (entity.to_owned(), name.to_owned());
        self.tell(Event::Typing { entity, name, on });
    }
}
