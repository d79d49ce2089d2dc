//! Messages of the kinds of RFC 4475 and RFC 5118, one file a section: what the reader makes of each, and what a whole
//! user agent does with it. Nothing that is due an answer is left without one.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "a test's clock must begin somewhere")]

mod values;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use sip_core::{Config, Endpoint, Event, Input, Message, Output, Transport};

/// What becomes of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Outcome {
    /// Read, and handed to the user as a call: 100 is sent.
    Call,
    /// Read, and handed to the user as a text.
    Text,
    /// A response: read, and of no transaction of ours.
    Stray,
    /// Read, and answered by the agent itself, with this header and value where there is one.
    Answered(u16, &'static str, &'static str),
    /// Not read as a whole, but answered.
    Refused(u16),
    /// A response with a fault: not read, nothing is sent.
    Dropped,
}

use Outcome::{Answered, Call, Dropped, Refused, Stray, Text};

const ALLOWED: Outcome = Answered(200, "Allow", "INVITE");

/// RFC 4475 §3.1.1: odd and valid.
const VALID: &[(&str, Outcome)] = &[
    // The tag of To is of no dialog here.
    ("4475/3.1.1.1", Answered(481, "", "")),
    ("4475/3.1.1.2", Answered(501, "Allow", "INVITE")),
    // Another user than the served one: escapes are not undone to sips.
    ("4475/3.1.1.3", Answered(404, "", "")),
    ("4475/3.1.1.4", Answered(405, "Allow", "INVITE")),
    ("4475/3.1.1.5", Answered(501, "Allow", "INVITE")),
    ("4475/3.1.1.6", ALLOWED),
    ("4475/3.1.1.7", Call),
    // The first message alone: what is behind it in the datagram is another's.
    ("4475/3.1.1.8", Answered(405, "Allow", "INVITE")),
    ("4475/3.1.1.9", Answered(404, "", "")),
    ("4475/3.1.1.10", ALLOWED),
    ("4475/3.1.1.11", Text),
    ("4475/3.1.1.12", Stray),
    ("4475/3.1.1.13", Stray),
];

/// RFC 4475 §3.1.2: syntax that is none.
const INVALID: &[(&str, Outcome)] = &[
    ("4475/3.1.2.1", Refused(400)),
    ("4475/3.1.2.2", Refused(400)),
    ("4475/3.1.2.3", Refused(400)),
    ("4475/3.1.2.4", Refused(400)),
    ("4475/3.1.2.5", Dropped),
    ("4475/3.1.2.6", Refused(400)),
    ("4475/3.1.2.7", Refused(400)),
    ("4475/3.1.2.8", Refused(400)),
    ("4475/3.1.2.9", Refused(400)),
    ("4475/3.1.2.10", Refused(400)),
    // The headers in the Request-URI are not obeyed, the date is not read.
    ("4475/3.1.2.11", Call),
    ("4475/3.1.2.12", Call),
    ("4475/3.1.2.13", Refused(400)),
    // White space within the brackets changes no meaning.
    ("4475/3.1.2.14", ALLOWED),
    ("4475/3.1.2.15", Refused(400)),
    ("4475/3.1.2.16", Refused(505)),
    ("4475/3.1.2.17", Refused(400)),
    ("4475/3.1.2.18", Refused(400)),
    ("4475/3.1.2.19", Dropped),
];

/// RFC 4475 §3.2 to §3.4: syntax that is right, and meaning that is not.
const MEANING: &[(&str, Outcome)] = &[
    ("4475/3.2.1", ALLOWED),
    ("4475/3.3.1", Refused(400)),
    ("4475/3.3.2", Answered(416, "", "")),
    ("4475/3.3.3", Answered(416, "", "")),
    ("4475/3.3.4", ALLOWED),
    ("4475/3.3.5", Answered(420, "Unsupported", "nothingKnown")),
    ("4475/3.3.6", Answered(415, "Accept", "application/sdp")),
    // Credentials that nobody asked for.
    ("4475/3.3.7", ALLOWED),
    ("4475/3.3.8", Refused(400)),
    ("4475/3.3.9", Refused(400)),
    ("4475/3.3.10", Stray),
    // No proxy: the last hop may be the last.
    ("4475/3.3.11", ALLOWED),
    ("4475/3.3.12", Call),
    ("4475/3.3.13", Call),
    ("4475/3.3.14", Call),
    ("4475/3.3.15", Answered(406, "", "")),
    ("4475/3.4.1", Call),
];

/// RFC 5118 §4: IPv6.
const IPV6: &[(&str, Outcome)] = &[
    ("5118/4.1", ALLOWED),
    ("5118/4.2", Refused(400)),
    // Inside the brackets it is a part of the address, not a port.
    ("5118/4.3", ALLOWED),
    ("5118/4.4", ALLOWED),
    ("5118/4.5", Stray),
    ("5118/4.6", Call),
    ("5118/4.7", ALLOWED),
    ("5118/4.8", Call),
    ("5118/4.9", Call),
    ("5118/4.10", ALLOWED),
];

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torture")
}

pub(crate) fn read(name: &str) -> Vec<u8> {
    let path = folder().join(format!("{name}.sip"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// An answer. It repeats what was wrong with the request's Via, so that it cannot always be read as a message.
#[derive(Debug)]
struct Answer {
    status: u16,
    text: String,
}

impl Answer {
    fn read(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let status = text.strip_prefix("SIP/2.0 ").and_then(|rest| rest.get(..3)?.parse().ok());
        Self { status: status.unwrap_or_else(|| panic!("no answer: {text}")), text }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

fn agent() -> Endpoint {
    let mut agent = Endpoint::new(Config::default(), Box::new(ChaCha8Rng::seed_from_u64(4475)));
    agent.serve("otto", false);
    agent
}

/// What a fresh agent does with one datagram.
fn outcome(bytes: &[u8]) -> Outcome {
    let parsed = Message::parse(bytes);
    let mut agent = agent();
    let (source, destination): (SocketAddr, SocketAddr) =
        ("198.51.100.7:5060".parse().unwrap(), "192.0.2.77:5060".parse().unwrap());
    let input = Input::Datagram {
        now: Instant::now(),
        transport: Transport::Udp,
        source,
        destination,
        contents: bytes,
    };
    let result = agent.handle_input(input);
    let (mut answers, mut call, mut text) = (Vec::new(), false, false);
    loop {
        match agent.poll_output() {
            Output::Timeout(_) => break,
            Output::Event(Event::Invited { .. }) => call = true,
            Output::Event(Event::Message { .. }) => text = true,
            Output::Transmit(sent) => answers.push(Answer::read(&sent.contents)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(result.is_ok(), parsed.is_ok(), "reader and agent differ");
    match (parsed, answers.as_slice()) {
        (Ok(Message::Request(_)), [one]) if call => {
            assert_eq!(one.status, 100);
            Call
        }
        (Ok(Message::Request(_)), []) if text => Text,
        (Ok(Message::Request(_)), [one]) => {
            let shown = ["Unsupported", "Allow", "Accept"];
            let name = shown.into_iter().find(|name| one.header(name).is_some());
            let value = name.and_then(|name| one.header(name)).unwrap_or_default();
            let value = value.split(',').next().unwrap_or_default().to_owned();
            Answered(one.status, name.unwrap_or_default(), value.leak())
        }
        (Ok(Message::Response(_)), []) => Stray,
        (Err(_), []) => Dropped,
        (Err(_), [one]) => Refused(one.status),
        (parsed, answers) => panic!("{parsed:?}: {answers:?}"),
    }
}

fn hold(table: &[(&str, Outcome)]) {
    for (name, expected) in table {
        assert_eq!(outcome(&read(name)), *expected, "{name}");
    }
}

#[test]
fn tt1_the_valid_messages_of_rfc_4475_are_read() {
    hold(VALID);
}

#[test]
fn tt2_syntax_that_is_none_is_answered_400_or_505_or_dropped() {
    hold(INVALID);
}

#[test]
fn tt3_what_is_not_understood_is_answered_as_rfc_4475_asks() {
    hold(MEANING);
}

#[test]
fn tp16_the_messages_of_rfc_5118_are_read_and_the_ambiguous_one_is_400() {
    hold(IPV6);
}

#[test]
fn every_file_stands_in_a_table() {
    for family in ["4475", "5118"] {
        for entry in std::fs::read_dir(folder().join(family)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let name = format!("{family}/{}", name.trim_end_matches(".sip"));
            let mut all = [VALID, INVALID, MEANING, IPV6].into_iter().flatten();
            assert!(all.any(|(known, _)| *known == name), "{name}");
        }
    }
}

#[test]
fn no_truncation_of_any_of_them_panics() {
    for (name, _) in [VALID, INVALID, MEANING, IPV6].into_iter().flatten() {
        let bytes = read(name);
        let mut agent = agent();
        for end in 0..bytes.len() {
            let input = Input::Datagram {
                now: Instant::now(),
                transport: Transport::Udp,
                source: "198.51.100.7:5060".parse().unwrap(),
                destination: "192.0.2.77:5060".parse().unwrap(),
                contents: &bytes[..end],
            };
            let _ = agent.handle_input(input);
        }
    }
}

/// The RFC's own messages, where a folder of them (`badvers.dat`, ...) is named: nothing that is due an answer goes
/// without one, and what is valid is read.
#[test]
fn the_rfcs_own_messages_fare_alike() {
    let Some(folder) = std::env::var_os("PARLOUR_TORTURE") else { return };
    let valid = "wsinv intmeth esc01 escnull esc02 lwsdisp longreq dblreq semiuri transports mpart01 unreason noreason \
                 unkscm novelsc unksm2 bext01 invut regaut01 bcast zeromf cparam01 cparam02 regescrt sdp01 inv2543";
    let refused = "badinv01 clerr ncl scalar02 quotbal ltgtruri lwsruri lwsstart trws regbadct baddn badvers \
                   mismatch01 mismatch02 insuf multi01 mcl01";
    let bytes = |name: &str| std::fs::read(Path::new(&folder).join(format!("{name}.dat"))).unwrap();
    for name in valid.split_whitespace() {
        assert!(Message::parse(&bytes(name)).is_ok(), "{name}");
        assert_ne!(outcome(&bytes(name)), Dropped, "{name}");
    }
    for name in refused.split_whitespace() {
        // One of the files lacks its last empty line.
        let whole = [bytes(name), b"\r\n".to_vec()].concat();
        let status = if name == "badvers" { 505 } else { 400 };
        assert_eq!(outcome(&whole), Refused(status), "{name}");
    }
    for name in ["scalarlg", "bigcode"] {
        assert_eq!(outcome(&bytes(name)), Dropped, "{name}");
    }
}
