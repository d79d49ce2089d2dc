//! The engine's side of the media thread.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{SystemTime, UNIX_EPOCH},
};

use rtrb::{Consumer, Producer, PushError, RingBuffer};

use super::{
    Sockets,
    device::Devices,
    leg::{Change, Leg, Parameters, Prompt, Shared},
    local::Source,
    priority,
    record::{self, Recorder},
    worker::{Common, Control, Ends, Waste, Worker},
};
use crate::{
    AudioKind, CodecKind,
    digit::Presses,
    opus::{self, Decoder, Encoder},
    tone::Tone,
};

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
    /// Our half of the SDP direction. Who wants nothing from us holds us, and is not heard either.
    pub sending: bool,
    /// Our half of the SDP direction.
    pub receiving: bool,
    /// What the peer asks of an Opus stream.
    pub opus: opus::Settings,
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
    /// Our half of the SDP direction. Who wants nothing from us holds us, and is not heard either.
    pub sending: bool,
    /// Our half of the SDP direction.
    pub receiving: bool,
    /// What the peer asks of an Opus stream.
    pub opus: opus::Settings,
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
    /// Which devices are open, at the start and whenever that changes.
    Devices {
        /// The name of the microphone, or why there is none.
        microphone: Result<String, String>,
        /// The name of the loudspeaker, or why there is none.
        speaker: Result<String, String>,
    },
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
    /// What the sound that is heard comes under (RFC 3550 §5.1); `None` while there is none.
    pub ssrc: Option<u32>,
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
pub struct Session {
    common: Arc<Common>,
    control: Producer<Control>,
    /// What found the ring full; goes out before anything newer.
    backlog: VecDeque<Control>,
    waste: Consumer<Waste>,
    digits: Consumer<(LegId, char)>,
    legs: BTreeMap<LegId, Entry>,
    next: u64,
    thread: Option<JoinHandle<()>>,
    recorder: Option<Recorder>,
    devices: Option<Devices>,
}

struct Entry {
    shared: Arc<Shared>,
    has_opus: bool,
}

impl Session {
    /// Starts the media thread. A missing sound device does not stop it: see [`Self::microphone`].
    pub fn start(config: SessionConfig) -> Result<Self, MediaError> {
        let source = match &config.audio {
            AudioKind::Device => Source::Device,
            AudioKind::File(path) => Source::File(record::play(path)?),
            AudioKind::Silence => Source::Silence,
            AudioKind::Tone { hz } => Source::Tone(Tone::new(*hz)),
        };
        let (recorder, record) = match config.record {
            Some(path) => {
                Recorder::start(path).map(|(recorder, ring)| (Some(recorder), Some(ring)))?
            }
            None => (None, None),
        };
        let common = Arc::new(Common::new());
        let (control, control_end) = RingBuffer::new(CONTROL_SLOTS);
        let (waste_end, waste) = RingBuffer::new(WASTE_SLOTS);
        let (digits_end, digits) = RingBuffer::new(DIGIT_SLOTS);
        let (device_rings, devices_end) = RingBuffer::new(4);
        let ends = Ends {
            common: Arc::clone(&common),
            control: control_end,
            devices: devices_end,
            waste: waste_end,
            digits: digits_end,
            record,
        };
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let ntp_start_s = unix.as_secs_f64() + SECONDS_FROM_1900_TO_1970;
        let thread = thread::Builder::new().name("media".to_owned()).spawn(move || {
            priority::raise();
            Worker::new(ends, source, ntp_start_s).run();
        })?;
        let devices = (config.audio == AudioKind::Device).then(|| Devices::start(device_rings));
        Ok(Self {
            common,
            control,
            backlog: VecDeque::new(),
            waste,
            digits,
            legs: BTreeMap::new(),
            next: 0,
            thread: Some(thread),
            recorder,
            devices,
        })
    }

    /// Adds a leg; it is not in the mix before [`Self::connect`].
    pub fn add_leg(&mut self, config: LegConfig) -> LegId {
        let id = LegId(self.next);
        self.next += 1;
        let shared = Arc::new(Shared::new());
        let has_opus = config.send.0 == CodecKind::Opus
            || config.receive.iter().any(|(_, kind)| *kind == CodecKind::Opus);
        // What came while signalling took its time would be played late, and everything after it too.
        config.sockets.drain();
        let leg = Leg::new(id, config, Arc::clone(&shared), &mut rand::rng());
        self.legs.insert(id, Entry { shared, has_opus });
        self.send(Control::Add(Box::new(leg)));
        id
    }

    /// Applies what a new offer or answer agreed.
    pub fn update_leg(&mut self, leg: LegId, update: LegUpdate) {
        let Some(entry) = self.legs.get_mut(&leg) else { return };
        let parameters = Parameters::from(&update);
        let build = parameters.needs_opus() && !entry.has_opus;
        entry.has_opus |= build;
        let change = Change {
            leg,
            parameters,
            decoder: if build { Decoder::new().map(Box::new) } else { None },
            encoder: if build { Encoder::new().map(Box::new) } else { None },
        };
        self.send(Control::Change(Box::new(change)));
    }

    /// Ends a leg: RTCP BYE goes out and its sockets close.
    pub fn remove_leg(&mut self, leg: LegId) {
        if self.legs.remove(&leg).is_some() {
            self.send(Control::Remove(leg));
        }
    }

    /// Puts a leg into the mix or takes it out.
    pub fn connect(&mut self, leg: LegId, connected: bool) {
        if let Some(entry) = self.legs.get(&leg) {
            entry.shared.connected.store(connected, Relaxed);
        }
    }

    /// Takes a leg's voice away from everybody, or gives it back. It hears the others all along.
    pub fn mute_leg(&mut self, leg: LegId, muted: bool) {
        if let Some(entry) = self.legs.get(&leg) {
            entry.shared.muted.store(muted, Relaxed);
        }
    }

    /// How loud everybody hears a leg, in dB; 0 is as it comes.
    pub fn set_volume(&mut self, leg: LegId, gain_db: f32) {
        if let Some(entry) = self.legs.get(&leg) {
            let gain = 10f32.powf(gain_db / 20.0);
            entry.shared.gain.store(gain.to_bits(), Relaxed);
        }
    }

    /// Plays a recording (48 kHz) to a leg that is not in the mix, in place of one that still plays.
    pub fn play(&mut self, leg: LegId, samples: Vec<i16>) {
        if self.legs.contains_key(&leg) {
            self.send(Control::Play(Box::new(Prompt { leg, samples, played: 0 })));
        }
    }

    /// Presses keys on a leg, as events of this payload type (RFC 4733); sound pauses meanwhile.
    pub fn press(&mut self, leg: LegId, keys: &str, payload_type: u8) {
        if self.legs.contains_key(&leg) {
            self.send(Control::Press(leg, Presses::new(keys), payload_type));
        }
    }

    /// Whether the local user is heard.
    pub fn set_muted(&mut self, muted: bool) {
        self.common.muted.store(muted, Relaxed);
    }

    /// The latest levels.
    pub fn levels(&self) -> Levels {
        let level = |bits: &AtomicU32| f32::from_bits(bits.load(Relaxed));
        Levels {
            local_dbov: level(&self.common.level),
            legs: self.legs.iter().map(|(id, entry)| (*id, level(&entry.shared.level))).collect(),
        }
    }

    /// The next event, if any. To be called now and then: it also sees to what the media thread gives back.
    pub fn poll_event(&mut self) -> Option<MediaEvent> {
        self.tidy();
        if let Ok((leg, digit)) = self.digits.pop() {
            return Some(MediaEvent::Digit { leg, digit });
        }
        self.devices.as_ref().and_then(Devices::poll_event)
    }

    /// How a leg fares; `None` for a leg that is not there.
    pub fn stats(&self, leg: LegId) -> Option<LegStats> {
        self.legs.get(&leg).map(|entry| entry.shared.stats())
    }

    /// The name of the microphone, or why there is none.
    pub fn microphone(&self) -> Result<String, String> {
        self.devices.as_ref().map_or_else(|| Err(NO_DEVICE.to_owned()), Devices::microphone)
    }

    /// The name of the loudspeaker, or why there is none.
    pub fn speaker(&self) -> Result<String, String> {
        self.devices.as_ref().map_or_else(|| Err(NO_DEVICE.to_owned()), Devices::speaker)
    }

    /// Ends all legs and completes the record file.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.tidy();
        self.common.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the media thread failed");
        }
        if let Some(recorder) = self.recorder.take() {
            recorder.finish();
        }
        self.devices = None;
    }

    fn send(&mut self, control: Control) {
        self.backlog.push_back(control);
        self.tidy();
    }

    fn tidy(&mut self) {
        while self.waste.pop().is_ok() {}
        while let Some(control) = self.backlog.pop_front() {
            if let Err(PushError::Full(control)) = self.control.push(control) {
                self.backlog.push_front(control);
                break;
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("legs", &self.legs.keys()).finish_non_exhaustive()
    }
}

const CONTROL_SLOTS: usize = 1_024;
const WASTE_SLOTS: usize = 2_048;
const DIGIT_SLOTS: usize = 256;
const SECONDS_FROM_1900_TO_1970: f64 = 2_208_988_800.0;
const NO_DEVICE: &str = "this session does not use a sound device";
