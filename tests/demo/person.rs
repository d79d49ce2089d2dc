//! One participant: a process whose output is read and that is told what to write.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::baresip::Baresip;

/// How often a line arrived.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Heard {
    /// Not yet.
    Never,
    /// As it should.
    Once,
    /// A fault.
    Repeated,
}

/// One of the four.
pub struct Person {
    name: String,
    log: PathBuf,
    phone: Phone,
}

enum Phone {
    Baresip(Baresip),
    Parlour(Parlour),
}

struct Parlour {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    states: BTreeMap<u64, (String, String)>,
    messages: Vec<(String, String)>,
    conference: Option<String>,
    count: u32,
    is_host: bool,
    recording: Option<PathBuf>,
}

impl Person {
    /// Anna in the window.
    pub fn host_window(
        program: &Path,
        audio: &str,
        display: &str,
        out: &Path,
    ) -> Result<Self, String> {
        let mut command = Command::new(program);
        command.args([
            "--json",
            "--name",
            "Anna",
            "--listen",
            "127.0.0.1:0",
            "--host",
            "Weekly ops",
        ]);
        command.args(["--audio", audio, "--theme", "light", "--data-folder"]).arg(out.join("data"));
        if !display.is_empty() {
            command
                .env("DISPLAY", display)
                .env_remove("WAYLAND_DISPLAY")
                .env("ICED_BACKEND", "tiny-skia");
        }
        Self::start(command, "Anna", true, out)
    }

    /// Anna at the command line.
    pub fn host(program: &Path, audio: &str, out: &Path) -> Result<Self, String> {
        let mut command = Command::new(program);
        command.args([
            "host",
            "--json",
            "--name",
            "Anna",
            "--listen",
            "127.0.0.1:0",
            "--audio",
            audio,
        ]);
        Self::start(command, "Anna", true, out)
    }

    /// Somebody with parlour-cli.
    pub fn join(
        program: &Path,
        name: &str,
        conference: &str,
        audio: &str,
        out: &Path,
    ) -> Result<Self, String> {
        let mut command = Command::new(program);
        command.args(["join", conference, "--json", "--name", name, "--listen", "127.0.0.1:0"]);
        let recording = out.join(format!("heard-by-{name}.wav"));
        command.args(["--audio", audio, "--record"]).arg(&recording);
        let mut person = Self::start(command, name, false, out)?;
        if let Phone::Parlour(phone) = &mut person.phone {
            phone.recording = Some(recording);
        }
        Ok(person)
    }

    /// Somebody with baresip.
    pub fn baresip(name: &str, conference: &str, audio: &str, out: &Path) -> Result<Self, String> {
        let phone = Baresip::start(name, conference, audio, out)?;
        Ok(Self { name: name.to_owned(), log: phone.log(), phone: Phone::Baresip(phone) })
    }

    fn start(mut command: Command, name: &str, is_host: bool, out: &Path) -> Result<Self, String> {
        let log = out.join(format!("{name}.log"));
        let file = File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(file);
        let mut child = command.spawn().map_err(|error| format!("{name}: {error}"))?;
        let stdout = child.stdout.take().ok_or("no output")?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let stdin = child.stdin.take();
        let phone = Parlour {
            child,
            stdin,
            lines,
            states: BTreeMap::new(),
            messages: Vec::new(),
            conference: None,
            count: 0,
            is_host,
            recording: None,
        };
        Ok(Self { name: name.to_owned(), log, phone: Phone::Parlour(phone) })
    }

    /// His name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What he heard, where his program records it; whole only after he has left.
    pub fn recording(&self) -> Option<PathBuf> {
        match &self.phone {
            Phone::Baresip(phone) => phone.recording(),
            Phone::Parlour(phone) => phone.recording.clone(),
        }
    }

    /// Where his program's messages are.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The conference's address, once the host has one.
    pub fn wait_ready(&mut self, limit: Duration) -> Result<String, String> {
        let end = Instant::now() + limit;
        loop {
            self.listen()?;
            if let Phone::Parlour(Parlour { conference: Some(conference), .. }) = &self.phone {
                return Ok(conference.clone());
            }
            if Instant::now() > end {
                return Err(format!("{} is not ready; see {}", self.name, self.log.display()));
            }
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Reads what came; returns what is worth printing.
    pub fn listen(&mut self) -> Result<Vec<String>, String> {
        match &mut self.phone {
            Phone::Baresip(phone) => phone.listen().map(|()| Vec::new()),
            Phone::Parlour(phone) => phone
                .listen()
                .map_err(|problem| format!("{}: {problem}; see {}", self.name, self.log.display())),
        }
    }

    /// How many are connected, as he sees it.
    pub fn connected(&self) -> usize {
        match &self.phone {
            Phone::Baresip(_) => 0,
            Phone::Parlour(phone) => {
                phone.states.values().filter(|(_, state)| state == "connected").count()
            }
        }
    }

    /// How often he got this line of this author.
    pub fn heard(&self, author: &str, text: &str) -> Heard {
        let count = match &self.phone {
            Phone::Baresip(phone) => phone.count(author, text),
            Phone::Parlour(phone) => {
                phone.messages.iter().filter(|(name, body)| name == author && body == text).count()
            }
        };
        match count {
            0 => Heard::Never,
            1 => Heard::Once,
            _ => Heard::Repeated,
        }
    }

    /// Writes a line to everybody.
    pub fn say(&mut self, text: &str) -> Result<(), String> {
        match &mut self.phone {
            Phone::Baresip(phone) => phone.say(text),
            Phone::Parlour(phone) => {
                phone.count += 1;
                let reference = format!("line-{}", phone.count);
                phone.tell(
                    &json!({"command": "say", "ref": reference, "text": text, "to": "everyone"}),
                )
            }
        }
    }

    /// Hangs up and waits for the process.
    pub fn leave(&mut self) {
        match &mut self.phone {
            Phone::Baresip(phone) => phone.leave(),
            Phone::Parlour(phone) => phone.leave(),
        }
    }
}

impl Parlour {
    fn tell(&mut self, command: &Value) -> Result<(), String> {
        let stdin = self.stdin.as_mut().ok_or("its input is closed")?;
        writeln!(stdin, "{command}").map_err(|error| format!("cannot be told anything: {error}"))
    }

    fn listen(&mut self) -> Result<Vec<String>, String> {
        let mut news = Vec::new();
        loop {
            match self.lines.try_recv() {
                Ok(line) => {
                    let event =
                        serde_json::from_str(&line).map_err(|error| format!("{line}: {error}"))?;
                    news.extend(self.handle(&event));
                }
                Err(TryRecvError::Empty) => return Ok(news),
                Err(TryRecvError::Disconnected) => return Err("it ended by itself".to_owned()),
            }
        }
    }

    fn handle(&mut self, event: &Value) -> Option<String> {
        let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
        match event["event"].as_str()? {
            "ready" => {
                let conference = text("conference");
                if !conference.is_empty() {
                    self.conference = Some(conference);
                }
                None
            }
            "participant" => {
                let (name, state) = (text("name"), text("state"));
                let entry = (name.clone(), state.clone());
                let before = self.states.insert(event["id"].as_u64()?, entry.clone());
                (before.as_ref() != Some(&entry)).then(|| format!("[{name} is {state}]"))
            }
            "message" => {
                let (name, body) = (text("name"), text("text"));
                let mark =
                    if event["verified"] == Value::Bool(false) { " (not verified)" } else { "" };
                let news = format!("{name}{mark}: {}", body.replace('\n', "\n      "));
                self.messages.push((name, body));
                Some(news)
            }
            "delivery" if self.is_host && event["state"] == "failed" => {
                Some(format!("[not delivered to {}: {}]", text("recipient"), text("reason")))
            }
            "notice" => Some(format!("[{}]", text("text"))),
            _ => None,
        }
    }

    fn leave(&mut self) {
        let _ = self.tell(&json!({"command": "end"}));
        self.stdin = None;
        let end = Instant::now() + Duration::from_secs(5);
        while Instant::now() < end {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(30));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Parlour {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
