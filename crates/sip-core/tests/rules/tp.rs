//! Where requests go: RFC 3263, and sips.

use std::net::IpAddr;

use sip_core::{
    CallFailure, DnsAnswer, Event, NaptrRecord, Query, Question, ResolvedTarget, SrvRecord,
    Transport, Uri, Way,
};

use crate::script::{CONTACT, ME, Script, Sent, seconds};

fn addresses(ips: &[&str]) -> DnsAnswer {
    let local = ME.parse().unwrap();
    let target = |ip: &&str| ResolvedTarget { remote: ip.parse::<IpAddr>().unwrap(), local };
    DnsAnswer::Addresses(ips.iter().map(target).collect())
}

fn srv(priority: u16, weight: u16, port: u16, target: &str) -> SrvRecord {
    SrvRecord { priority, weight, port, target: target.to_owned() }
}

fn naptr(order: u16, services: &str, replacement: &str) -> NaptrRecord {
    let (services, replacement) = (services.to_owned(), replacement.to_owned());
    NaptrRecord { order, preference: 1, flags: "s".to_owned(), services, replacement }
}

fn knows(script: &mut Script, name: &str, answer: DnsAnswer) {
    script.zone.insert(name.to_owned(), answer);
}

/// Two servers for example.com over UDP, of two addresses and of one.
fn two_servers() -> Script {
    let mut script = Script::new();
    let services = vec![srv(2, 0, 5072, "b.example.com"), srv(1, 0, 5071, "a.example.com.")];
    knows(&mut script, "SRV _sip._udp.example.com", DnsAnswer::Srv(services));
    knows(&mut script, "A a.example.com", addresses(&["192.0.2.11", "192.0.2.12"]));
    knows(&mut script, "A b.example.com", addresses(&["192.0.2.13"]));
    script
}

fn remote(sent: &Sent) -> String {
    sent.flow.remote.to_string()
}

fn branch(sent: &Sent) -> String {
    sent.request().headers.top_via().unwrap().branch().unwrap().to_owned()
}

#[test]
fn tp14_naptr_leads_to_srv_and_srv_to_addresses() {
    let mut script = Script::new();
    let services = vec![
        naptr(90, "SIP+D2U", "_sip._udp.far.example.net"),
        naptr(50, "SIP+D2T", "_sip._tcp.near.example.net."),
        naptr(1, "SIPS+D2X", "_sips._sctp.example.net"),
    ];
    knows(&mut script, "NAPTR example.com", DnsAnswer::Naptr(services));
    let hosts = DnsAnswer::Srv(vec![srv(1, 1, 5070, "a.example.net")]);
    knows(&mut script, "SRV _sip._tcp.near.example.net", hosts);
    knows(&mut script, "A a.example.net", addresses(&["192.0.2.11"]));
    let _early = script.invite_to(Way::Locate, "sip:peer@example.com");
    let asked = ["NAPTR example.com", "SRV _sip._tcp.near.example.net", "A a.example.net"];
    assert_eq!(script.asked, asked);
    let connect = &script.connects[0];
    assert_eq!(connect.remote, "192.0.2.11:5070".parse().unwrap());
    script.open(connect.connection.0, "192.0.2.11:5070");
    let invite = script.expect("INVITE sip:peer@example.com SIP/2.0");
    assert!(invite.line("Via").starts_with("SIP/2.0/TCP 192.0.2.1:5060;"), "{}", invite.text);
    assert_eq!(invite.line("Contact"), "<sip:me@192.0.2.1:5060;transport=tcp>");
}

#[test]
fn tp14_what_a_uri_says_itself_is_not_asked_for() {
    let asks = |target: &str| {
        let mut script = Script::new();
        script.agent.locate(&Uri::parse(target).unwrap(), script.now);
        script.wait(seconds(0));
        script.asked
    };
    let plain = ["NAPTR e.org", "SRV _sip._udp.e.org", "SRV _sip._tcp.e.org"];
    assert_eq!(asks("sip:e.org")[..3], plain);
    assert_eq!(asks("sip:e.org")[3..], ["SRV _sips._tcp.e.org", "A e.org"]);
    assert_eq!(asks("sip:e.org;transport=tcp"), ["SRV _sip._tcp.e.org", "A e.org"]);
    assert_eq!(asks("sip:e.org;transport=tls"), ["SRV _sips._tcp.e.org", "A e.org"]);
    assert_eq!(asks("sips:e.org"), ["NAPTR e.org", "SRV _sips._tcp.e.org", "A e.org"]);
    assert_eq!(asks("sip:e.org:5080"), ["A e.org"]);
    assert_eq!(asks("sip:192.0.2.7"), ["A 192.0.2.7"]);
    assert_eq!(asks("sip:e.org;maddr=[2001:db8::1]"), ["A 2001:db8::1"]);
    assert_eq!(asks("sip:e.org;transport=sctp"), [""; 0]);
}

#[test]
fn tp14_a_service_that_is_not_offered_is_not_looked_for_elsewhere() {
    let mut script = Script::new();
    let none = DnsAnswer::Srv(vec![srv(0, 0, 0, ".")]);
    knows(&mut script, "SRV _sip._udp.example.com", none);
    knows(&mut script, "A example.com", addresses(&["192.0.2.11"]));
    let _early = script.invite_to(Way::Locate, "sip:peer@example.com;transport=udp");
    script.wait(seconds(0));
    assert_eq!(script.count("INVITE"), 0);
    let event = script.event();
    assert!(matches!(event, Event::Rejected { failure: CallFailure::Unreachable, .. }));
}

#[test]
fn tp14_weights_are_chances_and_priorities_are_none() {
    let (mut heavy, rounds) = (0, 200);
    let mut script = Script::new();
    let hosts = vec![
        srv(2, 100, 5060, "last.example.com"),
        srv(1, 10, 5060, "light.example.com"),
        srv(1, 90, 5060, "heavy.example.com"),
    ];
    knows(&mut script, "SRV _sip._udp.example.com", DnsAnswer::Srv(hosts));
    for _ in 0..rounds {
        script.asked.clear();
        let target = Uri::parse("sip:example.com;transport=udp").unwrap();
        script.agent.locate(&target, script.now);
        script.wait(seconds(0));
        assert_eq!(script.asked[3], "A last.example.com");
        heavy += usize::from(script.asked[1] == "A heavy.example.com");
    }
    assert!((160..200).contains(&heavy), "{heavy} of {rounds}");
}

#[test]
fn tp14_the_next_address_is_tried_under_a_new_branch() {
    let mut script = two_servers();
    let _early = script.invite_to(Way::Locate, "sip:peer@example.com");
    let first = script.expect("INVITE");
    assert_eq!(remote(&first), "192.0.2.11:5071");
    script.answer(&first, 503, "", "");
    let ack = script.expect("ACK");
    assert_eq!((remote(&ack), branch(&ack)), (remote(&first), branch(&first)));
    let second = script.expect("INVITE");
    assert_eq!(remote(&second), "192.0.2.12:5071");
    script.unreachable("192.0.2.12:5071");
    let third = script.expect("INVITE");
    assert_eq!(remote(&third), "192.0.2.13:5072");
    assert_ne!(branch(&first), branch(&second));
    assert_ne!(branch(&second), branch(&third));
    for one in [&second, &third] {
        for name in ["Call-ID", "CSeq", "From"] {
            assert_eq!(one.get(name), first.get(name));
        }
    }
    assert!(script.silent());
    script.wait(seconds(33));
    let event = script.event();
    assert!(matches!(event, Event::Rejected { failure: CallFailure::TimedOut, .. }));
    assert_eq!(script.agent.load().calls, 0);
}

#[test]
fn tp20_what_goes_to_an_unreachable_address_takes_the_next_one_and_all_else_stays() {
    let mut script = two_servers();
    let _one = script.invite_to(Way::Locate, "sip:one@example.com");
    let first = script.expect("INVITE sip:one");
    script.answer(&first, 503, "", "");
    let moved = script.expect("INVITE sip:one");
    assert_eq!(remote(&moved), "192.0.2.12:5071");
    let _two = script.invite_to(Way::Locate, "sip:two@example.com");
    script.expect("INVITE sip:two");
    script.sent.clear();
    // Another port of the host, an address of nobody, and the right one.
    for other in ["192.0.2.11:5060", "192.0.2.99:5071"] {
        script.unreachable(other);
        assert!(script.sent.is_empty() && script.silent());
    }
    script.unreachable("192.0.2.11:5071");
    let next = script.expect("INVITE sip:two");
    assert_eq!(remote(&next), "192.0.2.12:5071");
    assert_eq!(script.count("INVITE"), 0, "the call at the other server stays as it is");
    assert!(script.silent());
    // The last of them is told as if answered 503, and at once.
    script.unreachable("192.0.2.12:5071");
    script.unreachable("192.0.2.13:5072");
    for _ in 0..2 {
        let event = script.event();
        assert!(matches!(event, Event::Rejected { failure: CallFailure::Unreachable, .. }));
    }
}

#[test]
fn tp14_a_server_that_is_silent_or_refuses_gives_way() {
    let mut script = two_servers();
    let _early = script.invite_to(Way::Locate, "sip:peer@example.com");
    script.expect("INVITE");
    script.wait(seconds(33));
    let second = script.expect("INVITE sip:peer@example.com");
    // The first address repeated itself six times before.
    let last = std::iter::successors(Some(second), |_| {
        let more = script.sent.pop_front();
        more.filter(|sent| sent.text.starts_with("INVITE"))
    });
    assert!(last.map(|sent| remote(&sent)).any(|to| to == "192.0.2.12:5071"));

    let mut script = Script::new();
    let hosts = addresses(&["192.0.2.11", "192.0.2.12"]);
    knows(&mut script, "A example.com", hosts);
    let _early = script.invite_to(Way::Locate, "sip:peer@example.com:5070;transport=tcp");
    script.close(script.connects[0].connection.0, true);
    assert_eq!(script.connects[1].remote, "192.0.2.12:5070".parse().unwrap());
}

#[test]
fn tp15_cancel_and_the_ack_of_a_failure_go_where_the_invite_went() {
    let mut script = two_servers();
    let early = script.invite_to(Way::Locate, "sip:peer@example.com");
    let first = script.expect("INVITE");
    script.answer(&first, 503, "", "");
    let second = script.expect("INVITE");
    script.answer(&second, 180, "", "");
    script.agent.cancel(early, script.now);
    let cancel = script.expect("CANCEL");
    assert_eq!((remote(&cancel), branch(&cancel)), (remote(&second), branch(&second)));
    script.answer(&second, 487, "", "");
    let ack = script.expect("ACK");
    assert_eq!((remote(&ack), branch(&ack)), (remote(&second), branch(&second)));
    script.wait(seconds(40));
    assert!(script.agent.load().is_idle());
}

#[test]
fn tp14_a_call_is_cancelled_while_its_server_is_looked_for() {
    let mut script = two_servers();
    script.held = Some(Vec::new());
    let early = script.invite_to(Way::Locate, "sip:peer@example.com");
    script.agent.cancel(early, script.now);
    script.events.clear();
    script.wait(seconds(1));
    assert!(script.agent.load().is_idle());
    let query = script.held.take().unwrap().remove(0);
    script.resolved(&query, DnsAnswer::Naptr(Vec::new()));
    script.wait(seconds(40));
    assert_eq!(script.count("INVITE"), 0);
}

#[test]
fn tp14_a_name_system_that_is_silent_costs_bounded_time_and_room() {
    let mut script = Script::new();
    script.held = Some(Vec::new());
    for _ in 0..300 {
        let _early = script.invite_to(Way::Locate, "sip:peer@example.com");
    }
    let questions = script.held.as_ref().unwrap().len();
    assert_eq!(questions, 256);
    script.wait(seconds(33));
    let failed =
        |event: &Event| matches!(event, Event::Rejected { failure: CallFailure::Unreachable, .. });
    assert_eq!(script.events.iter().filter(|event| failed(event)).count(), 300);
    assert!(script.agent.load().is_idle());
}

#[test]
fn tp14_a_request_in_a_dialog_finds_the_name_of_its_next_hop() {
    let mut script = Script::new();
    knows(&mut script, "A gate.example.com", addresses(&["192.0.2.44"]));
    let route = "Record-Route: <sip:gate.example.com:5090;lr>\r\n";
    let (call, _) = script.dialled(&format!("{CONTACT}{route}"));
    script.agent.bye(call, None, script.now);
    let bye = script.expect("BYE");
    assert_eq!(remote(&bye), "192.0.2.44:5090");
    script.events.clear();
    // A name that is nobody's: where the peer was heard last, and it is asked for once only.
    let (call, _) = script.dialled("Contact: <sip:peer@desk.local>\r\n");
    script.asked.clear();
    script.agent.options(&call, script.now);
    script.wait(seconds(0));
    let options = script.expect("OPTIONS");
    assert_eq!(remote(&options), "192.0.2.8:5060");
    assert!(!script.asked.is_empty());
    script.asked.clear();
    script.agent.bye(call, None, script.now);
    assert_eq!(remote(&script.expect("BYE")), "192.0.2.8:5060");
    assert_eq!(script.asked, [""; 0]);
}

#[test]
fn tp19_sips_goes_by_tls_or_not_at_all() {
    let mut script = Script::new();
    let _early = script.invite_to(Script::flow(Transport::Udp), "sips:peer@192.0.2.8");
    script.wait(seconds(0));
    assert_eq!(script.count("INVITE"), 0);
    assert!(matches!(script.event(), Event::Rejected { .. }));
    let _early = script.invite_to(Way::Locate, "sips:peer@example.com;transport=udp");
    script.wait(seconds(0));
    assert!(matches!(script.event(), Event::Rejected { .. }));
    knows(&mut script, "A example.com", addresses(&["192.0.2.11"]));
    let _early = script.invite_to(Way::Locate, "sips:peer@example.com;transport=tcp");
    let connect = script.connects.remove(0);
    assert_eq!((connect.transport, connect.domain.as_str()), (Transport::Tls, "example.com"));
    assert_eq!(connect.remote, "192.0.2.11:5061".parse().unwrap());
    script.open_by(Transport::Tls, connect.connection.0, "192.0.2.11:5061");
    let invite = script.expect("INVITE");
    assert!(invite.line("Via").starts_with("SIP/2.0/TLS "));
    assert_eq!(invite.line("Contact"), "<sips:me@192.0.2.1:5060>");
    // Another domain at the same address has to show its own certificate.
    knows(&mut script, "A example.org", addresses(&["192.0.2.11"]));
    let _early = script.invite_to(Way::Locate, "sip:peer@example.org;transport=tls");
    assert_eq!(script.connects[0].domain, "example.org");
}

#[test]
fn tp19_a_request_to_sips_is_taken_by_tls_only_and_answered_with_sips() {
    let mut script = Script::new();
    let ask = |script: &mut Script| {
        let text = script.asks("INVITE", CONTACT, "");
        text.replace("INVITE sip:me", "INVITE sips:me")
    };
    let text = ask(&mut script);
    script.udp(&text).unwrap();
    script.expect("SIP/2.0 416");
    script.open_by(Transport::Tls, 1, "192.0.2.8:40000");
    let text = ask(&mut script);
    script.stream(1, &text).unwrap();
    let Event::Invited { call, .. } = script.event() else { panic!() };
    let offer = sip_core::Content::sdp("v=0\r\n");
    let _unacked = script.agent.accept(call, Script::contact(), offer, script.now);
    let ok = script.expect("SIP/2.0 200");
    assert_eq!(ok.line("Contact"), "<sips:me@192.0.2.1:5060>");
    assert_eq!(ok.flow.transport, Transport::Tls);
}

#[test]
fn tp14_late_and_wrong_answers_of_the_name_system_change_nothing() {
    let mut script = Script::new();
    script.held = Some(Vec::new());
    let _early = script.invite_to(Way::Locate, "sip:peer@example.com:5070");
    let query = script.held.as_mut().unwrap().remove(0);
    assert!(matches!(query.question, Question::Addresses { transport: Transport::Udp }));
    script.resolved(&query, DnsAnswer::Srv(vec![srv(1, 1, 1, "x.example.com")]));
    let other = Query { id: sip_core::QueryId(999_999), ..query.clone() };
    script.resolved(&other, addresses(&["192.0.2.66"]));
    assert_eq!(script.count("INVITE"), 0);
    script.resolved(&query, addresses(&["192.0.2.11"]));
    script.resolved(&query, addresses(&["192.0.2.66"]));
    assert_eq!(remote(&script.expect("INVITE")), "192.0.2.11:5070");
    assert_eq!(script.count("INVITE"), 0);
}
