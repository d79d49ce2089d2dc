//! An ordinary phone that does what a [`Script`] says: it knows calls and RFC 3428 texts, nothing of conferences.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use conference::{Now, SipAct};
use sip_core::sdp::Direction;
use sip_core::{
    CallFailure, CallKey, Contact, Content, EndReason, Event, Failure, Input, Message, Method,
    NameAddr, Outcome, Output, Request, RequestId, StatusCode, Uri,
};

use crate::net::{Actor, Net, Node};
use crate::shell::Shell;

/// What a phone is and does.
#[derive(Clone, Debug)]
pub struct Script {
    /// User part of its address.
    pub user: String,
    /// Its display name; many phones send none.
    pub name: Option<String>,
    /// What it calls itself in User-Agent and Server.
    pub user_agent: String,
    /// How long it rings before it answers.
    pub rings: Duration,
    /// How it answers a text.
    pub texts: TextAnswer,
}

impl Script {
    /// A phone that answers after a second and takes every text.
    pub fn new(user: &str) -> Self {
        Self {
            user: user.to_owned(),
            name: None,
            user_agent: "Phone/1.0".to_owned(),
            rings: Duration::from_secs(1),
            texts: TextAnswer::Status(200),
        }
    }

    /// The same with another answer to texts.
    pub fn answers(mut self, texts: TextAnswer) -> Self {
        self.texts = texts;
        self
    }

    /// The same with a display name.
    pub fn named(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }
}

/// How a phone answers a MESSAGE.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TextAnswer {
    /// With this status; it shows the text when it is a success.
    Status(u16),
    /// Not at all.
    Silence,
    /// With 415 and this Accept unless the type is that one, to the letter.
    Only(&'static str),
}

/// A MESSAGE that came.
#[derive(Clone, Debug)]
pub struct Text {
    /// When, since the phone was put into the network.
    pub at: Duration,
    /// The call in whose dialog it came.
    pub call: Option<CallKey>,
    /// Its From.
    pub from: NameAddr,
    /// Its Content-Type.
    pub content_type: String,
    /// Its body; bytes that are no UTF-8 as U+FFFD.
    pub text: String,
    /// Its Call-ID and CSeq: the same for the same request only.
    pub request: (String, u32),
    /// Whether the phone took it with a 2xx, and showed it.
    pub taken: bool,
}

/// The phone.
pub struct Phone {
    shell: Shell,
    script: Script,
    began: Instant,
    ringing: Option<(CallKey, Instant)>,
    call: Option<CallKey>,
    texts: Vec<Text>,
    outcomes: Vec<(RequestId, Option<u16>)>,
    refused: Option<CallFailure>,
    news: Vec<Option<u16>>,
    notified: Vec<News>,
    takes_news: bool,
    subscription_over: bool,
}

/// A NOTIFY that came.
#[derive(Clone, Debug)]
pub struct News {
    /// When, since the phone was put into the network.
    pub at: Duration,
    /// Its Subscription-State.
    pub state: String,
    /// Its Content-Type.
    pub content_type: String,
    /// Its body.
    pub document: String,
}

impl Phone {
    /// Puts a phone into the network.
    pub fn join(net: &mut Net, script: Script, address: SocketAddr) -> Node<Self> {
        let now = net.now();
        let mut shell = Shell::new(address, &script.user_agent, now, net.generator());
        shell.endpoint.serve(&script.user, false);
        let phone = Self {
            shell,
            script,
            began: now.monotonic,
            ringing: None,
            call: None,
            texts: Vec::new(),
            outcomes: Vec::new(),
            refused: None,
            news: Vec::new(),
            notified: Vec::new(),
            takes_news: true,
            subscription_over: false,
        };
        net.add(address, phone)
    }

    /// Asks whom it talks to, to call or to remove somebody.
    pub fn refer(&mut self, to: sip_core::Target<'_>) -> Option<RequestId> {
        self.shell.refer(self.call?, to)
    }

    /// What it was told of that, as status codes.
    pub fn news(&self) -> &[Option<u16>] {
        &self.news
    }

    /// The phone's own address.
    pub fn uri(&self) -> Uri {
        self.shell.own_uri(&self.script.user)
    }

    /// Its display name.
    pub fn name(&self) -> Option<&str> {
        self.script.name.as_deref()
    }

    /// Calls somebody.
    pub fn dial(&mut self, target: &Uri) {
        let from = NameAddr::new(self.script.name.as_deref(), self.uri());
        let contact = self.contact();
        self.shell.dial(target.clone(), from, contact);
    }

    /// A text in the call's dialog; `None` where there is no call.
    pub fn say(&mut self, text: &str) -> Option<RequestId> {
        self.send(Content::text(text))
    }

    /// Anything in a MESSAGE in the call's dialog; `None` where there is no call.
    pub fn send(&mut self, content: Content) -> Option<RequestId> {
        let call = self.call?;
        self.shell.message(call, None, content)
    }

    /// A text outside of any dialog.
    pub fn write_to(&mut self, target: &Uri, text: &str) -> Option<RequestId> {
        let from = NameAddr::new(self.script.name.as_deref(), self.uri());
        self.shell.pager_message(target.clone(), None, from, Content::text(text))
    }

    /// Puts its call on hold (RFC 3264 §8.4), or takes it back.
    pub fn hold(&mut self, on: bool) {
        if let Some(call) = self.call {
            let direction = if on { Direction::SendOnly } else { Direction::SendRecv };
            self.shell.reinvite(call, direction);
        }
    }

    /// Subscribes to a conference, outside of its call with Target-Dialog, or inside.
    pub fn subscribe(&mut self, target: &Uri, in_dialog: bool) {
        if let Some(call) = self.call {
            let (target, expires) = (target.clone(), Duration::from_secs(3600));
            self.shell.execute(SipAct::Subscribe { call, target, in_dialog, expires });
        }
    }

    /// Answers a NOTIFY with 200, or with 500 from now on.
    pub fn take_news(&mut self, takes: bool) {
        self.takes_news = takes;
    }

    /// What its subscription brought.
    pub fn notified(&self) -> &[News] {
        &self.notified
    }

    /// Whether its subscription has ended.
    pub fn is_subscription_over(&self) -> bool {
        self.subscription_over
    }

    /// Hangs up.
    pub fn hang_up(&mut self) {
        if let Some(call) = self.call.take() {
            self.shell.hang_up(call, None);
        }
    }

    /// Answers texts differently from now on.
    pub fn set_answer(&mut self, texts: TextAnswer) {
        self.script.texts = texts;
    }

    /// Every MESSAGE that came, as the phone's user agent handed it over: retransmissions count once.
    pub fn texts(&self) -> &[Text] {
        &self.texts
    }

    /// The texts that the phone took with a 2xx, in order.
    pub fn shown(&self) -> Vec<&str> {
        match self.script.texts {
            TextAnswer::Status(200..300) => {
                self.texts.iter().map(|text| text.text.as_str()).collect()
            }
            TextAnswer::Only(kind) => {
                let shown = self.texts.iter().filter(|text| text.content_type == kind);
                shown.map(|text| text.text.as_str()).collect()
            }
            TextAnswer::Status(_) | TextAnswer::Silence => Vec::new(),
        }
    }

    /// The final status of a text of this phone: `Some(None)` when none came.
    pub fn outcome(&self, request: RequestId) -> Option<Option<u16>> {
        self.outcomes.iter().find(|(id, _)| *id == request).map(|(_, status)| *status)
    }

    /// Every final status that this phone's requests got; `None` where none came.
    pub fn outcomes(&self) -> Vec<Option<u16>> {
        self.outcomes.iter().map(|(_, status)| *status).collect()
    }

    /// Whether a call stands.
    pub fn is_in_call(&self) -> bool {
        self.call.is_some()
    }

    /// Why its calls ended, in order.
    pub fn ended(&self) -> impl Iterator<Item = &EndReason> {
        self.shell.ended.iter().map(|(_, reason)| reason)
    }

    /// Why its own call came to nothing.
    pub fn refused(&self) -> Option<&CallFailure> {
        self.refused.as_ref()
    }

    fn contact(&self) -> Contact {
        Contact::new(self.script.user.clone(), false)
    }

    fn handle_event(&mut self, event: Event) {
        let now = self.shell.now.monotonic;
        match &event {
            Event::Invited { call, .. } => {
                let key = call.key();
                if self.call.is_some() || self.ringing.is_some() {
                    self.shell.absorb(event);
                    self.shell.reject(key, Failure::BUSY_HERE);
                    return;
                }
                self.shell.absorb(event);
                self.shell.ring(key, &self.contact());
                self.ringing = Some((key, now + self.script.rings));
                return;
            }
            Event::Acked { call, .. } | Event::Answered { call, .. } => {
                self.call = Some(call.key());
            }
            Event::Ended { call, .. } if self.call == Some(*call) => self.call = None,
            Event::Cancelled { call, .. } if self.ringing.is_some_and(|(key, _)| key == *call) => {
                self.ringing = None;
            }
            Event::ReferProgress { status, .. } => {
                self.news.push(status.map(sip_core::StatusCode::code));
            }
            Event::Rejected { failure, .. } => self.refused = Some(failure.clone()),
            Event::Completed { request, outcome, .. } => {
                let status = match outcome {
                    Outcome::Answered(response) => Some(response.status.code()),
                    Outcome::TimedOut | Outcome::Unsendable => None,
                };
                self.outcomes.push((*request, status));
            }
            Event::Message { message, call, request, .. } => {
                let (id, call) = (message.id(), *call);
                self.texts.push(self.note(call, request));
                self.shell.absorb(event);
                self.answer_text(id);
                return;
            }
            Event::SubscribeReceived { subscribe, .. } => {
                let subscribe = subscribe.id();
                self.shell.absorb(event);
                let failure = Failure::new(489).expect("489 is a failure");
                self.shell.execute(SipAct::RejectSubscribe { subscribe, failure });
                return;
            }
            Event::Notified { request, .. } => {
                let header = |name| request.headers.get(name).unwrap_or_default().to_owned();
                self.notified.push(News {
                    at: now - self.began,
                    state: header("Subscription-State"),
                    content_type: header("Content-Type"),
                    document: String::from_utf8_lossy(&request.body).into_owned(),
                });
            }
            Event::SubscriptionEnded { .. } => self.subscription_over = true,
            Event::Cancelled { .. }
            | Event::Digits { .. }
            | Event::Ended { .. }
            | Event::Located { .. }
            | Event::Registration { .. }
            | Event::NotifyFailed { .. }
            | Event::Progress { .. }
            | Event::Redirected { .. }
            | Event::Referred { .. }
            | Event::Reanswered { .. }
            | Event::AddressChanged { .. }
            | Event::ReinviteAcked { .. }
            | Event::Reinvited { .. }
            | Event::Updated { .. } => {}
        }
        self.shell.absorb(event);
        self.shell.decline_refers();
    }

    fn note(&self, call: Option<CallKey>, request: &Request) -> Text {
        let headers = &request.headers;
        let taken = match self.script.texts {
            TextAnswer::Status(status) => (200..300).contains(&status),
            TextAnswer::Only(kind) => headers.get("Content-Type") == Some(kind),
            TextAnswer::Silence => false,
        };
        Text {
            at: self.shell.now.monotonic - self.began,
            call,
            from: headers.from_header().expect("the Endpoint checked From"),
            content_type: headers.get("Content-Type").unwrap_or_default().to_owned(),
            text: String::from_utf8_lossy(&request.body).into_owned(),
            request: (
                headers.call_id().unwrap_or_default().to_owned(),
                headers.cseq().expect("the Endpoint checked CSeq").number,
            ),
            taken,
        }
    }

    fn answer_text(&mut self, id: RequestId) {
        let Some(message) = self.shell.take_message(id) else { return };
        match self.script.texts {
            TextAnswer::Status(status) => {
                let status = StatusCode::new(status).expect("a script names real statuses");
                self.shell.endpoint.respond(message, status, &[], self.shell.now.monotonic);
            }
            TextAnswer::Silence => drop(message),
            TextAnswer::Only(kind) => {
                let fits = self.texts.last().is_some_and(|text| text.content_type == kind);
                let (status, accept) = if fits {
                    (StatusCode::OK, None)
                } else {
                    (StatusCode::UNSUPPORTED_MEDIA_TYPE, Some(("Accept", kind.to_owned())))
                };
                let headers: Vec<_> = accept.into_iter().collect();
                let now = self.shell.now.monotonic;
                self.shell.endpoint.respond(message, status, &headers, now);
            }
        }
    }
}

fn is_answer_to(contents: &[u8], method: &Method) -> bool {
    match Message::parse(contents) {
        Ok(Message::Response(response)) => {
            response.headers.cseq().is_ok_and(|cseq| cseq.method == *method)
        }
        Ok(Message::Request(_)) | Err(_) => false,
    }
}

impl Actor for Phone {
    fn set_now(&mut self, now: Now) {
        self.shell.now = now;
    }

    fn handle_input(&mut self, input: Input<'_>) {
        self.shell.handle_input(input);
        if let Some((call, at)) = self.ringing
            && at <= self.shell.now.monotonic
        {
            self.ringing = None;
            let contact = self.contact();
            self.shell.accept(call, contact);
        }
    }

    fn poll_output(&mut self) -> Output {
        loop {
            match self.shell.poll_output() {
                Output::Event(event) => self.handle_event(event),
                Output::Timeout(timeout) => {
                    let answers = self.ringing.map(|(_, at)| at);
                    return Output::Timeout(Shell::earlier(timeout, answers));
                }
                // The Endpoint itself answers 500 in the end; a silent phone does not even do that.
                Output::Transmit(transmit)
                    if self.script.texts == TextAnswer::Silence
                        && is_answer_to(&transmit.contents, &Method::Message) => {}
                Output::Transmit(mut transmit)
                    if !self.takes_news && is_answer_to(&transmit.contents, &Method::Notify) =>
                {
                    let text = String::from_utf8_lossy(&transmit.contents);
                    transmit.contents = text.replacen("200 OK", "500 No", 1).into_bytes().into();
                    return Output::Transmit(transmit);
                }
                output => return output,
            }
        }
    }
}
