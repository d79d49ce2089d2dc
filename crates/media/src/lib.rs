//! RTP, codecs, jitter buffer and mixer; with feature `io`: sockets, the media thread and sound devices.
//!
//! Everything but [`io`] is pure: it is given packets and ticks and gives back packets and levels.

#[cfg(feature = "io")]
pub mod io;
mod kind;

pub use kind::{AudioKind, CodecKind, Format, UnknownAudio, formats};
