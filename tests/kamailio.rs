//! Through Debian's Kamailio as registrar and proxy. `make interop` runs it; it needs kamailio, its TLS module and openssl.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[allow(dead_code, reason = "the other stories use the rest")]
mod ends {
    pub mod dns;
    pub mod kamailio;
    pub mod process;
}

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;

use ends::dns::{NameServer, Record};
use ends::kamailio::{DOMAIN, Kamailio};

/// Without credentials every transport answers with a challenge for the domain.
#[test]
fn it_listens_on_every_transport_and_challenges() {
    let folder = tempfile::tempdir().unwrap();
    let mut kamailio = Kamailio::start(folder.path(), &[("alice", "secret")]);
    for round in 0..2 {
        let register = |transport: &str| {
            format!(
                "REGISTER sip:{DOMAIN} SIP/2.0\r\nVia: SIP/2.0/{transport} 127.0.0.1:9;rport;branch=z9hG4bK{round}{transport}\r\n\
                 Max-Forwards: 70\r\nFrom: <sip:alice@{DOMAIN}>;tag=1\r\nTo: <sip:alice@{DOMAIN}>\r\n\
                 Call-ID: {round}{transport}\r\nCSeq: 1 REGISTER\r\nContact: <sip:alice@127.0.0.1:9>\r\nContent-Length: 0\r\n\r\n"
            )
        };
        let mut buffer = [0; 4096];
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        udp.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
        udp.send_to(register("UDP").as_bytes(), kamailio.address).unwrap();
        let length = udp.recv(&mut buffer).unwrap_or_else(|_| panic!("{}", kamailio.tail()));
        assert_challenged(&buffer[..length]);
        let mut tcp = TcpStream::connect(kamailio.address).unwrap();
        tcp.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
        tcp.write_all(register("TCP").as_bytes()).unwrap();
        let length = tcp.read(&mut buffer).unwrap();
        assert_challenged(&buffer[..length]);
        assert_challenged(&by_tls(&kamailio, &register("TLS")));
        assert_eq!(kamailio.passed().iter().filter(|line| line.starts_with("REGISTER")).count(), 3);
        kamailio.restart();
    }
}

#[test]
fn the_name_server_leads_to_it_by_naptr_srv_and_address() {
    let service = format!("_sip._tcp.{DOMAIN}");
    let names = NameServer::start(vec![
        (DOMAIN.to_owned(), Record::Naptr(10, 0, "SIP+D2T", service.clone())),
        (service.clone(), Record::Srv(0, 0, 5099, format!("proxy.{DOMAIN}"))),
        (format!("proxy.{DOMAIN}"), Record::A([127, 0, 0, 1].into())),
    ]);
    let (count, answer) = names.ask(DOMAIN, 35);
    assert_eq!((count, answer[3] & 15), (1, 0));
    assert!(answer.windows(7).any(|window| window == b"SIP+D2T"));
    let (count, answer) = names.ask(&service, 33);
    assert_eq!(count, 1);
    assert!(answer.windows(2).any(|window| window == 5099_u16.to_be_bytes()));
    let (count, answer) = names.ask(&format!("Proxy.{DOMAIN}"), 1);
    assert_eq!((count, &answer[answer.len() - 4..]), (1, &[127, 0, 0, 1][..]));
    // A name without that type, and a name that is none.
    assert_eq!(names.ask(DOMAIN, 1).1[3] & 15, 0);
    assert_eq!(names.ask("elsewhere.test", 35).1[3] & 15, 3);
    assert_eq!(names.asked()[1], (service, 33));
}

fn by_tls(kamailio: &Kamailio, request: &str) -> Vec<u8> {
    let mut client = Command::new("openssl")
        .args(["s_client", "-quiet", "-verify_return_error", "-verify_hostname", DOMAIN, "-CAfile"])
        .arg(kamailio.authority())
        .args(["-connect", &kamailio.secure.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    client.stdin.as_mut().unwrap().write_all(request.as_bytes()).unwrap();
    let mut buffer = vec![0; 4096];
    let length = client.stdout.as_mut().unwrap().read(&mut buffer).unwrap();
    let _ = client.kill();
    client.wait().unwrap();
    buffer.truncate(length);
    buffer
}

fn assert_challenged(answer: &[u8]) {
    let answer = String::from_utf8_lossy(answer);
    assert!(answer.starts_with("SIP/2.0 401 "), "{answer}");
    assert!(answer.contains(&format!("realm=\"{DOMAIN}\"")), "{answer}");
}
