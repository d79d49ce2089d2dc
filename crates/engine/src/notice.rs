//! The words of notices and errors: what happened, what it means, what to do.

use std::fmt::Display;

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

pub(crate) fn not_found(host: &str) -> String {
    format!("Can't find {host}. Check the address or your network.")
}

pub(crate) fn no_sound(error: &dyn Display) -> String {
    format!("There is no sound in this call: {error}.")
}

pub(crate) fn no_format(name: &str) -> String {
    format!(
        "{name}'s phone and this computer share no audio format (offered opus, PCMU, PCMA). (488)"
    )
}

pub(crate) fn missed(name: &str) -> String {
    format!("{name} called while nobody could be asked, and heard that you are busy")
}

pub(crate) fn no_session() -> String {
    "There is no call at the moment.".to_owned()
}

pub(crate) fn only_host() -> String {
    "Only the host of a conference can invite or remove people.".to_owned()
}

pub(crate) fn history_unusable(error: &dyn Display) -> String {
    format!("The list of recent calls cannot be kept: {error}")
}
