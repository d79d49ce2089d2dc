//! Bodies that are not understood: refused with what is, or passed over where their sender says that they may be
//! (RFC 3261 §8.2.3). Types of a MESSAGE are its user's matter, and those of an INFO its handler's.

use super::capabilities;
use super::subscriptions::Package;
use crate::{Method, Request, Response, StatusCode};

/// What a body must be of.
enum Types {
    /// One of these.
    Known(&'static [&'static str]),
    /// Somebody else looks at the type.
    Elsewhere,
}

fn types(method: &Method) -> Types {
    match method {
        Method::Invite | Method::Options | Method::Prack | Method::Update => {
            Types::Known(&["application/sdp"])
        }
        Method::Notify => Types::Known(&[Package::CONFERENCE, Package::REFER]),
        Method::Refer | Method::Subscribe => Types::Known(&[]),
        Method::Ack
        | Method::Bye
        | Method::Cancel
        | Method::Info
        | Method::Message
        | Method::Publish
        | Method::Register
        | Method::Other(_) => Types::Elsewhere,
    }
}

/// Takes an optional body away that is not understood; 415 for one that its sender wants to be.
pub(super) fn settle(request: &mut Request) -> Result<(), Box<Response>> {
    // Deviates from RFC 3261 §8.2.3: a BYE ends the call whatever else it says.
    let is_exempt = matches!(request.method, Method::Message | Method::Bye);
    if request.body.is_empty() || is_exempt {
        return Ok(());
    }
    let mut response = request.response(StatusCode::UNSUPPORTED_MEDIA_TYPE, None);
    let headers = &request.headers;
    if let Types::Known(known) = types(&request.method) {
        let kind = headers.content_type();
        if !kind.is_some_and(|kind| known.iter().any(|one| kind.is(one))) {
            let accept = if known.is_empty() { capabilities::ACCEPT } else { known };
            response.headers.push("Accept", accept.join(", "));
        }
    }
    let is_plain = |coding: &&str| coding.eq_ignore_ascii_case("identity");
    if !headers.list("Content-Encoding").iter().all(is_plain) {
        response.headers.push("Accept-Encoding", capabilities::ACCEPT_ENCODING);
    }
    if !headers.list("Content-Language").iter().all(|tag| is_read(tag)) {
        response.headers.push("Accept-Language", capabilities::ACCEPT_LANGUAGE);
    }
    let said = ["Accept", "Accept-Encoding", "Accept-Language"];
    if said.iter().all(|name| response.headers.get(name).is_none()) {
        return Ok(());
    }
    if !is_optional(request) {
        return Err(Box::new(response));
    }
    request.body.clear();
    for name in ["Content-Type", "Content-Encoding", "Content-Language", "Content-Disposition"] {
        request.headers.remove(name);
    }
    Ok(())
}

/// Whether it is the language that is read here, of whatever country.
fn is_read(tag: &str) -> bool {
    let language = tag.split('-').next().unwrap_or_default().trim();
    language.eq_ignore_ascii_case(capabilities::ACCEPT_LANGUAGE)
}

/// Whether the sender says that the body may be passed over (RFC 3261 §20.11).
fn is_optional(request: &Request) -> bool {
    let disposition = request.headers.get("Content-Disposition").unwrap_or_default();
    disposition.split(';').skip(1).any(|param| {
        param.split_once('=').is_some_and(|(name, value)| {
            let is = |text: &str, word: &str| text.trim().eq_ignore_ascii_case(word);
            is(name, "handling") && is(value, "optional")
        })
    })
}
