//! The turn on real sockets, without a thread: the test is the clock.
use std::{net::IpAddr, net::SocketAddr, net::UdpSocket};

use assert_no_alloc::{AllocDisabler, assert_no_alloc};
use rand::SeedableRng;
use rtrb::RingBuffer;

use super::*;
use crate::{
    CodecKind, g711,
    io::{
        LegConfig, LegUpdate, Sockets,
        leg::{Parameters, Shared},
    },
    level, opus, rtp,
    tone::Tone,
};

#[global_allocator]
static ALLOCATOR: AllocDisabler = AllocDisabler;

/// A phone: sends a tone, keeps what it hears.
struct Phone {
    socket: UdpSocket,
    target: SocketAddr,
    sender: rtp::Sender,
    tone: Option<Tone>,
    heard: Vec<i16>,
    /// Sends noise of -50 dBov in place of the tone.
    noise: bool,
    /// Of the last packet that came.
    last_timestamp: u32,
}

impl Phone {
    fn turn(&mut self, payload_type: u8) {
        let mut datagram = [0u8; 2_000];
        while let Ok((bytes, _)) = self.socket.recv_from(&mut datagram) {
            // Reports come to the same socket here.
            let Ok(packet) = rtp::Packet::parse(&datagram[..bytes]) else { continue };
            let mut samples = [0; 160];
            g711::decode_mu_law(packet.payload, &mut samples);
            if packet.payload_type == 0 {
                self.last_timestamp = packet.timestamp;
                self.heard.extend(samples);
            }
        }
        let Some(tone) = &mut self.tone else { return };
        let mut wide = [0; 960];
        tone.fill(&mut wide);
        if self.noise {
            let mut state = self.sender.timestamp;
            wide.fill_with(|| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                // A peak of 179 is an RMS of -50 dBov.
                ((state >> 16) as i32 * 358 / 65_536 - 179) as i16
            });
        }
        let narrow: Vec<i16> = wide.iter().copied().step_by(6).collect();
        let mut payload = [0; 160];
        g711::encode_mu_law(&narrow, &mut payload);
        let header = self.sender.write_header(payload_type, 160);
        self.sender.pass(160);
        self.socket.send_to(&[&header[..], &payload[..]].concat(), self.target).unwrap();
    }

    /// Level of one frequency in dBov.
    fn level_of(&self, hz: f64) -> f64 {
        let samples = &self.heard[self.heard.len() - 1_600..];
        let (mut re, mut im) = (0.0, 0.0);
        for (n, sample) in samples.iter().enumerate() {
            let angle = n as f64 * hz / 8_000.0 * std::f64::consts::TAU;
            re += f64::from(*sample) * angle.cos();
            im += f64::from(*sample) * angle.sin();
        }
        let peak = re.hypot(im) * 2.0 / samples.len() as f64;
        20.0 * (peak / std::f64::consts::SQRT_2 / 32_768.0).max(1e-9).log10()
    }
}

struct Bench {
    worker: Worker,
    control: Producer<Control>,
    waste: Consumer<Waste>,
    digits: Consumer<(LegId, char)>,
    _devices: Producer<Box<DeviceRings>>,
    common: Arc<Common>,
    phones: Vec<Phone>,
    shared: Vec<Arc<Shared>>,
    time: f64,
}

impl Bench {
    fn new(source: Source) -> Self {
        let (control, control_end) = RingBuffer::new(64);
        let (devices, devices_end) = RingBuffer::new(2);
        let (waste_end, waste) = RingBuffer::new(64);
        let (digits_end, digits) = RingBuffer::new(64);
        let common = Arc::new(Common::new());
        let ends = Ends {
            common: Arc::clone(&common),
            control: control_end,
            devices: devices_end,
            waste: waste_end,
            digits: digits_end,
            record: None,
        };
        let worker = Worker::new(ends, source, 3.9e9);
        Self {
            worker,
            control,
            waste,
            digits,
            _devices: devices,
            common,
            phones: Vec::new(),
            shared: Vec::new(),
            time: 0.0,
        }
    }

    fn join(&mut self, hz: Option<f32>) -> usize {
        self.join_at(hz, None)
    }

    /// A phone whose signalling names another address than it sends from.
    fn join_at(&mut self, hz: Option<f32>, signalled: Option<SocketAddr>) -> usize {
        let number = self.phones.len();
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(number as u64);
        let local = IpAddr::from([127, 0, 0, 1]);
        let socket = UdpSocket::bind((local, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        let sockets = Sockets::bind(local).unwrap();
        let target = SocketAddr::new(local, sockets.rtp_port());
        let remote = signalled.unwrap_or_else(|| socket.local_addr().unwrap());
        let config = LegConfig {
            sockets,
            remote,
            remote_rtcp: remote,
            send: (CodecKind::Pcmu, 0),
            receive: vec![(0, CodecKind::Pcmu), (8, CodecKind::Pcma), (111, CodecKind::Opus)],
            telephone_event: Some(101),
            ptime_ms: 20,
            sending: true,
            receiving: true,
            opus: opus::Settings::default(),
            cname: "x".to_owned(),
        };
        let shared = Arc::new(Shared::new());
        shared.connected.store(true, Relaxed);
        let leg = Leg::new(LegId(number as u64), config, Arc::clone(&shared), &mut rng);
        assert!(self.control.push(Control::Add(Box::new(leg))).is_ok());
        let sender = rtp::Sender::new(&mut rng);
        let tone = hz.map(Tone::new);
        self.phones.push(Phone {
            socket,
            target,
            sender,
            tone,
            heard: Vec::new(),
            noise: false,
            last_timestamp: 0,
        });
        self.shared.push(shared);
        number
    }

    fn run(&mut self, ticks: usize) {
        for _ in 0..ticks {
            for phone in &mut self.phones {
                phone.turn(0);
            }
            self.time += 0.02;
            let (worker, time) = (&mut self.worker, self.time);
            assert_no_alloc(|| worker.turn(time));
        }
        for phone in &mut self.phones {
            let tone = phone.tone.take();
            phone.turn(0);
            phone.tone = tone;
        }
    }

    /// Somebody who was never invited, at another address, and sends to the leg of `number`.
    fn stranger(&self, number: usize, hz: f32) -> Phone {
        let socket = UdpSocket::bind(("127.0.0.2", 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1_000);
        let target = self.phones[number].target;
        let sender = rtp::Sender::new(&mut rng);
        Phone {
            socket,
            target,
            sender,
            tone: Some(Tone::new(hz)),
            heard: Vec::new(),
            noise: false,
            last_timestamp: 0,
        }
    }

    /// What the media thread would be told.
    fn change(&mut self, number: usize, change: impl FnOnce(&mut LegUpdate)) {
        let remote = self.phones[number].socket.local_addr().unwrap();
        let mut update = LegUpdate {
            remote,
            remote_rtcp: remote,
            send: (CodecKind::Pcmu, 0),
            receive: vec![(0, CodecKind::Pcmu)],
            telephone_event: Some(101),
            ptime_ms: 20,
            sending: true,
            receiving: true,
            opus: opus::Settings::default(),
        };
        change(&mut update);
        let parameters = Parameters::from(&update);
        let leg = LegId(number as u64);
        let change = Change { leg, parameters, decoder: None, encoder: None };
        assert!(self.control.push(Control::Change(Box::new(change))).is_ok());
    }
}

#[test]
fn a_stranger_is_not_heard_and_does_not_take_the_stream_over() {
    let mut bench = Bench::new(Source::Tone(Tone::new(2_000.0)));
    let caller = bench.join(Some(440.0));
    let listener = bench.join(None);
    bench.run(30);
    let mut stranger = bench.stranger(caller, 1_000.0);
    let tone = bench.phones[caller].tone.take();
    for _ in 0..250 {
        stranger.turn(0);
        bench.run(1);
    }
    assert!(stranger.heard.is_empty());
    assert!(bench.phones[listener].level_of(1_000.0) < -60.0);
    assert!((bench.phones[caller].level_of(2_000.0) + 20.0).abs() < 1.0);
    bench.phones[caller].tone = tone;
    for _ in 0..30 {
        stranger.turn(0);
        bench.run(1);
    }
    assert!((bench.phones[listener].level_of(440.0) + 20.0).abs() < 1.0);
    assert!(bench.phones[listener].level_of(1_000.0) < -60.0);
}

#[test]
fn a_phone_behind_nat_is_followed_and_nobody_after_it() {
    let mut bench = Bench::new(Source::Tone(Tone::new(2_000.0)));
    // Nothing is there.
    let caller = bench.join_at(Some(440.0), Some("127.0.0.9:9".parse().unwrap()));
    let listener = bench.join(None);
    bench.run(60);
    assert!((bench.phones[listener].level_of(440.0) + 20.0).abs() < 1.0);
    assert!((bench.phones[caller].level_of(2_000.0) + 20.0).abs() < 1.0);
    let mut stranger = bench.stranger(caller, 1_000.0);
    bench.phones[caller].tone = None;
    for _ in 0..250 {
        stranger.turn(0);
        bench.run(1);
    }
    assert!(stranger.heard.is_empty());
    assert!(bench.phones[listener].level_of(1_000.0) < -60.0);
}

#[test]
fn the_signalled_address_takes_its_stream_back() {
    let mut bench = Bench::new(Source::Tone(Tone::new(2_000.0)));
    let caller = bench.join(None);
    let listener = bench.join(None);
    let mut stranger = bench.stranger(caller, 1_000.0);
    for _ in 0..30 {
        stranger.turn(0);
        bench.run(1);
    }
    assert!(!stranger.heard.is_empty());
    bench.phones[caller].tone = Some(Tone::new(440.0));
    stranger.heard.clear();
    for _ in 0..60 {
        stranger.turn(0);
        bench.run(1);
    }
    assert!(stranger.heard.len() <= 3 * 160, "{}", stranger.heard.len());
    assert!((bench.phones[listener].level_of(440.0) + 20.0).abs() < 1.0);
    assert!(bench.phones[listener].level_of(1_000.0) < -60.0);
}

#[test]
fn who_holds_us_is_not_heard_and_is_heard_again_after_it() {
    let mut bench = Bench::new(Source::Silence);
    let caller = bench.join(Some(440.0));
    let listener = bench.join(None);
    bench.run(60);
    bench.change(caller, |update| update.sending = false);
    bench.run(60);
    assert!(bench.phones[listener].level_of(440.0) < -60.0);
    bench.change(caller, |update| {
        update.sending = false;
        update.remote = "0.0.0.0:9".parse().unwrap();
        update.remote_rtcp = update.remote;
    });
    bench.run(60);
    assert!(bench.phones[listener].level_of(440.0) < -60.0);
    bench.change(caller, |_| {});
    bench.run(60);
    assert!((bench.phones[listener].level_of(440.0) + 20.0).abs() < 1.0);
}

#[test]
fn reports_of_strangers_change_nothing() {
    let mut bench = Bench::new(Source::Silence);
    let caller = bench.join(Some(440.0));
    bench.run(30);
    let ssrc = bench.phones[caller].sender.ssrc;
    let stranger = bench.stranger(caller, 1_000.0);
    let mut target = stranger.target;
    target.set_port(target.port() + 1);
    let mut sender = stranger.sender;
    sender.ssrc = ssrc;
    let clock = Clock { now_s: 1.0, ntp_start_s: 3.9e9 };
    let mut out = [0; crate::rtcp::LARGEST_BYTES];
    let mut reception = crate::rtcp::Reception::default();
    for _ in 0..500 {
        let bytes = crate::rtcp::write(&mut out, &sender, true, &mut reception, clock, "x", true);
        stranger.socket.send_to(&out[..bytes], target).unwrap();
        bench.run(1);
    }
    let mut datagram = [0; 2_000];
    assert!(stranger.socket.recv_from(&mut datagram).is_err());
    assert_eq!(bench.shared[caller].stats().packets_late, 0);
}

#[test]
fn four_legs_each_hear_the_three_others_and_not_themselves() {
    let tones = [440.0, 660.0, 1_000.0, 1_361.0];
    let mut bench = Bench::new(Source::Tone(Tone::new(2_000.0)));
    for hz in tones {
        bench.join(Some(hz));
    }
    bench.run(100);
    for (number, phone) in bench.phones.iter().enumerate() {
        for (other, hz) in tones.iter().enumerate() {
            let level = phone.level_of(f64::from(*hz));
            if other == number {
                assert!(level < -60.0, "{number} hears itself at {level}");
            } else {
                assert!((level + 20.0).abs() < 1.0, "{number} hears {other} at {level}");
            }
        }
        assert!((phone.level_of(2_000.0) + 20.0).abs() < 1.0);
        let level = f32::from_bits(bench.shared[number].level.load(Relaxed));
        assert!((level + 20.0).abs() < 0.5, "{level}");
    }
}

#[test]
fn who_only_listens_hears_all_and_a_muted_host_is_not_heard() {
    let mut bench = Bench::new(Source::Tone(Tone::new(2_000.0)));
    bench.join(Some(440.0));
    let listener = bench.join(None);
    bench.common.muted.store(true, Relaxed);
    bench.run(60);
    assert!((bench.phones[listener].level_of(440.0) + 20.0).abs() < 1.0);
    assert!(bench.phones[listener].level_of(2_000.0) < -60.0);
    assert_eq!(f32::from_bits(bench.common.level.load(Relaxed)), level::SILENCE_DBOV);
}

#[test]
fn keys_are_told_once_and_strange_datagrams_change_nothing() {
    let mut bench = Bench::new(Source::Silence);
    let phone = bench.join(Some(440.0));
    for round in 0..50 {
        let Phone { socket, target, sender, .. } = &mut bench.phones[phone];
        socket.send_to(&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 0, 0, 0, 0, 0, 0], *target).unwrap();
        socket.send_to(&[], *target).unwrap();
        if round % 10 < 4 {
            let mut header = sender.write_header(101, 4);
            header[4..8].copy_from_slice(&(round as u32 / 10).to_be_bytes());
            socket.send_to(&[&header[..], &[7, 10, 1, 0]].concat(), *target).unwrap();
        }
        bench.run(1);
    }
    let keys: Vec<_> = std::iter::from_fn(|| bench.digits.pop().ok()).collect();
    assert_eq!(keys, [(LegId(0), '7'); 5]);
    let stats = bench.shared[0].stats();
    assert!(stats.packets_received >= 50);
    assert_eq!(stats.packets_lost, 0);
}

#[test]
fn a_leg_that_leaves_says_goodbye_and_comes_back_to_be_dropped() {
    let mut bench = Bench::new(Source::Silence);
    bench.join(Some(440.0));
    bench.run(3);
    assert!(bench.control.push(Control::Remove(LegId(0))).is_ok());
    bench.phones[0].tone = None;
    let time = bench.time + 0.02;
    bench.worker.turn(time);
    assert!(matches!(bench.waste.pop(), Ok(Waste::Leg(_))));
    let mut datagram = [0; 2_000];
    let mut bye = false;
    while let Ok((bytes, _)) = bench.phones[0].socket.recv_from(&mut datagram) {
        bye |= crate::rtcp::parse(&datagram[..bytes], 1).is_some_and(|report| report.bye);
    }
    assert!(bye);
}

#[test]
fn four_speakers_among_many_are_heard_and_noise_costs_no_encoding() {
    let tones = [440.0, 660.0, 1_000.0, 1_361.0];
    let mut bench = Bench::new(Source::Silence);
    for hz in tones {
        bench.join(Some(hz));
    }
    let listener = bench.join(None);
    for _ in 0..8 {
        // Noise of -50 dBov, as an ordinary room has it.
        let number = bench.join(Some(0.0));
        bench.phones[number].noise = true;
    }
    bench.run(250);
    for phone in &bench.phones[listener..] {
        for hz in tones {
            assert!((phone.level_of(f64::from(hz)) + 20.0).abs() < 1.0, "{hz}");
        }
    }
    let before = bench.worker.mixer.encodings();
    bench.run(10);
    // One for each who speaks, one for all others.
    assert_eq!(bench.worker.mixer.encodings() - before, 50);
}

#[test]
fn after_the_thread_stood_still_the_delay_is_as_before() {
    let mut bench = Bench::new(Source::Silence);
    let caller = bench.join(Some(440.0));
    bench.run(100);
    let before = bench.phones[caller].sender;
    for _ in 0..20 {
        bench.phones[caller].turn(0);
    }
    let sent = bench.phones[caller].last_timestamp;
    bench.time += 0.4;
    let time = bench.time;
    bench.worker.skip(20, time);
    bench.run(30);
    let stats = bench.shared[caller].stats();
    assert!(stats.buffer_ms < 25.0, "{stats:?}");
    assert_eq!(stats.packets_lost, 0);
    assert_ne!(before, bench.phones[caller].sender);
    // The clock of our own stream ran on.
    let ran = bench.phones[caller].last_timestamp.wrapping_sub(sent);
    assert_eq!(ran, (20 + 30) * 160);
}

#[test]
fn a_thread_whose_waste_is_full_drops_nothing_and_waits() {
    let mut bench = Bench::new(Source::Silence);
    bench.join(Some(440.0));
    for _ in 0..100 {
        bench.change(0, |_| {});
        bench.run(1);
        if bench.waste.slots() == 64 {
            break;
        }
    }
    assert_eq!(bench.waste.slots(), 64);
    bench.change(0, |_| {});
    bench.run(1);
    assert_eq!(bench.control.slots(), 63);
    while bench.waste.pop().is_ok() {}
    bench.run(1);
    assert_eq!((bench.control.slots(), bench.waste.slots()), (64, 1));
}

#[test]
fn who_is_not_in_the_mix_hears_his_recording_and_nothing_of_the_others() {
    let mut bench = Bench::new(Source::Tone(Tone::new(2_000.0)));
    let _other = bench.join(Some(440.0));
    let waits = bench.join(None);
    bench.shared[waits].connected.store(false, Relaxed);
    let mut samples = vec![0; 96_000];
    Tone::new(1_000.0).fill(&mut samples);
    let leg = LegId(waits as u64);
    let prompt = |samples: Vec<i16>| {
        Control::Play(Box::new(crate::io::leg::Prompt { leg, samples, played: 0 }))
    };
    bench.control.push(prompt(samples.clone())).ok().unwrap();
    bench.run(50);
    let phone = &bench.phones[waits];
    assert!((phone.level_of(1_000.0) + 20.0).abs() < 1.0, "{}", phone.level_of(1_000.0));
    assert!(phone.level_of(440.0) < -60.0 && phone.level_of(2_000.0) < -60.0);
    // The rest of it, and silence after it.
    bench.run(60);
    let heard = bench.phones[waits].heard.len();
    bench.run(50);
    assert_eq!(bench.phones[waits].heard.len(), heard);
    // Who comes in hears the others, whatever still plays.
    bench.control.push(prompt(samples)).ok().unwrap();
    bench.run(5);
    bench.shared[waits].connected.store(true, Relaxed);
    bench.run(50);
    assert!((bench.phones[waits].level_of(440.0) + 20.0).abs() < 1.0);
    assert!(bench.phones[waits].level_of(1_000.0) < -60.0);
}

#[test]
fn keys_that_we_press_go_out_as_events() {
    let mut bench = Bench::new(Source::Silence);
    let phone = bench.join(None);
    bench.run(10);
    let socket = bench.phones[phone].socket.try_clone().unwrap();
    let presses = Presses::new("47");
    bench.control.push(Control::Press(LegId(phone as u64), presses, 101)).ok().unwrap();
    let mut digits = crate::digit::Digits::default();
    let mut told = String::new();
    for _ in 0..30 {
        let mut datagram = [0; 200];
        while let Ok((bytes, _)) = socket.recv_from(&mut datagram) {
            let Ok(packet) = rtp::Packet::parse(&datagram[..bytes]) else { continue };
            if packet.payload_type == 101 {
                told.extend(digits.receive(packet.timestamp, packet.payload));
            }
        }
        bench.time += 0.02;
        bench.worker.turn(bench.time);
    }
    assert_eq!(told, "47");
}
