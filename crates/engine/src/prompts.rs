//! The recordings that callers hear before a conference: resources/sounds, made by its own script.

use std::sync::OnceLock;

use conference::Prompt;
use media::resample::recording_to_48k;

/// The recording, 48 kHz.
pub(crate) fn samples(prompt: Prompt) -> Vec<i16> {
    static SAMPLES: OnceLock<[Vec<i16>; 3]> = OnceLock::new();
    let [lobby, pin, wrong] = SAMPLES.get_or_init(|| {
        let files: [&[u8]; 3] = [
            include_bytes!("../../../resources/sounds/lobby.wav"),
            include_bytes!("../../../resources/sounds/pin.wav"),
            include_bytes!("../../../resources/sounds/wrong.wav"),
        ];
        files.map(|file| recording_to_48k(&read(file), RATE_HZ))
    });
    match prompt {
        Prompt::Lobby => lobby.clone(),
        Prompt::Pin => pin.clone(),
        Prompt::Wrong => wrong.clone(),
    }
}

/// The samples of a file as our script writes it: the plain header, then 16 bit each.
fn read(file: &[u8]) -> Vec<i16> {
    let body = file.get(HEADER_BYTES..).unwrap_or_default();
    body.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}

const HEADER_BYTES: usize = 44;
const RATE_HZ: u32 = 8_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recording_speaks_for_some_seconds_and_is_not_too_loud() {
        for prompt in [Prompt::Lobby, Prompt::Pin, Prompt::Wrong] {
            let samples = samples(prompt);
            let seconds = samples.len() as f64 / 48_000.0;
            assert!((1.0..5.0).contains(&seconds), "{prompt:?}: {seconds}");
            let dbov = media::level::dbov(&samples);
            assert!((-35.0..-12.0).contains(&dbov), "{prompt:?}: {dbov}");
        }
    }
}
