//! Reasons in words for a person: what happened, the code last.

use sip_core::{CallFailure, NameAddr, Response};

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

/// A phone that takes no text at all.
pub(crate) fn text_unsupported(name: &str) -> String {
    format!("{name}'s phone cannot show text messages")
}
