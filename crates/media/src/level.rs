//! Levels: dBov = 20 log10(rms / 32768), attack at once, release of 300 ms (RFC 6464 names the unit).

/// What silence reads as.
pub const SILENCE_DBOV: f32 = -127.0;

/// Level of a block of samples.
pub fn dbov(samples: &[i16]) -> f32 {
    let sum: i64 = samples.iter().map(|sample| i64::from(*sample) * i64::from(*sample)).sum();
    if sum == 0 {
        return SILENCE_DBOV;
    }
    let mean = sum as f64 / samples.len() as f64;
    ((10.0 * (mean / (32_768.0 * 32_768.0)).log10()) as f32).max(SILENCE_DBOV)
}

/// A meter that rises at once and falls slowly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Meter {
    power: f32,
}

impl Meter {
    /// A meter that reads silence.
    pub fn new() -> Self {
        Self { power: 0.0 }
    }

    /// Takes the level of the next 20 ms and returns the reading.
    pub fn push(&mut self, frame_dbov: f32) -> f32 {
        let power = if frame_dbov <= SILENCE_DBOV { 0.0 } else { 10f32.powf(frame_dbov / 10.0) };
        self.power = power.max(self.power * RELEASE);
        self.dbov()
    }

    /// The reading.
    pub fn dbov(&self) -> f32 {
        if self.power <= 0.0 {
            return SILENCE_DBOV;
        }
        (10.0 * self.power.log10()).max(SILENCE_DBOV)
    }
}

impl Default for Meter {
    fn default() -> Self {
        Self::new()
    }
}

/// Power left after 20 ms: 40 dB down after 300 ms, e to the power of -ln(10^4) / 15.
const RELEASE: f32 = 0.541_17;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_scale_square_is_zero_and_silence_is_127_below() {
        assert!(dbov(&[-32_768; 160]).abs() < 0.01);
        assert_eq!(dbov(&[0; 160]), SILENCE_DBOV);
        assert_eq!(dbov(&[]), SILENCE_DBOV);
    }

    #[test]
    fn the_meter_rises_at_once_and_falls_forty_decibels_in_300_ms() {
        let mut meter = Meter::new();
        assert!((meter.push(-20.0) + 20.0).abs() < 0.1);
        for _ in 0..15 {
            meter.push(SILENCE_DBOV);
        }
        assert!((meter.dbov() + 60.0).abs() < 1.0, "{}", meter.dbov());
    }
}
