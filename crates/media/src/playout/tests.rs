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

/// The clock of the traces wraps at once.
const FIRST: u32 = 0xffff_ff00;

struct Result {
    /// Mean of what the playout says of itself.
    delay_ms: f32,
    /// From a sample's sending to its play, half are below.
    p50_ms: f32,
    /// Share of the sound that was made up.
    concealed: f32,
    /// Share of the ticks that did not get all of their sound from packets.
    gaps: f32,
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
    let (mut next, mut delays, mut played, mut gaps) = (0, Vec::new(), Vec::new(), 0);
    let mut out = [0; 160];
    let end = (delays_ms.len() as f64 * drift) as i64;
    for tick in 1..end {
        while let Some((time, number)) = arrivals.get(next).filter(|a| a.0 <= tick as f64 * 20.0) {
            let _ = time;
            let payload = tone_payload(*number);
            playout.insert(tick, &packet(1, *number, FIRST, &payload), CodecKind::Pcmu);
            next += 1;
        }
        let heard = playout.pull(tick, &mut out);
        gaps += usize::from(heard == Heard::Gap);
        if tick > 50 {
            delays.push(playout.delay_ms(tick));
            let position = playout.next - playout.filled as i64 - i64::from(FIRST);
            played.push(((tick + 1) * 160 - position) as f32 / 8.0 - 7.0);
        }
    }
    let counts = playout.counts();
    played.sort_by(f32::total_cmp);
    let result = Result {
        delay_ms: delays.iter().sum::<f32>() / delays.len() as f32,
        p50_ms: played[played.len() / 2],
        concealed: counts.concealed_us as f32 / 20_000.0 / delays_ms.len() as f32,
        gaps: gaps as f32 / delays_ms.len() as f32,
        late: counts.late,
    };
    (playout, result)
}

#[test]
fn an_even_stream_has_no_delay_and_no_gap_across_the_wrap_of_its_clock() {
    let (_, result) = play(&vec![Some(0.0); 500], 1.0);
    assert_eq!(result.late, 0);
    assert_eq!((result.concealed, result.gaps), (0.0, 0.0));
    assert!(result.delay_ms <= 0.1, "{}", result.delay_ms);
}

#[test]
fn a_lost_packet_costs_one_frame_and_no_delay() {
    let delays: Vec<_> = (0..500).map(|n| (n % 50 != 25).then_some(0.0)).collect();
    let (_, result) = play(&delays, 1.0);
    assert!((0.018..=0.0201).contains(&result.concealed), "{}", result.concealed);
    assert!(result.delay_ms <= 1.0, "{}", result.delay_ms);
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
    let Result { delay_ms, p50_ms, concealed, gaps, .. } = result;
    // What is lost alone is 0.4 %; a longer delay for the rest would be heard by everyone all the time.
    assert!(delay_ms < 50.0, "{delay_ms}");
    assert!(p50_ms < 60.0, "{p50_ms}");
    assert!(concealed < 0.023, "{concealed}");
    assert!(gaps < 0.03, "{gaps}");
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

/// Plays a sine of `hz` with the packets of `lost` missing; what is heard, from the sixth frame on.
fn sine_with_losses(hz: f32, lost: std::ops::Range<i64>) -> Vec<i16> {
    let mut playout = Playout::new(CodecKind::Pcmu, None);
    let (mut out, mut heard) = ([0; 160], Vec::new());
    for tick in 0..lost.end + 10 {
        if !lost.contains(&tick) {
            let mut samples = [0; 160];
            for (index, sample) in samples.iter_mut().enumerate() {
                let at = (tick * 160 + index as i64) as f32 / 8_000.0;
                *sample = ((at * hz * std::f32::consts::TAU).sin() * 8_000.0) as i16;
            }
            let mut payload = [0; 160];
            g711::encode_mu_law(&samples, &mut payload);
            playout.insert(tick, &packet(1, tick, 0, &payload), CodecKind::Pcmu);
        }
        playout.pull(tick, &mut out);
        if tick > 5 {
            heard.extend(out);
        }
    }
    heard
}

#[test]
fn a_loss_of_one_or_three_frames_makes_no_step() {
    for hz in [95.0, 110.0, 120.0] {
        // The steepest step of the sine, and what mu-law adds to it at its crest.
        let bound = (8_000.0 * std::f32::consts::TAU * hz / 8_000.0) as i32 + 300;
        for length in [1, 3] {
            let heard = sine_with_losses(hz, 20..20 + length);
            for (at, pair) in heard.windows(2).enumerate() {
                let step = (i32::from(pair[1]) - i32::from(pair[0])).abs();
                assert!(step <= bound, "{hz} Hz, {length} lost: {step} at {at}");
            }
        }
    }
}

#[test]
fn the_fade_of_a_long_loss_is_applied_once() {
    let heard = sine_with_losses(120.0, 20..28);
    // The sixth frame is the first one heard.
    let level = |tick: usize| level::dbov(&heard[(tick - 6) * 160..(tick - 5) * 160]);
    let fades = [20, 21, 22, 23, 24].map(|tick| level(tick) - level(10));
    for (fade, expected) in fades.iter().zip([0.0, -1.6, -6.0, -15.5]) {
        assert!((fade - expected).abs() < 1.5, "{fades:?}");
    }
    assert_eq!(level(24), level::SILENCE_DBOV);
}

#[test]
fn what_was_played_is_not_played_again_when_the_stream_waits() {
    let mut playout = Playout::new(CodecKind::Pcmu, None);
    let (payload, mut out) = ([0x90; 160], [0; 160]);
    for tick in 0..20 {
        playout.insert(tick, &packet(1, tick, 0, &payload), CodecKind::Pcmu);
        playout.pull(tick, &mut out);
    }
    for tick in 20..30 {
        playout.pull(tick, &mut out);
    }
    playout.insert(30, &packet(1, 17, 0, &payload), CodecKind::Pcmu);
    assert_eq!(playout.pull(30, &mut out), Heard::Gap);
    assert_eq!(out, [0; 160]);
    assert_eq!(playout.counts().late, 1);
}

#[test]
fn a_pause_of_any_length_keeps_what_is_known_of_lateness() {
    for pause in [100, 1_000, 20_000] {
        let mut playout = Playout::new(CodecKind::Pcmu, None);
        let (payload, mut out) = ([0x90; 160], [0; 160]);
        let mut gaps = 0;
        for tick in 0..300 + pause + 100 {
            // Two packets at a time, the first of them a tick late.
            let silent = (300..300 + pause).contains(&tick);
            for number in [tick - 1, tick] {
                if tick % 2 == 1 && !silent {
                    playout.insert(tick, &packet(1, number, 0, &payload), CodecKind::Pcmu);
                }
            }
            let heard = playout.pull(tick, &mut out);
            gaps += usize::from(tick > 300 + pause + 3 && heard == Heard::Gap);
        }
        assert_eq!((playout.counts().restarts, gaps), (0, 0), "{pause}");
    }
}

#[test]
fn a_clock_set_anew_is_followed_with_its_second_packet() {
    let mut playout = Playout::new(CodecKind::Pcmu, None);
    let (payload, mut out) = ([0x90; 160], [0; 160]);
    for tick in 0..50 {
        playout.insert(tick, &packet(1, tick, 0, &payload), CodecKind::Pcmu);
        playout.pull(tick, &mut out);
    }
    for tick in 50..60 {
        playout.insert(tick, &packet(1, tick, 0x8000_0000, &payload), CodecKind::Pcmu);
        playout.pull(tick, &mut out);
    }
    assert_eq!(playout.counts().restarts, 1);
    assert_eq!(playout.pull(60, &mut out), Heard::Gap);
    assert!(playout.counts().late == 0);
}

/// Opus packets of a tone, and the playout that plays them.
fn opus_tone(count: usize) -> (Playout, Vec<Vec<u8>>) {
    let (mut encoder, mut tone) =
        (crate::opus::Encoder::new().unwrap(), crate::tone::Tone::new(440.0));
    let packets = (0..count).map(|_| {
        let (mut frame, mut out) = ([0; 960], [0; crate::opus::LARGEST_BYTES]);
        tone.fill(&mut frame);
        let bytes = encoder.encode(&frame, &mut out);
        out[..bytes].to_vec()
    });
    let packets = packets.collect();
    (Playout::new(CodecKind::Opus, Decoder::new().map(Box::new)), packets)
}

fn opus_packet(number: i64, payload: &[u8]) -> Packet<'_> {
    Packet { timestamp: (number * 960) as u32, ..packet(1, number, 0, payload) }
}

#[test]
fn opus_is_concealed_whatever_the_queue_holds() {
    let (mut playout, packets) = opus_tone(60);
    let mut out = [0; 960];
    for (tick, payload) in packets.iter().enumerate() {
        let tick = tick as i64;
        playout.insert(tick, &opus_packet(tick, payload), CodecKind::Opus);
        playout.pull(tick, &mut out);
    }
    // A cut of one pitch period leaves any number of samples.
    playout.filled = 333;
    playout.pull(60, &mut out);
    for (index, block) in out[333..].chunks_exact(120).enumerate() {
        assert!(level::dbov(block) > -40.0, "block {index}: {}", level::dbov(block));
    }
}

#[test]
fn an_opus_loss_ends_in_a_fade_and_the_sound_comes_back_without_a_step() {
    let (mut playout, packets) = opus_tone(60);
    let (mut out, mut heard) = ([0; 960], Vec::new());
    for (tick, payload) in packets.iter().enumerate() {
        let tick = tick as i64;
        if !(30..38).contains(&tick) {
            playout.insert(tick, &opus_packet(tick, payload), CodecKind::Opus);
        }
        playout.pull(tick, &mut out);
        if tick > 20 {
            heard.extend(out);
        }
    }
    // A sine of 440 Hz at -20 dBov steps by 270 at most.
    for (at, pair) in heard.windows(2).enumerate() {
        let step = (i32::from(pair[1]) - i32::from(pair[0])).abs();
        assert!(step <= 600, "{step} at {at}");
    }
}

#[test]
fn a_pause_by_opus_dtx_goes_on_with_comfort_noise_and_is_no_loss() {
    let (mut playout, packets) = opus_tone(30);
    let mut out = [0; 960];
    for (tick, payload) in packets.iter().enumerate() {
        let tick = tick as i64;
        playout.insert(tick, &opus_packet(tick, payload), CodecKind::Opus);
        playout.pull(tick, &mut out);
    }
    // Only the table of contents: hybrid, full band, 20 ms, one frame.
    playout.insert(30, &opus_packet(30, &packets[29][..1]), CodecKind::Opus);
    for tick in 30..50 {
        playout.pull(tick, &mut out);
        assert!(playout.dtx, "{tick}");
    }
    assert_eq!(playout.counts().concealed_us, 0);
    playout.insert(50, &opus_packet(50, &packets[29]), CodecKind::Opus);
    assert_eq!(playout.pull(50, &mut out), Heard::Audio);
    assert!(!playout.dtx);
}

#[test]
fn made_up_sound_is_counted_to_the_sample() {
    let mut playout = Playout::new(CodecKind::Pcmu, None);
    let (payload, mut out) = ([0x90; 160], [0; 160]);
    for tick in 0..20 {
        playout.insert(tick, &packet(1, tick, 0, &payload), CodecKind::Pcmu);
        playout.pull(tick, &mut out);
    }
    for tick in 20..40 {
        playout.pull(tick, &mut out);
    }
    // The loss is heard for 80 ms, then it is silence.
    assert_eq!(playout.counts().concealed_us, 80_000);
}
