//! The figures as lines for people.

use crate::figures::{Audio, Chat, Hosted, Load, Relay, Spread, Texts};

/// Above this, percent of one core, other programs disturb the figures.
const NOISY: f64 = 20.0;

/// What the floor did.
pub fn floor(floor: &Audio) {
    audio(floor);
}

/// What the host did, and how many times the floor's processor time it took.
pub fn host(host: &Hosted, by_floor: f64) {
    audio(&host.audio);
    println!("    host / floor     {by_floor:.2} times the floor's processor time");
    spread("INVITE to 200", host.answer_ms);
    spread("to first packet", host.first_packet_ms);
    spread("to others heard", host.first_mixed_ms);
    println!(
        "    memory           {:.0} kB a participant, {} kB before the first, {} kB after the chat",
        host.memory_per_participant_kb, host.memory_before_kb, host.memory_after_chat_kb
    );
    let busiest: Vec<String> = host
        .busiest_threads
        .iter()
        .map(|(name, percent)| format!("{name} {percent:.1} %"))
        .collect();
    println!("    threads          {}; by name: {}", host.threads, busiest.join(", "));
    if let Some(told) = &host.chat {
        chat(told);
    }
}

/// Texts without audio, and how many times the floor's time the host took.
pub fn relay(relay: &Relay) {
    texts("floor", &relay.floor);
    texts("host", &relay.host);
    let (floor, host) = (&relay.floor.calm.delivery_ms, &relay.host.calm.delivery_ms);
    println!(
        "    host / floor     delivery p50 {:.1} times, p99 {:.1} times; deliveries a core {:.2} times",
        host.p50 / floor.p50,
        host.p99 / floor.p99,
        relay.host.deliveries_per_core / relay.floor.deliveries_per_core
    );
}

fn texts(who: &str, texts: &Texts) {
    let calm = &texts.calm;
    println!(
        "    {who:16} ten a second: {} of {} deliveries, p50 {:.3}  p99 {:.3}  max {:.3} ms",
        calm.delivery_ms.count,
        calm.expected,
        calm.delivery_ms.p50,
        calm.delivery_ms.p99,
        calm.delivery_ms.max
    );
    println!(
        "                     at full speed: {:.0} deliveries/s, {:.0} a second of a core ({:.0} % of one; generator {:.0} %), {} sent again, {} refused",
        texts.deliveries_per_second,
        texts.deliveries_per_core,
        texts.load.server_percent,
        texts.load.generator_percent,
        texts.repeats,
        texts.refused
    );
}

fn audio(audio: &Audio) {
    load(&audio.load);
    spread("added delay", audio.added_delay_ms);
    println!(
        "    onsets           {} of {} heard, {} came back to their sender",
        audio.added_delay_ms.count, audio.onsets_expected, audio.own_bursts_heard
    );
    println!(
        "    gaps over 40 ms  {} in arrivals, {} of them while the generator was held up (longest pause {:.1} ms); \
         {} in the tone ({:.0} ms of it missing a minute)",
        audio.arrival_gaps,
        audio.arrival_gaps_held_up,
        audio.longest_pause_ms,
        audio.tone_gaps,
        audio.tone_missing_ms_per_minute
    );
    println!(
        "    packets          {:.1} % of 50 a second, {} lost; generator late {} times",
        audio.packets_percent, audio.packets_lost, audio.sent_late
    );
}

fn chat(chat: &Chat) {
    println!(
        "    chat             {} texts, {} of {} deliveries, {} lost, {} duplicated, {} refused",
        chat.said, chat.delivery_ms.count, chat.expected, chat.lost, chat.duplicates, chat.refused
    );
    spread("delivery", chat.delivery_ms);
    println!(
        "    sent again       {} by the host, {} by participants; host {:.1} % of a core, foreign {:.0} %",
        chat.host_repeats, chat.own_repeats, chat.load.server_percent, chat.load.foreign_percent
    );
}

fn load(load: &Load) {
    println!(
        "    processor        {:.4} s for a participant's minute ({:.2} % of a core)",
        load.cpu_per_participant_minute, load.server_percent
    );
    let noisy = if load.foreign_percent > NOISY { "  ! noisy: do not quote" } else { "" };
    println!(
        "    beside it        foreign {:.0} % of a core, generator {:.0} %{noisy}",
        load.foreign_percent, load.generator_percent
    );
}

fn spread(name: &str, spread: Spread) {
    println!(
        "    {name:16} p50 {:.2}  p99 {:.2}  max {:.2} ms",
        spread.p50, spread.p99, spread.max
    );
}
