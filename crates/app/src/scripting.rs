//! `--json`: events on standard output and commands on standard input, as parlour-cli has them. Neither ever stops the
//! window: each has a thread of its own.

use std::io::{BufRead, Write};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use engine::Handle;
use engine::json::{Wish, notice_line, parse};
use futures::channel::mpsc;

/// How long lines that a slow reader has not taken yet hold up the end of the program.
const PATIENCE: Duration = Duration::from_millis(500);

/// Standard output, written by a thread of its own.
#[derive(Clone, Debug)]
pub struct Output {
    lines: Sender<String>,
    waiting: Arc<(Mutex<usize>, Condvar)>,
}

impl Output {
    /// Lines go to that writer.
    pub fn start(mut to: impl Write + Send + 'static) -> Self {
        let (lines, received) = channel::<String>();
        let waiting = Arc::new((Mutex::new(0), Condvar::new()));
        let done = Arc::clone(&waiting);
        let spawned = std::thread::Builder::new().name("output".to_owned()).spawn(move || {
            for line in received {
                let written = writeln!(to, "{line}").and_then(|()| to.flush());
                let mut left = done.0.lock().unwrap_or_else(PoisonError::into_inner);
                *left = usize::saturating_sub(*left, 1);
                done.1.notify_all();
                // Nobody reads any more: the window goes on.
                if written.is_err() {
                    *left = 0;
                    return;
                }
            }
        });
        if let Err(error) = spawned {
            tracing::warn!(%error, "nothing is written to standard output");
        }
        Self { lines, waiting }
    }

    /// Writes a line, later where the reader is slow.
    pub fn line(&self, line: String) {
        let mut left = self.waiting.0.lock().unwrap_or_else(PoisonError::into_inner);
        if self.lines.send(line).is_ok() {
            *left += 1;
        }
    }

    /// Waits a moment until all is written.
    pub fn finish(&self) {
        let left = self.waiting.0.lock().unwrap_or_else(PoisonError::into_inner);
        let _unused = self.waiting.1.wait_timeout_while(left, PATIENCE, |left| *left > 0);
    }
}

/// Reads commands until the end of the input, which ends nothing. What comes out of the stream is the wish to end the
/// program.
pub fn commands(
    from: impl BufRead + Send + 'static,
    handle: Handle,
    output: Output,
) -> mpsc::UnboundedReceiver<()> {
    let (ends, wishes) = mpsc::unbounded();
    let spawned = std::thread::Builder::new().name("commands".to_owned()).spawn(move || {
        read(from, |line| {
            let result = match line {
                Ok(line) => parse(line),
                Err(notice) => Err(notice.to_owned()),
            };
            let result = match result {
                Ok(Wish::Command(command)) => handle
                    .try_send(command)
                    .map_err(|_| "Too many commands at once: this one was not taken".to_owned()),
                Ok(Wish::End) => {
                    let _ = ends.unbounded_send(());
                    Ok(())
                }
                Err(notice) => Err(notice),
            };
            if let Err(notice) = result {
                output.line(notice_line(&notice));
            }
        });
    });
    if let Err(error) = spawned {
        tracing::warn!(%error, "standard input is not read");
    }
    wishes
}

/// Line by line; one that is not UTF-8 is told and the next is read.
fn read(mut from: impl BufRead, mut each: impl FnMut(Result<&str, &str>)) {
    let mut line = Vec::new();
    loop {
        line.clear();
        match from.read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        match std::str::from_utf8(&line).map(|text| text.trim_end_matches(['\n', '\r'])) {
            Ok("") => {}
            Ok(text) => each(Ok(text)),
            Err(_) => each(Err("This line is not UTF-8")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_line_is_told_and_the_next_is_read() {
        let mut seen = Vec::new();
        read(&b"{\"a\":1}\r\n\xff\xfe\n\nlast"[..], |line| {
            seen.push(line.map(str::to_owned).map_err(str::to_owned));
        });
        let broken = Err("This line is not UTF-8".to_owned());
        assert_eq!(seen, [Ok("{\"a\":1}".to_owned()), broken, Ok("last".to_owned())]);
    }

    /// A reader that takes nothing until it is let.
    struct Stuck(std::sync::mpsc::Receiver<()>, Sender<Vec<u8>>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _ = self.0.recv();
            let _ = self.1.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_takes_nothing_stops_nobody_and_loses_nothing() {
        let (open, gate) = channel();
        let (written, seen) = channel();
        let output = Output::start(Stuck(gate, written));
        for n in 0..1000 {
            output.line(format!("line {n}"));
        }
        drop(open);
        output.finish();
        let all: Vec<u8> = seen.try_iter().flatten().collect();
        assert_eq!(String::from_utf8(all).unwrap().lines().count(), 1000);
    }
}
