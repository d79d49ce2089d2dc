//! What one leg says, whether it is speech, and who is on stage when many speak.

use crate::{
    level::{self, Meter},
    resample::{FRAME_8K, FRAME_48K},
};

/// 20 ms of what one leg says, at the rate of the codec it is sent.
#[derive(Clone, Debug)]
pub struct Voice {
    pub(super) samples: [i16; FRAME_48K],
    pub(super) length: usize,
    pub(super) adds: bool,
    /// Whether it was admitted at the last tick.
    added: bool,
    sounds: bool,
    floor_dbov: f32,
    loudness: Meter,
    hangover: u8,
}

impl Voice {
    /// Says nothing.
    pub fn new() -> Self {
        Self {
            samples: [0; FRAME_48K],
            length: FRAME_8K,
            adds: false,
            added: false,
            sounds: false,
            floor_dbov: LOWEST_FLOOR_DBOV,
            loudness: Meter::new(),
            hangover: 0,
        }
    }

    /// Sets the next 20 ms and returns their level in dBov. It is in no mix before [`Self::admit`].
    pub fn set(&mut self, samples: &[i16]) -> f32 {
        self.length = samples.len().min(FRAME_48K);
        self.samples[..self.length].copy_from_slice(&samples[..self.length]);
        let level = level::dbov(samples);
        let speech = level > self.threshold_dbov();
        self.follow_floor(level);
        self.hangover = if speech { HANGOVER_TICKS } else { self.hangover.saturating_sub(1) };
        self.loudness.push(level);
        self.adds = false;
        self.sounds = level > level::SILENCE_DBOV;
        level
    }

    /// Says nothing for 20 ms.
    pub fn silence(&mut self) {
        self.loudness.push(level::SILENCE_DBOV);
        self.hangover = self.hangover.saturating_sub(1);
        self.adds = false;
        self.added = false;
        self.sounds = false;
    }

    /// Whether it spoke within the last half second: louder than the noise of its own room.
    pub fn speaks(&self) -> bool {
        self.sounds && self.hangover > 0
    }

    /// Takes it into the mix for these 20 ms, or leaves it out. Coming and going is faded: noise that is cut off
    /// sharply is heard.
    pub fn admit(&mut self, admitted: bool) {
        let samples = &mut self.samples[..self.length];
        let wanted = admitted && self.sounds;
        match (self.added, wanted) {
            (true, true) | (false, false) => {}
            (false, true) => {
                // An onset keeps all but its first millisecond.
                let length = self.length / 20;
                for (index, sample) in samples.iter_mut().take(length).enumerate() {
                    *sample = (i32::from(*sample) * index as i32 / length as i32) as i16;
                }
            }
            (true, false) => {
                let length = self.length as i32;
                for (index, sample) in samples.iter_mut().enumerate() {
                    *sample = (i32::from(*sample) * (length - index as i32) / length) as i16;
                }
            }
        }
        // The frame that fades out is still part of the mix.
        self.adds = wanted || (self.added && self.sounds);
        self.added = wanted;
    }

    /// Makes what was set louder or softer for everybody, from `before` to `gain` within these 20 ms: a step would click.
    /// Both are factors, 1 leaves it as it is; what grows beyond full scale saturates.
    pub fn scale(&mut self, before: f32, gain: f32) {
        if before == 1.0 && gain == 1.0 {
            return;
        }
        let step = (gain - before) / self.length.max(1) as f32;
        for (index, sample) in self.samples[..self.length].iter_mut().enumerate() {
            let factor = before + step * (index + 1) as f32;
            *sample = (f32::from(*sample) * factor).clamp(-32_768.0, 32_767.0) as i16;
        }
    }

    /// Whether it is part of the mix.
    pub fn adds(&self) -> bool {
        self.adds
    }

    fn threshold_dbov(&self) -> f32 {
        (self.floor_dbov + ABOVE_FLOOR_DB).clamp(LOWEST_THRESHOLD_DBOV, HIGHEST_THRESHOLD_DBOV)
    }

    /// The floor falls at once and rises slowly, so that the pauses between words set it.
    fn follow_floor(&mut self, level_dbov: f32) {
        let risen = self.floor_dbov + RISE_DB;
        self.floor_dbov = level_dbov.min(risen).clamp(LOWEST_FLOOR_DBOV, HIGHEST_FLOOR_DBOV);
    }
}

impl Default for Voice {
    fn default() -> Self {
        Self::new()
    }
}

/// The loudest voices of a large conference: a few hundred open microphones would drown the speaker, and everyone
/// who adds nothing shares one encoding.
#[derive(Clone, Debug, Default)]
pub struct Stage {
    /// The places of the voices, the loudest first.
    best: [(f32, usize); MOST_VOICES],
    count: usize,
}

impl Stage {
    /// An empty stage.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a tick.
    pub fn begin(&mut self) {
        self.count = 0;
    }

    /// A voice, after [`Voice::set`] or [`Voice::silence`], that stands at `place`.
    pub fn offer(&mut self, place: usize, voice: &Voice) {
        if !voice.speaks() {
            return;
        }
        // Who is heard stays until somebody is clearly louder.
        let score = voice.loudness.dbov() + if voice.added { STAY_DB } else { 0.0 };
        let at = self.best[..self.count].partition_point(|(other, _)| *other >= score);
        if at == MOST_VOICES {
            return;
        }
        self.count = (self.count + 1).min(MOST_VOICES);
        self.best[at..self.count].rotate_right(1);
        self.best[at] = (score, place);
    }

    /// Whether the voice at `place` is among the loudest.
    pub fn has(&self, place: usize) -> bool {
        self.best[..self.count].iter().any(|(_, other)| *other == place)
    }
}

/// So many voices are mixed at a time; where no more legs are there, all are, whatever they say.
pub const MOST_VOICES: usize = 6;
const STAY_DB: f32 = 6.0;
/// Half a second after the last speech.
const HANGOVER_TICKS: u8 = 25;
/// The level of a noise frame varies by a few decibels.
const ABOVE_FLOOR_DB: f32 = 9.0;
/// 3 dB in a second.
const RISE_DB: f32 = 0.06;
const LOWEST_FLOOR_DBOV: f32 = -69.0;
/// A steady tone beyond is no noise of a room.
const HIGHEST_FLOOR_DBOV: f32 = -45.0;
const LOWEST_THRESHOLD_DBOV: f32 = -60.0;
const HIGHEST_THRESHOLD_DBOV: f32 = -45.0;

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};

    use super::*;
    use crate::tone::Tone;

    /// 20 ms of white noise of that level.
    fn noise(rng: &mut rand_chacha::ChaCha8Rng, dbov: f32) -> [i16; FRAME_8K] {
        let peak = 32_768.0 * 10f32.powf(dbov / 20.0) * 3f32.sqrt();
        std::array::from_fn(|_| rng.random_range(-peak..=peak) as i16)
    }

    #[test]
    fn the_noise_of_a_room_is_no_speech_and_a_word_in_it_is_from_its_first_frame() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        for dbov in [-70.0, -60.0, -55.0, -50.0, -48.0] {
            let mut voice = Voice::new();
            let mut spoke = 0;
            for tick in 0..1_000 {
                voice.set(&noise(&mut rng, dbov));
                spoke += usize::from(tick > 350 && voice.speaks());
            }
            assert_eq!(spoke, 0, "{dbov}");
            voice.set(&noise(&mut rng, -35.0));
            assert!(voice.speaks(), "{dbov}");
            for _ in 0..HANGOVER_TICKS - 1 {
                voice.set(&noise(&mut rng, dbov));
                assert!(voice.speaks());
            }
            voice.set(&noise(&mut rng, dbov));
            assert!(!voice.speaks(), "{dbov}");
        }
    }

    #[test]
    fn a_steady_tone_is_never_taken_for_noise() {
        let mut tone = Tone::new(440.0);
        let mut voice = Voice::new();
        let mut frame = [0; FRAME_48K];
        for tick in 0..10_000 {
            tone.fill(&mut frame);
            // -20 dBov, then -40.
            let quiet = frame.map(|sample| if tick < 5_000 { sample } else { sample / 10 });
            voice.set(&quiet);
            assert!(voice.speaks(), "{tick}");
        }
    }

    #[test]
    fn an_onset_loses_at_most_a_millisecond_and_an_end_is_faded() {
        let mut voice = Voice::new();
        voice.set(&[3_000; FRAME_8K]);
        voice.admit(true);
        assert!(voice.adds());
        assert_eq!((voice.samples[0], voice.samples[8]), (0, 3_000));
        voice.set(&[3_000; FRAME_8K]);
        voice.admit(false);
        assert!(voice.adds());
        assert_eq!((voice.samples[0], voice.samples[80]), (3_000, 1_500));
        voice.set(&[3_000; FRAME_8K]);
        voice.admit(false);
        assert!(!voice.adds());
    }

    #[test]
    fn another_volume_comes_without_a_step_and_saturates() {
        let mut voice = Voice::new();
        voice.set(&[8_000; FRAME_8K]);
        voice.scale(1.0, 0.5);
        assert!((7_900..8_000).contains(&voice.samples[0]), "{}", voice.samples[0]);
        assert_eq!(voice.samples[FRAME_8K - 1], 4_000);
        voice.set(&[-8_000; FRAME_8K]);
        voice.scale(8.0, 8.0);
        assert_eq!((voice.samples[0], voice.samples[FRAME_8K - 1]), (-32_768, -32_768));
        voice.set(&[-8_000; FRAME_8K]);
        voice.scale(1.0, 1.0);
        assert_eq!(voice.samples[7], -8_000);
    }

    #[test]
    fn the_loudest_are_on_stage_and_stay_until_somebody_is_clearly_louder() {
        let mut voices = vec![Voice::new(); 9];
        let mut stage = Stage::new();
        let mut turn = |loudness: [i16; 9]| {
            stage.begin();
            for (place, (voice, value)) in voices.iter_mut().zip(loudness).enumerate() {
                voice.set(&[value; FRAME_8K]);
                stage.offer(place, voice);
            }
            for (place, voice) in voices.iter_mut().enumerate() {
                voice.admit(stage.has(place));
            }
            (0..9).filter(|place| stage.has(*place)).collect::<Vec<_>>()
        };
        assert_eq!(turn([900, 900, 900, 900, 900, 900, 800, 800, 0]), [0, 1, 2, 3, 4, 5]);
        // 3 dB more is not enough.
        assert_eq!(turn([900, 900, 900, 900, 900, 900, 1_270, 800, 0]), [0, 1, 2, 3, 4, 5]);
        assert_eq!(turn([900, 900, 900, 900, 900, 850, 9_000, 800, 0]), [0, 1, 2, 3, 4, 6]);
    }
}
