//! What an [`Endpoint`] holds at the moment: for tests of leaks, and for logs.

use super::{Due, Endpoint};

/// How much of everything lives. What is kept on purpose and has a bound of its own is not counted: accounts and their
/// timers, what keeps their connections open, passwords, names that were not found, the dialogs that ended last.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Load {
    /// Client and server transactions.
    pub transactions: usize,
    /// Calls in any phase.
    pub calls: usize,
    /// Requests that wait for our user's answer.
    pub pending: usize,
    /// Subscriptions of either side, and what is told of a REFER.
    pub subscriptions: usize,
    /// Streams that stand or are being opened. They outlive what they were opened for; their driver closes them.
    pub connections: usize,
    /// Servers that are looked for.
    pub locations: usize,
    /// URIs to which texts wait.
    pub pagers: usize,
    /// Requests that a 3xx sent elsewhere.
    pub redirects: usize,
    /// Calls and flows that are asked whether they still stand.
    pub probes: usize,
    /// Timers that are armed.
    pub timers: usize,
    /// Outputs that nobody has polled.
    pub outputs: usize,
    /// By which responses, requests and dialogs are found, and what each address holds.
    pub indices: Indices,
}

/// Entries of the maps that only point to something.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Indices {
    /// Branches of ours.
    pub client: usize,
    /// Branches of theirs.
    pub server: usize,
    /// What tells that a request came by two ways (RFC 3261 §8.2.2.2).
    pub merged: usize,
    /// Dialogs of calls, early ones among them.
    pub dialogs: usize,
    /// Addresses that have a share of the transactions.
    pub sources: usize,
}

impl Load {
    /// Whether nothing is left but connections.
    pub fn is_idle(&self) -> bool {
        *self == Self { connections: self.connections, ..Self::default() }
    }
}

impl Endpoint {
    /// What lives.
    pub fn load(&self) -> Load {
        // Every timer stands in both maps; one that does not is counted all the same.
        let armed = self.armed.keys().filter(|due| !is_kept(due)).count();
        let due = self.due.iter().filter(|(_, due)| !is_kept(due)).count();
        Load {
            transactions: self.clients.len() + self.servers.len(),
            calls: self.calls.len(),
            pending: self.pending.len(),
            subscriptions: self.subscriptions.len(),
            connections: self.connections.len(),
            locations: self.locations.len(),
            pagers: self.pagers.len(),
            redirects: self.redirects.len(),
            probes: self.probes.len(),
            timers: armed.max(due),
            outputs: self.outputs.len(),
            indices: Indices {
                client: self.client_index.len(),
                server: self.server_index.len(),
                merged: self.merged_index.len(),
                dialogs: self.dialogs.len(),
                sources: self.sources.len(),
            },
        }
    }
}

fn is_kept(due: &Due) -> bool {
    matches!(due, Due::Account(_) | Due::KeepAlive(_))
}
