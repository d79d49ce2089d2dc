//! A program under test: started with pipes, read line by line, ended by its own id when dropped.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// The program.
pub struct Program {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Lines,
}

type Lines = Arc<Mutex<Vec<String>>>;

impl Program {
    /// Starts a program. One that is not installed is named in the failure.
    pub fn start(name: &str, command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let program = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{program} cannot be started ({error}): is it there?"));
        let lines = Lines::default();
        collect(&lines, child.stdout.take().unwrap(), "");
        collect(&lines, child.stderr.take().unwrap(), "! ");
        let stdin = child.stdin.take();
        Self { name: name.to_owned(), child, stdin, lines }
    }

    /// Writes one line to its standard input.
    pub fn write_line(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("standard input is open");
        writeln!(stdin, "{line}").and_then(|()| stdin.flush()).expect("the program reads");
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything it printed; lines of standard error begin with `! `.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// Waits until it is gone; `None` when it is not within `limit`.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let mut status = None;
        within(limit, || {
            status = self.child.try_wait().expect("it is our child");
            status.is_some()
        });
        status
    }

    /// Its last lines, for the reader of a failure.
    pub fn tail(&self) -> String {
        let lines = self.lines();
        let skipped = lines.len().saturating_sub(40);
        format!("--- {}\n{}\n", self.name, lines[skipped..].join("\n"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if thread::panicking() {
            eprint!("{}", self.tail());
        }
        // It may be gone already; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(lines: &Lines, from: impl Read + Send + 'static, mark: &'static str) {
    let lines = Arc::clone(lines);
    thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned();
            lines.lock().unwrap().push(format!("{mark}{line}"));
        }
    });
}

/// Looks every 20 ms whether something is so, at most `limit`.
pub fn within(limit: Duration, mut so: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if so() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// A port that is free for UDP and TCP, and whose successor is too (baresip takes it for TLS).
pub fn free_port(ip: IpAddr) -> u16 {
    for _ in 0..200 {
        let socket = UdpSocket::bind(SocketAddr::new(ip, 0)).expect("a port");
        let port = socket.local_addr().unwrap().port();
        let Some(next) = port.checked_add(1) else { continue };
        let both = [port, next].map(|port| TcpListener::bind(SocketAddr::new(ip, port)));
        if both.iter().all(Result::is_ok) && UdpSocket::bind(SocketAddr::new(ip, next)).is_ok() {
            return port;
        }
    }
    panic!("no free port on {ip}");
}
