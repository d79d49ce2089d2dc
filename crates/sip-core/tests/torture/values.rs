//! What the typed headers of the odd and valid messages say.

use sip_core::{Message, Request, Response};

use crate::read;

fn request(name: &str) -> Request {
    match Message::parse(&read(name)).unwrap() {
        Message::Request(request) => request,
        Message::Response(_) => panic!("{name} is a response"),
    }
}

fn response(name: &str) -> Response {
    match Message::parse(&read(name)).unwrap() {
        Message::Response(response) => response,
        Message::Request(_) => panic!("{name} is a request"),
    }
}

#[test]
fn tp17_compact_names_folding_any_case_and_white_space_are_read_and_written_on_one_line() {
    let request = request("4475/3.1.1.1");
    let headers = &request.headers;
    assert_eq!(headers.to_header().unwrap().tag(), Some("straw77x"));
    assert_eq!(headers.from_header().unwrap().display.as_deref(), Some("Nora \\\""));
    assert_eq!((headers.cseq().unwrap().number, headers.max_forwards()), (31, Some(42)));
    let vias = headers.vias().unwrap();
    assert_eq!(vias.len(), 3);
    assert_eq!((vias[1].transport.as_str(), vias[1].branch()), ("TCP", Some("z9hG4bKloft")));
    assert_eq!(headers.get("BarnDoor"), Some("half open"));
    assert_eq!(headers.get("Subject"), Some(""));
    let contact = &headers.contacts().unwrap()[0];
    assert_eq!(contact.display.as_deref(), Some("Miller \"\""));
    assert_eq!((contact.params.value("wheel"), contact.params.has("axle")), (Some("wet"), true));
    let written = String::from_utf8(request.to_bytes().to_vec()).unwrap();
    assert!(!written.contains("\n ") && written.contains("BarnDoor: half open\r\n"), "{written}");
}

#[test]
fn tt1_odd_tokens_escapes_and_schemes_keep_their_form() {
    let odd = request("4475/3.1.1.2");
    assert_eq!(odd.method.as_str(), "odd-Verb0_*+`.%ok'~!9");
    assert!(odd.uri.to_string().ends_with("*pass$wo~rd.(it's)@barn.example"));
    let escaped = request("4475/3.1.1.3");
    assert_eq!(escaped.uri.to_string(), "sip:sips%3Aotto%40barn.example@mill.example");
    let from = escaped.headers.from_header().unwrap();
    assert_eq!(from.uri.as_sip().unwrap().user_unescaped().as_deref(), Some("Nora"));
    assert_eq!(from.tag(), Some("g%20rain"));
    let nothing = request("4475/3.1.1.4").headers.contacts().unwrap();
    assert_eq!(nothing[1].uri.as_sip().unwrap().user_unescaped().as_deref(), Some("\0\0"));
    assert_eq!(request("4475/3.1.1.5").method.as_str(), "SI%2EP%Zz");
    let tight = request("4475/3.1.1.6").headers.from_header().unwrap();
    assert_eq!((tight.display.as_deref(), tight.tag()), (Some("Nora"), Some("tight")));
    let schemes = request("4475/3.3.4");
    assert_eq!(schemes.headers.to_header().unwrap().uri.to_string(), "isbn:9783161484");
}

#[test]
fn tt1_bodies_are_cut_where_their_length_says_and_keep_their_bytes() {
    assert!(request("4475/3.1.1.8").body.is_empty());
    let parts = request("4475/3.1.1.11");
    assert!(parts.body.windows(256).any(|part| part.iter().copied().eq(0..=255)));
    assert_eq!(Message::parse(&parts.to_bytes()).unwrap().headers().via_count(), 1);
    let user = request("4475/3.1.1.9");
    let user = user.uri.as_sip().unwrap().user_unescaped();
    assert_eq!(user.as_deref(), Some("otto;floor=2;by=sip@mill.example"));
    let transports: Vec<_> = request("4475/3.1.1.10").headers.vias().unwrap();
    let transports: Vec<&str> = transports.iter().map(|via| via.transport.as_str()).collect();
    assert_eq!(transports, ["CART", "SCTP", "TLS", "UNHEARD-OF", "UDP"]);
    let phrase = response("4475/3.1.1.12");
    assert_eq!(phrase.reason.as_str(), "= \u{41c}\u{443}\u{43a}\u{430} 3**2 = 9, \u{4e09}");
    assert_eq!(response("4475/3.1.1.13").reason.as_str(), "");
    // With brackets the parameter is the URI's, without them the header's.
    let outside = request("4475/3.3.12").headers.contacts().unwrap().remove(0);
    let inside = request("4475/3.3.13").headers.contacts().unwrap().remove(0);
    assert!(outside.params.has("sack") && !inside.params.has("sack"));
    assert!(inside.uri.as_sip().unwrap().params.has("sack"));
}

#[test]
fn tp18_long_names_values_and_parameters_are_read_and_nul_in_a_name_is_not() {
    let long = request("4475/3.1.1.7");
    assert_eq!(long.headers.via_count(), 21);
    assert_eq!(long.headers.from_header().unwrap().tag().unwrap().len(), 300);
    let to = long.headers.to_header().unwrap();
    assert_eq!(to.uri.as_sip().unwrap().user.as_ref().unwrap().len(), 280);
    let mut broken = read("4475/3.1.1.6");
    let at = broken.windows(4).position(|part| part == b"From").unwrap();
    broken[at + 1] = 0;
    assert!(Message::parse(&broken).is_err());
}

#[test]
fn tp16_addresses_with_and_without_brackets_are_told_apart() {
    let inside = request("5118/4.3");
    let inside = inside.uri.as_sip().unwrap();
    assert_eq!(inside.host.ip(), Some("2001:db8:5::77:5070".parse().unwrap()));
    assert_eq!(inside.port, None);
    let outside = request("5118/4.4");
    assert_eq!(outside.uri.as_sip().unwrap().port, Some(5070));
    let vias = response("5118/4.5").headers.vias().unwrap();
    assert_eq!(vias[0].received(), Some("2001:db8:5::255".parse().unwrap()));
    assert_eq!(vias[1].received(), Some("2001:db8:5::9".parse().unwrap()));
    let mixed = request("5118/4.7").headers.vias().unwrap();
    assert_eq!(mixed[0].received(), Some("192.0.2.1".parse().unwrap()));
    assert_eq!(mixed[2].received(), Some("2001:db8:5::1".parse().unwrap()));
    let mapped = request("5118/4.9");
    assert_eq!(mapped.uri.to_string(), "sip:otto@[::ffff:192.0.2.77]");
    let contact = request("5118/4.10").headers.contacts().unwrap().remove(0);
    assert_eq!(contact.uri.as_sip().unwrap().host.ip(), Some("2001:db8::7".parse().unwrap()));
    for name in ["5118/4.6", "5118/4.8"] {
        let body = request(name).body;
        assert!(sip_core::sdp::SessionDescription::parse(&body).is_ok(), "{name}");
    }
}
