//! What one Endpoint may put on the wire, as anybody beside it sees it: numbers, acknowledgements, one answer to a question.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sip_core::{Flow, Message, Method, Request, Response, Transport};

/// Call-ID, own tag and the peer's.
type Dialog = (String, String, String);
/// What an ACK is known by: Call-ID, number, the tag of the one who answered.
type Success = (String, u32, String);

/// What went over the wire at one place.
#[derive(Default)]
pub struct Wire {
    /// The number of the last request that began in a dialog, and its branch.
    numbers: BTreeMap<Dialog, (u32, String)>,
    /// The final answer to each request: its status and tag, and when it was given.
    answers: BTreeMap<(String, String), ((u16, String), Instant)>,
    /// Successes that were acknowledged by datagram, and when first.
    acknowledged: BTreeMap<Success, Instant>,
    /// INVITEs of ours that went by datagram, by their branch.
    invites: BTreeMap<String, Invite>,
    /// Acknowledgements that are owed for what has come.
    owed: Vec<Owed>,
    /// Requests and responses that went out, without repetitions.
    pub requests: usize,
}

struct Invite {
    sent: Instant,
    to: SocketAddr,
    /// Any response came.
    heard: bool,
}

#[derive(Debug, PartialEq)]
enum Owed {
    /// Of a success.
    Success(Success),
    /// Of a failure, in the INVITE's own branch.
    Failure(String),
}

impl Wire {
    /// A datagram has come.
    pub fn heard(&mut self, contents: &[u8], now: Instant) {
        let Ok(Message::Response(response)) = Message::parse(contents) else { return };
        let Some((branch, Method::Invite, number)) = of(&response) else { return };
        let invite = self.invites.get_mut(&branch);
        let invited = invite.map(|invite| {
            invite.heard = true;
            invite.sent
        });
        if response.status.is_success() {
            let success = (call_id(&response.headers), number, tag(&response.headers, "To"));
            let first = self.acknowledged.get(&success);
            if first.is_some_and(|first| now < *first + PATIENCE) {
                self.owed.push(Owed::Success(success));
            }
        } else if !response.status.is_provisional()
            && invited.is_some_and(|sent| now < sent + PATIENCE)
        {
            self.owed.push(Owed::Failure(branch));
        }
    }

    /// The system said that nothing gets there: INVITEs that nobody answered are over, and what comes for them later finds
    /// nothing (RFC 3261 §17.1.4).
    pub fn unreachable(&mut self, destination: SocketAddr) {
        self.invites.retain(|_, invite| invite.heard || invite.to != destination);
    }

    /// Something goes out.
    pub fn sent(&mut self, flow: Flow, contents: &[u8], now: Instant) {
        match Message::parse(contents) {
            Ok(Message::Request(request)) => self.sent_request(flow, &request, now),
            Ok(Message::Response(response)) => self.sent_response(&response, now),
            Err(error) => panic!("it sends what is no message: {error}"),
        }
    }

    /// Everything that follows from an input is out. `ended`: of which calls nobody owes anything any more.
    pub fn settle(&mut self, ended: impl Fn(&str) -> bool) {
        for owed in std::mem::take(&mut self.owed) {
            let excused = match &owed {
                Owed::Success((call_id, number, _)) => *number > 1 && ended(call_id),
                Owed::Failure(_) => false,
            };
            assert!(excused, "it owes an ACK: {owed:?}");
        }
    }

    fn sent_request(&mut self, flow: Flow, request: &Request, now: Instant) {
        let (Ok(cseq), Ok(via)) = (request.headers.cseq(), request.headers.top_via()) else {
            panic!("no CSeq or no Via: {request:?}")
        };
        let branch = via.branch().expect("it has a branch").to_owned();
        let (own, theirs) = (tag(&request.headers, "From"), tag(&request.headers, "To"));
        let call_id = call_id(&request.headers);
        if request.method == Method::Ack {
            let success = (call_id, cseq.number, theirs);
            self.owed.retain(|owed| match owed {
                Owed::Success(known) => *known != success,
                Owed::Failure(known) => *known != branch,
            });
            if flow.transport == Transport::Udp && !self.invites.contains_key(&branch) {
                self.acknowledged.entry(success).or_insert(now);
            }
            return;
        }
        if request.method == Method::Cancel {
            return;
        }
        if request.method == Method::Invite && flow.transport == Transport::Udp {
            let new = Invite { sent: now, to: flow.remote, heard: false };
            self.invites.entry(branch.clone()).or_insert(new);
        }
        if theirs.is_empty() {
            return;
        }
        let last = self.numbers.entry((call_id, own, theirs)).or_default();
        if cseq.number > last.0 {
            *last = (cseq.number, branch);
            self.requests += 1;
        } else if cseq.number == last.0 {
            assert_eq!(last.1, branch, "two requests of one number: {request:?}");
        }
    }

    fn sent_response(&mut self, response: &Response, now: Instant) {
        if response.status.is_provisional() {
            return;
        }
        let Some((branch, method, _)) = of(response) else { panic!("no Via: {response:?}") };
        let answer = (response.status.code(), tag(&response.headers, "To"));
        let key = (branch, method.as_str().to_owned());
        let (first, given) = self.answers.entry(key).or_insert_with(|| (answer.clone(), now));
        // What is in no dialog is refused and forgotten; the dialog may be there when it comes again. What was answered is
        // forgotten later.
        let may_differ = first.0 == 481 || now >= *given + PATIENCE;
        assert!(*first == answer || may_differ, "{first:?} and then {response:?}");
    }
}

fn of(response: &Response) -> Option<(String, Method, u32)> {
    let (via, cseq) = (response.headers.top_via().ok()?, response.headers.cseq().ok()?);
    Some((via.branch()?.to_owned(), cseq.method, cseq.number))
}

fn tag(headers: &sip_core::Headers, name: &str) -> String {
    let header = if name == "To" { headers.to_header() } else { headers.from_header() };
    header.ok().and_then(|one| one.tag().map(str::to_owned)).unwrap_or_default()
}

fn call_id(headers: &sip_core::Headers) -> String {
    headers.call_id().unwrap_or_default().to_owned()
}

/// 64·T1: repetitions are answered for so long.
pub const PATIENCE: Duration = Duration::from_secs(32);
