//! What went over the wire, for the reader of a failed test: one line a message, with its fate; arrows between columns
//! where there are few nodes.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use sip_core::{Message, Transport};

/// What became of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fate {
    /// On a connection that is gone; its sender is told.
    Broken,
    /// Lost in a partition of the network.
    CutOff,
    /// Held back, so that later ones may overtake it.
    Delayed,
    /// Delivered, or on its way.
    Delivered,
    /// Lost because the test said so.
    Dropped,
    /// Delivered twice.
    Duplicated,
    /// Lost by chance.
    Lost,
    /// Nobody is at that address.
    NobodyThere,
    /// A translator of addresses has no mapping for it, or not for this sender.
    NotLetIn,
    /// On a stream whose way is cut: it arrives when that is mended.
    Waits,
}

impl Fate {
    fn words(self) -> &'static str {
        match self {
            Self::Broken => "  (connection gone)",
            Self::CutOff => "  (cut off)",
            Self::Delayed => "  (held back)",
            Self::Delivered => "",
            Self::Dropped => "  (dropped by the test)",
            Self::Duplicated => "  (twice)",
            Self::Lost => "  (lost)",
            Self::NobodyThere => "  (nobody there)",
            Self::NotLetIn => "  (not let in)",
            Self::Waits => "  (waits for the way)",
        }
    }

    /// Whether it reached whom it was sent to.
    pub fn arrives(self) -> bool {
        matches!(self, Self::Delayed | Self::Delivered | Self::Duplicated)
    }
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
    /// The sender's address as a translator made it look outside.
    pub seen: Option<SocketAddr>,
    /// The address inside that a translator gave it to.
    pub into: Option<SocketAddr>,
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
        let transport = self.transport.via_token();
        let (at, from, to) = (self.at.as_secs_f64(), self.from, self.to);
        write!(f, "{at:9.3} {from}")?;
        if let Some(seen) = self.seen {
            write!(f, " (as {seen})")?;
        }
        write!(f, " -> {to}")?;
        if let Some(into) = self.into {
            write!(f, " (in to {into})")?;
        }
        write!(f, " {transport} {}{}", self.summary, self.fate.words())
    }
}

/// All steps, and what was done to the network between them.
#[derive(Default)]
pub(crate) struct Ladder {
    steps: Vec<Step>,
    /// Before which step, when, what.
    notes: Vec<(usize, Duration, String)>,
}

impl Ladder {
    pub(crate) fn push(&mut self, step: Step) {
        self.steps.push(step);
    }

    pub(crate) fn note(&mut self, at: Duration, text: String) {
        self.notes.push((self.steps.len(), at, text));
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The last steps, one a line.
    pub(crate) fn lines(&self, last: usize) -> String {
        self.write(last, |step| step.to_string())
    }

    /// The last steps as arrows between the columns of those who took part; one a line where there are more than six.
    pub(crate) fn picture(&self, last: usize) -> String {
        let mut columns: BTreeMap<SocketAddr, usize> = BTreeMap::new();
        for step in &self.steps[self.steps.len().saturating_sub(last)..] {
            let next = columns.len();
            columns.entry(step.from).or_insert(next);
            let next = columns.len();
            columns.entry(step.into.unwrap_or(step.to)).or_insert(next);
        }
        if columns.len() > MOST_COLUMNS {
            return self.lines(last);
        }
        let mut heads: Vec<(usize, SocketAddr)> =
            columns.iter().map(|(address, column)| (*column, *address)).collect();
        heads.sort_unstable();
        let mut text = String::new();
        for (column, address) in &heads {
            text.push_str(&format!("  {} = {address}\n", name(*column)));
        }
        let names: String =
            heads.iter().map(|(one, _)| format!("{:^WIDTH$}", name(*one))).collect();
        text.push_str(&format!("{:9} {names}\n", "seconds"));
        text + &self.write(last, |step| {
            let (from, to) = (columns[&step.from], columns[&step.into.unwrap_or(step.to)]);
            let arrow = arrow(from, to, columns.len(), step.fate.arrives());
            let seen = step.seen.map(|seen| format!("  (as {seen})")).unwrap_or_default();
            let transport = step.transport.via_token();
            let (at, words) = (step.at.as_secs_f64(), step.fate.words());
            format!("{at:9.3} {arrow} {transport} {}{seen}{words}", step.summary)
        })
    }

    fn write(&self, last: usize, show: impl Fn(&Step) -> String) -> String {
        let skipped = self.steps.len().saturating_sub(last);
        let mut text = String::new();
        if skipped > 0 {
            text.push_str(&format!("... {skipped} earlier steps\n"));
        }
        let mut notes = self.notes.iter().filter(|(before, ..)| *before >= skipped).peekable();
        for index in skipped..=self.steps.len() {
            while let Some((_, at, note)) = notes.next_if(|(before, ..)| *before <= index) {
                text.push_str(&format!("{:9.3} ==== {note}\n", at.as_secs_f64()));
            }
            if let Some(step) = self.steps.get(index) {
                text.push_str(&show(step));
                text.push('\n');
            }
        }
        text
    }
}

fn name(column: usize) -> char {
    char::from(b'A' + u8::try_from(column).unwrap_or_default())
}

/// `|------->|`, or `|--x     |` for what does not arrive.
fn arrow(from: usize, to: usize, columns: usize, arrives: bool) -> String {
    let middle = |column: usize| column * WIDTH + WIDTH / 2;
    let mut line: Vec<char> = vec![' '; columns * WIDTH];
    for column in 0..columns {
        line[middle(column)] = '|';
    }
    let (one, other) = (middle(from), middle(to));
    if from == to {
        line[one] = 'o';
        return line.into_iter().collect();
    }
    let (left, right) = (one.min(other), one.max(other));
    for cell in &mut line[left + 1..right] {
        *cell = if *cell == '|' { '+' } else { '-' };
    }
    let (head, tip) = if to > from { (right - 1, '>') } else { (left + 1, '<') };
    if arrives {
        line[head] = tip;
    } else {
        let gone = left.midpoint(right);
        line[gone] = 'x';
        let lost = if to > from { gone + 1..right } else { left + 1..gone };
        for cell in &mut line[lost] {
            *cell = if *cell == '+' { '|' } else { ' ' };
        }
    }
    line.into_iter().collect()
}

/// More than these do not fit a screen.
const MOST_COLUMNS: usize = 6;
const WIDTH: usize = 10;

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
