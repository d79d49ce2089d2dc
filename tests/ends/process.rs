//! A program under test: started with pipes, read line by line, ended by its own id when dropped.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
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

    /// Writes bytes to its standard input.
    pub fn write(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("standard input is open");
        stdin.write_all(bytes).and_then(|()| stdin.flush()).expect("the program reads");
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

/// A port that is free for UDP and TCP, and whose successor is too (baresip takes it for TLS, RTP for RTCP). Even.
pub fn free_port(ip: IpAddr) -> u16 {
    free_ports(ip, 2)
}

/// The first of `count` ports in a row that are free for UDP and TCP; even. They lie below those that the system gives out
/// by itself, and none is given twice in one run, so that nobody takes one before its program does.
pub fn free_ports(ip: IpAddr, count: u16) -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..500 {
        let step = NEXT.fetch_add(u32::from(count.next_multiple_of(2)), Ordering::Relaxed);
        let begin = std::process::id().wrapping_mul(194).wrapping_add(step) % 12_000;
        let first = 20_000 + u16::try_from(begin).expect("below 12000") / 2 * 2;
        let is_free = |port: &u16| {
            let address = SocketAddr::new(ip, *port);
            UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok()
        };
        if (first..first + count).all(|port| is_free(&port)) {
            return first;
        }
    }
    panic!("no {count} free ports on {ip}");
}
