//! A file of the messages of SIP as they went over the wire, for diagnosis: one JSON object a line, in two files of bounded
//! size. What may stand in it is decided by [`sip_core::Recorded::masked`].

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sip_core::{Bodies, Direction, Recorded, Transport};

/// Messages that wait to be written.
pub(crate) const WAITING: usize = 1024;
/// A file of this size is put aside as `FILE.1`, and what stood aside goes.
const LIMIT: u64 = 8 * 1024 * 1024;

/// Where messages are written.
#[derive(Clone, Debug)]
pub struct Trace {
    /// The file; begun anew.
    pub file: PathBuf,
    /// Whether texts and other bodies are written; without, their length only.
    pub bodies: bool,
}

/// One line of the file.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct TraceLine {
    /// When it was written, milliseconds since 1970 UTC.
    pub at_ms: u64,
    /// Whether it came in; it went out otherwise.
    pub is_in: bool,
    /// `udp`, `tcp` or `tls`.
    pub transport: String,
    /// Our address.
    pub local: String,
    /// The other's.
    pub remote: String,
    /// Its Call-ID; empty where it has none.
    pub call: String,
    /// The message, masked, with `\n` between lines.
    pub message: String,
}

/// The open file.
pub(crate) struct Recorder {
    path: PathBuf,
    file: File,
    written: u64,
    limit: u64,
    bodies: Bodies,
}

impl Recorder {
    pub(crate) fn begin(trace: &Trace) -> io::Result<Self> {
        Self::with_limit(trace, LIMIT)
    }

    fn with_limit(trace: &Trace, limit: u64) -> io::Result<Self> {
        let bodies = if trace.bodies { Bodies::All } else { Bodies::Descriptions };
        match std::fs::remove_file(aside(&trace.file)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let file = open(&trace.file)?;
        Ok(Self { path: trace.file.clone(), file, written: 0, limit, bodies })
    }

    pub(crate) fn write(&mut self, recorded: &Recorded) -> io::Result<()> {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let line = TraceLine {
            at_ms: u64::try_from(at.as_millis()).unwrap_or(u64::MAX),
            is_in: recorded.direction == Direction::In,
            transport: match recorded.flow.transport {
                Transport::Tcp => "tcp",
                Transport::Tls => "tls",
                Transport::Udp => "udp",
            }
            .to_owned(),
            local: recorded.flow.local.to_string(),
            remote: recorded.flow.remote.to_string(),
            call: recorded.call_id().unwrap_or_default(),
            message: recorded.masked(self.bodies),
        };
        self.line(&line)
    }

    fn line(&mut self, line: &TraceLine) -> io::Result<()> {
        let mut text = serde_json::to_string(line)?;
        text.push('\n');
        let length = text.len() as u64;
        if self.written > 0 && self.written + length > self.limit {
            std::fs::rename(&self.path, aside(&self.path))?;
            self.file = open(&self.path)?;
            self.written = 0;
        }
        self.file.write_all(text.as_bytes())?;
        self.written += length;
        Ok(())
    }
}

/// Nobody but the user reads it.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

fn aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    name.into()
}

/// Every line of a file and of what was put aside before it. The error names the line that is none.
pub fn read_trace(file: &Path) -> Result<Vec<TraceLine>, String> {
    let mut lines = Vec::new();
    for path in [aside(file), file.to_owned()] {
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound && path != file => continue,
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        for (number, line) in text.lines().enumerate() {
            let line = serde_json::from_str(line).map_err(|error| {
                format!("{}, line {}, is of no trace: {error}", path.display(), number + 1)
            })?;
            lines.push(line);
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_bounded_and_what_stands_aside_is_read_first() {
        let folder = tempfile::tempdir().unwrap();
        let trace = Trace { file: folder.path().join("trace"), bodies: false };
        let mut recorder = Recorder::with_limit(&trace, 2_000).unwrap();
        for at_ms in 0..1_000 {
            let text = || "x".to_owned();
            let (transport, local, remote, call) = (text(), text(), text(), text());
            let line =
                TraceLine { at_ms, is_in: true, transport, local, remote, call, message: text() };
            recorder.line(&line).unwrap();
        }
        let size = |path: &Path| std::fs::metadata(path).unwrap().len();
        assert!(size(&trace.file) <= 2_000 && size(&aside(&trace.file)) <= 2_000);
        let lines = read_trace(&trace.file).unwrap();
        let times: Vec<u64> = lines.iter().map(|line| line.at_ms).collect();
        let wanted: Vec<u64> = (1_000 - times.len() as u64..1_000).collect();
        assert!(times.len() > 20, "{}", times.len());
        assert_eq!(times, wanted);
        // A new one does not begin with the old one's messages.
        Recorder::begin(&trace).unwrap();
        assert_eq!(read_trace(&trace.file).unwrap(), []);
    }
}
