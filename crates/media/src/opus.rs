//! Opus (RFC 6716, RFC 7587) through libopus: 48 kHz, mono, 20 ms.

use audiopus::{
    Application, Bitrate, Channels, SampleRate,
    coder::{Decoder as RawDecoder, Encoder as RawEncoder, GenericCtl},
};

use crate::resample::FRAME_48K;

/// Longest Opus packet in samples: 120 ms.
pub const LONGEST_SAMPLES: usize = 5_760;
/// Room for any packet we write.
pub const LARGEST_BYTES: usize = 1_275;

/// An encoder for speech: 32 kbit/s, complexity 5.
#[derive(Debug)]
pub struct Encoder {
    raw: RawEncoder,
}

impl Encoder {
    /// `None` when libopus refuses, which only lack of memory explains.
    pub fn new() -> Option<Self> {
        let mut raw =
            RawEncoder::new(SampleRate::Hz48000, Channels::Mono, Application::Voip).ok()?;
        raw.set_bitrate(Bitrate::BitsPerSecond(32_000)).ok()?;
        raw.set_complexity(5).ok()?;
        Some(Self { raw })
    }

    /// Encodes 20 ms; returns the number of bytes, 0 when it failed.
    pub fn encode(&mut self, samples: &[i16; FRAME_48K], out: &mut [u8]) -> usize {
        self.raw.encode(samples, out).unwrap_or(0)
    }

    /// Forgets the past: for a listener who comes from another encoder's stream.
    pub fn reset(&mut self) {
        let _ = self.raw.reset_state();
    }
}

/// A decoder; stereo comes out as mono.
#[derive(Debug)]
pub struct Decoder {
    raw: RawDecoder,
}

impl Decoder {
    /// `None` when libopus refuses, which only lack of memory explains.
    pub fn new() -> Option<Self> {
        Some(Self { raw: RawDecoder::new(SampleRate::Hz48000, Channels::Mono).ok()? })
    }

    /// Decodes a packet; returns the number of samples, `None` for garbage.
    pub fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> Option<usize> {
        self.raw.decode(Some(payload), out, false).ok()
    }

    /// Makes up `out.len()` samples for a lost packet: from the forward error correction in the
    /// packet after it when that is at hand, else from the past.
    pub fn conceal(&mut self, next: Option<&[u8]>, out: &mut [i16]) -> usize {
        let recovered =
            next.and_then(|payload| self.raw.decode(Some(payload), &mut *out, true).ok());
        recovered
            .unwrap_or_else(|| self.raw.decode(None::<&[u8]>, &mut *out, false).unwrap_or_default())
    }

    /// Forgets the past: another source begins.
    pub fn reset(&mut self) {
        let _ = self.raw.reset_state();
    }
}

/// Samples in a packet, `None` for garbage.
pub fn samples_in(payload: &[u8]) -> Option<usize> {
    let samples = audiopus::packet::nb_samples(payload, SampleRate::Hz48000).ok()?;
    (1..=LONGEST_SAMPLES).contains(&samples).then_some(samples)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{level, tone::Tone};

    fn packets(count: usize) -> Vec<Vec<u8>> {
        let (mut encoder, mut tone) = (Encoder::new().unwrap(), Tone::new(440.0));
        (0..count)
            .map(|_| {
                let (mut frame, mut out) = ([0; FRAME_48K], [0; LARGEST_BYTES]);
                tone.fill(&mut frame);
                let bytes = encoder.encode(&frame, &mut out);
                out[..bytes].to_vec()
            })
            .collect()
    }

    #[test]
    fn a_tone_survives_the_codec_and_one_loss() {
        let mut decoder = Decoder::new().unwrap();
        let packets = packets(50);
        let mut out = [0; LONGEST_SAMPLES];
        for (index, packet) in packets.iter().enumerate() {
            let samples = if index == 25 {
                decoder.conceal(packets.get(index + 1).map(Vec::as_slice), &mut out[..FRAME_48K])
            } else {
                assert_eq!(samples_in(packet), Some(FRAME_48K));
                decoder.decode(packet, &mut out).unwrap()
            };
            assert_eq!(samples, FRAME_48K);
            if index > 10 {
                let level = level::dbov(&out[..FRAME_48K]);
                let tolerance = if (25..28).contains(&index) { 15.0 } else { 2.0 };
                assert!((level + 20.0).abs() < tolerance, "frame {index}: {level}");
            }
        }
    }

    #[test]
    fn garbage_is_refused_without_a_panic() {
        let mut decoder = Decoder::new().unwrap();
        let mut out = [0; LONGEST_SAMPLES];
        assert_eq!(decoder.decode(&[], &mut out), None);
        for first in 0..=255u8 {
            let _ = decoder.decode(&[first, 255, 255, 3], &mut out);
            let _ = samples_in(&[first, 255]);
        }
    }
}
