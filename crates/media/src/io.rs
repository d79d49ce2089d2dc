//! The shell around the pure part: sockets, the media thread, sound devices and the record file.
#![allow(clippy::disallowed_methods, reason = "this module is the shell that owns clock and files")]
#![allow(clippy::disallowed_types, reason = "this module is the shell that owns the sockets")]

mod device;
mod leg;
mod local;
mod priority;
mod receiver;
mod record;
mod route;
mod session;
mod sockets;
mod worker;

pub use session::{
    LegConfig, LegId, LegStats, LegUpdate, Levels, MediaError, MediaEvent, Session, SessionConfig,
};
pub use sockets::Sockets;
