//! The local user: what he says, and where what he hears goes.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use rtrb::{Consumer, Producer};

use crate::{
    resample::{FRAME_48K, Varispeed},
    tone::Tone,
};

/// Where his sound comes from.
pub(super) enum Source {
    Device,
    File(Player),
    Silence,
    Tone(Tone),
}

impl Source {
    /// The next 20 ms. `started`: somebody is there to hear it.
    pub(super) fn fill(
        &mut self,
        started: bool,
        device: Option<&mut DeviceRings>,
        out: &mut [i16; FRAME_48K],
    ) {
        match self {
            Self::Device => match device {
                Some(rings) => rings.capture(out),
                None => out.fill(0),
            },
            Self::File(player) if started => player.fill(out),
            Self::File(_) | Self::Silence => out.fill(0),
            Self::Tone(tone) => tone.fill(out),
        }
    }
}

/// A file on its way from the thread that reads it.
pub(super) struct Player {
    /// Brings the whole sound once.
    coming: Consumer<Vec<i16>>,
    samples: Vec<i16>,
    at: usize,
}

impl Player {
    pub(super) fn new(coming: Consumer<Vec<i16>>) -> Self {
        Self { coming, samples: Vec::new(), at: 0 }
    }

    /// Silence until the sound is there and after its end.
    fn fill(&mut self, out: &mut [i16; FRAME_48K]) {
        // What is replaced is empty and owns no memory.
        if self.samples.is_empty()
            && let Ok(samples) = self.coming.pop()
        {
            self.samples = samples;
        }
        let rest = &self.samples[self.at..];
        let length = rest.len().min(FRAME_48K);
        out[..length].copy_from_slice(&rest[..length]);
        out[length..].fill(0);
        self.at += length;
    }
}

/// Between the device callbacks and the tick: mono, at the device's rate.
pub(super) struct DeviceRings {
    captured: Option<Lane<Consumer<i16>>>,
    played: Option<Lane<Producer<i16>>>,
}

/// Our end of a device's ring.
pub(super) struct RingEnd<R> {
    pub(super) ring: R,
    /// Of the device.
    pub(super) rate_hz: u32,
    /// The largest block that the device took or gave at once, in samples.
    pub(super) block: Arc<AtomicUsize>,
}

/// One direction: a ring, and the fine control of its speed that keeps it half full.
struct Lane<R> {
    ring: R,
    rate_hz: u32,
    block: Arc<AtomicUsize>,
    speed: Varispeed,
    fill: f64,
    running: bool,
    /// Too much waits: nothing more is put in.
    full: bool,
}

impl<R> Lane<R> {
    fn new(RingEnd { ring, rate_hz, block }: RingEnd<R>) -> Self {
        let speed = Varispeed::new();
        Self { ring, rate_hz, block, speed, fill: 0.0, running: false, full: false }
    }

    /// What the ring holds when the tick comes: a frame and a block of the device, in samples.
    fn target(&self) -> f64 {
        let rate = f64::from(self.rate_hz);
        let block = (self.block.load(Relaxed) as f64).clamp(rate * 0.01, rate * 0.08);
        rate * 0.02 + block
    }

    /// How much faster than planned the ring must be emptied: at most half a percent.
    fn correction(&mut self, fill: usize) -> f64 {
        self.fill += (fill as f64 - self.fill) * 0.02;
        let error = self.fill / self.target() - 1.0;
        1.0 + (error * 0.02).clamp(-0.005, 0.005)
    }
}

impl DeviceRings {
    pub(super) fn new(
        captured: Option<RingEnd<Consumer<i16>>>,
        played: Option<RingEnd<Producer<i16>>>,
    ) -> Self {
        Self { captured: captured.map(Lane::new), played: played.map(Lane::new) }
    }

    /// Takes over the lanes that `newer` has; what they replace is left in it.
    pub(super) fn take_over(&mut self, newer: &mut Self) {
        if newer.captured.is_some() {
            std::mem::swap(&mut self.captured, &mut newer.captured);
        }
        if newer.played.is_some() {
            std::mem::swap(&mut self.played, &mut newer.played);
        }
    }

    fn capture(&mut self, out: &mut [i16; FRAME_48K]) {
        let Some(lane) = &mut self.captured else { return out.fill(0) };
        let target = lane.target() as usize;
        let mut fill = lane.ring.slots();
        if fill > target * 4 {
            // Something stood still: what waited too long is not worth hearing.
            while lane.ring.slots() > target {
                let _ = lane.ring.pop();
            }
            fill = target;
        }
        if !lane.running {
            if fill < target {
                return out.fill(0);
            }
            (lane.running, lane.fill) = (true, fill as f64);
        }
        let step = f64::from(lane.rate_hz) / 48_000.0 * lane.correction(fill);
        let ring = &mut lane.ring;
        let missing = lane.speed.fill(step, out, || ring.pop().ok());
        lane.running = missing == 0;
    }

    /// Gives 20 ms to the loudspeaker.
    pub(super) fn play(&mut self, samples: &[i16; FRAME_48K]) {
        let Some(lane) = &mut self.played else { return };
        let fill = lane.ring.buffer().capacity() - lane.ring.slots();
        if fill == 0 {
            // It begins, or it ran dry: a little silence first, or the next hiccup is heard too.
            for _ in 0..lane.target() as usize / 2 {
                let _ = lane.ring.push(0);
            }
            lane.fill = lane.target();
        }
        // The loudspeaker stood still: what waits that long is heard late for ever, so the rest is left out.
        let target = lane.target() as usize;
        let was_full = lane.full;
        lane.full = fill > if was_full { target } else { target * 4 };
        let mut faded = *samples;
        match (was_full, lane.full) {
            (false, false) => {}
            (true, true) => return,
            (false, true) => fade(&mut faded, |index| FRAME_48K - index),
            (true, false) => {
                lane.fill = target as f64;
                fade(&mut faded, |index| index);
            }
        }
        let step = 48_000.0 / f64::from(lane.rate_hz) * lane.correction(fill);
        let ring = &mut lane.ring;
        lane.speed.feed(step, &faded, |sample| {
            let _ = ring.push(sample);
        });
    }
}

/// Multiplies each sample by `weight`, which is [`FRAME_48K`] for the whole sample.
fn fade(samples: &mut [i16; FRAME_48K], weight: impl Fn(usize) -> usize) {
    for (index, sample) in samples.iter_mut().enumerate() {
        *sample = (i32::from(*sample) * weight(index) as i32 / FRAME_48K as i32) as i16;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level;

    fn end<R>(ring: R) -> RingEnd<R> {
        RingEnd { ring, rate_hz: 48_000, block: Arc::new(AtomicUsize::new(480)) }
    }

    #[test]
    fn a_loudspeaker_that_stood_still_is_not_late_for_ever() {
        let (producer, mut consumer) = rtrb::RingBuffer::new(24_000);
        let mut rings = DeviceRings::new(None, Some(end(producer)));
        for _ in 0..15 {
            rings.play(&[1_000; FRAME_48K]);
        }
        let mut last = 0i16;
        for tick in 0..100 {
            rings.play(&[1_000; FRAME_48K]);
            for _ in 0..FRAME_48K {
                if let Ok(sample) = consumer.pop() {
                    assert!((sample - last).abs() < 50 || tick == 0, "{last} {sample}");
                    last = sample;
                }
            }
        }
        assert!(consumer.slots() < 3_000, "{}", consumer.slots());
    }

    #[test]
    fn a_device_with_large_blocks_gets_a_larger_reserve() {
        let (_producer, consumer) = rtrb::RingBuffer::<i16>::new(9_600);
        let lane = Lane::new(end(consumer));
        assert!((lane.target() - 1_440.0).abs() < 1.0);
        lane.block.store(2_048, Relaxed);
        assert!((lane.target() - 3_008.0).abs() < 1.0);
    }

    #[test]
    fn a_file_waits_for_a_listener_plays_once_and_is_silent_after() {
        let (mut file, coming) = rtrb::RingBuffer::new(1);
        let mut source = Source::File(Player::new(coming));
        let mut out = [1; FRAME_48K];
        // It is still being read.
        source.fill(true, None, &mut out);
        assert_eq!(out, [0; FRAME_48K]);
        file.push(vec![7; 1_000]).unwrap();
        source.fill(false, None, &mut out);
        assert_eq!(out, [0; FRAME_48K]);
        source.fill(true, None, &mut out);
        assert_eq!(out, [7; FRAME_48K]);
        source.fill(true, None, &mut out);
        assert_eq!((out[39], out[40]), (7, 0));
        source.fill(true, None, &mut out);
        assert_eq!(out, [0; FRAME_48K]);
    }

    #[test]
    fn a_microphone_whose_clock_is_off_loses_nothing() {
        for block in [478, 480, 482] {
            let (mut producer, consumer) = rtrb::RingBuffer::new(9_600);
            let mut rings = DeviceRings::new(Some(end(consumer)), None);
            let mut tone = Tone::new(440.0);
            let mut quiet = 0;
            let mut out = [0; FRAME_48K];
            for tick in 0..3_000 {
                let mut captured = vec![0; block * 2];
                tone.fill(&mut captured);
                for sample in captured {
                    let _ = producer.push(sample);
                }
                rings.capture(&mut out);
                if tick > 10 && (level::dbov(&out) + 20.0).abs() > 0.5 {
                    quiet += 1;
                }
            }
            assert!(quiet <= 1, "{block}: {quiet}");
        }
    }

    #[test]
    fn a_loudspeaker_whose_clock_is_off_neither_starves_nor_overflows() {
        for block in [478usize, 480, 482] {
            let (producer, mut consumer) = rtrb::RingBuffer::new(9_600);
            let mut rings = DeviceRings::new(None, Some(end(producer)));
            let mut starved = 0;
            for tick in 0..3_000 {
                rings.play(&[100; FRAME_48K]);
                for _ in 0..block * 2 {
                    starved += usize::from(consumer.pop().is_err() && tick > 1);
                }
            }
            assert!(starved <= block, "{block}: {starved}");
            assert!(consumer.slots() < 4_800, "{block}: {}", consumer.slots());
        }
    }
}
