//! What a peer can send to make us work or keep things.

use std::time::Instant;

use sip_core::{Event, StatusCode};

use crate::script::{CONTACT, Script, seconds};

#[test]
fn vias_without_end_cost_nothing_and_get_400() {
    let mut script = Script::new();
    let begin = Instant::now();
    let many = format!("Via: SIP/2.0/UDP a;branch=1{}\r\n", ",a".repeat(26_000));
    let request = script.asks("OPTIONS", &many, "");
    assert!(script.udp(&request).is_err());
    assert!(script.expect("SIP/2.0 400").text.len() < 70_000);
    assert!(begin.elapsed() < seconds(5), "{:?}", begin.elapsed());
}

#[test]
fn a_proxied_request_with_several_vias_is_answered_through_all_of_them() {
    let mut script = Script::new();
    let more =
        "Via: SIP/2.0/UDP b;branch=2, SIP/2.0/UDP c;branch=3\r\nVia: SIP/2.0/TCP d;branch=4\r\n";
    let request = script.asks("OPTIONS", more, "");
    script.udp(&request).unwrap();
    let vias = script.expect("SIP/2.0 200").all("Via");
    let hosts: Vec<&str> =
        vias.iter().map(|via| via.split(' ').nth(1).unwrap().split(';').next().unwrap()).collect();
    assert_eq!(hosts, ["192.0.2.8:5060", "b", "c", "d"]);
}

#[test]
fn tx19_a_cancel_that_matches_nothing_is_answered_and_forgotten() {
    let mut script = Script::new();
    for _ in 0..50 {
        let cancel = script.asks("CANCEL", "", "");
        script.udp(&cancel).unwrap();
        script.udp(&cancel).unwrap();
        let (one, two) = (script.expect("SIP/2.0 481"), script.expect("SIP/2.0 481"));
        assert_eq!(one.get("To"), two.get("To"), "UA6: the same tag each time");
        assert!(one.get("To").contains(";tag="));
    }
    assert_eq!(script.agent.load().transactions, 0);
}

#[test]
fn refusals_of_strangers_are_answered_and_forgotten() {
    let mut script = Script::new();
    for (method, status) in
        [("OPTIONS", "404"), ("BYE", "481"), ("PUBLISH", "405"), ("FROB", "501")]
    {
        let request = script.asks(method, "", "").replacen("sip:me@", "sip:nobody@", 1);
        script.udp(&request).unwrap();
        assert!(script.expect(&format!("SIP/2.0 {status}")).get("To").contains(";tag="));
    }
    assert_eq!(script.agent.load().transactions, 0);
}

#[test]
fn a_flood_from_one_host_leaves_room_for_others_and_for_the_calls() {
    let mut script = Script::new();
    let (_call, mut peer) = script.called(CONTACT);
    let mut refused = 0;
    for n in 0..30_000 {
        let request = script.asks("OPTIONS", "", "");
        script.udp_from("198.51.100.7:5060", &request).unwrap();
        if n > 29_000 {
            refused += script.count("SIP/2.0 503");
        }
        script.sent.clear();
    }
    assert!(refused > 900, "{refused}");
    let request = script.asks("OPTIONS", "", "");
    script.udp_from("203.0.113.9:5060", &request).unwrap();
    script.expect("SIP/2.0 200");
    let message = peer.asks("MESSAGE", "Content-Type: text/plain\r\n", "hello");
    script.udp(&message).unwrap();
    let Event::Message { message, .. } = script.event() else { panic!() };
    let now = script.now;
    script.agent.respond(message, StatusCode::OK, &[], now);
    script.expect("SIP/2.0 200");
}

#[test]
fn a_flood_from_everywhere_leaves_room_for_the_calls_whose_old_answers_make_way() {
    let mut script = Script::new();
    let (_call, mut peer) = script.called(CONTACT);
    for n in 0_u32..30_000 {
        let request = script.asks("OPTIONS", "", "");
        let source = format!("198.51.{}.{}:5060", n / 250 % 250, n % 250 + 1);
        script.udp_from(&source, &request).unwrap();
        script.sent.clear();
    }
    // Not even one that floods in his call shuts out himself, or takes more than there is.
    let first = peer.asks("OPTIONS", "", "");
    script.udp(&first).unwrap();
    script.expect("SIP/2.0 200");
    for _ in 0..30_000 {
        let options = peer.asks("OPTIONS", "", "");
        script.udp(&options).unwrap();
        script.expect("SIP/2.0 200");
    }
    let held = script.agent.load().transactions;
    assert!((16_000..=20_000).contains(&held), "{held}");
    let text = peer.asks("MESSAGE", "Content-Type: text/plain\r\n", "hello");
    script.udp(&text).unwrap();
    let Event::Message { message, .. } = script.event() else { panic!() };
    let now = script.now;
    script.agent.respond(message, StatusCode::OK, &[], now);
    script.expect("SIP/2.0 200");
    // What is remembered is answered as before, what is not is known to be old.
    script.udp(&text).unwrap();
    script.expect("SIP/2.0 200");
    script.udp(&first).unwrap();
    script.expect("SIP/2.0 500");
    script.udp(&peer.asks("BYE", "", "")).unwrap();
    script.expect("SIP/2.0 200");
}

#[test]
fn tx14_of_one_call_so_many_answers_are_kept_and_no_request_is_taken_twice() {
    let mut script = Script::new();
    let (_call, mut peer) = script.called(CONTACT);
    let mut texts = Vec::new();
    for n in 0..2_500 {
        let text = peer.asks("MESSAGE", "Content-Type: text/plain\r\n", &format!("{n}"));
        script.udp(&text).unwrap();
        let Event::Message { message, .. } = script.event() else { panic!() };
        let now = script.now;
        script.agent.respond(message, StatusCode::ACCEPTED, &[], now);
        script.expect("SIP/2.0 202");
        texts.push(text);
    }
    assert!(script.agent.load().transactions <= 2_001, "{:?}", script.agent.load());
    script.udp(&texts[499]).unwrap();
    script.expect("SIP/2.0 500");
    script.udp(&texts[501]).unwrap();
    script.expect("SIP/2.0 202");
    assert!(script.events.is_empty());
    script.wait(seconds(40));
    assert_eq!(script.agent.load().transactions, 0);
}

#[test]
fn tx8_an_answered_request_is_forgotten_and_its_answer_again_told_to_nobody() {
    let mut script = Script::new();
    let (call, _peer) = script.called(CONTACT);
    script.wait(seconds(40));
    let now = script.now;
    script.agent.message(&call, None, sip_core::Content::text("hello"), now);
    let sent = script.expect("MESSAGE");
    script.answer(&sent, 200, "", "");
    let Event::Completed { .. } = script.event() else { panic!() };
    assert_eq!(script.agent.load().transactions, 0);
    script.answer(&sent, 200, "", "");
    script.wait(seconds(40));
    assert!(script.events.is_empty() && script.sent.is_empty());
}

#[test]
fn ending_transactions_costs_the_same_however_many_live() {
    let time = |count: u32| {
        let mut script = Script::new();
        for n in 0..count {
            let request = script.asks("OPTIONS", "", "");
            let source = format!("198.51.{}.{}:5060", n / 250 % 250, n % 250 + 1);
            script.udp_from(&source, &request).unwrap();
            script.sent.clear();
        }
        let begin = Instant::now();
        script.wait(seconds(40));
        assert_eq!(script.agent.load().transactions, 0);
        begin.elapsed()
    };
    let (few, many) = (time(1_500), time(15_000));
    // Ten times as many; were each to look at all others, it would take a hundred times as long.
    assert!(many < few * 40, "{few:?}, {many:?}");
}

#[test]
fn a_long_message_in_single_bytes_is_read_once() {
    let mut script = Script::new();
    script.open(1, "192.0.2.8:40000");
    let more = "a:b\r\n".repeat(10_000);
    let text = script.asks("MESSAGE", &more, &"x".repeat(9_000));
    let begin = Instant::now();
    for byte in text.chars() {
        let _ = script.stream(1, byte.encode_utf8(&mut [0; 4]));
    }
    // More headers than are read: refused, but only after all of it came.
    script.expect("SIP/2.0 400");
    assert!(begin.elapsed() < seconds(5), "{:?}", begin.elapsed());
}
