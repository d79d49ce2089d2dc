//! Real sound devices: a private sound server whose loudspeaker is its microphone carries a tone through both.
//!
//! Needs `pulseaudio`; without it the test says so and does nothing.
#![cfg(all(feature = "io", target_os = "linux"))]
#![allow(clippy::unwrap_used, reason = "a test may fail")]
#![allow(clippy::disallowed_methods, reason = "real devices run in real time")]

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use media::{
    AudioKind, CodecKind,
    io::{LegConfig, MediaEvent, Session, SessionConfig, Sockets},
    opus,
};

/// Set in the process that uses the devices: the address of the server is read once from the environment.
const INSIDE: &str = "PARLOUR_TEST_INSIDE";

/// A server of our own, ended with the test.
struct SoundServer(Child);

impl SoundServer {
    fn start(folder: &Path) -> Option<Self> {
        let socket = folder.join("native");
        let child = Command::new("pulseaudio")
            .args(["-n", "--exit-idle-time=-1", "--use-pid-file=no", "--daemonize=no"])
            .arg("-L")
            .arg(format!(
                "module-native-protocol-unix auth-anonymous=1 socket={}",
                socket.display()
            ))
            .args(["-L", "module-null-sink sink_name=both rate=48000"])
            .env("XDG_RUNTIME_DIR", folder)
            .env("HOME", folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let server = Self(child);
        let patience = Instant::now() + Duration::from_secs(10);
        while !socket.exists() {
            assert!(Instant::now() < patience, "the sound server does not start");
            thread::sleep(Duration::from_millis(50));
        }
        // It listens before its devices are there.
        thread::sleep(Duration::from_millis(500));
        Some(server)
    }
}

impl Drop for SoundServer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn microphone_and_loudspeaker_carry_a_tone() {
    if std::env::var_os(INSIDE).is_some() {
        return carry();
    }
    let folder = tempfile::tempdir().unwrap();
    let Some(_server) = SoundServer::start(folder.path()) else {
        panic!("pulseaudio cannot be started: is it installed? `make test` installs it");
    };
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "microphone_and_loudspeaker_carry_a_tone", "--nocapture"])
        .env(INSIDE, "1")
        .env("PULSE_SERVER", format!("unix:{}", folder.path().join("native").display()))
        .env("XDG_RUNTIME_DIR", folder.path())
        .status()
        .unwrap();
    assert!(status.success());
}

/// B sends a tone to A, whose loudspeaker plays it. A's microphone hears that loudspeaker, so B hears his own tone come
/// back, and only through both devices.
fn carry() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("heard.wav");
    let audio = AudioKind::Device;
    let mut a = Session::start(SessionConfig { audio, record: None }).unwrap();
    let audio = AudioKind::Tone { hz: 1_000.0 };
    let mut b = Session::start(SessionConfig { audio, record: Some(path.clone()) }).unwrap();
    let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let (left, right) = (Sockets::bind(local).unwrap(), Sockets::bind(local).unwrap());
    let leg = |sockets, rtp, rtcp| LegConfig {
        sockets,
        remote: SocketAddr::new(local, rtp),
        remote_rtcp: SocketAddr::new(local, rtcp),
        send: (CodecKind::Opus, 111),
        receive: vec![(111, CodecKind::Opus)],
        telephone_event: None,
        ptime_ms: 20,
        sending: true,
        receiving: true,
        opus: opus::Settings::default(),
        cname: "x".to_owned(),
    };
    let ports = (left.rtp_port(), left.rtcp_port());
    let left = a.add_leg(leg(left, right.rtp_port(), right.rtcp_port()));
    let right = b.add_leg(leg(right, ports.0, ports.1));
    a.connect(left, true);
    b.connect(right, true);
    let patience = Instant::now() + Duration::from_secs(10);
    loop {
        assert!(Instant::now() < patience, "{:?} {:?}", a.microphone(), a.speaker());
        if let Some(MediaEvent::Devices { microphone: Ok(_), speaker: Ok(_) }) = a.poll_event() {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    thread::sleep(Duration::from_secs(3));
    a.stop();
    b.stop();
    let heard: Vec<i16> =
        hound::WavReader::open(&path).unwrap().into_samples().map(Result::unwrap).collect();
    let end = heard.len() - 9_600;
    let heard = &heard[end - 48_000..end];
    let power: f64 = heard.iter().map(|s| f64::from(*s) * f64::from(*s)).sum();
    let level = 10.0 * (power / heard.len() as f64 / (32_768.0 * 32_768.0)).max(1e-12).log10();
    // In pieces of 20 ms: the clocks of the devices are followed, which bends the tone a little.
    let pieces: Vec<f64> = heard
        .chunks_exact(960)
        .map(|piece| {
            let (mut re, mut im) = (0.0, 0.0);
            for (n, sample) in piece.iter().enumerate() {
                let angle = n as f64 * 1_000.0 / 48_000.0 * std::f64::consts::TAU;
                re += f64::from(*sample) * angle.cos();
                im += f64::from(*sample) * angle.sin();
            }
            let peak = re.hypot(im) * 2.0 / 960.0 / 32_768.0;
            peak * peak / 2.0
        })
        .collect();
    let tone = 10.0 * (pieces.iter().sum::<f64>() / pieces.len() as f64).max(1e-12).log10();
    println!("level {level:.1} dBov, of the tone {tone:.1} dBov");
    assert!((level + 20.0).abs() < 3.0, "{level}");
    assert!((tone - level).abs() < 1.5, "{tone} of {level}");
}
