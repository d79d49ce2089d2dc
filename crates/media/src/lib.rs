//! RTP, codecs, jitter buffer and mixer; with feature `io`: sockets, the media thread and sound devices.
//!
//! Everything but [`io`] is pure: it is given packets and ticks and gives back packets and levels.

pub mod conceal;
pub mod digit;
pub mod g711;
#[cfg(feature = "io")]
pub mod io;
mod kind;
pub mod level;
pub mod mixer;
pub mod opus;
pub mod playout;
pub mod resample;
pub mod rtcp;
pub mod rtp;
pub mod tone;

pub use kind::{AudioKind, CodecKind, Format, UnknownAudio, formats};
