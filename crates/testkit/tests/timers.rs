//! The timers of RFC 3261 §17 and RFC 6026 as they show on the wire, by the virtual clock. Timer C is a proxy's and D, K
//! and M end in silence: what they allow while they run is seen here, their ends in `sip-core/src/transaction`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::net::SocketAddr;
use std::time::Duration;

use sip_core::{CallFailure, Message};
use testkit::{HOST, Host, Net, Node, Phone, Room, Script, Step, Stranger, TextAnswer};

const SOURCE: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 7)), 5060);

/// Seconds between the first step that fits and each of them.
fn times(net: &Net, so: impl Fn(&Step) -> bool) -> Vec<f64> {
    let at: Vec<Duration> =
        net.ladder().iter().filter(|step| so(step)).map(|step| step.at).collect();
    at.iter().map(|time| (*time - at[0]).as_secs_f64()).collect()
}

fn begins<'a>(summary: &'a str, from: SocketAddr) -> impl Fn(&Step) -> bool + 'a {
    move |step| step.from == from && step.summary.starts_with(summary)
}

/// A request of a stranger to the host's own address, whom nobody answers as busy.
fn request(method: &str, branch: &str, to: &str) -> Vec<u8> {
    format!(
        "{method} sip:alice@192.0.2.10:5060 SIP/2.0\r\n\
         Via: SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bK{branch}\r\nMax-Forwards: 70\r\n\
         From: <sip:eve@198.51.100.7>;tag=1\r\nTo: <sip:alice@192.0.2.10:5060>{to}\r\n\
         Call-ID: {branch}\r\nCSeq: 1 {method}\r\nContact: <sip:eve@198.51.100.7:5060>\r\n\
         Content-Length: 0\r\n\r\n"
    )
    .into_bytes()
}

fn stranger(room: &mut Room) -> Node<Stranger> {
    Stranger::join(&mut room.net, SOURCE)
}

/// The To tags of the responses with this status, in order.
fn tags(room: &Room, stranger: Node<Stranger>, status: u16) -> Vec<String> {
    let of = |datagram: &Vec<u8>| match Message::parse(datagram) {
        Ok(Message::Response(response)) if response.status.code() == status => {
            Some(response.headers.get("To").unwrap().split_once(";tag=").unwrap().1.to_owned())
        }
        _ => None,
    };
    room.net.at(stranger).heard().iter().filter_map(of).collect()
}

fn phone_alone(script: Script) -> (Net, Node<Phone>) {
    let mut net = Net::new(1);
    let phone = Phone::join(&mut net, script, "192.0.2.21:5060".parse().unwrap());
    (net, phone)
}

#[test]
fn a_and_b_an_invite_into_silence_is_sent_seven_times_and_given_up_after_32_s() {
    let (mut net, phone) = phone_alone(Script::new("bob"));
    let silent = Stranger::join(&mut net, HOST);
    net.act(phone, |phone| phone.dial(&Host::own_uri(HOST)));
    net.run_for(Duration::from_millis(31_900));
    assert_eq!(net.at(silent).heard().len(), 7);
    assert!(net.at(phone).refused().is_none());
    net.run_for(Duration::from_millis(200));
    assert!(matches!(net.at(phone).refused(), Some(CallFailure::TimedOut)));
    net.run_for(Duration::from_secs(60));
    let sent = times(&net, begins("INVITE", "192.0.2.21:5060".parse().unwrap()));
    assert_eq!(sent, [0.0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]);
}

#[test]
fn e_and_f_a_text_into_silence_is_sent_eleven_times_and_failed_after_32_s() {
    let script = Script::new("bob").answers(TextAnswer::Silence);
    let mut room = Room::new(1, vec![script]);
    room.net.act(room.host, |host| host.say("1", "hello"));
    room.net.run_for(Duration::from_millis(31_900));
    let sent = times(&room.net, begins("MESSAGE", HOST));
    assert_eq!(sent, [0.0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]);
    room.net.run_for(Duration::from_millis(200));
    assert!(times(&room.net, begins("OPTIONS", HOST)) == [0.0], "what became of the leg is asked");
}

#[test]
fn g_and_h_a_refusal_is_repeated_until_its_ack_or_for_32_s() {
    let mut room = Room::new(1, vec![]);
    let eve = stranger(&mut room);
    room.net.inject(SOURCE, HOST, &request("INVITE", "g", ""));
    room.net.run_for(Duration::from_secs(60));
    let sent = times(&room.net, begins("486", HOST));
    assert_eq!(sent, [0.0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]);
    assert_eq!(tags(&room, eve, 486).len(), 11);
}

#[test]
fn i_after_the_ack_of_a_refusal_its_repetitions_are_absorbed_for_5_s() {
    let mut room = Room::new(1, vec![]);
    let eve = stranger(&mut room);
    room.net.inject(SOURCE, HOST, &request("INVITE", "i", ""));
    room.net.run_for(Duration::from_millis(100));
    let tag = tags(&room, eve, 486).remove(0);
    room.net.inject(SOURCE, HOST, &request("ACK", "i", &format!(";tag={tag}")));
    room.net.run_for(Duration::from_millis(4_800));
    room.net.inject(SOURCE, HOST, &request("INVITE", "i", ""));
    room.net.run_for(Duration::from_millis(100));
    assert_eq!(tags(&room, eve, 486).len(), 1, "nothing is repeated after its ACK");
    room.net.run_for(Duration::from_millis(300));
    room.net.inject(SOURCE, HOST, &request("INVITE", "i", ""));
    room.net.run_for(Duration::from_millis(100));
    let tags = tags(&room, eve, 486);
    assert!(tags.len() == 2 && tags[0] != tags[1], "the transaction is over: {tags:?}");
}

#[test]
fn j_a_repeated_request_gets_the_same_answer_for_32_s() {
    let mut room = Room::new(1, vec![]);
    let eve = stranger(&mut room);
    for _ in 0..2 {
        room.net.inject(SOURCE, HOST, &request("OPTIONS", "j", ""));
        room.net.run_for(Duration::from_millis(15_950));
    }
    let answered = tags(&room, eve, 200);
    assert!(answered.len() == 2 && answered[0] == answered[1], "{answered:?}");
    room.net.run_for(Duration::from_millis(300));
    room.net.inject(SOURCE, HOST, &request("OPTIONS", "j", ""));
    room.net.run_for(Duration::from_millis(100));
    let answered = tags(&room, eve, 200);
    assert!(answered.len() == 3 && answered[2] != answered[0], "{answered:?}");
}

#[test]
fn d_and_m_what_ends_an_invite_is_acknowledged_each_time_it_comes() {
    for status in ["486 Busy Here", "200 OK"] {
        let (mut net, phone) = phone_alone(Script::new("bob"));
        let far = Stranger::join(&mut net, HOST);
        net.act(phone, |phone| phone.dial(&Host::own_uri(HOST)));
        net.run_for(Duration::from_millis(50));
        let invite = net.at(far).heard()[0].clone();
        let answer = answer(&invite, status);
        let bob = net.address(phone);
        for _ in 0..3 {
            net.inject(HOST, bob, &answer);
            net.run_for(Duration::from_secs(10));
        }
        let acks = times(&net, begins("ACK", bob));
        assert_eq!(acks, [0.0, 10.0, 20.0], "{status}");
        assert_eq!(times(&net, begins("INVITE", bob)), [0.0], "{status} stops the INVITE");
    }
}

#[test]
fn k_a_repeated_answer_to_a_text_changes_nothing() {
    let mut room = Room::new(1, vec![Script::new("bob")]);
    room.net.act(room.host, |host| host.say("1", "hello"));
    room.net.run_for(Duration::from_millis(100));
    let answer = room.net.ladder().iter().rev().find(|step| step.to == HOST).unwrap().clone();
    let before = room.net.at(room.host).deliveries().count();
    for _ in 0..3 {
        room.net.inject(answer.from, HOST, &answer.contents);
        room.net.run_for(Duration::from_secs(2));
    }
    assert_eq!(room.net.at(room.host).deliveries().count(), before);
    assert_eq!(times(&room.net, begins("MESSAGE", HOST)), [0.0]);
}

#[test]
fn l_a_repeated_invite_does_not_ring_again_after_it_was_answered() {
    let mut room = Room::new(1, vec![]);
    let bob = Phone::join(&mut room.net, Script::new("bob"), "192.0.2.21:5060".parse().unwrap());
    room.net.act(bob, |bob| bob.dial(&Host::conference_uri(HOST)));
    room.net.run_for(Duration::from_secs(1));
    let from = room.net.address(bob);
    let invite =
        room.net.ladder().iter().find(|step| begins("INVITE", from)(step)).unwrap().clone();
    let people = room.net.at(room.host).roster().len();
    for _ in 0..3 {
        room.net.inject(from, HOST, &invite.contents);
        room.net.run_for(Duration::from_secs(10));
    }
    assert_eq!(room.net.at(room.host).roster().len(), people);
    assert_eq!(times(&room.net, begins("200", HOST)), [0.0], "absorbed until Timer L");
    assert!(room.net.at(bob).is_in_call());
}

/// An answer to a request, as a far end would write it.
fn answer(request: &[u8], status: &str) -> Vec<u8> {
    let text = String::from_utf8_lossy(request);
    let mut out = format!("SIP/2.0 {status}\r\n");
    for line in text.lines().skip(1).take_while(|line| !line.is_empty()) {
        let name = line.split(':').next().unwrap_or_default();
        match name {
            "To" => out.push_str(&format!("{line};tag=far\r\n")),
            "Via" | "From" | "Call-ID" | "CSeq" => out.push_str(&format!("{line}\r\n")),
            _ => {}
        }
    }
    let body = "v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n\
                m=audio 40000 RTP/AVP 0\r\n";
    let body = if status.starts_with("200") { body } else { "" };
    out.push_str(&format!(
        "Contact: <sip:alice@192.0.2.10:5060>\r\nContent-Type: application/sdp\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    out.into_bytes()
}
