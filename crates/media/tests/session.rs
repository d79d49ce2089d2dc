//! Two sessions over real loopback sockets: what one plays, the other records.
#![cfg(feature = "io")]
#![allow(clippy::unwrap_used, reason = "a test may fail")]
#![allow(clippy::disallowed_methods, reason = "real sockets run in real time")]

use std::{
    net::{IpAddr, SocketAddr},
    thread,
    time::Duration,
};

use media::{
    AudioKind, CodecKind,
    io::{LegConfig, LegId, LegUpdate, Session, SessionConfig, Sockets},
    opus,
};

const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn leg(sockets: Sockets, peer: (u16, u16), send: (CodecKind, u8)) -> LegConfig {
    LegConfig {
        sockets,
        remote: SocketAddr::new(LOCAL, peer.0),
        remote_rtcp: SocketAddr::new(LOCAL, peer.1),
        send,
        receive: vec![(111, CodecKind::Opus), (0, CodecKind::Pcmu), (8, CodecKind::Pcma)],
        telephone_event: Some(101),
        ptime_ms: 20,
        sending: true,
        receiving: true,
        opus: opus::Settings::default(),
        cname: "anonymous".to_owned(),
    }
}

fn update(of: &LegConfig, send: (CodecKind, u8)) -> LegUpdate {
    LegUpdate {
        remote: of.remote,
        remote_rtcp: of.remote_rtcp,
        send,
        receive: of.receive.clone(),
        telephone_event: of.telephone_event,
        ptime_ms: 20,
        sending: true,
        receiving: true,
        opus: opus::Settings::default(),
    }
}

fn join(a: &mut Session, b: &mut Session, send: (CodecKind, u8)) -> (LegId, LegId) {
    let (left, right) = (Sockets::bind(LOCAL).unwrap(), Sockets::bind(LOCAL).unwrap());
    let left_ports = (left.rtp_port(), left.rtcp_port());
    let right_ports = (right.rtp_port(), right.rtcp_port());
    let left = a.add_leg(leg(left, right_ports, send));
    let right = b.add_leg(leg(right, left_ports, send));
    a.connect(left, true);
    b.connect(right, true);
    (left, right)
}

/// Level of one frequency in dBov in the second before the last 200 ms.
fn level_of(samples: &[i16], hz: f64) -> f64 {
    let end = samples.len() - 9_600;
    let samples = &samples[end - 24_000..end];
    let (mut re, mut im) = (0.0, 0.0);
    for (n, sample) in samples.iter().enumerate() {
        let angle = n as f64 * hz / 48_000.0 * std::f64::consts::TAU;
        re += f64::from(*sample) * angle.cos();
        im += f64::from(*sample) * angle.sin();
    }
    let peak = re.hypot(im) * 2.0 / samples.len() as f64;
    20.0 * (peak / std::f64::consts::SQRT_2 / 32_768.0).max(1e-9).log10()
}

#[test]
fn a_tone_is_recorded_at_the_other_end_at_its_level_and_ones_own_is_not() {
    let folder = tempfile::tempdir().unwrap();
    for (kind, payload_type) in [(CodecKind::Pcmu, 0), (CodecKind::Pcma, 8), (CodecKind::Opus, 111)]
    {
        let path = folder.path().join("heard.wav");
        let mut a = Session::start(SessionConfig {
            audio: AudioKind::Tone { hz: 440.0 },
            record: Some(path.clone()),
        })
        .unwrap();
        let mut b =
            Session::start(SessionConfig { audio: AudioKind::Tone { hz: 1_361.0 }, record: None })
                .unwrap();
        let (left, _) = join(&mut a, &mut b, (kind, payload_type));
        thread::sleep(Duration::from_millis(1_500));
        let levels = a.levels();
        let stats = a.stats(left).unwrap();
        b.stop();
        a.stop();
        let heard: Vec<i16> =
            hound::WavReader::open(&path).unwrap().into_samples().map(Result::unwrap).collect();
        assert!((1.0..1.8).contains(&(heard.len() as f64 / 48_000.0)), "{}", heard.len());
        let (other, own) = (level_of(&heard, 1_361.0), level_of(&heard, 440.0));
        assert!((other + 20.0).abs() < 1.0, "{kind:?}: {other}");
        assert!(own < -60.0, "{kind:?}: hears itself at {own}");
        assert!((levels.local_dbov + 20.0).abs() < 0.5, "{levels:?}");
        assert!((levels.legs[0].1 + 20.0).abs() < 1.5, "{levels:?}");
        assert!(stats.packets_received > 50 && stats.packets_sent > 50, "{stats:?}");
    }
}

#[test]
fn a_leg_changes_its_codec_and_goes_without_disturbing_the_session() {
    let silent = || SessionConfig { audio: AudioKind::Silence, record: None };
    let (mut a, mut b) = (Session::start(silent()).unwrap(), Session::start(silent()).unwrap());
    let sockets = Sockets::bind(LOCAL).unwrap();
    let ports = (sockets.rtp_port(), sockets.rtcp_port());
    let other = Sockets::bind(LOCAL).unwrap();
    let mut config = leg(sockets, (other.rtp_port(), other.rtcp_port()), (CodecKind::Pcmu, 0));
    config.receive.retain(|(_, kind)| *kind != CodecKind::Opus);
    let mut changed = update(&config, (CodecKind::Opus, 111));
    changed.receive.push((111, CodecKind::Opus));
    let left = a.add_leg(config);
    let right = b.add_leg(leg(other, ports, (CodecKind::Opus, 111)));
    a.connect(left, true);
    b.connect(right, true);
    a.update_leg(left, changed);
    thread::sleep(Duration::from_millis(400));
    assert!(a.stats(left).unwrap().packets_received > 5);
    assert!(b.stats(right).unwrap().packets_received > 5);
    a.remove_leg(left);
    a.remove_leg(left);
    assert_eq!(a.stats(left), None);
    assert_eq!(a.poll_event(), None);
    assert!(a.microphone().is_err() && a.speaker().is_err());
}

#[test]
fn a_missing_sound_device_does_not_stop_a_session() {
    let session = Session::start(SessionConfig { audio: AudioKind::Device, record: None }).unwrap();
    for name in [session.microphone(), session.speaker()] {
        let text = name.unwrap_or_else(|reason| reason);
        assert!(!text.is_empty());
    }
    session.stop();
}
