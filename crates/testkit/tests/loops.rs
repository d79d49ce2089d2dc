//! Conferences that take part in each other: each text reaches everybody once and comes to rest.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::net::SocketAddr;
use std::time::Duration;

use conference::ChatRate;
use testkit::{Host, Net, Phone, Script};

#[test]
fn a_text_in_a_ring_of_three_conferences_reaches_each_phone_once() {
    let mut net = Net::new(31);
    let at = |last: u8| SocketAddr::from(([192, 0, 2, last], 5060));
    let mut hosts = Vec::new();
    let mut phones = Vec::new();
    for n in 0..3_u8 {
        hosts.push(Host::join(&mut net, "Alice", at(10 + n), ChatRate::Unlimited));
        let phone = Phone::join(&mut net, Script::new(&format!("phone{n}")), at(20 + n));
        let uri = net.at(phone).uri();
        net.act(hosts[usize::from(n)], |host| host.invite(&uri, Some("Bob")));
        phones.push(phone);
    }
    net.run_for(Duration::from_secs(5));
    for (from, to) in [(0, 11), (1, 12), (2, 10)] {
        let other = Host::conference_uri(at(to));
        net.act(hosts[from], |host| host.invite(&other, Some("The others")));
    }
    net.run_for(Duration::from_secs(10));
    assert!(hosts.iter().all(|host| net.at(*host).connected() == 4), "a ring");
    net.act(phones[0], |phone| phone.say("hello")).unwrap();
    net.run_for(Duration::from_secs(60));
    for phone in &phones[1..] {
        let shown = net.at(*phone).shown();
        let hello: Vec<&&str> = shown.iter().filter(|text| text.ends_with("hello")).collect();
        assert_eq!(hello.len(), 1, "{shown:?}");
    }
    assert!(net.at(phones[0]).shown().iter().all(|text| !text.ends_with("hello")));
    for host in &hosts {
        assert_eq!(net.at(*host).lines().filter(|line| line.text.ends_with("hello")).count(), 1);
    }
    // Nothing goes round any more.
    let before = net.ladder().iter().filter(|step| step.contents.starts_with(b"MESSAGE")).count();
    net.run_for(Duration::from_secs(60));
    let after = net.ladder().iter().filter(|step| step.contents.starts_with(b"MESSAGE")).count();
    assert_eq!(before, after);
}
