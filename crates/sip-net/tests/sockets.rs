//! The driver over real loopback sockets, IPv4 and IPv6.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use sip_core::{
    Connect, ConnectionChange, ConnectionId, DnsAnswer, Flow, Query, QueryId, Question,
    ResolvedTarget, Transmit, Transport,
};
use sip_net::{BindError, Driver, Received};

const FAMILIES: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

async fn next(driver: &mut Driver) -> Received {
    let received = tokio::time::timeout(Duration::from_secs(5), driver.receive()).await;
    received.expect("something comes").expect("the driver lives")
}

fn flow(
    transport: Transport,
    from: &Driver,
    to: &Driver,
    connection: Option<ConnectionId>,
) -> Flow {
    Flow { transport, local: from.address(), remote: to.address(), connection }
}

#[tokio::test(flavor = "current_thread")]
async fn datagrams_arrive_with_both_addresses() {
    for ip in FAMILIES {
        let (mut one, mut two) = (
            Driver::bind((ip, 0).into()).await.unwrap(),
            Driver::bind((ip, 0).into()).await.unwrap(),
        );
        let contents = Bytes::from_static(b"OPTIONS");
        one.send(&Transmit { flow: flow(Transport::Udp, &one, &two, None), contents });
        let Received::Datagram { source, destination, contents } = next(&mut two).await else {
            panic!()
        };
        assert_eq!((source, destination), (one.address(), two.address()));
        assert_eq!(contents, b"OPTIONS");
        assert!(one.try_receive().is_none());
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_listener_on_every_address_knows_which_one_was_meant() {
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let mut two = Driver::bind(any).await.unwrap();
    let mut one = Driver::bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    let remote = SocketAddr::from((Ipv4Addr::LOCALHOST, two.address().port()));
    let flow = Flow { transport: Transport::Udp, local: one.address(), remote, connection: None };
    one.send(&Transmit { flow, contents: Bytes::from_static(b"x") });
    let Received::Datagram { destination, .. } = next(&mut two).await else { panic!() };
    assert_eq!(destination, remote);
}

#[tokio::test(flavor = "current_thread")]
async fn tp1_datagrams_and_connections_are_taken_on_one_port() {
    for ip in FAMILIES {
        let free = std::net::TcpListener::bind((ip, 0)).unwrap().local_addr().unwrap();
        // Any free port, and one that is asked for.
        for listen in [SocketAddr::new(ip, 0), free] {
            let mut driver = Driver::bind(listen).await.unwrap();
            let at = driver.address();
            assert!(at.port() != 0 && (listen.port() == 0 || at == listen));
            let udp = std::net::UdpSocket::bind((ip, 0)).unwrap();
            udp.send_to(b"by datagram", at).unwrap();
            let Received::Datagram { source, destination, contents } = next(&mut driver).await
            else {
                panic!()
            };
            assert_eq!((source, destination), (udp.local_addr().unwrap(), at));
            assert_eq!(contents, b"by datagram");
            let tcp = std::net::TcpStream::connect(at).unwrap();
            let Received::Connection { connection, change: ConnectionChange::Opened { flow } } =
                next(&mut driver).await
            else {
                panic!()
            };
            let ends = (flow.transport, flow.local, flow.remote);
            assert_eq!(ends, (Transport::Tcp, at, tcp.local_addr().unwrap()));
            std::io::Write::write_all(&mut &tcp, b"by stream").unwrap();
            let Received::Stream { connection: by, contents } = next(&mut driver).await else {
                panic!()
            };
            assert_eq!((by, contents.as_slice()), (connection, &b"by stream"[..]));
            // Both are taken: nobody else gets either.
            assert!(std::net::UdpSocket::bind(at).is_err());
            assert!(std::net::TcpListener::bind(at).is_err());
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn tp3_a_connection_opens_carries_both_ways_and_closes_on_the_same_port() {
    for ip in FAMILIES {
        let (mut one, mut two) = (
            Driver::bind((ip, 0).into()).await.unwrap(),
            Driver::bind((ip, 0).into()).await.unwrap(),
        );
        let connection = ConnectionId(1 << 63 | 7);
        one.connect(&plain(connection, one.address(), two.address()));
        let Received::Connection { connection: ours, change: ConnectionChange::Opened { .. } } =
            next(&mut one).await
        else {
            panic!()
        };
        assert_eq!(ours, connection);
        let Received::Connection {
            connection: theirs,
            change: ConnectionChange::Opened { flow: seen },
        } = next(&mut two).await
        else {
            panic!()
        };
        assert_eq!(
            (theirs.0 >> 63, seen.local),
            (0, two.address()),
            "accepted ids have the upper bit clear"
        );
        let contents = Bytes::from_static(b"hello");
        one.send(&Transmit { flow: flow(Transport::Tcp, &one, &two, Some(connection)), contents });
        let Received::Stream { connection: by, contents } = next(&mut two).await else { panic!() };
        assert_eq!((by, contents.as_slice()), (theirs, &b"hello"[..]));
        let contents = Bytes::from_static(b"and back");
        two.send(&Transmit { flow: flow(Transport::Tcp, &two, &one, Some(theirs)), contents });
        let Received::Stream { connection: by, contents } = next(&mut one).await else { panic!() };
        assert_eq!((by, contents.as_slice()), (connection, &b"and back"[..]));
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_refused_connection_and_a_taken_port_are_told() {
    let mut one = Driver::bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    let closed =
        std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let connection = ConnectionId(1 << 63 | 9);
    one.connect(&plain(connection, one.address(), closed));
    let Received::Connection { change, .. } = next(&mut one).await else { panic!() };
    assert_eq!(change, ConnectionChange::Closed { refused: true });
    let taken = Driver::bind(one.address()).await;
    assert!(matches!(taken, Err(BindError::PortTaken { .. })), "{taken:?}");
}

#[tokio::test(flavor = "current_thread")]
async fn literal_addresses_are_found_and_other_families_are_not() {
    let mut driver = Driver::bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    let question = Question::Addresses { transport: Transport::Udp };
    for (name, expected) in [("127.0.0.9", true), ("::1", false), ("no such host", false)] {
        driver.resolve(Query { id: QueryId(7), name: name.to_owned(), question });
        let Received::Resolved { query, answer } = next(&mut driver).await else { panic!() };
        assert_eq!(query, QueryId(7));
        let DnsAnswer::Addresses(found) = answer else { panic!() };
        let local = driver.address();
        let wanted = ResolvedTarget { remote: "127.0.0.9".parse().unwrap(), local };
        assert_eq!(found, if expected { vec![wanted] } else { Vec::new() }, "{name}");
    }
}

fn plain(connection: ConnectionId, local: SocketAddr, remote: SocketAddr) -> Connect {
    let transport = Transport::Tcp;
    Connect { connection, transport, domain: String::new(), local, remote }
}

async fn connected(one: &mut Driver, to: SocketAddr, id: u64) -> ConnectionId {
    let connection = ConnectionId(1 << 63 | id);
    one.connect(&plain(connection, one.address(), to));
    let Received::Connection { change: ConnectionChange::Opened { .. }, .. } = next(one).await
    else {
        panic!()
    };
    connection
}

#[tokio::test(flavor = "current_thread")]
async fn a_closed_connection_carries_its_last_words_and_its_end_is_told() {
    use tokio::io::AsyncReadExt;
    let mut one = Driver::bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let remote = listener.local_addr().unwrap();
    let connection = connected(&mut one, remote, 11).await;
    let (mut peer, _) = listener.accept().await.unwrap();
    let local = one.address();
    let flow = Flow { transport: Transport::Tcp, local, remote, connection: Some(connection) };
    one.send(&Transmit { flow, contents: Bytes::from_static(b"last words") });
    one.close(connection);
    let mut read = Vec::new();
    peer.read_to_end(&mut read).await.unwrap();
    assert_eq!(read, b"last words");
    let Received::Connection { change, .. } = next(&mut one).await else { panic!() };
    assert_eq!(change, ConnectionChange::Closed { refused: false });
}

#[tokio::test(flavor = "current_thread")]
async fn a_peer_that_reads_nothing_loses_its_connection_and_that_is_told() {
    let mut one = Driver::bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let remote = listener.local_addr().unwrap();
    let connection = connected(&mut one, remote, 12).await;
    let (peer, _) = listener.accept().await.unwrap();
    let local = one.address();
    let flow = Flow { transport: Transport::Tcp, local, remote, connection: Some(connection) };
    let contents = Bytes::from(vec![b'x'; 1 << 20]);
    for _ in 0..600 {
        one.send(&Transmit { flow, contents: contents.clone() });
    }
    let Received::Connection { connection: over, change } = next(&mut one).await else { panic!() };
    assert_eq!((over, change), (connection, ConnectionChange::Closed { refused: false }));
    drop(peer);
}

#[tokio::test(flavor = "current_thread")]
async fn connections_that_are_reset_at_once_are_told_of_in_every_case() {
    let mut one = Driver::bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let remote = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().take(50).flatten() {
            // Unread bytes and no lingering: the peer gets a reset.
            let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            drop(stream);
        }
    });
    let mut open = std::collections::BTreeSet::new();
    for id in 0..50 {
        let connection = ConnectionId((1 << 63) | (100 + id));
        open.insert(connection);
        one.connect(&plain(connection, one.address(), remote));
    }
    while !open.is_empty() {
        if let Received::Connection { connection, change: ConnectionChange::Closed { .. } } =
            next(&mut one).await
        {
            open.remove(&connection);
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_listener_on_every_ipv6_address_leaves_ipv4_alone() {
    let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
    let six = Driver::bind(any).await.unwrap();
    let port = six.address().port();
    let four = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, port));
    assert!(four.is_ok(), "{four:?}");
    assert!(std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
}

#[tokio::test(flavor = "current_thread")]
async fn a_datagram_that_is_too_large_says_nothing_about_its_peer() {
    let (mut one, two) = (
        Driver::bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap(),
        Driver::bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap(),
    );
    let contents = Bytes::from(vec![0; 70_000]);
    one.send(&Transmit { flow: flow(Transport::Udp, &one, &two, None), contents });
    assert!(one.try_receive().is_none());
}

#[tokio::test(flavor = "current_thread")]
async fn a_driver_that_is_gone_leaves_its_port_and_its_connections() {
    use tokio::io::AsyncReadExt;
    let mut one = Driver::bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    let at = one.address();
    let mut peer = tokio::net::TcpStream::connect(at).await.unwrap();
    let Received::Connection { connection, .. } = next(&mut one).await else { panic!() };
    let remote = peer.local_addr().unwrap();
    let flow = Flow { transport: Transport::Tcp, local: at, remote, connection: Some(connection) };
    one.send(&Transmit { flow, contents: Bytes::from_static(b"last words") });
    drop(one);
    let mut read = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(5), peer.read_to_end(&mut read)).await;
    assert!(end.is_ok(), "it is closed");
    assert_eq!(read, b"last words");
    drop(peer);
    let again = async {
        while let Err(error) = Driver::bind(at).await {
            assert!(matches!(error, BindError::PortTaken { .. }), "{error}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), again).await.expect("the port is free again");
}
