//! A phone on a raw UDP socket: it sends what a test writes and answers what it is told to answer.

use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use sip_core::{Message, Method, Request, Response, StatusCode};

use super::user::within;

const PATIENCE: Duration = Duration::from_secs(5);

/// The phone.
pub struct Phone {
    /// Where it is.
    pub address: SocketAddr,
    socket: Arc<UdpSocket>,
    heard: Arc<Mutex<(Vec<Request>, Vec<Response>)>>,
}

impl Phone {
    /// One that answers every request of a method with a status, INVITE excepted: that rings for ever.
    pub fn start(answers: u16) -> Self {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
        let heard = Arc::<Mutex<(Vec<Request>, Vec<Response>)>>::default();
        let (ear, keep) = (Arc::clone(&socket), Arc::clone(&heard));
        thread::spawn(move || {
            let mut buffer = vec![0; 65_536];
            while let Ok((length, source)) = ear.recv_from(&mut buffer) {
                match Message::parse(&buffer[..length]) {
                    Ok(Message::Request(request)) => {
                        let status = if request.method == Method::Invite { 180 } else { answers };
                        let answer =
                            request.response(StatusCode::new(status).unwrap(), Some("phone"));
                        if request.method != Method::Ack {
                            let _ = ear.send_to(&answer.to_bytes(), source);
                        }
                        keep.lock().unwrap().0.push(request);
                    }
                    Ok(Message::Response(response)) => keep.lock().unwrap().1.push(response),
                    Err(_) => {}
                }
            }
        });
        Self { address: socket.local_addr().unwrap(), socket, heard }
    }

    /// Sends a request outside of a dialog to the user at that URI, with these headers and that body.
    pub fn sends(&self, method: &str, uri: &str, from: &str, headers: &str, body: &[u8]) {
        let to: SocketAddr = uri.split_once('@').unwrap().1.parse().unwrap();
        let address = self.address;
        let number = format!("{}-{}", address.port(), self.answers());
        let head = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {address};branch=z9hG4bK{method}{number};rport\r\n\
             Max-Forwards: 70\r\nFrom: {from};tag=phone\r\nTo: <{uri}>\r\n\
             Call-ID: {method}{number}@phone\r\nCSeq: 1 {method}\r\n{headers}Content-Length: {}\r\n\r\n",
            body.len()
        );
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        self.socket.send_to(&bytes, to).unwrap();
    }

    /// Takes back the call that was made when it had heard so many answers.
    pub fn cancels(&self, uri: &str, from: &str, answers: usize, headers: &str) {
        let to: SocketAddr = uri.split_once('@').unwrap().1.parse().unwrap();
        let address = self.address;
        let number = format!("{}-{answers}", address.port());
        let cancel = format!(
            "CANCEL {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {address};branch=z9hG4bKINVITE{number};rport\r\n\
             Max-Forwards: 70\r\nFrom: {from};tag=phone\r\nTo: <{uri}>\r\n\
             Call-ID: INVITE{number}@phone\r\nCSeq: 1 CANCEL\r\n{headers}Content-Length: 0\r\n\r\n"
        );
        self.socket.send_to(cancel.as_bytes(), to).unwrap();
    }

    /// Acknowledges the call that was answered, and wants the other to call somebody else.
    pub fn refers(&self, uri: &str, from: &str, number: u32, refer_to: &str) {
        let peer: SocketAddr = uri.split_once('@').unwrap().1.parse().unwrap();
        let address = self.address;
        let answered = || {
            let heard = self.heard.lock().unwrap();
            let mut all = heard.1.iter();
            let found = all.find(|one| {
                let cseq = one.headers.get("CSeq");
                cseq == Some("1 INVITE") && one.status.is_success()
            });
            found.map(|one| {
                let get = |name: &str| one.headers.get(name).unwrap_or_default().to_owned();
                (get("To"), get("Call-ID"))
            })
        };
        assert!(within(PATIENCE, || answered().is_some()));
        let (to, call_id) = answered().unwrap();
        for (method, cseq, more) in [
            ("ACK", 1, String::new()),
            (
                "REFER",
                number,
                format!("Refer-To: {refer_to}\r\nContact: <sip:phone@{address}>\r\n"),
            ),
        ] {
            let request = format!(
                "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {address};branch=z9hG4bK{method}{number};rport\r\n\
                 Max-Forwards: 70\r\nFrom: {from};tag=phone\r\nTo: {to}\r\nCall-ID: {call_id}\r\n\
                 CSeq: {cseq} {method}\r\n{more}Content-Length: 0\r\n\r\n"
            );
            self.socket.send_to(request.as_bytes(), peer).unwrap();
        }
    }

    /// Calls somebody, with a Contact of its own.
    pub fn calls(&self, uri: &str, from: &str) {
        let address = self.address;
        let offer = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nc=IN IP4 127.0.0.1\r\n\
             m=audio {} RTP/AVP 0\r\n",
            address.port()
        );
        let headers =
            format!("Contact: <sip:phone@{address}>\r\nContent-Type: application/sdp\r\n");
        self.sends("INVITE", uri, from, &headers, offer.as_bytes());
    }

    /// Waits for the final answer to its latest request of a method.
    #[track_caller]
    pub fn is_answered(&self, method: &str, after: usize) -> Response {
        let mut found = None;
        within(PATIENCE, || {
            let heard = self.heard.lock().unwrap();
            let mut new = heard.1.iter().skip(after);
            let answer = new.find(|response| {
                let cseq = response.headers.get("CSeq").unwrap_or_default();
                cseq.ends_with(method) && !response.status.is_provisional()
            });
            found = answer.cloned();
            found.is_some()
        });
        found.unwrap_or_else(|| panic!("no answer to {method}"))
    }

    /// How many answers it had.
    pub fn answers(&self) -> usize {
        self.heard.lock().unwrap().1.len()
    }

    /// The requests of a method.
    pub fn requests(&self, method: &Method) -> Vec<Request> {
        let heard = self.heard.lock().unwrap();
        heard.0.iter().filter(|request| request.method == *method).cloned().collect()
    }

    /// Waits for a request of a method.
    #[track_caller]
    pub fn gets(&self, method: &Method) -> Request {
        within(PATIENCE, || !self.requests(method).is_empty());
        self.requests(method).pop().unwrap_or_else(|| panic!("no {method:?} came"))
    }
}
