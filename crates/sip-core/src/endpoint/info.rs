//! INFO in a call: digits, for peers that do not send them as media (RFC 4733); packages of RFC 6086.

use std::time::Instant;

use super::Endpoint;
use super::requests::Arrival;
use crate::message::KeyPress;
use crate::{CallKey, Confirmed, Event, Method, Outcome, RequestId, StatusCode};

/// The package that some write around digits (RFC 6086 §4.2.1).
const PACKAGE: &str = "dtmf";

impl Endpoint {
    /// Sends a digit by INFO: for a call whose session description has no telephone-event (RFC 4733). [`Event::Completed`]
    /// tells what became of it: [`Outcome::Unsendable`] at once where the peer's Allow says that it takes no INFO.
    pub fn send_digit(&mut self, call: &Confirmed, press: KeyPress, now: Instant) -> RequestId {
        let key = call.key();
        if self.remote_allow(key).is_some_and(|allow| !allow.contains(&Method::Info)) {
            let request = self.new_request_id();
            let outcome = Outcome::Unsendable;
            self.emit(Event::Completed { request, call: Some(key), outcome });
            return request;
        }
        self.enqueue(key, Method::Info, None, Some(press.content()), now)
    }

    /// An INFO of the peer, in a dialog that stands or is early.
    pub(super) fn handle_info(&mut self, arrival: &Arrival, call: CallKey, now: Instant) {
        let (request, server) = (&arrival.request, arrival.server);
        let headers = &request.headers;
        let mut response = request.response(StatusCode::OK, None);
        let package = headers.get("Info-Package");
        let package = package.map(|value| value.split(';').next().unwrap_or_default().trim());
        if package.is_some_and(|package| !package.eq_ignore_ascii_case(PACKAGE)) {
            response = request.response(StatusCode::BAD_INFO_PACKAGE, None);
            response.headers.push("Recv-Info", PACKAGE);
            self.respond_with(server, response, now);
            return;
        }
        if request.body.is_empty() {
            self.respond_with(server, response, now);
            return;
        }
        let kind = headers.content_type();
        let Some(kind) = kind.filter(KeyPress::is_type) else {
            response = request.response(StatusCode::UNSUPPORTED_MEDIA_TYPE, None);
            response.headers.push("Accept", KeyPress::ACCEPT);
            self.respond_with(server, response, now);
            return;
        };
        let Some(press) = KeyPress::parse(&kind, &request.body) else {
            self.respond_status(server, request, StatusCode::BAD_REQUEST, now);
            return;
        };
        self.respond_with(server, response, now);
        self.emit(Event::Digits { call, press });
    }

    /// Whether a request of ours in a call says where we are: those that could move the target, and those whose RFC
    /// wants it. Neither MESSAGE (RFC 3428 §4) nor INFO (RFC 6086 §4.2.3) does.
    pub(super) fn has_contact(method: &Method) -> bool {
        !matches!(method, Method::Message | Method::Info)
    }
}
