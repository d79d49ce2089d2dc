//! Whole messages: what RFC 4475 asks for, what rsip reads alike, and that nothing makes us panic.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::*;

const INVITE: &str = "INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0\r\n\
    TO :\r\n sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n\r\n\
    from   : \"J Rosenberg \\\\\\\"\"       <sip:jdrosen@example.com>\r\n  ;\r\n  tag = 98asjd8\r\n\
    MaX-fOrWaRdS: 0068\r\nCall-ID: wsinv.ndaksdj@192.0.2.1\r\nContent-Length   : 150\r\n\
    cseq: 0009\r\n  INVITE\r\nVia  : SIP  /   2.0\r\n /UDP\r\n    192.0.2.2;branch=390skdjuw\r\n\
    s :\r\nNewFangledHeader:   newfangled value\r\n continued newfangled value\r\n\
    UnknownHeaderWithUnusualValue: ;;,,;;,;\r\nContent-Type: application/sdp\r\n\
    v:  SIP  / 2.0  / TCP     spindle.example.com   ;\r\n  branch  =   z9hG4bK9ikj8  ,\r\n\
\x20SIP  /    2.0   / UDP  192.168.255.111   ; branch=\r\n z9hG4bK30239\r\n\
    m:\"Quoted string \\\"\\\"\" <sip:jdrosen@example.com> ; newparam =\r\n      newvalue ;\r\n\
\x20secondparam ; q = 0.33\r\n\r\n";

fn simple(first: &str, more: &str, body: &str) -> String {
    format!(
        "{first}\r\nVia: SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bK1\r\nFrom: \"A\" <sip:a@example.com>;tag=1\r\n\
         To: <sip:b@example.com>\r\nCall-ID: x@y\r\nCSeq: 7 MESSAGE\r\nMax-Forwards: 70\r\n{more}\r\n{body}"
    )
}

fn message(more: &str, body: &str) -> String {
    simple("MESSAGE sip:b@example.com SIP/2.0", more, body)
}

fn refused(text: &str) -> Option<u16> {
    match Message::parse(text.as_bytes()) {
        Ok(_) => None,
        Err(error) => Some(error.answer().map_or(0, |(status, _)| status.code())),
    }
}

#[test]
fn a_short_tortuous_invite_is_read() {
    let text = format!("{INVITE}{}", "x".repeat(150));
    let Message::Request(request) = Message::parse(text.as_bytes()).unwrap() else { panic!() };
    let headers = &request.headers;
    assert_eq!(headers.to_header().unwrap().tag(), Some("1918181833n"));
    assert_eq!(headers.from_header().unwrap().display.as_deref(), Some("J Rosenberg \\\""));
    assert_eq!(headers.vias().unwrap().len(), 3);
    assert_eq!((headers.cseq().unwrap().number, headers.max_forwards()), (9, Some(68)));
    assert_eq!(
        headers.get("NewFangledHeader"),
        Some("newfangled value continued newfangled value")
    );
    assert_eq!(headers.contacts().unwrap()[0].params.value("q"), Some("0.33"));
    assert_eq!(request.body.len(), 150);
}

#[test]
fn faults_of_rfc_4475_are_answered_as_it_says() {
    assert_eq!(refused(&message("Content-Length: 9999\r\n", "short")), Some(400));
    assert_eq!(refused(&message("Content-Length: -999\r\n", "")), Some(400));
    assert_eq!(refused(&message("Content-Length: 5\r\nl: 6\r\n", "123456")), Some(400));
    assert_eq!(
        refused(&message("", "").replace("CSeq: 7", "CSeq: 36893488147419103232")),
        Some(400)
    );
    assert_eq!(refused(&message("", "").replace("\"A\"", "\"A")), Some(400));
    assert_eq!(
        refused(&message("", "").replace("sip:b@example.com SIP", "<sip:b@example.com> SIP")),
        Some(400)
    );
    assert_eq!(
        refused(&message("", "").replace("sip:b@example.com SIP", "sip:b@example.com; lr SIP")),
        Some(400)
    );
    assert_eq!(refused(&message("", "").replace("CSeq: 7 MESSAGE", "CSeq: 7 INVITE")), Some(400));
    assert_eq!(refused(&message("From: <sip:c@d>;tag=2\r\n", "")), Some(400));
    assert_eq!(refused(&message("", "").replace("SIP/2.0\r\nVia", "SIP/7.0\r\nVia")), Some(505));
    assert_eq!(refused(&message("", "").replace("Call-ID: x@y\r\n", "")), Some(400));
    assert_eq!(refused(&simple("SIP/2.0 4294967301 better not", "", "")), Some(0));
    assert_eq!(refused("\r\n\r\n"), Some(0));
}

#[test]
fn oddities_that_are_allowed_are_read() {
    for first in [
        "SIP/2.0 200 = 2**3 * 5**2 \u{43d}\u{43e} \u{441}\u{442}\u{43e}",
        "SIP/2.0 100 ",
        "!interesting-Method0123456789_*+`.%indeed'~ sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com SIP/2.0",
    ] {
        let text = simple(first, "", "");
        let text = if first.starts_with('!') {
            text.replace("7 MESSAGE", "7 !interesting-Method0123456789_*+`.%indeed'~")
        } else {
            text
        };
        assert!(Message::parse(text.as_bytes()).is_ok(), "{first}");
    }
    // Bytes behind Content-Length are another's.
    let text = message("Content-Length: 2\r\n", "hiINVITE sip:x@y SIP/2.0");
    let Message::Request(request) = Message::parse(text.as_bytes()).unwrap() else { panic!() };
    assert_eq!(&request.body[..], b"hi");
}

#[test]
fn what_was_read_is_written_again_and_bodies_survive() {
    let body = [0_u8, 159, 146, 150, b'\r', b'\n', 255];
    let mut bytes = message("Subject: caf\u{e9}\r\nX-Odd: ;;,,\r\n", "").into_bytes();
    bytes.extend_from_slice(&body);
    let Message::Request(request) = Message::parse(&bytes).unwrap() else { panic!() };
    let again = request.to_bytes();
    let Message::Request(twice) = Message::parse(&again).unwrap() else { panic!() };
    assert_eq!((twice.to_bytes(), &twice.body[..]), (again, &body[..]));
    assert_eq!(twice.headers.get("X-Odd"), Some(";;,,"));
}

#[test]
fn rsip_reads_alike_what_it_can_read() {
    let texts = [
        message("Content-Type: text/plain\r\nContent-Length: 2\r\n", "hi"),
        simple("SIP/2.0 486 Busy Here", "Content-Length: 0\r\n", ""),
        simple(
            "OPTIONS sip:carol@192.0.2.4:5070;transport=udp SIP/2.0",
            "Content-Length: 0\r\n",
            "",
        )
        .replace("7 MESSAGE", "7 OPTIONS"),
    ];
    for text in texts {
        let theirs = rsip::SipMessage::try_from(text.as_bytes()).unwrap();
        match (Message::parse(text.as_bytes()).unwrap(), theirs) {
            (Message::Request(ours), rsip::SipMessage::Request(theirs)) => {
                assert_eq!(ours.method.as_str(), theirs.method.to_string());
                let (ours_uri, their_uri) = (ours.uri.to_string(), theirs.uri.to_string());
                assert!(ours_uri.eq_ignore_ascii_case(&their_uri), "{ours_uri} {their_uri}");
                assert_eq!(&ours.body[..], theirs.body.as_slice());
            }
            (Message::Response(ours), rsip::SipMessage::Response(theirs)) => {
                assert_eq!(ours.status.code(), theirs.status_code.code());
            }
            (ours, theirs) => panic!("{ours:?} is not {theirs:?}"),
        }
    }
}

#[test]
fn no_truncation_and_no_mutation_panics() {
    let whole = format!("{INVITE}{}", "x".repeat(150));
    for end in 0..whole.len() {
        let _ = Message::parse(&whole.as_bytes()[..end]);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for _ in 0..20_000 {
        let mut bytes = whole.clone().into_bytes();
        for _ in 0..1 + rng.next_u32() % 6 {
            let at = rng.next_u32() as usize % bytes.len();
            match rng.next_u32() % 3 {
                0 => bytes[at] = rng.next_u32() as u8,
                1 => {
                    bytes.remove(at);
                }
                _ => bytes.insert(at, b";,\"<>:@\r\n %\0"[rng.next_u32() as usize % 12]),
            }
        }
        if let Err(error) = Message::parse(&bytes) {
            let _ = error
                .answer()
                .map(|(status, request)| request.response(status, Some("t")).to_bytes());
        }
        let _ = crate::sdp::SessionDescription::parse(&bytes);
        let mut framer = StreamFramer::default();
        framer.push(&bytes);
        let _ = framer.next_frame();
    }
}
