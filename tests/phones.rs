//! Four phones at a time in one conference: baresip, linphonec, Twinkle, and a phone that is played by sipp; by UDP and by
//! TCP, direct and through Kamailio. What each does goes into docs/interop.md. `make interop` runs it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[allow(dead_code, reason = "the other stories use the rest")]
mod ends {
    pub mod account;
    pub mod baresip;
    pub mod cli;
    pub mod dns;
    pub mod kamailio;
    pub mod linphone;
    pub mod phone;
    pub mod process;
    pub mod profile;
    pub mod sipp;
    pub mod table;
    pub mod twinkle;
}

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ends::account::with_account;
use ends::baresip::Baresip;
use ends::cli::Cli;
use ends::kamailio::{DOMAIN, Kamailio};
use ends::linphone::Linphone;
use ends::phone::{Phone, Server, Way, version_of};
use ends::process::within;
use ends::profile::{CALLS, Habits, JAMI, PJSUA, Profile, Writes};
use ends::sipp::CUE;
use ends::table::{Row, record};
use ends::twinkle::Twinkle;
use serde_json::Value;

const SOON: Duration = Duration::from_secs(10);

/// A public line: its author as the host calls him, and its text.
type Line = (String, String);

/// One phone in the conference.
struct Guest {
    end: End,
    /// How the host calls him.
    name: &'static str,
    /// Name and version of the phone.
    phone: [String; 2],
    /// Where it is.
    ip: IpAddr,
    /// How it came: `UDP, invited`.
    came: String,
}

enum End {
    Real(Box<dyn Phone>),
    Played(Profile, Habits),
}

impl Guest {
    fn shown(&self) -> Vec<String> {
        match &self.end {
            End::Real(phone) => phone.shown(),
            // What GNOME Calls takes nobody sees.
            End::Played(_, habits) if habits.writes == Writes::Never => Vec::new(),
            End::Played(profile, _) => profile.shown(),
        }
    }

    fn shows_texts(&self) -> bool {
        !matches!(&self.end, End::Played(_, habits) if habits.writes == Writes::Never)
    }

    /// The lines that its user was shown, those in parts put together, and in how many parts each came.
    fn lines(&self) -> Vec<(Line, usize)> {
        let mut lines: Vec<(Line, usize)> = Vec::new();
        let mut is_open = false;
        for text in self.shown() {
            // sipp ends the lines of what it plays by CR LF.
            let text = text.replace('\r', "");
            let (author, text) = author_of(&text);
            let (text, place, count) = part_of(&text);
            match lines.last_mut() {
                Some(((of, whole), parts)) if is_open && *of == author && *parts + 1 == place => {
                    whole.push_str(&text);
                    *parts = place;
                }
                Some(_) | None => lines.push(((author, text), 1)),
            }
            is_open = place < count;
        }
        lines
    }

    fn has(&self, line: &Line) -> bool {
        self.lines().iter().any(|(shown, _)| shown == line)
    }
}

/// Takes the author off, as a reader does.
fn author_of(text: &str) -> (String, String) {
    let (first, behind) = text.split_once('\n').unwrap_or((text, ""));
    if let Some((author, count)) = first.strip_suffix("):").and_then(|head| head.rsplit_once(" ("))
        && (count.ends_with(" line") || count.ends_with(" lines"))
    {
        return (author.to_owned(), behind.to_owned());
    }
    let (author, text) = text.split_once(": ").unwrap_or(("nobody", text));
    (author.to_owned(), text.to_owned())
}

/// Takes the mark of a part off: the text, its place, and of how many.
fn part_of(text: &str) -> (String, usize, usize) {
    let part = || {
        let (text, mark) = text.strip_suffix(')')?.rsplit_once(" (")?;
        let (place, count) = mark.split_once('/')?;
        Some((text.to_owned(), place.parse().ok()?, count.parse().ok()?))
    };
    part().unwrap_or_else(|| (text.to_owned(), 1, 1))
}

/// A conference with its host and four phones.
struct Conference {
    host: Cli,
    host_name: &'static str,
    trace: PathBuf,
    guests: Vec<Guest>,
    /// Every public line so far.
    said: Vec<Line>,
}

/// The address of one of the ends: each has its own, as has each run. All are of one length, so that texts have as many
/// parts in each run.
fn address(story: u8, end: u8) -> IpAddr {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 100 + high % 100, 100 + low % 150, 100 + story * 10 + end).into()
}

impl Conference {
    /// Four phones that come by this way, by turns invited and by themselves; through Kamailio all the one or all the other.
    fn of_four(
        folder: &Path,
        story: u8,
        way: Way<'_>,
        (mut host, host_name, trace): (Cli, &'static str, PathBuf),
        conference: &str,
        (invited, habits): ([bool; 3], Habits),
    ) -> Self {
        let by = if way.transport == "tcp" && way.server.is_none() { ";transport=tcp" } else { "" };
        let uri = format!("{conference}{by}");
        let ip = |end| address(story, end);
        let real: [(Box<dyn Phone>, &str, &str); 3] = [
            (Box::new(Baresip::start_by(folder, "bob", ip(2), way, &uri)), "bob", "baresip-core"),
            (Box::new(Linphone::start(folder, "carol", ip(3), way, &uri)), "carol", "linphone-cli"),
            (Box::new(Twinkle::start(folder, "dave", ip(4), way, &uri)), "dave", "twinkle-console"),
        ];
        let through = if way.server.is_some() { " through Kamailio" } else { "" };
        let transport = way.transport.to_uppercase();
        let mut guests = Vec::new();
        for ((mut phone, name, package), invited) in real.into_iter().zip(invited) {
            if invited {
                host.invite(&format!("{}{by}", phone.uri()));
            } else {
                phone.dial(&uri);
            }
            let came = if invited { "invited" } else { "dials in" };
            guests.push(Guest {
                end: End::Real(phone),
                ip: ip(u8::try_from(guests.len()).unwrap() + 2),
                name,
                phone: [package.split('-').next().unwrap().to_owned(), version_of(package)],
                came: format!("{transport}{through}, {came}"),
            });
        }
        let mut one = Self { host, host_name, trace, guests, said: Vec::new() };
        one.until_connected(4);
        let server = way.server.map_or_else(
            || conference.split_once('@').unwrap().1.parse().unwrap(),
            |server| server.address,
        );
        let target = (server, way.transport);
        let profile = Profile::call(folder, ip(5), target, &uri, habits, &quote());
        let (phone, version) = habits.agent.split_once([' ', '/']).unwrap_or((habits.agent, ""));
        let name = match phone {
            "PJSUA" => ["pjsua", "2.17"],
            "gnome-calls" => ["GNOME Calls", "44"],
            phone => [phone, "13.7"],
        };
        assert!(version.is_empty() || version.contains(name[1]));
        one.guests.push(Guest {
            end: End::Played(profile, habits),
            ip: ip(5),
            name: "Erin",
            phone: [format!("{}, played by sipp", name[0]), name[1].to_owned()],
            came: format!("{transport}{through}, dials in"),
        });
        one.until_connected(5);
        one
    }

    fn until_connected(&self, wanted: usize) {
        let count = || {
            let present = self.host.present();
            present.values().filter(|(_, state)| state == "connected").count()
        };
        let all = within(Duration::from_secs(20), || count() == wanted);
        assert!(all, "{} of {wanted} are there: {:#?}", count(), self.host.roster());
    }

    /// Waits until everybody has a line; who has not is seen in the table.
    fn until_read(&mut self, author: &str, text: &str) -> bool {
        let line = (author.to_owned(), text.to_owned());
        let others: Vec<&Guest> = self
            .guests
            .iter()
            .filter(|guest| guest.name != author && guest.shows_texts())
            .collect();
        let at_host = || {
            author == self.host_name
                || self.host.messages().iter().any(|one| {
                    one.name == author && one.text.replace('\r', "") == text && one.to == "everyone"
                })
        };
        let all = within(SOON, || at_host() && others.iter().all(|guest| guest.has(&line)));
        self.said.push(line);
        all
    }

    fn host_says(&mut self, text: &str) {
        self.host.say(text);
        self.until_read(self.host_name, text);
    }

    /// Everybody writes, and everything is measured.
    fn go_through(mut self, story: &str) {
        let played = self.guests.last().map(|guest| (guest.name, &guest.end));
        let cue = match played {
            Some((_, End::Played(_, habits))) => habits.writes,
            Some((_, End::Real(_))) | None => Writes::Never,
        };
        let mut written = vec![String::new(); 4];
        let mut keys = vec![String::new(); 4];
        self.host_says("Hello: https://example.org/a?b=c&d=\"e\" Grüße \\ % \u{1f642}");
        if cue == Writes::Soon {
            written[3] = self.reached("Erin", &quote());
        }
        for (at, written) in written.iter_mut().enumerate().take(3) {
            let (name, text) =
                (self.guests[at].name, format!("from {at}, Grüße & 100 % \u{1f642}"));
            let End::Real(phone) = &mut self.guests[at].end else { continue };
            phone.text(&text);
            *written = self.reached(name, &text);
        }
        if cue == Writes::Cued {
            self.host_says(&format!("Well, {CUE}"));
            written[3] = self.reached("Erin", &quote());
        }
        self.host_says(&key("alice"));
        self.host_says(&quote());
        for (at, written) in keys.iter_mut().enumerate().take(3) {
            let (name, mut text) = (self.guests[at].name, key(self.guests[at].name));
            if at == 0 {
                // Its control takes no more.
                text = format!("ssh-rsa {} {name}@example.org", &text[8..380]);
            }
            let End::Real(phone) = &mut self.guests[at].end else { continue };
            phone.text(&text);
            *written = self.reached(name, &text);
        }
        let mut rows = Vec::new();
        for (at, guest) in self.guests.iter().enumerate() {
            let mut row = |feature: &str, result: String| {
                let [phone, version] = guest.phone.clone();
                let feature = format!("{}: {feature}", guest.came);
                rows.push(Row { phone, version, feature, result });
            };
            row("reads the others", self.reading_of(guest));
            if guest.shows_texts() {
                row("a key of 4 kB", Self::form_of(guest, self.host_name, &key("alice")));
                row("a quote of 40 lines", Self::form_of(guest, self.host_name, &quote()));
                let what = if at == 3 { "writes a quote of 40 lines" } else { "writes" };
                row(what, written[at].clone());
            }
            if at < 3 {
                let size = if at == 0 { "400 bytes" } else { "4 kB" };
                row(&format!("writes a key of {size}"), keys[at].clone());
            }
        }
        for (row, result) in self.leave() {
            let [phone, version] = self.guests[row].phone.clone();
            let feature = format!("{}: the end", self.guests[row].came);
            rows.push(Row { phone, version, feature, result });
        }
        rows.sort_by_key(|row| self.guests.iter().position(|guest| guest.phone[0] == row.phone));
        record(story, &rows);
    }

    /// Whether a line that a guest wrote reached everybody, and how it came.
    fn reached(&mut self, name: &'static str, text: &str) -> String {
        if !self.until_read(name, text) {
            let line = (name.to_owned(), text.to_owned());
            let lack = self.guests.iter().filter(|guest| guest.name != name && guest.shows_texts());
            let lack: Vec<&str> =
                lack.filter(|guest| !guest.has(&line)).map(|guest| guest.name).collect();
            return format!("NOT to {lack:?}");
        }
        let messages = self.host.messages();
        let line = messages
            .iter()
            .find(|line| line.name == name && line.text.replace('\r', "") == text)
            .unwrap();
        let proof = if line.verified { "verified" } else { "not verified" };
        let way = self.way(true, |message| message.contains(&text[..text.len().min(30)]));
        format!("to everybody, {way} the call, {proof}")
    }

    /// Whether the first of the MESSAGEs that are meant went inside of a call.
    fn way(&self, is_in: bool, is_meant: impl Fn(&str) -> bool) -> &'static str {
        let trace = fs::read_to_string(&self.trace).unwrap();
        let lines = trace.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut messages = lines.filter(|line| line["is_in"] == is_in).filter_map(|line| {
            let message = line["message"].as_str()?.to_owned();
            (message.starts_with("MESSAGE ") && is_meant(&message)).then_some(message)
        });
        let Some(message) = messages.next() else { return "NOT SEEN in or out of" };
        let is_to = |line: &&str| line.starts_with("To:") || line.starts_with("t:");
        let to = message.lines().find(is_to).unwrap_or_default();
        if to.contains(";tag=") { "inside of" } else { "outside of" }
    }

    /// What a guest was shown, beside what it should have been.
    fn reading_of(&self, guest: &Guest) -> String {
        let wanted = self.said.iter().filter(|(author, _)| author != guest.name);
        let shown: Vec<Line> = guest.lines().into_iter().map(|(line, _)| line).collect();
        let entity = self.entity_of(guest);
        let first = self.host.expect("accepted", SOON, |event| event["ref"] == "r1");
        let mut states = self.host.events().into_iter().filter(|event| {
            event["event"] == "delivery"
                && event["id"] == first["id"]
                && event["recipient"] == entity.as_str()
        });
        let state = states.next_back().map(|event| event["state"].clone()).unwrap_or_default();
        let state = state.as_str().unwrap_or("no state").to_owned();
        let (user, ip) = (format!("sip:{}@", guest.name.to_lowercase()), guest.ip.to_string());
        let way = self.way(false, |message| {
            let to = message.lines().find(|line| line.starts_with("To:")).unwrap_or_default();
            to.contains(&user) || to.contains(&ip)
        });
        if !guest.shows_texts() {
            return format!("{way} the call; `{state}`, and shown to nobody");
        }
        let wanted: Vec<&Line> = wanted.collect();
        let shown_as: Vec<&Line> = shown.iter().collect();
        if shown_as != wanted {
            let brief = |lines: &[&Line]| -> Vec<String> {
                lines.iter().map(|(who, text)| format!("{who}: {:.20}", text)).collect()
            };
            return format!("NOT {:?} but {:?}", brief(&wanted), brief(&shown_as));
        }
        format!("every line once, with its author, {way} the call; `{state}`")
    }

    fn entity_of(&self, guest: &Guest) -> String {
        let roster = self.host.roster();
        let one = roster.iter().find(|(_, (name, _))| name == guest.name);
        one.map(|(entity, _)| entity.clone()).unwrap_or_default()
    }

    /// How a long text of the host came: whole or in parts.
    fn form_of(guest: &Guest, author: &str, text: &str) -> String {
        let line = (author.to_owned(), text.to_owned());
        let lines = guest.lines();
        let found = lines.iter().find(|(shown, _)| *shown == line).map(|(_, parts)| *parts);
        let longest = match &guest.end {
            End::Played(profile, _) if profile.longest() <= 3_500 => ", no request over 3500 bytes",
            End::Played(..) => ", SOME REQUEST OVER 3500 BYTES",
            End::Real(_) => "",
        };
        match found {
            None => "NOT shown byte for byte".to_owned(),
            Some(1) => format!("whole, every byte{longest}"),
            Some(_) => format!("in parts, every byte{longest}"),
        }
    }

    /// The first of the real phones hangs up, the others are hung up upon.
    fn leave(&mut self) -> Vec<(usize, String)> {
        let mut results = Vec::new();
        for at in 0..2 {
            let name = self.guests[at].name;
            let End::Real(phone) = &mut self.guests[at].end else { continue };
            phone.hang_up();
            let gone = |host: &Cli| {
                let roster = host.roster();
                roster.values().any(|one| *one == (name.to_owned(), "disconnected".to_owned()))
            };
            let is_gone = within(SOON, || gone(&self.host));
            let result = if is_gone { "hangs up and is gone" } else { "NOT gone after hanging up" };
            results.push((at, result.to_owned()));
        }
        let twinkle = self.host.present().values().any(|(name, _)| name == "dave");
        assert!(self.host.end().expect("the host ends").success());
        results.push((2, if twinkle { "stays to the end" } else { "NOT there at the end" }.into()));
        if let Some(Guest { end: End::Played(profile, _), .. }) = self.guests.last_mut() {
            let went = profile.succeeded();
            let result =
                if went { "the call stays to the end" } else { "NOT as its scenario says" };
            if !went {
                eprint!("{}", profile.tail());
            }
            results.push((3, result.to_owned()));
        }
        results
    }
}

/// A public key of some 4 kB, in one line.
fn key(whose: &str) -> String {
    let middle: String = (0..4_000_u32)
        .map(|at| {
            let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
            char::from(letters[(at * at + 7 * at + at / 64) as usize % letters.len()])
        })
        .collect();
    format!("ssh-rsa AAAAB3NzaC1yc2E{middle} {whose}@example.org")
}

/// Forty quoted lines.
fn quote() -> String {
    let lines =
        (1..=40).map(|at| format!("> {at:02}: what was said then, \"word by word\"; 5 % of it"));
    lines.collect::<Vec<String>>().join("\n")
}

fn direct(story: u8, transport: &'static str, name: &str, invited: [bool; 3], habits: Habits) {
    let folder = tempfile::tempdir().unwrap();
    // linphonec drops the port of an address: what its user writes goes to 5060.
    let listen = SocketAddr::new(address(story, 1), 5060).to_string();
    let trace = folder.path().join("trace");
    let host = Cli::start(
        "alice",
        &[
            "host",
            "--listen",
            &listen,
            "--name",
            "Alice",
            "--conference",
            "room",
            "--audio",
            "silence",
            "--trace",
            trace.to_str().unwrap(),
            "--trace-bodies",
        ],
    );
    let (_, conference) = host.ready();
    let way = Way { transport, server: None };
    let host = (host, "Alice", trace);
    Conference::of_four(folder.path(), story, way, host, &conference, (invited, habits))
        .go_through(name);
}

fn through_kamailio(
    story: u8,
    transport: &'static str,
    name: &str,
    invited: [bool; 3],
    habits: Habits,
) {
    let folder = tempfile::tempdir().unwrap();
    let users = [("weekly", "weekly"), ("bob", "bob"), ("carol", "carol"), ("dave", "dave")];
    let kamailio = Kamailio::start(folder.path(), &users);
    let names = kamailio.names(transport);
    let trace = folder.path().join("trace");
    let what =
        ["host", "--conference", "weekly", "--trace", trace.to_str().unwrap(), "--trace-bodies"];
    let host = with_account(&kamailio, &names, "weekly", "weekly", &what);
    let (_, conference) = host.ready();
    let server = Server { domain: DOMAIN, address: kamailio.address };
    let way = Way { transport, server: Some(server) };
    let host = (host, "Host", trace);
    Conference::of_four(folder.path(), story, way, host, &conference, (invited, habits))
        .go_through(name);
}

#[test]
fn four_by_udp() {
    direct(1, "udp", "four_by_udp", [false; 3], JAMI);
}

#[test]
fn four_by_tcp() {
    direct(2, "tcp", "four_by_tcp", [true, true, false], PJSUA);
}

#[test]
fn four_through_kamailio_by_udp() {
    through_kamailio(3, "udp", "four_through_kamailio_by_udp", [false; 3], CALLS);
}

#[test]
fn four_through_kamailio_by_tcp() {
    through_kamailio(4, "tcp", "four_through_kamailio_by_tcp", [true; 3], PJSUA);
}

/// linphonec writes outside of the call to the address that called it. Without an account that is the conference's own.
#[test]
fn linphone_invited_without_account() {
    let folder = tempfile::tempdir().unwrap();
    let listen = SocketAddr::new(address(5, 1), 5060).to_string();
    let arguments = ["host", "--listen", &listen, "--name", "Alice", "--conference", "room"];
    let mut host = Cli::start("alice", &[&arguments[..], &["--audio", "silence"]].concat());
    let (_, conference) = host.ready();
    let way = Way { transport: "udp", server: None };
    let mut bob = Baresip::start_by(folder.path(), "bob", address(5, 2), way, &conference);
    let mut carol = Linphone::start(folder.path(), "carol", address(5, 3), way, &conference);
    bob.dial(&conference);
    host.invite(carol.uri());
    let both = || host.present().values().filter(|(_, state)| state == "connected").count() == 3;
    assert!(within(SOON, both), "{:#?}", host.roster());
    carol.text("to everybody");
    let reached = within(SOON, || {
        let at_host = host.messages().iter().any(|line| {
            line.name == "carol" && line.text == "to everybody" && line.to == "everyone"
        });
        at_host && bob.shown() == ["carol: to everybody"]
    });
    assert!(carol.shown().is_empty(), "{:?}", carol.shown());
    let result =
        if reached { "it reaches everybody, without a notice" } else { "NOT to everybody" };
    record(
        "linphone_invited_without_account",
        &[row_of_linphone("by a host without account: writes", result)],
    );
}

/// With an account its own address calls: what is written there is the host's alone, but for `/all`.
#[test]
fn linphone_invited_with_account() {
    let folder = tempfile::tempdir().unwrap();
    let users = [("alice", "alice"), ("bob", "bob"), ("carol", "carol")];
    let kamailio = Kamailio::start(folder.path(), &users);
    let names = kamailio.names("udp");
    let host = ["host", "--conference", "room"];
    let mut host = with_account(&kamailio, &names, "alice", "alice", &host);
    host.ready();
    let server = Server { domain: DOMAIN, address: kamailio.address };
    let way = Way { transport: "udp", server: Some(server) };
    // What each writes goes to who called it.
    let called = format!("sip:alice@{DOMAIN}");
    let bob = Baresip::start_by(folder.path(), "bob", address(6, 2), way, &called);
    let mut carol = Linphone::start(folder.path(), "carol", address(6, 3), way, &called);
    for user in ["bob", "carol"] {
        assert!(within(SOON, || kamailio.granted(user) > 0), "{}", kamailio.tail());
        host.invite(&format!("sip:{user}@{DOMAIN}"));
    }
    let both = || host.present().values().filter(|(_, state)| state == "connected").count() == 3;
    assert!(within(SOON, both), "{:#?}", host.roster());
    let heard = |text: &str, to: &str| {
        let is =
            |line: &ends::cli::Line| line.name == "carol" && line.text == text && line.to == to;
        within(SOON, || host.messages().iter().any(is))
    };
    let mut results = Vec::new();
    let mut result = |feature: &str, so: bool, result: &str| {
        let result = if so { result.to_owned() } else { format!("NOT so: {result}") };
        let feature = format!("by a host with an account: {feature}");
        results.push(row_of_linphone(&feature, &result));
    };
    let notice = "[Conference] Only Host got this. Begin with /all to write to everyone.";
    carol.text("to the host");
    let so = heard("to the host", "me") && within(SOON, || carol.shown() == [notice]);
    result("writes", so, "the host's alone, with a notice");
    carol.text("once more");
    let so = heard("once more", "me");
    carol.text("/all to everybody");
    let all = heard("to everybody", "everyone")
        && within(SOON, || bob.shown() == ["carol: to everybody"]);
    let once = carol.shown() == [notice];
    result("writes again", so && once, "the host's alone, without another notice");
    result("begins with /all", all && bob.shown().len() == 1, "it reaches everybody");
    assert!(host.end().expect("the host ends").success());
    record("linphone_invited_with_account", &results);
}

fn row_of_linphone(feature: &str, result: &str) -> Row {
    let (phone, version) = ("linphone".to_owned(), version_of("linphone-cli"));
    Row { phone, version, feature: format!("invited {feature}"), result: result.to_owned() }
}
