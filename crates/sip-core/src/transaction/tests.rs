//! The four machines by the clock: every timer from A to M fires when it should, and not where it may not.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::*;
use crate::StatusCode;

const TIMES: Times = Times {
    t1: Duration::from_millis(500),
    t2: Duration::from_secs(4),
    t4: Duration::from_secs(5),
};

fn status(code: u16) -> StatusCode {
    StatusCode::new(code).unwrap()
}

/// Runs a machine on its own deadlines; gives the seconds of each retransmission and how and when it ended.
fn run(
    start: Instant,
    mut deadline: impl FnMut() -> Option<(Instant, Timer)>,
    mut fire: impl FnMut(Instant) -> Fired,
) -> (Vec<f64>, Fired, f64, Timer) {
    let mut sends = Vec::new();
    loop {
        let (at, timer) = deadline().expect("a machine that waits has a timer");
        let seconds = (at - start).as_secs_f64();
        match fire(at) {
            Fired::Retransmit => sends.push(seconds),
            Fired::Nothing => {}
            end => return (sends, end, seconds, timer),
        }
    }
}

macro_rules! run {
    ($machine:expr, $start:expr) => {{
        let machine = std::cell::RefCell::new($machine);
        run($start, || machine.borrow().deadline(), |at| machine.borrow_mut().handle_timeout(at))
    }};
}

#[test]
fn tx1_invite_is_sent_seven_times_and_given_up_after_32_s() {
    let now = Instant::now();
    let (sends, end, at, timer) = run!(ClientInvite::new(false, &TIMES, now), now);
    assert_eq!(sends, [0.5, 1.5, 3.5, 7.5, 15.5, 31.5]);
    assert_eq!((end, at, timer), (Fired::TimedOut, 32.0, Timer::B));
}

#[test]
fn tx2_invite_over_tcp_is_sent_once() {
    let now = Instant::now();
    let (sends, end, at, _) = run!(ClientInvite::new(true, &TIMES, now), now);
    assert_eq!((sends.len(), end, at), (0, Fired::TimedOut, 32.0));
}

#[test]
fn tx3_a_provisional_response_stops_the_invite() {
    let now = Instant::now();
    let mut machine = ClientInvite::new(false, &TIMES, now);
    assert_eq!(machine.handle_response(status(180), &TIMES, now), Reaction::Deliver);
    assert_eq!(machine.deadline(), None);
    assert!(machine.is_proceeding());
}

#[test]
fn tx4_tx5_a_failure_is_acknowledged_each_time_until_timer_d() {
    for (reliable, seconds) in [(false, 32.0), (true, 0.0)] {
        let now = Instant::now();
        let mut machine = ClientInvite::new(reliable, &TIMES, now);
        assert_eq!(machine.handle_response(status(486), &TIMES, now), Reaction::DeliverAndAck);
        machine.completed(Bytes::from_static(b"ACK"), reliable, &TIMES, now);
        assert_eq!(machine.handle_response(status(486), &TIMES, now), Reaction::AckAgain);
        let (_, end, at, timer) = run!(machine, now);
        assert_eq!((end, at, timer), (Fired::Done, seconds, Timer::D));
    }
}

#[test]
fn tx6_after_a_success_other_successes_pass_until_timer_m() {
    let now = Instant::now();
    let mut machine = ClientInvite::new(false, &TIMES, now);
    assert_eq!(machine.handle_response(status(200), &TIMES, now), Reaction::Deliver);
    assert_eq!(machine.handle_response(status(200), &TIMES, now), Reaction::Deliver);
    assert_eq!(machine.handle_response(status(486), &TIMES, now), Reaction::Ignore);
    let (_, end, at, timer) = run!(machine, now);
    assert_eq!((end, at, timer), (Fired::Done, 32.0, Timer::M));
}

#[test]
fn tx7_other_requests_are_sent_eleven_times_in_32_s() {
    let now = Instant::now();
    let (sends, end, at, timer) = run!(ClientOther::new(false, &TIMES, now), now);
    assert_eq!(sends, [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]);
    assert_eq!((end, at, timer), (Fired::TimedOut, 32.0, Timer::F));
}

#[test]
fn tx7_after_a_provisional_response_the_interval_is_t2() {
    let now = Instant::now();
    let mut machine = ClientOther::new(false, &TIMES, now);
    machine.handle_response(status(100), false, &TIMES, now);
    let (sends, _, _, _) = run!(machine, now);
    assert_eq!(sends, [4.0, 8.0, 12.0, 16.0, 20.0, 24.0, 28.0]);
}

#[test]
fn tx8_timer_k_is_5_s_on_udp_and_nothing_on_tcp() {
    for (reliable, seconds) in [(false, 5.0), (true, 0.0)] {
        let now = Instant::now();
        let mut machine = ClientOther::new(reliable, &TIMES, now);
        machine.handle_response(status(200), reliable, &TIMES, now);
        assert_eq!(machine.handle_response(status(200), reliable, &TIMES, now), Reaction::Ignore);
        let (_, end, at, timer) = run!(machine, now);
        assert_eq!((end, at, timer), (Fired::Done, seconds, Timer::K));
    }
}

#[test]
fn tx10_a_repeated_invite_gets_the_latest_provisional_response() {
    let mut machine = ServerInvite::new(Bytes::from_static(b"100"));
    machine.provisional(Bytes::from_static(b"180"));
    assert_eq!(machine.handle_again(), Again::Resend);
    assert_eq!(machine.response().unwrap(), "180");
}

#[test]
fn tx11_a_failure_is_repeated_until_its_ack_or_timer_h() {
    let now = Instant::now();
    let mut machine = ServerInvite::new(Bytes::new());
    machine.failure(Bytes::from_static(b"486"), false, &TIMES, now);
    let (sends, end, at, timer) = run!(machine, now);
    assert_eq!(sends, [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]);
    assert_eq!((end, at, timer), (Fired::TimedOut, 32.0, Timer::H));

    let mut machine = ServerInvite::new(Bytes::new());
    machine.failure(Bytes::from_static(b"486"), false, &TIMES, now);
    assert!(machine.handle_ack(false, &TIMES, now));
    let (sends, end, at, timer) = run!(machine, now);
    assert_eq!((sends.len(), end, at, timer), (0, Fired::Done, 5.0, Timer::I));
}

#[test]
fn tx13_after_a_success_repeated_invites_are_absorbed_until_timer_l() {
    let now = Instant::now();
    let mut machine = ServerInvite::new(Bytes::new());
    machine.success(&TIMES, now);
    assert_eq!(machine.handle_again(), Again::Absorb);
    assert!(!machine.handle_ack(false, &TIMES, now), "the ACK of a success is the core's");
    let (_, end, at, timer) = run!(machine, now);
    assert_eq!((end, at, timer), (Fired::Done, 32.0, Timer::L));
}

#[test]
fn tx14_a_repeated_request_gets_the_same_answer_and_later_ones_are_discarded() {
    let now = Instant::now();
    let mut machine = ServerOther::new();
    assert_eq!(machine.handle_again(), Again::Absorb);
    assert!(machine.respond(Bytes::from_static(b"200"), false, &TIMES, now));
    assert!(!machine.respond(Bytes::from_static(b"500"), false, &TIMES, now));
    assert_eq!(
        (machine.handle_again(), machine.response().unwrap().as_ref()),
        (Again::Resend, &b"200"[..])
    );
    let (_, end, at, timer) = run!(machine, now);
    assert_eq!((end, at, timer), (Fired::Done, 32.0, Timer::J));
}
