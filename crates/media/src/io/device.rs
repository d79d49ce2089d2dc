//! Microphone and loudspeaker. One thread opens them, keeps the streams and opens them again when they are lost;
//! the callbacks only move samples between the device and a ring.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use cpal::{
    BufferSize, Device, ErrorKind, FromSample, Host, Sample, SampleFormat, SizedSample, Stream,
    StreamConfig, SupportedStreamConfig,
    traits::{DeviceTrait, HostTrait, StreamTrait},
};
use rtrb::{Consumer, Producer, RingBuffer};

use super::{MediaEvent, local::DeviceRings};

/// The engine's view of the devices.
pub(super) struct Devices {
    names: Arc<Mutex<Names>>,
    orders: Sender<Order>,
    events: Receiver<MediaEvent>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Clone, Debug)]
struct Names {
    microphone: Result<String, String>,
    speaker: Result<String, String>,
}

enum Order {
    Lost(String),
    Stop,
}

/// What is open.
struct Open {
    /// A stream runs while it lives.
    streams: Vec<Stream>,
    names: Names,
}

impl Devices {
    /// Opens the default devices; waits a moment for them, so that their names are known.
    pub(super) fn start(rings: Producer<Box<DeviceRings>>) -> Self {
        let waiting = || Err("the sound system has not answered yet".to_owned());
        let names = Arc::new(Mutex::new(Names { microphone: waiting(), speaker: waiting() }));
        let (orders, order_end) = mpsc::channel();
        let (event_end, events) = mpsc::channel();
        let (ready, opened) = mpsc::channel();
        let thread = thread::Builder::new().name("sound".to_owned()).spawn({
            let keeper = Keeper {
                names: Arc::clone(&names),
                orders: order_end,
                lost: orders.clone(),
                events: event_end,
                rings,
            };
            move || keeper.run(&ready)
        });
        let _ = opened.recv_timeout(PATIENCE);
        Self { names, orders, events, thread: thread.ok() }
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
        let _ = self.orders.send(Order::Stop);
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
    orders: Receiver<Order>,
    lost: Sender<Order>,
    events: Sender<MediaEvent>,
    rings: Producer<Box<DeviceRings>>,
}

impl Keeper {
    fn run(mut self, ready: &Sender<()>) {
        let mut streams = self.open();
        let _ = ready.send(());
        let mut restoring = false;
        loop {
            // What never worked is not tried again: without a card each try costs noise on the terminal.
            let order = if restoring {
                self.orders.recv_timeout(RETRY)
            } else {
                self.orders.recv().map_err(|_| RecvTimeoutError::Disconnected)
            };
            match order {
                Ok(Order::Lost(reason)) if !restoring && !streams.is_empty() => {
                    tracing::warn!(reason, "the sound device is lost");
                    streams.clear();
                    restoring = true;
                    self.tell(&reason);
                    let _ = self.events.send(MediaEvent::DeviceLost { reason });
                }
                Ok(Order::Lost(_)) => {}
                Err(RecvTimeoutError::Timeout) => {
                    streams = self.open();
                    restoring = streams.is_empty();
                    if !restoring {
                        let _ = self.events.send(MediaEvent::DeviceRestored);
                    }
                }
                Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn open(&mut self) -> Vec<Stream> {
        let rings = &mut self.rings;
        // A full ring means that the media thread is gone.
        let mut deliver = |lanes| drop(rings.push(Box::new(lanes)));
        let open = open_first(&self.lost, &mut deliver);
        tracing::info!(microphone = ?open.names.microphone, speaker = ?open.names.speaker, "sound");
        *self.names.lock().unwrap_or_else(PoisonError::into_inner) = open.names;
        open.streams
    }

    fn tell(&self, reason: &str) {
        let lost = || Err(reason.to_owned());
        *self.names.lock().unwrap_or_else(PoisonError::into_inner) =
            Names { microphone: lost(), speaker: lost() };
    }
}

/// Tries the preferred sound system, then ALSA.
fn open_first(lost: &Sender<Order>, deliver: &mut impl FnMut(DeviceRings)) -> Open {
    let open = open_on(&cpal::default_host(), lost, deliver);
    #[cfg(target_os = "linux")]
    if open.streams.is_empty()
        && cpal::default_host().id() != cpal::HostId::Alsa
        && let Ok(alsa) = cpal::host_from_id(cpal::HostId::Alsa)
    {
        return open_on(&alsa, lost, deliver);
    }
    open
}

fn open_on(host: &Host, lost: &Sender<Order>, deliver: &mut impl FnMut(DeviceRings)) -> Open {
    let mut streams = Vec::new();
    // The loudspeaker first: a microphone that hears it gives nothing before it runs, and waits for that.
    let speaker = host
        .default_output_device()
        .ok_or_else(|| "no loudspeaker".to_owned())
        .and_then(|device| open_speaker(&device, lost))
        .map(|(name, stream, ring)| {
            streams.push(stream);
            deliver(DeviceRings::new(None, Some(ring)));
            name
        });
    let microphone = host
        .default_input_device()
        .ok_or_else(|| "no microphone".to_owned())
        .and_then(|device| open_microphone(&device, lost))
        .map(|(name, stream, ring)| {
            streams.push(stream);
            deliver(DeviceRings::new(Some(ring), None));
            name
        });
    Open { streams, names: Names { microphone, speaker } }
}

type Opened<R> = Result<(String, Stream, (R, u32)), String>;

fn open_microphone(device: &Device, lost: &Sender<Order>) -> Opened<Consumer<i16>> {
    let preset = device.default_input_config().map_err(|error| error.to_string())?;
    first_that_works(&preset, |config| {
        let (ring, consumer) = RingBuffer::new(RING_SAMPLES);
        let stream = match preset.sample_format() {
            SampleFormat::F32 => capture::<f32>(device, config, ring, lost.clone()),
            SampleFormat::I16 => capture::<i16>(device, config, ring, lost.clone()),
            SampleFormat::I32 => capture::<i32>(device, config, ring, lost.clone()),
            SampleFormat::U8 => capture::<u8>(device, config, ring, lost.clone()),
            _ => return Err("its sample format is not known".to_owned()),
        }?;
        stream.play().map_err(|error| error.to_string())?;
        Ok((name(device), stream, (consumer, config.sample_rate)))
    })
}

fn open_speaker(device: &Device, lost: &Sender<Order>) -> Opened<Producer<i16>> {
    let preset = device.default_output_config().map_err(|error| error.to_string())?;
    first_that_works(&preset, |config| {
        let (producer, ring) = RingBuffer::new(RING_SAMPLES);
        let stream = match preset.sample_format() {
            SampleFormat::F32 => play::<f32>(device, config, ring, lost.clone()),
            SampleFormat::I16 => play::<i16>(device, config, ring, lost.clone()),
            SampleFormat::I32 => play::<i32>(device, config, ring, lost.clone()),
            SampleFormat::U8 => play::<u8>(device, config, ring, lost.clone()),
            _ => return Err("its sample format is not known".to_owned()),
        }?;
        stream.play().map_err(|error| error.to_string())?;
        Ok((name(device), stream, (producer, config.sample_rate)))
    })
}

/// Our own rate in blocks of 10 ms; else the device's rate; else the device's block too.
fn first_that_works<T>(
    preset: &SupportedStreamConfig,
    open: impl Fn(StreamConfig) -> Result<T, String>,
) -> Result<T, String> {
    let rate = preset.sample_rate();
    let config = |sample_rate, buffer_size| StreamConfig {
        channels: preset.channels(),
        sample_rate,
        buffer_size,
    };
    open(config(48_000, BufferSize::Fixed(480)))
        .or_else(|_| open(config(rate, BufferSize::Fixed(rate / 100))))
        .or_else(|_| open(config(rate, BufferSize::Default)))
}

fn capture<T: SizedSample>(
    device: &Device,
    config: StreamConfig,
    mut ring: Producer<i16>,
    lost: Sender<Order>,
) -> Result<Stream, String>
where
    f32: FromSample<T>,
{
    let channels = usize::from(config.channels.max(1));
    let scale = 32_767.0 / channels as f32;
    device
        .build_input_stream::<T, _, _>(
            config,
            move |samples: &[T], _| {
                for each in samples.chunks_exact(channels) {
                    let sum: f32 = each.iter().map(|sample| f32::from_sample(*sample)).sum();
                    // A full ring means that nobody listens.
                    let _ = ring.push((sum * scale) as i16);
                }
            },
            move |error| complain(&lost, &error),
            Some(PATIENCE),
        )
        .map_err(|error| error.to_string())
}

fn play<T: SizedSample + FromSample<i16>>(
    device: &Device,
    config: StreamConfig,
    mut ring: Consumer<i16>,
    lost: Sender<Order>,
) -> Result<Stream, String> {
    let channels = usize::from(config.channels.max(1));
    device
        .build_output_stream::<T, _, _>(
            config,
            move |samples: &mut [T], _| {
                for each in samples.chunks_mut(channels) {
                    each.fill(ring.pop().unwrap_or(0).to_sample());
                }
            },
            move |error| complain(&lost, &error),
            Some(PATIENCE),
        )
        .map_err(|error| error.to_string())
}

/// Runs on a thread of the sound system, outside the audio callback.
fn complain(lost: &Sender<Order>, error: &cpal::Error) {
    match error.kind() {
        ErrorKind::DeviceNotAvailable
        | ErrorKind::HostUnavailable
        | ErrorKind::StreamInvalidated => {
            let _ = lost.send(Order::Lost(error.to_string()));
        }
        _ => tracing::debug!(%error, "sound device"),
    }
}

fn name(device: &Device) -> String {
    device.description().map_or_else(|_| "default".to_owned(), |name| name.name().to_owned())
}

/// A sound system that does not answer by then is named as missing.
const PATIENCE: Duration = Duration::from_secs(3);
const RETRY: Duration = Duration::from_secs(2);
/// 200 ms at 48 kHz.
const RING_SAMPLES: usize = 9_600;
