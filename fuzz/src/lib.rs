//! What must hold for arbitrary bytes, a function a target. libFuzzer calls them from `targets/`; the workspace's
//! `tests/seeds.rs` replays the committed seeds through them as an ordinary test.

use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use sip_core::message::{
    BindingResponse, Frame, KeyPress, MediaType, MinSe, Reason, ReferTo, Replaces, SessionExpires,
    StatusFragment, StreamFramer, binding_request,
};
use sip_core::{
    AnyUri, CSeq, Config, ConnectionChange, ConnectionId, Endpoint, Event, Flow, Input, Message,
    Method, NameAddr, Output, Params, StatusCode, Transport, Uri, Via,
};

/// A target: its name and what it does with bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 12] = [
    ("message", message),
    ("framer", framer),
    ("uri", uri),
    ("address", address),
    ("sdp", sdp),
    ("challenge", challenge),
    ("conference_info", conference_info),
    ("text", text),
    ("media", media),
    ("fragments", fragments),
    ("stun", stun),
    ("endpoint", endpoint),
];

fn bytes_of(message: &Message) -> Vec<u8> {
    match message {
        Message::Request(request) => request.to_bytes().to_vec(),
        Message::Response(response) => response.to_bytes().to_vec(),
    }
}

/// What was read and written is read again as the same; a refusal can be written and read.
pub fn message(data: &[u8]) {
    match Message::parse(data) {
        Ok(read) => {
            let written = bytes_of(&read);
            // What is written spells out what was compact, and has a Content-Length: so it can be the one that is too
            // large, or has a line too many.
            let Ok(again) = Message::parse(&written) else {
                let is_full = read.headers().iter().count() >= 256;
                assert!(
                    is_full || written.len() > sip_core::message::MAX_MESSAGE,
                    "not read again"
                );
                return;
            };
            assert_eq!(bytes_of(&again), written);
            let (one, two) = (read.headers(), again.headers());
            assert_eq!(one.from_header().ok(), two.from_header().ok());
            assert_eq!(one.to_header().ok(), two.to_header().ok());
            assert_eq!(one.vias().ok(), two.vias().ok());
            assert_eq!(one.contacts().ok(), two.contacts().ok());
            let mut popped = one.clone();
            popped.remove("Contact");
            popped.set("X-Seen", "a\r\nb");
            assert_eq!(popped.get("x-seen"), Some("a  b"));
        }
        Err(error) => {
            if let Some((status, request)) = error.answer() {
                let answer = request.response(status, Some("tag")).to_bytes();
                assert!(answer.starts_with(b"SIP/2.0 "));
            }
        }
    }
}

fn frames(pieces: &[&[u8]]) -> (Vec<Frame>, bool) {
    let (mut framer, mut out) = (StreamFramer::default(), Vec::new());
    for piece in pieces {
        framer.push(piece);
        while let Some(frame) = framer.next_frame() {
            match frame {
                Ok(frame) => out.push(frame),
                Err(_) => return (out, true),
            }
        }
    }
    (out, false)
}

/// The frames of a stream do not depend on how it is cut.
pub fn framer(data: &[u8]) {
    let whole = frames(&[data]);
    let single: Vec<&[u8]> = data.chunks(1).collect();
    assert_eq!(frames(&single), whole);
    let cut = data.first().map_or(0, |byte| usize::from(*byte) % data.len());
    assert_eq!(frames(&[&data[..cut], &data[cut..]]), whole);
}

/// What is written is read again as the same.
pub fn uri(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(read) = AnyUri::parse(text) {
        assert_eq!(AnyUri::parse(&read.to_string()).unwrap(), read, "{read}");
    }
    if let Ok(read) = Uri::parse(text) {
        assert!(read.is_equivalent(&read) && read.same_address(&read));
        let _ = (read.user_unescaped(), read.transport(), read.bare().to_string());
        let other = read.with_user("a b\u{e4}@;");
        assert_eq!(other.user_unescaped().as_deref(), Some("a b\u{e4}@;"));
        assert_eq!(Uri::parse(&other.to_string()).unwrap(), other);
    }
}

/// Addresses, parameters, Via and CSeq: written and read again; a tag that is set is there.
pub fn address(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(read) = NameAddr::parse(text) {
        let tagged = read.with_tag("grain");
        assert_eq!(tagged.tag(), Some("grain"));
        let again = NameAddr::parse(&tagged.to_string()).unwrap();
        assert_eq!((again.tag(), &again.uri), (Some("grain"), &read.uri));
    }
    let _ = NameAddr::parse_list(text);
    if let Ok(mut read) = Params::parse(text) {
        assert_eq!(Params::parse(&read.to_string()).unwrap(), read);
        read.set("seen", Some("1"));
        assert_eq!(read.value("SEEN"), Some("1"));
        read.remove("seen");
        assert!(!read.has("seen"));
    }
    if let Ok(mut read) = Via::parse(text) {
        assert_eq!(Via::parse(&read.to_string()).unwrap(), read);
        read.params.set("rport", Some("5060"));
        assert_eq!(Via::parse(&read.to_string()).unwrap().rport(), Some(5060));
    }
    if let Ok(read) = CSeq::parse(text) {
        assert_eq!(CSeq::parse(&read.to_string()).unwrap(), read);
    }
}

/// A description that was read is written, and read again as the same.
pub fn sdp(data: &[u8]) {
    if let Ok(read) = sip_core::sdp::SessionDescription::parse(data) {
        let written = read.to_string();
        let again = sip_core::sdp::SessionDescription::parse(written.as_bytes()).unwrap();
        assert_eq!(again.to_string(), written);
    }
}

/// A challenge that was read can be answered, on one line.
pub fn challenge(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(read) = sip_core::auth::Challenge::parse(text) {
        let credentials = sip_core::auth::Credentials {
            username: "nora".into(),
            password: "grain".into(),
            realm: None,
        };
        let answer = read.answer(&credentials, &Method::Invite, "sip:b@c", "cn", 1);
        assert!(answer.starts_with("Digest "));
    }
}

/// Documents of any kind, one on top of the other.
pub fn conference_info(data: &[u8]) {
    let _ = conference::info::check(data);
    let mut known = conference::info::Known::default();
    let _ = (known.learn(data), known.learn(data));
    let _ = known.people();
}

/// Pieces of a text are the text; bodies of any type are read or refused.
pub fn text(data: &[u8]) {
    let plain = String::from_utf8_lossy(data);
    recognised(&plain);
    let _ = (conference::clean_name(&plain), conference::clean_line(&plain));
    let (kind, body) = plain.split_once('\n').unwrap_or(("text/plain", &plain));
    let head = "MESSAGE sip:b@c SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n\
                To: <sip:b@c>\r\nCall-ID: x\r\nCSeq: 1 MESSAGE\r\n\r\n";
    if let Ok(Message::Request(mut request)) = Message::parse(head.as_bytes()) {
        request.headers.set("Content-Type", kind);
        request.body = body.as_bytes().to_vec().into();
        let _ = conference::read_text(&request);
    }
}

/// What is recognised lies in order, without overlap, between characters, and together it is the text.
fn recognised(text: &str) {
    let found = conference::text::Recognised::new(text);
    let spans = found.spans(text);
    let whole: String = spans.iter().map(|span| &text[span.range.clone()]).collect();
    assert_eq!(whole, text);
    let mut end = 0;
    for piece in &found.pieces {
        assert!(end <= piece.range.start && piece.range.start < piece.range.end);
        assert!(text.get(piece.range.clone()).is_some());
        end = piece.range.end;
        if let conference::text::PieceKind::Link { url } = &piece.kind {
            assert_eq!(*url, text[piece.range.clone()]);
            let _ = conference::text::host_of(url);
        }
    }
    let mut end = 0;
    for region in &found.regions {
        assert!(end <= region.range.start && text.get(region.range.clone()).is_some());
        assert!(text.get(region.content(text)).is_some());
        end = region.range.end;
    }
    let mut end = 0;
    for hidden in &found.hidden {
        assert!(
            end <= hidden.range.start && text[hidden.range.clone()].starts_with(hidden.character)
        );
        end = hidden.range.end;
    }
    let mut end = 0;
    for secret in conference::text::secrets(text) {
        assert!(end <= secret.range.start && text.get(secret.range.clone()).is_some());
        end = secret.range.end;
    }
    let _ = conference::text::direction(text);
}

/// RTP and RTCP.
pub fn media(data: &[u8]) {
    let _ = (media::rtp::is_control(data), media::rtcp::parse(data, 7));
    if let Ok(packet) = media::rtp::Packet::parse(data) {
        assert!(packet.contributing().count() <= 15);
        let mut reception = media::rtcp::Reception::default();
        reception.receive(&packet, None);
        reception.receive(&packet, Some((0.02, 8000)));
        let _ = (reception.lost(), reception.jitter());
    }
}

/// Refer-To, Replaces, Reason, Session-Expires, Min-SE, the news of a transfer, and keys by INFO.
pub fn fragments(data: &[u8]) {
    let _ = StatusFragment::parse(data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(read) = Replaces::parse(text) {
        assert_eq!(Replaces::parse(&read.to_string()).unwrap(), read);
    }
    if let Ok(read) = ReferTo::parse(text) {
        assert_eq!(ReferTo::parse(&read.to_string()).unwrap().replaces, read.replaces);
    }
    if let Ok(read) = SessionExpires::parse(text) {
        assert_eq!(SessionExpires::parse(&read.to_string()).unwrap(), read);
    }
    if let Ok(read) = MinSe::parse(text) {
        assert_eq!(MinSe::parse(&read.to_string()).unwrap(), read);
    }
    if let Ok(read) = Reason::parse(text) {
        assert_eq!(Reason::parse(&read.to_string()).unwrap(), read);
    }
    for kind in ["application/dtmf-relay", "application/dtmf"].map(MediaType::parse) {
        if let Some(kind) = kind
            && let Some(press) = KeyPress::parse(&kind, data)
            && let Some(relay) = MediaType::parse(&press.content().content_type)
        {
            let again = KeyPress::parse(&relay, &press.content().body);
            assert_eq!(again.map(KeyPress::digit), Some(press.digit()));
        }
    }
}

/// What was read as an answer to a binding request is written and read again as the same; a request is none.
pub fn stun(data: &[u8]) {
    if let Some(read) = BindingResponse::parse(data) {
        assert_eq!(BindingResponse::parse(&read.to_bytes()), Some(read.clone()));
        assert_eq!(BindingResponse::parse(&binding_request(&read.id)), None);
    }
}

/// A whole user agent: pieces of the input come as datagrams, by a connection, or as time that passes.
pub fn endpoint(data: &[u8]) {
    let rng = Box::new(ChaCha8Rng::seed_from_u64(1));
    let mut agent = Endpoint::new(Config::default(), rng);
    agent.serve("otto", false);
    let start = Instant::now();
    let mut now = start;
    let source = "198.51.100.7:5060".parse().unwrap();
    let destination = "192.0.2.1:5060".parse().unwrap();
    let connection = ConnectionId(1);
    let flow = Flow {
        transport: Transport::Tcp,
        local: destination,
        remote: source,
        connection: Some(connection),
    };
    let change = ConnectionChange::Opened { flow };
    let _ = agent.handle_input(Input::Connection { now, connection, change });
    // A byte of 1 parts the pieces; what stands first in each says what it is.
    for piece in data.split(|byte| *byte == 1).take(32) {
        let (kind, contents) = piece.split_first().unwrap_or((&0, piece));
        let input = match kind {
            b'T' => {
                now += Duration::from_secs(u64::from(contents.first().copied().unwrap_or(1)));
                Input::Timeout(now)
            }
            b'S' => Input::Stream { now, connection, contents },
            _ => Input::Datagram {
                now,
                transport: Transport::Udp,
                source,
                destination,
                contents: if kind.is_ascii_uppercase() { piece } else { contents },
            },
        };
        let _ = agent.handle_input(input);
        drain(&mut agent, now);
    }
    // Nothing outlives its time by more than a call that stands.
    for _ in 0..400 {
        let Some((at, _)) = agent.poll_timeout() else { break };
        assert!(at >= start);
        now = now.max(at);
        let _ = agent.handle_input(Input::Timeout(now));
        drain(&mut agent, now);
    }
}

fn drain(agent: &mut Endpoint, now: Instant) {
    for _ in 0..10_000 {
        match agent.poll_output() {
            Output::Timeout(_) => return,
            Output::Event(Event::Message { message, .. }) => {
                agent.respond(message, StatusCode::OK, &[], now);
            }
            _ => {}
        }
    }
    panic!("outputs without end");
}
