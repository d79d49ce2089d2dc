//! The media thread: one turn every 20 ms. A turn takes no lock, allocates nothing, logs nothing and makes no system
//! call but those on its own sockets.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use rtrb::{Consumer, Producer};

use super::{
    LegId,
    leg::{Change, Leg, Moment, Prompt},
    local::{DeviceRings, Source},
    receiver::Receiver,
};
use crate::{
    digit::Presses,
    level::{Meter, SILENCE_DBOV},
    mixer::{MOST_VOICES, Mixer, Stage, Voice},
    resample::FRAME_48K,
    rtcp::Clock,
};

/// To the media thread.
pub(super) enum Control {
    Add(Box<Leg>),
    Change(Box<Change>),
    Play(Box<Prompt>),
    Press(LegId, Presses, u8),
    Remove(LegId),
}

/// From the media thread: what must be dropped elsewhere.
#[expect(dead_code, reason = "the contents only travel to where they may be dropped")]
pub(super) enum Waste {
    Change(Box<Change>),
    Leg(Box<Leg>),
    Prompt(Box<Prompt>),
    Rings(Box<DeviceRings>),
}

/// What both sides see of the session.
pub(super) struct Common {
    pub(super) stop: AtomicBool,
    pub(super) muted: AtomicBool,
    pub(super) level: AtomicU32,
}

impl Common {
    pub(super) fn new() -> Self {
        Self {
            stop: AtomicBool::new(false),
            muted: AtomicBool::new(false),
            level: AtomicU32::new(SILENCE_DBOV.to_bits()),
        }
    }
}

/// The ends of all rings that the thread holds.
pub(super) struct Ends {
    pub(super) common: Arc<Common>,
    pub(super) control: Consumer<Control>,
    pub(super) devices: Consumer<Box<DeviceRings>>,
    pub(super) waste: Producer<Waste>,
    pub(super) digits: Producer<(LegId, char)>,
    pub(super) record: Option<Producer<i16>>,
}

/// All that the thread owns.
pub(super) struct Worker {
    ends: Ends,
    legs: Vec<Box<Leg>>,
    source: Source,
    rings: Option<Box<DeviceRings>>,
    receiver: Receiver,
    mixer: Mixer,
    stage: Stage,
    voice: Voice,
    meter: Meter,
    started: bool,
    tick: i64,
    ntp_start_s: f64,
}

impl Worker {
    /// Allocates everything a turn needs.
    pub(super) fn new(ends: Ends, source: Source, ntp_start_s: f64) -> Self {
        Self {
            ends,
            legs: Vec::with_capacity(MOST_LEGS),
            source,
            rings: None,
            receiver: Receiver::new(),
            mixer: Mixer::new(),
            stage: Stage::new(),
            voice: Voice::new(),
            meter: Meter::new(),
            started: false,
            tick: 0,
            ntp_start_s,
        }
    }

    /// Runs until the session stops.
    pub(super) fn run(mut self) {
        let begin = Instant::now();
        let mut due = begin;
        while !self.ends.common.stop.load(Relaxed) {
            let now = Instant::now();
            if now < due {
                thread::sleep(due - now);
            } else if now - due > LONGEST_LAG {
                // The machine slept: what was missed stays missed.
                let missed = (now - due).as_millis() / TICK.as_millis();
                self.skip(missed as i64, begin.elapsed().as_secs_f64());
                due = now;
            }
            self.turn(begin.elapsed().as_secs_f64());
            due += TICK;
        }
        self.control(self.clock(begin.elapsed().as_secs_f64()));
        let clock = self.clock(begin.elapsed().as_secs_f64());
        for leg in &mut self.legs {
            leg.leave(clock);
        }
    }

    /// One turn, `now_s` seconds after the beginning.
    pub(super) fn turn(&mut self, now_s: f64) {
        let moment = Moment { tick: self.tick, clock: self.clock(now_s) };
        self.control(moment.clock);
        let digits = &mut self.ends.digits;
        for leg in &mut self.legs {
            // A full ring means that nobody asks for keys.
            leg.receive(&mut self.receiver, moment, |id, digit| {
                let _ = digits.push((id, digit));
            });
            if (moment.tick + leg.id.0 as i64) % REPORT_POLL_TICKS == 0 {
                leg.receive_reports(&mut self.receiver, moment);
            }
        }
        self.mix();
        for leg in &mut self.legs {
            leg.send(self.tick, &mut self.mixer);
        }
        self.play();
        for leg in &mut self.legs {
            leg.report(moment);
        }
        self.tick += 1;
    }

    /// Leaves out `ticks` turns that cannot be made up for.
    pub(super) fn skip(&mut self, ticks: i64, now_s: f64) {
        self.tick += ticks;
        let moment = Moment { tick: self.tick, clock: self.clock(now_s) };
        for leg in &mut self.legs {
            leg.skip(&mut self.receiver, moment, ticks);
        }
    }

    fn clock(&self, now_s: f64) -> Clock {
        Clock { now_s, ntp_start_s: self.ntp_start_s }
    }

    fn control(&mut self, clock: Clock) {
        // Nothing is dropped on this thread: what finds no room on its way out is not begun with.
        while self.ends.waste.slots() > 0
            && let Ok(control) = self.ends.control.pop()
        {
            match control {
                Control::Add(leg) if self.legs.len() < MOST_LEGS => self.legs.push(leg),
                Control::Add(leg) => self.discard(Waste::Leg(leg)),
                Control::Change(mut change) => {
                    if let Some(leg) = self.legs.iter_mut().find(|leg| leg.id == change.leg) {
                        leg.apply(&mut change);
                    }
                    self.discard(Waste::Change(change));
                }
                Control::Play(prompt) => {
                    let leg = self.legs.iter_mut().find(|leg| leg.id == prompt.leg);
                    let old = match leg {
                        Some(leg) => leg.play(prompt),
                        None => Some(prompt),
                    };
                    if let Some(old) = old {
                        self.discard(Waste::Prompt(old));
                    }
                }
                Control::Press(id, presses, payload_type) => {
                    if let Some(leg) = self.legs.iter_mut().find(|leg| leg.id == id) {
                        leg.press(presses, payload_type);
                    }
                }
                Control::Remove(id) => {
                    if let Some(place) = self.legs.iter().position(|leg| leg.id == id) {
                        let mut leg = self.legs.remove(place);
                        leg.leave(clock);
                        self.discard(Waste::Leg(leg));
                    }
                }
            }
        }
        while self.ends.waste.slots() > 0
            && let Ok(mut newer) = self.ends.devices.pop()
        {
            match &mut self.rings {
                Some(rings) => {
                    rings.take_over(&mut newer);
                    self.discard(Waste::Rings(newer));
                }
                None => self.rings = Some(newer),
            }
        }
    }

    /// To be called after a look for room.
    fn discard(&mut self, waste: Waste) {
        let _ = self.ends.waste.push(waste);
    }

    fn mix(&mut self) {
        let connected = self.legs.iter().filter(|leg| leg.is_connected()).count();
        self.started |= connected > 0;
        self.mixer.begin();
        self.stage.begin();
        for (place, leg) in self.legs.iter_mut().enumerate() {
            leg.listen(self.tick);
            if !leg.is_muted() {
                self.stage.offer(place, leg.voice());
            }
        }
        let crowded = connected > MOST_VOICES;
        for (place, leg) in self.legs.iter_mut().enumerate() {
            leg.speak_into(&mut self.mixer, !crowded || self.stage.has(place));
        }
        let mut frame = [0; FRAME_48K];
        self.source.fill(self.started, self.rings.as_deref_mut(), &mut frame);
        let level = if self.ends.common.muted.load(Relaxed) {
            self.voice.silence();
            SILENCE_DBOV
        } else {
            let level = self.voice.set(&frame);
            self.voice.admit(true);
            level
        };
        self.ends.common.level.store(self.meter.push(level).to_bits(), Relaxed);
        self.mixer.add(&self.voice);
        self.mixer.finish();
    }

    fn play(&mut self) {
        if self.rings.is_none() && self.ends.record.is_none() {
            return;
        }
        let mut heard = [0; FRAME_48K];
        self.mixer.hear(&self.voice, &mut heard);
        if let Some(rings) = &mut self.rings {
            rings.play(&heard);
        }
        if let Some(record) = &mut self.ends.record {
            for sample in heard {
                // A disk that is two seconds behind costs sound in the file, never the call.
                let _ = record.push(sample);
            }
        }
    }
}

/// Legs in one session.
pub(super) const MOST_LEGS: usize = 2_048;
const TICK: Duration = Duration::from_millis(20);
const LONGEST_LAG: Duration = Duration::from_millis(100);
const REPORT_POLL_TICKS: i64 = 2;

#[cfg(test)]
mod tests;
