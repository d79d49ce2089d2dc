//! Two people on one machine: `pair AUDIO AUDIO SECONDS RECORD [opus|pcmu|pcma]`. The first records what he hears.
//!
//! `cargo run -p media --example pair -- device tone:440 5 heard.wav`
#![allow(clippy::disallowed_methods, reason = "an example runs in real time")]
#![allow(clippy::unwrap_used, reason = "an example may fail")]

use std::{
    env,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    thread,
    time::Duration,
};

use media::{
    AudioKind, CodecKind,
    io::{LegConfig, Session, SessionConfig, Sockets},
    opus,
};

fn main() {
    let arguments: Vec<String> = env::args().collect();
    let [_, first, second, seconds, record, rest @ ..] = &arguments[..] else {
        println!("pair AUDIO AUDIO SECONDS RECORD [opus|pcmu|pcma]");
        return;
    };
    let send = match rest.first().map(String::as_str) {
        Some("pcmu") => (CodecKind::Pcmu, 0),
        Some("pcma") => (CodecKind::Pcma, 8),
        _ => (CodecKind::Opus, 111),
    };
    let start = |audio: &str, record| {
        let audio: AudioKind = audio.parse().unwrap();
        Session::start(SessionConfig { audio, record }).unwrap()
    };
    let mut one = start(first, Some(record.into()));
    let mut two = start(second, None);
    println!("microphone {:?}, loudspeaker {:?}", one.microphone(), one.speaker());
    let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let (left, right) = (Sockets::bind(local).unwrap(), Sockets::bind(local).unwrap());
    let leg = |sockets, rtp, rtcp| LegConfig {
        sockets,
        remote: SocketAddr::new(local, rtp),
        remote_rtcp: SocketAddr::new(local, rtcp),
        send,
        receive: vec![(send.1, send.0)],
        telephone_event: None,
        ptime_ms: 20,
        sending: true,
        receiving: true,
        opus: opus::Settings::default(),
        cname: "pair".to_owned(),
    };
    let ports = (left.rtp_port(), left.rtcp_port());
    let left = one.add_leg(leg(left, right.rtp_port(), right.rtcp_port()));
    let right = two.add_leg(leg(right, ports.0, ports.1));
    one.connect(left, true);
    two.connect(right, true);
    for _ in 0..seconds.parse().unwrap() {
        thread::sleep(Duration::from_secs(1));
        let (mine, his) = (one.levels(), two.levels());
        println!("{:6.1} {:6.1} {:?}", mine.local_dbov, his.local_dbov, one.stats(left).unwrap());
        while let Some(event) = one.poll_event() {
            println!("{event:?}");
        }
    }
    two.stop();
    one.stop();
}
