//! MESSAGE outside of dialogs (RFC 3428): one at a time to each URI, the rest waits.

use std::collections::VecDeque;
use std::time::Instant;

use super::responses::Finish;
use super::{Endpoint, Owner};
use crate::message::Headers;
use crate::{
    Content, Event, Method, NameAddr, PendingMessage, Request, RequestId, StatusCode, Uri, Way,
};

/// The most texts that wait for one URI.
const MAX_WAITING: usize = 256;

/// A text for somebody, outside of any call.
#[derive(Clone, Debug)]
pub struct PagerMessage {
    /// The Request-URI.
    pub target: Uri,
    /// The way.
    pub way: Way,
    /// Who writes.
    pub from: NameAddr,
    /// To whom.
    pub to: NameAddr,
    /// What.
    pub content: Content,
}

#[derive(Debug, Default)]
pub(super) struct PagerQueue {
    in_flight: Option<RequestId>,
    waiting: VecDeque<(RequestId, PagerMessage)>,
}

impl Endpoint {
    /// Sends a text; [`Event::Completed`] tells what became of it.
    pub fn pager_message(&mut self, message: PagerMessage, now: Instant) -> RequestId {
        let id = self.new_request_id();
        let uri = message.target.to_string();
        let queue = self.pagers.entry(uri.clone()).or_default();
        if queue.waiting.len() >= MAX_WAITING {
            let outcome = crate::Outcome::Unsendable;
            self.emit(Event::Completed { request: id, call: None, outcome });
            return id;
        }
        queue.waiting.push_back((id, message));
        self.send_next_pager(&uri, now);
        id
    }

    /// Answers a MESSAGE. Headers are name and value. A provisional status changes nothing: the Endpoint sends 100 itself
    /// where that is due; with 408 the peer is not answered at all (RFC 4320 §4).
    pub fn respond(
        &mut self,
        message: PendingMessage,
        status: StatusCode,
        headers: &[(&str, String)],
        now: Instant,
    ) {
        if status.is_provisional() {
            return;
        }
        let Some(pending) = self.take_pending(message.0) else { return };
        let mut response = pending.request.response(status, None);
        for (name, value) in headers {
            response.headers.push(name, value);
        }
        self.respond_with(pending.server, response, now);
    }

    fn send_next_pager(&mut self, uri: &str, now: Instant) {
        let Some(queue) = self.pagers.get_mut(uri) else { return };
        if queue.in_flight.is_some() {
            return;
        }
        let Some((id, message)) = queue.waiting.pop_front() else {
            self.pagers.remove(uri);
            return;
        };
        queue.in_flight = Some(id);
        let mut headers = Headers::default();
        let tag = self.token();
        headers.push("Max-Forwards", "70");
        let way = self.way_of(message.way, &message.target, &mut headers);
        let from = self.account_of(message.way).cloned().unwrap_or(message.from);
        headers.push("From", from.with_tag(&tag).to_string());
        headers.push("To", message.to.to_string());
        headers.push("Call-ID", self.token());
        headers.push("CSeq", "1 MESSAGE");
        for (name, value) in &message.content.headers {
            headers.push(name, value);
        }
        headers.push("Content-Type", &message.content.content_type);
        let uri = message.target.into();
        let request = Request { method: Method::Message, uri, headers, body: message.content.body };
        let way = match way {
            Way::Flow(flow) => Way::Flow(self.stream_to(flow).unwrap_or(flow)),
            Way::Account(_) | Way::Locate => Way::Locate,
        };
        self.start_request(request, way, Owner::Pager(id), now);
    }

    pub(super) fn pager_finished(&mut self, id: RequestId, finish: Finish, now: Instant) {
        if matches!(&finish, Finish::Response(response, _) if response.status.is_provisional()) {
            return;
        }
        let mut queues = self.pagers.iter_mut();
        let uri = queues.find(|(_, queue)| queue.in_flight == Some(id)).map(|(uri, _)| uri.clone());
        self.emit(Event::Completed { request: id, call: None, outcome: finish.outcome() });
        if let Some(uri) = uri {
            if let Some(queue) = self.pagers.get_mut(&uri) {
                queue.in_flight = None;
            }
            self.send_next_pager(&uri, now);
        }
    }
}
