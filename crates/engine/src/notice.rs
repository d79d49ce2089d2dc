//! The words of notices and errors: what happened, what it means, what to do.

use std::fmt::Display;
use std::time::Duration;

use sip_core::RegistrationFailure;

use crate::AddressError;

pub(crate) fn no_engine(error: &dyn Display) -> String {
    format!("Parlour could not start its engine: {error}. Close other programs and start it again.")
}

pub(crate) fn cannot_listen(error: &dyn Display) -> String {
    format!("Parlour cannot be called: {error}. Choose another address or port.")
}

pub(crate) fn other_port(wished: u16, got: u16) -> String {
    format!(
        "Port {wished} is used by another program. Using {got} instead. Only direct calls are affected."
    )
}

pub(crate) fn other_address(uri: &dyn Display) -> String {
    format!("This computer has another network address. You can be called at {uri} now.")
}

pub(crate) fn account_address(text: &str, error: &dyn Display) -> String {
    format!("{text}: {error}. Check the account's addresses.")
}

pub(crate) fn account_without_user(text: &str) -> String {
    format!(
        "{text} has no name before the @. An account's address looks like sip:alice@example.org."
    )
}

pub(crate) fn registration(failure: &RegistrationFailure, retry: Option<Duration>) -> String {
    let what = match failure {
        RegistrationFailure::Credentials => {
            "The server does not take this name and password.".to_owned()
        }
        RegistrationFailure::NotBound => {
            "The server said yes, but does not keep this computer's address.".to_owned()
        }
        RegistrationFailure::NoAnswer => "The server does not answer.".to_owned(),
        RegistrationFailure::Refused { status, reason } => {
            format!("The server refused: {status} {}.", conference::clean_line(reason))
        }
        RegistrationFailure::Unreachable => "The server cannot be found or reached.".to_owned(),
    };
    let next = match retry {
        Some(wait) => format!("Trying again in {} seconds.", wait.as_secs()),
        None => "Correct the account; it is not tried again by itself.".to_owned(),
    };
    format!("{what} Calls to this account do not arrive here. {next}")
}

pub(crate) fn untrusted(domain: &str, problem: sip_net::CertificateProblem) -> String {
    format!(
        "The server at {domain} did not show that it is {domain}: {problem}. Nothing was sent to it. \
         Ask whoever runs it, or check this computer's clock."
    )
}

pub(crate) fn not_found(host: &str) -> String {
    format!("Can't find {host}. Check the address or your network.")
}

pub(crate) fn emergency() -> String {
    AddressError::Emergency.to_string()
}

pub(crate) fn no_trace(file: &std::path::Path, error: &dyn Display) -> String {
    format!("Messages are not recorded: {}: {error}. Choose another file.", file.display())
}

pub(crate) fn trace_ended(error: &dyn Display) -> String {
    format!("Messages are recorded no longer: {error}. What was written so far is kept.")
}

pub(crate) fn no_sound(error: &dyn Display) -> String {
    format!("There is no sound in this call: {error}.")
}

pub(crate) fn not_played(error: &dyn Display) -> String {
    format!("Nobody hears anything from you: {error}. Choose another file, then call again.")
}

pub(crate) fn not_recorded(error: &dyn Display) -> String {
    format!("Nothing is recorded: {error}. Choose another file, then call again.")
}

pub(crate) fn not_taken(name: &str) -> String {
    format!("The conference could not take {name}'s call.")
}

pub(crate) fn not_answered() -> String {
    "Parlour was closed before you answered".to_owned()
}

pub(crate) fn text_not_sent(name: &str) -> String {
    format!("Your text did not reach {name}. Call back instead.")
}

pub(crate) fn text_not_taken(name: &str, code: u16) -> String {
    match code {
        405 | 406 | 415 | 501 => {
            format!("{name}'s phone cannot show text messages. ({code})")
        }
        code => format!("{name} did not get your text. ({code})"),
    }
}

pub(crate) fn conference_is_user(user: &str) -> String {
    format!(
        "The conference and its host cannot both be called {user:?}: nobody could reach the host. \
         Choose another name for the conference."
    )
}

pub(crate) fn no_conference_user() -> String {
    "The name of the conference is empty. Choose one, or leave it out.".to_owned()
}

pub(crate) fn no_format(name: &str) -> String {
    format!(
        "{name}'s phone and this computer share no audio format (offered opus, PCMU, PCMA). (488)"
    )
}

pub(crate) fn missed(name: &str) -> String {
    format!("{name} called while nobody could be asked, and heard that you are busy")
}

pub(crate) fn no_transfer() -> String {
    "Nobody wants the call moved any more.".to_owned()
}

pub(crate) fn nobody_to_move() -> String {
    "There is no call with this participant that could be moved.".to_owned()
}

pub(crate) fn would_tell_who_hides() -> String {
    "Nobody can be moved to somebody who is anonymous: it would tell who that is.".to_owned()
}

pub(crate) fn emergency_transfer(name: &str, to: &str) -> String {
    let why = emergency();
    format!("{name} wanted you to call {to} instead. {why}")
}

pub(crate) fn transfer_declined(name: &str, to: &str) -> String {
    format!("{name} wanted you to call {to} instead. Nobody was called; your call goes on.")
}

pub(crate) fn moved(name: &str) -> String {
    format!("{name}'s call was moved.")
}

pub(crate) fn not_moved(name: &str, code: Option<u16>) -> String {
    match code {
        Some(code) => format!("{name}'s call was not moved. ({code})"),
        None => format!("{name}'s phone did not say whether the call was moved."),
    }
}

pub(crate) fn invited_by_host(who: &str) -> String {
    format!("{who} was called into the conference, as you asked.")
}

pub(crate) fn not_invited_by_host(who: &str, code: Option<u16>) -> String {
    match code {
        Some(603) => format!("The host did not want {who} to be called. (603)"),
        Some(403 | 405 | 501) => {
            format!("This conference calls nobody for its participants: {who} was not called.")
        }
        Some(code) => format!("The conference called {who} for you, in vain. ({code})"),
        None => format!("The conference did not say whether {who} was called."),
    }
}

pub(crate) fn removed_by_host(who: &str) -> String {
    format!("{who} was removed from the conference, as you asked.")
}

pub(crate) fn not_removed_by_host(who: &str, code: Option<u16>) -> String {
    match code {
        Some(403 | 405 | 501 | 603) => {
            format!("Only the host, and moderators whom he names, can remove people: {who} stays.")
        }
        Some(code) => format!("{who} was not removed. ({code})"),
        None => format!("The conference did not say whether {who} was removed."),
    }
}

pub(crate) fn not_upgraded() -> String {
    "Only a call that is connected, and in nobody's conference, can become one of yours.".to_owned()
}

pub(crate) fn no_session() -> String {
    "There is no call at the moment.".to_owned()
}

pub(crate) fn only_host() -> String {
    "Only the host of a conference can do that to others.".to_owned()
}

pub(crate) fn hold_whom() -> String {
    "Choose who is to be put on hold.".to_owned()
}

pub(crate) fn no_conference() -> String {
    "Only the host of a conference can give it a password.".to_owned()
}

pub(crate) fn conference_password(is_set: bool) -> String {
    if is_set {
        "The conference has a password: who calls in from now on has to give it.".to_owned()
    } else {
        "The conference has no password any more.".to_owned()
    }
}

pub(crate) fn conference_pin(is_set: bool) -> String {
    if is_set {
        "The conference has a PIN: who calls in from now on has to type it.".to_owned()
    } else {
        "The conference has no PIN any more.".to_owned()
    }
}

pub(crate) fn no_pin() -> String {
    "A PIN has 4 to 12 digits.".to_owned()
}

pub(crate) fn no_keys_here() -> String {
    "There is no call in which keys could be pressed.".to_owned()
}

pub(crate) fn no_keys_yet() -> String {
    "Keys can be pressed once the call is answered.".to_owned()
}

pub(crate) fn takes_no_keys() -> String {
    "The other end takes no keys.".to_owned()
}

pub(crate) fn history_set_aside(error: &dyn Display, now_at: &std::path::Path) -> String {
    format!(
        "The list of recent calls and the kept texts were damaged ({error}). They begin anew; the old file is kept as {}.",
        now_at.display()
    )
}

pub(crate) fn history_unusable(error: &dyn Display) -> String {
    format!("The list of recent calls and the texts cannot be kept: {error}")
}
