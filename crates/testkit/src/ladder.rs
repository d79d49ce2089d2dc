//! What went over the wire, for the reader of a failed test: one line a message, with its fate.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use sip_core::{Message, Transport};

/// What became of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fate {
    /// Delivered, or on its way.
    Delivered,
    /// Delivered twice.
    Duplicated,
    /// Held back, so that later ones may overtake it.
    Delayed,
    /// Lost by chance.
    Lost,
    /// Lost because the test said so.
    Dropped,
    /// Nobody is at that address.
    NobodyThere,
}

/// One message on the wire.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Step {
    /// When it was sent, since the network began.
    pub at: Duration,
    /// From where.
    pub from: SocketAddr,
    /// To where.
    pub to: SocketAddr,
    /// By UDP or TCP.
    pub transport: Transport,
    /// Start line, CSeq and the head of the Call-ID; for bytes that are no SIP message their number.
    pub summary: String,
    /// All of it.
    pub contents: Bytes,
    /// What became of it.
    pub fate: Fate,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fate = match self.fate {
            Fate::Delivered => "",
            Fate::Duplicated => "  (twice)",
            Fate::Delayed => "  (held back)",
            Fate::Lost => "  (lost)",
            Fate::Dropped => "  (dropped by the test)",
            Fate::NobodyThere => "  (nobody there)",
        };
        let transport = self.transport.via_token();
        let (at, from, to) = (self.at.as_secs_f64(), self.from, self.to);
        write!(f, "{at:9.3} {from} -> {to} {transport} {}{fate}", self.summary)
    }
}

/// What a ladder shows of a message.
pub(crate) fn summary(contents: &[u8]) -> String {
    let (start, headers) = match Message::parse(contents) {
        Ok(Message::Request(request)) => {
            (format!("{} {}", request.method.as_str(), request.uri), request.headers)
        }
        Ok(Message::Response(response)) => {
            (format!("{} {}", response.status.code(), response.reason), response.headers)
        }
        Err(_) => return format!("{} bytes", contents.len()),
    };
    let cseq = headers.get("CSeq").unwrap_or("?");
    let call: String = headers.call_id().unwrap_or("?").chars().take(8).collect();
    format!("{start} [{cseq}, {call}, {} bytes]", contents.len())
}

/// The last steps, one a line.
pub(crate) fn tail(steps: &[Step], lines: usize) -> String {
    let skipped = steps.len().saturating_sub(lines);
    let mut text = String::new();
    if skipped > 0 {
        text.push_str(&format!("... {skipped} earlier steps\n"));
    }
    for step in &steps[skipped..] {
        text.push_str(&format!("{step}\n"));
    }
    text
}
