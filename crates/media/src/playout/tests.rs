//! Synthetic traces: loss, reordering, bursts, drift, restarts. All seeded.
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

/// A packet of 20 ms of mu-law whose samples all have the code of its number.
fn packet(ssrc: u32, number: i64, first: u32, payload: &[u8]) -> Packet<'_> {
    Packet {
        timestamp: first.wrapping_add((number * 160) as u32),
        sequence: number as u16,
        ssrc,
        payload,
        ..Packet::parse(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap()
    }
}

fn tone_payload(number: i64) -> [u8; 160] {
    let mut samples = [0; 160];
    for (index, sample) in samples.iter_mut().enumerate() {
        let at = (number * 160 + index as i64) as f32;
        *sample = ((at * 0.05 * std::f32::consts::TAU).sin() * 8_000.0) as i16;
    }
    let mut payload = [0; 160];
    g711::encode_mu_law(&samples, &mut payload);
    payload
}

struct Result {
    delay_ms: f32,
    concealed: f32,
    late: u64,
}

/// Plays packets that arrive `delays_ms` after they were made, `None` never.
fn play(delays_ms: &[Option<f64>], drift: f64) -> (Playout, Result) {
    let mut arrivals: Vec<(f64, i64)> = delays_ms
        .iter()
        .enumerate()
        .filter_map(|(n, delay)| Some((n as f64 * 20.0 * drift + 7.0 + (*delay)?, n as i64)))
        .collect();
    arrivals.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut playout = Playout::new(CodecKind::Pcmu, None);
    let (mut next, mut delay, mut ticks) = (0, 0.0, 0);
    let mut out = [0; 160];
    let end = (delays_ms.len() as f64 * drift) as i64;
    for tick in 1..end {
        while let Some((time, number)) = arrivals.get(next).filter(|a| a.0 <= tick as f64 * 20.0) {
            let _ = time;
            let payload = tone_payload(*number);
            playout.insert(tick, &packet(1, *number, 0xffff_ff00, &payload), CodecKind::Pcmu);
            next += 1;
        }
        playout.pull(tick, &mut out);
        if tick > 50 {
            delay += playout.delay_ms(tick);
            ticks += 1;
        }
    }
    let counts = playout.counts();
    let result = Result {
        delay_ms: delay / ticks as f32,
        concealed: counts.concealed_frames as f32 / delays_ms.len() as f32,
        late: counts.late,
    };
    (playout, result)
}

#[test]
fn an_even_stream_has_no_delay_and_no_gap_across_the_wrap_of_its_clock() {
    let (_, result) = play(&vec![Some(0.0); 500], 1.0);
    assert_eq!(result.late, 0);
    assert!(result.concealed <= 0.002, "{}", result.concealed);
    assert!(result.delay_ms <= 21.0, "{}", result.delay_ms);
}

#[test]
fn a_lost_packet_costs_one_frame_and_no_delay() {
    let delays: Vec<_> = (0..500).map(|n| (n % 50 != 25).then_some(0.0)).collect();
    let (_, result) = play(&delays, 1.0);
    assert!(result.concealed < 0.03, "{}", result.concealed);
    assert!(result.delay_ms <= 25.0, "{}", result.delay_ms);
}

#[test]
fn wireless_bursts_stay_under_sixty_milliseconds() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut until = 0.0;
    let delays: Vec<_> = (0..3_000)
        .map(|n| {
            let now = f64::from(n) * 20.0;
            if until < now && rng.random_bool(0.01) {
                until = now + rng.random_range(30.0..120.0);
            }
            (!rng.random_bool(0.004)).then(|| (until - now).max(0.0) + rng.random_range(0.0..4.0))
        })
        .collect();
    let (_, result) = play(&delays, 1.0);
    println!("delay {} concealed {} late {}", result.delay_ms, result.concealed, result.late);
    assert!(result.delay_ms < 75.0, "{}", result.delay_ms);
    assert!(result.concealed < 0.035, "{}", result.concealed);
}

#[test]
fn a_clock_that_runs_away_is_followed_both_ways() {
    for drift in [0.9995, 1.0005] {
        let (_, result) = play(&vec![Some(0.0); 6_000], drift);
        assert!(result.delay_ms < 45.0, "{drift}: {}", result.delay_ms);
        assert!(result.concealed < 0.005, "{drift}: {}", result.concealed);
    }
}

#[test]
fn after_a_burst_the_delay_comes_down_again() {
    let mut delays = vec![Some(0.0); 1_500];
    for (index, delay) in delays[100..110].iter_mut().enumerate() {
        *delay = Some(200.0 - index as f64 * 20.0);
    }
    let (playout, _) = play(&delays, 1.0);
    assert!(playout.delay_ms(1_498) <= 41.0, "{}", playout.delay_ms(1_498));
}

#[test]
fn reordered_and_doubled_packets_play_in_order() {
    let mut playout = Playout::new(CodecKind::Pcmu, None);
    let mut out = [0; 160];
    let mut heard = Vec::new();
    for tick in 0..6 {
        // Two packets at a time, the second one first, each twice; then silence.
        for number in [tick * 2 + 1, tick * 2, tick * 2 + 1] {
            let payload = [0x80 | number as u8; 160];
            playout.insert(tick, &packet(1, number, 0, &payload), CodecKind::Pcmu);
        }
        if tick >= 1 {
            playout.pull(tick, &mut out);
            heard.push(out[100]);
        }
    }
    assert!(heard.windows(2).all(|pair| pair[0] > pair[1]), "{heard:?}");
}

#[test]
fn a_stray_source_is_ignored_and_a_new_one_taken() {
    let mut playout = Playout::new(CodecKind::Pcmu, None);
    let (payload, mut out) = ([0x90; 160], [0; 160]);
    for tick in 0..10 {
        playout.insert(tick, &packet(1, tick, 0, &payload), CodecKind::Pcmu);
        playout.pull(tick, &mut out);
    }
    playout.insert(10, &packet(2, 5_000, 77, &payload), CodecKind::Pcmu);
    assert_eq!(playout.ssrc(), Some(1));
    playout.insert(10, &packet(2, 5_001, 77, &payload), CodecKind::Pcmu);
    assert_eq!(playout.ssrc(), Some(2));
    playout.insert(11, &packet(2, 5_002, 77, &payload), CodecKind::Pcmu);
    assert_eq!(playout.pull(11, &mut out), Heard::Audio);
}

#[test]
fn garbage_of_any_kind_does_no_harm() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let opus = Decoder::new().map(Box::new);
    let mut playout = Playout::new(CodecKind::Opus, opus);
    let mut out = [0; 960];
    for tick in 0..3_000 {
        let mut payload = [0u8; 1_200];
        rng.fill(&mut payload[..]);
        let length = rng.random_range(0..1_200);
        let mut wild = packet(rng.random_range(0..2), tick, rng.random(), &payload[..length]);
        if rng.random_bool(0.8) {
            wild.timestamp = (tick * 960) as u32 + rng.random_range(0..30_000);
        }
        let kind = [CodecKind::Opus, CodecKind::Pcma, CodecKind::Pcmu][rng.random_range(0..3)];
        playout.insert(tick, &wild, kind);
        playout.pull(tick, &mut out);
    }
}
