//! The mix: everybody hears all others. One sum at 8 kHz and one at 48 kHz; each codec's own samples are in the sum
//! of its own rate exactly, so taking a speaker out of it leaves nothing of him, and only the two sums are resampled.
//! Whoever adds nothing gets the common mix, encoded once per codec.

mod voice;

use crate::{
    CodecKind, g711,
    opus::{Encoder, LARGEST_BYTES, Settings},
    resample::{Down, FRAME_8K, FRAME_48K, Up},
};

pub use voice::{MOST_VOICES, Stage, Voice};

/// The listening half of a leg: its own encoder and what its peer asks for.
#[derive(Debug)]
pub struct Ear {
    encoder: Option<Box<Encoder>>,
    settings: Settings,
    loss: f32,
    was_common: bool,
}

impl Ear {
    /// An ear; an encoder is needed when it is sent Opus.
    pub fn new(encoder: Option<Box<Encoder>>, settings: Settings) -> Self {
        Self { encoder, settings, loss: 0.0, was_common: false }
    }

    /// Gives an encoder to an ear that had none; the one that is not needed comes back.
    pub fn set_encoder(&mut self, encoder: Box<Encoder>) -> Option<Box<Encoder>> {
        match self.encoder {
            Some(_) => Some(encoder),
            None => {
                self.encoder = Some(encoder);
                None
            }
        }
    }

    /// What the peer asks for.
    pub fn set_settings(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// Loss on the way to the peer as it reports it, 0 to 1.
    pub fn set_loss(&mut self, loss: f32) {
        self.loss = loss;
    }

    /// Encodes for this ear alone.
    pub(crate) fn encode(&mut self, mix: &[i16; FRAME_48K], out: &mut [u8]) -> usize {
        let Some(encoder) = &mut self.encoder else { return 0 };
        if std::mem::take(&mut self.was_common) {
            encoder.reset();
        }
        encoder.apply(self.settings, self.loss);
        encoder.encode(mix, out)
    }
}

/// One encoding for all who only listen and ask for the same.
#[derive(Debug)]
struct Common {
    encoder: Option<Encoder>,
    settings: Settings,
    bytes: Box<[u8; LARGEST_BYTES]>,
    length: Option<usize>,
    idle_ticks: u32,
    /// The worst loss among its listeners, at the last tick and at this one.
    loss: (f32, f32),
}

impl Common {
    fn new(encoder: Option<Encoder>) -> Self {
        Self {
            encoder,
            settings: Settings::default(),
            bytes: Box::new([0; LARGEST_BYTES]),
            length: None,
            idle_ticks: FORGOTTEN_TICKS,
            loss: (0.0, 0.0),
        }
    }

    fn begin(&mut self) {
        self.idle_ticks = self.idle_ticks.saturating_add(1);
        self.length = None;
        self.loss = (self.loss.1, 0.0);
    }

    fn give(&self, out: &mut [u8]) -> usize {
        let length = self.length.unwrap_or(0);
        out[..length].copy_from_slice(&self.bytes[..length]);
        length
    }
}

/// Sums, resamplers and what was encoded for everybody.
#[derive(Debug)]
pub struct Mixer {
    native_8k: [i32; FRAME_8K],
    native_48k: [i32; FRAME_48K],
    all_8k: [i32; FRAME_8K],
    all_48k: [i32; FRAME_48K],
    up: Up,
    down: Down,
    law: [Common; 2],
    opus: [Common; GROUPS],
    encodings: u64,
}

impl Mixer {
    /// Silent.
    pub fn new() -> Self {
        Self {
            native_8k: [0; FRAME_8K],
            native_48k: [0; FRAME_48K],
            all_8k: [0; FRAME_8K],
            all_48k: [0; FRAME_48K],
            up: Up::new(),
            down: Down::new(),
            law: std::array::from_fn(|_| Common::new(None)),
            opus: std::array::from_fn(|_| Common::new(Encoder::new())),
            encodings: 0,
        }
    }

    /// Begins a tick.
    pub fn begin(&mut self) {
        self.native_8k.fill(0);
        self.native_48k.fill(0);
        self.law.iter_mut().chain(&mut self.opus).for_each(Common::begin);
    }

    /// Adds a voice.
    pub fn add(&mut self, voice: &Voice) {
        if !voice.adds {
            return;
        }
        let sum = match voice.length {
            FRAME_8K => &mut self.native_8k[..],
            _ => &mut self.native_48k[..],
        };
        for (sum, sample) in sum.iter_mut().zip(&voice.samples[..voice.length]) {
            *sum += i32::from(*sample);
        }
    }

    /// Ends the adding: the sums are complete.
    pub fn finish(&mut self) {
        self.up.process(&self.native_8k, &mut self.all_48k);
        self.down.process(&self.native_48k, &mut self.all_8k);
        for (all, native) in self.all_48k.iter_mut().zip(&self.native_48k) {
            *all += native;
        }
        for (all, native) in self.all_8k.iter_mut().zip(&self.native_8k) {
            *all += native;
        }
    }

    /// What the owner of a 48 kHz voice hears.
    pub fn hear(&self, voice: &Voice, out: &mut [i16; FRAME_48K]) {
        without(&self.all_48k, voice, out);
    }

    /// Encodes what the owner of `voice` and `ear` hears into `out`; returns the number of bytes.
    pub fn encode(
        &mut self,
        kind: CodecKind,
        voice: &Voice,
        ear: &mut Ear,
        out: &mut [u8],
    ) -> usize {
        match kind {
            CodecKind::Opus if voice.adds => self.encode_own(voice, ear, out),
            CodecKind::Opus => match self.group_of(ear.settings) {
                Some(group) => self.encode_group(group, ear, out),
                // More wishes than encoders for them: this one is served alone.
                None => self.encode_own(voice, ear, out),
            },
            CodecKind::Pcma | CodecKind::Pcmu if voice.adds => {
                self.encodings += 1;
                let mut mix = [0; FRAME_8K];
                without(&self.all_8k, voice, &mut mix);
                law(kind, &mix, out)
            }
            CodecKind::Pcma | CodecKind::Pcmu => {
                let common = &mut self.law[usize::from(kind == CodecKind::Pcma)];
                if common.length.is_none() {
                    self.encodings += 1;
                    let mut mix = [0; FRAME_8K];
                    without(&self.all_8k, voice, &mut mix);
                    common.length = Some(law(kind, &mix, &mut common.bytes[..]));
                }
                common.give(out)
            }
        }
    }

    /// Encodings made so far: what a conference costs.
    pub fn encodings(&self) -> u64 {
        self.encodings
    }

    fn encode_own(&mut self, voice: &Voice, ear: &mut Ear, out: &mut [u8]) -> usize {
        self.encodings += 1;
        let mut mix = [0; FRAME_48K];
        without(&self.all_48k, voice, &mut mix);
        ear.encode(&mix, out)
    }

    fn encode_group(&mut self, group: usize, ear: &mut Ear, out: &mut [u8]) -> usize {
        ear.was_common = true;
        let common = &mut self.opus[group];
        common.idle_ticks = 0;
        common.loss.1 = common.loss.1.max(ear.loss);
        if common.length.is_none() {
            self.encodings += 1;
            let mut mix = [0; FRAME_48K];
            without(&self.all_48k, &Voice::new(), &mut mix);
            let loss = common.loss.0.max(common.loss.1);
            common.length = common.encoder.as_mut().map(|encoder| {
                encoder.apply(common.settings, loss);
                encoder.encode(&mix, &mut common.bytes[..])
            });
        }
        common.give(out)
    }

    /// The encoding for all who ask for the same; a free one where there is none yet.
    fn group_of(&mut self, settings: Settings) -> Option<usize> {
        let taken = |group: &Common| group.idle_ticks < FORGOTTEN_TICKS;
        if let Some(at) = self.opus.iter().position(|g| taken(g) && g.settings == settings) {
            return Some(at);
        }
        let free = self.opus.iter().position(|group| !taken(group))?;
        let group = &mut self.opus[free];
        group.settings = settings;
        group.loss = (0.0, 0.0);
        if let Some(encoder) = &mut group.encoder {
            encoder.reset();
        }
        Some(free)
    }
}

impl Default for Mixer {
    fn default() -> Self {
        Self::new()
    }
}

fn law(kind: CodecKind, mix: &[i16; FRAME_8K], out: &mut [u8]) -> usize {
    match kind {
        CodecKind::Pcma => g711::encode_a_law(mix, out),
        CodecKind::Opus | CodecKind::Pcmu => g711::encode_mu_law(mix, out),
    }
    FRAME_8K
}

/// The sum without one voice, saturated.
fn without(all: &[i32], voice: &Voice, out: &mut [i16]) {
    if voice.adds && voice.length == all.len() {
        for ((out, all), own) in out.iter_mut().zip(all).zip(&voice.samples) {
            *out = (all - i32::from(*own)).clamp(-32_768, 32_767) as i16;
        }
    } else {
        for (out, all) in out.iter_mut().zip(all) {
            *out = (*all).clamp(-32_768, 32_767) as i16;
        }
    }
}

/// Encodings of Opus for listeners with different wishes.
const GROUPS: usize = 4;
/// Nobody asked for an encoding for a second: another wish may have it.
const FORGOTTEN_TICKS: u32 = 50;

#[cfg(test)]
mod tests {
    use super::*;

    fn voice(value: i16, length: usize) -> Voice {
        let mut voice = Voice::new();
        voice.set(&vec![value; length]);
        voice.admit(true);
        // The second frame is beyond the fade.
        voice.set(&vec![value; length]);
        voice.admit(true);
        voice
    }

    fn mixed(voices: &[&Voice]) -> Mixer {
        let mut mixer = Mixer::new();
        // The filters need three frames to settle.
        for _ in 0..3 {
            mixer.begin();
            for voice in voices {
                mixer.add(voice);
            }
            mixer.finish();
        }
        mixer
    }

    fn heard(mixer: &mut Mixer, voice: &Voice) -> i16 {
        let (mut out, mut samples) = ([0; LARGEST_BYTES], [0; FRAME_8K]);
        let mut ear = Ear::new(None, Settings::default());
        let length = mixer.encode(CodecKind::Pcmu, voice, &mut ear, &mut out);
        g711::decode_mu_law(&out[..length], &mut samples);
        samples[100]
    }

    #[test]
    fn everybody_hears_the_others_and_not_himself() {
        let (a, b, c) = (voice(1_000, FRAME_8K), voice(200, FRAME_8K), voice(40, FRAME_48K));
        let mut mixer = mixed(&[&a, &b, &c]);
        let near = |value: i16, expected: i32| {
            assert!((i32::from(value) - expected).abs() <= expected / 16, "{value} {expected}");
        };
        near(heard(&mut mixer, &a), 240);
        near(heard(&mut mixer, &b), 1_040);
        near(heard(&mut mixer, &Voice::new()), 1_240);
        let mut wide = [0; FRAME_48K];
        mixer.hear(&c, &mut wide);
        near(wide[500], 1_200);
    }

    #[test]
    fn who_only_listens_shares_one_encoding() {
        let (speaker, listener) = (voice(1_000, FRAME_8K), Voice::new());
        let mut mixer = mixed(&[&speaker]);
        heard(&mut mixer, &speaker);
        for _ in 0..50 {
            heard(&mut mixer, &listener);
        }
        assert_eq!(mixer.encodings(), 2);
    }

    #[test]
    fn a_sum_beyond_full_scale_saturates() {
        let (a, b) = (voice(30_000, FRAME_8K), voice(30_000, FRAME_8K));
        let mut mixer = mixed(&[&a, &b]);
        assert_eq!(heard(&mut mixer, &Voice::new()), 32_124);
    }

    #[test]
    fn listeners_share_an_encoding_with_those_who_ask_for_the_same() {
        let speaker = voice(1_000, FRAME_48K);
        let mut mixer = mixed(&[&speaker]);
        let fec = Settings { fec: true, ..Settings::default() };
        let narrow = Settings { playback_rate_hz: 8_000, ..Settings::default() };
        let mut out = [0; LARGEST_BYTES];
        for settings in [Settings::default(), fec, narrow, fec, Settings::default(), narrow] {
            let mut ear = Ear::new(Encoder::new().map(Box::new), settings);
            let bytes = mixer.encode(CodecKind::Opus, &Voice::new(), &mut ear, &mut out);
            assert!(bytes > 0);
        }
        assert_eq!(mixer.encodings(), 3);
        // Wishes beyond the encodings are served alone, and those that went make room.
        for bitrate_bps in 6_000..6_006 {
            let settings = Settings { bitrate_bps, ..Settings::default() };
            let mut ear = Ear::new(Encoder::new().map(Box::new), settings);
            assert!(mixer.encode(CodecKind::Opus, &Voice::new(), &mut ear, &mut out) > 0);
        }
        for _ in 0..FORGOTTEN_TICKS {
            mixer.begin();
        }
        assert_eq!(mixer.group_of(fec), Some(0));
    }
}
