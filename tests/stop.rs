//! A program that is stopped and goes on, as a laptop that sleeps: what stood is looked after within five seconds. Real
//! sockets on the loopback interface, no other program.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[allow(dead_code, reason = "the other stories use the rest")]
mod ends {
    pub mod cli;
    pub mod process;
}

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use ends::cli::Cli;
use ends::process::free_port;
use sip_core::{Message, StatusCode};

const IP: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Longer than the three seconds that nobody is missed for.
const STOP: Duration = Duration::from_secs(6);
const SOON: Duration = Duration::from_secs(5);

fn start(name: &str, arguments: &[&str]) -> Cli {
    let listen = SocketAddr::new(IP, free_port(IP)).to_string();
    let mut all = arguments.to_vec();
    all.extend(["--listen", &listen, "--name", name, "--audio", "silence"]);
    Cli::start(name, &all)
}

fn stop(cli: &Cli) {
    cli.signal("STOP");
    thread::sleep(STOP);
}

#[test]
fn a_call_that_stands_after_a_stop_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let mut alice = start("Alice", &["host"]);
    let (_, conference) = alice.ready();
    let mut bob = start("Bob", &["join", &conference, "--trace", trace.to_str().unwrap()]);
    bob.ready();
    alice.expect("participant", SOON, |event| event["name"] == "Bob");
    stop(&bob);
    bob.signal("CONT");
    let began = Instant::now();
    alice.say("are you there");
    bob.expect("message", SOON, |event| event["text"] == "are you there");
    let asked = || std::fs::read_to_string(&trace).unwrap().contains("OPTIONS sip:");
    assert!(ends::process::within(SOON, asked), "the host was not asked whether the call stands");
    // Nothing ends it later either.
    thread::sleep(SOON.saturating_sub(began.elapsed()));
    bob.say("I am");
    alice.expect("message", SOON, |event| event["text"] == "I am");
    assert!(!bob.events().iter().any(|event| event["event"] == "ended"), "{}", bob.tail());
    assert!(bob.end().expect("Bob ends").success());
    assert!(alice.end().expect("Alice ends").success());
}

#[test]
fn a_call_whose_other_end_is_gone_after_a_stop_ends_and_says_so() {
    let alice = start("Alice", &["host"]);
    let (_, conference) = alice.ready();
    let mut bob = start("Bob", &["join", &conference]);
    bob.ready();
    alice.expect("participant", SOON, |event| event["name"] == "Bob");
    bob.signal("STOP");
    // Without a goodbye.
    alice.signal("KILL");
    thread::sleep(STOP);
    bob.signal("CONT");
    let ended = bob.expect("ended", SOON, |_| true);
    let reason = ended["reason"].as_str().unwrap();
    assert!(reason.ends_with("could not be reached any more"), "{reason}");
    assert!(bob.wait(SOON).is_some());
}

#[test]
fn an_account_registers_anew_after_a_stop() {
    let registrar = UdpSocket::bind(SocketAddr::new(IP, 0)).unwrap();
    let address = registrar.local_addr().unwrap();
    let (asked, heard) = mpsc::channel();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, source)) = registrar.recv_from(&mut buffer) {
            let Ok(Message::Request(request)) = Message::parse(&buffer[..length]) else { continue };
            let mut response = request.response(StatusCode::OK, Some("registrar"));
            response.headers.push("Contact", request.headers.get("Contact").unwrap());
            registrar.send_to(&response.to_bytes(), source).unwrap();
            if asked.send(()).is_err() {
                return;
            }
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "secret\n").unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    let (account, file) = (format!("sip:carol@{address}"), file.to_str().unwrap());
    let mut carol = start("Carol", &["host", "--account", &account, "--password-file", file]);
    carol.expect("registration", SOON, |event| event["state"] == "registered");
    stop(&carol);
    while heard.try_recv().is_ok() {}
    carol.signal("CONT");
    heard.recv_timeout(SOON).expect("a REGISTER");
    assert!(carol.end().expect("Carol ends").success());
}
