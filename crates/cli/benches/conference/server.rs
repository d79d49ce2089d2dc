//! The process that is measured: `parlour-cli host`, or the floor. Starts it, reads its ready line, its processor time
//! and its memory, ends it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::machine::{self, Pinning};

/// A running server.
pub struct Server {
    child: Child,
}

/// A conference that can be called.
#[derive(Clone, Debug)]
pub struct Conference {
    /// Its URI.
    pub uri: String,
    /// Where its host listens.
    pub address: SocketAddr,
}

/// One thread of the server.
#[derive(Clone, Debug)]
pub struct ServerThread {
    /// The kernel's number of it.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its processor time so far, in nanoseconds.
    pub cpu: u64,
}

impl Server {
    /// Starts a host and waits until it can be called.
    pub fn host(cli: &Path, pinning: &Pinning, log: Option<&Path>) -> Result<(Self, Conference)> {
        let mut command = prefixed(pinning, cli);
        command.args(["host", "--listen", "127.0.0.1:0", "--json", "--audio", "silence"]);
        command.args(["--chat-rate", "unlimited"]);
        match log {
            Some(path) => command.stderr(File::create(path)?),
            None => command.stderr(Stdio::null()),
        };
        let (mut server, output) = Self::start(command)?;
        let (ready, when_ready) = mpsc::channel();
        thread::spawn(move || {
            // Read to the end: a host whose output is not read would wait for us.
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some(conference) = ready_line(&line) {
                    let _ = ready.send(conference);
                }
            }
        });
        match when_ready.recv_timeout(Duration::from_secs(10)) {
            Ok(conference) => Ok((server, conference?)),
            Err(_) => {
                server.kill();
                bail!("{} was not ready within 10 s", cli.display())
            }
        }
    }

    /// Starts the floor for `legs` and gives its ports.
    pub fn floor(legs: usize, pinning: &Pinning) -> Result<(Self, Vec<u16>)> {
        let own = std::env::current_exe()?;
        let mut command = prefixed(pinning, &own);
        command.args(["--floor", &legs.to_string()]);
        let (server, output) = Self::start(command)?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let ports: Vec<u16> = line.split_whitespace().filter_map(|p| p.parse().ok()).collect();
        ensure!(ports.len() == legs, "the floor did not give its ports");
        Ok((server, ports))
    }

    /// Starts the floor of the relay for phones at these ports and gives its address.
    pub fn relay_floor(phones: &[u16], pinning: &Pinning) -> Result<(Self, SocketAddr)> {
        let own = std::env::current_exe()?;
        let mut command = prefixed(pinning, &own);
        let ports: Vec<String> = phones.iter().map(u16::to_string).collect();
        command.args(["--floor-relay", &ports.join(",")]);
        let (server, output) = Self::start(command)?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let address = line.trim().parse().context("the relay's floor gave no address")?;
        Ok((server, address))
    }

    /// Processor time of all threads so far, in nanoseconds.
    pub fn cpu(&self) -> u64 {
        machine::cpu_of(self.child.id())
    }

    /// All threads.
    pub fn threads(&self) -> Vec<ServerThread> {
        let Ok(tasks) = fs::read_dir(format!("/proc/{}/task", self.child.id())) else {
            return Vec::new();
        };
        let mut threads = Vec::new();
        for task in tasks.map_while(Result::ok) {
            let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
            let times = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            let cpu = times.split_whitespace().next().and_then(|ns| ns.parse().ok()).unwrap_or(0);
            let id = task.file_name().to_string_lossy().into_owned();
            threads.push(ServerThread { id, name: name.trim().to_owned(), cpu });
        }
        threads
    }

    /// Memory that is resident, in kB.
    pub fn memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|l| l.split_whitespace().next()).and_then(|n| n.parse().ok()).unwrap_or(0)
    }

    /// Ends it: politely where it reads commands, then by force.
    pub fn stop(mut self) {
        if let Some(mut input) = self.child.stdin.take() {
            let _ = input.write_all(b"{\"command\":\"end\"}\n");
            let _ = input.flush();
        }
        let deadline = Instant::now() + Duration::from_secs(3);
        while Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        self.kill();
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn start(mut command: Command) -> Result<(Self, ChildStdout)> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let program = command.get_program().to_owned();
        let mut child = command.spawn().with_context(|| format!("cannot start {program:?}"))?;
        let output = child.stdout.take().context("no output to read")?;
        Ok((Self { child }, output))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing of ours stays behind when a run fails.
        self.kill();
    }
}

fn prefixed(pinning: &Pinning, program: &Path) -> Command {
    let Some((first, rest)) = pinning.server.split_first() else { return Command::new(program) };
    let mut command = Command::new(first);
    command.args(rest).arg(program);
    command
}

/// The conference, where `line` is the ready line.
fn ready_line(line: &str) -> Option<Result<Conference>> {
    let object: Value = serde_json::from_str(line).ok()?;
    if object.get("event")?.as_str()? != "ready" {
        return None;
    }
    let uri = object.get("conference")?.as_str()?.to_owned();
    let place = uri.rsplit('@').next().unwrap_or_default();
    let place = place.split([';', '?', '>']).next().unwrap_or_default();
    let address = place.parse().with_context(|| format!("no address and port in {uri}"));
    Some(address.map(|address| Conference { uri, address }))
}
