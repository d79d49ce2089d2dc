//! One leg on the media thread: its sockets, its stream in both directions, its reports.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
};

use super::{LegConfig, LegId, LegStats, LegUpdate, Sockets, receiver::Receiver, route::Route};
use crate::{
    CodecKind,
    digit::{Digits, Presses},
    g711,
    level::{Meter, SILENCE_DBOV},
    mixer::{Ear, Mixer, Voice},
    opus::{self, Decoder, Encoder, LARGEST_BYTES},
    playout::{Heard, Playout},
    resample::{Down, FRAME_8K, FRAME_48K, Up},
    rtcp::{self, Clock, Reception},
    rtp::{self, HEADER_BYTES, Packet, Sender},
};

/// What both sides see of a leg.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) connected: AtomicBool,
    /// Nobody hears it, whatever it says.
    pub(super) muted: AtomicBool,
    /// What everybody hears of it, as a factor.
    pub(super) gain: AtomicU32,
    pub(super) level: AtomicU32,
    received: AtomicU64,
    sent: AtomicU64,
    lost: AtomicU64,
    late: AtomicU64,
    concealed_ms: AtomicU64,
    jitter_ms: AtomicU32,
    buffer_ms: AtomicU32,
    remote_loss: AtomicU32,
    round_trip_ms: AtomicU32,
    /// The SSRC that is heard, and a bit above it; 0 while none is.
    ssrc: AtomicU64,
}

impl Shared {
    pub(super) fn new() -> Self {
        Self {
            connected: AtomicBool::new(false),
            muted: AtomicBool::new(false),
            gain: AtomicU32::new(1f32.to_bits()),
            level: AtomicU32::new(SILENCE_DBOV.to_bits()),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            late: AtomicU64::new(0),
            concealed_ms: AtomicU64::new(0),
            jitter_ms: AtomicU32::new(0),
            buffer_ms: AtomicU32::new(0),
            remote_loss: AtomicU32::new(0),
            round_trip_ms: AtomicU32::new(f32::NAN.to_bits()),
            ssrc: AtomicU64::new(0),
        }
    }

    pub(super) fn stats(&self) -> LegStats {
        let float = |value: &AtomicU32| f32::from_bits(value.load(Relaxed));
        LegStats {
            packets_received: self.received.load(Relaxed),
            packets_sent: self.sent.load(Relaxed),
            packets_lost: self.lost.load(Relaxed),
            packets_late: self.late.load(Relaxed),
            concealed_ms: self.concealed_ms.load(Relaxed),
            jitter_ms: float(&self.jitter_ms),
            buffer_ms: float(&self.buffer_ms),
            remote_loss: float(&self.remote_loss),
            round_trip_ms: Some(float(&self.round_trip_ms)).filter(|value| !value.is_nan()),
            ssrc: Some(self.ssrc.load(Relaxed))
                .filter(|value| *value & HEARD != 0)
                .map(|value| value as u32),
        }
    }
}

/// What signalling agreed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameters {
    remote: SocketAddr,
    remote_rtcp: SocketAddr,
    send: (CodecKind, u8),
    receive: [Option<CodecKind>; 128],
    telephone_event: Option<u8>,
    sending: bool,
    receiving: bool,
    opus: opus::Settings,
}

impl Parameters {
    pub(super) fn needs_opus(&self) -> bool {
        self.send.0 == CodecKind::Opus || self.receive.contains(&Some(CodecKind::Opus))
    }

    /// Who holds us is not heard: his music would be played to everybody.
    fn is_heard(&self) -> bool {
        self.receiving && self.sending
    }
}

impl From<&LegUpdate> for Parameters {
    fn from(update: &LegUpdate) -> Self {
        let mut receive = [None; 128];
        for (payload_type, kind) in &update.receive {
            if let Some(slot) = receive.get_mut(usize::from(*payload_type)) {
                *slot = Some(*kind);
            }
        }
        Self {
            remote: update.remote,
            remote_rtcp: update.remote_rtcp,
            send: update.send,
            receive,
            telephone_event: update.telephone_event,
            sending: update.sending,
            receiving: update.receiving,
            opus: update.opus,
        }
    }
}

/// A change on its way to the media thread, and what is left of it on the way back.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) leg: LegId,
    pub(super) parameters: Parameters,
    pub(super) decoder: Option<Box<Decoder>>,
    pub(super) encoder: Option<Box<Encoder>>,
}

/// A recording for one leg alone, on its way to the media thread and back.
#[derive(Debug)]
pub(super) struct Prompt {
    pub(super) leg: LegId,
    /// 48 kHz.
    pub(super) samples: Vec<i16>,
    pub(super) played: usize,
}

/// Takes a frame from one rate to the other.
#[derive(Debug, Default)]
struct Converter {
    up: Up,
    down: Down,
}

/// What a leg needs to know of the moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) tick: i64,
    pub(super) clock: Clock,
}

/// A leg.
#[derive(Debug)]
pub(super) struct Leg {
    pub(super) id: LegId,
    shared: Arc<Shared>,
    sockets: Sockets,
    is_ipv4: bool,
    cname: String,
    parameters: Parameters,
    route: Route,
    rtcp_target: SocketAddr,
    playout: Playout,
    converter: Box<Converter>,
    digits: Digits,
    reception: Reception,
    meter: Meter,
    voice: Voice,
    /// The gain at the end of the last 20 ms.
    gain: f32,
    sender: Sender,
    ear: Ear,
    sent_since_report: bool,
    report_at: i64,
    keep_alive_at: i64,
    received: u64,
    sent: u64,
    spread: u32,
    catching_up: bool,
    prompt: Option<Box<Prompt>>,
    /// Keys to be pressed, and the payload type of their events.
    presses: (Presses, u8),
}

impl Leg {
    /// Builds a leg: everything that allocates happens here.
    pub(super) fn new(
        id: LegId,
        config: LegConfig,
        shared: Arc<Shared>,
        rng: &mut dyn rand::RngCore,
    ) -> Self {
        let LegConfig { sockets, cname, .. } = config;
        let update = LegUpdate {
            remote: config.remote,
            remote_rtcp: config.remote_rtcp,
            send: config.send,
            receive: config.receive,
            telephone_event: config.telephone_event,
            ptime_ms: config.ptime_ms,
            sending: config.sending,
            receiving: config.receiving,
            opus: config.opus,
        };
        let parameters = Parameters::from(&update);
        let opus = parameters.needs_opus();
        let decoder = if opus { Decoder::new().map(Box::new) } else { None };
        let encoder = if opus { Encoder::new().map(Box::new) } else { None };
        let spread = rng.next_u32();
        Self {
            id,
            shared,
            is_ipv4: sockets.rtp.local_addr().is_ok_and(|address| address.is_ipv4()),
            sockets,
            cname,
            parameters,
            route: Route::new(parameters.remote),
            rtcp_target: parameters.remote_rtcp,
            playout: Playout::new(parameters.send.0, decoder),
            converter: Box::default(),
            digits: Digits::default(),
            reception: Reception::default(),
            meter: Meter::new(),
            voice: Voice::new(),
            gain: 1.0,
            sender: Sender::new(rng),
            ear: Ear::new(encoder, parameters.opus),
            sent_since_report: false,
            report_at: 0,
            keep_alive_at: 0,
            received: 0,
            sent: 0,
            spread,
            catching_up: false,
            prompt: None,
            presses: Default::default(),
        }
    }

    /// Applies a change; what is not needed stays in it and is dropped elsewhere.
    pub(super) fn apply(&mut self, change: &mut Change) {
        if self.parameters.remote != change.parameters.remote {
            self.route = Route::new(change.parameters.remote);
        }
        if self.parameters.remote_rtcp != change.parameters.remote_rtcp {
            self.rtcp_target = change.parameters.remote_rtcp;
        }
        if self.parameters.send != change.parameters.send {
            self.sender.marker = true;
        }
        self.parameters = change.parameters;
        if let Some(decoder) = change.decoder.take() {
            change.decoder = self.playout.set_opus(decoder);
        }
        if let Some(encoder) = change.encoder.take() {
            change.encoder = self.ear.set_encoder(encoder);
        }
        self.ear.set_settings(self.parameters.opus);
    }

    /// Plays a recording to this leg while it is not in the mix; the one before comes back.
    pub(super) fn play(&mut self, prompt: Box<Prompt>) -> Option<Box<Prompt>> {
        self.prompt.replace(prompt)
    }

    /// Presses keys, in place of those that were not pressed yet.
    pub(super) fn press(&mut self, presses: Presses, payload_type: u8) {
        self.presses = (presses, payload_type);
    }

    pub(super) fn is_connected(&self) -> bool {
        self.shared.connected.load(Relaxed)
    }

    /// Whether the host has taken its voice away.
    pub(super) fn is_muted(&self) -> bool {
        self.shared.muted.load(Relaxed)
    }

    /// Takes what waits on the RTP socket; returns how many datagrams that were.
    pub(super) fn receive(
        &mut self,
        receiver: &mut Receiver,
        moment: Moment,
        mut pressed: impl FnMut(LegId, char),
    ) -> usize {
        // What nobody will hear is counted, not kept.
        let hears = !self.catching_up && self.is_connected() && self.parameters.is_heard();
        let Self { sockets, is_ipv4, .. } = self;
        let (rtp, is_ipv4) = (&sockets.rtp, *is_ipv4);
        let (parameters, route) = (&self.parameters, &mut self.route);
        receiver.receive(rtp, is_ipv4, |source, datagram| {
            let Ok(packet) = Packet::parse(datagram) else { return };
            let kind = parameters.receive[usize::from(packet.payload_type)];
            let event = parameters.telephone_event == Some(packet.payload_type);
            if (kind.is_none() && !event) || !route.accepts(source, &packet, moment.tick) {
                return;
            }
            self.received += 1;
            if let Some(kind) = kind
                && hears
            {
                self.playout.insert(moment.tick, &packet, kind);
            }
            if self.playout.ssrc().is_some_and(|ssrc| ssrc != packet.ssrc) {
                return;
            }
            // Events count, but their timestamps stand still.
            let arrival = kind.map(|kind| (moment.clock.now_s, kind.clock_rate_hz()));
            self.reception.receive(&packet, arrival);
            if event && let Some(digit) = self.digits.receive(packet.timestamp, packet.payload) {
                pressed(self.id, digit);
            }
        })
    }

    /// Takes what waits on the RTCP socket.
    pub(super) fn receive_reports(&mut self, receiver: &mut Receiver, moment: Moment) {
        receiver.receive(&self.sockets.rtcp, self.is_ipv4, |source, datagram| {
            if !rtp::is_control(datagram) {
                return;
            }
            let Some(report) = rtcp::parse(datagram, self.sender.ssrc) else { return };
            if source != self.parameters.remote_rtcp && source != self.rtcp_target {
                // Only who sends the stream, from where it comes, may move where our reports go.
                let from = self.route.target().map(|target| target.ip());
                if from != Some(source.ip()) || self.route.ssrc() != Some(report.ssrc) {
                    return;
                }
                self.rtcp_target = source;
            }
            if report.bye && self.playout.ssrc() == Some(report.ssrc) {
                self.playout.end();
            }
            if let Some(middle) = report.sender_report {
                self.reception.reported(middle, moment.clock.now_s);
            }
            if let Some(block) = report.about_us {
                let loss = f32::from(block.fraction_lost) / 256.0;
                self.shared.remote_loss.store(loss.to_bits(), Relaxed);
                self.ear.set_loss(loss);
                if let Some(trip) = moment.clock.round_trip_s(block) {
                    self.shared.round_trip_ms.store(((trip * 1e3) as f32).to_bits(), Relaxed);
                }
            }
        });
    }

    /// Makes the next 20 ms of what this leg says.
    pub(super) fn listen(&mut self, tick: i64) {
        if !self.is_connected() {
            self.playout.drop_backlog();
            self.voice.silence();
            self.shared.level.store(self.meter.push(SILENCE_DBOV).to_bits(), Relaxed);
            return;
        }
        let mut frame = [0; FRAME_48K];
        let heard = self.playout.pull(tick, &mut frame);
        let length = self.playout.kind().frame_samples();
        let silent = heard == Heard::Gap && frame[..length].iter().all(|sample| *sample == 0);
        let level = if silent || !self.parameters.is_heard() {
            self.voice.silence();
            SILENCE_DBOV
        } else {
            let level = self.speak(&frame, length);
            let gain = f32::from_bits(self.shared.gain.load(Relaxed));
            self.voice.scale(std::mem::replace(&mut self.gain, gain), gain);
            level
        };
        let level = if self.is_muted() { SILENCE_DBOV } else { level };
        self.shared.level.store(self.meter.push(level).to_bits(), Relaxed);
    }

    /// What this leg says.
    pub(super) fn voice(&self) -> &Voice {
        &self.voice
    }

    /// Adds what this leg says to the mix, where it is admitted.
    pub(super) fn speak_into(&mut self, mixer: &mut Mixer, admitted: bool) {
        self.voice.admit(admitted && !self.is_muted());
        mixer.add(&self.voice);
    }

    /// Sends the next 20 ms of what this leg hears, or now and then a sign of life.
    pub(super) fn send(&mut self, tick: i64, mixer: &mut Mixer) {
        let (kind, payload_type) = self.parameters.send;
        let mut datagram = [0; HEADER_BYTES + LARGEST_BYTES];
        if self.send_press(&mut datagram) {
            self.keep_alive_at = tick + KEEP_ALIVE_TICKS;
        } else if self.is_connected() && self.parameters.sending {
            let out = &mut datagram[HEADER_BYTES..];
            let bytes = mixer.encode(kind, &self.voice, &mut self.ear, out);
            if bytes > 0 {
                self.transmit(&mut datagram, bytes, payload_type);
                self.sent_since_report = true;
            }
            self.keep_alive_at = tick + KEEP_ALIVE_TICKS;
        } else if let Some(bytes) = self.prompted(kind, &mut datagram[HEADER_BYTES..]) {
            self.transmit(&mut datagram, bytes, payload_type);
            self.sent_since_report = true;
            self.keep_alive_at = tick + KEEP_ALIVE_TICKS;
        } else {
            self.sender.marker = true;
            if tick >= self.keep_alive_at {
                self.keep_alive_at = tick + KEEP_ALIVE_TICKS;
                self.transmit(&mut datagram, 0, KEEP_ALIVE_PAYLOAD_TYPE);
                self.sender.marker = true;
            }
        }
        self.sender.pass(kind.frame_samples() as u32);
    }

    /// The next 20 ms of a press take the place of sound.
    fn send_press(&mut self, datagram: &mut [u8; HEADER_BYTES + LARGEST_BYTES]) -> bool {
        let (presses, payload_type) = &mut self.presses;
        let payload_type = *payload_type;
        let at = self.sender.timestamp;
        let Some(press) = presses.next(at).filter(|_| self.parameters.sending) else {
            return false;
        };
        datagram[HEADER_BYTES..HEADER_BYTES + 4].copy_from_slice(&press.payload);
        self.sender.timestamp = press.timestamp;
        self.sender.marker = press.marker;
        self.transmit(datagram, press.payload.len(), payload_type);
        self.sender.timestamp = at;
        self.sent_since_report = true;
        true
    }

    /// Encodes the next 20 ms of a recording for who is not in the mix; `None` where there is nothing to play.
    fn prompted(&mut self, kind: CodecKind, out: &mut [u8]) -> Option<usize> {
        let prompt = self.prompt.as_mut()?;
        if !self.parameters.sending || self.shared.connected.load(Relaxed) {
            return None;
        }
        let rest = prompt.samples.get(prompt.played..).filter(|rest| !rest.is_empty())?;
        let mut frame = [0; FRAME_48K];
        for (sample, recorded) in frame.iter_mut().zip(rest) {
            *sample = *recorded;
        }
        prompt.played += FRAME_48K;
        if kind == CodecKind::Opus {
            return Some(self.ear.encode(&frame, out)).filter(|bytes| *bytes > 0);
        }
        let (mut wide, mut narrow) = ([0; FRAME_48K], [0; FRAME_8K]);
        widen(&frame, &mut wide);
        self.converter.down.process(&wide, &mut narrow);
        let narrow = narrow.map(saturate);
        match kind {
            CodecKind::Pcma => g711::encode_a_law(&narrow, out),
            CodecKind::Opus | CodecKind::Pcmu => g711::encode_mu_law(&narrow, out),
        }
        Some(FRAME_8K)
    }

    /// The media thread stood still for `ticks`: what waits on the sockets is too old to be heard, and the clock of our
    /// stream ran on.
    pub(super) fn skip(&mut self, receiver: &mut Receiver, moment: Moment, ticks: i64) {
        self.playout.drop_backlog();
        self.catching_up = true;
        for _ in 0..MOST_BACKLOG {
            if self.receive(receiver, moment, |_, _| {}) == 0 {
                break;
            }
        }
        self.catching_up = false;
        let frame = self.parameters.send.0.frame_samples() as u32;
        self.sender.pass(frame.wrapping_mul(ticks as u32));
    }

    /// Sends a report when one is due, and publishes the counts.
    pub(super) fn report(&mut self, moment: Moment) {
        if moment.tick % 10 == 0 {
            self.publish(moment.tick);
        }
        if moment.tick >= self.report_at {
            // 5 s, spread over half to one and a half (RFC 3550 section 6.2).
            self.spread = self.spread.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let first = self.report_at == 0;
            let interval = 125 + i64::from(self.spread >> 24) * 250 / 256;
            self.report_at = moment.tick + if first { interval / 2 } else { interval };
            if !first {
                self.write_report(moment.clock, false);
            }
        }
    }

    /// Says goodbye (RFC 3550 section 6.3.7).
    pub(super) fn leave(&mut self, clock: Clock) {
        self.write_report(clock, true);
    }

    fn speak(&mut self, frame: &[i16; FRAME_48K], length: usize) -> f32 {
        let wanted = self.parameters.send.0.frame_samples();
        match (length, wanted) {
            (FRAME_8K, FRAME_48K) => {
                let (mut narrow, mut wide) = ([0; FRAME_8K], [0; FRAME_48K]);
                widen(&frame[..FRAME_8K], &mut narrow);
                self.converter.up.process(&narrow, &mut wide);
                self.voice.set(&wide.map(saturate))
            }
            (FRAME_48K, FRAME_8K) => {
                let (mut wide, mut narrow) = ([0; FRAME_48K], [0; FRAME_8K]);
                widen(frame, &mut wide);
                self.converter.down.process(&wide, &mut narrow);
                self.voice.set(&narrow.map(saturate))
            }
            _ => self.voice.set(&frame[..length]),
        }
    }

    fn transmit(
        &mut self,
        datagram: &mut [u8; HEADER_BYTES + LARGEST_BYTES],
        bytes: usize,
        payload_type: u8,
    ) {
        let Some(target) = self.route.target() else { return };
        let header = self.sender.write_header(payload_type, bytes);
        datagram[..HEADER_BYTES].copy_from_slice(&header);
        // A full buffer or an unreachable peer costs this packet, never the tick.
        let _ = self.sockets.rtp.send_to(&datagram[..HEADER_BYTES + bytes], target);
        self.sent += 1;
    }

    fn write_report(&mut self, clock: Clock, bye: bool) {
        let mut out = [0; rtcp::LARGEST_BYTES];
        let sending = std::mem::take(&mut self.sent_since_report);
        let length = rtcp::write(
            &mut out,
            &self.sender,
            sending,
            &mut self.reception,
            clock,
            &self.cname,
            bye,
        );
        if !self.rtcp_target.ip().is_unspecified() {
            let _ = self.sockets.rtcp.send_to(&out[..length], self.rtcp_target);
        }
    }

    fn publish(&self, tick: i64) {
        let counts = self.playout.counts();
        let per_ms = self.playout.kind().clock_rate_hz() as f64 / 1e3;
        let jitter = (self.reception.jitter() / per_ms) as f32;
        let heard = self.playout.ssrc().map_or(0, |ssrc| HEARD | u64::from(ssrc));
        self.shared.ssrc.store(heard, Relaxed);
        self.shared.received.store(self.received, Relaxed);
        self.shared.sent.store(self.sent, Relaxed);
        self.shared.lost.store(u64::from(self.reception.lost()), Relaxed);
        self.shared.late.store(counts.late, Relaxed);
        self.shared.concealed_ms.store(counts.concealed_us / 1_000, Relaxed);
        self.shared.jitter_ms.store(jitter.to_bits(), Relaxed);
        self.shared.buffer_ms.store(self.playout.delay_ms(tick).to_bits(), Relaxed);
    }
}

fn widen(samples: &[i16], out: &mut [i32]) {
    for (out, sample) in out.iter_mut().zip(samples) {
        *out = i32::from(*sample);
    }
}

fn saturate(sample: i32) -> i16 {
    sample.clamp(-32_768, 32_767) as i16
}

/// Stands above an SSRC that is heard: 0 is one like any other.
const HEARD: u64 = 1 << 32;
/// 15 s (RFC 6263 section 7).
const KEEP_ALIVE_TICKS: i64 = 750;
/// Unassigned, so that the peer ignores it (RFC 6263 section 4.6).
const KEEP_ALIVE_PAYLOAD_TYPE: u8 = 20;
/// Batches of datagrams that are thrown away after the thread stood still.
const MOST_BACKLOG: usize = 16;
