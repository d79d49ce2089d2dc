//! The fourteen texts of a conference's chat, as docs/sip-chat.md means them: each is what goes over the wire, or is taken
//! as it stands. What chance decides (branches, tags, Call-IDs, nonces) may be anything, but is the same wherever a text
//! says the same; a Content-Length is counted; a body is compared byte for byte.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use conference::{ChatRate, Command, Effect, Focus, FocusSettings, Now};
use rand::RngCore;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use sip_core::auth::Guard;
use sip_core::capabilities::{ACCEPT, ACCEPT_CHAT, ALLOW, ALLOW_EVENTS, SUPPORTED};
use sip_core::{AnyUri, Input, NameAddr, Output, Transport, Uri};
use testkit::Shell;
use time::OffsetDateTime;
use time::macros::datetime;

const ALICE: &str = "192.0.2.10:5060";
const BOB: &str = "192.0.2.21:5060";
const CAROL: &str = "192.0.2.31:5060";
const DAVE: &str = "192.0.2.41:5060";
const ERIN: &str = "192.0.2.51:5060";
const CONFERENCE: &str = "sip:conf-7f3a9c51d2e84b06@192.0.2.10:5060";

/// What stands in the texts in the place of something that chance decides at the focus.
const CHANCE: &[&str] = &[
    "z9hG4bKa81f2c09",
    "z9hG4bKc19d",
    "z9hG4bKc19e",
    "z9hG4bKd002",
    "z9hG4bKd777",
    "z9hG4bKd778",
    "z9hG4bKd9",
    "f0c1a5d2",
    "77aa10ff",
    "3d3d01ac",
    "10be",
    "5b1d0e6e9f7a4c21",
    "0d2f4b6a8c1e3350",
    "91be33c0aa5f4470",
    "ee01",
    "a1b2c3d4",
    "kx0Qm2",
];

/// A text, with the line ends of the wire in its head and in an envelope.
fn text(name: &str) -> String {
    let path = format!("{}/tests/texts/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap().replace('\n', "\r\n");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text.trim_end(), ""));
    // A session description ends with a line end, a text of somebody's does not.
    let body = if head.contains("application/sdp") { body } else { body.trim_end() };
    format!("{head}\r\n\r\n{body}")
}

/// Message ids as the texts have them; any where they have none.
struct Script {
    ids: VecDeque<Option<&'static str>>,
    others: ChaCha8Rng,
}

impl RngCore for Script {
    fn next_u32(&mut self) -> u32 {
        self.others.next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.others.next_u64()
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        let letters = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        match self.ids.pop_front().flatten() {
            Some(id) => bytes.copy_from_slice(
                &id.bytes()
                    .map(|byte| {
                        letters
                            .iter()
                            .position(|letter| *letter == byte)
                            .unwrap()
                            .try_into()
                            .unwrap()
                    })
                    .collect::<Vec<u8>>(),
            ),
            None => self.others.fill_bytes(bytes),
        }
    }
}

/// Alice, whose conference is about the third quarter, at a clock of the test's.
struct Desk {
    shell: Shell,
    focus: Focus,
    sent: Vec<(SocketAddr, String)>,
    /// What the texts call it, and what it is.
    chance: BTreeMap<String, String>,
}

impl Desk {
    fn new(at: OffsetDateTime, ids: VecDeque<Option<&'static str>>) -> Self {
        let now = Now { monotonic: Instant::now(), utc: at };
        let random = || Box::new(ChaCha8Rng::seed_from_u64(3));
        let mut shell = Shell::new(ALICE.parse().unwrap(), "Parlour/0.1", now, random());
        shell.endpoint.serve("alice", false);
        shell.endpoint.serve("conf-7f3a9c51d2e84b06", true);
        for (name, place) in [
            ("bob@example.com", BOB),
            ("carol@example.com", CAROL),
            ("dave@example.net", DAVE),
            ("erin@example.com", ERIN),
        ] {
            shell.known.insert(format!("sip:{name}"), place.parse().unwrap());
        }
        let own = Uri::parse("sip:alice@example.com").unwrap();
        let settings = FocusSettings {
            own: NameAddr::new(Some("Alice"), own.clone()),
            conference: Uri::parse(CONFERENCE).unwrap(),
            subject: "Q3 review".to_owned(),
            registered_at: Some(own),
            chat_rate: ChatRate::default(),
            capacity: 10,
        };
        let generator = Script { ids, others: ChaCha8Rng::seed_from_u64(4) };
        let focus = Focus::new(settings, Box::new(generator), now);
        let mut desk = Self { shell, focus, sent: Vec::new(), chance: BTreeMap::new() };
        desk.drive();
        desk
    }

    fn drive(&mut self) {
        loop {
            while let Some(effect) = self.focus.poll_effect() {
                let Effect::Sip(act) = effect else { continue };
                for report in self.shell.execute(act) {
                    self.focus.handle_command(report, self.shell.now);
                }
            }
            match self.shell.poll_output() {
                Output::Event(event) => {
                    self.focus.handle_event(&event, self.shell.now);
                    for command in self.shell.absorb(event) {
                        self.focus.handle_command(command, self.shell.now);
                    }
                }
                Output::Transmit(transmit) => {
                    let bytes = String::from_utf8(transmit.contents.to_vec()).unwrap();
                    self.sent.push((transmit.flow.remote, bytes));
                }
                Output::Timeout(_) => return,
                Output::Close(_) | Output::Connect(_) | Output::Resolve(_) => {}
            }
        }
    }

    /// Lets the time come, with everything that is due before.
    fn until(&mut self, at: OffsetDateTime) {
        let step = Duration::from_millis(10);
        while self.shell.now.utc < at {
            let rest: Duration = (at - self.shell.now.utc).try_into().unwrap();
            let passed = rest.min(step);
            self.shell.now.monotonic += passed;
            self.shell.now.utc += passed;
            let now = self.shell.now;
            self.shell.handle_input(Input::Timeout(now.monotonic));
            self.focus.handle_timeout(now);
            self.drive();
        }
    }

    fn command(&mut self, command: Command) {
        self.focus.handle_command(command, self.shell.now);
        self.drive();
    }

    fn hear(&mut self, from: &str, bytes: &str) {
        self.shell.handle_input(Input::Datagram {
            now: self.shell.now.monotonic,
            transport: Transport::Udp,
            source: from.parse().unwrap(),
            destination: ALICE.parse().unwrap(),
            contents: bytes.as_bytes(),
        });
        self.drive();
    }

    /// A text of the page that somebody else sends, with what chance decided.
    fn hear_text(&mut self, from: &str, name: &str) {
        let mut bytes = text(name);
        for (word, actual) in &self.chance {
            bytes = bytes.replace(word.as_str(), actual);
        }
        self.hear(from, &bytes);
    }

    /// What went to an address since the last time.
    fn take(&mut self, to: &str) -> Vec<String> {
        let to: SocketAddr = to.parse().unwrap();
        let (taken, rest) =
            std::mem::take(&mut self.sent).into_iter().partition(|(at, _)| *at == to);
        self.sent = rest;
        let taken: Vec<(SocketAddr, String)> = taken;
        taken.into_iter().map(|(_, bytes)| bytes).collect()
    }

    /// The one message to an address, of a kind.
    fn one(&mut self, to: &str, begin: &str) -> String {
        let all = self.take(to);
        let found = all.iter().find(|bytes| bytes.starts_with(begin));
        found.unwrap_or_else(|| panic!("no {begin} to {to}: {all:#?}")).clone()
    }

    /// Answers a request that went to somebody.
    fn answer(&mut self, from: &str, request: &str, status: &str, tag: &str, more: &str) {
        let line = |name: &str| {
            let mut lines = request.lines();
            lines
                .find(|line| line.starts_with(name))
                .unwrap_or_else(|| panic!("{name} in {request}"))
        };
        let to = line("To:");
        let to = if to.contains(";tag=") { to.to_owned() } else { format!("{to};tag={tag}") };
        let head = [line("Via:"), line("From:"), &to, line("Call-ID:"), line("CSeq:")].join("\r\n");
        let (more, body) = more.split_once("\r\n\r\n").unwrap_or((more, ""));
        let length = body.len();
        self.hear(
            from,
            &format!("SIP/2.0 {status}\r\n{head}\r\n{more}Content-Length: {length}\r\n\r\n{body}"),
        );
    }

    /// Calls somebody in; he answers. The INVITE comes back.
    fn invite(&mut self, address: &str, place: &str, tag: &str, more: &str) -> String {
        let name = address.split(['@', ':']).nth(1).unwrap();
        let name = format!("{}{}", name[..1].to_uppercase(), &name[1..]);
        let target = AnyUri::parse(address).unwrap();
        self.command(Command::Invite { target, name: Some(name) });
        let invite = self.one(place, "INVITE");
        let user = address.split_once('@').unwrap().0;
        let sdp = "v=0\r\no=- 1 1 IN IP4 192.0.2.99\r\ns=-\r\nc=IN IP4 192.0.2.99\r\nt=0 0\r\n\
                   m=audio 4000 RTP/AVP 0\r\n";
        let more = format!(
            "Contact: <{user}@{place}>{more}Require: timer\r\n\
             Session-Expires: 1800;refresher=uas\r\nContent-Type: application/sdp\r\n\r\n{sdp}"
        );
        self.answer(place, &invite, "200 OK", tag, &more);
        self.take(place);
        invite
    }

    /// Everybody answers what waits for an answer.
    fn settle(&mut self) {
        for place in [BOB, CAROL, DAVE, ERIN] {
            loop {
                let waiting = self.take(place);
                let requests: Vec<_> =
                    waiting.iter().filter(|bytes| bytes.starts_with("MESSAGE")).collect();
                if requests.is_empty() {
                    break;
                }
                for request in requests {
                    self.answer(place, request, "200 OK", "x", "");
                }
            }
        }
    }

    /// A message of ours is what a text of the page says.
    #[track_caller]
    fn same(&mut self, name: &str, actual: &str) {
        let expected = text(name);
        let (head, body) = expected.split_once("\r\n\r\n").unwrap();
        let (actual_head, actual_body) = actual.split_once("\r\n\r\n").unwrap();
        let mut lines = head.split("\r\n");
        let mut actual_lines = actual_head.split("\r\n");
        assert_eq!(actual_lines.next(), lines.next(), "{name}");
        let actual_lines: Vec<&str> = actual_lines.collect();
        let mut used = BTreeSet::new();
        for line in lines {
            let (field, value) = line.split_once(": ").unwrap();
            let listed = match field {
                "Allow" => Some(ALLOW.to_vec()),
                "Supported" => Some(SUPPORTED.to_vec()),
                "Allow-Events" => Some(ALLOW_EVENTS.to_vec()),
                "Accept" => Some([ACCEPT, ACCEPT_CHAT].concat()),
                _ => None,
            };
            let same_field = |line: &&str| line.starts_with(&format!("{field}: "));
            let found = actual_lines
                .iter()
                .enumerate()
                .filter(|(at, line)| same_field(line) && !used.contains(at));
            let found: Vec<(usize, String)> =
                found.map(|(at, line)| (at, line[field.len() + 2..].to_owned())).collect();
            if let Some(listed) = listed {
                let said: Vec<&str> = found[0].1.split(", ").collect();
                assert_eq!(said, listed, "{name}: {field} lists what the build implements");
                // All that the page shows is implemented, but where it is newer than the build.
                let shown: BTreeSet<&str> = value.split(", ").collect();
                let missing: Vec<_> = shown.iter().filter(|one| !said.contains(one)).collect();
                assert!(
                    missing.is_empty() || missing == [&"tdialog"],
                    "{name}: {field} {missing:?}"
                );
                continue;
            }
            if field == "Content-Length" {
                let counted = actual_body.len().to_string();
                assert_eq!(found[0].1, counted, "{name}: the length is counted");
                if !head.contains("application/sdp") {
                    assert_eq!(counted, value, "{name}: the length as the page has it");
                }
                continue;
            }
            let fits = found.iter().find(|(_, actual)| self.fits(value, actual));
            let Some((at, _)) = fits else { panic!("{name}: {line}\nin {actual}") };
            used.insert(*at);
        }
        if head.contains("application/sdp") {
            return session(name, actual_body);
        }
        assert_eq!(actual_body, body, "{name}");
    }

    /// Whether a value is what is meant: parameters in any order, and what chance decides as before.
    fn fits(&mut self, expected: &str, actual: &str) -> bool {
        // Parameters behind an address or a Via, not those between quotes.
        let parts = |value: &str| -> Vec<String> {
            let mut parts = value.split(';').map(|part| part.trim().to_owned());
            let first = parts.next().unwrap();
            let mut rest: Vec<String> = parts.collect();
            rest.sort();
            [vec![first], rest].concat()
        };
        let (expected, actual) = (parts(expected), parts(actual));
        if expected.len() != actual.len() {
            return false;
        }
        let mut bound = self.chance.clone();
        let all = expected.iter().zip(&actual).all(|(expected, actual)| {
            let Some(word) = CHANCE.iter().find(|word| expected.contains(**word)) else {
                return expected == actual;
            };
            let (before, behind) = expected.split_once(word).unwrap();
            let middle = actual.strip_prefix(before).and_then(|rest| rest.strip_suffix(behind));
            let Some(middle) = middle.filter(|middle| !middle.is_empty()) else { return false };
            *bound.entry((*word).to_owned()).or_insert_with(|| middle.to_owned()) == middle
        });
        if all {
            self.chance = bound;
        }
        all
    }
}

/// One stream of audio, both ways, in the formats that this end has.
fn session(name: &str, sdp: &str) {
    for line in ["v=0", "s=-", "t=0 0", "c=IN IP4 192.0.2.10", "a=sendrecv"] {
        assert!(sdp.split("\r\n").any(|have| have == line), "{name}: {line} in {sdp}");
    }
    assert_eq!(sdp.matches("m=audio ").count(), 1, "{name}: {sdp}");
    assert!(
        sdp.contains("RTP/AVP 0 101\r\n") && sdp.contains("a=rtpmap:101 telephone-event/8000\r\n")
    );
}

const OURS: &str = ";+parlour.chat=\"1\"\r\nAccept: application/sdp, text/plain, message/cpim\r\n";
const PLAIN: &str = "\r\nAllow: INVITE, ACK, BYE, MESSAGE\r\n";

fn bob_says(desk: &mut Desk, cseq: u32, words: &str) {
    let (call, tag) = (desk.chance["5b1d0e6e9f7a4c21"].clone(), desk.chance["f0c1a5d2"].clone());
    let length = words.len();
    desk.hear(
        BOB,
        &format!(
            "MESSAGE {CONFERENCE} SIP/2.0\r\nVia: SIP/2.0/UDP {BOB};branch=z9hG4bKb{cseq};rport\r\nMax-Forwards: 70\r\n\
             From: <sip:bob@example.com>;tag=9c88\r\nTo: \"Alice\" <sip:alice@example.com>;tag={tag}\r\n\
             Call-ID: {call}\r\nCSeq: {cseq} MESSAGE\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{words}"
        ),
    );
}

#[test]
fn the_fourteen_texts_are_what_goes_over_the_wire() {
    let mut ids: VecDeque<Option<&str>> = vec![None; 17].into();
    (ids[2], ids[16]) = (Some("0a1b2c3d4e5f6071"), Some("1SFkKfjPw5Zr3pQm"));
    ids.push_back(Some("f9Zt0bbq2LmVxY3e"));
    let mut desk = Desk::new(datetime!(2026-11-22 22:40:00 UTC), ids);
    let invite = desk.invite("sip:bob@example.com", BOB, "9c88", PLAIN);
    desk.same("F1", &invite);

    // Sixteen lines; Carol comes before the tenth, Dave before the fifteenth.
    for n in 1..=16_u32 {
        let minute = datetime!(2026-11-22 22:38:10 UTC) + Duration::from_secs(60) * n;
        desk.until(minute);
        match n {
            10 => {
                let invite = desk.invite("sip:carol@example.com", CAROL, "4be1", OURS);
                remember(&mut desk, &invite, "0d2f4b6a8c1e3350", "77aa10ff");
            }
            15 => {
                let invite = desk.invite("sip:dave@example.net", DAVE, "aa07", PLAIN);
                remember(&mut desk, &invite, "91be33c0aa5f4470", "3d3d01ac");
            }
            _ => {}
        }
        bob_says(&mut desk, n + 1, if n == 3 { "Hello everybody" } else { "words" });
        desk.settle();
    }

    // To everybody.
    desk.until(datetime!(2026-11-22 23:05:07.120 UTC));
    desk.hear_text(BOB, "M1");
    let answer = desk.one(BOB, "SIP/2.0");
    desk.same("M1r", &answer);
    let (carol, dave) = (desk.one(CAROL, "MESSAGE"), desk.one(DAVE, "MESSAGE"));
    desk.same("M2", &carol);
    desk.same("M3", &dave);
    desk.answer(CAROL, &carol, "200 OK", "", "");
    desk.answer(DAVE, &dave, "200 OK", "", "");

    // To one, whose phone then says nothing.
    desk.until(datetime!(2026-11-22 23:06:00 UTC));
    desk.hear_text(CAROL, "M4");
    assert!(desk.one(CAROL, "SIP/2.0").starts_with("SIP/2.0 202 "));
    let private = desk.one(BOB, "MESSAGE");
    desk.same("M5", &private);
    let mut unknown = text("M4").replace("<sip:bob@example.com>", "<sip:eve@example.com>");
    for (old, new) in [("z9hG4bKd001", "z9hG4bKd0ff"), ("CSeq: 31", "CSeq: 32"), ("Qk2v9", "Qk3v9")]
    {
        unknown = unknown.replace(old, new);
    }
    for (word, actual) in desk.chance.clone() {
        unknown = unknown.replace(&word, &actual);
    }
    desk.hear(CAROL, &unknown);
    let refused = desk.one(CAROL, "SIP/2.0 403");
    desk.same("M8", &refused);
    desk.until(datetime!(2026-11-22 23:06:33 UTC));
    let doubt = desk.one(BOB, "OPTIONS");
    desk.answer(BOB, &doubt, "500 Server Internal Error", "", "");
    let outside = desk.one(BOB, "MESSAGE");
    desk.answer(BOB, &outside, "500 Server Internal Error", "y", "");
    let report = desk.one(CAROL, "MESSAGE");
    desk.same("M9", &report);
    desk.answer(CAROL, &report, "200 OK", "", "");

    // Bob writes.
    let mark = "From: <sip:bob@example.com>\r\nTo: <sip:conf-7f3a9c51d2e84b06@192.0.2.10:5060>\r\n\
        NS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: c0mp0s1ng7Yx2Lq\r\n\r\n\
        Content-Type: application/im-iscomposing+xml\r\n\r\n<isComposing><state>active</state><refresh>60</refresh></isComposing>";
    bob_says_enveloped(&mut desk, 40, mark);
    let mark = desk.one(CAROL, "MESSAGE");
    desk.same("M10", &mark);
    desk.answer(CAROL, &mark, "200 OK", "", "");

    // Out of the call: to the host alone, and to the conference.
    desk.hear_text(BOB, "M6");
    assert!(desk.one(BOB, "SIP/2.0").starts_with("SIP/2.0 200 "));
    assert!(desk.take(CAROL).is_empty() && desk.take(DAVE).is_empty(), "it is the host's alone");
    desk.hear_text(BOB, "M7");
    assert!(desk.one(BOB, "SIP/2.0").starts_with("SIP/2.0 202 "));
    let relayed = desk.one(DAVE, "MESSAGE");
    assert!(relayed.ends_with("\r\n\r\nBob: +1 from me"), "{relayed}");
    desk.answer(DAVE, &relayed, "200 OK", "", "");
    desk.settle();

    // Erin comes late; with her roster she gets what was written before, from the third line on.
    desk.command(Command::History { count: 15 });
    let invite = desk.invite("sip:erin@example.com", ERIN, "66", OURS);
    remember(&mut desk, &invite, "ee01", "10be");
    desk.hear(
        ERIN,
        &format!(
            "SUBSCRIBE {CONFERENCE} SIP/2.0\r\nVia: SIP/2.0/UDP {ERIN};branch=z9hG4bKs1;rport\r\nMax-Forwards: 70\r\n\
             From: <sip:erin@example.com>;tag=s1\r\nTo: <{CONFERENCE}>\r\nCall-ID: s1\r\nCSeq: 1 SUBSCRIBE\r\n\
             Contact: <sip:erin@{ERIN}>\r\nEvent: conference\r\nExpires: 600\r\nContent-Length: 0\r\n\r\n"
        ),
    );
    let came = desk.take(ERIN);
    let place = |begin: &str| came.iter().position(|bytes| bytes.starts_with(begin));
    assert!(place("NOTIFY") < place("MESSAGE"), "the roster comes first: {came:?}");
    desk.same("M11", &came[place("MESSAGE").unwrap()]);
}

#[test]
fn m7a_who_is_not_tied_has_to_give_the_password() {
    let mut desk = Desk::new(datetime!(2026-11-22 22:40:00 UTC), VecDeque::new());
    let realm = "conf-7f3a9c51d2e84b06@192.0.2.10".to_owned();
    let guard = Guard { realm, people: Vec::new(), shared: Some("secret".to_owned()) };
    desk.shell.endpoint.guard("conf-7f3a9c51d2e84b06", Some(guard));
    desk.hear_text(BOB, "M7");
    let answer = desk.one(BOB, "SIP/2.0");
    desk.same("M7a", &answer);
}

/// What chance gave a call that is not compared itself.
fn remember(desk: &mut Desk, invite: &str, call: &str, tag: &str) {
    let value = |name: &str| {
        let mut lines = invite.lines();
        lines.find_map(|line| line.strip_prefix(name)).unwrap().to_owned()
    };
    desk.chance.insert(call.to_owned(), value("Call-ID: "));
    let from = value("From: ");
    desk.chance.insert(tag.to_owned(), from.split_once(";tag=").unwrap().1.to_owned());
}

fn bob_says_enveloped(desk: &mut Desk, cseq: u32, body: &str) {
    let (call, tag) = (desk.chance["5b1d0e6e9f7a4c21"].clone(), desk.chance["f0c1a5d2"].clone());
    let length = body.len();
    desk.hear(
        BOB,
        &format!(
            "MESSAGE {CONFERENCE} SIP/2.0\r\nVia: SIP/2.0/UDP {BOB};branch=z9hG4bKe{cseq};rport\r\nMax-Forwards: 70\r\n\
             From: <sip:bob@example.com>;tag=9c88\r\nTo: \"Alice\" <sip:alice@example.com>;tag={tag}\r\n\
             Call-ID: {call}\r\nCSeq: {cseq} MESSAGE\r\nContent-Type: message/cpim\r\nContent-Length: {length}\r\n\r\n{body}"
        ),
    );
}
