//! A caller of our own on raw sockets who subscribes to the conference and keeps every document and text as it came over
//! the wire. It sends no sound at all.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use sip_core::message::{Frame, StreamFramer};
use sip_core::{Message, Method, Request, Response, StatusCode};

use super::process::{free_port, within};

/// The caller.
pub struct Watcher {
    address: SocketAddr,
    socket: Arc<UdpSocket>,
    heard: Arc<Mutex<Heard>>,
    sound: UdpSocket,
    /// The focus, the conference and the tag of our call there.
    call: Option<(SocketAddr, String, String)>,
}

struct Heard {
    /// The answer to texts.
    answer: StatusCode,
    responses: Vec<Response>,
    requests: Vec<Request>,
}

impl Watcher {
    /// Calls a conference, waits for the answer, and subscribes outside of the call's dialog.
    pub fn join(ip: IpAddr, focus: SocketAddr, conference: &str) -> Self {
        Self::answering(StatusCode::OK, ip, focus, conference)
    }

    /// The same, as a phone that answers texts with that status.
    pub fn answering(answer: StatusCode, ip: IpAddr, focus: SocketAddr, conference: &str) -> Self {
        Self::call_saying("", answer, ip, focus, conference)
    }

    /// As [`Self::join`], and wants nobody to know who it is (RFC 3323).
    pub fn hidden(ip: IpAddr, focus: SocketAddr, conference: &str) -> Self {
        Self::call_saying("Privacy: id\r\n", StatusCode::OK, ip, focus, conference)
    }

    fn call_saying(
        headers: &str,
        answer: StatusCode,
        ip: IpAddr,
        focus: SocketAddr,
        conference: &str,
    ) -> Self {
        let address = SocketAddr::new(ip, free_port(ip));
        let socket = Arc::new(UdpSocket::bind(address).unwrap());
        let listener = TcpListener::bind(address).unwrap();
        let sound = UdpSocket::bind(SocketAddr::new(ip, 0)).unwrap();
        let heard =
            Arc::new(Mutex::new(Heard { answer, responses: Vec::new(), requests: Vec::new() }));
        hear_datagrams(&socket, &heard);
        hear_connections(listener, &heard);
        let mut watcher = Self { address, socket, heard, sound, call: None };
        let tag = watcher.call(focus, conference, headers);
        watcher.call = Some((focus, conference.to_owned(), tag));
        watcher
    }

    /// The conference documents in the order of their NOTIFYs.
    pub fn documents(&self) -> Vec<String> {
        let notifies = self.requests(&Method::Notify);
        notifies
            .iter()
            .filter(|notify| !notify.body.is_empty())
            .map(|notify| String::from_utf8(notify.body.to_vec()).expect("a document is UTF-8"))
            .collect()
    }

    /// The texts that came.
    pub fn texts(&self) -> Vec<String> {
        let messages = self.requests(&Method::Message);
        messages.iter().map(|text| String::from_utf8_lossy(&text.body).into_owned()).collect()
    }

    /// Subscription-State of the last NOTIFY.
    pub fn subscription_state(&self) -> String {
        let notifies = self.requests(&Method::Notify);
        let state = notifies.last().and_then(|notify| notify.headers.get("Subscription-State"));
        state.unwrap_or_default().to_owned()
    }

    /// Whether the focus hung up.
    pub fn was_hung_up(&self) -> bool {
        !self.requests(&Method::Bye).is_empty()
    }

    /// Presses a key in the call, told by INFO.
    pub fn press(&self, digit: char) {
        let (focus, conference, tag) = self.call.as_ref().unwrap();
        let (address, body) = (self.address, format!("Signal={digit}\r\nDuration=160\r\n"));
        let info = format!(
            "INFO {conference} SIP/2.0\r\nVia: SIP/2.0/UDP {address};branch=z9hG4bKinfo;rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:watcher@{address}>;tag=wcall\r\n\
             To: <{conference}>;tag={tag}\r\nCall-ID: call@watcher\r\nCSeq: 9 INFO\r\n\
             Content-Type: application/dtmf-relay\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = self.ask(*focus, &info, "INFO");
        assert!(answer.status.is_success(), "INFO was answered {}", answer.status.code());
    }

    fn call(&self, focus: SocketAddr, conference: &str, headers: &str) -> String {
        let (ip, rtp) = (self.address.ip(), self.sound.local_addr().unwrap().port());
        let family = if ip.is_ipv4() { "IP4" } else { "IP6" };
        let offer = format!(
            "v=0\r\no=- 1 1 IN {family} {ip}\r\ns=-\r\nt=0 0\r\nm=audio {rtp} RTP/AVP 0\r\n\
             c=IN {family} {ip}\r\n"
        );
        let own = format!("sip:watcher@{}", self.address);
        let head = |method: &str, call: &str, to_tag: &str, extra: &str, body: &str| {
            format!(
                "{method} {conference} SIP/2.0\r\n\
                 Via: SIP/2.0/UDP {address};branch=z9hG4bK{method}{call};rport\r\nMax-Forwards: 70\r\n\
                 From: \"Watcher\" <{own}>;tag=w{call}\r\nTo: <{conference}>{to_tag}\r\n\
                 Call-ID: {call}@watcher\r\nCSeq: 1 {method}\r\nContact: <{own}>\r\n{extra}\
                 Content-Length: {length}\r\n\r\n{body}",
                address = self.address,
                length = body.len()
            )
        };
        let allow = "Allow: INVITE, ACK, BYE, MESSAGE, NOTIFY, OPTIONS\r\n";
        let invite = head(
            "INVITE",
            "call",
            "",
            &format!("{allow}{headers}Content-Type: application/sdp\r\n"),
            &offer,
        );
        let answer = self.ask(focus, &invite, "INVITE");
        assert!(answer.status.is_success(), "the watcher was refused: {}", answer.status.code());
        let to = answer.headers.to_header().expect("an answer has a To");
        let tag = to.tag().expect("an answer has a To tag").to_owned();
        let ack = head("ACK", "call", &format!(";tag={tag}"), "", "");
        self.socket.send_to(ack.as_bytes(), focus).unwrap();
        let extra = format!(
            "Event: conference\r\nAccept: application/conference-info+xml\r\nExpires: 600\r\n\
             Target-Dialog: call@watcher;local-tag={tag};remote-tag=wcall\r\n"
        );
        let subscribe = head("SUBSCRIBE", "subscription", "", &extra, "");
        let answer = self.ask(focus, &subscribe, "SUBSCRIBE");
        assert!(answer.status.is_success(), "SUBSCRIBE was answered {}", answer.status.code());
        tag
    }

    /// Sends a request and waits for its final response.
    fn ask(&self, focus: SocketAddr, request: &str, method: &str) -> Response {
        self.socket.send_to(request.as_bytes(), focus).unwrap();
        let mut found = None;
        within(Duration::from_secs(5), || {
            let heard = self.heard.lock().unwrap();
            found = heard
                .responses
                .iter()
                .find(|response| {
                    let cseq = response.headers.get("CSeq").unwrap_or_default();
                    cseq.ends_with(method) && !response.status.is_provisional()
                })
                .cloned();
            found.is_some()
        });
        found.unwrap_or_else(|| panic!("no answer to {method}"))
    }

    fn requests(&self, method: &Method) -> Vec<Request> {
        let heard = self.heard.lock().unwrap();
        heard.requests.iter().filter(|request| request.method == *method).cloned().collect()
    }
}

fn hear_datagrams(socket: &Arc<UdpSocket>, heard: &Arc<Mutex<Heard>>) {
    let (socket, heard) = (Arc::clone(socket), Arc::clone(heard));
    thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        while let Ok((length, source)) = socket.recv_from(&mut buffer) {
            if let Some(answer) = hear(&buffer[..length], &heard) {
                let _ = socket.send_to(&answer, source);
            }
        }
    });
}

fn hear_connections(listener: TcpListener, heard: &Arc<Mutex<Heard>>) {
    let heard = Arc::clone(heard);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let heard = Arc::clone(&heard);
            thread::spawn(move || hear_stream(stream, &heard));
        }
    });
}

fn hear_stream(mut stream: TcpStream, heard: &Mutex<Heard>) {
    let mut framer = StreamFramer::default();
    let mut buffer = vec![0; 65_536];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        framer.push(&buffer[..length]);
        while let Some(Ok(frame)) = framer.next_frame() {
            let answer = match frame {
                Frame::Message(bytes) => hear(&bytes, heard),
                Frame::Ping | Frame::Pong => None,
            };
            if let Some(answer) = answer {
                let _ = stream.write_all(&answer);
            }
        }
    }
}

/// Keeps a message; gives the answer to a request.
fn hear(bytes: &[u8], heard: &Mutex<Heard>) -> Option<Vec<u8>> {
    let mut heard = heard.lock().unwrap();
    match Message::parse(bytes) {
        Ok(Message::Response(response)) => {
            heard.responses.push(response);
            None
        }
        Ok(Message::Request(request)) => {
            let is_again = heard.requests.iter().any(|other| {
                other.headers.get("Via") == request.headers.get("Via")
                    && other.method == request.method
            });
            let status =
                if request.method == Method::Message { heard.answer } else { StatusCode::OK };
            let answer = request.response(status, None).to_bytes().to_vec();
            let is_ack = request.method == Method::Ack;
            if !is_again {
                heard.requests.push(request);
            }
            (!is_ack).then_some(answer)
        }
        Err(_) => None,
    }
}
