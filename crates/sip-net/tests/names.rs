//! The name system over real sockets: a small server of the test's own answers (RFC 3263 §4).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, NAPTR, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use sip_core::{DnsAnswer, Query, QueryId, Question, ResolvedTarget, Transport};
use sip_net::{Driver, DriverSettings, Received};
use tokio::net::UdpSocket;

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn records(asked: &str, kind: RecordType) -> Vec<RData> {
    match (asked, kind) {
        ("example.org.", RecordType::NAPTR) => vec![RData::NAPTR(NAPTR::new(
            10,
            20,
            b"s".to_vec().into(),
            b"SIP+D2T".to_vec().into(),
            Vec::new().into(),
            name("_sip._tcp.example.org."),
        ))],
        ("_sip._tcp.example.org.", RecordType::SRV) => {
            vec![RData::SRV(SRV::new(1, 2, 5070, name("one.example.org.")))]
        }
        ("one.example.org.", RecordType::A) => vec![RData::A(A::new(127, 0, 0, 9))],
        _ => Vec::new(),
    }
}

/// Answers until the test ends.
async fn serve() -> SocketAddr {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        while let Ok((length, source)) = socket.recv_from(&mut buffer).await {
            let asked = Message::from_vec(&buffer[..length]).unwrap();
            let query = asked.queries[0].clone();
            let mut answer = Message::response(asked.metadata.id, asked.metadata.op_code);
            answer.add_query(query.clone());
            let found = records(&query.name().to_ascii(), query.query_type());
            if found.is_empty() {
                answer.metadata.response_code = ResponseCode::NXDomain;
            }
            for data in found {
                answer.add_answer(Record::from_rdata(query.name().clone(), 60, data));
            }
            socket.send_to(&answer.to_vec().unwrap(), source).await.unwrap();
        }
    });
    address
}

async fn ask(driver: &mut Driver, name: &str, question: Question) -> DnsAnswer {
    driver.resolve(Query { id: QueryId(3), name: name.to_owned(), question });
    let received = tokio::time::timeout(Duration::from_secs(10), driver.receive()).await;
    match received.expect("no answer").expect("the driver ended") {
        Received::Resolved { query: QueryId(3), answer } => answer,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "current_thread")]
async fn tp14_pointers_services_and_addresses_are_asked_of_the_given_server() {
    let settings = DriverSettings { name_server: Some(serve().await), ..DriverSettings::default() };
    let listen = (Ipv4Addr::LOCALHOST, 0).into();
    let mut driver = Driver::bind_with(listen, &settings).await.unwrap();
    let DnsAnswer::Naptr(naptrs) = ask(&mut driver, "example.org", Question::Naptr).await else {
        panic!()
    };
    assert_eq!((naptrs.len(), naptrs[0].order, naptrs[0].preference), (1, 10, 20));
    assert_eq!((naptrs[0].flags.as_str(), naptrs[0].services.as_str()), ("s", "SIP+D2T"));
    let service = naptrs[0].replacement.trim_end_matches('.').to_owned();
    let DnsAnswer::Srv(srvs) = ask(&mut driver, &service, Question::Srv).await else { panic!() };
    assert_eq!((srvs.len(), srvs[0].priority, srvs[0].weight, srvs[0].port), (1, 1, 2, 5070));
    let host = srvs[0].target.trim_end_matches('.').to_owned();
    let question = Question::Addresses { transport: Transport::Tcp };
    let target = ResolvedTarget { remote: [127, 0, 0, 9].into(), local: driver.address() };
    let found = ask(&mut driver, &host, question).await;
    assert_eq!(found, DnsAnswer::Addresses(vec![target]));
    let nothing = ask(&mut driver, "nobody.example.org", question).await;
    assert_eq!(nothing, DnsAnswer::Addresses(Vec::new()));
    assert_eq!(
        ask(&mut driver, "nobody.example.org", Question::Naptr).await,
        DnsAnswer::Naptr(Vec::new())
    );
}
