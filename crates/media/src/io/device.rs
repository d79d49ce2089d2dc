//! Microphone and loudspeaker, each a lane of its own. One thread opens them, keeps the streams and opens a lane again
//! while it is missing or after it was lost; the callbacks only move samples between the device and a ring.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed},
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use cpal::{
    BufferSize, Device, ErrorKind, FromSample, Host, I24, Sample, SampleFormat, SizedSample,
    Stream, StreamConfig, SupportedStreamConfig,
    traits::{DeviceTrait, HostTrait, StreamTrait},
};
use rtrb::{Consumer, Producer, RingBuffer};

use super::{
    MediaEvent,
    local::{DeviceRings, RingEnd},
};

/// The engine's view of the devices.
pub(super) struct Devices {
    names: Arc<Mutex<Names>>,
    stop: Sender<()>,
    events: Receiver<MediaEvent>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Clone, Debug, PartialEq)]
struct Names {
    microphone: Result<String, String>,
    speaker: Result<String, String>,
}

impl Devices {
    /// Opens the default devices, on a thread of its own; [`MediaEvent::Devices`] tells what became of them.
    pub(super) fn start(rings: Producer<Box<DeviceRings>>) -> Self {
        let waiting = || Err("the sound system has not answered yet".to_owned());
        let names = Arc::new(Mutex::new(Names { microphone: waiting(), speaker: waiting() }));
        let (stop, stopped) = mpsc::channel();
        let (event_end, events) = mpsc::channel();
        let keeper = Keeper { names: Arc::clone(&names), stopped, events: event_end, rings };
        let thread = thread::Builder::new().name("sound".to_owned()).spawn(move || keeper.run());
        Self { names, stop, events, thread: thread.ok() }
    }

    pub(super) fn poll_event(&self) -> Option<MediaEvent> {
        self.events.try_recv().ok()
    }

    pub(super) fn microphone(&self) -> Result<String, String> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).microphone.clone()
    }

    pub(super) fn speaker(&self) -> Result<String, String> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).speaker.clone()
    }
}

impl Drop for Devices {
    fn drop(&mut self) {
        let _ = self.stop.send(());
        // A sound server that hangs must not hang the end of the program: the thread is left alone then.
        if let Some(thread) = self.thread.take()
            && thread.is_finished()
        {
            let _ = thread.join();
        }
    }
}

struct Keeper {
    names: Arc<Mutex<Names>>,
    stopped: Receiver<()>,
    events: Sender<MediaEvent>,
    rings: Producer<Box<DeviceRings>>,
}

/// One direction and how it stands.
struct Lane {
    way: Way,
    /// It runs while it lives.
    stream: Option<Stream>,
    state: Result<String, String>,
    trouble: Arc<Trouble>,
    try_at: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Microphone,
    Speaker,
}

/// What a stream complains about. Some systems complain on the audio thread: only atomics there.
#[derive(Debug, Default)]
struct Trouble {
    lost: AtomicU8,
    hiccups: AtomicUsize,
}

impl Lane {
    fn new(way: Way) -> Self {
        Self {
            way,
            stream: None,
            state: Err("the sound system has not answered yet".to_owned()),
            trouble: Arc::default(),
            try_at: Instant::now(),
        }
    }

    fn retry_later(&mut self) {
        self.try_at = Instant::now() + RETRY;
    }
}

impl Keeper {
    fn run(mut self) {
        // The loudspeaker first: a microphone that hears it gives nothing before it runs, and waits for that.
        let mut lanes = [Lane::new(Way::Speaker), Lane::new(Way::Microphone)];
        loop {
            let mut news = None;
            for lane in &mut lanes {
                if let Some(reason) = lane.trouble.lost() {
                    tracing::warn!(way = ?lane.way, reason, "the sound device is lost");
                    *lane = Lane { state: Err(reason.to_owned()), ..Lane::new(lane.way) };
                    lane.retry_later();
                    let _ = self.events.send(MediaEvent::DeviceLost { reason: reason.to_owned() });
                }
                if lane.stream.is_none() && Instant::now() >= lane.try_at {
                    self.open(lane);
                }
            }
            let [speaker, microphone] = &lanes;
            let names =
                Names { microphone: microphone.state.clone(), speaker: speaker.state.clone() };
            let mut known = self.names.lock().unwrap_or_else(PoisonError::into_inner);
            if *known != names {
                news = Some(names.clone());
                *known = names;
            }
            drop(known);
            if let Some(Names { microphone, speaker }) = news {
                tracing::info!(?microphone, ?speaker, "sound");
                let _ = self.events.send(MediaEvent::Devices { microphone, speaker });
            }
            match self.stopped.recv_timeout(LOOK) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn open(&mut self, lane: &mut Lane) {
        lane.trouble = Arc::default();
        lane.retry_later();
        match open_first(lane.way, &lane.trouble) {
            Ok((name, stream, rings)) => {
                // A full ring means that the media thread is gone.
                let _ = self.rings.push(Box::new(rings));
                (lane.stream, lane.state) = (Some(stream), Ok(name));
            }
            Err(reason) => lane.state = Err(reason),
        }
    }
}

impl Trouble {
    /// Runs on whatever thread the sound system likes: takes no lock, allocates nothing, logs nothing.
    fn complain(&self, error: &cpal::Error) {
        let code = match error.kind() {
            ErrorKind::DeviceNotAvailable => 1,
            ErrorKind::HostUnavailable => 2,
            ErrorKind::StreamInvalidated => 3,
            _ => {
                self.hiccups.fetch_add(1, Relaxed);
                return;
            }
        };
        self.lost.store(code, Relaxed);
    }

    fn lost(&self) -> Option<&'static str> {
        let hiccups = self.hiccups.swap(0, Relaxed);
        if hiccups > 0 {
            tracing::debug!(hiccups, "sound device");
        }
        match self.lost.load(Relaxed) {
            0 => None,
            1 => Some("it was taken away"),
            2 => Some("the sound system does not answer"),
            _ => Some("its settings changed"),
        }
    }
}

type Opened = Result<(String, Stream, DeviceRings), String>;

/// Tries the preferred sound system, then ALSA: each lane falls back by itself.
fn open_first(way: Way, trouble: &Arc<Trouble>) -> Opened {
    let host = cpal::default_host();
    #[cfg(target_os = "linux")]
    {
        if host.id() != cpal::HostId::Alsa {
            let opened = open_on(&host, way, trouble);
            if opened.is_ok() || !has_sound_card() {
                return opened;
            }
            return cpal::host_from_id(cpal::HostId::Alsa)
                .map_err(|error| error.to_string())
                .and_then(|alsa| open_on(&alsa, way, trouble))
                .or(opened);
        }
        // Each try without a card costs noise of ALSA's on the terminal.
        if !has_sound_card() {
            return Err("no sound card".to_owned());
        }
    }
    open_on(&host, way, trouble)
}

#[cfg(target_os = "linux")]
fn has_sound_card() -> bool {
    std::fs::read_dir("/dev/snd").is_ok_and(|entries| {
        entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("pcm"))
    })
}

fn open_on(host: &Host, way: Way, trouble: &Arc<Trouble>) -> Opened {
    let text = |error: cpal::Error| error.to_string();
    match way {
        Way::Microphone => {
            let device = host.default_input_device().ok_or("no microphone")?;
            let preset = device.default_input_config().map_err(text)?;
            first_that_works(&preset, |format, config| {
                let (ring, consumer) = RingBuffer::new(ring_samples(config.sample_rate));
                let block = Arc::new(AtomicUsize::new(0));
                let build = Build { device: &device, config, block: &block, trouble };
                let stream = build.capture_as(format, ring)?;
                let end = RingEnd { ring: consumer, rate_hz: config.sample_rate, block };
                Ok((name(&device), stream, DeviceRings::new(Some(end), None)))
            })
        }
        Way::Speaker => {
            let device = host.default_output_device().ok_or("no loudspeaker")?;
            let preset = device.default_output_config().map_err(text)?;
            first_that_works(&preset, |format, config| {
                let (producer, ring) = RingBuffer::new(ring_samples(config.sample_rate));
                let block = Arc::new(AtomicUsize::new(0));
                let build = Build { device: &device, config, block: &block, trouble };
                let stream = build.play_as(format, ring)?;
                let end = RingEnd { ring: producer, rate_hz: config.sample_rate, block };
                Ok((name(&device), stream, DeviceRings::new(None, Some(end))))
            })
        }
    }
}

/// Floating point first, which sound servers convert; then what the device is set to. Of each: our own rate in blocks
/// of 10 ms, the device's rate, and larger blocks where such small ones are refused.
fn first_that_works<T>(
    preset: &SupportedStreamConfig,
    open: impl Fn(SampleFormat, StreamConfig) -> Result<T, String>,
) -> Result<T, String> {
    let rate = preset.sample_rate();
    let mut last = "it offers no format".to_owned();
    for format in [SampleFormat::F32, preset.sample_format()] {
        for (sample_rate, block) in [(48_000, 480), (rate, rate / 100), (rate, rate / 25)] {
            let buffer_size = BufferSize::Fixed(block);
            match open(
                format,
                StreamConfig { channels: preset.channels(), sample_rate, buffer_size },
            ) {
                Ok(opened) => return Ok(opened),
                Err(reason) => last = reason,
            }
        }
    }
    Err(last)
}

/// What a stream is made of.
#[derive(Clone, Copy)]
struct Build<'a> {
    device: &'a Device,
    config: StreamConfig,
    /// The largest block that a callback was given, in frames.
    block: &'a Arc<AtomicUsize>,
    trouble: &'a Arc<Trouble>,
}

impl Build<'_> {
    fn capture_as(self, format: SampleFormat, ring: Producer<i16>) -> Result<Stream, String> {
        match format {
            SampleFormat::F32 => self.capture::<f32>(ring),
            SampleFormat::I8 => self.capture::<i8>(ring),
            SampleFormat::I16 => self.capture::<i16>(ring),
            SampleFormat::I24 => self.capture::<I24>(ring),
            SampleFormat::I32 => self.capture::<i32>(ring),
            SampleFormat::U8 => self.capture::<u8>(ring),
            SampleFormat::U16 => self.capture::<u16>(ring),
            other => Err(format!("its sample format {other} is not known")),
        }
    }

    fn play_as(self, format: SampleFormat, ring: Consumer<i16>) -> Result<Stream, String> {
        match format {
            SampleFormat::F32 => self.play::<f32>(ring),
            SampleFormat::I8 => self.play::<i8>(ring),
            SampleFormat::I16 => self.play::<i16>(ring),
            SampleFormat::I24 => self.play::<I24>(ring),
            SampleFormat::I32 => self.play::<i32>(ring),
            SampleFormat::U8 => self.play::<u8>(ring),
            SampleFormat::U16 => self.play::<u16>(ring),
            other => Err(format!("its sample format {other} is not known")),
        }
    }

    fn capture<T: SizedSample>(self, mut ring: Producer<i16>) -> Result<Stream, String>
    where
        f32: FromSample<T>,
    {
        let channels = usize::from(self.config.channels.max(1));
        let scale = 32_767.0 / channels as f32;
        let (block, trouble) = (Arc::clone(self.block), Arc::clone(self.trouble));
        let stream = self
            .device
            .build_input_stream::<T, _, _>(
                self.config,
                move |samples: &[T], _| {
                    block.fetch_max(samples.len() / channels, Relaxed);
                    for each in samples.chunks_exact(channels) {
                        let sum: f32 = each.iter().map(|sample| f32::from_sample(*sample)).sum();
                        // A full ring means that nobody listens.
                        let _ = ring.push((sum * scale) as i16);
                    }
                },
                move |error| trouble.complain(&error),
                Some(PATIENCE),
            )
            .map_err(|error| error.to_string())?;
        stream.play().map_err(|error| error.to_string())?;
        Ok(stream)
    }

    fn play<T: SizedSample + FromSample<i16>>(
        self,
        mut ring: Consumer<i16>,
    ) -> Result<Stream, String> {
        let channels = usize::from(self.config.channels.max(1));
        let (block, trouble) = (Arc::clone(self.block), Arc::clone(self.trouble));
        let stream = self
            .device
            .build_output_stream::<T, _, _>(
                self.config,
                move |samples: &mut [T], _| {
                    block.fetch_max(samples.len() / channels, Relaxed);
                    for each in samples.chunks_mut(channels) {
                        each.fill(ring.pop().unwrap_or(0).to_sample());
                    }
                },
                move |error| trouble.complain(&error),
                Some(PATIENCE),
            )
            .map_err(|error| error.to_string())?;
        stream.play().map_err(|error| error.to_string())?;
        Ok(stream)
    }
}

fn name(device: &Device) -> String {
    device.description().map_or_else(|_| "default".to_owned(), |name| name.name().to_owned())
}

/// Half a second.
fn ring_samples(rate_hz: u32) -> usize {
    rate_hz as usize / 2
}

/// A sound system that does not answer by then is named as missing.
const PATIENCE: Duration = Duration::from_secs(3);
const RETRY: Duration = Duration::from_secs(2);
/// How often lost streams are looked for.
const LOOK: Duration = Duration::from_millis(200);
