//! A link that goes down and comes back, with the same address or with another, and a process that is stopped for a minute:
//! within five seconds the account is registered and the call is as before, or it is over and both ends were told. `make
//! interop` runs it; it needs kamailio, iproute2, and leave to make network namespaces.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[allow(dead_code, reason = "the other stories use the rest")]
mod ends {
    pub mod cli;
    pub mod dns;
    pub mod kamailio;
    pub mod namespace;
    pub mod process;
    pub mod recording;
}

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use ends::cli::Cli;
use ends::dns::NameServer;
use ends::kamailio::{DOMAIN, Kamailio, Rules};
use ends::namespace::{FAR, Near, in_a_namespace};
use ends::process::free_port;
use ends::recording::Window;
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(8);
/// How long it may take until all is well again.
const BACK: Duration = Duration::from_secs(5);
const AWAY: Duration = Duration::from_secs(10);
const HOST_HZ: f64 = 617.0;
const BOB_HZ: f64 = 440.0;

/// To whom it happens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Who {
    Host,
    Bob,
}

/// What a program is started by, and where it listens.
struct Place {
    launcher: Vec<String>,
    listen: SocketAddr,
}

/// A conference at an account of Kamailio's, with one participant who dialled it.
struct Call {
    folder: TempDir,
    kamailio: Kamailio,
    _names: NameServer,
    host: Cli,
    bob: Cli,
    lines: u32,
}

impl Call {
    /// Begins it; both hear and read each other.
    fn begin(transport: &str, rules: Rules, places: [Place; 2]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let users = [("weekly", "w"), ("bob", "b")];
        let kamailio = Kamailio::start_with(folder.path(), &users, rules);
        let names = kamailio.names(transport);
        let [hosts, bobs] = places;
        let start = |user: &str, what: &[&str], hz: f64, place: &Place| {
            let file = folder.path().join(format!("{user}.password"));
            std::fs::write(&file, format!("{}\n", &user[..1])).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            std::fs::set_permissions(&file, mode).unwrap();
            let account = format!("sip:{user}@{DOMAIN}");
            let (dns, listen) = (names.address.to_string(), place.listen.to_string());
            let (tone, record) = (format!("tone:{hz}"), heard(folder.path(), user));
            let mut all = what.to_vec();
            all.extend(["--account", &account, "--password-file", file.to_str().unwrap()]);
            all.extend(["--dns", &dns, "--listen", &listen, "--audio", &tone]);
            all.extend(["--name", what[0], "--record", record.to_str().unwrap()]);
            let cli = Cli::start_by(&place.launcher, user, &all);
            cli.expect("registration", SOON, |event| event["state"] == "registered");
            cli
        };
        let host = start("weekly", &["host", "--conference", "weekly"], HOST_HZ, &hosts);
        let conference = format!("sip:weekly@{DOMAIN}");
        let bob = start("bob", &["join", &conference], BOB_HZ, &bobs);
        bob.expect("ready", SOON, |_| true);
        let mut call = Self { folder, kamailio, _names: names, host, bob, lines: 0 };
        let began = Instant::now();
        call.until_it_flows(began, SOON).unwrap_or_else(|why| panic!("at the start: {why}"));
        call
    }

    fn cli(&self, who: Who) -> &Cli {
        match who {
            Who::Host => &self.host,
            Who::Bob => &self.bob,
        }
    }

    /// Whether one's recording grew and its end is the other's tone.
    fn hears(&self, who: Who, since_bytes: u64) -> bool {
        let (user, hz) = match who {
            Who::Host => ("weekly", BOB_HZ),
            Who::Bob => ("bob", HOST_HZ),
        };
        let path = heard(self.folder.path(), user);
        // Half a second more than then, and a whole one in all.
        size(&path) >= (since_bytes + 48_000).max(100_000)
            && Window::last(&path, 1).level_dbov(hz) > -26.0
    }

    fn recorded(&self) -> [u64; 2] {
        ["weekly", "bob"].map(|user| size(&heard(self.folder.path(), user)))
    }

    /// Waits until lines written from now on arrive at both ends, and sound does.
    fn until_it_flows(&mut self, since: Instant, limit: Duration) -> Result<(), String> {
        let sound = self.recorded();
        let mut written: Vec<String> = Vec::new();
        let mut next = Instant::now();
        loop {
            // More than one, as the first may go out while the way is not yet back; not more than a second's share.
            if Instant::now() >= next {
                self.lines += 1;
                let line = format!("line {}", self.lines);
                for cli in [&mut self.host, &mut self.bob] {
                    cli.say(&line);
                }
                written.push(line);
                next += Duration::from_secs(1);
            }
            let reads = |cli: &Cli| cli.messages().iter().any(|line| written.contains(&line.text));
            let state = [
                ("the host reads", reads(&self.host)),
                ("Bob reads", reads(&self.bob)),
                ("the host hears", self.hears(Who::Host, sound[0])),
                ("Bob hears", self.hears(Who::Bob, sound[1])),
            ];
            if state.iter().all(|(_, so)| *so) {
                return Ok(());
            }
            if since.elapsed() > limit {
                return Err(format!("after {:?}: {state:?}", since.elapsed()));
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Whether it is over at both ends, in words.
    fn is_over(&self) -> bool {
        let told = |cli: &Cli| {
            cli.events().iter().any(|event| {
                let gone = event["event"] == "participant" && event["state"] == "disconnected";
                (gone || event["event"] == "ended")
                    && event["reason"].as_str().is_some_and(|reason| !reason.is_empty())
            })
        };
        told(&self.host) && told(&self.bob)
    }

    /// Within five seconds of `since` the account answers, and the call is as before or over.
    fn is_back(&mut self, who: Who, since: Instant) {
        let registered = thread::scope(|scope| {
            let asked = (self.kamailio.address, if who == Who::Host { "weekly" } else { "bob" });
            let asking = scope.spawn(move || is_reached(asked.0, asked.1, since));
            let flows = self.until_it_flows(since, BACK);
            let took = since.elapsed();
            let registered = asking.join().expect("it does not panic");
            match flows {
                Ok(()) => println!("{who:?}: the call was back after {took:?}"),
                Err(why) => {
                    assert!(
                        self.is_over(),
                        "{who:?}: neither back nor over: {why}\n{}",
                        self.tails()
                    );
                    println!("{who:?}: the call was over, and both were told, after {took:?}");
                }
            }
            registered
        });
        let Some(registered) = registered else {
            panic!(
                "{who:?}: its account does not answer after {:?}\n{}",
                since.elapsed(),
                self.tails()
            );
        };
        println!("{who:?}: its account answered after {registered:?}");
    }

    fn tails(&self) -> String {
        format!("{}{}{}", self.host.tail(), self.bob.tail(), self.kamailio.tail())
    }

    fn end(mut self) {
        for cli in [&mut self.bob, &mut self.host] {
            // Whose call was over is gone already.
            if cli.events().last().is_none_or(|event| event["event"] != "ended") {
                assert!(cli.end().is_some(), "{}", cli.tail());
            }
        }
    }
}

fn heard(folder: &Path, user: &str) -> PathBuf {
    folder.join(format!("{user}.wav"))
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}

/// Asks an account through its registrar until its phone answers; how long that took, where it was not too long.
fn is_reached(kamailio: SocketAddr, user: &str, since: Instant) -> Option<Duration> {
    let socket = UdpSocket::bind((kamailio.ip(), 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let own = socket.local_addr().unwrap();
    for round in 0.. {
        if since.elapsed() > BACK {
            break;
        }
        let unique = format!("{}r{round}", own.port());
        let options = format!(
            "OPTIONS sip:{user}@{DOMAIN} SIP/2.0\r\nVia: SIP/2.0/UDP {own};rport;branch=z9hG4bK{unique}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:probe@{own}>;tag={unique}\r\nTo: <sip:{user}@{DOMAIN}>\r\n\
             Call-ID: {unique}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        );
        socket.send_to(options.as_bytes(), kamailio).unwrap();
        let mut buffer = [0; 4096];
        while let Ok(length) = socket.recv(&mut buffer) {
            // What the proxy says by itself names another program.
            if String::from_utf8_lossy(&buffer[..length]).contains(": Parlour/") {
                return Some(since.elapsed());
            }
        }
    }
    None
}

/// The link of one of the two is down for ten seconds; `address` is what it has when it comes back.
fn the_link_goes_down(test: &str, transport: &str, who: Who, address: Option<[u8; 4]>) {
    in_a_namespace(test, || {
        let near = Near::begin();
        let rules = Rules { ip: FAR, ..Rules::default() };
        let far_listen = SocketAddr::new(FAR, free_port(FAR));
        let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let away = Place { launcher: near.launcher(), listen: SocketAddr::new(any, 5060) };
        let here = Place { launcher: Vec::new(), listen: far_listen };
        let places = if who == Who::Host { [away, here] } else { [here, away] };
        let mut call = Call::begin(transport, rules, places);
        near.link("down");
        thread::sleep(AWAY);
        if let Some(address) = address {
            near.address(address.into());
        }
        let other = if who == Who::Host { Who::Bob } else { Who::Host };
        assert!(!call.hears(other, 0), "the link is not down");
        near.link("up");
        call.is_back(who, Instant::now());
        call.end();
    });
}

#[test]
fn udp_a_participant_comes_back() {
    the_link_goes_down("udp_a_participant_comes_back", "udp", Who::Bob, None);
}

#[test]
fn tcp_a_participant_comes_back() {
    the_link_goes_down("tcp_a_participant_comes_back", "tcp", Who::Bob, None);
}

#[test]
fn udp_a_participant_comes_back_with_another_address() {
    let test = "udp_a_participant_comes_back_with_another_address";
    the_link_goes_down(test, "udp", Who::Bob, Some([10, 9, 0, 3]));
}

#[test]
fn tcp_a_participant_comes_back_with_another_address() {
    let test = "tcp_a_participant_comes_back_with_another_address";
    the_link_goes_down(test, "tcp", Who::Bob, Some([10, 9, 0, 3]));
}

#[test]
fn udp_the_host_comes_back() {
    the_link_goes_down("udp_the_host_comes_back", "udp", Who::Host, None);
}

#[test]
fn tcp_the_host_comes_back() {
    the_link_goes_down("tcp_the_host_comes_back", "tcp", Who::Host, None);
}

#[test]
fn udp_the_host_comes_back_with_another_address() {
    let test = "udp_the_host_comes_back_with_another_address";
    the_link_goes_down(test, "udp", Who::Host, Some([10, 9, 0, 3]));
}

#[test]
fn tcp_the_host_comes_back_with_another_address() {
    let test = "tcp_the_host_comes_back_with_another_address";
    the_link_goes_down(test, "tcp", Who::Host, Some([10, 9, 0, 3]));
}

/// A minute is longer than any transaction, and than the registration lasts here. Each in a call of its own, all at once.
#[test]
fn a_process_that_was_stopped_for_a_minute_is_back() {
    let stories = [("udp", Who::Bob), ("udp", Who::Host), ("tcp", Who::Bob), ("tcp", Who::Host)];
    let all = thread::scope(|scope| {
        let running =
            stories.map(|(transport, who)| scope.spawn(move || is_stopped(transport, who)));
        running.map(|story| story.join().is_ok())
    });
    assert_eq!(all, [true; 4], "{stories:?}: see above");
}

fn is_stopped(transport: &str, who: Who) {
    let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let rules = Rules { max_expires: 20, ..Rules::default() };
    let place = || Place { launcher: Vec::new(), listen: SocketAddr::new(ip, free_port(ip)) };
    let mut call = Call::begin(transport, rules, [place(), place()]);
    call.cli(who).signal("STOP");
    thread::sleep(Duration::from_secs(60));
    call.cli(who).signal("CONT");
    println!("by {transport}:");
    call.is_back(who, Instant::now());
    call.end();
}
