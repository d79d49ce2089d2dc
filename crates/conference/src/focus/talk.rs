//! Who gets a text: the classes a to k of sip-chat §3.1, and the answer each MESSAGE gets at once (§3.7).

use sip_core::{CallKey, Flow, Identity, Request, RequestId, StatusCode};

use super::delivery::Written;
use super::envelope::{Misdirected, Target};
use super::{Focus, HOST};
use crate::chat::body::{self, Content};
use crate::chat::cpim::Head;
use crate::chat::whole::Joined;
use crate::chat::{MAX_TEXT, expiry};
use crate::{Event, Line, MessageId, Now, ParticipantId, Recipient, SipAct};

/// Requests outside of dialogs that are remembered so that a repeated one is not relayed twice.
const MAX_SEEN: usize = 1024;

/// A request from outside of dialogs, and what it was answered with.
#[derive(Debug)]
pub(super) struct Seen {
    /// Call-ID, CSeq and tag of From.
    key: (String, u32, String),
    message: RequestId,
    status: StatusCode,
}

impl Focus {
    /// The user writes.
    pub(super) fn say(&mut self, reference: String, text: String, to: Recipient, now: Now) {
        if let Some(reason) = self.why_not(&text, &to) {
            self.tell(Event::Refused { reference, reason });
            return;
        }
        if let Err(wait) = self.own_limit.take(text.len(), now.monotonic) {
            let seconds = wait.as_secs_f64().ceil();
            let reason = format!("That was too much at once. Try again in {seconds:.0} s.");
            self.tell(Event::Refused { reference, reason });
            return;
        }
        let (line, written) = self.written(HOST, to, text, None, now);
        self.tell(Event::Accepted { reference, id: line, seq: written.seq });
        self.publish(line, written, HOST, true, now);
    }

    fn why_not(&self, text: &str, to: &Recipient) -> Option<String> {
        if text.is_empty() {
            return Some("There is nothing to send.".to_owned());
        }
        if text.len() > MAX_TEXT {
            return Some(format!(
                "16 KiB is the most a conference text can be (yours: {} KiB)",
                text.len().div_ceil(1024)
            ));
        }
        match to {
            Recipient::Everyone => None,
            Recipient::Me => Some("A text to yourself is not sent.".to_owned()),
            Recipient::Participant(entity) => {
                let known = self.people.values().find(|person| person.shown.entity == *entity);
                match known {
                    Some(person) if person.gone_at.is_some() => {
                        Some(format!("{} left. Your text was not sent.", person.shown.name))
                    }
                    Some(person) if person.shown.is_self => {
                        Some("A text to yourself is not sent.".to_owned())
                    }
                    Some(_) => None,
                    None => Some(format!("Nobody here has the address {entity}.")),
                }
            }
        }
    }

    /// The next line; public ones get the next number of the one order.
    pub(super) fn number(&mut self, to: &Recipient) -> (MessageId, Option<u64>) {
        self.next_line += 1;
        let seq = (*to == Recipient::Everyone).then(|| {
            self.seq += 1;
            self.seq
        });
        (MessageId(self.next_line), seq)
    }

    /// Shows a line here, where it is for here, and sends it to all others that it is for.
    fn publish(
        &mut self,
        line: MessageId,
        written: Written,
        author: ParticipantId,
        verified: bool,
        now: Now,
    ) {
        let is_own = author == HOST;
        self.wrote(author, now);
        let host = Recipient::Participant(self.entity_of_person(HOST));
        if is_own || written.to == Recipient::Everyone || written.to == host {
            let to = if written.to == host { Recipient::Me } else { written.to.clone() };
            self.tell(Event::Line(Line {
                id: line,
                seq: written.seq,
                from: written.author_entity.clone(),
                name: written.author.clone().unwrap_or_default(),
                is_own,
                to,
                text: written.text.clone(),
                verified,
                expired: written.is_late,
                is_history: false,
                at: now.utc,
            }));
        }
        self.remember(line, written.clone());
        self.relay(line, &written, now);
    }

    /// A MESSAGE came: answered in this turn, then relayed.
    pub(super) fn hear(
        &mut self,
        message: RequestId,
        call: Option<CallKey>,
        request: &Request,
        way: (&Flow, &Identity),
        now: Now,
    ) {
        self.stale = expiry::expired(request, now.utc);
        self.hearing = None;
        let in_dialog = call.filter(|call| self.legs.contains_key(call));
        if let Some(call) = in_dialog {
            self.hear_leg(message, call, request, Proof::Dialog, now);
            return;
        }
        // Who waits to be let in is not heard, whoever else he is.
        if call.is_some_and(|call| self.door.waiting.contains_key(&call)) {
            self.sip(SipAct::Respond {
                message,
                status: StatusCode::FORBIDDEN,
                headers: vec![("Warning", "399 parlour \"Not in the conference yet\"".to_owned())],
            });
            return;
        }
        let to_conference = self.is_conference(request);
        let tied = self.tied(request, way);
        if let Some(status) = self.seen_before(message, request) {
            // The same text under another branch: answered as it was, not relayed again.
            self.answer(message, status, Vec::new());
            return;
        }
        match (to_conference, tied) {
            (true, Some(call)) => {
                let proof = match way.1 {
                    Identity::Asserted(_) | Identity::Authenticated { .. } => Proof::Identity,
                    Identity::Unverified => Proof::Way,
                };
                self.hear_leg(message, call, request, proof, now);
            }
            (true, None) if self.over => self.answer(message, StatusCode::NOT_FOUND, Vec::new()),
            (true, None) => self.answer(message, StatusCode::FORBIDDEN, Vec::new()),
            (false, tied) => self.hear_personal(message, tied, request, now),
        }
    }

    /// What such a request was answered with; one that is new is noted, with the answer it will get.
    fn seen_before(&mut self, message: RequestId, request: &Request) -> Option<StatusCode> {
        let headers = &request.headers;
        let number = headers.cseq().map_or(0, |cseq| cseq.number);
        let tag = headers.from_header().ok().and_then(|from| from.tag().map(str::to_owned));
        let key =
            (headers.call_id().unwrap_or_default().to_owned(), number, tag.unwrap_or_default());
        if let Some(seen) = self.seen.iter().find(|seen| seen.key == key) {
            return Some(seen.status);
        }
        if self.seen.len() >= MAX_SEEN {
            self.seen.pop_front();
        }
        self.seen.push_back(Seen { key, message, status: StatusCode::OK });
        None
    }

    fn answer(
        &mut self,
        message: RequestId,
        status: StatusCode,
        headers: Vec<(&'static str, String)>,
    ) {
        if let Some(seen) = self.seen.back_mut().filter(|seen| seen.message == message) {
            seen.status = status;
        }
        self.note_taken(status);
        self.sip(SipAct::Respond { message, status, headers });
    }

    /// Limits of a sender; answers what is too much.
    fn may_write(&mut self, message: RequestId, person: ParticipantId, bytes: usize) -> bool {
        let now = self.now.monotonic;
        let limit = self.people.get_mut(&person).map(|person| &mut person.limit);
        let own = limit.map_or(Ok(()), |limit| limit.take(bytes, now));
        let taken = own.and_then(|()| self.conference_limit.take(bytes, now));
        if let Err(wait) = taken {
            let after = wait.as_secs_f64().ceil().max(1.0);
            let headers = vec![("Retry-After", format!("{after:.0}"))];
            self.answer(message, StatusCode::BUSY_HERE, headers);
        }
        taken.is_ok()
    }

    /// Classes a to f and h: from a leg, in its dialog or tied to it. In its dialog the parts of a text of our own kind
    /// count, and are heard, as one.
    fn hear_leg(
        &mut self,
        message: RequestId,
        call: CallKey,
        request: &Request,
        proof: Proof,
        now: Now,
    ) {
        let Some(person) = self.participant_of(call) else { return };
        let verified = proof != Proof::Way;
        let (head, content) = body::open(request);
        let target = match head.as_ref().map(|head| self.target(head, person)) {
            None => None,
            Some(Ok(target)) => Some(target),
            // A report goes to whose text it is on, whatever it says.
            Some(Err(_)) if matches!(content, Content::Reports(_)) => None,
            Some(Err(why)) => return self.misdirected(message, why),
        };
        let text = match content {
            Content::Text(text) => text,
            Content::Mark(mark) => {
                self.answer(message, StatusCode::OK, Vec::new());
                return self.heard_mark(person, mark, head.as_ref(), now);
            }
            Content::Nothing => return self.answer(message, StatusCode::OK, Vec::new()),
            Content::Reports(reports) => {
                self.answer(message, StatusCode::OK, Vec::new());
                return self.reported(person, reports);
            }
            Content::Refused { status, headers } => return self.answer(message, status, headers),
        };
        if let Some(id) = head.as_ref().and_then(Head::part_id) {
            if let Some(status) = self.taken_before(person, &id) {
                return self.answer(message, status, Vec::new());
            }
            self.hearing = Some((person, id));
        }
        let leg = self.legs.get_mut(&call).filter(|_| proof == Proof::Dialog);
        let before = leg.as_ref().map(|leg| leg.joiner.clone());
        let joined = match (leg, &head) {
            (Some(leg), Some(Head { part: Some(part), id: Some(id), .. })) => {
                leg.joiner.take_part(id, *part, text)
            }
            (Some(leg), None) if leg.quirks.knows_authors => leg.joiner.take(text),
            (Some(_) | None, _) => Joined::Whole(text),
        };
        let text = match joined {
            Joined::Whole(text) => text,
            Joined::More => return self.answer(message, StatusCode::OK, Vec::new()),
            Joined::Broken => return self.answer(message, StatusCode::FORBIDDEN, Vec::new()),
        };
        if self.goes_round(call, &text) {
            // Never 482: in a call that would end it.
            return self.answer(message, StatusCode::ACCEPTED, Vec::new());
        }
        if !self.may_write(message, person, text.len()) {
            // The last part may come again.
            if let (Some(leg), Some(before)) = (self.legs.get_mut(&call), before) {
                leg.joiner = before;
            }
            return;
        }
        let heard = Heard { message, person, verified, head };
        match target {
            Some(target) => self.hear_enveloped(heard, target, text, now),
            None => self.hear_words(heard, call, text, now),
        }
    }

    /// A text whose envelope says for whom it is.
    fn hear_enveloped(&mut self, heard: Heard, target: Target, text: String, now: Now) {
        match target {
            Target::Everyone if self.is_aside(heard.person) => self.hear_for_host(heard, text, now),
            Target::Everyone => self.hear_public(heard, text, now),
            Target::Host => self.hear_for_host(heard, text, now),
            Target::Participant(entity) => self.hear_for(heard, entity, text, now),
        }
    }

    /// A plain text: its first word may be a command.
    fn hear_words(&mut self, heard: Heard, call: CallKey, text: String, now: Now) {
        let message = heard.message;
        if self.is_aside(heard.person) {
            // Class g: what two write to each other is theirs (sip-chat §3.1).
            return self.hear_for_host(heard, text, now);
        }
        match command(&text) {
            Some(Word::Who) => {
                self.answer(message, StatusCode::OK, Vec::new());
                let names: Vec<&str> = self.here().map(|shown| shown.name.as_str()).collect();
                let text = format!("Here are: {}", names.join(", "));
                self.notice_to(call, &text, now);
            }
            Some(Word::Help) => {
                self.answer(message, StatusCode::OK, Vec::new());
                let text = "What you write goes to everybody. /to NAME TEXT goes to one, /host TEXT to the host, \
                            /who lists who is here, //x sends /x.";
                self.notice_to(call, text, now);
            }
            Some(Word::Host(text)) => {
                let text = text.to_owned();
                self.hear_for_host(heard, text, now);
            }
            Some(Word::To(rest)) => self.hear_to(heard, rest, now),
            Some(Word::Plain(text)) => {
                let text = text.to_owned();
                self.hear_public(heard, text, now);
            }
            None => self.hear_public(heard, text, now),
        }
    }

    fn misdirected(&mut self, message: RequestId, why: Misdirected) {
        let words = match why {
            Misdirected::NotTheAuthor => "Not the author",
            Misdirected::NoSuchParticipant => "No such participant",
            Misdirected::Several => "One recipient at a time",
        };
        // Never 404 in a call: some phones would end it.
        let warning = vec![("Warning", self.warning(words))];
        self.answer(message, StatusCode::FORBIDDEN, warning);
    }

    /// The value of a Warning header (RFC 3261 §20.43).
    fn warning(&self, words: &str) -> String {
        format!("399 {} \"{words}\"", self.settings.conference.host)
    }

    fn hear_public(&mut self, heard: Heard, text: String, now: Now) {
        let Heard { message, person, verified, head } = heard;
        let others = self.here().any(|shown| shown.id != person && shown.id != HOST);
        let status = if others { StatusCode::ACCEPTED } else { StatusCode::OK };
        self.answer(message, status, Vec::new());
        let (line, written) = self.written(person, Recipient::Everyone, text, head.as_ref(), now);
        self.publish(line, written, person, verified, now);
    }

    fn hear_for_host(&mut self, heard: Heard, text: String, now: Now) {
        let Heard { message, person, verified, head } = heard;
        self.answer(message, StatusCode::OK, Vec::new());
        let host = Recipient::Participant(self.entity_of_person(HOST));
        let (line, written) = self.written(person, host, text, head.as_ref(), now);
        self.publish(line, written, person, verified, now);
    }

    /// A text for one who is here.
    fn hear_for(&mut self, heard: Heard, to: String, text: String, now: Now) {
        let Heard { message, person, verified, head } = heard;
        let takes_none = |shown: &&crate::Participant| {
            shown.entity == to && shown.chat == crate::ChatAbility::No
        };
        if self.roster().any(|shown| takes_none(&shown)) {
            let warning = vec![("Warning", self.warning("No text reaches this phone"))];
            self.answer(message, StatusCode::NOT_ACCEPTABLE_HERE, warning);
            return;
        }
        self.answer(message, StatusCode::ACCEPTED, Vec::new());
        let to = Recipient::Participant(to);
        let (line, written) = self.written(person, to, text, head.as_ref(), now);
        self.publish(line, written, person, verified, now);
    }

    /// `/to NAME text`: the longest name that fits decides.
    fn hear_to(&mut self, heard: Heard, rest: &str, now: Now) {
        let person = heard.person;
        let here: Vec<_> = self.here().filter(|other| other.id != person).collect();
        // By the address, or by the name, as people do.
        let by_address = here.iter().filter_map(|shown| {
            let text = rest.strip_prefix(&format!("<{}> ", shown.entity))?;
            Some((usize::MAX, shown.entity.clone(), text.to_owned()))
        });
        let by_name = here.iter().filter_map(|shown| {
            let name = &shown.name;
            let start = rest.get(..name.len())?;
            let text = rest[name.len()..].strip_prefix(' ')?;
            let same = start.eq_ignore_ascii_case(name);
            same.then(|| (name.len(), shown.entity.clone(), text.to_owned()))
        });
        let fits = by_address.chain(by_name);
        match fits.max_by_key(|(length, _, _)| *length) {
            None => self.misdirected(heard.message, Misdirected::NoSuchParticipant),
            Some((_, to, text)) if to == self.entity_of_person(HOST) => {
                self.hear_for_host(heard, text, now);
            }
            Some((_, to, text)) => self.hear_for(heard, to, text, now),
        }
    }

    /// Class j: to the host's own address. It stays here, unless a participant begins with /all.
    fn hear_personal(
        &mut self,
        message: RequestId,
        tied: Option<CallKey>,
        request: &Request,
        now: Now,
    ) {
        let person = tied.and_then(|call| self.participant_of(call));
        let limit_of = person.unwrap_or(HOST);
        let text = match body::read(request) {
            body::Body::Text(text) => text,
            body::Body::Nothing => return self.answer(message, StatusCode::OK, Vec::new()),
            body::Body::Refused { status, headers } => {
                return self.answer(message, status, headers);
            }
        };
        if !self.may_write(message, limit_of, text.len()) {
            return;
        }
        if let (Some(person), Some(public)) = (person, text.strip_prefix("/all ")) {
            let heard = Heard { message, person, verified: false, head: None };
            return self.hear_public(heard, public.to_owned(), now);
        }
        self.answer(message, StatusCode::OK, Vec::new());
        let from = request.headers.from_header().ok();
        let (name, entity) = match (person, from) {
            (Some(person), _) => (self.name_of(person), self.entity_of_person(person)),
            (None, Some(from)) => (crate::name::of_address(&from), super::entity_of(&from.uri)),
            (None, None) => (String::new(), String::new()),
        };
        let (line, _) = self.number(&Recipient::Me);
        self.tell(Event::Line(Line {
            id: line,
            seq: None,
            from: entity,
            name,
            is_own: false,
            to: Recipient::Me,
            text,
            verified: false,
            expired: self.stale.is_some(),
            is_history: false,
            at: now.utc,
        }));
        if let Some(call) = tied
            && let Some(leg) = self.legs.get_mut(&call)
            && !leg.told
        {
            leg.told = true;
            let host = self.name_of(HOST);
            let text = format!("Only {host} got this. Begin with /all to write to everyone.");
            self.notice_to(call, &text, now);
        }
    }
}

/// A text of somebody who is in, not yet answered.
struct Heard {
    message: RequestId,
    person: ParticipantId,
    verified: bool,
    /// Its envelope, where it has one.
    head: Option<Head>,
}

/// What makes a text a leg's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Proof {
    /// It came in its dialog.
    Dialog,
    /// Its sender is proven to be who the leg is.
    Identity,
    /// The way it came by, which is less (sip-chat §0.6).
    Way,
}

/// A command at the beginning of a text from a plain phone.
#[derive(Debug, Eq, PartialEq)]
enum Word<'a> {
    Help,
    Host(&'a str),
    /// `//x`, without its first slash.
    Plain(&'a str),
    To(&'a str),
    Who,
}

fn command(text: &str) -> Option<Word<'_>> {
    match text {
        "/who" => return Some(Word::Who),
        "/help" => return Some(Word::Help),
        _ => {}
    }
    if text.starts_with("//") {
        return Some(Word::Plain(&text[1..]));
    }
    let with = |word: &str| text.strip_prefix(word).filter(|rest| !rest.is_empty());
    with("/host ").map(Word::Host).or_else(|| with("/to ").map(Word::To))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_the_exact_first_word_only() {
        assert_eq!(command("/who"), Some(Word::Who));
        assert_eq!(command("/who is"), None);
        assert_eq!(command("/to Bob hi"), Some(Word::To("Bob hi")));
        assert_eq!(command("/tomorrow"), None);
        assert_eq!(command("//x"), Some(Word::Plain("/x")));
        assert_eq!(command("/usr/bin/env"), None);
        assert_eq!(command("/host  x"), Some(Word::Host(" x")));
    }
}
