//! Texts to the user's own address outside of any call follow the rules of the chat (docs/sip-chat.md).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[allow(dead_code, reason = "the other tests use the rest")]
mod ends {
    pub mod phone;
    pub mod user;
}

use ends::phone::Phone;
use ends::user::User;
use engine::Event;

fn text(event: &Event) -> Option<String> {
    match event {
        Event::PersonalText(line) => Some(line.text.clone()),
        _ => None,
    }
}

#[test]
fn charsets_and_html_are_read_and_typing_marks_are_shown_to_nobody() {
    let alice = User::start("Alice");
    let uri = alice.uri();
    let phone = Phone::start(200);
    let from = "\"Dora\" <sip:dora@example.net>";
    let cases: [(&str, &[u8], u16, Option<&str>); 7] = [
        ("Content-Type: text/plain\r\n", b"caf\xe9", 200, Some("café")),
        ("Content-Type: text/plain;charset=ISO-8859-1\r\n", b"\xfcber", 200, Some("über")),
        ("Content-Type: text/html\r\n", b"<p>a &amp; <b>b</b></p>", 200, Some("a & b")),
        ("", " spaces €\n".as_bytes(), 200, Some(" spaces €\n")),
        ("Content-Type: application/im-iscomposing+xml\r\n", b"<isComposing/>", 200, None),
        ("Content-Type: text/plain\r\nContent-Encoding: gzip\r\n", b"\x1f\x8b", 415, None),
        ("Content-Type: image/png\r\n", b"x", 415, None),
    ];
    for (headers, body, status, shown) in cases {
        let (mark, answers) = (alice.mark(), phone.answers());
        phone.sends("MESSAGE", &uri, from, headers, body);
        let answer = phone.is_answered("MESSAGE", answers);
        assert_eq!(answer.status.code(), status, "{headers}");
        match shown {
            Some(shown) => assert_eq!(alice.hears("a text", mark, text), shown),
            None => alice.hears_nothing("a text", mark, text),
        }
        if headers.contains("gzip") {
            assert_eq!(answer.headers.get("Accept-Encoding"), Some("identity, deflate"));
        }
    }
}
