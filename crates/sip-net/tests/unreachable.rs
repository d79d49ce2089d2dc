//! Ports where nobody listens, over real loopback sockets: told at once, and nobody else is disturbed (RFC 3261 §18.4).

#![cfg(target_os = "linux")]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may panic"
)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use sip_core::{
    Config, Content, Endpoint, Event, Flow, Input, NameAddr, Outcome, Output, PagerMessage,
    Transmit, Transport, Uri,
};
use sip_net::{Driver, Received};

const FAMILIES: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// An address of which nobody listens.
fn closed(ip: IpAddr) -> SocketAddr {
    UdpSocket::bind((ip, 0)).unwrap().local_addr().unwrap()
}

fn udp(driver: &Driver, remote: SocketAddr, contents: &'static [u8]) -> Transmit {
    let flow =
        Flow { transport: Transport::Udp, local: driver.address(), remote, connection: None };
    Transmit { flow, contents: Bytes::from_static(contents) }
}

async fn next(driver: &mut Driver) -> Received {
    let received = tokio::time::timeout(Duration::from_secs(5), driver.receive()).await;
    received.expect("something comes").expect("the driver lives")
}

#[tokio::test(flavor = "current_thread")]
async fn tp20_a_closed_port_is_told_with_its_address() {
    for ip in FAMILIES {
        let mut driver = Driver::bind((ip, 0).into()).await.unwrap();
        let dead = closed(ip);
        for _ in 0..3 {
            driver.send(&udp(&driver, dead, b"OPTIONS"));
            let received = next(&mut driver).await;
            let Received::Unreachable { destination } = received else { panic!("{received:?}") };
            assert_eq!(destination, dead);
        }
        assert!(driver.try_receive().is_none());
    }
}

#[tokio::test(flavor = "current_thread")]
async fn tp20_a_dead_peer_does_not_disturb_the_others_of_the_socket() {
    for ip in FAMILIES {
        let mut driver = Driver::bind((ip, 0).into()).await.unwrap();
        let peer = UdpSocket::bind((ip, 0)).unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let (dead, alive) = (closed(ip), peer.local_addr().unwrap());
        for _ in 0..200 {
            driver.send(&udp(&driver, dead, b"to nobody"));
            driver.send(&udp(&driver, alive, b"to somebody"));
        }
        let mut buffer = [0; 100];
        for _ in 0..200 {
            let (length, _) = peer.recv_from(&mut buffer).expect("each arrives");
            assert_eq!(&buffer[..length], b"to somebody");
        }
        peer.send_to(b"an answer", driver.address()).unwrap();
        let mut told = 0;
        let answer = loop {
            match next(&mut driver).await {
                Received::Unreachable { destination } => {
                    assert_eq!(destination, dead, "of the dead one only");
                    told += 1;
                }
                Received::Datagram { contents, source, .. } => {
                    assert_eq!(source, alive);
                    break contents;
                }
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(answer, b"an answer");
        assert!(told > 0);
    }
}

/// Lets the agent and its sockets run until it tells something.
async fn run(agent: &mut Endpoint, driver: &mut Driver) -> Event {
    loop {
        let wait = loop {
            match agent.poll_output() {
                Output::Transmit(transmit) => driver.send(&transmit),
                Output::Event(event) => return event,
                Output::Connect(connect) => driver.connect(&connect),
                Output::Close(connection) => driver.close(connection),
                Output::Resolve(query) => driver.resolve(query),
                Output::Timeout(at) => break at,
            }
        };
        let now = Instant::now();
        let wait = wait.map_or(Duration::from_secs(1), |at| at.saturating_duration_since(now));
        let received = tokio::time::timeout(wait, driver.receive()).await;
        let now = Instant::now();
        let input = match &received {
            Err(_) => Input::Timeout(now),
            Ok(Some(Received::Unreachable { destination })) => {
                Input::Unreachable { now, destination: *destination }
            }
            other => panic!("{other:?}"),
        };
        agent.handle_input(input).unwrap();
    }
}

#[tokio::test(flavor = "current_thread")]
async fn tp20_a_text_to_a_closed_port_fails_at_once() {
    for ip in FAMILIES {
        let mut driver = Driver::bind((ip, 0).into()).await.unwrap();
        let mut agent = Endpoint::new(Config::default(), Box::new(ChaCha8Rng::seed_from_u64(1)));
        let dead = closed(ip);
        let target = Uri::from_address(Some("nobody"), dead);
        let transport = Transport::Udp;
        let flow = Flow { transport, local: driver.address(), remote: dead, connection: None };
        let text = PagerMessage {
            target: target.clone(),
            way: flow.into(),
            from: NameAddr::new(None, Uri::from_address(Some("me"), driver.address())),
            to: NameAddr::new(None, target),
            content: Content::text("anybody there?"),
        };
        let start = Instant::now();
        let _ = agent.pager_message(text, start);
        let event = run(&mut agent, &mut driver).await;
        assert!(
            matches!(event, Event::Completed { outcome: Outcome::Unsendable, .. }),
            "{event:?}"
        );
        assert!(start.elapsed() < Duration::from_millis(400), "before it is sent a second time");
    }
}
