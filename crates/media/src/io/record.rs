//! Files: the one that is played and the one that is recorded.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rtrb::{Consumer, Producer, RingBuffer};

use super::{MediaError, local::Player};
use crate::resample::recording_to_48k;

/// Begins to read a WAV file, on a thread of its own: a long one takes seconds. What is wrong with the file as a whole
/// is told at once.
pub(super) fn play(path: &Path) -> Result<Player, MediaError> {
    let failed = |reason: String| MediaError::Play { path: path.into(), reason };
    let reader = hound::WavReader::open(path).map_err(|error| failed(error.to_string()))?;
    if reader.len() == 0 {
        return Err(failed("there is no sound in it".to_owned()));
    }
    drop(reader);
    let (mut file, coming) = RingBuffer::new(1);
    let path = path.to_owned();
    thread::Builder::new().name("play".to_owned()).spawn(move || match read(&path) {
        // Nobody waits for it any more when the session is over.
        Ok(samples) => drop(file.push(samples)),
        Err(error) => tracing::warn!(%error, "nothing is played"),
    })?;
    Ok(Player::new(coming))
}

/// Reads a WAV file of any rate, width and number of channels as 48 kHz mono.
fn read(path: &Path) -> Result<Vec<i16>, MediaError> {
    let failed =
        |reason: hound::Error| MediaError::Play { path: path.into(), reason: reason.to_string() };
    let reader = hound::WavReader::open(path).map_err(failed)?;
    let spec = reader.spec();
    let mut broken = None;
    let samples: Vec<f32> = match spec.sample_format {
        hound::SampleFormat::Float => until_broken(reader.into_samples::<f32>(), &mut broken),
        hound::SampleFormat::Int => {
            let scale = (1u64 << (u32::from(spec.bits_per_sample).clamp(1, 32) - 1)) as f32;
            let samples = until_broken(reader.into_samples::<i32>(), &mut broken);
            samples.into_iter().map(|sample| sample as f32 / scale).collect()
        }
    };
    if samples.is_empty() {
        let reason = broken.map_or_else(|| "there is no sound in it".to_owned(), |e| e.to_string());
        return Err(MediaError::Play { path: path.into(), reason });
    }
    if let Some(error) = broken {
        tracing::warn!(%error, "the file to play ends early");
    }
    let channels = usize::from(spec.channels.max(1));
    let mono: Vec<i16> = samples
        .chunks_exact(channels)
        .map(|each| (each.iter().sum::<f32>() / channels as f32 * 32_768.0).round() as i16)
        .collect();
    Ok(recording_to_48k(&mono, spec.sample_rate))
}

/// What can be read: a file that was cut off is played as far as it goes.
fn until_broken<S>(
    samples: impl Iterator<Item = Result<S, hound::Error>>,
    broken: &mut Option<hound::Error>,
) -> Vec<S> {
    samples.map_while(|sample| sample.map_err(|error| *broken = Some(error)).ok()).collect()
}

/// Writes a file while it is being heard. The header is right every half second, so a killed process
/// leaves a file that plays.
#[derive(Debug)]
pub(super) struct Recorder {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Recorder {
    /// Creates the file and the thread that writes it; the samples go into the producer.
    pub(super) fn start(path: PathBuf) -> Result<(Self, Producer<i16>), MediaError> {
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 48_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let failed = |reason: hound::Error| MediaError::Record {
            path: path.clone(),
            reason: reason.to_string(),
        };
        let mut writer = hound::WavWriter::create(&path, spec).map_err(failed)?;
        writer.flush().map_err(failed)?;
        let (producer, consumer) = RingBuffer::new(RING_SAMPLES);
        let stop = Arc::new(AtomicBool::new(false));
        let thread = thread::Builder::new().name("record".to_owned()).spawn({
            let stop = Arc::clone(&stop);
            move || {
                if let Err(error) = write(writer, consumer, &stop) {
                    tracing::error!(%error, "the record file cannot be written");
                }
            }
        })?;
        Ok((Self { stop, thread: Some(thread) }, producer))
    }

    /// Writes what is left and completes the file. To be called when no more samples come.
    pub(super) fn finish(mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the record thread failed");
        }
    }
}

fn write(
    mut writer: hound::WavWriter<std::io::BufWriter<std::fs::File>>,
    mut samples: Consumer<i16>,
    stop: &AtomicBool,
) -> Result<(), hound::Error> {
    let mut round = 0u32;
    loop {
        let last = stop.load(Relaxed);
        while let Ok(sample) = samples.pop() {
            writer.write_sample(sample)?;
        }
        if last {
            return writer.finalize();
        }
        round += 1;
        if round.is_multiple_of(10) {
            writer.flush()?;
        }
        thread::sleep(Duration::from_millis(50));
    }
}

const RING_SAMPLES: usize = 96_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level;

    #[test]
    fn a_stereo_file_of_another_rate_and_width_is_played_at_its_level() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in.wav");
        let spec = hound::WavSpec {
            channels: 2,
            sample_rate: 22_050,
            bits_per_sample: 24,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(&path, spec).unwrap();
        for n in 0..22_050 {
            let value =
                ((n as f64 * 0.1).sin() * 0.1 * std::f64::consts::SQRT_2 * 8_388_608.0) as i32;
            writer.write_sample(value).unwrap();
            writer.write_sample(value).unwrap();
        }
        writer.finalize().unwrap();
        let samples = read(&path).unwrap();
        assert!((samples.len() as i64 - 48_000).abs() < 3);
        assert!((level::dbov(&samples) + 20.0).abs() < 0.1);
        assert!(read(&folder.path().join("none.wav")).is_err());
    }

    #[test]
    fn a_file_that_was_cut_off_is_played_as_far_as_it_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cut.wav");
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 48_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(&path, spec).unwrap();
        for _ in 0..4_800 {
            writer.write_sample(1_000i16).unwrap();
        }
        writer.finalize().unwrap();
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..44 + 2_001]).unwrap();
        assert_eq!(read(&path).unwrap(), [1_000; 1_000]);
        std::fs::write(&path, &whole[..44]).unwrap();
        assert!(read(&path).is_err());
    }

    #[test]
    fn a_file_that_was_never_finished_still_plays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.wav");
        let (recorder, mut ring) = Recorder::start(path.clone()).unwrap();
        for _ in 0..4_800 {
            ring.push(5).unwrap();
        }
        thread::sleep(Duration::from_millis(800));
        assert_eq!(hound::WavReader::open(&path).unwrap().len(), 4_800);
        ring.push(6).unwrap();
        recorder.finish();
        assert_eq!(hound::WavReader::open(&path).unwrap().len(), 4_801);
    }
}
