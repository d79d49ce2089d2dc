//! Texts in envelopes: what a focus of ours writes around them, and for whom those are that come (sip-chat §3.1, §3.4.7;
//! RFC 7701).

use std::time::{Duration, Instant};

use sip_core::{CallKey, Content, NameAddr, StatusCode, Uri};

use super::delivery::{Kind, Queued, Written};
use super::{Focus, HOST, Leg, entity_of};
use crate::chat::cpim::{Disposition, Head, Wants};
use crate::chat::{date, parts};
use crate::{MessageId, Now, ParticipantId, Recipient};

/// Ids of texts are known so long, and so many of them.
const REMEMBER: Duration = Duration::from_secs(600);
const MAX_TAKEN: usize = 1024;
/// The longest mark of a part: `chat.Part: 9999/9999` with its namespace, where nothing else has that.
const PART_ROOM: usize = 90;

/// A text that was taken.
#[derive(Debug)]
pub(super) struct Taken {
    who: ParticipantId,
    id: String,
    at: Instant,
    status: StatusCode,
}

/// For whom a text is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Target {
    Everyone,
    Host,
    Participant(String),
}

/// Why a text goes nowhere: all are 403.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Misdirected {
    /// Its envelope names somebody else as its author (RFC 7701 §6.3).
    NotTheAuthor,
    /// Nobody here has the address.
    NoSuchParticipant,
    /// It is for more than one (RFC 7701 §6.1).
    Several,
}

impl Focus {
    /// The classes b to f of an envelope.
    pub(super) fn target(&self, head: &Head, person: ParticipantId) -> Result<Target, Misdirected> {
        if head.has_copies || head.to.len() > 1 {
            return Err(Misdirected::Several);
        }
        if !head.from.as_ref().is_none_or(|from| self.is_address_of(from, person)) {
            return Err(Misdirected::NotTheAuthor);
        }
        let Some(to) = head.to.first() else { return Ok(Target::Everyone) };
        let uri = to.uri.as_sip();
        let user = uri.and_then(Uri::user_unescaped);
        if user.is_some() && user == self.settings.conference.user_unescaped() {
            return Ok(Target::Everyone);
        }
        let here = self.people.values();
        let here = here.filter(|other| other.gone_at.is_none() && !other.shown.is_aside);
        let exact = to.uri.to_string();
        let mut named = here.clone().filter(|other| other.shown.entity == exact);
        let mut same = here.filter(|other| self.is_address_of(to, other.shown.id));
        let found = match named.next() {
            Some(one) => Some(one),
            // An address that two have names neither.
            None => same.next().filter(|_| same.next().is_none()),
        };
        match found {
            Some(other) if other.shown.id == person => Err(Misdirected::NoSuchParticipant),
            Some(other) if other.shown.id == HOST => Ok(Target::Host),
            Some(other) => Ok(Target::Participant(other.shown.entity.clone())),
            None => Err(Misdirected::NoSuchParticipant),
        }
    }

    /// Whether an address is somebody's: his entity, or another way to write it.
    fn is_address_of(&self, address: &NameAddr, id: ParticipantId) -> bool {
        let Some(person) = self.people.get(&id) else { return false };
        if entity_of(&address.uri) == person.shown.entity {
            return true;
        }
        let Some(uri) = address.uri.as_sip() else { return false };
        let leg = person.call.and_then(|call| self.legs.get(&call));
        let of_leg = leg.and_then(|leg| leg.uri.as_ref());
        let of_host = self.settings.own.uri.as_sip().filter(|_| id == HOST);
        of_leg.into_iter().chain(of_host).any(|known| known.same_address(uri))
    }

    /// What the text was answered with that has this id, where it was taken before.
    pub(super) fn taken_before(&mut self, who: ParticipantId, id: &str) -> Option<StatusCode> {
        let now = self.now.monotonic;
        while self.taken.front().is_some_and(|taken| taken.at + REMEMBER <= now) {
            self.taken.pop_front();
        }
        let is_focus = self.is_focus(who);
        let same = |taken: &&Taken| taken.id == id && (taken.who == who || is_focus);
        self.taken.iter().find(same).map(|taken| taken.status)
    }

    /// Whether somebody is a focus himself.
    pub(super) fn is_focus(&self, who: ParticipantId) -> bool {
        let call = self.people.get(&who).and_then(|person| person.call);
        call.and_then(|call| self.legs.get(&call)).is_some_and(|leg| leg.is_focus)
    }

    /// The answer to the text that is being heard: taken, it is not taken again.
    pub(super) fn note_taken(&mut self, status: StatusCode) {
        let Some((who, id)) = self.hearing.take() else { return };
        if !status.is_success() {
            return;
        }
        if self.taken.len() >= MAX_TAKEN {
            self.taken.pop_front();
        }
        self.taken.push_back(Taken { who, id, at: self.now.monotonic, status });
    }

    /// The envelope of a line for one leg.
    fn head(&self, leg: &Leg, queued: &Queued) -> Head {
        let written = &queued.written;
        let conference = NameAddr::new(None, self.settings.conference.clone());
        let recipient = self.address_of(leg.person);
        let is_private =
            matches!(written.to, Recipient::Participant(_)) && written.author.is_some();
        let by_host = written.author_entity == self.entity_of_person(HOST);
        let from = match &written.author {
            Some(name) => named(&written.author_entity, Some(name)),
            None => Some(conference.clone()),
        };
        let to = match &written.to {
            Recipient::Everyone => Some(conference),
            Recipient::Me | Recipient::Participant(_) => recipient,
        };
        let wants = is_private && (by_host || written.wants.positive);
        Head {
            from,
            to: to.into_iter().collect(),
            written: Some(written.at),
            id: Some(written.id.clone()),
            // A public text is reported on by the answers of the phones alone.
            wants: Wants { positive: wants, negative: wants },
            seq: written.seq.filter(|_| leg.reads.is_ours),
            history: queued.kind == Kind::History,
            via: if leg.is_focus { self.passed(&written.via) } else { Vec::new() },
            hops: if leg.is_focus { written.hops + 1 } else { 0 },
            ..Head::default()
        }
    }

    /// The focuses that a text went through, with this one.
    fn passed(&self, via: &[String]) -> Vec<String> {
        let own = self.settings.conference.to_string();
        via.iter().cloned().chain([own]).collect()
    }

    /// Somebody's entity as an address without a name.
    pub(super) fn address_of(&self, id: ParticipantId) -> Option<NameAddr> {
        named(&self.entity_of_person(id), None)
    }

    /// Splits what is unsent of a text for an envelope.
    pub(super) fn form_enveloped(
        &self,
        leg: &Leg,
        queued: &Queued,
        begin: (usize, usize),
    ) -> Vec<parts::Part> {
        let own = self.settings.conference.to_string().len();
        let room = leg.room(self.display_room(&queued.written), own);
        let around = self.head(leg, queued).text("").body.len();
        let text = &queued.written.text;
        if begin.1 == 0 && text.len() + around <= room {
            return vec![parts::Part { formed: text.clone(), start: 0 }];
        }
        parts::split_bare(text, room.saturating_sub(around + PART_ROOM), begin)
    }

    /// What goes out for the next part of a text.
    pub(super) fn content_of(&self, call: CallKey, queued: &Queued) -> Option<Content> {
        let leg = self.legs.get(&call)?;
        let text = queued.parts.get(queued.next).map_or("", |part| part.formed.as_str());
        if let Kind::Reports(kind) = &queued.kind {
            let head = Head {
                from: Some(NameAddr::new(None, self.settings.conference.clone())),
                to: self.address_of(leg.person).into_iter().collect(),
                written: Some(queued.written.at),
                id: Some(queued.written.id.clone()),
                ..Head::default()
            };
            return Some(head.seal(kind, Disposition::Notification, text));
        }
        if !queued.enveloped {
            let content = leg.text_type.content(text);
            return Some(content.with_header("Date", date::sip(queued.written.at)));
        }
        let mut head = self.head(leg, queued);
        let count = queued.parts.len();
        head.part = (count > 1).then_some((queued.next + 1, count));
        Some(head.text(text))
    }

    /// A line as it was accepted.
    pub(super) fn written(
        &mut self,
        author: ParticipantId,
        to: Recipient,
        text: String,
        head: Option<&Head>,
        now: Now,
    ) -> (MessageId, Written) {
        let (line, seq) = self.number(&to);
        let stale = self.stale.filter(|_| author != HOST);
        let id = head.and_then(|head| head.id.clone()).unwrap_or_else(|| self.ids.make());
        let written = Written {
            text,
            author: Some(self.name_of(author)),
            author_entity: self.entity_of_person(author),
            to,
            id,
            seq,
            // Too late for its author: whoever reads it sees when it was written (sip-chat 3.4.8).
            at: stale.unwrap_or(now.utc),
            is_late: stale.is_some(),
            wants: head.map(|head| head.wants).unwrap_or_default(),
            via: head.map(|head| head.via.clone()).unwrap_or_default(),
            hops: head.map_or(0, |head| head.hops),
        };
        (line, written)
    }
}

fn named(entity: &str, name: Option<&str>) -> Option<NameAddr> {
    let mut address = NameAddr::parse(&format!("<{entity}>")).ok()?;
    address.display = name.map(Into::into);
    Some(address)
}
