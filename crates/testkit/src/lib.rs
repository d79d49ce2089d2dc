//! Virtual network, scripted phones and tones for tests.
//!
//! [`Net`] is a virtual clock and the wires between [`Actor`]s, all in one thread: a [`Host`] (a focus on an Endpoint), a
//! [`Guest`] (a member on an Endpoint), a [`Phone`] that does what its [`Script`] says, a [`Stranger`] that only speaks
//! bytes. Nothing sleeps and no port is opened; the same seed gives the same run to the last byte.
//!
//! It is for integration tests only (`crates/*/tests`, `tests/`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test tool may panic: the test fails"
)]

mod guest;
mod host;
mod ladder;
mod net;
mod phone;
mod room;
mod shell;
mod stranger;
pub mod tones;

pub use guest::Guest;
pub use host::Host;
pub use ladder::{Fate, Step};
pub use net::{Actor, Bursts, Jitter, Link, NatId, NatKind, Net, Node, Place, Told};
pub use phone::{News, Phone, Script, Text, TextAnswer};
pub use room::{HOST, Room};
pub use shell::Shell;
pub use stranger::Stranger;
