//! `parlour-cli trace`: the messages of calls as a ladder. Whatever others wrote is made visible, never obeyed.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use engine::{TraceLine, read_trace};

use crate::output::visible;

/// From one column to the next.
const STEP: usize = 46;
/// What stands in front of the first column.
const MARGIN: usize = 12;
/// More peers than that share the last column.
const MAX_PEERS: usize = 6;

/// Prints a file's messages.
pub fn print(file: &Path, call: Option<&str>, bodies: bool) -> ExitCode {
    let lines = match read_trace(file) {
        Ok(lines) => lines,
        Err(error) => {
            eprintln!("parlour-cli: {error}");
            return ExitCode::FAILURE;
        }
    };
    let wanted: Vec<TraceLine> =
        lines.into_iter().filter(|line| call.is_none_or(|call| line.call == call)).collect();
    if wanted.is_empty() {
        eprintln!("parlour-cli: there is no such message in {}", file.display());
        return ExitCode::FAILURE;
    }
    // A reader that goes away, such as `head`, is no failure.
    let _ = std::io::stdout().write_all(ladder(&wanted, bodies).as_bytes());
    ExitCode::SUCCESS
}

/// The ladder: we in the first column, each peer in one of its own, a line for each message with the time since the first.
pub fn ladder(lines: &[TraceLine], bodies: bool) -> String {
    let mut peers: Vec<String> = Vec::new();
    for line in lines {
        let peer = format!("{} {}", line.transport, line.remote);
        if !peers.contains(&peer) && peers.len() < MAX_PEERS {
            peers.push(peer);
        }
    }
    let mut out = " ".repeat(MARGIN);
    let own = lines.first().map(|line| line.local.as_str()).unwrap_or_default();
    for name in std::iter::once(own).chain(peers.iter().map(String::as_str)) {
        let _ = write!(out, "{:STEP$}", visible(name));
    }
    out = out.trim_end().to_owned();
    out.push('\n');
    let first = lines.first().map_or(0, |line| line.at_ms);
    let mut call = "";
    for line in lines {
        if line.call != call {
            call = &line.call;
            let _ = writeln!(out, "{:MARGIN$}Call-ID {}", "", visible(call));
        }
        let peer = format!("{} {}", line.transport, line.remote);
        let column = peers.iter().position(|known| *known == peer).unwrap_or(MAX_PEERS - 1) + 1;
        let passed = line.at_ms.saturating_sub(first);
        let time = format!("{}.{:03}", passed / 1000, passed % 1000);
        let _ = writeln!(out, "{time:>9}   {}", rung(line, column, peers.len()));
        if bodies {
            for text in line.message.trim_end().lines() {
                let _ = writeln!(out, "{:MARGIN$}    {}", "", visible(text));
            }
        }
    }
    out
}

/// One arrow between our column and that of a peer.
fn rung(line: &TraceLine, column: usize, columns: usize) -> String {
    let width = column * STEP - 1;
    let label: String = visible(&label(&line.message)).chars().take(width - 6).collect();
    let dashes = "-".repeat(width - 4 - label.chars().count());
    let arrow =
        if line.is_in { format!("<- {label} {dashes}") } else { format!("- {label} {dashes}>") };
    let behind: String = (column..columns).map(|_| format!("{}|", " ".repeat(STEP - 1))).collect();
    format!("|{arrow}|{behind}")
}

/// `INVITE sip:bob@example.org` or `200 OK (INVITE)`.
fn label(message: &str) -> String {
    let start = message.lines().next().unwrap_or_default();
    let Some(status) = start.strip_prefix("SIP/2.0 ") else {
        return start.trim_end_matches(" SIP/2.0").to_owned();
    };
    let cseq = message.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("CSeq").then(|| value.split_whitespace().last())?
    });
    format!("{} ({})", status.trim_end(), cseq.unwrap_or("?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(at_ms: u64, is_in: bool, remote: &str, message: &str) -> TraceLine {
        let (transport, local) = ("udp".to_owned(), "192.0.2.1:5060".to_owned());
        let (remote, call) = (remote.to_owned(), "c1".to_owned());
        TraceLine { at_ms, is_in, transport, local, remote, call, message: message.to_owned() }
    }

    #[test]
    fn arrows_go_between_our_column_and_the_peers_and_say_method_status_and_time() {
        let lines = [
            line(
                1_000,
                false,
                "192.0.2.2:5060",
                "INVITE sip:bob@192.0.2.2 SIP/2.0\nCSeq: 1 INVITE\n",
            ),
            line(1_042, true, "192.0.2.2:5060", "SIP/2.0 200 OK\nCSeq: 1 INVITE\n"),
            line(3_500, false, "192.0.2.3:5060", "BYE sip:x SIP/2.0\nCSeq: 2 BYE\n"),
        ];
        let printed = ladder(&lines, false);
        let rows: Vec<&str> = printed.lines().collect();
        assert_eq!(
            rows[0].split_whitespace().collect::<Vec<_>>(),
            ["192.0.2.1:5060", "udp", "192.0.2.2:5060", "udp", "192.0.2.3:5060",]
        );
        assert!(rows[1].ends_with("Call-ID c1"));
        assert!(rows[2].starts_with("    0.000   |- INVITE sip:bob@192.0.2.2 -"), "{printed}");
        assert!(rows[3].starts_with("    0.042   |<- 200 OK (INVITE) -"), "{printed}");
        assert!(rows[4].starts_with("    2.500   |- BYE sip:x -") && rows[4].ends_with("->|"));
        // Each column stands where its name begins.
        for (row, column) in [(2, 1), (3, 1), (4, 2)] {
            assert_eq!(rows[row].as_bytes()[MARGIN + column * STEP], b'|', "{printed}");
        }
    }

    #[test]
    fn what_others_wrote_cannot_command_the_terminal() {
        let odd = line(0, true, "192.0.2.2:1", "SIP/2.0 200 \u{1b}[2J\u{202e}\nCSeq: 1 X\n");
        let printed = ladder(&[odd], true);
        assert!(!printed.contains(['\u{1b}', '\u{202e}']), "{printed}");
        assert!(printed.contains("[U+001B]"), "{printed}");
    }
}
