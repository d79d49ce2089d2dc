//! Whole MESSAGE transactions of one agent: requests as they come from the wire, each answered 200, to the end of their
//! transactions.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs, reason = "a benchmark")]

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use sip_core::{Config, Endpoint, Event, Input, Output, StatusCode, Transport};

/// Of one batch; then time passes, so that all of them end.
const BATCH: u64 = 500;

struct Server {
    agent: Endpoint,
    now: Instant,
    number: u64,
    peer: SocketAddr,
    own: SocketAddr,
}

impl Server {
    fn new() -> Self {
        let rng = Box::new(ChaCha8Rng::seed_from_u64(1));
        let mut agent = Endpoint::new(Config::default(), rng);
        agent.serve("otto", false);
        let (peer, own) = ("198.51.100.7:5060".parse().unwrap(), "192.0.2.1:5060".parse().unwrap());
        Self { agent, now: Instant::now(), number: 0, peer, own }
    }

    fn batch(&mut self) {
        for _ in 0..BATCH {
            self.number += 1;
            let number = self.number;
            let text = format!(
                "MESSAGE sip:otto@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.7:5060;rport;\
                 branch=z9hG4bK{number}\r\nMax-Forwards: 70\r\nFrom: <sip:nora@mill.example>;tag={number}\r\n\
                 To: <sip:otto@192.0.2.1>\r\nCall-ID: {number}@mill\r\nCSeq: 1 MESSAGE\r\n\
                 Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
            );
            let (now, source, destination) = (self.now, self.peer, self.own);
            let contents = text.as_bytes();
            let transport = Transport::Udp;
            let input = Input::Datagram { now, transport, source, destination, contents };
            self.agent.handle_input(input).unwrap();
            self.drain();
        }
        self.now += Duration::from_secs(40);
        self.agent.handle_input(Input::Timeout(self.now)).unwrap();
        self.drain();
    }

    fn drain(&mut self) {
        loop {
            match self.agent.poll_output() {
                Output::Timeout(_) => return,
                Output::Event(Event::Message { message, .. }) => {
                    self.agent.respond(message, StatusCode::OK, &[], self.now);
                }
                other => {
                    black_box(other);
                }
            }
        }
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("endpoint");
    group.throughput(Throughput::Elements(BATCH));
    let mut server = Server::new();
    group.bench_function("MESSAGE transactions answered", |b| b.iter(|| server.batch()));
    group.finish();
    criterion.final_summary();
    assert_eq!(server.agent.load().transactions, 0, "a transaction never ended");
}
