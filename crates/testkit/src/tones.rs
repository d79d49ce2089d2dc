//! Tones: made at a level, and measured again among others.
//!
//! Levels are dBov: 20·log10(rms / full scale), so that a full-scale sine is at -3.01 dBov.

use std::f64::consts::PI;

/// A sine of `level_dbov` at `rate_hz` samples a second.
pub fn sine(frequency_hz: f64, level_dbov: f64, rate_hz: u32, samples: usize) -> Vec<i16> {
    let peak = 10f64.powf(level_dbov / 20.0) * 2f64.sqrt() * FULL_SCALE;
    (0..samples)
        .map(|n| {
            let turn = 2.0 * PI * frequency_hz * n as f64 / f64::from(rate_hz);
            (peak * turn.sin()).round().clamp(-FULL_SCALE, FULL_SCALE - 1.0) as i16
        })
        .collect()
}

/// The level of one frequency in `samples`, in dBov; about ±5 Hz around it count as it.
///
/// The window is read in blocks of a quarter of a second whose powers are averaged: a receiver that drops or repeats a
/// frame shifts the phase of a tone, not its level.
pub fn level_dbov(samples: &[i16], rate_hz: u32, frequency_hz: f64) -> f64 {
    let block = (rate_hz / 4) as usize;
    let mut powers = Vec::new();
    let mut start = 0;
    while start + block <= samples.len() {
        powers.push(power(&samples[start..start + block], rate_hz, frequency_hz));
        start += block / 2;
    }
    let mean = powers.iter().sum::<f64>() / powers.len().max(1) as f64;
    10.0 * mean.max(1e-15).log10()
}

/// The level of everything in `samples`, in dBov.
pub fn total_dbov(samples: &[i16]) -> f64 {
    let sum: f64 = samples.iter().map(|sample| (f64::from(*sample) / FULL_SCALE).powi(2)).sum();
    10.0 * (sum / samples.len().max(1) as f64).max(1e-15).log10()
}

/// G.711 µ-law of a sample (ITU-T G.711), for a caller that plays a file.
pub fn mu_law(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = i32::from(sample).abs().min(32_635) + 132;
    let exponent = 24 - magnitude.leading_zeros();
    let mantissa = (magnitude >> (exponent + 3)) & 0x0f;
    !(sign | (exponent as u8) << 4 | mantissa as u8)
}

/// Goertzel's sum under a Hann window: the mean square of the sine at that frequency, full scale being 1.
fn power(samples: &[i16], rate_hz: u32, frequency_hz: f64) -> f64 {
    let turn = 2.0 * PI * frequency_hz / f64::from(rate_hz);
    let step = 2.0 * turn.cos();
    let (mut last, mut before) = (0.0, 0.0);
    for (n, sample) in samples.iter().enumerate() {
        let window = 0.5 - 0.5 * (2.0 * PI * n as f64 / samples.len() as f64).cos();
        let next = window * f64::from(*sample) / FULL_SCALE + step * last - before;
        (before, last) = (last, next);
    }
    let square = last * last + before * before - step * last * before;
    // A sine of peak a sums to a·n/4 under the window (n/2 of the sine, half of the window).
    let peak = 4.0 * square.max(0.0).sqrt() / samples.len() as f64;
    peak * peak / 2.0
}

const FULL_SCALE: f64 = 32_768.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_is_measured_at_the_level_it_was_made_at() {
        for rate_hz in [8_000, 48_000] {
            for hz in [440.0, 617.0, 1009.0, 1361.0] {
                let tone = sine(hz, -20.0, rate_hz, rate_hz as usize * 5);
                assert!((level_dbov(&tone, rate_hz, hz) + 20.0).abs() < 0.1);
                assert!((total_dbov(&tone) + 20.0).abs() < 0.1);
            }
        }
    }

    #[test]
    fn a_tone_beside_three_others_is_measured_and_an_absent_one_is_not() {
        let tones = [440.0, 617.0, 1361.0].map(|hz| sine(hz, -20.0, 8_000, 40_000));
        let mix: Vec<i16> = (0..40_000).map(|n| tones.iter().map(|tone| tone[n]).sum()).collect();
        for hz in [440.0, 617.0, 1361.0] {
            assert!((level_dbov(&mix, 8_000, hz) + 20.0).abs() < 0.2, "{hz}");
        }
        assert!(level_dbov(&mix, 8_000, 1009.0) < -80.0);
    }

    #[test]
    fn a_dropped_frame_does_not_hide_a_tone() {
        let mut tone = sine(440.0, -20.0, 8_000, 40_000);
        tone.drain(16_000..16_160);
        tone.drain(30_000..30_085);
        assert!((level_dbov(&tone, 8_000, 440.0) + 20.0).abs() < 1.0);
    }

    #[test]
    fn mu_law_gives_the_values_of_the_table() {
        // G.711 table 2a: silence, the ends, and one value of each half.
        for (sample, byte) in
            [(0, 0xff), (i16::MAX, 0x80), (i16::MIN, 0x00), (1000, 0xce), (-1000, 0x4e)]
        {
            assert_eq!(mu_law(sample), byte, "{sample}");
        }
    }
}
