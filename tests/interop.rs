//! A conference of `parlour-cli` with real phones: two baresip, a `parlour-cli join`, a sipp caller and a watcher on raw
//! sockets, over IPv4 and over IPv6. `make interop` runs it; it needs baresip, sipp and xmllint.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[allow(dead_code, reason = "the other stories use the rest")]
mod ends {
    pub mod baresip;
    pub mod cli;
    pub mod documents;
    pub mod phone;
    pub mod process;
    pub mod recording;
    pub mod sipp;
    pub mod watcher;
}

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use ends::baresip::Baresip;
use ends::cli::{Cli, Line, assert_same_roster};
use ends::process::{free_port, within};
use ends::recording::assert_hears;
use ends::sipp::{CUE, Sipp};
use ends::watcher::Watcher;
use ends::{documents, process};
use tempfile::TempDir;

const BOB_HZ: f64 = 440.0;
const CAROL_HZ: f64 = 617.0;
const DAVE_HZ: f64 = 1009.0;
const ERIN_HZ: f64 = 1361.0;
const ALL: [f64; 4] = [BOB_HZ, CAROL_HZ, DAVE_HZ, ERIN_HZ];

/// How much lower an end must hear itself.
const APART_PCMU_DB: f64 = 40.0;
const APART_OPUS_DB: f64 = 35.0;

const ERINS_LINE: &str = "From sipp: Grüße, <b>not bold</b> & 100 % \u{1f642}";

#[test]
fn five_ends_hear_read_and_see_each_other_over_ipv4() {
    Party::begin(Ipv4Addr::LOCALHOST.into()).go_through();
}

#[test]
fn five_ends_hear_read_and_see_each_other_over_ipv6() {
    Party::begin(Ipv6Addr::LOCALHOST.into()).go_through();
}

#[test]
fn a_phone_over_tcp_hears_and_reads_as_one_over_udp() {
    let folder = tempfile::tempdir().unwrap();
    let ip: IpAddr = Ipv4Addr::LOCALHOST.into();
    let listen = SocketAddr::new(ip, free_port(ip)).to_string();
    let mut alice = Cli::start(
        "alice",
        &["host", "--listen", &listen, "--name", "Alice", "--audio", "tone:1361"],
    );
    let (_, conference) = alice.ready();
    // Bob is alone at his address: he texts by UDP whatever his call goes by, and is known by address and user.
    let elsewhere: IpAddr = Ipv4Addr::new(127, 0, 0, 2).into();
    let listen = SocketAddr::new(elsewhere, free_port(elsewhere)).to_string();
    let record = folder.path().join("dave.wav");
    let tone = format!("tone:{DAVE_HZ}");
    let mut arguments = vec!["join", &conference, "--listen", &listen, "--name", "Dave"];
    arguments.extend(["--audio", &tone, "--record", record.to_str().unwrap()]);
    let mut dave = Cli::start("dave", &arguments);
    connected(&alice, 2);
    let by_tcp = format!("{conference};transport=tcp");
    let mut bob = Baresip::start(folder.path(), "bob", ip, "pcma", BOB_HZ, &by_tcp);
    bob.dial(&conference);
    connected(&alice, 3);
    assert_same_roster(&alice, &dave);
    alice.say("from the host");
    assert!(within(Duration::from_secs(5), || bob.shown().len() == 1), "{:?}", bob.shown());
    dave.say("from Dave");
    assert!(within(Duration::from_secs(5), || bob.shown().len() == 2), "{:?}", bob.shown());
    assert_eq!(bob.shown(), ["Alice: from the host", "Dave: from Dave"]);
    bob.text("from Bob");
    for cli in [&alice, &dave] {
        cli.expect("message", Duration::from_secs(5), |event| {
            event["name"] == "bob" && event["text"] == "from Bob"
        });
    }
    let heard = |bob: &Baresip| {
        thread::sleep(Duration::from_secs(7));
        assert_hears("Dave", &record, &[BOB_HZ, 1361.0], Some((DAVE_HZ, APART_OPUS_DB)));
        let own = Some((BOB_HZ, APART_PCMU_DB));
        assert_hears("Bob (PCMA)", &bob.recording(), &[DAVE_HZ, 1361.0], own);
    };
    heard(&bob);
    bob.hang_up();
    state(&alice, "bob", "disconnected");
    // And once more the other way round.
    alice.invite(&format!("{};transport=tcp", bob.uri));
    connected(&alice, 3);
    alice.say("welcome back");
    assert!(within(Duration::from_secs(5), || bob.shown().len() == 3), "{:?}", bob.shown());
    heard(&bob);
    assert!(alice.end().expect("the host ends").success());
}

/// A conference with everybody in it: Alice hosts and is silent, Bob is a baresip with PCMU that is called, Carol a
/// baresip with Opus that dials in, Dave a `parlour-cli join`, Erin a sipp, and somebody watches.
struct Party {
    folder: TempDir,
    ip: IpAddr,
    focus: SocketAddr,
    conference: String,
    own: String,
    alice: Cli,
    bob: Baresip,
    carol: Baresip,
    dave: Cli,
    erin: Sipp,
    watcher: Watcher,
}

impl Party {
    fn begin(ip: IpAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let focus = SocketAddr::new(ip, free_port(ip));
        let record = folder.path().join("alice.wav");
        let alice = Cli::start(
            "alice",
            &[
                "host",
                "--listen",
                &focus.to_string(),
                "--name",
                "Alice",
                "--conference",
                "room",
                "--audio",
                "silence",
                "--record",
                record.to_str().unwrap(),
            ],
        );
        let (own, conference) = alice.ready();
        assert_eq!(conference, format!("sip:room@{focus}"));

        let dave = Self::dave(&folder, ip, &conference);
        connected(&alice, 2);
        assert_same_roster(&alice, &dave);
        let watcher = Watcher::join(ip, focus, &conference);
        connected(&alice, 3);
        assert_same_roster(&alice, &dave);
        let bob = Baresip::start(folder.path(), "bob", ip, "pcmu", BOB_HZ, &conference);
        let mut alice = alice;
        alice.invite(&bob.uri);
        connected(&alice, 4);
        assert_same_roster(&alice, &dave);
        let mut carol =
            Baresip::start(folder.path(), "carol", ip, "opus/48000/2", CAROL_HZ, &conference);
        carol.dial(&conference);
        connected(&alice, 5);
        assert_same_roster(&alice, &dave);
        let erin = Sipp::call(folder.path(), ip, focus, "room", ERIN_HZ, ERINS_LINE);
        connected(&alice, 6);
        assert_same_roster(&alice, &dave);
        Self { folder, ip, focus, conference, own, alice, bob, carol, dave, erin, watcher }
    }

    fn dave(folder: &TempDir, ip: IpAddr, conference: &str) -> Cli {
        let listen = SocketAddr::new(ip, free_port(ip)).to_string();
        let record = folder.path().join("dave.wav");
        let tone = format!("tone:{DAVE_HZ}");
        let dave = Cli::start(
            "dave",
            &[
                "join",
                conference,
                "--listen",
                &listen,
                "--name",
                "Dave",
                "--audio",
                &tone,
                "--record",
                record.to_str().unwrap(),
            ],
        );
        dave.ready();
        dave
    }

    fn go_through(mut self) {
        self.everybody_hears_everybody("at the start");
        self.every_line_reaches_everybody_once();
        self.strangers_are_refused();
        self.a_text_to_the_host_stays_with_the_host();
        self.hold_and_resume();
        self.one_leaves_and_another_is_removed();
        self.the_end();
    }

    fn everybody_hears_everybody(&self, when: &str) {
        // Two seconds until everything flows, five to be measured.
        thread::sleep(Duration::from_millis(7_500));
        let family = if self.ip.is_ipv4() { "IPv4" } else { "IPv6" };
        let named = |end: &str| format!("{family}, {when}: {end}");
        let without = |own: f64| ALL.into_iter().filter(|hz| *hz != own).collect::<Vec<f64>>();
        assert_hears(&named("Alice"), &self.record("alice"), &ALL, None);
        let (bob, own) = (self.bob.recording(), Some((BOB_HZ, APART_PCMU_DB)));
        assert_hears(&named("Bob (PCMU)"), &bob, &without(BOB_HZ), own);
        let (carol, own) = (self.carol.recording(), Some((CAROL_HZ, APART_OPUS_DB)));
        assert_hears(&named("Carol (Opus)"), &carol, &without(CAROL_HZ), own);
        let (dave, own) = (self.record("dave"), Some((DAVE_HZ, APART_OPUS_DB)));
        assert_hears(&named("Dave (Opus)"), &dave, &without(DAVE_HZ), own);
    }

    fn every_line_reaches_everybody_once(&mut self) {
        let lines = [
            ("Alice", format!("Hello, {CUE}: https://example.org/a?b=c&d=\"e\"")),
            ("Erin", ERINS_LINE.to_owned()),
            ("bob", "from outside of the dialog: [2001:db8::1]:5060 \\ % \t tab".to_owned()),
            ("carol", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ2 carol@example.org".to_owned()),
            (
                "Dave",
                "  spaces around, ünïcödé, \u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}  "
                    .to_owned(),
            ),
        ];
        self.alice.say(&lines[0].1);
        self.until_all_have(&lines[..2]);
        self.bob.text(&lines[2].1);
        self.until_all_have(&lines[..3]);
        self.carol.text(&lines[3].1);
        self.until_all_have(&lines[..4]);
        self.dave.say(&lines[4].1);
        self.until_all_have(&lines);
        // Whatever would come twice has come by then.
        thread::sleep(Duration::from_secs(2));

        for (cli, name) in [(&self.alice, "Alice"), (&self.dave, "Dave")] {
            let shown: Vec<(String, String)> =
                cli.messages().into_iter().map(|line| (line.name, line.text)).collect();
            let others = lines.iter().filter(|(author, _)| *author != name);
            let others: Vec<(String, String)> =
                others.map(|(author, text)| ((*author).to_owned(), text.clone())).collect();
            let shown: Vec<_> = shown.into_iter().filter(|(author, _)| author != name).collect();
            assert_eq!(shown, others, "what {name} reads");
        }
        for (name, shown) in [
            ("bob", self.bob.shown()),
            ("carol", self.carol.shown()),
            ("Erin", self.erin.received()),
            ("Watcher", self.watcher.texts()),
        ] {
            let others = lines.iter().filter(|(author, _)| *author != name);
            let others: Vec<String> =
                others.map(|(author, text)| as_phones_read(author, text)).collect();
            assert_eq!(shown, others, "what {name} reads");
        }
        for (cli, reference) in [(&self.alice, "r1"), (&self.dave, "r1")] {
            cli.expect("accepted", Duration::from_secs(1), |event| event["ref"] == reference);
        }
        println!("{} lines reached {} ends each, once and byte for byte", lines.len(), 5);
    }

    /// Waits until every end has every line of another.
    #[track_caller]
    fn until_all_have(&self, lines: &[(&str, String)]) {
        let of_others = |name: &str| lines.iter().filter(|(author, _)| *author != name).count();
        let foreign = |cli: &Cli, own: &str| {
            cli.messages().iter().filter(|line: &&Line| line.name != own).count()
        };
        let counts = || {
            [
                ("Alice", foreign(&self.alice, "Alice")),
                ("bob", self.bob.shown().len()),
                ("carol", self.carol.shown().len()),
                ("Dave", foreign(&self.dave, "Dave")),
                ("Erin", self.erin.received().len()),
                ("Watcher", self.watcher.texts().len()),
            ]
        };
        let all = within(Duration::from_secs(6), || {
            counts().iter().all(|(name, count)| *count >= of_others(name))
        });
        assert!(all, "after `{}`: {:?}", lines.last().unwrap().1, counts());
    }

    /// What each end was shown so far; of the host, without what is for him alone.
    fn shown(&self) -> [Vec<String>; 6] {
        let texts = |cli: &Cli| {
            let lines = cli.messages().into_iter().filter(|line| line.to != "me");
            lines.map(|line| format!("{}: {}", line.name, line.text)).collect()
        };
        [
            texts(&self.alice),
            self.bob.shown(),
            self.carol.shown(),
            texts(&self.dave),
            self.erin.received(),
            self.watcher.texts(),
        ]
    }

    fn strangers_are_refused(&self) {
        let (before, private) = (self.shown(), self.alice.messages().len());
        let unknown = format!("sip:nobody@{}", self.focus);
        let forged_bob = format!("\"bob\" <{}>", self.bob.uri);
        let forged_host = format!("\"Alice\" <{}>", self.own);
        // Every end of this conference lives at this address: another port of it is nobody's.
        for (target, from, status) in [
            (&self.conference, "<sip:mallory@example.org>", 403),
            (&unknown, "<sip:mallory@example.org>", 404),
            (&self.conference, forged_bob.as_str(), 403),
            (&self.conference, forged_host.as_str(), 403),
        ] {
            assert_eq!(self.stranger_writes(target, from), status, "{from} to {target}");
        }
        thread::sleep(Duration::from_secs(1));
        assert_eq!(self.shown(), before, "a stranger's text was shown");
        assert_eq!(self.alice.messages().len(), private, "a stranger's text was shown");
    }

    /// Sends one MESSAGE from a port of its own; gives the status of the answer.
    fn stranger_writes(&self, target: &str, from: &str) -> u16 {
        let socket = UdpSocket::bind(SocketAddr::new(self.ip, 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let source = socket.local_addr().unwrap();
        let branch = format!("stranger{}", source.port());
        let message = testkit::Stranger::message(target, from, source, &branch, "let me in");
        socket.send_to(&message, self.focus).unwrap();
        let mut answer = [0; 2048];
        let length = socket.recv(&mut answer).expect("a stranger is answered");
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status")
    }

    /// A text to Alice herself, from somebody who may be anybody: hers alone.
    fn a_text_to_the_host_stays_with_the_host(&self) {
        let before = self.shown();
        let status = self.stranger_writes(&self.own, "<sip:frank@example.org>");
        assert!([200, 202].contains(&status), "{status}");
        self.alice.expect("message", Duration::from_secs(2), |event| {
            event["text"] == "let me in" && event["to"] == "me"
        });
        thread::sleep(Duration::from_secs(1));
        assert_eq!(self.shown(), before, "a personal text was relayed");
    }

    fn hold_and_resume(&mut self) {
        self.bob.hold();
        state(&self.alice, "bob", "on-hold");
        assert_same_roster(&self.alice, &self.dave);
        thread::sleep(Duration::from_secs(2));
        self.bob.resume();
        state(&self.alice, "bob", "connected");
        assert_same_roster(&self.alice, &self.dave);
        self.everybody_hears_everybody("after hold and resume");
    }

    fn one_leaves_and_another_is_removed(&mut self) {
        self.carol.hang_up();
        state(&self.alice, "carol", "disconnected");
        assert_same_roster(&self.alice, &self.dave);
        let event = self.alice.expect("participant", Duration::from_secs(1), |event| {
            event["name"] == "Watcher" && event["state"] == "connected"
        });
        let id = event["id"].clone();
        self.alice.command(&serde_json::json!({"command": "remove", "id": id}));
        state(&self.alice, "Watcher", "disconnected");
        assert_same_roster(&self.alice, &self.dave);
        assert!(within(Duration::from_secs(3), || self.watcher.was_hung_up()), "no BYE came");
        assert!(
            within(Duration::from_secs(3), || {
                self.watcher.subscription_state().starts_with("terminated")
            }),
            "the subscription goes on: {}",
            self.watcher.subscription_state()
        );
        documents::assert_valid(&self.watcher.documents(), self.folder.path());
    }

    fn the_end(&mut self) {
        let status = self.alice.end().expect("the host ends");
        assert!(status.success(), "the host ended with {status}");
        self.alice.expect("ended", Duration::from_secs(1), |_| true);
        self.dave.expect("ended", Duration::from_secs(5), |_| true);
        assert!(self.erin.succeeded(), "sipp's scenario failed\n{}", self.erin.tail());
    }

    fn record(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.wav"))
    }
}

/// A line with its author, as a phone reads it that knows no authors (docs/sip-chat.md): a key begins a line of its own.
fn as_phones_read(author: &str, text: &str) -> String {
    if text.starts_with("ssh-") {
        format!("{author} (1 line):\n{text}")
    } else {
        format!("{author}: {text}")
    }
}

#[track_caller]
fn connected(cli: &Cli, wanted: usize) {
    let count = || cli.present().values().filter(|(_, state)| state == "connected").count();
    let all = process::within(Duration::from_secs(8), || count() == wanted);
    assert!(all, "{} of {wanted} are connected: {:#?}", count(), cli.roster());
}

#[track_caller]
fn state(cli: &Cli, name: &str, wanted: &str) {
    let is = || cli.roster().values().any(|one| *one == (name.to_owned(), wanted.to_owned()));
    assert!(
        process::within(Duration::from_secs(6), is),
        "{name} is not {wanted}: {:#?}",
        cli.roster()
    );
}
