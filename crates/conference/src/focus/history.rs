//! What was written before somebody came (sip-chat §3.10): off unless the host wants it, public lines only, and only to
//! clients that show them as such.

use sip_core::CallKey;

use super::Focus;
use super::delivery::{Kind, Written};
use crate::{MessageId, Now, Recipient};

/// The most lines of it.
const MOST: usize = 100;

impl Focus {
    /// So many of the last lines.
    pub(super) fn set_history(&mut self, count: usize) {
        self.history = count.min(MOST);
    }

    /// The last lines from before a leg came, oldest first; once.
    pub(super) fn send_history(&mut self, call: CallKey, now: Now) {
        let Some(leg) = self.legs.get_mut(&call) else { return };
        let reads = leg.reads.envelopes && leg.reads.is_ours && !leg.is_focus && !leg.is_aside;
        if !reads || leg.has_history || self.history == 0 {
            return;
        }
        leg.has_history = true;
        let joined = self.people.get(&leg.person).and_then(|person| person.joined);
        let before = |line: &&(MessageId, Written)| joined.is_some_and(|at| line.1.at < at);
        let public = self.lines.iter().filter(|(_, written)| written.to == Recipient::Everyone);
        let lines: Vec<(MessageId, Written)> =
            public.map(|(line, written)| (*line, written.clone())).collect();
        let lines: Vec<&(MessageId, Written)> = lines.iter().filter(before).collect();
        let from = lines.len().saturating_sub(self.history);
        for (_, written) in &lines[from..] {
            self.enqueue_as(call, None, written, Kind::History, now);
        }
    }
}
