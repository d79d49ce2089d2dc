//! What the four say: spoken by espeak-ng where it is there, tones otherwise; each waits for its turn.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Seconds from one speaker's start to the next one's.
const TURN_S: f32 = 4.0;
/// From the host's start to the last participant's, at most.
const LAST_START_S: f32 = 4.0;
/// Longer than the demo.
const SILENCE_AFTER_S: f32 = 180.0;
const RATE_HZ: u32 = 48_000;
const VOICES: [&str; 4] = ["en-gb+f3", "en-us+m3", "en-us+f2", "en-gb+m7"];
const TONES_HZ: [u32; 4] = [440, 617, 1009, 1361];

/// Writes one WAV file a speaker; returns for each name the audio kind to start with.
pub fn prepare(
    out: &Path,
    speeches: &[(&'static str, &str); 4],
) -> Result<BTreeMap<&'static str, String>, String> {
    let mut voices = BTreeMap::new();
    let speaks = Command::new("espeak-ng").arg("--version").stdout(Stdio::null()).status();
    if !speaks.is_ok_and(|status| status.success()) {
        println!("espeak-ng is not here: the four are heard as tones instead of voices");
        for ((name, _), hz) in speeches.iter().zip(TONES_HZ) {
            voices.insert(*name, format!("tone:{hz}"));
        }
        return Ok(voices);
    }
    for (place, (name, words)) in speeches.iter().enumerate() {
        let raw = out.join(format!("{name}.raw.wav"));
        let status = Command::new("espeak-ng")
            .args(["-v", VOICES[place], "-s", "150", "-w"])
            .arg(&raw)
            .arg(words)
            .status()
            .map_err(|error| format!("espeak-ng: {error}"))?;
        if !status.success() {
            return Err(format!("espeak-ng could not speak for {name}"));
        }
        let file = out.join(format!("{name}.wav"));
        wait_for_turn(&raw, &file, TURN_S * (place as f32 + 1.0))
            .map_err(|error| format!("{}: {error}", file.display()))?;
        voices.insert(*name, format!("file:{}", file.display()));
    }
    Ok(voices)
}

/// How long after the last one's start everybody has spoken: four turns, the last of which may be long.
pub fn duration() -> Duration {
    Duration::from_secs_f32(TURN_S * 5.0 + LAST_START_S)
}

/// Puts silence in front and behind and brings the file to the rate that every phone takes.
fn wait_for_turn(from: &Path, to: &Path, silence_s: f32) -> Result<(), hound::Error> {
    let mut reader = hound::WavReader::open(from)?;
    let rate = reader.spec().sample_rate;
    let samples: Vec<i16> = reader.samples::<i16>().collect::<Result<_, _>>()?;
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: RATE_HZ,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(to, spec)?;
    for _ in 0..(silence_s * RATE_HZ as f32) as u32 {
        writer.write_sample(0_i16)?;
    }
    let length = (samples.len() as u64 * u64::from(RATE_HZ) / u64::from(rate.max(1))) as usize;
    for n in 0..length {
        let position = n as f32 * rate as f32 / RATE_HZ as f32;
        let first = position as usize;
        let here = f32::from(samples[first.min(samples.len() - 1)]);
        let next = f32::from(samples[(first + 1).min(samples.len() - 1)]);
        writer.write_sample((here + (next - here) * position.fract()) as i16)?;
    }
    // baresip hangs up where its file ends.
    for _ in 0..(SILENCE_AFTER_S * RATE_HZ as f32) as u32 {
        writer.write_sample(0_i16)?;
    }
    writer.finalize()
}
