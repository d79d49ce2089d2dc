//! Which datagrams came back as undeliverable (RFC 3261 §18.4).

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod unknown;

#[cfg(target_os = "linux")]
pub(crate) use linux::{keep, next, ready, returned};
#[cfg(not(target_os = "linux"))]
pub(crate) use unknown::{keep, next, ready, returned};
