//! Who gets a text: the classes a to k of sip-chat §3.1, and the answer each MESSAGE gets at once (§3.7).

use sip_core::{CallKey, Flow, Identity, Request, RequestId, StatusCode};

use super::delivery::Written;
use super::{Focus, HOST};
use crate::chat::whole::Joined;
use crate::chat::{MAX_TEXT, body, expiry, form};
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
        let name = self.name_of(HOST);
        let entity = self.entity_of_person(HOST);
        let (line, seq) = self.number(&to);
        self.tell(Event::Accepted { reference, id: line, seq });
        self.publish(line, seq, HOST, &name, &entity, to, text, true, now);
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
    fn number(&mut self, to: &Recipient) -> (MessageId, Option<u64>) {
        self.next_line += 1;
        let seq = (*to == Recipient::Everyone).then(|| {
            self.seq += 1;
            self.seq
        });
        (MessageId(self.next_line), seq)
    }

    #[expect(clippy::too_many_arguments, reason = "a line has as many properties")]
    fn publish(
        &mut self,
        line: MessageId,
        seq: Option<u64>,
        author: ParticipantId,
        name: &str,
        entity: &str,
        to: Recipient,
        text: String,
        verified: bool,
        now: Now,
    ) {
        let is_own = author == HOST;
        let stale = self.stale.filter(|_| !is_own);
        let host = self.entity_of_person(HOST);
        let for_host =
            is_own || to == Recipient::Everyone || to == Recipient::Participant(host.clone());
        if for_host {
            let shown_to = match &to {
                Recipient::Participant(entity) if !is_own && *entity == host => Recipient::Me,
                other => other.clone(),
            };
            self.tell(Event::Line(Line {
                id: line,
                seq,
                from: entity.to_owned(),
                name: name.to_owned(),
                is_own,
                to: shown_to,
                text: text.clone(),
                verified,
                expired: stale.is_some(),
                at: now.utc,
            }));
        }
        // Too late for its author: whoever reads it sees when it was written (sip-chat 3.4.8).
        let author = Some(stale.map_or_else(|| name.to_owned(), |at| form::late(name, at)));
        let written = Written { text, author, author_entity: entity.to_owned(), to };
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
        let in_dialog = call.filter(|call| self.legs.contains_key(call));
        if let Some(call) = in_dialog {
            self.hear_leg(message, call, request, Proof::Dialog, now);
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
        self.sip(SipAct::Respond { message, status, headers });
    }

    /// Body and limits; answers what is refused or nothing, gives the text otherwise. In a dialog with one of our own kind
    /// the parts of a text count and are given as one.
    fn take_text(
        &mut self,
        message: RequestId,
        person: ParticipantId,
        in_dialog: Option<CallKey>,
        request: &Request,
        now: Now,
    ) -> Option<String> {
        let text = match body::read(request) {
            body::Body::Text(text) => text,
            body::Body::Nothing => {
                self.answer(message, StatusCode::OK, Vec::new());
                return None;
            }
            body::Body::Refused { status, headers } => {
                self.answer(message, status, headers);
                return None;
            }
        };
        let leg = in_dialog.and_then(|call| self.legs.get_mut(&call));
        let joined = match leg.filter(|leg| leg.quirks.knows_authors) {
            Some(leg) => leg.joiner.take(text),
            None => Joined::Whole(text),
        };
        let text = match joined {
            Joined::Whole(text) => text,
            Joined::More => {
                self.answer(message, StatusCode::OK, Vec::new());
                return None;
            }
            Joined::Broken => {
                self.answer(message, StatusCode::FORBIDDEN, Vec::new());
                return None;
            }
        };
        let limit = self.people.get_mut(&person).map(|person| &mut person.limit);
        let own = limit.map_or(Ok(()), |limit| limit.take(text.len(), now.monotonic));
        let taken = own.and_then(|()| self.conference_limit.take(text.len(), now.monotonic));
        if let Err(wait) = taken {
            let after = wait.as_secs_f64().ceil().max(1.0);
            let headers = vec![("Retry-After", format!("{after:.0}"))];
            self.answer(message, StatusCode::BUSY_HERE, headers);
            return None;
        }
        Some(text)
    }

    /// Classes a, c, d and h: from a leg, in its dialog or tied to it.
    fn hear_leg(
        &mut self,
        message: RequestId,
        call: CallKey,
        request: &Request,
        proof: Proof,
        now: Now,
    ) {
        let Some(person) = self.participant_of(call) else { return };
        let in_dialog = Some(call).filter(|_| proof == Proof::Dialog);
        let verified = proof != Proof::Way;
        let Some(text) = self.take_text(message, person, in_dialog, request, now) else { return };
        let (name, entity) = (self.name_of(person), self.entity_of_person(person));
        let host = self.entity_of_person(HOST);
        match command(&text) {
            Some(Word::Who) => {
                self.answer(message, StatusCode::OK, Vec::new());
                let here = self.people.values().filter(|person| person.gone_at.is_none());
                let names: Vec<&str> = here.map(|person| person.shown.name.as_str()).collect();
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
                self.answer(message, StatusCode::OK, Vec::new());
                let to = Recipient::Participant(host);
                let (line, _) = self.number(&to);
                self.publish(
                    line,
                    None,
                    person,
                    &name,
                    &entity,
                    to,
                    text.to_owned(),
                    verified,
                    now,
                );
            }
            Some(Word::To(rest)) => self.hear_private(message, call, rest, verified, now),
            Some(Word::Plain(text)) => {
                self.hear_public(message, person, &name, &entity, text.to_owned(), verified, now);
            }
            None => self.hear_public(message, person, &name, &entity, text, verified, now),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a line has as many properties")]
    fn hear_public(
        &mut self,
        message: RequestId,
        person: ParticipantId,
        name: &str,
        entity: &str,
        text: String,
        verified: bool,
        now: Now,
    ) {
        let others = self.people.values().any(|other| {
            let id = other.shown.id;
            id != person && id != HOST && other.gone_at.is_none()
        });
        let status = if others { StatusCode::ACCEPTED } else { StatusCode::OK };
        self.answer(message, status, Vec::new());
        let (line, seq) = self.number(&Recipient::Everyone);
        self.publish(line, seq, person, name, entity, Recipient::Everyone, text, verified, now);
    }

    /// `/to NAME text`: the longest name that fits decides.
    fn hear_private(
        &mut self,
        message: RequestId,
        call: CallKey,
        rest: &str,
        verified: bool,
        now: Now,
    ) {
        let Some(person) = self.participant_of(call) else { return };
        let here: Vec<_> = self
            .people
            .values()
            .filter(|other| other.gone_at.is_none() && other.shown.id != person)
            .map(|other| &other.shown)
            .collect();
        // By the address, as our own kind writes; by the name, as people do.
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
        let Some((_, to, text)) = fits.max_by_key(|(length, _, _)| *length) else {
            // Never 404 in a call: some phones would end it.
            let warning = vec![("Warning", "399 parlour \"No such participant\"".to_owned())];
            self.answer(message, StatusCode::FORBIDDEN, warning);
            return;
        };
        let takes_none = |shown: &&crate::Participant| {
            shown.entity == to && shown.chat == crate::ChatAbility::No
        };
        if self.roster().any(|shown| takes_none(&shown)) {
            let warning =
                vec![("Warning", "399 parlour \"No text reaches this phone\"".to_owned())];
            self.answer(message, StatusCode::NOT_ACCEPTABLE_HERE, warning);
            return;
        }
        let to_host = to == self.entity_of_person(HOST);
        let status = if to_host { StatusCode::OK } else { StatusCode::ACCEPTED };
        self.answer(message, status, Vec::new());
        let (name, entity) = (self.name_of(person), self.entity_of_person(person));
        let to = Recipient::Participant(to);
        let (line, _) = self.number(&to);
        self.publish(line, None, person, &name, &entity, to, text, verified, now);
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
        let Some(text) = self.take_text(message, limit_of, None, request, now) else { return };
        if let (Some(person), Some(public)) = (person, text.strip_prefix("/all ")) {
            let (name, entity) = (self.name_of(person), self.entity_of_person(person));
            self.hear_public(message, person, &name, &entity, public.to_owned(), false, now);
            return;
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
