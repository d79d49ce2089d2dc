//! What must be so after a walk, whatever happened in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use conference::{DeliveryState, Event, MessageId, ParticipantState, Recipient};
use sip_core::{Message, Method, Transport};
use testkit::{HOST, Host};

use super::{Kind, Person, Walk};

/// What seeds came to.
#[derive(Debug, Default)]
pub struct Came {
    lines: usize,
    pub accepted: usize,
    failed: usize,
    left: usize,
    unsupported: usize,
    /// Failed though nobody was cut off and every phone takes texts: all answers were lost by chance.
    unlucky: usize,
    /// Came twice: see [`fell_back`].
    doubled: usize,
    pub secrets: usize,
    documents: usize,
    packets: usize,
    /// Lines to a leg with nothing else in flight, whose sending was timed.
    timed: usize,
}

impl Came {
    pub fn add(&mut self, other: &Self) {
        self.lines += other.lines;
        self.accepted += other.accepted;
        self.failed += other.failed;
        self.left += other.left;
        self.unsupported += other.unsupported;
        self.unlucky += other.unlucky;
        self.doubled += other.doubled;
        self.secrets += other.secrets;
        self.documents += other.documents;
        self.packets += other.packets;
        self.timed += other.timed;
    }
}

impl fmt::Display for Came {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lines, accepted, failed, left, unsupported, unlucky, .. } = self;
        let Self { doubled, secrets, documents, packets, timed, .. } = self;
        write!(
            f,
            "{packets} packets, {lines} public lines, {accepted} deliveries accepted, {left} left, {unsupported} \
             unsupported, {failed} failed ({unlucky} of them by loss alone), {doubled} doubled by the other way, {secrets} private lines, {documents} \
             documents, {timed} sendings timed"
        )
    }
}

/// A request and a question behind it may go without an answer for so long, and a text waits so long at most.
const PATIENCE: Duration = Duration::from_secs(66);

/// An answer that is sent in this time arrives before the request is given up.
const ANSWER_TIME: Duration = Duration::from_secs(29);

/// So long a stream may stand still where much is lost.
const STALL: Duration = Duration::from_secs(15);

type States = BTreeMap<(MessageId, String), (DeliveryState, Option<u16>)>;

/// How far each line came to each recipient.
pub fn last_states(host: &Host) -> States {
    let states = host.deliveries();
    states.map(|one| ((one.id, one.recipient.clone()), (one.state, one.code))).collect()
}

/// One request of the host's with a line in it.
struct Sent {
    to: IpAddr,
    call_id: String,
    at: Duration,
    /// When its final answer came, and whether that was a success.
    answered: Option<(Duration, bool)>,
    token: Option<String>,
}

pub fn check(walk: &Walk) -> Came {
    let sent = sent(walk);
    let mut came = Came { packets: walk.net.ladder().len(), ..Came::default() };
    came.secrets = walk.secrets.len();
    nobody_else_reads_secrets(walk);
    came.documents = documents_count_by_one(walk);
    let order = public_order(walk);
    came.lines = order.len();
    came.doubled = everybody_reads_once_and_in_order(walk, &order, &sent);
    deliveries(walk, &sent, &mut came);
    came.timed = nobody_waits_for_others(walk, &sent);
    came
}

/// Every token of a kind in a text.
fn tokens(text: &str, kind: &str) -> Vec<String> {
    let places = text.match_indices(kind).map(|(at, _)| at);
    places.filter_map(|at| text.get(at..at + kind.len() + 5).map(str::to_owned)).collect()
}

/// The requests of the host, with what became of them on the wire.
fn sent(walk: &Walk) -> Vec<Sent> {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut all: Vec<Sent> = Vec::new();
    for step in walk.net.ladder() {
        match Message::parse(&step.contents) {
            Ok(Message::Request(request)) if step.from.ip() == HOST.ip() => {
                if request.method == Method::Ack {
                    continue;
                }
                let Ok(via) = request.headers.top_via() else { continue };
                let branch = format!("{} {}", via.branch().unwrap_or_default(), request.method);
                let place = all.len();
                if *places.entry(branch).or_insert(place) != place {
                    continue;
                }
                let text = String::from_utf8_lossy(&request.body);
                let is_text = request.method == Method::Message;
                let token = tokens(&text, "line-").into_iter().next().filter(|_| is_text);
                let call_id = request.headers.call_id().unwrap_or_default().to_owned();
                all.push(Sent { to: step.to.ip(), call_id, at: step.at, answered: None, token });
            }
            Ok(Message::Response(response)) if step.to.ip() == HOST.ip() && step.fate.arrives() => {
                let (Ok(via), Ok(cseq)) = (response.headers.top_via(), response.headers.cseq())
                else {
                    continue;
                };
                let branch = format!("{} {}", via.branch().unwrap_or_default(), cseq.method);
                let Some(sent) = places.get(&branch).and_then(|place| all.get_mut(*place)) else {
                    continue;
                };
                if !response.status.is_provisional() && sent.answered.is_none() {
                    let stalls =
                        if step.transport == Transport::Udp { Duration::ZERO } else { STALL };
                    sent.answered = Some((step.at + stalls, response.status.is_success()));
                }
            }
            Ok(Message::Request(_) | Message::Response(_)) | Err(_) => {}
        }
    }
    all
}

/// Every packet on the network.
fn nobody_else_reads_secrets(walk: &Walk) {
    for step in walk.net.ladder() {
        let text = String::from_utf8_lossy(&step.contents);
        for token in tokens(&text, "secret-") {
            let secret = walk.secrets.iter().find(|secret| secret.token == token).unwrap();
            let may = |ip: IpAddr| ip == HOST.ip() || secret.between.contains(&ip);
            assert!(may(step.from.ip()) && may(step.to.ip()), "{token} of {step:?}");
        }
    }
    for (n, person) in walk.people.iter().enumerate() {
        for token in shown(walk, person).iter().flat_map(|text| tokens(text, "secret-")) {
            let secret = walk.secrets.iter().find(|secret| secret.token == token).unwrap();
            assert!(secret.between.contains(&person.address), "user{n:02} reads {token}");
        }
    }
}

/// The documents of each subscription have versions that go up by one.
fn documents_count_by_one(walk: &Walk) -> usize {
    let mut dialogs: BTreeMap<String, BTreeMap<u32, u32>> = BTreeMap::new();
    let notifies = walk.net.ladder().iter().filter(|step| step.from.ip() == HOST.ip());
    for step in notifies.filter(|step| step.contents.starts_with(b"NOTIFY")) {
        let Ok(Message::Request(request)) = Message::parse(&step.contents) else { continue };
        let text = String::from_utf8_lossy(&request.body);
        let Some((_, rest)) = text.rsplit_once(" version=\"") else { continue };
        let version: u32 = rest.split('"').next().unwrap().parse().unwrap();
        let from = request.headers.get("From").unwrap_or_default();
        let dialog = format!("{} {from}", request.headers.call_id().unwrap_or_default());
        let number = request.headers.cseq().unwrap().number;
        let known = dialogs.entry(dialog).or_default().insert(number, version);
        assert!(known.is_none_or(|known| known == version), "one NOTIFY with two versions");
    }
    for (dialog, versions) in &dialogs {
        let versions: Vec<u32> = versions.values().copied().collect();
        let expected: Vec<u32> = (1..).take(versions.len()).collect();
        assert_eq!(versions, expected, "documents of {dialog}");
    }
    dialogs.values().map(BTreeMap::len).sum()
}

/// The public lines in the one order of the host, each of them once.
fn public_order(walk: &Walk) -> Vec<String> {
    let lines = walk.net.at(walk.host).lines();
    let public: Vec<(u64, String)> =
        lines.filter_map(|line| Some((line.seq?, line.text.clone()))).collect();
    let numbers: Vec<u64> = public.iter().map(|(seq, _)| *seq).collect();
    let expected: Vec<u64> = (1..).take(numbers.len()).collect();
    assert_eq!(numbers, expected, "the numbers of public lines");
    let order: Vec<String> = public.into_iter().map(|(_, text)| text).collect();
    let mut once = BTreeSet::new();
    let twice = order.iter().find(|line| !once.insert(*line));
    assert_eq!(twice, None, "a line was taken twice");
    order
}

/// What somebody's phone showed.
fn shown(walk: &Walk, person: &Person) -> Vec<String> {
    match person.kind {
        Kind::Guest(guest) => {
            let lines = walk.net.at(guest).lines().filter(|line| !line.is_own);
            lines.map(|line| line.text.clone()).collect()
        }
        Kind::Phone(phone) => {
            let texts = walk.net.at(phone).texts().iter().filter(|text| text.taken);
            texts.map(|text| text.text.clone()).collect()
        }
    }
}

/// A phone that has never answered a text and is silent for half a minute, but lives, is written to outside of its call
/// (sip-chat §3.9): only such a line may come twice, and how often that was is told.
fn everybody_reads_once_and_in_order(walk: &Walk, order: &[String], sent: &[Sent]) -> usize {
    let mut doubled = 0;
    let place: BTreeMap<&str, usize> =
        order.iter().enumerate().map(|(place, line)| (line.as_str(), place)).collect();
    for (n, person) in walk.people.iter().enumerate() {
        let read = shown(walk, person);
        let mut read: Vec<String> = read.iter().flat_map(|text| tokens(text, "line-")).collect();
        let count = read.len();
        read.dedup_by(|two, one| two == one && fell_back(sent, person, one));
        doubled += count - read.len();
        let places: Vec<usize> = read.iter().map(|line| place[line.as_str()]).collect();
        let in_order = places.windows(2).all(|two| two[0] < two[1]);
        assert!(in_order, "user{n:02} reads {read:?}, the order is {order:?}");
    }
    doubled
}

/// Whether a line was the first text of a call, stood without any answer and went by another way then.
fn fell_back(sent: &[Sent], person: &Person, line: &str) -> bool {
    let his = |one: &&Sent| one.to == person.address && one.token.is_some();
    let mut copies = sent.iter().filter(his).filter(|one| one.token.as_deref() == Some(line));
    let (Some(first), Some(second)) = (copies.next(), copies.next()) else { return false };
    let before = sent.iter().filter(his).take_while(|one| !std::ptr::eq(*one, first));
    let took_before = before.clone().any(|one| {
        one.call_id == first.call_id && one.answered.is_some_and(|(_, success)| success)
    });
    first.answered.is_none() && first.call_id != second.call_id && !took_before
}

/// What the host's user is told of each line and each recipient, against what is true.
fn deliveries(walk: &Walk, sent: &[Sent], came: &mut Came) {
    let host = walk.net.at(walk.host);
    let states = last_states(host);
    let mut here: BTreeMap<String, ParticipantState> = BTreeMap::new();
    for event in host.events() {
        match event {
            Event::Participant(one) if !one.is_self => {
                here.insert(one.entity.clone(), one.state);
            }
            Event::Line(line) if line.to == Recipient::Everyone => {
                for (entity, state) in &here {
                    let is_in =
                        matches!(state, ParticipantState::Connected | ParticipantState::OnHold);
                    if is_in && *entity != line.from {
                        let key = (line.id, entity.clone());
                        assert!(states.contains_key(&key), "{} was not for {entity}", line.text);
                    }
                }
            }
            _ => {}
        }
    }
    let texts: BTreeMap<MessageId, &str> = host
        .lines()
        .filter(|line| line.to == Recipient::Everyone)
        .map(|line| (line.id, line.text.as_str()))
        .collect();
    let mut fates: BTreeMap<(&str, usize), Vec<DeliveryState>> = BTreeMap::new();
    for ((id, entity), (state, code)) in &states {
        let (Some(text), Some(n)) = (texts.get(id), whose(entity)) else { continue };
        let person = &walk.people[n];
        fates.entry((text, n)).or_default().push(*state);
        let mut copies = sent
            .iter()
            .filter(|one| one.to == person.address && one.token.as_deref() == Some(text));
        match state {
            DeliveryState::Waiting | DeliveryState::Sending => {
                panic!("{text} is still on its way to {entity}: {state:?}")
            }
            DeliveryState::Accepted | DeliveryState::Delivered => {
                came.accepted += 1;
                let taken = copies.any(|one| one.answered.is_some_and(|(_, success)| success));
                assert!(taken, "{text} was accepted by nobody for {entity}");
            }
            DeliveryState::Failed => {
                came.failed += 1;
                let copies: Vec<&Sent> = copies.collect();
                // An answer that is held back may come when nobody waits for it any more.
                let in_time = |one: &Sent| {
                    one.answered.is_some_and(|(at, good)| good && at < one.at + ANSWER_TIME)
                };
                let taken = copies.iter().any(|one| in_time(one));
                assert!(!taken, "{text} was accepted and has failed for {entity} ({code:?})");
                // 481: he hung up, and the news of it are on their way.
                if !person.may_fail && *code != Some(481) {
                    let answered = copies.iter().any(|one| one.answered.is_some());
                    assert!(!answered, "{text} failed for {entity} ({code:?}), who takes texts");
                    came.unlucky += 1;
                }
            }
            DeliveryState::Left => came.left += 1,
            DeliveryState::Unsupported => {
                came.unsupported += 1;
                assert!(person.may_fail, "{entity} takes texts, and {text} is unsupported");
            }
        }
    }
    reads_what_was_accepted(walk, &fates);
}

/// Whoever is told to have a line has it; whoever was not meant has it not.
fn reads_what_was_accepted(walk: &Walk, fates: &BTreeMap<(&str, usize), Vec<DeliveryState>>) {
    for (n, person) in walk.people.iter().enumerate() {
        let read = shown(walk, person);
        let read: BTreeSet<String> = read.iter().flat_map(|text| tokens(text, "line-")).collect();
        for ((text, of), states) in fates {
            let is_accepted = states
                .iter()
                .any(|state| matches!(state, DeliveryState::Accepted | DeliveryState::Delivered));
            if *of == n && is_accepted {
                assert!(read.contains(*text), "user{n:02} never showed {text}");
            }
        }
        for text in &read {
            let meant = fates.contains_key(&(text.as_str(), n));
            assert!(meant, "user{n:02} reads {text}, which was not for him");
        }
    }
}

/// The person of an address of the roster.
fn whose(entity: &str) -> Option<usize> {
    entity.strip_prefix("sip:user")?.get(..2)?.parse().ok()
}

/// A line to a leg with nothing in flight goes out in the moment in which it is numbered.
fn nobody_waits_for_others(walk: &Walk, sent: &[Sent]) -> usize {
    let host = walk.net.at(walk.host);
    let began: Instant = walk.net.now().monotonic - walk.net.elapsed();
    let mut timed = 0;
    let mut here: BTreeMap<String, ParticipantState> = BTreeMap::new();
    for (at, event) in host.timed_events() {
        let at = at - began;
        let line = match event {
            Event::Participant(one) if !one.is_self => {
                here.insert(one.entity.clone(), one.state);
                continue;
            }
            Event::Line(line) if line.to == Recipient::Everyone => line,
            _ => continue,
        };
        for (n, person) in walk.people.iter().enumerate() {
            let of = |entity: &String| whose(entity) == Some(n) && *entity != line.from;
            let is_in = here.iter().any(|(entity, state)| {
                of(entity)
                    && matches!(state, ParticipantState::Connected | ParticipantState::OnHold)
            });
            let his = || sent.iter().filter(|one| one.to == person.address);
            let first = his().find(|one| one.token.as_deref() == Some(line.text.as_str()));
            let Some(first) = first.filter(|_| is_in) else { continue };
            // What is without an answer, or was answered a moment ago, may still be in its way, and what was before it in
            // the queue of its own call.
            let is_busy = his().any(|one| {
                let until = match one.answered {
                    Some((at, true)) => at,
                    // A phone that says 503 is asked again later.
                    Some((at, false)) => at + PATIENCE,
                    None => one.at + PATIENCE,
                };
                let is_other = !std::ptr::eq(one, first);
                is_other && one.at <= first.at && until + Duration::from_secs(2) >= at
            });
            if !is_busy && first.at >= at {
                timed += 1;
                let late = first.at - at;
                let call = &first.call_id;
                assert!(
                    late <= Duration::from_millis(50),
                    "{} at {at:?} is {late:?} late for user{n:02} in {call}",
                    line.text
                );
            }
        }
    }
    timed
}
