//! Reasons in words for a person: what happened, the code last.

use sip_core::{CallFailure, NameAddr, Reason, Request, Response};

use crate::name;

/// Why a call to `name` came to nothing.
pub(crate) fn call_failure(name: &str, failure: &CallFailure) -> String {
    match failure {
        CallFailure::Cancelled => String::new(),
        CallFailure::Declined(response) => declined(name, response),
        CallFailure::Emergency => {
            format!(
                "{name}'s side passes calls on to an emergency service, which is not called from here"
            )
        }
        CallFailure::TimedOut => format!("No answer from {name}'s phone (408)"),
        CallFailure::Unreachable => format!("{name}'s phone cannot be reached"),
    }
}

fn declined(name: &str, response: &Response) -> String {
    let code = response.status.code();
    match response.status.understood().code() {
        404 | 604 => format!("{name}'s address does not exist there ({code})"),
        408 => format!("No answer from {name}'s phone (408)"),
        480 => format!("{name} is not reachable now (480)"),
        486 | 600 => format!("{name} is busy ({code})"),
        488 | 606 => format!("{name}'s phone and this computer share no audio format ({code})"),
        401 | 407 => format!("{name}'s server wants a password ({code})"),
        403 => format!("{name}'s side refused the call (403)"),
        603 => format!("{name} declined (603)"),
        300..=399 => format!("{name} has moved to another address ({code})"),
        _ => format!("The call to {name} failed ({code})"),
    }
}

/// Somebody else is called in the place of `name`.
pub(crate) fn redirected(name: &str, to: &NameAddr) -> String {
    format!("{name}'s side passes the call on to {}", name::line(&to.uri.to_string()))
}

/// Why a text did not reach `name`.
pub(crate) fn text_failure(name: &str, code: Option<u16>) -> String {
    match code {
        None | Some(408) => format!("No answer from {name}'s phone (408)"),
        Some(413) => format!("Too long for {name}'s phone (413)"),
        Some(403 | 603) => format!("{name}'s phone does not take texts"),
        Some(code) => format!("{name}'s phone refused the text ({code})"),
    }
}

/// Why a text did not reach `name`, where only that is known.
pub(crate) fn text_not_delivered(name: &str) -> String {
    format!("Not delivered to {name}")
}

/// A phone that takes no text at all.
pub(crate) fn text_unsupported(name: &str) -> String {
    format!("{name}'s phone cannot show text messages")
}

/// The text of a Reason header (RFC 3326).
pub(crate) fn said_why(bye: &Request) -> Option<String> {
    let text = Reason::of(&bye.headers)?.text?;
    Some(name::line(&text)).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use sip_core::Message;

    use super::*;

    const HOSTILE: &str = "a\u{1b}[2J\u{7}\u{9b}31m\u{202e}evil\u{2066}\u{200f}\u{61c}z";

    fn message(text: &str) -> Message {
        Message::parse(text.as_bytes()).unwrap()
    }

    fn is_plain(words: &str) -> bool {
        let turns = ['\u{202e}', '\u{2066}', '\u{200f}', '\u{61c}'];
        !words.contains(|c: char| c.is_control() || turns.contains(&c))
    }

    #[test]
    fn ua28_what_a_peer_says_of_its_reasons_and_of_itself_commands_nothing() {
        let common = "Via: SIP/2.0/UDP a;branch=z9hG4bKa\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\n\
                      Call-ID: x\r\nCSeq: 1 BYE\r\n";
        let bye = format!(
            "BYE sip:c@d SIP/2.0\r\n{common}Reason: SIP;cause=200;text=\"{HOSTILE}\"\r\n\r\n"
        );
        let Message::Request(bye) = message(&bye) else { panic!() };
        let said = said_why(&bye).unwrap();
        assert!(is_plain(&said) && said.contains("evil"), "{said:?}");
        // A reason phrase is not repeated at all: the code says what it means, in our words.
        for code in 300..=699 {
            let response = format!("SIP/2.0 {code} {HOSTILE}\r\n{common}\r\n");
            let Message::Response(response) = message(&response) else { panic!() };
            let failure = CallFailure::Declined(response);
            let words = call_failure("Bob", &failure);
            assert!(is_plain(&words) && !words.contains("evil"), "{words:?}");
        }
        for display in [format!("\"{HOSTILE}\" <sip:a@b>"), format!("<sip:{}@b>", "%1B%E2%80%AEx")]
        {
            let address = NameAddr::parse(&display).unwrap();
            assert!(is_plain(&name::of_address(&address)), "{display:?}");
            assert!(is_plain(&redirected("Bob", &address)), "{display:?}");
        }
    }
}
