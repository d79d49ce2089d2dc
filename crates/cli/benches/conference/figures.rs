//! What is written down of a run, and how it is worked out from what was sent and received.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::clock::{MILLISECOND, milliseconds};
use crate::leg::Packet;
use crate::sender::{Burst, Sent};
use crate::sound::TONE;

/// A pause longer than this is a gap.
const GAP: u64 = 40 * MILLISECOND;
/// Blocks of the tone's measure in a gap: 5 ms each.
const GAP_BLOCKS: usize = 8;
/// From one burst's onset its echo is looked for so long.
const BURST_WINDOW: u64 = 900 * MILLISECOND;

/// Times, in milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Spread {
    /// How many.
    pub count: usize,
    /// Half are below.
    pub p50: f64,
    /// 99 of 100 are below.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

impl Spread {
    /// Of these times in nanoseconds.
    pub fn of(mut times: Vec<u64>) -> Self {
        times.sort_unstable();
        let at = |hundredth: usize| {
            let index = (times.len() * hundredth / 100).min(times.len().saturating_sub(1));
            times.get(index).copied().map_or(0.0, milliseconds)
        };
        Self { count: times.len(), p50: at(50), p99: at(99), max: at(100) }
    }
}

/// A stretch of time and what the processors did in it.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Load {
    /// Its length.
    pub seconds: f64,
    /// Server, percent of one core.
    pub server_percent: f64,
    /// Generator, percent of one core.
    pub generator_percent: f64,
    /// Everything else on the machine, percent of one core.
    pub foreign_percent: f64,
    /// The server's processor seconds for one participant in one minute.
    pub cpu_per_participant_minute: f64,
}

/// How the audio went.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Audio {
    /// The processors.
    pub load: Load,
    /// From the packet with an onset to the packet out with it, at each listener.
    pub added_delay_ms: Spread,
    /// Onsets that should have been heard.
    pub onsets_expected: usize,
    /// Bursts that came back to who sent them.
    pub own_bursts_heard: usize,
    /// Pauses over 40 ms between two packets to one listener.
    pub arrival_gaps: usize,
    /// Those of them while the generator itself was held up: not to be laid at the server's door.
    pub arrival_gaps_held_up: usize,
    /// The longest pause between two packets to one listener.
    pub longest_pause_ms: f64,
    /// The steady tone was away for more than 40 ms.
    pub tone_gaps: usize,
    /// The tone was away so long in all, milliseconds of each listener's minute.
    pub tone_missing_ms_per_minute: f64,
    /// Packets that the listeners got, in percent of 50 a second.
    pub packets_percent: f64,
    /// Packets whose number never came.
    pub packets_lost: u64,
    /// What the generator sent more than 5 ms late.
    pub sent_late: usize,
}

impl Audio {
    /// Pauses that only the server can have made.
    pub fn own_gaps(&self) -> usize {
        self.arrival_gaps.saturating_sub(self.arrival_gaps_held_up)
    }
}

/// How the texts went.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Chat {
    /// The processors while texts were sent.
    pub load: Load,
    /// Texts said.
    pub said: usize,
    /// Times a text should have reached somebody.
    pub expected: usize,
    /// From the MESSAGE in to the MESSAGE out, at each recipient.
    pub delivery_ms: Spread,
    /// Never reached somebody.
    pub lost: usize,
    /// Reached somebody in a second MESSAGE, or who said it.
    pub duplicates: usize,
    /// The same MESSAGE sent again by the host.
    pub host_repeats: usize,
    /// The same request sent again by a participant.
    pub own_repeats: usize,
    /// Refused by the host.
    pub refused: usize,
}

/// A conference measured.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Hosted {
    /// INVITE to 200.
    pub answer_ms: Spread,
    /// INVITE to the first packet.
    pub first_packet_ms: Spread,
    /// INVITE to the first packet with the others in it.
    pub first_mixed_ms: Spread,
    /// Audio without texts.
    pub audio: Audio,
    /// Texts, while the audio goes on.
    pub chat: Option<Chat>,
    /// The host's memory before anybody called, kB.
    pub memory_before_kb: u64,
    /// Its memory after the texts, kB: transactions that must be remembered for a while are in it.
    pub memory_after_chat_kb: u64,
    /// What each participant added to it, kB.
    pub memory_per_participant_kb: f64,
    /// The host's threads.
    pub threads: usize,
    /// The threads that worked most, with percent of one core.
    pub busiest_threads: BTreeMap<String, f64>,
}

/// One number of participants.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// How many.
    pub participants: usize,
    /// The floor.
    pub floor: Audio,
    /// The host.
    pub host: Option<Hosted>,
    /// The host's processor time by the floor's.
    pub host_by_floor: Option<f64>,
    /// Texts without audio.
    pub relay: Option<Relay>,
}

/// Texts without audio, of the floor and of the host.
#[derive(Clone, Debug, Serialize)]
pub struct Relay {
    /// A program that only sends each text on.
    pub floor: Texts,
    /// The host.
    pub host: Texts,
}

/// What a server did with texts.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Texts {
    /// Ten a second.
    pub calm: Chat,
    /// The processors while texts came as fast as they were relayed.
    pub load: Load,
    /// Deliveries in that time.
    pub deliveries: usize,
    /// Deliveries in a second.
    pub deliveries_per_second: f64,
    /// Deliveries for a second of the server's processor time.
    pub deliveries_per_core: f64,
    /// The same MESSAGE sent again, by either side.
    pub repeats: usize,
    /// Texts that the server refused.
    pub refused: usize,
}

/// A stretch of time.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Its beginning.
    pub from: u64,
    /// Its end.
    pub to: u64,
}

impl Window {
    /// Whether that moment is in it.
    pub fn contains(self, at: u64) -> bool {
        (self.from..self.to).contains(&at)
    }
}

/// Works out how the audio went in `window`; leg 0 sent the tone.
pub fn audio(received: &[Vec<Packet>], sent: &Sent, window: Window, load: Load) -> Audio {
    let mut audio = Audio { load, ..Audio::default() };
    audio.sent_late = sent.late.iter().filter(|at| window.contains(**at)).count();
    let mut delays = Vec::new();
    for burst in sent.bursts.iter().filter(|b| window.contains(b.at + BURST_WINDOW)) {
        for (leg, packets) in received.iter().enumerate() {
            let onset = onset(packets, *burst);
            if leg == burst.pilot {
                audio.own_bursts_heard += usize::from(onset.is_some());
            } else {
                audio.onsets_expected += 1;
                delays.extend(onset);
            }
        }
    }
    audio.added_delay_ms = Spread::of(delays);

    let mut packet_count = 0_usize;
    let mut missing_blocks = 0_usize;
    for (leg, packets) in received.iter().enumerate() {
        let packets: Vec<Packet> =
            packets.iter().filter(|packet| window.contains(packet.at)).copied().collect();
        packet_count += packets.len();
        for pair in packets.windows(2) {
            let pause = pair[1].at.saturating_sub(pair[0].at);
            if pause > GAP {
                audio.arrival_gaps += 1;
                let held_up = sent.held_up(Window { from: pair[0].at, to: pair[1].at });
                audio.arrival_gaps_held_up += usize::from(held_up);
            }
            audio.longest_pause_ms = audio.longest_pause_ms.max(milliseconds(pause));
            let step = pair[1].sequence.wrapping_sub(pair[0].sequence);
            audio.packets_lost += u64::from(step.saturating_sub(1).min(1000));
        }
        if leg > 0 {
            let (gaps, missing) = tone_gaps(&packets);
            audio.tone_gaps += gaps;
            missing_blocks += missing;
        }
    }
    let seconds = milliseconds(window.to - window.from) / 1000.0;
    let legs = received.len() as f64;
    audio.packets_percent = packet_count as f64 / (legs * seconds * 50.0) * 100.0;
    let minutes = (legs - 1.0).max(1.0) * seconds / 60.0;
    audio.tone_missing_ms_per_minute = missing_blocks as f64 * 5.0 / minutes;
    audio
}

/// When after `burst` its onset reached a listener: the packet's arrival, and how far in the packet it lies.
fn onset(packets: &[Packet], burst: Burst) -> Option<u64> {
    let first = packets.partition_point(|packet| packet.at < burst.at);
    let packet = packets[first..].iter().find(|packet| packet.heard.onset.is_some())?;
    let delay = packet.at - burst.at;
    let within = u64::from(packet.heard.onset?) * MILLISECOND / 8;
    (delay < BURST_WINDOW).then_some(delay + within)
}

/// How often the tone was away for more than 40 ms, and in how many blocks it was away.
fn tone_gaps(packets: &[Packet]) -> (usize, usize) {
    let (mut gaps, mut missing, mut run) = (0, 0, 0);
    let mut last = None;
    for packet in packets {
        let step = last.map_or(1, |last: u16| packet.sequence.wrapping_sub(last));
        last = Some(packet.sequence);
        // A packet out of its order is heard where it comes; one that never came is silence.
        let lost = if step > 100 { 0 } else { usize::from(step.saturating_sub(1)) * 4 };
        let lost = std::iter::repeat_n(false, lost);
        let there = packet.heard.tone.iter().map(|a| *a > TONE.unsigned_abs() * 35 / 100);
        for is_there in lost.chain(there) {
            if is_there {
                run = 0;
                continue;
            }
            run += 1;
            missing += 1;
            gaps += usize::from(run == GAP_BLOCKS + 1);
        }
    }
    (gaps, missing)
}
