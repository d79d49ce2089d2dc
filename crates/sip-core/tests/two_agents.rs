//! Two user agents on a virtual clock and a line that loses what it is told to lose.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test's clock must begin somewhere, and a test may panic"
)]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use sip_core::{
    CallFailure, ConnectionChange, ConnectionId, Contact, Content, EndReason, Endpoint, Event,
    Failure, Flow, Input, Invite, NameAddr, Outcome, Output, PagerMessage, StatusCode, Subscribe,
    SubscriptionEnd, Transport, Uri,
};

const DELAY: Duration = Duration::from_millis(1);

struct Line {
    now: Instant,
    agents: Vec<Endpoint>,
    events: Vec<VecDeque<Event>>,
    in_air: VecDeque<(Instant, usize, SocketAddr, Vec<u8>)>,
    drop_next: Vec<usize>,
    tcp: Vec<(usize, ConnectionId, usize, ConnectionId)>,
    refuse_tcp: bool,
    sent: Vec<(Duration, usize, String)>,
    start: Instant,
}

fn address(agent: usize) -> SocketAddr {
    format!("192.0.2.{}:5060", agent + 1).parse().unwrap()
}

impl Line {
    fn new(count: usize) -> Self {
        let start = Instant::now();
        let agents = (0..count).map(|n| {
            let rng = ChaCha8Rng::seed_from_u64(n as u64);
            let mut agent = Endpoint::new(sip_core::Config::default(), Box::new(rng));
            agent.serve(&format!("user{n}"), false);
            agent
        });
        Self {
            now: start,
            agents: agents.collect(),
            events: (0..count).map(|_| VecDeque::new()).collect(),
            in_air: VecDeque::new(),
            drop_next: vec![0; count],
            tcp: Vec::new(),
            refuse_tcp: false,
            sent: Vec::new(),
            start,
        }
    }

    fn drain(&mut self, agent: usize) {
        loop {
            match self.agents[agent].poll_output() {
                Output::Event(event) => self.events[agent].push_back(event),
                Output::Timeout(_) => return,
                Output::Transmit(transmit) => self.carry(agent, transmit.flow, &transmit.contents),
                Output::Close(_) | Output::Resolve(_) => {}
                Output::Connect(connect) => {
                    let peer = (0..self.agents.len()).find(|n| address(*n) == connect.remote);
                    let now = self.now;
                    let Some(peer) = peer.filter(|_| !self.refuse_tcp) else {
                        let change = ConnectionChange::Closed { refused: true };
                        let connection = connect.connection;
                        self.agents[agent]
                            .handle_input(Input::Connection { now, connection, change })
                            .unwrap();
                        continue;
                    };
                    let theirs = ConnectionId(self.tcp.len() as u64);
                    self.tcp.push((agent, connect.connection, peer, theirs));
                    let flow = |local, remote| Flow {
                        transport: Transport::Tcp,
                        local,
                        remote,
                        connection: None,
                    };
                    let ours =
                        ConnectionChange::Opened { flow: flow(connect.local, connect.remote) };
                    let other =
                        ConnectionChange::Opened { flow: flow(connect.remote, connect.local) };
                    let connection = connect.connection;
                    self.agents[agent]
                        .handle_input(Input::Connection { now, connection, change: ours })
                        .unwrap();
                    self.agents[peer]
                        .handle_input(Input::Connection { now, connection: theirs, change: other })
                        .unwrap();
                }
            }
        }
    }

    fn carry(&mut self, from: usize, flow: Flow, contents: &[u8]) {
        let first = String::from_utf8_lossy(contents).lines().next().unwrap_or_default().to_owned();
        self.sent.push((self.now - self.start, from, first));
        if let Some(id) = flow.connection {
            let ends = self.tcp.iter().find_map(|(a, x, b, y)| {
                if *a == from && *x == id {
                    Some((*b, *y))
                } else {
                    (*b == from && *y == id).then_some((*a, *x))
                }
            });
            let (to, connection) = ends.unwrap();
            let now = self.now;
            self.agents[to].handle_input(Input::Stream { now, connection, contents }).unwrap();
            self.drain(to);
            return;
        }
        if self.drop_next[from] > 0 {
            self.drop_next[from] -= 1;
            return;
        }
        let to = (0..self.agents.len()).find(|n| address(*n) == flow.remote);
        if let Some(to) = to {
            self.in_air.push_back((self.now + DELAY, to, flow.local, contents.to_vec()));
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            for agent in 0..self.agents.len() {
                self.drain(agent);
            }
            let timers =
                self.agents.iter().filter_map(|agent| agent.poll_timeout().map(|(at, _)| at)).min();
            let arrival = self.in_air.front().map(|(at, ..)| *at);
            let Some(next) = timers.into_iter().chain(arrival).min().filter(|at| *at <= end) else {
                break;
            };
            self.now = next.max(self.now);
            let now = self.now;
            while self.in_air.front().is_some_and(|(at, ..)| *at <= now) {
                let (_, to, source, contents) = self.in_air.pop_front().unwrap();
                let destination = address(to);
                let transport = Transport::Udp;
                let input =
                    Input::Datagram { now, transport, source, destination, contents: &contents };
                self.agents[to].handle_input(input).unwrap();
            }
            for agent in &mut self.agents {
                agent.handle_input(Input::Timeout(now)).unwrap();
            }
        }
        self.now = end;
    }

    fn flow(&self, from: usize, to: usize, transport: Transport) -> Flow {
        Flow { transport, local: address(from), remote: address(to), connection: None }
    }

    fn uri(&self, agent: usize) -> Uri {
        Uri::from_address(Some(&format!("user{agent}")), address(agent))
    }

    fn invite(&self, from: usize, to: usize, transport: Transport) -> Invite {
        Invite {
            target: self.uri(to),
            way: self.flow(from, to, transport).into(),
            from: NameAddr::new(Some("From"), self.uri(from)),
            to: NameAddr::new(None, self.uri(to)),
            contact: contact(from),
            offer: Content::sdp("v=0\r\n"),
            expires: None,
            headers: Vec::new(),
        }
    }

    fn next(&mut self, agent: usize) -> Event {
        self.drain(agent);
        self.events[agent].pop_front().expect("an event")
    }

    fn count(&self, from: usize, start: &str) -> usize {
        self.sent
            .iter()
            .filter(|(_, agent, line)| *agent == from && line.starts_with(start))
            .count()
    }

    /// A call of 0 to 1, confirmed on both sides.
    fn call(&mut self, transport: Transport) -> (sip_core::Confirmed, sip_core::Confirmed) {
        let invite = self.invite(0, 1, transport);
        let now = self.now;
        let _early = self.agents[0].invite(invite, now);
        self.run(Duration::from_millis(100));
        let Event::Invited { call, .. } = self.next(1) else { panic!("no call") };
        let now = self.now;
        self.agents[1].ring(&call, &contact(1), now);
        self.run(Duration::from_millis(100));
        assert!(matches!(self.next(0), Event::Progress { .. }));
        let now = self.now;
        let _unacked = self.agents[1].accept(call, contact(1), Content::sdp("v=0\r\n"), now);
        self.run(Duration::from_millis(100));
        let (Event::Answered { call: one, .. }, Event::Acked { call: two, .. }) =
            (self.next(0), self.next(1))
        else {
            panic!("not confirmed")
        };
        (one, two)
    }
}

fn contact(agent: usize) -> Contact {
    Contact::new(format!("user{agent}"), agent == 1)
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn a_call_is_made_texted_in_and_hung_up_over_udp_and_tcp() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut line = Line::new(2);
        let (one, two) = line.call(transport);
        let now = line.now;
        let request = line.agents[0].message(&one, None, Content::text("hello"), now);
        line.run(seconds(1));
        let Event::Message { message, call, request: got, .. } = line.next(1) else { panic!() };
        assert_eq!((call, &got.body[..]), (Some(two.key()), &b"hello"[..]));
        assert!(got.headers.get("Contact").is_none(), "MS2: a MESSAGE has no Contact");
        let now = line.now;
        line.agents[1].respond(message, StatusCode::ACCEPTED, &[], now);
        line.run(seconds(1));
        let Event::Completed { request: done, outcome: Outcome::Answered(response), .. } =
            line.next(0)
        else {
            panic!()
        };
        assert_eq!((done, response.status), (request, StatusCode::ACCEPTED));
        let now = line.now;
        line.agents[1].bye(two, Some("Removed by host"), now);
        line.run(seconds(40));
        let Event::Ended { reason: EndReason::Bye(bye), .. } = line.next(0) else { panic!() };
        assert_eq!(bye.headers.get("Reason"), Some("SIP;cause=200;text=\"Removed by host\""));
        assert!(line.agents[0].load().is_idle(), "nothing is left");
        assert_eq!(line.agents[1].load().calls, 0);
        drop(one);
    }
}

#[test]
fn texts_of_one_call_go_one_after_the_other() {
    let mut line = Line::new(2);
    let (one, _two) = line.call(Transport::Udp);
    let now = line.now;
    for text in ["a", "b", "c"] {
        line.agents[0].message(&one, None, Content::text(text), now);
    }
    for text in ["a", "b", "c"] {
        line.run(Duration::from_millis(300));
        let Event::Message { message, request, .. } = line.next(1) else { panic!() };
        assert_eq!(request.body, text);
        assert!(line.events[1].is_empty(), "MS7: only one is in flight");
        let now = line.now;
        line.agents[1].respond(message, StatusCode::OK, &[], now);
    }
}

#[test]
fn a_text_that_is_never_answered_fails_after_32_s_and_the_call_stays() {
    let mut line = Line::new(2);
    let (one, _two) = line.call(Transport::Udp);
    line.drop_next[0] = 100;
    let now = line.now;
    line.agents[0].message(&one, None, Content::text("lost"), now);
    line.run(seconds(33));
    assert!(matches!(line.next(0), Event::Completed { outcome: Outcome::TimedOut, .. }));
    assert_eq!(line.count(0, "MESSAGE"), 11);
    line.drop_next[0] = 0;
    assert!(line.agents[0].remote_target(one.key()).is_some());
}

#[test]
fn lost_responses_are_repeated_and_the_user_hears_once() {
    let mut line = Line::new(2);
    let invite = line.invite(0, 1, Transport::Udp);
    let now = line.now;
    let _early = line.agents[0].invite(invite, now);
    line.run(Duration::from_millis(50));
    let Event::Invited { call, .. } = line.next(1) else { panic!() };
    line.drop_next[1] = 2;
    let now = line.now;
    let _unacked = line.agents[1].accept(call, contact(1), Content::sdp("v=0\r\n"), now);
    line.run(seconds(10));
    assert!(matches!(line.next(0), Event::Answered { .. }));
    assert!(matches!(line.next(1), Event::Acked { .. }));
    assert!(line.events[0].is_empty() && line.events[1].is_empty());
    assert_eq!(line.count(1, "SIP/2.0 200"), 3);
}

#[test]
fn tx12_without_an_ack_the_answer_is_repeated_for_32_s_and_then_bye() {
    let mut line = Line::new(2);
    let invite = line.invite(0, 1, Transport::Udp);
    let now = line.now;
    let _early = line.agents[0].invite(invite, now);
    line.run(Duration::from_millis(50));
    let Event::Invited { call, .. } = line.next(1) else { panic!() };
    line.drop_next[0] = 1000;
    let now = line.now;
    let _unacked = line.agents[1].accept(call, contact(1), Content::sdp("v=0\r\n"), now);
    line.run(seconds(33));
    assert!(matches!(line.next(1), Event::Ended { reason: EndReason::NoAck, .. }));
    assert_eq!(line.count(1, "SIP/2.0 200"), 11);
    assert!(line.count(1, "BYE") > 0);
}

#[test]
fn tx18_tx19_a_cancelled_call_ends_with_487_on_both_sides() {
    let mut line = Line::new(2);
    let invite = line.invite(0, 1, Transport::Udp);
    let now = line.now;
    let early = line.agents[0].invite(invite, now);
    line.agents[0].cancel(early, now);
    line.run(seconds(1));
    assert!(matches!(line.next(1), Event::Invited { .. }));
    assert!(matches!(line.next(1), Event::Cancelled { .. }));
    assert!(matches!(line.next(0), Event::Rejected { failure: CallFailure::Cancelled, .. }));
    assert_eq!((line.count(0, "CANCEL"), line.count(1, "SIP/2.0 487")), (1, 1));
    line.run(seconds(60));
    assert!(line.agents[0].load().is_idle());
    assert!(line.agents[1].load().is_idle());
}

#[test]
fn a_silent_peer_is_given_up_and_an_unknown_user_is_404() {
    let mut line = Line::new(2);
    line.drop_next[0] = 100;
    let invite = line.invite(0, 1, Transport::Udp);
    let now = line.now;
    let _early = line.agents[0].invite(invite, now);
    line.run(seconds(33));
    assert!(matches!(line.next(0), Event::Rejected { failure: CallFailure::TimedOut, .. }));
    assert_eq!(line.count(0, "INVITE"), 7);
    line.drop_next[0] = 0;
    let mut invite = line.invite(0, 1, Transport::Udp);
    invite.target = invite.target.with_user("nobody");
    let now = line.now;
    let _early = line.agents[0].invite(invite, now);
    line.run(seconds(1));
    let Event::Rejected { failure: CallFailure::Declined(response), .. } = line.next(0) else {
        panic!()
    };
    assert_eq!(response.status, StatusCode::NOT_FOUND);
}

#[test]
fn an_invite_left_alone_is_refused_after_three_minutes() {
    let mut line = Line::new(2);
    let invite = line.invite(0, 1, Transport::Udp);
    let now = line.now;
    let _early = line.agents[0].invite(invite, now);
    line.run(seconds(181));
    assert!(matches!(line.next(1), Event::Invited { .. }));
    assert!(matches!(line.next(1), Event::Cancelled { .. }));
    let Event::Rejected { failure: CallFailure::Declined(response), .. } = line.next(0) else {
        panic!()
    };
    assert_eq!(response.status.code(), Failure::TEMPORARILY_UNAVAILABLE.code());
}

#[test]
fn ua19_offers_that_cross_are_both_refused_and_both_taken_one_after_the_other() {
    let mut line = Line::new(2);
    let (one, two) = line.call(Transport::Udp);
    let now = line.now;
    let first = line.agents[0].reinvite(&one, contact(0), Content::sdp("v=0\r\nhold"), now);
    let second = line.agents[1].reinvite(&two, contact(1), Content::sdp("v=0\r\nhold"), now);
    let mut done = Vec::new();
    for _ in 0..50 {
        line.run(Duration::from_millis(100));
        for agent in [0, 1] {
            let now = line.now;
            match line.events[agent].pop_front() {
                Some(Event::Reinvited { reinvite, .. }) => {
                    line.agents[agent].accept_reinvite(reinvite, Content::sdp("v=0\r\n"), now);
                }
                Some(Event::Completed {
                    request, outcome: Outcome::Answered(response), ..
                }) => {
                    assert_eq!(response.status, StatusCode::OK);
                    done.push(request);
                }
                Some(other) => panic!("{other:?}"),
                None => {}
            }
        }
    }
    // Who did not make the Call-ID goes first.
    assert_eq!(done, [second, first]);
    assert_eq!((line.count(0, "INVITE"), line.count(1, "INVITE")), (3, 2));
    let now = line.now;
    line.agents[0].reinvite(&one, contact(0), Content::sdp("v=0\r\nhold"), now);
    line.run(Duration::from_millis(100));
    let Event::Reinvited { reinvite, .. } = line.next(1) else { panic!() };
    let now = line.now;
    line.agents[1].accept_reinvite(reinvite, Content::sdp("v=0\r\n"), now);
    line.run(seconds(40));
    let Event::Completed { outcome: Outcome::Answered(response), .. } = line.next(0) else {
        panic!()
    };
    assert_eq!(response.status, StatusCode::OK);
    assert!(line.events[0].is_empty() && line.events[1].is_empty(), "the call lives");
}

#[test]
fn texts_outside_of_calls_reach_served_users_only() {
    let mut line = Line::new(2);
    let pager = |user: &str, line: &Line| PagerMessage {
        target: line.uri(1).with_user(user),
        way: line.flow(0, 1, Transport::Udp).into(),
        from: NameAddr::new(None, line.uri(0)),
        to: NameAddr::new(None, line.uri(1)),
        content: Content::text("hi"),
    };
    let now = line.now;
    let (good, bad) = (pager("user1", &line), pager("stranger", &line));
    line.agents[0].pager_message(good, now);
    line.agents[0].pager_message(bad, now);
    line.run(Duration::from_millis(100));
    let Event::Completed { outcome: Outcome::Answered(response), .. } = line.next(0) else {
        panic!()
    };
    assert_eq!(response.status, StatusCode::NOT_FOUND);
    let Event::Message { message, call: None, .. } = line.next(1) else { panic!() };
    drop(message);
    line.run(seconds(6));
    let Event::Completed { outcome: Outcome::Answered(response), .. } = line.next(0) else {
        panic!()
    };
    assert_eq!(
        response.status,
        StatusCode::SERVER_INTERNAL_ERROR,
        "an unanswered text is answered for its user"
    );
}

#[test]
fn a_subscription_is_accepted_notified_refreshed_and_ended() {
    for (in_dialog, refuse_tcp) in [(false, false), (false, true), (true, false)] {
        let mut line = Line::new(2);
        line.refuse_tcp = refuse_tcp;
        let (one, _two) = line.call(Transport::Udp);
        let now = line.now;
        let expires = seconds(600);
        let subscribe =
            Subscribe { call: &one, target: line.uri(1), in_dialog, expires, contact: contact(0) };
        let ours = line.agents[0].subscribe(subscribe, now);
        line.run(Duration::from_millis(100));
        let Event::SubscribeReceived { subscribe, subscription: None, expires, request, .. } =
            line.next(1)
        else {
            panic!()
        };
        assert_eq!(
            (expires, request.headers.get("Target-Dialog").is_some()),
            (seconds(600), !in_dialog)
        );
        let now = line.now;
        let theirs = line.agents[1].accept_subscribe(subscribe, expires, contact(1), now);
        let document = "x".repeat(3000);
        line.agents[1].notify(theirs, Some(Content::conference_info(document.clone())), None, now);
        line.run(seconds(1));
        let Event::Notified { subscription, request } = line.next(0) else { panic!() };
        assert_eq!((subscription, request.body.len()), (ours, 3000));
        let by_tcp = request.headers.get("Via").unwrap().contains("TCP");
        assert_eq!(by_tcp, !refuse_tcp, "TP2: a large request goes by TCP unless that is refused");
        line.run(seconds(510));
        let Event::SubscribeReceived { subscribe, subscription, .. } = line.next(1) else {
            panic!()
        };
        assert_eq!(subscription, Some(theirs), "the refresh comes in time");
        let now = line.now;
        line.agents[1].accept_subscribe(subscribe, seconds(600), contact(1), now);
        line.agents[1].notify(theirs, None, Some("noresource"), now);
        line.run(seconds(1));
        assert!(matches!(line.next(0), Event::Notified { .. }));
        let Event::SubscriptionEnded { end: SubscriptionEnd::Terminated { reason, .. }, .. } =
            line.next(0)
        else {
            panic!()
        };
        assert_eq!(reason.as_deref(), Some("noresource"));
        assert!(matches!(line.next(1), Event::SubscriptionEnded { .. }));
    }
}

#[test]
fn garbage_is_an_error_and_what_can_be_answered_is() {
    let mut line = Line::new(1);
    let mut feed = |text: &str| {
        let input = Input::Datagram {
            now: line.now,
            transport: Transport::Udp,
            source: address(7),
            destination: address(0),
            contents: text.as_bytes(),
        };
        let result = line.agents[0].handle_input(input);
        let mut answers = Vec::new();
        loop {
            match line.agents[0].poll_output() {
                Output::Transmit(transmit) => {
                    let text = String::from_utf8_lossy(&transmit.contents).into_owned();
                    answers.push(text.lines().next().unwrap_or_default().to_owned());
                }
                Output::Timeout(_) => break,
                _ => {}
            }
        }
        (result.is_ok(), answers.pop().unwrap_or_default())
    };
    let request = |first: &str, method: &str, more: &str| {
        format!(
            "{first}\r\nVia: SIP/2.0/UDP 192.0.2.8;branch=z9hG4bK{method}{}\r\nFrom: <sip:a@b>;tag=1\r\n\
             To: <sip:user0@c>\r\nCall-ID: {}\r\nCSeq: 1 {method}\r\nMax-Forwards: 70\r\n{more}\r\n",
            first.len() + more.len(),
            first.len() + more.len() * 100
        )
    };
    assert_eq!(feed("hello").1, "");
    assert_eq!(feed("\u{0}\u{1}stun").1, "");
    assert!(
        feed(&request("OPTIONS sip:user0@c SIP/7.0", "OPTIONS", "")).1.starts_with("SIP/2.0 505")
    );
    assert!(feed(&request("OPTIONS tel:+1 SIP/2.0", "OPTIONS", "")).1.starts_with("SIP/2.0 416"));
    assert!(
        feed(&request("OPTIONS sip:user0@c SIP/2.0", "OPTIONS", "Require: x\r\n"))
            .1
            .starts_with("SIP/2.0 420")
    );
    assert!(
        feed(&request("PUBLISH sip:user0@c SIP/2.0", "PUBLISH", "")).1.starts_with("SIP/2.0 405")
    );
    assert!(feed(&request("FROB sip:user0@c SIP/2.0", "FROB", "")).1.starts_with("SIP/2.0 501"));
    assert!(
        feed(&request("OPTIONS sip:user0@c SIP/2.0", "OPTIONS", "Content-Length: 9\r\n"))
            .1
            .starts_with("SIP/2.0 400")
    );
    assert!(
        feed(&request("OPTIONS sip:user0@c SIP/2.0", "OPTIONS", "")).1.starts_with("SIP/2.0 200")
    );
    assert!(feed(&request("BYE sip:user0@c SIP/2.0", "BYE", "")).1.starts_with("SIP/2.0 481"));
    assert!(
        feed(&request("SUBSCRIBE sip:user0@c SIP/2.0", "SUBSCRIBE", "Event: presence\r\n"))
            .1
            .starts_with("SIP/2.0 489")
    );
}

#[test]
fn allow_accept_and_allow_events_name_what_is_dispatched_and_nothing_else() {
    let known = [
        "INVITE",
        "ACK",
        "CANCEL",
        "BYE",
        "OPTIONS",
        "MESSAGE",
        "SUBSCRIBE",
        "NOTIFY",
        "REGISTER",
        "REFER",
        "INFO",
        "UPDATE",
        "PRACK",
        "PUBLISH",
        "FROB",
    ];
    for (number, method) in known.into_iter().enumerate() {
        let answer = answer_to(method, number, "Event: conference\r\n", "");
        let refused = answer.starts_with("SIP/2.0 405") || answer.starts_with("SIP/2.0 501");
        let listed = sip_core::capabilities::ALLOW.contains(&method);
        assert_eq!(refused, !listed, "{method}: {answer}");
    }
    let packages = ["conference", "refer", "presence", "dialog", "message-summary"];
    let taken = packages.into_iter().enumerate().filter(|(number, package)| {
        let answer = answer_to("SUBSCRIBE", 50 + number, &format!("Event: {package}\r\n"), "");
        !answer.starts_with("SIP/2.0 489")
    });
    let taken: Vec<&str> = taken.map(|(_, package)| package).collect();
    assert_eq!(sip_core::capabilities::ALLOW_EVENTS, taken);
    // A session in what an INVITE brings, a text in what a MESSAGE brings; what the conference makes of the latter is
    // tested with it.
    let kinds = ["application/sdp", "text/plain", "text/html", "multipart/mixed", "message/cpim"];
    let invited = kinds.into_iter().enumerate().filter(|(number, kind)| {
        let more = format!("Content-Type: {kind}\r\nContact: <sip:a@192.0.2.8>\r\n");
        !answer_to("INVITE", 60 + number, &more, "v=0\r\n").starts_with("SIP/2.0 415")
    });
    let mut bodies: Vec<&str> = invited.map(|(_, kind)| kind).collect();
    assert_eq!(bodies, ["application/sdp"]);
    bodies.push("text/plain");
    assert_eq!(sip_core::capabilities::ACCEPT, bodies);
    // Nothing is claimed that a Require could then ask for.
    for tag in ["100rel", "timer", "replaces", "join", "outbound", "gruu", "tdialog", "norefersub"]
    {
        let answer = answer_to("OPTIONS", 70, &format!("Require: {tag}\r\n"), "");
        let refused = answer.starts_with("SIP/2.0 420");
        assert_eq!(refused, !sip_core::capabilities::SUPPORTED.contains(&tag), "{tag}: {answer}");
    }
}

/// The first line of the answer to a request from nowhere.
fn answer_to(method: &str, number: usize, more: &str, body: &str) -> String {
    let mut line = Line::new(1);
    let text = format!(
        "{method} sip:user0@c SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.8;branch=z9hG4bK{method}{number}\r\n\
         From: <sip:a@b>;tag=1\r\nTo: <sip:user0@c>\r\nCall-ID: {number}\r\nCSeq: 1 {method}\r\n\
         Max-Forwards: 70\r\n{more}\r\n{body}"
    );
    let input = Input::Datagram {
        now: line.now,
        transport: Transport::Udp,
        source: address(7),
        destination: address(0),
        contents: text.as_bytes(),
    };
    let _ = line.agents[0].handle_input(input);
    line.drain(0);
    line.sent.last().map(|(_, _, first)| first.clone()).unwrap_or_default()
}
