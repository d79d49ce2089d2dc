//! WAV files that are still being written, and the levels of tones in them.

use std::fs;
use std::path::Path;

use testkit::tones;

/// What the last `seconds` of a recording hold: the first channel as 16-bit samples.
pub struct Window {
    samples: Vec<i16>,
    rate_hz: u32,
}

impl Window {
    /// Reads the end of a file; `None` where that much is not there yet.
    pub fn of_last(path: &Path, seconds: f64) -> Option<Self> {
        let long = fs::metadata(path).ok()?.len() as f64 > 44.0 + seconds * 2.0 * 48_000.0;
        let mut window = long.then(|| Self::last(path, 0))?;
        let wanted = (f64::from(window.rate_hz) * seconds) as usize;
        let start = window.samples.len().checked_sub(wanted)?;
        window.samples.drain(..start);
        Some(window)
    }

    /// Reads the end of a file. Its header may still say that it is empty: the writer mends it when it closes.
    pub fn last(path: &Path, seconds: u32) -> Self {
        let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(bytes.starts_with(b"RIFF"), "{} is no WAV file", path.display());
        let u16_at = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let u32_at = |at: usize| u32::from(u16_at(at)) | u32::from(u16_at(at + 2)) << 16;
        let (mut at, mut format, mut data) = (12, 0, 0);
        while at + 8 <= bytes.len() && data == 0 {
            match &bytes[at..at + 4] {
                b"fmt " => format = at + 8,
                b"data" => data = at + 8,
                _ => {}
            }
            at += 8 + u32_at(at + 4) as usize;
        }
        assert!(format > 0 && data > 0, "{} has no sound", path.display());
        let (channels, rate_hz) = (usize::from(u16_at(format + 2)), u32_at(format + 4));
        let width = usize::from(u16_at(format + 14)) / 8;
        let samples: Vec<i16> = bytes[data..]
            .chunks_exact(width * channels)
            .map(|frame| match width {
                2 => i16::from_le_bytes([frame[0], frame[1]]),
                4 => {
                    let sample = f32::from_le_bytes([frame[0], frame[1], frame[2], frame[3]]);
                    (sample * 32_767.0) as i16
                }
                other => panic!("{other} bytes a sample"),
            })
            .collect();
        let wanted = (rate_hz * seconds) as usize;
        assert!(
            samples.len() >= wanted,
            "{} has {:.1} s of sound, {seconds} s are needed",
            path.display(),
            samples.len() as f64 / f64::from(rate_hz)
        );
        let start = if wanted == 0 { 0 } else { samples.len() - wanted };
        Self { samples: samples[start..].to_vec(), rate_hz }
    }

    /// The level of one frequency in dBov.
    pub fn level_dbov(&self, frequency_hz: f64) -> f64 {
        tones::level_dbov(&self.samples, self.rate_hz, frequency_hz)
    }
}

/// Checks that an end heard all others at -20 dBov within 3 dB, and itself at least `own_db` lower. Prints the figures.
#[track_caller]
pub fn assert_hears(end: &str, path: &Path, others: &[f64], own: Option<(f64, f64)>) {
    let window = Window::last(path, 5);
    let levels: Vec<String> =
        others.iter().map(|hz| format!("{hz} Hz {:.1}", window.level_dbov(*hz))).collect();
    let own_level = own.map(|(hz, _)| window.level_dbov(hz));
    let of_itself = own
        .zip(own_level)
        .map_or_else(String::new, |((hz, _), level)| format!(", itself ({hz} Hz) {level:.1}"));
    println!("{end} hears in dBov: {}{of_itself}", levels.join(", "));
    for hz in others {
        let level = window.level_dbov(*hz);
        assert!((level + 20.0).abs() <= 3.0, "{end} hears {hz} Hz at {level:.1} dBov");
    }
    if let (Some((hz, apart_db)), Some(level)) = (own, own_level) {
        assert!(level <= -20.0 - apart_db, "{end} hears its own {hz} Hz at {level:.1} dBov");
    }
}
