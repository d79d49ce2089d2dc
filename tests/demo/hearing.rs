//! Whether the others were really heard: each recording of what an end heard is looked at for sound.

use std::path::Path;

use crate::person::Person;

/// Louder than this is somebody's voice; the rest is pauses and noise.
const VOICE_DBOV: f64 = -45.0;
/// The three others speak for three to five seconds each; who came late misses some of it.
const ENOUGH_S: f64 = 3.0;
const PIECE_MS: usize = 100;

/// Prints how much every end that records heard; fails where that is next to nothing.
pub fn verdict(people: &[Person]) -> Result<(), String> {
    println!("\nend                  heard");
    let mut all = true;
    let mut count = 0;
    for person in people {
        let Some(recording) = person.recording() else { continue };
        let (seconds, dbov) = heard(&recording)?;
        println!("{:<20} {seconds:.1} s of the others, at {dbov:.0} dBov", person.name());
        all &= seconds >= ENOUGH_S;
        count += 1;
    }
    match (all, count) {
        (_, 0) => Err("nobody recorded what he heard".to_owned()),
        (true, _) => Ok(()),
        (false, _) => Err("somebody did not hear the others".to_owned()),
    }
}

/// How many seconds of it are louder than a pause, and how loud those are on average.
fn heard(recording: &Path) -> Result<(f64, f64), String> {
    let fail = |error: hound::Error| format!("{}: {error}", recording.display());
    let mut reader = hound::WavReader::open(recording).map_err(fail)?;
    let (rate, channels) = (reader.spec().sample_rate as usize, reader.spec().channels as usize);
    let samples: Vec<f64> = match reader.spec().sample_format {
        hound::SampleFormat::Int => reader
            .samples::<i16>()
            .map(|sample| sample.map(|sample| f64::from(sample) / 32_768.0))
            .collect::<Result<_, _>>()
            .map_err(fail)?,
        hound::SampleFormat::Float => reader
            .samples::<f32>()
            .map(|sample| sample.map(f64::from))
            .collect::<Result<_, _>>()
            .map_err(fail)?,
    };
    // The mean square: a square wave of full scale is 0 dBov.
    let piece = rate * channels * PIECE_MS / 1000;
    let powers = samples
        .chunks_exact(piece.max(1))
        .map(|piece| piece.iter().map(|sample| sample * sample).sum::<f64>() / piece.len() as f64);
    let voice = 10_f64.powf(VOICE_DBOV / 10.0);
    let loud: Vec<f64> = powers.filter(|power| *power > voice).collect();
    let mean = loud.iter().sum::<f64>() / loud.len().max(1) as f64;
    Ok((loud.len() as f64 * PIECE_MS as f64 / 1000.0, 10.0 * mean.max(1e-13).log10()))
}
