//! What the answer of a phone to a text means (sip-chat §3.8). The call never ends for the chat's sake alone.

use std::time::Duration;

use sip_core::{Content, Outcome};

use super::quirks::Quirks;

/// What to do next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Next {
    /// Taken.
    Accepted,
    /// Not taken, not repeated.
    Failed(Option<u16>),
    /// The dialog is in doubt: ask with OPTIONS, then go the other way unless the text may have been shown.
    Probe(Option<u16>),
    /// As a new request, once, after this time.
    Retry(Duration, u16),
    /// In shorter parts.
    Shorter,
    /// Outside of the dialog, once.
    TryOtherWay(u16),
    /// Never again on this leg.
    Unsupported(u16),
}

/// Reads an outcome.
pub(crate) fn read(outcome: &Outcome, quirks: &Quirks) -> Next {
    let response = match outcome {
        Outcome::Answered(response) => response,
        Outcome::TimedOut => return Next::Probe(None),
        Outcome::Unsendable => return Next::Failed(None),
    };
    let code = response.status.code();
    let retry_after = response.headers.retry_after();
    match response.status.understood().code() {
        200..=299 => Next::Accepted,
        500 if code == 500 && quirks.shown_with_500 => Next::Accepted,
        500 => retry_after.map_or(Next::Failed(Some(code)), |after| Next::Retry(after, code)),
        413 => Next::Shorter,
        405 | 406 | 415 | 488 | 501 => Next::TryOtherWay(code),
        403 | 600..=603 | 605..=699 => Next::Unsupported(code),
        480 | 486 | 491 | 503 => Next::Retry(retry_after.unwrap_or(Duration::from_secs(60)), code),
        404 | 408 | 410 | 416 | 481..=485 | 502 | 604 => Next::Probe(Some(code)),
        _ => Next::Failed(Some(code)),
    }
}

/// How the type of a text is said to a phone. Some take none with a parameter.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum TextType {
    /// `text/plain;charset=UTF-8`
    #[default]
    WithCharset,
    /// `text/plain`
    Bare,
}

impl TextType {
    pub(crate) fn content(self, text: &str) -> Content {
        match self {
            Self::WithCharset => Content::text(text),
            Self::Bare => Content::new("text/plain", text.as_bytes().to_vec()),
        }
    }

    /// The type to send the same text in once more, after this outcome: one of those in its Accept (RFC 3261 §8.1.3.5).
    pub(crate) fn instead(self, outcome: &Outcome) -> Option<Self> {
        let Outcome::Answered(response) = outcome else { return None };
        let accept = response.headers.accept().unwrap_or_default();
        let plain =
            accept.iter().any(|kind| matches!(kind.as_str(), "text/plain" | "text/*" | "*/*"));
        let asks = response.status.code() == 415 && plain && self == Self::WithCharset;
        asks.then_some(Self::Bare)
    }
}

/// Whether a phone says that it does not read envelopes after all: then it gets the same text plain.
pub(crate) fn refuses_envelope(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Answered(response) => matches!(response.status.code(), 406 | 415 | 488),
        Outcome::TimedOut | Outcome::Unsendable => false,
    }
}

/// Whether the answer to OPTIONS proves that the dialog lives.
pub(crate) fn proves_life(outcome: &Outcome) -> Option<bool> {
    match outcome {
        Outcome::Answered(response) => {
            Some(!matches!(response.status.code(), 404 | 408 | 410 | 481))
        }
        // Silence proves nothing: media may still flow.
        Outcome::TimedOut | Outcome::Unsendable => None,
    }
}
