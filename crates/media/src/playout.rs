//! From packets to an even flow of frames: jitter buffer, decoder and concealment of one leg.
//!
//! Times are in samples of the codec's clock. A packet that can be played for the first time at tick `n` has the
//! lateness `n * frame - timestamp`; the stream is played with a delay that covers all but the rarest lateness of
//! the last seconds. An empty buffer stops the clock of the stream, so the delay grows at once when packets are
//! late; it shrinks by dropping silence, or one pitch period at a time.

use crate::{
    CodecKind, conceal, g711, level,
    opus::{Decoder, LONGEST_SAMPLES, samples_in},
    rtp::Packet,
};

/// What a tick got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Sound from packets.
    Audio,
    /// Nothing was there; the samples are made up or silent.
    Gap,
}

/// Counts for the user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets after their turn.
    pub late: u64,
    /// Sound made up while a packet was missing, in microseconds: neither the silence after it nor the
    /// comfort noise of a sender's own pause.
    pub concealed_us: u64,
    /// Changes of source.
    pub restarts: u64,
}

/// One received stream.
#[derive(Debug)]
pub struct Playout {
    kind: CodecKind,
    opus: Option<Box<Decoder>>,
    ssrc: Option<u32>,
    newest: i64,
    strangers: u8,
    entries: Vec<Entry>,
    free: Vec<u8>,
    storage: Box<[[u8; SLOT_BYTES]]>,
    state: State,
    next: i64,
    fifo: Box<[i16]>,
    filled: usize,
    /// What was played last: two frames, the newest at the end.
    history: Box<[i16]>,
    /// The pitch period that a gap repeats, as it was when the gap began.
    period: Box<[i16]>,
    lag: usize,
    made_up: usize,
    /// The sender pauses by Opus DTX: its decoder goes on with comfort noise.
    dtx: bool,
    lateness: Lateness,
    rest_ticks: u8,
    counts: Counts,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    timestamp: i64,
    samples: i64,
    kind: CodecKind,
    slot: u8,
    bytes: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Playing,
    Waiting,
}

impl Playout {
    /// A stream of `kind`; a decoder is needed when Opus may come.
    pub fn new(kind: CodecKind, opus: Option<Box<Decoder>>) -> Self {
        Self {
            kind,
            opus,
            ssrc: None,
            newest: 0,
            strangers: 0,
            entries: Vec::with_capacity(SLOTS),
            free: (0..SLOTS as u8).collect(),
            storage: vec![[0; SLOT_BYTES]; SLOTS].into_boxed_slice(),
            state: State::Waiting,
            next: i64::MIN,
            fifo: vec![0; LONGEST_SAMPLES * 2].into_boxed_slice(),
            filled: 0,
            history: vec![0; 2 * 960].into_boxed_slice(),
            period: vec![0; 960].into_boxed_slice(),
            lag: 0,
            made_up: LONG_AGO,
            dtx: false,
            lateness: Lateness::new(),
            rest_ticks: 0,
            counts: Counts::default(),
        }
    }

    /// Gives a decoder to a stream that had none; the one that is not needed comes back.
    pub fn set_opus(&mut self, opus: Box<Decoder>) -> Option<Box<Decoder>> {
        match self.opus {
            Some(_) => Some(opus),
            None => {
                self.opus = Some(opus);
                None
            }
        }
    }

    /// Takes a packet that is there for tick `tick`.
    pub fn insert(&mut self, tick: i64, packet: &Packet<'_>, kind: CodecKind) {
        let samples = match kind {
            CodecKind::Pcma | CodecKind::Pcmu => Some(packet.payload.len()),
            CodecKind::Opus if self.opus.is_some() => samples_in(packet.payload),
            CodecKind::Opus => None,
        };
        let Some(samples @ 1..=LONGEST_SAMPLES) = samples else { return };
        if packet.payload.len() > SLOT_BYTES || !self.is_ours(tick, packet, kind) {
            return;
        }
        let timestamp = self.extend(packet.timestamp);
        if self.entries.iter().any(|entry| entry.timestamp == timestamp) {
            return;
        }
        // Also while the stream waits: what was played once is never played again.
        let late = timestamp + samples as i64 <= self.next;
        // A repetition of what was played says nothing about lateness beyond what was known.
        self.lateness.push(tick * self.frame() - timestamp, late, self.frame());
        if late {
            self.counts.late += 1;
            return;
        }
        self.newest = self.newest.max(timestamp);
        let slot = self.free.pop().or_else(|| self.forget_oldest());
        let Some(slot) = slot else { return };
        self.storage[usize::from(slot)][..packet.payload.len()].copy_from_slice(packet.payload);
        let entry = Entry {
            timestamp,
            samples: samples as i64,
            kind,
            slot,
            bytes: packet.payload.len() as u16,
        };
        let place = self.entries.partition_point(|other| other.timestamp < timestamp);
        self.entries.insert(place, entry);
    }

    /// The next 20 ms, at the codec's rate. Writes the first [`CodecKind::frame_samples`] of `out`.
    pub fn pull(&mut self, tick: i64, out: &mut [i16]) -> Heard {
        let frame = self.frame() as usize;
        let out = &mut out[..frame];
        let heard = self.fill(tick, frame);
        self.adapt(tick, frame);
        out.copy_from_slice(&self.fifo[..frame]);
        self.fifo.copy_within(frame..self.filled, 0);
        self.filled -= frame;
        self.history.copy_within(frame..2 * frame, 0);
        self.history[frame..2 * frame].copy_from_slice(out);
        heard
    }

    /// The source said goodbye: what is queued is still played, and the next source is taken at once.
    pub fn end(&mut self) {
        self.ssrc = None;
    }

    /// Forgets what is queued: it is too old to be heard.
    pub fn drop_backlog(&mut self) {
        while let Some(entry) = self.entries.pop() {
            self.next = self.next.max(entry.timestamp + entry.samples);
            self.free.push(entry.slot);
        }
        self.filled = 0;
        self.state = State::Waiting;
    }

    /// What is being received, which decides the rate of the frames.
    pub fn kind(&self) -> CodecKind {
        self.kind
    }

    /// The source that is being played.
    pub fn ssrc(&self) -> Option<u32> {
        self.ssrc
    }

    /// Counts since the beginning.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Delay over the fastest packet, in milliseconds.
    pub fn delay_ms(&self, tick: i64) -> f32 {
        if self.state == State::Waiting {
            return 0.0;
        }
        let delay = self.delay(tick) - self.lateness.least;
        delay.max(0) as f32 * 20.0 / self.frame() as f32
    }

    fn frame(&self) -> i64 {
        self.kind.frame_samples() as i64
    }

    /// Delay at which the next sample is played at tick `tick + 1`.
    fn delay(&self, tick: i64) -> i64 {
        (tick + 1) * self.frame() - (self.next - self.filled as i64)
    }

    fn extend(&self, timestamp: u32) -> i64 {
        self.newest + i64::from(timestamp.wrapping_sub(self.newest as u32) as i32)
    }

    /// Another source, clock or time begins only with its second packet: a stray one changes nothing.
    fn is_ours(&mut self, tick: i64, packet: &Packet<'_>, kind: CodecKind) -> bool {
        // After a pause the clock of the sender is where it would have been: only one that is not has jumped.
        let lateness = tick * self.frame() - self.extend(packet.timestamp);
        let jump = (lateness - self.lateness.least).abs() > LONGEST_JUMP_FRAMES * self.frame();
        let known = self.ssrc == Some(packet.ssrc)
            && kind.clock_rate_hz() == self.kind.clock_rate_hz()
            && !jump;
        if known {
            self.strangers = 0;
            return true;
        }
        self.strangers += 1;
        let idle = self.entries.is_empty() && self.state == State::Waiting;
        if self.ssrc.is_some() && self.strangers < 2 && !idle {
            return false;
        }
        self.restart(packet, kind);
        true
    }

    fn restart(&mut self, packet: &Packet<'_>, kind: CodecKind) {
        if self.ssrc.is_some() {
            self.counts.restarts += 1;
        }
        if kind.clock_rate_hz() != self.kind.clock_rate_hz() {
            self.filled = 0;
            self.history.fill(0);
            self.made_up = LONG_AGO;
        }
        self.dtx = false;
        if let Some(opus) = &mut self.opus {
            opus.reset();
        }
        while let Some(entry) = self.entries.pop() {
            self.free.push(entry.slot);
        }
        self.ssrc = Some(packet.ssrc);
        self.kind = kind;
        self.newest = i64::from(packet.timestamp);
        self.next = i64::MIN;
        self.strangers = 0;
        self.state = State::Waiting;
        self.lateness = Lateness::new();
    }

    fn forget_oldest(&mut self) -> Option<u8> {
        if self.entries.is_empty() {
            return None;
        }
        let entry = self.entries.remove(0);
        self.next = self.next.max(entry.timestamp + entry.samples);
        Some(entry.slot)
    }

    /// Brings `wanted` samples into the queue.
    fn fill(&mut self, tick: i64, wanted: usize) -> Heard {
        let mut heard = Heard::Audio;
        while self.filled < wanted {
            let head = self.entries.first().copied();
            match (self.state, head) {
                (State::Waiting, Some(head))
                    if tick * self.frame() - head.timestamp >= self.lateness.target =>
                {
                    self.next = head.timestamp;
                    self.state = State::Playing;
                }
                (State::Waiting, _) => {
                    heard = Heard::Gap;
                    self.make_up(wanted - self.filled, None);
                }
                (State::Playing, None) => self.state = State::Waiting,
                (State::Playing, Some(head)) if head.timestamp + head.samples <= self.next => {
                    let entry = self.entries.remove(0);
                    self.free.push(entry.slot);
                }
                (State::Playing, Some(head)) if head.timestamp <= self.next => self.decode(),
                (State::Playing, Some(head)) => {
                    let gap = head.timestamp - self.next;
                    if gap > 10 * self.frame() {
                        // A pause of the sender (DTX), not a loss.
                        self.state = State::Waiting;
                    } else {
                        heard = Heard::Gap;
                        let samples = gap.min(self.frame());
                        let follows = gap <= self.frame() && !self.dtx;
                        self.make_up(samples as usize, follows.then_some(head));
                        self.next += samples;
                    }
                }
            }
        }
        heard
    }

    fn decode(&mut self) {
        let entry = self.entries.remove(0);
        self.free.push(entry.slot);
        let payload = &self.storage[usize::from(entry.slot)][..usize::from(entry.bytes)];
        let room = &mut self.fifo[self.filled..];
        let samples = match (entry.kind, &mut self.opus) {
            (CodecKind::Pcmu, _) => {
                g711::decode_mu_law(payload, room);
                payload.len()
            }
            (CodecKind::Pcma, _) => {
                g711::decode_a_law(payload, room);
                payload.len()
            }
            (CodecKind::Opus, Some(opus)) => opus.decode(payload, room).unwrap_or(0),
            (CodecKind::Opus, None) => 0,
        };
        self.next = entry.timestamp + entry.samples;
        if samples == 0 {
            self.make_up(entry.samples as usize, None);
            return;
        }
        self.join(samples);
        self.dtx = entry.kind == CodecKind::Opus && payload_is_dtx(entry.bytes);
        self.filled += samples;
    }

    /// Smooths the step from made-up sound to the real one.
    fn join(&mut self, samples: usize) {
        let frame = self.kind.frame_samples();
        let length = (frame / 5).min(samples);
        let real = &mut self.fifo[self.filled..self.filled + length];
        if self.made_up > 0 && self.kind != CodecKind::Opus {
            let mut tail = [0; 960 / 5];
            let period = &self.period[..self.lag];
            conceal::extend(period, frame, self.made_up, &mut tail[..length]);
            for (index, (old, sample)) in tail.iter().zip(real).enumerate() {
                *sample = conceal::blend(*old, *sample, index, length);
            }
        } else if self.made_up > 0 && !self.dtx {
            // The decoder joins its own concealment; only our fade must be taken back.
            let from = conceal::gain(self.made_up, frame);
            for (index, sample) in real.iter_mut().enumerate() {
                let gain = from + (1.0 - from) * (index + 1) as f32 / length as f32;
                *sample = (f32::from(*sample) * gain) as i16;
            }
        }
        self.made_up = 0;
    }

    /// Queues at least `samples` of made-up sound.
    fn make_up(&mut self, samples: usize, next: Option<Entry>) {
        let frame = self.kind.frame_samples();
        let samples = match self.kind {
            // The decoder conceals whole steps of 2.5 ms only.
            CodecKind::Opus => samples.next_multiple_of(DECODER_STEP),
            CodecKind::Pcma | CodecKind::Pcmu => samples,
        };
        let samples = samples.min(self.fifo.len() - self.filled);
        if self.made_up == 0 {
            self.remember_period(frame);
        }
        let pause = self.dtx && self.made_up < LONGEST_PAUSE_FRAMES * frame;
        let audible = conceal::audible(frame).saturating_sub(self.made_up).min(samples);
        if !pause {
            let rate = u64::from(self.kind.clock_rate_hz());
            self.counts.concealed_us += audible as u64 * 1_000_000 / rate;
        }
        let room = &mut self.fifo[self.filled..self.filled + samples];
        match &mut self.opus {
            Some(opus) if self.kind == CodecKind::Opus && (pause || audible > 0) => {
                let payload = next.map(|entry| {
                    &self.storage[usize::from(entry.slot)][..usize::from(entry.bytes)]
                });
                let written = opus.conceal(payload, room);
                room[written.min(samples)..].fill(0);
                if !pause {
                    conceal::fade(room, frame, self.made_up);
                }
            }
            _ if self.kind == CodecKind::Opus => room.fill(0),
            _ => conceal::extend(&self.period[..self.lag], frame, self.made_up, room),
        }
        self.filled += samples;
        self.made_up = self.made_up.saturating_add(samples);
    }

    /// Keeps what a gap that begins here will repeat; what is still queued is part of the past.
    fn remember_period(&mut self, frame: usize) {
        let queued = self.filled.min(frame);
        let keep = 2 * frame - queued;
        let mut recent = [0; 2 * 960];
        recent[..keep].copy_from_slice(&self.history[queued..2 * frame]);
        recent[keep..2 * frame].copy_from_slice(&self.fifo[self.filled - queued..self.filled]);
        self.lag = match self.kind {
            CodecKind::Opus => 0,
            CodecKind::Pcma | CodecKind::Pcmu => conceal::trailing_lag(&recent[..2 * frame], frame),
        };
        let from = 2 * frame - self.lag;
        self.period[..self.lag].copy_from_slice(&recent[from..2 * frame]);
    }

    /// Brings the delay nearer to the target.
    fn adapt(&mut self, tick: i64, frame: usize) {
        self.rest_ticks = self.rest_ticks.saturating_sub(1);
        if self.state == State::Waiting || self.made_up > 0 {
            return;
        }
        // The frame about to be played is still queued here.
        let excess = self.delay(tick) - self.lateness.target - frame as i64;
        let silent = level::dbov(&self.fifo[..frame]) < SILENT_DBOV;
        if silent && excess <= -(frame as i64) && self.filled + frame <= self.fifo.len() {
            self.fifo.copy_within(..self.filled, frame);
            self.filled += frame;
        } else if excess >= frame as i64 && (silent || self.rest_ticks == 0) {
            self.rest_ticks = if excess > 8 * frame as i64 { 1 } else { 4 };
            let contiguous = self.entries.first().is_some_and(|head| head.timestamp <= self.next);
            if self.filled < 2 * frame && contiguous {
                self.decode();
            }
            if self.filled < 2 * frame {
                return;
            }
            let filled = self.filled;
            if silent && level::dbov(&self.fifo[frame..2 * frame]) < SILENT_DBOV {
                conceal::overlap(&mut self.fifo[..filled], frame, frame / 4);
                self.filled -= frame;
            } else {
                self.filled -= conceal::cut_period(&mut self.fifo[..filled], frame);
            }
        }
    }
}

/// The encoder heard silence: nothing but the table of contents and perhaps a count (RFC 6716 section 3.1).
fn payload_is_dtx(bytes: u16) -> bool {
    bytes <= 2
}

/// The lateness of the last packets, and the delay that follows from it.
#[derive(Debug)]
struct Lateness {
    window: [i64; WINDOW],
    count: usize,
    target: i64,
    least: i64,
}

impl Lateness {
    fn new() -> Self {
        Self { window: [0; WINDOW], count: 0, target: i64::MIN, least: 0 }
    }

    fn push(&mut self, lateness: i64, late: bool, frame: i64) {
        self.window[self.count % WINDOW] = lateness;
        self.count += 1;
        if late || self.count < 50 || self.count.is_multiple_of(16) {
            self.measure(frame);
        }
    }

    fn measure(&mut self, frame: i64) {
        let known = self.count.min(WINDOW);
        let mut sorted = self.window;
        let rank = known - 1 - known / RARE;
        let (below, value, _) = sorted[..known].select_nth_unstable(rank);
        let value = *value;
        self.least = below.iter().copied().min().unwrap_or(value);
        self.target = value.min(self.least + MOST_FRAMES * frame);
    }
}

/// More samples than any fade lasts.
const LONG_AGO: usize = usize::MAX / 2;
/// 2.5 ms at 48 kHz.
const DECODER_STEP: usize = 120;
/// A clock that is off by so much was set anew.
const LONGEST_JUMP_FRAMES: i64 = 150;
/// Comfort noise ends by itself after three seconds: senders refresh it every 0.4 s.
const LONGEST_PAUSE_FRAMES: usize = 150;
const SLOTS: usize = 40;
const SLOT_BYTES: usize = 960;
/// Packets that are remembered: six seconds.
const WINDOW: usize = 300;
/// One packet in so many may be late.
const RARE: usize = 40;
const MOST_FRAMES: i64 = 20;
const SILENT_DBOV: f32 = -50.0;

#[cfg(test)]
mod tests;
