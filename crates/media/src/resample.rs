//! Sample rates: 8 kHz to 48 kHz and back for the mix, any ratio for devices, any rate for files.
//!
//! The fixed pair is a polyphase filter of 144 taps at 48 kHz: 1.5 ms of delay each way, flat to 3.4 kHz,
//! 60 dB down from 4.6 kHz.

use std::f64::consts::PI;

/// 8 kHz to 48 kHz.
#[derive(Clone, Debug)]
pub struct Up {
    /// `PHASES` filters of `PHASE_TAPS`, newest sample first.
    phases: Box<[[f32; PHASE_TAPS]; PHASES]>,
    history: [f32; PHASE_TAPS + FRAME_8K],
}

impl Up {
    /// With an empty history.
    pub fn new() -> Self {
        let taps = design();
        let mut phases = Box::new([[0.0; PHASE_TAPS]; PHASES]);
        for (index, tap) in taps.iter().enumerate() {
            // Reversed, so that the inner loop runs forward through the history.
            phases[index % PHASES][PHASE_TAPS - 1 - index / PHASES] = tap * PHASES as f32;
        }
        Self { phases, history: [0.0; PHASE_TAPS + FRAME_8K] }
    }

    /// Converts 20 ms.
    pub fn process(&mut self, input: &[i32; FRAME_8K], out: &mut [i32; FRAME_48K]) {
        self.history.copy_within(FRAME_8K.., 0);
        for (slot, sample) in self.history[PHASE_TAPS..].iter_mut().zip(input) {
            *slot = *sample as f32;
        }
        for (index, six) in out.chunks_exact_mut(PHASES).enumerate() {
            let window = &self.history[index + 1..index + 1 + PHASE_TAPS];
            for (sample, taps) in six.iter_mut().zip(self.phases.iter()) {
                *sample = dot(taps, window).round() as i32;
            }
        }
    }
}

impl Default for Up {
    fn default() -> Self {
        Self::new()
    }
}

/// 48 kHz to 8 kHz.
#[derive(Clone, Debug)]
pub struct Down {
    taps: Box<[f32; TAPS]>,
    history: Box<[f32; TAPS + FRAME_48K]>,
}

impl Down {
    /// With an empty history.
    pub fn new() -> Self {
        Self { taps: Box::new(design()), history: Box::new([0.0; TAPS + FRAME_48K]) }
    }

    /// Converts 20 ms.
    pub fn process(&mut self, input: &[i32; FRAME_48K], out: &mut [i32; FRAME_8K]) {
        self.history.copy_within(FRAME_48K.., 0);
        for (slot, sample) in self.history[TAPS..].iter_mut().zip(input) {
            *slot = *sample as f32;
        }
        for (index, sample) in out.iter_mut().enumerate() {
            // The filter is symmetric: its direction does not matter.
            let start = (index + 1) * PHASES;
            *sample = dot(&self.taps[..], &self.history[start..start + TAPS]).round() as i32;
        }
    }
}

impl Default for Down {
    fn default() -> Self {
        Self::new()
    }
}

/// A cubic interpolator with a ratio that may change at every sample: between our clock and a device's.
#[derive(Clone, Debug)]
pub struct Varispeed {
    window: [f32; 4],
    position: f64,
}

impl Varispeed {
    /// With an empty history.
    pub fn new() -> Self {
        Self { window: [0.0; 4], position: 0.0 }
    }

    /// Fills `out`, taking `step` input samples for each output sample. `next` gives the input;
    /// `None` is an underrun and counts as silence. Returns how many samples were missing.
    pub fn fill(
        &mut self,
        step: f64,
        out: &mut [i16],
        mut next: impl FnMut() -> Option<i16>,
    ) -> usize {
        let mut missing = 0;
        for sample in out {
            self.position += step;
            while self.position >= 1.0 {
                self.position -= 1.0;
                self.window.rotate_left(1);
                self.window[3] = match next() {
                    Some(value) => f32::from(value),
                    None => {
                        missing += 1;
                        0.0
                    }
                };
            }
            *sample = self.value();
        }
        missing
    }

    /// Pushes `input`, giving output samples to `sink`: `step` inputs for each output.
    pub fn feed(&mut self, step: f64, input: &[i16], mut sink: impl FnMut(i16)) {
        for value in input {
            self.window.rotate_left(1);
            self.window[3] = f32::from(*value);
            while self.position < 1.0 {
                sink(self.value());
                self.position += step;
            }
            self.position -= 1.0;
        }
    }

    fn value(&self) -> i16 {
        let [a, b, c, d] = self.window;
        let t = self.position as f32;
        let slope_b = (c - a) * 0.5;
        let slope_c = (d - b) * 0.5;
        let square = 3.0 * (c - b) - 2.0 * slope_b - slope_c;
        let cube = 2.0 * (b - c) + slope_b + slope_c;
        (b + t * (slope_b + t * (square + t * cube))).round() as i16
    }
}

impl Default for Varispeed {
    fn default() -> Self {
        Self::new()
    }
}

/// Converts a whole recording to 48 kHz with a windowed sinc. Not for the tick: it allocates.
pub fn recording_to_48k(samples: &[i16], rate_hz: u32) -> Vec<i16> {
    if rate_hz == 48_000 || rate_hz == 0 || samples.is_empty() {
        return samples.to_vec();
    }
    let ratio = f64::from(rate_hz) / 48_000.0;
    // Input samples per zero crossing of the sinc: wider when the rate goes down.
    let stretch = ratio.max(1.0);
    let half = (ZERO_CROSSINGS * stretch).ceil() as i64;
    // The output meets the input at so many different places only.
    let phases = 48_000 / gcd(rate_hz, 48_000);
    let table: Vec<Vec<f32>> = (0..phases)
        .map(|phase| {
            let past = u64::from(phase) * u64::from(rate_hz) % 48_000;
            filter(past as f64 / 48_000.0, stretch, half)
        })
        .collect();
    let length = (samples.len() as f64 / ratio).floor() as usize;
    (0..length)
        .map(|index| {
            let taps = &table[index % phases as usize];
            let first = (index as u64 * u64::from(rate_hz) / 48_000) as i64 - half;
            let from = first.clamp(0, samples.len() as i64) as usize;
            let taps = &taps[(from as i64 - first) as usize..];
            let pairs = samples[from..].iter().zip(taps);
            pairs.map(|(sample, tap)| f32::from(*sample) * tap).sum::<f32>().round() as i16
        })
        .collect()
}

/// Taps for an output sample that lies `inside` (0 to 1) after an input sample, from `half` samples before that.
fn filter(inside: f64, stretch: f64, half: i64) -> Vec<f32> {
    let taps: Vec<f64> = (-half..=half + 1)
        .map(|place| {
            let distance = (place as f64 - inside) / stretch;
            let window = 0.5 + 0.5 * (PI * (distance / ZERO_CROSSINGS).clamp(-1.0, 1.0)).cos();
            sinc(distance) * window
        })
        .collect();
    let gain: f64 = taps.iter().sum();
    taps.iter().map(|tap| (tap / gain) as f32).collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Samples of 20 ms at 8 kHz.
pub const FRAME_8K: usize = 160;
/// Samples of 20 ms at 48 kHz.
pub const FRAME_48K: usize = 960;

const PHASES: usize = 6;
const PHASE_TAPS: usize = 24;
const TAPS: usize = PHASES * PHASE_TAPS;
const ZERO_CROSSINGS: f64 = 16.0;

fn dot(taps: &[f32], window: &[f32]) -> f32 {
    // Eight sums at once: the compiler may not reorder a single one.
    let mut sums = [0.0f32; 8];
    for (taps, window) in taps.chunks_exact(8).zip(window.chunks_exact(8)) {
        for lane in 0..8 {
            sums[lane] += taps[lane] * window[lane];
        }
    }
    sums.iter().sum()
}

fn sinc(x: f64) -> f64 {
    if x.abs() < 1e-9 { 1.0 } else { (PI * x).sin() / (PI * x) }
}

/// A Kaiser-windowed low-pass at 4 kHz with unity gain.
fn design() -> [f32; TAPS] {
    const BETA: f64 = 5.65;
    let mut taps = [0.0; TAPS];
    let centre = (TAPS - 1) as f64 / 2.0;
    for (index, tap) in taps.iter_mut().enumerate() {
        let offset = index as f64 - centre;
        let inside = (1.0 - (offset / centre).powi(2)).max(0.0).sqrt();
        *tap = (sinc(offset / PHASES as f64) * bessel(BETA * inside) / bessel(BETA)) as f32;
    }
    let gain: f32 = taps.iter().sum();
    taps.map(|tap| tap / gain)
}

/// The modified Bessel function of order zero.
fn bessel(x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for k in 1..40 {
        term *= (x / 2.0 / f64::from(k)).powi(2);
        sum += term;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(hz: f64, rate: f64, length: usize) -> Vec<i16> {
        (0..length)
            .map(|n| ((n as f64 * hz / rate * 2.0 * PI).sin() * 8_000.0).round() as i16)
            .collect()
    }

    /// Level of one frequency in dB against an amplitude of 8000.
    fn gain_db(samples: &[i16], hz: f64, rate: f64) -> f64 {
        let (mut re, mut im) = (0.0, 0.0);
        for (n, sample) in samples.iter().enumerate() {
            let angle = n as f64 * hz / rate * 2.0 * PI;
            re += f64::from(*sample) * angle.cos();
            im += f64::from(*sample) * angle.sin();
        }
        20.0 * ((re.hypot(im) * 2.0 / samples.len() as f64) / 8_000.0).max(1e-9).log10()
    }

    fn up(input: &[i16]) -> Vec<i16> {
        let mut up = Up::new();
        let mut result = Vec::new();
        for frame in input.chunks_exact(FRAME_8K) {
            let (mut wide, mut out) = ([0; FRAME_8K], [0; FRAME_48K]);
            for (slot, sample) in wide.iter_mut().zip(frame) {
                *slot = i32::from(*sample);
            }
            up.process(&wide, &mut out);
            result.extend(out.map(|sample| sample as i16));
        }
        result
    }

    fn down(input: &[i16]) -> Vec<i16> {
        let mut down = Down::new();
        let mut result = Vec::new();
        for frame in input.chunks_exact(FRAME_48K) {
            let (mut wide, mut out) = ([0; FRAME_48K], [0; FRAME_8K]);
            for (slot, sample) in wide.iter_mut().zip(frame) {
                *slot = i32::from(*sample);
            }
            down.process(&wide, &mut out);
            result.extend(out.map(|sample| sample as i16));
        }
        result
    }

    #[test]
    fn speech_passes_both_ways_within_half_a_decibel() {
        for hz in [300.0, 440.0, 1_361.0, 3_400.0] {
            let raised = up(&sine(hz, 8_000.0, 8_000));
            assert!(gain_db(&raised[4_800..43_200], hz, 48_000.0).abs() < 0.5, "up {hz}");
            let lowered = down(&sine(hz, 48_000.0, 48_000));
            assert!(gain_db(&lowered[800..7_200], hz, 8_000.0).abs() < 0.5, "down {hz}");
        }
    }

    #[test]
    fn what_does_not_fit_into_8_khz_does_not_fold_back() {
        let lowered = down(&sine(5_000.0, 48_000.0, 48_000));
        assert!(gain_db(&lowered[800..7_200], 3_000.0, 8_000.0) < -50.0);
        let raised = up(&sine(1_000.0, 8_000.0, 8_000));
        assert!(gain_db(&raised[4_800..43_200], 7_000.0, 48_000.0) < -50.0);
    }

    #[test]
    fn recordings_of_any_rate_keep_pitch_and_level() {
        for rate in [8_000u32, 16_000, 22_050, 44_100, 96_000] {
            let out = recording_to_48k(&sine(440.0, f64::from(rate), rate as usize), rate);
            assert!((out.len() as i64 - 48_000).abs() <= 2, "{rate}: {}", out.len());
            assert!(gain_db(&out[4_800..43_200], 440.0, 48_000.0).abs() < 0.2, "{rate}");
        }
        assert!(recording_to_48k(&[], 8_000).is_empty());
    }

    #[test]
    fn a_clock_that_is_off_is_followed() {
        let input = sine(440.0, 48_000.0, 50_000);
        let mut source = input.iter().copied();
        let mut out = vec![0; 48_000];
        let missing = Varispeed::new().fill(1.001, &mut out, || source.next());
        assert_eq!(missing, 0);
        assert!(gain_db(&out[1_000..46_000], 440.44, 48_000.0).abs() < 0.1);
        let mut fed = Vec::new();
        Varispeed::new().feed(0.999, &input[..48_000], |sample| fed.push(sample));
        assert!((fed.len() as i64 - 48_048).abs() <= 2, "{}", fed.len());
    }
}
