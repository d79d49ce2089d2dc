//! The mix: everybody hears all others. One sum at 8 kHz and one at 48 kHz; each codec's own samples are in the sum
//! of its own rate exactly, so taking a speaker out of it leaves nothing of him, and only the two sums are resampled.
//! Whoever adds nothing gets the common mix, encoded once per codec.

use crate::{
    CodecKind, g711, level,
    opus::{Encoder, LARGEST_BYTES},
    resample::{Down, FRAME_8K, FRAME_48K, Up},
};

/// 20 ms of what one leg says, at the rate of the codec it is sent.
#[derive(Clone, Debug)]
pub struct Voice {
    samples: [i16; FRAME_48K],
    length: usize,
    adds: bool,
    hangover: u8,
}

impl Voice {
    /// Says nothing.
    pub fn new() -> Self {
        Self { samples: [0; FRAME_48K], length: FRAME_8K, adds: false, hangover: 0 }
    }

    /// Sets the next 20 ms. In a large conference (`gated`) a leg below -60 dBov adds nothing after half a second:
    /// noise of many phones would drown the speaker, and everyone who adds nothing shares one encoding.
    pub fn set(&mut self, samples: &[i16], gated: bool) -> f32 {
        self.length = samples.len().min(FRAME_48K);
        self.samples[..self.length].copy_from_slice(&samples[..self.length]);
        let level = level::dbov(samples);
        self.hangover =
            if level > GATE_DBOV { HANGOVER_TICKS } else { self.hangover.saturating_sub(1) };
        self.adds = level > level::SILENCE_DBOV && (!gated || self.hangover > 0);
        level
    }

    /// Says nothing for 20 ms.
    pub fn silence(&mut self) {
        self.adds = false;
    }

    /// Whether it is part of the mix.
    pub fn adds(&self) -> bool {
        self.adds
    }
}

impl Default for Voice {
    fn default() -> Self {
        Self::new()
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
    opus: Option<Encoder>,
    common: [Option<usize>; 3],
    common_bytes: Box<[[u8; LARGEST_BYTES]; 3]>,
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
            opus: Encoder::new(),
            common: [None; 3],
            common_bytes: Box::new([[0; LARGEST_BYTES]; 3]),
            encodings: 0,
        }
    }

    /// Begins a tick.
    pub fn begin(&mut self) {
        self.native_8k.fill(0);
        self.native_48k.fill(0);
        self.common = [None; 3];
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

    /// Encodes what the owner of `voice` hears; `own` is his encoder, `common` whether he heard the
    /// common stream last.
    pub fn encode(
        &mut self,
        kind: CodecKind,
        voice: &Voice,
        own: Option<&mut Encoder>,
        was_common: &mut bool,
        out: &mut [u8],
    ) -> usize {
        if !voice.adds {
            *was_common = true;
            return self.encode_common(kind, out);
        }
        self.encodings += 1;
        match kind {
            CodecKind::Opus => {
                let mut mix = [0; FRAME_48K];
                without(&self.all_48k, voice, &mut mix);
                let Some(own) = own else { return 0 };
                if std::mem::take(was_common) {
                    own.reset();
                }
                own.encode(&mix, out)
            }
            CodecKind::Pcma | CodecKind::Pcmu => {
                *was_common = false;
                let mut mix = [0; FRAME_8K];
                without(&self.all_8k, voice, &mut mix);
                law(kind, &mix, out)
            }
        }
    }

    /// Encodings made so far: what a conference costs.
    pub fn encodings(&self) -> u64 {
        self.encodings
    }

    fn encode_common(&mut self, kind: CodecKind, out: &mut [u8]) -> usize {
        let index = kind as usize;
        let bytes = &mut self.common_bytes[index];
        let length = match self.common[index] {
            Some(length) => length,
            None => {
                self.encodings += 1;
                let nobody = Voice::new();
                match kind {
                    CodecKind::Opus => {
                        let mut mix = [0; FRAME_48K];
                        without(&self.all_48k, &nobody, &mut mix);
                        self.opus.as_mut().map_or(0, |opus| opus.encode(&mix, bytes))
                    }
                    CodecKind::Pcma | CodecKind::Pcmu => {
                        let mut mix = [0; FRAME_8K];
                        without(&self.all_8k, &nobody, &mut mix);
                        law(kind, &mix, bytes)
                    }
                }
            }
        };
        self.common[index] = Some(length);
        out[..length].copy_from_slice(&bytes[..length]);
        length
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

const GATE_DBOV: f32 = -60.0;
const HANGOVER_TICKS: u8 = 25;

#[cfg(test)]
mod tests {
    use super::*;

    fn voice(value: i16, length: usize) -> Voice {
        let mut voice = Voice::new();
        voice.set(&vec![value; length], false);
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
        let length = mixer.encode(CodecKind::Pcmu, voice, None, &mut false, &mut out);
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
    fn noise_is_gated_only_after_half_a_second_and_only_where_it_is_asked() {
        let mut voice = Voice::new();
        voice.set(&[3_000; FRAME_8K], true);
        for _ in 0..HANGOVER_TICKS - 1 {
            voice.set(&[10; FRAME_8K], true);
            assert!(voice.adds());
        }
        voice.set(&[10; FRAME_8K], true);
        assert!(!voice.adds());
        voice.set(&[10; FRAME_8K], false);
        assert!(voice.adds());
    }
}
