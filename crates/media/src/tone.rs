//! A sine of known level: the sound of a test participant.

/// Samples of a sine at -20 dBov RMS, 48 kHz.
#[derive(Clone, Debug)]
pub struct Tone {
    phase: f64,
    step: f64,
}

impl Tone {
    /// A sine of `hz`.
    pub fn new(hz: f32) -> Self {
        Self { phase: 0.0, step: f64::from(hz) / 48_000.0 }
    }

    /// Fills a block.
    pub fn fill(&mut self, out: &mut [i16]) {
        for sample in out {
            *sample = ((self.phase * std::f64::consts::TAU).sin() * AMPLITUDE).round() as i16;
            self.phase = (self.phase + self.step).fract();
        }
    }
}

/// Peak of a sine whose RMS is a tenth of full scale.
const AMPLITUDE: f64 = 0.1 * 32_768.0 * std::f64::consts::SQRT_2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_level_is_minus_twenty() {
        let mut out = [0; 960];
        for hz in [100.0, 440.0, 3_000.0] {
            Tone::new(hz).fill(&mut out);
            assert!((crate::level::dbov(&out) + 20.0).abs() < 0.05);
        }
    }
}
