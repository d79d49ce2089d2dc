//! Opus (RFC 6716, RFC 7587) through libopus: 48 kHz, mono, 20 ms.

use audiopus::{
    Application, Bandwidth, Bitrate, Channels, SampleRate,
    coder::{Decoder as RawDecoder, Encoder as RawEncoder, GenericCtl},
};

use crate::resample::FRAME_48K;

/// Longest Opus packet in samples: 120 ms.
pub const LONGEST_SAMPLES: usize = 5_760;
/// Room for any packet we write.
pub const LARGEST_BYTES: usize = 1_275;

/// What a peer asks of the stream we send (RFC 7587 section 6.1), within what we send at all: 32 kbit/s, 48 kHz.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `useinbandfec`: forward error correction is of use to it.
    pub fec: bool,
    /// `maxaveragebitrate`, in bit/s: 6000 to 32000.
    pub bitrate_bps: i32,
    /// `maxplaybackrate`, in Hz: one of 8000, 12000, 16000, 24000, 48000.
    pub playback_rate_hz: u32,
}

impl Settings {
    /// Reads the parameters of an `a=fmtp` line, without payload type. What is missing or unreadable limits nothing.
    pub fn of_fmtp(fmtp: Option<&str>) -> Self {
        let mut settings = Self::default();
        for parameter in fmtp.unwrap_or_default().split(';') {
            let Some((name, value)) = parameter.split_once('=') else { continue };
            let Ok(value) = value.trim().parse::<u32>() else { continue };
            match name.trim().to_ascii_lowercase().as_str() {
                "useinbandfec" => settings.fec = value == 1,
                "maxaveragebitrate" => {
                    settings.bitrate_bps = value.clamp(LOWEST_BPS, HIGHEST_BPS) as i32;
                }
                "maxplaybackrate" => {
                    let fits = |rate: &&u32| **rate <= value.max(RATES_HZ[0]);
                    settings.playback_rate_hz =
                        RATES_HZ.iter().rev().find(fits).copied().unwrap_or(RATES_HZ[0]);
                }
                _ => {}
            }
        }
        settings
    }

    fn bandwidth(self) -> Bandwidth {
        match self.playback_rate_hz {
            0..=8_000 => Bandwidth::Narrowband,
            8_001..=12_000 => Bandwidth::Mediumband,
            12_001..=16_000 => Bandwidth::Wideband,
            16_001..=24_000 => Bandwidth::Superwideband,
            _ => Bandwidth::Fullband,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self { fec: false, bitrate_bps: HIGHEST_BPS as i32, playback_rate_hz: 48_000 }
    }
}

/// An encoder for speech: complexity 5.
#[derive(Debug)]
pub struct Encoder {
    raw: RawEncoder,
    settings: Settings,
    loss_percent: u8,
}

impl Encoder {
    /// `None` when libopus refuses, which only lack of memory explains.
    pub fn new() -> Option<Self> {
        let mut raw =
            RawEncoder::new(SampleRate::Hz48000, Channels::Mono, Application::Voip).ok()?;
        let settings = Settings::default();
        raw.set_bitrate(Bitrate::BitsPerSecond(settings.bitrate_bps)).ok()?;
        raw.set_complexity(5).ok()?;
        Some(Self { raw, settings, loss_percent: 0 })
    }

    /// Encodes by these settings from here on; `loss`, 0 to 1, is what correction has to be strong enough for.
    /// Neither allocates nor disturbs the stream.
    pub fn apply(&mut self, settings: Settings, loss: f32) {
        // libopus only refuses values out of range, which these cannot be.
        if settings != self.settings {
            let _ = self.raw.set_bitrate(Bitrate::BitsPerSecond(settings.bitrate_bps));
            let _ = self.raw.set_max_bandwidth(settings.bandwidth());
            let _ = self.raw.set_inband_fec(settings.fec);
            self.settings = settings;
        }
        let loss_percent = (loss.clamp(0.0, 1.0) * 100.0).ceil() as u8;
        if loss_percent != self.loss_percent {
            let _ = self.raw.set_packet_loss_perc(loss_percent);
            self.loss_percent = loss_percent;
        }
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

const LOWEST_BPS: u32 = 6_000;
const HIGHEST_BPS: u32 = 32_000;
const RATES_HZ: [u32; 5] = [8_000, 12_000, 16_000, 24_000, 48_000];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{level, tone::Tone};

    #[test]
    fn what_the_peer_asks_for_is_read_and_kept_within_what_we_send() {
        let read = |text: &str| Settings::of_fmtp(Some(text));
        assert_eq!(Settings::of_fmtp(None), Settings::default());
        assert_eq!(read("stereo=1; sprop-stereo=1;x"), Settings::default());
        assert!(read("stereo=1;UseInbandFec = 1").fec);
        assert!(!read("useinbandfec=0").fec);
        assert_eq!(read("maxaveragebitrate=20000").bitrate_bps, 20_000);
        assert_eq!(read("maxaveragebitrate=510000").bitrate_bps, 32_000);
        assert_eq!(read("maxaveragebitrate=1").bitrate_bps, 6_000);
        for (asked, given) in [(1, 8_000), (8_000, 8_000), (20_000, 16_000), (96_000, 48_000)] {
            assert_eq!(read(&format!("maxplaybackrate={asked}")).playback_rate_hz, given);
        }
    }

    /// Speech-like: a tone that changes all the time.
    fn sweep(encoder: &mut Encoder, count: usize) -> Vec<Vec<u8>> {
        let mut phase = 0.0f32;
        (0..count * FRAME_48K)
            .map(|n| {
                phase += 0.01 + 0.006 * (n as f32 / 4_000.0).sin();
                (phase.sin() * 6_000.0 + (phase * 2.0).sin() * 3_000.0) as i16
            })
            .collect::<Vec<_>>()
            .chunks_exact(FRAME_48K)
            .map(|frame| {
                let mut out = [0; LARGEST_BYTES];
                let bytes = encoder.encode(frame.try_into().unwrap(), &mut out);
                out[..bytes].to_vec()
            })
            .collect()
    }

    #[test]
    fn a_limit_of_bit_rate_and_band_is_kept() {
        let mut encoder = Encoder::new().unwrap();
        let wish = Settings::of_fmtp(Some("maxaveragebitrate=12000;maxplaybackrate=8000"));
        encoder.apply(wish, 0.0);
        let packets = sweep(&mut encoder, 100);
        let bytes: usize = packets.iter().map(Vec::len).sum();
        assert!(bytes * 8 / 2 <= 13_000, "{}", bytes * 8 / 2);
        // SILK narrow band: configurations 0 to 3 (RFC 6716 section 3.1).
        assert!(packets.iter().all(|packet| packet[0] >> 3 < 4));
    }

    #[test]
    fn correction_is_in_the_stream_only_where_it_was_asked_for_and_there_is_loss() {
        let error = |fmtp: &str, loss| {
            let mut encoder = Encoder::new().unwrap();
            encoder.apply(Settings::of_fmtp(Some(fmtp)), loss);
            let packets = sweep(&mut encoder, 60);
            let (mut whole, mut holed) = (Decoder::new().unwrap(), Decoder::new().unwrap());
            let (mut a, mut b) = ([0; FRAME_48K], [0; FRAME_48K]);
            let mut error = 0.0;
            for (index, packet) in packets.iter().enumerate() {
                whole.decode(packet, &mut a).unwrap();
                if index % 10 == 5 {
                    holed.conceal(packets.get(index + 1).map(Vec::as_slice), &mut b);
                    let gone = a.iter().zip(&b).map(|(a, b)| f64::from(*a) - f64::from(*b));
                    error += gone.map(|gone| gone * gone).sum::<f64>();
                } else {
                    holed.decode(packet, &mut b).unwrap();
                }
            }
            error
        };
        let (with, without) = (error("useinbandfec=1", 0.2), error("useinbandfec=0", 0.2));
        assert!(with < without / 2.0, "{with} {without}");
    }

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
