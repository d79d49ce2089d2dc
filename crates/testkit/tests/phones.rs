//! Two phones of the testkit call and text each other: what every other test here takes for granted.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::net::SocketAddr;
use std::time::Duration;

use testkit::{Link, Net, Node, Phone, Script, TextAnswer};

fn pair(seed: u64, bob: Script) -> (Net, Node<Phone>, Node<Phone>) {
    let mut net = Net::new(seed);
    let address = |last| SocketAddr::from(([192, 0, 2, last], 5060));
    let anna = Phone::join(&mut net, Script::new("anna").named("Anna"), address(1));
    let bob = Phone::join(&mut net, bob, address(2));
    let target = net.at(bob).uri();
    net.act(anna, |anna| anna.dial(&target));
    net.run_for(Duration::from_secs(2));
    assert!(net.at(anna).is_in_call() && net.at(bob).is_in_call());
    (net, anna, bob)
}

#[test]
fn a_call_carries_texts_both_ways_until_one_hangs_up() {
    let (mut net, anna, bob) = pair(1, Script::new("bob"));
    let request = net.act(anna, |anna| anna.say("hello")).unwrap();
    net.act(bob, |bob| bob.say("hello yourself"));
    net.run_for(Duration::from_secs(1));
    assert_eq!(net.at(bob).shown(), ["hello"]);
    assert_eq!(net.at(anna).shown(), ["hello yourself"]);
    assert_eq!(net.at(anna).outcome(request), Some(Some(200)));
    net.act(bob, |bob| bob.hang_up());
    net.run_for(Duration::from_secs(1));
    assert!(!net.at(anna).is_in_call() && !net.at(bob).is_in_call());
    assert_eq!(net.at(anna).ended().count(), 1);
}

#[test]
fn a_phone_answers_texts_as_its_script_says() {
    for status in [200, 405, 415, 488, 500, 501] {
        let script = Script::new("bob").answers(TextAnswer::Status(status));
        let (mut net, anna, bob) = pair(1, script);
        let request = net.act(anna, |anna| anna.say("hello")).unwrap();
        net.run_for(Duration::from_secs(1));
        assert_eq!(net.at(anna).outcome(request), Some(Some(status)));
        assert_eq!(net.at(bob).texts().len(), 1);
        assert_eq!(net.at(bob).shown().len(), usize::from(status == 200));
    }
}

#[test]
fn a_phone_that_keeps_silent_lets_timer_f_fire_after_32_seconds() {
    let (mut net, anna, bob) = pair(1, Script::new("bob").answers(TextAnswer::Silence));
    let request = net.act(anna, |anna| anna.say("hello")).unwrap();
    net.run_for(Duration::from_millis(31_900));
    assert_eq!(net.at(anna).outcome(request), None);
    net.run_for(Duration::from_millis(200));
    assert_eq!(net.at(anna).outcome(request), Some(None));
    assert_eq!(net.at(bob).texts().len(), 1, "retransmissions are one text");
}

#[test]
fn texts_inside_a_call_arrive_once_and_in_order_over_a_bad_network() {
    let (mut net, anna, bob) = pair(7, Script::new("bob"));
    net.set_all_links(Link { loss: 0.3, duplication: 0.2, reordering: 0.3, ..Link::default() });
    let lines: Vec<String> = (0..30).map(|n| format!("line {n}")).collect();
    for line in &lines {
        net.act(anna, |anna| anna.say(line));
    }
    net.run_for(Duration::from_secs(400));
    assert_eq!(net.at(bob).shown(), lines);
    assert_eq!(net.at(anna).outcomes(), vec![Some(200); 30]);
}

#[test]
fn a_text_outside_of_a_call_reaches_a_phone_that_is_busy() {
    let (mut net, anna, bob) = pair(1, Script::new("bob"));
    let carol =
        Phone::join(&mut net, Script::new("carol"), SocketAddr::from(([192, 0, 2, 3], 5060)));
    let target = net.at(bob).uri();
    net.act(carol, |carol| carol.dial(&target));
    let request = net.act(carol, |carol| carol.write_to(&target, "are you there?")).unwrap();
    net.run_for(Duration::from_secs(2));
    assert!(net.at(carol).refused().is_some() && !net.at(carol).is_in_call());
    assert_eq!(net.at(carol).outcome(request), Some(Some(200)));
    assert_eq!(net.at(bob).shown(), ["are you there?"]);
    assert_eq!(net.at(bob).texts()[0].call, None);
    assert!(net.at(anna).is_in_call());
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_another() {
    let run = |seed| {
        let (mut net, anna, _) = pair(seed, Script::new("bob"));
        net.set_all_links(Link { loss: 0.3, duplication: 0.1, reordering: 0.2, ..Link::default() });
        for n in 0..20 {
            net.act(anna, |anna| anna.say(&format!("line {n}")));
        }
        net.run_for(Duration::from_secs(300));
        net.transcript()
    };
    assert!(run(5) == run(5), "two runs of one seed differ");
    assert!(run(5) != run(6), "the seed does not matter");
}

#[test]
fn a_call_over_tcp_carries_long_texts_whole() {
    let mut net = Net::new(3);
    let address = |last| SocketAddr::from(([192, 0, 2, last], 5060));
    let anna = Phone::join(&mut net, Script::new("anna"), address(1));
    let bob = Phone::join(&mut net, Script::new("bob"), address(2));
    // Nothing gets through by UDP.
    net.set_all_links(Link { loss: 1.0, ..Link::default() });
    let mut target = net.at(bob).uri();
    target.params.set("transport", Some("tcp"));
    net.act(anna, |anna| anna.dial(&target));
    net.run_for(Duration::from_secs(2));
    assert!(net.at(anna).is_in_call() && net.at(bob).is_in_call());
    let long = "0123456789abcdef".repeat(500);
    let request = net.act(anna, |anna| anna.say(&long)).unwrap();
    net.act(bob, |bob| bob.say("short"));
    net.run_for(Duration::from_secs(2));
    assert_eq!(net.at(anna).outcome(request), Some(Some(200)));
    assert_eq!(net.at(bob).shown(), [long]);
    assert_eq!(net.at(anna).shown(), ["short"]);
}

/// Anna, and Bob who refuses TCP.
fn without_tcp() -> (Net, Node<Phone>, Node<Phone>) {
    let mut net = Net::new(3);
    let address = |last| SocketAddr::from(([192, 0, 2, last], 5060));
    let anna = Phone::join(&mut net, Script::new("anna"), address(1));
    let bob = Phone::join(&mut net, Script::new("bob"), address(2));
    net.set_takes_tcp(bob, false);
    (net, anna, bob)
}

#[test]
fn a_call_by_tcp_to_somebody_who_refuses_it_comes_to_nothing() {
    let (mut net, anna, bob) = without_tcp();
    let mut target = net.at(bob).uri();
    target.params.set("transport", Some("tcp"));
    net.act(anna, |anna| anna.dial(&target));
    net.run_for(Duration::from_secs(40));
    assert!(net.at(anna).refused().is_some());
}

#[test]
fn a_text_too_long_for_a_datagram_is_not_sent_where_tcp_is_refused() {
    let (mut net, anna, bob) = without_tcp();
    let long = "0123456789abcdef".repeat(100);
    let target = net.at(bob).uri();
    let request = net.act(anna, |anna| anna.write_to(&target, &long)).unwrap();
    net.run_for(Duration::from_secs(2));
    assert_eq!(net.at(anna).outcome(request), Some(None));
    assert!(net.at(bob).shown().is_empty());
}
