//! `parlour-cli` under test: started, told by JSON lines, read by JSON lines.

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::process::{Program, within};

/// One running `parlour-cli`.
pub struct Cli {
    name: String,
    program: Program,
    references: u32,
}

/// Name and state of everybody, by entity.
pub type Roster = BTreeMap<String, (String, String)>;

/// A chat line as printed.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The author's name.
    pub name: String,
    /// The text.
    pub text: String,
    /// `everyone`, `me`, or an entity.
    pub to: String,
    /// Whether the author is verified.
    pub verified: bool,
}

impl Cli {
    /// Starts it with these arguments and `--json`.
    pub fn start(name: &str, arguments: &[&str]) -> Self {
        Self::start_by(&[], name, arguments)
    }

    /// As [`Self::start`], by a program that is given it as its last arguments and becomes it.
    pub fn start_by(launcher: &[String], name: &str, arguments: &[&str]) -> Self {
        let mut command = match launcher {
            [] => Command::new(path()),
            [program, options @ ..] => {
                let mut command = Command::new(program);
                command.args(options).arg(path());
                command
            }
        };
        command.args(arguments).arg("--json");
        let program = Program::start(name, &mut command);
        Self { name: name.to_owned(), program, references: 0 }
    }

    /// Waits for the `ready` event; gives its `uri` and `conference`.
    pub fn ready(&self) -> (String, String) {
        let ready = self.expect("ready", Duration::from_secs(10), |_| true);
        (text(&ready, "uri"), text(&ready, "conference"))
    }

    /// Waits for an event of a kind.
    #[track_caller]
    pub fn expect(&self, kind: &str, limit: Duration, so: impl Fn(&Value) -> bool) -> Value {
        let mut found = None;
        within(limit, || {
            found = self.events().into_iter().find(|event| event["event"] == kind && so(event));
            found.is_some()
        });
        found.unwrap_or_else(|| panic!("{}: no such {kind} event came\n{}", self.name, self.tail()))
    }

    /// Writes a command.
    pub fn command(&mut self, command: &Value) {
        self.program.write_line(&command.to_string());
    }

    /// Writes bytes as they are.
    pub fn write(&mut self, bytes: &[u8]) {
        self.program.write(bytes);
    }

    /// Its memory in RAM, in KiB.
    pub fn resident_kib(&self) -> u64 {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.program.id()));
        let statm = statm.expect("it runs");
        let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap();
        // The page of every machine that the tests run on.
        pages * 4
    }

    /// Sends it a signal, by name.
    pub fn signal(&self, name: &str) {
        let (signal, id) = (format!("-{name}"), self.program.id().to_string());
        assert!(Command::new("kill").args([&signal, &id]).status().unwrap().success());
    }

    /// Writes a line to everyone; gives its reference.
    pub fn say(&mut self, text: &str) -> String {
        self.references += 1;
        let reference = format!("r{}", self.references);
        self.command(&json!({"command": "say", "ref": reference, "text": text, "to": "everyone"}));
        reference
    }

    /// Calls somebody.
    pub fn invite(&mut self, uri: &str) {
        self.command(&json!({"command": "invite", "uri": uri}));
    }

    /// Ends it as a user would; gives its exit status, where it ended within five seconds.
    pub fn end(&mut self) -> Option<ExitStatus> {
        self.command(&json!({"command": "end"}));
        self.program.wait(Duration::from_secs(5))
    }

    /// Waits until it ends by itself.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        self.program.wait(limit)
    }

    /// Every event so far. A line that is no JSON object fails the test: the contract says there is none.
    pub fn events(&self) -> Vec<Value> {
        let lines = self.program.lines();
        let lines = lines.iter().filter(|line| !line.starts_with("! "));
        lines
            .map(|line| {
                serde_json::from_str(line)
                    .unwrap_or_else(|error| panic!("{}: `{line}`: {error}", self.name))
            })
            .collect()
    }

    /// Everybody as last told.
    pub fn roster(&self) -> Roster {
        let mut people: BTreeMap<String, Value> = BTreeMap::new();
        for event in self.events() {
            if event["event"] == "participant" {
                people.insert(event["id"].to_string(), event);
            }
        }
        people
            .values()
            .map(|one| (text(one, "entity"), (text(one, "name"), text(one, "state"))))
            .collect()
    }

    /// Those who are there: dialled, ringing, connected or on hold.
    pub fn present(&self) -> Roster {
        let mut roster = self.roster();
        roster.retain(|_, (_, state)| state != "disconnected");
        roster
    }

    /// Every line shown.
    pub fn messages(&self) -> Vec<Line> {
        let events = self.events();
        let messages = events.iter().filter(|event| event["event"] == "message");
        messages
            .map(|event| Line {
                name: text(event, "name"),
                text: text(event, "text"),
                to: text(event, "to"),
                verified: event["verified"] == true,
            })
            .collect()
    }

    /// Its last lines.
    pub fn tail(&self) -> String {
        self.program.tail()
    }
}

/// Waits until two ends show the same people, names and states, those included who left while both looked on.
#[track_caller]
pub fn assert_same_roster(one: &Cli, other: &Cli) {
    let limit = Duration::from_secs(6);
    let began = Instant::now();
    // Of those who left before an end came it cannot know.
    let both = || {
        let (ones, others) = (one.roster(), other.roster());
        let common = |roster: &Roster, beside: &Roster| {
            let mut kept = roster.clone();
            kept.retain(|entity, (_, state)| {
                state != "disconnected" || beside.contains_key(entity)
            });
            kept
        };
        (common(&ones, &others), common(&others, &ones))
    };
    let same = within(limit, || {
        let (ones, others) = both();
        ones == others
    });
    let (ones, others) = both();
    assert!(
        same,
        "after {limit:?} {} shows {ones:#?}\nand {} shows {others:#?}",
        one.name, other.name
    );
    println!(
        "{} and {} show the same {} people after {:.1} s",
        one.name,
        other.name,
        ones.len(),
        began.elapsed().as_secs_f64()
    );
}

/// The program: `PARLOUR_CLI`, or beside the tests.
pub fn path() -> PathBuf {
    if let Some(path) = env::var_os("PARLOUR_CLI") {
        return path.into();
    }
    let deps = env::current_exe().expect("a test has a path");
    let target = deps.parent().and_then(|deps| deps.parent()).expect("cargo put it into deps");
    let path = target.join("parlour-cli");
    assert!(path.is_file(), "parlour-cli is not built: cargo build -p cli ({})", path.display());
    path
}

fn text(event: &Value, field: &str) -> String {
    event[field].as_str().unwrap_or_else(|| panic!("no {field} in {event}")).to_owned()
}
