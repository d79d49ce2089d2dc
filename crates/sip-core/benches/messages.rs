//! Reading an INVITE with its five typed headers, beside rsip in the same run: time by criterion, allocations counted.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs, reason = "a benchmark")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::Criterion;
use rsip::headers::ToTypedHeader;
use rsip::prelude::{HasHeaders, HeadersExt};

const INVITE: &str = "INVITE sip:otto@barn.example.org SIP/2.0\r\n\
    Via: SIP/2.0/UDP mill7.example.org:5060;branch=z9hG4bK776asdhdsgrain;rport\r\n\
    Max-Forwards: 70\r\n\
    To: \"Otto Barn\" <sip:otto@barn.example.org>\r\n\
    From: \"Nora Mill\" <sip:nora@mill.example.org>;tag=1928301774\r\n\
    Call-ID: a84b4c76e66710-4711@mill7.example.org\r\n\
    CSeq: 314159 INVITE\r\n\
    Contact: <sip:nora@198.51.100.7:5060;transport=udp>\r\n\
    Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, MESSAGE, SUBSCRIBE, NOTIFY, REFER, UPDATE\r\n\
    Supported: replaces, timer, 100rel\r\n\
    User-Agent: Mill Phone 4.2\r\n\
    Content-Type: application/sdp\r\n\
    Content-Length: 180\r\n\r\n\
    v=0\r\no=nora 4711 4711 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n\
    m=audio 40002 RTP/AVP 0 8 96\r\na=rtpmap:96 opus/48000/2\r\na=rtpmap:0 PCMU/8000\r\na=sendrecv\r\na=ptime:20\r\n";

fn ours(bytes: &[u8]) -> usize {
    let message = sip_core::Message::parse(bytes).unwrap();
    let headers = message.headers();
    let (to, from) = (headers.to_header().unwrap(), headers.from_header().unwrap());
    let (via, cseq) = (headers.top_via().unwrap(), headers.cseq().unwrap());
    let contacts = headers.contacts().unwrap();
    black_box((&to, &from, &via, &cseq, &contacts));
    contacts.len()
}

fn theirs(bytes: &[u8]) -> usize {
    let message = rsip::SipMessage::try_from(bytes).unwrap();
    let to = message.to_header().unwrap().typed().unwrap();
    let from = message.from_header().unwrap().typed().unwrap();
    let via = message.via_header().unwrap().typed().unwrap();
    let cseq = message.cseq_header().unwrap().typed().unwrap();
    let contact = message.contact_header().unwrap().typed().unwrap();
    black_box((&to, &from, &via, &cseq, &contact));
    message.headers().iter().count().min(1)
}

fn allocations(read: fn(&[u8]) -> usize) -> u64 {
    let info = allocation_counter::measure(|| {
        black_box(read(black_box(INVITE.as_bytes())));
    });
    info.count_total
}

/// The best of many rounds: what the machine does besides is in none of them.
fn best(read: fn(&[u8]) -> usize) -> Duration {
    const TIMES: u32 = 2_000;
    let round = |_| {
        let begin = Instant::now();
        for _ in 0..TIMES {
            black_box(read(black_box(INVITE.as_bytes())));
        }
        begin.elapsed() / TIMES
    };
    (0..20).map(round).min().unwrap_or_default()
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("invite and five typed headers");
    group.bench_function("sip-core", |b| b.iter(|| ours(black_box(INVITE.as_bytes()))));
    group.bench_function("rsip", |b| b.iter(|| theirs(black_box(INVITE.as_bytes()))));
    group.finish();
    criterion.final_summary();
    let (our_time, their_time) = (best(ours), best(theirs));
    let (our_count, their_count) = (allocations(ours), allocations(theirs));
    println!("INVITE of {} bytes, parsed, with To, From, Via, CSeq and Contact:", INVITE.len());
    println!(
        "  time         {our_time:?} to rsip's {their_time:?}: {:.2}",
        our_time.as_secs_f64() / their_time.as_secs_f64()
    );
    println!(
        "  allocations  {our_count} to rsip's {their_count}: {:.2}",
        our_count as f64 / their_count as f64
    );
}
